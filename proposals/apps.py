from django.apps import AppConfig


class ProposalsConfig(AppConfig):
    name = "proposals"
    verbose_name = "Proposals"

    def ready(self):
        from proposals import frozen, outcome

        outcome.listen()
        frozen.freeze()
