"""
The list of proposals: what may be filtered, all of it in the address, and the presets people start from.

Every filter has an index that goes on in the order of the list, so a page costs what it shows (performance.md
10, L1). Nothing here counts.
"""

import re
from datetime import timedelta
from urllib.parse import urlencode

from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import BadRequest
from django.db.models import Q

from accounts import search
from accounts.models import Account, Team
from audit.roles import DRAFTS, SEES_EVERYTHING, Role, has_role
from proposals.models import Proposal
from purchases.drafts import business_day
from purchases.settling import differing
from togai import statuses

Status = Proposal.Status

# Above this many matching accounts a search says "narrow it" (performance.md 2).
MOST_ACCOUNTS = 200
LONGEST_SEARCH = 200
SOON_DAYS = 7
FAILED_DAYS = 30

_NUMBER = re.compile(r"(?P<prefix>[Pp]-)?0*(?P<number>[0-9]{1,9})(\s*-?\s*[Rr][0-9]+)?")

# What a row of the list shows; the JSON of terms and the text for searching stay in the table.
_SHOWN = (
    "number",
    "revision",
    "title",
    "status",
    "type",
    "estimate",
    "estimate_per",
    "currency",
    "valid_until",
    "togai_status",
    "togai_refusal",
    "is_live",
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
    togai = forms.ChoiceField(
        label="At Togai", required=False, choices=[("", "Anything at Togai"), *statuses.LABELS.items()]
    )
    type = forms.ChoiceField(
        label="Type", required=False, choices=[("", "Every type"), *Proposal.Type.choices]
    )
    mode = forms.ChoiceField(
        label="Payment", required=False, choices=[("", "Both"), *Proposal.PaymentMode.choices]
    )
    owner = forms.ChoiceField(label="Owner", required=False)
    soon = forms.BooleanField(label=f"Valid for {SOON_DAYS} more days at most", required=False)
    refused = forms.BooleanField(label="Refused by Togai", required=False)
    differs = forms.BooleanField(label="Differs at Togai", required=False)

    def __init__(self, *args, user, **kwargs):
        super().__init__(*args, **kwargs)
        people = owners_for(user)
        self.fields["owner"].choices = [
            ("", "Everybody"),
            ("me", "Me"),
            *((str(person.pk), person.get_full_name() or person.get_username()) for person in people),
        ]
        self.sees_several = bool(people)

    def chips(self, query):
        """The filters in force as (words, address without it), for people to take away one by one."""
        chips = []
        for name, field in self.fields.items():
            value = self.cleaned_data.get(name)
            if not value:
                continue
            if isinstance(field, forms.ChoiceField):
                words = f"{field.label}: {dict(field.choices)[value]}"
            elif isinstance(field, forms.BooleanField):
                words = field.label
            else:
                words = f"“{value}”"
            rest = query.copy()
            for gone in (name, "after", "before"):
                rest.pop(gone, None)
            chips.append((words, f"?{rest.urlencode()}"))
        return chips


def owners_for(user):
    """The other people whose proposals somebody may see and filter by; a bounded list, never accounts."""
    people = get_user_model().objects.filter(is_active=True).exclude(pk=user.pk)
    people = people.only("username", "first_name", "last_name").order_by("first_name", "last_name", "pk")
    if has_role(user, *SEES_EVERYTHING):
        return list(people.filter(groups__name__in=[role.value for role in DRAFTS]).distinct()[:300])
    if has_role(user, Role.MANAGER):
        return list(people.filter(teams__in=Team.objects.filter(managers=user)).distinct()[:300])
    return []


def presets(user):
    """The saved views of a person's roles, as (words, query string)."""
    drafts = has_role(user, *DRAFTS)
    mine = has_role(user, Role.REP, Role.MANAGER)
    views = [("All", {})]
    if drafts:
        views.append(("My drafts", {"status": Status.DRAFT, "owner": "me"}))
    if mine:
        views.append(("Sent back to me", {"status": Status.CHANGES_REQUESTED, "owner": "me"}))
    views += [
        ("Waiting for finance", {"status": Status.SUBMITTED}),
        ("Expiring soon", {"soon": "on"}),
        ("Approved, unpaid", {"togai": "PENDING"}),
        ("Refused by Togai", {"refused": "on"}),
        ("Differs at Togai", {"differs": "on"}),
    ]
    return [(words, urlencode(query)) for words, query in views]


def narrowed(user, filters, *, at):
    """
    The visible proposals, newest revision of each, that pass the filters.

    :param filters: the `cleaned_data` of a `FilterForm`; a missing name filters nothing
    :returns: the queryset, newest first (what expires soon: soonest first), and whether a search met more
        accounts than are looked at
    """
    proposals = Proposal.objects.visible_to(user).live().for_listing().only(*_SHOWN)
    for name, column in (("status", "status"), ("type", "type"), ("mode", "payment_mode")):
        if filters.get(name):
            proposals = proposals.filter(**{column: filters[name]})
    if filters.get("togai"):
        proposals = proposals.filter(togai_status=filters["togai"])
    if filters.get("owner"):
        owner = user.pk if filters["owner"] == "me" else int(filters["owner"])
        proposals = proposals.filter(owner=owner)
    if filters.get("soon"):
        proposals = expiring(proposals, at=at)
    if filters.get("refused"):
        proposals = refused(proposals)
    if filters.get("differs"):
        proposals = differing(proposals)
    return _searched(proposals, filters.get("q", ""), user)


def refused(proposals):
    """Those that Togai refused and that nobody has revised yet."""
    return proposals.filter(status__in=Proposal.SENT, togai_refusal__gt="")


def failed(proposals, *, at):
    """Those approved within `FAILED_DAYS` days that failed at Togai, where nothing mends them (R-25)."""
    since = at - timedelta(days=FAILED_DAYS)
    return proposals.filter(togai_status="FAILURE", status=Status.APPROVED, decided_at__gte=since)


def expiring(proposals, *, at):
    """Those that wait for a decision and whose validity ends within `SOON_DAYS` days, the soonest first."""
    today = business_day(at)
    window = (today, today + timedelta(days=SOON_DAYS))
    return proposals.filter(status=Status.SUBMITTED, valid_until__range=window).order_by("valid_until", "pk")


def _searched(proposals, text, user):
    text = text.strip()
    if not text:
        return proposals, False
    named = _NUMBER.fullmatch(text)
    if named and named["prefix"]:
        return proposals.filter(number=int(named["number"])), False
    found = list(
        search.matching(text, Account.objects.visible_to(user)).values_list("pk", flat=True)[
            : MOST_ACCOUNTS + 1
        ]
    )
    wanted = Q(account__in=found[:MOST_ACCOUNTS])
    if named:
        wanted |= Q(number=int(named["number"]))
    return proposals.filter(wanted), len(found) > MOST_ACCOUNTS


def refuse_endless_search(query):
    """Answer 400 to a search that nobody typed (reliability.md 4.2, 51)."""
    if len(query.get("q", "")) > LONGEST_SEARCH:
        raise BadRequest("A search has at most 200 characters.")


def filters_in(query):
    """The filters of an address without the place in the list and without empty ones, as one string."""
    return urlencode(
        [(name, value) for name, value in query.items() if value and name not in ("after", "before")]
    )
