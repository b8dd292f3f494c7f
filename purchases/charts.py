"""
Lines of money over volume as numbers for an SVG: no script, no style, and a table beside it says the same.

All of it is whole numbers and fractions: a place on the drawing is rounded, the amounts never are.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from purchases import figures

# Labels at the ends of lines are at least so far apart, in units of the drawing.
_APART = 14


@dataclass(frozen=True)
class Line:
    """
    One line: its points as an SVG path, the points that a table names, and its name at its end.

    :ivar key: what the stylesheet knows it by, for its colour and its dashes
    """

    key: str
    name: str
    path: str
    dots: tuple
    label_y: int


@dataclass(frozen=True)
class Mark:
    """An upright line with words beside it, on the side where there is room."""

    x: int
    key: str
    words: str
    words_x: int
    words_y: int
    anchor: str


@dataclass(frozen=True)
class Lines:
    """
    A drawing.

    :ivar across: what stands below it, as (x, words); `up` what stands beside it, as (y, words)
    :ivar marks: upright lines
    """

    width: int
    height: int
    left: int
    right: int
    top: int
    base: int
    lines: tuple
    across: tuple
    up: tuple
    marks: tuple

    @property
    def end(self):
        """Where the names of the lines stand."""
        return self.right + 7


def lines(series, *, ticks, dots, marks=(), width=480, height=220, left=62, right=404, top=10, below=26):
    """
    Draw lines over one scale of volumes.

    :param series: (key, name, points) triples; points are (x, Decimal amount) from left to right
    :param ticks: (x, words) below the drawing
    :param dots: the x of points that are drawn as dots
    :param marks: (x, key, words) of upright lines; the stylesheet knows them by their key
    :returns: None where no line has two points
    """
    drawn = [(key, name, points) for key, name, points in series if len(points) > 1]
    if not drawn:
        return None
    base = height - below
    places = [Fraction(x) for *_, points in drawn for x, _ in points]
    first, last = min(places), max(places)
    steps = scale_of([amount for *_, points in drawn for _, amount in points])
    low, high = Fraction(steps[0]), Fraction(steps[-1])

    def across(x):
        return left + int(Fraction((Fraction(x) - first) * (right - left), last - first))

    def up(amount):
        return base - int(Fraction((Fraction(amount) - low) * (base - top), high - low))

    def mark(x, key, words, y):
        if x * 2 > left + right:
            return Mark(x, key, words, x - 4, y, "end")
        return Mark(x, key, words, x + 4, y, "start")

    wanted = [Fraction(dot) for dot in dots]
    labels = _apart([up(points[-1][1]) for *_, points in drawn], top, base)
    return Lines(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        base=base,
        lines=tuple(
            Line(
                key,
                name,
                "M" + "L".join(f"{across(x)} {up(amount)}" for x, amount in points),
                tuple((across(x), up(amount)) for x, amount in points if Fraction(x) in wanted),
                label,
            )
            for (key, name, points), label in zip(drawn, labels, strict=True)
        ),
        across=tuple((across(x), words) for x, words in ticks if first <= x <= last),
        up=tuple((up(step), short(step)) for step in steps),
        marks=tuple(
            mark(across(x), key, words, top + 8 + 15 * number)
            for number, (x, key, words) in enumerate(one for one in marks if first <= one[0] <= last)
        ),
    )


def scale_of(amounts):
    """Round amounts for the lines of a scale, at most six of them, that hold nothing and all of these."""
    low, high = min(Decimal(0), *amounts), max(Decimal(0), *amounts)
    if low == high:
        high = Decimal(1)
    step = _step(high - low)
    first, last = Fraction(low) // Fraction(step), -(Fraction(-high) // Fraction(step))
    return [step * number for number in range(int(first), int(last) + 1)]


def short(amount):
    """An amount at a scale: "12,500", "1.5 M", "0.002"."""
    for size, letter in ((9, " bn"), (6, " M")):
        if abs(amount) >= Decimal(1).scaleb(size):
            return figures.count(amount.scaleb(-size)) + letter
    return figures.count(amount)


def _step(most):
    """A round distance between the lines of a scale, so that five of them hold so much."""
    unit = Decimal(1).scaleb(most.adjusted() - 1)
    while True:
        for times in (1, 2, 5):
            if most <= unit * times * 4:
                return unit * times
        unit *= 10


def _apart(places, top, base):
    """Labels in the order given, moved up or down until none covers another."""
    order = sorted(range(len(places)), key=lambda number: places[number])
    moved = list(places)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + _APART)
    over = max(0, moved[order[-1]] - base)
    return [max(top, place - over) for place in moved]
