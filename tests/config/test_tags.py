"""The tags and filters of every page."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from django.conf import settings
from django.template import Context, Template
from django.utils import timezone

NOON = datetime(2030, 7, 10, 12, 0, tzinfo=UTC)


def rendered(text, **context):
    with timezone.override(settings.BUSINESS_TIME_ZONE):
        return Template(text).render(Context(context))


def test_money_shows_amount_and_currency():
    """G-14"""
    html = rendered("{% money a 'EUR' css='money--big' %}", a=D("1234.5"))
    assert '<span class="money money--big">' in html
    assert ">1,234.50<" in html
    assert ">EUR<" in html


def test_money_that_is_not_known_is_not_zero():
    assert "unknown" in rendered("{% money a 'EUR' %}", a=None)
    assert "0.00" in rendered("{% money a 'EUR' %}", a=D(0))


def test_a_currency_from_outside_is_text():
    assert "<b>" not in rendered("{% money a c %}", a=D(1), c="<b>")


def test_a_status_that_we_do_not_know_shows_as_it_is():
    html = rendered("{% togai_status c %}", c="ON_ICE")
    assert ">ON_ICE<" in html
    assert "status--on_ice" in html
    assert "<script" not in rendered("{% togai_status c %}", c="<script>")
    assert rendered("{% togai_status '' %}") == ""


def test_times_are_in_the_business_zone():
    assert rendered("{% moment at %}", at=NOON) == (
        '<time datetime="2030-07-10T14:00:00+02:00">10 Jul 2030, 14:00</time>'
    )
    assert "Europe/Berlin" in rendered("{% zone %}")
    assert rendered("{{ at|day }}", at=NOON.date()) == "10 Jul 2030"


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(days=3, hours=5), "3 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(hours=23, minutes=59), "23 hours"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(seconds=59), "a moment"),
        (timedelta(seconds=-5), "a moment"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(passed, words):
    assert rendered("{{ since|age:at }}", since=NOON - passed, at=NOON) == words
