"""What the workers do for the catalogue."""

from audit.context import coming_from
from purchases import pulling


def pull():
    """Pull what was asked for, a slice at a time, so that deliveries never wait long behind it."""
    with coming_from("worker"):
        if pulling.work():
            pulling.wake()
