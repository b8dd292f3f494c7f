"""Addresses of the API."""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from accounts.api import AccountViewSet
from proposals.api import ProposalViewSet
from purchases.api import PricePlanViewSet, PurchaseViewSet

app_name = "api"

router = SimpleRouter()
router.register("accounts", AccountViewSet, basename="account")
router.register("plans", PricePlanViewSet, basename="plan")
router.register("purchases", PurchaseViewSet, basename="purchase")
router.register("proposals", ProposalViewSet, basename="proposal")

urlpatterns = [
    path("v1/", include(router.urls)),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="api:schema"), name="docs"),
]
