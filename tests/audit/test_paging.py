"""Paging by key, on accounts (by name) and on events of the record (newest first)."""

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from accounts.models import Account
from audit.paging import page_of
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db

BY_NAME = ("name", "pk")


@pytest.fixture
def accounts():
    """Eleven accounts, three of them of one name."""
    names = ["Ada", "Bo", "Bo", "Bo", "Cy", "Dee", "Eve", "Fay", "Gus", "Hal", "Ida"]
    return [AccountFactory(name=name) for name in names]


def walk(queryset, size):
    """Every page forwards, as lists of rows."""
    pages, page = [], page_of(queryset, size=size)
    while True:
        pages.append(page.rows)
        if page.next is None:
            return pages
        page = page_of(queryset, after=page.next, size=size)


@pytest.mark.parametrize("order", [("-pk",), BY_NAME, ("-name", "pk"), ("-name", "-pk")])
@pytest.mark.parametrize("size", [1, 2, 3, 11, 50])
def test_pages_together_are_the_list(accounts, order, size):
    queryset = Account.objects.order_by(*order)
    pages = walk(queryset, size)
    assert [row for page in pages for row in page] == list(queryset)
    assert all(len(page) == size for page in pages[:-1])


@pytest.mark.parametrize("order", [("-pk",), BY_NAME, ("-name", "pk")])
def test_the_way_back_shows_the_same_pages(accounts, order):
    queryset = Account.objects.order_by(*order)
    first = page_of(queryset, size=4)
    second = page_of(queryset, after=first.next, size=4)
    third = page_of(queryset, after=second.next, size=4)
    assert third.next is None
    assert page_of(queryset, before=third.previous, size=4) == second
    back = page_of(queryset, before=second.previous, size=4)
    assert back == first
    assert back.previous is None


def test_a_page_costs_one_query_without_count_or_offset(accounts):
    """L4: no COUNT, no OFFSET, and the index knows where to start."""
    queryset = Account.objects.order_by(*BY_NAME)
    cursor = page_of(queryset, size=4).next
    with CaptureQueriesContext(connection) as asked:
        page_of(queryset, after=cursor, size=4)
    (query,) = asked.captured_queries
    assert "COUNT(" not in query["sql"].upper()
    assert "OFFSET" not in query["sql"].upper()
    with connection.cursor() as cursor:
        if connection.vendor != "sqlite":
            pytest.skip("The plan is read on SQLite.")
        cursor.execute("EXPLAIN QUERY PLAN " + query["sql"])
        plan = " ".join(row[3] for row in cursor.fetchall())
    assert "SEARCH" in plan
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "-1",
        "9" * 30,
        "9" * 5000,
        "WyJhIl0",
        "W10",
        "bnVsbA",
        "%",
        "WyJcdTAwMDAiLCAiMSJd",
        "WyJcdWQ4MDAiLCAiMSJd",
    ],
)
@pytest.mark.parametrize("order", [("-pk",), BY_NAME])
@pytest.mark.parametrize("side", ["after", "before"])
def test_a_cursor_that_is_none_of_ours_does_no_harm(accounts, cursor, order, side):
    """Row 52 of the hostile inputs: clamp."""
    page = page_of(Account.objects.order_by(*order), **{side: cursor}, size=4)
    assert len(page.rows) == 4


def test_a_cursor_past_the_end_shows_the_first_page(accounts):
    queryset = Account.objects.order_by("-pk")
    assert page_of(queryset, after="0", size=4) == page_of(queryset, size=4)


def test_rows_that_came_meanwhile_fill_the_first_page(accounts):
    queryset = Account.objects.order_by("-pk")
    second = page_of(queryset, after=page_of(queryset, size=2).next, size=2)
    newest = AccountFactory(name="Zoe")
    assert page_of(queryset, before=second.previous, size=2).rows == [accounts[-1], accounts[-2]]
    assert page_of(queryset, before=str(accounts[-1].pk), size=2).rows[0] == newest


def test_links_keep_the_filters_and_drop_the_old_place(accounts):
    page = page_of(Account.objects.order_by("-pk"), after=str(accounts[8].pk), size=4)
    links = page.links(QueryDict("status=DRAFT&after=5&owner=2"))
    assert links["next"] == f"?status=DRAFT&owner=2&after={accounts[4].pk}"
    assert links["previous"] == f"?status=DRAFT&owner=2&before={accounts[7].pk}"
