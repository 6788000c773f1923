"""A real Prefect server for the tests that need one, started once, and the commands as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments import server
from deployments.config import PROJECT
from deployments.sandbox.connectwise import SimulatedConnectWise
from deployments.sandbox.scenarios import Scenario, load
from deployments.sandbox.server import serve
from deployments.sandbox.xero import Limits, SimulatedXero

Tieout = Callable[..., subprocess.CompletedProcess[str]]


def run_tieout(
    *words: str, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, as a shell would."""
    return subprocess.run(
        [sys.executable, "-m", "deployments.cli", *words],
        env={**os.environ, "PYTHONPATH": str(PROJECT), **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API address of a Prefect server with a home of its own."""
    home = tmp_path_factory.mktemp("prefect")
    before = dict(os.environ)
    os.environ["PREFECT_HOME"] = str(home)
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{server.free_port()}/api"
    os.environ["TIEOUT_PROJECT"] = str(PROJECT)
    process = server.start_server(home / "server.log")
    try:
        server.wait_until_it_answers(process, home / "server.log")
        yield os.environ["PREFECT_API_URL"]
    finally:
        server.stop(process)
        os.environ.clear()
        os.environ.update(before)


@dataclass
class Place:
    """An installation of its own: both simulated systems on sockets, tables, and a configuration file."""

    folder: Path
    connectwise: SimulatedConnectWise
    xero: SimulatedXero
    story: Scenario
    config: Path
    tables: Path
    name: str

    def tieout(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command with this installation's configuration."""
        return run_tieout(*words, "--config", str(self.config), env=env)

    def rewrite(self, old: str, new: str) -> None:
        """Change the configuration file."""
        text = self.config.read_text(encoding="utf-8")
        assert old in text
        self.config.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """The story of the MSP, ready for `tieout setup`, under a name of its own."""
    with placed(tmp_path) as made:
        yield made


@contextmanager
def placed(tmp_path: Path) -> Iterator[Place]:
    """The story of the MSP in a folder, and both systems on sockets for as long as the body runs."""
    connectwise, xero = SimulatedConnectWise(), SimulatedXero()
    xero.limits = Limits()
    story = load("msp", connectwise, xero)
    tables = story.copy_tables(tmp_path / "tables")
    name = "".join(char if char.isalnum() else "-" for char in tmp_path.name.lower()).strip("-")
    with serve(connectwise) as connectwise_url, serve(xero) as xero_url:
        config = tmp_path / "tieout.toml"
        organisations = "".join(
            f'[[organisation]]\nname = "{each}"\ntenant_id = "{tenant}"\n'
            for each, tenant in story.organisations.items()
        )
        config.write_text(
            f"""[connectwise]
url = "{connectwise_url}/v4_6_release/apis/3.0"
company = "sandbox"
public_key = "sandbox-public"
private_key = "env:TEST_PRIVATE_KEY"
client_id = "00000000-0000-4000-8000-000000000001"
[xero]
api_url = "{xero_url}"
identity_url = "{xero_url}"
client_id = "sandbox-client"
client_secret = "sandbox-secret"
refresh_token = "sandbox-refresh-0"
[audit]
url = "sqlite:///{tmp_path}/audit.db"
[mappings]
directory = "tables"
[prefect]
name = "{name}"
[http]
attempts = 2
max_wait_seconds = 1
{organisations}""",
            encoding="utf-8",
        )
        os.environ["TEST_PRIVATE_KEY"] = "sandbox-private"
        yield Place(tmp_path, connectwise, xero, story, config, tables, name)
