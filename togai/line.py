"""
The line to Togai as all workers share it: one bucket of calls, one circuit, one pause (reliability.md 2.10).

Everything is in the one row of `Link`, so any number of processes on any number of machines agree, and a
restart forgets nothing. Times come from the caller.
"""

import logging
import time
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from togai import errors
from togai.models import Delivery, Link

log = logging.getLogger("togai")

# Clocks this many seconds apart count as equal, and farther than that is not told apart.
SAME_CLOCK, MOST_SKEW = 5, 1_000_000


def reached(*, at, skew=None):
    """
    Togai answered: close the outage, if there was one, and let what waited go at once.

    :param skew: how far Togai's clock is ahead of ours, where that was measured
    """
    # Nearly every call finds all well: then one read, as an UPDATE waits for its turn to write even when it
    # changes nothing.
    link = Link.load()
    if skew is not None:
        seconds = round(max(-MOST_SKEW, min(MOST_SKEW, skew.total_seconds())))
        if abs(link.skew_seconds - seconds) > SAME_CLOCK:
            Link.objects.filter(pk=1).update(skew_seconds=seconds)
    if link.unreachable_since is None and link.closed_until is None:
        return
    outage = Link.objects.filter(pk=1).exclude(unreachable_since=None, closed_until=None)
    # Of several who hear at once that it is over, one says so.
    if outage.update(
        unreachable_since=None, failures=0, closed_until=None, probes=0, why="", last_reached_at=at
    ):
        log.info("line.opened")
        Delivery.objects.filter(state=Delivery.State.NOT_SENT, next_at__gt=at, misses__gt=0).update(
            next_at=at
        )


def failed(*, at, why):
    """
    A call brought no usable answer: note it for the banner, and open the circuit when that was one too many.

    An open circuit is tried again by one cheap read after `TOGAI_PROBE_SECONDS`, then after twice as long
    each time, up to `TOGAI_LONGEST_PROBE_SECONDS`; meanwhile no row is charged.
    """
    with transaction.atomic():
        link = _locked()
        link.unreachable_since = link.unreachable_since or at
        link.why = why[:300]
        link.failures += 1
        _start_window(link, at)
        link.recent_failures += 1
        half = (
            link.recent_calls >= settings.TOGAI_ENOUGH_CALLS and link.recent_failures * 2 >= link.recent_calls
        )
        if link.failures >= settings.TOGAI_FAILURES_IN_A_ROW or half:
            wait = min(
                settings.TOGAI_PROBE_SECONDS * 2 ** min(link.probes, 20), settings.TOGAI_LONGEST_PROBE_SECONDS
            )
            link.closed_until = at + timedelta(seconds=wait)
            link.probes += 1
            link.recent_since = None
            log.warning("line.closed", extra={"why": why, "seconds": wait})
        link.save()


def note(error, *, at):
    """Keep what a failed call of a worker says about the line: who else should not call, and since when."""
    if heed(error, at=at):
        return
    if error.status and error.status < 500:
        # It answered, whatever it said.
        reached(at=at)
    elif isinstance(error, errors.NotSent) and error.reason != "local":
        failed(at=at, why="Togai cannot be reached.")
    elif isinstance(error, errors.Unconfirmed) and error.reason not in ("walk", "rows"):
        failed(at=at, why="Togai does not answer as it should.")


def heed(error, *, at):
    """
    Keep everybody from calling where a call does harm (reliability.md 2.6): after a refused token, when Togai
    asks us to slow down, and when its address sends us elsewhere.

    :returns: why nobody calls now, in words; "" after an error that is not of that sort
    """
    if isinstance(error, errors.SignInRefused):
        seconds = settings.TOGAI_AUTH_PAUSE_SECONDS
        why = "Togai refuses our token. An administrator has to renew it."
    elif isinstance(error, errors.Busy):
        seconds = error.retry_after or settings.TOGAI_BUSY_PAUSE_SECONDS
        why = "Togai asks us to slow down."
    elif error.status and 300 <= error.status < 400:
        seconds = settings.TOGAI_LONGEST_PROBE_SECONDS
        why = "Togai's address sends us elsewhere. An administrator has to check it."
    else:
        return ""
    close(at=at, until=at + timedelta(seconds=seconds), why=why)
    return why


def close(*, at, until, why):
    """Nobody calls before `until`."""
    with transaction.atomic():
        link = _locked()
        link.unreachable_since = link.unreachable_since or at
        link.failures += 1
        link.why = why[:300]
        link.closed_until = max(until, link.closed_until or until)
        link.save()
        log.warning("line.closed", extra={"why": why, "seconds": round((until - at).total_seconds())})


def _locked():
    Link.objects.get_or_create(pk=1)
    return Link.objects.select_for_update().get(pk=1)


def _start_window(link, at):
    # A clock that was set back must not freeze the window.
    window = timedelta(seconds=settings.TOGAI_WINDOW_SECONDS)
    if link.recent_since is None or not timedelta(0) <= at - link.recent_since <= window:
        link.recent_since, link.recent_calls, link.recent_failures = at, 0, 0


def reserve(*, at):
    """
    Take the next free moment of the bucket that all workers share (R-19, T6).

    :returns: the moment at which the call may leave, never before `at`
    """
    while True:
        link = _saved()
        _start_window(link, at)
        recent = {
            "recent_since": link.recent_since,
            "recent_calls": link.recent_calls + 1,
            "recent_failures": link.recent_failures,
        }
        moment = _take(link, "next_call_at", settings.TOGAI_REQUESTS_PER_SECOND, at=at, **recent)
        if moment:
            return moment


def reserve_to_follow(*, at):
    """
    The same for a call that only follows what is sent: what people wait for has most of the bucket
    (reliability.md 2.10). It takes its moment of the bucket itself too.
    """
    while True:
        moment = _take(_saved(), "next_follow_at", settings.TOGAI_FOLLOWS_PER_SECOND, at=at)
        if moment:
            return moment


def _saved():
    link = Link.load()
    if link._state.adding:
        link, _ = Link.objects.get_or_create(pk=1)
    return link


def _take(link, field, per_second, *, at, **changes):
    """The moment that was free, or None when somebody else took it first."""
    before = getattr(link, field)
    # A moment far ahead was written by a clock that is wrong; no bucket ever runs an hour ahead.
    moment = max(at, before) if before and before - at < timedelta(hours=1) else at
    changes[field] = moment + timedelta(seconds=1 / per_second)
    return moment if Link.objects.filter(pk=1, **{field: before}).update(**changes) else None


def refuse_inside_a_transaction():
    """
    Stand before every call to Togai (R-02).

    :raises RuntimeError: a transaction is open
    """
    # The block that a test case wraps around a whole test is not ours, as Django's own `durable` sees it.
    if any(not block._from_testcase for block in connection.atomic_blocks):
        raise RuntimeError("No call to Togai inside a database transaction.")


class Pace:
    """
    Stands before every call of a gateway: no transaction is open (R-02), and the bucket has room.

    :param follows: whether the calls only follow what is sent
    """

    def __init__(self, *, clock=timezone.now, sleep=time.sleep, follows=False):
        self.clock, self.sleep, self.follows = clock, sleep, follows

    def __call__(self):
        refuse_inside_a_transaction()
        if self.follows:
            self._wait_for(reserve_to_follow)
        self._wait_for(reserve)

    def _wait_for(self, reserved):
        at = self.clock()
        wait = (reserved(at=at) - at).total_seconds()
        if wait > 0:
            self.sleep(wait)


def pause(*, by, at, why):
    """Forbid all sending until `resume`; looks and reads go on (G-52)."""
    Link.objects.get_or_create(pk=1)
    Link.objects.filter(pk=1).update(paused_at=at, paused_by=by, paused_because=why[:300])
    _tell("sending.paused", user_id=getattr(by, "pk", None))


def resume():
    """Allow sending again."""
    Link.objects.filter(pk=1).update(paused_at=None, paused_by=None, paused_because="")
    _tell("sending.resumed")


def look_only(*, at, why):
    """After a restore: look and read, and send nothing until a person has signed (R-21)."""
    Link.objects.get_or_create(pk=1)
    Link.objects.filter(pk=1).update(look_only_since=at, look_only_because=why[:300])
    _tell("look_only.began")


def sign():
    """End look-only."""
    Link.objects.filter(pk=1).update(look_only_since=None, look_only_because="")
    _tell("look_only.signed")


def _tell(event, **fields):
    """Log what a person did, once it is true; their reason stays on record and out of the log."""
    transaction.on_commit(lambda: log.warning(event, extra=fields))
