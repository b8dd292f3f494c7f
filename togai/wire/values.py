"""
Plain values, strict when written and lenient when read: numbers, texts, dates, durations, lists.

The checks come first, then the types made of them, which `cards` and `requests` are built from.
"""

import re
import unicodedata
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, PlainSerializer, PlainValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from togai import strict_json
from togai.wire.words import ChargeType, CycleInterval, InvoiceTiming, PriceType, PricingModel

INT32 = 2**31 - 1
ID_LIMIT = 50
SLAB_LIMIT = 10
DECIMAL_PLACES = 12

Json = dict[str, Any]

LENIENTLY = {"reading": True}
"""The context in which a writer's model reads what Togai shows: types count, limits do not."""

_PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,29})(\.[0-9]{1,30})?")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(\.(?P<part>[0-9]+))?"
    r"(?P<zone>[Zz]|(?P<sign>[+-])(?P<hours>[0-9]{2}):?(?P<minutes>[0-9]{2}))"
)
_DURATION = re.compile(
    r"P(?!$)([0-9]{1,6}W|([0-9]{1,6}Y)?([0-9]{1,6}M)?([0-9]{1,6}D)?"
    r"(T(?!$)([0-9]{1,6}H)?([0-9]{1,6}M)?([0-9]{1,6}(\.[0-9]{1,6})?S)?)?)"
)
_KEY = re.compile(r"[A-Za-z0-9-]{1,64}")


def wrong(message: str) -> PydanticCustomError:
    """A fault at a field, as a sentence for the person who typed."""
    return PydanticCustomError("wire", "{message}", {"message": message})


def lenient(info: ValidationInfo) -> bool:
    """Whether this value comes from Togai instead of from us."""
    return bool(info.context and info.context.get("reading"))


def moment(text: str) -> datetime:
    """
    The instant that an RFC 3339 text names, in UTC; any number of fractional digits, cut to microseconds.

    An instant that UTC cannot hold (the last hours of year 9999) keeps its own offset.

    :raises ValueError: if it is no such text or has no zone
    """
    found = _MOMENT.fullmatch(text)
    if not found:
        raise ValueError("Not a date and time with a zone.")
    part = ((found["part"] or "") + "000000")[:6]
    offset = timedelta()
    if found["sign"]:
        offset = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"]))
        if offset >= timedelta(days=1) or int(found["minutes"]) > 59:
            raise ValueError("Not a zone.")
    zone = timezone(-offset if found["sign"] == "-" else offset)
    local = datetime.fromisoformat(f"{found['day']}T{found['time']}.{part}").replace(tzinfo=zone)
    try:
        return local.astimezone(UTC)
    except OverflowError:
        return local


def _number(value: object, info: ValidationInfo) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise wrong("Enter a number.")
    if isinstance(value, str) and not _PLAIN_NUMBER.fullmatch(value):
        raise wrong("Enter a number, for example 0.05.")
    number = Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > strict_json.MAX_MAGNITUDE:
        raise wrong("This number is out of range.")
    # One form per number, so that equal terms have equal bytes.
    number = Decimal(strict_json.plain(number))
    if not lenient(info):
        if strict_json.significant_digits(number) > strict_json.SIGNIFICANT_DIGITS:
            raise wrong(f"At most {strict_json.SIGNIFICANT_DIGITS} digits reach Togai exactly.")
        if abs(number) >= Decimal(10) ** strict_json.SIGNIFICANT_DIGITS:
            raise wrong("This number is too large.")
        if number.as_tuple().exponent < -DECIMAL_PLACES:  # type: ignore[operator]
            raise wrong(f"At most {DECIMAL_PLACES} decimal places.")
    return number


def _least(floor: int) -> Callable[[Any, ValidationInfo], Any]:
    def check(value: Any, info: ValidationInfo) -> Any:
        if not lenient(info) and value < floor:
            raise wrong(f"At least {floor}.")
        return value

    return check


def _most(ceiling: int) -> Callable[[Any, ValidationInfo], Any]:
    def check(value: Any, info: ValidationInfo) -> Any:
        if not lenient(info) and value > ceiling:
            raise wrong(f"At most {ceiling}.")
        return value

    return check


def _positive(value: Decimal, info: ValidationInfo) -> Decimal:
    if not lenient(info) and value <= 0:
        raise wrong("More than 0.")
    return value


def _whole(value: object, info: ValidationInfo) -> int:
    if lenient(info) and isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong("Enter a whole number.")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise wrong("Choose yes or no.")
    return value


def text(longest: int, shortest: int = 0) -> Callable[[object, ValidationInfo], str]:
    """Text of so many characters, none of them a control character."""

    def check(value: object, info: ValidationInfo) -> str:
        if not isinstance(value, str):
            raise wrong("Enter text.")
        if lenient(info):
            return value
        if len(value) > longest:
            raise wrong(f"At most {longest} characters.")
        if len(value) < shortest:
            raise wrong("This is required." if shortest == 1 else f"At least {shortest} characters.")
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in value):
            raise wrong("Control characters cannot be sent.")
        return str(value)

    return check


def one_of(*words: str) -> Callable[[object, ValidationInfo], str]:
    """One of these words; read, any word stays as it came."""

    def check(value: object, info: ValidationInfo) -> str:
        if not isinstance(value, str):
            raise wrong("Enter text.")
        if not lenient(info) and value not in words:
            raise wrong(f"One of {', '.join(words)}.")
        return str(value)

    return check


def matching(pattern: re.Pattern[str], message: str) -> Callable[[object, ValidationInfo], str]:
    """Text of this form as a whole, else the message."""

    def check(value: object, info: ValidationInfo) -> str:
        if not isinstance(value, str) or not (lenient(info) or pattern.fullmatch(value)):
            raise wrong(message)
        return value

    return check


def _stringish(value: object) -> str:
    """Old samples have numbers where text belongs (togai.md 6, row 5)."""
    if isinstance(value, Decimal):
        return strict_json.plain(value)
    if isinstance(value, int | str) and not isinstance(value, bool):
        return str(value)
    raise wrong("Enter text.")


def offset_text(value: object, info: ValidationInfo) -> str:
    """The start of a cycle; a number in old samples, text by contract."""
    return _stringish(value) if lenient(info) else text(10, 1)(value, info)


def _day(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise wrong("Enter a date as YYYY-MM-DD.")


def _aware_moment(value: object) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, str):
        try:
            return moment(value)
        except ValueError:
            pass
    raise wrong("Enter a date and time with a zone, for example 2030-02-15T17:00:00Z.")


def _moment_text(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _text_map(*keys: str) -> Callable[[object, ValidationInfo], dict[str, str]]:
    """A free-form map of Togai: text to text, the texts being plain numbers (togai.md 0, fact 10)."""

    def check(value: object, info: ValidationInfo) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise wrong("Enter names and values.")
        if lenient(info):
            return {str(key): _stringish(item) for key, item in value.items() if item is not None}
        unknown = [str(key) for key in value if key not in keys]
        if unknown:
            raise wrong(f"Togai documents no “{unknown[0][:50]}” here, only {', '.join(keys)}.")
        numbers = {str(key): _number(item, info) for key, item in value.items()}
        if numbers.get("packageSize", 1) <= 0:
            raise wrong("The package size must be more than 0.")
        if "minimumRate" in numbers and "maximumRate" in numbers:
            low, high = numbers["minimumRate"], numbers["maximumRate"]
            if low > high:
                raise wrong("The minimum is above the maximum.")
        return {key: strict_json.plain(number) for key, number in numbers.items()}

    return check


def written(
    limit: int | None = None, *, least: int = 1, once: Callable[[Any], Hashable] | None = None, what: str = ""
) -> Callable[[tuple[Any, ...], ValidationInfo], tuple[Any, ...]]:
    """A list as we send it: not empty, not too long, and no two entries for the same thing."""

    def check(items: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
        if lenient(info):
            return items
        if len(items) < least:
            raise wrong("An empty list cannot be sent; leave it out to keep the plan's own.")
        if limit is not None and len(items) > limit:
            raise wrong(f"At most {limit} entries.")
        if once is not None:
            seen: set[Hashable] = set()
            for item in items:
                if once(item) in seen:
                    raise wrong(f"{once(item)} appears twice; one {what} for each.")
                seen.add(once(item))
        return items

    return check


Number = Annotated[
    Decimal,
    PlainValidator(_number),
    PlainSerializer(strict_json.plain, return_type=str, when_used="json"),
]
Amount = Annotated[Number, AfterValidator(_least(0))]
PositiveNumber = Annotated[Number, AfterValidator(_positive)]
Whole = Annotated[int, PlainValidator(_whole)]
Count = Annotated[Whole, AfterValidator(_least(0)), AfterValidator(_most(INT32))]
PositiveCount = Annotated[Whole, AfterValidator(_least(1)), AfterValidator(_most(INT32))]
LongCount = Annotated[Whole, AfterValidator(_least(0)), AfterValidator(_most(strict_json.MAX_INTEGER))]
Order = Annotated[Whole, AfterValidator(_least(1)), AfterValidator(_most(SLAB_LIMIT))]
Flag = Annotated[bool, PlainValidator(_flag)]
Id = Annotated[str, PlainValidator(text(ID_LIMIT, 1))]
Name = Annotated[str, PlainValidator(text(ID_LIMIT, 1))]
Tag = Annotated[str, PlainValidator(text(ID_LIMIT))]
DisplayName = Annotated[str, PlainValidator(text(255))]
Email = Annotated[str, PlainValidator(text(320, 3))]
Currency = Annotated[
    str,
    PlainValidator(matching(re.compile("[A-Z]{3}"), "A currency is three capital letters, such as EUR.")),
]
Duration = Annotated[
    str, PlainValidator(matching(_DURATION, "Enter a duration such as P30D, P1M or PT0S (ISO 8601)."))
]
IdempotencyKey = Annotated[
    str, PlainValidator(matching(_KEY, "A key is up to 64 letters, digits and hyphens."))
]
Day = Annotated[date, PlainValidator(_day), PlainSerializer(date.isoformat, return_type=str)]
Moment = Annotated[datetime, PlainValidator(_aware_moment), PlainSerializer(_moment_text, return_type=str)]
SlabConfig = Annotated[dict[str, str], PlainValidator(_text_map("packageSize"))]
RateLimits = Annotated[dict[str, str], PlainValidator(_text_map("minimumRate", "maximumRate"))]
Timing = Annotated[str, PlainValidator(one_of(*InvoiceTiming))]
PlainTiming = Annotated[str, PlainValidator(one_of(InvoiceTiming.IN_ADVANCE, InvoiceTiming.IN_ARREARS))]
Charge = Annotated[str, PlainValidator(one_of(*ChargeType))]
Interval = Annotated[str, PlainValidator(one_of(*CycleInterval))]
Model = Annotated[str, PlainValidator(one_of(*PricingModel))]
SlabPrice = Annotated[str, PlainValidator(one_of(*PriceType))]
Currencies = Annotated[
    tuple[Currency, ...], AfterValidator(written(once=lambda currency: currency, what="entry"))
]
