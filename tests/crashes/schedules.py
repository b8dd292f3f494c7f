"""
Random schedules against the real service code (F-10, F-11): several deals, several workers, a hostile Togai.

Workers die at random checkpoints and are paused between them while others go on; nothing here is a thread, so
one seed always lives the same life.
"""

from collections import Counter
from datetime import timedelta
from random import Random

from django.db import connection
from django.db.models import Count

from audit.refusals import Refusal
from proposals.models import Proposal
from tests.crashes.rig import Killed, drawn_from, listening, picture, rolled_back
from togai import deliveries
from togai.models import Delivery

State = Delivery.State

# The seventeen answers of reliability.md 2.8.
ANSWERS = (
    "ok",
    "dropped",
    "lost",
    "down",
    "applied 500",
    503,
    400,
    401,
    403,
    404,
    409,
    422,
    429,
    "garbage",
    "empty",
    "late",
    "lagging",
)
READS = ("down", "timeout", "garbage", 500, 429)
SPANS = tuple(timedelta(seconds=seconds) for seconds in (1, 20, 40, 180, 400, 960, 3600))
# How long a worker may freeze between two lines. Between its last look at its own claim and the call it may
# not outlive the quarantine: there only the session lock of PostgreSQL stops a resend (R-12, 2.8).
PAUSES = (1, 90, 200, 1500, 7200)
PAUSES_BEFORE_SENDING = (1, 90, 200, 480)
STEPS = 14
DEATH, PAUSE = 0.05, 0.04


class Schedule:
    """
    One life of one seed at a desk.

    :ivar counted: what happened, for the summary
    """

    def __init__(self, desk, seed, *, steps=STEPS):
        self.desk, self.seed, self.steps = desk, seed, steps
        self.rng = Random(f"schedule {seed}")
        self.counted = Counter()
        self.paused = False
        self.faulty = True

    def run(self):
        """
        Live it and check the invariants after every step and at rest. Returns what happened, counted.

        :raises AssertionError: with the seed, and everything that a person needs to see
        """
        with rolled_back(), drawn_from(self.seed):
            self._begin()
            try:
                self._live()
            except Exception as failure:
                raise AssertionError(f"SEED={self.seed}: {failure}\n{picture()}") from failure
        return self.counted

    def _begin(self):
        desk, rng = self.desk, self.rng
        desk.togai.forget()
        desk.violations.clear()
        desk.read.clear()
        desk.clock.at = desk.began
        desk.togai.honours_keys = rng.random() < 0.5
        desk.togai.guards_decisions = rng.random() < 0.5
        desk.togai.shows_keys = rng.random() < 0.8
        # With the longest freeze before a call still within the quarantine.
        desk.togai.late_by = timedelta(minutes=rng.choice((4, 6)))
        self.workers = [f"worker {n}" for n in range(rng.choice((2, 2, 3)))]
        self.undecided = []

    def _live(self):
        desk, rng = self.desk, self.rng
        desk.togai.records[desk.account.togai_id] = {"id": desk.account.togai_id, "name": "Harbor"}
        for number in range(rng.choice((1, 1, 2, 3))):
            self._somebody_wants_something(number)
        with listening(self._passed):
            for _ in range(self.steps):
                self._togai_is_hostile()
                self._something_happens()
                desk.check()
        self.faulty = False
        for proposal in self.undecided:
            self._somebody_decides(proposal)
        desk.calm("at rest")
        for state, count in Delivery.objects.order_by().values_list("state").annotate(Count("pk")):
            self.counted[state] += count

    def _somebody_wants_something(self, number):
        # Another quantity, or the same: look-alikes are part of life.
        quantity = self.rng.choice((2, 2, 3 + number))
        what = self.rng.choice(("proposal", "proposal", "proposal", "purchase", "edit"))
        if what == "proposal":
            self.undecided.append(self.desk.submit(quantity=quantity))
        elif what == "purchase":
            self.desk.release(self.desk.ask_for_release(quantity=quantity))
        else:
            self.desk.edit_account(days=30 + number)

    def _somebody_decides(self, proposal):
        try:
            self.desk.decide(proposal, self.rng.choice(("APPROVE", "APPROVE", "DECLINE")))
        except Refusal:
            # Togai refused its create meanwhile.
            self.counted["not decided"] += 1

    def _togai_is_hostile(self):
        rng, togai = self.rng, self.desk.togai
        togai.next_answers = [rng.choice(ANSWERS) if rng.random() < 0.75 else "ok" for _ in range(4)]
        togai.next_reads = [rng.choice(READS) if rng.random() < 0.15 else "ok" for _ in range(12)]

    def _something_happens(self):
        draw = self.rng.random()
        if draw < 0.55:
            self._some_worker_acts()
        elif draw < 0.85:
            self.desk.clock.at += self.rng.choice(SPANS)
        elif draw < 0.95 and self.undecided:
            self._undecided_no_more()
        else:
            for row in Delivery.objects.filter(state=State.UNKNOWN).values_list("pk", flat=True):
                deliveries.look_now(row, at=self.desk.clock())

    def _undecided_no_more(self):
        proposal = self.undecided.pop(self.rng.randrange(len(self.undecided)))
        try:
            self._somebody_decides(proposal)
        except Killed:
            # The web process died; whether it had committed, the database knows.
            proposal.refresh_from_db()
            if proposal.status == Proposal.Status.SUBMITTED:
                self.undecided.append(proposal)

    def _some_worker_acts(self):
        number = self.rng.randrange(len(self.workers))
        worker = self.desk.worker(self.workers[number])
        self.counted["acts"] += 1
        try:
            if self.rng.random() < 0.5:
                worker.work()
            else:
                deliveries.recover_expired_claims(at=self.desk.clock())
                rows = list(Delivery.objects.open().order_by("pk").values_list("pk", flat=True))
                if rows:
                    worker.step(self.rng.choice(rows))
        except Killed:
            # Another process takes its place.
            self.workers[number] += "'"

    def _passed(self, name):
        """A worker passes a checkpoint: it may die there, or freeze while another one acts."""
        rng = self.rng
        draw = rng.random()
        if draw < DEATH:
            self.counted["deaths"] += 1
            raise Killed(name)
        in_transaction = any(not block._from_testcase for block in connection.atomic_blocks)
        if draw < DEATH + PAUSE and not self.paused and not in_transaction:
            self.counted["pauses"] += 1
            self.paused = True
            try:
                spans = PAUSES_BEFORE_SENDING if name == "send.before" else PAUSES
                self.desk.clock.forward(seconds=rng.choice(spans))
                self._some_worker_acts()
            finally:
                self.paused = False


def run_many(desk, seeds):
    """Run the schedules of these seeds. Returns everything that happened, counted."""
    total = Counter()
    for seed in seeds:
        total += Schedule(desk, seed).run()
        total["schedules"] += 1
    return total
