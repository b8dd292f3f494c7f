"""Which cells each kind of card has beside its slabs (togai.md 4.3), and how a new card starts."""

from collections.abc import Iterable, Iterator
from typing import Any

from purchases.cards import INTERVALS
from purchases.price_form.cells import YES_OR_NO, Kind, Leaf, Path

# Kinds without a list of cards: one value, whose path has no billable id.
SINGLES = ("minimumCommitment", "pricingCycleConfig", "supportedCurrencies")

# The choice of a billing cycle that does away with another one: the day it starts on.
ANNIVERSARY: Path = ("anniversaryCycle",)

# How one card of a kind is called.
ONE_OF = {
    "fixedFeeRateCards": "fixed fee",
    "billingEntitlementRateCards": "entitlement",
    "creditGrantRateCards": "credit grant",
    "usageRateCards": "usage",
    "licenseRateCards": "license",
    "entitlementOverageRateCards": "entitlement overage",
    "minimumCommitment": "minimum commitment",
    "pricingCycleConfig": "billing cycle",
    "supportedCurrencies": "currencies",
}

MODELS = (
    ("TIERED", "Tiered: each slab prices its own units"),
    ("VOLUME", "Volume: the slab reached prices all units"),
)
INTERVAL_CHOICES = tuple((name, name.replace("_", "-").capitalize()) for name in INTERVALS)
DAYS = (*((str(day), str(day)) for day in range(1, 32)), ("LAST", "Last day"))
MONTHS = (
    ("NIL", "None (weekly and monthly)"),
    ("FIRST", "First month"),
    *((str(month), f"Month {month}") for month in range(1, 13)),
    ("LAST", "Last month"),
)
_ADVANCE_OR_ARREARS = (("IN_ADVANCE", "In advance"), ("IN_ARREARS", "In arrears"))
_ANY_TIMING = (*_ADVANCE_OR_ARREARS, ("PREPAID", "Prepaid: granted once its order is paid"))
_ONCE_OR_AGAIN = (("ONE_TIME", "Once"), ("RECURRING", "Again and again"))
_EXPIRIES = (
    ("NO_EXPIRY", "Never"),
    ("PRICING_CYCLE", "With its billing cycle"),
    ("CUSTOM", "After a time of its own"),
)
_ADD_ON_TYPES = (
    ("LICENSE", "License"),
    ("NAMED_LICENSE", "Named license"),
    ("FIXED_FEE", "Fixed fee"),
    ("CREDIT_GRANT", "Credit grant"),
)
_REFUNDS = (
    ("NONE", "Nothing"),
    ("CREDITS", "As credits"),
    ("PAYMENT", "As a payment"),
    ("WALLET", "Into the wallet"),
)


def prices_path(kind: str) -> Path:
    """Where a card of a kind has its prices, by currency."""
    if kind == "creditGrantRateCards":
        return ("rateDetails", "currencySlabRateDetails")
    return ("rateValues",)


def has_slabs(kind: str) -> bool:
    """Whether cards of a kind have a rate plan: slabs that all currencies share."""
    return kind not in (*SINGLES, "fixedFeeRateCards", "creditGrantRateCards")


def single_leaves(kind: str, currencies: Iterable[str], *, anniversary: bool) -> Iterator[Leaf]:
    """
    Every cell of a card outside its slabs and windows, in the order of the page.

    :param anniversary: whether a billing cycle starts on the day of the association, so that no day is chosen
    """
    match kind:
        case "fixedFeeRateCards":
            yield from _fees("Fee", currencies)
        case "minimumCommitment":
            yield from _fees("Minimum per cycle", currencies)
            yield Leaf(("displayName",), "Display name", Kind.TEXT)
        case "pricingCycleConfig":
            yield from _cycle(anniversary=anniversary)
        case "supportedCurrencies":
            yield Leaf((), "Currencies", Kind.CURRENCIES, help="Three letters each, such as EUR, USD.")
        case "creditGrantRateCards":
            yield from _credit(currencies)
        case "licenseRateCards":
            yield Leaf(("config", "maxQuantity"), "Most seats", Kind.WHOLE, optional=True)
        case "entitlementOverageRateCards":
            yield Leaf(("maxQuantity",), "Most units beyond the allowance", optional=True, help="Empty: any.")
    if has_slabs(kind):
        yield Leaf(("ratePlan", "pricingModel"), "Pricing model", Kind.CHOICE, MODELS)
    if has_slabs(kind) or kind == "creditGrantRateCards":
        for currency in currencies:
            here = (*prices_path(kind), currency, "rateConfig")
            yield Leaf((*here, "minimumRate"), f"Minimum of the card, {currency}", unit=currency)
            yield Leaf((*here, "maximumRate"), f"Maximum of the card, {currency}", unit=currency)
    if kind not in SINGLES:
        yield from _extras(kind)


def _fees(label: str, currencies: Iterable[str]) -> Iterator[Leaf]:
    for currency in currencies:
        yield Leaf(("rateValues", currency, "rate"), f"{label}, {currency}", unit=currency)


def _cycle(*, anniversary: bool) -> Iterator[Leaf]:
    yield Leaf(("interval",), "Billed", Kind.CHOICE, INTERVAL_CHOICES)
    yield Leaf(
        ("gracePeriod",), "Grace period", Kind.WHOLE, unit="days", help="How long an invoice stays a draft."
    )
    yield Leaf(
        ANNIVERSARY,
        "Starts on the day of the association",
        Kind.FLAG,
        YES_OR_NO,
        optional=True,
    )
    if not anniversary:
        yield Leaf(("startOffset", "dayOffset"), "Starts on day", Kind.CHOICE, DAYS, optional=True)
        yield Leaf(("startOffset", "monthOffset"), "Of month", Kind.CHOICE, MONTHS, optional=True)


def _credit(currencies: Iterable[str]) -> Iterator[Leaf]:
    for currency in currencies:
        here = (*prices_path("creditGrantRateCards"), currency, "creditAmount")
        yield Leaf(here, f"Credit granted, {currency}", unit=currency)
    yield Leaf(("rateDetails", "pricingModel"), "Pricing model", Kind.CHOICE, MODELS)
    yield Leaf(("grantDetails", "priority"), "Priority", Kind.WHOLE, help="The lowest is spent first.")
    yield Leaf(("grantDetails", "expiryType"), "Expires", Kind.CHOICE, _EXPIRIES)
    yield Leaf(
        ("grantDetails", "expiryDuration"),
        "Lasts",
        Kind.DURATION,
        optional=True,
        help="For a time of its own: 90 days, P90D.",
    )
    yield Leaf(
        ("grantDetails", "applicableEntityIds"),
        "Spent on",
        Kind.LIST,
        optional=True,
        help="One per line: “All usage”, “All fixed fees” or an id. Empty: everything.",
    )


def _extras(kind: str) -> Iterator[Leaf]:
    """What a card shows on demand: how it is invoiced and what it is called."""
    if kind in ("fixedFeeRateCards", "licenseRateCards"):
        yield Leaf(
            ("invoiceTiming",), "Invoiced", Kind.CHOICE, _ADVANCE_OR_ARREARS, optional=True, extra=True
        )
    elif kind == "creditGrantRateCards":
        yield Leaf(("invoiceTiming",), "Invoiced", Kind.CHOICE, _ANY_TIMING, optional=True, extra=True)
    elif kind == "billingEntitlementRateCards":
        yield Leaf(("invoiceTiming",), "Invoiced", Kind.CHOICE, _ANY_TIMING, extra=True)
    if kind in ("fixedFeeRateCards", "creditGrantRateCards"):
        yield Leaf(("type",), "Charged", Kind.CHOICE, _ONCE_OR_AGAIN, optional=True, extra=True)
    if kind in ("fixedFeeRateCards", "creditGrantRateCards", "billingEntitlementRateCards"):
        yield from _rhythm(("recurrenceConfig", "interval"), ("recurrenceConfig", "offset"))
    if kind == "entitlementOverageRateCards":
        yield from _rhythm(("billingConfig", "interval"), ("billingConfig", "startOffset"))
    if kind == "licenseRateCards":
        yield Leaf(("type",), "Kind of add-on", Kind.CHOICE, _ADD_ON_TYPES, optional=True, extra=True)
        yield Leaf(("usageCycle",), "Seats counted", Kind.CHOICE, INTERVAL_CHOICES, optional=True, extra=True)
    if kind in ("fixedFeeRateCards", "licenseRateCards"):
        yield Leaf(("enableProration",), "Part of a cycle charged in part", Kind.FLAG, YES_OR_NO, extra=True)
    if kind == "licenseRateCards":
        label = "Given back for unused time"
        yield Leaf(("proratedRefundMode",), label, Kind.CHOICE, _REFUNDS, optional=True, extra=True)
    yield Leaf(("displayName",), "Display name", Kind.TEXT, optional=True, extra=True)
    yield Leaf(("name",), "Name at Togai", Kind.TEXT, optional=True, extra=True, help="Unique in the plan.")
    yield Leaf(("tag",), "Tag", Kind.TEXT, optional=True, extra=True)


def _rhythm(interval: Path, offset: Path) -> Iterator[Leaf]:
    yield Leaf(interval, "Every how many cycles", Kind.WHOLE, optional=True, extra=True)
    yield Leaf(offset, "First after how many cycles", Kind.WHOLE, optional=True, extra=True)


def new_card(kind: str, *, name: str, recurs: bool) -> dict[str, Any]:
    """
    A card in keyed form that is complete but for its prices, which nobody should agree to by accident.

    :param name: what people call it; "" when nobody knows
    :param recurs: whether the plan has billing cycles
    """
    named: dict[str, Any] = {"displayName": name} if name else {}
    slab = {"startAfter": "0", "priceType": "PER_UNIT"}
    slabs = {"ratePlan": {"pricingModel": "TIERED", "slabs": {"1": slab}}, "rateValues": {}}
    rhythm = {"type": "RECURRING" if recurs else "ONE_TIME", "invoiceTiming": "IN_ADVANCE"}
    match kind:
        case "fixedFeeRateCards":
            return {**named, **rhythm, "enableProration": False, "rateValues": {}}
        case "billingEntitlementRateCards":
            until = "P1M" if recurs else "P1Y"
            window = {"featureCreditLimit": "1", "effectiveFrom": "PT0S", "effectiveUntil": until}
            return {**named, "invoiceTiming": "IN_ADVANCE", "featureConfigs": [window], **slabs}
        case "creditGrantRateCards":
            return {
                **named,
                **rhythm,
                "grantDetails": {"priority": 1, "expiryType": "NO_EXPIRY"},
                "rateDetails": {"pricingModel": "TIERED", "currencySlabRateDetails": {}},
            }
        case "licenseRateCards":
            return {**named, "enableProration": True, "invoiceTiming": "IN_ADVANCE", **slabs}
        case "minimumCommitment":
            return {"displayName": "Minimum commitment", "rateValues": {}}
        case "pricingCycleConfig":
            start = {"dayOffset": "1", "monthOffset": "NIL"}
            return {"interval": "MONTHLY", "gracePeriod": 0, "startOffset": start}
        case _:
            return {**named, **slabs}
