"""
What a plan is made of: six kinds of rate card with their slabs and rates, the minimum commitment and
the pricing cycle (togai.md 4.2).
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, field_validator

from togai.wire.values import (
    SLAB_LIMIT,
    Amount,
    Charge,
    Count,
    Currency,
    DisplayName,
    Duration,
    Flag,
    Id,
    Interval,
    LongCount,
    Model,
    Name,
    Number,
    Order,
    PlainTiming,
    PositiveCount,
    RateLimits,
    SlabConfig,
    SlabPrice,
    Tag,
    Timing,
    lenient,
    offset_text,
    one_of,
    text,
    written,
    wrong,
)
from togai.wire.words import AddOnType, CycleInterval, ExpiryType, PriceType, ProratedRefundMode
from togai.wire.writing import Wire


class CurrencyRateValue(Wire):
    """A flat amount in one currency, in major units; may be negative."""

    currency: Currency
    rate: Number


FlatRates = Annotated[
    tuple[CurrencyRateValue, ...],
    AfterValidator(written(once=lambda value: value.currency, what="rate")),
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
        tuple[SlabRate, ...], AfterValidator(written(once=lambda value: value.order, what="rate"))
    ]
    rate_config: RateLimits | None = None


class RatePlan(Wire):
    """How quantity is cut into slabs."""

    pricing_model: Model
    slabs: tuple[Slab, ...]

    @field_validator("slabs")
    @classmethod
    def _slabs_form_a_ladder(cls, slabs: tuple[Slab, ...], info: ValidationInfo) -> tuple[Slab, ...]:
        if not lenient(info):
            if [slab.order for slab in slabs] != list(range(1, len(slabs) + 1)):
                raise wrong("Slabs are numbered 1, 2, 3 and so on without gaps.")
            _climbing(slab.start_after for slab in slabs)
        return slabs


class _SlabCard(_Card):
    """What all cards with slabs share: one rate per slab in every currency."""

    rate_plan: RatePlan
    rate_values: Annotated[
        tuple[RateValue, ...],
        AfterValidator(written(once=lambda value: value.currency, what="set of rates")),
    ]

    @field_validator("rate_values")
    @classmethod
    def _every_slab_has_a_rate(
        cls, values: tuple[RateValue, ...], info: ValidationInfo
    ) -> tuple[RateValue, ...]:
        rate_plan: RatePlan | None = info.data.get("rate_plan")
        if rate_plan is not None and not lenient(info):
            wanted = {slab.order for slab in rate_plan.slabs}
            for value in values:
                if {rate.order for rate in value.slab_rates} != wanted:
                    raise wrong(f"{value.currency} needs exactly one rate for each slab.")
        return values


class BillingEntitlementRateCard(_SlabCard):
    """A prepaid allowance of a feature, with a price."""

    feature_id: Id
    feature_configs: Annotated[tuple[FeatureConfig, ...], AfterValidator(written())]
    invoice_timing: Timing
    recurrence_config: RecurrenceConfig | None = None


class GrantDetails(Wire):
    """Which credit is spent first, on what, and until when."""

    priority: Count
    expiry_type: Annotated[str, PlainValidator(one_of(*ExpiryType))]
    expiry_duration: Duration | None = Field(default=None, validate_default=True)
    applicable_entity_ids: (
        Annotated[tuple[Id, ...], AfterValidator(written(least=0, once=lambda entity: entity, what="entry"))]
        | None
    ) = None

    @field_validator("expiry_duration")
    @classmethod
    def _custom_expiry_has_a_duration(cls, duration: str | None, info: ValidationInfo) -> str | None:
        custom = info.data.get("expiry_type") == ExpiryType.CUSTOM
        if custom and duration is None and not lenient(info):
            raise wrong("A custom expiry needs a duration.")
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
    slab_details: Annotated[tuple[SlabDetail, ...], AfterValidator(written(SLAB_LIMIT))]
    rate_config: RateLimits | None = None

    @field_validator("slab_details")
    @classmethod
    def _slabs_form_a_ladder(
        cls, details: tuple[SlabDetail, ...], info: ValidationInfo
    ) -> tuple[SlabDetail, ...]:
        if not lenient(info):
            _climbing(detail.start_after for detail in details)
        return details


class CreditRateDetails(Wire):
    """The price of granted credit, per currency."""

    pricing_model: Model
    currency_slab_rate_details: Annotated[
        tuple[CurrencySlabRateDetail, ...],
        AfterValidator(written(once=lambda detail: detail.currency, what="set of rates")),
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
    max_quantity_breach_action: Annotated[str, PlainValidator(one_of("DO_NOTHING"))] | None = None


class LicenseRateCard(_SlabCard):
    """Seats, counted per day and kept from cycle to cycle."""

    id: Id
    type: Annotated[str, PlainValidator(one_of(*AddOnType))] | None = None
    invoice_timing: PlainTiming | None = None
    usage_cycle: Interval | None = None
    enable_proration: Flag
    config: LicenseConfig | None = None
    prorated_refund_mode: Annotated[str, PlainValidator(one_of(*ProratedRefundMode))] | None = None


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

    display_name: Annotated[str, PlainValidator(text(255, 1))]
    rate_values: FlatRates


class StartOffset(Wire):
    """The day, and for long cycles the month, in which a cycle starts; both are text on the wire."""

    day_offset: Annotated[str, PlainValidator(offset_text)]
    month_offset: Annotated[str, PlainValidator(offset_text)]


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
        if offset is None or interval is None or lenient(info):
            return offset
        if info.data.get("anniversary_cycle"):
            raise wrong("An anniversary cycle starts with the association; leave the start out.")
        weekly = interval == CycleInterval.WEEKLY
        days = {str(day) for day in range(1, 8 if weekly else 32)} | (set() if weekly else {"LAST"})
        if offset.day_offset not in days:
            raise wrong("The start day is 1 to 7 for weeks, else 1 to 31 or LAST.")
        if interval in _MONTHS:
            months = {str(month) for month in range(1, _MONTHS[CycleInterval(interval)] + 1)}
            if offset.month_offset not in months | {"FIRST", "LAST"}:
                raise wrong(f"The start month is 1 to {len(months)}, FIRST or LAST.")
        elif offset.month_offset != "NIL":
            raise wrong("For weeks and months the start month is NIL.")
        return offset


def _sized(config: SlabConfig | None, info: ValidationInfo) -> SlabConfig | None:
    package = info.data.get("price_type") == PriceType.PACKAGE
    if package and "packageSize" not in (config or {}) and not lenient(info):
        raise wrong("A package needs its size.")
    return config


def _climbing(starts: Iterable[Decimal]) -> None:
    previous: Decimal | None = None
    for start in starts:
        if previous is None and start != 0:
            raise wrong("The first slab starts after 0.")
        if previous is not None and start <= previous:
            raise wrong("Each slab starts after the one before it.")
        previous = start
    if previous is None:
        raise wrong("At least one slab is needed.")
