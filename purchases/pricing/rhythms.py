"""When what recurs is due: every so many cycles, the first time after some; and what is due together."""

from collections import Counter
from collections.abc import Collection, Iterable
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from typing import NamedTuple


class Rhythm(NamedTuple):
    """Due in every so many billing cycles, the first time after `offset` of them."""

    every: int = 1
    offset: int = 0

    def charges(self, cycles: int) -> int:
        """How often it is due in so many cycles."""
        return max(0, -((self.offset - cycles) // self.every))

    def is_due(self, cycle: int) -> bool:
        """Whether it is due in a cycle, the first one being 0."""
        return cycle >= self.offset and (cycle - self.offset) % self.every == 0


def due_together(rhythms: Collection[Rhythm], cycles: int) -> Counter[frozenset[Rhythm]]:
    """
    Which rhythms are due in the same cycle, and in how many of so many cycles.

    From one first charge to the next the same cycles come again and again, so one round of them is looked at:
    as many as the smallest common multiple of what has begun.
    """
    found: Counter[frozenset[Rhythm]] = Counter()
    starts = {min(max(rhythm.offset, 0), cycles) for rhythm in rhythms}
    for start, end in pairwise(sorted({0, *starts, cycles})):
        begun = [rhythm for rhythm in rhythms if rhythm.offset <= start]
        round_of = common_multiple(rhythm.every for rhythm in begun)
        for cycle in range(start, min(start + round_of, end)):
            due = frozenset(rhythm for rhythm in begun if rhythm.is_due(cycle))
            found[due] += (end - 1 - cycle) // round_of + 1
    return found


def common_multiple(numbers: Iterable[int]) -> int:
    """The smallest number that all of these go into; 1 for none."""
    return reduce(lambda one, other: one * Fraction(other, one).numerator, numbers, 1)
