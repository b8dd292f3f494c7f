"""
Togai at the gateway's edge: remembers what it was sent, applies it or not, and answers as a test tells it to.

For stories about what a delivery row does; whether our requests are right is judged elsewhere, by the
sandbox and by the vendor's own models.
"""

import json
import re
from datetime import timedelta
from itertools import count
from urllib.parse import urlsplit

import requests
import responses
from urllib3.exceptions import MaxRetryError, NewConnectionError

from tests.factories import NOON
from togai.gateway import Gateway
from togai.secret import Secret

URL = "http://127.0.0.1:8099"


class Clock:
    """A clock that a test moves; as the day and as the monotonic seconds."""

    def __init__(self, at=NOON):
        self.at = at

    def __call__(self):
        return self.at

    def monotonic(self):
        return (self.at - NOON).total_seconds()

    def forward(self, **span):
        self.at += timedelta(**span)


def refused_connection():
    """What `requests` raises when nothing listens: provably not sent."""
    reason = NewConnectionError(None, "Connection refused")
    return requests.ConnectionError(MaxRetryError(None, "/", reason))


class FakeTogai:
    """
    Proposals, purchases and accounts of one organisation.

    `next_answers` holds what happens to the next writes: "ok", "lost" (applied, then the answer times out),
    "dropped" (not applied, times out), "down" (refused connection), a status such as 400 (not applied), a
    status with the text of its answer,
    "applied 500" (applied, and answered so all the same), "stale" (applied, but the answer still shows the
    old status), "garbage" and "empty" (applied, and the 200 cannot be read), "other account" (applied, and
    the answer speaks of somebody else's), "late" (times out, applied after `late_by`) or "lagging" (applied,
    times out, and reads show it only after `lag`).

    `next_reads` holds the same for the next reads: "ok", "down", "timeout", "garbage" or a status.

    `accounts` is what the list of accounts shows.

    `writes` is every write that arrived, `applied` every one that changed something.
    """

    def __init__(self, clock, *, honours_keys=False, guards_decisions=True):
        self.clock = clock
        self.honours_keys = honours_keys
        self.guards_decisions = guards_decisions
        self.late_by = timedelta(minutes=4)
        self.lag = timedelta(minutes=4)
        self.shows_keys = True
        self.reads_fail_with = None
        self.forget()

    def forget(self):
        """As on the first day."""
        self.records = {}
        self.accounts = []
        self.writes = []
        self.applied = []
        self.reads = []
        self.next_answers = []
        self.next_reads = []
        self._late = []
        self._lagging = {}
        self.ids = count(1)

    def __enter__(self):
        self.mock = responses.RequestsMock(assert_all_requests_are_fired=False)
        self.mock.start()
        for method in ("GET", "POST", "PATCH"):
            self.mock.add_callback(method, re.compile(re.escape(URL)), callback=self._answer)
        return self

    def __exit__(self, *exc):
        self.mock.stop(allow_assert=False)
        self.mock.reset()

    def gateway(self, **options):
        return Gateway(base_url=URL, token=Secret("a-token-for-tests"), **options)

    def created(self):
        """The bodies of all creates that arrived, as sent."""
        return [
            body for method, path, body in self.writes if path.endswith(("purchases", "purchase_proposals"))
        ]

    def decisions(self):
        """The bodies of all decisions that arrived."""
        return [body for method, path, body in self.writes if path.endswith("update_status")]

    def catch_up(self):
        """Apply what was to be applied late and whose time has come."""
        due = [late for late in self._late if late[0] <= self.clock()]
        self._late = [late for late in self._late if late[0] > self.clock()]
        for _, method, parts, body in due:
            self._apply(method, parts, body)

    # --- behaviour ---

    def _answer(self, request):
        return self.answer(request.method, request.url, request.body)

    def answer(self, method, url, body=None):
        """
        What Togai does with one request: (status, headers, text).

        :raises requests.RequestException: where the scripted fate is no answer at all
        """
        parts = urlsplit(url).path.strip("/").split("/")
        self.catch_up()
        if method == "GET":
            self.reads.append("/".join(parts))
            return self._answer_read(parts)
        fate = self.next_answers.pop(0) if self.next_answers else "ok"
        if fate == "down":
            raise refused_connection()
        self.writes.append((method, "/".join(parts), bytes(body)))
        if isinstance(fate, int):
            headers = {"Retry-After": "7"} if fate == 429 else {}
            return fate, headers, json.dumps({"message": f"Togai says {fate}."})
        if isinstance(fate, tuple):
            status, text = fate
            return status, {}, text
        if fate == "dropped":
            raise requests.ReadTimeout
        if fate == "late":
            self._late.append((self.clock() + self.late_by, method, parts, json.loads(body)))
            raise requests.ReadTimeout
        before = dict(self.records.get(parts[1], {}))
        record = self._apply(method, parts, json.loads(body))
        if fate == "lagging" and isinstance(record, dict):
            self._lagging[record["id"]] = (self.clock() + self.lag, before or None)
        if fate in ("lost", "lagging"):
            raise requests.ReadTimeout
        if isinstance(fate, str) and fate.startswith("applied "):
            return int(fate.removeprefix("applied ")), {}, json.dumps({"message": "Something went wrong."})
        if fate in ("garbage", "empty"):
            return 200, {}, "<html>Welcome</html>" if fate == "garbage" else ""
        if isinstance(record, int):
            return record, {}, json.dumps({"message": "This cannot be decided any more."})
        if fate == "other account":
            # A decision's answer is told apart by its id, a create's by its account.
            return 200, {}, json.dumps(record | {"id": "purchase.0", "accountId": "somebody-else"})
        return 200, {}, json.dumps(before if fate == "stale" else record)

    def _apply(self, method, parts, body):
        known = set(self.records)
        record = self._applied(method, parts, body)
        is_create = parts[-1] in ("purchases", "purchase_proposals")
        if isinstance(record, dict) and not (is_create and record["id"] in known):
            self.applied.append(("/".join(parts), body, record["id"]))
        return record

    def _applied(self, method, parts, body):
        if method == "PATCH":
            self.records.setdefault(parts[1], {"id": parts[1]}).update(body)
            return self.records[parts[1]]
        if parts[-1] == "update_status":
            record = self.records[parts[1]]
            if self.guards_decisions and record["status"] != "PROPOSAL_ACTIVE":
                return 400
            record["status"] = {"APPROVE": "PROPOSAL_APPROVED", "DECLINE": "PROPOSAL_DECLINED"}[
                body["status"]
            ]
            return record
        if self.honours_keys:
            for earlier in self.records.values():
                if earlier.get("idempotencyKey") == body["idempotencyKey"]:
                    return earlier
        proposal = parts[-1] == "purchase_proposals"
        record = body | {
            "id": f"purchase.{next(self.ids)}",
            "accountId": parts[1],
            "status": "PROPOSAL_ACTIVE" if proposal else "PENDING",
            "createdAt": self.clock().isoformat().replace("+00:00", "Z"),
            "updatedAt": self.clock().isoformat().replace("+00:00", "Z"),
            "price": 380,
            "invoiceCurrency": "EUR",
        }
        self.records[record["id"]] = record
        return record

    def _answer_read(self, parts):
        fate = self.next_reads.pop(0) if self.next_reads else self.reads_fail_with
        if fate == "down":
            raise refused_connection()
        if fate == "timeout":
            raise requests.ReadTimeout
        if fate == "garbage":
            return 200, {}, "<html>Welcome</html>"
        if fate and fate != "ok":
            return fate, {}, json.dumps({"message": "scripted"})
        return self._read(parts)

    def _shown(self, record):
        """A record as reads show it now; None while they do not yet."""
        until, before = self._lagging.get(record["id"], (None, None))
        return before if until and self.clock() < until else record

    def _read(self, parts):
        if parts[0] in ("purchase_proposals", "purchases") or (parts[0] == "accounts" and len(parts) == 2):
            record = self.records.get(parts[1])
            record = record and self._shown(record)
            if record is None:
                return 404, {}, json.dumps({"message": "Not found"})
            return 200, {}, json.dumps(record)
        if parts in (["accounts"], ["customers"]):
            rows = self.accounts if parts == ["accounts"] else []
            return 200, {}, json.dumps({"data": rows, "nextToken": None})
        shown = [self._shown(record) for record in self.records.values()]
        rows = [record for record in shown if record and record.get("accountId") == parts[1]]
        if not self.shows_keys:
            rows = [{name: value for name, value in row.items() if name != "idempotencyKey"} for row in rows]
        return 200, {}, json.dumps({"data": rows, "nextToken": None})
