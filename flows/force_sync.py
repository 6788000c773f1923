"""Force-sync: named records, or a whole family since a date, now and from a form in the Prefect UI."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Any, Self

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Failed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import ConfigDict, Field, field_validator, model_validator

from blocks.doors import load_doors
from flows.family import SyncForm, final_state, in_flow_run, run_name
from tasks.calls import PrefectCalls


class Family(StrEnum):
    """The families that can be forced: a drop-down of the form."""

    INVOICES = "invoices"
    CREDIT_NOTES = "credit_notes"
    PAYMENTS = "payments"
    PURCHASE_ORDERS = "purchase_orders"


def _family_first(schema: dict[str, Any]) -> None:
    """The form shows its fields in the order of the schema, and inherited ones stand before our own."""
    fields = schema["properties"]
    schema["properties"] = {"family": fields.pop("family"), **fields}


class ForceSyncForm(SyncForm):
    """Which records to sync now, whatever has changed. A dry run first: set the mode to plan."""

    model_config = ConfigDict(json_schema_extra=_family_first)

    family: Family = Field(default=Family.INVOICES, title="Family", description="What kind of records.")
    references: list[str] = Field(
        default_factory=list, title="References", description="Only these records, by number or as id:123."
    )
    force: bool = Field(
        default=False,
        title="Everything",
        description="In place of references: all records of the family since the start date.",
    )
    since: date | None = Field(
        default=None,
        title="Since",
        description="In place of references: all records dated on or after this day.",
    )

    @field_validator("references")
    @classmethod
    def _named(cls, references: list[str]) -> list[str]:
        """An added item that was left blank is none."""
        return [each.strip() for each in references if each.strip()]

    @model_validator(mode="after")
    def _since_means_everything(self) -> Self:
        self.force = self.force or self.since is not None
        return self

    @property
    def refusal(self) -> str:
        """Why a run would not know what to do, in a sentence; '' when it does."""
        if self.plan_file:
            if self.references or self.force or self.sweep:
                return "The plan says itself which records are meant; leave the other fields alone. Nothing was done."
            return ""
        if self.references and (self.force or self.sweep):
            return 'Fill in either "References", or "Everything" and "Since"; nothing was done.'
        if not self.references and not self.force and not self.sweep:
            return 'Fill in "References", switch on "Everything" or "Sweep", or set "Since"; nothing was done.'
        return ""


def _run_name() -> str:
    given = runtime.flow_run.parameters.get("params") or {}
    form = given if isinstance(given, ForceSyncForm) else ForceSyncForm.model_validate(given)
    return f"force-sync {run_name(form.family, form, runtime.flow_run.scheduled_start_time)}"


@flow(
    name="force-sync",
    flow_run_name=_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=5),  # type: ignore[arg-type]  # as in flows.invoices
    persist_result=False,
    validate_parameters=True,
)
def force_sync(params: ForceSyncForm = ForceSyncForm(), installation: str = "default") -> State[Any]:  # noqa: B008
    """A cycle of some records, or of a whole family, that skips the question whether they have changed.

    Args:
        params: What to sync now.
        installation: Which installation's blocks to use ([prefect] name). Leave as it is.
    """
    if params.refusal:
        return Failed(message=params.refusal)
    family = params.family.value
    return final_state(
        in_flow_run(
            family, params, installation, lambda run_id: load_doors(installation, run_id, forced=True), PrefectCalls()
        )
    )
