"""
What must hold after every step and at rest, whatever died and whatever Togai answered (reliability.md 3.4).

Togai's side is read from the ledger of its stand-in, never from our own rows.
"""

import hashlib
import json
from collections import Counter, defaultdict

from accounts.models import Account
from audit import services as audit
from audit.models import Event
from proposals.models import Decision, Proposal
from purchases.models import Purchase
from togai import deliveries
from togai.models import Delivery, DeliveryAttempt
from togai.subjects import listener_for
from togai.worker import REACHED

Kind, State = Delivery.Kind, Delivery.State

CLOSED = (State.CONFIRMED, State.REJECTED, State.NEEDS_HUMAN)
DIRECTIONS = {Proposal.Status.APPROVED: "APPROVE", Proposal.Status.DECLINED: "DECLINE"}
# What a record at Togai says after our decision alone.
ENDS = {"APPROVE": "PROPOSAL_APPROVED", "DECLINE": "PROPOSAL_DECLINED"}
# How a row ends without Togai's word: taken back before it left, or closed by two people.
LET_GO = Delivery.WITHDRAWN, Delivery.ABANDONED, Delivery.DECLARED_ABSENT
# Answers that came before anything could happen: such a send is not counted (reliability.md 2.6).
TURNED_AWAY = "not sent", "held"


class Violation(AssertionError):
    """An invariant does not hold; the message begins with its id."""


def check(desk, *, at_rest=False):
    """
    Check I1, I3 to I7, I9, I11 and I12; at rest also I2 and I8, and that nothing is lost without a word.

    :param desk: a `rig.Desk` or a `killing.Place`
    :raises Violation: at the first that does not hold
    """
    rows = list(Delivery.objects.select_related("depends_on").order_by("created_at", "pk"))
    togai = desk.togai
    objects = defaultdict(list)
    for record in togai.records.values():
        if record.get("idempotencyKey"):
            objects[record["idempotencyKey"]].append(record)
    for text in desk.violations:
        raise Violation(text)
    _every_wish_has_a_row(rows)
    _one_object_for_a_key(rows, objects)
    _confirmed_and_refused_are_true(rows, togai, objects)
    _decisions_are_applied_once(rows, togai)
    _bytes_never_change(rows, togai)
    _sends_are_bounded(rows)
    _decided_by_others_who_read_it(desk)
    if at_rest:
        _everything_is_closed(rows, at=desk.clock())
        _what_is_shown_is_true(rows, togai)
        _the_record_is_whole(rows)


def _fail(invariant, text):
    raise Violation(f"{invariant}: {text}")


def _every_wish_has_a_row(rows):
    have = {(row.subject_type, row.subject_id, row.kind, row.revision) for row in rows}
    refused = {
        row.subject_id for row in rows if row.kind == Kind.CREATE_PROPOSAL and row.state == State.REJECTED
    }
    wanted = []
    deals = Proposal.objects.exclude(status=Proposal.Status.DRAFT)
    for pk, status, revision in deals.values_list("pk", "status", "revision"):
        wanted.append((Proposal, pk, Kind.CREATE_PROPOSAL, revision))
        if status in DIRECTIONS and str(pk) not in refused:
            wanted.append((Proposal, pk, Kind.DECIDE, revision))
    sent = Purchase.objects.filter(status=Purchase.Status.SENT)
    for pk, revision in sent.values_list("pk", "revision"):
        wanted.append((Purchase, pk, Kind.CREATE_PURCHASE, revision))
    edits = Event.objects.filter(subject_type=Account._meta.label, verb="edit")
    for pk, after in edits.values_list("subject_id", "after"):
        wanted.append((Account, pk, Kind.EDIT_ACCOUNT, after["version"]))
    for model, pk, kind, revision in wanted:
        if (model._meta.label, str(pk), kind, revision) not in have:
            _fail("I1", f"{model.__name__} {pk} has no {kind} of revision {revision}")


def _one_object_for_a_key(rows, objects):
    known = {row.idempotency_key for row in rows if row.kind in Delivery.CREATES}
    for key, records in objects.items():
        if key not in known:
            _fail("I1", f"Togai holds {records[0]['id']} and no row knows its key")
        if len(records) > 1:
            _fail("I3", f"{len(records)} objects at Togai for the key {key}")


def _confirmed_and_refused_are_true(rows, togai, objects):
    for row in rows:
        if row.kind not in Delivery.CREATES:
            continue
        there = objects.get(row.idempotency_key, [])
        if row.state == State.CONFIRMED:
            record = togai.records.get(row.remote_id)
            if record is None or record.get("idempotencyKey") != row.idempotency_key:
                _fail("I5", f"{row} is confirmed as {row.remote_id!r}, which Togai does not hold")
        elif row.state == State.REJECTED and there:
            _fail("I6", f"{row} is refused, yet Togai holds {there[0]['id']}")


def _decisions_are_applied_once(rows, togai):
    directions = {
        row.depends_on.remote_id: row.direction
        for row in rows
        if row.kind == Kind.DECIDE and row.depends_on_id
    }
    applied = Counter()
    for path, body, remote_id in togai.applied:
        if not path.endswith("update_status"):
            continue
        applied[remote_id] += 1
        if applied[remote_id] > 1:
            _fail("I4", f"Togai applied a decision about {remote_id} {applied[remote_id]} times")
        if body["status"] != directions.get(remote_id):
            _fail(
                "I4", f"Togai applied {body['status']} to {remote_id}; we wanted {directions.get(remote_id)}"
            )
    decided = []
    for row in rows:
        if row.kind == Kind.DECIDE and row.state == State.REJECTED and row.last_error not in LET_GO:
            status = togai.records.get(row.depends_on.remote_id, {}).get("status")
            if status in REACHED[row.direction]:
                _fail("I6", f"{row} is refused, yet Togai says {status}")
        if row.kind != Kind.DECIDE or row.state != State.CONFIRMED:
            continue
        status = togai.records[row.depends_on.remote_id]["status"]
        if (status == "PROPOSAL_DECLINED") != (row.direction == "DECLINE"):
            _fail("I4", f"{row.direction} is confirmed and Togai says {status}")
        decided.append(row)
    statuses = dict(
        Proposal.objects.filter(pk__in=[row.subject_id for row in decided]).values_list("pk", "status")
        if decided
        else ()
    )
    for row in decided:
        status = statuses[int(row.subject_id)]
        if DIRECTIONS.get(status) not in (None, row.direction):
            _fail("I4", f"{row} is {status} here, and {row.direction} was sent")


def _bytes_never_change(rows, togai):
    by_key = {row.idempotency_key: row for row in rows}
    for _, path, body in togai.writes:
        sent = json.loads(body)
        key = sent.get("idempotencyKey")
        if key is None:
            continue
        row = by_key.get(key)
        if row is None:
            _fail("I1", f"a create left for {path} that no row knows")
        if body != bytes(row.body) or hashlib.sha256(body).hexdigest() != row.body_sha256:
            _fail("I7", f"{row} left with other bytes than its frozen ones")


def _sends_are_bounded(rows):
    counted = Counter(
        DeliveryAttempt.objects.filter(purpose="SEND")
        .exclude(outcome__in=TURNED_AWAY)
        .values_list("delivery_id", flat=True)
    )
    for row in rows:
        limit = deliveries.most_sends(row.kind)
        if row.sends > limit or counted[row.pk] > limit:
            _fail("I9", f"{row} was sent {counted[row.pk]} times (counted {row.sends}), at most {limit}")


def _decided_by_others_who_read_it(desk):
    for decision in (
        Decision.objects.exclude(verb="recall")
        .select_related("proposal")
        .prefetch_related("proposal__editors")
    ):
        deal = decision.proposal
        authors = {deal.owner_id, deal.created_by_id, deal.last_edited_by_id, deal.submitted_by_id}
        if decision.by_id in authors or decision.by_id in {editor.pk for editor in deal.editors.all()}:
            _fail("I11", f"{deal} was decided by one of its authors")
        if decision.content_hash != deal.content_hash:
            _fail("I11", f"{deal} was decided on other content than it now shows")
        if decision.content_hash != desk.read.get(deal.pk, decision.content_hash):
            _fail("I11", f"{deal} was decided by somebody who had read other content")


def _everything_is_closed(rows, *, at):
    for row in rows:
        if row.state in CLOSED:
            continue
        before = row.depends_on
        # What waits behind a row that a person has to settle waits with it, and both are shown.
        if row.state == State.NOT_SENT and before is not None and before.state == State.NEEDS_HUMAN:
            continue
        # Held for good: whoever owns the deal ends it, or writes another revision.
        waits_for = before if row.state == State.NOT_SENT else row
        if waits_for is not None and _stays_held(waits_for, at):
            continue
        _fail("I2", f"{row} is still {row.state} at rest: {row.last_message}")


def _stays_held(row, at):
    return row.state == State.HELD and bool(listener_for(row.subject_type).stale(row, at=at))


def _what_is_shown_is_true(rows, togai):
    """Nothing is lost, and whoever has to act is told so: at rest our rows and Togai's agree or say not."""
    for row in rows:
        if row.state == State.NEEDS_HUMAN and not row.last_message:
            _fail("I2", f"{row} needs a person and does not say why")
        if row.state != State.CONFIRMED:
            continue
        if row.kind == Kind.EDIT_ACCOUNT:
            wanted = json.loads(bytes(row.body))
            there = togai.records.get(row.account_id, {})
            if any(there.get(name) != value for name, value in wanted.items()):
                _fail("I5", f"{row} is confirmed and Togai shows {there}")
            continue
        model = Purchase if row.kind == Kind.CREATE_PURCHASE else Proposal
        deal = model.objects.get(pk=row.subject_id)
        create = row.depends_on if row.kind == Kind.DECIDE else row
        if deal.togai_id != create.remote_id:
            _fail("I5", f"{deal} shows {deal.togai_id!r} and its row says {create.remote_id!r}")


def _the_record_is_whole(rows):
    broken = audit.verify()
    if broken:
        _fail("I8", f"the chain breaks at {broken}")
    events = Counter((event.subject_type, event.subject_id, event.verb) for event in Event.objects.all())
    deciders = set(
        Event.objects.filter(actor=None)
        .exclude(
            verb__in=[
                "togai",
                "drift",
                "expire",
                "needs_a_person",
                "refused_by_togai",
                "edit_confirmed",
                "pull",
                "drift_gone",
                "look_only",
                "orphan_found",
            ]
        )
        .values_list("verb", flat=True)
    )
    if deciders:
        _fail("I8", f"nobody is named for {deciders}")
    refused, stuck = Counter(), Counter()
    for row in rows:
        subject = row.subject_type, row.subject_id
        refused[subject] += row.state == State.REJECTED and row.last_error not in LET_GO
        stuck[subject] += row.state == State.NEEDS_HUMAN
    for verb, counted in (("refused_by_togai", refused), ("needs_a_person", stuck)):
        for subject, count in counted.items():
            if events[(*subject, verb)] != count:
                _fail("I8", f"{subject} has {events[(*subject, verb)]} entries of {verb} for {count} rows")
    for (subject_type, subject_id, verb), count in events.items():
        if verb in ("submit", "approve", "decline", "release") and count > 1:
            _fail("I8", f"{subject_type} {subject_id} has {count} entries of {verb}")
    if DeliveryAttempt.objects.filter(worker="").exists():
        _fail("I8", "an attempt names no worker")
