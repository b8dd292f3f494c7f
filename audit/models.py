"""The append-only record of who changed what, when, why and through which door."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models


class AppendOnly(RuntimeError):
    """Somebody tried to change or delete what is already on record."""


class EventQuerySet(models.QuerySet):
    def about(self, subject):
        """Everything on record about one row, oldest first."""
        return self.filter(subject_type=subject._meta.label, subject_id=str(subject.pk)).order_by("seq")

    def update(self, **kwargs):
        raise AppendOnly("The record is only ever added to.")

    def delete(self):
        raise AppendOnly("The record is only ever added to.")


class Event(models.Model):
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

    def save(self, *args, **kwargs):
        if self.pk is not None:
            raise AppendOnly("The record is only ever added to.")
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        raise AppendOnly("The record is only ever added to.")
