"""What a start refuses."""

import pytest

from config import checks


def said(check):
    return [error.msg for error in check(None)]


def test_these_settings_are_fine():
    """S-03, S-11, S-19: as the product ships."""
    assert said(checks.every_host_is_named) == []
    assert said(checks.what_nobody_thought_about_is_closed) == []


@pytest.mark.parametrize("name", checks.STANDS_BEFORE_EVERY_VIEW)
def test_no_guard_is_taken_out(name, settings):
    """S-03, S-19: each of them stands before every view."""
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if one != name]
    assert said(checks.what_nobody_thought_about_is_closed) == [f"{name} is not in MIDDLEWARE."]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"]}, "strangers"),
        ({"DEFAULT_PERMISSION_CLASSES": []}, "strangers"),
        ({"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.BrowsableAPIRenderer"]}, "browsable"),
    ],
)
def test_the_api_stays_closed_and_plain(change, words, settings):
    """S-03, S-19."""
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | change
    assert [message for message in said(checks.what_nobody_thought_about_is_closed) if words in message]


@pytest.mark.parametrize(
    ("directive", "values"),
    [
        ("script-src", ["'self'", "'unsafe-inline'"]),
        ("script-src", ["'self'", "'unsafe-eval'"]),
        ("style-src", ["'unsafe-inline'"]),
        ("img-src", ["*"]),
        ("default-src", ["'self'"]),
    ],
)
def test_the_policy_is_not_widened(directive, values, settings):
    """S-11, S-19: with the directive named."""
    directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"] | {directive: values}
    settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": directives}
    assert [one for one in said(checks.what_nobody_thought_about_is_closed) if directive in one]


@pytest.mark.parametrize("hosts", [["*"], [".example.com"], ["desk.example.com", "*"]])
def test_every_host_is_named_in_full(hosts, settings):
    """S-19: no wildcard."""
    settings.ALLOWED_HOSTS = hosts
    assert said(checks.every_host_is_named) == ["ALLOWED_HOSTS has a wildcard."]


@pytest.mark.parametrize(
    ("name", "value"), [("AUTH_PASSWORD_VALIDATORS", []), ("SESSION_COOKIE_AGE", 14 * 24 * 3600)]
)
def test_passwords_and_sessions_have_limits(name, value, settings):
    """S-19."""
    setattr(settings, name, value)
    assert len(said(checks.what_nobody_thought_about_is_closed)) == 1


@pytest.mark.parametrize(
    "token",
    ["", "canary-8f31\n", "canary-8f31 two", "canary-8f31-é", "canary-8f31" * 400],
    ids=["empty", "newline", "space", "accent", "long"],
)
def test_a_token_that_cannot_be_sent_stops_the_start_unprinted(token, settings):
    """S-20, reliability.md 4.2, 66: the HTTP library would print a bad header whole."""
    settings.TOGAI_API_TOKEN = token
    [message] = said(checks.the_token_can_be_sent)
    assert message.startswith("TOGAI_API_TOKEN cannot be used.")
    assert "canary" not in message
