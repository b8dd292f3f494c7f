"""One rate card at a quantity: a line of an estimate, rounded once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal

from purchases.cards import CARDS, METERED, MONTHS_OF_CYCLE
from purchases.money import EXACT, Money, number, total
from purchases.pricing.rhythms import Rhythm, due_together
from purchases.pricing.slabs import Part, Priced, Slab, price_slabs
from purchases.terms import PlanType
from togai.strict_json import plain

Per = Literal["once", "cycle"]
Card = Mapping[str, Any]


class Unpriceable(Exception):
    """A card has no price here; the message says why, for a rep to read."""


@dataclass(frozen=True)
class Table:
    """
    The slabs of a card in one currency.

    :ivar minimum: of the card as a whole, like `maximum`
    :ivar windows: how often the slabs are gone through in a billing cycle
    """

    model: str
    slabs: tuple[Slab, ...]
    minimum: Decimal | None
    maximum: Decimal | None
    windows: int = 1


@dataclass(frozen=True)
class Line:
    """
    What one rate card costs.

    :ivar per: whether `amount` is due once or in a billing cycle
    :ivar quantity: the units that are priced: credits granted, seats, volume; for a minimum commitment what
        is committed
    :ivar amount: rounded to the minor unit; None when `unknown_because` says why
    :ivar exact: the amount before that rounding
    :ivar every: due in every so many cycles, the first time after `offset` of them
    :ivar credit: money off later lines that a credit grant gives
    :ivar table: the slabs that priced it; None for a fee, a commitment, and while it is unknown
    :ivar beside: for a minimum commitment the lines that it is compared with in each cycle
    """

    kind: str
    billable_id: str
    label: str
    per: Per
    quantity: Decimal | None
    amount: Money | None
    formula: str = ""
    parts: tuple[Part, ...] = ()
    unknown_because: str = ""
    every: int = 1
    offset: int = 0
    credit: Money | None = None
    exact: Decimal | None = field(default=None, compare=False)
    card: Card = field(default_factory=dict, repr=False, compare=False)
    table: Table | None = field(default=None, repr=False, compare=False)
    beside: tuple["Line", ...] = field(default=(), repr=False, compare=False)

    @property
    def rhythm(self) -> Rhythm:
        """In which cycles it is due, where it recurs at all."""
        return Rhythm(self.every, self.offset)

    def charges(self, cycles: int) -> int:
        """How often it is due in a term of so many cycles."""
        return 1 if self.per == "once" else self.rhythm.charges(cycles)

    def over(self, cycles: int) -> Money | None:
        """What it comes to in a term of so many cycles; None when it is unknown."""
        if self.amount is None:
            return None
        if not self.varies:
            return self.amount * self.charges(cycles)
        found = (amount * times for amount, times in self.true_ups(cycles))
        return total(found, self.amount.currency)

    @property
    def varies(self) -> bool:
        """Whether it comes to another amount in some cycles: a commitment beside lines not always due."""
        return any(line.rhythm != Rhythm() for line in self.beside)

    def true_ups(self, cycles: int) -> list[tuple[Money, int]]:
        """What a commitment adds in so many cycles: each amount, and in how many of them it is due."""
        if self.amount is None:
            return []
        currency = self.amount.currency
        by_rhythm: dict[Rhythm, list[Line]] = {}
        for line in self.beside:
            by_rhythm.setdefault(line.rhythm, []).append(line)
        found: dict[Decimal, int] = {}
        for due, times in due_together(by_rhythm.keys(), cycles).items():
            lines = [line for rhythm in due for line in by_rhythm[rhythm]]
            missing = _missing(self.quantity or Decimal(0), lines, currency).amount
            found[missing] = found.get(missing, 0) + times
        return [(Money(amount, currency), times) for amount, times in found.items()]


def price_card(
    kind: str,
    card: Card,
    *,
    quantity: Decimal | None,
    currency: str,
    plan_type: PlanType = PlanType.PURCHASE,
    interval: str | None = None,
    table: Table | None = None,
) -> Line:
    """
    Price one rate card.

    :param quantity: how many are bought (fixed fee, entitlement, credit grant), the expected volume of a
        cycle (usage; overage: units beyond the allowance) or the seats (license); None is unknown
    :param interval: the billing cycle, which a license's own usage cycle is measured against
    :param table: the card's slabs where somebody has read them already
    """
    per = _per(kind, card, plan_type)
    every, offset = _recurrence(kind, card) if per == "cycle" else (1, 0)
    line = Line(
        kind=kind,
        billable_id=card[CARDS[kind].key],
        label=card.get("displayName") or card.get("name") or card[CARDS[kind].key],
        per=per,
        quantity=quantity,
        amount=None,
        every=every,
        offset=offset,
        card=card,
    )
    try:
        if quantity is None:
            raise Unpriceable("No expected volume yet." if kind in METERED else "No quantity yet.")
        units, how = _units(kind, card, quantity, currency, every)
        if kind == "fixedFeeRateCards":
            priced = price_units(kind, card, units, currency=currency)
        else:
            table = table or table_of(kind, card, currency=currency, interval=interval)
            priced = price_table(table, units)
    except Unpriceable as reason:
        return replace(line, unknown_because=str(reason))
    return replace(
        line,
        quantity=units,
        amount=Money.rounded(priced.amount, currency),
        exact=priced.amount,
        formula=how + priced.formula,
        parts=priced.parts,
        credit=Money.rounded(units, currency) if kind == "creditGrantRateCards" else None,
        table=table,
    )


def table_of(kind: str, card: Card, *, currency: str, interval: str | None = None) -> Table:
    """
    Read the slabs of a card of any kind but a fixed fee.

    :raises Unpriceable: when the card has no price in the currency, or is a draft that is not complete yet
    """
    try:
        if kind == "creditGrantRateCards":
            rates = card["rateDetails"]
            prices = in_currency(rates["currencySlabRateDetails"], currency)
            model, slabs = rates["pricingModel"], [_slab(slab, slab) for slab in prices["slabDetails"]]
        else:
            prices = in_currency(card["rateValues"], currency)
            model, slabs = (
                card["ratePlan"]["pricingModel"],
                slabs_of(card["ratePlan"]["slabs"], prices["slabRates"]),
            )
        if any(slab.start_after <= before.start_after for before, slab in pairwise(slabs)):
            raise Unpriceable("The slabs are not in order yet.")
        limits = prices.get("rateConfig") or {}
        minimum, maximum = limit_of(limits, "minimumRate"), limit_of(limits, "maximumRate")
        return Table(model, tuple(slabs), minimum, maximum, usage_windows(card, interval))
    except (KeyError, TypeError, ValueError):
        # A draft may hold half a card; its price is not known yet, and the page must still open.
        raise Unpriceable("The card is not complete yet.") from None


def price_units(
    kind: str, card: Card, units: Decimal, *, currency: str, interval: str | None = None
) -> Priced:
    """
    Price units (credits granted, seats, volume, pieces) at a card's rates, exactly.

    :raises Unpriceable: when the card has no price in the currency, or is a draft that is not complete yet
    """
    try:
        if kind == "fixedFeeRateCards":
            rate = number(in_currency(card["rateValues"], currency)["rate"])
            formula = plain(rate) if units == 1 else f"{plain(units)} × {plain(rate)}"
            return Priced(EXACT.multiply(units, rate), (), formula)
    except (KeyError, TypeError, ValueError):
        raise Unpriceable("The card is not complete yet.") from None
    return price_table(table_of(kind, card, currency=currency, interval=interval), units)


def price_table(table: Table, units: Decimal) -> Priced:
    """
    Price units at slabs that are read already, exactly.

    :raises Unpriceable: when a slab is not complete yet
    """
    try:
        priced = price_slabs(table.model, table.slabs, units, minimum=table.minimum, maximum=table.maximum)
    except ValueError:
        raise Unpriceable("The card is not complete yet.") from None
    if table.windows == 1:
        return priced
    return Priced(
        EXACT.multiply(priced.amount, Decimal(table.windows)),
        priced.parts,
        f"{table.windows} × ({priced.formula})",
    )


def true_up(commitment: Card, *, lines: Iterable[Line], currency: str) -> Line:
    """
    What a minimum commitment adds in a cycle: max(0, commitment − sum of the cards that are due in it).

    The line's amount is for a cycle in which all cards are due; its `over` looks at each cycle of the term.

    :param lines: the lines of all rate cards; what is due once does not count
    """
    label = commitment.get("displayName") or "Minimum commitment"
    line = Line("minimumCommitment", "", label, "cycle", None, None, card=commitment)
    recurring = tuple(line for line in lines if line.per == "cycle")
    try:
        committed = number(in_currency(commitment["rateValues"], currency)["rate"])
    except Unpriceable as reason:
        return replace(line, unknown_because=str(reason))
    except (KeyError, TypeError, ValueError):
        return replace(line, unknown_because="The commitment is not complete yet.")
    line = replace(line, quantity=committed)
    if any(other.amount is None for other in recurring):
        return replace(line, unknown_because="It depends on lines that are unknown.")
    reached = plain(_reached(recurring, currency))
    return replace(
        line,
        amount=_missing(committed, recurring, currency),
        formula=f"{plain(committed)} committed − {reached} from the cards, at least 0",
        beside=recurring,
    )


def _missing(committed: Decimal, due: Iterable[Line], currency: str) -> Money:
    return Money.rounded(max(Decimal(0), EXACT.subtract(committed, _reached(due, currency))), currency)


def _reached(due: Iterable[Line], currency: str) -> Decimal:
    return total((line.amount for line in due if line.amount is not None), currency).amount


def _per(kind: str, card: Card, plan_type: PlanType) -> Per:
    if plan_type is PlanType.PURCHASE:
        return "once"
    return "once" if card.get("type") == "ONE_TIME" and kind not in METERED else "cycle"


def _recurrence(kind: str, card: Card) -> tuple[int, int]:
    if kind == "entitlementOverageRateCards":
        billing = card.get("billingConfig") or {}
        return billing.get("interval") or 1, billing.get("startOffset") or 0
    recurrence = card.get("recurrenceConfig") or {}
    return recurrence.get("interval") or 1, recurrence.get("offset") or 0


def _units(kind: str, card: Card, quantity: Decimal, currency: str, every: int) -> tuple[Decimal, str]:
    """The units that a quantity comes to, and how, in words that stand before the price's formula."""
    try:
        match kind:
            case "billingEntitlementRateCards":
                limit = Decimal(0)
                for window in card["featureConfigs"]:
                    limit = EXACT.add(limit, number(window["featureCreditLimit"]))
                units = EXACT.multiply(limit, quantity)
                return units, "" if quantity == 1 else f"{plain(quantity)} × {plain(limit)} credits: "
            case "creditGrantRateCards":
                amount = number(
                    in_currency(card["rateDetails"]["currencySlabRateDetails"], currency)["creditAmount"]
                )
                units = EXACT.multiply(amount, quantity)
                return units, f"{plain(units)} {currency} of credit: "
            case "entitlementOverageRateCards":
                units, most = EXACT.multiply(quantity, Decimal(every)), card.get("maxQuantity")
                if most is not None and number(most) < units:
                    return number(most), f"at most {plain(number(most))} units: "
                return units, ""
    except (KeyError, TypeError, ValueError):
        raise Unpriceable("The card is not complete yet.") from None
    return quantity, ""


def in_currency(prices: Iterable[Card], currency: str) -> Card:
    """
    The prices of a card in a currency.

    :raises Unpriceable: when there are none
    """
    for price in prices:
        if price.get("currency") == currency:
            return price
    raise Unpriceable(f"There is no price in {currency}.")


def slabs_of(slabs: Iterable[Card], rates: Iterable[Card]) -> list[Slab]:
    """
    A card's slabs with their rates, by order.

    :raises KeyError, TypeError, ValueError: when the card is not complete yet
    """
    rate_of = {rate["order"]: rate for rate in rates}
    return [_slab(slab, rate_of[slab["order"]]) for slab in sorted(slabs, key=lambda slab: slab["order"])]


def _slab(slab: Card, rate: Card) -> Slab:
    limits = rate.get("slabRateConfig") or {}
    return Slab(
        start_after=number(slab["startAfter"]),
        price_type=slab["priceType"],
        rate=number(rate["rate"]),
        package_size=limit_of(slab.get("slabConfig") or {}, "packageSize"),
        minimum=limit_of(limits, "minimumRate"),
        maximum=limit_of(limits, "maximumRate"),
    )


def limit_of(settings: Card, name: str) -> Decimal | None:
    """One of the vendor's numbers in a map of text; None where it is not set."""
    return None if settings.get(name) is None else number(settings[name])


def usage_windows(card: Card, interval: str | None) -> int:
    """
    How many windows a license's usage cycle splits the billing cycle into, each priced (togai.md 4.4).

    :raises Unpriceable: when they do not fit
    """
    usage = card.get("usageCycle")
    if usage is None or usage == interval:
        return 1
    whole, rest = divmod(MONTHS_OF_CYCLE.get(interval or "", 0), MONTHS_OF_CYCLE.get(usage, 1))
    if not whole or rest or usage not in MONTHS_OF_CYCLE:
        raise Unpriceable(f"{usage.capitalize()} seats do not fit evenly into the billing cycle.")
    return whole
