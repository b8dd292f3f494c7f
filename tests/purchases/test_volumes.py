"""A deal at other volumes: tables, drawings and crossovers as people read them."""

import re
from datetime import date
from decimal import Decimal
from itertools import pairwise

import pytest

from accounts.models import Account
from audit.roles import Role
from proposals import services
from proposals.models import Proposal
from purchases import charts
from purchases.models import PricePlan
from purchases.volumes import TABLE, volumes_page
from tests import factories as f
from tests.permissions.pages import words_of

D = Decimal
MONTHLY = {"interval": "MONTHLY", "gracePeriod": 0, "anniversaryCycle": True}


def one_rate(rate, price_type="PER_UNIT", **slab):
    return {
        "ratePlan": {
            "pricingModel": "TIERED",
            "slabs": [{"order": 1, "startAfter": "0", "priceType": price_type} | slab],
        },
        "rateValues": [{"currency": "EUR", "slabRates": [{"order": 1, "rate": rate}]}],
    }


CALLS = {"usageMeterId": "um.calls", "displayName": "Calls", **one_rate("0.1")}
SEATS = {"id": "addon.seats", "displayName": "Seats", **one_rate("9")}
FLAT_CALLS = {
    "usageRateCards": {
        "um.calls": {
            "ratePlan": {"slabs": {"1": {"priceType": "FLAT"}}},
            "rateValues": {"EUR": {"slabRates": {"1": {"rate": "1250"}}}},
        }
    }
}


def priced_at(rate, card="um.calls", kind="usageRateCards"):
    return {kind: {card: {"rateValues": {"EUR": {"slabRates": {"1": {"rate": rate}}}}}}}


def deal(override=None, volumes=None, until=None, revision=1, **details):
    """A subscription, never saved."""
    plan = PricePlan(name="Paper", type="BILLING")
    plan.details = {"pricingCycleConfig": MONTHLY, **(details or {"usageRateCards": [CALLS]})}
    return Proposal(
        account=Account(currency="EUR"),
        price_plan=plan,
        type="ASSOCIATION",
        association_override=override,
        expected_volumes=volumes,
        effective_from=date(2030, 3, 1),
        effective_until=until,
        revision=revision,
    )


def said(curve):
    return [(crossing.words, crossing.exactly) for crossing in curve.crossings]


def test_a_metered_line_is_priced_at_five_volumes_one_of_them_the_expected():
    """G-12: a tenth, half, once, twice and ten times of what is expected, in order."""
    page = volumes_page(deal(priced_at("0.08"), {"um.calls": "5000"}))
    (curve,) = page.curves
    assert len(curve.rows) >= 5
    assert [(row.factor, row.volume, row.is_expected) for row in curve.rows] == [
        ("0.1 ×", "500", False),
        ("0.5 ×", "2,500", False),
        ("1 ×", "5,000", True),
        ("2 ×", "10,000", False),
        ("10 ×", "50,000", False),
    ]
    assert [(row.money.plan, row.money.ours, row.money.difference) for row in curve.rows] == [
        (50, 40, -10),
        (250, 200, -50),
        (500, 400, -100),
        (1000, 800, -200),
        (5000, 4000, -1000),
    ]
    assert (curve.title, curve.per, curve.units) == ("Calls", "each month", "units a month")


def test_every_metered_line_has_a_table_and_the_deal_in_all_one_more():
    """G-12: each line alone, and the whole deal with all volumes rising together."""
    made = deal(
        priced_at("8", "addon.seats", "licenseRateCards"),
        {"um.calls": "5000", "addon.seats": "10"},
        until=date(2031, 3, 1),
        usageRateCards=[CALLS],
        licenseRateCards=[SEATS],
    )
    page = volumes_page(made)
    assert [(curve.title, curve.per) for curve in page.curves] == [
        ("The whole deal", "over 12 months"),
        ("Calls", "over 12 months"),
        ("Seats", "over 12 months"),
    ]
    whole = [(row.volume, row.money.plan, row.money.ours) for row in page.curves[0].rows]
    assert whole[2:4] == [("", 12 * 590, 12 * 580), ("", 12 * 1180, 12 * 1160)]
    alone = [(row.money.plan, row.money.ours) for row in page.curves[2].rows]
    assert alone[2] == (12 * 90, 12 * 80)


def test_the_crossover_is_told_exactly():
    """G-12: 0.1 a unit against 1,250 flat: equal at 12,500 units."""
    (curve,) = volumes_page(deal(FLAT_CALLS, {"um.calls": "5000"})).curves
    assert said(curve) == [
        ("From 12,500 units on the proposal is cheaper than the plan, below that dearer.", "")
    ]


def test_a_crossover_with_endless_digits_is_rounded_and_told_as_a_fraction_too():
    """G-12: 1,250 flat against 0.15 a unit: 25,000/3."""
    card = CALLS | one_rate("0.15")
    (curve,) = volumes_page(deal(FLAT_CALLS, {"um.calls": "5000"}, usageRateCards=[card])).curves
    assert said(curve) == [
        (
            "From about 8,333.33 units on the proposal is cheaper than the plan, below that dearer.",
            "25,000/3",
        )
    ]


def test_a_jump_is_told_as_one():
    """G-12: the rate falls for all units past 10,000, so at 10,000 itself nothing has changed yet."""
    by_volume = {
        "ratePlan": {
            "pricingModel": "VOLUME",
            "slabs": [
                {"order": 1, "startAfter": "0", "priceType": "PER_UNIT"},
                {"order": 2, "startAfter": "10000", "priceType": "PER_UNIT"},
            ],
        },
        "rateValues": [{"currency": "EUR", "slabRates": f.slab_rates("0.1", "0.05")}],
    }
    rates = {"1": {"rate": "0.08"}, "2": {"rate": "0.06"}}
    override = {"usageRateCards": {"um.calls": {"rateValues": {"EUR": {"slabRates": rates}}}}}
    (curve,) = volumes_page(deal(override, {"um.calls": "5000"}, usageRateCards=[CALLS | by_volume])).curves
    assert said(curve) == [
        (
            "Past 10,000 units the proposal is dearer than the plan, up to there cheaper.",
            "",
        )
    ]


def test_where_two_prices_only_touch_it_says_so():
    """G-12: packages of 1,000 for 100 touch 0.1 a unit at each full package."""
    override = {
        "usageRateCards": {
            "um.calls": {
                "ratePlan": {"slabs": {"1": {"priceType": "PACKAGE", "slabConfig": {"packageSize": "1000"}}}},
                "rateValues": {"EUR": {"slabRates": {"1": {"rate": "100"}}}},
            }
        }
    }
    (curve,) = volumes_page(deal(override, {"um.calls": "1000"})).curves
    assert said(curve)[0][0] == (
        "At 1,000 units the proposal costs what the plan costs, just below and above dearer."
    )
    assert said(curve)[-1][0] == "And 3 more changes up to 10,000 units."


def test_without_a_crossover_it_says_how_it_stands_everywhere():
    (cheaper,) = volumes_page(deal(priced_at("0.08"), {"um.calls": "5000"})).curves
    assert said(cheaper) == [
        ("At every volume up to 50,000 units the proposal is cheaper than the plan.", "")
    ]
    (same,) = volumes_page(deal(None, {"um.calls": "5000"})).curves
    assert said(same) == [("At every volume up to 50,000 units the proposal costs what the plan costs.", "")]


def test_the_whole_deal_crosses_at_a_factor_of_what_is_expected():
    """G-12: 100 more a month for a tenth less a unit: equal at 10,000 units, twice what is expected."""
    fee = f.PLATFORM_FEE
    override = priced_at("0.09") | {
        "fixedFeeRateCards": {"addon.platform": {"rateValues": {"EUR": {"rate": "599"}}}}
    }
    made = deal(override, {"um.calls": "5000"}, usageRateCards=[CALLS], fixedFeeRateCards=[fee])
    whole = volumes_page(made).curves[0]
    assert said(whole) == [
        (
            "From 2 × the expected volumes on the proposal is cheaper than the plan, below that dearer.",
            "",
        )
    ]


def test_the_revision_before_stands_beside_at_the_same_volumes():
    """G-12: plan, proposal and the previous revision."""
    before = deal(priced_at("0.09"), {"um.calls": "77"}, revision=1)
    page = volumes_page(deal(priced_at("0.08"), {"um.calls": "5000"}, revision=2), before)
    assert page.other_revision == "revision 1"
    (curve,) = page.curves
    assert [row.previous for row in curve.rows] == [45, 225, 450, 900, 4500]
    assert [line.name for line in curve.chart.lines] == ["Plan", "Proposal", "Revision 1"]


def test_a_revision_in_another_currency_is_left_out():
    """G-13: nothing stands beside what it cannot be compared with."""
    before = deal(priced_at("0.09"), {"um.calls": "77"})
    before.account = Account(currency="USD")
    assert volumes_page(deal(None, {"um.calls": "5000"}, revision=2), before).other_revision == ""


def test_a_line_without_an_expected_volume_is_asked_for():
    """G-16: unknown is said, and which number is missing; the lines that are known are compared."""
    made = deal(None, {"um.calls": "5000"}, usageRateCards=[CALLS], licenseRateCards=[SEATS])
    page = volumes_page(made)
    assert (page.missing, [curve.title for curve in page.curves]) == (("Seats",), ["Calls"])
    assert volumes_page(deal()).missing == ("Calls",)


def test_another_billing_cycle_has_amounts_but_no_crossovers():
    override = {"pricingCycleConfig": {"interval": "QUARTERLY"}}
    (curve,) = volumes_page(deal(override, {"um.calls": "5000"})).curves
    assert curve.crossings == ()
    assert curve.reasons == ("Volumes are per billing cycle, and the cycle is not the plan's.",)


@pytest.mark.parametrize(
    "changed",
    [
        {"account": None},
        {"account": Account(currency="")},
        {"price_plan": None},
        {"type": ""},
        {"type": "WALLET_TOPUP", "wallet_topup_amount": D(5)},
        {"expected_volumes": {"um.calls": "-1"}},
    ],
)
def test_a_draft_that_says_too_little_has_no_such_page(changed):
    made = deal(None, {"um.calls": "5000"})
    for name, value in changed.items():
        setattr(made, name, value)
    assert volumes_page(made) is None


def test_a_deal_that_charges_nothing_by_use_has_no_such_page():
    assert volumes_page(deal(fixedFeeRateCards=[f.PLATFORM_FEE])) is None


# --- The drawing ---


def test_a_drawing_is_drawn_through_every_point_of_its_table():
    """G-12: the same numbers as the table, from left to right, on one scale."""
    (curve,) = volumes_page(deal(FLAT_CALLS, {"um.calls": "5000"})).curves
    plan, ours = curve.chart.lines
    assert (plan.key, ours.key) == ("plan", "proposal")
    assert len(plan.dots) == len(TABLE)
    heights = [y for _, y in ours.dots]
    assert len(set(heights)) == 1
    places = [x for x, _ in plan.dots]
    assert places == sorted(places)
    assert curve.chart.left <= min(places)
    assert max(places) == curve.chart.right
    assert [words for _, words in curve.chart.across] == ["0", "5,000", "25,000", "50,000"]
    assert [(mark.key, mark.words) for mark in curve.chart.marks] == [
        ("expected", "expected"),
        ("crossover", "12,500 units"),
    ]
    assert re.fullmatch(r"M\d+ \d+(L\d+ \d+)+", plan.path)


@pytest.mark.parametrize(
    ("amounts", "steps"),
    [
        (["0", "5000"], ["0", "2000", "4000", "6000"]),
        (["0.003"], ["0.000", "0.001", "0.002", "0.003"]),
        (["-300", "100"], ["-300", "-200", "-100", "0", "100"]),
        (["0"], ["0.0", "0.5", "1.0"]),
        (["123456789.12"], ["0", "50000000", "100000000", "150000000"]),
    ],
)
def test_a_scale_has_few_round_steps_that_hold_everything(amounts, steps):
    found = charts.scale_of([D(amount) for amount in amounts])
    assert found == [D(step) for step in steps]


def test_names_at_the_ends_of_lines_never_cover_each_other():
    same = [(D(0), D(0)), (D(1), D(100))]
    drawn = charts.lines([(key, key, same) for key in "abc"], ticks=[], dots=[])
    labels = sorted(line.label_y for line in drawn.lines)
    assert all(after - before >= 14 for before, after in pairwise(labels))


def test_what_has_no_known_amount_is_not_drawn():
    assert charts.lines([("plan", "Plan", [])], ticks=[], dots=[]) is None


@pytest.mark.parametrize(
    ("amount", "words"), [("12500", "12,500"), ("1500000", "1.5 M"), ("-2E+9", "−2 bn"), ("0.002", "0.002")]
)
def test_amounts_at_a_scale_are_short(amount, words):
    assert charts.short(D(amount)) == words


# --- On the pages ---


@pytest.fixture
def ada(client, db):
    ada = f.person(Role.REP)
    client.force_login(ada)
    return ada


def subscription(ada, **fields):
    return f.draft(
        by=ada, price_plan=f.PricePlanFactory(recurring=True), type="ASSOCIATION", quantity=None, **fields
    )


CHEAPER_MESSAGES = {
    "usageRateCards": {
        "um.messages": {
            "rateValues": {"EUR": {"slabRates": {"1": {"rate": "0.015"}, "2": {"rate": "0.0175"}}}}
        }
    }
}


def test_the_editor_asks_for_other_volumes_with_what_is_typed(client, ada):
    """G-12: the same form, another part; saving nothing."""
    draft = subscription(ada, association_override=CHEAPER_MESSAGES)
    typed = {
        "type": "ASSOCIATION",
        "price_plan": draft.price_plan_id,
        "cards_of": draft.price_plan_id,
        "account": draft.account.togai_id,
        "v/um.messages": "8000",
    }
    html = client.post(f"/proposals/estimate/?deal={draft.reference}&part=volumes", typed).content.decode()
    text = words_of(html)
    assert "Past 10,000 units the proposal is dearer than the plan" in text
    assert "1 × expected 8,000 160.00 120.00 −40.00" in text
    assert " style=" not in html
    assert "<title" in html
    assert "<desc" in html
    draft.refresh_from_db()
    assert (draft.expected_volumes, draft.version) == (None, 1)


def test_without_a_script_the_page_itself_holds_them(client, ada):
    draft = subscription(ada, expected_volumes={"um.messages": "8000"})
    html = client.get(f"/proposals/{draft.reference}/edit/").content.decode()
    assert '<details class="disclosure" id="other-volumes">' in html
    assert "At every volume up to 80,000 units the proposal costs what the plan costs." in words_of(html)


def test_a_redrawn_form_does_not_work_them_out(client, ada):
    """What is folded up is asked for when it is opened."""
    draft = subscription(ada, expected_volumes={"um.messages": "8000"})
    typed = {"type": "ASSOCIATION", "price_plan": draft.price_plan_id, "version": "1", "do": "update"}
    url = f"/proposals/{draft.reference}/edit/"
    html = client.post(url, typed, headers={"HX-Request": "true"}).content.decode()
    assert "Working it out…" in html
    assert '<svg class="chart' not in html


def test_finance_sees_them_on_the_page_of_the_deal(client, ada):
    """G-12: on the proposal's own page, folded up."""
    draft = subscription(ada, expected_volumes={"um.messages": "8000"}, association_override=CHEAPER_MESSAGES)
    client.force_login(f.person(Role.FINANCE))
    text = words_of(client.get(f"/proposals/{draft.reference}/").content.decode())
    assert "At other volumes: the plan's price beside this one" in text
    assert "Past 10,000 units the proposal is dearer than the plan" in text


def test_a_revision_stands_beside_the_one_before(client, ada):
    """G-12, G-35: three columns on its page, the second one what was offered before."""
    first = f.submitted(
        by=ada,
        **f.yearly(f.NOON, expected_volumes={"um.messages": "8000"}, association_override=CHEAPER_MESSAGES),
    )
    services.recall(
        proposal_id=first.pk, by=ada, at=f.NOON, reason_code="other", reason="The customer wants it dearer."
    )
    second = services.revise(proposal_id=first.pk, by=ada, at=f.NOON)
    services.edit(
        proposal_id=second.pk,
        by=ada,
        at=f.NOON,
        version=second.version,
        fields={"association_override": None},
    )
    text = words_of(client.get(f"/proposals/{first.reference}/").content.decode())
    assert "1 × expected 8,000 1,920.00 1,920.00 0.00 1,440.00" in text


def test_a_purchase_shows_them_too(client, ada):
    """G-12: the same part on its page."""
    purchase = f.purchase_draft(
        by=ada,
        price_plan=f.PricePlanFactory(recurring=True),
        type="ASSOCIATION",
        quantity=None,
        expected_volumes={"um.messages": "8000"},
        association_override=CHEAPER_MESSAGES,
    )
    text = words_of(client.get(f"/purchases/{purchase.reference}/").content.decode())
    assert "Past 10,000 units the purchase is dearer than the plan" in text
