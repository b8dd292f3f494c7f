"""Every address of the product, from the top down."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from config import health, tokens, views
from config.design import design

urlpatterns = [
    path("", views.overview, name="overview"),
    path("login/", views.SignIn.as_view(), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path("password/", views.ChangePassword.as_view(), name="password_change"),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/<str:digest>/revoke/", tokens.revoke, name="token_revoke"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("health/", health.health, name="health"),
    path("health.json", health.HealthForPrograms.as_view(), name="health_json"),
    path("", include("proposals.urls")),
    path("", include("purchases.urls")),
    path("", include("accounts.urls")),
    path("", include("togai.urls")),
    path("api/", include("config.api_urls")),
    path("admin/", admin.site.urls),
]

if settings.DEBUG:
    # The living style guide, for whoever works on the look.
    urlpatterns.append(path("design/", design, name="design"))
