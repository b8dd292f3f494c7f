"""Times as the wire writes them: dates, date-times with a zone, ISO 8601 durations."""

import calendar
import re
from datetime import UTC, date, datetime, timedelta

FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:?\d{2})", re.ASCII)
_DURATION = re.compile(
    r"P(?=\d|T\d)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?"
    r"(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?)?",
    re.ASCII,
)


def read_date(text):
    """``YYYY-MM-DD`` to a date.

    :raises ValueError: with a sentence for the caller
    """
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        raise ValueError("must be a date written YYYY-MM-DD")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError("is not a day of the calendar") from error


def read_moment(text):
    """RFC 3339 with a zone to an aware datetime in UTC.

    :raises ValueError: with a sentence for the caller
    """
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        raise ValueError("must be a date-time with a zone, such as 2030-02-15T17:00:00Z")
    fraction = re.search(r"\.(\d+)", text)
    if fraction:
        # fromisoformat takes at most six digits; the contract does not promise a width.
        text = text.replace(fraction.group(0), "." + fraction.group(1)[:6].ljust(6, "0"))
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("is not a moment of the calendar") from error


def write_moment(moment):
    """An aware datetime as the API writes it: ``Z``, fraction without trailing zeros."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    fraction = f".{moment.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{text}{fraction}Z"


def read_duration(text):
    """An ISO 8601 duration to its seven whole numbers (years to seconds).

    :raises ValueError: with a sentence for the caller
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) and len(text) <= 30 else None
    if match is None:
        raise ValueError("must be an ISO 8601 duration, such as P30D or PT0S")
    return tuple(int(part or 0) for part in match.groups())


def after(moment, duration):
    """The moment an ISO 8601 duration later; months end on their last day; never beyond for ever."""
    years, months, weeks, days, hours, minutes, seconds = read_duration(duration)
    month_index = moment.year * 12 + moment.month - 1 + years * 12 + months
    year, month = divmod(month_index, 12)
    if year >= FOR_EVER.year:
        return FOR_EVER
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    try:
        later = moment.replace(year=year, month=month + 1, day=day) + timedelta(
            weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds
        )
    except OverflowError:
        return FOR_EVER
    return min(later, FOR_EVER)


def micros(moment):
    """Microseconds since 1970: how times are stored and ordered."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def from_micros(value):
    """The reverse of :func:`micros`."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)
