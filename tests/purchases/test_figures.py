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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(1, 8), "12.5 %"),
        (Fraction(1, 3), "33.3 %"),
        (Fraction(1, 5), "20.0 %"),
        (Fraction(2004, 10000), "20.04 %"),
        (Fraction(1996, 10000), "19.96 %"),
        (Fraction(200001, 10**6), "20.0001 %"),
        (Fraction(20, 100) + Fraction(1, 10**12), "just over 20.0 %"),
        (Fraction(20, 100) - Fraction(1, 10**12), "just under 20.0 %"),
        (Fraction(12504, 100000), "12.504 %"),
        (Fraction(4, 10000), "0.04 %"),
        (Fraction(-1004, 10000), "−10.04 %"),
        (Fraction(9999, 10000), "99.99 %"),
        (Fraction(1), "100.0 %"),
        (Fraction(0), "0.0 %"),
        (None, None),
    ],
)
def test_a_discount_never_shows_a_limit_that_it_is_not(value, text):
    """P-26: one digit, but 20.04 is not shown as 20.0, nor 9.96 as 10.0."""
    assert figures.discount(value) == text


def test_a_change_says_which_way_and_how_much():
    assert figures.change(D("500"), D("450")) == ("lower", "−10.0 %")
    assert figures.change(D("400"), D("410")) == ("higher", "+2.5 %")
    assert figures.change(D("400"), D("400.00")) == ("same", "")
    assert figures.change(D("0"), D("5")) == ("higher", "")
    assert figures.change(None, D("5")) == ("", "")
