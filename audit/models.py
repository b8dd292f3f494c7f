"""The append-only record of who changed what, when, why and through which door."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models


class AppendOnly(RuntimeError):
    """Somebody tried to change or delete what is already on record."""

    def __init__(self, message="The record is only ever added to."):
        super().__init__(message)


class OnlyAddedTo(models.Model):
    """A row of the record: written once, never changed and never deleted (S-28)."""

    class Meta:
        abstract = True

    def save(self, *args, **kwargs):
        if self.pk is not None:
            raise AppendOnly
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        raise AppendOnly


class OnlyAddedToQuerySet(models.QuerySet):
    def update(self, **kwargs):
        raise AppendOnly

    def delete(self):
        raise AppendOnly


class EventQuerySet(OnlyAddedToQuerySet):
    def about(self, subject):
        """Everything on record about one row, oldest first."""
        return self.filter(subject_type=subject._meta.label, subject_id=str(subject.pk)).order_by("seq")


class Event(OnlyAddedTo):
    """One change of one subject, chained to the one before it by hash (S-27, S-29)."""

    subject_type = models.CharField(max_length=60)
    subject_id = models.CharField(max_length=64)
    subject_label = models.CharField(max_length=200)
    seq = models.PositiveIntegerField()
    at = models.DateTimeField()
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    actor_roles = models.CharField(max_length=120, blank=True)
    on_behalf_of = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    channel = models.CharField(max_length=20)
    request_id = models.CharField(max_length=64, blank=True)
    address = models.CharField(max_length=64, blank=True)
    batch_id = models.UUIDField(null=True, blank=True)
    verb = models.CharField(max_length=40)
    reason_code = models.CharField(max_length=40, blank=True)
    reason = models.TextField(blank=True)
    before = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    after = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["subject_type", "subject_id", "seq"], name="event_seq_once"),
        ]
        indexes = [
            models.Index(
                fields=["batch_id", "id"], name="event_batch", condition=models.Q(batch_id__isnull=False)
            ),
            models.Index(fields=["actor", "-id"], name="event_actor"),
            models.Index(fields=["verb", "-id"], name="event_verb"),
            models.Index(fields=["channel", "-id"], name="event_channel"),
        ]

    def __str__(self):
        return f"{self.subject_label}: {self.verb}"


class Denial(OnlyAddedTo):
    """A request of somebody signed in that was refused: not allowed, not theirs, or too late (S-01, S-30)."""

    at = models.DateTimeField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    actor_roles = models.CharField(max_length=120, blank=True)
    channel = models.CharField(max_length=20)
    request_id = models.CharField(max_length=64, blank=True)
    address = models.CharField(max_length=64, blank=True)
    method = models.CharField(max_length=10)
    path = models.CharField(max_length=300)
    status = models.PositiveSmallIntegerField()

    objects = OnlyAddedToQuerySet.as_manager()

    class Meta:
        verbose_name = "refused request"
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["actor", "-id"], name="denial_actor"),
            models.Index(fields=["status", "-id"], name="denial_status"),
        ]

    def __str__(self):
        return f"{self.status} {self.method} {self.path}"
