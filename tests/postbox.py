"""A real mail server on loopback: it takes mail, or refuses it, or says nothing, and keeps what it took."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prefect_email import EmailServerCredentials
from pydantic import SecretStr

from blocks.mail import ExceptionMail

RECIPIENTS = ["accounts@example.com", "Ops <ops@example.com>"]


class Postbox:
    """What the mail server took, and what it answers.

    `says` is its answer to a message ("" takes it), `refuses` recipients that it does not know; `met` is called with
    each message before it is answered.
    """

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.envelopes: list[Envelope] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.says = ""
        self.refuses: dict[str, str] = {}
        self.met: Callable[[], object] = lambda: None
        self.port = 0
        self.locked = False

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802  (aiosmtpd's name)
        if self.locked and not session.authenticated:
            return "530 log in first"
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  (aiosmtpd's name)
        self.met()
        if self.says:
            return self.says
        assert isinstance(envelope.content, bytes)
        self.raw.append(envelope.content)
        self.envelopes.append(envelope)
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 taken"

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]

    def wait_for(self, number: int, seconds: float) -> list[EmailMessage]:
        """So many mails; those that came where the time was up."""
        until = time.monotonic() + seconds
        while len(self.mails) < number and time.monotonic() < until:
            time.sleep(0.1)
        return self.mails

    def block(self, **fields: Any) -> ExceptionMail:
        """The block that mails here; `fields` are of the mail server's."""
        server = EmailServerCredentials(
            **{"smtp_server": "127.0.0.1", "smtp_port": self.port, "smtp_type": "INSECURE", **fields}
        )
        return ExceptionMail(server=server, sender="tieout <tieout@example.com>", recipients=RECIPIENTS)


@contextmanager
def postbox(
    certificate: Path | None = None, starttls: bool = False, password: str = "", refusal: str = ""
) -> Iterator[Postbox]:
    """A mail server: in clear, or with TLS from the first byte or by STARTTLS; with a password where one is given."""
    box = Postbox()
    box.locked = bool(password)
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    def login(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword) -> AuthResult:
        box.logins.append((data.login, data.password))
        if refusal:
            return AuthResult(success=False, handled=False, message=refusal)
        return AuthResult(success=data.password == password.encode(), handled=False)

    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=_free_port(),
        ssl_context=None if starttls else context,
        tls_context=context if starttls else None,
        require_starttls=starttls,
        authenticator=login if password else None,
        auth_require_tls=False,
    )
    controller.start()
    box.port = controller.port
    try:
        yield box
    finally:
        controller.stop()


@contextmanager
def silent() -> Iterator[int]:
    """A port on which calls are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])


def certificate(folder: Path) -> Path:
    """A certificate of 127.0.0.1 with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """One of the two texts of a mail, as a reader sees it."""
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def with_password(secret: str) -> dict[str, Any]:
    """Fields of the mail server's block: user and password."""
    return {"username": "tieout", "password": SecretStr(secret)}
