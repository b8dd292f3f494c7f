"""
How a record of Togai's is read: `Remote`, and the types of its fields.

Without a field that is needed a record is refused; any other that cannot be read counts as missing.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Self, TypeVar

import simplejson
from pydantic import BaseModel, ConfigDict, PlainValidator, PrivateAttr, ValidationError
from pydantic.alias_generators import to_camel, to_snake

from togai import strict_json
from togai.errors import ContractChanged
from togai.wire.cards import PricingCycleConfig
from togai.wire.overrides import read_details
from togai.wire.values import DAY, Json, moment, wrong
from togai.wire.writing import read_part

REMOTE_ID_LIMIT = 512

Value = TypeVar("Value")


def needed(longest: int) -> Callable[[object], str]:
    """Text without which a record is of no use."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            raise wrong("Missing.")
        return value

    return check


def or_none(convert: Callable[[Any], Value]) -> Callable[[object], Value | None]:
    """What cannot be read counts as missing: one odd field must not hide a whole record."""

    def check(value: object) -> Value | None:
        try:
            return None if value is None else convert(value)
        except (ValueError, TypeError, ArithmeticError, ContractChanged):
            return None

    return check


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("Not text.")
    return value


def _read_amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise TypeError("Not a number.")
    number = Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > strict_json.MAX_MAGNITUDE:
        raise ValueError("Out of range.")
    return number


def read_whole(value: object) -> int:
    """A whole number; raises TypeError, ValueError or ArithmeticError if it is none."""
    number = _read_amount(value)
    if isinstance(value, str) or number != number.to_integral_value():
        raise TypeError("Not a whole number.")
    return int(number)


def _read_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("Not a flag.")
    return value


def _read_day(value: object) -> date:
    text = _read_text(value)
    return date.fromisoformat(text) if DAY.fullmatch(text) else moment(text).date()


def _read_quantities(value: object) -> dict[str, Decimal]:
    if not isinstance(value, Mapping):
        raise TypeError("Not a map.")
    return {str(key): _read_amount(item) for key, item in value.items()}


def _read_texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError("Not a list.")
    return tuple(item for item in value if isinstance(item, str))


def _read_map(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError("Not a map.")
    return {str(key): str(item) for key, item in value.items() if item is not None}


def _read_aliases(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError("Not a list.")
    names = (item.get("alias") if isinstance(item, Mapping) else item for item in value)
    return tuple(name for name in names if isinstance(name, str))


RemoteId = Annotated[str, PlainValidator(needed(REMOTE_ID_LIMIT))]
MaybeText = Annotated[str | None, PlainValidator(or_none(_read_text))]
MaybeAmount = Annotated[Decimal | None, PlainValidator(or_none(_read_amount))]
MaybeWhole = Annotated[int | None, PlainValidator(or_none(read_whole))]
MaybeFlag = Annotated[bool | None, PlainValidator(or_none(_read_flag))]
MaybeDay = Annotated[date | None, PlainValidator(or_none(_read_day))]
MaybeMoment = Annotated[datetime | None, PlainValidator(or_none(lambda value: moment(_read_text(value))))]
MaybeQuantities = Annotated[dict[str, Decimal] | None, PlainValidator(or_none(_read_quantities))]
MaybeTexts = Annotated[tuple[str, ...] | None, PlainValidator(or_none(_read_texts))]
MaybeMap = Annotated[dict[str, str] | None, PlainValidator(or_none(_read_map))]
MaybeAliases = Annotated[tuple[str, ...] | None, PlainValidator(or_none(_read_aliases))]
MaybeDetails = Annotated[Json | None, PlainValidator(or_none(read_details))]
MaybeCycle = Annotated[
    Json | None, PlainValidator(or_none(lambda value: read_part(PricingCycleConfig, value)))
]


class Remote(BaseModel):
    """A record of Togai's: frozen, tolerant, with its raw text."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)

    _raw: str = PrivateAttr("")
    _record: Json = PrivateAttr(default_factory=dict)

    @classmethod
    def read(cls, record: object, raw: str | None = None) -> Self:
        """
        Read one record as `strict_json.loads` gave it.

        :param raw: its text as received; without it the record is written out again, number for number
        :raises ContractChanged: if what every such record must have is missing; carries the raw text
        """
        text = raw_text(record) if raw is None else raw
        if not isinstance(record, dict):
            raise ContractChanged(
                "Togai sent something else than an object.", reason="not_an_object", raw=text
            )
        reason = sentence = ""
        try:
            remote = cls._read(record)
        except ValidationError as error:
            name = str(error.errors(include_url=False)[0]["loc"][0])
            reason, sentence = f"no_{to_snake(name)}", f"A record of Togai's has no usable “{name}”."
        except ContractChanged as error:
            reason, sentence = error.reason, str(error)
        if reason:
            raise ContractChanged(sentence, reason=reason, raw=text)
        remote._raw = text
        remote._record = record
        return remote

    @classmethod
    def _read(cls, record: Json) -> Self:
        return cls.model_validate(record)

    @property
    def raw(self) -> str:
        """The JSON text of this record."""
        return self._raw


def raw_text(record: object) -> str:
    """A parsed record as JSON text again, every number digit for digit as it came."""
    written: str = simplejson.dumps(record, use_decimal=True, ensure_ascii=False)
    return written
