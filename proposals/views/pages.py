"""Reading proposals: the list, and one page per deal with everything one decides on."""

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import formats, timezone
from django.views.decorators.http import require_safe

from audit.paging import page_of
from audit.roles import DRAFTS, has_role
from proposals import allowed, listing, policy, reading, timeline
from proposals.views import offers as customers
from purchases import crosscheck, money_diff, quotes, summaries
from purchases.volumes import volumes_page
from togai import services as operators
from togai import wording


@require_safe
def index(request):
    """The list; every filter stands in the address."""
    listing.refuse_endless_search(request.GET)
    form = listing.FilterForm(request.GET, user=request.user)
    form.is_valid()
    proposals, narrow = listing.narrowed(request.user, form.cleaned_data, at=timezone.now())
    page = page_of(proposals, after=request.GET.get("after"), before=request.GET.get("before"))
    chips = form.chips(request.GET)
    here = listing.filters_in(request.GET)
    context = {
        "form": form,
        "chips": chips,
        "proposals": page.rows,
        "pager": page.links(request.GET),
        "presets": [
            {"label": words, "url": f"?{query}", "current": query == here}
            for words, query in listing.presets(request.user)
        ],
        "narrow": narrow,
        "most_accounts": listing.MOST_ACCOUNTS,
        "may_draft": has_role(request.user, *DRAFTS),
    }
    return render(request, "proposals/list.html", context)


@require_safe
def detail(request, number):
    """The page of a deal's newest revision; asked again by htmx, it answers only when something moved."""
    revisions = reading.revisions_of(request.user, number)
    proposal = next((one for one in revisions if one.is_live), None)
    return _page(request, proposal, revisions)


@require_safe
def revision(request, number, revision):
    """The page of one revision."""
    revisions = reading.revisions_of(request.user, number)
    proposal = next((one for one in revisions if one.revision == revision), None)
    return _page(request, proposal, revisions)


def _page(request, proposal, revisions):
    if proposal is None:
        raise Http404
    moving = reading.Moving(proposal, at=timezone.now())
    again = bool(request.htmx and not request.htmx.boosted)
    if again:
        moving.nudge()
        if request.GET.get("seen") == moving.fingerprint:
            # Nothing moved: htmx leaves the page alone and asks again.
            return HttpResponse(status=204)
    template = "partials/proposals/deal.html" if again else "proposals/detail.html"
    return render(request, template, _context(request, proposal, revisions, moving))


def _context(request, proposal, revisions, moving):
    user, at = request.user, moving.at
    noes = reading.noes_of(revisions)
    no = reading.last_no(noes, proposal)
    quote = quotes.quote(proposal)
    events, more_events = timeline.events_of(proposal)
    newest = revisions[0]
    offers = allowed.offers(proposal, user, steps=moving.steps, at=at)
    return {
        "proposal": proposal,
        "revisions": revisions,
        "newest": None if proposal.is_live else newest,
        "offers": offers,
        "approval": "approve" in offers and wording.decision_to_be_sent(proposal.togai_id, "APPROVE"),
        "money": summaries.money_page(proposal, quote),
        "check_url": reverse("proposals:check", args=[proposal.reference])
        if proposal.is_live and crosscheck.is_offered(proposal, user)
        else "",
        "diff": quote and money_diff.between(quote.plan, quote.proposal),
        "curves": volumes_page(proposal, _before(proposal, revisions)),
        "sentence": summaries.sentence_of(proposal),
        "facts": summaries.facts_of(proposal),
        "cards": reading.changed_cards(proposal),
        "no": no,
        "notes": reading.notes_by_line(no),
        "steps": timeline.steps_of(moving.steps, proposal=proposal, at_words=_at_words)
        or reading.stages_ahead(policy.stages(proposal)),
        "events": events,
        "more_events": more_events,
        "sent": moving.sent(),
        "may_look": operators.may_look(user),
        "granted": moving.granted(),
        "snapshot": moving.snapshot,
        "drifts": moving.differing(user),
        "customer": customers.card(proposal, user, at=at),
        "over": allowed.over(proposal, at=at) if proposal.is_waiting else "",
        "seconds": moving.seconds if proposal.is_live else None,
        "fingerprint": moving.fingerprint,
        "at": at,
        "here": reverse("proposals:detail", args=[proposal.reference])
        if proposal.is_live
        else proposal.get_absolute_url(),
    }


def _before(proposal, revisions):
    return next((one for one in revisions if one.revision == proposal.revision - 1), None)


def _at_words(at):
    return formats.date_format(timezone.localtime(at), "DATETIME_FORMAT")
