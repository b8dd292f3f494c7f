"""Money knows its currency and rounds once."""

import ast
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import purchases
from purchases.money import CurrencyMismatch, Money, minor_digits, number, payable, total

D = Decimal
MONEY_PATH = [
    "money.py",
    "cards.py",
    "override_rules.py",
    "overrides.py",
    "terms.py",
    *(f"pricing/{name}" for name in ("__init__.py", "slabs.py", "lines.py", "estimates.py", "comparison.py")),
    *(
        f"pricing/{name}"
        for name in ("rhythms.py", "invoices.py", "stretches.py", "walks.py", "standings.py")
    ),
    "pricing/curves.py",
    "charts.py",
    "crosscheck.py",
    "views/calculator.py",
    "money_diff.py",
    "plan_moves.py",
    "volumes.py",
    "workings.py",
    "fresh.py",
    "../proposals/offer_prices.py",
]


@pytest.mark.parametrize(
    ("currency", "digits"),
    [("JPY", 0), ("ISK", 0), ("EUR", 2), ("HUF", 2), ("KWD", 3), ("IQD", 3), ("CLF", 4)],
)
def test_a_currency_has_the_digits_of_the_standard(currency, digits):
    assert minor_digits(currency) == digits


@pytest.mark.parametrize(
    ("exact", "currency", "rounded"),
    [
        ("0.004999999999", "EUR", "0.00"),
        ("0.005", "EUR", "0.01"),
        ("-0.005", "EUR", "-0.01"),
        ("2.675", "EUR", "2.68"),
        ("0.5", "JPY", "1"),
        ("1.4999", "JPY", "1"),
        ("2.5", "JPY", "3"),
        ("1.0005", "KWD", "1.001"),
        ("0.001", "EUR", "0.00"),
        ("1000000000000000000000000000000.005", "EUR", "1000000000000000000000000000000.01"),
    ],
)
def test_amounts_round_half_up_to_the_minor_unit(exact, currency, rounded):
    """G-14: 0, 2 and 3 digits; half goes away from zero, so that swapping two sides negates."""
    assert str(Money.rounded(D(exact), currency)) == f"{rounded} {currency}"


def test_money_of_two_currencies_is_never_put_together():
    """G-13: Money + Money of another currency raises."""
    euro, dollar = Money(D(1), "EUR"), Money(D(1), "USD")
    for together in (
        lambda: euro + dollar,
        lambda: euro - dollar,
        lambda: euro < dollar,
        lambda: euro <= dollar,
        lambda: total([euro, dollar], "EUR"),
    ):
        with pytest.raises(CurrencyMismatch):
            together()
    with pytest.raises(TypeError):
        euro + D(1)
    assert euro != dollar


def test_money_is_made_of_whole_minor_units():
    """G-14: nothing is rounded silently on the way in."""
    with pytest.raises(ValueError, match="more digits"):
        Money(D("0.005"), "EUR")
    with pytest.raises(ValueError, match="more digits"):
        Money(D("0.5"), "JPY")
    assert Money(D("5"), "EUR") == Money(D("5.00"), "EUR")
    assert payable(D("0.50"), "EUR")
    assert not payable(D("0.505"), "EUR")


@given(st.lists(st.integers(-(10**20), 10**20)), st.integers(0, 1000))
def test_sums_are_exact(cents, times):
    amounts = [Money(D(amount).scaleb(-2), "EUR") for amount in cents]
    assert total(amounts, "EUR").amount * 100 == sum(cents)
    assert (total(amounts, "EUR") * times).amount * 100 == sum(cents) * times
    assert total(amounts, "EUR") - total(amounts, "EUR") == Money.zero("EUR") == -Money.zero("EUR")


@pytest.mark.parametrize(
    "value", [1.5, True, None, "1e3", " 5 ", "٣", "0x10", "1_000", "", "NaN", D("NaN"), D("1E+99")]
)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="not a number"):
        number(value)


@pytest.mark.parametrize("value", ["5", 5, D("5"), "5.00", "05"])
def test_a_number_is_read_from_text_and_from_json(value):
    assert number(value) == 5


def test_no_float_is_in_the_money_path():
    """G-14: no float, no division that could round, no rounding but the one in Money."""
    found = []
    for name in MONEY_PATH:
        tree = ast.parse((Path(purchases.__file__).parent / name).read_text(), name)
        found += [f"{name}:{node.lineno}" for node in ast.walk(tree) if is_inexact(node, name)]
    assert found == []


def test_the_money_path_is_all_of_it():
    root = Path(purchases.__file__).parent
    assert {str(path.relative_to(root)) for path in root.glob("pricing/*.py")} <= set(MONEY_PATH)


def is_inexact(node, name):
    match node:
        case ast.Constant(value=float()) | ast.Name(id="float" | "round"):
            return True
        # Shares of money are exact fractions; that one file divides them.
        case ast.BinOp(op=ast.Div()) if name != "pricing/comparison.py":
            return True
        case ast.Attribute(attr="quantize") if name != "money.py":
            return True
        case ast.Import(names=names):
            return any(alias.name in ("math", "statistics") for alias in names)
        case ast.ImportFrom(module="math" | "statistics"):
            return True
    return False


@pytest.mark.parametrize("line", ["x = 0.1", "x = float(y)", "x = round(y, 2)", "x = a / b", "import math"])
def test_the_search_for_floats_finds_them(line):
    assert any(is_inexact(node, "pricing/lines.py") for node in ast.walk(ast.parse(line)))
