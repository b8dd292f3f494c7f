"""The bodies that create purchases and proposals, and the one that decides a proposal."""

from typing import Annotated, Literal

from pydantic import Field

from togai.sandbox.contract.overrides import AssociationOverride, PurchasePlanOverride
from togai.sandbox.contract.values import (
    INT32,
    BillableId,
    Closed,
    Day,
    Moment,
    NotNegative,
    Positive,
    PurchaseType,
    text,
    whole,
)


class WalletTopupDetails(Closed):
    topupAmount: Positive
    purchaseAmount: NotNegative | None = None


class CreatePurchase(Closed):
    type: PurchaseType = "ENTITLEMENT_GRANT"
    pricePlanId: text(1, 50) | None = None
    quantity: whole(1, INT32) | None = None
    rateCardQuantities: Annotated[dict[BillableId, Positive], Field(min_length=1)] | None = None
    idempotencyKey: text(1, 64) | None = None
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
