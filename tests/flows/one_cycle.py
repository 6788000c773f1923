"""One cycle in a process of its own, against systems on sockets: `python -m tests.flows.one_cycle` with a `Plan`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr

import blocks.xero.credentials
from blocks.audit.block import AuditDatabase
from blocks.audit.leases import hold
from blocks.connectwise.credentials import ConnectWiseCredentials
from blocks.doors import open_doors
from blocks.limiter import Limiter
from blocks.tables import MappingTables
from blocks.xero.credentials import XeroCredentials
from blocks.xero.tokens import Tokens
from flows import settling
from flows.family import SyncForm, run_family
from tasks import posting
from tasks.calls import PlainCalls


@dataclass(frozen=True)
class Plan:
    """Where everything is, and how hard the limits are: `per_window` calls in `window_seconds`."""

    connectwise: str
    xero: str
    organisations: dict[str, str]
    tables: str
    audit: str
    tokens: str
    per_window: int
    window_seconds: float
    batch: int
    lease: str = ""
    """A name of its own makes two cycles run at the very same time; '' is the family's, as always."""
    family: str = "invoices"


class FileTokens:
    """Tokens in a file that both processes share, as they share a block."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def load(self) -> Tokens:
        """What was saved last."""
        if not self._path.exists():
            return Tokens()
        kept = json.loads(self._path.read_text())
        return Tokens(SecretStr(kept["access"]), datetime.fromisoformat(kept["ends"]), SecretStr(kept["refresh"]))

    def save(self, tokens: Tokens) -> None:
        """Save, whole or not at all."""
        assert tokens.access and tokens.refresh and tokens.expires_at
        kept = {
            "access": tokens.access.get_secret_value(),
            "ends": tokens.expires_at.isoformat(),
            "refresh": tokens.refresh.get_secret_value(),
        }
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(kept))
        new.replace(self._path)


def run(plan: Plan) -> dict[str, Any]:
    """The cycle; gives its summary as JSON."""
    posting.BATCH = plan.batch
    vars(settling)["BATCH"] = plan.batch
    # The block has no setting for the length of a minute.
    vars(blocks.xero.credentials)["Limiter"] = partial(Limiter, window=timedelta(seconds=plan.window_seconds))
    said: list[str] = []

    def own_lease(audit: Any, name: str, *rest: Any, **more: Any) -> Any:
        return hold(audit, plan.lease or name, *rest, **more)

    summary = run_family(
        plan.family,
        SyncForm(),
        lambda run_id: open_doors(
            "test",
            run_id,
            connectwise=ConnectWiseCredentials(
                url=f"{plan.connectwise}/v4_6_release/apis/3.0",
                company="sandbox",
                public_key=SecretStr("sandbox-public"),
                private_key=SecretStr("sandbox-private"),
                client_id="00000000-0000-4000-8000-000000000001",
            ),
            xero=XeroCredentials(
                client_id="sandbox-client",
                client_secret=SecretStr("sandbox-secret"),
                organisations=plan.organisations,
                api_url=plan.xero,
                identity_url=plan.xero,
                configured_refresh_token=SecretStr("sandbox-refresh-0"),
                per_minute=plan.per_window,
            ),
            audit=AuditDatabase(url=SecretStr(plan.audit)),
            tables=MappingTables(directory=plan.tables),
            store=FileTokens(plan.tokens),
        ),
        PlainCalls(5),
        said.append,
        heartbeat=own_lease,
    )
    return summary.as_json() | {"said": said}


def start(plan: Plan) -> str:
    """The plan as the process reads it."""
    return json.dumps(asdict(plan))


if __name__ == "__main__":
    answer = run(Plan(**json.load(sys.stdin)))
    print(json.dumps(answer))
