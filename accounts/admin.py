"""The administration of accounts and teams. Accounts are Togai's: a change of one is sent there."""

import re

from django import forms
from django.contrib import admin
from django.urls import reverse

from accounts import bulk, search
from accounts.forms import people_who_draft
from accounts.models import Account, Customer, PullProgress, PullRun, Team
from accounts.services import LONGEST_NET_TERM, may_edit
from audit.admin import name_of
from audit.admin_pages import (
    ADMINISTRATORS,
    Bulk,
    CarefulForm,
    ChooseOne,
    DeskModelAdmin,
    OneOf,
    one_of,
    pill,
    values_of,
)

# Above this many matching accounts a search says "narrow it" (performance.md 2).
MOST_ACCOUNTS = 200
# A list of people to filter by stays a list.
MOST_PEOPLE = 300


class ByOwner(OneOf):
    """Whose they are: the people who work on deals, a bounded list."""

    title = parameter_name = "owner"

    def lookups(self, request, model_admin):
        people = people_who_draft().only("username", "first_name", "last_name")[:MOST_PEOPLE]
        return [(person.pk, name_of(person)) for person in people]


# --- What bulk actions ask ---


class OwnerQuestions(forms.Form):
    """Who is to look after them from now on."""

    to = forms.ModelChoiceField(
        label="New owner",
        queryset=people_who_draft(),
        widget=ChooseOne(
            Account._meta.get_field("owner"), admin.site, attrs={"data-placeholder": "Type a name"}
        ),
        error_messages={"invalid_choice": "Choose somebody who works on deals."},
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["to"].label_from_instance = name_of


class TagQuestions(forms.Form):
    """Which tags, and whether they are added, taken away, or all there are."""

    how = forms.ChoiceField(
        label="Do what",
        choices=[
            (bulk.ADD, "Add these tags"),
            (bulk.REMOVE, "Remove these tags"),
            (bulk.REPLACE, "Replace all tags by these"),
        ],
        widget=forms.RadioSelect,
        initial=bulk.ADD,
    )
    tags = forms.CharField(
        label="Tags",
        max_length=2000,
        help_text="Separated by commas. Togai keeps them in lower case.",
    )

    def clean_tags(self):
        # As Togai keeps them, so that the plan compares like with like.
        words = (re.sub(r"\s+", " ", tag).strip().lower() for tag in self.cleaned_data["tags"].split(","))
        tags = list(dict.fromkeys(word for word in words if word))
        if not tags:
            raise forms.ValidationError("Type at least one tag.")
        return tags


class NetTermQuestions(forms.Form):
    """How long their invoices run."""

    net_term_days = forms.IntegerField(label="Net term days", min_value=0, max_value=LONGEST_NET_TERM)


# --- Pages ---


@admin.register(Account)
class AccountAdmin(DeskModelAdmin):
    """Accounts: looked up here, edited one by one on their page, many at once here."""

    ordering = ("name", "pk")
    related = ("owner",)
    list_display = ("name", "togai_id", "customer_name", "currency", "state", "net_term", "tag_list", "whose")
    list_filter = (
        one_of("status", Account.Status.choices),
        one_of("currency", lambda: [(code, code) for code in values_of(Account, "currency") if code]),
        ByOwner,
    )
    search_fields = ("name",)
    search_help_text = "Any part of a name, an id, a customer or an alias; three characters at least."
    bulk_actions = {
        "change_owner": Bulk(bulk.GiveAccounts(), OwnerQuestions),
        "change_tags": Bulk(bulk.SetTags(), TagQuestions),
        "set_net_terms": Bulk(bulk.SetNetTerms(), NetTermQuestions),
    }
    fieldsets = (
        (None, {"fields": ("name", "togai_id", "togai_account_id", "state", "whose")}),
        ("Customer", {"fields": ("customer_name", "customer_id", "email", "address_lines")}),
        ("Billing", {"fields": ("currency", "net_term", "tag_list", "alias_list", "metadata_lines")}),
        ("Togai", {"fields": ("pulled_at", "version")}),
    )
    readonly_fields = [name for _, options in fieldsets for name in options["fields"]]

    def get_search_results(self, request, queryset, search_term):
        if not search_term.strip():
            return queryset, False
        found = search.matching(search_term, Account.objects.visible_to(request.user))
        keys = list(found.values_list("pk", flat=True)[: MOST_ACCOUNTS + 1])
        if len(keys) > MOST_ACCOUNTS:
            request.search_note = (
                f"More than {MOST_ACCOUNTS} accounts match: these are some of them. Type more."
            )
        return queryset.filter(pk__in=keys[:MOST_ACCOUNTS]), False

    def tools(self, request, obj):
        if not may_edit(request.user):
            return []
        return [{"label": "Edit", "url": reverse("accounts:edit", args=[obj.togai_id]), "icon": "edit"}]

    @admin.display(description="status")
    def state(self, account):
        return pill(account.status, account.get_status_display())

    @admin.display(description="net term")
    def net_term(self, account):
        return "—" if account.net_term_days is None else f"{account.net_term_days} days"

    @admin.display(description="tags")
    def tag_list(self, account):
        return ", ".join(map(str, account.tags)) or "—"

    @admin.display(description="aliases")
    def alias_list(self, account):
        return ", ".join(map(str, account.aliases)) or "—"

    @admin.display(description="owner")
    def whose(self, account):
        return name_of(account.owner) if account.owner else "nobody"

    @admin.display(description="address")
    def address_lines(self, account):
        return ", ".join(str(part) for part in account.address.values()) or "—"

    @admin.display(description="metadata")
    def metadata_lines(self, account):
        return ", ".join(f"{key}: {value}" for key, value in account.metadata.items()) or "—"


class TeamForm(CarefulForm):
    class Meta:
        model = Team
        fields = ("name", "managers", "members")


@admin.register(Team)
class TeamAdmin(DeskModelAdmin):
    """Teams: whose deals a sales manager sees and decides first."""

    written_by = added_by = removed_by = ADMINISTRATORS
    ordering = ("name",)
    form = TeamForm
    list_display = ("name", "led_by", "people")
    search_fields = ("name",)
    autocomplete_fields = ("managers", "members")

    def get_fieldsets(self, request, obj=None):
        careful = ("seen",) if obj and self.has_change_permission(request, obj) else ()
        return ((None, {"fields": ("name", "managers", "members", *careful)}),)

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("managers", "members")

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.many_to_many:
            # People are invited on a page of their own, which shows their password.
            field.widget.can_add_related = False
        return field

    def get_search_results(self, request, queryset, search_term):
        text = search_term.strip()
        return (queryset.filter(name__istartswith=text) if text else queryset), False

    @admin.display(description="managers")
    def led_by(self, team):
        return ", ".join(name_of(person) for person in team.managers.all()) or "nobody"

    @admin.display(description="members")
    def people(self, team):
        return ", ".join(name_of(person) for person in team.members.all()) or "nobody"


@admin.register(Customer)
class CustomerAdmin(DeskModelAdmin):
    """Customers as pulled."""

    ordering = ("togai_id",)
    search_fields = ("=togai_id",)
    list_display = ("togai_id", "name", "pulled_at")
    fields = readonly_fields = ("togai_id", "name", "pulled_at")


@admin.register(PullProgress)
class PullProgressAdmin(DeskModelAdmin):
    """How far an interrupted pull of a long list came."""

    ordering = ("name",)
    list_display = ("name", "read", "saved_at")
    fields = readonly_fields = ("name", "read", "saved_at")


@admin.register(PullRun)
class PullRunAdmin(DeskModelAdmin):
    """Pulls of lists from Togai. What a person may do about one stands on its page in the product."""

    related = ("asked_by",)
    list_display = ("__str__", "state_of", "read", "new", "changed", "skipped", "by", "asked_at", "ended_at")
    list_filter = (one_of("name", PullRun.Name.choices, title="list"),)
    fields = readonly_fields = (
        "name",
        "state_of",
        "anew",
        "by",
        "asked_at",
        "started_at",
        "moved_at",
        "ended_at",
        "pages",
        "read",
        "new",
        "changed",
        "skipped",
        "problems",
        "deaths",
        "why",
    )

    @admin.display(description="state")
    def state_of(self, run):
        return pill(run.state, run.get_state_display())

    @admin.display(description="by")
    def by(self, run):
        return name_of(run.asked_by)
