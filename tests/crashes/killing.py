"""Lives of real processes against a served Togai, on the database of the test (F-12)."""

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

from django.db import connection
from django.utils import timezone

from tests import factories as f
from tests.crashes import invariants
from tests.crashes.rig import picture
from togai import checkpoints
from togai.models import Delivery, RemoteSnapshot

ROOT = Path(__file__).parents[2]
Kind, State = Delivery.Kind, Delivery.State

# When a process comes by: at once, for the early look, after claim and quarantine, for the second absence.
VISITS = (0, 60, 1200, 400, 7200, 3600, 3600, 90000)


class AheadClock:
    """The time of day, moved ahead as a test wants."""

    def __init__(self):
        self.offset = 0

    def __call__(self):
        return timezone.now() + timedelta(seconds=self.offset)


class Place:
    """People, drafts and processes around one database that other processes can open."""

    def __init__(self, togai, clock, folder):
        self.togai, self.clock = togai, clock
        self.file = Path(folder) / "killed.sqlite3"
        self.violations, self.read = [], {}
        self.rep, self.finance = f.rep(), f.finance()
        self.plan = f.PricePlanFactory()
        self.account = f.AccountFactory(owner=self.rep)

    def draft(self):
        """A proposal that a process may submit."""
        return f.draft(by=self.rep, at=timezone.now(), account=self.account, price_plan=self.plan)

    def purchase(self):
        """A purchase that a process may release."""
        return f.submitted_purchase(
            by=self.rep, at=timezone.now(), account=self.account, price_plan=self.plan
        )

    # --- one database for all: PostgreSQL is, SQLite is copied out of the memory of the test and back ---

    def share(self):
        if connection.vendor == "sqlite":
            with closing(sqlite3.connect(self.file)) as file:
                connection.connection.backup(file)

    def fetch(self):
        if connection.vendor == "sqlite":
            with closing(sqlite3.connect(self.file)) as file:
                file.backup(connection.connection)

    def _url(self):
        if connection.vendor == "sqlite":
            return f"sqlite:///{self.file}"
        found = connection.settings_dict
        return "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**found)

    @contextmanager
    def processes(self):
        """Lets `live` work inside the block."""
        self.share()
        env = os.environ | {
            "DATABASE_URL": self._url(),
            "TOGAI_BASE_URL": self.togai.url,
            "TOGAI_REQUESTS_PER_SECOND": "1000",
            "TOGAI_FOLLOWS_PER_SECOND": "1000",
            "LOG_LEVEL": "CRITICAL",
            "ENV_FILE": "/dev/null",
        }
        command = [sys.executable, "-m", "tests.crashes.victim"]
        with subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as mother:
            self.mother = mother
            try:
                yield
            finally:
                mother.stdin.close()
                mother.wait(timeout=30)

    def live(self, *verbs, name="victim", **death):
        """
        One process does these verbs. Returns whether it was killed.

        :param death: `kill` and `nth`, or `cut`; see `tests.crashes.victim`
        """
        order = {"do": verbs, "offset": self.clock.offset, "name": name} | death
        self.mother.stdin.write(json.dumps(order) + "\n")
        self.mother.stdin.flush()
        end = json.loads(self.mother.stdout.readline())
        self.fetch()
        if end["code"] or end["signal"] not in (0, 9):
            raise AssertionError(f"A process ended with {end} on {order}.")
        return end["signal"] == 9

    def rest(self, row):
        """Fresh processes come by until the row is closed. Returns it."""
        for visit in VISITS:
            self.live(["work"], name="fresh")
            row.refresh_from_db()
            if row.state in invariants.CLOSED:
                break
            self.clock.offset += visit
        return row

    def check(self):
        invariants.check(self)


def wish(place, kind):
    """What a process is to want, and how to find its row: (verbs before, verb, row)."""
    if kind == "purchase":
        deal = place.purchase()
        verb, wanted = ["release", deal.pk, place.finance.pk], Kind.CREATE_PURCHASE
    else:
        deal = place.draft()
        verb, wanted = ["submit", deal.pk, place.rep.pk], Kind.CREATE_PROPOSAL
    before = []
    if kind in ("APPROVE", "DECLINE"):
        before = [verb, ["work"]]
        verb, wanted = ["decide", deal.pk, place.finance.pk, kind], Kind.DECIDE
    place.share()
    return before, verb, lambda: Delivery.objects.of(deal).get(kind=wanted)


def killed_once(place, kind, answer, **death):
    """
    One wish, whose process is killed there when it comes by; fresh ones go on.

    :returns: its closed row, or None when nobody came by
    """
    # Nobody follows what an earlier wish left behind.
    RemoteSnapshot.objects.update(next_poll_at=None)
    before, verb, row = wish(place, kind)
    place.togai.next_answers = []
    if before:
        place.live(*before)
        place.clock.offset += 3600
    place.togai.next_answers = [answer]
    was_killed = place.live(verb, ["work"], **death)
    for visit in VISITS[1:4]:
        if was_killed:
            break
        place.clock.offset += visit
        was_killed = place.live(["work"], **death)
    place.togai.next_answers = []
    place.clock.offset += 180
    closed = place.rest(row())
    place.check()
    return closed if was_killed else None


def killed_at_random(place, seed):
    """
    One life that is drawn from this seed: what is wanted, what Togai answers, where the process dies.

    :returns: what happened, counted
    :raises AssertionError: with the seed, when an invariant does not hold or the row does not close
    """
    rng = Random(f"kill {seed}")
    kind = rng.choice(("create", "create", "APPROVE", "DECLINE", "purchase"))
    answer = rng.choice(("ok", "ok", "lost", "dropped", "applied 500", 500, 400, 409, "garbage", "late"))
    if rng.random() < 0.2:
        death = {"cut": rng.choice((0, 0.5, 1))}
    else:
        death = {"kill": rng.choice(checkpoints.NAMES), "nth": rng.choice((1, 1, 2))}
    place.account = f.AccountFactory(owner=place.rep)
    try:
        closed = killed_once(place, kind, answer, **death)
    except AssertionError as failure:
        raise AssertionError(f"SEED={seed}: {kind}, {answer}, {death}: {failure}\n{picture()}") from failure
    if closed is None:
        return Counter({"nobody came by": 1})
    if closed.state not in invariants.CLOSED:
        raise AssertionError(f"SEED={seed}: {kind}, {answer}, {death}: {closed} is still {closed.state}")
    return Counter({"killed": 1, closed.state: 1})
