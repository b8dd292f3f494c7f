"""What people are asked before they stop, start or close deliveries."""

from django import forms

from togai.models import Delivery, Resolution
from togai.services import LONGEST_REASON, SHORTEST_REASON

State = Delivery.State


class FilterForm(forms.Form):
    """The filters of the list as read from the address; only known values pass."""

    state = forms.ChoiceField(required=False, choices=[("", "Every state"), *State.choices])
    kind = forms.ChoiceField(required=False, choices=[("", "Every kind"), *Delivery.Kind.choices])


class Why(forms.Form):
    """Asks for a reason that others will read."""

    reason = forms.CharField(
        label="Why?",
        min_length=SHORTEST_REASON,
        max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=f"At least {SHORTEST_REASON} characters. It stays on record.",
    )


class OwnPasswordForm(forms.Form):
    """Asks who is sitting there: a session left open must neither stop nor start what is sent."""

    why_asked = "Asked again, because this concerns everything that is sent."

    password = forms.CharField(
        label="Your password",
        strip=False,
        max_length=128,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, user, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.user = user
        self.fields["password"].help_text = self.why_asked

    def clean_password(self):
        if not self.user.check_password(self.cleaned_data["password"]):
            raise forms.ValidationError("This is not your password.")
        return ""


class PauseForm(Why, OwnPasswordForm):
    """Why everything stops, and the password."""

    field_order = ("reason", "password")


class SignRestoreForm(PauseForm):
    """What somebody answers for after a restore, and the password."""


class LinkForm(Why):
    """Which record at Togai it is, and how one knows."""

    remote_id = forms.CharField(
        label="Togai's id",
        max_length=Resolution._meta.get_field("remote_id").max_length,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}),
        help_text="The whole id, as Togai's own console shows it. It is read there before anything is kept.",
    )
    field_order = ("remote_id", "reason")


class AskedForm(forms.Form):
    """Which proposal a second administrator has read: the one that is confirmed or dropped."""

    resolution = forms.IntegerField(widget=forms.HiddenInput, min_value=1, max_value=2**63 - 1)
