"""Which contact a company is: contacts.csv, then account number, then name; doubt is held (design, section 5)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace

import pytest

from mappings.connectwise import Reference
from mappings.contacts import resolve, same_contact
from mappings.csv_tables import CONTACTS, read_table
from mappings.outcomes import Hold, Reason, XeroList
from mappings.xero import Contact, ContactBook, NewContact
from tests.mappings.samples import books, contact, held

COMPANY = Reference(id=101, identifier="ACME", name="Acme Pty Ltd")
OTHERS = (contact(8, "Beta Pty Ltd", "BETA01"), contact(9, "Gamma Pty Ltd"))


def asked(
    contacts: Sequence[Contact],
    number: str = "ACME01",
    rows: str = "",
    company: Reference = COMPANY,
    role: str = "customer",
) -> tuple[Contact, int | None] | Hold:
    """The contact and the row of contacts.csv that named it, or the hold."""
    table = read_table(CONTACTS, f"organisation,role,company,contact_id,account_number,contact_name\n{rows}".encode())
    result = resolve(company, number, role, "Sydney", table, books(contacts=(*contacts, *OTHERS)))
    assert not isinstance(result, NewContact)
    return result if isinstance(result, Hold) else (result[0], result[1].number if result[1] else None)


ARCHIVED = "ARCHIVED"

FOUND = {
    "by account number": ([contact(1, "Acme Holdings", "ACME01")], "ACME01", "", 1),
    "by account number in other case": ([contact(1, "Acme Holdings", "acme01 ")], " Acme01", "", 1),
    "by number although another bears the name": (
        [contact(1, "Acme Holdings", "ACME01"), contact(2, "Acme Pty Ltd", "OTHER")], "ACME01", "", 1,
    ),
    "by the one active number": (
        [contact(1, "Acme (old)", "ACME01", ARCHIVED), contact(2, "Acme Pty Ltd", "ACME01")], "ACME01", "", 2,
    ),
    "by name with a blank number": ([contact(1, "Acme Pty Ltd")], "ACME01", "", 1),
    "by name in other case": ([contact(1, "ACME  pty ltd")], "ACME01", "", 1),
    "by name, neither has a number": ([contact(1, "Acme Pty Ltd")], "", "", 1),
    "by name, the number belongs to an archived one": (
        [contact(1, "Acme (old)", "ACME01", ARCHIVED), contact(2, "Acme Pty Ltd")], "ACME01", "", 2,
    ),
    "by the one active name": (
        [contact(1, "Acme Pty Ltd", "", ARCHIVED), contact(2, "Acme Pty Ltd")], "", "", 2,
    ),
    "by contacts.csv, contact_id": (
        [contact(1, "Acme Pty Ltd", "ACME01"), contact(2, "Other")],
        "ACME01", ",,ACME,AAAAAAAA-0000-4000-8000-000000000002,,", 2,
    ),
    "by contacts.csv, account_number": ([contact(1, "Other", "X-1")], "", ",,101,,x-1,", 1),
    "by contacts.csv, contact_name": ([contact(1, "Other Name")], "", "Sydney,customer,acme pty ltd,,,other name", 1),
    "by contacts.csv, the first filled column": (
        [contact(1, "Other", "X-1"), contact(2, "Wrong")], "", ",,ACME,,X-1,Wrong", 1,
    ),
    "by contacts.csv, the active one of two": (
        [contact(1, "Other", "X-1", ARCHIVED), contact(2, "Another", "X-1")], "", ",,ACME,,X-1,", 2,
    ),
    "by contacts.csv, more specific row": (
        [contact(1, "One"), contact(2, "Two")], "", ",,ACME,,,One\n,customer,ACME,,,Two", 2,
    ),
    "not by a row for suppliers": ([contact(1, "Acme Pty Ltd")], "", ",supplier,ACME,,,Gamma Pty Ltd", 1),
    "not by a row for another organisation": ([contact(1, "Acme Pty Ltd")], "", "Perth,,ACME,,,Gamma Pty Ltd", 1),
}  # fmt: skip


@pytest.mark.parametrize("case", FOUND)
def test_a_company_is_found(case: str) -> None:
    """The first certain match in the order of the design wins."""
    contacts, number, rows, wanted = FOUND[case]
    result = asked(contacts, number, rows)
    assert not isinstance(result, Hold), result
    assert result[0].contact_id.endswith(f"{wanted:012}")
    assert (result[1] is not None) == case.startswith("by contacts.csv")


LINE = "add to contacts.csv: Sydney,customer,ACME,,,<the contact's name in Xero>"

HELD = {
    "nobody": (
        [], "ACME01", "", Reason.MISSING_CONTACT,
        "Sydney has no contact for Acme Pty Ltd (account number ACME01).",
        f"Create the contact in Xero with the account number ACME01, or {LINE}",
    ),
    "nobody, and no number to look for": (
        [contact(1, "Acme", "")], "", "", Reason.MISSING_CONTACT,
        "Sydney has no contact named 'Acme Pty Ltd', and the company has no account number in ConnectWise.",
        f"Create the contact in Xero under exactly this name, or {LINE}",
    ),
    "a blank number never matches a blank number": (
        [contact(1, "Somebody", " ")], "  ", "", Reason.MISSING_CONTACT,
        "Sydney has no contact named 'Acme Pty Ltd', and the company has no account number in ConnectWise.",
        f"Create the contact in Xero under exactly this name, or {LINE}",
    ),
    "two with the number": (
        [contact(1, "Acme Pty Ltd", "ACME01"), contact(2, "Acme East", "acme01")], "ACME01", "",
        Reason.MISSING_CONTACT,
        "2 contacts in Sydney bear the account number ACME01 of Acme Pty Ltd: Acme East, Acme Pty Ltd.",
        f"Leave the number on one of them, or {LINE}",
    ),
    "two with the name": (
        [contact(1, "Acme Pty Ltd"), contact(2, "ACME PTY LTD")], "", "", Reason.MISSING_CONTACT,
        "2 contacts in Sydney are named 'Acme Pty Ltd'.",
        f"Rename all but one of them in Xero, or {LINE}",
    ),
    "the name with another number": (
        [contact(1, "Acme Pty Ltd", "C-9")], "ACME01", "", Reason.MISSING_CONTACT,
        "The contact 'Acme Pty Ltd' in Sydney has the account number C-9, but Acme Pty Ltd has ACME01 in ConnectWise.",
        f"Make the two numbers equal, or {LINE}",
    ),
    "the name with a number where the company has none": (
        [contact(1, "Acme Pty Ltd", "C-9")], "", "", Reason.MISSING_CONTACT,
        "The contact 'Acme Pty Ltd' in Sydney has the account number C-9, but Acme Pty Ltd has none in ConnectWise.",
        f"Make the two numbers equal, or {LINE}",
    ),
    "archived by number": (
        [contact(1, "Acme Old", "ACME01", ARCHIVED)], "ACME01", "", Reason.CONTACT_ARCHIVED,
        "The contact 'Acme Old' for Acme Pty Ltd is archived in Sydney.",
        f"Restore the contact in Xero, or {LINE}",
    ),
    "archived by name": (
        [contact(1, "Acme Pty Ltd", "", ARCHIVED)], "", "", Reason.CONTACT_ARCHIVED,
        "The contact 'Acme Pty Ltd' for Acme Pty Ltd is archived in Sydney.",
        f"Restore the contact in Xero, or {LINE}",
    ),
    "the row's contact is archived": (
        [contact(1, "Other", "", ARCHIVED)], "", ",,ACME,,,Other", Reason.CONTACT_ARCHIVED,
        "contacts.csv row 2 names the contact 'Other' for Acme Pty Ltd, and that is archived in Xero.",
        "Restore the contact in Xero, or name another one in contacts.csv row 2.",
    ),
    "the row finds nothing, although the number would": (
        [contact(1, "Acme Pty Ltd", "ACME01")], "ACME01", ",,ACME,,Z-9,Acme Pty Ltd", Reason.MISSING_CONTACT,
        "contacts.csv row 2 names account_number 'Z-9' for Acme Pty Ltd, but Sydney has no contact with it.",
        "Correct account_number in contacts.csv row 2, or put the contact's id into contact_id.",
    ),
    "the row finds two": (
        [contact(1, "Other", "X-1"), contact(2, "Another", "X-1")], "", ",,ACME,,X-1,", Reason.MISSING_CONTACT,
        "contacts.csv row 2 names account_number 'X-1' for Acme Pty Ltd, but Sydney has 2 contacts with it.",
        "Correct account_number in contacts.csv row 2, or put the contact's id into contact_id.",
    ),
    "the row names nobody": (
        [contact(1, "Acme Pty Ltd", "ACME01")], "ACME01", ",,ACME,,,", Reason.MISSING_CONTACT,
        "contacts.csv row 2 is for Acme Pty Ltd, but names no contact.",
        "Fill contact_id, account_number or contact_name in contacts.csv row 2.",
    ),
    "two rows": (
        [contact(1, "One"), contact(2, "Two")], "", ",,ACME,,,One\n,,101,,,Two", Reason.AMBIGUOUS_MAPPING,
        "contacts.csv row 2 and contacts.csv row 3 both fit the company Acme Pty Ltd.",
        "Make contacts.csv row 2 or contacts.csv row 3 more specific, or remove one.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HELD)
def test_doubt_is_held_with_what_to_do(case: str) -> None:
    """A document for the wrong customer is worse than one that waits."""
    contacts, number, rows, reason, message, fix = HELD[case]
    hold = held(asked(contacts, number, rows))
    assert (hold.reason, hold.message, hold.fix) == (reason, message, fix)


WAITING = {"nobody": True, "archived by name": True, "the row names nobody": False, "two rows": False}


@pytest.mark.parametrize(("case", "waits"), WAITING.items())
def test_only_what_a_change_in_xero_could_cure_asks_xero_again(case: str, waits: bool) -> None:
    """A wrong row of ours costs no call per cycle."""
    contacts, number, rows, *_ = HELD[case]
    assert held(asked(contacts, number, rows)).waits_on == ((XeroList.CONTACTS,) if waits else ())


@pytest.mark.parametrize("name", ["", "  "])
def test_a_nameless_company_matches_no_nameless_contact(name: str) -> None:
    """Empty never matches, on either side."""
    company = Reference(id=101, identifier="ACME", name=name)
    assert held(asked([contact(1, ""), contact(2, " ", "")], "", company=company)).reason is Reason.MISSING_CONTACT


@pytest.mark.parametrize(
    ("company", "cell"),
    [
        (Reference(id=101, name='=cmd|"/C calc"!A1'), "101"),
        (Reference(id=101, identifier="@HOME", name="+Plus"), "101"),
        (Reference(id=101, name='Smith, "Jones" & Co'), 'Smith, "Jones" & Co'),
        (Reference(id=101, identifier="007"), "101"),
        (Reference(id=101, name="Two\nlines"), "Two lines"),
    ],
)
def test_the_line_to_paste_is_safe_and_works(company: Reference, cell: str) -> None:
    """Pasted as it is, with the contact's name, it finds the contact; no cell of it is a formula."""
    line = held(asked([], "", company=company)).fix.partition("contacts.csv: ")[2]
    cells = next(csv.reader(io.StringIO(line)))
    assert cells[2] == cell
    cells[5] = "Gamma Pty Ltd"
    pasted = io.StringIO()
    csv.writer(pasted).writerow(cells)
    result = asked([], "", rows=pasted.getvalue(), company=company)
    assert not isinstance(result, Hold)
    assert result[0].name == "Gamma Pty Ltd"


@pytest.mark.parametrize(
    ("company", "shown"),
    [
        (COMPANY, "Acme Pty Ltd"),
        (Reference(id=101, identifier="ACME"), "ACME"),
        (Reference(id=101), "company 101"),
    ],
)
def test_a_company_is_called_by_what_people_know(company: Reference, shown: str) -> None:
    """Its name, else its identifier, else its id."""
    hold = held(asked([], company=company))
    assert hold.value == shown
    assert hold.message == f"Sydney has no contact for {shown} (account number ACME01)."


def test_a_number_of_blanks_is_a_blank_number() -> None:
    """On the contact's side too."""
    result = asked([contact(1, "Acme Pty Ltd", "  ")])
    assert not isinstance(result, Hold)


def test_a_contact_that_is_listed_twice_counts_once() -> None:
    """Pages may shift while they are read; the same contact twice is not two hits."""
    book = ContactBook.of([contact(1, "Acme Pty Ltd", "OLD"), contact(1, "Acme Pty Ltd", "ACME01")])
    assert [each.account_number for each in book.named("acme pty ltd")] == ["ACME01"]
    assert book.numbered("OLD") == ()


def test_what_is_empty_finds_nobody() -> None:
    """Not even a contact whose id, number or name is empty; ids are found in either case."""
    book = ContactBook.of([Contact("ABC", "", "", "ACTIVE"), Contact("DEF", " ", " ", "ACTIVE")])
    assert book.numbered("") == book.named("") == book.with_id("") == book.named(" ") == book.numbered(" ") == ()
    assert [each.contact_id for each in (*book.with_id("abc"), *book.with_id("Def"))] == ["ABC", "DEF"]


# Known before


def known(contacts: Sequence[Contact], number: str = "ACME01", known_as: int = 1) -> Contact | Hold:
    """What becomes of a company that had the contact `known_as` before."""
    table = read_table(CONTACTS, b"organisation,role,company,contact_id,account_number,contact_name\n")
    world = books(contacts=(*contacts, *OTHERS))
    before = contact(known_as, "").contact_id
    result = resolve(COMPANY, number, "customer", "Sydney", table, world, before)
    assert not isinstance(result, NewContact)
    return result if isinstance(result, Hold) else result[0]


KNOWN = {
    "whatever it is called now": ([contact(1, "Acme Holdings")], "", 1),
    "although its own number is another now": ([contact(1, "Acme Pty Ltd", "C-9")], "ACME01", 1),
    "although another has the name": ([contact(1, "Acme Holdings"), contact(2, "Acme Pty Ltd")], "", 1),
    "not where it is gone": ([contact(2, "Acme Pty Ltd")], "", 2),
    "not where it is archived and one other bears the number": (
        [contact(1, "Acme Pty Ltd", "", ARCHIVED), contact(2, "Acme New", "ACME01")], "ACME01", 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KNOWN)
def test_the_contact_that_a_company_had_before_is_still_its_contact(case: str) -> None:
    contacts, number, wanted = KNOWN[case]
    found = known(contacts, number)
    assert isinstance(found, Contact) and found.contact_id.endswith(f"{wanted:012}")


def test_another_bearer_of_the_number_contradicts_what_was_known() -> None:
    found = held(known([contact(1, "Acme Holdings"), contact(2, "Acme New", "acme01")]))
    assert (found.reason, found.message, found.fix) == (
        Reason.MISSING_CONTACT,
        "Acme Pty Ltd was 'Acme Holdings' in Sydney so far; now 'Acme New' bears its account number ACME01.",
        f"Take the number off the wrong one of the two, or {LINE}",
    )


def merged(into: int) -> Contact:
    return replace(contact(1, "Acme Pty Ltd", "", ARCHIVED), merged_into=contact(into, "").contact_id)


def test_a_contact_that_was_merged_names_the_one_that_took_its_place() -> None:
    """A person says whether that is the same customer: the line to paste is complete."""
    for found in (
        known([merged(2), contact(2, "Acme Group")], ""),
        asked([merged(2), contact(2, "Acme Group")], ""),
    ):
        hold = held(found)
        assert (hold.reason, hold.message, hold.fix) == (
            Reason.CONTACT_ARCHIVED,
            "The contact 'Acme Pty Ltd' for Acme Pty Ltd is archived in Sydney: it was merged into 'Acme Group'.",
            "If that is the same customer, add to contacts.csv: Sydney,customer,ACME,,,Acme Group",
        )


def test_a_survivor_whose_name_looks_like_a_formula_is_named_by_its_id() -> None:
    """No table takes a cell that begins like one."""
    hold = held(known([merged(2), contact(2, "=Acme")], ""))
    line = hold.fix.partition("contacts.csv: ")[2]
    assert line == f"Sydney,customer,ACME,{contact(2, '').contact_id},,"
    assert asked([merged(2), contact(2, "=Acme")], "", line) == (contact(2, "=Acme"), 2)


@pytest.mark.parametrize("survivors", [[], [contact(2, "Acme Group", "", ARCHIVED)]])
def test_a_merged_contact_whose_survivor_cannot_be_used_is_just_archived(survivors: list[Contact]) -> None:
    assert held(known([merged(2), *survivors], "")).fix == f"Restore the contact in Xero, or {LINE}"


def test_a_row_that_names_a_merged_contact_says_so() -> None:
    found = held(asked([merged(2), contact(2, "Acme Group")], "", ",,ACME,,,Acme Pty Ltd"))
    assert found.message == (
        "contacts.csv row 2 names the contact 'Acme Pty Ltd' for Acme Pty Ltd, and that is archived in Xero: it was "
        "merged into 'Acme Group'."
    )


# Made


def made(contacts: Sequence[Contact] = (), number: str = "ACME01", company: Reference = COMPANY) -> NewContact | Hold:
    table = read_table(CONTACTS, b"organisation,role,company,contact_id,account_number,contact_name\n")
    result = resolve(
        company, number, "customer", "Sydney", table, books(contacts=(*contacts, *OTHERS)), "", create=True
    )
    assert isinstance(result, NewContact | Hold)
    return result


def test_a_company_that_nothing_resembles_gives_a_new_contact() -> None:
    new = made(number=" ACME01 ")
    assert isinstance(new, NewContact)
    assert (new.connectwise_id, new.organisation, new.part) == (101, "Sydney", new.tenant_id)
    assert new.body() == {"Name": "Acme Pty Ltd", "AccountNumber": "ACME01"}
    assert NewContact.from_text(new.to_text()) == new
    without = made(number=" ")
    assert isinstance(without, NewContact) and without.body() == {"Name": "Acme Pty Ltd"}
    assert new.fingerprint != without.fingerprint


def test_names_are_made_as_xero_takes_them() -> None:
    """No angle brackets, no blanks at the ends or doubled, no control characters (xero.md, 6)."""
    company = COMPANY.model_copy(update={"name": " Smith <&>\t\x07 Sons  "})
    new = made(company=company)
    assert isinstance(new, NewContact) and new.name == "Smith & Sons"


@pytest.mark.parametrize(
    ("number", "changes", "words"),
    [
        ("x" * 51, {}, "is too long for Xero"),
        ("", {"name": "x" * 256}, "is too long for Xero"),
        ("", {"name": "<>"}, "it has no name in ConnectWise"),
    ],
)
def test_what_xero_would_not_take_is_left_to_people(number: str, changes: dict[str, str], words: str) -> None:
    hold = held(made(number=number, company=COMPANY.model_copy(update=changes)))
    assert hold.reason is Reason.MISSING_CONTACT and words in hold.message


@pytest.mark.parametrize(
    "contacts",
    [
        [contact(1, "Acme Pty Ltd", "C-9")],
        [contact(1, "Acme Pty Ltd", "", ARCHIVED)],
        [contact(1, "Acme East", "ACME01"), contact(2, "Acme West", "ACME01")],
    ],
)
def test_nothing_is_made_beside_a_contact_that_resembles_the_company(contacts: list[Contact]) -> None:
    assert isinstance(made(contacts), Hold)


SAME = {
    "by number": ([contact(1, "Other", "acme01")], 1),
    "by name": ([contact(1, "ACME PTY  LTD", "C-9")], 1),
    "not an archived one": ([contact(1, "Acme Pty Ltd", "ACME01", ARCHIVED)], None),
    "not one of two": ([contact(1, "Acme", "ACME01"), contact(2, "Acne", "ACME01")], None),
    "number before name": ([contact(1, "Other", "ACME01"), contact(2, "Acme Pty Ltd")], 1),
}


@pytest.mark.parametrize("case", SAME)
def test_what_an_unclear_answer_made_is_found_again(case: str) -> None:
    contacts, wanted = SAME[case]
    new = NewContact("t", "Sydney", 101, "Acme Pty Ltd", "ACME01")
    found = same_contact(new, books(contacts=(*contacts, *OTHERS)))
    assert (found and int(found.contact_id[-12:])) == wanted
