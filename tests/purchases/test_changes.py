"""What an override changes, cell by cell and in words."""

import pytest

from purchases.changes import changes
from tests.factories import API_CALLS, MESSAGES, ONBOARDING, PLATFORM_FEE

PURCHASE = {
    "billingEntitlementRateCards": [API_CALLS],
    "fixedFeeRateCards": [ONBOARDING],
    "supportedCurrencies": ["EUR", "USD"],
}
BILLING = {
    "usageRateCards": [MESSAGES],
    "fixedFeeRateCards": [PLATFORM_FEE],
    "pricingCycleConfig": {"interval": "MONTHLY", "gracePeriod": 2, "anniversaryCycle": False},
}


def rate(kind, billable_id, **cells):
    return {kind: {billable_id: cells}}


def shown(card):
    return [(cell.words, cell.currency, cell.plan, cell.ours, cell.kind, cell.text) for cell in card.cells]


def test_no_override_changes_nothing():
    assert changes(PURCHASE, {}) == ()
    assert changes({}, {}) == ()


def test_a_fee_shows_the_plan_s_rate_beside_ours_in_each_currency():
    (card,) = changes(
        PURCHASE, rate("fixedFeeRateCards", "addon.onboarding", rateValues={"EUR": {"rate": "600"}})
    )
    assert (card.label, card.kind_name, card.state) == ("Onboarding", "Fixed fees", "changed")
    assert card.line == "fixedFeeRateCards:addon.onboarding"
    assert shown(card) == [
        ("Rate", "EUR", "750.00", "600.00", "lower", "−20.0 %"),
        ("Rate", "USD", "800.00", "800.00", "same", ""),
    ]


def test_a_slab_says_which_units_it_holds_and_unchanged_slabs_stay_for_comparison():
    (card,) = changes(
        PURCHASE,
        rate(
            "billingEntitlementRateCards",
            "feature.calls",
            rateValues={"EUR": {"slabRates": {"2": {"rate": "0.165"}}}},
        ),
    )
    assert card.note == "tiered"
    assert shown(card)[:2] == [
        ("Slab 1, up to 1,000", "EUR", "0.20", "0.20", "same", ""),
        ("Slab 2, over 1,000", "EUR", "0.15", "0.165", "higher", "+10.0 %"),
    ]


def test_a_new_slab_is_added_with_its_start_and_rate():
    (card,) = changes(
        PURCHASE,
        rate(
            "billingEntitlementRateCards",
            "feature.calls",
            ratePlan={"slabs": {"3": {"startAfter": "5000", "priceType": "FLAT"}}},
            rateValues={
                "EUR": {"slabRates": {"3": {"rate": "0.1"}}},
                "USD": {"slabRates": {"3": {"rate": "0.11"}}},
            },
        ),
    )
    assert ("Slab 3, over 5,000", "EUR", None, "0.10", "added", "") in shown(card)
    assert ("Slab 3, over 5,000: priced", "", None, "flat", "added", "") in shown(card)
    assert ("Slab 2, over 1,000 to 5,000", "EUR", "0.15", "0.15", "same", "") in shown(card)


def test_credits_of_a_window_are_compared_and_more_of_them_is_not_called_dearer():
    (card,) = changes(
        PURCHASE,
        rate(
            "billingEntitlementRateCards",
            "feature.calls",
            featureConfigs=[
                {"effectiveFrom": "PT0S", "effectiveUntil": "P60D", "featureCreditLimit": "1500"}
            ],
        ),
    )
    assert ("Credits", "", "1,000", "1,500", "changed", "+50.0 %") in shown(card)
    assert ("Ends after", "", "P30D", "P60D", "changed", "") in shown(card)


def test_a_removed_card_keeps_its_plan_prices_and_an_added_one_has_none():
    new = {
        "displayName": "Support",
        "type": "RECURRING",
        "enableProration": True,
        "rateValues": {"EUR": {"rate": "150"}},
    }
    removed, added = changes(BILLING, {"fixedFeeRateCards": {"addon.platform": None, "addon.support": new}})
    assert (removed.label, removed.state) == ("Platform fee", "removed")
    assert shown(removed)[0] == ("Rate", "EUR", "499.00", None, "removed", "")
    assert (added.label, added.state) == ("Support", "added")
    assert ("Charged", "", None, "recurring", "added", "") in shown(added)


def test_a_cycle_a_commitment_and_currencies_are_changes_too():
    override = {
        "pricingCycleConfig": {"interval": "QUARTERLY", "anniversaryCycle": True},
        "minimumCommitment": {"displayName": "Minimum", "rateValues": {"EUR": {"rate": "1000"}}},
        "supportedCurrencies": ["EUR"],
    }
    by_kind = {card.kind: card for card in changes(BILLING, override)}
    assert shown(by_kind["pricingCycleConfig"]) == [
        ("Billing cycle", "", "monthly", "quarterly", "changed", ""),
        ("From the anniversary", "", "no", "yes", "changed", ""),
    ]
    assert by_kind["minimumCommitment"].state == "added"
    assert by_kind["minimumCommitment"].line == "minimumCommitment"
    assert shown(by_kind["supportedCurrencies"]) == [("Currencies", "", None, "EUR", "added", "")]


@pytest.mark.parametrize("rate_text", ["0", "0.000000000001"])
def test_a_free_or_tiny_rate_keeps_all_its_digits(rate_text):
    """G-14"""
    (card,) = changes(
        PURCHASE, rate("fixedFeeRateCards", "addon.onboarding", rateValues={"EUR": {"rate": rate_text}})
    )
    assert card.cells[0].ours == ("0.00" if rate_text == "0" else rate_text)
    assert card.cells[0].kind == "lower"
