"""What a card has several of: slabs and windows, as places in the card and as rows on the page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from purchases.cards import MAX_SLABS
from purchases.price_form.cells import Cell, Kind, Leaf, Path, at

PRICE_TYPES = (("PER_UNIT", "Per unit"), ("PACKAGE", "Package"), ("FLAT", "Flat"))

# Togai names no most; five years of monthly allowances are enough for a page.
MAX_WINDOWS = 60


@dataclass(frozen=True)
class Table:
    """Where the slabs of a card are: once for all currencies, or per currency (credit grants)."""

    path: Path
    rates: tuple[str, ...]
    currency: str = ""
    most: int = MAX_SLABS

    @property
    def suffix(self) -> str:
        """What tells it from other rows of its card in posted names."""
        return self.currency

    @property
    def maps(self) -> Iterator[Path]:
        """Every place of the card that has one row per slab."""
        yield self.path
        if not self.currency:
            for currency in self.rates:
                yield ("rateValues", currency, "slabRates")

    # A page of many cards asks for the same ones a thousand times.
    @lru_cache(maxsize=2048)  # noqa: B019  tables are values: equal ones share their leaves, and few are kept
    def leaves(self, order: int) -> Mapping[str, Leaf]:
        """The cells of one slab by their part in it."""
        slab = (*self.path, str(order))
        name = f"slab {order}"
        found = {
            "after": Leaf((*slab, "startAfter"), f"{name}, starts after"),
            "type": Leaf((*slab, "priceType"), f"{name}, price type", Kind.CHOICE, PRICE_TYPES),
            "package": Leaf((*slab, "slabConfig", "packageSize"), f"{name}, units per package"),
        }
        for currency in self.rates:
            row = slab if self.currency else ("rateValues", currency, "slabRates", str(order))
            found[f"rate {currency}"] = Leaf((*row, "rate"), f"{name}, rate {currency}", unit=currency)
            limits = (*row, "slabRateConfig")
            found[f"min {currency}"] = Leaf(
                (*limits, "minimumRate"), f"{name}, minimum {currency}", unit=currency
            )
            found[f"max {currency}"] = Leaf(
                (*limits, "maximumRate"), f"{name}, maximum {currency}", unit=currency
            )
        return found


@dataclass(frozen=True)
class Windows:
    """Where the windows of an entitlement are: so many units each, from when until when after the grant."""

    path: Path = ("featureConfigs",)
    suffix: str = "windows"
    most: int = MAX_WINDOWS

    @property
    def maps(self) -> Iterator[Path]:
        """The one list that has a row per window."""
        yield self.path

    @lru_cache(maxsize=2 * MAX_WINDOWS)  # noqa: B019  as for slabs
    def leaves(self, order: int) -> Mapping[str, Leaf]:
        """The cells of one window by their part in it."""
        window = (*self.path, str(order))
        return {
            "units": Leaf((*window, "featureCreditLimit"), f"window {order}, units granted"),
            "opens": Leaf((*window, "effectiveFrom"), f"window {order}, opens", Kind.DURATION, optional=True),
            "closes": Leaf((*window, "effectiveUntil"), f"window {order}, closes", Kind.DURATION),
        }


Lines = Table | Windows


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
    is_last: bool

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
    """
    A table of slabs on the page.

    :ivar paste: the text of rows that wait to be taken
    :ivar paste_errors: what is wrong with those rows, row by row
    """

    key: str
    currency: str
    currencies: list[str]
    others: list[str]
    rows: list[Row]
    plan_rows: int
    paste: str
    paste_errors: list[str]

    @property
    def name(self) -> str:
        """The name of the input that counts its rows."""
        return f"rows/{self.key}"

    @property
    def paste_name(self) -> str:
        """The name of the box for rows of a spreadsheet."""
        return f"paste/{self.key}"

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
    def columns(self) -> list[str]:
        """What a row of a spreadsheet holds, from left to right, in words."""
        rates = [f"rate {currency}" for currency in (*self.currencies, *self.others)]
        return ["units above", "priced", "units per package", *rates]

    @property
    def others_matter(self) -> bool:
        """Whether the rates in other currencies should be in sight: one is changed, missing or wrong."""
        return any(
            cell.changed or cell.errors or not cell.text for row in self.rows for cell in row.other_rates
        )


@dataclass
class WindowRow:
    """One window of an entitlement on the page."""

    order: int
    units: Cell
    opens: Cell
    closes: Cell
    is_new: bool

    @property
    def changed(self) -> bool:
        """Whether a cell of it differs from the plan."""
        return any(cell.changed for cell in (self.units, self.opens, self.closes))


@dataclass
class WindowGrid:
    """The windows of an entitlement on the page."""

    key: str
    rows: list[WindowRow]
    plan_rows: int

    @property
    def name(self) -> str:
        """The name of the input that counts its rows."""
        return f"rows/{self.key}"

    @property
    def removable(self) -> bool:
        """Whether a window may go: the last one stays."""
        return len(self.rows) > 1

    @property
    def full(self) -> bool:
        """Whether the page takes no further window."""
        return len(self.rows) >= MAX_WINDOWS

    @property
    def missing(self) -> int:
        """How many windows fewer than the plan it has."""
        return max(0, self.plan_rows - len(self.rows))


@dataclass
class Limit:
    """The least and the most of a slab or a card in one currency, on the page."""

    label: str
    least: Cell
    most: Cell


def row_count(card: Mapping[str, Any] | None, lines: Lines) -> int:
    """How many slabs or windows a card has."""
    rows = at(card, lines.path)
    return len(rows) if isinstance(rows, Mapping | list) else 0


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
