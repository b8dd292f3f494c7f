"""Durations in words and as ISO 8601 writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purchases import durations
from purchases.cards import span

SAID = [
    ("30 days", "P30D"),
    ("30 Days from the grant", "P30D"),
    ("1 month", "P1M"),
    ("1 year and 6 months", "P1Y6M"),
    ("1 year, 2 months 3 days 4 hours 5 minutes 6 seconds", "P1Y2M3DT4H5M6S"),
    ("2 weeks", "P2W"),
    ("2 weeks 3 days", "P17D"),
    ("720 hours", "PT720H"),
    ("3 days 1 month", "P1M3D"),
    ("no time", "PT0S"),
    ("0 days", "PT0S"),
    ("P30D", "P30D"),
    (" p1m ", "P1M"),
    ("PT0S", "PT0S"),
]


@pytest.mark.parametrize(("said", "iso"), SAID)
def test_a_duration_is_read_from_words_and_from_iso(said, iso):
    """G-08: a window is typed as people say it, or as Togai does."""
    assert durations.iso(said) == iso


@pytest.mark.parametrize(
    "said",
    [
        "",
        "30",
        "soon",
        "a month",
        "1 fortnight",
        "1 day 2 days",
        "P",
        "P1M2W",
        "-1 day",
        "1.5 days",
        "٣ days",
    ],
)
def test_what_is_no_duration_is_refused_with_an_example(said):
    with pytest.raises(ValueError, match=r"30 days|no unit of time|once"):
        durations.iso(said)


PARTS = st.fixed_dictionaries({}, optional={unit: st.integers(1, 999) for unit in "YMD"})
TIMES = st.fixed_dictionaries({}, optional={unit: st.integers(1, 999) for unit in "HMS"})


@given(PARTS, TIMES)
def test_a_duration_survives_its_words(date, time):
    """What a field shows of a stored duration leads back to the very same text."""
    written = "P" + "".join(f"{date[unit]}{unit}" for unit in "YMD" if unit in date)
    written += "T" + "".join(f"{time[unit]}{unit}" for unit in "HMS" if unit in time) if time else ""
    if written == "P":
        written = "PT0S"
    shown = durations.as_typed(written)
    assert "P" not in shown
    assert durations.iso(shown) == written
    assert span(durations.iso(shown)) == span(written)


@pytest.mark.parametrize("odd", ["P0D", "PT1.5S", "P1Y0M", "P001D", "nonsense"])
def test_a_duration_that_words_would_rewrite_is_shown_as_it_is(odd):
    assert durations.as_typed(odd) == odd


@pytest.mark.parametrize(
    ("opens", "closes", "next_closes"),
    [
        ("PT0S", "P30D", "P60D"),
        ("P1M", "P2M", "P3M"),
        ("P1Y", "P1M", ""),
        ("P1W", "P2W", "P3W"),
        ("x", "P1M", ""),
    ],
)
def test_a_window_that_follows_is_as_long_as_the_one_before(opens, closes, next_closes):
    assert durations.twice_as_far(opens, closes) == next_closes
