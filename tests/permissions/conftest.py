"""One office for all tests of a file: made once, and as it was again after every test."""

import pytest
from django.db import transaction

from tests.permissions.objects import World


def of_a_test():
    """A block around whole tests; a page that calls Togai takes it for no transaction of ours (R-02)."""
    block = transaction.atomic()
    block._from_testcase = True
    return block


@pytest.fixture(scope="module")
def office(django_db_setup, django_db_blocker):
    """The `World`, for tests that read it only; `world` also takes back what a test changes."""
    with django_db_blocker.unblock(), of_a_test():
        yield World()
        transaction.set_rollback(True)


@pytest.fixture
def world(office):
    """The `World` in a savepoint of its own."""
    with of_a_test():
        yield office
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def signing_out_reads_the_session_twice(settings):
    """Django's own doing, and no query in a loop."""
    settings.ZEAL_ALLOWLIST = [{"model": "sessions.Session"}]
