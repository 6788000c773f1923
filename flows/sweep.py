"""The nightly sweep: both sides compared, family by family, for what no ordinary cycle can see."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import BaseModel, ConfigDict, Field

from blocks.doors import load_doors, load_tables
from blocks.failures import CannotGoOn
from flows.family import Summary, SyncForm, final_state, in_flow_run
from tasks.calls import PrefectCalls

FAMILIES = ("invoices", "credit_notes", "payments", "purchase_orders")
"""The families that can be swept, in the order in which they are."""


class SweepForm(BaseModel):
    """How to sweep. Leave everything as it is for the nightly one."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["write", "plan"] = Field(
        default="write",
        title="Mode",
        description="plan: a dry run that writes nothing and shows what would be written and said.",
    )


def _run_name() -> str:
    return f"sweep {runtime.flow_run.scheduled_start_time:%Y-%m-%d %H:%M}"


@flow(
    name="sweep",
    flow_run_name=_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=5),  # type: ignore[arg-type]  # as in flows.invoices
    persist_result=False,
    validate_parameters=True,
)
def sweep(params: SweepForm = SweepForm(), installation: str = "default") -> State[Any]:  # noqa: B008
    """Compare both sides since the start date: deleted, hidden, never seen, changed or removed by people.

    Args:
        params: How to sweep; leave as it is.
        installation: Which installation's blocks to use ([prefect] name). Leave as it is.
    """
    try:
        policy = load_tables(installation).read().policy
    except CannotGoOn as error:
        return Failed(message=str(error))
    chosen = [family for family in FAMILIES if getattr(policy.families, family) == "on"]
    form = SyncForm(sweep=True, mode=params.mode)
    summaries = [
        in_flow_run(family, form, installation, partial(load_doors, installation), PrefectCalls()) for family in chosen
    ]
    return _together(summaries)


def _together(summaries: list[Summary]) -> State[Any]:
    """One state for all families: failed when any of them could not be swept."""
    states = [final_state(each) for each in summaries]
    words = "; ".join(f"{each.family}: {state.message}" for each, state in zip(summaries, states, strict=True))
    kind = Failed if any(each.failed for each in summaries) else Completed
    return kind(message=words or "no family is on in policy.toml", data=summaries)
