"""What a person may do about a delivery: have it looked up now, or let a held one go on."""

from django.db import transaction

from audit import services as audit
from audit.refusals import NotAllowed, WrongStatus
from audit.roles import Role, has_role
from togai import deliveries
from togai.models import Delivery

State = Delivery.State

# Who reads the list of deliveries.
READS = frozenset({Role.ADMINISTRATOR, Role.FINANCE, Role.CFO, Role.AUDITOR})
# Who may have Togai asked; an auditor writes nothing, not even that.
LOOKS = frozenset({Role.REP, Role.MANAGER, Role.FINANCE, Role.CFO, Role.ADMINISTRATOR})


@transaction.atomic
def look_now(*, delivery_id, by, at):
    """
    Have a delivery in doubt looked up at Togai at once. A look reads; it never sends again (R-05).

    :raises NotAllowed: the person's roles only read
    :raises WrongStatus: it is not in doubt
    """
    if not has_role(by, *LOOKS):
        raise NotAllowed("Your role does not ask Togai.")
    delivery = _locked(delivery_id)
    if delivery.state != State.UNKNOWN:
        raise WrongStatus(f"This delivery is not in doubt: {delivery.get_state_display().lower()}.")
    if deliveries.look_now(delivery.pk, at=at):
        audit.record(delivery, "look_now", by=by, at=at)
    return delivery


@transaction.atomic
def release(*, delivery_id, by, at):
    """
    Let a held delivery go on, once its cause is put right.

    :raises NotAllowed: only administrators let deliveries go on
    :raises WrongStatus: it is not held
    """
    if not has_role(by, Role.ADMINISTRATOR):
        raise NotAllowed("Only an administrator lets a delivery go on.")
    delivery = _locked(delivery_id)
    if delivery.state != State.HELD:
        raise WrongStatus(f"This delivery is not held: {delivery.get_state_display().lower()}.")
    deliveries.release(delivery.pk, at=at)
    audit.record(
        delivery,
        "let_go_on",
        by=by,
        at=at,
        before={"state": delivery.state, "held_because": delivery.held_because},
        after={"state": State.NOT_SENT},
    )
    return delivery


def _locked(delivery_id):
    return Delivery.objects.select_for_update().get(pk=delivery_id)
