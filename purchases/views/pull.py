"""The page of what is pulled from Togai: how each list stands, and the two buttons of administrators."""

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.models import PullRun
from audit.answers import SeeOther
from audit.refusals import WrongStatus
from audit.roles import has_role
from purchases import pulling
from togai import console, services
from togai.models import Link

# How soon the page asks again while something is under way.
SECONDS = 2


class WhichForm(forms.Form):
    """Which list is meant; nothing chosen means all of them."""

    list = forms.ChoiceField(required=False, choices=[("", "All"), *PullRun.Name.choices])


@require_safe
def index(request):
    """How far each list is; htmx asks for it again while one is under way."""
    if not has_role(request.user, *services.READS):
        raise PermissionDenied("Pulls are for finance, administrators and auditors.")
    at = timezone.now()
    standings = pulling.standings(at=at)
    link = Link.load()
    under_way = any(standing.is_under_way for standing in standings)
    context = {
        "standings": standings,
        "may_operate": has_role(request.user, *services.OPERATES),
        "seconds": SECONDS if under_way else None,
        "rests": [notice for notice in console.notices(link, at=at) if notice.tone == "warn"],
        "at": at,
    }
    return render(request, "purchases/pull.html", context)


@require_POST
def now(request):
    """Have the workers pull; every list goes on where it stopped."""
    return _ask(request, anew=False)


@require_POST
def anew(request):
    """Have the workers pull from the first page on, also in place of what is under way."""
    return _ask(request, anew=True)


def _ask(request, *, anew):
    services.require_operator(request.user)
    form = WhichForm(request.POST)
    if not form.is_valid():
        raise WrongStatus("There is no such list.")
    names = [form.cleaned_data["list"]] if form.cleaned_data["list"] else pulling.ORDER
    runs = pulling.ask(by=request.user, at=timezone.now(), names=names, anew=anew)
    labels = " and ".join(run.get_name_display().lower() for run in runs)
    messages.success(request, f"Asked for: {labels}. A worker begins in a moment.")
    return SeeOther(reverse("purchases:pull"))
