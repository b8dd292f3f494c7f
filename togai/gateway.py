"""
The only door to Togai (togai.md 2 and 3): plain values in, frozen values or a named error out.

What an error promises (reliability.md 2.6): `NotSent` is raised only where it is certain that nothing
happened, `Refused` and `Missing` only where Togai says so in its own words, everything else is `Unconfirmed`.
A read has no effect, so after a failed read no doubt remains whatever the class; it raises the same classes
because the caller waits, stops or shows for the same reasons. Nothing is retried here: the caller knows what
is safe.
"""

import io
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPResponse
from typing import Any, Literal, NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError, ReadTimeoutError

from togai import strict_json, wire
from togai.errors import (
    Busy,
    Clash,
    ContractChanged,
    Forbidden,
    Missing,
    NotSent,
    Refused,
    SignInRefused,
    TogaiError,
    Unconfirmed,
)
from togai.secret import Secret

VERSION = "0.1.0"
ANSWER_LIMIT = 1024 * 1024
ANSWER_DEPTH = 64
ANSWER_NODES = 200_000
LONGEST_PAUSE = 3600
PAGE_LIMIT = 10_000
LOOPBACK = ("127.0.0.1", "localhost", "::1")

HEADERS = {
    "User-Agent": f"deal-desk/{VERSION}",
    "Accept": "application/json",
    # 50 KB packed can be 50 MB unpacked.
    "Accept-Encoding": "identity",
}
# An idle connection that the server dropped must not put a write in doubt.
WRITE_HEADERS = {"Content-Type": "application/json", "Connection": "close"}

Method = Literal["GET", "POST", "PATCH"]
Record = TypeVar("Record", bound=wire.Remote)
Purchase = TypeVar("Purchase", bound=wire.RemotePurchase)


def checked_base_url(text: str) -> str:
    """
    The address of a Togai, checked: scheme, host and port only, and https unless it is this very machine.

    :raises ValueError: saying what is wrong with it, without repeating a password in it
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("Togai's address is not a valid URL.") from None
    if not text.isascii() or any(letter.isspace() for letter in text) or "\\" in text:
        raise ValueError("Togai's address holds characters that do not belong there.")
    if "@" in parts.netloc:
        raise ValueError("Togai's address must not hold a name or a password.")
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("Togai's address must start with https:// and a host.")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("Togai's address must be https; http is for this machine only.")
    if parts.path not in ("", "/") or "?" in text or "#" in text:
        raise ValueError("Togai's address must not have a path, a query or a fragment.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def seconds_to_wait(header: str | None, *, now: datetime) -> float | None:
    """What `Retry-After` asks for, between 1 second and an hour; None if it says nothing understandable."""
    text = (header or "").strip()
    if re.fullmatch(r"[0-9]{1,20}", text):
        seconds = float(text)
    else:
        when = _moment(text)
        if when is None:
            return None
        seconds = (when - now).total_seconds()
    return min(max(seconds, 1.0), LONGEST_PAUSE)


def _moment(header: str | None) -> datetime | None:
    """The moment that a header names, or None."""
    try:
        when = parsedate_to_datetime(header or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return when.replace(tzinfo=when.tzinfo or UTC)


class Page(NamedTuple):
    """One page of a list: its readable rows, the next page's token or None, and what could not be read."""

    rows: tuple[Any, ...]
    next_token: str | None
    unreadable: tuple[ContractChanged, ...] = ()


# --- the wall clock over a whole exchange, and the proof that nothing left -----------------------------


@dataclass(slots=True)
class _Exchange:
    """One request on the wire: when it must be over, and whether a byte of it may have left."""

    ends: float
    clock: Callable[[], float]
    wrote: bool = False

    def left(self) -> float:
        return self.ends - self.clock()


_current: ContextVar[_Exchange | None] = ContextVar("togai_exchange", default=None)


class _BoundedReader(io.RawIOBase):
    """Gives each read of the socket only what is left of the whole; the library's timeouts are per read."""

    def __init__(self, sock: Any, exchange: _Exchange) -> None:
        self._sock = sock
        self._stream = sock.makefile("rb", buffering=0)
        self._exchange = exchange

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._exchange.left()
        if left <= 0:
            raise TimeoutError("The deadline is over.")
        allowed = self._sock.gettimeout()
        self._sock.settimeout(left if allowed is None else min(allowed, left))
        try:
            count: int | None = self._stream.readinto(buffer)
            return count
        finally:
            self._sock.settimeout(allowed)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _BoundedResponse(HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        exchange = _current.get()
        if exchange is not None:
            self.fp.close()
            self.fp = io.BufferedReader(_BoundedReader(sock, exchange))


def _about_to_write(connection: HTTPConnection) -> None:
    """From here on nobody can prove that nothing left. The library connects as late as in its own `send`."""
    if connection.sock is None:
        connection.connect()
    exchange = _current.get()
    if exchange is not None:
        exchange.wrote = True


class _WatchedHTTP(HTTPConnection):
    response_class = _BoundedResponse

    def send(self, data: Any) -> None:
        _about_to_write(self)
        super().send(data)


class _WatchedHTTPS(HTTPSConnection):
    response_class = _BoundedResponse

    def send(self, data: Any) -> None:
        _about_to_write(self)
        super().send(data)


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPS


class _Adapter(HTTPAdapter):
    """The library's transport without retries, on watched connections."""

    def __init__(self) -> None:
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}


class _Bearer(AuthBase):
    """Puts the token on a request at the last moment, so that no variable of ours ever holds the header."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


class _Answer(NamedTuple):
    status: int
    body: bytes
    headers: Mapping[str, str]


# --- the gateway ---------------------------------------------------------------------------------------


class Gateway:
    """
    Togai's API as calls that return frozen values. Safe to use from several threads.

    :param base_url: see `checked_base_url`
    :param connect_timeout: seconds for one connection and its handshake
    :param read_timeout: seconds between two pieces of an answer
    :param deadline: seconds for a whole call, from before the connection to the last byte of the body
    :param before_call: called before every call, for example to wait for a turn or to refuse inside a
        transaction; what it raises reaches the caller unchanged, and nothing is sent
    :param clock: seconds that only go forward
    :param now: the time of day, for `Retry-After` dates
    :raises ValueError: for a base URL that must not be used
    """

    def __init__(
        self,
        *,
        base_url: str,
        token: Secret,
        connect_timeout: float = 5,
        read_timeout: float = 20,
        deadline: float = 30,
        before_call: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._base = checked_base_url(base_url)
        self._timeouts = (connect_timeout, read_timeout)
        self._deadline = deadline
        self._before_call = before_call
        self._clock = clock
        self._now = now
        self._token = token
        self._skew: timedelta | None = None
        # The transport alone, no session: that would follow redirects, read proxies and a .netrc from the
        # environment (which silently replaces our Authorization), keep cookies, and read the whole body of a
        # redirect.
        self._adapter = _Adapter()

    @property
    def skew(self) -> timedelta | None:
        """How far Togai's clock is ahead of ours, by the `Date` of its last answer; None before one."""
        return self._skew

    # Writes

    def create_purchase(self, *, account_id: str, body: bytes) -> wire.RemotePurchase:
        """
        Buy for an account: the frozen bytes of a `wire.CreatePurchase`.

        :raises TogaiError: its class tells whether sending again is safe
        """
        return self._create(wire.RemotePurchase, ("accounts", account_id, "purchases"), account_id, body)

    def create_proposal(self, *, account_id: str, body: bytes) -> wire.RemoteProposal:
        """
        Propose to an account: the frozen bytes of a `wire.CreateProposal`.

        :raises TogaiError: its class tells whether sending again is safe
        """
        return self._create(
            wire.RemoteProposal, ("accounts", account_id, "purchase_proposals"), account_id, body
        )

    def update_proposal_status(self, *, proposal_id: str, body: bytes) -> wire.RemoteProposal:
        """
        Approve or decline: the bytes of a `wire.UpdateProposalStatus`.

        Read the proposal before and after: the answer may still hold the old status, and no key makes a
        second call harmless.

        :raises TogaiError: its class tells whether sending again is safe
        """
        answer = self._write("POST", ("purchase_proposals", proposal_id, "update_status"), body)
        remote = answer.as_a(wire.RemoteProposal, proposal_id)
        if remote.known_status is None:
            raise answer.contract_changed(
                "unknown_status", "Togai's answer has a status that we do not know."
            )
        return remote

    def update_account(self, *, account_id: str, body: bytes) -> wire.RemoteAccount:
        """
        Change an account: the frozen bytes of a `wire.UpdateAccount`.

        :raises TogaiError: its class tells whether sending again is safe
        """
        return self._write("PATCH", ("accounts", account_id), body).as_a(wire.RemoteAccount, account_id)

    # Reads

    def probe(self) -> None:
        """
        Ask for something cheap, to learn whether calls make sense.

        :raises TogaiError: if they do not; `ContractChanged` when somebody answers who is not Togai, such as
            a proxy with a page of its own
        """
        self._get(("accounts",), {"pageSize": "1"}).as_a_page(wire.RemoteAccount)

    def get_proposal(self, proposal_id: str) -> wire.RemoteProposal:
        """One proposal. :raises TogaiError: `ContractChanged` if it lacks what every proposal must have"""
        return self._get(("purchase_proposals", proposal_id)).as_a(wire.RemoteProposal, proposal_id)

    def get_purchase(self, purchase_id: str) -> wire.RemotePurchase:
        """One purchase, or what became of an approved proposal. :raises TogaiError:"""
        return self._get(("purchases", purchase_id)).as_a(wire.RemotePurchase, purchase_id)

    def get_account(self, account_id: str) -> wire.RemoteAccount:
        """One account. :raises TogaiError:"""
        return self._get(("accounts", account_id)).as_a(wire.RemoteAccount, account_id)

    def get_customer(self, customer_id: str) -> wire.RemoteCustomer:
        """One customer. :raises TogaiError:"""
        return self._get(("customers", customer_id)).as_a(wire.RemoteCustomer, customer_id)

    def get_price_plan(self, plan_id: str, version: int | str | None = None) -> wire.RemotePlan:
        """
        One price plan, without its rate cards.

        :param version: a number, "LATEST" (may be a draft) or "ACTIVE"; None leaves the choice to Togai
        :raises TogaiError:
        """
        query = {} if version is None else {"version": str(version)}
        return self._get(("v2", "price_plans", plan_id), query).as_a(wire.RemotePlan)

    def get_wallet(self, account_id: str) -> wire.RemoteWallet:
        """The wallet of an account. :raises TogaiError:"""
        return self._get(("accounts", account_id, "wallet")).as_a(wire.RemoteWallet)

    def get_entitlements(self, account_id: str) -> tuple[wire.RemoteEntitlementValue, ...]:
        """What an account is entitled to, feature by feature. :raises TogaiError:"""
        answer = self._get(("accounts", account_id, "entitlements"))
        page = answer.as_a_page(wire.RemoteEntitlementValue)
        _complain_about(page.unreadable)
        return page.rows

    def get_feature_credits(self, account_id: str, feature_id: str) -> wire.RemoteFeatureCredits:
        """An account's balance of one feature. :raises TogaiError:"""
        answer = self._get(("accounts", account_id, "features", feature_id))
        return answer.as_a(wire.RemoteFeatureCredits)

    def calculate_revenue(self, body: bytes) -> wire.RemoteRevenue:
        """
        Preview a cycle: the bytes of a `wire.CalculateRevenue`. It is posted, and changes nothing at Togai.

        :raises TogaiError:
        """
        return self._write("POST", ("v2", "revenue_calculator"), body).as_a(wire.RemoteRevenue)

    # Lists. Each walks to the end and yields what it can read. It raises `Unconfirmed` (reason "walk") where
    # the pages make no sense, and at the very end `ContractChanged` (reason "rows", with `unreadable`) if it
    # had to leave records out: whoever was looking for one must not conclude that it is absent.

    def list_accounts(self) -> Iterator[wire.RemoteAccount]:
        """Every account."""
        return self._walk(wire.RemoteAccount, ("accounts",))

    def list_customers(self) -> Iterator[wire.RemoteCustomer]:
        """Every customer."""
        return self._walk(wire.RemoteCustomer, ("customers",))

    def list_price_plans(self) -> Iterator[wire.RemotePlan]:
        """Every price plan in its latest version, without rate cards."""
        return self._walk(wire.RemotePlan, ("v2", "price_plans"))

    def list_price_plan_versions(self, plan_id: str) -> Iterator[wire.RemotePlan]:
        """Every version of one price plan; as rows share its id, pages are told apart by token alone."""
        return self._walk(wire.RemotePlan, ("v2", "price_plans", plan_id, "versions"), rows_have_ids=False)

    def list_rate_cards(self, plan_id: str) -> Iterator[wire.RemoteRateCard]:
        """The rate cards of a price plan."""
        return self._walk(
            wire.RemoteRateCard, ("v2", "price_plans", plan_id, "rate_cards"), rows_have_ids=False
        )

    def list_features(self) -> Iterator[wire.RemoteFeature]:
        """Every feature."""
        return self._walk(wire.RemoteFeature, ("features",))

    def list_add_ons(self) -> Iterator[wire.RemoteAddOn]:
        """Every add-on."""
        return self._walk(wire.RemoteAddOn, ("addons",))

    def list_usage_meters(self) -> Iterator[wire.RemoteUsageMeter]:
        """Every usage meter."""
        return self._walk(wire.RemoteUsageMeter, ("usage_meters",))

    def list_account_purchases(self, account_id: str) -> Iterator[wire.PurchaseRow]:
        """The purchases of an account. No parameters are documented: only a token it gave is sent back."""
        return self._walk(wire.PurchaseRow, ("accounts", account_id, "purchases"), size=None)

    def list_account_proposals(self, account_id: str) -> Iterator[wire.ProposalRow]:
        """The proposals of an account. No parameters are documented: only a token it gave is sent back."""
        return self._walk(wire.ProposalRow, ("accounts", account_id, "purchase_proposals"), size=None)

    def list_invoices(self, owner_id: str) -> Iterator[wire.RemoteInvoice]:
        """The invoices and orders of an account or an invoice group."""
        return self._walk(wire.RemoteInvoice, ("invoices",), query={"owner_id": owner_id})

    def list_wallet_entries(self, account_id: str) -> Iterator[wire.RemoteWalletEntry]:
        """The movements in an account's wallet."""
        return self._walk(wire.RemoteWalletEntry, ("accounts", account_id, "wallet", "entries"))

    def list_credit_entries(self, account_id: str, feature_id: str) -> Iterator[wire.RemoteCreditEntry]:
        """What was granted to an account of one feature, grant by grant."""
        path = ("accounts", account_id, "features", feature_id, "entries")
        return self._walk(wire.RemoteCreditEntry, path)

    def list_schedules(
        self, account_id: str, mode: Literal["ACTIVE", "DRAFT"] = "ACTIVE"
    ) -> Iterator[wire.RemoteSchedule]:
        """Which plans apply to an account, and when."""
        path = ("v2", "accounts", account_id, "schedules")
        return self._walk(wire.RemoteSchedule, path, query={"mode": mode})

    def page_of_accounts(self, next_token: str | None = None, page_size: int = 100) -> Page:
        """One page of accounts, for a pull that can go on where it stopped. :raises TogaiError:"""
        return self._page(wire.RemoteAccount, ("accounts",), next_token, {"pageSize": str(page_size)})

    def page_of_customers(self, next_token: str | None = None, page_size: int = 100) -> Page:
        """One page of customers, for a pull that can go on where it stopped. :raises TogaiError:"""
        return self._page(wire.RemoteCustomer, ("customers",), next_token, {"pageSize": str(page_size)})

    def page_of_price_plans(self, next_token: str | None = None, page_size: int = 100) -> Page:
        """One page of price plans, for a pull that can go on where it stopped. :raises TogaiError:"""
        return self._page(wire.RemotePlan, ("v2", "price_plans"), next_token, {"pageSize": str(page_size)})

    # What an answer must say

    def _create(
        self, record: type[Purchase], path: tuple[str, ...], account_id: str, body: bytes
    ) -> Purchase:
        key = _key_in(body)
        answer = self._write("POST", path, body)
        remote = answer.as_a(record)
        if remote.known_status is None:
            raise answer.contract_changed(
                "unknown_status", "Togai's answer has a status that we do not know."
            )
        if remote.account_id != account_id:
            raise answer.contract_changed("other_account", "Togai's answer speaks of another account.")
        if remote.idempotency_key not in (None, key):
            raise answer.contract_changed("other_key", "Togai's answer carries another key than ours.")
        return remote

    # Pages

    def _page(
        self, record: type[Record], path: tuple[str, ...], token: str | None, query: Mapping[str, str]
    ) -> Page:
        # A token embeds page size and filters (togai.md 2.2).
        return self._get(path, query if token is None else {"nextToken": token}).as_a_page(record)

    def _walk(
        self,
        record: type[Record],
        path: tuple[str, ...],
        *,
        size: int | None = 50,
        query: Mapping[str, str] | None = None,
        rows_have_ids: bool = True,
    ) -> Iterator[Record]:
        first_query = dict(query or {}) | ({} if size is None else {"pageSize": str(size)})
        token: str | None = None
        tokens: set[str] = set()
        firsts: set[str] = set()
        unreadable: list[ContractChanged] = []
        for _ in range(PAGE_LIMIT):
            page = self._page(record, path, token, first_query)
            unreadable += page.unreadable
            if rows_have_ids and page.rows:
                first = page.rows[0].id
                if first in firsts:
                    raise Unconfirmed("Togai's list starts again from the beginning.", reason="walk")
                firsts.add(first)
            yield from page.rows
            token = page.next_token
            if token is None or not (page.rows or page.unreadable):
                _complain_about(unreadable)
                return
            if token in tokens:
                raise Unconfirmed("Togai's list goes round in circles.", reason="walk")
            tokens.add(token)
        raise Unconfirmed("Togai's list does not end.", reason="walk")

    # The wire

    def _get(self, path: tuple[str, ...], query: Mapping[str, str] | None = None) -> "_Good":
        return self._call("GET", path, query=query or {}, body=None)

    def _write(self, method: Method, path: tuple[str, ...], body: bytes) -> "_Good":
        return self._call(method, path, query={}, body=body)

    def _call(
        self, method: Method, path: tuple[str, ...], *, query: Mapping[str, str], body: bytes | None
    ) -> "_Good":
        """The one place that talks to Togai: prepare, send, judge the answer."""
        if self._before_call is not None:
            self._before_call()
        request = self._prepare(method, path, query, body)
        exchange = _Exchange(ends=self._clock() + self._deadline, clock=self._clock)
        answer, trouble = self._send(request, exchange)
        # Raised outside of any except block: an exception of the library may hold our headers, and a chained
        # one would be printed with ours (S-20).
        if answer is None:
            raise trouble or Unconfirmed("The answer of Togai was lost.", reason="unknown")
        said_at = _moment(answer.headers.get("Date"))
        if said_at is not None:
            self._skew = said_at - self._now()
        error = self._judge(answer, trouble)
        if error is not None:
            raise error
        return _Good(answer.status, self._shown(answer.body), answer.body)

    def _prepare(
        self, method: Method, path: tuple[str, ...], query: Mapping[str, str], body: bytes | None
    ) -> requests.PreparedRequest:
        problem = ""
        prepared: requests.PreparedRequest | None = None
        try:
            target = _target(path, query)
            prepared = requests.Request(
                method,
                self._base + target,
                headers=HEADERS | (WRITE_HEADERS if body is not None else {}),
                data=body,
                auth=_Bearer(self._token),
            ).prepare()
            if prepared.path_url != target or prepared.url != self._base + target:
                problem = "The path of this call would arrive changed."
        except ValueError as error:
            # Also InvalidURL, InvalidHeader and UnicodeError; only our own words may be repeated.
            problem = str(error) if isinstance(error, _BadPath) else "This call cannot be put into a request."
        if problem or prepared is None:
            raise NotSent(problem, reason="local")
        return prepared

    def _send(
        self, request: requests.PreparedRequest, exchange: _Exchange
    ) -> tuple[_Answer | None, TogaiError | None]:
        """Send and read. Both results: the status line arrived, and then something broke."""
        watch = _current.set(exchange)
        response: requests.Response | None = None
        try:
            response = self._adapter.send(request, stream=True, timeout=self._timeouts, verify=True)
            body = bytearray()
            for piece in response.iter_content(16 * 1024):
                body += piece
                if len(body) > ANSWER_LIMIT:
                    too_big = Unconfirmed("Togai's answer is too large to be right.", reason="too_big")
                    too_big.status = response.status_code
                    return _Answer(response.status_code, b"", response.headers), too_big
            return _Answer(response.status_code, bytes(body), response.headers), None
        except Exception as error:
            trouble = _trouble(error, exchange)
            if response is None:
                return None, trouble
            trouble.status = response.status_code
            return _Answer(response.status_code, b"", response.headers), trouble
        finally:
            if response is not None:
                response.close()
            _current.reset(watch)

    def _judge(self, answer: _Answer, trouble: TogaiError | None) -> TogaiError | None:
        """What an answer means (reliability.md 2.6); None for one that can be read."""
        status = answer.status
        if status in (200, 201):
            return trouble
        raw = self._shown(answer.body)
        message = _message_in(answer.body, raw)
        kind, reason, sentence = _meaning(status)
        # The status line alone says these three, and 401 must stop all traffic even if its body breaks.
        if trouble is not None and kind not in (SignInRefused, Forbidden, Busy):
            return trouble
        error = kind(sentence, reason=reason, status=status, remote_message=message, raw=raw)
        if isinstance(error, Busy):
            error.retry_after = seconds_to_wait(answer.headers.get("Retry-After"), now=self._now())
        return error

    def _shown(self, body: bytes) -> str:
        """The text of an answer as evidence, without our token should the other side echo it."""
        text = body.decode("utf-8", "backslashreplace").replace("\x00", "\\u0000")
        for shown in (self._token.reveal(), self._token.reveal()[:12]):
            # A short word may well occur in honest data; a token is long.
            if len(shown) >= 8:
                text = text.replace(shown, str(self._token))
        return text


class _Good(NamedTuple):
    """A 200 or 201 with its text; whether it can be read is still open."""

    status: int
    text: str
    body: bytes

    def contract_changed(self, reason: str, sentence: str) -> ContractChanged:
        return ContractChanged(sentence, reason=reason, status=self.status, raw=self.text)

    def parsed(self) -> object:
        try:
            self.body.decode("utf-8")
            return strict_json.loads(
                self.text,
                max_bytes=2 * ANSWER_LIMIT,
                max_depth=ANSWER_DEPTH,
                max_nodes=ANSWER_NODES,
                escape_unstorable=True,
            )
        except (ValueError, RecursionError) as problem:
            why = str(problem) if isinstance(problem, strict_json.JSONRefused) else "Not UTF-8 text."
        reason = "unreadable" if self.body.strip() else "empty"
        raise self.contract_changed(reason, f"Togai's answer cannot be read. {why}")

    def as_a(self, record: type[Record], asked_id: str | None = None) -> Record:
        """The record that the answer holds; with an id, only the record of that id."""
        try:
            remote = record.read(self.parsed(), self.text)
        except ContractChanged as error:
            error.status = self.status
            raise
        if asked_id is not None and getattr(remote, "id", None) != asked_id:
            raise self.contract_changed("other_id", "Togai's answer speaks of another record.")
        return remote

    def as_a_page(self, record: type[Record]) -> Page:
        """Rows one by one, so that one odd record hides no other."""
        found = self.parsed()
        data = found.get("data") if isinstance(found, dict) else None
        token = found.get("nextToken") if isinstance(found, dict) else None
        if not isinstance(data, list) or not isinstance(token, str | None):
            raise self.contract_changed("not_a_list", "Togai's list has another shape than agreed.")
        rows: list[Record] = []
        unreadable: list[ContractChanged] = []
        for item in data:
            try:
                rows.append(record.read(item))
            except ContractChanged as error:
                unreadable.append(error)
        return Page(tuple(rows), token or None, tuple(unreadable))


class _BadPath(ValueError):
    """A path that would lead elsewhere than meant; its message holds no value."""


def _target(path: tuple[str, ...], query: Mapping[str, str]) -> str:
    """The path and query of a call. Parts that a server could take for a step up or away are refused."""
    for part in path:
        # quote() leaves dots alone, and the library walks up along them.
        if not part or part in (".", "..") or len(part) > wire.REMOTE_ID_LIMIT:
            raise _BadPath("An id is empty, too long or made of dots.")
    target = "".join("/" + quote(part, safe="") for part in path)
    return target + ("?" + urlencode(query, quote_via=quote, safe="") if query else "")


def _key_in(body: bytes) -> object:
    """The key in the bytes that we froze; without one a create must not leave."""
    try:
        sent = strict_json.loads(body, max_bytes=ANSWER_LIMIT, max_depth=ANSWER_DEPTH, max_nodes=ANSWER_NODES)
    except strict_json.JSONRefused:
        sent = None
    if not isinstance(sent, dict) or not sent.get("idempotencyKey"):
        raise NotSent("This request has no idempotency key.", reason="local")
    return sent["idempotencyKey"]


def _complain_about(unreadable: "list[ContractChanged] | tuple[ContractChanged, ...]") -> None:
    if unreadable:
        error = ContractChanged(
            f"Togai's list holds {len(unreadable)} record(s) that cannot be read. First: {unreadable[0]}",
            reason="rows",
            status=200,
            raw=unreadable[0].raw,
        )
        error.unreadable = tuple(unreadable)
        raise error


def _message_in(body: bytes, shown: str) -> str:
    """Togai's `message`, or nothing: an error page of a proxy is evidence, not a message."""
    try:
        found = strict_json.loads(shown, escape_unstorable=True) if body else None
    except (ValueError, RecursionError):
        return ""
    message = found.get("message") if isinstance(found, dict) else None
    return message if isinstance(message, str) else ""


def _meaning(status: int) -> tuple[type[TogaiError], str, str]:
    if status == 401:
        return SignInRefused, "sign_in", "Togai does not accept our token."
    if status == 403:
        return Forbidden, "forbidden", "Togai does not allow this call."
    if status == 429:
        return Busy, "throttled", "Togai asks for a pause."
    if status in (400, 422):
        return Refused, "content", "Togai refused this."
    if status == 404:
        return Missing, "missing", "Togai does not know what this is about."
    if status == 410:
        return Missing, "gone", "Togai no longer offers this call."
    if status == 409:
        return Clash, "clash", "Togai says that something is in the way."
    if 200 <= status < 300:
        return ContractChanged, "status", f"Togai answered with an undocumented success (HTTP {status})."
    if 300 <= status < 400:
        return Unconfirmed, "redirect", "Togai pointed elsewhere; we do not follow."
    if status >= 500:
        return Unconfirmed, "server", f"Togai is in trouble (HTTP {status})."
    return Unconfirmed, "unclear", f"Togai's answer leaves it open whether this happened (HTTP {status})."


def _trouble(error: Exception, exchange: _Exchange) -> TogaiError:
    """
    Name what broke between us and Togai (reliability.md 2.6).

    `NotSent` needs two proofs: a kind of trouble that comes before the request, and nothing written to a
    socket.
    """
    inner = error.args[0] if error.args else None
    cause = inner.reason if isinstance(inner, MaxRetryError) else inner
    if not exchange.wrote:
        if isinstance(cause, NameResolutionError):
            return NotSent("Togai's name cannot be resolved.", reason="name")
        if isinstance(error, requests.ConnectTimeout):
            return NotSent("Togai did not take our connection in time.", reason="connect_timeout")
        if isinstance(cause, NewConnectionError):
            return NotSent("Togai cannot be reached.", reason="connect")
        if isinstance(error, requests.exceptions.SSLError):
            return NotSent("No trusted connection to Togai is possible.", reason="tls")
        if isinstance(
            error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader | UnicodeError
        ):
            return NotSent("This call cannot be put into a request.", reason="local")
    if exchange.left() <= 0:
        return Unconfirmed("Togai's answer took too long.", reason="deadline")
    if isinstance(error, requests.Timeout) or isinstance(cause, ReadTimeoutError):
        return Unconfirmed("Togai did not answer in time.", reason="timeout")
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return Unconfirmed("Togai's answer was cut off.", reason="cut")
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return Unconfirmed("Togai's answer could not be unpacked.", reason="encoding")
    if isinstance(error, requests.exceptions.SSLError):
        return Unconfirmed("The secure connection to Togai broke.", reason="tls")
    if isinstance(error, requests.ConnectionError):
        return Unconfirmed("The connection to Togai broke.", reason="reset")
    return Unconfirmed("Nobody knows what became of this call.", reason="unknown")
