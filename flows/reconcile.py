"""The tie-out statement as a Prefect flow: run it from the UI at the month end, and read it there."""

from __future__ import annotations

from datetime import date
from typing import Any

from prefect import flow, get_run_logger, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import BaseModel, ConfigDict, Field

from blocks.audit.database import AuditUnusable
from blocks.doors import load_doors, load_tables
from blocks.failures import CannotGoOn
from flows.reconciling import FAMILIES, reconcile_families
from tasks.calls import PrefectCalls
from tasks.statements import Stating, show_statement


class PeriodForm(BaseModel):
    """The period of the statement. Leave both empty for all since the start date."""

    model_config = ConfigDict(extra="forbid")

    first: date | None = Field(
        default=None, title="From", description="The first business date. Empty: the start date of policy.toml."
    )
    last: date | None = Field(default=None, title="To", description="The last business date. Empty: today.")


def _run_name() -> str:
    given = PeriodForm.model_validate(runtime.flow_run.parameters.get("params") or {})
    dates = " ".join(f"{word} {day}" for word, day in (("from", given.first), ("to", given.last)) if day)
    return f"reconcile {dates or runtime.flow_run.scheduled_start_time.date()}"


@flow(name="reconcile", flow_run_name=_run_name, persist_result=False, validate_parameters=True)
def reconcile(params: PeriodForm = PeriodForm(), installation: str = "default") -> State[Any]:  # noqa: B008
    """Compare both systems as they are now, and name every difference. Writes nothing to either of them.

    The run fails when anything is unexplained, so that it is seen; the statement is among its artifacts either way.

    Args:
        params: The period; leave as it is for all since the start date.
        installation: Which installation's blocks to use ([prefect] name). Leave as it is.
    """
    try:
        families = load_tables(installation).read().policy.families
        statements = reconcile_families(
            [family for family in FAMILIES if getattr(families, family) == "on"],
            lambda run_id: load_doors(installation, run_id),
            params.first,
            params.last,
            get_run_logger().info,
        )
    except (CannotGoOn, AuditUnusable) as error:
        return Failed(message=str(error))
    calls = PrefectCalls()
    for each in statements:
        calls.one(show_statement, Stating(installation, each))
    open_ones = [each for each in statements if not each.tied_out]
    if open_ones:
        words = [f"{each.family.replace('_', ' ').capitalize()}: {each.verdict}" for each in open_ones]
        return Failed(message=" ".join(words))
    return Completed(message=" ".join(dict.fromkeys(each.verdict for each in statements)))
