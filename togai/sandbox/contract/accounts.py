"""The bodies that create customers and accounts and change an account."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from togai.sandbox.contract.values import INT32, Closed, Currency, Moment, no_twice, text, whole

Email = Annotated[str, StringConstraints(strict=True, max_length=320, pattern=r"^[^@\s]+@[^@\s]+$")]
NetTermDays = whole(0, INT32)
Metadata = dict[Annotated[str, Field(strict=True)], Annotated[str, Field(strict=True)]]


class Address(Closed):
    phoneNumber: text(0, 50) | None = None
    line1: text(0, 255) | None = None
    line2: text(0, 255) | None = None
    postalCode: text(0, 50) | None = None
    city: text(0, 255) | None = None
    state: text(0, 255) | None = None
    country: text(2, 2) | None = None


class BillingInformation(Closed):
    emailRecipients: list[Email] | None = None
    additionalEmailRecipients: list[Email] | None = None


class EntitySetting(Closed):
    id: text(1, 255)
    value: text(0, 1000)
    namespace: text(1, 255)
    name: text(1, 255)
    dataType: Literal["STRING", "NUMERIC", "JSON", "JSON_LOGIC"]


def _tags_once(values):
    no_twice(values or (), "the tag")
    return values


class UpdateAccount(Closed):
    name: text(3, 255) | None = None
    status: Literal["ACTIVE", "DRAFT"] | None = None
    invoiceCurrency: Currency | None = None
    netTermDays: NetTermDays | None = None
    primaryEmail: Email | None = None
    billingInformation: BillingInformation | None = None
    address: Address | None = None
    metadata: Metadata | None = None
    tags: list[text(1, 255)] | None = None

    _tags = field_validator("tags")(classmethod(lambda cls, values: _tags_once(values)))


class AccountAlias(Closed):
    value: text(1, 50)
    effectiveFrom: Moment | None = None
    effectiveUntil: Moment | None = None


class CreateAccountOfNewCustomer(Closed):
    id: text(1, 50)
    name: text(3, 255)
    invoiceCurrency: Currency | None = None
    aliases: Annotated[list[text(3, 50)], Field(max_length=10)] | None = None
    accountAliases: Annotated[list[AccountAlias], Field(max_length=10)] | None = None
    address: Address | None = None
    primaryEmail: Email | None = None
    billingInformation: BillingInformation | None = None
    settings: Annotated[list[EntitySetting], Field(max_length=10)] | None = None
    netTermDays: NetTermDays | None = None
    metadata: Metadata | None = None
    tags: list[text(1, 255)] | None = None
    status: Literal["ACTIVE", "DRAFT"] | None = None

    _tags = field_validator("tags")(classmethod(lambda cls, values: _tags_once(values)))


class CreateAccount(CreateAccountOfNewCustomer):
    customerId: text(1, 255)


class CreateCustomer(Closed):
    id: text(1, 50)
    name: text(3, 255)
    primaryEmail: Email
    address: Address
    settings: Annotated[list[EntitySetting], Field(max_length=10)] | None = None
    account: CreateAccountOfNewCustomer | None = None
