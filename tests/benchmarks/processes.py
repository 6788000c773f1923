"""The processes of a benchmark: worlds, measured clients, and a Prefect server, none of which outlives its `with`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deployments import server
from tests.benchmarks.client import Cost, Task
from tests.benchmarks.first_load import Load, Loaded
from tests.benchmarks.mapping import Speed, Work
from tests.benchmarks.orders import Ordered
from tests.benchmarks.payments import Paid
from tests.benchmarks.world import Size

PROJECT = Path(__file__).parents[2]


class World:
    """A running world: where it is, and what it says of itself."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.place = self._read()

    def told(self) -> dict[str, Any]:
        """The calls since the last time, and the books."""
        assert self._process.stdin is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the simulated systems did not start; what they said stands above")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def world(size: Size) -> Iterator[World]:
    """A world in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.world", size.argument()]
    with subprocess.Popen(
        command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield World(process)
        finally:
            process.kill()


def measured(kind: str, task: Task, folder: Path, python: str = sys.executable) -> tuple[Cost, float]:
    """Run one cycle in a process of its own; what it cost, and the CPU seconds of the whole process up to its end."""
    said = folder / "client.log"
    command = [python, "-m", "tests.benchmarks.client", kind]
    with said.open("w+", encoding="utf-8") as errors, (folder / "client.out").open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=output, stderr=errors, text=True, start_new_session=True
        )
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(asdict(task)))
            process.stdin.close()
            # wait4 also tells what the process used after it had measured itself.
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            process.kill()
            process.wait()
            raise
        output.seek(0)
        answer = output.read().strip()
    if process.returncode:
        raise RuntimeError(f"the {kind} cycle failed:\n{said.read_text(encoding='utf-8')[-4000:]}\n{answer[-4000:]}")
    return Cost(**json.loads(answer.splitlines()[-1])), used.ru_utime + used.ru_stime


def python_with(folder: Path, *packages: str) -> str:
    """A Python of its own with these packages; RuntimeError where they cannot be had."""
    python = str(folder / "bin" / "python")
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["without a word"])[-1])
    return python


def mapped(work: Work) -> Speed:
    """Map so many records in a process of its own."""
    return Speed(**_asked("mapping", asdict(work)))


def loaded(load: Load) -> Loaded:
    """Load so many records for the first time, in processes of their own."""
    return Loaded(**_asked("first_load", asdict(load)))


def paid(payments: int) -> Paid:
    """Pay so many invoices in a process of its own."""
    return Paid(**_asked("payments", {"payments": payments}))


def ordered(orders: int) -> list[Ordered]:
    """Raise, receive and cancel so many purchase orders in a process of its own."""
    return [Ordered(**cycle) for cycle in _asked("orders", {"orders": orders})]


def _asked(module: str, argument: dict[str, Any]) -> Any:
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", json.dumps(argument)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout)


@contextmanager
def prefect_server(folder: Path) -> Iterator[str]:
    """A Prefect server with a home of its own, which this process and its children use; gives its address."""
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
    os.environ["PREFECT_HOME"] = str(folder / "prefect")
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{server.free_port()}/api"
    log = folder / "server.log"
    process = server.start_server(log)
    try:
        server.wait_until_it_answers(process, log)
        yield server.api_url()
    finally:
        server.stop(process)
