"""Schedules and the price preview (togai.md 3.10, 3.11)."""

from togai.sandbox import calculator, contract
from togai.sandbox.contract import check
from togai.sandbox.moments import read_date
from togai.sandbox.refusals import bad_request
from togai.sandbox.routes import account_of, listed, route


@route(
    "GET",
    "/accounts/{account_id}/pricing_schedules",
    query="nextToken pageSize start_date end_date include_price_plan_info compact",
)
def list_pricing_schedules(world, request, account_id):
    """getPricingSchedules (deprecated)"""
    account_of(world, account_id)
    bounds = {}
    for name in ("start_date", "end_date"):
        if name in request.query:
            try:
                bounds[name] = read_date(request.query[name][:10]).isoformat()
            except ValueError as error:
                raise bad_request(f"{name}: {error}.") from error
    page = listed(
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


@route("GET", "/v2/accounts/{account_id}/schedules", query="mode nextToken pageSize")
def list_schedules(world, request, account_id):
    """listaccountSchedules; drafts of schedules do not exist here"""
    account_of(world, account_id)
    mode = request.query.get("mode")
    if mode not in {"ACTIVE", "DRAFT"}:
        raise bad_request("mode: must be ACTIVE or DRAFT.")
    if mode == "DRAFT":
        return {"data": [], "nextToken": None}
    return listed(world, request, "schedule", owner=account_id)


@route("POST", "/v2/revenue_calculator")
def calculate_revenue(world, request):
    """calculateRevenueV2"""
    sent = request.json()
    check(contract.CalculateRevenue, sent)
    return calculator.calculate(world.state, sent, now=world.now)
