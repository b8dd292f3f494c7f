"""Addresses of purchases and price plans: plural noun, key, verb."""

from django.urls import path  # noqa: F401

app_name = "purchases"

urlpatterns = []
