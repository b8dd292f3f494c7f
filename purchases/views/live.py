"""What Togai shows of an account now: the part of its page that comes later, or a page of its own."""

from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.models import Account
from purchases import live


@require_safe
def account_live(request, togai_id):
    """For htmx the part alone, else a page around it; `?try=1` asks Togai even in an outage."""
    account = get_object_or_404(Account.objects.visible_to(request.user), togai_id=togai_id)
    at = timezone.now()
    context = {
        "account": account,
        "live": live.look(account, at=at, insist="try" in request.GET),
        "at": at,
    }
    return render(request, "accounts/_live.html" if request.htmx else "accounts/live.html", context)
