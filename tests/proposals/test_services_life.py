"""A proposal's way besides its decision: submit, recall, revise, expire, and every other move refused."""

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import Team
from audit.models import Event
from audit.refusals import Invalid, NotAllowed, Refusal, Stale, WrongStatus
from audit.roles import Role
from proposals import services
from proposals.models import ApprovalStep, Decision, Proposal
from purchases import drafts
from tests.factories import NOON, administrator, draft, finance, person, rep, submitted
from togai import strict_json
from togai.models import Delivery

pytestmark = pytest.mark.django_db

Status, State, Kind = Proposal.Status, Delivery.State, Delivery.Kind
WHY = {"reason_code": "other", "reason": "The customer asked us to wait."}
LATER = NOON + timedelta(hours=1)


def approve(proposal, by=None, at=LATER):
    return services.approve(
        proposal_id=proposal.pk, by=by or finance(), at=at, content_hash=proposal.content_hash
    )


def decline(proposal, by=None, at=LATER):
    return services.decline(
        proposal_id=proposal.pk, by=by or finance(), at=at, content_hash=proposal.content_hash, **WHY
    )


def request_changes(proposal, by=None, at=LATER):
    return services.request_changes(
        proposal_id=proposal.pk, by=by or finance(), at=at, content_hash=proposal.content_hash, **WHY
    )


def recall(proposal, by=None, at=LATER, **why):
    return services.recall(proposal_id=proposal.pk, by=by or proposal.owner, at=at, **(WHY | why))


def expire(proposal):
    """Past its validity, and Togai never heard of it."""
    at = proposal.expires_at + timedelta(seconds=1)
    assert services.expire(proposal_id=proposal.pk, at=at)


def sent_on(proposal, kind, state):
    Delivery.objects.of(proposal).filter(kind=kind).update(state=state)


def last_event(proposal):
    return Event.objects.about(proposal).last()


def _expired():
    proposal = submitted()
    expire(proposal)
    proposal.refresh_from_db()
    return proposal


# Every status, and how a proposal gets there.
REACHED = {
    Status.DRAFT: draft,
    Status.SUBMITTED: submitted,
    Status.APPROVED: lambda: approve(submitted()),
    Status.DECLINED: lambda: decline(submitted()),
    Status.CHANGES_REQUESTED: lambda: request_changes(submitted()),
    Status.RECALLED: lambda: recall(submitted()),
    Status.EXPIRED: _expired,
}


# --- submit ---


def test_submitting_freezes_plans_and_queues():
    author = rep()
    proposal = draft(by=author)
    done = services.submit(proposal_id=proposal.pk, by=author, at=NOON)
    assert (done.status, done.submitted_by, done.submitted_at) == (Status.SUBMITTED, author, NOON)
    assert done.content_hash == drafts.content_hash(done)
    step = done.steps.get()
    assert (step.role, step.state) == (Role.FINANCE.value, ApprovalStep.State.WAITING)
    create = Delivery.objects.of(done).get()
    assert (create.kind, create.state, create.revision) == (Kind.CREATE_PROPOSAL, State.NOT_SENT, 1)
    assert strict_json.loads(bytes(create.body))["idempotencyKey"] == create.idempotency_key
    assert last_event(done).verb == "submit"


def test_a_draft_without_a_validity_gets_thirty_days():
    """P-10"""
    done = submitted(valid_until=None)
    assert done.valid_until == drafts.business_day(NOON) + timedelta(days=30)


@pytest.mark.parametrize("role", [Role.FINANCE, Role.ADMINISTRATOR, Role.MANAGER, Role.AUDITOR])
def test_only_its_owner_or_creator_submits(role):
    proposal = draft()
    with pytest.raises(NotAllowed):
        services.submit(proposal_id=proposal.pk, by=person(role), at=NOON)
    assert not Delivery.objects.exists()


def test_what_is_missing_is_said_at_its_field_and_nothing_is_queued():
    author = rep()
    proposal = draft(by=author, quantity=None, payment_mode=None)
    with pytest.raises(Invalid) as refused:
        services.submit(proposal_id=proposal.pk, by=author, at=NOON)
    assert {problem.field for problem in refused.value.problems} == {"quantity", "payment_mode"}
    proposal.refresh_from_db()
    assert (proposal.status, Delivery.objects.count()) == (Status.DRAFT, 0)


def test_a_draft_that_moved_on_is_not_submitted_unread():
    proposal = draft()
    services.edit(
        proposal_id=proposal.pk, by=proposal.owner, at=NOON, version=proposal.version, fields={"quantity": 9}
    )
    with pytest.raises(Stale):
        services.submit(proposal_id=proposal.pk, by=proposal.owner, at=NOON, version=proposal.version)


# --- recall ---


def test_a_recall_ends_the_steps_and_tells_togai():
    """G-25: undecided, by its submitter, with the decline for Togai queued."""
    proposal = submitted()
    recall(proposal)
    proposal.refresh_from_db()
    assert (proposal.status, proposal.decided_by) == (Status.RECALLED, None)
    assert [step.state for step in proposal.steps.all()] == [ApprovalStep.State.ENDED]
    decline_at_togai = Delivery.objects.of(proposal).get(kind=Kind.DECIDE)
    assert decline_at_togai.direction == "DECLINE"
    assert proposal.decisions.get().verb == Decision.Verb.RECALL
    with pytest.raises(WrongStatus):
        approve(proposal)


def test_what_togai_refused_is_recalled_without_a_word_to_it():
    """G-25: a decline is queued only where something exists."""
    proposal = submitted()
    sent_on(proposal, Kind.CREATE_PROPOSAL, State.REJECTED)
    recall(proposal)
    assert not Delivery.objects.of(proposal).filter(kind=Kind.DECIDE).exists()


def test_what_is_held_and_never_left_is_taken_back_when_it_is_recalled():
    """G-25, G-47: nobody at Togai hears of what its rep no longer means; the next revision may go."""
    proposal = submitted()
    sent_on(proposal, Kind.CREATE_PROPOSAL, State.HELD)
    recall(proposal)
    create = Delivery.objects.of(proposal).get()
    assert (create.state, create.is_withdrawn) == (State.REJECTED, True)


def test_what_is_held_after_a_send_in_doubt_is_not_taken_back():
    """R-05: Togai may hold it, so its decline follows it."""
    proposal = submitted()
    Delivery.objects.of(proposal).update(state=State.HELD, ambiguous_attempts=1, sends=1)
    recall(proposal)
    assert Delivery.objects.of(proposal).filter(kind=Kind.DECIDE, state=State.NOT_SENT).exists()


def test_a_manager_recalls_for_their_team_and_an_administrator_for_anybody():
    author, boss = rep(), person(Role.MANAGER)
    team = Team.objects.create(name="North")
    team.members.add(author)
    team.managers.add(boss)
    recall(submitted(by=author), by=boss)
    recall(submitted(by=author), by=administrator())


@pytest.mark.parametrize("role", [Role.REP, Role.MANAGER, Role.FINANCE, Role.CFO, Role.AUDITOR])
def test_others_do_not_recall(role):
    proposal = submitted()
    with pytest.raises(NotAllowed):
        recall(proposal, by=person(role))
    proposal.refresh_from_db()
    assert proposal.status == Status.SUBMITTED


@pytest.mark.parametrize("why", [{"reason": "changed"}, {"reason_code": "price-too-low"}])
def test_a_recall_says_why(why):
    """G-27: with a code that is meant for recalls."""
    proposal = submitted()
    with pytest.raises(Invalid):
        recall(proposal, **why)
    assert not proposal.decisions.exists()


# --- revise ---


@pytest.mark.parametrize("status", Proposal.REVISABLE)
def test_what_ended_without_a_yes_is_revised(status):
    """G-35: the next number of the same deal; the old one stays as it was."""
    old = REACHED[status]()
    old.refresh_from_db()
    new = services.revise(proposal_id=old.pk, by=old.owner, at=LATER)
    before = {name: getattr(old, name) for name in ("status", "content_hash", "quantity", "decided_by_id")}
    old.refresh_from_db()
    assert {name: getattr(old, name) for name in before} == before
    assert (new.number, new.revision, new.previous, new.status) == (old.number, 2, old, Status.DRAFT)
    assert (old.is_live, new.is_live) == (False, True)
    assert (str(old), str(new)) == (f"{old.reference} r1", f"{old.reference} r2")
    assert (new.quantity, new.price_plan, new.account) == (old.quantity, old.price_plan, old.account)
    assert (new.submitted_by, new.decided_by, new.togai_id) == (None, None, "")
    assert new.steps.count() == 0


@pytest.mark.parametrize("status", [Status.DRAFT, Status.SUBMITTED, Status.APPROVED])
def test_what_is_open_or_approved_is_not_revised(status):
    proposal = REACHED[status]()
    with pytest.raises(WrongStatus):
        services.revise(proposal_id=proposal.pk, by=proposal.owner, at=LATER)
    assert Proposal.objects.count() == 1


def test_a_revision_is_followed_once():
    """G-35: exactly one live revision, in the service and by a unique index."""
    old = decline(submitted())
    services.revise(proposal_id=old.pk, by=old.owner, at=LATER)
    with pytest.raises(WrongStatus):
        services.revise(proposal_id=old.pk, by=old.owner, at=LATER)
    with pytest.raises(IntegrityError), transaction.atomic():
        Proposal.objects.filter(pk=old.pk).update(is_live=True)
    assert Proposal.objects.live().count() == 1


def test_a_refused_create_is_revised_and_the_refused_one_ends_here():
    """R-14: a new revision, a new delivery and a new key."""
    old = submitted()
    sent_on(old, Kind.CREATE_PROPOSAL, State.REJECTED)
    Proposal.objects.filter(pk=old.pk).update(togai_refusal="quantity: too many")
    new = services.revise(proposal_id=old.pk, by=old.owner, at=LATER)
    old.refresh_from_db()
    assert old.status == Status.RECALLED
    assert not Delivery.objects.of(old).filter(kind=Kind.DECIDE).exists()
    services.submit(proposal_id=new.pk, by=old.owner, at=LATER)
    keys = [Delivery.objects.of(one).get().idempotency_key for one in (old, new)]
    assert keys[0] != keys[1]


def test_the_next_create_waits_for_the_decline_of_the_one_before():
    """R-14: never two open proposals of one deal at Togai."""
    old = decline(submitted())
    new = services.revise(proposal_id=old.pk, by=old.owner, at=LATER)
    services.submit(proposal_id=new.pk, by=old.owner, at=LATER)
    create = Delivery.objects.of(new).get()
    assert create.depends_on == Delivery.objects.of(old).get(kind=Kind.DECIDE)


def test_a_validity_that_is_over_is_not_carried_on():
    old = _expired()
    new = services.revise(proposal_id=old.pk, by=old.owner, at=old.expires_at + timedelta(days=1))
    assert new.valid_until is None


# --- expire ---

# Valid until 10 February in Berlin (UTC+1 in winter).
LAST_DAY = datetime(2030, 2, 10, 12, 0, tzinfo=UTC)
LAST_SECOND = datetime(2030, 2, 10, 22, 59, 59, tzinfo=UTC)


def test_the_last_day_counts_to_its_last_second_in_the_business_zone():
    """G-32: usable through 23:59:59 in the zone of the office; after it only a revision."""
    assert str(settings.BUSINESS_TIME_ZONE) == "Europe/Berlin"
    in_time = submitted(valid_until=LAST_DAY.date())
    assert in_time.expires_at == LAST_SECOND
    late = submitted(valid_until=LAST_DAY.date())
    approve(in_time, at=LAST_SECOND)
    with pytest.raises(WrongStatus, match="10 February 2030"):
        approve(late, at=LAST_SECOND + timedelta(seconds=1))
    late.refresh_from_db()
    assert (late.status, late.decisions.count()) == (Status.SUBMITTED, 0)


def test_what_is_over_can_still_be_declined_or_recalled():
    """R-27: the local clock only keeps from approving."""
    after = LAST_SECOND + timedelta(hours=1)
    decline(submitted(valid_until=LAST_DAY.date()), at=after)
    recall(submitted(valid_until=LAST_DAY.date()), at=after)


def test_a_decision_made_in_time_is_still_sent_after_it():
    """G-32, R-27"""
    proposal = submitted(valid_until=LAST_DAY.date())
    approve(proposal, at=LAST_SECOND)
    assert not services.expire(proposal_id=proposal.pk, at=LAST_SECOND + timedelta(days=2))
    proposal.refresh_from_db()
    assert proposal.status == Status.APPROVED
    assert Delivery.objects.of(proposal).get(kind=Kind.DECIDE).state == State.NOT_SENT


def test_what_togai_never_heard_of_expires_here():
    """G-32: and its create is taken back, so nothing appears there later."""
    proposal = submitted(valid_until=LAST_DAY.date())
    at = LAST_SECOND + timedelta(seconds=1)
    assert not services.expire(proposal_id=proposal.pk, at=LAST_SECOND)
    assert services.expire(proposal_id=proposal.pk, at=at)
    proposal.refresh_from_db()
    assert proposal.status == Status.EXPIRED
    assert Delivery.objects.of(proposal).get().state == State.REJECTED
    assert not proposal.steps.filter(state=ApprovalStep.State.WAITING).exists()
    services.revise(proposal_id=proposal.pk, by=proposal.owner, at=at)


@pytest.mark.parametrize("state", [State.SENDING, State.UNKNOWN, State.CONFIRMED, State.NEEDS_HUMAN])
def test_what_togai_may_have_expires_only_there(state):
    """G-32, R-27: only Togai says expired."""
    proposal = submitted(valid_until=LAST_DAY.date())
    claimed = {"claim_token": proposal.owner.pk and "0" * 32, "claim_until": NOON, "sends": 1}
    Delivery.objects.of(proposal).update(state=state, **claimed)
    assert not services.expire(proposal_id=proposal.pk, at=LAST_SECOND + timedelta(days=1))
    proposal.refresh_from_db()
    assert proposal.status == Status.SUBMITTED


@pytest.mark.parametrize("status", [one for one in Status if one != Status.SUBMITTED])
def test_expiry_never_overwrites_a_final_state(status):
    """G-33: each state × the expiry job, twice; it changes nothing and says so."""
    proposal = REACHED[status]()
    proposal.refresh_from_db()
    before = proposal.version, Event.objects.count()
    long_after = NOON + timedelta(days=400)
    assert not services.expire(proposal_id=proposal.pk, at=long_after)
    assert services.expire_due(at=long_after) == 0
    proposal.refresh_from_db()
    assert (proposal.status, proposal.version, Event.objects.count()) == (status, *before)


def test_the_expiry_job_ends_what_is_due_once():
    """G-33: idempotent."""
    due = [submitted(valid_until=LAST_DAY.date()) for _ in range(3)]
    submitted(valid_until=LAST_DAY.date() + timedelta(days=1))
    at = LAST_SECOND + timedelta(minutes=1)
    assert services.expire_due(at=at) == 3
    assert services.expire_due(at=at) == 0
    assert {one.status for one in Proposal.objects.filter(pk__in=[one.pk for one in due])} == {Status.EXPIRED}


# --- the one table of moves ---

VERBS = {
    "submit": (lambda proposal: services.submit(proposal_id=proposal.pk, by=proposal.owner, at=LATER)),
    "approve": approve,
    "decline": decline,
    "request_changes": request_changes,
    "recall": recall,
}
LEADS_TO = {
    "submit": Status.SUBMITTED,
    "approve": Status.APPROVED,
    "decline": Status.DECLINED,
    "request_changes": Status.CHANGES_REQUESTED,
    "recall": Status.RECALLED,
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("status", Status)
def test_only_the_moves_of_the_table_are_made(status, verb):
    """G-34: one table of transitions; everything else raises and changes nothing."""
    proposal = REACHED[status]()
    proposal.refresh_from_db()
    version = proposal.version
    if proposal.can_become(LEADS_TO[verb]):
        VERBS[verb](proposal)
        proposal.refresh_from_db()
        assert proposal.status == LEADS_TO[verb]
    else:
        with pytest.raises(WrongStatus):
            VERBS[verb](proposal)
        proposal.refresh_from_db()
        assert (proposal.status, proposal.version) == (status, version)


@pytest.mark.parametrize("status", Status)
def test_only_a_draft_is_edited(status):
    """G-34"""
    proposal = REACHED[status]()
    proposal.refresh_from_db()
    change = {
        "proposal_id": proposal.pk,
        "by": proposal.owner,
        "at": LATER,
        "version": proposal.version,
        "fields": {"quantity": 7},
    }
    if status == Status.DRAFT:
        services.edit(**change)
    else:
        with pytest.raises(Refusal):
            services.edit(**change)
        proposal.refresh_from_db()
        assert proposal.quantity == 2


def test_the_database_knows_the_states():
    """G-34: a check constraint."""
    proposal = submitted()
    with pytest.raises(IntegrityError), transaction.atomic():
        Proposal.objects.filter(pk=proposal.pk).update(status="HALF_APPROVED")
