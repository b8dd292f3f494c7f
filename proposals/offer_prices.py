"""
What is bought and what it costs, in the customer's words: lines, tables of prices and sums.

Pure: terms and details in stored form in, words out. Only the prices that were agreed come out, never the
plan's own beside them, nothing that Togai or this office calls things by, and no forecast: what depends on
use is told as a price for use (P-30).
"""

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise

from babel import Locale
from babel.numbers import format_currency, get_currency_symbol

from purchases import figures, pricing
from purchases.cards import CYCLES, METERED
from purchases.money import minor_digits, number
from purchases.overrides import cards
from purchases.price_list import duration_in_words

# The language of the offer decides how its numbers are written; the currency how many digits they have.
LOCALE = "en_GB"
# More windows of one allowance than these are told as one row of them.
MOST_WINDOWS = 3

_ADVERBS = {
    "WEEKLY": "Weekly",
    "MONTHLY": "Monthly",
    "QUARTERLY": "Quarterly",
    "HALF_YEARLY": "Every half-year",
    "ANNUALLY": "Yearly",
}
_NAMELESS = {
    "fixedFeeRateCards": "Fixed fee",
    "billingEntitlementRateCards": "Allowance",
    "creditGrantRateCards": "Credit",
    "usageRateCards": "Use",
    "licenseRateCards": "Licences",
    "entitlementOverageRateCards": "Use beyond the allowance",
}
_REFUNDS = {
    "NONE": "Unused time is not refunded",
    "CREDITS": "Unused time is credited",
    "PAYMENT": "Unused time is paid back",
    "WALLET": "Unused time is added to your prepaid balance",
}
_ALL_OF = {"ALL_USAGE_METER_RATE_CARDS": "all use", "ALL_FIXED_FEE_RATE_CARDS": "all fixed fees"}
TO_BE_CONFIRMED = "to be confirmed"


@dataclass(frozen=True)
class Line:
    """
    One thing that is bought.

    :ivar charged: when it is charged, in words
    :ivar quantity: how much of it, "" where that is not agreed but used
    :ivar price: the amount, or how it is priced
    :ivar details: what holds for it besides, sentence by sentence
    """

    name: str
    charged: str
    quantity: str
    price: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Slab:
    """A range of units, its price, and the least and most that is charged for it."""

    units: str
    price: str
    limits: str = ""


@dataclass(frozen=True)
class Prices:
    """The prices of one line that has several, by range."""

    name: str
    how: str
    slabs: tuple[Slab, ...]
    limits: str = ""


@dataclass(frozen=True)
class Sum:
    """One sum: what it covers, the amount, and what to know about it."""

    words: str
    amount: str
    note: str = ""


@dataclass(frozen=True)
class Priced:
    """
    All that an offer says about money.

    :ivar by_use: whether charges for use come on top of the sums
    :ivar is_confirmed: whether the billing system has named a price; until then the sums are our calculation
    """

    lines: tuple[Line, ...] = ()
    prices: tuple[Prices, ...] = ()
    sums: tuple[Sum, ...] = ()
    recurs: bool = False
    by_use: bool = False
    is_confirmed: bool = False

    def with_confirmed(self, amount, currency):
        """
        The same with the price that the billing system has computed: of what is bought once it is the total,
        beside the sums of a recurring plan it stands as one of them.
        """
        if self.recurs:
            sums = (*self.sums, Sum("Confirmed price", money(amount, currency), "as it is invoiced"))
        else:
            sums = (Sum("Total", money(amount, currency), "confirmed, as it is invoiced"),)
        return replace(self, sums=sums, is_confirmed=True)


def money(amount, currency):
    """
    An amount as the customer reads it, with every digit it has: "€1,234.50", "JP¥1,250", "KWD 12.345".

    :param amount: Decimal, or None for what nobody knows yet
    """
    if amount is None:
        return TO_BE_CONFIRMED
    digits = max(minor_digits(currency), -amount.normalize().as_tuple().exponent)
    symbol = get_currency_symbol(currency, locale=LOCALE)
    gap = "\N{NO-BREAK SPACE}" if symbol[-1:].isalpha() else ""
    pattern = f"¤{gap}#,##0" + (f".{'0' * digits}" if digits else "")
    text = format_currency(abs(amount), currency, format=pattern, locale=LOCALE, currency_digits=False)
    return f"{figures.MINUS}{text}" if amount < 0 else text


def country(code):
    """A country by its name: "FR" is "France"; anything else as it came."""
    return Locale.parse(LOCALE).territories.get(code, code)


def wallet(topup, paid, currency):
    """A top-up of the customer's prepaid balance."""
    if topup is None:
        return Priced()
    due = money(topup if paid is None else paid, currency)
    line = Line("Prepaid balance", "Once", money(topup, currency), due, ("Added to your prepaid balance.",))
    return Priced(lines=(line,), sums=(Sum("Total", due),))


def plan(details, *, plan_type, currency, quantity, rate_card_quantities, effective_from, effective_until):
    """
    A plan as agreed.

    :param details: what takes effect, the plan's details with the agreed changes in them
    """
    metered = {billable_id: Decimal(0) for kind, billable_id, _, _ in cards(details) if kind in METERED}
    # Priced at no use at all: what remains is what is charged in any case, minimums included.
    least = pricing.estimate(
        details,
        plan_type=plan_type,
        currency=currency,
        quantity=quantity,
        rate_card_quantities=rate_card_quantities,
        volumes=metered,
        effective_from=effective_from,
        effective_until=effective_until,
    )
    lines, prices = [], []
    for line in least.lines:
        told = _Card(line, details, least)
        lines.append(told.line())
        if told.slabs > 1:
            prices.append(told.prices())
    return Priced(
        lines=tuple(lines),
        prices=tuple(prices),
        sums=tuple(_sums(least, bool(metered))),
        recurs=least.recurs,
        by_use=bool(metered),
    )


def cycle_in_words(cycle):
    """When a recurring plan is billed: "Monthly, from day 1 on"; "" without a cycle."""
    if not cycle:
        return ""
    words = _ADVERBS.get(cycle.get("interval"), "")
    offset = cycle.get("startOffset") or {}
    day = offset.get("dayOffset")
    if cycle.get("anniversaryCycle"):
        return f"{words}, counted from the first day"
    if day and cycle.get("interval") == "WEEKLY":
        return f"{words}, from day {day} of the week"
    if day:
        return f"{words}, from {'the last day' if day == 'LAST' else f'day {day}'} of the month"
    return words


def cycles_in_words(interval, cycles):
    """A number of billing cycles: "12 months"; "" for one that we do not know."""
    one, many = CYCLES.get(interval, ("", ""))
    return f"{cycles:,} {one if cycles == 1 else many}" if one else ""


class _Card:
    """One rate card, of an `estimate` at no use, as the customer reads it."""

    def __init__(self, line, details, estimate):
        self.of, self.card, self.details = line, line.card, details
        self.kind, self.currency, self.estimate = line.kind, estimate.currency, estimate
        self.cycle = CYCLES.get(estimate.interval, ("billing period", ""))[0]
        self.model, self.ranges, self.limits = self._ranges()

    @property
    def slabs(self):
        return len(self.ranges)

    @property
    def is_metered(self):
        return self.kind in METERED

    @property
    def name(self):
        named = self.card.get("displayName") or self.card.get("name")
        return named or _NAMELESS.get(self.kind, "Minimum commitment")

    def line(self):
        return Line(self.name, self._charged(), self._quantity(), self._price(), tuple(self._said()))

    def prices(self):
        how = {
            "TIERED": "Each price applies to the units within its range.",
            "VOLUME": "The price of the range that is reached applies to all units.",
        }.get(self.model, "")
        slabs = tuple(Slab(units, words, limits) for units, words, limits in self.ranges)
        return Prices(self.name, how, slabs, self.limits)

    # --- When ---

    def _charged(self):
        if self.of.per == "once":
            return "Once"
        words = self._every()
        timing = {"IN_ADVANCE": "in advance", "IN_ARREARS": "afterwards", "PREPAID": "once paid"}
        if self.kind in ("usageRateCards", "entitlementOverageRateCards"):
            return f"{words}, afterwards"
        when = timing.get(self.card.get("invoiceTiming"))
        return f"{words}, {when}" if when else words

    def _every(self):
        if self.of.every == 1:
            return f"Each {self.cycle}"
        return f"Every {cycles_in_words(self.estimate.interval, self.of.every) or f'{self.of.every} periods'}"

    # --- How much ---

    def _quantity(self):
        if self.is_metered:
            return "as used"
        if self.kind == "minimumCommitment" or self.of.quantity is None:
            return ""
        if self.kind == "creditGrantRateCards":
            return money(self.of.quantity, self.currency)
        return figures.count(self.of.quantity)

    def _price(self):
        if self.kind == "minimumCommitment":
            return money(self.of.quantity, self.currency)
        if self.is_metered:
            if self.slabs > 1:
                return "by range, below"
            return self.ranges[0][1] if self.ranges else TO_BE_CONFIRMED
        if self.of.amount is None:
            return TO_BE_CONFIRMED
        return money(self.of.amount.amount, self.currency) if self.of.amount.amount else "included"

    # --- What else ---

    def _said(self):
        yield from self._windows()
        yield from self._credit()
        if self.kind == "entitlementOverageRateCards":
            yield "For use beyond what is included"
        if self.kind == "minimumCommitment":
            yield f"Where the other charges of a {self.cycle} come to less, the difference is charged"
        if self.slabs == 1 and not self.is_metered and self.of.amount and self.of.amount.amount:
            yield self.ranges[0][1][:1].upper() + self.ranges[0][1][1:]
        if self.slabs == 1:
            limits = [words for words in (self.ranges[0][2], self.limits) if words]
            yield from (words[:1].upper() + words[1:] for words in dict.fromkeys(limits))
        if self.kind == "fixedFeeRateCards" and self.of.amount and self.of.quantity != 1:
            yield f"{self._flat()} each"
        if self.of.per == "cycle" and self.of.offset:
            after = cycles_in_words(self.estimate.interval, self.of.offset) or f"{self.of.offset} periods"
            yield f"For the first time after {after}"
        if self.card.get("usageCycle"):
            yield f"Counted {_ADVERBS.get(self.card['usageCycle'], '').lower()}"
        most = (self.card.get("config") or {}).get("maxQuantity") or self.card.get("maxQuantity")
        if most:
            yield f"Up to {figures.count(number(most))}"
        if self.card.get("enableProration") and self.of.per == "cycle":
            yield f"A part of a {self.cycle} is charged in part"
            if refund := _REFUNDS.get(self.card.get("proratedRefundMode")):
                yield refund

    def _flat(self):
        rates = {price["currency"]: price["rate"] for price in self.card["rateValues"]}
        return money(number(rates[self.currency]), self.currency)

    def _windows(self):
        windows = [
            (
                figures.count(number(one["featureCreditLimit"])),
                one.get("effectiveFrom"),
                one["effectiveUntil"],
            )
            for one in self.card.get("featureConfigs", ())
        ]
        if len(windows) > MOST_WINDOWS and _follow_one_another(windows):
            limit, last = windows[0][0], duration_in_words(windows[-1][2])
            yield f"{len(windows)} allowances of {limit}, one after the other, within {last} of the grant"
            return
        for limit, start, end in windows:
            opens, ends = duration_in_words(start or "PT0S"), duration_in_words(end)
            if opens == "no time":
                yield (
                    f"{limit} each time, valid for {ends}"
                    if self.of.per == "cycle"
                    else (f"{limit} for each one bought, valid for {ends}")
                )
            else:
                yield f"{limit} from {opens} to {ends} after the grant"

    def _credit(self):
        grant = self.card.get("grantDetails")
        if not grant:
            return
        yield {
            "NO_EXPIRY": "Money off later invoices, without an end",
            "PRICING_CYCLE": f"Money off the invoices of its {self.cycle}",
            "CUSTOM": f"Money off later invoices, for {duration_in_words(grant.get('expiryDuration'))}",
        }.get(grant.get("expiryType"), "Money off later invoices")
        names = {}
        for _, billable_id, card, _ in cards(self.details):
            names[billable_id] = card.get("displayName") or card.get("name") or ""
        spent_on = [_ALL_OF.get(one) or names.get(one) for one in grant.get("applicableEntityIds", ())]
        if spent_on:
            # An id that names nothing here means nothing to the customer.
            yield f"For {', '.join(filter(None, spent_on)) or 'some of the charges'}"

    # --- Prices by range ---

    def _ranges(self):
        """(pricing model, ((units, price, limits), ...), limits of all together); empty without slabs."""
        if self.kind in ("fixedFeeRateCards", "minimumCommitment"):
            return "", (), ""
        try:
            table = pricing.table_of(
                self.kind, self.card, currency=self.currency, interval=self.estimate.interval
            )
        except pricing.Unpriceable:
            # A draft may hold half a card, and an internal draft shows what there is.
            return "", (), ""
        ranges = tuple(
            (units, self._rate(slab, table.windows), self._limits(slab))
            for units, slab in zip(_units(table.slabs), table.slabs, strict=True)
        )
        return table.model, ranges, self._limits(table)

    def _rate(self, slab, windows):
        each = money(slab.rate, self.currency)
        if slab.price_type == "PACKAGE":
            return f"{each} for every {figures.count(slab.package_size)} begun"
        if slab.price_type == "FLAT":
            return f"{each} in all" if slab.rate else "included"
        if self.kind == "creditGrantRateCards":
            return f"{each} for {money(Decimal(1), self.currency)} of credit"
        unit = "licence" if self.kind == "licenseRateCards" else "unit"
        # A card that is counted more often than it is billed is priced as often, too.
        often = f" and {CYCLES[self.card['usageCycle']][0]}" if windows > 1 else ""
        return f"{each} per {unit}{often}"

    def _limits(self, of):
        """The least and the most of a table or of one of its slabs."""
        limits = (("at least", of.minimum), ("at most", of.maximum))
        found = [f"{word} {money(limit, self.currency)}" for word, limit in limits if limit is not None]
        return " and ".join(found)


def _sums(least, by_use):
    """What is charged in any case: first, in each cycle, and over the term."""
    if not least.recurs:
        yield Sum("Total", _shown(least.term_total, least.currency))
        return
    cycle = [line for line in least.lines if line.per == "cycle"]
    at_least = ", at least" if by_use or any(line.kind == "minimumCommitment" for line in cycle) else ""
    period = CYCLES.get(least.interval, ("billing period",))[0]
    first = pricing.first_invoice(least)
    if first and first.amount and first.amount.amount:
        when = f"after {cycles_in_words(least.interval, first.after)}" if first.after else "at the start"
        more = any(charge.line.kind in METERED for charge in first.charges)
        yield Sum(
            f"First invoice, {when}{', at least' if more else ''}", _shown(first.amount, least.currency)
        )
    elif any(line.per == "once" for line in least.lines):
        yield Sum("Once", _shown(least.once, least.currency))
    if all((line.every, line.offset) == (1, 0) for line in cycle):
        yield Sum(f"Each {period}{at_least}", _shown(least.per_cycle, least.currency))
    if least.cycles is not None:
        span = cycles_in_words(least.interval, least.cycles)
        yield Sum(f"Over {span}{at_least}", _shown(least.term_total, least.currency))


def _shown(amount, currency):
    return money(amount and amount.amount, currency)


def _units(slabs):
    """Which units each slab holds; a slab begins after its threshold."""
    for start, end in pairwise([*(slab.start_after for slab in slabs), None]):
        if end is None:
            yield f"Over {figures.count(start)}" if start else "All"
        elif start:
            yield f"Over {figures.count(start)}, up to {figures.count(end)}"
        else:
            yield f"Up to {figures.count(end)}"


def _follow_one_another(windows):
    """Whether windows of the same size stand end to end, from the first moment on."""
    same = len({limit for limit, _, _ in windows}) == 1
    first = duration_in_words(windows[0][1] or "PT0S") == "no time"
    return same and first and all(one[2] == other[1] for one, other in pairwise(windows))


# Runs of white space that a name may hold; a line of an address is a line.
_BLANK = re.compile(r"\s+")


def on_one_line(text):
    """A name or a line of an address without line breaks and the like."""
    return _BLANK.sub(" ", str(text or "")).strip()
