"""The body of a price preview."""

from typing import Annotated, Literal

from pydantic import Field

from togai.sandbox.contract.overrides import AssociationOverride
from togai.sandbox.contract.values import (
    INT32,
    BillableId,
    Closed,
    Currency,
    Flag,
    Moment,
    NotNegative,
    text,
    whole,
)


class CurrencyConfig(Closed):
    mode: Literal["CUSTOM", "ACCOUNT_INVOICE"]
    currency: Currency | None = None
    accountId: text(1, 50) | None = None


class PricePlanDetails(AssociationOverride):
    supportedCurrencies: Annotated[list[Currency], Field(min_length=1)]
    deferredRevenue: Flag | None = None
    allow_ongoing_cycle_updates: Flag | None = None


class PricePlanDetailsConfig(Closed):
    mode: Literal["CUSTOM", "PRICE_PLAN", "ACCOUNT"]
    pricePlanDetails: PricePlanDetails | None = None
    pricePlanId: text(1, 50) | None = None
    accountId: text(1, 50) | None = None
    effectiveOn: Moment | None = None
    pricingCycleOrdinal: whole(0, INT32) | None = None


class LookupRange(Closed):
    start: Moment
    end: Moment
    accountId: text(1, 50)


class LookupCycle(Closed):
    accountId: text(1, 50)
    cycleEffectiveOn: Moment | None = None


class UsageConfig(Closed):
    mode: Literal["CUSTOM", "LOOKUP_RANGE", "LOOKUP_CYCLE"]
    usageMap: dict[BillableId, NotNegative] | None = None
    lookupRange: LookupRange | None = None
    lookupCycle: LookupCycle | None = None


class LicenseEntry(Closed):
    licenseId: BillableId
    quantity: whole(0, INT32)
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
    accountId: text(1, 50)
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
