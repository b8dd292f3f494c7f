"""Every page as it leaves: under one policy, with nothing inline or foreign, not stored, and readable."""

from collections import defaultdict

import pytest
import responses

from tests.permissions import matrix
from tests.permissions.objects import SECRET, send
from tests.permissions.pages import Page
from tests.permissions.watching import watched

pytestmark = [pytest.mark.django_db, pytest.mark.one_database]

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "object-src": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Whoever holds the link reads the offer; its address is told to nobody (P-30).
BY_LINK = ("proposals:customer_page", "proposals:customer_pdf")
# Answers to a person that are no page.
NO_PAGE = (405,)
# Callers whose pages are those of another column: the same role, and no more rows.
SAME = ("SX", "MX", "SU")


def _asked():
    """Per question one cell of each role that is shown something, and one of each way of being refused."""
    asked = defaultdict(dict)
    for cell in matrix.cells():
        if cell.answer in (matrix.LOGIN, "303") or cell.name.startswith("api:"):
            continue
        if cell.answer == "200" and cell.caller in SAME:
            continue
        shown = cell.caller if cell.answer == "200" and cell.method == "GET" else ""
        question = cell.name, cell.method, cell.thing, cell.how
        asked[question].setdefault((cell.answer, shown), cell)
    return [pytest.param([*cells.values()], id=" ".join(filter(None, key))) for key, cells in asked.items()]


@pytest.mark.parametrize("cells", _asked())
def test_every_page_is_one_that_the_policy_lets_through(cells, world):
    """
    S-10, S-11: for every caller who is shown the page, and for every way of being refused.

    No style attribute, inline script, handler or foreign address, whatever is in the data; a token in every
    form, a label at every control, one heading, a title, no id twice, every reference with its target.
    """
    part = matrix.entries()[cells[0].name].part
    faults = []
    for cell in cells:
        with responses.RequestsMock(assert_all_requests_are_fired=False):
            answer = world.ask(cell)
        signed_in = bool(world.callers[cell.caller].session)
        policy = "no-referrer" if cell.name in BY_LINK and cell.method == "GET" else "same-origin"
        found = header_faults(answer, signed_in=signed_in or policy == "no-referrer", referrer=policy)
        if answer["Content-Type"].startswith("text/html") and answer.status_code not in NO_PAGE:
            found += Page(answer.content.decode(), part=part and answer.status_code == 200).faults
        faults += [f"{cell.caller} {cell.answer}: {fault}" for fault in found]
    assert faults == []


def header_faults(answer, *, signed_in=True, referrer="same-origin"):
    """What is wrong with the headers of an answer, in words."""
    wanted = HEADERS | {"Referrer-Policy": referrer}
    faults = [f"{name}: {answer.get(name)}" for name, value in wanted.items() if answer.get(name) != value]
    if policy_of(answer) != POLICY:
        faults.append(f"the policy {answer.get('Content-Security-Policy')}")
    if signed_in and "no-store" not in answer.get("Cache-Control", ""):
        faults.append(f"it may be stored: {answer.get('Cache-Control')}")
    return faults


def policy_of(answer):
    """The content security policy of an answer by directive."""
    directives = answer.get("Content-Security-Policy", "").split(";")
    return {name: value for name, _, value in (one.strip().partition(" ") for one in directives) if name}


@pytest.mark.parametrize("name", [name for name in matrix.entries() if name.startswith("api:")])
def test_answers_to_programs_carry_the_same_headers(name, world):
    """S-10, S-11: also what a browser reads from the API, its description included."""
    cells = [cell for cell in matrix.cells() if (cell.name, cell.caller) in ((name, "AN"), (name, "SO"))]
    for cell in cells:
        faults = header_faults(world.ask(cell), signed_in=cell.caller != "AN")
        assert not faults, f"{cell}: {faults}"


def test_the_page_about_the_api_needs_no_other_policy(world):
    """S-11: no exception for anybody; whole page, our shell."""
    page = Page(world.callers["SO"].client().get("/api/docs/").content.decode())
    assert page.faults == []


@pytest.mark.parametrize(
    "path",
    ["/nowhere/", "/proposals/P-999999/", "/accounts/%00/", "/login/", "/proposals/?q=%ff", "/healthz"],
)
def test_strangers_and_lost_people_get_the_same_headers(path, world):
    """S-10: also where no view answers."""
    for caller in ("AN", "SO"):
        answer = world.callers[caller].client().get(path)
        faults = header_faults(answer, signed_in=False)
        if answer.status_code == 400:
            # Refused before the rest of the house wakes up, as one line of plain text that cannot be framed
            # under this policy.
            faults = [fault for fault in faults if fault.startswith("the policy")]
        assert not faults, (caller, faults)


LONG = "x" * 5000
MISTAKES = [
    ("login", "", "AN", {"password": "wrong"}),
    ("password_change", "", "SO", {"new_password2": "something else"}),
    ("tokens", "", "SO", {"password": "wrong", "days": "1000"}),
    ("proposals:new", "", "SO", {"title": LONG, "quantity": "many", "valid_until": "tomorrow"}),
    ("proposals:edit", "draft", "SO", {"title": LONG, "quantity": "-1", "type": "GIFT"}),
    ("proposals:recall", "submitted", "SO", {"reason": "", "reason_code": "nonsense"}),
    ("proposals:decline", "submitted", "FN", {"reason": "no", "reason_code": ""}),
    ("proposals:request_changes", "submitted", "FN", {"reason": "no", "note_0": LONG}),
    ("purchases:new", "", "SO", {"title": LONG, "quantity": "many"}),
    ("purchases:edit", "draft", "SO", {"internal_note": LONG, "quantity": "0"}),
    ("purchases:recall", "submitted", "SO", {"reason": ""}),
    ("purchases:send_back", "submitted", "FN", {"reason": "no"}),
    ("accounts:edit", "", "AD", {"name": "", "email": "nobody", "net_term_days": "x", "tags": LONG}),
    ("admin:auth_user_add", "", "AD", {"username": "<b>", "email": "nobody", "own_password": "wrong"}),
    ("admin:auth_user_change", "rep", "AD", {"email": "nobody", "own_password": "wrong"}),
    ("admin:auth_user_password", "rep", "AD", {"own_password": "wrong"}),
    ("admin:accounts_team_add", "", "AD", {"name": LONG}),
    ("admin:proposals_reasoncode_change", "", "AD", {"label": "", "position": "-1"}),
    ("admin:proposals_proposal_change", "draft", "AD", {"title": LONG}),
]


@pytest.mark.parametrize(
    ("name", "thing", "caller", "typed"), MISTAKES, ids=lambda part: part and str(part)[:40]
)
def test_a_form_that_comes_back_with_its_errors_is_as_sound(name, thing, caller, typed, world):
    """S-01, S-11: mistakes are told on a page of the same quality, as 200 or 422, and store nothing."""
    cell = matrix.Cell(name, "POST", thing, "", caller, "200")
    with watched() as watch:
        answer = send(world.callers[caller].client(), "POST", world.path(cell), world.body(cell) | typed)
    assert answer.status_code in (200, 422)
    assert watch.changes(world.before) == []
    page = Page(answer.content.decode())
    assert page.faults == []
    assert header_faults(answer, signed_in=caller != "AN") == []


# --- The data on these pages is hostile, and belongs to somebody -------------------------------------------

SHOWS = [
    ("proposals:list", "", "SO"),
    ("proposals:detail", "submitted", "FN"),
    ("proposals:edit", "draft", "SO"),
    ("proposals:approvals", "", "FN"),
    ("proposals:decline", "submitted", "FN"),
    ("purchases:list", "", "SO"),
    ("purchases:detail", "sent", "SO"),
    ("purchases:plan", "", "SO"),
    ("accounts:list", "", "SO"),
    ("accounts:detail", "", "SO"),
    ("accounts:edit", "", "AD"),
    ("accounts:search", "", "SO"),
    ("proposals:customer_page", "open", "AN"),
    ("togai:delivery", "unknown", "FN"),
    ("overview", "", "FN"),
    ("admin:accounts_account_changelist", "", "AD"),
    ("admin:accounts_team_change", "", "AD"),
    ("admin:auth_user_change", "rep", "AD"),
    ("admin:proposals_proposal_change", "draft", "AD"),
    ("admin:proposals_decision_changelist", "", "AU"),
    ("admin:togai_remotesnapshot_change", "", "AU"),
    ("admin:django_q_failure_changelist", "", "AD"),
]


@pytest.mark.parametrize(("name", "thing", "caller"), SHOWS)
def test_hostile_text_is_shown_as_the_text_it_is(name, thing, caller, world):
    """Reliability 4.2, 48: tags and template code in names, notes and Togai's words arrive as words."""
    cell = matrix.Cell(name, "GET", thing, "", caller, "200")
    query = {"q": SECRET} if name == "accounts:search" else {}
    with responses.RequestsMock(assert_all_requests_are_fired=False):
        answer = send(world.callers[caller].client(), "GET", world.path(cell), query)
    page = Page(answer.content.decode(), part=matrix.entries()[name].part)
    assert page.faults == []
    assert "alert(1)" in page.words, "The hostile text is not on this page, so this proves nothing."


@pytest.mark.parametrize("caller", ["SX", "MX"])
def test_nobody_meets_what_is_not_theirs(caller, world):
    """S-07, G-62: of somebody else's deals no name, note, number or id is on any page, list or answer."""
    numbers = [deal.reference.lower() for (_, _, author), deal in world.deals.items() if author == "SO"]
    asked = [
        cell
        for cell in matrix.cells()
        if (cell.caller, cell.answer, cell.method) == (caller, "200", "GET") and cell.name not in BY_LINK
    ]
    met = []
    for cell in asked:
        with responses.RequestsMock(assert_all_requests_are_fired=False):
            text = world.ask(cell).content.decode().lower()
        met += [(str(cell), word) for word in (SECRET, *numbers) if word in text]
    assert len(asked) > 15
    assert met == []


@pytest.mark.parametrize("query", ["q=spre", "q=P-000001", "q=1", "owner=me", "status=SUBMITTED"])
@pytest.mark.parametrize(
    "path",
    [
        "/accounts/",
        "/accounts/search/",
        "/proposals/",
        "/purchases/",
        "/proposals/new/",
        "/purchases/new/",
        "/api/v1/accounts/",
        "/api/v1/proposals/",
        "/api/v1/purchases/",
    ],
)
def test_no_search_or_filter_finds_what_is_not_ones_own(path, query, world):
    """S-07: the owner of the rows finds them; somebody else does not."""
    found = {
        caller: world.callers[caller].client().get(f"{path}?{query}").content.decode().lower()
        for caller in ("SO", "SX", "MX")
    }
    assert SECRET not in found["SX"]
    assert SECRET not in found["MX"]


def test_the_owner_does_find_them(world):
    """S-07: the searches above ask for something that is there."""
    owner = world.callers["SO"].client()
    for path in ("/accounts/", "/accounts/search/", "/proposals/", "/purchases/", "/api/v1/accounts/"):
        assert SECRET in owner.get(f"{path}?q=spre").content.decode().lower(), path


def test_the_checks_find_what_they_are_for():
    """S-11: a check that finds nothing in a bad page would prove nothing about ours."""
    bad = (
        '<html><head><title></title><style>a{}</style><base href="/x/"></head><body><h1>a</h1><h1>b</h1>'
        '<p id="a" style="color:red" onclick="go()">x</p><p id="a"></p><script>go()</script>'
        '<a href="javascript:go()">x</a><img src="//elsewhere.example/x.png"><img src="data:image/png,x">'
        '<form method="post" action="https://elsewhere.example/"><input name="q"></form>'
        '<span aria-describedby="nothing"></span><button hx-on:click="go()" hx-vals="js:{}">x</button>'
    )
    found = "\n".join(Page(bad).faults)
    for fault in (
        "style attribute",
        "element style",
        "element base",
        "handler onclick",
        "handler hx-on:click",
        "script in hx-vals",
        "inline script",
        "javascript:go()",
        "//elsewhere.example/x.png",
        "data:image",
        "https://elsewhere.example/ in form",
        "without a CSRF token",
        "control without a label: input q",
        "ids that come twice",
        "#nothing",
        "2 h1",
        "titles: []",
        "no language",
    ):
        assert fault in found, fault


def test_a_form_is_read_as_a_browser_reads_it():
    """The bodies of the matrix come from these forms."""
    page = Page(
        """
        <form method="post"><input type="hidden" name="csrfmiddlewaretoken" value="x">
        <input name="a" value="1"><input type="checkbox" name="b">
        <input type="radio" name="c" value="2" checked>
        <select name="d"><option value="x">x</option><option value="y" selected>y</option></select>
        <select name="e" multiple><option value="1" selected>1</option><option selected value="2">2</option>
        </select>
        <select name="f"><option value="first">x</option></select>
        <textarea name="g">\none &lt;b&gt;\ntwo</textarea><button name="do" value="save">x</button></form>
        """,
        part=True,
    )
    assert page.form().data == {
        "a": "1",
        "c": "2",
        "d": "y",
        "e": ["1", "2"],
        "f": "first",
        "g": "one <b>\ntwo",
    }
