"""A deal beside its plan: differences in money, and how much of the list price is given away."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from purchases.cards import METERED
from purchases.money import Money
from purchases.pricing.estimates import Estimate
from purchases.pricing.lines import Line, Unpriceable, price_units

Change = Literal["same", "changed", "added", "removed"]

# A term without end is compared over its first 24 months: long enough that no free start hides in it.
_OPEN_ENDED_CYCLES = {"WEEKLY": 104, "MONTHLY": 24, "QUARTERLY": 8, "HALF_YEARLY": 4, "ANNUALLY": 2}

# What these grant has a value of its own, so without them the customer does not have for free what was sold.
_GRANTS = ("billingEntitlementRateCards", "creditGrantRateCards")


@dataclass(frozen=True)
class Side:
    """
    The same figure of plan and proposal; None is unknown.

    :ivar apart: whether both are known for spans of different length, a month and a quarter, so that nothing
        can be said of their difference
    """

    plan: Money | None
    proposal: Money | None
    apart: bool = False

    @property
    def difference(self) -> Money | None:
        """Proposal minus plan; None when either is unknown or the two do not compare."""
        if self.plan is None or self.proposal is None or self.apart:
            return None
        return self.proposal - self.plan

    @property
    def ratio(self) -> Fraction | None:
        """Proposal by plan, exact; None when there is no difference to tell or the plan's is zero."""
        if self.plan is None or self.proposal is None or self.apart or not self.plan.amount:
            return None
        return Fraction(self.proposal.amount) / Fraction(self.plan.amount)


@dataclass(frozen=True)
class LineComparison:
    """
    One card in plan and proposal.

    :ivar amounts: a card that one side lacks costs nothing there; unknown where they are due at different
        times
    :ivar discount: the share of the list price over the term that is given away, exact; the list price is
        what the plan asks for as many units. Negative for a surcharge, None when `unknown_because` says why
    """

    kind: str
    billable_id: str
    label: str
    change: Change
    plan: Line | None
    proposal: Line | None
    amounts: Side
    discount: Fraction | None
    unknown_because: str = ""


@dataclass(frozen=True)
class Comparison:
    """
    A deal beside its plan.

    :ivar highest_discount: of all lines, exact; None (above every limit, P-08) when one line's is unknown
    :ivar blended_discount: of the whole at the expected volumes, over the term or the first 24 months of an
        open one; None when `unknown_because` says why
    """

    lines: tuple[LineComparison, ...]
    once: Side
    per_cycle: Side
    term_total: Side
    highest_discount: Fraction | None
    blended_discount: Fraction | None
    unknown_because: tuple[str, ...]

    @property
    def added(self) -> tuple[LineComparison, ...]:
        """Cards that the plan does not have."""
        return tuple(line for line in self.lines if line.change == "added")

    @property
    def removed(self) -> tuple[LineComparison, ...]:
        """Cards that the proposal leaves out."""
        return tuple(line for line in self.lines if line.change == "removed")


@dataclass(frozen=True)
class _Given:
    """Exact amounts over the compared term: what the plan asks for as many units, and what is paid."""

    listed: Fraction
    paid: Fraction

    @property
    def discount(self) -> Fraction:
        """
        The share of the list price that is given away.

        :raises Unpriceable: when money is given although the list asks for none
        """
        if self.listed > 0:
            return (self.listed - self.paid) / self.listed
        if self.paid >= self.listed:
            return Fraction(0)
        raise Unpriceable("Money is given away where the plan asks for none.")


def compare(plan: Estimate, proposal: Estimate) -> Comparison:
    """
    Compare a proposal's estimate with its plan's, made for the same quantities, volumes and dates.

    :raises purchases.money.CurrencyMismatch: for estimates in two currencies
    """
    Money.zero(plan.currency) + Money.zero(proposal.currency)
    lines = tuple(_lines(plan, proposal))
    unknown = tuple(f"{line.label}: {line.unknown_because}" for line in lines if line.discount is None)
    blended: Fraction | None = None
    if not unknown:
        try:
            given = [_given(plan, proposal, line.plan, line.proposal) for line in lines]
            blended = _Given(
                sum((item.listed for item in given), Fraction(0)),
                sum((item.paid for item in given), Fraction(0)),
            ).discount
        except Unpriceable as reason:
            unknown = (str(reason),)
    return Comparison(
        lines=lines,
        once=Side(plan.once, proposal.once),
        per_cycle=Side(plan.per_cycle, proposal.per_cycle, apart=plan.interval != proposal.interval),
        term_total=Side(plan.term_total, proposal.term_total),
        highest_discount=None
        if any(line.discount is None for line in lines)
        else max((line.discount for line in lines if line.discount is not None), default=Fraction(0)),
        blended_discount=blended,
        unknown_because=unknown,
    )


def _lines(plan: Estimate, proposal: Estimate) -> Iterator[LineComparison]:
    before, after = _by_name(plan), _by_name(proposal)
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name), after.get(name)
        shown = new or before[name]
        discount: Fraction | None = None
        unknown = ""
        try:
            discount = _discount(plan, proposal, old, new)
        except Unpriceable as reason:
            unknown = str(reason)
        yield LineComparison(
            kind=shown.kind,
            billable_id=shown.billable_id,
            label=shown.label,
            change=_change(old, new),
            plan=old,
            proposal=new,
            amounts=_amounts(old, new, plan.currency, same_cycle=plan.interval == proposal.interval),
            discount=discount,
            unknown_because=unknown,
        )


def _by_name(estimate: Estimate) -> dict[tuple[str, str, int], Line]:
    # Togai's rule is one card per item, but a sample of its own breaks it (togai.md 6, row 17).
    named: dict[tuple[str, str, int], Line] = {}
    for line in estimate.lines:
        again = sum(
            1 for kind, billable_id, _ in named if (kind, billable_id) == (line.kind, line.billable_id)
        )
        named[line.kind, line.billable_id, again] = line
    return named


def _change(old: Line | None, new: Line | None) -> Change:
    if old is None:
        return "added"
    if new is None:
        return "removed"
    return (
        "same" if (old.card, old.amount, old.quantity) == (new.card, new.amount, new.quantity) else "changed"
    )


def _amounts(old: Line | None, new: Line | None, currency: str, *, same_cycle: bool) -> Side:
    nothing = Money.zero(currency)
    if old and new:
        if (old.per, old.every, old.offset) != (new.per, new.every, new.offset):
            return Side(None, None)
        return Side(old.amount, new.amount, apart=old.per == "cycle" and not same_cycle)
    return Side(old.amount if old else nothing, new.amount if new else nothing)


def _discount(plan: Estimate, proposal: Estimate, old: Line | None, new: Line | None) -> Fraction:
    if (
        old
        and new
        and old.kind == "minimumCommitment"
        and old.quantity is not None
        and new.quantity is not None
    ):
        # The true-up falls when other prices rise; what is given away is the commitment itself.
        before, after = _cycles(plan, proposal)
        return _Given(
            Fraction(old.quantity) * old.charges(before), Fraction(new.quantity) * new.charges(after)
        ).discount
    return _given(plan, proposal, old, new).discount


def _given(plan: Estimate, proposal: Estimate, old: Line | None, new: Line | None) -> _Given:
    """
    List price and price of one card over the compared term.

    :raises Unpriceable: when one of them is unknown
    """
    before, after = _cycles(plan, proposal)
    if new is None:
        missed = Fraction(0) if old is None or old.kind in _GRANTS else _over(old, before)
        return _Given(missed, Fraction(0))
    if old is None:
        if new.kind in _GRANTS:
            raise Unpriceable("The plan has no price for it.")
        return _Given(Fraction(0), _over(new, after))
    if plan.interval != proposal.interval and old.kind in METERED and old.kind != "licenseRateCards":
        raise Unpriceable("Volumes are per billing cycle, and the cycle is not the plan's.")
    if old.kind == "minimumCommitment" or old.quantity is None or new.quantity in (None, old.quantity):
        return _Given(_over(old, before), _over(new, after))
    return _Given(_listed(plan, old, new) * old.charges(before), _over(new, after))


def _listed(plan: Estimate, old: Line, new: Line) -> Fraction:
    """What the plan asks, each time it is due, for as many units as the proposal sells."""
    listed = _known(old, old.amount)
    units = new.quantity or Decimal(0)
    exact = price_units(old.kind, old.card, units, currency=plan.currency, interval=plan.interval).amount
    at_units = Fraction(Money.rounded(exact, plan.currency).amount)
    before = old.quantity or Decimal(0)
    if old.kind in _GRANTS and units > before and at_units <= listed:
        # A flat price does not grow with what is granted; granting more for it is a discount all the same.
        if listed <= 0 or not before:
            raise Unpriceable("More is granted than the plan has a price for.")
        return listed * Fraction(units) / Fraction(before)
    return at_units


def _over(line: Line, cycles: int) -> Fraction:
    return _known(line, line.over(cycles))


def _known(line: Line, amount: Money | None) -> Fraction:
    if amount is None:
        raise Unpriceable(line.unknown_because)
    return Fraction(amount.amount)


def _cycles(plan: Estimate, proposal: Estimate) -> tuple[int, int]:
    """How many cycles of each side are compared."""
    if plan.cycles is not None and proposal.cycles is not None:
        return plan.cycles, proposal.cycles
    return _open_ended_cycles(plan), _open_ended_cycles(proposal)


def _open_ended_cycles(estimate: Estimate) -> int:
    if not estimate.recurs:
        return 1
    if estimate.interval not in _OPEN_ENDED_CYCLES:
        raise Unpriceable(estimate.open_because)
    return _OPEN_ENDED_CYCLES[estimate.interval]
