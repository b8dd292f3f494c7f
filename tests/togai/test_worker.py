"""What becomes of a delivery row, whatever Togai answers."""

import re
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from audit import services as audit
from proposals import services
from proposals.models import Proposal
from purchases import services as purchases
from tests.factories import NOON, finance, submitted, submitted_purchase
from tests.tampering import triggers_off
from togai import deliveries, wording
from togai.line import Pace
from togai.models import Delivery, DeliveryAttempt, Link
from togai.worker import Worker

pytestmark = pytest.mark.django_db

State = Delivery.State


def delivery_of(deal, kind=Delivery.Kind.CREATE_PROPOSAL):
    return Delivery.objects.of(deal).get(kind=kind)


def approved(proposal, at=NOON):
    return services.approve(proposal_id=proposal.pk, by=finance(), at=at, content_hash=proposal.content_hash)


def test_a_submitted_proposal_reaches_togai_with_its_frozen_bytes(togai, worker):
    """R-03, R-14: one effect, one row, one key, one byte string; what is stored is what leaves."""
    proposal = submitted()
    delivery = delivery_of(proposal)
    worker.work()
    delivery.refresh_from_db()
    proposal.refresh_from_db()
    assert togai.created() == [bytes(delivery.body)]
    assert (delivery.state, proposal.togai_status) == (State.CONFIRMED, "PROPOSAL_ACTIVE")
    assert proposal.togai_id == delivery.remote_id


def test_a_refused_connection_adds_no_doubt_and_is_tried_again(togai, worker, clock):
    """R-04: provably not sent is one of three outcomes; the row waits and keeps its one send."""
    proposal = submitted()
    togai.next_answers, togai.reads_fail_with = ["down"], "down"
    worker.work()
    delivery = delivery_of(proposal)
    assert (delivery.state, delivery.sends, delivery.ambiguous_attempts) == (State.NOT_SENT, 0, 0)
    assert Link.load().unreachable_since == NOON
    togai.reads_fail_with = None
    clock.forward(minutes=6)
    worker.work()
    assert delivery_of(proposal).state == State.CONFIRMED
    assert Link.load().unreachable_since is None


@pytest.mark.parametrize("fate", ["lost", "dropped", 500, 502, 408])
def test_an_answer_that_proves_nothing_is_never_followed_by_a_second_send(togai, worker, clock, fate):
    """R-05: unknown is resolved by reading under a claim, never by sending again first."""
    proposal = submitted()
    togai.next_answers = [fate]
    worker.work()
    assert delivery_of(proposal).state == State.UNKNOWN
    clock.forward(minutes=1)
    worker.work()
    assert len(togai.created()) == 1
    assert any(path.endswith("purchase_proposals") for path in togai.reads)


def test_a_lost_answer_is_found_by_its_key(togai, worker, clock):
    """R-05: the look finds the proposal that Togai created although its answer never came."""
    proposal = submitted()
    togai.next_answers = ["lost"]
    worker.work()
    clock.forward(minutes=1)
    worker.work()
    delivery = delivery_of(proposal)
    assert (delivery.state, delivery.remote_id) == (State.CONFIRMED, "purchase.1")
    assert "Confirmed by a check" in delivery.last_message
    assert len(togai.records) == 1


def test_a_lost_answer_is_found_when_only_the_record_itself_shows_the_key(togai, worker, clock):
    """R-05: rows without a key are read one by one."""
    proposal = submitted()
    togai.shows_keys = False
    togai.next_answers = ["lost"]
    worker.work()
    clock.forward(minutes=1)
    worker.work()
    assert delivery_of(proposal).state == State.CONFIRMED


def test_what_togai_never_got_is_sent_again_only_after_two_absences_past_the_quarantine(togai, worker, clock):
    """R-05, R-14: the resend is byte for byte the first send."""
    proposal = submitted()
    togai.next_answers = ["dropped"]
    worker.work()
    for span in ({"minutes": 1}, {"minutes": 15}):
        clock.forward(**span)
        worker.work()
        assert len(togai.created()) == 1
    clock.forward(minutes=6)
    worker.work()
    assert delivery_of(proposal).state == State.CONFIRMED
    first, second = togai.created()
    assert first == second


def test_a_purchase_in_doubt_is_never_sent_twice_by_itself(togai, worker, clock):
    """R-07: money moves at once, so after the looks a person is asked."""
    purchase = submitted_purchase()
    purchases.release(purchase_id=purchase.pk, by=finance(), at=NOON, content_hash=purchase.content_hash)
    togai.next_answers = ["dropped"]
    for span in ({}, {"minutes": 1}, {"minutes": 15}, {"minutes": 6}, {"hours": 2}):
        clock.forward(**span)
        worker.work()
    purchase.refresh_from_db()
    assert delivery_of(purchase, Delivery.Kind.CREATE_PURCHASE).state == State.NEEDS_HUMAN
    assert len(togai.created()) == 1
    assert purchase.togai_problem


def test_every_automatic_path_ends(togai, worker, clock):
    """R-07: bounded sends, bounded looks, then a person."""
    proposal = submitted()
    togai.next_answers = ["dropped"] * 20
    for _ in range(60):
        worker.work()
        clock.forward(hours=2)
    assert delivery_of(proposal).state == State.NEEDS_HUMAN
    assert len(togai.created()) <= 3


def test_a_refusal_of_the_content_is_final_and_shown_to_the_rep(togai, worker):
    """R-17: with no doubt on record a 400 is final, in Togai's own words."""
    proposal = submitted()
    togai.next_answers = [400]
    worker.work()
    proposal.refresh_from_db()
    assert delivery_of(proposal).state == State.REJECTED
    assert proposal.togai_refusal == "Togai says 400."
    assert proposal.is_revisable


def test_an_approval_of_what_togai_then_refuses_ends_with_it(togai, worker):
    """G-37: nothing waits for ever behind a create that will never be; the rep revises it."""
    proposal = submitted()
    approved(proposal)
    togai.next_answers = [400]
    worker.work()
    proposal.refresh_from_db()
    decision = delivery_of(proposal, Delivery.Kind.DECIDE)
    assert (decision.state, decision.is_withdrawn, decision.sends) == (State.REJECTED, True, 0)
    assert (proposal.status, proposal.is_revisable) == (Proposal.Status.APPROVED, True)
    new = services.revise(proposal_id=proposal.pk, by=proposal.owner, at=NOON)
    services.submit(proposal_id=new.pk, by=new.owner, at=NOON)
    worker.work()
    assert delivery_of(new).state == State.CONFIRMED


def test_a_revision_does_not_wait_for_the_decline_of_what_never_was_at_togai(togai, worker):
    """R-14: the decline of a refused create is never sent, so the next create goes without it."""
    proposal = submitted()
    services.decline(
        proposal_id=proposal.pk,
        by=finance(),
        at=NOON,
        content_hash=proposal.content_hash,
        reason_code="other",
        reason="Too many calls at this price.",
    )
    new = services.revise(proposal_id=proposal.pk, by=proposal.owner, at=NOON)
    services.submit(proposal_id=new.pk, by=new.owner, at=NOON)
    togai.next_answers = [400]
    worker.work()
    worker.work()
    assert delivery_of(proposal).state == State.REJECTED
    assert delivery_of(new).state == State.CONFIRMED
    assert togai.decisions() == []


def test_a_refusal_of_a_resend_is_not_final_while_an_earlier_send_is_in_doubt(togai, worker, clock):
    """R-17: the first send may have arrived late; only looks conclude."""
    proposal = submitted()
    togai.next_answers = ["dropped", 400]
    for span in ({}, {"minutes": 1}, {"minutes": 15}, {"minutes": 6}):
        clock.forward(**span)
        worker.work()
    assert delivery_of(proposal).state == State.UNKNOWN
    for _ in range(4):
        clock.forward(hours=2)
        worker.work()
    assert delivery_of(proposal).state == State.REJECTED
    assert len(togai.created()) == 2


def test_a_refused_token_stops_everything_at_once(togai, worker, clock):
    """
    R-04: 401 proves that nothing happened, and the next call would bring the office closer to a lock-out.
    """
    first, second = submitted(), submitted()
    togai.next_answers = [401]
    worker.work()
    assert len(togai.writes) == 1
    assert [delivery_of(deal).state for deal in (first, second)] == [State.NOT_SENT, State.NOT_SENT]
    worker.work()
    assert len(togai.writes) == 1
    clock.forward(minutes=7)
    worker.work()
    assert [delivery_of(deal).state for deal in (first, second)] == [State.CONFIRMED, State.CONFIRMED]


def test_a_pause_that_togai_asks_for_holds_for_every_row(togai, worker, clock):
    """R-04: 429 adds no doubt."""
    proposal = submitted()
    togai.next_answers = [429]
    worker.work()
    delivery = delivery_of(proposal)
    assert (delivery.state, delivery.ambiguous_attempts) == (State.NOT_SENT, 0)
    clock.forward(seconds=8)
    worker.work()
    assert delivery_of(proposal).state == State.CONFIRMED


def test_a_forbidden_call_is_held_for_a_person(togai, worker):
    """R-07: nothing is tried for ever."""
    proposal = submitted()
    togai.next_answers = [403]
    worker.work()
    delivery = delivery_of(proposal)
    assert delivery.state == State.HELD
    assert "does not allow" in delivery.held_because


def test_a_decision_waits_for_its_create(togai, worker, clock):
    """R-24: DECIDE depends on CREATE being confirmed."""
    proposal = submitted()
    togai.next_answers = ["lost"]
    worker.work()
    approved(proposal)
    worker.work()
    assert togai.decisions() == []
    clock.forward(minutes=1)
    worker.work()
    worker.work()
    assert togai.decisions() == [b'{"status":"APPROVE"}']
    proposal.refresh_from_db()
    assert proposal.togai_status == "PROPOSAL_APPROVED"


def test_togai_is_read_before_a_decision_is_sent(togai, worker):
    """R-24: already in the wanted end state is done without sending."""
    proposal = submitted()
    worker.work()
    togai.records["purchase.1"]["status"] = "PROPOSAL_APPROVED"
    approved(proposal)
    worker.work()
    assert togai.decisions() == []
    decision = delivery_of(proposal, Delivery.Kind.DECIDE)
    assert (decision.state, decision.sends) == (State.CONFIRMED, 0)
    assert decision.last_message == "Togai had it already; nothing was sent."


def test_what_was_sent_in_doubt_and_found_before_the_next_send_was_not_sent_again(togai, worker, clock):
    """R-24: two looks did not find it; it is applied late, and found by the read before the second send."""
    proposal = submitted()
    worker.work()
    togai.next_answers, togai.late_by = ["late"], timedelta(minutes=30)
    approved(proposal)
    worker.work()
    decide = delivery_of(proposal, Delivery.Kind.DECIDE)
    deliveries_of_it = Delivery.objects.filter(pk=decide.pk)
    deliveries_of_it.update(state=State.NOT_SENT, next_at=clock() + timedelta(hours=1))
    clock.forward(hours=1)
    worker.work()
    decide.refresh_from_db()
    assert (decide.state, decide.sends, len(togai.decisions())) == (State.CONFIRMED, 1, 1)
    assert decide.last_message == "Togai had it already; it was not sent again."


@pytest.mark.parametrize("there", ["PROPOSAL_APPROVED", "PROPOSAL_DECLINED"])
def test_nothing_is_shown_as_sent_that_did_not_leave(togai, worker, client, there):
    """R-24: whether Togai agrees or not, no page says that the decision was sent."""
    proposal = submitted()
    worker.work()
    togai.records["purchase.1"]["status"] = there
    approved(proposal)
    worker.work()
    decision = delivery_of(proposal, Delivery.Kind.DECIDE)
    client.force_login(finance())
    page = client.get(f"/deliveries/{decision.pk}/")
    assert page.context["receipt"] is None
    titles = [event["title"] for event in page.context["events"]]
    assert not any(title.startswith("Sent") for title in titles), titles
    assert decision.sends == 0
    told = wording.told(wording.with_receipts(Delivery.objects.filter(pk=decision.pk)))[0]
    assert told.receipt is None
    if there == "PROPOSAL_APPROVED":
        assert told.words == "Togai had it already; nothing was sent."
        assert told.words in client.get(proposal.get_absolute_url()).content.decode()


def test_a_decision_that_togai_contradicts_is_shown_and_never_forced(togai, worker):
    """R-06, R-24: declined in Togai's console, approved here: both are shown, nothing is rewritten."""
    proposal = submitted()
    worker.work()
    togai.records["purchase.1"]["status"] = "PROPOSAL_DECLINED"
    approved(proposal)
    worker.work()
    proposal.refresh_from_db()
    assert togai.decisions() == []
    assert delivery_of(proposal, Delivery.Kind.DECIDE).state == State.NEEDS_HUMAN
    assert proposal.status == Proposal.Status.APPROVED
    assert "already declined" in proposal.togai_problem


def test_a_success_that_still_says_active_is_not_believed(togai, worker, clock):
    """R-25: done is a success and a status that matches; the vendor's own sample shows the old one."""
    proposal = submitted()
    worker.work()
    approved(proposal)
    togai.next_answers = ["stale"]
    worker.work()
    worker.work()
    assert delivery_of(proposal, Delivery.Kind.DECIDE).state == State.CONFIRMED
    assert len(togai.decisions()) == 1


def test_a_lost_answer_to_a_decision_is_read_back(togai, worker, clock):
    """R-25, R-26: update_status has no key; only Togai's state says whether it happened."""
    proposal = submitted()
    worker.work()
    approved(proposal)
    togai.next_answers = ["lost"]
    worker.work()
    clock.forward(minutes=1)
    worker.work()
    assert delivery_of(proposal, Delivery.Kind.DECIDE).state == State.CONFIRMED
    assert len(togai.decisions()) == 1


@pytest.mark.parametrize(
    "status", ["PROPOSAL_APPROVED", "PENDING", "IN_PROGRESS", "SUCCESS", "FAILURE"], ids=str.lower
)
def test_an_approval_is_done_by_every_status_that_follows_it(togai, worker, clock, status):
    """R-25: Togai may have gone on, or failed, before its answer to our decision is read back."""
    proposal = submitted()
    worker.work()
    approved(proposal)
    togai.next_answers = ["lost"]
    worker.work()
    proposal.refresh_from_db()
    togai.records[proposal.togai_id]["status"] = status
    clock.forward(minutes=1)
    worker.work()
    proposal.refresh_from_db()
    assert delivery_of(proposal, Delivery.Kind.DECIDE).state == State.CONFIRMED
    assert (proposal.status, proposal.togai_status, len(togai.decisions())) == ("APPROVED", status, 1)


@pytest.mark.parametrize("state", [State.NOT_SENT, State.UNKNOWN, State.CONFIRMED, State.NEEDS_HUMAN])
def test_the_direction_of_a_decision_cannot_be_changed(togai, worker, state):
    """R-26: after the decision there is no other verb, whatever state its delivery is in."""
    proposal = approved(submitted())
    decisions = Delivery.objects.filter(kind=Delivery.Kind.DECIDE)
    decisions.update(state=state)
    with pytest.raises(services.WrongStatus):
        services.decline(
            proposal_id=proposal.pk,
            by=finance(),
            at=NOON,
            content_hash=proposal.content_hash,
            reason_code="other",
            reason="Changed our mind after all.",
        )
    assert [(one.direction, one.state) for one in decisions] == [("APPROVE", state)]


def test_a_change_of_mind_in_doubt_is_told_that_the_first_word_is_being_verified(
    togai, worker, clock, client
):
    """R-26: as a service, on the page that would ask why, and only while it is in doubt."""
    proposal = submitted()
    worker.work()
    approved(proposal)
    togai.next_answers = ["lost"]
    worker.work()
    assert delivery_of(proposal, Delivery.Kind.DECIDE).state == State.UNKNOWN
    verified = "This proposal is approved. Whether Togai has that is being verified; nobody can change it."
    why = {"reason_code": "other", "reason": "Changed our mind after all."}
    decides = {"content_hash": proposal.content_hash} | why
    asked = {"proposal_id": proposal.pk, "at": NOON}
    for again in (
        lambda: services.decline(**asked, by=finance(), **decides),
        lambda: services.request_changes(**asked, by=finance(), **decides),
        lambda: services.recall(**asked, by=proposal.owner, **why),
    ):
        with pytest.raises(services.WrongStatus, match=f"^{re.escape(verified)}$"):
            again()
    client.force_login(finance())
    page = client.get(f"{proposal.get_absolute_url()}decline/")
    assert (page.status_code, verified in page.content.decode()) == (409, True)
    clock.forward(minutes=1)
    worker.work()
    with pytest.raises(services.WrongStatus, match=r"^This proposal is approved\.$"):
        services.decline(**asked, by=finance(), **decides)
    assert len(togai.decisions()) == 1


def test_nothing_is_sent_that_was_not_committed_first(togai, worker):
    """R-01: a submit that rolls back leaves nothing to send."""

    class Stop(Exception):
        pass

    def interrupted():
        with transaction.atomic():
            submitted()
            raise Stop

    with pytest.raises(Stop):
        interrupted()
    worker.work()
    assert togai.writes == []
    assert not Delivery.objects.exists()


def test_a_claim_is_taken_once(clock):
    """R-10: compare-and-swap; the second worker gets nothing."""
    delivery = delivery_of(submitted())
    assert deliveries.claim(delivery.pk, worker="one", at=clock())
    assert deliveries.claim(delivery.pk, worker="two", at=clock()) is None


def test_a_worker_that_slept_through_its_claim_does_not_send(togai, worker, clock):
    """R-11: the check reads the worker's own claim on its own clock, not the row."""
    proposal = submitted()
    claim = deliveries.claim

    def slow(*args, **kwargs):
        claimed = claim(*args, **kwargs)
        clock.forward(seconds=100)
        return claimed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deliveries, "claim", slow)
        worker.step(delivery_of(proposal).pk)
    assert togai.writes == []
    assert delivery_of(proposal).state == State.NOT_SENT


def test_a_worker_whose_claim_expired_changes_nothing_but_the_evidence(togai, worker, clock):
    """R-10: fenced at the finish; the row belongs to whoever looks next."""
    proposal = submitted()
    claimed = deliveries.claim(delivery_of(proposal).pk, worker="zombie", at=clock())
    clock.forward(minutes=5)
    deliveries.recover_expired_claims(at=clock())
    remote = togai.gateway().create_proposal(account_id=claimed.account_id, body=bytes(claimed.body))
    assert deliveries.confirm(claimed, remote, at=clock()) is False
    assert delivery_of(proposal).state == State.UNKNOWN
    assert DeliveryAttempt.objects.get().outcome == "done"
    worker.work()
    assert delivery_of(proposal).state == State.CONFIRMED
    assert len(togai.records) == 1


def test_losing_every_message_loses_nothing(togai, worker):
    """R-08: no message exists in this test at all, and the row is delivered."""
    proposal = submitted()
    worker.work()
    assert delivery_of(proposal).state == State.CONFIRMED


def test_two_lookalikes_are_never_in_doubt_together(togai, worker, clock):
    """R-09: equal requests of one account queue behind each other, so a look is unambiguous."""
    first = submitted()
    same = {
        "account": first.account,
        "price_plan": first.price_plan,
        "by": first.created_by,
        "valid_until": first.valid_until,
    }
    second = submitted(**same)
    assert delivery_of(first).fingerprint == delivery_of(second).fingerprint
    togai.next_answers = ["lost"]
    worker.work()
    assert {delivery_of(deal).state for deal in (first, second)} == {State.UNKNOWN, State.NOT_SENT}
    clock.forward(minutes=1, seconds=1)
    worker.work()
    assert [delivery_of(deal).state for deal in (first, second)] == [State.CONFIRMED, State.CONFIRMED]
    assert len(togai.records) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"state": "SOMETHING"},
        {"sends": 99},
        {"state": "SENDING", "claim_token": None},
    ],
)
def test_the_database_itself_refuses_impossible_rows(change):
    """R-09: check constraints on state, number of sends and claims."""
    delivery = delivery_of(submitted())
    with pytest.raises(IntegrityError), transaction.atomic():
        Delivery.objects.filter(pk=delivery.pk).update(**change)


def test_a_worker_that_has_had_enough_begins_nothing_more(togai, clock):
    """Reliability.md 2.7: whoever is asked to stop ends the step it is in; what is left waits as it was."""
    for _ in range(5):
        submitted()
    worker = Worker(
        togai.gateway(),
        clock=clock,
        monotonic=clock.monotonic,
        name="stops",
        enough=lambda: len(togai.writes) >= 2,
    )
    worker.work()
    assert len(togai.writes) == 2
    assert Delivery.objects.filter(state=State.NOT_SENT, sends=0).count() == 3
    worker.enough = lambda: True
    clock.forward(minutes=1)
    assert worker.follow_due() == 0


@pytest.mark.parametrize("name", ["idempotency_key", "remote_id"])
def test_keys_and_remote_ids_are_unique(name):
    """R-09: unique idempotency key; unique remote id per create."""
    first, second = delivery_of(submitted()), delivery_of(submitted())
    with triggers_off():
        Delivery.objects.filter(pk=first.pk).update(**{name: "the-same"})
        with pytest.raises(IntegrityError), transaction.atomic():
            Delivery.objects.filter(pk=second.pk).update(**{name: "the-same"})


def test_one_revision_has_one_delivery_of_a_kind():
    """R-09: unique per subject, revision and kind."""
    proposal = submitted()
    with pytest.raises(IntegrityError), transaction.atomic():
        deliveries.queue(
            kind=Delivery.Kind.CREATE_PROPOSAL,
            subject=proposal,
            revision=proposal.revision,
            account_id="a",
            body_for=lambda key: key.encode(),
            by=None,
            at=NOON,
        )


def test_keys_are_random_and_say_where_they_come_from(settings):
    """R-13, R-15: env tag and uuid4, at most 64 characters, letters, digits and dashes alone."""
    settings.TOGAI_ENVIRONMENT = "staging"
    keys = {deliveries.new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("bo1-staging-") and len(key) <= 64 for key in keys)
    assert all(key.replace("-", "").isalnum() for key in keys)


@pytest.mark.django_db(transaction=True)
def test_no_call_is_made_inside_a_transaction(settings):
    """R-02: the gateway of the product refuses to open a socket while a transaction is open."""
    from togai.worker import make_gateway

    gateway = make_gateway()
    with pytest.raises(RuntimeError, match="transaction"), transaction.atomic():
        gateway.get_proposal("purchase.1")


@pytest.mark.django_db(transaction=True)
def test_every_step_of_the_worker_talks_to_togai_with_no_transaction_open(togai, clock):
    """R-02: a whole life, from create to success, with the product's own check in front of every call."""
    proposal = submitted()
    pace = Pace(clock=clock, sleep=lambda seconds: clock.forward(seconds=seconds))
    worker = Worker(togai.gateway(before_call=pace), clock=clock, monotonic=clock.monotonic, name="test")
    worker.work()
    approved(proposal)
    worker.work()
    clock.forward(seconds=30)
    worker.work()
    proposal.refresh_from_db()
    assert proposal.togai_status == "PROPOSAL_APPROVED"


def test_an_approved_proposal_is_followed_to_its_end(togai, worker, clock):
    """R-06: Togai's status, price and invoice arrive in Togai's own columns."""
    proposal = submitted()
    worker.work()
    approved(proposal)
    worker.work()
    for status in ("PENDING", "IN_PROGRESS", "SUCCESS"):
        togai.records["purchase.1"] |= {"status": status, "invoiceId": "inv.1"}
        clock.forward(minutes=20)
        worker.work()
        proposal.refresh_from_db()
        assert (proposal.status, proposal.togai_status) == (Proposal.Status.APPROVED, status)
    assert proposal.togai_invoice_id == "inv.1"
    assert audit.verify() is None


def test_what_has_ended_is_read_each_night_then_each_week_then_no_more(togai, worker, clock):
    """G-50: a refund or a correction months later is still met, and the ended ones do not eat the bucket."""
    proposal = submitted()
    worker.work()
    approved(proposal)
    worker.work()
    togai.records["purchase.1"]["status"] = "SUCCESS"
    clock.forward(minutes=20)
    worker.work()
    days = []
    for day in range(200):
        reads = len(togai.reads)
        worker.work()
        if len(togai.reads) > reads:
            days.append(day)
        clock.forward(days=1, seconds=1)
    assert days[:9] == [1, 2, 3, 4, 5, 6, 7, 14, 21]
    assert 80 < days[-1] < 100


def test_a_decision_taken_in_togais_console_shows_as_drift(togai, worker, clock):
    """R-06: never ours; the local status stays and the page says what differs."""
    proposal = submitted()
    worker.work()
    togai.records["purchase.1"]["status"] = "PROPOSAL_APPROVED"
    clock.forward(minutes=20)
    worker.work()
    proposal.refresh_from_db()
    assert proposal.status == Proposal.Status.SUBMITTED
    assert proposal.togai_problem == "Here it is submitted, at Togai it is approved."


def test_an_unknown_status_is_stored_and_never_read_as_success(togai, worker, clock):
    """R-06: a word from the future is shown as it is."""
    proposal = submitted()
    worker.work()
    togai.records["purchase.1"]["status"] = "PROPOSAL_ON_HOLD"
    clock.forward(minutes=20)
    worker.work()
    proposal.refresh_from_db()
    assert proposal.togai_status == "PROPOSAL_ON_HOLD"
    assert proposal.status == Proposal.Status.SUBMITTED


def test_an_outage_holds_up_nobody_and_drains_once(togai, worker, clock):
    """R-01, R-08: submits and decisions go on; when Togai is back everything arrives once, in order."""
    togai.reads_fail_with = "down"
    togai.next_answers = ["down"]
    deals = [submitted() for _ in range(5)]
    worker.work()
    for deal in deals:
        approved(deal)
    clock.forward(hours=1)
    worker.work()
    assert togai.writes == []
    assert Delivery.objects.open().count() == 10
    togai.reads_fail_with, togai.next_answers = None, []
    for _ in range(3):
        clock.forward(minutes=6)
        worker.work()
    assert len(togai.records) == 5
    assert {record["status"] for record in togai.records.values()} == {"PROPOSAL_APPROVED"}
    assert (len(togai.created()), len(togai.decisions())) == (5, 5)
    assert not Delivery.objects.open().exists()


def test_a_revision_is_created_only_after_the_one_before_is_declined_at_togai(togai, worker, clock):
    """R-14: two revisions of one deal never stand at Togai side by side."""
    first = submitted()
    worker.work()
    services.recall(
        proposal_id=first.pk,
        by=first.created_by,
        at=NOON,
        reason_code="other",
        reason="The customer wants two seats more.",
    )
    second = services.revise(proposal_id=first.pk, by=first.created_by, at=NOON)
    services.submit(proposal_id=second.pk, by=first.created_by, at=NOON)
    togai.next_answers, togai.reads_fail_with = ["down"], "down"
    worker.work()
    assert len(togai.created()) == 1
    togai.reads_fail_with = None
    clock.forward(minutes=6)
    for _ in range(3):
        worker.work()
    assert [record["status"] for record in togai.records.values()] == ["PROPOSAL_DECLINED", "PROPOSAL_ACTIVE"]
