"""Curves: what a deal costs at many volumes, and where it becomes cheaper or dearer than its plan."""

import random
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import ceil

import pytest

from purchases.money import Money
from purchases.pricing import Crossover, curve, estimate, walks

D = Decimal
F = Fraction
MONTHLY = {"interval": "MONTHLY", "gracePeriod": 0, "anniversaryCycle": True}
FLIPPED = {"cheaper": "dearer", "equal": "equal", "dearer": "cheaper", None: None}


def rate_plan(model, *slabs, currency="EUR", **limits):
    """Slabs as (start, price type, rate) or with a package size or limits: a rate plan and its rates."""
    rows, rates = [], []
    for order, (start, price_type, rate, *more) in enumerate(slabs, start=1):
        own = dict(more[0]) if more else {}
        row = {"order": order, "startAfter": start, "priceType": price_type}
        if "packageSize" in own:
            row["slabConfig"] = {"packageSize": own.pop("packageSize")}
        rows.append(row)
        rates.append({"order": order, "rate": rate, **({"slabRateConfig": own} if own else {})})
    value = {"currency": currency, "slabRates": rates, **({"rateConfig": limits} if limits else {})}
    return {"ratePlan": {"pricingModel": model, "slabs": rows}, "rateValues": [value]}


def tiered(*slabs, **limits):
    return rate_plan("TIERED", *slabs, **limits)


def by_volume(*slabs, **limits):
    return rate_plan("VOLUME", *slabs, **limits)


def size(units):
    return {"packageSize": units}


def usage(prices, billable_id="um.x"):
    return {"usageMeterId": billable_id, "displayName": billable_id, **prices}


def fee(rate, billable_id="addon.fee", **more):
    return {
        "id": billable_id,
        "enableProration": False,
        "type": "RECURRING",
        "rateValues": [{"currency": "EUR", "rate": rate}],
        **more,
    }


def commitment(rate):
    return {"displayName": "Floor", "rateValues": [{"currency": "EUR", "rate": rate}]}


def deal(*usages, **more):
    return {"usageRateCards": list(usages), "pricingCycleConfig": MONTHLY, **more}


def beside(plan, proposal, expected="1000", **how):
    """The curve of one line, um.x, in an open-ended subscription: amounts of a cycle."""
    how = {"billable_id": "um.x", "volumes": {"um.x": D(expected)}, **how}
    return curve({"plan": plan, "proposal": proposal}, plan_type="BILLING", currency="EUR", **how)


def told(found):
    """Crossovers as (volume, before, at, after)."""
    assert (found.unknown_because, found.unsettled) == ((), ())
    return [(str(one.volume), one.before, one.at, one.after) for one in found.crossovers]


LIST = tiered(("0", "PER_UNIT", "0.2"), ("1000", "PER_UNIT", "0.15"), ("5000", "PER_UNIT", "0.1"))

HAND_MADE = {
    # 0.2 up to 1000, then 0.15: 200 + 0.15 (v - 1000) = 0.18 v at 50 = 0.03 v.
    "tiers against one rate": (
        LIST,
        tiered(("0", "PER_UNIT", "0.18")),
        [("5000/3", "cheaper", "equal", "dearer")],
    ),
    # 0.18 v against 0.2 v, from 1000 on against 0.15 v: all units jump to the lower rate past 1000.
    "the edge of a volume slab": (
        by_volume(("0", "PER_UNIT", "0.2"), ("1000", "PER_UNIT", "0.15")),
        by_volume(("0", "PER_UNIT", "0.18")),
        [("1000", "cheaper", "cheaper", "dearer")],
    ),
    # Flat 50 against 0.1 v.
    "a flat price against a rate": (
        tiered(("0", "PER_UNIT", "0.1")),
        tiered(("0", "FLAT", "50")),
        [("500", "dearer", "equal", "cheaper")],
    ),
    # 50, past 1000 another 30 (80), against 60 throughout.
    "a tiered flat slab that is entered": (
        tiered(("0", "FLAT", "60")),
        tiered(("0", "FLAT", "50"), ("1000", "FLAT", "30")),
        [("1000", "cheaper", "cheaper", "dearer")],
    ),
    # 30 past 1000 instead of 50: a jump down past 40.
    "a volume flat slab that is entered": (
        tiered(("0", "FLAT", "40")),
        by_volume(("0", "FLAT", "50"), ("1000", "FLAT", "30")),
        [("1000", "dearer", "dearer", "cheaper")],
    ),
    # Packages of 1000 for 90 against 0.1 v: in package n, 90 n = 0.1 v at 900 n, and past each full package
    # the next one is dearer again. Past 9000 the tenth makes 900, which 0.1 v has reached: cheaper for good.
    "packages against a rate": (
        tiered(("0", "PER_UNIT", "0.1")),
        tiered(("0", "PACKAGE", "90", size("1000"))),
        [
            ("900", "dearer", "equal", "cheaper"),
            *(
                crossover
                for n in range(2, 10)
                for crossover in (
                    (str(1000 * (n - 1)), "cheaper", "cheaper", "dearer"),
                    (str(900 * n), "dearer", "equal", "cheaper"),
                )
            ),
        ],
    ),
    # 0.1 v, at least 100: until 1000 the list's 0.15 v is 100 at 2000/3.
    "a minimum of the card": (
        tiered(("0", "PER_UNIT", "0.15")),
        tiered(("0", "PER_UNIT", "0.1"), minimumRate="100"),
        [("2000/3", "dearer", "equal", "cheaper")],
    ),
    # 0.3 v, at most 600, against 0.2 v: dearer until 0.2 v passes 600.
    "a maximum of the card": (
        tiered(("0", "PER_UNIT", "0.2")),
        tiered(("0", "PER_UNIT", "0.3"), maximumRate="600"),
        [("3000", "dearer", "equal", "cheaper")],
    ),
    # The first slab is 0.2 v and at most 100 (from 500), the second adds 0.2 past 1000: 100 + 0.2 (v - 1000)
    # against 0.15 v: equal at 2000/3 (0.15 v = 100) and at 2000 (0.05 v = 100).
    "a maximum of a slab": (
        tiered(("0", "PER_UNIT", "0.15")),
        tiered(("0", "PER_UNIT", "0.2", {"maximumRate": "100"}), ("1000", "PER_UNIT", "0.2")),
        [("2000/3", "dearer", "equal", "cheaper"), ("2000", "cheaper", "equal", "dearer")],
    ),
    # Both 0.2 up to 1000, then 0.1 against 0.15.
    "an equal stretch": (
        tiered(("0", "PER_UNIT", "0.2"), ("1000", "PER_UNIT", "0.15")),
        tiered(("0", "PER_UNIT", "0.2"), ("1000", "PER_UNIT", "0.1")),
        [("1000", "equal", "equal", "cheaper")],
    ),
    # 0.15 up to 1000 (150), then 0.3: 150 + 0.3 (v - 1000) = 0.2 v at 1500. Past 3000 it stays at
    # 750, which 0.2 v reaches at 3750.
    "several slabs": (
        tiered(("0", "PER_UNIT", "0.2")),
        tiered(("0", "PER_UNIT", "0.15"), ("1000", "PER_UNIT", "0.3"), ("3000", "PER_UNIT", "0")),
        [("1500", "cheaper", "equal", "dearer"), ("3750", "dearer", "equal", "cheaper")],
    ),
    "never": (LIST, tiered(("0", "PER_UNIT", "0.09")), []),
    "always equal": (LIST, LIST, []),
    # 0.1 v in packages of 1000 touches the rate at each full package and is dearer in between.
    "packages that touch the rate": (
        tiered(("0", "PER_UNIT", "0.1")),
        tiered(("0", "PACKAGE", "100", size("1000"))),
        [(str(1000 * n), "dearer", "equal", "dearer") for n in range(1, 10)],
    ),
    # The customer is paid: 0.05 for each against 100 at once.
    "a negative rate": (
        tiered(("0", "FLAT", "-100")),
        tiered(("0", "PER_UNIT", "-0.05")),
        [("2000", "dearer", "equal", "cheaper")],
    ),
    # 0.2 up to 1000 (200), then packages of 500 at 60: 260 past 1000, 320 past 1500, against 250 flat.
    "a package slab behind a rate": (
        tiered(("0", "FLAT", "250")),
        tiered(("0", "PER_UNIT", "0.2"), ("1000", "PACKAGE", "60", size("500"))),
        [("1000", "cheaper", "cheaper", "dearer")],
    ),
    # 12 a package of 100, at least 50: 48 is raised to 50 through the fourth, 60 from the fifth, against 55.
    "a minimum over packages": (
        tiered(("0", "FLAT", "55")),
        tiered(("0", "PACKAGE", "12", size("100") | {"minimumRate": "50"})),
        [("400", "cheaper", "cheaper", "dearer")],
    ),
}


@pytest.mark.parametrize(("plan", "proposal", "crossovers"), HAND_MADE.values(), ids=HAND_MADE)
def test_crossovers_are_where_a_person_finds_them(plan, proposal, crossovers):
    """G-12: hand-made slabs; a slab's last unit and a package's last unit still belong to it."""
    assert told(beside(deal(usage(plan)), deal(usage(proposal)))) == crossovers


def test_a_crossover_says_on_which_side_of_the_edge_and_whether_it_jumps():
    """G-12: "cheaper up to 1,000, dearer above", in fields."""
    edge = beside(
        deal(usage(by_volume(("0", "PER_UNIT", "0.2"), ("1000", "PER_UNIT", "0.15")))),
        deal(usage(tiered(("0", "PER_UNIT", "0.18")))),
    )
    passing = beside(deal(usage(LIST)), deal(usage(tiered(("0", "PER_UNIT", "0.18")))))
    assert [(one.exact, one.jump) for one in edge.crossovers] == [(D(1000), True)]
    assert [(one.exact, one.jump) for one in passing.crossovers] == [(None, False)]
    standings = [edge.standing_at(D(volume)) for volume in ("0", "0.01", "1000", "1000.001", "9999", "10000")]
    assert standings == [None, "cheaper", "cheaper", "dearer", "dearer", None]


def test_a_volume_in_digits_is_the_exact_one():
    def volume(digits):
        return Crossover(F(digits), "cheaper", "equal", "dearer").exact

    assert [str(volume(digits)) for digits in ("0.0125", "1500", "3/8", "1/3")] == [
        "0.0125",
        "1500",
        "0.375",
        "None",
    ]


def test_the_whole_deal_crosses_where_its_fees_are_outweighed():
    """A fee of 99 instead of 199 against 0.25 instead of 0.2: 100 less, 0.05 more for each of them."""
    plan = deal(usage(tiered(("0", "PER_UNIT", "0.2"))), fixedFeeRateCards=[fee("199")])
    proposal = deal(usage(tiered(("0", "PER_UNIT", "0.25"))), fixedFeeRateCards=[fee("99")])
    assert told(beside(plan, proposal)) == [("2000", "cheaper", "equal", "dearer")]
    assert told(beside(plan, proposal, alone=True)) == []
    assert beside(plan, proposal, alone=True).standing == "dearer"
    assert told(beside(plan, proposal, billable_id="")) == [("2", "cheaper", "equal", "dearer")]


def test_all_volumes_vary_by_one_factor_or_one_alone():
    """50 fewer at the start; with 100 of each, x costs 20 and y 10 more at the expected volumes."""
    plan = deal(usage(tiered(("0", "PER_UNIT", "1"))), usage(tiered(("0", "PER_UNIT", "1")), "um.y"))
    proposal = deal(
        usage(tiered(("0", "PER_UNIT", "1.2"))),
        usage(tiered(("0", "PER_UNIT", "1.1")), "um.y"),
        fixedFeeRateCards=[fee("-50")],
    )
    volumes = {"um.x": D(100), "um.y": D(100)}
    assert told(beside(plan, proposal, billable_id="", volumes=volumes)) == [
        ("5/3", "cheaper", "equal", "dearer")
    ]
    assert told(beside(plan, proposal, volumes=volumes)) == [("200", "cheaper", "equal", "dearer")]
    assert told(beside(plan, proposal, billable_id="um.y", volumes=volumes)) == [
        ("300", "cheaper", "equal", "dearer")
    ]


def test_a_commitment_holds_the_whole_deal_up():
    """Both sides at least 1000: equal until 0.2 v passes it, and the lower rate stays there until 10,000."""
    plan = deal(usage(tiered(("0", "PER_UNIT", "0.2"))), minimumCommitment=commitment("1000"))
    proposal = deal(usage(tiered(("0", "PER_UNIT", "0.1"))), minimumCommitment=commitment("1000"))
    found = beside(plan, proposal, "2000")
    assert (found.standing, told(found)) == ("equal", [("5000", "equal", "equal", "cheaper")])
    # Without a floor of its own the proposal is below it from the start, and 0.3 v passes 1000 at 10,000/3.
    dearer = deal(usage(tiered(("0", "PER_UNIT", "0.3"))))
    assert told(beside(plan, dearer, "2000")) == [("10000/3", "cheaper", "equal", "dearer")]


def test_a_commitment_is_looked_at_cycle_by_cycle_over_a_term():
    """
    Twelve months, a fee of 600 due in eleven of them, a floor of 1000 on the plan alone; rates 0.2 and 0.5.

    Plan: while 0.2 v < 400, 12 x 1000. Proposal: 11 x 600 + 12 x 0.5 v = 12,000 at v = 900.
    """
    late = fee("600", recurrenceConfig={"offset": 1})
    plan = deal(
        usage(tiered(("0", "PER_UNIT", "0.2"))),
        fixedFeeRateCards=[late],
        minimumCommitment=commitment("1000"),
    )
    proposal = deal(usage(tiered(("0", "PER_UNIT", "0.5"))), fixedFeeRateCards=[late])
    found = beside(
        plan, proposal, effective_from=date(2030, 1, 1), effective_until=date(2031, 1, 1), expected="1000"
    )
    assert found.per == "term"
    assert told(found) == [("900", "cheaper", "equal", "dearer")]
    # 0.1 v keeps the first month at the floor on both sides; in the others the plan passes 400 at 2000.
    half = deal(
        usage(tiered(("0", "PER_UNIT", "0.1"))),
        fixedFeeRateCards=[late],
        minimumCommitment=commitment("1000"),
    )
    assert told(
        beside(plan, half, effective_from=date(2030, 1, 1), effective_until=date(2031, 1, 1), expected="1000")
    ) == [("2000", "equal", "equal", "cheaper")]


def overage(prices, **more):
    return {"featureId": "um.x", **prices, **more}


def test_overage_stops_at_its_most_and_gathers_the_units_of_its_cycles():
    """At 0.1 each, at most 500 units: 50. With a third of it billed each quarter, 3 v units and 0.3 v."""
    rate = tiered(("0", "PER_UNIT", "0.1"))
    plan = {
        "entitlementOverageRateCards": [overage(tiered(("0", "FLAT", "40")))],
        "pricingCycleConfig": MONTHLY,
    }
    capped = {
        "entitlementOverageRateCards": [overage(rate, maxQuantity="500")],
        "pricingCycleConfig": MONTHLY,
    }
    assert told(beside(plan, capped)) == [("400", "cheaper", "equal", "dearer")]
    plan["entitlementOverageRateCards"] = [overage(tiered(("0", "FLAT", "60")))]
    assert told(beside(plan, capped)) == []
    quarterly = {
        "entitlementOverageRateCards": [overage(rate, billingConfig={"interval": 3})],
        "pricingCycleConfig": MONTHLY,
    }
    assert told(beside(plan, quarterly)) == [("200", "cheaper", "equal", "dearer")]


def test_a_license_pays_for_each_window_of_its_usage_cycle():
    """A quarter has three months: 3 x 10 v against 25 v and 100."""
    quarterly = MONTHLY | {"interval": "QUARTERLY"}

    def seats(prices, **more):
        card = {"id": "um.x", "enableProration": True, **prices, **more}
        return {"licenseRateCards": [card], "pricingCycleConfig": quarterly}

    plan = seats(tiered(("0", "PER_UNIT", "25"))) | {"fixedFeeRateCards": [fee("100")]}
    assert told(beside(plan, seats(tiered(("0", "PER_UNIT", "10")), usageCycle="MONTHLY"), "10")) == [
        ("20", "cheaper", "equal", "dearer")
    ]


def test_nothing_used_still_owes_the_minimum_of_each_window():
    """No seats are expected: 3 x 20 a quarter, against 0.2 v of usage in the plan, passed at 300."""
    quarterly = MONTHLY | {"interval": "QUARTERLY"}
    seat = {"id": "addon.seat", "enableProration": True, "usageCycle": "MONTHLY"}
    seats = [seat | tiered(("0", "PER_UNIT", "5"), minimumRate="20")]
    plan = deal(usage(tiered(("0", "PER_UNIT", "0.2")))) | {"pricingCycleConfig": quarterly}
    proposal = {"licenseRateCards": seats, "pricingCycleConfig": quarterly}
    found = beside(plan, proposal, billable_id="", volumes={"um.x": D(100), "addon.seat": D(0)})
    assert told(found) == [("3", "dearer", "equal", "cheaper")]


def test_overage_of_which_none_is_billed_costs_nothing():
    plan = {"entitlementOverageRateCards": [], "pricingCycleConfig": MONTHLY}
    flat = overage(tiered(("0", "FLAT", "40")), maxQuantity="0")
    found = beside(plan, {"entitlementOverageRateCards": [flat], "pricingCycleConfig": MONTHLY})
    assert (found.standing, told(found)) == ("equal", [])


def test_points_are_the_figures_of_estimates():
    """G-12, G-10: five points, what is expected among them; a screen's sums are the policy engine's."""
    plan = deal(usage(LIST), fixedFeeRateCards=[fee("99.005")])
    proposal = deal(usage(tiered(("0", "PER_UNIT", "0.1755"))), fixedFeeRateCards=[fee("99.005")])
    previous = deal(usage(tiered(("0", "PER_UNIT", "0.1"))))
    found = curve(
        {"plan": plan, "proposal": proposal, "previous": previous},
        plan_type="BILLING",
        currency="EUR",
        volumes={"um.x": D(1001)},
        billable_id="um.x",
    )
    rows = [(str(point.factor), str(point.volume), *figures(point)) for point in found.points]
    assert rows == [
        # 100.1 x 0.2 = 20.02, 100.1 x 0.1755 = 17.56755, 100.1 x 0.1 = 10.01; the fee is 99.01.
        ("0.1", "100.1", "119.03", "116.58", "10.01", "-2.45"),
        ("0.5", "500.5", "199.11", "186.85", "50.05", "-12.26"),
        ("1", "1001", "299.16", "274.69", "100.10", "-24.47"),
        ("2", "2002", "449.31", "450.36", "200.20", "1.05"),
        ("10", "10010", "1400.01", "1855.77", "1001.00", "455.76"),
    ]
    assert (
        found.points[2].plan.money
        == estimate(plan, plan_type="BILLING", currency="EUR", volumes={"um.x": D(1001)}).per_cycle
    )


def figures(point):
    return [
        str(money.amount)
        for money in (point.plan.money, point.proposal.money, point.previous.money, point.difference)
    ]


@pytest.mark.parametrize(
    ("currency", "amounts"), [("JPY", "2 1"), ("EUR", "1.50 1.23"), ("KWD", "1.500 1.235")]
)
def test_points_have_the_digits_of_their_currency(currency, amounts):
    """G-14: half a minor unit rounds up, once, per line."""
    plan = deal(usage(tiered(("0", "PER_UNIT", "0.15"), currency=currency)))
    proposal = deal(usage(tiered(("0", "PER_UNIT", "0.12345"), currency=currency)))
    found = curve(
        {"plan": plan, "proposal": proposal},
        plan_type="BILLING",
        currency=currency,
        volumes={"um.x": D(10)},
    )
    point = found.points[2]
    assert f"{point.plan.money.amount} {point.proposal.money.amount}" == amounts


def test_what_is_not_known_stays_unknown_with_its_reason():
    """G-16: fail closed, also in a curve."""
    whole = deal(usage(LIST), usage(LIST, "um.y"))
    found = beside(whole, whole, billable_id="")
    reason = ("um.y: No expected volume yet.",)
    assert {(point.plan.money, point.plan.unknown_because) for point in found.points} == {(None, reason)}
    assert (found.points[0].difference, found.crossovers, found.standing) == (None, (), None)
    assert (found.unknown_because, found.standing_at(D(1))) == (reason, None)
    # The card itself is known.
    alone = beside(whole, whole, alone=True)
    assert (alone.unknown_because, alone.standing, alone.points[2].plan.money) == (
        (),
        "equal",
        Money(D(200), "EUR"),
    )


def test_a_slab_that_nobody_has_reached_may_still_lack_its_package():
    """The estimate is known at 1000, the curve up to 10,000 is not."""
    draft = deal(usage(tiered(("0", "PER_UNIT", "0.1"), ("2000", "PACKAGE", "60"))))
    found = beside(draft, deal(usage(LIST)))
    assert found.unknown_because == ("The card is not complete yet.",)
    assert [point.plan.money is None for point in found.points] == [False, False, False, False, True]


def test_another_billing_cycle_has_no_crossovers():
    yearly = deal(usage(LIST)) | {"pricingCycleConfig": MONTHLY | {"interval": "ANNUALLY"}}
    found = beside(deal(usage(LIST)), yearly)
    assert found.unknown_because == ("Volumes are per billing cycle, and the cycle is not the plan's.",)


def test_a_line_without_an_expected_volume_has_no_range():
    found = beside(deal(usage(LIST)), deal(usage(LIST)), volumes={})
    assert (found.up_to, found.unknown_because) == (None, ("um.x: No expected volume yet.",))
    none = beside(deal(usage(LIST)), deal(usage(LIST)), expected="0")
    assert (none.up_to, none.standing, none.crossovers, none.unknown_because) == (D(0), None, (), ())


def test_the_range_can_be_told():
    plan, proposal = deal(usage(LIST)), deal(usage(tiered(("0", "PER_UNIT", "0.12"))))
    # 800 + 0.1 (v - 5000) = 0.12 v at 15,000.
    assert told(beside(plan, proposal)) == []
    assert told(beside(plan, proposal, up_to=D(20000))) == [("15000", "cheaper", "equal", "dearer")]


def test_negative_volumes_are_refused():
    with pytest.raises(ValueError, match="not negative"):
        beside(deal(usage(LIST)), deal(usage(LIST)), expected="-1")
    with pytest.raises(ValueError, match="not negative"):
        beside(deal(usage(LIST)), deal(usage(LIST)), factors=[D(-1)])


def test_a_plan_bought_once_has_curves_of_its_metered_cards():
    found = curve(
        {"plan": {"usageRateCards": [usage(LIST)]}, "proposal": {"usageRateCards": []}},
        plan_type="PURCHASE",
        currency="EUR",
        quantity=1,
        volumes={"um.x": D(1000)},
    )
    assert (found.per, found.standing, told(found)) == ("once", "cheaper", [])
    assert found.points[2].difference == Money(D(-200), "EUR")


def test_endless_packages_are_not_counted_one_by_one():
    """Ten million packages of one: the band around the only crossing is all that is looked at."""
    plan = deal(usage(tiered(("0", "PER_UNIT", "0.1"))), fixedFeeRateCards=[fee("300000.05")])
    proposal = deal(usage(tiered(("0", "PACKAGE", "0.2", size("1")))))
    # 0.2 n = 300,000.05 + 0.1 v: in package n from v = 2 n - 3,000,000.5, so in the one of 3,000,000.
    found = beside(plan, proposal, expected="1000000")
    # At 2,999,999 packages 599,999.8 against 599,999.95; the next is 600,000 against at least 599,999.95.
    assert told(found) == [
        ("2999999", "cheaper", "cheaper", "dearer"),
        ("5999999/2", "dearer", "equal", "cheaper"),
        ("3000000", "cheaper", "cheaper", "dearer"),
    ]


def test_too_many_crossovers_are_named_at_both_ends_only():
    """A million packages, each touching the rate: never cheaper, and the first and last ones are named."""
    found = beside(
        deal(usage(tiered(("0", "PER_UNIT", "0.1")))),
        deal(usage(tiered(("0", "PACKAGE", "0.1", size("1"))))),
        expected="100000",
    )
    (gap,) = found.unsettled
    assert (gap.possible, gap.before, gap.after) == (("equal", "dearer"), "dearer", "dearer")
    assert {(one.before, one.at, one.after) for one in found.crossovers} == {("dearer", "equal", "dearer")}
    assert [one.volume for one in found.crossovers] == [
        *range(1, int(gap.start)),
        *range(int(gap.end) + 1, 1_000_000),
    ]
    assert len(found.crossovers) < walks.STEPS_FOLLOWED
    assert (found.standing_at(gap.start + 1), found.standing_at(gap.end + 1)) == (None, "equal")


# A reading of togai.md 4.5 that knows nothing of stretches, for random deals.


def held(amount, limits):
    amount = max(amount, F(limits["minimumRate"])) if "minimumRate" in limits else amount
    return min(amount, F(limits["maximumRate"])) if "maximumRate" in limits else amount


def naive_card(card, units):
    units = min(units, F(card["maxQuantity"])) if "maxQuantity" in card else units
    slabs, value = card["ratePlan"]["slabs"], card["rateValues"][0]
    starts = [F(slab["startAfter"]) for slab in slabs]
    whole = F(0)
    for place, (slab, rate) in enumerate(zip(slabs, value["slabRates"], strict=True)):
        end = starts[place + 1] if place + 1 < len(starts) else units
        if card["ratePlan"]["pricingModel"] == "VOLUME":
            mine = units if starts[place] < units and (units <= end or place + 1 == len(starts)) else F(0)
        else:
            mine = min(units, end) - starts[place]
        if mine <= 0:
            continue
        price = F(rate["rate"])
        if slab["priceType"] == "PER_UNIT":
            price *= mine
        elif slab["priceType"] == "PACKAGE":
            price *= ceil(mine / F(slab["slabConfig"]["packageSize"]))
        whole += held(price, rate.get("slabRateConfig", {}))
    return held(whole, value.get("rateConfig", {}))


def naive_deal(details, volumes):
    """What twelve months cost, fees and floor included."""
    metered = []
    for card in [*details["usageRateCards"], *details["entitlementOverageRateCards"]]:
        every = card.get("billingConfig", {}).get("interval", 1)
        volume = volumes[card.get("usageMeterId") or card["featureId"]]
        metered.append((every, naive_card(card, volume * every)))
    floor = F(details["minimumCommitment"]["rateValues"][0]["rate"])
    amount = F(0)
    for month in range(12):
        due = sum((price for every, price in metered if month % every == 0), F(0))
        for card in details["fixedFeeRateCards"]:
            if month >= card["recurrenceConfig"]["offset"]:
                due += F(card["rateValues"][0]["rate"])
        amount += max(due, floor)
    return amount


def made_prices(dice):
    starts = ["0", *map(str, sorted(dice.sample(range(1, 60), dice.randrange(4))))]
    slabs = []
    for start in starts:
        price_type = dice.choice(["PER_UNIT", "FLAT", "PACKAGE"])
        rate = str(D(dice.randrange(-2, 30)) / 4 * (4 if price_type != "PER_UNIT" else 1))
        slabs.append((start, price_type, rate, made_limits(dice) | size(str(D(dice.randrange(1, 30)) / 2))))
    return rate_plan(dice.choice(["TIERED", "VOLUME"]), *slabs, **made_limits(dice))


def made_limits(dice):
    low, high = sorted(dice.choices(range(300), k=2))
    return {
        name: str(limit)
        for name, limit in (("minimumRate", low), ("maximumRate", high))
        if not dice.randrange(4)
    }


def made_deal(dice):
    beyond = {
        "featureId": "feature.f",
        **made_prices(dice),
        "billingConfig": {"interval": dice.choice([1, 1, 3])},
    }
    if dice.randrange(2):
        beyond["maxQuantity"] = str(dice.randrange(90))
    return deal(
        usage(made_prices(dice)),
        entitlementOverageRateCards=[beyond],
        fixedFeeRateCards=[
            fee(str(dice.randrange(200)), recurrenceConfig={"offset": dice.choice([0, 0, 2])})
        ],
        minimumCommitment=commitment(str(dice.choice([0, 0, 300, 600]))),
    )


def made_curve(plan, proposal, volumes, billable_id):
    return curve(
        {"plan": plan, "proposal": proposal},
        plan_type="BILLING",
        currency="EUR",
        volumes=volumes,
        billable_id=billable_id,
        effective_from=date(2030, 1, 1),
        effective_until=date(2031, 1, 1),
    )


@pytest.mark.parametrize("seed", range(40))
def test_the_standing_is_what_two_naive_sums_say(seed):
    """G-12: 10,000 volumes of random deals, and the neighbours of every crossover."""
    dice = random.Random(seed)
    looked_at = 0
    while looked_at < 250:
        plan, proposal = made_deal(dice), made_deal(dice)
        volumes = {"um.x": D(dice.randrange(1, 40)), "feature.f": D(dice.randrange(1, 10))}
        billable_id = dice.choice(["", "um.x", "feature.f"])
        found = made_curve(plan, proposal, volumes, billable_id)
        end = F(found.up_to)
        marks = [F(0), *(one.volume for one in found.crossovers), end]
        between = [(low + high) / 2 for low, high in pairwise(marks)]
        random_ones = [end * F(dice.randrange(1, 10**4), 10**4) for _ in range(50)]
        looked_at += len(random_ones)
        for here in (*marks[1:-1], *between, *random_ones):
            at = {
                name: here if name == billable_id else F(volume) * (1 if billable_id else here)
                for name, volume in volumes.items()
            }
            difference = naive_deal(proposal, at) - naive_deal(plan, at)
            said = found.standing_at(here)
            assert said == ("equal" if not difference else "cheaper" if difference < 0 else "dearer")
        assert found.unsettled == ()


@pytest.mark.parametrize("seed", range(30))
def test_between_two_crossovers_the_sign_never_changes(seed):
    """G-12: and at each crossover it does."""
    dice = random.Random(1000 + seed)
    plan, proposal = made_deal(dice), made_deal(dice)
    volumes = {"um.x": D(30), "feature.f": D(7)}
    found = made_curve(plan, proposal, volumes, "")

    def sign(factor):
        at = {name: F(volume) * factor for name, volume in volumes.items()}
        difference = naive_deal(proposal, at) - naive_deal(plan, at)
        return "equal" if not difference else "cheaper" if difference < 0 else "dearer"

    marks = [F(0), *(one.volume for one in found.crossovers), F(10)]
    inside = [
        {sign(low + (high - low) * F(part, 20)) for part in range(1, 20)} for low, high in pairwise(marks)
    ]
    assert inside == [{found.standing}, *({one.after} for one in found.crossovers)]
    for one in found.crossovers:
        assert sign(one.volume) == one.at
        assert not one.before == one.at == one.after


@pytest.mark.parametrize("seed", range(30))
def test_swapping_the_sides_negates_every_difference_and_flips_every_crossover(seed):
    """G-10, G-12."""
    dice = random.Random(2000 + seed)
    plan, proposal = made_deal(dice), made_deal(dice)
    volumes = {"um.x": D(30), "feature.f": D("7.5")}
    billable_id = dice.choice(["", "um.x", "feature.f"])
    one = made_curve(plan, proposal, volumes, billable_id)
    other = made_curve(proposal, plan, volumes, billable_id)
    assert [point.difference for point in other.points] == [-point.difference for point in one.points]
    assert other.crossovers == tuple(
        Crossover(
            crossover.volume,
            FLIPPED[crossover.before],
            FLIPPED[crossover.at],
            FLIPPED[crossover.after],
            crossover.jump,
        )
        for crossover in one.crossovers
    )
    assert other.standing == FLIPPED[one.standing]


@pytest.mark.parametrize("seed", range(10))
def test_following_few_steps_and_asking_first_come_to_the_same(seed, monkeypatch):
    """What lies outside of the bounds needs no look at single packages."""
    dice = random.Random(3000 + seed)
    plan, proposal = made_deal(dice), made_deal(dice)
    volumes = {"um.x": D(30), "feature.f": D("7.5")}
    monkeypatch.setattr(walks, "_FEW", 10**6)
    each = made_curve(plan, proposal, volumes, "")
    monkeypatch.setattr(walks, "_FEW", -1)
    assert made_curve(plan, proposal, volumes, "") == each


def made_rivals(dice):
    """Packages on one side that cost about what the rate on the other does."""
    rate, units = D(dice.randrange(1, 20)), D(dice.randrange(2, 12)) / 4
    beyond = {"featureId": "feature.f", **made_prices(dice)}
    by_unit = tiered(("0", "PER_UNIT", str(rate)))
    price = rate * units * D(dice.choice(["0.95", "1", "1.05"]))
    in_packages = tiered(("0", "PACKAGE", format(price, "f"), size(str(units))))
    return (deal(usage(prices), entitlementOverageRateCards=[beyond]) for prices in (by_unit, in_packages))


@pytest.mark.parametrize("steps", [0, 4, 12, 40])
def test_what_is_named_is_right_however_few_steps_are_followed(steps, monkeypatch):
    """G-12: a limit leaves crossovers out and says where; it never names a wrong one."""
    dice = random.Random(4000 + steps)
    volumes = {"um.x": D(30), "feature.f": D("7.5")}
    gaps = 0
    for _ in range(15):
        plan, proposal = made_rivals(dice)
        monkeypatch.setattr(walks, "STEPS_FOLLOWED", 10**6)
        whole = made_curve(plan, proposal, volumes, "")
        monkeypatch.setattr(walks, "STEPS_FOLLOWED", steps)
        part = made_curve(plan, proposal, volumes, "")
        gaps += len(part.unsettled)
        assert set(part.crossovers) <= set(whole.crossovers)
        for missing in set(whole.crossovers) - set(part.crossovers):
            assert any(gap.start <= missing.volume <= gap.end for gap in part.unsettled)
        edges = [edge for gap in part.unsettled for edge in (gap.start, gap.end)]
        for here in (*edges, *(F(dice.randrange(1, 1000), 100) for _ in range(100))):
            inside = [gap for gap in part.unsettled if gap.start <= here <= gap.end]
            at = whole.standing_at(here)
            assert part.standing_at(here) == (None if inside else at)
            assert at is None or all(at in gap.possible for gap in inside)
    assert gaps


def test_no_float_is_in_a_curve():
    """G-14: volumes are fractions and amounts decimals, however random the deal."""
    volumes = {"um.x": D(30), "feature.f": D("7.5")}
    dice = random.Random(7)
    found = made_curve(made_deal(dice), made_deal(dice), volumes, "")
    kinds = {type(one.volume) for one in found.crossovers}
    kinds |= {
        type(money.amount) for point in found.points for money in (point.plan.money, point.proposal.money)
    }
    assert kinds == {F, D}
