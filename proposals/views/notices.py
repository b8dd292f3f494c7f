"""What somebody is told: the list of their notices, and marking them as read."""

from django import forms
from django.core.exceptions import BadRequest
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from audit.paging import page_of
from proposals import notices
from proposals.models import Notice
from proposals.views.verbs import SeeOther

PAGE_SIZE = 25


class NewestForm(forms.Form):
    """Up to which notice somebody had read the list."""

    newest = forms.IntegerField(min_value=1, max_value=2**63 - 1)


@require_safe
def index(request):
    """One's own notices, the unread first."""
    at = timezone.now()
    page = page_of(
        Notice.objects.visible_to(request.user).for_listing(),
        after=request.GET.get("after"),
        before=request.GET.get("before"),
        size=PAGE_SIZE,
    )
    # The unread come first, so the first page has the newest of them.
    fresh = [notice.pk for notice in page.rows if not notice.is_read and page.previous is None]
    return render(
        request,
        "notices/list.html",
        {
            "notices": [(notice, notices.told(notice, at=at)) for notice in page.rows],
            "newest": max(fresh, default=None),
            "pager": page.links(request.GET),
        },
    )


@require_POST
def open_proposal(request, notice):
    """Go to the proposal that a notice is about; the notice is read by that."""
    row = _mine(request, notice)
    notices.mark_read(Notice.objects.filter(pk=row.pk), at=timezone.now())
    return SeeOther(row.proposal.get_absolute_url())


@require_POST
def read(request, notice):
    """Mark one notice as read."""
    row = _mine(request, notice)
    notices.mark_read(Notice.objects.filter(pk=row.pk), at=timezone.now())
    return SeeOther(reverse("proposals:notices"))


@require_POST
def read_all(request):
    """Mark everything as read that was there when the list was drawn; what came since stays unread."""
    form = NewestForm(request.POST)
    if not form.is_valid():
        raise BadRequest("The list says up to where it was read.")
    mine = Notice.objects.filter(person=request.user, pk__lte=form.cleaned_data["newest"])
    notices.mark_read(mine, at=timezone.now())
    return SeeOther(reverse("proposals:notices"))


def _mine(request, notice):
    mine = Notice.objects.visible_to(request.user).select_related("proposal")
    return get_object_or_404(mine, pk=notice)
