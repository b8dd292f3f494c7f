"""
Writing drafts of purchases and proposals: the one function behind the form, the API, bulk actions and
commands.

A draft takes any subset of fields and never causes a call to Togai (G-01).
"""

from datetime import date
from decimal import Decimal

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import Account, Team
from audit import services as audit
from audit.models import Event
from audit.refusals import Invalid, NotAllowed, Stale, WrongStatus
from audit.roles import DRAFTS, Role, has_role
from purchases import overrides, quotes
from purchases import terms as domain
from purchases.models import HasTerms, PricePlan, next_number

# Fields whose change makes somebody an author of the deal (P-01) and enters the content hash. Every other
# field of the model has to be listed in DESK_FIELDS or is set by services alone; a test fails on a new
# unclassified one.
COMMERCIAL_FIELDS = (*HasTerms.TERMS_FIELDS, "payment_mode", "expected_volumes")
DESK_FIELDS = ("title", "internal_note")

# Of the terms, what a new deal never takes from an old one: its days (G-03).
DAYS = ("effective_from", "effective_until", "valid_until")
# What a clone takes over; everything else about a deal is its own, or made anew (G-03).
CLONED_FIELDS = tuple(name for name in COMMERCIAL_FIELDS if name not in DAYS)


def fields_of(model):
    """The names a person may write on this kind of deal."""
    names = {field.name for field in model._meta.get_fields()}
    return tuple(name for name in (*COMMERCIAL_FIELDS, *DESK_FIELDS) if name in names)


def business_day(at):
    """The calendar day of a moment where the office is."""
    return at.astimezone(settings.BUSINESS_TIME_ZONE).date()


def is_author(deal, user):
    """Whether a deal is this person's own work, theirs to submit: its owner or creator, still drafting."""
    return has_role(user, *DRAFTS) and user.pk in (deal.owner_id, deal.created_by_id)


def may_edit(deal, user):
    """Whether a person who sees the deal may write it: its owner, its creator, or an administrator."""
    return is_author(deal, user) or has_role(user, Role.ADMINISTRATOR)


def may_recall(deal, user):
    """Whether a person may take it back before it is decided: its people, their manager, an administrator."""
    if may_edit(deal, user) or (user.pk == deal.submitted_by_id and has_role(user, *DRAFTS)):
        return True
    manages = Team.objects.filter(managers=user, members=deal.owner_id)
    return has_role(user, Role.MANAGER) and manages.exists()


class AlreadyDrafted(Exception):
    """The same page has been sent before; `.deal` is what it drafted then."""

    def __init__(self, deal):
        self.deal = deal
        super().__init__(str(deal))


def create(model, *, by, at, fields, sequence, form_token=None, verb="create", origin=None):
    """
    Start a draft owned by its author.

    :param fields: any of `fields_of(model)` with model values; empty containers count as nothing
    :param sequence: which numbers it takes, "proposal" or "purchase"
    :param form_token: a UUID of the page it was written on; one person drafts once with it
    :param verb: how the record calls it, and `origin` what it says beside the fields: where they come from
    :raises NotAllowed: the person's roles write no drafts
    :raises Invalid: something given is malformed or forbidden for the type
    :raises AlreadyDrafted: this person has drafted with this token; nothing is written
    """
    try:
        return _create(
            model,
            by=by,
            at=at,
            fields=fields,
            sequence=sequence,
            form_token=form_token,
            verb=verb,
            origin=origin or {},
        )
    except IntegrityError:
        # Two presses at once: the constraint let one of them through.
        if made := drafted_on(model, form_token, by=by):
            raise AlreadyDrafted(made) from None
        raise


def drafted_on(model, form_token, *, by):
    """The deal that a person has drafted with this token, or None."""
    if form_token is None:
        return None
    return model.objects.filter(created_by=by, form_token=form_token).first()


@transaction.atomic
def _create(model, *, by, at, fields, sequence, form_token, verb, origin):
    if made := drafted_on(model, form_token, by=by):
        raise AlreadyDrafted(made)
    if not has_role(by, *DRAFTS):
        raise NotAllowed("Your role does not write drafts.")
    deal = model(
        number=next_number(sequence),
        owner=by,
        created_by=by,
        last_edited_by=by,
        form_token=form_token,
        created_at=at,
        updated_at=at,
    )
    _apply(deal, fields, by=by)
    _refuse_problems(deal, at=at)
    quotes.refresh(deal)
    deal.save(force_insert=True)
    deal.editors.add(by)
    audit.record(deal, verb, by=by, at=at, after=plain(deal) | {"version": deal.version} | origin)
    return deal


def clone(model, *, pk, by, at, sequence, account=None, form_token=None):
    """
    Start a draft with the commercial fields of another deal of the same kind, owned by who clones it (G-03).

    Approvals, days, words, people, Togai's side and the key are the old deal's own and stay there.

    :param account: whom it is for; None for the same account, or for none yet where that is not theirs to see
    :raises NotAllowed: the person's roles write no drafts, or the old deal is not theirs to see
    :raises Invalid: the account is not one of theirs
    :raises AlreadyDrafted: see `create`
    """
    deals = model.objects.visible_to(by).select_related("account", "price_plan")
    source = deals.prefetch_related("price_plan__rate_cards").filter(pk=pk).first()
    if source is None:
        raise NotAllowed("This deal is not yours to see.")
    fields = {name: getattr(source, name) for name in fields_of(model) if name in CLONED_FIELDS}
    if account is not None:
        fields["account"] = account
    elif source.account and not Account.objects.visible_to(by).filter(pk=source.account_id).exists():
        del fields["account"]
    return create(
        model,
        by=by,
        at=at,
        fields=fields,
        sequence=sequence,
        form_token=form_token,
        verb="clone",
        origin={"from": str(source), "message": f"From {source}."},
    )


def last_of(model, account, *, by):
    """The newest deal of an account that a person may see and that is past its draft, or None; one query."""
    past = model.objects.visible_to(by).filter(account=account).exclude(status=model.Status.DRAFT)
    return past.order_by("-pk").first()


@transaction.atomic
def edit(model, *, pk, by, at, fields, version, batch_id=None, reason="", origin=None):
    """
    Change fields of a draft.

    :param version: the version that the person had read; another one means somebody was faster
    :param origin: what the record says beside the fields: which page they were typed on
    :returns: the saved deal; unchanged, and not recorded, when nothing differs
    :raises Stale: the draft has moved on since `version`
    :raises WrongStatus: it is no draft any more
    :raises NotAllowed: neither owner, creator nor administrator
    :raises Invalid: something given is malformed or forbidden for the type
    """
    deal = locked(model, pk)
    if not may_edit(deal, by):
        raise NotAllowed("Only the owner or an administrator edits this draft.")
    if deal.status != model.Status.DRAFT:
        raise WrongStatus(f"This is {deal.get_status_display().lower()} and can no longer be edited.")
    if deal.version != version:
        raise Stale("Somebody saved this draft after you opened it.")
    before = plain(deal)
    _apply(deal, fields, by=by)
    _refuse_problems(deal, at=at)
    after = plain(deal)
    changed = [name for name in after if after[name] != before[name]]
    if not changed:
        return deal
    quotes.refresh(deal)
    deal.version += 1
    deal.updated_at = at
    if any(name in COMMERCIAL_FIELDS for name in changed):
        deal.last_edited_by = by
        deal.editors.add(by)
    deal.save()
    audit.record(
        deal,
        "edit",
        by=by,
        at=at,
        before={name: before[name] for name in changed} | {"version": version},
        after={name: after[name] for name in changed} | {"version": deal.version} | (origin or {}),
        reason=reason,
        batch_id=batch_id,
    )
    return deal


@transaction.atomic
def hand_over(model, *, pk, to, by, at, batch_id=None):
    """
    Give a deal to another owner.

    :raises NotAllowed: only administrators hand deals over, and only to somebody who drafts
    """
    if not has_role(by, Role.ADMINISTRATOR):
        raise NotAllowed("Only an administrator changes the owner.")
    if not to.is_active or not has_role(to, *DRAFTS):
        raise NotAllowed(f"{to} does not work on deals.")
    deal = locked(model, pk)
    if deal.owner_id == to.pk:
        return deal
    before, deal.owner = deal.owner, to
    deal.version += 1
    deal.updated_at = at
    deal.save(update_fields=["owner", "version", "updated_at"])
    # Earlier revisions go along, or the new owner could not read what they revise.
    model.objects.filter(number=deal.number).exclude(pk=deal.pk).update(owner=to)
    audit.record(
        deal,
        "hand_over",
        by=by,
        at=at,
        before={"owner": str(before)},
        after={"owner": str(to), "version": deal.version},
        batch_id=batch_id,
    )
    return deal


def locked(model, pk):
    """The deal under a row lock, with what its rules read."""
    model.objects.select_for_update().only("pk").get(pk=pk)
    rows = model.objects.select_related("account", "price_plan", "owner")
    return rows.prefetch_related("price_plan__rate_cards").get(pk=pk)


def problems(deal, *, at, complete):
    """Everything that speaks against this deal now, as `terms.Problem`s; `complete` as for sending."""
    return domain.problems(
        deal.terms(),
        plan=deal.price_plan.facts() if deal.price_plan else None,
        account=account_facts(deal.account) if deal.account else None,
        today=business_day(at),
        zone=settings.BUSINESS_TIME_ZONE,
        complete=complete,
        proposal=hasattr(deal, "payment_mode"),
    )


def account_facts(account):
    """The account as the pure rules read it."""
    return domain.AccountFacts(togai_id=account.togai_id, currency=account.currency, status=account.status)


def content_hash(deal):
    """What an approver decides on: the terms, the account and the volumes that its money was shown at."""
    return domain.content_hash(
        deal.terms(),
        {
            "account": deal.account.togai_id if deal.account else None,
            "volumes": deal.expected_volumes or {},
        },
    )


def plain(deal):
    """Every writable field as a JSON-ready value, for the record and for comparing versions."""
    return {name: _plain(getattr(deal, name)) for name in fields_of(type(deal))}


def plain_at(deal, version):
    """
    The writable fields as they were at an earlier version, read back from the record.

    :returns: `plain` of that version, who saved later, and when, as (fields, events) with the newest first
    """
    fields = plain(deal)
    later = []
    for event in Event.objects.about(deal).filter(verb="edit").order_by("-seq").select_related("actor"):
        if event.after["version"] <= version:
            break
        fields |= {name: value for name, value in event.before.items() if name in fields}
        later.append(event)
    return fields, later


def _plain(value):
    if isinstance(value, Account):
        return value.togai_id
    if isinstance(value, PricePlan):
        return f"{value.togai_id} v{value.version}"
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, date):
        return value.isoformat()
    return value


def _apply(deal, fields, *, by):
    unknown = set(fields) - set(fields_of(type(deal)))
    if unknown:
        raise Invalid([domain.Problem(name, "There is no such field here.") for name in sorted(unknown)])
    account = fields.get("account")
    if account is not None and not Account.objects.visible_to(by).filter(pk=account.pk).exists():
        raise Invalid([domain.Problem("account", "This is not one of your accounts.")])
    for name, value in fields.items():
        setattr(deal, name, None if value in ({}, []) else value)


def _refuse_problems(deal, *, at):
    found = problems(deal, at=at, complete=False)
    if found:
        raise Invalid(found)
    for name in domain.OVERRIDE_KINDS:
        # What equals the plan is no override, whichever door it came through (G-02).
        if getattr(deal, name) and deal.price_plan:
            setattr(deal, name, overrides.normalised(deal.price_plan.details, getattr(deal, name)) or None)
    deal.content_hash = content_hash(deal)
