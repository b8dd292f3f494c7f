"""That a journey would notice: what the watch of every page is for, broken on purpose."""

from urllib.parse import urlsplit

import pytest

from tests.journeys.conftest import watch

pytestmark = pytest.mark.journey

# What a page must not contain, each as it would be there if a template held it.
FORBIDDEN = {
    "script": "<script>window.broken = true</script>",
    "style": "<style>h1 { color: red }</style>",
    "attribute": '<p style="color: red">Red</p>',
    "handler": '<button onclick="window.broken = true">Press</button>',
    "elsewhere": '<img src="https://elsewhere.example/pixel.png" alt="">',
}


@pytest.fixture
def watched(browser, desk):
    """A watched page of its own, and what the watch wrote down so far."""
    trouble = []
    context = browser.new_context(base_url=desk.url)
    watch(context, trouble, urlsplit(desk.url).netloc, ())
    yield context.new_page(), trouble
    context.close()


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_breach_of_the_csp_is_a_complaint(watched, what):
    """S-11: the control of every journey: none of these runs, and each is noticed."""
    page, trouble = watched
    page.route(
        "**/login/", lambda route: route.fulfill(response=(answer := route.fetch()), body=_with(answer, what))
    )
    page.goto("/login/")
    if what == "handler":
        page.get_by_role("button", name="Press").click()
    assert any("Content Security Policy" in line for line in trouble), trouble
    assert not page.evaluate("window.broken")


def test_a_page_as_it_is_causes_no_complaint(watched):
    """S-11: the same page without it."""
    page, trouble = watched
    page.goto("/login/")
    page.wait_for_load_state("networkidle")
    assert trouble == []


def _with(answer, what):
    return answer.text().replace("</h1>", f"</h1>{FORBIDDEN[what]}", 1)
