"""
The list of purchases: what may be filtered, all of it in the address, and the presets people start from.

Every filter has an index that goes on in the order of the list, so a page costs what it shows (performance.md
10, L1). Nothing here counts.
"""

import re
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import BadRequest
from django.db.models import Q

from accounts import search
from accounts.forms import name_of, people_seen_by
from accounts.models import Account
from audit.roles import DRAFTS, has_role
from purchases.models import Purchase
from purchases.settling import differing
from togai import statuses

Status = Purchase.Status

# Above this many matching accounts a search says "narrow it" (performance.md 2).
MOST_ACCOUNTS = 200
LONGEST_SEARCH = 200

_NUMBER = re.compile(r"(?P<prefix>[Dd]-)?0*(?P<number>[0-9]{1,9})")
# A direct purchase never is a proposal at Togai.
_STATUSES = [(code, words) for code, words in statuses.LABELS.items() if not code.startswith("PROPOSAL_")]

# What a row of the list shows; the JSON of terms stays in the table.
_SHOWN = (
    "number",
    "title",
    "status",
    "type",
    "estimate",
    "estimate_per",
    "currency",
    "togai_status",
    "togai_refusal",
    "account__togai_id",
    "account__name",
    "price_plan__name",
    "price_plan__version",
    "owner__username",
    "owner__first_name",
    "owner__last_name",
)


class FilterForm(forms.Form):
    """The filters as read from the address; only known names and values pass."""

    q = forms.CharField(label="Search", required=False, max_length=LONGEST_SEARCH)
    status = forms.ChoiceField(
        label="Status", required=False, choices=[("", "Every status"), *Status.choices]
    )
    togai = forms.ChoiceField(label="At Togai", required=False, choices=[("", "Everything"), *_STATUSES])
    type = forms.ChoiceField(
        label="Type", required=False, choices=[("", "Every type"), *Purchase.Type.choices]
    )
    owner = forms.ChoiceField(label="Owner", required=False)
    differs = forms.BooleanField(label="Differs at Togai", required=False)

    def __init__(self, *args, user, **kwargs):
        super().__init__(*args, **kwargs)
        people = people_seen_by(user)
        self.sees_several = bool(people)
        self.fields["owner"].choices = [
            ("", "Everybody"),
            ("me", "Me"),
            *((str(person.pk), name_of(person)) for person in people),
        ]

    def chips(self, query):
        """The filters in force as (words, address without it), for people to take away one by one."""
        chips = []
        for name, field in self.fields.items():
            value = self.cleaned_data.get(name)
            if not value:
                continue
            rest = query.copy()
            for gone in (name, "after", "before"):
                rest.pop(gone, None)
            if isinstance(field, forms.ChoiceField):
                words = f"{field.label}: {dict(field.choices)[value]}"
            else:
                words = field.label if value is True else f"“{value}”"
            chips.append((words, f"?{rest.urlencode()}"))
        return chips


def presets(user, query):
    """The saved views of a person's roles, for partials/tabs.html; the one that is shown is marked."""
    views = [("All", {})]
    if has_role(user, *DRAFTS):
        views.append(("My drafts", {"status": Status.DRAFT, "owner": "me"}))
    views += [
        ("Waiting for release", {"status": Status.SUBMITTED}),
        ("Released, unpaid", {"togai": "PENDING"}),
        ("Failed at Togai", {"togai": "FAILURE"}),
        ("Differs at Togai", {"differs": "on"}),
    ]
    here = {name: value for name, value in query.items() if value and name not in ("after", "before")}
    return [
        {"label": words, "url": f"?{urlencode(filters)}", "current": filters == here}
        for words, filters in views
    ]


def narrowed(user, filters):
    """
    The visible purchases that pass the filters, newest first.

    :param filters: the `cleaned_data` of a `FilterForm`; a missing name filters nothing
    :returns: the queryset, and whether a search met more accounts than are looked at
    """
    purchases = Purchase.objects.visible_to(user).for_listing().only(*_SHOWN)
    for name, column in (("status", "status"), ("type", "type"), ("togai", "togai_status")):
        if filters.get(name):
            purchases = purchases.filter(**{column: filters[name]})
    if filters.get("owner"):
        purchases = purchases.filter(owner=user.pk if filters["owner"] == "me" else int(filters["owner"]))
    if filters.get("differs"):
        purchases = differing(purchases)
    return _searched(purchases, filters.get("q", ""), user)


def _searched(purchases, text, user):
    text = text.strip()
    if not text:
        return purchases, False
    named = _NUMBER.fullmatch(text)
    if named and named["prefix"]:
        return purchases.filter(number=int(named["number"])), False
    accounts = search.matching(text, Account.objects.visible_to(user))
    found = list(accounts.values_list("pk", flat=True)[: MOST_ACCOUNTS + 1])
    wanted = Q(account__in=found[:MOST_ACCOUNTS])
    if named:
        wanted |= Q(number=int(named["number"]))
    return purchases.filter(wanted), len(found) > MOST_ACCOUNTS


def refuse_endless_search(query):
    """Answer 400 to a search that nobody typed (reliability.md 4.2, 51)."""
    if len(query.get("q", "")) > LONGEST_SEARCH:
        raise BadRequest(f"A search has at most {LONGEST_SEARCH} characters.")
