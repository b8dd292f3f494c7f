"""A direct purchase from draft to Togai: who may do what, when, and what is refused."""

import json
from datetime import timedelta

import pytest
import responses
from django.db import IntegrityError, transaction

from audit.models import Event
from audit.refusals import Invalid, NotAllowed, OwnWork, Stale, WrongStatus
from audit.roles import Role
from purchases import services
from purchases.models import PricePlan, Purchase
from tests.factories import (
    NOON,
    administrator,
    finance,
    person,
    purchase_draft,
    rep,
    submitted_purchase,
)
from tests.tampering import triggers_off
from togai import wire
from togai.gateway import Gateway
from togai.models import Delivery
from togai.secret import Secret
from togai.worker import Worker

pytestmark = pytest.mark.django_db

BASE = "https://togai.test"
Status = Purchase.Status
LATER = NOON + timedelta(hours=1)
WHY = "The quantity is not what the customer asked for."


def release(purchase, by=None):
    return services.release(
        purchase_id=purchase.pk, by=by or finance(), at=LATER, content_hash=purchase.content_hash
    )


def states(purchase):
    """What must not move when a verb is refused."""
    purchase.refresh_from_db()
    events = Event.objects.about(purchase).count()
    return purchase.status, purchase.version, events, Delivery.objects.count()


@pytest.fixture
def worker():
    gateway = Gateway(base_url=BASE, token=Secret("canary-of-purchases"))
    return Worker(gateway, clock=lambda: LATER, name="test")


# The way


def test_a_draft_is_submitted_frozen_and_stays_here():
    """G-01: nothing is meant for Togai until finance says yes."""
    purchase = purchase_draft()
    services.submit(purchase_id=purchase.pk, by=purchase.created_by, at=LATER, version=purchase.version)
    purchase.refresh_from_db()
    assert (purchase.status, purchase.submitted_by, purchase.submitted_at) == (
        Status.SUBMITTED,
        purchase.created_by,
        LATER,
    )
    assert purchase.content_hash
    assert not Delivery.objects.exists()


def test_a_release_queues_exactly_what_was_read():
    """R-01, R-13, R-14: one row, its own random key, bytes that the wire accepts, all in one transaction."""
    purchase, omar = submitted_purchase(quantity=3), finance()
    release(purchase, omar)
    purchase.refresh_from_db()
    delivery = Delivery.objects.get()
    sent = json.loads(bytes(delivery.body))
    assert (purchase.status, purchase.released_by, purchase.released_at) == (Status.SENT, omar, LATER)
    assert (delivery.kind, delivery.state) == ("CREATE_PURCHASE", "NOT_SENT")
    assert (delivery.account_id, delivery.created_by) == (purchase.account.togai_id, omar)
    assert sent == {
        "type": "ENTITLEMENT_GRANT",
        "pricePlanId": purchase.price_plan.togai_id,
        "quantity": 3,
        "idempotencyKey": delivery.idempotency_key,
    }
    wire.CreatePurchase.model_validate(sent)
    event = Event.objects.about(purchase).last()
    assert (event.verb, event.actor, event.after["content_hash"]) == (
        "release",
        omar,
        purchase.content_hash,
    )


@responses.activate
def test_a_released_purchase_is_bound_to_what_togai_made(worker):
    purchase = submitted_purchase()
    release(purchase)
    key = Delivery.objects.get().idempotency_key
    responses.post(
        f"{BASE}/accounts/{purchase.account.togai_id}/purchases",
        json={
            "id": "purchase.1",
            "accountId": purchase.account.togai_id,
            "type": "ENTITLEMENT_GRANT",
            "status": "PENDING",
            "createdAt": "2030-01-10T13:00:00Z",
            "idempotencyKey": key,
            "price": 1150.5,
            "invoiceCurrency": "EUR",
            "invoiceId": "inv.1",
        },
    )
    worker.work()
    purchase.refresh_from_db()
    assert (purchase.togai_id, purchase.togai_status) == ("purchase.1", "PENDING")
    assert (str(purchase.togai_price.normalize()), purchase.togai_invoice_id) == ("1150.5", "inv.1")


@responses.activate
def test_what_togai_refused_is_revised_under_a_new_key(worker):
    """R-14, G-37: another try is another row, another key, and one purchase at most."""
    purchase = submitted_purchase()
    release(purchase)
    first = Delivery.objects.get()
    responses.post(
        f"{BASE}/accounts/{purchase.account.togai_id}/purchases",
        json={"message": "Price plan is not active"},
        status=400,
    )
    worker.work()
    purchase.refresh_from_db()
    assert "Price plan is not active" in purchase.togai_refusal
    services.revise(purchase_id=purchase.pk, by=purchase.created_by, at=LATER)
    services.submit(purchase_id=purchase.pk, by=purchase.created_by, at=LATER)
    purchase.refresh_from_db()
    release(purchase)
    second = Delivery.objects.exclude(pk=first.pk).get()
    assert (first.revision, second.revision) == (1, 2)
    assert first.idempotency_key != second.idempotency_key
    purchase.refresh_from_db()
    assert purchase.togai_refusal == ""


@pytest.mark.parametrize("verb", ["recall", "send_back"])
def test_a_purchase_that_goes_back_is_a_draft_with_the_reason_on_record(verb):
    """G-27"""
    purchase = submitted_purchase()
    by = purchase.created_by if verb == "recall" else finance()
    getattr(services, verb)(purchase_id=purchase.pk, by=by, at=LATER, reason=WHY)
    purchase.refresh_from_db()
    assert (purchase.status, purchase.submitted_by) == (Status.DRAFT, None)
    event = Event.objects.about(purchase).last()
    assert (event.verb, event.reason, event.actor) == (verb, WHY, by)
    assert not Delivery.objects.exists()


# Four eyes


@pytest.mark.parametrize("tie", ["creator", "owner", "editor", "submitter"])
def test_nobody_releases_or_sends_back_their_own_work(tie):
    """G-22: creator, owner, editor and submitter are refused, whatever roles they hold."""
    purchase = submitted_purchase()
    author = finance()
    if tie == "editor":
        purchase.editors.add(author)
    else:
        column = {"creator": "created_by", "owner": "owner", "submitter": "submitted_by"}[tie]
        with triggers_off():
            Purchase.objects.filter(pk=purchase.pk).update(**{column: author})
    before = states(purchase)
    with pytest.raises(OwnWork):
        release(purchase, author)
    with pytest.raises(OwnWork):
        services.send_back(purchase_id=purchase.pk, by=author, at=LATER, reason=WHY)
    assert states(purchase) == before


def test_an_earlier_editor_is_bound_even_after_a_revision():
    """P-01: an author of the chain stays one."""
    editor = administrator()
    editor.groups.add(*finance().groups.all())
    purchase = purchase_draft()
    services.edit(
        purchase_id=purchase.pk, by=editor, at=NOON, fields={"quantity": 4}, version=purchase.version
    )
    services.edit(purchase_id=purchase.pk, by=purchase.created_by, at=NOON, fields={"quantity": 5}, version=2)
    services.submit(purchase_id=purchase.pk, by=purchase.created_by, at=NOON)
    purchase.refresh_from_db()
    del editor._roles
    with pytest.raises(OwnWork):
        release(purchase, editor)


@pytest.mark.parametrize("column", ["created_by", "last_edited_by", "submitted_by"])
def test_the_database_keeps_four_eyes_too(column):
    """R-09: even a shell cannot release for an author."""
    purchase = submitted_purchase()
    author = getattr(purchase, column)
    with pytest.raises(IntegrityError), transaction.atomic():
        Purchase.objects.filter(pk=purchase.pk).update(status="SENT", released_by=author, released_at=NOON)


@pytest.mark.parametrize("role", [Role.REP, Role.MANAGER, Role.ADMINISTRATOR, Role.AUDITOR])
def test_only_finance_and_the_cfo_release(role):
    """S-04"""
    purchase = submitted_purchase()
    before = states(purchase)
    somebody = person(role)
    with pytest.raises(NotAllowed):
        release(purchase, somebody)
    with pytest.raises(NotAllowed):
        services.send_back(purchase_id=purchase.pk, by=somebody, at=LATER, reason=WHY)
    assert states(purchase) == before


def test_a_superuser_releases_nothing():
    """S-04"""
    purchase = submitted_purchase()
    with pytest.raises(NotAllowed):
        release(purchase, person(is_superuser=True))
    assert states(purchase)[0] == Status.SUBMITTED


# Refusals


def test_what_changed_since_it_was_read_is_not_released():
    """R-23"""
    purchase = submitted_purchase()
    before = states(purchase)
    for stale in ("", "0" * 64):
        with pytest.raises(Stale):
            services.release(purchase_id=purchase.pk, by=finance(), at=LATER, content_hash=stale)
    assert states(purchase) == before


def test_what_became_impossible_is_not_released():
    purchase = submitted_purchase()
    PricePlan.objects.update(status="ARCHIVED")
    before = states(purchase)
    with pytest.raises(Invalid):
        release(purchase)
    assert states(purchase) == before


def test_a_purchase_is_released_once():
    """G-37"""
    purchase = submitted_purchase()
    release(purchase)
    before = states(purchase)
    with pytest.raises(WrongStatus):
        release(purchase)
    assert states(purchase) == before


def test_an_incomplete_draft_is_not_submitted():
    purchase = purchase_draft(account=None, price_plan=None, quantity=None)
    before = states(purchase)
    with pytest.raises(Invalid) as refused:
        services.submit(purchase_id=purchase.pk, by=purchase.created_by, at=LATER)
    assert {"account", "price_plan"} <= {problem.field for problem in refused.value.problems}
    assert states(purchase) == before


def test_a_draft_that_was_saved_since_is_not_submitted():
    """G-07"""
    purchase = purchase_draft()
    before = states(purchase)
    with pytest.raises(Stale):
        services.submit(purchase_id=purchase.pk, by=purchase.created_by, at=LATER, version=99)
    assert states(purchase) == before


@pytest.mark.parametrize("reason", ["", "too short", "   spaces   "])
def test_going_back_needs_a_reason_that_says_something(reason):
    """G-27"""
    purchase = submitted_purchase()
    before = states(purchase)
    with pytest.raises(Invalid):
        services.recall(purchase_id=purchase.pk, by=purchase.created_by, at=LATER, reason=reason)
    with pytest.raises(Invalid):
        services.send_back(purchase_id=purchase.pk, by=finance(), at=LATER, reason=reason)
    assert states(purchase) == before


def test_strangers_neither_submit_nor_take_back_nor_revise():
    draft, waiting = purchase_draft(), submitted_purchase()
    stranger = rep()
    with pytest.raises(NotAllowed):
        services.submit(purchase_id=draft.pk, by=stranger, at=LATER)
    with pytest.raises(NotAllowed):
        services.recall(purchase_id=waiting.pk, by=stranger, at=LATER, reason=WHY)
    with pytest.raises(NotAllowed):
        services.revise(purchase_id=waiting.pk, by=stranger, at=LATER)
    assert (states(draft)[0], states(waiting)[0]) == (Status.DRAFT, Status.SUBMITTED)


@pytest.mark.parametrize(
    ("status", "allowed"),
    [("DRAFT", {"submit"}), ("SUBMITTED", {"recall", "send_back", "release"}), ("SENT", set())],
)
@pytest.mark.parametrize("verb", ["submit", "recall", "send_back", "release", "revise"])
def test_every_other_move_is_refused(status, allowed, verb):
    """G-34"""
    purchase = submitted_purchase()
    mia, omar = purchase.created_by, finance()
    if status == "DRAFT":
        services.recall(purchase_id=purchase.pk, by=mia, at=NOON, reason=WHY)
    elif status == "SENT":
        release(purchase, omar)
    purchase.refresh_from_db()
    by = omar if verb in ("send_back", "release") else mia
    more = {"reason": WHY} if verb in ("recall", "send_back") else {}
    more |= {"content_hash": purchase.content_hash} if verb == "release" else {}
    before = states(purchase)
    if verb in allowed:
        getattr(services, verb)(purchase_id=purchase.pk, by=by, at=LATER, **more)
        assert states(purchase) != before
    else:
        with pytest.raises(WrongStatus):
            getattr(services, verb)(purchase_id=purchase.pk, by=by, at=LATER, **more)
        assert states(purchase) == before
