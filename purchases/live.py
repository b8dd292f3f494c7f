"""
What Togai shows of an account right now, part by part: wallet, entitlements, plans in force, invoices, deals.

Read for a page while somebody waits, so with short timeouts and one try; what was read last is kept for a day
and shown with its age when Togai does not answer. Never raises for what Togai does, and stores nothing.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Any

from django.conf import settings
from django.core.cache import cache

from purchases import figures
from purchases.models import Feature, PricePlan
from purchases.money import number
from togai import errors, line
from togai.gateway import Gateway
from togai.models import Link
from togai.secret import Secret

# A page is read again within this time without asking Togai again: its limit is ten calls a second for all.
FRESH = timedelta(seconds=20)
# After a call that got no answer, nobody else waits for one that soon.
SHY = timedelta(seconds=15)
KEPT_SECONDS = 24 * 3600
NEWEST = 10
# Each feature costs a call of its own.
MOST_FEATURES = 5
MOST_GRANTS = 50
# Nobody waits longer for one part, however many calls it takes.
PATIENCE_SECONDS = 6
# Togai writes "for ever" as this year (togai.md 2.1).
_FOR_EVER = 9999
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# Which of the drawn states an invoice's looks like.
_PILLS = {"PAID": "success", "DUE": "pending", "PARTIALLY_PAID": "pending", "DRAFT": "draft"}
_UNPAID = {"DUE", "PARTIALLY_PAID"}
_DOWN = "live:down"
# Errors that are an answer: Togai is there.
_ANSWERS = (errors.ContractChanged, errors.Refused, errors.Forbidden, errors.Missing)


@dataclass(frozen=True)
class Seen:
    """
    One look at a part of an account.

    :ivar found: what Togai showed; () where it has nothing of the kind, None where it was never read
    :ivar read_at: when that was
    :ivar trouble: why it is missing, old or not whole, in words; "" when all is well
    :ivar since: since when Togai has not answered, where it is that
    """

    part: str
    found: Any = None
    read_at: datetime | None = None
    trouble: str = ""
    since: datetime | None = None

    @property
    def title(self):
        return PARTS[self.part].title

    @property
    def is_empty(self):
        return self.read_at is None


class Unread(Exception):
    """
    A part was read, but not all of it; the message says what is missing.

    :ivar found: what was read
    :ivar because: Togai's error
    """

    def __init__(self, message, *, found, because):
        super().__init__(message)
        self.found, self.because = found, because


def look(account, part, *, at, gateway=None, insist=False):
    """
    Read a part of an account at Togai, or say why not.

    :param part: one of `PARTS`
    :param gateway: to read through; made from the settings by default
    :param insist: ask even if the copy is fresh or Togai is known to be unreachable
    """
    key = f"live:{account.pk}:{part}"
    kept = cache.get(key) or Seen(part)
    if not insist and kept.read_at and not kept.trouble and at - kept.read_at < FRESH:
        return kept
    why, since = why_not_ask(at, insist=insist)
    if why:
        return replace(kept, trouble=why, since=since)
    found = _read(account, part, gateway or reader(), at)
    if found.is_empty:
        return replace(kept, trouble=found.trouble, since=found.since)
    cache.set(key, found, KEPT_SECONDS)
    return found


def why_not_ask(at, *, insist=False):
    """
    Say why nobody should wait for Togai now, and since when that is so; ("", None) when one may ask.

    :param insist: somebody wants to wait all the same; a line that is closed stays so
    """
    link = Link.load()
    if link.closed_until and link.closed_until > at:
        return link.why, link.unreachable_since
    if insist:
        return "", None
    if link.unreachable_since:
        return "Togai does not answer at the moment.", link.unreachable_since
    down = cache.get(_DOWN)
    if down and timedelta(0) <= at - down["at"] < SHY:
        return down["why"], down["since"]
    return "", None


def no_answer(error, *, at):
    """
    Keep what a call that got no answer means for everybody who looks at a page.

    :returns: since when it is so, None where that is not said
    """
    if line.heed(error, at=at) or isinstance(error, _ANSWERS) or error.reason == "local":
        return None
    since = (cache.get(_DOWN) or {}).get("since", at)
    cache.set(_DOWN, {"why": str(error), "since": since, "at": at}, KEPT_SECONDS)
    return since


def answered():
    """Togai answers: whoever looks at a page may ask it again."""
    cache.delete(_DOWN)


def reader():
    """A gateway for pages, to the settings' address: with little patience, and never in a transaction."""
    return _gateway_to(settings.TOGAI_BASE_URL, settings.TOGAI_API_TOKEN)


@lru_cache(maxsize=4)
def _gateway_to(base_url, token):
    # Kept, because a connection's trust store costs more than the call.
    return Gateway(
        base_url=base_url,
        token=Secret(token),
        connect_timeout=2,
        read_timeout=3,
        deadline=4,
        before_call=_Turns(),
    )


class _Turns:
    """Spreads the calls of a page: half of what may be asked in a second is left to what has to be sent."""

    def __init__(self):
        self.lock, self.next = threading.Lock(), 0.0

    def __call__(self):
        line.refuse_inside_a_transaction()
        with self.lock:
            now = time.monotonic()
            mine = max(now, self.next)
            if mine - now > PATIENCE_SECONDS:
                raise errors.NotSent("Too many people look at Togai in this moment.", reason="local")
            self.next = mine + 2 / settings.TOGAI_REQUESTS_PER_SECOND
        time.sleep(mine - now)


def _read(account, part, gateway, at):
    try:
        found = PARTS[part].read(gateway, account)
    except errors.Missing:
        # Togai has nothing of the kind for this account, which is an answer.
        found = ()
    except Unread as half:
        return Seen(part, half.found, at, trouble=str(half), since=no_answer(half.because, at=at))
    except errors.TogaiError as error:
        return Seen(part, trouble=str(error), since=no_answer(error, at=at))
    answered()
    return Seen(part, found, at)


# --- The parts ---


def _wallet(gateway, account):
    remote = gateway.get_wallet(account.togai_id)
    found = {
        "balance": remote.balance,
        "on_hold": remote.hold_amount,
        "unit": remote.credit_unit or "",
        "status": _plain(remote.status),
        "is_active": remote.status in (None, "ACTIVE"),
        "entries": None,
    }
    try:
        entries = list(islice(gateway.list_wallet_entries(account.togai_id), NEWEST))
    except errors.Missing:
        entries = []
    except errors.TogaiError as error:
        raise Unread(f"Its entries could not be read. {error}", found=found, because=error) from None
    return found | {"entries": tuple(_entry(entry) for entry in entries)}


def _entry(entry):
    is_debit = entry.transaction_type == "DEBITED"
    return {
        "what": entry.description
        or {"CREDITED": "Put in", "DEBITED": "Taken out"}.get(entry.transaction_type, ""),
        "type": _plain(entry.transaction_type),
        "amount": -entry.amount if is_debit and entry.amount is not None else entry.amount,
        "after": entry.closing_balance,
        "at": entry.created_at,
        "on_hold": entry.status == "ON_HOLD",
        "entity": entry.entity_id or "",
    }


def _entitlements(gateway, account):
    values = gateway.get_entitlements(account.togai_id)[: 10 * NEWEST]
    names = {
        feature.togai_id: str(feature)
        for feature in Feature.objects.filter(togai_id__in=[row.feature_id for row in values])
    }
    grants = _grants(gateway, account, [row.feature_id for row in values if _counts(row.value)])
    rows = tuple(
        {"name": names.get(row.feature_id, row.feature_id), "value": _in_words(row.value)}
        | _balance(grants.found.get(row.feature_id))
        for row in values
    )
    if grants.because:
        missing = "What is used of some features could not be read."
        raise Unread(f"{missing} {grants.because}", found=rows, because=grants.because)
    return rows


@dataclass
class _Grants:
    found: dict
    because: errors.TogaiError | None = None


def _grants(gateway, account, feature_ids):
    """The grants of the first features, one call each, until one gets no answer or it takes too long."""
    grants = _Grants({})
    ends = time.monotonic() + PATIENCE_SECONDS
    for feature_id in feature_ids[:MOST_FEATURES]:
        try:
            if time.monotonic() > ends:
                raise errors.NotSent("That took too long.", reason="local")
            entries = gateway.list_credit_entries(account.togai_id, feature_id)
            grants.found[feature_id] = list(islice(entries, MOST_GRANTS))
        except errors.Missing:
            grants.found[feature_id] = []
        except _ANSWERS as error:
            grants.because = error
        except errors.TogaiError as error:
            grants.because = error
            break
    return grants


def _balance(entries):
    """What the grants that run now come to, and when the first of them ends; {} where none was read."""
    if not entries:
        return {}
    running = [entry for entry in entries if entry.status in (None, "ACTIVE")]
    ends = sorted(entry.effective_until for entry in running if entry.effective_until)
    return {
        "granted": _sum(entry.granted for entry in running),
        "used": _sum(entry.used for entry in running),
        "left": _sum(entry.balance for entry in running),
        "until": ends[0] if ends and ends[0].year < _FOR_EVER else None,
        "later": len(set(ends)) > 1,
    }


def _sum(amounts):
    amounts = list(amounts)
    return None if None in amounts else sum(amounts, Decimal(0))


def _counts(value):
    try:
        number(value)
    except ValueError:
        return False
    return True


def _in_words(value):
    """An entitlement's value, which Togai always writes as text (togai.md 3.7)."""
    if _counts(value):
        return figures.count(number(value))
    return {"true": "yes", "false": "no"}.get(value, value)


def _plans(gateway, account):
    rows = list(islice(gateway.list_schedules(account.togai_id), NEWEST))
    rows.sort(key=lambda row: row.start_date or _LONG_AGO)
    known = _known_plans(rows)
    return tuple(
        {
            "name": row.price_plan_name or row.price_plan_id or "unknown",
            "url": known.get(row.price_plan_id, ""),
            "version": row.version,
            "overridden": bool(row.is_overridden),
            "starts": row.start_date,
            "ends": row.end_date if row.end_date and row.end_date.year < _FOR_EVER else None,
        }
        for row in rows
    )


def _known_plans(rows):
    ids = {row.price_plan_id for row in rows if row.price_plan_id}
    plans = PricePlan.objects.filter(togai_id__in=ids, is_latest=True)
    return {plan.togai_id: plan.get_absolute_url() for plan in plans}


def _invoices(gateway, account):
    return tuple(
        {
            "id": row.id,
            "number": row.sequence_id or row.id,
            "is_order": row.invoice_class == "ORDER",
            "status": _plain(row.status).capitalize(),
            "is_unpaid": row.status in _UNPAID,
            "pill": _PILLS.get(row.status, "archived"),
            "date": row.invoice_date,
            "due": row.due_date,
            "total": row.total_amount,
            "paid": row.paid_amount,
        }
        for row in islice(gateway.list_invoices(account.togai_id), NEWEST)
    )


def _deals(gateway, account):
    """Togai's own rows, whoever made them; `theirs_and_ours` says which of them a person may read here."""
    rows = []
    for word, listing in (
        ("Proposal", gateway.list_account_proposals),
        ("Purchase", gateway.list_account_purchases),
    ):
        rows += [_deal(word, row) for row in islice(listing(account.togai_id), NEWEST)]
    # An approved proposal is in both lists (togai.md 5.1).
    once = {row["id"]: row for row in reversed(rows)}
    newest = sorted(once.values(), key=lambda row: row["created"] or _LONG_AGO, reverse=True)
    return tuple(newest[:NEWEST])


def _deal(word, row):
    topup = row.wallet_topup_details
    return {
        "id": row.id,
        "word": word,
        "what": row.price_plan_name or row.price_plan_id or ("Wallet top-up" if topup else "unknown"),
        "status": row.status,
        "created": row.created_at,
        "price": row.price,
        "currency": row.invoice_currency or "",
    }


def theirs_and_ours(seen, account, user):
    """
    The deals of a look with the page of each that the person may read.

    What is ours and not theirs to see is left out; `deal` is None for what somebody made in Togai itself.
    """
    ids = [row["id"] for row in seen.found or ()]
    known, readable = set(), {}
    # Proposals stand above this floor; an account knows them by their name.
    for deals in (account.proposals, account.purchases):
        of_these = deals.filter(togai_id__in=ids)
        known |= set(of_these.values_list("togai_id", flat=True))
        readable |= {deal.togai_id: deal for deal in of_these.visible_to(user)}
    return [
        row | {"deal": readable.get(row["id"])}
        for row in seen.found or ()
        if row["id"] in readable or row["id"] not in known
    ]


def _plain(word):
    return str(word or "").replace("_", " ").lower()


@dataclass(frozen=True)
class Part:
    """A part of an account at Togai: how a page calls it, and how it is read."""

    title: str
    read: Callable


PARTS = {
    "wallet": Part("Wallet", _wallet),
    "entitlements": Part("Entitlements", _entitlements),
    "plans": Part("Plans in force", _plans),
    "invoices": Part("Invoices and orders", _invoices),
    "deals": Part("Purchases and proposals at Togai", _deals),
}
