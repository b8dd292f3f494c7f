"""F-23: odd days, odd clocks and odd zones decide nothing, lose nothing and send nothing twice."""

import copy
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from audit.refusals import Invalid
from proposals import services
from purchases import terms
from purchases.drafts import business_day
from purchases.outcome import why_stale
from purchases.pricing.estimates import _months_later
from tests.factories import NOON, draft, finance, submitted
from tests.faults.rig import Fault, Step
from tests.togai.fake_togai import Clock
from tests.togai.raw_server import closes
from togai import checkpoints, deliveries
from togai.models import Delivery
from togai.wire.reading import moment
from togai.worker import Worker

pytestmark = pytest.mark.django_db

Kind, State = Delivery.Kind, Delivery.State
ANSWER_LOST = Fault("answer lost", lambda good: closes)

# From the last place where a day ends to the first where one begins, and those that change their clocks.
ZONES = (
    *(timezone(timedelta(hours=hours)) for hours in range(-12, 15)),
    *map(
        ZoneInfo,
        (
            "Europe/Berlin",
            "America/New_York",
            "America/St_Johns",
            "America/Santiago",
            "Africa/Cairo",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
            "Pacific/Kiritimati",
        ),
    ),
)
DAYS = (
    date(2030, 3, 31),  # clocks go forward in Berlin
    date(2030, 10, 27),  # and back
    date(2030, 3, 10),  # New York
    date(2030, 11, 3),
    date(2030, 9, 7),  # Santiago: the hour after midnight does not exist
    date(2030, 4, 6),  # Santiago: the last hour of the day comes twice
    date(2028, 2, 29),
    date(2030, 1, 31),
    date(2029, 12, 31),
)


def create_of(proposal):
    return Delivery.objects.of(proposal).get(kind=Kind.CREATE_PROPOSAL)


def live(worker, clock, *, spans):
    for span in spans:
        worker.work()
        clock.forward(**span)
    worker.work()


A_DAY = [{"minutes": 1}, {"minutes": 15}, {"minutes": 6}, {"minutes": 20}, *[{"hours": 2}] * 12]


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_a_validity_ends_with_its_day_and_the_next_second_is_stale(zone, settings):
    """F-23, R-27: from −12 to +14, both ways of summer time, leap day, year end."""
    settings.BUSINESS_TIME_ZONE = zone
    proposal = draft()
    for day in DAYS:
        last = terms.expiry(day, zone)
        assert last.tzinfo is UTC
        assert business_day(last) == day
        assert business_day(last + timedelta(seconds=1)) == day + timedelta(days=1)
        proposal.valid_until = day
        assert why_stale(proposal, since=last, at=last) == ""
        assert why_stale(proposal, since=last, at=last + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        (date(2030, 1, 31), 1, date(2030, 2, 28)),
        (date(2028, 1, 31), 1, date(2028, 2, 29)),
        (date(2028, 2, 29), 12, date(2029, 2, 28)),
        (date(2029, 12, 31), 2, date(2030, 2, 28)),
        (date(2029, 12, 31), 1, date(2030, 1, 31)),
    ],
)
def test_a_month_after_the_last_of_a_month_is_the_last_of_the_next(day, months, later):
    """F-23: 31 January and a month, leap day and a year."""
    assert _months_later(day, months) == later


def test_the_last_day_of_the_calendar_is_refused_in_words():
    """F-23: 9999-12-31 is a day somebody types to mean for ever."""
    with pytest.raises(Invalid, match="Enter a date from 2000 to 2100"):
        draft(valid_until=date(9999, 12, 31))


@pytest.mark.parametrize("text", ["2030-01-10T12:00:00", "2030-01-10 12:00:00.5"])
def test_a_moment_of_togais_without_a_zone_is_utc_or_refused(text):
    """F-23: a naive moment never meets an aware one."""
    try:
        found = moment(text)
    except ValueError:
        return
    assert found.utcoffset() == timedelta(0)


def test_a_naive_moment_does_not_reach_a_row(rig, worker):
    """F-23: whoever hands one to a delivery is stopped."""
    create = create_of(submitted())
    with pytest.raises((TypeError, ValueError, RuntimeWarning)):
        deliveries.claim(create.pk, worker="naive", at=NOON.replace(tzinfo=None))
    assert create_of_state(create) == State.NOT_SENT


def create_of_state(delivery):
    return Delivery.objects.get(pk=delivery.pk).state


@pytest.mark.parametrize(
    "start",
    [
        datetime(2030, 3, 31, 0, 30, tzinfo=UTC),
        datetime(2030, 10, 27, 0, 30, tzinfo=UTC),
        datetime(2028, 2, 28, 23, 50, tzinfo=UTC),
        datetime(2029, 12, 31, 22, 50, tzinfo=UTC),
    ],
    ids=["clocks go forward", "clocks go back", "leap day begins", "year ends"],
)
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
def test_a_send_in_doubt_lives_through_an_odd_night(rig, start, applied):
    """F-23: quarantine, looks and resend are spans of time, which no calendar changes."""
    clock = Clock(start)
    rig.begin(clock)
    worker = Worker(rig.gateway(), clock=clock, monotonic=clock.monotonic, name="test")
    proposal = submitted(at=start)
    rig.misbehave(ANSWER_LOST, at=Step.PROPOSAL, applies=applied)
    worker.work()
    rig.heal()
    live(worker, clock, spans=A_DAY)
    assert create_of(proposal).state == State.CONFIRMED
    assert len(rig.togai.records) == 1
    sent = rig.received(Step.PROPOSAL)
    assert len(sent) == (1 if applied else 2)
    assert applied or sent[1].at - sent[0].at >= timedelta(minutes=20)


@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
@pytest.mark.parametrize("minutes", range(0, 41, 5))
def test_a_clock_that_is_set_back_an_hour_sends_nothing_twice(rig, worker, clock, minutes, applied):
    """F-23: at any moment of a doubt; the row waits longer, and ends as it would have."""
    proposal = submitted()
    rig.misbehave(ANSWER_LOST, at=Step.PROPOSAL, applies=applied)
    worker.work()
    rig.heal()
    for _ in range(minutes):
        clock.forward(minutes=1)
        worker.work()
    clock.forward(hours=-1)
    live(worker, clock, spans=[{"minutes": 5}] * 15 + A_DAY)
    assert create_of(proposal).state == State.CONFIRMED
    assert len(rig.togai.records) == 1
    assert len(rig.received(Step.PROPOSAL)) == (1 if applied else 2)


def test_a_clock_that_is_set_back_while_a_claim_is_held_does_not_free_it_twice(rig, clock):
    """F-23, R-11: the worker trusts its own monotonic seconds."""
    proposal = submitted()
    monotonic = Clock()
    worker = Worker(rig.gateway(), clock=clock, monotonic=monotonic.monotonic, name="test")
    other = Worker(rig.gateway(), clock=clock, monotonic=monotonic.monotonic, name="other")

    def meanwhile(name):
        if name == "send.before":
            checkpoints.listen(None)
            clock.forward(hours=-1)
            other.work()

    checkpoints.listen(meanwhile)
    try:
        worker.work()
    finally:
        checkpoints.listen(None)
    live(other, clock, spans=[{"minutes": 5}] * 15)
    assert create_of(proposal).state == State.CONFIRMED
    assert (len(rig.received(Step.PROPOSAL)), len(rig.togai.records)) == (1, 1)


@pytest.mark.parametrize("minutes", [-10, 10])
def test_two_workers_whose_clocks_disagree_send_once(rig, clock, minutes):
    """F-23: ten minutes either way; the second one wakes up in the middle of the first one's send."""
    proposal = submitted()
    wrong = copy.copy(clock)
    wrong.forward(minutes=minutes)
    first = Worker(rig.gateway(), clock=clock, monotonic=clock.monotonic, name="first")
    second = Worker(rig.gateway(), clock=wrong, monotonic=wrong.monotonic, name="second")

    def meanwhile(name):
        if name in ("send.before", "send.after"):
            checkpoints.listen(None)
            second.work()
            checkpoints.listen(meanwhile if name == "send.before" else None)

    checkpoints.listen(meanwhile)
    try:
        first.work()
    finally:
        checkpoints.listen(None)
    for span in A_DAY:
        first.work()
        second.work()
        clock.forward(**span)
        wrong.forward(**span)
    assert create_of(proposal).state == State.CONFIRMED
    assert (len(rig.received(Step.PROPOSAL)), len(rig.togai.records)) == (1, 1)


@pytest.mark.parametrize("shows_keys", [True, False], ids=["keys in the list", "keys in the record alone"])
@pytest.mark.parametrize("minutes", [-10, 10])
def test_togais_clock_may_be_ten_minutes_off(rig, worker, clock, minutes, shows_keys):
    """F-23, 2.7: what Togai made ten minutes before we asked for it is found all the same."""
    theirs = copy.copy(clock)
    theirs.forward(minutes=minutes)
    rig.togai.clock = theirs
    rig.togai.shows_keys = shows_keys
    proposal = submitted()
    rig.misbehave(ANSWER_LOST, at=Step.PROPOSAL, applies=True)
    worker.work()
    rig.heal()
    live(worker, clock, spans=A_DAY)
    assert create_of(proposal).state == State.CONFIRMED
    assert (len(rig.received(Step.PROPOSAL)), len(rig.togai.records)) == (1, 1)


def test_a_decision_made_before_the_validity_ended_is_sent_after_it(rig, worker, clock):
    """F-23, R-27: our clock says nothing about whether it still counts; only Togai does."""
    proposal = submitted()
    worker.work()
    last_minute = proposal.expires_at - timedelta(minutes=1)
    services.approve(
        proposal_id=proposal.pk, by=finance(), at=last_minute, content_hash=proposal.content_hash
    )
    clock.at = proposal.expires_at + timedelta(hours=1)
    worker.work()
    proposal.refresh_from_db()
    assert (proposal.status, proposal.togai_status) == ("APPROVED", "PROPOSAL_APPROVED")
