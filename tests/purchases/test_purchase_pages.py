"""Pages of purchases: the list, one on its page, and its verbs as doors."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.roles import Role
from purchases import services
from purchases.models import PricePlan, Purchase
from tests.factories import (
    NOON,
    AccountFactory,
    PricePlanFactory,
    administrator,
    finance,
    person,
    purchase_draft,
    rep,
    submitted_purchase,
)
from togai.models import Delivery, RemoteSnapshot

pytestmark = pytest.mark.django_db

LIST = "/purchases/"
WHY = "The quantity is not what the customer asked for."
HTMX = {"HX-Request": "true"}


@pytest.fixture
def mia(client):
    mia = rep(first_name="Mia")
    client.force_login(mia)
    return mia


def shown(response):
    return [purchase.reference for purchase in response.context["purchases"]]


def verb(purchase, name):
    return f"{LIST}{purchase.reference}/{name}/"


# The list


def test_each_sees_the_purchases_of_their_scope(client, mia):
    """G-62"""
    own = purchase_draft(by=mia)
    other = purchase_draft()
    assert shown(client.get(LIST)) == [own.reference]
    assert client.get(other.get_absolute_url()).status_code == 404
    for name in ("submit", "recall", "release", "send-back", "revise"):
        assert client.post(verb(other, name), {"reason": WHY}).status_code == 404
    client.force_login(person(Role.AUDITOR))
    assert shown(client.get(LIST)) == [other.reference, own.reference]


def test_filters_and_searches_stand_in_the_address(client, mia):
    account = AccountFactory(owner=mia, name="Quayside Cranes", togai_id="quayside")
    draft = purchase_draft(by=mia, account=account)
    waiting = submitted_purchase(by=mia)
    topup = purchase_draft(
        by=mia, type="WALLET_TOPUP", wallet_topup_amount=500, quantity=None, price_plan=None
    )
    pending = submitted_purchase(by=mia)
    services.release(purchase_id=pending.pk, by=finance(), at=NOON, content_hash=pending.content_hash)
    Purchase.objects.filter(pk=pending.pk).update(togai_status="PENDING")
    for query, found in [
        ("status=SUBMITTED", [waiting]),
        ("type=WALLET_TOPUP", [topup]),
        ("togai=PENDING", [pending]),
        ("owner=me&status=DRAFT", [topup, draft]),
        ("q=crane", [draft]),
        (f"q={waiting.reference}", [waiting]),
        (f"q={waiting.number}", [waiting]),
        ("q=nothing+like+it", []),
        ("status=NOTHING&owner=999&after=x", [pending, topup, waiting, draft]),
    ]:
        assert shown(client.get(f"{LIST}?{query}")) == [purchase.reference for purchase in found], query
    assert client.get(LIST, {"q": "x" * 201}).status_code == 400


def test_an_empty_list_says_what_to_do_next(client, mia):
    assert "No purchases yet" in client.get(LIST).content.decode()
    assert "Nothing passes these filters" in client.get(f"{LIST}?status=SENT").content.decode()


def test_the_list_costs_the_same_queries_for_5_and_50_rows(client, mia, django_assert_num_queries):
    """L4"""
    plan, account = PricePlanFactory(), AccountFactory(owner=mia, name="Harbor")
    for _ in range(5):
        purchase_draft(by=mia, price_plan=plan, account=account)
    for query in ("", "?status=DRAFT", "?q=harbor", "?owner=me"):
        client.get(LIST + query)
        with CaptureQueriesContext(connection) as few:
            client.get(LIST + query)
        assert len(few) <= 8
    for _ in range(45):
        purchase_draft(by=mia, price_plan=PricePlanFactory(), account=AccountFactory(owner=mia))
    with django_assert_num_queries(len(few)):
        client.get(f"{LIST}?owner=me")


@pytest.mark.parametrize("role", [Role.REP, Role.FINANCE])
@pytest.mark.parametrize(
    "query", ["", "?status=DRAFT", "?type=ENTITLEMENT_GRANT", "?owner=me", "?togai=PENDING", "?q=harbor"]
)
def test_the_list_reads_what_it_shows_and_no_more(client, role, query):
    """L1, L5: no COUNT, no OFFSET, no leading wildcard and no scan, on the first page and the next."""
    if connection.vendor != "sqlite":
        pytest.skip("The plan is read on SQLite.")
    somebody = person(role)
    plan, account = PricePlanFactory(), AccountFactory(owner=somebody, name="Harbor")
    for _ in range(55):
        purchase_draft(by=somebody, price_plan=plan, account=account)
    Purchase.objects.update(togai_status="PENDING")
    client.force_login(somebody)
    following = client.get(LIST + query).context["pager"]["next"]
    assert following
    for address in (LIST + query, LIST + following):
        with CaptureQueriesContext(connection) as asked:
            client.get(address)
        for sql in [row["sql"] for row in asked.captured_queries if "purchases_purchase" in row["sql"]]:
            assert "COUNT(" not in sql.upper()
            assert "OFFSET" not in sql.upper()
            assert "LIKE '%" not in sql.upper()
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                plan_of_it = [row[3] for row in cursor.fetchall()]
            # An ordered walk that stops at the page's last row is no scan of the table.
            assert [step for step in plan_of_it if step.startswith("SCAN") and step != WALK] == []
            assert not any("TEMP B-TREE" in step for step in plan_of_it)


# By its key, newest first, until the page is full.
WALK = "SCAN purchases_purchase"


# One purchase


def test_the_page_shows_money_first_and_only_offers_what_one_may_do(client, mia):
    purchase = submitted_purchase(by=mia, internal_note="Between us", title="Harbor starts")
    page = client.get(purchase.get_absolute_url())
    text = page.content.decode()
    assert text.index("List price") < text.index("Terms")
    assert page.context["verbs"] - {"clone"} == {"recall"}
    assert "Between us" in text
    omar = finance()
    client.force_login(omar)
    assert client.get(purchase.get_absolute_url()).context["verbs"] - {"clone"} == {"release", "send_back"}
    client.force_login(person(Role.AUDITOR))
    assert client.get(purchase.get_absolute_url()).context["verbs"] <= {"clone"}
    client.force_login(administrator())
    assert client.get(purchase.get_absolute_url()).context["verbs"] - {"clone"} == {"recall"}


def test_an_author_in_finance_is_told_why_they_cannot_release(client):
    """G-22"""
    omar = finance()
    purchase = submitted_purchase(by=omar)
    client.force_login(omar)
    page = client.get(purchase.get_absolute_url())
    assert page.context["verbs"] - {"clone"} == {"recall"}
    assert "somebody else has to decide it" in page.content.decode()


@pytest.mark.parametrize("address", ["D-42", "D-0000042", "d-000042", "D-000000", "D-999999999", "P-000042"])
def test_a_number_has_one_address(client, mia, address):
    assert client.get(f"{LIST}{address}/").status_code == 404


def test_the_page_asks_again_and_answers_only_when_something_moved(client, mia):
    purchase = submitted_purchase(by=mia)
    page = client.get(purchase.get_absolute_url())
    assert f"seen={page.context['fingerprint']}" in page.content.decode()
    seen = {"seen": page.context["fingerprint"]}
    assert client.get(purchase.get_absolute_url(), seen, headers=HTMX).status_code == 204
    services.release(purchase_id=purchase.pk, by=finance(), at=NOON, content_hash=purchase.content_hash)
    again = client.get(purchase.get_absolute_url(), seen, headers=HTMX)
    assert again.status_code == 200
    assert "<html" not in again.content.decode()
    assert "Waits to be sent" in again.content.decode()


def test_a_purchase_that_nothing_can_move_is_not_asked_about(client, mia):
    purchase = purchase_draft(by=mia)
    page = client.get(purchase.get_absolute_url())
    assert page.context["seconds"] is None
    assert 'hx-trigger="every' not in page.content.decode()


def test_the_page_follows_what_togai_says(client, mia):
    purchase = submitted_purchase(by=mia)
    services.release(purchase_id=purchase.pk, by=finance(), at=NOON, content_hash=purchase.content_hash)
    Purchase.objects.filter(pk=purchase.pk).update(
        togai_id="purchase.1",
        togai_status="SUCCESS",
        togai_price="1150.5",
        togai_currency="EUR",
        togai_comment="<b>ours</b>",
    )
    Delivery.objects.update(state="CONFIRMED")
    RemoteSnapshot.objects.create(
        remote_id="purchase.1",
        kind="CREATE_PURCHASE",
        subject_type="purchases.Purchase",
        subject_id=str(purchase.pk),
        status="SUCCESS",
        raw='{"features": [{"name": "API calls", "creditsGranted": 250, "creditsAvailable": 200}]}',
        fetched_at=NOON,
    )
    text = client.get(purchase.get_absolute_url()).content.decode()
    assert "1,150.50" in text
    assert "differs from our estimate" in text
    assert "&lt;b&gt;ours&lt;/b&gt;" in text
    assert "API calls" in text
    assert "200 left" in text


@pytest.mark.parametrize("raw", ["", "[]", "not json", '{"features": 7}', '{"features": [7, null]}'])
def test_an_odd_record_of_togais_breaks_no_page(client, mia, raw):
    purchase = submitted_purchase(by=mia)
    services.release(purchase_id=purchase.pk, by=finance(), at=NOON, content_hash=purchase.content_hash)
    Purchase.objects.filter(pk=purchase.pk).update(togai_id="purchase.1", togai_status="NEW_WORD")
    RemoteSnapshot.objects.create(
        remote_id="purchase.1",
        kind="CREATE_PURCHASE",
        subject_type="purchases.Purchase",
        subject_id=str(purchase.pk),
        status="NEW_WORD",
        raw=raw,
        fetched_at=NOON,
    )
    page = client.get(purchase.get_absolute_url())
    assert page.status_code == 200
    assert page.context["granted"] == []


def test_the_page_costs_the_same_queries_however_long_the_history(client, mia, django_assert_num_queries):
    """L4"""
    purchase = submitted_purchase(by=mia)
    client.get(purchase.get_absolute_url())
    with CaptureQueriesContext(connection) as few:
        client.get(purchase.get_absolute_url())
    assert len(few) <= 12
    at = NOON
    for _ in range(30):
        at += timedelta(minutes=1)
        services.recall(purchase_id=purchase.pk, by=mia, at=at, reason=WHY)
        services.submit(purchase_id=purchase.pk, by=mia, at=at)
    with django_assert_num_queries(len(few)):
        client.get(purchase.get_absolute_url())


# Its verbs


def test_from_draft_to_release_by_two_people(client, mia):
    purchase = purchase_draft(by=mia)
    question = client.get(verb(purchase, "submit"))
    assert question.status_code == 200
    assert client.post(verb(purchase, "submit"), {"version": purchase.version}).status_code == 303
    client.force_login(finance())
    question = client.get(verb(purchase, "release"))
    purchase.refresh_from_db()
    assert purchase.content_hash in question.content.decode()
    answer = client.post(verb(purchase, "release"), {"content_hash": purchase.content_hash})
    assert (answer.status_code, answer.url) == (303, purchase.get_absolute_url())
    assert Delivery.objects.get().state == "NOT_SENT"


def test_a_release_of_something_else_than_was_read_is_a_conflict(client):
    """R-23"""
    purchase = submitted_purchase()
    client.force_login(finance())
    for content_hash in ("", "0" * 64, "ä" * 64):
        answer = client.post(verb(purchase, "release"), {"content_hash": content_hash})
        assert answer.status_code == 409
        assert "not what you read" in answer.content.decode()
    assert not Delivery.objects.exists()


def test_a_release_that_became_impossible_says_why(client):
    purchase = submitted_purchase()
    PricePlan.objects.update(status="ARCHIVED")
    client.force_login(finance())
    answer = client.post(verb(purchase, "release"), {"content_hash": purchase.content_hash})
    assert answer.status_code == 200
    assert "It can no longer be released" in answer.content.decode()
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(("name", "by"), [("recall", "author"), ("send-back", "finance")])
def test_going_back_asks_for_a_reason(client, name, by):
    """G-27"""
    purchase = submitted_purchase()
    client.force_login(purchase.created_by if by == "author" else finance())
    assert client.get(verb(purchase, name)).status_code == 200
    short = client.post(verb(purchase, name), {"reason": "short"})
    assert short.status_code == 200
    assert "at least 10 characters" in short.content.decode()
    assert ">short</textarea>" in short.content.decode().replace("\n", "")
    assert client.post(verb(purchase, name), {"reason": WHY}).status_code == 303
    purchase.refresh_from_db()
    assert purchase.status == "DRAFT"
    # Too late now, for everybody.
    assert client.get(verb(purchase, name)).status_code == 409
    assert client.post(verb(purchase, name), {"reason": WHY}).status_code == 409


def test_the_author_reads_why_it_came_back_until_it_is_submitted_again(client, mia):
    purchase = submitted_purchase(by=mia)
    services.send_back(purchase_id=purchase.pk, by=finance(first_name="Omar"), at=NOON, reason=WHY)
    page = client.get(purchase.get_absolute_url())
    assert page.context["sent_back"]["text"] == WHY
    services.submit(purchase_id=purchase.pk, by=mia, at=NOON)
    assert client.get(purchase.get_absolute_url()).context["sent_back"] is None


def test_what_togai_refused_says_so_and_is_revised(client, mia):
    purchase = submitted_purchase(by=mia)
    services.release(purchase_id=purchase.pk, by=finance(), at=NOON, content_hash=purchase.content_hash)
    assert client.post(verb(purchase, "revise")).status_code == 409
    Delivery.objects.update(state="REJECTED")
    Purchase.objects.filter(pk=purchase.pk).update(togai_refusal="Plan <i>gone</i>")
    page = client.get(purchase.get_absolute_url())
    assert page.context["verbs"] - {"clone"} == {"revise"}
    assert "Plan &lt;i&gt;gone&lt;/i&gt;" in page.content.decode()
    assert client.post(verb(purchase, "revise")).status_code == 303
    purchase.refresh_from_db()
    assert (purchase.status, purchase.revision) == ("DRAFT", 2)


@pytest.mark.parametrize("role", [Role.REP, Role.MANAGER, Role.ADMINISTRATOR, Role.AUDITOR])
@pytest.mark.parametrize("name", ["release", "send-back"])
def test_who_does_not_decide_gets_a_refusal(client, role, name):
    """S-01: 403 on what one sees, and nothing changes."""
    somebody = person(role)
    purchase = submitted_purchase()
    if role in (Role.REP, Role.MANAGER):
        Purchase.objects.filter(pk=purchase.pk).update(owner=somebody)
    client.force_login(somebody)
    assert client.get(verb(purchase, name)).status_code == 403
    sent = {"content_hash": purchase.content_hash, "reason": WHY}
    assert client.post(verb(purchase, name), sent).status_code == 403
    purchase.refresh_from_db()
    assert (purchase.status, Delivery.objects.count()) == ("SUBMITTED", 0)


@pytest.mark.parametrize("version", ["", "99", "x", "٣", "-1", "1" * 30])
def test_a_submit_that_does_not_say_what_it_read_is_a_conflict(client, mia, version):
    """G-07"""
    purchase = purchase_draft(by=mia)
    assert client.post(verb(purchase, "submit"), {"version": version}).status_code == 409
    purchase.refresh_from_db()
    assert purchase.status == "DRAFT"


def test_an_incomplete_draft_shows_what_is_missing(client, mia):
    purchase = purchase_draft(by=mia, quantity=None, price_plan=None)
    page = client.get(verb(purchase, "submit")).content.decode()
    assert "It cannot be submitted yet" in page
    assert client.post(verb(purchase, "submit"), {"version": purchase.version}).status_code == 200
    purchase.refresh_from_db()
    assert purchase.status == "DRAFT"


def test_a_verb_is_asked_by_post(client, mia):
    purchase = purchase_draft(by=mia)
    assert client.get(verb(purchase, "revise")).status_code == 405
    assert client.put(verb(purchase, "submit")).status_code == 405
