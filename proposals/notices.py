"""
What people are told about a proposal before they ask: on their page of notices, and by mail.

A notice is written in the transaction of what it tells, so that neither exists without the other, and once
for each person, revision and kind, however often a job runs. A later kind is one more row of `_WORDS`, and a
function that says who hears of it.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from smtplib import SMTPRecipientsRefused, SMTPResponseException

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.db.models import IntegerField, Subquery
from django.template.loader import render_to_string
from django.utils.text import Truncator

from audit.roles import DECIDES, Role, holders
from proposals import inbox
from proposals.models import Notice, Proposal
from purchases.drafts import business_day

log = logging.getLogger("notices")

Kind = Notice.Kind

# Days before the end of its validity from which a waiting proposal is warned of (G-32, P-10).
FIRST_WARNING = 7
LAST_WARNING = 1
WARNINGS = (Kind.EXPIRES_IN_7, Kind.EXPIRES_IN_1)
# How many proposals are warned of in one transaction, short enough that nobody else waits for it.
CHUNK = 200
# So much of what Togai says about a failure stands in a notice; the page of the deal has all of it.
MOST_QUOTED = 300
# The count in the head of a page goes no further.
MOST_COUNTED = 9
# Mails of one turn of the worker, which has deliveries to make as well.
MOST_MAILS = 50


@dataclass(frozen=True)
class Told:
    """
    A notice in words, as things stand now.

    :ivar holds: whether it still tells somebody something; what does not is no longer mailed
    """

    title: str
    text: str
    holds: bool = True


# --- Who hears of what ---


def recalled(proposal, *, by, at):
    """
    Tell the people whose answer a proposal waits for that it is being taken back (G-25).

    Called by the verb before it ends the steps. Who takes it back knows, and nobody whose turn had not come
    hears of it (G-58).
    """
    waiting = {person for person, _ in _deciders([proposal.pk])} - {by.pk}
    _write({(person, proposal.pk, Kind.RECALLED) for person in waiting}, by=by, at=at)


def contradicted(proposal, *, at):
    """
    Tell finance and its owner that Togai's record ended otherwise than was decided here (R-24, R-27).

    Called where our decision meets that end; nothing is created or sent again by itself.
    """
    _tell_finance_and_owner(proposal, Kind.CONFLICT, at=at)


def failed(proposal, *, at):
    """Tell finance and its owner that an approved proposal failed at Togai (R-25); safe to repeat."""
    _tell_finance_and_owner(proposal, Kind.FAILED, at=at)


def _tell_finance_and_owner(proposal, kind, *, at):
    # Whoever joins finance later is not told of what is over.
    if Notice.objects.filter(proposal=proposal, kind=kind).exists():
        return
    people = [*holders(*DECIDES), *holders(*Role, among={proposal.owner_id})]
    _write({(person.pk, proposal.pk, kind) for person in people}, by=None, at=at)


def warn_of_expiry(*, at):
    """
    Warn of every waiting proposal whose validity is about to end: its owner, and those whose turn it is.

    A day that was missed is made good with the warning that is true now. An approved proposal is not warned
    of: what was decided in time holds, whenever Togai hears of it (R-27). Safe to repeat.

    :returns: how many notices were written
    """
    today = business_day(at)
    window = (today, today + timedelta(days=FIRST_WARNING))
    ending = Proposal.objects.filter(status=Proposal.Status.SUBMITTED, valid_until__range=window)
    keys = list(ending.order_by("valid_until", "pk").values_list("pk", flat=True))
    return sum(_warn(keys[start : start + CHUNK], at=at) for start in range(0, len(keys), CHUNK))


def _warn(keys, *, at):
    missing = _missing(Proposal.objects.filter(pk__in=keys), at=at)
    if not missing:
        return 0
    with transaction.atomic():
        # Read again under a lock: somebody may decide it, or take it back, at this moment.
        keys = {proposal for _, proposal, _ in missing}
        missing = _missing(
            Proposal.objects.select_for_update().filter(pk__in=keys, status=Proposal.Status.SUBMITTED),
            at=at,
        )
        _write(missing, by=None, at=at)
    return len(missing)


def _missing(proposals, *, at):
    """The warnings that these waiting proposals call for now and that nobody has had yet."""
    rows = {row.pk: row for row in proposals.order_by("pk").only("owner", "valid_until")}
    kinds = {key: _warning(row, at=at) for key, row in rows.items()}
    owners = {person.pk for person in holders(*Role, among={row.owner_id for row in rows.values()})}
    hear = {(row.owner_id, key) for key, row in rows.items() if row.owner_id in owners}
    hear.update(_deciders(rows))
    had = Notice.objects.filter(proposal__in=rows, kind__in=WARNINGS)
    return {(person, key, kinds[key]) for person, key in hear} - set(
        had.values_list("person_id", "proposal_id", "kind")
    )


def _warning(proposal, *, at):
    left = (proposal.valid_until - business_day(at)).days
    return Kind.EXPIRES_IN_1 if left <= LAST_WARNING else Kind.EXPIRES_IN_7


def _deciders(keys):
    """(person, proposal) for everybody in whose approvals one of these stands, to be decided by them."""
    for person in holders(*DECIDES):
        theirs = inbox.decidable_by(person).filter(pk__in=list(keys)).order_by()
        for key in theirs.values_list("pk", flat=True):
            yield person.pk, key


def _write(rows, *, by, at):
    # A job that runs twice at once meets the constraint, and the first one wins.
    Notice.objects.bulk_create(
        [
            Notice(person_id=person, proposal_id=proposal, kind=kind, by=by, created_at=at)
            for person, proposal, kind in sorted(rows)
        ],
        ignore_conflicts=True,
    )
    if rows:
        transaction.on_commit(wake)


# --- In words ---


def told(notice, *, at):
    """A notice in words (`Told`): what was, and what it means now."""
    return _WORDS[notice.kind](notice, at)


def _told_recalled(notice, at):
    who = notice.by.get_full_name() or notice.by.get_username()
    return Told(
        f"{_name(notice.proposal)} was recalled",
        f"{who} took it back before it was decided. It no longer waits for you.",
    )


def _told_ending(notice, at):
    proposal = notice.proposal
    last = proposal.expires_at.astimezone(settings.BUSINESS_TIME_ZONE)
    zone = str(settings.BUSINESS_TIME_ZONE).replace("_", " ")
    until = f"{last:%A %-d %B %Y, %H:%M:%S} ({zone})"
    left = (proposal.valid_until - business_day(at)).days
    if not proposal.is_waiting:
        status = proposal.get_status_display().lower()
        return Told(
            f"The validity of {_name(proposal)} was about to end",
            f"It was to be decided until {until}, and is {status} now.",
            holds=False,
        )
    if left < 0:
        return Told(
            f"The validity of {_name(proposal)} has ended",
            f"Nobody had decided it by {until}. It can only be revised.",
            holds=False,
        )
    ends = {0: "ends today", 1: "ends tomorrow"}.get(left, f"ends in {left} days")
    if proposal.togai_refusal:
        todo = "Togai refused it, so nobody can approve it: it can only be revised."
    else:
        todo = f"Nobody has decided it yet. It can be approved until {until}; then it can only be revised."
    return Told(f"The validity of {_name(proposal)} {ends}", todo)


def _told_contradicted(notice, at):
    proposal = notice.proposal
    title = f"{_name(proposal)} is otherwise at Togai than it was decided"
    if not proposal.togai_problem:
        return Told(title, "It has been settled since.", holds=False)
    todo = "Look at it and say what holds; nothing is sent by itself."
    return Told(title, f"{proposal.togai_problem} {todo}")


def _told_failed(notice, at):
    proposal = notice.proposal
    said = Truncator(proposal.togai_comment).chars(MOST_QUOTED) or "It gave no reason."
    return Told(
        f"{_name(proposal)} failed at Togai",
        f"It was approved, and then Togai could not carry it out. Togai says: {said}",
        holds=proposal.togai_status == "FAILURE",
    )


_WORDS = {
    Kind.RECALLED: _told_recalled,
    Kind.EXPIRES_IN_7: _told_ending,
    Kind.EXPIRES_IN_1: _told_ending,
    Kind.CONFLICT: _told_contradicted,
    Kind.FAILED: _told_failed,
}


def _name(proposal):
    return str(proposal) if proposal.revision > 1 else proposal.reference


# --- On the page ---


class Counted(Subquery):
    """How many rows a bounded query has, as one value of another query."""

    template = "(SELECT SUM(1) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


def unread_by(user):
    """How many notices somebody has not read, as a value that a query of every page brings along; bounded."""
    rows = Notice.objects.visible_to(user).filter(is_read=False).order_by("-pk")
    return Counted(rows.values("pk")[: MOST_COUNTED + 1])


def unread_words(count):
    """The count as it is shown: "", "3", "9+"."""
    return "" if not count else f"{MOST_COUNTED}+" if count > MOST_COUNTED else str(count)


def mark_read(notices, *, at):
    """Mark those of a queryset of notices as read that are not; returns how many."""
    return notices.filter(is_read=False).update(is_read=True, read_at=at)


# --- By mail ---


def wake():
    """Tell a worker that a mail is due; losing the message loses nothing, the clock looks as well (R-08)."""
    from django_q.tasks import async_task

    if not settings.Q_CLUSTER.get("testing"):
        async_task("proposals.tasks.mail_notices")


def mail(*, at):
    """
    Send the mails that are due, a turn's worth of them; returns how many were sent.

    Each is marked before it leaves, so nobody gets one twice: of a worker that dies in that moment, one mail
    may be missing, and its notice is still on the page. A server that is away leaves all of them due.
    """
    due = list(Notice.objects.filter(mail_due=True).order_by("pk").values_list("pk", flat=True)[:MOST_MAILS])
    if not due:
        return 0
    server = get_connection()
    sent = 0
    try:
        server.open()
        for key in due:
            sent += _mail_one(key, server, at=at)
    except OSError as error:
        log.warning("mail.unreachable", extra={"error": type(error).__name__})
        return sent
    finally:
        server.close()
    if len(due) == MOST_MAILS:
        wake()
    return sent


def _mail_one(key, server, *, at):
    notice = Notice.objects.for_listing().select_related("person").get(pk=key)
    message = _message(notice, at=at)
    mark = {"mail_due": False, "mailed_at": at if message else None}
    # A compare-and-swap: of several workers one gets it.
    if not Notice.objects.filter(pk=key, mail_due=True).update(**mark) or message is None:
        return 0
    facts = {"kind": notice.kind, "user_id": notice.person_id}
    try:
        server.send_messages([message])
    except (SMTPRecipientsRefused, SMTPResponseException, ValueError) as error:
        # This one alone; the next address may be right.
        log.warning("mail.refused", extra=facts | {"error": type(error).__name__})
        return 0
    log.info("mail.sent", extra=facts)
    return 1


def _message(notice, *, at):
    """The mail of a notice; None where there is nobody to write to, or nothing to say any more."""
    person, words = notice.person, told(notice, at=at)
    wanted = settings.SENDS_MAIL and person.email and not notice.is_read and words.holds
    if not wanted or not Notice.objects.visible_to(person).filter(pk=notice.pk).exists():
        return None
    context = {
        "notice": notice,
        "told": words,
        "link": f"{settings.PUBLIC_URL}{notice.proposal.get_absolute_url()}",
        "all": settings.PUBLIC_URL,
    }
    return EmailMessage(
        subject=words.title, body=render_to_string("notices/mail.txt", context), to=[person.email]
    )
