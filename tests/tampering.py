"""Playing somebody who gets past the database's own guard."""

from contextlib import contextmanager

from audit import triggers


@contextmanager
def triggers_off():
    """Let the block change and delete what is frozen, as somebody who owns the database can."""
    triggers.remove()
    try:
        yield
    finally:
        triggers.install()
