"""How steps are carried out: as Prefect tasks inside a flow run, or as plain functions where there is no server.

The order of a cycle is written once (`flows/cycle.py`) and runs either way: `tieout plan` works without a Prefect
server, and the crash sweep runs hundreds of cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from prefect import Task

R = TypeVar("R")


class Calls(Protocol):
    """Carries out tasks."""

    def one(self, step: Task[[Any], R], batch: object) -> R:
        """Carry out one task and wait for its result."""
        ...

    def several(self, step: Task[[Any], R], batches: Sequence[object]) -> list[R]:
        """Carry out a task for each batch, some at once; results in the order of the batches."""
        ...


class PrefectCalls:
    """Task runs of the surrounding flow run; several at once by its task runner."""

    def one(self, step: Task[[Any], R], batch: object) -> R:
        """A task run, in this thread."""
        return step(batch)

    def several(self, step: Task[[Any], R], batches: Sequence[object]) -> list[R]:
        """Task runs by the flow's task runner. All end before the first failure is raised."""
        if len(batches) == 1:
            return [step(batches[0])]
        futures = [step.submit(batch) for batch in batches]
        for future in futures:
            future.wait()
        return [future.result() for future in futures]


class PlainCalls:
    """The bare functions behind the tasks, `at_once` in parallel: no server, no history, no retries of tasks."""

    def __init__(self, at_once: int = 5) -> None:
        self._at_once = at_once

    def one(self, step: Task[[Any], R], batch: object) -> R:
        """The function, in this thread."""
        return step.fn(batch)

    def several(self, step: Task[[Any], R], batches: Sequence[object]) -> list[R]:
        """The function in a pool of threads. All end before the first failure is raised."""
        if self._at_once == 1 or len(batches) == 1:
            return [step.fn(batch) for batch in batches]
        with ThreadPoolExecutor(max_workers=self._at_once) as pool:
            futures = [pool.submit(step.fn, batch) for batch in batches]
        return [future.result() for future in futures]
