"""What happened to a proposal, told from the record: who, when, what and why."""

from django.db.models import OuterRef, Subquery

from audit.models import Event
from proposals.models import ReasonCode
from purchases.timeline import FIELDS as DEAL_FIELDS
from purchases.timeline import MOST_SHOWN, edits_in, name_of, togai_words, together
from togai import statuses

FIELDS = DEAL_FIELDS | {"payment_mode": "payment"}

_TITLES = {
    "create": ("wrote the draft", "edit"),
    "clone": ("cloned another deal", "edit"),
    "edit": ("changed the draft", "edit"),
    "submit": ("submitted it", ""),
    "approve_step": ("approved their step", "good"),
    "approve": ("approved it", "good"),
    "decline": ("declined it", "bad"),
    "request_changes": ("asked for changes", "warn"),
    "recall": ("recalled it", "warn"),
    "revise": ("opened this revision", "edit"),
    "supersede": ("opened the next revision", "edit"),
    "hand_over": ("handed it over", ""),
    "expire": ("Its validity ended", "warn"),
    "make_link": ("made a link for the customer", ""),
    "revoke_link": ("revoked a link for the customer", "warn"),
    "customer_viewed": ("The customer opened the offer", "good"),
    "refused_by_togai": ("Togai refused it", "bad"),
    "abandoned": ("Sending it was abandoned", "bad"),
    "needs_a_person": ("A person has to look at the delivery", "bad"),
    "drift": ("Togai and we do not say the same", "bad"),
}
_TOGAI_KINDS = {
    "SUCCESS": "good",
    "FAILURE": "bad",
    "PROPOSAL_DECLINED": "warn",
    "PROPOSAL_EXPIRED": "warn",
}


def events_of(proposal):
    """
    The newest events on record about one revision, newest first, for partials/timeline.html.

    :returns: the events, and whether older ones were left out; one query
    """
    label = ReasonCode.objects.filter(pk=OuterRef("reason_code")).values("label")[:1]
    found = list(
        Event.objects.about(proposal)
        .order_by("-seq")
        .select_related("actor", "on_behalf_of")
        .annotate(reason_label=Subquery(label))[: MOST_SHOWN + 1]
    )
    return [told(event) for event in together(found[:MOST_SHOWN])], len(found) > MOST_SHOWN


def told(event):
    """One event in words."""
    if event.verb == "togai":
        title, kind = _togai_title(event), _togai_kind(event)
    else:
        title, kind = _TITLES.get(event.verb, (event.verb.replace("_", " "), ""))
    return {
        "title": title,
        "kind": kind,
        "at": event.at,
        "by": _by(event),
        "text": _text(event),
    }


def _by(event):
    if event.on_behalf_of:
        return f"{name_of(event.actor)} for {name_of(event.on_behalf_of)}"
    return name_of(event.actor)


def _text(event):
    if event.verb == "edit":
        return "; ".join(edits_in(event, FIELDS))
    if event.verb == "hand_over":
        return f"From {event.before.get('owner', '')} to {event.after.get('owner', '')}."
    if event.verb == "togai":
        return togai_words(event)
    if event.verb == "supersede":
        return f"Revision {event.after.get('next', '')} follows."
    if "message" in event.after:
        return event.after["message"]
    code = event.reason_label or event.reason_code
    return f"{code}: {event.reason}" if code and event.reason else event.reason


def _togai_title(event):
    status = event.after.get("togai_status")
    return f"Togai: {statuses.label(status).lower()}" if status else "Togai sent news"


def _togai_kind(event):
    return _TOGAI_KINDS.get(event.after.get("togai_status", ""), "info")


def steps_of(steps, *, proposal, at_words):
    """
    The approval strip, for partials/approval.html.

    :param steps: loaded steps, annotated with the decision that settled each (`verb`, `by`, `decided_at`)
    :param at_words: turns a moment into words in the business zone
    """
    shown, current_seen = [], False
    for step in steps:
        state, words = "waiting", "Comes after the step before"
        if step.verb == "approve":
            state, words = "done", f"Approved by {step.by}, {at_words(step.decided_at)}"
        elif step.verb == "decline":
            state, words = "declined", f"Declined by {step.by}, {at_words(step.decided_at)}"
        elif step.verb == "request_changes":
            state, words = "changes", f"{step.by} asked for changes, {at_words(step.decided_at)}"
        elif step.state == step.State.ENDED:
            state, words = "skipped", "No longer needed"
        elif proposal.togai_refusal and proposal.is_waiting:
            state, words = "skipped", "Not asked while Togai refuses it"
        elif not current_seen and proposal.is_waiting:
            state, words, current_seen = "current", "Waits for a decision", True
        shown.append({"name": step.get_role_display(), "state": state, "words": words, "note": step.because})
    return shown
