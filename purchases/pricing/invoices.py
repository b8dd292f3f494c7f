"""
The first invoice of a deal: what the customer is asked for first, and when.

Togai writes an invoice at the start of a deal and at the end of each billing cycle, where the next one
starts. What is due in advance stands on the invoice at the start of its cycle, what is due in arrears on the
one at its end; usage, overage and a minimum commitment are always in arrears (togai.md 4.4). Assumed, as
nothing is documented: a card without a timing is due in advance; what is due every n cycles in arrears comes
when the n are over; a plan that is bought once has no cycle to end, so all of it is asked for at once; an
invoice over nothing is not written.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from purchases.cards import METERED
from purchases.money import Money, total
from purchases.pricing.estimates import Estimate
from purchases.pricing.lines import Line
from purchases.pricing.rhythms import Rhythm


@dataclass(frozen=True)
class Charge:
    """A line on an invoice; the amount is None where the line is unknown."""

    line: Line
    amount: Money | None


@dataclass(frozen=True)
class FirstInvoice:
    """
    The first invoice of a deal.

    :ivar after: how many billing cycles are over when it comes; 0 is the start
    :ivar charges: what stands on it, in the order of the plan
    :ivar later: the lines that do not
    """

    currency: str
    after: int
    charges: tuple[Charge, ...]
    later: tuple[Line, ...]

    @property
    def amount(self) -> Money | None:
        """The sum of its rounded lines; None when one of them is unknown."""
        amounts = [charge.amount for charge in self.charges]
        if None in amounts:
            return None
        return total((amount for amount in amounts if amount is not None), self.currency)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the amount is not known, in words; empty when it is."""
        unknown = (charge.line for charge in self.charges if charge.amount is None)
        return tuple(f"{line.label}: {line.unknown_because}" for line in unknown)


def first_invoice(priced: Estimate) -> FirstInvoice | None:
    """
    Say what stands on a deal's first invoice.

    :returns: None where nothing is ever due: no lines, or none within the term. Where all that is due costs
        nothing, the invoice over nothing
    """
    if not priced.recurs:
        charges = tuple(Charge(line, line.amount) for line in priced.lines)
        return FirstInvoice(priced.currency, 0, charges, ()) if charges else None
    dues = [_Due.of(line) for line in priced.lines]
    firsts = [due for due in dues if priced.cycles is None or due.is_within(priced.cycles)]
    costing = [due for due in firsts if due.costs]
    after = min((due.first for due in costing or firsts), default=None)
    if after is None:
        return None
    charges = tuple(_charges(firsts, after))
    on_it = {id(charge.line) for charge in charges}
    later = tuple(line for line in priced.lines if id(line) not in on_it)
    return FirstInvoice(priced.currency, after, charges, later)


def in_arrears(line: Line) -> bool:
    """Whether a line of a recurring plan is due at the end of what it is for."""
    always = line.kind == "minimumCommitment" or (line.kind in METERED and line.kind != "licenseRateCards")
    return always or line.card.get("invoiceTiming") == "IN_ARREARS"


@dataclass(frozen=True)
class _Due:
    """On which invoices a line stands: the first one, and each `every` cycles after it (0: never again)."""

    line: Line
    first: int
    every: int

    @classmethod
    def of(cls, line: Line) -> "_Due":
        if line.per == "once":
            return cls(line, int(in_arrears(line)), 0)
        return cls(line, line.offset + (line.every if in_arrears(line) else 0), line.every)

    @property
    def costs(self) -> bool:
        """Whether there is money in it, as far as is known."""
        amount = self.line.amount
        return amount is None or bool(amount.amount) or self.line.varies

    def is_within(self, cycles: int) -> bool:
        """Whether it is due at all in a term of so many cycles."""
        return self.line.charges(cycles) > 0 and self.first <= max(cycles, int(not self.every))

    def is_on(self, after: int) -> bool:
        """Whether it stands on the invoice after so many cycles."""
        if not self.every:
            return after == self.first
        return Rhythm(self.every, self.first).is_due(after)


def _charges(dues: list[_Due], after: int) -> Iterator[Charge]:
    for due in dues:
        if not due.is_on(after):
            continue
        line = due.line
        if line.varies:
            # A commitment is compared with what was due in the cycle that is over.
            until, before = line.over(after), line.over(after - 1)
            yield Charge(line, until - before if until is not None and before is not None else None)
        else:
            yield Charge(line, line.amount)
