"""The examples of the pages this product was specified from (samples/README of the specification)."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
import responses

from togai import wire
from togai.errors import ContractChanged
from togai.gateway import Gateway
from togai.secret import Secret

BASE = "https://togai.test"
SAMPLES = Path(__file__).parents[1] / "samples"
KEY = {"idempotencyKey": "bo1-test-0b9d7d5e1f9b4c5e8c2f3a1f0f2e6d77"}


def sample(name, **numbers):
    return json.loads(text(name), **numbers)


def text(name):
    return (SAMPLES / f"{name}.json").read_text()


@pytest.fixture
def togai():
    return Gateway(base_url=BASE, token=Secret("token-of-a-test"))


@responses.activate
@pytest.mark.parametrize("stored_first", [False, True])
@pytest.mark.parametrize(
    ("name", "request_model", "call"),
    [
        ("create_purchase.request", wire.CreatePurchase, Gateway.create_purchase),
        ("create_proposal.request", wire.CreateProposal, Gateway.create_proposal),
    ],
)
def test_request_samples_leave_the_gateway_equal_but_for_the_key(
    togai, name, request_model, call, stored_first
):
    """G-05: also after a stay in a JSON column."""
    answer = {"id": "purchase.1", "accountId": "acme", "status": "PENDING"}
    for path in ("purchases", "purchase_proposals"):
        responses.post(f"{BASE}/accounts/acme/{path}", json=answer)
    request = request_model.model_validate(sample(name, parse_float=Decimal) | KEY)
    if stored_first:
        request = request_model.model_validate(json.loads(json.dumps(wire.stored(request))))
    call(togai, account_id="acme", body=wire.to_bytes(request))
    assert json.loads(responses.calls[0].request.body) == sample(name) | KEY


@responses.activate
def test_the_answer_sample_is_read_and_nothing_is_inferred_from_its_comment(togai):
    """Its comment says approved, its status active; its type is not the one that was asked for."""
    responses.post(
        f"{BASE}/accounts/account2394/purchase_proposals", body=text("create_proposal.response").encode()
    )
    body = wire.to_bytes(wire.CreateProposal.model_validate(sample("create_proposal.request") | KEY))
    proposal = togai.create_proposal(account_id="account2394", body=body)
    assert proposal.known_status == wire.PurchaseStatus.PROPOSAL_ACTIVE
    assert (proposal.type, proposal.price_plan_id) == ("ASSOCIATION", "pp.20rqb4MK9ia.TD0eG")
    assert proposal.comment == "Proposal Approved"
    assert proposal.created_at.isoformat() == "2023-07-26T12:36:56.580150+00:00"
    assert (proposal.effective_from.isoformat(), proposal.effective_until.isoformat()) == (
        "2023-06-30",
        "2023-08-30",
    )
    assert proposal.association_override == sample("create_proposal.response")["associationOverride"]
    assert proposal.purchase_plan_override is None
    assert proposal.raw == text("create_proposal.response")


@responses.activate
def test_the_outdated_sample_is_a_changed_contract_with_its_text_kept(togai):
    """togai.md 6, rows 1 and 2"""
    name = "get_proposal.response"
    proposal_id = sample(name)["id"]
    responses.get(f"{BASE}/purchase_proposals/{proposal_id}", body=text(name).encode())
    with pytest.raises(ContractChanged) as refusal:
        togai.get_proposal(proposal_id)
    assert (refusal.value.reason, refusal.value.raw) == ("no_status", text(name))


@responses.activate
def test_the_outdated_sample_stops_no_other_record(togai):
    """togai.md 6, row 2"""
    rows = [
        sample("get_proposal.response"),
        {"id": "purchase.2", "status": "PROPOSAL_ACTIVE", "updatedAt": "2030-02-01T10:15:30Z"},
    ]
    responses.get(f"{BASE}/accounts/acme/purchase_proposals", json={"data": rows, "nextToken": None})
    walked = togai.list_account_proposals("acme")
    assert next(walked).id == "purchase.2"
    with pytest.raises(ContractChanged) as refusal:
        next(walked)
    [unreadable] = refusal.value.unreadable
    assert json.loads(unreadable.raw) == rows[0]


@pytest.mark.parametrize("name", ["create_purchase.request", "create_proposal.request"])
def test_a_plural_or_mistyped_override_never_leaves(name):
    """togai.md 6, row 1"""
    body = sample(name, parse_float=Decimal) | KEY | {"paymentMode": "PREPAID"}
    outdated = sample("get_proposal.response")["purchasePlanOverrides"]
    for key in ("purchasePlanOverrides", "pricePlanOverride", "purchase_plan_override"):
        with pytest.raises(wire.ValidationError) as refusal:
            wire.CreateProposal.model_validate(body | {key: outdated})
        assert wire.problems(refusal.value) == [((key,), "Togai does not know this here.")]
