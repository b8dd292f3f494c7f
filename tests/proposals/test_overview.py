"""The first page: by role, bounded, money per currency, and what is stuck."""

import re
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Team
from audit.roles import Role
from proposals import overview, services
from proposals.charts import grouped_bars
from proposals.models import Proposal
from tests.factories import (
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
from togai.models import Delivery, Link

pytestmark = pytest.mark.django_db

MOST_QUERIES = 15
WHY = {"reason_code": "other", "reason": "Not at this price, sorry."}


@pytest.fixture
def now():
    return timezone.now()


def page(client, user):
    client.force_login(user)
    response = client.get("/")
    assert response.status_code == 200
    return response.content.decode()


def decide(verb, proposal, at):
    given = {} if verb is services.approve else WHY
    verb(proposal_id=proposal.pk, by=finance(), at=at, content_hash=proposal.content_hash, **given)


@pytest.mark.parametrize("role", Role)
def test_everybody_has_one_however_empty(client, role):
    html = page(client, person(role))
    assert "Overview" in html
    assert "All is well" in html


def test_a_rep_finds_their_drafts_and_what_came_back(client, now):
    mia = rep()
    open_draft, back = draft(by=mia, at=now, title="Fresh"), submitted(by=mia, at=now, title="Came back")
    decide(services.request_changes, back, now)
    draft(at=now, title="Of somebody else")
    seen = overview.overview_for(mia, at=now)
    assert [row.pk for row in seen.drafts.rows] == [open_draft.pk]
    assert [row.pk for row in seen.sent_back.rows] == [back.pk]
    assert seen.waiting is None
    html = page(client, mia)
    assert "Fresh" in html
    assert "Came back" in html
    assert "Of somebody else" not in html
    assert 'href="/proposals/?status=DRAFT&amp;owner=me"' in html


def test_finance_finds_what_it_can_decide(client, now):
    omar = person(Role.FINANCE, Role.REP)
    own, other = submitted(by=omar, at=now), submitted(at=now)
    purchase = submitted_purchase(at=now)
    seen = overview.overview_for(omar, at=now)
    assert [row.pk for row in seen.waiting.rows] == [other.pk]
    assert [row.pk for row in seen.purchases.rows] == [purchase.pk]
    assert own.reference not in re.findall(r"P-\d+", page(client, omar).split("Expiring soon")[0])


def test_what_expires_within_a_week_comes_soonest_first(now):
    mia = rep()
    today = now.astimezone(timezone.get_default_timezone()).date()
    rows = {
        days: submitted(by=mia, at=now, valid_until=today + timedelta(days=days)) for days in (9, 7, 2, 5)
    }
    seen = overview.overview_for(mia, at=now)
    assert [row.pk for row in seen.expiring.rows] == [rows[2].pk, rows[5].pk, rows[7].pk]


def test_approved_and_unpaid_is_what_togai_calls_pending(now):
    mia = rep()
    proposal = submitted(by=mia, at=now)
    decide(services.approve, proposal, now)
    assert not overview.overview_for(mia, at=now).unpaid
    Proposal.objects.filter(pk=proposal.pk).update(togai_status="PENDING")
    assert [row.pk for row in overview.overview_for(mia, at=now).unpaid.rows] == [proposal.pk]


def test_money_is_never_added_across_currencies_or_spans(client, now):
    """G-13, for the page: one figure per currency, deals without end apart, what is unknown said."""
    mia = rep()

    def account(currency):
        return AccountFactory(owner=mia, currency=currency)

    submitted(by=mia, at=now, account=account("EUR"), quantity=1)
    submitted(by=mia, at=now, account=account("EUR"), quantity=2)
    submitted(by=mia, at=now, account=account("USD"), quantity=1)
    submitted(
        by=mia,
        at=now,
        account=account("EUR"),
        type="ASSOCIATION",
        quantity=None,
        price_plan=PricePlanFactory(recurring=True),
        valid_until=now.date() + timedelta(days=3),
        effective_from=now.date() + timedelta(days=9),
        expected_volumes={"um.messages": "1000"},
    )
    submitted(
        by=mia,
        at=now,
        account=account("EUR"),
        type="ASSOCIATION",
        quantity=None,
        price_plan=PricePlanFactory(recurring=True),
        valid_until=now.date() + timedelta(days=3),
        effective_from=now.date() + timedelta(days=9),
    )
    draft(by=mia, at=now)
    stakes = overview.overview_for(mia, at=now).stakes
    assert [(one.currency, one.per_cycle, one.amount, one.proposals, one.unknown) for one in stakes] == [
        ("EUR", False, D("2800.000"), 2, 1),
        ("EUR", True, D("519.000"), 1, 0),
        ("USD", False, D("1020.000"), 1, 0),
    ]
    html = words_of(page(client, mia))
    assert "2,800.00 EUR" in html
    assert "1 more without an estimate" in html


def test_a_sum_over_too_many_says_so(client, now, monkeypatch):
    monkeypatch.setattr(overview, "MOST_SUMMED", 2)
    mia = rep()
    for _ in range(3):
        submitted(by=mia, at=now)
    seen = overview.overview_for(mia, at=now)
    assert seen.more_at_stake
    assert seen.stakes[0].proposals == 2


def test_what_is_stuck_is_shown_to_those_who_may_see_it(client, now):
    mia, noah = rep(), rep()
    held, stuck, refused, others = (submitted(by=by, at=now) for by in (mia, mia, mia, noah))
    of = Delivery.objects.of
    of(held).update(state="HELD", held_because="Togai forbids this token.")
    of(stuck).update(state="NEEDS_HUMAN", last_message="Found twice.")
    of(others).update(state="NEEDS_HUMAN", last_message="Of Noah.")
    Proposal.objects.filter(pk=refused.pk).update(togai_refusal="quantity: <too> many")
    html = page(client, mia)
    assert "Togai forbids this token." in html
    assert "Found twice." in html
    assert "quantity: &lt;too&gt; many" in html
    assert "Of Noah." not in html
    assert overview.overview_for(mia, at=now).needs_a_person == 3
    html = page(client, person(Role.AUDITOR))
    assert "Of Noah." in html


def test_a_manager_sees_what_their_team_is_stuck_with(now):
    mia, boss = rep(), person(Role.MANAGER)
    team = Team.objects.create(name="North")
    team.managers.add(boss)
    team.members.add(mia)
    Delivery.objects.of(submitted(by=mia, at=now)).update(state="HELD")
    Delivery.objects.of(submitted(at=now)).update(state="HELD")
    assert len(overview.overview_for(boss, at=now).stuck) == 1


def test_decisions_are_drawn_by_month_and_told_in_a_table(client, now):
    """G-26: a request for changes is counted apart, and never as declined."""
    mia = rep()
    for verb in (services.approve, services.approve, services.decline, services.request_changes):
        decide(verb, submitted(by=mia, at=now), now)
    seen = overview.overview_for(mia, at=now)
    assert len(seen.months) == overview.MONTHS
    assert seen.months[-1].counts == (2, 1, 1)
    assert sum(sum(month.counts) for month in seen.months[:-1]) == 0
    html = page(client, mia)
    assert html.count('class="chart__bar') == 3
    assert "style=" not in html
    assert "As a table" in html
    assert re.search(r'<td class="num">2</td><td class="num">1</td><td class="num">1</td>', html)


def test_months_that_were_not_read_whole_are_left_out(now, monkeypatch):
    monkeypatch.setattr(overview, "MOST_CHARTED", 3)
    mia = rep()
    for _ in range(4):
        decide(services.approve, submitted(by=mia, at=now), now)
    months = overview.overview_for(mia, at=now).months
    assert [month.counts for month in months] == [(3, 0, 0)]


@pytest.mark.parametrize(
    ("most", "lines"),
    [(0, [0, 1]), (1, [0, 1]), (4, [0, 1, 2, 3, 4]), (5, [0, 2, 4, 6]), (104, [0, 50, 100, 150])],
)
def test_the_scale_is_round_and_holds_the_tallest_bar(most, lines):
    chart = grouped_bars([("Jan", (most, 0)), ("Feb", (0, most // 2))])
    assert [value for _, value in chart.grid] == lines
    assert all(bar.y >= 0 and bar.y + bar.height == chart.base for bar in chart.bars)
    assert all(bar.x + bar.width <= chart.width for bar in chart.bars)


@pytest.mark.parametrize(
    "roles", [(Role.REP,), (Role.FINANCE,), (Role.MANAGER,), (Role.ADMINISTRATOR,), (Role.REP, Role.CFO)]
)
def test_the_overview_costs_the_same_however_much_there_is(client, now, roles):
    """At most fifteen queries, at five rows of everything and at thirty."""
    user, plan = person(*roles), PricePlanFactory()
    team = Team.objects.create(name="North")
    team.managers.add(user)
    team.members.add(mia := rep())
    client.force_login(user)

    def one_of_everything():
        draft(by=user, at=now, price_plan=plan)
        back = submitted(by=user, at=now, price_plan=plan)
        decide(services.request_changes, back, now)
        submitted(by=user, at=now, price_plan=plan, valid_until=now.date() + timedelta(days=3))
        waits = submitted(by=mia, at=now, price_plan=plan)
        Delivery.objects.of(waits).update(state="HELD")
        done = submitted(by=user, at=now, price_plan=plan)
        decide(services.approve, done, now)
        Proposal.objects.filter(pk=done.pk).update(togai_status="PENDING")
        bought = submitted_purchase(by=mia, at=now, price_plan=plan)
        Delivery.objects.of(waits).filter(kind="CREATE_PROPOSAL").update(state="HELD")
        return bought

    def queries():
        with CaptureQueriesContext(connection) as asked:
            assert client.get("/").status_code == 200
        return [query["sql"] for query in asked.captured_queries]

    # As it is once a worker has called Togai.
    Link.objects.create()
    for _ in range(5):
        one_of_everything()
    queries()
    at_five = queries()
    for _ in range(25):
        one_of_everything()
    at_thirty = queries()
    assert len(at_five) == len(at_thirty) <= MOST_QUERIES
    assert not any("COUNT(" in sql.upper() or "OFFSET" in sql.upper() for sql in at_thirty)
