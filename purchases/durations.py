"""Durations as people say them, "30 days" or "1 year 6 months", and as ISO 8601 does: P30D, P1Y6M."""

import re

from purchases.cards import span

# From the longest to the shortest: how ISO orders them. T comes before hours.
_UNITS = {"Y": "year", "M": "month", "W": "week", "D": "day", "TH": "hour", "TM": "minute", "TS": "second"}
_DESIGNATORS = {word: unit for unit, name in _UNITS.items() for word in (name, f"{name}s")}

_PARTS = re.compile(r"P((?:[0-9]+[YMWD])*)(?:T((?:[0-9]+[HMS])+))?")
_PART = re.compile(r"([0-9]{1,6})\s*([a-z]+)")
_SAID = re.compile(r"[0-9]{1,6}\s*[a-z]+(?:(?:\s*,\s*|\s+and\s+|\s+)[0-9]{1,6}\s*[a-z]+)*")
_SINCE = re.compile(r"\s+(?:from|after)\s+the\s+grant$")

_NOTHING = ("no time", "at once", "0")
_HOW = "Write a duration in words, such as 30 days or 1 month, or as ISO 8601 does, such as P30D."


def iso(text: str) -> str:
    """
    Write a duration as ISO 8601, from words or from ISO itself.

    :raises ValueError: when it is neither ("soon", "a month", "30", "1 week 1 week")
    """
    said = " ".join(text.split())
    if said[:1] in ("P", "p"):
        written = said.upper()
        try:
            span(written)
        except ValueError:
            raise ValueError(_HOW) from None
        return written
    said = _SINCE.sub("", said.lower())
    if said in _NOTHING:
        return "PT0S"
    if not _SAID.fullmatch(said):
        raise ValueError(_HOW)
    parts: dict[str, int] = {}
    for count, word in _PART.findall(said):
        unit = _DESIGNATORS.get(word)
        if unit is None:
            raise ValueError(
                f"“{word[:20]}” is no unit of time: years, months, weeks, days, hours and so on."
            )
        if unit in parts:
            raise ValueError(f"Say the {_UNITS[unit]}s once.")
        parts[unit] = int(count)
    return _written(parts)


def in_words(text: str) -> str:
    """A duration that ISO 8601 wrote: "P30D" is "30 days", "PT0S" is "no time"; anything else as it came."""
    parts = _read(text)
    if parts is None:
        return text
    said = [
        f"{count} {_UNITS[unit]}{'' if count == 1 else 's'}"
        for unit in _UNITS
        if (count := parts.get(unit, 0))
    ]
    return " ".join(said) or "no time"


def as_typed(text: str) -> str:
    """How a field shows a stored duration: in words that lead back to the very same text, else as it is."""
    words = in_words(text)
    try:
        return words if iso(words) == text else text
    except ValueError:
        return text


def twice_as_far(start: str, end: str) -> str:
    """Where a window ends that opens at `end` and is as long as the one before it; "" when unclear."""
    opens, closes = _read(start), _read(end)
    if opens is None or closes is None:
        return ""
    parts = {unit: 2 * closes.get(unit, 0) - opens.get(unit, 0) for unit in _UNITS}
    if any(not 0 <= count < 10**6 for count in parts.values()):
        return ""
    return _written(parts)


def _read(text: str) -> dict[str, int] | None:
    found = _PARTS.fullmatch(text)
    if not found or text == "P":
        return None
    date, time = found.groups()
    parts = {unit: int(count) for count, unit in re.findall(r"([0-9]+)([YMWD])", date or "")}
    return parts | {f"T{unit}": int(count) for count, unit in re.findall(r"([0-9]+)([HMS])", time or "")}


def _written(parts: dict[str, int]) -> str:
    some = {unit: parts[unit] for unit in _UNITS if parts.get(unit)}
    if set(some) - {"W"} and "W" in some:
        # ISO takes weeks alone or not at all.
        some["D"] = some.get("D", 0) + 7 * some.pop("W")
    date = "".join(f"{some[unit]}{unit}" for unit in _UNITS if unit in some and len(unit) == 1)
    time = "".join(f"{some[unit]}{unit[1]}" for unit in _UNITS if unit in some and len(unit) == 2)
    return f"P{date}" + (f"T{time}" if time else "") if some else "PT0S"
