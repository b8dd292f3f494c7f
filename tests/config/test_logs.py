"""What a line of the log says, and what never gets into one."""

import json
import logging
import os
import subprocess
import sys

import pytest
from django.db import transaction
from knox.models import AuthToken

from audit.context import coming_from
from config import logs
from tests.desk import ROOT, environment
from tests.factories import administrator, rep, submitted
from togai import deliveries, line, services
from togai.models import Delivery, Link

EVIL = 'x\r\n{"event": "forged"}\u2028\x1b[31m\x00'


def record(event="delivery.finished", *args, error=None, **extra):
    made = logging.getLogger("togai").makeRecord(
        "togai",
        logging.INFO,
        __file__,
        1,
        event,
        args,
        (type(error), error, error.__traceback__) if error else None,
        extra=extra,
    )
    made.created = 1893499200.25
    return made


def line_of(*args, **extra):
    return json.loads(logs.JSONLines().format(record(*args, **extra)))


def raised():
    """An exception with another one behind it, both with words that nobody should log."""
    try:
        try:
            secret_local = "only-in-a-local"
            raise KeyError(f"body of {secret_local}")
        except KeyError as first:
            raise ValueError("a whole answer of Togai") from first
    except ValueError as error:
        return error


def test_an_event_is_one_json_object_with_request_delivery_and_time():
    """S-30: time in UTC, level, logger, event, request id, and the fields that the call named."""
    with coming_from("worker", request_id="abc"):
        line = line_of(delivery_id="d1", kind="DECIDE", outcome="done", sends=0)
    assert line == {
        "time": "2030-01-01T12:00:00.250Z",
        "level": "INFO",
        "logger": "togai",
        "event": "delivery.finished",
        "request_id": "abc",
        "channel": "worker",
        "delivery_id": "d1",
        "kind": "DECIDE",
        "outcome": "done",
        "sends": 0,
    }


def test_a_field_that_nobody_named_stays_out():
    """S-30: no bodies, whatever the call passes along."""
    assert "hidden" not in json.dumps(line_of(body="hidden", request="hidden", headers={"a": "hidden"}))


@pytest.mark.parametrize("formatter", [logs.JSONLines(), logs.TextLines()], ids=["json", "text"])
def test_a_strangers_text_begins_no_line_of_its_own(formatter):
    """S-30, reliability.md 4.2, 62: vendor messages and paths with line breaks and escape sequences."""
    said = formatter.format(record("Not Found: %s", EVIL, path=EVIL, error=raised()))
    assert not set(said) & set("\r\x1b\u2028\x00")
    first, *more = said.split("\n")
    assert all(line.startswith("    ") for line in more)
    if isinstance(formatter, logs.JSONLines):
        assert not more
        assert json.loads(first)["path"] == EVIL


def test_an_exception_is_told_by_class_and_place_without_values():
    """S-30: neither the message, which may hold a body, nor a local."""
    line = line_of("failed", error=raised())
    assert [one["type"] for one in line["exception"]] == ["builtins.ValueError", "builtins.KeyError"]
    assert line["exception"][0]["frames"][0].endswith(" raised")
    assert "whole answer" not in json.dumps(line)
    assert "only-in-a-local" not in json.dumps(line)


@pytest.mark.parametrize("formatter", [logs.JSONLines(), logs.TextLines()], ids=["json", "text"])
@pytest.mark.django_db
def test_a_refusal_is_told_without_places_in_our_code(client, caplog, formatter):
    """S-30: a 403 that somebody was answered is one line; what buries a night's log is not told."""
    client.force_login(rep())
    assert client.get("/health/").status_code == 403
    (refused,) = [one for one in caplog.records if one.name == "django.request"]
    said = formatter.format(refused)
    assert "Forbidden" in said
    assert "/health/" in said
    assert "PermissionDenied" not in said
    assert len(said.splitlines()) == 1


def test_a_long_text_is_cut():
    line = line_of("x" * 10_000, error_text="", path="y" * 10_000)
    assert len(line["event"]) == len(line["path"]) == logs.LONGEST_TEXT


def access_lines(caplog):
    return [logs.JSONLines().format(one) for one in caplog.records if one.name == "access"]


@pytest.mark.django_db
def test_each_request_is_one_line_without_its_query(client, caplog):
    """S-30: method, path, status, time taken, request id and user id, and no word that was searched for."""
    somebody = rep()
    client.force_login(somebody)
    with caplog.at_level(logging.INFO, logger="access"):
        answer = client.get("/proposals/?q=osprey")
    [line] = access_lines(caplog)
    assert "osprey" not in line
    told = json.loads(line)
    assert told.pop("ms") >= 0
    assert {name: told[name] for name in ("event", "method", "path", "status", "user_id")} == {
        "event": "request.finished",
        "method": "GET",
        "path": "/proposals/",
        "status": 200,
        "user_id": somebody.pk,
    }
    assert told["request_id"] == answer["X-Request-ID"]


@pytest.mark.django_db
def test_strangers_and_impossible_addresses_have_a_line_too(client, caplog):
    """S-30: without a person, and without asking for one."""
    with caplog.at_level(logging.INFO, logger="access"):
        client.get("/healthz")
        client.get("/%00")
    told = [json.loads(line) for line in access_lines(caplog)]
    assert [(one["path"], one["status"]) for one in told] == [("/healthz", 200), ("/\x00", 400)]
    assert not any("user_id" in one for one in told)


@pytest.mark.django_db
def test_a_program_is_known_by_its_person(client, caplog):
    """S-30: the API signs in by token, not by session."""
    owner = administrator()
    token = AuthToken.objects.create(owner)[1]
    with caplog.at_level(logging.INFO, logger="access"):
        client.get("/api/v1/proposals/", headers={"Authorization": f"Bearer {token}"})
    [line] = access_lines(caplog)
    assert json.loads(line)["user_id"] == owner.pk
    assert token not in line


# --- What the sending of deliveries tells ---


@pytest.fixture
def told(caplog):
    """The lines that `togai` logged so far, as a collector reads them."""
    caplog.set_level(logging.INFO, logger="togai")
    return lambda: [json.loads(logs.JSONLines().format(one)) for one in caplog.records if one.name == "togai"]


def events(lines):
    return [one["event"] for one in lines]


@pytest.mark.django_db
def test_each_step_of_a_delivery_is_a_line_when_it_begins_and_one_when_it_ends(togai, worker, told):
    """S-30: with all that a collector groups by, and under the request id of the turn that did it."""
    togai.next_answers = [400]
    submitted()
    delivery = Delivery.objects.get()
    with coming_from("worker", request_id="turn-1"):
        worker.step(delivery.pk)
        claimed, finished = told()
    step = {
        "level": "INFO",
        "logger": "togai",
        "request_id": "turn-1",
        "channel": "worker",
        "delivery_id": str(delivery.pk),
        "kind": "CREATE_PROPOSAL",
        "purpose": "SEND",
        "attempt": 1,
        "sends": 1,
        "looks": 0,
        "worker": "test",
        "release": delivery.attempts.get().release,
    }
    del claimed["time"], finished["time"]
    assert claimed == step | {"event": "delivery.claimed", "state": "SENDING"}
    assert finished == step | {
        "event": "delivery.finished",
        "state": "REJECTED",
        "outcome": "refused",
        "error": "Refused",
        "http_status": 400,
        "ms": 0,
    }


@pytest.mark.django_db
def test_a_look_says_that_it_is_one(togai, worker, clock, told):
    """S-30: looks and sends of a row are told apart by purpose and counted by attempt."""
    togai.next_answers = ["lost"]
    submitted()
    pk = Delivery.objects.get().pk
    worker.step(pk)
    clock.forward(minutes=1)
    worker.step(pk)
    steps = [one for one in told() if one["event"].startswith("delivery.")]
    assert [(one["event"], one["purpose"], one["attempt"], one.get("outcome")) for one in steps] == [
        ("delivery.claimed", "SEND", 1, None),
        ("delivery.finished", "SEND", 1, "unknown"),
        ("delivery.claimed", "LOOK", 2, None),
        ("delivery.finished", "LOOK", 2, "done"),
    ]


@pytest.mark.django_db
def test_nothing_that_was_sent_or_answered_is_in_the_log(togai, worker, told, caplog):
    """S-30: no body, no key, no words of Togai's, no name of a customer."""
    proposal = submitted()
    togai.next_answers = [400]
    worker.work()
    delivery = Delivery.objects.get()
    shown = json.dumps(told()) + "".join(logs.TextLines().format(one) for one in caplog.records)
    assert str(delivery.pk) in shown
    assert delivery.last_message == "Togai says 400."
    for secret in (delivery.last_message, delivery.idempotency_key, proposal.account.name, "idempotencyKey"):
        assert secret not in shown


@pytest.mark.django_db
def test_the_line_says_when_it_closes_for_how_long_and_when_it_opens(togai, worker, clock, told, settings):
    """S-30, 2.10: the circuit after calls in vain, and the pause that Togai asks for."""
    settings.TOGAI_FAILURES_IN_A_ROW = 1
    togai.next_answers = ["down", 429]
    submitted()
    worker.work()
    clock.forward(seconds=61)
    worker.work()
    clock.forward(seconds=8)
    worker.work()
    about_the_line = [one for one in told() if one["event"].startswith("line.")]
    assert [(one["event"], one["level"], one.get("why"), one.get("seconds")) for one in about_the_line] == [
        ("line.closed", "WARNING", "Togai cannot be reached.", 60),
        ("line.opened", "INFO", None, None),
        ("line.closed", "WARNING", "Togai asks us to slow down.", 7),
        ("line.opened", "INFO", None, None),
    ]


@pytest.mark.django_db
def test_a_worker_that_ended_in_the_middle_is_told_with_its_name(worker, clock, told, settings):
    """S-30, 2.7: each expired claim, and the row that is given up as poison."""
    settings.TOGAI_MOST_DEATHS = 2
    submitted()
    pk = Delivery.objects.get().pk
    for _ in range(2):
        assert deliveries.claim(pk, worker="one:4", at=clock())
        clock.forward(hours=1)
        deliveries.recover_expired_claims(at=clock())
    first, last = told()
    same = {"delivery_id": str(pk), "kind": "CREATE_PROPOSAL", "worker": "one:4", "level": "WARNING"}
    for line_of_it, event, state, deaths in (
        (first, "delivery.claim_expired", "UNKNOWN", 1),
        (last, "delivery.poisoned", "NEEDS_HUMAN", 2),
    ):
        wanted = same | {"event": event, "state": state, "deaths": deaths}
        assert wanted.items() <= line_of_it.items()


@pytest.mark.django_db
def test_who_stops_and_starts_sending_is_told_without_their_reason(
    clock, told, django_capture_on_commit_callbacks
):
    """S-30: pause and resume, look-only and its signature; the reason stays on record and out of the log."""
    ada = administrator()
    with django_capture_on_commit_callbacks(execute=True):
        services.pause(by=ada, at=clock(), reason="Togai moves house tonight.")
        services.resume(by=ada, at=clock())
        line.look_only(at=clock(), why="Restored from the backup of the night.")
        services.sign_restore(by=ada, at=clock(), reason="Compared all of them with Togai.")
    assert events(told()) == ["sending.paused", "sending.resumed", "look_only.began", "look_only.signed"]
    assert told()[0]["user_id"] == ada.pk
    assert not any(word in json.dumps(told()) for word in ("house", "Restored", "Compared"))


@pytest.mark.django_db
def test_what_was_taken_back_is_not_told(told, clock):
    """S-30: a line of the log says what is true; a pause whose transaction failed never was."""
    with transaction.atomic():
        services.pause(by=administrator(), at=clock(), reason="Togai moves house tonight.")
        transaction.set_rollback(True)
    assert told() == []
    assert Link.load().paused_at is None


def test_a_person_reads_it_too():
    """S-30: in the text format, the event and then name=value."""
    with coming_from("worker", request_id="turn-1"):
        said = logs.TextLines().format(record("delivery.finished", kind="DECIDE", outcome="done", ms=120))
    assert said == (
        "12:00:00 INFO togai: delivery.finished request_id=turn-1 channel=worker"
        " ms=120 kind=DECIDE outcome=done"
    )


@pytest.mark.parametrize("formatter", [logs.JSONLines(), logs.TextLines()], ids=["json", "text"])
def test_the_token_is_masked_whoever_logs_it(formatter, settings):
    """S-20: the HTTP library logs broken headers of an answer, and they may echo ours."""
    settings.TOGAI_API_TOKEN = "tk-canary-of-the-log"
    said = formatter.format(
        record("Failed to parse headers: %s, cut: %s", "tk-canary-of-the-log", "tk-canary-of")
    )
    assert "canary" not in said
    assert "Failed to parse headers: ***, cut: ***" in said


def test_a_short_token_masks_no_honest_word(settings):
    settings.TOGAI_API_TOKEN = "dev"
    assert line_of("delivery.developed")["event"] == "delivery.developed"


def start(**settings):
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "import django, logging; django.setup(); "
            "logging.getLogger('togai').info('delivery.finished', extra={'delivery_id': 'd1'})",
        ],
        check=False,
        cwd=ROOT,
        env=environment() | {"DJANGO_SETTINGS_MODULE": "config.settings"} | settings,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_servers_log_json_and_one_machine_logs_text(tmp_path):
    """S-30: LOG_FORMAT decides, HTTPS is its default."""
    database = {"DATABASE_URL": "sqlite://:memory:", "VAR_DIR": str(tmp_path)}
    [line] = start(**database, HTTPS="True").stderr.splitlines()
    assert json.loads(line)["delivery_id"] == "d1"
    [line] = start(**database).stderr.splitlines()
    assert line.endswith(" INFO togai: delivery.finished delivery_id=d1")
    [line] = start(**database, LOG_FORMAT="json").stderr.splitlines()
    assert json.loads(line)["event"] == "delivery.finished"


@pytest.mark.parametrize(("name", "value"), [("LOG_FORMAT", "xml"), ("LOG_LEVEL", "LOUD")])
def test_a_wrong_word_stops_the_start_with_one_sentence(name, value, tmp_path):
    said = start(VAR_DIR=str(tmp_path), **{name: value}).stderr
    assert f"ImproperlyConfigured: {name} is " in said


@pytest.mark.parametrize(
    ("given", "backend"),
    [
        ({"HTTPS": "False"}, "console"),
        ({"HTTPS": "False", "LOG_FORMAT": "json"}, "filebased"),
        ({"HTTPS": "True"}, "dummy"),
        ({"HTTPS": "True", "EMAIL_URL": "smtp+tls://a:b@mail.example.com:587"}, "smtp"),
    ],
)
def test_mails_are_printed_for_people_and_never_among_the_lines_of_a_collector(tmp_path, given, backend):
    """S-30: a mail holds names; on servers it goes to the mail server or nowhere."""
    told = "from config import settings; print(settings.EMAIL_BACKEND)"
    done = subprocess.run(
        [sys.executable, "-c", told],
        cwd=ROOT,
        env={**os.environ, "ENV_FILE": os.devnull, "SECRET_KEY": "x" * 60, "VAR_DIR": str(tmp_path), **given},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"django.core.mail.backends.{backend}.EmailBackend"
