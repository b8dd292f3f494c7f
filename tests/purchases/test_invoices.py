"""The first invoice: what the customer is asked for first, and when."""

from datetime import date
from decimal import Decimal

import pytest

from purchases.money import Money
from purchases.pricing import estimate, estimate_wallet, first_invoice, start_of_cycle

D = Decimal
MONTHLY = {"interval": "MONTHLY", "gracePeriod": 0, "anniversaryCycle": True}


def fee(rate, billable_id="addon.fee", currency="EUR", **more):
    prices = [{"currency": currency, "rate": rate}]
    card = {"id": billable_id, "displayName": billable_id, "enableProration": False, "rateValues": prices}
    return {"type": "RECURRING"} | card | more


def one_rate(rate, currency="EUR", **more):
    return {
        "ratePlan": {
            "pricingModel": "TIERED",
            "slabs": [{"order": 1, "startAfter": "0", "priceType": "PER_UNIT"}],
        },
        "rateValues": [{"currency": currency, "slabRates": [{"order": 1, "rate": rate}], **more}],
    }


def usage(rate, billable_id="um.x", **more):
    return {"usageMeterId": billable_id, "displayName": billable_id, **one_rate(rate, **more)}


def seats(rate, **more):
    return {"id": "addon.seats", "displayName": "addon.seats", **one_rate(rate), **more}


def overage(rate, **more):
    return {"featureId": "feature.f", "displayName": "feature.f", **one_rate(rate), **more}


def entitlement(rate, **more):
    configs = [{"featureCreditLimit": "1000", "effectiveUntil": "P1M"}]
    card = {"featureId": "feature.f", "displayName": "feature.f", "featureConfigs": configs}
    return card | {"invoiceTiming": "IN_ADVANCE"} | one_rate(rate) | more


def floor(rate):
    return {"displayName": "Floor", "rateValues": [{"currency": "EUR", "rate": rate}]}


def first(months=12, currency="EUR", volumes=None, **cards):
    """The first invoice of a monthly subscription: after how many months, what it comes to, its lines."""
    told = {name: D(volume) for name, volume in (volumes or {}).items()}
    end = start_of_cycle("MONTHLY", date(2030, 1, 1), months) if months else None
    priced = estimate(
        {"pricingCycleConfig": MONTHLY, **cards},
        plan_type="BILLING",
        currency=currency,
        volumes=told,
        effective_from=date(2030, 1, 1),
        effective_until=end,
    )
    found = first_invoice(priced)
    if found is None:
        return None
    amount = found.amount and str(found.amount.amount)
    return found.after, amount, [charge.line.billable_id for charge in found.charges]


def test_what_is_due_in_advance_stands_on_it_and_what_is_in_arrears_does_not():
    """G-11: the fee of the first month and the one-time fee; not usage, seats in arrears, the true-up."""
    cards = {
        "fixedFeeRateCards": [
            fee("499", "addon.fee", invoiceTiming="IN_ADVANCE"),
            fee("750", "addon.setup", type="ONE_TIME"),
            fee("90", "addon.late", invoiceTiming="IN_ARREARS"),
            fee("20", "addon.closing", type="ONE_TIME", invoiceTiming="IN_ARREARS"),
        ],
        "usageRateCards": [usage("0.5")],
        "licenseRateCards": [seats("9", invoiceTiming="IN_ADVANCE")],
        "minimumCommitment": floor("5000"),
    }
    volumes = {"um.x": "100", "addon.seats": "10"}
    assert first(volumes=volumes, **cards) == (0, "1339.00", ["addon.fee", "addon.setup", "addon.seats"])


def test_usage_that_is_unknown_leaves_the_first_invoice_known():
    """G-11: it does not stand on it, so it does not matter to it."""
    cards = {"fixedFeeRateCards": [fee("499")], "usageRateCards": [usage("0.5")]}
    assert first(**cards) == (0, "499.00", ["addon.fee"])


def test_a_line_on_it_that_is_unknown_makes_it_unknown_with_its_reason():
    cards = {"fixedFeeRateCards": [fee("499")], "licenseRateCards": [seats("9")]}
    assert first(**cards) == (0, None, ["addon.fee", "addon.seats"])
    priced = estimate(
        {"pricingCycleConfig": MONTHLY, **cards},
        plan_type="BILLING",
        currency="EUR",
        effective_from=date(2030, 1, 1),
    )
    assert first_invoice(priced).reasons == ("addon.seats: No expected volume yet.",)


def test_usage_alone_is_asked_for_after_the_first_month_with_its_true_up():
    cards = {"usageRateCards": [usage("0.5")], "minimumCommitment": floor("80")}
    assert first(volumes={"um.x": "100"}, **cards) == (1, "80.00", ["um.x", ""])


def test_the_invoice_after_the_first_month_has_the_fee_of_the_second():
    """A free month: nothing at the start, then the fee in advance beside the usage of the month before."""
    cards = {
        "fixedFeeRateCards": [fee("499", recurrenceConfig={"offset": 1})],
        "usageRateCards": [usage("0.5")],
    }
    assert first(volumes={"um.x": "100"}, **cards) == (1, "549.00", ["addon.fee", "um.x"])


@pytest.mark.parametrize(
    ("timing", "recurrence", "after"),
    [
        ("IN_ADVANCE", {"offset": 3}, 3),
        ("IN_ADVANCE", {"interval": 3}, 0),
        ("IN_ADVANCE", {"interval": 3, "offset": 2}, 2),
        ("IN_ARREARS", {}, 1),
        ("IN_ARREARS", {"offset": 3}, 4),
        ("IN_ARREARS", {"interval": 3}, 3),
        ("IN_ADVANCE", {"interval": None, "offset": None}, 0),
    ],
)
def test_a_free_trial_and_its_timing_say_when_it_comes(timing, recurrence, after):
    card = fee("100", invoiceTiming=timing, recurrenceConfig=recurrence)
    assert first(fixedFeeRateCards=[card]) == (after, "100.00", ["addon.fee"])


def test_overage_of_every_third_month_comes_when_the_three_are_over():
    card = overage("0.03", billingConfig={"interval": 3})
    assert first(entitlementOverageRateCards=[card], volumes={"feature.f": "100"}) == (
        3,
        "9.00",
        ["feature.f"],
    )


def test_a_prepaid_allowance_is_asked_for_at_the_start():
    card = entitlement("0.2", invoiceTiming="PREPAID")
    assert first(billingEntitlementRateCards=[card]) == (0, "200.00", ["feature.f"])


def test_what_costs_nothing_makes_no_invoice_but_stands_on_one():
    """A fee of nothing in advance: the first money is asked for after the month."""
    cards = {"fixedFeeRateCards": [fee("0")], "usageRateCards": [usage("0.5")]}
    assert first(volumes={"um.x": "100"}, **cards) == (1, "50.00", ["addon.fee", "um.x"])
    assert first(fixedFeeRateCards=[fee("0")]) == (0, "0.00", ["addon.fee"])


def test_what_begins_after_the_term_is_never_asked_for():
    late = fee("499", recurrenceConfig={"offset": 12})
    assert first(months=12, fixedFeeRateCards=[late]) is None
    assert first(months=13, fixedFeeRateCards=[late]) == (12, "499.00", ["addon.fee"])
    assert first(months=0, fixedFeeRateCards=[late]) == (12, "499.00", ["addon.fee"])
    assert first() is None


def test_a_commitment_is_compared_with_the_month_that_is_over():
    """The fee is free in the first month, so all of the commitment is missing then."""
    card = fee("600", invoiceTiming="IN_ARREARS", recurrenceConfig={"offset": 1})
    cards = {"fixedFeeRateCards": [card], "minimumCommitment": floor("1000")}
    assert first(**cards) == (1, "1000.00", [""])


def test_a_plan_bought_once_is_asked_for_at_once():
    details = {
        "fixedFeeRateCards": [fee("750", type="ONE_TIME", invoiceTiming="IN_ARREARS")],
        "billingEntitlementRateCards": [entitlement("0.2", invoiceTiming="PREPAID")],
    }
    priced = estimate(details, plan_type="PURCHASE", currency="EUR", quantity=2)
    found = first_invoice(priced)
    assert (found.after, found.amount, found.later) == (0, Money(D(1900), "EUR"), ())
    assert found.amount == priced.term_total
    assert first_invoice(estimate({}, plan_type="PURCHASE", currency="EUR", quantity=1)) is None


def test_a_top_up_is_asked_for_at_once():
    found = first_invoice(estimate_wallet(D(500), D(450), "EUR"))
    assert (found.after, found.amount) == (0, Money(D(450), "EUR"))


@pytest.mark.parametrize(
    ("currency", "rate", "amount"),
    [
        ("JPY", "50.3005", "100"),
        ("JPY", "50.5", "102"),
        ("EUR", "50.3005", "100.60"),
        ("EUR", "50.305", "100.62"),
        ("KWD", "50.3005", "100.602"),
    ],
)
def test_it_has_the_digits_of_its_currency(currency, rate, amount):
    """G-14: two equal lines, each rounded once, half up, then added; never the sum rounded."""
    cards = [fee(rate, name, currency=currency) for name in ("addon.a", "addon.b")]
    assert first(currency=currency, fixedFeeRateCards=cards)[1] == amount


@pytest.mark.parametrize(
    ("interval", "cycles", "day"),
    [
        ("WEEKLY", 1, date(2030, 2, 7)),
        ("MONTHLY", 1, date(2030, 2, 28)),
        ("MONTHLY", 2, date(2030, 3, 31)),
        ("QUARTERLY", 1, date(2030, 4, 30)),
        ("ANNUALLY", 8000, None),
        ("WEEKLY", 10**9, None),
    ],
)
def test_a_cycle_is_over_on_the_same_day_or_the_last_one_of_a_shorter_month(interval, cycles, day):
    assert start_of_cycle(interval, date(2030, 1, 31), cycles) == day
