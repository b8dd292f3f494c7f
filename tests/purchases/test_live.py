"""What Togai shows of an account now: read late, with short patience, and never at the page's expense."""

from datetime import timedelta
from decimal import Decimal

import pytest
import requests
import responses
from django.core.cache import cache
from responses import matchers

from purchases import live
from purchases.models import Feature
from tests.factories import NOON, AccountFactory, PricePlanFactory, finance, rep
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


@pytest.fixture(autouse=True)
def nothing_is_kept(settings):
    settings.TOGAI_BASE_URL, settings.TOGAI_API_TOKEN = BASE, TOKEN
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


def answers(togai, *, wallet=WALLET, entitlements=(), schedules=(SCHEDULE,), invoices=(INVOICE,), more=None):
    togai.get(f"{BASE}/accounts/harbor/wallet", json=wallet)
    togai.get(f"{BASE}/accounts/harbor/entitlements", json={"data": list(entitlements)})
    togai.get(f"{BASE}/v2/accounts/harbor/schedules", json={"data": list(schedules)})
    togai.get(
        f"{BASE}/invoices",
        json={"data": list(invoices), "nextToken": more},
        match=[matchers.query_param_matcher({"owner_id": "harbor", "pageSize": "50"})],
    )


def test_the_parts_are_read_and_named(account, gateway, togai):
    PricePlanFactory(togai_id="pp.scale")
    Feature.objects.create(togai_id="feature.calls", name="calls", display_name="API calls", pulled_at=NOON)
    answers(
        togai,
        entitlements=[
            {"featureId": "feature.calls", "value": "50000"},
            {"featureId": "feature.sso", "value": "true"},
        ],
        invoices=[INVOICE | {"id": f"inv.{number}"} for number in range(30)],
        more="another page",
    )
    seen = live.look(account, at=NOON, gateway=gateway)
    assert (seen.fetched_at, seen.trouble) == (NOON, "")
    assert (seen.wallet["balance"], seen.wallet["on_hold"]) == (Decimal("750.25"), Decimal("49.75"))
    assert seen.entitlements == (("API calls", "50,000"), ("feature.sso", "yes"))
    (plan,) = seen.plans
    assert (plan["name"], plan["url"], plan["overridden"], plan["ends"]) == (
        "Scale Monthly",
        "/plans/pp.scale/",
        True,
        None,
    )
    # The newest ten, and no further page is asked for.
    assert [invoice["id"] for invoice in seen.invoices] == [f"inv.{number}" for number in range(10)]
    assert len(togai.calls) == 4


def test_what_was_just_read_is_not_read_again(account, gateway, togai):
    answers(togai)
    first = live.look(account, at=NOON, gateway=gateway)
    again = live.look(account, at=NOON + timedelta(seconds=19), gateway=gateway)
    assert again == first
    assert len(togai.calls) == 4
    live.look(account, at=NOON + timedelta(seconds=19), gateway=gateway, insist=True)
    live.look(account, at=NOON + timedelta(seconds=60), gateway=gateway)
    assert len(togai.calls) == 12


@pytest.mark.parametrize(
    "body", [requests.ConnectionError(), requests.ReadTimeout(), requests.exceptions.SSLError()]
)
def test_a_line_that_is_down_costs_one_try_and_shows_what_was_seen_last(account, gateway, togai, body):
    answers(togai)
    first = live.look(account, at=NOON, gateway=gateway)
    togai.reset()
    togai.get(f"{BASE}/accounts/harbor/wallet", body=body)
    later = live.look(account, at=NOON + timedelta(hours=1), gateway=gateway)
    assert len(togai.calls) == 1
    assert (later.fetched_at, later.wallet) == (NOON, first.wallet)
    assert later.trouble
    # The worker decides whether this is an outage.
    assert Link.load().unreachable_since is None


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, ""), (502, "<html>"), (200, "<html>"), (200, "[]"), (400, "{}"), (403, "{}"), (418, "")],
)
def test_an_odd_answer_hides_no_other_part_and_raises_nothing(account, gateway, togai, status, body):
    togai.get(f"{BASE}/accounts/harbor/wallet", status=status, body=body)
    answers(togai)
    seen = live.look(account, at=NOON, gateway=gateway)
    assert seen.wallet is None
    assert seen.trouble
    if status not in (500, 502, 418):
        assert len(seen.invoices) == 1


def test_what_togai_does_not_have_is_an_answer(account, gateway, togai):
    togai.get(f"{BASE}/accounts/harbor/wallet", status=404, json={"message": "No wallet"})
    answers(togai, schedules=(), invoices=())
    seen = live.look(account, at=NOON, gateway=gateway)
    assert (seen.wallet, seen.plans, seen.invoices, seen.trouble) == ((), (), (), "")


def test_a_refused_token_closes_the_line_for_everybody(account, gateway, togai):
    """Five of these lock the office out for half an hour (togai.md 0, 6)."""
    togai.get(f"{BASE}/accounts/harbor/wallet", status=401)
    live.look(account, at=NOON, gateway=gateway)
    assert Link.load().closed_until == NOON + timedelta(minutes=6)
    again = live.look(account, at=NOON + timedelta(minutes=5), gateway=gateway, insist=True)
    assert len(togai.calls) == 1
    assert "token" in again.trouble


def test_a_pause_that_togai_asks_for_is_kept(account, gateway, togai):
    togai.get(f"{BASE}/accounts/harbor/wallet", status=429, headers={"Retry-After": "30"})
    live.look(account, at=NOON, gateway=gateway)
    live.look(account, at=NOON + timedelta(seconds=29), gateway=gateway, insist=True)
    assert len(togai.calls) == 1


def test_in_an_outage_nobody_waits_unless_they_ask_to(account, gateway, togai):
    Link.objects.create(pk=1, unreachable_since=NOON, why="Togai cannot be reached.")
    answers(togai)
    seen = live.look(account, at=NOON, gateway=gateway)
    assert (seen.is_empty, len(togai.calls)) == (True, 0)
    assert live.look(account, at=NOON, gateway=gateway, insist=True).wallet


# The page


def test_the_account_page_does_not_wait_for_togai(client, account, togai):
    client.force_login(finance())
    page = client.get("/accounts/harbor/")
    assert page.status_code == 200
    assert 'hx-get="/accounts/harbor/live/"' in page.content.decode()
    assert len(togai.calls) == 0


def test_the_part_is_a_piece_for_htmx_and_a_page_for_everybody_else(client, account, togai):
    answers(togai)
    client.force_login(finance())
    piece = client.get("/accounts/harbor/live/", headers=HTMX).content.decode()
    page = client.get("/accounts/harbor/live/").content.decode()
    assert "<html" not in piece
    assert "<html" in page
    for text in (piece, page):
        assert "750.25" in text
        assert "49.75" in text
        assert "Scale Monthly" in text
        assert "Order" in text
        assert TOKEN not in text


def test_out_of_scope_there_is_nothing_to_read(client, account, togai):
    """G-62"""
    client.force_login(rep())
    assert client.get("/accounts/harbor/live/").status_code == 404
    assert len(togai.calls) == 0


def test_the_part_says_clearly_that_togai_cannot_be_read(client, account, togai):
    togai.get(f"{BASE}/accounts/harbor/wallet", body=requests.ConnectionError())
    client.force_login(finance())
    text = client.get("/accounts/harbor/live/", headers=HTMX).content.decode()
    assert "Togai cannot be read now" in text
    assert "Try now" in text


def test_words_of_togais_are_text(client, account, togai):
    answers(
        togai,
        wallet=WALLET | {"creditUnit": "<b>"},
        entitlements=[{"featureId": "<i>", "value": "<u>"}],
        schedules=[SCHEDULE | {"pricePlanInfo": {"name": "<s>"}}],
        invoices=[INVOICE | {"id": "<q>", "status": "<em>"}],
    )
    client.force_login(finance())
    text = client.get("/accounts/harbor/live/", headers=HTMX).content.decode()
    for mark in ("<b>", "<i>", "<u>", "<s>", "<q>", "<em>"):
        assert mark not in text


def test_a_record_that_lacks_everything_optional_has_a_page(client, account, togai):
    answers(
        togai,
        wallet={"id": "wallet.1"},
        entitlements=[{"featureId": "feature.x"}],
        schedules=[{"id": "sch.1"}],
        invoices=[{"id": "inv.1"}],
    )
    client.force_login(finance())
    text = client.get("/accounts/harbor/live/", headers=HTMX).content.decode()
    assert "unknown" in text
    assert "None" not in text
