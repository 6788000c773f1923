"""A person approves a plan before it is written, where `[approval]` in policy.toml asks for it.

The run is suspended, which ends its process, and begins anew when somebody fills in the form; then the plan is made
again. Only the very plan that was approved is written: when anything in it has moved, the new one is asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from prefect import get_client, runtime
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import StateType
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from pydantic import Field

from blocks.audit import runs
from blocks.failures import CannotGoOn, NotConfigured
from flows.planning import Approved, Write, digest_of, key_of, plan_of, write_of, writes_in
from mappings.allocations import Allocate, Unallocate
from mappings.linked_transactions import Link
from mappings.money import ZERO, plain
from mappings.payments import Pay, Unpay
from mappings.plans import Create, plan_id
from mappings.policy import Approval as Rule
from mappings.sweeping import Remove
from mappings.updates import Update
from tasks.cycle import Cycle

A_DAY = 86400


class Approval(RunInput):
    """The form of a suspended run."""

    approve: bool = Field(default=False, title="Write this plan", description="Off: nothing is written.")


class NotApproved(CannotGoOn):
    """Nobody has approved the plan, or somebody has refused it: nothing was written."""


def may_be_asked_for(rule: Rule, first: bool) -> bool:
    """Whether a plan has to be made before a cycle writes. `first`: no cycle of the family has come to its end."""
    return rule.when in ("always", "over_limit") or (rule.when == "first_cycle" and first)


def is_asked_for(rule: Rule, writes: Sequence[Write]) -> bool:
    """Whether these writes wait for a person: there are any, and, with a limit, they move more money than that."""
    if rule.when != "over_limit":
        return bool(writes)
    return any(amount > rule.over for amount in moved(writes).values())


def moved(writes: Sequence[Write]) -> Mapping[str, Decimal]:
    """How much money writes move, per currency: all of what is new or taken back, of an edit the difference."""
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for each in writes:
        if isinstance(each, Update):
            sums[each.document.currency] += abs(each.document.total - each.theirs.total)
        else:
            told = write_of(each)
            sums[told["currency"]] += abs(Decimal(told["total"]))
    return sums


def approved_now(rehearsal: Cycle, rule: Rule, show: Callable[[Mapping[str, Any]], None]) -> Approved | None:
    """The writes of a dry run after a person approved them; None where nobody has to.

    Suspends the flow run until then. Raises NotApproved; NotConfigured where a run cannot be suspended.
    """
    writes = writes_in(rehearsal)
    if not is_asked_for(rule, writes):
        return None
    family = rehearsal.family
    if not runtime.deployment.id:
        raise NotConfigured(
            f"policy.toml has plans of {family} approved by a person ([approval] when = {rule.when!r}); nothing was "
            f"done. Make one with `tieout plan {family} --out plan.json`, look at it, and write it with `tieout sync "
            f"{family} --plan plan.json`; or run the deployment in the Prefect UI, which asks."
        )
    approved = {key_of(each): digest_of(each) for each in writes}
    key = plan_id(sorted([*map(list, approved.items())], key=str))
    waiting = _waiting_elsewhere()
    if waiting:
        raise NotApproved(f"The run {waiting!r} waits for the approval of its plan already; nothing was done.")
    show(plan_of([rehearsal]))
    form = Approval.with_initial_data(description=_described(family, writes), approve=False)
    answer = suspend_flow_run(wait_for_input=form, timeout=A_DAY, key=key)
    if not answer.approve:
        raise NotApproved(f"The plan of {family} was refused; nothing was written.")
    return approved


def is_first(cycle: Cycle) -> bool:
    """Whether no cycle of the family has come to its end yet."""
    return not runs.has_completed(cycle.doors.audit, cycle.family)


def _described(family: str, writes: Sequence[Write]) -> str:
    kinds = {
        "new": Create, "edited": Update, "deleted": Remove, "to pay": Pay, "payments to take back": Unpay,
        "to allocate": Allocate, "allocations to take off": Unallocate, "to link": Link,
    }  # fmt: skip
    counts = [
        f"{count} {name}" for name, kind in kinds.items() if (count := sum(type(each) is kind for each in writes))
    ]
    money = [f"{plain(amount)} {currency}" for currency, amount in sorted(moved(writes).items())]
    return (
        f"**The plan of {family}: {', '.join(counts)}; it moves {', '.join(money)}.**\n\nEach write is in the "
        "artifacts of this run. If anything in it moves before it is written, it is asked for again; without an answer "
        "within a day nothing is written."
    )


def _waiting_elsewhere() -> str:
    """The name of another run of this deployment that waits for an answer; '' where there is none."""
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate(
                {
                    "deployment_id": {"any_": [runtime.deployment.id]},
                    "state": {"type": {"any_": [StateType.PAUSED]}},
                }
            )
        )
    return next((each.name for each in found if str(each.id) != str(runtime.flow_run.id)), "")
