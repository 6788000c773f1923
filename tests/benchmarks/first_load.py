"""One measured process: a first load under Xero's own limits, undisturbed or killed in the middle and run again.

`python -m tests.benchmarks.first_load '{"invoices": 50000, "killed": false}'` writes one line of JSON. Both simulated
systems are in this process, the client in one of its own (`tests/first_load.py`). Nobody waits for the minutes: the
clock leaps over them. The client's CPU seconds pass on it as they are; it fails when anything is lost or doubled.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

QUICK, SLOW = (0.05, 0.15), (0.5, 1.5)
"""Seconds until an answer: as in the other cases here, and so slow that a kill meets calls under way."""


@dataclass(frozen=True)
class Load:
    """What is loaded, how slowly answers come (seconds, uniformly), and whether it is killed in the middle."""

    invoices: int = 50_000
    killed: bool = False
    answers: tuple[float, float] = QUICK


@dataclass(frozen=True)
class Loaded:
    """How a load went, by Xero's own count. `seconds` are simulated ones, `floor` what the limit alone takes.

    `sent` counts the elements of all writes. `cpu` and `tasks` (they would be task runs in Prefect) are of the last
    run. Of a killed load besides: `posted` when it was killed, `in_doubt` (records in requests without an answer),
    `repeated` (elements that were sent again under their old key), and the calls of the run after it.
    """

    calls: int
    writes: int
    sent: int
    documents: int
    refused: int
    busiest_minute: int
    at_once: int
    seconds: float
    floor: float
    cpu: float
    tasks: int
    posted: int = 0
    in_doubt: int = 0
    repeated: int = 0
    second_calls: int = 0
    second_writes: int = 0


class LostOrDoubled(Exception):
    """The books are not what ConnectWise says."""


def main(load: Load) -> Loaded:
    """Load it; fails when a document is missing, there twice, or was sent again without need."""
    # Not above: the benchmark reads this module, too, and must not know Prefect before it has said where its server is.
    from blocks.audit.tables import BINDINGS, REQUEST_ROWS, REQUESTS
    from tests.first_load import Desk, bulk, floor_seconds, load_in_a_process
    from tests.stage import Stage

    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as name:
        stage = Stage()
        world = bulk(Path(name), stage, load.invoices)
        desk = Desk(world, stage)
        desk.answers = load.answers
        began, before = stage(), 0
        killed: dict[str, int] = {}
        if load.killed:
            load_in_a_process(desk, kill_at=load.invoices // 100, counting_work=True)
            before, writes_before = len(desk.arrivals), len(desk.writes)
            open_keys = {row["idempotency_key"] for row in world.rows(REQUESTS) if row["settled_at"] is None}
            killed = {
                "posted": len(world.rows(BINDINGS)),
                "in_doubt": sum(row["settled_at"] is None for row in world.rows(REQUEST_ROWS)),
                "repeated": sum(write.elements for write in desk.writes if write.key in open_keys),
            }
        told = load_in_a_process(desk, counting_work=True)
        if load.killed:
            killed["second_calls"] = len(desk.arrivals) - before
            killed["second_writes"] = len(desk.writes) - writes_before
        numbers = Counter(each["InvoiceNumber"] for each in world.books.invoices(live=False))
        sent = sum(write.elements for write in desk.writes)
        if told.failed or set(numbers.values()) != {1}:
            raise LostOrDoubled(told.failed or "a number is there twice")
        if len(numbers) != load.invoices or sent != load.invoices + killed.get("repeated", 0):
            raise LostOrDoubled(f"{sent} elements were sent for {load.invoices} invoices; {len(numbers)} are there")
        seen = world.xero.statistics
        return Loaded(
            calls=len(desk.arrivals),
            writes=len(desk.writes),
            sent=sent,
            documents=len(numbers),
            refused=seen.refused_429,
            busiest_minute=seen.most_per_minute,
            at_once=seen.most_in_flight,
            seconds=(stage() - began).total_seconds(),
            floor=floor_seconds(len(desk.arrivals)),
            cpu=told.cpu,
            tasks=told.tasks,
            **killed,
        )


if __name__ == "__main__":
    given = json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}")
    given["answers"] = tuple(given.get("answers", QUICK))
    print(json.dumps(asdict(main(Load(**given)))))
