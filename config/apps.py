"""How Django finds the wiring."""

from django.apps import AppConfig, apps
from django.contrib.admin import apps as admin_apps
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_migrate


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self):
        from audit import sign_in
        from config import checks, schedules  # noqa: F401  checks registers what production refuses

        post_migrate.connect(
            schedules.register, sender=apps.get_app_config("django_q"), dispatch_uid="schedules"
        )
        user_logged_in.connect(sign_in.remember, dispatch_uid="signed_in_at")
        # Libraries call their apps after their code; the administration shows these names.
        apps.get_app_config("auth").verbose_name = "People"
        apps.get_app_config("knox").verbose_name = "API tokens"


class AdminConfig(admin_apps.AdminConfig):
    default_site = "config.admin.DeskAdmin"
