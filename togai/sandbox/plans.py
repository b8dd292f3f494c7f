"""Price plans: versions, the grouped details of a version, and the details in force under an override."""

from togai.sandbox.contract import CARD_LISTS

# v2 card type → (key inside rateCardDetails, list key of grouped details).
CARD_KINDS = {
    "FIXED_FEE": ("fixedFeeRateCard", "fixedFeeRateCards"),
    "BILLING_ENTITLEMENT": ("billingEntitlementRateCard", "billingEntitlementRateCards"),
    "CREDIT_GRANT": ("creditGrantRateCard", "creditGrantRateCards"),
    "USAGE": ("usageRateCard", "usageRateCards"),
    "LICENSE": ("licenseRateCard", "licenseRateCards"),
    "ENTITLEMENT_OVERAGE": ("entitlementOverageRateCard", "entitlementOverageRateCards"),
}
COMMITMENT = "MINIMUM_COMMITMENT"
COMMITMENT_KEY = "minimumCommitmentRateCard"


def versions(state, plan_id):
    """Every version of a plan as records, newest version first; empty when the plan is unknown."""
    found = state.select("plan", owner=plan_id)
    return sorted(found, key=lambda record: record.body["version"], reverse=True)


def version_of(state, plan_id, wanted="LATEST"):
    """One version: ``LATEST``, ``ACTIVE`` or a number; None when there is none."""
    found = versions(state, plan_id)
    if wanted == "ACTIVE":
        found = [record for record in found if record.body["status"] == "ACTIVE"]
    elif wanted != "LATEST":
        found = [record for record in found if record.body["version"] == wanted]
    return found[0] if found else None


def listed_version(found):
    """Which of a plan's versions the list of plans shows: the newest active one, else the newest [assume]."""
    active = [record for record in found if record.body["status"] == "ACTIVE"]
    return (active or found)[0]


def cards(state, plan):
    """The v2 rate cards of one plan version, in the plan's order.

    A card without a version of its own (a load file has none) belongs to every version.
    """
    found = state.select("rate_card", owner=plan.body["id"])
    return [card for card in found if card.inner.get("version") in (None, plan.body["version"])]


def details(state, plan):
    """A version's cards grouped by kind, with its currencies and cycle: the v1 ``PricePlanDetails``."""
    grouped = {"supportedCurrencies": plan.body["supportedCurrencies"]}
    grouped["activeCurrencies"] = plan.body["supportedCurrencies"]
    if plan.body["type"] == "BILLING" and "pricingCycleConfig" in plan.body:
        grouped["pricingCycleConfig"] = plan.body["pricingCycleConfig"]
    for card in cards(state, plan):
        inside = card.body["rateCardDetails"]
        if card.body["type"] == COMMITMENT:
            grouped["minimumCommitment"] = inside[COMMITMENT_KEY]
            continue
        key, list_key = CARD_KINDS[card.body["type"]]
        grouped.setdefault(list_key, []).append(_named(card.body, inside[key]))
    grouped["type"] = plan.body["type"]
    for key in ("deferredRevenue",):
        if key in plan.body:
            grouped[key] = plan.body[key]
    return grouped


def _named(card, inside):
    """A card as it stands in grouped details: the names of the v2 wrapper moved inside."""
    named = dict(inside)
    for key in ("displayName", "name", "tag"):
        if key in card and key not in named:
            named[key] = card[key]
    return named


def in_force(base, override):
    """Plan details under an override: every key present in it replaces the plan's whole list [assume]."""
    return {**base, **(override or {})}


def billables(plan_details):
    """(list key, billable id) of every card in grouped details."""
    return {(kind, card[key]) for kind, key in CARD_LISTS.items() for card in plan_details.get(kind, ())}
