"""What the admin templates need to dress stock admin: names in cells, only the scripts that a page uses."""

import re

from django import template
from django.utils.html import conditional_escape, escape
from django.utils.safestring import mark_safe

register = template.Library()

# Each is big, or waits for something that a page without forms does not have.
FOR_FORMS = ("vendor/", "jquery.init", "RelatedObjectLookups", "admin/js/core")
FOR_SLUGS = ("vendor/xregexp", "urlify", "prepopulate")

CELL = re.compile(r"^<(td|th)\b")
YES_NO = re.compile(r'<img src="[^"]*/icon-(yes|no|unknown)[^"]*\.svg" alt="[^"]*">')
WORDS = {"yes": "Yes", "no": "No", "unknown": "Not known"}


@register.filter
def labelled(cells, headers):
    """
    The cells of one row of an admin list, each with its column's name: on a phone the row is a card.

    Django's yes and no pictures become ours, which cost no request.
    """
    for cell, header in zip(cells, headers, strict=False):
        name = "" if "action-checkbox" in header.get("class_attrib", "") else str(header["text"])
        html = conditional_escape(cell)
        if name:
            label = escape(name[:1].upper() + name[1:])
            html = CELL.sub(lambda tag, label=label: f'{tag[0]} data-label="{label}"', html)
        yield drawn(mark_safe(html))


@register.filter
def drawn(html):
    """HTML of stock admin with its yes and no pictures replaced by ours; text that is not HTML is escaped."""
    return mark_safe(YES_NO.sub(_mark, conditional_escape(html)))


def _mark(found):
    kind = found.group(1)
    return f'<span class="yesno yesno--{kind}"><span class="visually-hidden">{WORDS[kind]}</span></span>'


@register.filter
def list_scripts(media, changelist):
    """The scripts of an admin list. Without editable cells or a pop-up it needs no jQuery: 80 kB less."""
    needed = changelist.formset or changelist.is_popup
    return [
        one for one in media.render_js() if needed or not any(part in one for part in FOR_FORMS + FOR_SLUGS)
    ]


@register.simple_tag
def form_scripts(media, form, formsets):
    """The scripts of an admin form. Only fields that fill themselves from others need the 50 kB for slugs."""
    slugs = any(getattr(one, "prepopulated_fields", None) for one in [form, *(formsets or [])])
    return [one for one in media.render_js() if slugs or not any(part in one for part in FOR_SLUGS)]


@register.filter
def spaced(word):
    """A word of the record as people write it: "hand_over" is "hand over"."""
    return str(word).replace("_", " ")
