"""
Random schedules at the size of a merge (F-11); `make soak` runs the nightly number.

`SEED=17 python -m pytest tests/crashes/test_schedules.py` lives one of them again.
"""

import os

import pytest
from django.db import connection

from tests.crashes.rig import drawn_from, rolled_back
from tests.crashes.schedules import Schedule, run_many
from togai.models import DeliveryAttempt

pytestmark = pytest.mark.django_db

# Parts of their own, so that several processes share them.
PARTS, OF_A_PART = 8, 40 if connection.vendor == "sqlite" else 15
REPLAY = os.environ.get("SEED")


@pytest.mark.skipif(REPLAY is not None, reason="SEED asks for one schedule")
@pytest.mark.parametrize("part", range(PARTS))
def test_no_schedule_loses_or_doubles_anything(desk, part):
    """F-11, F-03, I1 to I9, I11, I12: whatever is answered, whoever dies, in whatever order."""
    counted = run_many(desk, range(part * OF_A_PART, (part + 1) * OF_A_PART))
    assert counted["schedules"] == OF_A_PART
    assert counted["deaths"] > OF_A_PART / 5
    assert counted["pauses"] > OF_A_PART / 5


@pytest.mark.skipif(REPLAY is None, reason="set SEED to live one schedule again")
def test_the_schedule_that_was_asked_for(desk):
    """F-03: one seed, one life."""
    Schedule(desk, int(REPLAY)).run()


@pytest.mark.skipif(REPLAY is not None, reason="SEED asks for one schedule")
@pytest.mark.parametrize("seed", [3, 4])
def test_a_seed_always_lives_the_same_life(desk, seed, monkeypatch):
    """F-03: the same ids, waits, answers and deaths; else no failure could be replayed."""
    lives = []
    for _ in range(2):
        with rolled_back(), drawn_from(seed):
            schedule = Schedule(desk, seed)
            schedule._begin()
            schedule._live()
            seen = DeliveryAttempt.objects.order_by("pk")
            lives.append(list(seen.values_list("started_at", "purpose", "outcome", "learned", "worker")))
            lives[-1].append(sorted(schedule.counted.items()))
    assert lives[0] == lives[1]
