"""What each answer and each failure of a create means (reliability.md 2.6)."""

import gzip
import itertools
import json
import socket
import ssl
import traceback
from datetime import UTC, datetime

import pytest
import requests
import responses
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError, ProtocolError

from tests.togai.raw_server import RawTogai, answer, closes, drips, resets, resets_midway, says, stalls
from togai.errors import (
    Busy,
    Clash,
    ContractChanged,
    Forbidden,
    Missing,
    NotSent,
    Refused,
    SignInRefused,
    Unconfirmed,
)
from togai.gateway import ANSWER_LIMIT, Gateway, seconds_to_wait
from togai.secret import Secret

TOKEN = "tk-canary-7c1e5f0a9b"
URL = "https://togai.test/accounts/acme/purchases"
BODY = b'{"idempotencyKey":"k-1","type":"ENTITLEMENT_GRANT"}'
GOOD = {"id": "purchase.1", "accountId": "acme", "status": "PENDING", "idempotencyKey": "k-1"}
NOON = datetime(2030, 2, 1, 12, tzinfo=UTC)


def gateway(url="https://togai.test", **changes):
    timings = {"connect_timeout": 5, "read_timeout": 5, "deadline": 30, "now": lambda: NOON}
    return Gateway(base_url=url, token=Secret(TOKEN), **(timings | changes))


def create(togai):
    return togai.create_purchase(account_id="acme", body=BODY)


def failure_of(togai):
    with pytest.raises((NotSent, Unconfirmed, Refused, Missing)) as caught:
        create(togai)
    error = caught.value
    printed = "".join(traceback.format_exception(error)) + repr(vars(error))
    assert TOKEN not in printed
    assert (error.__context__, error.__cause__) == (None, None)
    return error


def against(*scripts, **changes):
    """The error of one create against a raw server, and how many requests that server saw."""
    with RawTogai(*scripts, read_first=changes.pop("read_first", True)) as server:
        error = failure_of(gateway(server.url, **changes))
    return error, len(server.requests)


@responses.activate
@pytest.mark.parametrize("status", [200, 201])
def test_a_success_is_an_object_with_id_account_and_known_status(status):
    responses.post(URL, status=status, json=GOOD)
    bought = create(gateway())
    assert (bought.id, bought.status, bought.idempotency_key) == ("purchase.1", "PENDING", "k-1")
    assert json.loads(bought.raw) == GOOD


@responses.activate
def test_an_answer_without_a_key_is_as_good():
    responses.post(URL, json={key: value for key, value in GOOD.items() if key != "idempotencyKey"})
    assert create(gateway()).idempotency_key is None


@responses.activate
@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (400, Refused, "content"),
        (422, Refused, "content"),
        (401, SignInRefused, "sign_in"),
        (403, Forbidden, "forbidden"),
        (404, Missing, "missing"),
        (410, Missing, "gone"),
        (409, Clash, "clash"),
        (408, Unconfirmed, "unclear"),
        (425, Unconfirmed, "unclear"),
        (418, Unconfirmed, "unclear"),
        (429, Busy, "throttled"),
        (500, Unconfirmed, "server"),
        (502, Unconfirmed, "server"),
        (503, Unconfirmed, "server"),
        (504, Unconfirmed, "server"),
        (599, Unconfirmed, "server"),
        (202, ContractChanged, "status"),
        (206, ContractChanged, "status"),
        (301, Unconfirmed, "redirect"),
        (302, Unconfirmed, "redirect"),
        (307, Unconfirmed, "redirect"),
    ],
)
def test_each_status_has_one_meaning(status, kind, reason):
    """R-17: a refusal keeps its own class and status; whether it is final is for whoever knows of doubts."""
    responses.post(URL, status=status, json={"message": f"Plan {TOKEN}\r\n is  not\u202e active"})
    error = failure_of(gateway())
    assert (type(error), error.reason, error.status) == (kind, reason, status)
    assert error.remote_message == "Plan *** is not active"
    assert TOKEN[:12] not in error.raw


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [("204 No Content", ContractChanged, "status"), ("304 Not Modified", Unconfirmed, "redirect")],
)
def test_an_answer_that_has_no_body_by_definition_leaves_doubt(status, kind, reason):
    error, _ = against(says(f"HTTP/1.1 {status}\r\n\r\n".encode()))
    assert (type(error), error.reason, error.status) == (kind, reason, int(status[:3]))


@responses.activate
def test_a_503_that_asks_for_a_pause_still_leaves_doubt():
    responses.post(URL, status=503, json={"message": "later"}, headers={"Retry-After": "5"})
    assert type(failure_of(gateway())) is Unconfirmed


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("0", 1),
        ("1", 1),
        ("3600", 3600),
        ("1000000000", 3600),
        ("9" * 20, 3600),
        ("Fri, 01 Feb 2030 12:00:30 GMT", 30),
        ("Fri, 01 Feb 2030 12:00:30", 30),
        ("Fri, 01 Feb 2030 11:00:00 GMT", 1),
        ("Fri, 01 Feb 2031 12:00:00 GMT", 3600),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٧", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_understood_within_limits(header, seconds):
    assert seconds_to_wait(header, now=NOON) == seconds


@responses.activate
@pytest.mark.parametrize(("header", "seconds"), [({"Retry-After": "9"}, 9), ({}, None)])
def test_a_pause_says_how_long(header, seconds):
    responses.post(URL, status=429, json={"message": "slow"}, headers=header)
    assert failure_of(gateway()).retry_after == seconds


@responses.activate
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"<html>ok</html>", "unreadable"),
        (b"[]", "not_an_object"),
        (b'"ok"', "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"id": "p', "unreadable"),
        (b'{"id": "p", "accountId": "acme", "status": "PENDING", "price": NaN}', "unreadable"),
        (b'{"id": "p", "accountId": "acme", "status": "FAILURE", "status": "SUCCESS"}', "unreadable"),
        (b'{"id": "p", "accountId": "acme", "status": "PENDING", "n": ' + b"9" * 5_000 + b"}", "unreadable"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "unreadable"),
        (b"[" * 100_000, "unreadable"),
        (b"\xff\xfe\x00", "unreadable"),
        (b'{"id": "\xff"}', "unreadable"),
        (b'\xef\xbb\xbf{"id": "p", "accountId": "acme", "status": "PENDING"}', "unreadable"),
        (b'{"accountId": "acme", "status": "PENDING"}', "no_id"),
        (b'{"id": "", "accountId": "acme", "status": "PENDING"}', "no_id"),
        (b'{"id": " ", "accountId": "acme", "status": "PENDING"}', "no_id"),
        (b'{"id": 7, "accountId": "acme", "status": "PENDING"}', "no_id"),
        (b'{"id": "' + b"p" * 513 + b'", "accountId": "acme", "status": "PENDING"}', "no_id"),
        (b'{"id": "p", "status": "PENDING"}', "no_account_id"),
        (b'{"id": "p", "accountId": "acme"}', "no_status"),
        (b'{"id": "p", "accountId": "acme", "status": null}', "no_status"),
        (b'{"id": "p", "accountId": "acme", "status": "SHINY"}', "unknown_status"),
        (b'{"id": "p", "accountId": "acme", "status": "success"}', "unknown_status"),
        (b'{"id": "p", "accountId": "other", "status": "PENDING"}', "other_account"),
        (b'{"id": "p", "accountId": "ACME", "status": "PENDING"}', "other_account"),
        (b'{"id": "p", "accountId": "acme", "status": "PENDING", "idempotencyKey": "k-2"}', "other_key"),
        (b'{"id": "p", "accountId": "acme", "status": "PENDING", "idempotencyKey": ""}', "other_key"),
    ],
    ids=lambda value: value[:40] if isinstance(value, bytes) else value,
)
def test_a_success_that_cannot_be_read_is_in_doubt(body, reason):
    """R-20, S-08"""
    responses.post(URL, body=body)
    error = failure_of(gateway())
    assert (type(error), error.reason, error.status) == (ContractChanged, reason, 200)


@responses.activate
def test_evidence_of_an_unreadable_success_is_kept_and_can_be_stored():
    """R-20: unstorable characters are escaped in what is kept."""
    responses.post(URL, body=b'{"id": "p\x00", "note": "\\u0000", "x": "\xed\xa0\x80"}')
    raw = failure_of(gateway()).raw
    assert raw.startswith(r'{"id": "p\u0000", "note": "\u0000"')
    raw.encode("utf-8")


@responses.activate
def test_an_odd_character_in_a_success_does_not_put_it_in_doubt():
    """R-20"""
    responses.post(URL, body=json.dumps(GOOD | {"comment": "a\x00b\ud800"}).encode())
    assert create(gateway()).comment == r"a\u0000b\ud800"


@responses.activate
@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (requests.ConnectTimeout(), "connect_timeout"),
        (
            requests.ConnectionError(
                MaxRetryError(None, "/", NameResolutionError("togai.test", None, socket.gaierror()))
            ),
            "name",
        ),
        (requests.ConnectionError(MaxRetryError(None, "/", NewConnectionError(None, "refused"))), "connect"),
        (requests.exceptions.SSLError("certificate verify failed"), "tls"),
        (requests.exceptions.InvalidURL("no"), "local"),
        (requests.exceptions.InvalidHeader(f"Bearer {TOKEN}\n"), "local"),
        (UnicodeEncodeError("latin-1", f"Bearer {TOKEN}", 0, 1, "no"), "local"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_breaks_before_the_request_leaves_no_doubt(raised, reason):
    """S-20: nor does an exception of the library carry the token out."""
    responses.post(URL, body=raised)
    error = failure_of(gateway())
    assert (type(error), error.reason, error.status) == (NotSent, reason, None)


@responses.activate
@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (requests.ReadTimeout(), "timeout"),
        (requests.ConnectionError(ProtocolError("Connection aborted.", ConnectionResetError())), "reset"),
        (requests.ConnectionError(f"Bearer {TOKEN}"), "reset"),
        (requests.exceptions.ChunkedEncodingError(), "cut"),
        (requests.exceptions.ContentDecodingError(), "encoding"),
        (RecursionError(), "unknown"),
        (RuntimeError(f"Bearer {TOKEN}"), "unknown"),
        (OSError(), "unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_breaks_later_or_for_an_unknown_reason_leaves_doubt(raised, reason):
    responses.post(URL, body=raised)
    error = failure_of(gateway())
    assert (type(error), error.reason, error.status) == (Unconfirmed, reason, None)


def test_a_refused_connection_is_provably_not_sent():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    error = failure_of(gateway(url))
    assert (type(error), error.reason) == (NotSent, "connect")


def test_a_plain_port_that_should_speak_tls_is_provably_not_sent():
    with RawTogai(stalls(b"HTTP/1.1 400 Bad Request\r\n\r\n"), read_first=False) as server:
        error = failure_of(gateway(server.url.replace("http:", "https:")))
    assert (type(error), error.reason) == (NotSent, "tls")


def test_a_secure_connection_that_breaks_after_the_request_leaves_doubt(monkeypatch):
    """The library names a late alert like a failed handshake; only the latter proves that nothing left."""

    def alert(stream, buffer):
        raise ssl.SSLError("alert")

    monkeypatch.setattr(socket.SocketIO, "readinto", alert)
    error, _ = against(stalls())
    assert (type(error), error.reason) == (Unconfirmed, "tls")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (resets, "reset"),
        (closes, "reset"),
        (says(b"garbage\r\n\r\n"), "reset"),
        (says(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n{}"), "reset"),
        (says(b"HTTP/1.1 100 Continue\r\n\r\n"), "reset"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"), "cut"),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{"), "cut"),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"), "cut"),
        (says(answer(b"not gzip", headers="Content-Encoding: gzip\r\n")), "encoding"),
        (
            says(answer(gzip.compress(b" " * (ANSWER_LIMIT + 1)), headers="Content-Encoding: gzip\r\n")),
            "too_big",
        ),
        (says(answer(b" " * (ANSWER_LIMIT + 1))), "too_big"),
    ],
    ids=itertools.count(),
)
def test_broken_connections_and_broken_bodies_leave_doubt(script, reason):
    """R-18: and nothing is sent twice by the library."""
    error, arrived = against(script)
    assert (type(error), error.reason, arrived) == (Unconfirmed, reason, 1)


def test_a_reset_before_the_request_was_read_leaves_doubt_too():
    error, _ = against(resets_midway, read_first=False)
    assert type(error) is Unconfirmed


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
def test_an_answer_that_stalls_anywhere_leaves_doubt(start):
    """R-19"""
    error, _ = against(stalls(start), read_timeout=0.05)
    assert (type(error), error.reason) == (Unconfirmed, "timeout")


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
)
def test_an_answer_that_drips_is_cut_off_at_the_deadline(start, drop):
    """R-19: the library's own timeout is per read, so a dripping answer would never end."""
    seconds = itertools.count(0, 10)
    error, arrived = against(drips(start, drop), clock=lambda: next(seconds))
    assert (type(error), error.reason, arrived) == (Unconfirmed, "deadline", 1)


def test_a_stall_ends_at_the_deadline_even_if_the_read_timeout_is_longer():
    """R-19"""
    error, _ = against(stalls(b"HTTP/1.1 200 OK\r\n"), read_timeout=60, deadline=0.05)
    assert (type(error), error.reason) == (Unconfirmed, "deadline")


@pytest.mark.parametrize(
    ("status", "kind"),
    [("401 No", SignInRefused), ("403 No", Forbidden), ("429 Slow", Busy), ("400 No", Unconfirmed)],
)
def test_a_broken_body_hides_no_status_that_stops_all_traffic(status, kind):
    error, _ = against(says(f"HTTP/1.1 {status}\r\nContent-Length: 100\r\n\r\n{{".encode()))
    assert type(error) is kind
    assert error.status == int(status[:3])


def test_a_packed_answer_of_honest_size_is_read():
    packed = answer(gzip.compress(json.dumps(GOOD).encode()), headers="Content-Encoding: gzip\r\n")
    with RawTogai(says(packed)) as server:
        assert create(gateway(server.url)).id == "purchase.1"
