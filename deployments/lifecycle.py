"""`tieout lifecycle`: begins, shows, signs and verifies lifecycle.csv, in the folder of the tables and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from blocks.audit import orders
from blocks.audit.database import Audit
from blocks.failures import NotConfigured
from mappings import vendor_invoices
from mappings.csv_tables import TablesUnusable, fold_cell
from mappings.lifecycle import (
    LIFECYCLE,
    PRESETS,
    SIGNED_FILE,
    Lifecycle,
    Role,
    Signature,
    objections,
    prose,
    read_lifecycle,
    read_signatures,
    same_person,
    signed_text,
    unsigned,
)
from mappings.lifecycle_change import Change, changes
from mappings.policy import FILE as POLICY_FILE
from mappings.policy import read_policy

TOGETHER = (
    "An order may be received, have its vendor's invoice and be paid, all at once: then each of these is done, in this "
    "order, but nothing while one of them says that it is held."
)


ONE_BILL = (
    "By policy.toml (vendor_invoice_grouping), what was received of all orders of one vendor's invoice shares one "
    "bill{where}, whichever receipts it came with."
)


@dataclass(frozen=True)
class Decision:
    """The table as it stands in its folder, who has signed it, and why it must not be signed.

    `changes` are what it does otherwise than before with the `known` orders; None: those were not looked at.
    `grouped` are the organisations ('': all that policy does not name) in which one vendor's invoice is one bill.
    """

    lifecycle: Lifecycle
    signatures: tuple[Signature, ...]
    objections: tuple[str, ...]
    changes: tuple[Change, ...] | None = None
    known: int = 0
    grouped: tuple[str, ...] = ()

    @property
    def unsigned(self) -> str:
        """'' when both have signed this very table; else who must sign what."""
        return unsigned(self.lifecycle, self.signatures)

    @property
    def exit_code(self) -> int:
        """The code of `verify`: 0 signed and sensible, 3 unsigned or altered, 2 senseless."""
        return 2 if self.objections else 3 if self.unsigned else 0

    def counts(self, signature: Signature) -> bool:
        """Whether a signature is for the table as it stands."""
        return signature.digest == self.lifecycle.digest

    def in_words(self) -> str:
        """The decision to be read aloud, its hash, who has signed it, and what stands against it."""
        signed = [
            f"{one.role.words.capitalize()} {one.name} signed {'this' if self.counts(one) else 'another version'} on "
            f"{one.date}."
            for one in self.signatures
        ]
        parts = [
            prose(self.lifecycle),
            [TOGETHER, *([ONE_BILL.format(where=self._where)] if self.grouped else [])],
            [f"SHA-256 {self.lifecycle.digest}", *signed],
            self.verdict(),
        ]
        return "\n\n".join("\n".join(part) for part in parts)

    @property
    def _where(self) -> str:
        return "" if "" in self.grouped else f" in {', '.join(self.grouped)}"

    def verdict(self) -> list[str]:
        """What stands between this table and a cycle of purchase orders; or that nothing does."""
        against = [*self.objections, *filter(None, [self.unsigned])]
        if against:
            return against
        names = " and ".join(f"{one.role.words} {one.name} on {one.date}" for one in self.signatures)
        return [f"{LIFECYCLE.file} is signed by {names}, SHA-256 {self.lifecycle.digest}."]

    def touches(self) -> list[str]:
        """Which of the orders that are known this table does something else with, and what."""
        if not self.changes:
            return [f"None of the {self.known} orders known so far is touched by this table."] if self.known else []
        touched = {reference for change in self.changes for reference in change.references}
        head = (
            f"{len(touched)} of the {self.known} orders known so far are touched by this table; what is billed stays "
            "billed, once:"
        )
        return [head, *map(str, self.changes)]

    def as_json(self) -> dict[str, Any]:
        """The same for other programs."""
        return {
            "sha256": self.lifecycle.digest,
            "rows": [
                {
                    "row": row.number,
                    "organisation": row.organisation,
                    "state": row.state,
                    "events": list(row.events),
                    "status": row.status,
                }
                for row in self.lifecycle.rows
            ],
            "prose": prose(self.lifecycle),
            "signatures": [
                {
                    "role": one.role,
                    "name": one.name,
                    "date": one.date.isoformat(),
                    "sha256": one.digest,
                    "counts": self.counts(one),
                }
                for one in self.signatures
            ],
            "objections": list(self.objections),
            "unsigned": self.unsigned,
        } | ({"touches": list(map(_touched, self.changes))} if self.changes is not None else {})


def _touched(change: Change) -> dict[str, Any]:
    return {
        "state": change.state,
        "references": list(change.references),
        **{
            name: {"events": list(events), "status": status}
            for name, (events, status) in (("before", change.before), ("after", change.after))
        },
    }


def begin(folder: Path, preset: str) -> Path:
    """Write a preset as lifecycle.csv. Raises NotConfigured; a file that is there is never touched."""
    if preset not in PRESETS:
        raise NotConfigured(f"There is no preset {preset!r}; there are {', '.join(PRESETS)}.")
    path = folder / LIFECYCLE.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(PRESETS[preset])
    except FileExistsError as error:
        raise NotConfigured(f"{path} is there already and stays as it is; edit it, or move it away first.") from error
    except OSError as error:
        raise NotConfigured(f"{path} cannot be written: {error.strerror}.") from error
    return path


def decision(folder: Path, organisations: Iterable[str]) -> Decision:
    """What stands in the folder. Raises NotConfigured where it cannot be read: file, row, column.

    `organisations`: the configured ones; a row that names another would never fire, and a general one would instead.
    """
    try:
        lifecycle = read_lifecycle(_content(folder / LIFECYCLE.file))
        policy = read_policy(_content(folder / POLICY_FILE))
        signatures = read_signatures(_content(folder / SIGNED_FILE))
    except TablesUnusable as error:
        raise NotConfigured(f"The lifecycle in {folder} cannot be used:\n{error}") from error
    known = {fold_cell(name): name for name in organisations}
    strange = [
        f"{row} names the organisation {row.organisation}, and there is none; there are {', '.join(known.values())}."
        for row in lifecycle.rows
        if known and row.organisation and fold_cell(row.organisation) not in known
    ]
    against = (*strange, *objections(lifecycle), *vendor_invoices.objections(lifecycle, policy))
    grouped = [name for name in ("", *known.values()) if vendor_invoices.grouped(policy, name)]
    return Decision(lifecycle, signatures, against, grouped=tuple(grouped))


def compared(found: Decision, audit: Audit) -> Decision:
    """The same with what it does otherwise than before, for each order that a cycle has dealt with."""
    known = orders.as_left(audit)
    return replace(found, changes=tuple(changes(found.lifecycle, known)), known=len(known))


def sign(folder: Path, organisations: Iterable[str], name: str, role: str, on: date) -> Decision:
    """Add a person's signature for the table as it stands. Raises NotConfigured; then nothing is signed."""
    if role not in tuple(Role):
        raise NotConfigured(f"There is no role {role!r}; there are {', '.join(Role)}.")
    person = " ".join(name.split())
    if not person or not person.isprintable():
        raise NotConfigured(f"{name!r} is no name; nothing was signed.")
    found = decision(folder, organisations)
    if not found.lifecycle.rows:
        raise NotConfigured(found.unsigned)
    if found.objections:
        raise NotConfigured("\n".join((f"{LIFECYCLE.file} cannot be signed as it stands:", *found.objections)))
    signature = Signature(Role(role), person, on, found.lifecycle.digest)
    others = tuple(one for one in found.signatures if one.role != signature.role)
    for other in others:
        if found.counts(other) and same_person(other, signature):
            raise NotConfigured(
                f"{other.name} has signed this table as {other.role.words}; somebody else has to sign it as "
                f"{signature.role.words}."
            )
    _replace(folder / SIGNED_FILE, signed_text((*others, signature)))
    return Decision(found.lifecycle, (*others, signature), (), grouped=found.grouped)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotConfigured(f"{path} cannot be read: {error.strerror}.") from error


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all: a cycle may read it at any moment."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise NotConfigured(f"{path} cannot be written: {error.strerror}; nothing was signed.") from error
    finally:
        beside.unlink(missing_ok=True)
