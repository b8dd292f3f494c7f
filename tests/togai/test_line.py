"""What all workers share: the bucket, the circuit, the pause; and the rows that nobody may go on with."""

import threading
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import connection

from audit.refusals import WrongStatus
from purchases import services as purchases
from purchases.models import PricePlan
from tests.factories import NOON, PricePlanFactory, administrator, finance, submitted, submitted_purchase
from togai import deliveries, line
from togai.models import Delivery, Link
from togai.worker import Worker

pytestmark = pytest.mark.django_db

State, Kind = Delivery.State, Delivery.Kind


def hand(togai, clock, name, **options):
    return Worker(togai.gateway(**options), clock=clock, monotonic=clock.monotonic, name=name)


def states():
    return sorted(Delivery.objects.values_list("state", flat=True))


# --- The bucket ---


def test_workers_take_turns_out_of_one_bucket(settings):
    """I14, G-49: however many ask at once, their calls are an eighth of a second apart."""
    settings.TOGAI_REQUESTS_PER_SECOND = 8
    moments = [line.reserve(at=NOON) for _ in range(17)]
    gaps = {after - before for before, after in pairwise(moments)}
    assert moments[0] == NOON
    assert gaps == {timedelta(seconds=0.125)}


def test_a_bucket_that_stood_still_gives_no_more_than_its_pace():
    """G-49: an hour without calls is not an hour's worth of calls at once."""
    line.reserve(at=NOON)
    later = NOON + timedelta(hours=1)
    assert [line.reserve(at=later) - later for _ in range(3)] == [timedelta(seconds=n / 8) for n in range(3)]


def test_a_clock_that_was_far_ahead_does_not_stop_the_others():
    """F-23: a bucket that was reserved next year is not waited for."""
    Link.objects.create(pk=1, next_call_at=NOON + timedelta(days=365))
    assert line.reserve(at=NOON) == NOON


def test_a_call_waits_for_its_turn(togai, clock):
    """G-49: the pace stands in front of every call of the gateway, the pages of a list included."""
    slept = []
    gateway = togai.gateway(before_call=line.Pace(clock=clock, sleep=slept.append))
    for _ in range(3):
        gateway.probe()
    assert slept == [0.125, 0.25]


# --- The circuit ---


def test_that_togai_answers_is_written_down_when_it_is_news_alone(django_assert_num_queries):
    """R-19: an UPDATE of nothing still waits for its turn to write, at every call of every worker."""
    line.failed(at=NOON, why="Togai cannot be reached.")
    late = timedelta(seconds=30)
    line.reached(at=NOON, skew=late)
    link = Link.load()
    assert (link.unreachable_since, link.failures, link.skew_seconds) == (None, 0, 30)
    with django_assert_num_queries(1) as queries:
        line.reached(at=NOON, skew=late + timedelta(seconds=2))
    assert queries[0]["sql"].startswith("SELECT")


def test_five_failures_in_a_row_open_the_circuit_and_it_is_tried_ever_more_rarely(togai, worker, clock):
    """Reliability 2.10: tried by a cheap read after 60 s, twice as long each time, ten minutes at most."""
    submitted()
    togai.next_answers, togai.reads_fail_with = ["down"] * 99, "down"
    tried = []
    for second in range(0, 3000, 10):
        reads = len(togai.reads)
        worker.work()
        if len(togai.reads) > reads:
            tried.append(second)
        clock.forward(seconds=10)
    waits = [after - before for before, after in pairwise(tried)]
    assert waits[3:9] == [60, 120, 240, 480, 600, 600]
    assert togai.writes == []
    assert Delivery.objects.get().sends == 0


def test_a_server_that_fails_half_of_its_calls_opens_the_circuit():
    """Reliability 2.10: half of twenty within a minute, even if no five are in a row."""
    for number in range(20):
        at = NOON + timedelta(seconds=number)
        line.reserve(at=at)
        if number % 2:
            line.failed(at=at, why="Togai does not answer as it should.")
        else:
            Link.objects.filter(pk=1).update(failures=0)
    assert Link.load().closed_until == NOON + timedelta(seconds=19 + 60)


def test_failures_of_an_earlier_minute_do_not_count():
    """Reliability 2.10: one bad minute in an hour is no outage."""
    for number in range(60):
        at = NOON + timedelta(seconds=number * 40)
        line.reserve(at=at)
        line.failed(at=at, why="Togai cannot be reached.")
        Link.objects.filter(pk=1).update(failures=0)
    assert Link.load().closed_until is None


def test_an_answer_closes_the_circuit_and_what_waited_goes_at_once(togai, worker, clock):
    """G-47: nobody waits for a back-off that has lost its reason."""
    submitted()
    togai.next_answers, togai.reads_fail_with = ["down"], "down"
    for _ in range(8):
        worker.work()
        clock.forward(seconds=1)
    assert Link.load().closed_until is not None
    togai.reads_fail_with = None
    clock.forward(minutes=10)
    worker.work()
    link = Link.load()
    assert (link.closed_until, link.probes, link.unreachable_since, link.failures) == (None, 0, None, 0)
    assert states() == [State.CONFIRMED]


def test_a_refusal_is_no_failure_of_the_line(togai, worker):
    """Reliability 2.6: whoever says 400 is there."""
    for _ in range(6):
        submitted()
    togai.next_answers = [400] * 6
    worker.work()
    link = Link.load()
    assert (link.unreachable_since, link.closed_until) == (None, None)
    assert states() == [State.REJECTED] * 6


def test_a_call_that_is_forbidden_twice_is_not_made_a_third_time(togai, worker):
    """Reliability 2.6, 403: the other rows wait untouched; letting the held ones go on tries it again."""
    for _ in range(5):
        submitted()
    togai.next_answers = [403] * 5
    for _ in range(3):
        worker.work()
    assert len(togai.writes) == 2
    assert states() == [State.HELD] * 2 + [State.NOT_SENT] * 3
    togai.next_answers = []
    for held in Delivery.objects.filter(state=State.HELD):
        deliveries.release(held.pk, at=NOON)
    worker.work()
    assert states() == [State.CONFIRMED] * 5


# --- Pause and look-only ---


def test_a_pause_stops_sending_and_nothing_else(togai, worker, clock):
    """G-52: looks and reads go on; after it everything leaves once."""
    first, _ = submitted(), submitted()
    togai.next_answers = ["lost"]
    worker.step(Delivery.objects.of(first).get().pk)
    line.pause(by=administrator(), at=NOON, why="The price list at Togai is being moved.")
    clock.forward(minutes=1)
    worker.work()
    assert states() == [State.CONFIRMED, State.NOT_SENT]
    line.resume()
    worker.work()
    assert states() == [State.CONFIRMED, State.CONFIRMED]
    assert len(togai.created()) == 2


def test_a_pause_reaches_a_worker_that_has_its_row_already(togai, clock, monkeypatch):
    """G-52: it takes effect within a second, not after the batch."""
    proposal = submitted()
    boss = administrator()
    worker = hand(togai, clock, "test")
    claim = deliveries.claim

    def claimed_then_paused(*args, **options):
        delivery = claim(*args, **options)
        line.pause(by=boss, at=NOON, why="Stop everything at once.")
        return delivery

    monkeypatch.setattr(deliveries, "claim", claimed_then_paused)
    worker.step(Delivery.objects.of(proposal).get().pk)
    delivery = Delivery.objects.of(proposal).get()
    assert (delivery.state, delivery.sends, togai.writes) == (State.NOT_SENT, 0, [])


def test_look_only_looks_and_sends_nothing(togai, worker, clock):
    """R-21: after a restore only reading is safe."""
    submitted()
    line.look_only(at=NOON, why="Restored from the backup of the night.")
    for _ in range(3):
        worker.work()
        clock.forward(hours=1)
    assert togai.writes == []
    line.sign()
    worker.work()
    assert states() == [State.CONFIRMED]


# --- Rows that nobody goes on with by himself ---


def retire(deal):
    PricePlan.objects.filter(pk=deal.price_plan_id).update(status="ARCHIVED")


def leave(deal):
    deal.owner.is_active = False
    deal.owner.save()


@pytest.mark.parametrize(
    ("what", "because"), [(retire, "no longer offered"), (leave, "no longer works on deals")]
)
def test_a_create_that_is_no_longer_meant_is_held_for_its_rep(togai, worker, clock, what, because):
    """G-47, reliability 2.7: after a day without Togai nobody is surprised by what leaves."""
    proposal = submitted()
    what(proposal)
    clock.forward(days=1)
    worker.work()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.sends, togai.writes) == (State.HELD, 0, [])
    assert because in delivery.held_because


def test_a_held_purchase_is_revised_by_its_rep(togai, worker, clock, client):
    """Reliability 2.7: the start has passed, so letting it go on would hold it again; this is the way out."""
    purchase = submitted_purchase(
        type="ASSOCIATION",
        quantity=None,
        price_plan=PricePlanFactory(recurring=True),
        effective_from=NOON.date() + timedelta(days=1),
    )
    purchases.release(
        purchase_id=purchase.pk,
        by=finance(),
        at=NOON,
        content_hash=purchase.content_hash,
        signed_in_at=NOON,
    )
    clock.forward(days=3)
    worker.work()
    client.force_login(purchase.owner)
    assert "Revise" in client.get(purchase.get_absolute_url()).content.decode()
    purchases.revise(purchase_id=purchase.pk, by=purchase.owner, at=clock())
    purchase.refresh_from_db()
    delivery = Delivery.objects.get()
    assert (purchase.status, purchase.revision) == ("DRAFT", 2)
    assert delivery.is_withdrawn
    assert "It was to start on 11 Jan 2030." in delivery.last_message
    worker.work()
    assert togai.writes == []


def test_a_purchase_that_may_be_at_togai_is_not_revised(togai, worker, clock):
    """R-14: what was sent and is in doubt stays as it is until Togai has said what became of it."""
    purchase = submitted_purchase()
    purchases.release(purchase_id=purchase.pk, by=finance(), at=NOON, content_hash=purchase.content_hash)
    togai.next_answers = ["lost"]
    worker.work()
    with pytest.raises(WrongStatus, match="Only a purchase that Togai refused"):
        purchases.revise(purchase_id=purchase.pk, by=purchase.owner, at=clock())


def test_a_create_whose_validity_has_passed_is_held(togai, worker, clock):
    """R-27: the day was there, and Togai was not."""
    proposal = submitted()
    clock.at = proposal.expires_at + timedelta(hours=1)
    worker.work()
    assert Delivery.objects.get().state == State.HELD
    assert togai.writes == []


def test_a_row_in_which_three_workers_ended_is_left_to_a_person(togai, worker, clock):
    """Reliability 2.7, poison row: the others proceed."""
    poison, other = submitted(), submitted()
    row = Delivery.objects.of(poison).get()
    for _ in range(3):
        # Each time a worker claims it and is never heard of again.
        deliveries.claim(row.pk, worker="dies", at=clock())
        clock.forward(minutes=40)
        deliveries.recover_expired_claims(at=clock())
        Delivery.objects.filter(pk=row.pk).update(next_at=clock())
    row.refresh_from_db()
    poison.refresh_from_db()
    assert (row.state, row.deaths) == (State.NEEDS_HUMAN, 3)
    assert "3 workers" in poison.togai_problem
    worker.work()
    assert Delivery.objects.of(other).get().state == State.CONFIRMED


def test_a_step_that_ends_well_forgets_the_deaths_before_it(togai, worker, clock):
    """Reliability 2.7: two deploys in a year do not make a poison row."""
    submitted()
    row = Delivery.objects.get()
    deliveries.claim(row.pk, worker="dies", at=clock())
    clock.forward(minutes=40)
    worker.work()
    row.refresh_from_db()
    assert row.deaths == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite takes one worker only (R-12)")
def test_nobody_touches_a_row_while_a_frozen_worker_may_still_send_it(togai, clock):
    """R-12: the claim has expired, the process lives; the session's lock keeps the row alone."""
    submitted()
    row = Delivery.objects.get()
    locked, done = threading.Event(), threading.Event()

    def frozen():
        with deliveries.alone_with(row.pk) as alone:
            assert alone
            deliveries.claim(row.pk, worker="frozen", at=clock())
            locked.set()
            done.wait(20)
        connection.close()

    thread = threading.Thread(target=frozen)
    thread.start()
    assert locked.wait(20)
    clock.forward(hours=1)
    second = hand(togai, clock, "second")
    second.work()
    row.refresh_from_db()
    assert (row.state, togai.reads, togai.writes) == (State.UNKNOWN, [], [])
    done.set()
    thread.join()
    second.work()
    assert len(togai.reads) > 0
