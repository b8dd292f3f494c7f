"""The page of one proposal: money, what one may do, what changed, what Togai says, and how it follows."""

import json
import re
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from audit.roles import Role
from proposals import services
from proposals.models import ApprovalStep, Proposal
from purchases import figures, quotes
from tests.factories import AccountFactory, draft, finance, person, rep, submitted, yearly
from tests.permissions.pages import words_of
from tests.tampering import triggers_off
from togai import deliveries, errors, wire
from togai.models import Delivery, Link, RemoteSnapshot

pytestmark = pytest.mark.django_db

Kind, State = Delivery.Kind, Delivery.State
MOST_QUERIES = 12
WHY = {"reason_code": "price-too-low", "reason": "Below what we may give."}
FEE_LOWERED = {"fixedFeeRateCards": {"addon.platform": {"rateValues": {"EUR": {"rate": "449"}}}}}


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def mia(client):
    """A rep who is signed in."""
    user = rep(first_name="Mia", last_name="Ott")
    client.force_login(user)
    return user


def signed_in(client, *roles, **fields):
    user = person(*roles, **fields)
    client.force_login(user)
    return user


def page(client, proposal, query="", status=200, **headers):
    response = client.get(f"/proposals/{proposal.reference}/{query}", **headers)
    assert response.status_code == status
    return response.content.decode()


def association(by, at, **fields):
    """A submitted yearly contract."""
    return submitted(by=by, at=at, **yearly(at, **fields))


def answer(proposal, at, *, kind=Kind.CREATE_PROPOSAL, status="PROPOSAL_ACTIVE", **more):
    """Togai takes the delivery and answers with its record."""
    delivery = deliveries.claim(Delivery.objects.of(proposal).get(kind=kind).pk, worker="test", at=at)
    raw = {
        "id": f"purchase.{proposal.pk}",
        "accountId": proposal.account.togai_id,
        "status": status,
        "type": proposal.type,
        "paymentMode": proposal.payment_mode,
        "createdAt": "2030-02-03T10:59:58Z",
    } | more
    remote = wire.RemoteProposal.read(raw, json.dumps(raw))
    assert deliveries.confirm(delivery, remote, at=at)


def approve(proposal, by, at):
    return services.approve(proposal_id=proposal.pk, by=by, at=at, content_hash=proposal.content_hash)


def verbs_on(html):
    """The verbs that the page offers, as in their addresses, but for the two that move nothing here."""
    head = html[html.index('id="deal-head"') : html.index("</header>", html.index('id="deal-head"'))]
    return set(re.findall(r'(?:href|action)="/proposals/P-\d+/([a-z-]+)/"', head)) - {
        "clone",
        "save-as-template",
    }


# --- money first ---


def test_the_page_shows_the_engine_s_own_numbers(client, mia, now):
    """G-10: per line and total, absolute and %, at the stated volumes; the sums are the engine's."""
    proposal = association(mia, now, association_override=FEE_LOWERED)
    html = words_of(page(client, proposal))
    quote = quotes.quote(proposal)
    side = quote.comparison
    assert side.term_total.plan.amount - side.term_total.proposal.amount == D(600)
    for money in (
        *(line.amounts.plan for line in side.lines),
        *(line.amounts.proposal for line in side.lines),
        side.per_cycle.plan,
        side.per_cycle.proposal,
        side.term_total.plan,
        side.term_total.proposal,
    ):
        assert f" {figures.amount(money.amount, 'EUR')} " in html
    assert "our estimate in EUR, without tax" in html
    assert "−600.00" in html
    assert "−6.5 %" in html
    assert "over 12 months" in html
    shown = [line.amounts.proposal.amount for line in side.lines]
    assert sum(shown) == side.per_cycle.proposal.amount


@pytest.mark.parametrize(
    ("currency", "amount"), [("JPY", "1,250,000"), ("EUR", "1,250,000.00"), ("KWD", "1,250,000.000")]
)
def test_amounts_have_the_digits_of_their_currency(client, mia, now, currency, amount):
    """G-14"""
    proposal = services.create(
        by=mia,
        at=now,
        fields={
            "type": "WALLET_TOPUP",
            "account": AccountFactory(owner=mia, currency=currency),
            "wallet_topup_amount": D(1250000),
            "payment_mode": "PREPAID",
        },
    )
    assert f"{amount} {currency}" in words_of(page(client, proposal))


def test_what_is_not_known_says_why_and_is_never_zero(client, mia, now):
    proposal = association(mia, now, expected_volumes=None)
    html = words_of(page(client, proposal))
    assert "No expected volume yet." in html
    assert "Each month unknown unknown unknown" in html
    assert "Over 12 months unknown unknown unknown" in html
    assert "Discount unknown" in html
    empty = services.create(by=mia, at=now, fields={"title": "An idea"})
    assert "No account is chosen yet." in words_of(page(client, empty))


def test_the_difference_with_the_plan_stands_cell_by_cell(client, mia, now):
    proposal = association(mia, now, association_override=FEE_LOWERED)
    html = page(client, proposal)
    assert "<del>499.00</del>" in html
    assert "<ins>449.00</ins>" in html
    assert "−10.0 % lower" in words_of(html)
    assert "every price is the plan's own" in words_of(page(client, submitted(by=mia, at=now))).replace(
        "&#x27;", "'"
    )


def test_the_price_of_togai_stands_beside_ours_and_a_difference_is_flagged(client, mia, now):
    proposal = submitted(by=mia, at=now)
    answer(proposal, now)
    approve(proposal, finance(), now)
    answer(
        proposal,
        now,
        kind=Kind.DECIDE,
        status="PENDING",
        price=1850,
        invoiceCurrency="EUR",
        invoiceId="inv.7",
    )
    html = words_of(page(client, proposal))
    assert "equals our estimate" in html
    assert "inv.7" in html
    Proposal.objects.update(togai_price=D("1900.005"))
    html = words_of(page(client, proposal))
    assert "differs from our estimate" in html
    assert "1,900.005 EUR" in html
    assert "+50.005 against our estimate" in html
    Proposal.objects.update(togai_currency="USD", togai_price=D(1850))
    assert "in another currency than our estimate" in words_of(page(client, proposal))


# --- what one may do ---


def test_the_verbs_are_those_of_the_person_and_the_moment(client, mia, now):
    proposal = draft(by=mia, at=now)
    boss = finance()
    assert verbs_on(page(client, proposal)) == {"edit", "submit"}
    services.submit(proposal_id=proposal.pk, by=mia, at=now)
    assert verbs_on(page(client, proposal)) == {"recall"}
    client.force_login(boss)
    assert verbs_on(page(client, proposal)) == {"approve", "decline", "request-changes"}
    for role in (Role.AUDITOR, Role.ADMINISTRATOR):
        signed_in(client, role)
        assert verbs_on(page(client, proposal)) == ({"recall"} if role == Role.ADMINISTRATOR else set())
    proposal.refresh_from_db()
    services.decline(proposal_id=proposal.pk, by=boss, at=now, content_hash=proposal.content_hash, **WHY)
    assert verbs_on(page(client, proposal)) == {"revise"}
    client.force_login(boss)
    assert verbs_on(page(client, proposal)) == set()


def test_own_work_says_why_it_cannot_be_decided(client, now):
    """G-22"""
    author = signed_in(client, Role.FINANCE, Role.REP)
    proposal = submitted(by=author, at=now)
    html = page(client, proposal)
    assert verbs_on(html) == {"recall"}
    assert "somebody else has to decide it" in html


def test_approving_carries_what_was_read(client, mia, now):
    """R-23"""
    proposal = submitted(by=mia, at=now)
    signed_in(client, Role.FINANCE)
    html = page(client, proposal)
    assert f'name="content_hash" value="{proposal.content_hash}"' in html
    assert 'name="revision" value="1"' in html


def test_after_its_last_day_it_is_not_approved_and_the_page_says_so(client, mia, now):
    """G-32"""
    proposal = submitted(by=mia, at=now)
    with triggers_off():
        Proposal.objects.update(valid_until=now.date() - timedelta(days=2))
    signed_in(client, Role.FINANCE)
    html = page(client, proposal)
    assert verbs_on(html) == {"decline", "request-changes"}
    assert "can only be revised" in html


def test_a_step_of_somebody_else_says_whose_it_is(client, mia, now):
    proposal = submitted(by=mia, at=now)
    ApprovalStep.objects.update(role=Role.CFO.value)
    signed_in(client, Role.FINANCE)
    html = page(client, proposal)
    assert verbs_on(html) == set()
    assert "It waits for CFO first." in html


@pytest.mark.parametrize("role", [Role.REP, Role.MANAGER])
def test_what_is_not_mine_does_not_exist(client, now, role):
    """S-01: somebody else's object is 404."""
    proposal = submitted(at=now)
    signed_in(client, role)
    page(client, proposal, status=404)
    assert client.get(f"/proposals/{proposal.reference}/r1/").status_code == 404


@pytest.mark.parametrize(
    "address", ["P-000999/", "P-1/", "P-0000001/", "p-000001/", "P-000001/r9/", "P-" + "9" * 30 + "/", "-1/"]
)
def test_what_is_no_number_of_ours_is_not_found(client, mia, now, address):
    """Row 44 of the hostile inputs."""
    submitted(by=mia, at=now)
    assert client.get(f"/proposals/{address}").status_code == 404


# --- what happened ---


def test_a_refusal_of_togai_is_prominent_and_its_owner_revises(client, mia, now):
    proposal = submitted(by=mia, at=now)
    delivery = deliveries.claim(Delivery.objects.of(proposal).get().pk, worker="test", at=now)
    deliveries.reject(delivery, errors.Refused("no"), at=now, message="quantity: <b>at most 1</b>")
    html = page(client, proposal)
    assert "Togai refused this proposal" in html
    assert "quantity: &lt;b&gt;at most 1&lt;/b&gt;" in html
    assert "revise" in verbs_on(html)
    signed_in(client, Role.FINANCE)
    html = page(client, proposal)
    assert verbs_on(html) == set()
    assert "its author has to revise it" in html


def test_notes_are_pinned_to_their_lines_and_follow_into_the_next_draft(client, mia, now):
    """G-26"""
    proposal = association(mia, now, association_override=FEE_LOWERED)
    services.request_changes(
        proposal_id=proposal.pk,
        by=finance(first_name="Omar", last_name="Silva"),
        at=now,
        content_hash=proposal.content_hash,
        line_notes=[("fixedFeeRateCards:addon.platform", "Platform fee", "At least 470.")],
        **WHY,
    )
    html = words_of(page(client, proposal))
    assert "Omar Silva asked for changes" in html
    assert "Price too low: Below what we may give." in html
    assert html.count("At least 470.") == 2
    services.revise(proposal_id=proposal.pk, by=mia, at=now)
    html = words_of(page(client, proposal))
    assert "Revision 1: Omar Silva asked for changes" in html
    assert html.count("At least 470.") == 2


def test_an_old_revision_stays_readable_and_says_what_took_its_place(client, mia, now):
    """G-35"""
    proposal = association(mia, now, association_override=FEE_LOWERED)
    services.decline(proposal_id=proposal.pk, by=finance(), at=now, content_hash=proposal.content_hash, **WHY)
    second = services.revise(proposal_id=proposal.pk, by=mia, at=now)
    services.edit(
        proposal_id=second.pk,
        by=mia,
        at=now,
        version=second.version,
        fields={
            "association_override": {
                "fixedFeeRateCards": {"addon.platform": {"rateValues": {"EUR": {"rate": "480"}}}}
            },
            "title": "Second try",
        },
    )
    old = page(client, proposal, "r1/")
    assert "Revision 1 is superseded." in old
    assert verbs_on(old) == set()
    assert "<ins>449.00</ins>" in old
    assert "hx-get" not in old
    new = page(client, proposal)
    assert f'href="/proposals/{proposal.reference}/r1/"' in new
    assert "<ins>480.00</ins>" in new


def test_the_timeline_tells_who_when_and_why(client, mia, now):
    proposal = draft(by=mia, at=now)
    services.edit(proposal_id=proposal.pk, by=mia, at=now, version=proposal.version, fields={"quantity": 7})
    proposal = services.submit(proposal_id=proposal.pk, by=mia, at=now)
    services.recall(
        proposal_id=proposal.pk, by=mia, at=now, reason_code="other", reason="They asked us to wait."
    )
    html = words_of(page(client, proposal))
    assert "Mia Ott changed the draft" in html
    assert "quantity: 2 → 7" in html
    assert "Mia Ott recalled it" in html
    assert "Other: They asked us to wait." in html
    assert html.index("recalled it") < html.index("submitted it") < html.index("wrote the draft")
    assert "Times in Europe/Berlin" in html


def test_the_approval_strip_tells_each_step(client, mia, now):
    proposal = submitted(by=mia, at=now)
    assert "Waits for a decision" in page(client, proposal)
    approve(proposal, finance(first_name="Omar", last_name="Silva"), now)
    assert "Approved by Omar Silva" in page(client, proposal)
    assert "Will be asked" in page(client, draft(by=mia, at=now))


def test_what_people_and_togai_write_is_text(client, mia, now):
    """Row 48 of the hostile inputs."""
    proposal = submitted(
        by=mia, at=now, title="<script>alert(1)</script>", internal_note='"><img onerror=x> {{7*7}}'
    )
    answer(proposal, now, comment="<script>alert(2)</script>")
    html = page(client, proposal)
    assert "<script>alert" not in html
    assert "<img" not in html
    assert "{{7*7}}" in html


# --- Togai's side ---


def test_the_delivery_says_where_it_stands_and_shows_its_request_without_the_token(
    client, mia, now, settings
):
    """S-20"""
    settings.TOGAI_API_TOKEN = "canary-4711"
    proposal = submitted(by=mia, at=now)
    html = page(client, proposal)
    assert "Waits to be sent." in html
    assert f"POST /accounts/{proposal.account.togai_id}/purchase_proposals" in html
    assert "&quot;idempotencyKey&quot;: &quot;bo1-" in html
    assert "Authorization: Bearer ***" in html
    assert "canary" not in html
    answer(proposal, now)
    assert "Togai has confirmed it." in page(client, proposal)


def test_what_togai_granted_is_shown(client, mia, now):
    proposal = submitted(by=mia, at=now)
    answer(proposal, now)
    approve(proposal, finance(), now)
    answer(
        proposal,
        now,
        kind=Kind.DECIDE,
        status="SUCCESS",
        comment="All done",
        features=[
            {
                "id": "feature.calls",
                "name": "API calls",
                "creditsGranted": 2000,
                "creditsAvailable": 1500.5,
                "updatedAt": "2030-02-20T08:00:00Z",
                "effectiveFrom": "2030-03-01T09:02:11Z",
                "effectiveUntil": "2030-03-31T23:30:00Z",
            },
            "nonsense",
        ],
    )
    html = words_of(page(client, proposal))
    assert "API calls 2,000 (1,500.5 left) until 1 Apr 2030" in html
    assert "Togai&#x27;s words All done" in html or "Togai's words All done" in html


@pytest.mark.parametrize(
    "raw", ["", "[]", "{", '{"features": 5}', '{"features": null}', '{"features": ["x"]}']
)
def test_a_record_that_cannot_be_read_does_no_harm(client, mia, now, raw):
    proposal = submitted(by=mia, at=now)
    answer(proposal, now)
    RemoteSnapshot.objects.update(raw=raw)
    page(client, proposal)


# --- following ---

HTMX = {"HTTP_HX_REQUEST": "true"}


def asked_again(html):
    """The address and the seconds of the next look, or None when the page is final."""
    found = re.search(r'id="deal" hx-get="([^"]+)" hx-trigger="every (\d+)s"', html)
    return found and (found[1], int(found[2]))


def test_a_draft_is_not_asked_for_again(client, mia, now):
    assert asked_again(page(client, draft(by=mia, at=now))) is None


def test_the_page_asks_again_and_hears_only_what_is_new(client, mia, now):
    proposal = submitted(by=mia, at=now)
    address, seconds = asked_again(page(client, proposal))
    assert seconds == 2
    assert client.get(address, **HTMX).status_code == 204
    answer(proposal, now)
    response = client.get(address, **HTMX)
    assert response.status_code == 200
    fresh = response.content.decode()
    assert fresh.lstrip().startswith('<div class="stack" id="deal"')
    assert "Proposal active" in fresh
    assert asked_again(fresh)[0] != address


def test_it_asks_less_often_when_only_people_can_move_it_and_stops_when_it_is_over(client, mia, now):
    proposal = submitted(by=mia, at=now)
    answer(proposal, now)
    assert asked_again(page(client, proposal))[1] == 2
    RemoteSnapshot.objects.update(next_poll_at=now + timedelta(minutes=10))
    assert asked_again(page(client, proposal))[1] == 15
    approve(proposal, finance(), now)
    assert asked_again(page(client, proposal))[1] == 2
    answer(proposal, now, kind=Kind.DECIDE, status="SUCCESS")
    RemoteSnapshot.objects.update(next_poll_at=None)
    assert asked_again(page(client, proposal)) is None


def test_somebody_who_watches_wakes_the_worker_when_something_is_due(client, mia, now, monkeypatch):
    """At most when something is due, nothing is on its way yet, and Togai can be reached."""
    woken = []
    monkeypatch.setattr("togai.deliveries.wake", lambda: woken.append(1))
    proposal = submitted(by=mia, at=now)
    address, _ = asked_again(page(client, proposal))
    assert woken == []
    client.get(address, **HTMX)
    assert woken == [1]
    waiting = OrmQ.objects.create(key="dealdesk", payload="x")
    client.get(address, **HTMX)
    assert woken == [1]
    waiting.delete()
    Link.objects.create(pk=1, unreachable_since=now)
    client.get(address, **HTMX)
    assert woken == [1]
    Link.objects.all().delete()
    Delivery.objects.update(next_at=now + timedelta(hours=1))
    client.get(address, **HTMX)
    assert woken == [1]
    answer_at = now + timedelta(hours=2)
    answer(proposal, answer_at)
    client.get(address, **HTMX)
    assert woken == [1]
    RemoteSnapshot.objects.update(next_poll_at=now)
    client.get(address, **HTMX)
    assert woken == [1, 1]


# --- what it costs ---


def test_the_page_costs_a_dozen_queries_however_long_its_history(client, mia, now):
    """L4: at most twelve, the same with a short and with a long history."""
    proposal = association(mia, now, association_override=FEE_LOWERED)
    answer(proposal, now)
    services.request_changes(
        proposal_id=proposal.pk,
        by=(boss := finance()),
        at=now,
        content_hash=proposal.content_hash,
        line_notes=[("terms", "Terms", "Shorter, please.")] * 5,
        **WHY,
    )
    second = services.revise(proposal_id=proposal.pk, by=mia, at=now)
    second = services.submit(proposal_id=second.pk, by=mia, at=now)
    Delivery.objects.of(proposal).update(state=State.CONFIRMED)
    answer(second, now)
    client.force_login(boss)

    def queries():
        with CaptureQueriesContext(connection) as asked:
            page(client, proposal)
        return len(asked)

    # As it is once a worker has called Togai.
    Link.objects.create()
    queries()
    short = queries()
    services.recall(proposal_id=second.pk, by=mia, at=now, reason_code="other", reason="One more change.")
    third = services.revise(proposal_id=second.pk, by=mia, at=now)
    for quantity in range(60):
        third = services.edit(
            proposal_id=third.pk, by=mia, at=now, version=third.version, fields={"title": f"Try {quantity}"}
        )
    third = services.submit(proposal_id=third.pk, by=mia, at=now)
    Delivery.objects.of(second).update(state=State.CONFIRMED)
    answer(third, now)
    assert queries() == short <= MOST_QUERIES
