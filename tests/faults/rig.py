"""
A scripted Togai on a real socket (F-01): it keeps a ledger of every request received and every change
applied, and misbehaves at one step of the conversation until it is healed.

What it would say on a good day is `FakeTogai`'s word; this file is about how the word arrives.
"""

import contextlib
import copy
import json
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import requests.adapters
from django.db import connection

from tests.togai import raw_server
from tests.togai.fake_togai import FakeTogai
from togai.gateway import Gateway
from togai.secret import Secret

TOKEN = "tk-canary-of-the-rig-51c0ffee"
CERTIFICATES = Path(__file__).parent / "certificates"


class Step(StrEnum):
    """The places in a conversation at which something may go wrong (reliability.md 3.2)."""

    PROPOSAL = "POST proposal"
    PURCHASE = "POST purchase"
    FIRST_PAGE = "list first page"
    LATER_PAGE = "list later page"
    GET_PROPOSAL = "GET proposal"
    DECISION = "POST update_status"
    PROBE = "health probe"
    OTHER = "other"


# What is answered right before the step on its way there; a road that breaks must break only after it.
BEFORE = {Step.LATER_PAGE: Step.FIRST_PAGE, Step.DECISION: Step.GET_PROPOSAL}


@dataclass(frozen=True)
class Good:
    """The answer of a good day."""

    status: int
    text: str
    now: datetime

    def raw(self, **changes):
        """The bytes of it; with changes, of every record in it; a value of None leaves the name out."""
        return raw_server.answer(self.changed(**changes).encode())

    def changed(self, **changes):
        def with_changes(record):
            return {name: value for name, value in (record | changes).items() if value is not None}

        if not changes:
            return self.text
        found = json.loads(self.text)
        if "data" in found:
            return json.dumps(found | {"data": [with_changes(record) for record in found["data"]]})
        return json.dumps(with_changes(found))

    def with_first(self, member):
        """The text with one more raw member in front, which may be no JSON."""
        return "{" + member + "," + self.text[1:]


@dataclass(frozen=True)
class Fault:
    """
    One way in which a call goes wrong.

    `play` gets the good answer and makes the script of what happens on the connection; a `road` breaks
    before any request leaves: "refused", "nameless", "full" (no answer to our knock), "stranger" (a
    certificate nobody trusts) or "plain" (no TLS there).
    """

    name: str
    play: Callable[[Good], raw_server.Script] | None = None
    road: str = ""
    unread: bool = False
    slow: bool = False


@dataclass(frozen=True)
class Received:
    """One line of the ledger."""

    at: datetime
    step: Step
    method: str
    target: str
    body: bytes
    signed_in: bool
    applied: bool
    fault: str

    def __str__(self):
        happened = f" · {self.fault}" if self.fault else ""
        applied = " · applied" if self.applied else ""
        return f"{self.at:%d %b %H:%M:%S.%f} {self.method} {self.target}{applied}{happened}"


def step_of(method, target):
    """Which step of the conversation a request is."""
    parts = urlsplit(target)
    path = parts.path.strip("/").split("/")
    if method == "POST":
        steps = {
            "purchase_proposals": Step.PROPOSAL,
            "purchases": Step.PURCHASE,
            "update_status": Step.DECISION,
        }
        return steps[path[-1]]
    if path == ["accounts"]:
        return Step.PROBE
    if path[0] == "accounts" and path[-1] in ("purchase_proposals", "purchases"):
        return Step.LATER_PAGE if "nextToken" in parse_qs(parts.query) else Step.FIRST_PAGE
    return Step.GET_PROPOSAL if path[0] == "purchase_proposals" else Step.OTHER


class Rig(raw_server.RawTogai):
    """One listening socket for many tests; each of them begins with `begin`."""

    def __init__(self):
        super().__init__(raw_server.closes)
        self.port = self._listener.getsockname()[1]
        self._contexts = {}
        for name in ("localhost", "stranger"):
            self._contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._contexts[name].load_cert_chain(CERTIFICATES / f"{name}.pem")
        # A port that nobody listens on, and one whose queue of knocks is full.
        with socket.create_server(("127.0.0.1", 0)) as gone:
            self._refusing = gone.getsockname()[1]
        self._full = socket.create_server(("127.0.0.1", 0), backlog=0)
        self._knocks = [self._knock() for _ in range(4)]

    def _knock(self):
        knocking = socket.socket()
        knocking.setblocking(False)
        knocking.connect_ex(self._full.getsockname())
        return knocking

    def __exit__(self, *exc):
        super().__exit__(*exc)
        for held in (*self._knocks, self._full):
            held.close()

    def begin(self, clock, *, honours_keys=False, guards_decisions=True, page_size=None, tls=False):
        """Forget everything and be well."""
        self.clock = clock
        self.togai = FakeTogai(clock, honours_keys=honours_keys, guards_decisions=guards_decisions)
        self.page_size = page_size
        self.tls = tls
        self.ledger = []
        self.fault = self.at = None
        self.applies = False
        self.road = ""
        self.refuses_token = False

    def misbehave(self, fault, *, at, applies=False):
        """
        From now on have `fault` at step `at` of every conversation.

        :param applies: whether a write that arrives there is carried out all the same
        """
        self.fault, self.at, self.applies = fault, at, applies
        if at not in BEFORE:
            self.road = fault.road

    def heal(self):
        """Be well from now on."""
        self.fault = self.at = None
        self.road = ""

    def gateway(self, *, hurry=False, **options):
        """
        A gateway that leads here; in a hurry all its times are short, else generous.

        It asserts that no transaction is open at any call (I12).
        """
        times = {"connect_timeout": 20, "read_timeout": 20, "deadline": 30}
        if hurry:
            # The read timeout is the longer one, so that only the deadline over the whole can end a stall.
            times = {"connect_timeout": 0.15, "read_timeout": 20, "deadline": 0.15}
        scheme = "https" if self.tls else "http"
        return Gateway(
            base_url=f"{scheme}://localhost:{self.port}",
            token=Secret(TOKEN),
            now=self.clock,
            **({"before_call": _no_transaction_is_open} | times | options),
        )

    def roads(self, monkeypatch):
        """Have the name of the rig lead where its road goes, and its own certificate trusted."""

        def addresses(host, port, *args, **kwargs):
            if self.road == "nameless":
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            ports = {"refused": self._refusing, "full": self._full.getsockname()[1]}
            place = ("127.0.0.1", ports.get(self.road, port))
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)]

        monkeypatch.setattr(socket, "getaddrinfo", addresses)
        monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(CERTIFICATES / "localhost.pem"))

    # What tests ask

    def received(self, *steps):
        """The lines of the ledger at these steps."""
        return [line for line in self.ledger if line.step in steps]

    def writes(self):
        """Everything that was sent to change something."""
        return [line for line in self.ledger if line.method != "GET"]

    def records_of(self, key):
        """The objects at Togai that carry a key."""
        return [record for record in self.togai.records.values() if record.get("idempotencyKey") == key]

    def decided(self):
        """How often each proposal was decided, whether or not that changed anything."""
        return Counter(path for path, _, _ in self.togai.applied if path.endswith("update_status"))

    def most_within(self, span, lines=None):
        """The largest number of requests in any window of this length."""
        times = sorted(line.at for line in (self.ledger if lines is None else lines))
        most = first = 0
        for last, at in enumerate(times):
            while at - times[first] >= span:
                first += 1
            most = max(most, last - first + 1)
        return most

    def story(self):
        """The ledger in words, for whoever reads a failure."""
        return "\n".join(map(str, self.ledger))

    # One conversation

    def _play(self, peer, script):
        with contextlib.suppress(OSError), contextlib.closing(peer):
            if self.road == "plain":
                peer.recv(1)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                return
            if self.tls:
                name = "stranger" if self.road == "stranger" else "localhost"
                peer = self._contexts[name].wrap_socket(peer, server_side=True)
            self._converse(peer)

    def _converse(self, peer):
        with contextlib.closing(peer):
            if self.fault is not None and self.fault.unread:
                method, target, _ = _parsed(peer.recv(65536, socket.MSG_PEEK))
                if step_of(method, target) == self.at:
                    self._note(method, target, b"", signed_in=True, fault=self.fault.name)
                    self.fault.play(None)(peer)
                    return
            raw = raw_server._whole_request(peer)
            self._answer(peer, raw)

    def _answer(self, peer, raw):
        method, target, body = _parsed(raw)
        step = step_of(method, target)
        signed_in = f"Authorization: Bearer {TOKEN}\r\n".encode() in raw and not self.refuses_token
        if not signed_in:
            self._note(method, target, body, signed_in=False)
            peer.sendall(raw_server.answer(b'{"message":"Unauthorized"}', "401 Unauthorized"))
            return
        fault = self.fault if self.at == step and self.fault.play else None
        applied = method != "GET" and (fault is None or self.applies)
        good = self._good(method, target, body, applied)
        self._note(method, target, body, signed_in=True, applied=applied, fault=fault.name if fault else "")
        if self.fault is not None and step == BEFORE.get(self.at):
            self.road = self.fault.road
        if fault is not None:
            fault.play(good)(peer)
        else:
            date = f"Date: {format_datetime(self.togai.clock(), usegmt=True)}\r\n"
            peer.sendall(raw_server.answer(good.text.encode(), f"{good.status} As scripted", date))

    def _note(self, method, target, body, *, signed_in, applied=False, fault=""):
        self.ledger.append(
            Received(self.clock(), step_of(method, target), method, target, body, signed_in, applied, fault)
        )

    def _good(self, method, target, body, applied):
        """What Togai says when all is well; what must not be applied is tried on a copy."""
        if method == "GET":
            return self._read(target)
        togai = self.togai if applied else copy.deepcopy(self.togai)
        status, _, text = togai.answer(method, target, body)
        return Good(status, text, self.clock())

    def _read(self, target):
        path, _, query = target.partition("?")
        if path == "/accounts":
            page = {"data": [{"id": "acme", "name": "Acme", "status": "ACTIVE"}], "nextToken": None}
            return Good(200, json.dumps(page), self.clock())
        if path.startswith("/accounts/") and path.count("/") == 2:
            return Good(200, json.dumps({"id": path.split("/")[2]}), self.clock())
        status, _, text = self.togai.answer("GET", path)
        found = json.loads(text)
        if "data" in found and self.page_size:
            start = int(parse_qs(query).get("nextToken", ["0"])[0])
            end = start + self.page_size
            token = str(end) if end < len(found["data"]) else None
            text = json.dumps({"data": found["data"][start:end], "nextToken": token})
        return Good(status, text, self.clock())


def _parsed(raw):
    head, _, body = raw.partition(b"\r\n\r\n")
    method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
    return method, target, body


def _no_transaction_is_open():
    # The block that a test case wraps around a whole test is not the product's.
    if any(not block._from_testcase for block in connection.atomic_blocks):
        raise AssertionError("A call to Togai inside a transaction.")
