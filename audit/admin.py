"""The administration of people, what they sign in with, and the record of what they did."""

import re
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.views.decorators.debug import sensitive_post_parameters
from knox.models import AuthToken

from audit import people
from audit.admin_pages import (
    ADMINISTRATORS,
    CarefulForm,
    DeskModelAdmin,
    OneOf,
    change_url,
    one_of,
    record_url,
    values_of,
)
from audit.models import Denial, Event
from audit.roles import DRAFTS, Role

User = get_user_model()

_SUBJECT = re.compile(r"(?P<label>[a-z_]+\.[A-Za-z]+):(?P<key>[\w-]{1,128})")


def name_of(person):
    """A person's name, or the sign-in name where none is known; — for the worker."""
    return (person.get_full_name() or person.get_username()) if person else "—"


# --- The record ---

ANSWERS = {403: "403: not allowed", 404: "404: not theirs, or not there", 409: "409: too late"}


class BySubject(OneOf):
    """Everything on record about one row; there only while the address asks for it."""

    title = parameter_name = "subject"

    def lookups(self, request, model_admin):
        return [(self.value(), "this one")] if self.value() else ()

    def narrowed(self, queryset, value):
        asked = _SUBJECT.fullmatch(value)
        if asked is None:
            return queryset.none()
        return queryset.filter(subject_type=asked["label"], subject_id=asked["key"])


class ByBatch(OneOf):
    """Everything that one bulk change did; there only while the address asks for it."""

    title, parameter_name = "bulk change", "batch"

    def lookups(self, request, model_admin):
        return [(self.value(), "this one")] if self.value() else ()

    def narrowed(self, queryset, value):
        try:
            return queryset.filter(batch_id=UUID(value))
        except ValueError:
            return queryset.none()


def _used(column):
    return lambda: [(value, value.replace("_", " ")) for value in values_of(Event, column)]


class ReadOnlyAdmin(DeskModelAdmin):
    """Rows of the record: read, never written (S-28)."""

    def get_readonly_fields(self, request, obj=None):
        return [name for _, options in self.fieldsets for name in options["fields"]]

    def change_view(self, request, object_id, form_url="", extra_context=None):
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return super().change_view(request, object_id, form_url, extra_context)


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """Every change, with who made it and why."""

    related = ("actor", "on_behalf_of")
    list_display = ("at", "what", "about", "who", "channel", "why")
    list_filter = (one_of("verb", _used("verb")), one_of("channel", _used("channel")), BySubject, ByBatch)
    search_fields = ("actor__username",)
    search_help_text = "The whole sign-in name of a person, or the id of a bulk change."
    fieldsets = (
        (None, {"fields": ("at", "what", "about", "why")}),
        ("Who", {"fields": ("who", "actor_roles", "on_behalf_of")}),
        ("From where", {"fields": ("channel", "request_id", "address", "of_batch")}),
        ("What changed", {"fields": ("changes",)}),
        ("Chain", {"fields": ("seq", "previous_hash", "hash"), "classes": ("collapse",)}),
    )

    def get_search_results(self, request, queryset, search_term):
        text = search_term.strip()
        if not text:
            return queryset, False
        try:
            return queryset.filter(batch_id=UUID(text)), False
        except ValueError:
            return _by_actor(queryset, text), False

    def record_of(self, event):
        """The other events about the same row."""
        return record_url(subject=f"{event.subject_type}:{event.subject_id}")

    @admin.display(description="what")
    def what(self, event):
        return event.verb.replace("_", " ")

    @admin.display(description="about")
    def about(self, event):
        url = change_url(event.subject_type, event.subject_id)
        return format_html('<a href="{}">{}</a>', url, event.subject_label) if url else event.subject_label

    @admin.display(description="who")
    def who(self, event):
        return name_of(event.actor)

    @admin.display(description="why")
    def why(self, event):
        words = ": ".join(part for part in (event.reason_code.replace("-", " "), event.reason) if part)
        return words[:300] or "—"

    @admin.display(description="bulk change")
    def of_batch(self, event):
        if event.batch_id is None:
            return "—"
        return format_html('<a href="{}">{}</a>', record_url(batch=event.batch_id), event.batch_id)

    @admin.display(description="changes")
    def changes(self, event):
        names = sorted(
            name
            for name in {*event.before, *event.after}
            if _said(event.before, name) != _said(event.after, name)
        )
        if not names:
            return "—"
        rows = format_html_join(
            "",
            '<tr><th scope="row">{}</th><td data-label="Before">{}</td><td data-label="After">{}</td></tr>',
            ((name.replace("_", " "), _said(event.before, name), _said(event.after, name)) for name in names),
        )
        return format_html(
            '<table class="table table--dense table--plain"><thead><tr><th scope="col">Field</th>'
            '<th scope="col">Before</th><th scope="col">After</th></tr></thead><tbody>{}</tbody></table>',
            rows,
        )


def _by_actor(queryset, username):
    found = User.objects.filter(username__iexact=username).values_list("pk", flat=True)
    return queryset.filter(actor__in=list(found[:1]))


def _said(values, name):
    value = values.get(name)
    return "—" if value in (None, "", [], {}) else str(value)


@admin.register(Denial)
class DenialAdmin(ReadOnlyAdmin):
    """What somebody signed in asked for and did not get."""

    related = ("actor",)
    list_display = ("at", "who", "answer", "method", "path", "channel")
    list_filter = (one_of("status", lambda: list(ANSWERS.items())),)
    search_fields = ("actor__username",)
    search_help_text = "The whole sign-in name of a person."
    fieldsets = (
        (None, {"fields": ("at", "answer", "method", "path")}),
        ("Who", {"fields": ("who", "actor_roles")}),
        ("From where", {"fields": ("channel", "request_id", "address")}),
    )

    def get_search_results(self, request, queryset, search_term):
        text = search_term.strip()
        return (_by_actor(queryset, text) if text else queryset), False

    @admin.display(description="who")
    def who(self, denial):
        return name_of(denial.actor)

    @admin.display(description="answer")
    def answer(self, denial):
        return ANSWERS[denial.status]


# --- People ---


class RolesField(forms.MultipleChoiceField):
    """The six roles, as boxes to tick."""

    def __init__(self, **kwargs):
        super().__init__(choices=Role.choices, widget=forms.CheckboxSelectMultiple, required=False, **kwargs)


class OwnPassword(forms.Form):
    """Asks who is sitting there: a session left open must not make an administrator."""

    own_password = forms.CharField(
        label="Your password",
        strip=False,
        max_length=128,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        help_text="Asked again, because this decides who may do what.",
    )
    asker = None

    def clean_own_password(self):
        if not self.asker.check_password(self.cleaned_data["own_password"]):
            raise forms.ValidationError("This is not your password.")
        return ""


class InviteForm(OwnPassword, forms.ModelForm):
    """A new colleague: how they sign in, what they are called, what they do."""

    roles = RolesField()
    field_order = ("username", "first_name", "last_name", "email", "roles", "own_password")

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email")
        help_texts = {"username": "Letters, digits and @ . + - _ only. It stays as it is."}

    def clean_username(self):
        username = self.cleaned_data["username"]
        UnicodeUsernameValidator()(username)
        if User.objects.filter(username__iexact=username).exists():
            raise forms.ValidationError("Somebody signs in with this name already.")
        return username


class PersonForm(OwnPassword, CarefulForm):
    """What may be changed about somebody: what they are called, their roles, whether they may sign in."""

    roles = RolesField()
    is_active = forms.BooleanField(
        label="May sign in", required=False, help_text="Without it they are signed out at once."
    )

    class Meta:
        model = User
        fields = ("first_name", "last_name", "email", "is_active")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if "roles" in self.fields:
            self.initial["roles"] = people.roles_held(self.instance)
            self.initial["seen"] = self._shown()

    def _own_fields(self):
        return [name for name in (*super()._own_fields(), "roles") if name in self.fields]


class ByRole(OneOf):
    title, parameter_name = "role", "role"

    def lookups(self, request, model_admin):
        return Role.choices

    def narrowed(self, queryset, value):
        return queryset.filter(groups__name=value)


class ByAccess(OneOf):
    title, parameter_name = "access", "access"

    def lookups(self, request, model_admin):
        return [("yes", "May sign in"), ("no", "Disabled")]

    def narrowed(self, queryset, value):
        return queryset.filter(is_active=value == "yes")


@admin.register(User)
class PersonAdmin(DeskModelAdmin):
    """People and their roles; permissions are roles, so there is nothing else to pick."""

    written_by = added_by = ADMINISTRATORS
    ordering = ("username",)
    list_display = ("username", "full_name", "email", "held", "is_active", "last_login")
    list_filter = (ByRole, ByAccess)
    search_fields = ("username",)
    search_help_text = "How a name, a sign-in name or an e-mail address begins."
    form = PersonForm
    add_form = InviteForm

    def get_fieldsets(self, request, obj=None):
        if obj is None:
            who = ("username", "first_name", "last_name", "email")
            return ((None, {"fields": who}), ("Roles", {"fields": ("roles",)}), self._asked())
        who = ["signs_in_as", "first_name", "last_name", "email"]
        if not self.has_change_permission(request, obj):
            return (
                (None, {"fields": who}),
                ("Access", {"fields": ("held", "is_active", "last_login", "date_joined")}),
            )
        if obj.pk == request.user.pk:
            access = {
                "fields": ("held", "is_active", "last_login", "date_joined"),
                "description": "Nobody changes their own roles; another administrator does.",
            }
        else:
            access = {"fields": ("roles", "is_active", "last_login", "date_joined")}
        return ((None, {"fields": [*who, "seen"]}), ("Access", access), self._asked())

    def _asked(self):
        return "Is it you?", {"fields": ("own_password",)}

    def get_readonly_fields(self, request, obj=None):
        if obj is None:
            return ()
        read = ["signs_in_as", "held", "last_login", "date_joined"]
        return [*read, "is_active"] if obj.pk == request.user.pk else read

    def get_form(self, request, obj=None, change=False, **kwargs):
        if obj is None:
            kwargs["form"] = self.add_form
        form = super().get_form(request, obj, change=change, **kwargs)
        form.asker = request.user
        if obj is not None and obj.pk == request.user.pk:
            if {"roles", "is_active"} & request.POST.keys():
                raise PermissionDenied
            del form.base_fields["roles"]
        return form

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("groups")

    def get_search_results(self, request, queryset, search_term):
        for word in search_term.split():
            queryset = queryset.filter(
                Q(username__istartswith=word)
                | Q(first_name__istartswith=word)
                | Q(last_name__istartswith=word)
                | Q(email__istartswith=word)
            )
        if request.GET.get("field_name") == "owner":
            # Whoever owns accounts or deals works on them.
            drafts = Group.objects.filter(name__in=DRAFTS)
            queryset = queryset.filter(is_active=True, pk__in=drafts.values("user"))
        return queryset, False

    def tools(self, request, obj):
        if obj.pk == request.user.pk or not self.has_change_permission(request, obj):
            return []
        url = reverse("admin:auth_user_password", args=[obj.pk])
        return [{"label": "New password", "url": url, "icon": "key"}]

    @method_decorator(sensitive_post_parameters())
    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        return super().changeform_view(request, object_id, form_url, extra_context)

    def save_form(self, request, form, change):
        return form.instance

    def save_model(self, request, obj, form, change):
        said = form.cleaned_data
        if change:
            people.change(
                user_id=obj.pk,
                names=said,
                roles=map(Role, said["roles"]) if "roles" in said else None,
                active=said.get("is_active"),
                by=request.user,
                at=timezone.now(),
            )
            return
        person, form.first_password = people.invite(
            username=said["username"],
            names=said,
            roles=[Role(role) for role in said["roles"]],
            by=request.user,
            at=timezone.now(),
        )
        obj.pk = person.pk

    def save_related(self, request, form, formsets, change):
        # The service saved and recorded everything.
        if not change:
            request.first_password = form.first_password

    def response_add(self, request, obj, post_url_continue=None):
        return self._show_password(request, obj, request.first_password, "has been invited")

    def get_urls(self):
        view = self.admin_site.admin_view(self.password_view)
        return [path("<int:user_id>/password/", view, name="auth_user_password"), *super().get_urls()]

    @method_decorator(sensitive_post_parameters())
    def password_view(self, request, user_id):
        """Ask whether it is meant, then set a new password and show it this once."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        person = self.get_object(request, str(user_id)) if user_id < 2**63 else None
        if person is None:
            raise Http404
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        form = OwnPassword(request.POST or None)
        form.asker = request.user
        if request.method == "POST" and form.is_valid():
            person, password = people.new_password(user_id=user_id, by=request.user, at=timezone.now())
            return self._show_password(request, person, password, "has a new password")
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": "New password",
            "person": person,
            "form": form,
        }
        status = 422 if form.is_bound else 200
        return TemplateResponse(request, "admin/auth/user/new_password.html", context, status=status)

    def _show_password(self, request, person, password, what):
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": f"{name_of(person)} {what}",
            "person": person,
            "password": password,
        }
        return TemplateResponse(request, "admin/auth/user/password_once.html", context)

    @admin.display(description="signs in as")
    def signs_in_as(self, person):
        return person.get_username()

    @admin.display(description="name")
    def full_name(self, person):
        return person.get_full_name() or "—"

    @admin.display(description="roles")
    def held(self, person):
        names = {group.name for group in person.groups.all()}
        held = [role.label for role in Role if role.value in names]
        if person.is_superuser:
            held.append("Superuser")
        return ", ".join(held) or "none"


@admin.register(Group)
class RoleAdmin(DeskModelAdmin):
    """The six roles; what each may do is code, so there is nothing to change."""

    ordering = ("name",)
    list_display = ("name", "who_holds_it")
    fields = ("name", "who_holds_it")
    readonly_fields = ("name", "who_holds_it")

    @admin.display(description="who holds it")
    def who_holds_it(self, group):
        url = f"{reverse('admin:auth_user_changelist')}?role={group.name}"
        return format_html('<a href="{}">Show people</a>', url)


@admin.register(AuthToken)
class TokenAdmin(DeskModelAdmin):
    """API tokens: how each starts, whose it is, how long it works; an administrator ends any of them."""

    removed_by = ADMINISTRATORS
    ordering = ("-created", "-pk")
    related = ("user",)
    list_display = ("starts_with", "whose", "created", "expiry", "end_it")
    list_display_links = None
    search_fields = ("token_key",)
    search_help_text = "How the token starts, whole, or the sign-in name of its owner."

    def get_list_display(self, request):
        return self.list_display if self.has_delete_permission(request) else self.list_display[:-1]

    def get_search_results(self, request, queryset, search_term):
        text = search_term.strip()
        if text:
            queryset = queryset.filter(Q(token_key=text) | Q(user__username__iexact=text))
        return queryset, False

    def change_view(self, request, object_id, form_url="", extra_context=None):
        """A token has no page: what may be seen of it stands in the list."""
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        return HttpResponseRedirect(reverse("admin:knox_authtoken_changelist"))

    def delete_view(self, request, object_id, extra_context=None):
        if not self.has_delete_permission(request):
            raise PermissionDenied
        token = self.get_object_or_none(object_id)
        if token is None:
            raise Http404
        if request.method == "POST":
            people.revoke(token=token, by=request.user, at=timezone.now())
            self.message_user(request, f"The token {token.token_key}… no longer works.")
            return HttpResponseRedirect(reverse("admin:knox_authtoken_changelist"))
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": "Revoke a token",
            "token": token,
        }
        return TemplateResponse(request, "admin/knox/authtoken/revoke.html", context)

    def get_object_or_none(self, digest):
        return AuthToken.objects.select_related("user").filter(pk=digest).first()

    @admin.display(description="starts with")
    def starts_with(self, token):
        return format_html("<code>{}…</code>", token.token_key)

    @admin.display(description="owner")
    def whose(self, token):
        return name_of(token.user)

    @admin.display(description="")
    def end_it(self, token):
        url = reverse("admin:knox_authtoken_delete", args=[token.pk])
        return format_html(
            '<a class="button button--small button--danger" href="{}">Revoke'
            '<span class="visually-hidden"> {}</span></a>',
            url,
            token.token_key,
        )
