"""What every test may use, and what no test may do: call anybody but Togai's stand-in on this machine."""

import socket
from importlib import import_module

import pytest
from django.apps import apps
from django.db.models.signals import post_migrate

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


# Migrations whose rows ship with the product.
SHIPPED = ("audit.migrations.0002_roles", "proposals.migrations.0002_reasons")


def ship_again(sender, **kwargs):
    """A test with real transactions ends by emptying every table; what ships is put back for the next one."""
    if sender.label == "proposals":
        for name in SHIPPED:
            import_module(name).make(apps, None)


post_migrate.connect(ship_again)
