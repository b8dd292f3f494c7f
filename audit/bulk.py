"""
Changing many rows: first say what each of them would become, then do exactly that, one verb a row.

On the lowest floor because accounts, purchases and proposals are all changed this way. The door between the
two steps keeps the keys and versions that a person was shown and agreed to (G-07, G-42).
"""

from dataclasses import dataclass, field

from django.contrib.auth import get_user_model
from django.db import transaction

from audit.refusals import Refusal
from audit.roles import has_role

# Rows that are read, and asked about, at a time.
READ = 500
# Rows that are changed in one transaction: short enough that nobody else waits for it (performance.md 7).
WRITTEN = 20

GONE = "There is no such row any more."
MOVED_ON = "Somebody changed it after you looked; look at it again."


class BulkAction:
    """
    One change that may be made to many rows of one model.

    :cvar title: what it does, as a menu says it
    :cvar roles: who may start it at all; whether a row takes it is for `effect` and the service to say
    :cvar danger: whether it cannot be taken back
    :cvar needs_sign_in: whether it is also told `signed_in_at`, beside the answers (P-21)
    :cvar done: what is true of a row afterwards, as the report says it
    """

    model = None
    title = ""
    roles = frozenset()
    danger = False
    needs_sign_in = False
    done = "Done"

    def load(self, keys, *, by):
        """The rows with everything that `effect` reads, in a number of queries that does not grow."""
        raise NotImplementedError

    def effect(self, row, *, by, at, **answers):
        """
        What the row has now and what it would have then, as two texts. Writes nothing.

        :param answers: what the person was asked for, e.g. the new owner
        :raises Refusal: the row would not take it, and why
        """
        raise NotImplementedError

    def apply(self, row, *, by, at, batch_id, **answers):
        """Make the change through the service that everybody else uses.

        :raises Refusal: as the service
        """
        raise NotImplementedError

    def note(self, row):
        """What tells a row from its like, beside its name."""
        return ""


@dataclass(frozen=True)
class Change:
    """One row of a plan that will change: what it has and what it will have; `version` is what was read."""

    key: object
    version: int
    label: str
    note: str
    before: str
    after: str


@dataclass(frozen=True)
class Skip:
    """One row of a plan that stays as it is, and why."""

    key: object
    label: str
    note: str
    why: str


@dataclass(frozen=True)
class Plan:
    """What a change of many rows would do."""

    will: list[Change] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What a change of many rows did: the keys that were done, and (key, why) of those that were not."""

    done: list = field(default_factory=list)
    refused: list = field(default_factory=list)


def plan(action, keys, *, by, at, answers):
    """What `action` would do to the rows with these keys, in their order; nothing is written."""
    found = Plan()
    for chunk in batched(keys, READ):
        rows = {row.pk: row for row in action.load(chunk, by=by)}
        for key in chunk:
            row = rows.get(key)
            if row is None:
                found.skipped.append(Skip(key, str(key), "", GONE))
                continue
            try:
                before, after = action.effect(row, by=by, at=at, **answers)
            except Refusal as refusal:
                found.skipped.append(Skip(key, str(row), action.note(row), str(refusal)))
            else:
                found.will.append(Change(key, row.version, str(row), action.note(row), before, after))
    return found


def carry_out(action, chosen, *, by, at, batch_id, answers):
    """
    Change the rows that a person was shown, each through its own service, a few in a transaction.

    What a chunk committed stays, whatever happens to a later one. Every row is judged again, and so is the
    person: a role that is taken away stops the rest.

    :param chosen: (key, version) pairs as the plan showed them; a row that moved on is left alone
    :param batch_id: on the record of every change
    """
    outcome = Outcome()
    people = get_user_model().objects
    for chunk in batched(chosen, WRITTEN):
        keys = [key for key, _ in chunk]
        with transaction.atomic():
            by = people.filter(pk=by.pk).first()
            may = by is not None and has_role(by, *action.roles)
            # In the order of the key, so that two of these never wait for each other.
            locked = action.model.objects.select_for_update().filter(pk__in=keys).order_by("pk")
            versions = dict(locked.values_list("pk", "version"))
            rows = {row.pk: row for row in action.load(keys, by=by)} if may else {}
            for key, version in chunk:
                if not may:
                    why = "Your role no longer includes this."
                elif key not in rows:
                    why = GONE
                elif versions[key] != version:
                    why = MOVED_ON
                else:
                    why = _change(action, rows[key], by=by, at=at, batch_id=batch_id, answers=answers)
                if why:
                    outcome.refused.append((key, why))
                else:
                    outcome.done.append(key)
    return outcome


def _change(action, row, *, by, at, batch_id, answers):
    """Change one row; why not, when it was refused."""
    try:
        with transaction.atomic():
            action.effect(row, by=by, at=at, **answers)
            action.apply(row, by=by, at=at, batch_id=batch_id, **answers)
    except Refusal as refusal:
        return str(refusal)
    return ""


def batched(items, size):
    """The items in lists of at most `size`."""
    items = list(items)
    return [items[start : start + size] for start in range(0, len(items), size)]
