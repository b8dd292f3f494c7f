"""Togai's own calculator beside our estimate: asked where its shape allows, shown once, kept nowhere."""

import json
from datetime import date
from decimal import Decimal as D

import pytest
import requests
import responses
from django.core.cache import cache
from django.db import transaction

from audit.models import Event
from audit.roles import Role
from proposals.models import Proposal
from purchases import crosscheck
from purchases.cards import METERED
from purchases.catalogue import Pull
from purchases.models import PricePlan
from purchases.overrides import cards
from tests.factories import (
    MESSAGES,
    NOON,
    ONBOARDING,
    AccountFactory,
    PricePlanFactory,
    draft,
    finance,
    person,
    purchase_draft,
    rep,
    slab_rates,
)
from tests.togai.sandbox_fixture import sandbox, sandbox_process  # noqa: F401
from togai.gateway import Gateway
from togai.models import Delivery, Link
from togai.secret import Secret

pytestmark = pytest.mark.django_db

BASE = "https://togai.test"
URL = f"{BASE}/v2/revenue_calculator"
HTMX = {"HX-Request": "true"}
TOKEN = "canary-of-the-cross-check"
ONE_SLAB = {"pricingModel": "TIERED", "slabs": [{"order": 1, "startAfter": "0", "priceType": "PER_UNIT"}]}
SEATS = {
    "id": "addon.seat",
    "displayName": "Seat",
    "enableProration": True,
    "ratePlan": ONE_SLAB,
    "rateValues": [{"currency": "EUR", "slabRates": slab_rates("19")}],
}
OVERAGE = {
    "featureId": "feature.calls",
    "displayName": "Beyond",
    "ratePlan": ONE_SLAB,
    "rateValues": [{"currency": "EUR", "slabRates": slab_rates("0.03")}],
}
FEE = {
    "id": "addon.platform",
    "displayName": "Platform fee",
    "type": "RECURRING",
    "enableProration": True,
    "rateValues": [{"currency": "EUR", "rate": "499"}],
}
CARDS = {
    "um.messages": ("usageRateCards", "um.messages", MESSAGES),
    "addon.seat": ("licenseRateCards", "addon.seat", SEATS),
    "feature.calls": ("entitlementOverageRateCards", "feature.calls", OVERAGE),
    "addon.platform": ("fixedFeeRateCards", "addon.platform", FEE),
}


@pytest.fixture(autouse=True)
def an_address(settings):
    settings.TOGAI_BASE_URL, settings.TOGAI_API_TOKEN = BASE, TOKEN
    settings.TOGAI_REQUESTS_PER_SECOND = 10_000
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def togai():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def mia(client):
    mia = rep()
    client.force_login(mia)
    return mia


def attached(mia, *, cards=("um.messages", "addon.platform"), make=draft, **fields):
    """A draft that puts an account on a billing plan of these cards."""
    given = {
        "type": "ASSOCIATION",
        "quantity": None,
        "price_plan": PricePlanFactory(
            recurring=True, cards=[CARDS[card] if isinstance(card, str) else card for card in cards]
        ),
        "account": AccountFactory(owner=mia, currency="EUR"),
        "effective_from": date(2030, 3, 1),
        "expected_volumes": {"um.messages": "12000"},
    }
    return make(by=mia, **(given | fields))


def line(type_, billable_id, **summary):
    return {"rateCard": {"type": type_, "billableId": billable_id, "displayName": "Theirs"}, **summary}


def slabs(*revenues):
    return {
        "slabRevenueSummaries": [{"order": n, "usage": 1, "revenue": r} for n, r in enumerate(revenues, 1)]
    }


USAGE = line("USAGE", "um.messages", **slabs(180))
PLATFORM = line("FIXED_FEE", "addon.platform", fixedFeeRevenueSummary={"revenue": 499})


def says(togai, *lines, currency="EUR"):
    togai.post(URL, json={"currency": currency, "revenueInfo": list(lines)})


def verdicts(check):
    return {line.label: line.verdict for line in check.lines}


# The question


def test_the_deal_as_agreed_is_asked_about_at_its_volumes(mia, togai):
    says(togai, USAGE, PLATFORM)
    deal = attached(
        mia,
        cards=list(CARDS),
        expected_volumes={"um.messages": "12000.5", "addon.seat": "12", "feature.calls": "40"},
        association_override={
            "fixedFeeRateCards": {"addon.platform": {"rateValues": {"EUR": {"rate": "449"}}}}
        },
    )
    crosscheck.ask(deal, at=NOON)
    sent = json.loads(togai.calls[0].request.body)
    assert sent["currencyConfig"] == {"mode": "CUSTOM", "currency": "EUR"}
    plan = sent["pricePlanDetailsConfig"]
    assert (plan["mode"], plan["pricePlanDetails"]["supportedCurrencies"]) == ("CUSTOM", ["EUR", "USD"])
    assert plan["pricePlanDetails"]["fixedFeeRateCards"][0]["rateValues"] == [
        {"currency": "EUR", "rate": 449}
    ]
    assert sent["usageConfig"] == {"mode": "CUSTOM", "usageMap": {"um.messages": 12000.5}}
    assert sent["licenseEntriesConfig"]["custom"] == [
        {"licenseId": "addon.seat", "quantity": 12, "effectiveFrom": "2030-03-01T00:00:00Z"}
    ]
    assert sent["entitlementOverageConfig"]["custom"] == [{"featureId": "feature.calls", "quantity": 40}]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "cannot price what is bought once"),
        ({"type": "WALLET_TOPUP", "wallet_topup_amount": D("50")}, "cannot price what is bought once"),
        ({"type": "ASSOCIATION"}, "no billing plan"),
    ],
)
def test_what_the_calculator_cannot_take_is_not_asked(mia, togai, fields, reason):
    """It takes no quantity, so it prices no purchase (togai.md 3.10)."""
    if "type" in fields:
        fields = {"price_plan": None, "quantity": None} | fields
    deal = draft(by=mia, **fields)
    assert reason in crosscheck.ask(deal, at=NOON).why_not
    assert not crosscheck.is_offered(deal, mia)
    assert len(togai.calls) == 0


def test_an_account_without_a_currency_is_not_asked_about(mia, togai):
    deal = attached(mia, account=AccountFactory(owner=mia, currency=""))
    assert "no invoice currency" in crosscheck.ask(deal, at=NOON).why_not
    assert len(togai.calls) == 0


def test_nothing_is_asked_inside_a_transaction(mia, togai):
    """R-02"""
    deal = attached(mia)
    with transaction.atomic(), pytest.raises(RuntimeError, match="inside a database transaction"):
        crosscheck.ask(deal, at=NOON)
    assert len(togai.calls) == 0


# The answer


def test_equal_figures_are_equal_line_by_line_and_in_all(mia, togai):
    says(togai, USAGE, PLATFORM)
    check = crosscheck.ask(attached(mia), at=NOON)
    assert verdicts(check) == {"Messages": "equal", "Platform fee": "equal"}
    assert (check.ours, check.theirs, check.difference, check.open_lines) == (D("679.00"), D("679.00"), 0, 0)


def test_a_difference_is_flagged_with_its_sign(mia, togai):
    says(togai, line("USAGE", "um.messages", **slabs(150, 33.333)), PLATFORM)
    check = crosscheck.ask(attached(mia), at=NOON)
    usage = check.lines[1] if check.lines[1].label == "Messages" else check.lines[0]
    # Rounded once, as our line is.
    assert (usage.ours, usage.theirs, usage.difference, usage.verdict) == (
        D("180.00"),
        D("183.33"),
        D("3.33"),
        "differs",
    )
    assert check.difference == D("3.33")


def test_a_line_that_does_not_compare_says_why_and_is_not_in_the_sum(mia, togai):
    limited = dict(MESSAGES) | {
        "rateValues": [
            {
                "currency": "EUR",
                "slabRates": slab_rates("0.02", "0.015"),
                "rateConfig": {"minimumRate": "100"},
            }
        ]
    }
    cards = [("usageRateCards", "um.messages", limited), "addon.seat", "feature.calls", "addon.platform"]
    seats = line("LICENSE", "addon.seat", licenseRevenueSummary=[])
    says(togai, line("USAGE", "um.messages", **slabs(90)), PLATFORM, seats, line("NEW", "x"))
    deal = attached(mia, cards=cards, expected_volumes={"um.messages": "12000", "addon.seat": "2.5"})
    check = crosscheck.ask(deal, at=NOON)
    notes = {found.label: found.note for found in check.lines}
    assert "whole card" in notes["Messages"]
    assert notes["Seat"] == "Togai's calculator takes whole seats only."
    assert notes["Beyond"] == "No expected volume yet."
    assert notes["Theirs"] == "Only Togai's calculator has this line."
    assert verdicts(check)["Platform fee"] == "equal"
    assert (check.ours, check.theirs, check.open_lines) == (D("499.00"), D("499.00"), 4)


def test_a_limit_of_the_whole_card_that_changes_nothing_is_no_reason_to_doubt(mia, togai):
    limited = dict(MESSAGES) | {
        "rateValues": [
            {
                "currency": "EUR",
                "slabRates": slab_rates("0.02", "0.015"),
                "rateConfig": {"minimumRate": "100"},
            }
        ]
    }
    says(togai, USAGE)
    check = crosscheck.ask(attached(mia, cards=[("usageRateCards", "um.messages", limited)]), at=NOON)
    assert verdicts(check) == {"Messages": "equal"}


def test_a_commitment_beside_one_time_fees_is_left_open(mia, togai):
    cards = [
        "addon.platform",
        ("fixedFeeRateCards", "addon.onboarding", ONBOARDING),
        (
            "minimumCommitment",
            "",
            {"displayName": "Floor", "rateValues": [{"currency": "EUR", "rate": "1000"}]},
        ),
    ]
    floor = line("MINIMUM_COMMITMENT", "pp.whatever", fixedFeeRevenueSummary={"revenue": 0})
    says(
        togai, PLATFORM, line("FIXED_FEE", "addon.onboarding", fixedFeeRevenueSummary={"revenue": 750}), floor
    )
    check = crosscheck.ask(attached(mia, cards=cards, expected_volumes=None), at=NOON)
    assert verdicts(check) == {"Platform fee": "equal", "Onboarding": "equal", "Floor": "open"}
    assert next(found for found in check.lines if found.label == "Floor").theirs == 0


@pytest.mark.parametrize(
    "answer",
    [
        {"json": {"currency": "EUR", "revenueInfo": ["odd", {"rateCard": 3}]}},
        {"json": {"currency": "EUR", "revenueInfo": [line("USAGE", "um.messages")]}},
        {"json": {"currency": "EUR", "revenueInfo": [line("USAGE", "um.messages", **slabs("x"))]}},
    ],
)
def test_lines_that_cannot_be_read_are_open(mia, togai, answer):
    togai.post(URL, **answer)
    check = crosscheck.ask(attached(mia), at=NOON)
    assert set(verdicts(check).values()) == {"open"}
    assert (check.ours, check.theirs, check.difference) == (None, None, None)
    assert check.open_lines >= 2


@pytest.mark.parametrize(
    "answer",
    [
        {"json": {"currency": "USD", "revenueInfo": []}},
        {"json": {"currency": "EUR"}},
        {"json": []},
        {"body": "<html>"},
        {"status": 400, "json": {"message": "No such meter."}},
        {"status": 403, "json": {}},
        {"status": 500, "body": ""},
        {"body": requests.ConnectionError()},
        {"body": requests.ReadTimeout()},
    ],
)
def test_no_answer_is_an_exception(mia, togai, answer):
    togai.post(URL, **answer)
    check = crosscheck.ask(attached(mia), at=NOON)
    assert check.why_not
    assert check.lines == ()


def test_togais_own_words_are_shown_where_it_refuses(mia, togai):
    togai.post(URL, status=400, json={"message": "No such meter."})
    assert "No such meter." in crosscheck.ask(attached(mia), at=NOON).why_not


def test_a_refused_token_closes_the_line_and_nobody_asks_then(mia, togai):
    """Five of these lock the office out for half an hour (togai.md 0, 6)."""
    togai.post(URL, status=401)
    deal = attached(mia)
    crosscheck.ask(deal, at=NOON)
    assert Link.load().closed_until
    check = crosscheck.ask(deal, at=NOON)
    assert len(togai.calls) == 1
    assert check.since == NOON


# The page


def test_the_button_stands_on_the_page_of_a_deal_that_compares(client, mia):
    deal = attached(mia)
    assert (
        f'action="/proposals/{deal.reference}/check/"' in client.get(deal.get_absolute_url()).content.decode()
    )
    bought = attached(mia, make=purchase_draft)
    page = client.get(bought.get_absolute_url()).content.decode()
    assert f'action="/purchases/{bought.reference}/check/"' in page
    once = draft(by=mia)
    assert "Togai's calculator" not in client.get(once.get_absolute_url()).content.decode()


@pytest.mark.parametrize("make", [draft, purchase_draft])
def test_the_answer_is_labelled_shown_and_kept_nowhere(client, mia, togai, make):
    """No figure but Togai's price and our own estimate is ever stored or decides anything (design.md 5)."""
    says(togai, line("USAGE", "um.messages", **slabs(190)), PLATFORM)
    deal = attached(mia, make=make)
    stored, events = type(deal).objects.values().get(pk=deal.pk), Event.objects.count()
    path = f"{deal.get_absolute_url()}check/"
    piece = client.post(path, headers=HTMX).content.decode()
    page = client.post(path).content.decode()
    assert "<html" not in piece
    assert "<html" in page
    for text in (piece, page):
        assert "Togai's revenue calculator, for BILLING plans at these volumes; not a price" in text
        assert "+10.00" in text
        assert "differs" in text
        assert TOKEN not in text
    assert type(deal).objects.values().get(pk=deal.pk) == stored
    assert (Event.objects.count(), Delivery.objects.count()) == (events, 0)


def test_words_of_togais_are_text(client, mia, togai):
    says(togai, {"rateCard": {"type": "USAGE", "billableId": "<b>", "displayName": "<i>"}, **slabs(1)})
    deal = attached(mia)
    text = client.post(f"{deal.get_absolute_url()}check/", headers=HTMX).content.decode()
    assert "&lt;i&gt;" in text
    togai.reset()
    togai.post(URL, status=400, json={"message": "<s>no</s>"})
    text += client.post(f"{deal.get_absolute_url()}check/", headers=HTMX).content.decode()
    assert "&lt;s&gt;no" in text
    for mark in ("<b>", "<i>", "<s>"):
        assert mark not in text


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.FINANCE, 200), (Role.CFO, 200), (Role.AUDITOR, 403), (Role.ADMINISTRATOR, 403), (Role.REP, 404)],
)
def test_those_who_write_and_decide_deals_ask(client, mia, togai, role, status):
    """S-07"""
    says(togai, USAGE, PLATFORM)
    deal = attached(mia)
    client.force_login(person(role))
    assert client.post(f"{deal.get_absolute_url()}check/", headers=HTMX).status_code == status
    assert client.get(f"{deal.get_absolute_url()}check/").status_code == 405


def test_a_page_without_an_answer_says_so_and_the_rest_of_the_deal_works(client, mia, togai):
    togai.post(URL, body=requests.ConnectionError())
    deal = attached(mia)
    client.force_login(finance())
    text = client.post(f"{deal.get_absolute_url()}check/", headers=HTMX).content.decode()
    assert "There is nothing to compare now" in text
    assert "since" in text
    assert client.get(deal.get_absolute_url()).status_code == 200
    assert Proposal.objects.get(pk=deal.pk).togai_price is None


# Two calculators that have never seen each other


@pytest.mark.process
@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD"])
@pytest.mark.parametrize("volume", [D(1), D(60), D("1200"), D("250000")])
def test_every_billing_plan_of_the_sandbox_comes_to_the_same(mia, sandbox, currency, volume):  # noqa: F811
    """G-14: the sandbox prices with a calculator of its own, written without a look at ours."""
    gateway = Gateway(base_url=sandbox.base_url, token=Secret(sandbox.token))
    Pull(gateway).plans()
    account = AccountFactory(owner=mia, currency=currency)
    asked = 0
    for plan in PricePlan.objects.filter(type="BILLING", is_latest=True):
        if currency not in plan.currencies:
            continue
        volumes = {card.billable_id: str(volume) for card in cards(plan.details) if card.kind in METERED}
        deal = attached(mia, account=account, price_plan=plan, expected_volumes=volumes or None)
        check = crosscheck.ask(deal, at=NOON, gateway=gateway)
        assert (plan.name, check.why_not) == (plan.name, "")
        assert [(plan.name, line) for line in check.lines if line.verdict == "differs"] == []
        assert check.difference == 0
        asked += 1
    assert asked >= 4
