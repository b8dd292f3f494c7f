"""The price editor without a mouse: Tab reaches every button, and the focus goes where the work goes on."""

import pytest
from playwright.sync_api import expect

from tests.journeys import acts

pytestmark = pytest.mark.journey

PASTE = """(cell, text) => {
  const data = new DataTransfer();
  data.setData("text/plain", text);
  cell.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
}"""


def button(page, name):
    return page.get_by_role("button", name=name)


def settled(page):
    """Wait until what was just drawn listens."""
    expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling, .htmx-added")).to_have_count(0)


def test_prices_are_changed_with_the_keyboard_alone(desk, open_page):
    """G-08, G-09: open a card, add and move slabs, paste a column, add a card and take one out."""
    acts.hurry(desk)
    rep = open_page()
    desk.sign_in(rep, "rep")
    acts.start(rep, "proposal", "brightfold-eu")
    acts.choose(rep, "grant", "API Call Pack, version 3")
    acts.press(rep, button(rep, "Change the prices of API calls"))
    expect(rep.get_by_label("API calls, window 1, units granted")).to_be_focused()

    settled(rep)
    acts.press(rep, button(rep, "Add slab to API calls"))
    expect(rep.get_by_label("API calls, slab 4, starts after")).to_be_focused()
    rep.keyboard.type("200000")
    settled(rep)
    first = rep.get_by_label("API calls, slab 1, rate EUR")
    second = rep.get_by_label("API calls, slab 2, rate EUR")
    before = first.input_value(), second.input_value()
    acts.press(rep, button(rep, "Move the prices of slab 2 of API calls up"))
    expect(first).to_have_value(before[1])
    expect(second).to_have_value(before[0])
    expect(rep.get_by_label("API calls, slab 4, starts after")).to_have_value("200000")

    settled(rep)
    first.evaluate(PASTE, "0.05\n0.04\n0.03")
    expect(rep.get_by_label("API calls, slab 3, rate EUR")).to_have_value("0.03")
    settled(rep)
    first.evaluate(PASTE, "0.05\n0,04")
    expect(rep.get_by_text("Row 2: “0,04” cannot be read.")).to_be_visible()
    expect(rep.get_by_role("textbox", name="A line per slab")).to_be_focused()
    rep.keyboard.press("Control+a")
    rep.keyboard.press("Delete")

    kind = rep.get_by_role("combobox", name="Kind", exact=True)
    kind.focus()
    rep.keyboard.type("Fixed")
    known = rep.get_by_role("combobox", name="What it bills")
    expect(known).to_be_visible()
    settled(rep)
    known.focus()
    rep.keyboard.type("addon.setup")
    acts.press(rep, button(rep, "Add card"))
    expect(rep.get_by_label("Fee, EUR")).to_be_focused()
    settled(rep)
    acts.press(rep, button(rep, "Take addon.setup out of the deal"))
    expect(rep.get_by_label("Fee, EUR")).to_have_count(0)
    expect(kind).to_be_focused()
