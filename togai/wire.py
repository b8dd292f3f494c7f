"""
What goes over the wire to Togai and what comes back, as frozen values (togai.md 3 and 4).

Writers are strict: unknown keys, wrong types and broken limits are refused with a message at the field,
because Togai's own client drops typing errors silently. Readers are tolerant: they need an id (and an account
and a status where there is one), keep unknown words as they came, take what they cannot read as missing, and
keep the raw text.

The *stored form* of a writer (`stored`) is what our JSON columns hold: the wire's names and nesting, numbers
that the wire counts with fractions as plain decimal strings, whole numbers as ints, nothing absent as null.
"""

import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self, TypeVar

import simplejson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel, to_snake
from pydantic_core import PydanticCustomError

from togai import strict_json
from togai.errors import ContractChanged

INT32 = 2**31 - 1
ID_LIMIT = 50
REMOTE_ID_LIMIT = 512
CARD_LIMIT = 50
SLAB_LIMIT = 10
DECIMAL_PLACES = 12

Json = dict[str, Any]
Value = TypeVar("Value")


# --- words --------------------------------------------------------------------------------------------


class PurchaseType(StrEnum):
    """What is bought (togai.md 5.3)."""

    ENTITLEMENT_GRANT = "ENTITLEMENT_GRANT"
    ASSOCIATION = "ASSOCIATION"
    WALLET_TOPUP = "WALLET_TOPUP"
    PREPAID = "PREPAID"


class PurchaseStatus(StrEnum):
    """Where a purchase or proposal stands at Togai (togai.md 5.1)."""

    PROPOSAL_ACTIVE = "PROPOSAL_ACTIVE"
    PROPOSAL_APPROVED = "PROPOSAL_APPROVED"
    PROPOSAL_DECLINED = "PROPOSAL_DECLINED"
    PROPOSAL_EXPIRED = "PROPOSAL_EXPIRED"
    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


class PaymentMode(StrEnum):
    """PREPAID: an order first, the effect after its payment. POSTPAID: the effect on approval."""

    PREPAID = "PREPAID"
    POSTPAID = "POSTPAID"


class Verdict(StrEnum):
    """The only two words that `update_status` takes."""

    APPROVE = "APPROVE"
    DECLINE = "DECLINE"


class PricingModel(StrEnum):
    """TIERED: each slab prices its own units. VOLUME: the slab reached prices all units."""

    TIERED = "TIERED"
    VOLUME = "VOLUME"


class PriceType(StrEnum):
    """What a slab's rate is for: the slab once, each unit, or each started package."""

    FLAT = "FLAT"
    PER_UNIT = "PER_UNIT"
    PACKAGE = "PACKAGE"


class InvoiceTiming(StrEnum):
    """When a card is due. PREPAID exists for credit grants and entitlements only."""

    IN_ADVANCE = "IN_ADVANCE"
    IN_ARREARS = "IN_ARREARS"
    PREPAID = "PREPAID"


class ChargeType(StrEnum):
    """How often a fixed fee or a credit grant comes."""

    ONE_TIME = "ONE_TIME"
    RECURRING = "RECURRING"


class ExpiryType(StrEnum):
    """When granted credit ends; CUSTOM after its own duration."""

    PRICING_CYCLE = "PRICING_CYCLE"
    NO_EXPIRY = "NO_EXPIRY"
    CUSTOM = "CUSTOM"


class CycleInterval(StrEnum):
    """The length of a pricing cycle, and of a licence's usage cycle."""

    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    QUARTERLY = "QUARTERLY"
    HALF_YEARLY = "HALF_YEARLY"
    ANNUALLY = "ANNUALLY"


class ProratedRefundMode(StrEnum):
    """How unused licence time is given back."""

    NONE = "NONE"
    CREDITS = "CREDITS"
    PAYMENT = "PAYMENT"
    WALLET = "WALLET"


class AddOnType(StrEnum):
    """What an add-on is billed as."""

    LICENSE = "LICENSE"
    FIXED_FEE = "FIXED_FEE"
    CREDIT_GRANT = "CREDIT_GRANT"
    NAMED_LICENSE = "NAMED_LICENSE"


class PricePlanType(StrEnum):
    """BILLING recurs and has a cycle; PURCHASE is bought once."""

    BILLING = "BILLING"
    PURCHASE = "PURCHASE"


class AccountStatus(StrEnum):
    """Whether an account is in use; only the first two can be set."""

    ACTIVE = "ACTIVE"
    DRAFT = "DRAFT"
    ARCHIVED = "ARCHIVED"


# --- plain values, strict when written and lenient when read ------------------------------------------

_READING = {"reading": True}

_PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,29})(\.[0-9]{1,30})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(\.(?P<part>[0-9]+))?"
    r"(?P<zone>[Zz]|(?P<sign>[+-])(?P<hours>[0-9]{2}):?(?P<minutes>[0-9]{2}))"
)
_DURATION = re.compile(
    r"P(?!$)([0-9]{1,6}W|([0-9]{1,6}Y)?([0-9]{1,6}M)?([0-9]{1,6}D)?"
    r"(T(?!$)([0-9]{1,6}H)?([0-9]{1,6}M)?([0-9]{1,6}(\.[0-9]{1,6})?S)?)?)"
)
_KEY = re.compile(r"[A-Za-z0-9-]{1,64}")


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("wire", "{message}", {"message": message})


def _reading(info: ValidationInfo) -> bool:
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
        raise _wrong("Enter a number.")
    if isinstance(value, str) and not _PLAIN_NUMBER.fullmatch(value):
        raise _wrong("Enter a number, for example 0.05.")
    number = Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > strict_json.MAX_MAGNITUDE:
        raise _wrong("This number is out of range.")
    # One form per number, so that equal terms have equal bytes.
    number = Decimal(strict_json.plain(number))
    if not _reading(info):
        if strict_json.significant_digits(number) > strict_json.SIGNIFICANT_DIGITS:
            raise _wrong(f"At most {strict_json.SIGNIFICANT_DIGITS} digits reach Togai exactly.")
        if abs(number) >= Decimal(10) ** strict_json.SIGNIFICANT_DIGITS:
            raise _wrong("This number is too large.")
        if number.as_tuple().exponent < -DECIMAL_PLACES:  # type: ignore[operator]
            raise _wrong(f"At most {DECIMAL_PLACES} decimal places.")
    return number


def _least(floor: int) -> Callable[[Any, ValidationInfo], Any]:
    def check(value: Any, info: ValidationInfo) -> Any:
        if not _reading(info) and value < floor:
            raise _wrong(f"At least {floor}.")
        return value

    return check


def _most(ceiling: int) -> Callable[[Any, ValidationInfo], Any]:
    def check(value: Any, info: ValidationInfo) -> Any:
        if not _reading(info) and value > ceiling:
            raise _wrong(f"At most {ceiling}.")
        return value

    return check


def _positive(value: Decimal, info: ValidationInfo) -> Decimal:
    if not _reading(info) and value <= 0:
        raise _wrong("More than 0.")
    return value


def _whole(value: object, info: ValidationInfo) -> int:
    if _reading(info) and isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong("Enter a whole number.")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong("Choose yes or no.")
    return value


def _text(longest: int, shortest: int = 0) -> Callable[[object, ValidationInfo], str]:
    def check(value: object, info: ValidationInfo) -> str:
        if not isinstance(value, str):
            raise _wrong("Enter text.")
        if _reading(info):
            return value
        if len(value) > longest:
            raise _wrong(f"At most {longest} characters.")
        if len(value) < shortest:
            raise _wrong("This is required." if shortest == 1 else f"At least {shortest} characters.")
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in value):
            raise _wrong("Control characters cannot be sent.")
        return str(value)

    return check


def _one_of(*words: str) -> Callable[[object, ValidationInfo], str]:
    def check(value: object, info: ValidationInfo) -> str:
        if not isinstance(value, str):
            raise _wrong("Enter text.")
        if not _reading(info) and value not in words:
            raise _wrong(f"One of {', '.join(words)}.")
        return str(value)

    return check


def _matching(pattern: re.Pattern[str], message: str) -> Callable[[object, ValidationInfo], str]:
    def check(value: object, info: ValidationInfo) -> str:
        if not isinstance(value, str) or not (_reading(info) or pattern.fullmatch(value)):
            raise _wrong(message)
        return value

    return check


def _stringish(value: object) -> str:
    """Old samples have numbers where text belongs (togai.md 6, row 5)."""
    if isinstance(value, Decimal):
        return strict_json.plain(value)
    if isinstance(value, int | str) and not isinstance(value, bool):
        return str(value)
    raise _wrong("Enter text.")


def _offset_text(value: object, info: ValidationInfo) -> str:
    return _stringish(value) if _reading(info) else _text(10, 1)(value, info)


def _day(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise _wrong("Enter a date as YYYY-MM-DD.")


def _aware_moment(value: object) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, str):
        try:
            return moment(value)
        except ValueError:
            pass
    raise _wrong("Enter a date and time with a zone, for example 2030-02-15T17:00:00Z.")


def _moment_text(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _text_map(*keys: str) -> Callable[[object, ValidationInfo], dict[str, str]]:
    """A free-form map of Togai: text to text, the texts being plain numbers (togai.md 0, fact 10)."""

    def check(value: object, info: ValidationInfo) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise _wrong("Enter names and values.")
        if _reading(info):
            return {str(key): _stringish(item) for key, item in value.items() if item is not None}
        unknown = [str(key) for key in value if key not in keys]
        if unknown:
            raise _wrong(f"Togai documents no “{unknown[0][:50]}” here, only {', '.join(keys)}.")
        numbers = {str(key): _number(item, info) for key, item in value.items()}
        if numbers.get("packageSize", 1) <= 0:
            raise _wrong("The package size must be more than 0.")
        if "minimumRate" in numbers and "maximumRate" in numbers:
            low, high = numbers["minimumRate"], numbers["maximumRate"]
            if low > high:
                raise _wrong("The minimum is above the maximum.")
        return {key: strict_json.plain(number) for key, number in numbers.items()}

    return check


def _written(
    limit: int | None = None, *, least: int = 1, once: Callable[[Any], Hashable] | None = None, what: str = ""
) -> Callable[[tuple[Any, ...], ValidationInfo], tuple[Any, ...]]:
    """A list as we send it: not empty, not too long, and no two entries for the same thing."""

    def check(items: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
        if _reading(info):
            return items
        if len(items) < least:
            raise _wrong("An empty list cannot be sent; leave it out to keep the plan's own.")
        if limit is not None and len(items) > limit:
            raise _wrong(f"At most {limit} entries.")
        if once is not None:
            seen: set[Hashable] = set()
            for item in items:
                if once(item) in seen:
                    raise _wrong(f"{once(item)} appears twice; one {what} for each.")
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
Id = Annotated[str, PlainValidator(_text(ID_LIMIT, 1))]
Name = Annotated[str, PlainValidator(_text(ID_LIMIT, 1))]
Tag = Annotated[str, PlainValidator(_text(ID_LIMIT))]
DisplayName = Annotated[str, PlainValidator(_text(255))]
Email = Annotated[str, PlainValidator(_text(320, 3))]
Currency = Annotated[
    str,
    PlainValidator(_matching(re.compile("[A-Z]{3}"), "A currency is three capital letters, such as EUR.")),
]
Duration = Annotated[
    str, PlainValidator(_matching(_DURATION, "Enter a duration such as P30D, P1M or PT0S (ISO 8601)."))
]
IdempotencyKey = Annotated[
    str, PlainValidator(_matching(_KEY, "A key is up to 64 letters, digits and hyphens."))
]
Day = Annotated[date, PlainValidator(_day), PlainSerializer(date.isoformat, return_type=str)]
Moment = Annotated[datetime, PlainValidator(_aware_moment), PlainSerializer(_moment_text, return_type=str)]
SlabConfig = Annotated[dict[str, str], PlainValidator(_text_map("packageSize"))]
RateLimits = Annotated[dict[str, str], PlainValidator(_text_map("minimumRate", "maximumRate"))]
Timing = Annotated[str, PlainValidator(_one_of(*InvoiceTiming))]
PlainTiming = Annotated[str, PlainValidator(_one_of(InvoiceTiming.IN_ADVANCE, InvoiceTiming.IN_ARREARS))]
Charge = Annotated[str, PlainValidator(_one_of(*ChargeType))]
Interval = Annotated[str, PlainValidator(_one_of(*CycleInterval))]
Model = Annotated[str, PlainValidator(_one_of(*PricingModel))]
SlabPrice = Annotated[str, PlainValidator(_one_of(*PriceType))]
Currencies = Annotated[
    tuple[Currency, ...], AfterValidator(_written(once=lambda currency: currency, what="entry"))
]


# --- rate cards ---------------------------------------------------------------------------------------


class Wire(BaseModel):
    """A part of a request: frozen, closed, named on the wire in camelCase."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class CurrencyRateValue(Wire):
    """A flat amount in one currency, in major units; may be negative."""

    currency: Currency
    rate: Number


FlatRates = Annotated[
    tuple[CurrencyRateValue, ...],
    AfterValidator(_written(once=lambda value: value.currency, what="rate")),
]


class _Card(Wire):
    """What cards of every kind may carry; Togai makes up a name where there is none."""

    display_name: DisplayName | None = None
    name: Name | None = None
    tag: Tag | None = None


class RecurrenceConfig(Wire):
    """Every n pricing cycles, the first time after so many."""

    interval: PositiveCount | None = None
    offset: Count | None = None


class FixedFeeRateCard(_Card):
    """A flat amount per currency, for an add-on."""

    id: Id
    invoice_timing: PlainTiming | None = None
    type: Charge | None = None
    recurrence_config: RecurrenceConfig | None = None
    enable_proration: Flag
    rate_values: FlatRates


class FeatureConfig(Wire):
    """An allowance of a feature and its window, counted from the grant."""

    feature_credit_limit: Amount
    effective_from: Duration | None = None
    effective_until: Duration


class Slab(Wire):
    """A tier: from which quantity on, and what its rate is for."""

    order: Order
    start_after: Amount
    price_type: SlabPrice
    slab_config: SlabConfig | None = Field(default=None, validate_default=True)

    @field_validator("slab_config")
    @classmethod
    def _package_has_a_size(cls, config: SlabConfig | None, info: ValidationInfo) -> SlabConfig | None:
        return _sized(config, info)


class SlabRate(Wire):
    """The rate of the slab with the same order."""

    order: Order
    rate: Number
    slab_rate_config: RateLimits | None = None


class RateValue(Wire):
    """All slab rates of a card in one currency."""

    currency: Currency
    slab_rates: Annotated[
        tuple[SlabRate, ...], AfterValidator(_written(once=lambda value: value.order, what="rate"))
    ]
    rate_config: RateLimits | None = None


class RatePlan(Wire):
    """How quantity is cut into slabs."""

    pricing_model: Model
    slabs: tuple[Slab, ...]

    @field_validator("slabs")
    @classmethod
    def _slabs_form_a_ladder(cls, slabs: tuple[Slab, ...], info: ValidationInfo) -> tuple[Slab, ...]:
        if not _reading(info):
            if [slab.order for slab in slabs] != list(range(1, len(slabs) + 1)):
                raise _wrong("Slabs are numbered 1, 2, 3 and so on without gaps.")
            _climbing(slab.start_after for slab in slabs)
        return slabs


class _SlabCard(_Card):
    """What all cards with slabs share: one rate per slab in every currency."""

    rate_plan: RatePlan
    rate_values: Annotated[
        tuple[RateValue, ...],
        AfterValidator(_written(once=lambda value: value.currency, what="set of rates")),
    ]

    @field_validator("rate_values")
    @classmethod
    def _every_slab_has_a_rate(
        cls, values: tuple[RateValue, ...], info: ValidationInfo
    ) -> tuple[RateValue, ...]:
        rate_plan: RatePlan | None = info.data.get("rate_plan")
        if rate_plan is not None and not _reading(info):
            wanted = {slab.order for slab in rate_plan.slabs}
            for value in values:
                if {rate.order for rate in value.slab_rates} != wanted:
                    raise _wrong(f"{value.currency} needs exactly one rate for each slab.")
        return values


class BillingEntitlementRateCard(_SlabCard):
    """A prepaid allowance of a feature, with a price."""

    feature_id: Id
    feature_configs: Annotated[tuple[FeatureConfig, ...], AfterValidator(_written())]
    invoice_timing: Timing
    recurrence_config: RecurrenceConfig | None = None


class GrantDetails(Wire):
    """Which credit is spent first, on what, and until when."""

    priority: Count
    expiry_type: Annotated[str, PlainValidator(_one_of(*ExpiryType))]
    expiry_duration: Duration | None = Field(default=None, validate_default=True)
    applicable_entity_ids: (
        Annotated[tuple[Id, ...], AfterValidator(_written(least=0, once=lambda entity: entity, what="entry"))]
        | None
    ) = None

    @field_validator("expiry_duration")
    @classmethod
    def _custom_expiry_has_a_duration(cls, duration: str | None, info: ValidationInfo) -> str | None:
        custom = info.data.get("expiry_type") == ExpiryType.CUSTOM
        if custom and duration is None and not _reading(info):
            raise _wrong("A custom expiry needs a duration.")
        return duration


class SlabDetail(Wire):
    """A slab of a credit grant, where threshold and rate sit together and there is no order."""

    start_after: Amount
    price_type: SlabPrice
    rate: Number
    slab_config: SlabConfig | None = Field(default=None, validate_default=True)
    slab_rate_config: RateLimits | None = None

    @field_validator("slab_config")
    @classmethod
    def _package_has_a_size(cls, config: SlabConfig | None, info: ValidationInfo) -> SlabConfig | None:
        return _sized(config, info)


class CurrencySlabRateDetail(Wire):
    """The credit granted in one currency and its price."""

    currency: Currency
    credit_amount: Amount
    slab_details: Annotated[tuple[SlabDetail, ...], AfterValidator(_written(SLAB_LIMIT))]
    rate_config: RateLimits | None = None

    @field_validator("slab_details")
    @classmethod
    def _slabs_form_a_ladder(
        cls, details: tuple[SlabDetail, ...], info: ValidationInfo
    ) -> tuple[SlabDetail, ...]:
        if not _reading(info):
            _climbing(detail.start_after for detail in details)
        return details


class CreditRateDetails(Wire):
    """The price of granted credit, per currency."""

    pricing_model: Model
    currency_slab_rate_details: Annotated[
        tuple[CurrencySlabRateDetail, ...],
        AfterValidator(_written(once=lambda detail: detail.currency, what="set of rates")),
    ]


class CreditGrantRateCard(_Card):
    """Credit that later pays for other lines, itself perhaps sold."""

    id: Id
    invoice_timing: Timing | None = None
    type: Charge | None = None
    recurrence_config: RecurrenceConfig | None = None
    grant_details: GrantDetails
    rate_details: CreditRateDetails


class UsageRateCard(_SlabCard):
    """The price of metered usage; always in arrears."""

    usage_meter_id: Id


class LicenseConfig(Wire):
    """How many seats there may be."""

    max_quantity: LongCount | None = None
    max_quantity_breach_action: Annotated[str, PlainValidator(_one_of("DO_NOTHING"))] | None = None


class LicenseRateCard(_SlabCard):
    """Seats, counted per day and kept from cycle to cycle."""

    id: Id
    type: Annotated[str, PlainValidator(_one_of(*AddOnType))] | None = None
    invoice_timing: PlainTiming | None = None
    usage_cycle: Interval | None = None
    enable_proration: Flag
    config: LicenseConfig | None = None
    prorated_refund_mode: Annotated[str, PlainValidator(_one_of(*ProratedRefundMode))] | None = None


class BillingConfig(Wire):
    """Billed every n cycles, the first time after so many."""

    interval: PositiveCount | None = None
    start_offset: Count | None = None


class EntitlementOverageRateCard(_SlabCard):
    """The price of units beyond an allowance; always in arrears."""

    feature_id: Id
    max_quantity: Amount | None = None
    billing_config: BillingConfig | None = None


class MinimumCommitment(Wire):
    """The floor of a whole plan per cycle; the shortfall is invoiced."""

    display_name: Annotated[str, PlainValidator(_text(255, 1))]
    rate_values: FlatRates


class StartOffset(Wire):
    """The day, and for long cycles the month, in which a cycle starts; both are text on the wire."""

    day_offset: Annotated[str, PlainValidator(_offset_text)]
    month_offset: Annotated[str, PlainValidator(_offset_text)]


_MONTHS = {CycleInterval.QUARTERLY: 3, CycleInterval.HALF_YEARLY: 6, CycleInterval.ANNUALLY: 12}


class PricingCycleConfig(Wire):
    """When a cycle starts and how long its invoice stays a draft (days)."""

    interval: Interval
    grace_period: Count
    anniversary_cycle: Flag | None = None
    start_offset: StartOffset | None = None

    @field_validator("start_offset")
    @classmethod
    def _offset_suits_the_interval(
        cls, offset: StartOffset | None, info: ValidationInfo
    ) -> StartOffset | None:
        interval = info.data.get("interval")
        if offset is None or interval is None or _reading(info):
            return offset
        if info.data.get("anniversary_cycle"):
            raise _wrong("An anniversary cycle starts with the association; leave the start out.")
        weekly = interval == CycleInterval.WEEKLY
        days = {str(day) for day in range(1, 8 if weekly else 32)} | (set() if weekly else {"LAST"})
        if offset.day_offset not in days:
            raise _wrong("The start day is 1 to 7 for weeks, else 1 to 31 or LAST.")
        if interval in _MONTHS:
            months = {str(month) for month in range(1, _MONTHS[CycleInterval(interval)] + 1)}
            if offset.month_offset not in months | {"FIRST", "LAST"}:
                raise _wrong(f"The start month is 1 to {len(months)}, FIRST or LAST.")
        elif offset.month_offset != "NIL":
            raise _wrong("For weeks and months the start month is NIL.")
        return offset


def _sized(config: SlabConfig | None, info: ValidationInfo) -> SlabConfig | None:
    package = info.data.get("price_type") == PriceType.PACKAGE
    if package and "packageSize" not in (config or {}) and not _reading(info):
        raise _wrong("A package needs its size.")
    return config


def _climbing(starts: Iterable[Decimal]) -> None:
    previous: Decimal | None = None
    for start in starts:
        if previous is None and start != 0:
            raise _wrong("The first slab starts after 0.")
        if previous is not None and start <= previous:
            raise _wrong("Each slab starts after the one before it.")
        previous = start
    if previous is None:
        raise _wrong("At least one slab is needed.")


# --- overrides ----------------------------------------------------------------------------------------

FixedFees = Annotated[
    tuple[FixedFeeRateCard, ...],
    AfterValidator(_written(CARD_LIMIT, once=lambda card: card.id, what="fixed fee")),
]
Entitlements = Annotated[
    tuple[BillingEntitlementRateCard, ...],
    AfterValidator(_written(CARD_LIMIT, once=lambda card: card.feature_id, what="entitlement")),
]
CreditGrants = Annotated[
    tuple[CreditGrantRateCard, ...],
    AfterValidator(_written(CARD_LIMIT, once=lambda card: card.id, what="credit grant")),
]
UsageCards = Annotated[
    tuple[UsageRateCard, ...],
    AfterValidator(_written(CARD_LIMIT, once=lambda card: card.usage_meter_id, what="usage card")),
]
Licenses = Annotated[
    tuple[LicenseRateCard, ...],
    AfterValidator(_written(CARD_LIMIT, once=lambda card: card.id, what="licence")),
]
Overages = Annotated[
    tuple[EntitlementOverageRateCard, ...],
    AfterValidator(_written(CARD_LIMIT, once=lambda card: card.feature_id, what="overage")),
]


class PurchasePlanOverride(Wire):
    """What may replace rate cards of a PURCHASE plan."""

    fixed_fee_rate_cards: FixedFees | None = None
    billing_entitlement_rate_cards: Entitlements | None = None
    credit_grant_rate_cards: CreditGrants | None = None


class AssociationOverride(PurchasePlanOverride):
    """What may replace the cycle and the rate cards of a BILLING plan; also the shape of a plan's details."""

    usage_rate_cards: UsageCards | None = None
    license_rate_cards: Licenses | None = None
    entitlement_overage_rate_cards: Overages | None = None
    minimum_commitment: MinimumCommitment | None = None
    pricing_cycle_config: PricingCycleConfig | None = None
    supported_currencies: Currencies | None = None


CARDS: Mapping[str, type[Wire]] = {
    "fixedFeeRateCards": FixedFeeRateCard,
    "billingEntitlementRateCards": BillingEntitlementRateCard,
    "creditGrantRateCards": CreditGrantRateCard,
    "usageRateCards": UsageRateCard,
    "licenseRateCards": LicenseRateCard,
    "entitlementOverageRateCards": EntitlementOverageRateCard,
}
"""The kinds of rate card that come in lists, by their key in a plan's details."""

BILLABLE: Mapping[str, str] = {
    "fixedFeeRateCards": "id",
    "billingEntitlementRateCards": "featureId",
    "creditGrantRateCards": "id",
    "usageRateCards": "usageMeterId",
    "licenseRateCards": "id",
    "entitlementOverageRateCards": "featureId",
}
"""Which key of such a card names what it bills."""


# --- requests -----------------------------------------------------------------------------------------


class WalletTopupDetails(Wire):
    """Money into the wallet; without a purchase amount it costs what it brings."""

    topup_amount: PositiveNumber
    purchase_amount: Amount | None = None


class CreatePurchase(Wire):
    """The body of `POST /accounts/{id}/purchases`. Which type may carry what is `purchases.terms`' to say."""

    type: Annotated[str, PlainValidator(_one_of(*PurchaseType))]
    idempotency_key: IdempotencyKey
    price_plan_id: Id | None = None
    quantity: PositiveCount | None = None
    rate_card_quantities: dict[Id, PositiveNumber] | None = None
    purchase_plan_override: PurchasePlanOverride | None = None
    association_override: AssociationOverride | None = None
    wallet_topup_details: WalletTopupDetails | None = None
    effective_from: Day | None = None
    effective_until: Day | None = None
    expiry_date: Moment | None = None


class CreateProposal(CreatePurchase):
    """The body of `POST /accounts/{id}/purchase_proposals`."""

    payment_mode: Annotated[str, PlainValidator(_one_of(*PaymentMode))]


class UpdateProposalStatus(Wire):
    """The body of `POST /purchase_proposals/{id}/update_status`: one word, no reason, no actor."""

    status: Annotated[str, PlainValidator(_one_of(*Verdict))]


class Address(Wire):
    """A postal address; the country is two capital letters."""

    phone_number: DisplayName | None = None
    line1: DisplayName | None = None
    line2: DisplayName | None = None
    postal_code: DisplayName | None = None
    city: DisplayName | None = None
    state: DisplayName | None = None
    country: (
        Annotated[str, PlainValidator(_matching(re.compile("[A-Z]{2}"), "A country is two capital letters."))]
        | None
    ) = None


class BillingInformation(Wire):
    """Who gets the invoices."""

    email_recipients: tuple[Email, ...] | None = None
    additional_email_recipients: tuple[Email, ...] | None = None


class UpdateAccount(Wire):
    """The body of `PATCH /accounts/{id}`: only what changes; the currency cannot (togai.md 6, row 13)."""

    name: Annotated[str, PlainValidator(_text(255, 3))] | None = None
    status: Annotated[str, PlainValidator(_one_of(AccountStatus.ACTIVE, AccountStatus.DRAFT))] | None = None
    net_term_days: Count | None = None
    primary_email: Email | None = None
    address: Address | None = None
    billing_information: BillingInformation | None = None
    metadata: dict[Name, DisplayName] | None = None
    tags: (
        Annotated[
            tuple[Name, ...], AfterValidator(_written(least=0, once=lambda tag: tag.lower(), what="entry"))
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise _wrong("Nothing to change.")
        return self


def stored(value: Wire) -> Json:
    """The stored form: plain JSON with decimals as canonical strings and nothing null."""
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


def to_bytes(value: Wire) -> bytes:
    """The canonical bytes to freeze and send: sorted keys, numbers as plain JSON numbers (R-14, R-16)."""
    return strict_json.dumps(value.model_dump(by_alias=True, exclude_none=True))


def problems(error: ValidationError) -> list[tuple[tuple[str | int, ...], str]]:
    """Where a writer found fault: the path on the wire, and a sentence for the person who typed."""
    sentences = {"missing": "This is required.", "extra_forbidden": "Togai does not know this here."}
    # A field that was left out is named by the library as in Python, not as on the wire.
    wire_names = {"slab_config": "slabConfig", "expiry_duration": "expiryDuration"}
    return [
        (
            tuple(wire_names.get(str(step), step) for step in fault["loc"]),
            sentences.get(fault["type"], fault["msg"]),
        )
        for fault in error.errors(include_url=False, include_input=False)
    ]


def read_details(value: object) -> Json:
    """
    A plan's details or an override as Togai shows it, in stored form; unknown keys are left out.

    :raises ContractChanged: if a part of it has another shape than the contract's
    """
    return _read_part(AssociationOverride, value)


def _read_part(part: type[Wire], value: object) -> Json:
    try:
        return stored(part.model_validate(value, context=_READING, extra="ignore"))
    except ValidationError as error:
        path, sentence = problems(error)[0]
    place = ".".join(map(str, path)) or "the details"
    raise ContractChanged(f"Cannot read {place} of Togai's: {sentence}", reason="details")


# --- answers ------------------------------------------------------------------------------------------


def _needed(longest: int) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            raise _wrong("Missing.")
        return value

    return check


def _or_none(convert: Callable[[Any], Value]) -> Callable[[object], Value | None]:
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


def _read_whole(value: object) -> int:
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
    return date.fromisoformat(text) if _DAY.fullmatch(text) else moment(text).date()


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


def _read_topup(value: object) -> "Topup":
    return Topup.model_validate(value)


def _read_features(value: object) -> "tuple[GrantedFeature, ...]":
    if not isinstance(value, list | tuple):
        raise TypeError("Not a list.")
    return tuple(GrantedFeature.read(item) for item in value)


RemoteId = Annotated[str, PlainValidator(_needed(REMOTE_ID_LIMIT))]
MaybeText = Annotated[str | None, PlainValidator(_or_none(_read_text))]
MaybeAmount = Annotated[Decimal | None, PlainValidator(_or_none(_read_amount))]
MaybeWhole = Annotated[int | None, PlainValidator(_or_none(_read_whole))]
MaybeFlag = Annotated[bool | None, PlainValidator(_or_none(_read_flag))]
MaybeDay = Annotated[date | None, PlainValidator(_or_none(_read_day))]
MaybeMoment = Annotated[datetime | None, PlainValidator(_or_none(lambda value: moment(_read_text(value))))]
MaybeQuantities = Annotated[dict[str, Decimal] | None, PlainValidator(_or_none(_read_quantities))]
MaybeTexts = Annotated[tuple[str, ...] | None, PlainValidator(_or_none(_read_texts))]
MaybeMap = Annotated[dict[str, str] | None, PlainValidator(_or_none(_read_map))]
MaybeAliases = Annotated[tuple[str, ...] | None, PlainValidator(_or_none(_read_aliases))]
MaybeDetails = Annotated[Json | None, PlainValidator(_or_none(read_details))]
MaybeCycle = Annotated[
    Json | None, PlainValidator(_or_none(lambda value: _read_part(PricingCycleConfig, value)))
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


class Topup(BaseModel):
    """Wallet money bought with a purchase."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)

    topup_amount: MaybeAmount = None
    purchase_amount: MaybeAmount = None


MaybeTopup = Annotated[Topup | None, PlainValidator(_or_none(_read_topup))]


class GrantedFeature(Remote):
    """What a purchase has granted of one feature; its window here is two moments."""

    id: RemoteId
    name: MaybeText = None
    credits_granted: MaybeAmount = None
    credits_available: MaybeAmount = None
    updated_at: MaybeMoment = None
    effective_from: MaybeMoment = None
    effective_until: MaybeMoment = None


MaybeFeatures = Annotated[tuple[GrantedFeature, ...] | None, PlainValidator(_or_none(_read_features))]


class _PurchaseFacts(Remote):
    """What rows and whole records of purchases and proposals share; only id and status are certain."""

    id: RemoteId
    status: Annotated[str, PlainValidator(_needed(100))]
    type: MaybeText = None
    price_plan_id: MaybeText = None
    price_plan_version: MaybeWhole = None
    quantity: MaybeWhole = None
    rate_card_quantities: MaybeQuantities = None
    idempotency_key: MaybeText = None
    wallet_topup_details: MaybeTopup = None
    price: MaybeAmount = None
    invoice_currency: MaybeText = None
    created_at: MaybeMoment = None
    updated_at: MaybeMoment = None
    expiry_date: MaybeMoment = None
    payment_mode: MaybeText = None

    @property
    def known_status(self) -> PurchaseStatus | None:
        """The status if we know the word; a word we do not know is never success or failure."""
        return PurchaseStatus(self.status) if self.status in set(PurchaseStatus) else None


class PurchaseRow(_PurchaseFacts):
    """A row of an account's list of purchases."""

    price_plan_name: MaybeText = None


class ProposalRow(_PurchaseFacts):
    """A row of an account's list of proposals; it has no dates, no quantity and no overrides."""

    price_plan_name: MaybeText = None


class RemotePurchase(_PurchaseFacts):
    """A purchase as Togai has it. `comment` is opaque: a sample contradicts its own status."""

    account_id: RemoteId
    purchase_plan_override: MaybeDetails = None
    association_override: MaybeDetails = None
    purchase_plan: MaybeDetails = None
    effective_from: MaybeDay = None
    effective_until: MaybeDay = None
    invoice_id: MaybeText = None
    comment: MaybeText = None
    features: MaybeFeatures = None


class RemoteProposal(RemotePurchase):
    """A proposal as Togai has it: a purchase in the same id space, with the moment of its answer."""

    proposal_response_date: MaybeMoment = None


class RemoteAccount(Remote):
    """An account as Togai bills it."""

    id: RemoteId
    togai_account_id: MaybeText = None
    togai_customer_id: MaybeText = None
    customer_id: MaybeText = None
    name: MaybeText = None
    status: MaybeText = None
    invoice_currency: MaybeText = None
    aliases: MaybeAliases = None
    net_term_days: MaybeWhole = None
    primary_email: MaybeText = None
    address: MaybeMap = None
    metadata: MaybeMap = None
    tags: MaybeTexts = None

    def shows(self, body: bytes) -> bool:
        """Whether this account already has everything that the body of a PATCH asked for."""
        wanted = strict_json.loads(body)
        return isinstance(wanted, dict) and all(
            _shows(self._record.get(key), value, key) for key, value in wanted.items()
        )


def _shows(found: object, wanted: object, key: str) -> bool:
    if key == "tags" and isinstance(wanted, list):
        # Togai stores tags in lower case and as a set.
        have = found if isinstance(found, list) else []
        return {str(tag).lower() for tag in have} == {str(tag).lower() for tag in wanted}
    if key == "metadata" and isinstance(wanted, dict):
        have_map = found if isinstance(found, dict) else {}
        return {name: value for name, value in have_map.items() if value is not None} == wanted
    if isinstance(wanted, dict):
        have_map = found if isinstance(found, dict) else {}
        return all(have_map.get(part) == value for part, value in wanted.items())
    return found == wanted


class RemoteCustomer(Remote):
    """The company above one or more accounts."""

    id: RemoteId
    togai_customer_id: MaybeText = None
    name: MaybeText = None
    primary_email: MaybeText = None
    billing_address: MaybeText = None
    address: MaybeMap = None
    status: MaybeText = None
    created_at: MaybeMoment = None
    updated_at: MaybeMoment = None


class RemotePlan(Remote):
    """
    A version of a price plan, in the v2 shape or one of the two v1 shapes.

    ``details`` (stored form) is known in the v1 shapes only; v2 lists the rate cards apart.
    """

    id: RemoteId
    reference_id: MaybeText = None
    version: MaybeWhole = None
    status: MaybeText = None
    name: MaybeText = None
    description: MaybeText = None
    type: MaybeText = None
    supported_currencies: MaybeTexts = None
    active_currencies: MaybeTexts = None
    pricing_cycle_config: MaybeCycle = None
    deferred_revenue: MaybeFlag = None
    allow_ongoing_cycle_updates: MaybeFlag = None
    created_at: MaybeMoment = None
    updated_at: MaybeMoment = None
    details: Json | None = None

    @classmethod
    def _read(cls, record: Json) -> Self:
        found: Json = {key: value for key, value in record.items() if key != "details"}
        held = record
        schedule = record.get("pricingSchedule")
        if isinstance(schedule, list):
            entries = [entry for entry in schedule if isinstance(entry, dict)]
            held = max(
                entries, key=lambda entry: _or_none(_read_whole)(entry.get("version")) or 0, default={}
            )
            found.setdefault("version", held.get("version"))
        inner = held.get("pricePlanDetails")
        if isinstance(inner, dict):
            found["details"] = read_details(inner)
            ours = ("supportedCurrencies", "activeCurrencies", "pricingCycleConfig", "deferredRevenue")
            found = {key: inner[key] for key in ours if key in inner} | found
            # v1 writes this one key in snake case (togai.md 6, row 19).
            found.setdefault("allowOngoingCycleUpdates", inner.get("allow_ongoing_cycle_updates"))
        return cls.model_validate(found)


class RemoteRateCard(Remote):
    """
    A rate card of a plan (v2).

    ``kind`` is the key of its kind in a plan's details ("fixedFeeRateCards", "minimumCommitment") and
    ``details`` the card itself in stored form. Where the inner card leaves out its display name, tag or
    invoice timing, they are taken from around it, so that sending it back in an override does not lose them.
    """

    KINDS: ClassVar[Mapping[str, tuple[str, type[Wire]]]] = {
        **{kind.removesuffix("s"): (kind, card) for kind, card in CARDS.items()},
        "minimumCommitmentRateCard": ("minimumCommitment", MinimumCommitment),
    }

    billable_id: MaybeText = None
    type: MaybeText = None
    display_name: MaybeText = None
    name: MaybeText = None
    tag: MaybeText = None
    invoice_timing: MaybeText = None
    currencies: MaybeTexts = None
    price_plan_id: MaybeText = None
    account_id: MaybeText = None
    kind: str
    details: Json

    @classmethod
    def _read(cls, record: Json) -> Self:
        around = record.get("rateCardDetails")
        inner = {
            key: value
            for key, value in (around if isinstance(around, dict) else {}).items()
            if value is not None
        }
        known = [key for key in inner if key in cls.KINDS]
        if len(known) != 1:
            raise ContractChanged(
                "A rate card of Togai's has no details of a known kind.", reason="no_details"
            )
        kind, card = cls.KINDS[known[0]]
        details = inner[known[0]]
        if isinstance(details, dict):
            names = {to_camel(name) for name in card.model_fields}
            outer = {
                key: record[key]
                for key in ("displayName", "tag", "invoiceTiming")
                if key in names and record.get(key) is not None
            }
            details = outer | {key: value for key, value in details.items() if value is not None}
        return cls.model_validate(record | {"kind": kind, "details": _read_part(card, details)})


class RemoteFeature(Remote):
    """A feature that entitlements are counted in."""

    id: RemoteId
    name: MaybeText = None
    display_name: MaybeText = None
    billable_name: MaybeText = None
    created_at: MaybeMoment = None
    updated_at: MaybeMoment = None


class RemoteAddOn(Remote):
    """What fixed fees, licences and credit grants bill."""

    id: RemoteId
    name: MaybeText = None
    type: MaybeText = None
    status: MaybeText = None
    display_name: MaybeText = None
    billable_name: MaybeText = None
    created_at: MaybeMoment = None


class RemoteUsageMeter(Remote):
    """What usage rate cards bill."""

    id: RemoteId
    name: MaybeText = None
    display_name: MaybeText = None
    billable_name: MaybeText = None
    type: MaybeText = None
    aggregation: MaybeText = None
    status: MaybeText = None


class RemoteInvoice(Remote):
    """An invoice or, with class ORDER, what has to be paid before a purchase takes effect."""

    id: RemoteId
    owner_id: MaybeText = None
    customer_id: MaybeText = None
    price_plan_id: MaybeText = None
    status: MaybeText = None
    invoice_class: MaybeText = None
    invoice_type: MaybeText = None
    invoice_date: MaybeMoment = None
    due_date: MaybeMoment = None
    start_date: MaybeMoment = None
    end_date: MaybeMoment = None
    updated_at: MaybeMoment = None
    total_amount: MaybeAmount = None
    paid_amount: MaybeAmount = None
    net_term_days: MaybeWhole = None
    pdf_url: MaybeText = None


class RemoteWallet(Remote):
    """The prepaid money of an account; the balance is what is neither consumed nor on hold."""

    id: RemoteId
    account_id: MaybeText = None
    customer_id: MaybeText = None
    balance: MaybeAmount = None
    hold_amount: MaybeAmount = None
    credit_unit: MaybeText = None
    status: MaybeText = None
    effective_from: MaybeMoment = None
    created_at: MaybeMoment = None
    updated_at: MaybeMoment = None


class RemoteWalletEntry(Remote):
    """A movement in a wallet."""

    id: RemoteId
    wallet_id: MaybeText = None
    transaction_type: MaybeText = None
    status: MaybeText = None
    amount: MaybeAmount = None
    closing_balance: MaybeAmount = None
    created_at: MaybeMoment = None
    description: MaybeText = None
    entity_id: MaybeText = None


class RemoteEntitlementValue(Remote):
    """What an account is entitled to of one feature; the value is text ("true", "100")."""

    feature_id: RemoteId
    value: MaybeText = None


class RemoteFeatureCredits(Remote):
    """An account's balance of one feature."""

    feature_id: RemoteId
    account_id: MaybeText = None
    granted: MaybeAmount = None
    balance: MaybeAmount = None
    used_overage: MaybeAmount = None
    overage_limit: MaybeAmount = None


class RemoteSchedule(Remote):
    """Which plan version applies to an account, from and until when; year 9999 stands for ever (v1, v2)."""

    id: RemoteId
    account_id: MaybeText = None
    price_plan_id: MaybeText = None
    price_plan_name: MaybeText = None
    version: MaybeWhole = None
    start_date: MaybeMoment = None
    end_date: MaybeMoment = None
    is_overridden: MaybeFlag = None
    supported_currencies: MaybeTexts = None
    pricing_cycle_config: MaybeCycle = None

    @classmethod
    def _read(cls, record: Json) -> Self:
        found = dict(record)
        info, schedule = record.get("pricePlanInfo"), record.get("accountScheduleInfo")
        if isinstance(info, dict):
            found.setdefault("pricePlanName", info.get("name"))
        if isinstance(schedule, dict):
            found = schedule | found
        # v1 spells it with one d (togai.md 6, row 14).
        found.setdefault("isOverridden", record.get("isOverriden"))
        return cls.model_validate(found)
