"""
What a person may do about deliveries: have one looked up now, let a held one go on, stop and start all of
them. How one that needs a person is closed by two of them stands in `togai.resolutions`.
"""

import math
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from audit import services as audit
from audit.models import Event
from audit.refusals import Invalid, NotAllowed, Refusal, WrongStatus
from audit.roles import Role, has_role
from togai import deliveries, line
from togai.models import Delivery, Link
from togai.subjects import listener_for

State = Delivery.State

# Who reads the list of deliveries.
READS = frozenset({Role.ADMINISTRATOR, Role.FINANCE, Role.CFO, Role.AUDITOR})
# Who may have Togai asked; an auditor writes nothing, not even that.
LOOKS = frozenset({Role.REP, Role.MANAGER, Role.FINANCE, Role.CFO, Role.ADMINISTRATOR})
# Who stops and starts sending, and closes what needs a person.
OPERATES = frozenset({Role.ADMINISTRATOR})

SHORTEST_REASON, LONGEST_REASON = 10, 300
# How often one person may have Togai asked about one subject (S-37).
MOST_LOOKS, LOOKS_WITHIN = 6, timedelta(minutes=1)


class TooOften(Refusal):
    """
    A limit of S-37 is reached.

    :ivar retry_after: whole seconds until it is worth trying again
    """

    http_status = 429
    code = "too_often"

    def __init__(self, message, *, retry_after):
        self.retry_after = retry_after
        super().__init__(message)


@dataclass(frozen=True)
class Problem:
    """What is wrong with something that was typed; see `audit.refusals.Invalid`."""

    field: str
    message: str
    path: tuple = ()


@transaction.atomic
def look_now(*, delivery_id, by, at):
    """
    Have a delivery in doubt looked up at Togai at once. A look reads; it never sends again (R-05).

    :raises NotAllowed: the person's roles only read
    :raises WrongStatus: it is not in doubt
    :raises TooOften: this person has asked about its subject six times within a minute (S-37)
    """
    if not may_look(by):
        raise NotAllowed("Your role does not ask Togai.")
    about = Delivery.objects.values("subject_type", "subject_id").get(pk=delivery_id)
    # All rows of the subject, in one order: whoever counts below counts alone.
    rows = {row.pk: row for row in Delivery.objects.select_for_update().filter(**about).order_by("pk")}
    delivery = rows[delivery_id]
    if delivery.state != State.UNKNOWN:
        raise WrongStatus(f"This delivery is not in doubt: {delivery.get_state_display().lower()}.")
    _refuse_too_many_looks(rows, by=by, at=at)
    deliveries.look_now(delivery.pk, at=at)
    audit.record(delivery, "look_now", by=by, at=at)
    return delivery


def may_look(user):
    """Whether this person's roles let them have Togai asked about what they see."""
    return has_role(user, *LOOKS)


def _refuse_too_many_looks(keys, *, by, at):
    """Count what is on record, which every process reads."""
    keys = [str(key) for key in keys]
    looks = Event.objects.filter(subject_type=Delivery._meta.label, subject_id__in=keys, verb="look_now")
    recent = looks.filter(actor=by, at__gt=at - LOOKS_WITHIN, at__lte=at).order_by("-at")
    found = list(recent.values_list("at", flat=True)[:MOST_LOOKS])
    if len(found) < MOST_LOOKS:
        return
    wait = max(1, math.ceil((found[-1] + LOOKS_WITHIN - at).total_seconds()))
    raise TooOften(
        f"You have had Togai asked about this {MOST_LOOKS} times within a minute; wait {wait} second"
        f"{'' if wait == 1 else 's'}.",
        retry_after=wait,
    )


def why_it_stays(delivery, *, at):
    """Why a held delivery cannot go on as it was meant, in a sentence; "" when it can."""
    if delivery.last_error == Delivery.RESTORED:
        return "It is verified by itself, once an equal one is; until then it cannot be sent."
    why = listener_for(delivery.subject_type).stale(delivery, at=at)
    return f"It would be held again. {why}" if why else ""


@transaction.atomic
def release(*, delivery_id, by, at):
    """
    Let a held delivery go on, once its cause is put right.

    :raises NotAllowed: only administrators let deliveries go on
    :raises WrongStatus: it is not held, or would be held again at once
    """
    if not has_role(by, Role.ADMINISTRATOR):
        raise NotAllowed("Only an administrator lets a delivery go on.")
    delivery = _locked(delivery_id)
    if delivery.state != State.HELD:
        raise WrongStatus(f"This delivery is not held: {delivery.get_state_display().lower()}.")
    why = why_it_stays(delivery, at=at)
    if why:
        raise WrongStatus(why)
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


@transaction.atomic
def pause(*, by, at, reason):
    """
    Stop all sending until somebody resumes it: a row that every worker reads before each send, so it takes
    effect at once and outlives every restart (G-52). Looks go on, because they only read.

    :raises NotAllowed: only administrators pause
    :raises Invalid: no usable reason
    :raises WrongStatus: it is paused already
    """
    require_operator(by)
    reason = checked_reason(reason)
    link = _locked_link()
    if link.paused_at is not None:
        raise WrongStatus("Sending is paused already.")
    line.pause(by=by, at=at, why=reason)
    audit.record(link, "pause", by=by, at=at, reason=reason, after={"paused_at": at.isoformat()})


@transaction.atomic
def resume(*, by, at):
    """
    Let sending go on where it was paused: what waited leaves in the order in which it was meant.

    :raises NotAllowed: only administrators resume
    :raises WrongStatus: it is not paused
    """
    require_operator(by)
    link = _locked_link()
    if link.paused_at is None:
        raise WrongStatus("Sending is not paused.")
    before = {"paused_at": link.paused_at.isoformat(), "paused_because": link.paused_because}
    line.resume()
    audit.record(link, "resume", by=by, at=at, before=before, after={"paused_at": None})
    transaction.on_commit(deliveries.wake)


@transaction.atomic
def sign_restore(*, by, at, reason):
    """
    End the look-only time after a restore: somebody answers for what the database now says (R-21).

    :raises NotAllowed: only administrators sign
    :raises Invalid: no usable reason
    :raises WrongStatus: nothing waits for a signature
    """
    require_operator(by)
    reason = checked_reason(reason)
    link = _locked_link()
    if link.look_only_since is None:
        raise WrongStatus("No restore waits for a signature.")
    before = {"look_only_since": link.look_only_since.isoformat(), "because": link.look_only_because}
    line.sign()
    audit.record(
        link, "sign_restore", by=by, at=at, reason=reason, before=before, after={"look_only_since": None}
    )
    transaction.on_commit(deliveries.wake)


def require_operator(by):
    """Refuse everybody but administrators, with NotAllowed."""
    if not has_role(by, *OPERATES):
        raise NotAllowed("Only an administrator does this.")


def checked_reason(text):
    """The stripped reason, or Invalid where it says too little or too much."""
    text = (text or "").strip()
    if len(text) < SHORTEST_REASON:
        raise Invalid([Problem("reason", f"Say why in at least {SHORTEST_REASON} characters.")])
    if len(text) > LONGEST_REASON:
        raise Invalid([Problem("reason", f"Say why in at most {LONGEST_REASON} characters.")])
    return text


def _locked_link():
    Link.objects.get_or_create(pk=1)
    return Link.objects.select_for_update().get(pk=1)


def _locked(delivery_id):
    return Delivery.objects.select_for_update().get(pk=delivery_id)
