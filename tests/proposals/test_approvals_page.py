"""The inbox of finance: what waits for me, money first, oldest first."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.roles import Role
from proposals import inbox, services
from proposals.models import ApprovalStep, Proposal
from tests.factories import (
    NOON,
    AccountFactory,
    PricePlanFactory,
    draft,
    finance,
    person,
    rep,
    submitted,
    submitted_purchase,
)
from tests.permissions.pages import words_of
from tests.tampering import triggers_off

pytestmark = pytest.mark.django_db

CHEAPER = {"fixedFeeRateCards": {"addon.onboarding": {"rateValues": {"EUR": {"rate": "600"}}}}}


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def omar(client):
    """Somebody of finance who is signed in."""
    user = finance(first_name="Omar")
    client.force_login(user)
    return user


def page(client, query=""):
    response = client.get(f"/approvals/{query}")
    assert response.status_code == 200
    return response.content.decode()


def references(html):
    return re.findall(r'<th scope="row"[^>]*><a href="/proposals/(P-\d+)/"', html)


@pytest.mark.parametrize("role", [Role.REP, Role.MANAGER, Role.ADMINISTRATOR, Role.AUDITOR])
def test_only_who_decides_has_an_inbox(client, role):
    client.force_login(person(role))
    assert client.get("/approvals/").status_code == 403


def test_the_oldest_is_first(client, omar, now):
    rows = [submitted(at=now - timedelta(hours=hours)) for hours in (1, 3, 2)]
    draft(at=now)
    assert references(page(client)) == [rows[1].reference, rows[2].reference, rows[0].reference]


def test_a_row_says_what_is_at_stake_and_why_it_waits_for_me(client, omar, now):
    account = AccountFactory(name="Harbor Robotics", owner=(mia := rep()))
    submitted(
        by=mia, at=now - timedelta(days=3), account=account, title="Renewal", purchase_plan_override=CHEAPER
    )
    html = words_of(page(client))
    assert "Harbor Robotics" in html
    assert "Renewal" in html
    assert "1,550.00 EUR" in html
    assert "1,850.00 EUR" in html
    assert "−300.00" in html
    assert "16.2 % discount" in html
    assert "Every proposal needs finance." in html
    assert "3 days" in html


def test_approving_in_place_says_what_was_read_and_comes_back(client, omar, now):
    """R-23"""
    proposal = submitted(at=now)
    html = page(client)
    assert f'name="content_hash" value="{proposal.content_hash}"' in html
    response = client.post(
        f"/proposals/{proposal.reference}/approve/",
        {"from": "approvals", "revision": 1, "content_hash": proposal.content_hash},
    )
    assert (response.status_code, response.url) == (303, "/approvals/")
    html = page(client)
    assert "Nothing waits for you" in html
    assert f"{proposal.reference} is approved" in html


def test_own_work_is_shown_and_says_why_it_is_not_mine_to_decide(client, now):
    """G-22"""
    author, editor = person(Role.FINANCE, Role.REP), person(Role.FINANCE, Role.ADMINISTRATOR)
    own = submitted(by=author, at=now)
    edited = draft(at=now)
    services.edit(proposal_id=edited.pk, by=editor, at=now, version=1, fields={"quantity": 3})
    services.edit(proposal_id=edited.pk, by=edited.owner, at=now, version=2, fields={"quantity": 4})
    services.submit(proposal_id=edited.pk, by=edited.owner, at=now)
    for user, theirs, other in ((author, own, edited), (editor, edited, own)):
        client.force_login(user)
        html = page(client)
        assert set(references(html)) == {own.reference, edited.reference}
        assert f'action="/proposals/{theirs.reference}/approve/"' not in html
        assert f'action="/proposals/{other.reference}/approve/"' in html
        assert "somebody else has to decide it" in html
        assert [row.reference for row in inbox.decidable_by(user)] == [other.reference]


def test_what_waits_for_another_role_or_for_its_author_is_not_in_it(client, omar, now):
    for_the_cfo, refused, mine = (submitted(at=now) for _ in range(3))
    ApprovalStep.objects.filter(proposal=for_the_cfo).update(role=Role.CFO.value)
    Proposal.objects.filter(pk=refused.pk).update(togai_refusal="quantity: too many")
    assert references(page(client)) == [mine.reference]
    client.force_login(person(Role.CFO))
    assert references(page(client)) == [for_the_cfo.reference, mine.reference]


def test_what_is_past_its_validity_can_only_be_opened(client, omar, now):
    """G-32"""
    proposal = submitted(at=now)
    with triggers_off():
        Proposal.objects.update(valid_until=now.date() - timedelta(days=2))
    html = page(client)
    assert references(html) == [proposal.reference]
    assert "validity over" in html
    assert "/approve/" not in html


def test_purchases_that_wait_for_release_are_listed_too(client, omar, now):
    purchase = submitted_purchase(at=now)
    html = page(client)
    assert f'href="/purchases/{purchase.reference}/"' in html
    assert "Nothing waits for you" in html


def test_pages_go_by_key(client, omar, now, monkeypatch):
    monkeypatch.setattr(inbox, "PAGE_SIZE", 2)
    rows = [submitted(at=NOON) for _ in range(5)]
    shown, query = [], ""
    while True:
        html = page(client, query)
        shown += references(html)
        found = re.search(r'rel="next" href="([^"]+)"', html)
        if not found:
            break
        query = found[1].replace("&amp;", "&")
    # All were submitted in the same second: the key decides.
    assert shown == [row.reference for row in rows]


def test_the_inbox_costs_the_same_at_five_rows_and_at_fifty(client, omar, now):
    """L4"""
    mia, plan = rep(), PricePlanFactory()

    def queries():
        with CaptureQueriesContext(connection) as asked:
            page(client)
        return [query["sql"] for query in asked.captured_queries]

    for _ in range(5):
        submitted(by=mia, at=now, price_plan=plan)
        submitted_purchase(by=mia, at=now, price_plan=plan)
    queries()
    at_five = queries()
    for _ in range(45):
        submitted(by=mia, at=now, price_plan=plan)
        submitted_purchase(by=mia, at=now, price_plan=plan)
    at_fifty = queries()
    assert len(at_five) == len(at_fifty) <= 8
    assert not any("COUNT(" in sql.upper() or "OFFSET" in sql.upper() for sql in at_fifty)
    if connection.vendor == "sqlite":
        plan = inbox.proposals_for(omar)[:26].explain()
        assert "SCAN" not in plan
        assert "TEMP B-TREE" not in plan
