"""A closed card of the price editor in one line."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from purchases import figures
from purchases.money import number
from purchases.price_form.cells import at


def summary(kind: str, card: Any, currency: str) -> str:
    """
    What a card says, in one line of words; "" where it cannot be told.

    :param card: in keyed form; of the currencies their list
    """
    try:
        match kind:
            case "supportedCurrencies":
                return ", ".join(card)
            case "fixedFeeRateCards" | "minimumCommitment":
                return _price(at(card, ("rateValues", currency, "rate")), currency)
            case "pricingCycleConfig":
                return (
                    f"{str(card['interval']).replace('_', '-').capitalize()},"
                    f" {card['gracePeriod']} days of grace"
                )
            case "creditGrantRateCards":
                details = card["rateDetails"]["currencySlabRateDetails"][currency]
                slabs, rates = details["slabDetails"], details["slabDetails"]
                start = f"{_price(details['creditAmount'], currency)} of credit; "
            case "billingEntitlementRateCards":
                slabs, rates = card["ratePlan"]["slabs"], card["rateValues"][currency]["slabRates"]
                granted = sum(
                    (number(window["featureCreditLimit"]) for window in card["featureConfigs"]), Decimal(0)
                )
                start = f"{figures.count(granted)} units granted; "
            case _:
                slabs, rates = card["ratePlan"]["slabs"], card["rateValues"][currency]["slabRates"]
                start = ""
    except (KeyError, TypeError, ValueError):
        return ""
    return start + ", ".join(_slab_in_words(slabs[order], rates.get(order, {}), currency) for order in slabs)


def _slab_in_words(slab: Mapping[str, Any], rate: Mapping[str, Any], currency: str) -> str:
    words = {"PER_UNIT": "a unit", "FLAT": "flat"}.get(str(slab.get("priceType")))
    if words is None:
        words = f"per {at(slab, ('slabConfig', 'packageSize')) or '?'}"
    after = slab.get("startAfter")
    return f"{_price(rate.get('rate'), currency)} {words}" + (
        "" if after in (None, "0") else f" after {figures.count(number(after))}"
    )


def _price(text: Any, currency: str) -> str:
    try:
        return f"{figures.amount(number(text), currency)} {currency}"
    except ValueError:
        return "not known"
