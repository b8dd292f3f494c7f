"""What Togai said about a deal, written into the columns that are Togai's alone."""

from django.conf import settings

from audit import services as audit
from audit.roles import DRAFTS, has_role
from purchases import drift, settling
from purchases.drafts import business_day
from purchases.models import Purchase
from togai import subjects
from togai.models import Delivery

# What Togai's record of a released purchase may say; anything else is drift and is shown, never overwritten
#
EXPECTED = {Purchase.Status.SENT: {"PENDING", "IN_PROGRESS", "SUCCESS", "FAILURE"}}

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


def why_stale(deal, *, since, at):
    """
    Why a deal should not be created at Togai any more, in a sentence; "" while it may.

    :param since: when sending it was decided; a start in the past that was meant then is still meant
    """
    today = business_day(at)
    if deal.valid_until and today > deal.valid_until:
        return f"Its validity ended on {deal.valid_until:%-d %b %Y}."
    if deal.effective_from and business_day(since) <= deal.effective_from < today:
        return f"It was to start on {deal.effective_from:%-d %b %Y}."
    if deal.price_plan and deal.price_plan.status != "ACTIVE":
        return f"The price plan {deal.price_plan.name} is no longer offered."
    if not (deal.owner.is_active and has_role(deal.owner, *DRAFTS)):
        return f"{deal.owner} no longer works on deals."
    return ""


def differences(deal, remote):
    """What Togai's record of a deal says otherwise than the terms that were sent, as `drift.Difference`s."""
    creates = Delivery.objects.of(deal).filter(kind__in=Delivery.CREATES, remote_id=remote.id)
    return drift.differences(
        deal.terms(),
        remote,
        details=deal.price_plan.details if deal.price_plan else {},
        zone=settings.BUSINESS_TIME_ZONE,
        account_id=deal.account.togai_id if deal.account else "",
        key=creates.values_list("idempotency_key", flat=True).last() or "",
    )


def contradiction(deal, expected):
    """
    The status as a difference, in a list: [] while Togai says what it may say.

    :param expected: by our status the words of Togai's that fit it
    """
    if deal.togai_status in expected.get(deal.status, {deal.togai_status}):
        return []
    said = deal.togai_status.removeprefix("PROPOSAL_").replace("_", " ").capitalize()
    return [drift.Difference("status", deal.get_status_display(), said)]


class DealListener:
    """Follows the deals of one model; see `togai.subjects.Listener`."""

    def __init__(self, model, expected):
        """:param expected: by our status the statuses of Togai's that fit it"""
        self.model, self.expected = model, expected

    def locked(self, subject_id):
        """The deal under its row lock."""
        return self.model.objects.select_for_update().get(pk=subject_id)

    def confirmed(self, delivery, remote, *, at):
        deal = self.locked(delivery.subject_id)
        deal.togai_refusal = deal.togai_problem = ""
        deal.save(update_fields=["togai_refusal", "togai_problem"])
        self.learned(deal, remote, at=at)

    def rejected(self, delivery, *, message, at):
        deal = self.locked(delivery.subject_id)
        deal.togai_refusal = message[:600]
        deal.save(update_fields=["togai_refusal"])
        # Where a person has closed it, nobody has to look any more.
        settling.summarise(deal)
        verb = "abandoned" if deal.is_abandoned else "refused_by_togai"
        audit.record(deal, verb, by=None, at=at, after={"message": message})

    def stuck(self, delivery, *, message, at):
        deal = self.locked(delivery.subject_id)
        deal.togai_problem = message[:600]
        deal.save(update_fields=["togai_problem"])
        audit.record(deal, "needs_a_person", by=None, at=at, after={"message": message})

    def seen(self, subject_id, remote, *, at):
        self.learned(self.locked(subject_id), remote, at=at)

    def gone(self, subject_id, *, at):
        """It is shown, and nothing is created again by itself (reliability.md 2.7)."""
        settling.note(self.locked(subject_id), [settling.GONE], at=at, whole=False)

    def twin_found(self, delivery, remote_id, *, at):
        """Finance sees it at the deal; what it costs at Togai is not ours to correct (R-06)."""
        return settling.note_twin(self.locked(delivery.subject_id), remote_id, at=at)

    def twin_declined(self, delivery, *, at):
        settling.close_twin(self.locked(delivery.subject_id), delivery.remote_id, at=at)

    def follow(self, deal, *, at):
        """What Togai's word changes in our own status: of a purchase nothing."""

    def learned(self, deal, remote, *, at):
        """Togai's columns from its record, and what of that record is not as we have it."""
        take_over(deal, remote, at=at)
        self.follow(deal, at=at)
        settling.note(deal, [*contradiction(deal, self.expected), *differences(deal, remote)], at=at)

    def stale(self, delivery, *, at):
        """
        Why a create that waited long should not leave as it is: it would be refused, or surprise somebody
        (reliability.md 2.7, "Togai down a day"). Decisions and declines are always still meant.
        """
        if delivery.kind not in Delivery.CREATES:
            return ""
        deal = self.model.objects.select_related("account", "price_plan", "owner").get(pk=delivery.subject_id)
        return why_stale(deal, since=delivery.created_at, at=at)


def listen():
    """Have the deliveries of purchases reported here."""
    subjects.register(Purchase._meta.label, DealListener(Purchase, EXPECTED))
