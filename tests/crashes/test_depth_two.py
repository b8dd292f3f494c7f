"""
Every two faults in a row, against the real service code (F-13): 25,992 creates and 92,480 decisions.

A case is two attempts to send one change. Each has an answer of Togai's and a moment at which its worker
dies; after both all goes well. A merge walks a spread of the cases; `make soak` walks them all:

    DEPTH_TWO=all python -m pytest tests/crashes/test_depth_two.py            every case (-n spreads them)
    DEPTH_TWO=3/8 python -m pytest tests/crashes/test_depth_two.py            the third of eight shards
    DEPTH_TWO=approve:4711 python -m pytest tests/crashes/test_depth_two.py   one case again

Where a life ends before it has read all of its case (the first attempt was confirmed, say), it is the life of
every case that differs only in the rest, and is lived once.
"""

import os
from collections import Counter
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import chain, count, product
from math import gcd, prod

import pytest

from tests.crashes.invariants import ENDS, Violation
from tests.crashes.rig import STORIES, Killed, drawn_from, listening, picture, rolled_back
from tests.crashes.schedules import ANSWERS
from togai import deliveries
from togai.models import Delivery, DeliveryAttempt

pytestmark = pytest.mark.django_db

State = Delivery.State

# Answers by which Togai refuses the content of a request, or says that it knows no such record.
REFUSALS = {400, 404, 422}


@dataclass(frozen=True)
class Plan:
    """
    What the cases of one kind of change are made of.

    :ivar answers: what Togai does with a write, see `FakeTogai`
    :ivar kills: the checkpoints of an attempt, or of the look after it, at which its worker dies, or None
    :ivar outside: (what somebody does in Togai's console, when), or None
    :ivar switches: of Togai: honours the key, or guards a second decision
    """

    answers: tuple
    kills: tuple
    outside: tuple
    switches: tuple = (True, False)

    @property
    def digits(self):
        """The sides of the product, the fastest first."""
        return (
            self.answers,
            self.kills,
            self.answers,
            self.kills,
            self.outside,
            self.switches,
        )

    def __len__(self):
        return prod(len(side) for side in self.digits)


DECISION = Plan(
    # A decision's 200 can show the old status; that it is empty says nothing more than that it is garbage.
    answers=tuple("stale" if answer == "empty" else answer for answer in ANSWERS),
    kills=(None, "send.before", "finish.before", "look.after"),
    outside=(
        None,
        *(
            (status, moment)
            for status in ("PROPOSAL_DECLINED", "PROPOSAL_APPROVED", "PROPOSAL_EXPIRED")
            for moment in ("before", "between read and write", "between the attempts")
        ),
    ),
)
PLANS = {
    "create": Plan(
        answers=(*ANSWERS, "other account", 302),
        kills=(None, "claim.committed", "finish.before", "finish.inside", "finish.committed", "look.after"),
        outside=(None,),
    ),
    "approve": DECISION,
    # The mirror of the same cases, beyond the number that was asked for.
    "decline": DECISION,
}
# How many cases a merge walks; each answer meets each death in every 114 creates and in every 68 decisions.
OF_A_MERGE = {"create": 228, "approve": 204, "decline": 204}
ALL_DIGITS = ("answer 1", "kill 1", "answer 2", "kill 2", "outside", "switch")
MOST_SHOWN = 20

# What a person asked for: "" in a merge, "all", "3/8" for a shard, "approve:4711" for a case.
ASKED = os.environ.get("DEPTH_TWO", "")
OF_ALL = 17
PARTS = [(part, OF_ALL) for part in range(1, OF_ALL + 1)] if ASKED == "all" else []
if "/" in ASKED:
    PARTS = [tuple(int(number) for number in ASKED.split("/"))]
whole_run_aside = pytest.mark.skipif(bool(ASKED), reason="DEPTH_TWO asks for something else")


@dataclass(frozen=True)
class Case:
    """One case; the same number of a kind is always the same case."""

    kind: str
    number: int
    attempts: tuple
    outside: tuple | None
    switch: bool

    @classmethod
    def of(cls, kind, number):
        """The case of this number, from 0."""
        drawn, rest = [], number
        for side in PLANS[kind].digits:
            rest, place = divmod(rest, len(side))
            drawn.append(side[place])
        if rest:
            raise ValueError(f"There are {len(PLANS[kind])} cases of {kind}.")
        return cls(kind, number, (tuple(drawn[:2]), tuple(drawn[2:4])), *drawn[4:])

    def __str__(self):
        return f"{self.kind}:{self.number}"


def spread(kind, how_many=None):
    """
    Case numbers in an order whose every beginning is spread over all of them; all of them when not told less.
    """
    total = len(PLANS[kind])
    # Near the golden section, and without a common divisor: each number comes once.
    stride = next(step for step in count(int(total * 0.618)) if gcd(step, total) == 1)
    return [turn * stride % total for turn in range(how_many or total)]


class Fate:
    """
    Listens at the checkpoints: brings each attempt its answer and death, and acts at Togai's console.

    :ivar read: the digits of the case that made a difference so far; console and switch always may
    :ivar deaths: the checkpoints at which somebody died
    :ivar acted: whether somebody did something in the console
    """

    def __init__(self, desk, case, row):
        self.desk, self.case, self.row = desk, case, row
        self.attempts = 0
        self.is_sending = False
        self.kill = None
        self.read, self.deaths, self.acted = {"outside", "switch"}, [], False
        self.acts(when="before")

    def __call__(self, name):
        if name == "claim.committed":
            self.begins()
        elif name == "send.before" and self.attempts == 1:
            self.acts(when="between read and write")
        elif name == "look.before":
            self.acts(when="between the attempts")
        if name == self.kill and self.is_sending != name.startswith("look"):
            self.kill = None
            self.deaths.append(name)
            raise Killed(name)

    def begins(self):
        """A worker has claimed the row: to look for it, or as the next attempt to send it."""
        purpose = DeliveryAttempt.objects.filter(delivery=self.row).latest("pk").purpose
        self.is_sending = purpose == DeliveryAttempt.Purpose.SEND
        if not self.is_sending:
            return
        if self.attempts:
            self.acts(when="between the attempts")
        self.kill, self.desk.togai.next_answers = None, []
        self.attempts += 1
        if self.attempts <= len(self.case.attempts):
            answer, self.kill = self.case.attempts[self.attempts - 1]
            self.read.add(f"kill {self.attempts}")
            self.desk.togai.next_answers = Script(answer, partial(self.read.add, f"answer {self.attempts}"))

    def acts(self, *, when):
        """Somebody does in the console what it offers: to end a proposal that waits."""
        if self.case.outside is None or self.case.outside[1] != when:
            return
        for record in self.desk.togai.records.values():
            if record.get("status") == "PROPOSAL_ACTIVE":
                record["status"] = self.case.outside[0]
                self.acted = True


class Script(list):
    """One answer for Togai, and who is told when it is given."""

    def __init__(self, answer, given):
        super().__init__([answer])
        self.given = given

    def pop(self, place):
        self.given()
        return super().pop(place)


class Table:
    """A desk on which one change of a kind is queued, as often as one likes."""

    def __init__(self, desk, kind):
        self.desk, self.kind = desk, kind

    @contextmanager
    def laid(self):
        """Inside, the change is queued and nothing of it has left yet."""
        desk, story = self.desk, STORIES[self.kind]
        with rolled_back():
            desk.clock.at = desk.began
            desk.togai.forget()
            desk.togai.records[desk.account.togai_id] = {"id": desk.account.togai_id, "name": "Harbor"}
            subject = story.ready(desk)
            story.want(desk, subject)
            self.row = story.row(subject)
            self.at, self.togai = desk.clock.at, _memory(desk.togai)
            yield self

    def live(self, case):
        """
        Live one case from here until all rests, and take it back.

        :returns: how its row ended, and the `Fate` that it met
        :raises Violation: with how to live it again, and all that a person needs to see
        """
        desk, togai = self.desk, self.desk.togai
        desk.clock.at = self.at
        desk.violations.clear()
        togai.__dict__.update(deepcopy(self.togai))
        togai.ids = count(len(togai.records) + 1)
        togai.honours_keys = togai.guards_decisions = case.switch
        # The same draws for all, so that a life is told apart by what it read of its case alone.
        with rolled_back(), drawn_from("depth two"):
            try:
                fate = Fate(desk, case, self.row)
                return self._lived(fate), fate
            except AssertionError as failure:
                again = f"DEPTH_TWO={case} python -m pytest tests/crashes/test_depth_two.py"
                raise Violation(f"{failure}\n{again}\n{case!r}\n{picture()}") from failure

    def _lived(self, fate):
        lives = count(1)
        with listening(fate):
            while True:
                try:
                    self.desk.calm(f"worker {next(lives)}")
                    break
                except Killed:
                    # Another process takes its place.
                    continue
        row = Delivery.objects.select_related("depends_on").get(pk=self.row.pk)
        allowed = right_ends(row, fate)
        if row.state not in allowed:
            right = " or ".join(allowed) or "none of them"
            raise Violation(f"F-13: {row.state} is a wrong end ({row.last_message}); right is {right}")
        return row.state


def _memory(togai):
    """Everything that this Togai remembers."""
    names = "records", "writes", "applied", "reads", "next_answers", "next_reads", "_late", "_lagging"
    return {name: deepcopy(getattr(togai, name)) for name in names}


def right_ends(row, fate):
    """
    How a row may end after two faults, beyond the invariants: a person is asked where Togai's console was
    used against us, and nowhere else.
    """
    case, togai = fate.case, fate.desk.togai
    refused = any(
        answer in REFUSALS and f"answer {number}" in fate.read
        for number, (answer, _) in enumerate(case.attempts, start=1)
    )
    if row.kind == Delivery.Kind.CREATE_PROPOSAL:
        is_there = any(record.get("idempotencyKey") for record in togai.records.values())
        return [State.CONFIRMED] if is_there else [State.REJECTED] if refused else []
    status = togai.records[row.depends_on.remote_id]["status"]
    if status == ENDS[row.direction]:
        # The console said otherwise first, somebody was asked, and then Togai applied late what we had sent.
        overtaken = fate.acted and not case.switch and case.outside[0] != status
        return [State.CONFIRMED, State.NEEDS_HUMAN] if overtaken else [State.CONFIRMED]
    if status == "PROPOSAL_ACTIVE":
        return [State.NEEDS_HUMAN] if refused else []
    return [State.NEEDS_HUMAN] if fate.acted else []


class Walk:
    """
    A walk over cases of one kind.

    :ivar ends: how many of them ended in which state
    :ivar lives: how many lives that took
    :ivar given: in how many lives which answer was given, by (attempt, answer)
    :ivar deaths: how many workers died at which checkpoint
    """

    def __init__(self, desk, kind):
        self.desk, self.kind = desk, kind
        self.ends, self.given, self.deaths, self.lives = Counter(), Counter(), Counter(), 0
        self._known = {}

    def over(self, numbers):
        """
        Live the cases of these numbers. Returns itself.

        :raises AssertionError: naming every case that ended wrong, the first ones with all there is to see
        """
        wrong = []
        with Table(self.desk, self.kind).laid() as table:
            for number in numbers:
                case = Case.of(self.kind, number)
                state = self._known_end(case)
                if state is None:
                    try:
                        state, fate = table.live(case)
                    except Violation as violation:
                        wrong.append(str(violation))
                        continue
                    self._note(case, state, fate)
                self.ends[state] += 1
        assert not wrong, "\n\n".join(
            [f"{len(wrong)} lives of {self.kind} ended wrong.", *wrong[:MOST_SHOWN]]
        )
        return self

    def _known_end(self, case):
        """How a case ends whose every digit that matters was met before; None when it has to be lived."""
        for read, ends in self._known.items():
            if state := ends.get(_digits(case, read)):
                return state
        return None

    def _note(self, case, state, fate):
        read = frozenset(fate.read)
        self._known.setdefault(read, {})[_digits(case, read)] = state
        self.lives += 1
        self.deaths.update(fate.deaths)
        self.given.update(
            (number, answer)
            for number, (answer, _) in enumerate(case.attempts, start=1)
            if f"answer {number}" in read
        )


def _digits(case, read):
    """The digits of a case that were read; None in the place of another."""
    (answer_1, kill_1), (answer_2, kill_2) = case.attempts
    digits = {
        "answer 1": answer_1,
        "kill 1": kill_1,
        "answer 2": answer_2,
        "kill 2": kill_2,
        "outside": case.outside,
        "switch": case.switch,
    }
    return tuple(digit if name in read else None for name, digit in digits.items())


def shard(kind, part, parts):
    """The cases of one of `parts` shards, from 1; cases of the same first attempt stay together."""
    side = len(PLANS[kind].answers) * len(PLANS[kind].kills)
    return [number for number in range(len(PLANS[kind])) if number % side * parts // side == part - 1]


# --- every merge ---


@pytest.mark.parametrize(("kind", "cases"), [("create", 25_992), ("approve", 92_480), ("decline", 92_480)])
def test_the_cases_are_as_many_as_the_product_of_their_sides(kind, cases):
    """F-13, F-03: (19 answers x 6 deaths)² x 2, (17 x 4)² x 10 x 2; each number its own case, each once."""
    numbers = spread(kind)
    assert len(numbers) == len(set(numbers)) == cases
    assert len({_digits(Case.of(kind, number), ALL_DIGITS) for number in numbers}) == cases
    assert sorted(chain.from_iterable(shard(kind, part, 7) for part in range(1, 8))) == list(range(cases))
    with pytest.raises(ValueError, match="There are"):
        Case.of(kind, cases)


@whole_run_aside
@pytest.mark.parametrize("kind", PLANS)
def test_two_faults_in_a_row_lose_nothing_and_double_nothing(desk, kind):
    """F-13, I1 to I9: a spread of all cases with every answer, death, pair of both, console and switch."""
    plan, numbers = PLANS[kind], spread(kind, OF_A_MERGE[kind])
    cases = [Case.of(kind, number) for number in numbers]
    assert {case.attempts[0] for case in cases} == set(product(plan.answers, plan.kills))
    assert {case.attempts[1][0] for case in cases} == set(plan.answers)
    assert {case.attempts[1][1] for case in cases} == set(plan.kills)
    assert {(case.outside, case.switch) for case in cases} == set(product(plan.outside, plan.switches))
    walk = Walk(desk, kind).over(numbers)
    assert sum(walk.ends.values()) == len(numbers)
    # Lived, not only drawn: every answer was given, and somebody died wherever one was to.
    assert {answer for number, answer in walk.given} == set(plan.answers)
    assert set(walk.deaths) == set(plan.kills) - {None}


@whole_run_aside
def test_a_resend_without_a_look_is_caught_by_these_cases(desk, monkeypatch):
    """F-13: the twin that takes a lost answer for an unsent request; else these cases would prove nothing."""

    def believes(delivery, error, *, at, look_at, **more):
        return deliveries.not_sent(delivery, error, at=at, retry_at=look_at)

    monkeypatch.setattr(deliveries, "doubt", believes)
    with pytest.raises(
        AssertionError, match=r"I3: 2 objects at Togai for the key[\s\S]*DEPTH_TWO=create:\d+"
    ):
        Walk(desk, "create").over(spread("create", 40))


# --- all of them, or one ---


@pytest.mark.skipif(":" not in ASKED, reason="DEPTH_TWO names no case")
def test_the_case_that_was_asked_for(desk):
    """F-03: one number, one life."""
    kind, number = ASKED.split(":")
    Walk(desk, kind).over([int(number)])


@pytest.mark.skipif(not PARTS, reason="DEPTH_TWO asks for no whole run")
@pytest.mark.parametrize("part", PARTS, ids="{0[0]}of{0[1]}".format)
@pytest.mark.parametrize("kind", PLANS)
def test_every_case_of_a_shard_ends_right(desk, kind, part):
    """F-13: 100 %, 0 wrong ends."""
    numbers = shard(kind, *part)
    walk = Walk(desk, kind).over(numbers)
    assert sum(walk.ends.values()) == len(numbers)
