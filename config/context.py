"""What the shell of every page shows: navigation, who is signed in, and how the line to Togai is."""

from django.contrib.auth import get_user_model
from django.urls import reverse

from audit.roles import DECIDES, Role, has_role, role_names
from proposals import notices
from togai.models import Delivery, Link


def shell(request):
    """Context for base.html; empty for people who are not signed in, lazy where it asks the database."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"nav": [], "togai_outage": None, "role_names": ""}
    link, unread = _line_and_unread(user)
    return {
        "nav": _navigation(request),
        "togai_outage": _outage(link),
        "role_names": role_names(user),
        "unread": notices.unread_words(unread),
    }


def _line_and_unread(user):
    """The state of the line and how many notices are unread, in the one query that every page asks."""
    unread = notices.unread_by(user)
    link = Link.objects.filter(pk=1).annotate(unread=unread).first()
    if link is not None:
        return link, link.unread
    # Nobody has called Togai yet.
    return Link(), get_user_model().objects.filter(pk=user.pk).values_list(unread, flat=True).get()


def _navigation(request):
    user = request.user
    decides = has_role(user, *DECIDES)
    operates = has_role(user, Role.ADMINISTRATOR, Role.FINANCE, Role.CFO, Role.AUDITOR)
    sections = [
        (
            "Work",
            [
                ("Overview", "overview", "overview", True),
                ("Approvals", "proposals:approvals", "inbox", decides),
                ("Proposals", "proposals:list", "proposal", True),
                ("Purchases", "purchases:list", "purchase", True),
            ],
        ),
        (
            "Customers and catalogue",
            [
                ("Accounts", "accounts:list", "account", True),
                ("Price plans", "purchases:plans", "plan", True),
            ],
        ),
        (
            "Operations",
            [
                ("Deliveries", "togai:list", "delivery", operates),
                ("Administration", "admin:index", "settings", operates),
                ("API", "api:docs", "code", True),
            ],
        ),
    ]
    nav = []
    for label, items in sections:
        shown = [_item(request, *item[:3]) for item in items if item[3]]
        if shown:
            nav.append({"label": label, "items": shown})
    return nav


def _item(request, label, name, icon):
    url = reverse(name)
    current = request.path == url if url == "/" else request.path.startswith(url)
    return {"label": label, "url": url, "icon": icon, "current": current}


def _outage(link):
    """Why nothing reaches Togai at the moment, and how much waits; None while all is well."""
    if link.may_send and link.unreachable_since is None:
        return None
    if link.paused_at:
        kind, since, why = "paused", link.paused_at, link.paused_because
    elif link.look_only_since:
        kind, since, why = "look_only", link.look_only_since, link.look_only_because
    else:
        kind, since, why = "unreachable", link.unreachable_since, link.why
    return {"kind": kind, "since": since, "why": why, "waiting": Delivery.objects.open().count()}
