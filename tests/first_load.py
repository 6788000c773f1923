"""The first load of a large world under Xero's own limits, on a clock on which nobody waits (`tests/stage.py`).

A load can run in a process of its own, which is really killed at one of its writes; both simulated systems stay in
this one and answer over a pipe, so that they survive it.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from deployments.sandbox.scenarios import generate
from deployments.sandbox.wire import Request, Response
from deployments.sandbox.xero import Limits
from flows.family import Summary
from tasks import posting
from tests.flows.one_cycle import FileTokens
from tests.stage import Stage, StagedCalls
from tests.worlds import World

PER_MINUTE, AT_ONCE = 58, 5
"""What tieout allows itself; Xero allows 60 and 5."""
ANSWERS = (0.05, 0.15)
"""Seconds that a call takes besides the client's own work, drawn uniformly, the same in every run."""


@dataclass(frozen=True)
class Write:
    """A call that creates invoices, as Xero saw it arrive: at what time, under which key, how many elements."""

    at: datetime
    tenant_id: str
    key: str
    elements: int


@dataclass(frozen=True)
class Told:
    """What a load told of itself; `killed` loads told nothing. `tasks` would be task runs in Prefect."""

    killed: bool = False
    failed: str = ""
    counts: dict[str, int] | None = None
    calls: dict[str, int] | None = None
    tasks: int = 0
    cpu: float = 0.0
    wall: float = 0.0


class Desk:
    """Where both simulated systems answer, and what they were asked. `kill` is called after the `kill_at`th write."""

    def __init__(self, world: World, stage: Stage) -> None:
        self.world = world
        self.stage = stage
        self.writes: list[Write] = []
        self.arrivals: list[datetime] = []
        self.answers = ANSWERS
        self.kill_at = 0
        self.kill: Callable[[], None] = lambda: None
        self._handlers: dict[str, Callable[[Request], Response]] = {
            "connectwise": world.to_connectwise,
            "xero": world.to_xero,
        }
        self._under_way: dict[int, Request] = {}

    def answer(self, what: str, system: str, number: int, request: Request | None, at: datetime) -> Response | None:
        """Let a call arrive, do its work, or let its answer arrive, at the caller's time."""
        self.stage.leap(at)
        if what == "arrive":
            assert request is not None
            self._under_way[number] = request
            if system == "xero":
                self.world.xero.enter(request)
            return None
        if what == "work":
            return self._work(system, self._under_way[number])
        self._leave(self._under_way.pop(number))
        return None

    def hang_up(self) -> None:
        """Nobody waits for what is still under way."""
        while self._under_way:
            self._leave(self._under_way.popitem()[1])

    def _leave(self, request: Request) -> None:
        self.world.xero.leave(request)

    def _work(self, system: str, request: Request) -> Response:
        response = self._handlers[system](request)
        if system == "xero" and request.path.startswith("/api.xro"):
            self.arrivals.append(self.stage())
            if request.method == "PUT" and response.status == 200:
                headers, elements = request.headers, len(json.loads(request.body)["Invoices"])
                write = Write(self.stage(), headers["xero-tenant-id"], headers["idempotency-key"], elements)
                self.writes.append(write)
                if len(self.writes) == self.kill_at:
                    self.kill()
        return response


class Distant:
    """A simulated system that takes its time, at the other end of `ask`."""

    def __init__(self, system: str, ask: Callable[..., Any], stage: Stage, answers: tuple[float, float]) -> None:
        self._system = system
        self._ask = ask
        self._stage = stage
        self._answers = answers
        self._numbers = itertools.count(0 if system == "xero" else 1_000_000)
        self._random = Random(1)

    def __call__(self, request: Request) -> Response:
        """On its way, at work, on its way back."""
        number = next(self._numbers)
        # ConnectWise is called by five threads that are not on stage: here they follow each other, in any order.
        seconds = sum(self._answers) / 2 / AT_ONCE
        if self._system == "xero":
            seconds = self._random.uniform(*self._answers)
        self._ask("arrive", self._system, number, request, self._stage())
        self._stage.sleep(seconds / 2)
        response: Response = self._ask("work", self._system, number, None, self._stage())
        self._stage.sleep(seconds / 2)
        self._ask("leave", self._system, number, None, self._stage())
        return response


def limited(world: World) -> World:
    """The same world under Xero's own limits, with what tieout allows itself, and tokens that two processes share."""
    world.xero.limits = Limits()
    world.per_minute, world.concurrent = PER_MINUTE, AT_ONCE
    world.tokens = FileTokens(str(world.folder / "tokens.json"))  # type: ignore[assignment]  # quacks the same
    return world


def bulk(folder: Path, stage: Stage, invoices: int) -> World:
    """A world of so many invoices of three rows in one organisation, under its limits."""
    world = World(folder, clock=stage)
    scenario = generate(world.connectwise, world.xero, invoices=invoices)
    tables = scenario.copy_tables(world.tables)
    name, tenant = next(iter(scenario.organisations.items()))
    (tables / "organisations.csv").write_text(
        f"location,department,company,staff,tag,organisation\n,,,,,{name}\n", encoding="utf-8"
    )
    first, *others = world.xero.organisations.values()
    for contact in [contact for other in others for contact in other.contacts]:
        first.add_contact(contact.name, account_number=contact.account_number or "")
    world.tenants = {name: tenant}
    return limited(world)


def floor_seconds(calls: int) -> float:
    """The least time in which Xero takes so many calls of one organisation: a minute for each full sixty before."""
    return 60.0 * ((calls - 1) // Limits().per_minute)


def load_here(desk: Desk) -> tuple[Summary, int]:
    """One cycle in this process; its summary, and how many tasks it was."""
    return _cycle(desk.world, desk.stage, desk.answer, desk.answers)


def load_in_a_process(desk: Desk, kill_at: int = 0, counting_work: bool = False) -> Told:
    """One cycle in a process of its own, killed after its `kill_at`th write (0: not at all).

    `counting_work`: the CPU seconds of that process pass on the clock, too.
    """
    ours, theirs = Pipe()
    world, context = desk.world, get_context("spawn")
    place = _Place(str(world.folder), world.tenants, desk.stage(), posting.BATCH, desk.answers, counting_work)
    process = context.Process(target=_perform, args=(theirs, place))
    process.start()
    theirs.close()
    desk.kill_at = len(desk.writes) + kill_at if kill_at else 0
    desk.kill = lambda: os.kill(process.pid or 0, signal.SIGKILL)
    told = Told(killed=True)
    try:
        while True:
            what, *given = ours.recv()
            if what == "told":
                told = given[0]
            elif what == "sleep":
                desk.stage.leap(given[0])
            else:
                ours.send(desk.answer(what, *given))
    except (EOFError, OSError):
        pass
    finally:
        ours.close()
        process.join()
        desk.hang_up()
    if told.killed != (process.exitcode == -signal.SIGKILL):
        raise RuntimeError(f"the load ended by itself ({process.exitcode})")
    return told


@dataclass(frozen=True)
class _Place:
    """What a process is told of the world that its parent has."""

    folder: str
    tenants: dict[str, str]
    now: datetime
    batch: int
    answers: tuple[float, float]
    counting_work: bool


def _perform(line: Connection, place: _Place) -> None:
    """The life of the process that loads."""
    began, before = time.monotonic(), time.process_time()
    stage = Stage(place.now, (lambda: time.process_time() - before) if place.counting_work else lambda: 0.0)
    lock = threading.Lock()

    def ask(*question: Any) -> Any:
        with lock:
            line.send(question)
            return line.recv()

    posting.BATCH = place.batch
    world = limited(World(Path(place.folder), clock=stage, audit_url=f"sqlite:///{place.folder}/audit.db"))
    world.tenants = place.tenants
    summary, tasks = _cycle(world, stage, ask, place.answers)
    cpu, wall = time.process_time() - before, time.monotonic() - began
    line.send(("sleep", stage()))
    line.send(("told", Told(False, summary.failed, summary.counts, summary.calls, tasks, cpu, wall)))


def _cycle(world: World, stage: Stage, ask: Callable[..., Any], answers: tuple[float, float]) -> tuple[Summary, int]:
    world.to_connectwise = Distant("connectwise", ask, stage, answers)  # type: ignore[assignment]  # a handler, too
    world.to_xero = Distant("xero", ask, stage, answers)  # type: ignore[assignment]
    calls = StagedCalls(stage, AT_ONCE)
    return world.cycle(calls=calls), calls.tasks
