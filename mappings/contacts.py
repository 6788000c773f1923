"""Which contact in Xero a ConnectWise company is: the rule of design section 5, first certain match wins.

Order: contacts.csv, then AccountNumber (exactly one active contact bears it), then the exact name of a contact whose
own AccountNumber is blank or the same. Two hits, or a name whose number says otherwise, are held: a document for the
wrong customer is worse than one that waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mappings.connectwise import Reference
from mappings.csv_tables import CONTACTS, AmbiguousRows, Row, Table, Value
from mappings.outcomes import Hold, Reason, XeroList
from mappings.xero import Books, Contact

WAITS = (XeroList.CONTACTS,)


def resolve(
    company: Reference, account_number: str, role: str, organisation: str, table: Table, books: Books
) -> tuple[Contact, Row | None] | Hold:
    """The active contact for a company, with the row of contacts.csv that named it; else why there is none.

    `account_number` is the company's own (for a supplier its vendor number); '' never matches. `role` is 'customer'
    or 'supplier'.
    """
    wanted = _Wanted(company, account_number.strip(), role, organisation, table)
    try:
        row = table.find(organisation=Value.text(organisation), role=Value.text(role), company=Value.of(company))
    except AmbiguousRows as error:
        return Hold(
            Reason.AMBIGUOUS_MAPPING,
            wanted.shown,
            f"{error.first} and {error.second} both fit the company {wanted.shown}.",
            f"Make {error.first} or {error.second} more specific, or remove one.",
        )
    if row is None:
        return _by_number_or_name(wanted, books)
    found = _named_by(row, wanted, books)
    return found if isinstance(found, Hold) else (found, row)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The company whose contact is looked for."""

    company: Reference
    account_number: str
    role: str
    organisation: str
    table: Table

    @property
    def shown(self) -> str:
        return self.company.name or self.company.identifier or f"company {self.company.id}"

    @property
    def cure(self) -> str:
        """What to paste to settle it by hand."""
        line = self.table.line(
            organisation=self.organisation,
            role=self.role,
            company=Value.of(self.company).shown(),
            contact_name="<the contact's name in Xero>",
        )
        return f"add to {CONTACTS.file}: {line}"

    def missing(self, message: str, fix: str) -> Hold:
        return Hold(Reason.MISSING_CONTACT, self.shown, message, fix, WAITS)


def _named_by(row: Row, wanted: _Wanted, books: Books) -> Contact | Hold:
    contacts = books.contacts
    for column, found in (
        ("contact_id", contacts.with_id(row.values["contact_id"])),
        ("account_number", contacts.numbered(row.values["account_number"])),
        ("contact_name", contacts.named(row.values["contact_name"])),
    ):
        value = row.values[column]
        if not value:
            continue
        active = _active(found)
        if len(active) == 1:
            return active[0]
        if found and not active:
            return Hold(
                Reason.CONTACT_ARCHIVED,
                found[0].name,
                f"{row} names the contact {found[0].name!r} for {wanted.shown}, and that is archived in Xero.",
                f"Restore the contact in Xero, or name another one in {row}.",
                WAITS,
            )
        problem = f"{len(active)} contacts" if active else "no contact"
        return Hold(
            Reason.MISSING_CONTACT,
            value,
            f"{row} names {column} {value!r} for {wanted.shown}, but {wanted.organisation} has {problem} with it.",
            f"Correct {column} in {row}, or put the contact's id into contact_id.",
            WAITS,
        )
    return Hold(
        Reason.MISSING_CONTACT,
        wanted.shown,
        f"{row} is for {wanted.shown}, but names no contact.",
        f"Fill contact_id, account_number or contact_name in {row}.",
    )


def _by_number_or_name(wanted: _Wanted, books: Books) -> tuple[Contact, None] | Hold:
    shown, number = wanted.shown, wanted.account_number
    numbered = books.contacts.numbered(number)
    named = books.contacts.named(wanted.company.name)
    bearers, namesakes = _active(numbered), _active(named)
    if len(bearers) == 1:
        return bearers[0], None
    if bearers:
        names = ", ".join(sorted(contact.name for contact in bearers))
        return wanted.missing(
            f"{len(bearers)} contacts in {wanted.organisation} bear the account number {number} of {shown}: {names}.",
            f"Leave the number on one of them, or {wanted.cure}",
        )
    if len(namesakes) > 1:
        return wanted.missing(
            f"{len(namesakes)} contacts in {wanted.organisation} are named {wanted.company.name!r}.",
            f"Rename all but one of them in Xero, or {wanted.cure}",
        )
    if namesakes:
        other = namesakes[0].account_number.strip()
        if not other:
            return namesakes[0], None
        return wanted.missing(
            f"The contact {namesakes[0].name!r} in {wanted.organisation} has the account number {other}, but {shown} "
            f"has {number or 'none'} in ConnectWise.",
            f"Make the two numbers equal, or {wanted.cure}",
        )
    if numbered or named:
        archived = (*numbered, *named)[0]
        return Hold(
            Reason.CONTACT_ARCHIVED,
            archived.name,
            f"The contact {archived.name!r} for {shown} is archived in {wanted.organisation}.",
            f"Restore the contact in Xero, or {wanted.cure}",
            WAITS,
        )
    if number:
        return wanted.missing(
            f"{wanted.organisation} has no contact for {shown} (account number {number}).",
            f"Create the contact in Xero with the account number {number}, or {wanted.cure}",
        )
    return wanted.missing(
        f"{wanted.organisation} has no contact named {shown!r}, and the company has no account number in ConnectWise.",
        f"Create the contact in Xero under exactly this name, or {wanted.cure}",
    )


def _active(contacts: Sequence[Contact]) -> list[Contact]:
    return [contact for contact in contacts if contact.status == "ACTIVE"]
