"""A whole deal at its quantities and expected volumes."""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from purchases.cards import METERED, MONTHS_OF_CYCLE
from purchases.money import Money, total
from purchases.overrides import cards
from purchases.pricing.lines import Line, Per, price_card, true_up
from purchases.terms import PlanType
from togai.strict_json import plain


@dataclass(frozen=True)
class Estimate:
    """
    What a deal costs as far as it is known; every total is a sum of rounded lines.

    :ivar recurs: whether the plan bills in cycles at all
    :ivar interval: the billing cycle (a word of togai.md 4.4), None where there is none or it is not known
    :ivar cycles: begun billing cycles in the term; None for a plan without cycles or a term without end
    """

    currency: str
    lines: tuple[Line, ...]
    recurs: bool = False
    interval: str | None = None
    cycles: int | None = None
    open_because: str = ""

    @cached_property
    def once(self) -> Money | None:
        """The sum of what is due once; None when a part of it is unknown."""
        return self._sum("once")

    @cached_property
    def per_cycle(self) -> Money | None:
        """The sum of what recurs, in a cycle in which all of it is due; None when a part is unknown."""
        return self._sum("cycle")

    @cached_property
    def term_total(self) -> Money | None:
        """Everything over the whole term; None when `reasons` say why."""
        if self.reasons:
            return None
        amounts = [line.over(self.cycles or 0) for line in self.lines]
        return total((amount for amount in amounts if amount is not None), self.currency)

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        """Why the total is not known, in words; empty when it is."""
        unknown = [f"{line.label}: {line.unknown_because}" for line in self.lines if line.amount is None]
        if self.recurs and self.cycles is None:
            unknown.append(self.open_because)
        return tuple(unknown)

    def _sum(self, per: Per) -> Money | None:
        amounts = [line.amount for line in self.lines if line.per == per]
        if None in amounts:
            return None
        return total((amount for amount in amounts if amount is not None), self.currency)


def estimate(
    details: Mapping[str, Any],
    *,
    plan_type: PlanType | str,
    currency: str,
    quantity: int | None = None,
    rate_card_quantities: Mapping[str, Decimal] | None = None,
    volumes: Mapping[str, Decimal] | None = None,
    effective_from: date | None = None,
    effective_until: date | None = None,
) -> Estimate:
    """
    Price a plan's details, or what an override makes of them.

    :param quantity: of a PURCHASE plan, for every card; a BILLING plan has none and counts each card once
    :param rate_card_quantities: by billable id, instead of `quantity`
    :param volumes: expected units per billing cycle by billable id: usage, seats, and for overage the units
        beyond the allowance; a metered card without one is unknown
    :raises ValueError: without a currency
    """
    if not currency:
        raise ValueError("An estimate needs a currency.")
    plan_type = PlanType(plan_type)
    recurs = plan_type is PlanType.BILLING
    interval = (details.get("pricingCycleConfig") or {}).get("interval") if recurs else None

    def quantity_of(kind: str, billable_id: str) -> Decimal | None:
        if kind in METERED:
            return (volumes or {}).get(billable_id)
        if recurs:
            return Decimal(1)
        if rate_card_quantities:
            return rate_card_quantities.get(billable_id)
        return None if quantity is None else Decimal(quantity)

    lines = [
        price_card(
            kind,
            card,
            quantity=quantity_of(kind, billable_id),
            currency=currency,
            plan_type=plan_type,
            interval=interval,
        )
        for kind, billable_id, card, _ in cards(details)
    ]
    if recurs and details.get("minimumCommitment"):
        lines.append(true_up(details["minimumCommitment"], lines=lines, currency=currency))
    cycles = None
    open_because = ""
    if recurs:
        if interval is None:
            open_because = "The plan has no billing cycle."
        elif effective_from is None:
            open_because = "There is no start date yet."
        elif effective_until is None:
            open_because = "There is no end date: the plan runs until it is changed."
        else:
            cycles = cycles_between(interval, effective_from, effective_until)
    return Estimate(currency, tuple(lines), recurs, interval, cycles, open_because)


def at_volumes(priced: Estimate, volumes: Mapping[str, Decimal]) -> Estimate:
    """
    The same estimate at other expected volumes.

    :param volumes: by billable id; lines that these do not name stay as they are priced
    """
    plan_type = PlanType.BILLING if priced.recurs else PlanType.PURCHASE
    lines = [
        price_card(
            line.kind,
            line.card,
            quantity=volumes[line.billable_id],
            currency=priced.currency,
            plan_type=plan_type,
            interval=priced.interval,
            table=line.table,
        )
        if line.kind in METERED and line.billable_id in volumes
        else line
        for line in priced.lines
        if line.kind != "minimumCommitment"
    ]
    for line in priced.lines:
        if line.kind == "minimumCommitment":
            lines.append(true_up(line.card, lines=tuple(lines), currency=priced.currency))
    return replace(priced, lines=tuple(lines))


def estimate_wallet(topup: Decimal, purchase: Decimal | None, currency: str) -> Estimate:
    """
    What a wallet top-up costs: the amount paid for it, which is the top-up itself where none is named.

    Compared with `estimate_wallet(topup, None, currency)` its discount is 1 − paid / top-up (P-06).
    """
    paid = topup if purchase is None else purchase
    line = Line(
        kind="walletTopup",
        billable_id="",
        label="Wallet top-up",
        per="once",
        quantity=topup,
        amount=Money.rounded(paid, currency),
        formula=f"{plain(paid)} paid for {plain(topup)}",
    )
    return Estimate(currency, (line,))


def cycles_between(interval: str, start: date, end: date) -> int:
    """
    Count the cycles begun between two dates, from the start on; one that is begun counts whole.

    Whether a contract's last day belongs to it is not documented. Counting up to the end gives twelve months
    for 1 March to 28 February and for 1 March to 1 March alike. Proration and calendar cycles are not
    estimated.

    :raises KeyError: for an interval that is not one of Togai's
    """
    if end <= start:
        return 0
    if interval == "WEEKLY":
        return -((start - end).days // 7)
    months = MONTHS_OF_CYCLE[interval]
    cycles = ((end.year - start.year) * 12 + end.month - start.month) // months
    return cycles if _months_later(start, cycles * months) >= end else cycles + 1


def start_of_cycle(interval: str, start: date, cycles: int) -> date | None:
    """
    The day on which so many cycles are over, counted from the start; None past the last day there is.

    :raises KeyError: for an interval that is not one of Togai's
    """
    try:
        if interval == "WEEKLY":
            return start + timedelta(weeks=cycles)
        return _months_later(start, cycles * MONTHS_OF_CYCLE[interval])
    except (OverflowError, ValueError):
        return None


def _months_later(day: date, months: int) -> date:
    """The same day of a later month, or that month's last day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
