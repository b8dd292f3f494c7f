"""How a proposal stands beside its plan, volume by volume, and where that changes."""

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from purchases.money import EXACT

Standing = Literal["cheaper", "equal", "dearer"]
Exact = Fraction | int

_STANDINGS: tuple[Standing, ...] = ("cheaper", "equal", "dearer")


@dataclass(frozen=True)
class Crossover:
    """
    A volume at which the proposal's standing beside the plan changes.

    A slab's last unit belongs to it and a package's last unit to that package, so at a jump the standing `at`
    the volume is the one `before`, unless it is equal there alone. Before and after are the same where the
    two only touch.

    :ivar volume: units a billing cycle, or the common factor of all expected volumes; exact
    :ivar jump: whether the difference jumps just past the volume (the edge of a slab, a package that is
        started) instead of passing through nothing
    """

    volume: Fraction
    before: Standing
    at: Standing
    after: Standing
    jump: bool = False

    @property
    def exact(self) -> Decimal | None:
        """The volume in digits; None for one that has no end of them, such as a third."""
        twos = fives = 0
        rest = self.volume.denominator
        while rest % 2 == 0:
            rest, twos = rest // 2, twos + 1
        while rest % 5 == 0:
            rest, fives = rest // 5, fives + 1
        if rest != 1:
            return None
        places = max(twos, fives)
        scaled = self.volume.numerator * 10**places // self.volume.denominator
        return EXACT.scaleb(Decimal(scaled), -places)


@dataclass(frozen=True)
class Unsettled:
    """
    Volumes from `start` to `end` within which package after package may change the standing.

    They are too many to be named, and none of them is a crossover of the curve. The first ones and the last
    ones of such a run are named, as far as `STEPS_FOLLOWED` reaches.

    :ivar possible: the standings that can be there at all
    :ivar before: the standing just below `start`; None where the range begins there
    :ivar after: the standing just above `end`; None where the range ends there
    """

    start: Fraction
    end: Fraction
    possible: tuple[Standing, ...]
    before: Standing | None = None
    after: Standing | None = None


def begins(mark: Crossover | Unsettled) -> Fraction:
    """The volume at which a mark is met on the way up."""
    return mark.volume if isinstance(mark, Crossover) else mark.start


class Track:
    """Takes down standings from left to right, and keeps where they change."""

    def __init__(self, scale: int) -> None:
        self._scale = scale
        self.crossovers: list[Crossover] = []
        self.unsettled: list[Unsettled] = []
        self.first: Standing | None = None
        self._standing: Standing | None = None
        self._here: tuple[Exact, Exact] | None = None

    def stretch(self, standing: Standing, beginning: Exact) -> None:
        """A stretch of one standing begins past the last point, with this difference."""
        if self._here is not None and self._standing is not None:
            volume, difference = self._here
            at = standing_of(difference)
            if not self._standing == at == standing:
                jump = difference != beginning
                exact = Fraction(volume, self._scale)
                self.crossovers.append(Crossover(exact, self._standing, at, standing, jump))
        if self._standing is None and self.unsettled:
            self.unsettled[-1] = replace(self.unsettled[-1], after=standing)
        elif self._standing is None:
            self.first = standing
        self._standing = standing

    def point(self, volume: Exact, difference: Exact) -> None:
        """The difference at the end of a stretch."""
        self._here = volume, difference

    def straight(self, difference: Exact, end: Exact, at_end: Exact, begin: Exact) -> None:
        """From `begin` to `end` the difference moves in a straight line."""
        if difference * at_end < 0:
            root = begin + Fraction((end - begin) * difference, difference - at_end)
            self.stretch(standing_of(difference), difference)
            self.point(root, 0)
            self.stretch(standing_of(at_end), 0)
        else:
            self.stretch(standing_of(difference or at_end), difference)
        self.point(end, at_end)

    def gap(self, start: Exact, end: Exact, possible: tuple[Standing, ...]) -> None:
        """Nothing is known until the end of this one."""
        there = {*possible}
        if self._here is not None:
            there.add(standing_of(self._here[1]))
        begin, before = Fraction(start, self._scale), self._standing
        if self.unsettled and self.unsettled[-1].end == begin:
            last = self.unsettled.pop()
            begin, before = last.start, last.before
            there.update(last.possible)
        at_all = tuple(standing for standing in _STANDINGS if standing in there)
        gap = Unsettled(begin, Fraction(end, self._scale), at_all, before)
        self.unsettled.append(gap)
        self._standing = self._here = None


def standing_of(difference: Exact) -> Standing:
    """What a difference, proposal minus plan, means."""
    if not difference:
        return "equal"
    return "cheaper" if difference < 0 else "dearer"
