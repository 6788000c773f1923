"""Xero's rate limits, and a record of how hard a client pushed (Xero docs: limits)."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from deployments.sandbox.wire import Response

_DAY = 86_400.0


@dataclass(frozen=True)
class Limits:
    """The limits of one app: the first three count for each tenant by itself."""

    per_minute: int = 60
    concurrent: int = 5
    per_day: int = 5000
    window_seconds: int = 60
    window: Literal["fixed", "sliding"] = "fixed"
    app_per_minute: int = 10_000

    @classmethod
    def none(cls) -> Limits:
        """Limits that nothing reaches."""
        return cls(per_minute=10**9, concurrent=10**9, per_day=10**9, app_per_minute=10**9)


@dataclass
class Statistics:
    """What a tenant, or all together, saw of a client."""

    calls: int = 0
    most_per_minute: int = 0
    """The highest number of arrivals within any 60 seconds, refused ones included."""
    most_in_flight: int = 0
    """The highest number of calls in flight at once, refused attempts included."""
    refused_429: int = 0


class _Window:
    """A count of calls in a fixed or sliding stretch of time."""

    def __init__(self) -> None:
        self._start: float | None = None
        self._count = 0
        self._times: deque[float] = deque()

    def used(self, now: float, seconds: float, kind: str) -> int:
        if kind == "sliding":
            while self._times and self._times[0] <= now - seconds:
                self._times.popleft()
            return len(self._times)
        if self._start is None or not self._start <= now < self._start + seconds:
            # A fixed window opens with the first call after the last one closed: another moment for each tenant.
            self._start, self._count = now, 0
        return self._count

    def add(self, now: float, kind: str) -> None:
        self._count += 1
        if kind == "sliding":
            self._times.append(now)

    def wait(self, now: float, seconds: float, kind: str) -> int:
        opened = (self._times[0] if self._times else now) if kind == "sliding" else (self._start or now)
        return max(1, math.ceil(opened + seconds - now))


class Meter:
    """The counters of one tenant."""

    def __init__(self) -> None:
        self.minute = _Window()
        self.day = _Window()
        self.in_flight = 0
        self.statistics = Statistics()
        self._arrivals: deque[float] = deque()

    def arrive(self, now: float) -> None:
        """Note one arrival."""
        while self._arrivals and self._arrivals[0] <= now - 60:
            self._arrivals.popleft()
        self._arrivals.append(now)
        recent = len(self._arrivals)
        seen = self.statistics
        seen.calls += 1
        seen.most_per_minute = max(seen.most_per_minute, recent)
        seen.most_in_flight = max(seen.most_in_flight, self.in_flight + 1)


@dataclass
class Ticket:
    """One call from its arrival to its end."""

    tenant: str | None
    refusal: Response | None = None
    headers: dict[str, str] | None = None
    counted: bool = False


class Gate:
    """Lets calls in, or refuses them with an empty 429. Not thread-safe by itself: the simulator holds its lock."""

    def __init__(self) -> None:
        self.limits = Limits()
        self._meters: dict[str, Meter] = {}
        self._app = _Window()

    def meter(self, tenant: str) -> Meter:
        """The counters of a tenant."""
        return self._meters.setdefault(tenant, Meter())

    def total(self) -> Statistics:
        """All tenants together; the peaks are those of the worst single tenant, as the limits are per tenant."""
        seen = [meter.statistics for meter in self._meters.values()]
        return Statistics(
            calls=sum(one.calls for one in seen),
            most_per_minute=max((one.most_per_minute for one in seen), default=0),
            most_in_flight=max((one.most_in_flight for one in seen), default=0),
            refused_429=sum(one.refused_429 for one in seen),
        )

    def enter(self, tenant: str, moment: datetime) -> Ticket:
        """Count one call in."""
        now, limits, meter = moment.timestamp(), self.limits, self.meter(tenant)
        meter.arrive(now)
        minute = meter.minute.used(now, limits.window_seconds, limits.window)
        day = meter.day.used(now, _DAY, "fixed")
        app = self._app.used(now, limits.window_seconds, limits.window)
        which, wait = "", 0
        if day >= limits.per_day:
            which, wait = "day", meter.day.wait(now, _DAY, "fixed")
        elif minute >= limits.per_minute:
            which, wait = "minute", meter.minute.wait(now, limits.window_seconds, limits.window)
        elif app >= limits.app_per_minute:
            which, wait = "appminute", self._app.wait(now, limits.window_seconds, limits.window)
        elif meter.in_flight >= limits.concurrent:
            which = "concurrent"
        taken = 0 if which else 1
        headers = {
            "X-DayLimit-Remaining": str(max(0, limits.per_day - day - taken)),
            "X-MinLimit-Remaining": str(max(0, limits.per_minute - minute - taken)),
            "X-AppMinLimit-Remaining": str(max(0, limits.app_per_minute - app - taken)),
        }
        if which:
            meter.statistics.refused_429 += 1
            refused = {**headers, "X-Rate-Limit-Problem": which}
            if wait:
                refused["Retry-After"] = str(wait)
            return Ticket(tenant, Response(429, refused))
        meter.minute.add(now, limits.window)
        meter.day.add(now, "fixed")
        self._app.add(now, limits.window)
        meter.in_flight += 1
        return Ticket(tenant, None, headers, counted=True)

    def leave(self, ticket: Ticket) -> None:
        """Count a call out again."""
        if ticket.counted and ticket.tenant is not None:
            ticket.counted = False
            self.meter(ticket.tenant).in_flight -= 1
