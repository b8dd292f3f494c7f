"""togai.md 4.5 as tests: slabs, cards, whole deals, and a deal beside its plan."""

import copy
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purchases import overrides
from purchases.money import CurrencyMismatch, Money
from purchases.pricing import (
    Slab,
    compare,
    cycles_between,
    estimate,
    estimate_wallet,
    price_card,
    price_slabs,
)
from purchases.terms import PlanType
from tests.purchases.deals import changed_details, details

D = Decimal


def per_unit(*rates):
    return tuple(
        Slab(D(start), "PER_UNIT", D(rate)) for start, rate in zip((0, 1000, 5000), rates, strict=False)
    )


def flat(*rates):
    return tuple(Slab(D(start), "FLAT", D(rate)) for start, rate in zip((0, 1000, 5000), rates, strict=False))


def package(size, rate, start=0):
    return Slab(D(start), "PACKAGE", D(rate), package_size=D(size))


UNITS = per_unit("0.20", "0.15", "0.10")
FEES = flat("50", "30", "20")
BLOCKS = (per_unit("0.20")[0], package(500, 60, start=1000))


def price(model, slabs, quantity, **limits):
    return price_slabs(model, slabs, D(quantity), **{name: D(limit) for name, limit in limits.items()}).amount


@pytest.mark.parametrize(
    ("model", "slabs", "quantity", "limits", "amount"),
    [
        ("TIERED", UNITS, "6200", {}, "920.00"),
        ("VOLUME", UNITS, "6200", {}, "620.00"),
        ("TIERED", UNITS, "1000", {}, "200.00"),
        ("VOLUME", UNITS, "1000", {}, "200.00"),
        ("TIERED", FEES, "1200", {}, "80.00"),
        ("VOLUME", FEES, "1200", {}, "30.00"),
        ("TIERED", (package(100, 12),), "950", {}, "120.00"),
        ("TIERED", BLOCKS, "2100", {}, "380.00"),
        ("VOLUME", BLOCKS, "2100", {}, "300.00"),
        ("TIERED", UNITS, "6200", {"maximum": "900"}, "900.00"),
    ],
)
def test_the_worked_table(model, slabs, quantity, limits, amount):
    """G-14: the table of togai.md 4.5, row by row."""
    assert price(model, slabs, quantity, **limits) == D(amount)


@pytest.mark.parametrize(
    ("quantity", "tiered", "volume"),
    [
        ("0", "0", "0"),
        ("0.001", "0.0002", "0.0002"),
        ("999", "199.8", "199.8"),
        ("1000", "200", "200"),
        ("1000.01", "200.0015", "150.0015"),
        ("1001", "200.15", "150.15"),
        ("4999", "799.85", "749.85"),
        ("5000", "800", "750"),
        ("5001", "800.1", "500.1"),
    ],
)
def test_a_threshold_belongs_to_the_slab_before_it(quantity, tiered, volume):
    assert price("TIERED", UNITS, quantity) == D(tiered)
    assert price("VOLUME", UNITS, quantity) == D(volume)


@pytest.mark.parametrize(
    ("quantity", "tiered", "volume"),
    [("0", "0", "0"), ("1", "50", "50"), ("1000", "50", "50"), ("1001", "80", "30"), ("5001", "100", "20")],
)
def test_a_flat_slab_is_due_once_when_it_is_entered(quantity, tiered, volume):
    assert price("TIERED", FEES, quantity) == D(tiered)
    assert price("VOLUME", FEES, quantity) == D(volume)


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [
        ("0", "0"),
        ("0.5", "12"),
        ("1", "12"),
        ("99", "12"),
        ("100", "12"),
        ("100.001", "24"),
        ("101", "24"),
        ("200", "24"),
    ],
)
def test_a_package_is_due_when_it_is_started(quantity, amount):
    assert price("TIERED", (package(100, 12),), quantity) == D(amount)


def test_a_package_may_hold_a_fraction():
    assert price("TIERED", (package("0.3", 2),), "1") == 8
    assert price("TIERED", (package("0.3", 2),), "0.9") == 6


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [("1", "10"), ("50", "10"), ("51", "10.2"), ("99", "19.8"), ("100", "20"), ("101", "20")],
)
def test_a_slab_is_held_to_its_own_limits(quantity, amount):
    slab = Slab(D(0), "PER_UNIT", D("0.2"), minimum=D(10), maximum=D(20))
    assert price("TIERED", (slab,), quantity) == D(amount)


def test_a_slab_that_is_not_entered_owes_no_minimum_but_the_card_does():
    slab = Slab(D(0), "PER_UNIT", D("0.2"), minimum=D(10))
    assert price("TIERED", (slab,), "0") == 0
    assert price("TIERED", (slab,), "0", minimum="5") == 5


def test_slabs_are_limited_before_the_card():
    slabs = (
        Slab(D(0), "PER_UNIT", D(1), maximum=D(50)),
        Slab(D(100), "PER_UNIT", D(1), minimum=D(30)),
    )
    priced = price_slabs("TIERED", slabs, D(110), maximum=D(70))
    assert [part.amount for part in priced.parts] == [50, 30]
    assert (priced.amount, priced.formula) == (
        70,
        "(100 × 1, at most 50 + 10 × 1, at least 30), at most 70",
    )


def test_negative_rates_are_legal():
    assert price("TIERED", per_unit("-0.5"), "10") == -5
    assert price("TIERED", per_unit("-0.5"), "10", minimum="-2") == -2


def test_a_negative_quantity_is_not():
    with pytest.raises(ValueError, match="not negative"):
        price("TIERED", UNITS, "-1")


def test_every_part_says_its_units_amount_and_formula():
    """G-11: each number has its formula."""
    parts = price_slabs("TIERED", (UNITS[0], package(500, 60, start=1000)), D(2100)).parts
    assert [(part.order, part.units, part.amount, part.formula) for part in parts] == [
        (1, 1000, 200, "1000 × 0.2"),
        (2, 1100, 180, "3 packages of 500 × 60"),
    ]


def test_the_longest_numbers_are_priced_exactly():
    """G-14: 15 digits each, 12 places, and nothing is lost on the way."""
    rate, quantity = D("0.123456789012"), D("999999999999.999")
    assert price("TIERED", (Slab(D(0), "PER_UNIT", rate),), str(quantity)) == Fraction(rate) * Fraction(
        quantity
    )


@st.composite
def ladders(draw, price_types=("PER_UNIT", "FLAT", "PACKAGE")):
    starts = [0, *sorted(draw(st.sets(st.integers(1, 60), max_size=5)))]
    return tuple(
        Slab(
            D(start),
            draw(st.sampled_from(price_types)),
            draw(st.decimals(-10, 10, places=4)),
            package_size=D(draw(st.integers(1, 9))),
        )
        for start in starts
    )


@settings(max_examples=300, deadline=None)
@given(ladders(["PER_UNIT"]), st.integers(0, 80))
def test_tiers_price_each_unit_at_the_rate_of_the_slab_it_falls_in(slabs, quantity):
    """Brute force: unit by unit."""
    units = range(1, quantity + 1)
    each = sum((max(slab for slab in by_start(slabs) if slab[0] < unit)[2] for unit in units), D(0))
    assert price_slabs("TIERED", slabs, D(quantity)).amount == each


@settings(max_examples=300, deadline=None)
@given(ladders(), st.integers(0, 320), st.sampled_from(["TIERED", "VOLUME"]))
def test_slabs_cost_what_a_naive_reading_of_the_rules_says(slabs, quarters, model):
    """Every model and price type against a second evaluator, at quarters of a unit, in exact fractions."""
    quantity = Fraction(quarters, 4)
    entered = [slab for slab in slabs if quantity > Fraction(slab.start_after)]
    expected = Fraction(0)
    for slab, after in zip(entered, [*entered[1:], None], strict=False):
        end = Fraction(after.start_after) if after else quantity
        units = end - Fraction(slab.start_after)
        if model == "VOLUME":
            if after:
                continue
            units = quantity
        times = {
            "PER_UNIT": units,
            "FLAT": 1,
            "PACKAGE": -(-units // Fraction(slab.package_size)),
        }[slab.price_type]
        expected += times * Fraction(slab.rate)
    assert price_slabs(model, slabs, D(quarters) / 4).amount == expected


def by_start(slabs):
    return [(slab.start_after, place, slab.rate) for place, slab in enumerate(slabs)]


# --- cards --------------------------------------------------------------------------------------------


def slabs_of(*slabs):
    return [
        {
            "order": place,
            "startAfter": start,
            "priceType": kind,
            **({"slabConfig": {"packageSize": size}} if size else {}),
        }
        for place, (start, kind, size) in enumerate(slabs, start=1)
    ]


def rates_of(currency, *rates, **more):
    slab_rates = [{"order": place, "rate": rate} for place, rate in enumerate(rates, start=1)]
    return {"currency": currency, "slabRates": slab_rates, **more}


def entitlement(limit="100", rate="1", kind="PER_UNIT", **more):
    return {
        "featureId": "feature.f",
        "displayName": "API calls",
        "featureConfigs": [{"featureCreditLimit": limit, "effectiveUntil": "P30D"}],
        "invoiceTiming": "IN_ADVANCE",
        "ratePlan": {"pricingModel": "TIERED", "slabs": slabs_of(("0", kind, ""))},
        "rateValues": [rates_of("EUR", rate)],
        **more,
    }


def fee(rate="750", billable_id="addon.fee", **more):
    return {
        "id": billable_id,
        "displayName": "Onboarding",
        "enableProration": False,
        "rateValues": [
            {"currency": "EUR", "rate": rate},
            {"currency": "JPY", "rate": rate},
            {"currency": "KWD", "rate": rate},
        ],
        **more,
    }


def credit(amount="200", rate="0", kind="FLAT", **more):
    slab = {"startAfter": "0", "priceType": kind, "rate": rate}
    return {
        "id": "addon.credit",
        "displayName": "Launch credit",
        "grantDetails": {"priority": 1, "expiryType": "NO_EXPIRY"},
        "rateDetails": {
            "pricingModel": "TIERED",
            "currencySlabRateDetails": [{"currency": "EUR", "creditAmount": amount, "slabDetails": [slab]}],
        },
        **more,
    }


def usage(*rates, starts=("0", "1000"), **more):
    return {
        "usageMeterId": "um.x",
        "displayName": "Messages",
        "ratePlan": {
            "pricingModel": "TIERED",
            "slabs": slabs_of(*((start, "PER_UNIT", "") for start in starts[: len(rates)])),
        },
        "rateValues": [rates_of("EUR", *rates)],
        **more,
    }


def seats(rate="19", **more):
    return {
        "id": "addon.seat",
        "displayName": "Seat",
        "enableProration": True,
        "ratePlan": {"pricingModel": "TIERED", "slabs": slabs_of(("0", "PER_UNIT", ""))},
        "rateValues": [rates_of("EUR", rate)],
        **more,
    }


def overage(rate="0.03", **more):
    return {
        "featureId": "feature.f",
        "displayName": "Beyond the allowance",
        "ratePlan": {"pricingModel": "TIERED", "slabs": slabs_of(("0", "PER_UNIT", ""))},
        "rateValues": [rates_of("EUR", rate)],
        **more,
    }


def floor(rate):
    return {"displayName": "Floor", "rateValues": [{"currency": "EUR", "rate": rate}]}


def line(kind, card, quantity, currency="EUR", **how):
    return price_card(
        kind, card, quantity=None if quantity is None else D(quantity), currency=currency, **how
    )


def euro(amount):
    return Money(D(amount), "EUR")


def test_the_vendors_own_sample_of_credits():
    """togai.md 4.5: limit 100, quantity 1.2, rate 1 give 120 credits for 120."""
    priced = line("billingEntitlementRateCards", entitlement(), "1.2")
    assert (priced.quantity, priced.amount) == (120, euro(120))
    assert priced.formula == "1.2 × 100 credits: 120 × 1"


def test_an_entitlement_sums_the_credits_of_its_windows():
    windows = [{"featureCreditLimit": limit, "effectiveUntil": "P1M"} for limit in ("10", "20.5")]
    priced = line("billingEntitlementRateCards", entitlement(featureConfigs=windows), "2")
    assert (priced.quantity, priced.amount) == (61, euro(61))


def test_a_fixed_fee_is_its_rate_times_the_quantity():
    assert line("fixedFeeRateCards", fee(), "2").amount == euro(1500)
    assert line("fixedFeeRateCards", fee("0.005"), "1").amount == euro("0.01")


def test_a_flat_price_of_a_credit_grant_does_not_scale():
    """togai.md 4.5 [assume]."""
    granted = line("creditGrantRateCards", credit(rate="150"), "3")
    assert (granted.amount, granted.credit) == (euro(150), euro(600))
    by_unit = line("creditGrantRateCards", credit(rate="0.9", kind="PER_UNIT"), "3")
    assert (by_unit.amount, by_unit.credit) == (euro(540), euro(600))


@pytest.mark.parametrize(
    ("kind", "card", "volume", "amount"),
    [
        ("usageRateCards", usage("0.2", "0.1"), "1500", "250"),
        ("usageRateCards", usage("0.2", "0.1"), "0", "0"),
        ("licenseRateCards", seats(), "12", "228"),
        ("entitlementOverageRateCards", overage(), "100", "3"),
        ("entitlementOverageRateCards", overage(maxQuantity="50"), "100", "1.5"),
    ],
)
def test_a_metered_card_is_priced_at_its_expected_volume(kind, card, volume, amount):
    assert line(kind, card, volume).amount == euro(amount)
    missing = line(kind, card, None)
    assert (missing.amount, missing.unknown_because) == (None, "No expected volume yet.")


@pytest.mark.parametrize(
    ("usage_cycle", "interval", "windows"),
    [
        ("MONTHLY", "QUARTERLY", 3),
        ("MONTHLY", "ANNUALLY", 12),
        ("QUARTERLY", "ANNUALLY", 4),
        ("WEEKLY", "WEEKLY", 1),
    ],
)
def test_a_usage_cycle_prices_each_window_and_sums(usage_cycle, interval, windows):
    card = seats("0.333", usageCycle=usage_cycle)
    priced = line("licenseRateCards", card, "1", plan_type=PlanType.BILLING, interval=interval)
    assert priced.amount == Money.rounded(D("0.333") * windows, "EUR")


@pytest.mark.parametrize(
    ("usage_cycle", "interval"), [("WEEKLY", "MONTHLY"), ("ANNUALLY", "MONTHLY"), ("MONTHLY", None)]
)
def test_a_usage_cycle_that_does_not_fit_is_unknown(usage_cycle, interval):
    card = seats(usageCycle=usage_cycle)
    priced = line("licenseRateCards", card, "1", plan_type=PlanType.BILLING, interval=interval)
    assert (priced.amount, priced.unknown_because.partition(" ")[0]) == (None, usage_cycle.capitalize())


def test_a_currency_without_a_price_is_unknown_and_not_zero():
    """G-13, P-08: a missing price never counts as nothing."""
    for kind, card in (
        ("fixedFeeRateCards", fee()),
        ("billingEntitlementRateCards", entitlement()),
        ("creditGrantRateCards", credit()),
        ("usageRateCards", usage("1")),
    ):
        priced = line(kind, card, "1", currency="USD")
        assert (priced.amount, priced.unknown_because) == (None, "There is no price in USD.")


@pytest.mark.parametrize(("currency", "amount"), [("JPY", "2"), ("EUR", "2.50"), ("KWD", "2.499")])
def test_a_line_has_the_digits_of_its_currency(currency, amount):
    """G-14: 0, 2 and 3 digits."""
    assert line("fixedFeeRateCards", fee("0.833"), "3", currency=currency).amount == Money(
        D(amount), currency
    )


def test_a_line_rounds_once_and_not_per_slab():
    """G-14, P-25: three parts of 0.004 are 0.01, not 0.00."""
    card = usage("0.004", "0.004", "0.004", starts=("0", "1", "2"))
    assert line("usageRateCards", card, "3").amount == euro("0.01")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda card: card["rateValues"][0]["slabRates"].pop(),
        lambda card: card["ratePlan"]["slabs"][1].update(startAfter="0"),
        lambda card: card["ratePlan"]["slabs"][1].update(priceType="PACKAGE"),
        lambda card: card.pop("ratePlan"),
        lambda card: card["rateValues"][0].pop("slabRates"),
    ],
)
def test_a_card_that_is_not_complete_yet_is_unknown(spoil):
    """G-01: a draft with half a card still opens, and its price is not invented."""
    card = copy.deepcopy(usage("0.2", "0.1"))
    spoil(card)
    priced = line("usageRateCards", card, "1500")
    assert priced.amount is None
    assert priced.unknown_because


# --- deals --------------------------------------------------------------------------------------------

GRANT = {
    "billingEntitlementRateCards": [
        entitlement(
            "50000",
            ratePlan={
                "pricingModel": "TIERED",
                "slabs": slabs_of(("0", "PER_UNIT", ""), ("20000", "PACKAGE", "1000")),
            },
            rateValues=[rates_of("EUR", "0.01", "8.5")],
        )
    ],
    "fixedFeeRateCards": [fee()],
    "creditGrantRateCards": [credit()],
}


def test_the_worked_proposal():
    """togai.md 4.5: the first proposal of 3.2 at quantity 2 comes to 2380.00 EUR."""
    deal = estimate(GRANT, plan_type=PlanType.PURCHASE, currency="EUR", quantity=2)
    assert {item.label: str(item.amount) for item in deal.lines} == {
        "API calls": "880.00 EUR",
        "Onboarding": "1500.00 EUR",
        "Launch credit": "0.00 EUR",
    }
    assert deal.term_total == deal.once == euro("2380.00")
    assert (deal.cycles, deal.interval, deal.per_cycle) == (None, None, euro(0))


def test_quantities_per_card_leave_a_card_without_one_unknown():
    deal = estimate(
        GRANT,
        plan_type="PURCHASE",
        currency="EUR",
        rate_card_quantities={"feature.f": D(2), "addon.fee": D(1)},
    )
    assert [item.unknown_because for item in deal.lines if item.amount is None] == ["No quantity yet."]
    assert (deal.once, deal.term_total) == (None, None)
    assert deal.reasons == ("Launch credit: No quantity yet.",)


MONTHLY = {"interval": "MONTHLY", "gracePeriod": 2}
SUBSCRIPTION = {
    "fixedFeeRateCards": [
        fee("99", type="RECURRING"),
        fee("500", "addon.setup", type="ONE_TIME", displayName="Setup"),
    ],
    "usageRateCards": [usage("0.2", "0.1")],
    "licenseRateCards": [seats()],
    "minimumCommitment": floor("1000"),
    "pricingCycleConfig": MONTHLY,
}
VOLUMES = {"um.x": D(1500), "addon.seat": D(10)}
YEAR = {"effective_from": date(2030, 3, 1), "effective_until": date(2031, 2, 28)}


def subscription(plan=None, volumes=VOLUMES, **when):
    return estimate(
        plan or SUBSCRIPTION, plan_type=PlanType.BILLING, currency="EUR", volumes=volumes, **(when or YEAR)
    )


def test_a_subscription_has_what_is_due_once_and_what_recurs():
    """G-11: recurring period and full term, as sums of rounded lines."""
    deal = subscription()
    assert {item.label: str(item.amount) for item in deal.lines} == {
        "Onboarding": "99.00 EUR",
        "Setup": "500.00 EUR",
        "Messages": "250.00 EUR",
        "Seat": "190.00 EUR",
        "Floor": "461.00 EUR",
    }
    assert (deal.once, deal.per_cycle, deal.cycles) == (euro(500), euro(1000), 12)
    assert deal.term_total == euro(12500)


def test_a_commitment_that_is_reached_adds_nothing():
    reached = subscription(SUBSCRIPTION | {"minimumCommitment": floor("539")})
    above = subscription(SUBSCRIPTION | {"minimumCommitment": floor("539.01")})
    assert (reached.lines[-1].amount, above.lines[-1].amount) == (euro(0), euro("0.01"))


def test_an_expected_volume_that_is_missing_makes_every_sum_unknown():
    """P-08: unknown stays unknown up to the total."""
    deal = subscription(volumes={"addon.seat": D(10)})
    assert (deal.once, deal.per_cycle, deal.term_total) == (euro(500), None, None)
    assert deal.reasons == (
        "Messages: No expected volume yet.",
        "Floor: It depends on lines that are unknown.",
    )


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ({"effective_from": date(2030, 3, 1)}, "There is no end date: the plan runs until it is changed."),
        ({"effective_until": date(2031, 3, 1)}, "There is no start date yet."),
    ],
)
def test_a_term_without_end_has_no_total(when, reason):
    deal = subscription(**when)
    assert (deal.per_cycle, deal.cycles, deal.term_total, deal.reasons) == (euro(1000), None, None, (reason,))


def test_a_card_may_be_due_in_some_cycles_only():
    plan = {
        "fixedFeeRateCards": [fee("30", type="RECURRING", recurrenceConfig={"interval": 3, "offset": 1})],
        "pricingCycleConfig": MONTHLY,
    }
    terms = {
        cycles: subscription(plan, effective_from=date(2030, 1, 1), effective_until=date(2030, 1 + cycles, 1))
        for cycles in (1, 2, 4, 5)
    }
    assert {cycles: str(deal.term_total) for cycles, deal in terms.items()} == {
        1: "0.00 EUR",
        2: "30.00 EUR",
        4: "30.00 EUR",
        5: "60.00 EUR",
    }


def test_overage_that_is_billed_every_third_cycle_gathers_the_units_of_three():
    plan = {
        "entitlementOverageRateCards": [overage("0.03", billingConfig={"interval": 3})],
        "pricingCycleConfig": MONTHLY,
    }
    deal = subscription(plan, volumes={"feature.f": D(100)})
    assert (deal.lines[0].quantity, deal.lines[0].amount, deal.term_total) == (300, euro(9), euro(36))


def test_a_commitment_is_compared_with_what_is_due_in_each_cycle():
    """A fee with a free cycle: 1000 are missing in the first, 400 in each of the other eleven."""
    plan = {
        "fixedFeeRateCards": [fee("600", type="RECURRING", recurrenceConfig={"offset": 1})],
        "minimumCommitment": floor("1000"),
        "pricingCycleConfig": MONTHLY,
    }
    deal = subscription(plan)
    assert (deal.lines[-1].amount, deal.per_cycle) == (euro(400), euro(1000))
    assert deal.term_total == euro(12000)
    assert deal.lines[-1].over(12) == euro(1000 + 11 * 400)
    lower = subscription(plan | {"minimumCommitment": floor("500")})
    assert lower.term_total == euro(500 + 11 * 600)
    assert compare(deal, lower).blended_discount == Fraction(4900, 12000)


@pytest.mark.parametrize(
    ("interval", "start", "end", "cycles"),
    [
        ("MONTHLY", date(2030, 3, 1), date(2031, 2, 28), 12),
        ("MONTHLY", date(2030, 3, 1), date(2031, 3, 1), 12),
        ("MONTHLY", date(2030, 3, 1), date(2031, 3, 2), 13),
        ("MONTHLY", date(2030, 1, 31), date(2030, 2, 28), 1),
        ("MONTHLY", date(2030, 1, 31), date(2030, 3, 1), 2),
        ("MONTHLY", date(2030, 3, 1), date(2030, 3, 2), 1),
        ("QUARTERLY", date(2030, 1, 1), date(2030, 12, 31), 4),
        ("HALF_YEARLY", date(2030, 1, 1), date(2030, 7, 2), 2),
        ("ANNUALLY", date(2032, 2, 29), date(2033, 2, 28), 1),
        ("WEEKLY", date(2030, 1, 1), date(2030, 1, 8), 1),
        ("WEEKLY", date(2030, 1, 1), date(2030, 1, 9), 2),
        ("MONTHLY", date(2030, 1, 1), date(2030, 1, 1), 0),
    ],
)
def test_a_cycle_that_is_begun_counts(interval, start, end, cycles):
    assert cycles_between(interval, start, end) == cycles


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["WEEKLY", "MONTHLY", "QUARTERLY", "HALF_YEARLY", "ANNUALLY"]),
    st.dates(date(2029, 1, 1), date(2040, 1, 1)),
    st.integers(0, 4000),
)
def test_a_longer_term_never_has_fewer_cycles(interval, start, days):
    shorter = cycles_between(interval, start, start + timedelta(days=days))
    longer = cycles_between(interval, start, start + timedelta(days=days + 1))
    assert longer - shorter in (0, 1)


def test_an_estimate_needs_a_currency():
    with pytest.raises(ValueError, match="currency"):
        estimate(GRANT, plan_type="PURCHASE", currency="", quantity=1)


# --- a deal beside its plan ---------------------------------------------------------------------------


def beside(plan, proposal, plan_type="PURCHASE", **how):
    how = {"currency": "EUR", "plan_type": plan_type} | (how or {"quantity": 1})
    return compare(estimate(plan, **how), estimate(proposal, **how))


def test_differences_are_shown_per_line_and_in_total():
    """G-10: per line and total, in money and as an exact ratio."""
    compared = beside({"fixedFeeRateCards": [fee("750")]}, {"fixedFeeRateCards": [fee("600")]}, quantity=2)
    (only,) = compared.lines
    assert (only.change, only.amounts.difference, only.amounts.ratio) == (
        "changed",
        euro(-300),
        Fraction(4, 5),
    )
    assert (compared.term_total.difference, compared.once.difference) == (euro(-300), euro(-300))
    assert compared.highest_discount == compared.blended_discount == Fraction(1, 5)


def test_the_exact_ratio_is_kept():
    """P-26: 20.04 % is not 20 %."""
    compared = beside({"fixedFeeRateCards": [fee("2500")]}, {"fixedFeeRateCards": [fee("1999")]})
    assert compared.highest_discount == Fraction(2004, 10000)


def test_added_and_removed_cards_are_named():
    plan, proposal = {"fixedFeeRateCards": [fee()]}, {"fixedFeeRateCards": [fee("5", "addon.new")]}
    compared = beside(plan, proposal)
    assert [item.billable_id for item in compared.added] == ["addon.new"]
    assert [item.billable_id for item in compared.removed] == ["addon.fee"]
    assert [item.amounts.difference for item in compared.lines] == [euro(-750), euro(5)]


def test_the_highest_discount_and_the_blended_one_are_two_numbers():
    """G-16: a small line given away in full and a large one at list price."""
    plan = {"fixedFeeRateCards": [fee("900"), fee("100", "addon.small")]}
    proposal = {"fixedFeeRateCards": [fee("900"), fee("0", "addon.small")]}
    compared = beside(plan, proposal)
    assert (compared.highest_discount, compared.blended_discount) == (1, Fraction(1, 10))


@pytest.mark.parametrize(
    ("rate", "discount"), [("0", Fraction(1)), ("-75", Fraction(11, 10)), ("1500", Fraction(-1))]
)
def test_a_free_line_is_a_whole_discount_and_a_negative_one_is_more(rate, discount):
    """G-16: a free or negative line is 100 % or more; a surcharge is a negative discount."""
    compared = beside({"fixedFeeRateCards": [fee("750")]}, {"fixedFeeRateCards": [fee(rate)]})
    assert compared.highest_discount == discount


def test_leaving_a_fee_out_is_giving_it_away():
    plan = {"fixedFeeRateCards": [fee("900"), fee("100", "addon.small")]}
    compared = beside(plan, {"fixedFeeRateCards": [fee("900")]})
    assert (compared.highest_discount, compared.blended_discount) == (1, Fraction(1, 10))


def test_leaving_a_grant_out_gives_nothing_away():
    plan = {"fixedFeeRateCards": [fee("900")], "billingEntitlementRateCards": [entitlement()]}
    compared = beside(plan, {"fixedFeeRateCards": [fee("900")]})
    assert (compared.highest_discount, compared.blended_discount) == (0, 0)


@pytest.mark.parametrize(
    ("plan", "proposal", "discount"),
    [
        # The same rates for more credits: no discount. Half the rate: half.
        (entitlement("100", "1"), entitlement("200", "1"), 0),
        (entitlement("100", "1"), entitlement("200", "0.5"), Fraction(1, 2)),
        # A flat price does not grow, so more credits for it are a discount.
        (entitlement("100", "50", "FLAT"), entitlement("1000", "50", "FLAT"), Fraction(9, 10)),
        (entitlement("100", "50", "FLAT"), entitlement("50", "50", "FLAT"), 0),
        # More of what is free has no price to compare with.
        (entitlement("100", "0", "FLAT"), entitlement("200", "0", "FLAT"), None),
        (entitlement("100", "0", "FLAT"), entitlement("100", "0", "FLAT"), 0),
    ],
)
def test_a_discount_is_measured_against_the_list_price_of_as_much(plan, proposal, discount):
    """P-06: no discount hides in the size of a grant."""
    compared = beside({"billingEntitlementRateCards": [plan]}, {"billingEntitlementRateCards": [proposal]})
    assert (compared.highest_discount, compared.blended_discount) == (discount, discount)


def test_more_credit_for_nothing_is_unknown():
    """P-06, P-08: twice the launch credit at price 0 is no zero discount."""
    compared = beside({"creditGrantRateCards": [credit("200")]}, {"creditGrantRateCards": [credit("400")]})
    assert compared.highest_discount is None
    assert compared.unknown_because == ("Launch credit: More is granted than the plan has a price for.",)


def test_a_grant_that_the_plan_does_not_have_has_no_list_price():
    """P-08: a missing base price counts as over every limit."""
    plan = {"fixedFeeRateCards": [fee()]}
    compared = beside(plan, plan | {"creditGrantRateCards": [credit()]})
    assert (compared.highest_discount, compared.blended_discount) == (None, None)


def test_a_fee_that_the_plan_does_not_have_is_no_discount_unless_it_pays_the_customer():
    plan = {"fixedFeeRateCards": [fee("900")]}
    dearer = beside(plan, {"fixedFeeRateCards": [fee("900"), fee("100", "addon.new")]})
    paying = beside(plan, {"fixedFeeRateCards": [fee("900"), fee("-100", "addon.new")]})
    assert (dearer.highest_discount, dearer.blended_discount) == (0, Fraction(-1, 9))
    assert paying.highest_discount is None


def with_fee(plan, **change):
    return plan | {"fixedFeeRateCards": [fee(**change), *plan["fixedFeeRateCards"][1:]]}


def test_a_subscription_is_compared_over_its_term():
    cheaper = with_fee(SUBSCRIPTION, rate="49.5", type="RECURRING")
    compared = compare(subscription(), subscription(cheaper))
    assert compared.highest_discount == Fraction(1, 2)
    # The commitment takes the discount back: the customer pays the floor either way.
    assert compared.blended_discount == 0
    assert compared.per_cycle.difference == compared.term_total.difference == euro(0)


def test_a_lower_commitment_is_a_discount_on_the_commitment():
    """The true-up line falls when other prices rise; that alone is no discount."""
    lower = compare(subscription(), subscription(SUBSCRIPTION | {"minimumCommitment": floor("600")}))
    assert lower.highest_discount == Fraction(2, 5)
    dearer = compare(subscription(), subscription(with_fee(SUBSCRIPTION, rate="199", type="RECURRING")))
    assert dearer.lines[-1].discount == 0
    assert dearer.highest_discount == 0


def test_charging_once_what_recurs_is_a_discount_over_the_term():
    once = with_fee(SUBSCRIPTION, rate="99", type="ONE_TIME")
    compared = compare(subscription(), subscription(once))
    (line_of_fee,) = [item for item in compared.lines if item.billable_id == "addon.fee"]
    assert line_of_fee.discount == Fraction(11, 12)
    assert line_of_fee.amounts.difference is None


@pytest.mark.parametrize(("offset", "discount"), [(3, Fraction(1, 4)), (12, Fraction(1)), (100, Fraction(1))])
def test_free_cycles_at_the_start_are_a_discount(offset, discount):
    free = with_fee(SUBSCRIPTION, rate="99", type="RECURRING", recurrenceConfig={"offset": offset})
    plan = {name: value for name, value in SUBSCRIPTION.items() if name != "minimumCommitment"}
    free.pop("minimumCommitment")
    compared = compare(subscription(plan), subscription(free))
    assert max(item.discount for item in compared.lines) == discount


def test_a_term_without_end_is_compared_over_two_years():
    plan = {name: value for name, value in SUBSCRIPTION.items() if name != "minimumCommitment"}
    free = with_fee(plan, rate="99", type="RECURRING", recurrenceConfig={"offset": 6})
    open_ended = {"effective_from": date(2030, 3, 1)}
    compared = compare(subscription(plan, **open_ended), subscription(free, **open_ended))
    assert compared.highest_discount == Fraction(1, 4)
    assert compared.term_total.difference is None


def test_another_billing_cycle_makes_usage_incomparable_but_not_fees():
    yearly = SUBSCRIPTION | {"pricingCycleConfig": {"interval": "ANNUALLY", "gracePeriod": 2}}
    compared = compare(subscription(), subscription(yearly))
    by_id = {item.billable_id: item.discount for item in compared.lines}
    assert by_id["um.x"] is None
    assert by_id["addon.fee"] == Fraction(11, 12)


def test_an_unknown_line_makes_the_discount_unknown():
    """G-16: uncomputable is unknown, so that it routes to finance."""
    compared = compare(subscription(volumes={}), subscription(volumes={}))
    assert (compared.highest_discount, compared.blended_discount) == (None, None)
    assert "Messages: No expected volume yet." in compared.unknown_because


@pytest.mark.parametrize(
    ("paid", "discount"),
    [(None, 0), ("500", 0), ("450", Fraction(1, 10)), ("0", Fraction(1)), ("550", Fraction(-1, 10))],
)
def test_a_topup_above_what_is_paid_is_a_discount(paid, discount):
    """P-06: 1 − paid / top-up."""
    topup, purchase = D(500), None if paid is None else D(paid)
    deal = estimate_wallet(topup, purchase, "EUR")
    assert deal.term_total == euro(paid or 500)
    assert compare(estimate_wallet(topup, None, "EUR"), deal).highest_discount == discount


def test_a_month_is_never_subtracted_from_a_quarter():
    """G-10: both amounts are told, and no difference between spans of different length."""
    quarterly = SUBSCRIPTION | {
        "pricingCycleConfig": SUBSCRIPTION["pricingCycleConfig"] | {"interval": "QUARTERLY"}
    }
    compared = compare(subscription(), subscription(quarterly))
    fee_line = next(line for line in compared.lines if line.kind == "fixedFeeRateCards")
    for side in (compared.per_cycle, fee_line.amounts):
        assert side.plan is not None
        assert side.proposal is not None
        assert (side.difference, side.ratio) == (None, None)
    assert compared.term_total.difference is not None


def test_two_currencies_are_never_compared():
    """G-13."""
    with pytest.raises(CurrencyMismatch):
        compare(estimate_wallet(D(1), None, "EUR"), estimate_wallet(D(1), None, "USD"))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_swapping_the_sides_negates_every_difference(data):
    """G-10: what one side saves is what the other costs; and every total is the sum of its lines."""
    plan_type = data.draw(st.sampled_from(PlanType))
    plan = data.draw(details(plan_type))
    changed = data.draw(changed_details(plan_type, plan))
    volumes = {card.billable_id: D(data.draw(st.integers(0, 10**5))) for card in overrides.cards(plan)}
    how = {"plan_type": plan_type, "currency": "EUR", "quantity": 3, "volumes": volumes, **YEAR}
    one, other = estimate(plan, **how), estimate(changed, **how)
    there, back = compare(one, other), compare(other, one)
    returned = {(item.kind, item.billable_id): item for item in back.lines}
    assert len(returned) == len(there.lines)
    for item in there.lines:
        assert negated(item.amounts) == returned[item.kind, item.billable_id].amounts.difference
    for name in ("once", "per_cycle", "term_total"):
        assert negated(getattr(there, name)) == getattr(back, name).difference
    for deal in (one, other):
        for total, per in ((deal.once, "once"), (deal.per_cycle, "cycle")):
            amounts = [item.amount for item in deal.lines if item.per == per]
            assert total == (
                None if None in amounts else Money(sum((a.amount for a in amounts), D(0)), "EUR")
            )


def negated(side):
    return None if side.difference is None else -side.difference


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_deal_that_changes_nothing_gives_nothing_away(data):
    plan_type = data.draw(st.sampled_from(PlanType))
    plan = data.draw(details(plan_type))
    volumes = {card.billable_id: D(100) for card in overrides.cards(plan)}
    deal = estimate(plan, plan_type=plan_type, currency="EUR", quantity=2, volumes=volumes, **YEAR)
    compared = compare(
        deal,
        estimate(
            overrides.effective(plan, {}),
            plan_type=plan_type,
            currency="EUR",
            quantity=2,
            volumes=volumes,
            **YEAR,
        ),
    )
    assert {item.change for item in compared.lines} <= {"same"}
    assert all(item.discount in (0, None) for item in compared.lines)
    assert compared.highest_discount in (0, None)


def test_a_line_is_due_as_often_as_its_recurrence_says():
    recurring = replace(line("fixedFeeRateCards", fee(), "1", plan_type=PlanType.BILLING), every=2, offset=1)
    assert [recurring.charges(cycles) for cycles in range(6)] == [0, 0, 1, 1, 2, 2]
    assert replace(recurring, per="once").charges(0) == 1
