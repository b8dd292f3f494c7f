"""Two sides of a deal beside each other: two revisions, or a revision and its plan, in terms and money."""

import re
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from proposals import reading, services
from proposals.models import Proposal
from purchases import drafts, figures, quotes
from tests.factories import (
    AccountFactory,
    PricePlanFactory,
    draft,
    finance,
    rep,
    submitted_purchase,
    yearly,
)
from tests.permissions import pages

pytestmark = pytest.mark.django_db

MOST_QUERIES = 7
WHY = {"reason_code": "other", "reason": "They asked for another offer."}


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def mia(client):
    """A rep who is signed in."""
    user = rep(first_name="Mia", last_name="Ott")
    client.force_login(user)
    return user


def fee(rate):
    return {"fixedFeeRateCards": {"addon.platform": {"rateValues": {"EUR": {"rate": rate}}}}}


def slabs(second):
    return {
        "usageRateCards": {"um.messages": {"rateValues": {"EUR": {"slabRates": {"2": {"rate": second}}}}}}
    }


def contract(by, at, **fields):
    """A draft of a yearly contract."""
    return draft(by=by, at=at, **yearly(at, **fields))


def next_revision(proposal, by, at, **fields):
    """Submit it, take it back, and change the revision that follows."""
    proposal = services.submit(proposal_id=proposal.pk, by=by, at=at)
    services.recall(proposal_id=proposal.pk, by=by, at=at, **WHY)
    second = services.revise(proposal_id=proposal.pk, by=by, at=at)
    return services.edit(proposal_id=second.pk, by=by, at=at, version=second.version, fields=fields)


def three_revisions(by, at):
    """Fees of 499, 449 and 480 a month."""
    one = contract(by, at)
    two = next_revision(one, by, at, association_override=fee("449"), title="Second try")
    return next_revision(two, by, at, association_override=fee("480"))


def page(client, proposal, query="", status=200):
    response = client.get(f"/proposals/{proposal.reference}/compare/{query}")
    assert response.status_code == status
    return response.content.decode()


def words_of(html):
    """The text of a page as one reads it."""
    return pages.words_of(html[html.index("<main") :])


def differences_of(html):
    """Every difference in money that the page names, in its order."""
    cells = re.findall(r'<td data-label="Difference".*?</td>', html, flags=re.S)
    return [
        D(found.replace(",", "").replace(figures.MINUS, "-"))
        for cell in cells
        for found in re.findall(r"[+−]?[\d,]+\.\d{2,}(?! %)", words_of(f"<main>{cell}"))
    ]


# --- what stands beside what ---


def test_the_newest_revision_stands_beside_the_one_before_it(client, mia, now):
    """G-35: any two revisions compare in money and fields."""
    proposal = three_revisions(mia, now)
    words = words_of(page(client, proposal))
    assert "Revision 3 beside revision 2" in words
    assert "449.00 480.00" in words
    assert "+31.00" in words
    assert "+372.00" in words  # 480 − 449 a month, for a year
    assert "dearer" in words


@pytest.mark.parametrize(
    ("query", "title", "month"),
    [
        ("?a=1&b=2", "Revision 2 beside revision 1", "−50.00"),
        ("?a=1&b=3", "Revision 3 beside revision 1", "−19.00"),
        ("?a=3&b=1", "Revision 1 beside revision 3", "+19.00"),
        ("?b=2&a=3", "Revision 2 beside revision 3", "−31.00"),
        ("?a=plan&b=2", "Revision 2 beside the plan", "−50.00"),
        ("?a=2&b=plan", "The plan beside revision 2", "+50.00"),
        ("?a=plan", "Revision 3 beside the plan", "−19.00"),
        ("?a=&b=", "Revision 3 beside revision 2", "+31.00"),
        ("?b=3&next=//evil.example&seen=x", "Revision 3 beside revision 2", "+31.00"),
    ],
)
def test_any_two_sides_compare(client, mia, now, query, title, month):
    """G-35"""
    proposal = three_revisions(mia, now)
    words = words_of(page(client, proposal, query))
    assert title in words
    assert month in words


def test_the_only_revision_stands_beside_its_plan(client, mia, now):
    proposal = contract(mia, now, association_override=fee("449"))
    words = words_of(page(client, proposal))
    assert "Revision 1 beside the plan" in words
    assert "cheaper" in words


def test_swapping_the_sides_negates_every_number_on_the_page(client, mia, now):
    """G-10"""
    proposal = contract(mia, now, association_override=fee("449") | slabs("0.012"))
    next_revision(
        proposal, mia, now, association_override=fee("480"), expected_volumes={"um.messages": "9000"}
    )
    there = differences_of(page(client, proposal, "?a=1&b=2"))
    back = differences_of(page(client, proposal, "?a=2&b=1"))
    assert len(there) > 10
    assert any(there)
    assert there == [-amount for amount in back]


def test_the_sums_on_the_page_are_the_engine_s(client, mia, now):
    """G-10, G-14: every line and sum of both sides, to the minor unit."""
    proposal = three_revisions(mia, now)
    words = words_of(page(client, proposal, "?a=1&b=3"))
    for one in Proposal.objects.filter(number=proposal.number).exclude(revision=2):
        priced = quotes.quote(one).proposal
        for money in (priced.per_cycle, priced.term_total, *(line.amount for line in priced.lines)):
            assert f" {figures.amount(money.amount, 'EUR')} " in words


@pytest.mark.parametrize("query", ["?a=9", "?a=x&b=1", "?b=%F0%9F%98%80", "?a=-1&b=2"])
def test_a_side_that_is_not_there_is_said_so(client, mia, now, query):
    proposal = three_revisions(mia, now)
    html = page(client, proposal, query)
    assert "There is no such revision of this deal." in html
    assert "What it costs" not in html


def test_a_side_does_not_stand_beside_itself(client, mia, now):
    proposal = three_revisions(mia, now)
    for query in ("?a=2&b=2", "?a=plan&b=plan"):
        html = page(client, proposal, query)
        assert "Choose another side than the first." in html
        assert "What it costs" not in html


def test_equal_sides_say_so(client, mia, now):
    proposal = next_revision(contract(mia, now), mia, now)
    assert "They say the same, in terms and in money." in page(client, proposal)
    assert "They say the same" not in page(client, three_revisions(mia, now))


# --- terms in words ---

OTHER = {
    "account": lambda deal: AccountFactory(owner=deal.owner, name="Another Harbor"),
    "type": lambda deal: "WALLET_TOPUP",
    "price_plan": lambda deal: PricePlanFactory(recurring=True, name="Larger"),
    "quantity": lambda deal: 7,
    "rate_card_quantities": lambda deal: {"feature.calls": "3"},
    "purchase_plan_override": lambda deal: {
        "fixedFeeRateCards": {"addon.onboarding": {"rateValues": {"EUR": {"rate": "700"}}}}
    },
    "association_override": lambda deal: fee("1"),
    "wallet_topup_amount": lambda deal: D(900),
    "wallet_purchase_amount": lambda deal: D(800),
    "effective_from": lambda deal: deal.created_at.date() + timedelta(days=77),
    "effective_until": lambda deal: deal.created_at.date() + timedelta(days=777),
    "valid_until": lambda deal: deal.created_at.date() + timedelta(days=7),
    "payment_mode": lambda deal: "PREPAID",
    "expected_volumes": lambda deal: {"um.messages": "5"},
    "title": lambda deal: "Another title",
    "internal_note": lambda deal: "Mind the discount.",
}


@pytest.mark.parametrize("name", OTHER)
def test_every_term_that_differs_is_told(mia, now, name):
    """G-35: no field of a deal can differ in silence."""
    assert set(OTHER) == set(drafts.fields_of(Proposal))
    is_grant = name in ("quantity", "rate_card_quantities", "purchase_plan_override")
    one = draft(by=mia, at=now) if is_grant else contract(mia, now)
    two = Proposal.objects.get(pk=one.pk)
    two.revision = 2
    setattr(two, name, OTHER[name](one))
    found = reading.compared([two, one], "1", "2")
    assert found.facts or found.cards
    assert not found.is_same
    assert reading.compared([two, one], "plan", "1").facts == ()


def test_terms_differ_in_words_as_the_page_of_the_deal_says_them(client, mia, now):
    one = contract(mia, now)
    until = now.date() + timedelta(days=740)
    next_revision(
        one,
        mia,
        now,
        effective_until=until,
        expected_volumes={"um.messages": "20000"},
        payment_mode="PREPAID",
    )
    words = words_of(page(client, one))
    assert "Ends on" in words
    assert "Expected Messages 18,000 20,000" in words
    assert "Payment Postpaid Prepaid" in words
    assert "Over 12 months, then over 24 months" in words


# --- money that cannot be compared ---


def test_two_currencies_are_refused_without_a_sum(client, mia, now):
    """G-13: and the terms still compare."""
    one = contract(mia, now)
    dollars = AccountFactory(owner=mia, currency="USD", name="Harbor West")
    next_revision(one, mia, now, account=dollars)
    words = words_of(page(client, one))
    assert "Revision 1 is in EUR, revision 2 in USD: amounts in two currencies are not compared." in words
    assert "Harbor West" in words
    assert "Difference" not in words


def test_a_side_without_a_price_says_why(client, mia, now):
    one = contract(mia, now)
    two = next_revision(one, mia, now)
    Proposal.objects.filter(pk=two.pk).update(price_plan=None, association_override=None)
    words = words_of(page(client, one))
    assert "Revision 2 has no price yet. No price plan is chosen yet." in words


def test_an_unknown_volume_stays_unknown(client, mia, now):
    one = contract(mia, now)
    next_revision(one, mia, now, expected_volumes=None)
    words = words_of(page(client, one))
    assert "Messages: No expected volume yet." in words
    assert "unknown" in words


# --- who, how much, where ---


def test_others_do_not_see_it(client, mia, now):
    proposal = three_revisions(mia, now)
    client.force_login(rep())
    page(client, proposal, status=404)
    page(client, proposal, "?a=1&b=2", status=404)
    client.force_login(finance())
    page(client, proposal)
    assert client.get("/proposals/P-999999/compare/").status_code == 404
    assert client.post(f"/proposals/{proposal.reference}/compare/").status_code == 405


def test_it_costs_as_many_queries_with_two_revisions_as_with_five(client, mia, now):
    """L4"""
    proposal = next_revision(contract(mia, now), mia, now, association_override=fee("450"))

    def queries():
        with CaptureQueriesContext(connection) as asked:
            page(client, proposal)
        return [one["sql"] for one in asked]

    queries()
    short = queries()
    latest = proposal
    for rate in ("451", "452", "453"):
        latest = next_revision(latest, mia, now, association_override=fee(rate))
    found = queries()
    assert len(found) == len(short) <= MOST_QUERIES, found


def test_the_page_of_a_deal_leads_here_once_there_is_something_to_compare(client, mia, now):
    proposal = contract(mia, now)
    here = f"/proposals/{proposal.reference}/"
    assert "Compare revisions" not in client.get(here).content.decode()
    next_revision(proposal, mia, now)
    html = client.get(here).content.decode()
    assert f'href="{here}compare/"' in html
    assert f'href="{here}compare/?a=1&amp;b=2"' in html
    assert "against=" not in html


def test_finance_decides_with_the_same_money_before_its_eyes(client, mia, now):
    """G-10: the deal, the questions of finance and the purchase show lines and slabs alike."""
    proposal = contract(mia, now, association_override=slabs("0.012"))
    services.submit(proposal_id=proposal.pk, by=mia, at=now)
    purchase = submitted_purchase(by=mia, at=now)
    client.force_login(finance())
    for address, parts in (
        (
            f"/proposals/{proposal.reference}/",
            ["18,000 at 0.012 per unit", "over 10,000", "−54.00", "−648.00"],
        ),
        (f"/proposals/{proposal.reference}/decline/", ["18,000 at 0.012 per unit", "−54.00"]),
        (f"/proposals/{proposal.reference}/request-changes/", ["18,000 at 0.012 per unit", "−54.00"]),
        (f"/purchases/{purchase.reference}/", ["1,000 at 0.20 per unit", "over 1,000", "In all, once"]),
        (f"/purchases/{purchase.reference}/release/", ["1,000 at 0.20 per unit", "In all, once"]),
    ):
        words = words_of(client.get(address).content.decode())
        assert [part for part in parts if part not in words] == [], address


def test_the_table_is_told_to_every_ear_and_every_width(client, mia, now):
    """A caption, heads with their scope, a name for every cell of a stacked row, and no colour alone."""
    html = page(client, three_revisions(mia, now))
    money = html[html.index('id="money"') :]
    assert "<caption" in money
    heads = re.findall(r"<th\b[^>]*>", money)
    assert heads
    assert all("scope=" in head for head in heads)
    figures_in = re.findall(r'<td\b[^>]*class="num"[^>]*>', money)
    assert figures_in
    assert all("data-label=" in cell for cell in figures_in)
    assert "<details" in money
    assert "data-print" in html
