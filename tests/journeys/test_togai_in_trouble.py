"""Togai goes away, comes back, and says no: work goes on, and nothing is lost or sent twice."""

import re

import pytest
from playwright.sync_api import expect

from tests.journeys import acts

pytestmark = pytest.mark.journey


def banner(page):
    """The calm line that every page shows while Togai does not answer."""
    return page.get_by_role("status").filter(has_text="Togai has not answered since")


def test_work_goes_on_while_togai_is_away_and_everything_is_delivered_once(desk, open_page):
    """G-47: drafting, submitting and deciding need no Togai; it hears of each of them once."""
    rep, finance = open_page(), open_page()
    desk.sign_in(rep, "rep")
    desk.sign_in(finance, "finance")
    before = acts.submitted_grant(rep, "brightfold-eu", title="Waits for finance")
    expect(acts.heading(rep)).to_contain_text("Proposal active")
    expect(banner(rep)).to_have_count(0)

    desk.stop_sandbox()
    # The rep drafts and submits, finance says no and yes, as on any day.
    during = acts.submitted_grant(rep, "brightfold-us", title="Written in the dark")
    acts.watch(rep)
    expect(acts.heading(rep)).to_contain_text("Submitted")
    finance.goto(f"/proposals/{before}/decline/")
    finance.get_by_role("radio", name="Term").check()
    finance.get_by_role("textbox", name="In your words").fill("We agree on two years first.")
    finance.get_by_role("button", name="Decline").click()
    expect(acts.heading(finance)).to_contain_text("Declined")
    finance.goto(f"/proposals/{during}/")
    finance.get_by_role("button", name="Approve").click()
    expect(acts.heading(finance)).to_contain_text("Approved")
    expect(acts.heading(rep)).to_contain_text("Approved")

    def told():
        finance.goto("/")
        return banner(finance).count()

    desk.until(told)
    expect(banner(finance)).to_contain_text(re.compile(r"since \d+ \w{3}, \d\d:\d\d"))
    expect(banner(finance)).to_contain_text("3 changes wait and will be sent once each when it is back.")
    rep.goto("/accounts/brightfold-us/")
    expect(banner(rep)).to_be_visible()
    rep.goto(f"/proposals/{during}/")
    acts.watch(rep)

    desk.start_sandbox()
    # Nobody has to press anything, but whoever works on lets Togai be asked at once.
    after = acts.submitted_grant(finance, "canopy-main", title="In the light again")
    expect(acts.heading(finance)).to_contain_text("Proposal active")
    expect(acts.heading(rep)).to_contain_text(re.compile("Pending|In progress"))
    assert acts.is_watched(rep)
    expect(banner(rep)).to_have_count(1)
    rep.goto("/")
    expect(banner(rep)).to_have_count(0)
    rep.goto(f"/proposals/{before}/")
    expect(acts.heading(rep)).to_contain_text("Proposal declined")

    for reference, account in ((before, "brightfold-eu"), (during, "brightfold-us"), (after, "canopy-main")):
        assert len(acts.writes(desk, f"/accounts/{account}/purchase_proposals")) == 1
        assert acts.togai_id(desk, reference)
    decided = {before: "DECLINE", during: "APPROVE"}
    for reference, verb in decided.items():
        path = f"/purchase_proposals/{acts.togai_id(desk, reference)}/update_status"
        assert acts.writes(desk, path) == [{"status": verb}]
    assert desk.rows("SELECT count(*) FROM togai_delivery WHERE state <> 'CONFIRMED'") == [(0,)]


def test_a_refused_create_says_why_and_the_next_revision_goes_through(desk, open_page):
    """G-05: Togai's own words stand at the proposal, for rep and finance."""
    rep, finance = open_page(), open_page()
    desk.sign_in(rep, "rep")
    words = "Account doraku-jp has reached its credit limit."
    refusal = {"times": 1, "method": "POST", "path": "/accounts/doraku-jp/", "status": 400, "message": words}
    desk.control("/switches", failing=refusal)

    reference = acts.submitted_grant(rep, "doraku-jp", title="Too much", quantity="40")
    expect(acts.heading(rep)).to_contain_text("Refused by Togai")
    expect(rep.get_by_role("alert").filter(has_text="Togai refused this proposal")).to_contain_text(words)
    desk.sign_in(finance, "finance")
    finance.goto(f"/proposals/{reference}/")
    expect(finance.get_by_role("alert")).to_contain_text(words)
    expect(finance.get_by_role("button", name="Approve")).to_have_count(0)

    rep.get_by_role("button", name="Revise").click()
    rep.get_by_role("textbox", name="Quantity", exact=True).fill("4")
    assert acts.submit(rep) == reference
    expect(acts.heading(rep)).to_contain_text("Proposal active")
    expect(acts.money(rep)).to_contain_text("equals our estimate")
    (created,) = acts.writes(desk, "/accounts/doraku-jp/purchase_proposals")
    assert created["quantity"] == 4
    # What Togai refused stays readable as it was.
    rep.get_by_role("link", name="r1", exact=True).click()
    expect(rep.get_by_role("alert").filter(has_text="Togai refused this proposal")).to_contain_text(words)
