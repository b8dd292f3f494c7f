"""
How the figures of a deal come about, in words: what is asked for first, in each cycle and over the term.

Read-only; the amounts are `pricing`'s. A figure is a sum of rounded lines, and each line opens its formula.
"""

from dataclasses import dataclass

from purchases import figures, pricing
from purchases import terms as domain
from purchases.summaries import CYCLES, Beside


@dataclass(frozen=True)
class Part:
    """
    What one line adds to a figure.

    :ivar amount: a Decimal; None where `unknown_because` says why
    :ivar working: where it comes from: "1,000 × 0.2 + 4,000 × 0.15 = 800.00"
    :ivar plan: the plan's working and amount where they differ, in words
    """

    label: str
    amount: object
    working: str
    plan: str = ""
    unknown_because: str = ""


@dataclass(frozen=True)
class Figure:
    """
    One of the three figures: the plan's and ours, and the lines that ours is the sum of.

    :ivar name: `first`, `cycle` or `term`, for the page's own use
    :ivar note: when it is due, or why there is none
    :ivar is_none: there is no such figure, which is something else than an unknown one
    :ivar plan_note: what makes the plan's figure another kind of figure, so that no difference is shown
    """

    name: str
    money: Beside
    note: str
    parts: tuple = ()
    reasons: tuple = ()
    is_none: bool = False
    plan_note: str = ""

    @property
    def is_plain(self):
        """Whether there is nothing to open."""
        return not self.parts and not self.reasons

    @property
    def is_sum(self):
        """Whether it adds up several lines, each rounded by itself (G-14)."""
        return len(self.parts) > 1


@dataclass(frozen=True)
class Workings:
    """
    The figures of a deal, and what it gives away.

    :ivar highest_on: the line that `highest` is of
    :ivar highest: the highest discount of a line, in words, None for unknown; `blended` that of the whole
    """

    currency: str
    figures: tuple
    highest: str | None
    highest_on: str
    blended: str | None
    reasons: tuple


def workings(deal, quote):
    """
    What the figures of a deal are made of.

    :param quote: what `quotes.quote` said of it; None while too little is known
    :returns: None then
    """
    if quote is None:
        return None
    found = quote.comparison
    return Workings(
        currency=quote.proposal.currency,
        figures=(_first(deal, quote), _each_cycle(quote), _term(quote)),
        highest=_given(found.highest_discount),
        highest_on=_highest_on(found),
        blended=_given(found.blended_discount),
        reasons=found.unknown_because,
    )


def _given(discount):
    if discount is None:
        return None
    return figures.discount(discount) if discount >= 0 else f"{figures.discount(-discount)} above the list"


def _highest_on(comparison):
    if not comparison.highest_discount:
        return ""
    return next(line.label for line in comparison.lines if line.discount == comparison.highest_discount)


# --- The three figures ---


def _first(deal, quote):
    ours, plans = pricing.first_invoice(quote.proposal), pricing.first_invoice(quote.plan)
    words = "First invoice"
    if ours is None:
        money = Beside.of(words, plans and plans.amount, None)
        return Figure("first", money, "Nothing is ever due.", is_none=True)
    same_time = plans is None or plans.after == ours.after
    money = Beside.of(words, plans.amount if plans and same_time else None, ours.amount)
    plan_note = ""
    if not same_time:
        plan_note = f"{_shown(plans.amount)} {_moment(quote.plan, plans.after)}"
    there = None
    if plans and same_time and quote.is_changed:
        there = {_name(other.line): _working(other.line, other.amount) for other in plans.charges}
    parts = tuple(
        _part(charge.line, charge.amount, _working(charge.line, charge.amount), there)
        for charge in ours.charges
    )
    when = _when(deal, quote.proposal, ours.after)
    return Figure("first", money, when, parts, ours.reasons, plan_note=plan_note)


def _each_cycle(quote):
    ours = quote.proposal
    if not ours.recurs:
        return Figure(
            "cycle", Beside.of("Each cycle", None, None), "It is bought once: nothing recurs.", is_none=True
        )
    lines = [line for line in ours.lines if line.per == "cycle"]
    side = quote.comparison.per_cycle
    same = quote.plan.interval == ours.interval
    one = CYCLES.get(ours.interval, ("cycle", ""))[0]
    money = Beside.of(f"Each {one}", side.plan if same else None, side.proposal)
    plan_note = (
        "" if same else f"{_shown(side.plan)} each {CYCLES.get(quote.plan.interval, ('cycle', ''))[0]}"
    )
    if not lines:
        return Figure("cycle", money, "Nothing recurs.", plan_note=plan_note)
    there = None
    if same and quote.is_changed:
        there = {_name(line): _working(line, line.amount) for line in quote.plan.lines if line.per == "cycle"}
    parts = tuple(_part(line, line.amount, _working(line, line.amount), there) for line in lines)
    now_and_then = any(line.rhythm != pricing.Rhythm() for line in lines)
    note = f"A {one} in which everything is due; some lines are not due in each." if now_and_then else ""
    return Figure("cycle", money, note, parts, _reasons(lines), plan_note=plan_note)


def _term(quote):
    ours = quote.proposal
    side = quote.comparison.term_total
    if not ours.recurs:
        words, note = "In all", "once"
    elif ours.cycles is None:
        return Figure("term", Beside.of("Full term", None, None), ours.open_because, reasons=ours.reasons)
    else:
        one, many = CYCLES.get(ours.interval, ("cycle", "cycles"))
        words, note = "Full term", f"{ours.cycles} {one if ours.cycles == 1 else many}"
    there = None
    if quote.is_changed:
        there = {_name(line): _working_over(line, quote.plan) for line in quote.plan.lines}
    parts = tuple(
        _part(line, line.over(ours.cycles or 0), _working_over(line, ours), there) for line in ours.lines
    )
    return Figure("term", Beside.of(words, side.plan, side.proposal), note, parts, ours.reasons)


# --- When ---


def _when(deal, estimate, after):
    """When an invoice comes that is written after so many cycles."""
    prepaid = getattr(deal, "payment_mode", "") == domain.PaymentMode.PREPAID
    if not estimate.recurs:
        if prepaid:
            return "as an order: it takes effect once that is paid"
        return "once it is approved" if hasattr(deal, "payment_mode") else "once it is released"
    if not after:
        day = f"on {deal.effective_from:%-d %b %Y}" if deal.effective_from else ""
        if prepaid:
            return f"as an order, before it starts {day}".strip()
        return f"{day}, when it starts" if day else "when it starts"
    ends = None
    if estimate.interval and deal.effective_from:
        ends = pricing.start_of_cycle(estimate.interval, deal.effective_from, after)
    about = f", about {ends:%-d %b %Y}" if ends else ""
    return f"{_moment(estimate, after)}{about}; nothing is due at the start"


def _moment(estimate, after):
    one, many = CYCLES.get(estimate.interval, ("cycle", "cycles"))
    if not after:
        return "at the start"
    return f"after the first {one}" if after == 1 else f"after {after} {many}"


# --- Lines ---


def _part(line, money, working, plans):
    """
    One line of a figure.

    :param plans: the workings of the plan's lines by name; None where they are not another's
    """
    before = ""
    if plans is not None:
        plan = plans.get(_name(line))
        before = (
            "not in the plan" if plan is None else "" if plan == working else f"plan: {plan or 'unknown'}"
        )
    return Part(line.label, money and money.amount, working, before, line.unknown_because)


def _working(line, money):
    """The formula of a line once: "1,000 × 0.2 = 200.00", and how it was rounded."""
    if money is None:
        return ""
    if line.varies:
        return f"what is missing to {_number(line.quantity)} in that cycle: {_shown(money)}"
    formula = figures.grouped(line.formula)
    if line.exact is None or line.exact == money.amount:
        # A single fee is its own formula.
        return formula if formula == _number(money.amount) else f"{formula} = {_shown(money)}"
    exact = _number(line.exact)
    whole = formula if formula == exact else f"{formula} = {exact}"
    return f"{whole}, rounded half up to {_shown(money)}"


def _working_over(line, estimate):
    """The formula of a line over a term: once, or so many times what it is in a cycle."""
    if line.amount is None:
        return ""
    if line.varies:
        parts = [f"{times} × {_shown(amount)}" for amount, times in line.true_ups(estimate.cycles or 0)]
        return f"{' + '.join(parts) or 'never due'} = {_shown(line.over(estimate.cycles or 0))}"
    if line.per == "once":
        return _working(line, line.amount)
    times = line.charges(estimate.cycles or 0)
    return f"{times} × {_shown(line.amount)} = {_shown(line.over(estimate.cycles or 0))}"


def _name(line):
    return line.kind, line.billable_id


def _reasons(lines):
    return tuple(f"{line.label}: {line.unknown_because}" for line in lines if line.amount is None)


def _shown(money):
    return "unknown" if money is None else figures.amount(money.amount, money.currency)


def _number(value):
    return figures.count(value)
