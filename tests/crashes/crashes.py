"""
The crash points of reliability.md 3.3 as data: which checkpoint each of them is, or what else proves it.

C1 to C14 are told of a create, D1 to D14 of a decision; the same code moves both.
"""

from togai.models import Delivery

State = Delivery.State

# id: (what dies, checkpoints that stand for it, or the test that proves it where no checkpoint can).
CRASHES = {
    1: ("before the commit of the verb", (), "test_points.py::test_a_verb_that_dies_before_its_commit"),
    2: ("after the commit of the verb, before its answer", ("queue.written",), ""),
    3: (
        "in the claim, before its commit",
        ("claim.before",),
        "test_points.py::test_a_claim_that_dies_inside",
    ),
    4: ("after the claim, before the connection", ("claim.committed", "send.before", "read.before"), ""),
    5: ("half the request written", (), "test_real_kill.py::test_half_a_request"),
    6: ("request written, no answer read", ("read.after",), "test_real_kill.py::test_no_answer_read"),
    7: ("answer read, before the finish", ("send.after", "finish.before"), ""),
    8: ("in the finish, before its commit", ("finish.inside",), "test_points.py::test_a_commit_that_fails"),
    9: ("after the finish, before what waits behind it is woken", ("finish.committed",), ""),
    10: ("the look: after its claim", ("look.before",), ""),
    11: ("the look: in the middle of its walk", (), "test_points.py::test_a_walk_that_dies"),
    12: ("the look: after its walk, before its commit", ("look.after",), ""),
    13: (
        "during a migration or a backup",
        (),
        "Rows are plain committed rows: a migration is one transaction on both databases, and a copy of the "
        "database is any of the states above. tests/config proves that migrations run again.",
    ),
    14: (
        "power lost while commits are not yet on disk",
        (),
        "test_points.py::test_a_commit_is_on_disk_when_it_returns",
    ),
}
# Beyond the table: the death of who follows a record that is confirmed already.
FOLLOWING = ("follow.before", "follow.after", "follow.committed")

# What the row says right after a death there, when Togai answers well (column "Row").
ROW_AT_DEATH = {
    "queue.written": State.NOT_SENT,
    "claim.before": State.NOT_SENT,
    "claim.committed": State.SENDING,
    "read.before": State.SENDING,
    "read.after": State.SENDING,
    "send.before": State.SENDING,
    "send.after": State.SENDING,
    "finish.before": State.SENDING,
    "finish.inside": State.SENDING,
    "finish.committed": State.CONFIRMED,
    "look.before": State.UNKNOWN,
    "look.after": State.UNKNOWN,
    "follow.before": State.CONFIRMED,
    "follow.after": State.CONFIRMED,
    "follow.committed": State.CONFIRMED,
}
# Whether Togai has applied the change by then (column "Remote").
APPLIED_AT_DEATH = {
    name: name in ("send.after", "finish.before", "finish.inside", "finish.committed")
    or name.startswith(("look", "follow"))
    for name in ROW_AT_DEATH
}

# Checkpoints that a kind of change never passes, and why.
NEVER = {
    ("create", "read"): "only a decision is read before it is sent (R-24)",
    ("purchase", "read"): "only a decision is read before it is sent (R-24)",
    ("edit", "read"): "only a decision is read before it is sent (R-24)",
    ("edit", "follow"): "an account is seen again by the next pull, not followed",
}


def never(story, name):
    """Why this kind of change does not pass this checkpoint; "" when it does."""
    return NEVER.get((story, name.partition(".")[0]), "")
