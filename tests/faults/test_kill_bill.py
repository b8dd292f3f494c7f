"""
Three bugs that another product had for us, each with our answer (F-31 to F-33).

killbill/killbill#338, #639 and #660: a payment in doubt, a janitor that resolves doubt, and somebody who asks
again meanwhile.
"""

from contextlib import suppress

import pytest

from audit.models import Event
from audit.refusals import Refusal, WrongStatus
from proposals import services
from tests.factories import NOON, administrator, finance, submitted
from tests.faults.rig import Fault, Step
from tests.togai.raw_server import answer, closes, says
from togai import checkpoints, deliveries
from togai import services as togai_services
from togai.models import Delivery
from togai.worker import Worker

pytestmark = pytest.mark.django_db

Kind, State = Delivery.Kind, Delivery.State
ANSWER_LOST = Fault("answer lost", lambda good: closes)
REFUSED = Fault("refused", lambda good: says(answer(b'{"message":"Not like this."}', "400 Bad Request")))


def create_of(proposal):
    return Delivery.objects.of(proposal).get(kind=Kind.CREATE_PROPOSAL)


def approved(proposal):
    return services.approve(
        proposal_id=proposal.pk, by=finance(), at=NOON, content_hash=proposal.content_hash
    )


@pytest.fixture
def in_doubt(rig, worker):
    """A proposal whose create left and whose answer was lost; Togai did not carry it out."""
    proposal = submitted()
    rig.misbehave(ANSWER_LOST, at=Step.PROPOSAL)
    worker.step(create_of(proposal).pk)
    rig.heal()
    assert create_of(proposal).state == State.UNKNOWN
    return proposal


@pytest.fixture
def at_checkpoint():
    """Have something happen once, at the next time that a named moment is passed."""

    def meanwhile(name, act):
        def listener(passed):
            if passed == name:
                checkpoints.listen(None)
                act()

        checkpoints.listen(listener)

    yield meanwhile
    checkpoints.listen(None)


def test_338_a_janitor_with_an_old_list_of_work_reads_the_row_again_under_its_claim(
    in_doubt, rig, worker, clock
):
    """F-31, R-10: what another worker settled meanwhile is neither looked at nor written again."""
    clock.forward(minutes=1)
    found_due = list(deliveries.due(clock()))
    create = create_of(in_doubt)
    rig.togai.answer("POST", f"/accounts/{create.account_id}/purchase_proposals", bytes(create.body))
    Worker(rig.gateway(), clock=clock, monotonic=clock.monotonic, name="other").work()
    settled, reads = create_of(in_doubt), len(rig.ledger)
    assert settled.state == State.CONFIRMED
    assert [worker.step(pk) for pk in found_due] == [None]
    assert (create_of(in_doubt).last_message, len(rig.ledger)) == (settled.last_message, reads)


@pytest.mark.parametrize("absences", [0, 1])
def test_338_a_janitor_that_was_overtaken_in_the_middle_of_its_walk_changes_nothing(
    in_doubt, rig, worker, clock, at_checkpoint, absences
):
    """F-31, C12: a stale walk may not count; it would have sent again what has just been confirmed."""
    clock.forward(minutes=16)
    for _ in range(absences):
        worker.step(create_of(in_doubt).pk)
        clock.forward(minutes=6)
    create = create_of(in_doubt)

    def overtake():
        clock.forward(minutes=5)
        rig.togai.answer("POST", f"/accounts/{create.account_id}/purchase_proposals", bytes(create.body))
        other = Worker(rig.gateway(), clock=clock, monotonic=clock.monotonic, name="other")
        deliveries.recover_expired_claims(at=clock())
        other.step(create.pk)
        assert create_of(in_doubt).state == State.CONFIRMED

    at_checkpoint("look.after", overtake)
    worker.step(create.pk)
    assert create_of(in_doubt).state == State.CONFIRMED
    worker.work()
    assert len(rig.received(Step.PROPOSAL)) == 1
    assert len(rig.records_of(create.idempotency_key)) == 1


@pytest.mark.parametrize("honours_keys", [True, False])
def test_639_whoever_asks_again_while_it_is_unknown_gets_a_look_and_never_a_second_send(
    in_doubt, rig, worker, clock, honours_keys
):
    """F-32, R-05: wake-ups, steps, people and the passing of time; the list is down, so nothing resolves."""
    rig.togai.honours_keys = honours_keys
    pk = create_of(in_doubt).pk
    rig.misbehave(Fault("list is down", lambda good: closes), at=Step.FIRST_PAGE)
    for _ in range(8):
        clock.forward(minutes=20)
        worker.work()
        worker.step(pk)
        togai_services.look_now(delivery_id=pk, by=finance(), at=clock())
        with pytest.raises(WrongStatus):
            togai_services.release(delivery_id=pk, by=administrator(), at=clock())
        worker.step(pk)
    assert create_of(in_doubt).state == State.UNKNOWN
    assert len(rig.received(Step.PROPOSAL)) == 1
    assert len(rig.received(Step.FIRST_PAGE)) >= 8


def test_639_the_answer_of_the_look_is_the_answer_of_the_send(in_doubt, rig, worker, clock):
    """F-32, R-05: resolved as done, the one who asks again is told so, and nothing else is created."""
    create = create_of(in_doubt)
    rig.togai.answer("POST", f"/accounts/{create.account_id}/purchase_proposals", bytes(create.body))
    clock.forward(minutes=1)
    worker.work()
    for _ in range(5):
        clock.forward(hours=1)
        worker.step(create.pk)
        worker.work()
    in_doubt.refresh_from_db()
    assert (in_doubt.togai_status, len(rig.togai.records)) == ("PROPOSAL_ACTIVE", 1)
    assert len(rig.received(Step.PROPOSAL)) == 1


def test_660_a_decision_that_meets_the_janitors_no_does_not_make_a_second_create(
    in_doubt, rig, worker, clock, at_checkpoint
):
    """
    F-33, R-14, R-17: in #660 completing a pending transaction made a new one under the same key, because
    the janitor had just failed the first. Here an approval arrives in the moment in which the create is
    refused for good.
    """
    create = create_of(in_doubt)
    rig.misbehave(REFUSED, at=Step.PROPOSAL)
    for minutes in (16, 6):
        clock.forward(minutes=minutes)
        worker.work()
    at_checkpoint("look.after", lambda: approved(in_doubt))
    for _ in range(10):
        clock.forward(hours=2)
        worker.work()
    in_doubt.refresh_from_db()
    assert create_of(in_doubt).state == State.REJECTED
    assert in_doubt.status == "APPROVED"
    assert rig.togai.records == {}
    assert rig.received(Step.DECISION) == []
    # Two sends of one create, byte for byte the same; the approval did not bring a third one.
    assert {line.body for line in rig.received(Step.PROPOSAL)} == {bytes(create.body)}
    assert len(rig.received(Step.PROPOSAL)) == 2
    assert Delivery.objects.filter(kind=Kind.CREATE_PROPOSAL).count() == 1
    assert not Delivery.objects.open().exists()


def test_660_an_approval_after_the_janitors_no_is_refused_or_goes_nowhere(in_doubt, rig, worker, clock):
    """F-33, R-24: what Togai refused for good cannot be completed any more, whoever tries."""
    rig.misbehave(REFUSED, at=Step.PROPOSAL)
    for _ in range(10):
        clock.forward(hours=2)
        worker.work()
    assert create_of(in_doubt).state == State.REJECTED
    sent = len(rig.received(Step.PROPOSAL))
    # Whether it is still offered is another test's; nobody gets through.
    with suppress(Refusal):
        approved(in_doubt)
    rig.heal()
    for _ in range(5):
        clock.forward(hours=2)
        worker.work()
    assert (rig.togai.records, rig.received(Step.DECISION)) == ({}, [])
    assert len(rig.received(Step.PROPOSAL)) == sent


def test_660_news_that_comes_twice_or_late_is_applied_once(rig, worker, clock):
    """F-33, R-06: the same word again changes nothing and leaves no second entry on the record."""
    proposal = submitted()
    worker.work()
    approved(proposal)
    worker.work()
    (record,) = rig.togai.records.values()
    record |= {"status": "SUCCESS", "invoiceId": "inv.1"}
    clock.forward(hours=1)
    worker.work()
    entries = Event.objects.count()
    for _ in range(5):
        clock.forward(days=1)
        worker.work()
    proposal.refresh_from_db()
    assert (proposal.status, proposal.togai_status) == ("APPROVED", "SUCCESS")
    assert Event.objects.count() == entries
    assert len(rig.received(Step.DECISION)) == 1
