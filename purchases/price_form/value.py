"""The card that the texts of the price editor make, in keyed form."""

import copy
from typing import TYPE_CHECKING, Any

from purchases.price_form.cells import Path, at, put
from purchases.price_form.leaves import ANNIVERSARY, prices_path
from purchases.price_form.tables import Lines, Windows

if TYPE_CHECKING:
    from purchases.price_form.card import CardForm


def made(form: "CardForm") -> Any:
    """What a card says; None when it is left out. What no cell stands for stays as it was."""
    if form.is_removed:
        return None
    if not form.is_open:
        return form.current
    if form.kind == "supportedCurrencies":
        return form.read(form.leaves[0])[0]
    card: dict[str, Any] = copy.deepcopy(dict(form.current))
    for lines in form.lines:
        _fit_rows(form, card, lines)
    for leaf in form.leaves:
        put(card, leaf.path, form.read(leaf)[0])
    _drop_empty(form, card)
    _drop_prices(form, card)
    if form.texts.get(ANNIVERSARY) == "true" and not at(form.current, ANNIVERSARY):
        card.pop("startOffset", None)
    return card


def _fit_rows(form: "CardForm", card: dict[str, Any], lines: Lines) -> None:
    """Cut off rows that are not on the page any more; a list gets room for new ones."""
    count = form.counts[lines.path]
    for path in lines.maps:
        rows = at(card, path)
        if isinstance(lines, Windows):
            kept = list(rows or [])[:count]
            put(card, path, kept + [{} for _ in range(count - len(kept))])
        elif isinstance(rows, dict):
            for order in [name for name in rows if int(name) > count]:
                del rows[order]


def _drop_empty(form: "CardForm", card: dict[str, Any]) -> None:
    """Leave out objects that only the empty cells of the page would have made."""
    for holder in {leaf.path[:-1] for leaf in form.leaves}:
        if holder and at(card, holder) == {} and not _had(form, holder):
            above = at(card, holder[:-1])
            if isinstance(above, dict):
                del above[holder[-1]]


def _had(form: "CardForm", holder: Path) -> bool:
    """Whether an object without content was there before: in the plan, or stored just so."""
    return at(form.base, holder) is not None or at(form.current, holder) == {}


def _drop_prices(form: "CardForm", card: dict[str, Any]) -> None:
    """Leave out the deal's own prices in currencies that it sells in no more, or says nothing in."""
    here = prices_path(form.kind)
    prices = at(card, here)
    if not isinstance(prices, dict):
        return
    for currency in form.dropped:
        prices.pop(currency, None)
    said = {leaf.unit for leaf in form.leaves if leaf.unit and form.texts.get(leaf.path, "").strip()}
    for currency in form.currencies:
        was_there = all(at(card, (*here, currency)) is not None for card in (form.base, form.current))
        if currency in prices and currency not in said and not was_there:
            del prices[currency]
