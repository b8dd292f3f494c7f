"""Django admin as one more door of the same house: same sign-in, same roles."""

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.shortcuts import resolve_url
from django.urls import reverse

from audit.roles import Role, has_role


class DeskAdmin(admin.AdminSite):
    site_header = site_title = "Deal Desk"
    index_title = "Administration"
    site_url = None
    enable_nav_sidebar = False

    def has_permission(self, request):
        """Administrators work here; finance, CFO and auditors read (reliability.md 4.1)."""
        return has_role(request.user, Role.ADMINISTRATOR, Role.FINANCE, Role.CFO, Role.AUDITOR)

    def login(self, request, extra_context=None):
        """Send everybody through the one sign-in (S-16)."""
        if request.user.is_authenticated and not self.has_permission(request):
            from django.core.exceptions import PermissionDenied

            raise PermissionDenied
        return redirect_to_login(request.GET.get("next", reverse("admin:index")), resolve_url("login"))
