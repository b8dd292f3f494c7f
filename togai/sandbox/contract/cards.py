"""What a plan is made of: rate cards with their slabs and rates, the minimum commitment, the cycle."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from togai.sandbox.contract.values import (
    INT32,
    INT64,
    BillableId,
    CardName,
    Closed,
    Currency,
    DecimalText,
    DisplayName,
    Duration,
    Flag,
    Interval,
    NotNegative,
    Number,
    OnceOrAgain,
    PriceType,
    PricingModel,
    Tag,
    no_twice,
    text,
    whole,
)


class Limits(BaseModel):
    """``rateConfig`` and ``slabRateConfig``: a free string map with two keys that mean something."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[str, Field(strict=True)]]

    minimumRate: DecimalText | None = None
    maximumRate: DecimalText | None = None

    @model_validator(mode="after")
    def _in_order(self):
        low, high = self.minimumRate, self.maximumRate
        if low is not None and high is not None and low > high:
            raise ValueError("minimumRate is above maximumRate")
        return self


class SlabConfig(BaseModel):
    """A free string map; ``packageSize`` means something."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[str, Field(strict=True)]]

    packageSize: DecimalText | None = None

    @field_validator("packageSize")
    @classmethod
    def _positive(cls, value):
        if value is not None and value <= 0:
            raise ValueError("must be above 0")
        return value


def _thresholds(slabs):
    starts = [slab.startAfter for slab in slabs]
    if starts[0] != 0:
        raise ValueError("the first slab must start after 0")
    if any(right <= left for left, right in pairwise(starts)):
        raise ValueError("startAfter must increase from slab to slab")


def _packaged(slab):
    if slab.priceType == "PACKAGE" and (slab.slabConfig is None or slab.slabConfig.packageSize is None):
        raise ValueError("PACKAGE needs slabConfig.packageSize")
    return slab


class Slab(Closed):
    order: whole(1, 10)
    startAfter: NotNegative
    priceType: PriceType
    slabConfig: SlabConfig | None = None

    _package = model_validator(mode="after")(_packaged)


class RatePlan(Closed):
    pricingModel: PricingModel
    slabs: Annotated[list[Slab], Field(min_length=1)]

    @field_validator("slabs")
    @classmethod
    def _in_order(cls, slabs):
        if [slab.order for slab in slabs] != list(range(1, len(slabs) + 1)):
            raise ValueError("orders must run 1, 2, 3 without gaps")
        _thresholds(slabs)
        return slabs


class SlabRate(Closed):
    order: whole(1, 10)
    rate: Number
    slabRateConfig: Limits | None = None


class RateValue(Closed):
    currency: Currency
    slabRates: Annotated[list[SlabRate], Field(min_length=1)]
    rateConfig: Limits | None = None


class CurrencyRateValue(Closed):
    currency: Currency
    rate: Number


class Recurrence(Closed):
    interval: whole(1, INT64) | None = None
    offset: whole(0, INT64) | None = None


class Card(Closed):
    """What every rate card may carry."""

    displayName: DisplayName | None = None
    name: CardName | None = None
    tag: Tag | None = None


class SlabbedCard(Card):
    """A card priced by a rate plan: every currency gives one rate for every slab."""

    ratePlan: RatePlan
    rateValues: Annotated[list[RateValue], Field(min_length=1)]

    @model_validator(mode="after")
    def _rates_match_slabs(self):
        no_twice((value.currency for value in self.rateValues), "the currency")
        orders = [slab.order for slab in self.ratePlan.slabs]
        for value in self.rateValues:
            if sorted(rate.order for rate in value.slabRates) != orders:
                raise ValueError(f"rateValues of {value.currency} need exactly one rate for each slab")
        return self


class FixedFeeCard(Card):
    id: BillableId
    rateValues: Annotated[list[CurrencyRateValue], Field(min_length=1)]
    enableProration: Flag
    invoiceTiming: Literal["IN_ADVANCE", "IN_ARREARS"] | None = None
    type: OnceOrAgain | None = None
    recurrenceConfig: Recurrence | None = None

    @field_validator("rateValues")
    @classmethod
    def _currencies_once(cls, values):
        no_twice((value.currency for value in values), "the currency")
        return values


class FeatureConfig(Closed):
    featureCreditLimit: NotNegative
    effectiveUntil: Duration
    effectiveFrom: Duration | None = None


class BillingEntitlementCard(SlabbedCard):
    featureId: BillableId
    featureConfigs: Annotated[list[FeatureConfig], Field(min_length=1)]
    invoiceTiming: Literal["IN_ADVANCE", "IN_ARREARS", "PREPAID"]
    recurrenceConfig: Recurrence | None = None


class GrantDetails(Closed):
    priority: whole(0, INT32)
    expiryType: Literal["PRICING_CYCLE", "NO_EXPIRY", "CUSTOM"]
    expiryDuration: Duration | None = None
    applicableEntityIds: list[Annotated[str, Field(strict=True)]] | None = None

    @model_validator(mode="after")
    def _custom_needs_a_duration(self):
        if self.expiryType == "CUSTOM" and self.expiryDuration is None:
            raise ValueError("expiryType CUSTOM needs expiryDuration")
        return self


class SlabDetail(Closed):
    startAfter: NotNegative
    priceType: PriceType
    rate: Number
    slabConfig: SlabConfig | None = None
    slabRateConfig: Limits | None = None

    _package = model_validator(mode="after")(_packaged)


class CurrencySlabRateDetail(Closed):
    currency: Currency
    creditAmount: NotNegative
    slabDetails: Annotated[list[SlabDetail], Field(min_length=1, max_length=10)]
    rateConfig: Limits | None = None

    @field_validator("slabDetails")
    @classmethod
    def _in_order(cls, slabs):
        _thresholds(slabs)
        return slabs


class CreditRateDetails(Closed):
    pricingModel: PricingModel
    currencySlabRateDetails: Annotated[list[CurrencySlabRateDetail], Field(min_length=1)]

    @field_validator("currencySlabRateDetails")
    @classmethod
    def _currencies_once(cls, values):
        no_twice((value.currency for value in values), "the currency")
        return values


class CreditGrantCard(Card):
    id: BillableId
    grantDetails: GrantDetails
    rateDetails: CreditRateDetails
    invoiceTiming: Literal["IN_ADVANCE", "IN_ARREARS", "PREPAID"] | None = None
    type: OnceOrAgain | None = None
    recurrenceConfig: Recurrence | None = None


class UsageCard(SlabbedCard):
    usageMeterId: BillableId


class LicenseConfig(Closed):
    maxQuantity: whole(0, INT64) | None = None
    maxQuantityBreachAction: Literal["DO_NOTHING"] | None = None


class LicenseCard(SlabbedCard):
    id: BillableId
    enableProration: Flag
    type: Literal["LICENSE", "FIXED_FEE", "CREDIT_GRANT", "NAMED_LICENSE"] | None = None
    invoiceTiming: Literal["IN_ADVANCE", "IN_ARREARS"] | None = None
    usageCycle: Interval | None = None
    config: LicenseConfig | None = None
    proratedRefundMode: Literal["NONE", "CREDITS", "PAYMENT", "WALLET"] | None = None


class OverageBilling(Closed):
    interval: whole(1, INT64) | None = None
    startOffset: whole(0, INT64) | None = None


class OverageCard(SlabbedCard):
    featureId: BillableId
    maxQuantity: NotNegative | None = None
    billingConfig: OverageBilling | None = None


class MinimumCommitment(Closed):
    displayName: DisplayName
    rateValues: Annotated[list[CurrencyRateValue], Field(min_length=1)]

    @field_validator("rateValues")
    @classmethod
    def _currencies_once(cls, values):
        no_twice((value.currency for value in values), "the currency")
        return values


class StartOffset(Closed):
    dayOffset: text(1, 5)
    monthOffset: text(1, 5)


MONTHS_IN = {"QUARTERLY": 3, "HALF_YEARLY": 6, "ANNUALLY": 12}


class PricingCycle(Closed):
    interval: Interval
    gracePeriod: whole(0, INT32)
    startOffset: StartOffset | None = None
    anniversaryCycle: Flag | None = None

    @model_validator(mode="after")
    def _offsets_exist(self):
        if self.startOffset is None:
            return self
        last_day = 7 if self.interval == "WEEKLY" else 31
        days = {str(day) for day in range(1, last_day + 1)} | ({"LAST"} if last_day == 31 else set())
        if self.startOffset.dayOffset not in days:
            raise ValueError(f"startOffset.dayOffset is not a day of a {self.interval} cycle")
        months = {"NIL"}
        if self.interval in MONTHS_IN:
            months = {str(month) for month in range(1, MONTHS_IN[self.interval] + 1)} | {"FIRST", "LAST"}
        if self.startOffset.monthOffset not in months:
            raise ValueError(f"startOffset.monthOffset is not a month of a {self.interval} cycle")
        return self
