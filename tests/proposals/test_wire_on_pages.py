"""What goes over the wire, on the pages of those who mean it: before it leaves and after."""

from datetime import timedelta
from uuid import uuid4

import pytest

from accounts import services as accounts
from audit.roles import Role
from proposals import services
from tests.factories import (
    NOON,
    AccountFactory,
    administrator,
    draft,
    finance,
    person,
    rep,
    submitted,
    submitted_purchase,
)
from togai import wording
from togai.models import Delivery, DeliveryAttempt

pytestmark = pytest.mark.django_db


def read(client, by, url):
    client.force_login(by)
    return client.get(url)


def answered(delivery):
    DeliveryAttempt.objects.create(
        delivery=delivery,
        number=1,
        purpose="SEND",
        claim_token=uuid4(),
        started_at=NOON,
        finished_at=NOON,
        http_status=201,
        response="{}",
        response_sha256="ab" * 32,
        worker="test",
        release="1",
    )
    Delivery.objects.filter(pk=delivery.pk).update(state="CONFIRMED", closed_at=NOON, sends=1)


@pytest.fixture(autouse=True)
def _token(settings):
    settings.TOGAI_API_TOKEN = "canary-of-the-wire"


def test_the_question_before_submitting_shows_what_will_be_sent(client):
    """G-51: exact method, path and body; the token masked. What then leaves is that, but for the key."""
    author = rep()
    proposal = draft(by=author)
    answer = read(client, author, f"/proposals/{proposal.reference}/submit/")
    preview, page = answer.context["wire"], answer.content.decode()
    assert f"POST /accounts/{proposal.account.togai_id}/purchase_proposals" in page
    assert "Authorization: Bearer ***" in page
    assert "canary" not in page
    client.post(f"/proposals/{proposal.reference}/submit/", {"version": proposal.version})
    sent = Delivery.objects.get()
    assert preview.exact.replace(wording.KEY_TO_COME, sent.idempotency_key) == bytes(sent.body).decode()


def test_the_question_before_releasing_shows_what_will_be_sent(client):
    """G-51"""
    purchase = submitted_purchase()
    answer = read(client, finance(), f"/purchases/{purchase.reference}/release/")
    preview = answer.context["wire"]
    assert f"POST /accounts/{purchase.account.togai_id}/purchases" in answer.content.decode()
    client.post(f"/purchases/{purchase.reference}/release/", {"content_hash": purchase.content_hash})
    sent = Delivery.objects.get()
    assert preview.exact.replace(wording.KEY_TO_COME, sent.idempotency_key) == bytes(sent.body).decode()


@pytest.mark.parametrize("verb", ["decline", "request-changes"])
def test_a_decision_shows_what_will_be_sent(client, verb):
    """G-51: on the question of a no, and on the page of a yes; nothing in it says who decides, or why."""
    proposal = submitted()
    by = finance()
    no = read(client, by, f"/proposals/{proposal.reference}/{verb}/")
    assert (no.context["wire"].path, no.context["wire"].exact) == (
        "/purchase_proposals/{id}/update_status",
        '{"status":"DECLINE"}',
    )
    assert "POST /purchase_proposals/{id}/update_status" in no.content.decode()
    preview = read(client, by, f"/proposals/{proposal.reference}/").context["approval"]
    services.approve(proposal_id=proposal.pk, by=by, at=NOON, content_hash=proposal.content_hash)
    assert preview.exact.encode() == bytes(Delivery.objects.get(kind="DECIDE").body)


def test_who_may_not_approve_is_shown_no_approval(client):
    proposal = submitted()
    assert not read(client, proposal.owner, f"/proposals/{proposal.reference}/").context["approval"]


def test_a_draft_that_cannot_be_submitted_has_nothing_to_preview(client):
    author = rep()
    proposal = draft(by=author, quantity=None)
    assert read(client, author, f"/proposals/{proposal.reference}/submit/").context["wire"] is None


def test_a_proposal_shows_its_delivery_in_a_line_that_unfolds(client):
    """G-51, G-36: also for the rep, without JavaScript; the receipt once Togai has answered."""
    author = rep()
    proposal = submitted(by=author)
    url = f"/proposals/{proposal.reference}/"
    delivery = Delivery.objects.get()
    page = read(client, author, url).content.decode()
    assert page.count('<details class="delivery">') == 1
    assert delivery.body_sha256 in page
    assert "exactly these bytes will leave" in page
    answered(delivery)
    page = read(client, author, url).content.decode()
    assert "HTTP 201" in page
    assert "ab" * 32 in page
    assert delivery.body_sha256 in page
    assert "not as written down" not in page


def test_a_rep_has_togai_asked_from_the_page_of_the_deal(client):
    """R-05: what is in doubt is looked up, never sent again; who only reads is not offered it."""
    author = rep()
    proposal = submitted(by=author)
    url = f"/proposals/{proposal.reference}/"
    assert "Look now" not in read(client, author, url).content.decode()
    Delivery.objects.update(state="UNKNOWN", next_at=NOON + timedelta(hours=6))
    assert "Look now" in read(client, author, url).content.decode()
    delivery = Delivery.objects.get()
    answer = client.post(f"/deliveries/{delivery.pk}/look-now/", {"next": url})
    assert (answer.status_code, answer["Location"]) == (303, url)
    assert Delivery.objects.get().next_at < delivery.next_at
    assert "Look now" not in read(client, person(Role.AUDITOR), url).content.decode()


def test_what_needs_a_person_is_unfolded(client):
    proposal = submitted()
    Delivery.objects.update(state="NEEDS_HUMAN", last_message="Found twice.")
    page = read(client, administrator(), f"/proposals/{proposal.reference}/").content.decode()
    assert '<details class="delivery" open>' in page
    assert "Found twice." in page


def test_an_edit_of_an_account_shows_what_goes_over_the_wire(client):
    """G-51: a PATCH of exactly the changed fields."""
    account, admin = AccountFactory(), administrator()
    accounts.edit(
        account_id=account.pk, by=admin, at=NOON, fields={"net_term_days": 60}, version=account.version
    )
    page = read(client, admin, f"/accounts/{account.togai_id}/").content.decode()
    assert f"PATCH /accounts/{account.togai_id}" in page
    assert Delivery.objects.get().body_sha256 in page
    assert "canary" not in page
