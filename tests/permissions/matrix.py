"""docs/permissions.toml as cells to try, and the addresses that really exist."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.urls import URLPattern, get_resolver

FILE = Path(__file__).parents[2] / "docs" / "permissions.toml"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
# Answers in words: to the sign-in page; this cannot occur.
LOGIN, NEVER = "login", "-"

# What a program may ask for; to all other pages it is a stranger.
FOR_PROGRAMS = ("api:", "health_json")


@dataclass(frozen=True)
class Cell:
    """
    One question of the matrix: what does this caller get for this?

    :ivar thing: what the address is about, e.g. "draft"; "" where it is about nothing single
    :ivar how: what is special about the request, e.g. "stale"; "" mostly
    :ivar answer: a status as text, or "login"
    """

    name: str
    method: str
    thing: str
    how: str
    caller: str
    answer: str

    def __str__(self):
        about = "/".join(part for part in (self.thing, self.how) if part)
        return " ".join(part for part in (self.name, self.method, about, self.caller) if part)


@dataclass(frozen=True)
class Entry:
    """
    One address of the matrix with its rows: (method, thing, how) → answers in the order of the columns.

    :ivar like: the address whose answers it has, "" for one with its own
    """

    name: str
    what: str
    like: str
    part: bool
    rows: dict

    def methods(self):
        return {method for method, _, _ in self.rows}


@cache
def columns():
    """The callers, in their order, with what they are in words."""
    return _read()["columns"]


@cache
def things():
    """The words for what an address is about and for how it is asked, each with its meaning."""
    return _read()["words"]


@cache
def entries():
    """
    Every address of the matrix by name.

    :raises ValueError: the file contradicts itself, with the place in words
    """
    addresses = _read()["addresses"]
    return {name: _entry(name, addresses) for name in addresses}


def cells():
    """Every cell that can occur, in the order of the file."""
    return [
        Cell(entry.name, method, thing, how, caller, answer)
        for entry in entries().values()
        for (method, thing, how), answers in entry.rows.items()
        for caller, answer in zip(columns(), answers, strict=True)
        if answer != NEVER
    ]


@cache
def routes():
    """The `addresses` of the product."""
    return addresses(get_resolver())


def addresses(resolver, namespace="", route=""):
    """
    Every URL pattern that a resolver knows: name with namespace → route; one without a name by its route.
    """
    found = {}
    for pattern in resolver.url_patterns:
        here = route + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            found[namespace + pattern.name if pattern.name else f"/{here}"] = here
        else:
            inside = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            found |= addresses(pattern, inside, here)
    return found


@cache
def _read():
    return tomllib.loads(FILE.read_text())


def _entry(name, addresses):
    given = addresses[name]
    like = given.get("like")
    if like and "answers" in given:
        raise ValueError(f"{name}: either answers or like.")
    if like and "like" in addresses.get(like, {"like": "nothing"}):
        raise ValueError(f"{name}: {like} has no answers of its own.")
    source = addresses[like] if like else given
    return Entry(
        name=name,
        what=given.get("what") or source["what"],
        like=like or "",
        part=source.get("part", False),
        rows=_rows(name, source["answers"]),
    )


def _rows(name, table):
    head, *lines = [line.split() for line in table.strip().splitlines()]
    if head != list(columns()):
        raise ValueError(f"{name}: the head names {head}, not the columns.")
    rows = {}
    for line in lines:
        methods, rest = line[0].split(","), line[1:]
        asked = rest.pop(0) if len(rest) == len(head) + 1 else ""
        if len(rest) != len(head):
            raise ValueError(f"{name}: {len(rest)} answers for {len(head)} columns in: {' '.join(line)}")
        thing, _, how = asked.partition("/")
        for method in methods:
            if method not in METHODS:
                raise ValueError(f"{name}: there is no method {method}.")
            if (method, thing, how) in rows:
                raise ValueError(f"{name}: {method} {asked} stands there twice.")
            rows[method, thing, how] = tuple(rest)
    if not rows:
        raise ValueError(f"{name} has no row.")
    return rows
