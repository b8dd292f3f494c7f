"""The record of an account as a page tells it."""

from accounts.models import Account

_TOLD = {
    "edit": ("sent a change to Togai", "edit"),
    "edit_confirmed": ("Togai confirmed a change", "good"),
    "pull": ("Togai shows a change", "info"),
    "hand_over": ("gave the account to another owner", "edit"),
    "refused_by_togai": ("Togai refused a change", "bad"),
    "needs_a_person": ("A change needs a person", "warn"),
}
# Kept for the record, of no use to a reader.
_UNTOLD = {"version", "togai_account_id"}


def entries(events):
    """
    Events of an account for partials/timeline.html.

    :param events: `audit.Event`s with their actors
    """
    return [_entry(event) for event in events]


def changes(values):
    """Columns with their new values as (label, words) pairs."""
    return [(_label(name), _value(value)) for name, value in values.items()]


def _entry(event):
    title, kind = _TOLD.get(event.verb, (event.verb.replace("_", " "), "info"))
    by = event.actor and (event.actor.get_full_name() or event.actor.get_username())
    return {"title": title, "kind": kind, "by": by, "at": event.at, "text": _text(event)}


def _text(event):
    if "message" in event.after:
        return event.after["message"]
    moved = (name for name in event.after if name not in _UNTOLD)
    return ". ".join(
        f"{_label(name)}: {_value(event.before.get(name))} → {_value(event.after[name])}" for name in moved
    )


def _label(name):
    return str(Account._meta.get_field(name).verbose_name).capitalize()


def _value(value):
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    elif isinstance(value, dict):
        value = ", ".join(f"{key} {part}" for key, part in value.items())
    return "nothing" if value in (None, "") else str(value)
