"""
S-20: a token that no honest text holds, lived through everything that could let it out, and looked for after.

Looked for are the token, its first 12 characters, and both as a URL and as base64 would carry them; in every
column of every table, every line of the log, every page and answer, every printed error.
"""

import base64
import copy
import json
import logging
import pickle
import secrets
import subprocess
import sys
import traceback
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from django.core.management import CommandError, call_command
from django.db import connection
from django.views.debug import ExceptionReporter

from audit import services as audit
from config import checks, logs
from purchases import live
from tests.crashes.served_togai import ServedTogai
from tests.desk import ROOT, environment
from tests.factories import NOON, administrator, finance, submitted
from tests.faults import rig as rigs
from tests.faults.faults import FAULTS
from tests.faults.rig import Fault, Rig, Step
from tests.permissions import matrix
from tests.permissions.objects import World
from tests.test_setup import Start
from tests.togai.fake_togai import Clock
from tests.togai.raw_server import RawTogai, answer, says
from togai.errors import TogaiError
from togai.gateway import Gateway
from togai.models import Delivery, DeliveryAttempt, Link
from togai.secret import MASK, Secret
from togai.worker import Worker

# It is the product's text that is searched, not the database's.
pytestmark = pytest.mark.one_database

# Letters that a URL quotes and base64 shifts; new in every run, so that no old text can hold it.
TOKEN = f"zq{secrets.token_hex(10)}/can+ary={secrets.token_hex(10)}"
HEAD = TOKEN[:12]


def in_base64(text):
    """What base64 of anything that holds this text shows, wherever in it the text begins."""
    found = set()
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + text.encode()).decode()
        # Only whole characters of it: its neighbours have a say in the first and the last.
        core = coded[-(-before * 8 // 6) : (before + len(text)) * 8 // 6]
        found |= {core, core.replace("+", "-").replace("/", "_")}
    return found


FORMS = {
    "the token": {TOKEN},
    "its first 12 characters": {HEAD},
    "the token in a URL": {quote(TOKEN, safe="")},
    "the token in base64": in_base64(TOKEN),
    "its first 12 characters in base64": in_base64(HEAD),
}
EVERY_FORM = [(name, form) for name, forms in FORMS.items() for form in sorted(forms)]


def leaks(places):
    """In which of these (where, text or bytes) which form of the token stands; in words."""
    found = []
    for where, what in places:
        raw = what if isinstance(what, bytes) else str(what).encode("utf-8", "surrogatepass")
        found += [f"{where}: {name}" for name, form in EVERY_FORM if form.encode() in raw]
    return found


def database():
    """Every value of every column of every table."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            names = [column[0] for column in cursor.description]
            for row in cursor:
                for name, value in zip(names, row, strict=True):
                    yield f"{table}.{name}", bytes(value) if isinstance(value, memoryview) else value


def log_of(caplog, *, ours=False):
    """
    Every line of the log.

    :param ours: only as our handlers write it; a library may log what Togai said, and Togai said the token
    """
    shapes = [logs.JSONLines(), logs.TextLines(), *([] if ours else [logging.Formatter()])]
    for record in caplog.records:
        for shape in shapes:
            yield f"log of {record.name}", shape.format(record)
        if not ours:
            yield f"log record of {record.name}", vars(record)


def printed(error):
    """An exception in every way in which the product prints one; a developer's page shows the locals."""
    yield "error", str(error)
    yield "error, repr", repr(error)
    yield "error, fields", vars(error)
    yield "error, traceback", "".join(traceback.format_exception(error))
    yield "error, pickled", pickle.dumps(vars(error))
    report = ExceptionReporter(None, type(error), error, error.__traceback__)
    yield "error, as a page", report.get_traceback_html()
    yield "error, as a mail", report.get_traceback_text()


def with_locals(error):
    """An exception as a stranger's tool prints it: with the locals of every frame."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    yield "error, with locals", "".join(told.format())


@pytest.fixture
def the_log(caplog):
    """Everything that anybody logs, libraries included."""
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.fixture
def token(settings):
    settings.TOGAI_API_TOKEN = TOKEN
    live._gateway_to.cache_clear()
    yield TOKEN
    live._gateway_to.cache_clear()


# --- That the search finds ---


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "form"), EVERY_FORM, ids=count())
def test_the_search_finds_what_is_planted(name, form, the_log):
    """S-20: in columns of text and of bytes, in messages and fields of the log, in the locals of a frame."""
    delivery = Delivery.objects.of(submitted()).get()
    assert leaks([*database(), *log_of(the_log)]) == []
    DeliveryAttempt.objects.create(
        delivery=delivery,
        number=1,
        purpose="SEND",
        claim_token=delivery.pk,
        started_at=NOON,
        worker="test",
        release="1",
        response=f"You sent: {form}!",
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE planted (body BLOB)"
            if connection.vendor == "sqlite"
            else "CREATE TABLE planted (body bytea)"
        )
        cursor.execute("INSERT INTO planted VALUES (%s)", [f"\0{form}\0".encode()])
    logging.getLogger("somebody").debug("said %s", form)
    found = leaks([*database(), *log_of(the_log)])
    for where in (
        "togai_deliveryattempt.response",
        "planted.body",
        "log of somebody",
        "log record of somebody",
    ):
        assert f"{where}: {name}" in found

    def breaks(local):
        raise KeyError(len(local))

    with pytest.raises(KeyError) as caught:
        breaks(form)
    assert leaks(with_locals(caught.value)) != []


def test_base64_is_found_wherever_the_token_begins():
    """S-20: of a header, of a body, of a pickled job of the queue."""
    for before in ("", "B", "Be", "Bearer ", '{"a":"'):
        for code in (base64.b64encode, base64.urlsafe_b64encode):
            assert "there: the token in base64" in leaks(
                [("there", code(f"{before}{TOKEN}, and so on".encode()))]
            )
            assert "there: its first 12 characters in base64" in leaks(
                [("there", code(f"{before}{HEAD}, and so on".encode()))]
            )


# --- The secret itself ---


def test_a_secret_shows_itself_in_no_way():
    """S-20: printed, formatted, pickled, copied, dumped or met as a local."""
    secret = Secret(TOKEN)

    def breaks(held):
        raise RuntimeError("No.")

    with pytest.raises(RuntimeError) as caught:
        breaks(secret)
    with pytest.raises(TypeError) as refused:
        json.dumps(secret)
    shown = [
        *(
            ("as text", one)
            for one in (str(secret), repr(secret), f"{secret}", f"{secret:>30}", f"{secret!r}")
        ),
        ("formatted", f"{secret} %s" % secret),
        ("in a list", [secret, {"token": secret}]),
        ("as bytes", pickle.dumps(secret)),
        ("as JSON", json.dumps(secret, default=str)),
        (
            "its fields",
            {name: getattr(secret, name, "") for name in dir(secret) if not name.startswith("_Secret")},
        ),
        *printed(caught.value),
        *printed(refused.value),
        *with_locals(caught.value),
        *with_locals(refused.value),
    ]
    assert leaks(shown) == []
    assert str(pickle.loads(pickle.dumps(secret))) == str(copy.deepcopy(secret)) == MASK
    assert secret.reveal() == copy.copy(secret).reveal() == TOKEN


@pytest.mark.parametrize(
    "bad", [f"{TOKEN}\n", f"{TOKEN} ", f"{TOKEN}é", f"\t{TOKEN}", TOKEN * 200], ids=count()
)
def test_a_token_that_cannot_be_sent_stops_the_start_and_is_not_repeated(bad, settings):
    """S-20, reliability.md 4.2, 66."""
    with pytest.raises(ValueError, match="The secret") as caught:
        Secret(bad)
    settings.TOGAI_API_TOKEN = bad
    [refused] = checks.the_token_can_be_sent(None)
    assert leaks([("message", str(caught.value)), ("check", refused), ("check, whole", repr(refused))]) == []


# --- The line ---


@pytest.fixture(scope="module")
def shared_rig():
    with Rig() as rig:
        yield rig


@pytest.fixture
def rig(shared_rig, clock, settings, monkeypatch):
    """A scripted Togai on a real socket that takes nothing but our token."""
    settings.TOGAI_REQUESTS_PER_SECOND = 10_000
    monkeypatch.setattr(rigs, "TOKEN", TOKEN)
    shared_rig.begin(clock)
    shared_rig.roads(monkeypatch)
    yield shared_rig
    shared_rig.heal()


HEADER = f"Authorization: Bearer {TOKEN}"


def echo(name, play):
    return Fault(f"echo in {name}", play)


# The worst other side: it says our own header back to us, in every part that an answer has.
ECHOES = (
    echo("a message", lambda good: says(answer(json.dumps({"message": HEADER}).encode(), "400 No"))),
    echo("an error page", lambda good: says(answer(f"<pre>{HEADER}</pre>".encode(), "502 Bad"))),
    echo("a success", lambda good: says(answer(good.changed(comment=TOKEN, note=HEADER).encode()))),
    echo("a status", lambda good: says(answer(good.changed(status=TOKEN).encode()))),
    echo("an id", lambda good: says(answer(good.changed(id=TOKEN).encode()))),
    echo("broken JSON", lambda good: says(answer(f'{{"{TOKEN}": '.encode()))),
    echo("a status line", lambda good: says(f"{TOKEN}\r\n\r\n".encode())),
    echo("a reason", lambda good: says(answer(b"{}", f"500 {TOKEN}"))),
    echo(
        "a header", lambda good: says(answer(b"", "307 Go", f"Location: https://{HEAD}.example/?{TOKEN}\r\n"))
    ),
    echo("a wait", lambda good: says(answer(b"{}", "429 Slow", f"Retry-After: {TOKEN}\r\n"))),
    echo(
        "a broken header",
        lambda good: says(answer(b"{}", "200 OK", f"{HEADER}\r\n  : {TOKEN}\r\n{TOKEN}\r\n")),
    ),
    echo("a length", lambda good: says(f"HTTP/1.1 200 OK\r\nContent-Length: {TOKEN}\r\n\r\n".encode())),
    echo(
        "a chunk",
        lambda good: says(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{TOKEN}\r\n".encode()),
    ),
    echo("a coding", lambda good: says(answer(TOKEN.encode(), "200 OK", "Content-Encoding: gzip\r\n"))),
)
STRUCK = [*(entry.fault for entry in FAULTS), *ECHOES]


def named(fault):
    return fault.name


@pytest.mark.parametrize("fault", STRUCK, ids=named)
@pytest.mark.parametrize("step", [Step.PROPOSAL, Step.FIRST_PAGE], ids=str)
@pytest.mark.usefixtures("token")
def test_no_error_of_the_gateway_shows_it(step, fault, rig, clock, the_log):
    """S-20, F-14: nor its locals, its cause, its report, or what the library logs meanwhile."""
    rig.begin(clock, tls=fault.road in ("stranger", "plain"))
    rig.misbehave(fault, at=step)
    gateway = rig.gateway(hurry=fault.slow)
    calls = {
        Step.PROPOSAL: lambda: gateway.create_proposal(account_id="acme", body=b'{"idempotencyKey":"bo1-1"}'),
        Step.FIRST_PAGE: lambda: list(gateway.list_account_proposals("acme")),
    }
    try:
        shown = [("answer", repr(calls[step]()))]
    except TogaiError as error:
        shown = list(printed(error))
        # What Togai says is a local of ours for as long as the call takes; of our own nothing is.
        shown += with_locals(error) if fault not in ECHOES else ()
    assert rig.road or rig.received(step), "It never struck."
    assert leaks([*shown, ("gateway", vars(gateway)), *log_of(the_log, ours=fault in ECHOES)]) == []


@pytest.mark.django_db
@pytest.mark.parametrize("fault", STRUCK, ids=named)
def test_no_step_of_the_worker_writes_it_down(fault, rig, clock, the_log, client, token):
    """S-20: attempts, snapshots, the deal, the record, and the pages that show them."""
    proposal = submitted()
    rig.begin(clock, tls=fault.road in ("stranger", "plain"))
    worker = Worker(rig.gateway(hurry=fault.slow), clock=clock, monotonic=clock.monotonic, name="test")
    for step in (Step.PROPOSAL, Step.FIRST_PAGE, Step.PROBE):
        rig.misbehave(fault, at=step)
        worker.work()
        rig.heal()
        clock.forward(minutes=20)
        worker.work()
    delivery = Delivery.objects.of(proposal).get()
    assert delivery.attempts.exists(), "Nothing was tried."
    assert audit.verify() is None
    pages = ["/deliveries/", f"/deliveries/{delivery.pk}/", proposal.get_absolute_url(), "/health/"]
    # What a page does with an odd answer is another test's question.
    client.raise_request_exception = False
    seen = []
    for somebody in (administrator(), finance()):
        client.force_login(somebody)
        seen += [(page, client.get(page).content) for page in pages]
    assert leaks([*database(), *log_of(the_log, ours=fault in ECHOES), *seen]) == []


@pytest.mark.parametrize("bad", [f"{TOKEN}\r\nX-More: 1", f"{TOKEN}☃"], ids=count())
@pytest.mark.usefixtures("token")
def test_a_bad_token_that_reached_the_wire_is_not_repeated(bad, rig, the_log):
    """S-20: the library prints a header with a line break whole, and one outside Latin-1 in its error."""
    # No `Secret` lets such a value in; this is what would happen if one did.
    secret = Secret(TOKEN)
    secret._Secret__value = bad
    gateway = Gateway(base_url=f"http://localhost:{rig.port}", token=secret)
    with pytest.raises(TogaiError) as caught:
        gateway.probe()
    # Without this frame, which holds it of course.
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    assert leaks([*printed(error), *with_locals(error), *log_of(the_log)]) == []
    with pytest.raises((ValueError, requests.RequestException)) as bare:
        requests.get(f"http://localhost:{rig.port}/", headers={"Authorization": f"Bearer {bad}"}, timeout=5)
    assert leaks([("bare", str(bare.value)), ("bare, repr", repr(bare.value))]) != [], (
        "The library is not as bad as it was; this test proves nothing."
    )


# --- Pages, answers, commands ---


@pytest.fixture
def parrot(settings, token):
    """The settings' Togai, which says our header back whatever it is asked."""
    record = {"id": TOKEN, "status": TOKEN, "name": HEADER, "message": HEADER, "creditUnit": TOKEN}
    page = record | {"data": [record | {"featureId": TOKEN, "value": TOKEN, "invoiceClass": HEADER}]}
    said = [answer(json.dumps(page).encode()), answer(json.dumps(page).encode(), "400 No")]
    with RawTogai(*(says(one) for one in said * 100)) as server:
        settings.TOGAI_BASE_URL = server.url
        settings.TOGAI_REQUESTS_PER_SECOND = 10_000
        yield server


@pytest.mark.django_db
@pytest.mark.parametrize("debug", [False, True], ids=["production", "debug"])
def test_no_page_and_no_answer_shows_it(debug, parrot, settings, the_log):
    """S-20: every address, asked by a superuser and a program, refusals included."""
    settings.DEBUG = debug
    settings.ZEAL_ALLOWLIST = [{"model": "sessions.Session"}]
    world = World()
    # Else nobody calls, and nothing is read for a page.
    Link.objects.update(unreachable_since=None)
    callers = {"SU", "TK"}
    cells = [cell for cell in matrix.cells() if cell.method == "GET" and cell.caller in callers]
    seen = []
    for cell in cells:
        page = world.ask(cell, raise_request_exception=False)
        seen.append((str(cell), b"".join(page) if page.streaming else page.content))
        seen.append((str(cell), repr(page.headers)))
    assert len(seen) > 100
    assert parrot.requests, "No page asked Togai."
    assert any(HEADER.encode() in request for request in parrot.requests)
    assert leaks([*seen, *database(), *log_of(the_log)]) == []


@pytest.mark.django_db
@pytest.mark.parametrize("debug", [False, True], ids=["production", "debug"])
@pytest.mark.parametrize("where", ["togai.gateway._trouble", "purchases.live.Gateway"])
def test_no_error_page_shows_it(where, debug, settings, token, client, monkeypatch, the_log):
    """S-20: a view breaks in the middle of a call; a developer's page shows every local of every frame."""

    def breaks(*args, **kwargs):
        raise RuntimeError("It broke.")

    settings.DEBUG = debug
    settings.TOGAI_BASE_URL = "http://127.0.0.1:9"
    monkeypatch.setattr(where, breaks)
    account = submitted().account
    client.force_login(administrator())
    client.raise_request_exception = False
    # A development server puts the environment into every request.
    page = client.get(f"/accounts/{account.togai_id}/live/", **{"TOGAI_API_TOKEN": TOKEN})
    assert page.status_code == 500
    assert (b"It broke." in page.content) == debug
    assert leaks([("page", page.content), *log_of(the_log)]) == []


def test_no_dump_of_the_settings_shows_it(tmp_path):
    """S-20: `manage.py diffsettings`, and a settings module that is printed whole."""
    dumps = "from django.core.management import call_command; from config import settings; "
    dumps += "call_command('diffsettings', all=True); call_command('diffsettings'); print(vars(settings))"
    told = python(dumps, VAR_DIR=str(tmp_path), TOGAI_API_TOKEN=TOKEN)
    assert "TOGAI_API_TOKEN" in told
    assert leaks([("dump", told)]) == []


def python(code, **settings):
    """What a fresh process with the product set up prints."""
    return subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {code}"],
        check=True,
        cwd=ROOT,
        env=environment() | {"DJANGO_SETTINGS_MODULE": "config.settings"} | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    ).stdout


@pytest.mark.django_db
@pytest.mark.parametrize("command", ["togai_pull", "togai_after_restore", "check", "audit_verify"])
def test_no_command_prints_it(command, parrot, the_log, capsys):
    """S-20: where Togai says our header back, too."""
    submitted()
    given = ["2020-01-01T02:00:00+01:00"] if command == "togai_after_restore" else []
    refusal = []
    try:
        call_command(command, *given)
    except CommandError as refused:
        refusal = list(printed(refused))
    told = "".join(capsys.readouterr())
    assert told or refusal
    assert leaks([("output", told), *refusal, *database(), *log_of(the_log)]) == []


@pytest.mark.process
def test_the_process_list_does_not_show_it(tmp_path):
    """S-20: worker and web are given it by their environment, which only their owner reads; never by name."""
    with (
        ServedTogai(Clock()) as togai,
        Start(tmp_path, TOGAI_BASE_URL=togai.url, TOGAI_API_TOKEN=TOKEN) as start,
    ):
        said = start.until_ready()
        family = [str(start.process.pid), *start.family()]
        lines = [(pid, Path(f"/proc/{pid}/cmdline").read_bytes()) for pid in family]
        names = [(pid, Path(f"/proc/{pid}/comm").read_bytes()) for pid in family]
        holds = [pid for pid in family if TOKEN.encode() in Path(f"/proc/{pid}/environ").read_bytes()]
        start.ends()
    # Supervisor, worker and web were really given it.
    assert len(holds) >= 3
    files = [(path.name, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()]
    assert any(name.endswith(".sqlite3") for name, _ in files)
    assert leaks([*lines, *names, ("output", said), ("all output", start.said()), *files]) == []
