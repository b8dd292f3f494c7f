"""A worker dies at every named moment of every kind of change, and a fresh one goes on."""

import ast
import inspect
import re
from datetime import timedelta
from functools import partial
from itertools import chain
from pathlib import Path

import pytest
from django.db import DatabaseError, connection
from django.utils import timezone

from audit import services as audit
from proposals.models import Proposal
from tests.crashes.crashes import APPLIED_AT_DEATH, CRASHES, FOLLOWING, ROW_AT_DEATH, never
from tests.crashes.rig import STORIES, Killed, picture, rolled_back
from tests.purchases.browserless import open_page
from togai import checkpoints, deliveries, worker
from togai.models import Delivery, DeliveryAttempt

pytestmark = pytest.mark.django_db

State = Delivery.State
EVERY_STORY = pytest.mark.parametrize("story", STORIES.values(), ids=repr)

# What Togai does with the first write, besides the crash: lost before and after it arrived, a server error
# with and without effect, a refusal, a clash.
ANSWERS = ("ok", "lost", "dropped", "applied 500", 500, 400, 409)
# The code behind a decline, a purchase and an edit is that of the first two: the answers that differ there.
FEWER = ("ok", "lost", "dropped", 400)
# When a worker comes by: at once, for the early look, after the quarantine, for the second absence.
VISITS = (timedelta(), timedelta(minutes=1), timedelta(minutes=15), timedelta(minutes=6), timedelta(hours=2))


def a_life(desk, story, subject):
    """From the wish to the end, as one process would live it."""
    story.want(desk, subject)
    worker = desk.worker("victim")
    for wait in VISITS:
        desk.clock.at += wait
        worker.work()


def begin(desk, answer):
    desk.togai.forget()
    desk.clock.at = desk.began
    desk.togai.records[desk.account.togai_id] = {"id": desk.account.togai_id, "name": desk.account.name}
    desk.togai.next_answers = []
    return answer


def is_applied(desk, story, row):
    """Whether Togai has done what the row asks for."""
    togai = desk.togai
    if row.kind in Delivery.CREATES:
        return any(record.get("idempotencyKey") == row.idempotency_key for record in togai.records.values())
    if row.kind == Delivery.Kind.DECIDE:
        return any(path.endswith("update_status") for path, _, _ in togai.applied)
    return "netTermDays" in togai.records[row.account_id]


def dies_there(desk, story, name, answer, nth=1):
    """A life that ends at a checkpoint: the row as death left it, or None if it never came by."""
    begin(desk, answer)
    subject = story.ready(desk)
    desk.togai.next_answers = [answer]
    if not desk.dies(partial(a_life, desk, story, subject), at=name, nth=nth):
        return None
    return story.row(subject)


@EVERY_STORY
@pytest.mark.parametrize("name", checkpoints.NAMES)
def test_whoever_dies_at_a_checkpoint_loses_nothing_and_sends_nothing_twice(desk, story, name):
    """
    F-02, G-46, R-01, R-04, R-05; C2 to C4, C6 to C10, C12 and D2 to D12: at every checkpoint, together with
    every answer, invariants I1 to I9 hold once a fresh worker has gone on.
    """
    deaths = 0
    for answer in ANSWERS if story.name in ("create", "approve") else FEWER:
        with rolled_back():
            row = dies_there(desk, story, name, answer)
            if row is None:
                continue
            deaths += 1
            try:
                desk.check()
                desk.calm()
            except AssertionError as failure:
                raise AssertionError(f"{name} with {answer}: {failure}\n{picture()}") from failure
    assert bool(deaths) != bool(never(story.name, name)), f"{deaths} deaths at {name} of {story}"


@EVERY_STORY
@pytest.mark.parametrize("name", checkpoints.NAMES)
def test_a_death_leaves_the_row_that_the_table_says(desk, story, name):
    """C2 to C12, D2 to D12: row and remote side at the moment of death, and where it ends (3.3)."""
    if why := never(story.name, name):
        assert dies_there(desk, story, name, "ok") is None, why
        return
    row = dies_there(desk, story, name, "lost" if name.startswith("look") else "ok")
    assert row.state == ROW_AT_DEATH[name]
    assert is_applied(desk, story, row) == APPLIED_AT_DEATH[name]
    sent = row.sends
    desk.calm()
    row.refresh_from_db()
    in_doubt = sent and not APPLIED_AT_DEATH[name]
    if story.name == "purchase" and in_doubt:
        # Money moves at once: what may have been sent is not sent again by itself.
        assert (row.state, is_applied(desk, story, row)) == (State.NEEDS_HUMAN, False)
    else:
        assert (row.state, is_applied(desk, story, row)) == (State.CONFIRMED, True)


@EVERY_STORY
@pytest.mark.parametrize("name", ["claim.committed", "send.before", "finish.before", "look.after"])
def test_two_workers_in_a_row_die_at_the_same_moment(desk, story, name):
    """G-46: the one who takes over dies too; the third finds its way."""
    answer = "lost" if name.startswith("look") else "ok"
    row = dies_there(desk, story, name, answer)
    desk.clock.forward(minutes=5)
    desk.dies(partial(desk.worker("second").work), at=name)
    desk.check()
    desk.calm()
    row.refresh_from_db()
    assert row.state in (State.CONFIRMED, State.NEEDS_HUMAN)


# --- what no checkpoint can show ---


@EVERY_STORY
def test_a_verb_that_dies_before_its_commit_never_happened(desk, story, monkeypatch):
    """C1, D1, R-01: nothing is on record, nothing leaves, and pressing again makes exactly one."""
    begin(desk, "ok")
    subject = story.ready(desk)
    writes = len(desk.togai.writes)

    queue = deliveries.queue

    def dies(**given):
        queue(**given)
        raise Killed("before the commit")

    with monkeypatch.context() as patch:
        patch.setattr(deliveries, "queue", dies)
        with pytest.raises(Killed):
            story.want(desk, subject)
    assert story.row(subject) is None
    desk.worker().work()
    assert len(desk.togai.writes) == writes
    story.want(desk, subject)
    desk.calm()
    assert story.row(subject).state == State.CONFIRMED


@EVERY_STORY
def test_a_claim_that_dies_inside_its_transaction_was_never_taken(desk, story, monkeypatch):
    """C3, D3: no claim, no send counted, no evidence of an attempt; the next worker takes it."""
    begin(desk, "ok")
    subject = story.ready(desk)
    story.want(desk, subject)
    attempts = DeliveryAttempt.objects.count()

    def dies(*args, **kwargs):
        raise Killed("in the claim")

    with monkeypatch.context() as patch:
        patch.setattr(DeliveryAttempt.objects, "create", dies)
        with pytest.raises(Killed):
            desk.worker().work()
    row = story.row(subject)
    assert (row.state, row.sends, row.claim_token) == (State.NOT_SENT, 0, None)
    assert DeliveryAttempt.objects.count() == attempts
    desk.calm()
    assert story.row(subject).state == State.CONFIRMED


@EVERY_STORY
def test_a_commit_that_fails_after_the_answer_is_done_again_by_looking(desk, story, monkeypatch):
    """C8, D8: the database fails at the finish; the claim expires and a look finds what Togai holds."""
    begin(desk, "ok")
    subject = story.ready(desk)
    story.want(desk, subject)

    def fails(self, *args, **kwargs):
        raise DatabaseError("connection lost")

    with monkeypatch.context() as patch:
        patch.setattr(DeliveryAttempt, "save", fails)
        # Creating the attempt in the claim is a save too: only the finish may fail.
        patch.setattr(DeliveryAttempt.objects, "create", partial(create_attempt))
        with pytest.raises(DatabaseError):
            desk.worker().work()
    assert story.row(subject).state == State.SENDING
    desk.check()
    desk.calm()
    assert story.row(subject).state == State.CONFIRMED


def create_attempt(**fields):
    return DeliveryAttempt.objects.bulk_create([DeliveryAttempt(**fields)])[0]


@EVERY_STORY
def test_a_finish_that_committed_unseen_is_not_done_twice(desk, story, monkeypatch):
    """C8: the outcome of the commit is unknown to its client; going on sends nothing again."""
    begin(desk, "ok")
    subject = story.ready(desk)
    story.want(desk, subject)
    finish = deliveries._finish

    def unseen(delivery, **given):
        finish(delivery, **given)
        raise DatabaseError("connection lost after the commit")

    with monkeypatch.context() as patch:
        patch.setattr(deliveries, "_finish", unseen)
        with pytest.raises(DatabaseError):
            desk.worker().work()
    row = story.row(subject)
    arrived = len(desk.togai.writes)
    assert row.state == State.CONFIRMED
    desk.calm()
    assert len(desk.togai.writes) == arrived


@pytest.mark.parametrize("name", ["create", "purchase"])
@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_walk_that_dies_begins_again_at_its_first_page(desk, monkeypatch, name, page):
    """C11, C12: half a walk counts for nothing, neither as found nor as absent."""
    story = STORIES[name]
    begin(desk, "lost")
    subject = story.ready(desk)
    story.want(desk, subject)
    desk.togai.next_answers = ["lost"]
    desk.togai.shows_keys = False
    for _ in range(3):
        # Records of others, so that the walk has several reads to die in.
        desk.togai._apply("POST", ["accounts", desk.account.togai_id, path_of(name)], {"quantity": 1})
    desk.worker().work()
    desk.clock.forward(minutes=1)
    reads = desk.togai._answer_read
    left = [page]

    def dies(parts):
        left[0] -= 1
        if left[0] == 0:
            raise Killed("in the walk")
        return reads(parts)

    with monkeypatch.context() as patch:
        patch.setattr(desk.togai, "_answer_read", dies)
        with pytest.raises(Killed):
            desk.worker().work()
    row = story.row(subject)
    assert (row.state, row.looks_absent) == (State.UNKNOWN, 0)
    desk.clock.forward(minutes=5)
    desk.togai.reads.clear()
    desk.togai.shows_keys = True
    desk.worker("fresh").work()
    assert desk.togai.reads[0].endswith(path_of(name))
    assert story.row(subject).state == State.CONFIRMED


def path_of(name):
    return "purchase_proposals" if name == "create" else "purchases"


def test_a_commit_is_on_disk_when_it_returns():
    """C14, R-28: no `synchronous_commit=off`, and SQLite waits for the disk."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SHOW synchronous_commit")
            assert cursor.fetchone()[0] == "on"
            cursor.execute("SHOW fsync")
            assert cursor.fetchone()[0] == "on"
        else:
            cursor.execute("PRAGMA synchronous")
            # 2 is FULL.
            assert cursor.fetchone()[0] == 2


# --- at the web door ---


@pytest.fixture
def door(client, desk):
    """The page of a new proposal, filled in, whose buttons can be pressed by a process that dies."""
    client.force_login(desk.rep)
    # Pages use the time of day.
    desk.clock.at = desk.began = timezone.now()
    page = open_page(client, f"/proposals/new/?account={desk.account.togai_id}")
    page.type(
        type="ENTITLEMENT_GRANT",
        price_plan=str(desk.plan.pk),
        quantity="2",
        payment_mode="PREPAID",
        title="Once",
    )
    return page


def presses(desk, page, button):
    return desk.door(lambda: page.press(button))


def test_a_draft_whose_answer_is_lost_is_drafted_once(desk, door, monkeypatch):
    """C1, C2: the same form token, posted again after a death before and after the commit."""
    with monkeypatch.context() as patch:
        patch.setattr(audit, "record", dying)
        with pytest.raises(Killed):
            presses(desk, door, "save")
    assert not Proposal.objects.exists()
    first = presses(desk, door, "save")
    # The answer to that one was lost on its way to the browser.
    second = presses(desk, door, "save")
    assert first.url == second.url
    assert Proposal.objects.count() == 1


def dying(*args, **kwargs):
    raise Killed("before the commit")


def test_a_submit_whose_answer_is_lost_is_submitted_once(desk, door):
    """C2, D2, G-46: dead after the commit; the button pressed again leads to the same proposal."""
    assert desk.dies(lambda: presses(desk, door, "submit"), at="queue.written")
    proposal = Proposal.objects.get()
    assert proposal.status == Proposal.Status.SUBMITTED
    again = presses(desk, door, "submit")
    assert again.url == proposal.get_absolute_url()
    assert Delivery.objects.of(proposal).count() == 1
    desk.calm()
    assert len(desk.togai.records) == 1


# --- the table, and the code that it is about ---


def test_every_crash_of_the_table_has_a_checkpoint_or_a_place():
    """F-02: C1 to C14 and D1 to D14 are each mapped; every checkpoint belongs to one of them."""
    assert list(CRASHES) == list(range(1, 15))
    used = set(chain.from_iterable(names for _, names, _ in CRASHES.values())) | set(FOLLOWING)
    assert used == set(checkpoints.NAMES) == set(ROW_AT_DEATH)
    here = Path(__file__).parent
    for what, names, place in CRASHES.values():
        assert names or place, what
        if found := re.fullmatch(r"(\w+\.py)::(\w+)", place):
            assert f"def {found[2]}" in (here / found[1]).read_text(), place


# Where a call of the gateway stands: the checkpoint before it, the function that holds the checkpoints, the
# name that stands for the call there, the checkpoint after it.
CALLS = {
    ("_call", "create_proposal"): ("send.before", "_send", "_call", "send.after"),
    ("_call", "create_purchase"): ("send.before", "_send", "_call", "send.after"),
    ("_call", "update_account"): ("send.before", "_send", "_call", "send.after"),
    ("_call", "update_proposal_status"): ("send.before", "_send", "_call", "send.after"),
    ("_may_decide", "get_proposal"): ("read.before", "_may_decide", "get_proposal", "read.after"),
    ("_look_at_decision", "get_proposal"): ("look.before", "_look_at_decision", "get_proposal", "look.after"),
    ("_look_at_account", "get_account"): ("look.before", "_look_at_account", "get_account", "look.after"),
    ("_look_for_create", "list_account_proposals"): (
        "look.before",
        "_look_for_create",
        "list_account_proposals",
        "look.after",
    ),
    ("_look_for_create", "list_account_purchases"): (
        "look.before",
        "_look_for_create",
        "list_account_purchases",
        "look.after",
    ),
    ("_look_for_create", "get_proposal"): ("look.before", "_look_for_create", "get", "look.after"),
    ("_look_for_create", "get_purchase"): ("look.before", "_look_for_create", "get", "look.after"),
    ("_read", "get_proposal"): ("follow.before", "follow", "_read", "follow.after"),
    ("_read", "get_purchase"): ("follow.before", "follow", "_read", "follow.after"),
}
UNMARKED_CALLS = {
    ("line_is_up", "probe"): "no row is claimed while it runs, and it changes nothing",
    (
        "_missing",
        "get_account",
    ): "a read between send.before and finish.before; the row is SENDING throughout",
}
# Functions whose commits are steps of a delivery: checkpoint before, checkpoint after.
COMMITS = {
    ("deliveries", "claim"): ("claim.before", "claim.committed"),
    ("deliveries", "_finish"): ("finish.before", "finish.committed"),
    ("worker", "follow"): ("follow.before", "follow.committed"),
}


def functions_of(module):
    tree = ast.parse(inspect.getsource(module))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def checkpoints_in(function):
    """The line of each checkpoint that a function passes."""
    return {
        node.args[0].value: node.lineno
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "checkpoint"
    }


def lines_of(function, name):
    """Where a function uses this name or attribute."""
    return [
        node.lineno
        for node in ast.walk(function)
        if name in (getattr(node, "attr", ""), getattr(node, "id", ""))
    ]


def test_every_call_to_togai_has_a_checkpoint_before_and_after_it():
    """F-02: read from the code, so that a call added later has to say where it may die."""
    functions = functions_of(worker)
    calls = {
        (name, node.attr)
        for name, function in functions.items()
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr in ("gateway", "follower")
        and node.attr != "skew"
    }
    assert calls == set(CALLS) | set(UNMARKED_CALLS)
    for before, holder, anchor, after in CALLS.values():
        marks = checkpoints_in(functions[holder])
        if before == "look.before":
            # All looks begin in one place, and each kind ends in its own.
            assert before in checkpoints_in(functions["_look"])
            assert min(lines_of(functions[holder], anchor)) <= marks[after]
        else:
            assert marks[before] < min(lines_of(functions[holder], anchor)) < marks[after]


def test_every_step_of_a_delivery_commits_between_two_checkpoints():
    """F-02: claim, finish and follow; `queue` belongs to the verb's own transaction and tells after it."""
    modules = {"deliveries": functions_of(deliveries), "worker": functions_of(worker)}
    for (module, name), (before, after) in COMMITS.items():
        function = modules[module][name]
        marks = checkpoints_in(function)
        opened = lines_of(function, "atomic")
        assert opened
        for line in opened:
            assert marks[before] < line < marks[after]
    assert "queue.written" in checkpoints_in(modules["deliveries"]["queue"])


def test_production_passes_every_checkpoint_by():
    """F-02: with no listener a checkpoint does nothing."""
    for name in checkpoints.NAMES:
        assert checkpoints.checkpoint(name) is None
