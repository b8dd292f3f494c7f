"""A backup was restored: Togai knows more than we do."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Account, PullProgress, PullRun
from audit.models import Event
from audit.refusals import WrongStatus
from proposals import services
from purchases import services as purchases
from purchases import settling
from tests.factories import (
    NOON,
    AccountFactory,
    PricePlanFactory,
    administrator,
    finance,
    rep,
    submitted,
    submitted_purchase,
)
from tests.purchases.test_catalogue import ACME
from tests.togai.fake_togai import URL
from togai import line, restore
from togai import services as operators
from togai.models import Delivery, Link, RemoteSnapshot

pytestmark = pytest.mark.django_db

State = Delivery.State


def forget(delivery):
    """The row as the backup has it, from before the worker came."""
    Delivery.objects.filter(pk=delivery.pk).update(
        state=State.NOT_SENT, sends=0, remote_id="", remote_status="", closed_at=None, next_at=NOON
    )


def test_what_left_after_the_backup_is_found_and_not_sent_again(togai, worker, clock):
    """R-21: the restored row says “not sent”; Togai has it."""
    proposal = submitted()
    worker.work()
    forget(Delivery.objects.of(proposal).get())
    assert restore.begin(at=clock(), why="Restored from the backup of the night.") == 1
    worker.work()
    delivery = Delivery.objects.of(proposal).get()
    assert (delivery.state, delivery.remote_id) == (State.CONFIRMED, "purchase.1")
    assert len(togai.created()) == 1


def test_what_never_left_is_sent_once_a_person_has_signed(togai, worker, clock):
    """R-21: two absences prove it, and still nothing leaves before the signature."""
    submitted()
    restore.begin(at=clock(), why="Restored from the backup of the night.")
    for _ in range(6):
        clock.forward(hours=1)
        worker.work()
    assert (Delivery.objects.get().state, togai.writes) == (State.NOT_SENT, [])
    line.sign()
    worker.work()
    assert (Delivery.objects.get().state, len(togai.created())) == (State.CONFIRMED, 1)


def test_a_decision_waits_for_its_create_and_is_read_before_it_is_sent(togai, worker, clock):
    """R-21, R-24: approved before the backup, applied at Togai after it."""
    proposal = submitted()
    services.approve(proposal_id=proposal.pk, by=finance(), at=NOON, content_hash=proposal.content_hash)
    worker.work()
    for delivery in Delivery.objects.all():
        forget(delivery)
    assert restore.begin(at=clock(), why="Restored from the backup of the night.") == 1
    line.sign()
    for _ in range(3):
        worker.work()
        clock.forward(minutes=10)
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.CONFIRMED}
    assert (len(togai.created()), len(togai.decisions())) == (1, 1)


@pytest.mark.parametrize("shows_keys", [True, False])
def test_what_the_backup_does_not_know_is_kept_as_an_orphan(togai, worker, clock, shows_keys):
    """R-21: made after the backup, with one of our keys; found once, however often one looks."""
    togai.shows_keys = shows_keys
    ours, bought = submitted(), submitted_purchase()
    account = ours.account.togai_id
    worker.work()
    theirs = togai.records["purchase.1"] | {
        "id": "purchase.77",
        "idempotencyKey": Delivery.objects.of(ours).get().idempotency_key[:-1] + "x",
    }
    togai.records["purchase.77"] = theirs
    togai.records["purchase.78"] = theirs | {"id": "purchase.78", "idempotencyKey": "somebody-else"}
    restore.begin(at=clock(), why="Restored from the backup of the night.")
    for _ in range(2):
        found = list(
            restore.find_orphans(
                togai.gateway(),
                [account, bought.account.togai_id],
                since=NOON - timedelta(hours=1),
                at=clock(),
            )
        )
        assert [orphan.remote_id for orphan in found] == ["purchase.77"]
    assert RemoteSnapshot.objects.get(remote_id="purchase.77").next_poll_at is None
    assert Event.objects.filter(verb="orphan_found").count() == 1


def test_equal_creates_are_verified_one_after_the_other(togai, worker, clock):
    """R-21, R-09: a look could not tell them apart if both were in doubt; none is sent before that."""
    by = rep()
    same = {"by": by, "account": AccountFactory(owner=by), "price_plan": PricePlanFactory()}
    for _ in range(2):
        submitted(**same)
    first, second = Delivery.objects.order_by("created_at", "pk")
    assert first.fingerprint == second.fingerprint
    restore.begin(at=clock(), why="Restored.")
    assert sorted(Delivery.objects.values_list("state", flat=True)) == [State.HELD, State.UNKNOWN]
    held = Delivery.objects.get(state=State.HELD)
    with pytest.raises(WrongStatus, match="verified by itself"):
        operators.release(delivery_id=held.pk, by=administrator(), at=clock())
    for _ in range(12):
        clock.forward(minutes=10)
        worker.work()
    assert togai.writes == []
    line.sign()
    for _ in range(12):
        clock.forward(minutes=10)
        worker.work()
    assert set(Delivery.objects.values_list("state", "sends")) == {(State.CONFIRMED, 1)}
    assert len(togai.records) == 2


def test_the_mode_is_on_record():
    """S-30: who reads the record sees when sending was stopped, and why."""
    restore.begin(at=NOON, why="Restored from the backup of the night.")
    event = Event.objects.about(Link.load()).get()
    assert (event.verb, event.reason) == ("look_only", "Restored from the backup of the night.")


@pytest.mark.parametrize(
    "moment", ["yesterday", "2026-03-01T02:00:00", "9999-01-01T00:00:00Z", "2026-99-99T00:00Z"]
)
def test_the_command_wants_a_moment_of_the_past_with_its_zone(moment):
    with pytest.raises(CommandError):
        call_command("togai_after_restore", moment)
    assert not Link.objects.filter(look_only_since__isnull=False).exists()


@pytest.fixture
def command(togai, settings, capsys):
    """Run the command against the scripted Togai. Returns what it printed."""
    settings.TOGAI_BASE_URL, settings.TOGAI_REQUESTS_PER_SECOND = URL, 10_000

    def run():
        call_command("togai_after_restore", "2020-01-01T02:00:00+01:00")
        return capsys.readouterr().out

    return run


def test_an_account_that_is_younger_than_the_backup_is_walked_too(togai, worker, command):
    """R-21: all accounts are read first, from the first page on, whatever an earlier pull has read."""
    known = submitted().account.togai_id
    worker.work()
    younger = {"accountId": "younger", "id": "purchase.77"}
    key = Delivery.objects.get().idempotency_key[:-1] + "x"
    togai.records["purchase.77"] = togai.records["purchase.1"] | younger | {"idempotencyKey": key}
    togai.accounts = [ACME | {"id": known}, ACME | {"id": "younger"}]
    # As the backup has it: somebody pulled when it was made.
    PullProgress.objects.create(name="accounts", next_token="9", read=800, saved_at=timezone.now())
    PullRun.objects.create(name="accounts", asked_at=NOON, state="RUNNING", moved_at=NOON)
    told = command()
    assert "younger: purchase.77 (PROPOSAL_ACTIVE) was made after the backup." in told
    assert Account.objects.filter(togai_id="younger").exists()
    assert list(PullRun.objects.order_by("pk").values_list("state", flat=True)) == ["STOPPED", "DONE"]


def test_where_accounts_cannot_be_read_sending_has_stopped_all_the_same(togai, command):
    """R-21: look-only comes first; who runs the command again gets what is missing."""
    submitted()
    togai.reads_fail_with = 401
    with pytest.raises(CommandError, match="Run this again"):
        command()
    assert Link.load().look_only_since
    assert Delivery.objects.get().state == State.UNKNOWN
    togai.reads_fail_with = None
    assert "belong to nothing here: 0" in command()


def test_a_twin_that_togai_made_late_is_found_and_on_record(togai, worker, clock):
    """G-46: the key was ignored and the first send applied after the second; nobody here approves it."""
    proposal = submitted()
    togai.next_answers = ["dropped"]
    for _ in range(8):
        worker.work()
        clock.forward(minutes=10)
    delivery = Delivery.objects.of(proposal).get()
    assert (delivery.state, delivery.sends) == (State.CONFIRMED, 2)
    togai.records["purchase.9"] = togai.records[delivery.remote_id] | {"id": "purchase.9"}
    for twins in ([(delivery, ["purchase.9"])], []):
        assert restore.sweep_duplicates(togai.gateway(), since=NOON, at=clock()) == twins
    (row,) = settling.open_rows(proposal)
    assert settling.words(row, proposal) == "A second record · purchase.9"
    proposal.refresh_from_db()
    assert "A second record" in proposal.togai_problem
    assert Event.objects.about(proposal).filter(verb="drift").count() == 1


def twin_of(deal, togai, worker, clock):
    """A create of which Togai made two; a look has bound the first, and purchase.9 is the other."""
    togai.next_answers = ["lost"]
    worker.work()
    clock.forward(minutes=1)
    (record,) = togai.records.values()
    togai.records["purchase.9"] = record | {"id": "purchase.9", "createdAt": "2030-01-11T12:00:00Z"}
    worker.work()
    return list(Delivery.objects.of(deal))


def test_a_twin_is_declined_once_a_person_lets_it_go(togai, worker, clock):
    """R-24, reliability.md 2.7: the decline of a twin waits for a person, and never touches the deal."""
    proposal = submitted()
    create, decline = twin_of(proposal, togai, worker, clock)
    assert create.state == State.CONFIRMED
    assert (decline.kind, decline.state) == (Delivery.Kind.DECLINE_DUPLICATE, State.HELD)
    clock.forward(days=1)
    worker.work()
    assert togai.records["purchase.9"]["status"] == "PROPOSAL_ACTIVE"
    operators.release(delivery_id=decline.pk, by=administrator(), at=clock())
    worker.work()
    decline.refresh_from_db()
    proposal.refresh_from_db()
    assert decline.state == State.CONFIRMED
    assert togai.records["purchase.9"]["status"] == "PROPOSAL_DECLINED"
    assert togai.records[create.remote_id]["status"] == "PROPOSAL_ACTIVE"
    assert (proposal.togai_id, proposal.togai_status) == (create.remote_id, "PROPOSAL_ACTIVE")
    assert not settling.open_rows(proposal).exists()
    assert not proposal.togai_problem


def test_a_twin_that_somebody_approved_over_there_needs_a_person(togai, worker, clock):
    """R-24: what is decided at Togai is not decided again; the deal keeps the record it is bound to."""
    proposal = submitted()
    create, decline = twin_of(proposal, togai, worker, clock)
    togai.records["purchase.9"]["status"] = "PROPOSAL_APPROVED"
    operators.release(delivery_id=decline.pk, by=administrator(), at=clock())
    worker.work()
    decline.refresh_from_db()
    proposal.refresh_from_db()
    assert decline.state == State.NEEDS_HUMAN
    assert "already approved" in decline.last_message
    assert (proposal.status, proposal.togai_id) == ("SUBMITTED", create.remote_id)


def test_recalling_the_deal_leaves_the_decline_of_its_twin_to_a_person(togai, worker, clock):
    """P-13: taking back what never left is about the deal; the twin is at Togai all the same."""
    proposal = submitted()
    _, decline = twin_of(proposal, togai, worker, clock)
    services.recall(
        proposal_id=proposal.pk, by=proposal.owner, at=clock(), reason_code="other", reason="Not this month."
    )
    worker.work()
    decline.refresh_from_db()
    assert decline.state == State.HELD


def test_a_second_record_of_a_purchase_goes_to_finance(togai, worker, clock):
    """
    Reliability.md 2.7: Togai offers no way to take a purchase back, so nothing is queued; finance is told,
    and no later look at the first record lets that go.
    """
    purchase = submitted_purchase()
    purchases.release(purchase_id=purchase.pk, by=finance(), at=NOON, content_hash=purchase.content_hash)
    assert len(twin_of(purchase, togai, worker, clock)) == 1
    for _ in range(2):
        purchase.refresh_from_db()
        assert "A second record · purchase.9" in purchase.togai_problem
        clock.forward(hours=2)
        worker.work()
