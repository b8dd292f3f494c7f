"""What the tests of crashes share: a desk."""

import logging

import pytest

from tests.crashes.rig import Desk


@pytest.fixture
def desk(db, togai, clock):
    return Desk(togai, clock)


@pytest.fixture(autouse=True)
def quiet():
    """Thousands of lines about deliveries would hide the one that matters."""
    log = logging.getLogger("togai")
    before = log.level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(before)
