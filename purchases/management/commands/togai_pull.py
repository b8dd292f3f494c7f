"""Pull accounts, price plans and features from Togai."""

from django.core.management.base import BaseCommand, CommandError

from accounts.models import PullRun
from audit.context import coming_from
from purchases import pulling
from togai.errors import TogaiError
from togai.worker import make_gateway

Name = PullRun.Name


class Command(BaseCommand):
    help = "Pulls accounts with their customers, price plans with their rate cards, and features from Togai."

    def add_arguments(self, parser):
        parser.add_argument("--accounts", action="store_true", help="pull accounts and customers only")
        parser.add_argument("--plans", action="store_true", help="pull price plans and features only")
        parser.add_argument(
            "--restart", action="store_true", help="begin again, even if an earlier pull was interrupted"
        )
        parser.add_argument("--quiet", action="store_true", help="print problems only")

    def handle(self, *, accounts, plans, restart, quiet, **options):
        everything = accounts == plans
        self.live = not quiet and self.stdout.isatty()
        wanted = [name for name in pulling.ORDER if everything or (name == Name.ACCOUNTS) == accounts]
        gateway, tell = make_gateway(), self.show if self.live else lambda name, tally: None
        with coming_from("command"):
            for name in wanted:
                try:
                    tally = pulling.pull_now(name, gateway=gateway, anew=restart, tell=tell)
                except (TogaiError, pulling.TakenOver) as error:
                    self.end_line()
                    raise CommandError(
                        f"{name.label}: {error} What was read is kept; run this again to go on."
                    ) from error
                self.report(name.label, tally, quiet)

    def show(self, name, tally):
        """One line that moves while a list is read."""
        self.stdout.write(f"\r{name}: {tally}\x1b[K", ending="")
        self.stdout.flush()

    def end_line(self):
        if self.live:
            self.stdout.write("")

    def report(self, name, tally, quiet):
        if not quiet:
            self.stdout.write(f"\r{name}: {tally}.\x1b[K" if self.live else f"{name}: {tally}.")
        for problem in tally.skipped:
            self.stderr.write(f"  {problem}")
