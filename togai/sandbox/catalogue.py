"""What the sandbox ships with: Tidemark, an invented company that sells data software to businesses.

Sixteen accounts of ten customers in EUR, USD, JPY and KWD; plans that together use every kind of rate card,
both pricing models and all price types. Ids are derived from names, so they are the same in every state.
"""

from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from hashlib import sha256

from togai.sandbox.identifiers import ALPHABET
from togai.sandbox.moments import write_moment

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


def _feature(name):
    return ident("feature", name)


def _add_on(name):
    return ident("addon", name)


def _meter(name):
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
    return {
        "ratePlan": _rate_plan(model, slabs),
        "rateValues": _rate_values(slabs, currencies, least, most),
    }


def fee(
    name,
    euros,
    *,
    currencies=ALL,
    kind="ONE_TIME",
    timing="IN_ADVANCE",
    prorated=False,
    every=None,
    after=None,
):
    """A fixed fee, once or with every cycle."""
    inside = {
        "id": _add_on(name),
        "type": kind,
        "enableProration": prorated,
        "invoiceTiming": timing,
        "rateValues": [{"currency": currency, "rate": price(euros, currency)} for currency in currencies],
    }
    if every or after:
        inside["recurrenceConfig"] = {"interval": every or 1, "offset": after or 0}
    return _card(
        "FIXED_FEE", "fixedFeeRateCard", _add_on(name), ADD_ONS[name][0], name, timing, currencies, inside
    )


def entitlement(name, configs, model, slabs, *, currencies=ALL, timing="IN_ADVANCE", least=None, most=None):
    """An allowance of a feature; a config is (from, until, units)."""
    inside = {
        "featureId": _feature(name),
        "featureConfigs": [
            {"effectiveFrom": start, "effectiveUntil": until, "featureCreditLimit": units}
            for start, until, units in configs
        ],
        "invoiceTiming": timing,
        **_slabbed(model, slabs, currencies, least, most),
    }
    return _card(
        "BILLING_ENTITLEMENT",
        "billingEntitlementRateCard",
        _feature(name),
        FEATURES[name],
        f"{name}_allowance",
        timing,
        currencies,
        inside,
    )


def credit(
    name, amount, slabs, *, model="TIERED", currencies=ALL, kind="ONE_TIME", timing="IN_ADVANCE", expiry="P365D",
    priority=1, least=None, applies_to=None,
):  # fmt: skip
    """Credit granted, given away or sold."""
    grant = {"priority": priority, "expiryType": "CUSTOM" if expiry.startswith("P") else expiry}
    if expiry.startswith("P"):
        grant["expiryDuration"] = expiry
    if applies_to:
        grant["applicableEntityIds"] = applies_to
    inside = {
        "id": _add_on(name),
        "type": kind,
        "invoiceTiming": timing,
        "grantDetails": grant,
        "rateDetails": {
            "pricingModel": model,
            "currencySlabRateDetails": [
                _credit_in(currency, amount, slabs, least) for currency in currencies
            ],
        },
    }
    return _card(
        "CREDIT_GRANT",
        "creditGrantRateCard",
        _add_on(name),
        ADD_ONS[name][0],
        name,
        timing,
        currencies,
        inside,
    )


def _credit_in(currency, amount, slabs, least):
    # Thresholds and amounts are money here; a rate per unit of credit is not.
    details = []
    for start, kind, rate in slabs:
        per_unit = kind == "PER_UNIT"
        details.append(
            {
                "startAfter": price(start, currency),
                "priceType": kind,
                "rate": Decimal(rate) if per_unit else price(rate, currency),
            }
        )
    shown = {"currency": currency, "creditAmount": price(amount, currency), "slabDetails": details}
    if least is not None:
        shown["rateConfig"] = _limits(least, None, currency)
    return shown


def usage(name, model, slabs, *, currencies=ALL, least=None, most=None):
    """Metered use, always in arrears."""
    inside = {"usageMeterId": _meter(name), **_slabbed(model, slabs, currencies, least, most)}
    return _card(
        "USAGE",
        "usageRateCard",
        _meter(name),
        METERS[name][0],
        name,
        "IN_ARREARS",
        currencies,
        inside,
        tag="usage",
    )


def license(name, model, slabs, *, currencies=ALL, most_seats=None, usage_cycle=None, refund="CREDITS"):
    """Seats."""
    inside = {
        "id": _add_on(name),
        "type": ADD_ONS[name][1],
        "enableProration": True,
        "invoiceTiming": "IN_ADVANCE",
        "proratedRefundMode": refund,
        **_slabbed(model, slabs, currencies),
    }
    if most_seats:
        inside["config"] = {"maxQuantity": most_seats, "maxQuantityBreachAction": "DO_NOTHING"}
    if usage_cycle:
        inside["usageCycle"] = usage_cycle
    return _card(
        "LICENSE", "licenseRateCard", _add_on(name), ADD_ONS[name][0], name, "IN_ADVANCE", currencies, inside
    )


def overage(name, model, slabs, *, currencies=ALL, most_units=None):
    """Use of a feature beyond its allowance, always in arrears."""
    inside = {
        "featureId": _feature(name),
        "billingConfig": {"interval": 1, "startOffset": 0},
        **_slabbed(model, slabs, currencies),
    }
    if most_units:
        inside["maxQuantity"] = most_units
    return _card(
        "ENTITLEMENT_OVERAGE",
        "entitlementOverageRateCard",
        _feature(name),
        f"{FEATURES[name]} beyond the allowance",
        f"{name}_overage",
        "IN_ARREARS",
        currencies,
        inside,
    )


def commitment(label, euros, *, currencies=ALL):
    """The floor of a cycle's invoice. Its billable id is the plan's own (set when the plan is made)."""
    inside = {
        "displayName": label,
        "rateValues": [{"currency": currency, "rate": price(euros, currency)} for currency in currencies],
    }
    return _card(
        "MINIMUM_COMMITMENT",
        "minimumCommitmentRateCard",
        None,
        label,
        "minimum_commitment",
        "IN_ARREARS",
        currencies,
        inside,
    )


def _card(kind, key, billable, display, name, timing, currencies, inside, tag=None):
    shown = {
        "billableId": billable,
        "type": kind,
        "displayName": display,
        "name": name,
        "invoiceTiming": timing,
        "currencies": list(currencies),
        "rateCardDetails": {key: inside},
    }
    if tag:
        shown["tag"] = tag
    return shown


# Price plans: (name, type, description, currencies, cycle, [(version, status, days since its last change, cards)])

MONTHLY = {
    "interval": "MONTHLY",
    "gracePeriod": 2,
    "anniversaryCycle": False,
    "startOffset": {"dayOffset": "1", "monthOffset": "NIL"},
}
QUARTERLY = {
    "interval": "QUARTERLY",
    "gracePeriod": 5,
    "anniversaryCycle": False,
    "startOffset": {"dayOffset": "LAST", "monthOffset": "FIRST"},
}
HALF_YEARLY = {
    "interval": "HALF_YEARLY",
    "gracePeriod": 5,
    "anniversaryCycle": False,
    "startOffset": {"dayOffset": "1", "monthOffset": "1"},
}
ANNUALLY = {"interval": "ANNUALLY", "gracePeriod": 10, "anniversaryCycle": True}

WESTERN = ("EUR", "USD")
WHOLE_YEAR = [(f"P{month}M" if month else "PT0S", f"P{month + 1}M", 5000) for month in range(12)]


def _api_pack(first, second, third):
    slabs = [
        (0, "PER_UNIT", first),
        (20_000, "PER_UNIT", second),
        (100_000, "PACKAGE", third, {"size": 10_000}),
    ]
    return [entitlement("api_calls", [("PT0S", "P365D", 10_000)], "TIERED", slabs)]


def _scale(platform, message, seat):
    return [
        fee("platform_fee", platform, kind="RECURRING", prorated=True),
        entitlement("api_calls", [("PT0S", "P1M", 50_000)], "TIERED", [(0, "FLAT", "0")]),
        overage(
            "api_calls",
            "TIERED",
            [(0, "PER_UNIT", "0.004"), (100_000, "PACKAGE", "30", {"size": 10_000})],
            most_units=1_000_000,
        ),
        usage(
            "messages_sent",
            "TIERED",
            [(0, "PER_UNIT", message), (10_000, "PER_UNIT", "0.015"), (100_000, "PER_UNIT", "0.0085")],
            least="20",
        ),
        usage(
            "compute_minutes", "VOLUME", [(0, "PER_UNIT", "0.09"), (5000, "PER_UNIT", "0.07")], most="4000"
        ),
        license("editor_seat", "VOLUME", [(0, "PER_UNIT", seat), (25, "PER_UNIT", "17")], most_seats=500),
        license("viewer_seat", "TIERED", [(0, "FLAT", "0"), (10, "PER_UNIT", "4")]),
        credit(
            "loyalty_credit", "25", [("0", "FLAT", "0")], kind="RECURRING", expiry="PRICING_CYCLE", priority=2
        ),
        commitment("Monthly minimum", "400"),
    ]


def _enterprise(platform, floor):
    return [
        fee("platform_fee", platform, kind="RECURRING"),
        fee("premium_support", "6000", kind="RECURRING", timing="IN_ARREARS", every=1, after=1),
        entitlement(
            "pipeline_runs",
            [("PT0S", "P1Y", 250_000)],
            "TIERED",
            [(0, "PER_UNIT", "0.02"), (100_000, "PER_UNIT", "0.014")],
            least="1500",
            most="6000",
        ),
        overage("pipeline_runs", "VOLUME", [(0, "PER_UNIT", "0.03"), (50_000, "PER_UNIT", "0.025")]),
        usage(
            "gb_processed",
            "TIERED",
            [(0, "FLAT", "250"), (1000, "PER_UNIT", "0.22"), (10_000, "PACKAGE", "180", {"size": 1000})],
        ),
        usage(
            "events_ingested",
            "VOLUME",
            [(0, "PACKAGE", "5", {"size": 100_000, "least": "50", "most": "9000"})],
        ),
        license(
            "editor_seat",
            "TIERED",
            [(0, "PER_UNIT", "290"), (50, "PER_UNIT", "250"), (250, "PER_UNIT", "210")],
            usage_cycle="QUARTERLY",
            refund="WALLET",
        ),
        license("named_administrator", "TIERED", [(0, "PER_UNIT", "600")], most_seats=20, refund="NONE"),
        license("test_environment", "TIERED", [(0, "PACKAGE", "1200", {"size": 3})], refund="PAYMENT"),
        credit(
            "committed_credit",
            "10000",
            [("0", "PER_UNIT", "0.9")],
            timing="PREPAID",
            expiry="P1Y",
            applies_to=["ALL_USAGE_METER_RATE_CARDS"],
        ),
        commitment("Annual commitment", floor),
    ]


def plans():
    """Every plan: (name, type, description, currencies, cycle, versions)."""
    return [
        (
            "API Call Pack",
            "PURCHASE",
            "Prepaid API calls, valid for a year. The more in one order, the cheaper.",
            ALL,
            None,
            [
                (1, "ACTIVE", 700, _api_pack("0.012", "0.010", "80")),
                (2, "ACTIVE", 380, _api_pack("0.011", "0.0095", "75")),
                (3, "ACTIVE", 41, _api_pack("0.010", "0.0085", "70")),
            ],
        ),
        (
            "Launch Bundle",
            "PURCHASE",
            "Onboarding, training and a first allowance for new customers.",
            ALL,
            None,
            [
                (
                    1,
                    "ACTIVE",
                    120,
                    [
                        fee("onboarding", "1500"),
                        fee("training_day", "950"),
                        entitlement(
                            "report_exports", [("PT0S", "P90D", 500)], "TIERED", [(0, "FLAT", "120")]
                        ),
                        credit("welcome_credit", "250", [("0", "FLAT", "0")], expiry="P90D"),
                    ],
                )
            ],
        ),
        (
            "Storage Block",
            "PURCHASE",
            "Storage by the terabyte for half a year.",
            ALL,
            None,
            [
                (
                    2,
                    "ACTIVE",
                    65,
                    [
                        entitlement(
                            "storage_gb",
                            [("PT0S", "P6M", 1000)],
                            "VOLUME",
                            [
                                (0, "PACKAGE", "24", {"size": 100}),
                                (5000, "PACKAGE", "21", {"size": 100}),
                                (50_000, "PACKAGE", "17.5", {"size": 100, "most": "20000"}),
                            ],
                            least="100",
                        )
                    ],
                )
            ],
        ),
        (
            "Committed Credit",
            "PURCHASE",
            "Money off later invoices, sold below its value.",
            ALL,
            None,
            [
                (
                    1,
                    "ACTIVE",
                    200,
                    [
                        credit(
                            "committed_credit",
                            "1000",
                            [
                                ("0", "PER_UNIT", "0.95"),
                                ("5000", "PER_UNIT", "0.9"),
                                ("25000", "PER_UNIT", "0.85"),
                            ],
                            timing="PREPAID",
                            expiry="P1Y",
                            least="900",
                        )
                    ],
                )
            ],
        ),
        (
            "AI Credits Year",
            "PURCHASE",
            "Twelve monthly allowances of AI credits; unused credits lapse with the month.",
            WESTERN,
            None,
            [
                (
                    1,
                    "ACTIVE",
                    20,
                    [
                        entitlement(
                            "ai_credits",
                            WHOLE_YEAR,
                            "TIERED",
                            [
                                (0, "FLAT", "480"),
                                (60_000, "PER_UNIT", "0.0065"),
                                (240_000, "PER_UNIT", "0.005"),
                            ],
                            currencies=WESTERN,
                            most="12000",
                            timing="PREPAID",
                        )
                    ],
                )
            ],
        ),
        (
            "Migration Project",
            "PURCHASE",
            "A fixed-price move from another platform.",
            WESTERN,
            None,
            [(1, "DRAFT", 3, [fee("migration_service", "12500", currencies=WESTERN)])],
        ),
        (
            "Starter Monthly",
            "BILLING",
            "For small teams: a low fee and pay for what you send.",
            ALL,
            MONTHLY,
            [
                (
                    1,
                    "ACTIVE",
                    500,
                    [
                        fee("platform_fee", "49", kind="RECURRING", prorated=True, every=1, after=1),
                        usage("messages_sent", "TIERED", [(0, "FLAT", "0"), (1000, "PER_UNIT", "0.025")]),
                        license("editor_seat", "TIERED", [(0, "PER_UNIT", "15")], most_seats=10),
                    ],
                )
            ],
        ),
        (
            "Scale Monthly",
            "BILLING",
            "Seats, messages and compute with a monthly minimum.",
            ALL,
            MONTHLY,
            [
                (1, "ACTIVE", 620, _scale("399", "0.025", "24")),
                (2, "ACTIVE", 310, _scale("449", "0.022", "22")),
                (3, "ACTIVE", 33, _scale("499", "0.02", "19")),
                (4, "DRAFT", 1, _scale("549", "0.02", "21")),
            ],
        ),
        (
            "Growth Quarterly",
            "BILLING",
            "Quarterly billing for teams whose use swings with the season.",
            ALL,
            QUARTERLY,
            [
                (
                    1,
                    "ACTIVE",
                    90,
                    [
                        fee("platform_fee", "1200", kind="RECURRING", prorated=True),
                        usage(
                            "compute_minutes",
                            "TIERED",
                            [(0, "PER_UNIT", "0.08"), (20_000, "PER_UNIT", "0.055")],
                        ),
                        entitlement(
                            "storage_gb", [("PT0S", "P3M", 2000)], "TIERED", [(0, "PER_UNIT", "0.05")]
                        ),
                        overage(
                            "storage_gb", "TIERED", [(0, "PACKAGE", "9", {"size": 100})], most_units=50_000
                        ),
                        commitment("Quarterly minimum", "2500"),
                    ],
                )
            ],
        ),
        (
            "Fleet Half-yearly",
            "BILLING",
            "Connected devices, counted and billed twice a year.",
            ALL,
            HALF_YEARLY,
            [
                (
                    1,
                    "ACTIVE",
                    150,
                    [
                        usage(
                            "active_devices",
                            "VOLUME",
                            [(0, "PER_UNIT", "6"), (100, "PER_UNIT", "5.2"), (1000, "FLAT", "4800")],
                            least="300",
                        ),
                        fee("premium_support", "900", kind="RECURRING", timing="IN_ARREARS"),
                    ],
                )
            ],
        ),
        (
            "Enterprise Annual",
            "BILLING",
            "Annual commitment with seats, pipelines and prepaid credit.",
            ALL,
            ANNUALLY,
            [
                (1, "ACTIVE", 400, _enterprise("22000", "55000")),
                (2, "ACTIVE", 55, _enterprise("24000", "60000")),
            ],
        ),
        (
            "Enterprise Annual Next",
            "BILLING",
            "Being written: next year's enterprise plan.",
            WESTERN,
            ANNUALLY,
            [(1, "DRAFT", 2, [fee("platform_fee", "26000", currencies=WESTERN, kind="RECURRING")])],
        ),
    ]


# (id, name, mail, street, city, country)
CUSTOMERS = [
    ("brightfold", "Brightfold Logistics", "billing@brightfold.example", "Speicherweg 14", "Hamburg", "DE"),
    ("canopy", "Canopy Health", "ap@canopy.example", "310 Larch Street", "Portland", "US"),
    ("doraku", "Doraku Robotics", "keiri@doraku.example", "2-8-1 Shinmachi", "Osaka", "JP"),
    ("ember-oak", "Ember & Oak Retail", "finance@emberoak.example", "12 Tanner Row", "Leeds", "GB"),
    ("fjordline", "Fjordline Energy", "invoices@fjordline.example", "Havnegata 3", "Bergen", "NO"),
    (
        "gulfstone",
        "Gulfstone Trading",
        "accounts@gulfstone.example",
        "Ahmad Al Jaber Street 40",
        "Kuwait City",
        "KW",
    ),
    ("halcyon", "Halcyon Media", "ap@halcyon.example", "77 Mercer Street", "New York", "US"),
    ("ivorymill", "Ivory Mill Foods", "buchhaltung@ivorymill.example", "Mühlgasse 9", "Graz", "AT"),
    ("kaito", "Kaitō Mobility", "payables@kaito.example", "1-4-7 Hakata", "Fukuoka", "JP"),
    ("lumenar", "Lumenar Systems", "factures@lumenar.example", "8 rue des Tanneurs", "Lyon", "FR"),
]

# (id, customer, name, currency, net term days, tags, alias, status, wallet balance in euros or None if inactive)
ACCOUNTS = [
    (
        "brightfold-eu",
        "brightfold",
        "Brightfold Europe",
        "EUR",
        30,
        ["enterprise", "eu"],
        "bf_prod",
        "ACTIVE",
        "1250",
    ),
    (
        "brightfold-us",
        "brightfold",
        "Brightfold Americas",
        "USD",
        45,
        ["enterprise", "us"],
        "bf_us",
        "ACTIVE",
        "0",
    ),
    (
        "canopy-main",
        "canopy",
        "Canopy Health",
        "USD",
        30,
        ["healthcare", "us"],
        "canopy_prod",
        "ACTIVE",
        "480.5",
    ),
    (
        "canopy-labs",
        "canopy",
        "Canopy Labs",
        "USD",
        15,
        ["healthcare", "pilot"],
        "canopy_labs",
        "ACTIVE",
        "0",
    ),
    (
        "doraku-jp",
        "doraku",
        "Doraku Robotics",
        "JPY",
        60,
        ["manufacturing", "apac"],
        "doraku",
        "ACTIVE",
        "3000",
    ),
    (
        "ember-oak-uk",
        "ember-oak",
        "Ember & Oak Online",
        "EUR",
        14,
        ["retail", "smb"],
        "eo_shop",
        "ACTIVE",
        "75",
    ),
    (
        "fjordline-grid",
        "fjordline",
        "Fjordline Grid",
        "EUR",
        30,
        ["energy", "enterprise"],
        "fjl_grid",
        "ACTIVE",
        "0",
    ),
    ("fjordline-wind", "fjordline", "Fjordline Wind", "EUR", 30, ["energy"], "fjl_wind", "ACTIVE", "210.75"),
    (
        "gulfstone-kw",
        "gulfstone",
        "Gulfstone Kuwait",
        "KWD",
        30,
        ["trading", "mena"],
        "gst_kw",
        "ACTIVE",
        "900",
    ),
    ("gulfstone-us", "gulfstone", "Gulfstone Houston", "USD", 30, ["trading", "us"], "gst_us", "ACTIVE", "0"),
    ("halcyon-news", "halcyon", "Halcyon News", "USD", 30, ["media"], "hal_news", "ACTIVE", "33.1"),
    (
        "halcyon-studios",
        "halcyon",
        "Halcyon Studios",
        "USD",
        30,
        ["media", "seasonal"],
        "hal_studio",
        "ACTIVE",
        None,
    ),
    ("ivorymill-at", "ivorymill", "Ivory Mill Foods", "EUR", 14, ["food", "smb"], "ivorymill", "ACTIVE", "0"),
    (
        "kaito-jp",
        "kaito",
        "Kaitō Mobility Japan",
        "JPY",
        60,
        ["mobility", "apac"],
        "kaito_prod",
        "ACTIVE",
        "0",
    ),
    (
        "lumenar-fr",
        "lumenar",
        "Lumenar Systems France",
        "EUR",
        30,
        ["enterprise", "eu"],
        "lumenar",
        "ACTIVE",
        "5000",
    ),
    ("lumenar-old", "lumenar", "Lumenar Archive", "EUR", 30, ["legacy"], "lumenar_old", "ARCHIVED", None),
]


def shipped(now):
    """The whole catalogue as :func:`togai.sandbox.loading.fill` takes it; ages count back from ``now``."""
    price_plans, rate_cards = _plans_and_cards(now)
    return {
        "customers": _customers(now),
        "accounts": _accounts(),
        "wallets": _wallets(),
        "features": _features(now),
        "add_ons": _add_ons(now),
        "usage_meters": _meters(now),
        "price_plans": price_plans,
        "rate_cards": rate_cards,
        **_past(now),
    }


def _ago(now, days):
    return write_moment(now - timedelta(days=days))


def _customers(now):
    return [
        {
            "id": identifier,
            "togaiCustomerId": ident("customer", identifier),
            "name": name,
            "primaryEmail": mail,
            "billingAddress": f"{street}, {city}, {country}",
            "address": {"line1": street, "city": city, "country": country},
            "status": "ACTIVE",
            "createdAt": _ago(now, 800 - 31 * index),
            "updatedAt": _ago(now, 90 - 7 * index),
        }
        for index, (identifier, name, mail, street, city, country) in enumerate(CUSTOMERS)
    ]


def _accounts():
    of_customer = {row[0]: row for row in CUSTOMERS}
    shown = []
    for identifier, customer, name, currency, terms, tags, alias, status, _ in ACCOUNTS:
        _, _, mail, street, city, country = of_customer[customer]
        shown.append(
            {
                "id": identifier,
                "togaiAccountId": ident("account", identifier),
                "togaiCustomerId": ident("customer", customer),
                "customerId": customer,
                "name": name,
                "invoiceCurrency": currency,
                "aliases": [{"alias": alias}],
                "netTermDays": terms,
                "primaryEmail": mail,
                "billingInformation": {"emailRecipients": [mail]},
                "address": {"line1": street, "city": city, "country": country},
                "status": status,
                "tags": tags,
                "metadata": {"crm": f"CRM-{ident('account', identifier)[8:12].upper()}"},
            }
        )
    return shown


def _wallets():
    shown = {}
    for identifier, _, _, currency, _, _, _, _, balance in ACCOUNTS:
        if balance is None:
            shown[identifier] = {"status": "INACTIVE"}
        else:
            shown[identifier] = {"balance": price(balance, currency)}
    return shown


def _features(now):
    return [
        {
            "id": _feature(name),
            "name": name,
            "displayName": display,
            "billableName": name,
            "schemaCount": 1 + index % 2,
            "createdAt": _ago(now, 700 - index),
            "updatedAt": _ago(now, 300 - index),
        }
        for index, (name, display) in enumerate(FEATURES.items())
    ]


def _add_ons(now):
    return [
        {
            "id": _add_on(name),
            "name": name,
            "displayName": display,
            "billableName": name,
            "type": kind,
            "status": "ACTIVE",
            "createdAt": _ago(now, 690 - index),
        }
        for index, (name, (display, kind)) in enumerate(ADD_ONS.items())
    ]


def _meters(now):
    return [
        {
            "id": _meter(name),
            "name": name,
            "displayName": display,
            "billableName": name,
            "type": "COUNTER",
            "aggregation": aggregation,
            "status": "ACTIVE",
            "createdAt": _ago(now, 680 - index),
        }
        for index, (name, (display, aggregation)) in enumerate(METERS.items())
    ]


def _plans_and_cards(now):
    price_plans, rate_cards = [], []
    for name, kind, description, currencies, cycle, versions in plans():
        identifier = ident("pp", name)
        for version, status, age, cards in versions:
            plan = {
                "id": identifier,
                "referenceId": identifier,
                "name": name,
                "description": description,
                "type": kind,
                "version": version,
                "status": status,
                "supportedCurrencies": list(currencies),
                "deferredRevenue": False,
                "allowOngoingCycleUpdates": False,
                "createdAt": _ago(now, age + 30),
                "updatedAt": _ago(now, age),
            }
            if cycle:
                plan["pricingCycleConfig"] = cycle
            price_plans.append(plan)
            for card in cards:
                own = {"referenceId": identifier, "referenceType": "PRICE_PLAN", "pricePlanId": identifier}
                billable = card["billableId"] or identifier
                rate_cards.append({**card, **own, "billableId": billable, "version": version})
    return price_plans, rate_cards


def _past(now):
    """A few deals that came before: one of each ending, and plans that run."""
    api, bundle = ident("pp", "API Call Pack"), ident("pp", "Launch Bundle")
    scale, annual = ident("pp", "Scale Monthly"), ident("pp", "Enterprise Annual")
    calls = _feature("api_calls")

    def deal(name, account, kind, status, days, **more):
        return {
            "id": ident("purchase", name),
            "accountId": account,
            "type": kind,
            "status": status,
            "createdAt": _ago(now, days),
            "updatedAt": _ago(now, days - 1),
            "idempotencyKey": f"past-{name}",
            **more,
        }

    def invoice(name, account, customer, status, days, total, **more):
        moment = _ago(now, days)
        return {
            "id": ident("inv", name),
            "ownerId": account,
            "customerId": customer,
            "status": status,
            "invoiceClass": "ORDER" if status == "DUE" and "purchaseId" in more else "INVOICE",
            "invoiceType": "AD_HOC" if "purchaseId" in more else "STANDARD",
            "invoiceDate": moment,
            "dueDate": _ago(now, days - 30),
            "generatedAt": moment,
            "updatedAt": moment,
            "totalAmount": Decimal(total),
            "paidAmount": Decimal(total) if status == "PAID" else Decimal(0),
            "netTermDays": 30,
            **more,
        }

    def schedule(name, account, plan_id, plan, version, days, cycle, currency):
        return {
            "id": ident("sch", name),
            "accountId": account,
            "pricePlanId": plan_id,
            "version": version,
            "deferredRevenue": False,
            "pricePlanInfo": {"name": plan},
            "accountScheduleInfo": {"supportedCurrencies": [currency], "pricingCycleConfig": cycle},
            "startDate": write_moment(
                (now - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
            ),
            "endDate": "9999-01-01T00:00:00Z",
            "allowOngoingCycleUpdates": False,
            "isOverridden": False,
        }

    def money(amount, currency):
        return {"price": Decimal(amount), "invoiceCurrency": currency}

    return {
        "purchases": [
            deal("calls-1", "brightfold-eu", "ENTITLEMENT_GRANT", "SUCCESS", 60, pricePlanId=api, pricePlanVersion=3,
                 quantity=2, **money("200", "EUR")),
            deal("calls-2", "doraku-jp", "ENTITLEMENT_GRANT", "PENDING", 3, pricePlanId=api, pricePlanVersion=3,
                 rateCardQuantities={calls: Decimal("2.5")}, **money("38800", "JPY")),
            deal("topup-1", "gulfstone-kw", "WALLET_TOPUP", "SUCCESS", 25,
                 walletTopupDetails={"topupAmount": Decimal(306)}, **money("306", "KWD")),
        ],
        "proposals": [
            deal("bundle-1", "canopy-labs", "ENTITLEMENT_GRANT", "PROPOSAL_ACTIVE", 2, paymentMode="PREPAID",
                 pricePlanId=bundle, pricePlanVersion=1, quantity=1, expiryDate=_ago(now, -21),
                 **money("2827", "USD")),
            deal("bundle-2", "ivorymill-at", "ENTITLEMENT_GRANT", "PROPOSAL_DECLINED", 40, paymentMode="POSTPAID",
                 pricePlanId=bundle, pricePlanVersion=1, quantity=1, proposalResponseDate=_ago(now, 39),
                 comment="Proposal declined", **money("2570", "EUR")),
            deal("bundle-3", "ember-oak-uk", "ENTITLEMENT_GRANT", "PROPOSAL_EXPIRED", 75, paymentMode="PREPAID",
                 pricePlanId=bundle, pricePlanVersion=1, quantity=1, expiryDate=_ago(now, 61),
                 comment="Proposal expired", **money("2570", "EUR")),
            deal("scale-1", "fjordline-grid", "ASSOCIATION", "SUCCESS", 95, paymentMode="POSTPAID",
                 pricePlanId=scale, pricePlanVersion=3, proposalResponseDate=_ago(now, 94),
                 effectiveFrom=_ago(now, 90)[:10], comment="Purchase successful"),
        ],
        "invoices": [
            invoice("calls-1", "brightfold-eu", "brightfold", "PAID", 60, "200",
                    purchaseId=ident("purchase", "calls-1"), pricePlanId=api),
            invoice("calls-2", "doraku-jp", "doraku", "DUE", 3, "38800",
                    purchaseId=ident("purchase", "calls-2"), pricePlanId=api),
            invoice("topup-1", "gulfstone-kw", "gulfstone", "PAID", 25, "306",
                    purchaseId=ident("purchase", "topup-1")),
            invoice("scale-1", "fjordline-grid", "fjordline", "DUE", 10, "1284.6", pricePlanId=scale),
        ],
        "schedules": [
            schedule("scale-1", "fjordline-grid", scale, "Scale Monthly", 3, 90, MONTHLY, "EUR"),
            schedule("annual-1", "lumenar-fr", annual, "Enterprise Annual", 2, 50, ANNUALLY, "EUR"),
        ],
    }  # fmt: skip
