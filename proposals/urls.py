"""Addresses of proposals and approvals: plural noun, key, verb."""

from django.urls import path  # noqa: F401

app_name = "proposals"

urlpatterns = []
