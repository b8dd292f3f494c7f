from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = "Record"

    def ready(self):
        from audit import frozen

        frozen.freeze()
        post_migrate.connect(put_triggers_in_place, sender=self)
        connection_created.connect(see_replaced_rows)


def put_triggers_in_place(*, using, **kwargs):
    """The tables are there; now what guards them."""
    from audit import triggers

    triggers.install(using)


def see_replaced_rows(*, connection, **kwargs):
    """Have SQLite ask the triggers also when INSERT OR REPLACE is what deletes a row."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA recursive_triggers = ON")
