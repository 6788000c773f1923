"""Mail as a real server gets it: both texts, no header out of a text, and a sentence for whatever goes wrong."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.blocks.abstract import NotificationError
from pydantic import ValidationError

import blocks.mail
from blocks.addresses import checked_mailbox
from blocks.mail import ExceptionMail, MailNotSent, MailServerSilent
from tests.postbox import RECIPIENTS, Postbox, certificate, postbox, silent, text_of, with_password

CANARY = "canary-Zm9v-password"
HEADERS = [
    "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
]  # fmt: skip
HOSTILE = [
    "Acme\r\nBcc: thief@example.com",
    "Acme\nBcc: thief@example.com\n\nA body of their own",
    "Acme\r\n\r\n<html>",
    "\u202egnp.exe\u202c",
    "\u2066isolated\u2069",
    "bell\x07 escape\x1b[31m null\x00 vertical\x0b form\x0c",
    "line\u2028paragraph\u2029next\x85",
    "lone \ud800 surrogate",
    "=?utf-8?q?Bcc:_thief=40example.com?=",
    "Grüße aus Århus \U0001f680 " * 20,
    "x" * 3000,
    "",
]


def sent(box: Postbox, subject: str, text: str = "x", html: str = "") -> Any:
    """A mail as it arrived."""
    mail = box.block()
    assert mail.send(mail.message(subject, text, html)) == []
    return box.mails[-1]


def test_a_mail_arrives_plain_and_as_html_at_every_recipient() -> None:
    at = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    with postbox() as box:
        mail = box.block()
        assert mail.send(mail.message("Grüße", "Zwei Zeilen,\nmit Ü", "<p>Ü</p>", at)) == []
    arrived = box.mails[0]
    assert arrived["Subject"] == "Grüße"
    assert arrived["From"] == "tieout <tieout@example.com>"
    assert arrived["To"] == ", ".join(RECIPIENTS)
    assert box.envelopes[0].rcpt_tos == ["accounts@example.com", "ops@example.com"]
    assert text_of(arrived).strip() == "Zwei Zeilen,\nmit Ü"
    assert text_of(arrived, "html").strip() == "<p>Ü</p>"
    assert arrived["Date"].datetime == at
    assert arrived["Message-ID"].endswith("@example.com>")
    assert arrived["Auto-Submitted"] == "auto-generated"
    assert all(len(line) < 1000 and line.isascii() for line in box.raw[0].splitlines())


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_a_header(text: str) -> None:
    with postbox() as box:
        arrived = sent(box, f"3 new exceptions in {text}", text, f"<p>{text}</p>")
    assert arrived.keys() == HEADERS
    assert box.envelopes[0].rcpt_tos == ["accounts@example.com", "ops@example.com"]
    subject = str(arrived["Subject"])
    assert subject.isprintable() and len(subject) <= 200
    for body in (text_of(arrived), text_of(arrived, "html")):
        assert not set(body) & set("\x00\x07\x1b\u202e\u2066\u2028")


@given(st.text(alphabet=st.characters(), max_size=300))
def test_whatever_a_subject_is_made_of_it_stays_one_line_of_one_header(text: str) -> None:
    """Against the very bytes that would be sent: no line of them begins a header that is not ours."""
    mail = Postbox().block(smtp_port=25)
    raw = mail.message(text, "x", "<p>x</p>").as_bytes()
    head = raw.split(b"\r\n\r\n")[0].split(b"\r\n")
    names = [line.split(b":")[0].decode() for line in head if not line.startswith((b" ", b"\t"))]
    assert sorted(names) == sorted(HEADERS)
    assert b"\r" not in b"".join(head) and b"\n" not in b"".join(head)


def test_names_in_scripts_with_joiners_stay_whole() -> None:
    """The two joiners are format characters too, and belong to the spelling."""
    with postbox() as box:
        assert "می\u200cخواهم" in text_of(sent(box, "x", "می\u200cخواهم"))


@pytest.mark.parametrize("starttls", [True, False])
def test_tls_is_spoken_as_the_block_says_and_the_password_given(
    starttls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    with postbox(own, starttls, CANARY) as box:
        mail = box.block(smtp_type="STARTTLS" if starttls else "SSL", **with_password(CANARY))
        assert mail.send(mail.message("x", "y")) == []
    assert box.logins == [(b"tieout", CANARY.encode())]


@pytest.mark.parametrize("starttls", [True, False])
def test_a_certificate_that_nobody_vouches_for_is_refused_before_the_password_is_given(
    starttls: bool, tmp_path: Path
) -> None:
    with postbox(certificate(tmp_path), starttls, CANARY) as box:
        mail = box.block(smtp_type="STARTTLS" if starttls else "SSL", **with_password(CANARY))
        with pytest.raises(MailNotSent, match="has a certificate that is not to be trusted"):
            mail.send(mail.message("x", "y"))
    assert box.logins == []


# What goes wrong


def test_a_server_that_refuses_says_why() -> None:
    with postbox() as box:
        box.says = "550 not today,\x1b[31m\u202e thanks"
        mail = box.block()
        with pytest.raises(MailNotSent) as caught:
            mail.send(mail.message("x", "y"))
    assert str(caught.value) == f"the mail server 127.0.0.1:{box.port} said 550 not today, [31m thanks"


def test_a_recipient_that_is_refused_is_named_and_the_others_get_the_mail() -> None:
    with postbox() as box:
        box.refuses = {"ops@example.com": "550 unknown here"}
        mail = box.block()
        (finding,) = mail.send(mail.message("x", "y"))
    assert finding == f"the mail server 127.0.0.1:{box.port} refused the recipient ops@example.com: 550 unknown here"
    assert len(box.mails) == 1


def test_when_every_recipient_is_refused_nothing_was_sent() -> None:
    with postbox() as box:
        box.refuses = {"ops@example.com": "550 unknown", "accounts@example.com": "550 unknown"}
        mail = box.block()
        with pytest.raises(MailNotSent, match=r"refused every recipient: accounts@example\.com 550 unknown; ops@"):
            mail.send(mail.message("x", "y"))


def test_nobody_at_the_address_is_a_sentence() -> None:
    with silent() as port:
        pass
    mail = Postbox().block(smtp_port=port)
    with pytest.raises(MailNotSent, match=rf"127\.0\.0\.1:{port} cannot be reached \(Connection refused\)"):
        mail.send(mail.message("x", "y"))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 300])
def test_an_address_that_is_none_is_a_sentence(host: str) -> None:
    mail = Postbox().block(smtp_server=host, smtp_port=25)
    with pytest.raises(MailNotSent, match=r"cannot be reached|has an address that cannot be used"):
        mail.send(mail.message("x", "y"))


def test_tls_to_a_server_that_speaks_none_is_a_sentence() -> None:
    with postbox() as box:
        for kind in ("SSL", "STARTTLS"):
            mail = box.block(smtp_type=kind)
            with pytest.raises(MailNotSent, match=r"does not speak TLS as asked|cannot be used \(STARTTLS"):
                mail.send(mail.message("x", "y"))


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks.mail, "SECONDS", 0.3)
    with silent() as port:
        mail = Postbox().block(smtp_port=port)
        with pytest.raises(MailServerSilent, match=r"did not take the message within 0 s"):
            mail.send(mail.message("x", "y"))


def test_a_server_that_falls_silent_in_the_middle_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks.mail, "SECONDS", 0.5)
    with postbox() as box:
        box.met = lambda: time.sleep(1.5)
        mail = box.block()
        with pytest.raises(MailServerSilent):
            mail.send(mail.message("x", "y"))


def test_a_server_that_wakes_up_too_late_is_not_given_the_message_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next cycle sends it; this one has said that it was not sent."""
    monkeypatch.setattr(blocks.mail, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        mail = Postbox().block(smtp_port=listening.getsockname()[1])
        with pytest.raises(MailServerSilent):
            mail.send(mail.message("x", "y"))
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(10)
            connection.sendall(b"220 good morning\r\n")
            assert connection.recv(100).upper() == b"QUIT\r\n"


# The password


@pytest.mark.parametrize(
    "refusal",
    [
        f"535 wrong password {CANARY}",
        # "\0tieout\0" and the password, and the password alone, as the dialogue carries them.
        "535 cannot decode AHRpZW91dABjYW5hcnktWm05di1wYXNzd29yZA==",
        "535 cannot decode Y2FuYXJ5LVptOXYtcGFzc3dvcmQ=",
    ],
)
def test_a_password_that_the_server_repeats_is_not_told(refusal: str) -> None:
    with postbox(password="another", refusal=refusal) as box:
        mail = box.block(**with_password(CANARY))
        with pytest.raises(MailNotSent) as caught:
            mail.send(mail.message("x", "y"))
    assert "said 535" in str(caught.value) and "***" in str(caught.value)
    assert CANARY not in str(caught.value) and "Y2FuYXJ5" not in str(caught.value) and "AHRpZW" not in str(caught.value)
    assert caught.value.__suppress_context__ and caught.value.__cause__ is None


def test_the_password_is_not_in_a_mail_nor_in_any_way_of_printing_the_block() -> None:
    with postbox(password=CANARY) as box:
        mail = box.block(**with_password(CANARY))
        mail.send(mail.message("x", "y"))
    assert CANARY.encode() not in box.raw[0]
    shown = (repr(mail), str(mail), repr(mail.model_dump()), mail.model_dump_json())
    assert not [each for each in shown if CANARY in each]
    assert ExceptionMail.model_json_schema()["secret_fields"] == ["server.password"]


def test_a_password_never_leaves_this_machine_in_clear() -> None:
    with pytest.raises(ValidationError, match=r"would be sent to mail\.example\.com in clear") as caught:
        Postbox().block(smtp_server="mail.example.com", smtp_port=25, **with_password(CANARY))
    assert CANARY not in str(caught.value)
    Postbox().block(smtp_server="mail.example.com", smtp_port=587, smtp_type="STARTTLS", **with_password(CANARY))
    Postbox().block(smtp_server="mail.example.com", smtp_port=25)


# The block


@pytest.mark.parametrize(
    "wrong",
    [
        "ops", "@example.com", "ops@", "a@example.com, b@example.com", "a@example.com\nBcc: b@example.com",
        "a@example.com\r\n", "Ops, Inc <a@example.com>", "group: a@example.com;", "a b@example.com",
        "a@ex\u202eample.com", "",
    ],
)  # fmt: skip
def test_an_address_that_is_none_or_several_is_refused(wrong: str) -> None:
    if wrong.strip() == "a@example.com":
        assert checked_mailbox(wrong) == "a@example.com", "a line break that was pasted along"
        return
    with pytest.raises(ValueError, match="is no mail address"):
        checked_mailbox(wrong)
    for field in ({"sender": wrong}, {"recipients": [wrong]}):
        with pytest.raises(ValidationError):
            ExceptionMail(**{"server": Postbox().block().server, "sender": "a@b", "recipients": ["a@b"]} | field)


@pytest.mark.parametrize("right", ["ops@example.com", "Ops <ops@example.com>", '"Ops, Inc" <o@x>', "Grüße <o@x>"])
def test_an_address_with_or_without_a_name_is_taken(right: str) -> None:
    assert checked_mailbox(right) == right


def test_without_recipients_there_is_no_block() -> None:
    with pytest.raises(ValidationError):
        ExceptionMail(server=Postbox().block().server, sender="a@b.example", recipients=[])


# As Prefect's automations use it


async def notify(mail: ExceptionMail, subject: str) -> None:
    """As the server's action does it."""
    with mail.raise_on_failure():
        await mail.notify("It died.\nBcc: x", subject)


def test_a_notification_of_the_server_is_a_mail() -> None:
    with postbox() as box:
        asyncio.run(notify(box.block(), "A run\r\nBcc: thief@example.com crashed"))
    assert str(box.mails[0]["Subject"]).strip() == "A run Bcc: thief@example.com crashed"
    assert box.envelopes[0].rcpt_tos == ["accounts@example.com", "ops@example.com"]
    assert "Bcc" not in box.mails[0]


def test_a_notification_that_cannot_be_sent_says_so_in_the_event_feed() -> None:
    with silent() as port:
        pass
    with pytest.raises(NotificationError) as caught:
        asyncio.run(notify(Postbox().block(smtp_port=port), "x"))
    assert "cannot be reached" in caught.value.log


def test_the_block_can_be_found_by_the_prefect_server() -> None:
    """Its automations load the class by this entry point; without it every notification would fail."""
    from importlib.metadata import entry_points

    (ours,) = [each for each in entry_points(group="prefect.collections") if each.name == "tieout"]
    assert ours.load() is blocks.mail
    assert "notify" in ExceptionMail.get_block_capabilities()
