"""What travels between a client and a simulated system, and the faults that can be put in its way.

Both simulators are plain functions from `Request` to `Response`. The same function answers an in-process
transport in the tests and a socket in the demo (`server.py`), so there is one simulator, not two.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import parse_qsl

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The real time, in UTC and aware."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Request:
    """One HTTP request. `path` is percent-decoded and has no query; header names are lower case."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    host: str = "localhost"

    @classmethod
    def build(
        cls,
        method: str,
        path: str,
        raw_query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Request:
        """Make a request from what a server or a transport has in hand (`raw_query` still percent-encoded)."""
        lowered = {name.lower(): value for name, value in (headers or {}).items()}
        query = tuple(parse_qsl(raw_query, keep_blank_values=True))
        return cls(method.upper(), path, query, lowered, body, lowered.get("host", "localhost"))

    def param(self, name: str, default: str | None = None) -> str | None:
        """The last value of a query parameter, compared without case, or `default`."""
        found = default
        for key, value in self.query:
            if key.lower() == name.lower():
                found = value
        return found


@dataclass(frozen=True)
class Response:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class ConnectionCut(Exception):
    """The connection ends without an answer (the transport turns this into its own read error or time-out)."""

    def __init__(self, timed_out: bool = False) -> None:
        super().__init__("timed out" if timed_out else "cut")
        self.timed_out = timed_out


Handler = Callable[[Request], Response]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong with one call.

    `when` = "before": the system never sees the request; "after": it has done the work, and the answer is lost
    or spoilt. With `answer` that answer is given; without, the connection is cut (or times out).
    """

    when: Literal["before", "after"]
    answer: Response | None = None
    timed_out: bool = False


@dataclass(frozen=True)
class Call:
    """One line of a simulator's own call log."""

    number: int
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    started: datetime
    ended: datetime
    status: int | None
    in_flight: int


class Faulty:
    """Puts planned faults around a handler and counts what passes through it.

    `plan(request, number)` is asked for every call (numbers start at 1) and answers with a `Fault` or None.
    """

    def __init__(self, handler: Handler, clock: Clock = utc_now) -> None:
        self._handler = handler
        self._clock = clock
        self._lock = threading.Lock()
        self._in_flight = 0
        self._number = 0
        self.calls: list[Call] = []
        self.plan: Callable[[Request, int], Fault | None] = lambda _request, _number: None

    def enter(self, request: Request) -> None:
        """Tell the handler that a call is under way, where it counts them (a server holds calls while it waits)."""
        enter = getattr(self._handler, "enter", None)
        if enter is not None:
            enter(request)

    def leave(self) -> None:
        """Tell the handler that the call is over."""
        leave = getattr(self._handler, "leave", None)
        if leave is not None:
            leave()

    def __call__(self, request: Request) -> Response:
        with self._lock:
            self._number += 1
            number = self._number
            self._in_flight += 1
            in_flight = self._in_flight
        started = self._clock()
        status: int | None = None
        try:
            response = self._answer(request, self.plan(request, number))
            status = response.status
            return response
        finally:
            with self._lock:
                self._in_flight -= 1
                self.calls.append(
                    Call(number, request.method, request.path, request.query, started, self._clock(), status, in_flight)
                )

    def _answer(self, request: Request, fault: Fault | None) -> Response:
        if fault is None:
            return self._handler(request)
        if fault.when == "after":
            self._handler(request)
        if fault.answer is None:
            raise ConnectionCut(fault.timed_out)
        return fault.answer
