"""The questions that the verbs of a purchase ask. What counts is decided in the services."""

from django import forms

from purchases.models import DealTemplate
from purchases.services import SHORTEST_REASON


class ReasonForm(forms.Form):
    """Why: words that the other side reads and that stay on record."""

    reason = forms.CharField(
        label="Why?",
        min_length=SHORTEST_REASON,
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=f"At least {SHORTEST_REASON} characters. It stays on record.",
        error_messages={"min_length": f"Say why in at least {SHORTEST_REASON} characters."},
    )

    def show(self, invalid):
        """Put the problems of a service's `Invalid` at their fields."""
        for problem in invalid.problems:
            self.add_error(problem.field if problem.field in self.fields else None, problem.message)


class TemplateForm(forms.ModelForm):
    """What a template is called, and whether it takes the place of one there is (G-03)."""

    replaces = forms.ModelChoiceField(
        label="Instead of",
        queryset=DealTemplate.objects.none(),
        required=False,
        empty_label="Nothing: a new template",
        help_text="The chosen one gets these terms as its next version.",
    )

    class Meta:
        model = DealTemplate
        fields = ("name", "description", "validity_days")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["replaces"].queryset = DealTemplate.objects.filter(is_latest=True).order_by("name", "pk")

    def show(self, invalid):
        """Put the problems of a service's `Invalid` at their fields."""
        for problem in invalid.problems:
            self.add_error(problem.field if problem.field in self.fields else None, problem.message)
