"""Feature credits (togai.md 3.7)."""

from decimal import Decimal

from togai.sandbox import exact_json
from togai.sandbox.moments import read_moment
from togai.sandbox.refusals import Refusal
from togai.sandbox.routes import account_of, listed, route


def _credits(world, account_id, feature_id):
    for kind, identifier in (("account", account_id), ("feature", feature_id)):
        if world.state.get(kind, identifier) is None:
            raise Refusal(422, f"{kind.capitalize()} {identifier!r} does not exist.")
    return world.state.select("credit_entry", owner=f"{account_id}\n{feature_id}")


def _running(entry, now):
    return read_moment(entry.body["effectiveFrom"]) <= now < read_moment(entry.body["effectiveUntil"])


@route("GET", "/accounts/{account_id}/entitlements")
def get_entitlements(world, request, account_id):
    """getEntitlements: what is left of every feature, as text"""
    account_of(world, account_id)
    rows = []
    for feature in world.state.select("feature"):
        entries = world.state.select("credit_entry", owner=f"{account_id}\n{feature.id}")
        running = [Decimal(entry.body["balance"]) for entry in entries if _running(entry, world.now)]
        if running:
            rows.append({"featureId": feature.id, "value": exact_json.plain_number(sum(running, Decimal(0)))})
    return {"data": rows}


@route("GET", "/accounts/{account_id}/features/{feature_id}")
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


@route("GET", "/accounts/{account_id}/features/{feature_id}/entries", query="nextToken pageSize")
def list_feature_credit_entries(world, request, account_id, feature_id):
    """listFeatureCreditEntries"""
    _credits(world, account_id, feature_id)
    return listed(
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
