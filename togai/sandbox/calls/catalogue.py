"""Price plans and billable items (togai.md 3.5, 3.6)."""

from togai.sandbox import paging, plans
from togai.sandbox.refusals import bad_request, not_found
from togai.sandbox.routes import filters_of, listed, page_of, route


@route("GET", "/v2/price_plans", query="nextToken pageSize type status")
def list_price_plans_v2(world, request):
    """listPricePlansV2: one version of each plan"""
    filters = filters_of(request, {"type": "type", "status": "status"})
    return listed(world, request, "plan_head", filters=filters, show=lambda head: _version_shown(world, head))


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


@route("GET", "/v2/price_plans/{price_plan_id}", query="version")
def get_price_plan_v2(world, request, plan_id):
    """getPricePlanV2"""
    return _wanted_version(world, plan_id, request.query.get("version", "LATEST")).body


@route("GET", "/v2/price_plans/{price_plan_id}/versions", query="nextToken pageSize")
def list_price_plan_versions(world, request, plan_id):
    """listPricePlanVersions"""
    _plan_versions(world, plan_id)
    return listed(world, request, "plan", owner=plan_id)


@route("GET", "/v2/price_plans/{price_plan_id}/rate_cards", query="nextToken pageSize")
def list_price_plan_rate_cards(world, request, plan_id):
    """listPricePlanRateCards: of the version that the list of plans shows [assume]"""
    head = plans.listed_version(_plan_versions(world, plan_id))
    page = paging.asked_for(request, filters={}, default=20, most=100)
    cards = plans.cards(world.state, head)
    if page.after is not None:
        cards = [card for card in cards if (-card.sort, card.id) > (-page.after[0], page.after[1])]
    cards = cards[: page.size]
    return page_of(world, page, cards, [card.body for card in cards])


@route("GET", "/price_plans", query="nextToken pageSize type status")
def list_price_plans(world, request):
    """getPricePlans (deprecated): every plan with its cards grouped by kind"""
    filters = filters_of(request, {"type": "type", "status": "status"})
    return listed(world, request, "plan_head", filters=filters, show=lambda head: _plan_v1(world, head))


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


@route("GET", "/price_plans/{price_plan_id}", query="version")
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


@route("GET", "/features", query="nextToken pageSize")
def list_features(world, request):
    """getFeatures"""
    return listed(world, request, "feature")


@route("GET", "/features/{feature_id}")
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


@route("GET", "/addons", query="nextToken pageSize status")
def list_add_ons(world, request):
    """getAddOns"""
    return listed(world, request, "add_on", filters=filters_of(request, {"status": "status"}))


@route("GET", "/addons/{addon_id}")
def get_add_on(world, request, add_on_id):
    """getAddOn"""
    record = world.state.get("add_on", add_on_id)
    if record is None:
        raise not_found("Add-on", add_on_id)
    return record.body


@route("GET", "/usage_meters", query="nextToken pageSize status aggregations")
def list_usage_meters(world, request):
    """getUsageMetersForEventSchema"""
    filters = filters_of(request, {"status": "status", "aggregations": "aggregation"})
    return listed(world, request, "usage_meter", filters=filters)


@route("GET", "/usage_meters/{usage_meter_id}", query="includeSchema")
def get_usage_meter(world, request, meter_id):
    """getUsageMeter"""
    record = world.state.get("usage_meter", meter_id)
    if record is None:
        raise not_found("Usage meter", meter_id)
    return record.body
