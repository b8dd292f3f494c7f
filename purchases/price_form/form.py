"""
The prices of a plan as a form: every value that a deal may change is a cell of text beside the plan's own.

Plain values in, a stored override out (`overrides.difference`). A cell is named after its path in the keyed
details, so an error of `terms.problems` finds it. Beside cells (`o/…`) a page posts per card `open/…` (it has
inputs, also when the plan has no such card), `gone/…` (the deal goes without it), `plan/…` (what is stored is
forgotten), `limits/…`, and per table `rows/…`, `paste/…` and `paste_at/…`. What no cell stands for is carried
along untouched. Nothing here knows Django; the templates are partials/editor/*.html.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from purchases import overrides
from purchases.cards import CARDS, MAX_CARDS, Text, shape_problems
from purchases.price_form import rows
from purchases.price_form.card import CardForm
from purchases.price_form.cells import Path, key_of
from purchases.price_form.leaves import ONE_OF, SINGLES, new_card
from purchases.price_form.tables import Table

# A page posts at most 2,500 fields; this leaves room for those that are not of its cards.
MOST_CELLS = 1500

# Posted names of a page's cards begin with one of these.
PREFIXES = ("o/", "open/", "gone/", "plan/", "limits/", "rows/", "paste/", "paste_at/", "add/")
ADD_NAMES = ("add/kind", "add/id")

_CURRENCIES = "supportedCurrencies"


class OverrideForm:
    """
    All cards that a deal may change, in the order of the plan.

    :param details: the plan's, in stored form
    :param override: the stored override that the page starts from
    :param kinds: which kinds the deal's type may change
    :param currency: the account's; "" when it is not known
    :ivar adding: what is typed where a card is added: its kind and the id of what it bills
    :ivar add_error: why it was not added, or ""
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
        self.kinds = tuple(kinds)
        self.currency = currency
        self.before = overrides.keyed(details)
        self.now = overrides.keyed(overrides.effective(details, override))
        self.offered = tuple(details.get(_CURRENCIES) or ())
        self.adding, self.add_error = ("", ""), ""
        self.added: CardForm | None = None
        self.past_names: set[str] = set()
        self.cards: list[CardForm] = []
        stored = self.now.get(_CURRENCIES) or ()
        for kind in self.kinds:
            for billable_id, base, current in self._pairs(kind):
                self.cards.append(
                    CardForm(
                        kind,
                        billable_id,
                        base=base,
                        current=current,
                        currency=currency,
                        wanted=self._wanted(stored, is_added=base is None),
                    )
                )

    def _pairs(self, kind: str) -> Iterator[tuple[str, Any, Any]]:
        before, now = self.before.get(kind), self.now.get(kind)
        if kind in CARDS:
            for billable_id in dict.fromkeys([*(before or {}), *(now or {})]):
                yield billable_id, (before or {}).get(billable_id), (now or {}).get(billable_id)
        elif before or now:
            yield "", before, now

    def _wanted(self, sold_in: Iterable[str], *, is_added: bool) -> list[str]:
        """What a card is asked for: currencies that the deal adds, and the account's if it is sold in."""
        return [
            name for name in sold_in if is_added or name not in self.offered or name == self.currency
        ] or ([self.currency] if is_added and self.currency else [])

    def card(self, key: str) -> CardForm | None:
        """The card that posted names call so."""
        return next((card for card in self.cards if card.key == key), None)

    # --- What is posted ---

    def take(self, typed: Mapping[str, str]) -> None:
        """Take over what was typed into the cards that were open on the page, new ones included."""
        self.adding = typed.get("add/kind", ""), typed.get("add/id", "")
        known = {card.key for card in self.cards}
        for name in typed:
            if name.startswith("open/") and name.removeprefix("open/") not in known:
                kind, _, quoted = name.removeprefix("open/").partition("/")
                if not self._refusal(kind, unquote(quoted)):
                    self._welcome(kind, unquote(quoted), "")
        # Which currencies there are decides which cells the others have.
        currencies = self.card(_CURRENCIES)
        if currencies:
            currencies.take(typed)
            self._lay_out()
        for card in self.cards:
            if card is not currencies:
                card.take(typed)
        by_key = {card.key: card for card in self.cards}
        for name in typed:
            parts = name.split("/", 3)
            card = by_key.get("/".join(parts[1:3])) or by_key.get("".join(parts[1:2]))
            if parts[0] == "o" and card and card.is_past(name):
                self.past_names.add(name)
            # A card of the deal's own that was taken out is out, whoever has saved that already.
            if parts[0] == "gone" and card is None and parts[1] in self.kinds:
                self.past_names.add(name)

    def _lay_out(self) -> None:
        card, stored = self.card(_CURRENCIES), self.now.get(_CURRENCIES) or []
        sold_in = (card.value if card and not card.has_errors else None) or stored
        dropped = [name for name in stored if name not in sold_in]
        for card in self.cards:
            card.lay_out(self._wanted(sold_in, is_added=card.is_added), dropped)

    def names(self) -> set[str]:
        """Every name that the page may post for its cards."""
        found = {*ADD_NAMES, *self.past_names}
        for card in self.cards:
            found |= card.names()
        return found

    # --- What a button does ---

    def do(self, verb: str, target: str, names: Mapping[str, str] | None = None, anchor: str = "") -> None:
        """
        Do what a button of the page says.

        :param verb: `open`, `reset`, `remove_card`, `add_card`, `currencies`, `limits`, `add_slab`,
            `remove_slab`, `raise_slab`, `lower_slab` (also for windows) or `paste_slabs`
        :param target: the key of a card, the name of a cell, or the key of a table with the row's number
        :param names: what people call the things that a new card may bill, by id
        :param anchor: the name of the cell that rows were pasted into; "" for a whole table
        """
        match verb:
            case "add_card":
                self._add(*self.adding, names or {})
            case "currencies":
                self._open_lacking()
            case "open" | "reset" | "remove_card" | "limits":
                self._do_to_card(verb, target)
            case _:
                self._do_to_rows(verb, target, anchor)

    def _do_to_card(self, verb: str, target: str) -> None:
        for card in self.cards:
            if card.key == target:
                match verb:
                    case "open":
                        card.open()
                    case "reset":
                        card.reset()
                    case "remove_card":
                        self._remove(card)
                    case "limits":
                        card.shows_limits = True
                self._make_room(card)
            elif verb == "reset" and card.is_open:
                for cell in card.cells:
                    if cell.name == target:
                        card.reset_cell(cell.path[len(card.path) :])
        if verb == "reset" and target in (_CURRENCIES, f"o/{_CURRENCIES}"):
            self._lay_out()

    def _do_to_rows(self, verb: str, target: str, anchor: str) -> None:
        key, order = _row(target)
        for card in self.cards:
            lines = card.line(key) if card.is_open else None
            if lines is None:
                continue
            match verb:
                case "add_slab":
                    rows.add(card, lines)
                case "remove_slab":
                    rows.remove(card, lines, order)
                case "raise_slab":
                    rows.move(card, lines, order, order - 1)
                case "lower_slab":
                    rows.move(card, lines, order, order + 1)
                case "paste_slabs" if isinstance(lines, Table):
                    rows.paste(card, lines, anchor)

    def _add(self, kind: str, billable_id: str, names: Mapping[str, str]) -> None:
        billable_id = "" if kind in SINGLES else billable_id.strip()
        gone = self.card(key_of((kind, billable_id) if billable_id else (kind,)))
        if gone and gone.is_removed and not gone.is_added:
            gone.reset()
            self.added = gone
        else:
            if gone and gone.is_removed:
                self.cards.remove(gone)
            self.add_error = self._refusal(kind, billable_id)
            if self.add_error:
                return
            self.added = self._welcome(kind, billable_id, names.get(billable_id, ""))
            self._make_room(self.added)
        self.adding = "", ""

    def _refusal(self, kind: str, billable_id: str) -> str:
        """Why there can be no such new card; "" when there can."""
        if kind not in self.kinds:
            return "Choose what kind of card it is."
        if kind in SINGLES:
            return "The deal has one already." if billable_id or self.card(kind) else ""
        fault = next(shape_problems(Text(50), billable_id), None)
        if fault:
            return "Say what it bills." if not billable_id else f"That is no id of Togai's: {fault.message}"
        if self.card(key_of((kind, billable_id))):
            return f"There is a card of this kind for {billable_id}; change that one."
        if sum(card.kind == kind and not card.is_removed for card in self.cards) >= MAX_CARDS:
            return f"At most {MAX_CARDS} cards of a kind."
        return ""

    def _welcome(self, kind: str, billable_id: str, name: str) -> CardForm:
        sold_in = self.now.get(_CURRENCIES) or ()
        card = CardForm(
            kind,
            billable_id,
            base=None,
            current=new_card(kind, name=name, recurs="pricingCycleConfig" in self.kinds),
            currency=self.currency,
            wanted=self._wanted(sold_in, is_added=True),
        )
        self.cards.append(card)
        self.cards.sort(key=lambda card: self.kinds.index(card.kind))
        self._lay_out()
        return card

    @property
    def rows(self) -> Iterator[tuple[CardForm, bool]]:
        """Every card, and whether the deal may go without it."""
        for card in self.cards:
            yield card, self.may_remove(card)

    def may_remove(self, card: CardForm) -> bool:
        """Whether Togai can be told that the deal goes without this card (togai.md 4.1)."""
        if card.is_added:
            return True
        if card.kind in SINGLES:
            return False
        return any(
            other is not card and other.kind == card.kind and not other.is_removed for other in self.cards
        )

    def _remove(self, card: CardForm) -> None:
        if self.may_remove(card):
            card.remove()

    def _open_lacking(self) -> None:
        """Open the cards that lack a price in a currency that is asked for, as many as fit on a page."""
        for card in self.cards:
            if card.lacks and not card.is_open and self._drawn() < MOST_CELLS:
                card.open()
                if self._drawn() > MOST_CELLS:
                    card.close()

    def _drawn(self) -> int:
        return sum(card.page.size for card in self.cards if card.is_open)

    def _make_room(self, kept: CardForm) -> None:
        """Close cards that say what the plan says, while a page has more cells than it may post."""
        idle = (card for card in self.cards if card.is_open and card is not kept and not card.changed)
        while self._drawn() > MOST_CELLS and (card := next(idle, None)):
            card.close()

    def first_of(self, verb: str, target: str) -> str:
        """The name of the input that deserves the focus after `do`; "" when there is none."""
        if verb == "add_card":
            if self.added:
                return self._first_cell(self.added)
            return "add/id" if self.adds_billable else "add/kind"
        key, order = _row(target)
        for card in self.cards:
            if verb == "remove_card" and card.key == target and card.is_removed:
                return "add/kind" if card.is_added else card.gone_name
            if verb in ("open", "reset", "limits") and card.key == target:
                if verb == "limits" and card.page.limits:
                    return card.page.limits[0].least.name
                return self._first_cell(card)
            if verb == "reset" and card.is_open and any(cell.name == target for cell in card.cells):
                return target
            lines = card.line(key) if card.is_open and verb.endswith(("_slab", "_slabs")) else None
            if lines is not None:
                if card.lines_key(lines) in card.pastes:
                    return f"paste/{key}"
                last = card.counts[lines.path]
                order += {"add_slab": last - order, "raise_slab": -1, "lower_slab": 1}.get(verb, 0)
                leaves = lines.leaves(min(max(order, 1), last))
                return f"o/{key_of((*card.path, *next(iter(leaves.values())).path))}"
        return ""

    def _first_cell(self, card: CardForm | None) -> str:
        if card is None or not card.is_open:
            return ""
        page = card.page
        if page.grid:
            return page.grid[0].name
        if page.windows:
            return page.windows.rows[0].units.name
        return page.grids[0].rows[0].rates[0].name if page.grids and page.grids[0].rows else ""

    # --- What it says ---

    @property
    def patch(self) -> dict[str, Any]:
        """The stored override that the cells say: only what differs from the plan (G-02)."""
        whole = copy.copy(self.now)
        for card in self.cards:
            if card.kind in CARDS:
                rows = whole[card.kind] = dict(whole.get(card.kind, {}))
                if card.value is None:
                    rows.pop(card.billable_id, None)
                else:
                    rows[card.billable_id] = card.value
            elif card.value is None:
                whole.pop(card.kind, None)
            else:
                whole[card.kind] = card.value
        return overrides.difference(self.details, whole)

    @property
    def has_errors(self) -> bool:
        """Whether a cell or a card has something wrong."""
        return any(card.has_errors for card in self.cards)

    @property
    def problems(self) -> Iterator[tuple[str, str, str]]:
        """Everything that is wrong, in the order of the page: (id of the place, label, message)."""
        for card in self.cards:
            yield from card.problems

    @property
    def inputs(self) -> set[str]:
        """The ids of everything that can take the focus."""
        found = set()
        for card in self.cards:
            if card.is_open:
                found |= {cell.id for cell in card.cells}
                found |= {f"id_paste/{key}" for key in card.pastes}
        return found

    @property
    def changed(self) -> bool:
        """Whether something differs from the plan."""
        return any(card.changed for card in self.cards)

    @property
    def changed_count(self) -> int:
        """How many cards differ from the plan."""
        return sum(1 for card in self.cards if card.changed)

    @property
    def addable(self) -> list[tuple[str, str]]:
        """The kinds of cards that may be added, with their names."""
        return [
            (kind, ONE_OF[kind].capitalize())
            for kind in self.kinds
            if kind in CARDS or not (card := self.card(kind)) or (card.is_removed and card.is_added)
        ]

    @property
    def adding_kind(self) -> str:
        """The kind that is chosen where a card is added; "" while none is."""
        chosen = self.adding[0]
        return chosen if any(kind == chosen for kind, _ in self.addable) else ""

    @property
    def adds_billable(self) -> bool:
        """Whether that kind bills something that has to be named."""
        return self.adding_kind in CARDS

    def blame(self, path: Path, message: str) -> bool:
        """
        Put an error where it belongs: at the cell of the path, at the nearest one, or at the card.

        :returns: whether there is such a place
        """
        for card in self.cards:
            if path[: len(card.path)] == card.path:
                card.blame(path[len(card.path) :], message)
                return True
        return False

    def carried_to(self, details: Mapping[str, Any], kinds: Iterable[str], currency: str) -> "OverrideForm":
        """The same changes upon another version of the plan, for the cards that it has and the deal's own."""
        has = overrides.keyed(details)
        patch = {}
        for kind, change in self.patch.items():
            if kind in CARDS:
                before = self.before.get(kind, {})
                kept = {
                    name: value
                    for name, value in change.items()
                    if name in has.get(kind, {}) or name not in before
                }
                if kept:
                    patch[kind] = kept
            elif kind in has or kind not in self.before:
                patch[kind] = change
        new = OverrideForm(details, patch, kinds=kinds, currency=currency)
        for card in self.cards:
            same = new.card(card.key)
            if same is None or not any(card.cell_errors.values()):
                continue
            # What could not be read is typed text all the same.
            same.open()
            for path, errors in card.cell_errors.items():
                if errors and path in same.texts:
                    same.texts[path] = card.texts[path]
            same.judge()
        return new


def _row(target: str) -> tuple[str, int]:
    """The key of slabs or windows and the number of a row of theirs, 0 for none."""
    key, _, number = target.partition("#")
    return key, int(number) if number.isascii() and number.isdecimal() and len(number) < 4 else 0
