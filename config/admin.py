"""Django admin as one more door of the same house: same sign-in, same roles, same record."""

from functools import update_wrapper

from django.contrib import admin
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import JsonResponse
from django.shortcuts import redirect, resolve_url
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe

from audit.roles import SEES_EVERYTHING, has_role

LONGEST_SEARCH = 200
NEWEST = 10


class DeskAdmin(admin.AdminSite):
    site_header = site_title = "Deal Desk"
    index_title = "Administration"
    site_url = None
    empty_value_display = "—"
    enable_nav_sidebar = False
    # An unknown address is simply not found.
    final_catch_all_view = False

    def register(self, model_or_iterable, admin_class=None, **options):
        """
        Register only what stands behind the gate of roles.

        What libraries register by themselves asks Django's permissions, which decide nothing here, and lets a
        superuser edit rows and repeat jobs past every service.
        """
        from audit.admin_pages import DeskModelAdmin

        if admin_class is not None and issubclass(admin_class, DeskModelAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def has_permission(self, request):
        """Administrators work here; finance, CFO and auditors read (reliability.md 4.1)."""
        return has_role(request.user, *SEES_EVERYTHING)

    def admin_view(self, view, cacheable=False):
        """Tell whoever is signed in and has no business here so at once (S-01)."""
        guarded = super().admin_view(view, cacheable)

        def gate(request, *args, **kwargs):
            if request.user.is_authenticated and not self.has_permission(request):
                raise PermissionDenied
            return guarded(request, *args, **kwargs)

        return update_wrapper(gate, guarded)

    @login_not_required
    def login(self, request, extra_context=None):
        """Send everybody through the one sign-in (S-16)."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied
        return redirect_to_login(request.GET.get("next", reverse("admin:index")), resolve_url("login"))

    def password_change(self, request, extra_context=None):
        """There is one page for that, and everybody has it."""
        return redirect("password_change")

    password_change_done = password_change

    def get_log_entries(self, request):
        """What the person did last, from the record: Django's own log is not kept."""
        from audit.models import Event

        return Event.objects.filter(actor=request.user).order_by("-pk")

    @method_decorator(require_safe)
    def index(self, request, extra_context=None):
        from audit.admin_pages import change_url

        mine = [
            (event, change_url(event.subject_type, event.subject_id))
            for event in self.get_log_entries(request)[:NEWEST]
        ]
        return super().index(request, {"mine": mine} | (extra_context or {}))

    @method_decorator(require_safe)
    def app_index(self, request, app_label, extra_context=None):
        return super().app_index(request, app_label, extra_context)

    def autocomplete_view(self, request):
        return Suggestions.as_view(admin_site=self)(request)


class Suggestions(AutocompleteJsonView):
    """What an autocomplete field offers: the first matches, without counting the others."""

    def get(self, request, *args, **kwargs):
        if len(request.GET.get("term", "")) > LONGEST_SEARCH:
            raise BadRequest(f"A search has at most {LONGEST_SEARCH} characters.")
        self.term, self.model_admin, self.source_field, to_field = self.process_request(request)
        if not self.has_perm(request):
            raise PermissionDenied
        found = [self.serialize_result(one, to_field) for one in self.get_queryset()[: self.paginate_by]]
        return JsonResponse({"results": found, "pagination": {"more": False}})

    def serialize_result(self, obj, to_field_name):
        name = obj.get_full_name() if hasattr(obj, "get_full_name") else ""
        text = f"{name} ({obj})" if name else str(obj)
        return {"id": str(getattr(obj, to_field_name)), "text": text}
