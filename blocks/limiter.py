"""One limiter for all processes, kept in the audit database: calls per minute, calls at once, and what headers say.

A call counts from its start until a full window after its *end*. Counting from the start would let a slow call and a
burst one minute later meet inside one minute of the other system's own count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from blocks.audit.database import Audit
from blocks.audit.tables import API_CALLS, API_PAUSES
from blocks.failures import LimitReached

DAY_FIGURE_LASTS = timedelta(hours=1)
"""How long a day's remaining figure is believed; afterwards one call is let through to learn the new one."""
SHORTEST_NAP, LONGEST_NAP = 0.02, 0.25
"""Seconds between two looks for a free place: long waits must not keep the database busy."""

PAUSE = select(API_PAUSES).where(API_PAUSES.c.app == bindparam("app"), API_PAUSES.c.scope == bindparam("scope"))


def slot_lasts(timeout_seconds: float) -> timedelta:
    """Longer than any call takes: connecting, sending and receiving may each take a time-out."""
    return timedelta(seconds=max(120.0, 4 * timeout_seconds))


class Limiter:
    """Lets a call through when the limits of its app and scope allow it; 0 means no limit.

    `slot_lasts` frees the place of a call whose process died; it must be longer than any call may take.
    """

    def __init__(
        self,
        audit: Audit,
        system: str,
        app: str,
        *,
        per_minute: int,
        concurrent: int,
        day_reserve: int = 0,
        max_wait_seconds: float = 60,
        window: timedelta = timedelta(seconds=60),
        slot_lasts: timedelta = timedelta(seconds=120),
        clock: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._audit = audit
        self._system = system
        self._app = app
        self._per_minute = per_minute
        self._concurrent = concurrent
        self._day_reserve = day_reserve
        self._max_wait = max_wait_seconds
        self._window = window
        self._slot_lasts = slot_lasts
        self._clock = clock
        self._sleep = sleep

    @contextmanager
    def call(self, scope: str) -> Iterator[None]:
        """A place for one call. Raises LimitReached when it would have to wait longer than a cycle may."""
        if not self._per_minute and not self._concurrent:
            self._obey_pause(scope)
            yield
            return
        place = self._take(scope)
        try:
            yield
        finally:
            with self._audit.transaction() as connection:
                connection.execute(update(API_CALLS).where(API_CALLS.c.id == place).values(done_at=self._clock()))

    def _take(self, scope: str) -> int:
        nap = SHORTEST_NAP
        while True:
            self._obey_pause(scope)
            now = self._clock()
            counts = API_CALLS.c.app == self._app, API_CALLS.c.scope == scope
            with self._audit.transaction() as connection:
                if connection.dialect.name == "postgresql":
                    # Counting and inserting must be one step; SQLite has one writer anyway.
                    connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"{self._app}/{scope}"))))
                connection.execute(
                    delete(API_CALLS).where(
                        *counts,
                        or_(
                            API_CALLS.c.done_at <= now - self._window,
                            API_CALLS.c.done_at.is_(None) & (API_CALLS.c.taken_at <= now - self._slot_lasts),
                        ),
                    )
                )
                taken, under_way, oldest_end = connection.execute(
                    select(
                        func.count(),
                        func.count().filter(API_CALLS.c.done_at.is_(None)),
                        func.min(API_CALLS.c.done_at),
                    ).where(*counts)
                ).one()
                free = (not self._per_minute or taken < self._per_minute) and (
                    not self._concurrent or under_way < self._concurrent
                )
                if free:
                    return int(
                        connection.execute(
                            insert(API_CALLS)
                            .values(app=self._app, scope=scope, taken_at=now, done_at=None)
                            .returning(API_CALLS.c.id)
                        ).scalar_one()
                    )
            full_minute = self._per_minute and taken >= self._per_minute and oldest_end is not None
            wait = (oldest_end + self._window - now).total_seconds() if full_minute else nap
            self._sleep(min(max(wait, SHORTEST_NAP), 1.0))
            nap = min(nap * 1.5, LONGEST_NAP)

    def _obey_pause(self, scope: str) -> None:
        while True:
            with self._audit.reading() as connection:
                row = connection.execute(PAUSE, {"app": self._app, "scope": scope}).first()
            if row is None:
                return
            now = self._clock()
            if row.until is not None and row.until > now:
                wait = (row.until - now).total_seconds()
                if wait > self._max_wait:
                    raise LimitReached(self._system, row.until, row.why)
                self._sleep(wait)
                continue
            if (
                self._day_reserve
                and row.day_remaining is not None
                and row.day_remaining <= self._day_reserve
                and now - row.seen_at < DAY_FIGURE_LASTS
            ):
                raise LimitReached(self._system, None, "day limit, but for the calls kept for force-sync,")
            return

    def pause(self, scope: str, seconds: float, why: str) -> None:
        """Let no process call before so many seconds are over; a pause that lasts longer stays as it is."""
        until = self._clock() + timedelta(seconds=seconds)
        longer = or_(API_PAUSES.c.until.is_(None), API_PAUSES.c.until < until)
        self._note(scope, {"until": until, "why": why}, longer)

    def note_day(self, scope: str, remaining: int) -> None:
        """Remember for all processes how little of the day is left; nothing is stored while it is enough."""
        if remaining <= self._day_reserve:
            self._note(scope, {"day_remaining": remaining, "seen_at": self._clock()})

    def _note(self, scope: str, values: dict[str, object], where: ColumnElement[bool] | None = None) -> None:
        first = {"app": self._app, "scope": scope, "why": "", "seen_at": self._clock()} | values
        with self._audit.transaction() as connection:
            upsert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(API_PAUSES)
            connection.execute(
                upsert.values(**first).on_conflict_do_update(index_elements=["app", "scope"], set_=values, where=where)
            )
