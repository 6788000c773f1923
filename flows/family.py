"""What is the same around every family's cycle: doors, tables, lease, run, watermark block, report."""

from __future__ import annotations

import gc
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Literal

from prefect import get_run_logger, runtime
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Completed, Failed
from prefect.utilities.urls import url_for
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import IntegrityError

from blocks.audit import runs, sweeps
from blocks.audit import watermarks as watermark_rows
from blocks.audit.database import AuditUnusable, LeaseLost
from blocks.audit.exchanges import forget_bodies
from blocks.audit.leases import HeldLease, LeaseTaken, hold
from blocks.doors import Doors, block_name, load_mail
from blocks.failures import CannotGoOn, NotConfigured
from blocks.saved import edit_saved
from blocks.watermarks import Watermark
from flows.allocating import Allocations
from flows.approval import approved_now, is_first, may_be_asked_for
from flows.billing import Billing
from flows.cycle import Selection, run_cycle
from flows.paying import Payments
from flows.planning import Approved, approved_writes, compare_plans, plan_of, records_in
from mappings.outcomes import Outcome
from mappings.policy import Approval
from tasks.calls import Calls
from tasks.cycle import Cycle, Mode, SuccessCache
from tasks.lists import Lists, needed_by
from tasks.mail import Mailing, mail_exceptions
from tasks.policies import ResultCache
from tasks.reports import PlanReporting, Progress, Reporting, report, report_plan


class SyncForm(BaseModel):
    """What to sync. Leave everything as it is for an ordinary cycle."""

    model_config = ConfigDict(extra="forbid")

    references: list[str] = Field(
        default_factory=list,
        title="References",
        description="Only these records, by number or as id:123. Empty: everything changed since the last cycle.",
    )
    force: bool = Field(
        default=False,
        title="Force",
        description="Read everything since the start date again, and send again what Xero refused.",
    )
    since: date | None = Field(
        default=None, title="Since", description="With force: read records dated on or after this day."
    )
    mode: Literal["write", "plan"] = Field(
        default="write",
        title="Mode",
        description="plan: a dry run that writes nothing and shows what would be written.",
    )
    # No empty choice: the UI's drop-down cannot show one.
    take: Literal["hold", "ours", "theirs"] = Field(
        default="hold",
        title="Take",
        description="Where a person changed Xero as well: hold waits, ours writes what ConnectWise says, theirs leaves "
        "Xero as it is. With references: for these; else for all that were held before.",
    )
    recreate: bool = Field(
        default=False,
        title="Recreate",
        description="Post documents again that somebody deleted or voided in Xero.",
    )
    allow_many: bool = Field(
        default=False,
        title="Allow many",
        description="Release the brake: change as many posted documents as there are, however old.",
    )
    sweep: bool = Field(
        default=False,
        title="Sweep",
        description="Compare everything since the start date on both sides: what is missing, deleted, or was changed "
        "in Xero.",
    )
    plan_file: str = Field(
        default="",
        title="Plan file",
        description="Write exactly what this plan (of `tieout plan --out`, on the worker's own disk) says, or nothing.",
    )


def run_name(family: str, form: SyncForm | Mapping[str, Any] | None, at: datetime) -> str:
    """'invoices 2026-03-02 09:00', or the references that were asked for."""
    given = form if isinstance(form, SyncForm) else SyncForm.model_validate(form or {})
    mode = "plan of " if given.mode == "plan" else ""
    if given.sweep:
        return f"{mode}sweep of {family} {at:%Y-%m-%d %H:%M}"
    if given.plan_file:
        return f"{family} by plan {given.plan_file.rpartition('/')[2]}"
    if given.references:
        more = " ..." if len(given.references) > 3 else ""
        return f"{mode}{family} {', '.join(given.references[:3])}{more}"
    return f"{mode}{family} {at:%Y-%m-%d %H:%M}"


def _credit_notes(cycle: Cycle, calls: Calls, selection: Selection) -> None:
    """A cycle of credit notes: the documents, then what they are applied to."""
    applied = replace(cycle, family="allocations", counts=Counter(), dealt_with=set(), settled={}, entries={})

    def allocate() -> None:
        if any(cycle.tables.policy.decisions(name).sales.allocate_credits for name in cycle.doors.tenants):
            Allocations(applied, calls, selection, cycle.credited).run()

    try:
        run_cycle(cycle, calls, selection, allocate)
    finally:
        cycle.counts += applied.counts


STEPS: Mapping[str, Callable[[Cycle, Calls, Selection], None]] = {
    "invoices": run_cycle,
    "credit_notes": _credit_notes,
    "purchase_orders": lambda cycle, calls, selection: Billing(cycle, calls, selection).run(),
    "payments": lambda cycle, calls, selection: Payments(cycle, calls, selection).run(),
}
"""What a cycle of each family does."""

Ask = Callable[[Cycle, Approval], Approved | None]
"""Has a person approve the plan of a dry run: the writes that may go out, or None where nobody has to."""


@dataclass(frozen=True)
class Summary:
    """How a cycle ended, in the shape of contract section 5; `failed` is a sentence when it could not go on.

    `findings` are sentences about what went wrong beside the records, and changes nothing about how it ended.
    """

    family: str
    run_id: str
    counts: dict[str, int]
    calls: dict[str, int]
    seconds: float
    exceptions: Sequence[dict[str, Any]]
    failed: str = ""
    exit_code: int = 0
    cycle: Cycle | None = None
    findings: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """The family's part of `sync --json`."""
        return {
            "family": self.family,
            "read": self.counts.get("read", 0),
            **{outcome.value: self.counts.get(outcome.value, 0) for outcome in Outcome},
            "calls": self.calls,
            "seconds": round(self.seconds, 3),
        } | ({"failed": self.failed} if self.failed else {})


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Look for garbage that refers to itself less often, and not among what was there before.

    A page of records is a million objects, all in use, and looking at them again and again takes a sixth of a large
    cycle's CPU; between pages the cycle looks for it itself (docs/decisions/0008).
    """
    before = gc.get_threshold()
    gc.set_threshold(500_000, 10, 50)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


@_seldom_collecting()
def run_family(
    family: str,
    form: SyncForm,
    open_doors: Callable[[str], Doors],
    calls: Calls,
    say: Callable[[str], None],
    *,
    cache: SuccessCache | None = None,
    progress: Callable[[int, int], None] = lambda _done, _known: None,
    wait_seconds: float = 300,
    heartbeat: Callable[..., Any] = hold,
    ask: Ask | None = None,
) -> Summary:
    """One cycle of a family with everything around it. Never raises for what a sentence can say.

    `ask`: has a person approve the plan of a dry run first, where policy says so.
    """
    began = time.monotonic()
    run_id = uuid.uuid4().hex
    doors: Doors | None = None
    try:
        doors = open_doors(run_id)
        cycle = _cycle(family, form, doors, run_id, say)
        cycle.cache = cache or cycle.cache
        cycle.progress = progress
        if form.sweep and (form.references or form.since or form.plan_file):
            raise NotConfigured("A sweep is of everything: leave references, since and the plan file empty.")
        selection = Selection(tuple(form.references), form.force, form.since, sweep=form.sweep)
        if form.plan_file:
            approved = approved_writes(form.plan_file, family)
            selection = Selection(ids=records_in(approved, family))
            cycle.forced = cycle.named = True
        if cycle.mode == "plan":
            STEPS[family](cycle, calls, selection)
            return _summary(cycle, began, [])
        rule = cycle.tables.policy.approval
        if ask is not None and not form.plan_file and may_be_asked_for(rule, is_first(cycle)):
            cycle.approved = ask(_rehearsed(family, form, doors, run_id, calls, selection), rule)
        kind = f"of {', '.join(form.references[:3])}" if form.references else "sweep" if form.sweep else "cycle"
        what = f"{family} {kind} {run_id[:8]}"
        with heartbeat(doors.audit, f"sync:{family}", what, doors.clock, wait_seconds=wait_seconds, say=say) as lease:
            if form.plan_file:
                rehearsal = _rehearsed(family, form, doors, run_id, calls, selection, forced=True)
                compare_plans(approved, rehearsal)
                cycle.approved = approved
            return _under_lease(cycle, lease, calls, selection, began)
    except (CannotGoOn, AuditUnusable, LeaseTaken, LeaseLost) as error:
        return Summary(
            family,
            run_id,
            {},
            {
                "connectwise": doors.connectwise.calls if doors else 0,
                "xero": doors.xero.calls if doors else 0,
            },
            time.monotonic() - began,
            [],
            failed=str(error),
            # An audit that cannot even be opened is a matter of configuration: nothing was done.
            exit_code=getattr(error, "exit_code", 1 if doors is not None else 2),
        )
    finally:
        if doors is not None:
            doors.audit.close()


def _cycle(family: str, form: SyncForm, doors: Doors, run_id: str, say: Callable[[str], None]) -> Cycle:
    tables = doors.tables.read()
    mode: Mode = form.mode
    return Cycle(
        family=family,
        run_id=run_id,
        mode=mode,
        doors=doors,
        tables=tables,
        lists=Lists(doors, needed_by(tables)),
        start_date=tables.policy.starts(family, doors.audit.set_up_on),
        forced=form.force or bool(form.references),
        named=bool(form.references),
        take="" if form.take == "hold" else form.take,
        recreate=form.recreate,
        allow_many=form.allow_many,
        say=say,
    )


def _rehearsed(
    family: str, form: SyncForm, doors: Doors, run_id: str, calls: Calls, selection: Selection, forced: bool = False
) -> Cycle:
    """A dry run of the same, after which it is known what would be written."""
    rehearsal = _cycle(family, form.model_copy(update={"mode": "plan"}), doors, run_id, lambda _text: None)
    if forced:
        rehearsal.forced = rehearsal.named = True
    STEPS[family](rehearsal, calls, selection)
    return rehearsal


def _under_lease(cycle: Cycle, lease: HeldLease, calls: Calls, selection: Selection, began: float) -> Summary:
    audit = cycle.doors.audit
    cycle.lease = lease
    flow_run = str(runtime.flow_run.id or "")
    mode = sweeps.MODE if selection.sweep else cycle.mode
    runs.open_run(audit, cycle.run_id, cycle.family, mode, flow_run, lease.fence, cycle.now())
    try:
        STEPS[cycle.family](cycle, calls, selection)
    except (CannotGoOn, AuditUnusable, LeaseLost, IntegrityError) as error:
        runs.close_run(audit, cycle.run_id, "failed", dict(cycle.counts), str(error), cycle.now())
        if isinstance(error, IntegrityError):
            raise
        return _failed(cycle, error, began)
    runs.close_run(audit, cycle.run_id, "completed", dict(cycle.counts), "", cycle.now())
    forget_bodies(audit, cycle.tables.policy.audit.keep_exchange_days, cycle.now())
    return _summary(cycle, began, runs.open_exceptions(audit, [cycle.family]))


def _summary(cycle: Cycle, began: float, exceptions: Sequence[dict[str, Any]]) -> Summary:
    return Summary(
        cycle.family,
        cycle.run_id,
        dict(cycle.counts),
        {"connectwise": cycle.doors.connectwise.calls, "xero": cycle.doors.xero.calls},
        time.monotonic() - began,
        exceptions,
        exit_code=3 if any(each["outcome"] in ("held", "rejected") for each in exceptions) else 0,
        cycle=cycle,
    )


def _failed(cycle: Cycle, error: Exception, began: float) -> Summary:
    summary = _summary(cycle, began, runs.open_exceptions(cycle.doors.audit, [cycle.family]))
    # Something was done already: the family failed, whatever the cause.
    code = getattr(error, "exit_code", 1) if not sum(cycle.counts.values()) else 1
    return Summary(
        summary.family, summary.run_id, summary.counts, summary.calls, summary.seconds, summary.exceptions,
        failed=str(error), exit_code=code, cycle=cycle,
    )  # fmt: skip


# Inside a Prefect flow run


def watermark_block(installation: str, family: str) -> str:
    """The name of a family's watermark block."""
    return block_name(installation, f"watermark-{family.replace('_', '-')}")


def apply_reset(doors: Doors, installation: str, family: str, say: Callable[[str], None]) -> None:
    """Apply what ops wrote into "Reset to" of the watermark block, and clear it."""
    try:
        block = Watermark.load(watermark_block(installation, family))
    except ValueError:
        return
    assert isinstance(block, Watermark)
    if block.reset_to is None:
        return
    wanted = block.reset_to if block.reset_to.tzinfo else block.reset_to.replace(tzinfo=UTC)
    seen = watermark_rows.read(doors.audit, family)
    watermark_rows.move(doors.audit, seen, wanted, doors.clock())
    say(f"the watermark of {family} was reset to {wanted:%Y-%m-%d %H:%M:%S} UTC, as its block asks")
    fields = {"position": wanted.isoformat(), "reset_to": None}
    edit_saved(Watermark, watermark_block(installation, family), fields)


def mirror_watermark(position: datetime | None, installation: str, family: str) -> None:
    """Show the watermark in its block, where ops look for it."""
    name = watermark_block(installation, family)
    try:
        block = Watermark.load(name)
    except ValueError:
        Watermark(family=family, position=position).save(name, overwrite=True)
        return
    assert isinstance(block, Watermark)
    if block.position != position or block.family != family:
        edit_saved(Watermark, name, {"family": family, "position": position and position.isoformat()})


def mail_what_changed(cycle: Cycle, calls: Calls) -> list[str]:
    """Mail new, repeated and resolved exceptions, where set-up found [mail]; a sentence for each failure."""
    try:
        mail = load_mail(cycle.doors.installation)
    except NotConfigured as error:
        return [f"No exceptions were mailed. {error}"]
    # Not runtime's own `ui_url`: the UI has no page there.
    page = url_for("flow-run", obj_id=runtime.flow_run.id) if runtime.flow_run.id else None
    return calls.one(mail_exceptions, Mailing(cycle, mail, page or "")) if mail else []


def final_state(summary: Summary) -> State[Any]:
    """How a flow run ends: a state, not an exception, for one plain sentence without two tracebacks around it."""
    if summary.failed:
        return Failed(message=summary.failed, data=summary)
    counts = ", ".join(f"{count} {name}" for name, count in summary.counts.items() if count)
    return Completed(message=counts or "nothing to do", data=summary)


def in_flow_run(
    family: str, form: SyncForm, installation: str, open_doors: Callable[[str], Doors], calls: Calls
) -> Summary:
    """A cycle inside a Prefect flow run: the watermark block before and after, success cache, artifacts."""
    logger = get_run_logger()
    positions: list[datetime | None] = []

    def opened(run_id: str) -> Doors:
        doors = open_doors(run_id)
        if form.mode == "write":
            apply_reset(doors, installation, family, logger.info)
        return doors

    def ask(rehearsal: Cycle, rule: Approval) -> Approved | None:
        def show(plan: Mapping[str, Any]) -> None:
            calls.one(report_plan, PlanReporting(rehearsal.doors, family, plan))

        return approved_now(rehearsal, rule, show)

    cache, progress = ResultCache.of_this_run(), Progress(family)
    summary = run_family(family, form, opened, calls, logger.info, cache=cache, progress=progress.at, ask=ask)
    cycle = summary.cycle
    if cycle is not None and form.mode == "write":
        audit = cycle.doors.audit
        positions.append(watermark_rows.read(audit, family).position)
        try:
            mirror_watermark(positions[0], installation, family)
        except PrefectHTTPStatusError as error:
            # The row in the audit counts; the block is what people look at, and the next cycle shows it again.
            logger.warning("the watermark block could not be brought up to date: %s", error)
        summary = replace(summary, findings=mail_what_changed(cycle, calls))
        calls.one(report, Reporting(cycle, summary.exceptions, summary.seconds, summary.findings))
        progress.end()
        cache.forget_old(installation, cycle.now())
        audit.close()
    elif summary.cycle is not None:
        calls.one(report_plan, PlanReporting(summary.cycle.doors, family, plan_of([summary.cycle])))
    for finding in summary.findings:
        logger.warning("%s", finding)
    for each in summary.exceptions:
        logger.warning("%s held (%s): %s", each["reference"], each["reason"], each["message"])
    # Prefect looks through all that a flow returns, down to the last record that the cycle holds.
    return replace(summary, cycle=None)


__all__ = ["Progress", "Summary", "SyncForm", "final_state", "in_flow_run", "run_family"]
