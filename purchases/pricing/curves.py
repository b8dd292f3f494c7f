"""
What a deal costs as a function of its expected volumes, and where it becomes cheaper or dearer than its plan.

The *points* of a curve are estimates like any other: every line rounded, so that the point at the expected
volumes says what every page says. Its *crossovers* compare amounts before a line that varies is rounded;
lines that do not vary stand as rounded. Rounded ones go back and forth by a minor unit around each crossing,
which tells a rep nothing. So right beside a crossover two points may be equal, or differ the other way by one
minor unit for each varying line and each time it is due.

All of it is exact: volumes and differences are Fractions, without limit to their digits.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from heapq import merge
from itertools import groupby, islice, pairwise
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from purchases.cards import METERED
from purchases.money import EXACT, Money, number, total
from purchases.pricing.comparison import Side
from purchases.pricing.estimates import Estimate, estimate
from purchases.pricing.lines import Card, Line, Unpriceable, _in_currency, _limit, _slabs, _usage_windows
from purchases.pricing.slabs import Slab
from purchases.terms import PlanType

Standing = Literal["cheaper", "equal", "dearer"]
Span = Literal["once", "cycle", "term"]
Details = Mapping[str, Any]

FACTORS = (Decimal("0.1"), Decimal("0.5"), Decimal(1), Decimal(2), Decimal(10))
# Crossovers are looked for up to so many times the expected volumes.
FARTHEST = Decimal(10)
# How many steps of packages a curve looks at one by one; see `Unsettled`.
STEPS_FOLLOWED = 2000
# Fewer steps than this are looked at without asking first whether that is needed.
_FEW = 8

_NOTHING = Fraction(0)
_Exact = Fraction | int
_STANDINGS: tuple[Standing, ...] = ("cheaper", "equal", "dearer")


@dataclass(frozen=True)
class Amount:
    """What one side comes to; `money` is None when `unknown_because` says why."""

    money: Money | None
    unknown_because: tuple[str, ...] = ()


@dataclass(frozen=True)
class Point:
    """
    What the sides cost at one volume, as estimates say it.

    :ivar factor: of the expected volumes
    :ivar volume: of the item that varies; None where all volumes vary together, or it has none
    :ivar previous: None where no previous revision was given
    """

    factor: Decimal
    volume: Decimal | None
    plan: Amount
    proposal: Amount
    previous: Amount | None = None

    @property
    def difference(self) -> Money | None:
        """Proposal minus plan; None when either is unknown."""
        return Side(self.plan.money, self.proposal.money).difference


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


def _begins(mark: Crossover | Unsettled) -> Fraction:
    return mark.volume if isinstance(mark, Crossover) else mark.start


@dataclass(frozen=True)
class Curve:
    """
    A deal, or one item of it, at several volumes.

    :ivar per: what the amounts span: the `term`; a billing `cycle` in which all cards are due, for a term
        without end (what is due once is then left out, as everywhere); or `once` for a PURCHASE plan
    :ivar billable_id: the item whose volume varies; empty where all vary by a common factor
    :ivar up_to: crossovers lie between 0 and this volume or factor, both left out; None when it is not known
    :ivar points: in the order of the factors asked for
    :ivar crossovers: by volume; none when `unknown_because` says why
    :ivar unsettled: where there are more crossovers than are named
    :ivar standing: just above a volume of 0; None when it is not known
    """

    currency: str
    per: Span
    billable_id: str
    up_to: Decimal | None
    points: tuple[Point, ...]
    crossovers: tuple[Crossover, ...] = ()
    unsettled: tuple[Unsettled, ...] = ()
    standing: Standing | None = None
    unknown_because: tuple[str, ...] = ()

    def standing_at(self, volume: Decimal | Fraction) -> Standing | None:
        """How the proposal stands at a volume between 0 and `up_to`; None elsewhere and where unsettled."""
        here = Fraction(volume)
        if self.up_to is None or not 0 < here < Fraction(self.up_to):
            return None
        standing = self.standing
        marks: list[Crossover | Unsettled] = [*self.crossovers, *self.unsettled]
        for mark in sorted(marks, key=_begins):
            if here < _begins(mark):
                return mark.before
            if isinstance(mark, Unsettled) and here <= mark.end:
                return None
            if here == _begins(mark):
                return mark.at if isinstance(mark, Crossover) else None
            standing = mark.after
        return standing


def curve(
    details_by_side: Mapping[str, Details],
    *,
    plan_type: PlanType | str,
    currency: str,
    volumes: Mapping[str, Decimal],
    billable_id: str = "",
    alone: bool = False,
    quantity: int | None = None,
    rate_card_quantities: Mapping[str, Decimal] | None = None,
    effective_from: date | None = None,
    effective_until: date | None = None,
    factors: Sequence[Decimal] = FACTORS,
    up_to: Decimal | None = None,
) -> Curve:
    """
    Price plan and proposal at several volumes, and find where one becomes cheaper than the other (G-12).

    All sides are priced at the same quantities, volumes and dates. Work is bounded: see `STEPS_FOLLOWED`.

    :param details_by_side: full details of the `plan`, of the `proposal` and, if there is one, of the
        `previous` revision
    :param volumes: expected units per billing cycle by billable id; the terms are those of `estimate`
    :param billable_id: the one item whose volume varies, the others staying at what is expected; without it
        all volumes vary by a common factor
    :param alone: compare only what that item costs, not the whole deal with it
    :param up_to: where to stop looking for crossovers: a volume, or a factor; ten times what is expected
        unless told
    :raises ValueError: without a currency, for a negative volume or factor
    :raises KeyError: without a plan or a proposal
    """
    plan_type = PlanType(plan_type)
    varying = (billable_id,) if billable_id else tuple(volumes)
    if min((*factors, *volumes.values(), up_to or 0)) < 0:
        raise ValueError("A volume is not negative.")

    def priced(details: Details, factor: Decimal) -> Estimate:
        scaled = {
            name: EXACT.multiply(volume, factor) if name in varying else volume
            for name, volume in volumes.items()
        }
        return estimate(
            details,
            plan_type=plan_type,
            currency=currency,
            quantity=quantity,
            rate_card_quantities=rate_card_quantities,
            volumes=scaled,
            effective_from=effective_from,
            effective_until=effective_until,
        )

    names = [name for name in ("plan", "proposal", "previous") if name == "plan" or name in details_by_side]
    expected = {name: priced(details_by_side[name], Decimal(1)) for name in names}
    plan, proposal = expected["plan"], expected["proposal"]
    span: Span = "once"
    if plan.recurs:
        span = "cycle" if None in (plan.cycles, proposal.cycles) else "term"
    only = billable_id if alone else ""

    def amount(name: str, factor: Decimal) -> Amount:
        at_factor = expected[name] if factor == 1 else priced(details_by_side[name], factor)
        return _amount(at_factor, span, only)

    def point(factor: Decimal) -> Point:
        volume = volumes.get(billable_id) if billable_id else None
        at = None if volume is None else EXACT.multiply(volume, factor)
        return Point(factor, at, **{name: amount(name, factor) for name in names})

    if up_to is None:
        about = volumes.get(billable_id) if billable_id else Decimal(1)
        up_to = None if about is None else EXACT.multiply(about, FARTHEST)
    result = Curve(currency, span, billable_id, up_to, tuple(point(factor) for factor in factors))
    unknown = _unknown(plan, proposal, span, only)
    if up_to is None:
        unknown = unknown or ("No expected volume yet.",)
    if unknown or up_to is None:
        return replace(result, unknown_because=unknown)
    # A factor stands for so many units of each item, a volume for itself.
    units = {name: Fraction(1) if billable_id else Fraction(volumes[name]) for name in varying}
    difference = _Difference(Fraction(up_to))
    try:
        difference.add(plan, span, only, units, sign=-1)
        difference.add(proposal, span, only, units, sign=1)
    except Unpriceable as reason:
        return replace(result, unknown_because=(str(reason),))
    track = difference.follow()
    return replace(
        result,
        crossovers=tuple(track.crossovers),
        unsettled=tuple(track.unsettled),
        standing=track.first,
    )


def _amount(priced: Estimate, span: Span, only: str) -> Amount:
    lines = [line for line in _lines(priced, only) if span != "cycle" or line.per == "cycle"]
    reasons = tuple(f"{line.label}: {line.unknown_because}" for line in lines if line.amount is None)
    if reasons:
        return Amount(None, reasons)
    amounts = [line.amount if span == "cycle" else line.over(priced.cycles or 0) for line in lines]
    return Amount(total((amount for amount in amounts if amount is not None), priced.currency))


def _lines(priced: Estimate, only: str) -> Iterable[Line]:
    if not only:
        return priced.lines
    return [line for line in priced.lines if line.kind in METERED and line.billable_id == only]


def _unknown(plan: Estimate, proposal: Estimate, span: Span, only: str) -> tuple[str, ...]:
    if plan.interval != proposal.interval:
        return ("Volumes are per billing cycle, and the cycle is not the plan's.",)
    reasons = (*_amount(plan, span, only).unknown_because, *_amount(proposal, span, only).unknown_because)
    return tuple(dict.fromkeys(reasons))


class _Stretch(NamedTuple):
    """An amount up to a volume (None: for ever): base + slope × v + step × packages started since origin."""

    until: Fraction | None
    base: Fraction
    slope: Fraction = _NOTHING
    step: Fraction = _NOTHING
    size: Fraction = Fraction(1)
    origin: Fraction = _NOTHING

    def at(self, volume: Fraction) -> Fraction:
        """The amount at a volume of the stretch."""
        amount = self.base
        if self.slope:
            amount += self.slope * volume
        if self.step:
            amount -= self.step * ((self.origin - volume) // self.size)
        return amount


def _of_card(card: Card, currency: str, interval: str | None) -> tuple[Fraction, list[_Stretch]]:
    """
    A metered card's exact amount: of nothing, and by stretches of units that follow each other.

    Within a stretch it only rises or only falls, and has at most one thing that grows (togai.md 4.5).

    :raises Unpriceable: for a draft that is not complete in a slab that is reached at some volume
    """
    try:
        prices = _in_currency(card["rateValues"], currency)
        model = card["ratePlan"]["pricingModel"]
        slabs = _slabs(card["ratePlan"]["slabs"], prices["slabRates"])
        limits = prices.get("rateConfig") or {}
        low, high = _limit(limits, "minimumRate"), _limit(limits, "maximumRate")
        windows = _usage_windows(card, interval)
        pieces: list[_Stretch] = []
        if slabs[0].start_after:
            pieces += _held(_NOTHING, _Stretch(Fraction(slabs[0].start_after), _NOTHING), low, high)
        carried = _NOTHING
        starts = [Fraction(slab.start_after) for slab in slabs]
        for slab, start, until in zip(slabs, starts, (*starts[1:], None), strict=True):
            whole = _of_slab(slab, until, start if model == "TIERED" else _NOTHING)
            parts = _held(start, whole, slab.minimum, slab.maximum)
            begin = start
            for part in parts:
                pieces += _held(begin, part._replace(base=part.base + carried), low, high)
                begin = part.until or begin
            if until is not None and model == "TIERED":
                carried += parts[-1].at(until)
    except (KeyError, IndexError, TypeError, ValueError):
        raise Unpriceable("The card is not complete yet.") from None
    nothing = _clamped(_NOTHING, low, high)
    if windows == 1:
        return nothing, pieces
    return nothing * windows, [
        piece._replace(base=piece.base * windows, slope=piece.slope * windows, step=piece.step * windows)
        for piece in pieces
    ]


def _of_slab(slab: Slab, until: Fraction | None, counted_from: Fraction) -> _Stretch:
    rate = Fraction(slab.rate)
    match slab.price_type:
        case "PER_UNIT":
            return _Stretch(until, -rate * counted_from, slope=rate)
        case "FLAT":
            return _Stretch(until, rate)
        case "PACKAGE" if slab.package_size is not None and slab.package_size > 0:
            size = Fraction(slab.package_size)
            if not rate:
                return _Stretch(until, _NOTHING)
            return _Stretch(until, _NOTHING, step=rate, size=size, origin=counted_from)
        case _:
            raise ValueError(f"{slab.price_type} is not a price type.")


def _clamped(amount: Fraction, low: Decimal | None, high: Decimal | None) -> Fraction:
    """As `price_slabs` holds an amount to its limits: to the minimum first."""
    if low is not None and amount < low:
        amount = Fraction(low)
    if high is not None and amount > high:
        amount = Fraction(high)
    return amount


def _held(start: Fraction, stretch: _Stretch, low: Decimal | None, high: Decimal | None) -> list[_Stretch]:
    """Hold a stretch that begins past `start` to limits: cut it where one begins or ends to bite."""
    if low is None and high is None:
        return [stretch]
    cuts: set[Fraction] = set()
    for limit in (low, high):
        if limit is None:
            continue
        missing = Fraction(limit) - stretch.base
        if stretch.slope:
            cuts.add(Fraction(missing, stretch.slope))
        elif stretch.step:
            packages = Fraction(missing, stretch.step)
            # Whether the package that just reaches the limit lies before or behind it depends on the sign.
            for last in (packages // 1, -(-packages // 1) - 1):
                cuts.add(stretch.origin + stretch.size * last)
    inside = sorted(cut for cut in cuts if cut > start and (stretch.until is None or cut < stretch.until))
    held = []
    begin = start
    for end in (*inside, stretch.until):
        sample = begin + 1 if end is None else Fraction(begin + end, 2)
        amount = stretch.at(sample)
        clamped = _clamped(amount, low, high)
        held.append(stretch._replace(until=end) if clamped == amount else _Stretch(end, clamped))
        begin = end if end is not None else begin
    return held


def _capped(pieces: Iterable[_Stretch], most: Fraction, nothing: Fraction) -> list[_Stretch]:
    """Units past `most` are not billed."""
    if most <= 0:
        return [_Stretch(None, nothing)]
    kept: list[_Stretch] = []
    for piece in pieces:
        if piece.until is None or piece.until >= most:
            return [*kept, piece._replace(until=most), _Stretch(None, piece.at(most))]
        kept.append(piece)
    raise AssertionError("The last stretch has no end.")


def _of_line(line: Line, units: Fraction, currency: str, interval: str | None) -> list[_Stretch]:
    """A line's exact amount as a function of v, its volume being v × units."""
    nothing, pieces = _of_card(line.card, currency, interval)
    if line.kind == "entitlementOverageRateCards":
        units *= line.every
        most = line.card.get("maxQuantity")
        if most is not None:
            pieces = _capped(pieces, Fraction(number(most)), nothing)
    if not units:
        return [_Stretch(None, nothing)]
    if units == 1:
        return pieces
    share = Fraction(1, units)
    return [
        piece._replace(
            until=None if piece.until is None else piece.until * share,
            slope=piece.slope * units,
            size=piece.size * share,
            origin=piece.origin * share,
        )
        for piece in pieces
    ]


def _common(numbers: Iterable[int]) -> int:
    """The smallest number that all of these go into."""
    return reduce(lambda one, other: one * Fraction(other, one).numerator, numbers, 1)


class _Scale(NamedTuple):
    """
    How many of ours are one volume and one major unit.

    Chosen so that all that a walk meets is whole: whole numbers are many times faster than fractions.
    """

    volume: int
    amount: int

    @classmethod
    def of(cls, lines: Iterable[_Stretch], others: Iterable[Fraction], end: Fraction) -> "_Scale":
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
        volume = _common(volumes)
        return cls(volume, _common((*amounts, _common(slopes) * volume)))

    def volumes(self, number: Fraction) -> int:
        """A volume in ours."""
        return number.numerator * (self.volume // number.denominator)

    def amounts(self, number: Fraction) -> int:
        """An amount in ours."""
        return number.numerator * (self.amount // number.denominator)

    def piece(self, stretch: _Stretch) -> "_Piece":
        """A stretch in ours."""
        return _Piece(
            None if stretch.until is None else self.volumes(stretch.until),
            self.amounts(stretch.base),
            stretch.slope.numerator * (self.amount // (stretch.slope.denominator * self.volume)),
            self.amounts(stretch.step),
            self.volumes(stretch.size) if stretch.step else 1,
            self.volumes(stretch.origin) if stretch.step else 0,
        )


class _Piece(NamedTuple):
    """A `_Stretch` in whole numbers."""

    until: int | None
    base: int
    slope: int
    step: int
    size: int
    origin: int

    def started(self, volume: _Exact) -> int:
        """Packages started at a volume."""
        return -((self.origin - volume) // self.size)

    def started_after(self, volume: _Exact) -> int:
        """Packages started just above a volume."""
        return (volume - self.origin) // self.size + 1

    def steps(self, start: _Exact, end: _Exact) -> range:
        """Packages that end between two volumes, both left out: just past the end of each there is a step."""
        return range(self.started_after(start), self.started(end))


@dataclass(frozen=True)
class _Term:
    """
    A line that varies.

    :ivar accounts: in which sums it counts (0 is the difference, the others are those of floors), how often
    """

    stretches: Sequence[_Stretch]
    accounts: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Floor:
    """A minimum commitment in the cycles in which the same lines are due: times × max(0, missing − sum)."""

    times: int
    missing: int


# Base and slope by account: the difference without its floors, then the sum that each floor looks at.
_Sums = list[tuple[int, int]]


class _Track:
    """Takes down standings from left to right, and keeps where they change."""

    def __init__(self, scale: int) -> None:
        self._scale = scale
        self.crossovers: list[Crossover] = []
        self.unsettled: list[Unsettled] = []
        self.first: Standing | None = None
        self._standing: Standing | None = None
        self._here: tuple[_Exact, _Exact] | None = None

    def stretch(self, standing: Standing, beginning: _Exact) -> None:
        """A stretch of one standing begins past the last point, with this difference."""
        if self._here is not None and self._standing is not None:
            volume, difference = self._here
            at = _standing(difference)
            if not self._standing == at == standing:
                jump = difference != beginning
                exact = Fraction(volume, self._scale)
                self.crossovers.append(Crossover(exact, self._standing, at, standing, jump))
        if self._standing is None and self.unsettled:
            self.unsettled[-1] = replace(self.unsettled[-1], after=standing)
        elif self._standing is None:
            self.first = standing
        self._standing = standing

    def point(self, volume: _Exact, difference: _Exact) -> None:
        """The difference at the end of a stretch."""
        self._here = volume, difference

    def straight(self, difference: _Exact, end: _Exact, at_end: _Exact, begin: _Exact) -> None:
        """From `begin` to `end` the difference moves in a straight line."""
        if difference * at_end < 0:
            root = begin + Fraction((end - begin) * difference, difference - at_end)
            self.stretch(_standing(difference), difference)
            self.point(root, 0)
            self.stretch(_standing(at_end), 0)
        else:
            self.stretch(_standing(difference or at_end), difference)
        self.point(end, at_end)

    def gap(self, start: _Exact, end: _Exact, possible: tuple[Standing, ...]) -> None:
        """Nothing is known until the end of this one."""
        there = {*possible}
        if self._here is not None:
            there.add(_standing(self._here[1]))
        begin, before = Fraction(start, self._scale), self._standing
        if self.unsettled and self.unsettled[-1].end == begin:
            last = self.unsettled.pop()
            begin, before = last.start, last.before
            there.update(last.possible)
        at_all = tuple(standing for standing in _STANDINGS if standing in there)
        gap = Unsettled(begin, Fraction(end, self._scale), at_all, before)
        self.unsettled.append(gap)
        self._standing = self._here = None


def _standing(difference: _Exact) -> Standing:
    if not difference:
        return "equal"
    return "cheaper" if difference < 0 else "dearer"


class _Difference:
    """Proposal minus plan between 0 and a volume, piece by piece."""

    def __init__(self, end: Fraction) -> None:
        self._end = end
        self._terms: list[_Term] = []
        self._committed: list[tuple[int, Fraction]] = []
        self._fixed = _NOTHING

    def add(
        self, priced: Estimate, span: Span, only: str, units: Mapping[str, Fraction], *, sign: Literal[-1, 1]
    ) -> None:
        """
        Add one side; `sign` is -1 for the plan.

        :raises Unpriceable: when a card is not complete
        """
        lines = [line for line in _lines(priced, only) if span != "cycle" or line.per == "cycle"]
        cycles = 1 if span == "cycle" else priced.cycles or 0
        moving = {
            place: line
            for place, line in enumerate(lines)
            if line.kind in METERED and line.billable_id in units
        }
        floors_of: dict[int, list[tuple[int, int]]] = defaultdict(list)
        commitment = lines[-1] if lines and lines[-1].kind == "minimumCommitment" else None
        if commitment:
            lines = lines[:-1]
            for due, times in _due_together(lines, cycles, always=span == "cycle").items():
                fixed = sum((_exact(lines[place]) for place in due if place not in moving), _NOTHING)
                self._committed.append((sign * times, Fraction(commitment.quantity or 0) - fixed))
                for place in due:
                    floors_of[place].append((len(self._committed), 1))
        for place, line in enumerate(lines):
            times = sign * (1 if span == "cycle" else line.charges(cycles))
            if place in moving:
                stretches = _of_line(line, units[line.billable_id], priced.currency, priced.interval)
                self._terms.append(_Term(stretches, ((0, times), *floors_of[place])))
            else:
                self._fixed += times * _exact(line)

    def follow(self) -> _Track:
        """Walk from 0 to the end, and say what was seen."""
        others = (self._fixed, *(missing for _, missing in self._committed))
        scale = _Scale.of((stretch for term in self._terms for stretch in term.stretches), others, self._end)
        floors = [_Floor(times, scale.amounts(missing)) for times, missing in self._committed]
        walk = _Walk(
            [[scale.piece(stretch) for stretch in term.stretches] for term in self._terms],
            [term.accounts for term in self._terms],
            floors,
            [(scale.amounts(self._fixed), 0), *((0, 0) for _ in floors)],
            _Track(scale.volume),
        )
        return walk.to(scale.volumes(self._end))


class _Walk:
    """Over a difference from left to right, in whole numbers."""

    def __init__(
        self,
        lines: Sequence[Sequence[_Piece]],
        accounts: Sequence[tuple[tuple[int, int], ...]],
        floors: Sequence[_Floor],
        sums: _Sums,
        track: _Track,
    ) -> None:
        self._lines = lines
        self._accounts = accounts
        self._floors = floors
        self._sums = sums
        self._track = track
        self._now: dict[int, _Piece] = {}
        self._stepping: dict[int, _Piece] = {}
        self._left = STEPS_FOLLOWED

    def to(self, last: int) -> _Track:
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

    def _enter(self, place: int, piece: _Piece) -> None:
        old = self._now.get(place)
        base = piece.base - (old.base if old else 0)
        slope = piece.slope - (old.slope if old else 0)
        self._sums = self._plus(self._sums, place, base, slope)
        self._now[place] = piece
        self._stepping.pop(place, None)
        if piece.step:
            self._stepping[place] = piece

    def _plus(self, sums: _Sums, place: int, base: int, slope: int = 0) -> _Sums:
        """Sums to which a line adds so much."""
        sums = sums.copy()
        for account, times in self._accounts[place]:
            old_base, old_slope = sums[account]
            sums[account] = old_base + times * base, old_slope + times * slope
        return sums

    def _between(self, begin: _Exact, end: _Exact) -> None:
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

    def _many(self, begin: _Exact, end: _Exact) -> int:
        return sum(len(piece.steps(begin, end)) for piece in self._stepping.values())

    def _steps(self, begin: _Exact, end: _Exact, *, back: bool = False) -> Iterator[tuple[int, int]]:
        """Every step between two volumes with the term that takes it, from the left or from the right."""

        def of(place: int, piece: _Piece) -> Iterator[tuple[int, int]]:
            packages = piece.steps(begin, end)
            for package in reversed(packages) if back else packages:
                yield piece.origin + piece.size * package, place

        return merge(*(of(place, piece) for place, piece in self._stepping.items()), reverse=back)

    def _closely(self, begin: _Exact, end: _Exact, possible: tuple[Standing, ...]) -> None:
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

    def _cells(self, begin: _Exact, end: _Exact, steps: Iterable[tuple[int, int]]) -> None:
        """Walk over volumes, stopping at each of these steps."""
        sums = self._sums_after(begin)
        for step, here in groupby(steps, key=itemgetter(0)):
            self._cell(begin, step, sums)
            for _, place in here:
                self._left -= 1
                sums = self._plus(sums, place, self._stepping[place].step)
            begin = step
        self._cell(begin, end, sums)

    def _cell(self, begin: _Exact, end: _Exact, sums: _Sums) -> None:
        """Walk over volumes without a step: straight lines from one floor that is reached to the next."""
        kinks: set[_Exact] = set()
        for floor, (base, slope) in zip(self._floors, sums[1:], strict=True):
            if slope and begin < (kink := Fraction(floor.missing - base, slope)) < end:
                kinks.add(kink)
        values = [(volume, self._value(sums, volume)) for volume in (begin, *sorted(kinks), end)]
        for (start, at_start), (stop, at_stop) in pairwise(values):
            self._track.straight(at_start, stop, at_stop, start)

    def _value(self, sums: _Sums, volume: _Exact) -> _Exact:
        base, slope = sums[0]
        difference = base + slope * volume
        for floor, (base, slope) in zip(self._floors, sums[1:], strict=True):
            missing = floor.missing - base - slope * volume
            if missing > 0:
                difference += floor.times * missing
        return difference

    def _sums_after(self, volume: _Exact) -> _Sums:
        """The sums just above a volume, with the packages that are started there."""
        sums = self._sums
        for place, piece in self._stepping.items():
            sums = self._plus(sums, place, piece.step * piece.started_after(volume))
        return sums

    def _sums_until(self, volume: _Exact) -> _Sums:
        """The sums at a volume and just below."""
        sums = self._sums
        for place, piece in self._stepping.items():
            sums = self._plus(sums, place, piece.step * piece.started(volume))
        return sums

    def _bounded(self, begin: _Exact, end: _Exact) -> list[tuple[_Exact, _Exact, tuple[Standing, ...]]]:
        """
        Split at where two straight bounds of the difference change their signs.

        Started packages are less than one more than units by size, so each sum with steps runs within a band
        of constant height: outside of a few volumes nobody needs to look at single steps.
        """
        # Slopes are steps by size; so many times as large they are whole again.
        scale = _common(piece.size for piece in self._stepping.values())
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
        nodes: set[_Exact] = {begin, end}
        for floor, *sums in zip(self._floors, below[1:], above[1:], strict=True):
            nodes.update(Fraction(floor.missing * scale - base, slope) for base, slope in sums if slope)

        def bounds(volume: _Exact) -> tuple[_Exact, _Exact]:
            (low_base, low_slope), (high_base, high_slope) = below[0], above[0]
            low: _Exact = low_base + low_slope * volume
            high: _Exact = high_base + high_slope * volume
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
                    possible: tuple[Standing, ...] = (_standing(most_here if most_here < 0 else least_here),)
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


def _due_together(lines: Sequence[Line], cycles: int, *, always: bool) -> Counter[tuple[int, ...]]:
    """Which recurring lines are due in the same cycle, by their places, and in how many cycles."""
    recurring = [(place, line) for place, line in enumerate(lines) if line.per == "cycle"]
    if always or all(line.due_always for _, line in recurring):
        return Counter({tuple(place for place, _ in recurring): cycles})
    return Counter(
        tuple(place for place, line in recurring if line.charges(cycle + 1) > line.charges(cycle))
        for cycle in range(cycles)
    )


def _exact(line: Line) -> Fraction:
    return Fraction(line.amount.amount) if line.amount else _NOTHING
