"""The calls of togai.md section 3: which path leads to which function, and what each answers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from urllib.parse import parse_qsl, unquote

from togai.sandbox import calculator, contract, exact_json, paging, plans, rules
from togai.sandbox.contract import check
from togai.sandbox.identifiers import new_id
from togai.sandbox.lifecycle import APPROVED, DECLINED, EXPIRED, UNDER_WAY, LifeCycle, new_wallet
from togai.sandbox.moments import micros, read_date, read_moment, write_moment
from togai.sandbox.refusals import Refusal, bad_request, not_found
from togai.sandbox.state import Record, State
from togai.sandbox.switches import Switches

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


@dataclass(frozen=True)
class Request:
    """One request as it was read from the socket."""

    method: str
    target: str
    body: bytes = b""

    @property
    def path(self):
        """The path alone, still percent-encoded."""
        return self.target.split("?", 1)[0]

    @property
    def query(self):
        """The query parameters; of a repeated one the last counts."""
        _, _, text = self.target.partition("?")
        return dict(parse_qsl(text, keep_blank_values=True))

    def json(self):
        """The parsed body.

        :raises Refusal: 400 when it is not JSON
        """
        try:
            return exact_json.loads(self.body)
        except exact_json.NotJSON as error:
            raise bad_request(str(error)) from error


@dataclass(frozen=True)
class World:
    """What a call may touch, and the moment it happens."""

    state: State
    switches: Switches
    life: LifeCycle
    now: datetime
    # A duplicating fault runs a create a second time, past the key.
    ignore_keys: bool = False


@dataclass(frozen=True)
class Route:
    """One operation: the status of success, its query parameters, and its function."""

    method: str
    template: tuple
    call: Callable
    status: int
    query: frozenset


ROUTES = []


def _route(method, path, *, status=200, query=""):
    template = tuple(path.strip("/").split("/"))

    def register(call):
        ROUTES.append(Route(method, template, call, status, frozenset(query.split())))
        return call

    return register


def answer(world, request):
    """Find the operation and run it; returns (status, JSON body).

    :raises Refusal: for everything that is not a success
    """
    route, arguments = _find(request)
    unknown = sorted(set(request.query) - route.query)
    if unknown:
        raise bad_request(f"{unknown[0][:50]}: is not a query parameter of this call.")
    limit = 512 if "purchase_proposals" in route.template[:1] else 50
    for argument in arguments:
        if not 1 <= len(argument) <= limit:
            raise bad_request(f"An id in the path must have 1 to {limit} characters.")
    return route.status, route.call(world, request, *arguments)


def _find(request):
    # Split before decoding: an encoded slash belongs to an id.
    segments = [unquote(segment) for segment in request.path.strip("/").split("/")]
    methods = set()
    for route in ROUTES:
        if len(route.template) != len(segments):
            continue
        if all(
            part.startswith("{") or part == segment
            for part, segment in zip(route.template, segments, strict=True)
        ):
            methods.add(route.method)
            if route.method == request.method:
                arguments = [
                    segment
                    for part, segment in zip(route.template, segments, strict=True)
                    if part.startswith("{")
                ]
                return route, arguments
    if methods:
        raise Refusal(405, f"{request.method} is not allowed here.", {"Allow": ", ".join(sorted(methods))})
    raise Refusal(404, f"No operation {request.method} {request.path[:200]}.")


# Lists


def _list(world, request, kind, *, owner=None, filters=None, default=20, most=100, show=None):
    page = paging.asked_for(request.query, filters=filters or {}, default=default, most=most)
    found = world.state.select(kind, owner=owner, where=page.filters, after=page.after, limit=page.size)
    answered = _page(world, page, found, [show(record) if show else record.body for record in found])
    if most == 100 and not request.path.startswith("/v2/"):
        answered["context"] = {"pageSize": page.size, "sortOrder": "DESC"}
    return answered


def _page(world, page, found, rows):
    last = found[-1] if found else None
    return {"data": rows, "nextToken": paging.next_token(page, last, len(found), world.switches)}


def _filters(request, names, allowed=None):
    """Filters present in the query as body keys; ``allowed`` lists the combinations that are legal."""
    used = {key: request.query[name] for name, key in names.items() if name in request.query}
    if allowed is not None and used and set(used) not in allowed:
        raise bad_request(f"These filters cannot be combined: {', '.join(sorted(used))}.")
    return used


# Customers and accounts


def _account(world, account_id):
    record = world.state.get("account", account_id)
    if record is None:
        raise not_found("Account", account_id)
    return record


@_route("GET", "/customers", query="nextToken pageSize id status")
def list_customers(world, request):
    """getCustomers"""
    return _list(world, request, "customer", filters=_filters(request, {"id": "id", "status": "status"}))


@_route("POST", "/customers", status=201)
def create_customer(world, request):
    """createCustomer; without an account of its own the customer gets one (togai.md 1.1)"""
    sent = request.json()
    check(contract.CreateCustomer, sent)
    if world.state.get("customer", sent["id"]) is not None:
        raise bad_request(f"id: customer {sent['id']!r} exists already.")
    address = sent["address"]
    shown = {
        "id": sent["id"],
        "togaiCustomerId": new_id("customer"),
        "name": sent["name"],
        "primaryEmail": sent["primaryEmail"],
        "billingAddress": ", ".join(value for key, value in address.items() if key != "phoneNumber"),
        "address": address,
        "status": "ACTIVE",
        "createdAt": write_moment(world.now),
        "updatedAt": write_moment(world.now),
    }
    _put(world, "customer", shown["id"], shown)
    account = sent.get("account") or {"id": sent["id"], "name": sent["name"]}
    return {**shown, "account": _new_account(world, {**account, "customerId": sent["id"]})}


@_route("GET", "/customers/{customer_id}")
def get_customer(world, request, customer_id):
    """getCustomer"""
    record = world.state.get("customer", customer_id)
    if record is None:
        raise not_found("Customer", customer_id)
    return record.body


@_route("GET", "/accounts", query="nextToken pageSize account_id customer_id status invoice_currency")
def list_accounts(world, request):
    """getAccounts"""
    names = {
        "account_id": "id",
        "customer_id": "customerId",
        "status": "status",
        "invoice_currency": "invoiceCurrency",
    }
    single = [{key} for key in names.values()]
    filters = _filters(request, names, [*single, {"customerId", "status"}])
    return _list(world, request, "account", filters=filters)


@_route("POST", "/accounts", status=201)
def create_account(world, request):
    """createAccount"""
    sent = request.json()
    check(contract.CreateAccount, sent)
    if world.state.get("customer", sent["customerId"]) is None:
        raise bad_request(f"customerId: customer {sent['customerId']!r} does not exist.")
    return _new_account(world, sent)


def _new_account(world, sent):
    if world.state.get("account", sent["id"]) is not None:
        raise bad_request(f"id: account {sent['id']!r} exists already.")
    customer = world.state.get("customer", sent["customerId"])
    aliases = [*sent.get("aliases", ()), *(alias["value"] for alias in sent.get("accountAliases", ()))]
    shown = {
        "id": sent["id"],
        "togaiAccountId": new_id("account"),
        "togaiCustomerId": customer.body["togaiCustomerId"],
        "customerId": sent["customerId"],
        "name": sent["name"],
        "status": sent.get("status", "ACTIVE"),
        "invoiceCurrency": sent.get("invoiceCurrency", rules.BASE_CURRENCY),
        "aliases": [{"alias": alias} for alias in aliases],
        "netTermDays": sent.get("netTermDays", 0),
        "tags": [tag.lower() for tag in sent.get("tags", ())],
        "metadata": sent.get("metadata", {}),
    }
    for key in ("primaryEmail", "address", "billingInformation", "settings"):
        if key in sent:
            shown[key] = sent[key]
    _put(world, "account", shown["id"], shown)
    _put(world, "wallet", shown["id"], new_wallet(shown, world.now), owner=shown["id"])
    return shown


@_route(
    "GET",
    "/accounts/{account_id}",
    query="effectiveOn includeGroupDetails effective_on include_group_details",
)
def get_account(world, request, account_id):
    """getAccount"""
    return _account(world, account_id).body


@_route("PATCH", "/accounts/{account_id}")
def update_account(world, request, account_id):
    """updateAccount: a merge of the fields sent; tags and metadata replace"""
    account = _account(world, account_id)
    sent = request.json()
    check(contract.UpdateAccount, sent)
    if "invoiceCurrency" in sent:
        raise bad_request("invoiceCurrency: cannot be changed after the account was created.")
    if account.body["status"] == "ARCHIVED":
        raise bad_request(f"Account {account_id!r} is ARCHIVED.")
    if "tags" in sent:
        sent["tags"] = list(dict.fromkeys(tag.lower() for tag in sent["tags"]))
    account.body.update(sent)
    account.sort = micros(world.now)
    world.state.put(account, at=micros(world.now))
    return account.body


@_route("DELETE", "/accounts/{account_id}")
def delete_account(world, request, account_id):
    """deleteAccount: archives; refused while a plan or an ongoing invoice exists"""
    account = _account(world, account_id)
    for schedule in world.state.select("schedule", owner=account_id):
        if read_moment(schedule.body["endDate"]) > world.now:
            raise bad_request(f"Account {account_id!r} has a price plan (schedule {schedule.id}).")
    for invoice in world.state.select("invoice", owner=account_id):
        if invoice.body["status"] in {"DRAFT", "DUE", "PARTIALLY_PAID"}:
            raise bad_request(f"Account {account_id!r} has an ongoing invoice ({invoice.id}).")
    account.body["status"] = "ARCHIVED"
    account.sort = micros(world.now)
    world.state.put(account, at=micros(world.now))
    return {"success": True}


def _put(world, kind, identifier, body, *, owner=""):
    record = Record(kind=kind, id=identifier, owner=owner, sort=micros(world.now), body=body)
    world.state.put(record, at=micros(world.now))
    return record


# Price plans


@_route("GET", "/v2/price_plans", query="nextToken pageSize type status")
def list_price_plans_v2(world, request):
    """listPricePlansV2: one version of each plan"""
    filters = _filters(request, {"type": "type", "status": "status"})
    return _list(world, request, "plan_head", filters=filters, show=lambda head: _version_shown(world, head))


def _version_shown(world, head):
    return plans.version_of(world.state, head.id, head.body["version"]).body


def _plan_versions(world, plan_id):
    found = plans.versions(world.state, plan_id)
    if not found:
        raise not_found("Price plan", plan_id)
    return found


def _wanted_version(world, plan_id, text):
    _plan_versions(world, plan_id)
    if text not in {"LATEST", "ACTIVE"}:
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise bad_request("version: must be LATEST, ACTIVE or a number.")
        text = int(text)
    record = plans.version_of(world.state, plan_id, text)
    if record is None:
        raise not_found(f"Price plan {plan_id} version", text)
    return record


@_route("GET", "/v2/price_plans/{price_plan_id}", query="version")
def get_price_plan_v2(world, request, plan_id):
    """getPricePlanV2"""
    return _wanted_version(world, plan_id, request.query.get("version", "LATEST")).body


@_route("GET", "/v2/price_plans/{price_plan_id}/versions", query="nextToken pageSize")
def list_price_plan_versions(world, request, plan_id):
    """listPricePlanVersions"""
    _plan_versions(world, plan_id)
    return _list(world, request, "plan", owner=plan_id)


@_route("GET", "/v2/price_plans/{price_plan_id}/rate_cards", query="nextToken pageSize")
def list_price_plan_rate_cards(world, request, plan_id):
    """listPricePlanRateCards: of the version that the list of plans shows [assume]"""
    head = plans.listed_version(_plan_versions(world, plan_id))
    page = paging.asked_for(request.query, filters={}, default=20, most=100)
    cards = plans.cards(world.state, head)
    if page.after is not None:
        cards = [card for card in cards if (-card.sort, card.id) > (-page.after[0], page.after[1])]
    cards = cards[: page.size]
    return _page(world, page, cards, [card.body for card in cards])


@_route("GET", "/price_plans", query="nextToken pageSize type status")
def list_price_plans(world, request):
    """getPricePlans (deprecated): every plan with its cards grouped by kind"""
    filters = _filters(request, {"type": "type", "status": "status"})
    return _list(world, request, "plan_head", filters=filters, show=lambda head: _plan_v1(world, head))


def _plan_v1(world, head):
    plan = plans.version_of(world.state, head.id, head.body["version"])
    details = plans.details(world.state, plan)
    shown = {
        key: plan.body[key] for key in ("id", "name", "version", "description", "status") if key in plan.body
    }
    return {
        **shown,
        "usageMeters": [card["usageMeterId"] for card in details.get("usageRateCards", ())],
        "pricePlanDetails": details,
        "createdAt": plan.body["createdAt"],
        "updatedAt": plan.body["updatedAt"],
        "type": plan.body["type"],
    }


@_route("GET", "/price_plans/{price_plan_id}", query="version")
def get_price_plan(world, request, plan_id):
    """getPricePlan (deprecated)"""
    plan = _wanted_version(world, plan_id, request.query.get("version", "LATEST"))
    shown = {
        key: plan.body[key] for key in ("id", "name", "type", "description", "status") if key in plan.body
    }
    schedule = {
        "id": f"{plan.body['id']}@{plan.body['version']}",
        "startDate": "1970-01-01T00:00:00Z",
        "endDate": "9999-01-01T00:00:00Z",
        "version": plan.body["version"],
        "isOverriden": False,
        "pricePlanDetails": plans.details(world.state, plan),
    }
    return {**shown, "pricingSchedule": [schedule]}


# Billable items


@_route("GET", "/features", query="nextToken pageSize")
def list_features(world, request):
    """getFeatures"""
    return _list(world, request, "feature")


@_route("GET", "/features/{feature_id}")
def get_feature(world, request, feature_id):
    """getFeature"""
    record = world.state.get("feature", feature_id)
    if record is None:
        raise not_found("Feature", feature_id)
    shown = {key: value for key, value in record.body.items() if key != "schemaCount"}
    schemas = [
        {"schemaName": f"{record.body['name']}_events_{number}", "attributeName": record.body["name"]}
        for number in range(1, record.body["schemaCount"] + 1)
    ]
    return {**shown, "schemaAssociations": schemas[:50]}


@_route("GET", "/addons", query="nextToken pageSize status")
def list_add_ons(world, request):
    """getAddOns"""
    return _list(world, request, "add_on", filters=_filters(request, {"status": "status"}))


@_route("GET", "/addons/{addon_id}")
def get_add_on(world, request, add_on_id):
    """getAddOn"""
    record = world.state.get("add_on", add_on_id)
    if record is None:
        raise not_found("Add-on", add_on_id)
    return record.body


@_route("GET", "/usage_meters", query="nextToken pageSize status aggregations")
def list_usage_meters(world, request):
    """getUsageMetersForEventSchema"""
    filters = _filters(request, {"status": "status", "aggregations": "aggregation"})
    return _list(world, request, "usage_meter", filters=filters)


@_route("GET", "/usage_meters/{usage_meter_id}", query="include_schema")
def get_usage_meter(world, request, meter_id):
    """getUsageMeter"""
    record = world.state.get("usage_meter", meter_id)
    if record is None:
        raise not_found("Usage meter", meter_id)
    return record.body


# Purchases and proposals


@_route("POST", "/accounts/{account_id}/purchases")
def create_purchase(world, request, account_id):
    """initiateOneTimeEntitlementPlan"""
    return _create(world, request, account_id, contract.CreatePurchase)


@_route("POST", "/accounts/{account_id}/purchase_proposals")
def create_proposal(world, request, account_id):
    """createProposal"""
    return _create(world, request, account_id, contract.CreateProposal)


def _create(world, request, account_id, model):
    account = _account(world, account_id)
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


@_route("GET", "/accounts/{account_id}/purchases", query="nextToken")
def list_account_purchases(world, request, account_id):
    """listAccountPurchases: rows without account, dates and overrides"""
    _account(world, account_id)
    return _rows(world, request, account_id, PURCHASE_ROW, _is_purchase)


@_route("GET", "/accounts/{account_id}/purchase_proposals", query="nextToken")
def list_account_proposals(world, request, account_id):
    """listAccountProposals: rows without account, quantity, price, dates and overrides"""
    _account(world, account_id)
    return _rows(world, request, account_id, PROPOSAL_ROW, lambda record: record.inner["proposal"])


def _rows(world, request, account_id, keys, wanted):
    page = paging.asked_for(request.query, filters={}, default=20, most=100)
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
    return _page(world, page, found, [_row(world, record, keys) for record in found])


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


@_route("GET", "/purchases/{purchase_id}")
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


@_route("GET", "/purchase_proposals/{purchase_proposal_id}")
def get_proposal(world, request, proposal_id):
    """getProposal: stays readable for ever, also after the conversion [assume]"""
    return _shown(world, _proposal(world, proposal_id))


@_route("POST", "/purchase_proposals/{purchase_proposal_id}/update_status")
def update_proposal_status(world, request, proposal_id):
    """updateProposalStatus"""
    proposal = _proposal(world, proposal_id)
    sent = request.json()
    check(contract.UpdateProposalStatus, sent)
    before = proposal.body["status"]
    world.life.decide(proposal, sent["status"], world.now)
    shown = _shown(world, proposal)
    return {**shown, "status": before} if world.switches.stale_update_status else shown


# Entitlements. The vendor answers 422 instead of 404 on feature credits (togai.md section 2).


def _credits(world, account_id, feature_id):
    for kind, identifier in (("account", account_id), ("feature", feature_id)):
        if world.state.get(kind, identifier) is None:
            raise Refusal(422, f"{kind.capitalize()} {identifier!r} does not exist.")
    return world.state.select("credit_entry", owner=f"{account_id}\n{feature_id}")


def _running(entry, now):
    return read_moment(entry.body["effectiveFrom"]) <= now < read_moment(entry.body["effectiveUntil"])


@_route("GET", "/accounts/{account_id}/entitlements")
def get_entitlements(world, request, account_id):
    """getEntitlements: what is left of every feature, as text"""
    _account(world, account_id)
    rows = []
    for feature in world.state.select("feature"):
        entries = world.state.select("credit_entry", owner=f"{account_id}\n{feature.id}")
        running = [Decimal(entry.body["balance"]) for entry in entries if _running(entry, world.now)]
        if running:
            rows.append({"featureId": feature.id, "value": exact_json.plain_number(sum(running, Decimal(0)))})
    return {"data": rows}


@_route("GET", "/accounts/{account_id}/features/{feature_id}")
def get_feature_credits(world, request, account_id, feature_id):
    """getFeatureCredits"""
    running = [entry for entry in _credits(world, account_id, feature_id) if _running(entry, world.now)]
    return {
        "accountId": account_id,
        "featureId": feature_id,
        "granted": sum((Decimal(entry.body["granted"]) for entry in running), Decimal(0)),
        "balance": sum((Decimal(entry.body["balance"]) for entry in running), Decimal(0)),
        "usedOverage": Decimal(0),
    }


@_route("GET", "/accounts/{account_id}/features/{feature_id}/entries", query="nextToken pageSize")
def list_feature_credit_entries(world, request, account_id, feature_id):
    """listFeatureCreditEntries"""
    _credits(world, account_id, feature_id)
    return _list(
        world,
        request,
        "credit_entry",
        owner=f"{account_id}\n{feature_id}",
        default=50,
        most=50,
        show=lambda entry: _entry_shown(world, entry),
    )


def _entry_shown(world, entry):
    over = read_moment(entry.body["effectiveUntil"]) <= world.now
    return {**entry.body, "status": "EXPIRED" if over else "ACTIVE"}


# Wallet


def _wallet(world, account_id):
    _account(world, account_id)
    record = world.state.get("wallet", account_id)
    if record is None:
        raise not_found("The wallet of account", account_id)
    return record


@_route("GET", "/accounts/{account_id}/wallet")
def wallet_balance(world, request, account_id):
    """walletBalanceForAccount"""
    return _wallet(world, account_id).body


@_route("PATCH", "/accounts/{account_id}/wallet")
def update_wallet(world, request, account_id):
    """updateWalletForAccount"""
    wallet = _wallet(world, account_id)
    sent = request.json()
    check(contract.UpdateWallet, sent)
    wallet.body.update(sent, updatedAt=write_moment(world.now))
    world.state.put(wallet, at=micros(world.now))
    return wallet.body


@_route("GET", "/accounts/{account_id}/wallet/entries", query="nextToken pageSize")
def wallet_entries(world, request, account_id):
    """walletEntriesForAccount"""
    _wallet(world, account_id)
    return _list(world, request, "wallet_entry", owner=account_id, default=50, most=50)


@_route("POST", "/accounts/{account_id}/wallet_topup")
def top_up_wallet(world, request, account_id):
    """topUpWalletForAccount: effective at once"""
    wallet = _wallet(world, account_id)
    sent = request.json()
    check(contract.TopupWallet, sent)
    if wallet.body["status"] != "ACTIVE":
        raise bad_request(f"The wallet of account {account_id!r} is not ACTIVE.")
    world.life.top_up(wallet, Decimal(sent["topupAmount"]), world.now)
    return wallet.body


# Invoices

INVOICE_FILTERS = {
    "status": "status",
    "class": "invoiceClass",
    "owner_id": "ownerId",
    "customer_id": "customerId",
}
INVOICE_COMBINATIONS = [
    {"status"},
    {"invoiceClass"},
    {"ownerId"},
    {"customerId"},
    {"status", "ownerId"},
    {"invoiceClass", "ownerId"},
    {"status", "invoiceClass"},
    {"status", "invoiceClass", "ownerId"},
]


@_route("GET", "/invoices", query="nextToken pageSize status class owner_id customer_id start_time end_time")
def list_invoices(world, request):
    """listInvoices; start_time and end_time are epoch milliseconds"""
    filters = _filters(request, INVOICE_FILTERS, INVOICE_COMBINATIONS)
    for name in ("start_time", "end_time"):
        if name in request.query and not request.query[name].isdigit():
            raise bad_request(f"{name}: must be epoch milliseconds.")
    page = _list(world, request, "invoice", filters=filters, default=50, most=50)
    earliest = int(request.query.get("start_time", 0)) * 1000
    latest = int(request.query.get("end_time", 10**16)) * 1000
    page["data"] = [
        row for row in page["data"] if earliest <= micros(read_moment(row["invoiceDate"])) <= latest
    ]
    return page


def _invoice(world, invoice_id):
    record = world.state.get("invoice", invoice_id)
    if record is None:
        raise not_found("Invoice", invoice_id)
    return record


@_route("GET", "/invoices/{invoice_id}")
def get_invoice(world, request, invoice_id):
    """getInvoice: without line items, which the vendor's own client cannot read (togai.md 7.4)"""
    return _invoice(world, invoice_id).body


@_route("PATCH", "/invoices/{invoice_id}")
def update_invoice(world, request, invoice_id):
    """updateInvoice: the status alone"""
    invoice = _invoice(world, invoice_id)
    sent = request.json()
    check(contract.UpdateInvoice, sent)
    world.life.set_invoice_status(invoice, sent["status"], world.now)
    return invoice.body


# Schedules


@_route(
    "GET",
    "/accounts/{account_id}/pricing_schedules",
    query="nextToken pageSize start_date end_date include_price_plan_info compact",
)
def list_pricing_schedules(world, request, account_id):
    """getPricingSchedules (deprecated)"""
    _account(world, account_id)
    bounds = {}
    for name in ("start_date", "end_date"):
        if name in request.query:
            try:
                bounds[name] = read_date(request.query[name][:10]).isoformat()
            except ValueError as error:
                raise bad_request(f"{name}: {error}.") from error
    page = _list(
        world,
        request,
        "schedule",
        owner=account_id,
        show=lambda schedule: _schedule_v1(schedule, compact=request.query.get("compact") == "true"),
    )
    page["data"] = [
        row
        for row in page["data"]
        if row["endDate"][:10] >= bounds.get("start_date", "")
        and row["startDate"][:10] <= bounds.get("end_date", "9")
    ]
    return page


def _schedule_v1(schedule, *, compact):
    body = schedule.body
    shown = {
        key: body[key] for key in ("id", "startDate", "endDate", "version", "pricePlanId", "pricePlanInfo")
    }
    shown["isOverriden"] = body["isOverridden"]
    shown["pricePlanName"] = body["pricePlanInfo"]["name"]
    if not compact and schedule.inner.get("details"):
        shown["pricePlanDetails"] = schedule.inner["details"]
    return shown


@_route("GET", "/v2/accounts/{account_id}/schedules", query="mode nextToken pageSize")
def list_schedules(world, request, account_id):
    """listaccountSchedules; drafts of schedules do not exist here"""
    _account(world, account_id)
    mode = request.query.get("mode")
    if mode not in {"ACTIVE", "DRAFT"}:
        raise bad_request("mode: must be ACTIVE or DRAFT.")
    if mode == "DRAFT":
        return {"data": [], "nextToken": None}
    return _list(world, request, "schedule", owner=account_id)


# Price preview


@_route("POST", "/v2/revenue_calculator")
def calculate_revenue(world, request):
    """calculateRevenueV2"""
    sent = request.json()
    check(contract.CalculateRevenue, sent)
    return calculator.calculate(world.state, sent, now=world.now)
