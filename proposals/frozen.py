"""What the database keeps of a submitted proposal, of every decision, and of links (G-36, P-30, S-28)."""

from audit.triggers import Rule, declare
from proposals.models import CustomerLink, Decision, Proposal
from purchases.frozen import freeze_content


def freeze():
    """
    Have proposals keep their content from their submission on, for good, decisions all they say, and links to
    customers what they open and until when.
    """
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
        Rule(
            CustomerLink,
            "update",
            "A link keeps what it opens and until when; another one is made instead.",
            fields=("id", "proposal", "digest", "created_by", "created_at", "expires_at"),
        ),
        Rule(CustomerLink, "delete", "Links are kept: who could read what is on record."),
    )
