"""How Django finds the wiring."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self):
        from config import checks  # noqa: F401  registers what production refuses


class AdminConfig(admin_apps.AdminConfig):
    default_site = "config.admin.DeskAdmin"
