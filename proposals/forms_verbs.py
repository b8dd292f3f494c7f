"""The questions that verbs ask: a reason, and notes on single lines. The services judge the answers."""

from django import forms

from proposals.models import SHORTEST_REASON, LineNote, ReasonCode

LONGEST_REASON = 1000


class ReasonForm(forms.Form):
    """Why: a code that reports count, and words that the other side reads (G-27)."""

    reason_code = forms.ChoiceField(label="Reason", widget=forms.RadioSelect)
    reason = forms.CharField(
        label="In your words",
        min_length=SHORTEST_REASON,
        max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=f"At least {SHORTEST_REASON} characters. It stays on record.",
        error_messages={"min_length": f"Say why in at least {SHORTEST_REASON} characters."},
    )

    def __init__(self, *args, purpose, **kwargs):
        """:param purpose: which codes are offered, "for_decline", "for_changes" or "for_recall"."""
        super().__init__(*args, **kwargs)
        codes = ReasonCode.objects.filter(active=True, **{purpose: True})
        self.fields["reason_code"].choices = [(code.pk, code.label) for code in codes]

    def show(self, invalid):
        """Put the problems of a service's `Invalid` at their fields."""
        for problem in invalid.problems:
            self.add_error(problem.field if problem.field in self.fields else None, problem.message)


class ReadForm(forms.Form):
    """What the person had before their eyes: the revision and the hash of its content (R-23)."""

    # Without them the answer is the same as with wrong ones: look again (409), not a mistake in the form.
    revision = forms.CharField(required=False, widget=forms.HiddenInput)
    content_hash = forms.CharField(required=False, widget=forms.HiddenInput)


class NoForm(ReadForm, ReasonForm):
    """Decline it or give it back, with notes pinned to lines of the terms (G-26, G-27)."""

    def __init__(self, *args, lines, **kwargs):
        """:param lines: (name, label) pairs, as `summaries.labels_of_lines` gives them."""
        super().__init__(*args, **kwargs)
        self.lines = lines
        for place, (_, label) in enumerate(lines):
            self.fields[f"note_{place}"] = forms.CharField(
                label=label,
                required=False,
                max_length=LineNote._meta.get_field("text").max_length,
                widget=forms.TextInput,
            )

    def notes(self):
        """The fields of the notes, for the page."""
        return [self[f"note_{place}"] for place in range(len(self.lines))]

    def line_notes(self):
        """(line, label, text) triples as the service takes them; empty ones left out."""
        return [
            (name, label, self.cleaned_data[f"note_{place}"])
            for place, (name, label) in enumerate(self.lines)
            if self.cleaned_data[f"note_{place}"]
        ]
