"""What a scenario hands to a demo or a test: where its tables are, what is wrong in it, and what cures it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Cure:
    """What a person does about one troubled invoice, in the tables or in one of the two systems."""

    number: str
    says: str
    where: Literal["tables", "connectwise", "xero"]
    file: str = ""
    line: str = ""
    replaces: str = ""
    act: Callable[[], object] | None = None

    def apply(self, tables: Path) -> None:
        """Do it; `tables` is the folder whose files are in use (a copy, see `Scenario.copy_tables`)."""
        if self.act is not None:
            self.act()
            return
        path = tables / self.file
        lines = path.read_text(encoding="utf-8").splitlines()
        if self.replaces:
            lines[lines.index(self.replaces)] = self.line
        else:
            lines.append(self.line)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass
class Scenario:
    """A world that was built, by invoice number."""

    name: str
    tables: Path
    """The mapping tables as shipped; `policy.toml` there has no start date, since that moves with the calendar."""
    start_date: date
    organisations: dict[str, str]
    """Tenant ids by the names that the tables use."""
    invoices: dict[str, int] = field(default_factory=dict)
    """ConnectWise ids of all invoices, credit memos and open ones among them."""
    troubles: dict[str, str] = field(default_factory=dict)
    """What is the matter with each troubled invoice, in a sentence."""
    expected: dict[str, str] = field(default_factory=dict)
    """The reason for which each of those is held; a trouble that is not here does not hold its invoice."""
    keys: dict[str, str] = field(default_factory=dict)
    """The numbers of the invoices that have a part in the story, by the part's name (`zero`, `no_contact`...)."""
    open: tuple[str, ...] = ()
    """Invoices that are not closed yet."""
    credit_memos: tuple[str, ...] = ()
    early: tuple[str, ...] = ()
    """Invoices dated before the start date."""
    adopted: tuple[str, ...] = ()
    """Invoices that somebody entered in Xero by hand, identically."""
    cures: list[Cure] = field(default_factory=list)

    def copy_tables(self, into: Path) -> Path:
        """Copy the tables to a folder of one's own, with the start date written into its `policy.toml`."""
        into.mkdir(parents=True, exist_ok=True)
        for source in sorted(self.tables.iterdir()):
            shutil.copyfile(source, into / source.name)
        policy = into / "policy.toml"
        text = policy.read_text(encoding="utf-8")
        policy.write_text(f"start_date = {self.start_date.isoformat()}\n\n{text}", encoding="utf-8")
        return into
