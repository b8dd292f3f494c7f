"""What Togai said about a deal, written into the columns that are Togai's alone."""

from audit import services as audit
from purchases.models import Purchase
from togai import subjects

TOGAI_COLUMNS = (
    "togai_id",
    "togai_status",
    "togai_price",
    "togai_currency",
    "togai_invoice_id",
    "togai_comment",
    "togai_responded_at",
)


def take_over(deal, remote, *, at):
    """Copy Togai's record into the deal's own columns for it, and put on record what moved. Saves."""
    before = {name: getattr(deal, name) for name in TOGAI_COLUMNS}
    deal.togai_id = remote.id
    deal.togai_status = remote.status
    deal.togai_price = remote.price
    deal.togai_currency = remote.invoice_currency or ""
    deal.togai_invoice_id = remote.invoice_id or ""
    deal.togai_comment = remote.comment or ""
    deal.togai_responded_at = getattr(remote, "proposal_response_date", None)
    deal.togai_seen_at = at
    deal.save(update_fields=[*TOGAI_COLUMNS, "togai_seen_at"])
    moved = [name for name in TOGAI_COLUMNS if getattr(deal, name) != before[name]]
    if moved:
        audit.record(
            deal,
            "togai",
            by=None,
            at=at,
            before={name: _text(before[name]) for name in moved},
            after={name: _text(getattr(deal, name)) for name in moved},
        )
    return moved


def _text(value):
    return "" if value is None else str(value)


class DealListener:
    """Follows the deals of one model; see `togai.subjects.Listener`."""

    def __init__(self, model):
        self.model = model

    def locked(self, subject_id):
        """The deal under its row lock."""
        return self.model.objects.select_for_update().get(pk=subject_id)

    def confirmed(self, delivery, remote, *, at):
        deal = self.locked(delivery.subject_id)
        deal.togai_refusal = deal.togai_problem = ""
        deal.save(update_fields=["togai_refusal", "togai_problem"])
        take_over(deal, remote, at=at)

    def rejected(self, delivery, *, message, at):
        deal = self.locked(delivery.subject_id)
        deal.togai_refusal = message[:600]
        deal.save(update_fields=["togai_refusal"])
        audit.record(deal, "refused_by_togai", by=None, at=at, after={"message": message})

    def stuck(self, delivery, *, message, at):
        deal = self.locked(delivery.subject_id)
        deal.togai_problem = message[:600]
        deal.save(update_fields=["togai_problem"])
        audit.record(deal, "needs_a_person", by=None, at=at, after={"message": message})

    def seen(self, subject_id, remote, *, at):
        take_over(self.locked(subject_id), remote, at=at)


def listen():
    """Have the deliveries of purchases reported here."""
    subjects.register(Purchase._meta.label, DealListener(Purchase))
