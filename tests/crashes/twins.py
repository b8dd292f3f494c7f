"""
The product with one guard taken out, and the story in which that shows (F-16).

Each twin breaks one thing of reliability.md 2.8 or 2.9, or one rule about people, by patching the real code.
Its story is lived twice: with the guard all invariants hold, and without it one of them has to fail.
"""

from collections import namedtuple
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from functools import partial
from unittest.mock import patch

from django.db.models import F
from django.test import override_settings

from audit.refusals import Refusal
from proposals import services as proposals
from proposals.models import Proposal
from tests import factories as f
from tests.crashes.rig import listening
from togai import deliveries
from togai.checkpoints import checkpoint
from togai.models import Delivery, DeliveryAttempt
from togai.worker import Worker

Kind, State = Delivery.Kind, Delivery.State

# When somebody else comes by while one worker is frozen: claim over, quarantine over, second absence counted.
MEANWHILE = (timedelta(minutes=3), timedelta(minutes=16), timedelta(minutes=6))


class Meanwhile:
    """Once, when somebody passes a checkpoint, something else happens before they go on."""

    def __init__(self, name, happens):
        self.name, self.happens = name, happens

    def __call__(self, name):
        if name == self.name and self.happens:
            happens, self.happens = self.happens, None
            happens()


def others_work(desk, waits=MEANWHILE):
    """Another worker comes by after each of these waits."""
    for wait in waits:
        desk.clock.at += wait
        desk.worker("other").work()


def replaced(where, name, new):
    """A sabotage that puts `new(real)` in the place of a function."""
    return lambda: patch.object(where, name, new(getattr(where, name)))


def both(*sabotages):
    @contextmanager
    def all_of_them():
        with ExitStack() as stack:
            for sabotage in sabotages:
                stack.enter_context(sabotage())
            yield

    return all_of_them


# --- what is broken ---


def resends_when(is_meant):
    """What must be looked for first goes out again at once."""

    def new(real):
        def doubt(delivery, error, *, at, look_at, **given):
            if is_meant(error):
                return deliveries.not_sent(delivery, error, at=at, retry_at=at)
            return real(delivery, error, at=at, look_at=look_at, **given)

        return doubt

    return replaced(deliveries, "doubt", new)


def timeout_is_failure(real):
    def doubt(delivery, error, *, at, look_at, **given):
        if error.status is None:
            return deliveries.reject(delivery, error, at=at, message="It failed.")
        return real(delivery, error, at=at, look_at=look_at, **given)

    return doubt


def one_look_is_enough(real):
    def _absent(self, delivery):
        if delivery.sends >= deliveries.most_sends(delivery.kind):
            return real(self, delivery)
        return deliveries.send_again(delivery, at=self.clock(), learned="Not there.")

    return _absent


def claim_is_not_written(real):
    """The claim stays in the memory of the worker until its answer is there."""

    def claim(delivery_id, **given):
        delivery = real(delivery_id, **given)
        if delivery and delivery.state == State.SENDING:
            Delivery.objects.filter(pk=delivery_id).update(
                state=State.NOT_SENT, sends=F("sends") - 1, claim_token=None, claim_until=None
            )
        return delivery

    return claim


def row_is_written_at_the_end(real):
    def _finish(delivery, **given):
        if delivery.state == State.SENDING:
            Delivery.objects.filter(pk=delivery.pk).update(
                state=State.SENDING,
                sends=F("sends") + 1,
                claim_token=delivery.claim_token,
                claim_until=delivery.claim_until,
            )
        return real(delivery, **given)

    return _finish


def read_then_save(real):
    def claim(delivery_id, *, worker, at):
        row = Delivery.objects.select_related("depends_on").get(pk=delivery_id)
        before = row.depends_on
        if row.state != State.NOT_SENT or row.next_at > at or not (before is None or before.is_settled):
            return real(delivery_id, worker=worker, at=at)
        checkpoint("claim.before")
        row.attempt = DeliveryAttempt(purpose="SEND", started_at=at, worker=worker, release="twin")
        row.state, row.sends, row.claim_owner = State.SENDING, row.sends + 1, worker
        row.claim_token, row.claim_until = deliveries.uuid.uuid4(), at + timedelta(minutes=2)
        row.save()
        row.attempt.delivery, row.attempt.claim_token = row, row.claim_token
        row.attempt.number = row.attempts.count() + 1
        row.attempt.save()
        checkpoint("claim.committed")
        return row

    return claim


def deadline_is_not_asked(real):
    return lambda self, delivery, claimed_at: real(self, delivery, self.monotonic())


def deadline_is_read_from_the_row(real):
    def _send(self, delivery, claimed_at):
        until = Delivery.objects.get(pk=delivery.pk).claim_until or self.clock()
        left = (until - self.clock()).total_seconds()
        real(self, delivery, self.monotonic() - (deliveries.settings.TOGAI_CLAIM_SECONDS - left))

    return _send


def refusal_is_final(is_meant):
    def new(real):
        def _refused(self, delivery, error):
            if is_meant(delivery):
                return deliveries.reject(delivery, error, at=self.clock(), message=error.remote_message)
            return real(self, delivery, error)

        return _refused

    return replaced(Worker, "_refused", new)


def finish_takes_any_row(real):
    def _finish(delivery, **given):
        # Who freezes here is fenced out by the claim; this one takes whatever claim the row has by now.
        checkpoint("finish.before")
        delivery.state = Delivery.objects.get(pk=delivery.pk).state
        token = delivery.attempt.claim_token
        Delivery.objects.filter(pk=delivery.pk).update(claim_token=token, claim_until=given["at"])
        return real(delivery, **given)

    return _finish


def switch_by_a_second_row(real):
    """A second decision of the same revision, past the rule that there is one."""

    def queue(**given):
        create, generation = Delivery.objects.create, Delivery.objects.of(given["subject"]).count() + 1
        with patch.object(Delivery.objects, "create", partial(create, generation=generation)):
            return real(**given)

    return queue


def any_hash_will_do(real):
    def _decidable(proposal_id, *, content_hash, **given):
        shown = Proposal.objects.get(pk=proposal_id).content_hash
        return real(proposal_id, content_hash=shown, **given)

    return _decidable


def a_timeout(error):
    return error.status is None


def a_server_error(error):
    return error.status is not None and error.status >= 500


def always(*_):
    return True


# --- stories ---


def a_create_that_meets(*fates, wait=timedelta()):
    """Submitted, answered so, seen by a worker again after 40 s and from then on by whom it takes."""

    def story(desk):
        desk.togai.next_answers = list(fates)
        desk.submit()
        desk.worker("first").work()
        desk.clock.at += wait
        desk.worker("first").work()
        desk.calm()

    return story


def a_create_whose_worker_dies(name):
    def story(desk):
        desk.submit()
        desk.dies(desk.worker("first").work, at=name)
        desk.clock.forward(seconds=1)
        desk.worker("second").work()
        desk.calm()

    return story


def two_workers_want_one_row(desk):
    """The second claims, sends and finishes between the first one's look at the row and its claim."""
    desk.submit()
    with listening(Meanwhile("claim.before", desk.worker("other").work)):
        desk.worker("first").work()
    desk.calm()


def a_worker_sleeps_on_its_claim(desk):
    """It wakes when another one has looked twice, and sent."""
    desk.submit()
    with listening(Meanwhile("claim.committed", partial(others_work, desk))):
        desk.worker("first").work()
    desk.calm()


def a_worker_sleeps_into_the_claim_of_another(desk):
    """It wakes when another one has looked twice, claimed, sent, and died with its claim still running."""

    def another_one_dies():
        others_work(desk, MEANWHILE[:2])
        desk.clock.at += MEANWHILE[2]
        desk.dies(desk.worker("other").work, at="send.after")

    desk.submit()
    sleeps = Meanwhile("claim.committed", another_one_dies)
    worker = desk.worker("first")
    with listening(sleeps):
        worker.work()
    desk.calm()


def a_refusal_after_a_late_create(desk):
    """The first send is applied after the second one was refused."""
    desk.togai.late_by = timedelta(minutes=24)
    desk.togai.next_answers = ["late", 400]
    desk.submit()
    desk.worker("first").work()
    others_work(desk, (timedelta(minutes=16), timedelta(minutes=6)))
    desk.calm()


def a_worker_sleeps_before_it_finishes(desk):
    """Nothing listened, it was going to say; meanwhile another one has looked twice and sent."""
    desk.togai.next_answers = ["down"]
    desk.submit()
    with listening(Meanwhile("finish.before", partial(others_work, desk))):
        desk.worker("first").work()
    desk.calm()


def a_worker_dies_and_is_replaced(desk):
    desk.submit()
    desk.dies(desk.worker("first").work, at="send.after")
    others_work(desk, (timedelta(minutes=3), timedelta(minutes=16), timedelta(hours=26)))
    desk.check(at_rest=True)


def _there(desk):
    proposal = desk.submit()
    desk.worker("earlier").work()
    desk.clock.forward(hours=1)
    return proposal


def a_decision_that_crosses_another(desk):
    """Between our read and our send somebody approves in the vendor's console."""
    proposal = _there(desk)
    record = next(iter(record for record in desk.togai.records.values() if "status" in record))
    desk.decide(proposal, "APPROVE")
    approved_there = partial(record.update, status="PROPOSAL_APPROVED")
    with listening(Meanwhile("read.after", approved_there)):
        desk.worker("first").work()
    desk.calm()


def a_decision_applied_late(desk):
    """Two looks did not find it; it is applied after them, and before the next worker comes."""
    proposal = _there(desk)
    desk.togai.guards_decisions = False
    desk.togai.late_by = timedelta(minutes=30)
    desk.togai.next_answers = ["late"]
    desk.decide(proposal, "APPROVE")
    desk.worker("first").work()
    others_work(desk, (timedelta(minutes=16),))
    desk.clock.forward(minutes=6)
    # The second look allows another send; whoever would send it is gone.
    desk.dies(desk.worker("second").work, at="finish.committed")
    desk.clock.forward(minutes=20)
    desk.calm()


def somebody_changes_their_mind(desk):
    """Approved, with the answer lost; and then declined."""
    proposal = _there(desk)
    desk.togai.guards_decisions = False
    desk.togai.next_answers = ["late"]
    desk.decide(proposal, "APPROVE")
    desk.worker("first").work()
    with suppress(Refusal):
        desk.decide(proposal, "DECLINE")
    desk.worker("first").work()
    desk.calm()


def an_editor_decides(desk):
    """Somebody of finance who once edited the draft, and was not the last to do so."""
    proposal = f.draft(by=desk.rep, at=desk.clock(), account=desk.account, price_plan=desk.plan)
    proposal.editors.add(desk.finance)
    _submit_and_decide(desk, proposal)


def the_author_decides(desk):
    """Somebody of finance who wrote and submitted it."""
    proposal = f.draft(by=desk.finance, at=desk.clock(), account=desk.account, price_plan=desk.plan)
    _submit_and_decide(desk, proposal, author=desk.finance)


def a_stale_page_decides(desk):
    """The approver read the draft; its author changed it before submitting it."""
    proposal = f.draft(by=desk.rep, at=desk.clock(), account=desk.account, price_plan=desk.plan)
    read = proposal.content_hash
    words = {"by": desk.rep, "at": desk.clock(), "version": proposal.version}
    proposals.edit(proposal_id=proposal.pk, fields={"quantity": 77}, **words)
    _submit_and_decide(desk, proposal, read=read)


def _submit_and_decide(desk, proposal, author=None, read=None):
    author = author or desk.rep
    desk.door(partial(proposals.submit, proposal_id=proposal.pk, by=author, at=desk.clock()))
    with suppress(Refusal):
        desk.decide(proposal, "APPROVE", read=read)
    desk.check()


Twin = namedtuple("Twin", "name breaks sabotage story killed_by")
NO_QUARANTINE = both(
    lambda: override_settings(TOGAI_QUARANTINE_SECONDS=0, TOGAI_ABSENCE_SECONDS=0),
    replaced(Worker, "_absent", one_look_is_enough),
)
SWITCHED = both(
    replaced(Proposal, "can_become", lambda real: always),
    replaced(proposals, "_next_step", lambda real: lambda proposal, by: proposal.steps.get()),
)
NOBODY_IS_REFUSED = replaced(proposals, "refuse_own_work", lambda real: lambda deal, by: None)
PLAINLY = a_create_that_meets
SOON = timedelta(seconds=40)

TWINS = [
    # The table of reliability.md 2.8.
    Twin("resend on timeout", "R-05", resends_when(a_timeout), PLAINLY("lost"), "I3"),
    Twin("resend on 5xx", "R-05", resends_when(a_server_error), PLAINLY("applied 500"), "I3"),
    Twin(
        "timeout is failure", "R-04", replaced(deliveries, "doubt", timeout_is_failure), PLAINLY("lost"), "I6"
    ),
    Twin("no quarantine, one look", "2.8", NO_QUARANTINE, PLAINLY("late", wait=SOON), "I3"),
    Twin("no quarantine, one look, lagging list", "2.8", NO_QUARANTINE, PLAINLY("lagging", wait=SOON), "I3"),
    Twin(
        "row written after the call",
        "R-01",
        both(
            replaced(deliveries, "claim", claim_is_not_written),
            replaced(deliveries, "_finish", row_is_written_at_the_end),
        ),
        a_create_whose_worker_dies("send.after"),
        "I3",
    ),
    Twin(
        "read then save",
        "R-10",
        replaced(deliveries, "claim", read_then_save),
        two_workers_want_one_row,
        "I3",
    ),
    Twin(
        "no look at the own deadline",
        "R-11",
        replaced(Worker, "_send", deadline_is_not_asked),
        a_worker_sleeps_on_its_claim,
        "I3",
    ),
    Twin(
        "the deadline of the row",
        "R-11",
        replaced(Worker, "_send", deadline_is_read_from_the_row),
        a_worker_sleeps_into_the_claim_of_another,
        "I3",
    ),
    Twin(
        "a refusal of a resend is final",
        "R-17",
        refusal_is_final(always),
        a_refusal_after_a_late_create,
        "I6",
    ),
    Twin(
        "no fence at the finish",
        "W5",
        replaced(deliveries, "_finish", finish_takes_any_row),
        a_worker_sleeps_before_it_finishes,
        "I3",
    ),
    Twin(
        "no janitor",
        "R-07",
        replaced(deliveries, "recover_expired_claims", lambda real: lambda *, at: 0),
        a_worker_dies_and_is_replaced,
        "I2",
    ),
    # reliability.md 2.9.
    Twin(
        "a refusal of a decision is final",
        "R-24",
        refusal_is_final(lambda delivery: delivery.kind == Kind.DECIDE),
        a_decision_that_crosses_another,
        "I6",
    ),
    Twin(
        "no read before a decision",
        "R-24",
        replaced(Worker, "_may_decide", lambda real: always),
        a_decision_applied_late,
        "I4",
    ),
    Twin(
        "another direction while in doubt",
        "R-26",
        both(SWITCHED, replaced(deliveries, "queue", switch_by_a_second_row)),
        somebody_changes_their_mind,
        "I4",
    ),
    # People.
    Twin("no four eyes", "R-09", NOBODY_IS_REFUSED, an_editor_decides, "I11"),
    Twin(
        "no content hash",
        "R-23",
        replaced(proposals, "_decidable", any_hash_will_do),
        a_stale_page_decides,
        "I11",
    ),
]

# Taken out alone, these guards are not missed: the database holds.
WALLED = [
    Twin("no four eyes for the author", "R-09", NOBODY_IS_REFUSED, the_author_decides, "proposal_four_eyes"),
    Twin(
        "another direction in a second row",
        "R-26",
        SWITCHED,
        somebody_changes_their_mind,
        "delivery_once_per_revision",
    ),
]
