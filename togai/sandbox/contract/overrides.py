"""Lists of cards in place of those of a plan."""

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from togai.sandbox.contract.cards import (
    BillingEntitlementCard,
    CreditGrantCard,
    FixedFeeCard,
    LicenseCard,
    MinimumCommitment,
    OverageCard,
    PricingCycle,
    UsageCard,
)
from togai.sandbox.contract.values import Closed, Currency, no_twice

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
            no_twice((getattr(card, key) for card in cards), f"{kind}: the billable item")
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
        no_twice(values or (), "the currency")
        return values
