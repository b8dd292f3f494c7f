"""
Real worker processes, killed by the system at every checkpoint, on SQLite and on PostgreSQL alike (F-12).

They speak real HTTP to a Togai that keeps its own ledger.
"""

import pytest

from tests.crashes.crashes import never
from tests.crashes.killing import AheadClock, Place, killed_once
from tests.crashes.served_togai import ServedTogai
from togai import checkpoints
from togai.models import Delivery

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.process]

State = Delivery.State


@pytest.fixture
def place(tmp_path):
    clock = AheadClock()
    with ServedTogai(clock) as togai:
        place = Place(togai, clock, tmp_path)
        with place.processes():
            yield place


@pytest.mark.parametrize(("kind", "story"), [("create", "create"), ("APPROVE", "approve")])
def test_a_process_killed_at_any_checkpoint_leaves_one_object_at_togai(place, kind, story):
    """F-12, G-46, C2 to C12, D2 to D12: SIGKILL at every checkpoint once; a second process finishes."""
    names = [name for name in checkpoints.NAMES if not never(story, name)]
    for name in names:
        closed = killed_once(place, kind, "lost" if name.startswith("look") else "ok", kill=name)
        assert closed is not None, f"nobody came by {name}"
        assert closed.state == State.CONFIRMED, f"{name}: {closed.state} {closed.last_message}"
    creates = [record["idempotencyKey"] for record in place.togai.records.values()]
    assert len(creates) == len(set(creates)) == len(names)
    if story == "approve":
        decided = [path for path, _, _ in place.togai.applied if path.endswith("update_status")]
        assert len(decided) == len(set(decided)) == len(names)


@pytest.mark.parametrize("kind", ["create", "APPROVE", "purchase"])
def test_half_a_request(place, kind):
    """C5, D5: dead with half of the body written; Togai has nothing, and nobody knows it but by looking."""
    closed = killed_once(place, kind, "ok", cut=0.5)
    ends = State.NEEDS_HUMAN if kind == "purchase" else State.CONFIRMED
    assert closed.state == ends
    assert len(place.togai.records) == (0 if kind == "purchase" else 1)


@pytest.mark.parametrize("kind", ["create", "DECLINE", "purchase"])
def test_no_answer_read(place, kind):
    """C6, D6: dead with the whole request written and no answer read; a look finds what Togai did."""
    closed = killed_once(place, kind, "ok", cut=1)
    assert closed.state == State.CONFIRMED
    assert len(place.togai.records) == 1
    assert len(place.togai.writes) == (2 if kind == "DECLINE" else 1)
