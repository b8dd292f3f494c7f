"""
Whole deals that a person worked out on paper, from togai.md 4.5 alone.

Each file of `golden` holds a plan and an override in stored form, the terms, the working in words, and what
follows from it; null is "not known". Where code and paper disagree, togai.md 4.5 says who is right.
"""

import json
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from accounts.models import Account
from purchases import overrides, quotes
from purchases.cards import CARDS, DETAILS, shape_problems
from purchases.models import PricePlan, Purchase
from purchases.money import minor_digits
from purchases.pricing import curve
from purchases.terms import quantities

DEALS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "golden").glob("*.json"))
}
OVERRIDE_OF = {"ENTITLEMENT_GRANT": "purchase_plan_override", "ASSOCIATION": "association_override"}
every_deal = pytest.mark.parametrize("deal", DEALS.values(), ids=DEALS)


def purchase(deal):
    """The deal as a row; arithmetic asks nothing of the database, so it is never saved."""
    plan = None
    terms = {
        name: deal[name] for name in ("quantity", "rate_card_quantities", "expected_volumes") if name in deal
    }
    terms |= {
        name: date.fromisoformat(deal[name]) for name in ("effective_from", "effective_until") if name in deal
    }
    terms |= {
        name: Decimal(deal[name])
        for name in ("wallet_topup_amount", "wallet_purchase_amount")
        if name in deal
    }
    if deal["type"] in OVERRIDE_OF:
        plan = PricePlan(name="Paper", type="BILLING" if deal["type"] == "ASSOCIATION" else "PURCHASE")
        plan.details = deal["plan"]
        terms[OVERRIDE_OF[deal["type"]]] = deal["override"] or None
    return Purchase(account=Account(currency=deal["currency"]), price_plan=plan, type=deal["type"], **terms)


def shown(estimate):
    """An estimate as the files write it: amounts with the digits of the currency."""
    return {
        "lines": {line.billable_id or line.kind: written(line.amount, estimate) for line in estimate.lines},
        "once": written(estimate.once, estimate),
        "per_cycle": written(estimate.per_cycle, estimate),
        "term_total": written(estimate.term_total, estimate),
        "cycles": estimate.cycles,
    }


def written(money, estimate):
    if money is None:
        return None
    assert money.currency == estimate.currency
    return f"{money.amount:f}"


@every_deal
def test_a_deal_costs_what_it_costs_on_paper(deal):
    """G-10, G-14: plan and proposal, line by line, once, per cycle and over the term."""
    quote = quotes.quote(purchase(deal))
    assert shown(quote.plan) == deal["expected"]["plan"]
    assert shown(quote.proposal) == deal["expected"]["proposal"]


@every_deal
def test_a_deal_gives_away_what_it_gives_away_on_paper(deal):
    """G-16: the highest discount of a line and the blended one; what cannot be computed is unknown."""
    comparison = quotes.quote(purchase(deal)).comparison
    assert (comparison.highest_discount, comparison.blended_discount) == tuple(
        None if share is None else Fraction(share)
        for share in (deal["expected"]["highest_discount"], deal["expected"]["blended_discount"])
    )
    assert bool(comparison.unknown_because) == (deal["expected"]["blended_discount"] is None)


@pytest.mark.parametrize(
    "deal",
    [deal for deal in DEALS.values() if deal["plan"]],
    ids=[name for name in DEALS if DEALS[name]["plan"]],
)
def test_a_curve_meets_the_paper_at_what_is_expected(deal):
    """G-12: the point at the expected volumes is the deal's own figure, on both sides."""
    row = purchase(deal)
    terms = row.terms()
    found = curve(
        {"plan": deal["plan"], "proposal": overrides.effective(deal["plan"], terms.override)},
        plan_type=row.price_plan.type,
        currency=deal["currency"],
        volumes=quantities(row.expected_volumes),
        quantity=terms.quantity,
        rate_card_quantities=terms.rate_card_quantities,
        effective_from=terms.effective_from,
        effective_until=terms.effective_until,
    )
    figure = {"once": "once", "cycle": "per_cycle", "term": "term_total"}[found.per]
    expected = next(point for point in found.points if point.factor == 1)
    for name, amount in (("plan", expected.plan), ("proposal", expected.proposal)):
        assert (None if amount.money is None else f"{amount.money.amount:f}") == deal["expected"][name][
            figure
        ]


@every_deal
def test_the_paper_says_why_and_is_in_stored_form(deal):
    assert all(line.strip() for line in (deal["says"], *deal["because"]))
    changed = overrides.effective(deal["plan"], deal["override"])
    for details in (deal["plan"], changed):
        assert overrides.canonical(details) == details
        assert list(shape_problems(DETAILS, overrides.keyed(details))) == []
    assert list(shape_problems(DETAILS, deal["override"], patch=True)) == []
    assert overrides.normalised(deal["plan"], deal["override"]) == deal["override"]


def slabs_of(deal):
    """Model and price type of every slab in the plan."""
    for card in overrides.cards(deal["plan"]):
        if card.kind == "creditGrantRateCards":
            rates = card.card["rateDetails"]
            for slab in rates["currencySlabRateDetails"][0]["slabDetails"]:
                yield rates["pricingModel"], slab["priceType"]
        elif card.kind != "fixedFeeRateCards":
            for slab in card.card["ratePlan"]["slabs"]:
                yield card.card["ratePlan"]["pricingModel"], slab["priceType"]


def kinds_of(deal):
    yield from (card.kind for card in overrides.cards(deal["plan"]))
    if "minimumCommitment" in deal["plan"]:
        yield "minimumCommitment"


def test_the_papers_cover_what_can_be_agreed():
    """G-14: every model with every price type, every kind of card, and currencies of 0, 2 and 3 digits."""
    deals = DEALS.values()
    assert len(deals) >= 30
    assert {found for deal in deals for found in slabs_of(deal)} == {
        (model, price_type)
        for model in ("TIERED", "VOLUME")
        for price_type in ("PER_UNIT", "FLAT", "PACKAGE")
    }
    assert {kind for deal in deals for kind in kinds_of(deal)} == {*CARDS, "minimumCommitment"}
    assert {minor_digits(deal["currency"]) for deal in deals} == {0, 2, 3}
    assert {deal["type"] for deal in deals} == {"ENTITLEMENT_GRANT", "ASSOCIATION", "WALLET_TOPUP"}
    intervals = {deal["plan"].get("pricingCycleConfig", {}).get("interval") for deal in deals}
    assert intervals == {None, "WEEKLY", "MONTHLY", "QUARTERLY", "HALF_YEARLY", "ANNUALLY"}


@pytest.mark.parametrize("change", ["changed", "added", "removed"])
def test_the_papers_cover_every_change_of_a_card(change):
    """G-10: and a deal that changes nothing."""
    changes = {
        line.change for deal in DEALS.values() for line in quotes.quote(purchase(deal)).comparison.lines
    }
    assert {change, "same"} <= changes


def test_the_papers_cover_limits_packages_and_what_is_due_at_other_times():
    """One-time and recurring, later starts, gathered overage, seats by window, and caps."""
    everything = json.dumps([deal["plan"] for deal in DEALS.values()])
    words = [
        "minimumRate",
        "maximumRate",
        "slabRateConfig",
        "rateConfig",
        "packageSize",
        "ONE_TIME",
        "RECURRING",
    ]
    words += ["recurrenceConfig", "billingConfig", "usageCycle", "maxQuantity"]
    assert [word for word in words if f'"{word}"' not in everything] == []
