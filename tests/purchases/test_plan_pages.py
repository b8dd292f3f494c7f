"""Pages of the catalogue: the list of plans and a plan as a price list."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.roles import Role
from purchases.models import PricePlan
from tests.factories import API_CALLS, PricePlanFactory, finance, person, rep

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
    assert "over 1,000" in text
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
