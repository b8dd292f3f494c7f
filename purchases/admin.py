"""The administration of the catalogue and of purchases; proposals use what deals have in common."""

import json

from django import forms
from django.contrib import admin
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join

from accounts.admin import ByOwner, OwnerQuestions
from audit.admin import name_of
from audit.admin_pages import ADMINISTRATORS, Bulk, CarefulForm, DeskModelAdmin, RoleGate, one_of, pill
from purchases import bulk, deal_templates, drafts, figures, listing
from purchases.models import DealTemplate, Feature, NumberSequence, PricePlan, Purchase, RateCard
from purchases.services import SHORTEST_REASON
from togai import statuses

DIRECT_STATUSES = [
    (code, words) for code, words in statuses.LABELS.items() if not code.startswith("PROPOSAL_")
]


class ReadOnlyInline(RoleGate, admin.TabularInline):
    """Rows that belong to a row, to look at."""

    extra = 0
    can_delete = False
    related = ()

    def get_queryset(self, request):
        return super().get_queryset(request).select_related(*self.related)


def money(amount, currency):
    """An amount as every page shows it; never 0 for what nobody knows."""
    if amount is None:
        return format_html('<span class="unknown">{}</span>', "unknown")
    return format_html(
        '<span class="money"><span class="money__amount">{}</span>'
        ' <span class="money__currency">{}</span></span>',
        figures.amount(amount, currency),
        currency,
    )


def stored(value):
    """A JSON column, to read."""
    if value in (None, {}, []):
        return "—"
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))


# --- The catalogue ---


class RateCardInline(ReadOnlyInline):
    model = RateCard
    fields = readonly_fields = ("kind", "billable_id", "name", "terms")

    @admin.display(description="terms")
    def terms(self, card):
        return stored(card.details)


@admin.register(PricePlan)
class PricePlanAdmin(DeskModelAdmin):
    """Price plans as pulled from Togai, newest version each; older versions are linked from their deals."""

    ordering = ("name", "pk")
    list_display = ("name", "togai_id", "version", "type", "state", "sold_in", "pulled_at")
    list_filter = (one_of("type", PricePlan.Type.choices), one_of("status", PricePlan.Status.choices))
    search_fields = ("togai_id",)
    search_help_text = "How the name begins, or the whole id."
    inlines = (RateCardInline,)
    fields = readonly_fields = (
        "name",
        "togai_id",
        "version",
        "is_latest",
        "description",
        "type",
        "state",
        "sold_in",
        "pricing_cycle",
        "pulled_at",
    )

    def for_list(self, queryset):
        return queryset.filter(is_latest=True)

    def get_search_results(self, request, queryset, search_term):
        text = search_term.strip()
        if text:
            named = queryset.model.objects.filter(is_latest=True)
            found = [
                *named.filter(togai_id=text).values_list("pk", flat=True)[:1],
                *named.filter(name__istartswith=text).values_list("pk", flat=True)[: listing.MOST_ACCOUNTS],
            ]
            queryset = queryset.filter(pk__in=found)
        return queryset, False

    @admin.display(description="status")
    def state(self, plan):
        return pill(plan.status, plan.get_status_display())

    @admin.display(description="sold in")
    def sold_in(self, plan):
        return ", ".join(plan.currencies) or "—"

    @admin.display(description="pricing cycle")
    def pricing_cycle(self, plan):
        return stored(plan.cycle)


@admin.register(Feature)
class FeatureAdmin(DeskModelAdmin):
    list_display = ("togai_id", "name", "display_name", "pulled_at")
    search_fields = ("togai_id",)
    search_help_text = "The whole id of a feature."
    fields = readonly_fields = ("togai_id", "name", "display_name", "pulled_at")

    def get_search_results(self, request, queryset, search_term):
        text = search_term.strip()
        return (queryset.filter(togai_id=text) if text else queryset), False


@admin.register(NumberSequence)
class NumberSequenceAdmin(DeskModelAdmin):
    """The last number given out per kind of deal."""

    ordering = ("name",)
    list_display = ("name", "last")
    fields = readonly_fields = ("name", "last")


# --- Deals ---


class TextForm(forms.ModelForm):
    """
    The words around a draft, saved through the service; its terms are edited in the product.

    Refuses to save over somebody else and shows what was, what they wrote and what is typed (G-07).
    """

    read_version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        fields = drafts.DESK_FIELDS
        widgets = {"internal_note": forms.Textarea(attrs={"rows": 4})}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.initial["read_version"] = self.instance.version

    def clean(self):
        cleaned = super().clean()
        read = cleaned.get("read_version")
        if read == self.initial["read_version"]:
            return cleaned
        was, later = drafts.plain_at(self.instance, read or 0)
        who = f"{name_of(later[0].actor)} saved this draft" if later else "Somebody changed this draft"
        # Whoever saves again has read what it says now.
        self.data = self.data.copy()
        self.data[self.add_prefix("read_version")] = self.initial["read_version"]
        for name in drafts.DESK_FIELDS:
            if was[name] != self.initial[name]:
                told = f"It was “{was[name]}” when you opened it and is “{self.initial[name]}” now."
                self.add_error(name, told)
        raise forms.ValidationError(
            f"{who} after you opened it. What you typed is still here; save again to put it in place."
        )


class ShowsPlan:
    """A column that leads to the plan of what is listed."""

    @admin.display(description="plan")
    def plan_of(self, row):
        if row.price_plan is None:
            return "—"
        url = reverse("admin:purchases_priceplan_change", args=[row.price_plan_id])
        return format_html('<a href="{}">{}</a>', url, row.price_plan)


class DealAdmin(ShowsPlan, DeskModelAdmin):
    """
    Deals: looked at here, moved only by services. Their words can be edited while they are drafts.

    Status, Togai's columns, numbers and hashes are shown and never taken (S-06).
    """

    form = TextForm
    related = ("account", "price_plan", "owner", "created_by", "last_edited_by", "submitted_by")
    list_display = (
        "reference_of",
        "account_of",
        "plan_of",
        "type",
        "value",
        "state",
        "at_togai",
        "whose",
        "valid_until",
    )
    # Columns of a row of the list; the terms stay in the table.
    shown = (
        "number",
        "revision",
        "version",
        "title",
        "type",
        "status",
        "currency",
        "estimate",
        "togai_status",
        "valid_until",
        "account__togai_id",
        "account__name",
        "price_plan__name",
        "price_plan__version",
        "owner__username",
        "owner__first_name",
        "owner__last_name",
    )
    search_fields = ("number",)
    about = ("reference_of", "revision", "state")
    people = ("whose", "created_by", "last_edited_by", "submitted_by", "submitted_at")
    terms = ("account_of", "plan_of", "type", "quantities", "wallet", "period", "prices")
    there = (
        "at_togai",
        "togai_id",
        "togai_value",
        "togai_invoice_id",
        "togai_comment",
        "togai_refusal",
        "togai_problem",
        "togai_seen_at",
    )
    row = ("version", "content_hash", "created_at", "updated_at")
    edit_url = ""

    def narrowed(self, request, text):
        """The deals that a search finds, and whether it met too many accounts."""
        raise NotImplementedError

    def for_list(self, queryset):
        return (
            queryset.select_related(None).select_related("account", "price_plan", "owner").only(*self.shown)
        )

    def get_search_results(self, request, queryset, search_term):
        if not search_term.strip():
            return queryset, False
        found, many = self.narrowed(request, search_term)
        if many:
            request.search_note = (
                f"More than {listing.MOST_ACCOUNTS} accounts match: these are deals of some. Type more."
            )
        return queryset & found, False

    # --- Editing the words of a draft ---

    def has_change_permission(self, request, obj=None):
        if obj is None:
            return False
        return obj.status == self.model.Status.DRAFT and drafts.may_edit(obj, request.user)

    def get_inlines(self, request, obj):
        # Nobody has said anything about a draft yet.
        return () if obj is None or obj.status == self.model.Status.DRAFT else self.inlines

    def get_fieldsets(self, request, obj=None):
        careful = ("read_version",) if self.has_change_permission(request, obj) else ()
        return (
            (None, {"fields": (*self.about, *drafts.DESK_FIELDS, *careful)}),
            ("Terms", {"fields": self.terms}),
            ("Money", {"fields": ("value", "listed")}),
            ("People", {"fields": self.people}),
            ("At Togai", {"fields": self.there}),
            ("Row", {"fields": self.row, "classes": ("collapse",)}),
        )

    def get_readonly_fields(self, request, obj=None):
        return [*self.about, *self.terms, "value", "listed", *self.people, *self.there, *self.row]

    def save_form(self, request, form, change):
        return form.instance

    def save_model(self, request, obj, form, change):
        drafts.edit(
            self.model,
            pk=obj.pk,
            by=request.user,
            at=timezone.now(),
            fields={name: form.cleaned_data[name] for name in drafts.DESK_FIELDS},
            version=form.cleaned_data["read_version"],
        )

    def save_related(self, request, form, formsets, change):
        # The service saved and recorded everything.
        return None

    def tools(self, request, obj):
        if obj.status != self.model.Status.DRAFT or not drafts.may_edit(obj, request.user):
            return []
        try:
            return [
                {
                    "label": "Edit the draft",
                    "url": reverse(self.edit_url, args=[obj.reference]),
                    "icon": "edit",
                }
            ]
        except NoReverseMatch:
            return []

    # --- Columns ---

    @admin.display(description="number")
    def reference_of(self, deal):
        return deal.reference

    @admin.display(description="account")
    def account_of(self, deal):
        if deal.account is None:
            return "—"
        url = reverse("admin:accounts_account_change", args=[deal.account_id])
        return format_html('<a href="{}">{}</a>', url, deal.account)

    @admin.display(description="estimate")
    def value(self, deal):
        return money(deal.estimate, deal.currency)

    @admin.display(description="list price")
    def listed(self, deal):
        return money(deal.list_price, deal.currency)

    @admin.display(description="status")
    def state(self, deal):
        return pill(deal.status, deal.get_status_display())

    @admin.display(description="at Togai")
    def at_togai(self, deal):
        return pill(deal.togai_status, statuses.label(deal.togai_status)) if deal.togai_status else "—"

    @admin.display(description="price at Togai")
    def togai_value(self, deal):
        return money(deal.togai_price, deal.togai_currency)

    @admin.display(description="owner")
    def whose(self, deal):
        return name_of(deal.owner)

    @admin.display(description="quantity")
    def quantities(self, deal):
        if deal.rate_card_quantities:
            return stored(deal.rate_card_quantities)
        return "—" if deal.quantity is None else figures.count(deal.quantity)

    @admin.display(description="wallet")
    def wallet(self, deal):
        if deal.wallet_topup_amount is None:
            return "—"
        topup = figures.amount(deal.wallet_topup_amount, deal.currency)
        paid = figures.amount(deal.wallet_purchase_amount, deal.currency) or "unknown"
        return f"{topup} {deal.currency}, paid {paid} {deal.currency}"

    @admin.display(description="period and validity")
    def period(self, deal):
        days = (
            ("starts", deal.effective_from),
            ("ends", deal.effective_until),
            ("valid until", deal.valid_until),
        )
        return ", ".join(f"{word} {date_format(day)}" for word, day in days if day) or "—"

    @admin.display(description="changed prices")
    def prices(self, deal):
        both = [one for one in (deal.purchase_plan_override, deal.association_override) if one]
        return format_html_join("", "{}", ((stored(one),) for one in both)) or "—"


class ReasonQuestions(forms.Form):
    """Why, in words that help the author."""

    reason = forms.CharField(
        label="Reason",
        min_length=SHORTEST_REASON,
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="The authors read it.",
    )


class ValidityQuestions(forms.Form):
    """Until when."""

    valid_until = forms.DateField(
        label="Valid until",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        help_text="The last day on which a yes counts.",
    )


@admin.register(Purchase)
class PurchaseAdmin(DealAdmin):
    """Direct purchases."""

    edit_url = "purchases:edit"
    related = (*DealAdmin.related, "released_by")
    people = (*DealAdmin.people, "released_by", "released_at")
    list_filter = (
        one_of("status", Purchase.Status.choices),
        one_of("togai_status", DIRECT_STATUSES, title="status at Togai"),
        one_of("type", Purchase.Type.choices),
        ByOwner,
    )
    search_help_text = "A number such as D-000042, or any part of an account’s name or id."
    bulk_actions = {
        "change_owner": Bulk(bulk.ChangeOwner(Purchase), OwnerQuestions),
        "extend_validity": Bulk(bulk.ExtendValidity(Purchase), ValidityQuestions),
        "submit": Bulk(bulk.Submit(Purchase)),
        "release": Bulk(bulk.Release(Purchase)),
        "send_back": Bulk(bulk.SendBack(Purchase), ReasonQuestions),
    }

    def narrowed(self, request, text):
        return listing.narrowed(request.user, {"q": text})


# --- Templates of deals ---


class DealTemplateForm(CarefulForm):
    """What an administrator writes; judged as the service judges it, each problem at its field."""

    class Meta:
        model = DealTemplate
        fields = deal_templates.WRITTEN

    def clean(self):
        cleaned = super().clean()
        if not self.instance.is_latest:
            raise forms.ValidationError(
                f"Somebody saved a newer version after you opened version {self.instance.version}. What you"
                " typed is still here; open the newest version and put it in there."
            )
        if not self.errors:
            judged = DealTemplate(**{name: getattr(self.instance, name) for name in deal_templates.TERMS})
            for name in deal_templates.WRITTEN:
                setattr(judged, name, cleaned[name])
            for problem in deal_templates.problems(judged, at=timezone.now()):
                self.add_error(problem.field if problem.field in self.fields else None, problem.message)
        return cleaned


@admin.register(DealTemplate)
class DealTemplateAdmin(ShowsPlan, DeskModelAdmin):
    """
    Terms that people start deals from: made from a proposal, edited here, each edit a version (G-03).

    The newest versions are listed; the others are linked from their pages and can only be read.
    """

    written_by = ADMINISTRATORS
    form = DealTemplateForm
    related = ("price_plan", "saved_by")
    list_display = ("name", "reference_of", "version", "type", "plan_of", "active", "by", "saved_at")
    search_fields = ("name",)
    search_help_text = "How the name begins."
    terms = ("type", "plan_of", "card_quantities", "wallet", "prices", "volumes")
    row = ("reference_of", "version", "state", "others", "by", "saved_at")

    def for_list(self, queryset):
        return queryset.filter(is_latest=True)

    def get_search_results(self, request, queryset, search_term):
        text = search_term.strip()
        return (queryset.filter(name__istartswith=text) if text else queryset), False

    def has_change_permission(self, request, obj=None):
        # What is posted to a version that was the newest is told so by the form, with all that was typed.
        may_write = obj is None or obj.is_latest or request.method == "POST"
        return may_write and super().has_change_permission(request, obj)

    def get_fieldsets(self, request, obj=None):
        careful = ("seen",) if obj and self.has_change_permission(request, obj) else ()
        return (
            (None, {"fields": (*deal_templates.WRITTEN, *careful)}),
            ("Terms", {"fields": self.terms}),
            ("Row", {"fields": self.row}),
        )

    def get_readonly_fields(self, request, obj=None):
        return (*self.terms, *self.row)

    def save_form(self, request, form, change):
        # The row itself stays as it was: it is the older version from now on.
        return form.instance

    def save_model(self, request, obj, form, change):
        made = deal_templates.edit(
            template_id=obj.pk,
            by=request.user,
            at=timezone.now(),
            fields={name: form.cleaned_data[name] for name in deal_templates.WRITTEN},
        )
        # Where the page goes on.
        obj.pk = made.pk

    def save_related(self, request, form, formsets, change):
        # The service saved and recorded everything.
        return None

    @admin.display(description="template")
    def reference_of(self, template):
        return template.reference

    @admin.display(description="quantities per card")
    def card_quantities(self, template):
        return stored(template.rate_card_quantities)

    @admin.display(description="wallet")
    def wallet(self, template):
        amounts = (("top-up", template.wallet_topup_amount), ("paid", template.wallet_purchase_amount))
        said = (f"{word} {figures.count(amount)}" for word, amount in amounts if amount is not None)
        return ", ".join(said) or "—"

    @admin.display(description="changed prices")
    def prices(self, template):
        both = [one for one in (template.purchase_plan_override, template.association_override) if one]
        return format_html_join("", "{}", ((stored(one),) for one in both)) or "—"

    @admin.display(description="expected volumes")
    def volumes(self, template):
        return stored(template.expected_volumes)

    @admin.display(description="this version")
    def state(self, template):
        return "the newest" if template.is_latest else "replaced by a newer one"

    @admin.display(description="other versions")
    def others(self, template):
        others = DealTemplate.objects.filter(number=template.number).exclude(pk=template.pk)
        links = (
            (reverse("admin:purchases_dealtemplate_change", args=[pk]), version)
            for pk, version in others.order_by("-version").values_list("pk", "version")
        )
        return format_html_join(", ", '<a href="{}">version {}</a>', links) or "—"

    @admin.display(description="saved by")
    def by(self, template):
        return name_of(template.saved_by)
