"""Cards that come and go on the editor's page, as a browser without JavaScript sees it."""

import re
from datetime import date

import pytest

from purchases.overrides import touched
from tests import factories as f
from tests.purchases.browserless import open_page

pytestmark = pytest.mark.django_db

FEE = "fixedFeeRateCards/addon.platform"
USAGE = "usageRateCards/um.messages"
NEW = "usageRateCards/um.sms"


@pytest.fixture
def rep(client):
    rep = f.rep()
    client.force_login(rep)
    return rep


@pytest.fixture
def recurring(rep):
    """A draft of a billing plan with a fee, a setup fee and usage."""
    cards = [*f.DEFAULT_CARDS["BILLING"], ("fixedFeeRateCards", "addon.onboarding", f.ONBOARDING)]
    plan = f.PricePlanFactory(recurring=True, cards=cards)
    return f.draft(
        by=rep, price_plan=plan, type="ASSOCIATION", quantity=None, effective_from=date(2030, 3, 1)
    )


def page_of(client, deal):
    return open_page(client, f"/proposals/{deal.reference}/edit/")


def add(page, kind, billable_id):
    page.typed["add/kind"] = kind
    page = page.press("update")
    page.typed["add/id"] = billable_id
    return page.press("add_card:here")


def saved(page, deal):
    answer = page.press("save")
    assert answer.status_code == 302, answer.errors
    deal.refresh_from_db()
    return deal.association_override


def test_a_card_is_added_priced_and_saved_without_javascript(client, recurring):
    """G-08: kind and id, then its price; expected use is asked for at once."""
    page = add(page_of(client, recurring), "usageRateCards", "um.sms")
    assert "v/um.sms" in page.types
    page.typed[f"o/{NEW}/rateValues/EUR/slabRates/1/rate"] = "0.08"
    page.typed["v/um.sms"] = "500"
    card = saved(page, recurring)["usageRateCards"]["um.sms"]
    assert card["rateValues"] == {"EUR": {"slabRates": {"1": {"rate": "0.08"}}}}
    assert recurring.expected_volumes == {"um.sms": "500"}
    page = page_of(client, recurring)
    assert page.typed[f"o/{NEW}/rateValues/EUR/slabRates/1/rate"] == "0.08"
    assert "added" in page.html


def test_the_catalogue_offers_what_some_plan_bills(client, recurring):
    """Togai's ids are opaque: known ones are offered by name, others can be typed."""
    other = f.MESSAGES | {"usageMeterId": "um.calls"}
    f.PricePlanFactory(recurring=True, cards=[("usageRateCards", "um.calls", other)])
    page = page_of(client, recurring)
    page.typed["add/kind"] = "usageRateCards"
    page = page.press("update")
    offered = re.search(r"<datalist.*?</datalist>", page.html, re.DOTALL)[0]
    assert 'value="um.calls"' in offered
    assert 'value="addon.platform"' not in offered


def test_a_card_that_cannot_be_added_is_refused_at_its_field(client, recurring):
    page = add(page_of(client, recurring), "usageRateCards", "um.messages")
    assert "change that one" in page.error_at("add/id")
    assert page.typed["add/id"] == "um.messages"


def test_a_new_card_without_a_price_is_a_draft_but_cannot_be_submitted(client, recurring):
    """G-01, G-13: kept as it is; the submit is refused at the cell."""
    page = add(page_of(client, recurring), "usageRateCards", "um.sms")
    assert "um.sms" in saved(page, recurring)["usageRateCards"]
    page = page_of(client, recurring).press("submit")
    assert page.status == 422
    assert page.error_at(f"o/{NEW}/rateValues/EUR/slabRates/1/rate") == "A price is needed."


def test_a_card_of_the_plan_is_taken_out_and_put_back(client, recurring):
    """G-02: struck with a way back, said to be uncertain, and nothing is left of it in the end."""
    page = page_of(client, recurring).press(f"remove_card:{FEE}")
    assert "<s>Platform fee</s>" in page.html
    assert "do not say whether a card that is left out" in page.html
    assert saved(page, recurring) == {"fixedFeeRateCards": {"addon.platform": None}}
    sent = touched(recurring.price_plan.details, recurring.association_override)
    assert [card["id"] for card in sent["fixedFeeRateCards"]] == ["addon.onboarding"]
    page = page_of(client, recurring).press(f"reset:{FEE}")
    assert saved(page, recurring) is None


def test_the_last_card_of_a_kind_offers_no_way_out_and_says_why(client, recurring):
    """Togai 4.1: an empty list would not be understood."""
    page = page_of(client, recurring).press(f"open:{USAGE}")
    assert f"remove_card:{USAGE}" not in page.buttons
    assert "Togai has no words for an empty list" in page.html


def test_a_new_currency_shows_its_column_on_every_card(client, recurring):
    """G-13: each card asks for its price, and a submit without it is refused there."""
    page = page_of(client, recurring).press("open:supportedCurrencies")
    page.typed["o/supportedCurrencies"] = "EUR, USD, INR"
    page = page.press("currencies:here")
    asked = [name for name in page.types if name.endswith(("INR/rate", "INR/slabRates/1/rate"))]
    assert len(asked) == 3
    page = page.press("submit")
    assert page.status == 422
    assert all("no price in INR" in page.error_at(name) for name in asked)


def test_rows_of_a_spreadsheet_are_taken_or_named(client, recurring):
    """G-09: the row that is wrong is named at the box, which keeps its text."""
    page = page_of(client, recurring).press(f"open:{USAGE}")
    page.typed[f"paste/{USAGE}"] = "0\t0.03\t0.04\n100\t0,02\t0.03"
    page = page.press(f"paste_slabs:{USAGE}")
    assert "Row 2: “0,02”" in page.error_at(f"paste/{USAGE}")
    assert "0,02" in page.typed[f"paste/{USAGE}"]
    assert page.press("save").status == 422
    page.typed[f"paste/{USAGE}"] = "0\t0.03\t0.04\n100\t0.02\t0.03"
    page = page.press(f"paste_slabs:{USAGE}")
    card = saved(page, recurring)["usageRateCards"]["um.messages"]
    assert card["ratePlan"] == {"slabs": {"2": {"startAfter": "100"}}}
    assert card["rateValues"]["EUR"]["slabRates"] == {"1": {"rate": "0.03"}, "2": {"rate": "0.02"}}


def test_a_window_is_typed_in_words(client, rep):
    """G-08: "1 month" is P1M on the wire, and both stand on the page."""
    draft = f.draft(by=rep)
    calls = "billingEntitlementRateCards/feature.calls"
    page = page_of(client, draft).press(f"open:{calls}")
    assert page.typed[f"o/{calls}/featureConfigs/1/effectiveUntil"] == "30 days"
    page.typed[f"o/{calls}/featureConfigs/1/effectiveUntil"] = "1 month"
    page = page.press(f"add_slab:{calls}/windows")
    assert page.typed[f"o/{calls}/featureConfigs/2/effectiveUntil"] == "2 months"
    page.press("save")
    draft.refresh_from_db()
    windows = draft.purchase_plan_override["billingEntitlementRateCards"]["feature.calls"]["featureConfigs"]
    assert [window["effectiveUntil"] for window in windows] == ["P1M", "P2M"]


def test_minimum_and_maximum_are_shown_when_asked_for(client, rep):
    draft = f.draft(by=rep)
    calls = "billingEntitlementRateCards/feature.calls"
    page = page_of(client, draft).press(f"open:{calls}")
    least = f"o/{calls}/rateValues/EUR/rateConfig/minimumRate"
    assert least not in page.types
    page = page.press(f"limits:{calls}").press("update")
    page.typed[least] = "50"
    page.press("save")
    draft.refresh_from_db()
    card = draft.purchase_plan_override["billingEntitlementRateCards"]["feature.calls"]
    assert card == {"rateValues": {"EUR": {"rateConfig": {"minimumRate": "50"}}}}


@pytest.mark.parametrize(
    "button",
    [
        "add_card:",
        "remove_card:x",
        "paste_slabs:",
        "raise_slab:x#y",
        "lower_slab:#",
        "limits:",
        "currencies:",
    ],
)
def test_a_forged_button_does_nothing(client, recurring, button):
    """S-06: whatever the target, the page is drawn again as it was."""
    page = page_of(client, recurring)
    page.buttons.append(button)
    again = page.press(button)
    assert again.status == 200
    assert {name for name in again.typed if name.startswith("o/")} == set()
