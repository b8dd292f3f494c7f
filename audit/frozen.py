"""What the database keeps of the record: all of it (S-28)."""

from audit import triggers
from audit.models import Denial, Event


def freeze():
    """Have the rows of the record neither changed nor deleted."""
    for model in (Event, Denial):
        triggers.declare(
            triggers.Rule(model, "update", "The record is only ever added to."),
            triggers.Rule(model, "delete", "The record is only ever added to."),
        )
