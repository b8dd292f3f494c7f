"""Everything without a line of JavaScript: slower to use, but all there."""

import re

import pytest
from playwright.sync_api import expect

from tests.journeys import acts

pytestmark = pytest.mark.journey


def look_until(desk, page, words):
    """Load the page again until its head says so, as people without JavaScript do."""

    def says():
        page.reload()
        return words in acts.heading(page).inner_text()

    desk.until(says)


def test_a_proposal_is_written_and_approved_without_javascript(desk, open_page):
    """Design 6: HTML works without JavaScript."""
    acts.hurry(desk)
    rep = open_page(java_script_enabled=False, refusals=(422,))
    finance = open_page(java_script_enabled=False)
    desk.sign_in(rep, "rep")
    rep.get_by_role("link", name="New proposal").click()
    rep.get_by_role("combobox", name="Account").fill("haly")
    rep.get_by_role("button", name="Search").click()
    expect(rep.get_by_text("No account found")).to_be_visible()
    rep.get_by_role("combobox", name="Account").fill("halc")
    rep.get_by_role("button", name="Search").click()
    rep.get_by_role("link", name="Choose Halcyon News").click()

    rep.get_by_role("radio", name="Entitlement grant").check()
    acts.pay(rep, "Prepaid")
    update(rep)
    rep.get_by_role("combobox", name="Price plan").select_option(label="Storage Block, version 2")
    update(rep)
    rep.get_by_role("textbox", name="Quantity", exact=True).fill("6")
    acts.open_prices(rep, "Storage (GB)")
    rep.get_by_label("Storage (GB), slab 2, rate USD").fill("twenty")
    rep.get_by_role("button", name="Save draft").click()
    expect(rep.get_by_role("alert")).to_contain_text("Nothing was saved yet")
    # Nothing typed is lost on an error.
    expect(rep.get_by_label("Storage (GB), slab 2, rate USD")).to_have_value("twenty")
    expect(rep.get_by_role("textbox", name="Quantity", exact=True)).to_have_value("6")
    rep.get_by_label("Storage (GB), slab 2, rate USD").fill("20")
    reference = acts.submit(rep)
    # 6,000 GB, all in the second slab: 60 packages of 100 at 20.00 USD instead of 23.10.
    expect(acts.money(rep)).to_contain_text("Estimate 1,200.00 USD")
    expect(acts.money(rep)).to_contain_text("List price 1,386.00 USD")
    look_until(desk, rep, "Proposal active")

    desk.sign_in(finance, "finance")
    finance.get_by_role("link", name="Approvals").click()
    finance.get_by_role("row", name=re.compile(reference)).get_by_role("link", name="Open").click()
    finance.get_by_role("button", name="Approve").click()
    expect(acts.heading(finance)).to_contain_text("Approved")
    look_until(desk, rep, "Pending")
    acts.console(desk, "pay", acts.fact(rep, "Order or invoice").inner_text())
    look_until(desk, rep, "Success")
    expect(acts.money(rep)).to_contain_text("Price at Togai 1,200.00 USD equals our estimate")


def update(page):
    """Press the button that shows what the choice before it needs."""
    page.get_by_role("button", name="Update form").last.click()
    page.wait_for_load_state()
