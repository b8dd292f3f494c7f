"""
The cells of the price editor: what a place of a card is called, and how its text is read and written.

Plain values, no Django. A cell is named after its path in keyed details (`name_of`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import quote

from purchases import durations
from purchases.cards import number_problem
from purchases.money import number
from togai.strict_json import plain

Path = tuple[str, ...]
Stored = Any  # what stands in a card: str, int, bool, list, or None for nothing

YES_OR_NO = (("true", "Yes"), ("false", "No"))

# Togai's words for whole groups of what credit may be spent on.
_GROUPS = {
    "ALL_USAGE_METER_RATE_CARDS": "All usage",
    "ALL_FIXED_FEE_RATE_CARDS": "All fixed fees",
}
_GROUP_IDS = {name.lower(): group for group, name in _GROUPS.items()}
_CURRENCY = re.compile(r"[A-Z]{3}")


class Kind(StrEnum):
    """What may stand in a cell."""

    NUMBER = "number"
    WHOLE = "whole"
    CHOICE = "choice"
    FLAG = "flag"
    TEXT = "text"
    DURATION = "duration"
    LIST = "list"
    CURRENCIES = "currencies"


@dataclass(frozen=True)
class Leaf:
    """
    A place of a card that has a cell: its path inside the card and what people call it.

    :ivar optional: whether it may be left unsaid; a choice then offers that
    :ivar extra: whether it belongs to the settings that a card shows on demand
    """

    path: Path
    label: str
    kind: Kind = Kind.NUMBER
    choices: tuple[tuple[str, str], ...] = ()
    unit: str = ""
    help: str = ""
    optional: bool = False
    extra: bool = False


@dataclass
class Cell:
    """
    One value on the page.

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

    @cached_property
    def id(self) -> str:
        """The id of the input."""
        return f"id_{self.name}"

    @cached_property
    def changed(self) -> bool:
        """Whether it says something else than the plan."""
        return self.plan is not None and said(self.leaf, self.text) != said(self.leaf, self.plan)

    @property
    def plan_says(self) -> str:
        """The plan's value in words."""
        if not self.plan:
            return "none"
        return dict(self.leaf.choices).get(self.plan, ", ".join(self.plan.split("\n")))

    @property
    def is_choice(self) -> bool:
        """Whether it is chosen from a list."""
        return self.leaf.kind in (Kind.CHOICE, Kind.FLAG)

    @property
    def described(self) -> str:
        """The ids of what is said about it: a help, the other way to write it, the plan's value, errors."""
        parts = {"_help": self.leaf.help, "_aside": self.aside, "_plan": self.changed, "_error": self.errors}
        return " ".join(f"{self.id}{suffix}" for suffix, there in parts.items() if there)

    @property
    def keyboard(self) -> str:
        """What a phone should offer to type with."""
        return {Kind.NUMBER: "decimal", Kind.WHOLE: "numeric"}.get(self.leaf.kind, "text")

    @property
    def options(self) -> list[tuple[str, str]]:
        """What may be chosen; a word of the plan's that we do not know stays choosable."""
        known = list(self.leaf.choices)
        if self.leaf.optional or self.plan == "" or not self.text:
            known.insert(0, ("", "Not set"))
        return known if any(value == self.text for value, _ in known) else [(self.text, self.text), *known]

    @property
    def aside(self) -> str:
        """A duration the other way: words where ISO was typed, ISO where words were; "" for the rest."""
        if self.leaf.kind != Kind.DURATION:
            return ""
        try:
            written = durations.iso(self.text)
        except ValueError:
            return ""
        return durations.in_words(written) if self.text.strip()[:1] in ("P", "p") else written


@lru_cache(maxsize=4096)
def _quoted(part: str) -> str:
    return quote(part, safe="")


def key_of(path: Path) -> str:
    """How posted names call a place; ids of Togai's are opaque, so each part is quoted."""
    return "/".join(_quoted(part) for part in path)


def name_of(path: Path) -> str:
    """The name of the input for a path."""
    return f"o/{key_of(path)}"


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


def written(leaf: Leaf, value: Stored) -> str:
    """The text that stands for a stored value; "" for none, and for what is no value of this kind."""
    match leaf.kind:
        case _ if isinstance(value, bool):
            return str(value).lower() if leaf.kind == Kind.FLAG else ""
        case Kind.LIST | Kind.CURRENCIES if isinstance(value, list):
            names = [str(name) for name in value]
            return (
                ", ".join(names)
                if leaf.kind == Kind.CURRENCIES
                else "\n".join(_GROUPS.get(name, name) for name in names)
            )
        case Kind.DURATION if isinstance(value, str):
            return durations.as_typed(value)
        case _:
            return str(value) if isinstance(value, str | int) else ""


def read(leaf: Leaf, text: str) -> tuple[Stored, str]:
    """The stored value that a text stands for, None for none, and what is wrong with it or ""."""
    text = text.strip()
    if not text:
        return None, "Name at least one currency." if leaf.kind == Kind.CURRENCIES else ""
    match leaf.kind:
        case Kind.NUMBER:
            return _number(text)
        case Kind.WHOLE:
            message = whole_problem(text)
            return (None, message) if message else (int(text), "")
        case Kind.CHOICE:
            known = any(text == value for value, _ in leaf.choices)
            return (text, "") if known else (None, "Choose one of the list.")
        case Kind.FLAG:
            return (text == "true", "") if text in ("true", "false") else (None, "Choose yes or no.")
        case Kind.DURATION:
            try:
                return durations.iso(text), ""
            except ValueError as refusal:
                return None, str(refusal)
        case Kind.LIST:
            names = [name.strip() for name in text.splitlines() if name.strip()]
            return [_GROUP_IDS.get(name.lower(), name) for name in names], ""
        case Kind.CURRENCIES:
            return _currencies(text)
        case _:
            return text, ""


@lru_cache(maxsize=4096)
def _number(text: str) -> tuple[str | None, str]:
    message = plain_problem(text)
    return (None, message) if message else (plain(Decimal(text)), "")


def said(leaf: Leaf, text: str) -> Stored:
    """What a text says, for comparing: the same for all ways to write one value."""
    value, message = read(leaf, text)
    return text.strip() if message else value


def _currencies(text: str) -> tuple[Stored, str]:
    names = [name for name in re.split(r"[\s,;]+", text.upper()) if name]
    for place, name in enumerate(names):
        if not _CURRENCY.fullmatch(name):
            return None, f"A currency is three letters, such as EUR; “{name[:20]}” is none."
        if name in names[:place]:
            return None, f"{name} is there twice."
    return names, "" if names else "Name at least one currency."


def at(card: Any, path: Path) -> Any:
    """What stands at a path of a card; entries of a list are counted from 1. None for nothing."""
    for part in path:
        # Asking a plain dict first is ten times as quick as asking for what behaves like one.
        if isinstance(card, dict) or isinstance(card, Mapping):  # noqa: SIM101
            card = card.get(part)
        elif isinstance(card, list) and part.isdecimal() and 1 <= int(part) <= len(card):
            card = card[int(part) - 1]
        else:
            return None
    return card


def put(card: dict[str, Any], path: Path, value: Stored) -> None:
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
