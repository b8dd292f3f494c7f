"""
Several people at once: twenty threads with connections of their own, on SQLite as on PostgreSQL.

A merge runs a few rounds of the decision race; `DECISION_RACE=1000 python -m pytest
tests/proposals/test_services_race.py` runs the nightly number (F-18).
"""

import os
import sqlite3
import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, connections

from audit.refusals import Refusal, WrongStatus
from proposals import services
from proposals.models import Decision, Notice, Proposal
from purchases import drafts
from tests.factories import NOON, AccountFactory, PricePlanFactory, draft, finance, rep, submitted
from togai import deliveries
from togai.models import Delivery

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 20
# The decision race of F-18: so many approvers, so many times.
APPROVERS, ROUNDS = 4, int(os.environ.get("DECISION_RACE", "12"))
AT = NOON + timedelta(hours=1)
WHY = {"reason_code": "other", "reason": "The customer asked us to wait."}


@pytest.fixture
def at_once(tmp_path):
    """
    Run functions at the same moment, each in a thread with a connection of its own; returns their answers.

    The tests' SQLite lives in memory, where threads share one connection, so they get a copy in a file, as
    the product uses it; `at_once.look` reads what became of it.
    """
    copy = {}

    def own_connection():
        if connection.vendor == "sqlite":
            here = type(connections["default"])(
                {**connection.settings_dict, "NAME": str(copy["file"])}, "default"
            )
            connections["default"] = here
        return connections["default"]

    def run(functions):
        if connection.vendor == "sqlite":
            copy["file"] = tmp_path / "copy.sqlite3"
            with sqlite3.connect(copy["file"]) as file:
                connection.connection.backup(file)
            file.close()
        barrier, answers = threading.Barrier(len(functions)), [None] * len(functions)

        def work(place, function):
            here = own_connection()
            try:
                here.ensure_connection()
                barrier.wait(timeout=30)
                answers[place] = function()
            except (Refusal, IntegrityError) as refusal:
                answers[place] = refusal
            finally:
                here.close()

        threads = [threading.Thread(target=work, args=each) for each in enumerate(functions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=120)
        return answers

    def look(function):
        found = []
        thread = threading.Thread(target=lambda: found.append(_closing(own_connection(), function)))
        thread.start()
        thread.join(timeout=60)
        return found[0]

    run.look = look
    return run


def _closing(here, function):
    try:
        return function()
    finally:
        here.close()


def _approving(proposal, by):
    return lambda: services.approve(proposal_id=proposal.pk, by=by, at=AT, content_hash=proposal.content_hash)


def _state_of(proposal):
    fresh = Proposal.objects.get(pk=proposal.pk)
    return (
        fresh.status,
        Decision.objects.filter(proposal=proposal).count(),
        list(
            Delivery.objects.of(proposal)
            .filter(kind=Delivery.Kind.DECIDE)
            .values_list("direction", flat=True)
        ),
    )


def test_twenty_approvers_make_one_decision(at_once):
    """G-37, R-22: one yes, one delivery; nineteen hear that it is over."""
    proposal = submitted()
    answers = at_once([_approving(proposal, finance()) for _ in range(THREADS)])
    kinds = Counter(type(answer) for answer in answers)
    assert kinds == {Proposal: 1, WrongStatus: THREADS - 1}
    assert at_once.look(lambda: _state_of(proposal)) == (Proposal.Status.APPROVED, 1, ["APPROVE"])


on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql",
    reason="SQLite lets one writer in at a time, which hides the race (F-18)",
)


@pytest.fixture
def race_of_decisions(at_once):
    """
    Run the rounds of the decision race. Returns of each what the approvers heard, counted by its class, and
    what then stood there as `_state_of` has it.
    """

    def run():
        approvers, author, plan = [finance() for _ in range(APPROVERS)], rep(), PricePlanFactory()
        account = AccountFactory(owner=author)
        rounds = []
        for _ in range(ROUNDS):
            proposal = submitted(by=author, account=account, price_plan=plan)
            answers = at_once([_approving(proposal, by) for by in approvers])
            rounds.append((Counter(type(answer) for answer in answers), _state_of(proposal)))
        return rounds

    return run


ONE_WINNER = ({Proposal: 1, WrongStatus: APPROVERS - 1}, (Proposal.Status.APPROVED, 1, ["APPROVE"]))


def without_the_lock(model, pk):
    """The twin of `drafts.locked` that trusts `atomic` alone."""
    return model.objects.get(pk=pk)


@on_postgresql
def test_a_decision_race_always_has_one_winner(race_of_decisions):
    """F-18, R-22: four approvers press at the same moment, again and again."""
    assert race_of_decisions() == [ONE_WINNER] * ROUNDS


@on_postgresql
def test_a_decision_under_atomic_alone_loses_this_race(race_of_decisions, monkeypatch):
    """F-18: the twin without the lock, and without the constraint on deliveries behind it, decides twice."""
    monkeypatch.setattr(drafts, "locked", without_the_lock)
    monkeypatch.setattr(services, "_queue_decision", lambda *args, **kwargs: None)
    twice = [decisions for _, (_, decisions, _) in race_of_decisions() if decisions > 1]
    assert len(twice) > ROUNDS / 2


@on_postgresql
def test_without_the_lock_the_constraint_still_lets_one_decision_leave(race_of_decisions, monkeypatch):
    """R-09: the wall behind the lock; whoever lost sees an error there, and Togai still hears one word."""
    monkeypatch.setattr(drafts, "locked", without_the_lock)
    rounds = race_of_decisions()
    assert {tuple(told) for _, (_, _, told) in rounds} == {("APPROVE",)}
    assert sum(heard[IntegrityError] > 0 for heard, _ in rounds) > ROUNDS / 2


def test_a_recall_racing_approvals_has_one_winner(at_once):
    """G-25: whoever wins, Togai hears one word about it, and of a recall those who were about to decide."""
    proposal = submitted()
    owner = proposal.owner
    racers = [_approving(proposal, finance()) for _ in range(THREADS // 2)]
    racers += [
        lambda: services.recall(proposal_id=proposal.pk, by=owner, at=AT, **WHY) for _ in range(THREADS // 2)
    ]
    answers = at_once(racers)
    winners = [place for place, answer in enumerate(answers) if isinstance(answer, Proposal)]
    assert len(winners) == 1
    assert all(isinstance(answer, WrongStatus) for answer in answers if not isinstance(answer, Proposal))
    status, decisions, told = at_once.look(lambda: _state_of(proposal))
    approved = winners[0] < THREADS // 2
    assert status == (Proposal.Status.APPROVED if approved else Proposal.Status.RECALLED)
    assert (decisions, told) == (1, ["APPROVE" if approved else "DECLINE"])
    notices = at_once.look(lambda: Notice.objects.filter(proposal=proposal).count())
    assert notices == (0 if approved else THREADS // 2)


def test_twenty_submits_make_one_proposal_at_togai(at_once):
    """Row 56 of the hostile inputs: a double click, a replay, twenty parallel submits."""
    proposal = draft()
    owner = proposal.owner

    def submit():
        return services.submit(proposal_id=proposal.pk, by=owner, at=AT)

    answers = at_once([submit] * THREADS)
    assert Counter(type(answer) for answer in answers) == {Proposal: 1, WrongStatus: THREADS - 1}
    assert at_once.look(lambda: Delivery.objects.of(proposal).count()) == 1


def test_twenty_revisions_of_one_proposal_make_one_draft(at_once):
    """G-35: exactly one live revision."""
    proposal = submitted()
    services.decline(proposal_id=proposal.pk, by=finance(), at=AT, content_hash=proposal.content_hash, **WHY)
    owner = proposal.owner

    def revise():
        return services.revise(proposal_id=proposal.pk, by=owner, at=AT)

    answers = at_once([revise] * THREADS)
    assert Counter(type(answer) for answer in answers) == {Proposal: 1, WrongStatus: THREADS - 1}
    live = at_once.look(lambda: list(Proposal.objects.live().values_list("revision", flat=True)))
    assert live == [2]


def test_twenty_workers_send_an_approval_once(at_once):
    """G-37: one claim of the one decision."""
    proposal = submitted()
    Delivery.objects.of(proposal).update(state=Delivery.State.CONFIRMED, remote_id="purchase.1")
    services.approve(proposal_id=proposal.pk, by=finance(), at=AT, content_hash=proposal.content_hash)
    decision = Delivery.objects.of(proposal).get(kind=Delivery.Kind.DECIDE)

    def claim():
        return deliveries.claim(decision.pk, worker="one of many", at=AT)

    answers = at_once([claim] * THREADS)
    assert sum(answer is not None for answer in answers) == 1
