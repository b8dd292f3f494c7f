"""Single values: numbers, texts, dates and words; and what every object is."""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from togai.sandbox.moments import read_date, read_duration, read_moment

# A JSON number is a double for the vendor: 15 digits survive the trip (togai.md 2.1).
LARGEST = Decimal(10) ** 15
FINEST_EXPONENT = -15


def _number(value):
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("must be a number")
    value = Decimal(value)
    if value and (abs(value) >= LARGEST or value.as_tuple().exponent < FINEST_EXPONENT):
        raise ValueError("is a number beyond 15 digits")
    return value


def _decimal_text(value):
    if not isinstance(value, str):
        raise ValueError("must be a string")
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise ValueError("must be a number written as a string") from error
    if not re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", value, re.ASCII):
        raise ValueError("must be a number written as a string")
    return number


def _currency(value):
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{3}", value):
        raise ValueError("must be an ISO 4217 code of three capital letters")
    return value


def _duration(value):
    read_duration(value)
    return value


def whole(least, most):
    """A JSON integer between the two, both included."""
    return Annotated[int, Field(strict=True, ge=least, le=most)]


def text(least, most):
    """A JSON string of so many characters."""
    return Annotated[str, StringConstraints(strict=True, min_length=least, max_length=most)]


INT32 = 2**31 - 1
INT64 = 2**63 - 1

Number = Annotated[Decimal, BeforeValidator(_number)]
NotNegative = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]
DecimalText = Annotated[Decimal, BeforeValidator(_decimal_text)]
Currency = Annotated[str, BeforeValidator(_currency)]
Duration = Annotated[str, BeforeValidator(_duration)]
Day = Annotated[Any, BeforeValidator(read_date)]
Moment = Annotated[Any, BeforeValidator(read_moment)]
Flag = Annotated[bool, Field(strict=True)]
BillableId = text(1, 50)
DisplayName = text(1, 255)
CardName = text(1, 50)
Tag = text(0, 50)

PricingModel = Literal["TIERED", "VOLUME"]
PriceType = Literal["FLAT", "PER_UNIT", "PACKAGE"]
Interval = Literal["WEEKLY", "MONTHLY", "QUARTERLY", "HALF_YEARLY", "ANNUALLY"]
OnceOrAgain = Literal["ONE_TIME", "RECURRING"]
PurchaseType = Literal["ENTITLEMENT_GRANT", "ASSOCIATION", "WALLET_TOPUP", "PREPAID"]


class Closed(BaseModel):
    """An object that takes its own keys only.

    The vendor leaves some nested objects open; refusing unknown keys there too is our choice [assume].
    """

    model_config = ConfigDict(extra="forbid")


def no_twice(values, what):
    """Refuse what comes a second time, named as ``what``."""
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value!r} appears twice")
        seen.add(value)
