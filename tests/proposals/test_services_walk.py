"""Ten thousand steps in any order by anybody: no proposal ever reaches a state that nobody defined."""

import random
from collections import Counter
from datetime import timedelta

import pytest

from audit import services as audit
from audit.refusals import Refusal
from audit.roles import Role
from proposals import services
from proposals.models import ApprovalStep, Proposal
from tests.factories import NOON, AccountFactory, PricePlanFactory, draft, person
from togai.models import Delivery

STEPS = 10_000
# A deal that has gone this far is left, so that chains stay short and drafts stay frequent.
LONGEST_CHAIN = 6
WHY = {"reason_code": "other", "reason": "Because the dice said so."}

Status, State = Proposal.Status, Delivery.State


@pytest.mark.django_db
def test_a_random_walk_never_leaves_the_table_of_moves():
    """G-34: 10,000 steps; each is a move of the table or changes nothing, whatever was tried."""
    dice = random.Random(20300110)
    people = {
        "rep": person(Role.REP),
        "other rep": person(Role.REP),
        "finance": person(Role.FINANCE),
        "cfo": person(Role.CFO),
        "admin": person(Role.ADMINISTRATOR),
        "auditor": person(Role.AUDITOR),
    }
    everybody = [*people.values(), people["finance"], people["rep"]]
    given = {"account": AccountFactory(owner=people["rep"]), "price_plan": PricePlanFactory()}
    seen, refused, moves = Counter(), Counter(), Counter()
    at, proposal = NOON, draft(by=people["rep"], **given)
    for _ in range(STEPS):
        at += timedelta(minutes=dice.randrange(1, 2000))
        verb = dice.choice(list(WALK))
        before, chain = proposal.status, proposal.number
        try:
            proposal = WALK[verb](proposal, dice.choice(everybody), at, dice) or proposal
        except Refusal:
            refused[verb] += 1
        proposal.refresh_from_db()
        after = proposal.status
        assert after in Status.values
        if verb != "revise" or after != Status.DRAFT:
            assert after == before or after in Proposal.MOVES[before], f"{before} became {after} by {verb}"
            moves[before, after] += before != after
        waiting = proposal.steps.filter(state=ApprovalStep.State.WAITING).exists()
        assert waiting == (after == Status.SUBMITTED)
        assert (proposal.decided_by is not None) == (
            after in (Status.APPROVED, Status.DECLINED, Status.CHANGES_REQUESTED)
        )
        seen[after] += 1
        if not proposal.is_live or after == Status.APPROVED or proposal.revision > LONGEST_CHAIN:
            proposal = draft(by=people["rep"], at=at, **given)
        assert Proposal.objects.live().filter(number=chain).count() == 1
    # The walk was worth its name: every state was seen, and every move of the table made.
    assert set(seen) == set(Status.values)
    for start, ends in Proposal.MOVES.items():
        for end in ends:
            assert moves[start, end], f"No step went from {start} to {end}."
    assert sum(refused.values()) > STEPS / 4
    decisions = Delivery.objects.filter(kind=Delivery.Kind.DECIDE)
    assert decisions.count() == decisions.values("subject_id").distinct().count()
    assert audit.verify() is None


def _edit(proposal, by, at, dice):
    version = proposal.version - dice.choice([0, 0, 0, 1])
    services.edit(
        proposal_id=proposal.pk,
        by=by,
        at=at,
        version=version,
        fields={"quantity": dice.randrange(1, 9), "valid_until": None},
    )


def _submit(proposal, by, at, dice):
    services.submit(proposal_id=proposal.pk, by=by, at=at)


def _hash(proposal, dice):
    return dice.choice([proposal.content_hash] * 5 + ["stale"])


def _approve(proposal, by, at, dice):
    services.approve(proposal_id=proposal.pk, by=by, at=at, content_hash=_hash(proposal, dice))


def _decline(proposal, by, at, dice):
    services.decline(proposal_id=proposal.pk, by=by, at=at, content_hash=_hash(proposal, dice), **WHY)


def _request_changes(proposal, by, at, dice):
    services.request_changes(proposal_id=proposal.pk, by=by, at=at, content_hash=_hash(proposal, dice), **WHY)


def _recall(proposal, by, at, dice):
    services.recall(proposal_id=proposal.pk, by=by, at=at, **WHY)


def _revise(proposal, by, at, dice):
    return services.revise(proposal_id=proposal.pk, by=by, at=at)


def _expire(proposal, by, at, dice):
    services.expire(proposal_id=proposal.pk, at=at + timedelta(days=dice.choice([0, 0, 60])))


def _togai_confirms(proposal, by, at, dice):
    _open(proposal).update(state=State.CONFIRMED, sends=1)


def _togai_refuses(proposal, by, at, dice):
    creates = _open(proposal).filter(kind=Delivery.Kind.CREATE_PROPOSAL)
    if creates.update(state=State.REJECTED, sends=1):
        Proposal.objects.filter(pk=proposal.pk).update(togai_refusal="quantity: too many")


def _open(proposal):
    return Delivery.objects.of(proposal).filter(state=State.NOT_SENT).order_by()


WALK = {
    "edit": _edit,
    "submit": _submit,
    "approve": _approve,
    "decline": _decline,
    "request_changes": _request_changes,
    "recall": _recall,
    "revise": _revise,
    "expire": _expire,
    "togai confirms": _togai_confirms,
    "togai refuses": _togai_refuses,
}
