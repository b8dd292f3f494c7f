"""Personal API tokens on their page."""

import pytest
from knox.models import AuthToken

from audit.models import Event
from tests.factories import PASSWORD, rep

pytestmark = pytest.mark.django_db


@pytest.fixture
def author(client):
    author = rep()
    author.set_password(PASSWORD)
    author.save()
    client.force_login(author)
    return author


def test_a_token_is_shown_once_and_kept_as_a_hash(client, author):
    """S-18: shown once, stored hashed, with an expiry of at most ninety days, on record without its value."""
    page = client.post("/tokens/", {"days": 30, "password": PASSWORD})
    shown = page.context["made"]
    token = AuthToken.objects.get()
    assert shown in page.content.decode()
    assert shown not in client.get("/tokens/").content.decode()
    assert shown not in (token.digest, token.token_key)
    assert 29 <= (token.expiry - token.created).days <= 30
    assert shown not in str(Event.objects.get(verb="mint_token").after)
    assert client.get("/api/v1/proposals/", HTTP_AUTHORIZATION=f"Bearer {shown}").status_code == 200


def test_a_wrong_password_makes_no_token(client, author):
    """S-18: a session left open is not enough."""
    page = client.post("/tokens/", {"days": 30, "password": "guess"})
    assert page.context["form"].errors == {"password": ["This is not your password."]}
    assert not AuthToken.objects.exists()


def test_a_revoked_token_stops_at_once(client, author):
    """S-05: effective on the next request."""
    token, value = AuthToken.objects.create(author)
    client.post(f"/tokens/{token.digest}/revoke/")
    assert client.get("/api/v1/proposals/", HTTP_AUTHORIZATION=f"Bearer {value}").status_code == 401


def test_nobody_revokes_a_strangers_token(client, author):
    """S-01: someone else's object is 404."""
    token, _ = AuthToken.objects.create(rep())
    assert client.post(f"/tokens/{token.digest}/revoke/").status_code == 404
    assert AuthToken.objects.exists()
