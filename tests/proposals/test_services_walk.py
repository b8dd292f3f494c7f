"""
Any steps in any order by anybody: no proposal and no delivery ever reaches a state that nobody defined.

Two walks: ten thousand steps of the verbs alone, and a machine in which workers, Togai, restores and the time
take part (F-15). A merge runs a small machine, always the same one; `WALKS=2000x50 python -m pytest
tests/proposals/test_services_walk.py` runs the nightly one, examples x steps, and keeps what it found.
"""

import os
import random
from collections import Counter, defaultdict
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from itertools import count

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from audit import bulk
from audit import services as audit
from audit.refusals import Invalid, NotAllowed, Refusal, Stale, WrongStatus
from audit.roles import Role
from proposals import services
from proposals.bulk import SetPaymentMode
from proposals.models import ApprovalStep, Decision, Proposal
from purchases import drafts
from purchases.terms import default_validity
from tests.crashes.rig import Death, Desk, Killed, drawn_from, listening, rolled_back
from tests.factories import NOON, AccountFactory, PricePlanFactory, draft, person
from tests.togai.fake_togai import Clock, FakeTogai
from togai import checkpoints, deliveries, line, restore
from togai.models import Delivery, DeliveryAttempt

STEPS = 10_000
# A deal that has gone this far is left, so that chains stay short and drafts stay frequent.
LONGEST_CHAIN = 6
WHY = {"reason_code": "other", "reason": "Because the dice said so."}

Status, State, Kind = Proposal.Status, Delivery.State, Delivery.Kind


@pytest.mark.one_database
@pytest.mark.django_db
def test_a_random_walk_never_leaves_the_table_of_moves():
    """G-34: 10,000 steps; each is a move of the table or changes nothing, whatever was tried."""
    dice = random.Random(20300110)
    people = {
        "rep": person(Role.REP),
        "other rep": person(Role.REP),
        "finance": person(Role.FINANCE),
        "cfo": person(Role.CFO),
        "admin": person(Role.ADMINISTRATOR),
        "auditor": person(Role.AUDITOR),
    }
    everybody = [*people.values(), people["finance"], people["rep"]]
    given = {"account": AccountFactory(owner=people["rep"]), "price_plan": PricePlanFactory()}
    seen, refused, moves = Counter(), Counter(), Counter()
    at, proposal = NOON, draft(by=people["rep"], **given)
    for _ in range(STEPS):
        at += timedelta(minutes=dice.randrange(1, 2000))
        verb = dice.choice(list(WALK))
        before, chain = proposal.status, proposal.number
        try:
            proposal = WALK[verb](proposal, dice.choice(everybody), at, dice) or proposal
        except Refusal:
            refused[verb] += 1
        proposal.refresh_from_db()
        after = proposal.status
        assert after in Status.values
        if verb != "revise" or after != Status.DRAFT:
            assert after == before or after in Proposal.MOVES[before], f"{before} became {after} by {verb}"
            moves[before, after] += before != after
        waiting = proposal.steps.filter(state=ApprovalStep.State.WAITING).exists()
        assert waiting == (after == Status.SUBMITTED)
        assert (proposal.decided_by is not None) == (
            after in (Status.APPROVED, Status.DECLINED, Status.CHANGES_REQUESTED)
        )
        seen[after] += 1
        if not proposal.is_live or after == Status.APPROVED or proposal.revision > LONGEST_CHAIN:
            proposal = draft(by=people["rep"], at=at, **given)
        assert Proposal.objects.live().filter(number=chain).count() == 1
    # The walk was worth its name: every state was seen, and every move of the table made.
    assert set(seen) == set(Status.values)
    for start, ends in Proposal.MOVES.items():
        for end in ends:
            assert moves[start, end], f"No step went from {start} to {end}."
    assert sum(refused.values()) > STEPS / 4
    decisions = Delivery.objects.filter(kind=Delivery.Kind.DECIDE)
    assert decisions.count() == decisions.values("subject_id").distinct().count()
    assert audit.verify() is None


def _edit(proposal, by, at, dice):
    version = proposal.version - dice.choice([0, 0, 0, 1])
    services.edit(
        proposal_id=proposal.pk,
        by=by,
        at=at,
        version=version,
        fields={"quantity": dice.randrange(1, 9), "valid_until": None},
    )


def _submit(proposal, by, at, dice):
    services.submit(proposal_id=proposal.pk, by=by, at=at)


def _hash(proposal, dice):
    return dice.choice([proposal.content_hash] * 5 + ["stale"])


def _approve(proposal, by, at, dice):
    services.approve(proposal_id=proposal.pk, by=by, at=at, content_hash=_hash(proposal, dice))


def _decline(proposal, by, at, dice):
    services.decline(proposal_id=proposal.pk, by=by, at=at, content_hash=_hash(proposal, dice), **WHY)


def _request_changes(proposal, by, at, dice):
    services.request_changes(proposal_id=proposal.pk, by=by, at=at, content_hash=_hash(proposal, dice), **WHY)


def _recall(proposal, by, at, dice):
    services.recall(proposal_id=proposal.pk, by=by, at=at, **WHY)


def _revise(proposal, by, at, dice):
    return services.revise(proposal_id=proposal.pk, by=by, at=at)


def _expire(proposal, by, at, dice):
    services.expire(proposal_id=proposal.pk, at=at + timedelta(days=dice.choice([0, 0, 60])))


def _togai_confirms(proposal, by, at, dice):
    _open(proposal).update(state=State.CONFIRMED, sends=1)


def _togai_refuses(proposal, by, at, dice):
    creates = _open(proposal).filter(kind=Delivery.Kind.CREATE_PROPOSAL)
    if creates.update(state=State.REJECTED, sends=1):
        Proposal.objects.filter(pk=proposal.pk).update(togai_refusal="quantity: too many")


def _open(proposal):
    return Delivery.objects.of(proposal).filter(state=State.NOT_SENT).order_by()


WALK = {
    "edit": _edit,
    "submit": _submit,
    "approve": _approve,
    "decline": _decline,
    "request_changes": _request_changes,
    "recall": _recall,
    "revise": _revise,
    "expire": _expire,
    "togai confirms": _togai_confirms,
    "togai refuses": _togai_refuses,
}


# --- the machine ---

# What may become of a delivery (reliability.md 2.3), and what does it.
WORKERS = {
    (State.NOT_SENT, State.SENDING),
    (State.SENDING, State.CONFIRMED),
    (State.SENDING, State.NOT_SENT),
    (State.SENDING, State.HELD),
    (State.SENDING, State.REJECTED),
    (State.SENDING, State.UNKNOWN),
    (State.SENDING, State.NEEDS_HUMAN),
    (State.UNKNOWN, State.CONFIRMED),
    (State.UNKNOWN, State.NOT_SENT),
    (State.UNKNOWN, State.REJECTED),
    (State.UNKNOWN, State.NEEDS_HUMAN),
    (State.NOT_SENT, State.REJECTED),
}
PEOPLE = {(None, State.NOT_SENT), (State.NOT_SENT, State.REJECTED), (State.HELD, State.REJECTED)}
OPERATORS = {(State.HELD, State.NOT_SENT)}
RESTORES = {(State.NOT_SENT, State.UNKNOWN), (State.HELD, State.UNKNOWN), (State.SENDING, State.UNKNOWN)}
EVERY_MOVE = WORKERS | PEOPLE | OPERATORS | RESTORES

# By Togai's answer to a create where a row stands afterwards; a refusal of one in doubt is doubt.
AFTER_A_SEND = {
    "ok": State.CONFIRMED,
    400: State.REJECTED,
    403: State.HELD,
    404: State.HELD,
    **dict.fromkeys(("down", 401, 429), State.NOT_SENT),
    **dict.fromkeys(
        ("lost", "dropped", "late", "lagging", "applied 500", 503, "garbage", 409), State.UNKNOWN
    ),
}
REFUSALS = (400, 404)
QUARANTINE, BETWEEN_ABSENCES, LONGEST_DOUBT = timedelta(minutes=15), timedelta(minutes=5), timedelta(hours=24)
# Within a claim, past it, past the quarantine, past most looks, past a validity.
SPANS = [
    timedelta(seconds=40),
    timedelta(minutes=3),
    timedelta(minutes=16),
    timedelta(hours=2),
    timedelta(days=32),
]
# A claim's end that nobody wrote: the worker died.
RECOVERED = {
    (State.SENDING, State.UNKNOWN),
    (State.SENDING, State.NEEDS_HUMAN),
    (State.UNKNOWN, State.NEEDS_HUMAN),
}
MOST_DEALS = 4
NUMBER = st.integers(0, 7)
ASKED = os.environ.get("WALKS", "")
EXAMPLES, LENGTH = (int(number) for number in (ASKED or "40x40").split("x"))
SIZE = settings(max_examples=EXAMPLES, stateful_step_count=LENGTH, derandomize=not ASKED)
KILLS = [name for name in checkpoints.NAMES if name != "queue.written"]


@dataclass
class Deal:
    """What somebody who keeps a notebook knows of one revision."""

    pk: int
    number: int
    version: int
    quantity: int
    revision: int = 1
    status: str = Status.DRAFT
    payment_mode: str = "PREPAID"
    valid_until: date | None = None
    is_live: bool = True
    decisions: tuple = ()
    refused: bool = False


@dataclass
class Row:
    """What the notebook says of one delivery."""

    deal: int
    kind: str
    direction: str
    state: str = State.NOT_SENT
    sends: int = 0
    in_doubt: bool = False
    doubted_at: datetime | None = None
    sent_at: datetime | None = None
    absences: int = 0
    absent_at: datetime | None = None
    last_was_refusal: bool = False


class Answers(list):
    """What Togai answers to the next writes; `given` is what it answered last."""

    given = None

    def pop(self, place):
        self.given = super().pop(place)
        return self.given


class Life(RuleBasedStateMachine):
    """
    Reps, finance, an administrator, workers, a Togai in any mood and the time, in any order.

    A notebook is kept beside the product: what each verb has to say, what each row has to become. The two are
    compared after every step.
    """

    desk = None
    # Over all examples: how often each rule ran, each status was seen and each move was made.
    rules, seen, moves = Counter(), Counter(), Counter()

    def __init__(self):
        super().__init__()
        self.open = ExitStack()
        self.open.enter_context(rolled_back())
        self.open.enter_context(drawn_from("a life"))
        desk = self.desk
        desk.togai.forget()
        desk.violations.clear()
        desk.clock.at = desk.began
        desk.togai.records[desk.account.togai_id] = {"id": desk.account.togai_id, "name": "Harbor"}
        desk.togai.next_answers = Answers()
        self.deals, self.rows = {}, {}
        self.may_send, self.looks_only = True, False
        self.backup = None
        self.current = self.expected = None
        self.workers = count(1)

    def teardown(self):
        self.open.close()

    @classmethod
    def rules_known(cls):
        """The names of all rules."""
        return [name for name, found in vars(cls).items() if hasattr(found, "hypothesis_stateful_rule")]

    # --- people ---

    def tries(self, refusal, verb, **given):
        """Call a verb that has to be refused so, or to succeed with None. Returns what it returns."""
        type(self).rules[verb.__name__] += 1
        try:
            made = self.desk.door(partial(verb, at=self.desk.clock(), **given))
        except Refusal as heard:
            if type(heard) is not refusal:
                raise AssertionError(f"{verb.__name__}: {heard!r}, expected {refusal}") from heard
            return None
        assert refusal is None, f"{verb.__name__} went through, expected {refusal}"
        return made

    def pick(self, number):
        return list(self.deals.values())[number % len(self.deals)]

    def day(self):
        return drafts.business_day(self.desk.clock())

    @precondition(lambda self: len(self.deals) < MOST_DEALS)
    @rule(quantity=st.integers(2, 4))
    def draft(self, quantity):
        desk = self.desk
        fields = {
            "type": "ENTITLEMENT_GRANT",
            "account": desk.account,
            "price_plan": desk.plan,
            "quantity": quantity,
            "payment_mode": "PREPAID",
        }
        made = self.tries(None, services.create, by=desk.rep, fields=fields)
        self.deals[made.pk] = Deal(made.pk, made.number, made.version, quantity)

    @precondition(lambda self: self.deals)
    @rule(number=NUMBER, quantity=st.integers(2, 4), stale=st.booleans())
    def edit(self, number, quantity, stale):
        deal = self.pick(number)
        refusal = WrongStatus if deal.status != Status.DRAFT else Stale if stale else None
        fields = {"quantity": quantity, "valid_until": None}
        version = deal.version - stale
        self.tries(
            refusal, services.edit, proposal_id=deal.pk, by=self.desk.rep, version=version, fields=fields
        )
        if refusal is None and (deal.quantity, deal.valid_until) != (quantity, None):
            deal.quantity, deal.valid_until = quantity, None
            deal.version += 1

    @precondition(lambda self: self.deals)
    @rule(mode=st.sampled_from(["PREPAID", "POSTPAID"]))
    def bulk_edit(self, mode):
        type(self).rules["bulk_edit"] += 1
        action, keys = SetPaymentMode(Proposal), list(self.deals)
        given = {"by": self.desk.administrator, "at": self.desk.clock(), "answers": {"payment_mode": mode}}
        will = {
            deal.pk: deal.version
            for deal in self.deals.values()
            if deal.status == Status.DRAFT and deal.payment_mode != mode
        }
        plan = bulk.plan(action, keys, **given)
        assert {change.key: change.version for change in plan.will} == will
        outcome = bulk.carry_out(action, list(will.items()), batch_id=None, **given)
        assert (sorted(outcome.done), outcome.refused) == (sorted(will), [])
        for pk in will:
            self.deals[pk].payment_mode = mode
            self.deals[pk].version += 1

    @precondition(lambda self: self.deals)
    @rule(number=NUMBER)
    def submit(self, number):
        deal = self.pick(number)
        is_over = deal.valid_until is not None and deal.valid_until < self.day()
        refusal = WrongStatus if deal.status != Status.DRAFT else Invalid if is_over else None
        self.tries(refusal, services.submit, proposal_id=deal.pk, by=self.desk.rep)
        if refusal is None:
            deal.valid_until = deal.valid_until or default_validity(self.day())
            self.moved(deal, Status.SUBMITTED)
            self.queued(deal, Kind.CREATE_PROPOSAL)

    @precondition(lambda self: self.deals)
    @rule(number=NUMBER, own=st.booleans(), stale=st.sampled_from([False, False, True]))
    def approve(self, number, own, stale):
        deal = self.pick(number)
        refusal = self.undecidable(deal, own, stale)
        if refusal is None and (self.day() > deal.valid_until or self.is_declined_there(deal)):
            refusal = WrongStatus
        self.tries(refusal, services.approve, **self.reader(deal, own, stale))
        if refusal is None:
            self.decided(deal, Status.APPROVED, "approve", "APPROVE")

    @precondition(lambda self: self.deals)
    @rule(
        number=NUMBER,
        own=st.sampled_from([False, False, True]),
        stale=st.sampled_from([False, False, True]),
        changes=st.booleans(),
    )
    def decline(self, number, own, stale, changes):
        deal = self.pick(number)
        refusal = self.undecidable(deal, own, stale)
        verb = services.request_changes if changes else services.decline
        self.tries(refusal, verb, **self.reader(deal, own, stale), **WHY)
        if refusal is None:
            status = Status.CHANGES_REQUESTED if changes else Status.DECLINED
            self.decided(deal, status, verb.__name__, "DECLINE")

    @precondition(lambda self: self.deals)
    @rule(number=NUMBER)
    def recall(self, number):
        deal = self.pick(number)
        refusal = None if deal.status == Status.SUBMITTED else WrongStatus
        self.tries(refusal, services.recall, proposal_id=deal.pk, by=self.desk.rep, **WHY)
        if refusal is None:
            self.decided(deal, Status.RECALLED, "recall", "DECLINE")

    @precondition(lambda self: self.deals)
    @rule(number=NUMBER)
    def revise(self, number):
        old = self.pick(number)
        never_created = old.refused and old.status in Proposal.SENT and not self.is_bound(old)
        revisable = old.is_live and (old.status in Proposal.REVISABLE or never_created)
        new = self.tries(
            None if revisable else WrongStatus, services.revise, proposal_id=old.pk, by=self.desk.rep
        )
        if not revisable:
            return
        if old.status == Status.SUBMITTED:
            self.moved(old, Status.RECALLED)
        old.is_live = False
        valid = old.valid_until if old.valid_until and old.valid_until > self.day() else None
        self.deals[new.pk] = replace(
            Deal(new.pk, old.number, new.version, old.quantity, old.revision + 1),
            payment_mode=old.payment_mode,
            valid_until=valid,
        )

    @rule()
    def expire(self):
        self.tries(None, services.expire_due)
        for deal in self.deals.values():
            if deal.status != Status.SUBMITTED or deal.valid_until >= self.day():
                continue
            if self.taken_back(row for row in self.rows.values() if row.deal == deal.pk):
                self.moved(deal, Status.EXPIRED)

    def undecidable(self, deal, own, stale):
        """Why this person may not decide this now, as a class; None when they may."""
        if own:
            return NotAllowed
        if deal.status != Status.SUBMITTED or deal.refused:
            return WrongStatus
        return Stale if stale else None

    def reader(self, deal, own, stale):
        by = self.desk.rep if own else self.desk.finance
        content = "of another day" if stale else Proposal.objects.get(pk=deal.pk).content_hash
        return {"proposal_id": deal.pk, "by": by, "content_hash": content}

    def moved(self, deal, status):
        assert status in Proposal.MOVES[deal.status]
        type(self).moves[deal.status, status] += 1
        deal.status = status
        deal.version += 1

    def decided(self, deal, status, verb, direction):
        deal.decisions += (verb,)
        self.moved(deal, status)
        create = next(row for row in self.rows.values() if row.deal == deal.pk and row.kind != Kind.DECIDE)
        if direction == "DECLINE" and create.state == State.HELD:
            self.taken_back([create])
        if create.state != State.REJECTED:
            self.queued(deal, Kind.DECIDE, direction)

    def queued(self, deal, kind, direction=""):
        row = Delivery.objects.get(subject_id=str(deal.pk), kind=kind)
        type(self).moves[None, State.NOT_SENT] += 1
        self.rows[row.pk] = Row(deal.pk, kind, direction)

    def taken_back(self, rows):
        """Deliveries that provably never left are not wanted any more. Returns whether there were any."""
        found = [
            row
            for row in rows
            if row.state in (State.NOT_SENT, State.HELD) and not row.sends and not row.in_doubt
        ]
        for row in found:
            self.became(row, State.REJECTED)
        return bool(found)

    def is_declined_there(self, deal):
        """Whether the product has seen by now that somebody declined it in Togai's console."""
        return Proposal.objects.filter(pk=deal.pk, togai_status="PROPOSAL_DECLINED").exists()

    def is_bound(self, deal):
        return any(
            row.deal == deal.pk and row.kind != Kind.DECIDE and row.state == State.CONFIRMED
            for row in self.rows.values()
        )

    # --- operators, Togai and time ---

    @rule()
    def release(self):
        """An administrator lets what is held go on."""
        type(self).rules["release"] += 1
        for pk, row in self.rows.items():
            deliveries.release(pk, at=self.desk.clock())
            if row.state == State.HELD:
                self.became(row, State.NOT_SENT)

    @rule()
    def pause_or_resume(self):
        type(self).rules["pause_or_resume"] += 1
        if self.may_send:
            line.pause(by=self.desk.administrator, at=self.desk.clock(), why="Month end.")
        else:
            line.resume()
        self.may_send = not self.may_send

    @rule()
    def back_up(self):
        type(self).rules["back_up"] += 1
        self.backup = (
            transaction.savepoint(),
            deepcopy((self.deals, self.rows, self.may_send, self.looks_only)),
        )

    @precondition(lambda self: self.backup and not self.look_alikes_wait())
    @rule()
    def restore(self):
        """
        The database is lost and its backup restored (R-21), or, where Togai got things since that the backup
        does not know, only the part of it that begins after the restore.
        """
        type(self).rules["restore"] += 1
        point, (deals, rows, may_send, looks_only) = self.backup
        known = {row.deal for row in rows.values() if row.kind == Kind.DECIDE}
        creates = {pk for pk, row in rows.items() if row.kind != Kind.DECIDE}
        told_of = {row.deal for row in self.rows.values() if row.kind == Kind.DECIDE and row.sends}
        made = {pk for pk, row in self.rows.items() if row.kind != Kind.DECIDE and row.sends}
        if told_of <= known and made <= creates:
            transaction.savepoint_rollback(point)
            self.deals, self.rows, self.may_send, self.looks_only = deals, rows, may_send, looks_only
            type(self).rules["restore to the backup"] += 1
        self.backup = None
        restore.begin(at=self.desk.clock(), why="The disk is gone.")
        self.looks_only = True
        for row in self.rows.values():
            is_open = row.state in Delivery.OPEN
            if is_open and (row.kind != Kind.DECIDE or self.is_bound(self.deals[row.deal])):
                if row.state != State.UNKNOWN:
                    self.became(row, State.UNKNOWN)
                row.in_doubt, row.doubted_at = True, self.desk.clock()
                row.absences, row.absent_at, row.last_was_refusal = 0, None, False

    def look_alikes_wait(self):
        """
        Whether two equal creates are open, or were at the backup: a restore verifies them one after another,
        which `test_restore.py` tells.
        """
        _, (_, rows, _, _) = self.backup
        open_ones = {
            pk for known in (rows, self.rows) for pk, row in known.items() if row.state in Delivery.OPEN
        }
        equal = Delivery.objects.filter(pk__in=open_ones, kind__in=Delivery.CREATES)
        prints = list(equal.values_list("fingerprint", flat=True))
        return len(prints) > len(set(prints))

    @precondition(lambda self: self.looks_only)
    @rule()
    def sign(self):
        """An administrator answers for what the restored database says."""
        type(self).rules["sign"] += 1
        line.sign()
        self.looks_only = False

    @rule(answers=st.lists(st.sampled_from(list(AFTER_A_SEND)), min_size=1, max_size=2))
    def togai_will_answer(self, answers):
        type(self).rules["togai_will_answer"] += 1
        self.desk.togai.next_answers = Answers(answers)

    @rule(number=NUMBER, end=st.sampled_from(["PROPOSAL_DECLINED", "PROPOSAL_APPROVED", "PROPOSAL_EXPIRED"]))
    def outside_change(self, number, end):
        """Somebody ends a waiting proposal in Togai's console, or its validity passes there."""
        type(self).rules["outside_change"] += 1
        waiting = [
            record for record in self.desk.togai.records.values() if record.get("status") == "PROPOSAL_ACTIVE"
        ]
        if waiting:
            waiting[number % len(waiting)]["status"] = end

    @rule(span=st.sampled_from(SPANS))
    def time_passes(self, span):
        type(self).rules["time_passes"] += 1
        self.desk.clock.at += span

    @rule()
    def all_calms_down(self):
        """Faults stop, all is allowed again, and in the end nothing is open that nobody is told of (I2)."""
        type(self).rules["all_calms_down"] += 1
        line.sign()
        line.resume()
        self.may_send, self.looks_only = True, False
        self.works(self.desk.calm, also=OPERATORS)

    # --- workers ---

    @precondition(lambda self: self.rows)
    @rule(number=NUMBER)
    def worker_step(self, number):
        """A worker tries to take one row."""
        type(self).rules["worker_step"] += 1
        pk = list(self.rows)[number % len(self.rows)]
        self.works(partial(self.worker().step, pk))

    @rule()
    def worker_round(self):
        """A worker does all that is due."""
        type(self).rules["worker_round"] += 1
        self.works(self.worker().work)

    @precondition(lambda self: any(row.state == State.UNKNOWN for row in self.rows.values()))
    @rule(number=NUMBER)
    def janitor_step(self, number):
        """Claims of the dead are recovered, and a row in doubt is looked up now."""
        type(self).rules["janitor_step"] += 1
        doubtful = [pk for pk, row in self.rows.items() if row.state == State.UNKNOWN]
        pk, now = doubtful[number % len(doubtful)], self.desk.clock()

        def looks():
            deliveries.recover_expired_claims(at=now)
            deliveries.look_now(pk, at=now)
            self.worker().step(pk)

        self.works(looks)

    @rule(name=st.sampled_from(KILLS), nth=st.integers(1, 2))
    def kill(self, name, nth):
        """A worker dies at the n-th time that it passes a checkpoint."""
        type(self).rules["kill"] += 1
        self.works(self.worker().work, Death(name, nth))

    def worker(self):
        return self.desk.worker(f"worker {next(self.workers)}")

    def works(self, call, death=None, also=frozenset()):
        """
        Watch a worker at every checkpoint, until it ends or dies.

        :param also: the moves of deliveries that somebody else may make meanwhile
        """

        def passed(name):
            if name == "claim.committed":
                self.claimed()
            elif name != "finish.inside":
                self.noticed(also)
            if name == "finish.before":
                self.expected = self.expected_end()
            elif name == "finish.committed":
                self.finished()
            if death:
                death(name)

        try:
            with listening(passed):
                call()
        except Killed:
            type(self).rules["a death"] += 1
        finally:
            self.current = None
        self.noticed(also)
        for deal in self.deals.values():
            # Only Togai's word ends a proposal that it holds.
            fresh = Proposal.objects.get(pk=deal.pk)
            if (deal.status, fresh.status) == (Status.SUBMITTED, Status.EXPIRED):
                assert self.desk.togai.records[fresh.togai_id]["status"] == "PROPOSAL_EXPIRED"
                self.moved(deal, Status.EXPIRED)

    def noticed(self, also):
        """Write down what happened to rows other than the one in hand: claims of the dead, mostly."""
        for pk, state in Delivery.objects.filter(pk__in=self.rows).values_list("pk", "state"):
            row = self.rows[pk]
            if state == row.state or (self.current and self.current[0] == pk):
                continue
            assert (row.state, state) in RECOVERED | also, f"{row} became {state}"
            if state == State.UNKNOWN:
                self.in_doubt(row, adds=True)
            self.became(row, state)

    def claimed(self):
        attempt = DeliveryAttempt.objects.select_related("delivery__depends_on").latest("pk")
        delivery, row = attempt.delivery, self.rows[attempt.delivery_id]
        if attempt.purpose == "SEND":
            assert (self.may_send, self.looks_only) == (True, False)
            assert delivery.depends_on is None or delivery.depends_on.is_settled
            self.became(row, State.SENDING)
            row.sends += 1
        else:
            assert row.state == State.UNKNOWN
        if attempt.purpose == "SEND":
            row.sent_at = self.desk.clock()
        togai = self.desk.togai
        togai.next_answers = Answers(togai.next_answers)
        self.current = delivery.pk, row, attempt.purpose, len(togai.writes)

    def expected_end(self):
        """What the row in hand has to become, by what Togai did and holds."""
        pk, row, purpose, writes = self.current
        togai = self.desk.togai
        record = self.record(pk, row)
        if purpose == "LOOK":
            return self.expected_of_a_look(row, record)
        given = togai.next_answers.given
        if given is None and len(togai.writes) == writes:
            return State.HELD if row.kind != Kind.DECIDE else self.expected_of_a_reading(row, record)
        after = AFTER_A_SEND[given or "ok"]
        if after == State.REJECTED and (row.in_doubt or row.kind == Kind.DECIDE):
            return State.UNKNOWN
        if given == 404 and row.kind == Kind.DECIDE:
            return State.UNKNOWN
        return after

    def expected_of_a_reading(self, row, record):
        reached = {"APPROVE": ("PROPOSAL_APPROVED",), "DECLINE": ("PROPOSAL_DECLINED",)}[row.direction]
        return State.CONFIRMED if record["status"] in reached else State.NEEDS_HUMAN

    def expected_of_a_look(self, row, record):
        is_active = record and record["status"] == "PROPOSAL_ACTIVE"
        if record and row.kind != Kind.DECIDE:
            return State.CONFIRMED
        if record and not is_active:
            return self.expected_of_a_reading(row, record)
        now = self.desk.clock()
        if now < max(row.doubted_at, row.sent_at or row.doubted_at) + QUARANTINE:
            return State.UNKNOWN
        if not (row.absences and now - row.absent_at >= BETWEEN_ABSENCES):
            row.absences, row.absent_at = row.absences + 1, now
            return State.UNKNOWN
        if row.last_was_refusal:
            return State.NEEDS_HUMAN if row.kind == Kind.DECIDE else State.REJECTED
        may_go_again = row.sends < deliveries.most_sends(row.kind) and now - row.doubted_at < LONGEST_DOUBT
        return State.NOT_SENT if may_go_again else State.NEEDS_HUMAN

    def record(self, pk, row):
        """Togai's record that a row is about, as a read shows it now; None while there is none."""
        delivery, togai = Delivery.objects.select_related("depends_on").get(pk=pk), self.desk.togai
        create = delivery.depends_on if row.kind == Kind.DECIDE else delivery
        found = [
            record
            for record in togai.records.values()
            if record.get("idempotencyKey") == create.idempotency_key
        ]
        return togai._shown(found[0]) if found else None

    def finished(self):
        pk, row, purpose, writes = self.current
        state = Delivery.objects.get(pk=pk).state
        given = self.desk.togai.next_answers.given
        assert state == self.expected, f"{row}: {state} after {given}, expected {self.expected}"
        was_sent = purpose == "SEND"
        settled_by_reading = given is None and len(self.desk.togai.writes) == writes
        if was_sent and (state in (State.NOT_SENT, State.HELD) or settled_by_reading):
            row.sends -= 1
        if state == State.UNKNOWN and was_sent:
            self.in_doubt(row, adds=given not in REFUSALS)
            row.last_was_refusal = given in REFUSALS
        elif state == State.NOT_SENT and not was_sent:
            row.absences, row.absent_at = 0, None
        elif state in (State.CONFIRMED, State.REJECTED):
            self.deals[row.deal].refused = state == State.REJECTED
        if state != row.state:
            self.became(row, state)
        if state == State.REJECTED:
            behind = Delivery.objects.filter(depends_on=pk).values_list("pk", flat=True)
            self.taken_back(self.rows[other] for other in behind)
        self.current = None

    def in_doubt(self, row, *, adds):
        row.in_doubt = row.in_doubt or adds
        row.doubted_at = row.doubted_at or self.desk.clock()
        row.absences, row.absent_at, row.last_was_refusal = 0, None, False

    def became(self, row, state):
        assert (row.state, state) in EVERY_MOVE
        type(self).moves[row.state, state] += 1
        row.state = state

    # --- the comparison ---

    @invariant()
    def the_product_says_what_the_notebook_says(self):
        found = Delivery.objects.order_by().values_list(
            "pk", "kind", "direction", "state", "sends", "ambiguous_attempts"
        )
        said = {pk: (*words, doubts > 0) for pk, *words, doubts in found}
        noted = {
            pk: (row.kind, row.direction, row.state, row.sends, row.in_doubt) for pk, row in self.rows.items()
        }
        assert said == noted
        decisions = defaultdict(tuple)
        for pk, verb in Decision.objects.order_by("pk").values_list("proposal_id", "verb"):
            decisions[pk] += (verb,)
        waiting = set(
            ApprovalStep.objects.filter(state=ApprovalStep.State.WAITING).values_list(
                "proposal_id", flat=True
            )
        )
        for proposal in Proposal.objects.all():
            deal = self.deals[proposal.pk]
            assert (
                Deal(
                    proposal.pk,
                    proposal.number,
                    proposal.version,
                    proposal.quantity,
                    proposal.revision,
                    proposal.status,
                    proposal.payment_mode,
                    proposal.valid_until,
                    proposal.is_live,
                    decisions[proposal.pk],
                    bool(proposal.togai_refusal),
                )
                == deal
            )
            assert (proposal.pk in waiting) == (deal.status == Status.SUBMITTED)
            type(self).seen[deal.status] += 1
        for row in self.rows.values():
            type(self).seen[row.state] += 1
            # Nothing that is still wanted ends without a word.
            deal = self.deals[row.deal]
            if row.state == State.REJECTED and deal.status in Proposal.SENT:
                assert deal.refused, f"{deal} was taken back and does not say so"
        self.desk.check()


@pytest.fixture
def life(db, monkeypatch):
    """The machine at a desk of its own, with nothing counted yet."""
    clock = Clock()
    with FakeTogai(clock) as togai:
        monkeypatch.setattr(Life, "desk", Desk(togai, clock))
        for name in ("rules", "seen", "moves"):
            monkeypatch.setattr(Life, name, Counter())
        yield Life


def test_a_life_in_any_order_is_the_one_in_the_notebook(life):
    """F-15: every rule, whatever came before it, does what the notebook says, and the invariants hold."""
    run_state_machine_as_test(life, settings=SIZE)
    # So few lives may pass without a death in the middle.
    deaths = ["a death"] if ASKED else []
    for name in ("create", "submit", "approve", "worker_step", "worker_round", "kill", "restore", *deaths):
        assert life.rules[name], name
    if ASKED:
        assert_all_was_seen(life)


def test_the_machine_knows_every_state_and_every_move(life):
    """F-15: one life by hand through all of them, so that chance leaves none out."""
    assert len(life.rules_known()) >= 15
    machine = life()
    try:
        for rule_name, given in A_FULL_LIFE:
            newest = {"newest": len(machine.deals) - 1, "newest row": len(machine.rows) - 1}
            number = {"number": newest.get(given["number"], given["number"])} if "number" in given else {}
            getattr(machine, rule_name)(**given | number)
            machine.the_product_says_what_the_notebook_says()
    finally:
        machine.teardown()
    assert_all_was_seen(life)


def assert_all_was_seen(life):
    """Every status, every state, every move of both tables."""
    moves = {(start, end) for start, ends in Proposal.MOVES.items() for end in ends} | EVERY_MOVE
    assert {state for state in [*Status.values, *State.values] if not life.seen[state]} <= {State.SENDING}
    assert {move for move in moves if not life.moves[move]} == set()


def _submitted(quantity, *then):
    return [
        ("draft", {"quantity": quantity}),
        ("submit", {"number": "newest"}),
        *then,
    ]


def _answers(*answers):
    return "togai_will_answer", {"answers": list(answers)}


_ROUND, _STEP = ("worker_round", {}), ("worker_step", {"number": "newest row"})
_LATER = "time_passes", {"span": SPANS[2]}
_APPROVE = "approve", {"number": "newest", "own": False, "stale": False}
_DECLINE = "decline", {"number": "newest", "own": False, "stale": False, "changes": False}
A_FULL_LIFE = [
    *_submitted(2, ("edit", {"number": "newest", "quantity": 9, "stale": False}), _ROUND, _APPROVE, _ROUND),
    # Held, and recalled; held, and let go on.
    *_submitted(3, _answers(403), _STEP, ("recall", {"number": "newest"})),
    *_submitted(4, _answers(403), _STEP, ("release", {}), _answers("down"), _STEP, _LATER, _ROUND),
    # Refused, and revised.
    *_submitted(
        5, _answers(400), _STEP, ("revise", {"number": "newest"}), ("bulk_edit", {"mode": "POSTPAID"})
    ),
    # Lost twice on its way, and sent again.
    *_submitted(6, _answers("dropped"), _ROUND, _LATER, _ROUND, _LATER, _ROUND),
    ("decline", {"number": "newest", "own": False, "stale": False, "changes": True}),
    _answers("lost"),
    _STEP,
    ("janitor_step", {"number": 0}),
    # Sent again, and refused for good.
    *_submitted(
        7, _answers("dropped"), _ROUND, _LATER, _ROUND, _answers(400), _LATER, _ROUND, _LATER, _ROUND
    ),
    *_submitted(8, _ROUND, _DECLINE, _ROUND),
    # Decided in the console first: before our own decision was sent, and while it was in doubt.
    ("all_calms_down", {}),
    *_submitted(10, _ROUND, _APPROVE, ("outside_change", {"number": -1, "end": "PROPOSAL_EXPIRED"}), _STEP),
    *_submitted(11, _ROUND, _APPROVE, _answers("dropped"), _STEP),
    ("outside_change", {"number": -1, "end": "PROPOSAL_DECLINED"}),
    ("janitor_step", {"number": 0}),
    # Expired without having left.
    ("pause_or_resume", {}),
    *_submitted(12, ("time_passes", {"span": SPANS[4]}), ("expire", {})),
    ("pause_or_resume", {}),
    # A worker dies in the middle; then all is lost, and restored while every open state is there.
    *_submitted(13, ("kill", {"name": "send.before", "nth": 1}), ("time_passes", {"span": SPANS[1]}), _ROUND),
    *_submitted(14, ("kill", {"name": "claim.committed", "nth": 1})),
    *_submitted(15, _answers(403), _STEP),
    *_submitted(16, ("back_up", {}), ("restore", {}), ("sign", {})),
    ("all_calms_down", {}),
]
