"""Many proposals or purchases at once: what a plan says, and that carrying it out does exactly that."""

from datetime import date, timedelta
from uuid import uuid4

import pytest

from audit import bulk as audit_bulk
from audit.models import Event
from audit.roles import Role
from proposals import bulk, services
from proposals.models import ApprovalStep, Decision, Proposal, ReasonCode
from purchases import bulk as deals
from purchases.models import Purchase
from tests.factories import (
    NOON,
    PricePlanFactory,
    administrator,
    draft,
    finance,
    person,
    purchase_draft,
    rep,
    submitted,
    submitted_purchase,
)
from togai.models import Delivery

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(hours=1)
APPROVE = bulk.Approve(Proposal)
DECLINE = bulk.Decline(Proposal)
WHY = "The discount is far too high."


def keys(*rows):
    return [row.pk for row in rows]


def plan(action, *rows, by, **answers):
    return audit_bulk.plan(action, keys(*rows), by=by, at=LATER, answers=answers)


def carry_out(action, found, *, by, batch=None, **answers):
    chosen = [(one.key, one.version) for one in found.will]
    return audit_bulk.carry_out(action, chosen, by=by, at=LATER, batch_id=batch or uuid4(), answers=answers)


def no_reason():
    return ReasonCode.objects.filter(for_decline=True).first()


# --- Deciding ---


def test_a_plan_says_of_every_row_what_becomes_of_it_or_why_nothing_does():
    omar = finance()
    waiting, own, unsent = submitted(), submitted(by=omar), draft()
    found = plan(APPROVE, waiting, own, unsent, by=omar)
    assert [(one.key, one.before, one.after) for one in found.will] == [(waiting.pk, "Submitted", "Approved")]
    assert {one.key: one.why for one in found.skipped} == {
        own.pk: "You wrote, edited or submitted this; somebody else has to decide it.",
        unsent.pk: "It is draft.",
    }


def test_a_plan_changes_nothing():
    omar, proposal = finance(), submitted()
    before = Event.objects.count()
    plan(APPROVE, proposal, by=omar)
    proposal.refresh_from_db()
    assert (proposal.status, Event.objects.count()) == ("SUBMITTED", before)


def test_a_row_of_a_plan_shows_the_account_and_the_money():
    (row,) = plan(APPROVE, submitted(title="Renewal"), by=finance()).will
    assert row.note.startswith("Harbor Robotics ")
    assert row.note.endswith(" EUR · Renewal")


@pytest.mark.parametrize(
    ("action", "answers"),
    [(APPROVE, {}), (DECLINE, {"reason": WHY})],
    ids=["approve", "decline"],
)
def test_nobody_decides_their_own_proposal_in_bulk_even_with_a_forged_plan(action, answers):
    """G-22 bulk: the service refuses the row, whatever a page let through."""
    omar = finance()
    own = submitted(by=omar)
    answers = answers | ({"reason_code": no_reason()} if answers else {})
    assert plan(action, own, by=omar, **answers).will == []
    outcome = audit_bulk.carry_out(
        action, [(own.pk, own.version)], by=omar, at=LATER, batch_id=uuid4(), answers=answers
    )
    own.refresh_from_db()
    assert outcome.done == []
    assert "somebody else has to decide" in outcome.refused[0][1]
    assert (own.status, Decision.objects.count()) == ("SUBMITTED", 0)


def test_whoever_edited_the_terms_once_is_refused_in_bulk():
    """G-22 bulk: every editor of the terms, not the author alone."""
    both = person(Role.FINANCE, Role.ADMINISTRATOR)
    mia = rep()
    proposal = draft(by=mia)
    services.edit(proposal_id=proposal.pk, by=both, at=NOON, fields={"quantity": 3}, version=1)
    proposal.refresh_from_db()
    services.edit(proposal_id=proposal.pk, by=mia, at=NOON, fields={"quantity": 4}, version=2)
    services.submit(proposal_id=proposal.pk, by=mia, at=NOON)
    (skipped,) = plan(APPROVE, proposal, by=both).skipped
    assert "somebody else has to decide" in skipped.why
    assert plan(APPROVE, proposal, by=finance()).will


def test_a_superuser_without_finance_decides_nothing_in_bulk():
    """S-04: a superuser passes every permission of Django and no rule of ours."""
    root = administrator(is_superuser=True, is_staff=True)
    proposal = submitted()
    assert plan(APPROVE, proposal, by=root).will == []
    outcome = audit_bulk.carry_out(
        APPROVE, [(proposal.pk, proposal.version)], by=root, at=LATER, batch_id=uuid4(), answers={}
    )
    proposal.refresh_from_db()
    assert (outcome.done, proposal.status) == ([], "SUBMITTED")


def test_approving_in_bulk_is_what_the_service_does_on_record_as_one_batch():
    omar, batch = finance(), uuid4()
    rows = [submitted(), submitted(), submitted()]
    outcome = carry_out(APPROVE, plan(APPROVE, *rows, by=omar), by=omar, batch=batch)
    assert outcome.done == keys(*rows)
    assert set(Proposal.objects.values_list("status", flat=True)) == {"APPROVED"}
    assert Delivery.objects.filter(kind="DECIDE", direction="APPROVE").count() == 3
    events = Event.objects.filter(batch_id=batch)
    assert {(event.verb, event.actor_id, event.subject_id) for event in events} == {
        ("approve", omar.pk, str(row.pk)) for row in rows
    }


def test_a_proposal_with_two_stages_takes_one_yes_and_then_waits():
    omar, proposal = finance(), submitted()
    ApprovalStep.objects.create(proposal=proposal, order=2, role=Role.CFO, because="It is large.")
    found = plan(APPROVE, proposal, by=omar)
    assert found.will[0].after == "waits for CFO"
    carry_out(APPROVE, found, by=omar)
    proposal.refresh_from_db()
    assert proposal.status == "SUBMITTED"
    (skipped,) = plan(APPROVE, proposal, by=finance()).skipped
    assert skipped.why == "It waits for CFO."


def test_a_proposal_past_its_validity_is_skipped_by_approve_and_taken_by_decline():
    omar = finance()
    over = submitted(at=NOON, valid_until=date(2030, 1, 12))
    later = NOON + timedelta(days=5)
    (skipped,) = audit_bulk.plan(APPROVE, keys(over), by=omar, at=later, answers={}).skipped
    assert skipped.why.startswith("Its validity ended on 12 Jan 2030")
    answers = {"reason_code": no_reason(), "reason": WHY}
    assert audit_bulk.plan(DECLINE, keys(over), by=omar, at=later, answers=answers).will


@pytest.mark.parametrize("reason", ["", "too short", "          x"])
def test_declining_in_bulk_without_a_reason_changes_nothing(reason):
    """G-27 bulk: a reason of ten characters, for every row."""
    omar, proposal = finance(), submitted()
    answers = {"reason_code": no_reason(), "reason": reason}
    outcome = carry_out(DECLINE, plan(DECLINE, proposal, by=omar, **answers), by=omar, **answers)
    proposal.refresh_from_db()
    assert outcome.done == []
    assert "at least 10 characters" in outcome.refused[0][1]
    assert (proposal.status, Decision.objects.count()) == ("SUBMITTED", 0)


def test_declining_in_bulk_keeps_code_and_reason_with_every_row():
    """G-27 bulk: the code that reports count and the words that the author reads."""
    omar, rows = finance(), [submitted(), submitted()]
    answers = {"reason_code": no_reason(), "reason": WHY}
    carry_out(DECLINE, plan(DECLINE, *rows, by=omar, **answers), by=omar, **answers)
    assert list(Decision.objects.values_list("proposal", "verb", "reason_code", "reason")) == [
        (row.pk, "decline", no_reason().pk, WHY) for row in rows
    ]


# --- What moved meanwhile ---


def test_a_row_that_changed_after_the_plan_is_left_alone():
    """G-07 bulk: no silent overwrite of what somebody saved between plan and confirmation."""
    ada, mia = administrator(), rep()
    moved, still = draft(by=mia), draft(by=mia)
    action = bulk.SetPaymentMode(Proposal)
    found = plan(action, moved, still, by=ada, payment_mode="POSTPAID")
    services.edit(proposal_id=moved.pk, by=mia, at=NOON, fields={"title": "Mine"}, version=moved.version)
    outcome = carry_out(action, found, by=ada, payment_mode="POSTPAID")
    moved.refresh_from_db()
    still.refresh_from_db()
    assert outcome.done == [still.pk]
    assert outcome.refused == [(moved.pk, audit_bulk.MOVED_ON)]
    assert (moved.title, moved.payment_mode, still.payment_mode) == ("Mine", "PREPAID", "POSTPAID")


def test_a_plan_carried_out_twice_changes_nothing_the_second_time():
    ada, mia, noah = administrator(), rep(), rep()
    action = deals.ChangeOwner(Proposal)
    proposal = draft(by=mia)
    found = plan(action, proposal, by=ada, to=noah)
    assert carry_out(action, found, by=ada, to=noah).done
    again = carry_out(action, found, by=ada, to=noah)
    assert (again.done, again.refused) == ([], [(proposal.pk, audit_bulk.MOVED_ON)])


def test_a_role_that_was_taken_away_after_the_plan_stops_all_of_it():
    """S-05: rights are read again when the change is made."""
    omar, proposal = finance(), submitted()
    found = plan(APPROVE, proposal, by=omar)
    omar.groups.clear()
    outcome = carry_out(APPROVE, found, by=omar)
    proposal.refresh_from_db()
    assert (outcome.done, proposal.status) == ([], "SUBMITTED")


def test_a_refused_row_does_not_take_the_others_with_it():
    omar = finance()
    rows = [submitted(), submitted(), submitted()]
    found = plan(APPROVE, *rows, by=omar)
    services.recall(
        proposal_id=rows[1].pk,
        by=rows[1].owner,
        at=NOON,
        reason_code=ReasonCode.objects.filter(for_recall=True).first().pk,
        reason="The customer called it off.",
    )
    outcome = carry_out(APPROVE, found, by=omar)
    assert outcome.done == keys(rows[0], rows[2])
    assert [key for key, _ in outcome.refused] == keys(rows[1])


# --- Drafts ---


def test_a_validity_is_extended_and_never_shortened():
    ada = administrator()
    short, long, none = draft(valid_until=date(2030, 1, 20)), draft(valid_until=date(2030, 3, 1)), draft()
    sent = submitted()
    action = deals.ExtendValidity(Proposal)
    found = plan(action, short, long, none, sent, by=ada, valid_until=date(2030, 2, 1))
    assert [(one.key, one.before, one.after) for one in found.will] == [
        (short.pk, "20 Jan 2030", "1 Feb 2030"),
        (none.pk, "not set", "1 Feb 2030"),
    ]
    assert [one.why for one in found.skipped] == [
        "It is valid until 1 Mar 2030 already.",
        "It is submitted; only a draft is edited.",
    ]
    assert carry_out(action, found, by=ada, valid_until=date(2030, 2, 1)).done == keys(short, none)


def test_a_validity_that_the_rules_refuse_is_skipped_in_their_words():
    found = plan(deals.ExtendValidity(Proposal), draft(), by=administrator(), valid_until=date(2031, 1, 1))
    assert "At most 90 days ahead" in found.skipped[0].why


def test_a_validity_beyond_the_start_of_the_deal_is_skipped():
    """A start has to lie after the validity; extending one must not make a draft impossible."""
    starts = draft(
        type="ASSOCIATION",
        price_plan=PricePlanFactory(recurring=True),
        quantity=None,
        effective_from=date(2030, 1, 25),
        valid_until=date(2030, 1, 20),
    )
    ada, action = administrator(), deals.ExtendValidity(Proposal)
    assert plan(action, starts, by=ada, valid_until=date(2030, 1, 22)).will
    assert plan(action, starts, by=ada, valid_until=date(2030, 2, 1)).skipped


def test_a_plan_does_not_touch_the_rows_it_reads():
    """Shared plans and copied drafts: judging one value leaves what the next action reads."""
    ada, proposal = administrator(), draft()
    action = deals.ExtendValidity(Proposal)
    (row,) = action.load(keys(proposal), by=ada)
    action.effect(row, by=ada, at=LATER, valid_until=date(2030, 2, 1))
    assert row.valid_until is None


def test_one_payment_mode_for_many_drafts():
    ada = administrator()
    prepaid, postpaid = draft(payment_mode="PREPAID"), draft(payment_mode="POSTPAID")
    action = bulk.SetPaymentMode(Proposal)
    found = plan(action, prepaid, postpaid, by=ada, payment_mode="POSTPAID")
    assert [(one.before, one.after) for one in found.will] == [("Prepaid", "Postpaid")]
    assert [one.why for one in found.skipped] == ["It is like that already."]
    carry_out(action, found, by=ada, payment_mode="POSTPAID")
    prepaid.refresh_from_db()
    assert (prepaid.payment_mode, prepaid.version) == ("POSTPAID", 2)


def test_another_owner_for_deals_in_any_state():
    ada, mia, noah = administrator(), rep(), rep(first_name="Noah", last_name="Beck")
    rows = [draft(by=mia), submitted(by=mia), draft(by=noah)]
    action = deals.ChangeOwner(Proposal)
    found = plan(action, *rows, by=ada, to=noah)
    assert [one.after for one in found.will] == ["Noah Beck", "Noah Beck"]
    assert [one.why for one in found.skipped] == ["Noah Beck owns it already."]
    carry_out(action, found, by=ada, to=noah)
    assert set(Proposal.objects.values_list("owner", flat=True)) == {noah.pk}


def test_somebody_who_does_not_draft_gets_no_deals():
    auditor = person(Role.AUDITOR)
    action = deals.ChangeOwner(Proposal)
    found = plan(action, draft(), by=(ada := administrator()), to=auditor)
    outcome = carry_out(action, found, by=ada, to=auditor)
    assert (outcome.done, len(outcome.refused)) == ([], 1)


def test_only_own_drafts_are_submitted_in_bulk_and_only_whole_ones():
    mia = rep()
    whole, bare, other = draft(by=mia), draft(by=mia, quantity=None), draft()
    action = bulk.Submit(Proposal)
    found = plan(action, whole, bare, other, by=mia)
    assert [(one.key, one.after) for one in found.will] == [(whole.pk, "Submitted")]
    assert {one.key for one in found.skipped} == {bare.pk, other.pk}
    assert found.skipped[1].why == "Only its owner submits it."
    assert carry_out(action, found, by=mia).done == [whole.pk]
    assert Delivery.objects.filter(kind="CREATE_PROPOSAL").count() == 1


# --- Purchases ---


def test_purchases_are_released_and_sent_back_in_bulk_by_somebody_else():
    """G-22 bulk: four eyes hold for purchases too."""
    omar = finance()
    waiting, own = submitted_purchase(), submitted_purchase(by=omar)
    release = deals.Release(Purchase)
    found = plan(release, waiting, own, by=omar)
    assert [one.key for one in found.will] == [waiting.pk]
    assert carry_out(release, found, by=omar).done == [waiting.pk]
    assert Delivery.objects.filter(kind="CREATE_PURCHASE").count() == 1
    back, batch = submitted_purchase(), uuid4()
    send_back = deals.SendBack(Purchase)
    found = plan(send_back, back, by=omar, reason=WHY)
    assert carry_out(send_back, found, by=omar, batch=batch, reason=WHY).done == [back.pk]
    back.refresh_from_db()
    assert back.status == "DRAFT"
    assert Event.objects.get(batch_id=batch).reason == WHY


def test_purchases_are_submitted_in_bulk_by_their_owner():
    mia = rep()
    purchase = purchase_draft(by=mia)
    action = deals.Submit(Purchase)
    assert carry_out(action, plan(action, purchase, by=mia), by=mia).done == [purchase.pk]


# --- Cost ---


@pytest.mark.parametrize(
    ("action", "make", "answers"),
    [
        (APPROVE, submitted, {}),
        (bulk.Submit(Proposal), draft, {}),
        (deals.ExtendValidity(Proposal), draft, {"valid_until": date(2030, 2, 1)}),
        (deals.Release(Purchase), submitted_purchase, {}),
    ],
    ids=["approve", "submit", "validity", "release"],
)
def test_a_plan_asks_as_often_for_thirty_rows_as_for_five(
    action, make, answers, django_assert_max_num_queries
):
    by = person(Role.FINANCE, Role.ADMINISTRATOR)
    mia = rep()
    rows = [make(by=mia, price_plan=PricePlanFactory()) for _ in range(30)]
    judge = mia if isinstance(action, bulk.Submit) else by
    for some in (rows[:5], rows):
        with django_assert_max_num_queries(7):
            found = plan(action, *some, by=judge, **answers)
        assert len(found.will) == len(some)


def test_rows_that_nobody_has_are_said_to_be_gone():
    found = audit_bulk.plan(APPROVE, [10**9], by=finance(), at=LATER, answers={})
    assert found.skipped[0].why == audit_bulk.GONE
    outcome = audit_bulk.carry_out(
        APPROVE, [(10**9, 1)], by=finance(), at=LATER, batch_id=uuid4(), answers={}
    )
    assert outcome.refused == [(10**9, audit_bulk.GONE)]
