"""
The living style guide: every component of the look with invented data. Wired at /design/ while DEBUG is on.
"""

from datetime import UTC, datetime

from django import forms
from django.contrib import messages
from django.shortcuts import render
from django.views.decorators.http import require_safe

STATUSES = [
    (
        "Ours",
        [
            ("DRAFT", "Draft"),
            ("SUBMITTED", "Submitted"),
            ("APPROVED", "Approved"),
            ("DECLINED", "Declined"),
            ("CHANGES_REQUESTED", "Changes requested"),
            ("RECALLED", "Recalled"),
            ("EXPIRED", "Expired"),
            ("SENT", "Sent"),
        ],
    ),
    (
        "Togai's",
        [
            ("PROPOSAL_ACTIVE", "Proposal active"),
            ("PROPOSAL_APPROVED", "Proposal approved"),
            ("PROPOSAL_DECLINED", "Proposal declined"),
            ("PROPOSAL_EXPIRED", "Proposal expired"),
            ("PENDING", "Pending"),
            ("IN_PROGRESS", "In progress"),
            ("SUCCESS", "Success"),
            ("FAILURE", "Failure"),
            ("ON_ICE", "ON_ICE, a word we do not know"),
        ],
    ),
    (
        "Deliveries",
        [
            ("NOT_SENT", "Not sent"),
            ("HELD", "Held"),
            ("SENDING", "Sending"),
            ("UNKNOWN", "In doubt"),
            ("CONFIRMED", "Confirmed"),
            ("REJECTED", "Rejected"),
            ("NEEDS_HUMAN", "Needs a person"),
        ],
    ),
]

MONEY = {
    "currency": "EUR",
    "estimate": "41,899.73",
    "estimate_note": "12 months, expected volumes, without tax",
    "list_price": "58,863.00",
    "difference": "−16,963.27",
    "change_kind": "lower",
    "change_text": "−28.8 %",
    "togai_price": "41,899.70",
    "togai_differs": True,
}

STEPS = [
    {
        "name": "Sales manager",
        "state": "done",
        "words": "Approved by Lena Berg, 12 Nov, 14:02",
        "note": "Discount over 10 %",
    },
    {
        "name": "Finance",
        "state": "current",
        "words": "Waits for 2 hours",
        "note": "Every proposal needs Finance",
    },
    {"name": "CFO", "state": "waiting", "words": "Comes after Finance", "note": "Value over 100,000 EUR"},
]

EVENTS = [
    {
        "by": "Lena Berg",
        "title": "approved as sales manager",
        "at": datetime(2026, 11, 12, 14, 2, tzinfo=UTC),
        "kind": "good",
    },
    {
        "title": "Togai confirmed the proposal",
        "at": datetime(2026, 11, 12, 11, 41, tzinfo=UTC),
        "kind": "info",
        "text": "PROPOSAL_ACTIVE, proposal.8Qp2",
    },
    {"by": "Mia Ott", "title": "submitted revision 2", "at": datetime(2026, 11, 12, 11, 40, tzinfo=UTC)},
    {
        "by": "Omar Silva",
        "title": "asked for changes",
        "at": datetime(2026, 11, 11, 9, 5, tzinfo=UTC),
        "kind": "warn",
        "text": "Term: 24 months would need the CFO. Is 12 months possible?",
    },
    {
        "by": "Mia Ott",
        "title": "created the draft",
        "at": datetime(2026, 11, 10, 16, 20, tzinfo=UTC),
        "kind": "edit",
    },
]

WIRE = """{
  "idempotencyKey": "dev-p-000123-r2-4f6c",
  "pricePlanId": "price_plan.scale",
  "quantity": 1,
  "type": "ASSOCIATION"
}"""

TYPES = [
    {
        "value": "ENTITLEMENT_GRANT",
        "label": "Entitlement grant",
        "text": "Grants what a purchase plan holds: credits and features, now or later.",
        "icon": "grant",
    },
    {
        "value": "ASSOCIATION",
        "label": "Association",
        "text": "Puts the account on a billing plan, with prices of its own if you like.",
        "icon": "repeat",
    },
    {
        "value": "WALLET_TOPUP",
        "label": "Wallet top-up",
        "text": "Sells credit for the account's wallet.",
        "icon": "wallet",
    },
    {
        "value": "PREPAID",
        "label": "Prepaid",
        "text": "Advanced: Togai documents no rules for it.",
        "icon": "card",
    },
]


class SampleForm(forms.Form):
    """One field of each kind, bound to values that are wrong in two places."""

    account = forms.CharField(help_text="Search by name or id.")
    price_plan = forms.ChoiceField(choices=[("", "Choose a plan"), ("scale", "Scale, version 3")])
    quantity = forms.IntegerField(min_value=1)
    top_up = forms.DecimalField(label="Top-up amount", required=False)
    effective_from = forms.DateField(
        widget=forms.DateInput(attrs={"type": "date"}),
        required=False,
        help_text="After the last day of validity, because Togai starts nothing in the past.",
    )
    grace = forms.IntegerField(label="Grace period", required=False)
    reason = forms.ChoiceField(
        choices=[("PRICE", "Price too low"), ("TERM", "Term"), ("RISK", "Payment risk")],
        widget=forms.RadioSelect,
        required=False,
    )
    note = forms.CharField(label="Internal note", widget=forms.Textarea(attrs={"rows": 3}), required=False)
    renews = forms.BooleanField(
        label="Renews by itself", help_text="For the same term, at list price.", required=False
    )
    type = forms.ChoiceField(choices=[(one["value"], one["label"]) for one in TYPES])


@require_safe
def design(request):
    """Show every component; `?toast` adds one toast of each kind."""
    if "toast" in request.GET:
        messages.success(request, "P-000123 is approved.")
        messages.info(request, "Two proposals expire this week.")
        messages.warning(request, "The price at Togai differs from our estimate.")
        messages.error(request, "This proposal is declined already.")
    form = SampleForm(
        {
            "account": "Harbor Robotics",
            "quantity": "0",
            "top_up": "1250.00",
            "type": "ASSOCIATION",
            "reason": "TERM",
            "effective_from": "2026-12-01",
        }
    )
    context = {
        "statuses": STATUSES,
        "money": MONEY,
        "steps": STEPS,
        "events": EVENTS,
        "wire": WIRE,
        "types": TYPES,
        "form": form,
        "tabs": [
            {"label": "Terms", "url": "#terms", "current": True},
            {"label": "Changes", "url": "#changes", "count": 4},
            {"label": "Deliveries", "url": "#deliveries"},
            {"label": "Comments", "url": "#comments", "count": 2},
        ],
        "pager": {"previous": None, "next": "?after=P-000150", "note": "50 shown"},
        "rows": [
            ("Juniper Retail", "P-000231", "Scale", "Mia Ott", "16.1", "55,793.75", "SUBMITTED", "Submitted"),
            (
                "Cobalt Bank",
                "P-000230",
                "Enterprise",
                "Omar Silva",
                "28.9",
                "119,106.26",
                "APPROVED",
                "Approved",
            ),
            ("Harbor Foods", "P-000229", "Starter", "Lena Berg", "0.0", "8,284.38", "DRAFT", "Draft"),
            (
                "Lumen Robotics",
                "P-000228",
                "Scale",
                "Noah Ott",
                "12.5",
                "42,100.00",
                "CHANGES_REQUESTED",
                "Changes requested",
            ),
            ("Kestrel Foods", "P-000227", "Starter", "Mia Ott", "41.0", "2,926.90", "DECLINED", "Declined"),
        ],
    }
    return render(request, "design.html", context)
