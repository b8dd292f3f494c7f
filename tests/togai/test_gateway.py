"""What leaves the gateway and how lists are walked."""

import itertools
import json
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import responses
from responses import matchers

from tests.togai.raw_server import RawTogai, answer, says
from togai.errors import ContractChanged, Missing, NotSent, Unconfirmed
from togai.gateway import VERSION, Gateway, Page, checked_base_url
from togai.secret import Secret

TOKEN = "tk-canary-7c1e5f0a9b"
BASE = "https://togai.test"
BODY = b'{"idempotencyKey":"k-1","type":"WALLET_TOPUP"}'
GOOD = {"id": "purchase.1", "accountId": "acme", "status": "PROPOSAL_ACTIVE"}


@pytest.fixture
def togai():
    return Gateway(base_url=BASE, token=Secret(TOKEN))


# Requests


@responses.activate
def test_a_write_carries_the_frozen_bytes_the_token_and_nothing_it_should_not(togai):
    """R-14, R-18, R-19"""
    responses.post(f"{BASE}/accounts/acme/purchase_proposals", json=GOOD)
    togai.create_proposal(account_id="acme", body=BODY)
    sent = responses.calls[0].request
    assert sent.body == BODY
    assert dict(sent.headers) == {
        "User-Agent": f"deal-desk/{VERSION}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "Connection": "close",
        "Content-Length": str(len(BODY)),
        "Authorization": f"Bearer {TOKEN}",
    }


def test_the_version_we_name_is_the_version_we_are():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


@responses.activate
def test_each_write_goes_to_its_own_path(togai):
    responses.post(f"{BASE}/accounts/acme/purchases", json=GOOD)
    responses.post(f"{BASE}/accounts/acme/purchase_proposals", json=GOOD)
    responses.post(f"{BASE}/purchase_proposals/purchase.1/update_status", json=GOOD)
    responses.patch(f"{BASE}/accounts/acme", json={"id": "acme", "name": "Acme"})
    assert togai.create_purchase(account_id="acme", body=BODY).id == "purchase.1"
    assert togai.create_proposal(account_id="acme", body=BODY).id == "purchase.1"
    decided = togai.update_proposal_status(proposal_id="purchase.1", body=b'{"status":"APPROVE"}')
    assert decided.status == "PROPOSAL_ACTIVE"
    assert togai.update_account(account_id="acme", body=b'{"name":"Acme"}').name == "Acme"


@responses.activate
@pytest.mark.parametrize(
    ("call", "url", "answer"),
    [
        (lambda togai: togai.get_proposal("p.1"), "/purchase_proposals/p.1", GOOD | {"id": "p.1"}),
        (lambda togai: togai.get_purchase("p.1"), "/purchases/p.1", GOOD | {"id": "p.1"}),
        (lambda togai: togai.get_account("acme"), "/accounts/acme", {"id": "acme"}),
        (lambda togai: togai.get_customer("c"), "/customers/c", {"id": "c"}),
        (lambda togai: togai.get_price_plan("pp.1"), "/v2/price_plans/pp.1", {"id": "pp.1"}),
        (lambda togai: togai.get_price_plan("pp.1", 3), "/v2/price_plans/pp.1?version=3", {"id": "pp.1"}),
        (
            lambda togai: togai.get_price_plan("pp.1", "ACTIVE"),
            "/v2/price_plans/pp.1?version=ACTIVE",
            {"id": "pp.1"},
        ),
        (lambda togai: togai.get_wallet("acme"), "/accounts/acme/wallet", {"id": "wallet.1"}),
        (
            lambda togai: togai.get_feature_credits("acme", "f#1$2"),
            "/accounts/acme/features/f%231%242",
            {"featureId": "f#1$2", "balance": 2.5},
        ),
        (
            lambda togai: togai.get_entitlements("acme"),
            "/accounts/acme/entitlements",
            {"data": [{"featureId": "f", "value": "true"}]},
        ),
        (lambda togai: togai.probe(), "/accounts?pageSize=1", {"data": []}),
        (
            lambda togai: list(togai.list_invoices("acme")),
            "/invoices?owner_id=acme&pageSize=50",
            {"data": []},
        ),
        (
            lambda togai: list(togai.list_schedules("acme", "DRAFT")),
            "/v2/accounts/acme/schedules?mode=DRAFT&pageSize=50",
            {"data": []},
        ),
        (lambda togai: list(togai.list_accounts()), "/accounts?pageSize=50", {"data": []}),
        (lambda togai: list(togai.list_customers()), "/customers?pageSize=50", {"data": []}),
        (lambda togai: list(togai.list_price_plans()), "/v2/price_plans?pageSize=50", {"data": []}),
        (
            lambda togai: list(togai.list_price_plan_versions("pp.1")),
            "/v2/price_plans/pp.1/versions?pageSize=50",
            {"data": []},
        ),
        (
            lambda togai: list(togai.list_rate_cards("pp.1")),
            "/v2/price_plans/pp.1/rate_cards?pageSize=50",
            {"data": []},
        ),
        (lambda togai: list(togai.list_features()), "/features?pageSize=50", {"data": []}),
        (lambda togai: list(togai.list_add_ons()), "/addons?pageSize=50", {"data": []}),
        (lambda togai: list(togai.list_usage_meters()), "/usage_meters?pageSize=50", {"data": []}),
        (
            lambda togai: list(togai.list_wallet_entries("acme")),
            "/accounts/acme/wallet/entries?pageSize=50",
            {"data": []},
        ),
        (
            lambda togai: list(togai.list_credit_entries("acme", "f#1$2")),
            "/accounts/acme/features/f%231%242/entries?pageSize=50",
            {"data": []},
        ),
        (lambda togai: list(togai.list_account_purchases("acme")), "/accounts/acme/purchases", {"data": []}),
        (
            lambda togai: list(togai.list_account_proposals("acme")),
            "/accounts/acme/purchase_proposals",
            {"data": []},
        ),
        (lambda togai: togai.page_of_accounts(), "/accounts?pageSize=100", {"data": []}),
        (lambda togai: togai.page_of_price_plans("t/1"), "/v2/price_plans?nextToken=t%2F1", {"data": []}),
    ],
    ids=itertools.count(),
)
def test_each_read_asks_for_exactly_its_own_address(togai, call, url, answer):
    responses.get(BASE + url, json=answer)
    call(togai)
    sent = responses.calls[0].request
    assert (sent.url, sent.body, sent.headers.get("Connection")) == (BASE + url, None, None)


@responses.activate
@pytest.mark.parametrize(
    ("account", "path"),
    [
        ("acme/../admin", "acme%2F..%2Fadmin"),
        ("a b?c#d&e=f", "a%20b%3Fc%23d%26e%3Df"),
        ("%2e%2e", "%252e%252e"),
        ("Müller;x", "M%C3%BCller%3Bx"),
        ("...", "..."),
        ("~a_b-c.d", "~a_b-c.d"),
        ("\\\\host", "%5C%5Chost"),
        ("a\r\nHost: x", "a%0D%0AHost%3A%20x"),
    ],
)
def test_an_id_never_becomes_a_path_of_its_own(togai, account, path):
    responses.get(f"{BASE}/accounts/{path}", json={"id": account})
    assert togai.get_account(account).id == account
    assert responses.calls[0].request.path_url == f"/accounts/{path}"


@responses.activate
@pytest.mark.parametrize("account", ["", ".", "..", "a" * 513, "\ud800"])
def test_an_id_that_cannot_be_a_path_part_is_refused_before_anything_is_sent(togai, account):
    with pytest.raises(NotSent) as refusal:
        togai.create_purchase(account_id=account, body=BODY)
    assert (refusal.value.reason, len(responses.calls)) == ("local", 0)


@responses.activate
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"{}", b'{"idempotencyKey":""}', b'{"idempotencyKey":null}']
)
def test_a_create_without_a_key_does_not_leave(togai, body):
    """R-13"""
    with pytest.raises(NotSent) as refusal:
        togai.create_proposal(account_id="acme", body=body)
    assert (refusal.value.reason, len(responses.calls)) == ("local", 0)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://api.togai.com", "https://api.togai.com"),
        ("https://api.togai.com/", "https://api.togai.com"),
        ("HTTPS://API.togai.com:8443", "https://api.togai.com:8443"),
        ("http://127.0.0.1:9010", "http://127.0.0.1:9010"),
        ("http://localhost:9010/", "http://localhost:9010"),
        ("http://[::1]:9010", "http://[::1]:9010"),
    ],
)
def test_an_address_of_togai_is_taken_without_its_trailing_slash(given, used):
    assert checked_base_url(given) == used


@pytest.mark.parametrize(
    "given",
    [
        "",
        "api.togai.com",
        "http://api.togai.com",
        "http://127.0.0.1.evil.test",
        "http://127.0.0.2",
        "http://0.0.0.0:80",
        "ftp://api.togai.com",
        "file:///etc/passwd",
        "https://",
        "https://user:hunter2@api.togai.com",
        "https://hunter2@api.togai.com",
        "https://api.togai.com@evil.test",
        "https://api.togai.com\\@evil.test",
        "https://api.togai.com/v2",
        "https://api.togai.com//",
        "https://api.togai.com?x=1",
        "https://api.togai.com#x",
        "https://api.togai.com?",
        "https://api.togai.com:port",
        "https://api.togai.com:99999",
        " https://api.togai.com",
        "https://api.togai.com\n",
        "https://аpi.togai.com",
        "https://[::1",
    ],
)
def test_an_address_that_could_lead_the_token_astray_is_refused(given):
    """S-21"""
    with pytest.raises(ValueError, match="Togai's address") as refusal:
        Gateway(base_url=given, token=Secret(TOKEN))
    assert "hunter2" not in str(refusal.value)


@responses.activate
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_token_never_follows_a_redirect(togai, status):
    """R-18"""
    elsewhere = responses.post("https://elsewhere.test/x", json=GOOD)
    home = responses.post(
        f"{BASE}/accounts/acme/purchases", status=status, headers={"Location": "https://elsewhere.test/x"}
    )
    with pytest.raises(Unconfirmed):
        togai.create_purchase(account_id="acme", body=BODY)
    assert (home.call_count, elsewhere.call_count) == (1, 0)


def test_nothing_of_the_environment_replaces_the_token_or_sees_the_call(monkeypatch, tmp_path):
    """R-18: a .netrc entry silently replaces the header, and a proxy of the environment would see all."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login thief password thief\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with RawTogai(says(answer(b'{"id": "acme"}'))) as server:
        Gateway(base_url=server.url, token=Secret(TOKEN)).get_account("acme")
    assert f"Authorization: Bearer {TOKEN}".encode() in server.requests[0]
    assert server.requests[0].startswith(b"GET /accounts/acme HTTP/1.1\r\n")


def test_cookies_of_togai_are_not_kept():
    with RawTogai(says(answer(b'{"id": "acme"}', headers="Set-Cookie: a=b\r\n"))) as server:
        togai = Gateway(base_url=server.url, token=Secret(TOKEN))
        togai.get_account("acme")
        togai.get_account("acme")
    assert len(server.requests) == 2
    assert b"cookie" not in server.requests[1].lower()


@responses.activate
def test_who_guards_the_door_is_asked_before_every_call():
    """R-02"""
    asked = []
    togai = Gateway(
        base_url=BASE, token=Secret(TOKEN), before_call=lambda: asked.append(len(responses.calls))
    )
    responses.get(f"{BASE}/features?pageSize=50", json={"data": [{"id": "f.1"}], "nextToken": "t"})
    responses.get(f"{BASE}/features?nextToken=t", json={"data": []})
    list(togai.list_features())
    assert asked == [0, 1]


@responses.activate
def test_nothing_is_sent_when_the_guard_says_no():
    """R-02"""

    def refuse():
        raise RuntimeError("inside a transaction")

    togai = Gateway(base_url=BASE, token=Secret(TOKEN), before_call=refuse)
    with pytest.raises(RuntimeError, match="inside a transaction"):
        togai.create_purchase(account_id="acme", body=BODY)
    assert len(responses.calls) == 0


class EchoesTheId(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"id": self.path.rpartition("/")[2]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing on the terminal."""


def test_threads_share_one_gateway_without_mixing_answers():
    with ThreadingHTTPServer(("127.0.0.1", 0), EchoesTheId) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        togai = Gateway(base_url=f"http://127.0.0.1:{server.server_port}", token=Secret(TOKEN))
        wanted = [f"account-{number}" for number in range(64)]
        with ThreadPoolExecutor(8) as pool:
            assert [account.id for account in pool.map(togai.get_account, wanted)] == wanted
        server.shutdown()


# Reads


@responses.activate
@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda togai: togai.get_proposal("p.1"), "/purchase_proposals/p.1"),
        (lambda togai: togai.get_purchase("p.1"), "/purchases/p.1"),
        (lambda togai: togai.get_account("p.1"), "/accounts/p.1"),
        (lambda togai: togai.get_customer("p.1"), "/customers/p.1"),
    ],
)
def test_a_read_that_speaks_of_another_record_is_not_believed(togai, call, path):
    responses.get(BASE + path, json=GOOD | {"id": "p.2"})
    with pytest.raises(ContractChanged) as refusal:
        call(togai)
    assert refusal.value.reason == "other_id"


@responses.activate
def test_a_decision_or_an_edit_answered_for_another_record_is_in_doubt(togai):
    responses.post(f"{BASE}/purchase_proposals/p.1/update_status", json=GOOD | {"id": "p.2"})
    responses.patch(f"{BASE}/accounts/acme", json={"id": "other"})
    with pytest.raises(ContractChanged):
        togai.update_proposal_status(proposal_id="p.1", body=b'{"status":"APPROVE"}')
    with pytest.raises(ContractChanged):
        togai.update_account(account_id="acme", body=b'{"name":"Acme"}')


@responses.activate
def test_a_decision_answered_with_an_unknown_word_is_in_doubt(togai):
    """R-25"""
    responses.post(f"{BASE}/purchase_proposals/p.1/update_status", json=GOOD | {"id": "p.1", "status": "YES"})
    with pytest.raises(ContractChanged) as refusal:
        togai.update_proposal_status(proposal_id="p.1", body=b'{"status":"APPROVE"}')
    assert refusal.value.reason == "unknown_status"


@responses.activate
def test_a_read_keeps_a_status_that_we_do_not_know_as_it_came(togai):
    """T1: an unknown status is stored and shown, and never success or failure."""
    responses.get(f"{BASE}/purchases/p.1", json=GOOD | {"id": "p.1", "status": "REVERSED"})
    purchase = togai.get_purchase("p.1")
    assert (purchase.status, purchase.known_status) == ("REVERSED", None)


@responses.activate
def test_a_missing_record_is_missing(togai):
    responses.get(f"{BASE}/purchase_proposals/p.1", status=404, json={"message": "No such proposal"})
    with pytest.raises(Missing) as refusal:
        togai.get_proposal("p.1")
    assert refusal.value.remote_message == "No such proposal"


@responses.activate
def test_one_unreadable_entitlement_is_not_hidden(togai):
    responses.get(f"{BASE}/accounts/acme/entitlements", json={"data": [{"featureId": "f"}, {"value": "1"}]})
    with pytest.raises(ContractChanged) as refusal:
        togai.get_entitlements("acme")
    assert (refusal.value.reason, len(refusal.value.unreadable)) == ("rows", 1)


# Lists


def row(name):
    return {"id": name, "status": "SUCCESS"}


def pages(*contents, path="/accounts/acme/purchases"):
    """Serve pages in order; each is (rows, next token), reached by the token of the page before."""
    token = None
    for rows, following in contents:
        query = {} if token is None else {"nextToken": token}
        responses.get(
            BASE + path,
            json={"data": rows, "nextToken": following},
            match=[matchers.query_param_matcher(query)],
        )
        token = following


def walk(togai):
    return [purchase.id for purchase in togai.list_account_purchases("acme")]


@responses.activate
def test_a_list_is_walked_by_token_to_its_end(togai):
    """T4: the token alone is sent back, as it embeds everything else."""
    pages(([row("a"), row("b")], "t1"), ([row("c")], "t2"), ([row("d")], None))
    assert walk(togai) == ["a", "b", "c", "d"]


@responses.activate
@pytest.mark.parametrize("last", [None, "t2", ""])
def test_an_odd_empty_last_page_ends_the_list(togai, last):
    """T4"""
    pages(([row("a")], "t1"), ([], last))
    assert walk(togai) == ["a"]


@responses.activate
def test_a_list_without_any_token_field_is_one_page(togai):
    responses.get(f"{BASE}/accounts/acme/purchases", json={"data": [row("a")]})
    assert walk(togai) == ["a"]


@responses.activate
@pytest.mark.parametrize(
    "second",
    [
        {"data": [row("a")], "nextToken": "t2"},
        {"data": [row("a")], "nextToken": None},
        {"data": [row("z")], "nextToken": "t1"},
    ],
    ids=["same first row", "same first row at the end", "same token"],
)
def test_a_list_that_goes_round_in_circles_proves_nothing(togai, second):
    """T4: a broken walk is inconclusive, never absence."""
    responses.get(f"{BASE}/accounts/acme/purchases", json={"data": [row("a")], "nextToken": "t1"})
    responses.get(f"{BASE}/accounts/acme/purchases?nextToken=t1", json=second)
    with pytest.raises(Unconfirmed) as refusal:
        walk(togai)
    assert refusal.value.reason == "walk"


@responses.activate
def test_a_list_that_never_ends_is_given_up(togai, monkeypatch):
    """R-07"""
    monkeypatch.setattr("togai.gateway.PAGE_LIMIT", 5)
    counter = itertools.count()

    def endless(request):
        number = next(counter)
        return 200, {}, json.dumps({"data": [row(f"r{number}")], "nextToken": f"t{number}"})

    responses.add_callback(responses.GET, f"{BASE}/accounts/acme/purchases", callback=endless)
    with pytest.raises(Unconfirmed) as refusal:
        walk(togai)
    assert (refusal.value.reason, len(responses.calls)) == ("walk", 5)


@responses.activate
@pytest.mark.parametrize(
    "body", [[], {}, {"data": None}, {"data": {}}, {"data": [], "nextToken": 7}, {"message": "hello"}]
)
def test_a_page_of_another_shape_is_not_an_empty_list(togai, body):
    responses.get(f"{BASE}/accounts/acme/purchases", json=body)
    with pytest.raises(ContractChanged) as refusal:
        walk(togai)
    assert refusal.value.reason == "not_a_list"


@responses.activate
def test_one_odd_record_hides_no_other_and_still_is_told_at_the_end(togai):
    """togai.md 6, row 2: the record fails, not the sync; but who looked for it must not conclude absence."""
    pages(([row("a"), {"id": "b"}, "c"], "t1"), ([{"id": 4, "status": "SUCCESS"}], "t2"), ([row("e")], None))
    seen = []

    def look():
        for purchase in togai.list_account_purchases("acme"):
            seen.append(purchase.id)

    with pytest.raises(ContractChanged) as refusal:
        look()
    assert seen == ["a", "e"]
    assert refusal.value.reason == "rows"
    assert [error.reason for error in refusal.value.unreadable] == ["no_status", "not_an_object", "no_id"]
    assert [error.raw for error in refusal.value.unreadable] == [
        '{"id": "b"}',
        '"c"',
        '{"id": 4, "status": "SUCCESS"}',
    ]


@responses.activate
def test_trouble_on_a_later_page_stops_the_walk(togai):
    responses.get(f"{BASE}/accounts/acme/purchases", json={"data": [row("a")], "nextToken": "t1"})
    responses.get(f"{BASE}/accounts/acme/purchases?nextToken=t1", status=502, body="<html>bad gateway</html>")
    with pytest.raises(Unconfirmed) as refusal:
        walk(togai)
    assert (refusal.value.reason, refusal.value.remote_message) == ("server", "")
    assert "bad gateway" in refusal.value.raw


@responses.activate
def test_versions_of_one_plan_share_an_id_and_are_all_listed(togai):
    path = "/v2/price_plans/pp.1/versions"
    responses.get(
        f"{BASE}{path}?pageSize=50", json={"data": [{"id": "pp.1", "version": 1}], "nextToken": "t"}
    )
    responses.get(f"{BASE}{path}?nextToken=t", json={"data": [{"id": "pp.1", "version": 2}]})
    assert [plan.version for plan in togai.list_price_plan_versions("pp.1")] == [1, 2]


@responses.activate
def test_a_pull_can_go_on_at_a_page(togai):
    responses.get(
        f"{BASE}/accounts?pageSize=2", json={"data": [{"id": "a"}, {"name": "b"}], "nextToken": "t1"}
    )
    responses.get(f"{BASE}/accounts?nextToken=t1", json={"data": [{"id": "c"}], "nextToken": None})
    first = togai.page_of_accounts(page_size=2)
    assert ([account.id for account in first.rows], first.next_token) == (["a"], "t1")
    assert [error.reason for error in first.unreadable] == ["no_id"]
    second = togai.page_of_accounts(first.next_token)
    assert second == Page(second.rows, None, ())
    assert [account.id for account in second.rows] == ["c"]


@responses.activate
def test_each_row_keeps_its_own_text_number_for_number(togai):
    record = '{"id": "a", "status": "SUCCESS", "price": 10.50, "odd": [0.000100, {"ü": null}]}'
    responses.get(f"{BASE}/accounts/acme/purchases", body=f'{{"data": [{record}]}}'.encode())
    [purchase] = togai.list_account_purchases("acme")
    assert purchase.raw == record
