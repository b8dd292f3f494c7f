"""Two priced sides beside each other: what each part, line and sum differs by, to the minor unit."""

import json
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purchases import money_diff, overrides, quotes
from purchases.money import EXACT, CurrencyMismatch, Money, minor_digits
from purchases.pricing import estimate, estimate_wallet, first_invoice
from purchases.terms import PlanType
from tests.purchases.deals import changed_details, details
from tests.purchases.test_golden import DEALS, every_deal, purchase

D = Decimal
YEAR = {"effective_from": date(2030, 3, 1), "effective_until": date(2031, 2, 28)}
SIDES = ("left", "right")


def total(amounts):
    """An exact sum; the unknown makes it unknown."""
    amounts = list(amounts)
    if None in amounts:
        return None
    result = D(0)
    for amount in amounts:
        result = EXACT.add(result, amount)
    return result


def negated(amount):
    return None if amount is None else -amount


def amount_of(money):
    return None if money is None else money.amount


def check_sums(left, right):
    """Parts are their line and lines are the totals of the estimates: exactly, on both sides and between."""
    found = money_diff.between(left, right)
    for name, side in zip(SIDES, (left, right), strict=True):
        by_line = [(getattr(line.period, name), getattr(line.term, name), line) for line in found.lines]
        for period, term, line in by_line:
            if line.parts and period is not None:
                assert total(getattr(part.period, name) for part in line.parts) == period
            if line.parts and term is not None:
                assert total(getattr(part.term, name) for part in line.parts) == term
        if side.term_total is not None:
            assert total(term for _, term, _ in by_line) == side.term_total.amount
        own = {(line.kind, line.billable_id): period for period, _, line in by_line}
        for line in side.lines:
            assert own[line.kind, line.billable_id] == amount_of(line.amount)
        assert total(period for period, _, _ in by_line) == (
            None
            if None in (side.once, side.per_cycle)
            else EXACT.add(side.once.amount, side.per_cycle.amount)
        )
        invoice = first_invoice(side)
        if side.recurs and invoice:
            assert total(getattr(line.first, name) for line in found.lines) == amount_of(invoice.amount)
    check_rounding(found, left, right)
    for line in found.lines:
        comparable = [part.period.difference for part in line.parts]
        if line.parts and line.period.difference is not None:
            assert total(comparable) == line.period.difference
        if line.parts and line.term.difference is not None:
            assert total(part.term.difference for part in line.parts) == line.term.difference
    return found


def check_rounding(found, left, right):
    """What is called rounding is what rounding the exact amount half up adds: at most half a unit."""
    half = D(5).scaleb(-minor_digits(found.currency) - 1)
    for name, side in zip(SIDES, (left, right), strict=True):
        for line in found.lines:
            parts = [getattr(part, name) for part in line.parts]
            rounding = [
                cell for cell, part in zip(parts, line.parts, strict=True) if "Rounding" in part.words
            ]
            exact = total(
                cell.amount
                for cell, part in zip(parts, line.parts, strict=True)
                if cell is not None and "Rounding" not in part.words
            )
            if not parts or exact is None or not any(parts):
                continue
            added = next((cell.amount for cell in rounding if cell is not None), D(0))
            assert abs(added) <= half
            assert Money.rounded(exact, side.currency).amount == exact + added


def check_swapped(left, right):
    """G-10: swapped sides negate every difference and exchange every amount, unit and rate."""
    there, back = money_diff.between(left, right), money_diff.between(right, left)
    assert {total.words for total in there.totals} == {
        total.words if "then" not in total.words else turned(total.words) for total in back.totals
    }
    for one, other in zip(there.totals, back.totals, strict=True):
        mirrored(one.amount, other.amount)
    returned = {key: line for line in back.lines for key in [place_of(line, back)]}
    assert len(returned) == len(there.lines)
    for line in there.lines:
        other = returned[place_of(line, there)]
        mirrored(line.period, other.period)
        mirrored(line.term, other.term)
        if line.first is not None:
            mirrored(line.first, other.first)
        assert [part.place for part in line.parts] == [part.place for part in other.parts]
        for part, swapped in zip(line.parts, other.parts, strict=True):
            mirrored(part.period, swapped.period)
            mirrored(part.term, swapped.term)
            assert (part.left, part.right) == (swapped.right, swapped.left)


def turned(words):
    """ "Each month, then each year" is "Each year, then each month" from the other side."""
    head, _, rest = words.partition(" ")
    old, new = rest.split(f", then {head.lower()} ")
    return f"{head} {new}, then {head.lower()} {old}"


def place_of(line, found):
    """A card by its kind and id, and by its turn where a plan says the same twice."""
    alike = [one for one in found.lines if (one.kind, one.billable_id) == (line.kind, line.billable_id)]
    return line.kind, line.billable_id, next(turn for turn, one in enumerate(alike) if one is line)


def mirrored(one, other):
    assert one.difference == negated(other.difference)
    assert (one.left, one.right) == (other.right, other.left)
    words = {"dearer": "cheaper", "cheaper": "dearer"}
    assert words.get(one.kind, one.kind) == other.kind


# --- on paper ---


@every_deal
def test_parts_are_lines_and_lines_are_sums_in_every_deal_on_paper(deal):
    """G-10, G-14: plan beside proposal, slab by slab, is what was worked out by hand."""
    quote = quotes.quote(purchase(deal))
    found = check_sums(quote.plan, quote.proposal)
    check_swapped(quote.plan, quote.proposal)
    for name, paper in (("left", "plan"), ("right", "proposal")):
        expected = deal["expected"][paper]
        shown = {
            line.billable_id or line.kind: getattr(line.period, name)
            for line in found.lines
            if (line.change, name) not in (("added", "left"), ("removed", "right"))
        }
        assert {key: None if amount is None else f"{amount:f}" for key, amount in shown.items()} == expected[
            "lines"
        ]
        last = getattr(found.totals[-1].amount, name)
        if expected["term_total"] is not None:
            assert f"{last:f}" == expected["term_total"]


def test_the_papers_show_every_kind_of_part():
    """Slabs, their limits, the card's limit, the steps of a commitment, a fee's rate, and rounding."""
    words = {
        part.words.rstrip(" 0123456789")
        for deal in DEALS.values()
        for quote in [quotes.quote(purchase(deal))]
        for line in money_diff.between(quote.plan, quote.proposal).lines
        for part in line.parts
    }
    assert words == {
        "Rate",
        "Slab",
        "Limit of slab",
        "Limit of the card",
        "Committed",
        "Reached by the cards",
        "Rounding, once for the line",
    }


# --- generated ---


def priced_in_three(plan):
    """The same figures in euros, yen and dinars: only the rounding differs."""
    text = json.dumps(plan)
    return [(currency, json.loads(text.replace("USD", currency))) for currency in ("EUR", "JPY", "KWD")]


# Whole years, half a year, and a term without an end.
TERMS = (date(2031, 2, 28), date(2030, 9, 10), None)


@settings(max_examples=112, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_sums_are_exact_and_swapping_negates_in_all_that_can_be_agreed(data):
    """G-10, G-14: 112 deals, each in three currencies of 2, 0 and 3 digits and over three terms."""
    plan_type = data.draw(st.sampled_from(PlanType))
    plan = data.draw(details(plan_type))
    changed = data.draw(changed_details(plan_type, plan))
    metered = {card.billable_id for card in (*overrides.cards(plan), *overrides.cards(changed))}
    volumes = data.draw(
        st.fixed_dictionaries({}, optional={name: st.integers(0, 10**7) for name in sorted(metered)})
    )
    how = {
        "plan_type": plan_type,
        "quantity": data.draw(st.integers(1, 12)),
        "volumes": {name: D(volume) / 100 for name, volume in volumes.items()},
    } | YEAR
    for (currency, old), (_, new) in zip(priced_in_three(plan), priced_in_three(changed), strict=True):
        one = estimate(old, currency=currency, **how)
        for until in TERMS:
            other = estimate(new, currency=currency, **how | {"effective_until": until})
            check_sums(one, other)
            check_swapped(one, other)


# --- by hand ---


def usage(*rates, starts=("0", "1000"), model="TIERED", **limits):
    slabs = [
        {"order": order, "startAfter": start, "priceType": "PER_UNIT"}
        for order, (start, _) in enumerate(zip(starts, rates, strict=False), start=1)
    ]
    priced = [{"order": order, "rate": rate} for order, rate in enumerate(rates, start=1)]
    return {
        "usageMeterId": "um.calls",
        "displayName": "Calls",
        "ratePlan": {"pricingModel": model, "slabs": slabs},
        "rateValues": [{"currency": "EUR", "slabRates": priced, "rateConfig": limits}],
    }


def monthly(card, *, volume="1500", **more):
    plan = {"usageRateCards": [card], "pricingCycleConfig": {"interval": "MONTHLY", "gracePeriod": 1}}
    volumes = {} if volume is None else {"um.calls": D(volume)}
    return estimate(plan | more, plan_type=PlanType.BILLING, currency="EUR", volumes=volumes, **YEAR)


def fee(rate, **more):
    """A plan that bills one fee by the month, or by another cycle."""
    interval = more.pop("interval", "MONTHLY")
    days = YEAR | {name: more.pop(name) for name in ("effective_until",) if name in more}
    card = {
        "id": "addon.fee",
        "displayName": "Platform",
        "enableProration": False,
        "rateValues": [{"currency": "EUR", "rate": rate}],
    }
    plan = {
        "fixedFeeRateCards": [card | more],
        "pricingCycleConfig": {"interval": interval, "gracePeriod": 1},
    }
    return estimate(plan, plan_type=PlanType.BILLING, currency="EUR", **days)


def only_line(left, right):
    [line] = money_diff.between(left, right).lines
    return line


def test_each_slab_says_its_bounds_units_rates_and_what_it_adds():
    """G-10: slab by slab, each month and over the year."""
    line = only_line(monthly(usage("0.20", "0.10")), monthly(usage("0.20", "0.08")))
    first, second = line.parts
    assert (first.words, first.bands) == ("Slab 1", ("up to 1,000",))
    assert first.is_same
    assert (second.words, second.bands) == ("Slab 2", ("over 1,000",))
    assert (second.left.units, second.left.rate, second.left.amount) == (D(500), D("0.10"), D(50))
    assert (second.right.units, second.right.rate, second.right.amount) == (D(500), D("0.08"), D(40))
    assert (second.period.difference, second.term.difference) == (D(-10), D(-120))
    assert (line.period.difference, line.term.difference) == (D(-10), D(-120))
    assert (line.period.kind, line.period.text) == ("cheaper", "−4.0 %")


def test_a_slab_that_one_side_lacks_adds_nothing_there():
    line = only_line(monthly(usage("0.20", starts=("0",))), monthly(usage("0.20", "0.10")))
    first, second = line.parts
    assert first.bands == ("all units", "up to 1,000")
    assert (second.left, second.period.left, second.period.difference) == (None, D(0), D(50))


def test_a_card_that_one_side_lacks_costs_nothing_there():
    """G-10"""
    nothing = estimate(
        {"pricingCycleConfig": {"interval": "MONTHLY", "gracePeriod": 1}},
        plan_type=PlanType.BILLING,
        currency="EUR",
        **YEAR,
    )
    added = only_line(nothing, fee("50"))
    assert (added.change, added.period.left, added.period.difference) == ("added", D(0), D(50))
    removed = only_line(fee("50"), nothing)
    assert (removed.change, removed.term.difference) == ("removed", D(-600))


def test_limits_are_parts_of_their_own():
    line = only_line(monthly(usage("0.20", "0.10")), monthly(usage("0.20", "0.10", minimumRate="400")))
    limit = line.parts[-1]
    assert limit.words == "Limit of the card"
    assert (limit.left, limit.right.amount, limit.right.formula) == (None, D(150), "at least 400")
    assert line.period.difference == limit.period.difference == D(150)


def test_a_commitment_is_told_step_by_step():
    """What is reached beyond it is not paid back; over the term each month counts for itself."""
    card = usage("0.20", starts=("0",))

    def committed(amount):
        floor = {"displayName": "Floor", "rateValues": [{"currency": "EUR", "rate": amount}]}
        return monthly(card, minimumCommitment=floor)

    _, floor = money_diff.between(committed("400"), committed("250")).lines
    steps = [(part.words, part.period.left, part.period.right, part.term.difference) for part in floor.parts]
    assert steps == [
        ("Committed", D(400), D(250), D(-1800)),
        ("Reached by the cards", D(-300), D(-300), D(0)),
        ("Beyond the commitment, not paid back", D(0), D(50), D(600)),
    ]
    assert (floor.period.left, floor.period.right, floor.term.difference) == (D(100), D(0), D(-1200))


def test_rounding_is_said_where_it_happened():
    """G-14: once, for the line, half up; over the term as often as it is due."""
    left, right = monthly(usage("0.20"), volume="0.125"), monthly(usage("0.21"), volume="0.125")
    found = money_diff.between(left, right)
    [line] = found.lines
    slab, rounding = line.parts
    assert (slab.left.amount, slab.right.amount) == (D("0.025"), D("0.02625"))
    assert (rounding.left.amount, rounding.right.amount) == (D("0.005"), D("0.00375"))
    assert (rounding.left.term, rounding.right.term) == (D("0.06"), D("0.045"))
    assert (line.period.left, line.period.right) == (D("0.03"), D("0.03"))
    assert found.rounds
    assert not money_diff.between(fee("1"), fee("2")).rounds


def test_what_is_due_at_different_times_compares_over_the_term():
    """Three months at once are no tripling."""
    line = only_line(fee("100"), fee("270", recurrenceConfig={"interval": 3}))
    assert line.due == ("each month", "every 3 months")
    assert (line.period.difference, line.period.apart_because) == (None, "due at other times")
    assert (line.term.difference, line.move.kind, line.move.text) == (D(-120), "cheaper", "−10.0 %")
    by_quarter = money_diff.between(fee("100"), fee("270", interval="QUARTERLY"))
    assert [(one.words, one.amount.difference) for one in by_quarter.totals] == [
        ("First invoice", D(170)),
        ("Each month, then each quarter", None),
        ("Over 12 months, then over 4 quarters", D(-120)),
    ]


def test_what_is_unknown_stays_unknown_and_says_why():
    """A rate is known where its amount is not; nothing is zero for want of a volume."""
    found = money_diff.between(monthly(usage("0.20", "0.10"), volume=None), monthly(usage("0.20", "0.08")))
    [line] = found.lines
    assert (line.period.left, line.period.right, line.period.difference) == (None, D(240), None)
    assert line.unknown_because == ("No expected volume yet.",)
    assert (line.parts[1].left.rate, line.parts[1].period.left, line.parts[1].period.difference) == (
        D("0.10"),
        None,
        None,
    )
    assert "Calls: No expected volume yet." in found.reasons
    assert {total.amount.difference for total in found.totals if "Over" in total.words} == {None}


def test_a_term_without_an_end_has_no_sum_but_a_month_has():
    found = money_diff.between(fee("100", effective_until=None), fee("90", effective_until=None))
    assert not found.has_term
    assert [(one.words, one.amount.difference) for one in found.totals] == [
        ("First invoice", D(-10)),
        ("Each month", D(-10)),
    ]
    assert found.reasons == ("There is no end date: the plan runs until it is changed.",)


def test_sides_that_say_the_same_are_the_same():
    """A line changes with its own money: not with its place in a card, and not with other lines."""
    assert money_diff.between(fee("100"), fee("100")).is_same
    assert only_line(fee("100"), fee("100.00", invoiceTiming="IN_ADVANCE")).change == "same"
    assert only_line(fee("100"), fee("100", invoiceTiming="IN_ARREARS")).change == "changed"
    floor = {"displayName": "Floor", "rateValues": [{"currency": "EUR", "rate": "100"}]}
    both = [monthly(usage(rate, starts=("0",)), minimumCommitment=floor) for rate in ("0.20", "0.18")]
    assert [line.change for line in money_diff.between(*both).lines] == ["changed", "same"]
    assert not money_diff.between(fee("100"), fee("100", effective_until=date(2032, 2, 29))).is_same


def test_two_currencies_are_refused():
    """G-13: no difference, no sum, and a sentence that says so."""
    with pytest.raises(CurrencyMismatch, match="One side is in EUR, the other in JPY"):
        money_diff.between(estimate_wallet(D(1), None, "EUR"), estimate_wallet(D(1), None, "JPY"))
