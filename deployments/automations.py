"""The automations that mail about runs: a run that crashed cannot say so itself, and a late one has not begun.

The Prefect server carries them out, because it is there when no worker is. It sends through the `ExceptionMail` block,
whose class it finds by the entry point in pyproject.toml; so tieout has to be installed where the server runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.automations import Automation
from prefect.client.orchestration import PrefectClient
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from blocks.doors import block_name
from blocks.mail import ExceptionMail

LATE_AFTER = timedelta(minutes=15)
"""So long after its time a run that has not begun is told: a worker that was only restarted is back by then."""

RUN = "{{ flow_run.name }} ({{ deployment.name }})"
PAGE = "{% if flow_run|ui_url %}\n\nThe run: {{ flow_run|ui_url }}{% endif %}"


def mailed_automations(installation: str, mail: UUID, deployments: Sequence[UUID]) -> list[Automation]:
    """The automations, for runs of these deployments only: whatever else the server runs is not ours to tell of."""
    ours: Any = {
        "prefect.resource.role": "deployment",
        "prefect.resource.id": sorted(f"prefect.deployment.{each}" for each in deployments),
    }
    each_run: Any = {"match": {"prefect.resource.id": "prefect.flow-run.*"}, "for_each": {"prefect.resource.id"}}
    return [
        Automation(
            name=f"tieout {installation}: mail about runs that crashed or failed",
            description="A cycle that ended before its time is told by mail.",
            trigger=EventTrigger(
                expect={"prefect.flow-run.Crashed", "prefect.flow-run.Failed", "prefect.flow-run.TimedOut"},
                match_related=ours,
                posture=Posture.Reactive,
                **each_run,
            ),
            actions=[
                SendNotification(
                    block_document_id=mail,
                    subject=f"tieout: {RUN} ended as {{{{ flow_run.state.name }}}}",
                    body=f"The run {RUN} ended as {{{{ flow_run.state.name }}}}:\n\n"
                    "{{ flow_run.state.message or 'No reason was given.' }}\n\n"
                    "Nothing is lost: the next cycle goes on where this one stopped. If that one fails too, do what "
                    f"the message says.{PAGE}",
                )
            ],
        ),
        Automation(
            name=f"tieout {installation}: mail about plans that wait for approval",
            description="A cycle that waits for a person to approve its plan is told by mail.",
            trigger=EventTrigger(
                expect={"prefect.flow-run.Suspended"},
                match_related=ours,
                posture=Posture.Reactive,
                **each_run,
            ),
            actions=[
                SendNotification(
                    block_document_id=mail,
                    subject=f"tieout: {RUN} waits for your approval",
                    body=f"The run {RUN} has made a plan and writes nothing before somebody approves it, as [approval] "
                    "in policy.toml says. Its artifacts show each write; Resume opens the form. Without an answer "
                    f"within a day nothing is written.{PAGE}",
                )
            ],
        ),
        Automation(
            name=f"tieout {installation}: mail about late runs",
            description="A cycle that has not begun a while after its time is told by mail.",
            trigger=EventTrigger(
                after={"prefect.flow-run.Late"},
                # Whatever becomes of it: it is not late any more.
                expect={
                    f"prefect.flow-run.{state}"
                    for state in (
                        "Pending", "Running", "Completed", "Failed", "Crashed", "Cancelling", "Cancelled", "Scheduled",
                    )
                },
                match_related=ours,
                posture=Posture.Proactive,
                within=LATE_AFTER,
                **each_run,
            ),
            actions=[
                SendNotification(
                    block_document_id=mail,
                    subject=f"tieout: {RUN} is late",
                    body=f"The run {RUN} has not begun, although its time has come. Most likely no worker is there to "
                    "carry it out: start `tieout serve`, or look at the work pool in the Prefect UI. Nothing is lost: "
                    f"the cycle reads everything that changed since the last one.{PAGE}",
                )
            ],
        ),
    ]  # fmt: skip


async def mail_about_runs(client: PrefectClient, installation: str, deployments: Sequence[UUID]) -> None:
    """Create the automations where [mail] is set up, remove them where it is not; never a second time.

    What ops changed in them (texts, patience, on or off) stays; the block and the deployments they name are renewed.
    """
    mail = await _block(client, block_name(installation, "mail"))
    for wanted in mailed_automations(installation, mail or UUID(int=0), deployments):
        known = await find_automation(wanted.name)
        if mail is None:
            if known is not None:
                await known.adelete()
        elif known is None:
            await wanted.acreate()
        elif _led_to(known, wanted):
            await known.aupdate()


async def find_automation(name: str) -> Automation | None:
    """The automation of this name, where there is one."""
    try:
        return await Automation.aread(name=name)
    except (ValueError, ObjectNotFound):
        return None


def _led_to(known: Automation, wanted: Automation) -> bool:
    """Let an automation mail about the deployments, and through the block, of another; whether that changed it."""
    before = known.model_copy(deep=True)
    if isinstance(known.trigger, EventTrigger) and isinstance(wanted.trigger, EventTrigger):
        known.trigger.match_related = wanted.trigger.match_related
    sends = [action for action in wanted.actions if isinstance(action, SendNotification)]
    for action in known.actions:
        if isinstance(action, SendNotification):
            action.block_document_id = sends[0].block_document_id
    return known != before


async def _block(client: PrefectClient, name: str) -> UUID | None:
    try:
        found = await client.read_block_document_by_name(name, ExceptionMail.get_block_type_slug())
    except ObjectNotFound:
        return None
    return found.id
