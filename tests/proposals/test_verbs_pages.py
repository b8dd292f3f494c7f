"""The verbs as pages: who meets which status, what a form keeps, and that a refusal changes nothing."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Team
from audit.models import Event
from audit.roles import Role
from proposals import services
from proposals.models import Proposal
from tests.factories import PricePlanFactory, administrator, draft, finance, person, rep, submitted
from tests.tampering import triggers_off
from togai.models import Delivery

pytestmark = pytest.mark.django_db

Status = Proposal.Status
WHY = {"reason_code": "other", "reason": "Not at this price, sorry."}
QUESTIONS = ["submit", "recall", "decline", "request-changes"]
VERBS = [*QUESTIONS, "approve", "revise"]
DECISIONS = ["approve", "decline", "request-changes"]


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def author():
    return rep()


@pytest.fixture
def waiting(author, now):
    """A submitted proposal."""
    return submitted(by=author, at=now)


def address(proposal, verb):
    return f"/proposals/{proposal.reference}/{verb}/"


def read(proposal):
    """What the forms carry of what was read."""
    return {"revision": proposal.revision, "content_hash": proposal.content_hash, "version": proposal.version}


def press(client, proposal, verb, **typed):
    return client.post(address(proposal, verb), read(proposal) | WHY | typed)


def untouched(proposal):
    before = (proposal.status, proposal.version)
    fresh = Proposal.objects.get(pk=proposal.pk)
    return (fresh.status, fresh.version) == before and Proposal.objects.filter(
        number=proposal.number
    ).count() == 1


# --- done ---


def test_a_rep_submits(client, author, now):
    proposal = draft(by=author, at=now)
    client.force_login(author)
    html = client.get(address(proposal, "submit")).content.decode()
    assert "Every proposal needs finance." in html
    assert "1,850.00" in html
    response = press(client, proposal, "submit")
    assert (response.status_code, response.url) == (303, f"/proposals/{proposal.reference}/")
    proposal.refresh_from_db()
    assert proposal.status == Status.SUBMITTED
    assert "is submitted" in client.get(response.url).content.decode()


def test_a_rep_recalls_with_a_reason(client, author, waiting):
    """G-25"""
    client.force_login(author)
    html = client.get(address(waiting, "recall")).content.decode()
    assert "Customer changed their mind" in html
    assert "Price too low" not in html
    response = press(client, waiting, "recall")
    assert response.status_code == 303
    waiting.refresh_from_db()
    assert waiting.status == Status.RECALLED
    assert Event.objects.about(waiting).last().channel == "web"


def test_finance_approves_what_it_read(client, waiting):
    boss = finance()
    client.force_login(boss)
    response = press(client, waiting, "approve")
    assert (response.status_code, response.url) == (303, f"/proposals/{waiting.reference}/")
    waiting.refresh_from_db()
    assert (waiting.status, waiting.decided_by) == (Status.APPROVED, boss)


def test_finance_declines_with_a_reason(client, waiting):
    """G-27"""
    client.force_login(finance())
    html = client.get(address(waiting, "decline")).content.decode()
    assert "Payment risk" in html
    assert "Customer changed their mind" not in html
    assert press(client, waiting, "decline").status_code == 303
    waiting.refresh_from_db()
    assert waiting.status == Status.DECLINED
    assert waiting.decisions.get().reason == WHY["reason"]


def test_finance_asks_for_changes_line_by_line(client, waiting):
    """G-26"""
    client.force_login(finance())
    html = client.get(address(waiting, "request-changes")).content.decode()
    field = re.search(r'for="id_(note_\d+)">Onboarding \(fixed fees\)', html)[1]
    assert press(client, waiting, "request-changes", **{field: "At least 700."}).status_code == 303
    waiting.refresh_from_db()
    assert waiting.status == Status.CHANGES_REQUESTED
    note = waiting.decisions.get().line_notes.get()
    assert (note.line, note.text) == ("fixedFeeRateCards:addon.onboarding", "At least 700.")


def test_its_owner_revises_and_goes_to_the_editor(client, author, waiting, now):
    services.decline(proposal_id=waiting.pk, by=finance(), at=now, content_hash=waiting.content_hash, **WHY)
    client.force_login(author)
    response = client.post(address(waiting, "revise"))
    assert (response.status_code, response.url) == (303, f"/proposals/{waiting.reference}/edit/")
    assert Proposal.objects.live().get().revision == 2


def test_each_may_who_should(client, author, now):
    """The matrix: an administrator recalls and revises, a manager recalls for their team."""
    boss = person(Role.MANAGER)
    team = Team.objects.create(name="North")
    team.members.add(author)
    team.managers.add(boss)
    for user in (boss, administrator()):
        proposal = submitted(by=author, at=now)
        client.force_login(user)
        assert press(client, proposal, "recall").status_code == 303
    assert client.post(address(proposal, "revise")).status_code == 303


# --- the order of refusals: 405, 404, 403, 409 (S-01) ---


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_unknown_gets_in(verb, waiting):
    response = press(Client(), waiting, verb)
    assert response.status_code == 302
    assert response.url.startswith("/login/")
    assert untouched(waiting)


@pytest.mark.parametrize("verb", ["approve", "revise"])
@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
def test_what_asks_nothing_is_only_posted(client, author, waiting, verb, method):
    client.force_login(author)
    assert getattr(client, method)(address(waiting, verb)).status_code == 405


@pytest.mark.parametrize("verb", VERBS)
def test_a_forged_form_is_refused(author, waiting, verb):
    client = Client(enforce_csrf_checks=True)
    client.force_login(author)
    assert press(client, waiting, verb).status_code == 403
    assert untouched(waiting)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("role", [Role.REP, Role.MANAGER])
def test_what_is_not_mine_does_not_exist(client, waiting, verb, role):
    client.force_login(person(role))
    assert press(client, waiting, verb).status_code == 404
    if verb in QUESTIONS:
        assert client.get(address(waiting, verb)).status_code == 404
    assert untouched(waiting)


@pytest.mark.parametrize(
    ("role", "verbs"),
    [
        (Role.REP, DECISIONS),
        (Role.FINANCE, ["submit", "recall", "revise"]),
        (Role.CFO, ["submit", "recall", "revise"]),
        (Role.ADMINISTRATOR, [*DECISIONS, "submit"]),
        (Role.AUDITOR, VERBS),
    ],
)
def test_what_is_not_my_function_is_forbidden(client, now, role, verbs):
    user = person(role)
    for verb in verbs:
        owner = user if role == Role.REP else rep()
        proposal = draft(by=owner, at=now) if verb == "submit" else submitted(by=owner, at=now)
        client.force_login(user)
        response = press(client, proposal, verb)
        assert response.status_code == 403, verb
        assert "Nothing was changed." in response.content.decode()
        if verb in QUESTIONS:
            assert client.get(address(proposal, verb)).status_code == 403
        assert untouched(proposal)


@pytest.mark.parametrize("verb", DECISIONS)
@pytest.mark.parametrize("superuser", [False, True])
def test_own_work_is_forbidden_to_its_author(client, now, verb, superuser):
    """G-22: on every door the same refusal, also for a superuser who holds the role."""
    author = person(Role.FINANCE, Role.REP, is_superuser=superuser)
    proposal = submitted(by=author, at=now)
    client.force_login(author)
    response = press(client, proposal, verb)
    assert response.status_code == 403
    assert "somebody else has to decide it" in response.content.decode()
    if verb in QUESTIONS:
        assert client.get(address(proposal, verb)).status_code == 403
    assert untouched(proposal)


@pytest.mark.parametrize("verb", DECISIONS)
def test_a_superuser_without_the_role_decides_nothing(client, waiting, verb):
    """S-04"""
    client.force_login(person(is_superuser=True, is_staff=True))
    assert press(client, waiting, verb).status_code == 403
    assert untouched(waiting)


@pytest.mark.parametrize("verb", DECISIONS)
def test_who_comes_too_late_learns_who_decided_what(client, waiting, now, verb):
    """R-22: the loser gets 409 and a page showing who decided what."""
    services.decline(
        proposal_id=waiting.pk,
        by=finance(first_name="Omar", last_name="Silva"),
        at=now,
        content_hash=waiting.content_hash,
        reason_code="payment-risk",
        reason="Two invoices are overdue.",
    )
    waiting.refresh_from_db()
    client.force_login(finance())
    response = press(client, waiting, verb)
    html = response.content.decode()
    assert response.status_code == 409
    assert "This proposal is declined." in html
    assert "Omar Silva: declined" in html
    assert "Payment risk: Two invoices are overdue." in html
    assert f'href="/proposals/{waiting.reference}/"' in html
    assert untouched(waiting)


@pytest.mark.parametrize("verb", QUESTIONS)
def test_a_question_whose_moment_has_passed_is_not_asked(client, author, waiting, now, verb):
    services.recall(proposal_id=waiting.pk, by=author, at=now, **WHY)
    client.force_login(author if verb in ("submit", "recall") else finance())
    assert client.get(address(waiting, verb)).status_code == 409
    waiting.refresh_from_db()
    assert press(client, waiting, verb).status_code == 409


@pytest.mark.parametrize("verb", DECISIONS)
@pytest.mark.parametrize(
    "typed",
    [{"content_hash": "0" * 64}, {"content_hash": ""}, {"revision": 2}, {"revision": ""}, {"revision": "x"}],
)
def test_a_decision_on_something_else_than_was_read_is_refused(client, waiting, verb, typed):
    """R-23: stale hash or revision is 409, never a mistake in the form."""
    client.force_login(finance())
    response = press(client, waiting, verb, **typed)
    assert response.status_code == 409
    assert untouched(waiting)
    assert not waiting.decisions.exists()


@pytest.mark.parametrize("version", ["1", "999", "", "x", "-1", "9" * 40, "²"])
def test_a_draft_that_was_not_read_is_not_submitted(client, author, now, version):
    proposal = draft(by=author, at=now)
    services.edit(proposal_id=proposal.pk, by=author, at=now, version=1, fields={"quantity": 9})
    client.force_login(author)
    response = client.post(address(proposal, "submit"), {"version": version})
    assert response.status_code == 409
    proposal.refresh_from_db()
    assert proposal.status == Status.DRAFT


def test_the_second_press_changes_nothing(client, waiting):
    """Row 56 of the hostile inputs: double click, back button, replay."""
    client.force_login(finance())
    assert press(client, waiting, "approve").status_code == 303
    assert press(client, waiting, "approve").status_code == 409
    assert waiting.decisions.count() == 1
    assert Delivery.objects.of(waiting).filter(kind=Delivery.Kind.DECIDE).count() == 1


def test_a_right_that_is_gone_is_gone_with_the_next_request(client, waiting):
    """S-05: also between form and submit."""
    boss = finance()
    client.force_login(boss)
    assert client.get(address(waiting, "decline")).status_code == 200
    boss.groups.clear()
    assert press(client, waiting, "decline").status_code == 404
    boss.is_active = False
    boss.save()
    assert press(client, waiting, "decline").status_code == 302
    assert untouched(waiting)


def test_after_its_validity_it_is_not_approved(client, waiting, now):
    """G-32"""
    with triggers_off():
        Proposal.objects.filter(pk=waiting.pk).update(valid_until=now.date() - timedelta(days=2))
    client.force_login(finance())
    response = press(client, waiting, "approve")
    assert response.status_code == 409
    assert "it can only be revised" in response.content.decode()
    assert press(client, waiting, "decline").status_code == 303


# --- what is wrong in a form ---


@pytest.mark.parametrize("verb", ["recall", "decline", "request-changes"])
@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"reason": "Too low"}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": "          x"}, "reason"),
        ({"reason": "a\x00bcdefghijkl"}, "reason"),
        ({"reason": "x" * 1001}, "reason"),
        ({"reason_code": ""}, "reason_code"),
        ({"reason_code": "nonsense"}, "reason_code"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(client, waiting, verb, typed, field):
    """G-27: the form again, with 200."""
    client.force_login(waiting.owner if verb == "recall" else finance())
    response = press(client, waiting, verb, **typed)
    html = response.content.decode()
    assert response.status_code == 200
    assert f'id="id_{field}_error"' in html
    kept = (WHY | typed)["reason"].strip()
    if "\x00" not in kept:
        assert kept in html
    if "reason_code" not in typed:
        assert re.search(r'value="other"[^>]*checked', html)
    assert untouched(waiting)


def test_notes_that_were_typed_stay_when_the_reason_is_missing(client, waiting):
    client.force_login(finance())
    response = press(client, waiting, "request-changes", reason="", note_0="A <b>shorter</b> term")
    html = response.content.decode()
    assert response.status_code == 200
    assert 'value="A &lt;b&gt;shorter&lt;/b&gt; term"' in html


def test_a_note_that_is_too_long_is_said_at_its_line(client, waiting):
    client.force_login(finance())
    response = press(client, waiting, "request-changes", note_0="x" * 501)
    assert response.status_code == 200
    assert 'id="id_note_0_error"' in response.content.decode()
    assert untouched(waiting)


def test_a_draft_with_gaps_lists_them_with_links_to_their_fields(client, author, now):
    proposal = draft(by=author, at=now, quantity=None, payment_mode=None)
    client.force_login(author)
    for response in (client.get(address(proposal, "submit")), press(client, proposal, "submit")):
        html = response.content.decode()
        assert response.status_code == 200
        for field in ("quantity", "payment_mode"):
            assert f'href="/proposals/{proposal.reference}/edit/#id_{field}"' in html
        assert 'type="submit"' not in html[html.index("Who has to say yes") :]
    assert untouched(proposal)


def test_the_default_validity_is_judged_before_the_button_is_pressed(client, author, now):
    """A start date inside the default validity is a problem that the confirmation already shows."""
    proposal = draft(
        by=author,
        at=now,
        type="ASSOCIATION",
        quantity=None,
        price_plan=PricePlanFactory(recurring=True),
        effective_from=now.date() + timedelta(days=5),
    )
    client.force_login(author)
    html = client.get(address(proposal, "submit")).content.decode()
    assert "#id_effective_from" in html
    assert press(client, proposal, "submit").status_code == 200
    proposal.refresh_from_db()
    assert (proposal.status, proposal.valid_until) == (Status.DRAFT, None)


def test_fields_that_nobody_asked_for_change_nothing(client, waiting):
    """S-06"""
    client.force_login(finance())
    response = press(
        client, waiting, "decline", status="APPROVED", decided_by="1", owner="1", is_live="", quantity="99"
    )
    assert response.status_code == 303
    waiting.refresh_from_db()
    assert (waiting.status, waiting.quantity, waiting.is_live) == (Status.DECLINED, 2, True)
