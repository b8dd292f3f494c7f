"""
Slabs out of a spreadsheet: text with a line per row and tabs or semicolons between cells.

A row is taken whole or not at all, and a table only when all its rows are: each message names its row.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from purchases.cards import MAX_SLABS
from purchases.price_form.cells import plain_problem

_TYPES = {"per unit": "PER_UNIT", "unit": "PER_UNIT", "package": "PACKAGE", "flat": "FLAT"}
_HEADINGS = (
    ("after", ("above", "after", "start", "from")),
    ("type", ("price type", "priced", "type")),
    ("package", ("package", "size")),
)
# A longer paste is no table of prices.
MOST_TEXT = 20_000


@dataclass
class Pasted:
    """
    What a text says: for each row the text of each part of a slab, as `Table.leaves` calls them.

    :ivar errors: what is wrong, "Row 3: …"; with any, `rows` are not to be taken
    """

    rows: list[dict[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def whole_table(text: str, rates: Sequence[str]) -> Pasted:
    """
    Read a whole table: above how many units, how priced, units per package, one rate per currency.

    How it is priced and the size of a package may be left out; a first row of headings may say which column
    is which.

    :param rates: the currencies in their order on the page
    """
    found = Pasted()
    lines = _cells(text, found)
    if not lines:
        return found
    headings = _headings(lines[0][1], rates)
    if headings is not None:
        number, cells = lines.pop(0)
        found.errors += [
            f"Row {number}: “{cell[:30]}” is no column of this table."
            for cell, part in zip(cells, headings, strict=True)
            if not part and cell
        ]
    for number, cells in lines:
        row, message = _row(cells, headings, rates)
        if message:
            found.errors.append(f"Row {number}: {message}")
        else:
            found.rows.append(row)
            found.errors += [f"Row {number}: {problem}" for problem in _row_problems(row)]
    if not found.errors:
        _judge_order(found, [number for number, _ in lines])
    return found


def width(text: str) -> int:
    """How many cells the widest row has."""
    return max((len(cells) for _, cells in _cells(text, Pasted())), default=0)


def block(text: str, columns: Sequence[str], most: int) -> Pasted:
    """
    Read a block of cells that goes where somebody pasted it: each cell belongs to the next column.

    :param columns: the parts of a slab from the column of the first cell on
    :param most: how many rows there is room for
    """
    found = Pasted()
    for number, cells in _cells(text, found):
        if len(cells) > len(columns):
            found.errors.append(
                f"Row {number}: {len(cells)} cells, but only {len(columns)} columns are left."
            )
            continue
        row = {part: _value(part, cell) for part, cell in zip(columns, cells, strict=False)}
        found.errors += [f"Row {number}: {problem}" for problem in _row_problems(row)]
        found.rows.append(row)
    if len(found.rows) > most:
        found.errors.append(f"Row {most + 1}: Togai takes at most {MAX_SLABS} slabs.")
    return found


def _cells(text: str, found: Pasted) -> list[tuple[int, list[str]]]:
    """The cells of each row with its number; empty rows are left out, but count."""
    if len(text) > MOST_TEXT:
        found.errors.append("That is too much text for a table of slabs.")
        return []
    gap = r"\t" if "\t" in text else ";" if ";" in text else r"[ \xa0]+"
    lines = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        whole = re.sub(r"(?i)per[ \xa0]unit", "PER_UNIT", line.strip(" \xa0"))
        cells = [cell.strip() for cell in re.split(gap, whole)]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            lines.append((number, cells))
    return lines


def _headings(cells: list[str], rates: Sequence[str]) -> list[str] | None:
    """Which part each column is, "" for one we do not know; None when the row holds no headings."""
    if cells[0] and not cells[0][:1].isalpha():
        return None
    parts = []
    for cell in cells:
        named = set(re.findall(r"[A-Z]{3}", cell.upper()))
        part = next((f"rate {currency}" for currency in rates if currency in named), "")
        for name, words in _HEADINGS:
            if not part and any(word in cell.lower() for word in words):
                part = name
        if not part and "rate" in cell.lower() and len(rates) == 1:
            part = f"rate {rates[0]}"
        parts.append("" if part in parts else part)
    return parts


def _row(cells: list[str], headings: list[str] | None, rates: Sequence[str]) -> tuple[dict[str, str], str]:
    if headings is not None:
        if len(cells) > len(headings):
            return {}, "it has more cells than there are headings."
        row = {part: _value(part, cell) for part, cell in zip(headings, cells, strict=False) if part and cell}
    else:
        row, rest = {"after": cells[0]}, cells[1:]
        if rest and _value("type", rest[0]) in _TYPES.values():
            row["type"] = _value("type", rest.pop(0))
        if row.get("type") == "PACKAGE" or len(rest) > len(rates):
            row["package"] = rest.pop(0) if rest else ""
        if len(rest) != len(rates):
            wanted = ", ".join(rates)
            return {}, f"expected one rate in each of {wanted}, found {len(rest)}."
        row |= {f"rate {currency}": rate for currency, rate in zip(rates, rest, strict=True)}
    row.setdefault("type", "PACKAGE" if row.get("package") else "PER_UNIT")
    missing = [
        f"the rate in {currency} is missing."
        for currency in rates
        if headings is not None and f"rate {currency}" in headings and not row.get(f"rate {currency}")
    ]
    return row, missing[0] if missing else ""


def _value(part: str, cell: str) -> str:
    if part == "type":
        said = " ".join(cell.lower().replace("_", " ").replace("-", " ").split())
        return _TYPES.get(said, cell)
    return cell


def _row_problems(row: dict[str, str]) -> list[str]:
    problems = []
    for part, text in row.items():
        if part == "type":
            if text not in _TYPES.values():
                problems.append(f"“{text[:30]}” is no way to price: per unit, package or flat.")
        elif text:
            message = plain_problem(text)
            if message:
                problems.append(f"“{text[:30]}” cannot be read. {message}")
    return problems


def _judge_order(found: Pasted, numbers: list[int]) -> None:
    """Slabs start at 0 and rise, as Togai would have them; and there are not too many (togai.md 4.3)."""
    before: Decimal | None = None
    for number, row in zip(numbers, found.rows, strict=True):
        text = row.get("after", "")
        if not text:
            found.errors.append(f"Row {number}: above how many units does it start?")
            continue
        start = Decimal(text)
        if before is None and start:
            found.errors.append(f"Row {number}: the first slab starts at 0.")
        elif before is not None and start <= before:
            found.errors.append(
                f"Row {number}: it starts at {text}, which is not above the {before:f} before it."
            )
        before = start
        if row["type"] == "PACKAGE" and not row.get("package"):
            found.errors.append(f"Row {number}: say how many units a package holds.")
    if len(found.rows) > MAX_SLABS:
        found.errors.append(f"Row {numbers[MAX_SLABS]}: Togai takes at most {MAX_SLABS} slabs.")
