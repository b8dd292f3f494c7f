"""
Who is told what became of a delivery.

`togai` knows no purchase and no proposal: each upper app registers one listener per model when it starts.
Every call runs inside the transaction that writes the delivery's own new state, so either both are true or
neither.
"""

from typing import Protocol


class Listener(Protocol):
    """What an upper app does about news from Togai; `at` is the moment the news was learned."""

    def confirmed(self, delivery, remote, *, at):
        """Togai holds the change; `remote` is its record."""

    def rejected(self, delivery, *, message, at):
        """Togai refused the change for good; nothing exists there."""

    def stuck(self, delivery, *, message, at):
        """No automatic path is left: a person has to look."""

    def seen(self, subject_id, remote, *, at):
        """A later look at the record that this subject is bound to."""

    def gone(self, subject_id, *, at):
        """Two looks, a day apart, did not find the record that this subject is bound to."""

    def twin_found(self, delivery, remote_id, *, at):
        """Togai made this record too of one create; returns whether that is news."""

    def twin_declined(self, delivery, *, at):
        """What `twin_found` told of is over at Togai; the delivery's `remote_id` says which."""

    def stale(self, delivery, *, at):
        """Why this change is no longer wanted as it was meant, in words for the rep; "" while it is."""


_listeners: dict[str, Listener] = {}


def register(subject_type, listener):
    """Have `listener` told about deliveries of `subject_type`, a model label such as "proposals.Proposal"."""
    _listeners[subject_type] = listener


def listener_for(subject_type):
    """The registered `Listener`.

    :raises KeyError: no app claimed this subject type
    """
    return _listeners[subject_type]
