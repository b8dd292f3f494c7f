"""Every cell of docs/permissions.toml, tried against the running product."""

import os
from math import gcd

import pytest
import responses
from django.db import connection

from audit.middleware import REFUSED
from audit.models import Denial
from tests.permissions import matrix
from tests.permissions.watching import watched

pytestmark = pytest.mark.django_db

# The answers come from the same code on either database: on the second one a spread of the cells is enough to
# show that it refuses and writes alike. No column is left out, as their number shares no factor with it.
SPREAD = 12 if connection.vendor == "postgresql" and not os.environ.get("EVERY_CELL") else 1

SAFE = ("GET", "HEAD", "OPTIONS")
DONE = ("201", "202", "303")
# A POST that shows something and stores it at once: what is shown is shown once.
SHOWN_ONCE = ("proposals:make_link", "tokens", "admin:auth_user_add", "admin:auth_user_password")
# What a customer reads is counted (P-30); whoever is signed in is none.
COUNTED = ("proposals:customer_page", "proposals:customer_pdf")
# Here 303 only leads elsewhere.
LEADS_ON = (
    "admin:login",
    "admin:password_change",
    "admin:password_change_done",
    "admin:view_on_site",
    "/admin/",
)


@pytest.mark.parametrize("cell", matrix.cells()[::SPREAD], ids=str)
def test_cell(cell, world):
    """S-01: the answer of the matrix; a refusal calls nobody and writes nothing but that it was refused."""
    before = world.before
    with responses.RequestsMock(assert_all_requests_are_fired=False) as outside, watched() as watch:
        answer = world.ask(cell)
    assert said(answer) == cell.answer, answer.content[:2000].decode(errors="replace")
    if cell.answer not in ("200", *DONE):
        assert not outside.calls
    assert on_record(answer) == (
        [answer.status_code] if answer.status_code in REFUSED and signed_in(cell) else []
    )
    if (cell.name, cell.method) == ("login", "POST"):
        # Whoever signs in is marked as seen; whoever is signed in already is not.
        return
    if is_a_change(cell):
        assert watch.changes(before) != [], "It says that it is done, and nothing is."
    else:
        assert watch.changes(before) == []


def on_record(answer):
    """What the record says of this one request being refused."""
    return [denial.status for denial in Denial.objects.filter(request_id=answer["X-Request-ID"])]


def signed_in(cell):
    """Whether somebody asks; to pages a program is a stranger."""
    is_known = cell.caller not in ("TK", "TF") or cell.name.startswith(matrix.FOR_PROGRAMS)
    return cell.caller != "AN" and is_known


def is_a_change(cell):
    """Whether the answer says that something was stored."""
    if cell.name in COUNTED:
        return cell.answer == "200" and not signed_in(cell)
    if cell.method in SAFE or cell.name.startswith(LEADS_ON):
        return False
    if cell.method == "PATCH" and cell.answer == "200":
        return True
    return cell.answer in DONE or (cell.answer == "200" and cell.name in SHOWN_ONCE)


def said(answer):
    """An answer in the words of the matrix."""
    if answer.status_code not in (302, 303):
        return str(answer.status_code)
    return matrix.LOGIN if answer["Location"].startswith(("/login/?next=", "/admin/login/?next=")) else "303"


def test_the_door_of_the_administration_is_the_one_door(client):
    """S-16: whoever is sent to the sign-in page of the administration arrives at ours, with the way back."""
    answer = client.get("/admin/proposals/proposal/", follow=True)
    assert answer.redirect_chain[-1] == ("/login/?next=/admin/proposals/proposal/", 302)
    assert answer.templates[0].name == "account/login.html"


def test_the_matrix_is_as_wide_as_it_has_to_be():
    """S-02: at least 27 actions by 8 callers on each of the two doors."""
    assert len(matrix.columns()) >= 8
    doors = {name.partition(":")[0] for name in matrix.entries()}
    assert {"proposals", "purchases", "accounts", "togai", "api", "admin"} <= doors
    cells = matrix.cells()
    assert sum(cell.name.startswith("api:") for cell in cells) >= 216
    assert sum(not cell.name.startswith(("api:", "admin:", "/admin/")) for cell in cells) >= 216


def test_a_spread_of_the_cells_asks_everybody():
    """S-02: also where only some are tried."""
    assert gcd(len(matrix.columns()), 4) == 1
    assert {cell.caller for cell in matrix.cells()[::4]} == {cell.caller for cell in matrix.cells()}


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
