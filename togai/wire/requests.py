"""The bodies of our writes: create a purchase or a proposal, decide a proposal, change an account."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, PlainValidator, model_validator

from togai.wire.overrides import AssociationOverride, PurchasePlanOverride
from togai.wire.values import (
    Amount,
    Count,
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
