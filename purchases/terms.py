"""
The terms of a deal: what may be agreed per type, what is wrong with it in words, and how Togai hears it.

`RULES` is the one table of togai.md 5.3; the form, the API, the import and the database's constraints are
made from it. Everything here is plain values: time and zone are passed in.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Any

from purchases import overrides
from purchases.cards import DETAILS, INT32, KIND_NAMES, number_problem, shape_problems
from purchases.money import minor_digits, number, payable
from purchases.override_rules import sent_faults
from togai.strict_json import dumps, plain

MAX_QUANTITY = INT32
DEFAULT_VALIDITY_DAYS = 30
MAX_VALIDITY_DAYS = 90
LARGEST_AMOUNT = Decimal(10) ** 12
MAX_AMOUNT_DECIMALS = 3
EARLIEST = date(2000, 1, 1)
LATEST = date(2100, 12, 31)

# Togai's "for ever" as an end date; ours is no date.
_FOR_EVER = date(9999, 1, 1)


class PurchaseType(StrEnum):
    """What is bought. PREPAID has no documented rules; it is held to the shape of a grant (togai.md 5.3)."""

    ENTITLEMENT_GRANT = "ENTITLEMENT_GRANT"
    ASSOCIATION = "ASSOCIATION"
    WALLET_TOPUP = "WALLET_TOPUP"
    PREPAID = "PREPAID"

    @property
    def label(self) -> str:
        """What people call it."""
        return _TYPE_LABELS[self]


class PaymentMode(StrEnum):
    """PREPAID: an order first, the effect after payment. POSTPAID: the effect on approval."""

    PREPAID = "PREPAID"
    POSTPAID = "POSTPAID"

    @property
    def label(self) -> str:
        """What people call it."""
        return self.capitalize()


class PlanType(StrEnum):
    """BILLING plans recur and are associated; PURCHASE plans are bought once."""

    BILLING = "BILLING"
    PURCHASE = "PURCHASE"


class Need(StrEnum):
    """Whether a type needs a field, takes it, or must not have it."""

    REQUIRED = "REQUIRED"
    OPTIONAL = "OPTIONAL"
    FORBIDDEN = "FORBIDDEN"


_TYPE_LABELS = {
    PurchaseType.ENTITLEMENT_GRANT: "Entitlement grant",
    PurchaseType.ASSOCIATION: "Plan association",
    PurchaseType.WALLET_TOPUP: "Wallet top-up",
    PurchaseType.PREPAID: "Prepaid (no documented rules)",
}

_GRANT = {
    "price_plan": Need.REQUIRED,
    "quantity": Need.OPTIONAL,
    "rate_card_quantities": Need.OPTIONAL,
    "purchase_plan_override": Need.OPTIONAL,
    "association_override": Need.FORBIDDEN,
    "wallet_topup_amount": Need.FORBIDDEN,
    "wallet_purchase_amount": Need.FORBIDDEN,
    "effective_from": Need.FORBIDDEN,
    "effective_until": Need.FORBIDDEN,
    "valid_until": Need.OPTIONAL,
}

RULES: dict[PurchaseType, dict[str, Need]] = {
    PurchaseType.ENTITLEMENT_GRANT: _GRANT,
    PurchaseType.ASSOCIATION: {
        "price_plan": Need.REQUIRED,
        "quantity": Need.FORBIDDEN,
        "rate_card_quantities": Need.FORBIDDEN,
        "purchase_plan_override": Need.FORBIDDEN,
        "association_override": Need.OPTIONAL,
        "wallet_topup_amount": Need.FORBIDDEN,
        "wallet_purchase_amount": Need.FORBIDDEN,
        "effective_from": Need.REQUIRED,
        "effective_until": Need.OPTIONAL,
        "valid_until": Need.OPTIONAL,
    },
    PurchaseType.WALLET_TOPUP: {
        "price_plan": Need.FORBIDDEN,
        "quantity": Need.FORBIDDEN,
        "rate_card_quantities": Need.FORBIDDEN,
        "purchase_plan_override": Need.FORBIDDEN,
        "association_override": Need.FORBIDDEN,
        "wallet_topup_amount": Need.REQUIRED,
        "wallet_purchase_amount": Need.OPTIONAL,
        "effective_from": Need.FORBIDDEN,
        "effective_until": Need.FORBIDDEN,
        "valid_until": Need.OPTIONAL,
    },
    PurchaseType.PREPAID: _GRANT,
}

# Where both are legal, exactly one of them is needed.
EITHER = ("quantity", "rate_card_quantities")

PLAN_TYPES: dict[PurchaseType, PlanType] = {
    PurchaseType.ENTITLEMENT_GRANT: PlanType.PURCHASE,
    PurchaseType.ASSOCIATION: PlanType.BILLING,
    PurchaseType.PREPAID: PlanType.PURCHASE,
}

# What each override may contain (togai.md 4.2).
OVERRIDE_KINDS: dict[str, tuple[str, ...]] = {
    "purchase_plan_override": ("fixedFeeRateCards", "billingEntitlementRateCards", "creditGrantRateCards"),
    "association_override": tuple(DETAILS.fields),
}

_FIELD_NAMES = {
    "price_plan": "a price plan",
    "quantity": "a quantity",
    "rate_card_quantities": "quantities per rate card",
    "purchase_plan_override": "changes to a purchase plan",
    "association_override": "changes to a billing plan",
    "wallet_topup_amount": "a top-up amount",
    "wallet_purchase_amount": "an amount to pay for the top-up",
    "effective_from": "a start date",
    "effective_until": "an end date",
    "valid_until": "a validity",
}


@dataclass(frozen=True)
class Terms:
    """What is agreed, field by field as in togai.md 3.1; None or empty is "not said"."""

    type: PurchaseType | None
    payment_mode: PaymentMode | None = None
    price_plan_id: str | None = None
    price_plan_version: int | None = None
    quantity: int | None = None
    rate_card_quantities: Mapping[str, Decimal] = field(default_factory=dict)
    purchase_plan_override: Mapping[str, Any] = field(default_factory=dict)
    association_override: Mapping[str, Any] = field(default_factory=dict)
    wallet_topup_amount: Decimal | None = None
    wallet_purchase_amount: Decimal | None = None
    effective_from: date | None = None
    effective_until: date | None = None
    valid_until: date | None = None

    def __post_init__(self) -> None:
        # Rows and requests carry plain text; the rules below compare members.
        object.__setattr__(self, "type", PurchaseType(self.type) if self.type else None)
        object.__setattr__(
            self, "payment_mode", PaymentMode(self.payment_mode) if self.payment_mode else None
        )

    @property
    def override_field(self) -> str | None:
        """The name of the override that this type may have."""
        return override_field(self.type)

    @property
    def override(self) -> Mapping[str, Any]:
        """The stored override that this type may have; empty when there is none."""
        return getattr(self, self.override_field) if self.override_field else {}


@dataclass(frozen=True)
class PlanFacts:
    """What the rules and prices need to know of one version of a plan."""

    togai_id: str
    name: str
    version: int
    type: PlanType
    status: str
    currencies: tuple[str, ...]
    details: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", PlanType(self.type))


@dataclass(frozen=True)
class AccountFacts:
    """What the rules need to know of a billing account; the currency may be empty at Togai."""

    togai_id: str
    currency: str
    status: str


@dataclass(frozen=True)
class Problem:
    """What is wrong with a field of the terms, for a rep to read; `path` leads to the cell inside it."""

    field: str
    message: str
    path: tuple[str, ...] = ()


def override_field(kind: PurchaseType | None) -> str | None:
    """The name of the override that a type may have, or None."""
    if kind is None:
        return None
    return next((name for name in OVERRIDE_KINDS if RULES[kind][name] is not Need.FORBIDDEN), None)


def quantities(stored: Mapping[str, Any] | None) -> dict[str, Decimal]:
    """
    Read quantities per rate card from their stored form.

    :raises ValueError: when one of them is not a number
    """
    return {billable_id: number(value) for billable_id, value in (stored or {}).items()}


def default_validity(today: date) -> date:
    """The last day of a proposal that is submitted today without saying (P-10)."""
    return today + timedelta(days=DEFAULT_VALIDITY_DAYS)


def expiry(valid_until: date, zone: tzinfo) -> datetime:
    """The last second of a day in the business zone, as an aware UTC moment."""
    return datetime.combine(valid_until, time(23, 59, 59, fold=1), zone).astimezone(UTC)


def problems(
    terms: Terms,
    *,
    plan: PlanFacts | None,
    account: AccountFacts | None,
    today: date,
    zone: tzinfo,
    complete: bool,
    proposal: bool,
) -> list[Problem]:
    """
    Say everything that is wrong with the terms.

    :param today: the day in the business zone
    :param complete: False for a draft, which may lack anything but not hold what its type forbids or what no
        deal could hold; True before a submit: also everything that Togai, or togai.md for it, would refuse
    :param proposal: proposals have a payment mode, direct purchases have none
    """
    found = [*_shape_of_terms(terms, plan, proposal=proposal)]
    if complete:
        found += _missing(terms, proposal=proposal)
        found += _date_problems(terms, today, zone)
        found += _account_problems(terms, plan, account)
        found += _plan_problems(terms, plan)
    found += _override_problems(terms, plan, account, complete=complete)
    return found


def payload(terms: Terms, *, details: Mapping[str, Any], zone: tzinfo) -> dict[str, Any]:
    """
    Say the terms in Togai's words, with Decimals for numbers and without an idempotency key.

    :param terms: complete, without problems
    :param details: the plan's details; empty without a plan
    :raises overrides.Unsendable: when the override empties a kind of card
    """
    if terms.type is None:
        raise ValueError("Terms without a type cannot be sent.")
    body: dict[str, Any] = {
        "type": terms.type.value,
        "paymentMode": terms.payment_mode and terms.payment_mode.value,
        "pricePlanId": terms.price_plan_id,
        "quantity": terms.quantity,
        "rateCardQuantities": {name: _shortest(value) for name, value in terms.rate_card_quantities.items()},
        "purchasePlanOverride": overrides.to_wire(overrides.touched(details, terms.purchase_plan_override)),
        "associationOverride": overrides.to_wire(overrides.touched(details, terms.association_override)),
        "effectiveFrom": terms.effective_from and terms.effective_from.isoformat(),
        "effectiveUntil": terms.effective_until and terms.effective_until.isoformat(),
        "expiryDate": terms.valid_until and expiry(terms.valid_until, zone).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if terms.wallet_topup_amount is not None:
        details_of_topup = {"topupAmount": _shortest(terms.wallet_topup_amount)}
        if terms.wallet_purchase_amount is not None:
            details_of_topup["purchaseAmount"] = _shortest(terms.wallet_purchase_amount)
        body["walletTopupDetails"] = details_of_topup
    return {name: value for name, value in body.items() if value not in (None, {})}


def terms_from_payload(
    body: Mapping[str, Any],
    *,
    details: Mapping[str, Any],
    zone: tzinfo,
    price_plan_version: int | None = None,
) -> Terms:
    """
    Read terms back from what `payload` wrote, or from Togai's copy of it as parsed JSON.

    :param price_plan_version: Togai's requests do not carry the version, so the caller says which one it was
    :raises ValueError: for a type, date or number that cannot be read
    """
    topup = body.get("walletTopupDetails") or {}
    until = _read_date(body.get("effectiveUntil"))
    valid = body.get("expiryDate")
    if isinstance(valid, str):
        valid = datetime.fromisoformat(valid)
    return Terms(
        type=PurchaseType(body["type"]),
        payment_mode=PaymentMode(body["paymentMode"]) if body.get("paymentMode") else None,
        price_plan_id=body.get("pricePlanId"),
        price_plan_version=price_plan_version,
        quantity=body.get("quantity"),
        rate_card_quantities=quantities(body.get("rateCardQuantities")),
        purchase_plan_override=overrides.from_sent(details, body.get("purchasePlanOverride") or {}),
        association_override=overrides.from_sent(details, body.get("associationOverride") or {}),
        wallet_topup_amount=_read_number(topup.get("topupAmount")),
        wallet_purchase_amount=_read_number(topup.get("purchaseAmount")),
        effective_from=_read_date(body.get("effectiveFrom")),
        effective_until=None if until == _FOR_EVER else until,
        valid_until=valid and valid.astimezone(zone).date(),
    )


def content_hash(terms: Terms, extra: Mapping[str, Any]) -> str:
    """
    Fingerprint the terms, with whatever else must not change unseen, as sha256 of canonical JSON.

    :raises TypeError: for a value that has no canonical form, such as a float
    """
    content = {"terms": {item.name: getattr(terms, item.name) for item in fields(terms)}, "extra": extra}
    return hashlib.sha256(dumps(_canonical(content))).hexdigest()


def _shape_of_terms(terms: Terms, plan: PlanFacts | None, *, proposal: bool) -> Iterator[Problem]:
    """What is wrong in any state: fields the type forbids, and values that no deal could hold."""
    if terms.type is not None:
        for name, need in RULES[terms.type].items():
            if need is Need.FORBIDDEN and _said(terms, name):
                yield Problem(name, f"{terms.type.label} does not take {_FIELD_NAMES[name]}; leave it empty.")
    if terms.payment_mode and not proposal:
        yield Problem("payment_mode", "A direct purchase has no payment mode; only a proposal has one.")
    if plan and terms.type in PLAN_TYPES and plan.type is not PLAN_TYPES[terms.type]:
        wanted = PLAN_TYPES[terms.type].lower()
        yield Problem(
            "price_plan",
            f"{terms.type.label} needs a {wanted} plan; {plan.name} is a {plan.type.lower()} plan.",
        )
    if all(_said(terms, name) for name in EITHER):
        yield Problem("rate_card_quantities", "Give one quantity for all, or one per rate card, not both.")
    if terms.quantity is not None and (
        isinstance(terms.quantity, bool) or not 1 <= terms.quantity <= MAX_QUANTITY
    ):
        yield Problem("quantity", f"Enter a whole number from 1 to {MAX_QUANTITY}.")
    for billable_id, amount in terms.rate_card_quantities.items():
        message = number_problem(amount) or ("" if amount > 0 else "Enter more than 0.")
        if message:
            yield Problem("rate_card_quantities", message, (billable_id,))
    if terms.wallet_topup_amount is not None:
        message = _amount_problem(terms.wallet_topup_amount)
        if message or terms.wallet_topup_amount <= 0:
            yield Problem("wallet_topup_amount", message or "Enter more than 0.")
    if terms.wallet_purchase_amount is not None:
        message = _amount_problem(terms.wallet_purchase_amount)
        if message or terms.wallet_purchase_amount < 0:
            yield Problem("wallet_purchase_amount", message or "Enter 0 or more.")
    for name in ("effective_from", "effective_until", "valid_until"):
        day = getattr(terms, name)
        if day is not None and not EARLIEST <= day <= LATEST:
            yield Problem(name, f"Enter a date from {EARLIEST.year} to {LATEST.year}.")


def _amount_problem(amount: Decimal) -> str:
    """What is wrong with an amount of money in any currency; "" when nothing is."""
    problem = number_problem(amount, decimals=MAX_AMOUNT_DECIMALS)
    if not problem and abs(amount) >= LARGEST_AMOUNT:
        return "Enter less than 1,000,000,000,000."
    return problem


def _missing(terms: Terms, *, proposal: bool) -> Iterator[Problem]:
    if terms.type is None:
        yield Problem("type", "Choose what is bought.")
        return
    for name, need in RULES[terms.type].items():
        if need is Need.REQUIRED and not _said(terms, name):
            yield Problem(name, f"{terms.type.label} needs {_FIELD_NAMES[name]}.")
    if RULES[terms.type]["quantity"] is not Need.FORBIDDEN and not any(_said(terms, name) for name in EITHER):
        yield Problem("quantity", "Say how many: one quantity for all, or one per rate card.")
    if proposal and terms.payment_mode is None:
        yield Problem("payment_mode", "Choose whether the customer pays before or after.")


def _date_problems(terms: Terms, today: date, zone: tzinfo) -> Iterator[Problem]:
    start, end, valid = terms.effective_from, terms.effective_until, terms.valid_until
    if start and start <= today:
        yield Problem("effective_from", "Togai starts a plan tomorrow at the earliest.")
    if start and valid and start <= valid:
        yield Problem(
            "effective_from",
            f"The start must lie after {valid:%-d %b %Y}, the last day of the validity: until then the"
            " customer may still accept, and Togai starts no contract that nobody has accepted yet.",
        )
    if start and end and end <= start:
        yield Problem("effective_until", "The end must lie after the start.")
    if valid and valid < today:
        yield Problem(
            "valid_until", f"The validity is over: it ends at midnight, {zone}, of the day you choose."
        )
    if valid and valid > today + timedelta(days=MAX_VALIDITY_DAYS):
        last = today + timedelta(days=MAX_VALIDITY_DAYS)
        yield Problem("valid_until", f"At most {MAX_VALIDITY_DAYS} days ahead: until {last:%-d %b %Y}.")


def _account_problems(
    terms: Terms, plan: PlanFacts | None, account: AccountFacts | None
) -> Iterator[Problem]:
    if account is None:
        yield Problem("account", "Choose an account.")
        return
    if account.status != "ACTIVE":
        yield Problem(
            "account", f"The account is {account.status.lower()} at Togai; only an active one can buy."
        )
    if not account.currency:
        yield Problem("account", "The account has no currency at Togai yet.")
        return
    if plan and account.currency not in _currencies(terms, plan):
        field_of_currencies = (
            "association_override" if "supportedCurrencies" in terms.override else "price_plan"
        )
        path = ("supportedCurrencies",) if field_of_currencies == "association_override" else ()
        yield Problem(
            field_of_currencies,
            f"{plan.name} has no prices in {account.currency}, the account's currency.",
            path,
        )
    digits = minor_digits(account.currency)
    for name in ("wallet_topup_amount", "wallet_purchase_amount"):
        amount = getattr(terms, name)
        if amount is not None and not payable(amount, account.currency):
            yield Problem(name, f"{account.currency} has {digits} digits after the point.")


def _plan_problems(terms: Terms, plan: PlanFacts | None) -> Iterator[Problem]:
    if plan is None:
        if terms.price_plan_id is not None:
            yield Problem("price_plan", "This plan is not in the catalogue.")
        return
    if plan.status != "ACTIVE":
        yield Problem(
            "price_plan", f"{plan.name} is {plan.status.lower()} at Togai; only an active plan can be sold."
        )
    if not terms.rate_card_quantities or any(_malformed(terms)):
        return
    billables = {
        card.billable_id for card in overrides.cards(overrides.effective(plan.details, terms.override))
    }
    for billable_id in terms.rate_card_quantities:
        if billable_id not in billables:
            yield Problem("rate_card_quantities", f"{plan.name} has no rate card for this.", (billable_id,))


def _malformed(terms: Terms) -> Iterator[Problem]:
    for name, kinds in OVERRIDE_KINDS.items():
        override = getattr(terms, name)
        legal = {kind: value for kind, value in override.items() if kind in kinds}
        for kind in override:
            if kind not in kinds:
                yield Problem(name, f"{KIND_NAMES.get(kind, kind)} cannot be changed here.", (str(kind),))
        for fault in shape_problems(DETAILS, overrides.canonical(legal), patch=True):
            yield Problem(name, fault.message, fault.path)


def _override_problems(
    terms: Terms, plan: PlanFacts | None, account: AccountFacts | None, *, complete: bool
) -> Iterator[Problem]:
    malformed = list(_malformed(terms))
    yield from malformed
    if malformed or not complete or plan is None or terms.override_field is None:
        return
    for fault in sent_faults(
        plan.details,
        terms.override,
        offered=plan.currencies,
        currency=account.currency if account else "",
        recurs=plan.type is PlanType.BILLING,
    ):
        yield Problem(terms.override_field, fault.message, fault.path)


def _currencies(terms: Terms, plan: PlanFacts) -> tuple[str, ...]:
    named = terms.override.get("supportedCurrencies")
    return tuple(named) if isinstance(named, list) else plan.currencies


def _said(terms: Terms, name: str) -> bool:
    value = terms.price_plan_id if name == "price_plan" else getattr(terms, name)
    return value is not None and value != {}


def _shortest(value: Decimal) -> Decimal:
    return Decimal(plain(value))


def _read_number(value: object) -> Decimal | None:
    return None if value is None else number(value)


def _read_date(value: object) -> date | None:
    if value is None or isinstance(value, date):
        return value
    return date.fromisoformat(str(value))


def _canonical(value: object) -> object:
    match value:
        case None | bool() | int() | str():
            return value
        case Decimal():
            return plain(value)
        case date():
            return value.isoformat()
        case Mapping():
            return {str(name): _canonical(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_canonical(inner) for inner in value]
    raise TypeError(f"{type(value).__name__} has no canonical form.")
