"""
Every page, role and look as a picture: `make screenshots`.

A real desk with the demo's deals is started for it. Environment: ROLES and PAGES narrow what is taken
("rep,finance", "proposal,account"), LOOKS too ("light,dark,phone").
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import django
from playwright.sync_api import sync_playwright

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from tests.desk import ROOT, Desk, chromium  # noqa: E402  it reads the demo's people from our own models

FOLDER = ROOT / "var" / "screenshots"
ROLES = ("rep", "manager", "finance", "cfo", "admin", "auditor")
LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "has_touch": True},
}
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
SETTLED_SECONDS = 90


def pages(desk):
    """(name, address) of every page, with the demo's own rows in the addresses."""

    def one(query):
        found = desk.rows(query)
        return str(found[0][0]) if found else None

    def proposal(status, togai="%"):
        return one(
            "select printf('P-%06d', number) from proposals_proposal"
            f" where status = '{status}' and togai_status like '{togai}' and is_live order by id limit 1"
        )

    deals = {
        "waiting": proposal("SUBMITTED"),
        "approved": proposal("APPROVED", "SUCCESS"),
        "unpaid": proposal("APPROVED", "PENDING"),
        "changes": proposal("CHANGES_REQUESTED"),
        "recalled": proposal("RECALLED"),
        "draft": proposal("DRAFT"),
    }
    purchase = one("select printf('D-%06d', number) from purchases_purchase order by id limit 1")
    plan = one("select togai_id from purchases_priceplan where name = 'Enterprise Annual' and is_latest")
    delivery = one("select id from togai_delivery order by created_at limit 1")
    yield "overview", "/"
    yield "proposals", "/proposals/"
    yield "proposals-filtered", "/proposals/?status=SUBMITTED"
    yield "proposals-empty", "/proposals/?q=nobody+is+called+so"
    for name, number in deals.items():
        if number:
            yield f"proposal-{name}", f"/proposals/{number}/"
    if deals["waiting"]:
        yield "proposal-compare-plan", f"/proposals/{deals['waiting']}/compare/?a=plan"
    revised = one("select printf('P-%06d', number) from proposals_proposal where revision = 2 limit 1")
    if revised:
        yield "proposal-compare", f"/proposals/{revised}/compare/"
    if deals["draft"]:
        yield "proposal-edit", f"/proposals/{deals['draft']}/edit/"
    yield "proposal-new", "/proposals/new/"
    yield "approvals", "/approvals/"
    yield "notices", "/notices/"
    yield "purchases", "/purchases/"
    if purchase:
        yield "purchase", f"/purchases/{purchase}/"
    yield "purchase-new", "/purchases/new/"
    yield "plans", "/plans/"
    if plan:
        yield "plan", f"/plans/{quote(plan)}/"
        yield "plan-wrong-number", f"/plans/{quote(plan)}/?cycles=many"
    yield "accounts", "/accounts/"
    yield "account", "/accounts/brightfold-eu/"
    yield "account-live", "/accounts/lumenar-fr/live/"
    yield "account-edit", "/accounts/brightfold-eu/edit/"
    yield "deliveries", "/deliveries/"
    if delivery:
        yield "delivery", f"/deliveries/{quote(delivery)}/"
    yield "pull", "/deliveries/pull/"
    yield "pause", "/deliveries/pause/"
    yield "health", "/health/"
    yield "admin", "/admin/"
    yield "admin-proposals", "/admin/proposals/proposal/"
    yield "admin-accounts", "/admin/accounts/account/"
    yield "admin-users", "/admin/auth/user/"
    yield "password", "/password/"
    yield "api-docs", "/api/docs/"


def wanted(name, everything):
    chosen = os.environ.get(name, "")
    return [
        one for one in everything if not chosen or any(one.startswith(word) for word in chosen.split(","))
    ]


def take(desk, browser):
    """Take the pictures; returns how many, and everything that did not answer as a page should."""
    taken, trouble = 0, []
    addresses = dict(pages(desk))
    for look in wanted("LOOKS", LOOKS):
        folder = FOLDER / look
        folder.mkdir(parents=True, exist_ok=True)
        context = browser.new_context(**LOOKS[look])
        page = context.new_page()
        page.goto(f"{desk.url}/login/")
        picture(page, folder / "login.png", LOOKS[look]["viewport"])
        context.close()
        for role in wanted("ROLES", ROLES):
            context = browser.new_context(**LOOKS[look])
            page = context.new_page()
            desk.sign_in(page, role)
            for name in wanted("PAGES", addresses):
                response = page.goto(desk.url + addresses[name])
                if response.status in (403, 404):
                    continue
                if response.status != 200:
                    trouble.append(f"{role} {addresses[name]}: {response.status}")
                picture(page, folder / f"{name}-{role}.png", LOOKS[look]["viewport"])
                taken += 1
                wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                if wide > 0:
                    trouble.append(f"{role} {look} {addresses[name]}: {wide} px too wide")
            context.close()
    return taken, trouble


def picture(page, path, viewport):
    """The whole page in one picture, in a window as high as the page, so that what sticks stays in place."""
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size(viewport | {"height": max(height, viewport["height"])})
    page.screenshot(path=path)
    page.set_viewport_size(viewport)


def settle(desk):
    """Wait until everything that was invented has reached the sandbox."""
    ends = time.monotonic() + SETTLED_SECONDS
    while desk.rows("select 1 from togai_delivery where state in ('NOT_SENT', 'SENDING') limit 1"):
        if time.monotonic() > ends:
            raise SystemExit("The demo's deals did not reach the sandbox.\n" + desk.said("worker"))
        time.sleep(0.2)
    # Togai's own steps take a few seconds more.
    time.sleep(6)


def main():
    if not chromium():
        raise SystemExit("Chromium is missing: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        desk.manage("assets")
        desk.manage("migrate", "--verbosity", "0")
        with desk:
            desk.manage("demo")
            settle(desk)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium(), args=ARGS)
                taken, trouble = take(desk, browser)
                browser.close()
    sys.stdout.write("".join(f"{line}\n" for line in trouble))
    sys.stdout.write(f"screenshots: {taken} in {FOLDER.relative_to(ROOT)}, {len(trouble)} with trouble\n")
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
