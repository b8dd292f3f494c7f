"""
What Togai shows of an account right now: wallet, entitlements, plans in force and the newest invoices.

Read for a page while somebody waits, so with short timeouts and one try; what was read last is kept for a day
and shown with its age when Togai does not answer. Never raises for what Togai does.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice

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
KEPT_SECONDS = 24 * 3600
NEWEST_INVOICES = 10
NEWEST_ENTITLEMENTS = 50
# Togai writes "for ever" as this year (togai.md 2.1).
_FOR_EVER = 9999
# Which of the drawn states an invoice's looks like.
_PILLS = {"PAID": "success", "DUE": "pending", "PARTIALLY_PAID": "pending", "DRAFT": "draft"}


@dataclass(frozen=True)
class Live:
    """
    One look at an account; a part that could not be read is None.

    :ivar fetched_at: when it was read; None when it never was
    :ivar trouble: why (some of) it is missing or old, in words; "" when all is well
    """

    fetched_at: datetime | None = None
    wallet: dict | None = None
    entitlements: tuple | None = None
    plans: tuple | None = None
    invoices: tuple | None = None
    trouble: str = ""

    @property
    def is_empty(self):
        return self.fetched_at is None


def look(account, *, at, gateway=None, insist=False):
    """
    Read an account at Togai, or say why not.

    :param gateway: to read through; made from the settings by default
    :param insist: ask even if the copy is fresh or Togai is known to be unreachable
    """
    key = f"live:{account.pk}"
    kept = cache.get(key) or Live()
    if not insist and kept.fetched_at and not kept.trouble and at - kept.fetched_at < FRESH:
        return kept
    closed = _why_not_ask(at, insist=insist)
    if closed:
        return replace(kept, trouble=closed)
    found = _read(account, gateway or _gateway(), at)
    if found.is_empty:
        return replace(kept, trouble=found.trouble)
    cache.set(key, found, KEPT_SECONDS)
    return found


def _why_not_ask(at, *, insist):
    link = Link.load()
    if link.closed_until and link.closed_until > at:
        return link.why
    if link.unreachable_since and not insist:
        return "Togai does not answer at the moment."
    return ""


def _read(account, gateway, at):
    """Part by part, so that one odd answer hides no other; a line that is down is not tried four times."""
    readers = {
        "wallet": lambda: _wallet(gateway.get_wallet(account.togai_id)),
        "entitlements": lambda: _entitlements(gateway.get_entitlements(account.togai_id)),
        "plans": lambda: _plans(islice(gateway.list_schedules(account.togai_id), 10)),
        "invoices": lambda: _invoices(islice(gateway.list_invoices(account.togai_id), NEWEST_INVOICES)),
    }
    parts, trouble = {}, ""
    for name, read in readers.items():
        try:
            parts[name] = read()
        except errors.Missing:
            # Togai has nothing of the kind for this account, which is an answer.
            parts[name] = ()
        except (errors.ContractChanged, errors.Refused, errors.Forbidden) as error:
            trouble = str(error)
        except errors.TogaiError as error:
            line.heed(error, at=at)
            trouble = str(error)
            break
    return Live(fetched_at=at if parts else None, trouble=trouble, **parts)


def _wallet(remote):
    return {
        "balance": remote.balance,
        "on_hold": remote.hold_amount,
        "unit": remote.credit_unit or "",
        "status": remote.status or "",
    }


def _entitlements(rows):
    rows = rows[:NEWEST_ENTITLEMENTS]
    names = {
        feature.togai_id: str(feature)
        for feature in Feature.objects.filter(togai_id__in=[row.feature_id for row in rows])
    }
    return tuple((names.get(row.feature_id, row.feature_id), _in_words(row.value)) for row in rows)


def _in_words(value):
    """An entitlement's value, which Togai always writes as text (togai.md 3.7)."""
    try:
        return figures.count(number(value))
    except ValueError:
        return {"true": "yes", "false": "no"}.get(value, value)


def _plans(rows):
    rows = list(rows)
    ids = {row.price_plan_id for row in rows if row.price_plan_id}
    known = {plan.togai_id: plan for plan in PricePlan.objects.filter(togai_id__in=ids, is_latest=True)}
    return tuple(
        {
            "name": row.price_plan_name or row.price_plan_id or "unknown",
            "url": known[row.price_plan_id].get_absolute_url() if row.price_plan_id in known else "",
            "version": row.version,
            "overridden": bool(row.is_overridden),
            "starts": row.start_date,
            "ends": row.end_date if row.end_date and row.end_date.year < _FOR_EVER else None,
        }
        for row in rows
    )


def _invoices(rows):
    return tuple(
        {
            "id": row.id,
            "is_order": row.invoice_class == "ORDER",
            "status": (row.status or "").replace("_", " ").capitalize(),
            "pill": _PILLS.get(row.status, "archived"),
            "date": row.invoice_date,
            "due": row.due_date,
            "total": row.total_amount,
            "paid": row.paid_amount,
        }
        for row in rows
    )


def _gateway():
    return _gateway_to(settings.TOGAI_BASE_URL, settings.TOGAI_API_TOKEN)


@lru_cache(maxsize=4)
def _gateway_to(base_url, token):
    # Kept, because a connection's trust store costs more than the call.
    return Gateway(base_url=base_url, token=Secret(token), connect_timeout=2, read_timeout=3, deadline=4)
