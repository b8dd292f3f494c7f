"""docs/operations.md says what the product does: its settings, its events, its states and its words."""

import ast
import re
from pathlib import Path

import pytest
from django.conf import settings

from config import health, logs
from togai import services, views
from togai.models import MOST_SENDS, Delivery

ROOT = Path(settings.BASE_DIR)
DOCS = (ROOT / "docs" / "operations.md").read_text()
# What a person is told to look for must be what the product says.
SOURCES = "".join(
    path.read_text() for app in ("togai", "purchases", "proposals") for path in ROOT.glob(f"{app}/*.py")
)
TEMPLATES = "".join(path.read_text() for path in ROOT.glob("templates/**/*.html"))
# By name of a setting what it is when the environment says nothing, in the words of the table.
UNTOLD = {"TOGAI_BASE_URL": "the sandbox"}


def table_below(headline):
    """The rows of the first table under a headline, as tuples of cells."""
    below = DOCS.split(f"\n{headline}\n", 1)[1]
    lines = re.search(r"(?:^\|.*\n)+", below, re.M)[0].splitlines()[2:]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def settings_of_togai():
    """Name → default, as `config/settings.py` reads them from the environment."""
    found = {}
    for node in ast.walk(ast.parse((ROOT / "config" / "settings.py").read_text())):
        if isinstance(node, ast.Call) and re.fullmatch(r"env\.\w+", ast.unparse(node.func)):
            name = node.args[0].value
            if name.startswith("TOGAI_"):
                found[name] = next(one.value for one in node.keywords if one.arg == "default")
    return {name: UNTOLD.get(name) or in_words(ast.literal_eval(value)) for name, value in found.items()}


def in_words(value):
    if isinstance(value, list):
        return ",".join(map(str, value))
    return f"`{value}`" if isinstance(value, str) else str(value)


def test_every_setting_of_the_line_is_told_with_its_default_and_a_reason():
    """2.10: and the reverse, nothing is told that does not exist."""
    rows = table_below("## Settings of the line to Togai")
    assert {name.strip("`"): default for name, default, _ in rows} == settings_of_togai()
    assert len(rows) == len(settings_of_togai()) > 30
    assert all(why for _, _, why in rows)


def test_every_state_is_told():
    """2.3: in the words that people see."""
    told = [state for state, _, _ in table_below("## What state is it in?")]
    assert sorted(told) == sorted(Delivery.State.labels)


@pytest.mark.parametrize("headline", ["### Held", "### Needs a person"])
def test_what_a_parked_row_says_stands_in_the_product(headline):
    """2.3: each sentence that an operator looks up is one that the product really writes."""
    below = DOCS.split(f"\n{headline}\n", 1)[1].split("\n### ")[0]
    said = re.findall(r"^\| (\*[^|]+)\|", below, re.M)
    assert len(said) >= 5
    for cell in said:
        for sentence in re.findall(r"\*([^*]+)\*", cell):
            for part in re.split(r"…", sentence):
                assert part.strip(" .") in SOURCES + TEMPLATES, part


def test_every_button_stands_in_the_product():
    """The headings of the table of ends, and the buttons that the text names."""
    buttons = "Let it go on", "Look now", "Pause sending", "Resume sending", "Sign and send again"
    buttons += "Link to a Togai id", "Declare absent", "Abandon", "Accept theirs", "Revise", "Ignore"
    for button in buttons:
        assert f"*{button}*" in DOCS, button
        assert button in TEMPLATES, button


def test_every_event_and_field_of_the_log_is_told():
    """S-30: what a collector can group by."""
    told = table_below("## The log")
    events = {event for names, _, _ in told for event in re.findall(r"`([a-z_.]+)`", names)}
    written = set(re.findall(r'(?:log\.\w+|access\.info|_tell)\(\s*"([a-z_]+\.[a-z_]+)"', SOURCES))
    written |= set(re.findall(r'event = "([a-z_.]+)" if \w+ else "([a-z_.]+)"', SOURCES)[0])
    assert events == written | {"request.finished"}
    fields = {field for _, names, _ in told for field in re.findall(r"`([a-z_]+)`", names)}
    assert fields == set(logs.FIELDS)
    outcomes = re.search(r"`outcome` is one of: (.+)\.", DOCS)[1]
    assert set(re.findall(r"`([^`]+)`", outcomes)) == set(views._OUTCOMES)


def test_the_figures_of_the_text_are_those_of_the_product():
    """2.10: what a person waits for before they are alarmed."""
    for minutes, limit in (
        (5, health.LONGEST_WAIT),
        (25, health.LONGEST_DOUBT),
        (3, health.LONGEST_SILENCE),
        (15, health.LATEST_FOLLOW),
    ):
        assert limit.total_seconds() == minutes * 60
    assert "oldest over 5 minutes" in DOCS
    assert "oldest over 25 minutes" in DOCS
    assert "no sign of work for 3 minutes" in DOCS
    assert "over 15 minutes late" in DOCS
    assert (services.MOST_LOOKS, "six times a minute" in DOCS) == (6, True)
    assert f"never over {MOST_SENDS}" in DOCS


def test_every_link_leads_somewhere():
    """Within the page, and to the pages beside it."""
    for page in ("operations.md", "running.md"):
        text = (ROOT / "docs" / page).read_text()
        for target in re.findall(r"\]\(([^)]+)\)", text):
            name, _, anchor = target.partition("#")
            there = ROOT / "docs" / (name or page)
            assert there.exists(), target
            assert not anchor or anchor in anchors(there.read_text()), target
    assert "(docs/operations.md)" in (ROOT / "README.md").read_text()
    assert "(operations.md" in (ROOT / "docs" / "running.md").read_text()


def anchors(text):
    """The anchors that headlines of a page get."""
    heads = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^a-z0-9 _-]", "", head.lower()).replace(" ", "-") for head in heads}
