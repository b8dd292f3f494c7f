from django.core.management.base import BaseCommand, CommandError

from audit.models import Event
from audit.services import verify


class Command(BaseCommand):
    help = "Check that nothing on record was changed, removed or reordered."

    def handle(self, **options):
        broken = verify()
        if broken:
            place = f"Event {broken.event_id} ({broken.subject}, number {broken.seq})"
            raise CommandError(f"{place} breaks its chain: {broken.why}.")
        self.stdout.write(f"The record is whole: {Event.objects.count()} events.")
