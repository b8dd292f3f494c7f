"""G-07 in the form: two people save one draft, and nobody overwrites anybody without choosing to."""

import re
from datetime import date

import pytest

from audit.models import Event
from proposals import services
from proposals.models import Proposal
from purchases import drafts
from purchases import services as purchase_services
from tests import factories as f
from tests.purchases.browserless import open_page

pytestmark = pytest.mark.django_db

CALLS = "billingEntitlementRateCards/feature.calls"
RATE_1 = f"o/{CALLS}/rateValues/EUR/slabRates/1/rate"
RATE_2 = f"o/{CALLS}/rateValues/EUR/slabRates/2/rate"
FEE = "fixedFeeRateCards/addon.onboarding"
FEE_RATE = f"o/{FEE}/rateValues/EUR/rate"


@pytest.fixture
def rep(client):
    rep = f.rep(first_name="Mia", last_name="Ott")
    client.force_login(rep)
    return rep


@pytest.fixture
def admin():
    return f.administrator(first_name="Ada", last_name="Min")


@pytest.fixture
def draft(rep):
    return f.draft(by=rep, title="First")


def url(draft):
    return f"/proposals/{draft.reference}/edit/"


def saved_by_other(draft, admin, **fields):
    """Somebody else saves, while the page of the first is open."""
    draft.refresh_from_db()
    return services.edit(proposal_id=draft.pk, by=admin, at=f.NOON, fields=fields, version=draft.version)


def after(draft):
    draft.refresh_from_db()
    return draft


def line(page, words):
    """Base, theirs and mine of one row of the page."""
    row = re.search(rf"<tr><th[^>]*>{re.escape(words)}</th>(.*?)</tr>", page.html, re.S)[1]
    return re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)


def test_the_second_saver_sees_three_versions_with_who_and_when(client, draft, admin):
    """G-07: base, theirs and mine for every field that differs, who saved and when; nothing is saved yet."""
    page = open_page(client, url(draft)).type(title="Mine", quantity="5")
    saved_by_other(draft, admin, title="Theirs", internal_note="Their note")
    page = page.press("save")
    assert page.status == 409
    assert line(page, "Title") == ["First", "Theirs", "Mine"]
    assert line(page, "Quantity") == ["2", "2", "5"]
    assert line(page, "Internal note") == ["—", "Their note", "—"]
    assert "Ada Min" in page.html
    assert "10 Jan 2030, 13:00" in page.html
    assert (after(draft).title, draft.quantity, draft.version) == ("Theirs", 2, 2)


def test_what_only_one_side_changed_is_preselected_and_what_both_changed_is_not(client, draft, admin):
    page = open_page(client, url(draft)).type(title="Mine", quantity="5")
    saved_by_other(draft, admin, title="Theirs", internal_note="Their note")
    page = page.press("save")
    assert page.typed.get("choice/quantity") == "mine"
    assert page.typed.get("choice/internal_note") == "theirs"
    assert "choice/title" not in page.typed


def test_without_a_choice_nothing_is_saved(client, draft, admin):
    """G-07: no silent overwrite, not even by pressing on."""
    page = open_page(client, url(draft)).type(title="Mine")
    saved_by_other(draft, admin, title="Theirs")
    page = page.press("save").press("resolve")
    assert page.status == 409
    assert after(draft).title == "Theirs"


@pytest.mark.parametrize(("choice", "title"), [("mine", "Mine"), ("theirs", "Theirs")])
def test_the_choice_is_what_is_saved_upon_the_new_version(client, draft, admin, choice, title):
    page = open_page(client, url(draft)).type(title="Mine", quantity="5")
    saved_by_other(draft, admin, title="Theirs", internal_note="Their note")
    page = page.press("save")
    page.typed["choice/title"] = choice
    assert page.press("resolve").status_code == 302
    assert (after(draft).title, draft.quantity, draft.internal_note) == (title, 5, "Their note")
    assert draft.version == 3


def test_a_third_save_in_between_asks_again(client, draft, admin):
    """G-07: the choice was made about another version, so it is asked about this one."""
    page = open_page(client, url(draft)).type(title="Mine")
    saved_by_other(draft, admin, title="Theirs")
    page = page.press("save")
    page.typed["choice/title"] = "mine"
    saved_by_other(draft, admin, title="Theirs again")
    page = page.press("resolve")
    assert (page.status, after(draft).title) == (409, "Theirs again")
    assert line(page, "Title") == ["First", "Theirs again", "Mine"]
    page.typed["choice/title"] = "mine"
    page.press("resolve")
    assert after(draft).title == "Mine"


def test_prices_of_different_cards_do_not_stand_in_each_others_way(client, draft, admin):
    """G-07: two people who changed two cards both keep their work."""
    page = open_page(client, url(draft)).press(f"open:{CALLS}")
    page.typed[RATE_2] = "0.12"
    theirs = {"fixedFeeRateCards": {"addon.onboarding": {"rateValues": {"EUR": {"rate": "700"}}}}}
    saved_by_other(draft, admin, purchase_plan_override=theirs)
    page = page.press("save")
    assert sorted(page.typed[name] for name in page.typed if name.startswith("choice/")) == ["mine", "theirs"]
    page.press("resolve")
    mine = {
        "billingEntitlementRateCards": {
            "feature.calls": {"rateValues": {"EUR": {"slabRates": {"2": {"rate": "0.12"}}}}}
        }
    }
    assert after(draft).purchase_plan_override == theirs | mine


def test_one_card_changed_by_both_is_taken_whole(client, draft, admin):
    page = open_page(client, url(draft)).press(f"open:{FEE}")
    page.typed[FEE_RATE] = "600"
    saved_by_other(
        draft,
        admin,
        purchase_plan_override={
            "fixedFeeRateCards": {"addon.onboarding": {"rateValues": {"EUR": {"rate": "700"}}}}
        },
    )
    page = page.press("save")
    assert line(page, "Rate (EUR)") == ["750.00 (as in the plan)", "700.00", "600.00"]
    (name,) = [name for name in page.types if name.startswith("choice/")]
    page.typed[name] = "mine"
    page.press("resolve")
    assert after(draft).purchase_plan_override["fixedFeeRateCards"]["addon.onboarding"] == {
        "rateValues": {"EUR": {"rate": "600"}}
    }


def test_their_removal_of_a_change_can_be_taken_or_left(client, rep, admin):
    draft = f.draft(
        by=rep,
        purchase_plan_override={
            "fixedFeeRateCards": {"addon.onboarding": {"rateValues": {"EUR": {"rate": "700"}}}}
        },
    )
    page = open_page(client, url(draft)).type(title="Mine")
    saved_by_other(draft, admin, purchase_plan_override=None)
    page.press("save").press("resolve")
    assert (after(draft).title, draft.purchase_plan_override) == ("Mine", None)


def test_another_plan_is_chosen_together_with_its_prices(client, draft, admin):
    """Prices of one plan mean nothing in another, so type, plan, quantities and prices are one choice."""
    other = f.PricePlanFactory(name="Other")
    page = open_page(client, url(draft)).press(f"open:{CALLS}").type(title="Mine")
    page.typed[RATE_1] = "0.1"
    saved_by_other(draft, admin, price_plan=other, quantity=9)
    page = page.press("save")
    assert "choice/quantity" not in page.types
    page.typed["choice/plan"] = "theirs"
    page.press("resolve")
    assert (after(draft).price_plan, draft.quantity, draft.purchase_plan_override) == (other, 9, None)
    assert draft.title == "Mine"


def test_my_plan_against_theirs_takes_my_prices_along(client, draft, admin):
    other = f.PricePlanFactory(name="Other")
    page = open_page(client, url(draft)).press(f"open:{CALLS}")
    page.typed[RATE_1] = "0.1"
    plan = draft.price_plan
    saved_by_other(draft, admin, price_plan=other, quantity=9)
    page = page.press("save")
    page.typed["choice/plan"] = "mine"
    page.press("resolve")
    assert (after(draft).price_plan, draft.quantity) == (plan, 2)
    assert draft.purchase_plan_override["billingEntitlementRateCards"]["feature.calls"]["rateValues"]["EUR"]


def test_another_type_is_chosen_as_a_whole(client, draft, admin):
    page = open_page(client, url(draft)).type(quantity="7")
    saved_by_other(draft, admin, type="WALLET_TOPUP", price_plan=None, quantity=None, wallet_topup_amount=50)
    page = page.press("save")
    page.typed["choice/plan"] = "mine"
    assert page.press("resolve").status_code == 302
    assert (after(draft).type, draft.quantity, draft.wallet_topup_amount) == ("ENTITLEMENT_GRANT", 7, None)


def test_choices_that_do_not_go_together_are_refused_and_asked_again(client, rep, admin):
    """What the rules refuse comes back to the same page; nothing is saved and nothing is lost."""
    draft = f.draft(by=rep)
    page = open_page(client, url(draft)).type(quantity="5")
    saved_by_other(draft, admin, quantity=None, rate_card_quantities={"feature.calls": "2"})
    page = page.press("save")
    assert page.typed.get("choice/quantity") is None
    page.typed["choice/quantity"] = "mine"
    page = page.press("resolve")
    assert page.status == 422
    assert "not both" in page.html
    assert after(draft).quantity is None
    page.typed["choice/quantity"] = "theirs"
    page.press("resolve")
    assert (after(draft).quantity, draft.rate_card_quantities) == (None, {"feature.calls": "2"})


def test_a_submit_of_a_stale_page_submits_nothing(client, draft, admin):
    page = open_page(client, url(draft)).type(title="Mine")
    saved_by_other(draft, admin, title="Theirs")
    assert page.press("submit").status == 409
    assert after(draft).status == "DRAFT"


def test_what_cannot_be_read_is_put_right_before_versions_are_compared(client, draft, admin):
    page = open_page(client, url(draft)).type(quantity="x", title="Mine")
    saved_by_other(draft, admin, title="Theirs")
    page = page.press("save")
    assert (page.status, page.typed["title"]) == (422, "Mine")
    page = page.type(quantity="3").press("save")
    assert page.status == 409
    assert after(draft).title == "Theirs"


def test_a_redrawn_page_still_knows_what_it_was_made_from(client, draft, admin):
    """Opening a card after somebody saved must not make their work look read."""
    page = open_page(client, url(draft)).type(title="Mine")
    saved_by_other(draft, admin, title="Theirs")
    page = page.press(f"open:{CALLS}")
    assert page.typed["version"] == "1"
    assert page.press("save").status == 409


def test_a_card_that_was_closed_on_the_page_is_not_mine(client, draft, admin):
    """What the page did not show I did not change: their price of a closed card is kept."""
    page = open_page(client, url(draft)).type(title="Mine")
    theirs = {"fixedFeeRateCards": {"addon.onboarding": {"rateValues": {"EUR": {"rate": "700"}}}}}
    saved_by_other(draft, admin, purchase_plan_override=theirs)
    page.press("save").press("resolve")
    assert (after(draft).title, draft.purchase_plan_override) == ("Mine", theirs)


def test_every_field_can_differ_and_be_chosen(client, rep, admin):
    """G-07: dates, volumes, payment and account are compared in words, too."""
    plan = f.PricePlanFactory(recurring=True)
    account = f.AccountFactory(owner=rep, name="Lumen")
    draft = f.draft(
        by=rep, price_plan=plan, type="ASSOCIATION", quantity=None, effective_from=date(2030, 3, 1)
    )
    page = open_page(client, url(draft))
    page.typed |= {
        "account": account.togai_id,
        "effective_from": "2030-05-01",
        "payment_mode": "POSTPAID",
        "v/um.messages": "100",
    }
    saved_by_other(draft, admin, effective_from=date(2030, 4, 1), expected_volumes={"um.messages": "900"})
    page = page.press("save")
    assert line(page, "Starts on") == ["1 Mar 2030", "1 Apr 2030", "1 May 2030"]
    assert line(page, "Expected volume") == ["—", "900", "100"]
    assert line(page, "Payment") == ["Prepaid", "Prepaid", "Postpaid"]
    assert line(page, "Account")[2] == f"Lumen ({account.togai_id})"
    for name in ("effective_from", "expected_volumes/o/um.messages"):
        page.typed[f"choice/{name}"] = "mine"
    page.press("resolve")
    assert (after(draft).effective_from, draft.expected_volumes) == (date(2030, 5, 1), {"um.messages": "100"})
    assert (draft.account, draft.payment_mode) == (account, "POSTPAID")


def test_a_draft_that_was_submitted_meanwhile_is_a_page_that_says_so(client, draft):
    page = open_page(client, url(draft)).type(title="Mine")
    services.submit(proposal_id=draft.pk, by=draft.owner, at=f.NOON)
    assert page.press("save").status == 409
    assert after(draft).title == "First"


def test_a_draft_that_was_handed_over_meanwhile_is_gone_for_its_old_owner(client, draft, admin):
    page = open_page(client, url(draft)).type(title="Mine")
    drafts.hand_over(Proposal, pk=draft.pk, to=f.rep(), by=admin, at=f.NOON)
    assert page.press("save").status == 404
    assert after(draft).title == "First"


def test_a_hand_over_is_named_and_what_was_typed_can_be_saved(client, draft, admin):
    """G-07: what moved the version on without touching the terms is said, too."""
    client.force_login(f.administrator())
    page = open_page(client, url(draft)).type(title="Mine")
    drafts.hand_over(Proposal, pk=draft.pk, to=f.rep(), by=admin, at=f.NOON)
    page = page.press("save")
    assert page.status == 409
    assert "gave it to another owner" in page.html
    page.press("resolve")
    assert after(draft).title == "Mine"


def test_purchases_compare_versions_the_same_way(client, rep, admin):
    """G-07: the same page for both kinds of deal."""
    draft = f.purchase_draft(by=rep, title="First")
    page = open_page(client, f"/purchases/{draft.reference}/edit/").type(title="Mine")
    purchase_services.edit(purchase_id=draft.pk, by=admin, at=f.NOON, fields={"title": "Theirs"}, version=1)
    page = page.press("save")
    assert line(page, "Title") == ["First", "Theirs", "Mine"]
    page.typed["choice/title"] = "mine"
    page.press("resolve")
    draft.refresh_from_db()
    assert (draft.title, draft.version) == ("Mine", 3)


def test_the_record_keeps_both_saves(client, draft, admin):
    page = open_page(client, url(draft)).type(title="Mine")
    saved_by_other(draft, admin, title="Theirs")
    page = page.press("save")
    page.typed["choice/title"] = "mine"
    page.press("resolve")
    edits = Event.objects.about(draft).filter(verb="edit").order_by("seq")
    assert [(event.actor_id, event.after["title"]) for event in edits] == [
        (admin.pk, "Theirs"),
        (draft.owner_id, "Mine"),
    ]
