"""What may be agreed per type, in words a rep understands, and how Togai hears it."""

import copy
from dataclasses import fields, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purchases import overrides
from purchases.terms import (
    EITHER,
    RULES,
    AccountFacts,
    Need,
    PaymentMode,
    PlanFacts,
    PlanType,
    PurchaseType,
    Terms,
    content_hash,
    default_validity,
    payload,
    problems,
    quantities,
    terms_from_payload,
)
from tests.purchases.deals import TODAY, ZONES, deals

D = Decimal
BERLIN = ZoneInfo("Europe/Berlin")
ACCOUNT = AccountFacts("acme-eu", "EUR", "ACTIVE")
TOMORROW = TODAY + timedelta(days=1)


def slabs(*starts):
    return [
        {"order": place, "startAfter": start, "priceType": "PER_UNIT"}
        for place, start in enumerate(starts, 1)
    ]


def rates(currency, *numbers):
    return {
        "currency": currency,
        "slabRates": [{"order": place, "rate": rate} for place, rate in enumerate(numbers, 1)],
    }


FEE = {
    "id": "addon.x",
    "enableProration": False,
    "type": "ONE_TIME",
    "rateValues": [{"currency": "EUR", "rate": "500"}, {"currency": "USD", "rate": "550"}],
}
METER = {
    "usageMeterId": "um.x",
    "ratePlan": {"pricingModel": "TIERED", "slabs": slabs("0", "100")},
    "rateValues": [rates("EUR", "0.2", "0.1"), rates("USD", "0.3", "0.2")],
}
CREDIT = {
    "id": "addon.c",
    "grantDetails": {"priority": 1, "expiryType": "NO_EXPIRY"},
    "rateDetails": {
        "pricingModel": "TIERED",
        "currencySlabRateDetails": [
            {
                "currency": "EUR",
                "creditAmount": "200",
                "slabDetails": [{"startAfter": "0", "priceType": "FLAT", "rate": "0"}],
            }
        ],
    },
}
ALLOWANCE = {
    "featureId": "feature.f",
    "featureConfigs": [{"featureCreditLimit": "100", "effectiveUntil": "P30D"}],
    "invoiceTiming": "IN_ADVANCE",
    "ratePlan": {"pricingModel": "TIERED", "slabs": slabs("0")},
    "rateValues": [rates("EUR", "1")],
}
BILLING = PlanFacts(
    "pp.b",
    "Scale Monthly",
    3,
    PlanType.BILLING,
    "ACTIVE",
    ("EUR", "USD"),
    {
        "fixedFeeRateCards": [FEE, {**FEE, "id": "addon.y"}],
        "usageRateCards": [METER],
        "minimumCommitment": {"displayName": "Floor", "rateValues": [{"currency": "EUR", "rate": "1000"}]},
        "pricingCycleConfig": {"interval": "MONTHLY", "gracePeriod": 2},
    },
)
PURCHASE = PlanFacts(
    "pp.p",
    "Starter pack",
    1,
    PlanType.PURCHASE,
    "ACTIVE",
    ("EUR",),
    {
        "fixedFeeRateCards": [FEE],
        "billingEntitlementRateCards": [ALLOWANCE],
        "creditGrantRateCards": [CREDIT],
    },
)
GRANT = Terms(PurchaseType.ENTITLEMENT_GRANT, PaymentMode.PREPAID, "pp.p", 1, quantity=2)
ASSOCIATION = Terms(
    PurchaseType.ASSOCIATION,
    PaymentMode.POSTPAID,
    "pp.b",
    3,
    effective_from=date(2030, 3, 1),
    effective_until=date(2031, 2, 28),
    valid_until=date(2030, 2, 15),
)
TOPUP = Terms(PurchaseType.WALLET_TOPUP, PaymentMode.PREPAID, wallet_topup_amount=D("50"))
PLAN_OF = {
    PurchaseType.ENTITLEMENT_GRANT: PURCHASE,
    PurchaseType.PREPAID: PURCHASE,
    PurchaseType.ASSOCIATION: BILLING,
    PurchaseType.WALLET_TOPUP: None,
}
WHOLE = {
    PurchaseType.ENTITLEMENT_GRANT: GRANT,
    PurchaseType.PREPAID: replace(GRANT, type=PurchaseType.PREPAID),
    PurchaseType.ASSOCIATION: ASSOCIATION,
    PurchaseType.WALLET_TOPUP: TOPUP,
}
SAMPLE = {
    "price_plan": "pp.b",
    "quantity": 3,
    "rate_card_quantities": {"addon.x": D("1.5")},
    "purchase_plan_override": {"fixedFeeRateCards": {"addon.x": {"rateValues": {"EUR": {"rate": "1"}}}}},
    "association_override": {"pricingCycleConfig": {"gracePeriod": 5}},
    "wallet_topup_amount": D("10"),
    "wallet_purchase_amount": D("9"),
    "effective_from": date(2030, 6, 1),
    "effective_until": date(2031, 6, 1),
    "valid_until": date(2030, 2, 20),
}


def found(terms, *, complete=True, proposal=True, account=ACCOUNT, today=TODAY, plan="as needed"):
    if plan == "as needed":
        plan = PLAN_OF.get(terms.type)
    return problems(
        terms, plan=plan, account=account, today=today, zone=BERLIN, complete=complete, proposal=proposal
    )


def places(terms, **how):
    return {(problem.field, *problem.path) for problem in found(terms, **how)}


def saying(terms, name, value):
    return replace(terms, **{"price_plan_id" if name == "price_plan" else name: value})


@pytest.mark.parametrize("terms", WHOLE.values(), ids=lambda terms: terms.type)
def test_whole_terms_of_every_type_have_no_problem(terms):
    assert found(terms) == []
    assert found(replace(terms, payment_mode=None), proposal=False) == []


@pytest.mark.parametrize("kind", PurchaseType)
@pytest.mark.parametrize("name", SAMPLE)
def test_a_field_is_taken_or_refused_as_the_table_says(kind, name):
    """G-04: an illegal pair of type and field is refused already in a draft, a legal one never."""
    refused = RULES[kind][name] is Need.FORBIDDEN
    draft = saying(Terms(kind), name, SAMPLE[name])
    assert ((name,) in places(draft, complete=False, plan=None)) is refused


@pytest.mark.parametrize("kind", PurchaseType)
def test_a_draft_may_lack_anything(kind):
    """G-01: a draft saves with any subset of fields."""
    assert found(Terms(kind), complete=False, plan=None, account=None) == []
    assert found(Terms(None), complete=False, account=None) == []


@pytest.mark.parametrize("kind", PurchaseType)
def test_what_the_type_needs_is_asked_for_at_submit(kind):
    missing = {(name,) for name, need in RULES[kind].items() if need is Need.REQUIRED} | {("payment_mode",)}
    if RULES[kind]["quantity"] is not Need.FORBIDDEN:
        missing.add(("quantity",))
    assert places(Terms(kind), plan=None) == missing


def test_terms_without_a_type_cannot_be_submitted():
    assert ("type",) in places(Terms(None))


def test_every_type_says_what_it_needs_of_every_field():
    """A field added to the terms must be classified for every type."""
    named = {item.name for item in fields(Terms)} - {"type", "payment_mode", "price_plan_version"}
    for table in RULES.values():
        assert set(table) == {"price_plan" if name == "price_plan_id" else name for name in named}


def test_one_quantity_or_one_per_card_but_not_both():
    assert places(replace(GRANT, rate_card_quantities={"addon.x": D(1)})) == {("rate_card_quantities",)}
    assert found(replace(GRANT, quantity=None, rate_card_quantities={"addon.x": D("1.2")})) == []
    assert EITHER == ("quantity", "rate_card_quantities")


def test_a_direct_purchase_has_no_payment_mode():
    assert places(GRANT, proposal=False) == {("payment_mode",)}
    assert places(replace(GRANT, payment_mode=None)) == {("payment_mode",)}


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("quantity", [0, -1, 2**31, True], [1, 2**31 - 1]),
        ("wallet_topup_amount", [D(0), D("-1"), D("1234567890123456")], [D("0.01"), D("999999999999.99")]),
        ("wallet_purchase_amount", [D("-0.01"), D("NaN")], [D(0), D("49.99")]),
        ("effective_from", [date(1999, 12, 31), date(2101, 1, 1)], [date(2100, 12, 31)]),
        ("valid_until", [date(203, 2, 1)], [date(2030, 2, 20)]),
    ],
)
def test_a_value_that_no_deal_could_hold_is_refused_in_a_draft_too(name, bad, good):
    kind = next(kind for kind, table in RULES.items() if table[name] is not Need.FORBIDDEN)
    for value in bad:
        assert places(saying(Terms(kind), name, value), complete=False, plan=None) == {(name,)}, value
    for value in good:
        assert found(saying(Terms(kind), name, value), complete=False, plan=None) == [], value


@pytest.mark.parametrize("value", [D(0), D("-1"), D("0.0000000000001"), D("1234567890.123456")])
def test_a_quantity_per_card_must_be_a_positive_number_that_togai_keeps(value):
    terms = replace(GRANT, quantity=None, rate_card_quantities={"addon.x": value})
    assert places(terms, complete=False) == {("rate_card_quantities", "addon.x")}


def test_a_quantity_for_a_card_that_the_plan_does_not_have_is_refused_at_its_key():
    terms = replace(GRANT, quantity=None, rate_card_quantities={"addon.x": D(1), "addon.nobody": D(1)})
    assert places(terms) == {("rate_card_quantities", "addon.nobody")}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"effective_from": TODAY, "valid_until": None}, ("effective_from",)),
        ({"effective_from": date(2030, 2, 15)}, ("effective_from",)),
        ({"effective_until": date(2030, 3, 1)}, ("effective_until",)),
        ({"valid_until": TODAY - timedelta(days=1)}, ("valid_until",)),
        ({"valid_until": TODAY + timedelta(days=91), "effective_from": date(2030, 8, 1)}, ("valid_until",)),
    ],
)
def test_dates_that_togai_would_refuse_are_refused_at_submit_only(change, place):
    """P-10: a proposal is valid for 90 days at most."""
    terms = replace(ASSOCIATION, **change)
    assert places(terms) == {place}
    assert found(terms, complete=False) == []


@pytest.mark.parametrize(
    "change",
    [
        {"effective_from": TOMORROW, "valid_until": None},
        {"effective_from": TOMORROW, "valid_until": TODAY},
        {"effective_from": date(2030, 2, 16)},
        {"effective_until": date(2030, 3, 2)},
        {"valid_until": TODAY + timedelta(days=90), "effective_from": date(2030, 8, 1)},
    ],
)
def test_the_next_day_is_good(change):
    assert found(replace(ASSOCIATION, **change)) == []


def test_a_start_within_the_validity_is_explained():
    (problem,) = found(replace(ASSOCIATION, effective_from=date(2030, 2, 10)))
    assert "must lie after 15 Feb 2030, the last day of the validity" in problem.message
    assert "accept" in problem.message


def test_without_a_word_a_proposal_is_valid_for_thirty_days():
    """P-10: 30 days from submission."""
    assert default_validity(TODAY) == date(2030, 3, 3)


@pytest.mark.parametrize(
    ("terms", "plan", "place"),
    [
        (GRANT, BILLING, ("price_plan",)),
        (ASSOCIATION, PURCHASE, ("price_plan",)),
        (replace(GRANT, type=PurchaseType.PREPAID), BILLING, ("price_plan",)),
    ],
)
def test_a_plan_of_the_wrong_type_is_refused_in_a_draft_too(terms, plan, place):
    assert place in places(terms, plan=plan, complete=False)


@pytest.mark.parametrize("status", ["DRAFT", "ARCHIVED"])
def test_only_an_active_plan_for_an_active_account_can_be_submitted(status):
    assert places(GRANT, plan=replace(PURCHASE, status=status)) == {("price_plan",)}
    assert places(GRANT, account=replace(ACCOUNT, status=status)) == {("account",)}


def test_the_plan_and_the_account_must_be_known():
    assert places(GRANT, account=None) == {("account",)}
    assert places(GRANT, plan=None) == {("price_plan",)}


def test_the_plan_must_be_priced_in_the_accounts_currency():
    """G-13: a missing currency blocks the submit."""
    assert places(GRANT, account=replace(ACCOUNT, currency="USD")) == {("price_plan",)}
    assert places(GRANT, account=replace(ACCOUNT, currency="")) == {("account",)}
    dropped = replace(ASSOCIATION, association_override={"supportedCurrencies": ["USD"]})
    assert places(dropped) == {("association_override", "supportedCurrencies")}


@pytest.mark.parametrize(
    ("currency", "amount", "fine"),
    [("JPY", "10.5", False), ("JPY", "10", True), ("EUR", "10.555", False), ("KWD", "10.555", True)],
)
def test_a_topup_is_an_amount_that_can_be_paid(currency, amount, fine):
    terms = replace(TOPUP, wallet_topup_amount=D(amount))
    assert (found(terms, account=replace(ACCOUNT, currency=currency)) == []) is fine


# --- overrides ----------------------------------------------------------------------------------------


def fee_patch(**patch):
    return {"fixedFeeRateCards": {"addon.x": patch}}


def meter_patch(**patch):
    return {"usageRateCards": {"um.x": patch}}


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ({"fixedFeeCards": {}}, ("fixedFeeCards",)),
        ({"fixedFeeRateCards": [FEE]}, ("fixedFeeRateCards",)),
        ({"fixedFeeRateCards": {"addon.x": "free"}}, ("fixedFeeRateCards", "addon.x")),
        (fee_patch(price="1"), ("fixedFeeRateCards", "addon.x", "price")),
        (fee_patch(id="addon.y"), ("fixedFeeRateCards", "addon.x")),
        (fee_patch(enableProration="no"), ("fixedFeeRateCards", "addon.x", "enableProration")),
        (fee_patch(invoiceTiming="PREPAID"), ("fixedFeeRateCards", "addon.x", "invoiceTiming")),
        (fee_patch(displayName="two\nlines"), ("fixedFeeRateCards", "addon.x", "displayName")),
        (fee_patch(name="n" * 51), ("fixedFeeRateCards", "addon.x", "name")),
        (
            fee_patch(rateValues={"EUR": {"rate": "1e3"}}),
            ("fixedFeeRateCards", "addon.x", "rateValues", "EUR", "rate"),
        ),
        (
            fee_patch(rateValues={"EUR": {"rate": "0.0000000000001"}}),
            ("fixedFeeRateCards", "addon.x", "rateValues", "EUR", "rate"),
        ),
        (
            fee_patch(rateValues={"EUR": {"rate": "12345.67890123456"}}),
            ("fixedFeeRateCards", "addon.x", "rateValues", "EUR", "rate"),
        ),
        (
            fee_patch(rateValues={"EUR": {"rate": "٣"}}),
            ("fixedFeeRateCards", "addon.x", "rateValues", "EUR", "rate"),
        ),
        (
            fee_patch(rateValues={"euro": {"rate": "1"}}),
            ("fixedFeeRateCards", "addon.x", "rateValues", "euro"),
        ),
        (
            meter_patch(ratePlan={"slabs": {"one": {"startAfter": "0"}}}),
            ("usageRateCards", "um.x", "ratePlan", "slabs", "one"),
        ),
        (
            meter_patch(ratePlan={"slabs": {"2": {"startAfter": "-5"}}}),
            ("usageRateCards", "um.x", "ratePlan", "slabs", "2", "startAfter"),
        ),
        (
            meter_patch(ratePlan={"slabs": {"2": {"slabConfig": {"size": "5"}}}}),
            ("usageRateCards", "um.x", "ratePlan", "slabs", "2", "slabConfig", "size"),
        ),
        ({"pricingCycleConfig": {"gracePeriod": "2"}}, ("pricingCycleConfig", "gracePeriod")),
        ({"supportedCurrencies": ["EUR", "EUR"]}, ("supportedCurrencies", "2")),
    ],
)
def test_a_malformed_override_is_refused_at_its_cell_in_a_draft_too(override, path):
    terms = replace(ASSOCIATION, association_override=override)
    for complete in (False, True):
        assert places(terms, complete=complete) == {("association_override", *path)}


@pytest.mark.parametrize(
    "kind",
    ["usageRateCards", "licenseRateCards", "minimumCommitment", "pricingCycleConfig", "supportedCurrencies"],
)
def test_a_purchase_plan_override_holds_three_kinds_only(kind):
    terms = replace(GRANT, purchase_plan_override={kind: {}})
    assert places(terms, complete=False) == {("purchase_plan_override", kind)}


UM = ("usageRateCards", "um.x")


@pytest.mark.parametrize(
    ("override", "paths"),
    [
        # Slabs: from 0, upward, without gaps, one rate each.
        (
            meter_patch(ratePlan={"slabs": {"1": {"startAfter": "1"}}}),
            [(*UM, "ratePlan", "slabs", "1", "startAfter")],
        ),
        (
            meter_patch(ratePlan={"slabs": {"2": {"startAfter": "0"}}}),
            [(*UM, "ratePlan", "slabs", "2", "startAfter")],
        ),
        (
            meter_patch(
                ratePlan={"slabs": {"2": None, "3": {"startAfter": "100", "priceType": "PER_UNIT"}}},
                rateValues={
                    "EUR": {"slabRates": {"2": None, "3": {"rate": "1"}}},
                    "USD": {"slabRates": {"2": None, "3": {"rate": "1"}}},
                },
            ),
            [(*UM, "ratePlan", "slabs", "3", "order")],
        ),
        (
            meter_patch(rateValues={"USD": {"slabRates": {"2": None}}}),
            [(*UM, "rateValues", "USD", "slabRates", "2", "rate")],
        ),
        (
            meter_patch(rateValues={"EUR": {"slabRates": {"3": {"rate": "1"}}}}),
            [(*UM, "rateValues", "EUR", "slabRates", "3")],
        ),
        (
            meter_patch(ratePlan={"slabs": {"2": {"priceType": "PACKAGE"}}}),
            [(*UM, "ratePlan", "slabs", "2", "slabConfig", "packageSize")],
        ),
        (
            meter_patch(
                ratePlan={"slabs": {"2": {"priceType": "PACKAGE", "slabConfig": {"packageSize": "0"}}}}
            ),
            [(*UM, "ratePlan", "slabs", "2", "slabConfig", "packageSize")],
        ),
        (
            meter_patch(rateValues={"EUR": {"rateConfig": {"minimumRate": "9", "maximumRate": "8.99"}}}),
            [(*UM, "rateValues", "EUR", "rateConfig", "maximumRate")],
        ),
        (
            meter_patch(
                rateValues={
                    "EUR": {"slabRates": {"1": {"slabRateConfig": {"minimumRate": "9", "maximumRate": "8"}}}}
                }
            ),
            [(*UM, "rateValues", "EUR", "slabRates", "1", "slabRateConfig", "maximumRate")],
        ),
        # The account's currency, on every card that is touched.
        (meter_patch(rateValues={"EUR": None}), [(*UM, "rateValues", "EUR")]),
        (
            {"minimumCommitment": {"rateValues": {"EUR": None, "USD": {"rate": "1"}}}},
            [("minimumCommitment", "rateValues", "EUR")],
        ),
        # What is needed.
        (
            {"fixedFeeRateCards": {"addon.new": {"rateValues": {"EUR": {"rate": "1"}}}}},
            [("fixedFeeRateCards", "addon.new", "enableProration")],
        ),
        ({"minimumCommitment": {"displayName": None}}, [("minimumCommitment", "displayName")]),
        # What Togai has no words for.
        ({"usageRateCards": {"um.x": None}}, [UM]),
        ({"minimumCommitment": None}, [("minimumCommitment",)]),
        ({"pricingCycleConfig": None}, [("pricingCycleConfig",)]),
        # The billing cycle.
        (
            {"pricingCycleConfig": {"startOffset": {"dayOffset": "32", "monthOffset": "NIL"}}},
            [("pricingCycleConfig", "startOffset", "dayOffset")],
        ),
        (
            {"pricingCycleConfig": {"startOffset": {"dayOffset": "1", "monthOffset": "1"}}},
            [("pricingCycleConfig", "startOffset", "monthOffset")],
        ),
        (
            {
                "pricingCycleConfig": {
                    "interval": "WEEKLY",
                    "startOffset": {"dayOffset": "LAST", "monthOffset": "NIL"},
                }
            },
            [("pricingCycleConfig", "startOffset", "dayOffset")],
        ),
        (
            {
                "pricingCycleConfig": {
                    "interval": "QUARTERLY",
                    "startOffset": {"dayOffset": "1", "monthOffset": "4"},
                }
            },
            [("pricingCycleConfig", "startOffset", "monthOffset")],
        ),
        (
            {
                "pricingCycleConfig": {
                    "anniversaryCycle": True,
                    "startOffset": {"dayOffset": "1", "monthOffset": "NIL"},
                }
            },
            [("pricingCycleConfig", "startOffset")],
        ),
        # A currency that the deal adds must be priced on every card.
        (
            {"supportedCurrencies": ["EUR", "USD", "JPY"]},
            [
                ("fixedFeeRateCards", "addon.x", "rateValues", "JPY"),
                ("fixedFeeRateCards", "addon.y", "rateValues", "JPY"),
                (*UM, "rateValues", "JPY"),
                ("minimumCommitment", "rateValues", "JPY"),
            ],
        ),
    ],
)
def test_an_override_that_togai_would_refuse_is_refused_at_its_cell_at_submit_only(override, paths):
    """G-09: violations name the row."""
    terms = replace(ASSOCIATION, association_override=override)
    assert places(terms) == {("association_override", *path) for path in paths}
    assert found(terms, complete=False) == []


@pytest.mark.parametrize(
    ("override", "path"),
    [
        (
            {
                "billingEntitlementRateCards": {
                    "feature.f": {
                        "featureConfigs": [{"featureCreditLimit": "5", "effectiveUntil": "20 days"}]
                    }
                }
            },
            ("billingEntitlementRateCards", "feature.f", "featureConfigs", "1", "effectiveUntil"),
        ),
        (
            {
                "billingEntitlementRateCards": {
                    "feature.f": {
                        "featureConfigs": [
                            {"featureCreditLimit": "5", "effectiveFrom": "P30D", "effectiveUntil": "P20D"}
                        ]
                    }
                }
            },
            ("billingEntitlementRateCards", "feature.f", "featureConfigs", "1", "effectiveUntil"),
        ),
        (
            {"creditGrantRateCards": {"addon.c": {"grantDetails": {"expiryType": "CUSTOM"}}}},
            ("creditGrantRateCards", "addon.c", "grantDetails", "expiryDuration"),
        ),
        (
            {
                "creditGrantRateCards": {
                    "addon.c": {
                        "rateDetails": {
                            "currencySlabRateDetails": {
                                "EUR": {
                                    "slabDetails": {
                                        "2": {"startAfter": "0", "priceType": "FLAT", "rate": "1"}
                                    }
                                }
                            }
                        }
                    }
                }
            },
            (
                "creditGrantRateCards",
                "addon.c",
                "rateDetails",
                "currencySlabRateDetails",
                "EUR",
                "slabDetails",
                "2",
                "startAfter",
            ),
        ),
        (
            {
                "creditGrantRateCards": {
                    "addon.c": {
                        "rateDetails": {
                            "currencySlabRateDetails": {
                                "EUR": None,
                                "USD": {
                                    "creditAmount": "1",
                                    "slabDetails": {
                                        "1": {"startAfter": "0", "priceType": "FLAT", "rate": "1"}
                                    },
                                },
                            }
                        }
                    }
                }
            },
            ("creditGrantRateCards", "addon.c", "rateDetails", "currencySlabRateDetails", "EUR"),
        ),
        ({"fixedFeeRateCards": {"addon.x": {"type": "RECURRING"}}}, ("fixedFeeRateCards", "addon.x", "type")),
    ],
)
def test_grants_are_judged_cell_by_cell(override, path):
    terms = replace(GRANT, purchase_plan_override=override)
    assert places(terms) == {("purchase_plan_override", *path)}


@pytest.mark.parametrize("text", ["P", "PT", "P1M2W", "20 days", "P-1D", "p30d", "P1.5D", "30", "P30DT", ""])
def test_what_only_looks_like_a_duration_is_refused(text):
    config = [{"featureCreditLimit": "5", "effectiveUntil": text}]
    terms = replace(
        GRANT,
        purchase_plan_override={"billingEntitlementRateCards": {"feature.f": {"featureConfigs": config}}},
    )
    assert places(terms) != set()


def test_a_kind_has_fifty_cards_at_most():
    new = {
        f"addon.{place}": {"enableProration": True, "rateValues": {"EUR": {"rate": "1"}}}
        for place in range(49)
    }
    terms = replace(GRANT, purchase_plan_override={"fixedFeeRateCards": new})
    assert found(terms) == []
    new["addon.more"] = new["addon.1"]
    assert places(terms) == {("purchase_plan_override", "fixedFeeRateCards")}


def test_a_card_has_ten_slabs_at_most():
    def patch(count):
        more = range(3, count + 1)
        slab = {str(place): {"startAfter": str(100 * place), "priceType": "PER_UNIT"} for place in more}
        rate = {str(place): {"rate": "1"} for place in more}
        return meter_patch(
            ratePlan={"slabs": slab}, rateValues={"EUR": {"slabRates": rate}, "USD": {"slabRates": rate}}
        )

    assert found(replace(ASSOCIATION, association_override=patch(10))) == []
    assert places(replace(ASSOCIATION, association_override=patch(11))) == {
        ("association_override", *UM, "ratePlan", "slabs")
    }


def test_a_plan_that_lists_a_card_twice_cannot_be_overridden_in_that_kind():
    plan = replace(PURCHASE, details={"fixedFeeRateCards": [FEE, FEE]})
    assert found(GRANT, plan=plan) == []
    terms = replace(GRANT, purchase_plan_override=SAMPLE["purchase_plan_override"])
    assert places(terms, plan=plan) == {("purchase_plan_override", "fixedFeeRateCards", "addon.x#2")}


@settings(max_examples=200, deadline=None)
@given(
    starts=st.lists(st.integers(0, 30), min_size=1, max_size=12),
    missing=st.sets(st.integers(1, 12)),
)
def test_a_table_of_slabs_is_accepted_exactly_when_it_is_a_ladder(starts, missing):
    """G-09: generated bad tables are refused, good ones are not."""
    orders = [str(place) for place in range(1, len(starts) + 1)]
    card = {
        "ratePlan": {
            "pricingModel": "VOLUME",
            "slabs": {
                order: {"startAfter": str(start), "priceType": "PER_UNIT"}
                for order, start in zip(orders, starts, strict=True)
            },
        },
        "rateValues": {
            "EUR": {"slabRates": {order: {"rate": "1"} for order in orders if int(order) not in missing}}
        },
    }
    terms = replace(ASSOCIATION, association_override={"usageRateCards": {"um.new": card}})
    ladder = starts[0] == 0 and starts == sorted(set(starts)) and len(starts) <= 10
    priced = not missing & set(map(int, orders))
    assert (found(terms) == []) is (ladder and priced)


# --- the wire -----------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(deals(), st.sampled_from(ZONES))
def test_terms_come_back_from_their_payload_unchanged(deal, zone):
    """G-02: terms → payload → terms is identical."""
    terms, plan = deal
    details = plan.details if plan else {}
    body = payload(terms, details=details, zone=zone)
    again = terms_from_payload(body, details=details, zone=zone, price_plan_version=terms.price_plan_version)
    assert again == terms
    assert content_hash(again, {}) == content_hash(terms, {})


def test_a_payload_says_nothing_that_was_not_said():
    assert payload(TOPUP, details={}, zone=BERLIN) == {
        "type": "WALLET_TOPUP",
        "paymentMode": "PREPAID",
        "walletTopupDetails": {"topupAmount": D("50")},
    }


@pytest.mark.parametrize(
    ("day", "zone", "instant"),
    [
        (date(2030, 6, 30), "Europe/Berlin", "2030-06-30T21:59:59Z"),
        (date(2030, 1, 31), "Europe/Berlin", "2030-01-31T22:59:59Z"),
        (date(2030, 6, 30), "America/New_York", "2030-07-01T03:59:59Z"),
        (date(2030, 10, 27), "Europe/Berlin", "2030-10-27T22:59:59Z"),
        # The clock went back from midnight to eleven: the day had that second twice.
        (date(2019, 2, 16), "America/Sao_Paulo", "2019-02-17T02:59:59Z"),
    ],
)
def test_a_validity_ends_with_the_last_second_of_its_day_in_the_business_zone(day, zone, instant):
    """G-32: "valid until 30 June" is usable through 23:59:59 in the business zone."""
    body = payload(replace(TOPUP, valid_until=day), details={}, zone=ZoneInfo(zone))
    assert body["expiryDate"] == instant
    assert terms_from_payload(body, details={}, zone=ZoneInfo(zone)).valid_until == day


def test_an_end_for_ever_reads_as_no_end():
    body = payload(ASSOCIATION, details=BILLING.details, zone=BERLIN) | {"effectiveUntil": "9999-01-01"}
    assert terms_from_payload(body, details=BILLING.details, zone=BERLIN).effective_until is None


def test_terms_from_rows_carry_text_for_their_enums():
    assert Terms("ASSOCIATION", "POSTPAID").type is PurchaseType.ASSOCIATION
    assert Terms("", "").type is None
    assert quantities(None) == {}
    assert quantities({"addon.x": "1.5"}) == {"addon.x": D("1.5")}


def test_the_fingerprint_sees_every_commercial_field():
    """G-23: no field of the terms can change unseen."""
    base = Terms(PurchaseType.ASSOCIATION, PaymentMode.PREPAID, "pp.b", 1)
    other = {
        **{"price_plan_id" if name == "price_plan" else name: value for name, value in SAMPLE.items()},
        "type": PurchaseType.PREPAID,
        "payment_mode": PaymentMode.POSTPAID,
        "price_plan_id": "pp.other",
        "price_plan_version": 2,
    }
    assert set(other) == {item.name for item in fields(Terms)}
    prints = {content_hash(base, {})} | {
        content_hash(replace(base, **{name: value}), {}) for name, value in other.items()
    }
    assert len(prints) == 1 + len(other)
    assert content_hash(base, {"title": "a"}) != content_hash(base, {"title": "b"})


def test_the_fingerprint_does_not_see_how_a_value_was_written():
    base = replace(TOPUP, wallet_topup_amount=D("50"))
    assert content_hash(base, {"x": 1, "y": None}) == content_hash(
        replace(base, wallet_topup_amount=D("50.000")), {"y": None, "x": 1}
    )
    with pytest.raises(TypeError):
        content_hash(base, {"rate": 0.1})


def test_an_override_that_repeats_the_plan_sends_nothing():
    terms = replace(
        GRANT,
        purchase_plan_override={"fixedFeeRateCards": {"addon.x": {"rateValues": {"EUR": {"rate": "500"}}}}},
    )
    assert "purchasePlanOverride" not in payload(terms, details=PURCHASE.details, zone=BERLIN)


def test_the_vendors_first_proposal_is_said_word_for_word(samples):
    """What the reference page prints leaves equal as JSON (its numbers as Decimals)."""
    body = samples("create_proposal.request.json")
    terms = terms_from_payload(body, details={}, zone=BERLIN)
    assert payload(terms, details={}, zone=BERLIN) == body


def test_nothing_of_what_is_passed_in_is_changed():
    override = {"fixedFeeRateCards": {"addon.x": {"rateValues": {"EUR": {"rate": "1.50"}}}}}
    terms = replace(ASSOCIATION, association_override=override)
    before = copy.deepcopy((override, BILLING.details))
    found(terms)
    payload(terms, details=BILLING.details, zone=BERLIN)
    overrides.effective(BILLING.details, override)
    assert (override, BILLING.details) == before


def test_the_moment_of_expiry_is_read_in_any_offset():
    body = {"type": "WALLET_TOPUP", "expiryDate": "2030-02-15T23:30:00+00:00"}
    assert terms_from_payload(body, details={}, zone=BERLIN).valid_until == date(2030, 2, 16)
    body["expiryDate"] = datetime(2030, 2, 15, 12, tzinfo=BERLIN)
    assert terms_from_payload(body, details={}, zone=BERLIN).valid_until == date(2030, 2, 15)
