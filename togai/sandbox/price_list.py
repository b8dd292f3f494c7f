"""The plans of Tidemark: together they use every kind of rate card, both models and all price types."""

from togai.sandbox.cards import ALL, commitment, credit, entitlement, fee, license, overage, usage

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

WELCOME = {"priority": 1, "expiryType": "CUSTOM", "expiryDuration": "P90D"}
COMMITTED = {"priority": 10, "expiryType": "CUSTOM", "expiryDuration": "P1Y"}
LOYALTY = {"priority": 2, "expiryType": "PRICING_CYCLE"}
AFTER_A_FREE_CYCLE = {"interval": 1, "offset": 1}

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
        credit("loyalty_credit", "25", [("0", "FLAT", "0")], grant=LOYALTY, kind="RECURRING"),
        commitment("Monthly minimum", "400"),
    ]


def _enterprise(platform, floor):
    return [
        fee("platform_fee", platform, kind="RECURRING"),
        fee("premium_support", "6000", kind="RECURRING", timing="IN_ARREARS", recurrence=AFTER_A_FREE_CYCLE),
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
            grant=COMMITTED | {"applicableEntityIds": ["ALL_USAGE_METER_RATE_CARDS"]},
            timing="PREPAID",
        ),
        commitment("Annual commitment", floor),
    ]


def plans():
    """Every plan: (name, type, description, currencies, cycle, versions).

    A version is (number, status, days since its last change, cards).
    """
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
                        credit("welcome_credit", "250", [("0", "FLAT", "0")], grant=WELCOME),
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
                            grant=COMMITTED,
                            timing="PREPAID",
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
                        fee(
                            "platform_fee",
                            "49",
                            kind="RECURRING",
                            prorated=True,
                            recurrence=AFTER_A_FREE_CYCLE,
                        ),
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
