"""The purchase reports as a Prefect flow: one of them is mailed weekly, all can be run and read in the UI."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from prefect import flow, get_run_logger, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from prefect.utilities.urls import url_for
from pydantic import BaseModel, ConfigDict, Field

from blocks.audit.database import AuditUnusable
from blocks.doors import load_doors, load_mail
from blocks.failures import CannotGoOn, NotConfigured
from flows.reporting import make_report
from mappings.reports import Report
from tasks.calls import PrefectCalls
from tasks.mail import ReportMailing, mail_report
from tasks.purchase_reports import Showing, show_report

MAILED = ("unmapped-vendors",)
"""Reports that somebody has to act on, and that are mailed where [mail] is set up."""


class ReportForm(BaseModel):
    """Which report. Leave everything as it is for the weekly one."""

    model_config = ConfigDict(extra="forbid")

    report: Literal[
        "unmapped-vendors",
        "received-without-bill",
        "invoiced-not-received",
        "paid-not-received",
        "purchase-match",
        "parallel-run",
        "margin",
    ] = Field(default="unmapped-vendors", title="Report", description="Which report; each is of what stands now.")
    first: date | None = Field(
        default=None,
        title="From",
        description="Of a parallel run the first day of its orders. Empty: the start date of policy.toml.",
    )
    last: date | None = Field(
        default=None, title="To", description="Of a parallel run the last day of its orders. Empty: today."
    )


def _run_name() -> str:
    given = ReportForm.model_validate(runtime.flow_run.parameters.get("params") or {})
    return f"{given.report} {runtime.flow_run.scheduled_start_time.date()}"


@flow(name="report", flow_run_name=_run_name, persist_result=False, validate_parameters=True)
def report(params: ReportForm = ReportForm(), installation: str = "default") -> State[Any]:  # noqa: B008
    """Make a purchase report; writes nothing to either system. The report is the run's artifact.

    Args:
        params: Which report; leave as it is for the weekly one.
        installation: Which installation's blocks to use ([prefect] name). Leave as it is.
    """
    logger = get_run_logger()
    try:
        made = make_report(
            params.report, lambda run_id: load_doors(installation, run_id), params.first, params.last, logger.info
        )
    except (CannotGoOn, AuditUnusable) as error:
        return Failed(message=str(error))
    calls = PrefectCalls()
    calls.one(show_report, Showing(installation, made))
    for finding in _mailed(made, installation, calls):
        logger.warning("%s", finding)
    return Completed(message=f"{len(made.rows)} rows")


def _mailed(made: Report, installation: str, calls: PrefectCalls) -> list[str]:
    """Mail what somebody has to act on, where set-up found [mail]; a sentence for each failure."""
    if made.name not in MAILED or not made.rows:
        return []
    try:
        mail = load_mail(installation)
    except NotConfigured as error:
        return [f"The report was not mailed. {error}"]
    # Not runtime's own `ui_url`: the UI has no page there.
    page = url_for("flow-run", obj_id=runtime.flow_run.id) if runtime.flow_run.id else None
    return calls.one(mail_report, ReportMailing(made, mail, page or "")) if mail else []
