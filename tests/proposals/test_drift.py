"""What differs between a proposal and Togai's record: shown, settled by people, never corrected by itself."""

import json
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from zeal import zeal_ignore

from audit.models import Event
from audit.refusals import Invalid, NotAllowed, OwnWork, WrongStatus
from audit.roles import Role
from proposals import drift, services
from proposals.models import ApprovalStep, Proposal
from proposals.outcome import EXPECTED, ProposalListener
from purchases import services as purchase_services
from purchases import settling
from tests.factories import administrator, draft, finance, person, rep, submitted, submitted_purchase
from tests.togai.fake_togai import Clock
from togai.models import Delivery, Drift

pytestmark = pytest.mark.django_db

Status = Proposal.Status
REASON = "The customer agreed to this with us."
WHY = {"reason_code": "other", "reason": REASON}


@pytest.fixture
def clock():
    return Clock(timezone.now())


@pytest.fixture
def waiting(worker, clock):
    """A submitted proposal that Togai has confirmed as it was sent."""
    proposal = submitted(by=rep(first_name="Mia", last_name="Ott"), at=clock.at)
    worker.work()
    proposal.refresh_from_db()
    assert (proposal.togai_status, proposal.togai_problem) == ("PROPOSAL_ACTIVE", "")
    return proposal


@pytest.fixture
def followed(togai, worker, clock):
    """Change Togai's record and have the worker see it."""

    def change(proposal, **fields):
        togai.records[proposal.togai_id] |= fields
        clock.forward(minutes=20)
        worker.work()
        proposal.refresh_from_db()
        return list(settling.open_rows(proposal))

    return change


def decided(proposal, verb, at, **why):
    boss = finance()
    verb(proposal_id=proposal.pk, by=boss, at=at, content_hash=proposal.content_hash, **why)
    proposal.refresh_from_db()
    return boss


def values(rows):
    return [(row.field, row.ours, row.theirs) for row in rows]


# --- what Togai says ---


def test_a_decision_in_togais_console_shows_as_a_difference(waiting, followed):
    """R-06: never ours; both are shown within one cycle."""
    assert values(followed(waiting, status="PROPOSAL_DECLINED")) == [("status", "Submitted", "Declined")]
    assert waiting.status == Status.SUBMITTED
    assert waiting.togai_problem == "Here it is submitted, at Togai it is declined."
    assert Event.objects.about(waiting).filter(verb="drift").count() == 1


def test_what_was_declined_in_togais_console_is_no_longer_approved_here(waiting, followed, clock, client):
    """R-24: a yes could not reach it; who would give it reads so first, and a no is still possible."""
    followed(waiting, status="PROPOSAL_DECLINED")
    boss = finance()
    client.force_login(boss)
    page = client.get(waiting.get_absolute_url())
    assert page.context["offers"].verbs & {"approve", "decline"} == {"decline"}
    assert "It was declined in Togai&#x27;s own console" in page.content.decode()
    assert "declined at Togai" in client.get("/approvals/").content.decode()
    with pytest.raises(WrongStatus, match="own console"):
        decided(waiting, services.approve, clock.at)
    assert not Delivery.objects.of(waiting).filter(kind=Delivery.Kind.DECIDE).exists()
    decided(waiting, services.decline, clock.at, **WHY)
    assert waiting.status == Status.DECLINED


def test_an_expiry_after_our_decision_is_shown_to_both_and_rewrites_nothing(waiting, followed, clock, client):
    """R-27: only Togai says expired; what was decided before stays decided, and both people see it."""
    boss = decided(waiting, services.approve, clock.at)
    Delivery.objects.of(waiting).filter(kind=Delivery.Kind.DECIDE).update(
        next_at=clock.at + timedelta(days=9)
    )
    assert values(followed(waiting, status="PROPOSAL_EXPIRED")) == [("status", "Approved", "Expired")]
    assert waiting.status == Status.APPROVED
    assert waiting.togai_problem == "It expired at Togai, after it was approved here."
    for somebody in (waiting.owner, boss):
        client.force_login(somebody)
        assert waiting.togai_problem in client.get(waiting.get_absolute_url()).content.decode()


def test_an_expiry_before_any_decision_is_ours_too_and_no_difference(waiting, followed):
    """R-27, G-33"""
    assert followed(waiting, status="PROPOSAL_EXPIRED") == []
    assert (waiting.status, waiting.togai_problem) == (Status.EXPIRED, "")
    verbs = Event.objects.about(waiting).order_by("seq").values_list("verb", flat=True)
    assert list(verbs)[-2:] == ["togai", "expire"]


def test_a_payment_in_togais_console_is_news_and_no_difference(waiting, followed, clock):
    """G-50: what has to come after an approval comes without asking anybody."""
    decided(waiting, services.approve, clock.at)
    followed(waiting)
    for status in ("PENDING", "IN_PROGRESS", "SUCCESS"):
        assert followed(waiting, status=status, invoiceId="inv.1") == []
    assert (waiting.togai_status, waiting.togai_invoice_id) == ("SUCCESS", "inv.1")


# --- accept theirs ---


def test_accepting_a_decline_ends_what_waits_as_recalled(waiting, followed, clock, togai, worker):
    """R-06, G-22: nobody here declined it, so nobody is written down as if they had."""
    [row] = followed(waiting, status="PROPOSAL_DECLINED")
    boss = finance()
    drift.accept(drift_id=row.pk, by=boss, at=clock.at, reason=REASON)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.decided_by, waiting.togai_problem) == (Status.RECALLED, None, "")
    assert [step.state for step in waiting.steps.all()] == [ApprovalStep.State.ENDED]
    event = Event.objects.about(waiting).get(verb="recall")
    assert (event.actor, event.reason) == (boss, f"Declined at Togai: {REASON}")
    worker.work()
    assert togai.decisions() == []
    assert waiting.is_revisable
    assert followed(waiting, comment="Later") == []


def test_accepting_that_it_is_gone_ends_what_waits(waiting, clock):
    """Reliability.md 2.7: no recreate; its author may revise it."""
    ProposalListener(Proposal, EXPECTED).gone(waiting.pk, at=clock.at)
    [row] = settling.open_rows(waiting)
    drift.accept(drift_id=row.pk, by=administrator(), at=clock.at, reason=REASON)
    waiting.refresh_from_db()
    assert waiting.status == Status.RECALLED
    assert Event.objects.about(waiting).get(verb="recall").reason == f"Gone at Togai: {REASON}"


@pytest.mark.parametrize("status", ["PROPOSAL_APPROVED", "PENDING", "SUCCESS"])
def test_an_approval_at_togai_is_never_accepted_as_one_here(waiting, followed, clock, status):
    """R-06, G-22: four eyes are ours to keep; who reads it approves it here, and then both agree."""
    [row] = followed(waiting, status=status)
    with pytest.raises(WrongStatus, match="does not count as an approval here"):
        drift.accept(drift_id=row.pk, by=finance(), at=clock.at, reason=REASON)
    decided(waiting, services.approve, clock.at)
    assert followed(waiting, comment="Seen") == []
    row.refresh_from_db()
    assert (row.how, waiting.status) == (Drift.How.GONE, Status.APPROVED)


def test_accepting_after_our_decision_changes_nothing_of_ours(waiting, followed, clock, togai):
    """R-06: the decision here stays what it was, and Togai is told nothing."""
    decided(waiting, services.decline, clock.at, **WHY)
    Delivery.objects.of(waiting).filter(kind=Delivery.Kind.DECIDE).update(
        next_at=clock.at + timedelta(days=9)
    )
    [row] = followed(waiting, status="PENDING")
    drift.accept(drift_id=row.pk, by=finance(), at=clock.at, reason=REASON)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.togai_problem, togai.decisions()) == (Status.DECLINED, "", [])


def test_accepting_another_quantity_leaves_the_approved_terms(waiting, followed, clock):
    """G-50: nothing corrects money by itself."""
    [row] = followed(waiting, quantity=3)
    drift.accept(drift_id=row.pk, by=finance(), at=clock.at, reason=REASON)
    waiting.refresh_from_db()
    assert (waiting.quantity, waiting.status, waiting.togai_problem) == (2, Status.SUBMITTED, "")


def test_who_may_accept_and_ignore(waiting, followed, clock):
    """G-22: the same people as everywhere; an author in finance is not one of them."""
    [row] = followed(waiting, quantity=3)
    author = finance()
    waiting.editors.add(author)
    for verb in (drift.accept, drift.ignore):
        for somebody in (waiting.owner, person(Role.MANAGER), person(Role.AUDITOR)):
            with pytest.raises(NotAllowed):
                verb(drift_id=row.pk, by=somebody, at=clock.at, reason=REASON)
        with pytest.raises(OwnWork):
            verb(drift_id=row.pk, by=author, at=clock.at, reason=REASON)
        with pytest.raises(Invalid):
            verb(drift_id=row.pk, by=finance(), at=clock.at, reason="short")
    drift.ignore(drift_id=row.pk, by=person(Role.CFO), at=clock.at, reason=REASON)
    row.refresh_from_db()
    assert (row.how, row.reason) == (Drift.How.IGNORED, REASON)


# --- revise ---


def test_revising_what_waits_recalls_it_and_togai_hears_decline(waiting, followed, clock, togai, worker):
    """G-50, R-14: always DECLINE there and a new revision here; every open row of the old one is settled."""
    row, other = followed(waiting, quantity=3, paymentMode="POSTPAID")
    new = drift.revise(drift_id=row.pk, by=waiting.owner, at=clock.at, **WHY)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.is_live, waiting.togai_problem) == (Status.RECALLED, False, "")
    assert (new.revision, new.status, new.quantity) == (2, Status.DRAFT, 2)
    assert {one.how for one in Drift.objects.all()} == {Drift.How.REVISED}
    worker.work()
    assert togai.decisions() == [b'{"status":"DECLINE"}']
    assert waiting.decisions.get().reason_code_id == "other"
    assert other.pk != row.pk


def test_revising_what_togai_has_declined_says_nothing_there(waiting, followed, clock, togai, worker):
    """R-14: over there already, so the next revision waits for nothing."""
    [row] = followed(waiting, status="PROPOSAL_DECLINED")
    new = drift.revise(drift_id=row.pk, by=waiting.owner, at=clock.at, reason=REASON)
    services.submit(proposal_id=new.pk, by=new.owner, at=clock.at)
    worker.work()
    assert togai.decisions() == []
    assert len(togai.created()) == 2


def test_revising_what_ended_here_opens_the_next_revision(waiting, followed, clock):
    """G-50"""
    decided(waiting, services.decline, clock.at, **WHY)
    [row] = followed(waiting, quantity=3)
    new = drift.revise(drift_id=row.pk, by=administrator(), at=clock.at, reason=REASON)
    assert (new.revision, new.status) == (2, Status.DRAFT)


def test_what_cannot_be_revised(waiting, followed, clock):
    """R-06: approved here, approved there, not ours, or superseded: refused, and nothing moves."""
    owner = waiting.owner
    [row] = followed(waiting, quantity=3)
    with pytest.raises(NotAllowed):
        drift.revise(drift_id=row.pk, by=finance(), at=clock.at, **WHY)
    with pytest.raises(Invalid):
        drift.revise(drift_id=row.pk, by=owner, at=clock.at, reason=REASON, reason_code="nonsense")
    assert [one.pk for one in settling.open_rows(waiting)] == [row.pk]
    rows = followed(waiting, quantity=2, idempotencyKey="another")
    with pytest.raises(WrongStatus, match="not the record that we made"):
        drift.revise(drift_id=rows[0].pk, by=owner, at=clock.at, **WHY)
    key = Delivery.objects.of(waiting).get(kind=Delivery.Kind.CREATE_PROPOSAL).idempotency_key
    [row] = followed(waiting, idempotencyKey=key, status="PENDING")
    with pytest.raises(WrongStatus, match="approved at Togai"):
        drift.revise(drift_id=row.pk, by=owner, at=clock.at, **WHY)
    [row] = followed(waiting, status="PROPOSAL_ACTIVE", quantity=5)
    decided(waiting, services.approve, clock.at)
    with pytest.raises(WrongStatus, match="approved and cannot be revised"):
        drift.revise(drift_id=row.pk, by=owner, at=clock.at, **WHY)


def test_an_old_revision_is_settled_but_not_revised(waiting, followed, clock):
    """G-50: only the newest one has a next."""
    decided(waiting, services.decline, clock.at, **WHY)
    services.revise(proposal_id=waiting.pk, by=waiting.owner, at=clock.at)
    [row] = followed(waiting, quantity=3)
    with pytest.raises(WrongStatus, match="superseded"):
        drift.revise(drift_id=row.pk, by=waiting.owner, at=clock.at, reason=REASON)
    drift.ignore(drift_id=row.pk, by=finance(), at=clock.at, reason=REASON)
    assert not settling.open_rows(waiting).exists()


def test_offers_say_what_the_services_do(waiting, followed, clock):
    """What a page offers is what would be done."""
    [row] = followed(waiting, quantity=3)
    boss = finance()
    assert drift.offers(waiting, [row], boss) == {row.pk: {"accept", "ignore"}}
    assert drift.offers(waiting, [row], waiting.owner) == {row.pk: {"revise"}}
    assert drift.offers(waiting, [row], administrator()) == {row.pk: {"accept", "ignore", "revise"}}
    assert drift.offers(waiting, [row], person(Role.AUDITOR)) == {row.pk: set()}
    rows = followed(waiting, quantity=2, status="PENDING")
    assert drift.offers(waiting, rows, administrator()) == {rows[0].pk: {"ignore"}}


# --- pages ---


def address(proposal, row, verb):
    kind = "proposals" if isinstance(proposal, Proposal) else "purchases"
    return f"/{kind}/{proposal.reference}/differences/{row.pk}/{verb}/"


def test_the_page_shows_both_sides_and_the_verbs(waiting, followed, client):
    """G-50: here, at Togai, accept theirs, revise, ignore."""
    [row] = followed(waiting, quantity=3)
    client.force_login(administrator())
    html = client.get(waiting.get_absolute_url()).content.decode()
    table = re.search(r'<section class="card" id="drift">.*?</section>', html, re.S)[0]
    assert "At Togai it is not as it was sent: Quantity." in table
    for verb in ("accept", "revise", "ignore"):
        assert f'href="{address(waiting, row, verb)}"' in table
    client.force_login(waiting.owner)
    html = client.get(waiting.get_absolute_url()).content.decode()
    assert f'href="{address(waiting, row, "revise")}"' in html
    assert address(waiting, row, "accept") not in html


def test_a_page_without_differences_asks_nothing_more(waiting, followed, client, clock):
    """Performance.md 2: the table costs its query only where there is one."""
    client.force_login(person(Role.CFO))
    client.get(waiting.get_absolute_url())
    with CaptureQueriesContext(connection) as without:
        html = client.get(waiting.get_absolute_url()).content.decode()
    assert 'id="drift"' not in html
    assert not [one for one in without if "togai_drift" in one["sql"]]
    followed(waiting, quantity=3, paymentMode="POSTPAID")
    with CaptureQueriesContext(connection) as few:
        client.get(waiting.get_absolute_url())
    followed(waiting, type="PREPAID", pricePlanId="pp.x", effectiveFrom="2031-01-01")
    with CaptureQueriesContext(connection) as many:
        client.get(waiting.get_absolute_url())
    # The rows, and whether the reader has written the deal.
    assert len(many) == len(few) <= len(without) + 2


def test_finance_settles_a_difference_on_its_page(waiting, followed, client):
    """G-50: both values stand beside the question, and without a reason nothing happens."""
    [row] = followed(waiting, quantity=3)
    client.force_login(finance())
    for verb, word in (("accept", "Accept theirs"), ("ignore", "Ignore")):
        html = client.get(address(waiting, row, verb)).content.decode()
        assert word in html
        answer = client.post(address(waiting, row, verb), {"reason": "short"})
        assert answer.status_code == 200
        assert "Say why in at least 10 characters." in answer.content.decode()
    answer = client.post(address(waiting, row, "accept"), {"reason": REASON})
    assert (answer.status_code, answer.url) == (303, waiting.get_absolute_url())
    assert "Settled: Quantity." in client.get(answer.url).content.decode()
    assert client.post(address(waiting, row, "ignore"), {"reason": REASON}).status_code == 409


def test_its_owner_revises_on_the_page(waiting, followed, client):
    """G-50: what waits is recalled with a reason that reports count, then the editor opens."""
    [row] = followed(waiting, quantity=3)
    client.force_login(waiting.owner)
    html = client.get(address(waiting, row, "revise")).content.decode()
    assert "Customer changed their mind" in html
    assert client.post(address(waiting, row, "revise"), {"reason": REASON}).status_code == 200
    # To recall and to revise are two verbs on one row, which zeal takes for a query in a loop.
    with zeal_ignore([{"model": "proposals.Proposal", "field": "get()"}]):
        answer = client.post(address(waiting, row, "revise"), WHY)
    assert (answer.status_code, answer.url) == (303, f"/proposals/{waiting.reference}/edit/")


def test_nobody_meets_differences_of_others(waiting, followed, client):
    """S-01: another rep's is 404, a row of another deal is 404, and so is one that never was."""
    [row] = followed(waiting, quantity=3)
    client.force_login(rep())
    assert client.get(address(waiting, row, "revise")).status_code == 404
    client.force_login(administrator())
    other = draft()
    assert client.get(address(other, row, "ignore")).status_code == 404
    row.pk = 10**12
    assert client.get(address(waiting, row, "ignore")).status_code == 404


def test_the_lists_find_what_differs(waiting, followed, client, worker, clock):
    """G-50: a saved view on both lists."""
    purchase = submitted_purchase(at=clock.at)
    purchase_services.release(
        purchase_id=purchase.pk, by=finance(), at=clock.at, content_hash=purchase.content_hash
    )
    worker.work()
    purchase.refresh_from_db()
    other = draft(title="Not this one")
    client.force_login(finance())
    for path in ("/proposals/?differs=on", "/purchases/?differs=on"):
        assert "Nothing passes these filters" in client.get(path).content.decode()
    followed(waiting, quantity=3)
    followed(purchase, quantity=3)
    html = client.get("/proposals/?differs=on").content.decode()
    assert waiting.reference in html
    assert other.reference not in html
    html = client.get("/purchases/?differs=on").content.decode()
    assert purchase.reference in html
    assert "Differs at Togai" in html


def test_a_purchase_is_settled_on_its_page(client, worker, togai, clock, followed):
    """G-50: a purchase has no next revision, so two verbs; the same doors and refusals."""
    purchase = submitted_purchase(at=clock.at)
    boss = finance()
    purchase_services.release(
        purchase_id=purchase.pk, by=boss, at=clock.at, content_hash=purchase.content_hash
    )
    worker.work()
    purchase.refresh_from_db()
    row, key = followed(purchase, quantity=3, idempotencyKey="another")[::-1]
    client.force_login(boss)
    html = client.get(purchase.get_absolute_url()).content.decode()
    assert f'href="{address(purchase, row, "accept")}"' in html
    assert address(purchase, key, "accept") not in html
    assert client.get(address(purchase, key, "accept")).status_code == 409
    assert client.get(address(purchase, row, "accept")).status_code == 200
    assert client.post(address(purchase, row, "accept"), {"reason": ""}).status_code == 200
    assert client.post(address(purchase, row, "accept"), {"reason": REASON}).status_code == 303
    assert client.post(address(purchase, key, "ignore"), {"reason": REASON}).status_code == 303
    assert client.post(address(purchase, key, "ignore"), {"reason": REASON}).status_code == 409
    client.force_login(purchase.owner)
    assert client.get(address(purchase, row, "accept")).status_code == 403
    client.force_login(boss)
    assert client.get(address(submitted_purchase(), row, "ignore")).status_code == 404
    assert not settling.open_rows(purchase).exists()
    assert json.loads(togai.created()[0])["quantity"] == 2
