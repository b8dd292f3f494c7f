"""
What a plan would cost at volumes that somebody types: a form in the address and an estimate beside it.

Part of the plan's page; nothing is stored and nobody is asked. The figures are `pricing.estimate`'s.
"""

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from django import forms

from purchases import figures, pricing
from purchases.cards import INT32, KIND_NAMES, METERED
from purchases.forms import PlainNumberField, WholeNumberField
from purchases.overrides import cards
from purchases.summaries import CYCLES
from purchases.terms import PlanType

# A term begins with a year where nobody says otherwise.
CYCLES_OF_A_YEAR = {"WEEKLY": 52, "MONTHLY": 12, "QUARTERLY": 4, "HALF_YEARLY": 2, "ANNUALLY": 1}
MOST_CYCLES = 520
UNITS = "units"

_HINTS = {
    "usageRateCards": "each {cycle}",
    "licenseRateCards": "seats",
    "entitlementOverageRateCards": "extra units each {cycle}",
}


@dataclass(frozen=True)
class Row:
    """One line of the price, in words."""

    label: str
    kind_name: str
    due: str
    quantity: Decimal | None
    amount: Decimal | None
    formula: str
    credit: Decimal | None
    unknown_because: str


@dataclass(frozen=True)
class Price:
    """What was asked for, priced: the lines and the sums that make sense for the plan, as (words, amount)."""

    currency: str
    rows: tuple
    totals: tuple
    reasons: tuple


class CalculatorForm(forms.Form):
    """
    Currency, quantity or term, and units per card of one plan version; everything may be left out.

    :param data: the query of the address
    :param plan: the version, with its rate cards
    """

    def __init__(self, data, *, plan):
        self.plan, self.details = plan, plan.details
        self.recurs = plan.type == PlanType.BILLING
        self.interval = (plan.cycle or {}).get("interval") if self.recurs else None
        super().__init__(data, label_suffix="", auto_id="calculator-%s")
        currencies = list(dict.fromkeys((*plan.currencies, *_priced_in(self.details))))
        self.fields["currency"] = forms.ChoiceField(
            choices=[(code, code) for code in currencies],
            required=False,
            error_messages={"invalid_choice": "Choose one of the plan's currencies."},
        )
        self.default_currency = currencies[0] if currencies else ""
        if self.recurs:
            self.fields["cycles"] = WholeNumberField(label=f"How many {self.cycle[1]}", required=False)
        else:
            self.fields["quantity"] = WholeNumberField(label="Quantity", required=False)
        self.asked, self.hints = {}, {}
        for card in cards(self.details):
            if self._is_asked(card.kind):
                self._ask(card)
        self.fields["cycles" if self.recurs else "quantity"].widget.attrs["placeholder"] = self.usual
        for name, field in self.fields.items():
            # The place of its faults is always there, so that a typed value can be judged without a new page.
            field.widget.attrs["aria-describedby"] = f"calculator-{name}_error"
            if isinstance(field, forms.CharField):
                field.widget.attrs["maxlength"] = 60

    @property
    def cycle(self):
        """The billing cycle as (one, many)."""
        return CYCLES.get(self.interval, ("cycle", "cycles"))

    @property
    def usual(self):
        """How many are meant where nobody says: cycles of a year, or one purchase."""
        return CYCLES_OF_A_YEAR.get(self.interval, 1)

    def _is_asked(self, kind):
        return kind in METERED or not self.recurs

    def _ask(self, card):
        name = f"{UNITS}-{_plain(card.billable_id)}"
        self.asked[name] = card
        self.fields[name] = PlainNumberField(label=card.label, required=False)
        self.hints[name] = _HINTS.get(card.kind, "instead of the quantity").format(cycle=self.cycle[0])

    def places(self):
        """The fields with a word on each: (bound field, hint)."""
        return [(self[name], self.hints.get(name, "")) for name in self.fields]

    def clean_currency(self):
        return self.cleaned_data["currency"] or self.default_currency

    def clean_quantity(self):
        quantity = self.cleaned_data["quantity"]
        if quantity is not None and not 1 <= quantity <= INT32:
            raise forms.ValidationError(f"Enter a whole number from 1 to {INT32:,}.")
        return quantity or self.usual

    def clean_cycles(self):
        cycles = self.cleaned_data["cycles"]
        if cycles is not None and not 1 <= cycles <= MOST_CYCLES:
            raise forms.ValidationError(f"Enter a whole number from 1 to {MOST_CYCLES}.")
        return cycles or self.usual

    def clean(self):
        for name in self.asked:
            units = self.cleaned_data.get(name)
            if units is not None and units < 0:
                self.add_error(name, "Enter 0 or more.")

    def units(self):
        """What is typed per card, by billable id."""
        return {
            card.billable_id: self.cleaned_data[name]
            for name, card in self.asked.items()
            if self.cleaned_data.get(name) is not None
        }


def price_of(form):
    """The `Price` of what a form says, or None while it says something that is no number."""
    if not form.is_valid() or not form.cleaned_data["currency"]:
        return None
    given, units = form.cleaned_data, form.units()
    currency = given["currency"]
    metered = {card.billable_id for card in form.asked.values() if card.kind in METERED}
    quantity = given.get("quantity")
    bought = {
        card.billable_id: units.get(card.billable_id, Decimal(quantity))
        for card in form.asked.values()
        if card.kind not in METERED
    }
    estimate = pricing.estimate(
        form.details,
        plan_type=form.plan.type,
        currency=currency,
        quantity=quantity,
        rate_card_quantities=bought if units.keys() - metered else None,
        volumes={key: value for key, value in units.items() if key in metered},
    )
    rows = tuple(_row(line, form.cycle) for line in estimate.lines)
    reasons = tuple(f"{row.label}: {row.unknown_because}" for row in rows if row.amount is None)
    return Price(currency, rows, tuple(_totals(estimate, form)), reasons)


def _row(line, cycle):
    if line.per == "once":
        due = "once"
    else:
        due = f"each {cycle[0]}" if line.every == 1 else f"every {line.every} {cycle[1]}"
        if line.offset:
            due += f", first after {line.offset} {cycle[line.offset != 1]}"
    return Row(
        label=line.label,
        kind_name=KIND_NAMES[line.kind],
        due=due,
        quantity=line.quantity,
        amount=line.amount and line.amount.amount,
        formula=figures.grouped(line.formula),
        credit=line.credit and line.credit.amount,
        unknown_because=line.unknown_because,
    )


def _totals(estimate, form):
    def amount(money):
        return money and money.amount

    if not form.recurs:
        yield "In all, once", amount(estimate.once)
        return
    one, many = form.cycle
    cycles = form.cleaned_data["cycles"]
    if any(line.per == "once" for line in estimate.lines):
        yield "Once", amount(estimate.once)
    yield f"Each {one}", amount(estimate.per_cycle)
    first = replace(estimate, cycles=1).term_total
    if first != estimate.per_cycle:
        yield f"First {one}, with what is due once", amount(first)
    if cycles > 1:
        yield f"Over {cycles} {many}", amount(replace(estimate, cycles=cycles).term_total)


def _priced_in(details):
    """Every currency that some card has a price in."""
    for card in cards(details):
        grants = (card.card.get("rateDetails") or {}).get("currencySlabRateDetails", ())
        for value in (*card.card.get("rateValues", ()), *grants):
            yield value["currency"]


def _plain(billable_id):
    """An id of Togai's, which is any text, as a part of a name in the address."""
    return re.sub(r"[^A-Za-z0-9.-]", lambda letter: f"_{ord(letter[0]):x}_", billable_id)
