"""What the background cluster runs; each task only does what the rows ask for (R-08)."""

import time
from datetime import timedelta

from django.utils import timezone
from django_q.models import OrmQ

from audit.context import coming_from
from togai import deliveries, restore
from togai.models import Link, RemoteSnapshot
from togai.worker import Worker

# How long one wake-up keeps following what is about to become due, so that a person watching a page sees it
# move.
LINGER_SECONDS = 20
# After so long a turn begins nothing new: a step that is cut off leaves a call in doubt.
TURN_SECONDS = 120
# How many queued messages one turn looks through.
MOST_MESSAGES = 2000
NAME = "togai.tasks.work"
# How far back a night looks for twins.
SWEPT = timedelta(days=7)

_stopping = False


def stop_soon(*_):
    """Ask what runs in this process to end early; fit for a signal, so it only leaves a mark."""
    global _stopping  # noqa: PLW0603  a signal's handler has nowhere else to write
    _stopping = True


def work(*, sleep=time.sleep):
    """Do what is due, and stay a little for what is due in a moment."""
    began = time.monotonic()
    with coming_from("worker"):
        _drop_equal_wake_ups()
        worker = Worker(enough=lambda: _stopping or time.monotonic() - began > TURN_SECONDS)
        steps = worker.work()
        ends = time.monotonic() + LINGER_SECONDS
        while not worker.enough() and time.monotonic() < ends and _soon():
            sleep(1)
            steps += worker.work()
        if not _stopping and worker.enough():
            # The rest has a turn of its own, so that none comes near the time that the cluster gives a task.
            deliveries.wake()
        return steps


def _drop_equal_wake_ups():
    """
    What was asked for before we began is what we are about to do: after a bulk action, once is enough.

    A worker that dies now leaves the rows as they are, and the sweep finds them (R-08).
    """
    for message in OrmQ.objects.filter(lock__lte=timezone.now()).order_by("pk")[:MOST_MESSAGES]:
        if message.func() == NAME:
            message.delete()


def sweep():
    """Once a night: whether Togai made twins of what was sent twice in the last days (2.11: within a day)."""
    with coming_from("worker"):
        worker, now = Worker(), timezone.now()
        if not worker.line_is_up():
            return 0
        return len(restore.sweep_duplicates(worker.gateway, since=now - SWEPT, at=now))


def _soon():
    now = timezone.now()
    link = Link.load()
    if link.unreachable_since and (link.closed_until is None or link.closed_until > now):
        return False
    horizon = now + timedelta(seconds=6)
    return (
        deliveries.due(horizon).exists() or RemoteSnapshot.objects.filter(next_poll_at__lte=horizon).exists()
    )
