"""Amounts, counts and shares as people read them; exact, and grouped the way this office writes numbers."""

import re
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from purchases.money import minor_digits

# A hyphen breaks at the end of a line and is shorter than a plus.
MINUS = "\N{MINUS SIGN}"

# The whole part of a number with more than three digits.
_LONG = re.compile(r"(?<![0-9.,])[0-9]{4,}")


def amount(value, currency):
    """
    An amount of a currency, without its code: "41,899.73", "1,250,000" (JPY), "−12.345" (KWD).

    Never rounds: a rate or a price of Togai's with more digits than the currency shows all of them.

    :param value: Decimal or None
    :returns: None for None, which pages show as not known
    """
    if value is None:
        return None
    digits = max(minor_digits(currency), _decimals(value))
    return f"{value:,.{digits}f}".replace("-", MINUS)


def signed(value, currency):
    """As `amount`, with a plus for what is more than nothing."""
    text = amount(value, currency)
    return f"+{text}" if value is not None and value > 0 else text


def count(value):
    """A number of things: "18,000", "0.5"; None for None."""
    if value is None:
        return None
    return f"{value:,.{_decimals(Decimal(value))}f}".replace("-", MINUS)


def grouped(text):
    """A formula with its longer numbers grouped: "18000 × 0.0125" is "18,000 × 0.0125"."""
    return _LONG.sub(lambda found: f"{int(found[0]):,}", text)


def share(value, *, sign=False):
    """
    A share as a percentage with one digit, rounded half up: Fraction(1, 8) is "12.5 %".

    What is not nothing never shows as 0.0.

    :param value: Fraction, Decimal or None
    :param sign: with a plus for what is more than nothing
    """
    if value is None:
        return None
    exact = Fraction(value) * 100
    shown = (Decimal(abs(exact).numerator) / Decimal(abs(exact).denominator)).quantize(
        Decimal("0.1"), rounding=ROUND_HALF_UP
    )
    before = MINUS if exact < 0 else "+" if sign and exact > 0 else ""
    if exact and not shown:
        return f"{before}under 0.1 %"
    return f"{before}{shown:,} %"


def discount(value):
    """
    As `share`, but never as a limit that it is not: 20.04 % is not "20.0 %" (P-26).

    Limits are whole or half per cents. Where one digit would show one of them, as many follow as it takes to
    tell the two apart; beyond six of them words do.
    """
    if value is None:
        return None
    exact = abs(Fraction(value) * 100)
    shown = _rounded(exact, 1)
    if shown == exact or shown * 2 % 1:
        return share(value)
    sign = MINUS if value < 0 else ""
    for digits in range(2, 7):
        closer = _rounded(exact, digits)
        if closer != shown:
            return f"{sign}{closer:,} %"
    return f"{sign}just {'over' if exact > shown else 'under'} {shown:,} %"


def _rounded(exact, digits):
    """What is not negative, rounded half up."""
    return Decimal(int(exact * 10**digits * 2 + 1) // 2).scaleb(-digits)


def change(before, after):
    """
    How an amount moved, for partials/change.html: a kind and, where a share makes sense, its text.

    :returns: (kind, text), or ("", "") when one of them is not known
    """
    if before is None or after is None:
        return "", ""
    if before == after:
        return "same", ""
    kind = "higher" if after > before else "lower"
    return kind, share(Fraction(after - before) / Fraction(before), sign=True) if before > 0 else ""


def _decimals(value):
    """How many digits after the point a number really has."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent)
