"""A plan read as a price list: every kind of card in words."""

import pytest

from purchases import price_list
from tests.factories import API_CALLS, MESSAGES, ONBOARDING, slab_rates


def rows(table):
    return [(row.units, row.priced, *(cell.rate for cell in row.cells)) for row in table.rows]


def only(details):
    (card,) = price_list.of(details)
    return card


def test_slabs_say_which_units_they_hold_and_what_they_cost_in_each_currency():
    """A slab starts after its threshold (togai.md 4.5)."""
    card = only({"billingEntitlementRateCards": [API_CALLS]})
    (table,) = card.tables
    assert (card.label, card.kind_name, card.billable_id) == ("API calls", "Entitlements", "feature.calls")
    assert table.currencies == ("EUR", "USD")
    assert rows(table) == [
        ("1 to 1,000", "per unit", "0.20", "0.22"),
        ("1,001 and more", "per unit", "0.15", "0.17"),
    ]
    assert card.conditions == (
        "1,000 units each, valid for 30 days from the grant",
        "Each slab prices its own units",
        "Invoiced in advance",
    )


def test_a_fixed_fee_is_an_amount_per_currency():
    card = only({"fixedFeeRateCards": [ONBOARDING]})
    assert card.amounts == (("EUR", "750.00"), ("USD", "800.00"))
    assert (card.tables, card.conditions) == ((), ("Invoiced in advance", "Charged once"))


def test_usage_is_in_arrears_and_says_what_volume_means():
    card = only({"usageRateCards": [MESSAGES]})
    assert card.conditions == ("The slab reached prices all units", "Invoiced in arrears")
    assert rows(card.tables[0])[1] == ("10,001 and more", "per unit", "0.015", "0.017")


def test_packages_flat_slabs_and_limits_are_said():
    card = only(
        {
            "usageRateCards": [
                {
                    "usageMeterId": "um.x",
                    "displayName": "Events",
                    "ratePlan": {
                        "pricingModel": "TIERED",
                        "slabs": [
                            # Not in order, as Togai may list them.
                            {
                                "order": 2,
                                "startAfter": "2.5",
                                "priceType": "PACKAGE",
                                "slabConfig": {"packageSize": "1000"},
                            },
                            {"order": 1, "startAfter": "0", "priceType": "FLAT"},
                        ],
                    },
                    "rateValues": [
                        {
                            "currency": "JPY",
                            "slabRates": [
                                {"order": 1, "rate": "-5", "slabRateConfig": {"maximumRate": "9000"}},
                                {"order": 2, "rate": "8.5"},
                            ],
                            "rateConfig": {"minimumRate": "100", "maximumRate": "900"},
                        }
                    ],
                }
            ]
        }
    )
    (table,) = card.tables
    assert rows(table) == [
        ("up to 2.5", "once for the slab", "−5"),
        ("over 2.5", "per started 1,000", "8.5"),
    ]
    assert table.rows[0].cells[0].limits == ("at most 9,000",)
    assert table.totals() == (("JPY", ("at least 100", "at most 900")),)


@pytest.mark.parametrize(
    ("starts", "bands"),
    [
        (["0"], ["all units"]),
        (["0", "1000", "5000"], ["1 to 1,000", "1,001 to 5,000", "5,001 and more"]),
        (["0", "1", "2"], ["1", "2", "3 and more"]),
        (["0", "0.5", "10"], ["up to 0.5", "over 0.5, up to 10", "over 10"]),
    ],
)
def test_the_units_of_a_slab_are_counted_where_they_are_pieces(starts, bands):
    """A slab starts after its threshold (togai.md 4.5)."""
    slabs = [
        {"order": order, "startAfter": start, "priceType": "PER_UNIT"}
        for order, start in enumerate(starts, 1)
    ]
    card = dict(API_CALLS) | {
        "ratePlan": {"pricingModel": "TIERED", "slabs": slabs},
        "rateValues": [{"currency": "EUR", "slabRates": slab_rates(*starts)}],
    }
    (table,) = only({"billingEntitlementRateCards": [card]}).tables
    assert [row.units for row in table.rows] == bands


def test_many_windows_are_told_as_a_series():
    windows = [
        {
            "effectiveFrom": f"P{n}M" if n else "PT0S",
            "effectiveUntil": f"P{n + 1}M",
            "featureCreditLimit": "5000",
        }
        for n in range(12)
    ]
    card = only({"billingEntitlementRateCards": [dict(API_CALLS) | {"featureConfigs": windows}]})
    assert card.conditions[0] == (
        "5,000 units each in 12 windows, one after the other: the first valid for 1 month from the grant, "
        "the last from 11 months to 12 months after the grant"
    )
    gap = [*windows[:2], *windows[3:]]
    card = only({"billingEntitlementRateCards": [dict(API_CALLS) | {"featureConfigs": gap}]})
    assert card.conditions[1] == "5,000 units each, from 1 month to 2 months after the grant"


def test_credit_names_the_cards_that_it_is_spent_on():
    card = price_list.of(
        grant(credit("EUR", "0"), applicableEntityIds=["um.messages", "ALL_FIXED_FEE_RATE_CARDS"])
        | {"usageRateCards": [MESSAGES]}
    )[0]
    assert "Spent on Messages, all fixed fees, priority 1 (lower is spent first)" in card.conditions


def test_a_currency_without_a_rate_for_a_slab_says_none():
    card = dict(API_CALLS) | {"rateValues": [{"currency": "EUR", "slabRates": slab_rates("0.20")}]}
    (table,) = only({"billingEntitlementRateCards": [card]}).tables
    assert [row.cells[0].rate for row in table.rows] == ["0.20", None]


def grant(*values, **details):
    return {
        "creditGrantRateCards": [
            {
                "id": "addon.credit",
                "displayName": "Launch credit",
                "type": "RECURRING",
                "recurrenceConfig": {"interval": 3, "offset": 1},
                "grantDetails": {"priority": 1, "expiryType": "CUSTOM", "expiryDuration": "P90D"} | details,
                "rateDetails": {"pricingModel": "TIERED", "currencySlabRateDetails": list(values)},
            }
        ]
    }


def credit(currency, *starts, amount="200"):
    return {
        "currency": currency,
        "creditAmount": amount,
        "slabDetails": [{"startAfter": start, "priceType": "PER_UNIT", "rate": "0.9"} for start in starts],
    }


def test_a_credit_grant_says_how_much_how_long_and_for_what():
    card = only(grant(credit("EUR", "0"), credit("USD", "0"), applicableEntityIds=["um.x"]))
    (table,) = card.tables
    assert table.currencies == ("EUR", "USD")
    assert card.conditions == (
        "Grants 200.00 EUR or 200.00 USD of credit",
        "The credit lasts 90 days",
        "Spent on um.x, priority 1 (lower is spent first)",
        "Charged every 3 cycles, first after 1 cycle",
    )


def test_currencies_whose_slabs_differ_are_tables_of_their_own():
    card = only(grant(credit("EUR", "0", "100"), credit("USD", "0")))
    assert [table.currencies for table in card.tables] == [("EUR",), ("USD",)]


def test_many_currencies_are_split_into_tables_that_fit():
    currencies = ["EUR", "USD", "JPY", "KWD", "GBP", "CHF"]
    card = dict(API_CALLS) | {
        "rateValues": [{"currency": code, "slabRates": slab_rates("1", "2")} for code in currencies]
    }
    tables = only({"billingEntitlementRateCards": [card]}).tables
    assert [table.currencies for table in tables] == [tuple(currencies[:5]), ("CHF",)]
    assert all(len(row.cells) == len(table.currencies) for table in tables for row in table.rows)


def test_licences_overage_and_the_commitment_say_their_conditions():
    slabs = {"pricingModel": "TIERED", "slabs": [{"order": 1, "startAfter": "0", "priceType": "PER_UNIT"}]}
    rates = [{"currency": "EUR", "slabRates": slab_rates("19")}]
    licence, overage, commitment = price_list.of(
        {
            "licenseRateCards": [
                {
                    "id": "addon.seat",
                    "ratePlan": slabs,
                    "rateValues": rates,
                    "enableProration": True,
                    "proratedRefundMode": "CREDITS",
                    "usageCycle": "MONTHLY",
                    "type": "NAMED_LICENSE",
                    "config": {"maxQuantity": 200},
                }
            ],
            "entitlementOverageRateCards": [
                {
                    "featureId": "feature.x",
                    "displayName": "Beyond",
                    "ratePlan": slabs,
                    "rateValues": rates,
                    "maxQuantity": "5000",
                    "billingConfig": {"interval": 2},
                }
            ],
            "minimumCommitment": {
                "displayName": "Floor",
                "rateValues": [{"currency": "EUR", "rate": "1000"}],
            },
        }
    )
    assert licence.label == "addon.seat"
    assert licence.conditions == (
        "Each seat is for one named person or thing",
        "Counted monthly",
        "At most 200 units",
        "A part of a cycle is charged in part; unused time is given back as credits",
    )
    assert overage.conditions == ("Invoiced in arrears", "Charged every 2 cycles", "At most 5,000 units")
    assert (commitment.amounts, commitment.kind_name) == ((("EUR", "1,000.00"),), "Minimum commitment")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("P30D", "30 days"),
        ("P1M", "1 month"),
        ("P1Y6M", "1 year 6 months"),
        ("PT720H", "720 hours"),
        ("P2WT30M", "2 weeks 30 minutes"),
        ("PT0S", "no time"),
        ("someday", "someday"),
        ("P", "no time"),
        (None, ""),
    ],
)
def test_durations_in_words(text, words):
    assert price_list.duration_in_words(text) == words


@pytest.mark.parametrize(
    ("cycle", "words"),
    [
        (None, ""),
        (
            {
                "interval": "MONTHLY",
                "gracePeriod": 2,
                "startOffset": {"dayOffset": "1", "monthOffset": "NIL"},
            },
            "Monthly from day 1; invoices stay drafts for 2 days",
        ),
        (
            {
                "interval": "ANNUALLY",
                "gracePeriod": 1,
                "startOffset": {"dayOffset": "LAST", "monthOffset": "3"},
            },
            "Yearly from the last day of month 3; invoices stay drafts for 1 day",
        ),
        (
            {
                "interval": "QUARTERLY",
                "gracePeriod": 0,
                "startOffset": {"dayOffset": "5", "monthOffset": "FIRST"},
            },
            "Quarterly from day 5 of the first month",
        ),
        (
            {"interval": "HALF_YEARLY", "gracePeriod": 0, "anniversaryCycle": True},
            "Half-yearly, counted from the day it is associated",
        ),
        ({"interval": "EVERY_MOON"}, "Every moon"),
    ],
)
def test_cycles_in_words(cycle, words):
    assert price_list.cycle_in_words(cycle) == words
