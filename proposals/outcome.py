"""What Togai says about a proposal, and what of it changes our own status."""

from audit import services as audit
from proposals import notices
from proposals.models import ApprovalStep, Proposal
from purchases.outcome import DealListener
from togai import subjects
from togai.models import Delivery
from togai.worker import Conflict

Status = Proposal.Status

# What Togai's record may say while ours says so; anything else is drift and is shown, never overwritten
#
EXPECTED = {
    Status.SUBMITTED: {"PROPOSAL_ACTIVE"},
    Status.APPROVED: {"PROPOSAL_ACTIVE", "PROPOSAL_APPROVED", "PENDING", "IN_PROGRESS", "SUCCESS", "FAILURE"},
    Status.DECLINED: {"PROPOSAL_ACTIVE", "PROPOSAL_DECLINED"},
    Status.CHANGES_REQUESTED: {"PROPOSAL_ACTIVE", "PROPOSAL_DECLINED"},
    Status.RECALLED: {"PROPOSAL_ACTIVE", "PROPOSAL_DECLINED"},
    Status.EXPIRED: {"PROPOSAL_EXPIRED"},
}


class ProposalListener(DealListener):
    """Adds to what every deal does: Togai's expiry is ours, and people hear of what went another way."""

    def stuck(self, delivery, *, message, at):
        """Of a decision that met another end at Togai, finance and the owner are told (R-24)."""
        super().stuck(delivery, message=message, at=at)
        if delivery.kind == Delivery.Kind.DECIDE and delivery.last_error == Conflict.__name__:
            notices.contradicted(self.locked(delivery.subject_id), at=at)

    def follow(self, deal, *, at):
        """
        Only Togai says that a proposal there has expired (R-27); what was decided before stays decided. What
        failed after its approval stays approved, and people are told (R-25).
        """
        if deal.togai_status == "PROPOSAL_EXPIRED" and deal.status == Status.SUBMITTED:
            expire_now(deal, at=at)
        if deal.togai_status == "FAILURE" and deal.status == Status.APPROVED:
            notices.failed(deal, at=at)


def expire_now(proposal, *, at):
    """Write down that a submitted proposal is over; the caller holds its lock (G-33)."""
    end_as(proposal, Status.EXPIRED, "expire", by=None, at=at)


def end_as(proposal, status, verb, *, by, at, reason=""):
    """End a waiting proposal without a word to Togai, where it is over already; the caller holds its lock."""
    before, proposal.status = proposal.status, status
    proposal.version += 1
    proposal.updated_at = at
    proposal.save(update_fields=["status", "version", "updated_at"])
    proposal.steps.filter(state=ApprovalStep.State.WAITING).update(state=ApprovalStep.State.ENDED)
    audit.record(
        proposal, verb, by=by, at=at, before={"status": before}, after={"status": status}, reason=reason
    )


def listen():
    """Have the deliveries of proposals reported here."""
    subjects.register(Proposal._meta.label, ProposalListener(Proposal, EXPECTED))
