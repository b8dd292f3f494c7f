"""What the database keeps of a submitted proposal, and of every decision (G-36, S-28)."""

from audit.triggers import Rule, declare
from proposals.models import Decision, Proposal
from purchases.frozen import freeze_content


def freeze():
    """Have proposals keep their content from their submission on, for good, and decisions all they say."""
    freeze_content(Proposal, "revision")
    declare(
        Rule(
            Proposal,
            "update",
            "A submitted proposal never becomes a draft again; a change is a new revision.",
            fields=("status",),
            when="OLD.status <> 'DRAFT' AND NEW.status = 'DRAFT'",
            name="submitted",
        ),
        Rule(Decision, "update", "Decisions are kept."),
        Rule(Decision, "delete", "Decisions are kept."),
    )
