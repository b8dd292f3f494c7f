"""The list of proposals: who sees what, filters in the address, pages by key, and what it costs."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Team
from audit.roles import Role
from proposals import listing, services
from proposals.models import Proposal
from purchases import drafts
from tests.factories import (
    AccountFactory,
    PricePlanFactory,
    draft,
    finance,
    person,
    rep,
    submitted,
)

pytestmark = pytest.mark.django_db

MOST_LIST_QUERIES = 8


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def mia(client):
    """A rep who is signed in."""
    user = rep(first_name="Mia", last_name="Ott")
    client.force_login(user)
    return user


def signed_in(client, *roles):
    user = person(*roles)
    client.force_login(user)
    return user


def page(client, url, status=200):
    response = client.get(url)
    assert response.status_code == status
    return response.content.decode()


def numbers_in(html):
    """The references of the rows of a list, in their order."""
    return re.findall(r'<th scope="row"[^>]*><a href="/proposals/(P-\d+)/"', html)


def approve(proposal, by, at):
    return services.approve(proposal_id=proposal.pk, by=by, at=at, content_hash=proposal.content_hash)


def test_a_rep_sees_their_own_and_finance_all(client, mia):
    mine, other = draft(by=mia), draft()
    assert numbers_in(page(client, "/proposals/")) == [mine.reference]
    for role in (Role.FINANCE, Role.CFO, Role.ADMINISTRATOR, Role.AUDITOR):
        signed_in(client, role)
        assert numbers_in(page(client, "/proposals/")) == [other.reference, mine.reference]


def test_a_manager_sees_the_work_of_their_teams(client, mia):
    mine, _ = draft(by=mia), draft()
    boss = signed_in(client, Role.MANAGER)
    team = Team.objects.create(name="North")
    team.managers.add(boss)
    team.members.add(mia)
    assert numbers_in(page(client, "/proposals/")) == [mine.reference]


def test_a_row_says_what_one_looks_for(client, mia):
    draft(by=mia, title="Renewal", valid_until=timezone.now().date() + timedelta(days=20))
    html = page(client, "/proposals/")
    assert "Renewal" in html
    assert ">1,850.00<" in html
    assert ">EUR<" in html
    assert "status--draft" in html


def test_an_unknown_estimate_is_never_zero(client, mia):
    draft(by=mia, quantity=None)
    html = page(client, "/proposals/")
    assert "unknown" in html
    assert "0.00" not in html


def test_only_the_newest_revision_is_listed(client, mia, now):
    """G-35"""
    proposal = submitted(by=mia, at=now)
    services.recall(
        proposal_id=proposal.pk, by=mia, at=now, reason_code="other", reason="Not the right time."
    )
    services.revise(proposal_id=proposal.pk, by=mia, at=now)
    html = page(client, "/proposals/")
    assert numbers_in(html) == [proposal.reference]
    assert ">r2<" in html


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("status=DRAFT", {"draft"}),
        ("status=SUBMITTED", {"waiting", "refused"}),
        ("status=APPROVED", {"approved"}),
        ("togai=PENDING", {"approved"}),
        ("type=ASSOCIATION", {"waiting"}),
        ("mode=POSTPAID", {"waiting"}),
        ("refused=on", {"refused"}),
        ("soon=on", {"waiting"}),
        ("owner=me", {"draft", "waiting", "refused", "approved"}),
        ("q=zephyr", {"draft"}),
        ("q=no+such+thing", set()),
        ("status=DRAFT&type=ASSOCIATION", set()),
        ("status=DRAFT&owner=me&type=ENTITLEMENT_GRANT", {"draft"}),
    ],
)
def test_filters_stand_in_the_address(client, mia, now, query, shown):
    today = drafts.business_day(now)
    made = {
        "draft": draft(by=mia, at=now, account=AccountFactory(owner=mia, name="Zephyr")),
        "waiting": submitted(
            by=mia,
            at=now,
            account=AccountFactory(owner=mia, name="Juniper"),
            type="ASSOCIATION",
            quantity=None,
            price_plan=PricePlanFactory(recurring=True),
            payment_mode="POSTPAID",
            valid_until=today + timedelta(days=7),
            effective_from=today + timedelta(days=8),
        ),
        "refused": submitted(by=mia, at=now, account=AccountFactory(owner=mia, name="Cobalt")),
        "approved": submitted(by=mia, at=now, account=AccountFactory(owner=mia, name="Kestrel")),
    }
    Proposal.objects.filter(pk=made["refused"].pk).update(togai_refusal="quantity: too many")
    approve(made["approved"], finance(), now)
    Proposal.objects.filter(pk=made["approved"].pk).update(togai_status="PENDING")
    html = page(client, f"/proposals/?{query}")
    assert set(numbers_in(html)) == {made[name].reference for name in shown}
    assert "chip--remove" in html
    if not shown:
        assert "Nothing passes these filters" in html


@pytest.mark.parametrize(
    "text", ["P-000002", "p-2", "2", "P-000002 r1", "P-000002-r3", "p-2-R3", "2-r3", " 2 "]
)
def test_a_number_finds_its_deal(client, mia, text):
    """G-35: in every way in which people quote it, with the revision or without."""
    draft(by=mia)
    wanted = draft(by=mia)
    assert wanted.number == 2
    html = page(client, f"/proposals/?q={text}")
    assert numbers_in(html) == [wanted.reference]


def test_a_number_of_somebody_else_is_not_found(client, mia):
    """S-07: search is filtered by owner too."""
    other = draft()
    assert numbers_in(page(client, f"/proposals/?q={other.reference}")) == []
    assert numbers_in(page(client, f"/proposals/?q={other.account.name.split()[0]}")) == []


@pytest.mark.parametrize(
    "query",
    [
        "status=NONSENSE",
        "owner=999999",
        "owner=1__gt",
        "togai=%27%20OR%201=1",
        "after=x&before=y",
        "after=" + "9" * 400,
        "status=DRAFT&status=APPROVED",
        "soon=maybe&refused=",
        "password__startswith=a",
        "q=%25_%5C%22",
    ],
)
def test_nonsense_in_the_address_does_no_harm(client, mia, query):
    """Rows 49, 50 and 52 of the hostile inputs."""
    draft(by=mia)
    page(client, f"/proposals/?{query}")


def test_a_filter_that_is_none_of_ours_is_said_and_left_out(client, mia):
    mine = draft(by=mia)
    html = page(client, "/proposals/?status=NONSENSE")
    assert numbers_in(html) == [mine.reference]
    assert "was left out" in html


def test_an_endless_search_is_refused(client, mia):
    """Row 51 of the hostile inputs."""
    page(client, "/proposals/?q=" + "x" * 201, status=400)
    page(client, "/proposals/?q=" + "x" * 200)


def test_too_many_accounts_are_not_searched_in_silence(client, monkeypatch):
    monkeypatch.setattr(listing, "MOST_ACCOUNTS", 2)
    signed_in(client, Role.FINANCE)
    for _ in range(3):
        draft()
    assert "Narrow the search" in page(client, "/proposals/?q=harbor")


def test_presets_are_addresses_and_the_current_one_is_marked(client, mia):
    draft(by=mia)
    html = page(client, "/proposals/?status=DRAFT&owner=me")
    assert re.search(r'href="\?status=DRAFT&amp;owner=me" aria-current="page">My drafts<', html)
    assert "Approved, unpaid" in html


def test_pages_go_by_key_and_keep_the_filters(client, mia):
    rows = [draft(by=mia) for _ in range(53)]
    newest_first = [row.reference for row in reversed(rows)]
    html = page(client, "/proposals/?status=DRAFT")
    assert numbers_in(html) == newest_first[:50]
    link = re.search(r'rel="next" href="([^"]+)"', html)[1].replace("&amp;", "&")
    assert link == f"?status=DRAFT&after={rows[3].pk}"
    html = page(client, f"/proposals/{link}")
    assert numbers_in(html) == newest_first[50:]
    back = re.search(r'rel="prev" href="([^"]+)"', html)[1].replace("&amp;", "&")
    assert numbers_in(page(client, f"/proposals/{back}")) == newest_first[:50]


def test_an_empty_list_says_what_to_do_next(client, mia):
    html = page(client, "/proposals/")
    assert "No proposals yet" in html
    assert "/proposals/new/" in html
    signed_in(client, Role.AUDITOR)
    assert "/proposals/new/" not in page(client, "/proposals/")


def queries_of(client, url):
    client.get(url)
    with CaptureQueriesContext(connection) as asked:
        assert client.get(url).status_code == 200
    return [query["sql"] for query in asked.captured_queries]


@pytest.mark.parametrize("query", ["", "?status=DRAFT", "?q=harbor", "?owner=me", "?soon=on"])
@pytest.mark.parametrize("roles", [(Role.REP,), (Role.FINANCE,), (Role.MANAGER,)])
def test_a_list_costs_the_same_at_five_rows_and_at_fifty(client, roles, query):
    """L4: at most eight queries, no COUNT, no OFFSET, no LIKE with a wildcard in front."""
    user = signed_in(client, *roles)
    plan = PricePlanFactory()
    for _ in range(5):
        draft(by=user, price_plan=plan)
    at_five = queries_of(client, f"/proposals/{query}")
    for _ in range(45):
        draft(by=user, price_plan=plan)
    at_fifty = queries_of(client, f"/proposals/{query}")
    assert len(at_five) == len(at_fifty) <= MOST_LIST_QUERIES
    for sql in at_fifty:
        assert "COUNT(" not in sql.upper()
        assert "OFFSET" not in sql.upper()
        assert not re.search(r"LIKE '%", sql, re.IGNORECASE)


FILTERS = [
    {},
    {"status": "DRAFT"},
    {"togai": "PENDING"},
    {"type": "ASSOCIATION"},
    {"mode": "PREPAID"},
    {"owner": "me"},
    {"owner": "me", "status": "DRAFT"},
    {"soon": True},
    {"refused": True},
    {"q": "harbor"},
    {"q": "P-000001"},
]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="The plan is read on SQLite.")
@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("roles", [(Role.REP,), (Role.FINANCE,), (Role.MANAGER,)])
def test_no_filter_reads_the_table(roles, filters, now):
    """L1: every page is reached through an index; EXPLAIN QUERY PLAN shows no scan of the table."""
    user = person(*roles)
    for _ in range(3):
        draft(by=user)
    queryset, _ = listing.narrowed(user, filters, at=now)
    order = queryset.query.order_by
    pages = [queryset[:51]]
    if order == ("-pk",):
        # As the second page asks, deep in the list.
        pages.append(queryset.filter(pk__lt=10**6, pk__lte=10**6)[:51])
    for place, wanted in enumerate(pages):
        plan = wanted.explain()
        scans = [line for line in plan.splitlines() if "SCAN" in line]
        # The first page of everything walks the index of the list in its order and stops at fifty.
        whole = not filters and not place and roles == (Role.FINANCE,)
        assert scans == [] or (whole and all("USING INDEX proposal_live" in line for line in scans)), plan
        if roles != (Role.MANAGER,) and not filters.get("q") and not filters.get("refused"):
            assert "TEMP B-TREE" not in plan or filters.get("soon"), plan
