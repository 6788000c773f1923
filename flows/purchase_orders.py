"""Purchase orders: from what was received in ConnectWise to bills in Xero, by the signed lifecycle."""

from __future__ import annotations

from typing import Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner

from blocks.doors import load_doors
from flows.family import SyncForm, final_state, in_flow_run, run_name
from tasks.calls import PrefectCalls

FAMILY = "purchase_orders"


def _run_name() -> str:
    return run_name(FAMILY, runtime.flow_run.parameters.get("params"), runtime.flow_run.scheduled_start_time)


@flow(
    name="sync-purchase-orders",
    flow_run_name=_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=5),  # type: ignore[arg-type]  # as in flows.invoices
    persist_result=False,
    validate_parameters=True,
)
def sync_purchase_orders(params: SyncForm = SyncForm(), installation: str = "default") -> State[Any]:  # noqa: B008
    """One cycle of purchase orders: what was received becomes bills in Xero, once, by the signed lifecycle.

    Args:
        params: What to sync; leave as it is for an ordinary cycle.
        installation: Which installation's blocks to use ([prefect] name). Leave as it is.
    """
    forced = params.force or bool(params.references)
    return final_state(
        in_flow_run(
            FAMILY, params, installation, lambda run_id: load_doors(installation, run_id, forced=forced), PrefectCalls()
        )
    )
