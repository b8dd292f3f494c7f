"""What the long run of a night says at its end: how much it lived, and what went wrong."""

import subprocess
import sys
from collections import Counter

import pytest

from tests import soak
from tests.crashes.model import Broken
from tests.desk import ROOT


def test_the_last_line_says_how_much_was_lived_and_what_went_wrong():
    """F-11, F-12: numbers that a program reads, and the seed to begin with again."""
    found = Counter({"schedules": 51_600, "lost": 1, "undetected": 2})
    assert soak.summary(found, 17) == "soak: 51600 schedules, 1 lost, 0 duplicated, 2 undetected (seed 17)"


@pytest.mark.parametrize(
    ("violation", "kind"),
    [
        ("SEED=3: I2: EDIT_ACCOUNT is still UNKNOWN at rest", "lost"),
        ("SEED=3: I5: confirmed, and not there", "lost"),
        ("SEED=3: I3: 2 objects of one create", "duplicated"),
        ("E   tests.crashes.invariants.Violation: I4: Togai applied a decision twice", "duplicated"),
        ("SEED=3: I6: refused, and there", "undetected"),
        ("SEED=3: I12: a call to Togai left inside a transaction", "undetected"),
        ("SEED=3: KeyError: 'id'", "undetected"),
    ],
)
def test_what_went_wrong_is_told_by_the_invariant_that_broke(violation, kind):
    """reliability.md 3.4: whatever is neither lost nor duplicated was wrong without a word."""
    assert soak.kind_of(violation) == kind


def test_a_test_that_names_no_invariant_fails_as_what_it_is_about():
    """F-17, F-18: a race that is lost takes or decides something twice."""
    assert soak.kind_of("E   assert {1, 2} == {1}", soak.PARTS["races"].means) == "duplicated"


def test_one_bad_life_does_not_keep_the_others_from_being_lived(monkeypatch):
    """F-03: each is told with its seed; the lives of one database end with the first."""

    def live(seed):
        if seed % 4 == 1:
            raise Broken(f"SEED={seed}: I3: 2 objects of one create")
        return Counter({"CONFIRMED": 1})

    monkeypatch.setattr(soak, "_live", live)
    counted, broken = soak.lived(("models", range(10)))
    assert (counted["lived"], counted["CONFIRMED"]) == (10, 7)
    assert [text.partition(":")[0] for text in broken] == ["SEED=1", "SEED=5", "SEED=9"]
    counted, broken = soak.lived(("kills", range(10)))
    assert (counted["lived"], len(broken)) == (2, 1)


def test_a_small_soak_says_all_this_by_itself():
    """F-10: `make soak PARTS=models SCHEDULES=60 SEED=7`."""
    command = [sys.executable, "-m", "tests.soak", "models", "--schedules", "60", "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    first, *_, last = done.stdout.splitlines()
    assert "seeds 7 to 66" in first
    # The model is not the product: its lives are not counted among the product's.
    assert last == "soak: 0 schedules, 0 lost, 0 duplicated, 0 undetected (seed 7)"
