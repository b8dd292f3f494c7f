"""``manage.py togai_sandbox``: run a Togai to develop against (docs/sandbox.md)."""

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Run a local server that behaves as the Togai billing API, with a control page for testers."
    # It must start on a machine without a database, and fast.
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser):
        parser.add_argument("--port", type=int, default=8001, help="where the API listens (default 8001)")
        parser.add_argument("--control-port", type=int, default=8002, help="the control page (default 8002)")
        parser.add_argument("--state", default="var/togai-sandbox.sqlite3", help="file that keeps the state")
        parser.add_argument("--token", default="sandbox-token", help="the bearer token it accepts")
        parser.add_argument("--load", help="JSON file that replaces the shipped catalogue in an empty state")

    def handle(self, *args, **options):
        # Imported here: other commands must not pay for it.
        from togai.sandbox.loading import BadCatalogue
        from togai.sandbox.server import run

        try:
            run(
                port=options["port"],
                control_port=options["control_port"],
                state_path=options["state"],
                token=options["token"],
                load_path=options["load"],
                say=lambda line: print(line, flush=True),
            )
        except BadCatalogue as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"The sandbox cannot start: {error.strerror or error}.") from error
