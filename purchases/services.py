"""
The verbs of a direct purchase: submit, recall, return, release, revise, clone. One function each, behind
every door.

Money moves as soon as Togai has a purchase, so a second person releases it (design.md 3).
"""

from django.conf import settings
from django.db import transaction

from audit import services as audit
from audit.refusals import Invalid, NotAllowed, OwnWork, Stale, WrongStatus
from audit.roles import DECIDES, has_role
from purchases import drafts, fresh, plan_moves
from purchases import terms as domain
from purchases.models import Purchase
from togai import deliveries, wire
from togai.models import Delivery

Status = Purchase.Status

SHORTEST_REASON = 10


def create(*, by, at, fields, form_token=None):
    """Draft a purchase; see `drafts.create`."""
    return drafts.create(Purchase, by=by, at=at, fields=fields, sequence="purchase", form_token=form_token)


def edit(*, purchase_id, by, at, fields, version, batch_id=None, origin=None):
    """Change a draft; see `drafts.edit`."""
    return drafts.edit(
        Purchase,
        pk=purchase_id,
        by=by,
        at=at,
        fields=fields,
        version=version,
        batch_id=batch_id,
        origin=origin,
    )


def clone(*, purchase_id, by, at, account=None, form_token=None):
    """Draft another purchase like this one; see `drafts.clone`."""
    return drafts.clone(
        Purchase, pk=purchase_id, by=by, at=at, sequence="purchase", account=account, form_token=form_token
    )


def body_for(deal, model):
    """
    A function from an idempotency key to the canonical bytes that ask Togai for this deal (R-14).

    :param model: `wire.CreatePurchase` or `wire.CreateProposal`
    """
    payload = domain.payload(
        deal.terms(),
        details=deal.price_plan.details if deal.price_plan else {},
        zone=settings.BUSINESS_TIME_ZONE,
    )
    return lambda key: wire.to_bytes(model.model_validate(payload | {"idempotencyKey": key}))


@transaction.atomic
def submit(*, purchase_id, by, at, version=None, plan_version_seen=None, batch_id=None):
    """
    Ask finance to release a purchase; its content is frozen until they answer.

    :param plan_version_seen: the newer version of its plan whose price the person has seen (G-15)
    :raises NotAllowed: only its owner or creator submits
    :raises WrongStatus: it is not a draft
    :raises Stale: it has moved on since `version`
    :raises Invalid: something is missing or Togai would refuse it
    :raises PlanMoved: its plan has a newer version than the one seen
    """
    purchase = drafts.locked(Purchase, purchase_id)
    if not drafts.is_author(purchase, by):
        raise NotAllowed("Only its owner submits a purchase.")
    _require(purchase, Status.SUBMITTED)
    if version is not None and version != purchase.version:
        raise Stale("Somebody saved this draft after you opened it.")
    found = drafts.problems(purchase, at=at, complete=True)
    if found:
        raise Invalid(found)
    told = plan_moves.refuse_unseen(purchase, seen=plan_version_seen)
    purchase.content_hash = drafts.content_hash(purchase)
    purchase.submitted_by, purchase.submitted_at = by, at
    return _move(purchase, Status.SUBMITTED, "submit", by=by, at=at, batch_id=batch_id, told=told)


@transaction.atomic
def recall(*, purchase_id, by, at, reason, batch_id=None):
    """
    Take a purchase back into the draft while finance has not released it.

    :raises NotAllowed: neither owner, creator, submitter, their manager nor an administrator
    :raises WrongStatus: it does not wait for release
    """
    purchase = drafts.locked(Purchase, purchase_id)
    if not drafts.may_recall(purchase, by):
        raise NotAllowed("Only its owner or their manager takes a purchase back.")
    if purchase.status != Status.SUBMITTED:
        raise WrongStatus(f"This purchase is {purchase.get_status_display().lower()}.")
    return _back_to_draft(purchase, "recall", by=by, at=at, reason=_reason(reason), batch_id=batch_id)


@transaction.atomic
def send_back(*, purchase_id, by, at, reason, batch_id=None):
    """
    Finance does not release a purchase: it becomes a draft again, with the reason on record.

    :raises NotAllowed, OwnWork, WrongStatus: as `release`
    """
    purchase = drafts.locked(Purchase, purchase_id)
    refuse_own_work(purchase, by)
    if purchase.status != Status.SUBMITTED:
        raise WrongStatus(f"This purchase is {purchase.get_status_display().lower()}.")
    return _back_to_draft(purchase, "send_back", by=by, at=at, reason=_reason(reason), batch_id=batch_id)


@transaction.atomic
def release(*, purchase_id, by, at, content_hash, signed_in_at=None, batch_id=None):
    """
    Let a purchase go to Togai, where it moves money at once.

    :param content_hash: of the content that the person read
    :param signed_in_at: when they last typed their password; None for never (R-22)
    :raises NotAllowed: not finance
    :raises OwnWork: they wrote, edited or submitted it (G-22)
    :raises WrongStatus: it does not wait for release
    :raises Stale: its content is not what the person read
    :raises Invalid: it has become impossible meanwhile, e.g. the plan is no longer active
    :raises SignInAgain: so much hangs on it that the sign-in is too old (P-21)
    """
    purchase = drafts.locked(Purchase, purchase_id)
    refuse_own_work(purchase, by)
    _require(purchase, Status.SENT)
    if content_hash != purchase.content_hash:
        raise Stale("This purchase is not what you read; look at it again.")
    found = drafts.problems(purchase, at=at, complete=True)
    if found:
        raise Invalid(found)
    fresh.refuse_without(purchase, signed_in_at=signed_in_at, at=at)
    purchase.released_by, purchase.released_at = by, at
    _move(purchase, Status.SENT, "release", by=by, at=at, batch_id=batch_id)
    deliveries.queue(
        kind=Delivery.Kind.CREATE_PURCHASE,
        subject=purchase,
        revision=purchase.revision,
        account_id=purchase.account.togai_id,
        body_for=body_for(purchase, wire.CreatePurchase),
        by=by,
        at=at,
    )
    return purchase


@transaction.atomic
def revise(*, purchase_id, by, at):
    """
    Open a purchase that Togai refused, or that is held before it ever left, for another try: as a new
    revision with a new key (R-14).

    :raises NotAllowed: neither owner, creator nor administrator
    :raises WrongStatus: it may be at Togai
    """
    purchase = drafts.locked(Purchase, purchase_id)
    if not drafts.may_edit(purchase, by):
        raise NotAllowed("Only its owner revises a purchase.")
    _take_back_what_is_held(purchase, at=at)
    if not purchase.is_revisable:
        raise WrongStatus("Only a purchase that Togai refused can be revised.")
    purchase.revision += 1
    purchase.togai_refusal = ""
    return _back_to_draft(purchase, "revise", by=by, at=at, reason="")


def _take_back_what_is_held(purchase, *, at):
    held = deliveries.held_create(purchase)
    if held:
        purchase.togai_refusal = f"It was never sent. {held.held_because}"
        purchase.save(update_fields=["togai_refusal"])
        deliveries.withdraw_unsent(purchase, at=at, why=f"It was revised. {held.held_because}")


def refuse_own_work(deal, by):
    """
    Four eyes, for every verb that decides (G-22, P-01).

    :raises NotAllowed: the person holds no role whose yes counts
    :raises OwnWork: the person created, edited or submitted this chain of revisions
    """
    if not has_role(by, *DECIDES):
        raise NotAllowed("Only finance decides this.")
    authors = {deal.owner_id, deal.created_by_id, deal.last_edited_by_id, deal.submitted_by_id}
    if by.pk in authors or deal.editors.filter(pk=by.pk).exists():
        raise OwnWork("You wrote, edited or submitted this; somebody else has to decide it.")


def _require(purchase, status):
    if not purchase.can_become(status):
        raise WrongStatus(f"This purchase is {purchase.get_status_display().lower()}.")


def _reason(reason):
    reason = reason.strip()
    if len(reason) < SHORTEST_REASON:
        raise Invalid([domain.Problem("reason", f"Say why in at least {SHORTEST_REASON} characters.")])
    return reason


def _back_to_draft(purchase, verb, *, by, at, reason, batch_id=None):
    purchase.submitted_by = purchase.submitted_at = purchase.released_by = purchase.released_at = None
    return _move(purchase, Status.DRAFT, verb, by=by, at=at, reason=reason, batch_id=batch_id)


def _move(purchase, status, verb, *, by, at, reason="", batch_id=None, told=None):
    before = purchase.status
    purchase.status = status
    purchase.version += 1
    purchase.updated_at = at
    purchase.save()
    audit.record(
        purchase,
        verb,
        by=by,
        at=at,
        before={"status": before},
        after={"status": status, "version": purchase.version, "content_hash": purchase.content_hash}
        | (told or {}),
        reason=reason,
        batch_id=batch_id,
    )
    return purchase
