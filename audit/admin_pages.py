"""
What every page of the administration is made of: the gate of roles, lists that page by key, bulk actions,
and changes that go on record.

Django's own permissions decide nothing here: `RoleGate` is the one place that says who looks and who writes.
"""

from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple
from django.core import signing
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import connection, models
from django.http import Http404, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html

from audit import bulk
from audit import services as audit
from audit.models import Event
from audit.paging import PAGE_SIZE, page_of
from audit.roles import SEES_EVERYTHING, Role, has_role
from audit.sign_in import signed_in_at

LONGEST_SEARCH = 200
# Rows of one bulk change; more than this is a job for the import.
MOST_ROWS = 20_000
# Rows of a bulk change that one request writes before it reports how far it came.
SLICE = 500
# Rows of a plan or a result that are listed; the rest is counted, and all of it is on record.
MOST_LISTED = 500
# Above this many rows their number is typed before anything happens (G-41).
TYPED_ABOVE = 50
# How long a page with a plan may stay open.
PLAN_SECONDS = 3600


class RoleGate:
    """
    Who may look and who may write, by role alone and read again with every request (S-05).

    :cvar read_by: roles that see the pages
    :cvar written_by: roles that may change what the form lets anybody change; by default nobody
    :cvar removed_by: roles that may delete; almost everything here is kept for ever
    """

    read_by = SEES_EVERYTHING
    written_by = added_by = removed_by = frozenset()

    def has_module_permission(self, request):
        return has_role(request.user, *self.read_by)

    def has_view_permission(self, request, obj=None):
        return has_role(request.user, *self.read_by)

    def has_add_permission(self, request, obj=None):
        return has_role(request.user, *self.added_by)

    def has_change_permission(self, request, obj=None):
        return has_role(request.user, *self.written_by)

    def has_delete_permission(self, request, obj=None):
        return has_role(request.user, *self.removed_by)


ADMINISTRATORS = frozenset({Role.ADMINISTRATOR})


class KeyChangeList(ChangeList):
    """A list that pages by key: no COUNT, no OFFSET, one order (performance.md 10)."""

    def get_queryset(self, request, exclude_parameters=None):
        # Links of filters and the search start at the first page again.
        for name in ("after", "before"):
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        self.root_queryset = self.model_admin.for_list(self.root_queryset)
        return super().get_queryset(request, exclude_parameters)

    def get_ordering(self, request, queryset):
        return list(self.model_admin.ordering)

    def get_ordering_field_columns(self):
        return {}

    def get_results(self, request):
        page = page_of(
            self.queryset,
            after=request.GET.get("after"),
            before=request.GET.get("before"),
            size=self.list_per_page,
        )
        self.result_list = page.rows
        self.result_count = self.full_result_count = len(page.rows)
        self.show_full_result_count = self.show_all = self.can_show_all = self.multi_page = False
        self.show_admin_actions = bool(page.rows)
        self.paginator = None
        self.has_more = bool(page.next or page.previous)
        self.pager = page.links(request.GET, note=getattr(request, "search_note", ""))


class OneOf(admin.SimpleListFilter):
    """A filter with known values on an indexed column; any other value in the address is refused (400)."""

    def queryset(self, request, queryset):
        value = self.value()
        if value is None:
            return queryset
        if value not in {str(choice) for choice, _ in self.lookup_choices}:
            raise IncorrectLookupParameters("This is not one of the values.")
        return self.narrowed(queryset, value)

    def narrowed(self, queryset, value):
        """The rows of one of the values."""
        return queryset.filter(**{self.parameter_name: value})


def one_of(name, choices, *, title=None):
    """
    The `OneOf` filter of one column.

    :param choices: (value, words) pairs, or a function that gives them
    """

    def lookups(self, request, model_admin):
        return choices() if callable(choices) else choices

    words = title or name.replace("_", " ")
    return type("Filter", (OneOf,), {"title": words, "parameter_name": name, "lookups": lookups})


def values_of(model, column):
    """
    The different values of an indexed column, each found by one step into the index: the table is not read.
    """
    quote = connection.ops.quote_name
    table, name = quote(model._meta.db_table), quote(model._meta.get_field(column).column)
    query = f"""
        WITH RECURSIVE found(value) AS (
            SELECT MIN({name}) FROM {table}
            UNION ALL
            SELECT (SELECT MIN({name}) FROM {table} WHERE {name} > found.value)
            FROM found WHERE found.value IS NOT NULL
        ) SELECT value FROM found WHERE value IS NOT NULL"""  # noqa: S608  names of our own columns
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [value for (value,) in cursor.fetchall()]


def pill(code, words):
    """A state as every page shows it."""
    return format_html('<span class="status status--{}">{}</span>', code.lower(), words)


def change_url(model_label, key):
    """The page of a row in the administration, or None where its model has none."""
    try:
        return reverse(f"admin:{model_label.lower().replace('.', '_')}_change", args=[key])
    except NoReverseMatch:
        return None


def record_url(**filters):
    """The record, narrowed: `record_url(batch=…)`, `record_url(subject="proposals.Proposal:7")`."""
    return f"{reverse('admin:audit_event_changelist')}?{urlencode(filters)}"


@dataclass(frozen=True)
class Bulk:
    """A bulk action as the administration offers it, with the form that asks for what it needs."""

    action: bulk.BulkAction
    questions: type | None = None


class DeskModelAdmin(RoleGate, admin.ModelAdmin):
    """
    The administration of one model: a fast list, a page per row, and no change that is not on record.

    :cvar ordering: of columns that are never NULL and together unique; what the list pages by
    :cvar related: the foreign keys that its pages show
    :cvar bulk_actions: what may be done to many rows at once: a `Bulk` by name
    """

    ordering = ("-pk",)
    related = ()
    bulk_actions = {}
    list_per_page = PAGE_SIZE
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()

    # --- What is shown ---

    def get_queryset(self, request):
        return super().get_queryset(request).select_related(*self.related)

    def for_list(self, queryset):
        """The rows and columns of the list, where it shows fewer than there are."""
        return queryset

    def formfield_for_manytomany(self, db_field, request, **kwargs):
        if db_field.name in self.get_autocomplete_fields(request):
            kwargs.setdefault("widget", ChooseSome(db_field, self.admin_site))
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_object(self, request, object_id, from_field=None):
        found = super().get_object(request, object_id, from_field)
        if found is not None and request.method == "POST":
            # What the form compares with stays so until it is saved.
            self.model._default_manager.select_for_update().filter(pk=found.pk).first()
            found = super().get_object(request, object_id, from_field)
        return found

    def view_on_site(self, obj):
        return obj.get_absolute_url() if hasattr(obj, "get_absolute_url") else None

    def get_view_on_site_url(self, obj=None):
        return self.view_on_site(obj) if obj is not None else None

    def tools(self, request, obj):
        """Links at the head of a row's page, as dicts of label, url and icon."""
        return []

    def render_change_form(self, request, context, *args, **kwargs):
        obj = kwargs.get("obj")
        context["tools"] = self.tools(request, obj) if obj else []
        return super().render_change_form(request, context, *args, **kwargs)

    def history_view(self, request, object_id, extra_context=None):
        """The history of a row is what the record says about it."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        obj = self.get_object(request, admin.utils.unquote(object_id))
        if obj is None:
            raise Http404
        return HttpResponseRedirect(self.record_of(obj))

    def record_of(self, obj):
        """Where the record says what happened to a row."""
        return record_url(subject=f"{obj._meta.label}:{obj.pk}")

    # --- Lists ---

    def get_changelist(self, request, **kwargs):
        return KeyChangeList

    def lookup_allowed(self, lookup, value, request):
        """Nothing but our own filters: a look-up through the address reads any column of any table."""
        return lookup in {one.parameter_name for one in self.get_list_filter(request)}

    def get_changelist_instance(self, request):
        if len(request.GET.get("q", "")) > LONGEST_SEARCH:
            raise BadRequest(f"A search has at most {LONGEST_SEARCH} characters.")
        try:
            return super().get_changelist_instance(request)
        except IncorrectLookupParameters as error:
            raise BadRequest("There is no such filter.") from error

    def get_actions(self, request):
        offered = {name: one for name, one in self.bulk_actions.items() if self._may(request, one)}
        return {name: (None, name, one.action.title) for name, one in offered.items()}

    def changelist_view(self, request, extra_context=None):
        if request.method == "POST":
            return self._bulk_view(request)
        return super().changelist_view(request, extra_context)

    # --- Changes ---

    def _get_obj_does_not_exist_redirect(self, request, opts, object_id):
        raise Http404(f"There is no such {opts.verbose_name}.")

    def delete_view(self, request, object_id, extra_context=None):
        if not self.removed_by:
            return HttpResponseNotAllowed([])
        return super().delete_view(request, object_id, extra_context)

    def save_related(self, request, form, formsets, change):
        """Save what hangs on the row, and put what the form changed on record in the same transaction."""
        super().save_related(request, form, formsets, change)
        if form.changed_data:
            self.put_on_record(request, form, change)

    def put_on_record(self, request, form, change):
        """Say who changed which fields of a row from what to what."""
        fields = [name for name in form.changed_data if name in form.fields and name in form._meta.fields]
        audit.record(
            form.instance,
            "edit" if change else "create",
            by=request.user,
            at=timezone.now(),
            before={name: _plain(form.initial.get(name)) for name in fields} if change else {},
            after={name: _plain(form.cleaned_data[name]) for name in fields},
        )

    def delete_model(self, request, obj):
        audit.record(obj, "delete", by=request.user, at=timezone.now(), before=_row(obj))
        obj.delete()

    # The record above is the one there is; Django's own log would be a second one beside it.
    def log_addition(self, request, obj, message):
        return None

    def log_change(self, request, obj, message):
        return None

    def log_deletions(self, request, queryset):
        return None

    # --- Many rows at once ---

    def _may(self, request, offered):
        return has_role(request.user, *offered.action.roles)

    def _bulk_view(self, request):
        """Freeze the chosen rows, ask, show the plan, carry it out: one POST each."""
        if not self.bulk_actions:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not any(self._may(request, one) for one in self.bulk_actions.values()):
            raise PermissionDenied
        name = request.POST.get("action", "")
        if not name:
            messages.warning(request, "Choose what to do with the chosen rows. Nothing was changed.")
            return HttpResponseRedirect(request.get_full_path())
        if name not in self.bulk_actions:
            raise BadRequest("There is no such action.")
        if not self._may(request, self.bulk_actions[name]):
            raise PermissionDenied
        try:
            if "plan" in request.POST:
                return self._confirm(request, name)
            if "chosen" in request.POST:
                return self._answered(request, name)
            keys = self._chosen(request)
        except _Later as why:
            messages.warning(request, str(why))
            return HttpResponseRedirect(request.get_full_path())
        if self.bulk_actions[name].questions is None:
            return self._show_plan(request, name, keys, {})
        return self._ask(request, name, keys, self.bulk_actions[name].questions())

    def _chosen(self, request):
        """The keys of the chosen rows: those that were ticked, or all that match now (G-42)."""
        if "1" in request.POST.getlist("select_across"):
            rows = self.get_changelist_instance(request).queryset
            keys = list(rows.values_list("pk", flat=True)[: MOST_ROWS + 1])
            if len(keys) > MOST_ROWS:
                raise _Later(f"More than {MOST_ROWS:,} rows match. Narrow the list first.")
        else:
            keys = list(dict.fromkeys(map(self._key, request.POST.getlist(ACTION_CHECKBOX_NAME))))
        if not keys:
            raise _Later("Choose some rows first. Nothing was changed.")
        return keys

    def _key(self, text):
        key = key_in(text)
        if key is None:
            raise BadRequest("This is not the key of a row.")
        return key

    def _ask(self, request, name, keys, form):
        context = self._bulk_context(request, name) | {
            "form": form,
            "chosen": self._seal(request, name, "chosen", keys=keys),
            "count": len(keys),
            "media": self.media + form.media,
        }
        status = 422 if form.is_bound else 200
        return TemplateResponse(request, "admin/action_questions.html", context, status=status)

    def _answered(self, request, name):
        keys = self._open(request, name, "chosen")["keys"]
        form = self._form(name, request.POST)
        if form is not None and not form.is_valid():
            return self._ask(request, name, keys, form)
        answers = {one: request.POST.getlist(one) for one in form.fields} if form else {}
        return self._show_plan(request, name, keys, answers)

    def _show_plan(self, request, name, keys, answers, *, problem="", status=200):
        form = self._form(name, answers)
        if form is not None and not form.is_valid():
            return self._ask(request, name, keys, form)
        action = self.bulk_actions[name].action
        found = bulk.plan(
            action,
            keys,
            by=request.user,
            at=timezone.now(),
            answers=self._answers(request, name, form),
        )
        rows = [(one.key, one.version) for one in found.will]
        context = self._bulk_context(request, name) | {
            "will": self._listed(found.will),
            "will_count": len(rows),
            "skipped": self._listed(found.skipped),
            "skipped_count": len(found.skipped),
            "reasons": _reasons(one.why for one in found.skipped),
            "answers": _told(form) if form else [],
            "most_listed": MOST_LISTED,
            "typed": len(rows) > TYPED_ABOVE,
            "problem": problem,
            "danger": action.danger,
            "plan": self._seal(
                request, name, "plan", rows=rows, keys=keys, answers=answers, batch=str(uuid4())
            ),
            "media": self.media,
        }
        return TemplateResponse(request, "admin/action_confirmation.html", context, status=status)

    def _confirm(self, request, name):
        """Carry out a slice of a plan; the page that follows reports, and goes on while something is left."""
        plan = self._open(request, name, "plan")
        batch = UUID(plan["batch"])
        if "done" not in plan:
            typed = request.POST.get("count", "").replace(",", "").strip()
            if len(plan["rows"]) > TYPED_ABOVE and typed != str(len(plan["rows"])):
                return self._show_plan(
                    request,
                    name,
                    plan["keys"],
                    plan["answers"],
                    problem="Type the number of rows that will change.",
                    status=422,
                )
            if Event.objects.filter(batch_id=batch).exists():
                messages.info(request, "This was already carried out; here is what it did.")
                return HttpResponseRedirect(record_url(batch=batch))
        form = self._form(name, plan["answers"])
        if form is not None and not form.is_valid():
            # What was right an hour ago no longer is, e.g. the new owner was disabled.
            return self._ask(request, name, [key for key, _ in plan["rows"]], form)
        part, rest = plan["rows"][:SLICE], plan["rows"][SLICE:]
        outcome = bulk.carry_out(
            self.bulk_actions[name].action,
            part,
            by=request.user,
            at=timezone.now(),
            batch_id=batch,
            answers=self._answers(request, name, form),
        )
        done = [*plan.get("done", ()), *outcome.done]
        refused = [*plan.get("refused", ()), *outcome.refused]
        context = self._bulk_context(request, name) | {
            "done_count": len(done),
            "refused_count": len(refused),
            "most_listed": MOST_LISTED,
            "record_url": record_url(batch=batch),
            "media": self.media,
        }
        if rest:
            context |= {
                "carried": len(done) + len(refused),
                "total": len(done) + len(refused) + len(rest),
                "plan": self._seal(
                    request,
                    name,
                    "plan",
                    rows=rest,
                    answers=plan["answers"],
                    batch=plan["batch"],
                    done=done,
                    refused=refused,
                ),
            }
            return TemplateResponse(request, "admin/action_progress.html", context)
        context |= {
            "done": self._named([(key, self.bulk_actions[name].action.done) for key in done[:MOST_LISTED]]),
            "refused": self._named(refused[:MOST_LISTED]),
            "reasons": _reasons(why for _, why in refused),
        }
        return TemplateResponse(request, "admin/action_result.html", context)

    def _form(self, name, answers):
        """The questions with these answers: a QueryDict, or one made from what was sealed."""
        questions = self.bulk_actions[name].questions
        if questions is None:
            return None
        if isinstance(answers, QueryDict):
            return questions(answers)
        data = QueryDict(mutable=True)
        for one, texts in answers.items():
            data.setlist(one, texts)
        return questions(data)

    def _answers(self, request, name, form):
        """What the person answered, and where the action asks for it when they last typed their password."""
        proof = (
            {"signed_in_at": signed_in_at(request)} if self.bulk_actions[name].action.needs_sign_in else {}
        )
        return (form.cleaned_data if form else {}) | proof

    def _bulk_context(self, request, name):
        return self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": self.bulk_actions[name].action.title,
            "action": name,
            "list_url": request.get_full_path(),
        }

    def _listed(self, rows):
        return [(one, change_url(self.opts.label, one.key)) for one in rows[:MOST_LISTED]]

    def _named(self, pairs):
        """(row, its page, why) of some (key, why) pairs."""
        rows = self.get_queryset(None).in_bulk([key for key, _ in pairs])
        return [(rows.get(key, key), change_url(self.opts.label, key), why) for key, why in pairs]

    def _seal(self, request, name, step, **content):
        """What the next step acts on, as a text that only this person and action can hand back."""
        return signing.dumps(content, salt=self._salt(request, name, step), compress=True)

    def _open(self, request, name, step):
        salt = self._salt(request, name, step)
        try:
            return signing.loads(request.POST[step], salt=salt, max_age=PLAN_SECONDS)
        except signing.SignatureExpired:
            raise _Later("This was open for too long. Choose the rows again; nothing was changed.") from None
        except signing.BadSignature as error:
            raise BadRequest("This is not what the page before said.") from error

    def _salt(self, request, name, step):
        return f"desk.bulk.{self.opts.label}.{name}.{step}.{request.user.pk}"


def key_in(text):
    """The key of a row that a text from outside names; None when it names none."""
    text = str(text)
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        return None
    return int(text) if 0 < int(text) <= models.BigAutoField.MAX_BIGINT else None


class _Keys:
    """Draws what was chosen again also when some of it is no key at all, on which Django's own breaks."""

    def optgroups(self, name, value, attr=None):
        return super().optgroups(name, [one for one in value if key_in(one) is not None], attr)


class ChooseOne(_Keys, AutocompleteSelect):
    """A row, found by typing."""


class ChooseSome(_Keys, AutocompleteSelectMultiple):
    """Rows, found by typing."""


class _Later(Exception):
    """Nothing is wrong, but there is nothing to do yet; `str()` says what comes first."""


def _reasons(whys):
    """How many rows there are of each reason, the most frequent first."""
    counts = {}
    for why in whys:
        counts[why] = counts.get(why, 0) + 1
    return sorted(counts.items(), key=lambda pair: -pair[1])


def _told(form):
    """The answers in words, as (label, value) pairs."""
    told = []
    for field in form.visible_fields():
        value = form.cleaned_data.get(field.name)
        if isinstance(value, models.Model):
            value = field.field.label_from_instance(value)
        elif isinstance(value, (list, tuple)):
            value = ", ".join(map(str, value))
        elif isinstance(value, str):
            value = dict(getattr(field.field, "choices", ())).get(value, value)
        told.append((field.label, value))
    return told


class CarefulForm(forms.ModelForm):
    """
    A form of the administration that refuses to save over what somebody else saved meanwhile (G-07).

    It remembers what it showed; every field keeps what was typed when it refuses.
    """

    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None and not self.instance._state.adding:
            self.initial["seen"] = self._shown()

    def clean(self):
        cleaned = super().clean()
        if "seen" in self.initial and cleaned.get("seen") != self.initial["seen"]:
            now = "; ".join(
                f"{self.fields[name].label}: {_words(self.initial.get(name))}" for name in self._own_fields()
            )
            # Whoever saves again has read what it says now.
            self.data = self.data.copy()
            self.data[self.add_prefix("seen")] = self.initial["seen"]
            raise forms.ValidationError(
                f"Somebody saved this after you opened it. It now says: {now}. "
                "What you typed is still here; save again to put it in place of that."
            )
        return cleaned

    def _own_fields(self):
        return [name for name in self._meta.fields if name in self.fields and name != "seen"]

    def _shown(self):
        shown = [(name, _plain(self.initial.get(name))) for name in self._own_fields()]
        return sha256(repr(shown).encode()).hexdigest()[:32]


def _plain(value):
    """A field's value for the record: people, groups and the like by their names."""
    if isinstance(value, models.Model):
        return str(value)
    if isinstance(value, (list, tuple, models.QuerySet)):
        return sorted(str(one) for one in value)
    return value


def _words(value):
    value = _plain(value)
    if isinstance(value, list):
        return ", ".join(value) or "nobody"
    return {True: "yes", False: "no", None: "nothing", "": "nothing"}.get(value, value)


def _row(obj):
    return {
        field.attname: _plain(field.value_from_object(obj))
        for field in obj._meta.concrete_fields
        if not field.primary_key
    }
