"""Two people have one draft open at the same time."""

import re

import pytest
from playwright.sync_api import expect

from tests.journeys import acts

pytestmark = pytest.mark.journey


def draft_of(page):
    acts.start(page, "proposal", "gulfstone-kw")
    acts.choose(page, "grant", "API Call Pack, version 3")
    page.get_by_role("textbox", name="Quantity", exact=True).fill("5")
    page.get_by_role("textbox", name="Title").fill("First words")
    page.get_by_role("button", name="Save draft").click()
    # The page may have saved itself before, under the same address.
    expect(page.get_by_text(re.compile("is saved"))).to_have_count(1)
    return page.url


@pytest.mark.parametrize(
    ("choice", "title", "note"),
    [("Keep mine", "Words of Ruth", "Call before Friday."), ("Take theirs", "Words of Ada", "")],
)
def test_the_second_to_save_sees_both_versions_and_chooses(desk, open_page, choice, title, note):
    """G-07: base, theirs and mine, nothing typed is lost and nothing is overwritten in silence."""
    first, second = open_page(), open_page(refusals=(409,))
    desk.sign_in(first, "admin")
    desk.sign_in(second, "admin2")
    address = draft_of(first)
    second.goto(address)

    # Ada changes title and quantity; Ruth title, a rate and the note.
    first.get_by_role("textbox", name="Title").fill("Words of Ada")
    first.get_by_role("textbox", name="Quantity", exact=True).fill("7")
    first.get_by_role("button", name="Save draft").click()
    expect(first.get_by_text(re.compile("is saved"))).to_have_count(1)
    second.get_by_role("textbox", name="Title").fill("Words of Ruth")
    acts.open_prices(second, "API calls")
    second.get_by_label("API calls, slab 1, rate KWD").fill("0.003")
    second.get_by_role("textbox", name="Internal note").fill("Call before Friday.")
    second.get_by_role("button", name="Save draft").click()

    expect(acts.heading(second)).to_contain_text("Somebody saved")
    expect(second.get_by_role("main")).to_contain_text("Ada Novak")
    about = second.get_by_role("group", name=re.compile("^Title"))
    row = about.get_by_role("row", name=re.compile("Title"))
    expect(row.get_by_role("cell")).to_have_text(["First words", "Words of Ada", "Words of Ruth"])
    # What only one side changed is chosen already.
    quantity = second.get_by_role("group", name=re.compile("^Quantity"))
    expect(quantity.get_by_role("radio", name="Take theirs")).to_be_checked()
    prices = second.get_by_role("group", name=re.compile("API calls"))
    expect(prices.get_by_role("radio", name="Keep mine")).to_be_checked()
    for name in ("Title", "Internal note") if not note else ("Title",):
        second.get_by_role("group", name=re.compile(f"^{name}")).get_by_role("radio", name=choice).check()
    second.get_by_role("button", name="Save what I chose").click()
    second.wait_for_url(re.compile("/edit/$"))

    expect(second.get_by_role("textbox", name="Title")).to_have_value(title)
    expect(second.get_by_role("textbox", name="Quantity", exact=True)).to_have_value("7")
    expect(second.get_by_label("API calls, slab 1, rate KWD")).to_have_value("0.003")
    expect(second.get_by_role("textbox", name="Internal note")).to_have_value(note)
