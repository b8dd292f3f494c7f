"""
What differs at Togai, settled on a page: one verb, one address. GET shows both values and asks why.
"""

from functools import wraps

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
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            service(
                Purchase,
                drift_id=row.pk,
                by=request.user,
                at=timezone.now(),
                reason=form.cleaned_data["reason"],
            )
        except Invalid as invalid:
            form.show(invalid)
        else:
            messages.success(request, f"Settled: {settling.words(row, purchase)}.")
            return SeeOther(purchase.get_absolute_url())
    context = {
        "deal": purchase,
        "row": row,
        "field_name": settling.words(row, purchase),
        "form": form,
        "verb": verb,
        "list_url": reverse("purchases:list"),
        "list_name": "Purchases",
    }
    return render(request, "purchases/difference.html", context)
