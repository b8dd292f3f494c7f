"""
Terms that administrators offer as a start, in versions: made from a deal, edited, retired, used (G-03).

One function per verb, behind the pages of deals and of the administration.
"""

from datetime import timedelta

from django.db import transaction

from audit import services as audit
from audit.refusals import Invalid, NotAllowed, Stale, WrongStatus
from audit.roles import Role, has_role
from purchases import drafts
from purchases import terms as domain
from purchases.models import DealTemplate, Purchase, next_number

# More than anybody looks through in a list.
MOST_OFFERED = 200

# What a template takes from a deal and gives to one: what a clone does, but for whom it is.
TERMS = tuple(name for name in drafts.CLONED_FIELDS if name != "account")
# What an administrator writes; the other terms come from a deal, where an editor checks them.
WRITTEN = ("name", "description", "validity_days", "active", "payment_mode", "quantity")


@transaction.atomic
def save_from(deal, *, by, at, name, description="", validity_days=None, replaces=None):
    """
    Keep the terms of a deal as a template.

    :param replaces: a `DealTemplate` whose next version this is, or None for a template of its own
    :raises NotAllowed: only administrators write templates
    :raises Invalid: it has no name, or the deal does not say what is bought
    :raises Stale: `replaces` has a newer version already
    """
    refuse_others(by)
    if not deal.type:
        raise Invalid([domain.Problem("type", "Say first what is bought; there is nothing to keep yet.")])
    before = _locked(replaces.pk) if replaces else None
    terms = {field: getattr(deal, field, "") for field in TERMS}
    own = {"name": name, "description": description, "validity_days": validity_days}
    return _next(before, terms | own, by=by, at=at, told={"from": str(deal)})


@transaction.atomic
def edit(*, template_id, by, at, fields):
    """
    Change a template: a new version, unless nothing differs. The old one stays as it was.

    :param fields: any of `WRITTEN`
    :raises NotAllowed: only administrators write templates
    :raises Invalid: it has no name, or its type does not take what it says
    :raises Stale: it has a newer version already
    """
    refuse_others(by)
    unknown = set(fields) - set(WRITTEN)
    if unknown:
        raise Invalid([domain.Problem(name, "There is no such field here.") for name in sorted(unknown)])
    before = _locked(template_id)
    if all(getattr(before, name) == value for name, value in fields.items()):
        return before
    kept = {name: getattr(before, name) for name in {*TERMS, *WRITTEN}}
    return _next(before, kept | fields, by=by, at=at, told={})


def start(model, *, template_id, account, by, at, sequence, form_token=None):
    """
    Start a draft for an account with the terms of a template; the record says of which version.

    :raises WrongStatus: it is retired, or has a newer version than the one that was chosen
    :raises NotAllowed, Invalid, AlreadyDrafted: see `drafts.create`
    """
    if made := drafts.drafted_on(model, form_token, by=by):
        raise drafts.AlreadyDrafted(made)
    offered = DealTemplate.objects.offered().select_related("price_plan").filter(pk=template_id)
    template = offered.prefetch_related("price_plan__rate_cards").first()
    if template is None:
        raise WrongStatus("This template is not offered any more, or has a newer version. Choose again.")
    fields = {name: getattr(template, name) for name in drafts.fields_of(model) if name in TERMS}
    fields["account"] = account
    if template.validity_days:
        fields["valid_until"] = drafts.business_day(at) + timedelta(days=template.validity_days)
    return drafts.create(
        model,
        by=by,
        at=at,
        fields=fields,
        sequence=sequence,
        form_token=form_token,
        origin={
            "template": f"{template.reference} v{template.version}",
            "message": f"From the template “{template.name}”, version {template.version}.",
        },
    )


def refuse_others(user):
    """:raises NotAllowed: the person is no administrator"""
    if not has_role(user, Role.ADMINISTRATOR):
        raise NotAllowed("Only administrators write templates.")


def _locked(pk):
    template = DealTemplate.objects.select_for_update().get(pk=pk)
    if not template.is_latest:
        raise Stale("Somebody saved a newer version of this template; look at that one.")
    return template


def _next(before, fields, *, by, at, told):
    """The next version of a template, or the first of a new one."""
    made = DealTemplate(**fields, saved_by=by, saved_at=at)
    made.name = made.name.strip()
    found = problems(made, at=at)
    if found:
        raise Invalid(found)
    if before:
        made.number, made.version = before.number, before.version + 1
        before.is_latest = False
        before.save(update_fields=["is_latest"])
    else:
        made.number = next_number("template")
    made.save(force_insert=True)
    was, now = _plain(before) if before else {}, _plain(made)
    changed = [name for name in now if name not in was or now[name] != was[name]]
    audit.record(
        made,
        "edit" if before else "create",
        by=by,
        at=at,
        before={name: was[name] for name in changed if name in was}
        | ({"version": before.version} if before else {}),
        after={name: now[name] for name in changed} | {"version": made.version} | told,
    )
    return made


def problems(template, *, at):
    """What speaks against a template, as `terms.Problem`s; its terms are judged as those of a draft."""
    found = [] if template.name else [domain.Problem("name", "Give it a name.")]
    terms = {name: getattr(template, name) for name in TERMS if name in drafts.fields_of(Purchase)}
    return found + drafts.problems(Purchase(**terms), at=at, complete=False)


def _plain(template):
    named = {name: getattr(template, name) for name in (*WRITTEN, *TERMS)}
    amounts = ("wallet_topup_amount", "wallet_purchase_amount")
    return named | {
        "price_plan": str(template.price_plan) if template.price_plan else None,
        **{name: None if named[name] is None else str(named[name]) for name in amounts},
    }
