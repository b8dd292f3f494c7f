"""The tests of crashes are tried themselves: a product without one of its guards has to fail them (F-16)."""

import pytest
from django.db import IntegrityError

from tests.crashes.invariants import Violation
from tests.crashes.rig import drawn_from, picture
from tests.crashes.twins import TWINS, WALLED

pytestmark = pytest.mark.django_db

by_name = pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name.replace(" ", "-"))
by_wall = pytest.mark.parametrize("twin", WALLED, ids=lambda twin: twin.name.replace(" ", "-"))


def lived(desk, twin):
    with drawn_from(twin.name):
        twin.story(desk)


@by_name
def test_with_its_guards_the_product_lives_through_the_story(desk, twin):
    """F-16: the same story as below, and every invariant holds; so it is the guard that the twin misses."""
    try:
        lived(desk, twin)
    except Violation as violation:
        raise AssertionError(f"{violation}\n{picture()}") from violation


@by_name
def test_without_this_guard_an_invariant_fails(desk, twin):
    """F-16, R-05, R-10, R-11, R-17, R-22 to R-26: each twin is killed, by the invariant that it breaks."""
    with twin.sabotage(), pytest.raises(Violation, match=rf"^{twin.killed_by}:"):
        lived(desk, twin)


@by_wall
def test_without_this_guard_in_code_the_database_still_refuses(desk, twin):
    """F-16, R-09: the constraint holds by itself, and nothing wrong is written."""
    with twin.sabotage(), pytest.raises(IntegrityError):
        lived(desk, twin)


def test_there_are_at_least_seventeen_twins():
    """F-16: twelve of sending, three of deciding, four eyes and the content hash, each of its own name."""
    assert len({twin.name for twin in TWINS}) == len(TWINS) >= 17
