"""
The page where a deal is drafted, one for purchases and proposals: new, edit, and the estimate beside it.

The page is one form. `do` names the pressed button: `save` and `submit` write through the services, the
others (`update`, `open:…`, `reset:…`, `add_slab:…`, `remove_slab:…`, `move_plan:…`, `keep_plan:…`) only draw
the same page again: whole without JavaScript, in part for htmx. No button here makes a call to Togai (G-01).

`autosave` is what static/js/autosave.js posts while somebody types (G-06): it writes through the same
services and answers with a line of words instead of a page. Each one that changes something is an event on
record: one after every rest of two seconds, and one every four seconds of typing without a rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import Account
from audit.answers import SeeOther
from audit.refusals import Invalid, NotAllowed, Refusal, Stale, WrongStatus
from audit.roles import DRAFTS, has_role
from purchases import deal_templates, drafts, plan_moves, quotes, remarks, services, summaries
from purchases import terms as domain
from purchases.forms import LONGEST_SEARCH, PurchaseForm, found_accounts
from purchases.models import DealTemplate, PricePlan, Purchase
from purchases.views import conflicts
from purchases.volumes import volumes_page
from purchases.workings import workings

# Buttons that only draw the page again.
REDRAWS = (
    *(
        "update",
        "open",
        "reset",
        "limits",
        "add_card",
        "remove_card",
        "currencies",
        "add_slab",
        "remove_slab",
    ),
    *("raise_slab", "lower_slab", "paste_slabs", "move_plan", "keep_plan"),
)

TYPES = [
    (
        domain.PurchaseType.ENTITLEMENT_GRANT,
        "grant",
        "Grants once what a purchase plan holds: units, credit, fees.",
    ),
    (domain.PurchaseType.ASSOCIATION, "repeat", "Puts the account on a billing plan, which then recurs."),
    (domain.PurchaseType.WALLET_TOPUP, "wallet", "Adds money to the account's wallet."),
]
# What a plan of a type is bought as.
TYPE_OF_PLAN = {
    domain.PlanType.PURCHASE: domain.PurchaseType.ENTITLEMENT_GRANT,
    domain.PlanType.BILLING: domain.PurchaseType.ASSOCIATION,
}


@dataclass(frozen=True)
class Desk:
    """What differs between the editors of the two kinds of deal."""

    model: type
    deals: Callable
    form: type
    namespace: str
    word: str
    create: Callable
    edit: Callable
    submit: Callable
    clone: Callable
    start: Callable
    said: Callable
    template: str
    submit_label: str
    submitted: str
    list_label: str


PURCHASES = Desk(
    model=Purchase,
    deals=Purchase.objects.visible_to,
    form=PurchaseForm,
    namespace="purchases",
    word="purchase",
    create=services.create,
    edit=lambda pk, **change: services.edit(purchase_id=pk, **change),
    submit=lambda pk, **verb: services.submit(purchase_id=pk, **verb),
    clone=lambda pk, **given: services.clone(purchase_id=pk, **given),
    start=lambda pk, **given: deal_templates.start(Purchase, template_id=pk, sequence="purchase", **given),
    said=remarks.sent_back,
    template="purchases/editor.html",
    submit_label="Save and ask for release",
    submitted="{} waits for finance to release it.",
    list_label="Purchases",
)


@require_http_methods(["GET", "HEAD", "POST"])
def new(request, desk=PURCHASES):
    """Draft a deal: first its account, then everything else."""
    if request.method == "POST":
        return _answered(request, lambda: _create(request, desk))
    if not has_role(request.user, *DRAFTS):
        raise NotAllowed("Your role does not write drafts.")
    looked_for = request.GET.get("q", "")
    if len(looked_for) > LONGEST_SEARCH:
        raise BadRequest(f"A search has at most {LONGEST_SEARCH} characters.")
    account_id = request.GET.get("account", "")
    plan = _wanted_plan(request.GET.get("plan", ""))
    if not account_id:
        context = {
            "desk": desk,
            "plan": plan,
            "looked_for": looked_for,
            "accounts": found_accounts(request.user, looked_for),
            "list_url": _list_url(desk),
        }
        return render(request, "purchases/choose_account.html", context)
    account = _account(request.user, account_id)
    deal = desk.model(account=account)
    if plan:
        deal.price_plan, deal.type = plan, TYPE_OF_PLAN[plan.type]
    form = desk.form(deal=deal, user=request.user, at=timezone.now())
    return _page(request, desk, form, deal, token=uuid4(), starts=_starts(desk, account, request.user))


@require_POST
def start(request, desk=PURCHASES):
    """
    Open a draft for an account with the terms of a template or of a deal before, and go to its editor (G-03).

    What to start from is posted as `from`, e.g. "template:3" or "deal:17".

    :raises Http404: the account or the deal is not theirs to see, or there is no such template
    :raises WrongStatus: the template is not offered any more
    """
    user = request.user
    if not has_role(user, *DRAFTS):
        raise NotAllowed("Your role does not write drafts.")
    account = _account(user, request.POST.get("account", ""))
    kind, _, key = request.POST.get("from", "").partition(":")
    pk = conflicts.whole(key)
    sources = {"deal": desk.model.objects.visible_to(user), "template": DealTemplate.objects.all()}
    if kind not in sources or pk is None:
        raise BadRequest("The form does not say what to start from.")
    source = get_object_or_404(sources[kind], pk=pk)
    begin = desk.clone if kind == "deal" else desk.start
    try:
        made = begin(pk, by=user, at=timezone.now(), account=account, form_token=_token(request))
    except drafts.AlreadyDrafted as earlier:
        made = earlier.deal
    else:
        messages.success(request, f"{made.reference} is a draft of yours, with the terms of {source}.")
    return SeeOther(
        reverse(f"{desk.namespace}:edit", args=[made.reference]) if made.is_draft else made.get_absolute_url()
    )


def clone(request, source, desk=PURCHASES):
    """
    Draft another deal like one that the person sees, and go to its editor (G-03).

    The form's token makes two presses one draft; programs and old pages may come without.
    """
    token = _token(request) if "form_token" in request.POST else None
    try:
        made = desk.clone(source.pk, by=request.user, at=timezone.now(), form_token=token)
    except drafts.AlreadyDrafted as earlier:
        made = earlier.deal
    else:
        messages.success(request, f"{made.reference} is a draft of yours, with the terms of {source}.")
    return SeeOther(
        reverse(f"{desk.namespace}:edit", args=[made.reference]) if made.is_draft else made.get_absolute_url()
    )


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request, number, desk=PURCHASES):
    """Go on with a draft."""
    if request.method == "POST":
        return _answered(request, lambda: _change(request, desk, _editable(request, desk, number)))
    deal = _editable(request, desk, number)
    form = desk.form(deal=deal, user=request.user, at=timezone.now())
    return _page(request, desk, form, deal)


@require_POST
def estimate(request, desk=PURCHASES):
    """
    The money of what is typed, saving nothing: the live panel beside the form.

    `?part=volumes` asks for the same at other volumes instead: dearer to work out, asked for where it shows.
    """
    if not has_role(request.user, *DRAFTS):
        raise NotAllowed("Your role does not write drafts.")
    deal = desk.model()
    if "deal" in request.GET:
        deal = _editable(request, desk, _number(desk, request.GET["deal"]))
    read = conflicts.whole(request.POST.get("version"))
    if deal.pk and read and read < deal.version:
        deal = conflicts.as_of(deal, read)
    form = desk.form(request.POST, deal=deal, user=request.user, at=timezone.now(), for_figures=True)
    scratch = form.scratch()
    # A form is a web of references that only the collector takes apart; its cells need not wait for that.
    form.prices = None
    if request.GET.get("part") == "volumes":
        return render(
            request, "partials/editor/curves.html", {"curves": _at_other_volumes(request, desk, scratch)}
        )
    return render(
        request, "partials/editor/estimate.html", _money(scratch) | {"desk": desk, "deal": deal, "live": True}
    )


def _account(user, togai_id):
    """
    :raises Http404: it is none of theirs
    """
    # PostgreSQL cannot even be asked for a NUL.
    if not togai_id.isprintable():
        raise Http404
    return get_object_or_404(Account.objects.visible_to(user), togai_id=togai_id)


def _wanted_plan(togai_id):
    """The plan on sale that a page of the catalogue has led here with; None for none and for any other."""
    if not togai_id or not togai_id.isprintable():
        return None
    return PricePlan.objects.offered().filter(togai_id=togai_id, type__in=TYPE_OF_PLAN).first()


def _starts(desk, account, user):
    """What else than nothing a new deal of an account may start from; two queries."""
    last = drafts.last_of(desk.model, account, by=user)
    offered = DealTemplate.objects.offered().only("name", "version", "description")
    return {
        "account": account,
        "token": uuid4(),
        "last": last,
        "last_words": _last_words(last),
        "templates": list(offered[: deal_templates.MOST_OFFERED]),
    }


def _last_words(deal):
    """What became of a deal that is past its draft, and when; "" for none."""
    if deal is None:
        return ""
    words = deal.get_status_display().lower()
    decided = getattr(deal, "decided_at", None) or getattr(deal, "released_at", None)
    if decided:
        return f"{words} {drafts.business_day(decided):%-d %b %Y}"
    submitted = f"submitted {drafts.business_day(deal.submitted_at):%-d %b %Y}"
    return submitted if words == "submitted" else f"{words}, {submitted}"


def _editable(request, desk, number):
    """
    The draft of this number, for somebody who may write it.

    :raises Http404: no such deal, or not theirs to see
    :raises NotAllowed, WrongStatus: it is not theirs to write, or no draft any more
    """
    deals = desk.deals(request.user).select_related("account", "price_plan", "owner")
    deal = get_object_or_404(deals, number=number)
    if not drafts.may_edit(deal, request.user):
        raise NotAllowed("Only the owner or an administrator edits this draft.")
    if not deal.is_draft:
        raise WrongStatus(
            f"{deal.reference} is {deal.get_status_display().lower()} and can no longer be edited."
        )
    return deal


def _again(desk, deal, user):
    """
    The draft as somebody has just saved it.

    :raises Http404: it is no longer theirs to see
    :raises WrongStatus: it is no draft any more
    """
    deals = desk.deals(user).select_related("account", "price_plan", "owner")
    now = get_object_or_404(deals, pk=deal.pk)
    if not now.is_draft:
        raise WrongStatus(
            f"{now.reference} is {now.get_status_display().lower()} and can no longer be edited."
        )
    return now


def _number(desk, reference):
    """
    The number in a reference like P-000042.

    :raises Http404: it is none
    """
    digits = reference[2:]
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 9):
        raise Http404
    if desk.model(number=int(digits)).reference != reference:
        raise Http404
    return int(digits)


# --- What a button does ---


def _answered(request, work):
    """What a button is answered; an autosave hears a refusal as a line of words."""
    try:
        return work()
    except Refusal as refusal:
        if _do(request) != "autosave":
            raise
        return _told(request, "refused", status=refusal.http_status, refusal=refusal)


def _create(request, desk):
    """
    Save a new draft, once: the form's token finds the draft that an earlier press of the same form has made.
    """
    if not has_role(request.user, *DRAFTS):
        raise NotAllowed("Your role does not write drafts.")
    at = timezone.now()
    token = _token(request)
    made = drafts.drafted_on(desk.model, token, by=request.user)
    if made is not None:
        return _again_or_on(request, desk, made)
    deal = desk.model()
    form = desk.form(_typed(request), deal=deal, user=request.user, at=at)
    if _do(request) == "autosave":
        return _autosave_new(request, desk, form, token=token, at=at)
    if _do(request) not in ("save", "submit"):
        return _redraw(request, desk, form, deal, token=token)
    if not form.is_sound():
        return _page(request, desk, form, deal, token=token, status=422)
    try:
        deal = desk.create(by=request.user, at=at, fields=form.values(), form_token=token)
    except drafts.AlreadyDrafted as earlier:
        return _again_or_on(request, desk, earlier.deal)
    except Invalid as refusal:
        form.blame(refusal.problems)
        return _page(request, desk, form, deal, token=token, status=422)
    return _saved(request, desk, form, deal)


def _again_or_on(request, desk, made):
    """The same form, pressed twice: what the second press said may differ."""
    if not made.is_draft and _do(request) != "autosave":
        return redirect(made)
    return _change(request, desk, _again(desk, made, request.user), version=1)


def _change(request, desk, deal, version=None):
    """Whatever was pressed on the page of an existing draft."""
    at = timezone.now()
    here = conflicts.whole(request.POST.get("version"))
    read = conflicts.whole(request.POST.get("read")) or here if version is None else version
    if read is None or not 1 <= read <= deal.version:
        raise BadRequest("The form does not say which version of the draft it was made from.")
    if read != deal.version and conflicts.is_own(deal, read, by=request.user, **_page_of(request)):
        # The page has saved this itself, and the answer never came.
        read = deal.version
    # What the page did not show is as it was when the page was made.
    base = deal if read == deal.version else conflicts.as_of(deal, read)
    form = desk.form(_typed(request), deal=base, user=request.user, at=at)
    do = _do(request)
    if do == "autosave":
        return _autosave(request, desk, form, deal, read=read, at=at)
    if do not in ("save", "submit", "resolve"):
        return _redraw(request, desk, form, deal, version=read)
    if not form.is_sound():
        return _page(request, desk, form, deal, version=read, status=422)
    conflict = None
    fields = form.values()
    if read != deal.version:
        conflict = conflicts.Conflict(form, base, deal, choices=request.POST, read=read)
        if do != "resolve" or here != deal.version or conflict.undecided:
            return _conflict_page(request, desk, conflict, deal)
        fields = conflict.settled()
    try:
        saved = desk.edit(
            deal.pk, by=request.user, at=at, fields=fields, version=deal.version, origin=_page_of(request)
        )
    except Stale:
        # Somebody was faster by a moment: the same comparison, with what is stored now.
        return _change(request, desk, _again(desk, deal, request.user), version=version)
    except Invalid as refusal:
        if conflict:
            return _conflict_page(request, desk, conflict, deal, problems=refusal.problems)
        form.blame(refusal.problems)
        return _page(request, desk, form, deal, version=read, status=422)
    return _saved(request, desk, form, saved)


def _saved(request, desk, form, deal):
    """After a save: submit as well where that was pressed, else go on editing."""
    if _do(request) != "submit":
        messages.success(request, f"{deal.reference} is saved.")
        return redirect(f"{desk.namespace}:edit", deal.reference)
    try:
        deal = desk.submit(
            deal.pk,
            by=request.user,
            at=timezone.now(),
            version=deal.version,
            plan_version_seen=form.plan_seen,
        )
    except Invalid as refusal:
        form.blame(refusal.problems)
        return _page(request, desk, form, deal, status=422, is_saved=True)
    except plan_moves.PlanMoved:
        # It is saved; the page that asks whether to submit shows what the newer version does to the price.
        messages.warning(request, f"{deal.reference} is saved. Look at its plan before you submit it.")
        return redirect(f"{desk.namespace}:submit", deal.reference)
    messages.success(request, desk.submitted.format(deal.reference))
    return redirect(deal)


def _redraw(request, desk, form, deal, **page):
    """Do what only changes the page: open a card, add a slab, show the fields of another type."""
    verb, _, target = _do(request).partition(":")
    if verb not in REDRAWS:
        raise BadRequest("There is no such button.")
    focus = ""
    if form.prices and verb not in ("update", "move_plan", "keep_plan"):
        form.press(verb, target)
        focus = form.prices.first_of(verb, target)
    return _page(request, desk, form, deal, focus=focus, is_redraw=True, **page)


def _do(request):
    # What htmx sends by itself, on a change of a choice, only draws the page again.
    return request.POST.get("do") or ("update" if request.htmx else "save")


def _typed(request):
    """What is typed, with what a button says about the versions of the plan."""
    verb, _, target = _do(request).partition(":")
    name = {"move_plan": "price_plan", "keep_plan": "plan_seen"}.get(verb)
    if name is None:
        return request.POST
    typed = request.POST.copy()
    typed[name] = target
    return typed


def _page_of(request):
    """Which page a form was sent from and how often it had been sent before; {} where it does not say."""
    page, turn = request.POST.get("page", ""), conflicts.whole(request.POST.get("turn"))
    try:
        return {"page": str(UUID(page)), "turn": turn or 0}
    except ValueError:
        return {}


def _token(request):
    try:
        return UUID(request.POST.get("form_token", ""))
    except ValueError:
        raise BadRequest("The form has lost its token; open it again.") from None


# --- Saving while somebody types ---


def _autosave_new(request, desk, form, *, token, at):
    """Draft what can be read of a new deal, once there is more to it than its account."""
    fields, left = form.keepable()
    blank = desk.model(account=form.chosen_account)
    if drafts.plain(form.scratch_of(fields)) == drafts.plain(blank):
        return _told(request, "left" if left else "blank", left=left, status=422 if left else 200)
    try:
        made = desk.create(by=request.user, at=at, fields=fields, form_token=token)
    except drafts.AlreadyDrafted as earlier:
        return _again_or_on(request, desk, earlier.deal)
    return _told(request, "saved", desk=desk, deal=made, left=left, at=at)


def _autosave(request, desk, form, deal, *, read, at):
    """Save what can be read of a draft; what somebody else has saved meanwhile stays as it is (G-07)."""
    if read != deal.version:
        event, words = conflicts.since(deal, read)[0]
        return _told(request, "conflict", status=Stale.http_status, event=event, words=words)
    fields, left = form.keepable()
    if not fields and left:
        return _told(request, "left", left=left, status=422)
    try:
        saved = desk.edit(
            deal.pk, by=request.user, at=at, fields=fields, version=deal.version, origin=_page_of(request)
        )
    except Stale:
        return _change(request, desk, _again(desk, deal, request.user))
    return _told(request, "saved", desk=desk, deal=saved, left=left, at=at)


def _told(request, state, *, status=200, **context):
    """The answer to an autosave: a line of words, with what the page has to know of the draft."""
    return render(request, "partials/editor/autosaved.html", {"state": state} | context, status=status)


# --- What the page shows ---


def _page(
    request,
    desk,
    form,
    deal,
    *,
    token=None,
    version=None,
    status=200,
    focus="",
    is_redraw=False,
    is_saved=False,
    starts=None,
):
    """The editor; for htmx the part of it that changes."""
    user = request.user
    here = (
        reverse(f"{desk.namespace}:edit", args=[deal.reference])
        if deal.pk
        else reverse(f"{desk.namespace}:new")
    )
    panel = reverse(f"{desk.namespace}:estimate")
    said = desk.said(deal) if deal.pk else None
    pinned = remarks.pin(said.notes, form) if said else []
    errors = [] if is_redraw else form.summary
    first_error = next((place for place, _, _ in errors if place), "")
    if first_error not in form.inputs:
        first_error = ""
    if not form.is_bound and deal.version == 1:
        # A revision that nobody has worked on yet begins where finance has something to say.
        first_error = remarks.first_cell(form)
    form.wire(here, first_error=first_error)
    scratch = form.scratch()
    context = {
        "desk": desk,
        "form": form,
        "deal": deal,
        "types": TYPES,
        "prepaid": domain.PurchaseType.PREPAID,
        "here": here,
        "list_url": _list_url(desk),
        "estimate_url": f"{panel}?deal={deal.reference}" if deal.pk else panel,
        "token": token,
        "version": version or deal.version,
        "errors": errors,
        "first_error": first_error,
        "focus": focus,
        "starts": starts,
        "start_url": reverse(f"{desk.namespace}:start"),
        "is_saved": is_saved,
        "is_dirty": form.is_bound and not is_saved,
        "said": said,
        "remarks": pinned,
        "move": plan_moves.move_of(scratch),
        "page_token": uuid4(),
        "may_submit": not deal.pk or user.pk in (deal.owner_id, deal.created_by_id),
        **_money(scratch),
    }
    only_part = is_redraw and request.htmx
    # What is folded up is drawn with a whole page, for those without JavaScript; else asked for when opened.
    context["curves_later"] = only_part
    context["curves"] = None if only_part else _at_other_volumes(request, desk, scratch)
    return render(
        request, "partials/editor/body.html" if only_part else desk.template, context, status=status
    )


def _money(scratch):
    quote = quotes.quote(scratch)
    return {"money": summaries.money_page(scratch, quote), "workings": workings(scratch, quote)}


def _at_other_volumes(request, desk, scratch):
    """The deal at other volumes, beside the revision before; that one costs two queries."""
    previous = None
    if scratch.revision > 1:
        revisions = desk.model.objects.visible_to(request.user).select_related("account", "price_plan")
        previous = revisions.filter(number=scratch.number, revision=scratch.revision - 1).first()
    return volumes_page(scratch, previous)


def _list_url(desk):
    return reverse(f"{desk.namespace}:list")


def _conflict_page(request, desk, conflict, deal, problems=()):
    context = {
        "desk": desk,
        "conflict": conflict,
        "deal": deal,
        "problems": problems,
        "is_asked_again": _do(request) == "resolve",
        "here": reverse(f"{desk.namespace}:edit", args=[deal.reference]),
        "list_url": _list_url(desk),
    }
    return render(request, "purchases/conflict.html", context, status=422 if problems else Stale.http_status)
