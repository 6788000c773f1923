"""The Prefect server and worker: whether one answers, and how to start them as one group of processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from blocks.failures import NotConfigured
from deployments.config import PROJECT

DEFAULT_API = "http://127.0.0.1:4200/api"
START_SECONDS = 180
EVENTS_PATIENCE = 10
"""Seconds that the last events have to reach a server that is about to be stopped."""


def api_url() -> str:
    """The Prefect API that commands talk to: PREFECT_API_URL, else the local default."""
    return os.environ.get("PREFECT_API_URL", DEFAULT_API).rstrip("/")


def ui_url(path: str = "") -> str:
    """A page of the Prefect UI."""
    return f"{os.environ.get('PREFECT_UI_URL') or api_url().removesuffix('/api')}{path}"


def answers(url: str | None = None) -> bool:
    """Whether a Prefect server answers at this API address."""
    try:
        return httpx.get(f"{url or api_url()}/health", timeout=3).status_code == 200
    except httpx.HTTPError:
        return False


def need_server() -> None:
    """Point Prefect at the server; NotConfigured when none answers."""
    if not answers():
        raise NotConfigured(f"No Prefect server answers at {api_url()}; start one with `tieout serve`.")
    os.environ["PREFECT_API_URL"] = api_url()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of server, worker and flow processes: how we want Prefect to be, where nobody said otherwise."""
    wanted = {
        "PREFECT_API_URL": api_url(),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # Flow processes report in every 30 s, so that a dead one is seen within 90 (the automation of set-up).
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        # Run history would grow for ever.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_UI_URL": ui_url(),
        "TIEOUT_PROJECT": str(PROJECT),
    }
    return {**wanted, **os.environ, **(extra or {}), "PREFECT_API_URL": api_url()}


def free_port() -> int:
    """A port of this machine that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_local(url: str) -> bool:
    """Whether this address is this machine's own."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1", "0.0.0.0")  # noqa: S104  (compared, not bound)


def start_server(log: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a Prefect server at the API address (which must be this machine's own). Does not wait for it."""
    if not is_local(api_url()):
        raise NotConfigured(f"No Prefect server answers at {api_url()}, and it is not this machine's to start.")
    parts = urlsplit(api_url())
    return _start(_server_command(str(parts.hostname), parts.port or 4200), log)


@contextlib.contextmanager
def temporary_server() -> Iterator[str]:
    """A Prefect server over this machine's own Prefect database, for blocks only; its API address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    process = _start([*_server_command("127.0.0.1", port), "--no-services"], None)
    try:
        wait_until_it_answers(process, url=url)
        yield url
    finally:
        # Blocks tell the server when they are used; what is still on its way would be an error in Prefect's log.
        from prefect.events.worker import EventsWorker

        EventsWorker.drain_all(timeout=EVENTS_PATIENCE)
        stop(process)


def _server_command(host: str, port: int) -> list[str]:
    return [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]


def start_worker(pool: str, log: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a process worker on a pool."""
    return _start([sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"], log)


def _start(command: list[str], log: Path | None) -> subprocess.Popen[bytes]:
    target = log.open("ab") if log else subprocess.DEVNULL
    try:
        return subprocess.Popen(  # noqa: S603  (our own interpreter and constant words)
            command, env=environment(), stdout=target, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True, cwd=PROJECT,
        )  # fmt: skip
    finally:
        if not isinstance(target, int):
            target.close()


def wait_until_it_answers(
    process: subprocess.Popen[bytes],
    log: Path | None = None,
    say: Callable[[str], None] = lambda _text: None,
    url: str | None = None,
) -> None:
    """Wait for a server that was just started; NotConfigured with the end of its log when it does not come up."""
    began = time.monotonic()
    said = 0
    while not answers(url):
        if process.poll() is not None or time.monotonic() - began > START_SECONDS:
            words = log.read_text(errors="replace").strip().splitlines()[-5:] if log and log.exists() else []
            raise NotConfigured("\n".join([f"The Prefect server at {url or api_url()} did not start.", *words]))
        time.sleep(0.3)
        waited = int(time.monotonic() - began)
        if waited >= said + 10:
            said = waited
            say(f"the Prefect server is starting ({waited} s)")


def stop(process: subprocess.Popen[bytes], seconds: float = 15) -> None:
    """End a process and everything that it started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end the body like Ctrl-C does, so that what it started is stopped too."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
