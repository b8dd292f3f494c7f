"""
What differs at Togai, settled on a page: one verb, one address. GET shows both values and asks why.
"""

from functools import partial, wraps

from django.contrib import messages
from django.http import Http404
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from audit.answers import SeeOther
from audit.refusals import Invalid, Refusal
from purchases import settling
from purchases.forms_verbs import ReasonForm
from purchases.models import Purchase
from purchases.views.pages import read

asks = require_http_methods(["GET", "HEAD", "POST"])


def on_a_difference(view):
    """
    Hand the view a purchase that the person may see and one difference of it (404 otherwise), and make a page
    of every refusal.
    """

    @wraps(view)
    def door(request, number, drift):
        purchase = read(request.user, number)
        row = settling.row_of(Purchase, drift)
        if row is None or row.subject_id != str(purchase.pk):
            raise Http404
        try:
            settling.refuse_others(purchase, request.user)
            settling.refuse_settled(row)
            return view(request, purchase, row)
        except Refusal as refusal:
            context = {"refusal": refusal, "deal": purchase}
            return render(request, "refused.html", context, status=refusal.http_status)

    return door


@asks
@on_a_difference
def accept(request, purchase, row):
    """Take note of Togai's value, with a reason."""
    settling.refuse_identity(row)
    return _asked(request, purchase, row, verb="accept", service=settling.accept)


@asks
@on_a_difference
def ignore(request, purchase, row):
    """Settle what does not matter, with a reason."""
    return _asked(request, purchase, row, verb="ignore", service=settling.ignore)


def _asked(request, purchase, row, *, verb, service):
    return asked(
        request,
        purchase,
        row,
        ReasonForm(request.POST or None),
        settle=partial(service, Purchase),
        verb=verb,
        list_url=reverse("purchases:list"),
        list_name="Purchases",
    )


def asked(request, deal, row, form, *, settle, settled=None, **context):
    """
    Show both values and ask why; with an answer, settle the difference and lead on.

    :param settle: the service, called with the row, the person, the moment and what the form asks
    :param settled: (words, address) for after it, made from what the service returns; else the deal's page
    :param context: what else the page shows: verb, list_url, list_name, recalls
    """
    if request.method == "POST" and form.is_valid():
        try:
            done = settle(drift_id=row.pk, by=request.user, at=timezone.now(), **form.cleaned_data)
        except Invalid as invalid:
            form.show(invalid)
        else:
            words, url = f"Settled: {settling.words(row, deal)}.", deal.get_absolute_url()
            if settled:
                words, url = settled(done)
            messages.success(request, words)
            return SeeOther(url)
    context |= {"deal": deal, "row": row, "field_name": settling.words(row, deal), "form": form}
    return render(request, "purchases/difference.html", context)
