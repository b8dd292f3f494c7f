"""What Togai shows of an account now: read late, part by part, and never at the page's expense."""

from datetime import timedelta
from decimal import Decimal

import pytest
import requests
import responses
from django.core.cache import cache
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from responses import matchers

from audit.roles import Role
from proposals.models import Proposal
from purchases import live
from purchases.models import Feature
from tests.factories import NOON, AccountFactory, PricePlanFactory, finance, person, rep, submitted
from togai import line
from togai.gateway import Gateway
from togai.models import Link
from togai.secret import Secret

pytestmark = pytest.mark.django_db

BASE = "https://togai.test"
HTMX = {"HX-Request": "true"}
TOKEN = "canary-of-the-live-part"

WALLET = {
    "id": "wallet.1",
    "accountId": "harbor",
    "customerId": "c",
    "balance": 750.25,
    "holdAmount": 49.75,
    "creditUnit": "EUR",
    "status": "ACTIVE",
    "effectiveFrom": "2029-11-02T08:00:00Z",
}
ENTRY = {
    "id": "wallet.e1",
    "walletId": "wallet.1",
    "transactionType": "CREDITED",
    "status": "COMPLETED",
    "amount": 500,
    "closingBalance": 750.25,
    "createdAt": "2030-02-03T11:00:00Z",
    "description": "top-up",
}
INVOICE = {
    "id": "inv.1",
    "ownerId": "harbor",
    "status": "DUE",
    "invoiceClass": "ORDER",
    "invoiceType": "AD_HOC",
    "invoiceDate": "2030-02-10T00:00:00Z",
    "updatedAt": "2030-02-10T00:00:05Z",
    "totalAmount": 250,
    "paidAmount": 0,
    "netTermDays": 30,
    "dueDate": "2030-03-12T00:00:00Z",
}
SCHEDULE = {
    "id": "sch.1",
    "accountId": "harbor",
    "pricePlanId": "pp.scale",
    "version": 3,
    "deferredRevenue": False,
    "pricePlanInfo": {"name": "Scale Monthly"},
    "accountScheduleInfo": {"supportedCurrencies": ["EUR"]},
    "startDate": "2030-01-01T00:00:00Z",
    "endDate": "9999-01-01T00:00:00Z",
    "allowOngoingCycleUpdates": False,
    "isOverridden": True,
}
GRANT = {
    "id": "purchase.1#0$PURCHASE",
    "source": "ENTITLEMENT",
    "status": "ACTIVE",
    "effectiveFrom": "2030-01-01T00:00:00Z",
    "effectiveUntil": "2030-03-01T00:00:00Z",
    "granted": 20000,
    "used": 3000.5,
    "balance": 16999.5,
}
ROW = {
    "id": "purchase.9",
    "type": "ENTITLEMENT_GRANT",
    "status": "SUCCESS",
    "pricePlanName": "Pack",
    "createdAt": "2030-01-02T00:00:00Z",
    "updatedAt": "2030-01-02T00:00:00Z",
    "paymentMode": "PREPAID",
}


@pytest.fixture(autouse=True)
def nothing_is_kept(settings):
    settings.TOGAI_BASE_URL, settings.TOGAI_API_TOKEN = BASE, TOKEN
    settings.TOGAI_REQUESTS_PER_SECOND = 10_000
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def account():
    return AccountFactory(togai_id="harbor", currency="EUR")


@pytest.fixture
def gateway():
    return Gateway(base_url=BASE, token=Secret(TOKEN))


@pytest.fixture
def togai():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def answers(
    togai,
    *,
    wallet=WALLET,
    entries=(ENTRY,),
    entitlements=(),
    schedules=(SCHEDULE,),
    invoices=(INVOICE,),
    more=None,
    proposals=(),
    purchases=(),
):
    account = f"{BASE}/accounts/harbor"
    togai.get(f"{account}/wallet", json=wallet)
    togai.get(f"{account}/wallet/entries", json={"data": list(entries)})
    togai.get(f"{account}/entitlements", json={"data": list(entitlements)})
    togai.get(f"{BASE}/v2/accounts/harbor/schedules", json={"data": list(schedules)})
    togai.get(
        f"{BASE}/invoices",
        json={"data": list(invoices), "nextToken": more},
        match=[matchers.query_param_matcher({"owner_id": "harbor", "pageSize": "50"})],
    )
    togai.get(f"{account}/purchase_proposals", json={"data": list(proposals)})
    togai.get(f"{account}/purchases", json={"data": list(purchases)})


# The parts


def test_a_wallet_is_its_balance_and_its_newest_entries(account, gateway, togai):
    spent = ENTRY | {"id": "e2", "transactionType": "DEBITED", "status": "ON_HOLD", "description": None}
    answers(togai, entries=[spent] + [ENTRY | {"id": f"e{number}"} for number in range(30)])
    seen = live.look(account, "wallet", at=NOON, gateway=gateway)
    assert (seen.read_at, seen.trouble) == (NOON, "")
    assert (seen.found["balance"], seen.found["on_hold"]) == (Decimal("750.25"), Decimal("49.75"))
    debit, credit = seen.found["entries"][:2]
    assert (debit["what"], debit["amount"], debit["on_hold"]) == ("Taken out", Decimal(-500), True)
    assert (credit["what"], credit["amount"], credit["after"]) == ("top-up", Decimal(500), Decimal("750.25"))
    assert len(seen.found["entries"]) == live.NEWEST


def test_a_wallet_whose_entries_cannot_be_read_still_has_its_balance(account, gateway, togai):
    togai.get(f"{BASE}/accounts/harbor/wallet/entries", status=500)
    answers(togai)
    seen = live.look(account, "wallet", at=NOON, gateway=gateway)
    assert (seen.found["balance"], seen.found["entries"]) == (Decimal("750.25"), None)
    assert "entries could not be read" in seen.trouble


def test_entitlements_say_what_is_granted_used_left_and_until_when(account, gateway, togai):
    Feature.objects.create(togai_id="feature.calls", name="calls", display_name="API calls", pulled_at=NOON)
    answers(
        togai,
        entitlements=[
            {"featureId": "feature.calls", "value": "26999.5"},
            {"featureId": "feature.sso", "value": "true"},
        ],
    )
    later = GRANT | {"id": "2", "granted": 10000, "used": 0, "balance": 10000}
    over = GRANT | {"id": "3", "status": "EXPIRED"}
    togai.get(
        f"{BASE}/accounts/harbor/features/feature.calls/entries",
        json={"data": [later | {"effectiveUntil": "2030-06-01T00:00:00Z"}, GRANT, over]},
    )
    calls, sso = live.look(account, "entitlements", at=NOON, gateway=gateway).found
    assert (calls["name"], calls["granted"], calls["used"], calls["left"]) == (
        "API calls",
        Decimal(30000),
        Decimal("3000.5"),
        Decimal("26999.5"),
    )
    assert (calls["until"].date().isoformat(), calls["later"]) == ("2030-03-01", True)
    assert sso == {"name": "feature.sso", "value": "yes"}


def test_grants_are_asked_for_of_a_few_features_only(account, gateway, togai):
    answers(togai, entitlements=[{"featureId": f"f{number}", "value": "1"} for number in range(30)])
    for number in range(30):
        togai.get(f"{BASE}/accounts/harbor/features/f{number}/entries", json={"data": [GRANT]})
    rows = live.look(account, "entitlements", at=NOON, gateway=gateway).found
    assert len(rows) == 30
    assert len(togai.calls) == 1 + live.MOST_FEATURES


def test_grants_that_cannot_be_read_hide_no_value(account, gateway, togai):
    answers(togai, entitlements=[{"featureId": "f1", "value": "7"}, {"featureId": "f2", "value": "8"}])
    togai.get(f"{BASE}/accounts/harbor/features/f1/entries", body=requests.ReadTimeout())
    seen = live.look(account, "entitlements", at=NOON, gateway=gateway)
    assert [row["value"] for row in seen.found] == ["7", "8"]
    assert "could not be read" in seen.trouble
    # The line is down: the second feature is not tried.
    assert len(togai.calls) == 2


def test_plans_and_invoices_are_named(account, gateway, togai):
    PricePlanFactory(togai_id="pp.scale")
    answers(
        togai,
        invoices=[INVOICE | {"id": f"inv.{number}"} for number in range(29)],
        more="another page",
    )
    (plan,) = live.look(account, "plans", at=NOON, gateway=gateway).found
    assert (plan["name"], plan["url"], plan["overridden"], plan["ends"]) == (
        "Scale Monthly",
        "/plans/pp.scale/",
        True,
        None,
    )
    invoices = live.look(account, "invoices", at=NOON, gateway=gateway).found
    # The newest ten, and no further page is asked for.
    assert [invoice["id"] for invoice in invoices] == [f"inv.{number}" for number in range(10)]
    assert len(togai.calls) == 2


def test_an_invoice_goes_by_the_number_that_people_know(account, gateway, togai):
    answers(togai, invoices=[INVOICE | {"sequenceId": "2030-0017"}, INVOICE])
    invoices = live.look(account, "invoices", at=NOON, gateway=gateway).found
    assert [invoice["number"] for invoice in invoices] == ["2030-0017", "inv.1"]


def test_togais_deals_lead_to_ours_and_name_what_was_made_elsewhere(account, gateway, togai):
    mia, noah = rep(), rep()
    made = {}
    for owner, togai_id in ((noah, "purchase.foreign"), (mia, "purchase.ours")):
        # The account has changed hands between the two.
        account.owner = owner
        account.save(update_fields=["owner"])
        made[owner] = submitted(by=owner, account=account)
        Proposal.objects.filter(pk=made[owner].pk).update(togai_id=togai_id)
    ours = made[mia]
    answers(
        togai,
        proposals=[ROW | {"id": "purchase.ours"}, ROW | {"id": "purchase.foreign"}, ROW],
        purchases=[ROW],
    )
    seen = live.look(account, "deals", at=NOON, gateway=gateway)
    rows = live.theirs_and_ours(seen, account, mia)
    found = {row["id"]: row["deal"] for row in rows}
    assert found["purchase.ours"].reference == ours.reference
    assert found["purchase.9"] is None
    # An approved proposal stands in both of Togai's lists and once in ours.
    assert [row["id"] for row in rows].count("purchase.9") == 1
    everything = live.theirs_and_ours(seen, account, finance())
    assert {row["id"] for row in everything} == {"purchase.ours", "purchase.foreign", "purchase.9"}


# When Togai is asked


def test_what_was_just_read_is_not_read_again(account, gateway, togai):
    answers(togai)
    first = live.look(account, "plans", at=NOON, gateway=gateway)
    again = live.look(account, "plans", at=NOON + timedelta(seconds=19), gateway=gateway)
    assert again == first
    assert len(togai.calls) == 1
    live.look(account, "plans", at=NOON + timedelta(seconds=19), gateway=gateway, insist=True)
    live.look(account, "plans", at=NOON + timedelta(seconds=60), gateway=gateway)
    assert len(togai.calls) == 3


@pytest.mark.parametrize(
    "body", [requests.ConnectionError(), requests.ReadTimeout(), requests.exceptions.SSLError()]
)
def test_a_line_that_is_down_costs_one_try_and_shows_what_was_seen_last(account, gateway, togai, body):
    answers(togai)
    first = live.look(account, "plans", at=NOON, gateway=gateway)
    togai.reset()
    togai.get(f"{BASE}/v2/accounts/harbor/schedules", body=body)
    hour_later = NOON + timedelta(hours=1)
    later = live.look(account, "plans", at=hour_later, gateway=gateway)
    assert (later.read_at, later.found, later.since) == (NOON, first.found, hour_later)
    assert later.trouble
    # Nobody else waits for the same line, whatever part they look at; a little later somebody tries again.
    soon = live.look(account, "wallet", at=hour_later + timedelta(seconds=5), gateway=gateway)
    assert (soon.is_empty, soon.since, len(togai.calls)) == (True, hour_later, 1)
    again = live.look(account, "plans", at=hour_later + timedelta(minutes=1), gateway=gateway)
    assert (len(togai.calls), again.since) == (2, hour_later)
    # The worker decides whether this is an outage.
    assert Link.load().unreachable_since is None


def test_a_line_that_is_back_is_asked_by_everybody_at_once(account, gateway, togai):
    togai.get(f"{BASE}/v2/accounts/harbor/schedules", body=requests.ConnectionError())
    live.look(account, "plans", at=NOON, gateway=gateway)
    answers(togai)
    live.look(account, "invoices", at=NOON, gateway=gateway, insist=True)
    assert live.look(account, "wallet", at=NOON, gateway=gateway).found


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, ""), (502, "<html>"), (200, "<html>"), (200, "[]"), (400, "{}"), (403, "{}"), (418, "")],
)
def test_an_odd_answer_raises_nothing_and_is_said(account, gateway, togai, status, body):
    togai.get(f"{BASE}/accounts/harbor/wallet", status=status, body=body)
    answers(togai)
    seen = live.look(account, "wallet", at=NOON, gateway=gateway)
    assert (seen.found, seen.is_empty) == (None, True)
    assert seen.trouble
    assert len(live.look(account, "invoices", at=NOON, gateway=gateway, insist=True).found) == 1


def test_what_togai_does_not_have_is_an_answer(account, gateway, togai):
    togai.get(f"{BASE}/accounts/harbor/wallet", status=404, json={"message": "No wallet"})
    answers(togai, schedules=(), invoices=())
    for part in ("wallet", "plans", "invoices"):
        seen = live.look(account, part, at=NOON, gateway=gateway)
        assert (seen.found, seen.trouble) == ((), "")


def test_a_refused_token_closes_the_line_for_everybody(account, gateway, togai):
    """Five of these lock the office out for half an hour (togai.md 0, 6)."""
    togai.get(f"{BASE}/accounts/harbor/wallet", status=401)
    live.look(account, "wallet", at=NOON, gateway=gateway)
    assert Link.load().closed_until == NOON + timedelta(minutes=6)
    again = live.look(account, "plans", at=NOON + timedelta(minutes=5), gateway=gateway, insist=True)
    assert len(togai.calls) == 1
    assert "token" in again.trouble


def test_a_pause_that_togai_asks_for_is_kept(account, gateway, togai):
    """R-19"""
    togai.get(f"{BASE}/accounts/harbor/wallet", status=429, headers={"Retry-After": "30"})
    live.look(account, "wallet", at=NOON, gateway=gateway)
    live.look(account, "wallet", at=NOON + timedelta(seconds=29), gateway=gateway, insist=True)
    assert len(togai.calls) == 1


def test_in_an_outage_nobody_waits_unless_they_ask_to(account, gateway, togai):
    Link.objects.create(pk=1, unreachable_since=NOON, why="Togai cannot be reached.")
    answers(togai)
    seen = live.look(account, "plans", at=NOON, gateway=gateway)
    assert (seen.is_empty, seen.since, len(togai.calls)) == (True, NOON, 0)
    assert live.look(account, "plans", at=NOON, gateway=gateway, insist=True).found


@pytest.mark.parametrize("forbid", [line.pause, line.look_only])
def test_reading_goes_on_while_sending_is_paused_or_only_looks_are_allowed(account, gateway, togai, forbid):
    """G-52, R-21"""
    forbid(at=NOON, why="Restored.", **({"by": finance()} if forbid is line.pause else {}))
    answers(togai)
    assert live.look(account, "plans", at=NOON, gateway=gateway).found


def test_no_page_reads_inside_a_transaction(account, togai):
    """R-02"""
    answers(togai)
    with (
        transaction.atomic(),
        pytest.raises(RuntimeError, match="inside a database transaction"),
    ):
        live.look(account, "plans", at=NOON)
    assert len(togai.calls) == 0


# The pages


def test_the_account_page_does_not_wait_for_togai(client, account, togai):
    client.force_login(finance())
    page = client.get("/accounts/harbor/")
    assert page.status_code == 200
    text = page.content.decode()
    for part in live.PARTS:
        assert f'hx-get="/accounts/harbor/live/{part}/"' in text
    # Without JavaScript a link leads to all of it.
    assert 'href="/accounts/harbor/live/"' in text
    assert len(togai.calls) == 0


def test_a_part_is_a_piece_for_htmx_and_a_page_for_everybody_else(client, account, togai):
    answers(togai)
    client.force_login(finance())
    piece = client.get("/accounts/harbor/live/wallet/", headers=HTMX).content.decode()
    page = client.get("/accounts/harbor/live/wallet/").content.decode()
    whole = client.get("/accounts/harbor/live/").content.decode()
    assert "<html" not in piece
    for text in (page, whole):
        assert "<html" in text
    for text in (piece, page, whole):
        assert "750.25" in text
        assert "49.75" in text
        assert "top-up" in text
        assert "as of" in text
        assert TOKEN not in text
    for words in ("Scale Monthly", "inv.1", "Nothing is granted", "Togai lists no purchase"):
        assert words in whole
        assert words not in piece


def test_out_of_scope_there_is_nothing_to_read(client, account, togai):
    """G-62, S-07"""
    client.force_login(rep())
    for part in ("", *(f"{name}/" for name in live.PARTS), "ledger/"):
        assert client.get(f"/accounts/harbor/live/{part}", headers=HTMX).status_code == 404
    assert len(togai.calls) == 0


def test_there_are_no_other_parts(client, account, togai):
    client.force_login(finance())
    assert client.get("/accounts/harbor/live/ledger/", headers=HTMX).status_code == 404


def test_a_part_says_clearly_that_togai_cannot_be_read_and_since_when(client, account, togai):
    togai.get(f"{BASE}/accounts/harbor/wallet", body=requests.ConnectionError())
    client.force_login(finance())
    text = client.get("/accounts/harbor/live/wallet/", headers=HTMX).content.decode()
    for words in (
        "This cannot be read now",
        "It has been so since",
        "Try now",
        "Everything else on this page works",
    ):
        assert words in text


def test_words_of_togais_are_text(client, account, togai):
    answers(
        togai,
        wallet=WALLET | {"creditUnit": "<b>"},
        entries=[ENTRY | {"description": "<a>", "entityId": "<td>", "transactionType": "<th>"}],
        entitlements=[{"featureId": "<i>", "value": "<u>"}],
        schedules=[SCHEDULE | {"pricePlanInfo": {"name": "<s>"}}],
        invoices=[INVOICE | {"id": "<q>", "status": "<em>", "sequenceId": "<p>x"}],
        purchases=[ROW | {"id": "<h1>", "status": "<h2>", "pricePlanName": "<h3>"}],
    )
    client.force_login(finance())
    text = "".join(
        client.get(f"/accounts/harbor/live/{part}/", headers=HTMX).content.decode() for part in live.PARTS
    )
    for mark in ("<b>", "<a>", "<td>\n", "<i>", "<u>", "<s>", "<q>", "<em>", "<p>x", "<h1>", "<h3>"):
        assert mark not in text
    assert "&lt;s&gt;" in text
    assert "&lt;h1&gt;" in text


def test_records_that_lack_everything_optional_have_a_page(client, account, togai):
    answers(
        togai,
        wallet={"id": "wallet.1"},
        entries=[{"id": "e1"}],
        entitlements=[{"featureId": "feature.x"}, {"featureId": "feature.y", "value": "3"}],
        schedules=[{"id": "sch.1"}],
        invoices=[{"id": "inv.1"}],
        proposals=[{"id": "purchase.1", "status": "A_NEW_WORD"}],
    )
    togai.get(f"{BASE}/accounts/harbor/features/feature.y/entries", json={"data": [{"id": "g"}]})
    client.force_login(finance())
    text = client.get("/accounts/harbor/live/", headers=HTMX).content.decode()
    assert "unknown" in text
    assert "A_NEW_WORD" in text
    assert "None" not in text


@pytest.mark.parametrize("role", [Role.REP, Role.AUDITOR])
def test_many_rows_of_togais_cost_no_more_queries_than_one(
    client, account, togai, role, django_assert_num_queries
):
    """L4"""
    reader = person(role)
    account.owner = reader
    account.save(update_fields=["owner"])
    client.force_login(reader)
    answers(togai, proposals=[ROW])
    client.get("/accounts/harbor/live/deals/", headers=HTMX)
    with CaptureQueriesContext(connection) as few:
        client.get("/accounts/harbor/live/deals/", headers=HTMX)
    cache.clear()
    togai.reset()
    answers(togai, proposals=[ROW | {"id": f"purchase.{number}"} for number in range(10)])
    with django_assert_num_queries(len(few) + 1):
        # One more: whether the line is open is asked again before Togai is.
        client.get("/accounts/harbor/live/deals/", headers=HTMX)
