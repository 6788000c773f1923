"""Both simulated systems with a bulk of invoices, served from a process of their own: its CPU is nobody's but its own.

`python -m tests.benchmarks.world '{"invoices": 500, ...}'` writes one line of JSON with the addresses, then one with
what was called and what is in the books for every line that it reads, and ends with its input.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from decimal import Decimal
from random import Random
from typing import Any

from deployments.sandbox.connectwise import SimulatedConnectWise
from deployments.sandbox.scenarios import generate
from deployments.sandbox.server import serve
from deployments.sandbox.wire import Faulty
from deployments.sandbox.xero import Limits, SimulatedXero


@dataclass(frozen=True)
class Size:
    """How large a world is and how it answers; latencies are in seconds and drawn uniformly, the same each time.

    `one_organisation`: both locations belong to one organisation, so that its limit counts for all.
    """

    invoices: int
    rows: int = 3
    latency: tuple[float, float] = (0.0, 0.0)
    per_minute: int = 0
    one_organisation: bool = False
    seed: int = 1

    def argument(self) -> str:
        """As the command line of the process takes it."""
        return json.dumps(asdict(self))


def main(size: Size) -> None:
    """Build the world, serve it, and answer until the input ends."""
    connectwise, xero = SimulatedConnectWise(), SimulatedXero()
    scenario = generate(connectwise, xero, invoices=size.invoices, rows=size.rows, seed=size.seed)
    # Somebody works on: without a change that is younger than all the others, each idle cycle reads the whole bulk
    # again, since it was closed within one second.
    connectwise.edit_invoice(scenario.invoices[f"B{size.invoices:06d}"], customerPO="PO-1")
    if size.one_organisation:
        first, *others = xero.organisations.values()
        for contact in [contact for other in others for contact in other.contacts]:
            first.add_contact(contact.name, account_number=contact.account_number or "")
    xero.limits = Limits(per_minute=size.per_minute) if size.per_minute else Limits.none()
    seen = {"connectwise": Faulty(connectwise), "xero": Faulty(xero)}
    gc.freeze()
    with ExitStack() as running:
        addresses = {
            name: running.enter_context(serve(handler, latency=_latency(size, seed)))
            for seed, (name, handler) in enumerate(seen.items())
        }
        _say(addresses | {"organisations": scenario.organisations, "start_date": scenario.start_date.isoformat()})
        for _line in sys.stdin:
            _say(_told(seen, xero))


def _latency(size: Size, seed: int) -> Callable[[], float] | None:
    low, high = size.latency
    if not high:
        return None
    random = Random(size.seed * 100 + seed)
    return lambda: random.uniform(low, high)


def _told(seen: dict[str, Faulty], xero: SimulatedXero) -> dict[str, Any]:
    """The calls since the last time, and the books: a digest of all that is in them, and the sum of the totals."""
    calls: Counter[str] = Counter()
    for name, handler in seen.items():
        done, handler.calls = handler.calls, []
        for call in done:
            identity = name == "xero" and not call.path.startswith("/api.xro/")
            calls["identity" if identity else name] += 1
            calls["429"] += call.status == 429
            if name == "xero" and call.method != "GET" and not identity:
                calls["writes"] += 1
    books = {tenant: organisation.snapshot() for tenant, organisation in xero.organisations.items()}
    documents = [one for book in books.values() for same in book.get("ACCREC", {}).values() for one in same]
    for document in documents:
        # The link begins with an address that is another in every world.
        document["url"] = document["url"].partition("/v4_6_release")[2]
    return {
        "calls": dict(calls),
        "busiest_minute": xero.statistics.most_per_minute,
        "most_at_once": xero.statistics.most_in_flight,
        "documents": len(documents),
        "sum": str(sum((Decimal(document["total"]) for document in documents), Decimal(0))),
        "books": hashlib.sha256(json.dumps(books).encode()).hexdigest(),
        "cpu": time.process_time(),
    }


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(Size(**json.loads(sys.argv[1])))
