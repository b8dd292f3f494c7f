"""Who may call, and how often (togai.md section 2: 10 a second with a token, 5 per 30 minutes without)."""

import hmac
import math
from collections import deque

from togai.sandbox.refusals import Refusal

UNAUTHENTICATED_ALLOWED = 5
UNAUTHENTICATED_WINDOW = 30 * 60


class Limits:
    """Checks the bearer token and counts calls. The caller holds the state's lock."""

    def __init__(self, *, token, clock, switches):
        self._token = token.encode()
        self._clock = clock
        self._switches = switches
        self._authenticated = deque()
        self._unauthenticated = deque()

    def admit(self, authorization):
        """Let the call pass or raise the Refusal (401 or 429) it earned."""
        now = self._clock.ticks()
        if not self._is_ours(authorization):
            self._refuse_stranger(now)
        if self._switches().rate_limit:
            self._count(now)

    def kind_of(self, authorization):
        """``ours``, ``wrong`` or ``none``: what the ledger may say about a token."""
        if not authorization:
            return "none"
        return "ours" if self._is_ours(authorization) else "wrong"

    def forget(self):
        """Start counting anew."""
        self._authenticated.clear()
        self._unauthenticated.clear()

    def _is_ours(self, authorization):
        scheme, _, token = (authorization or "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), self._token)

    def _refuse_stranger(self, now):
        _drop_old(self._unauthenticated, now, UNAUTHENTICATED_WINDOW)
        if self._switches().rate_limit and len(self._unauthenticated) >= UNAUTHENTICATED_ALLOWED:
            wait = self._unauthenticated[0] + UNAUTHENTICATED_WINDOW - now
            raise self._too_many("Too many unauthenticated requests from this address.", wait)
        self._unauthenticated.append(now)
        raise Refusal(401, "Unauthorized: the bearer token is missing or not valid.")

    def _count(self, now):
        _drop_old(self._authenticated, now, 1)
        allowed = self._switches().rate_limit_per_second
        if len(self._authenticated) >= allowed:
            wait = self._authenticated[0] + 1 - now
            raise self._too_many(f"Too many requests: at most {allowed} a second.", wait)
        self._authenticated.append(now)

    def _too_many(self, message, wait):
        headers = {"Retry-After": str(max(1, math.ceil(wait)))} if self._switches().retry_after else {}
        return Refusal(429, message, headers)


def _drop_old(times, now, window):
    # A clock that a tester moved back leaves entries from the future: they count for nothing.
    while times and not now - window < times[0] <= now:
        times.popleft()
