"""What a scenario hands to a demo or a test: where its tables are, what is wrong in it, and what cures it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

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


@dataclass(frozen=True)
class Edit:
    """What people do to one invoice after it was posted, and what has to become of its document in Xero.

    `stands` are fields of the document (API names) as they have to be after the next cycle, `line` those of its first
    line. Where `held` names a reason the edit does not get through; `words` are then what has to be said of it.
    """

    number: str
    says: str
    act: Callable[[], object]
    document: Callable[[], dict[str, Any]]
    """The document as it is in Xero now."""
    stands: Mapping[str, Any]
    line: Mapping[str, Any]
    ends: str
    """What the story says of it afterwards."""
    held: str = ""
    words: tuple[str, ...] = ()

    @property
    def stands_so(self) -> bool:
        """Whether the document is as it has to be."""
        found = self.document()
        line = found["LineItems"][0]
        return all(found[name] == value for name, value in self.stands.items()) and all(
            line[name] == value for name, value in self.line.items()
        )


@dataclass(frozen=True)
class Money:
    """What becomes of the money of one invoice: what people do about it, and how its record has to end then."""

    number: str
    says: str
    act: Callable[[], object]
    ends: str
    """The outcome that the next cycle has to give it, with the reason behind a colon where there is one."""
    told: str
    """What the story says of it afterwards."""


@dataclass(frozen=True)
class Delivery:
    """What happens to one purchase order before a cycle, and how that has to end then."""

    number: str
    says: str
    act: Callable[[Path], object]
    """Do it; the argument is the folder of the tables in use."""
    ends: str
    """The outcome that the cycle has to give it, with the reason behind a colon where there is one; of several
    documents theirs, with commas.
    """
    told: str
    """What the story says of it afterwards."""
    words: tuple[str, ...] = ()
    """What has to be said of it where it is held."""
    line: str = ""
    """The line that is pasted into a table, where that is what somebody does."""


@dataclass(frozen=True)
class Purchase:
    """One purchase order that nobody knows of before it is raised, and what is billed on of it. Amounts before tax."""

    number: str
    says: str
    act: Callable[[], object]
    """Raise it, let all of it arrive, and enter its supplier's invoice where that has come."""
    cost: Decimal
    """What was ordered and arrives, in the order's currency."""
    vendor_invoice: str = ""
    invoice: str = ""
    """The number of the customer's invoice that bills it on; empty where nobody was charged."""
    revenue: Decimal = Decimal(0)
    """What that invoice charges for these goods, in its currency."""


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
    edits: list[Edit] = field(default_factory=list)
    """What happens to some of the invoices once they are posted."""
    paid: tuple[str, ...] = ()
    """Invoices on which customers have paid something."""
    credited: tuple[str, ...] = ()
    """Invoices to which a credit memo is applied."""
    unapproved: tuple[str, ...] = ()
    """Of these the ones that the bookkeeper has not come to: they stay drafts in Xero."""
    approve: Callable[[], object] = lambda: None
    """The bookkeeper approves what was paid or credited, and the credit notes, as far as she comes."""
    money: list[Money] = field(default_factory=list)
    """What happens to the money of some invoices later on."""
    balances: Callable[[], dict[str, tuple[Decimal, Decimal]]] = dict
    """What is due on each of these invoices in ConnectWise and in Xero, now."""
    orders: dict[str, int] = field(default_factory=dict)
    """ConnectWise ids of the purchase orders, by number."""
    deliveries: list[list[Delivery]] = field(default_factory=list)
    """What becomes of them, cycle by cycle."""
    purchases: dict[str, Purchase] = field(default_factory=dict)
    """What can be ordered after all that, by name: `shared_first` and `shared_second` (one supplier's invoice over
    both), `sold_on` (a customer's invoice bills it on) and `never_charged`. Nothing of it is there before its `act`.
    """
    placed: list[list[Delivery]] = field(default_factory=list)
    """What becomes of orders that are in Xero as well, cycle by cycle: the purchases above, and two that are raised."""
    placed_orders: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The purchase orders that there are in Xero at the end, by number: whose they are, and their status."""
    bills: dict[str, tuple[Decimal, str]] = field(default_factory=dict)
    """The bills that there are at the end, by what people see as their Reference: net amount and status."""
    lifecycle: dict[str, str] = field(default_factory=dict)
    """Rows of lifecycle.csv that are changed after the first of these cycles, old to new."""
    signers: dict[str, str] = field(default_factory=dict)
    """Who signs lifecycle.csv, by role."""

    def copy_tables(self, into: Path) -> Path:
        """Copy the tables to a folder of one's own, with the start date written into its `policy.toml`."""
        into.mkdir(parents=True, exist_ok=True)
        for source in sorted(self.tables.iterdir()):
            shutil.copyfile(source, into / source.name)
        policy = into / "policy.toml"
        text = policy.read_text(encoding="utf-8")
        policy.write_text(f"start_date = {self.start_date.isoformat()}\n\n{text}", encoding="utf-8")
        return into
