"""What a mapping is given beside the record itself: the client's tables, the books of each organisation, and links."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from mappings.csv_tables import (
    ACCOUNTS,
    CONTACTS,
    LAYOUTS,
    ORGANISATIONS,
    PAYMENT_ACCOUNTS,
    RATES,
    TAXES,
    TRACKING,
    Layout,
    Table,
    TableProblem,
    TablesUnusable,
    read_table,
)
from mappings.lifecycle import LIFECYCLE, SIGNED_FILE, Lifecycle, Signature, read_lifecycle, read_signatures
from mappings.links import ConnectWiseSite
from mappings.namesakes import Namesakes
from mappings.policy import FILE as POLICY_FILE
from mappings.policy import Policy, read_policy
from mappings.rates import RateTable, read_rates
from mappings.related import Related
from mappings.xero import Books

FILES = (*(layout.file for layout in LAYOUTS), RATES.file, POLICY_FILE, LIFECYCLE.file, SIGNED_FILE)
"""All files of the folder that are read; others there are nobody's business."""


@dataclass(frozen=True)
class Tables:
    """The client's tables and policy as read at the start of a cycle; `digest` names this very content.

    `lifecycle` may be one that nobody has signed: purchase orders ask mappings/lifecycle.py first.
    """

    organisations: Table
    accounts: Table
    taxes: Table
    tracking: Table
    contacts: Table
    payment_accounts: Table
    rates: RateTable
    policy: Policy
    digest: str
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    signatures: tuple[Signature, ...] = ()


@dataclass(frozen=True)
class Surroundings:
    """Everything beside the record itself that decides what it becomes. No part of it does I/O.

    `known_contacts`: the contact that a company had before, by tenant and the company's id. `namesakes`: texts that
    mean several records of ConnectWise. `coded` is what coding remembers of lines in these surroundings.
    """

    tables: Tables
    tenants: Mapping[str, str]
    books: Mapping[str, Books]
    site: ConnectWiseSite
    related: Related = field(default_factory=Related)
    known_contacts: Mapping[tuple[str, int], str] = field(default_factory=dict)
    namesakes: Namesakes = field(default_factory=dict)
    coded: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def digest(self) -> str:
        """Names all of it: the same digest and the same record give the same document."""
        digest = hashlib.blake2b(self.tables.digest.encode(), digest_size=16)
        digest.update(repr(sorted(self.tenants.items())).encode())
        digest.update(repr(sorted((name, books.digest) for name, books in self.books.items())).encode())
        for each in fields(self.related):
            known = getattr(self.related, each.name)
            digest.update(repr(sorted(known.items() if isinstance(known, Mapping) else known)).encode())
        digest.update(repr(sorted(self.known_contacts.items())).encode())
        digest.update(repr(sorted(self.namesakes.items())).encode())
        digest.update(repr(self.site).encode())
        return digest.hexdigest()


def read_tables(files: Mapping[str, bytes]) -> Tables:
    """All tables and the policy from the contents of a folder; raises TablesUnusable with every problem of all."""
    problems: list[TableProblem] = []
    tables: dict[Layout, Table] = {}
    policy = Policy()
    lifecycle = Lifecycle()
    signatures: tuple[Signature, ...] = ()
    for layout in LAYOUTS:
        try:
            tables[layout] = read_table(layout, files.get(layout.file))
        except TablesUnusable as error:
            problems.extend(error.problems)
    rates = RateTable()
    try:
        rates = read_rates(files.get(RATES.file))
    except TablesUnusable as error:
        problems.extend(error.problems)
    try:
        policy = read_policy(files.get(POLICY_FILE))
    except TablesUnusable as error:
        problems.extend(error.problems)
    try:
        lifecycle = read_lifecycle(files.get(LIFECYCLE.file))
    except TablesUnusable as error:
        problems.extend(error.problems)
    try:
        signatures = read_signatures(files.get(SIGNED_FILE))
    except TablesUnusable as error:
        problems.extend(error.problems)
    if problems:
        raise TablesUnusable(problems)
    digest = hashlib.blake2b(digest_size=16)
    for name in FILES:
        content = files.get(name)
        digest.update(f"{name}:{-1 if content is None else len(content)}:".encode() + (content or b""))
    return Tables(
        organisations=tables[ORGANISATIONS],
        accounts=tables[ACCOUNTS],
        taxes=tables[TAXES],
        tracking=tables[TRACKING],
        contacts=tables[CONTACTS],
        payment_accounts=tables[PAYMENT_ACCOUNTS],
        rates=rates,
        policy=policy,
        digest=digest.hexdigest(),
        lifecycle=lifecycle,
        signatures=signatures,
    )
