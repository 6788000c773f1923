"""Time that nobody waits for, for several threads: one acts at a time, and time passes when all of them sleep."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from prefect import Task

from tests.worlds import Clock

R = TypeVar("R")


class Stage(Clock):
    """A clock that leaps to whoever wakes next. The order of events is the same in every run.

    `spent` gives seconds that pass besides, such as what the actors' own work really takes; without it, work takes no
    time. Who sleeps while no play is on moves the clock alone.
    """

    def __init__(self, now: datetime | None = None, spent: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__(*(() if now is None else (now,)))
        self._spent = spent
        self._turns: list[tuple[datetime, int, threading.Event]] = []
        self._order = itertools.count()
        self._resting = threading.Semaphore(0)
        self._playing = False

    def __call__(self) -> datetime:
        """The time on stage."""
        return super().__call__() + timedelta(seconds=self._spent())

    def leap(self, to: datetime) -> None:
        """Be at this moment, unless it is past."""
        missing = (to - self()).total_seconds()
        if missing > 0:
            self.advance(seconds=missing)

    def sleep(self, seconds: float) -> None:
        """Let the others act until then."""
        if not self._playing:
            self.advance(seconds=seconds)
            return
        turn = self._line_up(seconds)
        self._resting.release()
        turn.wait()

    def _line_up(self, seconds: float) -> threading.Event:
        turn = threading.Event()
        heapq.heappush(self._turns, (self() + timedelta(seconds=seconds), next(self._order), turn))
        return turn

    def play(self, parts: Sequence[Callable[[], None]]) -> None:
        """Run all parts to their ends; an error of any of them is raised."""
        errors: list[BaseException] = []

        def act(part: Callable[[], None], turn: threading.Event) -> None:
            turn.wait()
            try:
                part()
            except BaseException as error:  # noqa: BLE001  (raised below, in the thread that asked for the play)
                errors.append(error)
            finally:
                self._resting.release()

        threads = [threading.Thread(target=act, args=(part, self._line_up(0)), daemon=True) for part in parts]
        self._playing = True
        for thread in threads:
            thread.start()
        while self._turns:
            moment, _, turn = heapq.heappop(self._turns)
            self.leap(moment)
            turn.set()
            assert self._resting.acquire(timeout=120)
        self._playing = False
        for thread in threads:
            thread.join(timeout=30)
            assert not thread.is_alive()
        if errors:
            raise errors[0]


class StagedCalls:
    """Carries out tasks as plain functions on a stage, `at_once` in parallel; `tasks` counts them."""

    def __init__(self, stage: Stage, at_once: int = 5) -> None:
        self._stage = stage
        self._at_once = at_once
        self.tasks = 0

    def one(self, step: Task[[Any], R], batch: object) -> R:
        """The function, in this thread."""
        self.tasks += 1
        return step.fn(batch)

    def several(self, step: Task[[Any], R], batches: Sequence[object]) -> list[R]:
        """The function in as many threads as act on stage, which take the next batch when they have done one."""
        self.tasks += len(batches)
        waiting = deque(enumerate(batches))
        results: dict[int, R] = {}

        def part() -> None:
            while waiting:
                number, batch = waiting.popleft()
                results[number] = step.fn(batch)

        self._stage.play([part] * min(self._at_once, len(batches)))
        return [results[number] for number in range(len(batches))]
