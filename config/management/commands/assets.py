"""``manage.py assets``: collect the static files when one of them has changed."""

import fcntl
import hashlib

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Collect the static files, unless nothing changed since the last time."
    requires_system_checks = []

    def handle(self, *args, **options):
        stamp = settings.VAR_DIR / "static.stamp"
        # Two starts at once must not write the same manifest.
        with (settings.VAR_DIR / "static.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = _fingerprint()
            if stamp.exists() and stamp.read_text() == found and settings.STATIC_ROOT.is_dir():
                return
            # Files of earlier releases stay: a server that still runs goes on serving them.
            call_command("collectstatic", interactive=False, verbosity=0)
            stamp.write_text(found)


def _fingerprint():
    """What would be collected, by name, size and time of change, and how it would be stored."""
    seen = hashlib.sha256(settings.STORAGES["staticfiles"]["BACKEND"].encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            seen.update(f"{path} {storage.size(path)} {storage.get_modified_time(path)}\n".encode())
    return seen.hexdigest()
