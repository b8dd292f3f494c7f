"""How the figures of a deal come about, in words, and the panel of the editor that shows them."""

import re
from datetime import date
from decimal import Decimal
from html import unescape

import pytest

from accounts.models import Account
from audit.roles import Role
from purchases import figures, quotes
from purchases.models import PricePlan, Purchase
from purchases.workings import workings
from tests import factories as f

pytestmark = pytest.mark.django_db

MESSAGES, FEE = f.MESSAGES, f.PLATFORM_FEE
MONTHLY = {"interval": "MONTHLY", "gracePeriod": 0, "anniversaryCycle": True}


def deal(currency="EUR", override=None, volumes=None, until=date(2031, 3, 1), mode=None, **details):
    """A subscription from March on, never saved."""
    plan = PricePlan(name="Paper", type="BILLING")
    plan.details = {"pricingCycleConfig": MONTHLY, **details}
    made = Purchase(
        account=Account(currency=currency),
        price_plan=plan,
        type="ASSOCIATION",
        association_override=override,
        expected_volumes=volumes,
        effective_from=date(2030, 3, 1),
        effective_until=until,
    )
    if mode is not None:
        made.payment_mode = mode
    return made


def grant(mode=None, **fields):
    plan = PricePlan(name="Paper", type="PURCHASE")
    plan.details = {
        "fixedFeeRateCards": [f.ONBOARDING],
        "billingEntitlementRateCards": [f.API_CALLS],
    }
    made = Purchase(
        account=Account(currency="EUR"), price_plan=plan, type="ENTITLEMENT_GRANT", quantity=2, **fields
    )
    if mode is not None:
        made.payment_mode = mode
    return made


def worked(made):
    return workings(made, quotes.quote(made))


def told(figure):
    """A figure as (label, amount, note)."""
    amount = figure.money.ours
    return figure.money.words, None if amount is None else str(amount), figure.note


def both(**more):
    return {"usageRateCards": [MESSAGES], "fixedFeeRateCards": [FEE], **more}


def test_the_three_figures_of_a_subscription():
    """G-11: 499 at the start; 499 + 12,000 × 0.015 each month; twelve times that over the term."""
    first, cycle, term = worked(deal(volumes={"um.messages": "12000"}, **both())).figures
    assert told(first) == ("First invoice", "499.00", "on 1 Mar 2030, when it starts")
    assert told(cycle) == ("Each month", "679.00", "")
    assert told(term) == ("Full term", "8148.00", "12 months")
    assert [part.working for part in first.parts] == ["499"]
    assert [part.working for part in cycle.parts] == ["499", "12,000 × 0.015 = 180.00"]
    assert [part.working for part in term.parts] == ["12 × 499.00 = 5,988.00", "12 × 180.00 = 2,160.00"]


def test_a_figure_is_the_sum_of_its_parts():
    """G-14: to the minor unit, as every line is rounded once."""
    made = deal(volumes={"um.messages": "333.33"}, **both())
    for figure in worked(made).figures:
        assert sum(part.amount for part in figure.parts) == figure.money.ours


def test_tiers_are_written_out_and_rounding_is_said():
    """G-11, G-14: the formula of every slab, and what was rounded half up."""
    tiers = {
        "usageMeterId": "um.calls",
        "displayName": "Calls",
        "ratePlan": {
            "pricingModel": "TIERED",
            "slabs": [
                {"order": 1, "startAfter": "0", "priceType": "PER_UNIT"},
                {"order": 2, "startAfter": "1000", "priceType": "PER_UNIT"},
            ],
        },
        "rateValues": [{"currency": "EUR", "slabRates": f.slab_rates("0.20", "0.15")}],
    }
    _, cycle, _ = worked(deal(volumes={"um.calls": "5000.1"}, usageRateCards=[tiers])).figures
    assert [part.working for part in cycle.parts] == [
        "1,000 × 0.2 + 4,000.1 × 0.15 = 800.015, rounded half up to 800.02"
    ]


@pytest.mark.parametrize(
    ("currency", "amount", "working"),
    [
        ("JPY", "101", "100.5, rounded half up to 101"),
        ("EUR", "100.50", "100.5"),
        ("KWD", "100.500", "100.5"),
    ],
)
def test_figures_have_the_digits_of_their_currency(currency, amount, working):
    """G-14: 0, 2 and 3 digits."""
    card = FEE | {"rateValues": [{"currency": currency, "rate": "100.5"}]}
    _, cycle, _ = worked(deal(currency, fixedFeeRateCards=[card])).figures
    assert figures.amount(cycle.money.ours, currency) == amount
    assert cycle.parts[0].working == working


def test_a_changed_line_says_what_the_plan_says():
    """G-10, G-11: the plan's figure, the difference, and the plan's own formula."""
    override = {"fixedFeeRateCards": {"addon.platform": {"rateValues": {"EUR": {"rate": "450"}}}}}
    made = deal(override=override, volumes={"um.messages": "100"}, **both())
    first, cycle, term = worked(made).figures
    assert (first.money.plan, first.money.ours, first.money.difference) == (499, 450, -49)
    assert [(part.working, part.plan) for part in cycle.parts] == [
        ("450", "plan: 499"),
        ("100 × 0.02 = 2.00", ""),
    ]
    assert term.parts[0].plan == "plan: 12 × 499.00 = 5,988.00"
    assert term.money.difference == -588


def test_a_card_of_the_deal_alone_is_not_in_the_plan():
    override = {"fixedFeeRateCards": {"addon.care": {"type": "RECURRING", "enableProration": False}}}
    override["fixedFeeRateCards"]["addon.care"]["rateValues"] = {"EUR": {"rate": "20"}}
    _, cycle, _ = worked(deal(override=override, fixedFeeRateCards=[FEE])).figures
    assert [(part.label, part.plan) for part in cycle.parts] == [
        ("Platform fee", ""),
        ("addon.care", "not in the plan"),
    ]


def test_a_free_month_moves_the_first_invoice_and_its_plan_stands_beside():
    """G-11: the plan's first invoice comes at another time, so there is no difference."""
    override = {"fixedFeeRateCards": {"addon.platform": {"recurrenceConfig": {"offset": 1}}}}
    first, cycle, term = worked(deal(override=override, fixedFeeRateCards=[FEE])).figures
    assert told(first) == (
        "First invoice",
        "499.00",
        "after the first month, about 1 Apr 2030; nothing is due at the start",
    )
    assert (first.plan_note, first.money.difference) == ("499.00 at the start", None)
    assert cycle.note == "A month in which everything is due; some lines are not due in each."
    assert [part.working for part in term.parts] == ["11 × 499.00 = 5,489.00"]


def test_a_commitment_that_is_not_the_same_in_each_month_is_written_out():
    late = FEE | {"recurrenceConfig": {"offset": 1}}
    commitment = {"displayName": "Floor", "rateValues": [{"currency": "EUR", "rate": "1000"}]}
    made = deal(fixedFeeRateCards=[late], minimumCommitment=commitment)
    first, _, term = worked(made).figures
    assert told(first)[1:] == (
        "1499.00",
        "after the first month, about 1 Apr 2030; nothing is due at the start",
    )
    assert [part.working for part in first.parts] == [
        "499",
        "what is missing to 1,000 in that cycle: 1,000.00",
    ]
    assert term.parts[1].working == "1 × 1,000.00 + 11 × 501.00 = 6,511.00"


def test_a_term_without_an_end_has_no_total_and_says_why():
    _, cycle, term = worked(deal(until=None, fixedFeeRateCards=[FEE])).figures
    assert told(term) == ("Full term", None, "There is no end date: the plan runs until it is changed.")
    assert not term.is_none
    assert told(cycle) == ("Each month", "499.00", "")


def test_what_is_bought_once_recurs_not():
    """G-11: the first invoice is all there is."""
    first, cycle, term = worked(grant()).figures
    assert told(first) == ("First invoice", "1850.00", "once it is released")
    assert (cycle.is_none, cycle.note) == (True, "It is bought once: nothing recurs.")
    assert told(term) == ("In all", "1850.00", "once")
    assert [part.working for part in term.parts] == [
        "2 × 750 = 1,500.00",
        "2 × 1,000 credits: 1,000 × 0.2 + 1,000 × 0.15 = 350.00",
    ]


@pytest.mark.parametrize(
    ("made", "note"),
    [
        (grant("PREPAID"), "as an order: it takes effect once that is paid"),
        (grant("POSTPAID"), "once it is approved"),
        (grant(""), "once it is approved"),
        (deal(mode="PREPAID", fixedFeeRateCards=[FEE]), "as an order, before it starts on 1 Mar 2030"),
        (deal(mode="POSTPAID", fixedFeeRateCards=[FEE]), "on 1 Mar 2030, when it starts"),
    ],
)
def test_when_the_first_invoice_comes_hangs_on_the_payment_mode(made, note):
    """G-11: prepaid raises an order first."""
    assert worked(made).figures[0].note == note


def test_usage_without_a_volume_leaves_only_the_first_invoice_known():
    first, cycle, term = worked(deal(**both())).figures
    assert told(first)[1] == "499.00"
    assert (told(cycle)[1], told(term)[1]) == (None, None)
    assert cycle.reasons == term.reasons == ("Messages: No expected volume yet.",)
    unknown = cycle.parts[1]
    assert (unknown.amount, unknown.working, unknown.unknown_because) == (None, "", "No expected volume yet.")


@pytest.mark.parametrize(
    ("rate", "highest", "blended"),
    [
        ("499", "0.0 %", "0.0 %"),
        ("399.2", "20.0 %", "14.7 %"),
        ("399", "20.04 %", "14.7 %"),
        ("0", "100.0 %", "73.49 %"),
        ("-499", "200.0 %", "146.98 %"),
        ("598.8", "0.0 %", "14.7 % above the list"),
    ],
)
def test_both_discounts_are_shown_and_neither_hides_behind_its_rounding(rate, highest, blended):
    """G-16, P-26: the highest of a line and the blended one; free is 100 %, negative more."""
    override = {"fixedFeeRateCards": {"addon.platform": {"rateValues": {"EUR": {"rate": rate}}}}}
    found = worked(deal(override=override, volumes={"um.messages": "12000"}, **both()))
    assert (found.highest, found.blended) == (highest, blended)
    assert found.highest_on == ("Platform fee" if highest != "0.0 %" else "")


def test_a_discount_that_cannot_be_worked_out_is_unknown():
    """G-16: unknown, with its reason; never zero."""
    override = {"fixedFeeRateCards": {"addon.platform": {"rateValues": {"EUR": {"rate": "450"}}}}}
    found = worked(deal(override=override, **both()))
    assert (found.highest, found.blended) == (None, None)
    assert found.reasons == ("Messages: No expected volume yet.",)


def test_a_top_up_has_figures_too():
    made = Purchase(
        account=Account(currency="EUR"),
        type="WALLET_TOPUP",
        wallet_topup_amount=Decimal(500),
        wallet_purchase_amount=Decimal(450),
    )
    found = worked(made)
    assert [figure.money.ours for figure in found.figures] == [450, None, 450]
    assert (found.highest, found.blended) == ("10.0 %", "10.0 %")


def test_nothing_is_worked_out_before_there_is_an_account_and_a_plan():
    assert workings(Purchase(), None) is None


# --- The panel ---


@pytest.fixture
def ada(client):
    ada = f.person(Role.REP)
    client.force_login(ada)
    return ada


def panel(client, draft, **typed):
    """The panel of the editor after something was typed, as text and as HTML."""
    given = {"type": draft.type, "price_plan": draft.price_plan_id, "account": draft.account.togai_id}
    given |= {"cards_of": draft.price_plan_id, "version": draft.version}
    url = f"/proposals/estimate/?deal={draft.reference}"
    html = client.post(url, given | typed, headers={"HX-Request": "true"}).content.decode()
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split()), html


def subscription(ada, **fields):
    plan = f.PricePlanFactory(recurring=True)
    return f.draft(by=ada, price_plan=plan, type="ASSOCIATION", quantity=None, **fields)


def test_the_panel_shows_three_figures_that_open_their_formulas(client, ada):
    """G-11: first invoice, each month, full term; each unfolds without a script."""
    draft = subscription(ada)
    dates = {"effective_from": "2030-03-01", "effective_until": "2031-03-01"}
    text, html = panel(client, draft, **{"v/um.messages": "12000"}, **dates)
    for words in (
        "First invoice 499.00 EUR on 1 Mar 2030, when it starts plan: 499.00, the same",
        "Each month 679.00 EUR",
        "Full term 8,148.00 EUR 12 months",
        "Messages 180.00 12,000 × 0.015 = 180.00",
        "Platform fee 5,988.00 12 × 499.00 = 5,988.00",
    ):
        assert words in text
    assert re.findall(r'<details class="key-figure" id="([a-z-]+)">', html) == [
        "figure-first",
        "figure-cycle",
        "figure-term",
    ]
    assert " style=" not in html


def test_the_panel_shows_both_discounts(client, ada):
    """G-16: both numbers; P-26: with the digits it takes."""
    draft = subscription(
        ada,
        association_override={
            "fixedFeeRateCards": {"addon.platform": {"rateValues": {"EUR": {"rate": "399"}}}}
        },
    )
    text, _ = panel(client, draft, **{"v/um.messages": "12000"})
    assert "Highest discount on a line Platform fee 20.04 %" in text
    assert "Blended discount at the expected volumes 14.7 %" in text


def test_the_panel_says_what_is_unknown_and_why(client, ada):
    """G-16: unknown stays unknown, and counts as over every limit."""
    text, _ = panel(client, subscription(ada))
    assert "Each month unknown" in text
    assert "Messages: No expected volume yet." in text
    assert "Highest discount on a line unknown" in text
    assert "A discount that is not known counts as over every limit." in text
    assert "0.00" not in text
