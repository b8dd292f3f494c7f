"""What ends otherwise at Togai than it was decided, or fails there: who is told, and where it is said."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Team
from audit.roles import Role
from proposals import notices, overview, services
from proposals.models import Notice, Proposal
from tests.factories import NOON, administrator, finance, person, rep, submitted
from togai.models import Delivery

pytestmark = pytest.mark.django_db

Kind = Notice.Kind
WHY = {"reason_code": "other", "reason": "Not at this price, sorry."}


def decide(proposal, direction="APPROVE", *, by=None, at=NOON):
    verb, given = (services.approve, {}) if direction == "APPROVE" else (services.decline, WHY)
    return verb(
        proposal_id=proposal.pk, by=by or finance(), at=at, content_hash=proposal.content_hash, **given
    )


def at_togai(togai, worker):
    """A waiting proposal that Togai has."""
    proposal = submitted()
    worker.work()
    return Proposal.objects.get(pk=proposal.pk)


def told(kind):
    """By person, the title and text of what they were told."""
    rows = Notice.objects.filter(kind=kind).for_listing().select_related("person")
    words = {row.person: notices.told(row, at=NOON) for row in rows}
    return {who: (said.title, said.text, said.holds) for who, said in words.items()}


@pytest.mark.parametrize(
    ("direction", "there"),
    [
        ("APPROVE", "PROPOSAL_DECLINED"),
        ("APPROVE", "PROPOSAL_EXPIRED"),
        ("DECLINE", "PROPOSAL_APPROVED"),
        ("DECLINE", "PROPOSAL_EXPIRED"),
    ],
)
def test_another_end_at_togai_is_told_to_finance_and_the_owner(
    togai, worker, clock, client, direction, there
):
    """R-24, R-27: declined outside or expired, our decision meets it, and nothing is created again."""
    omar, ines, strangers = finance(), person(Role.CFO), (rep(), administrator())
    proposal = at_togai(togai, worker)
    togai.records[proposal.togai_id]["status"] = there
    decide(proposal, direction, by=omar)
    worker.work()
    decision = Delivery.objects.of(proposal).get(kind=Delivery.Kind.DECIDE)
    assert (decision.state, len(togai.records)) == (Delivery.State.NEEDS_HUMAN, 1)
    heard = told(Kind.CONFLICT)
    assert set(heard) == {omar, ines, proposal.owner}
    assert not set(heard) & set(strangers)
    title, text, holds = heard[omar]
    word = there.removeprefix("PROPOSAL_").lower()
    assert (title, holds) == (f"{proposal.reference} is otherwise at Togai than it was decided", True)
    assert word in text
    client.force_login(omar)
    page = client.get(proposal.get_absolute_url()).content.decode()
    assert word in alerts(page)
    assert title in client.get("/notices/").content.decode()


def test_a_conflict_is_told_once_and_no_longer_mailed_when_it_is_settled(togai, worker, clock):
    """R-24: whoever looks again tells nobody again."""
    proposal = at_togai(togai, worker)
    togai.records[proposal.togai_id]["status"] = "PROPOSAL_DECLINED"
    decide(proposal)
    for _ in range(4):
        worker.work()
        clock.forward(minutes=5)
    count = Notice.objects.filter(kind=Kind.CONFLICT).count()
    proposal.refresh_from_db()
    notices.contradicted(proposal, at=clock())
    assert Notice.objects.filter(kind=Kind.CONFLICT).count() == count == 2
    Proposal.objects.update(togai_problem="")
    assert {said for _, said, _ in told(Kind.CONFLICT).values()} == {"It has been settled since."}
    assert not any(holds for _, _, holds in told(Kind.CONFLICT).values())


def test_a_decision_that_togai_carries_out_tells_nobody(togai, worker):
    """R-24: only another end is news."""
    proposal = at_togai(togai, worker)
    decide(proposal)
    worker.work()
    assert Delivery.objects.get(kind=Delivery.Kind.DECIDE).state == Delivery.State.CONFIRMED
    assert not Notice.objects.exists()


# --- Failure after the approval ---


@pytest.fixture
def fails(togai, worker, clock):
    """An approved proposal whose order fails at Togai, with Togai's words."""
    finance(username="omar")
    proposal = at_togai(togai, worker)
    decide(proposal)
    worker.work()
    record = togai.records[proposal.togai_id]
    record["status"], record["comment"] = "FAILURE", "The card <b>was</b> declined."
    for _ in range(3):
        clock.forward(minutes=20)
        worker.work()
    return Proposal.objects.get(pk=proposal.pk)


def alerts(page):
    found = re.findall(r'<div class="note note--bad" role="alert">(.*?)</div></div>', page, flags=re.S)
    return " ".join(found)


def test_a_failure_after_the_approval_is_confirmed_and_alarms(fails, client):
    """R-25: the decision is done, the page of the deal says in red and in words what Togai says."""
    decision = Delivery.objects.of(fails).get(kind=Delivery.Kind.DECIDE)
    assert (decision.state, fails.status, fails.togai_status) == ("CONFIRMED", "APPROVED", "FAILURE")
    client.force_login(fails.owner)
    said = alerts(client.get(fails.get_absolute_url()).content.decode())
    assert "It failed at Togai" in said
    assert "The card &lt;b&gt;was&lt;/b&gt; declined." in said


def test_a_failure_is_told_to_finance_and_the_owner_once(fails):
    """R-25: in Togai's words, however often it is seen again."""
    heard = told(Kind.FAILED)
    assert fails.owner in heard
    assert all(
        Role.FINANCE.value in who.groups.values_list("name", flat=True) for who in heard if who != fails.owner
    )
    assert len(heard) == Notice.objects.filter(kind=Kind.FAILED).count() == 3
    title, text, holds = heard[fails.owner]
    assert (title, holds) == (f"{fails.reference} failed at Togai", True)
    assert text.endswith("Togai says: The card <b>was</b> declined.")
    notices.failed(fails, at=NOON + timedelta(days=1))
    assert Notice.objects.filter(kind=Kind.FAILED).count() == 3


def test_a_failure_stands_on_the_overview_of_finance_and_its_owner_for_a_month(fails):
    """R-25: and on nobody else's."""
    boss = person(Role.MANAGER)
    team = Team.objects.create(name="North")
    team.managers.add(boss)
    team.members.add(fails.owner)
    for who in (finance(), fails.owner, boss):
        seen = overview.overview_for(who, at=NOON + timedelta(days=30))
        assert [(row.reference, row.words) for row in seen.failed] == [(fails.reference, fails.togai_comment)]
        assert seen.needs_a_person == 1
        assert not overview.overview_for(who, at=NOON + timedelta(days=30, seconds=1)).failed
    assert not overview.overview_for(rep(), at=NOON).failed


def test_the_overview_names_a_failure_in_words(client):
    """R-25: not by its colour alone, and also when Togai says nothing."""
    now = timezone.now()
    proposal = submitted(at=now)
    decide(proposal, at=now)
    Proposal.objects.filter(pk=proposal.pk).update(togai_status="FAILURE")
    client.force_login(proposal.owner)
    page = client.get("/").content.decode()
    assert re.search(rf'{proposal.reference} · [^<]*</a><span class="[^"]*">Failed</span>', page)
    assert "Togai gave no reason." in page


def test_what_was_not_approved_here_has_not_failed_after_an_approval(togai, worker, clock):
    """R-25: a waiting proposal whose record says FAILURE differs at Togai; that is told by the difference."""
    proposal = at_togai(togai, worker)
    togai.records[proposal.togai_id]["status"] = "FAILURE"
    clock.forward(minutes=1)
    worker.work()
    proposal.refresh_from_db()
    assert (proposal.status, proposal.togai_status) == ("SUBMITTED", "FAILURE")
    assert "failure" in proposal.togai_problem
    assert not Notice.objects.filter(kind=Kind.FAILED).exists()
