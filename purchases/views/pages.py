"""Reading purchases: the list, and one page per purchase with everything one releases on."""

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit.paging import page_of
from audit.roles import DRAFTS, has_role
from purchases import allowed, changes, crosscheck, listing, money_diff, quotes, summaries, timeline
from purchases.following import Following
from purchases.models import Purchase
from purchases.volumes import volumes_page
from togai import services as operators


@require_safe
def index(request):
    """The list; every filter stands in the address."""
    listing.refuse_endless_search(request.GET)
    form = listing.FilterForm(request.GET, user=request.user)
    form.is_valid()
    purchases, narrow = listing.narrowed(request.user, form.cleaned_data)
    page = page_of(purchases, after=request.GET.get("after"), before=request.GET.get("before"))
    note = (
        f"The search meets more than {listing.MOST_ACCOUNTS} accounts: these are purchases of some of them. "
        "Type more."
    )
    context = {
        "form": form,
        "chips": form.chips(request.GET),
        "tabs": listing.presets(request.user, request.GET),
        "purchases": page.rows,
        "pager": page.links(request.GET, note=note if narrow else ""),
        "may_draft": has_role(request.user, *DRAFTS),
    }
    return render(request, "purchases/list.html", context)


@require_safe
def detail(request, number):
    """One purchase; asked again by htmx, it answers only when something moved."""
    purchase = read(request.user, number)
    following = Following(purchase, at=timezone.now())
    again = bool(request.htmx and not request.htmx.boosted)
    if again:
        following.nudge()
        if request.GET.get("seen") == following.fingerprint:
            # Nothing moved: htmx leaves the page alone and asks again.
            return HttpResponse(status=204)
    verbs, why_not = allowed.offers(purchase, request.user)
    events, more_events = timeline.events_of(purchase)
    context = summary(purchase) | {
        "check_url": reverse("purchases:check", args=[purchase.reference])
        if crosscheck.is_offered(purchase, request.user)
        else "",
        "verbs": verbs,
        "why_not": why_not,
        "sent": following.sent(),
        "may_look": operators.may_look(request.user),
        "granted": following.granted(),
        "snapshot": following.snapshot,
        "drifts": following.differing(request.user),
        "seconds": following.seconds,
        "fingerprint": following.fingerprint,
        "events": events,
        "more_events": more_events,
        "sent_back": timeline.sent_back(purchase, events),
        "curves": volumes_page(purchase),
        "at": following.at,
    }
    template = "purchases/_deal.html" if again else "purchases/detail.html"
    return render(request, template, context)


def read(user, number):
    """
    A purchase that the person may see, with what a page shows of it.

    :raises Http404:
    """
    purchase = (
        Purchase.objects.visible_to(user)
        .filter(number=number)
        .select_related("account", "price_plan", "owner", "created_by", "submitted_by", "released_by")
        .prefetch_related("price_plan__rate_cards")
        .first()
    )
    if purchase is None:
        raise Http404
    return purchase


def summary(purchase):
    """What one looks at before deciding: the money first, then the terms and what they change in the plan."""
    override = purchase.terms().override
    details = purchase.price_plan.details if purchase.price_plan else None
    quote = quotes.quote(purchase)
    return {
        "purchase": purchase,
        "money": summaries.money_page(purchase, quote),
        "diff": quote and money_diff.between(quote.plan, quote.proposal),
        "sentence": summaries.sentence_of(purchase),
        "facts": summaries.facts_of(purchase),
        "cards": changes.changes(details, override) if override and details else (),
    }
