"""When what recurs is due, and what a minimum commitment makes of it, against counting cycle by cycle."""

import random
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purchases.money import Money, total
from purchases.pricing import Line, Rhythm, true_up
from purchases.pricing.rhythms import common_multiple, due_together

rhythms = st.builds(Rhythm, every=st.integers(1, 9), offset=st.integers(0, 40))


@given(rhythms, st.integers(0, 100))
def test_charges_are_the_cycles_in_which_it_is_due(rhythm, cycles):
    assert rhythm.charges(cycles) == sum(rhythm.is_due(cycle) for cycle in range(cycles))


@given(st.frozensets(rhythms, max_size=5), st.integers(0, 120))
@settings(deadline=None)
def test_what_is_due_together_is_what_counting_finds(drawn, cycles):
    counted = Counter(
        frozenset(rhythm for rhythm in drawn if rhythm.is_due(cycle)) for cycle in range(cycles)
    )
    assert due_together(drawn, cycles) == counted


def test_a_term_of_any_length_takes_one_round():
    """Monthly, every third month after one, and yearly: twelve different months, however many there are."""
    found = due_together({Rhythm(), Rhythm(3, 1), Rhythm(12)}, 12 * 10**9 + 1)
    assert sum(found.values()) == 12 * 10**9 + 1
    assert found[frozenset({Rhythm(), Rhythm(12)})] == 10**9 + 1


@pytest.mark.parametrize(("numbers", "common"), [((), 1), ((4, 6), 12), ((1, 7, 3), 21), ((5, 5), 5)])
def test_the_common_multiple(numbers, common):
    assert common_multiple(numbers) == common


def line(amount, per, rhythm):
    money = Money(Decimal(amount), "EUR")
    return Line(
        "fixedFeeRateCards", "x", "x", per, Decimal(1), money, every=rhythm.every, offset=rhythm.offset
    )


@pytest.mark.parametrize("seed", range(40))
def test_a_commitment_over_a_term_is_the_sum_of_its_cycles(seed):
    """Brute force: cycle by cycle, what is missing to the commitment of the lines that are due in it."""
    dice = random.Random(seed)
    lines = [
        line(
            dice.randrange(0, 900),
            dice.choice(["cycle", "cycle", "once"]),
            dice.choice([Rhythm(), Rhythm(dice.randrange(1, 7), dice.randrange(6))]),
        )
        for _ in range(dice.randrange(6))
    ]
    committed = dice.randrange(1, 1500)
    rates = [{"currency": "EUR", "rate": str(committed)}]
    commitment = true_up({"rateValues": rates}, lines=lines, currency="EUR")
    cycles = dice.randrange(60)
    each = []
    for cycle in range(cycles):
        due = [one for one in lines if one.per == "cycle" and one.rhythm.is_due(cycle)]
        reached = total((one.amount for one in due), "EUR").amount
        each.append(Money(max(Decimal(0), committed - reached), "EUR"))
    assert commitment.over(cycles) == total(each, "EUR")
    by_amount = Counter(one.amount for one in each)
    if commitment.varies:
        assert {money.amount: times for money, times in commitment.true_ups(cycles)} == by_amount
    assert replace(commitment, amount=None).over(cycles) is None
