"""Worlds for the sandbox: a believable MSP with a dozen troubles in it, and plain bulk for benchmarks."""

from __future__ import annotations

from deployments.sandbox.connectwise import SimulatedConnectWise
from deployments.sandbox.scenarios.bulk_world import generate
from deployments.sandbox.scenarios.scenario import Cure, Delivery, Edit, Purchase, Scenario
from deployments.sandbox.scenarios.story import tell
from deployments.sandbox.xero import SimulatedXero

__all__ = ["NAMES", "Cure", "Delivery", "Edit", "Purchase", "Scenario", "generate", "load"]

NAMES = ("msp",)
"""The scenarios that `load` knows."""


def load(name: str, connectwise: SimulatedConnectWise, xero: SimulatedXero) -> Scenario:
    """Build a scenario's world in both systems, relative to the day that ConnectWise's clock shows."""
    if name not in NAMES:
        raise ValueError(f"there is no scenario {name!r}; known: {', '.join(NAMES)}")
    return tell(name, connectwise, xero)
