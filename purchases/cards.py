"""
What a plan's details are made of: the nine kinds of togai.md 4.2 and 4.3 as plain data.

A *shape* says what may stand in a place. Overrides are keyed by these shapes, checked against them, and the
editor can be drawn from them. `shape_problems` judges each value by itself; `structure_problems` judges how
the values of one card fit together (slabs, rates, windows).
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from purchases.money import number
from togai.strict_json import MAX_INTEGER, SIGNIFICANT_DIGITS, plain, significant_digits

MAX_DECIMALS = 12
MAX_CARDS = 50
MAX_SLABS = 10
INT32 = 2**31 - 1

INTERVALS = ("WEEKLY", "MONTHLY", "QUARTERLY", "HALF_YEARLY", "ANNUALLY")
MONTHS_OF_CYCLE = {"MONTHLY": 1, "QUARTERLY": 3, "HALF_YEARLY": 6, "ANNUALLY": 12}
# One of them and many, in words.
CYCLES = {
    "WEEKLY": ("week", "weeks"),
    "MONTHLY": ("month", "months"),
    "QUARTERLY": ("quarter", "quarters"),
    "HALF_YEARLY": ("half-year", "half-years"),
    "ANNUALLY": ("year", "years"),
}

Path = tuple[str, ...]
Json = Any  # values of the stored form: str, int, bool, list, dict


class Fault(NamedTuple):
    """Something wrong at one place of a card or an override; the message is read by a rep."""

    path: Path
    message: str


@dataclass(frozen=True)
class Number:
    """A decimal, kept as text."""

    at_least: Decimal | None = None


@dataclass(frozen=True)
class Whole:
    """An integer, kept as one."""

    at_least: int = 0
    at_most: int = MAX_INTEGER


@dataclass(frozen=True)
class Text:
    """A text of `at_least` to `at_most` characters."""

    at_most: int
    at_least: int = 1


@dataclass(frozen=True)
class Flag:
    """True or false."""


@dataclass(frozen=True)
class Choice:
    """One of a few words of the vendor's."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Currency:
    """Three capital letters."""


@dataclass(frozen=True)
class Duration:
    """An ISO 8601 duration, such as P30D."""


@dataclass(frozen=True)
class Settings:
    """One of the vendor's maps of text to text: the keys it documents, all of them numbers."""

    keys: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """An object: its fields and which of them must be there."""

    fields: Mapping[str, "Shape"]
    required: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """A list whose entries have a name: the value of `key`, or their position where key is empty."""

    key: str
    row: Group
    at_least: int = 1

    @property
    def numbered(self) -> bool:
        """Whether the names are numbers, so that the list has an order of its own."""
        return self.key in ("", "order")


@dataclass(frozen=True)
class Several:
    """A list without names, replaced as a whole."""

    of: "Shape"
    at_least: int = 0
    unique: bool = False


Shape = Number | Whole | Text | Flag | Choice | Currency | Duration | Settings | Group | Rows | Several

_ID = Text(50)
_RATE = Number()
_COUNT = Number(at_least=Decimal(0))
_LIMITS = Settings(("minimumRate", "maximumRate"))
_PACKAGE = Settings(("packageSize",))
_PRICE_TYPE = Choice(("FLAT", "PER_UNIT", "PACKAGE"))
_MODEL = Choice(("TIERED", "VOLUME"))
_ADVANCE_OR_ARREARS = Choice(("IN_ADVANCE", "IN_ARREARS"))
_ANY_TIMING = Choice(("IN_ADVANCE", "IN_ARREARS", "PREPAID"))
_ONCE_OR_AGAIN = Choice(("ONE_TIME", "RECURRING"))
_RECURRENCE = Group({"interval": Whole(1, INT32), "offset": Whole(0, INT32)})
_NAMES: dict[str, Shape] = {"displayName": Text(255, 0), "name": Text(50), "tag": Text(50, 0)}

_FLAT_RATES = Rows(
    "currency", Group({"currency": Currency(), "rate": _RATE}, required=("currency", "rate")), at_least=1
)
_SLAB_RATES = Rows(
    "order",
    Group(
        {"order": Whole(1, MAX_SLABS), "rate": _RATE, "slabRateConfig": _LIMITS}, required=("order", "rate")
    ),
)
_RATE_VALUES = Rows(
    "currency",
    Group(
        {"currency": Currency(), "slabRates": _SLAB_RATES, "rateConfig": _LIMITS},
        required=("currency", "slabRates"),
    ),
)
_RATE_PLAN = Group(
    {
        "pricingModel": _MODEL,
        "slabs": Rows(
            "order",
            Group(
                {
                    "order": Whole(1, MAX_SLABS),
                    "startAfter": _COUNT,
                    "priceType": _PRICE_TYPE,
                    "slabConfig": _PACKAGE,
                },
                required=("order", "startAfter", "priceType"),
            ),
        ),
    },
    required=("pricingModel", "slabs"),
)
_SLAB_DETAILS = Rows(
    "",
    Group(
        {
            "startAfter": _COUNT,
            "priceType": _PRICE_TYPE,
            "rate": _RATE,
            "slabConfig": _PACKAGE,
            "slabRateConfig": _LIMITS,
        },
        required=("startAfter", "priceType", "rate"),
    ),
)

CARDS: dict[str, Rows] = {
    "fixedFeeRateCards": Rows(
        "id",
        Group(
            {
                "id": _ID,
                **_NAMES,
                "rateValues": _FLAT_RATES,
                "enableProration": Flag(),
                "invoiceTiming": _ADVANCE_OR_ARREARS,
                "type": _ONCE_OR_AGAIN,
                "recurrenceConfig": _RECURRENCE,
            },
            required=("id", "rateValues", "enableProration"),
        ),
    ),
    "billingEntitlementRateCards": Rows(
        "featureId",
        Group(
            {
                "featureId": _ID,
                **_NAMES,
                "featureConfigs": Several(
                    Group(
                        {
                            "featureCreditLimit": _COUNT,
                            "effectiveUntil": Duration(),
                            "effectiveFrom": Duration(),
                        },
                        required=("featureCreditLimit", "effectiveUntil"),
                    ),
                    at_least=1,
                ),
                "invoiceTiming": _ANY_TIMING,
                "ratePlan": _RATE_PLAN,
                "rateValues": _RATE_VALUES,
                "recurrenceConfig": _RECURRENCE,
            },
            required=("featureId", "featureConfigs", "invoiceTiming", "ratePlan", "rateValues"),
        ),
    ),
    "creditGrantRateCards": Rows(
        "id",
        Group(
            {
                "id": _ID,
                **_NAMES,
                "grantDetails": Group(
                    {
                        "priority": Whole(at_most=INT32),
                        "expiryType": Choice(("PRICING_CYCLE", "NO_EXPIRY", "CUSTOM")),
                        "expiryDuration": Duration(),
                        "applicableEntityIds": Several(_ID, unique=True),
                    },
                    required=("priority", "expiryType"),
                ),
                "rateDetails": Group(
                    {
                        "pricingModel": _MODEL,
                        "currencySlabRateDetails": Rows(
                            "currency",
                            Group(
                                {
                                    "currency": Currency(),
                                    "creditAmount": _COUNT,
                                    "slabDetails": _SLAB_DETAILS,
                                    "rateConfig": _LIMITS,
                                },
                                required=("currency", "creditAmount", "slabDetails"),
                            ),
                        ),
                    },
                    required=("pricingModel", "currencySlabRateDetails"),
                ),
                "invoiceTiming": _ANY_TIMING,
                "type": _ONCE_OR_AGAIN,
                "recurrenceConfig": _RECURRENCE,
            },
            required=("id", "grantDetails", "rateDetails"),
        ),
    ),
    "usageRateCards": Rows(
        "usageMeterId",
        Group(
            {"usageMeterId": _ID, **_NAMES, "ratePlan": _RATE_PLAN, "rateValues": _RATE_VALUES},
            required=("usageMeterId", "ratePlan", "rateValues"),
        ),
    ),
    "licenseRateCards": Rows(
        "id",
        Group(
            {
                "id": _ID,
                **_NAMES,
                "ratePlan": _RATE_PLAN,
                "rateValues": _RATE_VALUES,
                "enableProration": Flag(),
                "type": Choice(("LICENSE", "FIXED_FEE", "CREDIT_GRANT", "NAMED_LICENSE")),
                "invoiceTiming": _ADVANCE_OR_ARREARS,
                "usageCycle": Choice(INTERVALS),
                "config": Group({"maxQuantity": Whole(), "maxQuantityBreachAction": Choice(("DO_NOTHING",))}),
                "proratedRefundMode": Choice(("NONE", "CREDITS", "PAYMENT", "WALLET")),
            },
            required=("id", "enableProration", "ratePlan", "rateValues"),
        ),
    ),
    "entitlementOverageRateCards": Rows(
        "featureId",
        Group(
            {
                "featureId": _ID,
                **_NAMES,
                "ratePlan": _RATE_PLAN,
                "rateValues": _RATE_VALUES,
                "maxQuantity": _COUNT,
                "billingConfig": Group({"interval": Whole(1, INT32), "startOffset": Whole(0, INT32)}),
            },
            required=("featureId", "ratePlan", "rateValues"),
        ),
    ),
}

DETAILS = Group(
    {
        **CARDS,
        "minimumCommitment": Group(
            {"displayName": Text(255), "rateValues": _FLAT_RATES}, required=("displayName", "rateValues")
        ),
        "pricingCycleConfig": Group(
            {
                "interval": Choice(INTERVALS),
                "gracePeriod": Whole(at_most=INT32),
                "startOffset": Group(
                    {"dayOffset": Text(4), "monthOffset": Text(5)}, required=("dayOffset", "monthOffset")
                ),
                "anniversaryCycle": Flag(),
            },
            required=("interval", "gracePeriod"),
        ),
        "supportedCurrencies": Several(Currency(), at_least=1, unique=True),
    }
)

# How people call the kinds.
KIND_NAMES = {
    "fixedFeeRateCards": "Fixed fees",
    "billingEntitlementRateCards": "Entitlements",
    "creditGrantRateCards": "Credit grants",
    "usageRateCards": "Usage",
    "licenseRateCards": "Licenses",
    "entitlementOverageRateCards": "Overage",
    "minimumCommitment": "Minimum commitment",
    "pricingCycleConfig": "Billing cycle",
    "supportedCurrencies": "Currencies",
}

# What bills by expected volume. The volume of an overage card counts units beyond the allowance.
METERED = ("usageRateCards", "licenseRateCards", "entitlementOverageRateCards")

_CURRENCY = re.compile(r"[A-Z]{3}")
_ROW_NUMBER = re.compile(r"[1-9][0-9]{0,2}")
_DURATION = re.compile(
    r"P(?=[0-9T])(?:(?P<weeks>[0-9]{1,6})W"
    r"|(?:(?P<years>[0-9]{1,6})Y)?(?:(?P<months>[0-9]{1,6})M)?(?:(?P<days>[0-9]{1,6})D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]{1,6})H)?(?:(?P<minutes>[0-9]{1,6})M)?"
    r"(?:(?P<seconds>[0-9]{1,6})(?:\.[0-9]{1,6})?S)?)?)"
)


@dataclass(frozen=True)
class Span:
    """How long a duration can be, in seconds: a month has 28 to 31 days."""

    shortest: int
    longest: int


def span(text: str) -> Span:
    """
    Read an ISO 8601 duration.

    :raises ValueError: when it is not one ("20 days", "P", "P1M2W", "PT")
    """
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError("Write a duration as ISO 8601 does, such as P30D for 30 days or P1M for a month.")
    part = {name: int(value or 0) for name, value in found.groupdict().items()}
    months = 12 * part["years"] + part["months"]
    seconds = 3600 * part["hours"] + 60 * part["minutes"] + part["seconds"]
    days = 7 * part["weeks"] + part["days"]
    return Span(86400 * (28 * months + days) + seconds, 86400 * (31 * months + days) + seconds)


def shape_problems(shape: Shape, value: Json, path: Path = (), *, patch: bool = False) -> Iterator[Fault]:
    """
    Judge each value by itself, in the keyed form of overrides.

    :param patch: the value holds only what differs: nothing is required, and None means "removed"
    """
    match shape:
        case Group():
            yield from _group_problems(shape, value, path, patch=patch)
        case Rows():
            yield from _rows_problems(shape, value, path, patch=patch)
        case Several():
            yield from _several_problems(shape, value, path)
        case Settings():
            yield from _settings_problems(shape, value, path, patch=patch)
        case _:
            message = _leaf_problem(shape, value)
            if message:
                yield Fault(path, message)


def _group_problems(shape: Group, value: Json, path: Path, *, patch: bool) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield Fault(path, "This must be a group of fields.")
        return
    for name, inner in value.items():
        if name not in shape.fields:
            yield Fault((*path, str(name)), "Togai knows no such field here.")
        elif not (patch and inner is None):
            yield from shape_problems(shape.fields[name], inner, (*path, name), patch=patch)
    if not patch:
        for name in shape.required:
            if name not in value:
                yield Fault((*path, name), "This is needed.")


def _rows_problems(shape: Rows, value: Json, path: Path, *, patch: bool) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield Fault(path, "This must be a table of rows by their name.")
        return
    if not patch and len(value) < shape.at_least:
        yield Fault(path, "A price is needed." if shape.key == "currency" else "At least one row is needed.")
    # The name of a row is its place in the table, not one of its cells.
    row = Group(shape.row.fields, tuple(name for name in shape.row.required if name != shape.key))
    for name, inner in value.items():
        here = (*path, str(name))
        if patch and inner is None:
            continue
        given = inner.get(shape.key, name) if isinstance(inner, Mapping) else name
        if str(given) != name and not str(name).startswith(f"{given}#"):
            yield Fault(here, f"The row stands under {name}, but says {given}.")
        elif not patch and str(given) != name:
            yield Fault(here, f"{given} is there twice.")
        elif shape.numbered:
            if not _ROW_NUMBER.fullmatch(str(given)):
                yield Fault(here, "Number the rows 1, 2, 3 and so on.")
        else:
            message = _leaf_problem(shape.row.fields[shape.key], given)
            if message:
                yield Fault(here, message)
        yield from shape_problems(row, inner, here, patch=patch)


def _several_problems(shape: Several, value: Json, path: Path) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield Fault(path, "This must be a list.")
        return
    if len(value) < shape.at_least:
        yield Fault(path, "At least one is needed.")
    for position, inner in enumerate(value, start=1):
        yield from shape_problems(shape.of, inner, (*path, str(position)))
        if shape.unique and inner in value[: position - 1]:
            yield Fault((*path, str(position)), f"{inner} is there twice.")


def _settings_problems(shape: Settings, value: Json, path: Path, *, patch: bool) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield Fault(path, "This must be a group of fields.")
        return
    for name, inner in value.items():
        if patch and inner is None:
            continue
        message = (
            _number_problem(_RATE, inner) if name in shape.keys else "Togai documents no such setting here."
        )
        if message:
            yield Fault((*path, str(name)), message)


def _leaf_problem(shape: Shape, value: Json) -> str:
    match shape:
        case Number():
            return _number_problem(shape, value)
        case Whole():
            if not isinstance(value, int) or isinstance(value, bool):
                return "Enter a whole number."
            if not shape.at_least <= value <= shape.at_most:
                return f"Enter a whole number from {shape.at_least} to {shape.at_most}."
        case Text():
            if not isinstance(value, str) or len(value.strip()) < shape.at_least:
                return "Enter a text."
            if len(value) > shape.at_most:
                return f"At most {shape.at_most} characters."
            if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in value):
                return "Line breaks and control characters cannot be sent."
        case Flag():
            if not isinstance(value, bool):
                return "Choose yes or no."
        case Choice():
            if value not in shape.values:
                return f"Choose one of {', '.join(shape.values)}."
        case Currency():
            if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
                return "A currency is three capital letters, such as EUR."
        case Duration():
            try:
                span(value if isinstance(value, str) else "")
            except ValueError as refusal:
                return str(refusal)
        case _:
            raise AssertionError(shape)
    return ""


def _number_problem(shape: Number, value: Json) -> str:
    if not isinstance(value, str):
        return "Enter a number."
    return number_problem(value) or (
        f"Enter {shape.at_least} or more."
        if shape.at_least is not None and number(value) < shape.at_least
        else ""
    )


def number_problem(value: object, *, decimals: int = MAX_DECIMALS) -> str:
    """
    Say why Togai would not read this number exactly, or "" when it would.

    :param decimals: how many digits may stand after the point
    """
    try:
        read = number(value)
    except ValueError:
        return "Enter a number, such as 1250 or 0.05."
    if len(plain(read).partition(".")[2]) > decimals:
        return f"At most {decimals} digits after the point."
    if significant_digits(read) > SIGNIFICANT_DIGITS or abs(read) >= Decimal(10) ** SIGNIFICANT_DIGITS:
        return f"At most {SIGNIFICANT_DIGITS} digits in all: Togai would not keep more."
    return ""


def structure_problems(kind: str, card: Mapping[str, Json]) -> Iterator[Fault]:
    """
    Judge how the cells of one whole card, in keyed form and of sound shape, fit together.

    Togai's own words on slabs are few; orders without gaps, a first slab at 0 and one rate per slab and
    currency are our reading (togai.md 4.3), and so is the duration that a CUSTOM expiry needs.
    """
    if kind == "creditGrantRateCards":
        yield from _credit_problems(card)
    elif "ratePlan" in card:
        slabs = card["ratePlan"]["slabs"]
        yield from _slab_problems(slabs, ("ratePlan", "slabs"))
        for currency, value in card["rateValues"].items():
            here = ("rateValues", currency)
            yield from _limit_problems(value.get("rateConfig"), (*here, "rateConfig"))
            rates = value["slabRates"]
            for order in slabs:
                if order not in rates:
                    yield Fault(
                        (*here, "slabRates", order, "rate"), f"Slab {order} has no rate in {currency}."
                    )
            for order, rate in rates.items():
                if order not in slabs:
                    yield Fault((*here, "slabRates", order), f"There is no slab {order}.")
                yield from _limit_problems(
                    rate.get("slabRateConfig"), (*here, "slabRates", order, "slabRateConfig")
                )
    for position, window in enumerate(card.get("featureConfigs", ()), start=1):
        opens = span(window.get("effectiveFrom", "PT0S"))
        if span(window["effectiveUntil"]).longest <= opens.shortest:
            yield Fault(
                ("featureConfigs", str(position), "effectiveUntil"), "The window ends before it opens."
            )


def cycle_problems(cycle: Mapping[str, Json]) -> Iterator[Fault]:
    """Judge whether the start of a billing cycle, of sound shape, fits its interval."""
    start = cycle.get("startOffset")
    if start is None:
        return
    if cycle.get("anniversaryCycle"):
        yield Fault(("startOffset",), "Togai derives the start of an anniversary cycle; leave it out.")
        return
    interval = cycle["interval"]
    last_day = 7 if interval == "WEEKLY" else 31
    days = {str(day) for day in range(1, last_day + 1)} | ({"LAST"} if interval != "WEEKLY" else set())
    if start["dayOffset"] not in days:
        or_last = "" if interval == "WEEKLY" else " or LAST"
        yield Fault(("startOffset", "dayOffset"), f"Choose a day from 1 to {last_day}{or_last}.")
    last_month = {"QUARTERLY": 3, "HALF_YEARLY": 6, "ANNUALLY": 12}.get(interval)
    if last_month is None:
        if start["monthOffset"] != "NIL":
            yield Fault(("startOffset", "monthOffset"), "A cycle this short has no month; choose NIL.")
    elif start["monthOffset"] not in {"FIRST", "LAST", *map(str, range(1, last_month + 1))}:
        yield Fault(("startOffset", "monthOffset"), f"Choose a month from 1 to {last_month}, FIRST or LAST.")


def _credit_problems(card: Mapping[str, Json]) -> Iterator[Fault]:
    grant = card["grantDetails"]
    if grant["expiryType"] == "CUSTOM" and "expiryDuration" not in grant:
        yield Fault(("grantDetails", "expiryDuration"), "Say how long the credit lasts.")
    for currency, detail in card["rateDetails"]["currencySlabRateDetails"].items():
        here = ("rateDetails", "currencySlabRateDetails", currency)
        yield from _slab_problems(detail["slabDetails"], (*here, "slabDetails"))
        yield from _limit_problems(detail.get("rateConfig"), (*here, "rateConfig"))
        for order, slab in detail["slabDetails"].items():
            yield from _limit_problems(
                slab.get("slabRateConfig"), (*here, "slabDetails", order, "slabRateConfig")
            )


def _slab_problems(slabs: Mapping[str, Json], path: Path) -> Iterator[Fault]:
    orders = sorted(slabs, key=int)
    if len(orders) > MAX_SLABS:
        yield Fault(path, f"At most {MAX_SLABS} slabs.")
    before: Decimal | None = None
    for place, order in enumerate(orders, start=1):
        here = (*path, order)
        slab = slabs[order]
        if int(order) != place:
            yield Fault((*here, "order"), f"Slab {place} is missing: slabs are numbered without gaps.")
        start = number(slab["startAfter"])
        if before is None:
            if start:
                yield Fault((*here, "startAfter"), "The first slab starts at 0.")
        elif start <= before:
            yield Fault(
                (*here, "startAfter"), f"A slab starts after the one before it: enter more than {before:f}."
            )
        before = start
        size = slab.get("slabConfig", {}).get("packageSize")
        # The wire takes no package of nothing, also where no price is by the package.
        if number(size) <= 0 if size is not None else slab["priceType"] == "PACKAGE":
            yield Fault(
                (*here, "slabConfig", "packageSize"), "Say how many units a package holds, more than 0."
            )


def _limit_problems(limits: Mapping[str, Json] | None, path: Path) -> Iterator[Fault]:
    least, most = (limits or {}).get("minimumRate"), (limits or {}).get("maximumRate")
    if least is not None and most is not None and number(least) > number(most):
        yield Fault((*path, "maximumRate"), f"The maximum lies below the minimum of {least}.")
