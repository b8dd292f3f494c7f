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
    Proposals and purchases of one organisation.

    `next_answers` holds what happens to the next writes: "ok", "lost" (applied, then the answer times out),
    "dropped" (not applied, times out), "down" (refused connection), a status such as 400 (not applied), or
    "stale" (applied, but the answer still shows the old status).
    """

    def __init__(self, clock):
        self.clock = clock
        self.records = {}
        self.writes = []
        self.reads = []
        self.next_answers = []
        self.reads_fail_with = None
        self.shows_keys = True
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

    # --- behaviour ---

    def _answer(self, request):
        parts = urlsplit(request.url).path.strip("/").split("/")
        if request.method == "GET":
            self.reads.append("/".join(parts))
            if self.reads_fail_with == "down":
                raise refused_connection()
            if self.reads_fail_with:
                return self.reads_fail_with, {}, json.dumps({"message": "scripted"})
            return self._read(parts)
        fate = self.next_answers.pop(0) if self.next_answers else "ok"
        if fate == "down":
            raise refused_connection()
        self.writes.append((request.method, "/".join(parts), bytes(request.body)))
        if isinstance(fate, int):
            headers = {"Retry-After": "7"} if fate == 429 else {}
            return fate, headers, json.dumps({"message": f"Togai says {fate}."})
        if fate == "dropped":
            raise requests.ReadTimeout
        before = dict(self.records.get(parts[1], {}))
        record = self._apply(request.method, parts, json.loads(request.body))
        if fate == "lost":
            raise requests.ReadTimeout
        if isinstance(record, int):
            return record, {}, json.dumps({"message": "This cannot be decided any more."})
        return 200, {}, json.dumps(before if fate == "stale" else record)

    def _apply(self, method, parts, body):
        if method == "PATCH":
            self.records.setdefault(parts[1], {"id": parts[1]}).update(body)
            return self.records[parts[1]]
        if parts[-1] == "update_status":
            record = self.records[parts[1]]
            if record["status"] != "PROPOSAL_ACTIVE":
                return 400
            record["status"] = {"APPROVE": "PROPOSAL_APPROVED", "DECLINE": "PROPOSAL_DECLINED"}[
                body["status"]
            ]
            return record
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

    def _read(self, parts):
        if parts[0] in ("purchase_proposals", "purchases") or (parts[0] == "accounts" and len(parts) == 2):
            record = self.records.get(parts[1])
            if record is None:
                return 404, {}, json.dumps({"message": "Not found"})
            return 200, {}, json.dumps(record)
        if parts == ["accounts"]:
            return 200, {}, json.dumps({"data": []})
        rows = [record for record in self.records.values() if record.get("accountId") == parts[1]]
        if not self.shows_keys:
            rows = [{name: value for name, value in row.items() if name != "idempotencyKey"} for row in rows]
        return 200, {}, json.dumps({"data": rows, "nextToken": None})
