"""The sandbox keeps the contract of togai.md: what it accepts, refuses, computes and lets happen.

Most tests talk to it inside this process; those about sockets and restarts start the real command.
"""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from urllib.parse import quote, urlsplit

import pytest
from pydantic import ValidationError

from tests.togai.sandbox_fixture import ROOT, running_sandbox, sandbox, sandbox_process  # noqa: F401
from togai.sandbox import exact_json, pricing
from togai.sandbox.cards import ident
from togai.sandbox.catalogue import ACCOUNTS
from togai.sandbox.routes import Request
from togai.sandbox.server import Dropped, Sandbox

TOKEN = "Bearer secret"
EUR, USD, JPY, KWD = "brightfold-eu", "canopy-main", "kaito-jp", "gulfstone-kw"
CALLS, BUNDLE, STORAGE = (
    ident("pp", "API Call Pack"),
    ident("pp", "Launch Bundle"),
    ident("pp", "Storage Block"),
)
SCALE, QUARTERLY = ident("pp", "Scale Monthly"), ident("pp", "Growth Quarterly")
API_CALLS, SEAT = ident("feature", "api_calls"), ident("addon", "editor_seat")
ONBOARDING, WELCOME = ident("addon", "onboarding"), ident("addon", "welcome_credit")
GRANT = {"type": "ENTITLEMENT_GRANT", "pricePlanId": CALLS, "quantity": 1}
TOPUP = {"type": "WALLET_TOPUP", "walletTopupDetails": {"topupAmount": 50}}


class Answered(Exception):
    """An answer that is no success."""

    def __init__(self, status, message, headers):
        super().__init__(f"{status} {message}")
        self.status, self.message, self.headers = status, message, headers


class Caller:
    """The sandbox's API without the sockets."""

    def __init__(self, path, **options):
        self.box = Sandbox(state_path=path, token="secret", **options)
        self.set(step_delay_ms=0, rate_limit=False)

    def set(self, **switches):
        self.box.set_switches(switches)

    def call(self, method, path, body=None, token=TOKEN):
        text = body if isinstance(body, bytes) else b"" if body is None else exact_json.dumps(body).encode()
        status, answered, headers = self.box.answer(Request(method, path, text), token)
        # Through text, as a caller sees it.
        answered = json.loads(exact_json.dumps(answered), parse_float=D)
        if status >= 400:
            raise Answered(status, answered["message"], headers)
        return answered

    def get(self, path):
        return self.call("GET", path)

    def purchase(self, account=EUR, **body):
        return self.call("POST", f"/accounts/{account}/purchases", body)

    def propose(self, account=EUR, **body):
        return self.call(
            "POST", f"/accounts/{account}/purchase_proposals", {"paymentMode": "PREPAID", **body}
        )

    def decide(self, proposal, status):
        return self.call("POST", f"/purchase_proposals/{proposal['id']}/update_status", {"status": status})

    def status(self, proposal):
        return self.get(f"/purchase_proposals/{proposal['id']}")["status"]

    def pay(self, purchase):
        invoice = self.get(f"/purchase_proposals/{purchase['id']}")["invoiceId"]
        return self.call("PATCH", f"/invoices/{invoice}", {"status": "PAID"})

    def refused(self, *call):
        with pytest.raises(Answered) as refusal:
            self.call(*call)
        return refusal.value

    def day(self, count):
        return (self.box.clock.now() + timedelta(days=count)).date().isoformat()

    def moment(self, days):
        return (self.box.clock.now() + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def togai(tmp_path):
    caller = Caller(tmp_path / "state.sqlite3")
    yield caller
    caller.box.state.close()


def slabbed(*, model="TIERED", slabs=((0, "PER_UNIT", 1),), currency="EUR", **config):
    """ratePlan and rateValues of a card in one currency."""
    plan = [
        {"order": order, "startAfter": start, "priceType": kind, "slabConfig": more[0] if more else {}}
        for order, (start, kind, _, *more) in enumerate(slabs, start=1)
    ]
    rates = [{"order": order, "rate": slab[2]} for order, slab in enumerate(slabs, start=1)]
    value = {"currency": currency, "slabRates": rates}
    if config:
        value["rateConfig"] = config
    return {"ratePlan": {"pricingModel": model, "slabs": plan}, "rateValues": [value]}


def allowance(limit=100, until="P30D", feature=API_CALLS, **more):
    """A billing entitlement card."""
    return {
        "featureId": feature,
        "featureConfigs": [{"featureCreditLimit": limit, "effectiveUntil": until}],
        "invoiceTiming": "IN_ADVANCE",
        **slabbed(),
        **more,
    }


def with_cards(**lists):
    return {**GRANT, "purchasePlanOverride": lists}


def association(togai, **more):
    return {
        "type": "ASSOCIATION",
        "pricePlanId": SCALE,
        "effectiveFrom": togai.day(5),
        "effectiveUntil": togai.day(100),
        **more,
    }


# What it refuses


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not valid JSON"),
        (b"[]", "body: must be an object"),
        (b"{", "not valid JSON"),
        (b'{"quantity": NaN}', "NaN"),
        (b'{"quantity": 1, "quantity": 2}', "appears twice"),
        (b'{"type": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        ({**GRANT, "purchasePlanOverrides": {}}, "purchasePlanOverrides: unknown key"),
        ({**GRANT, "pricePlanOverride": {}}, "pricePlanOverride: unknown key"),
        ({**GRANT, "quantity": None}, "quantity: null is not allowed"),
        (b'{"type": "PREPAID", "quantity": 1.0}', "quantity: must be an integer"),
        ({**GRANT, "quantity": "1"}, "quantity: must be an integer"),
        ({**GRANT, "quantity": True}, "quantity: must be an integer"),
        ({**GRANT, "quantity": 0}, "quantity: "),
        ({**GRANT, "quantity": 2**31}, "quantity: "),
        ({**GRANT, "type": "GRANT"}, "type: "),
        (
            {**GRANT, "rateCardQuantities": {API_CALLS: "1"}},
            f"rateCardQuantities.{API_CALLS}: must be a number",
        ),
        ({**GRANT, "rateCardQuantities": {API_CALLS: 0}}, "greater than 0"),
        ({**GRANT, "rateCardQuantities": {API_CALLS: 1}}, "not allowed together with quantity"),
        ({"pricePlanId": CALLS, "rateCardQuantities": {SEAT: 1}}, "no rate card of this billable item"),
        ({**GRANT, "expiryDate": "2030-02-15"}, "expiryDate: must be a date-time with a zone"),
        ({**GRANT, "expiryDate": "2030-02-15T17:00:00"}, "expiryDate: must be a date-time with a zone"),
        ({**GRANT, "expiryDate": "2020-02-15T17:00:00Z"}, "expiryDate: must be in the future"),
        ({**GRANT, "effectiveFrom": "2030-02-30"}, "effectiveFrom: is not a day"),
        ({**GRANT, "effectiveFrom": "2030-02-03"}, "effectiveFrom: is not allowed on type ENTITLEMENT_GRANT"),
        (
            {**GRANT, "type": "PREPAID", "walletTopupDetails": {"topupAmount": 1}},
            "not allowed on type PREPAID",
        ),
        ({"type": "ENTITLEMENT_GRANT", "quantity": 1}, "pricePlanId: is required"),
        ({**GRANT, "pricePlanId": "pp.x.y"}, "does not exist"),
        ({**GRANT, "pricePlanId": SCALE}, "the plan is of type BILLING"),
        ({**GRANT, "pricePlanId": ident("pp", "Migration Project")}, "no ACTIVE version"),
        ({"type": "WALLET_TOPUP"}, "walletTopupDetails: is required"),
        ({**TOPUP, "pricePlanId": CALLS}, "pricePlanId: is not allowed on type WALLET_TOPUP"),
        ({"type": "WALLET_TOPUP", "walletTopupDetails": {"topupAmount": 0}}, "topupAmount: "),
        (
            {"type": "WALLET_TOPUP", "walletTopupDetails": {"topupAmount": "5"}},
            "topupAmount: must be a number",
        ),
        (b'{"type":"WALLET_TOPUP","walletTopupDetails":{"topupAmount":1e400}}', "beyond 15 digits"),
        (with_cards(fixedFeeRateCards=[]), "fixedFeeRateCards: "),
        (with_cards(usageRateCards=[]), "usageRateCards: unknown key"),
        (
            with_cards(
                fixedFeeRateCards=[{"id": ONBOARDING, "rateValues": [{"currency": "EUR", "rate": 1}]}]
            ),
            "fixedFeeRateCards[0].enableProration: is required",
        ),
        (
            with_cards(
                fixedFeeRateCards=[
                    {
                        "id": ONBOARDING,
                        "enableProration": False,
                        "rateValues": [{"currency": "EUR", "rate": 1}],
                        "type": "RECURRING",
                    }
                ]
            ),
            "has ONE_TIME cards only",
        ),
        (
            with_cards(
                fixedFeeRateCards=[
                    {"id": WELCOME, "enableProration": False, "rateValues": [{"currency": "EUR", "rate": 1}]}
                ]
            ),
            "fixedFeeRateCards[0].id: no billable item",
        ),
        (with_cards(billingEntitlementRateCards=[allowance(), allowance()]), "appears twice"),
        (with_cards(billingEntitlementRateCards=[allowance(until="20 days")]), "ISO 8601 duration"),
        (with_cards(billingEntitlementRateCards=[allowance(feature="feature.a.b")]), "no billable item"),
        (with_cards(billingEntitlementRateCards=[allowance(**slabbed(currency="USD"))]), "no rate in EUR"),
        (
            with_cards(billingEntitlementRateCards=[allowance(**slabbed(slabs=[(0, "PACKAGE", 1)]))]),
            "slabs[0]: PACKAGE needs slabConfig.packageSize",
        ),
        (
            with_cards(
                billingEntitlementRateCards=[
                    allowance(**slabbed(slabs=[(0, "PACKAGE", 1, {"packageSize": 10})]))
                ]
            ),
            "packageSize: must be a string",
        ),
        (
            with_cards(
                billingEntitlementRateCards=[
                    allowance(**slabbed(slabs=[(0, "PER_UNIT", 1), (10, "FLAT", 1), (10, "FLAT", 1)]))
                ]
            ),
            "startAfter must increase",
        ),
        (
            with_cards(billingEntitlementRateCards=[allowance(**slabbed(slabs=[(1, "PER_UNIT", 1)]))]),
            "first slab must start after 0",
        ),
        (
            with_cards(
                billingEntitlementRateCards=[allowance(**slabbed(minimumRate="9", maximumRate="1"))],
            ),
            "rateConfig: minimumRate is above maximumRate",
        ),
    ],
)
def test_a_body_against_the_contract_is_refused_and_leaves_nothing_behind(togai, body, complaint):
    refusal = togai.refused("POST", f"/accounts/{EUR}/purchases", body)
    assert refusal.status == 400
    assert complaint in refusal.message
    assert len(refusal.message) <= 500
    assert len(togai.get(f"/accounts/{EUR}/purchases")["data"]) == 1


def test_a_slab_without_a_rate_is_refused(togai):
    card = allowance()
    card["ratePlan"]["slabs"].append({"order": 2, "startAfter": 5, "priceType": "FLAT"})
    refusal = togai.refused(
        "POST", f"/accounts/{EUR}/purchases", with_cards(billingEntitlementRateCards=[card])
    )
    assert "exactly one rate for each slab" in refusal.message


def test_the_vendors_printed_requests_are_accepted_as_they_stand(togai):
    card = allowance()
    card["rateValues"][0]["slabRates"][0]["slabRateConfig"] = {}
    card |= {"displayName": "feature1", "tag": "tag 1"}
    proposal = togai.propose(**with_cards(billingEntitlementRateCards=[card]))
    assert proposal["purchasePlanOverride"]["billingEntitlementRateCards"] == [card]
    purchase = togai.purchase(
        type="ENTITLEMENT_GRANT", pricePlanId=CALLS, rateCardQuantities={API_CALLS: D("1.2")}
    )
    assert purchase["rateCardQuantities"] == {API_CALLS: D("1.2")}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"paymentMode": "LATER"}, "paymentMode: "),
        ({"quantity": 1}, "quantity: is not allowed on type ASSOCIATION"),
        ({"effectiveFrom": 0}, "effectiveFrom: must be tomorrow or later"),
        ({"effectiveUntil": 5}, "effectiveUntil: must lie after effectiveFrom"),
        ({"expiryDate": 5.0}, "effectiveFrom: must lie after the day of expiryDate"),
        ({"associationOverride": {"supportedCurrencies": ["USD"]}}, "does not support EUR"),
        ({"associationOverride": {"supportedCurrencies": ["EUR", "EUR"]}}, "appears twice"),
        (
            {
                "associationOverride": {
                    "pricingCycleConfig": {
                        "interval": "MONTHLY",
                        "gracePeriod": 1,
                        "startOffset": {"dayOffset": "1", "monthOffset": "1"},
                    }
                }
            },
            "startOffset.monthOffset is not a month",
        ),
        (
            {
                "associationOverride": {
                    "pricingCycleConfig": {
                        "interval": "WEEKLY",
                        "gracePeriod": 1,
                        "startOffset": {"dayOffset": 2, "monthOffset": "NIL"},
                    }
                }
            },
            "dayOffset: must be a string",
        ),
    ],
)
def test_an_association_outside_its_rules_is_refused(togai, change, complaint):
    def filled(key, value):
        if isinstance(value, int) and key.startswith("effective"):
            return togai.day(value)
        return togai.moment(value) if isinstance(value, float) else value

    body = association(togai, paymentMode="POSTPAID") | {
        key: filled(key, value) for key, value in change.items()
    }
    assert complaint in togai.refused("POST", f"/accounts/{EUR}/purchase_proposals", body).message


def test_the_day_of_an_expiry_is_the_organisations(togai):
    just_before_midnight = f"{togai.day(9)}T23:30:00Z"
    body = association(togai, expiryDate=just_before_midnight, effectiveFrom=togai.day(10))
    assert togai.propose(**body)["status"] == "PROPOSAL_ACTIVE"
    togai.set(organisation_time_zone="Asia/Tokyo")
    refusal = togai.refused("POST", f"/accounts/{USD}/purchase_proposals", {**body, "paymentMode": "PREPAID"})
    assert "must lie after the day of expiryDate" in refusal.message


def test_accounts_that_cannot_buy_are_refused(togai):
    assert "is ARCHIVED" in togai.refused("POST", "/accounts/lumenar-old/purchases", GRANT).message
    assert togai.refused("POST", "/accounts/nobody/purchases", GRANT).status == 404
    assert "wallet" in togai.refused("POST", "/accounts/halcyon-studios/purchases", TOPUP).message
    ai_year = {**GRANT, "pricePlanId": ident("pp", "AI Credits Year")}
    assert "does not support JPY" in togai.refused("POST", f"/accounts/{JPY}/purchases", ai_year).message


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/accounts/", 400),
        ("PUT", "/accounts", 405),
        ("GET", "/accounts?page_size=5", 400),
        ("GET", "/accounts?pageSize=101", 400),
        ("GET", "/accounts?pageSize=0", 400),
        ("GET", "/accounts?nextToken=garbage", 400),
        ("GET", "/accounts?status=ACTIVE&invoice_currency=EUR", 400),
        ("GET", "/invoices?pageSize=51", 400),
        ("GET", f"/accounts/{'x' * 51}", 400),
        ("GET", f"/purchase_proposals/{'x' * 512}", 404),
        ("GET", f"/purchase_proposals/{'x' * 513}", 400),
        ("GET", f"/accounts/{EUR}/features/feature.a.b", 422),
        ("GET", f"/v2/accounts/{EUR}/schedules", 400),
        ("GET", f"/v2/price_plans/{SCALE}?version=9", 404),
        ("GET", f"/v2/price_plans/{SCALE}?version=NEWEST", 400),
    ],
)
def test_a_call_that_does_not_exist_or_is_put_wrongly_is_refused(togai, method, path, status):
    assert togai.refused(method, path).status == status


def test_an_id_is_read_percent_encoded(togai):
    made = {"id": "a/b c", "name": "Slash", "customerId": "canopy"}
    togai.call("POST", "/accounts", made)
    assert togai.get("/accounts/" + quote("a/b c", safe=""))["name"] == "Slash"


# What it computes


@pytest.mark.parametrize(
    ("model", "slabs", "units", "result"),
    [
        (
            "TIERED",
            [(0, "PER_UNIT", "0.20"), (1000, "PER_UNIT", "0.15"), (5000, "PER_UNIT", "0.10")],
            6200,
            "920.00",
        ),
        (
            "VOLUME",
            [(0, "PER_UNIT", "0.20"), (1000, "PER_UNIT", "0.15"), (5000, "PER_UNIT", "0.10")],
            6200,
            "620.00",
        ),
        (
            "TIERED",
            [(0, "PER_UNIT", "0.20"), (1000, "PER_UNIT", "0.15"), (5000, "PER_UNIT", "0.10")],
            1000,
            "200.00",
        ),
        (
            "VOLUME",
            [(0, "PER_UNIT", "0.20"), (1000, "PER_UNIT", "0.15"), (5000, "PER_UNIT", "0.10")],
            1000,
            "200.00",
        ),
        ("TIERED", [(0, "FLAT", "50"), (1000, "FLAT", "30"), (5000, "FLAT", "20")], 1200, "80.00"),
        ("VOLUME", [(0, "FLAT", "50"), (1000, "FLAT", "30"), (5000, "FLAT", "20")], 1200, "30.00"),
        ("TIERED", [(0, "PACKAGE", "12", {"packageSize": "100"})], 950, "120.00"),
        (
            "TIERED",
            [(0, "PER_UNIT", "0.20"), (1000, "PACKAGE", "60", {"packageSize": "500"})],
            2100,
            "380.00",
        ),
        ("VOLUME", [(0, "PACKAGE", "60", {"packageSize": "500"})], 2100, "300.00"),
        ("TIERED", [(0, "PER_UNIT", "0.10")], 0, "0.00"),
        ("TIERED", [(0, "PER_UNIT", "-0.10")], 5, "-0.50"),
    ],
)
def test_the_worked_table_of_the_contract_comes_out(model, slabs, units, result):
    card = slabbed(model=model, slabs=[(start, kind, D(rate), *more) for start, kind, rate, *more in slabs])
    assert str(pricing.card_revenue(card, "EUR", D(units))[0]) == result


def test_limits_hold_for_the_slab_first_and_then_for_the_card():
    slabs = [(0, "PER_UNIT", D("0.20")), (1000, "PER_UNIT", D("0.15")), (5000, "PER_UNIT", D("0.10"))]
    capped = slabbed(slabs=slabs, maximumRate="900")
    assert pricing.card_revenue(capped, "EUR", D(6200))[0] == 900
    capped["rateValues"][0]["slabRates"][1]["slabRateConfig"] = {"maximumRate": "100"}
    revenue, parts = pricing.card_revenue(capped, "EUR", D(6200))
    assert (revenue, [part.maximum_applied for part in parts]) == (420, [False, True, False])
    raised = slabbed(slabs=slabs, minimumRate="30")
    assert pricing.card_revenue(raised, "EUR", D(1))[0] == 30


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [("0.005", "EUR", "0.01"), ("0.001", "EUR", "0.00"), ("2.5", "JPY", "3"), ("1.0005", "KWD", "1.001")],
)
def test_a_line_is_rounded_half_up_to_the_minor_unit(amount, currency, shown):
    assert str(pricing.to_minor_unit(D(amount), currency)) == shown


def test_the_worked_proposal_of_the_contract_costs_2380(togai):
    override = {
        "billingEntitlementRateCards": [
            allowance(
                50_000,
                **slabbed(
                    slabs=[(0, "PER_UNIT", D("0.01")), (20_000, "PACKAGE", D("8.5"), {"packageSize": "1000"})]
                ),
            )
        ],
        "fixedFeeRateCards": [
            {"id": ONBOARDING, "enableProration": False, "rateValues": [{"currency": "EUR", "rate": 750}]}
        ],
        "creditGrantRateCards": [
            {
                "id": WELCOME,
                "type": "ONE_TIME",
                "grantDetails": {"priority": 1, "expiryType": "CUSTOM", "expiryDuration": "P90D"},
                "rateDetails": {
                    "pricingModel": "TIERED",
                    "currencySlabRateDetails": [
                        {
                            "currency": "EUR",
                            "creditAmount": 200,
                            "slabDetails": [{"startAfter": 0, "priceType": "FLAT", "rate": 0}],
                        }
                    ],
                },
            }
        ],
    }
    proposal = togai.propose(**{**GRANT, "quantity": 2, "purchasePlanOverride": override})
    assert (proposal["price"], proposal["invoiceCurrency"]) == (2380, "EUR")


@pytest.mark.parametrize(
    ("account", "quantity", "price"), [(EUR, 2, "200"), (USD, 2, "220"), (JPY, 2, "32000"), (KWD, 2, "68")]
)
def test_a_plan_has_its_price_in_the_currency_of_the_account(togai, account, quantity, price):
    assert togai.purchase(account, **{**GRANT, "quantity": quantity})["price"] == D(price)


def test_a_list_in_an_override_replaces_the_plans_list_and_the_others_are_inherited(togai):
    free = {"id": ONBOARDING, "enableProration": False, "rateValues": [{"currency": "EUR", "rate": 1}]}
    whole = togai.propose(type="ENTITLEMENT_GRANT", pricePlanId=BUNDLE, quantity=1)
    cheaper = togai.propose(
        type="ENTITLEMENT_GRANT",
        pricePlanId=BUNDLE,
        quantity=1,
        purchasePlanOverride={"fixedFeeRateCards": [free]},
    )
    assert (whole["price"], cheaper["price"]) == (1500 + 950 + 120, 1 + 120)


def test_quantities_per_card_buy_the_named_cards_alone(togai):
    purchase = togai.purchase(pricePlanId=BUNDLE, rateCardQuantities={ONBOARDING: D("0.5")})
    assert purchase["price"] == 750


def test_a_rate_of_twelve_digits_is_kept_and_multiplied_exactly(togai):
    rate = D("0.123456789012")
    card = allowance(1_000_000, **slabbed(slabs=[(0, "PER_UNIT", rate)]))
    proposal = togai.propose(**with_cards(billingEntitlementRateCards=[card]))
    echoed = proposal["purchasePlanOverride"]["billingEntitlementRateCards"][0]["rateValues"][0]["slabRates"]
    assert echoed[0]["rate"] == rate
    assert proposal["price"] == D("123456.79")


def test_the_past_of_the_shipped_catalogue_cost_what_its_plans_say(togai):
    for account, *_ in (row for row in ACCOUNTS if row[7] == "ACTIVE"):
        rows = togai.get(f"/accounts/{account}/purchases")["data"]
        for row in (row for row in rows if row["type"] == "ENTITLEMENT_GRANT"):
            asked = {key: row[key] for key in ("pricePlanId", "quantity", "rateCardQuantities") if key in row}
            assert togai.purchase(account, **asked)["price"] == row["price"]


# What happens then


def test_a_prepaid_proposal_becomes_a_purchase_once_its_order_is_paid(togai):
    togai.set(step_delay_ms=60_000)
    proposal = togai.propose(**GRANT, idempotencyKey="k")
    assert togai.refused("GET", f"/purchases/{proposal['id']}").status == 404
    approved = togai.decide(proposal, "APPROVE")
    assert (approved["status"], approved["comment"]) == ("PROPOSAL_APPROVED", "Proposal approved")
    togai.box.advance_clock(60)
    assert togai.status(proposal) == "PENDING"
    togai.box.advance_clock(86_400)
    assert togai.status(proposal) == "PENDING"
    paid = togai.pay(proposal)
    assert (paid["status"], paid["invoiceClass"], paid["paidAmount"]) == ("PAID", "INVOICE", 100)
    togai.box.advance_clock(60)
    assert togai.status(proposal) == "IN_PROGRESS"
    togai.box.advance_clock(60)
    purchase = togai.get(f"/purchases/{proposal['id']}")
    assert (purchase["status"], purchase["features"][0]["creditsGranted"]) == ("SUCCESS", 10_000)
    assert "paymentMode" not in purchase


def test_a_postpaid_proposal_is_granted_without_an_order(togai):
    proposal = togai.propose(**GRANT, paymentMode="POSTPAID")
    assert "invoiceId" not in togai.decide(proposal, "APPROVE")
    assert togai.status(proposal) == "SUCCESS"
    assert togai.get(f"/accounts/{EUR}/features/{API_CALLS}")["balance"] == 10_000


def test_an_order_of_nothing_is_paid_by_itself(togai):
    free = with_cards(billingEntitlementRateCards=[allowance(**slabbed(slabs=[(0, "FLAT", 0)]))])
    purchase = togai.purchase(**free)
    assert purchase["price"] == 0
    assert togai.get(f"/invoices/{purchase['invoiceId']}")["status"] == "PAID"
    assert togai.get(f"/purchases/{purchase['id']}")["status"] == "SUCCESS"


def test_the_credits_of_several_windows_follow_the_durations_of_the_grant(togai):
    card = allowance()
    card["featureConfigs"] = [
        {"featureCreditLimit": 10, "effectiveUntil": "P30D"},
        {"featureCreditLimit": 20, "effectiveFrom": "P30D", "effectiveUntil": "P2M"},
    ]
    proposal = togai.propose(**with_cards(billingEntitlementRateCards=[card]), paymentMode="POSTPAID")
    assert proposal["price"] == 30
    togai.decide(proposal, "APPROVE")
    entries = f"/accounts/{EUR}/features/{API_CALLS}/entries"
    assert [entry["granted"] for entry in togai.get(entries)["data"]] == [10, 20]
    assert togai.get(f"/accounts/{EUR}/features/{API_CALLS}")["granted"] == 10
    togai.box.advance_clock(31 * 86_400)
    assert [entry["status"] for entry in togai.get(entries)["data"]] == ["EXPIRED", "ACTIVE"]
    assert togai.get(f"/accounts/{EUR}/entitlements")["data"] == [{"featureId": API_CALLS, "value": "20"}]


def test_a_proposal_expires_when_its_time_comes_and_cannot_be_decided_then(togai):
    proposal = togai.propose(**GRANT, expiryDate=togai.moment(2))
    togai.box.advance_clock(2 * 86_400 - 5)
    assert togai.status(proposal) == "PROPOSAL_ACTIVE"
    togai.box.advance_clock(10)
    expired = togai.get(f"/purchase_proposals/{proposal['id']}")
    # Dated when it expired, not when somebody looked.
    assert (expired["status"], expired["updatedAt"]) == ("PROPOSAL_EXPIRED", proposal["expiryDate"])
    decision = ("POST", f"/purchase_proposals/{proposal['id']}/update_status", {"status": "APPROVE"})
    assert "already expired" in togai.refused(*decision).message


@pytest.mark.parametrize(
    ("first", "second"), [("APPROVE", "APPROVE"), ("APPROVE", "DECLINE"), ("DECLINE", "APPROVE")]
)
def test_a_second_decision_is_refused_and_changes_nothing(togai, first, second):
    proposal = togai.propose(**TOPUP)
    togai.decide(proposal, first)
    before = togai.get(f"/purchase_proposals/{proposal['id']}")
    refusal = togai.refused("POST", f"/purchase_proposals/{proposal['id']}/update_status", {"status": second})
    assert (refusal.status, "already" in refusal.message) == (400, True)
    assert togai.get(f"/purchase_proposals/{proposal['id']}") == before


def test_without_the_guard_a_second_approval_raises_a_second_order(togai):
    togai.set(guards_decisions=False)
    proposal = togai.propose(**TOPUP)
    orders = {togai.decide(proposal, "APPROVE")["invoiceId"] for _ in range(2)}
    assert len(orders) == 2


def test_the_answer_to_a_decision_can_be_stale_as_in_the_vendors_sample(togai):
    togai.set(stale_update_status=True)
    proposal = togai.propose(**TOPUP, paymentMode="POSTPAID")
    assert togai.decide(proposal, "DECLINE")["status"] == "PROPOSAL_ACTIVE"
    assert togai.status(proposal) == "PROPOSAL_DECLINED"


def test_a_converted_proposal_can_go_on_saying_that_it_is_approved(togai):
    togai.set(proposal_status_sticks=True)
    proposal = togai.propose(**TOPUP, paymentMode="POSTPAID")
    togai.decide(proposal, "APPROVE")
    assert togai.status(proposal) == "PROPOSAL_APPROVED"
    assert togai.get(f"/accounts/{EUR}/purchase_proposals")["data"][0]["status"] == "PROPOSAL_APPROVED"
    assert togai.get(f"/purchases/{proposal['id']}")["status"] == "SUCCESS"


def test_a_top_up_credits_what_was_bought_and_costs_what_was_agreed(togai):
    details = {"topupAmount": 500, "purchaseAmount": 450}
    purchase = togai.purchase(type="WALLET_TOPUP", walletTopupDetails=details)
    assert purchase["price"] == 450
    togai.call("PATCH", f"/invoices/{purchase['invoiceId']}", {"status": "PAID"})
    assert togai.get(f"/purchases/{purchase['id']}")["status"] == "SUCCESS"
    assert togai.get(f"/accounts/{EUR}/wallet")["balance"] == 1750
    entry = togai.get(f"/accounts/{EUR}/wallet/entries")["data"][0]
    assert (entry["amount"], entry["entityId"]) == (500, purchase["invoiceId"])


def test_a_voided_order_takes_its_purchase_down(togai):
    purchase = togai.purchase(**GRANT)
    togai.call("PATCH", f"/invoices/{purchase['invoiceId']}", {"status": "VOID"})
    assert togai.get(f"/purchases/{purchase['id']}")["status"] == "FAILURE"
    assert togai.refused("PATCH", f"/invoices/{purchase['invoiceId']}", {"status": "PAID"}).status == 400


def test_an_association_cuts_the_plan_that_runs_for_ever(togai):
    proposal = togai.propose("fjordline-grid", **association(togai), paymentMode="POSTPAID")
    togai.decide(proposal, "APPROVE")
    newest, oldest = togai.get("/v2/accounts/fjordline-grid/schedules?mode=ACTIVE")["data"]
    assert newest["startDate"] == oldest["endDate"] == f"{togai.day(5)}T00:00:00Z"
    assert newest["isOverridden"] is False
    assert newest["endDate"] == f"{togai.day(100)}T00:00:00Z"
    assert "price" not in proposal


def test_two_plans_at_once_clash_at_the_latest_when_the_second_is_approved(togai):
    first, second = (togai.propose(**association(togai), paymentMode="POSTPAID") for _ in range(2))
    togai.decide(first, "APPROVE")
    togai.decide(second, "APPROVE")
    assert (togai.status(first), togai.status(second)) == ("SUCCESS", "FAILURE")
    body = {**association(togai), "paymentMode": "PREPAID"}
    assert (
        "clashes with schedule" in togai.refused("POST", f"/accounts/{EUR}/purchase_proposals", body).message
    )


def test_an_account_is_merged_not_replaced(togai):
    before = togai.get(f"/accounts/{EUR}")
    after = togai.call("PATCH", f"/accounts/{EUR}", {"tags": ["VIP", "Eu"], "metadata": {}})
    assert after == {**before, "tags": ["vip", "eu"], "metadata": {}}
    assert togai.get("/accounts?pageSize=1")["data"][0]["id"] == EUR
    for body, complaint in (
        ({"invoiceCurrency": "USD"}, "invoiceCurrency: cannot be changed"),
        ({"status": "ARCHIVED"}, "status: "),
        ({"netTermDays": "30"}, "netTermDays: must be an integer"),
        ({"id": "x"}, "id: unknown key"),
        ({"tags": ["a", "a"]}, "appears twice"),
    ):
        assert complaint in togai.refused("PATCH", f"/accounts/{EUR}", body).message


def test_an_account_with_a_plan_or_an_open_invoice_is_not_archived(togai):
    assert "price plan" in togai.refused("DELETE", "/accounts/lumenar-fr").message
    assert "ongoing invoice" in togai.refused("DELETE", "/accounts/doraku-jp").message


# The caller's key


def test_the_same_key_and_body_answers_the_first_object(togai):
    first = togai.propose(**GRANT, idempotencyKey="k")
    again = togai.call(
        "POST",
        f"/accounts/{EUR}/purchase_proposals",
        json.dumps({"idempotencyKey": "k", "paymentMode": "PREPAID", **GRANT}).encode(),
    )
    assert again == first
    body = {**GRANT, "quantity": 2, "paymentMode": "PREPAID", "idempotencyKey": "k"}
    refusal = togai.refused("POST", f"/accounts/{EUR}/purchase_proposals", body)
    assert (refusal.status, "another body" in refusal.message) == (400, True)
    other_account = togai.propose(USD, **GRANT, idempotencyKey="k")
    assert other_account["id"] != first["id"]


def test_a_key_can_be_ignored_or_forgotten_after_a_while(togai):
    togai.set(key_window_seconds=60)
    first = togai.propose(**GRANT, idempotencyKey="k")
    assert togai.propose(**GRANT, idempotencyKey="k")["id"] == first["id"]
    togai.box.advance_clock(61)
    second = togai.propose(**GRANT, idempotencyKey="k")
    togai.set(key_dedupes=False)
    third = togai.propose(**GRANT, idempotencyKey="k")
    assert len({first["id"], second["id"], third["id"]}) == 3


def test_a_key_can_be_kept_from_lists_and_from_records(togai):
    proposal = togai.propose(**GRANT, idempotencyKey="k")
    lists, record = f"/accounts/{EUR}/purchase_proposals", f"/purchase_proposals/{proposal['id']}"
    assert (togai.get(lists)["data"][0]["idempotencyKey"], togai.get(record)["idempotencyKey"]) == ("k", "k")
    togai.set(key_in_list=False, key_in_get=False)
    assert "idempotencyKey" not in togai.get(lists)["data"][0]
    assert "idempotencyKey" not in togai.get(record)


# Lists


def walk(togai, path):
    """Every row of a list and the size of each page."""
    rows, sizes, token = [], [], None
    while True:
        page = togai.get(path if token is None else f"{path.split('?')[0]}?nextToken={token}")
        rows += page["data"]
        sizes.append(len(page["data"]))
        token = page.get("nextToken")
        if token is None or len(sizes) > 50:
            return rows, sizes


def test_a_list_of_whole_pages_ends_with_an_empty_one(togai):
    rows, sizes = walk(togai, "/accounts?pageSize=8")
    assert (sizes, len({row["id"] for row in rows})) == ([8, 8, 0], 16)
    assert walk(togai, "/accounts?pageSize=7")[1] == [7, 7, 2]
    togai.set(extra_empty_page=True)
    assert walk(togai, "/accounts?pageSize=7")[1] == [7, 7, 2, 0]


def test_a_token_carries_size_and_filters_and_belongs_to_its_list(togai):
    rows, sizes = walk(togai, "/accounts?pageSize=3&invoice_currency=USD")
    assert (sizes, {row["invoiceCurrency"] for row in rows}) == ([3, 3, 0], {"USD"})
    token = togai.get("/accounts?pageSize=3")["nextToken"]
    assert togai.refused("GET", f"/customers?nextToken={token}").status == 400


def test_a_server_that_repeats_its_token_gives_the_same_page_for_ever(togai):
    togai.set(repeat_token=True)
    assert len(walk(togai, "/accounts?pageSize=4")[1]) > 50


def test_a_list_of_proposals_has_pages_of_twenty_and_takes_no_size(togai):
    for number in range(41):
        togai.propose(**TOPUP, idempotencyKey=str(number))
    rows, sizes = walk(togai, f"/accounts/{EUR}/purchase_proposals")
    assert sizes == [20, 20, 1]
    assert [row["idempotencyKey"] for row in rows] == [str(number) for number in reversed(range(41))]
    assert togai.refused("GET", f"/accounts/{EUR}/purchase_proposals?pageSize=50").status == 400


def test_rows_carry_the_fields_of_the_contract_and_no_more(togai):
    togai.purchase(**with_cards(billingEntitlementRateCards=[allowance()]))
    togai.propose(**association(togai), expiryDate=togai.moment(2))
    assert set(togai.get(f"/accounts/{EUR}/purchases")["data"][0]) == {
        "id", "status", "type", "createdAt", "updatedAt", "pricePlanId", "pricePlanName", "pricePlanVersion",
        "quantity", "price", "invoiceCurrency",
    }  # fmt: skip
    assert set(togai.get(f"/accounts/{EUR}/purchase_proposals")["data"][0]) == {
        "id", "status", "type", "paymentMode", "createdAt", "updatedAt", "pricePlanId", "pricePlanName",
        "pricePlanVersion", "expiryDate",
    }  # fmt: skip


def test_a_lagging_list_shows_how_things_were(togai):
    proposal = togai.propose(**TOPUP)
    togai.box.advance_clock(100)
    togai.decide(proposal, "DECLINE")
    togai.propose(**TOPUP)
    togai.set(list_lag_seconds=60)
    lists = f"/accounts/{EUR}/purchase_proposals"
    assert [row["status"] for row in togai.get(lists)["data"]] == ["PROPOSAL_ACTIVE"]
    assert togai.status(proposal) == "PROPOSAL_DECLINED"
    togai.box.advance_clock(61)
    assert [row["status"] for row in togai.get(lists)["data"]] == ["PROPOSAL_ACTIVE", "PROPOSAL_DECLINED"]
    togai.set(list_hides_closed=True)
    assert [row["status"] for row in togai.get(lists)["data"]] == ["PROPOSAL_ACTIVE"]


def test_the_list_of_plans_shows_the_version_in_force_and_its_cards(togai):
    plans = {plan["name"]: plan for plan in togai.get("/v2/price_plans")["data"]}
    assert (plans["Scale Monthly"]["version"], plans["Migration Project"]["status"]) == (3, "DRAFT")
    cards = walk(togai, f"/v2/price_plans/{SCALE}/rate_cards?pageSize=4")[0]
    platform = cards[0]["rateCardDetails"]["fixedFeeRateCard"]["rateValues"][0]
    assert (len(cards), platform) == (9, {"currency": "EUR", "rate": 499})
    assert re.fullmatch(r"pp\.\w{11}\.\w{5}", SCALE)


# Who may call, and how often


def test_more_than_ten_calls_in_a_second_are_refused(togai):
    togai.set(rate_limit=True)
    # A clock of its own: how fast this machine is must not matter.
    at = [0.0]
    togai.box.clock.ticks = lambda: at[0]
    for _ in range(10):
        togai.get("/accounts")
    refusal = togai.refused("GET", "/accounts")
    assert (refusal.status, refusal.headers) == (429, {"Retry-After": "1"})
    at[0] = 0.999
    assert togai.refused("GET", "/accounts").status == 429
    at[0] = 1.0
    assert togai.get("/accounts")["data"]


@pytest.mark.parametrize("token", [None, "Bearer wrong", "secret", "Basic secret", "Bearer "])
def test_five_unauthenticated_calls_are_refused_and_then_turned_away(togai, token):
    togai.set(rate_limit=True)
    answers = []
    for _ in range(6):
        with pytest.raises(Answered) as refusal:
            togai.call("GET", "/accounts", token=token)
        answers.append(refusal.value)
    assert [answer.status for answer in answers] == [401] * 5 + [429]
    assert 1700 < int(answers[-1].headers["Retry-After"]) <= 1800
    assert togai.get("/accounts")["data"]
    togai.box.advance_clock(1801)
    with pytest.raises(Answered) as refusal:
        togai.call("GET", "/accounts", token=token)
    assert refusal.value.status == 401
    assert {entry["token"] for entry in togai.box.ledger()} <= {"ours", "wrong", "none"}


# Faults


def test_a_failing_switch_hits_the_calls_it_names_and_no_more_than_told(togai):
    togai.set(failing={"status": 503, "times": 2, "method": "POST", "path": "/accounts/*/purchases"})
    togai.propose(**TOPUP)
    assert [togai.refused("POST", f"/accounts/{EUR}/purchases", TOPUP).status for _ in range(2)] == [503, 503]
    assert togai.purchase(**TOPUP)["status"] == "PENDING"
    assert len(togai.get(f"/accounts/{EUR}/purchases")["data"]) == 2


def test_a_method_that_no_call_has_is_refused(togai):
    """A rule that hits nothing would look like a Togai in good health."""
    with pytest.raises(ValidationError):
        togai.set(failing={"status": 401, "method": "*"})


def test_a_failure_can_hide_that_the_call_was_applied(togai):
    togai.set(failing={"status": 500, "times": 1, "applied": True})
    assert togai.refused("POST", f"/accounts/{EUR}/purchases", TOPUP).status == 500
    assert len(togai.get(f"/accounts/{EUR}/purchases")["data"]) == 2
    entry = togai.box.ledger()[0]
    assert (entry["status"], entry["applied"]) == (500, True)


@pytest.mark.parametrize(("switch", "rows"), [("lossy", 2), ("refuse", 1)])
def test_a_dropped_call_was_applied_or_not(togai, switch, rows):
    togai.set(**{switch: {"times": 1, "method": "POST"}})
    with pytest.raises(Dropped):
        togai.purchase(**TOPUP)
    assert togai.box.ledger()[-1]["applied"] is (rows == 2)
    assert len(togai.get(f"/accounts/{EUR}/purchases")["data"]) == rows


def test_a_duplicating_server_makes_two_of_one_key(togai):
    togai.set(duplicating={"times": 1})
    first = togai.propose(**TOPUP, idempotencyKey="k")
    rows = togai.get(f"/accounts/{EUR}/purchase_proposals")["data"]
    assert [row["idempotencyKey"] for row in rows] == ["k", "k"]
    assert first["id"] in {row["id"] for row in rows}


def test_a_late_server_applies_the_call_when_nobody_waits_for_it(togai):
    togai.set(late={"times": 1, "seconds": 1200})
    with pytest.raises(Dropped):
        togai.propose(**TOPUP, idempotencyKey="k")
    assert togai.get(f"/accounts/{EUR}/purchase_proposals")["data"] == []
    togai.box.advance_clock(1201)
    assert [row["idempotencyKey"] for row in togai.get(f"/accounts/{EUR}/purchase_proposals")["data"]] == [
        "k"
    ]


def test_a_slow_server_takes_its_time_before_it_holds_the_lock(togai, monkeypatch):
    slept = []
    monkeypatch.setattr("togai.sandbox.server.time.sleep", slept.append)
    togai.set(slow_ms=1500)
    togai.get("/accounts")
    assert slept == [1.5]


# A file instead of the shipped catalogue


def load_file(tmp_path, **keys):
    path = tmp_path / "load.json"
    path.write_text(json.dumps(keys))
    return path


MY_PLAN = {
    "id": "pp.mine",
    "referenceId": "pp.mine",
    "name": "Mine",
    "type": "PURCHASE",
    "version": 7,
    "status": "ACTIVE",
    "supportedCurrencies": ["EUR"],
    "createdAt": "2029-06-01T00:00:00Z",
    "updatedAt": "2030-01-10T00:00:00.5Z",
    "pricingCycleConfig": None,
}
MY_CARD = {
    "billableId": "addon.mine",
    "type": "FIXED_FEE",
    "displayName": "Fee",
    "name": "fee",
    "invoiceTiming": "IN_ADVANCE",
    "referenceId": "pp.mine",
    "referenceType": "PRICE_PLAN",
    "pricePlanId": "pp.mine",
    "rateCardDetails": {
        "fixedFeeRateCard": {
            "id": "addon.mine",
            "enableProration": False,
            "recurrenceConfig": {"interval": None, "offset": None},
            "rateValues": [{"currency": "EUR", "rate": 12.5}],
        }
    },
}
MY_ACCOUNT = {
    "id": "mine",
    "togaiAccountId": "account.mine",
    "togaiCustomerId": "customer.mine",
    "customerId": "me",
    "name": "My account",
    "status": "ACTIVE",
    "invoiceCurrency": "EUR",
}


def test_a_load_file_takes_the_place_of_the_shipped_catalogue(tmp_path):
    path = load_file(
        tmp_path,
        accounts=[MY_ACCOUNT],
        price_plans=[MY_PLAN],
        rate_cards=[MY_CARD],
        proposals=[
            {
                "id": "purchase.old",
                "type": "ENTITLEMENT_GRANT",
                "status": "PROPOSAL_ACTIVE",
                "paymentMode": "PREPAID",
                "pricePlanId": "pp.mine",
                "pricePlanName": "Mine",
                "createdAt": "2029-01-01T00:00:00Z",
                "updatedAt": "2029-01-01T00:00:00Z",
                "expiryDate": "2029-06-01T00:00:00Z",
            }
        ],
    )
    togai = Caller(tmp_path / "state.sqlite3", load_path=path)
    assert [row["id"] for row in togai.get("/accounts")["data"]] == ["mine"]
    assert togai.get("/features")["data"] == []
    assert togai.purchase("mine", pricePlanId="pp.mine", quantity=3)["price"] == D("37.5")
    assert togai.get("/v2/price_plans/pp.mine/rate_cards")["data"][0]["billableId"] == "addon.mine"
    # A list row names no account: it belongs to the first of the file.
    assert [row["id"] for row in togai.get("/accounts/mine/purchase_proposals")["data"]] == ["purchase.old"]
    assert togai.get("/accounts/mine/wallet")["balance"] == 0
    togai.box.state.close()
    again = Caller(tmp_path / "state.sqlite3", load_path=load_file(tmp_path, accounts=[]))
    assert [row["id"] for row in again.get("/accounts")["data"]] == ["mine"]
    again.box.state.close()


# The real process


def connection(running):
    parts = urlsplit(running.base_url)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)


def ask(running, method, path, body=None, over=None):
    """(status, JSON) over a connection of its own, or the one given."""
    used = over or connection(running)
    text = None if body is None else json.dumps(body)
    try:
        used.request(method, path, text, {"Authorization": f"Bearer {running.token}"})
        with used.getresponse() as answer:
            return answer.status, json.loads(answer.read())
    finally:
        if over is None:
            used.close()


@pytest.mark.process
def test_what_happened_survives_a_restart(tmp_path):
    state = tmp_path / "state.sqlite3"
    with running_sandbox(state) as first:
        soon = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {**TOPUP, "paymentMode": "PREPAID", "expiryDate": soon, "idempotencyKey": "k"}
        proposal = ask(first, "POST", f"/accounts/{EUR}/purchase_proposals", body)[1]
        first.control("/clock", advance_seconds=7200)
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(timeout=10) == 0
    with running_sandbox(state) as second:
        status, read = ask(second, "GET", f"/purchase_proposals/{proposal['id']}")
        assert (status, read["status"], read["idempotencyKey"]) == (200, "PROPOSAL_EXPIRED", "k")
        assert [entry["method"] for entry in second.ledger()] == ["POST", "GET"]
        assert second.control("/switches")["slow_ms"] == 0


@pytest.mark.process
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "not valid JSON"),
        ('{"account": []}', "unknown key 'account'"),
        ('{"accounts": [{"id": "a"}]}', "accounts[0] lacks name, customerId, status"),
    ],
)
def test_a_wrong_load_file_stops_the_start_with_one_sentence(tmp_path, content, sentence):
    (tmp_path / "load.json").write_text(content)
    flags = [
        "--port",
        "0",
        "--control-port",
        "0",
        "--state",
        str(tmp_path / "s"),
        "--load",
        str(tmp_path / "load.json"),
    ]
    done = subprocess.run(
        [sys.executable, "manage.py", "togai_sandbox", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "s").exists()


@pytest.mark.process
def test_one_connection_carries_many_calls(sandbox):  # noqa: F811
    kept = connection(sandbox)
    for status in (200, 404, 200):
        path = "/accounts" if status == 200 else "/nothing"
        assert ask(sandbox, "GET", path, over=kept)[0] == status
        place = kept.sock
        assert place is not None
    kept.close()


@pytest.mark.process
def test_a_dropped_connection_is_really_dropped(sandbox):  # noqa: F811
    sandbox.control("/switches", lossy={"times": 1})
    with pytest.raises(http.client.RemoteDisconnected):
        ask(sandbox, "POST", f"/accounts/{EUR}/purchases", TOPUP)
    sandbox.control(
        "/switches", garbled={"times": 1, "raw": "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"}
    )
    with pytest.raises(http.client.IncompleteRead):
        ask(sandbox, "GET", "/accounts")
    sandbox.control("/switches", garbled={"times": 1, "then": "reset"})
    with pytest.raises(ConnectionError):
        ask(sandbox, "GET", "/accounts")
    assert len(ask(sandbox, "GET", f"/accounts/{EUR}/purchases")[1]["data"]) == 2


@pytest.mark.process
def test_a_sandbox_that_plays_dead_closes_every_connection_and_comes_back(sandbox):  # noqa: F811
    kept = connection(sandbox)
    assert ask(sandbox, "GET", "/accounts", over=kept)[0] == 200
    sandbox.control("/switches", down=True)
    with pytest.raises(ConnectionError):
        ask(sandbox, "GET", "/accounts")
    with pytest.raises(ConnectionError):
        ask(sandbox, "GET", "/accounts", over=kept)
    kept.close()
    sandbox.control("/switches", down=False)
    assert ask(sandbox, "GET", "/accounts")[0] == 200
    assert len(sandbox.ledger()) == 2


@pytest.mark.process
def test_it_listens_on_this_machine_alone(sandbox):  # noqa: F811
    port = urlsplit(sandbox.base_url).port
    with socket.create_server(("127.0.0.2", port)):
        # Another address of the machine is free to take: the sandbox has bound its own only.
        assert ask(sandbox, "GET", "/accounts")[0] == 200


@pytest.mark.process
@pytest.mark.parametrize(
    ("action", "end"),
    [("approve", "PENDING"), ("decline", "PROPOSAL_DECLINED"), ("expire", "PROPOSAL_EXPIRED")],
)
def test_a_tester_decides_in_the_console(sandbox, action, end):  # noqa: F811
    proposal = ask(
        sandbox, "POST", f"/accounts/{EUR}/purchase_proposals", {**TOPUP, "paymentMode": "PREPAID"}
    )[1]
    sandbox.control("/console", action=action, id=proposal["id"])
    assert ask(sandbox, "GET", f"/purchase_proposals/{proposal['id']}")[1]["status"] == end


@pytest.mark.process
@pytest.mark.parametrize(("action", "end"), [("pay", "SUCCESS"), ("fail", "FAILURE")])
def test_a_tester_pays_or_fails_a_purchase_in_the_console(sandbox, action, end):  # noqa: F811
    purchase = ask(sandbox, "POST", f"/accounts/{EUR}/purchases", TOPUP)[1]
    sandbox.control("/console", action=action, id=purchase["id"])
    assert ask(sandbox, "GET", f"/purchases/{purchase['id']}")[1]["status"] == end
    with pytest.raises(AssertionError, match="400"):
        sandbox.control("/console", action=action, id=purchase["id"])


@pytest.mark.process
def test_the_control_page_shows_what_waits_and_its_forms_work(sandbox):  # noqa: F811
    name = "<b>x</b>"
    ask(sandbox, "POST", "/accounts", {"id": name, "name": "Bold", "customerId": "canopy"})
    body = {**TOPUP, "paymentMode": "PREPAID"}
    proposal = ask(sandbox, "POST", f"/accounts/{quote(name, safe='')}/purchase_proposals", body)[1]
    page = urllib.request.urlopen(sandbox.control_url)
    text = page.read().decode()
    assert proposal["id"] in text
    assert "&lt;b&gt;x&lt;/b&gt;" in text
    assert name not in text
    assert "style" not in text
    form = f"action=decline&id={proposal['id']}".encode()
    with urllib.request.urlopen(f"{sandbox.control_url}/console", form) as answer:
        assert (answer.status, answer.url) == (200, f"{sandbox.control_url}/")
    assert ask(sandbox, "GET", f"/purchase_proposals/{proposal['id']}")[1]["status"] == "PROPOSAL_DECLINED"
    form = b"fault=failing&status=502&times=1&method=&path=/accounts"
    urllib.request.urlopen(f"{sandbox.control_url}/switches", form).close()
    assert [ask(sandbox, "GET", "/accounts")[0] for _ in range(2)] == [502, 200]
    page.close()


@pytest.mark.process
@pytest.mark.parametrize("header", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}])
def test_a_strange_page_cannot_press_the_buttons(sandbox, header):  # noqa: F811
    parts = urlsplit(sandbox.control_url)
    used = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    used.request("POST", "/switches", '{"down": true}', header)
    assert used.getresponse().status == 403
    used.close()
    assert sandbox.control("/switches")["down"] is False


@pytest.mark.process
@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/switches", {"dwon": True}),
        ("/switches", {"slow_ms": -1}),
        ("/switches", {"failing": {"status": 20}}),
        ("/switches", {"organisation_time_zone": "Mars/Base"}),
        ("/console", {"action": "explode", "id": "x"}),
        ("/clock", {"advance_seconds": "soon"}),
    ],
)
def test_a_control_that_does_not_exist_is_refused(sandbox, path, sent):  # noqa: F811
    before = sandbox.control("/switches")
    with pytest.raises(AssertionError, match="400"):
        sandbox.control(path, **sent)
    assert sandbox.control("/switches") == before
