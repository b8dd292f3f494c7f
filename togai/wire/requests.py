"""
The bodies of what we post: create a purchase or a proposal, decide a proposal, change an account, ask what a
cycle would bring.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, PlainValidator, model_validator

from togai.wire.overrides import AssociationOverride, PurchasePlanOverride
from togai.wire.values import (
    Amount,
    Count,
    Currencies,
    Currency,
    Day,
    DisplayName,
    Email,
    Id,
    IdempotencyKey,
    Moment,
    Name,
    PositiveCount,
    PositiveNumber,
    matching,
    one_of,
    text,
    written,
    wrong,
)
from togai.wire.words import AccountStatus, PaymentMode, PurchaseType, Verdict
from togai.wire.writing import Wire


class WalletTopupDetails(Wire):
    """Money into the wallet; without a purchase amount it costs what it brings."""

    topup_amount: PositiveNumber
    purchase_amount: Amount | None = None


class CreatePurchase(Wire):
    """The body of `POST /accounts/{id}/purchases`. Which type may carry what is `purchases.terms`' to say."""

    type: Annotated[str, PlainValidator(one_of(*PurchaseType))]
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

    payment_mode: Annotated[str, PlainValidator(one_of(*PaymentMode))]


class UpdateProposalStatus(Wire):
    """The body of `POST /purchase_proposals/{id}/update_status`: one word, no reason, no actor."""

    status: Annotated[str, PlainValidator(one_of(*Verdict))]


class Address(Wire):
    """A postal address; the country is two capital letters."""

    phone_number: DisplayName | None = None
    line1: DisplayName | None = None
    line2: DisplayName | None = None
    postal_code: DisplayName | None = None
    city: DisplayName | None = None
    state: DisplayName | None = None
    country: (
        Annotated[str, PlainValidator(matching(re.compile("[A-Z]{2}"), "A country is two capital letters."))]
        | None
    ) = None


class BillingInformation(Wire):
    """Who gets the invoices."""

    email_recipients: tuple[Email, ...] | None = None
    additional_email_recipients: tuple[Email, ...] | None = None


class UpdateAccount(Wire):
    """The body of `PATCH /accounts/{id}`: only what changes; the currency cannot (togai.md 6, row 13)."""

    name: Annotated[str, PlainValidator(text(255, 3))] | None = None
    status: Annotated[str, PlainValidator(one_of(AccountStatus.ACTIVE, AccountStatus.DRAFT))] | None = None
    net_term_days: Count | None = None
    primary_email: Email | None = None
    address: Address | None = None
    billing_information: BillingInformation | None = None
    metadata: dict[Name, DisplayName] | None = None
    tags: (
        Annotated[
            tuple[Name, ...], AfterValidator(written(least=0, once=lambda tag: tag.lower(), what="entry"))
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise wrong("Nothing to change.")
        return self


# A price preview (togai.md 3.10). Only CUSTOM modes: the terms as agreed and the volumes as expected.


class PreviewCurrency(Wire):
    """The currency in which a preview is priced."""

    currency: Currency
    mode: Literal["CUSTOM"] = "CUSTOM"


class PreviewDetails(AssociationOverride):
    """A plan's details as a preview takes them: with the currencies that they price."""

    supported_currencies: Currencies


class PreviewPlan(Wire):
    """What a preview prices."""

    price_plan_details: PreviewDetails
    mode: Literal["CUSTOM"] = "CUSTOM"


class PreviewUsage(Wire):
    """Units by usage meter."""

    usage_map: dict[Id, Amount]
    mode: Literal["CUSTOM"] = "CUSTOM"


class PreviewSeats(Wire):
    """Seats of one license, from a moment on."""

    license_id: Id
    quantity: Count
    effective_from: Moment


class PreviewLicenses(Wire):
    """Seats by license; there may be none."""

    custom: tuple[PreviewSeats, ...]
    mode: Literal["CUSTOM"] = "CUSTOM"


class PreviewOverageUnits(Wire):
    """Units of a feature beyond its allowance."""

    feature_id: Id
    quantity: Amount


class PreviewOverages(Wire):
    """Units beyond the allowance by feature; there may be none."""

    custom: tuple[PreviewOverageUnits, ...]
    mode: Literal["CUSTOM"] = "CUSTOM"


class CalculateRevenue(Wire):
    """The body of `POST /v2/revenue_calculator`: one cycle of a plan's details at given volumes, whole."""

    currency_config: PreviewCurrency
    price_plan_details_config: PreviewPlan
    usage_config: PreviewUsage
    license_entries_config: PreviewLicenses
    entitlement_overage_config: PreviewOverages | None = None
