"""Every main page of every role: on a phone and a laptop, in light and dark, for all eyes and hands."""

import re
from uuid import UUID

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.journeys import acts

pytestmark = pytest.mark.journey

PHONE = {"width": 390, "height": 844}
LAPTOP = {"width": 1280, "height": 800}

# Colours on their way from light to dark are neither.
SETTLED = """async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const moving = document.getAnimations().filter((one) => one instanceof CSSTransition);
  await Promise.all(moving.map((one) => one.finished.catch(() => {})));
}"""

# Role → addresses; a word in braces is looked up in what the demo made.
PAGES = {
    "rep": [
        "/",
        "/proposals/",
        "/proposals/?status=DRAFT&q=nobody",
        "/proposals/new/",
        "/proposals/new/?account=brightfold-eu",
        "/proposals/{draft}/edit/",
        "/proposals/{draft}/submit/",
        "/proposals/{sent_back}/",
        "/proposals/{waiting}/",
        "/proposals/{waiting}/recall/",
        "/proposals/{waiting}/compare/",
        "/purchases/",
        "/purchases/{bought}/",
        "/purchases/{purchase_draft}/edit/",
        "/accounts/",
        "/accounts/brightfold-eu/",
        "/accounts/brightfold-eu/live/",
        "/plans/",
        "/plans/{plan}/",
        "/plans/{plan}/?cycles=x",
        "/notices/",
        "/tokens/",
        "/password/",
        "/api/docs/",
    ],
    "finance": [
        "/",
        "/approvals/",
        "/notices/",
        "/proposals/{waiting}/",
        "/proposals/{revised}/compare/",
        "/proposals/{waiting}/decline/",
        "/proposals/{waiting}/request-changes/",
        "/purchases/{to_release}/release/",
        "/deliveries/",
        "/deliveries/{delivery}/",
        "/deliveries/pull/",
        "/admin/",
        "/admin/audit/event/",
    ],
    "admin": [
        "/",
        "/deliveries/pull/",
        "/deliveries/pause/",
        "/health/",
        "/accounts/brightfold-eu/edit/",
        "/admin/",
        "/admin/proposals/proposal/",
        "/admin/proposals/proposal/{draft_id}/change/",
        "/admin/purchases/priceplan/",
        "/admin/accounts/account/",
        "/admin/auth/user/",
        "/admin/auth/user/add/",
        "/admin/togai/delivery/",
    ],
    "auditor": ["/", "/deliveries/"],
    "manager": ["/", "/proposals/"],
}


@pytest.fixture(scope="module")
def places(desk):
    """What the addresses name, from a desk with the demo's deals."""
    desk.manage("demo")
    desk.until(lambda: desk.rows("SELECT count(*) FROM togai_delivery WHERE state <> 'CONFIRMED'") == [(0,)])

    def first(query):
        return desk.rows(query)[0][0]

    mias = "owner_id = (SELECT id FROM auth_user WHERE username = 'mia') AND status"
    proposal = f"SELECT number FROM proposals_proposal WHERE is_live AND {mias} = "
    purchase = f"SELECT number FROM purchases_purchase WHERE {mias} = "
    return {
        "draft": "P-{:06d}".format(first(proposal + "'DRAFT'")),
        "draft_id": first("SELECT id FROM proposals_proposal WHERE status = 'DRAFT'"),
        "waiting": "P-{:06d}".format(first(proposal + "'SUBMITTED' AND type = 'ASSOCIATION'")),
        "sent_back": "P-{:06d}".format(first(proposal + "'CHANGES_REQUESTED'")),
        "revised": "P-{:06d}".format(first("SELECT number FROM proposals_proposal WHERE revision = 2")),
        "approved": "P-{:06d}".format(first(proposal + "'APPROVED'")),
        "bought": "D-{:06d}".format(first(purchase + "'SENT'")),
        "to_release": "D-{:06d}".format(first(purchase + "'SUBMITTED'")),
        "purchase_draft": "D-{:06d}".format(first(purchase + "'DRAFT'")),
        "plan": first("SELECT togai_id FROM purchases_priceplan WHERE name = 'Enterprise Annual'"),
        "delivery": UUID(first("SELECT id FROM togai_delivery WHERE kind = 'DECIDE'")),
    }


def overflow(page):
    """By how many pixels something is wider than the window, or a table wider than what it stands in."""
    return page.evaluate(
        """() => Math.max(
          document.documentElement.scrollWidth - window.innerWidth,
          ...[...document.querySelectorAll(".table-wrap")]
            .filter((wrap) => getComputedStyle(wrap).overflowX === "visible")
            .map((wrap) => wrap.scrollWidth - wrap.clientWidth),
        )"""
    )


def violations(page, **options):
    """What axe calls serious or critical: rule and first place of each."""
    found = Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [
        f"{one['id']}: {one['help']} ({len(one['nodes'])} ×, {one['nodes'][0]['html'][:160]})"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("role", PAGES)
def test_every_page_fits_and_is_accessible(desk, open_page, places, role):
    """S-11 and accessibility: nothing runs out of a window, axe finds nothing serious in light or dark."""
    page = open_page(viewport=LAPTOP)
    desk.sign_in(page, role)
    found = []
    for address in PAGES[role]:
        answer = page.goto(address.format(**places))
        assert answer.ok, f"{address}: {answer.status}"
        expect(page.get_by_role("heading", level=1).first).to_be_visible()
        for name, size in (("phone", PHONE), ("laptop", LAPTOP)):
            page.set_viewport_size(size)
            if (wide := overflow(page)) > 0:
                found.append(f"{address}: {wide} pixels too wide on a {name}")
        found += [f"{address}: {one}" for one in violations(page)]
        page.emulate_media(color_scheme="dark")
        page.evaluate(SETTLED)
        # Dark changes colours and nothing else.
        only = {"type": "rule", "values": ["color-contrast"]}
        found += [f"{address}, dark: {one}" for one in violations(page, runOnly=only)]
        page.emulate_media(color_scheme="light")
    assert not found, "\n".join(found)


def test_the_door_and_the_page_that_is_not_there_are_accessible(desk, open_page, places):
    """Accessibility of the pages without the shell, and of a refusal."""
    page = open_page(viewport=PHONE, refusals=(403, 404))
    page.goto("/login/")
    found = violations(page)
    assert overflow(page) <= 0
    desk.sign_in(page, "rep")
    for address in ("/proposals/P-999999/", f"/proposals/{places['waiting']}/decline/"):
        page.goto(address)
        assert overflow(page) <= 0
        found += [f"{address}: {one}" for one in violations(page)]
    assert not found, "\n".join(found)


def test_a_customer_reads_the_offer_on_any_screen(desk, open_page, places):
    """G-39, P-30: by the link that the rep copied, without signing in, until it is revoked."""
    rep, customer = open_page(), open_page(refusals=(404,))
    desk.sign_in(rep, "rep")
    rep.goto(f"/proposals/{places['approved']}/")
    rep.get_by_role("button", name="Make a link").click()
    found = violations(rep)
    address = rep.locator(".code code").inner_text()

    customer.goto(address)
    expect(customer.get_by_role("heading", level=1)).to_have_text("Offer")
    assert customer.context.cookies() == []
    for size in (PHONE, LAPTOP):
        customer.set_viewport_size(size)
        assert overflow(customer) <= 0
        found += violations(customer)
    with customer.expect_download() as download:
        customer.get_by_role("link", name="Download as PDF").click()
    assert download.value.suggested_filename == f"{places['approved']}-r1.pdf"

    rep.get_by_role("link", name=f"Back to {places['approved']}").click()
    card = rep.locator("#customer")
    expect(card).to_contain_text("opened 2 times")
    card.get_by_role("button", name="Revoke").click()
    expect(rep.locator("#customer")).to_contain_text("Revoked")
    customer.reload()
    expect(customer.get_by_role("heading", level=1)).to_have_text("This link has ended")
    found += violations(customer)
    assert not found, "\n".join(found)


def test_on_a_phone_a_rep_reads_her_deal_and_finance_approves_it(desk, open_page, places):
    """Issue: 390 px works, with fingers."""
    telephone = {"viewport": PHONE, "is_mobile": True, "has_touch": True}
    rep, finance = open_page(**telephone), open_page(**telephone)
    desk.sign_in(rep, "rep")
    rep.get_by_role("button", name="Open the menu", exact=True).tap()
    rep.get_by_role("link", name="Proposals", exact=True).tap()
    rep.get_by_role("link", name=places["waiting"]).tap()
    expect(acts.heading(rep)).to_contain_text("Submitted")

    desk.sign_in(finance, "finance")
    finance.get_by_role("button", name="Open the menu", exact=True).tap()
    finance.get_by_role("link", name="Approvals").tap()
    row = finance.get_by_role("row", name=re.compile(places["waiting"]))
    row.get_by_role("link", name="Open").tap()
    finance.get_by_role("button", name="Approve").tap()
    expect(acts.heading(finance)).to_contain_text("Approved")
    expect(acts.heading(rep)).to_contain_text("Approved")
    assert overflow(rep) <= 0
    assert overflow(finance) <= 0


def test_a_comparison_prints_whole_on_paper(desk, open_page, places):
    """G-10: on A4 no shell and no buttons, every slab open, no row cut in two."""
    page = open_page(viewport=LAPTOP)
    desk.sign_in(page, "finance")
    page.goto(f"/proposals/{places['revised']}/compare/?a=plan")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = false; })")
    slab = page.get_by_role("rowheader", name=re.compile("Slab 1")).first
    expect(slab).to_be_hidden()
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 688, "height": 980})
    expect(slab).to_be_visible()
    for gone in (
        page.locator(".sidebar"),
        page.get_by_role("button", name="Compare"),
        page.locator("[data-print]"),
    ):
        expect(gone.first).to_be_hidden()
    assert overflow(page) <= 0
    assert page.evaluate(
        "[...document.querySelectorAll('tr')].every((row) => getComputedStyle(row).breakInside === 'avoid'"
        " || row.matches('.money-diff__story'))"
    )


def test_prices_and_what_togai_shows_come_while_one_reads(desk, open_page, places):
    """A plan is priced while one types, an account's parts come alone, Togai's calculator on a press."""
    page = open_page(viewport=LAPTOP)
    desk.sign_in(page, "rep")
    page.goto(f"/plans/{places['plan']}/")
    price = page.locator("#price")
    expect(price.get_by_role("row", name="Editor seat")).to_contain_text("unknown")
    seats = page.get_by_label("Editor seat")
    seats.press_sequentially("60")
    # Four quarters of 50 × 290 and 10 × 250.
    expect(price.get_by_role("row", name="Editor seat")).to_contain_text("68,000.00")
    expect(page).to_have_url(re.compile("units-addon[^&]*=60"))
    seats.press_sequentially("x")
    expect(price).to_contain_text("There is no price for this yet")
    expect(page.locator(".field__error", has_text="Enter a plain number")).to_be_visible()
    expect(seats).to_be_focused()

    page.goto("/accounts/brightfold-eu/")
    wallet = page.get_by_role("region", name="Wallet")
    expect(wallet).to_contain_text(re.compile("1,250.00 EUR.*top-up", re.DOTALL))
    expect(wallet).to_contain_text("a moment ago")
    expect(page.get_by_role("region", name="Purchases and proposals at Togai")).to_contain_text(
        "made elsewhere"
    )
    wallet.get_by_role("link", name="Read again").click()
    expect(wallet.get_by_role("link", name="Read again")).to_be_focused()

    page.goto(f"/proposals/{places['waiting']}/")
    page.get_by_role("button", name="Check with Togai's calculator").click()
    expect(page.get_by_role("region", name="Togai's calculator")).to_contain_text(
        "not a price. Read just now"
    )
