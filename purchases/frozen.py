"""
What the database keeps of a deal that has left the draft: its commercial content (G-36).

The fields are those that enter the content hash, from the one place that names them; a new one is kept by
the next `migrate`.
"""

from audit.triggers import Rule, declare
from purchases.drafts import COMMERCIAL_FIELDS, fields_of
from purchases.models import Purchase


def content(model):
    """Names of the fields that say what is sold to whom, under which number and by whom."""
    commercial = tuple(name for name in fields_of(model) if name in COMMERCIAL_FIELDS)
    return ("id", *commercial, "content_hash", "number", "created_by")


def freeze_content(model, *fields):
    """Have deals of a model keep their content, and `fields`, from their submission on."""
    declare(
        Rule(
            model,
            "update",
            "What was submitted keeps its content; only a draft is changed.",
            fields=(*content(model), *fields),
            when="OLD.status <> 'DRAFT'",
        ),
        Rule(model, "delete", "Only a draft is deleted.", when="OLD.status <> 'DRAFT'"),
    )


def freeze():
    """Have purchases keep what finance reads and releases; the ways back into the draft stay open."""
    freeze_content(Purchase)
    declare(
        Rule(
            Purchase,
            "update",
            "A released purchase becomes a draft only when Togai refused it.",
            fields=("status",),
            when="OLD.status = 'SENT' AND NOT (NEW.status = 'DRAFT' AND OLD.togai_refusal <> '')",
            name="released",
        ),
        Rule(
            Purchase,
            "update",
            "Only opening a refused purchase again counts its revision on, by one.",
            fields=("revision",),
            when="OLD.status <> 'DRAFT' AND NOT "
            "(OLD.status = 'SENT' AND NEW.status = 'DRAFT' AND NEW.revision = OLD.revision + 1)",
            name="revision",
        ),
    )
