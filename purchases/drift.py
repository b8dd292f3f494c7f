"""
Where Togai's record of a deal says something else than we sent (R-06, G-50).

Pure: plain values in, frozen values out. What Togai does not return is no difference, and neither is what it
only writes in another way: numbers by value, cards by id, an open end as a day in the year 9999.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any

from purchases import changes, figures, overrides
from purchases.cards import KIND_NAMES
from purchases.terms import OVERRIDE_KINDS, PaymentMode, PurchaseType, Terms, expiry
from togai.wire import RemotePurchase

# What stands for a value that one side does not have.
NONE = "none"
OPEN_END = "open end"

# What people call the fields; a field of a card is told by `words`.
NAMES = {
    "status": "Status",
    "record": "The record itself",
    "account": "Account",
    "idempotency_key": "Idempotency key",
    "type": "Type",
    "payment_mode": "Payment",
    "price_plan": "Price plan",
    "price_plan_version": "Version of the plan",
    "quantity": "Quantity",
    "wallet_topup_amount": "Top-up",
    "wallet_purchase_amount": "Paid for the top-up",
    "effective_from": "Starts on",
    "effective_until": "Ends on",
    "valid_until": "Valid until",
}
_QUANTITIES = "rate_card_quantities"
_BETWEEN = " · "
_LONGEST_FIELD = 200
_FOR_EVER = 9999
# Togai makes up a name for a card that has none, and a window that does not say so opens at once.
_MADE_UP = frozenset({"Name", "Shown name"})
_OPENS = "Opens after"
_AT_ONCE = "PT0S"


@dataclass(frozen=True)
class Difference:
    """
    One field that differs.

    :ivar field: its name, e.g. "quantity" or "fixedFeeRateCards:addon.setup · Rate · EUR"
    :ivar ours: our value in words, `theirs` Togai's
    """

    field: str
    ours: str
    theirs: str


def differences(
    terms: Terms,
    remote: RemotePurchase,
    *,
    details: Mapping[str, Any],
    zone: tzinfo,
    account_id: str,
    key: str,
) -> list[Difference]:
    """
    Compare the terms of a deal with Togai's record of it, field by field.

    :param details: of the plan version that the deal was written on; empty without a plan
    :param account_id: Togai's id of the account it is for
    :param key: the idempotency key it was created with; "" when that is not known
    """
    pairs = (
        ("account", account_id or None, remote.account_id),
        ("idempotency_key", key or None, remote.idempotency_key if key else None),
        ("type", _label(PurchaseType, terms.type), _label(PurchaseType, remote.type)),
        ("payment_mode", _label(PaymentMode, terms.payment_mode), _label(PaymentMode, remote.payment_mode)),
        ("price_plan", terms.price_plan_id, remote.price_plan_id),
        ("price_plan_version", *_versions(terms, remote)),
        ("quantity", figures.count(terms.quantity), figures.count(remote.quantity)),
        *_topup(terms, remote),
        ("effective_from", _day(terms.effective_from), _day(remote.effective_from)),
        (
            "effective_until",
            _end(terms.effective_until),
            remote.effective_until and _end(remote.effective_until),
        ),
        ("valid_until", *_validity(terms, remote, zone)),
    )
    found = [
        Difference(field, ours or NONE, theirs) for field, ours, theirs in pairs if theirs and theirs != ours
    ]
    return [*found, *_quantities(terms, remote), *_prices(terms, remote, details)]


def words(field: str, details: Mapping[str, Any]) -> str:
    """
    What people call a field that differs.

    :param details: of the plan, for the names of its cards; may be empty
    """
    kind, _, rest = field.partition(":")
    if not rest and not field.endswith(":"):
        return NAMES.get(field, field)
    billable_id, _, cell = rest.partition(_BETWEEN)
    for card in overrides.cards(details):
        # An id may hold anything, also what stands between it and the cell.
        if f"{rest}{_BETWEEN}".startswith(f"{card.billable_id}{_BETWEEN}"):
            billable_id, cell = card.label, rest[len(card.billable_id) + len(_BETWEEN) :]
            break
    name = {_QUANTITIES: "Quantity", "duplicate": "A second record"}.get(kind) or KIND_NAMES.get(kind, kind)
    return _BETWEEN.join(part for part in (name, billable_id, cell) if part)


def _label(enum: type[PurchaseType] | type[PaymentMode], code: str | None) -> str | None:
    """The words for a code; one that we do not know keeps its own word."""
    if code is None:
        return None
    return enum(code).label if code in set(enum) else code


def _versions(terms: Terms, remote: RemotePurchase) -> tuple[str | None, str | None]:
    # Of another plan the version says nothing more.
    if remote.price_plan_version is None or remote.price_plan_id not in (None, terms.price_plan_id):
        return None, None
    ours = terms.price_plan_version
    return (None if ours is None else str(ours)), str(remote.price_plan_version)


def _topup(terms: Terms, remote: RemotePurchase) -> Iterator[tuple[str, str | None, str | None]]:
    theirs = remote.wallet_topup_details
    if theirs is None:
        return
    yield (
        "wallet_topup_amount",
        figures.count(terms.wallet_topup_amount),
        figures.count(theirs.topup_amount),
    )
    # Without a price a top-up costs what it brings (togai.md 3.1).
    paid = terms.wallet_topup_amount if terms.wallet_purchase_amount is None else terms.wallet_purchase_amount
    yield "wallet_purchase_amount", figures.count(paid), figures.count(theirs.purchase_amount)


def _day(day: date | None) -> str | None:
    return None if day is None else f"{day:%-d %b %Y}"


def _end(day: date | None) -> str:
    return OPEN_END if day is None or day.year >= _FOR_EVER else f"{day:%-d %b %Y}"


def _validity(terms: Terms, remote: RemotePurchase, zone: tzinfo) -> tuple[str | None, str | None]:
    theirs = remote.expiry_date
    if theirs is None or theirs.year >= _FOR_EVER:
        return None, None
    # We send whole seconds; Togai may keep finer ones.
    theirs = theirs.replace(microsecond=0)
    ours = terms.valid_until and expiry(terms.valid_until, zone)
    if ours == theirs:
        return None, None
    return _day(terms.valid_until), _moment(theirs, zone)


def _moment(moment: datetime, zone: tzinfo) -> str:
    """A moment in the business zone; only the day when it is the day's last second."""
    local = moment.astimezone(zone)
    if expiry(local.date(), zone) == moment:
        return f"{local:%-d %b %Y}"
    return f"{local:%-d %b %Y, %H:%M:%S}"


def _quantities(terms: Terms, remote: RemotePurchase) -> Iterator[Difference]:
    theirs = remote.rate_card_quantities
    if theirs is None:
        return
    ours = terms.rate_card_quantities
    for billable_id in sorted({*ours, *theirs}):
        here, there = ours.get(billable_id), theirs.get(billable_id)
        if here != there:
            yield Difference(
                _named(_QUANTITIES, billable_id), figures.count(here) or NONE, figures.count(there) or NONE
            )


def _prices(terms: Terms, remote: RemotePurchase, details: Mapping[str, Any]) -> Iterator[Difference]:
    """Cell by cell what the cards in force would cost there and here; a kind left out is the plan's own."""
    for name in OVERRIDE_KINDS:
        returned = getattr(remote, name)
        if returned is None:
            continue
        ours = overrides.effective(details, getattr(terms, name))
        # An empty list says nothing: there is no way to send one (togai.md 4.1).
        theirs = {**details, **{kind: value for kind, value in returned.items() if value}}
        patch = overrides.difference(_unordered(ours), _unordered(theirs))
        for card in changes.changes(_unordered(ours), patch):
            yield from _card(card)


def _card(card: changes.CardChange) -> Iterator[Difference]:
    if card.state == "added":
        yield Difference(_named(card.kind, card.billable_id), "not there", "there")
    elif card.state == "removed":
        yield Difference(_named(card.kind, card.billable_id), "there", "not there")
    else:
        for cell in card.cells:
            if cell.state != "same" and not _is_said_otherwise(cell):
                yield Difference(
                    _named(card.kind, card.billable_id, cell.words, cell.currency),
                    NONE if cell.plan is None else cell.plan,
                    NONE if cell.ours is None else cell.ours,
                )


def _is_said_otherwise(cell: changes.Cell) -> bool:
    """Whether one side only says what the other leaves to go without saying."""
    if cell.words.startswith(_OPENS):
        return {cell.plan, cell.ours} == {None, _AT_ONCE}
    return cell.state == "added" and cell.words in _MADE_UP


def _named(kind: str, billable_id: str, *cell: str) -> str:
    name = _BETWEEN.join([f"{kind}:{billable_id}", *(part for part in cell if part)])
    return name if len(name) <= _LONGEST_FIELD else f"{name[: _LONGEST_FIELD - 1]}…"


def _unordered(value: Any) -> Any:
    """Details whose lists of plain words stand in order: of currencies and ids only the set counts."""
    if isinstance(value, Mapping):
        return {name: _unordered(inner) for name, inner in value.items()}
    if isinstance(value, list):
        if all(isinstance(entry, str) for entry in value):
            return sorted(value)
        return [_unordered(entry) for entry in value]
    return value
