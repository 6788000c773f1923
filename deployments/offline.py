"""Doors for commands that work without a Prefect server: from the blocks where one answers, else from tieout.toml."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import cast

from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.audit.block import AuditDatabase
from blocks.connectwise.credentials import ConnectWiseCredentials
from blocks.doors import Doors, block_name, load_doors, load_tables, open_doors
from blocks.failures import NotConfigured
from blocks.tables import MappingTables
from blocks.xero.credentials import BlockTokenStore, MemoryTokenStore, NoSuchBlock, XeroCredentials
from blocks.xero.tokens import Tokens, TokenStore
from deployments.config import Config
from deployments.registration import blocks_of
from deployments.server import answers, api_url, is_local, temporary_server


@contextmanager
def doors_opener(config: Config) -> Iterator[tuple[Callable[[str], Doors], MappingTables]]:
    """How to open the doors, and the tables that belong to them."""
    with ExitStack() as servers:
        yield _doors_opener(config, servers)


def _doors_opener(config: Config, servers: ExitStack) -> tuple[Callable[[str], Doors], MappingTables]:
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
    store: TokenStore = (
        MemoryTokenStore() if xero.grant == "client_credentials" else OfflineTokenStore(xero, name, servers)
    )

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
    will look for it: into the block, by way of a server that runs for the moment. That is right only where the
    database is this machine's; the tokens of a server elsewhere cannot be reached while it is down.
    """

    def __init__(self, xero: XeroCredentials, installation: str, servers: ExitStack) -> None:
        self._xero = xero
        self._name = block_name(installation, "xero")
        self._block = BlockTokenStore(self._name)
        self._servers = servers
        self._temporary = ""

    def load(self) -> Tokens:
        """The tokens of the block; none where there is no block yet."""
        with self._prefect():
            try:
                return self._block.load()
            except NoSuchBlock:
                return Tokens()

    def save(self, tokens: Tokens) -> None:
        """Save into the block; where there is none yet, the configuration makes it."""
        with self._prefect():
            try:
                self._block.save(tokens)
            except NoSuchBlock:
                self._xero.refresh_token = tokens.refresh
                self._xero.access_token = tokens.access
                self._xero.access_token_expires_at = tokens.expires_at
                self._xero.save(self._name, overwrite=True)

    @contextmanager
    def _prefect(self) -> Iterator[None]:
        with temporary_settings({PREFECT_API_URL: self._api()}):
            yield

    def _api(self) -> str:
        if self._temporary or answers():
            return self._temporary or api_url()
        if not is_local(api_url()):
            raise NotConfigured(
                f"The tokens for Xero are kept by the Prefect server at {api_url()}, which does not answer."
            )
        self._temporary = self._servers.enter_context(temporary_server())
        return self._temporary
