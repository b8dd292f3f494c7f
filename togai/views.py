"""Pages of deliveries: what was meant for Togai, what left, what came back."""

from django.apps import apps
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.answers import SeeOther
from audit.models import Event
from audit.paging import page_of
from audit.refusals import Stale, WrongStatus
from audit.roles import Role, has_role
from togai import console, resolutions, services, wording
from togai.forms import AskedForm, FilterForm, LinkForm, OwnPasswordForm, PauseForm, SignRestoreForm, Why
from togai.models import Delivery, DeliveryAttempt, Resolution

State, Verb = Delivery.State, Resolution.Verb

asks = require_http_methods(["GET", "HEAD", "POST"])

# The newest attempts are what people look for; a delivery in doubt for a week has dozens.
MOST_ATTEMPTS = 50

_KINDS = {
    "done": "good",
    "there already": "good",
    "not sent, needs a person": "bad",
    "refused": "bad",
    "needs a person": "bad",
    "unknown": "warn",
    "held": "warn",
    "not sent": "warn",
    "absent": "warn",
}
_OUTCOMES = {
    "done": "Togai has it",
    "there already": "Togai had it already; nothing left",
    "not sent": "It did not leave",
    "held": "Held",
    "refused": "Togai refused it",
    "unknown": "Nobody knows whether it arrived",
    "inconclusive": "The look brought no answer",
    "absent": "Not found at Togai",
    "absent, send again": "Not found twice, so it may be sent again",
    "needs a person": "A person has to look",
    "not sent, needs a person": "Nothing left; a person has to look",
}
# What people did, after their name.
_DONE_BY_PEOPLE = {
    "look_now": "had Togai asked at once",
    "let_go_on": "let it go on",
    "ask_link": "asked to link it to a record at Togai",
    "ask_declare_absent": "asked to declare it absent at Togai",
    "ask_abandon": "asked to abandon it",
    "drop_resolution": "dropped what was asked",
    "link": "confirmed the link",
    "declare_absent": "confirmed that it is absent, and had it sent anew",
    "abandon": "confirmed that it is abandoned",
    "send_anew": "had it sent in place of one that was declared absent",
}


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
    at = timezone.now()
    link, figures = console.line_and_figures()
    context = {
        "form": form,
        "tabs": _tabs(request.GET, form.cleaned_data.get("state", ""), figures.counts),
        "figures": figures,
        "line": console.line_in_a_word(link, at=at),
        "notices": console.notices(link, at=at),
        "may_operate": has_role(request.user, *services.OPERATES),
        "paused": link.paused_at is not None,
        "rows": rows,
        "pager": page.links(request.GET),
        "filtered": any(form.cleaned_data.values()),
        "at": at,
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
        "receipt": _receipt(attempts),
        "events": _events(delivery, attempts),
        "asked": resolutions.open_for(delivery) if delivery.state == State.NEEDS_HUMAN else None,
        "may_operate": has_role(request.user, *services.OPERATES),
        "may_link": delivery.kind in Delivery.CREATES,
        "anew": _anew(delivery),
        "may_look": delivery.state == State.UNKNOWN and services.may_look(request.user),
        "may_release": delivery.state == State.HELD
        and has_role(request.user, Role.ADMINISTRATOR)
        and not services.why_it_stays(delivery, at=timezone.now()),
    }
    return render(request, "togai/detail.html", context)


@require_POST
def look_now(request, delivery_id):
    """Also for the rep whose deal waits: whoever sees the subject may have Togai asked about it."""
    delivery = _seen_by(request, delivery_id)
    try:
        services.look_now(delivery_id=delivery.pk, by=request.user, at=timezone.now())
    except services.TooOften as refusal:
        context = {"refusal": refusal}
        page = render(request, "refused.html", context, status=refusal.http_status)
        page["Retry-After"] = str(refusal.retry_after)
        return page
    messages.success(request, "Togai is asked now. This page shows what it says in a moment.")
    return _back(request, delivery)


@require_POST
def release(request, delivery_id):
    delivery = _seen_by(request, delivery_id)
    services.release(delivery_id=delivery.pk, by=request.user, at=timezone.now())
    messages.success(request, "It goes on now.")
    return _back(request, delivery)


@sensitive_post_parameters("password")
@asks
def pause(request):
    return _switch(request, "pause", PauseForm, "Sending is paused. What is in doubt is still looked up.")


@sensitive_post_parameters("password")
@asks
def resume(request):
    return _switch(request, "resume", OwnPasswordForm, "Sending goes on. What waited leaves in its order.")


@sensitive_post_parameters("password")
@asks
def sign_restore(request):
    return _switch(request, "sign_restore", SignRestoreForm, "Signed. What waited is sent from now on.")


@asks
def ask(request, delivery_id, verb):
    """The first administrator's page: what closing it this way means, and why."""
    delivery = _seen_by(request, delivery_id)
    services.require_operator(request.user)
    resolutions.refuse_early(delivery, verb)
    form = (LinkForm if verb == Verb.LINK else Why)(_given(request))
    if request.method == "POST" and form.is_valid():
        try:
            resolutions.ask(
                delivery_id=delivery.pk, verb=verb, by=request.user, at=timezone.now(), **form.cleaned_data
            )
        except resolutions.Unverified as refusal:
            form.add_error("remote_id", str(refusal))
        else:
            messages.success(request, "Asked. Another administrator has to confirm it.")
            return SeeOther(reverse("togai:delivery", args=[delivery.pk]))
    context = {"delivery": delivery, "verb": verb, "title": verb.label, "form": form}
    return render(request, "togai/ask.html", context, status=422 if form.is_bound else 200)


@require_safe
def resolution(request, delivery_id):
    """The second administrator's page: what is asked and, for a link, both sides of it."""
    return _show_resolution(request, _seen_by(request, delivery_id))


@require_POST
def confirm(request, delivery_id):
    delivery = _seen_by(request, delivery_id)
    asked = _read_by(request, delivery)
    try:
        resolutions.confirm(resolution_id=asked.pk, by=request.user, at=timezone.now())
    except resolutions.Unverified as refusal:
        return _show_resolution(request, delivery, refusal)
    messages.success(request, "Done. What happened stands on this page.")
    return SeeOther(reverse("togai:delivery", args=[delivery.pk]))


@require_POST
def drop(request, delivery_id):
    delivery = _seen_by(request, delivery_id)
    asked = _read_by(request, delivery)
    resolutions.drop(resolution_id=asked.pk, by=request.user, at=timezone.now())
    messages.success(request, "Dropped. The delivery needs a person as before.")
    return SeeOther(reverse("togai:delivery", args=[delivery.pk]))


def _read_by(request, delivery):
    """What this administrator has read and presses a button about; Stale if something else is asked now."""
    services.require_operator(request.user)
    asked, form = resolutions.open_for(delivery), AskedForm(request.POST)
    if asked is None:
        raise WrongStatus("Nothing waits for a second administrator here.")
    if not form.is_valid() or form.cleaned_data["resolution"] != asked.pk:
        raise Stale("This is not what you read; look at it again.")
    return asked


def _show_resolution(request, delivery, refusal=None):
    services.require_operator(request.user)
    asked = resolutions.open_for(delivery)
    if asked is None:
        raise WrongStatus("Nothing waits for a second administrator here.")
    remote, trouble = None, refusal
    if asked.verb == Verb.LINK and refusal is None:
        try:
            remote = resolutions.look_up(delivery, asked.remote_id, at=timezone.now())
        except resolutions.Unverified as found:
            trouble = found
    context = {
        "delivery": delivery,
        "asked": asked,
        "is_own": asked.asked_by_id == request.user.pk,
        "trouble": trouble,
        "remote": remote,
        "compared": resolutions.compared(delivery, remote) if remote else [],
        "theirs": wording.indented(remote.raw) if remote else "",
        "wire": wording.on_the_wire(delivery),
    }
    status = refusal.http_status if refusal else 200
    return render(request, "togai/resolution.html", context, status=status)


def _given(request):
    return request.POST if request.method == "POST" else None


def _switch(request, verb, form_class, done):
    """Ask for what a verb about all deliveries needs, then do it: a question page and its answer."""
    services.require_operator(request.user)
    at = timezone.now()
    link, figures = console.line_and_figures()
    stands = {
        "pause": link.paused_at is None,
        "resume": link.paused_at is not None,
        "sign_restore": link.look_only_since is not None,
    }[verb]
    if not stands:
        raise WrongStatus(
            {
                "pause": "Sending is paused already.",
                "resume": "Sending is not paused.",
                "sign_restore": "No restore waits for a signature.",
            }[verb]
        )
    form = form_class(request.user, _given(request))
    if request.method == "POST" and form.is_valid():
        why = {"reason": form.cleaned_data["reason"]} if "reason" in form.fields else {}
        getattr(services, verb)(by=request.user, at=at, **why)
        # A pause outlives a signature: the page must not promise what does not happen.
        paused = verb == "sign_restore" and link.paused_at
        messages.success(request, "Signed. Sending is still paused." if paused else done)
        return SeeOther(reverse("togai:list"))
    context = {
        "verb": verb,
        "form": form,
        "notices": console.notices(link, at=at),
        "figures": figures,
        "at": at,
    }
    return render(request, "togai/switch.html", context, status=422 if form.is_bound else 200)


def _tabs(query, current, counts):
    """The states as views of the list, the troublesome ones in front; how many where that is counted."""
    wanted = [
        ("", "All"),
        (State.NOT_SENT, "Waiting"),
        (State.SENDING, "Being sent"),
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
        count = console.shown(counts[state]) if counts.get(state) else ""
        url = f"?{parameters.urlencode()}"
        tabs.append({"label": label, "url": url, "current": state == current, "count": count})
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


def _receipt(attempts):
    """The newest send that Togai, or whoever stands before it, answered; None before that."""
    return next((attempt for attempt in attempts if attempt.is_answered_send), None)


def _anew(delivery):
    """The delivery that took the place of one that was declared absent."""
    if delivery.last_error != Delivery.DECLARED_ABSENT:
        return None
    same = Delivery.objects.filter(
        subject_type=delivery.subject_type,
        subject_id=delivery.subject_id,
        revision=delivery.revision,
        kind=delivery.kind,
    )
    return same.filter(generation=delivery.generation + 1).first()


def _events(delivery, attempts):
    """Intent, sends and looks with what came of them, and what people did; newest first."""
    told = [_told(attempt) for attempt in attempts]
    for event in Event.objects.about(delivery).select_related("actor"):
        told.append(
            {
                "title": _DONE_BY_PEOPLE.get(event.verb, event.verb.replace("_", " ")),
                "at": event.at,
                "by": console.name_of(event.actor),
                "text": _more(event),
                "kind": "edit",
            }
        )
    told.append(
        {
            "title": "asked for it" if delivery.created_by else "Written down to be sent",
            "text": delivery.get_kind_display(),
            "at": delivery.created_at,
            "by": console.name_of(delivery.created_by),
            "kind": "info",
        }
    )
    if delivery.is_withdrawn:
        told.append(
            {
                "title": "Taken back before it was sent",
                "at": delivery.closed_at,
                "text": delivery.last_message,
            }
        )
    return sorted(told, key=lambda event: event["at"], reverse=True)


def _more(event):
    """The reason of what somebody did, with the id at Togai that it speaks of."""
    words = [f"Togai's id {event.after['remote_id']}."] if event.after.get("remote_id") else []
    return " ".join([*words, event.reason])


def _told(attempt):
    purpose = "Sent" if attempt.purpose == DeliveryAttempt.Purpose.SEND else "Looked at Togai"
    if attempt.outcome in DeliveryAttempt.NOTHING_LEFT:
        purpose = "To be sent"
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
