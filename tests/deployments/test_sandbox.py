"""`tieout sandbox`: what it prints is what a newcomer types into tieout.toml."""

from __future__ import annotations

import re
import subprocess
import sys

import httpx

from deployments.config import PROJECT
from deployments.server import free_port


def test_what_the_sandbox_prints_lets_a_newcomer_in() -> None:
    """The company, keys and client id as printed are those that the simulated ConnectWise takes."""
    ports = (free_port(), free_port())
    words = ("sandbox", "--connectwise-port", str(ports[0]), "--xero-port", str(ports[1]))
    with subprocess.Popen(
        [sys.executable, "-m", "deployments.cli", *words], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            printed = "".join(iter(process.stdout.readline, "Stop with Ctrl-C.\n"))
            found = re.search(r"ConnectWise: (\S+)\n +company (.+), keys (\S+) / (\S+)\n +client id (\S+)\n", printed)
            assert found is not None, printed
            url, company, public, private, client_id = found.groups()
            transport = httpx.HTTPTransport(retries=5)
            with httpx.Client(transport=transport, auth=(f"{company}+{public}", private), trust_env=False) as client:
                answer = client.get(f"{url}/finance/invoices", headers={"clientId": client_id})
            assert answer.status_code == 200, answer.text
        finally:
            process.terminate()
