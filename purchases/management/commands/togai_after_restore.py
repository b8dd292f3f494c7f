"""``manage.py togai_after_restore``: what to run first on a restored backup (docs/operations.md)."""

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from accounts.models import Account, PullRun
from audit.context import coming_from
from purchases import pulling
from togai import restore
from togai.errors import TogaiError
from togai.worker import make_gateway


class Command(BaseCommand):
    help = "After a restore: stop sending, put open deliveries in doubt, and find what Togai holds beyond."

    def add_arguments(self, parser):
        parser.add_argument(
            "backup", help="when the backup was made, with its zone: 2026-03-01T02:00:00+01:00"
        )

    def handle(self, *args, backup, **options):
        try:
            since = parse_datetime(backup)
        except ValueError:
            since = None
        if since is None or timezone.is_naive(since):
            raise CommandError(f"“{backup}” is no moment with a zone, such as 2026-03-01T02:00:00+01:00.")
        at = timezone.now()
        if since > at:
            raise CommandError("The backup cannot be of the future.")
        gateway = make_gateway()
        with coming_from("command"):
            # First of all, so that nothing is sent whatever becomes of the rest.
            doubted = restore.begin(at=at, why=f"Restored from the backup of {since:%-d %b %Y, %H:%M %Z}.")
            self.stdout.write(
                f"Nothing is sent until an administrator signs at /deliveries/. In doubt: {doubted}."
            )
            try:
                self._pull_accounts(gateway)
                orphans = self._walk(gateway, since=since, at=at)
            except (TogaiError, pulling.TakenOver) as error:
                raise CommandError(f"Togai could not be read to the end: {error} Run this again.") from error
            self.stdout.write(f"Records at Togai that belong to nothing here: {orphans}.")

    def _pull_accounts(self, gateway):
        """Read accounts from the first page on: what is younger than the backup has records of its own."""
        tally = pulling.pull_now(PullRun.Name.ACCOUNTS, gateway=gateway, anew=True)
        self.stdout.write(f"Accounts: {tally}.")
        for problem in tally.skipped:
            self.stderr.write(f"  {problem}")

    def _walk(self, gateway, *, since, at):
        # All at once: a cursor that an error leaves open is closed in the middle of somebody else's work.
        accounts = list(Account.objects.order_by("pk").values_list("togai_id", flat=True))
        orphans = 0
        for orphan in restore.find_orphans(gateway, accounts, since=since, at=at):
            orphans += 1
            what = f"{orphan.remote_id} ({orphan.status})"
            self.stdout.write(f"{orphan.account_id}: {what} was made after the backup.")
        return orphans
