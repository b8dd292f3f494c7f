"""
Our estimate beside Togai's own revenue calculator, where its shape allows (togai.md 3.10).

The calculator previews one cycle of a billing plan at given volumes. It takes no quantity, so a purchase of
units, credit or money cannot be asked for. What it says is shown once: it is no price, it is not stored, and
nothing is decided by it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal

from audit.roles import Role, has_role
from purchases import live, overrides, quotes
from purchases import terms as domain
from purchases.cards import CARDS, KIND_NAMES, METERED
from purchases.money import Money, total
from togai import errors, wire

# What Togai's lines call the kinds of card.
TYPES = {
    "fixedFeeRateCards": "FIXED_FEE",
    "billingEntitlementRateCards": "BILLING_ENTITLEMENT",
    "creditGrantRateCards": "CREDIT_GRANT",
    "usageRateCards": "USAGE",
    "licenseRateCards": "LICENSE",
    "entitlementOverageRateCards": "ENTITLEMENT_OVERAGE",
    "minimumCommitment": "MINIMUM_COMMITMENT",
}
# Who asks: the people who write a deal and those who decide it.
ASKS = frozenset({Role.REP, Role.MANAGER, Role.FINANCE, Role.CFO})


@dataclass(frozen=True)
class Line:
    """
    One card as both see it; an amount that is not known is None.

    :ivar verdict: "equal", "differs" or "open"
    :ivar note: why it is open, or what to keep in mind
    """

    label: str
    kind_name: str
    quantity: Decimal | None
    ours: Decimal | None
    theirs: Decimal | None
    difference: Decimal | None
    verdict: str
    note: str = ""


@dataclass(frozen=True)
class Check:
    """
    What came of asking.

    :ivar why_not: why nobody can be asked, or nothing came back, in words; "" when `lines` hold an answer
    :ivar since: since when Togai has not answered, where it is that
    :ivar open_lines: how many lines do not compare; the totals leave them out
    """

    currency: str = ""
    lines: tuple[Line, ...] = ()
    ours: Decimal | None = None
    theirs: Decimal | None = None
    why_not: str = ""
    since: datetime | None = None
    open_lines: int = 0

    @property
    def difference(self):
        return None if self.ours is None or self.theirs is None else self.theirs - self.ours


def may_ask(user):
    """Whether this person may ask Togai's calculator."""
    return has_role(user, *ASKS)


def is_offered(deal, user):
    """Whether the page of a deal shows the button."""
    return may_ask(user) and not why_not(deal)


def why_not(deal):
    """Say why the calculator cannot be asked about a deal, or "" when it can."""
    if deal.type != domain.PurchaseType.ASSOCIATION:
        return "Togai's calculator previews a cycle of a billing plan; it cannot price what is bought once."
    if deal.price_plan is None or deal.price_plan.type != domain.PlanType.BILLING:
        return "There is no billing plan in this deal yet."
    if not (deal.account and deal.account.currency):
        return "Togai knows no invoice currency for this account."
    return ""


def ask(deal, *, at, gateway=None):
    """
    Ask Togai's calculator what a cycle of a deal comes to, and lay our estimate beside it. Stores nothing.

    :param gateway: to ask through; the one of pages by default, which refuses inside a transaction
    """
    reason, since = why_not(deal), None
    if not reason:
        reason, since = live.why_not_ask(at)
    if reason:
        return Check(why_not=reason, since=since)
    estimate = quotes.quote(deal).proposal
    try:
        body = wire.to_bytes(_request(deal, estimate, at))
    except wire.ValidationError:
        return Check(why_not="The terms are not complete yet: Togai would not take them.")
    try:
        answer = (gateway or live.reader()).calculate_revenue(body)
    except errors.Refused as error:
        said = error.remote_message or "It gave no reason."
        return Check(why_not=f"Togai's calculator did not take this. {said}")
    except errors.TogaiError as error:
        return Check(why_not=str(error), since=live.no_answer(error, at=at))
    live.answered()
    if answer.currency != estimate.currency:
        return Check(why_not="Togai's calculator answered in another currency.")
    return _beside(estimate, answer)


# --- The question ---


def _request(deal, estimate, at):
    """
    The deal as agreed, its plan's cards and override together, at the volumes that it expects.

    :raises wire.ValidationError: the draft is not whole
    """
    override = deal.terms().override
    details = deal.price_plan.details
    details = overrides.to_wire(overrides.effective(details, override) if override else details)
    details = {name: value for name, value in details.items() if value or name not in CARDS}
    starts = datetime.combine(deal.effective_from, time(), UTC) if deal.effective_from else at
    volumes = domain.quantities(deal.expected_volumes) or {}
    ids = {
        kind: [
            line.billable_id for line in estimate.lines if line.kind == kind and line.billable_id in volumes
        ]
        for kind in METERED
    }
    return wire.CalculateRevenue.model_validate(
        {
            "currencyConfig": {"currency": estimate.currency},
            "pricePlanDetailsConfig": {
                "pricePlanDetails": details
                | {"supportedCurrencies": details.get("supportedCurrencies") or [estimate.currency]}
            },
            "usageConfig": {"usageMap": {key: volumes[key] for key in ids["usageRateCards"]}},
            "licenseEntriesConfig": {
                "custom": [
                    {"licenseId": key, "quantity": int(volumes[key]), "effectiveFrom": starts}
                    for key in ids["licenseRateCards"]
                    if _is_whole(volumes[key])
                ]
            },
            "entitlementOverageConfig": {
                "custom": [
                    {"featureId": key, "quantity": volumes[key]} for key in ids["entitlementOverageRateCards"]
                ]
            },
        }
    )


def _is_whole(number):
    return number == number.to_integral_value()


# --- The answer ---


def _beside(estimate, answer):
    currency = estimate.currency
    found = {}
    for line in answer.lines:
        found.setdefault(_key(line.type, line.billable_id), line)
    once_too = any(line.per == "once" for line in estimate.lines)
    lines = [
        _line(line, found.pop(_key(TYPES[line.kind], line.billable_id), None), currency, once_too=once_too)
        for line in estimate.lines
    ]
    lines += [
        Line(
            label=_name_of(line),
            kind_name="",
            quantity=None,
            ours=None,
            theirs=_rounded(line.revenue, currency),
            difference=None,
            verdict="open",
            note="Only Togai's calculator has this line.",
        )
        for line in found.values()
    ]
    compared = [line for line in lines if line.verdict != "open"]
    return Check(
        currency=currency,
        lines=tuple(lines),
        ours=_sum((line.ours for line in compared), currency) if compared else None,
        theirs=_sum((line.theirs for line in compared), currency) if compared else None,
        open_lines=len(lines) - len(compared) + answer.unreadable,
    )


def _key(type_, billable_id):
    # The commitment is the plan's, and bills nothing by itself.
    return (type_, "") if type_ == TYPES["minimumCommitment"] else (type_, billable_id)


def _name_of(line):
    """What a line of Togai's is called."""
    return line.display_name or line.billable_id or "A line without a name"


def _line(ours, theirs, currency, *, once_too):
    amount = ours.amount and ours.amount.amount
    revenue = _rounded(theirs.revenue, currency) if theirs else None
    note = _why_open(ours, theirs, currency, once_too=once_too)
    equal = amount is not None and amount == revenue
    verdict = "open" if note else "equal" if equal else "differs"
    if not note and ours.per == "cycle" and (ours.every != 1 or ours.offset):
        note = "Not due in every cycle; this is a cycle in which it is."
    return Line(
        label=ours.label,
        kind_name=KIND_NAMES[ours.kind],
        quantity=ours.quantity,
        ours=amount,
        theirs=revenue,
        difference=None if verdict == "open" else revenue - amount,
        verdict=verdict,
        note=note,
    )


def _why_open(ours, theirs, currency, *, once_too):
    """Say why the two figures of a line do not compare, or "" when they do."""
    if ours.amount is None:
        return ours.unknown_because
    if theirs is None:
        return "Togai's calculator does not name this line."
    if theirs.revenue is None:
        return "Togai's figure cannot be read."
    if ours.kind == "licenseRateCards" and not _is_whole(ours.quantity):
        return "Togai's calculator takes whole seats only."
    if ours.kind == "entitlementOverageRateCards" and ours.every != 1:
        return "Billed over several cycles at once, which the calculator is not asked about."
    differs = ours.amount.amount != _rounded(theirs.revenue, currency)
    if differs and theirs.by_slab and _has_limits(ours.card, currency):
        return "Togai lists slabs; the minimum or maximum of the whole card is not in its figure."
    if ours.kind == "minimumCommitment" and once_too:
        return "Ours leaves out what is due once; whether Togai's does is not documented."
    return ""


def _has_limits(card, currency):
    values = [value for value in card.get("rateValues", ()) if value.get("currency") == currency]
    return any(value.get("rateConfig") for value in values)


def _rounded(amount, currency):
    return None if amount is None else Money.rounded(amount, currency).amount


def _sum(amounts, currency):
    return total((Money(amount, currency) for amount in amounts), currency).amount
