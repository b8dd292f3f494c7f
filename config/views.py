"""Pages that belong to no app: the overview, signing in, and whether the product is alive."""

from django.contrib import messages
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy
from django.views.decorators.http import require_safe


class SignIn(auth.LoginView):
    template_name = "account/login.html"
    redirect_authenticated_user = True


class ChangePassword(auth.PasswordChangeView):
    template_name = "account/password.html"
    success_url = reverse_lazy("overview")

    def form_valid(self, form):
        messages.success(self.request, "Your password is changed.")
        return super().form_valid(form)


@require_safe
def overview(request):
    return render(request, "overview.html")


@require_safe
@login_not_required
def healthz(request):
    """Alive: the process answers. Says nothing else to anybody."""
    return HttpResponse("ok", content_type="text/plain")
