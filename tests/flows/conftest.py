"""What the tests of the cycle share: small worlds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worlds import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One organisation, Sydney, in which everything fits."""
    return World(tmp_path).ready()


@pytest.fixture
def both(tmp_path: Path) -> World:
    """Two organisations, Sydney and Perth."""
    return World(tmp_path).ready_twice()
