"""The catalogue as pulled: the list of price plans, and each one as a price list."""

from django import forms
from django.db.models import Prefetch
from django.http import Http404
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit.paging import page_of
from audit.roles import DRAFTS, has_role
from purchases import price_list
from purchases.models import PricePlan, RateCard
from purchases.views.calculator import CalculatorForm, price_of


class FilterForm(forms.Form):
    """The filters of the list as read from the address; only known values pass."""

    type = forms.ChoiceField(required=False, choices=[("", "Every type"), *PricePlan.Type.choices])
    status = forms.ChoiceField(required=False, choices=[("", "Every status"), *PricePlan.Status.choices])


@require_safe
def index(request):
    """Each plan in the version that is sold now."""
    form = FilterForm(request.GET)
    form.is_valid()
    plans = PricePlan.objects.for_listing()
    for name, value in form.cleaned_data.items():
        if value:
            plans = plans.filter(**{name: value})
    page = page_of(plans, after=request.GET.get("after"), before=request.GET.get("before"))
    context = {
        "form": form,
        "rows": [(plan, price_list.cycle_in_words(plan.cycle)) for plan in page.rows],
        "pager": page.links(request.GET),
        "filtered": any(form.cleaned_data.values()),
        "at": timezone.now(),
    }
    return render(request, "purchases/plans.html", context)


@require_safe
def detail(request, togai_id):
    """
    One version of a plan, the current one unless `?version=` names another, with a price at what is typed.

    htmx gets the price alone.
    """
    cards = Prefetch("rate_cards", RateCard.objects.order_by("position", "pk"))
    versions = list(PricePlan.objects.filter(togai_id=togai_id).order_by("-version").prefetch_related(cards))
    wanted = request.GET.get("version", "")
    plan = next(
        (one for one in versions if (str(one.version) == wanted if wanted else one.is_latest)), None
    ) or (versions[0] if versions and not wanted else None)
    if plan is None:
        raise Http404
    calculator = CalculatorForm(request.GET, plan=plan)
    context = {
        "plan": plan,
        "calculator": calculator,
        "price": price_of(calculator),
        "piece": request.htmx and not request.htmx.boosted,
    }
    if context["piece"]:
        return render(request, "purchases/_price.html", context)
    context |= {
        "cards": price_list.of(plan.details),
        "cycle": price_list.cycle_in_words(plan.cycle),
        "versions": versions,
        "may_propose": plan.is_latest
        and plan.status == PricePlan.Status.ACTIVE
        and has_role(request.user, *DRAFTS),
        "at": timezone.now(),
    }
    return render(request, "purchases/plan.html", context)
