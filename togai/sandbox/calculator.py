"""The price preview (togai.md 3.10): one cycle of a plan at given usage, without proration."""

from decimal import Decimal

from togai.sandbox import plans, pricing, rules
from togai.sandbox.moments import read_moment
from togai.sandbox.refusals import bad_request, not_found


def calculate(state, sent, *, now):
    """The body of CalculateRevenueResponseV2 for a request that the contract accepts."""
    currency = _currency(state, sent["currencyConfig"])
    plan_id, details = _details(state, sent["pricePlanDetailsConfig"], now)
    usage = sent["usageConfig"].get("usageMap") or {}
    seats = _sum_by(sent["licenseEntriesConfig"].get("custom"), "licenseId")
    overage = _sum_by((sent.get("entitlementOverageConfig") or {}).get("custom"), "featureId")
    cycle = (details.get("pricingCycleConfig") or {}).get("interval")
    lines = []
    total = Decimal(0)
    for card_type, (key, list_key) in plans.CARD_KINDS.items():
        for card in details.get(list_key, ()):
            if not pricing.prices(card, list_key, currency):
                continue
            revenue, summary, usages = _line(
                card_type, card, currency, usage=usage, seats=seats, overage=overage, cycle=cycle
            )
            total += revenue
            lines.append({"rateCard": _shown(plan_id, card_type, key, card), "usages": usages, **summary})
    commitment = details.get("minimumCommitment")
    if commitment and pricing.prices(commitment, "minimumCommitment", currency):
        floor = pricing.fixed_fee_revenue(commitment, currency)
        lines.append(
            {
                "rateCard": _shown(plan_id, plans.COMMITMENT, plans.COMMITMENT_KEY, commitment),
                "usages": {},
                "fixedFeeRevenueSummary": {"revenue": max(Decimal(0), floor - total)},
            }
        )
    return {"currency": currency, "revenueInfo": lines}


def _currency(state, config):
    if config["mode"] == "CUSTOM":
        if "currency" not in config:
            raise bad_request("currencyConfig.currency: is required with mode CUSTOM.")
        return config["currency"]
    return rules.currency_of(_account(state, config, "currencyConfig"))


def _account(state, config, path):
    if "accountId" not in config:
        raise bad_request(f"{path}.accountId: is required with this mode.")
    account = state.get("account", config["accountId"])
    if account is None:
        raise not_found("Account", config["accountId"])
    return account


def _details(state, config, now):
    path = "pricePlanDetailsConfig"
    if config["mode"] == "CUSTOM":
        if "pricePlanDetails" not in config:
            raise bad_request(f"{path}.pricePlanDetails: is required with mode CUSTOM.")
        return "CUSTOM", config["pricePlanDetails"]
    if config["mode"] == "PRICE_PLAN":
        if "pricePlanId" not in config:
            raise bad_request(f"{path}.pricePlanId: is required with mode PRICE_PLAN.")
        plan = plans.version_of(state, config["pricePlanId"], "ACTIVE")
        if plan is None:
            raise bad_request(f"{path}.pricePlanId: no ACTIVE price plan {config['pricePlanId']!r}.")
        return plan.body["id"], plans.details(state, plan)
    account = _account(state, config, path)
    moment = read_moment(config["effectiveOn"]) if "effectiveOn" in config else now
    for schedule in state.select("schedule", owner=account.id):
        body = schedule.body
        if read_moment(body["startDate"]) <= moment < read_moment(body["endDate"]) and schedule.inner.get(
            "details"
        ):
            return body["pricePlanId"], schedule.inner["details"]
    raise bad_request(f"{path}.accountId: account {account.id!r} has no price plan at that moment.")


def _sum_by(entries, key):
    sums = {}
    for entry in entries or ():
        sums[entry[key]] = sums.get(entry[key], Decimal(0)) + Decimal(entry["quantity"])
    return sums


def _line(card_type, card, currency, *, usage, seats, overage, cycle):
    if card_type == "FIXED_FEE":
        revenue = pricing.fixed_fee_revenue(card, currency)
        return revenue, {"fixedFeeRevenueSummary": {"revenue": revenue}}, {}
    if card_type == "BILLING_ENTITLEMENT":
        units = sum(pricing.credits_granted(card, Decimal(1)), Decimal(0))
        revenue = pricing.card_revenue(card, currency, units)[0]
        return revenue, {"billingEntitlementRevenueSummary": {"revenue": revenue}}, {}
    if card_type == "CREDIT_GRANT":
        revenue = pricing.credit_grant_revenue(card, currency, Decimal(1))
        return revenue, {"creditGrantRevenueSummary": {"revenue": revenue}}, {}
    if card_type == "ENTITLEMENT_OVERAGE":
        units = overage.get(card["featureId"], Decimal(0))
        if card.get("maxQuantity") is not None:
            units = min(units, Decimal(card["maxQuantity"]))
        revenue = pricing.card_revenue(card, currency, units)[0]
        return revenue, {"entitlementOverageRevenueSummary": {"revenue": revenue}}, {card["featureId"]: units}
    if card_type == "USAGE":
        units = Decimal(usage.get(card["usageMeterId"], 0))
        revenue, parts = pricing.card_revenue(card, currency, units)
        return revenue, {"slabRevenueSummaries": _summaries(parts)}, {card["usageMeterId"]: units}
    units = seats.get(card["id"], Decimal(0))
    revenue, parts = pricing.card_revenue(card, currency, units)
    times = _windows(card, cycle)
    return revenue * times, {"licenseRevenueSummary": _summaries(parts, times)}, {card["id"]: units}


MONTHS = {"MONTHLY": 1, "QUARTERLY": 3, "HALF_YEARLY": 6, "ANNUALLY": 12}


def _windows(card, cycle):
    """How many usage cycles a billing cycle holds; each is priced, then they are summed (togai.md 4.4)."""
    return max(1, MONTHS.get(cycle, 0) // MONTHS.get(card.get("usageCycle"), 12))


def _summaries(parts, times=1):
    return [
        {
            "order": part.order,
            "usage": part.units,
            "revenue": part.revenue * times,
            "metadata": {
                "minimumRateApplied": part.minimum_applied,
                "maximumRateApplied": part.maximum_applied,
                **({} if part.packages is None else {"packageQuantity": part.packages}),
            },
        }
        for part in parts
    ]


def _shown(plan_id, card_type, key, card):
    billable = card.get("usageMeterId") or card.get("featureId") or card.get("id") or plan_id
    display = card.get("displayName") or billable
    in_arrears = card_type in {"USAGE", "ENTITLEMENT_OVERAGE", plans.COMMITMENT}
    return {
        "billableId": billable,
        "type": card_type,
        "displayName": display,
        "name": card.get("name") or display[:50],
        "invoiceTiming": card.get("invoiceTiming") or ("IN_ARREARS" if in_arrears else "IN_ADVANCE"),
        "referenceId": plan_id,
        "referenceType": "PRICE_PLAN",
        "pricePlanId": plan_id,
        "rateCardDetails": {key: card},
    }
