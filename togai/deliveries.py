"""
The life of a delivery row (reliability.md 2.2 to 2.6): queued with the change it belongs to, claimed by
compare-and-swap, finished by whoever still holds the claim.

Nothing here speaks HTTP; `togai.worker` does, between `claim` and `finish`.
"""

import hashlib
import logging
import uuid
from contextlib import contextmanager, suppress
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import Count, F, Max, Q

from togai import errors, wire
from togai.checkpoints import checkpoint
from togai.models import MOST_SENDS, Delivery, DeliveryAttempt, Link, RemoteSnapshot
from togai.subjects import listener_for

log = logging.getLogger("togai")

Kind, State = Delivery.Kind, Delivery.State

# Errors whose words are Togai's own no, which later looks do not take away.
REFUSALS = (errors.Refused.__name__, errors.Missing.__name__)
# How many rows held for this reason stop their kind.
STOPS = {"Forbidden": 2, "Missing": 1}
# Nothing before it, or what was before it is settled (`Delivery.is_settled`).
MAY_GO = (
    Q(depends_on__isnull=True)
    | Q(depends_on__state=State.CONFIRMED)
    | Q(
        depends_on__state=State.REJECTED,
        depends_on__last_error__in=[Delivery.WITHDRAWN, Delivery.ABANDONED],
    )
)


def new_key():
    """A fresh idempotency key: random, so neither a restore nor an equal deal can bring it back (R-13)."""
    return f"bo1-{settings.TOGAI_ENVIRONMENT}-{uuid.uuid4().hex}"


def most_sends(kind):
    """
    How often a kind is sent by itself in all (reliability.md 2.8): a purchase sent again moves money twice.
    """
    return min(
        MOST_SENDS,
        {
            Kind.CREATE_PROPOSAL: settings.TOGAI_MOST_SENDS_OF_A_PROPOSAL,
            Kind.DECIDE: settings.TOGAI_MOST_SENDS_OF_A_DECISION,
            Kind.DECLINE_DUPLICATE: settings.TOGAI_MOST_SENDS_OF_A_DECISION,
            Kind.CREATE_PURCHASE: settings.TOGAI_MOST_SENDS_OF_A_PURCHASE,
            Kind.EDIT_ACCOUNT: settings.TOGAI_MOST_SENDS_OF_AN_EDIT,
        }[kind],
    )


def queue(*, kind, subject, revision, account_id, body_for, by, at, depends_on=None, direction=""):
    """
    Write down one change meant for Togai, in the transaction of the decision behind it (R-01).

    :param subject: the row of an upper app; a listener for its class is registered
    :param revision: which revision of the subject is meant; one delivery per kind and revision
    :param body_for: called once with the new idempotency key, returns the canonical bytes that will be sent
    :param depends_on: another delivery that must be confirmed first
    :raises RuntimeError: outside a transaction
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("A delivery is queued in the transaction of the change it carries.")
    delivery = _write(
        kind=kind,
        subject_type=subject._meta.label,
        subject_id=str(subject.pk),
        subject_label=str(subject)[:200],
        revision=revision,
        account_id=account_id,
        body_for=body_for,
        depends_on=depends_on,
        direction=direction,
        created_by=by,
        at=at,
    )
    transaction.on_commit(lambda: checkpoint("queue.written"))
    transaction.on_commit(wake)
    return delivery


def _write(*, account_id, body_for, at, **columns):
    key = new_key()
    body = body_for(key)
    return Delivery.objects.create(
        account_id=account_id,
        idempotency_key=key,
        fingerprint=hashlib.sha256(account_id.encode() + b"\n" + body.replace(key.encode(), b"")).hexdigest(),
        body=body,
        body_sha256=hashlib.sha256(body).hexdigest(),
        next_at=at,
        created_at=at,
        **columns,
    )


def write_anew(old, *, at):
    """
    The content of a row once more, in a new row under a new key; the old key is never used again (R-13).
    """
    return _write(
        kind=old.kind,
        subject_type=old.subject_type,
        subject_id=old.subject_id,
        subject_label=old.subject_label,
        revision=old.revision,
        generation=_next_generation(old, old.kind),
        account_id=old.account_id,
        body_for=lambda key: bytes(old.body).replace(old.idempotency_key.encode(), key.encode()),
        depends_on=old.depends_on,
        direction=old.direction,
        remote_id=old.remote_id if old.kind == Kind.DECLINE_DUPLICATE else "",
        created_by=old.created_by,
        at=at,
    )


def _next_generation(row, kind):
    """The first free one among the rows of this kind about the same revision of the same subject."""
    same = Delivery.objects.filter(
        subject_type=row.subject_type, subject_id=row.subject_id, revision=row.revision, kind=kind
    )
    return (same.aggregate(last=Max("generation"))["last"] or 0) + 1


def wake():
    """Tell a worker that something waits; losing the message loses nothing (R-08)."""
    from django_q.tasks import async_task

    if not settings.Q_CLUSTER.get("testing"):
        async_task("togai.tasks.work")


def due(at):
    """
    Keys of the rows that a worker could move now, oldest promise first.

    While a person or a restore forbids sending, and for calls that Togai does not allow us, only looks are.
    """
    free = Q(claim_until__isnull=True) | Q(claim_until__lt=at)
    wanted = Q(state=State.UNKNOWN) & free
    if Link.load().may_send:
        wanted |= Q(state=State.NOT_SENT) & MAY_GO & ~Q(kind__in=stopped_kinds())
    return (
        Delivery.objects.filter(next_at__lte=at)
        .filter(wanted)
        .order_by("next_at", "created_at")
        .values_list("pk", flat=True)
    )


def stopped_kinds():
    """
    The kinds whose call Togai refuses us as such: twice forbidden, or gone (reliability.md 2.6, 403 and 404).

    The held rows themselves say so; letting them go on tries the call again.
    """
    held = Delivery.objects.filter(state=State.HELD, last_error__in=STOPS)
    counted = held.values_list("kind", "last_error").annotate(rows=Count("pk"))
    return [kind for kind, error, rows in counted if rows >= STOPS[error]]


def claim(delivery_id, *, worker, at):
    """
    Take a row for one step: to send it when it waits, to look for it when it is in doubt.

    A compare-and-swap: of any number of workers one gets the row (R-10). Returns the claimed `Delivery` with
    its started `DeliveryAttempt` as `.attempt`, or None when somebody else has it or a look-alike is in
    doubt.
    """
    checkpoint("claim.before")
    token = uuid.uuid4()
    until = at + timedelta(seconds=settings.TOGAI_CLAIM_SECONDS)
    row = Delivery.objects.filter(pk=delivery_id, next_at__lte=at)
    mine = {"claim_token": token, "claim_owner": worker, "claim_until": until}
    try:
        with transaction.atomic():
            sending = row.filter(MAY_GO, state=State.NOT_SENT).exclude(kind__in=stopped_kinds())
            if not Link.load().may_send:
                sending = sending.none()
            # A subquery, because an UPDATE cannot join; the state is compared again in the UPDATE itself.
            taken = Delivery.objects.filter(pk__in=sending.values("pk"), state=State.NOT_SENT).update(
                state=State.SENDING, sends=F("sends") + 1, **mine
            )
            purpose = DeliveryAttempt.Purpose.SEND
            if not taken:
                free = Q(claim_until__isnull=True) | Q(claim_until__lt=at)
                taken = row.filter(free, state=State.UNKNOWN).update(looks=F("looks") + 1, **mine)
                purpose = DeliveryAttempt.Purpose.LOOK
            if not taken:
                return None
            delivery = Delivery.objects.select_related("depends_on").get(pk=delivery_id)
            delivery.attempt = DeliveryAttempt.objects.create(
                delivery=delivery,
                number=delivery.attempts.count() + 1,
                purpose=purpose,
                claim_token=token,
                started_at=at,
                worker=worker,
                release=settings.RELEASE,
            )
    except IntegrityError:
        # The look-alike constraint: wait until the other create is out of doubt.
        Delivery.objects.filter(pk=delivery_id, state=State.NOT_SENT).update(
            next_at=at + timedelta(minutes=1),
            last_message="Waits for an equal request that is being verified.",
        )
        return None
    checkpoint("claim.committed")
    return delivery


def _finish(delivery, *, at, outcome, learned="", error=None, raw="", then=None, **changes):
    """
    Write what was learned, if the claim is still ours; evidence is kept either way (R-10, W5, W6).

    :param then: called inside the transaction after the row moved, to tell the subject
    """
    attempt = delivery.attempt
    attempt.finished_at = at
    attempt.outcome = outcome
    attempt.learned = learned[:600]
    attempt.http_status = getattr(error, "status", None) or (200 if raw else None)
    text = raw or getattr(error, "raw", "") or ""
    attempt.response_sha256 = hashlib.sha256(text.encode()).hexdigest() if text else ""
    attempt.response = text[:2048]
    changes |= {"claim_token": None, "claim_owner": "", "claim_until": None}
    changes.setdefault("last_message", learned[:600])
    changes.setdefault("last_error", type(error).__name__ if error else "")
    changes["deaths"] = 0
    if changes.get("state") in (State.CONFIRMED, State.REJECTED, State.NEEDS_HUMAN):
        changes["closed_at"] = at
    checkpoint("finish.before")
    with transaction.atomic():
        attempt.save()
        moved = Delivery.objects.filter(
            pk=delivery.pk, state=delivery.state, claim_token=attempt.claim_token
        ).update(**changes)
        if moved:
            delivery.refresh_from_db()
            if then:
                then()
        checkpoint("finish.inside")
    checkpoint("finish.committed")
    return bool(moved)


def confirm(delivery, remote, *, at, how="Togai answered.", twins=(), nothing_left=False):
    """
    Togai holds the change: bind its record and tell the subject.

    :param twins: ids of further records that came of the same create
    :param nothing_left: whether this turn was to send it, and Togai had it already
    """

    def tell():
        listener = listener_for(delivery.subject_type)
        if delivery.kind == Kind.DECLINE_DUPLICATE:
            listener.twin_declined(delivery, at=at)
            return
        if delivery.kind != Kind.EDIT_ACCOUNT:
            follow(delivery, remote, at=at)
        listener.confirmed(delivery, remote, at=at)
        report_twins(delivery, twins, at=at)
        # What waited for this one may go now.
        transaction.on_commit(wake)

    return _finish(
        delivery,
        at=at,
        outcome="there already" if nothing_left else "done",
        learned=how,
        raw=remote.raw,
        then=tell,
        **_given_back(nothing_left),
        state=State.CONFIRMED,
        remote_id=getattr(remote, "id", "") or "",
        remote_status=getattr(remote, "status", "") or "",
        last_error="",
    )


def report_twins(create, remote_ids, *, at):
    """
    Togai made further records of a create, though we meant one (reliability.md 2.7): tell the subject, and
    hold a decline ready for each further proposal until a person lets it go. Nobody here can approve it.

    :returns: those ids that were not known yet
    """
    listener = listener_for(create.subject_type)
    new = [remote_id for remote_id in remote_ids if listener.twin_found(create, remote_id, at=at)]
    if create.kind == Kind.CREATE_PROPOSAL:
        for remote_id in new:
            _hold_a_decline(create, remote_id, at=at)
    return new


def _hold_a_decline(create, remote_id, *, at):
    because = f"Togai made {remote_id} besides {create.remote_id}. Let it go on, and it is declined there."
    _write(
        kind=Kind.DECLINE_DUPLICATE,
        subject_type=create.subject_type,
        subject_id=create.subject_id,
        subject_label=create.subject_label,
        revision=create.revision,
        generation=_next_generation(create, Kind.DECLINE_DUPLICATE),
        account_id=create.account_id,
        body_for=lambda key: wire.to_bytes(wire.UpdateProposalStatus(status="DECLINE")),
        depends_on=create,
        direction="DECLINE",
        remote_id=remote_id,
        state=State.HELD,
        held_because=because[:300],
        at=at,
    )


def follow(delivery, remote, *, at):
    """Keep the remote record as last seen and look at it again soon."""
    RemoteSnapshot.objects.update_or_create(
        remote_id=remote.id,
        defaults={
            "kind": Kind.CREATE_PURCHASE if delivery.kind == Kind.CREATE_PURCHASE else Kind.CREATE_PROPOSAL,
            "subject_type": delivery.subject_type,
            "subject_id": delivery.subject_id,
            "status": remote.status,
            "raw": remote.raw,
            "fetched_at": at,
            "next_poll_at": at + timedelta(seconds=2),
            "polls": 0,
            "missing_since": None,
        },
    )


def not_sent(delivery, error, *, at, retry_at):
    """Nothing reached Togai: give the send back, wait, no doubt added."""
    return _finish(
        delivery,
        at=at,
        outcome="not sent",
        learned=str(error),
        error=error,
        state=State.NOT_SENT,
        sends=F("sends") - 1,
        misses=F("misses") + 1,
        next_at=retry_at,
    )


def hold(delivery, error, *, at, because):
    """Stop until a person has put the cause right (`release`)."""
    return _finish(
        delivery,
        at=at,
        outcome="held",
        learned=because,
        error=error,
        state=State.HELD,
        sends=F("sends") - 1,
        held_because=because[:300],
    )


def reject(delivery, error, *, at, message):
    """Togai refused it for good, and what waited behind it will never leave."""

    def tell():
        _take_back(
            Delivery.objects.filter(depends_on=delivery), at=at, why="Togai refused what this was about."
        )
        listener_for(delivery.subject_type).rejected(delivery, message=message, at=at)

    return _finish(
        delivery,
        at=at,
        outcome="refused",
        learned=message,
        error=error,
        then=tell,
        state=State.REJECTED,
    )


def doubt(delivery, error, *, at, look_at, adds_doubt=True, learned=""):
    """
    The answer proves nothing: from now on only a look decides (R-04, R-05).

    :param learned: what is shown in place of the error's own words
    """
    return _finish(
        delivery,
        at=at,
        outcome="unknown",
        learned=learned or str(error),
        error=error,
        state=State.UNKNOWN,
        ambiguous_attempts=F("ambiguous_attempts") + (1 if adds_doubt else 0),
        in_doubt_since=delivery.in_doubt_since or at,
        looks_absent=0,
        last_absent_at=None,
        next_at=look_at,
    )


def look_again(delivery, *, at, look_at, learned, absent=False, error=None):
    """Stay in doubt and look again later; `absent` when a whole walk did not find the change."""
    counted = {"looks_absent": F("looks_absent") + 1, "last_absent_at": at} if absent else {}
    if delivery.last_error in REFUSALS:
        counted["last_message"] = delivery.last_message
    return _finish(
        delivery,
        at=at,
        outcome="absent" if absent else "inconclusive",
        learned=learned,
        error=error,
        next_at=look_at,
        last_error=delivery.last_error,
        **counted,
    )


def last_sent_at(delivery):
    """When it last began to leave; None before that."""
    sends = delivery.attempts.filter(purpose=DeliveryAttempt.Purpose.SEND)
    return sends.aggregate(at=Max("started_at"))["at"]


def send_again(delivery, *, at, learned):
    """Absence is proven: the same bytes may leave once more under the same key (R-14)."""
    return _finish(
        delivery,
        at=at,
        outcome="absent, send again",
        learned=learned,
        state=State.NOT_SENT,
        looks_absent=0,
        last_absent_at=None,
        next_at=at,
    )


def ask_a_person(delivery, *, at, message, error=None, nothing_left=False):
    """
    Every automatic path has ended (R-07).

    :param nothing_left: whether this turn was to send it, and reading Togai kept it from leaving
    """
    return _finish(
        delivery,
        at=at,
        outcome="not sent, needs a person" if nothing_left else "needs a person",
        learned=message,
        error=error,
        then=lambda: listener_for(delivery.subject_type).stuck(delivery, message=message, at=at),
        **_given_back(nothing_left),
        state=State.NEEDS_HUMAN,
    )


def _given_back(nothing_left):
    """The claim counted a send that did not leave."""
    return {"sends": F("sends") - 1} if nothing_left else {}


def give_back(delivery, *, at, why):
    """Nothing was sent after all, and nobody is to blame: the row waits as before."""
    return _finish(
        delivery,
        at=at,
        outcome="not sent",
        learned=why,
        state=State.NOT_SENT,
        sends=F("sends") - 1,
        next_at=at,
    )


def recover_expired_claims(*, at):
    """
    Put rows whose worker died back on a safe path: a send becomes doubt, a look is simply free again. A row
    in whose middle workers die again and again is left to a person (poison row, reliability.md 2.7).

    Returns how many sends were put in doubt.
    """
    expired = Delivery.objects.filter(
        state__in=[State.SENDING, State.UNKNOWN], claim_token__isnull=False, claim_until__lt=at
    )
    return sum(_recover(row, at=at) for row in expired.order_by("claim_until")[:500])


def _recover(row, *, at):
    owner = row.claim_owner
    changes = {"claim_token": None, "claim_owner": "", "claim_until": None, "deaths": row.deaths + 1}
    was_sending = row.state == State.SENDING
    if was_sending:
        changes |= {
            "state": State.UNKNOWN,
            "ambiguous_attempts": row.ambiguous_attempts + 1,
            "in_doubt_since": row.in_doubt_since or at,
            "looks_absent": 0,
            "last_absent_at": None,
            "next_at": at,
            "last_error": "claim-expired",
            "last_message": "The worker stopped in the middle; being verified at Togai.",
        }
    is_poison = row.deaths + 1 >= settings.TOGAI_MOST_DEATHS
    if is_poison:
        message = f"{row.deaths + 1} workers in a row ended in the middle of it; none tries it again."
        changes |= {"state": State.NEEDS_HUMAN, "last_message": message, "closed_at": at}
    with transaction.atomic():
        mine = Delivery.objects.filter(pk=row.pk, state=row.state, claim_token=row.claim_token)
        if not mine.update(**changes):
            return False
        if is_poison:
            row.refresh_from_db()
            listener_for(row.subject_type).stuck(row, message=message, at=at)
    told = {"delivery_id": str(row.pk), "kind": row.kind, "state": changes.get("state", row.state)}
    event = "delivery.poisoned" if is_poison else "delivery.claim_expired"
    log.warning(event, extra=told | {"deaths": changes["deaths"], "worker": owner})
    return was_sending


@contextmanager
def alone_with(delivery_id):
    """
    Hold a row for this session from claim to finish (R-12); gives whether nobody else holds it.

    The database lets go when the process dies, and not while it is merely frozen: a row whose claim has
    expired is not sent again while somebody may still wake up and send it. SQLite takes one worker only.
    """
    if connection.vendor != "postgresql":
        yield True
        return
    key = int.from_bytes(delivery_id.bytes[:8], signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        (mine,) = cursor.fetchone()
    try:
        yield mine
    finally:
        if mine:
            # A connection that broke has let go already.
            with suppress(DatabaseError), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])


def verify_restored(*, at):
    """Put the next of equal creates in doubt whose turn it is after a restore (R-21, R-09)."""
    for row in Delivery.objects.filter(state=State.HELD, last_error=Delivery.RESTORED).order_by("created_at"):
        with suppress(IntegrityError), transaction.atomic():
            Delivery.objects.filter(pk=row.pk, state=State.HELD, last_error=Delivery.RESTORED).update(
                state=State.UNKNOWN, held_because="", next_at=at
            )


def look_now(delivery_id, *, at):
    """
    Bring the next look (never a resend) forward for somebody who waits. Returns whether one was due later.
    """
    moved = Delivery.objects.filter(pk=delivery_id, state=State.UNKNOWN, next_at__gt=at).update(next_at=at)
    transaction.on_commit(wake)
    return bool(moved)


def release(delivery_id, *, at):
    """Let a held row go on."""
    held = Delivery.objects.filter(pk=delivery_id, state=State.HELD).exclude(last_error=Delivery.RESTORED)
    held.update(state=State.NOT_SENT, held_because="", next_at=at)
    transaction.on_commit(wake)


def held_create(subject):
    """The create of a subject that is held and provably never left, or None."""
    creates = Delivery.objects.of(subject).filter(kind__in=Delivery.CREATES, state=State.HELD)
    return creates.filter(sends=0, ambiguous_attempts=0).last()


def withdraw_unsent(subject, *, at, why):
    """
    Take back the deliveries of a subject that provably never left: they end as refused by ourselves.

    Returns True when a create existed and was taken back, so that Togai never heard of the subject.
    """
    of_the_deal = Delivery.objects.of(subject).exclude(kind=Kind.DECLINE_DUPLICATE)
    return bool(_take_back(of_the_deal, at=at, why=why))


def _take_back(deliveries, *, at, why):
    never_left = deliveries.filter(state__in=[State.NOT_SENT, State.HELD], sends=0, ambiguous_attempts=0)
    return never_left.update(
        state=State.REJECTED, last_error=Delivery.WITHDRAWN, last_message=why[:600], closed_at=at
    )
