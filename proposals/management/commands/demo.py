"""``manage.py demo``: people for every role, the catalogue, and deals to look at."""

import socket
import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.models import Account
from audit.context import coming_from
from proposals import demo


class Command(BaseCommand):
    help = "Make one person per role, pull the catalogue and, on the sandbox, invent deals. Safe to repeat."

    def add_arguments(self, parser):
        parser.add_argument("--no-deals", action="store_true", help="people and catalogue only")

    def handle(self, *, no_deals, **options):
        local = is_local(settings.TOGAI_BASE_URL)
        with coming_from("command"):
            try:
                made = demo.people(known_passwords=local)
            except demo.NotHere as refused:
                raise CommandError(str(refused)) from refused
            if not local:
                self._tell(made)
            if not Account.objects.exists():
                with something_listening():
                    call_command("togai_pull", quiet=True)
            if not local:
                return
            demo.owners(at=timezone.now())
            if not no_deals:
                demo.deals(at=timezone.now())

    def _tell(self, made):
        """Passwords that nobody can look up later are said once."""
        for person in demo.PEOPLE:
            if person.username in made:
                self.stdout.write(f"{person.role.label}: {person.username} / {made[person.username]}")


def is_local(url):
    """Whether Togai is a stand-in on this machine."""
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}


@contextmanager
def something_listening():
    """A sandbox for as long as the block runs, when Togai is to be on this machine and nobody answers."""
    url = urlsplit(settings.TOGAI_BASE_URL)
    if not is_local(settings.TOGAI_BASE_URL) or _answers(url):
        yield
        return
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "togai_sandbox"]
    command += ["--port", str(url.port), "--control-port", "0", "--token", settings.TOGAI_API_TOKEN]
    command += ["--state", str(settings.VAR_DIR / "togai-sandbox.sqlite3")]
    process = subprocess.Popen(  # noqa: S603  our own command, nothing from outside
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        line = process.stdout.readline()
        if "ready" not in line:
            raise CommandError(line.strip() or "The sandbox did not start.")
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


def _answers(url):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((url.hostname, url.port)) == 0
