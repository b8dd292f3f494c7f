"""Customers and accounts (togai.md 3.3, 3.4)."""

from togai.sandbox import contract, rules
from togai.sandbox.contract import check
from togai.sandbox.identifiers import new_id
from togai.sandbox.lifecycle import new_wallet
from togai.sandbox.moments import micros, read_moment, write_moment
from togai.sandbox.refusals import bad_request, not_found
from togai.sandbox.routes import account_of, filters_of, listed, route
from togai.sandbox.state import Record


@route("GET", "/customers", query="nextToken pageSize id status")
def list_customers(world, request):
    """getCustomers"""
    return listed(world, request, "customer", filters=filters_of(request, {"id": "id", "status": "status"}))


@route("POST", "/customers", status=201)
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


@route("GET", "/customers/{customer_id}")
def get_customer(world, request, customer_id):
    """getCustomer"""
    record = world.state.get("customer", customer_id)
    if record is None:
        raise not_found("Customer", customer_id)
    return record.body


@route("GET", "/accounts", query="nextToken pageSize account_id customer_id status invoice_currency")
def list_accounts(world, request):
    """getAccounts"""
    names = {
        "account_id": "id",
        "customer_id": "customerId",
        "status": "status",
        "invoice_currency": "invoiceCurrency",
    }
    single = [{key} for key in names.values()]
    filters = filters_of(request, names, [*single, {"customerId", "status"}])
    return listed(world, request, "account", filters=filters)


@route("POST", "/accounts", status=201)
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


@route(
    "GET",
    "/accounts/{account_id}",
    query="effectiveOn includeGroupDetails",
)
def get_account(world, request, account_id):
    """getAccount"""
    return account_of(world, account_id).body


@route("PATCH", "/accounts/{account_id}")
def update_account(world, request, account_id):
    """updateAccount: a merge of the fields sent; tags and metadata replace"""
    account = account_of(world, account_id)
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


@route("DELETE", "/accounts/{account_id}")
def delete_account(world, request, account_id):
    """deleteAccount: archives; refused while a plan or an ongoing invoice exists"""
    account = account_of(world, account_id)
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
