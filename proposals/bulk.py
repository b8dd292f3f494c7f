"""What may be done to many proposals at once: a payment mode for drafts, submitting, deciding."""

from copy import copy

from audit.refusals import NotAllowed, WrongStatus
from proposals import allowed, policy, services
from proposals.models import ApprovalStep, Proposal
from purchases import bulk, drafts, fresh
from purchases import terms as domain

Status = Proposal.Status


class SetPaymentMode(bulk.EditDrafts):
    """Answers: `payment_mode`."""

    title = "Set payment mode"
    field = "payment_mode"

    def words(self, row):
        return row.get_payment_mode_display() or "not set"


class Submit(bulk.Submit):
    """Send many drafts to finance and to Togai."""

    def complete(self, row, at):
        if row.valid_until is not None:
            return row
        then = copy(row)
        then.valid_until = domain.default_validity(drafts.business_day(at))
        return then

    def apply(self, row, *, by, at, batch_id):
        services.submit(proposal_id=row.pk, by=by, at=at, version=row.version, batch_id=batch_id)


class ProposalDecision(bulk.Decision):
    """The next yes, or the no, of many proposals."""

    def load(self, keys, *, by):
        """The proposals with the steps that still wait, as `.waiting`, in their order."""
        deals = super().load(keys, by=by)
        waiting = ApprovalStep.objects.filter(proposal__in=keys, state=ApprovalStep.State.WAITING)
        steps = {}
        for step in waiting.order_by("order"):
            steps.setdefault(step.proposal_id, []).append(step)
        for deal in deals:
            deal.waiting = steps.get(deal.pk, [])
        return deals

    def judge(self, row, by):
        super().judge(row, by)
        if row.togai_refusal:
            raise WrongStatus("Togai refused it; its author has to revise it.")
        if not row.waiting:
            raise WrongStatus("Nothing is left to approve here.")
        if not policy.may_take(row.waiting[0], by):
            raise NotAllowed(f"It waits for {row.waiting[0].get_role_display()}.")


class Approve(ProposalDecision):
    """Give the yes that each of them waits for; the last one is final."""

    title = "Approve"
    needs_sign_in = True

    def effect(self, row, *, by, at, signed_in_at=None):
        self.judge(row, by)
        over = allowed.over(row, at=at)
        if over:
            raise WrongStatus(over)
        fresh.refuse_without(row, signed_in_at=signed_in_at, at=at)
        if len(row.waiting) > 1:
            return row.get_status_display(), f"waits for {row.waiting[1].get_role_display()}"
        return row.get_status_display(), Status.APPROVED.label

    def apply(self, row, *, by, at, batch_id, signed_in_at=None):
        services.approve(
            proposal_id=row.pk,
            by=by,
            at=at,
            content_hash=row.content_hash,
            signed_in_at=signed_in_at,
            batch_id=batch_id,
        )


class Decline(ProposalDecision):
    """Refuse them for good; answers: `reason_code` and `reason` (G-27)."""

    title = "Decline"

    def effect(self, row, *, by, at, reason_code, reason):
        self.judge(row, by)
        return row.get_status_display(), Status.DECLINED.label

    def apply(self, row, *, by, at, batch_id, reason_code, reason):
        services.decline(
            proposal_id=row.pk,
            by=by,
            at=at,
            content_hash=row.content_hash,
            reason_code=reason_code.pk,
            reason=reason,
            batch_id=batch_id,
        )
