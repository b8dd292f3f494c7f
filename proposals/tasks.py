"""What runs by the clock for proposals."""

from django.utils import timezone

from audit.context import coming_from
from proposals import services


def expire_due():
    """End what is past its validity and never reached Togai; returns how many."""
    with coming_from("worker"):
        return services.expire_due(at=timezone.now())
