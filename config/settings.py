"""
Every setting of the product, read from the environment and `.env` once, here.

A missing or malformed value stops the start with one sentence; see `config/checks.py` for what production
refuses.
"""

import re
import sys
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


class Env(environ.Env):
    """The environment, whose complaints name the variable and never its value."""

    def get_value(self, var, cast=None, *args, **kwargs):
        try:
            return super().get_value(var, cast, *args, **kwargs)
        except ValueError as error:
            kind = "a whole number" if cast is int else "a number" if cast is float else "readable"
            raise ImproperlyConfigured(f"{var} is not {kind}.") from error


class Hidden(str):
    """Text that no dump of the settings and no local of an error page shows (S-20)."""

    __slots__ = ()

    def __repr__(self):
        return "***"


env = Env()
Env.read_env(env.str("ENV_FILE", default=str(BASE_DIR / ".env")))
# Everything the product writes: the SQLite file, collected static files, the sandbox's state.
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))

TESTING = "pytest" in sys.modules

# --- The machine ---

DEBUG = env.bool("DEBUG", default=False)
DEFAULT_EXCEPTION_REPORTER_FILTER = "config.logs.ErrorPage"
SECRET_KEY = env.str("SECRET_KEY", default="only-for-tests-" + "x" * 50 if TESTING else "")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set: run `make run`, or copy .env.example to .env and fill it in."
    )
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Off only for the embedded product on a loopback address (config/checks.py).
HTTPS = env.bool("HTTPS", default=not (DEBUG or TESTING))
RELEASE = "0.1.0"

# --- The house ---

INSTALLED_APPS = [
    "config.apps.ConfigConfig",
    "proposals",
    "purchases",
    "accounts",
    "togai",
    "audit",
    "config.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.forms",
    "csp",
    "django_htmx",
    "django_q",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.each_request_is_one_line",
    "django.middleware.gzip.GZipMiddleware",
    "config.middleware.refuse_impossible_text",
    "config.health.health_without_a_database",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "audit.middleware.remember_the_request",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "config.middleware.pages_are_not_stored",
    "config.middleware.refusals_become_pages",
]

if TESTING:
    # Finds a query in a loop wherever a test walks by.
    INSTALLED_APPS.append("zeal")
    MIDDLEWARE.append("zeal.middleware.zeal_middleware")

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.context.shell",
            ],
            "builtins": ["config.templatetags.desk"],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

# --- Data ---

VAR_DIR.mkdir(parents=True, exist_ok=True)
# What is invented on the sandbox and what is real never share a file.
_togai = re.sub(r"^https?://|[^a-z0-9.]+", "-", env.str("TOGAI_BASE_URL", default="").lower()).strip("-")
_file = VAR_DIR / (f"dealdesk-{_togai}.sqlite3" if _togai else "dealdesk.sqlite3")
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{_file}")}
_engine = DATABASES["default"].get("ENGINE", "")
if _engine not in ("django.db.backends.sqlite3", "django.db.backends.postgresql"):
    raise ImproperlyConfigured("DATABASE_URL starts with sqlite:/// or postgres://, and nothing else.")
if _engine == "django.db.backends.sqlite3":
    # Immediate transactions wait for their turn instead of failing; FULL because a delivery row must survive
    # a power cut (reliability.md R-28).
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
    }
else:
    # Opening a connection costs as much as a page (performance.md 6).
    DATABASES["default"].setdefault("CONN_MAX_AGE", 60)
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- People ---

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
if HTTPS:
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"

# --- Headers ---

SECURE_SSL_REDIRECT = HTTPS
# Only behind a proxy that ends TLS and sets this header itself on every request: else it is anybody's word.
if env.bool("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "object-src": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}
# One page of bulk editing posts 100 rows × 10 fields (reliability.md 4.2, 18).
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2500
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# --- Files ---

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG or TESTING
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# --- Words and times ---

LANGUAGE_CODE = "en-gb"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = ["config.formats"]
try:
    BUSINESS_TIME_ZONE = ZoneInfo(env.str("BUSINESS_TIME_ZONE", default="Europe/Berlin"))
except (ZoneInfoNotFoundError, ValueError) as error:
    raise ImproperlyConfigured(
        "BUSINESS_TIME_ZONE is not a time zone that this machine knows, such as Europe/Berlin."
    ) from error
REPORTING_CURRENCY = env.str("REPORTING_CURRENCY", default="EUR")
# A yes above this, in the reporting currency, and to what is free or not known, needs a password that was
# typed so many minutes before at most (R-22, P-21).
FRESH_SIGN_IN_OVER = env.int("FRESH_SIGN_IN_OVER", default=100_000)
FRESH_SIGN_IN_MINUTES = env.int("FRESH_SIGN_IN_MINUTES", default=15)

# --- Who offers: the head of what customers read (docs/running.md) ---

SELLER_NAME = env.str("SELLER_NAME", default="Deal Desk")
# Lines with semicolons between them: street; town; country; how to reach somebody.
SELLER_ADDRESS = env.str("SELLER_ADDRESS", default="")

# --- Togai (reliability.md 2.10) ---

# The sandbox of `make run` listens beside the product, so that two checkouts can run on one machine.
SANDBOX_PORT = env.int("SANDBOX_PORT", default=env.int("PORT", default=8000) + 1)
SANDBOX_URL = f"http://127.0.0.1:{SANDBOX_PORT}"
TOGAI_BASE_URL = env.str("TOGAI_BASE_URL", default=SANDBOX_URL)
TOGAI_API_TOKEN = Hidden(env.str("TOGAI_API_TOKEN", default="sandbox-token"))
# Marks every key with the place it came from, so that a copy of the data is recognised.
TOGAI_ENVIRONMENT = env.str("TOGAI_ENVIRONMENT", default="dev")
# One call: seconds to connect, between two reads, and in all.
TOGAI_CONNECT_TIMEOUT = env.float("TOGAI_CONNECT_TIMEOUT", default=5)
TOGAI_READ_TIMEOUT = env.float("TOGAI_READ_TIMEOUT", default=20)
TOGAI_DEADLINE = env.float("TOGAI_DEADLINE", default=30)
# Calls of all workers together, and how many of them may only follow what is sent; Togai allows ten (T6).
TOGAI_REQUESTS_PER_SECOND = env.int("TOGAI_REQUESTS_PER_SECOND", default=8)
TOGAI_FOLLOWS_PER_SECOND = env.int("TOGAI_FOLLOWS_PER_SECOND", default=2)
# How long a worker may hold a row, and after how many deaths in its middle a person is asked.
TOGAI_CLAIM_SECONDS = env.int("TOGAI_CLAIM_SECONDS", default=120)
TOGAI_MOST_DEATHS = env.int("TOGAI_MOST_DEATHS", default=3)
# After a send in doubt: a look that may find; from the quarantine's end on looks also conclude absence. Two
# absences this far apart prove it; the ladder says when to look after the first, the second and so on.
TOGAI_EARLY_LOOK_SECONDS = env.int("TOGAI_EARLY_LOOK_SECONDS", default=30)
TOGAI_QUARANTINE_SECONDS = env.int("TOGAI_QUARANTINE_SECONDS", default=900)
TOGAI_ABSENCE_SECONDS = env.int("TOGAI_ABSENCE_SECONDS", default=300)
TOGAI_LOOK_LADDER = env.list("TOGAI_LOOK_LADDER", cast=int, default=[300, 3600, 21600, 86400])
TOGAI_LONGEST_DOUBT_SECONDS = env.int("TOGAI_LONGEST_DOUBT_SECONDS", default=86400)
# How often each kind is sent by itself in all; a purchase moves money at once, so it is never sent again.
TOGAI_MOST_SENDS_OF_A_PROPOSAL = env.int("TOGAI_MOST_SENDS_OF_A_PROPOSAL", default=3)
TOGAI_MOST_SENDS_OF_A_DECISION = env.int("TOGAI_MOST_SENDS_OF_A_DECISION", default=3)
TOGAI_MOST_SENDS_OF_A_PURCHASE = env.int("TOGAI_MOST_SENDS_OF_A_PURCHASE", default=1)
TOGAI_MOST_SENDS_OF_AN_EDIT = env.int("TOGAI_MOST_SENDS_OF_AN_EDIT", default=4)
# The circuit opens after so many calls in vain in a row, or when half of at least so many calls in a window
# were; then one cheap read tries, doubling the wait up to the longest.
TOGAI_FAILURES_IN_A_ROW = env.int("TOGAI_FAILURES_IN_A_ROW", default=5)
TOGAI_ENOUGH_CALLS = env.int("TOGAI_ENOUGH_CALLS", default=20)
TOGAI_WINDOW_SECONDS = env.int("TOGAI_WINDOW_SECONDS", default=60)
TOGAI_PROBE_SECONDS = env.int("TOGAI_PROBE_SECONDS", default=60)
TOGAI_LONGEST_PROBE_SECONDS = env.int("TOGAI_LONGEST_PROBE_SECONDS", default=600)
# A refused token may lock the office out for half an hour: ask again at most this often.
TOGAI_AUTH_PAUSE_SECONDS = env.int("TOGAI_AUTH_PAUSE_SECONDS", default=360)
# "Too many requests" without a word for how long, and the longest wait of a single row.
TOGAI_BUSY_PAUSE_SECONDS = env.int("TOGAI_BUSY_PAUSE_SECONDS", default=5)
TOGAI_LONGEST_WAIT_SECONDS = env.int("TOGAI_LONGEST_WAIT_SECONDS", default=300)
# When an open record is read again after its status last moved; after its end so many nights, then weeks
# (G-50). A record that is not found is gone when a look this much later does not find it either.
TOGAI_FOLLOW_LADDER = env.list(
    "TOGAI_FOLLOW_LADDER", cast=int, default=[2, 3, 5, 10, 20, 30, 60, 120, 300, 900]
)
TOGAI_FOLLOW_NIGHTS = env.int("TOGAI_FOLLOW_NIGHTS", default=7)
TOGAI_FOLLOW_WEEKS = env.int("TOGAI_FOLLOW_WEEKS", default=12)
TOGAI_MISSING_SECONDS = env.int("TOGAI_MISSING_SECONDS", default=86400)

# --- Work in the background ---

Q_CLUSTER = {
    "name": "dealdesk",
    "orm": "default",
    "workers": env.int("WORKERS", default=1),
    "timeout": 300,
    "retry": 360,
    "poll": 0.5,
    "max_attempts": 1,
    "save_limit": 200,
    "catch_up": False,
    "bulk": 1,
    "label": "Background work",
}
if TESTING:
    # A message is only a wake-up: tests run the worker's step themselves.
    Q_CLUSTER["testing"] = True

# --- Mail ---

# Where people reach the product, for links in what leaves it.
_here = f"http://127.0.0.1:{env.int('PORT', default=8000)}"
PUBLIC_URL = env.str(
    "PUBLIC_URL", default=f"https://{ALLOWED_HOSTS[0]}" if HTTPS and ALLOWED_HOSTS else _here
).rstrip("/")
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Deal Desk <desk@localhost>")
if env.str("EMAIL_URL", default=""):
    _mail = env.email_url("EMAIL_URL")
    globals().update(_mail | {"EMAIL_HOST_PASSWORD": Hidden(_mail["EMAIL_HOST_PASSWORD"] or "")})
else:
    # On one machine people read mails where they read the log. A mail holds names and a collector's log does
    # not (S-30): there mails are files, and on servers there are none.
    _apart = env.str("LOG_FORMAT", default="text") == "json"
    _backend = "dummy" if HTTPS else "filebased" if _apart else "console"
    EMAIL_BACKEND = f"django.core.mail.backends.{_backend}.EmailBackend"
    EMAIL_FILE_PATH = str(VAR_DIR / "mail")
# Without a server on servers, notices stand on their page alone.
SENDS_MAIL = not EMAIL_BACKEND.endswith("dummy.EmailBackend")
# A silent mail server keeps the worker from its deliveries no longer than this.
EMAIL_TIMEOUT = 10

# --- API ---

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["config.api.ApiToken", "config.api.SignedIn"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["config.api.ExactJSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.api.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "config.api.KeyPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.api.refusals_become_answers",
    "PAGE_SIZE": 50,
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
REST_KNOX = {"TOKEN_TTL": timedelta(days=90), "AUTH_HEADER_PREFIX": "Bearer", "TOKEN_PREFIX": "desk_"}
SPECTACULAR_SETTINGS = {
    "TITLE": "Deal Desk",
    "DESCRIPTION": "Accounts, price plans, purchases and proposals: what the pages do, for programs.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {
        "RecordStatus": "accounts.models.Account.Status",
        "PurchaseStatus": "purchases.models.Purchase.Status",
        "ProposalStatus": "proposals.models.Proposal.Status",
        "PlanType": "purchases.models.PricePlan.Type",
        "DealType": "purchases.models.HasTerms.Type",
    },
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": False, "displayRequestDuration": True},
}

# --- Log ---

# Lines for people where the product runs on one machine; for a collector, one JSON object each.
LOG_FORMAT = env.str("LOG_FORMAT", default="json" if HTTPS else "text")
if LOG_FORMAT not in ("json", "text"):
    raise ImproperlyConfigured("LOG_FORMAT is json or text.")
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO").upper()
if LOG_LEVEL not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
    raise ImproperlyConfigured("LOG_LEVEL is DEBUG, INFO, WARNING, ERROR or CRITICAL.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logs.JSONLines"}, "text": {"()": "config.logs.TextLines"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        # Django's own handlers would say everything twice, in another shape.
        "django": {"level": "WARNING", "handlers": []},
        "access": {"level": LOG_LEVEL},
        "togai": {"level": LOG_LEVEL},
        "notices": {"level": LOG_LEVEL},
    },
}
