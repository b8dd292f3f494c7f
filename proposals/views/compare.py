"""Two sides of a deal beside each other, in terms and in money."""

from django.http import Http404
from django.shortcuts import render
from django.views.decorators.http import require_safe

from proposals import reading
from proposals.forms_compare import SidesForm


@require_safe
def compare(request, number):
    """Any two revisions, or a revision and its plan: `?a=1&b=3`, `?a=plan` (G-35)."""
    revisions = reading.revisions_of(request.user, number)
    if not revisions:
        raise Http404
    form = SidesForm(request.GET, revisions=revisions)
    context = {"proposal": revisions[0], "form": form}
    if form.is_valid():
        context["compared"] = reading.compared(revisions, form.cleaned_data["a"], form.cleaned_data["b"])
    return render(request, "proposals/compare.html", context)
