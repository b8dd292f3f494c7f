"""
F-22: Togai is away for a day while the office works on, and comes back.

A thousand rows by default, five thousand with SOAK=1; time is virtual, the requests are real.
"""

import copy
import json
import os
from datetime import timedelta
from itertools import groupby

import pytest
from django.db import transaction

from proposals.models import Proposal
from tests.factories import NOON, AccountFactory, PricePlanFactory, rep, submitted
from tests.faults.rig import Fault, Step
from togai import deliveries
from togai.line import Pace
from togai.models import Delivery
from togai.worker import Worker

pytestmark = pytest.mark.django_db

State = Delivery.State
ROWS = 5_000 if os.environ.get("SOAK") == "1" else 1_000
ACCOUNTS = 20
# One deal in so many was meant for the day of the outage only.
STALE_EVERY = 50


def queue_a_day_of_work():
    """The creates of one day, evenly spread over its hours and over the accounts."""
    by, plan = rep(), PricePlanFactory()
    accounts = [AccountFactory(owner=by) for _ in range(ACCOUNTS)]
    first = submitted(by=by, account=accounts[0], price_plan=plan)
    deliveries.withdraw_unsent(first, at=NOON, why="Only its copies are part of this story.")
    deals = []
    for number in range(ROWS):
        deal = copy.copy(first)
        deal.pk, deal.number, deal.account = None, 10_000 + number, accounts[number % ACCOUNTS]
        deal.form_token = None
        deal.valid_until = (NOON if number % STALE_EVERY == 0 else NOON + timedelta(days=9)).date()
        deals.append(deal)
    Proposal.objects.bulk_create(deals)
    with transaction.atomic():
        for number, deal in enumerate(deals):
            deliveries.queue(
                kind=Delivery.Kind.CREATE_PROPOSAL,
                subject=deal,
                revision=1,
                account_id=deal.account.togai_id,
                body_for=lambda key, number=number: json.dumps(
                    {"idempotencyKey": key, "quantity": number + 1}
                ).encode(),
                by=by,
                at=NOON + timedelta(days=1) * number / ROWS,
            )


def test_a_day_of_outage_is_made_up_for_in_a_quarter_of_an_hour(rig, clock, settings):
    """F-22: every row once, oldest first per account, at most 8 a second; what is stale waits for its rep."""
    settings.TOGAI_REQUESTS_PER_SECOND = 8
    queue_a_day_of_work()
    pace = Pace(clock=clock, sleep=lambda seconds: clock.forward(seconds=seconds))
    worker = Worker(rig.gateway(before_call=pace), clock=clock, monotonic=clock.monotonic, name="test")
    rig.misbehave(Fault("away", road="refused"), at=Step.PROBE)
    ends = NOON + timedelta(days=1)
    while clock() < ends:
        worker.work()
        clock.forward(minutes=20)
    # No row was charged for the outage, and nobody has lost one.
    assert Delivery.objects.filter(state=State.NOT_SENT, sends=0, ambiguous_attempts=0).count() == ROWS
    assert rig.ledger == []
    rig.heal()
    back = clock()
    while Delivery.objects.filter(state=State.NOT_SENT).exists() and clock() - back < timedelta(minutes=30):
        if not worker.work():
            clock.forward(seconds=5)
    creates = rig.received(Step.PROPOSAL)
    stale = ROWS // STALE_EVERY
    assert rig.ledger[0].at - back <= timedelta(minutes=10)
    assert creates[-1].at - rig.ledger[0].at <= timedelta(minutes=15)
    assert rig.most_within(timedelta(seconds=1)) <= 8
    keys = [json.loads(line.body)["idempotencyKey"] for line in creates]
    assert len(keys) == len(set(keys)) == len(rig.togai.records) == ROWS - stale
    assert Delivery.objects.filter(state=State.CONFIRMED).count() == ROWS - stale
    held = Delivery.objects.filter(state=State.HELD)
    assert held.count() == stale
    assert all(row.held_because.startswith("Its validity ended on") and row.sends == 0 for row in held)
    in_order = sorted(((line.target, number) for number, line in enumerate(creates)))
    for account, of_account in groupby(in_order, key=lambda pair: pair[0]):
        meant = [json.loads(creates[number].body)["quantity"] for _, number in of_account]
        assert meant == sorted(meant), f"Not oldest first for {account}."
