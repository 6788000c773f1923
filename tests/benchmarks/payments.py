"""One measured process: payments on so many posted and approved invoices, and the idle cycle after it.

`python -m tests.benchmarks.payments '{"payments": 5000}'` writes one line of JSON. Both simulated systems are in this
process, and their work is in its figures.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path


@dataclass(frozen=True)
class Paid:
    """What a cycle of payments cost: calls by both systems' own count, seconds of this process. `idle` is the next."""

    payments: int
    writes: int
    reads: int
    fewest_reads: int
    rows_read: int
    lists_read: int
    idle_connectwise: int
    idle_xero: int
    wall: float
    cpu: float


class NotPaid(Exception):
    """The balances are not what ConnectWise says."""


def main(payments: int) -> Paid:
    """Post, approve and pay; fails when a balance differs or a payment is there twice."""
    from deployments.sandbox.connectwise import Limits
    from tests.worlds import World

    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as name:
        world = World(Path(name)).ready()
        world.connectwise.limits = Limits(per_minute=0)
        world.policy('[families]\npayments = "on"\n[sales]\ninvoice_status = "authorised"')
        world.write("payment_accounts.csv", "organisation,currency,payment_account,account_code\n,,,090\n")
        for number in range(payments):
            world.add_invoice(f"P{number:06}", id=100_000 + number)
        assert not world.cycle(at_once=5).failed
        world.later()
        # Somebody works on: without a younger change each idle cycle reads again all that was paid in that second.
        for number in range(payments):
            world.connectwise.add_payment(100_000 + number, "100.00")
        world.later(minutes=30)
        world.connectwise.edit_invoice(100_000, customerPO="PO-1")
        world.later()
        began, cpu = time.monotonic(), time.process_time()
        with world.watching() as seen:
            summary = world.cycle(at_once=5, family="payments")
        wall, spent = time.monotonic() - began, time.process_time() - cpu
        if summary.failed or summary.counts.get("posted") != payments:
            raise NotPaid(summary.failed or str(summary.counts))
        due = {Decimal(each["AmountDue"]) for each in world.invoices().values()}
        if due != {Decimal("230.00")}:
            raise NotPaid(f"the invoices are open with {sorted(due)}")
        with world.watching() as idle:
            world.later().cycle(family="payments")
        rows = sum(1 for call in seen.connectwise if call.endswith("/payments"))
        writes = sum(1 for call in seen.xero if not call.startswith("GET"))
        return Paid(
            payments=payments,
            writes=writes,
            reads=len(seen.xero) - writes,
            # The invoices, 50 in a call, and the lock date once.
            fewest_reads=-(-payments // 50) + 1,
            rows_read=rows,
            lists_read=len(seen.connectwise) - rows,
            idle_connectwise=len(idle.connectwise),
            idle_xero=len(idle.xero),
            wall=wall,
            cpu=spent,
        )


if __name__ == "__main__":
    given = json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}")
    print(json.dumps(asdict(main(given.get("payments", 5_000)))))
