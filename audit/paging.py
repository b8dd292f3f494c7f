"""
Paging by key: page one thousand costs what page one costs (performance.md 2).

On the lowest floor because lists of every app page the same way. No COUNT, no OFFSET: a page is asked for by
the place of the row before it, and whether there is more is learned by reading one row too many.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.timezone import is_naive

PAGE_SIZE = 50


@dataclass(frozen=True)
class Page:
    """
    Some rows of a list in its order.

    :ivar next: the cursor to pass as `after` for the page that follows; None on the last
    :ivar previous: the cursor to pass as `before` for the page ahead of this; None on the first
    """

    rows: list
    next: str | None
    previous: str | None

    def links(self, query, *, note="", after="after", before="before"):
        """
        What partials/pager.html shows: addresses that keep every other parameter of `query`, a QueryDict.

        :param after: the names of the two parameters, for a page that holds two lists
        """

        def link(name, cursor):
            if cursor is None:
                return None
            parameters = query.copy()
            parameters.pop(after, None)
            parameters.pop(before, None)
            parameters[name] = cursor
            return "?" + parameters.urlencode()

        return {"previous": link(before, self.previous), "next": link(after, self.next), "note": note}


def page_of(queryset, *, after=None, before=None, size=PAGE_SIZE):
    """
    One page of an ordered queryset, in one query (a second one when the cursor leads nowhere).

    :param queryset: ordered by columns of its own table that are never NULL and together unique, e.g. "-pk"
        or ("name", "pk"); an index that starts with the filters and goes on in this order serves every page
    :param after: cursor of the page before, as `Page.next` gave it; text from an address, so anything
    :param before: cursor of the page that follows, as `Page.previous` gave it
    :returns: a `Page`; a cursor that is not one, or leads past the end, shows the first page
    """
    order = [_column(queryset.model, name) for name in queryset.query.order_by]
    place, backwards = _place(order, after), False
    if place is None:
        place = _place(order, before)
        backwards = place is not None
    if place is None:
        rows = list(queryset[: size + 1])
        return _page(rows[:size], order, more=len(rows) > size, earlier=False)
    if backwards:
        rows = list(queryset.filter(_beyond(order, place, backwards=True)).reverse()[: size + 1])
        if len(rows) < size:
            # Too few are left ahead for a page of their own.
            return page_of(queryset, size=size)
        return _page(rows[:size][::-1], order, more=True, earlier=len(rows) > size)
    rows = list(queryset.filter(_beyond(order, place, backwards=False))[: size + 1])
    if not rows:
        return page_of(queryset, size=size)
    return _page(rows[:size], order, more=len(rows) > size, earlier=True)


def _page(rows, order, *, more, earlier):
    return Page(
        rows,
        next=_cursor(order, rows[-1]) if more and rows else None,
        previous=_cursor(order, rows[0]) if earlier and rows else None,
    )


def _column(model, name):
    """A column of the order as (field, whether it falls)."""
    falls, name = name.startswith("-"), name.lstrip("-")
    return (model._meta.pk if name == "pk" else model._meta.get_field(name)), falls


def _cursor(order, row):
    values = [field.value_to_string(row) for field, _ in order]
    if len(values) == 1:
        return values[0]
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _place(order, cursor):
    """The values that a cursor names, one per column of the order; None when it is not one of ours."""
    if not cursor:
        return None
    try:
        values = [cursor] if len(order) == 1 else json.loads(base64.urlsafe_b64decode(cursor + "=="))
        if not isinstance(values, list) or len(values) != len(order):
            return None
        return [_value(field, text) for (field, _), text in zip(order, values, strict=True)]
    except (ValueError, ValidationError, binascii.Error, RecursionError):
        return None


def _value(field, text):
    # Neither a NUL nor half a character is stored anywhere, and PostgreSQL fails on them.
    if not isinstance(text, str) or "\x00" in text:
        raise ValueError("This is not a value of ours.")
    text.encode()
    value = field.to_python(text)
    if value is None or (isinstance(value, datetime) and is_naive(value)):
        raise ValueError("This is not a value of ours.")
    return value


def _beyond(order, place, *, backwards):
    """The rows that come after a place in the order; before it when `backwards`."""
    beyond, equal = Q(), Q()
    for (field, falls), value in zip(order, place, strict=True):
        side = "lt" if falls != backwards else "gt"
        beyond |= equal & Q(**{f"{field.name}__{side}": value})
        equal &= Q(**{field.name: value})
    (field, falls), value = order[0], place[0]
    # Says nothing new, but tells the planner where in the index to start.
    return beyond & Q(**{f"{field.name}__{'lte' if falls != backwards else 'gte'}": value})
