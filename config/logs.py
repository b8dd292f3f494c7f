"""
How log lines leave the process: one event, one line (reliability.md S-30).

Only the fields that are named here come out. So a body, a header or a page cannot get into the log by being
at hand, and a line break in a stranger's text cannot begin a line of its own. Our token stays out even where
a library logs what Togai echoed, and of a developer's error page (S-20).
"""

import json
import logging
import re
import traceback
from datetime import UTC, datetime

from django.conf import settings
from django.views.debug import SafeExceptionReporterFilter

from audit.context import NOWHERE, current
from togai.secret import MASK

# What a call may add with `extra=`, in the order in which it comes out.
FIELDS = (
    "method",
    "path",
    "status",
    "ms",
    "user_id",
    "delivery_id",
    "kind",
    "purpose",
    "attempt",
    "outcome",
    "state",
    "error",
    "http_status",
    "sends",
    "looks",
    "deaths",
    "why",
    "seconds",
    "worker",
    "release",
    "subject",
    "list",
)
# A line stays small enough for every collector.
LONGEST_TEXT = 4000
MOST_FRAMES = 60
_LINK = re.compile(r"(/offers/)[^/\s\"']+")


class JSONLines(logging.Formatter):
    """One JSON object a line, for machines; an exception as its classes and places, without values."""

    def format(self, record):
        facts = {
            "time": _moment(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage()[:LONGEST_TEXT],
        } | _named(record)
        if _failed(record):
            facts["exception"] = [_told(error) for error in _chain(record.exc_info[1])]
        # Everything outside ASCII comes out escaped, line separators included.
        return without_the_token(json.dumps(facts, default=str))


class TextLines(logging.Formatter):
    """The same for people at a terminal; what follows on further lines is indented."""

    def format(self, record):
        named = "".join(f" {name}={_visible(str(value))}" for name, value in _named(record).items())
        text = "\n    ".join(_visible(line) for line in record.getMessage()[:LONGEST_TEXT].split("\n"))
        lines = [f"{_moment(record):%H:%M:%S} {record.levelname} {record.name}: {text}{named}"]
        if _failed(record):
            for line in self.formatException(record.exc_info).splitlines():
                lines.append(f"    {_visible(line)}")
        return without_the_token("\n".join(lines))


class ErrorPage(SafeExceptionReporterFilter):
    """Django's error page of a developer, without the locals that hold our token (S-20)."""

    def get_traceback_frame_variables(self, request, tb_frame):
        return [
            (name, MASK if _holds_the_token(value) else value)
            for name, value in super().get_traceback_frame_variables(request, tb_frame)
        ]


def without_the_token(text):
    """
    The text with our token masked, and with its beginning masked should the rest be cut or quoted; and with
    the tokens of customers' links masked, each of which opens an offer.
    """
    text = _LINK.sub(rf"\1{MASK}", text)
    for shown in _shown_token():
        text = text.replace(shown, MASK)
    return text


def _shown_token():
    token = str(settings.TOGAI_API_TOKEN)
    # A short word may well stand in an honest line; a token is long.
    return [shown for shown in (token, token[:12]) if len(shown) >= 8]


def _holds_the_token(value):
    try:
        text = repr(value)
    except Exception:
        # Whatever refuses to be shown is the page's own business.
        return False
    return any(shown in text for shown in _shown_token())


def _failed(record):
    """Whether to tell an exception with its places. A refusal that was answered, a 403, is no failure."""
    refused = record.name == "django.request" and record.levelno < logging.ERROR
    return bool(record.exc_info and record.exc_info[1]) and not refused


def _moment(record):
    return datetime.fromtimestamp(record.created, UTC)


def _named(record):
    """Request and channel of the work going on, and the fields that the call named."""
    origin = getattr(record, "origin", None) or current()
    facts = {} if origin == NOWHERE else {"request_id": origin.request_id, "channel": origin.channel}
    for name in FIELDS:
        value = getattr(record, name, None)
        if value not in (None, ""):
            facts[name] = value[:LONGEST_TEXT] if isinstance(value, str) else value
    return facts


def _chain(error):
    """An exception and those behind it, newest first."""
    seen = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return seen


def _told(error):
    # Its message may repeat what somebody typed or what Togai said, so it stays out.
    frames = traceback.extract_tb(error.__traceback__)[-MOST_FRAMES:]
    return {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


def _visible(text):
    """A stranger's text on one line: what does not print is shown as its escape."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )
