"""Purchases and proposals (togai.md 3.1, 3.2)."""

from dataclasses import replace
from decimal import Decimal
from hashlib import sha256

from togai.sandbox import contract, exact_json, paging, rules
from togai.sandbox.contract import check
from togai.sandbox.lifecycle import APPROVED, DECLINED, EXPIRED, UNDER_WAY
from togai.sandbox.moments import micros
from togai.sandbox.refusals import bad_request, not_found
from togai.sandbox.routes import account_of, page_of, route

PURCHASE_ROW = [
    "id",
    "status",
    "type",
    "createdAt",
    "pricePlanId",
    "pricePlanName",
    "pricePlanVersion",
    "quantity",
    "rateCardQuantities",
    "idempotencyKey",
    "walletTopupDetails",
    "price",
    "invoiceCurrency",
    "updatedAt",
]
PROPOSAL_ROW = [
    "id",
    "status",
    "type",
    "paymentMode",
    "createdAt",
    "updatedAt",
    "pricePlanId",
    "pricePlanName",
    "pricePlanVersion",
    "walletTopupDetails",
    "idempotencyKey",
    "expiryDate",
]


@route("POST", "/accounts/{account_id}/purchases")
def create_purchase(world, request, account_id):
    """initiateOneTimeEntitlementPlan"""
    return _create(world, request, account_id, contract.CreatePurchase)


@route("POST", "/accounts/{account_id}/purchase_proposals")
def create_proposal(world, request, account_id):
    """createProposal"""
    return _create(world, request, account_id, contract.CreateProposal)


def _create(world, request, account_id, model):
    account = account_of(world, account_id)
    sent = request.json()
    check(model, sent)
    key = sent.get("idempotencyKey")
    fingerprint = sha256(repr(_canonical(sent)).encode()).hexdigest()
    if key is not None and world.switches.key_dedupes and not world.ignore_keys:
        first = _first_use(world, account_id, key)
        if first is not None:
            identifier, first_fingerprint = first
            if fingerprint != first_fingerprint:
                raise bad_request("idempotencyKey: was used before with another body.")
            return _shown(world, world.state.get("purchase", identifier))
    plan, details = rules.judge(
        world.state,
        account=account,
        body=sent,
        now=world.now,
        zone_name=world.switches.organisation_time_zone,
    )
    record = world.life.create(account=account, body=sent, plan=plan, details=details, now=world.now)
    if key is not None:
        world.state.remember_key(
            account=account_id, key=key, identifier=record.id, fingerprint=fingerprint, at=micros(world.now)
        )
    return _shown(world, record)


def _canonical(value):
    """A value whose repr is equal for bodies that mean the same: 1, 1.0 and 1e0 are one number."""
    if isinstance(value, dict):
        return sorted((key, _canonical(item)) for key, item in value.items())
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, Decimal) or (isinstance(value, int) and not isinstance(value, bool)):
        return ("number", exact_json.plain_number(Decimal(value)))
    return value


def _first_use(world, account_id, key):
    window = world.switches.key_window_seconds
    since = 0 if window is None else micros(world.now) - int(window * 1_000_000)
    return world.state.key_use(account=account_id, key=key, since=since)


def _shown(world, record):
    return _without_key(_sticking(world, record, record.body), world.switches.key_in_get)


def _sticking(world, record, body):
    """With proposal_status_sticks a proposal goes on saying PROPOSAL_APPROVED after its conversion."""
    converted = body["status"] in UNDER_WAY or body["status"] in {"SUCCESS", "FAILURE"}
    if record.inner["proposal"] and converted and world.switches.proposal_status_sticks:
        return {**body, "status": APPROVED}
    return body


def _without_key(body, keep):
    return body if keep else {key: value for key, value in body.items() if key != "idempotencyKey"}


def _is_purchase(record):
    """A proposal is a purchase once it was approved and converted (togai.md 5.1)."""
    return not record.body["status"].startswith("PROPOSAL_")


@route("GET", "/accounts/{account_id}/purchases", query="nextToken")
def list_account_purchases(world, request, account_id):
    """listAccountPurchases: rows without account, dates and overrides"""
    account_of(world, account_id)
    return _rows(world, request, account_id, PURCHASE_ROW, _is_purchase)


@route("GET", "/accounts/{account_id}/purchase_proposals", query="nextToken")
def list_account_proposals(world, request, account_id):
    """listAccountProposals: rows without account, quantity, price, dates and overrides"""
    account_of(world, account_id)
    return _rows(world, request, account_id, PROPOSAL_ROW, lambda record: record.inner["proposal"])


def _rows(world, request, account_id, keys, wanted):
    page = paging.asked_for(request, filters={}, default=20, most=100)
    found = []
    after = page.after
    while len(found) < page.size:
        batch = world.state.select("purchase", owner=account_id, after=after, limit=page.size)
        if not batch:
            break
        after = (batch[-1].sort, batch[-1].id)
        for record in batch:
            seen = _seen_with_lag(world, record)
            if seen is not None and wanted(seen) and not _hidden(world, seen):
                found.append(seen)
    found = found[: page.size]
    return page_of(world, page, found, [_row(world, record, keys) for record in found])


def _seen_with_lag(world, record):
    lag = world.switches.list_lag_seconds
    if not lag:
        return record
    body = world.state.as_of(record, micros(world.now) - int(lag * 1_000_000))
    return None if body is None else replace(record, body=body)


def _hidden(world, record):
    return world.switches.list_hides_closed and record.body["status"] in {DECLINED, EXPIRED}


def _row(world, record, keys):
    body = _without_key(record.body, world.switches.key_in_list)
    if "paymentMode" in keys:
        body = _sticking(world, record, body)
    body = {**body, "pricePlanName": record.inner["planName"]}
    return {key: body[key] for key in keys if body.get(key) is not None}


@route("GET", "/purchases/{purchase_id}")
def get_purchase(world, request, purchase_id):
    """getPurchase: a proposal is found here once it was converted [assume]"""
    record = world.state.get("purchase", purchase_id)
    if record is None or not _is_purchase(record):
        raise not_found("Purchase", purchase_id)
    shown = _without_key(record.body, world.switches.key_in_get)
    shown = {key: value for key, value in shown.items() if key not in {"paymentMode", "proposalResponseDate"}}
    if record.inner["details"] is not None:
        shown["purchasePlan"] = record.inner["details"]
        shown["features"] = _features_granted(world, record)
    return shown


def _features_granted(world, record):
    granted = []
    for card in record.inner["details"].get("billingEntitlementRateCards", ()):
        feature = world.state.get("feature", card["featureId"])
        for entry in world.state.select("credit_entry", owner=f"{record.owner}\n{card['featureId']}"):
            if entry.inner["purchase"] != record.id:
                continue
            granted.append(
                {
                    "id": card["featureId"],
                    "name": feature.body["name"] if feature else card["featureId"],
                    "creditsGranted": entry.body["granted"],
                    "creditsAvailable": entry.body["balance"],
                    "updatedAt": record.body["updatedAt"],
                    "effectiveFrom": entry.body["effectiveFrom"],
                    "effectiveUntil": entry.body["effectiveUntil"],
                }
            )
    return granted


def _proposal(world, proposal_id):
    record = world.state.get("purchase", proposal_id)
    if record is None or not record.inner["proposal"]:
        raise not_found("Proposal", proposal_id)
    return record


@route("GET", "/purchase_proposals/{purchase_proposal_id}")
def get_proposal(world, request, proposal_id):
    """getProposal: stays readable for ever, also after the conversion [assume]"""
    return _shown(world, _proposal(world, proposal_id))


@route("POST", "/purchase_proposals/{purchase_proposal_id}/update_status")
def update_proposal_status(world, request, proposal_id):
    """updateProposalStatus"""
    proposal = _proposal(world, proposal_id)
    sent = request.json()
    check(contract.UpdateProposalStatus, sent)
    before = proposal.body["status"]
    world.life.decide(proposal, sent["status"], world.now)
    shown = _shown(world, proposal)
    return {**shown, "status": before} if world.switches.stale_update_status else shown
