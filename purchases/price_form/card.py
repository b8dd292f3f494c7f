"""One card of the price editor: its texts, and the card that the texts make."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from purchases.cards import KIND_NAMES
from purchases.price_form.cells import Cell, Leaf, Path, at, key_of, name_of, paths, read, words, written
from purchases.price_form.leaves import ANNIVERSARY, ONE_OF, SINGLES, has_slabs, prices_path, single_leaves
from purchases.price_form.page import CardPage
from purchases.price_form.summary import summary
from purchases.price_form.tables import Lines, Table, Windows, in_order, row_count
from purchases.price_form.value import made

_UNKNOWN = object()


class CardForm:
    """
    One card of the plan, or of the deal alone: its texts, and the card they make.

    :param base: the plan's card in keyed form, None where the plan has none
    :param current: the deal's card, None where it takes the plan's out
    :param wanted: currencies that it shows cells for, whether it has prices in them or not
    :ivar is_open: whether it has inputs on the page; a closed card is as it was
    :ivar is_removed: whether the deal goes without it
    :ivar is_odd: whether its slabs are numbered in a way that this form cannot draw; it stays as it is
    :ivar from_plan: whether all that is not typed is the plan's, whatever is stored
    :ivar shows_limits: whether its minimum and maximum rates are in sight although none is set
    :ivar pastes: by table, rows of a spreadsheet that nobody has taken yet and what is wrong with them
    """

    def __init__(
        self,
        kind: str,
        billable_id: str,
        *,
        base: Any,
        current: Any,
        currency: str,
        wanted: Collection[str] = (),
    ) -> None:
        self.kind, self.billable_id = kind, billable_id
        self.path: Path = (kind, billable_id) if billable_id else (kind,)
        self.key = key_of(self.path)
        self.base, self.current = base, current
        self.currency = currency
        self.texts: dict[Path, str] = {}
        self.counts: dict[Path, int] = {}
        self.pastes: dict[str, tuple[str, list[str]]] = {}
        self.from_plan = self.shows_limits = self.is_open = False
        self.is_removed = current is None
        self.errors: list[str] = []
        self.cell_errors: dict[Path, list[str]] = {}
        self.lay_out(wanted)
        self.is_odd = not all(in_order(card, table) for card in (base, current) for table in self.tables)
        if current != base:
            self.open()

    # --- What people see of it ---

    @property
    def id(self) -> str:
        """The id of its section on the page."""
        return f"card_{self.key}"

    @property
    def label(self) -> str:
        """Its name."""
        card = self.current if self.current is not None else self.base
        shown = card if isinstance(card, Mapping) else {}
        typed = self.texts.get(("displayName",), "").strip() if self.is_open else shown.get("displayName")
        return str(typed or shown.get("name") or self.billable_id or KIND_NAMES.get(self.kind, self.kind))

    @property
    def kind_name(self) -> str:
        """What people call a card like this."""
        return ONE_OF.get(self.kind, self.kind)

    @property
    def gone_name(self) -> str:
        """The name of the input that says that it is left out."""
        return f"gone/{self.key}"

    @property
    def why_stays(self) -> str:
        """Why the plan's card cannot be taken out, for where it cannot (togai.md 4.1)."""
        if self.kind == "minimumCommitment":
            return (
                "The plan's minimum commitment cannot be taken out: Togai has no words for that. Set it to 0."
            )
        if self.kind in SINGLES:
            return ""
        return (
            f"The last {self.kind_name} card stays: Togai has no words for an empty list. Set its price to 0"
            " instead, or add another card first."
        )

    @property
    def is_added(self) -> bool:
        """Whether the plan has no such card."""
        return self.base is None

    @property
    def unseen(self) -> list[str]:
        """What differs from the plan although no cell stands for it, in words."""
        if self.base is None or self.current is None:
            return []
        drawn = {leaf.path for leaf in self.leaves}
        found = {
            path
            for path in {*paths(self.base), *paths(self.current)}
            if at(self.base, path) != at(self.current, path)
        }
        rows = [path for lines in self.lines for path in lines.maps]
        return sorted(
            words(path)
            for path in found
            if path not in drawn and not any(path[: len(table)] == table for table in rows)
        )

    @property
    def changed(self) -> bool:
        """Whether the deal differs from the plan here."""
        return self.value != self.base or (self.is_open and any(cell.changed for cell in self.cells))

    @property
    def has_errors(self) -> bool:
        """Whether something is wrong in it, or waits to be taken over."""
        return bool(self.errors or self.pastes or any(self.cell_errors.values()))

    @property
    def problems(self) -> Iterator[tuple[str, str, str]]:
        """Everything that is wrong in it, in the order of the page: (id of the place, label, message)."""
        for message in self.errors:
            yield self.id, self.label, message
        if self.is_open:
            for cell in self.cells:
                for message in cell.errors:
                    yield cell.id, cell.called, message
        for key, (_, errors) in self.pastes.items():
            for message in errors:
                yield f"id_paste/{key}", f"{self.label}, rows of a spreadsheet", message

    @property
    def lacks(self) -> list[str]:
        """The currencies that it is asked for prices in and has none."""
        if self.is_removed or self.kind in ("pricingCycleConfig", "supportedCurrencies"):
            return []
        prices = at(self.value, prices_path(self.kind)) or {}
        return [currency for currency in self.wanted if currency not in prices]

    @property
    def summary(self) -> str:
        """A closed card in one line, in the account's currency where the card has it."""
        card = self.current if self.current is not None else self.base
        currency = self.currency if self.currency in self.currencies else next(iter(self.currencies), "")
        return summary(self.kind, card or {}, currency)

    # --- What a button does; those at slabs and windows: rows.py ---

    def open(self) -> None:
        """Show its inputs."""
        self.is_open = not self.is_odd and not self.is_removed
        self._forget()

    def close(self) -> None:
        """Show one line of it, as it is stored."""
        self.is_open = False
        self._forget()

    def reset(self) -> None:
        """Write the plan's values into every cell, and forget what no cell stands for."""
        if self.base is None:
            return
        self.from_plan, self.is_removed = True, False
        self.current = self.base
        self.errors.clear()
        self.pastes.clear()
        self._fill()
        self.open()

    def remove(self) -> None:
        """Leave it out of the deal."""
        self.is_removed = True
        self.errors.clear()
        self.pastes.clear()
        self.close()

    def reset_cell(self, path: Path) -> None:
        """Write the plan's value into one cell."""
        leaf = next((leaf for leaf in self.leaves if leaf.path == path), None)
        if leaf:
            self.texts[path] = written(leaf, at(self.base, path))
            self.judge()

    def take(self, typed: Mapping[str, str]) -> None:
        """Take over what was typed; a cell that was not on the page keeps its text."""
        if self.gone_name in typed:
            self.remove()
            return
        if f"plan/{self.key}" in typed:
            self.reset()
        if f"open/{self.key}" not in typed or self.is_odd:
            return
        if self.current is None:
            self.reset()
        self.is_removed = False
        self.shows_limits = f"limits/{self.key}" in typed
        for lines in self.lines:
            key = self.lines_key(lines)
            count = typed.get(f"rows/{key}", "")
            if count.isascii() and count.isdecimal() and len(count) < 4:
                # Never fewer rows than none, never more than could be drawn.
                most = max(lines.most, *(row_count(card, lines) for card in (self.base, self.current)))
                self.counts[lines.path] = min(max(int(count), 1), most)
            if typed.get(f"paste/{key}", "").strip():
                self.pastes[key] = typed[f"paste/{key}"], ["Take these lines over, or empty the box."]
        flag = typed.get(name_of((*self.path, *ANNIVERSARY)))
        if flag is not None:
            self.texts[ANNIVERSARY] = flag
        self.open()
        for leaf in self.leaves:
            text = typed.get(name_of((*self.path, *leaf.path)))
            if text is not None:
                # A browser ends the lines of a text area with CR LF.
                self.texts[leaf.path] = text.replace("\r\n", "\n")
            elif leaf.path not in self.texts:
                self.texts[leaf.path] = written(leaf, at(self.base, leaf.path))
        self.judge()

    def lay_out(self, wanted: Collection[str], dropped: Collection[str] = ()) -> None:
        """
        Show cells for prices in other currencies than before.

        :param dropped: currencies that the deal sells in no more: its own prices in them go
        """
        here = prices_path(self.kind)
        self.wanted = [] if self.kind in ("pricingCycleConfig", "supportedCurrencies") else [*wanted]
        self.dropped = {name for name in dropped if at(self.base, (*here, name)) is None}
        self.currencies = self._currencies()
        self.tables = self._tables()
        self.windows = Windows() if self.kind == "billingEntitlementRateCards" else None
        self.lines: list[Lines] = [*self.tables, *([self.windows] if self.windows else [])]
        self._fill(only_new=True)
        if any(at(self.current, (*here, name)) is not None for name in self.dropped):
            self.open()

    def judge(self) -> None:
        """Say at each cell what cannot be read in it."""
        self._forget()
        self.cell_errors = {}
        for leaf in self.leaves:
            message = self.read(leaf)[1]
            if message:
                self.cell_errors[leaf.path] = [message]

    def blame(self, inside: Path, message: str) -> None:
        """Put an error at the cell of a path, at the nearest one, or at the card."""
        self.open()
        place = self._nearest(inside) if self.is_open else None
        if place is None:
            self.errors.append(message)
        else:
            self.cell_errors.setdefault(place, []).append(message)

    # --- What it is made of ---

    @property
    def leaves(self) -> list[Leaf]:
        """Every place that has a cell now."""
        if self._leaves is None:
            self._leaves = [*self.single_leaves()]
            for lines in self.lines:
                for order in range(1, self.counts[lines.path] + 1):
                    self._leaves += lines.leaves(order).values()
        return self._leaves

    def single_leaves(self) -> Iterator[Leaf]:
        """Those outside its slabs and windows."""
        anniversary = self.texts.get(ANNIVERSARY) == "true"
        return single_leaves(self.kind, self.currencies, anniversary=anniversary)

    @property
    def cells(self) -> list[Cell]:
        """All its cells."""
        if self._cells is None:
            label = self.label
            self._cells = [self._cell(leaf, label) for leaf in self.leaves]
        return self._cells

    @property
    def page(self) -> CardPage:
        """Its cells as the page draws them."""
        if self._page is None:
            self._page = CardPage(self)
        return self._page

    def names(self) -> set[str]:
        """Every name that the page may post for it."""
        found = {f"{word}/{self.key}" for word in ("open", "plan", "gone", "limits")}
        if self.is_open:
            found |= {cell.name for cell in self.cells}
            for lines in self.lines:
                key = self.lines_key(lines)
                found |= {f"rows/{key}", f"paste/{key}", f"paste_at/{key}"}
        return found

    def is_past(self, name: str) -> bool:
        """
        Whether a posted name is of a cell that a choice on the same page has just done away with.

        That is a price in a currency that the deal no longer sells in, or the start of an anniversary cycle.
        """
        before = f"{name_of((*self.path, *prices_path(self.kind)))}/"
        if self.is_open and name.startswith(before):
            currency = name[len(before) :].partition("/")[0]
            return bool(re.fullmatch(r"[A-Z]{3}", currency)) and currency not in self.currencies
        return name.startswith(f"{name_of((*self.path, 'startOffset'))}/")

    def line(self, key: str) -> Lines | None:
        """The slabs or windows that posted names call so."""
        return next((lines for lines in self.lines if self.lines_key(lines) == key), None)

    def lines_key(self, lines: Lines) -> str:
        """How posted names call slabs or windows of this card."""
        return f"{self.key}/{lines.suffix}" if lines.suffix else self.key

    def row_texts(self, lines: Lines, order: int) -> dict[str, str]:
        """The texts of a row by their part in it."""
        return {part: self.texts.get(leaf.path, "") for part, leaf in lines.leaves(order).items()}

    def write_row(self, lines: Lines, order: int, texts: Mapping[str, str]) -> None:
        """Write the parts of a row that are given."""
        for part, leaf in lines.leaves(order).items():
            if part in texts:
                self.texts[leaf.path] = texts[part]
        self._forget()

    def shorten(self, lines: Lines, count: int) -> None:
        """Cut off the rows after so many."""
        for order in range(count + 1, self.counts[lines.path] + 1):
            for leaf in lines.leaves(order).values():
                self.texts.pop(leaf.path, None)
        self.counts[lines.path] = min(self.counts[lines.path], count)
        self._forget()

    @property
    def value(self) -> Any:
        """
        The card in keyed form as its cells say, not to be changed; None when it is left out.

        A cell that is wrong or empty says nothing.
        """
        if self._value is _UNKNOWN:
            self._value = made(self)
        return self._value

    def read(self, leaf: Leaf) -> tuple[Any, str]:
        """The stored value of a cell's text and what is wrong with it."""
        text = self.texts.get(leaf.path, "")
        for card in (self.current, self.base):
            stored = at(card, leaf.path)
            if card is not None and text == written(leaf, stored):
                # What stands there already is not for the rep to put right, whatever it looks like.
                return stored, ""
        return read(leaf, text)

    # --- Inside ---

    def _forget(self) -> None:
        """Make anew, when asked for, what is made from the texts."""
        self._leaves: list[Leaf] | None = None
        self._cells: list[Cell] | None = None
        self._page: CardPage | None = None
        self._value: Any = _UNKNOWN

    def _cell(self, leaf: Leaf, label: str) -> Cell:
        return Cell(
            path=(*self.path, *leaf.path),
            leaf=leaf,
            text=self.texts.get(leaf.path, ""),
            plan=written(leaf, at(self.base, leaf.path)) if self._has_row(leaf.path) else None,
            # The very list, so that what is found wrong later shows as well.
            errors=self.cell_errors.setdefault(leaf.path, []),
            called=f"{label}, {leaf.label}",
        )

    def _nearest(self, inside: Path) -> Path | None:
        """The place of the cell of a path: the very one, the first inside it, or the one it is inside of."""
        places = [leaf.path for leaf in self.leaves]
        if inside in places:
            return inside
        below = [place for place in places if inside and place[: len(inside)] == inside]
        # Who misses a price wants to type it, not its limits.
        below.sort(key=lambda place: place[-1] in ("minimumRate", "maximumRate"))
        above = [place for place in places if inside[: len(place)] == place]
        return next(iter([*below, *above]), None)

    def _fill(self, *, only_new: bool = False) -> None:
        """
        Write the stored values into the cells.

        :param only_new: leave cells alone that have a text already
        """
        card = self.current if self.current is not None else self.base
        if not only_new:
            self.texts, self.counts, self.cell_errors = {}, {}, {}
        for lines in self.lines:
            if lines.path not in self.counts:
                self.counts[lines.path] = row_count(card, lines)
        if at(card, ANNIVERSARY) is True:
            # Which cells a cycle has depends on this one.
            self.texts.setdefault(ANNIVERSARY, "true")
        self._forget()
        for leaf in self.leaves:
            if leaf.path not in self.texts:
                self.texts[leaf.path] = written(leaf, at(card, leaf.path))
        self._shape_new_currencies(card)
        self._forget()

    def _shape_new_currencies(self, card: Any) -> None:
        """Give a credit grant the same slabs in a currency that it has none in, without their rates."""
        first = next((table for table in self.tables if self.counts[table.path]), None)
        for table in self.tables:
            if self.counts[table.path] or at(card, table.path) is not None or not table.currency:
                continue
            self.counts[table.path] = self.counts[first.path] if first else 1
            for order in range(1, self.counts[table.path] + 1):
                shape = {"after": "0", "type": "FLAT"}
                if first:
                    same = self.row_texts(first, order)
                    shape = {part: same[part] for part in ("after", "type", "package")}
                self.write_row(table, order, dict.fromkeys(table.leaves(order), "") | shape)

    def _has_row(self, path: Path) -> bool:
        """Whether the plan has the row that a path leads into; outside slabs and windows, the card."""
        if self.base is None:
            return False
        for lines in self.lines:
            for rows in lines.maps:
                if len(path) > len(rows) and path[: len(rows)] == rows:
                    return at(self.base, path[: len(rows) + 1]) is not None
        return True

    def _currencies(self) -> list[str]:
        """The currencies of its prices, the account's first; wanted ones too, where it has none yet."""
        if self.kind in ("pricingCycleConfig", "supportedCurrencies"):
            return []
        found: list[str] = []
        for card in (self.base, self.current):
            found += list(at(card, prices_path(self.kind)) or {})
        found += self.wanted
        kept = [name for name in dict.fromkeys(found) if name not in self.dropped]
        return sorted(kept, key=lambda name: name != self.currency)

    def _tables(self) -> list[Table]:
        if self.kind == "creditGrantRateCards":
            here = prices_path(self.kind)
            return [Table((*here, name, "slabDetails"), (name,), name) for name in self.currencies]
        if has_slabs(self.kind) and any(at(card, ("ratePlan",)) for card in (self.base, self.current)):
            return [Table(("ratePlan", "slabs"), tuple(self.currencies))]
        return []
