"""What a production start refuses beyond Django's own `check --deploy` (reliability.md S-19)."""

from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import Error, Tags, register
from django.db import connections

from togai.secret import Secret

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


@register(Tags.security)
def every_host_is_named(app_configs, **kwargs):
    """A wildcard answers for whatever name somebody claims."""
    if settings.DEBUG or not any(host.startswith(("*", ".")) for host in settings.ALLOWED_HOSTS):
        return []
    return [
        Error(
            "ALLOWED_HOSTS has a wildcard.",
            hint="Name each host in full, such as desk.example.com.",
            id="config.E003",
        )
    ]


STANDS_BEFORE_EVERY_VIEW = (
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.middleware.pages_are_not_stored",
)


@register(Tags.security)
def what_nobody_thought_about_is_closed(app_configs, **kwargs):
    """Default deny on both doors, and one policy for scripts (S-03, S-11); Django's own checks miss these."""
    found = [
        f"{name} is not in MIDDLEWARE."
        for name in STANDS_BEFORE_EVERY_VIEW
        if name not in settings.MIDDLEWARE
    ]
    api = settings.REST_FRAMEWORK
    if api.get("DEFAULT_PERMISSION_CLASSES") != ["rest_framework.permissions.IsAuthenticated"]:
        found.append("REST framework lets strangers in by default.")
    if any("Browsable" in name for name in api.get("DEFAULT_RENDERER_CLASSES", ["Browsable"])):
        found.append("REST framework shows its browsable pages.")
    policy = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    loose = sorted(
        name for name, values in policy.items() if any("unsafe" in value or value == "*" for value in values)
    )
    if loose or policy.get("default-src") != ["'none'"]:
        found.append(f"The content security policy is too wide: {', '.join(loose) or 'default-src'}.")
    if not settings.AUTH_PASSWORD_VALIDATORS:
        found.append("Any password will do.")
    if settings.SESSION_COOKIE_AGE > 12 * 3600:
        found.append("A session lasts longer than a day of work.")
    return [Error(message, id="config.E004") for message in found]


@register(Tags.security)
def the_token_can_be_sent(app_configs, **kwargs):
    """A token with a line break, a space or a letter outside ASCII would be printed by the HTTP library."""
    try:
        Secret(settings.TOGAI_API_TOKEN)
    except ValueError as problem:
        # The message of a `Secret` never holds its value (reliability.md 4.2, 66).
        return [Error(f"TOGAI_API_TOKEN cannot be used. {problem}", id="config.E005")]
    return []


@register(Tags.database)
def what_is_written_down_survives_a_power_cut(app_configs, databases=None, **kwargs):
    """A claim that the disk forgot would be sent a second time (R-28). Asked by `migrate`, as it connects."""
    return [
        checks.Warning(
            f"The database “{alias}” may forget what it has confirmed when the power fails.",
            hint="Remove synchronous_commit=off (PostgreSQL) or synchronous below FULL (SQLite).",
            id="config.W001",
        )
        for alias in databases or []
        if forgets_after_a_power_cut(alias)
    ]


def forgets_after_a_power_cut(alias="default"):
    """Whether this connection may lose a committed row with the machine's power (R-28)."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SHOW synchronous_commit")
            return cursor.fetchone()[0] == "off"
        cursor.execute("PRAGMA synchronous")
        # 2 is FULL, 3 is EXTRA.
        return cursor.fetchone()[0] < 2
