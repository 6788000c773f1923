"""A company that had a contact before keeps it, unless something says otherwise: then a person decides."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mappings.connectwise import Reference
from mappings.contacts import resolve
from mappings.csv_tables import CONTACTS, read_table
from mappings.outcomes import Hold, Reason
from mappings.xero import Contact, NewContact
from tests.mappings.samples import books, contact, held

COMPANY = Reference(id=101, identifier="ACME", name="Acme Pty Ltd")
BEFORE = contact(1, "").contact_id


def asked(
    contacts: Sequence[Contact],
    *,
    known: str = BEFORE,
    number: str = "ACME01",
    company: Reference = COMPANY,
    create: bool = False,
) -> Contact | NewContact | Hold:
    found = resolve(
        company, number, "customer", "Sydney", read_table(CONTACTS, None), books(contacts=contacts), known, create
    )
    if isinstance(found, tuple):
        assert isinstance(found[0], Contact)
        return found[0]
    return found


ARCHIVED = "ARCHIVED"
KEPT: dict[str, tuple[list[Contact], int]] = {
    "it bears the number itself": ([contact(1, "Acme", "ACME01")], 1),
    "it has no number": ([contact(1, "Acme")], 1),
    "it has another number": ([contact(1, "Acme", "OLD")], 1),
    "it was renamed, and another has the company's name": ([contact(1, "Acme Group"), contact(2, "Acme Pty Ltd")], 1),
    "an archived one has the number": ([contact(1, "Acme"), contact(2, "Old", "ACME01", ARCHIVED)], 1),
    "it is archived, and one active contact has the number": (
        [contact(1, "Acme", "", ARCHIVED), contact(2, "Acme New", "ACME01")], 2,
    ),
    "it is gone, and the number tells": ([contact(2, "Acme New", "ACME01")], 2),
    "it is gone, and the name tells": ([contact(2, "Acme Pty Ltd")], 2),
}  # fmt: skip


@pytest.mark.parametrize("case", KEPT)
def test_a_company_keeps_its_contact_while_nothing_contradicts(case: str) -> None:
    """Whatever either of them is called now; an archived contact gives way to a certain one only."""
    contacts, number = KEPT[case]
    found = asked(contacts)
    assert isinstance(found, Contact)
    assert found.contact_id == contact(number, "").contact_id


DOUBT: dict[str, tuple[list[Contact], Reason]] = {
    "another bears the number": ([contact(1, "Acme"), contact(2, "New", "ACME01")], Reason.MISSING_CONTACT),
    "both bear the number": ([contact(1, "Acme", "ACME01"), contact(2, "New", "ACME01")], Reason.MISSING_CONTACT),
    "it is archived, and nobody has the number": ([contact(1, "Acme", "", ARCHIVED)], Reason.CONTACT_ARCHIVED),
    "it is archived, and two have the number": (
        [contact(1, "Acme", "", ARCHIVED), contact(2, "A", "ACME01"), contact(3, "B", "ACME01")],
        Reason.CONTACT_ARCHIVED,
    ),
    "it is archived, and another has only the name": (
        [contact(1, "Acme", "", ARCHIVED), contact(2, "Acme Pty Ltd")], Reason.CONTACT_ARCHIVED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DOUBT)
@pytest.mark.parametrize("create", [False, True])
def test_doubt_about_a_known_contact_is_held_and_never_makes_another(case: str, create: bool) -> None:
    """A document for the wrong customer is worse than one that waits, and so is a customer twice."""
    contacts, reason = DOUBT[case]
    assert held(asked(contacts, create=create)).reason is reason


@pytest.mark.parametrize("known", [BEFORE.upper(), BEFORE])
def test_an_id_is_known_in_either_case(known: str) -> None:
    """It is a GUID."""
    assert isinstance(asked([contact(1, "Acme")], known=known), Contact)


@pytest.mark.parametrize(
    ("name", "number", "identity", "made"),
    [
        ("Acme Pty Ltd", "ACME01", 101, True),
        ("x" * 255, "9" * 50, 101, True),
        ("x" * 256, "ACME01", 101, False),
        ("Acme Pty Ltd", "9" * 51, 101, False),
        ("", "ACME01", 101, False),
        ("<>", "ACME01", 101, False),
        ("Acme Pty Ltd", "ACME01", None, False),
    ],
)
def test_a_contact_is_made_only_as_xero_would_take_it(name: str, number: str, identity: int | None, made: bool) -> None:
    """Name and number within Xero's lengths, for a company that has an id; nothing is cut off."""
    found = asked([], known="", number=number, company=Reference(id=identity, name=name), create=True)
    assert isinstance(found, NewContact) is made
    if isinstance(found, NewContact):
        assert (found.name, found.account_number, found.connectwise_id) == (name, number, identity)
