"""The answer to "Check with Togai's calculator" on the page of a deal: shown once and kept nowhere."""

from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST

from audit.refusals import NotAllowed
from purchases import crosscheck
from purchases.views.pages import read


@require_POST
def check(request, number):
    """Ask Togai's calculator about a purchase."""
    return answered(request, read(request.user, number))


def answered(request, deal):
    """
    Ask about a deal that the person may see: for htmx the piece, else a page around it.

    :raises NotAllowed: their role neither writes nor decides deals
    """
    if not crosscheck.may_ask(request.user):
        raise NotAllowed("Your role neither writes nor decides deals.")
    context = {"deal": deal, "check": crosscheck.ask(deal, at=timezone.now()), "check_url": request.path}
    template = "partials/proposals/crosscheck.html" if request.htmx else "purchases/crosscheck.html"
    return render(request, template, context)
