"""The page where a deal is drafted, as a browser without JavaScript sees it."""

import itertools
import re
import uuid
from datetime import date, timedelta
from unittest.mock import patch

import pytest
from django.utils import timezone

from accounts.models import Account
from audit.models import Event
from audit.roles import Role
from proposals import services
from proposals.models import Proposal
from purchases import drafts
from purchases.models import Purchase
from purchases.terms import RULES, Need, PurchaseType
from tests import factories as f
from tests.purchases.browserless import open_page
from togai import gateway
from togai.models import Delivery, Link

pytestmark = pytest.mark.django_db

CALLS = "billingEntitlementRateCards/feature.calls"
RATE_1 = f"o/{CALLS}/rateValues/EUR/slabRates/1/rate"
RATE_2 = f"o/{CALLS}/rateValues/EUR/slabRates/2/rate"
CHEAPER = {
    "billingEntitlementRateCards": {
        "feature.calls": {"rateValues": {"EUR": {"slabRates": {"2": {"rate": "0.12"}}}}}
    }
}
BOTH = pytest.mark.parametrize("desk", ["proposals", "purchases"])


@pytest.fixture
def rep(client):
    rep = f.rep()
    client.force_login(rep)
    return rep


@pytest.fixture
def account(rep):
    return f.AccountFactory(owner=rep)


@pytest.fixture
def togai_is_never_called(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("A draft called Togai.")

    monkeypatch.setattr(gateway.Gateway, "__init__", fail)
    monkeypatch.setattr("requests.Session.send", fail)


def new_page(client, account, desk="proposals"):
    return open_page(client, f"/{desk}/new/?account={account.togai_id}")


def edit_page(client, deal):
    return open_page(client, edit_url(deal))


def edit_url(deal):
    return f"/{'proposals' if isinstance(deal, Proposal) else 'purchases'}/{deal.reference}/edit/"


def soon(days=40):
    return (timezone.now() + timedelta(days=days)).date().isoformat()


def a_draft(desk, **fields):
    return f.draft(**fields) if desk == "proposals" else f.purchase_draft(**fields)


# --- Choosing the account ---


@BOTH
def test_a_new_deal_starts_with_its_account(client, account, desk):
    page = open_page(client, f"/{desk}/new/?q={account.name}")
    assert f"?account={account.togai_id}" in page.html
    assert "<select" not in page.html
    chosen = new_page(client, account, desk)
    assert chosen.typed["account"] == account.togai_id


def test_accounts_of_others_are_neither_found_nor_taken(client, account):
    """S-07, G-62: what somebody may not see is not suggested, not found and not there."""
    other = f.AccountFactory(name="Harbor of somebody else", owner=f.rep())
    found = open_page(client, "/proposals/new/?q=harbor")
    assert account.name in found.html
    assert other.name not in found.html
    assert client.get(f"/proposals/new/?account={other.togai_id}").status_code == 404
    page = new_page(client, account).type(account=other.togai_id).press("save")
    assert (page.status, page.error_at("account")) == (422, "This is not one of your accounts.")
    assert Proposal.objects.count() == 0


def test_an_endless_search_is_refused(client, rep):
    assert client.get("/proposals/new/?q=" + "x" * 201).status_code == 400


def test_the_account_can_be_changed_and_nothing_typed_is_lost(client, rep, account):
    other = f.AccountFactory(name="Lumen Foods", owner=rep)
    page = new_page(client, account).type(title="For Lumen", q="lumen").press("update")
    assert other.name in page.html
    page.typed["account_pick"] = other.togai_id
    page = page.press("update")
    assert (page.typed["account"], page.typed["title"]) == (other.togai_id, "For Lumen")
    page.press("save")
    assert Proposal.objects.get().account == other


def test_a_search_that_nobody_finished_is_not_saved_over(client, account):
    f.AccountFactory(name="Lumen Foods", owner=account.owner)
    page = new_page(client, account).type(q="lumen").press("save")
    assert page.status == 422
    assert "Lumen Foods" in page.html
    assert Proposal.objects.count() == 0


# --- Drafts ---


@BOTH
def test_a_draft_saves_with_any_subset_and_calls_nobody(client, account, togai_is_never_called, desk):
    """G-01: any subset of fields is a draft, and saving one makes no call and queues none."""
    plan = f.PricePlanFactory()
    whole = {
        "type": "ENTITLEMENT_GRANT",
        "price_plan": str(plan.pk),
        "quantity": "3",
        "valid_until": soon(),
        "title": "A title",
        "internal_note": "One\r\ntwo",
    }
    if desk == "proposals":
        whole["payment_mode"] = "POSTPAID"
    model = Proposal if desk == "proposals" else Purchase
    subsets = [names for size in (0, 1, 2, len(whole)) for names in itertools.combinations(whole, size)]
    for count, names in enumerate(subsets, start=1):
        page = new_page(client, account, desk)
        page.typed |= {name: whole[name] for name in names}
        answer = page.press("save")
        if "type" not in names and {"price_plan", "quantity", "valid_until"} & set(names):
            # What no page offers before the type is chosen is set aside and said so.
            assert answer.status == 422
            answer = answer.press("save")
        assert answer.status_code == 302, names
        deal = model.objects.latest("pk")
        assert model.objects.count() == count
        if "type" in names:
            assert deal.price_plan == (plan if "price_plan" in names else None)
            assert deal.quantity == (3 if "quantity" in names else None)
        assert deal.internal_note == ("One\ntwo" if "internal_note" in names else "")
    assert Delivery.objects.count() == 0


def test_an_edit_and_an_estimate_call_nobody(client, rep, togai_is_never_called):
    """G-01: neither does editing a draft, nor looking at what it costs."""
    draft = f.draft(by=rep)
    page = edit_page(client, draft).type(quantity="9")
    assert client.post("/proposals/estimate/?deal=" + draft.reference, page.typed).status_code == 200
    page.press("save")
    draft.refresh_from_db()
    assert (draft.quantity, Delivery.objects.count()) == (9, 0)


@BOTH
def test_saving_a_page_untouched_changes_nothing(client, rep, desk):
    """G-02: form → terms → form is identical, so nothing is recorded either."""
    draft = a_draft(
        desk,
        by=rep,
        purchase_plan_override=CHEAPER,
        valid_until=date(2030, 2, 1),
        title="T",
        internal_note="a\nb",
        rate_card_quantities=None,
    )
    before = drafts.plain(draft)
    events = Event.objects.about(draft).count()
    assert edit_page(client, draft).press("save").status_code == 302
    draft.refresh_from_db()
    assert (drafts.plain(draft), draft.version) == (before, 1)
    assert Event.objects.about(draft).count() == events


def test_every_kind_of_terms_survives_its_own_page(client, rep):
    """G-02: an association with overrides of each kind, volumes and dates comes back as it was."""
    plan = f.PricePlanFactory(recurring=True)
    draft = f.draft(
        by=rep,
        price_plan=plan,
        type="ASSOCIATION",
        quantity=None,
        effective_from=date(2030, 3, 1),
        effective_until=date(2031, 3, 1),
        expected_volumes={"um.messages": "12000.5"},
        association_override={
            "usageRateCards": {
                "um.messages": {
                    "rateValues": {
                        "USD": {"slabRates": {"1": {"rate": "0.02"}}, "rateConfig": {"minimumRate": "5"}}
                    }
                }
            },
            "fixedFeeRateCards": {
                "addon.platform": {"rateValues": {"EUR": {"rate": "450"}}, "invoiceTiming": "IN_ARREARS"}
            },
            "pricingCycleConfig": {"gracePeriod": 9},
            "supportedCurrencies": ["EUR"],
        },
    )
    before = drafts.plain(draft)
    edit_page(client, draft).press("save")
    draft.refresh_from_db()
    assert (drafts.plain(draft), draft.version) == (before, 1)


def test_what_goes_beyond_an_allowance_is_asked_for_by_its_own_name(client, rep):
    """G-14: a feature that one card grants and another one meters has an expected use."""
    beyond = f.MESSAGES | {"featureId": "feature.calls", "displayName": "Calls beyond the allowance"}
    del beyond["usageMeterId"]
    plan = f.PricePlanFactory(
        recurring=True,
        cards=[
            ("billingEntitlementRateCards", "feature.calls", f.API_CALLS),
            ("entitlementOverageRateCards", "feature.calls", beyond),
        ],
    )
    draft = f.draft(
        by=rep, price_plan=plan, type="ASSOCIATION", quantity=None, effective_from=date(2030, 3, 1)
    )
    page = edit_page(client, draft)
    assert re.search(r"Calls beyond the allowance.{0,400}v/feature.calls", page.html, re.DOTALL)
    page.typed["v/feature.calls"] = "300"
    page.press("save")
    draft.refresh_from_db()
    assert draft.expected_volumes == {"feature.calls": "300"}
    assert "not in the plan any more" not in edit_page(client, draft).html


def test_only_the_difference_is_stored_and_reverting_removes_it(client, rep):
    """G-02: a changed cell is one key; the plan's value typed again is none."""
    draft = f.draft(by=rep)
    page = edit_page(client, draft).press(f"open:{CALLS}")
    assert page.typed[RATE_2] == "0.15"
    page.typed[RATE_2] = "0.12"
    page.press("save")
    draft.refresh_from_db()
    assert draft.purchase_plan_override == CHEAPER
    page = edit_page(client, draft)
    page.typed[RATE_2] = "0.1500"
    page.press("save")
    draft.refresh_from_db()
    assert draft.purchase_plan_override is None


def test_a_changed_price_shows_the_plans_beside_it_and_a_way_back(client, rep):
    """G-08: plan value, new value and reset, in words and not by colour alone."""
    draft = f.draft(by=rep, purchase_plan_override=CHEAPER)
    page = edit_page(client, draft)
    note = re.search(rf'id="id_{re.escape(RATE_2)}_plan">(.*?)</div>', page.html, re.S)[1]
    assert "changed" in note
    assert "plan: 0.15" in note
    page = page.press(f"reset:{RATE_2}")
    assert page.typed[RATE_2] == "0.15"
    page.press("save")
    draft.refresh_from_db()
    assert draft.purchase_plan_override is None


def test_slabs_are_added_and_removed_without_javascript(client, rep):
    """G-09: the buttons are plain submits; what was typed elsewhere stays."""
    draft = f.draft(by=rep)
    page = edit_page(client, draft).press(f"open:{CALLS}").type(title="Still here").press(f"add_slab:{CALLS}")
    page.typed |= {
        f"o/{CALLS}/ratePlan/slabs/3/startAfter": "5000",
        f"o/{CALLS}/rateValues/EUR/slabRates/3/rate": "0.1",
    }
    page = page.press(f"remove_slab:{CALLS}#2")
    assert page.typed["title"] == "Still here"
    page.press("save")
    draft.refresh_from_db()
    card = draft.purchase_plan_override["billingEntitlementRateCards"]["feature.calls"]
    assert card == {
        "ratePlan": {"slabs": {"2": {"startAfter": "5000"}}},
        "rateValues": {"EUR": {"slabRates": {"2": {"rate": "0.1"}}}},
    }


def test_what_is_pressed_twice_is_drafted_once(client, account):
    """Hostile input 56: a double click, the back button or a replay make one draft."""
    page = new_page(client, account).type(title="Once")
    first, second = page.press("save"), page.press("save")
    assert first.url == second.url
    assert Proposal.objects.count() == 1
    # Back, typed on, pressed again: the same draft takes it.
    page.type(title="Once more").press("save")
    draft = Proposal.objects.get()
    assert (draft.title, draft.version) == ("Once more", 2)
    again = new_page(client, account).press("save")
    assert again.url != first.url


def test_the_token_of_somebody_else_makes_a_draft_of_ones_own(client, account):
    page = new_page(client, account)
    page.press("save")
    other = f.rep()
    f.AccountFactory(owner=other)
    client.force_login(other)
    mine = new_page(client, Account.objects.get(owner=other))
    mine.typed["form_token"] = page.typed["form_token"]
    mine.press("save")
    assert Proposal.objects.filter(owner=other).count() == 1


@pytest.mark.parametrize("token", ["", "x", "9" * 40])
def test_a_form_without_its_token_is_refused(client, account, token):
    page = new_page(client, account)
    page.typed["form_token"] = token
    assert page.press("save").status == 400


# --- Types and their fields ---

SHOWN = {
    "price_plan": "price_plan",
    "quantity": "quantity",
    "wallet_topup_amount": "wallet_topup_amount",
    "wallet_purchase_amount": "wallet_purchase_amount",
    "effective_from": "effective_from",
    "effective_until": "effective_until",
    "valid_until": "valid_until",
}


@BOTH
@pytest.mark.parametrize("kind", PurchaseType)
def test_the_form_shows_only_what_the_type_may_have(client, account, desk, kind):
    """G-04: the fields of a page are those of `RULES`, and a payment mode on proposals alone."""
    f.PricePlanFactory()
    f.PricePlanFactory(recurring=True)
    page = new_page(client, account, desk).type(type=kind.value).press("update")
    for rule, name in SHOWN.items():
        assert (name in page.types) == (RULES[kind][rule] is not Need.FORBIDDEN), name
    assert ("payment_mode" in page.types) == (desk == "proposals")


ILLEGAL = [
    (kind.value, name) for kind in PurchaseType for name in SHOWN if RULES[kind][name] is Need.FORBIDDEN
]


@pytest.mark.parametrize(("kind", "name"), ILLEGAL)
def test_the_form_refuses_what_the_type_may_not_have(client, account, kind, name):
    """G-04: an illegal pair is refused, and what was typed is set aside, not lost."""
    plan = f.PricePlanFactory()
    text = {
        "price_plan": str(plan.pk),
        "quantity": "2",
        "wallet_topup_amount": "10",
        "wallet_purchase_amount": "9",
    }.get(name, "2030-05-01")
    page = new_page(client, account)
    page.typed |= {"type": kind, name: text}
    page = page.press("save")
    assert page.status == 422
    assert "set aside" in page.error_at("type")
    assert text in page.typed.values()
    assert Proposal.objects.count() == 0
    assert page.press("save").status_code == 302


def test_a_billing_plan_is_not_sold_as_a_grant(client, account):
    """G-04: a plan of the other kind is no choice."""
    billing = f.PricePlanFactory(recurring=True)
    page = new_page(client, account).type(type="ENTITLEMENT_GRANT").press("update")
    page.typed["price_plan"] = str(billing.pk)
    page = page.press("save")
    assert (page.status, Proposal.objects.count()) == (422, 0)
    assert "not one of the available choices" in page.error_at("price_plan")


def test_another_type_and_back_loses_nothing(client, account):
    """Nothing typed is lost: what a type does not have comes back with the type that has it."""
    plan = f.PricePlanFactory()
    page = new_page(client, account).type(type="ENTITLEMENT_GRANT").press("update")
    page = page.type(price_plan=str(plan.pk), quantity="7", title="T").press("update").press(f"open:{CALLS}")
    page.typed[RATE_1] = "0.19"
    page = page.type(type="WALLET_TOPUP").press("update").type(wallet_topup_amount="50")
    assert RATE_1 not in page.typed
    page = page.type(type="ASSOCIATION").press("update")
    page = page.type(type="ENTITLEMENT_GRANT").press("update")
    assert (page.typed["price_plan"], page.typed["quantity"]) == (str(plan.pk), "7")
    assert (page.typed[RATE_1], page.typed["title"]) == ("0.19", "T")
    page = page.type(type="WALLET_TOPUP").press("update")
    assert page.typed["wallet_topup_amount"] == "50"


def test_changed_prices_of_another_plan_are_set_aside_with_a_word(client, rep):
    """Nothing typed is lost: the prices of a plan come back with it."""
    draft = f.draft(by=rep, purchase_plan_override=CHEAPER)
    other = f.PricePlanFactory(name="Other plan")
    page = edit_page(client, draft)
    page.typed["price_plan"] = str(other.pk)
    page = page.press("save")
    assert page.status == 422
    assert draft.price_plan.name in page.error_at("price_plan")
    back = page.type(price_plan=str(draft.price_plan_id)).press("update")
    assert back.typed[RATE_2] == "0.12"
    page.typed["price_plan"] = str(other.pk)
    assert page.press("save").status_code == 302
    draft.refresh_from_db()
    assert (draft.price_plan, draft.purchase_plan_override) == (other, None)


def test_a_draft_keeps_its_version_of_the_plan_and_says_that_there_is_a_newer(client, rep):
    """G-15: the version is pinned, a newer one is named, and changed prices move over with a choice."""
    old = f.PricePlanFactory(is_latest=False, togai_id="pp.pack", name="Pack")
    draft = f.draft(by=rep, price_plan=old, purchase_plan_override=CHEAPER)
    newer = f.PricePlanFactory(togai_id="pp.pack", version=2, name="Pack")
    page = edit_page(client, draft)
    assert "Pack has a version 2" in page.html
    assert page.typed["price_plan"] == str(old.pk)
    page = page.type(price_plan=str(newer.pk)).press("update")
    assert "Pack has a version 2" not in page.html
    assert page.typed[RATE_2] == "0.12"
    page.press("save")
    draft.refresh_from_db()
    assert (draft.price_plan, draft.purchase_plan_override) == (newer, CHEAPER)


def test_an_older_version_is_offered_only_to_the_draft_that_has_it(client, account):
    f.PricePlanFactory(is_latest=False, togai_id="pp.pack", name="Pack old")
    f.PricePlanFactory(status="DRAFT", name="Not yet sold")
    page = new_page(client, account).type(type="ENTITLEMENT_GRANT").press("update")
    assert "Pack old" not in page.html
    assert "Not yet sold" not in page.html


def test_prepaid_as_a_type_comes_with_a_warning(client, account):
    """G-04: the type without documented rules is an advanced choice that says so."""
    assert "Togai documents no rules for this type" in new_page(client, account).html


def test_the_page_says_why_a_start_lies_after_the_validity(client, account):
    f.PricePlanFactory(recurring=True)
    page = new_page(client, account).type(type="ASSOCIATION").press("update")
    assert "until then the customer may still accept" in page.html
    assert "30 days from the day you submit" in page.html


# --- Errors ---

HOSTILE = ["1e3", "0x10", "٣", "1_000", "NaN", "Infinity", "1,5", "1 000", "-0", "9" * 5000, "½", "\x00"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_numbers_are_refused_where_they_stand_and_kept(client, rep, text):
    """Hostile inputs 32 to 35, in every kind of field; nothing is saved, nothing typed is lost."""
    plan = f.PricePlanFactory(recurring=True)
    draft = f.draft(
        by=rep, price_plan=plan, type="ASSOCIATION", quantity=None, effective_from=date(2030, 3, 1)
    )
    card = "fixedFeeRateCards/addon.platform"
    page = edit_page(client, draft).press(f"open:{card}").press("open:pricingCycleConfig")
    names = [f"o/{card}/rateValues/EUR/rate", "o/pricingCycleConfig/gracePeriod", "v/um.messages"]
    page.typed |= dict.fromkeys(names, text)
    page = page.type(title="Kept").press("save")
    assert page.status == 422
    for name in names:
        assert page.error_at(name), name
        if text != "\x00":
            assert page.typed[name] == text
    assert page.typed["title"] == "Kept"
    draft.refresh_from_db()
    assert (draft.version, draft.association_override) == (1, None)


@pytest.mark.parametrize("text", [*HOSTILE, "1.5", "-1", "0", str(2**31)])
def test_hostile_quantities_are_refused(client, rep, text):
    """Hostile inputs 31 to 33: quantities are whole, above 0 and below 2 to the power of 31."""
    draft = f.draft(by=rep)
    page = edit_page(client, draft).type(quantity=text).press("save")
    assert page.status == 422
    assert page.error_at("quantity")
    draft.refresh_from_db()
    assert draft.quantity == 2


@pytest.mark.parametrize("text", [*HOSTILE, "-1", "0", "0.1234", "1234567890123"])
def test_hostile_amounts_are_refused(client, account, text):
    """Hostile inputs 34 to 36: an amount that the database would round or refuse is refused before it."""
    page = (
        new_page(client, account)
        .type(type="WALLET_TOPUP")
        .press("update")
        .type(wallet_topup_amount=text)
        .press("save")
    )
    assert page.status == 422
    assert page.error_at("wallet_topup_amount")


@pytest.mark.parametrize(
    "text",
    [
        "2030-02-30",
        "0000-01-01",
        "9999-01-01",
        "1999-12-31",
        "20300101",
        "2030-W01-1",
        "٢٠٣٠-٠١-٠١",
        "1.2.2030",
        "\x00",
    ],
)
def test_days_that_no_deal_may_name_are_refused(client, rep, text):
    """Hostile input 37: impossible, distant and foreign dates are refused at their field."""
    page = edit_page(client, f.draft(by=rep)).type(valid_until=text).press("save")
    assert page.status == 422
    assert page.error_at("valid_until")


@pytest.mark.parametrize("text", [" 5 ", "5", "\t5"])
def test_spaces_around_a_number_do_not_count(client, rep, text):
    draft = f.draft(by=rep)
    edit_page(client, draft).type(quantity=text).press("save")
    draft.refresh_from_db()
    assert draft.quantity == 5


def test_every_error_is_linked_and_the_first_has_the_focus(client, rep):
    draft = f.draft(by=rep)
    page = edit_page(client, draft).press(f"open:{CALLS}")
    page.typed |= {"quantity": "x", RATE_1: "1e3", RATE_2: "1,5"}
    page = page.press("save")
    for name in ("quantity", RATE_1, RATE_2):
        assert f'href="#id_{name}"' in page.html
        assert re.search(rf'id="id_{re.escape(name)}"', page.html)
    field = re.search(r'<input[^>]*id="id_quantity"[^>]*>', page.html)[0]
    assert "autofocus" in field
    assert 'aria-invalid="true"' in field
    assert "id_quantity_error" in field


def test_a_rule_broken_inside_a_card_is_said_at_its_cell(client, rep):
    """G-09: a slab that starts before the one above it is named where it stands, when it is submitted."""
    draft = f.draft(by=rep)
    page = edit_page(client, draft).press(f"open:{CALLS}").press(f"add_slab:{CALLS}")
    start, new_rate = f"o/{CALLS}/ratePlan/slabs/3/startAfter", f"o/{CALLS}/rateValues/USD/slabRates/3/rate"
    page.typed |= {start: "500", new_rate: ""}
    page = page.press("submit")
    assert page.status == 422
    assert "enter more than 1000" in page.error_at(start)
    assert "Slab 3 has no rate in USD" in page.error_at(new_rate)


# --- Submitting ---


@BOTH
def test_a_complete_deal_is_saved_and_submitted_in_one_press(client, rep, desk):
    draft = a_draft(desk, by=rep)
    answer = edit_page(client, draft).type(quantity="4").press("submit")
    draft.refresh_from_db()
    assert answer.url == draft.get_absolute_url()
    assert (draft.status, draft.quantity) == ("SUBMITTED", 4)


@BOTH
def test_an_incomplete_deal_is_saved_all_the_same_and_says_what_lacks(client, account, desk):
    """A refused submit keeps the saved draft, and its errors stand at their fields."""
    page = (
        new_page(client, account, desk).type(type="ASSOCIATION", title="Half").press("update").press("submit")
    )
    deal = (Proposal if desk == "proposals" else Purchase).objects.get()
    assert (page.status, deal.status, deal.title) == (422, "DRAFT", "Half")
    assert f"{deal.reference} is saved, but cannot be submitted yet" in page.html
    assert page.error_at("price_plan")
    assert page.error_at("effective_from")
    # The page goes on with the draft that it has made.
    assert page.action == edit_url(deal)
    page.type(title="Half, again").press("save")
    deal.refresh_from_db()
    assert (deal.title, deal.version) == ("Half, again", 2)


def test_a_start_inside_the_validity_is_refused_with_the_reason(client, rep):
    plan = f.PricePlanFactory(recurring=True)
    draft = f.draft(by=rep, price_plan=plan, type="ASSOCIATION", quantity=None)
    page = edit_page(client, draft).type(effective_from=soon(5), valid_until=soon(10)).press("submit")
    assert page.status == 422
    assert "the last day of the validity" in page.error_at("effective_from")


def test_an_administrator_edits_a_draft_but_does_not_submit_it(client, rep):
    draft = f.draft(by=rep)
    client.force_login(f.administrator())
    page = edit_page(client, draft)
    assert "submit" not in page.buttons
    page.type(quantity="8").press("save")
    draft.refresh_from_db()
    assert draft.quantity == 8


# --- Who may ---


def test_a_draft_of_others_is_not_there(client, rep):
    """S-01: someone else's draft is a 404, on every door of the editor."""
    draft = f.draft()
    assert client.get(edit_url(draft)).status_code == 404
    assert client.post(edit_url(draft), {"version": "1"}).status_code == 404
    assert client.post(f"/proposals/estimate/?deal={draft.reference}", {}).status_code == 404


@BOTH
def test_finance_reads_drafts_and_does_not_write_them(client, desk):
    """S-01: lacking the function is a 403."""
    draft = a_draft(desk)
    client.force_login(f.finance())
    assert client.get(edit_url(draft)).status_code == 403
    assert client.post(edit_url(draft), {"version": "1", "title": "Mine"}).status_code == 403


@BOTH
def test_an_auditor_drafts_nothing(client, desk):
    client.force_login(f.person(Role.AUDITOR))
    assert client.get(f"/{desk}/new/").status_code == 403
    assert client.post(f"/{desk}/new/", {}).status_code == 403
    assert client.post(f"/{desk}/estimate/", {}).status_code == 403


def test_what_is_submitted_is_not_edited(client, rep):
    """S-01: right person, wrong state is a 409 page, and nothing changes."""
    proposal = f.submitted(by=rep)
    for answer in (
        client.get(edit_url(proposal)),
        client.post(edit_url(proposal), {"version": "1", "quantity": "9"}),
    ):
        assert answer.status_code == 409
        assert "can no longer be edited" in answer.content.decode()
    proposal.refresh_from_db()
    assert proposal.quantity == 2


GUESSED = [
    "status",
    "author",
    "owner",
    "created_by",
    "decided_by",
    "decided_at",
    "submitted_by",
    "released_by",
    "remote_id",
    "togai_id",
    "togai_status",
    "togai_price",
    "idempotency_key",
    "revision",
    "number",
    "is_live",
    "content_hash",
    "is_staff",
    "currency",
    "estimate",
    "purchase_plan_override",
    "association_override",
    "rate_card_quantities",
    "expected_volumes",
]


@pytest.mark.parametrize("name", GUESSED)
def test_a_field_that_the_form_does_not_have_is_refused(client, rep, name):
    """S-06: guessed names are refused by name, and the row stays as it is."""
    draft = f.draft(by=rep)
    before = drafts.plain(draft)
    page = edit_page(client, draft).type(title="New")
    page.typed[name] = "1"
    page = page.press("save")
    assert page.status == 422
    assert f"no field “{name}”" in page.html
    draft.refresh_from_db()
    assert (drafts.plain(draft), draft.version) == (before, 1)


def test_a_cell_that_the_plan_does_not_have_is_refused(client, rep):
    """S-06: prices are taken only for the cells of the page."""
    page = edit_page(client, f.draft(by=rep))
    page.typed[f"o/{CALLS}/invoiceTiming"] = "IN_ARREARS"
    assert page.press("save").status == 422


def test_a_field_that_is_sent_twice_is_refused(client, rep):
    """S-06: repeated parameters are nobody's typing."""
    draft = f.draft(by=rep)
    page = edit_page(client, draft)
    answer = client.post(edit_url(draft), page.typed | {"quantity": ["2", "9"]})
    assert answer.status_code == 422
    assert "sent more than once" in answer.content.decode()


@pytest.mark.parametrize("version", ["", "0", "-1", "x", "٣", "99", "9" * 400])
def test_a_version_that_never_was_is_refused(client, rep, version):
    draft = f.draft(by=rep)
    page = edit_page(client, draft)
    page.typed["version"] = version
    assert page.press("save").status == 400


def test_markup_in_what_people_type_stays_text(client, rep):
    """Hostile input 48: nothing typed becomes markup or template code."""
    evil = '<script>alert(1)</script>{{ 7|add:7 }}"><img onerror=x>'
    draft = f.draft(by=rep, title=evil[:60])
    page = edit_page(client, draft).type(internal_note=evil, quantity=evil).press("save")
    assert "<script>alert" not in page.html
    assert "<img onerror" not in page.html
    assert page.typed["internal_note"] == evil


# --- The estimate ---


def test_the_estimate_follows_what_is_typed_and_saves_nothing(client, rep):
    draft = f.draft(by=rep)
    page = edit_page(client, draft).type(quantity="3")
    answer = client.post(f"/proposals/estimate/?deal={draft.reference}", page.typed)
    # 3 × 1000 credits = 1000 × 0.20 + 2000 × 0.15, and 3 × 750 for the onboarding.
    assert "2,750.00" in answer.content.decode()
    draft.refresh_from_db()
    assert (draft.quantity, draft.version) == (2, 1)


def test_the_page_itself_shows_the_estimate_and_the_list_price(client, rep):
    page = edit_page(client, f.draft(by=rep, purchase_plan_override=CHEAPER))
    assert "1,820.00" in page.html
    assert "1,850.00" in page.html
    assert "Estimate" in page.html


def test_what_is_not_known_is_unknown_with_the_reason_and_never_zero(client, rep):
    plan = f.PricePlanFactory(recurring=True)
    draft = f.draft(
        by=rep, price_plan=plan, type="ASSOCIATION", quantity=None, effective_from=date(2030, 3, 1)
    )
    html = edit_page(client, draft).html
    assert "No expected volume yet" in html
    assert '<span class="unknown">unknown</span>' in html


def test_a_price_that_cannot_be_read_is_not_estimated_with_the_old_one(client, rep):
    draft = f.draft(by=rep)
    page = edit_page(client, draft).type(quantity="x")
    html = client.post(f"/proposals/estimate/?deal={draft.reference}", page.typed).content.decode()
    assert "1,850.00" not in html
    assert "No quantity yet" in html


def test_an_estimate_is_asked_for_by_post_alone(client, rep):
    assert client.get("/proposals/estimate/").status_code == 405


@pytest.mark.parametrize("reference", ["P-1", "P-0000001", "x", "P-٠٠٠٠٠١", "P-" + "9" * 30, ""])
def test_an_estimate_for_a_deal_that_never_was_is_not_there(client, rep, reference):
    f.draft(by=rep)
    assert client.post("/proposals/estimate/", {}, query_params={"deal": reference}).status_code == 404


# --- What a page costs ---

QUERIES = {"choose": 5, "edit": 8, "update": 8, "estimate": 8}


@pytest.mark.parametrize("many", [5, 50])
def test_the_queries_of_a_page_do_not_grow(client, account, many, django_assert_num_queries):
    """Constant per page: with plans, with accounts and with cards."""
    cards = [("fixedFeeRateCards", f"addon.{n}", f.ONBOARDING | {"id": f"addon.{n}"}) for n in range(many)]
    plan = f.PricePlanFactory(cards=cards)
    for _ in range(many):
        f.PricePlanFactory(cards=[])
        f.AccountFactory(owner=account.owner)
    draft = f.draft(by=account.owner, account=account, price_plan=plan)
    # As it is once a worker has called Togai.
    Link.objects.create()
    client.get("/proposals/new/")
    with django_assert_num_queries(QUERIES["choose"]):
        client.get("/proposals/new/")
    with django_assert_num_queries(QUERIES["edit"]):
        page = edit_page(client, draft)
    with django_assert_num_queries(QUERIES["update"]):
        client.post(edit_url(draft), page.typed | {"do": "update"}, headers={"HX-Request": "true"})
    with django_assert_num_queries(QUERIES["estimate"]):
        client.post(f"/proposals/estimate/?deal={draft.reference}", page.typed)


def test_htmx_gets_only_the_part_that_changes(client, rep):
    draft = f.draft(by=rep)
    page = edit_page(client, draft)
    part = client.post(
        edit_url(draft), page.typed | {"do": f"open:{CALLS}"}, headers={"HX-Request": "true"}
    ).content.decode()
    assert part.lstrip().startswith("<div")
    assert "<html" not in part
    assert f'name="{RATE_1}"' in part


@pytest.mark.parametrize("path", ["new", "filled", "edit", "refused", "conflict"])
def test_no_page_needs_inline_style_or_script(client, rep, account, path):
    """S-11: no style attribute, no inline script, no on… handler, nothing from elsewhere."""
    draft = f.draft(by=rep, purchase_plan_override=CHEAPER)
    if path == "new":
        html = client.get("/proposals/new/").content.decode()
    elif path == "filled":
        html = new_page(client, account).html
    elif path == "edit":
        html = edit_page(client, draft).html
    elif path == "refused":
        html = edit_page(client, draft).type(quantity="x").press("save").html
    else:
        page = edit_page(client, draft).type(quantity="8")
        edit_page(client, draft).type(quantity="9").press("save")
        html = page.press("save").html
    assert not re.search(r"<[^>]+\s(style|on[a-z]+)\s*=", html)
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert not re.search(r'(src|href|action)="(https?:)?//', html)


def test_one_press_that_arrives_twice_at_once_makes_one_draft(rep, account):
    """Hostile input 56: also when both have looked before either has saved."""
    fields, token = {"account": account, "title": "Once"}, uuid.uuid4()
    first = services.create(by=rep, at=f.NOON, fields=fields, form_token=token)
    # The second press has looked before the first has saved.
    with (
        patch.object(drafts, "drafted_on", side_effect=[None, first]),
        pytest.raises(drafts.AlreadyDrafted) as again,
    ):
        services.create(by=rep, at=f.NOON, fields=fields, form_token=token)
    assert again.value.deal == first
    assert Proposal.objects.count() == 1


def test_a_type_without_a_plan_drops_what_a_program_left_behind(client, account):
    """A draft of the API may hold quantities without a plan; its type can be changed here all the same."""
    draft = f.draft(
        by=account.owner,
        account=account,
        price_plan=None,
        quantity=None,
        rate_card_quantities={"feature.x": "2"},
    )
    page = edit_page(client, draft).type(type="WALLET_TOPUP").press("update").type(wallet_topup_amount="5")
    assert page.press("save").status_code == 302
    draft.refresh_from_db()
    assert (draft.type, draft.rate_card_quantities) == ("WALLET_TOPUP", None)
