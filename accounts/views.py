"""Pages of accounts: find one, read one, change one."""

from django.contrib import messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import history, search, services
from accounts.forms import LONGEST_SEARCH, EditForm, FilterForm, OwnerForm, name_of
from accounts.models import Account
from accounts.outcome import asked_for
from audit.answers import SeeOther
from audit.models import Event
from audit.paging import page_of
from audit.refusals import Invalid, Refusal, Stale
from audit.roles import DRAFTS, has_role
from togai import wording
from togai.models import Delivery

# Above this many matching accounts a search says "narrow it" (performance.md 2).
MOST_FOUND = 200
MOST_SUGGESTED = 20
NEWEST = 10

_SHOWN = (
    "togai_id",
    "name",
    "customer_name",
    "currency",
    "status",
    "net_term_days",
    "owner__username",
    "owner__first_name",
    "owner__last_name",
)


@require_safe
def account_list(request):
    form = FilterForm(request.GET, user=request.user)
    _refuse_endless_search(request)
    form.is_valid()
    accounts, many = _narrowed(request.user, form.cleaned_data)
    page = page_of(accounts, after=request.GET.get("after"), before=request.GET.get("before"))
    note = f"More than {MOST_FOUND} accounts match: these are some of them. Type more." if many else ""
    context = {
        "form": form,
        "accounts": page.rows,
        "pager": page.links(request.GET, note=note),
        "filtered": any(form.cleaned_data.values()),
    }
    return render(request, "accounts/list.html", context)


def _narrowed(user, filters):
    accounts = Account.objects.visible_to(user).for_listing().only(*_SHOWN)
    if filters.get("status"):
        accounts = accounts.filter(status=filters["status"])
    if filters.get("currency"):
        accounts = accounts.filter(currency=filters["currency"])
    if filters.get("owner"):
        owner = {"me": user.pk, "nobody": None}.get(filters["owner"], filters["owner"])
        accounts = accounts.filter(owner=owner)
    if not filters.get("q"):
        return accounts, False
    matching = search.matching(filters["q"], Account.objects.visible_to(user))
    found = list(matching.values_list("pk", flat=True)[: MOST_FOUND + 1])
    return accounts.filter(pk__in=found[:MOST_FOUND]), len(found) > MOST_FOUND


def _refuse_endless_search(request):
    if len(request.GET.get("q", "")) > LONGEST_SEARCH:
        raise BadRequest(f"A search has at most {LONGEST_SEARCH} characters.")


@require_safe
def suggestions(request):
    """Options of a list box for a fragment of a name or id: what the person may draft for."""
    _refuse_endless_search(request)
    accounts = Account.objects.visible_to(request.user).exclude(status=Account.Status.ARCHIVED)
    accounts = search.matching(request.GET.get("q", ""), accounts).only("togai_id", "name", "currency")
    # Twenty of many, without sorting them all.
    found = sorted(accounts[:MOST_SUGGESTED], key=lambda account: account.name.lower())
    return render(request, "accounts/_options.html", {"accounts": found})


@require_safe
def detail(request, togai_id):
    account = _visible(request, togai_id)
    edits = wording.with_receipts(Delivery.objects.of(account).filter(kind=Delivery.Kind.EDIT_ACCOUNT))
    context = {
        "account": account,
        "edit": _unsettled(edits.last()),
        "may_edit": services.may_edit(request.user),
        "may_draft": has_role(request.user, *DRAFTS) and account.status == Account.Status.ACTIVE,
        # Deals know their account, not the other way round: the upper floors are read by their names.
        "proposals": account.proposals.visible_to(request.user).live().for_listing()[:NEWEST],
        "purchases": account.purchases.visible_to(request.user).for_listing()[:NEWEST],
        "events": history.entries(
            Event.objects.about(account).order_by("-seq").select_related("actor")[:NEWEST]
        ),
        "at": timezone.now(),
    }
    return render(request, "accounts/detail.html", context)


def _unsettled(delivery):
    """The newest edit while a person has to know about it: on its way, refused or stuck."""
    if delivery is None or delivery.state == Delivery.State.CONFIRMED or delivery.last_error == "withdrawn":
        return None
    (told,) = wording.told([delivery])
    return {"delivery": delivery, "wanted": history.changes(asked_for(delivery)), "told": told}


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request, togai_id):
    account = _visible(request, togai_id)
    _require_editor(request)
    waiting = services.pending(account)
    initial = EditForm.initial_of(account, asked_for(waiting) if waiting else {})
    form = EditForm(request.POST or None, initial=initial)
    status = 200
    if request.method == "POST" and form.is_valid():
        try:
            return _edited(request, account, form)
        except Invalid as refusal:
            form.take_problems(refusal.problems)
        except Stale as refusal:
            status = refusal.http_status
            form = _on_top_of(account, form)
        except Refusal as refusal:
            status = refusal.http_status
            form.add_error(None, str(refusal))
    context = {
        "account": account,
        "form": form,
        "owner_form": OwnerForm(initial={"to": account.owner_id}),
        "waiting": waiting and {"delivery": waiting},
        "stale": form.is_bound and request.POST.get("version") != str(account.version),
    }
    return render(request, "accounts/edit.html", context, status=status)


def _edited(request, account, form):
    before = account.version
    account = services.edit(
        account_id=account.pk,
        by=request.user,
        at=timezone.now(),
        fields=form.fields_for_service(),
        version=form.cleaned_data["version"],
    )
    if account.version == before:
        messages.info(request, "Nothing differs from what Togai has.")
    elif services.pending(account):
        messages.success(request, "The change is on its way to Togai and shows here once it is confirmed.")
    else:
        messages.success(request, "The change that waited is taken back; nothing is sent.")
    return SeeOther(account.get_absolute_url())


def _on_top_of(account, form):
    """The same typing on the account as it is now, so that a second press is a decision."""
    typed = form.data.copy()
    typed["version"] = account.version
    return EditForm(typed, initial=form.initial)


@require_POST
def hand_over(request, togai_id):
    account = _visible(request, togai_id)
    _require_editor(request)
    form = OwnerForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose one of the people in the list.")
        return SeeOther(reverse("accounts:edit", args=[togai_id]))
    owner = form.cleaned_data["to"]
    services.hand_over(account_id=account.pk, to=owner, by=request.user, at=timezone.now())
    messages.success(request, f"The account now belongs to {name_of(owner) if owner else 'nobody'}.")
    return SeeOther(account.get_absolute_url())


def _visible(request, togai_id):
    accounts = Account.objects.visible_to(request.user).select_related("owner")
    return get_object_or_404(accounts, togai_id=togai_id)


def _require_editor(request):
    if not services.may_edit(request.user):
        raise PermissionDenied("Only administrators change accounts.")
