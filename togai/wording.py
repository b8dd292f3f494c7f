"""How a delivery is told to people: its state in words, and what goes over the wire."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from django.db.models import OuterRef, Subquery

from togai import wire
from togai.models import Delivery, DeliveryAttempt

State, Kind = Delivery.State, Delivery.Kind


@dataclass(frozen=True)
class Wire:
    """
    One request as it is sent: method, path, headers without secrets, and the body as indented JSON.

    :ivar exact: the body as it leaves, byte for byte
    :ivar sha256: of those bytes, taken now
    :ivar size: how many bytes they are
    """

    method: str
    path: str
    headers: tuple[str, ...]
    body: str
    exact: str
    sha256: str
    size: int


# Stands in a preview for the key that is drawn when the change is written down.
KEY_TO_COME = "a-new-random-key"
# And for the id that Togai has not given yet.
ID_TO_COME = "{id}"


@dataclass(frozen=True)
class Told:
    """
    One delivery as the page of its subject tells it.

    :ivar again_at: when it is tried or looked up next, or None
    :ivar receipt: the newest send that was answered, only its times, status and hash; None before that
    """

    delivery: Delivery
    words: str
    again_at: datetime | None
    wire: Wire
    receipt: DeliveryAttempt | None

    @property
    def asks_for_attention(self):
        """Whether it is shown unfolded: somebody has to know or to do something."""
        return self.delivery.state in (State.HELD, State.UNKNOWN, State.NEEDS_HUMAN)

    @property
    def is_as_written(self):
        """Whether the bytes are still those whose hash was written down with them."""
        return self.wire.sha256 == self.delivery.body_sha256


def with_receipts(deliveries):
    """A queryset of deliveries with what `told` needs beside them: no query of its own."""
    sends = DeliveryAttempt.objects.that_were_answered().filter(delivery=OuterRef("pk")).order_by("-number")
    receipt = {f"receipt_{name}": Subquery(sends.values(name)[:1]) for name in _RECEIPT}
    return deliveries.select_related("depends_on").annotate(**receipt)


def told(deliveries):
    """Deliveries as `Told`, from a queryset `with_receipts`."""
    return [
        Told(
            delivery,
            state_in_words(delivery),
            tried_again_at(delivery),
            on_the_wire(delivery),
            _receipt(delivery),
        )
        for delivery in deliveries
    ]


# What of a send is its receipt.
_RECEIPT = ("started_at", "finished_at", "http_status", "response_sha256")


def _receipt(delivery):
    if delivery.receipt_http_status is None:
        return None
    return DeliveryAttempt(**{name: getattr(delivery, f"receipt_{name}") for name in _RECEIPT})


def state_in_words(delivery):
    """
    Where a delivery stands and what happens next, in one or two sentences.

    :param delivery: with its `depends_on` loaded
    """
    before = delivery.depends_on
    match delivery.state:
        case State.NOT_SENT if before is not None and not before.is_settled:
            return f"Waits until Togai has confirmed: {before.get_kind_display().lower()}."
        case State.NOT_SENT if delivery.misses:
            return f"Not sent yet; nothing is lost. {delivery.last_message}".rstrip()
        case State.NOT_SENT:
            return "Waits to be sent."
        case State.HELD:
            return f"Held until an administrator lets it go on. {delivery.held_because}".rstrip()
        case State.SENDING:
            return "Being sent now."
        case State.UNKNOWN:
            return (
                "Togai may or may not have it. It is being verified by reading there; "
                "it is not sent again before that."
            )
        case State.CONFIRMED if delivery.last_message.startswith(Delivery.THERE_ALREADY):
            return delivery.last_message
        case State.CONFIRMED:
            return "Togai has confirmed it."
        case State.REJECTED if delivery.is_withdrawn:
            return f"Taken back before it was sent. {delivery.last_message}".rstrip()
        case State.REJECTED if delivery.last_error == Delivery.DECLARED_ABSENT:
            return f"Not at Togai; the same content goes there as a new delivery. {delivery.last_message}"
        case State.REJECTED if delivery.last_error == Delivery.ABANDONED:
            return f"It will not be sent any more. {delivery.last_message}".rstrip()
        case State.REJECTED:
            return f"Togai refused it. {delivery.last_message}".rstrip()
        case State.NEEDS_HUMAN:
            return f"A person has to look at it. {delivery.last_message}".rstrip()
    raise AssertionError(delivery.state)


def tried_again_at(delivery):
    """When a worker next sends it or looks for it; None when nothing is planned."""
    return delivery.next_at if delivery.state in (State.NOT_SENT, State.UNKNOWN) else None


def on_the_wire(delivery):
    """
    The request of a delivery as a `Wire`: the frozen bytes, number for number, and never the token (S-20).
    """
    method, *parts = {
        Kind.CREATE_PROPOSAL: ("POST", "accounts", delivery.account_id, "purchase_proposals"),
        Kind.CREATE_PURCHASE: ("POST", "accounts", delivery.account_id, "purchases"),
        Kind.DECIDE: ("POST", "purchase_proposals", _decided_id(delivery), "update_status"),
        Kind.DECLINE_DUPLICATE: ("POST", "purchase_proposals", _decided_id(delivery), "update_status"),
        Kind.EDIT_ACCOUNT: ("PATCH", "accounts", delivery.account_id),
    }[delivery.kind]
    return _wire(method, parts, bytes(delivery.body))


def to_be_sent(kind, account_id, body_for):
    """
    What a create would send if it were meant now, as a `Wire`. Only the key is not the real one, which is
    made with the row (R-13); every other byte is.

    :param body_for: as of `deliveries.queue`
    """
    last = {Kind.CREATE_PROPOSAL: "purchase_proposals", Kind.CREATE_PURCHASE: "purchases"}[kind]
    return _wire("POST", ("accounts", account_id, last), body_for(KEY_TO_COME))


def decision_to_be_sent(remote_id, direction):
    """
    What a decision will send, as a `Wire`.

    :param remote_id: of the proposal at Togai; "" while it has none
    :param direction: "APPROVE" or "DECLINE"
    """
    parts = ("purchase_proposals", remote_id or ID_TO_COME, "update_status")
    return _wire("POST", parts, wire.to_bytes(wire.UpdateProposalStatus(status=direction)))


def _wire(method, parts, sent):
    return Wire(
        method=method,
        path="".join(f"/{quote(part, safe='{}')}" for part in parts),
        headers=("Content-Type: application/json", "Authorization: Bearer ***"),
        body=indented(sent.decode()),
        exact=sent.decode(),
        sha256=hashlib.sha256(sent).hexdigest(),
        size=len(sent),
    )


def indented(text):
    """JSON indented for reading, every number with the digits it came with; other text as it is."""
    try:
        value = json.loads(text, parse_float=_marked, parse_int=_marked, parse_constant=_marked)
        shown = json.dumps(value, indent=2, ensure_ascii=False)
        # Half of a pair of surrogates cannot be shown on a page: then the text stays as it came, escaped.
        shown.encode()
    except (ValueError, RecursionError):
        return text
    return _MARKED.sub(r"\1", shown)


# No JSON text holds a NUL, so nothing else looks like this.
_MARKED = re.compile(r'"\\u0000([^"]*)\\u0000"')


def _marked(number):
    return f"\0{number}\0"


def _decided_id(delivery):
    return delivery.decided_id or ID_TO_COME
