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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from purchases.cards import METERED
from purchases.money import EXACT, Money, total
from purchases.pricing.comparison import Side
from purchases.pricing.estimates import Estimate, at_volumes, estimate
from purchases.pricing.lines import Line, Unpriceable
from purchases.pricing.rhythms import due_together
from purchases.pricing.standings import Crossover, Standing, Track, Unsettled, begins
from purchases.pricing.stretches import Stretch, of_line
from purchases.pricing.walks import Floor, Scale, Walk
from purchases.terms import PlanType

Span = Literal["once", "cycle", "term"]
Details = Mapping[str, Any]

SIDES = ("plan", "proposal", "previous")
FACTORS = (Decimal("0.1"), Decimal("0.5"), Decimal(1), Decimal(2), Decimal(10))
# Crossovers are looked for up to so many times the expected volumes.
FARTHEST = Decimal(10)

_NOTHING = Fraction(0)


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
        for mark in sorted(marks, key=begins):
            if here < begins(mark):
                return mark.before
            if isinstance(mark, Unsettled) and here <= mark.end:
                return None
            if here == begins(mark):
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

    All sides are priced at the same quantities, volumes and dates. Work is bounded: see `walks`.

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
    names = [name for name in SIDES if name in details_by_side]
    sides = {
        name: estimate(
            details_by_side[name],
            plan_type=plan_type,
            currency=currency,
            quantity=quantity,
            rate_card_quantities=rate_card_quantities,
            volumes=volumes,
            effective_from=effective_from,
            effective_until=effective_until,
        )
        for name in names
    }
    return curve_of(
        sides, volumes=volumes, billable_id=billable_id, alone=alone, factors=factors, up_to=up_to
    )


def curve_of(
    sides: Mapping[str, Estimate],
    *,
    volumes: Mapping[str, Decimal],
    billable_id: str = "",
    alone: bool = False,
    factors: Sequence[Decimal] = FACTORS,
    up_to: Decimal | None = None,
) -> Curve:
    """
    As `curve`, of sides that are priced already: whoever draws many curves of a deal prices it once.

    :param sides: estimates at the expected volumes of the `plan`, of the `proposal` and, if there is one, of
        the `previous` revision
    :raises ValueError: for a negative volume or factor
    :raises KeyError: without a plan or a proposal
    """
    if min((*factors, *volumes.values(), up_to or 0)) < 0:
        raise ValueError("A volume is not negative.")
    varying = (billable_id,) if billable_id else tuple(volumes)
    span: Span = "once"
    if sides["plan"].recurs:
        span = "cycle" if None in (sides["plan"].cycles, sides["proposal"].cycles) else "term"
    only = billable_id if alone else ""
    # What an item costs alone is all that has to be priced again and again.
    seen = {
        name: replace(priced, lines=tuple(_lines(priced, only))) if only else priced
        for name, priced in sides.items()
    }
    plan, proposal = seen["plan"], seen["proposal"]

    def amount(name: str, factor: Decimal) -> Amount:
        scaled = {name: EXACT.multiply(volumes[name], factor) for name in varying if name in volumes}
        return _amount(seen[name] if factor == 1 else at_volumes(seen[name], scaled), span)

    def point(factor: Decimal) -> Point:
        volume = volumes.get(billable_id) if billable_id else None
        at = None if volume is None else EXACT.multiply(volume, factor)
        return Point(factor, at, **{name: amount(name, factor) for name in SIDES if name in seen})

    if up_to is None:
        about = volumes.get(billable_id) if billable_id else Decimal(1)
        up_to = None if about is None else EXACT.multiply(about, FARTHEST)
    points = tuple(point(factor) for factor in factors)
    result = Curve(plan.currency, span, billable_id, up_to, points)
    unknown = _unknown(plan, proposal, span)
    if up_to is None:
        unknown = unknown or ("No expected volume yet.",)
    if unknown or up_to is None:
        return replace(result, unknown_because=unknown)
    # A factor stands for so many units of each item, a volume for itself.
    units = {name: Fraction(1) if billable_id else Fraction(volumes[name]) for name in varying}
    difference = _Difference(Fraction(up_to))
    try:
        difference.add(plan, span, units, sign=-1)
        difference.add(proposal, span, units, sign=1)
    except Unpriceable as reason:
        return replace(result, unknown_because=(str(reason),))
    track = difference.follow()
    return replace(
        result,
        crossovers=tuple(track.crossovers),
        unsettled=tuple(track.unsettled),
        standing=track.first,
    )


def _amount(priced: Estimate, span: Span) -> Amount:
    lines = _spanned(priced, span)
    reasons = tuple(f"{line.label}: {line.unknown_because}" for line in lines if line.amount is None)
    if reasons:
        return Amount(None, reasons)
    amounts = [line.amount if span == "cycle" else line.over(priced.cycles or 0) for line in lines]
    return Amount(total((amount for amount in amounts if amount is not None), priced.currency))


def _lines(priced: Estimate, only: str) -> list[Line]:
    return [line for line in priced.lines if line.kind in METERED and line.billable_id == only]


def _spanned(priced: Estimate, span: Span) -> list[Line]:
    return [line for line in priced.lines if span != "cycle" or line.per == "cycle"]


def _unknown(plan: Estimate, proposal: Estimate, span: Span) -> tuple[str, ...]:
    if plan.interval != proposal.interval:
        return ("Volumes are per billing cycle, and the cycle is not the plan's.",)
    reasons = (*_amount(plan, span).unknown_because, *_amount(proposal, span).unknown_because)
    return tuple(dict.fromkeys(reasons))


@dataclass(frozen=True)
class _Term:
    """
    A line that varies.

    :ivar accounts: in which sums it counts (0 is the difference, the others are those of floors), how often
    """

    stretches: Sequence[Stretch]
    accounts: tuple[tuple[int, int], ...]


class _Difference:
    """Proposal minus plan between 0 and a volume, piece by piece."""

    def __init__(self, end: Fraction) -> None:
        self._end = end
        self._terms: list[_Term] = []
        self._committed: list[tuple[int, Fraction]] = []
        self._fixed = _NOTHING

    def add(
        self, priced: Estimate, span: Span, units: Mapping[str, Fraction], *, sign: Literal[-1, 1]
    ) -> None:
        """
        Add one side; `sign` is -1 for the plan.

        :raises Unpriceable: when a card is not complete
        """
        lines = _spanned(priced, span)
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
                stretches = of_line(line, units[line.billable_id], priced.currency, priced.interval)
                self._terms.append(_Term(stretches, ((0, times), *floors_of[place])))
            else:
                self._fixed += times * _exact(line)

    def follow(self) -> Track:
        """Walk from 0 to the end, and say what was seen."""
        others = (self._fixed, *(missing for _, missing in self._committed))
        scale = Scale.of((stretch for term in self._terms for stretch in term.stretches), others, self._end)
        floors = [Floor(times, scale.amounts(missing)) for times, missing in self._committed]
        walk = Walk(
            [[scale.piece(stretch) for stretch in term.stretches] for term in self._terms],
            [term.accounts for term in self._terms],
            floors,
            [(scale.amounts(self._fixed), 0), *((0, 0) for _ in floors)],
            Track(scale.volume),
        )
        return walk.to(scale.volumes(self._end))


def _due_together(lines: Sequence[Line], cycles: int, *, always: bool) -> Counter[tuple[int, ...]]:
    """Which recurring lines are due in the same cycle, by their places, and in how many cycles."""
    recurring = [(place, line.rhythm) for place, line in enumerate(lines) if line.per == "cycle"]
    if always:
        return Counter({tuple(place for place, _ in recurring): cycles})
    together: Counter[tuple[int, ...]] = Counter()
    for due, times in due_together({rhythm for _, rhythm in recurring}, cycles).items():
        together[tuple(place for place, rhythm in recurring if rhythm in due)] += times
    return together


def _exact(line: Line) -> Fraction:
    return Fraction(line.amount.amount) if line.amount else _NOTHING
