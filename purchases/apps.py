from django.apps import AppConfig


class PurchasesConfig(AppConfig):
    name = "purchases"
    verbose_name = "Purchases and catalogue"

    def ready(self):
        from purchases import frozen, outcome

        outcome.listen()
        frozen.freeze()
