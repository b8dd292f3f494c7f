"""
Money of one currency, and numbers as text.

Everything is Decimal. Sums and products are exact (a rounding that nobody asked for raises), and an amount is
rounded in one place only: `Money.rounded`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import (
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
)

# ISO 4217, the currencies whose minor unit does not have two digits. Babel's table is about cash in a wallet
# (it gives the Albanian lek no digits), invoices follow the standard.
MINOR_DIGITS = {
    **dict.fromkeys(
        ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV"], 0
    ),
    **dict.fromkeys(["XAF", "XOF", "XPF"], 0),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}

# Wide enough for any product of two numbers that `number` reads, however long a draft made them.
EXACT = Context(prec=400, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, FloatOperation])
_ROUNDING = Context(prec=400, rounding=ROUND_HALF_UP, traps=[InvalidOperation, Overflow, FloatOperation])

_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
# Nobody's price; a Decimal of a million digits is an attack on whoever prints it.
_LARGEST_EXPONENT = 40


class CurrencyMismatch(TypeError):
    """Two amounts of different currencies met in a sum or a comparison."""


def minor_digits(currency: str) -> int:
    """Digits after the point of an amount in this ISO 4217 currency (2 for one the table does not name)."""
    return MINOR_DIGITS.get(currency, 2)


def number(value: object) -> Decimal:
    """
    Read a number of the stored form (text), or of parsed JSON (int, Decimal), exactly.

    :raises ValueError: for anything else: floats, booleans, exponents in text, digits of other scripts
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) <= _LARGEST_EXPONENT:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    raise ValueError("This is not a number.")


@dataclass(frozen=True)
class Money:
    """
    An amount of one currency, in whole minor units: Money(Decimal("19.90"), "EUR").

    :raises ValueError: when the amount has more digits than the currency; use `Money.rounded` to round it
    """

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not payable(self.amount, self.currency):
            raise ValueError(f"{self.amount} has more digits than {self.currency}.")
        object.__setattr__(self, "amount", _ROUNDING.quantize(self.amount, _unit(self.currency)))

    @classmethod
    def rounded(cls, amount: Decimal, currency: str) -> "Money":
        """Round an exact amount half up (away from zero) to the minor unit. Do it once, at the end."""
        return cls(_ROUNDING.quantize(amount, _unit(currency)), currency)

    @classmethod
    def zero(cls, currency: str) -> "Money":
        """Nothing, in this currency."""
        return cls(Decimal(0), currency)

    def __add__(self, other: "Money") -> "Money":
        return Money(EXACT.add(self.amount, self._same(other)), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(EXACT.subtract(self.amount, self._same(other)), self.currency)

    def __neg__(self) -> "Money":
        return Money(EXACT.minus(self.amount), self.currency)

    def __mul__(self, times: int) -> "Money":
        return Money(EXACT.multiply(self.amount, Decimal(times)), self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.amount <= self._same(other)

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"

    def _same(self, other: object) -> Decimal:
        if not isinstance(other, Money):
            raise TypeError(f"{other!r} is not money.")
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} cannot be put together.")
        return other.amount


def payable(amount: Decimal, currency: str) -> bool:
    """Whether an amount is made of whole minor units of its currency."""
    return _ROUNDING.quantize(amount, _unit(currency)) == amount


def total(amounts: Iterable[Money], currency: str) -> Money:
    """
    Add amounts of one currency; none add up to zero.

    :raises CurrencyMismatch: when one of them is in another currency
    """
    result = Money.zero(currency)
    for amount in amounts:
        result += amount
    return result


def _unit(currency: str) -> Decimal:
    return Decimal(1).scaleb(-minor_digits(currency))
