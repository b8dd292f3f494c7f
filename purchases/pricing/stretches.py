"""The exact amount of a metered card as a function of its volume: stretches that follow each other."""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from purchases.money import number
from purchases.pricing.lines import Card, Line, Unpriceable, in_currency, limit_of, slabs_of, usage_windows
from purchases.pricing.slabs import Slab

_NOTHING = Fraction(0)


class Stretch(NamedTuple):
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


def _of_card(card: Card, currency: str, interval: str | None) -> tuple[Fraction, list[Stretch]]:
    """
    A metered card's exact amount: of nothing, and by stretches of units that follow each other.

    Within a stretch it only rises or only falls, and has at most one thing that grows (togai.md 4.5).

    :raises Unpriceable: for a draft that is not complete in a slab that is reached at some volume
    """
    try:
        prices = in_currency(card["rateValues"], currency)
        model = card["ratePlan"]["pricingModel"]
        slabs = slabs_of(card["ratePlan"]["slabs"], prices["slabRates"])
        limits = prices.get("rateConfig") or {}
        low, high = limit_of(limits, "minimumRate"), limit_of(limits, "maximumRate")
        windows = usage_windows(card, interval)
        pieces: list[Stretch] = []
        if slabs[0].start_after:
            pieces += _held(_NOTHING, Stretch(Fraction(slabs[0].start_after), _NOTHING), low, high)
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


def _of_slab(slab: Slab, until: Fraction | None, counted_from: Fraction) -> Stretch:
    rate = Fraction(slab.rate)
    match slab.price_type:
        case "PER_UNIT":
            return Stretch(until, -rate * counted_from, slope=rate)
        case "FLAT":
            return Stretch(until, rate)
        case "PACKAGE" if slab.package_size is not None and slab.package_size > 0:
            size = Fraction(slab.package_size)
            if not rate:
                return Stretch(until, _NOTHING)
            return Stretch(until, _NOTHING, step=rate, size=size, origin=counted_from)
        case _:
            raise ValueError(f"{slab.price_type} is not a price type.")


def _clamped(amount: Fraction, low: Decimal | None, high: Decimal | None) -> Fraction:
    """As `price_slabs` holds an amount to its limits: to the minimum first."""
    if low is not None and amount < low:
        amount = Fraction(low)
    if high is not None and amount > high:
        amount = Fraction(high)
    return amount


def _held(start: Fraction, stretch: Stretch, low: Decimal | None, high: Decimal | None) -> list[Stretch]:
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
        held.append(stretch._replace(until=end) if clamped == amount else Stretch(end, clamped))
        begin = end if end is not None else begin
    return held


def _capped(pieces: Iterable[Stretch], most: Fraction, nothing: Fraction) -> list[Stretch]:
    """Units past `most` are not billed."""
    if most <= 0:
        return [Stretch(None, nothing)]
    kept: list[Stretch] = []
    for piece in pieces:
        if piece.until is None or piece.until >= most:
            return [*kept, piece._replace(until=most), Stretch(None, piece.at(most))]
        kept.append(piece)
    raise AssertionError("The last stretch has no end.")


def of_line(line: Line, units: Fraction, currency: str, interval: str | None) -> list[Stretch]:
    """A line's exact amount as a function of v, its volume being v × units."""
    nothing, pieces = _of_card(line.card, currency, interval)
    if line.kind == "entitlementOverageRateCards":
        units *= line.every
        most = line.card.get("maxQuantity")
        if most is not None:
            pieces = _capped(pieces, Fraction(number(most)), nothing)
    if not units:
        return [Stretch(None, nothing)]
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
