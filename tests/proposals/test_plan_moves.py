"""G-15: a draft keeps the version of its plan, and nobody submits it without a look at the newer one."""

import pytest

from audit.models import Event
from proposals import bulk, services
from proposals.models import Proposal
from purchases import bulk as purchase_bulk
from purchases import plan_moves
from purchases import services as purchase_services
from purchases.models import PricePlan
from tests import factories as f
from tests.purchases.browserless import open_page
from togai.models import Delivery

pytestmark = pytest.mark.django_db

CALLS = "billingEntitlementRateCards/feature.calls"
RATE_2 = f"o/{CALLS}/rateValues/EUR/slabRates/2/rate"
CHEAPER = {
    "billingEntitlementRateCards": {
        "feature.calls": {"rateValues": {"EUR": {"slabRates": {"2": {"rate": "0.12"}}}}}
    }
}
LOWER_FEE = {"fixedFeeRateCards": {"addon.onboarding": {"rateValues": {"EUR": {"rate": "700"}}}}}
DEARER = f.ONBOARDING | {"rateValues": [{"currency": "EUR", "rate": "900"}]}
BOTH = pytest.mark.parametrize("desk", ["proposals", "purchases"])


@pytest.fixture
def rep(client):
    rep = f.rep()
    client.force_login(rep)
    return rep


def a_draft(desk, **fields):
    return f.draft(**fields) if desk == "proposals" else f.purchase_draft(**fields)


def moved_on(plan, *, version=2, cards=None):
    """The catalogue has another version of a plan from now on; its onboarding costs 900 instead of 750."""
    PricePlan.objects.filter(togai_id=plan.togai_id).update(is_latest=False)
    cards = cards or [
        ("billingEntitlementRateCards", "feature.calls", f.API_CALLS),
        ("fixedFeeRateCards", "addon.onboarding", DEARER),
    ]
    return f.PricePlanFactory(togai_id=plan.togai_id, name=plan.name, version=version, cards=cards)


def without_onboarding(plan):
    return moved_on(plan, cards=[("billingEntitlementRateCards", "feature.calls", f.API_CALLS)])


def outdated(desk, rep, **fields):
    """A draft on version 1 of a plan, and the version 2 that has come since."""
    plan = f.PricePlanFactory(name="Pack")
    deal = a_draft(desk, by=rep, price_plan=plan, **fields)
    newer = moved_on(plan)
    # Read again: what it knew of its plan is from before.
    return type(deal).objects.get(pk=deal.pk), newer


def edit_page(client, deal):
    return open_page(client, f"{deal.get_absolute_url()}edit/")


def submit(desk, deal, **given):
    if desk == "proposals":
        return services.submit(proposal_id=deal.pk, by=deal.owner, at=f.NOON, **given)
    return purchase_services.submit(purchase_id=deal.pk, by=deal.owner, at=f.NOON, **given)


# --- The effect ---


def test_the_effect_is_the_same_draft_priced_on_both_versions(rep):
    """G-15: in money and in percent."""
    deal, newer = outdated("proposals", rep)
    move = plan_moves.move_of(deal)
    # 1000 × 0.20 + 1000 × 0.15 + 2 × 750, and the same with 2 × 900.
    assert move.sides == [
        ("On version 1", "1,850.00", "EUR", ""),
        ("On version 2", "2,150.00", "EUR", ""),
    ]
    assert (move.plan, move.difference, move.change, move.gone) == (
        newer,
        "+300.00",
        ("higher", "+16.2 %"),
        (),
    )


def test_changed_prices_move_along_and_those_without_a_card_are_named(rep):
    """G-15"""
    plan = f.PricePlanFactory(name="Pack")
    deal = f.draft(by=rep, price_plan=plan, purchase_plan_override=CHEAPER | LOWER_FEE)
    without_onboarding(plan)
    move = plan_moves.move_of(Proposal.objects.get(pk=deal.pk))
    assert [name.split(" (")[0] for name in move.gone] == ["Onboarding"]
    assert "It no longer has Onboarding" in str(move)
    # Its own rate of the second slab came along: 1000 × 0.20 + 1000 × 0.12.
    assert move.sides[1][1] == "320.00"


def test_quantities_of_cards_that_are_gone_are_named(rep):
    """G-15"""
    plan = f.PricePlanFactory(name="Pack")
    counted = {"feature.calls": "2", "addon.onboarding": "1"}
    deal = f.draft(by=rep, price_plan=plan, quantity=None, rate_card_quantities=counted)
    without_onboarding(plan)
    move = plan_moves.move_of(Proposal.objects.get(pk=deal.pk))
    assert [name.split(" (")[0] for name in move.gone] == ["Onboarding"]


def test_a_draft_on_the_newest_version_has_no_move(rep):
    """G-15"""
    assert plan_moves.move_of(f.draft(by=rep)) is None
    assert plan_moves.move_of(f.draft(by=rep, price_plan=None, type=None, quantity=None)) is None


def test_a_newer_version_that_is_not_sold_does_not_count(rep):
    """G-15"""
    plan = f.PricePlanFactory()
    deal = f.draft(by=rep, price_plan=plan)
    PricePlan.objects.filter(pk=moved_on(plan).pk).update(status="DRAFT")
    assert plan_moves.move_of(Proposal.objects.get(pk=deal.pk)) is None


def test_an_effect_that_nobody_knows_says_so(rep):
    """G-15: without a currency there is no price, and no guess."""
    deal, _ = outdated("proposals", rep, account=f.AccountFactory(owner=rep, currency=""))
    move = plan_moves.move_of(deal)
    assert (move.difference, move.change) == (None, ("", ""))
    assert "What that does to its price is not known." in str(move)


# --- The editor ---


@BOTH
def test_the_editor_shows_the_effect_and_both_answers(client, rep, desk):
    """G-15"""
    deal, newer = outdated(desk, rep)
    page = edit_page(client, deal)
    for words in ("Pack has a version 2", "This draft keeps version 1", "1,850.00", "2,150.00", "+300.00"):
        assert words in page.html
    assert {f"move_plan:{newer.pk}", "keep_plan:2"} <= set(page.buttons)


@BOTH
def test_moving_redraws_with_the_newer_plan_and_saving_keeps_it(client, rep, desk):
    """G-15: changed prices come along, nothing is saved by looking."""
    deal, newer = outdated(desk, rep, purchase_plan_override=CHEAPER)
    page = edit_page(client, deal).press(f"move_plan:{newer.pk}")
    assert (page.typed["price_plan"], page.typed[RATE_2]) == (str(newer.pk), "0.12")
    assert "Pack has a version 2" not in page.html
    deal.refresh_from_db()
    assert deal.price_plan.version == 1
    assert page.press("save").status_code == 302
    deal.refresh_from_db()
    assert (deal.price_plan, deal.purchase_plan_override) == (newer, CHEAPER)


def test_moving_sets_quantities_of_cards_that_are_gone_aside(client, rep):
    """G-15: they come back with the old version."""
    plan = f.PricePlanFactory(name="Pack")
    counted = {"feature.calls": "2", "addon.onboarding": "1"}
    deal = f.draft(by=rep, price_plan=plan, quantity=None, rate_card_quantities=counted)
    newer = without_onboarding(plan)
    page = edit_page(client, deal).press(f"move_plan:{newer.pk}")
    assert "q/addon.onboarding" not in page.typed
    page.press("save")
    deal.refresh_from_db()
    assert (deal.price_plan, deal.rate_card_quantities) == (newer, {"feature.calls": "2"})
    back = page.type(price_plan=str(plan.pk)).press("update")
    assert back.typed["q/addon.onboarding"] == "1"


def test_a_plan_chosen_from_the_list_says_what_it_sets_aside(client, rep):
    """G-15: nothing typed goes without a word."""
    plan = f.PricePlanFactory(name="Pack")
    counted = {"feature.calls": "2", "addon.onboarding": "1"}
    deal = f.draft(by=rep, price_plan=plan, quantity=None, rate_card_quantities=counted)
    newer = without_onboarding(plan)
    page = edit_page(client, deal).type(price_plan=str(newer.pk)).press("save")
    assert (page.status, "is set aside" in page.error_at("price_plan")) == (422, True)


@BOTH
def test_keeping_the_version_is_seen_enough_to_submit(client, rep, desk):
    """G-15"""
    deal, _ = outdated(desk, rep)
    page = edit_page(client, deal).press("keep_plan:2")
    assert "This draft keeps version 1 of Pack" in page.html
    assert page.press("submit").status_code == 302
    deal.refresh_from_db()
    assert (deal.status, deal.price_plan.version) == ("SUBMITTED", 1)


@BOTH
def test_saving_and_submitting_at_once_saves_and_asks_first(client, rep, desk):
    """G-15: forces the look; one press never submits unseen."""
    deal, _ = outdated(desk, rep)
    answer = edit_page(client, deal).type(title="Better").press("submit")
    assert (answer.status_code, answer["Location"]) == (302, f"{deal.get_absolute_url()}submit/")
    deal.refresh_from_db()
    assert (deal.status, deal.title) == ("DRAFT", "Better")
    page = open_page(client, answer["Location"])
    assert "Submit on version 1" in page.html
    assert "+300.00" in page.html


# --- Every door to submit ---


@BOTH
def test_the_service_refuses_until_the_newer_version_was_seen(rep, desk):
    """G-15: nothing is queued, and the reason names the effect; then the record says what was seen."""
    deal, _ = outdated(desk, rep)
    with pytest.raises(plan_moves.PlanMoved, match=r"2,150\.00 EUR instead of 1,850\.00 EUR \(\+16\.2 %\)"):
        submit(desk, deal)
    deal.refresh_from_db()
    assert (deal.status, Delivery.objects.count()) == ("DRAFT", 0)
    submit(desk, deal, plan_version_seen=2)
    event = Event.objects.about(deal).get(verb="submit")
    assert event.after["plan_version_seen"] == 2


@BOTH
def test_what_was_seen_has_to_be_the_newest(rep, desk):
    """G-15: a third version came while they looked at the second."""
    deal, _ = outdated(desk, rep)
    moved_on(deal.price_plan, version=3)
    with pytest.raises(plan_moves.PlanMoved, match="has a version 3"):
        submit(desk, type(deal).objects.get(pk=deal.pk), plan_version_seen=2)


@BOTH
def test_the_page_of_the_verb_shows_the_effect_and_its_button_has_seen_it(client, rep, desk):
    """G-15"""
    deal, _ = outdated(desk, rep)
    url = f"{deal.get_absolute_url()}submit/"
    page = open_page(client, url)
    assert page.typed["plan_version_seen"] == "2"
    assert client.post(url, {"version": page.typed["version"]}).status_code == 409
    assert client.post(url, page.typed).status_code == 303
    deal.refresh_from_db()
    assert deal.status == "SUBMITTED"


def test_a_version_that_comes_while_they_look_is_shown_first(client, rep):
    """G-15"""
    deal, _ = outdated("proposals", rep)
    page = open_page(client, f"{deal.get_absolute_url()}submit/")
    moved_on(deal.price_plan, version=3)
    answer = client.post(f"{deal.get_absolute_url()}submit/", page.typed)
    assert (answer.status_code, "Pack has a version 3" in answer.content.decode()) == (409, True)


@BOTH
def test_a_program_hears_why_and_says_what_it_has_seen(client, rep, desk):
    """G-15"""
    deal, _ = outdated(desk, rep)
    url = f"/api/v1/{desk}/{deal.reference}/submit/"
    answer = client.post(url, {}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "plan_moved")
    assert "2,150.00 EUR" in str(answer.json())
    answer = client.post(url, {"plan_version_seen": 2}, content_type="application/json")
    assert (answer.status_code, answer.json()["price_plan_version"]) == (202, 1)


@BOTH
def test_many_at_once_leaves_such_a_draft_out_and_says_why(rep, desk):
    """G-15: nobody looks at a hundred prices at once."""
    deal, _ = outdated(desk, rep)
    action = bulk.Submit(Proposal) if desk == "proposals" else purchase_bulk.Submit(type(deal))
    (row,) = action.load([deal.pk], by=rep)
    with pytest.raises(plan_moves.PlanMoved, match="has a version 2"):
        action.effect(row, by=rep, at=f.NOON)
    with pytest.raises(plan_moves.PlanMoved):
        action.apply(row, by=rep, at=f.NOON, batch_id=None)


def test_many_at_once_ask_for_the_newer_version_of_a_plan_once(rep, django_assert_max_num_queries):
    """L4"""
    plan = f.PricePlanFactory(name="Pack")
    keys = [f.draft(by=rep, price_plan=plan).pk for _ in range(6)]
    moved_on(plan)
    action = bulk.Submit(Proposal)
    rows = action.load(keys, by=rep)
    with django_assert_max_num_queries(2):
        for row in rows:
            with pytest.raises(plan_moves.PlanMoved):
                action.effect(row, by=rep, at=f.NOON)


def test_what_is_sent_stays_what_it_was(rep):
    """G-15: the order names the plan as before, with the prices of the pinned version."""
    deal, _ = outdated("proposals", rep, purchase_plan_override=LOWER_FEE)
    submit("proposals", deal, plan_version_seen=2)
    sent = bytes(Delivery.objects.get().body).decode()
    assert f'"{deal.price_plan.togai_id}"' in sent
    assert "700" in sent
    assert "ersion" not in sent
