"""What a production start refuses beyond Django's own `check --deploy` (reliability.md S-19)."""

from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import Error, Tags, register

LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}


@register(Tags.security)
def loopback_only_without_https(app_configs, **kwargs):
    """Plain HTTP is for a product on this machine alone."""
    if settings.HTTPS or settings.DEBUG or settings.TESTING or set(settings.ALLOWED_HOSTS) <= LOOPBACK:
        return []
    return [
        Error(
            "HTTPS is off but ALLOWED_HOSTS names more than this machine.",
            hint="Set HTTPS=True, or keep ALLOWED_HOSTS to 127.0.0.1 and localhost.",
            id="config.E001",
        )
    ]


@register(Tags.security)
def togai_is_addressed_safely(app_configs, **kwargs):
    """The token leaves only over TLS, or to the sandbox on this machine (S-21)."""
    try:
        url = urlsplit(settings.TOGAI_BASE_URL)
        port = url.port
    except ValueError:
        return [Error("TOGAI_BASE_URL is not a web address.", id="config.E002")]
    host = url.hostname or ""
    local = url.scheme == "http" and host in {"127.0.0.1", "localhost", "::1"}
    if not local and (url.scheme != "https" or port not in (None, 443)):
        return [Error("TOGAI_BASE_URL has to start with https:// and use the usual port.", id="config.E002")]
    if url.username or url.password or url.query or url.fragment or url.path.strip("/"):
        return [
            Error("TOGAI_BASE_URL is scheme and host alone, such as https://api.togai.com.", id="config.E002")
        ]
    return []
