"""Pages of deliveries: what was meant for Togai, what left, what came back."""

from django import forms
from django.apps import apps
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from audit.answers import SeeOther
from audit.models import Event
from audit.paging import page_of
from audit.roles import Role, has_role
from togai import services, wording
from togai.models import Delivery, DeliveryAttempt

State = Delivery.State

# The newest attempts are what people look for; a delivery in doubt for a week has dozens.
MOST_ATTEMPTS = 50

_KINDS = {
    "done": "good",
    "refused": "bad",
    "needs a person": "bad",
    "unknown": "warn",
    "held": "warn",
    "not sent": "warn",
    "absent": "warn",
}
_OUTCOMES = {
    "done": "Togai has it",
    "not sent": "It did not leave",
    "held": "Held",
    "refused": "Togai refused it",
    "unknown": "Nobody knows whether it arrived",
    "inconclusive": "The look brought no answer",
    "absent": "Not found at Togai",
    "absent, send again": "Not found twice, so it may be sent again",
    "needs a person": "A person has to look",
}


class FilterForm(forms.Form):
    """The filters of the list as read from the address; only known values pass."""

    state = forms.ChoiceField(required=False, choices=[("", "Every state"), *State.choices])
    kind = forms.ChoiceField(required=False, choices=[("", "Every kind"), *Delivery.Kind.choices])


@require_safe
def delivery_list(request):
    _require_reader(request)
    form = FilterForm(request.GET)
    form.is_valid()
    deliveries = Delivery.objects.for_listing().select_related("depends_on")
    for name, value in form.cleaned_data.items():
        if value:
            deliveries = deliveries.filter(**{name: value})
    page = page_of(deliveries, after=request.GET.get("after"), before=request.GET.get("before"))
    subjects = _subjects_of(page.rows)
    rows = [
        {
            "delivery": delivery,
            "subject_url": subjects.get((delivery.subject_type, delivery.subject_id)),
            "words": wording.state_in_words(delivery),
        }
        for delivery in page.rows
    ]
    context = {
        "form": form,
        "tabs": _tabs(request.GET, form.cleaned_data.get("state", "")),
        "rows": rows,
        "pager": page.links(request.GET),
        "filtered": any(form.cleaned_data.values()),
        "at": timezone.now(),
    }
    return render(request, "togai/list.html", context)


@require_safe
def delivery_detail(request, delivery_id):
    _require_reader(request)
    delivery = get_object_or_404(Delivery.objects.select_related("depends_on", "created_by"), pk=delivery_id)
    attempts = list(delivery.attempts.order_by("-pk")[:MOST_ATTEMPTS])
    subjects = _subjects_of([delivery])
    context = {
        "delivery": delivery,
        "subject_url": subjects.get((delivery.subject_type, delivery.subject_id)),
        "words": wording.state_in_words(delivery),
        "next_at": wording.tried_again_at(delivery),
        "wire": wording.on_the_wire(delivery),
        "answer": _answer(attempts),
        "events": _events(delivery, attempts),
        "may_look": delivery.state == State.UNKNOWN and has_role(request.user, *services.LOOKS),
        "may_release": delivery.state == State.HELD and has_role(request.user, Role.ADMINISTRATOR),
    }
    return render(request, "togai/detail.html", context)


@require_POST
def look_now(request, delivery_id):
    """Also for the rep whose deal waits: whoever sees the subject may have Togai asked about it."""
    delivery = _seen_by(request, delivery_id)
    services.look_now(delivery_id=delivery.pk, by=request.user, at=timezone.now())
    messages.success(request, "Togai is asked now. This page shows what it says in a moment.")
    return _back(request, delivery)


@require_POST
def release(request, delivery_id):
    delivery = _seen_by(request, delivery_id)
    services.release(delivery_id=delivery.pk, by=request.user, at=timezone.now())
    messages.success(request, "It goes on now.")
    return _back(request, delivery)


def _tabs(query, current):
    """The states as views of the list, the troublesome ones in front."""
    wanted = [
        ("", "All"),
        (State.NOT_SENT, "Waiting"),
        (State.UNKNOWN, "Being verified"),
        (State.NEEDS_HUMAN, "Needs a person"),
        (State.HELD, "Held"),
        (State.REJECTED, "Refused"),
        (State.CONFIRMED, "Confirmed"),
    ]
    tabs = []
    for state, label in wanted:
        parameters = query.copy()
        for gone in ("state", "after", "before"):
            parameters.pop(gone, None)
        if state:
            parameters["state"] = state
        tabs.append({"label": label, "url": f"?{parameters.urlencode()}", "current": state == current})
    return tabs


def _require_reader(request):
    if not has_role(request.user, *services.READS):
        raise PermissionDenied("Deliveries are for finance, administrators and auditors.")


def _seen_by(request, delivery_id):
    """A delivery that somebody may know of: of the list, or of a subject that they see; else 404."""
    delivery = get_object_or_404(Delivery, pk=delivery_id)
    if not has_role(request.user, *services.READS):
        visible = _model_of(delivery.subject_type).objects.visible_to(request.user)
        if not visible.filter(pk=delivery.subject_id).exists():
            raise Http404
    return delivery


def _back(request, delivery):
    wanted = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}):
        return SeeOther(wanted)
    if has_role(request.user, *services.READS):
        return SeeOther(reverse("togai:delivery", args=[delivery.pk]))
    return SeeOther(_model_of(delivery.subject_type).objects.get(pk=delivery.subject_id).get_absolute_url())


def _model_of(subject_type):
    # A row names its subject by label: this floor knows no upper one (togai.subjects).
    return apps.get_model(subject_type)


def _subjects_of(deliveries):
    """The addresses of what deliveries are about, by (type, id); one query per type."""
    wanted = {}
    for delivery in deliveries:
        wanted.setdefault(delivery.subject_type, set()).add(delivery.subject_id)
    return {
        (subject_type, str(pk)): subject.get_absolute_url()
        for subject_type, ids in wanted.items()
        for pk, subject in _light(_model_of(subject_type)).in_bulk(ids).items()
    }


def _light(model):
    """Its rows without what is long and no part of an address."""
    long = ("JSONField", "TextField")
    return model.objects.defer(
        *(field.name for field in model._meta.concrete_fields if field.get_internal_type() in long)
    )


def _answer(attempts):
    """The newest stored answer, indented when it is JSON."""
    attempt = next((attempt for attempt in attempts if attempt.response), None)
    if attempt is None:
        return None
    return {"attempt": attempt, "text": wording.indented(attempt.response)}


def _events(delivery, attempts):
    """Intent, sends and looks with what came of them, and what people did; newest first."""
    told = [_told(attempt) for attempt in attempts]
    for event in Event.objects.about(delivery).select_related("actor"):
        title = {"look_now": "had Togai asked at once", "let_go_on": "let it go on"}.get(
            event.verb, event.verb
        )
        told.append({"title": title, "at": event.at, "by": _name(event.actor), "kind": "edit"})
    told.append(
        {
            "title": "asked for it" if delivery.created_by else "Written down to be sent",
            "text": delivery.get_kind_display(),
            "at": delivery.created_at,
            "by": _name(delivery.created_by),
            "kind": "info",
        }
    )
    if delivery.last_error == "withdrawn":
        told.append(
            {
                "title": "Taken back before it was sent",
                "at": delivery.closed_at,
                "text": delivery.last_message,
            }
        )
    return sorted(told, key=lambda event: event["at"], reverse=True)


def _told(attempt):
    purpose = "Sent" if attempt.purpose == DeliveryAttempt.Purpose.SEND else "Looked at Togai"
    if not attempt.finished_at:
        return {"title": f"{purpose}: no answer on record", "at": attempt.started_at, "kind": "warn"}
    outcome = _OUTCOMES.get(attempt.outcome, attempt.outcome)
    status = f" (HTTP {attempt.http_status})" if attempt.http_status else ""
    return {
        "title": f"{purpose}: {outcome}{status}",
        "at": attempt.started_at,
        "text": attempt.learned,
        "kind": _KINDS.get(attempt.outcome, "info"),
    }


def _name(person):
    return person and (person.get_full_name() or person.get_username())
