"""What runs by the clock for proposals."""

from django.utils import timezone

from audit.context import coming_from
from proposals import notices, services


def expire_due():
    """End what is past its validity and never reached Togai; returns how many."""
    with coming_from("worker"):
        return services.expire_due(at=timezone.now())


def warn_of_expiry():
    """Warn of what is about to pass its validity; returns how many notices were written."""
    with coming_from("worker"):
        return notices.warn_of_expiry(at=timezone.now())


def mail_notices():
    """Send the mails that are due; returns how many were sent."""
    with coming_from("worker"):
        return notices.mail(at=timezone.now())
