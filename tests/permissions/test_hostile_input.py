"""Addresses, queries, methods, tokens and fields as nobody honest would send them (reliability.md 4.2)."""

import base64
import json
import re
from itertools import cycle
from urllib.parse import quote, urljoin, urlsplit

import pytest
import responses
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import transaction
from django.test import Client

from audit.models import Event
from proposals.models import ApprovalStep, Decision, Proposal
from tests.factories import PASSWORD, AccountFactory
from tests.permissions import matrix
from tests.permissions.objects import SECRET, contents, send
from tests.permissions.pages import Page
from tests.permissions.test_matrix import COUNTED
from tests.permissions.watching import watched
from togai.models import DeliveryAttempt

pytestmark = pytest.mark.django_db

CALM = (200, 204, 302, 303, 400, 403, 404, 405, 406, 409, 422)
NINES, DIGITS = "9" * 30, "9" * 5000
LISTS = ["/proposals/", "/purchases/", "/accounts/", "/plans/", "/deliveries/", "/approvals/"]
SEARCHES = [
    "/proposals/",
    "/purchases/",
    "/accounts/",
    "/accounts/search/",
    "/proposals/new/",
    "/purchases/new/",
    "/admin/proposals/proposal/",
    "/admin/accounts/account/",
    "/admin/auth/user/",
    "/api/v1/accounts/",
]
AUTOCOMPLETE = "/admin/autocomplete/?app_label=accounts&model_name=account&field_name=owner&term="


def cursor(*values):
    """A place in a list as its pager writes it."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def asked(is_wanted, key=None):
    """
    One cell per address, of the first caller for whom `is_wanted(cell)`.

    Pages of the administration that are the same code as others are left out, but for the lists.
    """
    found = {}
    for cell in sorted(matrix.cells(), key=key) if key else matrix.cells():
        same = cell.name.startswith(("admin:", "/admin/")) and matrix.entries()[cell.name].like
        if is_wanted(cell) and (not same or cell.name.endswith("changelist")):
            found.setdefault(cell.name, cell)
    return list(found.values())


def shown():
    """Every address that shows something, with an administrator where there is one who sees it."""
    callers = ("AD", "FN", "SO", "AN")
    return asked(
        lambda cell: (cell.method, cell.answer) == ("GET", "200") and cell.caller in callers,
        key=lambda cell: callers.index(cell.caller) if cell.caller in callers else len(callers),
    )


@pytest.fixture
def calm(world):
    """Ask as somebody, and see to it that nothing breaks, nothing is stored and nobody is called."""

    def ask(caller, method, path, body=None, *, answers=CALM, **options):
        with (
            responses.RequestsMock(assert_all_requests_are_fired=False),
            watched() as watch,
        ):
            answer = send(world.callers[caller].client(**options), method, path, body)
        assert answer.status_code in answers, (path[:200], answer.status_code)
        assert watch.changes(world.before) == [], path[:200]
        return answer

    return ask


# --- Queries and paths -------------------------------------------------------------------------------------

QUERIES = [
    f"q={'x' * 10_240}&term={'x' * 10_240}",
    f"q={quote(chr(39))}%20OR%201%3D1--&term=%25_%5C%22*&account={quote('../x')}&deal=P-{NINES}",
    f"q={quote(chr(34))}a{quote(chr(34))}%20NEAR%20b%20AND%20(%20*%20{{&status=NOPE&type=NOPE&owner=NOPE&mode=%20",
    f"after={NINES}&version={NINES}&a={NINES}&b=plan&owner={NINES}&page={NINES}&p={NINES}",
    f"after={DIGITS}&version={DIGITS}&a={DIGITS}&b={DIGITS}&owner={DIGITS}",
    "after=-1&before=-1&page=-1&p=-1&version=-1&a=-1&b=1&owner=-1",
    f"before={NINES}&page_size=1000000&cursor={cursor(None)}&page=1000000000",
    f"after={cursor(1, 2)}&before={cursor([], {})}",
    f"after={cursor('x' * 3000, '1')}",
    f"after={cursor(None, True)}&cursor=%25%25%25",
    f"after={'[' * 2000}&after=1&after=2",
    f"after={base64.urlsafe_b64encode(b'[' * 5000).decode()}",
    "after=%F0%9F%98%80&owner=%D9%A3&version=%EF%BC%91&a=%E2%91%A0&b=%F0%9F%98%80",
    "owner__password__startswith=a&status__in=a,b&_connector=OR&order_by=password&ordering=password&o=1.-2.9",
    "pk__in=1,2&id__gt=0&account__owner__password__regex=.*&created_by__email__icontains=a&_negated=1",
    "e=1&all=&_popup=1&_to_field=password&_facets=True&_changelist_filters=%3F&is_null__isnull=maybe",
    "seen=x&try=1&format=html&from=approvals&next=//evil.example&toast=1&lang=zz&script=1",
    "q=%0d%0aSet-Cookie:%20a=b&status=%0d%0a&account=%E2%80%AE&q[]=1&q[$ne]=1",
]


@pytest.mark.parametrize("cell", shown(), ids=lambda cell: cell.name)
def test_no_query_breaks_a_page(cell, world, calm):
    """Reliability 4.2, 44, 49 to 52: cursors, look-ups, lists and numbers from nowhere; never 5xx."""
    path = world.path(cell)
    for query in QUERIES:
        calm(cell.caller, "GET", f"{path}?{query}")


@pytest.mark.parametrize("cell", shown(), ids=lambda cell: cell.name)
def test_text_that_no_row_holds_is_refused_in_every_query(cell, world, calm):
    """Reliability 4.2, 21 to 23: NUL, broken and overlong UTF-8, half a surrogate."""
    path = world.path(cell)
    for bad in ("%00", "a%00b", "%ff", "%c0%af", "%ed%a0%80", "%f8%88%80%80%80"):
        for query in (f"q={bad}", f"status={bad}", f"{bad}=1", f"after={bad}"):
            calm(cell.caller, "GET", f"{path}?{query}", answers=(400,))


@pytest.mark.parametrize(
    "pattern",
    [
        "/proposals/{}/",
        "/proposals/P-000001/{}/",
        "/proposals/P-000001/r{}/",
        "/proposals/{}/edit/",
        "/purchases/{}/",
        "/purchases/{}/release/",
        "/plans/{}/",
        "/accounts/{}/",
        "/accounts/{}/edit/",
        "/accounts/{}/live/",
        "/deliveries/{}/",
        "/tokens/{}/revoke/",
        "/api/v1/proposals/{}/",
        "/api/v1/purchases/{}/",
        "/api/v1/accounts/{}/",
        "/api/v1/plans/{}/",
        "/admin/proposals/proposal/{}/change/",
        "/admin/accounts/account/{}/history/",
        "/admin/accounts/team/{}/delete/",
        "/admin/togai/delivery/{}/change/",
        "/admin/knox/authtoken/{}/delete/",
        "/admin/proposals/reasoncode/{}/change/",
        "/admin/auth/user/{}/password/",
        "/admin/r/{}/1/",
        "/admin/{}/",
    ],
)
def test_no_key_from_nowhere_finds_or_breaks_anything(pattern, calm):
    """Reliability 4.2, 20, 23, 26 to 28, 44: 404 or 400, from the page, the API and the administration."""
    keys = [
        NINES,
        DIGITS,
        "-1",
        "0",
        "1e3",
        "0x10",
        f"P-{NINES}",
        "P-0000001",
        "P-%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96",
        "D-000000",
        "p-000001",
        "00000000-0000-0000-0000-000000000000",
        "a%00b",
        "%ff",
        "%c0%af",
        "%ed%a0%80",
        "..",
        "%2e%2e",
        "a%2f..%2f..%2fadmin",
        "a%252Fb",
        "x%3Fy",
        "x%23f",
        "%5C",
        "a%0d%0ab",
        "a%09b",
        "a%C2%A0",
        "%E2%80%AE",
        "%F0%9F%98%80" * 50,
        "x" * 5000,
        "'%20OR%201=1--",
        "_5F00",
        "1_2E_2E",
    ]
    for caller in ("AD", "SO"):
        for key in keys:
            answer = calm(caller, "GET", pattern.format(key), answers=(302, 400, 403, 404, 405))
            if answer.status_code == 302:
                # The administration takes any rest of an address for a key and leads to the page of that row.
                assert answer["Location"].endswith("/change/")
                calm(caller, "GET", answer["Location"], answers=(400, 404))
            assert answer.status_code != 403 or caller == "SO"


@pytest.mark.parametrize("togai_id", ["a/b", "x?y", "x#f", "a%2Fb", "two words", "quote\"s'", "é", "a+b&c=d"])
def test_an_account_with_an_odd_id_is_found_through_its_links(togai_id, world, calm):
    """Reliability 4.2, 27: Togai's ids are free text; an address carries them whole."""
    account = AccountFactory(togai_id=togai_id, name="Oddly named", owner=world.user("SO"))
    page = Page(world.callers["SO"].client().get("/accounts/?q=oddly").content.decode())
    link = next(link for link in page.links if link == account.get_absolute_url())
    with responses.RequestsMock(assert_all_requests_are_fired=False):
        answer = world.callers["SO"].client().get(link)
    assert answer.status_code == 200
    assert answer.context["account"] == account


@pytest.mark.parametrize("path", SEARCHES)
def test_a_search_is_taken_literally(path, world):
    """Reliability 4.2, 49: wildcards and quotes look for themselves."""
    owner = world.callers["AD"].client()
    for text in (
        "%%%",
        "___",
        "o_prey",
        "os%ey",
        "' OR 1=1--",
        '" OR "a',
        "osprey*",
        "osprey OR wren",
        "\\\\\\",
    ):
        answer = owner.get(f"{path}?q={quote(text)}")
        assert answer.status_code == 200
        rows = answer.content.decode().lower().replace(f"{text}".lower(), "")
        assert f"{SECRET}.foods" not in rows, text


@pytest.mark.parametrize("path", [f"{path}?q=" for path in SEARCHES] + [AUTOCOMPLETE])
def test_an_endless_search_is_refused(path, calm):
    """Reliability 4.2, 51: 400 above 200 characters, however many words; up to there it is answered."""
    calm("AD", "GET", path + "x" * 200, answers=(200,))
    for text in ("x" * 201, "x" * 10_240, "word%20" * 1000, "(a%2B)%2B" * 500):
        calm("AD", "GET", path + text, answers=(400,))


@pytest.mark.parametrize("path", LISTS)
def test_a_page_far_away_is_the_first_page(path, calm):
    """Reliability 4.2, 52: no page number, size or offset; a place that is none leads to the start."""
    first = calm("FN", "GET", path, answers=(200,))
    for query in ("page=1000000000", "page=-1", "page_size=1000000", "offset=5", "limit=100000", "p=7"):
        again = calm("FN", "GET", f"{path}?{query}", answers=(200,))
        assert text_of(again) == text_of(first), query
    assert len(calm("FN", "GET", "/api/v1/proposals/?page_size=1000000").json()["results"]) <= 200


@pytest.mark.parametrize("path", LISTS[:4])
def test_a_look_up_in_the_address_filters_nothing(path, calm):
    """Reliability 4.2, 50: only the filters that the page has; what is unknown is as if it were not there."""
    first = calm("FN", "GET", path, answers=(200,))
    for query in (
        "owner__password__startswith=a",
        "account__name__regex=.*",
        "_connector=OR",
        "status__in=DRAFT",
        "order_by=-pk",
    ):
        assert text_of(calm("FN", "GET", f"{path}?{query}", answers=(200,))) == text_of(first), query


AGE = re.compile(r"\b(?:just now|a moment|less than a minute|\d+ (?:second|minute|hour)s?)\b")


def text_of(answer):
    """What the main part of a page says; ages are left out, as a minute may pass between two requests."""
    words = Page(answer.content.decode()).words
    return AGE.sub("an age", words.partition("Skip to the content")[2])


# --- The administration ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/admin/audit/event/", "at__year=9999"),
        ("/admin/audit/event/", "when__year=9999"),
        ("/admin/audit/event/", "actor__password__startswith=a"),
        ("/admin/auth/user/", "password__startswith=argon2"),
        ("/admin/auth/user/", "is_superuser__exact=1"),
        ("/admin/auth/user/", "groups__name__contains=F"),
        ("/admin/proposals/proposal/", "status=NOPE"),
        ("/admin/proposals/proposal/", "status__in=DRAFT,SUBMITTED"),
        ("/admin/proposals/proposal/", "owner=abc"),
        ("/admin/proposals/proposal/", f"owner={NINES}"),
        ("/admin/proposals/proposal/", "status=%00"),
        ("/admin/proposals/proposal/", "_connector=OR"),
        ("/admin/togai/delivery/", "state=%27"),
        ("/admin/knox/authtoken/", "digest__startswith=a"),
    ],
)
def test_a_filter_that_the_list_does_not_have_is_refused(path, query, calm):
    """Reliability 4.2, 22, 40, 43, 50: 400, so that no column can be guessed letter by letter."""
    calm("AD", "GET", f"{path}?{query}", answers=(400,))


@pytest.mark.parametrize("key", ["abc", "", "-1", "0", NINES, DIGITS, "1.5", "\x00", "１", "1 OR 1=1", "[]"])
def test_a_chosen_row_that_is_no_key_is_refused(key, calm):
    """Reliability 4.2, 41: 400 and nothing chosen."""
    for path in ("/admin/proposals/proposal/", "/admin/accounts/account/"):
        given = {"action": "change_owner", ACTION_CHECKBOX_NAME: ["1", key]}
        calm("AD", "POST", path, given, answers=(400,))


@pytest.mark.parametrize(
    "action", ["delete_selected", "nonsense", "approve\x00", "__class__", "change_owner "]
)
def test_an_action_that_is_not_offered_is_refused(action, world, calm):
    """Reliability 4.2, 41: above all not Django's own deletion."""
    given = {"action": action, ACTION_CHECKBOX_NAME: [world.deals["proposal", "draft", "SO"].pk]}
    calm("AD", "POST", "/admin/proposals/proposal/", given | {"post": "yes"}, answers=(400,))


def test_a_plan_that_somebody_wrote_themselves_is_refused(world, calm):
    """Reliability 4.2, 41: what is carried out is what the page before has sealed."""
    for step in ("plan", "chosen"):
        for text in ("", "abc", "e30:1:x", '{"rows": [[1, 1]]}', "\x00", "x" * 100_000):
            given = {"action": "change_owner", step: text, "to": world.user("SX").pk}
            calm("AD", "POST", "/admin/proposals/proposal/", given, answers=(400,))


def test_a_whole_page_of_chosen_rows_with_ten_fields_each_is_read(world, calm):
    """Reliability 4.2, 18: 1,105 fields are no attack."""
    pk = world.deals["proposal", "draft", "SO"].pk
    keys = [pk, *range(10**6, 10**6 + 1_100)]
    given = {"action": "change_owner", ACTION_CHECKBOX_NAME: keys}
    calm("AD", "POST", "/admin/proposals/proposal/", given, answers=(200,))


FORMSETS = [
    {"TOTAL_FORMS": "abc", "INITIAL_FORMS": "abc"},
    {"TOTAL_FORMS": NINES, "INITIAL_FORMS": "0"},
    {"TOTAL_FORMS": "-1", "INITIAL_FORMS": "-1"},
    {"TOTAL_FORMS": "1001", "INITIAL_FORMS": "0", "MAX_NUM_FORMS": "5000"},
    {
        "TOTAL_FORMS": "2",
        "INITIAL_FORMS": "0",
        "0-order": "7",
        "0-role": "Finance",
        "0-because": "forged",
        "0-state": "APPROVED",
        "0-verb": "approve",
        "1-id": "1",
        "1-state": "APPROVED",
        "1-DELETE": "on",
    },
]


@pytest.mark.parametrize("forged", FORMSETS, ids=range(len(FORMSETS)))
def test_a_forged_formset_makes_and_changes_no_row(forged, world):
    """Reliability 4.2, 42: the rows below a proposal are there to look at, whatever is sent."""
    cell = matrix.Cell("admin:proposals_proposal_change", "POST", "draft", "", "AD", "")
    waiting = world.deals["proposal", "submitted", "SO"].steps.get()
    sent = world.body(cell) | {
        f"{prefix}-{name}": str(waiting.pk) if name.endswith("-id") else value
        for prefix in ("steps", "decisions")
        for name, value in forged.items()
    }
    kept = [list(model.objects.order_by("pk").values()) for model in (ApprovalStep, Decision)]
    answer = world.callers["AD"].client().post(world.path(cell), sent)
    assert answer.status_code in (200, 302, 400)
    assert kept == [list(model.objects.order_by("pk").values()) for model in (ApprovalStep, Decision)]


def test_rows_below_a_row_that_is_only_read_stay_as_well(world, calm):
    """Reliability 4.2, 42: the attempts of a delivery are evidence."""
    delivery = world.deliveries["unknown"]
    sent = {"attempts-TOTAL_FORMS": "1", "attempts-INITIAL_FORMS": "0", "attempts-0-outcome": "done"}
    calm("SU", "POST", f"/admin/togai/delivery/{delivery.pk}/change/", sent, answers=(403,))
    assert DeliveryAttempt.objects.filter(delivery=delivery).count() == 1


# --- Bodies ------------------------------------------------------------------------------------------------


def forms():
    """Every form, with the first caller for whom it is done."""

    def is_done(cell):
        is_page = not cell.name.startswith(("api:", "/admin/")) and cell.caller not in ("TK", "TF")
        return is_page and cell.method == "POST" and not cell.how and cell.answer in ("303", "200")

    return asked(is_done)


@pytest.mark.parametrize("cell", forms(), ids=lambda cell: cell.name)
def test_no_field_of_any_form_breaks_it_or_stores_what_is_no_text(cell, world):
    """Reliability 4.2, 17, 19, 32: NUL, half characters, endless and odd numbers, field by field."""
    given, path = world.body(cell), world.path(cell)
    if "own_password" in given or "password" in cell.name or cell.name in ("login", "tokens"):
        # Every one of these costs a slow hash.
        values = ("a\x00b", "x" * 20_000)
    else:
        values = ("a\x00b", "x" * 20_000, DIGITS, "-1", "٣", "1e999")
    for name in [*given, "unknown"]:
        for value in values:
            with transaction.atomic(), responses.RequestsMock(assert_all_requests_are_fired=False):
                with watched() as watch:
                    answer = send(world.callers[cell.caller].client(), "POST", path, given | {name: value})
                assert answer.status_code in CALM, (name, value[:10], answer.status_code)
                if watch.statements and "\x00" in value:
                    assert no_nul_in(contents()), name
                transaction.set_rollback(True)


def no_nul_in(tables):
    """Whether no row of any table holds a NUL."""
    return not any("\\x00" in row for rows in tables.values() for row in rows)


@pytest.mark.parametrize("door", ["proposals", "purchases"])
def test_no_name_of_a_field_breaks_the_editor(door, world):
    """S-06: the cells of a price list are named by their place; names from nowhere are refused or let go."""
    cell = matrix.Cell(f"{door}:edit", "POST", "draft", "", "SO", "")
    given, path = world.body(cell), world.path(cell)
    opened = given | {"do": "open:fixedFeeRateCards/addon.onboarding"}
    given |= Page(send(world.callers["SO"].client(), "POST", path, opened).content.decode()).form().data
    cells = [name for name in given if name.startswith("o/")]
    assert cells, "The editor shows no cells, so this proves nothing."
    prefixes = ("", "o/", "open/", "rows/", "plan/", "q/", "v/", "kept/", "choice/", f"{cells[0]}/")
    rests = (DIGITS, "-1", "٣", "../..", "/" * 300, "a\x00b", "__class__", "x" * 10_000, "%s%n{0}")
    redraws = cycle(("update", "open:", "reset:", "add_slab:", "remove_slab:"))
    for name in (prefix + rest for prefix in prefixes for rest in rests):
        for do in ("save", next(redraws) + name):
            answer = send(world.callers["SO"].client(), "POST", path, given | {name: "1", "do": do})
            assert answer.status_code in CALM, (name[:60], do[:20], answer.status_code)
    assert no_nul_in(contents())


@pytest.mark.parametrize(
    ("caller", "path"),
    [
        ("SO", "/proposals/new/"),
        ("AN", "/login/"),
        ("AD", "/admin/accounts/team/add/"),
        ("AD", "/admin/accounts/account/"),
    ],
)
def test_a_body_that_is_too_big_gets_a_page_for_people(caller, path, calm):
    """Reliability 4.2, 17: three megabytes in a field, or more fields than any page of ours has."""
    for body in ({"title": "x" * 3_000_000}, {f"field{n}": "x" for n in range(2_501)}):
        answer = calm(caller, "POST", path, body, answers=(400, 413))
        assert Page(answer.content.decode()).headings == 1


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "application/json",
        "text/plain",
        "",
        "a/b; charset=nope",
    ],
)
def test_a_form_in_another_shape_is_an_empty_form(content_type, world):
    """Reliability 4.2, 16: never 5xx, and nothing is done."""
    path = world.path(matrix.Cell("proposals:approve", "POST", "submitted", "", "FN", ""))
    for body in (b"", b"\xff\xfe{}", b"--x\r\n\r\n", b'{"content_hash": "x"}'):
        with watched() as watch:
            answer = world.callers["FN"].client().generic("POST", path, body, content_type)
        assert answer.status_code in (400, 409, 415)
        assert watch.changes(world.before) == []


@pytest.mark.parametrize("cookie", ["sessionid", "csrftoken", "messages", "theme"])
def test_cookies_from_nowhere_are_nobody(cookie, world):
    """Reliability 4.2, 61: a forged session is a stranger; a forged message is not shown."""
    for value in ("x", "x" * 4000, "' OR 1=1--", "é", '[["__json_message",0,40,"alert(7)",""]]'):
        client = Client()
        client.cookies[cookie] = value
        assert client.get("/proposals/").status_code == 302
        signed_in = world.callers["SO"].client()
        if cookie != "sessionid":
            signed_in.cookies[cookie] = value
            answer = signed_in.get("/proposals/")
            assert answer.status_code == 200
            assert "alert(7)" not in answer.content.decode()


# --- Forgery -----------------------------------------------------------------------------------------------


def posted():
    """Every address of pages that is posted to, with a caller who is signed in, if possible to some end."""
    return asked(
        lambda cell: (
            cell.method == "POST"
            and not cell.name.startswith(matrix.FOR_PROGRAMS)
            and cell.caller in ("SO", "FN", "AD")
        ),
        key=lambda cell: cell.answer not in ("200", "303"),
    )


@pytest.mark.parametrize("cell", posted(), ids=lambda cell: f"{cell.name} {cell.caller}")
def test_nothing_is_done_without_the_token_of_this_session(cell, world):
    """Reliability 4.2, 57: no token, a made up one, another session's, another site's: 403 and no change."""
    path, body, caller = world.path(cell), world.body(cell), world.callers[cell.caller]
    token = token_of(caller.client(enforce_csrf_checks=True))
    attempts = [
        ({}, {}, {}),
        ({}, {"csrfmiddlewaretoken": "x" * 64}, {}),
        ({}, {"csrfmiddlewaretoken": ""}, {}),
        ({"csrftoken": "y" * 32}, {"csrfmiddlewaretoken": token}, {}),
        ({"csrftoken": token[:32]}, {"csrfmiddlewaretoken": token}, {"HTTP_ORIGIN": "https://evil.example"}),
        ({}, {}, {"HTTP_X_CSRFTOKEN": token}),
    ]
    for cookies, fields, headers in attempts:
        client = caller.client(enforce_csrf_checks=True, **headers)
        for name, value in cookies.items():
            client.cookies[name] = value
        with watched() as watch:
            answer = send(client, "POST", path, body | fields)
        assert answer.status_code == 403, (cookies, fields, headers)
        assert watch.changes(world.before) == []
        assert "no-store" in answer.get("Cache-Control", "")


def token_of(client):
    """A token that this browser was given, with its cookie."""
    page = Page(client.get("/proposals/").content.decode())
    assert any(form.is_protected for form in page.forms)
    return client.cookies["csrftoken"].value


def test_with_its_token_the_same_form_is_done(world):
    """Reliability 4.2, 57: the refusals above are about the token."""
    client = world.callers["FN"].client(enforce_csrf_checks=True)
    cell = matrix.Cell("proposals:approve", "POST", "submitted", "", "FN", "303")
    body = world.body(cell) | {"csrfmiddlewaretoken": token_of(client)}
    assert client.post(world.path(cell), body).status_code == 303
    assert Proposal.objects.get(pk=world.deal(cell).pk).status == Proposal.Status.APPROVED


@pytest.mark.parametrize(
    "name", ["api:proposal-list", "api:proposal-submit", "api:proposal-detail", "api:purchase-submit"]
)
@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"]
)
def test_another_site_cannot_use_a_session_at_the_api(name, content_type, world):
    """Reliability 4.2, 57: a signed-in browser needs the token there too, a program does not."""
    method = "PATCH" if name.endswith("detail") else "POST"
    cell = matrix.Cell(name, method, "" if name.endswith("list") else "draft", "", "SO", "")
    path, body = world.path(cell), world.body(cell)
    for headers in ({}, {"HTTP_ORIGIN": "https://evil.example"}, {"HTTP_X_CSRFTOKEN": "x" * 32}):
        client = world.callers["SO"].client(enforce_csrf_checks=True, **headers)
        with watched() as watch:
            answer = client.generic(method, path, body, content_type)
        assert answer.status_code == 403
        assert watch.changes(world.before) == []
    program = world.callers["TK"].client(enforce_csrf_checks=True)
    assert program.generic(method, path, body, "application/json").status_code in (200, 201, 202)


# --- Where one is sent next --------------------------------------------------------------------------------

ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "https:evil.example",
    "https://evil.example/proposals/",
    "http:///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    " //evil.example",
    "\t//evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "//testserver@evil.example",
    "https://testserver.evil.example",
    "https://evil.example#testserver",
    "/\t/evil.example",
    "%2f%2fevil.example",
]


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_nobody_is_sent_to_another_site(wanted, world):
    """Reliability 4.2, 58: after signing in, when signed in already, and from a page of a delivery."""
    stranger, rep = world.callers["AN"].client(), world.callers["SO"].client()
    signs_in = {"username": world.user("SO").username, "password": PASSWORD, "next": wanted}
    look = f"/deliveries/{world.deliveries['unknown'].pk}/look-now/"
    answers = [
        stranger.post("/login/", signs_in),
        world.callers["AN"].client().post(f"/login/?next={quote(wanted)}", signs_in | {"next": ""}),
        rep.get(f"/login/?next={quote(wanted)}"),
        rep.post(look, {"next": wanted}),
        world.callers["AD"]
        .client()
        .get(f"/admin/login/?next={quote(wanted)}", follow=True)
        .redirect_chain[-1:],
    ]
    for answer in answers:
        where = answer[0][0] if isinstance(answer, list) else answer["Location"]
        # As a browser reads it: a backslash is a slash, and blanks within do not count.
        read = re.sub(r"[\t\r\n]", "", where.strip().replace("\\", "/"))
        assert urlsplit(urljoin("http://testserver/login/", read))[:2] == ("http", "testserver"), where


@pytest.mark.parametrize("wanted", ["/proposals/\r\nSet-Cookie: a=b", "/\r\n\r\n<script>alert(1)</script>"])
def test_no_line_is_smuggled_into_the_headers(wanted, world):
    """Reliability 4.2, 58: a line end never leaves as one."""
    signs_in = {"username": world.user("SO").username, "password": PASSWORD, "next": wanted}
    answer = world.callers["AN"].client().post("/login/", signs_in)
    assert answer.status_code == 302
    assert not any(character in value for _, value in answer.items() for character in "\r\n")
    assert "a" not in answer.cookies


def test_a_wish_within_the_product_is_granted(world):
    """Reliability 4.2, 58: the refusals above are about other sites."""
    signs_in = {
        "username": world.user("SO").username,
        "password": PASSWORD,
        "next": "/proposals/?status=DRAFT",
    }
    assert world.callers["AN"].client().post("/login/", signs_in)["Location"] == "/proposals/?status=DRAFT"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80@testserver", "", "a b"]
)
def test_another_host_is_refused(host, world):
    """Reliability 4.2, 59: whoever answers for another name does not answer for us."""
    assert world.callers["SO"].client(HTTP_HOST=host).get("/proposals/").status_code == 400


def test_headers_of_proxies_are_not_believed(world):
    """Reliability 4.2, 59: neither the host nor the address that somebody claims."""
    client = world.callers["SO"].client(
        HTTP_X_FORWARDED_HOST="evil.example",
        HTTP_X_FORWARDED_PROTO="https",
        HTTP_X_FORWARDED_FOR="6.6.6.6",
        HTTP_X_REAL_IP="6.6.6.6",
        HTTP_X_REQUEST_ID="forged",
        REMOTE_ADDR="192.0.2.7",
    )
    cell = matrix.Cell("proposals:submit", "POST", "draft", "", "SO", "303")
    answer = client.post(world.path(cell), world.body(cell))
    assert answer["Location"] == world.deal(cell).get_absolute_url()
    assert "forged" not in answer["X-Request-ID"]
    event = Event.objects.about(world.deal(cell)).get(verb="submit")
    assert (event.address, event.request_id) == ("192.0.2.7", answer["X-Request-ID"])
    program = (
        world.callers["TK"].client(HTTP_X_FORWARDED_HOST="evil.example").get("/api/v1/proposals/?page_size=1")
    )
    assert "evil" not in program.content.decode()


# --- Methods -----------------------------------------------------------------------------------------------


def pages():
    """Every address of pages with a caller who may do something there."""

    def is_page(cell):
        # A stranger's look at an offer is counted, and so no page that nothing happens on.
        counted = cell.name in COUNTED and cell.caller == "AN"
        return not cell.name.startswith("api:") and cell.caller not in ("TK", "TF") and not counted

    return asked(lambda cell: is_page(cell) and cell.answer in ("200", "303"))


@pytest.mark.parametrize("cell", pages(), ids=lambda cell: f"{cell.name} {cell.caller}")
def test_other_methods_do_nothing(cell, world, calm):
    """Reliability 4.2, 60: OPTIONS, TRACE, PUT, PATCH, DELETE; a pretended method is not believed."""
    path = world.path(cell)
    for method in ("OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "PROPFIND", "APPROVE"):
        calm(cell.caller, method, path)
    pretend = {"HTTP_X_HTTP_METHOD_OVERRIDE": "POST", "HTTP_X_METHOD_OVERRIDE": "POST"}
    calm(cell.caller, "GET", f"{path}?_method=POST", **pretend)
    calm(cell.caller, "HEAD", path, **pretend)


POSTED_ONLY = [
    ("proposals:approve", "submitted", "FN"),
    ("proposals:revise", "declined", "SO"),
    ("purchases:revise", "refused", "SO"),
    ("accounts:hand_over", "", "AD"),
    ("togai:look_now", "unknown", "SO"),
    ("togai:release", "held", "AD"),
    ("token_revoke", "", "SO"),
    ("logout", "", "SO"),
]


@pytest.mark.parametrize(("name", "thing", "caller"), POSTED_ONLY)
def test_a_verb_takes_nothing_but_post(name, thing, caller, world, calm):
    """Reliability 4.2, 60: 405 for whatever else, a HEAD included."""
    path = world.path(matrix.Cell(name, "POST", thing, "", caller, ""))
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE"):
        calm(caller, method, path, answers=(405,))


@pytest.mark.parametrize("cell", shown(), ids=lambda cell: cell.name)
def test_head_says_what_get_says_without_saying_it(cell, world, calm):
    """Reliability 4.2, 60: the same status, no body."""
    answer = calm(cell.caller, "HEAD", world.path(cell), world.body(cell), answers=(200,))
    assert answer.content == b""


@pytest.mark.parametrize("path", ["/api/v1/proposals/", "/api/v1/accounts/", "/api/schema/"])
def test_programs_get_json_whatever_they_ask_for(path, calm):
    """Reliability 4.2, 67: no browsable API, no format from the address."""
    for query, accept in (
        ("?format=html", "*/*"),
        ("?format=api", "text/html"),
        ("", "text/html,application/xhtml+xml"),
        ("", "*/*;q=0.1, " * 500),
        ("", "application/json; indent=100000"),
    ):
        answer = calm("SO", "GET", path + query, HTTP_ACCEPT=accept)
        assert not answer.get("Content-Type", "").startswith("text/html")
