"""One rate card at a quantity: a line of an estimate, rounded once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal

from purchases.cards import CARDS, METERED, MONTHS_OF_CYCLE
from purchases.money import EXACT, Money, number, total
from purchases.pricing.slabs import Part, Priced, Slab, price_slabs
from purchases.terms import PlanType
from togai.strict_json import plain

Per = Literal["once", "cycle"]
Card = Mapping[str, Any]


class Unpriceable(Exception):
    """A card has no price here; the message says why, for a rep to read."""


@dataclass(frozen=True)
class Line:
    """
    What one rate card costs.

    :ivar per: whether `amount` is due once or in a billing cycle
    :ivar quantity: the units that are priced: credits granted, seats, volume; for a minimum commitment what
        is committed
    :ivar amount: rounded to the minor unit; None when `unknown_because` says why
    :ivar every: due in every so many cycles, the first time after `offset` of them
    :ivar credit: money off later lines that a credit grant gives
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
    card: Card = field(default_factory=dict, repr=False, compare=False)
    beside: tuple["Line", ...] = field(default=(), repr=False, compare=False)

    def charges(self, cycles: int) -> int:
        """How often it is due in a term of so many cycles."""
        if self.per == "once":
            return 1
        return max(0, -((self.offset - cycles) // self.every))

    def over(self, cycles: int) -> Money | None:
        """What it comes to in a term of so many cycles; None when it is unknown."""
        if self.amount is None:
            return None
        if all(line.due_always for line in self.beside):
            return self.amount * self.charges(cycles)
        currency = self.amount.currency
        return total((self._true_up_in(cycle, currency) for cycle in range(cycles)), currency)

    @property
    def due_always(self) -> bool:
        """Whether it is due in every single cycle."""
        return (self.per, self.every, self.offset) == ("cycle", 1, 0)

    def _true_up_in(self, cycle: int, currency: str) -> Money:
        due = [line for line in self.beside if line.charges(cycle + 1) > line.charges(cycle)]
        return _missing(self.quantity or Decimal(0), due, currency)


def price_card(
    kind: str,
    card: Card,
    *,
    quantity: Decimal | None,
    currency: str,
    plan_type: PlanType = PlanType.PURCHASE,
    interval: str | None = None,
) -> Line:
    """
    Price one rate card.

    :param quantity: how many are bought (fixed fee, entitlement, credit grant), the expected volume of a
        cycle (usage; overage: units beyond the allowance) or the seats (license); None is unknown
    :param interval: the billing cycle, which a license's own usage cycle is measured against
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
        priced = price_units(kind, card, units, currency=currency, interval=interval)
    except Unpriceable as reason:
        return replace(line, unknown_because=str(reason))
    return replace(
        line,
        quantity=units,
        amount=Money.rounded(priced.amount, currency),
        formula=how + priced.formula,
        parts=priced.parts,
        credit=Money.rounded(units, currency) if kind == "creditGrantRateCards" else None,
    )


def price_units(
    kind: str, card: Card, units: Decimal, *, currency: str, interval: str | None = None
) -> Priced:
    """
    Price units (credits granted, seats, volume, pieces) at a card's rates, exactly.

    :raises Unpriceable: when the card has no price in the currency, or is a draft that is not complete yet
    """
    try:
        if kind == "fixedFeeRateCards":
            rate = number(_in_currency(card["rateValues"], currency)["rate"])
            formula = plain(rate) if units == 1 else f"{plain(units)} × {plain(rate)}"
            return Priced(EXACT.multiply(units, rate), (), formula)
        if kind == "creditGrantRateCards":
            rates = card["rateDetails"]
            prices = _in_currency(rates["currencySlabRateDetails"], currency)
            model, slabs = rates["pricingModel"], [_slab(slab, slab) for slab in prices["slabDetails"]]
        else:
            prices = _in_currency(card["rateValues"], currency)
            model, slabs = (
                card["ratePlan"]["pricingModel"],
                _slabs(card["ratePlan"]["slabs"], prices["slabRates"]),
            )
        if any(slab.start_after <= before.start_after for before, slab in pairwise(slabs)):
            raise Unpriceable("The slabs are not in order yet.")
        limits = prices.get("rateConfig") or {}
        priced = price_slabs(
            model, slabs, units, minimum=_limit(limits, "minimumRate"), maximum=_limit(limits, "maximumRate")
        )
    except (KeyError, TypeError, ValueError):
        # A draft may hold half a card; its price is not known yet, and the page must still open.
        raise Unpriceable("The card is not complete yet.") from None
    windows = _usage_windows(card, interval)
    if windows == 1:
        return priced
    return Priced(
        EXACT.multiply(priced.amount, Decimal(windows)), priced.parts, f"{windows} × ({priced.formula})"
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
        committed = number(_in_currency(commitment["rateValues"], currency)["rate"])
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
        return billing.get("interval", 1), billing.get("startOffset", 0)
    recurrence = card.get("recurrenceConfig") or {}
    return recurrence.get("interval", 1), recurrence.get("offset", 0)


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
                    _in_currency(card["rateDetails"]["currencySlabRateDetails"], currency)["creditAmount"]
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


def _in_currency(prices: Iterable[Card], currency: str) -> Card:
    for price in prices:
        if price.get("currency") == currency:
            return price
    raise Unpriceable(f"There is no price in {currency}.")


def _slabs(slabs: Iterable[Card], rates: Iterable[Card]) -> list[Slab]:
    rate_of = {rate["order"]: rate for rate in rates}
    return [_slab(slab, rate_of[slab["order"]]) for slab in sorted(slabs, key=lambda slab: slab["order"])]


def _slab(slab: Card, rate: Card) -> Slab:
    limits = rate.get("slabRateConfig") or {}
    return Slab(
        start_after=number(slab["startAfter"]),
        price_type=slab["priceType"],
        rate=number(rate["rate"]),
        package_size=_limit(slab.get("slabConfig") or {}, "packageSize"),
        minimum=_limit(limits, "minimumRate"),
        maximum=_limit(limits, "maximumRate"),
    )


def _limit(settings: Card, name: str) -> Decimal | None:
    return None if settings.get(name) is None else number(settings[name])


def _usage_windows(card: Card, interval: str | None) -> int:
    """A usage cycle splits the billing cycle of a license into windows, each priced (togai.md 4.4)."""
    usage = card.get("usageCycle")
    if usage is None or usage == interval:
        return 1
    whole, rest = divmod(MONTHS_OF_CYCLE.get(interval or "", 0), MONTHS_OF_CYCLE.get(usage, 1))
    if not whole or rest or usage not in MONTHS_OF_CYCLE:
        raise Unpriceable(f"{usage.capitalize()} seats do not fit evenly into the billing cycle.")
    return whole
