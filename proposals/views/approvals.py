"""The inbox of finance: what waits for me, money first, oldest first."""

from django.core.exceptions import PermissionDenied
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit.paging import page_of
from audit.roles import DECIDES, has_role
from proposals import inbox as waiting


@require_safe
def inbox(request):
    """Proposals that wait for a step of mine, and purchases that wait to be released."""
    if not has_role(request.user, *DECIDES):
        raise PermissionDenied
    at = timezone.now()
    page = page_of(
        waiting.proposals_for(request.user),
        after=request.GET.get("after"),
        before=request.GET.get("before"),
        size=waiting.PAGE_SIZE,
    )
    purchases = waiting.purchases_for(request.user)
    return render(
        request,
        "proposals/approvals.html",
        {
            "items": [waiting.told(proposal, request.user, at=at) for proposal in page.rows],
            "pager": page.links(request.GET),
            "purchases": [
                waiting.told(purchase, request.user, at=at)
                for purchase in purchases[: waiting.MOST_PURCHASES]
            ],
            "more_purchases": len(purchases) > waiting.MOST_PURCHASES,
            "at": at,
        },
    )
