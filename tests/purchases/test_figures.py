"""Amounts, counts and shares as people read them."""

from decimal import Decimal as D
from fractions import Fraction

import pytest

from purchases import figures


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [
        (D("41899.730"), "EUR", "41,899.73"),
        (D("0"), "EUR", "0.00"),
        (D("1250000.000"), "JPY", "1,250,000"),
        (D("-12.345"), "KWD", "−12.345"),
        (D("-0.5"), "USD", "−0.50"),
        (D("1E+3"), "EUR", "1,000.00"),
        (D("0.000000000001"), "EUR", "0.000000000001"),
        (D("19.999"), "EUR", "19.999"),
        (D("1.5"), "JPY", "1.5"),
        (None, "EUR", None),
    ],
)
def test_an_amount_shows_its_currency_s_digits_and_never_fewer_than_it_has(value, currency, text):
    """G-14: 0, 2 and 3 digits; a unit rate keeps up to 12 decimals."""
    assert figures.amount(value, currency) == text


def test_a_difference_shows_its_sign():
    assert figures.signed(D("12"), "EUR") == "+12.00"
    assert figures.signed(D("-12"), "EUR") == "−12.00"
    assert figures.signed(D("0"), "EUR") == "0.00"
    assert figures.signed(None, "EUR") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(D("18000"), "18,000"), (D("0.50"), "0.5"), (3, "3"), (D("1E+3"), "1,000"), (None, None)],
)
def test_a_count_shows_the_digits_it_has(value, text):
    assert figures.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(1, 8), "12.5 %"),
        (Fraction(-1, 10), "−10.0 %"),
        (Fraction(1, 1), "100.0 %"),
        (Fraction(12345, 100), "12,345.0 %"),
        (Fraction(5, 10000), "0.1 %"),
        (Fraction(4, 10000), "under 0.1 %"),
        (Fraction(-1, 10**6), "−under 0.1 %"),
        (D(0), "0.0 %"),
        (None, None),
    ],
)
def test_a_share_never_hides_in_its_rounding(value, text):
    assert figures.share(value) == text


def test_a_change_says_which_way_and_how_much():
    assert figures.change(D("500"), D("450")) == ("lower", "−10.0 %")
    assert figures.change(D("400"), D("410")) == ("higher", "+2.5 %")
    assert figures.change(D("400"), D("400.00")) == ("same", "")
    assert figures.change(D("0"), D("5")) == ("higher", "")
    assert figures.change(None, D("5")) == ("", "")
