"""
The verbs of a purchase as pages: one verb, one address, POST.

Verbs with questions show them on GET. A refusal is a page with its reason and the status of reliability.md
S-01; what is wrong in a form is told at its field, with 200 and everything typed still there.
"""

from functools import wraps

from django.contrib import messages
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from audit.answers import SeeOther
from audit.refusals import Invalid, Refusal, Stale
from audit.sign_in import signed_in_at
from purchases import allowed, drafts, services
from purchases.forms_verbs import ReasonForm
from purchases.plan_moves import PlanMoved, move_of
from purchases.views import conflicts, editor
from purchases.views.pages import read, summary
from togai import wire, wording
from togai.models import Delivery

asks = require_http_methods(["GET", "HEAD", "POST"])


def on_a_visible_one(view):
    """Hand the view a purchase that the person may see (404 otherwise); make a page of every refusal."""

    @wraps(view)
    def door(request, number):
        purchase = read(request.user, number)
        try:
            return view(request, purchase)
        except Refusal as refusal:
            purchase = read(request.user, number)
            return render(
                request,
                "refused.html",
                {"refusal": refusal, "deal": purchase},
                status=refusal.http_status,
            )

    return door


@asks
@on_a_visible_one
def submit(request, purchase):
    """Show what will be asked of finance and what is still missing; POST freezes the draft."""
    at, status = timezone.now(), 200
    if request.method == "POST":
        try:
            services.submit(
                purchase_id=purchase.pk,
                by=request.user,
                at=at,
                version=_read_version(request.POST),
                plan_version_seen=conflicts.whole(request.POST.get("plan_version_seen")),
            )
        except Invalid as invalid:
            problems = invalid.problems
        except PlanMoved:
            # A version came out while they looked: the page comes again and says what it does.
            problems, status = [], PlanMoved.http_status
        else:
            messages.success(request, f"{purchase.reference} waits for finance to release it.")
            return SeeOther(purchase.get_absolute_url())
    else:
        allowed.refuse_early("submit", purchase, request.user)
        problems = drafts.problems(purchase, at=at, complete=True)
    title = f"Submit {purchase.reference}"
    return _ask(request, purchase, "submit", title, problems=problems, move=move_of(purchase), status=status)


@asks
@on_a_visible_one
def recall(request, purchase):
    """Take a purchase back before it is released, with a reason."""
    return _with_reason(
        request, purchase, "recall", services.recall, f"{purchase.reference} is a draft again."
    )


@asks
@on_a_visible_one
def send_back(request, purchase):
    """Do not release it: its author gets it back as a draft, with the reason."""
    return _with_reason(
        request,
        purchase,
        "send_back",
        services.send_back,
        f"{purchase.reference} goes back to its author, who sees why.",
    )


@asks
@on_a_visible_one
def release(request, purchase):
    """Show once more what moves money; POST carries the hash of what was read (R-23)."""
    problems = []
    if request.method == "POST":
        try:
            services.release(
                purchase_id=purchase.pk,
                by=request.user,
                at=timezone.now(),
                content_hash=request.POST.get("content_hash", ""),
                signed_in_at=signed_in_at(request),
            )
        except Invalid as invalid:
            problems = invalid.problems
        else:
            messages.success(request, f"{purchase.reference} is released. It is sent to Togai now.")
            return SeeOther(purchase.get_absolute_url())
    else:
        allowed.refuse_early("release", purchase, request.user)
    will_be_sent = wording.to_be_sent(
        Delivery.Kind.CREATE_PURCHASE,
        purchase.account.togai_id,
        services.body_for(purchase, wire.CreatePurchase),
    )
    title = f"Release {purchase.reference}"
    return _ask(request, purchase, "release", title, problems=problems, wire=will_be_sent)


@require_POST
@on_a_visible_one
def revise(request, purchase):
    """Open a purchase that Togai refused for another try, and go to its editor."""
    services.revise(purchase_id=purchase.pk, by=request.user, at=timezone.now())
    messages.success(request, f"{purchase.reference} is a draft again. Change it and submit it once more.")
    return SeeOther(reverse("purchases:edit", args=[purchase.reference]))


@require_POST
@on_a_visible_one
def clone(request, purchase):
    """Draft another purchase like this one and go to its editor (G-03)."""
    return editor.clone(request, purchase)


def _with_reason(request, purchase, verb, service, done):
    allowed.refuse_early(verb, purchase, request.user)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            service(
                purchase_id=purchase.pk,
                by=request.user,
                at=timezone.now(),
                reason=form.cleaned_data["reason"],
            )
        except Invalid as invalid:
            form.show(invalid)
        else:
            messages.success(request, done)
            return SeeOther(purchase.get_absolute_url())
    words = {"recall": "Take back", "send_back": "Send back"}[verb]
    return _ask(request, purchase, verb, f"{words} {purchase.reference}", form=form)


def _ask(request, purchase, verb, title, *, form=None, problems=(), wire=None, move=None, status=200):
    """
    :param wire: what the button will have sent, a `wording.Wire`; None where it sends nothing
    :param move: what the newer version of its plan would do, a `plan_moves.Move`; None without one
    """
    context = {"verb": verb, "title": title, "form": form, "problems": problems, "wire": wire, "move": move}
    return render(request, "purchases/verb.html", summary(purchase) | context, status=status)


def _read_version(data):
    """
    The version that the confirmation showed.

    :raises Stale: the form does not say
    """
    version = data.get("version", "")
    if not version.isascii() or not version.isdecimal() or len(version) > 9:
        raise Stale("Somebody may have saved this draft after you opened it; look at it again.")
    return int(version)
