"""
A deal at other volumes than the expected ones: tables, drawings and crossovers in words (G-12).

`volumes_page` is all that templates/partials/editor/curves.html needs, in the editor and on a deal's page.
Read-only; the arithmetic is `pricing.curve_of`, and every side is priced once.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from purchases import charts, figures, overrides, pricing
from purchases import terms as domain
from purchases.cards import METERED
from purchases.money import number
from purchases.summaries import CYCLES, Beside

# The points of a table, and with them what a drawing is drawn through.
TABLE = pricing.FACTORS
DRAWN = tuple(sorted({*TABLE, *(Decimal(factor) for factor in ("0", "0.25", "1.5", *range(3, 10)))}))

# So many crossovers are told one by one, and so many marked in a drawing.
MOST_TOLD = 6
MOST_MARKED = 3

_TICKS = (Decimal(0), Decimal(1), Decimal(5), Decimal(10))


@dataclass(frozen=True)
class Row:
    """One volume: the amounts of all sides there, each a Decimal or None for unknown."""

    factor: str
    is_expected: bool
    volume: str
    money: Beside
    previous: object


@dataclass(frozen=True)
class Crossing:
    """Where the standing changes, in words; `exactly` where the words round the volume."""

    words: str
    exactly: str = ""


@dataclass(frozen=True)
class VolumeCurve:
    """One metered line, or the whole deal, at several volumes."""

    key: str
    title: str
    units: str
    per: str
    rows: tuple
    chart: object
    crossings: tuple
    reasons: tuple


@dataclass(frozen=True)
class VolumesPage:
    """
    Everything a page says about a deal at other volumes.

    :ivar word: what such a deal is called, "proposal" or "purchase"
    :ivar missing: the lines whose expected volume is not said, by name
    :ivar other_revision: "revision 2" where the revision before stands beside, else ""
    """

    currency: str
    word: str
    curves: tuple
    missing: tuple
    other_revision: str


def volumes_page(deal, previous=None):
    """
    Price a deal and its plan at a tenth to ten times of what is expected.

    :param previous: the revision before, whose prices then stand beside, at the same volumes and dates
    :returns: None for a deal without metered lines, or of which too little is known
    """
    currency = deal.account.currency if deal.account else ""
    terms = deal.terms()
    if not currency or deal.price_plan is None or terms.type not in domain.PLAN_TYPES:
        return None
    volumes = domain.quantities(deal.expected_volumes)
    if any(volume < 0 for volume in volumes.values()):
        return None
    details = {"plan": deal.price_plan.details}
    details["proposal"] = _effective(deal.price_plan, terms)
    if previous is not None and _compares(deal, previous):
        same_plan = previous.price_plan_id == deal.price_plan_id
        plan = deal.price_plan if same_plan else previous.price_plan
        details["previous"] = _effective(plan, previous.terms())
    sides = {}
    for side, effective in details.items():
        same = next((other for other in sides if details[other] is effective), None)
        sides[side] = sides[same] if same else _priced(effective, deal, terms, volumes, currency)
    metered = _metered(sides["proposal"], sides["plan"])
    if not metered:
        return None
    known = {name: volume for name, volume in volumes.items() if name in metered}
    word = deal._meta.verbose_name
    earlier = f"revision {previous.revision}" if "previous" in sides else ""
    names = {"plan": "Plan", "proposal": word.capitalize(), "previous": earlier.capitalize()}
    curves = [
        _curve(sides, volumes, title, billable_id, names)
        for billable_id, title in metered.items()
        if billable_id in known
    ]
    if known and len(known) == len(metered) and (len(metered) > 1 or _has_more(sides)):
        curves.insert(0, _curve(sides, known, "The whole deal", "", names))
    return VolumesPage(
        currency,
        word,
        tuple(curves),
        tuple(title for name, title in metered.items() if name not in known),
        earlier,
    )


def _effective(plan, terms):
    return overrides.effective(plan.details, terms.override) if terms.override else plan.details


def _compares(deal, previous):
    """Whether two revisions sell the same kind of plan to be paid in the same currency."""
    return (
        previous.price_plan is not None
        and previous.price_plan.type == deal.price_plan.type
        and previous.account is not None
        and previous.account.currency == deal.account.currency
    )


def _priced(effective, deal, terms, volumes, currency):
    return pricing.estimate(
        effective,
        plan_type=deal.price_plan.type,
        currency=currency,
        quantity=terms.quantity,
        rate_card_quantities=terms.rate_card_quantities,
        volumes=volumes,
        effective_from=terms.effective_from,
        effective_until=terms.effective_until,
    )


def _metered(*estimates):
    """The names of what is metered, by billable id."""
    found = {}
    for estimate in estimates:
        for line in estimate.lines:
            if line.kind in METERED:
                found.setdefault(line.billable_id, line.label)
    return found


def _has_more(sides):
    return any(line.kind not in METERED for side in sides.values() for line in side.lines)


# --- One curve ---


def _curve(sides, volumes, title, billable_id, names):
    found = pricing.curve_of(
        sides, volumes=volumes, billable_id=billable_id, alone=bool(billable_id), factors=DRAWN
    )
    interval = sides["proposal"].interval
    one = CYCLES.get(interval, ("cycle", ""))[0]
    expected = volumes.get(billable_id)
    return VolumeCurve(
        key=billable_id,
        title=title,
        units=f"units a {one}" if sides["proposal"].recurs else "units",
        per=_per(found.per, sides["proposal"], one),
        rows=tuple(_row(point) for point in found.points if point.factor in TABLE),
        chart=_chart(found, expected, names),
        crossings=tuple(_crossings(found, names["proposal"].lower())),
        reasons=found.unknown_because,
    )


def _per(span, estimate, one):
    if span == "once":
        return "once"
    if span == "cycle":
        return f"each {one}"
    return f"over {estimate.cycles} {CYCLES.get(estimate.interval, ('', 'cycles'))[estimate.cycles != 1]}"


def _row(point):
    previous = point.previous and point.previous.money
    return Row(
        factor=f"{figures.count(point.factor)} ×",
        is_expected=point.factor == 1,
        volume=figures.count(point.volume) or "",
        money=Beside.of("", point.plan.money, point.proposal.money),
        previous=previous and previous.amount,
    )


def _chart(found, expected, names):
    series = []
    for key, name in names.items():
        amounts = [(point.factor, getattr(point, key)) for point in found.points]
        known = [(factor, amount.money.amount) for factor, amount in amounts if amount and amount.money]
        series.append((key, name, known))
    ticks = [(factor, _tick(factor, expected)) for factor in _TICKS]
    marks = [(Decimal(1), "expected", "expected")]
    for crossover in found.crossovers[:MOST_MARKED]:
        if crossover.before != crossover.after:
            factor = crossover.volume if expected is None else Fraction(crossover.volume, Fraction(expected))
            marks.append((factor, "crossover", _at(found, crossover.volume)))
    return charts.lines(series, ticks=ticks, dots=TABLE, marks=marks)


def _tick(factor, expected):
    return f"{figures.count(factor)} ×" if expected is None else charts.short(expected * factor)


# --- Where it becomes cheaper or dearer ---

_THAN = {
    "cheaper": "is cheaper than the plan",
    "dearer": "is dearer than the plan",
    "equal": "costs what the plan costs",
}
_SHORT = {"cheaper": "cheaper", "dearer": "dearer", "equal": "the same"}


def _crossings(found, word):
    """Every change of standing from left to right, in words."""
    if found.unknown_because or found.up_to is None:
        return
    marks = [*found.crossovers, *found.unsettled]
    if not marks:
        if found.standing:
            yield Crossing(
                f"At every volume up to {_at(found, found.up_to)} the {word} {_THAN[found.standing]}."
            )
        return
    marks.sort(key=lambda mark: mark.volume if isinstance(mark, pricing.Crossover) else mark.start)
    for mark in marks[:MOST_TOLD]:
        yield (
            _unsettled(found, mark, word)
            if isinstance(mark, pricing.Unsettled)
            else _crossing(found, mark, word)
        )
    if len(marks) > MOST_TOLD:
        yield Crossing(f"And {len(marks) - MOST_TOLD} more changes up to {_at(found, found.up_to)}.")


def _crossing(found, mark, word):
    where = _at(found, mark.volume)
    if mark.before == mark.after:
        words = f"At {where} the {word} {_THAN[mark.at]}, just below and above {_SHORT[mark.after]}."
    elif mark.jump and mark.at == mark.before:
        words = f"Past {where} the {word} {_THAN[mark.after]}, up to there {_SHORT[mark.before]}."
    else:
        words = f"From {where} on the {word} {_THAN[mark.after]}, below that {_SHORT[mark.before]}."
    return Crossing(words, _exactly(found, mark.volume))


def _unsettled(found, mark, word):
    standings = " or ".join(_THAN[standing] for standing in mark.possible)
    return Crossing(
        f"Between {_at(found, mark.start)} and {_at(found, mark.end)} it changes with package after package:"
        f" there the {word} {standings}."
    )


def _at(found, volume):
    """A volume, or a factor of all volumes, in words; rounded where it has many digits."""
    exact = Fraction(volume)
    shown = _rounded(exact)
    about = "about " if Fraction(shown) != exact else ""
    if not found.billable_id:
        return f"{about}{figures.count(shown)} × the expected volumes"
    return f"{about}{figures.count(shown)} units"


def _exactly(found, volume):
    """A rounded volume as a fraction; "" where the words are exact."""
    if Fraction(_rounded(volume)) == volume:
        return ""
    return f"{volume.numerator:,}/{volume.denominator:,}"


def _rounded(exact):
    """To two digits, more for what is small, never to another whole number of them."""
    digits = 2 if exact >= 1 else 6
    return number(Decimal(int(exact * 10**digits * 2 + 1) // 2).scaleb(-digits))
