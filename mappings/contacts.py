"""Which contact in Xero a ConnectWise company is: the rule of design section 5, first certain match wins.

Order: contacts.csv, then the contact that was found or made for this company before, then AccountNumber (exactly one
active contact bears it), then the exact name of a contact whose own AccountNumber is blank or the same. Two hits, or a
name whose number says otherwise, are held: a document for the wrong customer is worse than one that waits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mappings.connectwise import Reference
from mappings.csv_tables import CONTACTS, FORMULA, AmbiguousRows, Row, Table, Value
from mappings.outcomes import Hold, Reason, XeroList
from mappings.xero import Books, Contact, NewContact

WAITS = (XeroList.CONTACTS,)
LONGEST_NAME = 255
LONGEST_NUMBER = 50
"""What Xero takes of a contact's name and account number (xero.md, 6)."""


def resolve(
    company: Reference,
    account_number: str,
    role: str,
    organisation: str,
    table: Table,
    books: Books,
    known: str = "",
    create: bool = False,
) -> tuple[Contact, Row | None] | NewContact | Hold:
    """The active contact for a company, with the row of contacts.csv that named it; else why there is none.

    `account_number` is the company's own (for a supplier its vendor number); '' never matches. `role` is 'customer'
    or 'supplier'. `known` is the id of the contact that this company had before. With `create`, a company that no
    contact resembles gives a new one.
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
    if row is not None:
        named = _named_by(row, wanted, books)
        return named if isinstance(named, Hold) else (named, row)
    before = _known_before(known, wanted, books)
    if before is not None:
        return before if isinstance(before, Hold) else (before, None)
    found = _by_number_or_name(wanted, books)
    if found is None:
        return _new(wanted, books.tenant_id) if create else _absent(wanted)
    return found if isinstance(found, Hold) else (found, None)


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
        return self.pasted(contact_name="<the contact's name in Xero>")

    def pasted(self, **named: str) -> str:
        """The row that names a contact."""
        line = self.table.line(
            organisation=self.organisation, role=self.role, company=Value.of(self.company).shown(), **named
        )
        return f"add to {CONTACTS.file}: {line}"

    def missing(self, message: str, fix: str) -> Hold:
        return Hold(Reason.MISSING_CONTACT, self.shown, message, fix, WAITS)

    def archived(self, contact: Contact, words: str, books: Books) -> Hold:
        """The contact that fits is archived; where it was merged into another one, that one is proposed."""
        survivor = next(iter(_active(books.contacts.with_id(contact.merged_into))), None)
        if survivor is None:
            return Hold(
                Reason.CONTACT_ARCHIVED, contact.name, words, f"Restore the contact in Xero, or {self.cure}", WAITS
            )
        # A name that a spreadsheet would run stands in no cell.
        by_id = survivor.name.startswith(FORMULA)
        line = self.pasted(contact_id=survivor.contact_id) if by_id else self.pasted(contact_name=survivor.name)
        return Hold(
            Reason.CONTACT_ARCHIVED,
            contact.name,
            f"{words.removesuffix('.')}: it was merged into {survivor.name!r}.",
            f"If that is the same customer, {line}",
            WAITS,
        )


def _known_before(known: str, wanted: _Wanted, books: Books) -> Contact | Hold | None:
    """The contact that this company had before, whatever either of them is called now; None: it tells nothing."""
    if not known:
        return None
    bearers = _active(books.contacts.numbered(wanted.account_number))
    for contact in books.contacts.with_id(known):
        others = [bearer for bearer in bearers if bearer is not contact]
        if contact.status != "ACTIVE":
            # Only a number can tell then, and only with certainty.
            if len(bearers) == 1:
                return None
            return wanted.archived(
                contact, f"The contact {contact.name!r} for {wanted.shown} is archived in {wanted.organisation}.", books
            )
        if others:
            return wanted.missing(
                f"{wanted.shown} was {contact.name!r} in {wanted.organisation} so far; now {others[0].name!r} bears "
                f"its account number {wanted.account_number}.",
                f"Take the number off the wrong one of the two, or {wanted.cure}",
            )
        return contact
    return None


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
            survivor = next(iter(_active(contacts.with_id(found[0].merged_into))), None)
            merged = f": it was merged into {survivor.name!r}" if survivor else ""
            return Hold(
                Reason.CONTACT_ARCHIVED,
                found[0].name,
                f"{row} names the contact {found[0].name!r} for {wanted.shown}, and that is archived in Xero{merged}.",
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


def _by_number_or_name(wanted: _Wanted, books: Books) -> Contact | Hold | None:
    """The one contact that fits; a hold where several do, or none that can be used; None where nothing fits."""
    shown, number = wanted.shown, wanted.account_number
    numbered = books.contacts.numbered(number)
    named = books.contacts.named(wanted.company.name)
    bearers, namesakes = _active(numbered), _active(named)
    if len(bearers) == 1:
        return bearers[0]
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
            return namesakes[0]
        return wanted.missing(
            f"The contact {namesakes[0].name!r} in {wanted.organisation} has the account number {other}, but {shown} "
            f"has {number or 'none'} in ConnectWise.",
            f"Make the two numbers equal, or {wanted.cure}",
        )
    if numbered or named:
        archived = (*numbered, *named)[0]
        return wanted.archived(
            archived, f"The contact {archived.name!r} for {shown} is archived in {wanted.organisation}.", books
        )
    return None


def _absent(wanted: _Wanted) -> Hold:
    """No contact resembles the company, and none may be made."""
    shown, number = wanted.shown, wanted.account_number
    if number:
        return wanted.missing(
            f"{wanted.organisation} has no contact for {shown} (account number {number}).",
            f"Create the contact in Xero with the account number {number}, or {wanted.cure}",
        )
    return wanted.missing(
        f"{wanted.organisation} has no contact named {shown!r}, and the company has no account number in ConnectWise.",
        f"Create the contact in Xero under exactly this name, or {wanted.cure}",
    )


def _new(wanted: _Wanted, tenant_id: str) -> NewContact | Hold:
    """A contact as Xero would take it: no angle brackets, no doubled blanks, within its lengths (xero.md, 6)."""
    name = " ".join(re.sub(r"[<>\x00-\x1f\x7f]", " ", wanted.company.name).split())
    number = wanted.account_number
    if not name or len(name) > LONGEST_NAME or len(number) > LONGEST_NUMBER or wanted.company.id is None:
        what = "its name or account number is too long for Xero" if name else "it has no name in ConnectWise"
        return wanted.missing(
            f"{wanted.organisation} has no contact for {wanted.shown}, and none could be created: {what}.",
            f"Create the contact in Xero by hand, and {wanted.cure}",
        )
    return NewContact(tenant_id, wanted.organisation, wanted.company.id, name, number)


def same_contact(new: NewContact, books: Books) -> Contact | None:
    """The one active contact that a new one would double: by number, else by name; None where there is none."""
    for found in (books.contacts.numbered(new.account_number), books.contacts.named(new.name)):
        active = _active(found)
        if len(active) == 1:
            return active[0]
    return None


def _active(contacts: Sequence[Contact]) -> list[Contact]:
    return [contact for contact in contacts if contact.status == "ACTIVE"]
