"""The one door of the product."""

import pytest
from playwright.sync_api import expect

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
