"""What set-up and deploy leave on the Prefect server: blocks, work pool, deployments, automations.

Everything here may be run any number of times. What ops changed on the server (schedules, pauses, parameters, the
tokens in a block) is read first and handed back unchanged.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import yaml
from prefect.automations import Automation
from prefect.blocks.core import Block
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect_email import EmailServerCredentials
from pydantic import SecretStr

from blocks.audit.block import AuditDatabase
from blocks.connectwise.credentials import ConnectWiseCredentials
from blocks.doors import block_name
from blocks.failures import NotConfigured
from blocks.mail import ExceptionMail
from blocks.tables import MappingTables
from blocks.watermarks import Watermark
from blocks.xero.credentials import XeroCredentials
from deployments.automations import find_automation, mail_about_runs
from deployments.config import PROJECT, Config
from deployments.server import environment
from flows.family import watermark_block

FAMILIES = ("invoices", "credit_notes", "payments", "purchase_orders")
TEMPLATES = PROJECT / "mappings" / "tables"
AUTOMATION = "tieout: runs without a heartbeat have crashed"


def blocks_of(config: Config) -> dict[str, Block]:
    """The blocks that a configuration describes, by what they are for; not saved."""
    if config.connectwise is None or config.xero is None:
        missing = "connectwise" if config.connectwise is None else "xero"
        raise NotConfigured(f"The configuration has no [{missing}] section; see docs/set-up.md.")
    if not config.organisation:
        raise NotConfigured(
            "The configuration names no [[organisation]]; the tables need at least one. `tieout connect xero` prints "
            "their lines."
        )
    http = config.http.model_dump()
    blocks: dict[str, Block] = {
        "connectwise": ConnectWiseCredentials(
            **config.connectwise.model_dump(),
            **http,
            per_minute=config.limits.connectwise_per_minute,
            concurrent=config.limits.connectwise_concurrent,
        ),
        "xero": XeroCredentials(
            **config.xero.model_dump(exclude={"refresh_token"}),
            **http,
            configured_refresh_token=config.xero.refresh_token,
            organisations={each.name: each.tenant_id for each in config.organisation},
            per_minute=config.limits.xero_per_minute,
            concurrent=config.limits.xero_concurrent,
            day_reserve=config.limits.xero_day_reserve,
        ),
        "audit": AuditDatabase(url=config.audit_url()),
        "tables": MappingTables(directory=str(config.tables_directory())),
    }
    if config.mail is not None:
        # The server's block is saved first, and the other one refers to it.
        blocks["mail-server"] = EmailServerCredentials(
            smtp_server=config.mail.host,
            smtp_port=config.mail.port,
            smtp_type=config.mail.smtp_type,
            username=config.mail.username or None,
            password=config.mail.password or SecretStr(""),
        )
        blocks["mail"] = ExceptionMail(
            server=blocks["mail-server"],
            **config.mail.model_dump(include={"sender", "recipients", "repeat_days"}),
        )
    return blocks


def save_blocks(config: Config) -> list[str]:
    """Save all blocks of an installation; tokens that a block holds already stay in it."""
    name = config.prefect.name
    saved = []
    for what, block in blocks_of(config).items():
        if isinstance(block, XeroCredentials):
            _keep_tokens(block, block_name(name, what))
        block.save(block_name(name, what), overwrite=True)
        saved.append(block_name(name, what))
    if config.mail is None:
        # A section that was taken out is meant to end the mails.
        for kind, what in ((ExceptionMail, "mail"), (EmailServerCredentials, "mail-server")):
            with contextlib.suppress(ValueError):
                kind.delete(block_name(name, what))
    for family in FAMILIES:
        full_name = watermark_block(name, family)
        try:
            Watermark.load(full_name)
        except ValueError:
            Watermark(family=family).save(full_name)
        saved.append(full_name)
    return saved


def _keep_tokens(block: XeroCredentials, name: str) -> None:
    try:
        # A block that ops left invalid still holds the tokens that must not be lost.
        known = cast(XeroCredentials, XeroCredentials.load(name, validate=False))
    except ValueError:
        return
    if known.client_id == block.client_id:
        block.refresh_token = known.refresh_token
        block.access_token = known.access_token
        block.access_token_expires_at = known.access_token_expires_at


def copy_templates(directory: Path) -> list[Path]:
    """Copy the mapping templates that are not there yet; nothing is ever overwritten."""
    directory.mkdir(parents=True, exist_ok=True)
    copied = []
    for template in sorted(TEMPLATES.iterdir()):
        target = directory / template.name
        if template.suffix in (".csv", ".toml") and not target.exists():
            shutil.copyfile(template, target)
            copied.append(target)
    return copied


def full_name(installation: str, deployment: str) -> str:
    """The name of a deployment or pool; with an installation's prefix unless that is `default`."""
    return deployment if installation == "default" else f"{installation}-{deployment}"


def deploy(installation: str) -> list[str]:
    """Register or update all deployments; schedules, pauses and parameters that exist are never changed."""
    return asyncio.run(_deploy(installation))


async def _deploy(installation: str) -> list[str]:
    pool = full_name(installation, "tieout")
    spec = yaml.safe_load((PROJECT / "prefect.yaml").read_text(encoding="utf-8"))
    seeds = yaml.safe_load((PROJECT / "deployments" / "schedules.yaml").read_text(encoding="utf-8"))
    async with get_client() as client:
        with contextlib.suppress(ObjectAlreadyExists):
            await client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        for entry in spec["deployments"]:
            seed = seeds.get(entry["name"], [])
            entry["name"] = full_name(installation, entry["name"])
            entry["work_pool"] = {"name": pool}
            flow = entry["entrypoint"].rsplit(".", 1)[1].replace("_", "-")
            live = await _live(client, f"{flow}/{entry['name']}")
            if live is None:
                entry["schedules"] = seed
                entry["parameters"] = entry["parameters"] | {"installation": installation}
            else:
                entry["paused"] = live.paused
                entry["parameters"] = live.parameters
        await _crash_automation()
    _prefect_deploy(spec)
    names = {entry["name"]: entry["entrypoint"].rsplit(".", 1)[1].replace("_", "-") for entry in spec["deployments"]}
    async with get_client() as client:
        deployed = [await _live(client, f"{flow}/{name}") for name, flow in names.items()]
        await mail_about_runs(client, installation, [each.id for each in deployed if each is not None])
    return list(names)


async def _live(client: PrefectClient, name: str) -> DeploymentResponse | None:
    try:
        return await client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None


def _prefect_deploy(spec: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prefect.yaml"
        path.write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
        done = subprocess.run(  # noqa: S603  (our own interpreter and constant words)
            [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(path)],
            cwd=PROJECT, env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()[-8:]
        raise NotConfigured("\n".join(["Prefect refused the deployments:", *words]))


async def _crash_automation() -> None:
    """Nothing marks a run whose process died as Crashed unless somebody listens for its heartbeat."""
    if await find_automation(AUTOMATION) is None:
        await Automation(
            name=AUTOMATION,
            description="A flow run that has not been heard of for 90 seconds is marked as crashed.",
            trigger=EventTrigger(
                after={"prefect.flow-run.heartbeat"},
                expect={
                    "prefect.flow-run.heartbeat", "prefect.flow-run.Completed", "prefect.flow-run.Failed",
                    "prefect.flow-run.Cancelled", "prefect.flow-run.Crashed",
                },
                match={"prefect.resource.id": "prefect.flow-run.*"},
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=timedelta(seconds=90),
            ),
            actions=[
                ChangeFlowRunState(
                    state=StateType.CRASHED, name="Crashed", message="Not heard of for 90 seconds: its process is gone."
                )
            ],
        ).acreate()  # fmt: skip
