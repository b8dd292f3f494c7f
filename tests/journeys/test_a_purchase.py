"""Direct purchases: drafted by sales, released by finance, followed to their end."""

import re

import pytest
from playwright.sync_api import expect

from tests.journeys import acts

pytestmark = pytest.mark.journey

QUANTITIES = {"Onboarding": "1", "Training day": "2", "Report exports": "3", "Welcome credit": "1"}


def release(page, reference):
    page.get_by_role("link", name="Approvals").click()
    row = page.get_by_role("row", name=re.compile(reference))
    row.get_by_role("link", name="Open").click()
    page.get_by_role("link", name="Release").click()
    page.get_by_role("button", name="Release").click()
    page.wait_for_url(re.compile(f"/{reference}/$"))


def test_a_top_up_and_a_bundle_are_released_and_followed_to_success(desk, open_page):
    """G-22, G-46: nothing reaches Togai before finance releases it, then each once."""
    acts.hurry(desk)
    rep, other, finance = open_page(), open_page(), open_page()
    desk.sign_in(rep, "rep")
    desk.sign_in(finance, "finance")

    acts.start(rep, "purchase", "brightfold-eu")
    acts.choose(rep, "top-up")
    rep.get_by_label("Top-up", exact=True).fill("500")
    rep.get_by_label("Amount paid").fill("450")
    expect(acts.estimate(rep)).to_contain_text("450.00 EUR")
    wallet = acts.submit(rep)
    acts.watch(rep)
    expect(acts.heading(rep)).to_contain_text("Waiting for release")

    desk.sign_in(other, "rep")
    acts.start(other, "purchase", "canopy-main")
    acts.choose(other, "grant", "Launch Bundle, version 1")
    other.get_by_text("A quantity for each card instead").click()
    for card, quantity in QUANTITIES.items():
        other.get_by_role("textbox", name=card).fill(quantity)
    # 1,650 + 2 x 1,045 USD; the exports are a flat 132 USD however many.
    expect(acts.estimate(other)).to_contain_text("3,872.00 USD")
    bundle = acts.submit(other)
    acts.watch(other)

    assert acts.writes(desk, "/accounts/brightfold-eu/purchases") == []
    assert acts.writes(desk, "/accounts/canopy-main/purchases") == []
    finance.goto("/")
    for reference in (wallet, bundle):
        release(finance, reference)
        finance.goto("/")
    for page, figure in ((rep, "450.00 EUR"), (other, "3,872.00 USD")):
        expect(acts.heading(page)).to_contain_text("Pending")
        expect(acts.money(page)).to_contain_text(f"Price at Togai {figure} equals our estimate")
        acts.console(desk, "pay", acts.fact(page, "Order or invoice").inner_text())
    for page in (rep, other):
        expect(acts.heading(page)).to_contain_text("Success")
        assert acts.is_watched(page)

    (sent,) = acts.writes(desk, "/accounts/brightfold-eu/purchases")
    assert sent["walletTopupDetails"] == {"topupAmount": 500, "purchaseAmount": 450}
    assert "pricePlanId" not in sent
    assert acts.at_togai(desk, "/accounts/brightfold-eu/wallet")["balance"] == 1750
    (sent,) = acts.writes(desk, "/accounts/canopy-main/purchases")
    assert "quantity" not in sent
    assert sorted(sent["rateCardQuantities"].values()) == [1, 1, 2, 3]
    for reference in (wallet, bundle):
        remote = acts.togai_id(desk, reference)
        assert acts.at_togai(desk, f"/purchases/{remote}")["status"] == "SUCCESS"
