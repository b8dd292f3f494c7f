"""
The verbs of an account: hand it to another owner, edit it at Togai.

Togai owns an account's fields: an edit is a delivery, and our columns change when Togai has confirmed it
(`accounts.outcome`).
"""

import re
from dataclasses import dataclass

from django.core.exceptions import ValidationError as BadText
from django.core.validators import validate_email
from django.db import transaction
from pydantic import ValidationError

from accounts.models import Account
from accounts.outcome import COLUMNS, asked_for
from audit import services as audit
from audit.refusals import Invalid, NotAllowed, Stale, WrongStatus
from audit.roles import DRAFTS, Role, has_role
from togai import deliveries, wire
from togai.models import Delivery

LONGEST_NET_TERM = 365
_KEYS = {column: key for key, column in COLUMNS.items()}


@dataclass(frozen=True)
class Problem:
    """What is wrong with one field of an account."""

    field: str
    message: str
    path: tuple = ()


def may_edit(user):
    """Whether a person's role changes accounts: who owns them, and their fields at Togai."""
    return has_role(user, Role.ADMINISTRATOR)


@transaction.atomic
def hand_over(*, account_id, to, by, at, batch_id=None):
    """
    Give an account to another owner, or to nobody (None). Togai knows no owners, so nothing is sent.

    :raises NotAllowed: only administrators hand accounts over, and only to somebody who drafts
    """
    if not may_edit(by):
        raise NotAllowed("Only an administrator changes the owner.")
    if to is not None and not (to.is_active and has_role(to, *DRAFTS)):
        raise NotAllowed(f"{_name(to)} does not work on deals.")
    account = _locked(account_id)
    if account.owner_id == (to.pk if to else None):
        return account
    before, account.owner = account.owner, to
    account.version += 1
    account.save(update_fields=["owner", "version"])
    audit.record(
        account,
        "hand_over",
        by=by,
        at=at,
        before={"owner": _name(before)},
        after={"owner": _name(to), "version": account.version},
        batch_id=batch_id,
    )
    return account


@transaction.atomic
def edit(*, account_id, by, at, fields, version, batch_id=None):
    """
    Send a change of an account to Togai. An earlier change that provably did not leave is sent with it.

    :param fields: any of name, net_term_days, tags and email
    :param version: of the account as the person read it
    :returns: the account; unchanged, and nothing sent, when nothing differs
    :raises NotAllowed: not an administrator
    :raises Stale: the account has moved on since `version`
    :raises WrongStatus: it is archived, or an earlier change may or may not have arrived
    :raises Invalid: Togai would refuse a value, or has no way to set it
    """
    if not may_edit(by):
        raise NotAllowed("Only an administrator edits accounts.")
    account = _locked(account_id)
    if account.version != version:
        raise Stale("This account has changed since you opened it.")
    if account.status == Account.Status.ARCHIVED:
        raise WrongStatus("This account is archived.")
    earlier = pending(account)
    waiting = asked_for(earlier) if earlier else {}
    wanted = waiting | _checked(account, fields)
    changed = {name: value for name, value in wanted.items() if getattr(account, name) != value}
    if changed == waiting:
        return account
    if earlier and not deliveries.withdraw_unsent(account, at=at, why="A later edit took its place."):
        raise WrongStatus("An earlier change of this account is on its way; wait until Togai confirmed it.")
    account.version += 1
    account.save(update_fields=["version"])
    if changed:
        body = wire.to_bytes(_body(changed))
        deliveries.queue(
            kind=Delivery.Kind.EDIT_ACCOUNT,
            subject=account,
            revision=account.version,
            account_id=account.togai_id,
            body_for=lambda key: body,
            by=by,
            at=at,
        )
    touched = [name for name in wanted if name in changed or name in waiting]
    audit.record(
        account,
        "edit",
        by=by,
        at=at,
        before={name: getattr(account, name) for name in touched},
        after={name: wanted[name] for name in touched} | {"version": account.version},
        batch_id=batch_id,
    )
    return account


def pending(account):
    """The delivery of an edit that Togai has not settled yet, or None."""
    edits = Delivery.objects.of(account).filter(kind=Delivery.Kind.EDIT_ACCOUNT)
    return edits.filter(state__in=Delivery.OPEN).first()


def _name(person):
    return (person.get_full_name() or person.get_username()) if person else ""


def _locked(account_id):
    Account.objects.select_for_update().only("pk").get(pk=account_id)
    return Account.objects.select_related("owner").get(pk=account_id)


def _checked(account, fields):
    """
    The fields with clean values.

    :raises Invalid: where a value differs from the account's and Togai would not take it
    """
    unknown = [Problem(name, "There is no such field here.") for name in fields if name not in _KEYS]
    if unknown:
        raise Invalid(unknown)
    cleaned = {name: _clean(value) for name, value in fields.items()}
    differing = {name: value for name, value in cleaned.items() if getattr(account, name) != value}
    problems = [
        # The wire knows no null, so what is set can only be replaced (togai.md 2.1).
        Problem(name, "Togai cannot clear this; enter another value.")
        for name, value in differing.items()
        if value in (None, "")
    ]
    if not problems:
        problems = _faults(differing)
    if problems:
        raise Invalid(problems)
    # Fields that are as they were still count: they take back what an earlier edit waits to change.
    return cleaned


def _clean(value):
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (list, tuple)):
        # Togai keeps tags in lower case, each once.
        return list(dict.fromkeys(re.sub(r"\s+", " ", tag).strip().lower() for tag in value))
    return value


def _faults(fields):
    problems = []
    days = fields.get("net_term_days")
    if isinstance(days, int) and days > LONGEST_NET_TERM:
        problems.append(Problem("net_term_days", f"At most {LONGEST_NET_TERM} days."))
    if "email" in fields:
        try:
            validate_email(fields["email"])
        except BadText:
            problems.append(Problem("email", "Enter an e-mail address, such as billing@harbor.example."))
    if fields and not problems:
        try:
            _body(fields)
        except ValidationError as error:
            problems = [
                Problem(COLUMNS.get(path[0], str(path[0])), message, tuple(path[1:]))
                for path, message in wire.problems(error)
            ]
    return problems


def _body(fields):
    return wire.UpdateAccount.model_validate({_KEYS[name]: value for name, value in fields.items()})
