"""What the tests of the simulated systems share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from deployments.sandbox.server import serve
from deployments.sandbox.xero import Limits, SimulatedXero, XeroSwitches
from tests.sandbox.xero_client import SPEC, Client, Json, Moving, World, described


@pytest.fixture
def clock() -> Moving:
    """A clock at a fixed moment."""
    return Moving()


@pytest.fixture
def world(clock: Moving) -> World:
    """Makes a signed-in client of an Australian organisation with one contact, under given switches."""

    def make(currencies: tuple[str, ...] = ("AUD", "USD"), country: str = "AU", **switches: Any) -> Client:
        xero = SimulatedXero(clock, XeroSwitches(**switches))
        xero.limits = Limits.none()
        organisation = xero.add_organisation("Harbour IT", country=country, currencies=currencies)
        organisation.add_contact("Acme Pty Ltd", account_number="AC-1", contact_number="C-1")
        organisation.add_contact("Supplier One", contact_number="S-1")
        client = Client(xero, organisation, clock)
        client.sign_in()
        return client

    return make


@pytest.fixture
def client(world: World) -> Client:
    """A client under the default switches."""
    return world()


@pytest.fixture
def base_url(client: Client) -> Iterator[str]:
    """The simulated Xero behind a real socket."""
    with serve(client.xero) as url:
        yield url


@pytest.fixture(scope="session")
def description() -> Json:
    """The schemas of the official OpenAPI file as JSON Schema, closed against unknown fields."""
    if not SPEC.is_file():
        pytest.skip(f"the official API description is not at {SPEC}: answers were not checked against it")
    return described()
