"""What waits for somebody who decides: proposals whose next step is theirs, purchases to release."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from django.db.models import Exists, OuterRef, Q, Subquery

from audit.roles import Role, has_role
from proposals import allowed, policy
from proposals.models import ApprovalStep, Proposal
from purchases.models import Purchase

PAGE_SIZE = 25
MOST_PURCHASES = 25


@dataclass(frozen=True)
class Item:
    """
    One deal that waits.

    :ivar difference: ours less the list price; None when one of them is not known for the same span
    :ivar discount: as a share of the list price
    :ivar why_not: why this person cannot decide it, in words; "" when they can
    :ivar over: why it can no longer be approved; "" while it can
    """

    deal: object
    because: str
    difference: Decimal | None
    discount: Fraction | None
    why_not: str
    over: str


def proposals_for(user):
    """
    Submitted proposals whose next step this person's roles may take, oldest first.

    Those that Togai refused are left out: only their author can go on. Own work is in it, marked by `told`.
    """
    steps = ApprovalStep.objects.filter(proposal=OuterRef("pk"), state=ApprovalStep.State.WAITING).order_by(
        "order"
    )
    return (
        Proposal.objects.visible_to(user)
        .filter(status=Proposal.Status.SUBMITTED, togai_refusal="")
        .annotate(
            step_role=Subquery(steps.values("role")[:1]),
            because=Subquery(steps.values("because")[:1]),
            edited_by_me=_edited_by(Proposal, user),
        )
        .filter(step_role__in=roles_taken_by(user))
        .select_related("account", "price_plan", "owner")
        .order_by("submitted_at", "pk")
    )


def decidable_by(user):
    """As `proposals_for`, without what this person wrote, edited or submitted."""
    own = Q(owner=user) | Q(created_by=user) | Q(last_edited_by=user) | Q(submitted_by=user)
    return proposals_for(user).filter(edited_by_me=False).exclude(own)


def purchases_for(user):
    """The purchases that wait for release, oldest first: a bounded list, one more than is shown."""
    return list(
        Purchase.objects.visible_to(user)
        .filter(status=Purchase.Status.SUBMITTED)
        .annotate(edited_by_me=_edited_by(Purchase, user))
        .select_related("account", "price_plan", "owner")
        .order_by("pk")[: MOST_PURCHASES + 1]
    )


def roles_taken_by(user):
    """The roles whose steps this person may take, their own and those they stand in for."""
    return [role.value for role in Role if has_role(user, *policy.STANDS_IN.get(role, (role,)))]


def told(deal, user, *, at):
    """A waiting deal with its money, why it waits for this person, and what keeps them from deciding."""
    difference = discount = None
    if deal.estimate is not None and deal.list_price is not None:
        difference = deal.estimate - deal.list_price
        if deal.list_price > 0:
            discount = Fraction(-difference) / Fraction(deal.list_price)
    authors = {deal.owner_id, deal.created_by_id, deal.last_edited_by_id, deal.submitted_by_id}
    own = user.pk in authors or deal.edited_by_me
    return Item(
        deal=deal,
        because=getattr(deal, "because", "") or "Money moves as soon as Togai has it.",
        difference=difference,
        discount=discount,
        why_not="You wrote, edited or submitted this; somebody else has to decide it." if own else "",
        over=allowed.over(deal, at=at) if isinstance(deal, Proposal) else "",
    )


def _edited_by(model, user):
    """Whether a person ever touched the terms of the deal."""
    through = model.editors.through
    column = f"{model._meta.model_name}_id"
    return Exists(through.objects.filter(Q(**{column: OuterRef("pk")}), user_id=user.pk))
