"""Where Togai's record says something else than was sent, and where it only says it in other words."""

import json
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.models import Event
from audit.refusals import Invalid, NotAllowed, OwnWork, WrongStatus
from audit.roles import Role
from purchases import drift, outcome, services, settling
from purchases.models import Purchase
from purchases.terms import PlanType, Terms, payload
from tests.factories import (
    API_CALLS,
    NOON,
    ONBOARDING,
    administrator,
    finance,
    person,
    rep,
    submitted,
    submitted_purchase,
)
from tests.purchases.deals import ZONES, deals, plan_facts
from togai import strict_json, wire
from togai.models import Delivery, Drift

ZONE = ZONES[0]
KEY = "0b9d7d5e-1f9b-4c5e-8c2f-3a1f0f2e6d77"
REASON = "The customer agreed to this with us."
GENERATED = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def echoed(terms, plan, *, proposal=True, zone=ZONE):
    """Togai's answer to a create: the bytes as sent, back as JSON, with an id, an account and a status."""
    model = wire.CreateProposal if proposal else wire.CreatePurchase
    body = payload(terms, details=plan.details if plan else {}, zone=zone)
    sent = strict_json.loads(wire.to_bytes(model.model_validate(body | {"idempotencyKey": KEY})))
    more = {"pricePlanVersion": plan.version} if plan else {}
    return sent | more | {"id": "purchase.1", "accountId": "acme-eu", "status": "PROPOSAL_ACTIVE"}


def compared(terms, plan, record, *, proposal=True, zone=ZONE):
    read = wire.RemoteProposal if proposal else wire.RemotePurchase
    return drift.differences(
        terms,
        read.read(record),
        details=plan.details if plan else {},
        zone=zone,
        account_id="acme-eu",
        key=KEY,
    )


@GENERATED
@given(deals(), st.sampled_from(ZONES))
def test_what_togai_echoes_of_a_proposal_is_no_difference(deal, zone):
    """G-50: whatever terms can be sent, reading them back finds nothing that differs."""
    terms, plan = deal
    assert compared(terms, plan, echoed(terms, plan, zone=zone), zone=zone) == []


@GENERATED
@given(deals(proposal=False))
def test_what_togai_echoes_of_a_purchase_is_no_difference(deal):
    """G-50: the same for what is bought directly."""
    terms, plan = deal
    assert compared(terms, plan, echoed(terms, plan, proposal=False), proposal=False) == []


@GENERATED
@given(deals(), st.data())
def test_what_togai_leaves_out_is_no_difference(deal, data):
    """G-50: rows of lists and older records say less; silence contradicts nothing."""
    terms, plan = deal
    record = echoed(terms, plan)
    for name in data.draw(st.sets(st.sampled_from(sorted(set(record) - {"id", "accountId", "status"})))):
        del record[name]
    assert compared(terms, plan, record) == []


@GENERATED
@given(deals(), st.randoms(use_true_random=False))
def test_the_order_of_cards_is_no_difference(deal, chance):
    """G-50: cards go by what they bill, not by their place."""
    terms, plan = deal
    record = echoed(terms, plan)
    for name in ("purchasePlanOverride", "associationOverride"):
        for kind, cards in record.get(name, {}).items():
            if isinstance(cards, list):
                chance.shuffle(record[name][kind])
    assert compared(terms, plan, record) == []


DETAILS = {
    "fixedFeeRateCards": [ONBOARDING],
    "billingEntitlementRateCards": [API_CALLS],
    "supportedCurrencies": ["EUR", "USD"],
}
PLAN = plan_facts(PlanType.PURCHASE, DETAILS)
GRANT = Terms(
    type="ENTITLEMENT_GRANT",
    payment_mode="PREPAID",
    price_plan_id=PLAN.togai_id,
    price_plan_version=PLAN.version,
    quantity=2,
    valid_until=date(2030, 2, 15),
    purchase_plan_override={
        "fixedFeeRateCards": {"addon.onboarding": {"rateValues": {"EUR": {"rate": "700"}}}},
        "billingEntitlementRateCards": {
            "feature.calls": {"rateValues": {"EUR": {"slabRates": {"2": {"rate": "0.12"}}}}}
        },
    },
)
PER_CARD = Terms(
    type="ENTITLEMENT_GRANT",
    payment_mode="PREPAID",
    price_plan_id=PLAN.togai_id,
    rate_card_quantities={"feature.calls": Decimal("2.5"), "addon.onboarding": Decimal(1)},
)
RUNNING = Terms(
    type="ASSOCIATION",
    payment_mode="POSTPAID",
    price_plan_id=PLAN.togai_id,
    effective_from=date(2030, 3, 1),
    effective_until=date(2031, 2, 28),
)
TOPUP = Terms(
    type="WALLET_TOPUP",
    payment_mode="PREPAID",
    wallet_topup_amount=Decimal(500),
    wallet_purchase_amount=Decimal(450),
)


@pytest.mark.parametrize(
    ("terms", "name", "value", "difference"),
    [
        (GRANT, "accountId", "acme-us", ("account", "acme-eu", "acme-us")),
        (GRANT, "idempotencyKey", "another", ("idempotency_key", KEY, "another")),
        (GRANT, "type", "PREPAID", ("type", "Entitlement grant", "Prepaid (no documented rules)")),
        (GRANT, "type", "LEASE", ("type", "Entitlement grant", "LEASE")),
        (GRANT, "paymentMode", "POSTPAID", ("payment_mode", "Prepaid", "Postpaid")),
        (GRANT, "pricePlanId", "pp.other", ("price_plan", PLAN.togai_id, "pp.other")),
        (GRANT, "pricePlanVersion", 4, ("price_plan_version", "3", "4")),
        (GRANT, "quantity", 20000, ("quantity", "2", "20,000")),
        (PER_CARD, "quantity", 2, ("quantity", "none", "2")),
        (GRANT, "expiryDate", "2030-02-14T22:59:59Z", ("valid_until", "15 Feb 2030", "14 Feb 2030")),
        (
            GRANT,
            "expiryDate",
            "2030-02-15T17:00:00Z",
            ("valid_until", "15 Feb 2030", "15 Feb 2030, 18:00:00"),
        ),
        (RUNNING, "expiryDate", "2030-02-15T22:59:59Z", ("valid_until", "none", "15 Feb 2030")),
        (RUNNING, "effectiveFrom", "2030-04-01", ("effective_from", "1 Mar 2030", "1 Apr 2030")),
        (RUNNING, "effectiveUntil", "2032-02-28", ("effective_until", "28 Feb 2031", "28 Feb 2032")),
        (RUNNING, "effectiveUntil", "9999-01-01", ("effective_until", "28 Feb 2031", "open end")),
        (
            TOPUP,
            "walletTopupDetails",
            {"topupAmount": 600, "purchaseAmount": 450},
            ("wallet_topup_amount", "500", "600"),
        ),
        (
            TOPUP,
            "walletTopupDetails",
            {"topupAmount": 500, "purchaseAmount": 500},
            ("wallet_purchase_amount", "450", "500"),
        ),
        (
            PER_CARD,
            "rateCardQuantities",
            {"feature.calls": 2.5, "addon.onboarding": 3},
            ("rate_card_quantities:addon.onboarding", "1", "3"),
        ),
        (
            PER_CARD,
            "rateCardQuantities",
            {"feature.calls": 2.5},
            ("rate_card_quantities:addon.onboarding", "1", "none"),
        ),
    ],
)
def test_one_changed_field_is_told_as_that_field(terms, name, value, difference):
    """G-50: any differing field shows ours against theirs, and no other field with it."""
    plan = PLAN if terms.price_plan_id else None
    record = echoed(terms, plan)
    if terms.price_plan_version is None:
        record.pop("pricePlanVersion", None)
    assert compared(terms, plan, record) == []
    record[name] = strict_json.loads(json.dumps(value))
    assert [(one.field, one.ours, one.theirs) for one in compared(terms, plan, record)] == [difference]


def test_a_changed_rate_is_told_by_its_card_and_cell():
    """G-50: which card, which slab, which currency."""
    record = echoed(GRANT, PLAN)
    [card] = record["purchasePlanOverride"]["billingEntitlementRateCards"]
    card["rateValues"][0]["slabRates"][1]["rate"] = Decimal("0.125")
    [one] = compared(GRANT, PLAN, record)
    assert one.field == "billingEntitlementRateCards:feature.calls · Slab 2, over 1,000 · EUR"
    assert (one.ours, one.theirs) == ("0.12", "0.125")
    assert drift.words(one.field, DETAILS) == "Entitlements · API calls · Slab 2, over 1,000 · EUR"


def test_a_card_that_is_missing_or_new_in_a_returned_list_is_one_difference():
    """G-50, togai.md 4.1: a list is complete, so a card that is not in it is not in force."""
    record = echoed(GRANT, PLAN)
    [card] = record["purchasePlanOverride"]["fixedFeeRateCards"]
    record["purchasePlanOverride"]["fixedFeeRateCards"] = [card | {"id": "addon.other"}]
    told = [(one.field, one.ours, one.theirs) for one in compared(GRANT, PLAN, record)]
    assert told == [
        ("fixedFeeRateCards:addon.onboarding", "there", "not there"),
        ("fixedFeeRateCards:addon.other", "not there", "there"),
    ]


def test_a_kind_that_a_returned_override_leaves_out_costs_what_the_plan_says():
    """G-50, togai.md 4.1: a key that is left out is inherited."""
    record = echoed(GRANT, PLAN)
    del record["purchasePlanOverride"]["fixedFeeRateCards"]
    [one] = compared(GRANT, PLAN, record)
    assert (one.field, one.ours, one.theirs) == (
        "fixedFeeRateCards:addon.onboarding · Rate · EUR",
        "700.00",
        "750.00",
    )


def test_what_goes_without_saying_is_no_difference():
    """G-50: other digits of a number, made-up names, an open end, a top-up that costs what it brings."""
    plain = Terms(
        type="ENTITLEMENT_GRANT",
        payment_mode="PREPAID",
        price_plan_id=PLAN.togai_id,
        quantity=2,
        purchase_plan_override={
            "fixedFeeRateCards": {
                "addon.onboarding": {"displayName": None, "rateValues": {"EUR": {"rate": "700"}}}
            }
        },
    )
    record = echoed(plain, PLAN)
    [card] = record["purchasePlanOverride"]["fixedFeeRateCards"]
    card |= {"displayName": "Made up", "name": "made-up"}
    card["rateValues"][0]["rate"] = Decimal("700.000")
    record["purchasePlanOverride"]["billingEntitlementRateCards"] = [API_CALLS]
    record |= {"rateCardQuantities": {}, "expiryDate": "9999-12-31T00:00:00Z"}
    del record["pricePlanVersion"]
    assert compared(plain, PLAN, record) == []
    endless = Terms(
        type="ASSOCIATION", payment_mode="POSTPAID", price_plan_id="pp.1", effective_from=date(2030, 3, 1)
    )
    assert compared(endless, None, echoed(endless, None) | {"effectiveUntil": "9999-01-01"}) == []
    even = Terms(type="WALLET_TOPUP", payment_mode="PREPAID", wallet_topup_amount=Decimal(500))
    record = echoed(even, None) | {"walletTopupDetails": {"topupAmount": 500, "purchaseAmount": 500}}
    assert compared(even, None, record) == []


def test_a_field_that_nobody_knows_keeps_its_own_word():
    assert drift.words("status", {}) == "Status"
    assert drift.words("colour", {}) == "colour"
    assert drift.words("usageRateCards:um.x · Minimum", {}) == "Usage · um.x · Minimum"
    assert drift.words("rate_card_quantities:feature.calls", DETAILS) == "Quantity · API calls"
    assert drift.words("minimumCommitment: · Rate · EUR", {}) == "Minimum commitment · Rate · EUR"


# --- rows ---


@pytest.fixture
def bought(db, worker):
    """A purchase that Togai has confirmed as it was sent."""
    purchase = submitted_purchase()
    services.release(purchase_id=purchase.pk, by=finance(), at=NOON, content_hash=purchase.content_hash)
    worker.work()
    purchase.refresh_from_db()
    assert (purchase.togai_id, purchase.togai_problem) == ("purchase.1", "")
    return purchase


@pytest.fixture
def followed(togai, worker, clock):
    """Change Togai's record of the purchase and have the worker see it."""

    def change(**fields):
        togai.records["purchase.1"] |= fields
        clock.forward(minutes=20)
        worker.work()

    return change


def rows(deal):
    return [(row.field, row.ours, row.theirs) for row in settling.open_rows(deal)]


def told(deal, verb):
    return [event.after["message"] for event in Event.objects.about(deal).filter(verb=verb)]


def test_what_differs_is_written_down_once_and_our_terms_stay(bought, followed, clock):
    """R-06, G-50: one row a field, on record once, and nothing of ours moves."""
    before = bought.terms()
    followed(quantity=3)
    first = clock.at
    followed(comment="Still so.")
    [row] = settling.open_rows(bought)
    assert (row.field, row.ours, row.theirs) == ("quantity", "2", "3")
    assert (row.first_seen_at, row.last_seen_at) == (first, clock.at)
    assert told(bought, "drift") == ["Quantity: here 2, at Togai 3."]
    bought.refresh_from_db()
    assert bought.terms() == before
    assert bought.togai_problem == "At Togai it is not as it was sent: Quantity."


def test_what_is_equal_again_closes_by_itself(bought, followed):
    """R-06: the row stays as what once was."""
    followed(quantity=3)
    followed(quantity=2)
    assert rows(bought) == []
    row = Drift.objects.get()
    assert (row.how, row.settled_by, row.settled_at is None) == (Drift.How.GONE, None, False)
    assert told(bought, "drift_gone") == ["Quantity: equal again."]
    bought.refresh_from_db()
    assert bought.togai_problem == ""
    followed(quantity=3)
    assert rows(bought) == [("quantity", "2", "3")]


def test_another_value_of_an_open_difference_is_told_again_in_the_same_row(bought, followed):
    """G-50"""
    followed(quantity=3)
    followed(quantity=4)
    assert rows(bought) == [("quantity", "2", "4")]
    assert len(told(bought, "drift")) == 2


def test_a_status_that_a_purchase_cannot_have_is_drift(bought, followed):
    """R-06: a word that we do not know is shown, never read as success."""
    followed(status="PROPOSAL_DECLINED")
    assert rows(bought) == [("status", "Released", "Declined")]
    bought.refresh_from_db()
    assert bought.togai_problem == "Here it is released, at Togai it is declined."


def test_the_way_of_a_purchase_to_its_end_is_no_difference(bought, followed):
    """R-06: each step that Togai takes is expected."""
    for status in ("IN_PROGRESS", "SUCCESS"):
        followed(status=status)
    assert rows(bought) == []


def test_many_differences_are_counted_in_one_line(bought, followed):
    """G-50: the list shows one line whatever happened."""
    followed(
        quantity=3,
        type="PREPAID",
        pricePlanId="pp.x",
        paymentMode="PREPAID",
        expiryDate="2030-02-01T00:00:00Z",
    )
    bought.refresh_from_db()
    assert bought.togai_problem == (
        "At Togai it is not as it was sent: Type; Payment; Price plan; and 2 more."
    )


def test_a_record_that_is_gone_is_shown_and_never_created_again(bought, togai):
    """R-06, reliability.md 2.7: "Remote object deleted"."""
    listener = outcome.DealListener(Purchase, outcome.EXPECTED)
    listener.gone(bought.pk, at=NOON + timedelta(days=1))
    listener.gone(bought.pk, at=NOON + timedelta(days=2))
    assert rows(bought) == [("record", "sent and confirmed", "not found")]
    assert len(told(bought, "drift")) == 1
    bought.refresh_from_db()
    assert bought.togai_problem == "Togai does not find it any more."
    assert len(togai.created()) == 1


def test_what_goes_missing_keeps_the_other_differences(bought, followed):
    """R-06: of what cannot be read nothing is equal again."""
    followed(quantity=3)
    outcome.DealListener(Purchase, outcome.EXPECTED).gone(bought.pk, at=NOON)
    assert {field for field, _, _ in rows(bought)} == {"quantity", "record"}


# --- settling ---


def test_finance_accepts_theirs_and_our_terms_stay_as_approved(bought, followed):
    """G-50: nothing corrects money by itself, and accepting does not either."""
    followed(quantity=3)
    boss = finance()
    [row] = settling.open_rows(bought)
    settling.accept(Purchase, drift_id=row.pk, by=boss, at=NOON, reason=REASON)
    row.refresh_from_db()
    assert (row.how, row.settled_by, row.settled_at, row.reason) == (Drift.How.ACCEPTED, boss, NOON, REASON)
    bought.refresh_from_db()
    assert (bought.quantity, bought.togai_problem) == (2, "")
    event = Event.objects.about(bought).get(verb="accept_theirs")
    assert (event.actor, event.reason) == (boss, f"Quantity: {REASON}")
    assert event.before == {"field": "quantity", "ours": "2", "theirs": "3"}


def test_what_was_settled_comes_back_only_with_another_value(bought, followed):
    """G-50: an ignored difference does not nag, a new one is told."""
    followed(quantity=3)
    [row] = settling.open_rows(bought)
    settling.ignore(Purchase, drift_id=row.pk, by=administrator(), at=NOON, reason=REASON)
    followed(comment="Something else moved.")
    assert rows(bought) == []
    followed(quantity=5)
    assert rows(bought) == [("quantity", "2", "5")]


@pytest.mark.parametrize("verb", [settling.accept, settling.ignore])
def test_a_reason_is_needed_and_a_difference_is_settled_once(bought, followed, verb):
    """G-50: with a reason, and by one person."""
    followed(quantity=3)
    [row] = settling.open_rows(bought)
    with pytest.raises(Invalid):
        verb(Purchase, drift_id=row.pk, by=finance(), at=NOON, reason="  because ")
    assert rows(bought) == [("quantity", "2", "3")]
    verb(Purchase, drift_id=row.pk, by=finance(), at=NOON, reason=REASON)
    with pytest.raises(WrongStatus, match="settled already"):
        verb(Purchase, drift_id=row.pk, by=finance(), at=NOON, reason=REASON)


@pytest.mark.parametrize("verb", [settling.accept, settling.ignore])
def test_who_may_settle(bought, followed, verb):
    """G-22, G-50: finance, the CFO and administrators; sales, auditors and authors do not."""
    followed(quantity=3)
    [row] = settling.open_rows(bought)
    for somebody in (bought.owner, rep(), person(Role.MANAGER), person(Role.AUDITOR)):
        with pytest.raises(NotAllowed):
            verb(Purchase, drift_id=row.pk, by=somebody, at=NOON, reason=REASON)
        assert settling.offers(bought, [row], somebody) == {row.pk: frozenset()}
    author = finance()
    bought.editors.add(author)
    with pytest.raises(OwnWork):
        verb(Purchase, drift_id=row.pk, by=author, at=NOON, reason=REASON)
    for somebody in (finance(), person(Role.CFO), administrator()):
        assert settling.offers(bought, [row], somebody) == {row.pk: {"accept", "ignore"}}
    verb(Purchase, drift_id=row.pk, by=person(Role.CFO), at=NOON, reason=REASON)
    assert rows(bought) == []


def test_a_record_that_is_not_ours_is_never_accepted(bought, followed):
    """G-50: another key or account means that it is another record; it can only be ignored."""
    followed(idempotencyKey="somebody-elses")
    [row] = settling.open_rows(bought)
    boss = finance()
    assert settling.offers(bought, [row], boss) == {row.pk: {"ignore"}}
    with pytest.raises(WrongStatus, match="not the record that we made"):
        settling.accept(Purchase, drift_id=row.pk, by=boss, at=NOON, reason=REASON)
    settling.ignore(Purchase, drift_id=row.pk, by=boss, at=NOON, reason=REASON)
    assert rows(bought) == []


def test_a_difference_of_another_kind_of_deal_does_not_exist_here(bought, followed):
    followed(quantity=3)
    [row] = settling.open_rows(bought)
    Drift.objects.filter(pk=row.pk).update(subject_type="proposals.Proposal")
    with pytest.raises(Drift.DoesNotExist):
        settling.accept(Purchase, drift_id=row.pk, by=finance(), at=NOON, reason=REASON)


def test_a_delivery_that_needs_a_person_stays_in_the_summary(bought, followed):
    """R-07: news about the record do not hide that somebody has to look."""
    Delivery.objects.of(bought).update(state=Delivery.State.NEEDS_HUMAN, last_message="Compare by hand.")
    followed(quantity=3)
    followed(quantity=2)
    bought.refresh_from_db()
    assert bought.togai_problem == "Compare by hand."


# --- stale ---


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "days", "said"),
    [
        ({}, 0, ""),
        ({"valid_until": date(2030, 1, 20)}, 10, ""),
        ({"valid_until": date(2030, 1, 20)}, 11, "Its validity ended on 20 Jan 2030."),
        ({"effective_from": date(2030, 1, 20)}, 10, ""),
        ({"effective_from": date(2030, 1, 20)}, 11, "It was to start on 20 Jan 2030."),
        # Meant so when it was decided, and still meant.
        ({"effective_from": date(2030, 1, 9)}, 11, ""),
    ],
)
def test_what_waited_too_long_is_not_sent_as_it_was(fields, days, said):
    """Reliability.md 2.7, "Togai down a day": the day itself still counts, the day after does not."""
    deal = submitted(valid_until=None)
    for name in ("valid_until", "effective_from"):
        setattr(deal, name, fields.get(name))
    assert outcome.why_stale(deal, since=NOON, at=NOON + timedelta(days=days)) == said


@pytest.mark.django_db
def test_a_plan_that_is_no_longer_offered_is_stale():
    """Reliability.md 2.7"""
    deal = submitted()
    deal.price_plan.status = "ARCHIVED"
    said = outcome.why_stale(deal, since=NOON, at=NOON)
    assert said == f"The price plan {deal.price_plan.name} is no longer offered."


@pytest.mark.django_db
@pytest.mark.parametrize("gone", ["disabled", "no role"])
def test_a_deal_of_somebody_who_is_gone_is_stale(gone):
    """Reliability.md 2.7: author disabled, or without a role that drafts."""
    deal = submitted(by=rep(first_name="Mia", last_name="Ott", username="mia"))
    owner = type(deal.owner).objects.get(pk=deal.owner_id)
    if gone == "disabled":
        owner.is_active = False
    else:
        owner.groups.clear()
    deal.owner = owner
    assert outcome.why_stale(deal, since=NOON, at=NOON) == "mia no longer works on deals."


@pytest.mark.django_db
def test_a_decision_is_never_stale():
    """Reliability.md 2.7: a create is asked about, a decision is always still meant."""
    deal = submitted()
    deal.price_plan.status = "ARCHIVED"
    deal.price_plan.save()
    create = Delivery.objects.of(deal).get()
    listener = outcome.DealListener(type(deal), {})
    assert "no longer offered" in listener.stale(create, at=NOON)
    create.kind = Delivery.Kind.DECIDE
    assert listener.stale(create, at=NOON) == ""
