from django.apps import AppConfig


class TogaiConfig(AppConfig):
    name = "togai"
    verbose_name = "Togai"

    def ready(self):
        from togai import frozen

        frozen.freeze()
