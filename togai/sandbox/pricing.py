"""The sandbox's own calculator: togai.md 4.5, written without a look at the product's.

Plain JSON in (numbers are int or Decimal), Decimal out. What the vendor documents and what is assumed is
marked in docs/sandbox.md.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_UP, Context, Decimal, localcontext

MINOR_DIGITS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
}


@dataclass(frozen=True)
class Slab:
    """One tier with the rate of one currency."""

    start_after: Decimal
    price_type: str
    rate: Decimal
    package_size: Decimal | None = None
    least: Decimal | None = None
    most: Decimal | None = None


@dataclass(frozen=True)
class SlabShare:
    """What one slab contributed: its units, its money, and which limits bit."""

    order: int
    units: Decimal
    revenue: Decimal
    packages: int | None
    minimum_applied: bool
    maximum_applied: bool


def minor_digits(currency):
    """Digits after the point of a currency: 0 for JPY, 3 for KWD, else 2."""
    return MINOR_DIGITS.get(currency, 2)


def to_minor_unit(amount, currency):
    """Round half up, away from zero, to what can be paid."""
    with localcontext(Context(prec=60)):
        return amount.quantize(Decimal(1).scaleb(-minor_digits(currency)), rounding=ROUND_HALF_UP)


def shares(model, slabs, units):
    """Split a quantity over slabs and price each share; slabs that are not entered are left out.

    :param model: ``TIERED`` (each slab prices its own units) or ``VOLUME`` (the slab reached prices all)
    """
    with localcontext(Context(prec=60)):
        entered = [(order, slab) for order, slab in enumerate(slabs, start=1) if units > slab.start_after]
        if not entered:
            return []
        if model == "VOLUME":
            return [_share(order, slab, units) for order, slab in entered[-1:]]
        ends = [slab.start_after for _, slab in entered[1:]] + [units]
        return [
            _share(order, slab, end - slab.start_after)
            for (order, slab), end in zip(entered, ends, strict=True)
        ]


def _share(order, slab, units):
    packages = None
    if slab.price_type == "FLAT":
        revenue = slab.rate
    elif slab.price_type == "PACKAGE":
        packages = int((units / slab.package_size).to_integral_value(ROUND_CEILING))
        revenue = packages * slab.rate
    else:
        revenue = units * slab.rate
    limited = clamp(revenue, slab.least, slab.most)
    return SlabShare(order, units, limited, packages, limited > revenue, limited < revenue)


def clamp(amount, least, most):
    """An amount not below ``least`` and not above ``most`` (None: no limit)."""
    if least is not None:
        amount = max(amount, least)
    if most is not None:
        amount = min(amount, most)
    return amount


def card_slabs(card, currency):
    """The slabs of an entitlement, usage, licence or overage card in one currency, or None if unpriced."""
    value = _of_currency(card["rateValues"], currency)
    if value is None:
        return None
    rates = {rate["order"]: rate for rate in value["slabRates"]}
    return [
        _slab(slab, rates[slab["order"]]["rate"], rates[slab["order"]].get("slabRateConfig"))
        for slab in sorted(card["ratePlan"]["slabs"], key=lambda slab: slab["order"])
    ]


def card_revenue(card, currency, units):
    """Price of a slabbed card at a quantity, rounded to the minor unit, and its slab shares."""
    value = _of_currency(card["rateValues"], currency)
    parts = shares(card["ratePlan"]["pricingModel"], card_slabs(card, currency), units)
    return _line(parts, value.get("rateConfig"), currency), parts


def credit_grant_revenue(card, currency, quantity):
    """Price of the credit granted: the slabs price credit amount × quantity."""
    detail = _of_currency(card["rateDetails"]["currencySlabRateDetails"], currency)
    slabs = [_slab(slab, slab["rate"], slab.get("slabRateConfig")) for slab in detail["slabDetails"]]
    parts = shares(card["rateDetails"]["pricingModel"], slabs, Decimal(detail["creditAmount"]) * quantity)
    return _line(parts, detail.get("rateConfig"), currency)


def fixed_fee_revenue(card, currency, quantity=Decimal(1)):
    """Rate × quantity, rounded to the minor unit."""
    return to_minor_unit(Decimal(_of_currency(card["rateValues"], currency)["rate"]) * quantity, currency)


def credits_granted(card, quantity):
    """Units a billing entitlement card grants, one number per feature config."""
    return [Decimal(config["featureCreditLimit"]) * quantity for config in card["featureConfigs"]]


def purchase_price(details, currency, quantity_of):
    """Total of a purchase plan: every card at its quantity, each line rounded, then summed.

    :param details: effective plan details (lists of cards)
    :param quantity_of: function from billable id to a Decimal quantity
    """
    total = Decimal(0)
    for card in details.get("fixedFeeRateCards", ()):
        total += fixed_fee_revenue(card, currency, quantity_of(card["id"]))
    for card in details.get("billingEntitlementRateCards", ()):
        # A card that is not bought costs nothing, not even its minimum.
        if quantity := quantity_of(card["featureId"]):
            total += card_revenue(card, currency, sum(credits_granted(card, quantity), Decimal(0)))[0]
    for card in details.get("creditGrantRateCards", ()):
        if quantity := quantity_of(card["id"]):
            total += credit_grant_revenue(card, currency, quantity)
    return total


def advance_price(details, currency):
    """What an association owes before its first cycle: fees, entitlements and credits not in arrears."""
    in_advance = {
        kind: [card for card in details.get(kind, ()) if card.get("invoiceTiming") != "IN_ARREARS"]
        for kind in ("fixedFeeRateCards", "billingEntitlementRateCards", "creditGrantRateCards")
    }
    return purchase_price(in_advance, currency, lambda _: Decimal(1))


def prices(card, kind, currency):
    """Does a card of this kind (its list key) give a rate in the currency?"""
    if kind == "creditGrantRateCards":
        return _of_currency(card["rateDetails"]["currencySlabRateDetails"], currency) is not None
    return _of_currency(card["rateValues"], currency) is not None


def _of_currency(values, currency):
    return next((value for value in values if value["currency"] == currency), None)


def _slab(slab, rate, limits):
    limits = limits or {}
    size = (slab.get("slabConfig") or {}).get("packageSize")
    return Slab(
        start_after=Decimal(slab["startAfter"]),
        price_type=slab["priceType"],
        rate=Decimal(rate),
        package_size=None if size is None else Decimal(size),
        least=_limit(limits, "minimumRate"),
        most=_limit(limits, "maximumRate"),
    )


def _line(parts, limits, currency):
    limits = limits or {}
    with localcontext(Context(prec=60)):
        total = sum((part.revenue for part in parts), Decimal(0))
    total = clamp(total, _limit(limits, "minimumRate"), _limit(limits, "maximumRate"))
    return to_minor_unit(total, currency)


def _limit(limits, name):
    value = limits.get(name)
    # Old responses carry numbers here, the schema strings (togai.md 6, row 10).
    return None if value is None else Decimal(value)
