"""One measured process: a single cycle by one of the competitors, and what it cost this process.

`python -m tests.benchmarks.client bare|dlt|plain|prefect` reads a `Task` from its input and writes a `Cost` to its
output. Only what a competitor needs itself is imported, so that imports and memory are its own.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

ENTERED = time.monotonic()


@dataclass(frozen=True)
class Task:
    """What a process is told: `bare` are the fields of bare_loop.Setup, `folder` is where it may write."""

    installation: str
    connectwise: str
    xero: str
    organisations: dict[str, str]
    tables: str
    audit: str
    per_minute: int
    concurrent: int
    bare: dict[str, Any]


@dataclass(frozen=True)
class Cost:
    """What a cycle cost. Seconds; `peak` and `imports_memory` in bytes (resident)."""

    counts: dict[str, int]
    wall: float
    cpu: float
    imports_wall: float
    imports_cpu: float
    imports_memory: int
    peak: int


def main(kind: str, task: Task) -> Cost:
    """Import, run one cycle, and say what each took."""
    if kind == "bare":
        run = _bare(task)
    elif kind == "dlt":
        run = _dlt(task)
    elif kind == "plain":
        run = _plain(task)
    else:
        run = _prefect(task)
    imported, imports_cpu, memory = time.monotonic(), cpu_seconds(), peak_memory()
    counts = run()
    return Cost(
        counts,
        time.monotonic() - imported,
        cpu_seconds() - imports_cpu,
        imported - ENTERED,
        imports_cpu,
        memory,
        peak_memory(),
    )


def _bare(task: Task) -> Any:
    import asyncio

    from tests.benchmarks.bare_loop import Setup, run

    return lambda: asyncio.run(run(Setup(**task.bare)))


def _dlt(task: Task) -> Any:
    from tests.benchmarks.bare_loop import Setup
    from tests.benchmarks.dlt_pipeline import run

    return lambda: run(Setup(**task.bare), Path(task.audit).parent)


def _plain(task: Task) -> Any:
    from blocks.doors import open_doors
    from blocks.xero.credentials import MemoryTokenStore
    from flows.family import SyncForm, run_family
    from tasks.calls import PlainCalls
    from tests.benchmarks.installation import blocks_of

    def run() -> dict[str, int]:
        blocks = blocks_of(task)
        summary = run_family(
            "invoices",
            SyncForm(),
            lambda run_id: open_doors(
                task.installation, run_id, connectwise=blocks.connectwise, xero=blocks.xero, audit=blocks.audit,
                tables=blocks.tables, store=MemoryTokenStore(),
            ),
            PlainCalls(5),
            lambda _sentence: None,
        )  # fmt: skip
        assert not summary.failed, summary.failed
        return summary.counts

    return run


def _prefect(task: Task) -> Any:
    from prefect.client.schemas.objects import State

    from flows.family import Summary
    from flows.invoices import sync_invoices

    def run() -> dict[str, int]:
        state: State[Any] = sync_invoices(installation=task.installation, return_state=True)
        summary = cast(Summary, state.result())
        return summary.counts

    return run


def cpu_seconds() -> float:
    """User and system time of this process, all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_memory() -> int:
    """The highest resident size of this program so far, bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss would begin with the size of whoever started us.
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        assert found is not None
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    answer = main(sys.argv[1], Task(**json.load(sys.stdin)))
    sys.__stdout__.write(f"\n{json.dumps(asdict(answer))}\n")  # type: ignore[union-attr]  # there is one
