"""Every cell of docs/permissions.toml, tried against the running product."""

import pytest
import responses

from tests.permissions import matrix
from tests.permissions.watching import watched

SAFE = ("GET", "HEAD", "OPTIONS")
DONE = ("201", "202", "303")
# Here 303 changes sessions and nothing else, which the watch leaves out.
ONLY_SESSIONS = ("login", "admin:login", "admin:logout")


@pytest.mark.parametrize("cell", matrix.cells(), ids=str)
def test_cell(cell, world):
    """S-01: each caller gets the answer of the matrix; a refused one changes no row and calls nobody."""
    before = world.before
    with responses.RequestsMock(assert_all_requests_are_fired=False) as outside, watched() as watch:
        answer = world.ask(cell)
    assert said(answer) == cell.answer, answer.content[:2000].decode(errors="replace")
    if cell.method in SAFE or cell.answer not in ("200", *DONE):
        assert watch.changes(before) == []
    if cell.answer not in ("200", *DONE):
        assert not outside.calls
    if cell.method not in SAFE and cell.answer in DONE and cell.name not in ONLY_SESSIONS:
        assert watch.changes(before) != [], "It says that it is done, and nothing is."


def said(answer):
    """An answer in the words of the matrix."""
    if answer.status_code not in (302, 303):
        return str(answer.status_code)
    return matrix.LOGIN if answer["Location"].startswith("/login/") else "303"


def test_the_matrix_is_as_wide_as_it_has_to_be():
    """S-02: at least 27 actions by 8 callers on each of the two doors."""
    assert len(matrix.columns()) >= 8
    doors = {name.partition(":")[0] for name in matrix.entries()}
    assert {"proposals", "purchases", "accounts", "togai", "api", "admin"} <= doors
    cells = matrix.cells()
    assert sum(cell.name.startswith("api:") for cell in cells) >= 216
    assert sum(not cell.name.startswith(("api:", "admin:", "/admin/")) for cell in cells) >= 216


def test_no_cell_expects_a_crash():
    """S-01: never 5xx."""
    allowed = {matrix.LOGIN, "200", "201", "202", "303", "401", "403", "404", "405", "409"}
    assert {cell.answer for cell in matrix.cells()} <= allowed


def test_the_file_explains_itself():
    """S-02: its head names every column, word and answer that it uses."""
    head = matrix.FILE.read_text().partition("[addresses")[0]
    cells = matrix.cells()
    for word in {cell.answer for cell in cells}:
        assert f"{word}  " in head or f"{word}," in head, word
    used = {word for cell in cells for word in (cell.thing, cell.how) if word}
    assert used <= set(matrix.things())
    assert set(matrix.things()) <= used, "Words that nothing uses."
    for entry in matrix.entries().values():
        assert entry.what.strip()
