"""The life of a proposal, from the first letter typed to what Togai granted."""

import re

import pytest
from playwright.sync_api import expect

from tests.desk import PASSWORDS, WHO
from tests.journeys import acts

pytestmark = pytest.mark.journey

PROPOSALS = "/accounts/brightfold-eu/purchase_proposals"


@pytest.fixture(autouse=True)
def _togai_is_quick(desk):
    acts.hurry(desk)


def test_a_deal_is_drafted_declined_revised_approved_paid_and_granted(desk, open_page):
    """G-01, G-22, G-27, G-35: the whole way, each step seen by the other without reloading."""
    rep, finance = open_page(), open_page()
    desk.sign_in(rep, "rep")
    draft_a_renewal(rep)
    assert acts.writes(desk, PROPOSALS) == []
    reference = acts.submit(rep)
    acts.watch(rep)
    expect(acts.heading(rep)).to_contain_text("Submitted")
    expect(acts.heading(rep)).to_contain_text("Proposal active")

    desk.sign_in(finance, "finance")
    decline(finance, reference)

    # The rep's page follows, with the reason.
    expect(acts.heading(rep)).to_contain_text("Declined")
    expect(acts.news(rep)).to_contain_text("Price too low: Not below 0.009 for the first calls.")
    expect(acts.heading(rep)).to_contain_text("Proposal declined")
    assert acts.is_watched(rep)
    declined = acts.togai_id(desk, reference)
    revise(rep, reference)

    finance.goto(f"/proposals/{reference}/")
    finance.get_by_role("button", name="Approve").click()
    expect(acts.heading(finance)).to_contain_text("Approved")
    expect(acts.heading(rep)).to_contain_text("Approved")
    expect(acts.heading(rep)).to_contain_text("Pending")
    # Togai raised an order, which is paid in its console.
    acts.console(desk, "pay", acts.fact(rep, "Order or invoice").inner_text())
    expect(acts.heading(rep)).to_contain_text("Success")
    assert acts.is_watched(rep)
    expect(acts.money(rep)).to_contain_text("Estimate 1,000.00 EUR")
    expect(acts.money(rep)).to_contain_text("Price at Togai 1,000.00 EUR equals our estimate")
    expect(acts.heading(finance)).to_contain_text("Success")

    # At Togai: one record for each revision, each decided once.
    bought = acts.togai_id(desk, reference)
    assert declined != bought
    created = acts.writes(desk, PROPOSALS)
    assert len(created) == len({body["idempotencyKey"] for body in created}) == 2
    assert acts.at_togai(desk, f"/purchase_proposals/{declined}")["status"] == "PROPOSAL_DECLINED"
    assert acts.at_togai(desk, f"/purchases/{bought}")["status"] == "SUCCESS"
    assert acts.writes(desk, f"/purchase_proposals/{declined}/update_status") == [{"status": "DECLINE"}]
    assert acts.writes(desk, f"/purchase_proposals/{bought}/update_status") == [{"status": "APPROVE"}]


def draft_a_renewal(rep):
    """She finds the account by a piece of its name and changes one rate."""
    rep.get_by_role("link", name="New proposal").click()
    rep.get_by_role("combobox", name="Account").press_sequentially("fold")
    rep.get_by_role("option", name="Brightfold Europe").click()
    acts.choose(rep, "grant", "API Call Pack, version 3")
    acts.pay(rep, "Prepaid")
    rep.get_by_role("textbox", name="Quantity", exact=True).fill("12")
    # 12 x 10,000 units: 20,000 x 0.01 + 80,000 x 0.0085 + 2 packages of 10,000 x 70.
    expect(acts.estimate(rep)).to_contain_text("1,020.00 EUR")
    acts.open_prices(rep, "API calls")
    rep.get_by_label("API calls, slab 1, rate EUR").fill("0.008")
    expect(acts.estimate(rep).get_by_text("Estimate: 980.00 EUR")).to_be_visible()
    expect(acts.fact(rep, "List price")).to_contain_text("1,020.00 EUR")
    expect(acts.fact(rep, "Difference")).to_contain_text("−40.00 EUR")
    rep.get_by_role("textbox", name="Title").fill("Renewal 2031")
    rep.get_by_role("button", name="Save draft").click()
    rep.wait_for_url(re.compile("/edit/$"))


def decline(finance, reference):
    """Finance finds it in the inbox, money first, and says no with a reason."""
    finance.get_by_role("link", name="Approvals").click()
    row = finance.get_by_role("row", name=re.compile(reference))
    for figure in ("980.00 EUR", "1,020.00 EUR", "−40.00", "3.9 % discount", "Every proposal needs finance."):
        expect(row).to_contain_text(figure)
    row.get_by_role("link", name="Open").click()
    expect(acts.money(finance)).to_contain_text("Estimate 980.00 EUR")
    finance.get_by_role("link", name="Decline").click()
    finance.get_by_role("radio", name="Price too low").check()
    finance.get_by_role("textbox", name="In your words").fill("Not below 0.009 for the first calls.")
    finance.get_by_role("button", name="Decline").click()
    expect(acts.heading(finance)).to_contain_text("Declined")


def revise(rep, reference):
    """The next revision starts from the last one; she gives less away and submits it."""
    rep.get_by_role("button", name="Revise").click()
    rep.wait_for_url(re.compile("/edit/$"))
    expect(rep.get_by_role("main")).to_contain_text(f"{reference} · revision 2")
    rep.get_by_label("API calls, slab 1, rate EUR").fill("0.009")
    expect(acts.estimate(rep)).to_contain_text("1,000.00 EUR")
    assert acts.submit(rep) == reference
    acts.watch(rep)
    expect(acts.heading(rep)).to_contain_text("Proposal active")


def test_an_association_with_a_cheaper_slab_of_use_runs_to_success(desk, open_page):
    """G-04: postpaid, on a billing plan, with an override of one usage slab."""
    rep, finance = open_page(refusals=(422,)), open_page()
    desk.sign_in(rep, "rep")
    acts.start(rep, "proposal", "fjordline-grid")
    acts.choose(rep, "association", "Scale Monthly, version 3")
    acts.pay(rep, "Postpaid")
    rep.get_by_label("Valid until").fill(acts.day(10))
    # Until its last day the customer may still accept: Togai starts nothing before.
    rep.get_by_label("Starts on").fill(acts.day(10))
    rep.get_by_label("Ends on").fill(acts.day(400))
    rep.get_by_role("textbox", name="Messages sent").fill("50000")
    acts.open_prices(rep, "Messages sent")
    rep.get_by_label("Messages sent, slab 2, rate EUR").fill("0.012")
    # 10,000 x 0.02 + 40,000 x 0.015 in the plan, x 0.012 here.
    expect(acts.fact(rep, "Messages sent.*")).to_contain_text("680.00")
    expect(acts.fact(rep, "Messages sent.*")).to_contain_text("plan 800.00")
    rep.get_by_role("button", name="Save and submit").click()
    expect(rep.get_by_role("alert")).to_contain_text("Starts on")
    rep.get_by_label("Starts on").fill(acts.day(11))
    reference = acts.submit(rep)
    acts.watch(rep)
    expect(acts.heading(rep)).to_contain_text("Proposal active")
    slab = rep.get_by_role("row", name=re.compile("Slab 2, over 10,000 to 100,000 EUR"))
    expect(slab).to_contain_text("0.015")
    expect(slab).to_contain_text("0.012")

    desk.sign_in(finance, "finance")
    finance.goto(f"/proposals/{reference}/")
    finance.get_by_role("button", name="Approve").click()
    expect(acts.heading(rep)).to_contain_text("Success")
    assert acts.is_watched(rep)

    schedules = acts.at_togai(desk, "/v2/accounts/fjordline-grid/schedules?mode=ACTIVE")["data"]
    assert [row["startDate"][:10] for row in schedules].count(acts.day(11)) == 1
    (body,) = acts.writes(desk, "/accounts/fjordline-grid/purchase_proposals")
    assert body["paymentMode"] == "POSTPAID"
    # The whole list of the kind that is touched, and no other (togai.md 4.1).
    assert set(body["associationOverride"]) == {"usageRateCards"}
    assert len(body["associationOverride"]["usageRateCards"]) == 2


def test_finance_sees_why_her_own_deal_is_not_hers_to_decide(desk, open_page):
    """G-22: four eyes in the browser; a colleague says yes with the keyboard alone."""
    author, colleague = open_page(refusals=(403,)), open_page()
    desk.sign_in(author, "finance")
    reference = acts.submitted_grant(author, "fjordline-wind", title="Written by finance")
    expect(acts.heading(author)).to_contain_text("Proposal active")
    expect(acts.news(author)).to_contain_text("somebody else has to decide it")
    expect(author.get_by_role("button", name="Approve")).to_have_count(0)
    expect(author.get_by_role("link", name="Decline")).to_have_count(0)
    author.goto(f"/proposals/{reference}/decline/")
    expect(acts.heading(author)).to_have_text("Not done")

    colleague.goto("/login/")
    expect(colleague.locator("[name=username]")).to_be_focused()
    colleague.keyboard.type(WHO["cfo"])
    colleague.keyboard.press("Tab")
    colleague.keyboard.type(PASSWORDS[WHO["cfo"]])
    colleague.keyboard.press("Enter")
    colleague.wait_for_url(f"{desk.url}/")
    acts.press(colleague, colleague.get_by_role("link", name="Approvals"))
    row = colleague.get_by_role("row", name=re.compile(reference))
    acts.press(colleague, row.get_by_role("link", name="Open"))
    acts.press(colleague, colleague.get_by_role("button", name="Approve"))
    expect(acts.heading(colleague)).to_contain_text("Approved")
    expect(acts.heading(author)).to_have_text("Not done")


def test_a_rep_takes_back_what_nobody_has_decided(desk, open_page):
    """G-25: recalled here and declined there; the next revision starts from it."""
    rep, finance = open_page(), open_page()
    desk.sign_in(rep, "rep")
    reference = acts.submitted_grant(rep, "ivorymill-at", title="Too early")
    expect(acts.heading(rep)).to_contain_text("Proposal active")
    desk.sign_in(finance, "finance")
    finance.goto(f"/proposals/{reference}/")

    rep.get_by_role("link", name="Recall").click()
    rep.get_by_role("radio").first.check()
    rep.get_by_role("textbox", name="In your words").fill("The customer asked for more units.")
    rep.get_by_role("button", name="Recall").click()
    expect(acts.heading(rep)).to_contain_text("Recalled")
    expect(acts.heading(rep)).to_contain_text("Proposal declined")
    remote = acts.togai_id(desk, reference)
    assert acts.at_togai(desk, f"/purchase_proposals/{remote}")["status"] == "PROPOSAL_DECLINED"
    # Finance, whose page is old by now, is told and changes nothing.
    expect(acts.heading(finance)).to_contain_text("Recalled")
    expect(finance.get_by_role("button", name="Approve")).to_have_count(0)
    rep.get_by_role("button", name="Revise").click()
    expect(rep.get_by_role("textbox", name="Title")).to_have_value("Too early")
