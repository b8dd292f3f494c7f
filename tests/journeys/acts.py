"""What people do on the pages, and what Togai's own console and records say, in the words of a journey."""

import json
import re
import urllib.request
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.sync_api import expect

# The machine may be busy; nothing here asserts how long anything takes.
expect.set_options(timeout=30_000)

TYPES = {
    "grant": "Entitlement grant",
    "association": "Plan association",
    "top-up": "Wallet top-up",
}


# --- Drafting ---


def start(page, what, account):
    """Open the editor of a new "proposal" or "purchase" for an account by its id."""
    page.goto(f"/{what}s/new/?account={account}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Draft")


def choose(page, kind, plan=None):
    """Say what is bought, and of which plan; the page shows the fields of that."""
    page.get_by_role("radio", name=TYPES[kind]).check()
    # It comes with the answer of the server: until then nothing else may be typed.
    expect(page.locator("[name=type_was]")).to_have_value(re.compile("."))
    if plan:
        # What was just drawn hears a choice only when it has settled, some milliseconds later.
        expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling, .htmx-added")).to_have_count(0)
        page.get_by_role("combobox", name="Price plan").select_option(label=plan)
        expect(page.get_by_role("heading", name="Prices", exact=True)).to_be_visible()


def pay(page, mode):
    """Choose "Prepaid" or "Postpaid"."""
    page.get_by_role("group", name="Payment").get_by_role("radio", name=mode).check()


def day(ahead):
    """A day from today in the business time zone, as a date field takes it."""
    return f"{datetime.now(ZoneInfo('Europe/Berlin')).date() + timedelta(days=ahead):%Y-%m-%d}"


def open_prices(page, card):
    """Open the cells of one rate card."""
    page.get_by_role("button", name=f"Change the prices of {card}").click()


def estimate(page):
    """The panel beside the form."""
    return page.get_by_role("complementary", name="Estimate")


def submit(page):
    """Save and submit what the editor holds; returns the reference of the deal, whose page opens."""
    page.get_by_role("button", name=re.compile("^Save and (submit|ask for release)$")).click()
    page.wait_for_url(re.compile("/(P|D)-[0-9]+/$"))
    return page.url.rstrip("/").rsplit("/", 1)[1]


def submitted_grant(page, account, *, title, quantity="12", mode="Prepaid"):
    """A small proposal as any rep makes one, submitted; returns its reference."""
    start(page, "proposal", account)
    choose(page, "grant", "API Call Pack, version 3")
    pay(page, mode)
    page.get_by_role("textbox", name="Quantity", exact=True).fill(quantity)
    page.get_by_role("textbox", name="Title").fill(title)
    return submit(page)


def press(page, target):
    """Reach something with Tab alone, see that it shows its focus, and press Enter on it."""
    expect(target).to_be_visible()
    for _ in range(100):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            assert target.evaluate("element => element.matches(':focus-visible')")
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"Tab never reached {target}.")


# --- Reading ---


def heading(page):
    """The head of a deal's page: whose it is, and both statuses."""
    return page.get_by_role("heading", level=1)


def fact(page, name):
    """What stands beside a name in the lists of facts of a page."""
    pair = page.locator("dl > div").filter(has=page.locator("dt", has_text=re.compile(f"^{name}$")))
    return pair.locator("dd")


def money(page):
    """The row of figures that a deal's page opens with."""
    return page.get_by_role("region", name="Money")


def news(page):
    """The notes above the terms: what one has to know before anything else."""
    return page.locator("#deal > .note")


def watch(page):
    """Mark the page as loaded now; `is_watched` tells whether it was never loaded again."""
    page.evaluate("window.watched = true")


def is_watched(page):
    return page.evaluate("window.watched === true")


# --- Togai's side ---


def hurry(desk):
    """Let Togai take no time over approving and granting."""
    desk.control("/switches", step_delay_ms=50)


def console(desk, action, remote_id):
    """Do something in Togai's own console: pay, approve, decline, expire, fail."""
    return desk.control("/console", action=action, id=remote_id)


def at_togai(desk, path):
    """Read a record through Togai's API, as another user of it would."""
    request = urllib.request.Request(
        desk.sandbox_url + path, headers={"Authorization": "Bearer sandbox-token"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def writes(desk, path):
    """The writes to a path that took effect at Togai, oldest first: their bodies."""
    return [
        json.loads(request["body"])
        for request in desk.control("/ledger?after=0")["requests"]
        if request["method"] != "GET" and request["path"] == path and request["applied"]
    ]


def togai_id(desk, reference):
    """Togai's id of the newest revision of a deal."""
    table = "proposals_proposal" if reference.startswith("P-") else "purchases_purchase"
    return desk.rows(f"SELECT togai_id FROM {table} WHERE number = ? ORDER BY id DESC", int(reference[2:]))[
        0
    ][0]
