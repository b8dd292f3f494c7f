"""
A plan's rate cards as a person reads a price list: what is sold, its slabs per currency, its conditions.

Pure: details in stored form in, words out. Tolerant, as Togai's own cards are shown: what is missing is left
out, a word we do not know is shown as it came.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from purchases import figures
from purchases.cards import CARDS, KIND_NAMES
from purchases.money import number

# More columns than these are hard to read side by side.
MOST_CURRENCIES = 5
# More windows than these are told as a series.
FEW_WINDOWS = 2

_UNITS = {
    "Y": ("year", "years"),
    "M": ("month", "months"),
    "W": ("week", "weeks"),
    "D": ("day", "days"),
    "TH": ("hour", "hours"),
    "TM": ("minute", "minutes"),
    "TS": ("second", "seconds"),
}
_INTERVALS = {
    "WEEKLY": "weekly",
    "MONTHLY": "monthly",
    "QUARTERLY": "quarterly",
    "HALF_YEARLY": "half-yearly",
    "ANNUALLY": "yearly",
}
_MODELS = {
    "TIERED": "Each slab prices its own units",
    "VOLUME": "The slab reached prices all units",
}
_TIMINGS = {
    "IN_ADVANCE": "Invoiced in advance",
    "IN_ARREARS": "Invoiced in arrears",
    "PREPAID": "Granted once its order is paid",
}
_REFUNDS = {
    "NONE": "no refund for unused time",
    "CREDITS": "unused time is given back as credits",
    "PAYMENT": "unused time is paid back",
    "WALLET": "unused time goes to the wallet",
}
_ALL_OF = {
    "ALL_USAGE_METER_RATE_CARDS": "all usage",
    "ALL_FIXED_FEE_RATE_CARDS": "all fixed fees",
}


@dataclass(frozen=True)
class Cell:
    """The rate of a slab in a currency, None where it has none, and its least and most, each in words."""

    currency: str
    rate: str | None
    limits: tuple


@dataclass(frozen=True)
class Row:
    """One slab: which units, how they are priced, and a cell per currency of the table."""

    units: str
    priced: str
    cells: tuple


@dataclass(frozen=True)
class Table:
    """Slabs with a column per currency; `limits` are of the whole card, a tuple of words per currency."""

    currencies: tuple
    rows: tuple
    limits: tuple

    @property
    def has_limits(self):
        return any(self.limits)

    def totals(self):
        """What holds for the whole card, as (currency, words) pairs."""
        return tuple(zip(self.currencies, self.limits, strict=True))

    def parts(self):
        """The same slabs in tables of a few currencies each."""
        for first in range(0, len(self.currencies), MOST_CURRENCIES):
            some = slice(first, first + MOST_CURRENCIES)
            rows = (Row(row.units, row.priced, row.cells[some]) for row in self.rows)
            yield Table(self.currencies[some], tuple(rows), self.limits[some])

    def goes_with(self, other):
        """Whether both have the same slabs, so that they are one table of several currencies."""
        return [(row.units, row.priced) for row in self.rows] == [
            (row.units, row.priced) for row in other.rows
        ]

    def beside(self, other):
        """One table of both."""
        rows = (
            Row(mine.units, mine.priced, mine.cells + theirs.cells)
            for mine, theirs in zip(self.rows, other.rows, strict=True)
        )
        return Table(self.currencies + other.currencies, tuple(rows), self.limits + other.limits)


@dataclass(frozen=True)
class Card:
    """One line of the price list: a name, conditions in words, flat amounts or slabs."""

    kind: str
    billable_id: str
    label: str
    conditions: tuple
    amounts: tuple
    tables: tuple

    @property
    def kind_name(self):
        return KIND_NAMES[self.kind]


def of(details):
    """The `Card`s of a plan's details, in the order of the kinds and of Togai's lists."""
    names = {
        card.get(shape.key): _label(kind, card.get(shape.key), card)
        for kind, shape in CARDS.items()
        for card in details.get(kind, ())
    }
    cards = []
    for kind, shape in CARDS.items():
        cards += [_card(kind, card.get(shape.key, ""), card, names) for card in details.get(kind, ())]
    commitment = details.get("minimumCommitment")
    if commitment:
        cards.append(_card("minimumCommitment", "", commitment, names))
    return cards


def cycle_in_words(cycle):
    """A pricing cycle: "Monthly from day 1, invoices stay drafts for 2 days"; "" without one."""
    if not cycle:
        return ""
    words = _INTERVALS.get(cycle.get("interval"), _plain(cycle.get("interval"))).capitalize()
    if cycle.get("anniversaryCycle"):
        words += ", counted from the day it is associated"
    else:
        words += _offset_in_words(cycle.get("startOffset") or {})
    days = cycle.get("gracePeriod")
    return f"{words}; invoices stay drafts for {days} {_one_or_many(days, 'day')}" if days else words


def duration_in_words(text):
    """An ISO 8601 duration: "P30D" is "30 days", "PT0S" is "no time"; anything else as it came."""
    found = re.fullmatch(r"P((?:\d+[YMWD])*)(?:T((?:\d+[HMS])+))?", text or "")
    if not found:
        return text or ""
    date, time = found.groups()
    parts = [(count, unit) for count, unit in re.findall(r"(\d+)([YMWD])", date or "")]
    parts += [(count, f"T{unit}") for count, unit in re.findall(r"(\d+)([HMS])", time or "")]
    words = [f"{int(count):,} {_UNITS[unit][int(count) != 1]}" for count, unit in parts if int(count)]
    return " ".join(words) or "no time"


def _label(kind, billable_id, card):
    return card.get("displayName") or card.get("name") or billable_id or KIND_NAMES[kind]


def _card(kind, billable_id, card, names):
    grant = card.get("rateDetails") or {}
    if grant:
        tables, amounts = _grant_tables(grant), ()
    elif card.get("ratePlan"):
        tables, amounts = (_table(card["ratePlan"].get("slabs", ()), card.get("rateValues", ())),), ()
    else:
        tables = ()
        amounts = tuple(
            (value["currency"], figures.amount(number(value["rate"]), value["currency"]))
            for value in card.get("rateValues", ())
        )
    tables = tuple(part for table in tables for part in table.parts())
    conditions = tuple(_conditions(kind, card, names))
    return Card(kind, billable_id, _label(kind, billable_id, card), conditions, amounts, tables)


def _table(slabs, rate_values):
    """Slabs that all currencies share, with a rate per currency by the slab's order."""
    slabs = sorted(slabs, key=lambda slab: slab["order"])
    by_currency = {
        value["currency"]: {rate["order"]: rate for rate in value.get("slabRates", ())}
        for value in rate_values
    }
    rows = []
    for slab, units in zip(slabs, _bands(slabs), strict=True):
        rates = [found.get(slab["order"]) or {} for found in by_currency.values()]
        rows.append(_row(slab, units, tuple(by_currency), rates))
    limits = tuple(_limits(value.get("rateConfig"), value["currency"]) for value in rate_values)
    return Table(tuple(by_currency), tuple(rows), limits)


def _grant_tables(grant):
    """A credit grant has slabs of its own in each currency (togai.md 4.3)."""
    tables = []
    for value in grant.get("currencySlabRateDetails", ()):
        currency, slabs = value["currency"], value.get("slabDetails", ())
        slabs = sorted(slabs, key=lambda slab: number(slab["startAfter"]))
        rows = tuple(
            _row(slab, units, (currency,), (slab,))
            for slab, units in zip(slabs, _bands(slabs, pieces=False), strict=True)
        )
        table = Table((currency,), rows, (_limits(value.get("rateConfig"), currency),))
        if tables and tables[-1].goes_with(table):
            tables[-1] = tables[-1].beside(table)
        else:
            tables.append(table)
    return tuple(tables)


def _row(slab, units, currencies, rates):
    cells = []
    for currency, rate in zip(currencies, rates, strict=True):
        shown = figures.amount(number(rate["rate"]), currency) if "rate" in rate else None
        cells.append(Cell(currency, shown, _limits(rate.get("slabRateConfig"), currency)))
    return Row(units, _priced(slab), tuple(cells))


def _bands(slabs, *, pieces=True):
    """
    Which units each slab holds; a slab starts after its threshold (togai.md 4.5).

    :param pieces: they are counted one by one, so that a slab after 1000 begins with 1,001
    """
    starts = [number(slab["startAfter"]) for slab in slabs]
    pieces = pieces and all(start == start.to_integral_value() for start in starts)
    return [_band(start, end, pieces=pieces) for start, end in pairwise([*starts, None])]


def _band(start, end, *, pieces):
    if end is None:
        if not start:
            return "all units" if pieces else "all"
        return f"{figures.count(start + 1)} and more" if pieces else f"over {figures.count(start)}"
    if pieces:
        first, last = figures.count(start + 1), figures.count(end)
        return first if first == last else f"{first} to {last}"
    upto = f"up to {figures.count(end)}"
    return f"over {figures.count(start)}, {upto}" if start else upto


def _priced(slab):
    kind = slab.get("priceType")
    if kind == "PACKAGE":
        size = (slab.get("slabConfig") or {}).get("packageSize")
        return f"per started {figures.count(number(size))}" if size else "per started package"
    return {"PER_UNIT": "per unit", "FLAT": "once for the slab"}.get(kind, _plain(kind))


def _limits(config, currency):
    config = config or {}
    return tuple(
        f"{word} {figures.amount(number(config[key]), currency)}"
        for key, word in (("minimumRate", "at least"), ("maximumRate", "at most"))
        if config.get(key) is not None
    )


def _conditions(kind, card, names):
    """What holds for the card besides its prices, sentence by sentence."""
    yield from _windows(card.get("featureConfigs", ()))
    yield from _grant_conditions(card, names)
    model = (card.get("ratePlan") or card.get("rateDetails") or {}).get("pricingModel")
    slabs = _slab_count(card)
    if model and slabs > 1:
        yield _MODELS.get(model, _plain(model))
    if kind == "minimumCommitment":
        yield "What the other lines fall short of it in a cycle is invoiced"
    if kind in ("usageRateCards", "entitlementOverageRateCards"):
        yield "Invoiced in arrears"
    elif card.get("invoiceTiming"):
        yield _TIMINGS.get(card["invoiceTiming"], _plain(card["invoiceTiming"]))
    yield from _recurrence(card)
    if card.get("type") == "NAMED_LICENSE":
        yield "Each seat is for one named person or thing"
    if card.get("usageCycle"):
        yield f"Counted {_INTERVALS.get(card['usageCycle'], _plain(card['usageCycle']))}"
    most = (card.get("config") or {}).get("maxQuantity") or card.get("maxQuantity")
    if most:
        yield f"At most {figures.count(number(most))} units"
    if card.get("enableProration"):
        refund = _REFUNDS.get(card.get("proratedRefundMode"), "")
        yield "A part of a cycle is charged in part" + (f"; {refund}" if refund else "")


def _windows(windows):
    """Allowances and their windows; many like ones that follow each other are one sentence."""
    if len(windows) > FEW_WINDOWS and _follow_each_other(windows):
        count = figures.count(number(windows[0]["featureCreditLimit"]))
        yield (
            f"{count} units each in {len(windows)} windows, one after the other: "
            f"the first {_window(windows[0])}, the last {_window(windows[-1])}"
        )
        return
    for window in windows:
        yield f"{figures.count(number(window['featureCreditLimit']))} units each, {_window(window)}"


def _window(window):
    until = duration_in_words(window.get("effectiveUntil"))
    opens = duration_in_words(window.get("effectiveFrom") or "PT0S")
    if opens == "no time":
        return f"valid for {until} from the grant"
    return f"from {opens} to {until} after the grant"


def _follow_each_other(windows):
    same = len({number(window["featureCreditLimit"]) for window in windows}) == 1
    return same and all(
        before.get("effectiveUntil") == after.get("effectiveFrom") for before, after in pairwise(windows)
    )


def _grant_conditions(card, names):
    grant = card.get("grantDetails")
    if not grant:
        return
    amounts = [
        f"{figures.amount(number(value['creditAmount']), value['currency'])} {value['currency']}"
        for value in (card.get("rateDetails") or {}).get("currencySlabRateDetails", ())
    ]
    if amounts:
        *others, last = amounts
        yield f"Grants {', '.join(others)}{' or ' if others else ''}{last} of credit"
    expiry = grant.get("expiryType")
    if expiry == "CUSTOM":
        yield f"The credit lasts {duration_in_words(grant.get('expiryDuration'))}"
    else:
        lasting = {
            "NO_EXPIRY": "The credit does not expire",
            "PRICING_CYCLE": "The credit ends with its cycle",
        }
        yield lasting.get(expiry, _plain(expiry))
    spent_on = [_ALL_OF.get(name) or names.get(name, name) for name in grant.get("applicableEntityIds", ())]
    priority = f"priority {grant.get('priority')} (lower is spent first)"
    yield f"Spent on {', '.join(spent_on) or 'everything'}, {priority}"


def _recurrence(card):
    if card.get("type") == "ONE_TIME":
        yield "Charged once"
        return
    recurrence = card.get("recurrenceConfig") or {}
    billing = card.get("billingConfig") or {}
    every = recurrence.get("interval") or billing.get("interval") or 1
    offset = recurrence.get("offset") or billing.get("startOffset") or 0
    if card.get("type") == "RECURRING" or every != 1 or offset:
        words = "Charged each cycle" if every == 1 else f"Charged every {every} cycles"
        yield words + (f", first after {offset} {_one_or_many(offset, 'cycle')}" if offset else "")


def _slab_count(card):
    plan = card.get("ratePlan")
    if plan:
        return len(plan.get("slabs", ()))
    values = (card.get("rateDetails") or {}).get("currencySlabRateDetails", ())
    return max((len(value.get("slabDetails", ())) for value in values), default=0)


def _offset_in_words(offset):
    day, month = offset.get("dayOffset"), offset.get("monthOffset")
    words = ""
    if day:
        words = " from the last day" if day == "LAST" else f" from day {day}"
    if month and month != "NIL":
        words += f" of month {month}" if month.isdecimal() else f" of the {month.lower()} month"
    return words


def _plain(word):
    """A word of Togai's that we have no better one for."""
    return str(word or "").replace("_", " ").lower()


def _one_or_many(count, word):
    return word if count == 1 else f"{word}s"
