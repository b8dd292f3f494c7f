"""What Togai applies late, but within the quarantine, is never doubled (reliability.md 2.8; I3, I4)."""

from datetime import timedelta

import pytest

pytestmark = pytest.mark.django_db


@pytest.fixture
def hostile(togai):
    """Applies late, well inside the quarantine, and neither honours keys nor guards decisions."""
    togai.late_by = timedelta(minutes=10)
    togai.honours_keys = togai.guards_decisions = False
    return togai


def minutes_pass(desk, number):
    for _ in range(number):
        desk.worker("first").work()
        desk.clock.forward(minutes=1)
        desk.check()
    desk.calm()


def test_a_first_send_that_is_applied_late_is_found(desk, hostile):
    """I3: in doubt at once, there after ten minutes."""
    hostile.next_answers = ["late"]
    desk.submit()
    minutes_pass(desk, 40)


def test_a_second_send_has_a_quarantine_of_its_own(desk, hostile):
    """I3: the first send never arrives; the second is applied ten minutes later, and there is no third."""
    hostile.next_answers = ["dropped", "late"]
    desk.submit()
    minutes_pass(desk, 40)


def test_a_decision_sent_again_has_a_quarantine_of_its_own(desk, hostile):
    """I4: as above; whoever resends after five minutes decides twice."""
    proposal = desk.submit()
    desk.worker().work()
    desk.clock.forward(hours=1)
    hostile.next_answers = ["dropped", "late"]
    desk.decide(proposal, "APPROVE")
    minutes_pass(desk, 40)
