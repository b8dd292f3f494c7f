"""What the buttons at slabs and windows do: add, remove, move, and take rows of a spreadsheet over."""

from purchases import durations
from purchases.money import number
from purchases.price_form import spreadsheet
from purchases.price_form.card import CardForm
from purchases.price_form.cells import name_of, plain_problem
from purchases.price_form.tables import Lines, Table


def add(card: CardForm, lines: Lines) -> None:
    """Add a slab that is priced like the last one and asks where it starts, or a window that follows on."""
    last = card.counts[lines.path]
    if last >= lines.most:
        return
    new = card.row_texts(lines, last) if last else {}
    if isinstance(lines, Table):
        new |= {"after": "" if last else "0", "type": new.get("type") or "PER_UNIT"}
    else:
        opens, closes = new.get("opens", ""), new.get("closes", "")
        new |= {"opens": closes, "closes": _following(opens, closes)}
    card.write_row(lines, last + 1, new)
    card.counts[lines.path] = last + 1
    card.judge()


def remove(card: CardForm, lines: Lines, order: int) -> None:
    """Take a slab or window out, but never the last; later ones move up, and the first slab starts at 0."""
    last = card.counts[lines.path]
    if not 1 <= order <= last or last == 1:
        return
    for place in range(order, last):
        card.write_row(lines, place, card.row_texts(lines, place + 1))
    card.shorten(lines, last - 1)
    if order == 1 and isinstance(lines, Table):
        card.write_row(lines, 1, {"after": "0"})
    card.judge()


def move(card: CardForm, lines: Lines, order: int, to: int) -> None:
    """
    Let two rows change places.

    Where slabs start in rising order those starts stay, so that prices move and the table stays a table;
    starts out of order move along, which is how one puts them in order.
    """
    last = card.counts[lines.path]
    if not (1 <= order <= last and 1 <= to <= last):
        return
    low, high = sorted((order, to))
    upper, lower = card.row_texts(lines, low), card.row_texts(lines, high)
    if isinstance(lines, Table) and _rises(upper["after"], lower["after"]):
        upper["after"], lower["after"] = lower["after"], upper["after"]
    card.write_row(lines, low, lower)
    card.write_row(lines, high, upper)
    card.judge()


def paste(card: CardForm, table: Table, anchor: str) -> None:
    """
    Take the rows in the box of a table over: as the whole table, or from the cell that is named `anchor` on.

    Nothing is taken while a row is wrong; the messages then stand at the box.
    """
    key = card.lines_key(table)
    text, _ = card.pastes.get(key, ("", []))
    start, columns = _from_cell(card, table, anchor)
    if start == 1 and columns[:1] == ["after"] and spreadsheet.width(text) > 1:
        # Pasted into the first cell of all, a table may leave out columns.
        columns = []
    if columns:
        found = spreadsheet.block(text, columns, table.most - start + 1)
    else:
        found = spreadsheet.whole_table(text, table.rates)
    if found.errors or not found.rows:
        card.pastes[key] = text, found.errors or ["There is no row in the box."]
        card.judge()
        return
    last, count = card.counts[table.path], start + len(found.rows) - 1
    for order in range(last + 1, count + 1):
        card.write_row(table, order, dict.fromkeys(table.leaves(order), "") | {"type": "PER_UNIT"})
    card.counts[table.path] = max(last, count)
    if not columns:
        card.shorten(table, count)
    for order, row in enumerate(found.rows, start=start):
        # The size of a package that a whole table leaves out is none.
        card.write_row(table, order, row if columns else {"package": ""} | row)
    del card.pastes[key]
    card.judge()


def _from_cell(card: CardForm, table: Table, anchor: str) -> tuple[int, list[str]]:
    """The row of the cell of a name and the columns from it on; (1, []) when the table has no such cell."""
    grid = next((grid for grid in card.page.grids if grid.key == card.lines_key(table)), None)
    shown = ["after", "type", *(["package"] if grid and grid.packages else [])]
    shown += [f"rate {currency}" for currency in table.rates]
    for order in range(1, card.counts[table.path] + 1):
        leaves = table.leaves(order)
        for place, part in enumerate(shown):
            if name_of((*card.path, *leaves[part].path)) == anchor:
                return order, shown[place:]
    return 1, []


def _following(opens: str, closes: str) -> str:
    """Where a window ends that follows another one and is as long, as a field shows it; "" when unclear."""
    try:
        start, end = durations.iso(opens or "PT0S"), durations.iso(closes)
    except ValueError:
        return ""
    return durations.as_typed(durations.twice_as_far(start, end))


def _rises(one: str, other: str) -> bool:
    """Whether one start can be read and lies before the other."""
    texts = one.strip(), other.strip()
    if any(plain_problem(text) for text in texts):
        return False
    return number(texts[0]) < number(texts[1])
