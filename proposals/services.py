"""
The verbs of a proposal: submit, recall, approve, decline, request changes, expire, revise, clone.

One function each, behind every door: pages, API, admin actions and commands. Each locks, refuses, changes,
records and queues in one transaction; nothing here talks to Togai (reliability.md 2.4).
"""

from django.db import transaction

from audit import services as audit
from audit.refusals import Invalid, NotAllowed, Stale, WrongStatus
from proposals import allowed, notices, policy
from proposals.models import SHORTEST_REASON, ApprovalStep, Decision, LineNote, Proposal, ReasonCode
from proposals.outcome import expire_now
from purchases import drafts, fresh, plan_moves
from purchases import terms as domain
from purchases.services import body_for, refuse_own_work
from togai import deliveries, wire
from togai.models import Delivery

Status = Proposal.Status
Verb = Decision.Verb

# At Togai these are over, so a next revision need not wait for our own DECLINE.
OVER_AT_TOGAI = ("PROPOSAL_DECLINED", "PROPOSAL_EXPIRED")


def create(*, by, at, fields, form_token=None):
    """Draft a proposal; see `drafts.create`."""
    return drafts.create(Proposal, by=by, at=at, fields=fields, sequence="proposal", form_token=form_token)


def edit(*, proposal_id, by, at, fields, version, batch_id=None, reason="", origin=None):
    """Change a draft; see `drafts.edit`."""
    return drafts.edit(
        Proposal,
        pk=proposal_id,
        by=by,
        at=at,
        fields=fields,
        version=version,
        batch_id=batch_id,
        reason=reason,
        origin=origin,
    )


def clone(*, proposal_id, by, at, account=None, form_token=None):
    """Draft another proposal like this revision; see `drafts.clone`."""
    return drafts.clone(
        Proposal, pk=proposal_id, by=by, at=at, sequence="proposal", account=account, form_token=form_token
    )


@transaction.atomic
def submit(*, proposal_id, by, at, version=None, plan_version_seen=None, batch_id=None):
    """
    Freeze a draft, plan who has to approve it, and queue its creation at Togai.

    A draft without a validity gets the default one (P-10).

    :param version: what the person had read; None for bulk and programs that do not care
    :param plan_version_seen: the newer version of its plan whose price the person has seen (G-15)
    :raises NotAllowed: only its owner or creator submits
    :raises WrongStatus: it is not a draft
    :raises Stale: it has moved on since `version`
    :raises Invalid: something is missing or Togai would refuse it
    :raises PlanMoved: its plan has a newer version than the one seen
    """
    proposal = drafts.locked(Proposal, proposal_id)
    if not drafts.is_author(proposal, by):
        raise NotAllowed("Only its owner submits a proposal.")
    _require(proposal, Status.SUBMITTED)
    if version is not None and version != proposal.version:
        raise Stale("Somebody saved this draft after you opened it.")
    if proposal.valid_until is None:
        proposal.valid_until = domain.default_validity(drafts.business_day(at))
    found = drafts.problems(proposal, at=at, complete=True)
    if found:
        raise Invalid(found)
    told = plan_moves.refuse_unseen(proposal, seen=plan_version_seen)
    proposal.content_hash = drafts.content_hash(proposal)
    proposal.submitted_by, proposal.submitted_at = by, at
    _move(proposal, Status.SUBMITTED, "submit", by=by, at=at, batch_id=batch_id, told=told)
    ApprovalStep.objects.bulk_create(
        ApprovalStep(proposal=proposal, order=order, role=stage.role, because=stage.because)
        for order, stage in enumerate(policy.stages(proposal), start=1)
    )
    deliveries.queue(
        kind=Delivery.Kind.CREATE_PROPOSAL,
        subject=proposal,
        revision=proposal.revision,
        account_id=proposal.account.togai_id,
        body_for=body_for(proposal, wire.CreateProposal),
        by=by,
        at=at,
        depends_on=_decline_of(proposal.previous),
    )
    return proposal


@transaction.atomic
def approve(*, proposal_id, by, at, content_hash, signed_in_at=None, batch_id=None):
    """
    Give the next yes that a submitted proposal waits for; the last one approves it and queues APPROVE.

    :param content_hash: of the content that the person read (R-23)
    :param signed_in_at: when they last typed their password; None for never (R-22)
    :raises NotAllowed: no role whose yes counts here
    :raises OwnWork: they created, edited or submitted this chain of revisions (G-22)
    :raises WrongStatus: it does not wait for a decision, its validity has passed, or Togai refused it
    :raises Stale: its content is not what the person read
    :raises SignInAgain: so much hangs on it that the sign-in is too old (P-21)
    """
    proposal = _decidable(proposal_id, by=by, at=at, content_hash=content_hash, status=Status.APPROVED)
    if drafts.business_day(at) > proposal.valid_until:
        raise WrongStatus(f"Its validity ended on {proposal.valid_until:%-d %B %Y}; it can only be revised.")
    if proposal.is_declined_at_togai:
        raise WrongStatus("It was declined in Togai's own console; decline it here too, or revise it.")
    step = _next_step(proposal, by)
    fresh.refuse_without(proposal, signed_in_at=signed_in_at, at=at)
    step.state = ApprovalStep.State.APPROVED
    step.save(update_fields=["state"])
    _decide(proposal, Verb.APPROVE, by=by, at=at, step=step)
    if proposal.steps.filter(state=ApprovalStep.State.WAITING).exists():
        audit.record(
            proposal, "approve_step", by=by, at=at, after={"step": str(step.role)}, batch_id=batch_id
        )
        return proposal
    proposal.decided_by, proposal.decided_at = by, at
    _move(proposal, Status.APPROVED, "approve", by=by, at=at, batch_id=batch_id)
    _queue_decision(proposal, "APPROVE", by=by, at=at)
    return proposal


@transaction.atomic
def decline(*, proposal_id, by, at, content_hash, reason_code, reason, line_notes=(), batch_id=None):
    """
    Refuse a submitted proposal for good and queue DECLINE; a reason code and text are required (G-27).

    :param line_notes: (line, label, text) triples pinned to lines of the terms
    :raises Invalid: no usable reason; otherwise as `approve`
    """
    return _say_no(
        Status.DECLINED,
        Verb.DECLINE,
        proposal_id=proposal_id,
        by=by,
        at=at,
        content_hash=content_hash,
        reason=_reason("for_decline", reason_code, reason),
        line_notes=line_notes,
        batch_id=batch_id,
    )


@transaction.atomic
def request_changes(*, proposal_id, by, at, content_hash, reason_code, reason, line_notes=(), batch_id=None):
    """
    Give a submitted proposal back to its author with notes: not a decline (G-26), though Togai hears DECLINE.

    :param line_notes: (line, label, text) triples pinned to lines of the terms
    :raises Invalid: no usable reason; otherwise as `approve`
    """
    return _say_no(
        Status.CHANGES_REQUESTED,
        Verb.REQUEST_CHANGES,
        proposal_id=proposal_id,
        by=by,
        at=at,
        content_hash=content_hash,
        reason=_reason("for_changes", reason_code, reason),
        line_notes=line_notes,
        batch_id=batch_id,
    )


@transaction.atomic
def recall(*, proposal_id, by, at, reason_code, reason, batch_id=None):
    """
    Take a proposal back before it is decided and queue DECLINE (P-13).

    :raises NotAllowed: neither owner, creator, submitter, their manager nor an administrator
    :raises WrongStatus: it does not wait for a decision
    :raises Invalid: no usable reason
    """
    proposal = drafts.locked(Proposal, proposal_id)
    if not drafts.may_recall(proposal, by):
        raise NotAllowed("Only its owner or their manager recalls a proposal.")
    _require(proposal, Status.RECALLED)
    code, reason = _reason("for_recall", reason_code, reason)
    notices.recalled(proposal, by=by, at=at)
    _decide(proposal, Verb.RECALL, by=by, at=at, code=code, reason=reason)
    _end_steps(proposal)
    _move(proposal, Status.RECALLED, "recall", by=by, at=at, code=code, reason=reason, batch_id=batch_id)
    _queue_decision(proposal, "DECLINE", by=by, at=at)
    return proposal


@transaction.atomic
def revise(*, proposal_id, by, at):
    """
    Open the next revision of a proposal that ended without approval, or that Togai refused, as a draft.

    Commercial fields are copied; approvals, dates of decisions, Togai's side and the key are not.

    :returns: the new draft; the old revision stays readable
    :raises NotAllowed: neither owner, creator nor administrator
    :raises WrongStatus: it still waits, was approved, or has a newer revision already
    """
    old = drafts.locked(Proposal, proposal_id)
    if not drafts.may_edit(old, by):
        raise NotAllowed("Only its owner revises a proposal.")
    if not old.is_revisable:
        raise WrongStatus(f"This revision is {old.get_status_display().lower()} and cannot be revised.")
    if old.status == Status.SUBMITTED:
        # Togai refused the create, so nobody can decide it; it ends here without a word to Togai.
        _end_steps(old)
        _move(old, Status.RECALLED, "recall", by=by, at=at, reason=f"Togai refused it: {old.togai_refusal}")
    old.is_live = False
    old.save(update_fields=["is_live"])
    copied = {name: getattr(old, name) for name in drafts.fields_of(Proposal)}
    day = drafts.business_day(at)
    if old.valid_until and old.valid_until <= day:
        copied["valid_until"] = None
    new = Proposal(
        **copied,
        number=old.number,
        revision=old.revision + 1,
        previous=old,
        owner=old.owner,
        created_by=old.created_by,
        last_edited_by=by,
        created_at=at,
        updated_at=at,
        currency=old.currency,
        estimate=old.estimate,
        estimate_per=old.estimate_per,
        list_price=old.list_price,
    )
    new.content_hash = drafts.content_hash(new)
    new.save(force_insert=True)
    new.editors.add(*old.editors.values_list("pk", flat=True), by.pk)
    audit.record(old, "supersede", by=by, at=at, after={"next": new.revision})
    audit.record(new, "revise", by=by, at=at, after=drafts.plain(new) | {"version": new.version})
    return new


@transaction.atomic
def expire(*, proposal_id, at):
    """
    End a submitted proposal whose validity has passed and that Togai provably never received (G-32, R-27).

    Where Togai holds it, Togai's own word ends it (`proposals.outcome`). Safe to repeat.

    :returns: whether it was ended
    """
    proposal = drafts.locked(Proposal, proposal_id)
    if proposal.status != Status.SUBMITTED or drafts.business_day(at) <= proposal.valid_until:
        return False
    if not deliveries.withdraw_unsent(proposal, at=at, why="Its validity passed before it could be sent."):
        return False
    expire_now(proposal, at=at)
    return True


def _require(proposal, status):
    if not proposal.can_become(status):
        raise allowed.wrong_status(proposal)


def _decidable(proposal_id, *, by, at, content_hash, status):
    # Read again under a lock: two approvers may press the button at once.
    proposal = drafts.locked(Proposal, proposal_id)
    refuse_own_work(proposal, by)
    _require(proposal, status)
    if proposal.togai_refusal:
        raise WrongStatus("Togai refused this proposal; its author has to revise it.")
    if content_hash != proposal.content_hash:
        raise Stale("This proposal is not what you read; look at it again.")
    return proposal


def _next_step(proposal, by):
    step = proposal.steps.filter(state=ApprovalStep.State.WAITING).order_by("order").first()
    if step is None:
        raise WrongStatus("Nothing is left to approve here.")
    if not policy.may_take(step, by):
        raise NotAllowed(f"It waits for {step.get_role_display()}.")
    return step


def _say_no(status, verb, *, proposal_id, by, at, content_hash, reason, line_notes, batch_id):
    code, text = reason
    proposal = _decidable(proposal_id, by=by, at=at, content_hash=content_hash, status=status)
    step = _next_step(proposal, by)
    decision = _decide(proposal, verb, by=by, at=at, step=step, code=code, reason=text)
    LineNote.objects.bulk_create(
        LineNote(decision=decision, line=line, label=label, text=note)
        for line, label, note in line_notes
        if note
    )
    _end_steps(proposal)
    proposal.decided_by, proposal.decided_at = by, at
    _move(proposal, status, verb.value, by=by, at=at, code=code, reason=text, batch_id=batch_id)
    _queue_decision(proposal, "DECLINE", by=by, at=at)
    return proposal


def _reason(purpose, code, text):
    """The `ReasonCode` and the stripped text, or Invalid at the field that lacks."""
    problems = []
    found = ReasonCode.objects.filter(pk=code or "", active=True, **{purpose: True}).first()
    if found is None:
        problems.append(domain.Problem("reason_code", "Choose a reason from the list."))
    text = (text or "").strip()
    if len(text) < SHORTEST_REASON:
        problems.append(domain.Problem("reason", f"Say why in at least {SHORTEST_REASON} characters."))
    if problems:
        raise Invalid(problems)
    return found, text


def _decide(proposal, verb, *, by, at, step=None, code=None, reason=""):
    return Decision.objects.create(
        proposal=proposal,
        step=step,
        verb=verb,
        by=by,
        at=at,
        reason_code=code,
        reason=reason,
        content_hash=proposal.content_hash,
    )


def _end_steps(proposal):
    proposal.steps.filter(state=ApprovalStep.State.WAITING).update(state=ApprovalStep.State.ENDED)


def _queue_decision(proposal, direction, *, by, at):
    """
    Queue our decision behind the create it decides; a create that Togai refused leaves nothing to decide, and
    one that is held and never left is taken back instead.
    """
    creates = Delivery.objects.of(proposal).filter(kind=Delivery.Kind.CREATE_PROPOSAL)
    create = creates.filter(revision=proposal.revision).order_by("generation").last()
    if direction == "DECLINE" and create.state == Delivery.State.HELD:
        deliveries.withdraw_unsent(proposal, at=at, why="It was held, and is not wanted any more.")
        create.refresh_from_db()
    if create.state == Delivery.State.REJECTED:
        return
    deliveries.queue(
        kind=Delivery.Kind.DECIDE,
        subject=proposal,
        revision=proposal.revision,
        account_id=create.account_id,
        body_for=lambda key: wire.to_bytes(wire.UpdateProposalStatus(status=direction)),
        by=by,
        at=at,
        depends_on=create,
        direction=direction,
    )


def _decline_of(previous):
    """
    The delivery that ends the revision before at Togai, while it is not over there: the next one follows
    it.
    """
    if previous is None or previous.togai_status in OVER_AT_TOGAI:
        return None
    declines = Delivery.objects.of(previous).filter(kind=Delivery.Kind.DECIDE)
    decline = declines.order_by("generation").last()
    return None if decline is None or decline.state == Delivery.State.REJECTED else decline


def _move(proposal, status, verb, *, by, at, code=None, reason="", batch_id=None, told=None):
    before = proposal.status
    proposal.status = status
    proposal.version += 1
    proposal.updated_at = at
    proposal.save()
    audit.record(
        proposal,
        verb,
        by=by,
        at=at,
        before={"status": before},
        after={"status": status, "version": proposal.version, "content_hash": proposal.content_hash}
        | (told or {}),
        reason=reason,
        reason_code=code.pk if code else "",
        batch_id=batch_id,
    )


def expire_due(*, at):
    """Expire everything that is past its validity; returns how many were ended. Safe to repeat."""
    today = drafts.business_day(at)
    due = Proposal.objects.filter(status=Status.SUBMITTED, valid_until__lt=today).values_list("pk", flat=True)
    return sum(expire(proposal_id=pk, at=at) for pk in due[:500])
