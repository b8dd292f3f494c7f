"""Nothing lost, nothing sent twice, as people see it: pause, link by two, a difference, a pull."""

import re

import pytest
from playwright.sync_api import expect

from tests.desk import PASSWORDS, WHO
from tests.journeys import acts

pytestmark = pytest.mark.journey

WHY = "The rates in the catalogue are being corrected."


def answer_with_password(page, role):
    page.get_by_label("Your password").fill(PASSWORDS[WHO[role]])


def deliveries_of(desk, reference):
    """State and times sent of the deliveries of a proposal, oldest first."""
    return desk.rows(
        "SELECT d.state, d.sends FROM togai_delivery d JOIN proposals_proposal p"
        " ON d.subject_type = 'proposals.Proposal' AND d.subject_id = CAST(p.id AS text)"
        " WHERE p.number = ? ORDER BY d.created_at",
        int(reference[2:]),
    )


def the_worker_is_idle(desk):
    """Every wake-up was answered: whatever was to leave has left."""
    return desk.rows("SELECT count(*) FROM django_q_ormq") == [(0,)]


def address_of_delivery(desk, reference):
    ((key,),) = desk.rows(
        "SELECT d.id FROM togai_delivery d JOIN proposals_proposal p"
        " ON d.subject_type = 'proposals.Proposal' AND d.subject_id = CAST(p.id AS text) WHERE p.number = ?",
        int(reference[2:]),
    )
    return f"/deliveries/{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}/"


def test_what_is_submitted_during_a_pause_leaves_once_when_it_ends(desk, open_page):
    """G-52: a pause stops what is sent and nobody's work; resuming sends each once."""
    admin, rep = open_page(), open_page()
    desk.sign_in(admin, "admin")
    desk.sign_in(rep, "rep")
    admin.goto("/deliveries/")
    admin.get_by_role("link", name="Pause sending").click()
    admin.get_by_label("Why?").fill(WHY)
    answer_with_password(admin, "admin")
    admin.get_by_role("button", name="Pause sending").click()
    expect(admin.get_by_role("status").filter(has_text="Ada Novak paused it")).to_contain_text(WHY)

    reference = acts.submitted_grant(rep, "brightfold-eu", title="During the pause")
    expect(acts.heading(rep)).to_contain_text("Submitted")
    banner = rep.get_by_role("status").filter(has_text="Sending to Togai has been paused since")
    expect(banner).to_contain_text("1 change waits")
    line = rep.locator("details.delivery")
    expect(line).to_have_count(1)
    line.locator("summary").click()
    expect(line).to_contain_text("exactly these bytes will leave")
    desk.until(lambda: the_worker_is_idle(desk))
    assert deliveries_of(desk, reference) == [("NOT_SENT", 0)]
    assert acts.writes(desk, "/accounts/brightfold-eu/purchase_proposals") == []

    admin.goto("/deliveries/")
    admin.get_by_role("link", name="Resume sending").click()
    answer_with_password(admin, "admin")
    admin.get_by_role("button", name="Resume sending").click()
    expect(admin.get_by_role("link", name="Pause sending")).to_be_visible()
    expect(acts.heading(rep)).to_contain_text("Proposal active")
    assert len(acts.writes(desk, "/accounts/brightfold-eu/purchase_proposals")) == 1
    assert deliveries_of(desk, reference) == [("CONFIRMED", 1)]
    rep.reload()
    line.locator("summary").click()
    expect(line).to_contain_text(re.compile("HTTP 20[01]"))


def test_one_administrator_links_a_delivery_and_another_one_confirms(desk, open_page):
    """R-05, G-48: an answer that is lost where no key tells is settled by two people, never by a resend."""
    rep, first, second = open_page(), open_page(), open_page()
    desk.sign_in(rep, "rep")
    path = "/accounts/brightfold-us/"
    lossy = {"times": 1, "method": "POST", "path": path}
    desk.control("/switches", lossy=lossy, key_in_list=False, key_in_get=False)
    reference = acts.submitted_grant(rep, "brightfold-us", title="Lost on its way back")
    expect(rep.locator("details.delivery[open]")).to_contain_text("Being verified")

    desk.sign_in(first, "admin")
    address = address_of_delivery(desk, reference)
    first.goto(address)
    first.get_by_role("button", name="Look now").click()

    def needs_a_person():
        first.goto(address)
        return first.get_by_role("heading", name="How a person closes it").count()

    desk.until(needs_a_person)
    first.get_by_role("link", name="Link to a Togai id").click()
    (record,) = acts.at_togai(desk, f"{path}purchase_proposals")["data"]
    first.get_by_label("Togai's id").fill(record["id"])
    first.get_by_label("Why?").fill("It stands in Togai's console with the same content.")
    first.get_by_role("button", name="Ask for it").click()
    expect(first.get_by_text("Another administrator has to confirm it.").first).to_be_visible()
    first.get_by_role("link", name="Look at it again").click()
    expect(first.get_by_role("heading", name="Both sides")).to_be_visible()
    expect(first.get_by_role("button", name="Confirm")).to_have_count(0)

    desk.sign_in(second, "admin2")
    second.goto(address)
    second.get_by_role("link", name="Look at it and decide").click()
    expect(second.get_by_role("heading", name="Both sides")).to_be_visible()
    second.get_by_role("button", name="Confirm").click()
    expect(second.get_by_role("heading", level=1)).to_contain_text("Confirmed")
    expect(acts.heading(rep)).to_contain_text("Proposal active")
    assert acts.togai_id(desk, reference) == record["id"]
    assert len(acts.writes(desk, f"{path}purchase_proposals")) == 1
    assert deliveries_of(desk, reference) == [("CONFIRMED", 1)]
    desk.control("/switches", key_in_list=True, key_in_get=True)


def test_finance_accepts_a_difference_at_togai_with_a_reason(desk, open_page):
    """G-50, R-06: what Togai's console changed shows at the proposal; a person says which side holds."""
    rep, finance = open_page(), open_page()
    desk.sign_in(rep, "rep")
    desk.sign_in(finance, "finance")
    reference = acts.submitted_grant(rep, "canopy-main", title="Declined over there")
    expect(acts.heading(rep)).to_contain_text("Proposal active")
    acts.console(desk, "decline", acts.togai_id(desk, reference))

    # The rep's page follows by itself, and leaves it to finance what holds.
    differs = rep.locator("#drift")
    expect(differs).to_contain_text("Here it is submitted, at Togai it is declined.")
    expect(differs.get_by_role("link", name="Accept theirs")).to_have_count(0)
    finance.goto(f"/proposals/{reference}/")
    finance.locator("#drift").get_by_role("link", name="Accept theirs").first.click()
    finance.get_by_label("Why?").fill("too short")
    finance.get_by_role("button", name="Accept theirs").click()
    expect(finance.get_by_label("Why?")).to_have_value("too short")
    finance.get_by_label("Why?").fill("The customer withdrew; Togai's people ended it there.")
    finance.get_by_role("button", name="Accept theirs").click()
    expect(acts.heading(finance)).to_contain_text("Recalled")
    expect(finance.locator("#drift")).to_have_count(0)
    expect(acts.heading(rep)).to_contain_text("Recalled")
    settled = desk.rows("SELECT how, reason FROM togai_drift WHERE settled_at IS NOT NULL")
    assert ("ACCEPTED", "The customer withdrew; Togai's people ended it there.") in settled
    # Nothing was sent for it: one create and no decision of ours.
    assert deliveries_of(desk, reference) == [("CONFIRMED", 1)]


def test_a_pull_that_dies_half_way_goes_on_where_it_stopped(desk, page):
    """G-48 for reading: the page tells how far it is; a killed worker costs nothing that was read."""
    desk.sign_in(page, "admin")
    page.goto("/deliveries/")
    page.get_by_role("link", name="Pull from Togai").click()
    plans = page.get_by_role("region", name="Price plans")
    expect(plans).to_contain_text("Finished")
    desk.control("/switches", slow_ms=300)
    plans.get_by_role("button", name="Pull now").click()
    # The first page is kept; the worker dies in the second.
    desk.until(lambda: desk.rows("SELECT 1 FROM accounts_pullprogress WHERE name = 'plans'"))
    desk.kill("worker")
    expect(plans).to_contain_text("Under way")
    ((read,),) = desk.rows("SELECT read FROM accounts_pullprogress WHERE name = 'plans'")
    asked = max(request["number"] for request in desk.control("/ledger?after=0")["requests"])
    desk.control("/switches", slow_ms=0)

    # Instead of waiting for the clock, somebody lets it go on from the command line.
    said = desk.manage("togai_pull", "--plans")
    ((total,),) = desk.rows("SELECT count(DISTINCT togai_id) FROM purchases_priceplan")
    assert f"Price plans: {total} read" in said
    newer = [request["path"] for request in desk.control(f"/ledger?after={asked}")["requests"]]
    paths = {path.partition("?")[0] for path in newer}
    cards = [path for path in paths if path.startswith("/v2/price_plans/") and path.endswith("/rate_cards")]
    assert len(cards) == total - read
    expect(plans).to_contain_text("Finished")
    desk.start("worker")
