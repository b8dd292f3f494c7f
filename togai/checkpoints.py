"""
Named moments at which a process may die (reliability.md 3.3); tests stop it there, the product passes by.

Each stands before or after a commit or a call to Togai, so that killing at every one of them covers every
state that a crash can leave behind.
"""

# Every moment there is, in the order of a delivery's life.
NAMES = (
    "queue.written",
    "claim.before",
    "claim.committed",
    "send.before",
    "send.after",
    "read.before",
    "read.after",
    "look.before",
    "look.after",
    "finish.before",
    "finish.inside",
    "finish.committed",
    "follow.before",
    "follow.after",
    "follow.committed",
)

_listener = None


def checkpoint(name):
    """Pass a moment of `NAMES`."""
    if _listener is not None:
        _listener(name)


def listen(listener):
    """
    Have `listener(name)` called at every checkpoint, or nobody with None. For tests: it may raise or kill.
    """
    global _listener  # noqa: PLW0603  a test sets it once for the process it watches
    _listener = listener
