from django.apps import AppConfig


class TogaiConfig(AppConfig):
    name = "togai"
    verbose_name = "Togai"
