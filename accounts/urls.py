"""Addresses of accounts. Togai's ids are free text; a path takes them with whatever they hold."""

from django.urls import path

from accounts import views

app_name = "accounts"

urlpatterns = [
    path("accounts/", views.account_list, name="list"),
    path("accounts/search/", views.suggestions, name="search"),
    path("accounts/<path:togai_id>/edit/", views.edit, name="edit"),
    path("accounts/<path:togai_id>/hand-over/", views.hand_over, name="hand_over"),
    path("accounts/<path:togai_id>/", views.detail, name="detail"),
]
