"""
Several worker processes after the same rows at once, on PostgreSQL (F-17).

A merge runs a small race; `CLAIM_RACE=8x2000x5 python -m pytest tests/togai/test_claim_race.py` runs the
nightly one: processes x rows x rounds. SQLite takes one worker only (R-12): that it refuses a second one
is proved in `test_cluster.py`.
"""

import json
import multiprocessing
import os
from collections import Counter

import pytest
from django.db import connection, connections

from tests.factories import NOON
from togai import deliveries
from togai.models import Delivery, DeliveryAttempt

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.process,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite takes one worker only (R-12)"),
]

State = Delivery.State

PROCESSES, ROWS, ROUNDS = (int(number) for number in os.environ.get("CLAIM_RACE", "4x300x1").split("x"))
# In a race this long the twin without a compare-and-swap has to show its fault in a quarter of the rows.
LONG, A_QUARTER = 2000, 4
PATIENCE_SECONDS = 60


def rows_that_wait(rows):
    """Creates that are due, none like another. Returns their keys in the order in which workers find them."""
    Delivery.objects.bulk_create(
        Delivery(
            kind=Delivery.Kind.CREATE_PROPOSAL,
            subject_type="proposals.Proposal",
            subject_id=str(number),
            subject_label=f"P-{number:06d} r1",
            revision=1,
            account_id=f"account-{number}",
            fingerprint=f"{number:064d}",
            idempotency_key=deliveries.new_key(),
            body=b"{}",
            body_sha256="0" * 64,
            next_at=NOON,
            created_at=NOON,
        )
        for number in range(rows)
    )
    return list(deliveries.due(NOON))


def swapped(pk, name):
    """The product's claim."""
    return deliveries.claim(pk, worker=name, at=NOON) is not None


def read_then_saved(pk, name):
    """The twin: what one would write who does not think of two workers."""
    delivery = Delivery.objects.get(pk=pk)
    if delivery.state != State.NOT_SENT or delivery.next_at > NOON:
        return False
    delivery.state, delivery.claim_owner, delivery.claim_token = State.SENDING, name, delivery.pk
    delivery.claim_until = NOON
    delivery.sends += 1
    delivery.save()
    return True


def race(claim, keys, folder):
    """
    Have every process go for every row, all from the same moment on and each with a connection of its own.

    :returns: how often each row was claimed, by key
    """
    # What is open here must not be shared with a child.
    connections.close_all()
    fork = multiprocessing.get_context("fork")
    start = fork.Barrier(PROCESSES)

    def work(number):
        connection.ensure_connection()
        start.wait(PATIENCE_SECONDS)
        mine = [str(pk) for pk in keys if claim(pk, f"worker {number}")]
        (folder / f"{number}.json").write_text(json.dumps(mine))
        connection.close()

    racers = [fork.Process(target=work, args=(number,)) for number in range(PROCESSES)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0] * PROCESSES
    taken = Counter()
    for number in range(PROCESSES):
        taken.update(json.loads((folder / f"{number}.json").read_text()))
    return taken


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_of_many_workers_exactly_one_takes_each_row(tmp_path, turn):
    """F-17, R-10: none is taken twice, none is missed, and the rows say the same as the workers."""
    keys = rows_that_wait(ROWS)
    taken = race(swapped, keys, tmp_path)
    assert len(keys) == len(taken) == ROWS
    assert set(taken.values()) == {1}
    assert set(Delivery.objects.values_list("state", "sends")) == {(State.SENDING, 1)}
    assert DeliveryAttempt.objects.count() == ROWS
    assert DeliveryAttempt.objects.values("delivery").distinct().count() == ROWS


def test_a_claim_that_reads_and_then_saves_is_caught_by_this_race(tmp_path):
    """F-17: the twin without a compare-and-swap takes rows twice; else this race would prove nothing."""
    taken = race(read_then_saved, rows_that_wait(ROWS), tmp_path)
    doubles = sum(times > 1 for times in taken.values())
    assert doubles > (ROWS // A_QUARTER if ROWS >= LONG else 0)
