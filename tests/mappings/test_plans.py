"""What is to be done with a mapped document: one function decides, for a dry run and a real one alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from mappings.invoices import to_xero_invoice
from mappings.outcomes import Reason
from mappings.plans import Adopt, Bound, Create, decide, organisation_changed, plan_id
from mappings.policy import read_policy
from mappings.xero import Document, Found
from tests.mappings.samples import SYDNEY, found, held, invoice, mapped, surroundings, time

DOCUMENT = mapped(to_xero_invoice(invoice([time()]), surroundings()))
BOUND = Bound(
    tenant_id=SYDNEY,
    organisation="Sydney",
    xero_id="bbbbbbbb-0000-4000-8000-000000000001",
    reference="40001",
    fingerprint=DOCUMENT.fingerprint,
    writes=1,
    total=Decimal("330.00"),
    currency="AUD",
    date=date(2026, 3, 2),
)
DEFAULTS = read_policy(None)
ASK_FIRST = read_policy(b'[adopt]\nexisting = "hold"\n')

OURS = found(DOCUMENT)
BY_HAND = found(DOCUMENT, Url="")
ELSEWHERE: dict[str, Any] = {"Url": "", "InvoiceID": "bbbbbbbb-0000-4000-8000-000000000002"}
OTHER: dict[str, Any] = {"ContactID": "cccccccc-0000-4000-8000-000000000001", "Name": "Beta"}


def action(there: Sequence[Found] = (), document: Document = DOCUMENT) -> object:
    return decide(document, there, DEFAULTS)


# Not bound yet


def test_what_is_nowhere_is_created() -> None:
    """No binding, nothing found: the first write of this record."""
    assert action() == Create(DOCUMENT, writes=0)


def test_our_own_document_is_bound_again() -> None:
    """An answer was lost, or the audit is new: the link says that it is ours, whatever policy says of others."""
    assert action([OURS]) == Adopt(DOCUMENT, OURS)
    assert decide(DOCUMENT, [OURS], ASK_FIRST) == Adopt(DOCUMENT, OURS)
    renumbered = found(DOCUMENT, InvoiceNumber="X-1")
    assert action([renumbered]) == Adopt(DOCUMENT, renumbered)


def test_a_document_entered_by_hand_that_agrees_is_taken_over() -> None:
    """Type, contact, currency and total; unless policy wants to be asked."""
    assert action([BY_HAND]) == Adopt(DOCUMENT, BY_HAND)
    hold = held(decide(DOCUMENT, [BY_HAND], ASK_FIRST))
    assert hold.reason is Reason.NUMBER_CONFLICT
    assert hold.message == "Sydney already has 40001 (330.00 AUD for Acme Pty Ltd)."


def test_a_total_is_compared_as_a_number() -> None:
    """330, 330.00 and 330.0000 are one amount; ids are compared without regard to case."""
    loud = replace(DOCUMENT, contact_id=DOCUMENT.contact_id.upper())
    for total in ("330", "330.0000"):
        other = found(DOCUMENT, Total=Decimal(total), Contact={"ContactID": loud.contact_id, "Name": "A"})
        assert action([other]) == Adopt(DOCUMENT, other)
        assert action([OURS], document=loud) == Adopt(loud, OURS)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"Total": Decimal("330.01")}, "total 330.00 in ConnectWise, 330.01 in Xero"),
        ({"CurrencyCode": "NZD"}, "currency AUD in ConnectWise, NZD in Xero"),
        ({"Contact": OTHER}, "contact Acme Pty Ltd in ConnectWise, Beta in Xero"),
        (
            {"Contact": OTHER, "Total": Decimal(1)},
            "contact Acme Pty Ltd in ConnectWise, Beta in Xero; total 330.00 in ConnectWise, 1.00 in Xero",
        ),
    ],
)
@pytest.mark.parametrize(("url", "reason"), [(None, Reason.ADOPTED_DIFFERS), ("", Reason.NUMBER_CONFLICT)])
def test_a_document_that_differs_is_held_with_both_values(
    url: str | None, reason: Reason, changes: dict[str, Any], difference: str
) -> None:
    """Ours or somebody else's: nothing is bound that does not agree."""
    hold = held(action([found(DOCUMENT, **changes | ({} if url is None else {"Url": url}))]))
    assert hold.reason is reason
    assert hold.message == f"Sydney already has 40001, and it differs: {difference}."


def test_a_document_of_another_type_with_our_link_is_not_taken_for_ours() -> None:
    """Somebody put the link on a bill."""
    hold = held(action([found(DOCUMENT, Type="ACCPAY")]))
    assert hold.reason is Reason.ADOPTED_DIFFERS
    assert hold.message == (
        "Sydney already has 40001, and it differs: type ACCREC in ConnectWise, ACCPAY in Xero."
    )  # fmt: skip


def test_two_documents_with_our_link_are_one_too_many() -> None:
    """Nothing more is written; a person voids one."""
    again = found(DOCUMENT, InvoiceID="bbbbbbbb-0000-4000-8000-000000000002", InvoiceNumber="40001-1")
    hold = held(action([again, OURS]))
    assert hold.reason is Reason.NUMBER_CONFLICT
    assert hold.message == "2 documents in Sydney link to this record: 40001, 40001-1."
    nameless = found(DOCUMENT, InvoiceID="bbbbbbbb-0000-4000-8000-000000000003", InvoiceNumber="")
    assert "40001, bbbbbbbb-0000-4000-8000-000000000003" in held(action([nameless, OURS])).message
    assert hold.fix == "Void the ones that are too many in Xero."


def test_our_link_counts_for_more_than_the_number() -> None:
    """The document with our link is ours, even beside another one with the number."""
    assert action([found(DOCUMENT, **ELSEWHERE, Total=Decimal(5)), OURS]) == Adopt(DOCUMENT, OURS)


def test_two_live_documents_with_the_number_are_held() -> None:
    """Nobody can say which of them is meant."""
    hold = held(action([BY_HAND, found(DOCUMENT, **ELSEWHERE, Total=Decimal(5))]))
    assert hold.reason is Reason.NUMBER_CONFLICT
    assert hold.message == "Sydney already has 40001 (330.00 AUD for Acme Pty Ltd), 40001 (5.00 AUD for Acme Pty Ltd)."


@pytest.mark.parametrize("status", ["VOIDED", "DELETED"])
def test_what_a_person_removed_stays_removed(status: str) -> None:
    """Our own document, voided or deleted in Xero, is not written again."""
    hold = held(action([found(DOCUMENT, **ELSEWHERE, Status="VOIDED"), found(DOCUMENT, Status=status)]))
    assert hold.reason is Reason.REMOVED_IN_XERO
    assert hold.message == f"Sydney has 40001 for this record, and somebody {status.lower()} it."


@pytest.mark.parametrize("status", ["VOIDED", "DELETED"])
def test_a_dead_document_of_somebody_else_keeps_its_number(status: str) -> None:
    """It was never this record's document, and the message does not say so."""
    hold = held(action([found(DOCUMENT, **ELSEWHERE, Status=status)]))
    assert hold.reason is Reason.NUMBER_CONFLICT
    assert hold.message == (
        f"Sydney has 40001 already (330.00 AUD for Acme Pty Ltd); it was {status.lower()}, but keeps its number."
    )


def test_a_live_document_counts_for_more_than_a_dead_one() -> None:
    """Ours was voided and entered again by hand, alike: the new one is taken over."""
    assert action([found(DOCUMENT, Status="VOIDED"), BY_HAND]) == Adopt(DOCUMENT, BY_HAND)


def test_a_bill_with_the_same_number_is_no_rival() -> None:
    """Suppliers number their bills as they like."""
    bill = found(DOCUMENT, **ELSEWHERE, Type="ACCPAY")
    assert action([bill]) == Create(DOCUMENT)
    assert action([bill, BY_HAND]) == Adopt(DOCUMENT, BY_HAND)
    hold = held(action([found(DOCUMENT, Type="ACCPAY")]))
    assert hold.reason is Reason.ADOPTED_DIFFERS
    assert "type ACCREC in ConnectWise, ACCPAY in Xero" in hold.message


# A person decides


def test_a_person_may_take_either_version() -> None:
    """Theirs: bound as it is. Ours: bound, and an edit follows; nothing to overwrite where both agree anyway."""
    differs = found(DOCUMENT, Url="", Total=500)
    assert decide(DOCUMENT, [differs], DEFAULTS, "theirs") == Adopt(DOCUMENT, differs)
    assert decide(DOCUMENT, [differs], DEFAULTS, "ours") == Adopt(DOCUMENT, differs, overwrite=True)
    assert decide(DOCUMENT, [BY_HAND], ASK_FIRST, "ours") == Adopt(DOCUMENT, BY_HAND)


def test_between_two_candidates_no_word_decides() -> None:
    """Which of them would be meant?"""
    hold = held(decide(DOCUMENT, [BY_HAND, found(DOCUMENT, **ELSEWHERE)], DEFAULTS, "ours"))
    assert hold.reason is Reason.NUMBER_CONFLICT


def test_a_document_never_lives_in_two_organisations() -> None:
    """A record that is routed elsewhere after posting is held, both places named."""
    moved = replace(DOCUMENT, organisation="Auckland", tenant_id="22222222-2222-4222-8222-222222222222")
    hold = organisation_changed(moved, BOUND)
    assert hold.reason is Reason.ORGANISATION_CHANGED
    assert hold.message == "40001 was posted to Sydney; the tables now send it to Auckland."


# The plan's own name


def test_a_plan_is_named_by_its_content_alone() -> None:
    """Order of keys does not matter, any value does."""
    assert plan_id({"a": 1, "b": [Decimal("1.10")]}) == plan_id({"b": [Decimal("1.10")], "a": 1})
    assert plan_id({"a": Decimal("1.10")}) != plan_id({"a": Decimal("1.11")})
