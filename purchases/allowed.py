"""
Which verbs a person is offered on a purchase now, and in words why not.

An offer decides nothing: the services refuse by themselves, whatever a page showed.
"""

from audit.refusals import NotAllowed, WrongStatus
from audit.roles import DECIDES, DRAFTS, has_role
from purchases import drafts
from purchases.models import Purchase
from purchases.services import refuse_own_work
from togai.deliveries import held_create

Status = Purchase.Status


def offers(purchase, user):
    """The names of the verbs that a page offers, and why a decider is offered none ("" otherwise)."""
    verbs, why_not = {"clone"} if has_role(user, *DRAFTS) else set(), ""
    may_be_revised = purchase.is_revisable or (
        # Held for good, such as after its validity: the way out is another try.
        purchase.status == Status.SENT and not purchase.togai_id and held_create(purchase)
    )
    if may_be_revised and drafts.may_edit(purchase, user):
        verbs.add("revise")
    if purchase.is_draft:
        if drafts.may_edit(purchase, user):
            verbs.add("edit")
        if drafts.is_author(purchase, user):
            verbs.add("submit")
    if purchase.is_waiting:
        if drafts.may_recall(purchase, user):
            verbs.add("recall")
        if has_role(user, *DECIDES):
            try:
                refuse_own_work(purchase, user)
            except NotAllowed as refusal:
                why_not = str(refusal)
            else:
                verbs |= {"release", "send_back"}
    return frozenset(verbs), why_not


def refuse_early(verb, purchase, user):
    """
    Refuse to ask the questions of a verb that would be refused anyway; POST meets the service itself.

    :raises NotAllowed: the person's roles or their own work forbid it
    :raises WrongStatus: the purchase is not in a state for it
    """
    wanted = Status.SUBMITTED
    if verb == "submit":
        wanted = Status.DRAFT
        if not drafts.is_author(purchase, user):
            raise NotAllowed("Only its owner submits a purchase.")
    elif verb == "recall":
        if not drafts.may_recall(purchase, user):
            raise NotAllowed("Only its owner or their manager takes a purchase back.")
    else:
        refuse_own_work(purchase, user)
    if purchase.status != wanted:
        raise WrongStatus(f"This purchase is {purchase.get_status_display().lower()}.")
