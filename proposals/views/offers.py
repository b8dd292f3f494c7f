"""
What the customer gets: the PDF and the links on our side, and the page behind a link on theirs (G-39, P-30).

The customer's page stands outside the house: no session, no cookie, nothing of the shell. It is drawn without
the request, so nothing about who asks can get into it.
"""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from audit.answers import SeeOther
from audit.refusals import Refusal
from proposals import customer_links, offer, offer_pdf
from proposals.forms_offer import LIFETIMES, LinkForm
from proposals.models import Proposal
from proposals.views.verbs import on_the_newest, refused

# Nobody's cache, list of results or next address gets to know the address of an offer.
PRIVATE = {
    "Cache-Control": "no-store, private",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
}


# --- Ours ---


@require_safe
def pdf(request, number, revision):
    """The PDF of one revision, for colleagues: what the customer gets, or an internal draft that says so."""
    proposal = (
        Proposal.objects.visible_to(request.user)
        .filter(number=number, revision=revision)
        .select_related("account", "price_plan")
        .prefetch_related("price_plan__rate_cards")
        .first()
    )
    if proposal is None:
        raise Http404
    try:
        return _pdf(offer.of(proposal))
    except offer_pdf.NoPDF as refusal:
        return refused(request, proposal, refusal)


def card(proposal, user, *, at):
    """What a page shows of the customer's side of a revision: partials/proposals/customer.html."""
    final = offer.is_handed_out(proposal)
    links = customer_links.links_of(proposal) if proposal.status == Proposal.Status.APPROVED else []
    for link in links:
        link.is_over = not link.is_open(at)
    return {
        "is_final": final,
        "may_make": final and customer_links.may_make(proposal, user),
        "may_revoke": any(not link.is_over for link in links) and customer_links.may_revoke(proposal, user),
        "lifetimes": LIFETIMES,
        "days": customer_links.DEFAULT_DAYS,
        "links": links,
    }


@require_POST
@on_the_newest
def make_link(request, proposal):
    """Make a link and show its address, this once."""
    form = LinkForm(request.POST)
    form.is_valid()
    link, token = customer_links.make(
        proposal_id=proposal.pk,
        by=request.user,
        at=timezone.now(),
        days=form.cleaned_data.get("days", 0),
    )
    address = settings.PUBLIC_URL + reverse("proposals:customer_page", args=[token])
    return render(request, "offers/link.html", {"proposal": proposal, "link": link, "address": address})


@require_POST
def revoke_link(request, number, link):
    """End a link at once."""
    seen = Proposal.objects.visible_to(request.user).filter(number=number, customer_links=link)
    proposal = seen.first()
    if proposal is None:
        raise Http404
    try:
        customer_links.revoke(link_id=link, by=request.user, at=timezone.now())
    except Refusal as refusal:
        return refused(request, proposal, refusal)
    messages.success(request, "The link no longer works.")
    return SeeOther(f"{proposal.get_absolute_url()}#customer")


# --- The customer's ---


@require_safe
@login_not_required
def customer_page(request, token):
    """The offer behind a link; one and the same answer for every address that opens nothing."""
    try:
        proposal = _read(request, token)
    except customer_links.Ended:
        return _ended()
    return _private(HttpResponse(_html(offer.of(proposal), to_pdf="pdf/")))


@require_safe
@login_not_required
def customer_pdf(request, token):
    """The same as a PDF."""
    try:
        proposal = _read(request, token)
        return _private(_pdf(offer.of(proposal)))
    except customer_links.Ended:
        return _ended()
    except offer_pdf.NoPDF:
        return _private(HttpResponse(render_to_string("offers/no_pdf.html", {"back": "../"}), status=503))


def _read(request, token):
    # Whoever looks at the headers alone has not read it.
    looks = request.user.is_authenticated or request.method != "GET"
    return customer_links.read(token=token, at=timezone.now(), counts=not looks)


def _ended():
    return _private(HttpResponse(render_to_string("offers/ended.html"), status=404))


def _private(response):
    for name, value in PRIVATE.items():
        response[name] = value
    # Django would write the address of what was refused into its log.
    response._has_been_logged = True
    return response


def _html(made, *, to_pdf=""):
    # Relative, so that the token does not stand on the page.
    return render_to_string("offers/offer.html", {"offer": made, "to_pdf": to_pdf})


def _pdf(made):
    content = offer_pdf.pdf(_html(made))
    name = made.reference.replace(" ", "-") + ("" if made.is_final else "-internal-draft")
    return HttpResponse(
        content,
        content_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{name}.pdf"'},
    )
