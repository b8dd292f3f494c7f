"""Lists of cards: what may replace those of a plan, and with them the shape of a plan's details."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator

from togai.wire.cards import (
    BillingEntitlementRateCard,
    CreditGrantRateCard,
    EntitlementOverageRateCard,
    FixedFeeRateCard,
    LicenseRateCard,
    MinimumCommitment,
    PricingCycleConfig,
    UsageRateCard,
)
from togai.wire.values import Currencies, Json, written
from togai.wire.writing import Wire, read_part

CARD_LIMIT = 50

FixedFees = Annotated[
    tuple[FixedFeeRateCard, ...],
    AfterValidator(written(CARD_LIMIT, once=lambda card: card.id, what="fixed fee")),
]
Entitlements = Annotated[
    tuple[BillingEntitlementRateCard, ...],
    AfterValidator(written(CARD_LIMIT, once=lambda card: card.feature_id, what="entitlement")),
]
CreditGrants = Annotated[
    tuple[CreditGrantRateCard, ...],
    AfterValidator(written(CARD_LIMIT, once=lambda card: card.id, what="credit grant")),
]
UsageCards = Annotated[
    tuple[UsageRateCard, ...],
    AfterValidator(written(CARD_LIMIT, once=lambda card: card.usage_meter_id, what="usage card")),
]
Licenses = Annotated[
    tuple[LicenseRateCard, ...],
    AfterValidator(written(CARD_LIMIT, once=lambda card: card.id, what="licence")),
]
Overages = Annotated[
    tuple[EntitlementOverageRateCard, ...],
    AfterValidator(written(CARD_LIMIT, once=lambda card: card.feature_id, what="overage")),
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


def read_details(value: object) -> Json:
    """
    A plan's details or an override as Togai shows it, in stored form; unknown keys are left out.

    :raises ContractChanged: if a part of it has another shape than the contract's
    """
    return read_part(AssociationOverride, value)
