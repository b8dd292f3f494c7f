"""What a well-formed purchase or proposal must also obey: togai.md 5.3, judged against what Togai knows."""

from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from togai.sandbox import plans, pricing
from togai.sandbox.contract import CARD_LISTS
from togai.sandbox.moments import FOR_EVER, read_date, read_moment
from togai.sandbox.refusals import bad_request

BASE_CURRENCY = "USD"

PLAN_TYPE = {"ENTITLEMENT_GRANT": "PURCHASE", "PREPAID": "PURCHASE", "ASSOCIATION": "BILLING"}
FORBIDDEN = {
    "ENTITLEMENT_GRANT": ("associationOverride", "walletTopupDetails", "effectiveFrom", "effectiveUntil"),
    "PREPAID": ("associationOverride", "walletTopupDetails", "effectiveFrom", "effectiveUntil"),
    "ASSOCIATION": ("purchasePlanOverride", "walletTopupDetails", "quantity", "rateCardQuantities"),
    "WALLET_TOPUP": (
        "pricePlanId",
        "quantity",
        "rateCardQuantities",
        "purchasePlanOverride",
        "associationOverride",
        "effectiveFrom",
        "effectiveUntil",
    ),
}
ADD_ON_TYPES = {
    "fixedFeeRateCards": {"FIXED_FEE"},
    "creditGrantRateCards": {"CREDIT_GRANT"},
    "licenseRateCards": {"LICENSE", "NAMED_LICENSE"},
}


def currency_of(account):
    """The currency an account is billed in; the organisation's own when the account names none."""
    return account.body.get("invoiceCurrency", BASE_CURRENCY)


def judge(state, *, account, body, now, zone_name):
    """Refuse what the type does not allow; returns (plan record or None, details in force or None).

    :raises Refusal: 400 with the reason
    """
    if account.body["status"] != "ACTIVE":
        raise bad_request(f"Account {account.id!r} is {account.body['status']}; it must be ACTIVE.")
    kind = body.get("type", "ENTITLEMENT_GRANT")
    for key in FORBIDDEN[kind]:
        if key in body:
            raise bad_request(f"{key}: is not allowed on type {kind}.")
    if "expiryDate" in body and read_moment(body["expiryDate"]) <= now:
        raise bad_request("expiryDate: must be in the future.")
    if kind == "WALLET_TOPUP":
        _judge_topup(state, account, body)
        return None, None
    plan = _active_plan(state, body, PLAN_TYPE[kind])
    base = plans.details(state, plan)
    override_key = "associationOverride" if kind == "ASSOCIATION" else "purchasePlanOverride"
    details = plans.in_force(base, body.get(override_key))
    _judge_override(state, override_key, body.get(override_key), base, details)
    _judge_currency(account, details)
    if kind == "ASSOCIATION":
        _judge_dates(state, account, body, now, ZoneInfo(zone_name))
    else:
        _judge_quantities(body, details)
    return plan, details


def quantity_of(body):
    """Function from a billable id to the quantity a purchase buys of it."""
    chosen = body.get("rateCardQuantities")
    if chosen is None:
        everything = Decimal(body.get("quantity", 1))
        return lambda _: everything
    return lambda billable: Decimal(chosen.get(billable, 0))


def clash(state, account_id, effective_from, effective_until):
    """A schedule that leaves no room for one from..until (dates), or None.

    One without an end is cut short by a later one; any other overlap is a clash [assume].
    """
    start, end = effective_from.isoformat(), effective_until.isoformat()
    for schedule in state.select("schedule", owner=account_id):
        begins, ends = schedule.body["startDate"][:10], schedule.body["endDate"][:10]
        if begins <= end and start <= ends and not (ends == FOR_EVER.date().isoformat() and begins < start):
            return schedule
    return None


def window(body):
    """The days an association runs, both as dates; without an end it runs for ever."""
    until = read_date(body["effectiveUntil"]) if "effectiveUntil" in body else FOR_EVER.date()
    return read_date(body["effectiveFrom"]), until


def _judge_topup(state, account, body):
    if "walletTopupDetails" not in body:
        raise bad_request("walletTopupDetails: is required on type WALLET_TOPUP.")
    wallet = state.get("wallet", account.id)
    if wallet is None or wallet.body["status"] != "ACTIVE":
        raise bad_request(f"The wallet of account {account.id!r} is not ACTIVE.")


def _active_plan(state, body, plan_type):
    if "pricePlanId" not in body:
        raise bad_request("pricePlanId: is required on this type.")
    found = plans.versions(state, body["pricePlanId"])
    if not found:
        raise bad_request(f"pricePlanId: price plan {body['pricePlanId']!r} does not exist.")
    plan = next((record for record in found if record.body["status"] == "ACTIVE"), None)
    if plan is None:
        raise bad_request(f"pricePlanId: price plan {body['pricePlanId']!r} has no ACTIVE version.")
    if plan.body["type"] != plan_type:
        raise bad_request(
            f"pricePlanId: the plan is of type {plan.body['type']}; this purchase needs {plan_type}."
        )
    return plan


def _judge_override(state, path, override, base, details):
    known = plans.billables(base)
    for kind, key in CARD_LISTS.items():
        for index, card in enumerate((override or {}).get(kind, ())):
            if (kind, card[key]) not in known and not _exists(state, kind, card[key]):
                raise bad_request(
                    f"{path}.{kind}[{index}].{key}: no billable item {card[key]!r} fits this kind of card."
                )
            if base.get("type") == "PURCHASE" and card.get("type") == "RECURRING":
                raise bad_request(f"{path}.{kind}[{index}].type: a PURCHASE plan has ONE_TIME cards only.")
    if override and not any(details.get(kind) for kind in (*CARD_LISTS, "minimumCommitment")):
        raise bad_request(f"{path}: leaves the plan without a rate card.")


def _exists(state, kind, identifier):
    if kind == "usageRateCards":
        return state.get("usage_meter", identifier) is not None
    if kind in ADD_ON_TYPES:
        add_on = state.get("add_on", identifier)
        return add_on is not None and add_on.body["type"] in ADD_ON_TYPES[kind]
    return state.get("feature", identifier) is not None


def _judge_currency(account, details):
    currency = currency_of(account)
    if currency not in details["supportedCurrencies"]:
        raise bad_request(f"The plan does not support {currency}, the currency of account {account.id!r}.")
    for kind, key in CARD_LISTS.items():
        for card in details.get(kind, ()):
            if not pricing.prices(card, kind, currency):
                raise bad_request(f"{kind}: the card of {card[key]!r} has no rate in {currency}.")
    commitment = details.get("minimumCommitment")
    if commitment and not pricing.prices(commitment, "minimumCommitment", currency):
        raise bad_request(f"minimumCommitment: has no rate in {currency}.")


def _judge_quantities(body, details):
    if "quantity" in body and "rateCardQuantities" in body:
        raise bad_request("rateCardQuantities: is not allowed together with quantity.")
    known = {billable for _, billable in plans.billables(details)}
    for billable in body.get("rateCardQuantities", ()):
        if billable not in known:
            raise bad_request(
                f"rateCardQuantities.{billable}: the plan has no rate card of this billable item."
            )


def _judge_dates(state, account, body, now, zone):
    if "effectiveFrom" not in body:
        raise bad_request("effectiveFrom: is required on type ASSOCIATION.")
    start, end = window(body)
    if start < (now.astimezone(zone) + timedelta(days=1)).date():
        raise bad_request("effectiveFrom: must be tomorrow or later.")
    if end <= start:
        raise bad_request("effectiveUntil: must lie after effectiveFrom.")
    if "expiryDate" in body and start <= read_moment(body["expiryDate"]).astimezone(zone).date():
        raise bad_request("effectiveFrom: must lie after the day of expiryDate.")
    taken = clash(state, account.id, start, end)
    if taken is not None:
        raise bad_request(
            f"effectiveFrom: clashes with schedule {taken.id} from {taken.body['startDate'][:10]}"
            f" to {taken.body['endDate'][:10]}."
        )
