"""JSON in and out of the sandbox without a float in between."""

import json
from decimal import Decimal


class NotJSON(ValueError):
    """The text is not JSON as RFC 8259 means it; the message can be shown to the caller."""


def loads(text):
    """Parse bytes or text; fractions become Decimal, integers stay int.

    :raises NotJSON: also for duplicate keys, NaN and Infinity, which lenient parsers let pass
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(
            text, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_object_once
        )
    except NotJSON:
        raise
    except UnicodeDecodeError as error:
        raise NotJSON("The body is not UTF-8.") from error
    except RecursionError as error:
        raise NotJSON("The body is nested too deeply.") from error
    except ValueError as error:
        raise NotJSON(f"The body is not valid JSON: {error}") from error


def dumps(value):
    """Write JSON text; a Decimal becomes a plain number (no exponent, no trailing zeros), exactly."""
    return "".join(_pieces(value))


def _refuse_constant(name):
    raise NotJSON(f"The body is not valid JSON: {name} is not a number.")


def _object_once(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotJSON(f"The body is not valid JSON: the key {twice[:50]!r} appears twice.")
    return result


def _pieces(value):
    if isinstance(value, Decimal):
        yield plain_number(value)
    elif isinstance(value, dict):
        yield "{"
        for index, (key, item) in enumerate(value.items()):
            yield (", " if index else "") + json.dumps(key) + ": "
            yield from _pieces(item)
        yield "}"
    elif isinstance(value, list | tuple):
        yield "["
        for index, item in enumerate(value):
            if index:
                yield ", "
            yield from _pieces(item)
        yield "]"
    else:
        yield json.dumps(value, ensure_ascii=False)


def plain_number(value):
    """A Decimal as JSON digits: ``1E+2`` is written ``100``, ``1.50`` is written ``1.5``."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text
