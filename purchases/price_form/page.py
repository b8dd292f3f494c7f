"""An open card of the price editor as its template draws it (templates/partials/editor/card.html)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from purchases.price_form.cells import Cell
from purchases.price_form.leaves import prices_path
from purchases.price_form.tables import Grid, Limit, Lines, Row, Table, WindowGrid, WindowRow, row_count

if TYPE_CHECKING:
    from purchases.price_form.card import CardForm

# So many currencies stand side by side; more of them make the grid too wide to read.
SIDE_BY_SIDE = 2


class CardPage:
    """
    The cells of a card, sorted into what stands together.

    :ivar grid: what stands above the slabs: fees, credit, limits of quantity, the cycle
    :ivar model: the choice between tiered and volume prices, or None
    :ivar extras: how it is invoiced and what it is called
    :ivar limits: minimum and maximum, of the whole card first, then slab by slab
    """

    def __init__(self, card: "CardForm") -> None:
        self.card = card
        self.by_path = {cell.path[len(card.path) :]: cell for cell in card.cells}
        singles = [self.by_path[leaf.path] for leaf in card.single_leaves()]
        apart = ("pricingModel", "minimumRate", "maximumRate")
        self.grid = [cell for cell in singles if not cell.leaf.extra and cell.path[-1] not in apart]
        self.model = next((cell for cell in singles if cell.path[-1] == "pricingModel"), None)
        self.extras = [cell for cell in singles if cell.leaf.extra]
        self.grids = [self._grid(table) for table in card.tables]
        self.windows = self._windows()
        self.limits = [*self._limits()] if card.tables else []

    @property
    def extras_matter(self) -> bool:
        """Whether those should be in sight: one is changed or wrong."""
        return any(cell.changed or cell.errors for cell in self.extras)

    @property
    def limits_matter(self) -> bool:
        """Whether the limits should be in sight: asked for, or one is set, changed or wrong."""
        return self.card.shows_limits or any(
            cell.text or cell.changed or cell.errors
            for limit in self.limits
            for cell in (limit.least, limit.most)
        )

    @property
    def size(self) -> int:
        """How many fields it posts: its cells in sight, and those that say what they belong to."""
        hidden = 0 if self.limits_matter else 2 * len(self.limits)
        return len(self.by_path) - hidden + 3 + 3 * len(self.card.lines)

    def _rows(self, lines: Lines) -> Iterator[tuple[int, dict[str, Cell]]]:
        for order in range(1, self.card.counts[lines.path] + 1):
            yield order, {part: self.by_path[leaf.path] for part, leaf in lines.leaves(order).items()}

    def _grid(self, table: Table) -> Grid:
        split = len(table.rates) if len(table.rates) <= SIDE_BY_SIDE else 1
        plan_rows, key = row_count(self.card.base, table), self.card.lines_key(table)
        rows = []
        for order, cells in self._rows(table):
            rates = [cells[f"rate {currency}"] for currency in table.rates]
            rows.append(
                Row(
                    order,
                    cells["after"],
                    cells["type"],
                    cells["package"],
                    rates[:split],
                    rates[split:],
                    is_new=plan_rows > 0 and order > plan_rows,
                    is_last=order == self.card.counts[table.path],
                )
            )
        paste, paste_errors = self.card.pastes.get(key, ("", []))
        return Grid(
            key=key,
            currency=table.currency,
            currencies=list(table.rates[:split]),
            others=list(table.rates[split:]),
            rows=rows,
            plan_rows=plan_rows,
            paste=paste,
            paste_errors=paste_errors,
        )

    def _windows(self) -> WindowGrid | None:
        lines = self.card.windows
        if lines is None:
            return None
        plan_rows = row_count(self.card.base, lines)
        rows = [
            WindowRow(
                order,
                cells["units"],
                cells["opens"],
                cells["closes"],
                is_new=plan_rows > 0 and order > plan_rows,
            )
            for order, cells in self._rows(lines)
        ]
        return WindowGrid(self.card.lines_key(lines), rows, plan_rows)

    def _limits(self) -> Iterator[Limit]:
        for currency in self.card.currencies:
            here = (*prices_path(self.card.kind), currency, "rateConfig")
            least, most = self.by_path[(*here, "minimumRate")], self.by_path[(*here, "maximumRate")]
            yield Limit(f"Whole card, {currency}", least, most)
        for table in self.card.tables:
            for order, cells in self._rows(table):
                for currency in table.rates:
                    least, most = cells[f"min {currency}"], cells[f"max {currency}"]
                    yield Limit(f"Slab {order}, {currency}", least, most)
