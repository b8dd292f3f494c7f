"""
What differs at Togai, settled on a page: one verb, one address. GET shows both values and asks why.
"""

from functools import wraps

from django.http import Http404
from django.urls import reverse

from audit.refusals import Refusal
from proposals import drift, forms_verbs
from proposals.models import Proposal
from proposals.views.verbs import asks, refused
from purchases import forms_verbs as of_purchases
from purchases import settling
from purchases.views.drift import asked


def on_a_difference(view):
    """
    Hand the view a revision that the person may see and one difference of it (404 otherwise), and make a page
    of every refusal.
    """

    @wraps(view)
    def door(request, number, drift):
        row = settling.row_of(Proposal, drift)
        proposal = row and (
            Proposal.objects.visible_to(request.user)
            .filter(number=number, pk=int(row.subject_id))
            .select_related("account", "price_plan", "owner")
            .prefetch_related("price_plan__rate_cards")
            .first()
        )
        if proposal is None:
            raise Http404
        try:
            return view(request, proposal, row)
        except Refusal as refusal:
            return refused(request, proposal, refusal)

    return door


@asks
@on_a_difference
def accept(request, proposal, row):
    """Take note of Togai's value, with a reason."""
    settling.refuse_others(proposal, request.user)
    drift.refuse_to_accept(proposal, row)
    form = of_purchases.ReasonForm(request.POST or None)
    return _asked(request, proposal, row, form, verb="accept", service=drift.accept)


@asks
@on_a_difference
def ignore(request, proposal, row):
    """Settle what does not matter, with a reason."""
    settling.refuse_others(proposal, request.user)
    form = of_purchases.ReasonForm(request.POST or None)
    return _asked(request, proposal, row, form, verb="ignore", service=drift.ignore)


@asks
@on_a_difference
def revise(request, proposal, row):
    """Open the next revision; what still waits is recalled first."""
    drift.refuse_to_revise(proposal, row, request.user)
    recalls = drift.recalls_first(proposal, row)
    if recalls:
        form = forms_verbs.ReasonForm(request.POST or None, purpose="for_recall")
    else:
        form = of_purchases.ReasonForm(request.POST or None)
    return _asked(
        request,
        proposal,
        row,
        form,
        verb="revise",
        service=drift.revise,
        recalls=recalls,
        settled=lambda draft: (
            f"Revision {draft.revision} of {draft.reference} is open as a draft.",
            reverse("proposals:edit", args=[draft.reference]),
        ),
    )


def _asked(request, proposal, row, form, *, verb, service, **more):
    settling.refuse_settled(row)
    return asked(
        request,
        proposal,
        row,
        form,
        settle=service,
        verb=verb,
        list_url=reverse("proposals:list"),
        list_name="Proposals",
        **more,
    )
