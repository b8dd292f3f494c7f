"""
The verbs of a proposal as pages: one verb, one address, POST.

Verbs with questions show them on GET. A refusal is a page with its reason, what to do next, and the status of
reliability.md S-01; what is wrong in a form is told at its field, with 200 and everything typed still there.
"""

from functools import wraps

from django.contrib import messages
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from audit.refusals import Invalid, Refusal, Stale
from audit.sign_in import signed_in_at
from proposals import allowed, forms_verbs, policy, reading, services
from proposals.models import Decision, Proposal
from proposals.views.editor import PROPOSALS
from purchases import deal_templates, drafts, money_diff, quotes, summaries
from purchases import terms as domain
from purchases.forms_verbs import TemplateForm
from purchases.plan_moves import PlanMoved, move_of
from purchases.services import body_for
from purchases.views import conflicts, editor
from togai import wire, wording
from togai.models import Delivery

asks = require_http_methods(["GET", "HEAD", "POST"])


class SeeOther(HttpResponseRedirect):
    """The answer to a POST that was done: look there now (303)."""

    status_code = 303


def on_the_newest(view):
    """
    Hand the view the newest revision of a deal that the person may see (404 otherwise), and make a page of
    every refusal.
    """

    @wraps(view)
    def door(request, number):
        proposal = (
            Proposal.objects.visible_to(request.user)
            .live()
            .filter(number=number)
            .select_related("account", "price_plan", "owner")
            .prefetch_related("price_plan__rate_cards")
            .first()
        )
        if proposal is None:
            raise Http404
        try:
            return view(request, proposal)
        except Refusal as refusal:
            return refused(request, proposal, refusal)

    return door


def refused(request, proposal, refusal):
    """A refusal as a page: why, what happened meanwhile, and where to go from here."""
    return render(
        request,
        "refused.html",
        {
            "refusal": refusal,
            "proposal": Proposal.objects.select_related("account").get(pk=proposal.pk),
            "decision": Decision.objects.filter(proposal=proposal)
            .select_related("by", "reason_code")
            .order_by("-pk")
            .first(),
        },
        status=refusal.http_status,
    )


@asks
@on_the_newest
def submit(request, proposal):
    """Show who will be asked and what is still missing; POST freezes the draft and sends it on its way."""
    at, status = timezone.now(), 200
    today = drafts.business_day(at)
    if request.method == "POST":
        try:
            services.submit(
                proposal_id=proposal.pk,
                by=request.user,
                at=at,
                version=_read_version(request.POST),
                plan_version_seen=conflicts.whole(request.POST.get("plan_version_seen")),
            )
        except Invalid as invalid:
            problems = invalid.problems
        except PlanMoved:
            # A version came out while they looked: the page comes again and says what it does.
            problems, status = [], PlanMoved.http_status
        else:
            messages.success(request, f"{proposal.reference} is submitted. Togai hears of it next.")
            return SeeOther(proposal.get_absolute_url())
    else:
        allowed.refuse_early("submit", proposal, request.user)
        # As the service will: a draft without a validity gets the default one.
        proposal.valid_until = proposal.valid_until or domain.default_validity(today)
        problems = drafts.problems(proposal, at=at, complete=True)
    return render(
        request,
        "proposals/verb.html",
        _summary(proposal)
        | {
            "verb": "submit",
            "title": f"Submit {proposal.reference}",
            "problems": _told(problems),
            "wire": None
            if problems
            else wording.to_be_sent(
                Delivery.Kind.CREATE_PROPOSAL,
                proposal.account.togai_id,
                body_for(proposal, wire.CreateProposal),
            ),
            "valid_until": proposal.valid_until or domain.default_validity(today),
            "steps": reading.stages_ahead(policy.stages(proposal)),
            "move": move_of(proposal),
        },
        status=status,
    )


@asks
@on_the_newest
def recall(request, proposal):
    """Take a proposal back before it is decided, with a reason."""
    allowed.refuse_early("recall", proposal, request.user)
    form = forms_verbs.ReasonForm(request.POST or None, purpose="for_recall")
    if request.method == "POST" and form.is_valid():
        try:
            services.recall(
                proposal_id=proposal.pk,
                by=request.user,
                at=timezone.now(),
                reason_code=form.cleaned_data["reason_code"],
                reason=form.cleaned_data["reason"],
            )
        except Invalid as invalid:
            form.show(invalid)
        else:
            messages.success(request, f"{proposal.reference} is recalled. You can revise it now.")
            return SeeOther(proposal.get_absolute_url())
    return _ask(request, proposal, form, verb="recall", title=f"Recall {proposal.reference}")


@require_POST
@on_the_newest
def approve(request, proposal):
    """Say yes to exactly what was read: the form carries the revision and the hash of its content (R-23)."""
    form = forms_verbs.ReadForm(request.POST)
    form.is_valid()
    services.approve(
        proposal_id=_as_read(proposal, form).pk,
        by=request.user,
        at=timezone.now(),
        content_hash=form.cleaned_data.get("content_hash", ""),
        signed_in_at=signed_in_at(request),
    )
    proposal.refresh_from_db(fields=["status"])
    if proposal.is_waiting:
        messages.success(request, f"Your yes to {proposal.reference} is on record; the next step is asked.")
    else:
        messages.success(request, f"{proposal.reference} is approved. Togai is told next.")
    if request.POST.get("from") == "approvals":
        return SeeOther(reverse("proposals:approvals"))
    return SeeOther(proposal.get_absolute_url())


@asks
@on_the_newest
def decline(request, proposal):
    """Refuse for good, with a reason and, where it helps the next revision, notes on single lines (G-27)."""
    allowed.refuse_early("decline", proposal, request.user)
    form = forms_verbs.NoForm(
        request.POST or None,
        purpose="for_decline",
        lines=summaries.labels_of_lines(proposal),
        initial=_read(proposal),
    )
    if request.method == "POST" and form.is_valid():
        try:
            services.decline(
                proposal_id=_as_read(proposal, form).pk,
                by=request.user,
                at=timezone.now(),
                content_hash=form.cleaned_data["content_hash"],
                reason_code=form.cleaned_data["reason_code"],
                reason=form.cleaned_data["reason"],
                line_notes=form.line_notes(),
            )
        except Invalid as invalid:
            form.show(invalid)
        else:
            messages.success(request, f"{proposal.reference} is declined. Its author sees why.")
            return SeeOther(proposal.get_absolute_url())
    return _ask(request, proposal, form, verb="decline", title=f"Decline {proposal.reference}")


@asks
@on_the_newest
def request_changes(request, proposal):
    """Give it back to its author with a reason and notes on single lines: not a decline (G-26)."""
    allowed.refuse_early("request_changes", proposal, request.user)
    form = forms_verbs.NoForm(
        request.POST or None,
        purpose="for_changes",
        lines=summaries.labels_of_lines(proposal),
        initial=_read(proposal),
    )
    if request.method == "POST" and form.is_valid():
        try:
            services.request_changes(
                proposal_id=_as_read(proposal, form).pk,
                by=request.user,
                at=timezone.now(),
                content_hash=form.cleaned_data["content_hash"],
                reason_code=form.cleaned_data["reason_code"],
                reason=form.cleaned_data["reason"],
                line_notes=form.line_notes(),
            )
        except Invalid as invalid:
            form.show(invalid)
        else:
            messages.success(request, f"{proposal.reference} goes back to its author with your notes.")
            return SeeOther(proposal.get_absolute_url())
    title = f"Request changes to {proposal.reference}"
    return _ask(request, proposal, form, verb="request_changes", title=title)


@require_POST
@on_the_newest
def revise(request, proposal):
    """Open the next revision as a draft and go to its editor."""
    draft = services.revise(proposal_id=proposal.pk, by=request.user, at=timezone.now())
    messages.success(request, f"Revision {draft.revision} of {draft.reference} is open as a draft.")
    return SeeOther(reverse("proposals:edit", args=[draft.reference]))


@require_POST
@on_the_newest
def clone(request, proposal):
    """Draft another deal like this one and go to its editor (G-03)."""
    return editor.clone(request, proposal, PROPOSALS)


@asks
@on_the_newest
def save_as_template(request, proposal):
    """Ask for a name; POST keeps the terms as a template that everybody who drafts may start from (G-03)."""
    deal_templates.refuse_others(request.user)
    form = TemplateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = deal_templates.save_from(proposal, by=request.user, at=timezone.now(), **form.cleaned_data)
        except Invalid as invalid:
            form.show(invalid)
        else:
            messages.success(request, f"{made.name}, version {made.version}, is offered on new deals.")
            return SeeOther(proposal.get_absolute_url())
    return render(request, "proposals/save_as_template.html", _summary(proposal) | {"form": form})


def _ask(request, proposal, form, *, verb, title):
    context = _summary(proposal) | {
        "verb": verb,
        "title": title,
        "form": form,
        "wire": wording.decision_to_be_sent(proposal.togai_id, "DECLINE"),
    }
    return render(request, "proposals/verb.html", context)


def _summary(proposal):
    """What somebody looks at once more before they press the button."""
    quote = quotes.quote(proposal)
    return {
        "proposal": proposal,
        "money": summaries.money_page(proposal, quote),
        "diff": quote and money_diff.between(quote.plan, quote.proposal),
        "sentence": summaries.sentence_of(proposal),
    }


def _read(proposal):
    return {"revision": proposal.revision, "content_hash": proposal.content_hash}


def _as_read(proposal, form):
    """
    The proposal, when it is still the revision that the form was drawn for.

    :raises Stale: a newer revision took its place, or the form does not say what was read
    """
    if form.cleaned_data.get("revision") != str(proposal.revision):
        raise Stale("This is not the revision that you read; look at it again.")
    return proposal


def _read_version(data):
    """
    The version that the confirmation showed.

    :raises Stale: the form does not say
    """
    version = data.get("version", "")
    if not version.isascii() or not version.isdecimal() or len(version) > 9:
        raise Stale("Somebody may have saved this draft after you opened it; look at it again.")
    return int(version)


def _told(problems):
    """What speaks against a draft, each with the place in the editor where it is put right."""
    return [(problem, f"id_{problem.field}") for problem in problems]
