"""
The records of a customer as Togai shows them: purchases, proposals, accounts, invoices, wallets,
entitlements and schedules. What is sold is in `catalogue`.
"""

from decimal import Decimal, localcontext
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, PlainValidator, TypeAdapter
from pydantic.alias_generators import to_camel

from togai import strict_json
from togai.errors import ContractChanged
from togai.wire.reading import (
    MaybeAliases,
    MaybeAmount,
    MaybeCycle,
    MaybeDay,
    MaybeDetails,
    MaybeFlag,
    MaybeMap,
    MaybeMoment,
    MaybeQuantities,
    MaybeText,
    MaybeTexts,
    MaybeWhole,
    Remote,
    RemoteId,
    needed,
    or_none,
)
from togai.wire.values import Json
from togai.wire.words import PurchaseStatus


class Topup(BaseModel):
    """Wallet money bought with a purchase."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)

    topup_amount: MaybeAmount = None
    purchase_amount: MaybeAmount = None


def _read_topup(value: object) -> Topup:
    return Topup.model_validate(value)


MaybeTopup = Annotated[Topup | None, PlainValidator(or_none(_read_topup))]


class GrantedFeature(Remote):
    """What a purchase has granted of one feature; its window here is two moments."""

    id: RemoteId
    name: MaybeText = None
    credits_granted: MaybeAmount = None
    credits_available: MaybeAmount = None
    updated_at: MaybeMoment = None
    effective_from: MaybeMoment = None
    effective_until: MaybeMoment = None


def _read_features(value: object) -> tuple[GrantedFeature, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError("Not a list.")
    return tuple(GrantedFeature.read(item) for item in value)


MaybeFeatures = Annotated[tuple[GrantedFeature, ...] | None, PlainValidator(or_none(_read_features))]


class _PurchaseFacts(Remote):
    """What rows and whole records of purchases and proposals share; only id and status are certain."""

    id: RemoteId
    status: Annotated[str, PlainValidator(needed(100))]
    type: MaybeText = None
    price_plan_id: MaybeText = None
    price_plan_version: MaybeWhole = None
    quantity: MaybeWhole = None
    rate_card_quantities: MaybeQuantities = None
    idempotency_key: MaybeText = None
    wallet_topup_details: MaybeTopup = None
    price: MaybeAmount = None
    invoice_currency: MaybeText = None
    created_at: MaybeMoment = None
    updated_at: MaybeMoment = None
    expiry_date: MaybeMoment = None
    payment_mode: MaybeText = None

    @property
    def known_status(self) -> PurchaseStatus | None:
        """The status if we know the word; a word we do not know is never success or failure."""
        return PurchaseStatus(self.status) if self.status in set(PurchaseStatus) else None


class PurchaseRow(_PurchaseFacts):
    """A row of an account's list of purchases."""

    price_plan_name: MaybeText = None


class ProposalRow(_PurchaseFacts):
    """A row of an account's list of proposals; it has no dates, no quantity and no overrides."""

    price_plan_name: MaybeText = None


class RemotePurchase(_PurchaseFacts):
    """A purchase as Togai has it. `comment` is opaque: a sample contradicts its own status."""

    account_id: RemoteId
    purchase_plan_override: MaybeDetails = None
    association_override: MaybeDetails = None
    purchase_plan: MaybeDetails = None
    effective_from: MaybeDay = None
    effective_until: MaybeDay = None
    invoice_id: MaybeText = None
    comment: MaybeText = None
    features: MaybeFeatures = None


class RemoteProposal(RemotePurchase):
    """A proposal as Togai has it: a purchase in the same id space, with the moment of its answer."""

    proposal_response_date: MaybeMoment = None


class RemoteAccount(Remote):
    """An account as Togai bills it."""

    id: RemoteId
    togai_account_id: MaybeText = None
    togai_customer_id: MaybeText = None
    customer_id: MaybeText = None
    name: MaybeText = None
    status: MaybeText = None
    invoice_currency: MaybeText = None
    aliases: MaybeAliases = None
    net_term_days: MaybeWhole = None
    primary_email: MaybeText = None
    address: MaybeMap = None
    metadata: MaybeMap = None
    tags: MaybeTexts = None

    def shows(self, body: bytes) -> bool:
        """Whether this account already has everything that the body of a PATCH asked for."""
        wanted = strict_json.loads(body)
        return isinstance(wanted, dict) and all(
            _shows(self._record.get(key), value, key) for key, value in wanted.items()
        )


def _shows(found: object, wanted: object, key: str) -> bool:
    if key == "tags" and isinstance(wanted, list):
        # Togai stores tags in lower case and as a set.
        have = found if isinstance(found, list) else []
        return {str(tag).lower() for tag in have} == {str(tag).lower() for tag in wanted}
    if key == "metadata" and isinstance(wanted, dict):
        have_map = found if isinstance(found, dict) else {}
        return {name: value for name, value in have_map.items() if value is not None} == wanted
    if isinstance(wanted, dict):
        have_map = found if isinstance(found, dict) else {}
        return all(have_map.get(part) == value for part, value in wanted.items())
    return found == wanted


class RemoteCustomer(Remote):
    """The company above one or more accounts."""

    id: RemoteId
    togai_customer_id: MaybeText = None
    name: MaybeText = None
    primary_email: MaybeText = None
    billing_address: MaybeText = None
    address: MaybeMap = None
    status: MaybeText = None
    created_at: MaybeMoment = None
    updated_at: MaybeMoment = None


class RemoteInvoice(Remote):
    """An invoice or, with class ORDER, what has to be paid before a purchase takes effect."""

    id: RemoteId
    owner_id: MaybeText = None
    customer_id: MaybeText = None
    price_plan_id: MaybeText = None
    status: MaybeText = None
    invoice_class: MaybeText = None
    invoice_type: MaybeText = None
    invoice_date: MaybeMoment = None
    due_date: MaybeMoment = None
    start_date: MaybeMoment = None
    end_date: MaybeMoment = None
    updated_at: MaybeMoment = None
    total_amount: MaybeAmount = None
    paid_amount: MaybeAmount = None
    net_term_days: MaybeWhole = None
    sequence_id: MaybeText = None
    pdf_url: MaybeText = None


class RemoteWallet(Remote):
    """The prepaid money of an account; the balance is what is neither consumed nor on hold."""

    id: RemoteId
    account_id: MaybeText = None
    customer_id: MaybeText = None
    balance: MaybeAmount = None
    hold_amount: MaybeAmount = None
    credit_unit: MaybeText = None
    status: MaybeText = None
    effective_from: MaybeMoment = None
    created_at: MaybeMoment = None
    updated_at: MaybeMoment = None


class RemoteWalletEntry(Remote):
    """A movement in a wallet."""

    id: RemoteId
    wallet_id: MaybeText = None
    transaction_type: MaybeText = None
    status: MaybeText = None
    amount: MaybeAmount = None
    closing_balance: MaybeAmount = None
    created_at: MaybeMoment = None
    description: MaybeText = None
    entity_id: MaybeText = None


class RemoteEntitlementValue(Remote):
    """What an account is entitled to of one feature; the value is text ("true", "100")."""

    feature_id: RemoteId
    value: MaybeText = None


class RemoteFeatureCredits(Remote):
    """An account's balance of one feature."""

    feature_id: RemoteId
    account_id: MaybeText = None
    granted: MaybeAmount = None
    balance: MaybeAmount = None
    used_overage: MaybeAmount = None
    overage_limit: MaybeAmount = None


class RemoteCreditEntry(Remote):
    """One grant of a feature to an account: what it gave, what is used of it, and its window."""

    id: RemoteId
    source: MaybeText = None
    status: MaybeText = None
    granted: MaybeAmount = None
    used: MaybeAmount = None
    balance: MaybeAmount = None
    effective_from: MaybeMoment = None
    effective_until: MaybeMoment = None


class RemoteRevenueLine(Remote):
    """
    What one rate card brings in a previewed cycle.

    :ivar revenue: where Togai lists slabs, their sum; None where it cannot be read
    :ivar by_slab: whether it is such a sum, which a minimum or maximum of the whole card may not be part of
    """

    type: MaybeText = None
    billable_id: MaybeText = None
    display_name: MaybeText = None
    revenue: MaybeAmount = None
    by_slab: bool = False

    @classmethod
    def _read(cls, record: Json) -> Self:
        card = record.get("rateCard")
        if not isinstance(card, dict):
            raise ContractChanged("A line of Togai's names no rate card.", reason="no_rate_card")
        revenue, by_slab = _revenue_in(record)
        return cls.model_validate(
            {name: card.get(name) for name in ("type", "billableId", "displayName")}
            | {"revenue": revenue, "bySlab": by_slab}
        )


_SUMMARIES = tuple(
    f"{kind}RevenueSummary"
    for kind in ("fixedFee", "billingEntitlement", "creditGrant", "entitlementOverage")
)
_MAYBE_AMOUNT: TypeAdapter[Decimal | None] = TypeAdapter(MaybeAmount)
_SLAB_SUMMARIES = ("slabRevenueSummaries", "licenseRevenueSummary")


def _revenue_in(record: Json) -> tuple[Decimal | None, bool]:
    for name in _SUMMARIES:
        if isinstance(record.get(name), dict):
            return _MAYBE_AMOUNT.validate_python(record[name].get("revenue")), False
    for name in _SLAB_SUMMARIES:
        if isinstance(record.get(name), list):
            parts = [part.get("revenue") if isinstance(part, dict) else None for part in record[name]]
            amounts = [_MAYBE_AMOUNT.validate_python(part) for part in parts]
            known = [amount for amount in amounts if amount is not None]
            return (_sum(known) if len(known) == len(amounts) else None), True
    return None, False


def _sum(amounts: list[Decimal]) -> Decimal:
    # Wide enough for any numbers that are read: nothing is rounded on the way.
    with localcontext(prec=400):
        return sum(amounts, Decimal(0))


class RemoteRevenue(Remote):
    """
    What Togai's calculator says of one cycle (togai.md 3.10); a preview, of nothing that exists.

    :ivar lines: those that can be read
    :ivar unreadable: how many others there are
    """

    currency: RemoteId
    lines: tuple[RemoteRevenueLine, ...] = ()
    unreadable: int = 0

    @classmethod
    def _read(cls, record: Json) -> Self:
        rows = record.get("revenueInfo")
        if not isinstance(rows, list):
            raise ContractChanged("Togai's calculation has no lines.", reason="no_revenue_info")
        lines = []
        for row in rows:
            try:
                lines.append(RemoteRevenueLine.read(row))
            except ContractChanged:
                continue
        found = {"currency": record.get("currency"), "unreadable": len(rows) - len(lines)}
        return cls.model_validate(found | {"lines": tuple(lines)})


class RemoteSchedule(Remote):
    """Which plan version applies to an account, from and until when; year 9999 stands for ever (v1, v2)."""

    id: RemoteId
    account_id: MaybeText = None
    price_plan_id: MaybeText = None
    price_plan_name: MaybeText = None
    version: MaybeWhole = None
    start_date: MaybeMoment = None
    end_date: MaybeMoment = None
    is_overridden: MaybeFlag = None
    supported_currencies: MaybeTexts = None
    pricing_cycle_config: MaybeCycle = None

    @classmethod
    def _read(cls, record: Json) -> Self:
        found = dict(record)
        info, schedule = record.get("pricePlanInfo"), record.get("accountScheduleInfo")
        if isinstance(info, dict):
            found.setdefault("pricePlanName", info.get("name"))
        if isinstance(schedule, dict):
            found = schedule | found
        # v1 spells it with one d (togai.md 6, row 14).
        found.setdefault("isOverridden", record.get("isOverriden"))
        return cls.model_validate(found)
