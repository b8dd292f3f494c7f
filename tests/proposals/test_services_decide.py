"""Deciding a proposal: who may, on what they read, and what their word sets in motion."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from audit.models import AppendOnly, Event
from audit.refusals import Invalid, NotAllowed, OwnWork, Stale, WrongStatus
from audit.roles import Role
from proposals import services
from proposals.models import ApprovalStep, Decision, Proposal, ReasonCode
from purchases import drafts
from tests.factories import NOON, administrator, draft, finance, person, rep, submitted
from tests.tampering import triggers_off
from togai import strict_json
from togai.models import Delivery

pytestmark = pytest.mark.django_db

Status, State = Proposal.Status, Delivery.State
WHY = {"reason_code": "price-too-low", "reason": "Too far below the list."}
HOUR = timedelta(hours=1)


def approve(proposal, by, at=NOON + HOUR):
    return services.approve(proposal_id=proposal.pk, by=by, at=at, content_hash=proposal.content_hash)


def decline(proposal, by, at=NOON + HOUR, **why):
    return services.decline(
        proposal_id=proposal.pk, by=by, at=at, content_hash=proposal.content_hash, **(WHY | why)
    )


def request_changes(proposal, by, at=NOON + HOUR, **why):
    return services.request_changes(
        proposal_id=proposal.pk, by=by, at=at, content_hash=proposal.content_hash, **(WHY | why)
    )


DECIDE = [approve, decline, request_changes]


def decision_of(proposal):
    return Delivery.objects.of(proposal).filter(kind=Delivery.Kind.DECIDE).first()


def nothing_happened(proposal):
    proposal.refresh_from_db()
    return (
        proposal.status == Status.SUBMITTED
        and proposal.decided_by is None
        and not proposal.decisions.exists()
        and decision_of(proposal) is None
        and not Event.objects.about(proposal)
        .exclude(verb__in=["create", "edit", "revise", "submit"])
        .exists()
    )


# --- who ---


@pytest.mark.parametrize("role", [Role.FINANCE, Role.CFO])
def test_finance_and_the_cfo_decide(role):
    proposal, boss = submitted(), person(role)
    approve(proposal, boss)
    proposal.refresh_from_db()
    assert (proposal.status, proposal.decided_by, proposal.decided_at) == (
        Status.APPROVED,
        boss,
        NOON + HOUR,
    )


@pytest.mark.parametrize("verb", DECIDE)
@pytest.mark.parametrize("role", [Role.REP, Role.MANAGER, Role.ADMINISTRATOR, Role.AUDITOR])
def test_nobody_else_decides(verb, role):
    proposal = submitted()
    with pytest.raises(NotAllowed):
        verb(proposal, person(role))
    assert nothing_happened(proposal)


@pytest.mark.parametrize("verb", DECIDE)
def test_a_superuser_without_the_role_decides_nothing(verb):
    """S-04: domain rules do not ask has_perm."""
    proposal = submitted()
    with pytest.raises(NotAllowed):
        verb(proposal, person(is_superuser=True, is_staff=True))
    assert nothing_happened(proposal)


@pytest.mark.parametrize("verb", DECIDE)
def test_nobody_decides_what_they_wrote(verb):
    """G-22: the creator, who is also the submitter here."""
    author = person(Role.FINANCE, Role.REP, is_superuser=True)
    proposal = submitted(by=author)
    with pytest.raises(OwnWork):
        verb(proposal, author)
    assert nothing_happened(proposal)


@pytest.mark.parametrize("verb", DECIDE)
def test_nobody_decides_what_they_edited(verb):
    """G-22: every editor of the terms, also one before the last."""
    author, helper = rep(), person(Role.FINANCE, Role.ADMINISTRATOR)
    proposal = draft(by=author)
    services.edit(
        proposal_id=proposal.pk, by=helper, at=NOON, fields={"quantity": 5}, version=proposal.version
    )
    services.edit(
        proposal_id=proposal.pk, by=author, at=NOON, fields={"quantity": 6}, version=proposal.version + 1
    )
    proposal = services.submit(proposal_id=proposal.pk, by=author, at=NOON)
    assert proposal.last_edited_by == author
    with pytest.raises(OwnWork):
        verb(proposal, helper)
    assert nothing_happened(proposal)


@pytest.mark.parametrize("verb", DECIDE)
def test_nobody_decides_what_they_edited_in_an_earlier_revision(verb):
    """G-22: the chain of revisions is one piece of work (P-01)."""
    author, helper, boss = rep(), person(Role.FINANCE, Role.ADMINISTRATOR), finance()
    proposal = draft(by=author)
    services.edit(
        proposal_id=proposal.pk, by=helper, at=NOON, fields={"quantity": 5}, version=proposal.version
    )
    first = services.submit(proposal_id=proposal.pk, by=author, at=NOON)
    request_changes(first, boss)
    second = services.revise(proposal_id=first.pk, by=author, at=NOON + 2 * HOUR)
    second = services.submit(proposal_id=second.pk, by=author, at=NOON + 3 * HOUR)
    with pytest.raises(OwnWork):
        verb(second, helper, at=NOON + 4 * HOUR)
    assert nothing_happened(second)


def test_nobody_decides_what_they_own():
    """G-22: an owner who got the deal handed over stands behind it too."""
    author, new_owner = rep(), person(Role.FINANCE, Role.REP)
    proposal = draft(by=author)
    drafts.hand_over(Proposal, pk=proposal.pk, to=new_owner, by=administrator(), at=NOON)
    proposal = services.submit(proposal_id=proposal.pk, by=author, at=NOON)
    with pytest.raises(OwnWork):
        approve(proposal, new_owner)


@pytest.mark.parametrize("who", ["created_by", "last_edited_by", "submitted_by"])
def test_the_database_itself_wants_four_eyes(who):
    """G-22: also a shell that goes past the services."""
    proposal = submitted()
    with triggers_off():
        Proposal.objects.filter(pk=proposal.pk).update(**{who: (author := finance())})
    with pytest.raises(IntegrityError), transaction.atomic():
        Proposal.objects.filter(pk=proposal.pk).update(status=Status.APPROVED, decided_by=author)
    with pytest.raises(IntegrityError), transaction.atomic():
        Proposal.objects.filter(pk=proposal.pk).update(status=Status.APPROVED, decided_by=None)


# --- on what they read ---


@pytest.mark.parametrize("verb", DECIDE)
@pytest.mark.parametrize("read", ["", "0" * 64])
def test_a_decision_is_about_what_was_read(verb, read):
    """R-23: the hash of the content that the person had before their eyes."""
    proposal = submitted()
    shown, proposal.content_hash = proposal.content_hash, read
    with pytest.raises(Stale):
        verb(proposal, finance())
    proposal.content_hash = shown
    assert nothing_happened(proposal)


def test_the_hash_moves_with_everything_that_is_decided():
    """R-23: terms, account and the volumes at which the money was shown; not the note beside them."""
    proposal = draft()
    before = proposal.content_hash
    version = proposal.version
    noted = services.edit(
        proposal_id=proposal.pk,
        by=proposal.owner,
        at=NOON,
        version=version,
        fields={"internal_note": "Nice people."},
    )
    assert noted.content_hash == before
    dearer = services.edit(
        proposal_id=proposal.pk, by=proposal.owner, at=NOON, version=noted.version, fields={"quantity": 3}
    )
    assert dearer.content_hash != before
    counted = services.edit(
        proposal_id=proposal.pk,
        by=proposal.owner,
        at=NOON,
        version=dearer.version,
        fields={"expected_volumes": {"um.x": "5"}},
    )
    assert counted.content_hash not in (before, dearer.content_hash)


# --- when ---


@pytest.mark.parametrize("first", DECIDE)
@pytest.mark.parametrize("second", DECIDE)
def test_a_decision_is_made_once(first, second):
    """R-22: the loser hears that it is over, and nothing of theirs stays."""
    proposal, boss = submitted(), finance()
    first(proposal, boss)
    proposal.refresh_from_db()
    settled = proposal.status
    with pytest.raises(WrongStatus):
        second(proposal, finance())
    proposal.refresh_from_db()
    assert (proposal.status, proposal.decided_by) == (settled, boss)
    assert proposal.decisions.count() == 1
    assert Delivery.objects.of(proposal).filter(kind=Delivery.Kind.DECIDE).count() == 1


@pytest.mark.parametrize("verb", DECIDE)
def test_a_draft_is_not_decided(verb):
    with pytest.raises(WrongStatus):
        verb(draft(), finance())


@pytest.mark.parametrize("verb", DECIDE)
def test_what_togai_refused_is_not_decided(verb):
    """Only its author can go on: nothing exists at Togai that could be decided."""
    proposal = submitted()
    Proposal.objects.filter(pk=proposal.pk).update(togai_refusal="quantity: too many")
    with pytest.raises(WrongStatus, match="Togai refused"):
        verb(proposal, finance())
    assert nothing_happened(proposal)


def test_a_step_of_another_role_is_not_mine():
    proposal = submitted()
    proposal.steps.update(role=Role.CFO.value)
    with pytest.raises(NotAllowed, match="CFO"):
        approve(proposal, finance())
    approve(proposal, person(Role.CFO))


def test_several_steps_are_taken_in_their_order_and_the_last_one_counts():
    proposal = submitted()
    ApprovalStep.objects.create(
        proposal=proposal, order=2, role=Role.CFO.value, because="Value over 100,000."
    )
    boss = finance()
    approve(proposal, boss)
    proposal.refresh_from_db()
    assert (proposal.status, decision_of(proposal)) == (Status.SUBMITTED, None)
    with pytest.raises(NotAllowed):
        approve(proposal, boss)
    chief = person(Role.CFO)
    approve(proposal, chief)
    proposal.refresh_from_db()
    assert (proposal.status, proposal.decided_by) == (Status.APPROVED, chief)
    assert [step.state for step in proposal.steps.all()] == ["APPROVED", "APPROVED"]


# --- what follows ---


@pytest.mark.parametrize(
    ("verb", "status", "direction"),
    [
        (approve, Status.APPROVED, "APPROVE"),
        (decline, Status.DECLINED, "DECLINE"),
        (request_changes, Status.CHANGES_REQUESTED, "DECLINE"),
    ],
)
def test_a_decision_status_record_and_delivery_are_one_transaction(verb, status, direction):
    """R-22: the delivery waits for the create that it decides (R-24)."""
    proposal, boss = submitted(), finance()
    verb(proposal, boss)
    proposal.refresh_from_db()
    delivery = decision_of(proposal)
    assert proposal.status == status
    assert (delivery.direction, delivery.state) == (direction, State.NOT_SENT)
    assert strict_json.loads(bytes(delivery.body)) == {"status": direction}
    assert delivery.depends_on == Delivery.objects.of(proposal).get(kind=Delivery.Kind.CREATE_PROPOSAL)
    event = Event.objects.about(proposal).last()
    assert (event.actor, event.before["status"], event.after["status"]) == (boss, "SUBMITTED", status)
    assert event.after["content_hash"] == proposal.content_hash
    decision = proposal.decisions.get()
    assert (decision.by, decision.content_hash) == (boss, proposal.content_hash)


def test_a_decision_that_cannot_be_written_leaves_nothing(monkeypatch):
    """R-22: all of it or none of it."""
    proposal = submitted()

    def fails(*args, **kwargs):
        raise RuntimeError("The disk is full.")

    monkeypatch.setattr("togai.deliveries.queue", fails)
    with pytest.raises(RuntimeError):
        approve(proposal, finance())
    assert nothing_happened(proposal)


def test_a_request_for_changes_is_no_decline():
    """G-26: a third outcome, with notes pinned to lines."""
    proposal, boss = submitted(), finance()
    request_changes(
        proposal,
        boss,
        line_notes=[
            ("fixedFeeRateCards:addon.onboarding", "Onboarding", "At least 700."),
            ("terms", "Terms", ""),
        ],
    )
    proposal.refresh_from_db()
    assert proposal.status == Status.CHANGES_REQUESTED
    assert not Proposal.objects.filter(status=Status.DECLINED).exists()
    assert not Decision.objects.filter(verb=Decision.Verb.DECLINE).exists()
    decision = proposal.decisions.get()
    assert decision.verb == Decision.Verb.REQUEST_CHANGES
    assert [(note.line, note.text) for note in decision.line_notes.all()] == [
        ("fixedFeeRateCards:addon.onboarding", "At least 700.")
    ]
    assert proposal.is_revisable


# --- reasons ---


@pytest.mark.parametrize("verb", [decline, request_changes])
@pytest.mark.parametrize(
    ("why", "field"),
    [
        ({"reason": "No."}, "reason"),
        ({"reason": "   short      "}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason_code": ""}, "reason_code"),
        ({"reason_code": "no-such-code"}, "reason_code"),
        ({"reason_code": "customer-changed-mind"}, "reason_code"),
    ],
)
def test_a_no_says_why(verb, why, field):
    """G-27: a code that is meant for it, and at least ten characters."""
    proposal = submitted()
    with pytest.raises(Invalid) as refused:
        verb(proposal, finance(), **why)
    assert [problem.field for problem in refused.value.problems] == [field]
    assert nothing_happened(proposal)


def test_a_reason_that_is_switched_off_is_not_offered_any_more():
    """G-27: codes are edited by admins."""
    ReasonCode.objects.filter(pk="price-too-low").update(active=False)
    with pytest.raises(Invalid):
        decline(submitted(), finance())


def test_the_database_itself_wants_a_reason():
    """G-27: enforced by a constraint."""
    proposal = submitted()
    for gap in ({"reason": "short"}, {"reason_code": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Decision.objects.create(
                **{
                    "proposal": proposal,
                    "verb": "decline",
                    "by": finance(),
                    "at": NOON,
                    "reason_code_id": "term",
                    "reason": "Long enough, surely.",
                    "content_hash": "x",
                }
                | ({"reason_code_id": None} if "reason_code" in gap else gap)
            )


def test_a_reason_in_use_is_never_deleted_and_a_decision_is_kept():
    """G-27"""
    proposal = submitted()
    decline(proposal, finance())
    with pytest.raises(ProtectedError):
        ReasonCode.objects.get(pk="price-too-low").delete()
    with pytest.raises(AppendOnly):
        proposal.decisions.get().delete()
