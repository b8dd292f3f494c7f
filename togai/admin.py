"""The administration of deliveries, of what Togai said, and of the work in the background: to read."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django_q.models import Failure, Schedule

from audit.admin import name_of
from audit.admin_pages import DeskModelAdmin, RoleGate, change_url, one_of, pill
from togai import statuses
from togai.models import Delivery, DeliveryAttempt, Drift, Link, RemoteSnapshot, Resolution


class AttemptInline(RoleGate, admin.TabularInline):
    model = DeliveryAttempt
    extra = 0
    can_delete = False
    verbose_name_plural = "What was tried"
    fields = readonly_fields = (
        "number",
        "purpose",
        "started_at",
        "finished_at",
        "http_status",
        "outcome",
        "learned",
        "worker",
        "release",
    )

    def get_queryset(self, request):
        return super().get_queryset(request).defer("response")


def subject_link(label, key, words):
    """A link to the page of what a row is about."""
    url = change_url(label, key)
    return format_html('<a href="{}">{}</a>', url, words) if url else words


@admin.register(Delivery)
class DeliveryAdmin(DeskModelAdmin):
    """Deliveries. What a person may do about one stands on its page in the product."""

    ordering = ("-created_at", "-pk")
    related = ("created_by", "depends_on")
    list_display = ("subject", "kind", "state_of", "sends", "account_id", "last_message", "by", "created_at")
    list_filter = (one_of("state", Delivery.State.choices), one_of("kind", Delivery.Kind.choices))
    search_fields = ("idempotency_key",)
    search_help_text = "A whole idempotency key, or a whole id at Togai."
    inlines = (AttemptInline,)
    fieldsets = (
        (None, {"fields": ("subject", "kind", "state_of", "held_because", "last_message", "last_error")}),
        ("What is sent", {"fields": ("account_id", "idempotency_key", "body_text", "body_sha256")}),
        ("At Togai", {"fields": ("remote_id", "remote_status")}),
        ("How it went", {"fields": ("sends", "ambiguous_attempts", "looks", "looks_absent", "next_at")}),
        ("Row", {"fields": ("revision", "depends_on", "by", "created_at", "closed_at")}),
    )
    readonly_fields = [name for _, options in fieldsets for name in options["fields"]]

    def for_list(self, queryset):
        return queryset.select_related(None).select_related("created_by").defer("body")

    def get_search_results(self, request, queryset, search_term):
        text = search_term.strip()
        if not text:
            return queryset, False
        rows = Delivery.objects
        found = [
            *rows.filter(idempotency_key=text).values_list("pk", flat=True)[:1],
            *rows.filter(kind__in=Delivery.CREATES, remote_id=text).values_list("pk", flat=True)[:1],
        ]
        return queryset.filter(pk__in=found), False

    def view_on_site(self, obj):
        return reverse("togai:delivery", args=[obj.pk])

    @admin.display(description="about")
    def subject(self, delivery):
        return delivery.subject_label

    @admin.display(description="state")
    def state_of(self, delivery):
        return pill(delivery.state, delivery.get_state_display())

    @admin.display(description="by")
    def by(self, delivery):
        return name_of(delivery.created_by)

    @admin.display(description="body")
    def body_text(self, delivery):
        return format_html("<pre>{}</pre>", bytes(delivery.body).decode())


@admin.register(Resolution)
class ResolutionAdmin(DeskModelAdmin):
    """How two people closed deliveries. It is asked, confirmed and dropped on the delivery's own pages."""

    related = ("delivery", "asked_by", "confirmed_by")
    list_display = ("delivery_of", "verb", "state_of", "asked", "asked_at", "confirmed", "confirmed_at")
    fields = readonly_fields = (
        "delivery_of",
        "verb",
        "remote_id",
        "reason",
        "state_of",
        "asked",
        "asked_at",
        "confirmed",
        "confirmed_at",
        "dropped_at",
    )

    def for_list(self, queryset):
        return queryset.defer("reason", "delivery__body")

    def view_on_site(self, obj):
        return reverse("togai:delivery", args=[obj.delivery_id])

    @admin.display(description="delivery")
    def delivery_of(self, resolution):
        return subject_link("togai.Delivery", resolution.delivery_id, str(resolution.delivery))

    @admin.display(description="state")
    def state_of(self, resolution):
        if resolution.confirmed_at:
            return pill("confirmed", "Confirmed")
        return (
            pill("withdrawn", "Dropped") if resolution.dropped_at else pill("waiting", "Waits for a second")
        )

    @admin.display(description="asked by")
    def asked(self, resolution):
        return name_of(resolution.asked_by)

    @admin.display(description="confirmed by")
    def confirmed(self, resolution):
        return name_of(resolution.confirmed_by)


@admin.register(Drift)
class DriftAdmin(DeskModelAdmin):
    """Where Togai's records differ from ours. Each is settled on the page of its deal."""

    related = ("settled_by",)
    list_display = ("field", "about", "state_of", "first_seen_at", "last_seen_at", "settled", "settled_at")
    fields = readonly_fields = (
        "field",
        "about",
        "ours",
        "theirs",
        "state_of",
        "first_seen_at",
        "last_seen_at",
        "settled",
        "settled_at",
        "reason",
    )

    def for_list(self, queryset):
        return queryset.defer("ours", "theirs", "reason")

    @admin.display(description="about")
    def about(self, drift):
        name = drift.subject_type.rpartition(".")[2].lower()
        return subject_link(drift.subject_type, drift.subject_id, f"{name} {drift.subject_id}")

    @admin.display(description="state")
    def state_of(self, drift):
        if drift.settled_at is None:
            return pill("attention", "Open")
        return pill("done", drift.get_how_display() or "Settled")

    @admin.display(description="settled by")
    def settled(self, drift):
        return name_of(drift.settled_by)


@admin.register(RemoteSnapshot)
class RemoteSnapshotAdmin(DeskModelAdmin):
    """The last copy of each record as Togai showed it."""

    list_display = ("remote_id", "about", "status_of", "fetched_at", "next_poll_at", "last_error")
    search_fields = ("remote_id",)
    search_help_text = "A whole id at Togai."
    fields = readonly_fields = (
        "remote_id",
        "about",
        "status_of",
        "fetched_at",
        "next_poll_at",
        "polls",
        "missing_since",
        "last_error",
        "raw_text",
    )

    def for_list(self, queryset):
        return queryset.defer("raw")

    def get_search_results(self, request, queryset, search_term):
        text = search_term.strip()
        return (queryset.filter(remote_id=text) if text else queryset), False

    @admin.display(description="about")
    def about(self, snapshot):
        name = snapshot.subject_type.rpartition(".")[2].lower()
        return subject_link(snapshot.subject_type, snapshot.subject_id, f"{name} {snapshot.subject_id}")

    @admin.display(description="status")
    def status_of(self, snapshot):
        return pill(snapshot.status, statuses.label(snapshot.status))

    @admin.display(description="record")
    def raw_text(self, snapshot):
        return format_html("<pre>{}</pre>", snapshot.raw)


@admin.register(Link)
class LinkAdmin(DeskModelAdmin):
    """How the line to Togai is."""

    list_display = ("__str__", "last_reached_at", "unreachable_since", "failures", "closed_until")
    fields = readonly_fields = ("last_reached_at", "unreachable_since", "failures", "closed_until", "why")


@admin.register(Schedule)
class ScheduleAdmin(DeskModelAdmin):
    """What the worker does by the clock."""

    list_display = ("name", "func", "minutes", "next_run")
    fields = readonly_fields = ("name", "func", "schedule_type", "minutes", "cron", "next_run")


@admin.register(Failure)
class FailureAdmin(DeskModelAdmin):
    """Work in the background that failed; the deliveries themselves lose nothing by it (R-08)."""

    ordering = ("-started", "-pk")
    list_display = ("func", "started", "stopped", "attempt_count")
    fields = readonly_fields = ("name", "func", "started", "stopped", "attempt_count")

    def for_list(self, queryset):
        return queryset.defer("args", "kwargs", "result", "hook")
