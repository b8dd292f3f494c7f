"""Writing the record and proving that it is whole."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from audit import context
from audit.models import Denial, Event
from audit.roles import role_names


def record(
    subject,
    verb,
    *,
    by,
    at,
    before=None,
    after=None,
    reason="",
    reason_code="",
    on_behalf_of=None,
    batch_id=None,
):
    """
    Put one change on record, in the transaction of the change itself, under the lock that the caller holds.

    :param subject: the row that changed; its class and key name the chain
    :param verb: one word for what happened, e.g. "approve"
    :param by: the person, or None for the worker
    :param before: the changed fields as they were, after: as they are; plain values
    :raises RuntimeError: outside a transaction, where a record could outlive the change it speaks of
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("A change and its record belong to one transaction.")
    origin = context.current()
    last = Event.objects.about(subject).order_by("-seq").values("seq", "hash").first()
    event = Event(
        subject_type=subject._meta.label,
        subject_id=str(subject.pk),
        subject_label=str(subject)[:200],
        seq=last["seq"] + 1 if last else 1,
        at=at,
        actor=by,
        actor_roles=role_names(by)[:120] if by else "",
        on_behalf_of=on_behalf_of,
        channel=origin.channel,
        request_id=origin.request_id,
        address=origin.address,
        batch_id=batch_id,
        verb=verb,
        reason_code=reason_code,
        reason=reason,
        before=before or {},
        after=after or {},
        previous_hash=last["hash"] if last else "",
    )
    event.hash = event_hash(event)
    event.save(force_insert=True)
    return event


def record_denial(*, by, at, method, path, status):
    """
    Put on record that a person was refused a page or a change (S-01, S-30).

    :param status: the answer they got: 403, 404 or 409
    """
    origin = context.current()
    return Denial.objects.create(
        at=at,
        actor=by,
        actor_roles=role_names(by)[:120],
        channel=origin.channel,
        request_id=origin.request_id,
        address=origin.address,
        method=method[:10],
        path=path[:300],
        status=status,
    )


def event_hash(event):
    """SHA-256 over the canonical content of an event and the hash before it, as 64 hex digits."""
    content = {
        "subject": [event.subject_type, event.subject_id, event.seq],
        "at": event.at.astimezone(UTC).isoformat(),
        "who": [event.actor_id, event.actor_roles, event.on_behalf_of_id],
        "from": [event.channel, event.request_id, event.address, str(event.batch_id or "")],
        "what": [event.verb, event.reason_code, event.reason, event.before, event.after],
        "previous": event.previous_hash,
    }
    text = json.dumps(
        content, sort_keys=True, separators=(",", ":"), cls=DjangoJSONEncoder, ensure_ascii=True
    )
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Break:
    """The first place where a chain does not hold."""

    event_id: int
    subject: str
    seq: int
    why: str


def verify():
    """
    Walk every chain and return the first `Break`, or None when all of them hold.

    A chain proves consistency only; someone who owns the database can rewrite it whole (S-29).
    """
    last = {}
    for event in Event.objects.order_by("subject_type", "subject_id", "seq").iterator(chunk_size=2000):
        key = event.subject_type, event.subject_id
        seq, previous = last.get(key, (0, ""))
        if event.seq != seq + 1:
            why = f"number {seq + 1} is missing"
        elif event.previous_hash != previous:
            why = "it does not follow from the event before it"
        elif event.hash != event_hash(event):
            why = "its content was changed"
        else:
            last = {key: (event.seq, event.hash)}
            continue
        return Break(event.pk, f"{event.subject_type} {event.subject_id}", event.seq, why)
    return None
