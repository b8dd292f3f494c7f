"""An administrator changes many deals at once."""

import re

import pytest
from playwright.sync_api import expect

from tests.journeys import acts

pytestmark = pytest.mark.journey


def draft(page, account, title):
    acts.start(page, "proposal", account)
    acts.choose(page, "grant", "API Call Pack, version 3")
    page.get_by_role("textbox", name="Quantity", exact=True).fill("1")
    page.get_by_role("textbox", name="Title").fill(title)
    page.get_by_role("button", name="Save draft").click()
    page.wait_for_url(re.compile("/edit/$"))


def test_an_administrator_extends_drafts_and_sees_what_would_be_skipped_and_why(desk, open_page):
    """Issue: bulk actions with a page that lists what will change and what will be skipped."""
    rep, admin = open_page(), open_page()
    desk.sign_in(rep, "rep")
    draft(rep, "brightfold-eu", "First draft")
    draft(rep, "canopy-main", "Second draft")
    acts.submitted_grant(rep, "doraku-jp", title="Submitted already")

    desk.sign_in(admin, "admin")
    admin.get_by_role("link", name="Administration").click()
    admin.get_by_role("main").get_by_role("link", name="Proposals").last.click()
    for reference in ("P-000001", "P-000002", "P-000003"):
        admin.get_by_role("row", name=re.compile(reference)).get_by_role("checkbox").check()
    admin.get_by_role("combobox", name="Action").select_option(label="Extend validity")
    admin.get_by_role("button", name="Go").click()
    admin.get_by_label("Valid until").fill(acts.day(40))
    admin.get_by_role("button", name="Preview").click()

    expect(admin.get_by_role("main")).to_contain_text("2 will change, 1 will be skipped.")
    skipped = admin.get_by_role("row", name=re.compile("P-000003"))
    expect(skipped).to_contain_text("It is submitted; only a draft is edited.")
    assert desk.rows("SELECT count(*) FROM proposals_proposal WHERE valid_until = ?", acts.day(40)) == [(0,)]
    admin.get_by_role("button", name="Extend validity (2)").click()

    expect(admin.get_by_role("main")).to_contain_text("2 done.")
    for reference in ("P-000001", "P-000002"):
        expect(admin.get_by_role("row", name=re.compile(reference))).to_contain_text("Done")
    changed = desk.rows("SELECT number, status FROM proposals_proposal WHERE valid_until = ?", acts.day(40))
    assert sorted(changed) == [(1, "DRAFT"), (2, "DRAFT")]
    # The rep sees who did it.
    rep.goto("/proposals/P-000001/")
    expect(rep.get_by_role("main")).to_contain_text("Ada Novak changed the draft")
