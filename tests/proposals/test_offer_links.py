"""Links for customers: who makes them, what they open, for how long, and what is left of each look."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from audit import services as audit
from audit.models import Denial, Event
from audit.refusals import Invalid, NotAllowed, WrongStatus
from audit.roles import Role
from config import logs
from proposals import customer_links, services
from proposals.models import CustomerLink, Proposal
from tests.factories import NOON, AccountFactory, TeamFactory, draft, finance, person, rep, submitted
from tests.permissions.pages import Page
from tests.proposals.offers import approved, pdf_text

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def verbs_of(proposal):
    return list(Event.objects.about(proposal).values_list("verb", flat=True))


def make(proposal, *, by=None, at=NOON, **options):
    return customer_links.make(proposal_id=proposal.pk, by=by or proposal.owner, at=at, **options)


def read(token, *, at=NOON, **options):
    return customer_links.read(token=token, at=at, **options)


# --- The service ---


def test_a_link_opens_an_approved_revision_for_thirty_days():
    """P-30: to the second, and counted from the moment it was made."""
    proposal = approved()
    link, token = make(proposal)
    assert link.expires_at == NOON + 30 * DAY
    assert read(token) == proposal
    assert read(token, at=link.expires_at - timedelta(seconds=1)) == proposal
    with pytest.raises(customer_links.Ended):
        read(token, at=link.expires_at)


@pytest.mark.parametrize("days", [0, -1, 31, 36500])
def test_no_link_lasts_longer_than_thirty_days(days):
    """P-30: nor no time at all."""
    proposal = approved()
    with pytest.raises(Invalid):
        make(proposal, days=days)
    assert not CustomerLink.objects.exists()


@pytest.mark.parametrize("make_one", [draft, submitted], ids=["draft", "submitted"])
def test_only_an_approved_revision_is_given_to_a_customer(make_one):
    """G-39, P-30: nothing is made and nothing recorded."""
    proposal = make_one()
    with pytest.raises(WrongStatus):
        make(proposal)
    assert not CustomerLink.objects.exists()
    assert "make_link" not in verbs_of(proposal)


def test_a_declined_revision_is_not_given_to_a_customer():
    """G-39."""
    proposal = submitted()
    services.decline(
        proposal_id=proposal.pk,
        by=finance(),
        at=NOON,
        content_hash=proposal.content_hash,
        reason_code="other",
        reason="Far too much of a discount.",
    )
    with pytest.raises(WrongStatus):
        make(proposal)


def test_a_link_ends_when_togai_refuses_what_was_approved():
    """G-39: nobody is promised what does not exist."""
    proposal = approved()
    _, token = make(proposal)
    Proposal.objects.filter(pk=proposal.pk).update(togai_refusal="Not like this.")
    with pytest.raises(customer_links.Ended):
        read(token)


def test_owner_manager_finance_and_cfo_give_an_offer_and_nobody_else_does():
    """S-01: seeing a deal is not giving it away."""
    mia, lena = rep(), person(Role.MANAGER)
    team = TeamFactory()
    team.members.add(mia)
    team.managers.add(lena)
    proposal = approved(by=mia)
    for may in (mia, lena, finance(), person(Role.CFO)):
        make(proposal, by=may)
    for may_not in (
        rep(),
        person(Role.MANAGER),
        person(Role.ADMINISTRATOR),
        person(Role.AUDITOR),
        person(is_superuser=True),
    ):
        with pytest.raises(NotAllowed):
            make(proposal, by=may_not)
    assert CustomerLink.objects.count() == 4


def test_who_lost_their_role_gives_nothing_away():
    """S-05: an owner who works on no deals any more."""
    mia = rep()
    proposal = approved(by=mia)
    mia.groups.clear()
    with pytest.raises(NotAllowed):
        make(proposal, by=type(mia).objects.get(pk=mia.pk))


def test_the_token_is_stored_nowhere():
    """P-30: a hash of 192 random bits is all that is left of it, in every table and in the record."""
    proposal = approved()
    link, token = make(proposal)
    other, another = make(proposal)
    assert len({token, another}) == 2
    assert min(len(token), len(another)) == 32
    assert link.digest == customer_links.digest_of(token) != token
    kept = repr([row.__dict__ for model in (CustomerLink, Event) for row in model.objects.all()])
    assert token not in kept
    assert other.digest in kept


def test_a_revoked_link_opens_nothing_from_then_on():
    """P-30: at once, once, on record with who and when; a second press changes nothing."""
    proposal = approved()
    link, token = make(proposal)
    boss = finance()
    for _ in range(2):
        customer_links.revoke(link_id=link.pk, by=boss, at=NOON + DAY)
    link.refresh_from_db()
    assert (link.revoked_by, link.revoked_at) == (boss, NOON + DAY)
    assert verbs_of(proposal).count("revoke_link") == 1
    with pytest.raises(customer_links.Ended):
        read(token, at=NOON + DAY)


def test_an_administrator_may_end_a_link_and_an_auditor_may_not():
    """S-01: closing a door is always allowed to whoever keeps the house."""
    link, _ = make(approved())
    for may_not in (rep(), person(Role.AUDITOR), person(Role.MANAGER)):
        with pytest.raises(NotAllowed):
            customer_links.revoke(link_id=link.pk, by=may_not, at=NOON)
    assert customer_links.revoke(link_id=link.pk, by=person(Role.ADMINISTRATOR), at=NOON).revoked_at == NOON


def test_a_deal_has_ten_open_links_at_most():
    """P-30: one more says to revoke one first; what is over makes room."""
    proposal = approved()
    links = [make(proposal, days=1)[0] for _ in range(customer_links.MOST_OPEN)]
    with pytest.raises(WrongStatus, match="Revoke one"):
        make(proposal)
    customer_links.revoke(link_id=links[0].pk, by=proposal.owner, at=NOON)
    make(proposal)
    make(proposal, at=NOON + 2 * DAY)


def test_every_look_is_counted_and_the_first_of_a_day_goes_on_record():
    """P-30: view logged; the record is not buried under a mailbox that opens a link every minute."""
    proposal = approved()
    link, token = make(proposal)
    for hours in (0, 1, 2, 25, 26):
        read(token, at=NOON + timedelta(hours=hours))
    link.refresh_from_db()
    assert (link.views, link.last_viewed_at) == (5, NOON + timedelta(hours=26))
    seen = Event.objects.about(proposal).filter(verb="customer_viewed")
    assert [(event.at, event.actor) for event in seen] == [(NOON, None), (NOON + timedelta(hours=25), None)]
    assert audit.verify() is None


def test_a_colleagues_look_is_no_customers():
    """P-30: a rep who tries the link does not read next morning that the customer did."""
    link, token = make(approved())
    read(token, counts=False)
    link.refresh_from_db()
    assert (link.views, link.last_viewed_at) == (0, None)


def test_making_and_ending_go_on_record_without_the_token():
    """S-27: who, when, until when."""
    proposal = approved()
    link, token = make(proposal)
    customer_links.revoke(link_id=link.pk, by=proposal.owner, at=NOON)
    assert verbs_of(proposal)[-2:] == ["make_link", "revoke_link"]
    made = Event.objects.about(proposal).get(verb="make_link")
    assert made.after["link"] == link.pk
    assert made.after["message"] == "It works until 9 Feb 2030."
    assert token not in str(made.after)


# --- The customer's page ---


def opened(client, token, suffix=""):
    return client.get(f"/offers/{token}/{suffix}")


@pytest.fixture
def now():
    return timezone.now()


def test_a_customer_reads_the_offer_without_any_account_or_cookie(client, now):
    """G-39, P-30: no sign-in, no session, nothing of the product around it, in nobody's cache or index."""
    proposal = approved(at=now)
    _, token = make(proposal, at=now)
    answer = opened(client, token)
    assert answer.status_code == 200
    assert not answer.cookies
    assert not Session.objects.exists()
    assert answer["Cache-Control"] == "no-store, private"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert "noindex" in answer["X-Robots-Tag"]
    html = answer.content.decode()
    page = Page(html)
    assert page.faults == []
    assert f"Offer {proposal.reference} r1" in page.titles[0]
    assert page.links == ["pdf/"]
    assert page.forms == []
    for of_the_house in ("app.css", "<script", "/proposals/", "/login/", token):
        assert of_the_house not in html, of_the_house
    assert CustomerLink.objects.get().views == 1


def test_the_pdf_of_a_link_is_the_same_offer(client, now):
    """G-39: a look of its own."""
    _, token = make(approved(at=now), at=now)
    answer = opened(client, token, "pdf/")
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert "no-store" in answer["Cache-Control"]
    assert "Prepared for" in pdf_text(answer.content) or "PREPARED FOR" in pdf_text(answer.content)
    assert CustomerLink.objects.get().views == 1


@pytest.mark.parametrize("suffix", ["", "pdf/"])
def test_an_address_that_opens_nothing_does_not_say_why(client, now, suffix):
    """P-30: unknown, malformed, over, revoked and refused are one answer, byte for byte."""
    proposal = approved(at=now - 40 * DAY)
    _, over = make(proposal, at=now - 40 * DAY)
    revoked, ended = make(proposal, at=now)
    customer_links.revoke(link_id=revoked.pk, by=proposal.owner, at=now)
    refused = approved(at=now)
    _, gone = make(refused, at=now)
    Proposal.objects.filter(pk=refused.pk).update(togai_refusal="No.")
    digest = customer_links.digest_of(ended)
    answers = [
        opened(client, token, suffix)
        for token in (over, ended, gone, digest, "x" * 32, "nonsense", "ü", "a" * 3000, over[:-1], over + "A")
    ]
    told = {
        (one.status_code, one.content, *sorted((n, v) for n, v in one.items() if n != "X-Request-ID"))
        for one in answers
    }
    assert len(told) == 1
    assert answers[0].status_code == 404
    assert "This link has ended" in answers[0].content.decode()
    assert not CustomerLink.objects.exclude(views=0).exists()


def test_a_colleague_who_is_signed_in_is_not_counted(client, now):
    """P-30."""
    _, token = make(approved(at=now), at=now)
    client.force_login(rep())
    assert opened(client, token).status_code == 200
    client.logout()
    client.head(f"/offers/{token}/")
    assert CustomerLink.objects.get().views == 0


def test_a_colleague_who_finds_nothing_leaves_no_key_on_record(client, now):
    """P-30, S-30: that they were refused is on record, the token is not."""
    proposal = approved(at=now)
    link, token = make(proposal, at=now)
    customer_links.revoke(link_id=link.pk, by=proposal.owner, at=now)
    client.force_login(rep())
    opened(client, token, "pdf/")
    assert Denial.objects.get().path == "/offers/***/pdf/"


def test_a_link_opens_nothing_else(client, now):
    """P-30: it is no way into the product."""
    proposal = approved(at=now)
    _, token = make(proposal, at=now)
    opened(client, token)
    for address in (f"/proposals/{proposal.reference}/", f"/proposals/{proposal.reference}/r1/pdf/", "/"):
        assert client.get(address).status_code == 302


def test_the_log_does_not_open_an_offer(settings):
    """P-30, S-30: who reads the log, or collects it, finds no address that works."""
    for line in ("/offers/AbC-_9/", "/offers/AbC-_9/pdf/", "Not Found: /offers/AbC-_9/ and more"):
        assert "AbC" not in logs.without_the_token(line)
        assert "/offers/" in logs.without_the_token(line)


# --- On our side ---


def page_of(client, proposal):
    answer = client.get(f"/proposals/{proposal.reference}/")
    assert answer.status_code == 200
    return Page(answer.content.decode())


def test_a_rep_makes_a_link_on_the_page_of_the_deal_and_revokes_it(client, now):
    """G-39, P-30: the address is shown once; the page lists when it ends and how often it was opened."""
    mia = rep()
    client.force_login(mia)
    proposal = approved(by=mia, at=now)
    form = page_of(client, proposal).form(f"/proposals/{proposal.reference}/links/")
    assert form.data == {"days": "30"}
    made = client.post(form.action, form.data)
    words = Page(made.content.decode()).words
    token = words.partition("/offers/")[2].partition("/")[0]
    link = CustomerLink.objects.get()
    assert link.digest == customer_links.digest_of(token)
    assert made["Cache-Control"] == "no-store, private"
    client.logout()
    opened(client, token)
    client.force_login(mia)
    page = page_of(client, proposal)
    assert "Works opened 1 time" in page.words
    assert "The customer opened the offer" in page.words
    assert token not in page.words
    revoke = f"/proposals/{proposal.reference}/links/{link.pk}/revoke/"
    assert client.post(page.form(revoke).action).status_code == 303
    page = page_of(client, proposal)
    assert "Revoked opened 1 time" in page.words
    assert revoke not in [form.action for form in page.forms]
    assert opened(client, token).status_code == 404


def test_before_its_approval_the_page_offers_a_draft_and_no_link(client, now):
    """G-39."""
    mia = rep()
    client.force_login(mia)
    proposal = submitted(by=mia, at=now)
    page = page_of(client, proposal)
    assert "Download a draft PDF" in page.words
    assert f"/proposals/{proposal.reference}/r1/pdf/" in page.links
    assert f"/proposals/{proposal.reference}/links/" not in [form.action for form in page.forms]


def test_who_only_reads_is_offered_the_pdf_and_no_link(client, now):
    """S-01."""
    proposal = approved(at=now)
    make(proposal, at=now)
    client.force_login(person(Role.AUDITOR))
    page = page_of(client, proposal)
    assert "Download the PDF" in page.words
    assert not [form.action for form in page.forms if "/links/" in form.action]
    assert "Works not opened yet" in page.words


@pytest.mark.parametrize("days", ["", "0", "31", "x", "-7", "1e9"])
def test_a_lifetime_that_is_not_offered_makes_no_link(client, now, days):
    """S-01: bad data is 422 and stores nothing."""
    proposal = approved(at=now)
    client.force_login(proposal.owner)
    assert client.post(f"/proposals/{proposal.reference}/links/", {"days": days}).status_code == 422
    assert not CustomerLink.objects.exists()


def test_a_link_is_revoked_where_it_belongs(client, now):
    """S-07: another deal's address does not reach it."""
    mia = rep()
    account = AccountFactory(owner=mia)
    one, other = (approved(by=mia, account=account, at=now) for _ in range(2))
    link, _ = make(one, at=now)
    client.force_login(mia)
    assert client.post(f"/proposals/{other.reference}/links/{link.pk}/revoke/").status_code == 404
    assert client.post(f"/proposals/{other.reference}/links/999999/revoke/").status_code == 404
    link.refresh_from_db()
    assert link.revoked_at is None
