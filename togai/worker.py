"""
The worker's steps: send what waits, look for what is in doubt, follow what is open (reliability.md 2.4 to
2.9).

Every step is: claim and commit, talk to Togai with no transaction open, commit what was learned. Times come
from `clock`, so that tests live through a week in a second.
"""

import logging
import os
import random
import socket
import time
from collections import Counter
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from togai import deliveries, errors
from togai.gateway import Gateway
from togai.models import Delivery, Link, RemoteSnapshot
from togai.secret import Secret
from togai.subjects import listener_for

log = logging.getLogger("togai")

Kind, State = Delivery.Kind, Delivery.State

# What Togai's record must say before a decision counts as done.
REACHED = {
    "APPROVE": {"PROPOSAL_APPROVED", "PENDING", "IN_PROGRESS", "SUCCESS", "FAILURE"},
    "DECLINE": {"PROPOSAL_DECLINED"},
}
# Statuses after which nothing changes at Togai any more (togai.md 5.1).
FINAL = {"PROPOSAL_DECLINED", "PROPOSAL_EXPIRED", "SUCCESS", "FAILURE"}
# How soon an open record is looked at again after its status last moved.
FOLLOW_LADDER = (2, 3, 5, 10, 20, 30, 60, 120, 300, 900)
STEPS_A_ROUND = 3
# A refused token may lock the office out for half an hour (togai.md 2): ask again at most this often.
AUTH_PAUSE = timedelta(minutes=6)


def make_gateway():
    """The gateway that the settings describe; refuses to call while a transaction is open (R-02)."""
    return Gateway(
        base_url=settings.TOGAI_BASE_URL,
        token=Secret(settings.TOGAI_API_TOKEN),
        connect_timeout=settings.TOGAI_CONNECT_TIMEOUT,
        read_timeout=settings.TOGAI_READ_TIMEOUT,
        deadline=settings.TOGAI_DEADLINE,
        before_call=_before_call,
    )


_last_call = [0.0]


def _before_call():
    # The block that a test case wraps around a whole test is not ours, as Django's own `durable` sees it.
    if any(not block._from_testcase for block in connection.atomic_blocks):
        raise RuntimeError("No call to Togai inside a database transaction.")
    # Evenly spaced calls stay below Togai's ten a second (togai.md 2).
    wait = _last_call[0] + 1 / settings.TOGAI_REQUESTS_PER_SECOND - time.monotonic()
    if wait > 0:
        time.sleep(wait)
    _last_call[0] = time.monotonic()


class Conflict(errors.TogaiError):
    """Togai's record ended otherwise than we decided; only a person can settle that (R-24)."""


class Worker:
    """One worker's hands: a gateway, a clock and a name on the claims."""

    def __init__(self, gateway=None, *, clock=timezone.now, monotonic=time.monotonic, name=""):
        self.gateway = gateway or make_gateway()
        self.clock = clock
        self.monotonic = monotonic
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"

    # --- deliveries ---

    def work(self, *, most=200):
        """
        Do everything that is due: recover, send and look until nothing is left, then follow. Returns steps.
        """
        steps = 0
        deliveries.recover_expired_claims(at=self.clock())
        if not self.line_is_up():
            return steps
        taken = Counter()
        while steps < most:
            # A few steps a round take a row from a lost answer to its end, and no row can starve the others.
            todo = [pk for pk in deliveries.due(self.clock())[:50] if taken[pk] < STEPS_A_ROUND]
            if not todo:
                break
            for pk in todo:
                taken[pk] += 1
                steps += bool(self.step(pk))
                if not self.line_is_free():
                    return steps
        return steps + self.follow_due()

    def line_closed(self):
        """Whether a refused token or a limit forbids any call for now."""
        link = Link.load()
        return bool(link.closed_until and link.closed_until > self.clock())

    def line_is_free(self):
        """Whether the last call got through; the next row need not pay for an outage."""
        return Link.load().unreachable_since is None

    def line_is_up(self):
        """Whether calls make sense now; in an outage one cheap read finds out, so that no row is charged."""
        if self.line_closed():
            return False
        if self.line_is_free():
            return True
        try:
            self.gateway.probe()
        except errors.TogaiError as error:
            self._note(error)
            return False
        deliveries.reached(at=self.clock())
        return True

    def step(self, delivery_id):
        """
        Claim one row and send it or look for it. Returns the `Delivery`, or None when it was not ours to
        take.
        """
        claimed_at = self.monotonic()
        delivery = deliveries.claim(delivery_id, worker=self.name, at=self.clock())
        if delivery is None:
            return None
        if delivery.attempt.purpose == "LOOK":
            self._look(delivery)
        else:
            self._send(delivery, claimed_at)
        log.info(
            "delivery %s %s: %s %s", delivery.kind, delivery.pk, delivery.attempt.outcome, delivery.last_error
        )
        return delivery

    def _send(self, delivery, claimed_at):
        if delivery.kind == Kind.DECIDE and not self._may_decide(delivery):
            return
        # Our own claim, on our own clock, never the row's: a worker that slept does not send.
        left = settings.TOGAI_CLAIM_SECONDS - (self.monotonic() - claimed_at)
        if left < settings.TOGAI_DEADLINE + 5:
            late = errors.NotSent("The worker was too late to send this.", reason="late")
            deliveries.not_sent(delivery, late, at=self.clock(), retry_at=self.clock())
            return
        try:
            remote = self._call(delivery)
        except errors.TogaiError as error:
            self._note(error)
            self._not_done(delivery, error)
        else:
            deliveries.reached(at=self.clock())
            self._done(delivery, remote)

    def _call(self, delivery):
        body = bytes(delivery.body)
        if delivery.kind == Kind.CREATE_PROPOSAL:
            return self.gateway.create_proposal(account_id=delivery.account_id, body=body)
        if delivery.kind == Kind.CREATE_PURCHASE:
            return self.gateway.create_purchase(account_id=delivery.account_id, body=body)
        if delivery.kind == Kind.EDIT_ACCOUNT:
            return self.gateway.update_account(account_id=delivery.account_id, body=body)
        return self.gateway.update_proposal_status(proposal_id=delivery.depends_on.remote_id, body=body)

    def _may_decide(self, delivery):
        """Read before deciding (R-24): True when Togai still waits for this decision."""
        try:
            remote = self.gateway.get_proposal(delivery.depends_on.remote_id)
        except errors.TogaiError as error:
            self._note(error)
            self._read_failed(delivery, error)
            return False
        deliveries.reached(at=self.clock())
        if remote.status == "PROPOSAL_ACTIVE":
            return True
        self._settle_decision(delivery, remote, how="Togai had already done so.")
        return False

    def _read_failed(self, delivery, error):
        """The read before a decision brought nothing, and the decision itself was not sent."""
        if isinstance(error, errors.Missing):
            deliveries.ask_a_person(
                delivery, at=self.clock(), error=error, message="Togai no longer knows this proposal."
            )
        else:
            unsent = error if isinstance(error, errors.NotSent) else _as_not_sent(error)
            deliveries.not_sent(delivery, unsent, at=self.clock(), retry_at=self._retry_at(delivery, error))

    def _settle_decision(self, delivery, remote, *, how):
        """Close a decision by what Togai's record says (R-24, R-25)."""
        if remote.status in REACHED[delivery.direction]:
            deliveries.confirm(delivery, remote, at=self.clock(), how=how)
            return
        message = (
            f"We decided to {delivery.direction.lower()}, but at Togai the proposal is already "
            f"{remote.status.removeprefix('PROPOSAL_').replace('_', ' ').lower()}."
        )
        error = Conflict(message, reason="conflict", raw=remote.raw)
        deliveries.ask_a_person(delivery, at=self.clock(), message=message, error=error)
        deliveries.follow(delivery, remote, at=self.clock())

    def _done(self, delivery, remote):
        if delivery.kind == Kind.DECIDE and remote.status not in REACHED[delivery.direction]:
            # The vendor's own sample answers 200 with the old status: read again before believing either.
            stale = errors.Unconfirmed(
                f"Togai answered, but still says {remote.status}.", reason="stale-status"
            )
            deliveries.doubt(delivery, stale, at=self.clock(), look_at=self.clock())
        else:
            deliveries.confirm(delivery, remote, at=self.clock())

    def _not_done(self, delivery, error):
        now = self.clock()
        if isinstance(error, errors.Forbidden):
            deliveries.hold(
                delivery, error, at=now, because=f"Togai does not allow this: {error.remote_message}"
            )
        elif isinstance(error, errors.NotSent) and error.reason == "local":
            deliveries.hold(delivery, error, at=now, because=f"It cannot be put into a request: {error}")
        elif isinstance(error, errors.NotSent):
            deliveries.not_sent(delivery, error, at=now, retry_at=self._retry_at(delivery, error))
        elif isinstance(error, errors.Refused):
            self._refused(delivery, error)
        elif isinstance(error, errors.Missing):
            self._missing(delivery, error)
        elif isinstance(error, errors.Clash):
            deliveries.doubt(delivery, error, at=now, look_at=now)
        else:
            deliveries.doubt(delivery, error, at=now, look_at=now + deliveries.EARLY_LOOK)

    def _refused(self, delivery, error):
        """
        A refusal is final only while no earlier send is in doubt (R-17) and no decision may have crossed
        it.
        """
        message = error.remote_message or "Togai refused this without saying why."
        if delivery.ambiguous_attempts or delivery.kind == Kind.DECIDE:
            deliveries.doubt(delivery, error, at=self.clock(), look_at=self.clock(), adds_doubt=False)
        else:
            deliveries.reject(delivery, error, at=self.clock(), message=message)

    def _missing(self, delivery, error):
        """404: find out whether the account is gone or the endpoint is (reliability.md 2.6)."""
        if delivery.kind == Kind.DECIDE:
            deliveries.doubt(delivery, error, at=self.clock(), look_at=self.clock(), adds_doubt=False)
            return
        try:
            self.gateway.get_account(delivery.account_id)
        except errors.Missing:
            error.remote_message = f"Togai does not know the account {delivery.account_id}."
            self._refused(delivery, error)
        except errors.TogaiError as later:
            self._note(later)
            deliveries.not_sent(
                delivery, _as_not_sent(later), at=self.clock(), retry_at=self._retry_at(delivery, later)
            )
        else:
            deliveries.hold(
                delivery,
                error,
                at=self.clock(),
                because="Togai no longer offers this call. Tell your administrator.",
            )

    def _retry_at(self, delivery, error):
        """When to try again: what Togai asked for, else doubling with jitter up to five minutes."""
        if isinstance(error, errors.Busy) and error.retry_after:
            return self.clock() + timedelta(seconds=error.retry_after)
        ceiling = min(300, 5 * 2 ** min(delivery.misses, 6))
        # Full jitter spreads a crowd of workers; nothing here needs unpredictability.
        return self.clock() + timedelta(seconds=1 + random.uniform(0, ceiling))  # noqa: S311

    def _note(self, error):
        """Keep the state of the line: who else should not call now, and since when people should know."""
        now = self.clock()
        if isinstance(error, errors.SignInRefused):
            deliveries.unreachable(
                at=now,
                why="Togai refuses our token. An administrator has to renew it.",
                closed_until=now + AUTH_PAUSE,
            )
        elif isinstance(error, errors.Busy):
            pause = timedelta(seconds=error.retry_after or 5)
            deliveries.unreachable(at=now, why="Togai asks us to slow down.", closed_until=now + pause)
        elif (
            isinstance(error, errors.NotSent)
            and not isinstance(error, errors.Forbidden)
            and error.reason != "local"
        ):
            deliveries.unreachable(at=now, why="Togai cannot be reached.")

    # --- looks ---

    def _look(self, delivery):
        try:
            if delivery.kind == Kind.DECIDE:
                self._look_at_decision(delivery)
            elif delivery.kind == Kind.EDIT_ACCOUNT:
                self._look_at_account(delivery)
            else:
                self._look_for_create(delivery)
        except errors.Missing as error:
            deliveries.ask_a_person(
                delivery,
                at=self.clock(),
                error=error,
                message="Togai no longer knows what this change is about.",
            )
        except errors.TogaiError as error:
            self._note(error)
            wait = timedelta(minutes=min(60, 2 ** min(delivery.looks, 6)))
            deliveries.look_again(
                delivery, at=self.clock(), look_at=self.clock() + wait, learned=str(error), error=error
            )
        else:
            deliveries.reached(at=self.clock())

    def _look_for_create(self, delivery):
        proposal = delivery.kind == Kind.CREATE_PROPOSAL
        rows = list(
            self.gateway.list_account_proposals(delivery.account_id)
            if proposal
            else self.gateway.list_account_purchases(delivery.account_id)
        )
        get = self.gateway.get_proposal if proposal else self.gateway.get_purchase
        matches, keyless = [], []
        for row in rows:
            if row.idempotency_key == delivery.idempotency_key:
                matches.append(row)
            elif row.idempotency_key is None and self._in_window(delivery, row.created_at):
                full = get(row.id)
                if full.idempotency_key == delivery.idempotency_key:
                    matches.append(row)
                elif full.idempotency_key is None:
                    keyless.append(row)
        if matches:
            matches.sort(key=lambda row: row.created_at)
            how = f"Confirmed by a check at {self.clock():%H:%M:%S} UTC."
            if len(matches) > 1:
                extra = ", ".join(row.id for row in matches[1:])
                how += f" Togai holds duplicates that nobody here can approve: {extra}."
            deliveries.confirm(delivery, get(matches[0].id), at=self.clock(), how=how)
        elif keyless:
            found = ", ".join(row.id for row in keyless)
            deliveries.ask_a_person(
                delivery,
                at=self.clock(),
                message=f"Togai shows records without our key that may be this one: {found}. Compare them.",
            )
        else:
            self._absent(delivery)

    def _in_window(self, delivery, created_at):
        """Whether a remote record may stem from our sends (reliability.md 2.8, 3)."""
        slack = timedelta(minutes=2)
        return created_at is None or delivery.created_at - slack <= created_at <= self.clock() + slack

    def _look_at_decision(self, delivery):
        remote = self.gateway.get_proposal(delivery.depends_on.remote_id)
        if remote.status == "PROPOSAL_ACTIVE":
            self._absent(delivery)
        else:
            self._settle_decision(
                delivery, remote, how=f"Confirmed by a check at {self.clock():%H:%M:%S} UTC."
            )

    def _look_at_account(self, delivery):
        remote = self.gateway.get_account(delivery.account_id)
        if remote.shows(bytes(delivery.body)):
            deliveries.confirm(delivery, remote, at=self.clock(), how="Confirmed by a check.")
        else:
            self._absent(delivery)

    def _absent(self, delivery):
        """Not there (yet): count it, and after two counted absences decide whether it may be sent again."""
        now = self.clock()
        quarantine_ends = delivery.in_doubt_since + timedelta(seconds=settings.TOGAI_QUARANTINE_SECONDS)
        if now < quarantine_ends:
            # A look may find before the quarantine ends, but not conclude.
            deliveries.look_again(delivery, at=now, look_at=quarantine_ends, learned="Not found yet.")
            return
        proven = delivery.last_absent_at and now - delivery.last_absent_at >= deliveries.BETWEEN_ABSENCES
        if not (delivery.looks_absent >= 1 and proven):
            step = min(delivery.looks_absent, len(deliveries.LOOK_LADDER) - 1)
            deliveries.look_again(
                delivery,
                at=now,
                look_at=now + deliveries.LOOK_LADDER[step],
                learned="Not found.",
                absent=True,
            )
        elif delivery.last_error in (errors.Refused.__name__, errors.Missing.__name__):
            deliveries.reject(delivery, None, at=now, message=delivery.last_message)
        elif (
            delivery.sends < deliveries.SEND_LIMITS[delivery.kind]
            and now - delivery.in_doubt_since < deliveries.LONGEST_DOUBT
        ):
            deliveries.send_again(delivery, at=now, learned="Two checks did not find it at Togai.")
        else:
            deliveries.ask_a_person(
                delivery,
                at=now,
                message="It was sent, but two checks do not find it at Togai. Compare by hand.",
            )

    # --- following ---

    def follow_due(self, *, most=50):
        """Look at the open remote records whose time has come. Returns how many were read."""
        due = RemoteSnapshot.objects.filter(next_poll_at__lte=self.clock()).order_by("next_poll_at")[:most]
        read = 0
        for snapshot in due:
            self.follow(snapshot)
            read += 1
            if not self.line_is_free():
                break
        return read

    def follow(self, snapshot):
        """Read one remote record again and tell its subject when anything about it moved."""
        now = self.clock()
        polls, changed = snapshot.polls + 1, False
        try:
            remote = self._read(snapshot)
        except errors.Missing:
            snapshot.missing_since = snapshot.missing_since or now
            snapshot.last_error = "Togai does not find this record any more."
        except errors.TogaiError as error:
            self._note(error)
            snapshot.last_error = str(error)[:300]
        else:
            deliveries.reached(at=self.clock())
            if remote.status != snapshot.status:
                polls = 0
            changed = remote.raw != snapshot.raw
            snapshot.status, snapshot.raw, snapshot.fetched_at = remote.status, remote.raw, now
            snapshot.missing_since, snapshot.last_error = None, ""
        wait = FOLLOW_LADDER[min(polls, len(FOLLOW_LADDER) - 1)]
        final = snapshot.status in FINAL and not snapshot.last_error
        snapshot.polls = polls
        snapshot.next_poll_at = None if final else now + timedelta(seconds=wait)
        # What the subject shows and what is kept as last seen are one fact.
        with transaction.atomic():
            if changed:
                listener_for(snapshot.subject_type).seen(snapshot.subject_id, remote, at=now)
            snapshot.save()

    def _read(self, snapshot):
        """
        The record under both of its addresses: whether an approved proposal goes on as a purchase only is not
        documented, so the status that is not a proposal's wins (togai.md 5.1).
        """
        if snapshot.kind == Kind.CREATE_PURCHASE:
            return self.gateway.get_purchase(snapshot.remote_id)
        try:
            proposal = self.gateway.get_proposal(snapshot.remote_id)
        except errors.Missing:
            return self.gateway.get_purchase(snapshot.remote_id)
        if proposal.status == "PROPOSAL_ACTIVE" or proposal.status in FINAL - {"SUCCESS"}:
            return proposal
        try:
            purchase = self.gateway.get_purchase(snapshot.remote_id)
        except errors.TogaiError as error:
            if isinstance(error, (errors.NotSent, errors.SignInRefused)):
                raise
            return proposal
        return proposal if purchase.status.startswith("PROPOSAL_") else purchase


def _as_not_sent(error):
    """The same trouble, told of a change that itself never left."""
    return errors.NotSent(str(error), status=error.status, raw=error.raw, reason=error.reason)
