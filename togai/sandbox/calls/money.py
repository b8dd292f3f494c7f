"""Wallets and invoices (togai.md 3.8, 3.9)."""

from decimal import Decimal

from togai.sandbox import contract
from togai.sandbox.contract import check
from togai.sandbox.moments import micros, read_moment, write_moment
from togai.sandbox.refusals import bad_request, not_found
from togai.sandbox.routes import account_of, filters_of, listed, route


def _wallet(world, account_id):
    account_of(world, account_id)
    record = world.state.get("wallet", account_id)
    if record is None:
        raise not_found("The wallet of account", account_id)
    return record


@route("GET", "/accounts/{account_id}/wallet")
def wallet_balance(world, request, account_id):
    """walletBalanceForAccount"""
    return _wallet(world, account_id).body


@route("PATCH", "/accounts/{account_id}/wallet")
def update_wallet(world, request, account_id):
    """updateWalletForAccount"""
    wallet = _wallet(world, account_id)
    sent = request.json()
    check(contract.UpdateWallet, sent)
    wallet.body.update(sent, updatedAt=write_moment(world.now))
    world.state.put(wallet, at=micros(world.now))
    return wallet.body


@route("GET", "/accounts/{account_id}/wallet/entries", query="nextToken pageSize")
def wallet_entries(world, request, account_id):
    """walletEntriesForAccount"""
    _wallet(world, account_id)
    return listed(world, request, "wallet_entry", owner=account_id, default=50, most=50)


@route("POST", "/accounts/{account_id}/wallet_topup")
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


@route("GET", "/invoices", query="nextToken pageSize status class owner_id customer_id start_time end_time")
def list_invoices(world, request):
    """listInvoices; start_time and end_time are epoch milliseconds"""
    filters = filters_of(request, INVOICE_FILTERS, INVOICE_COMBINATIONS)
    for name in ("start_time", "end_time"):
        if name in request.query and not request.query[name].isdigit():
            raise bad_request(f"{name}: must be epoch milliseconds.")
    page = listed(world, request, "invoice", filters=filters, default=50, most=50)
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


@route("GET", "/invoices/{invoice_id}")
def get_invoice(world, request, invoice_id):
    """getInvoice: without line items, which the vendor's own client cannot read (togai.md 7.4)"""
    return _invoice(world, invoice_id).body


@route("PATCH", "/invoices/{invoice_id}")
def update_invoice(world, request, invoice_id):
    """updateInvoice: the status alone"""
    invoice = _invoice(world, invoice_id)
    sent = request.json()
    check(contract.UpdateInvoice, sent)
    world.life.set_invoice_status(invoice, sent["status"], world.now)
    return invoice.body
