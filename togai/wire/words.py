"""
The words Togai writes in capitals, as enums.

Writers send nothing else; readers keep a word they do not know as it came.
"""

from enum import StrEnum


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
