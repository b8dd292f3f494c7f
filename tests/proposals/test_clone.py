"""Less typing: a draft with the terms of another deal, by its button, by program and from the last deal."""

import re
from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Team
from audit.models import Event
from audit.refusals import Invalid, NotAllowed
from audit.roles import Role
from proposals import services
from proposals.models import Proposal
from purchases import drafts
from purchases import services as purchase_services
from purchases.models import Purchase
from tests import factories as f
from togai.models import Delivery

pytestmark = pytest.mark.django_db

BOTH = pytest.mark.parametrize("desk", ["proposals", "purchases"])
CHEAPER = {
    "billingEntitlementRateCards": {
        "feature.calls": {"rateValues": {"EUR": {"slabRates": {"2": {"rate": "0.12"}}}}}
    }
}
LOWER_FEE = {"fixedFeeRateCards": {"addon.platform": {"rateValues": {"EUR": {"rate": "399"}}}}}
COPIED = "copied"

# Every field of a deal and what a clone makes of it: copied, or not, and why. A field that is not here fails.
SHARED = {
    "account": COPIED,
    "type": COPIED,
    "price_plan": COPIED,
    "quantity": COPIED,
    "rate_card_quantities": COPIED,
    "purchase_plan_override": COPIED,
    "association_override": COPIED,
    "wallet_topup_amount": COPIED,
    "wallet_purchase_amount": COPIED,
    "expected_volumes": COPIED,
    "effective_from": "the old deal's days",
    "effective_until": "the old deal's days",
    "valid_until": "the old deal's days",
    "title": "words about the old deal",
    "internal_note": "words about the old deal",
    "id": "a row of its own",
    "number": "a number of its own",
    "revision": "the first of its own chain",
    "status": "a draft",
    "owner": "who clones it",
    "created_by": "who clones it",
    "last_edited_by": "who clones it",
    "editors": "who clones it: whoever wrote the old deal may decide the new one",
    "submitted_by": "nobody has submitted it",
    "submitted_at": "nobody has submitted it",
    "form_token": "of the page of the old draft",
    "version": "its first",
    "content_hash": "made anew from its own content",
    "created_at": "now",
    "updated_at": "now",
    "currency": "worked out anew",
    "estimate": "worked out anew",
    "estimate_per": "worked out anew",
    "list_price": "worked out anew",
    "togai_id": "Togai knows nothing of it",
    "togai_status": "Togai knows nothing of it",
    "togai_price": "Togai knows nothing of it",
    "togai_currency": "Togai knows nothing of it",
    "togai_invoice_id": "Togai knows nothing of it",
    "togai_comment": "Togai knows nothing of it",
    "togai_responded_at": "Togai knows nothing of it",
    "togai_seen_at": "Togai knows nothing of it",
    "togai_refusal": "Togai knows nothing of it",
    "togai_problem": "Togai knows nothing of it",
}
FIELDS = {
    Proposal: SHARED
    | {
        "payment_mode": COPIED,
        "is_live": "the newest of its own chain",
        "previous": "it revises nothing",
        "next": "nothing revises it",
        "decided_by": "an approval is of the old deal",
        "decided_at": "an approval is of the old deal",
        "decisions": "an approval is of the old deal",
        "steps": "approvals are planned when it is submitted",
        "customer_links": "the customer was given the old deal",
        "notices": "they are about the old deal",
    },
    Purchase: SHARED
    | {"released_by": "a release is of the old deal", "released_at": "a release is of the old deal"},
}


def full(model, by):
    """A deal of which every field that a clone must not take is filled, and most that it takes."""
    fields = {
        "type": "ASSOCIATION",
        "price_plan": f.PricePlanFactory(recurring=True),
        "quantity": None,
        "association_override": LOWER_FEE,
        "expected_volumes": {"um.messages": "1200"},
        "effective_from": date(2030, 6, 1),
        "effective_until": date(2031, 6, 1),
        "valid_until": date(2030, 2, 1),
        "title": "Renewal of Harbor",
        "internal_note": "They also talk to somebody else.",
    }
    if model is Proposal:
        made = f.submitted(by=by, **fields)
        services.approve(proposal_id=made.pk, by=f.finance(), at=f.NOON, content_hash=made.content_hash)
    else:
        made = f.submitted_purchase(by=by, **fields)
        purchase_services.release(
            purchase_id=made.pk, by=f.finance(), at=f.NOON, content_hash=made.content_hash
        )
    model.objects.filter(pk=made.pk).update(
        form_token="00000000-0000-4000-8000-000000000001",
        togai_id="proposal.1",
        togai_status="SUCCESS",
        togai_price="480",
        togai_currency="EUR",
        togai_invoice_id="invoice.1",
        togai_comment="Fine",
        togai_responded_at=f.NOON,
        togai_seen_at=f.NOON,
        togai_refusal="no",
        togai_problem="odd",
    )
    return model.objects.get(pk=made.pk)


def clone(deal, by, **given):
    if isinstance(deal, Proposal):
        return services.clone(proposal_id=deal.pk, by=by, at=f.NOON, **given)
    return purchase_services.clone(purchase_id=deal.pk, by=by, at=f.NOON, **given)


def a_draft(desk, **fields):
    return f.draft(**fields) if desk == "proposals" else f.purchase_draft(**fields)


# --- What is copied ---


@pytest.mark.parametrize("model", FIELDS)
def test_every_field_of_a_deal_is_said_to_be_copied_or_not_and_why(model):
    """G-03"""
    assert {field.name for field in model._meta.get_fields()} == set(FIELDS[model])
    copied = {name for name, said in FIELDS[model].items() if said == COPIED}
    assert copied == set(drafts.CLONED_FIELDS) & set(drafts.fields_of(model))


@pytest.mark.parametrize("model", FIELDS)
def test_a_clone_has_what_is_copied_and_nothing_else_of_the_old_deal(model):
    """G-03: read field by field from the rows, with every field of the old one filled."""
    old = full(model, f.rep())
    other = f.finance()
    new = model.objects.get(pk=clone(old, other).pk)
    fresh = model.objects.get(pk=(f.draft if model is Proposal else f.purchase_draft)(by=other).pk)
    of_its_own = {"id", "number", "content_hash", "currency", "estimate", "estimate_per", "list_price"}
    for field in model._meta.concrete_fields:
        name = field.name
        if FIELDS[model][name] == COPIED:
            assert getattr(new, name) == getattr(old, name), name
        elif name not in of_its_own:
            # As in any new draft of this person.
            assert getattr(new, name) == getattr(fresh, name), name
    assert (new.association_override, new.expected_volumes) == (LOWER_FEE, {"um.messages": "1200"})
    assert new.number > old.number
    assert [new.owner, new.created_by, new.last_edited_by, *new.editors.all()] == [other] * 4
    assert new.content_hash == drafts.content_hash(new) != old.content_hash
    # Without days it runs on, so the money is that of a cycle and not of the old term.
    assert (old.estimate_per, new.estimate_per) == ("term", "cycle")


@pytest.mark.parametrize("model", FIELDS)
def test_a_clone_carries_no_approval_and_queues_nothing(model):
    """G-03: neither decisions nor steps nor a delivery with its key."""
    old = full(model, f.rep())
    before = Delivery.objects.count()
    new = clone(old, f.finance())
    assert Delivery.objects.count() == before
    if model is Proposal:
        assert (new.decisions.count(), new.steps.count()) == (0, 0)


@BOTH
def test_the_record_says_where_a_clone_comes_from_and_the_old_deal_is_untouched(desk):
    """G-03"""
    old = a_draft(desk)
    told = Event.objects.about(old).count()
    new = clone(old, old.owner)
    event = Event.objects.about(new).get()
    assert (event.verb, event.actor, event.after["from"]) == ("clone", old.owner, str(old))
    assert event.after["version"] == new.version == 1
    assert Event.objects.about(old).count() == told


def test_what_is_changed_in_a_clone_stays_out_of_the_old_deal():
    """G-03: the maps of overrides are two."""
    old = f.draft(purchase_plan_override=CHEAPER)
    new = clone(old, old.owner)
    services.edit(
        proposal_id=new.pk, by=old.owner, at=f.NOON, fields={"purchase_plan_override": {}}, version=1
    )
    old.refresh_from_db()
    assert old.purchase_plan_override == CHEAPER


def test_a_clone_may_be_for_another_account_but_only_for_one_of_ones_own():
    """G-03"""
    old = f.draft()
    mine = f.AccountFactory(owner=old.owner)
    assert clone(old, old.owner, account=mine).account == mine
    with pytest.raises(Invalid):
        clone(old, old.owner, account=f.AccountFactory(owner=f.rep()))


def test_a_clone_has_no_account_yet_where_the_old_one_went_to_somebody_else():
    """G-03: the deal is still mine to see, its account is not."""
    old = f.draft()
    old.account.owner = f.rep()
    old.account.save()
    assert clone(old, old.owner).account is None


@BOTH
def test_nobody_clones_what_they_do_not_see(desk):
    """G-03, S-07"""
    old = a_draft(desk)
    with pytest.raises(NotAllowed):
        clone(old, f.rep())
    assert type(old).objects.count() == 1


@BOTH
def test_who_reads_and_does_not_draft_clones_nothing(desk):
    """G-03"""
    old = a_draft(desk)
    with pytest.raises(NotAllowed):
        clone(old, f.person(Role.AUDITOR))
    assert type(old).objects.count() == 1


def test_a_manager_clones_a_deal_of_their_team_and_owns_the_clone():
    """G-03"""
    old, boss = f.draft(), f.person(Role.MANAGER)
    team = Team.objects.create(name="North")
    team.members.add(old.owner)
    team.managers.add(boss)
    assert clone(old, boss).owner == boss


# --- The button ---


@BOTH
def test_the_page_of_a_deal_offers_the_clone_and_the_button_leads_to_its_editor(client, desk):
    """G-03"""
    old = a_draft(desk)
    client.force_login(old.owner)
    url = f"{old.get_absolute_url()}clone/"
    assert f'action="{url}"' in client.get(old.get_absolute_url()).content.decode()
    answer = client.post(url)
    new = type(old).objects.latest("pk")
    assert (answer.status_code, answer["Location"]) == (303, f"/{desk}/{new.reference}/edit/")
    page = client.get(answer["Location"]).content.decode()
    assert f"with the terms of {old}." in page
    assert "cloned another deal" in client.get(new.get_absolute_url()).content.decode()


@BOTH
def test_the_button_pressed_twice_makes_one_draft(client, desk):
    """G-03: also without JavaScript, which would stop the second press; another visit clones again."""
    old = a_draft(desk)
    client.force_login(old.owner)
    url = f"{old.get_absolute_url()}clone/"

    def drawn():
        page = client.get(old.get_absolute_url()).content.decode()
        return re.search(r'/clone/">.*?name="form_token" value="([0-9a-f-]{36})"', page, re.S)[1]

    token = drawn()
    first, again = (client.post(url, {"form_token": token}) for _ in range(2))
    assert first["Location"] == again["Location"]
    assert type(old).objects.count() == 2
    client.post(url, {"form_token": drawn()})
    assert type(old).objects.count() == 3


@BOTH
def test_a_token_that_is_none_clones_nothing(client, desk):
    """G-03, S-06"""
    old = a_draft(desk)
    client.force_login(old.owner)
    assert client.post(f"{old.get_absolute_url()}clone/", {"form_token": "twice"}).status_code == 400
    assert type(old).objects.count() == 1


@BOTH
def test_who_does_not_draft_is_offered_no_clone(client, desk):
    """G-03"""
    old = a_draft(desk)
    client.force_login(f.person(Role.AUDITOR))
    assert "/clone/" not in client.get(old.get_absolute_url()).content.decode()


@BOTH
def test_a_clone_on_a_plan_that_was_replaced_keeps_its_version_and_the_editor_says_so(client, desk):
    """G-03, G-15"""
    old = a_draft(desk)
    plan = old.price_plan
    plan.is_latest = False
    plan.save()
    f.PricePlanFactory(togai_id=plan.togai_id, version=2, name=plan.name)
    client.force_login(old.owner)
    page = client.post(f"{old.get_absolute_url()}clone/", follow=True).content.decode()
    assert type(old).objects.latest("pk").price_plan == plan
    assert f"{plan.name} has a version 2" in page
    assert "This draft keeps version 1" in page


# --- By program ---


@BOTH
def test_a_program_clones_by_the_same_service(client, desk):
    """G-03"""
    old = a_draft(desk)
    client.force_login(old.owner)
    answer = client.post(f"/api/v1/{desk}/{old.reference}/clone/")
    new = type(old).objects.latest("pk")
    assert (answer.status_code, answer.json()["reference"]) == (201, new.reference)
    assert Event.objects.about(new).get().after["from"] == str(old)
    assert answer.json()["quantity"] == old.quantity


# --- As last time ---


def test_last_time_is_the_newest_deal_of_the_account_that_is_past_its_draft_and_that_one_sees():
    """G-03"""
    first = f.submitted()
    by, account = first.owner, first.account
    second = f.submitted(by=by, account=account)
    f.submitted(by=by)
    f.draft(by=by, account=account)
    f.submitted(by=f.finance(), account=account)
    assert drafts.last_of(Proposal, account, by=by) == second
    assert drafts.last_of(Proposal, f.AccountFactory(owner=by), by=by) is None
    assert drafts.last_of(Purchase, account, by=by) is None


def new_page(client, desk, account):
    return client.get(f"/{desk}/new/?account={account.togai_id}")


def pressed(page, **changes):
    """What the button "As last time" of a new page posts."""
    starts = page.context["starts"]
    sent = {"account": starts["account"].togai_id, "form_token": str(starts["token"])}
    return sent | {"from": f"deal:{starts['last'].pk}"} | changes


def test_the_new_page_says_which_deal_last_time_was_and_starts_from_it(client):
    """G-03: the decision and its day, in words; the days of that deal are not taken."""
    old = full(Proposal, f.rep())
    client.force_login(old.owner)
    page = new_page(client, "proposals", old.account)
    assert f"as {old}, approved 10 Jan 2030" in page.content.decode()
    answer = client.post("/proposals/new/start/", pressed(page), follow=True)
    new = Proposal.objects.latest("pk")
    assert answer.redirect_chain == [(f"/proposals/{new.reference}/edit/", 303)]
    assert (new.account, new.price_plan, new.association_override) == (
        old.account,
        old.price_plan,
        LOWER_FEE,
    )
    assert (new.effective_from, new.effective_until, new.valid_until) == (None, None, None)
    event = Event.objects.about(new).get()
    assert (event.verb, event.after["from"]) == ("clone", str(old))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("SUBMITTED", "submitted 10 Jan 2030"),
        ("RECALLED", "recalled, submitted 10 Jan 2030"),
        ("EXPIRED", "expired, submitted 10 Jan 2030"),
    ],
)
def test_last_time_says_what_became_of_it(client, status, words):
    """G-03"""
    old = f.submitted()
    Proposal.objects.filter(pk=old.pk).update(status=status)
    client.force_login(old.owner)
    assert f"as {old}, {words}<" in new_page(client, "proposals", old.account).content.decode()


def test_a_purchase_starts_from_the_last_purchase_of_its_account(client):
    """G-03"""
    old = full(Purchase, f.rep())
    client.force_login(old.owner)
    page = new_page(client, "purchases", old.account)
    assert f"as {old}, released 10 Jan 2030" in page.content.decode()
    client.post("/purchases/new/start/", pressed(page))
    assert Event.objects.about(Purchase.objects.latest("pk")).get().after["from"] == str(old)


@BOTH
def test_nothing_is_offered_where_there_was_no_last_time(client, desk):
    """G-03: a draft is none."""
    old = a_draft(desk)
    client.force_login(old.owner)
    page = new_page(client, desk, old.account)
    assert "As last time" not in page.content.decode()


def test_pressed_twice_it_starts_once(client):
    """G-03"""
    old = f.submitted()
    client.force_login(old.owner)
    given = pressed(new_page(client, "proposals", old.account))
    first = client.post("/proposals/new/start/", given)
    again = client.post("/proposals/new/start/", given)
    assert first["Location"] == again["Location"]
    assert Proposal.objects.count() == 2


@pytest.mark.parametrize("forged", ["", "deal:", "deal:x", "deal:-1", "nothing:1", "deal:\x00"])
def test_what_to_start_from_has_to_be_said(client, forged):
    """G-03, S-06"""
    old = f.submitted()
    client.force_login(old.owner)
    given = pressed(new_page(client, "proposals", old.account)) | {"from": forged}
    assert client.post("/proposals/new/start/", given).status_code == 400
    assert Proposal.objects.count() == 1


def test_nobody_starts_from_a_deal_or_for_an_account_that_is_not_theirs(client):
    """G-03, S-07: to them neither exists."""
    old, other = f.submitted(), f.submitted()
    client.force_login(old.owner)
    given = pressed(new_page(client, "proposals", old.account))
    for forged in (
        {"from": f"deal:{other.pk}"},
        {"account": other.account.togai_id},
        {"account": "\x00"},
        {"from": "deal:999999"},
    ):
        assert client.post("/proposals/new/start/", given | forged).status_code == 404
    assert Proposal.objects.count() == 2


@BOTH
def test_the_new_page_asks_as_often_for_forty_deals_as_for_one(client, desk):
    """G-03, L4"""
    deal = (f.submitted if desk == "proposals" else f.submitted_purchase)()
    client.force_login(deal.owner)
    new_page(client, desk, deal.account)
    with CaptureQueriesContext(connection) as few:
        new_page(client, desk, deal.account)
    for _ in range(40):
        a_draft(desk, by=deal.owner, account=deal.account, price_plan=deal.price_plan)
    with CaptureQueriesContext(connection) as many:
        new_page(client, desk, deal.account)
    assert len(few) == len(many) <= 8
