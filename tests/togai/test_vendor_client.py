"""The vendor's own client drives the sandbox through every call of togai.md section 3 (recipe 7.3)."""

import warnings
from datetime import UTC, datetime, timedelta

import pytest

from tests.togai.sandbox_fixture import sandbox, sandbox_process  # noqa: F401

pytestmark = pytest.mark.process

EUR = "brightfold-eu"


@pytest.fixture(scope="module")
def vendor():
    """The vendor's package; its import warns about its own leftovers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import togai_client
        import togai_client.models
    return togai_client


@pytest.fixture
def client(vendor, sandbox):  # noqa: F811
    """An API client of the vendor's, pointed at the sandbox."""
    configuration = vendor.Configuration(host=sandbox.base_url, access_token=sandbox.token)
    with vendor.ApiClient(configuration) as made:
        yield made
        made.rest_client.pool_manager.clear()


@pytest.fixture
def accounts(vendor, client):
    return vendor.AccountsApi(client)


def days_ahead(count):
    return (datetime.now(UTC) + timedelta(days=count)).date().isoformat()


def plan_named(vendor, client, name):
    plans = vendor.PricePlanV2Api(client).list_price_plans_v2(page_size=100).data
    return next(plan for plan in plans if plan.name == name)


def proposed(vendor, accounts, account=EUR, **body):
    """A proposal made through the client, which must not come back as nothing."""
    request = vendor.models.CreateProposalRequest.from_dict(body)
    proposal = accounts.create_proposal(account, request)
    assert proposal is not None
    return proposal


def decided(vendor, accounts, proposal, status):
    answer = accounts.update_proposal_status(proposal.id, vendor.models.UpdateProposalStatus(status=status))
    assert answer is not None
    return answer


TOPUP = {"type": "WALLET_TOPUP", "walletTopupDetails": {"topupAmount": 50}}


def test_accounts_are_listed_page_by_page_and_read_one_by_one(accounts):
    first = accounts.get_accounts(page_size=10)
    second = accounts.get_accounts(next_token=first.next_token)
    ids = [account.id for account in first.data + second.data]
    assert (len(first.data), len(ids), len(set(ids)), second.next_token) == (10, 16, 16, None)
    read = accounts.get_account(
        EUR, effective_on=datetime(2030, 1, 1, tzinfo=UTC), include_group_details=True
    )
    assert (read.id, read.invoice_currency, read.tags) == (EUR, "EUR", ["enterprise", "eu"])


def test_an_account_is_made_changed_and_archived(vendor, accounts):
    request = vendor.models.CreateAccountRequest(
        id="new-one", name="New one", customer_id="canopy", invoice_currency="USD", aliases=["new_alias"]
    )
    made = accounts.create_account(request)
    assert (made.id, made.status, made.aliases[0].alias) == ("new-one", "ACTIVE", "new_alias")
    change = vendor.models.UpdateAccountRequest(net_term_days=21, tags=["VIP", "us"], metadata={"vat": "X1"})
    changed = accounts.update_account("new-one", change)
    assert (changed.net_term_days, changed.tags, changed.metadata) == (21, ["vip", "us"], {"vat": "X1"})
    assert changed.name == "New one"
    assert accounts.delete_account("new-one").success is True
    assert accounts.get_account("new-one").status == "ARCHIVED"


def test_customers_are_made_listed_and_read(vendor, client):
    api = vendor.CustomersApi(client)
    request = vendor.models.CreateCustomerRequest.from_dict(
        {"id": "newcomer", "name": "Newcomer", "primaryEmail": "a@b.example", "address": {"city": "Oslo"}}
    )
    made = api.create_customer(request)
    assert (made.id, made.account.customer_id) == ("newcomer", "newcomer")
    assert len(api.get_customers(page_size=100).data) == 11
    assert api.get_customer("newcomer").billing_address == "Oslo"


def test_price_plans_are_read_in_both_generations(vendor, client):
    new, old = vendor.PricePlanV2Api(client), vendor.PricePlansApi(client)
    plans = new.list_price_plans_v2().data
    assert {"BILLING", "PURCHASE"} == {plan.type for plan in plans}
    assert sum(plan.type == "PURCHASE" for plan in plans) >= 4
    assert sum(plan.type == "BILLING" for plan in plans) >= 5
    scale = plan_named(vendor, client, "Scale Monthly")
    assert [version.version for version in new.list_price_plan_versions(scale.id).data] == [4, 3, 2, 1]
    assert new.get_price_plan_v2(scale.id).status == "DRAFT"
    assert new.get_price_plan_v2(scale.id, version="ACTIVE").version == 3
    assert new.get_price_plan_v2(scale.id, version="2").version == 2
    listed = old.get_price_plans(page_size=50).data
    assert {plan.id for plan in listed} == {plan.id for plan in plans}
    details = old.get_price_plan(scale.id, version=3).pricing_schedule[0].price_plan_details
    assert details.minimum_commitment.rate_values[0].rate == 400


def test_the_shipped_plans_use_every_kind_of_rate_card(vendor, client):
    api = vendor.PricePlanV2Api(client)
    cards = [
        card
        for plan in api.list_price_plans_v2().data
        for card in api.list_price_plan_rate_cards(plan.id).data
    ]
    assert {card.type for card in cards} == set(vendor.models.RateCardType)
    text = " ".join(card.model_dump_json() for card in cards)
    for word in (
        "TIERED",
        "VOLUME",
        "FLAT",
        "PER_UNIT",
        "PACKAGE",
        "minimumRate",
        "maximumRate",
        "KWD",
        "JPY",
    ):
        assert word in text


def test_features_add_ons_and_meters_are_read(vendor, client):
    features = vendor.FeatureApi(client)
    listed = features.get_features(page_size=100).data
    assert features.get_feature(listed[0].id).schema_associations
    add_ons = vendor.AddOnsApi(client)
    rows = add_ons.get_add_ons(status="ACTIVE").data
    assert {row.type for row in rows} == set(vendor.models.AddOnType)
    assert add_ons.get_add_ons(status="ARCHIVED").data == []
    assert add_ons.get_add_on(rows[0].id).name == rows[0].name
    meters = vendor.UsageMetersApi(client)
    counted = meters.get_usage_meters_for_event_schema(aggregations="COUNT").data
    assert [meter.aggregation for meter in counted] == ["COUNT"] * 2
    assert meters.get_usage_meter(counted[0].id).type == "COUNTER"


def test_a_direct_purchase_is_made_paid_granted_and_listed(vendor, client, accounts):
    plan = plan_named(vendor, client, "API Call Pack")
    request = vendor.models.CreatePurchaseRequest.from_dict(
        {"type": "ENTITLEMENT_GRANT", "pricePlanId": plan.id, "quantity": 3, "idempotencyKey": "k-1"}
    )
    purchase = accounts.initiate_one_time_entitlement_plan(EUR, request)
    assert (purchase.status, purchase.price, purchase.price_plan_version) == ("PENDING", 285, 3)
    invoices = vendor.InvoicesApi(client)
    order = next(row for row in invoices.list_invoices(owner_id=EUR).data if row.id == purchase.invoice_id)
    assert (order.invoice_class, order.status, order.total_amount) == ("ORDER", "DUE", 285)
    assert invoices.get_invoice(order.id).owner_id == EUR
    paid = invoices.update_invoice(order.id, vendor.models.UpdateInvoiceRequest(status="PAID"))
    assert (paid.status, paid.paid_amount) == ("PAID", 285)
    done = accounts.get_purchase(purchase.id)
    assert (done.status, done.features[0].credits_granted) == ("SUCCESS", 30_000)
    assert done.purchase_plan.active_currencies == ["EUR", "USD", "JPY", "KWD"]
    row = accounts.list_account_purchases(EUR).data[0]
    assert (row.id, row.idempotency_key, row.price_plan_name) == (purchase.id, "k-1", "API Call Pack")
    entitlements = vendor.EntitlementsApi(client)
    feature = done.features[0].id
    assert entitlements.get_feature_credits(EUR, feature).balance == 30_000
    assert entitlements.list_feature_credit_entries(EUR, feature).data[0].source == "ENTITLEMENT"
    assert entitlements.get_entitlements(EUR).data[0].value == "30000"


def test_a_prepaid_proposal_waits_for_its_order(vendor, client, accounts):
    proposal = proposed(vendor, accounts, **TOPUP, paymentMode="PREPAID", idempotencyKey="k-2")
    assert (proposal.status, proposal.price, proposal.invoice_id) == ("PROPOSAL_ACTIVE", 50, None)
    approved = decided(vendor, accounts, proposal, "APPROVE")
    assert (approved.status, approved.proposal_response_date is not None) == ("PROPOSAL_APPROVED", True)
    assert accounts.get_proposal(proposal.id).status == "PENDING"
    request = vendor.models.UpdateInvoiceRequest(status="PAID")
    vendor.InvoicesApi(client).update_invoice(approved.invoice_id, request)
    assert accounts.get_proposal(proposal.id).status == "SUCCESS"
    assert accounts.get_purchase(proposal.id).status == "SUCCESS"
    row = accounts.list_account_proposals(EUR).data[0]
    assert (row.id, row.payment_mode, row.idempotency_key) == (proposal.id, "PREPAID", "k-2")


def test_a_declined_proposal_stays_declined(vendor, accounts):
    proposal = proposed(vendor, accounts, **TOPUP, paymentMode="POSTPAID")
    assert decided(vendor, accounts, proposal, "DECLINE").status == "PROPOSAL_DECLINED"
    with pytest.raises(vendor.exceptions.BadRequestException) as refused:
        decided(vendor, accounts, proposal, "APPROVE")
    assert "already declined" in refused.value.data.message
    assert accounts.get_proposal(proposal.id).status == "PROPOSAL_DECLINED"


def test_an_approved_association_makes_a_schedule(vendor, client, accounts):
    plan = plan_named(vendor, client, "Growth Quarterly")
    proposal = proposed(
        vendor,
        accounts,
        type="ASSOCIATION",
        paymentMode="POSTPAID",
        pricePlanId=plan.id,
        effectiveFrom=days_ahead(3),
        effectiveUntil=days_ahead(300),
        associationOverride={
            "pricingCycleConfig": {"interval": "QUARTERLY", "gracePeriod": 1, "anniversaryCycle": True},
            "minimumCommitment": {
                "displayName": "Floor",
                "rateValues": [{"currency": "EUR", "rate": 100}],
            },
        },
    )
    assert decided(vendor, accounts, proposal, "APPROVE").status == "PROPOSAL_APPROVED"
    assert accounts.get_proposal(proposal.id).status == "SUCCESS"
    schedule = vendor.SchedulesApi(client).listaccount_schedules(EUR, "ACTIVE").data[0]
    assert (schedule.price_plan_id, schedule.is_overridden) == (plan.id, True)
    assert schedule.account_schedule_info.pricing_cycle_config.grace_period == 1
    old = accounts.get_pricing_schedules(EUR, start_date=days_ahead(0), include_price_plan_info=True).data[0]
    assert (old.id, old.price_plan_info.name) == (schedule.id, "Growth Quarterly")
    assert old.price_plan_details.minimum_commitment.display_name == "Floor"
    assert accounts.get_pricing_schedules(EUR, compact=True).data[0].price_plan_details is None
    assert accounts.get_pricing_schedules(EUR, end_date=days_ahead(0)).data == []


def test_a_wallet_is_read_topped_up_and_switched_off(vendor, client):
    wallet = vendor.WalletApi(client)
    assert wallet.wallet_balance_for_account(EUR).balance == 1250
    topped = wallet.top_up_wallet_for_account(EUR, vendor.models.TopupWalletRequest(topup_amount=49.5))
    assert topped.balance == 1299.5
    entry = wallet.wallet_entries_for_account(EUR).data[0]
    assert (entry.transaction_type, entry.amount, entry.closing_balance) == ("CREDITED", 49.5, 1299.5)
    off = wallet.update_wallet_for_account(EUR, vendor.models.UpdateWalletRequest(status="INACTIVE"))
    assert off.status == "INACTIVE"
    with pytest.raises(vendor.exceptions.BadRequestException):
        wallet.top_up_wallet_for_account(EUR, vendor.models.TopupWalletRequest(topup_amount=1))


def test_invoices_are_filtered(vendor, client):
    api = vendor.InvoicesApi(client)
    rows = api.list_invoices(status="DUE", owner_id="doraku-jp").data
    assert [(row.invoice_class, row.total_amount) for row in rows] == [("ORDER", 38800)]
    long_ago = api.list_invoices(end_time=1)
    assert long_ago.data == []


def test_the_price_preview_prices_a_cycle(vendor, client):
    plan = plan_named(vendor, client, "Scale Monthly")
    cards = vendor.PricePlanV2Api(client).list_price_plan_rate_cards(plan.id).data
    billable = {card.name: card.billable_id for card in cards}
    request = vendor.models.CalculateRevenueRequest.from_dict(
        {
            "currencyConfig": {"mode": "ACCOUNT_INVOICE", "accountId": EUR},
            "pricePlanDetailsConfig": {"mode": "PRICE_PLAN", "pricePlanId": plan.id},
            "usageConfig": {"mode": "CUSTOM", "usageMap": {billable["messages_sent"]: 12_000}},
            "licenseEntriesConfig": {
                "mode": "CUSTOM",
                "custom": [
                    {
                        "licenseId": billable["editor_seat"],
                        "quantity": 30,
                        "effectiveFrom": "2030-01-01T00:00:00Z",
                    }
                ],
            },
        }
    )
    answer = vendor.PriceExperimentationApi(client).calculate_revenue_v2(request)
    lines = {line.rate_card.name: line for line in answer.revenue_info}
    assert answer.currency == "EUR"
    assert [part.revenue for part in lines["messages_sent"].slab_revenue_summaries] == [200, 30]
    assert [part.revenue for part in lines["editor_seat"].license_revenue_summary] == [510]
    assert lines["platform_fee"].fixed_fee_revenue_summary.revenue == 499


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda api: api.get_account("nobody"), "NotFoundException"),
        (lambda api: api.get_proposal("purchase.x"), "NotFoundException"),
        (lambda api: api.get_purchase("purchase.x"), "NotFoundException"),
        (lambda api: api.get_accounts(page_size=101), "BadRequestException"),
    ],
)
def test_a_refusal_reaches_the_client_as_its_own_error(vendor, accounts, call, error):
    with pytest.raises(getattr(vendor.exceptions, error)) as refused:
        call(accounts)
    assert refused.value.data.message


def test_a_wrong_token_is_refused_and_six_of_them_are_too_many(vendor, sandbox):  # noqa: F811
    # urllib3 would obey Retry-After and sleep half an hour.
    sandbox.control("/switches", rate_limit=True, retry_after=False)
    configuration = vendor.Configuration(host=sandbox.base_url, access_token="wrong")
    with vendor.ApiClient(configuration) as stranger:
        api = vendor.AccountsApi(stranger)
        for _ in range(5):
            with pytest.raises(vendor.exceptions.UnauthorizedException):
                api.get_account(EUR)
        with pytest.raises(vendor.exceptions.ApiException) as refused:
            api.get_account(EUR)
        assert refused.value.status == 429
        sandbox.control("/clock", advance_seconds=1801)
        with pytest.raises(vendor.exceptions.UnauthorizedException):
            api.get_account(EUR)
        stranger.rest_client.pool_manager.clear()
