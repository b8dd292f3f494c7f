"""
The life of a delivery row (reliability.md 2.2 to 2.6): queued with the change it belongs to, claimed by
compare-and-swap, finished by whoever still holds the claim.

Nothing here speaks HTTP; `togai.worker` does, between `claim` and `finish`.
"""

import hashlib
import uuid
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q

from togai.models import Delivery, DeliveryAttempt, Link, RemoteSnapshot
from togai.subjects import listener_for

Kind, State = Delivery.Kind, Delivery.State

# How often a kind may be sent by itself in all (reliability.md 2.8): a resend of a purchase moves money, so
# none.
SEND_LIMITS = {Kind.CREATE_PROPOSAL: 3, Kind.DECIDE: 3, Kind.EDIT_ACCOUNT: 4, Kind.CREATE_PURCHASE: 1}
# After a send in doubt: one early look that may find, then the ladder that may also conclude absence.
EARLY_LOOK = timedelta(seconds=30)
BETWEEN_ABSENCES = timedelta(minutes=5)
LOOK_LADDER = (timedelta(minutes=5), timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
# How long a create may stay in doubt before a person is asked.
LONGEST_DOUBT = timedelta(hours=24)


def new_key():
    """A fresh idempotency key: random, so neither a restore nor an equal deal can bring it back (R-13)."""
    return f"bo1-{settings.TOGAI_ENVIRONMENT}-{uuid.uuid4().hex}"


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
    key = new_key()
    body = body_for(key)
    delivery = Delivery.objects.create(
        kind=kind,
        subject_type=subject._meta.label,
        subject_id=str(subject.pk),
        subject_label=str(subject)[:200],
        revision=revision,
        account_id=account_id,
        depends_on=depends_on,
        direction=direction,
        idempotency_key=key,
        fingerprint=hashlib.sha256(account_id.encode() + b"\n" + body.replace(key.encode(), b"")).hexdigest(),
        body=body,
        body_sha256=hashlib.sha256(body).hexdigest(),
        next_at=at,
        created_by=by,
        created_at=at,
    )
    transaction.on_commit(wake)
    return delivery


def wake():
    """Tell a worker that something waits; losing the message loses nothing (R-08)."""
    from django_q.tasks import async_task

    if not settings.Q_CLUSTER.get("testing"):
        async_task("togai.tasks.work")


def due(at):
    """Keys of the rows that a worker could move now, oldest promise first."""
    free = Q(claim_until__isnull=True) | Q(claim_until__lt=at)
    ready = Q(state=State.NOT_SENT) & (Q(depends_on__isnull=True) | Q(depends_on__state=State.CONFIRMED))
    return (
        Delivery.objects.filter(next_at__lte=at)
        .filter(ready | (Q(state=State.UNKNOWN) & free))
        .order_by("next_at", "created_at")
        .values_list("pk", flat=True)
    )


def claim(delivery_id, *, worker, at):
    """
    Take a row for one step: to send it when it waits, to look for it when it is in doubt.

    A compare-and-swap: of any number of workers one gets the row (R-10). Returns the claimed `Delivery` with
    its started `DeliveryAttempt` as `.attempt`, or None when somebody else has it or a look-alike is in
    doubt.
    """
    token = uuid.uuid4()
    until = at + timedelta(seconds=settings.TOGAI_CLAIM_SECONDS)
    row = Delivery.objects.filter(pk=delivery_id, next_at__lte=at)
    mine = {"claim_token": token, "claim_owner": worker, "claim_until": until}
    try:
        with transaction.atomic():
            sending = row.filter(
                Q(depends_on__isnull=True) | Q(depends_on__state=State.CONFIRMED), state=State.NOT_SENT
            )
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
    changes |= {"claim_token": None, "claim_owner": "", "claim_until": None, "last_message": learned[:600]}
    changes.setdefault("last_error", type(error).__name__ if error else "")
    if changes.get("state") in (State.CONFIRMED, State.REJECTED, State.NEEDS_HUMAN):
        changes["closed_at"] = at
    with transaction.atomic():
        attempt.save()
        moved = Delivery.objects.filter(
            pk=delivery.pk, state=delivery.state, claim_token=attempt.claim_token
        ).update(**changes)
        if moved:
            delivery.refresh_from_db()
            if then:
                then()
    return bool(moved)


def confirm(delivery, remote, *, at, how="Togai answered."):
    """Togai holds the change: bind its record and tell the subject."""

    def tell():
        if delivery.kind in Delivery.CREATES or delivery.kind == Kind.DECIDE:
            follow(delivery, remote, at=at)
        listener_for(delivery.subject_type).confirmed(delivery, remote, at=at)
        # What waited for this one may go now.
        transaction.on_commit(wake)

    return _finish(
        delivery,
        at=at,
        outcome="done",
        learned=how,
        raw=remote.raw,
        then=tell,
        state=State.CONFIRMED,
        remote_id=getattr(remote, "id", "") or "",
        remote_status=getattr(remote, "status", "") or "",
        last_error="",
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
    """Togai refused it for good."""
    return _finish(
        delivery,
        at=at,
        outcome="refused",
        learned=message,
        error=error,
        then=lambda: listener_for(delivery.subject_type).rejected(delivery, message=message, at=at),
        state=State.REJECTED,
    )


def doubt(delivery, error, *, at, look_at, adds_doubt=True):
    """The answer proves nothing: from now on only a look decides (R-04, R-05)."""
    return _finish(
        delivery,
        at=at,
        outcome="unknown",
        learned=str(error),
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


def ask_a_person(delivery, *, at, message, error=None):
    """Every automatic path has ended (R-07)."""
    return _finish(
        delivery,
        at=at,
        outcome="needs a person",
        learned=message,
        error=error,
        then=lambda: listener_for(delivery.subject_type).stuck(delivery, message=message, at=at),
        state=State.NEEDS_HUMAN,
    )


def recover_expired_claims(*, at):
    """
    Put rows whose worker died back on a safe path: a send becomes doubt, a look is simply free again.

    Returns how many sends were put in doubt.
    """
    return Delivery.objects.filter(state=State.SENDING, claim_until__lt=at).update(
        state=State.UNKNOWN,
        ambiguous_attempts=F("ambiguous_attempts") + 1,
        in_doubt_since=at,
        looks_absent=0,
        last_absent_at=None,
        next_at=at,
        last_error="claim-expired",
        last_message="The worker stopped in the middle; being verified at Togai.",
        claim_token=None,
        claim_owner="",
        claim_until=None,
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
    Delivery.objects.filter(pk=delivery_id, state=State.HELD).update(
        state=State.NOT_SENT, held_because="", next_at=at
    )
    transaction.on_commit(wake)


def withdraw_unsent(subject, *, at, why):
    """
    Take back the deliveries of a subject that provably never left: they end as refused by ourselves.

    Returns True when a create existed and was taken back, so that Togai never heard of the subject.
    """
    moved = (
        Delivery.objects.of(subject)
        .filter(state__in=[State.NOT_SENT, State.HELD], sends=0, ambiguous_attempts=0)
        .update(state=State.REJECTED, last_error="withdrawn", last_message=why[:600], closed_at=at)
    )
    return bool(moved)


def reached(*, at):
    """Togai answered: close the outage, if there was one, and let what waited go at once."""
    ended = Link.objects.filter(pk=1).exclude(unreachable_since=None, closed_until=None)
    if ended.update(unreachable_since=None, failures=0, closed_until=None, why="", last_reached_at=at):
        Delivery.objects.filter(state=State.NOT_SENT, next_at__gt=at, misses__gt=0).update(next_at=at)


def unreachable(*, at, why, closed_until=None):
    """Note that a call did not get through, for the banner and the workers."""
    Link.objects.get_or_create(pk=1)
    Link.objects.filter(pk=1, unreachable_since=None).update(unreachable_since=at)
    Link.objects.filter(pk=1).update(failures=F("failures") + 1, why=why[:300])
    if closed_until:
        Link.objects.filter(pk=1).update(closed_until=closed_until)
