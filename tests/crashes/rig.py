"""
The rig of reliability.md 3.1 around the real service code: people who decide, workers that die, time that
passes.

Everything a run draws comes from one seed, so that a failure is replayed by it (F-03).
"""

import random
import uuid
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from random import Random

from django.db import connection, transaction
from django.db.models import Q
from django.test import TestCase

from accounts import services as accounts
from proposals import services as proposals
from proposals.models import Proposal
from purchases import services as purchases
from tests import factories as f
from tests.crashes import invariants
from togai import checkpoints, deliveries
from togai import services as operators
from togai.models import Delivery, DeliveryAttempt, Link, RemoteSnapshot
from togai.worker import Worker

Kind, State = Delivery.Kind, Delivery.State

# Faults have stopped: how much time may pass until every row is closed (I2).
LONGEST = timedelta(hours=26)


class Killed(BaseException):
    """The process is gone; no handler of the product may swallow it."""


@contextmanager
def listening(listener):
    """Have every checkpoint told to `listener` inside the block."""
    checkpoints.listen(listener)
    try:
        yield
    finally:
        checkpoints.listen(None)


class Death:
    """Kills whoever passes a checkpoint for the n-th time; `happened` says whether that came to pass."""

    def __init__(self, name, nth=1):
        self.name, self.left, self.happened = name, nth, False

    def __call__(self, name):
        if name == self.name and not self.happened:
            self.left -= 1
            if self.left <= 0:
                self.happened = True
                raise Killed(name)


@contextmanager
def rolled_back():
    """
    One run of many in one test: everything written inside is gone afterwards.

    The block does not count as a transaction of the product's, as a test's own does not.
    """
    atomic = transaction.atomic()
    atomic._from_testcase = True
    atomic.__enter__()
    try:
        yield
    finally:
        transaction.set_rollback(True)
        atomic.__exit__(None, None, None)


@contextmanager
def drawn_from(seed):
    """Every random choice of the product, ids and waits alike, comes from this seed inside the block."""
    ids = Random(f"ids {seed}")
    real, state = uuid.uuid4, random.getstate()
    fields = [Delivery._meta.get_field("id")]
    random.seed(seed)
    uuid.uuid4 = lambda: uuid.UUID(int=ids.getrandbits(128), version=4)
    for field in fields:
        field.__dict__["_get_default"] = uuid.uuid4
    try:
        yield
    finally:
        uuid.uuid4 = real
        random.setstate(state)
        for field in fields:
            field.__dict__.pop("_get_default", None)


class Desk:
    """A sales rep, somebody of finance, an administrator, an account, and a Togai that can be faulty."""

    def __init__(self, togai, clock):
        self.togai, self.clock = togai, clock
        self.rep, self.finance, self.administrator = f.rep(), f.finance(), f.administrator()
        self.account = f.AccountFactory(owner=self.rep, togai_id="account-of-crashes")
        self.plan = f.PricePlanFactory()
        self.began = clock()
        self.violations = []
        # What who decided had read: the content hash, by proposal.
        self.read = {}

    # --- processes ---

    def worker(self, name="first"):
        """A fresh worker process: nothing in memory but what every start brings."""
        gateway = self.togai.gateway(before_call=self._before_call)
        return Worker(gateway, clock=self.clock, monotonic=self.clock.monotonic, name=name)

    def _before_call(self):
        if any(not block._from_testcase for block in connection.atomic_blocks):
            self.violations.append("I12: a call to Togai left inside a transaction")

    def door(self, call):
        """
        Run a verb as a web process does, wake-ups after the commit and all. What it raises is raised.
        """
        # A test's own transaction never commits: what the product does after its commit is done by hand.
        with TestCase.captureOnCommitCallbacks(execute=True):
            return call()

    def dies(self, call, *, at, nth=1):
        """
        Whether a process that does `call` died at this checkpoint.

        What a dead process leaves behind is what it had committed: blocks that were open are rolled back.
        """
        death = Death(at, nth)
        try:
            with listening(death):
                call()
        except Killed:
            pass
        return death.happened

    # --- verbs ---

    def submit(self, **fields):
        """A proposal, submitted."""
        given = {"account": self.account, "price_plan": self.plan} | fields
        draft = f.draft(by=self.rep, at=self.clock(), **given)
        self.door(partial(proposals.submit, proposal_id=draft.pk, by=self.rep, at=self.clock()))
        return draft

    def decide(self, proposal, direction, *, read=None):
        """Finance says yes or no to what it has read: what is there now, or `read`, its content hash."""
        proposal.refresh_from_db()
        words = {"proposal_id": proposal.pk, "by": self.finance, "at": self.clock()}
        words["content_hash"] = self.read[proposal.pk] = read or proposal.content_hash
        if direction == "APPROVE":
            return self.door(partial(proposals.approve, **words))
        words |= {"reason_code": "other", "reason": "Too many calls at this price."}
        return self.door(partial(proposals.decline, **words))

    def ask_for_release(self, **fields):
        """A purchase that waits for finance."""
        given = {"account": self.account, "price_plan": self.plan} | fields
        return f.submitted_purchase(by=self.rep, at=self.clock(), **given)

    def release(self, purchase):
        words = {"purchase_id": purchase.pk, "by": self.finance, "at": self.clock()}
        return self.door(partial(purchases.release, content_hash=purchase.content_hash, **words))

    def edit_account(self, days=45):
        self.account.refresh_from_db()
        return self.door(
            partial(
                accounts.edit,
                account_id=self.account.pk,
                by=self.administrator,
                at=self.clock(),
                fields={"net_term_days": days},
                version=self.account.version,
            )
        )

    # --- time ---

    def check(self, *, at_rest=False):
        """Raise at the first invariant that does not hold now."""
        invariants.check(self, at_rest=at_rest)

    def calm(self, name="fresh"):
        """
        Faults have stopped: a fresh worker goes on, an administrator releases what is held, until all rests.
        """
        togai = self.togai
        togai.next_answers, togai.next_reads, togai.reads_fail_with = [], [], None
        worker = self.worker(name)
        ends = self.clock() + LONGEST
        while True:
            for held in Delivery.objects.filter(state=State.HELD):
                if not operators.why_it_stays(held, at=self.clock()):
                    operators.release(delivery_id=held.pk, by=self.administrator, at=self.clock())
            worker.work()
            self.check()
            upcoming = self._next_event()
            if upcoming is None:
                break
            if upcoming > ends:
                self.check(at_rest=True)
            self.clock.at = upcoming
        # What was to be applied late has its time, and a last look at what is followed.
        self.clock.forward(hours=1)
        togai.catch_up()
        worker.work()
        self.check(at_rest=True)

    def _next_event(self):
        """When the next thing happens to an open row; None when none is open, or only what stays held."""
        now = self.clock()
        # What waits behind a row that is open or that a person has to settle has no moment of its own.
        moving = Delivery.objects.open().filter(~Q(state=State.NOT_SENT) | deliveries.MAY_GO)
        resting = [
            held.pk
            for held in Delivery.objects.filter(state=State.HELD).exclude(last_error=Delivery.RESTORED)
            if operators.why_it_stays(held, at=now)
        ]
        moving = moving.exclude(pk__in=resting)
        moments = [
            claim_until if claim_until and state != State.NOT_SENT else next_at
            for state, next_at, claim_until in moving.values_list("state", "next_at", "claim_until")
        ]
        if not moments:
            return None
        link = Link.load()
        soonest = max(min(moments), now) + timedelta(seconds=1)
        closed = link.closed_until
        # An open line lets rows wait a little longer than they say.
        return max(soonest, closed + timedelta(seconds=1)) if closed else soonest


class Story:
    """
    One kind of change, from the moment somebody wants it to the moment it is queued.

    :param ready: makes what must be there before, returns the subject
    :param want: the verb that queues the change
    """

    def __init__(self, name, kind, ready, want):
        self.name, self.kind, self.ready, self.want = name, kind, ready, want

    def __repr__(self):
        return self.name

    def row(self, subject):
        """The delivery of this change; None while there is none."""
        return Delivery.objects.of(subject).filter(kind=self.kind).last()


def _submitted_and_there(desk):
    proposal = desk.submit()
    desk.worker("earlier").work()
    desk.clock.forward(hours=1)
    return proposal


def _draft(desk):
    return f.draft(by=desk.rep, at=desk.clock(), account=desk.account, price_plan=desk.plan)


def _submit(desk, draft):
    desk.door(partial(proposals.submit, proposal_id=draft.pk, by=desk.rep, at=desk.clock()))


STORIES = {
    story.name: story
    for story in (
        Story("create", Kind.CREATE_PROPOSAL, _draft, _submit),
        Story("approve", Kind.DECIDE, _submitted_and_there, lambda desk, deal: desk.decide(deal, "APPROVE")),
        Story("decline", Kind.DECIDE, _submitted_and_there, lambda desk, deal: desk.decide(deal, "DECLINE")),
        Story("purchase", Kind.CREATE_PURCHASE, Desk.ask_for_release, Desk.release),
        Story(
            "edit", Kind.EDIT_ACCOUNT, lambda desk: desk.account, lambda desk, account: desk.edit_account()
        ),
    )
}


def picture():
    """Everything about deliveries in a few lines, for a failure that a person reads."""
    lines = [
        f"{row.kind} {row.pk} {row.state} sends={row.sends} doubt={row.ambiguous_attempts} "
        f"looks={row.looks}/{row.looks_absent} remote={row.remote_id!r} {row.last_error} {row.last_message}"
        for row in Delivery.objects.order_by("created_at", "pk")
    ]
    lines += [
        f"  {attempt.started_at:%d %H:%M:%S} {attempt.worker} {attempt.purpose} {attempt.outcome} "
        f"{attempt.learned}"
        for attempt in DeliveryAttempt.objects.order_by("pk")
    ]
    lines += [f"  seen {seen.remote_id} {seen.status}" for seen in RemoteSnapshot.objects.order_by("pk")]
    lines += [f"  {deal} {deal.status} {deal.togai_status}" for deal in Proposal.objects.order_by("pk")]
    return "\n".join(lines)
