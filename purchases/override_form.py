"""
The prices of a plan as a form: every number that a deal may change is a cell of text beside the plan's own.

Plain values in, a stored override out (`overrides.difference`). A cell is named after its path in the keyed
details, so an error of `terms.problems` finds it. What no cell stands for (a card that another program added,
say) is carried along untouched. Nothing here knows Django; the templates are partials/editor/*.html.
"""

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any
from urllib.parse import quote

from purchases import figures, overrides
from purchases.cards import CARDS, INTERVALS, KIND_NAMES, MAX_SLABS, number_problem
from purchases.money import number
from purchases.price_list import duration_in_words
from togai.strict_json import plain

Path = tuple[str, ...]

NUMBER, WHOLE, CHOICE = "number", "whole", "choice"

MODELS = (
    ("TIERED", "Tiered: each slab prices its own units"),
    ("VOLUME", "Volume: the slab reached prices all units"),
)
PRICE_TYPES = (("PER_UNIT", "Per unit"), ("PACKAGE", "Package"), ("FLAT", "Flat"))
INTERVAL_CHOICES = tuple((name, name.replace("_", "-").capitalize()) for name in INTERVALS)
DAYS = (*((str(day), str(day)) for day in range(1, 32)), ("LAST", "Last day"))
MONTHS = (
    ("NIL", "None (weekly and monthly)"),
    ("FIRST", "First month"),
    *((str(month), f"Month {month}") for month in range(1, 13)),
    ("LAST", "Last month"),
)

# Kinds without a list of cards: one object, whose path has no billable id.
SINGLES = ("minimumCommitment", "pricingCycleConfig")

# A page posts at most 2,500 fields; this leaves room for all others.
MOST_CELLS = 1500

# So many currencies stand side by side; more of them make the grid too wide to read.
SIDE_BY_SIDE = 2


@dataclass(frozen=True)
class Leaf:
    """A place of a card that has a cell: its path inside the card and what people call it."""

    path: Path
    label: str
    kind: str = NUMBER
    choices: tuple[tuple[str, str], ...] = ()
    unit: str = ""


@dataclass
class Cell:
    """
    One number or choice on the page.

    :ivar plan: the plan's text here; "" where the plan says nothing, None where it has no such row
    """

    path: Path
    leaf: Leaf
    text: str
    plan: str | None
    errors: list[str] = field(default_factory=list)
    called: str = ""

    @cached_property
    def name(self) -> str:
        """The name of the input, which is the path."""
        return name_of(self.path)

    @property
    def id(self) -> str:
        """The id of the input."""
        return f"id_{self.name}"

    @property
    def changed(self) -> bool:
        """Whether it says something else than the plan."""
        return self.plan is not None and _said(self.text) != self.plan

    @property
    def plan_says(self) -> str:
        """The plan's value in words."""
        if not self.plan:
            return "none"
        return dict(self.leaf.choices).get(self.plan, self.plan)

    @property
    def options(self) -> list[tuple[str, str]]:
        """What may be chosen; a word of the plan's that we do not know stays choosable."""
        known = list(self.leaf.choices)
        if self.plan == "" or not self.text:
            known.insert(0, ("", "Not set"))
        return known if any(value == self.text for value, _ in known) else [(self.text, self.text), *known]


@dataclass(frozen=True)
class Table:
    """Where the slabs of a card are: once for all currencies, or per currency (credit grants)."""

    path: Path
    rates: tuple[str, ...]
    currency: str = ""

    @property
    def maps(self) -> Iterator[Path]:
        """Every map of the card that has one row per slab."""
        yield self.path
        if not self.currency:
            for currency in self.rates:
                yield ("rateValues", currency, "slabRates")

    def leaves(self, order: int) -> dict[str, Leaf]:
        """The cells of one slab by their part in it."""
        slab = (*self.path, str(order))
        number_of = f"slab {order}"
        found = {
            "after": Leaf((*slab, "startAfter"), f"{number_of}, starts after"),
            "type": Leaf((*slab, "priceType"), f"{number_of}, price type", CHOICE, PRICE_TYPES),
            "package": Leaf((*slab, "slabConfig", "packageSize"), f"{number_of}, units per package"),
        }
        for currency in self.rates:
            row = slab if self.currency else ("rateValues", currency, "slabRates", str(order))
            limits = (*row, "slabRateConfig")
            found[f"rate {currency}"] = Leaf((*row, "rate"), f"{number_of}, rate {currency}", unit=currency)
            found[f"min {currency}"] = Leaf(
                (*limits, "minimumRate"), f"{number_of}, minimum {currency}", unit=currency
            )
            found[f"max {currency}"] = Leaf(
                (*limits, "maximumRate"), f"{number_of}, maximum {currency}", unit=currency
            )
        return found


@dataclass
class Row:
    """One slab on the page."""

    order: int
    after: Cell
    type: Cell
    package: Cell
    rates: list[Cell]
    other_rates: list[Cell]
    is_new: bool

    @property
    def cells(self) -> list[Cell]:
        """Its cells from left to right."""
        return [self.after, self.type, self.package, *self.rates, *self.other_rates]

    @property
    def changed(self) -> bool:
        """Whether a cell of it differs from the plan."""
        return any(cell.changed for cell in self.cells)


@dataclass
class Grid:
    """A table of slabs on the page."""

    key: str
    currency: str
    currencies: list[str]
    others: list[str]
    rows: list[Row]
    plan_rows: int

    @property
    def name(self) -> str:
        """The name of the input that counts its rows."""
        return f"rows/{self.key}"

    @property
    def packages(self) -> bool:
        """Whether some slab is priced by the package, so that the column matters."""
        return any(row.type.text == "PACKAGE" or row.package.text or row.package.errors for row in self.rows)

    @property
    def removable(self) -> bool:
        """Whether a slab may go: the last one stays."""
        return len(self.rows) > 1

    @property
    def full(self) -> bool:
        """Whether Togai takes no further slab."""
        return len(self.rows) >= MAX_SLABS

    @property
    def missing(self) -> int:
        """How many slabs fewer than the plan it has."""
        return max(0, self.plan_rows - len(self.rows))

    @property
    def others_matter(self) -> bool:
        """Whether the rates in other currencies should be in sight: one is changed, new or wrong."""
        return any(
            cell.changed or cell.errors or (row.is_new and not cell.text)
            for row in self.rows
            for cell in row.other_rates
        )


@dataclass
class Limit:
    """The least and the most of a slab or a card in one currency, on the page."""

    label: str
    least: Cell
    most: Cell


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
        self.is_odd = not all(_in_order(card, table) for card in (base, current) for table in self.tables)
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
            for path in {*_paths(self.base), *_paths(self.current)}
            if _at(self.base, path) != _at(self.current, path)
        }
        tables = [path for table in self.tables for path in table.maps]
        return sorted(
            _words(path)
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
            self.texts[path] = _text_at(self.base, path) or ""

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
                rows = _at(card, path)
                if isinstance(rows, dict):
                    for order in [name for name in rows if name not in kept]:
                        del rows[order]
        for leaf in self.leaves():
            _put(card, leaf.path, self._read(leaf)[0])
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
        return _summary(self.kind, card, currency)

    # --- Inside ---

    def _cell(self, leaf: Leaf) -> Cell:
        return Cell(
            path=(*self.path, *leaf.path),
            leaf=leaf,
            text=self.texts.get(leaf.path, ""),
            plan=_text_at(self.base, leaf.path) if self._has_row(self.base, leaf.path) else None,
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
        return len(_at(self.base, table.path) or {})

    def _rows_of(self, table: Table) -> int:
        return max(len(_at(card, table.path) or {}) for card in (self.base, self.current))

    def _table_key(self, table: Table) -> str:
        return f"{self.key}/{table.currency}" if table.currency else self.key

    def _fill(self, card: Mapping[str, Any] | None) -> None:
        self.counts = {table.path: len(_at(card, table.path) or {}) for table in self.tables}
        self.texts = {leaf.path: _text_at(card, leaf.path) or "" for leaf in self.leaves()}

    def _has_row(self, card: Mapping[str, Any] | None, path: Path) -> bool:
        """Whether the plan has the row that a path leads into; outside the tables, the card."""
        if card is None:
            return False
        for table in self.tables:
            for rows in table.maps:
                if path[: len(rows)] == rows:
                    return path[: len(rows) + 1][-1] in (_at(card, rows) or {})
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
                _text_at(self.base, leaf.path),
                _text_at(self.current, leaf.path),
            }
            return (text, "") if text in known else (None, "Choose one of the list.")
        if leaf.kind == WHOLE:
            message = whole_problem(text)
            return (None, message) if message else (int(text), "")
        if text == _text_at(self.base, leaf.path):
            # The plan's own number is not for the rep to put right, whatever it looks like.
            return text, ""
        message = plain_problem(text)
        return (None, message) if message else (plain(Decimal(text)), "")

    def _tidy(self, card: dict[str, Any]) -> None:
        """Leave out what only the empty cells of the page would have made."""
        for leaf in self.leaves():
            holder = leaf.path[:-1]
            if holder and _at(card, holder) == {} and not self._had(holder):
                above = _at(card, holder[:-1])
                if isinstance(above, dict):
                    del above[holder[-1]]
        prices = card.get("rateValues")
        for currency in self.currencies:
            if isinstance(prices, dict) and _at(self.base, ("rateValues", currency)) is None:
                asked = [leaf for leaf in self.leaves() if leaf.path[:2] == ("rateValues", currency)]
                if currency in prices and not any(self.texts.get(leaf.path, "").strip() for leaf in asked):
                    del prices[currency]

    def _had(self, holder: Path) -> bool:
        """Whether an object without content was there before: in the plan, or stored just so."""
        return _at(self.base, holder) is not None or _at(self.current, holder) == {}

    def _currencies(self, offered: Iterable[str]) -> list[str]:
        """The currencies of its prices, the account's first; the account's too where the plan sells in it."""
        found: list[str] = []
        for card in (self.base, self.current):
            found += list(_at(card, self._prices_path()) or {})
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


class OverrideForm:
    """
    All cards that a deal may change, in the order of the plan.

    :param details: the plan's, in stored form
    :param override: the stored override that the page starts from
    :param kinds: which kinds the deal's type may change
    :param currency: the account's; "" when it is not known
    """

    def __init__(
        self,
        details: Mapping[str, Any],
        override: Mapping[str, Any],
        *,
        kinds: Iterable[str],
        currency: str = "",
    ) -> None:
        self.details = details
        self.before = overrides.keyed(details)
        self.now = overrides.keyed(overrides.effective(details, override))
        self.cards: list[CardForm] = []
        offered = details.get("supportedCurrencies") or ()
        for kind in kinds:
            for billable_id, base, current in self._pairs(kind):
                self.cards.append(
                    CardForm(
                        kind, billable_id, base=base, current=current, currency=currency, currencies=offered
                    )
                )

    def _pairs(self, kind: str) -> Iterator[tuple[str, Any, Any]]:
        before, now = self.before.get(kind), self.now.get(kind)
        if kind in CARDS:
            for billable_id in dict.fromkeys([*(before or {}), *(now or {})]):
                yield billable_id, (before or {}).get(billable_id), (now or {}).get(billable_id)
        elif kind in SINGLES and (before or now):
            yield "", before, now

    def card(self, key: str) -> CardForm | None:
        """The card that posted names call so."""
        return next((card for card in self.cards if card.key == key), None)

    def take(self, typed: Mapping[str, str], opened: Iterable[str]) -> None:
        """Take over what was typed into the cards that were open on the page."""
        for key in opened:
            card = self.card(key)
            if card and not card.is_odd:
                card.take(typed)

    def names(self) -> set[str]:
        """Every name that the page may post for its cards."""
        found = set()
        for card in self.cards:
            if card.is_open:
                found |= {cell.name for cell in card.cells}
                found |= {f"plan/{card.key}", *(grid.name for grid in card.grids)}
        return found

    def do(self, verb: str, target: str) -> None:
        """
        Do what a button of the page says: `open`, `reset`, `add_slab`, `remove_slab`.

        :param target: the key of a card, the name of a cell, or the key of a table with the slab's number
        """
        for card in self.cards:
            if verb in ("open", "reset") and target == card.key:
                getattr(card, verb)()
                self._make_room(card)
            elif verb == "reset" and card.is_open:
                for cell in card.cells:
                    if cell.name == target:
                        card.reset_cell(cell.path[len(card.path) :])
                        card._judge()
            elif verb == "add_slab" and (table := card.table(target)):
                card.add_row(table)
            elif verb == "remove_slab":
                key, _, order = target.rpartition("#")
                if order.isascii() and order.isdecimal() and len(order) < 4 and (table := card.table(key)):
                    card.remove_row(table, int(order))
                    card._judge()

    def _make_room(self, kept: CardForm) -> None:
        """Close cards that say what the plan says, while a page has more cells than it may post."""
        idle = (card for card in self.cards if card.is_open and card is not kept and not card.changed)
        while len(self.names()) > MOST_CELLS and (card := next(idle, None)):
            card.is_open = False

    def first_of(self, verb: str, target: str) -> str:
        """The name of the cell that deserves the focus after `do`; "" when there is none."""
        for card in self.cards:
            if verb == "open" and card.key == target and card.cells:
                return card.cells[0].name
            if verb == "reset" and any(cell.name == target for cell in card.cells):
                return target
            if verb == "add_slab":
                for grid in card.grids:
                    if grid.key == target:
                        return grid.rows[-1].after.name
        return ""

    @property
    def patch(self) -> dict[str, Any]:
        """The stored override that the cells say: only what differs from the plan (G-02)."""
        whole = copy.deepcopy(self.now)
        for card in self.cards:
            value = card.value
            if card.kind in CARDS:
                rows = whole.setdefault(card.kind, {})
                if value is None:
                    rows.pop(card.billable_id, None)
                else:
                    rows[card.billable_id] = value
            elif value is not None:
                whole[card.kind] = value
        return overrides.difference(self.details, whole)

    @property
    def has_errors(self) -> bool:
        """Whether a cell or a card has something wrong."""
        return any(card.has_errors for card in self.cards)

    @property
    def changed(self) -> bool:
        """Whether something differs from the plan."""
        return any(card.changed for card in self.cards)

    @property
    def changed_count(self) -> int:
        """How many cards differ from the plan."""
        return sum(1 for card in self.cards if card.changed)

    def blame(self, path: Path, message: str) -> bool:
        """
        Put an error where it belongs: at the cell of the path, at the nearest one, or at the card.

        :returns: whether there is such a place
        """
        for card in self.cards:
            if path[: len(card.path)] != card.path:
                continue
            card.open()
            inside = path[len(card.path) :]
            places = [leaf.path for leaf in card.leaves()]
            at = (
                inside
                if inside in places
                else next((place for place in places if inside and place[: len(inside)] == inside), None)
            )
            if at is None:
                card.errors.append(message)
            else:
                card.cell_errors.setdefault(at, []).append(message)
            return True
        return False

    def carried_to(self, details: Mapping[str, Any], kinds: Iterable[str], currency: str) -> "OverrideForm":
        """The same changes upon another version of the plan, for the cards that it still has."""
        has = overrides.keyed(details)
        patch = {}
        for kind, change in self.patch.items():
            if kind in CARDS:
                kept = {name: value for name, value in change.items() if name in has.get(kind, {})}
                if kept:
                    patch[kind] = kept
            elif kind in has:
                patch[kind] = change
        new = OverrideForm(details, patch, kinds=kinds, currency=currency)
        for card in self.cards:
            same = new.card(card.key)
            if same is None or not any(card.cell_errors.values()):
                continue
            # What could not be read is typed text all the same.
            same.open()
            for path in card.cell_errors:
                if path in same.texts:
                    same.texts[path] = card.texts[path]
            same._judge()
        return new


def name_of(path: Path) -> str:
    """The name of the input for a path; ids of Togai's are opaque, so each part is quoted."""
    return "o/" + "/".join(quote(part, safe="") for part in path)


def plain_problem(text: str) -> str:
    """Say why a typed number is not one we take, or "" when it is: digits, a point, a minus before it."""
    if "," in text:
        return "Write a point before decimals and nothing between thousands: 1250.5."
    try:
        value = number(text)
    except ValueError:
        return "Enter a plain number, such as 1250 or 0.05."
    if text.startswith("-") and not value:
        return "Write 0 without a sign."
    return number_problem(text)


def whole_problem(text: str) -> str:
    """Say why a typed whole number is not one we take, or "" when it is."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        return "Enter a whole number, such as 12."
    return ""


def _said(text: str) -> str:
    """A text as the stored form writes it, where it is a number; for comparing with the plan."""
    text = text.strip()
    return text if plain_problem(text) else plain(Decimal(text))


def _at(card: Any, path: Path) -> Any:
    for part in path:
        if isinstance(card, Mapping):
            card = card.get(part)
        elif isinstance(card, list) and part.isdecimal() and 1 <= int(part) <= len(card):
            card = card[int(part) - 1]
        else:
            return None
    return card


def _text_at(card: Mapping[str, Any] | None, path: Path) -> str:
    value = _at(card, path)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _words(path: Path) -> str:
    """The last part of a path as words: "invoiceTiming" is "invoice timing"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", path[-1]).lower() if path else "everything"


def _paths(card: Any, above: Path = ()) -> Iterator[Path]:
    """The paths of everything that is no map; a list without names is split where its entries are maps."""
    rows: Iterable[tuple[str, Any]]
    if isinstance(card, Mapping):
        rows = card.items()
    elif isinstance(card, list) and all(isinstance(entry, Mapping) for entry in card):
        rows = ((str(place), entry) for place, entry in enumerate(card, start=1))
    else:
        yield above
        return
    for name, inner in rows:
        yield from _paths(inner, (*above, name))


def _put(card: dict[str, Any], path: Path, value: str | int | None) -> None:
    """Set a value, making the objects on its way; None takes the key out and makes nothing."""
    holder: Any = card
    for part in path[:-1]:
        if isinstance(holder, list):
            holder = holder[int(part) - 1] if 1 <= int(part) <= len(holder) else None
        elif part not in holder:
            if value is None:
                return
            holder = holder.setdefault(part, {})
        else:
            holder = holder[part]
        if holder is None:
            return
    if value is None:
        holder.pop(path[-1], None)
    else:
        holder[path[-1]] = value


def _in_order(card: Mapping[str, Any] | None, table: Table) -> bool:
    """Whether slabs are numbered 1, 2, 3 and every rate belongs to one of them."""
    slabs = _at(card, table.path)
    if slabs is None:
        return True
    if not isinstance(slabs, Mapping):
        return False
    wanted = {str(order) for order in range(1, len(slabs) + 1)}
    if set(slabs) != wanted:
        return False
    return all(set(_at(card, path) or {}) <= wanted for path in table.maps)


def _summary(kind: str, card: Mapping[str, Any], currency: str) -> str:
    try:
        match kind:
            case "fixedFeeRateCards" | "minimumCommitment":
                return _price(_at(card, ("rateValues", currency, "rate")), currency)
            case "pricingCycleConfig":
                return (
                    f"{str(card['interval']).replace('_', '-').capitalize()},"
                    f" {card['gracePeriod']} days of grace"
                )
            case "creditGrantRateCards":
                details = card["rateDetails"]["currencySlabRateDetails"][currency]
                slabs, rates = details["slabDetails"], details["slabDetails"]
                start = f"{_price(details['creditAmount'], currency)} of credit; "
            case "billingEntitlementRateCards":
                slabs, rates = card["ratePlan"]["slabs"], card["rateValues"][currency]["slabRates"]
                granted = sum(
                    (number(window["featureCreditLimit"]) for window in card["featureConfigs"]), Decimal(0)
                )
                start = f"{figures.count(granted)} units granted; "
            case _:
                slabs, rates = card["ratePlan"]["slabs"], card["rateValues"][currency]["slabRates"]
                start = ""
    except (KeyError, TypeError, ValueError):
        return ""
    return start + ", ".join(_slab_in_words(slabs[order], rates.get(order, {}), currency) for order in slabs)


def _slab_in_words(slab: Mapping[str, Any], rate: Mapping[str, Any], currency: str) -> str:
    words = {"PER_UNIT": "a unit", "FLAT": "flat"}.get(str(slab.get("priceType")))
    if words is None:
        words = f"per {_at(slab, ('slabConfig', 'packageSize')) or '?'}"
    after = slab.get("startAfter")
    return f"{_price(rate.get('rate'), currency)} {words}" + (
        "" if after in (None, "0") else f" after {figures.count(number(after))}"
    )


def _price(text: Any, currency: str) -> str:
    try:
        return f"{figures.amount(number(text), currency)} {currency}"
    except ValueError:
        return "not known"
