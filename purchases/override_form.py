"""
The prices of a plan as a form: every number that a deal may change is a cell of text beside the plan's own.

Plain values in, a stored override out (`overrides.difference`). A cell is named after its path in the keyed
details, so an error of `terms.problems` finds it. What no cell stands for (a card that another program added,
say) is carried along untouched. Nothing here knows Django; the templates are partials/editor/*.html.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from purchases import overrides
from purchases.cards import CARDS
from purchases.override_card import CardForm
from purchases.override_cells import Path

# Kinds without a list of cards: one object, whose path has no billable id.
SINGLES = ("minimumCommitment", "pricingCycleConfig")

# A page posts at most 2,500 fields; this leaves room for all others.
MOST_CELLS = 1500


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
