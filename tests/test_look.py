"""The look keeps its promises, without a browser: nothing inline or foreign, readable, complete, small."""

import gzip
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import django_htmx
import pytest
from django.contrib.auth.models import AnonymousUser
from django.template.loader import get_template
from django.utils.safestring import mark_safe

from audit.roles import Role
from config.context import shell
from config.design import STATUSES, TYPES, design
from config.templatetags.look import drawn, labelled
from tests.factories import person

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
STATIC = sorted(path for path in (ROOT / "static").rglob("*") if path.is_file())
CSS = (ROOT / "static/css/app.css").read_text()
ADMIN_CSS = (ROOT / "static/css/admin.css").read_text()
SPRITE = (ROOT / "static/icons/sprite.svg").read_text()

# What `style-src 'self'; script-src 'self'; img-src 'self'` would refuse.
INLINE = {
    "a style attribute": re.compile(r"\sstyle\s*=", re.I),
    "a style element": re.compile(r"<style\b", re.I),
    "a script without src": re.compile(r"<script\b(?![^>]*\ssrc\s*=)", re.I),
    "an event handler": re.compile(r"<[^>{]*\son[a-z]+\s*=\s*[\"']", re.I),
    "an htmx handler": re.compile(r"\shx-on\b|\shx-vals\s*=\s*[\"']js:", re.I),
    "a javascript address": re.compile(r"javascript:", re.I),
    "a data address": re.compile(r"""[\"'(]data:""", re.I),
}
FOREIGN = re.compile(r"""(?:https?:|["'(=]\s*)//[a-z0-9-]+\.[a-z0-9]""", re.I)
NAMESPACES = ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink")


def named(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", TEMPLATES, ids=named)
def test_a_template_holds_nothing_that_the_policy_would_refuse(path):
    """S-11: no style attribute, no inline script, no on* handler, no data address."""
    text = path.read_text()
    assert [what for what, pattern in INLINE.items() if pattern.search(text)] == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a style attribute", '<p class="a" style="color: red">'),
        ("a script without src", "<script>go()</script>"),
        ("a script without src", '<script type="module">'),
        ("an event handler", '<a href="#" onclick="go()">'),
        ("an htmx handler", '<button hx-on:click="go()">'),
        ("a data address", '<img src="data:image/png;base64,x">'),
    ],
)
def test_the_patterns_find_what_they_are_for(what, text):
    """S-11: a check that finds nothing in bad text would prove nothing in ours."""
    assert INLINE[what].search(text)


@pytest.mark.parametrize(
    "path", [one for one in TEMPLATES + STATIC if one.suffix in {".html", ".css", ".js", ".svg"}], ids=named
)
def test_no_file_of_the_look_calls_a_foreign_host(path):
    """S-11: everything comes from this host, fonts included."""
    text = path.read_text()
    for namespace in NAMESPACES:
        text = text.replace(namespace, "")
    assert FOREIGN.findall(text) == []


@pytest.mark.parametrize("path", [one for one in STATIC if one.suffix == ".css"], ids=named)
def test_stylesheets_load_nothing_but_the_sprite(path):
    """S-11, U1: no font, no import, no picture in the stylesheet; one request for all icons."""
    text = path.read_text()
    assert "@import" not in text
    assert "@font-face" not in text
    assert {url.partition("#")[0] for url in re.findall(r'url\("?([^")]+)', text)} <= {"../icons/sprite.svg"}


@pytest.mark.parametrize("path", TEMPLATES, ids=named)
def test_every_template_compiles(path):
    get_template(str(path.relative_to(ROOT / "templates")))


# --- Icons -------------------------------------------------------------------------------------------------

SYMBOLS = set(re.findall(r'<symbol id="([\w-]+)"', SPRITE))
VIEWS = set(re.findall(r'<view id="([\w-]+)"', SPRITE))


def test_the_sprite_is_well_formed_and_draws_each_icon_once():
    ElementTree.fromstring(SPRITE)
    assert len(re.findall("<symbol", SPRITE)) == len(SYMBOLS)
    assert len(re.findall("<view", SPRITE)) == len(VIEWS)
    assert set(re.findall(r'<use href="#([\w-]+)"', SPRITE)) <= SYMBOLS


@pytest.mark.parametrize("path", TEMPLATES, ids=named)
def test_every_icon_that_a_template_names_is_drawn(path):
    text = path.read_text()
    literal = re.findall(r'partials/icon\.html" with name="([\w-]+)"', text)
    handed_on = re.findall(r'\bicon="([\w-]+)"', text) + re.findall(r'\bicon\|default:"([\w-]+)"', text)
    assert set(literal + handed_on) - SYMBOLS == set()


@pytest.mark.django_db
def test_every_icon_of_the_menu_and_of_the_style_guide_is_drawn(rf):
    request = rf.get("/")
    request.user = person(*Role)
    menu = {item["icon"] for section in shell(request)["nav"] for item in section["items"]}
    assert menu
    assert (menu | {one["icon"] for one in TYPES}) - SYMBOLS == set()


def test_every_mask_of_the_stylesheets_is_a_view_of_the_sprite():
    masks = set(re.findall(r"sprite\.svg#([\w-]+)", CSS + ADMIN_CSS))
    assert len(masks) > 20
    assert masks - VIEWS == set()


@pytest.mark.parametrize("sheet", [CSS, ADMIN_CSS], ids=["app.css", "admin.css"])
def test_every_token_that_a_stylesheet_uses_is_defined(sheet):
    defined = set(re.findall(r"(--[\w-]+):", CSS + ADMIN_CSS))
    assert set(re.findall(r"var\((--[\w-]+)", sheet)) - defined == set()


# --- States ------------------------------------------------------------------------------------------------

CODES = [code for _, codes in STATUSES for code, _ in codes if code != "ON_ICE"]


@pytest.mark.parametrize("code", CODES)
def test_every_state_has_a_drawing_and_not_only_a_colour(code):
    """G-70: colour alone says nothing to some of us. Only UNKNOWN is drawn as the question that it is."""
    rules = [
        rule
        for rule in re.findall(r"([^{}]+)\{([^{}]*)\}", CSS)
        if re.search(rf"\.status--{code.lower()}\b", rule[0])
    ]
    drawn = any("--icon:" in body for _, body in rules)
    assert drawn or code == "UNKNOWN"
    assert rules


def test_the_style_guide_shows_every_state_of_the_product():
    from proposals.models import Proposal
    from purchases.models import Purchase
    from togai.models import Delivery

    ours = {*Proposal.Status.values, *Purchase.Status.values, *Delivery.State.values}
    assert ours - set(CODES) == set()


# --- Contrast ----------------------------------------------------------------------------------------------

TOKENS = {
    name: {"light": light, "dark": dark}
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", CSS)
}
GROUNDS = ["canvas", "surface", "sunken", "hover", "raised"]
TEXT = (
    [(ink, ground) for ink in ("ink", "ink-soft", "ink-mute", "accent-ink", "bad-ink") for ground in GROUNDS]
    + [(f"{tone}-ink", f"{tone}-soft") for tone in ("neutral", "info", "good", "warn", "bad", "accent")]
    + [
        (ink, f"{tone}-soft")
        for ink in ("ink", "ink-soft")
        for tone in ("info", "good", "warn", "bad", "accent")
    ]
    + [(f"{tone}-ink", "surface") for tone in ("info", "good", "warn")]
    + [("on-accent", "accent"), ("on-accent", "accent-hover"), ("on-accent", "bad-fill")]
)
# Edges that one has to see to use a control (WCAG 1.4.11), and what charts are drawn with.
EDGES = [("line-input", ground) for ground in ("surface", "canvas", "sunken", "raised")] + [
    (f"series-{number}", "surface") for number in (1, 2, 3, 4)
]


def luminance(colour):
    """Relative luminance of "#rrggbb" as WCAG 2.2 defines it, 0 to 1."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """Contrast ratio of two colours as WCAG 2.2 defines it, 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_measured_as_wcag_does():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_can_be_read_in_both_themes(ink, ground, theme):
    """G-70: accessibility, WCAG 2.2 AA 1.4.3: 4.5 to 1 for every pair of tokens that text is set in."""
    assert contrast(TOKENS[ink][theme], TOKENS[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("edge", "ground"), EDGES)
def test_edges_of_controls_can_be_seen_in_both_themes(edge, ground, theme):
    """G-70: accessibility, WCAG 2.2 AA 1.4.11: 3 to 1 for edges of inputs and what charts are drawn with."""
    assert contrast(TOKENS[edge][theme], TOKENS[ground][theme]) >= 3


# --- A page, as it leaves ----------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a test asks about a page: its ids, references, inline styles and handlers."""

    def __init__(self, html):
        super().__init__()
        self.ids, self.refused, self.assets, self.references = [], [], set(), set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if "id" in found:
            self.ids.append(found["id"])
        for name in ("for", "aria-describedby", "aria-controls", "aria-labelledby", "popovertarget"):
            self.references.update((found.get(name) or "").split())
        self.refused += [f"{tag} {name}" for name in found if name == "style" or name.startswith("on")]
        address = found.get("src") or (found.get("href") if tag in {"link", "use"} else None)
        if address:
            self.assets.add(address.partition("#")[0])


@pytest.fixture
def guide(rf):
    request = rf.get("/design/")
    request.user = AnonymousUser()
    response = design(request)
    assert response.status_code == 200
    return response.content.decode()


def test_the_style_guide_is_a_page_that_the_policy_lets_through(guide):
    """S-11: as rendered, with every component on it."""
    assert Page(guide).refused == []


def test_ids_are_unique_and_every_reference_has_its_target(guide):
    """G-70: labels, descriptions and pop-ups point at something."""
    page = Page(guide)
    assert len(page.ids) == len(set(page.ids))
    assert page.references - set(page.ids) == set()


def test_an_error_is_tied_to_its_field(guide):
    """G-70: a field that is wrong says so to readers, and where the words are."""
    quantity = re.search(r"<input[^>]*name=\"quantity\"[^>]*>", guide).group()
    assert 'aria-invalid="true"' in quantity
    assert "id_quantity_error" in re.search(r'aria-describedby="([^"]*)"', quantity).group(1).split()
    assert 'href="#id_quantity"' in guide


def test_a_first_visit_is_small(guide):
    """U1: at most 60 kB gzip and 8 requests, with the whole style guide as the page."""
    assets = Page(guide).assets
    files = {}
    for address in assets:
        name = address.removeprefix("/static/")
        home = (
            Path(django_htmx.__file__).parent / "static"
            if name.startswith("django_htmx")
            else ROOT / "static"
        )
        files[name] = len(gzip.compress((home / name).read_bytes(), 6))
    assert len(files) + 1 <= 8
    assert sum(files.values()) + len(gzip.compress(guide.encode(), 6)) <= 60_000


# --- Stock admin in our dress ------------------------------------------------------------------------------


def test_a_cell_of_an_admin_list_knows_its_column():
    """G-70: a row is a card on a phone, so that each value needs its name."""
    cells = [
        mark_safe('<td class="field-owner">Mia</td>'),
        mark_safe('<th class="field-name"><a>Harbor</a></th>'),
    ]
    headers = [{"text": "owner"}, {"text": 'name "as is"'}]
    assert list(labelled(cells, headers)) == [
        '<td data-label="Owner" class="field-owner">Mia</td>',
        '<th data-label="Name &quot;as is&quot;" class="field-name"><a>Harbor</a></th>',
    ]


def test_the_checkbox_of_a_row_gets_no_name():
    cell = mark_safe('<td class="action-checkbox"><input type="checkbox"></td>')
    headers = [{"text": "<input>", "class_attrib": ' class="action-checkbox-column"'}]
    assert list(labelled([cell], headers)) == [cell]


def test_yes_and_no_are_our_drawings_with_a_word():
    picture = mark_safe('<td><img src="/static/admin/img/icon-no.439e82.svg" alt="False"></td>')
    assert (
        drawn(picture)
        == '<td><span class="yesno yesno--no"><span class="visually-hidden">No</span></span></td>'
    )


def test_text_that_is_not_html_stays_text():
    """S-11: what a customer is called never becomes markup on its way through the filter."""
    assert drawn("<script>go()</script>") == "&lt;script&gt;go()&lt;/script&gt;"
    assert list(labelled(["<b>"], [{"text": "Name"}])) == ["&lt;b&gt;"]
