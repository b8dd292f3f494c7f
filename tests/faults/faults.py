"""Every fault of reliability.md 3.2, what it means by 2.6, and where it can occur. Data for F-14."""

import gzip
import itertools
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime
from enum import StrEnum

from tests.faults.rig import Fault, Step
from tests.togai.raw_server import answer, closes, drips_slowly, resets, says, stalls


class Means(StrEnum):
    """What a caller may conclude from an answer (reliability.md 2.6)."""

    FINE = "it happened"
    NOT_SENT = "provably not sent"
    UNKNOWN = "nobody knows"
    CLASH = "a twin or the state is in the way"
    CONTENT = "the content is refused"
    AUTH = "the token is refused"
    FORBIDDEN = "the call is not allowed"
    MISSING = "what it is about is not there"
    BUSY = "too many calls"
    CONFLICT = "Togai's record stands where we did not expect it"


IN_DOUBT = {Means.UNKNOWN, Means.CLASH}
WRITES = (Step.PROPOSAL, Step.PURCHASE, Step.DECISION)
LISTS = (Step.FIRST_PAGE, Step.LATER_PAGE)
STEPS = (*WRITES, *LISTS, Step.GET_PROPOSAL, Step.PROBE)


@dataclass(frozen=True)
class Entry:
    """A fault with its meaning, the class of the gateway's error, and how many seconds it closes the line."""

    fault: Fault
    means: Means
    error: str = ""
    closed_for: int = 0
    # Where it means something else.
    elsewhere: tuple = ()

    def means_at(self, step):
        return dict(self.elsewhere).get(step, self.means)

    def __str__(self):
        return self.fault.name


def _lost(name, play, **more):
    return Entry(Fault(name, play, **more), Means.UNKNOWN, "Unconfirmed")


def _road(name, road, **more):
    return Entry(Fault(name, road=road, **more), Means.NOT_SENT, "NotSent")


def _odd(name, body, elsewhere=()):
    """A 200 whose body is wrong; `body` makes the bytes of it from the good answer."""
    fault = Fault(name, lambda good: says(answer(body(good))))
    return Entry(fault, Means.UNKNOWN, "ContractChanged", elsewhere=elsewhere)


def _status(status, means, error, *, headers="", closed_for=0, name=""):
    def play(good):
        found = headers(good.now) if callable(headers) else headers
        return says(answer(b'{"message":"Scripted."}', f"{status} Scripted", found))

    return Entry(Fault(name or str(status), play), means, error, closed_for)


def _busy(name, header, closed_for):
    if not callable(header):
        line = f"Retry-After: {header}\r\n" if header else ""
    else:

        def line(now):
            return f"Retry-After: {format_datetime(header(now), usegmt=True)}\r\n"

    return _status(429, Means.BUSY, "Busy", headers=line, closed_for=closed_for, name=name)


def _packed(body):
    return says(answer(body, headers="Content-Encoding: gzip\r\n"))


def _head(length):
    return f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n".encode()


def _half(good):
    return good.text.encode()[: len(good.text) // 2]


CHUNKED = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
BOMB = gzip.compress(b" " * 50_000_000, 1)
# What a list or a probe does not judge: it is the caller's record that counts there.
UNKNOWN_WORD = (
    *((step, Means.FINE) for step in (*LISTS, Step.PROBE)),
    (Step.GET_PROPOSAL, Means.CONFLICT),
)
PROBE_IS_FINE = ((Step.PROBE, Means.FINE),)

FAULTS = (
    _road("refused", "refused"),
    _road("DNS", "nameless"),
    _road("connect timeout", "full", slow=True),
    _road("TLS bad cert", "stranger"),
    _road("TLS to plain port", "plain"),
    _lost("reset on accept", lambda good: resets, unread=True),
    _lost("close on accept", lambda good: closes, unread=True),
    _lost("reset after request", lambda good: resets),
    _lost("close after request", lambda good: closes),
    _lost("never answers", lambda good: stalls(), slow=True),
    _lost("stall mid-headers", lambda good: stalls(b"HTTP/1.1 200 OK\r\nContent-Ty"), slow=True),
    _lost("stall mid-body", lambda good: stalls(_head(len(good.text)) + _half(good)), slow=True),
    _lost("drip", lambda good: drips_slowly(_head(900_000), b" ", 0.02), slow=True),
    _lost("short body", lambda good: says(_head(len(good.text) + 100) + good.text.encode())),
    _lost("cut chunk", lambda good: says(CHUNKED + b"4000\r\n" + _half(good))),
    _lost("bad status line", lambda good: says(b"HELLO THERE\r\n\r\n" + good.text.encode())),
    _lost("100 then close", lambda good: says(b"HTTP/1.1 100 Continue\r\n\r\n")),
    _lost(
        "100 KB header",
        lambda good: says(answer(good.text.encode(), headers="X-Long: " + "a" * 100_000 + "\r\n")),
    ),
    _lost("bad gzip", lambda good: _packed(b"this is no gzip")),
    _lost("gzip bomb", lambda good: _packed(BOMB)),
    _odd("200 HTML", lambda good: b"<!doctype html><title>Welcome</title>"),
    _odd("200 empty", lambda good: b""),
    Entry(
        Fault("204", lambda good: says(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")),
        Means.UNKNOWN,
        "ContractChanged",
    ),
    _odd("truncated JSON", lambda good: good.text.encode()[:-3]),
    _odd("NaN", lambda good: good.with_first('"odd":NaN').encode()),
    _odd("duplicate keys", lambda good: good.with_first('"odd":1,"odd":2').encode()),
    _odd("depth 100 k", lambda good: good.with_first('"odd":' + "[" * 100_000 + "]" * 100_000).encode()),
    _odd("5,000-digit int", lambda good: good.with_first('"odd":' + "9" * 5_000).encode()),
    Entry(
        Fault("lone surrogate", lambda good: says(answer(good.with_first(r'"comment":"\ud800"').encode()))),
        Means.FINE,
    ),
    _odd("invalid UTF-8", lambda good: b'{"comment":"\xff\xfe",' + good.text.encode()[1:]),
    _odd("BOM", lambda good: b"\xef\xbb\xbf" + good.text.encode()),
    _odd("array body", lambda good: f"[{good.text}]".encode()),
    # An unknown word in the read before a decision is shown to a person like any other word in the way.
    _odd("unknown enum", lambda good: good.changed(status="SHINY").encode(), UNKNOWN_WORD),
    _odd("missing id", lambda good: good.changed(id=None).encode(), PROBE_IS_FINE),
    _odd(
        "other account",
        lambda good: good.changed(id="purchase.0", accountId="somebody-else").encode(),
        PROBE_IS_FINE,
    ),
    *(
        _status(
            status,
            Means.UNKNOWN,
            "Unconfirmed",
            headers="Location: https://elsewhere.example/accounts\r\n",
            closed_for=60,
            name=f"{status} to other host",
        )
        for status in (301, 302, 307)
    ),
    _status(400, Means.CONTENT, "Refused"),
    _status(401, Means.AUTH, "SignInRefused", closed_for=360),
    _status(403, Means.FORBIDDEN, "Forbidden"),
    _status(404, Means.MISSING, "Missing"),
    _status(409, Means.CLASH, "Clash"),
    _status(422, Means.CONTENT, "Refused"),
    _busy("429", "", 5),
    _busy("429 Retry-After int", "7", 7),
    _busy("429 Retry-After date", lambda now: now + timedelta(seconds=30), 30),
    _busy("429 Retry-After past", lambda now: now - timedelta(hours=1), 1),
    _busy("429 Retry-After garbage", "soon", 5),
    _busy("429 Retry-After 10⁹", "1000000000", 3600),
    *(_status(status, Means.UNKNOWN, "Unconfirmed") for status in (500, 502, 503, 504)),
)


@dataclass(frozen=True)
class Cell:
    """
    One story: a fault at a step.

    `applied`: Togai carried the write out all the same (of a list: the lost write that it is read for).
    `strict`: Togai honours the key of a create, or guards a proposal against a second decision.
    """

    entry: Entry
    step: Step
    applied: bool
    strict: bool

    @property
    def means(self):
        return self.entry.means_at(self.step)

    def __str__(self):
        words = [str(self.entry), "at", str(self.step)]
        if self.step in (*WRITES, *LISTS):
            words.append("applied" if self.applied else "not applied")
        if self.step in WRITES and self.means in IN_DOUBT:
            words.append("strict" if self.strict else "lax")
        return " ".join(words)


def why_not(cell):
    """Why a cell of the full table cannot occur, or is the same story as its neighbour; "" if it can."""
    fault, means = cell.entry.fault, cell.means
    if fault.name == "other account" and cell.step in LISTS:
        return "A row of a list names no account (T3): such a list cannot be told from an honest one."
    if cell.step not in (*WRITES, *LISTS) and (cell.applied or cell.strict):
        return "A read changes nothing, and nothing is in doubt behind it."
    if cell.step in LISTS and cell.strict:
        return "A read carries no key and no decision."
    if cell.step in LISTS:
        return ""
    if cell.step in WRITES and means not in IN_DOUBT and cell.strict:
        return "Nothing is sent a second time, so keys and guards are all the same."
    if cell.applied and fault.road:
        return "Nothing arrives on a road that breaks, so nothing can be carried out."
    if cell.applied and fault.unread:
        return "What nobody read cannot be carried out."
    if cell.applied and means not in (*IN_DOUBT, Means.FINE):
        return "Togai says that it did not; that this is so is in the contract (T1) or assumed (T8)."
    if not cell.applied and means == Means.FINE and cell.step in WRITES:
        return "A readable success that did not happen is a lie that only the later follow-up can show."
    return ""


TABLE = tuple(Cell(*cell) for cell in itertools.product(FAULTS, STEPS, (True, False), (True, False)))
CELLS = tuple(cell for cell in TABLE if not why_not(cell))
