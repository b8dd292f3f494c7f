"""Pulling accounts, plans and features: upserts in small commits that a second pull does not repeat."""

import copy
import io
from datetime import timedelta

import pytest
import responses
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from responses import matchers

from accounts.models import Account, Customer, PullProgress
from accounts.search import matching
from audit.models import Event
from purchases.catalogue import Pull
from purchases.models import Feature, PricePlan, RateCard
from tests.factories import NOON, AccountFactory, rep
from tests.togai.sandbox_fixture import sandbox, sandbox_process  # noqa: F401
from togai import errors
from togai.gateway import Gateway
from togai.secret import Secret

pytestmark = pytest.mark.django_db

BASE = "https://togai.test"

ACME = {
    "id": "acme-eu",
    "togaiAccountId": "account.21kQmZ7tLxA.h4VtR",
    "customerId": "acme",
    "name": "Acme Europe",
    "invoiceCurrency": "EUR",
    "aliases": [{"alias": "acme_eu_prod"}],
    "netTermDays": 30,
    "primaryEmail": "billing@acme.example",
    "status": "ACTIVE",
    "tags": ["enterprise"],
    "metadata": {"vat": "DE123456789"},
}
PLAN = {
    "id": "pp.scale",
    "referenceId": "pp.scale",
    "name": "Scale Monthly",
    "type": "BILLING",
    "version": 3,
    "status": "ACTIVE",
    "supportedCurrencies": ["EUR", "USD"],
    "createdAt": "2029-06-01T00:00:00Z",
    "updatedAt": "2030-01-10T00:00:00Z",
    "pricingCycleConfig": {
        "interval": "MONTHLY",
        "gracePeriod": 2,
        "startOffset": {"dayOffset": "1", "monthOffset": "NIL"},
    },
}


def card(kind, inner, **around):
    return {
        "billableId": inner.get("id", ""),
        "type": "FIXED_FEE",
        "displayName": "Platform fee",
        "name": "platform_fee",
        "invoiceTiming": "IN_ADVANCE",
        "referenceId": "pp.scale",
        "referenceType": "PRICE_PLAN",
        "pricePlanId": "pp.scale",
        "rateCardDetails": {kind: inner},
        **around,
    }


FEE = card(
    "fixedFeeRateCard",
    {
        "id": "addon.fee",
        "type": "RECURRING",
        "enableProration": True,
        "rateValues": [{"currency": "EUR", "rate": 499}, {"currency": "USD", "rate": 549.5}],
    },
)
COMMITMENT = card(
    "minimumCommitmentRateCard",
    {"displayName": "Monthly minimum", "rateValues": [{"currency": "EUR", "rate": 1000}]},
    type="MINIMUM_COMMITMENT",
)


@pytest.fixture
def slept():
    return []


@pytest.fixture
def pull(slept):
    return Pull(
        Gateway(base_url=BASE, token=Secret("canary-of-the-catalogue")),
        clock=lambda: NOON,
        sleep=slept.append,
    )


@pytest.fixture
def togai():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def lists(togai, path, *rows, token=None, after=None):
    """Have `path` answer one page of rows: the first, or the one behind the token `after`."""
    match = [matchers.query_param_matcher({"nextToken": after})] if after else []
    togai.get(f"{BASE}{path}", json={"data": list(rows), "nextToken": token}, match=match)


def offers(togai, *plans, cards=(FEE, COMMITMENT), versions=None):
    lists(togai, "/v2/price_plans", *plans)
    for plan in plans:
        lists(togai, f"/v2/price_plans/{plan['id']}/versions", *(versions or [plan]))
        lists(togai, f"/v2/price_plans/{plan['id']}/rate_cards", *cards)


def rows():
    """Everything the pull writes, without the moments of the pull."""
    return [
        list(Account.objects.order_by("pk").values_list("pk", "name", "tags", "customer_name", "version")),
        list(PricePlan.objects.order_by("pk").values_list("pk", "version", "status", "is_latest")),
        list(RateCard.objects.order_by("pk").values_list("pk", "price_plan_id", "kind", "details")),
        list(Feature.objects.order_by("pk").values_list("pk", "name")),
        Event.objects.count(),
    ]


# Accounts


def test_an_account_is_stored_as_togai_bills_it(pull, togai):
    lists(togai, "/customers", {"id": "acme", "name": "Acme"})
    lists(togai, "/accounts", ACME)
    tally = pull.accounts()
    account = Account.objects.get()
    assert (tally.read, tally.new, tally.changed, tally.skipped) == (1, 1, 0, [])
    assert (account.togai_id, account.name, account.customer_name) == ("acme-eu", "Acme Europe", "Acme")
    assert (account.currency, account.net_term_days, account.tags) == ("EUR", 30, ["enterprise"])
    assert (account.aliases, account.metadata) == (["acme_eu_prod"], {"vat": "DE123456789"})
    assert (account.owner, account.pulled_at) == (None, NOON)
    assert list(matching("eu_prod")) == [account]


def test_a_pull_keeps_the_owner_and_records_what_togai_changed(pull, togai):
    owner = rep()
    account = AccountFactory(togai_id="acme-eu", name="Acme", owner=owner, net_term_days=30)
    lists(togai, "/customers", {"id": "acme", "name": "Acme"})
    lists(togai, "/accounts", ACME)
    tally = pull.accounts()
    account.refresh_from_db()
    assert (tally.new, tally.changed) == (0, 1)
    assert (account.owner, account.name, account.version) == (owner, "Acme Europe", 2)
    assert list(matching("acme europe")) == [account]
    event = Event.objects.about(account).get()
    assert (event.verb, event.before["name"], event.after["name"]) == ("pull", "Acme", "Acme Europe")
    assert "net_term_days" not in event.after


def test_a_field_that_togai_no_longer_shows_is_empty_here(pull, togai):
    AccountFactory(togai_id="acme-eu", tags=["old"], net_term_days=10)
    lists(togai, "/customers")
    lists(togai, "/accounts", {key: ACME[key] for key in ("id", "name", "status", "customerId")})
    pull.accounts()
    account = Account.objects.get()
    assert (account.tags, account.net_term_days) == ([], None)


def test_an_unknown_status_is_stored_as_it_came(pull, togai):
    lists(togai, "/customers")
    lists(togai, "/accounts", ACME | {"status": "FROZEN"})
    pull.accounts()
    assert Account.objects.get().status == "FROZEN"


@pytest.mark.parametrize(
    "bad",
    [{"name": "no id"}, ACME | {"id": "x" * 51}, ACME | {"name": "x" * 256}, ACME | {"netTermDays": -1}, 7],
)
def test_one_record_that_cannot_be_read_or_stored_hides_no_other(pull, togai, bad):
    lists(togai, "/customers", {"name": "nobody"})
    lists(togai, "/accounts", bad, ACME | {"id": "other"})
    tally = pull.accounts()
    assert [account.togai_id for account in Account.objects.all()] == ["other"]
    assert len(tally.skipped) == 2


def test_a_pull_goes_on_where_it_was_interrupted(pull, togai, slept):
    lists(togai, "/customers")
    lists(togai, "/accounts", ACME, token="two")
    for _ in range(5):
        togai.get(f"{BASE}/accounts", status=503, match=[matchers.query_param_matcher({"nextToken": "two"})])
    with pytest.raises(errors.Unconfirmed):
        pull.accounts()
    assert slept == [2, 4, 8, 16]
    assert (Account.objects.count(), PullProgress.objects.get().next_token) == (1, "two")

    togai.reset()
    lists(togai, "/customers")
    lists(togai, "/accounts", ACME | {"id": "second"}, after="two")
    assert pull.accounts().read == 2
    assert (Account.objects.count(), PullProgress.objects.count()) == (2, 0)


def test_a_customer_of_an_impossible_id_is_told_of_and_hides_no_other(pull, togai):
    """R-04: what no column holds is skipped aloud."""
    lists(togai, "/customers", {"id": "x" * 256, "name": "Long"}, {"id": "acme", "name": "n" * 300})
    lists(togai, "/accounts", ACME)
    assert pull.accounts().skipped == [f"Customer {'x' * 50}: Its id is longer than 255 characters."]
    assert Account.objects.get().customer_name == "n" * 255


def test_a_customer_that_cannot_be_read_today_keeps_its_name(pull, togai):
    """Names of an earlier pull stay; an account that is new today shows them, too."""
    Customer.objects.create(togai_id="acme", name="Acme", pulled_at=NOON)
    lists(togai, "/customers", {"name": "without an id"})
    lists(togai, "/accounts", ACME)
    assert len(pull.accounts().skipped) == 1
    assert Account.objects.get().customer_name == "Acme"


def test_a_token_that_togai_no_longer_takes_starts_the_pull_again(pull, togai):
    PullProgress.objects.create(name="accounts", next_token="old", read=100, saved_at=NOON)
    lists(togai, "/customers")
    togai.get(f"{BASE}/accounts", status=400, match=[matchers.query_param_matcher({"nextToken": "old"})])
    lists(togai, "/accounts", ACME)
    assert pull.accounts().read == 1


@pytest.mark.parametrize("why", ["told", "old"])
def test_a_pull_begins_again_when_told_to_or_when_it_stopped_long_ago(pull, togai, why):
    age = timedelta(days=2) if why == "old" else timedelta(0)
    PullProgress.objects.create(name="accounts", next_token="old", read=100, saved_at=NOON - age)
    lists(togai, "/customers")
    lists(togai, "/accounts", ACME)
    assert pull.accounts(restart=why == "told").read == 1
    assert all("nextToken" not in call.request.url for call in togai.calls)


def test_an_answer_older_than_a_confirmed_edit_changes_nothing(pull, togai):
    """R-06: a page that was on its way while Togai confirmed a change is older than the change."""
    AccountFactory(togai_id="acme-eu", name="Confirmed since", pulled_at=NOON + timedelta(seconds=1))
    lists(togai, "/customers")
    lists(togai, "/accounts", ACME)
    assert pull.accounts().changed == 0
    assert Account.objects.get().name == "Confirmed since"


def test_a_list_that_goes_round_in_circles_ends(pull, togai):
    lists(togai, "/customers")
    lists(togai, "/accounts", ACME, token="again")
    with pytest.raises(errors.Unconfirmed, match="circles"):
        pull.accounts()


def test_a_refused_token_stops_the_pull_at_once(pull, togai, slept):
    """Five of these lock the office out for half an hour."""
    togai.get(f"{BASE}/customers", status=401)
    with pytest.raises(errors.SignInRefused):
        pull.accounts()
    assert (len(togai.calls), slept) == (1, [])


def test_the_pause_that_togai_asks_for_is_kept(pull, togai, slept):
    togai.get(f"{BASE}/customers", status=429, headers={"Retry-After": "7"})
    lists(togai, "/customers")
    lists(togai, "/accounts", ACME)
    pull.accounts()
    assert slept == [7]


def test_a_page_costs_the_same_queries_whatever_it_holds(pull, togai, django_assert_num_queries):
    lists(togai, "/customers")
    lists(togai, "/accounts", *(ACME | {"id": f"a-{n}"} for n in range(50)))
    pull.accounts()
    with CaptureQueriesContext(connection) as few:
        togai.reset()
        lists(togai, "/customers")
        lists(togai, "/accounts", *(ACME | {"id": f"b-{n}"} for n in range(5)))
        pull.accounts()
    with django_assert_num_queries(len(few)):
        togai.reset()
        lists(togai, "/customers")
        lists(togai, "/accounts", *(ACME | {"id": f"c-{n}"} for n in range(50)))
        pull.accounts()


# Plans


def test_a_plan_is_stored_with_its_cards_in_stored_form(pull, togai):
    offers(togai, PLAN)
    tally = pull.plans()
    plan = PricePlan.objects.get()
    assert (tally.new, tally.skipped) == (1, [])
    assert (plan.togai_id, plan.version, plan.is_latest) == ("pp.scale", 3, True)
    assert plan.details == {
        "supportedCurrencies": ["EUR", "USD"],
        "pricingCycleConfig": PLAN["pricingCycleConfig"],
        "minimumCommitment": {
            "displayName": "Monthly minimum",
            "rateValues": [{"currency": "EUR", "rate": "1000"}],
        },
        "fixedFeeRateCards": [
            {
                "id": "addon.fee",
                "displayName": "Platform fee",
                "type": "RECURRING",
                "enableProration": True,
                "invoiceTiming": "IN_ADVANCE",
                "rateValues": [{"currency": "EUR", "rate": "499"}, {"currency": "USD", "rate": "549.5"}],
            }
        ],
    }
    assert list(plan.rate_cards.values_list("kind", "billable_id", "name")) == [
        ("fixedFeeRateCards", "addon.fee", "Platform fee"),
        ("minimumCommitment", "", "Monthly minimum"),
    ]


def test_a_newer_version_is_a_new_row_and_the_old_one_stays(pull, togai):
    offers(togai, PLAN)
    pull.plans()
    dearer = copy.deepcopy(FEE)
    dearer["rateCardDetails"]["fixedFeeRateCard"]["rateValues"][0]["rate"] = 599
    togai.reset()
    offers(togai, PLAN | {"version": 4}, cards=[dearer], versions=[PLAN | {"version": 4}, PLAN])
    tally = pull.plans()
    old, new = PricePlan.objects.order_by("version")
    assert (tally.new, tally.changed) == (1, 0)
    assert (old.is_latest, new.is_latest) == (False, True)
    assert old.rate_cards.count() == 2
    assert new.details["fixedFeeRateCards"][0]["rateValues"][0]["rate"] == "599"


def test_a_changed_card_is_replaced_in_its_version_only(pull, togai):
    offers(togai, PLAN)
    pull.plans()
    togai.reset()
    offers(togai, PLAN, cards=[FEE])
    assert pull.plans().changed == 1
    assert PricePlan.objects.get().rate_cards.count() == 1


def test_the_active_version_stays_on_offer_beside_a_newer_draft(pull, togai):
    offers(togai, PLAN)
    pull.plans()
    togai.reset()
    draft = PLAN | {"version": 4, "status": "DRAFT"}
    offers(togai, PLAN, versions=[draft, PLAN])
    pull.plans()
    assert [plan.version for plan in PricePlan.objects.offered()] == [3]
    assert PricePlan.objects.count() == 2


def test_an_active_version_whose_cards_togai_does_not_list_is_not_offered_without_them(pull, togai):
    draft = PLAN | {"version": 4, "status": "DRAFT"}
    offers(togai, draft, versions=[draft, PLAN])
    tally = pull.plans()
    assert "version 3 is the active one" in tally.skipped[0]
    assert not PricePlan.objects.offered().exists()


@pytest.mark.parametrize(
    ("plan", "cards"),
    [
        (PLAN | {"id": "pp.bad", "type": "NEW_TYPE"}, [FEE]),
        (PLAN | {"id": "pp.bad", "version": None}, [FEE]),
        (PLAN | {"id": "pp.bad", "name": "x" * 51}, [FEE]),
        (PLAN | {"id": "pp.bad"}, [FEE, card("somethingNewRateCard", {"id": "x"})]),
        (PLAN | {"id": "pp.bad"}, [FEE, FEE]),
    ],
)
def test_a_plan_that_we_cannot_read_whole_stays_as_it_was(pull, togai, plan, cards):
    """A missing card would be missing from the price and from every override that we send."""
    lists(togai, "/v2/price_plans", plan, PLAN)
    for row, its_cards in ((plan, cards), (PLAN, [FEE])):
        lists(togai, f"/v2/price_plans/{row['id']}/versions", row)
        lists(togai, f"/v2/price_plans/{row['id']}/rate_cards", *its_cards)
    tally = pull.plans()
    assert [row.togai_id for row in PricePlan.objects.all()] == ["pp.scale"]
    assert len(tally.skipped) == 1


# Features, and all of it


def test_features_are_named_and_renamed(pull, togai):
    lists(togai, "/features", {"id": "feature.calls", "name": "api_calls", "displayName": "API calls"})
    assert pull.features().new == 1
    togai.reset()
    lists(togai, "/features", {"id": "feature.calls", "name": "api_calls", "displayName": "Calls"})
    assert pull.features().changed == 1
    assert str(Feature.objects.get()) == "Calls"


@pytest.mark.process
def test_a_second_pull_of_the_sandbox_changes_nothing(sandbox):  # noqa: F811
    def everything():
        pull = Pull(Gateway(base_url=sandbox.base_url, token=Secret(sandbox.token)))
        return [pull.features(), pull.plans(), pull.accounts()]

    first = everything()
    assert all(tally.new == tally.read > 0 and not tally.skipped for tally in first)
    kinds = set(RateCard.objects.values_list("kind", flat=True))
    assert kinds == set(RateCard.Kind.values)
    stored = rows()
    assert [(tally.new, tally.changed) for tally in everything()] == [(0, 0)] * 3
    assert rows() == stored


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_the_command_pulls_and_says_what_it_did(sandbox, settings):  # noqa: F811
    settings.TOGAI_BASE_URL, settings.TOGAI_API_TOKEN = sandbox.base_url, sandbox.token
    out, err = io.StringIO(), io.StringIO()
    call_command("togai_pull", stdout=out, stderr=err)
    assert [line.split(":")[0] for line in out.getvalue().splitlines()] == [
        "Features",
        "Price plans",
        "Accounts",
    ]
    assert err.getvalue() == ""
    out = io.StringIO()
    call_command("togai_pull", "--accounts", "--quiet", stdout=out)
    assert out.getvalue() == ""


@pytest.mark.django_db(transaction=True)
def test_the_command_says_why_it_stopped(settings, togai):
    settings.TOGAI_BASE_URL = BASE
    togai.get(f"{BASE}/features", status=401)
    with pytest.raises(CommandError, match="does not accept our token"):
        call_command("togai_pull", stdout=io.StringIO())
