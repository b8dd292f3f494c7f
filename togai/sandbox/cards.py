"""How the shipped catalogue writes rate cards: prices in euros once, in every currency of the card."""

from decimal import ROUND_HALF_UP, Decimal
from hashlib import sha256

from togai.sandbox.identifiers import ALPHABET
from togai.sandbox.plans import CARD_KINDS, COMMITMENT, COMMITMENT_KEY

ALL = ("EUR", "USD", "JPY", "KWD")
# One euro in each currency, and the digits a list price keeps there.
PER_EURO = {
    "EUR": (Decimal(1), 2),
    "USD": (Decimal("1.1"), 2),
    "JPY": (Decimal(160), 0),
    "KWD": (Decimal("0.34"), 3),
}


def ident(prefix, name):
    """The id of a named thing, in the vendor's format and always the same."""
    number = int.from_bytes(sha256(f"{prefix}/{name}".encode()).digest(), "big")
    letters = ""
    while len(letters) < 16:
        number, index = divmod(number, len(ALPHABET))
        letters += ALPHABET[index]
    return f"{prefix}.{letters[:11]}.{letters[11:]}"


def price(euros, currency, *, finer=0):
    """A euro list price in another currency; ``finer`` keeps more digits, for unit rates."""
    factor, digits = PER_EURO[currency]
    return (Decimal(euros) * factor).quantize(Decimal(1).scaleb(-digits - finer), rounding=ROUND_HALF_UP)


# Billable items

FEATURES = {
    "api_calls": "API calls",
    "storage_gb": "Storage (GB)",
    "pipeline_runs": "Pipeline runs",
    "ai_credits": "AI credits",
    "report_exports": "Report exports",
}
METERS = {
    "events_ingested": ("Events ingested", "COUNT"),
    "gb_processed": ("Gigabytes processed", "SUM"),
    "messages_sent": ("Messages sent", "COUNT"),
    "compute_minutes": ("Compute minutes", "SUM"),
    "active_devices": ("Active devices", "SUM"),
}
ADD_ONS = {
    "platform_fee": ("Platform fee", "FIXED_FEE"),
    "onboarding": ("Onboarding", "FIXED_FEE"),
    "training_day": ("Training day", "FIXED_FEE"),
    "migration_service": ("Migration service", "FIXED_FEE"),
    "premium_support": ("Premium support", "FIXED_FEE"),
    "editor_seat": ("Editor seat", "LICENSE"),
    "viewer_seat": ("Viewer seat", "LICENSE"),
    "test_environment": ("Test environment", "LICENSE"),
    "named_administrator": ("Named administrator", "NAMED_LICENSE"),
    "welcome_credit": ("Welcome credit", "CREDIT_GRANT"),
    "committed_credit": ("Committed credit", "CREDIT_GRANT"),
    "loyalty_credit": ("Loyalty credit", "CREDIT_GRANT"),
}


def feature_id(name):
    """Id of a feature by its name."""
    return ident("feature", name)


def add_on_id(name):
    """Id of an add-on by its name."""
    return ident("addon", name)


def meter_id(name):
    """Id of a usage meter by its name."""
    return ident("um", name)


# Rate cards. A slab is (start after, price type, euros) with an optional dict of settings:
# size (package), least and most (euros, for the slab).


def _rate_plan(model, slabs):
    shown = []
    for order, (start, kind, _, *more) in enumerate(slabs, start=1):
        size = (more[0] if more else {}).get("size")
        shown.append(
            {
                "order": order,
                "startAfter": start,
                "priceType": kind,
                "slabConfig": {"packageSize": str(size)} if size else {},
            }
        )
    return {"pricingModel": model, "slabs": shown}


def _limits(least, most, currency):
    named = {"minimumRate": least, "maximumRate": most}
    return {key: format(price(euros, currency), "f") for key, euros in named.items() if euros is not None}


def _rate_values(slabs, currencies, least, most):
    values = []
    for currency in currencies:
        rates = []
        for order, (_, _, euros, *more) in enumerate(slabs, start=1):
            settings = more[0] if more else {}
            rate = {"order": order, "rate": price(euros, currency, finer=4)}
            limits = _limits(settings.get("least"), settings.get("most"), currency)
            if limits:
                rate["slabRateConfig"] = limits
            rates.append(rate)
        value = {"currency": currency, "slabRates": rates}
        limits = _limits(least, most, currency)
        if limits:
            value["rateConfig"] = limits
        values.append(value)
    return values


def _slabbed(model, slabs, currencies, least=None, most=None):
    return {"ratePlan": _rate_plan(model, slabs), "rateValues": _rate_values(slabs, currencies, least, most)}


def _flat_values(euros, currencies):
    return [{"currency": currency, "rate": price(euros, currency)} for currency in currencies]


def fee(
    name, euros, *, currencies=ALL, kind="ONE_TIME", timing="IN_ADVANCE", prorated=False, recurrence=None
):
    """A fixed fee, once or with every cycle; ``recurrence`` is the wire's recurrenceConfig."""
    inside = {
        "id": add_on_id(name),
        "type": kind,
        "enableProration": prorated,
        "invoiceTiming": timing,
        "rateValues": _flat_values(euros, currencies),
    }
    if recurrence:
        inside["recurrenceConfig"] = recurrence
    return _card("FIXED_FEE", inside, name=name, display=ADD_ONS[name][0], currencies=currencies)


def entitlement(name, configs, model, slabs, *, currencies=ALL, timing="IN_ADVANCE", least=None, most=None):
    """An allowance of a feature; a config is (from, until, units)."""
    inside = {
        "featureId": feature_id(name),
        "featureConfigs": [
            {"effectiveFrom": start, "effectiveUntil": until, "featureCreditLimit": units}
            for start, until, units in configs
        ],
        "invoiceTiming": timing,
        **_slabbed(model, slabs, currencies, least, most),
    }
    return _card(
        "BILLING_ENTITLEMENT", inside, name=f"{name}_allowance", display=FEATURES[name], currencies=currencies
    )


def credit(name, amount, slabs, *, grant, kind="ONE_TIME", timing="IN_ADVANCE", least=None):
    """Credit granted, given away or sold; ``grant`` is the wire's grantDetails."""
    inside = {
        "id": add_on_id(name),
        "type": kind,
        "invoiceTiming": timing,
        "grantDetails": grant,
        "rateDetails": {
            "pricingModel": "TIERED",
            "currencySlabRateDetails": [_credit_in(currency, amount, slabs, least) for currency in ALL],
        },
    }
    return _card("CREDIT_GRANT", inside, name=name, display=ADD_ONS[name][0], currencies=ALL)


def _credit_in(currency, amount, slabs, least):
    # Thresholds and amounts are money here; a rate per unit of credit is not.
    details = [
        {
            "startAfter": price(start, currency),
            "priceType": kind,
            "rate": Decimal(rate) if kind == "PER_UNIT" else price(rate, currency),
        }
        for start, kind, rate in slabs
    ]
    shown = {"currency": currency, "creditAmount": price(amount, currency), "slabDetails": details}
    if least is not None:
        shown["rateConfig"] = _limits(least, None, currency)
    return shown


def usage(name, model, slabs, *, least=None, most=None):
    """Metered use, always in arrears."""
    inside = {"usageMeterId": meter_id(name), **_slabbed(model, slabs, ALL, least, most)}
    return {**_card("USAGE", inside, name=name, display=METERS[name][0], currencies=ALL), "tag": "usage"}


def license(name, model, slabs, *, most_seats=None, usage_cycle=None, refund="CREDITS"):
    """Seats."""
    inside = {
        "id": add_on_id(name),
        "type": ADD_ONS[name][1],
        "enableProration": True,
        "invoiceTiming": "IN_ADVANCE",
        "proratedRefundMode": refund,
        **_slabbed(model, slabs, ALL),
    }
    if most_seats:
        inside["config"] = {"maxQuantity": most_seats, "maxQuantityBreachAction": "DO_NOTHING"}
    if usage_cycle:
        inside["usageCycle"] = usage_cycle
    return _card("LICENSE", inside, name=name, display=ADD_ONS[name][0], currencies=ALL)


def overage(name, model, slabs, *, most_units=None):
    """Use of a feature beyond its allowance, always in arrears."""
    inside = {
        "featureId": feature_id(name),
        "billingConfig": {"interval": 1, "startOffset": 0},
        **_slabbed(model, slabs, ALL),
    }
    if most_units:
        inside["maxQuantity"] = most_units
    display = f"{FEATURES[name]} beyond the allowance"
    return _card("ENTITLEMENT_OVERAGE", inside, name=f"{name}_overage", display=display, currencies=ALL)


def commitment(display, euros):
    """The floor of a cycle's invoice. It has no billable item; the plan lends its own id."""
    inside = {"displayName": display, "rateValues": _flat_values(euros, ALL)}
    return _card(COMMITMENT, inside, name="minimum_commitment", display=display, currencies=ALL)


def _card(kind, inside, *, name, display, currencies):
    """The v2 rate card around the details of its kind."""
    key = COMMITMENT_KEY if kind == COMMITMENT else CARD_KINDS[kind][0]
    billable = inside.get("usageMeterId") or inside.get("featureId") or inside.get("id")
    return {
        "billableId": billable,
        "type": kind,
        "displayName": display,
        "name": name,
        "invoiceTiming": inside.get("invoiceTiming", "IN_ARREARS"),
        "currencies": list(currencies),
        "rateCardDetails": {key: inside},
    }
