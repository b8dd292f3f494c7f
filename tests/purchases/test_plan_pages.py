"""Pages of the catalogue: the list of plans and a plan as a price list."""

from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from audit.roles import Role
from purchases import pricing
from purchases.models import PricePlan
from tests.factories import (
    API_CALLS,
    DEFAULT_CARDS,
    MESSAGES,
    ONBOARDING,
    AccountFactory,
    PricePlanFactory,
    finance,
    person,
    rep,
)

pytestmark = pytest.mark.django_db

LIST = "/plans/"


@pytest.fixture(autouse=True)
def mia(client):
    mia = rep()
    client.force_login(mia)
    return mia


def names(response):
    return [plan.name for plan, _ in response.context["rows"]]


def test_everybody_who_works_here_reads_the_catalogue(client):
    plan = PricePlanFactory(name="Starter")
    for role in Role:
        client.force_login(person(role))
        assert names(client.get(LIST)) == ["Starter"]
        assert client.get(plan.get_absolute_url()).status_code == 200
    client.logout()
    assert client.get(LIST).status_code == 302


def test_plans_are_filtered_by_type_and_status(client):
    PricePlanFactory(name="Monthly", recurring=True)
    PricePlanFactory(name="Once")
    PricePlanFactory(name="Old", status="ARCHIVED")
    PricePlanFactory(name="Earlier version", is_latest=False)
    assert names(client.get(LIST)) == ["Monthly", "Old", "Once"]
    assert names(client.get(LIST, {"type": "BILLING"})) == ["Monthly"]
    assert names(client.get(LIST, {"type": "PURCHASE", "status": "ACTIVE"})) == ["Once"]
    assert names(client.get(LIST, {"type": "NOTHING", "status": "ARCHIVED"})) == ["Old"]


def test_a_plan_shows_the_version_that_is_sold_now_and_names_the_others(client):
    old = PricePlanFactory(togai_id="pp.scale", version=3, is_latest=False)
    PricePlanFactory(togai_id="pp.scale", version=4)
    page = client.get("/plans/pp.scale/")
    assert page.context["plan"].version == 4
    assert [plan.version for plan in page.context["versions"]] == [4, 3]
    earlier = client.get("/plans/pp.scale/?version=3")
    assert earlier.context["plan"] == old
    assert "not the version that is sold now" in earlier.content.decode()
    for unknown in ("/plans/pp.scale/?version=9", "/plans/pp.scale/?version=x", "/plans/pp.none/"):
        assert client.get(unknown).status_code == 404


@pytest.mark.parametrize(
    ("role", "status", "offered"),
    [
        (Role.REP, "ACTIVE", True),
        (Role.AUDITOR, "ACTIVE", False),
        (Role.REP, "DRAFT", False),
        (Role.REP, "ARCHIVED", False),
    ],
)
def test_only_a_plan_on_sale_is_offered_and_only_to_those_who_draft(client, role, status, offered):
    plan = PricePlanFactory(status=status)
    client.force_login(person(role))
    assert client.get(plan.get_absolute_url()).context["may_propose"] is offered


def test_rates_slabs_and_words_of_togais_are_text(client):
    card = dict(API_CALLS) | {"displayName": "<b>Calls</b>"}
    plan = PricePlanFactory(
        name="<i>Plan</i>",
        description="<u>",
        togai_id='pp."x"',
        cards=[("billingEntitlementRateCards", "feature.calls", card)],
    )
    text = client.get(plan.get_absolute_url()).content.decode()
    assert "1,001 and more" in text
    assert "0.15" in text
    assert "&lt;b&gt;Calls" in text
    for mark in ("<b>", "<i>", "<u>", 'pp."x"'):
        assert mark not in text + client.get(LIST).content.decode()


def test_a_plan_without_cards_or_with_odd_words_has_a_page(client):
    empty = PricePlanFactory(cards=[])
    odd = PricePlanFactory(status="FROZEN", cycle={"interval": "EVERY_MOON"}, currencies=[])
    assert "No rate cards" in client.get(empty.get_absolute_url()).content.decode()
    assert "Every moon" in client.get(odd.get_absolute_url()).content.decode()
    assert client.get(LIST).status_code == 200


def test_the_list_costs_the_same_queries_for_5_and_50_rows(client, django_assert_num_queries):
    """L4"""
    for _ in range(5):
        PricePlanFactory()
    with CaptureQueriesContext(connection) as few:
        client.get(LIST)
    assert len(few) <= 8
    for _ in range(45):
        PricePlanFactory()
    with django_assert_num_queries(len(few)):
        client.get(LIST)


def test_a_plan_costs_the_same_queries_with_many_cards_and_versions(client, django_assert_num_queries):
    """L4"""
    plan = PricePlanFactory(togai_id="pp.wide")
    with CaptureQueriesContext(connection) as few:
        client.get(plan.get_absolute_url())
    assert len(few) <= 12
    PricePlan.objects.update(is_latest=False)
    cards = [
        ("billingEntitlementRateCards", f"feature.{n}", dict(API_CALLS) | {"featureId": f"feature.{n}"})
        for n in range(50)
    ]
    for version in range(2, 9):
        PricePlanFactory(togai_id="pp.wide", version=version, is_latest=version == 8, cards=cards)
    with django_assert_num_queries(len(few)):
        assert len(client.get(plan.get_absolute_url()).context["cards"]) == 50


@pytest.mark.parametrize("query", ["", "?type=PURCHASE", "?status=ACTIVE"])
def test_the_list_reads_what_it_shows_and_no_more(client, query):
    """L1"""
    if connection.vendor != "sqlite":
        pytest.skip("The plan is read on SQLite.")
    for _ in range(55):
        PricePlanFactory(cards=[])
    client.force_login(finance())
    following = client.get(LIST + query).context["pager"]["next"]
    for address in (LIST + query, LIST + following):
        with CaptureQueriesContext(connection) as asked:
            client.get(address)
        (sql,) = [row["sql"] for row in asked.captured_queries if "purchases_priceplan" in row["sql"]]
        assert "COUNT(" not in sql.upper()
        assert "OFFSET" not in sql.upper()
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = [row[3] for row in cursor.fetchall()]
        assert all("USING INDEX plan_" in step for step in plan), plan


# The price calculator


def priced(client, plan, **query):
    """The lines and sums of a plan at what is typed, as (label, amount)."""
    page = client.get(plan.get_absolute_url(), query)
    assert page.status_code == 200
    price = page.context["price"]
    rows = {row.label: row.amount for row in price.rows}
    return rows, dict(price.totals)


def test_a_purchase_plan_is_priced_once_before_anything_is_typed(client):
    rows, totals = priced(client, PricePlanFactory())
    assert rows == {"API calls": D("200.00"), "Onboarding": D("750.00")}
    assert totals == {"In all, once": D("950.00")}


def test_a_quantity_scales_every_card_and_a_cards_own_number_goes_before_it(client):
    plan = PricePlanFactory()
    rows, _ = priced(client, plan, quantity="2", currency="USD")
    # 1000 × 0.22 + 1000 × 0.17
    assert rows == {"API calls": D("390.00"), "Onboarding": D("1600.00")}
    rows, totals = priced(client, plan, quantity="2", **{"units-addon.onboarding": "0.5"})
    assert rows == {"API calls": D("350.00"), "Onboarding": D("375.00")}
    assert totals == {"In all, once": D("725.00")}


def test_a_billing_plan_is_priced_per_cycle_and_over_its_cycles(client):
    plan = PricePlanFactory(recurring=True)
    rows, totals = priced(client, plan, cycles="3", **{"units-um.messages": "12000"})
    assert rows == {"Messages": D("180.00"), "Platform fee": D("499.00")}
    assert totals == {
        "Each month": D("679.00"),
        "Over 3 months": D("2037.00"),
    }


def test_what_is_due_once_is_in_the_first_cycle_alone(client):
    cards = [*DEFAULT_CARDS["BILLING"][1:], ("fixedFeeRateCards", "addon.onboarding", ONBOARDING)]
    _, totals = priced(client, PricePlanFactory(recurring=True, cards=cards), cycles="12")
    assert totals == {
        "Once": D("750.00"),
        "Each month": D("499.00"),
        "First month, with what is due once": D("1249.00"),
        "Over 12 months": D("6738.00"),
    }


def test_a_volume_that_nobody_typed_is_unknown_and_never_zero(client):
    rows, totals = priced(client, PricePlanFactory(recurring=True))
    assert rows["Messages"] is None
    assert totals["Each month"] is None
    text = client.get(PricePlanFactory(recurring=True).get_absolute_url()).content.decode()
    assert "No expected volume yet." in text


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("quantity", typed)
        for typed in [
            "0",
            "-1",
            "1.5",
            "1e999",
            "NaN",
            "9" * 15,
            "9" * 400,
            "\u0663",
            "1_000",
            "2147483648",
            "x",
        ]
    ]
    + [
        ("units-feature.calls", typed)
        for typed in [
            "-1",
            "1e999",
            "1E5",
            "NaN",
            "Infinity",
            "1,000",
            "9" * 41,
            "0." + "1" * 40,
            "\u0663",
            "<b>",
        ]
    ]
    + [("currency", "GBP"), ("currency", "<b>")],
)
def test_hostile_numbers_are_refused_in_words_at_their_field(client, name, typed):
    """Reliability 4.2, 34."""
    page = client.get(PricePlanFactory().get_absolute_url(), {name: typed})
    assert page.status_code == 200
    assert page.context["price"] is None
    (message,) = page.context["calculator"].errors[name]
    text = page.content.decode()
    assert text.count(escape(message)) == 2
    assert f'id="calculator-{name}_error"' in text
    assert "<b>" not in text


@pytest.mark.parametrize("typed", ["0", "521", "-3", "1e3", "9" * 30])
def test_hostile_terms_are_refused_in_words(client, typed):
    page = client.get(PricePlanFactory(recurring=True).get_absolute_url(), {"cycles": typed})
    assert list(page.context["calculator"].errors) == ["cycles"]


def test_the_largest_numbers_are_priced_exactly(client):
    typed = {"units-um.messages": "999999999999999", "cycles": "520"}
    rows, totals = priced(client, PricePlanFactory(recurring=True), **typed)
    assert rows["Messages"] == D("14999999999999.99")
    assert totals["Over 520 months"] == D("7800000000259474.80")


def test_htmx_gets_the_price_and_the_faults_without_the_page_around_them(client):
    plan = PricePlanFactory()
    headers = {"HX-Request": "true"}
    piece = client.get(plan.get_absolute_url(), {"quantity": "2"}, headers=headers).content.decode()
    assert "<html" not in piece
    assert 'id="price"' in piece
    assert "1,850.00" in piece
    wrong = client.get(plan.get_absolute_url(), {"quantity": "x"}, headers=headers).content.decode()
    assert 'id="calculator-quantity_error" hx-swap-oob="true">Enter a whole number' in wrong


def test_the_calculator_prices_the_version_that_is_shown(client):
    dear = [("fixedFeeRateCards", "addon.onboarding", ONBOARDING)]
    PricePlanFactory(togai_id="pp.scale", version=3, is_latest=False, cards=dear)
    PricePlanFactory(togai_id="pp.scale", version=4)
    page = client.get("/plans/pp.scale/?version=3&quantity=2")
    assert [row.label for row in page.context["price"].rows] == ["Onboarding"]
    assert '<input type="hidden" name="version" value="3">' in page.content.decode()


def test_ids_of_any_shape_have_a_field_of_their_own(client):
    cards = [
        ("usageRateCards", odd, dict(MESSAGES) | {"usageMeterId": odd, "displayName": odd})
        for odd in ("um <x>&y=1", "um _x", "ümlaut")
    ]
    plan = PricePlanFactory(recurring=True, cards=cards)
    names = list(client.get(plan.get_absolute_url()).context["calculator"].asked)
    assert len(set(names)) == 3
    rows, _ = priced(client, plan, **dict.fromkeys(names, "1"))
    assert set(rows.values()) == {D("0.02")}


def test_a_version_that_prices_nothing_has_a_page_all_the_same(client):
    cards = [("usageRateCards", "um.messages", dict(MESSAGES) | {"rateValues": []})]
    plan = PricePlanFactory(recurring=True, cards=cards, currencies=[])
    page = client.get(plan.get_absolute_url())
    assert page.context["price"] is None
    assert "names no currency" in page.content.decode()


def test_every_kind_of_card_is_priced_as_the_editor_prices_it(client):
    """The same function as in the estimate beside the editor."""
    plan = PricePlanFactory(recurring=True)
    typed = {"um.messages": D("12000")}
    rows, _ = priced(client, plan, **{"units-um.messages": "12000"})
    estimate = pricing.estimate(plan.details, plan_type=plan.type, currency="EUR", volumes=typed)
    assert rows == {line.label: line.amount.amount for line in estimate.lines}


# From the catalogue to a draft


@pytest.mark.parametrize(("kind", "wanted"), [("proposals", "P"), ("purchases", "D")])
def test_a_plan_leads_to_a_draft_that_sells_it(client, mia, kind, wanted):
    plan = PricePlanFactory(recurring=True, togai_id="pp.scale & co")
    account = AccountFactory(owner=mia)
    page = client.get(plan.get_absolute_url()).content.decode()
    assert f'href="/{kind}/new/?plan=pp.scale%20%26%20co"' in page
    choose = client.get(f"/{kind}/new/", {"plan": plan.togai_id}).content.decode()
    assert f"?account={account.togai_id}&amp;plan=pp.scale%20%26%20co" in choose
    editor = client.get(f"/{kind}/new/", {"plan": plan.togai_id, "account": account.togai_id})
    deal = editor.context["deal"]
    assert (deal.price_plan, deal.type) == (plan, "ASSOCIATION")


@pytest.mark.parametrize("wanted", ["pp.none", "pp.old", "a\u0085b"])
def test_a_plan_that_is_not_on_sale_is_not_put_into_a_draft(client, mia, wanted):
    PricePlanFactory(togai_id="pp.old", status="ARCHIVED")
    account = AccountFactory(owner=mia)
    editor = client.get("/proposals/new/", {"plan": wanted, "account": account.togai_id})
    assert editor.status_code == 200
    assert editor.context["deal"].price_plan is None
