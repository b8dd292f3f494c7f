"""Whatever terms may be submitted, the strict writer and the vendor's own models take."""

import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from togai_client.models import CreateProposalRequest, CreatePurchaseRequest

from purchases.overrides import cards, effective
from purchases.pricing import compare, estimate
from purchases.terms import (
    OVERRIDE_KINDS,
    PLAN_TYPES,
    PlanType,
    PurchaseType,
    Terms,
    payload,
    problems,
    terms_from_payload,
)
from tests.purchases.deals import ACCOUNT, TODAY, ZONES, deals, plan_facts, plans_and_overrides
from tests.togai.oracle import judge
from togai import wire

KEY = "0b9d7d5e-1f9b-4c5e-8c2f-3a1f0f2e6d77"
GENERATED = settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))


def accepted(terms, plan, zone, proposal):
    """Assert that these terms are fit to be sent, and return the bytes."""
    judged = problems(
        terms, plan=plan, account=ACCOUNT, today=TODAY, zone=zone, complete=True, proposal=proposal
    )
    assert judged == []
    body = payload(terms, details=plan.details if plan else {}, zone=zone)
    writer = wire.CreateProposal if proposal else wire.CreatePurchase
    return body, wire.to_bytes(writer.model_validate(body | {"idempotencyKey": KEY}))


@GENERATED
@given(deals(), st.sampled_from(ZONES))
def test_the_vendors_model_takes_every_proposal(deal, zone):
    """G-05: every payload fits the recorded contract, with no unknown key (half of 1,000 cases)."""
    terms, plan = deal
    body, sent = accepted(terms, plan, zone, proposal=True)
    assert judge(CreateProposalRequest, sent) == []
    assert as_json(body | {"idempotencyKey": KEY}) == json.loads(sent, parse_float=Decimal)


@GENERATED
@given(deals(proposal=False), st.sampled_from(ZONES))
def test_the_vendors_model_takes_every_purchase(deal, zone):
    """G-05: the other half."""
    terms, plan = deal
    _, sent = accepted(terms, plan, zone, proposal=False)
    assert judge(CreatePurchaseRequest, sent) == []
    assert "paymentMode" not in json.loads(sent)


def as_json(value):
    if isinstance(value, dict):
        return {name: as_json(inner) for name, inner in value.items()}
    return [as_json(inner) for inner in value] if isinstance(value, list) else value


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_draft_with_holes_can_be_saved_judged_and_shown_but_not_submitted_wrongly(data):
    """G-01, G-05: half an override is a draft; what may still be submitted, the strict writer takes."""
    details, override = data.draw(plans_and_overrides())
    plan_type = PlanType.BILLING if "pricingCycleConfig" in details else PlanType.PURCHASE
    kind = PurchaseType.ASSOCIATION if plan_type is PlanType.BILLING else PurchaseType.ENTITLEMENT_GRANT
    field = next(
        name
        for name, kinds in OVERRIDE_KINDS.items()
        if ("usageRateCards" in kinds) is (plan_type is PlanType.BILLING)
    )
    assert PLAN_TYPES[kind] is plan_type
    holed = with_holes(override, data)
    plan = plan_facts(plan_type, details)
    how = {"type": kind, "payment_mode": "PREPAID", "price_plan_id": plan.togai_id, field: holed}
    if kind is PurchaseType.ASSOCIATION:
        how["effective_from"] = TODAY.replace(year=2031)
    else:
        how["quantity"] = 1
    terms = Terms(**how)
    judge_at = {"plan": plan, "account": ACCOUNT, "today": TODAY, "zone": ZONES[0], "proposal": True}
    assert problems(terms, complete=False, **judge_at) == []

    whole = effective(details, holed)
    volumes = {card.billable_id: Decimal(7) for card in cards(whole)}
    sides = [
        estimate(side, plan_type=plan_type, currency="EUR", quantity=1, volumes=volumes)
        for side in (details, whole)
    ]
    compare(*sides)
    if problems(terms, complete=True, **judge_at) == []:
        accepted(terms, plan, ZONES[0], proposal=True)


def with_holes(value, data):
    """Take some cells out of an override, or put None (removed) in their place."""
    if not isinstance(value, dict):
        return value
    left = {}
    for name, inner in value.items():
        fate = data.draw(st.integers(0, 19))
        if fate == 0:
            left[name] = None
        elif fate != 1:
            left[name] = with_holes(inner, data)
    return left


@pytest.mark.parametrize("name", ["create_proposal.request.json", "create_purchase.request.json"])
def test_the_printed_samples_are_terms_that_can_be_written_back(name, samples):
    """The reference page's requests pass through terms and leave equal as JSON, apart from the key."""
    body = samples(name)
    terms = terms_from_payload(body, details={}, zone=ZONES[0])
    writer = wire.CreateProposal if "paymentMode" in body else wire.CreatePurchase
    sent = wire.to_bytes(
        writer.model_validate(payload(terms, details={}, zone=ZONES[0]) | {"idempotencyKey": KEY})
    )
    assert json.loads(sent, parse_float=Decimal) == body | {"idempotencyKey": KEY}
