"""A delivery as people read it."""

from uuid import uuid4

import pytest

from purchases.services import body_for
from tests.factories import NOON, finance, submitted
from togai import wording
from togai.models import Delivery, DeliveryAttempt
from togai.wire import CreateProposal

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


def test_half_a_pair_of_surrogates_is_shown_as_it_came():
    """Reliability.md 3.2: an answer that no page can show would be an error at whoever looks at it."""
    text = r'{"comment":"\ud800","price":1.50}'
    assert wording.indented(text) == text
    assert wording.indented(r'{"comment":"\ud83d\ude00"}').encode()


def test_a_preview_is_what_leaves_but_for_the_key(db):
    """G-51: previewed before the press of the button, the sent bytes equal it byte for byte."""
    proposal = submitted()
    create = Delivery.objects.of(proposal).get()
    preview = wording.to_be_sent(Kind.CREATE_PROPOSAL, create.account_id, body_for(proposal, CreateProposal))
    sent = wording.on_the_wire(create)
    assert preview.exact.replace(wording.KEY_TO_COME, create.idempotency_key) == sent.exact
    assert preview.exact.count(wording.KEY_TO_COME) == 1
    assert (preview.method, preview.path, preview.headers) == (sent.method, sent.path, sent.headers)


def test_the_receipt_is_of_the_newest_send_that_was_answered(create, django_assert_num_queries):
    """G-36, G-51"""
    deliveries = wording.with_receipts(Delivery.objects.all())
    assert wording.told(deliveries)[0].receipt is None
    for number, (purpose, status) in enumerate([("SEND", 503), ("SEND", 201), ("LOOK", 200), ("SEND", None)]):
        DeliveryAttempt.objects.create(
            delivery=create,
            number=number,
            purpose=purpose,
            http_status=status,
            claim_token=uuid4(),
            started_at=NOON,
            worker="test",
            release="1",
        )
    with django_assert_num_queries(1):
        (told,) = wording.told(deliveries.all())
    assert told.receipt.http_status == 201
    assert told.is_as_written


@pytest.mark.parametrize("state", State.values)
def test_what_somebody_has_to_know_is_shown_unfolded(create, state):
    Delivery.objects.update(state=state, claim_token=uuid4(), claim_until=NOON)
    (told,) = wording.told(wording.with_receipts(Delivery.objects.filter(pk=create.pk)))
    assert told.asks_for_attention == (state in ("HELD", "UNKNOWN", "NEEDS_HUMAN"))
