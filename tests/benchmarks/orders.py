"""One measured process: so many open purchase orders under `full_lifecycle`, their idle and their busy cycles.

`python -m tests.benchmarks.orders '{"orders": 1000}'` writes one line of JSON. Both simulated systems are in this
process, and their work is in its figures.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.worlds import World

BATCH = 50
CHANGED, RECEIVED, CANCELLED = 10, 5, 50
"""Every so many-th order is changed, received with its vendor's invoice, or cancelled before the busy cycle."""


@dataclass(frozen=True)
class Ordered:
    """What a cycle cost: calls by both systems' own count, seconds of this process; `fewest` of design section 8.

    `writes` and `reads` of Xero by endpoint.
    """

    orders: int
    name: str
    connectwise: int
    writes: Mapping[str, int]
    reads: Mapping[str, int]
    fewest_writes: int
    wall: float
    cpu: float


class BooksDiffer(Exception):
    """Xero does not hold what ConnectWise and the lifecycle say."""


def main(orders: int) -> list[Ordered]:
    """Raise, wait, change, receive and cancel; fails when an order or a bill is missing, or there twice."""
    from deployments.sandbox.connectwise import Limits
    from tests.worlds import World

    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as name:
        world = World(Path(name)).ready_to_buy("full_lifecycle")
        world.connectwise.limits = Limits(per_minute=0)
        world.policy("[brake]\nupdates = 0")
        made = [world.add_order(f"PO{number:06}") for number in range(orders)]
        cycles = [_measured(world, orders, "raised", -(-orders // BATCH))]
        cycles.append(_measured(world, orders, "idle", 0))
        changed, received, cancelled = made[1::CHANGED], made[2::RECEIVED], made[3::CANCELLED]
        received = [order for order in received if order not in {*changed, *cancelled}]
        changed = [order for order in changed if order not in cancelled]
        for order in changed:
            world.connectwise.edit_order_line(world.order_lines(order)[0], quantity=Decimal(12))
        for order in received:
            world.connectwise.receive_line(world.order_lines(order)[0], slip=f"S{order}")
            world.connectwise.enter_vendor_invoice(order, f"V{order}")
        for order in cancelled:
            world.connectwise.cancel_purchase_order(order)
        # Updates, bills, BILLED and deletions, each kind in calls of its own.
        fewest = sum(-(-len(each) // BATCH) for each in (changed, received, received, cancelled))
        cycles.append(_measured(world, orders, "busy", fewest))
        cycles.append(_measured(world, orders, "idle after it", 0))
        _check(world, made, received, cancelled)
        return cycles


def _measured(world: World, orders: int, name: str, fewest: int) -> Ordered:
    world.later()
    began, cpu = time.monotonic(), time.process_time()
    with world.watching() as seen:
        summary = world.cycle(at_once=5)
    wall, spent = time.monotonic() - began, time.process_time() - cpu
    if summary.failed or summary.exceptions:
        raise BooksDiffer(summary.failed or str(summary.exceptions[0]))
    calls = [call.split(" ", 1) for call in seen.xero]
    endpoints = [(method, f"{method} {path.split('/')[1]}") for method, path in calls]
    return Ordered(
        orders,
        name,
        len(seen.connectwise),
        dict(Counter(endpoint for method, endpoint in endpoints if method != "GET")),
        dict(Counter(endpoint for method, endpoint in endpoints if method == "GET")),
        fewest,
        wall,
        spent,
    )


def _check(world: World, made: list[int], received: list[int], cancelled: list[int]) -> None:
    bills = Counter(bill["Reference"] for bill in world.bills())
    if len(bills) != len(received) or set(bills.values()) != {1}:
        raise BooksDiffer(f"{sum(bills.values())} bills for {len(received)} received orders")
    states = Counter(each["Status"] for each in world.books.purchase_orders(live=False))
    wanted = {
        "BILLED": len(received),
        "DELETED": len(cancelled),
        "DRAFT": len(made) - len(received) - len(cancelled),
    }
    if states != wanted:
        raise BooksDiffer(f"{dict(states)} purchase orders in Xero, {wanted} by ConnectWise")


if __name__ == "__main__":
    given = json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}")
    print(json.dumps([asdict(cycle) for cycle in main(given.get("orders", 1_000))]))
