"""The one door of the product."""

import pytest
from playwright.sync_api import expect

from tests.desk import PASSWORDS, WHO
from tests.journeys import acts

pytestmark = pytest.mark.journey


@pytest.mark.parametrize("role", ["rep", "manager", "finance", "cfo", "admin", "auditor"])
def test_everybody_signs_in_and_sees_who_they_are(desk, page, role):
    desk.sign_in(page, role)
    expect(page.get_by_role("main")).to_be_visible()


def test_a_wrong_password_says_so_and_opens_nothing(desk, page):
    page.goto("/")
    page.locator("[name=username]").fill("mia")
    page.locator("[name=password]").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.goto("/proposals/")
    expect(page).to_have_url(f"{desk.url}/login/?next=/proposals/")


def test_whoever_was_signed_out_before_pressing_a_button_finds_back_to_it(desk, open_page):
    """The press changes nothing, and signing in again leads to no dead end."""
    rep, finance = open_page(), open_page(refusals=(405,))
    desk.sign_in(rep, "rep")
    reference = acts.submitted_grant(rep, "brightfold-eu", title="Left open over lunch")
    desk.sign_in(finance, "finance")
    finance.goto(f"/proposals/{reference}/")
    finance.context.clear_cookies(name="sessionid")
    finance.get_by_role("button", name="Approve").click()
    finance.locator("[name=username]").fill(WHO["finance"])
    finance.locator("[name=password]").fill(PASSWORDS[WHO["finance"]])
    finance.get_by_role("button", name="Sign in").click()
    finance.get_by_role("link", name="Back to the page").click()
    expect(acts.heading(finance)).to_contain_text("Submitted")
    finance.get_by_role("button", name="Approve").click()
    expect(acts.heading(finance)).to_contain_text("Approved")
