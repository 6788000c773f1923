"""What a mapping is given beside the record itself: the client's tables, the books of each organisation, and links."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mappings.connectwise import Company, TaxCode
from mappings.csv_tables import (
    ACCOUNTS,
    CONTACTS,
    LAYOUTS,
    ORGANISATIONS,
    TAXES,
    Layout,
    Table,
    TableProblem,
    TablesUnusable,
    read_table,
)
from mappings.links import ConnectWiseSite
from mappings.policy import FILE as POLICY_FILE
from mappings.policy import Policy, read_policy
from mappings.xero import Books


@dataclass(frozen=True)
class Tables:
    """The client's tables and policy as read at the start of a cycle; `digest` names this very content."""

    organisations: Table
    accounts: Table
    taxes: Table
    contacts: Table
    policy: Policy
    digest: str


@dataclass(frozen=True)
class Surroundings:
    """Everything beside the record itself that decides what it becomes. No part of it does I/O."""

    tables: Tables
    tenants: Mapping[str, str]
    books: Mapping[str, Books]
    site: ConnectWiseSite
    tax_codes: Mapping[int, TaxCode] = field(default_factory=dict)
    companies: Mapping[int, Company] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """Names all of it: the same digest and the same record give the same document."""
        digest = hashlib.blake2b(self.tables.digest.encode(), digest_size=16)
        digest.update(repr(sorted(self.tenants.items())).encode())
        digest.update(repr(sorted((name, books.digest) for name, books in self.books.items())).encode())
        digest.update(repr(sorted(self.tax_codes.items())).encode())
        digest.update(repr(sorted(self.companies.items())).encode())
        digest.update(repr(self.site).encode())
        return digest.hexdigest()


def read_tables(files: Mapping[str, bytes]) -> Tables:
    """All tables and the policy from the contents of a folder; raises TablesUnusable with every problem of all."""
    problems: list[TableProblem] = []
    tables: dict[Layout, Table] = {}
    policy = Policy()
    for layout in LAYOUTS:
        try:
            tables[layout] = read_table(layout, files.get(layout.file))
        except TablesUnusable as error:
            problems.extend(error.problems)
    try:
        policy = read_policy(files.get(POLICY_FILE))
    except TablesUnusable as error:
        problems.extend(error.problems)
    if problems:
        raise TablesUnusable(problems)
    digest = hashlib.blake2b(digest_size=16)
    for name in (*(layout.file for layout in LAYOUTS), POLICY_FILE):
        content = files.get(name)
        digest.update(f"{name}:{-1 if content is None else len(content)}:".encode() + (content or b""))
    return Tables(tables[ORGANISATIONS], tables[ACCOUNTS], tables[TAXES], tables[CONTACTS], policy, digest.hexdigest())
