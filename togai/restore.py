"""
After a backup was restored (R-21): nothing is sent, everything open is looked up, and what Togai holds of
ours that the backup does not know is found.
"""

from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from audit import services as audit
from togai import deliveries, line
from togai.models import Delivery, Link, RemoteSnapshot

Kind, State = Delivery.Kind, Delivery.State


@dataclass(frozen=True)
class Orphan:
    """A record at Togai that carries a key of ours, and that no delivery here knows."""

    remote_id: str
    account_id: str
    kind: str
    status: str


@transaction.atomic
def begin(*, at, why):
    """
    Stop sending until a person has signed, and put every open delivery in doubt: it may have left since.

    A decision whose create is not confirmed stays as it is; before a decision Togai is always read first.

    :returns: how many were put in doubt
    """
    line.look_only(at=at, why=why)
    sent_after = Q(kind__in=[*Delivery.CREATES, Kind.EDIT_ACCOUNT]) | Q(depends_on__state=State.CONFIRMED)
    # A twin's decline that nobody has let go never left; whoever lets it go has Togai read first.
    waits_for_a_person = Q(kind=Kind.DECLINE_DUPLICATE, state=State.HELD)
    rows = Delivery.objects.open().filter(sent_after).exclude(waits_for_a_person)
    doubted = Delivery.objects.filter(pk__in=list(rows.values_list("pk", flat=True))).update(
        # Equal creates are never in doubt together: their turn comes one by one.
        state=State.HELD,
        held_because="A backup was restored; it is verified once an equal one is.",
        ambiguous_attempts=F("ambiguous_attempts") + 1,
        in_doubt_since=at,
        looks_absent=0,
        last_absent_at=None,
        next_at=at,
        claim_token=None,
        claim_owner="",
        claim_until=None,
        last_error=Delivery.RESTORED,
        last_message="A backup was restored; being verified at Togai.",
    )
    deliveries.verify_restored(at=at)
    audit.record(Link.load(), "look_only", by=None, at=at, reason=why, after={"in_doubt": doubted})
    return doubted


def find_orphans(gateway, account_ids, *, since, at):
    """
    Walk accounts and keep each record with one of our keys that no delivery has, as a snapshot of nobody's.

    Safe to repeat; outside any transaction.

    :param since: the moment of the backup; rows of a list without keys are read one by one from there on
    :raises togai.errors.TogaiError: a walk failed; nothing is concluded from half a list
    :returns: iterator of `Orphan`
    """
    prefix = f"bo1-{settings.TOGAI_ENVIRONMENT}-"
    for account_id in account_ids:
        # Both lists may show the same record: proposals and purchases share their ids.
        seen = set()
        for kind, rows, read in (
            (Kind.CREATE_PROPOSAL, gateway.list_account_proposals, gateway.get_proposal),
            (Kind.CREATE_PURCHASE, gateway.list_account_purchases, gateway.get_purchase),
        ):
            for row in list(rows(account_id)):
                if row.id in seen:
                    continue
                seen.add(row.id)
                key = row.idempotency_key
                if key is None and (row.created_at is None or row.created_at >= since):
                    key = read(row.id).idempotency_key
                if not (key and key.startswith(prefix)):
                    continue
                if Delivery.objects.filter(idempotency_key=key).exists():
                    continue
                yield _keep(read(row.id), kind, account_id, at)


@transaction.atomic
def _keep(remote, kind, account_id, at):
    _, is_new = RemoteSnapshot.objects.get_or_create(
        remote_id=remote.id,
        defaults={
            "kind": kind,
            "subject_type": "",
            "subject_id": "",
            "status": remote.status,
            "raw": remote.raw,
            "fetched_at": at,
            "last_error": "Made after the backup; nothing here belongs to it.",
        },
    )
    if is_new:
        found = {"remote_id": remote.id, "account": account_id, "kind": kind, "status": remote.status}
        audit.record(Link.load(), "orphan_found", by=None, at=at, after=found)
    return Orphan(remote.id, account_id, kind, remote.status)


def sweep_duplicates(gateway, *, since, at):
    """
    Look for twins of what was sent more than once: a send that Togai applied late (reliability.md 2.7).

    :returns: (delivery, extra remote ids) pairs that are new; each is on record and shown at its deal
    """
    found = []
    resent = Delivery.objects.filter(
        kind__in=Delivery.CREATES, state=State.CONFIRMED, sends__gt=1, closed_at__gte=since
    )
    for delivery in resent.order_by("closed_at")[:200]:
        is_proposal = delivery.kind == Kind.CREATE_PROPOSAL
        walk = gateway.list_account_proposals if is_proposal else gateway.list_account_purchases
        extra = [
            row.id
            for row in list(walk(delivery.account_id))
            if row.idempotency_key == delivery.idempotency_key and row.id != delivery.remote_id
        ]
        with transaction.atomic():
            new = deliveries.report_twins(delivery, extra, at=at)
        if new:
            found.append((delivery, new))
    return found
