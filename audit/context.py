"""Where a change came from: set once at the door, read by the record."""

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from uuid import uuid4


@dataclass(frozen=True)
class Origin:
    """The door and the one request or job behind a change."""

    channel: str = "command"
    request_id: str = ""
    address: str = ""


NOWHERE = Origin()
_origin: ContextVar[Origin] = ContextVar("origin", default=NOWHERE)


def current():
    """The `Origin` of the work going on in this thread."""
    return _origin.get()


@contextmanager
def coming_from(channel, *, request_id="", address=""):
    """Mark everything recorded inside the block as coming from this channel."""
    token = _origin.set(Origin(channel, request_id or uuid4().hex, address))
    try:
        yield _origin.get()
    finally:
        _origin.reset(token)


@contextmanager
def through(channel):
    """Narrow the channel (a page of the admin, say) and keep the request."""
    token = _origin.set(replace(_origin.get(), channel=channel))
    try:
        yield
    finally:
        _origin.reset(token)
