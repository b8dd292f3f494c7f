"""
Journeys: a person, a real browser and the whole product as real processes.

    @pytest.mark.journey
    def test_a_rep_signs_in(desk, page):
        desk.sign_in(page, "rep")

`page` is a watched page: an error in its console, a breach of the CSP, a script that fails or a request to
another host fails the test. `open_page()` gives more of them, each with cookies of its own.
"""

import os
from urllib.parse import urlsplit

import pytest

from tests.desk import chromium, furnish, open_desk

NO_CHROMIUM = "Chromium is missing (apt-get install chromium): no journey was walked."


@pytest.fixture(scope="session", autouse=True)
def _rows_beside_a_browser():
    """Playwright keeps an event loop in this thread, which Django takes for asynchronous code."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"


def pytest_collection_modifyitems(items):
    journeys = [item for item in items if item.get_closest_marker("journey")]
    if journeys and not chromium():
        for item in journeys:
            item.add_marker(pytest.mark.skip(reason=NO_CHROMIUM))
    # Slow and few: they come last.
    items.sort(key=lambda item: item.get_closest_marker("journey") is not None)


def pytest_terminal_summary(terminalreporter):
    skipped = terminalreporter.stats.get("skipped", [])
    if any(NO_CHROMIUM in str(report.longrepr) for report in skipped):
        terminalreporter.write_line(NO_CHROMIUM, red=True, bold=True)


@pytest.fixture(scope="session")
def browser_type_launch_args():
    return {
        "executable_path": chromium(),
        "args": [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ],
    }


@pytest.fixture(scope="session")
def furnished(tmp_path_factory):
    """The files of a desk with people, catalogue and owners; made once a run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    return furnish(shared / "furnished")


@pytest.fixture(scope="module")
def desk(furnished, tmp_path_factory):
    """The running product, fresh for every module: no deal yet, nothing sent."""
    with open_desk(furnished, tmp_path_factory.mktemp("desk")) as desk:
        yield desk
    complaints = desk.complaints()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def open_page(browser, desk):
    """
    Open a watched page with cookies of its own, as on another person's computer.

    Keywords go to the browser's context (viewport, color_scheme, ...). `refusals` are the statuses that this
    page may be answered: a browser writes each of them to its console as an error, and words of such errors.
    """
    opened = []

    def open_one(*, refusals=(), **settings):
        settings = {"base_url": desk.url, "viewport": {"width": 1280, "height": 900}} | settings
        context = browser.new_context(**settings)
        trouble = []
        opened.append((context, trouble))
        watch(context, trouble, urlsplit(desk.url).netloc, refusals)
        context.set_default_timeout(15_000)
        return context.new_page()

    yield open_one
    for context, _ in opened:
        context.close()
    found = [line for _, trouble in opened for line in trouble]
    assert not found, "The browser complained:\n" + "\n".join(found)


@pytest.fixture
def page(open_page):
    return open_page()


def watch(context, trouble, host, refusals):
    """Note every request that leaves the desk, and everything a browser calls an error (S-11)."""

    def on_request(request):
        where = urlsplit(request.url)
        if where.scheme in ("http", "https", "ws", "wss") and where.netloc != host:
            trouble.append(f"request to {request.url}")

    def on_console(message):
        if message.type != "error":
            return
        words = [f"status of {one}" if isinstance(one, int) else one for one in refusals]
        if any(word in message.text for word in words):
            return
        trouble.append(f"{message.page.url if message.page else ''}: {message.text}")

    context.on("request", on_request)
    context.on("console", on_console)
    context.on("weberror", lambda error: trouble.append(f"script: {error.error}"))
