"""What a mapping is given beside the record: read whole or not at all, and named by its content."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mappings.connectwise import Company, TaxCode
from mappings.csv_tables import TablesUnusable
from mappings.lifecycle import PRESETS, Event, State
from mappings.links import ConnectWiseSite
from mappings.surroundings import read_tables
from tests.mappings.samples import FILES, books, surroundings, tables


def test_the_tables_of_a_folder_are_read_together() -> None:
    """The policy and the lifecycle too; files that mean nothing here are left alone."""
    read = tables(
        {
            "policy.toml": '[sales]\ninvoice_status = "submitted"\n',
            "lifecycle.csv": PRESETS["goods_receipt"],
            "lifecycle.signed.toml": f'[operator]\nname = "Ann"\ndate = 2026-03-01\nsha256 = "{"0" * 64}"\n',
            "approvals.csv": "x,y\n",
            "old.bak": "",
        }
    )
    assert len(read.accounts.rows) == 9
    assert read.contacts.rows == []
    assert read.policy.sales.invoice_status == "submitted"
    assert [row.events for row in read.lifecycle.fired("Sydney", [State.FULLY_RECEIVED])] == [(Event.DRAFT_BILL,)]
    assert [signature.name for signature in read.signatures] == ["Ann"]


def test_without_a_lifecycle_there_are_no_rows_and_no_signatures() -> None:
    """Every other family does without."""
    assert (tables().lifecycle.rows, tables().signatures) == ((), ())


def test_every_problem_of_every_file_is_told_at_once() -> None:
    """One round of corrections for the whole folder."""
    files = {
        "organisations.csv": b"location\n",
        "accounts.csv": FILES["accounts.csv"].encode() + b"=1,,,,,,\n",
        "contacts.csv": b"\xff",
        "policy.toml": b"[sales]\nx = 1\ny = 2\n",
        "lifecycle.csv": b"organisation,state,event,status\n,received,none,\n",
        "lifecycle.signed.toml": b"[owner]\n",
    }
    with pytest.raises(TablesUnusable) as caught:
        read_tables(files)
    told = [(problem.file, problem.row) for problem in caught.value.problems]
    assert told == [
        *[("organisations.csv", 1)] * 5,
        ("accounts.csv", 11),
        ("taxes.csv", 0),
        ("contacts.csv", 1),
        *[("policy.toml", 0)] * 2,
        ("lifecycle.csv", 2),
        ("lifecycle.signed.toml", 0),
    ]


def test_the_digest_names_the_very_content_of_the_folder() -> None:
    """Any change of any file, an empty one instead of none included; unknown files do not count."""
    same = tables().digest
    assert tables({"notes.txt": "x"}).digest == same
    changed = {
        tables({"accounts.csv": FILES["accounts.csv"] + "\n"}).digest,
        tables({"accounts.csv": FILES["accounts.csv"].replace("870", "871")}).digest,
        tables({"policy.toml": ""}).digest,
        tables({"policy.toml": "#"}).digest,
        tables({"contacts.csv": "organisation,role,company,contact_id,account_number,contact_name\n"}).digest,
        tables({"lifecycle.csv": PRESETS["manual"]}).digest,
    }
    assert len(changed | {same}) == 7


def test_the_digest_of_the_surroundings_names_everything_that_decides() -> None:
    """Equal surroundings have one name, and each part of them has its say: a cached mapping is never stale."""
    base = surroundings()
    others = [
        surroundings({"policy.toml": ""}),
        surroundings(sydney=replace(books(), digest="other")),
        surroundings(tax_codes=[TaxCode(id=5, identifier="GST", taxes_services=True)]),
        surroundings(tax_codes=[]),
        surroundings(companies=[Company(id=7, account_number="X")]),
        replace(base, site=ConnectWiseSite("https://other.example", "brightwater")),
        replace(base, tenants={}),
        replace(base, tenants={**base.tenants, "Auckland": "2"}),
        replace(base, books={}),
    ]
    assert surroundings().digest == base.digest
    assert len({base.digest, *(other.digest for other in others)}) == len(others) + 1


def test_the_order_in_which_things_were_read_does_not_matter() -> None:
    """The same content has the same name, whichever came first."""
    codes = [TaxCode(id=5, identifier="GST"), TaxCode(id=6, identifier="EXPORT")]
    payers = [Company(id=7, account_number="X"), Company(id=8, account_number="Y")]
    names = {"Sydney": "1", "Auckland": "2"}
    there = replace(surroundings(tax_codes=codes, companies=payers), tenants=names)
    back = replace(
        surroundings(tax_codes=codes[::-1], companies=payers[::-1]), tenants=dict(reversed(list(names.items())))
    )
    assert there.digest == back.digest
