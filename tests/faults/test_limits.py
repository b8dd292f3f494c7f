"""What Togai counts: calls without a valid token, and calls in one second (I13, I14)."""

from datetime import timedelta

import pytest

from tests.factories import AccountFactory, PricePlanFactory, rep, submitted
from tests.faults.rig import Step
from togai.line import Pace
from togai.models import Delivery
from togai.worker import Worker

pytestmark = pytest.mark.django_db


def waiting(number):
    """That many proposals that wait to be sent."""
    by, plan = rep(), PricePlanFactory()
    for account in [AccountFactory(owner=by) for _ in range(number)]:
        submitted(by=by, account=account, price_plan=plan)


def test_a_storm_of_refused_tokens_does_not_lock_the_office_out(rig, worker, clock):
    """I13, T6: at most five calls in half an hour while a hundred rows wait and open records are followed."""
    waiting(3)
    worker.work()
    waiting(100)
    rig.refuses_token = True
    for _ in range(180):
        worker.work()
        clock.forward(seconds=20)
    refused = [line for line in rig.ledger if not line.signed_in]
    assert 1 <= rig.most_within(timedelta(minutes=30), refused) <= 5
    assert Delivery.objects.filter(state=Delivery.State.NOT_SENT, sends=0).count() == 100
    rig.refuses_token = False
    for _ in range(5):
        clock.forward(minutes=7)
        worker.work()
    assert not Delivery.objects.open().exists()
    assert len(rig.togai.records) == len(rig.received(Step.PROPOSAL)) - len(
        [line for line in refused if line.step == Step.PROPOSAL]
    )


def test_no_second_sees_more_calls_than_togai_allows(rig, clock, settings):
    """I14, R-19: two workers, one bucket, eight a second; and the line is used rather than left idle."""
    settings.TOGAI_REQUESTS_PER_SECOND = 8
    waiting(60)
    began = clock()
    pace = Pace(clock=clock, sleep=lambda seconds: clock.forward(seconds=seconds))
    workers = [
        Worker(rig.gateway(before_call=pace), clock=clock, monotonic=clock.monotonic, name=name)
        for name in ("one", "two")
    ]
    for _ in range(20):
        for worker in workers:
            worker.work(most=7)
    assert len(rig.received(Step.PROPOSAL)) == 60
    assert rig.most_within(timedelta(seconds=1)) <= 8
    assert max(line.at for line in rig.received(Step.PROPOSAL)) - began < timedelta(seconds=30)
