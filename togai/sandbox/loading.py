"""Filling an empty state from a catalogue: the shipped one or a load file (design.md section 7)."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from togai.sandbox import exact_json, plans
from togai.sandbox.lifecycle import ACTIVE, APPROVED, EXPIRED, IN_PROGRESS, SUCCESS, new_wallet
from togai.sandbox.moments import micros, read_moment
from togai.sandbox.state import Record

# What a list row must have for the sandbox to serve it.
NEEDED = {
    "customers": ("id", "name"),
    "accounts": ("id", "name", "customerId", "status"),
    "price_plans": ("id", "name", "version", "status", "type", "supportedCurrencies"),
    "rate_cards": ("billableId", "type", "pricePlanId", "rateCardDetails"),
    "features": ("id", "name"),
    "add_ons": ("id", "name", "type"),
    "usage_meters": ("id", "name"),
    "purchases": ("id", "status", "type"),
    "proposals": ("id", "status", "type", "paymentMode"),
    "invoices": ("id", "status", "invoiceClass", "totalAmount"),
}
PLAIN = {"customers": "customer", "features": "feature", "add_ons": "add_on", "usage_meters": "usage_meter"}


class BadCatalogue(ValueError):
    """A load file that cannot be loaded; the message says where it is wrong."""


def read_file(path):
    """The catalogue in a load file.

    :raises BadCatalogue: when it is missing, not JSON or not of the documented shape
    """
    try:
        catalogue = exact_json.loads(Path(path).read_bytes())
    except OSError as error:
        raise BadCatalogue(f"Cannot read {path}: {error.strerror}.") from error
    except exact_json.NotJSON as error:
        raise BadCatalogue(f"{path}: {error}") from error
    if not isinstance(catalogue, dict):
        raise BadCatalogue(f"{path}: must be one JSON object.")
    for key, rows in catalogue.items():
        if key not in NEEDED:
            raise BadCatalogue(f"{path}: unknown key {key!r}; known are {', '.join(NEEDED)}.")
        if not isinstance(rows, list):
            raise BadCatalogue(f"{path}: {key} must be a list.")
        for index, row in enumerate(rows):
            missing = [name for name in NEEDED[key] if not isinstance(row, dict) or row.get(name) is None]
            if missing:
                raise BadCatalogue(f"{path}: {key}[{index}] lacks {', '.join(missing)}.")
    return catalogue


def fill(state, catalogue, *, now):
    """Put a catalogue into an empty state.

    Beside the keys of a load file the shipped catalogue has ``wallets``, ``wallet_entries``,
    ``credit_entries`` and ``schedules``, a ``version`` on rate cards, and an ``accountId`` on purchases and
    proposals. List rows of a load file have none: those belong to the file's first account [assume].
    """
    loader = _Loader(state, now)
    for key, kind in PLAIN.items():
        loader.plain(kind, catalogue.get(key, ()))
    accounts = catalogue.get("accounts", ())
    loader.accounts(accounts, catalogue.get("wallets", {}))
    loader.plans(catalogue.get("price_plans", ()), catalogue.get("rate_cards", ()))
    for account, row in catalogue.get("wallet_entries", ()):
        moment = read_moment(row["createdAt"])
        wallet = state.get("wallet", account).body["id"]
        loader.put("wallet_entry", row["id"], {**row, "walletId": wallet}, owner=account, at=moment)
    for account, feature, row in catalogue.get("credit_entries", ()):
        moment = read_moment(row["effectiveFrom"])
        loader.put("credit_entry", row["id"], row, owner=f"{account}\n{feature}", at=moment)
    for row in catalogue.get("schedules", ()):
        loader.put("schedule", row["id"], row, owner=row["accountId"], at=read_moment(row["startDate"]))
    first = accounts[0]["id"] if accounts else ""
    loader.invoices(catalogue.get("invoices", ()), first)
    for key in ("purchases", "proposals"):
        loader.purchases(catalogue.get(key, ()), first, proposal=key == "proposals")


class _Loader:
    def __init__(self, state, now):
        self._state = state
        self._now = now
        self._orders = {}

    def put(self, kind, identifier, body, *, owner="", at=None, position=0, inner=None, due=None):
        # Rows without a time of their own keep the order of the file.
        moment = at or self._now - timedelta(microseconds=position)
        record = Record(
            kind=kind, id=identifier, owner=owner, sort=micros(moment), body=body, inner=inner or {}, due=due
        )
        self._state.put(record, at=micros(moment))

    def plain(self, kind, rows):
        defaults = {
            "customer": {"status": "ACTIVE"},
            "feature": {"schemaCount": 1},
            "add_on": {"status": "ACTIVE"},
            "usage_meter": {"type": "COUNTER", "aggregation": "COUNT", "status": "ACTIVE"},
        }
        for position, row in enumerate(rows):
            shown = {**defaults[kind], "displayName": row["name"], **_present(row)}
            if kind == "customer":
                shown.pop("displayName")
            moment = _moment(row.get("updatedAt")) if kind == "customer" else None
            self.put(kind, row["id"], shown, at=moment, position=position)

    def accounts(self, rows, wallets):
        for position, row in enumerate(rows):
            shown = _present(row)
            shown.setdefault("togaiAccountId", row["id"])
            shown.setdefault("togaiCustomerId", row["customerId"])
            self.put("account", row["id"], shown, position=position)
            wallet = new_wallet(shown, self._now, **wallets.get(row["id"], {}))
            self.put("wallet", row["id"], wallet, owner=row["id"])

    def plans(self, rows, cards):
        versions = {}
        for position, row in enumerate(rows):
            shown = {"referenceId": row["id"], **_present(row)}
            at = _moment(row.get("updatedAt"))
            self.put(
                "plan", f"{row['id']}@{row['version']}", shown, owner=row["id"], at=at, position=position
            )
            versions.setdefault(row["id"], []).append((shown, at, position))
        for identifier, found in versions.items():
            newest_first = sorted(found, key=lambda item: item[0]["version"], reverse=True)
            shown, at, position = next(
                (item for item in newest_first if item[0]["status"] == "ACTIVE"), newest_first[0]
            )
            head = {key: shown[key] for key in ("id", "type", "status", "version")}
            self.put("plan_head", identifier, head, at=at, position=position)
        for position, row in enumerate(cards):
            version = row.get("version")
            shown = {key: value for key, value in _present(row).items() if key != "version"}
            identifier = f"{row['pricePlanId']}@{version or ''}:{row['type']}:{row['billableId']}"
            inner = {"version": version}
            self.put("rate_card", identifier, shown, owner=row["pricePlanId"], position=position, inner=inner)

    def invoices(self, rows, first_account):
        for position, row in enumerate(rows):
            shown = {"paidAmount": Decimal(0), "netTermDays": 0, "ownerId": first_account, **_present(row)}
            at = _moment(row.get("invoiceDate"))
            inner = {"purchase": shown.pop("purchaseId", None)}
            self.put(
                "invoice", row["id"], shown, owner=shown["ownerId"], at=at, position=position, inner=inner
            )
            if inner["purchase"]:
                self._orders[inner["purchase"]] = row["id"]

    def purchases(self, rows, first_account, *, proposal):
        for position, row in enumerate(rows):
            shown = {"accountId": first_account, **_present(row)}
            name = shown.pop("pricePlanName", None)
            plan = None
            if "pricePlanId" in shown:
                wanted = shown.get("pricePlanVersion", "LATEST")
                plan = plans.version_of(self._state, shown["pricePlanId"], wanted)
            details = None
            if plan is not None:
                name = name or plan.body["name"]
                override = shown.get("purchasePlanOverride") or shown.get("associationOverride")
                details = plans.in_force(plans.details(self._state, plan), override)
            if row["id"] in self._orders:
                shown["invoiceId"] = self._orders[row["id"]]
            inner = {"proposal": proposal, "planName": name, "details": details}
            step, due = self._next_step(shown)
            if step:
                inner["step"] = step
            at = _moment(row.get("createdAt"))
            self.put(
                "purchase",
                row["id"],
                shown,
                owner=shown["accountId"],
                at=at,
                position=position,
                inner=inner,
                due=due,
            )

    def _next_step(self, shown):
        """Which step of its life a loaded purchase waits for, and when it comes."""
        if shown["status"] == ACTIVE and "expiryDate" in shown:
            return EXPIRED, micros(read_moment(shown["expiryDate"]))
        if shown["status"] == APPROVED and shown.get("paymentMode") == "POSTPAID":
            return IN_PROGRESS, micros(self._now)
        if shown["status"] == IN_PROGRESS:
            return SUCCESS, micros(self._now)
        return None, None


def _present(value):
    """A row without its nulls, at any depth: null means absent (togai.md 2.1)."""
    if isinstance(value, dict):
        return {key: _present(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_present(item) for item in value]
    return value


def _moment(text):
    return read_moment(text) if text else None
