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
from django.db import transaction
from django.utils import timezone

from togai import deliveries, errors, line
from togai.checkpoints import checkpoint
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
NIGHTLY, WEEKLY = timedelta(days=1), timedelta(days=7)
STEPS_A_ROUND = 3


def make_gateway(*, follows=False):
    """
    The gateway that the settings describe; it keeps the pace that all workers share, and R-02.

    :param follows: for calls that only follow what is sent, which leave most of the pace to others
    """
    return Gateway(
        base_url=settings.TOGAI_BASE_URL,
        token=Secret(settings.TOGAI_API_TOKEN),
        connect_timeout=settings.TOGAI_CONNECT_TIMEOUT,
        read_timeout=settings.TOGAI_READ_TIMEOUT,
        deadline=settings.TOGAI_DEADLINE,
        before_call=line.Pace(follows=follows),
    )


class Conflict(errors.TogaiError):
    """Togai's record ended otherwise than we decided; only a person can settle that (R-24)."""


class Worker:
    """
    One worker's hands: a gateway, another one for following what is sent (the same if only one is given), a
    clock and a name on the claims.

    :param enough: asked before each step; once it says so, no further one begins
    """

    def __init__(
        self,
        gateway=None,
        *,
        follower=None,
        clock=timezone.now,
        monotonic=time.monotonic,
        name="",
        enough=lambda: False,
    ):
        self.follower = follower or gateway or make_gateway(follows=True)
        self.gateway = gateway or make_gateway()
        self.clock = clock
        self.monotonic = monotonic
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.enough = enough

    # --- deliveries ---

    def work(self, *, most=200):
        """
        Do everything that is due: recover, send and look until nothing is left, then follow. Returns steps.
        """
        steps = 0
        deliveries.recover_expired_claims(at=self.clock())
        deliveries.verify_restored(at=self.clock())
        if not self.line_is_up():
            return steps
        taken = Counter()
        while steps < most:
            # A few steps a round take a row from a lost answer to its end, and no row can starve the others.
            todo = [pk for pk in deliveries.due(self.clock())[:50] if taken[pk] < STEPS_A_ROUND]
            if not todo:
                break
            for pk in todo:
                if steps >= most or self.enough():
                    return steps
                taken[pk] += 1
                steps += bool(self.step(pk))
                if not self.line_is_up():
                    return steps
        return steps + self.follow_due()

    def _reached(self, gateway=None):
        line.reached(at=self.clock(), skew=(gateway or self.gateway).skew)

    def line_is_up(self):
        """Whether calls make sense now; in an outage one cheap read finds out, so that no row is charged."""
        link = Link.load()
        if link.closed_until and link.closed_until > self.clock():
            return False
        if link.unreachable_since is None:
            return True
        try:
            self.gateway.probe()
        except errors.ContractChanged:
            line.failed(at=self.clock(), why="What answers in Togai's place is not Togai.")
            return False
        except errors.TogaiError as error:
            line.note(error, at=self.clock())
            return False
        self._reached()
        return True

    def step(self, delivery_id):
        """
        Claim one row and send it or look for it. Returns the `Delivery`, or None when it was not ours to
        take.
        """
        with deliveries.alone_with(delivery_id) as alone:
            claimed_at = self.monotonic()
            delivery = deliveries.claim(delivery_id, worker=self.name, at=self.clock()) if alone else None
            if delivery is None:
                return None
            log.info("delivery.claimed", extra=_told(delivery))
            if delivery.attempt.purpose == "LOOK":
                self._look(delivery)
            else:
                self._send(delivery, claimed_at)
        took = round((self.monotonic() - claimed_at) * 1000)
        log.info("delivery.finished", extra=_told(delivery) | {"ms": took})
        return delivery

    def _send(self, delivery, claimed_at):
        why = listener_for(delivery.subject_type).stale(delivery, at=self.clock())
        if why:
            deliveries.hold(delivery, None, at=self.clock(), because=why)
            return
        if delivery.kind in Delivery.DECISIONS and not self._may_decide(delivery):
            return
        # Our own claim, on our own clock, never the row's: a worker that slept does not send.
        left = settings.TOGAI_CLAIM_SECONDS - (self.monotonic() - claimed_at)
        if left < settings.TOGAI_DEADLINE + 5:
            deliveries.give_back(delivery, at=self.clock(), why="The worker was too late to send this.")
            return
        # Read at the last moment: a pause takes effect within a second (G-52).
        if not Link.load().may_send:
            deliveries.give_back(delivery, at=self.clock(), why="Sending was stopped.")
            return
        try:
            checkpoint("send.before")
            remote = self._call(delivery)
            checkpoint("send.after")
        except errors.TogaiError as error:
            line.note(error, at=self.clock())
            self._not_done(delivery, error)
        else:
            self._reached()
            self._done(delivery, remote)

    def _call(self, delivery):
        body = bytes(delivery.body)
        if delivery.kind == Kind.CREATE_PROPOSAL:
            return self.gateway.create_proposal(account_id=delivery.account_id, body=body)
        if delivery.kind == Kind.CREATE_PURCHASE:
            return self.gateway.create_purchase(account_id=delivery.account_id, body=body)
        if delivery.kind == Kind.EDIT_ACCOUNT:
            return self.gateway.update_account(account_id=delivery.account_id, body=body)
        return self.gateway.update_proposal_status(proposal_id=delivery.decided_id, body=body)

    def _may_decide(self, delivery):
        """Read before deciding (R-24): True when Togai still waits for this decision."""
        try:
            checkpoint("read.before")
            remote = self.gateway.get_proposal(delivery.decided_id)
            checkpoint("read.after")
        except errors.TogaiError as error:
            line.note(error, at=self.clock())
            self._read_failed(delivery, error)
            return False
        self._reached()
        if remote.status == "PROPOSAL_ACTIVE":
            return True
        rest = "it was not sent again." if delivery.ambiguous_attempts else "nothing was sent."
        self._settle_decision(delivery, remote, how=f"{Delivery.THERE_ALREADY}; {rest}", nothing_left=True)
        return False

    def _read_failed(self, delivery, error):
        """The read before a decision brought nothing, and the decision itself was not sent."""
        if isinstance(error, errors.Missing):
            deliveries.ask_a_person(
                delivery,
                at=self.clock(),
                error=error,
                message="Togai no longer knows this proposal.",
                nothing_left=True,
            )
        else:
            unsent = error if isinstance(error, errors.NotSent) else _as_not_sent(error)
            deliveries.not_sent(delivery, unsent, at=self.clock(), retry_at=self._retry_at(delivery, error))

    def _settle_decision(self, delivery, remote, *, how, nothing_left=False):
        """
        Close a decision by what Togai's record says (R-24, R-25).

        :param nothing_left: whether this turn was to send it, and reading was enough
        """
        is_twin = delivery.kind == Kind.DECLINE_DUPLICATE
        # A twin that has expired harms nobody either.
        if remote.status in REACHED[delivery.direction] or (is_twin and remote.status == "PROPOSAL_EXPIRED"):
            deliveries.confirm(delivery, remote, at=self.clock(), how=how, nothing_left=nothing_left)
            return
        message = (
            f"We decided to {delivery.direction.lower()}, but at Togai the proposal is already "
            f"{remote.status.removeprefix('PROPOSAL_').replace('_', ' ').lower()}."
        )
        error = Conflict(message, reason="conflict", raw=remote.raw)
        deliveries.ask_a_person(
            delivery, at=self.clock(), message=message, error=error, nothing_left=nothing_left
        )
        if not is_twin:
            deliveries.follow(delivery, remote, at=self.clock())

    def _done(self, delivery, remote):
        if delivery.kind in Delivery.DECISIONS and remote.status not in REACHED[delivery.direction]:
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
            deliveries.doubt(
                delivery, error, at=now, look_at=now + _seconds(settings.TOGAI_EARLY_LOOK_SECONDS)
            )

    def _refused(self, delivery, error):
        """
        A refusal is final only while no earlier send is in doubt (R-17) and no decision may have crossed
        it.
        """
        message = error.remote_message or "Togai refused this without saying why."
        if delivery.ambiguous_attempts or delivery.kind in Delivery.DECISIONS:
            deliveries.doubt(
                delivery, error, at=self.clock(), look_at=self.clock(), adds_doubt=False, learned=message
            )
        else:
            deliveries.reject(delivery, error, at=self.clock(), message=message)

    def _missing(self, delivery, error):
        """404: find out whether the account is gone or the endpoint is (reliability.md 2.6)."""
        if delivery.kind in Delivery.DECISIONS:
            deliveries.doubt(delivery, error, at=self.clock(), look_at=self.clock(), adds_doubt=False)
            return
        try:
            self.gateway.get_account(delivery.account_id)
        except errors.Missing:
            error.remote_message = f"Togai does not know the account {delivery.account_id}."
            self._refused(delivery, error)
        except errors.TogaiError as later:
            line.note(later, at=self.clock())
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
        """When to try again: what Togai asked for, else doubling with jitter up to the longest wait."""
        if isinstance(error, errors.Busy) and error.retry_after:
            return self.clock() + timedelta(seconds=error.retry_after)
        doubling = settings.TOGAI_BUSY_PAUSE_SECONDS * 2 ** min(delivery.misses, 20)
        ceiling = min(settings.TOGAI_LONGEST_WAIT_SECONDS, doubling)
        # Full jitter spreads a crowd of workers; nothing here needs unpredictability.
        return self.clock() + timedelta(seconds=1 + random.uniform(0, ceiling))  # noqa: S311

    # --- looks ---

    def _look(self, delivery):
        checkpoint("look.before")
        try:
            if delivery.kind in Delivery.DECISIONS:
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
            line.note(error, at=self.clock())
            wait = timedelta(minutes=min(60, 2 ** min(delivery.looks, 6)))
            deliveries.look_again(
                delivery, at=self.clock(), look_at=self.clock() + wait, learned=str(error), error=error
            )
        else:
            self._reached()

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
        checkpoint("look.after")
        if matches:
            matches.sort(key=lambda row: row.created_at)
            how = f"Confirmed by a check at {self.clock():%H:%M:%S} UTC."
            twins = [row.id for row in matches[1:]]
            deliveries.confirm(delivery, get(matches[0].id), at=self.clock(), how=how, twins=twins)
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
        """Whether a remote record may stem from our sends, by Togai's clock (reliability.md 2.7, 2.8)."""
        slack = timedelta(minutes=2) + abs(self.gateway.skew or timedelta())
        return created_at is None or delivery.created_at - slack <= created_at <= self.clock() + slack

    def _look_at_decision(self, delivery):
        remote = self.gateway.get_proposal(delivery.decided_id)
        checkpoint("look.after")
        if remote.status == "PROPOSAL_ACTIVE":
            self._absent(delivery)
        else:
            self._settle_decision(
                delivery, remote, how=f"Confirmed by a check at {self.clock():%H:%M:%S} UTC."
            )

    def _look_at_account(self, delivery):
        remote = self.gateway.get_account(delivery.account_id)
        checkpoint("look.after")
        if remote.shows(bytes(delivery.body)):
            deliveries.confirm(delivery, remote, at=self.clock(), how="Confirmed by a check.")
        else:
            self._absent(delivery)

    def _absent(self, delivery):
        """Not there (yet): count it, and after two counted absences decide whether it may be sent again."""
        now = self.clock()
        # Each send has a quarantine of its own: the last one may be applied as late as the first.
        since = max(filter(None, (delivery.in_doubt_since, deliveries.last_sent_at(delivery))))
        quarantine_ends = since + _seconds(settings.TOGAI_QUARANTINE_SECONDS)
        if now < quarantine_ends:
            # A look may find before the quarantine ends, but not conclude.
            deliveries.look_again(delivery, at=now, look_at=quarantine_ends, learned="Not found yet.")
            return
        apart = _seconds(settings.TOGAI_ABSENCE_SECONDS)
        proven = delivery.last_absent_at and now - delivery.last_absent_at >= apart
        if not (delivery.looks_absent >= 1 and proven):
            look_at = now + _step(settings.TOGAI_LOOK_LADDER, delivery.looks_absent)
            deliveries.look_again(delivery, at=now, look_at=look_at, learned="Not found.", absent=True)
        elif delivery.last_error in deliveries.REFUSALS:
            self._refused_for_good(delivery)
        elif delivery.sends < deliveries.most_sends(delivery.kind) and (
            now - delivery.in_doubt_since < _seconds(settings.TOGAI_LONGEST_DOUBT_SECONDS)
        ):
            deliveries.send_again(delivery, at=now, learned="Two checks did not find it at Togai.")
        else:
            deliveries.ask_a_person(
                delivery,
                at=now,
                message="It was sent, but two checks do not find it at Togai. Compare by hand.",
            )

    def _refused_for_good(self, delivery):
        if delivery.kind in Delivery.DECISIONS:
            # What waits behind it, such as the next revision, must not go, and must not be lost either.
            message = f"Togai does not take this decision: {delivery.last_message}"
            deliveries.ask_a_person(delivery, at=self.clock(), message=message)
        else:
            deliveries.reject(delivery, None, at=self.clock(), message=delivery.last_message)

    # --- following ---

    def follow_due(self, *, most=50):
        """Look at the open remote records whose time has come. Returns how many were read."""
        due = RemoteSnapshot.objects.filter(next_poll_at__lte=self.clock()).order_by("next_poll_at")[:most]
        read = 0
        for snapshot in due:
            if self.enough():
                break
            self.follow(snapshot)
            read += 1
            # What people wait for goes first, and a line that is down is not tried record by record.
            if not self.line_is_up() or deliveries.due(self.clock()).exists():
                break
        return read

    def follow(self, snapshot):
        """Read one remote record again and tell its subject when anything about it moved."""
        now = self.clock()
        polls, changed, gone = snapshot.polls + 1, False, False
        try:
            checkpoint("follow.before")
            remote = self._read(snapshot)
            checkpoint("follow.after")
        except errors.Missing:
            snapshot.missing_since = snapshot.missing_since or now
            snapshot.last_error = "Togai does not find this record any more."
            gone = now - snapshot.missing_since >= _seconds(settings.TOGAI_MISSING_SECONDS)
        except errors.TogaiError as error:
            line.note(error, at=self.clock())
            snapshot.last_error = str(error)[:300]
        else:
            self._reached(self.follower)
            if remote.status != snapshot.status:
                polls = 0
            changed = remote.raw != snapshot.raw
            snapshot.status, snapshot.raw, snapshot.fetched_at = remote.status, remote.raw, now
            snapshot.missing_since, snapshot.last_error = None, ""
        snapshot.polls = polls
        snapshot.next_poll_at = _next_poll(snapshot, at=now)
        # What the subject shows and what is kept as last seen are one fact.
        with transaction.atomic():
            if changed:
                listener_for(snapshot.subject_type).seen(snapshot.subject_id, remote, at=now)
            if gone:
                listener_for(snapshot.subject_type).gone(snapshot.subject_id, at=now)
            snapshot.save()
        checkpoint("follow.committed")

    def _read(self, snapshot):
        """
        The record under both of its addresses: whether an approved proposal goes on as a purchase only is not
        documented, so the status that is not a proposal's wins (togai.md 5.1).
        """
        if snapshot.kind == Kind.CREATE_PURCHASE:
            return self.follower.get_purchase(snapshot.remote_id)
        try:
            proposal = self.follower.get_proposal(snapshot.remote_id)
        except errors.Missing:
            return self.follower.get_purchase(snapshot.remote_id)
        if proposal.status == "PROPOSAL_ACTIVE" or proposal.status in FINAL - {"SUCCESS"}:
            return proposal
        try:
            purchase = self.follower.get_purchase(snapshot.remote_id)
        except errors.TogaiError as error:
            if isinstance(error, (errors.NotSent, errors.SignInRefused)):
                raise
            return proposal
        return proposal if purchase.status.startswith("PROPOSAL_") else purchase


def _told(delivery):
    """The fields of a line of the log about a step: numbers, names and ids; nothing that anybody wrote."""
    attempt = delivery.attempt
    return {
        "delivery_id": str(delivery.pk),
        "kind": delivery.kind,
        "purpose": attempt.purpose,
        "attempt": attempt.number,
        "outcome": attempt.outcome,
        "state": delivery.state,
        "error": delivery.last_error,
        "http_status": attempt.http_status,
        "sends": delivery.sends,
        "looks": delivery.looks,
        "worker": attempt.worker,
        "release": attempt.release,
    }


def _next_poll(snapshot, *, at):
    """When a record is read again: soon while it may move, ever more rarely after its end, then never."""
    if snapshot.missing_since:
        pause = _seconds(settings.TOGAI_MISSING_SECONDS)
        return None if at - snapshot.missing_since >= pause else at + pause
    if snapshot.status not in FINAL or snapshot.last_error:
        return at + _step(settings.TOGAI_FOLLOW_LADDER, snapshot.polls)
    if snapshot.polls < settings.TOGAI_FOLLOW_NIGHTS:
        return at + NIGHTLY
    after_that = snapshot.polls - settings.TOGAI_FOLLOW_NIGHTS
    return at + WEEKLY if after_that < settings.TOGAI_FOLLOW_WEEKS else None


def _seconds(number):
    return timedelta(seconds=number)


def _step(ladder, number):
    """The wait after `number` of them; from the last step on it stays the same."""
    return _seconds(ladder[min(number, len(ladder) - 1)])


def _as_not_sent(error):
    """The same trouble, told of a change that itself never left."""
    return errors.NotSent(str(error), status=error.status, raw=error.raw, reason=error.reason)
