"""What happened to a purchase, told from the record: who, when, what and why."""

import copy

from audit.models import Event
from togai import statuses

# Enough to read; the whole record is in the administration.
MOST_SHOWN = 100

FIELDS = {
    "account": "account",
    "type": "type",
    "price_plan": "plan",
    "quantity": "quantity",
    "rate_card_quantities": "quantities per card",
    "purchase_plan_override": "prices",
    "association_override": "prices",
    "wallet_topup_amount": "top-up",
    "wallet_purchase_amount": "amount paid",
    "effective_from": "start",
    "effective_until": "end",
    "valid_until": "validity",
    "expected_volumes": "expected volumes",
    "title": "title",
    "internal_note": "internal note",
}
# Values of these are too long for a line; that they changed is enough here.
_LONG = frozenset(
    {
        "rate_card_quantities",
        "purchase_plan_override",
        "association_override",
        "expected_volumes",
        "internal_note",
    }
)
_TITLES = {
    "create": ("wrote the draft", "edit"),
    "clone": ("cloned another deal", "edit"),
    "edit": ("changed the draft", "edit"),
    "submit": ("submitted it for release", ""),
    "recall": ("took it back", "warn"),
    "send_back": ("sent it back", "warn"),
    "release": ("released it to Togai", "good"),
    "revise": ("opened it for another try", "edit"),
    "hand_over": ("handed it over", ""),
    "refused_by_togai": ("Togai refused it", "bad"),
    "abandoned": ("Sending it was abandoned", "bad"),
    "needs_a_person": ("A person has to look at the delivery", "bad"),
}
_TOGAI_WORDS = {
    "togai_id": "id",
    "togai_price": "price",
    "togai_currency": "currency",
    "togai_invoice_id": "invoice",
    "togai_comment": "Togai's comment",
}
_TOGAI_KINDS = {"FAILURE": "bad", "SUCCESS": "good"}


def events_of(purchase):
    """
    The newest events on record about a purchase, newest first, for partials/timeline.html.

    :returns: the events, and whether older ones were left out; one query
    """
    events = Event.objects.about(purchase).order_by("-seq").select_related("actor")
    found = list(events[: MOST_SHOWN + 1])
    return [told(event) for event in together(found[:MOST_SHOWN])], len(found) > MOST_SHOWN


def together(events):
    """
    The events with the saves that one page has made by itself told as one, of the moment of the last (G-06).

    :param events: the newest first
    """
    told_as_one = []
    for event in events:
        last = told_as_one[-1] if told_as_one else None
        page = event.after.get("page") if event.verb == "edit" else None
        if page and last and last.verb == "edit" and last.after.get("page") == page:
            told_as_one[-1] = last = copy.copy(last)
            last.before, last.after = last.before | event.before, event.after | last.after
        else:
            told_as_one.append(event)
    return told_as_one


def sent_back(purchase, events):
    """Why finance gave a draft back, as its event; None when it is no draft or was worked on before that."""
    if not purchase.is_draft:
        return None
    newest = next((event for event in events if event["verb"] not in ("edit", "hand_over")), None)
    return newest if newest and newest["verb"] == "send_back" else None


def told(event):
    """One event in words."""
    if event.verb == "togai":
        status = event.after.get("togai_status", "")
        title = f"Togai: {statuses.label(status).lower()}" if status else "Togai sent news"
        kind = _TOGAI_KINDS.get(status, "info")
    else:
        title, kind = _TITLES.get(event.verb, (event.verb.replace("_", " "), ""))
    return {
        "verb": event.verb,
        "title": title,
        "kind": kind,
        "at": event.at,
        "by": name_of(event.actor),
        "text": _text(event),
    }


def _text(event):
    after = event.after
    if event.verb == "edit":
        return "; ".join(edits_in(event, FIELDS))
    if event.verb == "hand_over":
        return f"From {event.before.get('owner', '')} to {after.get('owner', '')}."
    if event.verb == "togai":
        return togai_words(event)
    return after.get("message") or event.reason


def name_of(person):
    """A person as the timeline calls them; "" for the worker."""
    return (person.get_full_name() or person.get_username()) if person else ""


def togai_words(event):
    """What news from Togai said besides its status."""
    return "; ".join(
        f"{words}: {event.after[name]}" for name, words in _TOGAI_WORDS.items() if event.after.get(name)
    )


def edits_in(event, fields):
    """
    What an edit changed, each in a few words.

    :param fields: the words for the fields that are worth telling
    """
    for name, after in event.after.items():
        if name not in fields:
            continue
        words, before = fields[name], event.before.get(name)
        if name in _LONG:
            yield words
        elif before in (None, ""):
            yield f"{words}: {after}"
        else:
            yield f"{words}: {before} → {after if after not in (None, '') else 'none'}"
