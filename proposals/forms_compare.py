"""The question of the compare page: which two sides."""

from django import forms

from proposals import reading


class SidesForm(forms.Form):
    """Two different sides of a deal: revisions, or the plan."""

    a = forms.ChoiceField(label="From", required=False)
    b = forms.ChoiceField(label="To", required=False)

    def __init__(self, query, *, revisions):
        """
        :param query: what the address says; a side that it leaves out is the usual one
        :param revisions: those of the deal, newest first
        """
        a, b = reading.usual_sides(revisions)
        super().__init__({"a": query.get("a") or a, "b": query.get("b") or b})
        for name in ("a", "b"):
            self.fields[name].choices = reading.sides_of(revisions)
            self.fields[name].error_messages["invalid_choice"] = "There is no such revision of this deal."

    def clean(self):
        cleaned = super().clean()
        if cleaned.get("a") and cleaned.get("a") == cleaned.get("b"):
            self.add_error("b", "Choose another side than the first.")
        return cleaned
