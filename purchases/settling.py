"""
What differs at Togai as rows: written down when it is seen, closed when both sides say the same again, and
settled by a person (R-06, G-50). Our own terms are never touched here, and nothing is sent.
"""

import logging
from functools import partial

from django.db import transaction
from django.db.models import BigIntegerField
from django.db.models.functions import Cast

from audit import services as audit
from audit.refusals import Invalid, NotAllowed, WrongStatus
from audit.roles import DECIDES, Role, has_role
from purchases import drift
from purchases import terms as domain
from purchases.services import SHORTEST_REASON, refuse_own_work
from togai.models import Delivery, Drift

log = logging.getLogger("togai")

How = Drift.How

# Who settles a difference; the people of the deal may revise it where its life cycle allows that.
SETTLES = frozenset({Role.FINANCE, Role.CFO, Role.ADMINISTRATOR})
# These say that Togai's record is not the one we made. Nobody accepts that.
IDENTITY = ("account", "idempotency_key")
GONE = drift.Difference("record", "sent and confirmed", "not found")
# A further record that Togai made of the same deal; the id follows.
TWIN = "duplicate:"
# More fields than these are counted, not named.
_MOST_NAMED = 3


def open_rows(deal):
    """The differences of a deal that nobody has settled yet, oldest first."""
    return _rows(deal).filter(settled_at=None).order_by("pk")


def differing(deals):
    """Those of a queryset of deals that differ at Togai and that nobody has settled."""
    rows = Drift.objects.filter(subject_type=deals.model._meta.label, settled_at=None)
    return deals.filter(pk__in=rows.values(deal=Cast("subject_id", BigIntegerField())))


def row_of(model, drift_id):
    """A difference of a deal of this kind, settled or not; None when there is no such."""
    return Drift.objects.filter(pk=drift_id, subject_type=model._meta.label).first()


def words(row, deal):
    """What people call the field of a row."""
    return drift.words(row.field, deal.price_plan.details if deal.price_plan else {})


def note(deal, found, *, at, whole=True):
    """
    Write down what differs now, in the transaction that took over Togai's record; the caller holds the lock.

    A new difference, or another value in an open one, goes on record once. What a person has settled stays
    settled while both sides keep their values.

    :param found: `drift.Difference`s
    :param whole: whether `found` is everything; then rows that are not in it are equal again
    """
    open_now = {row.field: row for row in open_rows(deal)}
    settled = _settled(deal, [one.field for one in found if one.field not in open_now])
    for one in found:
        row = open_now.pop(one.field, None)
        if row is None:
            if settled.get(one.field) == (one.ours, one.theirs):
                continue
            row = Drift(
                subject_type=deal._meta.label, subject_id=str(deal.pk), field=one.field, first_seen_at=at
            )
        moved = (row.ours, row.theirs) != (one.ours, one.theirs)
        row.ours, row.theirs, row.last_seen_at = one.ours, one.theirs, at
        row.save()
        if moved:
            message = f"{words(row, deal)}: here {one.ours}, at Togai {one.theirs}."
            audit.record(deal, "drift", by=None, at=at, after={"message": message})
            transaction.on_commit(partial(_log, deal))
    if whole:
        for row in open_now.values():
            # What Togai holds besides is in no record that could say it is gone.
            if not row.field.startswith(TWIN):
                _end(deal, row, "equal again", at=at)
    summarise(deal)


def _log(deal):
    log.warning("drift.seen", extra={"subject": deal.reference})


def note_twin(deal, remote_id, *, at):
    """
    Write down that Togai holds a second record of a deal; the caller holds the lock.

    :returns: whether that is news
    """
    field = _twin_field(remote_id)
    if _rows(deal).filter(field=field).exists():
        return False
    note(deal, [drift.Difference(field, "one record", "one more")], at=at, whole=False)
    return True


def close_twin(deal, remote_id, *, at):
    """That second record is over at Togai; the caller holds the lock."""
    for row in open_rows(deal).filter(field=_twin_field(remote_id)):
        _end(deal, row, "declined at Togai", at=at)
    summarise(deal)


def _twin_field(remote_id):
    return f"{TWIN}{remote_id}"[: Drift._meta.get_field("field").max_length]


def _end(deal, row, why, *, at):
    row.settled_at, row.how = at, How.GONE
    row.save(update_fields=["settled_at", "how"])
    audit.record(deal, "drift_gone", by=None, at=at, after={"message": f"{words(row, deal)}: {why}."})


def begin(model, drift_id):
    """
    Lock a deal and one open difference of it.

    :returns: the deal and the row
    :raises Drift.DoesNotExist: no such difference of such a deal
    :raises WrongStatus: it is settled already
    """
    subject_id = Drift.objects.values_list("subject_id", flat=True).get(
        pk=drift_id, subject_type=model._meta.label
    )
    # The deal first, as the worker does, so that nobody waits for each other.
    model.objects.select_for_update().only("pk").get(pk=int(subject_id))
    row = Drift.objects.select_for_update().get(pk=drift_id)
    refuse_settled(row)
    deals = model.objects.select_related("account", "price_plan", "owner")
    return deals.prefetch_related("price_plan__rate_cards").get(pk=int(subject_id)), row


def refuse_settled(row):
    """
    :raises WrongStatus: somebody was faster, or both sides say the same again
    """
    if row.settled_at is not None:
        raise WrongStatus(f"This difference is settled already: {row.get_how_display().lower()}.")


def refuse_others(deal, by):
    """
    Who settles: finance, the CFO and administrators, and of those who decide nobody their own deal (G-22).

    :raises NotAllowed: no such role
    :raises OwnWork: they wrote, edited or submitted it
    """
    if not has_role(by, *SETTLES):
        raise NotAllowed("Only finance and administrators settle what differs at Togai.")
    if has_role(by, *DECIDES):
        refuse_own_work(deal, by)


def refuse_identity(row):
    """
    :raises WrongStatus: the difference says that it is another record
    """
    if _is_another_record(row):
        raise WrongStatus("This is not the record that we made. It cannot be accepted as ours.")


def close(deal, row, *, how, by, at, reason):
    """
    Settle one difference and put it on record; the caller has checked who and when, and holds the locks.

    :param how: a `Drift.How`
    :raises Invalid: no usable reason
    """
    reason = reason.strip()
    if len(reason) < SHORTEST_REASON:
        raise Invalid([domain.Problem("reason", f"Say why in at least {SHORTEST_REASON} characters.")])
    row.settled_at, row.settled_by, row.how, row.reason = at, by, how, reason
    row.save(update_fields=["settled_at", "settled_by", "how", "reason"])
    audit.record(
        deal,
        _VERBS[how],
        by=by,
        at=at,
        before={"field": row.field, "ours": row.ours, "theirs": row.theirs},
        after={"settled": how},
        reason=f"{words(row, deal)}: {reason}",
    )
    summarise(deal)


_VERBS = {How.ACCEPTED: "accept_theirs", How.IGNORED: "ignore_drift", How.REVISED: "revise_drift"}


@transaction.atomic
def accept(model, *, drift_id, by, at, reason):
    """
    Take note that Togai's value is the one that holds there. Our terms stay as they were approved.

    :returns: the deal
    :raises NotAllowed: see `refuse_others`
    :raises WrongStatus: it is settled already, or says that the record is not ours
    :raises Invalid: no usable reason
    """
    deal, row = begin(model, drift_id)
    refuse_others(deal, by)
    refuse_identity(row)
    close(deal, row, how=How.ACCEPTED, by=by, at=at, reason=reason)
    return deal


@transaction.atomic
def ignore(model, *, drift_id, by, at, reason):
    """
    Settle a difference that does not matter; it stays settled while both sides keep their values.

    :returns: the deal
    :raises NotAllowed, WrongStatus, Invalid: as `accept`, but any field may be ignored
    """
    deal, row = begin(model, drift_id)
    refuse_others(deal, by)
    close(deal, row, how=How.IGNORED, by=by, at=at, reason=reason)
    return deal


def offers(deal, rows, user):
    """
    What a page offers a person for each open difference: {row's key: names of verbs}. It decides nothing.

    :param rows: the open rows of the deal, loaded
    """
    try:
        refuse_others(deal, user)
    except NotAllowed:
        return {row.pk: frozenset() for row in rows}
    both = frozenset({"accept", "ignore"})
    return {row.pk: both - {"accept"} if _is_another_record(row) else both for row in rows}


def _is_another_record(row):
    return row.field in IDENTITY or row.field.startswith(TWIN)


def _rows(deal):
    return Drift.objects.filter(subject_type=deal._meta.label, subject_id=str(deal.pk))


def _settled(deal, fields):
    """(ours, theirs) of what a person settled last, by field."""
    if not fields:
        return {}
    rows = _rows(deal).filter(field__in=fields, settled_at__isnull=False).order_by("pk")
    return {row.field: (row.ours, row.theirs) if row.how != How.GONE else None for row in rows}


def summarise(deal):
    """Keep the one line that lists and the head of the page show; "" when nothing is open. Saves."""
    rows = list(open_rows(deal))
    stuck = Delivery.objects.of(deal).filter(state=Delivery.State.NEEDS_HUMAN)
    problem = _sentence(deal, rows) or stuck.values_list("last_message", flat=True).last() or ""
    if problem != deal.togai_problem:
        deal.togai_problem = problem[:600]
        deal.save(update_fields=["togai_problem"])


def _sentence(deal, rows):
    by_field = {row.field: row for row in rows}
    if GONE.field in by_field:
        return "Togai does not find it any more."
    status = by_field.get("status")
    if status and status.theirs == "Expired":
        return f"It expired at Togai, after it was {status.ours.lower()} here."
    if status:
        return f"Here it is {status.ours.lower()}, at Togai it is {status.theirs.lower()}."
    if not rows:
        return ""
    named = "; ".join(words(row, deal) for row in rows[:_MOST_NAMED])
    more = f"; and {len(rows) - _MOST_NAMED} more" if len(rows) > _MOST_NAMED else ""
    return f"At Togai it is not as it was sent: {named}{more}."
