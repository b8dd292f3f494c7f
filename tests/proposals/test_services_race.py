"""Several people at once: twenty threads with connections of their own, on SQLite as on PostgreSQL."""

import sqlite3
import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection, connections

from audit.refusals import Refusal, WrongStatus
from proposals import services
from proposals.models import Decision, Proposal
from tests.factories import NOON, draft, finance, submitted
from togai import deliveries
from togai.models import Delivery

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 20
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
            except Refusal as refusal:
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


def test_a_recall_racing_approvals_has_one_winner(at_once):
    """G-25: whoever wins, Togai hears one word about it."""
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
