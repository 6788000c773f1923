"""The credentials block for ConnectWise Manage: validates, and hands out a client; nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import ClassVar

import httpx
from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, SecretStr, field_validator

from blocks.addresses import checked_address
from blocks.audit.database import Audit
from blocks.audit.exchanges import Exchanges
from blocks.connectwise.client import ConnectWiseClient
from blocks.limiter import Limiter, slot_lasts
from blocks.wire import Retries, Wire, trusted
from mappings.links import ConnectWiseSite


class ConnectWiseCredentials(Block):
    """Keys of a ConnectWise Manage API member, and how carefully its API is called.

    Example:
        ```python
        from blocks.connectwise.credentials import ConnectWiseCredentials

        credentials = ConnectWiseCredentials.load("BLOCK_NAME")
        ```
    """

    # An error must not quote what was typed in, and a blank that was pasted along with a key is not part of it.
    model_config = ConfigDict(hide_input_in_errors=True, str_strip_whitespace=True)

    _block_type_name: ClassVar[str | None] = "ConnectWise Credentials"
    _block_type_slug: ClassVar[str | None] = "tieout-connectwise-credentials"
    _description: ClassVar[str | None] = "Keys of a ConnectWise Manage API member. tieout only reads with them."

    url: str = Field(
        title="API address",
        description="It begins with api-, such as https://api-au.myconnectwise.net/v4_6_release/apis/3.0.",
    )
    company: str = Field(title="Company", description="The company ID that people type at the ConnectWise login.")
    public_key: SecretStr = Field(title="Public key", description="Of the API member.")
    private_key: SecretStr = Field(title="Private key", description="Of the API member; shown once when it is made.")
    client_id: str = Field(title="clientId", description="The GUID of this integration, from the developer portal.")
    per_minute: int = Field(default=600, ge=0, title="Calls per minute", description="0 = no limit of ours.")
    concurrent: int = Field(default=5, ge=0, title="Calls at once", description="0 = no limit of ours.")
    timeout_seconds: float = Field(default=30, gt=0, title="Time-out", description="Seconds to wait for an answer.")
    attempts: int = Field(default=4, ge=1, title="Attempts", description="How often a call is tried in all.")
    max_wait_seconds: float = Field(
        default=60, ge=0, title="Longest wait", description="Between two attempts, seconds."
    )

    @field_validator("url")
    @classmethod
    def _https(cls, value: str) -> str:
        return checked_address(value)

    def site(self) -> ConnectWiseSite:
        """The pages that people open, for links."""
        return ConnectWiseSite.of(self.url, self.company)

    def get_client(
        self,
        audit: Audit,
        run_id: str,
        clock: Callable[[], datetime],
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> ConnectWiseClient:
        """A client that keeps its exchanges in the audit and shares its limits with other processes.

        `transport` puts another way to the system in the place of the network's.
        """
        limiter = Limiter(
            audit,
            "ConnectWise",
            f"connectwise:{self.company}",
            per_minute=self.per_minute,
            concurrent=self.concurrent,
            max_wait_seconds=self.max_wait_seconds,
            slot_lasts=slot_lasts(self.timeout_seconds),
            clock=clock,
            sleep=sleep,
        )
        http = httpx.Client(timeout=self.timeout_seconds, follow_redirects=False, transport=transport, verify=trusted())
        return ConnectWiseClient(
            self.url,
            self.company,
            self.public_key,
            self.private_key,
            self.client_id,
            Wire("connectwise", http, limiter, Exchanges(audit, run_id, clock)),
            retries=Retries(self.attempts, self.max_wait_seconds, sleep=sleep),
            concurrent=self.concurrent or 5,
        )
