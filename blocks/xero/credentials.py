"""The credentials block for Xero: the app, its organisations, and the tokens, which live here and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import ClassVar, Self, cast

import httpx
from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from blocks.addresses import checked_address
from blocks.audit.database import Audit
from blocks.audit.exchanges import Exchanges
from blocks.failures import NotConfigured, Unreachable
from blocks.limiter import Limiter, slot_lasts
from blocks.saved import edit_saved
from blocks.wire import Retries, Wire, trusted
from blocks.xero.client import XeroClient
from blocks.xero.tokens import Grant, TokenKeeper, Tokens, TokenStore


class XeroCredentials(Block):
    """A Xero app, the organisations it is connected to, and its current tokens.

    Example:
        ```python
        from blocks.xero.credentials import XeroCredentials

        credentials = XeroCredentials.load("BLOCK_NAME")
        ```
    """

    # An error must not quote what was typed in, and a blank that was pasted along with a key is not part of it.
    model_config = ConfigDict(hide_input_in_errors=True, str_strip_whitespace=True)

    _block_type_name: ClassVar[str | None] = "Xero Credentials"
    _block_type_slug: ClassVar[str | None] = "tieout-xero-credentials"
    _description: ClassVar[str | None] = "A Xero app, its organisations and its tokens, which renew themselves."

    client_id: str = Field(title="Client id", description="Of the Xero app.")
    client_secret: SecretStr = Field(title="Client secret", description="Of the Xero app.")
    grant: Grant = Field(
        default="authorization_code",
        title="Kind of app",
        description="client_credentials is a custom connection: exactly one organisation.",
    )
    organisations: dict[str, str] = Field(
        default_factory=dict,
        title="Organisations",
        description='The name that the mapping tables use, and the tenant id, such as {"Sydney": "..."}.',
    )
    api_url: str = Field(default="https://api.xero.com", title="API address", description="Leave as it is.")
    identity_url: str = Field(
        default="https://identity.xero.com", title="Identity address", description="Leave as it is."
    )
    login_url: str = Field(default="https://login.xero.com", title="Login address", description="Leave as it is.")
    configured_refresh_token: SecretStr | None = Field(
        default=None,
        title="Configured refresh token",
        description="Used when there is no current one, or Xero refuses that.",
    )
    refresh_token: SecretStr | None = Field(
        default=None, title="Current refresh token", description="Kept by tieout; changes at every renewal."
    )
    access_token: SecretStr | None = Field(
        default=None, title="Access token", description="Kept by tieout; good for half an hour."
    )
    access_token_expires_at: datetime | None = Field(
        default=None, title="Access token ends", description="Kept by tieout, UTC."
    )
    per_minute: int = Field(default=58, ge=0, title="Calls per minute", description="Xero allows 60. 0 = no limit.")
    concurrent: int = Field(default=5, ge=0, title="Calls at once", description="Xero allows 5. 0 = no limit.")
    day_reserve: int = Field(
        default=50,
        ge=0,
        title="Day reserve",
        description="Calls of the day that scheduled cycles leave for force-sync.",
    )
    timeout_seconds: float = Field(default=30, gt=0, title="Time-out", description="Seconds to wait for an answer.")
    attempts: int = Field(default=4, ge=1, title="Attempts", description="How often a call is tried in all.")
    max_wait_seconds: float = Field(
        default=60, ge=0, title="Longest wait", description="Between two attempts, seconds."
    )

    @field_validator("api_url", "identity_url", "login_url")
    @classmethod
    def _https(cls, value: str) -> str:
        return checked_address(value)

    @field_validator("access_token_expires_at")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)

    @model_validator(mode="after")
    def _organisations_fit_the_app(self) -> Self:
        tenants = list(self.organisations.values())
        if self.grant == "client_credentials":
            if len(tenants) != 1:
                raise ValueError("a custom connection (client_credentials) has exactly one organisation")
        elif not all(tenants):
            raise ValueError("every organisation needs its tenant id; `tieout connect xero` lists them")
        if len(set(tenants)) != len(tenants):
            raise ValueError("two organisations have the same tenant id")
        return self

    def get_client(
        self,
        store: TokenStore,
        audit: Audit,
        run_id: str,
        clock: Callable[[], datetime],
        forced: bool = False,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> XeroClient:
        """A client for this app; `forced` may use the day's reserve. `transport` replaces the network's."""
        exchanges = Exchanges(audit, run_id, clock)
        limiter = Limiter(
            audit,
            "Xero",
            f"xero:{self.client_id}",
            per_minute=self.per_minute,
            concurrent=self.concurrent,
            day_reserve=0 if forced else self.day_reserve,
            max_wait_seconds=self.max_wait_seconds,
            slot_lasts=slot_lasts(self.timeout_seconds),
            clock=clock,
            sleep=sleep,
        )
        retries = Retries(self.attempts, self.max_wait_seconds, sleep=sleep)
        http = httpx.Client(timeout=self.timeout_seconds, follow_redirects=False, transport=transport, verify=trusted())
        keeper = TokenKeeper(
            store,
            self.identity_url,
            self.client_id,
            self.client_secret,
            self.grant,
            self.configured_refresh_token,
            Wire("xero_identity", http, None, exchanges),
            audit,
            clock,
            retries=retries,
        )
        return XeroClient(
            self.api_url,
            keeper,
            Wire("xero", http, limiter, exchanges),
            clock=clock,
            custom_connection=self.grant == "client_credentials",
            retries=retries,
        )


class NoSuchBlock(NotConfigured):
    """The Prefect server answers, and has no block of this name."""


class BlockTokenStore:
    """The token store that is the block itself, read and written through the Prefect API."""

    def __init__(self, block_name: str) -> None:
        self._name = block_name

    def load(self) -> Tokens:
        """The tokens as saved by whichever process was last."""
        with _prefect_in_words():
            block = cast(XeroCredentials, XeroCredentials.load(self._name))
        return Tokens(block.access_token, block.access_token_expires_at, block.refresh_token)

    def save(self, tokens: Tokens) -> None:
        """Save the tokens into the block, where all else stays as ops have it."""
        fields = {
            "access_token": tokens.access and tokens.access.get_secret_value(),
            "access_token_expires_at": tokens.expires_at and tokens.expires_at.isoformat(),
        }
        if tokens.refresh is not None:
            fields["refresh_token"] = tokens.refresh.get_secret_value()
        with _prefect_in_words():
            edit_saved(XeroCredentials, self._name, fields)


@contextmanager
def _prefect_in_words() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise NoSuchBlock("The Prefect server has no block with Xero's credentials; run `tieout setup`.") from error
    except (httpx.HTTPError, RuntimeError) as error:
        if isinstance(error.__cause__, ValidationError):
            raise NotConfigured(
                "The block with Xero's credentials cannot be used; correct it in the Prefect UI."
            ) from error
        raise Unreachable(
            f"The Prefect server, where Xero's tokens are kept, does not answer ({type(error).__name__}); check that "
            "it runs (`tieout serve`). The next cycle tries again."
        ) from error


class MemoryTokenStore:
    """A store for one process: a custom connection asks for a new token whenever it has none."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self._tokens = tokens or Tokens()

    def load(self) -> Tokens:
        """What this process saved."""
        return self._tokens

    def save(self, tokens: Tokens) -> None:
        """Keep it for this process."""
        self._tokens = tokens
