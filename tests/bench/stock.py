"""What Django gives for nothing: the same rows in an untouched admin, registered only in here."""

from django.contrib import admin
from django.urls import include, path

from proposals.models import Proposal

ENGINE = "stock"


class StockSite(admin.AdminSite):
    def has_permission(self, request):
        return True


class StockList(admin.ModelAdmin):
    list_display = (
        "number",
        "title",
        "status",
        "type",
        "payment_mode",
        "estimate",
        "owner_id",
        "created_at",
    )
    list_filter = ("status", "type", "payment_mode")
    date_hierarchy = "created_at"
    list_per_page = 50
    ordering = ("-id",)

    def has_view_permission(self, request, obj=None):
        return True

    def changelist_view(self, request, extra_context=None):
        response = super().changelist_view(request, extra_context)
        # The product dresses the admin in its own templates; this one keeps Django's.
        response.using = ENGINE
        return response


site = StockSite(name="stock")
site.register(Proposal, StockList)

urlpatterns = [path("stock/", site.urls), path("", include("config.urls"))]
