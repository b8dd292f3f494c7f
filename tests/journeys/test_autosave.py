"""
What is typed saves itself: a tab that dies, a line that breaks and a sign-in that ends lose next to nothing.

The browser's clock is the test's: it runs ahead when the test says so, and nothing here waits for it.
"""

import re

import pytest
from playwright.sync_api import expect

from tests.journeys import acts

pytestmark = pytest.mark.journey

ACCOUNT = "brightfold-eu"
SAVED = re.compile(r"^\s*Saved \d\d:\d\d:\d\d\s*$")


def told(page):
    """The line that says how far saving is."""
    return page.locator("#autosave")


def title(page):
    return page.get_by_role("textbox", name="Title")


def number_of_drafts(desk):
    return desk.rows("SELECT COUNT(*) FROM proposals_proposal")[0][0]


@pytest.fixture
def typing(desk, open_page):
    """A new proposal's page, whose clock the test can turn on."""

    def open_one(*, refusals=(), who="rep"):
        page = open_page(refusals=refusals)
        desk.sign_in(page, who)
        page.clock.install()
        acts.start(page, "proposal", ACCOUNT)
        return page

    return open_one


def test_a_tab_that_is_killed_loses_less_than_five_seconds_of_typing(desk, typing, open_page):
    """G-06: the save leaves four seconds after the first letter at the latest, though nobody stops typing."""
    page = typing()
    before = number_of_drafts(desk)
    title(page).focus()
    for letter in "Renewal 10":
        page.keyboard.type(letter)
        page.clock.run_for(400)
    expect(told(page)).to_have_text(SAVED)
    address = page.url
    assert re.search(r"/proposals/P-\d+/edit/$", address)
    # These may be lost: the tab dies within the pause.
    page.keyboard.type(" for ever")
    page.close()

    again = open_page()
    desk.sign_in(again, "rep")
    again.goto(address)
    expect(title(again)).to_have_value(re.compile("^Renewal 10"))
    assert number_of_drafts(desk) == before + 1


def test_a_rest_saves_and_what_one_types_into_is_left_alone(desk, typing):
    """G-06: no redraw takes the focus, the caret or a letter; the button afterwards meets no conflict."""
    page = typing()
    title(page).fill("Renewal")
    page.keyboard.press("Home")
    page.clock.run_for(2_000)
    expect(told(page)).to_have_text(SAVED)
    page.keyboard.type("Big ")
    expect(title(page)).to_be_focused()
    expect(title(page)).to_have_value("Big Renewal")
    page.clock.run_for(2_000)
    expect(page.locator("form[data-dirty]")).to_have_count(0)
    page.keyboard.type("and bold ")
    page.get_by_role("button", name="Save draft").click()
    expect(page.get_by_text(re.compile("is saved"))).to_have_count(1)
    expect(title(page)).to_have_value("Big and bold Renewal")


def test_type_plan_and_prices_save_themselves_in_one_draft(desk, typing):
    """G-06: together with the parts that are drawn again."""
    page = typing()
    before = number_of_drafts(desk)
    page.clock.resume()
    acts.choose(page, "grant", "API Call Pack, version 3")
    page.get_by_role("textbox", name="Quantity", exact=True).fill("5")
    acts.open_prices(page, "API calls")
    page.get_by_label("API calls, slab 1, rate EUR").fill("0.009")
    expect(page.locator("form[data-dirty]")).to_have_count(0)
    expect(told(page)).to_have_text(SAVED)
    page.reload()
    expect(page.get_by_role("textbox", name="Quantity", exact=True)).to_have_value("5")
    expect(page.get_by_label("API calls, slab 1, rate EUR")).to_have_value("0.009")
    assert number_of_drafts(desk) == before + 1


def test_leaving_warns_until_everything_is_saved(typing):
    """G-06: the guard and the autosave tell the same truth."""
    page = typing()
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    title(page).fill("Renewal")
    page.get_by_role("navigation").get_by_role("link", name="Purchases").click(no_wait_after=True)
    expect(title(page)).to_have_value("Renewal")
    assert asked == ["beforeunload"]
    page.clock.run_for(5_000)
    expect(told(page)).to_have_text(SAVED)
    page.get_by_role("navigation").get_by_role("link", name="Purchases").click()
    page.wait_for_url(re.compile("/purchases/$"))
    assert asked == ["beforeunload"]


def test_what_cannot_be_read_is_named_and_the_guard_stays_up(typing):
    """G-06"""
    page = typing()
    acts.choose(page, "grant")
    page.get_by_role("textbox", name="Quantity", exact=True).fill("1,5")
    page.clock.run_for(5_000)
    expect(told(page)).to_contain_text("but not yet: Quantity cannot be read")
    expect(page.locator("form[data-dirty]")).to_have_count(1)
    expect(page.get_by_role("textbox", name="Quantity", exact=True)).to_have_value("1,5")


def test_without_a_connection_it_says_so_and_saves_when_it_is_back(typing):
    """G-06"""
    page = typing(refusals=("net::ERR_INTERNET_DISCONNECTED", "htmx:afterRequest", "htmx:sendError"))
    title(page).fill("Renewal")
    page.context.set_offline(True)
    page.clock.run_for(2_000)
    expect(told(page)).to_contain_text("no connection. What you typed stays here")
    page.context.set_offline(False)
    expect(told(page)).to_have_text(SAVED)
    expect(page.locator("form[data-dirty]")).to_have_count(0)


def test_when_the_sign_in_ends_nothing_typed_is_lost(desk, typing):
    """G-06: signed in again in another tab, the same page goes on saving."""
    page = typing(refusals=(403, "Error Code 403"))
    title(page).fill("Renewal")
    page.context.clear_cookies()
    page.clock.run_for(2_000)
    expect(told(page)).to_contain_text("your sign-in has ended")
    other = page.context.new_page()
    desk.sign_in(other, "rep")
    other.close()
    title(page).press_sequentially(" 2031")
    page.clock.run_for(4_000)
    expect(told(page)).to_have_text(SAVED)
    page.reload()
    expect(title(page)).to_have_value("Renewal 2031")


def test_somebody_else_was_faster_and_the_keyboard_finds_the_way_on(desk, typing, open_page):
    """G-07: nothing is overwritten, and what was typed comes along to the three versions."""
    first = typing(who="admin")
    title(first).fill("First words")
    first.clock.run_for(2_000)
    expect(told(first)).to_have_text(SAVED)
    second = open_page(refusals=(409,))
    desk.sign_in(second, "admin2")
    second.clock.install()
    second.goto(first.url)
    title(first).fill("Words of Ada")
    first.clock.run_for(2_000)
    expect(first.locator("form[data-dirty]")).to_have_count(0)

    title(second).fill("Words of Ruth")
    second.clock.run_for(2_000)
    expect(told(second)).to_contain_text("Not saved: Ada Novak saved it")
    acts.press(second, told(second).get_by_role("button", name="Look at both versions"))
    expect(acts.heading(second)).to_contain_text("Somebody saved")
    row = second.get_by_role("row", name=re.compile("^Title"))
    expect(row.get_by_role("cell")).to_have_text(["First words", "Words of Ada", "Words of Ruth"])
