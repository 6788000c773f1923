"""Doors for commands that work without a Prefect server: from the blocks where one answers, else from tieout.toml."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast
from urllib.parse import urlsplit

from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE, temporary_settings

from blocks.audit.block import AuditDatabase
from blocks.connectwise.credentials import ConnectWiseCredentials
from blocks.doors import Doors, block_name, load_doors, load_tables, open_doors
from blocks.failures import NotConfigured
from blocks.tables import MappingTables
from blocks.xero.credentials import BlockTokenStore, MemoryTokenStore, XeroCredentials
from blocks.xero.tokens import Tokens, TokenStore
from deployments.config import Config
from deployments.registration import blocks_of
from deployments.server import answers, api_url


def doors_opener(config: Config) -> tuple[Callable[[str], Doors], MappingTables]:
    """How to open the doors, and the tables that belong to them."""
    name = config.prefect.name
    if answers():
        os.environ["PREFECT_API_URL"] = api_url()
        try:
            return (lambda run_id: load_doors(name, run_id)), load_tables(name)
        except NotConfigured:
            # A server, but no set-up yet: the file is all there is.
            pass
    blocks = blocks_of(config)
    xero = cast(XeroCredentials, blocks["xero"])
    tables = cast(MappingTables, blocks["tables"])
    store: TokenStore = MemoryTokenStore() if xero.grant == "client_credentials" else OfflineTokenStore(xero, name)

    def opened(run_id: str) -> Doors:
        return open_doors(
            name,
            run_id,
            connectwise=cast(ConnectWiseCredentials, blocks["connectwise"]),
            xero=xero,
            audit=cast(AuditDatabase, blocks["audit"]),
            tables=tables,
            store=store,
        )

    return opened, tables


class OfflineTokenStore:
    """The XeroCredentials block without a running server: read and saved in Prefect's own database.

    A refresh token changes at every use, and a lost one ends the connection, so it has to go where the next command
    will look for it: into the block, by way of a server that Prefect starts for the moment. That is right only where
    the database is this machine's; the tokens of a server elsewhere cannot be reached while it is down.
    """

    def __init__(self, xero: XeroCredentials, installation: str) -> None:
        self._xero = xero
        self._name = block_name(installation, "xero")
        self._block = BlockTokenStore(self._name)

    def load(self) -> Tokens:
        """The tokens of the block; none where there is no block yet."""
        with self._prefect():
            try:
                return self._block.load()
            except ValueError:
                return Tokens()

    def save(self, tokens: Tokens) -> None:
        """Save into the block; where there is none yet, the configuration makes it."""
        with self._prefect():
            try:
                self._block.save(tokens)
            except ValueError:
                self._xero.refresh_token = tokens.refresh
                self._xero.access_token = tokens.access
                self._xero.access_token_expires_at = tokens.expires_at
                self._xero.save(self._name, overwrite=True)

    @contextmanager
    def _prefect(self) -> Iterator[None]:
        if answers():
            with temporary_settings({PREFECT_API_URL: api_url()}):
                yield
            return
        if urlsplit(api_url()).hostname not in ("127.0.0.1", "localhost", "::1"):
            raise NotConfigured(
                f"The tokens for Xero are kept by the Prefect server at {api_url()}, which does not answer."
            )
        with temporary_settings({PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: True}, restore_defaults={PREFECT_API_URL}):
            yield
