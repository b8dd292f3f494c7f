"""
An override: what a deal changes in its plan, and nothing else.

Four forms of the same thing. *Details* are a plan in the shape of an associationOverride, lists as Togai
writes them. *Keyed* details name the entries of those lists (cards by billable id, rates by currency, slabs
by order). A *stored override* is a merge patch over keyed details: None removes, `{}` changes nothing. What
is *sent* is the complete list of each kind that is touched (togai.md 4.1).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from purchases.cards import CARDS, DETAILS, Group, Json, Number, Rows, Settings, Several, Shape
from purchases.money import number
from togai.strict_json import plain

# What the store holds already; reading it as a number again would cost half the time of an estimate.
_CANONICAL = re.compile(r"0|-?(?:0\.[0-9]{0,39}[1-9]|[1-9][0-9]{0,39}(?:\.[0-9]{0,39}[1-9])?)")

# Nearly all are plain dicts, and asking an abstract class takes three times as long.
_MAPS = (dict, Mapping)

Details = Mapping[str, Any]
Override = Mapping[str, Any]


class Unsendable(ValueError):
    """The override removes the last of something, which Togai's API has no words for (togai.md 4.1)."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(f"{kind} cannot be emptied.")


class Card(NamedTuple):
    """One rate card of a plan: its kind (a key of details), what it bills, its stored form, its name."""

    kind: str
    billable_id: str
    card: Mapping[str, Json]
    label: str


def cards(details: Details) -> Iterator[Card]:
    """Walk over all rate cards, kind by kind, in their order."""
    for kind, rows in CARDS.items():
        for card in details.get(kind) or ():
            billable_id = card[rows.key]
            yield Card(kind, billable_id, card, card.get("displayName") or card.get("name") or billable_id)


def effective(details: Details, override: Override) -> dict[str, Any]:
    """
    Apply a stored override to a plan's details.

    :param override: well formed, as `terms.problems` judges
    :return: full details in stored form: the plan's cards in its order, then new ones by id; slabs by order
    """
    return _applied(keyed(details), override)


def difference(details: Details, changed: Details) -> dict[str, Any]:
    """Say what `changed` has that `details` has not, as a stored override; `{}` when they say the same."""
    return _patch(keyed(details), keyed(changed))


def normalised(details: Details, override: Override) -> dict[str, Any]:
    """Drop from an override what the plan says anyway, and write its numbers canonically."""
    return sides(details, override)[1]


def sides(details: Details, override: Override) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give what takes effect, in keyed form, and the override in minimal form."""
    base = keyed(details)
    whole = keyed(_applied(base, override))
    return whole, _patch(base, whole)


def touched(details: Details, override: Override) -> dict[str, Any]:
    """
    Tell what is sent: for each kind that differs from the plan the complete list, or the whole object.

    :raises Unsendable: when nothing is left of such a kind
    """
    base = keyed(details)
    whole = _applied(base, override)
    changed = _patch(base, keyed(whole))
    for kind in changed:
        if not whole.get(kind):
            raise Unsendable(kind)
    return {kind: whole[kind] for kind in whole if kind in changed}


def from_sent(details: Details, sent: Details) -> dict[str, Any]:
    """Read back what `touched` wrote, from stored form or from parsed JSON with numbers."""
    return difference(details, {**details, **sent})


def keyed(details: Details) -> dict[str, Any]:
    """Turn the lists of details into maps by name, with canonical numbers and without empty kinds."""
    named: dict[str, Any] = _named(DETAILS, canonical(details))
    return {kind: value for kind, value in named.items() if value or kind not in CARDS}


def canonical(value: Mapping[str, Json]) -> dict[str, Any]:
    """Write the numbers of details, or of an override, as the stored form does; leave what is none alone."""
    written: dict[str, Any] = _numbers(DETAILS, value, _text)
    return written


def to_wire(details: Details) -> dict[str, Any]:
    """Turn the numbers of sent details into Decimals, as the wire models and the writer want them."""
    written: dict[str, Any] = _numbers(DETAILS, details, lambda shape, value: number(value))
    return written


def merged(base: Json, patch: Json) -> Json:
    """Apply a merge patch; new names follow the old ones in sorted order, whatever order the store kept."""
    if not isinstance(patch, _MAPS):
        return patch
    result = dict(base) if isinstance(base, _MAPS) else {}
    for name in sorted(patch):
        if patch[name] is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), patch[name])
    return result


def _applied(base: Mapping[str, Json], override: Override) -> dict[str, Any]:
    listed: dict[str, Any] = _listed(merged(base, canonical(override)), DETAILS)
    return {kind: value for kind, value in listed.items() if value or kind not in CARDS}


def _patch(base: Mapping[str, Json], changed: Mapping[str, Json], *, top: bool = True) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    # A kind without a card and a kind that is not there are the same plan.
    empty: set[str] = set(CARDS) if top else set()
    for name in [*changed, *(name for name in base if name not in changed)]:
        before = base.get(name, {} if name in empty else None)
        after = changed.get(name, {} if name in empty else None)
        if before == after:
            continue
        if isinstance(before, _MAPS) and isinstance(after, _MAPS):
            patch[name] = _patch(before, after, top=False)
        else:
            patch[name] = after
    return patch


def _named(shape: Shape, value: Json) -> Json:
    match shape:
        case Group() if isinstance(value, _MAPS):
            return {
                name: _named(shape.fields[name], inner) if name in shape.fields else inner
                for name, inner in value.items()
                if inner is not None
            }
        case Rows() if isinstance(value, list) and all(isinstance(entry, _MAPS) for entry in value):
            rows: dict[str, Json] = {}
            for position, entry in enumerate(value, start=1):
                row = _named(shape.row, entry)
                own_name = name = str(row.get(shape.key, position))
                # Togai's rule is one card per item, but a sample of its own breaks it (togai.md 6, row 17).
                while name in rows:
                    name = f"{own_name}#{len(rows) + 1}"
                if name == own_name:
                    row.pop(shape.key, None)
                rows[name] = row
            return rows
        case _:
            return value


def _listed(details: Json, shape: Shape) -> Any:
    match shape:
        case Group() if isinstance(details, _MAPS):
            return {
                name: _listed(inner, shape.fields[name]) if name in shape.fields else inner
                for name, inner in details.items()
            }
        case Rows() if isinstance(details, _MAPS):
            names = sorted(details, key=_row_number) if shape.numbered else list(details)
            return [_row(shape, name, details[name]) for name in names]
        case _:
            return details


def _row(shape: Rows, name: str, value: Json) -> Json:
    row = _listed(value, shape.row)
    if not shape.key or not isinstance(row, dict):
        return row
    return {shape.key: int(name) if shape.numbered and name.isdecimal() else name} | row


def _row_number(name: str) -> tuple[int, str]:
    number_of_row = name.split("#", maxsplit=1)[0]
    return (int(number_of_row) if number_of_row.isdecimal() else 0, name)


def _numbers(shape: Shape, value: Json, write: Callable[[Shape, Json], Json]) -> Json:
    """Rewrite every number that `shape` knows, in details or in an override."""
    match shape:
        case Group() if isinstance(value, _MAPS):
            return {
                name: _numbers(shape.fields[name], inner, write) if name in shape.fields else inner
                for name, inner in value.items()
            }
        case Rows() if isinstance(value, _MAPS):
            return {name: _numbers(shape.row, inner, write) for name, inner in value.items()}
        case Rows() if isinstance(value, list):
            return [_numbers(shape.row, inner, write) for inner in value]
        case Several() if isinstance(value, list):
            return [_numbers(shape.of, _without_nulls(inner), write) for inner in value]
        case Settings() if isinstance(value, _MAPS):
            # Text on the wire, although old answers hold numbers (togai.md 6, row 10).
            return {
                name: _text(shape, inner) if name in shape.keys else inner for name, inner in value.items()
            }
        case Number():
            return write(shape, value)
        case _:
            return value


def _without_nulls(value: Json) -> Json:
    # Such an entry is replaced as a whole, so a null in it removes nothing; Togai writes null for absent.
    if isinstance(value, _MAPS):
        return {name: inner for name, inner in value.items() if inner is not None}
    return value


def _text(_shape: Shape, value: Json) -> Json:
    if isinstance(value, str) and _CANONICAL.fullmatch(value):
        return value
    if isinstance(value, int | Decimal | str) and not isinstance(value, bool):
        try:
            return plain(number(value))
        except ValueError:
            return value
    return value
