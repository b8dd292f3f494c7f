"""F-14: every fault of reliability.md 3.2 at every step, through the real gateway and the real worker."""

import json
from collections import Counter
from datetime import timedelta

import pytest

from audit import services as audit
from proposals import services
from purchases import services as purchases
from tests.factories import NOON, finance, submitted, submitted_purchase
from tests.faults.faults import CELLS, FAULTS, IN_DOUBT, LISTS, STEPS, TABLE, WRITES, Means, why_not
from tests.faults.rig import TOKEN, Fault, Step
from tests.togai.raw_server import closes
from togai import deliveries
from togai.models import Delivery, DeliveryAttempt, Link
from togai.worker import Worker

pytestmark = pytest.mark.django_db

Kind, State = Delivery.Kind, Delivery.State
LOSES_THE_ANSWER = Fault("answer lost", lambda good: closes)
TLS_ROADS = ("stranger", "plain")


def cells_at(*steps):
    return pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.step in steps], ids=str)


class Story:
    """One cell lived through: the rig as the cell wants it, one delivery, and the worker."""

    def __init__(self, cell, rig, clock):
        self.cell, self.rig, self.clock = cell, rig, clock
        self.fault = cell.entry.fault
        rig.begin(
            clock,
            honours_keys=cell.strict,
            guards_decisions=cell.strict,
            tls=self.fault.road in TLS_ROADS,
        )
        self.worker = Worker(rig.gateway(), clock=clock, monotonic=clock.monotonic, name="test")
        self.delivery = None

    def waits(self, deal, kind):
        self.deal = deal
        self.delivery = Delivery.objects.of(deal).get(kind=kind)

    def misbehave(self):
        if self.fault.slow:
            self.worker.gateway = self.rig.gateway(hurry=True)
        self.rig.misbehave(self.fault, at=self.cell.step, applies=self.cell.applied)

    def heal(self):
        assert self.rig.road or any(line.fault for line in self.rig.received(self.cell.step)), (
            "It never struck."
        )
        self.rig.heal()
        self.worker.gateway = self.rig.gateway()

    def step(self):
        self.worker.step(self.delivery.pk)
        self.delivery.refresh_from_db()

    def seconds_closed(self):
        until = Link.load().closed_until
        return max(0, (until - self.clock()).total_seconds()) if until else 0

    def live(self, *, most=timedelta(hours=26)):
        """Let virtual time pass, from one due moment to the next, until the row is closed (I2)."""
        ends = self.clock() + most
        while self.clock() < ends:
            self.worker.work()
            self.delivery.refresh_from_db()
            if self.delivery.state == State.HELD:
                # What was held for a person goes on when a person has put it right.
                deliveries.release(self.delivery.pk, at=self.clock())
                continue
            if not self.delivery.is_open:
                break
            until = max(
                self.delivery.next_at, Link.load().closed_until or NOON, self.clock() + timedelta(seconds=1)
            )
            self.clock.at = until
        self.check()

    def check(self):
        """The invariants that are true of every story at rest (reliability.md 3.4)."""
        bodies = {}
        for line in self.rig.received(Step.PROPOSAL, Step.PURCHASE):
            # What was not read is not in the ledger.
            if line.body:
                bodies.setdefault(json.loads(line.body)["idempotencyKey"], set()).add(line.body)
        assert all(len(sent) == 1 for sent in bodies.values()), "I7"
        assert all(times == 1 for times in self.rig.decided().values()), "I4"
        for delivery in Delivery.objects.filter(kind__in=Delivery.CREATES):
            objects = self.rig.records_of(delivery.idempotency_key)
            assert len(objects) <= 1, "I3"
            if delivery.state == State.CONFIRMED:
                assert [record["id"] for record in objects] == [delivery.remote_id], "I5"
            if delivery.state == State.REJECTED:
                assert objects == [], "I6"
            assert delivery.sends <= deliveries.most_sends(delivery.kind), "I9"
        for attempt in DeliveryAttempt.objects.all():
            assert TOKEN not in attempt.learned + attempt.response, "I10"
        assert audit.verify() is None, "I8"

    def objects(self):
        return len(self.rig.records_of(self.delivery.idempotency_key))

    # What a row must look like right after the fault

    def says_how_long_the_line_is_closed(self):
        """2.6: a refused token, a pause and a redirect stop everybody; one lost call stops nobody."""
        wanted = self.cell.entry.closed_for
        if self.cell.means in {Means.AUTH, Means.BUSY}:
            assert self.seconds_closed() == wanted
            reads = len(self.rig.ledger)
            self.clock.forward(seconds=wanted - 1)
            self.worker.work()
            assert len(self.rig.ledger) == reads, "Somebody called while the line was closed."
        elif wanted:
            assert self.seconds_closed() >= wanted
        else:
            assert self.seconds_closed() == 0

    def was_not_sent(self):
        assert (self.delivery.state, self.delivery.sends, self.delivery.ambiguous_attempts) == (
            State.NOT_SENT,
            0,
            0,
        )
        assert self.delivery.last_error == self.cell.entry.error
        if self.cell.means == Means.NOT_SENT:
            assert timedelta(0) < self.delivery.next_at - self.clock() <= timedelta(minutes=6)

    def is_in_doubt(self):
        assert (self.delivery.state, self.delivery.sends, self.delivery.ambiguous_attempts) == (
            State.UNKNOWN,
            1,
            1,
        )
        assert self.delivery.last_error == self.cell.entry.error
        wait = self.delivery.next_at - self.clock()
        if self.cell.means == Means.CLASH:
            assert wait <= timedelta(0)
        else:
            assert timedelta(0) < wait <= timedelta(minutes=15)
        if self.fault.slow:
            # every one of them is ended by the deadline over the whole.
            assert self.delivery.last_message == "Togai's answer took too long."


@pytest.fixture
def story(cell, rig, clock):
    return Story(cell, rig, clock)


def released_purchase():
    purchase = submitted_purchase()
    return purchases.release(
        purchase_id=purchase.pk, by=finance(), at=NOON, content_hash=purchase.content_hash
    )


def approved(proposal):
    return services.approve(
        proposal_id=proposal.pk, by=finance(), at=NOON, content_hash=proposal.content_hash
    )


def test_the_table_is_full():
    """F-14: faults × steps × applied or not × strict or lax; what cannot occur is listed with its reason."""
    cannot = Counter(why_not(cell) for cell in TABLE if why_not(cell))
    assert len(FAULTS) >= 36
    assert len(TABLE) == len(FAULTS) * len(STEPS) * 4
    assert len(CELLS) + sum(cannot.values()) == len(TABLE)
    assert len({str(cell) for cell in CELLS}) == len(CELLS) >= 500
    # Every fault is met at every step, but for one that a list cannot show.
    met = {(str(cell.entry), cell.step) for cell in CELLS}
    missing = {(str(entry), step) for entry in FAULTS for step in STEPS} - met
    assert missing == {("other account", step) for step in LISTS}


@cells_at(Step.PROPOSAL, Step.PURCHASE)
def test_a_create(cell, story, rig):
    """F-14, R-04, R-05, R-17, R-18, R-19, R-20: done, not done or unknown; then its right end (I2 to I7)."""
    is_proposal = cell.step == Step.PROPOSAL
    kind = Kind.CREATE_PROPOSAL if is_proposal else Kind.CREATE_PURCHASE
    story.waits(submitted() if is_proposal else released_purchase(), kind)
    story.misbehave()
    story.step()
    if cell.means == Means.FINE:
        assert story.delivery.state == State.CONFIRMED
    elif cell.means == Means.CONTENT:
        assert (story.delivery.state, story.delivery.ambiguous_attempts) == (State.REJECTED, 0)
        assert story.delivery.last_message == "Scripted."
    elif cell.means in (Means.FORBIDDEN, Means.MISSING):
        assert (story.delivery.state, story.delivery.sends) == (State.HELD, 0)
        assert story.delivery.held_because
    elif cell.means in IN_DOUBT:
        story.is_in_doubt()
    else:
        story.was_not_sent()
    story.says_how_long_the_line_is_closed()
    assert len(rig.received(cell.step)) <= 1
    story.heal()
    story.live()
    if cell.means == Means.CONTENT:
        ending = (State.REJECTED, 0)
    elif cell.means in IN_DOUBT and not cell.applied and not is_proposal:
        # Money moves at once: a purchase is never sent again by itself.
        ending = (State.NEEDS_HUMAN, 0)
    else:
        ending = (State.CONFIRMED, 1)
    assert (story.delivery.state, story.objects()) == ending


@cells_at(Step.DECISION)
def test_a_decision(cell, story, rig):
    """F-14, R-24, R-25: no key protects it, so Togai's record alone says whether it happened (I4)."""
    proposal = submitted()
    story.worker.work()
    approved(proposal)
    story.waits(proposal, Kind.DECIDE)
    story.misbehave()
    story.step()
    if cell.means == Means.FINE:
        assert story.delivery.state == State.CONFIRMED
    elif cell.means in (Means.CONTENT, Means.MISSING):
        # It may have crossed somebody else's decision: read before believing it.
        assert (story.delivery.state, story.delivery.ambiguous_attempts) == (State.UNKNOWN, 0)
        assert story.delivery.next_at <= story.clock()
    elif cell.means == Means.FORBIDDEN:
        assert (story.delivery.state, story.delivery.sends) == (State.HELD, 0)
    elif cell.means in IN_DOUBT:
        story.is_in_doubt()
    else:
        story.was_not_sent()
    story.says_how_long_the_line_is_closed()
    story.heal()
    story.live()
    refused = cell.means in (Means.CONTENT, Means.MISSING)
    assert story.delivery.state == (State.NEEDS_HUMAN if refused else State.CONFIRMED)
    assert sum(rig.decided().values()) == (0 if refused else 1)


@cells_at(Step.GET_PROPOSAL)
def test_the_read_before_a_decision(cell, story, rig):
    """F-14, R-24: what cannot be read first is not sent, and leaves no doubt."""
    proposal = submitted()
    story.worker.work()
    approved(proposal)
    story.waits(proposal, Kind.DECIDE)
    story.misbehave()
    story.step()
    parked = cell.means in (Means.MISSING, Means.CONFLICT)
    if cell.means == Means.FINE:
        assert story.delivery.state == State.CONFIRMED
    else:
        assert rig.received(Step.DECISION) == []
        assert story.delivery.ambiguous_attempts == 0
        assert story.delivery.state in {
            Means.MISSING: (State.NEEDS_HUMAN,),
            Means.CONFLICT: (State.NEEDS_HUMAN,),
            Means.FORBIDDEN: (State.NOT_SENT, State.HELD),
        }.get(cell.means, (State.NOT_SENT,))
    if not parked:
        assert story.delivery.sends == (1 if cell.means == Means.FINE else 0)
        story.says_how_long_the_line_is_closed()
    story.heal()
    story.live()
    proposal.refresh_from_db()
    assert story.delivery.state == (State.NEEDS_HUMAN if parked else State.CONFIRMED)
    assert bool(proposal.togai_problem) == parked
    assert sum(rig.decided().values()) == (0 if parked else 1)


@cells_at(*LISTS)
def test_the_look_for_a_create_in_doubt(cell, story, rig, clock):
    """F-14, R-05, R-07: a walk that did not reach the end of the list proves no absence, however often."""
    proposal = submitted()
    # An empty list has no row that could be odd.
    for number in (1, 2):
        rig.togai.records[f"purchase.old{number}"] = {
            "id": f"purchase.old{number}",
            "accountId": proposal.account.togai_id,
            "status": "PROPOSAL_ACTIVE",
            "idempotencyKey": f"bo1-other-{number}",
            "createdAt": "2030-01-09T12:00:00Z",
        }
    if cell.step == Step.LATER_PAGE:
        rig.page_size = 1
    story.waits(proposal, Kind.CREATE_PROPOSAL)
    rig.misbehave(LOSES_THE_ANSWER, at=Step.PROPOSAL, applies=cell.applied)
    story.step()
    assert (story.delivery.state, story.delivery.ambiguous_attempts) == (State.UNKNOWN, 1)
    rig.heal()
    story.misbehave()
    clock.forward(minutes=1)
    story.step()
    if cell.means == Means.FINE:
        assert story.delivery.state == (State.CONFIRMED if cell.applied else State.UNKNOWN)
    elif cell.means == Means.MISSING:
        assert story.delivery.state == State.NEEDS_HUMAN
    else:
        assert story.delivery.attempts.last().outcome == "inconclusive"
        story.says_how_long_the_line_is_closed()
        # Past the quarantine and past the five minutes between two absences: still nothing is concluded.
        for _ in range(3):
            clock.forward(minutes=20)
            story.step()
        assert (story.delivery.state, story.delivery.looks_absent) == (State.UNKNOWN, 0)
        assert story.delivery.ambiguous_attempts == 1
    assert len(rig.received(Step.PROPOSAL)) == 1
    story.heal()
    story.live()
    if cell.means == Means.MISSING:
        assert story.delivery.state == State.NEEDS_HUMAN
    else:
        assert (story.delivery.state, story.objects()) == (State.CONFIRMED, 1)
        assert len(rig.received(Step.PROPOSAL)) == (1 if cell.applied else 2)


@cells_at(Step.PROBE)
def test_the_probe_of_a_line_that_is_down(cell, story, rig, clock):
    """F-14, 2.10: no row is charged while the line is down, and a page of somebody else's is no Togai."""
    story.waits(submitted(), Kind.CREATE_PROPOSAL)
    Link.objects.create(pk=1, unreachable_since=NOON, closed_until=NOON, failures=5, probes=1)
    clock.forward(minutes=1)
    story.misbehave()
    story.worker.work()
    story.delivery.refresh_from_db()
    if cell.means == Means.FINE:
        assert story.delivery.state == State.CONFIRMED
    else:
        assert rig.writes() == []
        assert (story.delivery.state, story.delivery.sends, story.delivery.attempts.count()) == (
            State.NOT_SENT,
            0,
            0,
        )
    story.heal()
    story.live()
    assert (story.delivery.state, story.objects()) == (State.CONFIRMED, 1)


def test_every_write_step_is_in_the_ledger():
    """F-01: the table names the calls that move a deal; an edit of an account is idempotent by itself."""
    calls = {Kind.DECLINE_DUPLICATE: Kind.DECIDE}
    assert len(WRITES) == len({calls.get(kind, kind) for kind in Kind} - {Kind.EDIT_ACCOUNT})
