"""
The cells of the price editor: what a place of a card is called, what stands in it, and tables of slabs.

Plain values, no Django. A cell is named after its path in keyed details (`name_of`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any
from urllib.parse import quote

from purchases.cards import INTERVALS, MAX_SLABS, number_problem
from purchases.money import number
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
        return self.plan is not None and said(self.text) != self.plan

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


def said(text: str) -> str:
    """A text as the stored form writes it, where it is a number; for comparing with the plan."""
    text = text.strip()
    return text if plain_problem(text) else plain(Decimal(text))


def at(card: Any, path: Path) -> Any:
    for part in path:
        if isinstance(card, Mapping):
            card = card.get(part)
        elif isinstance(card, list) and part.isdecimal() and 1 <= int(part) <= len(card):
            card = card[int(part) - 1]
        else:
            return None
    return card


def text_at(card: Mapping[str, Any] | None, path: Path) -> str:
    value = at(card, path)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def words(path: Path) -> str:
    """The last part of a path as words: "invoiceTiming" is "invoice timing"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", path[-1]).lower() if path else "everything"


def paths(card: Any, above: Path = ()) -> Iterator[Path]:
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
        yield from paths(inner, (*above, name))


def put(card: dict[str, Any], path: Path, value: str | int | None) -> None:
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


def in_order(card: Mapping[str, Any] | None, table: Table) -> bool:
    """Whether slabs are numbered 1, 2, 3 and every rate belongs to one of them."""
    slabs = at(card, table.path)
    if slabs is None:
        return True
    if not isinstance(slabs, Mapping):
        return False
    wanted = {str(order) for order in range(1, len(slabs) + 1)}
    if set(slabs) != wanted:
        return False
    return all(set(at(card, path) or {}) <= wanted for path in table.maps)
