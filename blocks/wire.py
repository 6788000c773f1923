"""One attempt at one HTTP call: through the limiter, over the wire, into the audit. Both clients stand on it."""

from __future__ import annotations

import math
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from blocks.audit.exchanges import Exchanges
from blocks.failures import Unreachable
from blocks.limiter import Limiter

LONGEST_PAUSE = 86_400.0
"""No limit of either system lasts longer than a day, whatever a Retry-After says."""

R = TypeVar("R")


@cache
def trusted() -> ssl.SSLContext:
    """Whose certificates calls trust. Read once for all systems: it takes as long as several calls."""
    return httpx.create_ssl_context()


class NoAnswer(Exception):
    """The call got no answer: refused, cut, timed out. What the other side did with it is unknown."""


class TryAgain(Exception):
    """This attempt failed in a way that another may cure; `wait_seconds` is what the server asked for."""

    def __init__(self, words: str, wait_seconds: float | None = None) -> None:
        self.wait_seconds = wait_seconds
        super().__init__(words)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how long a call is tried: `[http]` of the configuration. `first_wait` is before jitter."""

    attempts: int = 4
    max_wait_seconds: float = 60.0
    first_wait: float = 0.5
    sleep: Callable[[float], None] = time.sleep

    def run(self, attempt: Callable[[], R]) -> R:
        """Attempt it until it does not ask for another try. Raises Unreachable with the last attempt's words."""
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=self._wait,
            retry=retry_if_exception(self._may_help),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except TryAgain as error:
            raise Unreachable(str(error)) from error

    def _may_help(self, error: BaseException) -> bool:
        # Asked to wait longer than a cycle waits, nothing is sent before that time.
        return isinstance(error, TryAgain) and (error.wait_seconds or 0) <= self.max_wait_seconds

    def _wait(self, state: RetryCallState) -> float:
        """Seconds before the next attempt: what the server asked for, else doubling, with jitter."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TryAgain) and error.wait_seconds is not None:
            return error.wait_seconds
        longest = min(self.first_wait * 2.0 ** min(state.attempt_number - 1, 32), self.max_wait_seconds)
        return random.uniform(longest / 2, longest)


class Wire:
    """The way to one system. Counts its calls and keeps every exchange; safe to use from several threads."""

    def __init__(self, system: str, http: httpx.Client, limiter: Limiter | None, exchanges: Exchanges | None) -> None:
        self.system = system
        self.http = http
        self._limiter = limiter
        self._exchanges = exchanges
        self._lock = threading.Lock()
        self.calls = 0

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        scope: str = "",
        references: Sequence[str] = (),
        last_check: Callable[[], None] = lambda: None,
    ) -> httpx.Response:
        """Send once. Raises NoAnswer, or LimitReached when the limits forbid the call for long.

        `last_check` is called when the limits let the call through, however long that took; it may raise.
        """
        if self._limiter is None:
            return self._send(method, url, headers, body, references, last_check)
        with self._limiter.call(scope):
            return self._send(method, url, headers, body, references, last_check)

    def pause(self, scope: str, seconds: float, why: str) -> None:
        """Let nobody call before so many seconds are over, in this process or another."""
        if self._limiter is not None:
            self._limiter.pause(scope, seconds, why)

    def note_day(self, scope: str, remaining: int) -> None:
        """Remember for all processes how many calls of the day are left."""
        if self._limiter is not None:
            self._limiter.note_day(scope, remaining)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        references: Sequence[str],
        last_check: Callable[[], None],
    ) -> httpx.Response:
        last_check()
        with self._lock:
            self.calls += 1
        began = time.monotonic()
        try:
            response = self.http.request(method, url, headers=dict(headers), content=body or None)
        except httpx.RequestError as error:
            words = _words(error)
            self._keep(method, url, body, None, b"", began, references, words)
            # Its own text may quote a header, and a traceback would show it.
            cause = None if isinstance(error, httpx.LocalProtocolError) else error
            raise NoAnswer(words) from cause
        # httpx ties an answer to its stream and back: as a ring, each page read would wait for the garbage collector.
        response.stream = httpx.ByteStream(response.content)
        self._keep(method, url, body, response.status_code, response.content, began, references, "")
        return response

    def _keep(
        self,
        method: str,
        url: str,
        body: bytes,
        status: int | None,
        answer: bytes,
        began: float,
        references: Sequence[str],
        error: str,
    ) -> None:
        if self._exchanges is not None:
            self._exchanges.keep(
                self.system, method, url, body, status, answer, time.monotonic() - began, references, error
            )


def _words(error: httpx.RequestError) -> str:
    """What went wrong on the way, for people."""
    if isinstance(error, httpx.TimeoutException):
        return "timed out"
    if isinstance(error, httpx.LocalProtocolError):
        return "the call could not be put together: is there a line break in a key or id?"
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)).rstrip(". ") or type(error).__name__


def http_date(text: str) -> datetime | None:
    """A date as HTTP writes it, UTC and aware; None where it is none."""
    try:
        found = parsedate_to_datetime(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def retry_after(response: httpx.Response) -> float | None:
    """The seconds that a Retry-After header asks for: a number, or an HTTP date by the server's own clock."""
    text = response.headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        until = http_date(text)
        if until is None:
            return None
        now = http_date(response.headers.get("Date", "")) or datetime.now(UTC)
        seconds = (until - now).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_PAUSE)


def redirected_to(response: httpx.Response) -> str:
    """Where an answer sends us instead (never followed: credentials go to one address only); '' for others."""
    if not response.has_redirect_location:
        return ""
    parts = urlsplit(response.headers["Location"])
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else parts.path
