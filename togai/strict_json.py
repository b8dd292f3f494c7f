"""
The one gate for JSON that a stranger hands in, and the one writer of what we send.

Stock parsers crash on deep nesting and long integers, keep the last of two equal keys, and take NaN (S-08).
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

import simplejson

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20
MAX_NODES = 5_000
MAX_KEY = 200
MAX_INTEGER = 2**53
MAX_MAGNITUDE = 30
SIGNIFICANT_DIGITS = 15

# Possessive, with an optional end: a text of unclosed quotes must not be scanned once per quote.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{\]}]', re.DOTALL)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class JSONRefused(ValueError):
    """The text is not JSON that we take in; the message tells a person why."""


def loads(
    text: str | bytes,
    *,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
    max_nodes: int = MAX_NODES,
    max_key: int = MAX_KEY,
    escape_unstorable: bool = False,
) -> object:
    """
    Read JSON text; numbers with a fraction or an exponent become Decimal, other numbers int.

    :param max_bytes: size of the text in UTF-8
    :param max_nodes: objects, lists and plain values together
    :param max_key: characters in one key
    :param escape_unstorable: write U+0000 and unpaired surrogates as visible ``\\u0000`` instead of refusing
        them: for answers that must be kept as evidence, never for what people hand in
    :raises JSONRefused: whatever is wrong with it
    """
    plain_text = _decoded(text, max_bytes)
    _measure_depth(plain_text, max_depth)

    def keep_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
        return _pairs(pairs, max_key, escape_unstorable)

    try:
        value = json.loads(
            plain_text,
            parse_float=_fraction,
            parse_int=_integer,
            parse_constant=_refuse_constant,
            object_pairs_hook=keep_pairs,
        )
    except JSONRefused:
        raise
    except json.JSONDecodeError as problem:
        raise JSONRefused(f"Not valid JSON (line {problem.lineno}, column {problem.colno}).") from None
    return _checked(value, max_nodes, escape_unstorable)


def dumps(value: object) -> bytes:
    """
    Write canonical JSON in UTF-8: keys sorted, no spaces, Decimals as plain numbers without exponent.

    :raises ValueError: for a float, a number that is not finite, more than 15 significant digits (a server
        that counts in binary doubles would change it), an int over 2**53, a key that is not text, text with
        U+0000 or an unpaired surrogate, or a type that JSON does not know
    """
    written: str = simplejson.dumps(
        _writable(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return written.encode("utf-8")


def plain(number: Decimal) -> str:
    """The canonical text of a finite Decimal: "0.01", "100", never "1E+2", "1.0" or "-0"."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def significant_digits(number: Decimal) -> int:
    """How many digits a finite Decimal needs, zeros at either end left out: 3 for 12.30, 1 for 5000."""
    return len("".join(map(str, number.as_tuple().digits)).strip("0")) or 1


def _decoded(text: str | bytes, max_bytes: int) -> str:
    if isinstance(text, str):
        # A str may hold unpaired surrogates, which have no UTF-8 form; they are judged with the values.
        size, decoded = len(text.encode("utf-8", "surrogatepass")), text
    else:
        size = len(text)
    if size > max_bytes:
        raise JSONRefused(f"Too large (at most {max_bytes // 1024} KB).")
    if not isinstance(text, str):
        try:
            decoded = text.decode("utf-8")
        except UnicodeDecodeError:
            raise JSONRefused("Not UTF-8 text.") from None
    if decoded.startswith("\ufeff"):
        raise JSONRefused("Starts with a byte order mark; plain UTF-8 is needed.")
    return decoded


def _measure_depth(text: str, max_depth: int) -> None:
    """Count brackets before any parser sees the text: a parser's stack is what deep nesting breaks."""
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        mark = token[0][0]
        if mark in "[{":
            depth += 1
            if depth > max_depth:
                raise JSONRefused(f"Nested too deeply (at most {max_depth} levels).")
        elif mark in "]}":
            depth -= 1


def _integer(digits: str) -> int:
    # 2**53 has 16 digits. Longer texts are refused unread: int() itself gives up at 4,300 digits.
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise JSONRefused("A whole number is too large (at most 2 to the power of 53).")
    return int(digits)


def _fraction(digits: str) -> Decimal:
    try:
        number = Decimal(digits)
    except InvalidOperation:
        raise JSONRefused("A number is too large or too small.") from None
    if len(digits) > 100 or not -MAX_MAGNITUDE <= number.adjusted() <= MAX_MAGNITUDE:
        raise JSONRefused(f"A number is too large, too small or too long (at most {MAX_MAGNITUDE} digits).")
    return number


def _refuse_constant(name: str) -> object:
    raise JSONRefused(f"{name} is not a number that can be used.")


def _pairs(pairs: list[tuple[str, object]], max_key: int, escape_unstorable: bool) -> dict[str, object]:
    kept: dict[str, object] = {}
    for key, value in pairs:
        name = _storable(key, escape_unstorable)
        if len(name) > max_key:
            raise JSONRefused(f"A key is too long (at most {max_key} characters).")
        if name in kept:
            raise JSONRefused(f"The key “{name}” appears twice in one object.")
        kept[name] = value
    return kept


def _storable(text: str, escape: bool) -> str:
    if not _UNSTORABLE.search(text):
        return text
    if not escape:
        raise JSONRefused("A text holds a character that cannot be stored (U+0000 or half of a pair).")
    return _UNSTORABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _checked(value: object, max_nodes: int, escape_unstorable: bool) -> object:
    """Count every value and make every text storable, without recursion."""
    box: list[object] = [value]
    waiting: list[list[object] | dict[str, object]] = [box]
    nodes = 0
    while waiting:
        holder = waiting.pop()
        slots: Iterator[tuple[object, object]] = iter(
            list(holder.items()) if isinstance(holder, dict) else list(enumerate(holder))
        )
        for place, item in slots:
            nodes += 1
            if nodes > max_nodes:
                raise JSONRefused(f"Too many values (at most {max_nodes}).")
            if isinstance(item, str):
                holder[place] = _storable(item, escape_unstorable)  # type: ignore[index, call-overload]
            elif isinstance(item, list | dict):
                waiting.append(item)
    return box[0]


def _writable(value: object) -> object:
    # bool is an int and must be told apart first.
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _storable(str(value), escape=False)
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise ValueError("A whole number is too large to be sent exactly.")
        return int(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError("NaN and Infinity cannot be sent.")
        if significant_digits(value) > SIGNIFICANT_DIGITS or abs(value.adjusted()) > MAX_MAGNITUDE:
            raise ValueError(f"{value} has more than {SIGNIFICANT_DIGITS} significant digits.")
        return simplejson.RawJSON(plain(value))
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("Every key must be text.")
        return {_storable(key, escape=False): _writable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(item) for item in value]
    raise ValueError(f"{type(value).__name__} cannot be written as JSON.")
