"""A delivery as people read it."""

import pytest

from tests.factories import NOON, finance, submitted
from togai import wording
from togai.models import Delivery

State, Kind = Delivery.State, Delivery.Kind


@pytest.fixture
def create(db):
    """The queued create of a submitted proposal."""
    return Delivery.objects.of(submitted()).select_related("depends_on").get()


@pytest.mark.parametrize("state", State.values)
def test_every_state_has_its_words(create, state):
    create.state = state
    assert wording.state_in_words(create).endswith(".")


def test_a_wait_says_why_and_until_when(create):
    assert wording.state_in_words(create) == "Waits to be sent."
    assert wording.tried_again_at(create) == NOON
    create.misses, create.last_message = 2, "Togai cannot be reached."
    assert wording.state_in_words(create) == "Not sent yet; nothing is lost. Togai cannot be reached."
    create.state = State.CONFIRMED
    assert wording.tried_again_at(create) is None


def test_a_decision_waits_for_its_create(create):
    decide = Delivery(kind=Kind.DECIDE, depends_on=create, body=b"{}")
    assert wording.state_in_words(decide) == "Waits until Togai has confirmed: create the proposal."
    assert wording.on_the_wire(decide).path.startswith("/purchase_proposals/{id")
    create.remote_id = "purchase.1/2"
    assert wording.on_the_wire(decide).path == "/purchase_proposals/purchase.1%2F2/update_status"


def test_the_wire_shows_the_frozen_bytes_and_never_the_token(create, settings):
    """S-20: held in an object whose words are ***, and shown as such."""
    settings.TOGAI_API_TOKEN = "canary-4711"
    wire = wording.on_the_wire(create)
    assert (wire.method, wire.path) == ("POST", f"/accounts/{create.account_id}/purchase_proposals")
    assert wire.headers == ("Content-Type: application/json", "Authorization: Bearer ***")
    assert "canary" not in str(wire)
    assert create.idempotency_key in wire.body
    assert finance().username not in wire.body


def test_indenting_keeps_every_digit():
    text = '{"a":[0.10,1e3,12345678901234567890,-0.000000000001],"b":"x\\"y","c":{}}'
    shown = wording.indented(text)
    for number in ("0.10", "1e3", "12345678901234567890", "-0.000000000001"):
        assert f" {number}" in shown
    assert '"b": "x\\"y"' in shown
    assert wording.indented("<html>") == "<html>"
