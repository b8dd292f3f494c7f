"""When the person behind a request last typed their password, for what needs a fresh sign-in (P-21)."""

from datetime import UTC, datetime

from django.utils import timezone

_KEY = "signed_in_at"


def remember(sender, request, user, **kwargs):
    """Keep the moment with the session; Django calls it whenever somebody has signed in."""
    request.session[_KEY] = timezone.now().isoformat()


def signed_in_at(request):
    """The moment, or None where there is none: a token, or a session that is older than this rule."""
    try:
        return datetime.fromisoformat(request.session.get(_KEY, "")).astimezone(UTC)
    except ValueError:
        return None
