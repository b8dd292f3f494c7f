"""What was meant to reach Togai, what happened to it, and what Togai said last (reliability.md 2.2)."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from audit.models import AppendOnly

# How many claims of one row may have reached Togai before a person has to look; the constraint below
# is the wall, `deliveries.SEND_LIMITS` stops earlier.
MOST_SENDS = 4


class DeliveryQuerySet(models.QuerySet):
    def open(self):
        """Rows a worker still owes something."""
        return self.filter(state__in=Delivery.OPEN)

    def waiting(self):
        """Rows that have not reached Togai for certain, in the order in which they were meant."""
        return self.filter(state__in=Delivery.OPEN).order_by("created_at", "pk")

    def of(self, subject):
        """The deliveries of one row of an upper floor, oldest first."""
        return self.filter(subject_type=subject._meta.label, subject_id=str(subject.pk)).order_by(
            "created_at", "pk"
        )

    def for_listing(self):
        return self.select_related("created_by").defer("body").order_by("-created_at", "-pk")


class Delivery(models.Model):
    """One intended change at Togai: one row, one key, one frozen byte string (R-03)."""

    class Kind(models.TextChoices):
        CREATE_PROPOSAL = "CREATE_PROPOSAL", "Create the proposal"
        DECIDE = "DECIDE", "Decide the proposal"
        DECLINE_DUPLICATE = "DECLINE_DUPLICATE", "Decline a duplicate"
        CREATE_PURCHASE = "CREATE_PURCHASE", "Create the purchase"
        EDIT_ACCOUNT = "EDIT_ACCOUNT", "Edit the account"

    class State(models.TextChoices):
        NOT_SENT = "NOT_SENT", "Waiting to be sent"
        HELD = "HELD", "Held"
        SENDING = "SENDING", "Being sent"
        UNKNOWN = "UNKNOWN", "Being verified"
        CONFIRMED = "CONFIRMED", "Confirmed"
        REJECTED = "REJECTED", "Refused by Togai"
        NEEDS_HUMAN = "NEEDS_HUMAN", "Needs a person"

    CREATES = (Kind.CREATE_PROPOSAL, Kind.CREATE_PURCHASE)
    DECISIONS = (Kind.DECIDE, Kind.DECLINE_DUPLICATE)
    OPEN = (State.NOT_SENT, State.HELD, State.SENDING, State.UNKNOWN)
    # `last_error` of what ended without Togai's word: taken back before it left, or closed by two people.
    WITHDRAWN, DECLARED_ABSENT, ABANDONED = "withdrawn", "declared-absent", "abandoned"
    # How the words begin that two people leave on what they abandoned; the subject shows them.
    ABANDONED_BY = "Abandoned by "
    # How the message of one begins that Togai had carried out before it left.
    THERE_ALREADY = "Togai had it already"
    # And of what may have left after the backup that was restored.
    RESTORED = "restored"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=Kind)
    subject_type = models.CharField(max_length=60)
    subject_id = models.CharField(max_length=64)
    subject_label = models.CharField(max_length=200)
    revision = models.PositiveIntegerField()
    # 1, and one more for each time two people declared the one before absent at Togai.
    generation = models.PositiveSmallIntegerField(default=1)
    depends_on = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="dependants"
    )
    account_id = models.CharField(max_length=50)
    direction = models.CharField(max_length=10, blank=True)
    fingerprint = models.CharField(max_length=64)
    idempotency_key = models.CharField(max_length=64, unique=True)
    body = models.BinaryField()
    body_sha256 = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=State, default=State.NOT_SENT)
    held_because = models.CharField(max_length=300, blank=True)
    remote_id = models.CharField(max_length=512, blank=True)
    remote_status = models.CharField(max_length=60, blank=True)
    # Claims that may have reached Togai; a claim that provably did not is given back.
    sends = models.PositiveSmallIntegerField(default=0)
    ambiguous_attempts = models.PositiveSmallIntegerField(default=0)
    misses = models.PositiveIntegerField(default=0)
    # How often a worker ended in the middle of it (reliability.md 2.7, poison row).
    deaths = models.PositiveSmallIntegerField(default=0)
    looks = models.PositiveIntegerField(default=0)
    looks_absent = models.PositiveSmallIntegerField(default=0)
    last_absent_at = models.DateTimeField(null=True, blank=True)
    in_doubt_since = models.DateTimeField(null=True, blank=True)
    next_at = models.DateTimeField()
    claim_token = models.UUIDField(null=True, blank=True)
    claim_owner = models.CharField(max_length=120, blank=True)
    claim_until = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=40, blank=True)
    last_message = models.CharField(max_length=600, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["subject_type", "subject_id", "revision", "kind", "generation"],
                name="delivery_once_per_revision",
            ),
            models.UniqueConstraint(
                fields=["remote_id"],
                condition=Q(kind__in=["CREATE_PROPOSAL", "CREATE_PURCHASE"]) & ~Q(remote_id=""),
                name="delivery_remote_id_once",
            ),
            # Two look-alike creates are never in doubt at the same time, so a look can tell them apart
            #
            models.UniqueConstraint(
                fields=["account_id", "fingerprint"],
                condition=Q(
                    kind__in=["CREATE_PROPOSAL", "CREATE_PURCHASE"],
                    state__in=["SENDING", "UNKNOWN"],
                ),
                name="delivery_one_lookalike_in_doubt",
            ),
            models.CheckConstraint(
                condition=Q(
                    state__in=[
                        "NOT_SENT",
                        "HELD",
                        "SENDING",
                        "UNKNOWN",
                        "CONFIRMED",
                        "REJECTED",
                        "NEEDS_HUMAN",
                    ]
                ),
                name="delivery_state_known",
            ),
            models.CheckConstraint(condition=Q(sends__lte=MOST_SENDS), name="delivery_sends_bounded"),
            models.CheckConstraint(
                condition=Q(state="SENDING", claim_token__isnull=False, claim_until__isnull=False)
                | ~Q(state="SENDING"),
                name="delivery_sending_is_claimed",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_at"],
                name="delivery_due",
                condition=Q(state__in=["NOT_SENT", "HELD", "SENDING", "UNKNOWN"]),
            ),
            models.Index(fields=["subject_type", "subject_id", "created_at"], name="delivery_subject"),
            models.Index(fields=["state", "-created_at", "-id"], name="delivery_state"),
            models.Index(fields=["kind", "-created_at", "-id"], name="delivery_kind"),
            models.Index(F("created_at").desc(), F("id").desc(), name="delivery_newest"),
        ]

    @property
    def is_settled(self):
        """
        Whether what waits behind it may go: Togai has confirmed it, it was taken back unsent, or two people
        let it go.
        """
        let_go = self.last_error in (self.WITHDRAWN, self.ABANDONED)
        return self.state == self.State.CONFIRMED or (self.state == self.State.REJECTED and let_go)

    @property
    def decided_id(self):
        """Togai's id of the proposal that a decision is about; "" while its create has none."""
        if self.kind == self.Kind.DECLINE_DUPLICATE:
            return self.remote_id
        return self.depends_on.remote_id if self.depends_on else ""

    @property
    def is_withdrawn(self):
        return self.state == self.State.REJECTED and self.last_error == self.WITHDRAWN

    def __str__(self):
        return f"{self.get_kind_display()} · {self.subject_label}"

    @property
    def is_open(self):
        return self.state in self.OPEN

    @property
    def in_doubt(self):
        """Whether Togai may already hold this change without our knowing."""
        return self.ambiguous_attempts > 0 or self.state in (self.State.SENDING, self.State.UNKNOWN)


class DeliveryAttemptQuerySet(models.QuerySet):
    def that_were_answered(self):
        """Sends that left and brought an answer; not those which reading Togai had kept from leaving."""
        left = self.filter(purpose=DeliveryAttempt.Purpose.SEND).exclude(
            outcome__in=DeliveryAttempt.NOTHING_LEFT
        )
        return left.filter(http_status__isnull=False)


class DeliveryAttempt(models.Model):
    """Evidence: one send of or one look for a delivery, written before the call and completed after it."""

    class Purpose(models.TextChoices):
        SEND = "SEND", "Sent"
        LOOK = "LOOK", "Looked"

    # How a turn ends that was to send and did not.
    NOTHING_LEFT = ("there already", "not sent, needs a person", "not sent")

    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveIntegerField()
    purpose = models.CharField(max_length=4, choices=Purpose)
    claim_token = models.UUIDField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=40, blank=True)
    learned = models.CharField(max_length=600, blank=True)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    response_sha256 = models.CharField(max_length=64, blank=True)
    response = models.TextField(blank=True)
    worker = models.CharField(max_length=120)
    release = models.CharField(max_length=20)

    objects = DeliveryAttemptQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="attempt_number_once")]

    def __str__(self):
        return f"{self.get_purpose_display()} {self.started_at:%Y-%m-%d %H:%M:%S}"

    @property
    def is_answered_send(self):
        """The same as `that_were_answered`, of one."""
        is_send = self.purpose == self.Purpose.SEND and self.outcome not in self.NOTHING_LEFT
        return is_send and self.http_status is not None

    def delete(self, *args, **kwargs):
        raise AppendOnly("Evidence is kept.")


class RemoteSnapshot(models.Model):
    """The last copy of one proposal or purchase as Togai showed it, and when to look again."""

    remote_id = models.CharField(max_length=512, unique=True)
    kind = models.CharField(max_length=20, choices=Delivery.Kind)
    subject_type = models.CharField(max_length=60)
    subject_id = models.CharField(max_length=64)
    status = models.CharField(max_length=60)
    raw = models.TextField()
    fetched_at = models.DateTimeField()
    # None: final, followed no longer.
    next_poll_at = models.DateTimeField(null=True, blank=True)
    polls = models.PositiveIntegerField(default=0)
    missing_since = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_poll_at"], name="snapshot_due", condition=Q(next_poll_at__isnull=False)
            ),
            models.Index(fields=["subject_type", "subject_id"], name="snapshot_subject"),
        ]

    def __str__(self):
        return f"{self.remote_id}: {self.status}"


class Link(models.Model):
    """The one row that says how the line to Togai is: shared by all workers and shown in the banner."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    last_reached_at = models.DateTimeField(null=True, blank=True)
    unreachable_since = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    # Nothing is sent before this moment: a 429, an open circuit or a refused token (reliability.md 2.6).
    closed_until = models.DateTimeField(null=True, blank=True)
    why = models.CharField(max_length=300, blank=True)
    # Times that the line was tried in vain since it closed; each doubles the wait for the next.
    probes = models.PositiveIntegerField(default=0)
    # What the last minute brought, for the circuit.
    recent_since = models.DateTimeField(null=True, blank=True)
    recent_calls = models.PositiveIntegerField(default=0)
    recent_failures = models.PositiveIntegerField(default=0)
    # When the next call of any worker may leave: the one bucket that all share (T6).
    next_call_at = models.DateTimeField(null=True, blank=True)
    # When the next of them may leave that only follows what is sent.
    next_follow_at = models.DateTimeField(null=True, blank=True)

    # How far Togai's clock is ahead of ours, as its last answers say.
    skew_seconds = models.IntegerField(default=0)

    # A person stopped all sending (G-52).
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    paused_because = models.CharField(max_length=300, blank=True)
    # After a restore: workers read and look, and send nothing until a person has signed.
    look_only_since = models.DateTimeField(null=True, blank=True)
    look_only_because = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="link_is_one_row")]

    def __str__(self):
        return self.why or "Reachable"

    @classmethod
    def load(cls):
        """The row as it stands; an unsaved healthy one before the first call."""
        return cls.objects.filter(pk=1).first() or cls()

    @property
    def may_send(self):
        """Whether no person and no restore forbids sending; the state of the line is another question."""
        return self.paused_at is None and self.look_only_since is None


class Resolution(models.Model):
    """
    What one person proposes about a delivery that no automatic path is left for, and another one confirms
    (reliability.md 2.3).
    """

    class Verb(models.TextChoices):
        LINK = "LINK", "Link to a Togai id"
        DECLARE_ABSENT = "DECLARE_ABSENT", "Declare absent and send anew"
        ABANDON = "ABANDON", "Abandon"

    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="resolutions")
    verb = models.CharField(max_length=20, choices=Verb)
    remote_id = models.CharField(max_length=512, blank=True)
    reason = models.TextField()
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    confirmed_at = models.DateTimeField(null=True, blank=True)
    # Taken back by the one who asked, or refused by the other.
    dropped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["delivery"],
                condition=Q(confirmed_at__isnull=True, dropped_at__isnull=True),
                name="resolution_one_open",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_by__isnull=True) | ~Q(confirmed_by=F("asked_by")),
                name="resolution_four_eyes",
            ),
        ]

    def __str__(self):
        return f"{self.get_verb_display()}: {self.delivery}"


class Drift(models.Model):
    """One field in which Togai's record differs from ours, until a person settles it (R-06, G-50)."""

    class How(models.TextChoices):
        ACCEPTED = "ACCEPTED", "Theirs was accepted"
        REVISED = "REVISED", "A new revision was opened"
        IGNORED = "IGNORED", "Ignored"
        GONE = "GONE", "Equal again"

    subject_type = models.CharField(max_length=60)
    subject_id = models.CharField(max_length=64)
    field = models.CharField(max_length=200)
    ours = models.TextField(blank=True)
    theirs = models.TextField(blank=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    how = models.CharField(max_length=10, choices=How, blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "drift"
        constraints = [
            models.UniqueConstraint(
                fields=["subject_type", "subject_id", "field"],
                condition=Q(settled_at__isnull=True),
                name="drift_one_open_per_field",
            ),
        ]
        indexes = [
            models.Index(fields=["subject_type", "settled_at", "subject_id"], name="drift_subject"),
        ]

    def __str__(self):
        return f"{self.field} of {self.subject_type} {self.subject_id}"
