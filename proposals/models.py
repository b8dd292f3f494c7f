"""Proposals, who decides them, and what they said."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Length
from django.urls import reverse

from accounts.models import owners_visible_to
from audit.models import AppendOnly
from audit.roles import Role
from purchases import terms as domain
from purchases.models import Deal, terms_constraints

models.TextField.register_lookup(Length)

# The shortest reason that says something (G-27).
SHORTEST_REASON = 10


class ProposalQuerySet(models.QuerySet):
    def visible_to(self, user):
        """The proposals a person may see; others do not exist for them (404)."""
        return self.filter(owners_visible_to(user))

    def live(self):
        """One row per deal: its newest revision."""
        return self.filter(is_live=True)

    def for_listing(self):
        return self.select_related("account", "price_plan", "owner").order_by("-pk")


class Proposal(Deal):
    """One revision of a price plan offered to an account: written by sales, decided by finance."""

    class Status(models.TextChoices):
        DRAFT = "DRAFT", "Draft"
        SUBMITTED = "SUBMITTED", "Submitted"
        APPROVED = "APPROVED", "Approved"
        DECLINED = "DECLINED", "Declined"
        CHANGES_REQUESTED = "CHANGES_REQUESTED", "Changes requested"
        RECALLED = "RECALLED", "Recalled"
        EXPIRED = "EXPIRED", "Expired"

    PaymentMode = models.TextChoices(
        "PaymentMode", [(mode.name, (mode.value, mode.label)) for mode in domain.PaymentMode]
    )

    # The one table of moves (G-34); everything that is not in it is refused.
    MOVES = {
        Status.DRAFT: {Status.SUBMITTED},
        Status.SUBMITTED: {
            Status.APPROVED,
            Status.DECLINED,
            Status.CHANGES_REQUESTED,
            Status.RECALLED,
            Status.EXPIRED,
        },
    }
    # In these Togai is meant to hold it.
    SENT = (Status.SUBMITTED, Status.APPROVED)
    # A revision in one of these may be followed by the next one.
    REVISABLE = (Status.DECLINED, Status.CHANGES_REQUESTED, Status.RECALLED, Status.EXPIRED)

    status = models.CharField(max_length=20, choices=Status, default=Status.DRAFT)
    payment_mode = models.CharField(max_length=10, choices=PaymentMode, blank=True)
    is_live = models.BooleanField(default=True, editable=False)
    previous = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="next", editable=False
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        editable=False,
    )
    decided_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ProposalQuerySet.as_manager()

    class Meta:
        constraints = [
            *terms_constraints(),
            models.UniqueConstraint(fields=["number", "revision"], name="proposal_revision_once"),
            models.UniqueConstraint(fields=["number"], condition=Q(is_live=True), name="proposal_one_live"),
            models.UniqueConstraint(
                fields=["togai_id"], condition=~Q(togai_id=""), name="proposal_togai_id_once"
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        "DRAFT",
                        "SUBMITTED",
                        "APPROVED",
                        "DECLINED",
                        "CHANGES_REQUESTED",
                        "RECALLED",
                        "EXPIRED",
                    ]
                ),
                name="proposal_status_known",
            ),
            models.CheckConstraint(
                condition=Q(payment_mode__in=["", "PREPAID", "POSTPAID"]), name="proposal_payment_mode_known"
            ),
            models.CheckConstraint(
                condition=Q(status="DRAFT") | ~Q(payment_mode=""), name="proposal_payment_mode_when_sent"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["APPROVED", "DECLINED", "CHANGES_REQUESTED"])
                | Q(decided_by__isnull=False),
                name="proposal_decided_by_somebody",
            ),
            # Four eyes even for a shell; services.approve also refuses every earlier editor.
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True)
                | (
                    ~Q(decided_by=F("created_by"))
                    & ~Q(decided_by=F("last_edited_by"))
                    & (Q(submitted_by__isnull=True) | ~Q(decided_by=F("submitted_by")))
                ),
                name="proposal_four_eyes",
            ),
        ]
        indexes = [
            models.Index(fields=["-id"], name="proposal_live", condition=Q(is_live=True)),
            models.Index(fields=["status", "-id"], name="proposal_status", condition=Q(is_live=True)),
            models.Index(fields=["owner", "-id"], name="proposal_owner", condition=Q(is_live=True)),
            models.Index(
                fields=["owner", "status", "-id"], name="proposal_owner_status", condition=Q(is_live=True)
            ),
            models.Index(fields=["account", "-id"], name="proposal_account", condition=Q(is_live=True)),
            models.Index(fields=["price_plan", "-id"], name="proposal_plan", condition=Q(is_live=True)),
            models.Index(fields=["type", "-id"], name="proposal_type", condition=Q(is_live=True)),
            models.Index(fields=["payment_mode", "-id"], name="proposal_mode", condition=Q(is_live=True)),
            models.Index(
                fields=["togai_status", "-id"], name="proposal_togai_status", condition=Q(is_live=True)
            ),
            models.Index(fields=["status", "submitted_at", "id"], name="proposal_waiting"),
            # Whole, because SQLite does not see that `status = ?` is the condition of a partial one.
            models.Index(fields=["status", "valid_until", "id"], name="proposal_expiring"),
            models.Index(fields=["status", "togai_refusal", "id"], name="proposal_refused"),
        ]

    def __str__(self):
        return f"{self.reference} r{self.revision}"

    @property
    def reference(self):
        """The number people quote, e.g. P-000123; all revisions of a deal share it."""
        return f"P-{self.number:06d}"

    def can_become(self, status):
        return status in self.MOVES.get(self.status, ())

    @property
    def is_draft(self):
        return self.status == self.Status.DRAFT

    @property
    def is_waiting(self):
        return self.status == self.Status.SUBMITTED

    @property
    def is_declined_at_togai(self):
        """Whether somebody declined it in Togai's own console: no yes of ours can reach it there (R-24)."""
        return self.is_waiting and self.togai_status == "PROPOSAL_DECLINED"

    @property
    def is_revisable(self):
        return self.is_live and (self.status in self.REVISABLE or self.was_never_created)

    @property
    def was_never_created(self):
        """Whether Togai refused to create it, maybe after it was approved here: nothing exists there."""
        return self.status in self.SENT and bool(self.togai_refusal) and not self.togai_id

    def get_absolute_url(self):
        """The page of the newest revision, or of this one when a newer exists."""
        if self.is_live:
            return reverse("proposals:detail", args=[self.reference])
        return reverse("proposals:revision", args=[self.reference, self.revision])


class ReasonCode(models.Model):
    """Why somebody declined, asked for changes or recalled; words that admins edit and reports count."""

    code = models.SlugField(primary_key=True, max_length=40)
    label = models.CharField(max_length=80)
    for_decline = models.BooleanField(default=True)
    for_changes = models.BooleanField(default=True)
    for_recall = models.BooleanField(default=False)
    active = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "label"]

    def __str__(self):
        return self.label


class ApprovalStep(models.Model):
    """One yes that a submitted proposal needs: by whom (a role), in which order, why, and what came of it."""

    class State(models.TextChoices):
        WAITING = "WAITING", "Waiting"
        APPROVED = "APPROVED", "Approved"
        ENDED = "ENDED", "No longer needed"

    Role = models.TextChoices("Role", [(role.name, (role.value, role.label)) for role in Role])

    proposal = models.ForeignKey(Proposal, on_delete=models.CASCADE, related_name="steps")
    order = models.PositiveSmallIntegerField()
    role = models.CharField(max_length=20, choices=Role)
    because = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)

    class Meta:
        ordering = ["order"]
        constraints = [models.UniqueConstraint(fields=["proposal", "order"], name="step_order_once")]

    def __str__(self):
        return f"{self.get_role_display()}: {self.get_state_display()}"


class Decision(models.Model):
    """What one person said about one revision, with the content they saw. Never changed, never deleted."""

    class Verb(models.TextChoices):
        APPROVE = "approve", "Approved"
        DECLINE = "decline", "Declined"
        REQUEST_CHANGES = "request_changes", "Asked for changes"
        RECALL = "recall", "Recalled"

    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="decisions")
    step = models.ForeignKey(
        ApprovalStep, null=True, blank=True, on_delete=models.PROTECT, related_name="decisions"
    )
    verb = models.CharField(max_length=20, choices=Verb)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="decisions")
    at = models.DateTimeField()
    reason_code = models.ForeignKey(
        ReasonCode, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.TextField(blank=True, max_length=1000)
    content_hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(verb="approve")
                | (Q(reason__length__gte=SHORTEST_REASON) & Q(reason_code__isnull=False)),
                name="decision_says_why",
            ),
        ]
        indexes = [models.Index(fields=["by", "-id"], name="decision_by")]

    def __str__(self):
        return f"{self.get_verb_display()} by {self.by}"

    def delete(self, *args, **kwargs):
        raise AppendOnly("Decisions are kept.")


class LineNote(models.Model):
    """What finance said about one line of the terms when asking for changes (G-26)."""

    decision = models.ForeignKey(Decision, on_delete=models.CASCADE, related_name="line_notes")
    # The card's kind and billable id, or a field's name.
    line = models.CharField(max_length=120)
    label = models.CharField(max_length=255)
    text = models.CharField(max_length=500)

    class Meta:
        ordering = ["pk"]

    def __str__(self):
        return f"{self.label}: {self.text}"


class CustomerLinkQuerySet(models.QuerySet):
    def open(self, at):
        """Those that open something now."""
        return self.filter(revoked_at__isnull=True, expires_at__gt=at)


class CustomerLink(models.Model):
    """
    A door through which a customer reads one approved revision (P-30); `proposals.customer_links` writes it.
    """

    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="customer_links")
    # SHA-256 of the token in the address, which is stored nowhere.
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    views = models.PositiveIntegerField(default=0)
    last_viewed_at = models.DateTimeField(null=True, blank=True)

    objects = CustomerLinkQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="link_ends_after_start"),
            models.CheckConstraint(
                condition=Q(revoked_at__isnull=True, revoked_by__isnull=True)
                | Q(revoked_at__isnull=False, revoked_by__isnull=False),
                name="link_revoked_by_somebody",
            ),
        ]

    def __str__(self):
        return f"Link {self.pk} for the customer"

    def is_open(self, at):
        """Whether it opens anything at this moment."""
        return self.revoked_at is None and at < self.expires_at


class NoticeQuerySet(models.QuerySet):
    def visible_to(self, user):
        """A person's own notices about proposals that they may still see; others do not exist for them."""
        return self.filter(owners_visible_to(user, "proposal__owner"), person=user)

    def for_listing(self):
        """With what their words need; the unread first, then the newest."""
        return self.select_related("proposal__account", "by").order_by("is_read", "-pk")


class Notice(models.Model):
    """Something about one revision that one person should know; written by `proposals.notices` alone."""

    class Kind(models.TextChoices):
        RECALLED = "RECALLED", "Recalled"
        EXPIRES_IN_7 = "EXPIRES_IN_7", "Ends within 7 days"
        EXPIRES_IN_1 = "EXPIRES_IN_1", "Ends within a day"
        CONFLICT = "CONFLICT", "Otherwise at Togai"
        FAILED = "FAILED", "Failed at Togai"

    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices", db_index=False
    )
    proposal = models.ForeignKey(Proposal, on_delete=models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=20, choices=Kind)
    # Who caused it; None for the clock.
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField()
    # Beside the moment, because a list pages by what is never NULL.
    is_read = models.BooleanField(default=False)
    read_at = models.DateTimeField(null=True, blank=True)
    # Whether a mail is still to be tried; `mailed_at` says that one was.
    mail_due = models.BooleanField(default=True)
    mailed_at = models.DateTimeField(null=True, blank=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "proposal", "kind"], name="notice_once"),
            models.CheckConstraint(
                condition=Q(is_read=True, read_at__isnull=False) | Q(is_read=False, read_at__isnull=True),
                name="notice_read_at_a_moment",
            ),
        ]
        indexes = [
            models.Index(fields=["person", "is_read", "-id"], name="notice_of_person"),
            models.Index(fields=["id"], name="notice_mail_due", condition=Q(mail_due=True)),
        ]

    def __str__(self):
        return f"{self.proposal}: {self.get_kind_display()}"
