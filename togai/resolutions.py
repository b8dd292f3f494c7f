"""
How two people close a delivery that no automatic path is left for (reliability.md 2.3): link it to a record
at Togai, declare it absent there and send it anew, or abandon it.

One administrator asks with a reason, another one confirms. Between two transactions Togai is read where its
word decides; the state of the row is compared again in the UPDATE itself, so of two confirmations one wins.
"""

import hashlib
import json
import re
import uuid
from dataclasses import dataclass
from decimal import Decimal

from django.db import IntegrityError, transaction

from audit import services as audit
from audit.refusals import OwnWork, Refusal, WrongStatus
from togai import deliveries, errors, line
from togai.console import name_of
from togai.models import Delivery, DeliveryAttempt, Link, RemoteSnapshot, Resolution
from togai.services import checked_reason, require_operator
from togai.subjects import listener_for
from togai.worker import make_gateway

Kind, State, Verb = Delivery.Kind, Delivery.State, Resolution.Verb


class Unverified(Refusal):
    """Togai's record could not be read, or is not the one that is meant."""

    code = "unverified"


# --- The three steps ---


def ask(*, delivery_id, verb, by, at, reason, remote_id="", gateway=None):
    """
    Propose how to close a delivery that needs a person; nothing about it changes before somebody else
    confirms.

    :param remote_id: for LINK, the record at Togai, which is read at once
    :raises NotAllowed: only administrators ask
    :raises Invalid: no usable reason
    :raises WrongStatus: it does not need a person, or somebody has asked already
    :raises Unverified: the record cannot be read, or is not this one's
    """
    require_operator(by)
    reason, remote_id = checked_reason(reason), remote_id.strip() if verb == Verb.LINK else ""
    delivery = Delivery.objects.get(pk=delivery_id)
    refuse_early(delivery, verb)
    if verb == Verb.LINK:
        look_up(delivery, remote_id, at=at, gateway=gateway)
    with transaction.atomic():
        delivery = _locked(delivery_id)
        refuse_early(delivery, verb)
        resolution = Resolution.objects.create(
            delivery=delivery, verb=verb, remote_id=remote_id, reason=reason, asked_by=by, asked_at=at
        )
        after = {"remote_id": remote_id} if remote_id else {}
        audit.record(delivery, f"ask_{verb.lower()}", by=by, at=at, reason=reason, after=after)
    return resolution


def confirm(*, resolution_id, by, at, gateway=None):
    """
    Do what another administrator proposed.

    :raises NotAllowed: only administrators confirm
    :raises OwnWork: four eyes: it is their own proposal
    :raises WrongStatus: it is confirmed or dropped already, or the delivery needs no person any more
    :raises Unverified: Togai's record cannot be read now, or is not this one's
    """
    require_operator(by)
    resolution = Resolution.objects.select_related("delivery").get(pk=resolution_id)
    _refuse_unless_open(resolution)
    if resolution.asked_by_id == by.pk:
        raise OwnWork("Somebody else confirms what you asked for.")
    remote = None
    if resolution.verb == Verb.LINK:
        remote = look_up(resolution.delivery, resolution.remote_id, at=at, gateway=gateway)
    try:
        with transaction.atomic():
            delivery = _locked(resolution.delivery_id)
            _settle(resolution, confirmed_by=by, confirmed_at=at)
            resolution.confirmed_by = by
            _CARRY_OUT[resolution.verb](delivery, resolution, by=by, at=at, remote=remote)
    except IntegrityError as error:
        if resolution.verb != Verb.LINK:
            raise
        # Somebody bound the record to another delivery a moment ago.
        raise WrongStatus("This record was bound to something else meanwhile.") from error
    return Delivery.objects.get(pk=resolution.delivery_id)


@transaction.atomic
def drop(*, resolution_id, by, at):
    """
    Take a proposal back, one's own or a colleague's; the delivery needs a person as before.

    :raises NotAllowed: only administrators drop
    :raises WrongStatus: it is confirmed or dropped already
    """
    require_operator(by)
    resolution = Resolution.objects.select_related("delivery").get(pk=resolution_id)
    delivery = _locked(resolution.delivery_id)
    _settle(resolution, dropped_at=at)
    audit.record(
        delivery, "drop_resolution", by=by, at=at, before={"asked": resolution.verb, "why": resolution.reason}
    )
    return delivery


def open_for(delivery):
    """The proposal that waits for a second person, with who asked, or None."""
    return (
        delivery.resolutions.filter(confirmed_at__isnull=True, dropped_at__isnull=True)
        .select_related("asked_by")
        .first()
    )


def refuse_early(delivery, verb):
    """Refuse with WrongStatus what cannot be asked about a delivery as it stands."""
    if delivery.state != State.NEEDS_HUMAN:
        raise WrongStatus(f"This delivery needs no person: {delivery.get_state_display().lower()}.")
    if verb == Verb.LINK and delivery.kind not in Delivery.CREATES:
        raise WrongStatus("Only what creates a record at Togai can be linked to one.")
    asked = open_for(delivery)
    if asked:
        raise WrongStatus(f"{name_of(asked.asked_by)} has asked already: {asked.get_verb_display().lower()}.")


# --- What confirming does ---


def _link(delivery, resolution, *, by, at, remote):
    """Togai holds it under this id: bind the record as a worker that found it would."""
    words = f"Linked to {remote.id} by {_both(resolution)}: {resolution.reason}"
    _close(delivery, State.CONFIRMED, words, at=at, remote_id=remote.id, remote_status=remote.status)
    DeliveryAttempt.objects.create(
        delivery=delivery,
        number=delivery.attempts.count() + 1,
        purpose=DeliveryAttempt.Purpose.LOOK,
        claim_token=uuid.uuid4(),
        started_at=at,
        finished_at=at,
        outcome="done",
        learned=words[:600],
        http_status=200,
        response_sha256=hashlib.sha256(remote.raw.encode()).hexdigest(),
        response=remote.raw[:2048],
        worker=f"by hand: {by.get_username()}"[:120],
        release="",
    )
    deliveries.follow(delivery, remote, at=at)
    listener_for(delivery.subject_type).confirmed(delivery, remote, at=at)
    _record(delivery, resolution, by=by, at=at, after={"state": State.CONFIRMED, "remote_id": remote.id})
    transaction.on_commit(deliveries.wake)


def _declare_absent(delivery, resolution, *, by, at, remote):
    """
    Two people answer for it: Togai does not have it. The same content goes under a new key in a new row; the
    old key is never used again (R-13, R-14).
    """
    words = f"Declared absent by {_both(resolution)}: {resolution.reason}"
    _close(delivery, State.REJECTED, words, at=at, last_error=Delivery.DECLARED_ABSENT)
    anew = deliveries.write_anew(delivery, at=at)
    _waiting_behind(delivery).update(depends_on=anew)
    _record(delivery, resolution, by=by, at=at, after={"state": State.REJECTED, "anew": str(anew.pk)})
    audit.record(anew, "send_anew", by=by, at=at, after={"instead_of": str(delivery.pk)})
    transaction.on_commit(deliveries.wake)


def _abandon(delivery, resolution, *, by, at, remote):
    """It will not be carried to Togai by us any more; whoever owns the subject reads who said so and why."""
    words = f"{Delivery.ABANDONED_BY}{_both(resolution)}: {resolution.reason}"
    _close(delivery, State.REJECTED, words, at=at, last_error=Delivery.ABANDONED)
    # What would have decided the abandoned create has nothing left to decide.
    _waiting_behind(delivery).filter(kind=Kind.DECIDE, subject_id=delivery.subject_id).update(
        state=State.REJECTED,
        last_error=Delivery.WITHDRAWN,
        last_message="What this was about was abandoned.",
        closed_at=at,
    )
    listener = listener_for(delivery.subject_type)
    if delivery.kind in Delivery.DECISIONS:
        # Togai has the proposal and not our decision: somebody has to carry it there by hand.
        message = f"Our decision did not reach Togai. {words} Decide it in Togai's own console."
        listener.stuck(delivery, message=message, at=at)
    else:
        listener.rejected(delivery, message=words, at=at)
    _record(delivery, resolution, by=by, at=at, after={"state": State.REJECTED})
    transaction.on_commit(deliveries.wake)


_CARRY_OUT = {Verb.LINK: _link, Verb.DECLARE_ABSENT: _declare_absent, Verb.ABANDON: _abandon}


def _locked(delivery_id):
    return Delivery.objects.select_for_update().get(pk=delivery_id)


def _refuse_unless_open(resolution):
    if resolution.confirmed_at or resolution.dropped_at:
        raise WrongStatus("This was confirmed or dropped meanwhile.")


def _settle(resolution, **changes):
    """End a proposal once: a compare-and-swap, so that of two who end it one is refused."""
    waiting = Resolution.objects.filter(pk=resolution.pk, confirmed_at__isnull=True, dropped_at__isnull=True)
    if not waiting.update(**changes):
        raise WrongStatus("This was confirmed or dropped meanwhile.")


def _close(delivery, state, words, *, at, last_error="", **changes):
    """Move the row out of NEEDS_HUMAN if it is still there (R-10)."""
    moved = Delivery.objects.filter(pk=delivery.pk, state=State.NEEDS_HUMAN).update(
        state=state, last_error=last_error, last_message=words[:600], closed_at=at, **changes
    )
    if not moved:
        raise WrongStatus("This delivery needs no person any more.")
    delivery.refresh_from_db()


def _waiting_behind(delivery):
    """What waits for it and never left."""
    return Delivery.objects.filter(
        depends_on=delivery, state__in=[State.NOT_SENT, State.HELD], sends=0, ambiguous_attempts=0
    )


def _both(resolution):
    return f"{name_of(resolution.asked_by)} and {name_of(resolution.confirmed_by)}"


def _record(delivery, resolution, *, by, at, after):
    audit.record(
        delivery,
        resolution.verb.lower(),
        by=by,
        at=at,
        reason=resolution.reason,
        before={"state": State.NEEDS_HUMAN, "asked_by": name_of(resolution.asked_by)},
        after=after,
    )


# --- Togai's side ---


def look_up(delivery, remote_id, *, at, gateway=None):
    """
    Read the record that a create is to be linked to, outside any transaction (R-02), and check that it may.

    :returns: Togai's record
    :raises Unverified: it cannot be read now, is not there, or belongs to something else
    """
    link = Link.load()
    if link.closed_until and link.closed_until > at:
        raise Unverified(f"Calls to Togai rest for now, so nothing can be compared. {link.why}".rstrip())
    gateway = gateway or make_gateway()
    try:
        remote = _read(gateway, delivery, remote_id)
    except errors.Missing as error:
        raise Unverified("Togai knows no such record.") from error
    except errors.TogaiError as error:
        why = line.heed(error, at=at) or f"Togai's record cannot be read now: {error}"
        raise Unverified(why) from error
    _refuse_what_is_not_ours(delivery, remote)
    return remote


def _read(gateway, delivery, remote_id):
    if delivery.kind == Kind.CREATE_PURCHASE:
        return gateway.get_purchase(remote_id)
    try:
        return gateway.get_proposal(remote_id)
    except errors.Missing:
        # An approved proposal goes on as a purchase under the same id (togai.md 5.1).
        return gateway.get_purchase(remote_id)


def _refuse_what_is_not_ours(delivery, remote):
    if remote.account_id != delivery.account_id:
        raise Unverified(
            f"This record belongs to the account {remote.account_id}, not {delivery.account_id}."
        )
    if remote.known_status is None:
        raise Unverified(f"Togai shows it as {remote.status}, which we do not know.")
    others = Delivery.objects.exclude(pk=delivery.pk)
    bound = others.filter(kind__in=Delivery.CREATES, remote_id=remote.id).first()
    if bound is None and remote.idempotency_key:
        ours = {"subject_type": delivery.subject_type, "subject_id": delivery.subject_id}
        bound = others.filter(idempotency_key=remote.idempotency_key).exclude(**ours).first()
    if bound:
        raise Unverified(f"This record is what came of another delivery: {bound.subject_label}.")
    followed = RemoteSnapshot.objects.filter(remote_id=remote.id).first()
    if followed and (followed.subject_type, followed.subject_id) != (
        delivery.subject_type,
        delivery.subject_id,
    ):
        raise Unverified("Another deal follows this record already.")


@dataclass(frozen=True)
class Compared:
    """
    One part of a request beside Togai's record of it.

    :ivar label: its name; where it lies deeper the path to it, such as a.b[0].c
    :ivar same: None where the record does not show it
    """

    label: str
    ours: str
    theirs: str
    same: bool | None

    @property
    def steps(self):
        """The label in pieces between which a line may end; more than one where it is a path."""
        return re.split(r"(?=[.\[])", self.label)


def compared(delivery, remote):
    """
    What we meant beside what Togai holds: a row for each value of our request, however deep it lies, and for
    what Togai's record holds beside it in the same part.
    """
    ours, theirs = _loaded(bytes(delivery.body).decode()), _loaded(remote.raw)
    rows = []
    for key, value in ours.items():
        if _parts(value):
            rows += _beside(key, value, theirs.get(key))
        else:
            rows.append(_leaf(_words(key), value, theirs.get(key)))
    return rows


def _beside(path, ours, theirs):
    """The rows of one part; what lies within is told by its path."""
    mine, others = _parts(ours), _parts(theirs)
    if not mine or (theirs is not None and type(theirs) is not type(ours)):
        yield _leaf(path, ours, theirs)
        return
    for step, value in mine.items():
        yield from _beside(path + step, value, others.get(step))
    for step, value in others.items():
        if step not in mine:
            yield Compared(path + step, "not sent", _text(value), same=False)


def _leaf(label, ours, theirs):
    return Compared(label, _text(ours), _text(theirs), None if theirs is None else theirs == ours)


def _parts(value):
    """What a value is made of, by the step that leads there; nothing where it is one by itself."""
    if isinstance(value, dict):
        return {f".{key}": part for key, part in value.items()}
    if isinstance(value, list):
        return {f"[{place}]": part for place, part in enumerate(value)}
    return {}


def _loaded(text):
    try:
        value = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _words(key):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).capitalize()


def _text(value):
    if value is None:
        return "not shown"
    if isinstance(value, dict | list):
        return json.dumps(value, default=str, ensure_ascii=False)
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
