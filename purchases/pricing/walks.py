"""
A walk over the difference of two piecewise amounts, in whole numbers, from one change of sign to the next.

Work is bounded: steps of packages are looked at one by one only where they may matter, and at most
`STEPS_FOLLOWED` of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from heapq import merge
from itertools import groupby, islice, pairwise
from operator import itemgetter
from typing import NamedTuple

from purchases.pricing.rhythms import common_multiple
from purchases.pricing.standings import Exact, Standing, Track, standing_of
from purchases.pricing.stretches import Stretch

# How many steps of packages a curve looks at one by one; see `standings.Unsettled`.
STEPS_FOLLOWED = 2000
# Fewer steps than this are looked at without asking first whether that is needed.
_FEW = 8


class Scale(NamedTuple):
    """
    How many of ours are one volume and one major unit.

    Chosen so that all that a walk meets is whole: whole numbers are many times faster than fractions.
    """

    volume: int
    amount: int

    @classmethod
    def of(cls, lines: Iterable[Stretch], others: Iterable[Fraction], end: Fraction) -> "Scale":
        """The coarsest one for these stretches, other amounts, and the last volume."""
        volumes, amounts, slopes = {end.denominator}, {1}, {1}
        for stretch in lines:
            if stretch.until is not None:
                volumes.add(stretch.until.denominator)
            amounts.add(stretch.base.denominator)
            slopes.add(stretch.slope.denominator)
            if stretch.step:
                volumes |= {stretch.size.denominator, stretch.origin.denominator}
                amounts.add(stretch.step.denominator)
        amounts.update(other.denominator for other in others)
        volume = common_multiple(volumes)
        return cls(volume, common_multiple((*amounts, common_multiple(slopes) * volume)))

    def volumes(self, number: Fraction) -> int:
        """A volume in ours."""
        return number.numerator * (self.volume // number.denominator)

    def amounts(self, number: Fraction) -> int:
        """An amount in ours."""
        return number.numerator * (self.amount // number.denominator)

    def piece(self, stretch: Stretch) -> "Piece":
        """A stretch in ours."""
        return Piece(
            None if stretch.until is None else self.volumes(stretch.until),
            self.amounts(stretch.base),
            stretch.slope.numerator * (self.amount // (stretch.slope.denominator * self.volume)),
            self.amounts(stretch.step),
            self.volumes(stretch.size) if stretch.step else 1,
            self.volumes(stretch.origin) if stretch.step else 0,
        )


class Piece(NamedTuple):
    """A `Stretch` in whole numbers."""

    until: int | None
    base: int
    slope: int
    step: int
    size: int
    origin: int

    def started(self, volume: Exact) -> int:
        """Packages started at a volume."""
        return -((self.origin - volume) // self.size)

    def started_after(self, volume: Exact) -> int:
        """Packages started just above a volume."""
        return (volume - self.origin) // self.size + 1

    def steps(self, start: Exact, end: Exact) -> range:
        """Packages that end between two volumes, both left out: just past the end of each there is a step."""
        return range(self.started_after(start), self.started(end))


@dataclass(frozen=True)
class Floor:
    """A minimum commitment in the cycles in which the same lines are due: times × max(0, missing − sum)."""

    times: int
    missing: int


# Base and slope by account: the difference without its floors, then the sum that each floor looks at.
Sums = list[tuple[int, int]]


class Walk:
    """Over a difference from left to right, in whole numbers."""

    def __init__(
        self,
        lines: Sequence[Sequence[Piece]],
        accounts: Sequence[tuple[tuple[int, int], ...]],
        floors: Sequence[Floor],
        sums: Sums,
        track: Track,
    ) -> None:
        self._lines = lines
        self._accounts = accounts
        self._floors = floors
        self._sums = sums
        self._track = track
        self._now: dict[int, Piece] = {}
        self._stepping: dict[int, Piece] = {}
        self._left = STEPS_FOLLOWED

    def to(self, last: int) -> Track:
        """Walk from 0 to this volume, and say what was seen."""
        ending: dict[int, list[int]] = defaultdict(list)
        waiting = []
        for place, pieces in enumerate(self._lines):
            following = iter(pieces)
            waiting.append(following)
            self._enter(place, next(following))
            for piece in pieces:
                if piece.until is not None and piece.until < last:
                    ending[piece.until].append(place)
        if not last:
            return self._track
        begin = 0
        for end in (*sorted(ending), last):
            self._between(begin, end)
            for place in ending.get(end, ()):
                self._enter(place, next(waiting[place]))
            begin = end
        return self._track

    def _enter(self, place: int, piece: Piece) -> None:
        old = self._now.get(place)
        base = piece.base - (old.base if old else 0)
        slope = piece.slope - (old.slope if old else 0)
        self._sums = self._plus(self._sums, place, base, slope)
        self._now[place] = piece
        self._stepping.pop(place, None)
        if piece.step:
            self._stepping[place] = piece

    def _plus(self, sums: Sums, place: int, base: int, slope: int = 0) -> Sums:
        """Sums to which a line adds so much."""
        sums = sums.copy()
        for account, times in self._accounts[place]:
            old_base, old_slope = sums[account]
            sums[account] = old_base + times * base, old_slope + times * slope
        return sums

    def _between(self, begin: Exact, end: Exact) -> None:
        """Walk over volumes in which no stretch ends."""
        if self._many(begin, end) <= min(_FEW, self._left):
            self._cells(begin, end, self._steps(begin, end))
            return
        for start, stop, possible in self._bounded(begin, end):
            if len(possible) == 1:
                sums = self._sums_after(start)
                self._track.stretch(possible[0], self._value(sums, start))
                self._track.point(stop, self._value(self._sums_until(stop), stop))
            else:
                self._closely(start, stop, possible)

    def _many(self, begin: Exact, end: Exact) -> int:
        return sum(len(piece.steps(begin, end)) for piece in self._stepping.values())

    def _steps(self, begin: Exact, end: Exact, *, back: bool = False) -> Iterator[tuple[int, int]]:
        """Every step between two volumes with the term that takes it, from the left or from the right."""

        def of(place: int, piece: Piece) -> Iterator[tuple[int, int]]:
            packages = piece.steps(begin, end)
            for package in reversed(packages) if back else packages:
                yield piece.origin + piece.size * package, place

        return merge(*(of(place, piece) for place, piece in self._stepping.items()), reverse=back)

    def _closely(self, begin: Exact, end: Exact, possible: tuple[Standing, ...]) -> None:
        """Look at steps one by one; where there are too many, at the first and the last of them."""
        if self._many(begin, end) <= self._left:
            self._cells(begin, end, self._steps(begin, end))
            return
        half = self._left // 4
        if not half:
            self._track.gap(begin, end, possible)
            return
        first = list(islice(self._steps(begin, end), half))
        last = list(islice(self._steps(begin, end, back=True), half))
        start, stop = first[-1][0], last[-1][0]
        self._cells(begin, start, (step for step in first if step[0] < start))
        self._track.gap(start, stop, possible)
        self._cells(stop, end, (step for step in reversed(last) if step[0] > stop))

    def _cells(self, begin: Exact, end: Exact, steps: Iterable[tuple[int, int]]) -> None:
        """Walk over volumes, stopping at each of these steps."""
        sums = self._sums_after(begin)
        for step, here in groupby(steps, key=itemgetter(0)):
            self._cell(begin, step, sums)
            for _, place in here:
                self._left -= 1
                sums = self._plus(sums, place, self._stepping[place].step)
            begin = step
        self._cell(begin, end, sums)

    def _cell(self, begin: Exact, end: Exact, sums: Sums) -> None:
        """Walk over volumes without a step: straight lines from one floor that is reached to the next."""
        kinks: set[Exact] = set()
        for floor, (base, slope) in zip(self._floors, sums[1:], strict=True):
            if slope and begin < (kink := Fraction(floor.missing - base, slope)) < end:
                kinks.add(kink)
        values = [(volume, self._value(sums, volume)) for volume in (begin, *sorted(kinks), end)]
        for (start, at_start), (stop, at_stop) in pairwise(values):
            self._track.straight(at_start, stop, at_stop, start)

    def _value(self, sums: Sums, volume: Exact) -> Exact:
        base, slope = sums[0]
        difference = base + slope * volume
        for floor, (base, slope) in zip(self._floors, sums[1:], strict=True):
            missing = floor.missing - base - slope * volume
            if missing > 0:
                difference += floor.times * missing
        return difference

    def _sums_after(self, volume: Exact) -> Sums:
        """The sums just above a volume, with the packages that are started there."""
        sums = self._sums
        for place, piece in self._stepping.items():
            sums = self._plus(sums, place, piece.step * piece.started_after(volume))
        return sums

    def _sums_until(self, volume: Exact) -> Sums:
        """The sums at a volume and just below."""
        sums = self._sums
        for place, piece in self._stepping.items():
            sums = self._plus(sums, place, piece.step * piece.started(volume))
        return sums

    def _bounded(self, begin: Exact, end: Exact) -> list[tuple[Exact, Exact, tuple[Standing, ...]]]:
        """
        Split at where two straight bounds of the difference change their signs.

        Started packages are less than one more than units by size, so each sum with steps runs within a band
        of constant height: outside of a few volumes nobody needs to look at single steps.
        """
        # Slopes are steps by size; so many times as large they are whole again.
        scale = common_multiple(piece.size for piece in self._stepping.values())
        below = [(base * scale, slope * scale) for base, slope in self._sums]
        above = below.copy()
        for place, piece in self._stepping.items():
            slope = piece.step * (scale // piece.size)
            base = -slope * piece.origin
            least, most = sorted((0, piece.step * scale))
            for account, times in self._accounts[place]:
                low, high = (least, most) if times > 0 else (most, least)
                for sums, started in ((below, low), (above, high)):
                    old_base, old_slope = sums[account]
                    sums[account] = old_base + times * (base + started), old_slope + times * slope
        nodes: set[Exact] = {begin, end}
        for floor, *sums in zip(self._floors, below[1:], above[1:], strict=True):
            nodes.update(Fraction(floor.missing * scale - base, slope) for base, slope in sums if slope)

        def bounds(volume: Exact) -> tuple[Exact, Exact]:
            (low_base, low_slope), (high_base, high_slope) = below[0], above[0]
            low: Exact = low_base + low_slope * volume
            high: Exact = high_base + high_slope * volume
            for floor, *sums in zip(self._floors, below[1:], above[1:], strict=True):
                most, least = (
                    max(0, floor.missing * scale - base - slope * volume) * floor.times
                    for base, slope in sums
                )
                low += min(least, most)
                high += max(least, most)
            return low, high

        split = []
        for start, stop in pairwise(sorted(node for node in nodes if begin <= node <= end)):
            cuts = {start, stop}
            for left, right in zip(bounds(start), bounds(stop), strict=True):
                if left * right < 0:
                    cuts.add(start + Fraction((stop - start) * left, left - right))
            for first, last in pairwise(sorted(cuts)):
                least_here, most_here = bounds(Fraction(first + last, 2))
                if least_here > 0 or most_here < 0:
                    possible: tuple[Standing, ...] = (
                        standing_of(most_here if most_here < 0 else least_here),
                    )
                else:
                    lowest = min(bounds(first)[0], bounds(last)[0])
                    highest = max(bounds(first)[1], bounds(last)[1])
                    possible = (
                        *(("cheaper",) if lowest < 0 else ()),
                        "equal",
                        *(("dearer",) if highest > 0 else ()),
                    )
                split.append((first, last, possible))
        return split
