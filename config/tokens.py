"""Personal API tokens: shown once, kept as a hash, gone after ninety days at the latest (S-18)."""

from datetime import timedelta

from django import forms
from django.contrib import messages
from django.db import transaction
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST
from knox.models import AuthToken

from audit import services as audit
from togai.forms import OwnPasswordForm

LIFETIMES = [(1, "1 day"), (30, "30 days"), (90, "90 days")]


class NewTokenForm(OwnPasswordForm):
    """How long, and the password again: a token outlives a session left open."""

    why_asked = "Asked again because a token works without it."
    field_order = ("days", "password")

    days = forms.TypedChoiceField(label="Valid for", choices=LIFETIMES, coerce=int, initial=30)


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request):
    """One's own tokens, and a form that makes another one and shows it this once."""
    form = NewTokenForm(request.user, request.POST or None)
    made = ""
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            token, made = AuthToken.objects.create(
                request.user, expiry=timedelta(days=form.cleaned_data["days"])
            )
            audit.record(
                request.user,
                "mint_token",
                by=request.user,
                at=timezone.now(),
                after={"starts": token.token_key, "expires": token.expiry.isoformat()},
            )
        form = NewTokenForm(request.user)
    own = AuthToken.objects.filter(user=request.user).order_by("-created")
    return render(request, "account/tokens.html", {"form": form, "tokens": own, "made": made})


@require_POST
def revoke(request, digest):
    """End one of one's own tokens at once."""
    token = get_object_or_404(AuthToken, user=request.user, digest=digest)
    with transaction.atomic():
        audit.record(
            request.user,
            "revoke_token",
            by=request.user,
            at=timezone.now(),
            before={"starts": token.token_key},
        )
        token.delete()
    messages.success(request, "The token no longer works.")
    return redirect("tokens")
