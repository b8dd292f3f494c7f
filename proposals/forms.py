"""What people type into proposals."""

from django import forms

from proposals.models import Proposal
from purchases import terms as domain
from purchases.forms import DealForm


class ProposalForm(DealForm):
    """The draft of a proposal: a deal that the customer pays before or after, and has to accept in time."""

    payment_mode = forms.ChoiceField(
        label="Payment",
        required=False,
        choices=[("", "Not said yet"), *Proposal.PaymentMode.choices],
    )

    payment_options = (
        {
            "value": Proposal.PaymentMode.PREPAID,
            "label": "Prepaid",
            "text": "Togai raises an order; it takes effect once that is paid.",
        },
        {
            "value": Proposal.PaymentMode.POSTPAID,
            "label": "Postpaid",
            "text": "It takes effect on approval and is invoiced later.",
        },
    )

    def _initial(self):
        return super()._initial() | {"payment_mode": self.deal.payment_mode}

    def values(self):
        values = super().values()
        if "payment_mode" in self.cleaned_data:
            values["payment_mode"] = self.cleaned_data["payment_mode"]
        return values

    @property
    def validity_help(self):
        last = domain.default_validity(self.today)
        return (
            "The last day on which the customer may accept, to its end in the business time zone. Left empty:"
            f" {domain.DEFAULT_VALIDITY_DAYS} days from the day you submit; today, until {last:%-d %b %Y}."
        )

    @property
    def start_help(self):
        return (
            "After the last day of the validity: until then the customer may still accept, and Togai starts"
            " no contract that nobody has accepted yet."
        )
