"""The administration of proposals, of what was decided about them, and of the reasons people give."""

from django import forms
from django.contrib import admin
from django.utils import timezone

from accounts.admin import ByOwner, OwnerQuestions
from audit.admin import name_of
from audit.admin_pages import ADMINISTRATORS, Bulk, CarefulForm, DeskModelAdmin, one_of
from proposals import bulk, listing
from proposals.models import ApprovalStep, CustomerLink, Decision, LineNote, Notice, Proposal, ReasonCode
from purchases import bulk as deals
from purchases.admin import DealAdmin, ReadOnlyInline, ReasonQuestions, ValidityQuestions
from togai import statuses


class ModeQuestions(forms.Form):
    """When the customer pays."""

    payment_mode = forms.ChoiceField(
        label="Payment mode", choices=Proposal.PaymentMode.choices, widget=forms.RadioSelect
    )


class DeclineQuestions(ReasonQuestions):
    """Why not: a code that reports count, and words that the author reads (G-27)."""

    reason_code = forms.ModelChoiceField(
        label="Reason code", queryset=ReasonCode.objects.filter(active=True, for_decline=True)
    )
    field_order = ("reason_code", "reason")


class StepInline(ReadOnlyInline):
    model = ApprovalStep
    fields = readonly_fields = ("order", "role", "because", "state")
    verbose_name_plural = "Approval"


class DecisionInline(ReadOnlyInline):
    model = Decision
    related = ("by", "reason_code", "step")
    fields = readonly_fields = ("verb", "person", "at", "reason_code", "reason")
    verbose_name_plural = "Decisions"

    @admin.display(description="by")
    def person(self, decision):
        return name_of(decision.by)


class CustomerLinkInline(ReadOnlyInline):
    model = CustomerLink
    related = ("created_by", "revoked_by")
    fields = ("made_by", "created_at", "expires_at", "ended_by", "revoked_at", "views", "last_viewed_at")
    readonly_fields = fields
    verbose_name_plural = "Links for the customer"

    @admin.display(description="made by")
    def made_by(self, link):
        return name_of(link.created_by)

    @admin.display(description="revoked by")
    def ended_by(self, link):
        return name_of(link.revoked_by)


@admin.register(Proposal)
class ProposalAdmin(DealAdmin):
    """Proposals, the newest revision of each; older ones have a page and the record."""

    edit_url = "proposals:edit"
    related = (*DealAdmin.related, "decided_by", "previous")
    terms = (*DealAdmin.terms, "payment_mode")
    people = (*DealAdmin.people, "decided_by", "decided_at")
    row = (*DealAdmin.row, "previous")
    inlines = (StepInline, DecisionInline, CustomerLinkInline)
    list_filter = (
        one_of("status", Proposal.Status.choices),
        one_of("togai_status", list(statuses.LABELS.items()), title="status at Togai"),
        one_of("type", Proposal.Type.choices),
        one_of("payment_mode", Proposal.PaymentMode.choices),
        ByOwner,
    )
    search_help_text = "A number such as P-000123, or any part of an account’s name or id."
    bulk_actions = {
        "change_owner": Bulk(deals.ChangeOwner(Proposal), OwnerQuestions),
        "extend_validity": Bulk(deals.ExtendValidity(Proposal), ValidityQuestions),
        "set_payment_mode": Bulk(bulk.SetPaymentMode(Proposal), ModeQuestions),
        "submit": Bulk(bulk.Submit(Proposal)),
        "approve": Bulk(bulk.Approve(Proposal)),
        "decline": Bulk(bulk.Decline(Proposal), DeclineQuestions),
    }

    def for_list(self, queryset):
        return super().for_list(queryset).filter(is_live=True)

    def narrowed(self, request, text):
        return listing.narrowed(request.user, {"q": text}, at=timezone.now())


class LineNoteInline(ReadOnlyInline):
    model = LineNote
    fields = readonly_fields = ("label", "text")
    verbose_name_plural = "Notes on lines"


@admin.register(Decision)
class DecisionAdmin(DeskModelAdmin):
    """What people said about proposals: kept as it was said."""

    related = ("proposal", "by", "reason_code", "step")
    list_display = ("proposal", "said", "person", "at", "reason_code", "reason")
    inlines = (LineNoteInline,)
    fields = readonly_fields = (
        "proposal",
        "said",
        "person",
        "at",
        "step",
        "reason_code",
        "reason",
        "content_hash",
    )

    @admin.display(description="decision")
    def said(self, decision):
        return decision.get_verb_display()

    @admin.display(description="by")
    def person(self, decision):
        return name_of(decision.by)


class ReasonCodeForm(CarefulForm):
    class Meta:
        model = ReasonCode
        fields = ("code", "label", "for_decline", "for_changes", "for_recall", "active", "position")


@admin.register(ReasonCode)
class ReasonCodeAdmin(DeskModelAdmin):
    """Reasons: their words may change, their code never, and none goes that a decision names (G-27)."""

    written_by = added_by = removed_by = ADMINISTRATORS
    ordering = ("code",)
    form = ReasonCodeForm
    list_display = ("label", "code", "for_decline", "for_changes", "for_recall", "active", "position")

    def get_fieldsets(self, request, obj=None):
        careful = ("seen",) if obj and self.has_change_permission(request, obj) else ()
        return (
            (None, {"fields": ("code", "label", "active", "position", *careful)}),
            ("Offered when somebody", {"fields": ("for_decline", "for_changes", "for_recall")}),
        )

    def get_readonly_fields(self, request, obj=None):
        return ("code",) if obj else ()

    def has_delete_permission(self, request, obj=None):
        allowed = super().has_delete_permission(request, obj)
        if not allowed or obj is None:
            return allowed
        return not Decision.objects.filter(reason_code=obj).exists()


@admin.register(Notice)
class NoticeAdmin(DeskModelAdmin):
    """Who was told what, when, and whether a mail was sent."""

    related = ("proposal", "person", "by")
    list_display = ("proposal", "kind", "to", "created_at", "read_at", "mailed_at")
    list_filter = (one_of("kind", Notice.Kind.choices),)
    fields = readonly_fields = (
        "proposal",
        "kind",
        "to",
        "caused_by",
        "created_at",
        "read_at",
        "mail_due",
        "mailed_at",
    )

    @admin.display(description="to")
    def to(self, notice):
        return name_of(notice.person)

    @admin.display(description="caused by")
    def caused_by(self, notice):
        return name_of(notice.by)
