"""Pages of accounts: scope, search, filters, and what they cost."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import services
from accounts.models import Account
from audit.roles import Role
from tests.factories import (
    NOON,
    AccountFactory,
    TeamFactory,
    administrator,
    draft,
    finance,
    person,
    purchase_draft,
    rep,
)
from togai.models import Delivery

pytestmark = pytest.mark.django_db

LIST = "/accounts/"


@pytest.fixture
def mia(client):
    mia = rep(first_name="Mia")
    client.force_login(mia)
    return mia


def names(response):
    return [account.name for account in response.context["accounts"]]


def sql_of_the_list(client, address=LIST):
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
    return [query["sql"] for query in asked.captured_queries if "accounts_account" in query["sql"]]


# Scope


@pytest.mark.parametrize("role", [Role.FINANCE, Role.CFO, Role.ADMINISTRATOR, Role.AUDITOR])
def test_some_roles_see_every_account(client, role):
    AccountFactory(owner=rep())
    client.force_login(person(role))
    assert len(names(client.get(LIST))) == 1


def test_a_rep_sees_her_own_accounts_everywhere(client, mia):
    """G-62: out-of-scope ids give 404 in pages, search and autocomplete."""
    AccountFactory(name="Harbor Own", togai_id="own", owner=mia)
    AccountFactory(name="Harbor Other", togai_id="other", owner=rep())
    AccountFactory(name="Harbor Nobody", togai_id="nobody")
    assert names(client.get(LIST)) == ["Harbor Own"]
    assert names(client.get(LIST, {"q": "harbor"})) == ["Harbor Own"]
    found = client.get(reverse("accounts:search"), {"q": "harbor"}).content.decode()
    assert "Harbor Own" in found
    assert "Other" not in found
    assert "Nobody" not in found
    assert client.get("/accounts/own/").status_code == 200
    for togai_id in ("other", "nobody", "missing"):
        for verb in ("", "edit/", "hand-over/"):
            assert client.get(f"/accounts/{togai_id}/{verb}").status_code == (
                405 if verb == "hand-over/" else 404
            )
        assert client.post(f"/accounts/{togai_id}/hand-over/").status_code == 404
        assert client.post(f"/accounts/{togai_id}/edit/").status_code == 404


def test_a_manager_sees_the_accounts_of_her_team(client):
    """G-62"""
    manager, member = person(Role.MANAGER), rep()
    team = TeamFactory()
    team.managers.add(manager)
    team.members.add(member)
    AccountFactory(name="Team's", owner=member)
    AccountFactory(name="Own", owner=manager)
    AccountFactory(name="Foreign", owner=rep())
    client.force_login(manager)
    assert names(client.get(LIST)) == ["Own", "Team's"]


def test_the_account_page_shows_only_deals_that_one_may_see(client, mia):
    account = AccountFactory(owner=mia, togai_id="own")
    mine = draft(by=mia, account=account)
    bought = purchase_draft(by=mia, account=account, price_plan=None, type=None, quantity=None)
    theirs = draft(by=administrator(), account=account)
    page = client.get("/accounts/own/")
    assert list(page.context["proposals"]) == [mine]
    assert list(page.context["purchases"]) == [bought]
    assert theirs.reference not in page.content.decode()


@pytest.mark.parametrize("role", [Role.REP, Role.MANAGER, Role.FINANCE, Role.CFO, Role.AUDITOR])
def test_only_administrators_reach_the_edit_page(client, role):
    """S-01: seen but not allowed is 403, and nothing changes."""
    somebody = person(role)
    account = AccountFactory(owner=somebody, togai_id="own")
    client.force_login(somebody)
    assert client.get("/accounts/own/edit/").status_code == 403
    assert client.post("/accounts/own/edit/", {"name": "Changed", "version": 1}).status_code == 403
    assert client.post("/accounts/own/hand-over/", {"to": somebody.pk}).status_code == 403
    account.refresh_from_db()
    assert (account.version, Delivery.objects.count()) == (1, 0)


# Search and filters


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("arbor", ["Harbor Robotics"]),
        ("HARBOR robot", ["Harbor Robotics"]),
        ("eu-42", ["Harbor Robotics"]),
        ("prod_alias", ["Harbor Robotics"]),
        ("holding", ["Harbor Robotics"]),
        ("h", ["Exactly h"]),
        ("nothing like it", []),
        ("100% \"'; --", []),
    ],
)
def test_accounts_are_found_by_any_fragment(client, text, found):
    AccountFactory(
        togai_id="hr-eu-42", name="Harbor Robotics", customer_name="Holding", aliases=["prod_alias"]
    )
    AccountFactory(togai_id="h", name="Exactly h", customer_id="", customer_name="")
    client.force_login(finance())
    assert names(client.get(LIST, {"q": text})) == found


def test_filters_are_in_the_address_and_add_up(client):
    mia = rep(first_name="Mia")
    AccountFactory(name="A", owner=mia, currency="EUR")
    AccountFactory(name="B", owner=mia, currency="USD")
    AccountFactory(name="C", currency="EUR", status="ARCHIVED")
    client.force_login(finance())
    assert names(client.get(LIST, {"owner": mia.pk})) == ["A", "B"]
    assert names(client.get(LIST, {"owner": mia.pk, "currency": "usd"})) == ["B"]
    assert names(client.get(LIST, {"owner": "nobody"})) == ["C"]
    assert names(client.get(LIST, {"status": "ARCHIVED"})) == ["C"]


@pytest.mark.parametrize("query", ["status=NEW", "owner=999999", "owner=x", "currency=E1R", "after=x"])
def test_a_filter_that_is_none_is_left_out(client, mia, query):
    AccountFactory(name="A", owner=mia)
    assert names(client.get(f"{LIST}?{query}")) == ["A"]


def test_a_search_that_nobody_typed_is_refused(client, mia):
    """Row 51 of the hostile inputs."""
    for address in (LIST, reverse("accounts:search")):
        assert client.get(address, {"q": "x" * 201}).status_code == 400


def test_the_list_box_offers_twenty_at_most_and_no_archived_ones(client, mia):
    """L6: its bytes do not grow with the accounts."""
    for number in range(25):
        AccountFactory(owner=mia, name=f"Harbor {number}", togai_id=f"harbor-{number}")
    AccountFactory(owner=mia, name="Harbor gone", status="ARCHIVED")
    page = client.get(reverse("accounts:search"), {"q": "harbor"}).content.decode()
    assert page.count('role="option"') == 20
    assert "gone" not in page
    assert 'data-value="harbor-' in page


def test_text_of_togais_is_text(client):
    AccountFactory(name="<b>Bold</b>", togai_id='a"b', owner=None, tags=["<i>"], metadata={"<u>": "<u>"})
    client.force_login(finance())
    for address in (LIST, f"{reverse('accounts:search')}?q=bold", "/accounts/a%22b/"):
        page = client.get(address)
        assert page.status_code == 200
        for mark in ("<b>", "<i>", "<u>", 'a"b"'):
            assert mark not in page.content.decode()


@pytest.mark.parametrize("togai_id", ["a/b", "a b", "ä", "a?b#c", "a%2Fb", "50%"])
def test_any_id_of_togais_has_a_page(client, togai_id):
    account = AccountFactory(togai_id=togai_id)
    client.force_login(finance())
    assert client.get(account.get_absolute_url()).context["account"] == account


# Editing


def test_an_edit_goes_to_togai_and_the_page_says_so(client):
    admin = administrator()
    AccountFactory(togai_id="harbor", name="Harbor", email="a@harbor.example", net_term_days=30)
    client.force_login(admin)
    form = {
        "name": "Harbor Robotics",
        "email": "a@harbor.example",
        "net_term_days": 30,
        "tags": "",
        "version": 1,
    }
    assert client.post("/accounts/harbor/edit/", form).status_code == 303
    page = client.get("/accounts/harbor/").content.decode()
    assert "A change waits for Togai" in page
    assert "Name: Harbor Robotics" in page
    again = client.get("/accounts/harbor/edit/")
    assert again.context["form"].initial["name"] == "Harbor Robotics"
    assert again.context["form"].initial["version"] == 2


def test_a_refused_edit_shows_togais_words_until_the_next_one(client):
    admin = administrator()
    account = AccountFactory(togai_id="harbor", name="Harbor")
    services.edit(account_id=account.pk, by=admin, at=NOON, fields={"name": "Harbor Two"}, version=1)
    Delivery.objects.update(state="REJECTED", last_message="Name <b>taken</b>", closed_at=NOON)
    client.force_login(admin)
    page = client.get("/accounts/harbor/").content.decode()
    assert "Togai refused a change" in page
    assert "Name &lt;b&gt;taken&lt;/b&gt;" in page


def test_an_edit_that_does_not_hold_shows_errors_and_keeps_the_typing(client):
    AccountFactory(togai_id="harbor", name="Harbor", email="a@harbor.example")
    client.force_login(administrator())
    answer = client.post(
        "/accounts/harbor/edit/",
        {"name": "Kept", "email": "", "net_term_days": 366, "tags": "", "version": 1},
    )
    assert answer.status_code == 200
    assert 'value="Kept"' in answer.content.decode()
    assert set(answer.context["form"].errors) == {"net_term_days"}
    answer = client.post(
        "/accounts/harbor/edit/", {"name": "Kept", "email": "", "net_term_days": "", "tags": "", "version": 1}
    )
    assert (answer.status_code, set(answer.context["form"].errors)) == (200, {"email"})
    assert not Delivery.objects.exists()


def test_an_edit_of_what_moved_on_is_a_conflict_that_keeps_the_typing(client):
    """G-07: the second one sees what the account is now, and decides."""
    account = AccountFactory(togai_id="harbor", name="Harbor", email="a@harbor.example", version=3)
    client.force_login(administrator())
    form = {"name": "Mine", "email": "a@harbor.example", "net_term_days": "", "tags": "", "version": 2}
    answer = client.post("/accounts/harbor/edit/", form)
    page = answer.content.decode()
    assert answer.status_code == 409
    assert 'value="Mine"' in page
    assert "It is now: Harbor" in page
    assert 'name="version" value="3"' in page
    account.refresh_from_db()
    assert account.version == 3


def test_an_account_is_handed_over_on_its_page(client):
    owner = rep()
    AccountFactory(togai_id="harbor")
    client.force_login(administrator())
    client.post("/accounts/harbor/hand-over/", {"to": owner.pk})
    assert Account.objects.get().owner == owner
    client.post("/accounts/harbor/hand-over/", {"to": person(Role.AUDITOR).pk})
    assert Account.objects.get().owner == owner


# What it costs


@pytest.mark.parametrize(
    "query",
    ["", "?q=harbor", "?status=ACTIVE", "?owner=nobody", "?currency=EUR", "?status=ACTIVE&currency=EUR"],
)
def test_the_list_costs_the_same_queries_for_5_and_50_rows(client, django_assert_num_queries, query):
    """L4"""
    client.force_login(finance())
    for number in range(5):
        AccountFactory(name=f"Harbor {number}")
    with CaptureQueriesContext(connection) as few:
        client.get(LIST + query)
    assert len(few) <= 8
    owner = rep()
    for number in range(50):
        AccountFactory(name=f"Harbor B{number}", owner=None if "nobody" in query else owner)
    with django_assert_num_queries(len(few)):
        client.get(LIST + query)


def test_the_account_page_costs_the_same_queries_with_its_lists_full(client, django_assert_num_queries):
    """L4"""
    admin = administrator()
    account = AccountFactory(togai_id="own", owner=admin)
    draft(by=admin, account=account)
    purchase_draft(by=admin, account=account)
    client.force_login(admin)
    client.get("/accounts/own/")
    with CaptureQueriesContext(connection) as few:
        client.get("/accounts/own/")
    assert len(few) <= 12
    for _ in range(12):
        draft(by=admin, account=account)
        purchase_draft(by=admin, account=account)
        services.hand_over(account_id=account.pk, to=None, by=admin, at=NOON)
        services.hand_over(account_id=account.pk, to=admin, by=admin, at=NOON)
    with django_assert_num_queries(len(few)):
        client.get("/accounts/own/")


@pytest.mark.parametrize("role", [Role.REP, Role.MANAGER, Role.FINANCE])
@pytest.mark.parametrize("query", ["", "?q=harbor", "?status=ACTIVE", "?owner=me", "?currency=EUR"])
def test_the_list_reads_what_it_shows_and_no_more(client, role, query):
    """L1, L5: no COUNT, no OFFSET, no leading wildcard and no scan, on any page of any filter."""
    if connection.vendor != "sqlite":
        pytest.skip("The plan is read on SQLite.")
    somebody = person(role)
    for number in range(120):
        AccountFactory(name=f"Harbor {number:03}", owner=somebody)
    client.force_login(somebody)
    page = client.get(LIST + query)
    following = page.context["pager"]["next"]
    for address in (LIST + query, LIST + following if following else LIST):
        for sql in sql_of_the_list(client, address):
            assert "COUNT(" not in sql.upper()
            assert "OFFSET" not in sql.upper()
            assert "LIKE '%" not in sql.upper()
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                plan = [row[3] for row in cursor.fetchall()]
            scans = [step for step in plan if step.startswith("SCAN") and "VIRTUAL TABLE" not in step]
            # An ordered walk along an index that stops at the page's last row is no scan of the table.
            assert [step for step in scans if "USING INDEX" not in step] == []
