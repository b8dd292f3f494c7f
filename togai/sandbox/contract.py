"""What a request body may look like: the vendor's schemas plus the writer rules of togai.md 4 and 5.

The models judge and are thrown away; what is stored and echoed is the JSON as it was sent. Rules that need
to know the account or the plan are in ``rules``.
"""

import re
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from togai.sandbox.moments import read_date, read_duration, read_moment
from togai.sandbox.refusals import bad_request

# A JSON number is a double for the vendor: 15 digits survive the trip (togai.md 2.1).
LARGEST = Decimal(10) ** 15
FINEST_EXPONENT = -15


PLAIN_WORDS = {
    "extra_forbidden": "unknown key",
    "missing": "is required",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
}


def check(model, body):
    """Judge a parsed JSON body; returns the validated model.

    :raises Refusal: 400 naming the path and what is wrong there
    """
    path = _path_of_null(body)
    if path is not None:
        raise bad_request(f"{path or 'body'}: null is not allowed, leave the key out.")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise bad_request("; ".join(_sentence(entry) for entry in error.errors()[:3])) from error


def _path_of_null(value, path=""):
    if value is None:
        return path
    items = ()
    if isinstance(value, dict):
        items = ((f"{path}.{key}" if path else key, item) for key, item in value.items())
    elif isinstance(value, list):
        items = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    for inner_path, item in items:
        found = _path_of_null(item, inner_path)
        if found is not None:
            return found
    return None


def _sentence(entry):
    path = ""
    for part in entry["loc"]:
        if part == "[key]":
            continue
        path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else str(part))
    what = PLAIN_WORDS.get(entry["type"], entry["msg"].removeprefix("Value error, "))
    return f"{path[:200] or 'body'}: {what}"


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


def _whole(least, most):
    return Annotated[int, Field(strict=True, ge=least, le=most)]


def _text(least, most):
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
BillableId = _text(1, 50)
DisplayName = _text(1, 255)
CardName = _text(1, 50)
Tag = _text(0, 50)

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


def _no_twice(values, what):
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value!r} appears twice")
        seen.add(value)


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
    order: _whole(1, 10)
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
    order: _whole(1, 10)
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
    interval: _whole(1, INT64) | None = None
    offset: _whole(0, INT64) | None = None


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
        _no_twice((value.currency for value in self.rateValues), "the currency")
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
        _no_twice((value.currency for value in values), "the currency")
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
    priority: _whole(0, INT32)
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
        _no_twice((value.currency for value in values), "the currency")
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
    maxQuantity: _whole(0, INT64) | None = None
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
    interval: _whole(1, INT64) | None = None
    startOffset: _whole(0, INT64) | None = None


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
        _no_twice((value.currency for value in values), "the currency")
        return values


class StartOffset(Closed):
    dayOffset: _text(1, 5)
    monthOffset: _text(1, 5)


MONTHS_IN = {"QUARTERLY": 3, "HALF_YEARLY": 6, "ANNUALLY": 12}


class PricingCycle(Closed):
    interval: Interval
    gracePeriod: _whole(0, INT32)
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


# The list keys of an override, with the key that names the billable item in each card.
CARD_LISTS = {
    "fixedFeeRateCards": "id",
    "billingEntitlementRateCards": "featureId",
    "creditGrantRateCards": "id",
    "usageRateCards": "usageMeterId",
    "licenseRateCards": "id",
    "entitlementOverageRateCards": "featureId",
}


class Override(Closed):
    """Lists of cards in which each billable item comes once."""

    @model_validator(mode="after")
    def _billables_once(self):
        for kind, key in CARD_LISTS.items():
            cards = getattr(self, kind, None) or ()
            _no_twice((getattr(card, key) for card in cards), f"{kind}: the billable item")
        return self


def _up_to_fifty(card):
    # An empty list cannot mean "removed": the vendor's response model refuses it (togai.md 4.1).
    return Annotated[list[card], Field(min_length=1, max_length=50)] | None


class PurchasePlanOverride(Override):
    fixedFeeRateCards: _up_to_fifty(FixedFeeCard) = None
    billingEntitlementRateCards: _up_to_fifty(BillingEntitlementCard) = None
    creditGrantRateCards: _up_to_fifty(CreditGrantCard) = None


def _any_number(card):
    return Annotated[list[card], Field(min_length=1)] | None


class AssociationOverride(Override):
    pricingCycleConfig: PricingCycle | None = None
    supportedCurrencies: Annotated[list[Currency], Field(min_length=1)] | None = None
    fixedFeeRateCards: _any_number(FixedFeeCard) = None
    billingEntitlementRateCards: _any_number(BillingEntitlementCard) = None
    creditGrantRateCards: _any_number(CreditGrantCard) = None
    usageRateCards: _any_number(UsageCard) = None
    licenseRateCards: _any_number(LicenseCard) = None
    entitlementOverageRateCards: _any_number(OverageCard) = None
    minimumCommitment: MinimumCommitment | None = None

    @field_validator("supportedCurrencies")
    @classmethod
    def _currencies_once(cls, values):
        _no_twice(values or (), "the currency")
        return values


class WalletTopupDetails(Closed):
    topupAmount: Positive
    purchaseAmount: NotNegative | None = None


class CreatePurchase(Closed):
    type: PurchaseType = "ENTITLEMENT_GRANT"
    pricePlanId: _text(1, 50) | None = None
    quantity: _whole(1, INT32) | None = None
    rateCardQuantities: Annotated[dict[BillableId, Positive], Field(min_length=1)] | None = None
    idempotencyKey: _text(1, 64) | None = None
    purchasePlanOverride: PurchasePlanOverride | None = None
    associationOverride: AssociationOverride | None = None
    walletTopupDetails: WalletTopupDetails | None = None
    effectiveFrom: Day | None = None
    effectiveUntil: Day | None = None
    expiryDate: Moment | None = None


class CreateProposal(CreatePurchase):
    type: PurchaseType
    paymentMode: Literal["PREPAID", "POSTPAID"]


class UpdateProposalStatus(Closed):
    status: Literal["APPROVE", "DECLINE"]


Email = Annotated[str, StringConstraints(strict=True, max_length=320, pattern=r"^[^@\s]+@[^@\s]+$")]
NetTermDays = _whole(0, INT32)
Metadata = dict[Annotated[str, Field(strict=True)], Annotated[str, Field(strict=True)]]


class Address(Closed):
    phoneNumber: _text(0, 50) | None = None
    line1: _text(0, 255) | None = None
    line2: _text(0, 255) | None = None
    postalCode: _text(0, 50) | None = None
    city: _text(0, 255) | None = None
    state: _text(0, 255) | None = None
    country: _text(2, 2) | None = None


class BillingInformation(Closed):
    emailRecipients: list[Email] | None = None
    additionalEmailRecipients: list[Email] | None = None


class EntitySetting(Closed):
    id: _text(1, 255)
    value: _text(0, 1000)
    namespace: _text(1, 255)
    name: _text(1, 255)
    dataType: Literal["STRING", "NUMERIC", "JSON", "JSON_LOGIC"]


def _tags_once(values):
    _no_twice(values or (), "the tag")
    return values


class UpdateAccount(Closed):
    name: _text(3, 255) | None = None
    status: Literal["ACTIVE", "DRAFT"] | None = None
    invoiceCurrency: Currency | None = None
    netTermDays: NetTermDays | None = None
    primaryEmail: Email | None = None
    billingInformation: BillingInformation | None = None
    address: Address | None = None
    metadata: Metadata | None = None
    tags: list[_text(1, 255)] | None = None

    _tags = field_validator("tags")(classmethod(lambda cls, values: _tags_once(values)))


class AccountAlias(Closed):
    value: _text(1, 50)
    effectiveFrom: Moment | None = None
    effectiveUntil: Moment | None = None


class CreateAccountOfNewCustomer(Closed):
    id: _text(1, 50)
    name: _text(3, 255)
    invoiceCurrency: Currency | None = None
    aliases: Annotated[list[_text(3, 50)], Field(max_length=10)] | None = None
    accountAliases: Annotated[list[AccountAlias], Field(max_length=10)] | None = None
    address: Address | None = None
    primaryEmail: Email | None = None
    billingInformation: BillingInformation | None = None
    settings: Annotated[list[EntitySetting], Field(max_length=10)] | None = None
    netTermDays: NetTermDays | None = None
    metadata: Metadata | None = None
    tags: list[_text(1, 255)] | None = None
    status: Literal["ACTIVE", "DRAFT"] | None = None

    _tags = field_validator("tags")(classmethod(lambda cls, values: _tags_once(values)))


class CreateAccount(CreateAccountOfNewCustomer):
    customerId: _text(1, 255)


class CreateCustomer(Closed):
    id: _text(1, 50)
    name: _text(3, 255)
    primaryEmail: Email
    address: Address
    settings: Annotated[list[EntitySetting], Field(max_length=10)] | None = None
    account: CreateAccountOfNewCustomer | None = None


class TopupWallet(Closed):
    topupAmount: Positive


class UpdateWallet(Closed):
    effectiveFrom: Moment | None = None
    status: Literal["ACTIVE", "INACTIVE"] | None = None


class UpdateInvoice(Closed):
    """Only the status can be changed here; the vendor's other fields serve custom invoices."""

    status: Literal["DUE", "PAID", "VOID", "UN_COLLECTIBLE", "REFUND_INITIATED"]


class CurrencyConfig(Closed):
    mode: Literal["CUSTOM", "ACCOUNT_INVOICE"]
    currency: Currency | None = None
    accountId: _text(1, 50) | None = None


class PricePlanDetails(AssociationOverride):
    supportedCurrencies: Annotated[list[Currency], Field(min_length=1)]
    deferredRevenue: Flag | None = None
    allow_ongoing_cycle_updates: Flag | None = None


class PricePlanDetailsConfig(Closed):
    mode: Literal["CUSTOM", "PRICE_PLAN", "ACCOUNT"]
    pricePlanDetails: PricePlanDetails | None = None
    pricePlanId: _text(1, 50) | None = None
    accountId: _text(1, 50) | None = None
    effectiveOn: Moment | None = None
    pricingCycleOrdinal: _whole(0, INT32) | None = None


class LookupRange(Closed):
    start: Moment
    end: Moment
    accountId: _text(1, 50)


class LookupCycle(Closed):
    accountId: _text(1, 50)
    cycleEffectiveOn: Moment | None = None


class UsageConfig(Closed):
    mode: Literal["CUSTOM", "LOOKUP_RANGE", "LOOKUP_CYCLE"]
    usageMap: dict[BillableId, NotNegative] | None = None
    lookupRange: LookupRange | None = None
    lookupCycle: LookupCycle | None = None


class LicenseEntry(Closed):
    licenseId: BillableId
    quantity: _whole(0, INT32)
    effectiveFrom: Moment


class LicenseEntriesConfig(Closed):
    mode: Literal["CUSTOM", "LOOKUP_RANGE", "LOOKUP_CYCLE"]
    custom: list[LicenseEntry] | None = None
    lookupRange: LookupRange | None = None
    lookupCycle: LookupCycle | None = None


class OverageEntry(Closed):
    featureId: BillableId
    quantity: NotNegative


class OverageLookup(Closed):
    accountId: _text(1, 50)
    billingCycleEndDate: Moment


class EntitlementOverageConfig(Closed):
    mode: Literal["CUSTOM", "LOOKUP_CYCLE"]
    custom: list[OverageEntry] | None = None
    lookupCycle: OverageLookup | None = None


class CalculateRevenue(Closed):
    """The calculator without named licences and proration, which the sandbox does not price."""

    currencyConfig: CurrencyConfig
    pricePlanDetailsConfig: PricePlanDetailsConfig
    usageConfig: UsageConfig
    licenseEntriesConfig: LicenseEntriesConfig
    entitlementOverageConfig: EntitlementOverageConfig | None = None
