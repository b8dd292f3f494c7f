"""
``manage.py qcluster``: the library's cluster, made to survive the death of any of its processes.

Two things the library leaves open. A process that is killed while it waits for a task keeps the lock of the
shared queue for ever, and its successor waits for that lock: here any sudden death takes the whole cluster
down and a new one starts, which costs nothing because messages are only wake-ups (R-08). And a supervisor
that signals the whole process group kills a worker in the middle of a call to Togai: here only the first
process follows the signal, and the others finish what they are doing.
"""

import contextlib
import fcntl
import multiprocessing
import os
import signal
import time

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection
from django_q import cluster
from django_q.management.commands.qcluster import Command as LibraryCommand
from django_q.signals import post_spawn

from togai import tasks
from togai.models import Delivery
from togai.orphans import die_with_the_parent

PAUSE_BEFORE_RESTART = 1


class Sentinel(cluster.Sentinel):
    """The process that guards workers, pusher and monitor."""

    def start(self):
        # The first process tells us when to stop; see the module's docstring.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        super().start()

    def reincarnate(self, process):
        """Replace a process that left in order; when it died or hangs, give up the whole cluster."""
        if process.exitcode or process.is_alive():
            for child in multiprocessing.active_children():
                child.kill()
            os._exit(1)
        super().reincarnate(process)

    def stop(self):
        for process in self.pool:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        super().stop()


class Cluster(cluster.Cluster):
    """The first process, which starts the sentinel and follows signals."""

    asked_to_stop = False

    def sig_handler(self, signum, frame):
        # A second signal, in the middle of the first one's work, would wait for a lock that we hold.
        if not self.asked_to_stop:
            self.asked_to_stop = True
            super().sig_handler(signum, frame)


class Command(LibraryCommand):
    help = "Run the worker: deliver to Togai, look, follow, expire."

    def handle(self, *args, run_once=False, **options):
        if options.get("cluster_name"):
            os.environ["Q_CLUSTER_NAME"] = options["cluster_name"]
        # The library names its class where it could ask for one.
        cluster.Sentinel = Sentinel
        post_spawn.connect(_stop_on_request, dispatch_uid="stop on request")
        os.register_at_fork(after_in_child=die_with_the_parent)
        _refuse_a_copy()
        with _alone():
            while True:
                running = Cluster()
                running.start()
                if run_once:
                    running.stop()
                    return
                running.sentinel.join()
                if not running.asked_to_stop:
                    self.stderr.write("A background process died; starting all of them again.")
                    time.sleep(PAUSE_BEFORE_RESTART)
                if running.asked_to_stop:
                    return


def _refuse_a_copy():
    """
    A copy of another place's data must not send (R-15): every key says where it was made.

    :raises CommandError: the newest delivery, or one that is still open, was made elsewhere
    """
    ours = f"bo1-{settings.TOGAI_ENVIRONMENT}-"
    newest = Delivery.objects.order_by("-created_at", "-pk").values_list("idempotency_key", flat=True)[:1]
    still_open = Delivery.objects.open().values_list("idempotency_key", flat=True)
    foreign = next((key for key in [*newest, *still_open.iterator()] if not key.startswith(ours)), None)
    if foreign:
        theirs = foreign.removeprefix("bo1-").rpartition("-")[0]
        raise CommandError(
            f"This database belongs to “{theirs}” and this worker to “{settings.TOGAI_ENVIRONMENT}”: a copy"
            f" sends nothing. Set TOGAI_ENVIRONMENT={theirs} if it is no copy."
        )


@contextlib.contextmanager
def _alone():
    """
    One cluster with one worker on SQLite (R-12); any number on PostgreSQL.

    :raises CommandError: there would be a second one
    """
    if connection.vendor != "sqlite":
        yield
        return
    if settings.Q_CLUSTER["workers"] != 1:
        raise CommandError("SQLite takes one worker: leave WORKERS unset, or use PostgreSQL.")
    with open(f"{connection.settings_dict['NAME']}.worker", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                "Another worker runs on this SQLite database, and it takes only one."
            ) from None
        yield


def _stop_on_request(**kwargs):
    """In a worker: a signal asks for an early end and interrupts nothing."""
    signal.signal(signal.SIGTERM, tasks.stop_soon)
