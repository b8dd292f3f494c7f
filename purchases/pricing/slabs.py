"""A quantity at a table of slabs, exactly, with the formula of every part."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from purchases.money import EXACT
from togai.strict_json import plain


@dataclass(frozen=True)
class Slab:
    """A tier with the rate of one currency; its threshold still belongs to the one before."""

    start_after: Decimal
    price_type: str
    rate: Decimal
    package_size: Decimal | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None


@dataclass(frozen=True)
class Part:
    """What one slab contributes: its place from 1, its units, the exact amount, and the formula."""

    order: int
    units: Decimal
    amount: Decimal
    formula: str


@dataclass(frozen=True)
class Priced:
    """An exact amount, not rounded yet, and where it came from."""

    amount: Decimal
    parts: tuple[Part, ...]
    formula: str


def price_slabs(
    model: str,
    slabs: Sequence[Slab],
    quantity: Decimal,
    *,
    minimum: Decimal | None = None,
    maximum: Decimal | None = None,
) -> Priced:
    """
    Price a quantity, exactly.

    TIERED: every slab prices its own units. VOLUME: the slab that is reached prices all of them. Each slab is
    held to its own limits, then the sum to the card's: a card's minimum is due even where nothing is used.

    :param slabs: sorted by their start, the first at 0
    :param minimum: of the whole card; like `maximum` in major units
    :raises ValueError: for a negative quantity, an unknown model or price type, a package without size
    """
    if quantity < 0:
        raise ValueError("A quantity is not negative.")
    entered = [(order, slab) for order, slab in enumerate(slabs, start=1) if quantity > slab.start_after]
    if model == "VOLUME":
        parts = [_part(order, slab, quantity) for order, slab in entered[-1:]]
    elif model == "TIERED":
        ends = [min(quantity, slab.start_after) for slab in slabs[1:]] + [quantity]
        parts = [
            _part(order, slab, EXACT.subtract(ends[order - 1], slab.start_after)) for order, slab in entered
        ]
    else:
        raise ValueError(f"{model} is not a pricing model.")
    amount = Decimal(0)
    for part in parts:
        amount = EXACT.add(amount, part.amount)
    formula = " + ".join(part.formula for part in parts) or "nothing used"
    amount, formula = _held(amount, formula, minimum, maximum, many=len(parts) > 1)
    return Priced(amount, tuple(parts), formula)


def _part(order: int, slab: Slab, units: Decimal) -> Part:
    rate = plain(slab.rate)
    match slab.price_type:
        case "PER_UNIT":
            amount, formula = EXACT.multiply(units, slab.rate), f"{plain(units)} × {rate}"
        case "FLAT":
            amount, formula = slab.rate, f"{rate} flat"
        case "PACKAGE":
            if slab.package_size is None or slab.package_size <= 0:
                raise ValueError("A package has a size.")
            packages = _started(units, slab.package_size)
            amount = EXACT.multiply(packages, slab.rate)
            formula = f"{plain(packages)} packages of {plain(slab.package_size)} × {rate}"
        case _:
            raise ValueError(f"{slab.price_type} is not a price type.")
    amount, formula = _held(amount, formula, slab.minimum, slab.maximum, many=False)
    return Part(order, units, amount, formula)


def _started(units: Decimal, size: Decimal) -> Decimal:
    whole, rest = EXACT.divmod(units, size)
    return EXACT.add(whole, Decimal(1)) if rest else whole


def _held(
    amount: Decimal, formula: str, minimum: Decimal | None, maximum: Decimal | None, *, many: bool
) -> tuple[Decimal, str]:
    """Hold an amount to its limits; where one bites, the formula says so."""
    limited = amount
    if minimum is not None and limited < minimum:
        limited = minimum
    if maximum is not None and limited > maximum:
        limited = maximum
    if limited == amount:
        return amount, formula
    word = "at least" if limited > amount else "at most"
    inner = f"({formula})" if many else formula
    return limited, f"{inner}, {word} {plain(limited)}"
