"""What Togai shows of an account now: parts of its page that come later, or a page of their own."""

from django.http import Http404
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.models import Account
from purchases import live


@require_safe
def account_live(request, togai_id):
    """All parts on one page; `?try=1` asks Togai even in an outage."""
    return _parts(request, togai_id, live.PARTS)


@require_safe
def account_live_part(request, togai_id, part):
    """One part: for htmx the piece alone, else with a page around it."""
    if part not in live.PARTS:
        raise Http404
    return _parts(request, togai_id, [part])


def _parts(request, togai_id, parts):
    account = get_object_or_404(Account.objects.visible_to(request.user), togai_id=togai_id)
    at = timezone.now()
    looks = [live.look(account, part, at=at, insist="try" in request.GET) for part in parts]
    deals = next((look for look in looks if look.part == "deals"), None)
    context = {
        "account": account,
        "looks": looks,
        "deals": live.theirs_and_ours(deals, account, request.user) if deals else [],
        "at": at,
    }
    is_piece = request.htmx and len(looks) == 1
    return render(request, "accounts/_live_parts.html" if is_piece else "accounts/live.html", context)
