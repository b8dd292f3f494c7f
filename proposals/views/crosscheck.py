"""The answer of Togai's calculator on the page of a proposal; see purchases.crosscheck."""

from django.http import Http404
from django.views.decorators.http import require_POST

from proposals import reading
from purchases.views.crosscheck import answered


@require_POST
def check(request, number):
    """Ask Togai's calculator about a deal's newest revision."""
    proposal = next((one for one in reading.revisions_of(request.user, number) if one.is_live), None)
    if proposal is None:
        raise Http404
    return answered(request, proposal)
