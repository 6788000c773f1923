"""The exception mail, cycle after cycle: told once, told when it is done, and never told for nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

import blocks.mail
from blocks.audit import leases
from blocks.audit.tables import EXCEPTIONS
from flows.family import Summary
from tasks.mail import Mailing, mail_exceptions
from tests.postbox import Postbox, postbox, silent, text_of, with_password
from tests.worlds import LOST, World

CANARY = "canary-mail-password"


@pytest.fixture
def box() -> Iterator[Postbox]:
    with postbox() as box:
        yield box


def mail(summary: Summary, box: Postbox, **fields: Any) -> list[str]:
    """What the end of a cycle in a flow run does where [mail] is set up; the findings."""
    assert summary.cycle is not None
    return mail_exceptions.fn(Mailing(summary.cycle, box.block(**fields), "http://127.0.0.1/runs/flow-run/1"))


def cycle(world: World, box: Postbox, **form: Any) -> list[str]:
    """A cycle and its mail: the subjects that came, without what stands in all of them."""
    before = len(box.mails)
    assert mail(world.cycle(**form), box) == []
    return [subject.strip().removeprefix("tieout: ") for subject in box.subjects[before:]]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Sydney and Perth, and a customer whom neither of them knows."""
    world = World(tmp_path).ready_twice()
    world.connectwise.add_company("NEWCO", "Newco Pty Ltd", account_number="NEW01")
    return world


def hold_one(world: World, number: str, **fields: Any) -> int:
    """An invoice to the customer whom Xero does not know."""
    return world.add_invoice(number, **{"company": "NEWCO"} | fields)


def cure(world: World) -> None:
    """The bookkeeper makes the contact."""
    for books in world.xero.organisations.values():
        books.add_contact("Newco Pty Ltd", account_number="NEW01")


# When there is a mail


def test_a_new_exception_is_mailed_once_with_its_cure_and_its_links(world: World, box: Postbox) -> None:
    number = hold_one(world, "40001")
    assert cycle(world, box) == ["1 new exception in Sydney (invoices)"]
    for kind in ("plain", "html"):
        text = text_of(box.mails[0], kind)
        assert "missing_contact: 1 record, 330.00" in text
        assert "NEW01" in text and "40001" in text and f"recid={number}" in text
        assert "runs/flow-run/1" in text
    for _ in range(3):
        assert cycle(world.later(), box) == []


def test_a_cycle_in_which_all_goes_well_is_not_mailed(world: World, box: Postbox) -> None:
    world.add_invoice("40001")
    assert cycle(world, box) == []


def test_what_comes_later_is_new_and_what_was_mailed_is_counted(world: World, box: Postbox) -> None:
    hold_one(world, "40001")
    cycle(world, box)
    hold_one(world, "40002")
    assert cycle(world.later(), box) == ["1 new exception in Sydney (invoices)"]
    assert "40001" not in text_of(box.mails[1])
    assert "Mailed before, and still open: 1." in text_of(box.mails[1])


def test_what_is_resolved_is_told_once_with_its_place_in_xero(world: World, box: Postbox) -> None:
    hold_one(world, "40001")
    cycle(world, box)
    cure(world)
    assert cycle(world.later(), box) == ["1 exception resolved in Sydney (invoices)"]
    assert f"view/{world.invoices()['40001']['InvoiceID']}" in text_of(box.mails[1])
    assert cycle(world.later(), box) == []


def test_what_was_resolved_before_anybody_was_told_of_it_is_not_told(world: World, box: Postbox) -> None:
    hold_one(world, "40001")
    world.cycle()
    cure(world)
    assert cycle(world.later(), box) == []


def test_what_is_still_open_after_a_week_is_told_again_and_a_week_later_once_more(world: World, box: Postbox) -> None:
    hold_one(world, "40001")
    cycle(world, box)
    for days, expected in ((6, []), (1, ["1 exception still open in Sydney (invoices)"]), (6, [])):
        assert cycle(world.later(days=days), box) == expected
    assert cycle(world.later(days=1), box) == ["1 exception still open in Sydney (invoices)"]


def test_a_record_that_waits_for_something_else_is_new_and_not_resolved(world: World, box: Postbox) -> None:
    hold_one(world, "40001")
    cycle(world, box)
    cure(world)
    world.write("taxes.csv", "organisation,side,tax_code,taxable,tax_type\n,sales,NONE,yes,OUTPUT\n")
    assert cycle(world.later(), box) == ["1 new exception in Sydney (invoices)"]
    assert "missing_tax" in text_of(box.mails[1])
    world.write("taxes.csv", "organisation,side,tax_code,taxable,tax_type\n,sales,,yes,OUTPUT\n")
    assert cycle(world.later(), box) == ["1 exception resolved in Sydney (invoices)"]


def test_each_organisation_has_its_own_mail_and_what_is_not_routed_becomes_that_of_its_organisation(
    world: World, box: Postbox
) -> None:
    world.connectwise.add_location("Hobart", id=13)
    hold_one(world, "40001")
    hold_one(world, "40002", location="Perth")
    world.add_invoice("40003", location="Hobart")
    assert cycle(world, box) == [
        "1 new exception, not routed yet (invoices)",
        "1 new exception in Perth (invoices)",
        "1 new exception in Sydney (invoices)",
    ]
    world.paste("organisations.csv", "Hobart,,,,,Sydney")
    assert cycle(world.later(), box) == ["1 exception resolved in Sydney (invoices)"]


def test_ten_invoices_with_one_cure_are_one_cause(world: World, box: Postbox) -> None:
    for number in range(10):
        hold_one(world, f"4000{number}")
    cycle(world, box)
    assert "missing_contact: 10 records, 3,300.00" in text_of(box.mails[0])


def test_a_dry_run_tells_nobody(world: World) -> None:
    """The mail is sent where a cycle has ended in a flow run; a plan leaves nothing behind that could be told."""
    hold_one(world, "40001")
    world.cycle(mode="plan")
    assert world.exceptions() == []


def test_a_cycle_that_fails_mails_what_it_found_before(world: World, box: Postbox) -> None:
    hold_one(world, "40001")
    world.cycle()
    world.to_connectwise.plan = lambda _request, _number: LOST
    failed = world.later().cycle()
    assert failed.failed and failed.cycle is not None
    assert mail(failed, box) == []
    assert len(box.mails) == 1


# When it cannot be sent


def test_what_the_server_did_not_take_is_told_by_the_next_cycle(world: World, box: Postbox) -> None:
    hold_one(world, "40001")
    box.says = "451 try later"
    summary = world.cycle()
    (finding,) = mail(summary, box)
    assert finding.startswith(
        f"The mail 'tieout: 1 new exception in Sydney (invoices)' was not sent: the mail server 127.0.0.1:{box.port} "
        "said 451 try later. The next cycle tries again;"
    )
    assert summary.exit_code == 3 and not summary.failed
    assert world.exceptions()[0]["mailed_at"] is None
    box.says = ""
    assert cycle(world.later(), box) == ["1 new exception in Sydney (invoices)"]


def test_one_mail_that_is_refused_does_not_hold_up_the_others(world: World, box: Postbox) -> None:
    hold_one(world, "40001")
    hold_one(world, "40002", location="Perth")
    answers = ["550 no Perth, please", ""]
    box.met = lambda: setattr(box, "says", answers.pop(0))
    assert len(mail(world.cycle(), box)) == 1
    assert [subject.strip() for subject in box.subjects] == ["tieout: 1 new exception in Sydney (invoices)"]
    box.met = lambda: setattr(box, "says", "")
    assert cycle(world.later(), box) == ["1 new exception in Perth (invoices)"]


def test_a_silent_server_is_waited_for_once_and_not_for_every_organisation(
    world: World, box: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks.mail, "SECONDS", 0.3)
    hold_one(world, "40001")
    hold_one(world, "40002", location="Perth")
    with silent() as port:
        (finding,) = mail(world.cycle(), box, smtp_port=port)
    assert "did not take the message within" in finding
    assert len(cycle(world.later(), box)) == 2


def test_a_recipient_that_is_refused_is_a_finding_and_the_mail_is_not_sent_again(world: World, box: Postbox) -> None:
    hold_one(world, "40001")
    box.refuses = {"ops@example.com": "550 unknown here"}
    (finding,) = mail(world.cycle(), box)
    assert "did not reach everybody" in finding and "ops@example.com: 550 unknown here" in finding
    assert cycle(world.later(), box) == []


def test_a_resolution_that_could_not_be_mailed_is_told_later(world: World, box: Postbox) -> None:
    hold_one(world, "40001")
    cycle(world, box)
    cure(world)
    box.says = "451 try later"
    assert len(mail(world.later().cycle(), box)) == 1
    box.says = ""
    assert cycle(world.later(), box) == ["1 exception resolved in Sydney (invoices)"]


# Cycles that meet


def test_two_cycles_that_end_at_once_tell_it_once(world: World, box: Postbox) -> None:
    """The second asks what was mailed only when the first has noted what it mailed."""
    hold_one(world, "40001")
    summary = world.cycle()
    reached, go_on = threading.Event(), threading.Event()

    def slowly() -> None:
        reached.set()
        go_on.wait(20)

    box.met = slowly
    both = [threading.Thread(target=mail, args=(summary, box)) for _ in range(2)]
    both[0].start()
    assert reached.wait(20)
    both[1].start()
    both[1].join(1.5)
    assert both[1].is_alive(), "it waits for the first"
    go_on.set()
    for thread in both:
        thread.join(30)
    assert len(box.mails) == 1


def test_whoever_lost_the_lease_while_mailing_says_that_it_may_be_told_again(world: World, box: Postbox) -> None:
    """A process that slept through its lease: the other may have told it already, so it notes nothing."""
    hold_one(world, "40001")
    summary = world.cycle()
    assert summary.cycle is not None

    def taken_over() -> None:
        assert summary.cycle is not None
        audit, later = summary.cycle.doors.audit, world.clock() + leases.LASTS * 2
        leases.take(audit, "mail:invoices", "another cycle", later)

    box.met = taken_over
    (finding,) = mail(summary, box)
    assert "may not all have been mailed" in finding and "taken over" in finding
    assert world.exceptions()[0]["mailed_at"] is None


# What is told of whom


def test_a_customer_with_a_hostile_name_writes_no_header_and_no_tag(world: World, box: Postbox) -> None:
    name = "Evil\r\nBcc: thief@example.com\u202e <script>alert(1)</script>"
    world.connectwise.add_company("EVIL", name, account_number="EVIL01")
    world.add_invoice("40001", company="EVIL")
    cycle(world, box)
    assert "Bcc" not in box.mails[0]
    assert box.envelopes[0].rcpt_tos == ["accounts@example.com", "ops@example.com"]
    html = text_of(box.mails[0], "html")
    assert "&lt;script&gt;" in html and "<script" not in html and "\u202e" not in html


def test_the_password_is_nowhere_in_the_audit_nor_in_findings_nor_in_logs(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    hold_one(world, "40001")
    with (
        caplog.at_level("DEBUG"),
        postbox(password=CANARY) as box,
        postbox(password="other", refusal=f"535 {CANARY}") as no,
    ):
        summary = world.cycle()
        findings = mail(summary, no, **with_password(CANARY))
        assert len(findings) == 1
        assert mail(summary, box, **with_password(CANARY)) == []
    assert len(box.mails) == 1
    everything = b"".join(path.read_bytes() for path in world.folder.iterdir() if path.is_file())
    assert CANARY.encode() not in everything + box.raw[0]
    # Without what the mail server itself logs.
    logged = [record.getMessage() for record in caplog.records if record.name != "mail.log"]
    assert not [words for words in (*logged, *findings) if CANARY in words]


def test_what_is_open_when_an_audit_is_brought_up_to_date_is_new(world: World, box: Postbox) -> None:
    """Nobody was ever told of it."""
    hold_one(world, "40001")
    cycle(world, box)
    audit = world.audit()
    with audit.transaction() as connection:
        connection.execute(update(EXCEPTIONS).values(mailed_at=None, mailed_as=None))
    audit.close()
    assert cycle(world.later(), box) == ["1 new exception in Sydney (invoices)"]


def test_a_payment_that_is_held_is_mailed_with_its_money_and_what_waits_by_itself_is_not(
    world: World, box: Postbox
) -> None:
    """And it is told when it is resolved."""
    world.policy('[families]\npayments = "on"\n[sales]\ninvoice_status = "authorised"')
    world.write("payment_accounts.csv", "organisation,currency,payment_account,account_code\n,,,090\n")
    for number in (40001, 40002):
        world.add_invoice(str(number), id=number)
        if number == 40001:
            world.cycle()
    row = world.connectwise.add_payment(40001, "400.00")
    world.connectwise.add_payment(40002, "10.00")
    assert cycle(world, box, family="payments") == ["1 new exception in Sydney (payments)"]
    text = text_of(box.mails[0])
    assert "overpayment: 1 record, 400.00" in text and "40001" in text and "40002" not in text
    assert cycle(world.later(), box, family="payments") == []
    world.connectwise.change_payment(row, "330.00")
    assert cycle(world.later(), box, family="payments") == ["1 exception resolved in Sydney (payments)"]
