"""What the audit knows of payments: which invoices are open, what was written of each, and who wrote first."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, insert, text

from blocks.audit import requests, runs, settlements
from blocks.audit.database import MIGRATIONS, Audit, open_audit
from blocks.audit.requests import Occupied
from blocks.audit.settlements import Glance
from blocks.audit.tables import BINDINGS, RECORDS
from mappings.payments import Pay
from tests.mappings.samples import SYDNEY
from tests.worlds import Clock

FAMILY = "payments"
PAY = Pay(
    connectwise_id=39001,
    row=501,
    instalment=1,
    reference="40001",
    organisation="Sydney",
    tenant_id=SYDNEY,
    invoice_xero_id="I-1",
    account_code="090",
    date=date(2026, 3, 2),
    amount=Decimal("100.00"),
    currency="AUD",
)


def bind(audit: Audit, clock: Clock, *pays: Pay, xero_id: str = "") -> None:
    """Note payments as written."""
    with audit.transaction() as connection:
        settlements.bind_in(connection, [(each, xero_id or f"P-{each.part}", "{}") for each in pays], clock())


def store(audit: Audit, clock: Clock, pay: Pay, used: dict[int, int] | None = None) -> requests.StoredRequest[Any]:
    """Store the request that pays."""
    return requests.store(
        audit, "run-1", "PUT", "Payments", b"{}", [pay], clock(), None, used={pay.connectwise_id: used or {}}
    )


def settle(audit: Audit, clock: Clock, request: requests.StoredRequest[Any]) -> None:
    with audit.transaction() as connection:
        requests.settle_in(connection, request, [row.connectwise_id for row in request.rows], "answered", clock())


def test_what_was_written_is_found_part_by_part_and_given_up_again(any_audit: Audit, clock: Clock) -> None:
    """With its id, amount and date."""
    second = replace(PAY, instalment=2, amount=Decimal("50.10"))
    bind(any_audit, clock, PAY, second)
    (kept, other) = settlements.parts(any_audit, FAMILY, [39001, 39002])[39001]
    assert (kept.part, kept.xero_id, kept.total, kept.date) == ("501-1", "P-501-1", Decimal("100.00"), PAY.date)
    assert other.total == Decimal("50.10")
    with any_audit.transaction() as connection:
        settlements.unbind_in(connection, FAMILY, {39001: ["501-1"]})
    assert [each.part for each in settlements.parts(any_audit, FAMILY, [39001])[39001]] == ["501-2"]


def test_what_two_processes_come_upon_is_bound_once(any_audit: Audit, clock: Clock) -> None:
    """One sees it on the invoice before the other has its answer."""
    bind(any_audit, clock, PAY)
    bind(any_audit, clock, PAY)
    bind(any_audit, clock, PAY, xero_id="another")
    (kept,) = settlements.parts(any_audit, FAMILY, [39001])[39001]
    assert kept.xero_id == "P-501-1"


def test_the_highest_instalment_counts_wherever_it_was_seen(any_audit: Audit, clock: Clock) -> None:
    """In a request of which nothing came, too: its Reference is spent."""
    assert settlements.used(any_audit, FAMILY, [39001]) == {}
    settle(any_audit, clock, store(any_audit, clock, PAY))
    settle(any_audit, clock, store(any_audit, clock, replace(PAY, instalment=2), {501: 1}))
    bind(any_audit, clock, replace(PAY, row=502, instalment=4))
    assert settlements.used(any_audit, FAMILY, [39001, 39002]) == {39001: {501: 2, 502: 4}}


@pytest.mark.parametrize("settled", [False, True])
def test_who_decided_before_another_wrote_has_to_decide_anew(any_audit: Audit, clock: Clock, settled: bool) -> None:
    """Of another row, or as another instalment: the level was another one then."""
    first = store(any_audit, clock, PAY)
    if settled:
        settle(any_audit, clock, first)
        bind(any_audit, clock, PAY)
    for late in (PAY, replace(PAY, instalment=2), replace(PAY, row=502)):
        with pytest.raises(Occupied):
            store(any_audit, clock, late)
    if settled:
        store(any_audit, clock, replace(PAY, instalment=2), {501: 1})


def test_what_is_stored_again_after_it_was_refused_is_no_stranger(any_audit: Audit, clock: Clock) -> None:
    """A batch is split, and its halves carry the same payments."""
    settle(any_audit, clock, store(any_audit, clock, PAY))
    store(any_audit, clock, PAY)


def test_open_invoices_are_kept_page_by_page_and_their_outcomes_stay(any_audit: Audit, clock: Clock) -> None:
    """A glance says whether anything is due, and nothing else of what is known."""
    seen = [Glance(number, f"4{number}", "0.00", True) for number in (1, 2, 3)]
    settlements.note(any_audit, FAMILY, "run-1", seen, clock(), None)
    assert settlements.open_ids(any_audit, FAMILY, -1, 2) == [1, 2]
    assert settlements.open_ids(any_audit, FAMILY, 2, 2) == [3]
    settlements.note(any_audit, FAMILY, "run-2", [replace(seen[0], is_open=False, seen="330.00")], clock(), None)
    assert settlements.open_ids(any_audit, FAMILY, -1, 5) == [2, 3]
    found = settlements.glances(any_audit, FAMILY, [1, 2, 9])
    assert found.keys() == {1, 2} and (found[1].is_open, found[1].seen) == (False, "0.00")
    assert runs.standings(any_audit, FAMILY, [1])[1].run_id == "run-1"
    assert settlements.open_ids(any_audit, "invoices", -1, 5) == []


def test_a_document_of_the_same_record_is_no_part(any_audit: Audit, clock: Clock) -> None:
    """The invoice itself has a binding under its own family."""
    bind(any_audit, clock, PAY)
    with any_audit.transaction() as connection:
        row = {
            "family": "invoices", "connectwise_id": 39001, "part": "", "tenant_id": SYDNEY, "organisation": "Sydney",
            "xero_id": "I-1", "reference": "40001", "fingerprint": "", "writes": 1, "total": "330.00",
            "currency": "AUD", "date": date(2026, 3, 2), "adopted": False, "lines": "{}",
            "base": b"", "written": b"", "bound_at": clock(),
        }  # fmt: skip
        connection.execute(insert(BINDINGS), [row])
    assert [each.part for each in settlements.parts(any_audit, FAMILY, [39001])[39001]] == ["501-1"]


def test_the_records_of_an_older_tieout_come_along_and_none_of_them_is_open(any_url: str, clock: Clock) -> None:
    """Nothing was known of payments then: what is open is learnt from the first list."""
    engine = create_engine(any_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    record = {
        "family": "invoices", "connectwise_id": 1, "reference": "40001", "seen": "x", "outcome": "posted",
        "run_id": "run-1", "tried_at": clock(), "organisation": "Sydney", "reason": "", "waits_on": "", "value": "",
        "message": "", "body": "",
    }  # fmt: skip
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        connection.execute(insert(RECORDS).values(**record))
        connection.execute(text("INSERT INTO installation (id, set_up_on) VALUES ('i', '2026-01-01')"))
    engine.dispose()
    audit = open_audit(any_url)
    try:
        (glance,) = settlements.glances(audit, "invoices", [1]).values()
        assert (glance.reference, glance.is_open) == ("40001", False)
        assert settlements.open_ids(audit, "invoices", -1, 5) == []
        settlements.note(audit, "payments", "run-2", [Glance(1, "40001", "0.00", True)], clock(), None)
        assert settlements.open_ids(audit, "payments", -1, 5) == [1]
    finally:
        audit.close()
