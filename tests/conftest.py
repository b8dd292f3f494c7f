"""What every test may use, and what no test may do: call anybody but Togai's stand-in on this machine."""

import os
import socket
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.db.models.signals import post_migrate
from django.test import TransactionTestCase
from hypothesis import HealthCheck, settings

from tests.tampering import triggers_off
from tests.togai.fake_togai import Clock, FakeTogai
from togai.worker import Worker

# How fast a machine draws examples says nothing about the product. A merge draws the same ones every time, so
# that a red one is about the change; EXPLORE=1 draws others (the part `properties` of `make soak`).
settings.register_profile(
    "desk",
    deadline=None,
    derandomize=not os.environ.get("EXPLORE"),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("desk")

# Who asks for none of these cannot tell one database from another.
OF_A_DATABASE = {"db", "transactional_db", "live_server", "office"}


def can_make_a_pdf():
    """Whether Pango is here; `make test` says aloud when it is not and cannot be installed."""
    try:
        import_module("weasyprint")
    except OSError:
        return False
    return True


def pytest_collection_modifyitems(config, items):
    """
    On the second database only what uses one runs, and what is not known to be the same on both.

    Where no PDF can be made, the tests of it are skipped: those whose name says pdf.
    """
    if not can_make_a_pdf():
        for item in items:
            if "pdf" in item.nodeid:
                item.add_marker(pytest.mark.skip(reason="Pango is missing."))
    if connection.vendor != "postgresql":
        return
    same = [
        item
        for item in items
        if item.get_closest_marker("one_database")
        or not (item.get_closest_marker("django_db") or OF_A_DATABASE & set(item.fixturenames))
    ]
    config.hook.pytest_deselected(items=same)
    gone = set(same)
    items[:] = [item for item in items if item not in gone]


LOOPBACK = {"127.0.0.1", "::1", "localhost", ""}


@pytest.fixture(autouse=True)
def nobody_outside_is_called(monkeypatch):
    """Fail loudly on any connection that leaves this machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
            raise AssertionError(f"A test called {address[0]}.")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def clock():
    """A clock that a test moves."""
    return Clock()


@pytest.fixture
def togai(clock):
    """Togai at the gateway's edge, as a test scripts it."""
    with FakeTogai(clock) as fake:
        yield fake


@pytest.fixture
def worker(togai, clock):
    """A worker at that Togai, under that clock."""
    return Worker(togai.gateway(), clock=clock, monotonic=clock.monotonic, name="test")


# Migrations whose rows ship with the product.
SHIPPED = ("audit.migrations.0002_roles", "proposals.migrations.0002_reasons")


def ship_again(sender, **kwargs):
    """A test with real transactions ends by emptying every table; what ships is put back for the next one."""
    if sender.label == "proposals":
        for name in SHIPPED:
            import_module(name).make(apps, None)


post_migrate.connect(ship_again)


empty_every_table = TransactionTestCase._fixture_teardown


def empty_every_table_once_more(self):
    """A test with real transactions runs with the triggers in place; only the emptying after it does not."""
    with triggers_off():
        empty_every_table(self)


TransactionTestCase._fixture_teardown = empty_every_table_once_more
