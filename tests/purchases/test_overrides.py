"""An override holds what differs, and is sent as complete lists."""

import copy
import random
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purchases import overrides
from purchases.cards import CARDS
from purchases.terms import PlanType
from tests.purchases.deals import changed_details, details, plans_and_overrides

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def fee(billable_id, rate, **more):
    return {
        "id": billable_id,
        "enableProration": False,
        "rateValues": [{"currency": "EUR", "rate": rate}, {"currency": "USD", "rate": rate}],
        **more,
    }


def tiers(*starts):
    return [
        {"order": place, "startAfter": start, "priceType": "PER_UNIT"}
        for place, start in enumerate(starts, 1)
    ]


def meter(meter_id, starts, rates):
    return {
        "usageMeterId": meter_id,
        "ratePlan": {"pricingModel": "TIERED", "slabs": tiers(*starts)},
        "rateValues": [
            {
                "currency": "EUR",
                "slabRates": [{"order": place, "rate": rate} for place, rate in enumerate(rates, 1)],
            }
        ],
    }


PLAN = {
    "fixedFeeRateCards": [fee("addon.z", "500"), fee("addon.b", "20", displayName="Support")],
    "usageRateCards": [meter("um.x", ["0", "100"], ["0.2", "0.1"])],
    "minimumCommitment": {"displayName": "Floor", "rateValues": [{"currency": "EUR", "rate": "1000"}]},
    "pricingCycleConfig": {
        "interval": "MONTHLY",
        "gracePeriod": 2,
        "startOffset": {"dayOffset": "1", "monthOffset": "NIL"},
    },
    "supportedCurrencies": ["EUR", "USD"],
}


def changed(change):
    copied = copy.deepcopy(PLAN)
    change(copied)
    return copied


def rate_of_first_fee(plan, rate):
    plan["fixedFeeRateCards"][0]["rateValues"][0]["rate"] = rate


def test_only_the_cell_that_differs_is_kept():
    """G-02: a stored override holds nothing that the plan says already."""
    override = overrides.difference(PLAN, changed(lambda plan: rate_of_first_fee(plan, "450")))
    assert override == {"fixedFeeRateCards": {"addon.z": {"rateValues": {"EUR": {"rate": "450"}}}}}


def test_reverting_a_cell_to_the_plan_removes_its_key():
    """G-02: a field put back to the plan's value leaves no trace, even written with other zeros."""
    override = overrides.difference(PLAN, changed(lambda plan: rate_of_first_fee(plan, "450")))
    override["fixedFeeRateCards"]["addon.z"]["rateValues"]["EUR"]["rate"] = "500.00"
    assert overrides.normalised(PLAN, override) == {}


def test_the_complete_list_of_a_touched_kind_is_sent_and_no_other():
    """G-02: unchanged cards of the kind travel along, in the plan's order; untouched kinds are inherited."""
    override = overrides.difference(PLAN, changed(lambda plan: rate_of_first_fee(plan, "450")))
    sent = overrides.touched(PLAN, override)
    assert list(sent) == ["fixedFeeRateCards"]
    assert sent["fixedFeeRateCards"] == [
        fee("addon.z", "500")
        | {"rateValues": [{"currency": "EUR", "rate": "450"}, {"currency": "USD", "rate": "500"}]},
        fee("addon.b", "20", displayName="Support"),
    ]


@pytest.mark.parametrize(
    ("kind", "patch", "sent"),
    [
        (
            "minimumCommitment",
            {"rateValues": {"EUR": {"rate": "800"}}},
            {"displayName": "Floor", "rateValues": [{"currency": "EUR", "rate": "800"}]},
        ),
        (
            "pricingCycleConfig",
            {"anniversaryCycle": True, "startOffset": None},
            {"interval": "MONTHLY", "gracePeriod": 2, "anniversaryCycle": True},
        ),
        ("supportedCurrencies", ["EUR"], ["EUR"]),
    ],
)
def test_an_object_is_sent_whole_when_a_part_of_it_is_touched(kind, patch, sent):
    assert overrides.touched(PLAN, {kind: patch}) == {kind: sent}


def test_a_card_can_be_added_and_another_removed():
    patch = {
        "fixedFeeRateCards": {
            "addon.b": None,
            "addon.new": {"enableProration": True, "rateValues": {"EUR": {"rate": "7"}}},
        }
    }
    whole = overrides.effective(PLAN, patch)
    assert [card["id"] for card in whole["fixedFeeRateCards"]] == ["addon.z", "addon.new"]
    assert whole["fixedFeeRateCards"][1]["rateValues"] == [{"currency": "EUR", "rate": "7"}]
    assert overrides.difference(PLAN, whole) == patch


def test_a_slab_and_its_rate_can_be_added_by_their_order():
    patch = {
        "usageRateCards": {
            "um.x": {
                "ratePlan": {"slabs": {"3": {"startAfter": "500", "priceType": "PER_UNIT"}}},
                "rateValues": {"EUR": {"slabRates": {"3": {"rate": "0.05"}}}},
            }
        }
    }
    assert overrides.touched(PLAN, patch) == {
        "usageRateCards": [meter("um.x", ["0", "100", "500"], ["0.2", "0.1", "0.05"])]
    }


def test_slabs_come_in_their_order_from_ten_on_too():
    starts = [str(100 * place) for place in range(10)]
    plan = {"usageRateCards": [meter("um.x", starts, starts)]}
    plan["usageRateCards"][0]["ratePlan"]["slabs"].reverse()
    slabs = overrides.effective(plan, {})["usageRateCards"][0]["ratePlan"]["slabs"]
    assert [slab["order"] for slab in slabs] == list(range(1, 11))


def test_a_credit_grants_slabs_are_named_by_their_place():
    def grant(*starts):
        slabs = [{"startAfter": start, "priceType": "FLAT", "rate": "1"} for start in starts]
        prices = {"currency": "EUR", "creditAmount": "5", "slabDetails": slabs}
        return {
            "id": "addon.c",
            "grantDetails": {"priority": 1, "expiryType": "NO_EXPIRY"},
            "rateDetails": {"pricingModel": "TIERED", "currencySlabRateDetails": [prices]},
        }

    plan = {"creditGrantRateCards": [grant("0", "10", "20")]}
    middle_gone = {"creditGrantRateCards": [grant("0", "20")]}
    patch = overrides.difference(plan, middle_gone)
    assert overrides.effective(plan, patch) == middle_gone


def test_the_last_card_of_a_kind_cannot_be_sent_away():
    with pytest.raises(overrides.Unsendable):
        overrides.touched(PLAN, {"usageRateCards": {"um.x": None}})


def test_a_plan_that_lists_a_card_twice_can_still_be_read():
    plan = {"fixedFeeRateCards": [fee("addon.a", "1"), fee("addon.a", "2")]}
    assert overrides.effective(plan, {}) == plan
    patch = overrides.difference(plan, {"fixedFeeRateCards": [fee("addon.a", "1"), fee("addon.a", "3")]})
    assert overrides.effective(plan, patch)["fixedFeeRateCards"][1]["rateValues"][0]["rate"] == "3"


def test_cards_are_walked_kind_by_kind_with_a_name_for_people():
    walked = [(card.kind, card.billable_id, card.label) for card in overrides.cards(PLAN)]
    assert walked == [
        ("fixedFeeRateCards", "addon.z", "addon.z"),
        ("fixedFeeRateCards", "addon.b", "Support"),
        ("usageRateCards", "um.x", "um.x"),
    ]


@SLOW
@given(plans_and_overrides())
def test_what_is_sent_reads_back_as_the_same_override(case):
    """G-02: stored override → sent lists → stored override is identical."""
    plan, override = case
    sent = overrides.touched(plan, override)
    assert overrides.from_sent(plan, sent) == override
    assert overrides.from_sent(plan, overrides.to_wire(sent)) == override


@SLOW
@given(plans_and_overrides())
def test_what_takes_effect_differs_from_the_plan_by_the_override(case):
    """G-02: applying an override and taking the difference gives it back, in minimal form."""
    plan, override = case
    whole = overrides.effective(plan, override)
    assert overrides.difference(plan, whole) == override
    assert overrides.normalised(plan, override) == override
    assert overrides.effective(plan, {}) == plan


@SLOW
@given(st.data())
def test_the_form_in_which_the_store_kept_the_keys_changes_nothing(data):
    """A JSON column may reorder the keys of an object; the lists that are sent stay the same."""
    plan, override = data.draw(plans_and_overrides())
    seed = data.draw(st.integers())
    assert overrides.touched(plan, shuffled(override, random.Random(seed))) == overrides.touched(
        plan, override
    )


@SLOW
@given(st.data())
def test_numbers_are_kept_as_canonical_text(data):
    """Numbers that came as JSON numbers and numbers that came as text are the same terms."""
    plan_type = data.draw(st.sampled_from(PlanType))
    plan = data.draw(details(plan_type))
    override = overrides.difference(plan, data.draw(changed_details(plan_type, plan)))
    assert overrides.normalised(overrides.to_wire(plan), override) == override
    assert not [
        value
        for value in leaves(overrides.effective(overrides.to_wire(plan), override))
        if isinstance(value, Decimal)
    ]


def shuffled(value, order):
    if not isinstance(value, dict):
        return value
    names = list(value)
    order.shuffle(names)
    return {name: shuffled(value[name], order) for name in names}


def leaves(value):
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    else:
        yield value


def test_every_kind_of_card_has_the_name_that_the_wire_gives_it():
    from togai import wire

    assert {kind: rows.key for kind, rows in CARDS.items()} == dict(wire.BILLABLE)
