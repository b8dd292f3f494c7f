"""
The state machine of reliability.md 2.3 to 2.8 alone, without database and code of the product (F-10).

A create, a Togai that ignores keys, workers that die and freeze between any two lines. It is small enough for
a million lives a night, so that a guard shows whose lack is seen once in ten thousand. Times are seconds.
Not in it: freezing between the last look at the own deadline and the call, which only the session lock of
PostgreSQL answers (R-12).
"""

from collections import Counter
from random import Random

CLAIM, DEADLINE, QUARANTINE, APART, LONGEST_DOUBT, MOST_SENDS = 120, 30, 900, 300, 86_400, 3
LATE = LAG = 240
LADDER = 300, 3600, 21_600, 86_400
STEPS, DEATH, TIME, WELL = 80, 0.03, 0.35, 0.1
SPANS = 1, 1, 20, 40, 180, 400, 960, 3600

# What Togai does with a create: whether it applies it (and when), and what the worker then knows.
FATES = {
    "ok": (0, "done"),
    "dropped": (None, "timeout"),
    "lost": (0, "timeout"),
    "down": (None, "not sent"),
    "applied 500": (0, "5xx"),
    "503": (None, "5xx"),
    "400": (None, "refused"),
    "422": (None, "refused"),
    "401": (None, "not sent"),
    "403": (None, "not sent"),
    "404": (None, "not sent"),
    "429": (None, "not sent"),
    "409": (None, "unknown"),
    "garbage": (0, "unknown"),
    "empty": (0, "unknown"),
    "late": (LATE, "timeout"),
    "lagging": (0, "timeout"),
}

# The guards of 2.8, each by what a twin does without it.
TWINS = (
    "resend on timeout",
    "resend on 5xx",
    "timeout is failure",
    "no quarantine, one look",
    "no quarantine, one look, lagging list",
    "row written after the call",
    "read then save",
    "no look at the own deadline",
    "the deadline of the row",
    "a refusal of a resend is final",
    "no fence at the finish",
    "no janitor",
    "one quarantine for all sends",
)


class Broken(AssertionError):
    """A life that lost or doubled something; the message begins with its seed."""


class Row:
    state, token, until, due = "NOT_SENT", None, 0, 0
    sends = doubt = absent = 0
    absent_at = doubt_since = sent_at = None
    refused = False


class Life:
    """
    One create, from its wish to its end.

    :param without: the twin of `TWINS` that lives it
    :param late: seconds after which Togai applies what it is late with; within the quarantine when not given
    """

    def __init__(self, seed, without="", late=None):
        self.rng, self.without = Random(f"model {seed}"), without
        self.row, self.now, self.tokens, self.counted = Row(), 0, 0, Counter()
        # What Togai holds: (from when it exists, from when it is shown).
        self.objects = []
        drawn = self.rng.choice((LATE, QUARANTINE - 60))
        self.late = drawn if late is None else late
        self.lag = 0 if without == "no quarantine, one look" else LAG
        self.calm = False

    def run(self):
        hands = [None] * self.rng.choice((2, 3))
        for _ in range(STEPS):
            which = self.rng.randrange(len(hands))
            if self.rng.random() < TIME:
                self.now += self.rng.choice(SPANS)
            elif hands[which] is None:
                hands[which] = self.work()
            elif self.rng.random() < DEATH:
                hands[which] = None
                self.counted["deaths"] += 1
            else:
                hands[which] = self._goes_on(hands[which])
        # Faults stop: who froze wakes up, and fresh workers come by until all rests.
        self.calm = True
        for hand in filter(None, hands):
            while self._goes_on(hand):
                pass
        ends = self.now + 26 * 3600
        while self.row.state in ("NOT_SENT", "SENDING", "UNKNOWN") and self.now < ends:
            for _ in self.work():
                pass
            claimed = self.row.token is not None
            self.now = max(self.now + 1, self.row.until + 1 if claimed else self.row.due)
        self.now += LONGEST_DOUBT
        return self._judged()

    def _goes_on(self, hand):
        return hand if next(hand, self) is not self else None

    def _judged(self):
        there, state = len(self.objects), self.row.state
        if there > 1:
            return f"I3: {there} objects of one create"
        if state in ("NOT_SENT", "SENDING", "UNKNOWN"):
            return f"I2: still {state} at rest"
        if state == "CONFIRMED" and not there:
            return "I5: confirmed, and not there"
        if state == "REJECTED" and there:
            return "I6: refused, and there"
        self.counted[state] += 1
        return ""

    # --- the worker; every yield is a moment at which it may die or freeze ---

    def work(self):
        row = self.row
        if self.without != "no janitor" and row.token is not None and row.until < self.now:
            if row.state == "SENDING":
                self._doubt(None, due=self.now)
            row.token = None
        state = row.state
        if state not in ("NOT_SENT", "UNKNOWN") or row.due > self.now:
            return
        yield
        if self.without != "read then save" and row.state != state:
            return
        if state == "UNKNOWN" and (row.state != state or row.token is not None):
            return
        self.tokens += 1
        token, claimed_at = self.tokens, self.now
        if not (state == "NOT_SENT" and self.without == "row written after the call"):
            row.token, row.until = token, self.now + CLAIM
            if state == "NOT_SENT":
                row.state, row.sends, row.sent_at = "SENDING", row.sends + 1, self.now
        yield
        yield from self._send(token, claimed_at) if state == "NOT_SENT" else self._look(token)

    def _send(self, token, claimed_at):
        row = self.row
        left = CLAIM - (self.now - claimed_at)
        if self.without == "no look at the own deadline":
            left = CLAIM
        elif self.without == "the deadline of the row":
            left = row.until - self.now if row.token is not None else 0
        if left < DEADLINE + 5:
            if self._mine(token, "SENDING"):
                row.state, row.sends, row.token = "NOT_SENT", row.sends - 1, None
            return
        fate = "ok" if self.calm or self.rng.random() < WELL else self.rng.choice(list(FATES))
        applied_after, learned = FATES[fate]
        if applied_after is not None:
            exists = self.now + (self.late if fate == "late" else applied_after)
            self.objects.append((exists, exists + (self.lag if fate == "lagging" else 0)))
        yield
        if self.without == "row written after the call":
            row.state, row.sends, row.token, row.sent_at = "SENDING", row.sends + 1, token, self.now
        if not self._mine(token, "SENDING"):
            return
        row.token = None
        if learned == "done":
            row.state = "CONFIRMED"
        elif learned == "not sent":
            row.state, row.sends, row.due = "NOT_SENT", row.sends - 1, self.now + self.rng.randint(1, 60)
        elif self._is_final(learned):
            row.state = "REJECTED"
        elif self.without == f"resend on {learned}" and row.sends < MOST_SENDS:
            row.state, row.due = "NOT_SENT", self.now
        else:
            self._doubt(learned, due=self.now if learned == "refused" else self.now + DEADLINE)
        yield

    def _is_final(self, learned):
        if learned == "refused":
            return not self.row.doubt or self.without == "a refusal of a resend is final"
        return learned == "timeout" and self.without == "timeout is failure"

    def _doubt(self, learned, due):
        row = self.row
        row.state, row.due, row.absent, row.absent_at = "UNKNOWN", due, 0, None
        row.refused = learned == "refused"
        row.doubt += learned != "refused"
        row.doubt_since = self.now if row.doubt_since is None else row.doubt_since

    def _look(self, token):
        row = self.row
        found = sum(shown <= self.now for _, shown in self.objects)
        walked = self.calm or self.rng.random() > 0.15
        yield
        if not self._mine(token, "UNKNOWN"):
            return
        row.token = None
        if found:
            row.state = "CONFIRMED"
        elif not walked:
            row.due = self.now + 60
        else:
            self._not_found()
        yield

    def _not_found(self):
        row = self.row
        begins = row.doubt_since if self.without == "one quarantine for all sends" else row.sent_at
        at_once = self.without.startswith("no quarantine, one look")
        if self.now < begins + QUARANTINE and not at_once:
            row.due = begins + QUARANTINE
        elif not at_once and (row.absent_at is None or self.now - row.absent_at < APART):
            row.due = self.now + LADDER[min(row.absent, 3)]
            row.absent, row.absent_at = row.absent + 1, self.now
        elif row.refused:
            row.state = "REJECTED"
        elif row.sends < MOST_SENDS and self.now - row.doubt_since < LONGEST_DOUBT:
            row.state, row.due = "NOT_SENT", self.now
        else:
            row.state = "NEEDS_HUMAN"

    def _mine(self, token, state):
        return self.without == "no fence at the finish" or (
            self.row.token == token and self.row.state == state
        )


# A refusal can cross only what is applied after the quarantine; the twin is tried with such a Togai.
LATER = {"a refusal of a resend is final": 40 * 60}


def live(seed):
    """
    Live one seed with every guard in place. Returns what happened, counted.

    :raises Broken: with the seed, when something was lost or doubled
    """
    life = Life(seed)
    if broken := life.run():
        raise Broken(f"SEED={seed}: {broken}")
    return life.counted


def first_bad(twin, seeds):
    """The first of these seeds that shows what the twin lacks, while the design lives through it; or None."""
    late = LATER.get(twin)
    return next(
        (seed for seed in seeds if Life(seed, twin, late).run() and not Life(seed, late=late).run()), None
    )
