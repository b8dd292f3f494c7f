"""How a delivery is told to people: its state in words, and what goes over the wire."""

import json
import re
from dataclasses import dataclass
from urllib.parse import quote

from togai.models import Delivery

State, Kind = Delivery.State, Delivery.Kind


@dataclass(frozen=True)
class Wire:
    """One request as it is sent: method, path, headers without secrets, and the body as indented JSON."""

    method: str
    path: str
    headers: tuple[str, ...]
    body: str


def state_in_words(delivery):
    """
    Where a delivery stands and what happens next, in one or two sentences.

    :param delivery: with its `depends_on` loaded
    """
    before = delivery.depends_on
    match delivery.state:
        case State.NOT_SENT if before is not None and before.state != State.CONFIRMED:
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
        case State.CONFIRMED:
            return "Togai has confirmed it."
        case State.REJECTED if delivery.last_error == "withdrawn":
            return f"Taken back before it was sent. {delivery.last_message}".rstrip()
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
        Kind.EDIT_ACCOUNT: ("PATCH", "accounts", delivery.account_id),
    }[delivery.kind]
    return Wire(
        method=method,
        path="".join(f"/{quote(part, safe='{}')}" for part in parts),
        headers=("Content-Type: application/json", "Authorization: Bearer ***"),
        body=indented(bytes(delivery.body).decode()),
    )


def indented(text):
    """JSON indented for reading, every number with the digits it came with; other text as it is."""
    try:
        value = json.loads(text, parse_float=_marked, parse_int=_marked, parse_constant=_marked)
        shown = json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
    return _MARKED.sub(r"\1", shown)


# No JSON text holds a NUL, so nothing else looks like this.
_MARKED = re.compile(r'"\\u0000([^"]*)\\u0000"')


def _marked(number):
    return f"\0{number}\0"


def _decided_id(delivery):
    create = delivery.depends_on
    return (create.remote_id if create else "") or "{id, once Togai has given one}"
