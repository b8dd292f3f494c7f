"""The switches that make the sandbox misbehave, and its clock."""

import threading
import time
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Fault(BaseModel):
    """Which requests a fault hits: how many more, with which method, at which path."""

    model_config = ConfigDict(extra="forbid")

    times: Annotated[int, Field(ge=1)] | None = None
    method: Annotated[str, Field(pattern="^[A-Za-z]+$")] | None = None
    path: str | None = Field(default=None, description="prefix; * and ? match as in a shell")

    def hits(self, method, path):
        """Does this request match?"""
        return (self.method is None or self.method.upper() == method) and (
            self.path is None or fnmatchcase(path, self.path + "*")
        )


class Failing(Fault):
    """Answer with this status; with ``applied`` the request takes effect all the same."""

    status: Annotated[int, Field(ge=200, le=599)] = 503
    message: str = "The service is unavailable."
    retry_after: str | None = None
    applied: bool = False
    location: str | None = None


class Garbled(Fault):
    """Write these raw characters to the socket, then close, reset or stall."""

    raw: str = ""
    then: Annotated[str, Field(pattern="^(close|reset|stall)$")] = "close"
    stall_seconds: Annotated[float, Field(ge=0, le=120)] = 60
    applied: bool = True


class Late(Fault):
    """Drop the connection and apply the request this many seconds later."""

    seconds: Annotated[float, Field(ge=0)] = 60


class Switches(BaseModel):
    """Everything a tester can set. Faults are lists: the first that hits is used up first."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    slow_ms: Annotated[int, Field(ge=0, le=120_000)] = 0
    failing: list[Failing] = []
    lossy: list[Fault] = []
    refuse: list[Fault] = []
    duplicating: list[Fault] = []
    garbled: list[Garbled] = []
    late: list[Late] = []
    down: bool = False
    list_lag_seconds: Annotated[float, Field(ge=0)] = 0
    list_hides_closed: bool = False
    extra_empty_page: bool = False
    repeat_token: bool = False
    rate_limit: bool = True
    rate_limit_per_second: Annotated[int, Field(ge=1)] = 10
    retry_after: bool = True
    key_dedupes: bool = True
    key_window_seconds: Annotated[float, Field(ge=0)] | None = None
    key_in_list: bool = True
    key_in_get: bool = True
    guards_decisions: bool = True
    stale_update_status: bool = False
    proposal_status_sticks: bool = False
    step_delay_ms: Annotated[int, Field(ge=0)] = 1000
    organisation_time_zone: str = "UTC"

    @field_validator("failing", "lossy", "refuse", "duplicating", "garbled", "late", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any):
        """``true`` means every request, ``false`` or null none, an object one rule, a list several."""
        if value is None or value is False or value == "false":
            return []
        if value is True:
            return [{}]
        return value if isinstance(value, list) else [value]

    @field_validator("organisation_time_zone")
    @classmethod
    def _known_zone(cls, value):
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("is not a time zone") from error
        return value

    def take(self, name, method, path):
        """The fault of this switch that hits the request, its counter lowered, or None."""
        faults = getattr(self, name)
        for fault in faults:
            if fault.hits(method, path):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        faults.remove(fault)
                return fault
        return None


class Clock:
    """Real time plus an offset that a tester moves."""

    def __init__(self, offset_seconds=0.0):
        self._lock = threading.Lock()
        self.offset_seconds = float(offset_seconds)

    def now(self):
        """The sandbox's moment, aware, in UTC."""
        return datetime.now(UTC) + timedelta(seconds=self.offset_seconds)

    def ticks(self):
        """Seconds that never jump except when a tester moves the clock."""
        return time.monotonic() + self.offset_seconds

    def advance(self, seconds):
        """Move the clock; negative seconds move it back."""
        with self._lock:
            self.offset_seconds += float(seconds)
