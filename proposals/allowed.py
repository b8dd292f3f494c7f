"""
Which verbs a person is offered on a proposal now, and in words why not.

An offer decides nothing: the services refuse by themselves, whatever a page showed.
"""

from dataclasses import dataclass

from audit.refusals import NotAllowed, WrongStatus
from audit.roles import DECIDES, DRAFTS, Role, has_role
from proposals import policy
from proposals.models import ApprovalStep, Proposal
from purchases import drafts
from purchases.services import refuse_own_work
from togai.models import Delivery

Status = Proposal.Status


@dataclass(frozen=True)
class Offers:
    """
    What one person may do with one proposal at one moment.

    :ivar verbs: names of the verbs, as in the addresses
    :ivar why_not: what keeps a decider from deciding, in words; "" when nothing does or they are none
    """

    verbs: frozenset
    why_not: str = ""

    def __contains__(self, verb):
        return verb in self.verbs

    @property
    def decides(self):
        """Whether any of the three answers is theirs to give."""
        return not self.verbs.isdisjoint({"approve", "decline", "request_changes"})


NOTHING = Offers(frozenset())


def offers(proposal, user, *, steps, at):
    """
    The verbs that a page offers.

    :param steps: the approval steps of the proposal, loaded, in their order
    """
    if not proposal.is_live:
        return NOTHING
    verbs = {"clone"} if has_role(user, *DRAFTS) else set()
    if proposal.type and has_role(user, Role.ADMINISTRATOR):
        verbs.add("save_as_template")
    if proposal.is_revisable and drafts.may_edit(proposal, user):
        verbs.add("revise")
    if proposal.is_draft:
        if drafts.may_edit(proposal, user):
            verbs.add("edit")
        if drafts.is_author(proposal, user):
            verbs.add("submit")
    if not proposal.is_waiting:
        return Offers(frozenset(verbs))
    if drafts.may_recall(proposal, user):
        verbs.add("recall")
    why_not = ""
    if has_role(user, *DECIDES):
        why_not = keeps_from_deciding(proposal, user, steps=steps)
        if not why_not:
            verbs |= {"decline", "request_changes"}
            why_not = over(proposal, at=at)
            if not why_not:
                verbs.add("approve")
    return Offers(frozenset(verbs), why_not)


def keeps_from_deciding(proposal, user, *, steps):
    """Why somebody with a deciding role cannot decide this waiting proposal; "" when they can."""
    try:
        refuse_own_work(proposal, user)
    except NotAllowed as refusal:
        return str(refusal)
    if proposal.togai_refusal:
        return "Togai refused it; its author has to revise it."
    step = next((step for step in steps if step.state == ApprovalStep.State.WAITING), None)
    if step is not None and not policy.may_take(step, user):
        return f"It waits for {step.get_role_display()} first."
    return ""


def over(proposal, *, at):
    """Why a proposal can no longer be approved, though it can be declined (G-32, R-24); "" while it can."""
    if drafts.business_day(at) > proposal.valid_until:
        return f"Its validity ended on {proposal.valid_until:%-d %b %Y}: it can only be revised."
    if proposal.is_declined_at_togai:
        return "It was declined in Togai's own console: it can only be declined here too."
    return ""


def wrong_status(proposal):
    """The refusal of a verb that comes too late, or too early: what the proposal is now (R-26)."""
    said = proposal.get_status_display().lower()
    decisions = Delivery.objects.of(proposal).filter(kind=Delivery.Kind.DECIDE)
    if decisions.filter(state=Delivery.State.UNKNOWN).exists():
        # Togai may have it: another decision now could leave both applied.
        return WrongStatus(
            f"This proposal is {said}. Whether Togai has that is being verified; nobody can change it."
        )
    return WrongStatus(f"This proposal is {said}.")


def refuse_early(verb, proposal, user):
    """
    Refuse to ask the questions of a verb that would be refused anyway; POST meets the service itself.

    :raises NotAllowed: the person's roles or their own work forbid it
    :raises WrongStatus: the proposal is not in a state for it
    """
    if verb == "submit":
        if not drafts.is_author(proposal, user):
            raise NotAllowed("Only its owner submits a proposal.")
        wanted = Status.SUBMITTED
    elif verb == "recall":
        if not drafts.may_recall(proposal, user):
            raise NotAllowed("Only its owner or their manager recalls a proposal.")
        wanted = Status.RECALLED
    else:
        refuse_own_work(proposal, user)
        wanted = Status.DECLINED
    if not proposal.can_become(wanted):
        raise wrong_status(proposal)
    if wanted == Status.DECLINED:
        why_not = keeps_from_deciding(proposal, user, steps=proposal.steps.all())
        if why_not:
            raise WrongStatus(why_not)
