"""Mail: the block that says to whom and through which server, and the one way in which a message leaves us.

The Prefect server imports this module too (entry point `prefect.collections` in pyproject.toml): its automations send
through this block when a run has crashed or is late, and no process of ours may be there to do it.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import unicodedata
from base64 import b64encode
from concurrent.futures import Future
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import make_msgid
from threading import Event, Thread
from typing import Annotated, ClassVar, Self

from prefect.blocks.abstract import NotificationBlock, NotificationError
from prefect_email import EmailServerCredentials
from prefect_email.credentials import SMTPServer, SMTPType
from pydantic import AfterValidator, ConfigDict, Field, model_validator

from blocks.addresses import checked_mailbox, is_loopback

SECONDS = 30.0
"""How long the mail server may take for one message; a cycle, or the Prefect server, waits no longer."""
LONGEST_SUBJECT = 200

Mailbox = Annotated[str, AfterValidator(checked_mailbox)]


class MailNotSent(Exception):
    """The mail server did not take a message. The words say which server, and what it said."""


class MailServerSilent(MailNotSent):
    """It did not take the message in time; another one would wait as long."""


class ExceptionMail(NotificationBlock):
    """To whom tieout's mails go, and through which mail server.

    Example:
        ```python
        from blocks.mail import ExceptionMail

        mail = ExceptionMail.load("BLOCK_NAME")
        mail.send(mail.message("Subject", "What happened", "<p>What happened</p>"))
        ```
    """

    model_config = ConfigDict(hide_input_in_errors=True, str_strip_whitespace=True)

    _block_type_name: ClassVar[str | None] = "tieout Mail"
    _block_type_slug: ClassVar[str | None] = "tieout-mail"
    _description: ClassVar[str | None] = (
        "Who is told about exceptions, and about runs that crashed, failed or are late."
    )

    server: EmailServerCredentials = Field(
        title="Mail server", description="The block with the mail server's address, user and password."
    )
    sender: Mailbox = Field(title="Sender", description="The address that the mails come from.")
    recipients: list[Mailbox] = Field(
        title="Recipients", description='The addresses that the mails go to: ["accounts@example.com"].', min_length=1
    )
    repeat_days: int = Field(
        default=7,
        ge=1,
        title="Repeat after days",
        description="An exception that is still open after so many days is mailed again.",
    )

    @model_validator(mode="after")
    def _password_stays_secret(self) -> Self:
        secured = self.server.smtp_type is not SMTPType.INSECURE
        if self.server.password.get_secret_value() and not secured and not is_loopback(self._host):
            raise ValueError(f"the password would be sent to {self._host} in clear; use STARTTLS or SSL")
        return self

    @property
    def _host(self) -> str:
        host = self.server.smtp_server
        return str(host.value if isinstance(host, SMTPServer) else host)

    @property
    def address(self) -> str:
        """The mail server as people know it, 'smtp.example.com:587'."""
        kind = self.server.smtp_type
        return f"{self._host}:{self.server.smtp_port or (kind.value if isinstance(kind, SMTPType) else '')}"

    def message(self, subject: str, text: str, html: str = "", at: datetime | None = None) -> EmailMessage:
        """A message to the recipients; whatever the texts hold, they stay text and never become a header."""
        # 7bit: not every server takes anything else.
        message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
        message["Subject"] = " ".join(_readable(subject).split())[:LONGEST_SUBJECT]
        message["From"] = self.sender
        message["To"] = ", ".join(self.recipients)
        message["Date"] = at or datetime.now(UTC)
        # The host's own name would be asked of the name server, which may take its time.
        message["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2].rstrip(">"))
        # Nobody's out-of-office reply is wanted (RFC 3834).
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(_readable(text))
        if html:
            message.add_alternative(_readable(html), subtype="html")
        return message

    def send(self, message: EmailMessage) -> list[str]:
        """Hand a message to the mail server, within SECONDS; a sentence for each recipient that it refused.

        Raises MailNotSent when it took the message for nobody, or did not say so in time.
        """
        answer: Future[dict[str, tuple[int, bytes]]] = Future()
        given_up = Event()

        def deliver() -> None:
            try:
                with self.server.get_server() as connection:
                    if connection.sock is not None:
                        connection.sock.settimeout(SECONDS)
                    if not given_up.is_set():
                        # Told before the goodbye: what the server says to that changes nothing.
                        answer.set_result(connection.send_message(message))
            except Exception as error:  # noqa: BLE001  (raised again where the answer is waited for)
                if not answer.done():
                    answer.set_exception(error)

        # get_server() has no time limit of its own: a server that takes the call and stays silent would hold us for
        # ever. A thread can be left behind.
        Thread(target=deliver, name="mail", daemon=True).start()
        try:
            refused = answer.result(SECONDS)
        except TimeoutError:
            given_up.set()
            raise MailServerSilent(
                f"the mail server {self.address} did not take the message within {SECONDS:.0f} s"
            ) from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            # Without its cause: what the server said may hold what we sent it.
            raise MailNotSent(f"the mail server {self.address} {self._in_words(error)}") from None
        return [
            f"the mail server {self.address} refused the recipient {recipient}: {self._said(*said)}"
            for recipient, said in refused.items()
        ]

    async def notify(self, body: str, subject: str | None = None) -> None:
        """Mail a notification of Prefect's: what the automations of set-up do."""
        try:
            await asyncio.to_thread(self.send, self.message(subject or "Prefect", body))
        except MailNotSent as error:
            if self._raise_on_failure:
                raise NotificationError(str(error)) from None
            self.logger.warning("A notification was not sent: %s.", error)

    def _in_words(self, error: Exception) -> str:
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            return "refused every recipient: " + "; ".join(
                f"{recipient} {self._said(*said)}" for recipient, said in error.recipients.items()
            )
        if isinstance(error, smtplib.SMTPResponseException):
            return f"said {self._said(error.smtp_code, error.smtp_error)}"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"has a certificate that is not to be trusted ({error.verify_message})"
        if isinstance(error, ssl.SSLError):
            return f"does not speak TLS as asked ({error.reason or 'no reason given'})"
        if isinstance(error, smtplib.SMTPException):
            return f"cannot be used ({self._without_secrets(str(error)).rstrip('.')})"
        if isinstance(error, OSError):
            return f"cannot be reached ({error.strerror or error})"
        return "has an address that cannot be used"

    def _said(self, code: int, words: bytes | str) -> str:
        text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
        return f"{code} {' '.join(_readable(self._without_secrets(text)).split())[:300]}".strip()

    def _without_secrets(self, words: str) -> str:
        """A server may repeat what it was sent: the password as it is, or as the dialogue encodes it."""
        password = self.server.password.get_secret_value()
        user = self.server.username or ""
        for secret in (f"\0{user}\0{password}", password) if password else ():
            for form in (b64encode(secret.encode()).decode(), secret):
                words = words.replace(form, "***")
        return words


def _readable(text: str) -> str:
    """Text without what nobody sees: control characters and those that turn the direction of writing.

    Line breaks and tabs stay. So do the two joiners, which names in some scripts need.
    """
    return "".join(
        char if (kind := unicodedata.category(char)) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or char in "\n\t\u200c\u200d"
        # Out of sight, but between words.
        else " " if kind != "Cf" else ""
        for char in text.replace("\r\n", "\n")
    )  # fmt: skip
