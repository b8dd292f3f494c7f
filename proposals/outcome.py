"""What Togai says about a proposal, and what of it changes our own status."""

from audit import services as audit
from proposals.models import ApprovalStep, Proposal
from purchases.outcome import DealListener
from togai import subjects

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
    """Adds to what every deal does: Togai's expiry is ours, and a contradiction is shown."""

    def confirmed(self, delivery, remote, *, at):
        super().confirmed(delivery, remote, at=at)
        self._compare(delivery.subject_id, at=at)

    def seen(self, subject_id, remote, *, at):
        super().seen(subject_id, remote, at=at)
        self._compare(subject_id, at=at)

    def _compare(self, subject_id, *, at):
        proposal = self.locked(subject_id)
        if proposal.togai_status == "PROPOSAL_EXPIRED" and proposal.status == Status.SUBMITTED:
            expire_now(proposal, at=at)
        problem = ""
        if proposal.togai_status not in EXPECTED.get(proposal.status, {proposal.togai_status}):
            said = proposal.togai_status.removeprefix("PROPOSAL_").replace("_", " ").lower()
            problem = f"Here it is {proposal.get_status_display().lower()}, at Togai it is {said}."
        if problem != proposal.togai_problem:
            proposal.togai_problem = problem
            proposal.save(update_fields=["togai_problem"])
            if problem:
                audit.record(proposal, "drift", by=None, at=at, after={"message": problem})


def expire_now(proposal, *, at):
    """Write down that a submitted proposal is over; the caller holds its lock (G-33)."""
    before, proposal.status = proposal.status, Status.EXPIRED
    proposal.version += 1
    proposal.updated_at = at
    proposal.save(update_fields=["status", "version", "updated_at"])
    proposal.steps.filter(state=ApprovalStep.State.WAITING).update(state=ApprovalStep.State.ENDED)
    audit.record(
        proposal, "expire", by=None, at=at, before={"status": before}, after={"status": Status.EXPIRED}
    )


def listen():
    """Have the deliveries of proposals reported here."""
    subjects.register(Proposal._meta.label, ProposalListener(Proposal))
