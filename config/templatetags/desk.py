"""
Tags and filters that every template may use without loading them: money, counts, times, states, people.

Amounts arrive as Decimals and leave as text; what is not known says so and is never 0.
"""

from datetime import timedelta
from uuid import uuid4

from django import template
from django.conf import settings
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from purchases import figures
from togai import statuses

register = template.Library()

UNKNOWN = mark_safe('<span class="unknown">unknown</span>')


@register.simple_tag
def money(amount, currency, css=""):
    """`{% money row.estimate row.currency css="money--strong" %}`: a Decimal with its currency beside it."""
    if amount is None or amount == "":
        return UNKNOWN
    return format_html(
        '<span class="money{}"><span class="money__amount">{}</span>'
        ' <span class="money__currency">{}</span></span>',
        f" {css}" if css else "",
        figures.amount(amount, currency),
        currency,
    )


@register.filter
def amount(value, currency):
    """`{{ price|amount:"EUR" }}`: the figure alone, for partials that place the currency themselves."""
    return figures.amount(value, currency)


@register.filter
def signed(value, currency):
    """`{{ difference|signed:"EUR" }}`: with its sign."""
    return figures.signed(value, currency)


@register.filter
def count(value):
    """`{{ units|count }}`: grouped, with the digits it has."""
    return "" if value is None else figures.count(value)


@register.filter
def share(value):
    """`{{ discount|share }}`: 0.125 as "12.5 %"."""
    return UNKNOWN if value is None else figures.share(value)


@register.simple_tag
def form_token():
    """`{% form_token %}`: what tells two presses of one form from two forms; for an input of that name."""
    return uuid4()


@register.simple_tag
def status(deal):
    """`{% status proposal %}`: the pill of our own status."""
    return format_html(
        '<span class="status status--{}">{}</span>', deal.status.lower(), deal.get_status_display()
    )


@register.simple_tag
def togai_status(code, none=""):
    """`{% togai_status row.togai_status %}`: the pill of Togai's status; `none` where Togai said nothing."""
    if not code:
        return format_html('<span class="unknown">{}</span>', none) if none else ""
    return format_html(
        '<span class="status status--{}" title="{} at Togai">{}</span>',
        code.lower(),
        code,
        statuses.label(code),
    )


@register.simple_tag
def delivery_state(delivery):
    """`{% delivery_state delivery %}`: the pill of how far a delivery is."""
    return format_html(
        '<span class="status status--{}">{}</span>', delivery.state.lower(), delivery.get_state_display()
    )


@register.simple_tag
def moment(at, none="—"):
    """`{% moment proposal.submitted_at %}`: a date and time in the business zone; name the zone once."""
    if at is None:
        return none
    local = timezone.localtime(at)
    return format_html(
        '<time datetime="{}">{}</time>', local.isoformat(), formats.date_format(local, "DATETIME_FORMAT")
    )


@register.filter
def day(value, none="—"):
    """`{{ proposal.valid_until|day }}`: "10 Jan 2030"."""
    return none if value is None else formats.date_format(value, "DATE_FORMAT")


@register.filter
def age(since, at):
    """`{{ proposal.submitted_at|age:at }}`: how long ago in its largest unit, "3 days"; `at` is passed in."""
    if since is None or at is None:
        return ""
    passed = max(at - since, timedelta())
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        whole = passed // length
        if whole:
            return f"{whole} {unit}{'' if whole == 1 else 's'}"
    minutes = passed // timedelta(minutes=1)
    return f"{minutes} minute{'' if minutes == 1 else 's'}" if minutes else "a moment"


@register.simple_tag
def zone():
    """`{% zone %}`: the zone in which all times of a page are, said once."""
    return f"Times in {str(settings.BUSINESS_TIME_ZONE).replace('_', ' ')}"


@register.filter
def who(person):
    """`{{ proposal.owner|who }}`: a person's name, or the sign-in name where none is known."""
    if person is None:
        return ""
    return person.get_full_name() or person.get_username()
