"""The revenue calculator and the grants of a feature, judged by the vendor's model and the sandbox."""

import json
import warnings
from datetime import UTC, datetime
from decimal import Decimal as D

import pytest
import responses

from tests.togai.oracle import judge
from tests.togai.sandbox_fixture import sandbox, sandbox_process  # noqa: F401
from togai import wire
from togai.errors import ContractChanged, Refused
from togai.gateway import Gateway
from togai.secret import Secret

BASE = "https://togai.test"
TOKEN = "token-of-a-preview"
NOON = datetime(2030, 2, 1, 12, tzinfo=UTC)
SLABS = {
    "ratePlan": {
        "pricingModel": "VOLUME",
        "slabs": [
            {"order": 1, "startAfter": 0, "priceType": "PER_UNIT"},
            {"order": 2, "startAfter": 10_000, "priceType": "PER_UNIT"},
        ],
    },
    "rateValues": [
        {"currency": "EUR", "slabRates": [{"order": 1, "rate": D("0.02")}, {"order": 2, "rate": D("0.015")}]}
    ],
}
DETAILS = {
    "supportedCurrencies": ["EUR"],
    "pricingCycleConfig": {"interval": "ANNUALLY", "gracePeriod": 2, "anniversaryCycle": True},
    "usageRateCards": [{"usageMeterId": "um.1", "displayName": "Messages", **SLABS}],
    "licenseRateCards": [
        {"id": "addon.1", "displayName": "Seat", "enableProration": False, "usageCycle": "QUARTERLY", **SLABS}
    ],
    "entitlementOverageRateCards": [{"featureId": "feature.1", "maxQuantity": D(100), **SLABS}],
    "fixedFeeRateCards": [
        {
            "id": "addon.2",
            "displayName": "Platform fee",
            "enableProration": True,
            "type": "RECURRING",
            "rateValues": [{"currency": "EUR", "rate": D("499.5")}],
        }
    ],
}


def asked(**changes):
    """The bytes of a question with every part."""
    return wire.to_bytes(
        wire.CalculateRevenue.model_validate(
            {
                "currencyConfig": {"currency": "EUR"},
                "pricePlanDetailsConfig": {"pricePlanDetails": DETAILS},
                "usageConfig": {"usageMap": {"um.1": D("12000.5")}},
                "licenseEntriesConfig": {
                    "custom": [{"licenseId": "addon.1", "quantity": 12, "effectiveFrom": NOON}]
                },
                "entitlementOverageConfig": {"custom": [{"featureId": "feature.1", "quantity": D(140)}]},
            }
            | changes
        )
    )


@pytest.fixture
def togai():
    return Gateway(base_url=BASE, token=Secret(TOKEN))


def test_the_vendors_model_takes_every_part_of_the_question():
    """G-05"""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from togai_client.models import CalculateRevenueRequest
    assert judge(CalculateRevenueRequest, asked()) == []
    assert judge(CalculateRevenueRequest, asked(licenseEntriesConfig={"custom": []})) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"usageConfig": {"usageMap": {"um.1": D(-1)}}},
        {"usageConfig": {"usageMap": {"um.1": D("NaN")}}},
        {"usageConfig": {"usageMap": {"um.1": 1.5}}},
        {
            "licenseEntriesConfig": {
                "custom": [{"licenseId": "a", "quantity": D("1.5"), "effectiveFrom": NOON}]
            }
        },
        {"currencyConfig": {"currency": "eur"}},
        {"currencyConfig": {"currency": "EUR", "mode": "ACCOUNT_INVOICE"}},
        {"pricePlanDetailsConfig": {"pricePlanDetails": {"usageRateCards": []}}},
        {"somethingElse": 1},
    ],
)
def test_what_the_contract_does_not_know_never_leaves(changes):
    """R-20"""
    with pytest.raises(wire.ValidationError):
        asked(**changes)


@responses.activate
def test_a_preview_is_posted_once_and_read_line_by_line(togai):
    body = asked()
    answer = {
        "currency": "EUR",
        "revenueInfo": [
            {
                "usages": {"um.1": 12000.5},
                "rateCard": {"billableId": "um.1", "type": "USAGE", "displayName": "Messages"},
                "slabRevenueSummaries": [{"order": 1, "revenue": 200.1}, {"order": 2, "revenue": 0.2}],
            },
            {
                "rateCard": {"billableId": "a", "type": "CREDIT_GRANT"},
                "creditGrantRevenueSummary": {"revenue": 5},
            },
            {"rateCard": {"billableId": "s"}, "licenseRevenueSummary": [{"order": 1, "revenue": "x"}]},
            {"rateCard": {"billableId": "n"}},
            {"usages": {}},
            7,
        ],
    }
    responses.post(f"{BASE}/v2/revenue_calculator", json=answer)
    found = togai.calculate_revenue(body)
    assert responses.calls[0].request.body == body
    assert [(line.billable_id, line.revenue, line.by_slab) for line in found.lines] == [
        ("um.1", D("200.3"), True),
        ("a", D(5), False),
        ("s", None, True),
        ("n", None, False),
    ]
    assert (found.currency, found.unreadable) == ("EUR", 2)
    assert json.loads(found.raw) == answer


@responses.activate
def test_the_vendors_own_example_is_read(togai):
    """togai.md 3.10: slabs of 200, 600 and 120."""
    card = {
        "billableId": "um.21kS6iPwHmZ.xR8bT",
        "type": "USAGE",
        "displayName": "Messages",
        "name": "messages",
        "invoiceTiming": "IN_ARREARS",
        "referenceId": "pp.21mB3kVwTqS.e9JzL",
        "referenceType": "PRICE_PLAN",
        "pricePlanId": "pp.21mB3kVwTqS.e9JzL",
        "rateCardDetails": {},
    }
    slabs = [
        {"order": 1, "usage": 1000, "revenue": 200},
        {"order": 2, "usage": 4000, "revenue": 600},
        {"order": 3, "usage": 1200, "revenue": 120},
    ]
    usages = {"um.21kS6iPwHmZ.xR8bT": 6200}
    row = {"usages": usages, "rateCard": card, "slabRevenueSummaries": slabs}
    responses.post(f"{BASE}/v2/revenue_calculator", json={"currency": "EUR", "revenueInfo": [row]})
    (line,) = togai.calculate_revenue(asked()).lines
    assert (line.type, line.display_name, line.revenue) == ("USAGE", "Messages", D(920))


@responses.activate
@pytest.mark.parametrize(
    "answer", [[], {}, {"currency": "EUR"}, {"revenueInfo": []}, {"currency": 3, "revenueInfo": []}]
)
def test_an_answer_without_its_lines_or_currency_is_a_changed_contract(togai, answer):
    responses.post(f"{BASE}/v2/revenue_calculator", json=answer)
    with pytest.raises(ContractChanged):
        togai.calculate_revenue(asked())


@responses.activate
def test_a_grant_that_lacks_everything_optional_is_read(togai):
    rows = [{"id": "purchase.1#0$PURCHASE", "used": "x", "effectiveUntil": "someday"}, {"used": 1}]
    responses.get(f"{BASE}/accounts/acme/features/f/entries", json={"data": rows})
    walked = togai.list_credit_entries("acme", "f")
    grant = next(walked)
    assert (grant.id, grant.used, grant.effective_until) == ("purchase.1#0$PURCHASE", None, None)
    with pytest.raises(ContractChanged):
        next(walked)


# Against the sandbox


@pytest.mark.process
def test_the_sandbox_prices_a_cycle_of_what_we_ask(sandbox):  # noqa: F811
    gateway = Gateway(base_url=sandbox.base_url, token=Secret(sandbox.token))
    found = gateway.calculate_revenue(asked())
    assert {line.billable_id: line.revenue for line in found.lines} == {
        "um.1": D("180.0075"),
        # Four quarters of twelve seats at 0.02.
        "addon.1": D("0.96"),
        # At most 100 units of overage.
        "feature.1": D(2),
        "addon.2": D("499.5"),
    }


@pytest.mark.process
def test_the_sandbox_refuses_what_the_contract_does_not_know(sandbox):  # noqa: F811
    gateway = Gateway(base_url=sandbox.base_url, token=Secret(sandbox.token))
    with pytest.raises(Refused):
        gateway.calculate_revenue(b'{"currencyConfig":{"mode":"CUSTOM"},"typingError":1}')


@pytest.mark.process
def test_the_sandbox_lists_the_grants_of_a_purchase(sandbox):  # noqa: F811
    gateway = Gateway(base_url=sandbox.base_url, token=Secret(sandbox.token))
    plan = next(plan for plan in gateway.list_price_plans() if plan.name == "API Call Pack")
    body = wire.to_bytes(
        wire.CreatePurchase.model_validate(
            {"type": "ENTITLEMENT_GRANT", "pricePlanId": plan.id, "quantity": 3, "idempotencyKey": "k-7"}
        )
    )
    bought = gateway.create_purchase(account_id="brightfold-eu", body=body)
    sandbox.control("/console", action="pay", id=bought.id)
    (feature,) = gateway.get_purchase(bought.id).features
    grant = next(gateway.list_credit_entries("brightfold-eu", feature.id))
    assert (grant.granted, grant.used, grant.balance) == (D(30_000), 0, D(30_000))
    assert grant.effective_until.year < 9999


@pytest.mark.process
def test_the_sandbox_ships_grants_that_are_partly_used_and_a_wallet_with_a_past(sandbox):  # noqa: F811
    gateway = Gateway(base_url=sandbox.base_url, token=Secret(sandbox.token))
    values = {row.feature_id: row.value for row in gateway.get_entitlements("lumenar-fr")}
    grants = [next(gateway.list_credit_entries("lumenar-fr", feature)) for feature in values]
    assert {(grant.granted, grant.used, grant.balance) for grant in grants} == {
        (D(250_000), D("41250.5"), D("208749.5")),
        (D(500), D(488), D(12)),
    }
    entries = list(gateway.list_wallet_entries("brightfold-eu"))
    assert [entry.transaction_type for entry in entries] == ["DEBITED", "CREDITED"]
    assert entries[0].closing_balance == gateway.get_wallet("brightfold-eu").balance
