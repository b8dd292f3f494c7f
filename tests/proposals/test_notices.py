"""Who is told that a proposal was recalled or is about to end: on their page, by mail, once."""

import re
from datetime import UTC, date, datetime, timedelta
from smtplib import SMTPRecipientsRefused

import pytest
from django.core import mail as django_mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext, override_settings

from accounts.models import Team
from audit.refusals import Invalid, WrongStatus
from audit.roles import Role
from proposals import drift, notices, services, tasks
from proposals.models import ApprovalStep, Notice, Proposal
from purchases import drafts
from purchases.terms import expiry
from tests.factories import (
    NOON,
    AccountFactory,
    PricePlanFactory,
    administrator,
    draft,
    finance,
    person,
    rep,
    submitted,
)
from tests.faults.test_time import ZONES
from tests.proposals.test_services_life import REACHED
from togai.models import Drift, Link

pytestmark = pytest.mark.django_db

Kind = Notice.Kind
WHY = {"reason_code": "other", "reason": "The customer asked us to wait."}
LATER = NOON + timedelta(hours=1)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
# Clocks go forward in Berlin, the hour after midnight is missing in Santiago, a leap day, the year's end.
DAYS = (date(2030, 3, 31), date(2030, 9, 7), date(2028, 2, 29), date(2029, 12, 31))


def recall(proposal, by=None, at=LATER, **why):
    return services.recall(proposal_id=proposal.pk, by=by or proposal.owner, at=at, **(WHY | why))


def approve(proposal, by=None, at=LATER):
    return services.approve(
        proposal_id=proposal.pk, by=by or finance(), at=at, content_hash=proposal.content_hash
    )


def heard(proposal, *kinds):
    """Who was told something about a proposal."""
    found = Notice.objects.filter(proposal=proposal, kind__in=kinds or Kind.values)
    return {notice.person for notice in found.select_related("person")}


def kinds_of(someone):
    return list(Notice.objects.filter(person=someone).order_by("pk").values_list("kind", flat=True))


def needs(proposal, *roles):
    """Have it wait for these roles, one after the other."""
    ApprovalStep.objects.filter(proposal=proposal).delete()
    for order, role in enumerate(roles, start=1):
        ApprovalStep.objects.create(proposal=proposal, order=order, role=role.value, because="So it is.")


def ending(day, *, zone, by=None):
    """A proposal that waits and is valid until the end of a day, submitted three weeks before."""
    at = expiry(day - 21 * DAY, zone)
    return submitted(by=by, at=at, valid_until=day)


def begins(day, zone):
    """The first moment of a day where the office is."""
    return expiry(day - DAY, zone) + SECOND


# --- A recall ---


def test_a_recall_tells_everybody_whose_answer_it_waited_for():
    """G-25: finance and the CFO had it in their approvals; nobody else hears of it."""
    deciders = {finance(), finance(), person(Role.CFO)}
    for role in (Role.REP, Role.MANAGER, Role.ADMINISTRATOR, Role.AUDITOR):
        person(role)
    proposal = submitted(by=rep(first_name="Mia", last_name="Ott"))
    recall(proposal)
    assert heard(proposal, Kind.RECALLED) == deciders
    assert heard(proposal) == deciders


def test_a_manager_who_recalls_is_named_to_those_who_waited():
    """G-25, P-13: whoever of the two took it back, with a reason that is theirs."""
    author, boss, decider = rep(), person(Role.MANAGER, first_name="Lena", last_name="Berg"), finance()
    team = Team.objects.create(name="North")
    team.members.add(author)
    team.managers.add(boss)
    proposal = submitted(by=author)
    with pytest.raises(Invalid):
        recall(proposal, by=boss, reason="")
    assert heard(proposal) == set()
    recall(proposal, by=boss)
    told = notices.told(Notice.objects.for_listing().get(person=decider), at=LATER)
    assert told.title == f"{proposal.reference} was recalled"
    assert told.text.startswith("Lena Berg took it back before it was decided.")


def test_who_recalls_is_not_told_of_it():
    """G-58: none to the actor."""
    both, colleague = person(Role.FINANCE, Role.ADMINISTRATOR), finance()
    proposal = submitted()
    recall(proposal, by=both)
    assert heard(proposal) == {colleague}


def test_who_could_not_have_decided_it_is_not_told():
    """G-25, P-01: its editors, people who left, people without the role any more."""
    editor, gone, moved, decider = finance(), finance(is_active=False), finance(), finance()
    moved.groups.clear()
    proposal = draft()
    proposal.editors.add(editor)
    services.submit(proposal_id=proposal.pk, by=proposal.owner, at=NOON)
    recall(proposal)
    assert heard(proposal) == {decider}
    assert not Notice.objects.filter(person__in=[editor, gone, moved]).exists()


def test_nobody_is_told_before_their_turn():
    """G-58, G-25: finance comes after the CFO here, and never had it."""
    chief, colleague = person(Role.CFO), finance()
    proposal = submitted()
    needs(proposal, Role.CFO, Role.FINANCE)
    recall(proposal)
    assert heard(proposal) == {chief}
    second = submitted()
    needs(second, Role.CFO, Role.FINANCE)
    approve(second, by=chief)
    recall(second)
    assert colleague in heard(second)


def test_what_togai_refused_waited_for_nobody():
    """G-25: only its author could go on with it."""
    finance()
    proposal = submitted()
    Proposal.objects.filter(pk=proposal.pk).update(togai_refusal="Not like this.")
    recall(proposal)
    assert heard(proposal) == set()


def test_a_recall_that_comes_too_late_tells_nobody():
    """G-25: who loses against an approval changes nothing; the race itself is run in test_services_race."""
    proposal = submitted()
    approve(proposal)
    with pytest.raises(WrongStatus):
        recall(proposal)
    assert heard(proposal) == set()


def test_what_is_over_at_togai_leaves_the_approvals_with_a_word():
    """G-25, G-50: finance accepts that it was declined there, and the others hear why it is gone."""
    one, other = finance(), finance()
    proposal = submitted()
    Proposal.objects.filter(pk=proposal.pk).update(togai_status="PROPOSAL_DECLINED")
    row = Drift.objects.create(
        subject_type=proposal._meta.label,
        subject_id=str(proposal.pk),
        field="status",
        ours="PROPOSAL_ACTIVE",
        theirs="PROPOSAL_DECLINED",
        first_seen_at=NOON,
        last_seen_at=NOON,
    )
    drift.accept(drift_id=row.pk, by=one, at=LATER, reason="The customer said no to Togai.")
    assert heard(proposal) == {other}


# --- The end of a validity ---


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_warnings_come_with_the_seventh_day_and_the_last_before_the_end(zone, settings):
    """G-32, P-10: by the days of the business zone, from −12 to +14 and both ways of summer time."""
    settings.BUSINESS_TIME_ZONE = zone
    author, plan = rep(), PricePlanFactory()
    account = AccountFactory(owner=author)
    for day in DAYS:
        proposal = submitted(
            by=author, account=account, price_plan=plan, at=expiry(day - 21 * DAY, zone), valid_until=day
        )
        seventh, last = begins(day - 7 * DAY, zone), begins(day - DAY, zone)
        assert notices.warn_of_expiry(at=seventh - SECOND) == 0
        assert notices.warn_of_expiry(at=seventh) == 1
        assert notices.warn_of_expiry(at=last - SECOND) == 0
        assert notices.warn_of_expiry(at=last) == 1
        assert notices.warn_of_expiry(at=expiry(day, zone)) == 0
        assert set(Notice.objects.filter(proposal=proposal).values_list("kind", flat=True)) == {
            Kind.EXPIRES_IN_7,
            Kind.EXPIRES_IN_1,
        }


def test_the_owner_and_those_whose_turn_it_is_are_warned(settings):
    """G-32: nobody else, and nobody before their turn (G-58)."""
    zone, day = settings.BUSINESS_TIME_ZONE, date(2030, 6, 30)
    author, chief = rep(), person(Role.CFO)
    for role in (Role.REP, Role.FINANCE, Role.ADMINISTRATOR, Role.AUDITOR, Role.MANAGER):
        person(role)
    proposal = ending(day, zone=zone, by=author)
    needs(proposal, Role.CFO, Role.FINANCE)
    assert notices.warn_of_expiry(at=begins(day - 7 * DAY, zone)) == 2
    assert heard(proposal) == {author, chief}


@pytest.mark.parametrize("late", [timedelta(), 3 * DAY, 5 * DAY + timedelta(hours=23, minutes=59)])
def test_a_job_that_missed_days_still_warns_once(late, settings):
    """G-32: within seven days and more than one of them left, it is the first warning."""
    zone, day = settings.BUSINESS_TIME_ZONE, date(2030, 6, 30)
    author = rep()
    ending(day, zone=zone, by=author)
    for _ in range(3):
        notices.warn_of_expiry(at=begins(day - 7 * DAY, zone) + late)
    assert kinds_of(author) == [Kind.EXPIRES_IN_7]


@pytest.mark.parametrize("left", [DAY, timedelta(hours=2), SECOND])
def test_a_job_that_missed_a_week_warns_of_the_last_day_alone(left, settings):
    """G-32: a warning that is not true any more is not made good."""
    zone, day = settings.BUSINESS_TIME_ZONE, date(2030, 6, 30)
    author = rep()
    ending(day, zone=zone, by=author)
    assert notices.warn_of_expiry(at=expiry(day, zone) - left) == 1
    assert kinds_of(author) == [Kind.EXPIRES_IN_1]


def test_after_the_end_nobody_is_warned_and_nobody_approves(settings):
    """G-32, P-10: usable through 23:59:59, and only to be revised from then on."""
    zone, day = settings.BUSINESS_TIME_ZONE, date(2030, 6, 30)
    proposal, over = ending(day, zone=zone), expiry(day, zone) + SECOND
    assert notices.warn_of_expiry(at=over) == 0
    with pytest.raises(WrongStatus, match="it can only be revised"):
        approve(proposal, at=over)
    assert services.expire(proposal_id=proposal.pk, at=over)
    services.revise(proposal_id=proposal.pk, by=proposal.owner, at=over)


@pytest.mark.parametrize("status", REACHED)
def test_only_what_waits_is_warned_of(status):
    """G-32, P-11: a draft ends nowhere, and what is decided stays decided."""
    proposal = REACHED[status]()
    proposal.refresh_from_db()
    end = proposal.valid_until or drafts.business_day(NOON) + 30 * DAY
    given = notices.warn_of_expiry(at=datetime.combine(end - 2 * DAY, NOON.time(), UTC))
    assert bool(given) == (status == Proposal.Status.SUBMITTED)


def test_a_new_owner_is_warned_as_well(settings):
    """G-32: whoever it belongs to now; the former one is not told what is no longer theirs to see."""
    zone, day = settings.BUSINESS_TIME_ZONE, date(2030, 6, 30)
    before, after = rep(), rep()
    proposal = ending(day, zone=zone, by=before)
    notices.warn_of_expiry(at=begins(day - 7 * DAY, zone))
    drafts.hand_over(Proposal, pk=proposal.pk, to=after, by=administrator(), at=begins(day - 5 * DAY, zone))
    notices.warn_of_expiry(at=begins(day - 4 * DAY, zone))
    assert (kinds_of(before), kinds_of(after)) == ([Kind.EXPIRES_IN_7], [Kind.EXPIRES_IN_7])
    assert not Notice.objects.visible_to(before).exists()
    assert Notice.objects.visible_to(after).exists()


@pytest.mark.parametrize(
    ("left", "ends"),
    [(7, "ends in 7 days"), (2, "ends in 2 days"), (1, "ends tomorrow"), (0, "ends today")],
)
def test_a_warning_says_how_long_and_until_when(left, ends, settings):
    """G-32: in the business zone, as things are when it is read."""
    zone, day = settings.BUSINESS_TIME_ZONE, date(2030, 6, 30)
    author = rep()
    proposal = ending(day, zone=zone, by=author)
    at = begins(day - left * DAY, zone)
    notices.warn_of_expiry(at=at)
    told = notices.told(Notice.objects.for_listing().get(person=author), at=at)
    assert told.title == f"The validity of {proposal.reference} {ends}"
    assert "can be approved until Sunday 30 June 2030, 23:59:59 (Europe/Berlin)" in told.text
    assert told.holds


def test_a_warning_that_is_settled_says_so(settings):
    zone, day = settings.BUSINESS_TIME_ZONE, date(2030, 6, 30)
    author = rep()
    proposal = ending(day, zone=zone, by=author)
    notices.warn_of_expiry(at=begins(day - 7 * DAY, zone))

    def told(at):
        return notices.told(Notice.objects.for_listing().get(person=author), at=at)

    over = told(expiry(day, zone) + SECOND)
    assert "has ended" in over.title
    assert not over.holds
    approve(proposal, at=begins(day - 6 * DAY, zone))
    done = told(begins(day - 5 * DAY, zone))
    assert done.text.endswith("and is approved now.")
    assert not done.holds


def test_nobody_is_told_the_same_twice():
    """G-58: two jobs at once meet the database itself."""
    author = rep()
    proposal = submitted(by=author)
    same = {"person": author, "proposal": proposal, "kind": Kind.EXPIRES_IN_7, "created_at": NOON}
    Notice.objects.create(**same)
    with pytest.raises(IntegrityError), transaction.atomic():
        Notice.objects.create(**same)


def test_the_turn_of_the_clock_costs_the_same_for_few_and_for_many(settings):
    """G-32: what is asked grows with the people who decide, not with the proposals."""
    zone, day = settings.BUSINESS_TIME_ZONE, date(2030, 6, 30)
    early, at = begins(day - 21 * DAY, zone), begins(day - 7 * DAY, zone)
    author, plan = rep(), PricePlanFactory()
    account = AccountFactory(owner=author)
    finance(), finance()

    def asked(count):
        for _ in range(count):
            submitted(by=author, account=account, price_plan=plan, at=early, valid_until=day)
        with CaptureQueriesContext(connection) as queries:
            assert notices.warn_of_expiry(at=at) == 3 * count
        return len(queries)

    assert asked(2) == asked(12)


# --- By mail ---


@pytest.fixture
def told():
    """A finance person whom a recall was told to, and the notice."""
    decider = finance(email="omar@desk.example")
    proposal = submitted(by=rep(first_name="Mia", last_name="Ott"))
    recall(proposal)
    return Notice.objects.get(person=decider)


def test_each_notice_is_one_mail_in_words_with_a_link(told, settings):
    """G-58: one mail per person and item, however often the task runs."""
    settings.PUBLIC_URL = "https://desk.example"
    assert (notices.mail(at=LATER), notices.mail(at=LATER)) == (1, 0)
    (sent,) = django_mail.outbox
    assert sent.to == ["omar@desk.example"]
    assert sent.subject == f"{told.proposal.reference} was recalled"
    assert "Mia Ott took it back before it was decided." in sent.body
    assert f"https://desk.example/proposals/{told.proposal.reference}/\n" in sent.body
    assert "https://desk.example/notices/\n" in sent.body
    told.refresh_from_db()
    assert (told.mail_due, told.mailed_at, told.is_read) == (False, LATER, False)


def _without_address(notice):
    type(notice.person).objects.filter(pk=notice.person_id).update(email="")


def _read_already(notice):
    notices.mark_read(Notice.objects.filter(pk=notice.pk), at=LATER)


def _gone(notice):
    type(notice.person).objects.filter(pk=notice.person_id).update(is_active=False)


def _without_role(notice):
    notice.person.groups.clear()


@pytest.mark.parametrize("happens", [_without_address, _read_already, _gone, _without_role])
def test_nobody_is_written_to_without_a_reason(told, happens):
    """G-58: no address, read on the page already, gone, or not theirs to see any more."""
    happens(told)
    assert notices.mail(at=LATER) == 0
    told.refresh_from_db()
    assert (told.mail_due, told.mailed_at, len(django_mail.outbox)) == (False, None, 0)


def test_a_warning_that_is_settled_is_not_mailed(settings):
    """G-58: the worker was away, and meanwhile it was approved."""
    zone, day = settings.BUSINESS_TIME_ZONE, date(2030, 6, 30)
    proposal = ending(day, zone=zone)
    notices.warn_of_expiry(at=begins(day - 7 * DAY, zone))
    approve(proposal, at=begins(day - 6 * DAY, zone))
    assert notices.mail(at=begins(day - 6 * DAY, zone)) == 0


def test_without_a_mail_server_the_page_is_all(told, settings):
    """And a server that is named later does not get the mails of a year."""
    settings.SENDS_MAIL = False
    assert notices.mail(at=LATER) == 0
    settings.SENDS_MAIL = True
    assert notices.mail(at=LATER) == 0


def test_a_mail_server_that_is_away_gets_everything_later(told, settings):
    here = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    # Nobody listens there.
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert notices.mail(at=LATER) == 0
    told.refresh_from_db()
    assert told.mail_due
    settings.EMAIL_BACKEND = here
    assert notices.mail(at=LATER + DAY) == 1


class Dies(BaseEmailBackend):
    """The worker ends while its server takes the message."""

    def send_messages(self, email_messages):
        raise SystemExit


class Overtaken(BaseEmailBackend):
    """While it connects, another worker sends what this one has read as due."""

    def open(self):
        with override_settings(EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend"):
            assert notices.mail(at=LATER) == 1

    def send_messages(self, email_messages):
        raise AssertionError("It was sent already.")


class Refuses(BaseEmailBackend):
    """A server that does not know one address."""

    def send_messages(self, email_messages):
        for message in email_messages:
            if message.to == ["nobody@desk.example"]:
                raise SMTPRecipientsRefused({"nobody@desk.example": (550, b"unknown")})
            django_mail.outbox.append(message)


def test_a_worker_that_dies_while_it_sends_sends_nothing_twice(told, settings):
    """G-58: at most one mail; its notice is still on the page."""
    here = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = f"{__name__}.Dies"
    with pytest.raises(SystemExit):
        notices.mail(at=LATER)
    settings.EMAIL_BACKEND = here
    assert notices.mail(at=LATER) == 0
    assert Notice.objects.visible_to(told.person).filter(is_read=False).exists()


def test_of_two_workers_one_sends(told, settings):
    """G-58: both have read the same list of what is due."""
    settings.EMAIL_BACKEND = f"{__name__}.Overtaken"
    assert notices.mail(at=LATER) == 0
    assert len(django_mail.outbox) == 1


def test_an_address_that_is_refused_holds_nobody_up(settings):
    unknown, known = finance(email="nobody@desk.example"), finance()
    recall(submitted())
    settings.EMAIL_BACKEND = f"{__name__}.Refuses"
    assert notices.mail(at=LATER) == 1
    assert [message.to for message in django_mail.outbox] == [[known.email]]
    assert not Notice.objects.get(person=unknown).mail_due


def test_a_turn_sends_so_many_and_leaves_the_rest_for_the_next(told, settings):
    for _ in range(notices.MOST_MAILS):
        Notice.objects.create(
            person=told.person, proposal=submitted(at=NOON), kind=Kind.RECALLED, by=told.by, created_at=NOON
        )
    assert (tasks.mail_notices(), tasks.mail_notices()) == (notices.MOST_MAILS, 1)


# --- The page ---


def text_of(client, url="/notices/"):
    answer = client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def titles(html):
    return re.findall(r'notices__title" type="submit">([^<]+)<', html)


@pytest.fixture
def omar(client):
    """Finance, signed in."""
    user = finance(first_name="Omar")
    client.force_login(user)
    return user


def several(count, **fields):
    """So many recalled proposals of one rep, the newest last."""
    author, plan = rep(), PricePlanFactory()
    account = AccountFactory(owner=author)
    made = [submitted(by=author, account=account, price_plan=plan) for _ in range(count)]
    for proposal in made:
        recall(proposal)
    return made


def test_the_list_shows_the_unread_first_and_says_so_in_a_word(client, omar):
    """G-25: newest first among them."""
    first, second, third = several(3)
    notices.mark_read(Notice.objects.filter(proposal=third), at=LATER)
    html = text_of(client)
    assert titles(html) == [f"{one.reference} was recalled" for one in (second, first, third)]
    assert html.count(">New</span>") == 2
    assert "Notices, 2 unread" in html


def test_opening_a_proposal_from_a_notice_marks_it_as_read(client, omar):
    (proposal,) = several(1)
    notice = Notice.objects.get(person=omar)
    answer = client.post(f"/notices/{notice.pk}/open/")
    assert (answer.status_code, answer["Location"]) == (303, f"/proposals/{proposal.reference}/")
    notice.refresh_from_db()
    assert notice.is_read
    assert notice.read_at
    assert "unread" not in text_of(client, answer["Location"])


def test_one_or_all_are_marked_as_read(client, omar):
    """What came after the list was drawn stays unread."""
    first, *_ = several(3)
    one = Notice.objects.get(proposal=first)
    assert client.post(f"/notices/{one.pk}/read/")["Location"] == "/notices/"
    newest = re.search(r'name="newest" value="(\d+)"', text_of(client))[1]
    (fourth,) = several(1)
    client.post("/notices/read/", {"newest": newest})
    left = Notice.objects.filter(person=omar, is_read=False)
    assert [notice.proposal for notice in left] == [fourth]
    assert client.post("/notices/read/").status_code == 400


def test_what_others_are_told_is_not_there(client, omar):
    """G-62: 404, on every verb; neither read nor opened."""
    other = finance()
    several(1)
    theirs = Notice.objects.get(person=other)
    for verb in ("open", "read"):
        assert client.post(f"/notices/{theirs.pk}/{verb}/").status_code == 404
    client.post("/notices/read/", {"newest": theirs.pk})
    theirs.refresh_from_db()
    assert not theirs.is_read


@pytest.mark.parametrize(("count", "shown"), [(0, ""), (1, "1"), (9, "9"), (10, "9+"), (12, "9+")])
def test_the_bell_counts_to_nine(client, omar, count, shown):
    several(count)
    counted = re.findall(r'bell__count"[^>]*>([^<]+)<', text_of(client))
    assert counted == ([shown] if shown else [])


def test_the_bell_costs_no_page_a_query(client, omar):
    """G-69: it comes with the state of the line, which every page asks for, whatever there is to count."""
    Link.objects.create()

    def asked():
        with CaptureQueriesContext(connection) as queries:
            client.get("/proposals/")
        return [one["sql"] for one in queries.captured_queries]

    asked()
    before = asked()
    several(12)
    after = asked()
    assert len(before) == len(after)
    assert ["togai_link" in sql for sql in after if "proposals_notice" in sql] == [True]


def test_before_togai_was_ever_called_the_bell_counts_too(client, omar):
    several(2)
    assert not Link.objects.exists()
    assert "Notices, 2 unread" in text_of(client)


def test_the_list_costs_the_same_queries_for_5_and_25_rows(client, omar):
    """G-69: and pages by key."""
    several(5)
    text_of(client)
    with CaptureQueriesContext(connection) as few:
        text_of(client)
    several(25)
    with CaptureQueriesContext(connection) as many:
        html = text_of(client)
    assert len(many) == len(few)
    assert "OFFSET" not in str(many.captured_queries)
    onward = re.search(r'rel="next" href="([^"]+)"', html)[1].replace("&amp;", "&")
    assert len(titles(html)) == 25
    assert len(titles(text_of(client, f"/notices/{onward}"))) == 5
