"""
What one priced side costs beside another, in money: line by line and slab by slab.

Pure: two `pricing.Estimate`s in, rows with their words out. The sides are a plan and what was made of it, or
two revisions of a deal; swap them, and every difference changes its sign.

Amounts are rounded once, per line, each time it is due. The parts of a line are exact, and where they are not
whole minor units, a part of its own says how much rounding added: the parts of a line add up to the line, and
the lines to the totals, to the last digit. What cannot be known is None, with its reason.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from purchases import figures
from purchases.cards import CARDS, CYCLES, KIND_NAMES
from purchases.changes import band, line_name
from purchases.money import EXACT, CurrencyMismatch, Money
from purchases.pricing import (
    Estimate,
    FirstInvoice,
    Line,
    LineComparison,
    Slab,
    Table,
    Unpriceable,
    compare,
    first_invoice,
    price_slabs,
    price_units,
    table_of,
)
from purchases.pricing.rhythms import due_together
from togai.strict_json import plain

_MOVES = {"higher": "dearer", "lower": "cheaper", "same": "same"}
_NOTHING = Decimal(0)
_APART = "due at other times"

# Where a part stands in its line: slabs in their order, each before its own limit, then what is about all.
_Place = tuple[int, int, int]
_CARD_LIMIT = (1, 0, 0)
_COMMITTED, _REACHED, _BEYOND = (2, 0, 0), (2, 1, 0), (2, 2, 0)
_ROUNDING = (9, 0, 0)
_WORDS = {
    _CARD_LIMIT: "Limit of the card",
    _COMMITTED: "Committed",
    _REACHED: "Reached by the cards",
    _BEYOND: "Beyond the commitment, not paid back",
    _ROUNDING: "Rounding, once for the line",
}


@dataclass(frozen=True)
class Both:
    """
    The same amount on both sides; None is unknown.

    :ivar apart_because: why two amounts that are known do not compare
    """

    left: Decimal | None
    right: Decimal | None
    apart_because: str = ""

    @property
    def difference(self) -> Decimal | None:
        """Right minus left; None where one of them is unknown, or the two do not compare."""
        if self.left is None or self.right is None or self.apart_because:
            return None
        return EXACT.subtract(self.right, self.left)

    @property
    def kind(self) -> str:
        """How the right side stands beside the left one: dearer, cheaper, same; "" is unknown."""
        return _MOVES.get(self._change[0], "")

    @property
    def text(self) -> str:
        """The difference as a share of the left side; "" where that makes no sense."""
        return self._change[1]

    @property
    def _change(self) -> tuple[str, str]:
        if self.difference is None:
            return "", ""
        kind, text = figures.change(self.left, self.right)
        return kind, text


@dataclass(frozen=True)
class Cell:
    """
    One side of a part.

    :ivar amount: exact, each time it is due; `term` over the whole term; None is unknown
    :ivar units: what is priced there; None is unknown, or there is nothing to count
    :ivar rate: of one unit, one package or the whole, as `priced` says
    :ivar formula: how the amount comes about, where units and rate do not say it
    """

    amount: Decimal | None
    term: Decimal | None
    units: Decimal | None = None
    rate: Decimal | None = None
    priced: str = ""
    band: str = ""
    formula: str = ""


@dataclass(frozen=True)
class Part:
    """
    A slab, a limit, a step of the commitment, or what rounding added to a line.

    :ivar left: None where that side has no such part; then it adds nothing there
    """

    place: _Place
    words: str
    left: Cell | None
    right: Cell | None
    period: Both
    term: Both

    @property
    def bands(self) -> tuple[str, ...]:
        """The units that the slab holds, once where both sides say the same."""
        cells = (cell.band for cell in (self.left, self.right) if cell is not None)
        return tuple(dict.fromkeys(words for words in cells if words))

    @property
    def is_same(self) -> bool:
        """Whether both sides say the same here."""
        return self.left == self.right


@dataclass(frozen=True)
class LineDiff:
    """
    One card on both sides.

    :ivar change: "same", "changed", "added" or "removed", from left to right
    :ivar due: how often, on either side; one text where both say the same
    :ivar period: each time it is due; `first` on the first invoice, where there is more than one
    :ivar unknown_because: why an amount is unknown, in words
    """

    kind: str
    billable_id: str
    label: str
    change: str
    due: tuple[str, ...]
    quantities: tuple[Decimal | None, ...]
    period: Both
    term: Both
    first: Both | None
    parts: tuple[Part, ...]
    unknown_because: tuple[str, ...]

    @property
    def line(self) -> str:
        """The name of this line of the terms, for notes that are pinned to it."""
        return line_name(self.kind, self.billable_id)

    @property
    def kind_name(self) -> str:
        """What people call this kind of card."""
        return KIND_NAMES.get(self.kind, "Wallet")

    @property
    def move(self) -> Both:
        """Where one sees how it moved: each time it is due, or over the term where that does not compare."""
        return self.term if self.period.apart_because else self.period

    @property
    def stands_still(self) -> bool:
        """Whether both sides say the same of its money: what is due, when, and how it comes about."""
        amounts = [self.period, self.term, *([] if self.first is None else [self.first])]
        alike = all(both.left == both.right and not both.apart_because for both in amounts)
        told = len(self.due) == 1 and len(self.quantities) == 1
        # What a commitment is held against moves with the other lines, which say so themselves.
        own = (part for part in self.parts if part.place not in (_REACHED, _BEYOND))
        return alike and told and all(part.is_same for part in own)

    @property
    def has_story(self) -> bool:
        """Whether its parts tell more than the line does: not for a single fee."""
        cells = [cell for part in self.parts for cell in (part.left, part.right) if cell is not None]
        return len(self.parts) > 1 or any(cell.units != 1 for cell in cells)


@dataclass(frozen=True)
class Total:
    """A sum of lines in words."""

    words: str
    amount: Both


@dataclass(frozen=True)
class MoneyDiff:
    """
    Two priced sides, line by line, with their sums.

    :ivar has_term: whether there is a term with an end on either side, over which lines are summed
    :ivar reasons: why something is unknown
    """

    currency: str
    lines: tuple[LineDiff, ...]
    totals: tuple[Total, ...]
    has_term: bool
    reasons: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Whether nothing differs in money: neither an amount nor how it comes about."""
        return all(line.change == "same" for line in self.lines) and all(
            total.amount.kind == "same" for total in self.totals
        )

    @property
    def rounds(self) -> bool:
        """Whether rounding added anything to a line."""
        return any(part.place == _ROUNDING for line in self.lines for part in line.parts)


def between(left: Estimate, right: Estimate) -> MoneyDiff:
    """
    Put two priced sides beside each other.

    :raises purchases.money.CurrencyMismatch: for sides in two currencies, which are never put together
    """
    if left.currency != right.currency:
        raise CurrencyMismatch(
            f"One side is in {left.currency}, the other in {right.currency}: "
            "amounts in two currencies are not compared."
        )
    firsts = first_invoice(left), first_invoice(right)
    lines = tuple(
        _line(pair, (pair.plan, left), (pair.proposal, right), firsts) for pair in compare(left, right).lines
    )
    return MoneyDiff(
        currency=left.currency,
        lines=lines,
        totals=tuple(_totals(left, right, firsts)),
        has_term=left.cycles is not None or right.cycles is not None,
        reasons=tuple(dict.fromkeys((*left.reasons, *right.reasons))),
    )


_Sided = tuple[Line | None, Estimate]
_Firsts = tuple[FirstInvoice | None, FirstInvoice | None]


def _line(pair: LineComparison, left: _Sided, right: _Sided, firsts: _Firsts) -> LineDiff:
    sides = [line for line, _ in (left, right) if line is not None]
    apart = _apart(left, right)
    line = LineDiff(
        kind=pair.kind,
        billable_id=pair.billable_id,
        label=pair.label,
        # What a card says beside its money (a name, a day) is for others to compare.
        change=pair.change if pair.change in ("added", "removed") else "changed",
        due=tuple(dict.fromkeys(_rhythm(line, side) for line, side in (left, right) if line is not None)),
        quantities=tuple(dict.fromkeys(line.quantity for line in sides)),
        period=Both(_period(left[0]), _period(right[0]), apart),
        term=Both(_term(*left), _term(*right)),
        first=_first_of(left, right, firsts),
        parts=tuple(_parts(left, right, apart)),
        unknown_because=tuple(dict.fromkeys(line.unknown_because for line in sides if line.amount is None)),
    )
    return replace(line, change="same") if line.change == "changed" and line.stands_still else line


def _apart(left: _Sided, right: _Sided) -> str:
    """Why amounts of both sides do not compare one by one: they are due at different times."""
    (old, before), (new, after) = left, right
    if old is None or new is None:
        return ""
    if (old.per, old.every, old.offset) != (new.per, new.every, new.offset):
        return _APART
    if old.per == "cycle" and before.interval != after.interval:
        return _APART
    return ""


def _period(line: Line | None) -> Decimal | None:
    if line is None:
        return _NOTHING
    return None if line.amount is None else line.amount.amount


def _term(line: Line | None, side: Estimate) -> Decimal | None:
    """What a line comes to over the term; a card that is not there costs nothing."""
    if line is None:
        return _NOTHING
    if line.per == "cycle" and side.cycles is None:
        return None
    amount = line.over(side.cycles or 0)
    return None if amount is None else amount.amount


def _first_of(left: _Sided, right: _Sided, firsts: _Firsts) -> Both | None:
    if not left[1].recurs and not right[1].recurs:
        return None
    return Both(
        _charged(left[0], firsts[0]), _charged(right[0], firsts[1]), _firsts_apart(left[1], right[1], firsts)
    )


def _charged(line: Line | None, invoice: FirstInvoice | None) -> Decimal | None:
    """What a line puts on the first invoice: nothing, when it stands on a later one."""
    for charge in invoice.charges if invoice else ():
        if charge.line is line:
            return None if charge.amount is None else charge.amount.amount
    return _NOTHING


def _firsts_apart(left: Estimate, right: Estimate, firsts: _Firsts) -> str:
    """Why two first invoices do not compare: they are written at different times."""
    one, other = firsts
    if one is None or other is None:
        return ""
    together = one.after == other.after and (not one.after or left.interval == right.interval)
    return "" if together else _APART


def _rhythm(line: Line, side: Estimate) -> str:
    one, many = CYCLES.get(side.interval or "", ("cycle", "cycles"))
    if line.per == "once":
        return "once"
    words = f"each {one}" if line.every == 1 else f"every {line.every} {many}"
    if not line.offset:
        return words
    return f"{words}, the first after {line.offset} {one if line.offset == 1 else many}"


# --- the parts of a line ---


def _parts(left: _Sided, right: _Sided, apart: str) -> Iterator[Part]:
    old, new = dict(_cells(*left)), dict(_cells(*right))
    for place in sorted(old.keys() | new.keys()):
        before, after = old.get(place), new.get(place)
        yield Part(
            place=place,
            words=_name(place),
            left=before,
            right=after,
            period=Both(
                before.amount if before else _absent(_period(left[0])),
                after.amount if after else _absent(_period(right[0])),
                apart,
            ),
            term=Both(
                before.term if before else _absent(_term(*left)),
                after.term if after else _absent(_term(*right)),
            ),
        )


def _absent(amount: Decimal | None) -> Decimal | None:
    """What a part that is not there adds to a line: nothing, unless the line itself is unknown."""
    return None if amount is None else _NOTHING


def _name(place: _Place) -> str:
    if place in _WORDS:
        return _WORDS[place]
    _, order, limit = place
    return f"Limit of slab {order}" if limit else f"Slab {order}" if order else "Rate"


def _cells(line: Line | None, side: Estimate) -> Iterator[tuple[_Place, Cell]]:
    """The parts of one side of a line, and last what rounding added."""
    if line is None:
        return
    period, term = _period(line), _term(line, side)
    try:
        if line.kind == "minimumCommitment":
            cells = list(_commitment(line, side))
        elif line.kind == "fixedFeeRateCards":
            cells = [((0, 0, 0), _fee(line, side))]
        elif line.kind in CARDS:
            cells = list(_slabs(line, side))
        else:
            return
    except Unpriceable:
        # The line says why.
        return
    yield from cells
    if period is None:
        return
    rounding = Cell(
        EXACT.subtract(period, _sum(cell.amount for _, cell in cells)),
        None if term is None else EXACT.subtract(term, _sum(cell.term for _, cell in cells)),
    )
    if rounding.amount or rounding.term:
        yield _ROUNDING, rounding


def _sum(amounts: Iterable[Decimal | None]) -> Decimal:
    result = _NOTHING
    for amount in amounts:
        result = EXACT.add(result, amount or _NOTHING)
    return result


def _fee(line: Line, side: Estimate) -> Cell:
    rate = price_units(line.kind, line.card, Decimal(1), currency=side.currency).amount
    cell = Cell(None, None, rate=rate, priced="each")
    if line.amount is None or line.quantity is None:
        return cell
    return _due(cell, EXACT.multiply(line.quantity, rate), line, side, units=line.quantity)


def _slabs(line: Line, side: Estimate) -> Iterator[tuple[_Place, Cell]]:
    table = table_of(line.kind, line.card, currency=side.currency, interval=side.interval)
    blank = [
        Cell(None, None, rate=slab.rate, priced=_priced(slab), band=band(slab.start_after, end))
        for slab, end in zip(
            table.slabs, [*(slab.start_after for slab in table.slabs[1:]), None], strict=True
        )
    ]
    if line.amount is None or line.quantity is None:
        yield from (((0, order, 0), cell) for order, cell in enumerate(blank, start=1))
        return
    free = [replace(slab, minimum=None, maximum=None) for slab in table.slabs]
    bare = {part.order: part for part in price_slabs(table.model, free, line.quantity).parts}
    held = {part.order: part.amount for part in line.parts}
    for order, cell in enumerate(blank, start=1):
        if order not in bare:
            yield (0, order, 0), _due(cell, _NOTHING, line, side, units=_NOTHING)
            continue
        part, amount = bare[order], _windows(bare[order].amount, table)
        told = table.windows == 1 and table.slabs[order - 1].price_type != "PACKAGE"
        formula = "" if told else _in_windows(part.formula, table)
        yield (0, order, 0), _due(cell, amount, line, side, units=part.units, formula=formula)
        if held[order] != part.amount:
            yield (0, order, 1), _limit(part.amount, held[order], table, line, side)
    before = _sum(held.values())
    limits = {"minimum": table.minimum, "maximum": table.maximum}
    after = price_slabs(table.model, table.slabs, line.quantity, **limits).amount
    if before != after:
        yield _CARD_LIMIT, _limit(before, after, table, line, side)


def _limit(before: Decimal, after: Decimal, table: Table, line: Line, side: Estimate) -> Cell:
    word = "least" if after > before else "most"
    amount = _windows(EXACT.subtract(after, before), table)
    return _due(Cell(None, None), amount, line, side, formula=_in_windows(f"at {word} {plain(after)}", table))


def _windows(amount: Decimal, table: Table) -> Decimal:
    return EXACT.multiply(amount, Decimal(table.windows))


def _in_windows(formula: str, table: Table) -> str:
    return formula if table.windows == 1 else f"{table.windows} × ({formula})"


def _priced(slab: Slab) -> str:
    match slab.price_type:
        case "PER_UNIT":
            return "per unit"
        case "FLAT":
            return "flat"
    return figures.grouped(f"per package of {plain(slab.package_size or _NOTHING)}")


def _due(
    cell: Cell,
    amount: Decimal,
    line: Line,
    side: Estimate,
    *,
    units: Decimal | None = None,
    formula: str = "",
) -> Cell:
    """A part with its amount, which is due as often as its line."""
    times = None if line.per == "cycle" and side.cycles is None else line.charges(side.cycles or 0)
    term = None if times is None else EXACT.multiply(amount, Decimal(times))
    return replace(cell, amount=amount, term=term, units=units, formula=figures.grouped(formula))


def _commitment(line: Line, side: Estimate) -> Iterator[tuple[_Place, Cell]]:
    """max(0, committed − reached), step by step: in a cycle in which all cards are due, and over the term."""
    committed = line.quantity
    if committed is None:
        return
    if line.amount is None:
        yield _COMMITTED, Cell(None, None, rate=committed)
        return
    period = _steps(committed, line.beside)
    terms: list[Decimal | None] = [None] * len(period)
    if side.cycles is not None:
        terms = [_NOTHING] * len(period)
        for times, due in _cycles(line, side.cycles):
            steps = _steps(committed, due)
            terms = [
                EXACT.add(before or _NOTHING, EXACT.multiply(step, Decimal(times)))
                for before, step in zip(terms, steps, strict=True)
            ]
    for place, amount, term in zip((_COMMITTED, _REACHED, _BEYOND), period, terms, strict=True):
        if place == _COMMITTED:
            yield place, Cell(amount, term, rate=committed)
        elif amount or term:
            yield place, Cell(amount, term)


def _steps(committed: Decimal, due: Sequence[Line]) -> tuple[Decimal, Decimal, Decimal]:
    reached = _sum(line.amount.amount for line in due if line.amount is not None)
    beyond = max(_NOTHING, EXACT.subtract(reached, committed))
    return committed, EXACT.minus(reached), beyond


def _cycles(line: Line, cycles: int) -> Iterator[tuple[int, Sequence[Line]]]:
    """The cycles of a term: how many there are of each kind, and the cards that are due in it."""
    for due, times in due_together({other.rhythm for other in line.beside}, cycles).items():
        yield times, [other for other in line.beside if other.rhythm in due]


# --- the sums ---


def _totals(left: Estimate, right: Estimate, firsts: _Firsts) -> Iterator[Total]:
    if not left.recurs and not right.recurs:
        yield Total("In all, once", _sums(left.term_total, right.term_total))
        return
    one, other = (Money.zero(left.currency) if invoice is None else invoice.amount for invoice in firsts)
    yield Total("First invoice", _sums(one, other, _firsts_apart(left, right, firsts)))
    if any(line.per == "once" for line in (*left.lines, *right.lines)):
        yield Total("Once", _sums(left.once, right.once))
    intervals = tuple(dict.fromkeys(_cycle(side) for side in (left, right) if side.recurs))
    apart = _APART if len(intervals) > 1 else ""
    yield Total(f"Each {', then each '.join(intervals)}", _sums(left.per_cycle, right.per_cycle, apart))
    terms = tuple(dict.fromkeys(_span(side) for side in (left, right) if side.cycles is not None))
    if terms:
        yield Total(f"Over {', then over '.join(terms)}", _sums(left.term_total, right.term_total))


def _sums(left: Money | None, right: Money | None, apart: str = "") -> Both:
    return Both(None if left is None else left.amount, None if right is None else right.amount, apart)


def _cycle(side: Estimate) -> str:
    return CYCLES.get(side.interval or "", ("cycle", ""))[0]


def _span(side: Estimate) -> str:
    one, many = CYCLES.get(side.interval or "", ("cycle", "cycles"))
    return f"{side.cycles} {one if side.cycles == 1 else many}"
