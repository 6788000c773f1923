"""What is known of a record's last write: our document, Xero's answer, and which line is which."""

from __future__ import annotations

from datetime import UTC, datetime

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, insert, text

from blocks.audit import requests
from blocks.audit.database import MIGRATIONS, Audit, open_audit, pack
from blocks.audit.requests import Rebinding
from blocks.audit.tables import BINDINGS, REQUEST_ROWS, REQUESTS
from mappings.invoices import to_xero_invoice
from mappings.xero import write_json
from tests.mappings.samples import found, invoice, mapped, surroundings, time

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DOCUMENT = mapped(to_xero_invoice(invoice([time(), time("1", "100", number=9002)]), surroundings()))
LINES = [line.body() | {"LineItemID": f"id-{line.key}", "LineAmount": line.amount} for line in DOCUMENT.lines]


def test_a_posted_document_is_kept_with_the_ids_of_its_lines_whatever_their_order(any_audit: Audit) -> None:
    answer = found(DOCUMENT, LineItems=list(reversed(LINES)))
    with any_audit.transaction() as connection:
        requests.bind_in(connection, [(DOCUMENT, answer)], False, NOW)
    last = requests.last_writes(any_audit, "invoices", [DOCUMENT.connectwise_id])[DOCUMENT.connectwise_id]
    assert last.document is not None
    assert last.document.fingerprint == DOCUMENT.fingerprint
    assert last.lines == {line.key: f"id-{line.key}" for line in DOCUMENT.lines}
    assert last.answer == answer


def test_every_write_is_counted_and_what_is_only_read_is_not(any_audit: Audit) -> None:
    with any_audit.transaction() as connection:
        requests.bind_in(connection, [(DOCUMENT, found(DOCUMENT))], False, NOW)
    for written, writes in ((True, 2), (False, 2), (True, 3)):
        with any_audit.transaction() as connection:
            requests.rebind_in(
                connection,
                [Rebinding(DOCUMENT, found(DOCUMENT), {}, DOCUMENT.total, DOCUMENT.date, written=written)],
                NOW,
            )
        bound = requests.bound(any_audit, "invoices", [DOCUMENT.connectwise_id])
        assert bound[DOCUMENT.connectwise_id].writes == writes


def test_what_an_older_tieout_posted_is_found_in_the_request_that_posted_it(any_url: str) -> None:
    engine = create_engine(any_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    number = DOCUMENT.connectwise_id
    row = {
        "tenant_id": DOCUMENT.tenant_id, "family": "invoices", "connectwise_id": number, "part": "",
        "reference": DOCUMENT.reference, "fingerprint": DOCUMENT.fingerprint,
    }  # fmt: skip
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        request = {
            "id": "r", "run_id": "r", "family": "invoices", "tenant_id": DOCUMENT.tenant_id, "organisation": "Sydney",
            "method": "PUT", "path": "Invoices", "idempotency_key": "k", "stored_at": NOW, "settled_at": NOW,
            "how": "answered", "body": pack(write_json(DOCUMENT.body())),
        }  # fmt: skip
        connection.execute(insert(REQUESTS).values(**request))
        carried = {"request_id": "r", "number": DOCUMENT.number, "url": DOCUMENT.url, "settled_at": NOW}
        connection.execute(insert(REQUEST_ROWS).values(**row, **carried, document=pack(DOCUMENT.to_text())))
        binding = {
            "organisation": "Sydney", "xero_id": "x", "writes": 1, "total": "330.00", "currency": "AUD",
            "date": DOCUMENT.date, "adopted": False, "lines": "{}", "base": pack(found(DOCUMENT).text), "bound_at": NOW,
        }  # fmt: skip
        connection.execute(insert(BINDINGS).values(**row, **binding))
        taken_over = row | {"connectwise_id": number + 1, "fingerprint": "another"}
        connection.execute(insert(BINDINGS).values(**taken_over, **binding | {"xero_id": "y", "adopted": True}))
        connection.execute(text("INSERT INTO installation (id, set_up_on) VALUES ('i', '2026-01-01')"))
    engine.dispose()
    audit = open_audit(any_url)
    last = requests.last_writes(audit, "invoices", [number, number + 1])
    assert last[number].document == DOCUMENT
    assert last[number + 1].document is None
    audit.close()
