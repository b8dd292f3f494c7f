"""The question that a link for the customer asks: how long it works."""

from django import forms

from proposals.customer_links import DEFAULT_DAYS

LIFETIMES = [(7, "7 days"), (14, "14 days"), (30, "30 days")]


class LinkForm(forms.Form):
    """How long a new link works; the service judges the answer."""

    days = forms.TypedChoiceField(label="Works for", choices=LIFETIMES, coerce=int, initial=DEFAULT_DAYS)
