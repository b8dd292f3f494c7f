"""One card of the price editor: its texts, what its buttons do, and the card that the texts make."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from purchases.cards import KIND_NAMES, MAX_SLABS
from purchases.override_cells import (
    CHOICE,
    DAYS,
    INTERVAL_CHOICES,
    MODELS,
    MONTHS,
    WHOLE,
    Cell,
    Grid,
    Leaf,
    Limit,
    Path,
    Row,
    Table,
    at,
    in_order,
    name_of,
    paths,
    plain_problem,
    put,
    text_at,
    whole_problem,
    words,
)
from purchases.override_summary import summary
from purchases.price_list import duration_in_words
from togai.strict_json import plain

# So many currencies stand side by side; more of them make the grid too wide to read.
SIDE_BY_SIDE = 2


class CardForm:
    """
    One card of the plan, or of the deal alone: its texts, and the card they make.

    :ivar is_open: whether it has inputs on the page; a closed card is as it was
    :ivar is_odd: whether its slabs are numbered in a way that this form cannot draw; it stays as it is
    """

    def __init__(
        self,
        kind: str,
        billable_id: str,
        *,
        base: Mapping[str, Any] | None,
        current: Mapping[str, Any] | None,
        currency: str,
        currencies: Iterable[str],
    ) -> None:
        self.kind, self.billable_id = kind, billable_id
        self.base, self.current = base, current
        self.currency = currency
        shown = current if current is not None else base or {}
        self.label = str(
            shown.get("displayName") or shown.get("name") or billable_id or KIND_NAMES.get(kind, kind)
        )
        self.currencies = self._currencies(currencies)
        self.tables = self._tables()
        self.is_odd = not all(in_order(card, table) for card in (base, current) for table in self.tables)
        self.is_open = current != base and current is not None and not self.is_odd
        self.texts: dict[Path, str] = {}
        self.counts: dict[Path, int] = {}
        self.from_plan = False
        self.errors: list[str] = []
        self.cell_errors: dict[Path, list[str]] = {}
        self._fill(current if current is not None else base)

    @property
    def key(self) -> str:
        """How posted names call this card."""
        return "/".join(quote(part, safe="") for part in self.path)

    @property
    def id(self) -> str:
        """The id of its section on the page."""
        return f"card_{self.key}"

    @property
    def path(self) -> Path:
        """Its place in keyed details."""
        return (self.kind, self.billable_id) if self.billable_id else (self.kind,)

    @property
    def kind_name(self) -> str:
        """What people call cards like this."""
        return KIND_NAMES.get(self.kind, self.kind)

    @property
    def is_added(self) -> bool:
        """Whether the plan has no such card."""
        return self.base is None

    @property
    def is_removed(self) -> bool:
        """Whether the deal leaves out this card of the plan."""
        return self.current is None and not self.is_open

    @property
    def unseen(self) -> list[str]:
        """What differs from the plan although no cell stands for it, in words."""
        if self.base is None or self.current is None:
            return []
        drawn = {leaf.path for leaf in self.leaves()}
        found = {
            path
            for path in {*paths(self.base), *paths(self.current)}
            if at(self.base, path) != at(self.current, path)
        }
        tables = [path for table in self.tables for path in table.maps]
        return sorted(
            words(path)
            for path in found
            if path not in drawn and not any(path[: len(table)] == table for table in tables)
        )

    @property
    def changed(self) -> bool:
        """Whether the deal differs from the plan here."""
        if not self.is_open:
            return self.current != self.base
        return self.value != self.base or any(cell.changed for cell in self.cells)

    @property
    def has_errors(self) -> bool:
        """Whether something is wrong in it."""
        return bool(self.errors or any(self.cell_errors.values()))

    # --- What a button does ---

    def open(self) -> None:
        """Show its inputs."""
        self.is_open = not self.is_odd

    def reset(self) -> None:
        """Write the plan's values into every cell, and forget what no cell stands for."""
        if self.base is None:
            return
        self.open()
        self.from_plan = True
        self.current = self.base
        self.cell_errors.clear()
        self.errors.clear()
        self._fill(self.base)

    def reset_cell(self, path: Path) -> None:
        """Write the plan's value into one cell."""
        if path in self.texts:
            self.texts[path] = text_at(self.base, path) or ""

    def add_row(self, table: Table) -> None:
        """Add a slab that is priced like the last one; where it starts is left to say."""
        last = self.counts[table.path]
        if last >= MAX_SLABS:
            return
        before, new = table.leaves(last), table.leaves(last + 1)
        for part, leaf in new.items():
            copied = "" if part == "after" else self.texts.get(before[part].path, "") if last else ""
            self.texts[leaf.path] = copied or ("PER_UNIT" if part == "type" else "")
        self.counts[table.path] = last + 1

    def remove_row(self, table: Table, order: int) -> None:
        """Take a slab out; those after it move up, and the first one starts at 0."""
        last = self.counts[table.path]
        if not 1 <= order <= last or last == 1:
            return
        for place in range(order, last):
            after = table.leaves(place + 1)
            for part, leaf in table.leaves(place).items():
                self.texts[leaf.path] = self.texts.get(after[part].path, "")
        for leaf in table.leaves(last).values():
            self.texts.pop(leaf.path, None)
        self.counts[table.path] = last - 1
        if order == 1:
            self.texts[table.leaves(1)["after"].path] = "0"

    def take(self, typed: Mapping[str, str]) -> None:
        """Take over what was typed; a cell that was not on the page keeps its text."""
        if f"plan/{self.key}" in typed:
            self.reset()
        for table in self.tables:
            count = typed.get(f"rows/{self._table_key(table)}", "")
            if count.isascii() and count.isdecimal() and len(count) < 4:
                # Never fewer rows than none, never more than could be drawn.
                self.counts[table.path] = min(max(int(count), 1), max(MAX_SLABS, self._rows_of(table)))
        self.open()
        for leaf in self.leaves():
            self.texts[leaf.path] = typed.get(
                name_of((*self.path, *leaf.path)), self.texts.get(leaf.path, "")
            )
        self._judge()

    # --- What it is made of ---

    def leaves(self) -> Iterator[Leaf]:
        """Every place that has a cell now."""
        yield from self._single_leaves()
        for table in self.tables:
            for order in range(1, self.counts[table.path] + 1):
                yield from table.leaves(order).values()

    @property
    def cells(self) -> list[Cell]:
        """All its cells, in the order of the page."""
        return [self._cell(leaf) for leaf in self.leaves()]

    def table(self, key: str) -> Table | None:
        """The table that posted names call so."""
        return next((table for table in self.tables if self._table_key(table) == key), None)

    @property
    def value(self) -> dict[str, Any] | None:
        """The card in keyed form as its cells say; a cell that is wrong or empty says nothing."""
        if not self.is_open:
            return copy.deepcopy(dict(self.current)) if self.current is not None else None
        card: dict[str, Any] = copy.deepcopy(
            dict(self.current if self.current is not None else self.base or {})
        )
        for table in self.tables:
            kept = {str(order) for order in range(1, self.counts[table.path] + 1)}
            for path in table.maps:
                rows = at(card, path)
                if isinstance(rows, dict):
                    for order in [name for name in rows if name not in kept]:
                        del rows[order]
        for leaf in self.leaves():
            put(card, leaf.path, self._read(leaf)[0])
        self._tidy(card)
        return card

    # --- For the page ---

    @property
    def model(self) -> Cell | None:
        """The choice between tiered and volume prices."""
        return next((cell for cell in self._singles() if cell.path[-1] == "pricingModel"), None)

    @property
    def grid(self) -> list[Cell]:
        """What stands above the slabs: fees, credit, limits of quantity, the cycle."""
        return [
            cell
            for cell in self._singles()
            if cell.path[-1] not in ("pricingModel", "minimumRate", "maximumRate")
        ]

    @property
    def grids(self) -> list[Grid]:
        """The tables of slabs."""
        return [self._grid(table) for table in self.tables]

    @property
    def limits(self) -> list[Limit]:
        """Minimum and maximum, of the whole card first, then slab by slab."""
        found = []
        by_path = {cell.path[len(self.path) :]: cell for cell in self._singles()}
        for currency in self.currencies:
            here = self._limits_path(currency)
            least, most = by_path.get((*here, "minimumRate")), by_path.get((*here, "maximumRate"))
            if least and most:
                found.append(Limit(f"Whole card, {currency}", least, most))
        for table in self.tables:
            for order in range(1, self.counts[table.path] + 1):
                leaves = table.leaves(order)
                for currency in table.rates:
                    found.append(
                        Limit(
                            f"Slab {order}, {currency}",
                            self._cell(leaves[f"min {currency}"]),
                            self._cell(leaves[f"max {currency}"]),
                        )
                    )
        return found

    @property
    def limits_matter(self) -> bool:
        """Whether the limits should be in sight: one is set, changed or wrong."""
        return any(
            cell.text or cell.changed or cell.errors
            for limit in self.limits
            for cell in (limit.least, limit.most)
        )

    @property
    def summary(self) -> str:
        """A closed card in one line, in the account's currency where the card has it."""
        card = self.current if self.current is not None else self.base or {}
        currency = self.currency if self.currency in self.currencies else next(iter(self.currencies), "")
        return summary(self.kind, card, currency)

    # --- Inside ---

    def _cell(self, leaf: Leaf) -> Cell:
        return Cell(
            path=(*self.path, *leaf.path),
            leaf=leaf,
            text=self.texts.get(leaf.path, ""),
            plan=text_at(self.base, leaf.path) if self._has_row(self.base, leaf.path) else None,
            errors=self.cell_errors.get(leaf.path, []),
            called=f"{self.label}, {leaf.label}",
        )

    def _singles(self) -> list[Cell]:
        return [self._cell(leaf) for leaf in self._single_leaves()]

    def _grid(self, table: Table) -> Grid:
        split = len(table.rates) if len(table.rates) <= SIDE_BY_SIDE else 1
        rows = []
        for order in range(1, self.counts[table.path] + 1):
            cells = {part: self._cell(leaf) for part, leaf in table.leaves(order).items()}
            rates = [cells[f"rate {currency}"] for currency in table.rates]
            rows.append(
                Row(
                    order,
                    cells["after"],
                    cells["type"],
                    cells["package"],
                    rates[:split],
                    rates[split:],
                    is_new=order > self._plan_rows(table),
                )
            )
        return Grid(
            key=self._table_key(table),
            currency=table.currency,
            currencies=list(table.rates[:split]),
            others=list(table.rates[split:]),
            rows=rows,
            plan_rows=self._plan_rows(table),
        )

    def _plan_rows(self, table: Table) -> int:
        return len(at(self.base, table.path) or {})

    def _rows_of(self, table: Table) -> int:
        return max(len(at(card, table.path) or {}) for card in (self.base, self.current))

    def _table_key(self, table: Table) -> str:
        return f"{self.key}/{table.currency}" if table.currency else self.key

    def _fill(self, card: Mapping[str, Any] | None) -> None:
        self.counts = {table.path: len(at(card, table.path) or {}) for table in self.tables}
        self.texts = {leaf.path: text_at(card, leaf.path) or "" for leaf in self.leaves()}

    def _has_row(self, card: Mapping[str, Any] | None, path: Path) -> bool:
        """Whether the plan has the row that a path leads into; outside the tables, the card."""
        if card is None:
            return False
        for table in self.tables:
            for rows in table.maps:
                if path[: len(rows)] == rows:
                    return path[: len(rows) + 1][-1] in (at(card, rows) or {})
        return True

    def _judge(self) -> None:
        self.cell_errors = {}
        for leaf in self.leaves():
            message = self._read(leaf)[1]
            if message:
                self.cell_errors[leaf.path] = [message]

    def _read(self, leaf: Leaf) -> tuple[str | int | None, str]:
        """The stored value of a cell's text and what is wrong with it."""
        text = self.texts.get(leaf.path, "").strip()
        if not text:
            return None, ""
        if leaf.kind == CHOICE:
            known = {value for value, _ in leaf.choices} | {
                text_at(self.base, leaf.path),
                text_at(self.current, leaf.path),
            }
            return (text, "") if text in known else (None, "Choose one of the list.")
        if leaf.kind == WHOLE:
            message = whole_problem(text)
            return (None, message) if message else (int(text), "")
        if text == text_at(self.base, leaf.path):
            # The plan's own number is not for the rep to put right, whatever it looks like.
            return text, ""
        message = plain_problem(text)
        return (None, message) if message else (plain(Decimal(text)), "")

    def _tidy(self, card: dict[str, Any]) -> None:
        """Leave out what only the empty cells of the page would have made."""
        for leaf in self.leaves():
            holder = leaf.path[:-1]
            if holder and at(card, holder) == {} and not self._had(holder):
                above = at(card, holder[:-1])
                if isinstance(above, dict):
                    del above[holder[-1]]
        prices = card.get("rateValues")
        for currency in self.currencies:
            if isinstance(prices, dict) and at(self.base, ("rateValues", currency)) is None:
                asked = [leaf for leaf in self.leaves() if leaf.path[:2] == ("rateValues", currency)]
                if currency in prices and not any(self.texts.get(leaf.path, "").strip() for leaf in asked):
                    del prices[currency]

    def _had(self, holder: Path) -> bool:
        """Whether an object without content was there before: in the plan, or stored just so."""
        return at(self.base, holder) is not None or at(self.current, holder) == {}

    def _currencies(self, offered: Iterable[str]) -> list[str]:
        """The currencies of its prices, the account's first; the account's too where the plan sells in it."""
        found: list[str] = []
        for card in (self.base, self.current):
            found += list(at(card, self._prices_path()) or {})
        if self.kind not in ("creditGrantRateCards", "pricingCycleConfig"):
            found += [name for name in offered if name == self.currency]
        return sorted(dict.fromkeys(found), key=lambda name: name != self.currency)

    def _prices_path(self) -> Path:
        if self.kind == "creditGrantRateCards":
            return ("rateDetails", "currencySlabRateDetails")
        return ("rateValues",)

    def _limits_path(self, currency: str) -> Path:
        return (*self._prices_path(), currency, "rateConfig")

    def _tables(self) -> list[Table]:
        if self.kind == "creditGrantRateCards":
            return [
                Table((*self._prices_path(), currency, "slabDetails"), (currency,), currency)
                for currency in self.currencies
            ]
        if any(card is not None and "ratePlan" in card for card in (self.base, self.current)):
            return [Table(("ratePlan", "slabs"), tuple(self.currencies))]
        return []

    def _single_leaves(self) -> Iterator[Leaf]:
        match self.kind:
            case "fixedFeeRateCards":
                yield from self._fees("Fee")
            case "minimumCommitment":
                yield from self._fees("Minimum per cycle")
            case "pricingCycleConfig":
                yield from self._cycle()
            case "billingEntitlementRateCards":
                yield from self._windows()
            case "creditGrantRateCards":
                for currency in self.currencies:
                    here = (*self._prices_path(), currency, "creditAmount")
                    yield Leaf(here, f"Credit granted, {currency}", unit=currency)
                yield Leaf(("rateDetails", "pricingModel"), "Pricing model", CHOICE, MODELS)
            case "licenseRateCards":
                yield Leaf(("config", "maxQuantity"), "Most seats", WHOLE)
            case "entitlementOverageRateCards":
                yield Leaf(("maxQuantity",), "Most units beyond the allowance")
        if self.tables and self.kind != "creditGrantRateCards":
            yield Leaf(("ratePlan", "pricingModel"), "Pricing model", CHOICE, MODELS)
        if self.tables:
            for currency in self.currencies:
                here = self._limits_path(currency)
                yield Leaf((*here, "minimumRate"), f"Minimum of the card, {currency}", unit=currency)
                yield Leaf((*here, "maximumRate"), f"Maximum of the card, {currency}", unit=currency)

    def _fees(self, label: str) -> Iterator[Leaf]:
        for currency in self.currencies:
            yield Leaf(("rateValues", currency, "rate"), f"{label}, {currency}", unit=currency)

    def _windows(self) -> Iterator[Leaf]:
        card = self.current if self.current is not None else self.base or {}
        windows = card.get("featureConfigs") or []
        for place, window in enumerate(windows, start=1):
            label = "Units granted" if len(windows) == 1 else f"Units granted, window {place}"
            until = window.get("effectiveUntil", "") if isinstance(window, Mapping) else ""
            path = ("featureConfigs", str(place), "featureCreditLimit")
            yield Leaf(path, label, unit=f"for {duration_in_words(until)}" if until else "")

    def _cycle(self) -> Iterator[Leaf]:
        yield Leaf(("interval",), "Billed", CHOICE, INTERVAL_CHOICES)
        yield Leaf(("gracePeriod",), "Grace period", WHOLE, unit="days")
        if not any(card and card.get("anniversaryCycle") for card in (self.base, self.current)):
            yield Leaf(("startOffset", "dayOffset"), "Starts on day", CHOICE, DAYS)
            yield Leaf(("startOffset", "monthOffset"), "Of month", CHOICE, MONTHS)
