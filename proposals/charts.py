"""Small charts drawn on the server as numbers for an SVG: no script, no style, and a table says the same."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """A rectangle of the drawing, in its units; `series` counts from 1."""

    x: int
    y: int
    width: int
    height: int
    series: int
    value: int


@dataclass(frozen=True)
class Bars:
    """Groups of bars: lines of the scale as (y, words), labels as (x, words)."""

    width: int
    height: int
    bars: tuple
    grid: tuple
    labels: tuple
    left: int
    base: int


def grouped_bars(groups, *, width=320, height=180, left=28, below=24, above=10):
    """
    Place bars for groups of numbers.

    :param groups: (words, numbers) pairs; all groups hold as many numbers, none of them negative
    """
    most = max((value for _, values in groups for value in values), default=0)
    step = _step(most)
    top = max(step, -(-most // step) * step)
    base = height - below
    room = base - above
    slot = (width - left) // max(1, len(groups))
    series = max((len(values) for _, values in groups), default=1)
    wide = min(24, (slot - 8) // series)
    bars, labels = [], []
    for place, (words, values) in enumerate(groups):
        middle = left + place * slot + slot // 2
        start = middle - wide * series // 2
        labels.append((middle, words))
        for number, value in enumerate(values):
            tall = value * room // top
            bars.append(Bar(start + number * wide, base - tall, wide - 2, tall, number + 1, value))
    grid = tuple((base - value * room // top, value) for value in range(0, top + 1, step))
    return Bars(width, height, tuple(bars), grid, tuple(labels), left, base)


def _step(most):
    """A round distance between the lines of a scale, so that four or five of them hold the tallest bar."""
    unit = 1
    while True:
        for times in (1, 2, 5):
            if most <= unit * times * 4:
                return unit * times
        unit *= 10
