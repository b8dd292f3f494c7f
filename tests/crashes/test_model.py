"""The state machine alone, at the size of a merge (F-10); `make soak` lives a million seeds."""

import pytest

from tests.crashes.model import FATES, TWINS, first_bad, live
from tests.crashes.schedules import ANSWERS

LIVES = 3_000
# The weakest guards are missed about once in six thousand lives.
FAR_ENOUGH = 20_000


def test_no_life_of_the_model_loses_or_doubles_anything():
    """F-10: whatever is answered, whoever dies or freezes, in whatever order."""
    ends = {}
    for seed in range(LIVES):
        for what, count in live(seed).items():
            ends[what] = ends.get(what, 0) + count
    assert ends["deaths"] > LIVES / 5
    assert ends["CONFIRMED"] > LIVES / 2
    assert ends["REJECTED"] > 0


@pytest.mark.parametrize("twin", TWINS, ids=lambda name: name.replace(" ", "-"))
def test_without_this_guard_some_life_of_the_model_goes_wrong(twin):
    """F-10, F-16: each twin is found by its seed, and the design lives through that same seed."""
    assert first_bad(twin, range(FAR_ENOUGH)) is not None


def test_the_model_knows_every_answer_that_the_schedules_know():
    """F-10, F-11: both live with the same seventeen."""
    assert set(FATES) == {str(answer) for answer in ANSWERS}
