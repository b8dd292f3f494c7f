"""What the database keeps of a delivery once written: what is sent, and the evidence (R-14, S-28, I7)."""

from audit.triggers import Rule, declare
from togai.models import Delivery, DeliveryAttempt

# What is sent, to whom, about what, and under which key.
CONTENT = (
    "id",
    "kind",
    "subject_type",
    "subject_id",
    "revision",
    "generation",
    "account_id",
    "direction",
    "fingerprint",
    "idempotency_key",
    "body",
    "body_sha256",
)
# Which call an attempt speaks of.
BEGUN = ("id", "delivery", "number", "purpose", "claim_token", "started_at", "worker", "release")


def freeze():
    """Have deliveries keep what they were queued with, and attempts what was learned."""
    declare(
        Rule(Delivery, "update", "A delivery keeps its bytes, its key and what it is about.", fields=CONTENT),
        Rule(
            Delivery,
            "update",
            "A delivery that may have left keeps what it waited for.",
            fields=("depends_on",),
            when="OLD.sends > 0",
            name="order",
        ),
        Rule(Delivery, "delete", "Deliveries are kept."),
        Rule(DeliveryAttempt, "update", "An attempt keeps which call it speaks of.", fields=BEGUN),
        Rule(
            DeliveryAttempt,
            "update",
            "What was learned is kept as it was learned.",
            when="OLD.finished_at IS NOT NULL",
            name="finished",
        ),
        Rule(DeliveryAttempt, "delete", "Evidence is kept."),
    )
