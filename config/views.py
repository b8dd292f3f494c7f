"""Pages that belong to no app: the overview, signing in, and whether the product is alive."""

from django.contrib import messages
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy
from django.utils import formats, timezone
from django.views.decorators.http import require_safe

from audit.roles import DRAFTS, SEES_EVERYTHING, has_role
from proposals.charts import grouped_bars
from proposals.overview import DECIDED, overview_for


class SignIn(auth.LoginView):
    template_name = "account/login.html"
    redirect_authenticated_user = True

    def setup(self, request, *args, **kwargs):
        """Who is signed in goes on, unless they came to type their password once more (P-21)."""
        super().setup(request, *args, **kwargs)
        self.redirect_authenticated_user = "again" not in request.GET

    def get_initial(self):
        return super().get_initial() | {"username": self.request.user.get_username()}


class ChangePassword(auth.PasswordChangeView):
    template_name = "account/password.html"
    success_url = reverse_lazy("overview")

    def form_valid(self, form):
        messages.success(self.request, "Your password is changed.")
        return super().form_valid(form)


@require_safe
def overview(request):
    """The first page: what waits for this person, what is at stake, what is stuck."""
    at = timezone.now()
    seen = overview_for(request.user, at=at)
    groups = [(formats.date_format(month.first, "M"), month.counts) for month in seen.months]
    context = {
        "overview": seen,
        "chart": grouped_bars(groups),
        "decided": [str(words) for words in DECIDED.values()],
        "any_decision": any(any(month.counts) for month in seen.months),
        "operates": has_role(request.user, *SEES_EVERYTHING),
        "may_draft": has_role(request.user, *DRAFTS),
        "at": at,
    }
    return render(request, "overview.html", context)


@require_safe
@login_not_required
def healthz(request):
    """Alive: the process answers. Says nothing else to anybody."""
    return HttpResponse("ok", content_type="text/plain")
