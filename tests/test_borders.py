"""The import borders hold: each folder's linter configuration refuses the way back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


def refusals(folder: str, code: str) -> str:
    """What the linter says of a line of code that would stand in this folder."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--stdin-filename", f"{folder}/probe.py", "-"],
        input=code,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("folder", "code"),
    [
        ("mappings", "import prefect"),
        ("mappings", "import httpx"),
        ("mappings", "import sqlmodel"),
        ("mappings", "import pandas"),
        ("mappings", "from blocks.failures import CannotGoOn"),
        ("mappings", "import datetime\ndatetime.datetime.now()"),
        ("mappings", "from datetime import date\ndate.today()"),
        ("mappings", "import random"),
        ("blocks", "from tasks.cycle import Cycle"),
        ("blocks", "import flows.cycle"),
        ("tasks", "from flows.cycle import run_cycle"),
        ("tasks", "import httpx"),
        ("flows", "from deployments.config import Config"),
        ("flows", "import httpx"),
        ("deployments/sandbox", "from mappings.xero import Document"),
        ("deployments/sandbox", "from blocks.wire import Wire"),
    ],
)
def test_the_way_back_is_banned(folder: str, code: str) -> None:
    """Imports run flows -> tasks -> blocks -> mappings; the core has no clock; the sandbox knows nothing of ours."""
    assert "TID251" in refusals(folder, code + "\n")


@pytest.mark.parametrize(
    ("folder", "code"),
    [
        ("flows", "from tasks.cycle import Cycle"),
        ("tasks", "from blocks.doors import Doors"),
        ("blocks", "from mappings.xero import Document"),
        ("blocks", "import httpx"),
    ],
)
def test_the_way_forth_is_open(folder: str, code: str) -> None:
    """The borders do not stand where data flows."""
    assert "TID251" not in refusals(folder, code + "\n")
