"""Every request and response, kept with secrets redacted: who asked what, about which records, and the answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import insert, or_, select, update

from blocks.audit.database import Audit, pack, unpack
from blocks.audit.tables import EXCHANGES

INSERT = insert(EXCHANGES)
REDACTED = "(redacted)"
_SECRET_FIELDS = (
    "access_token", "refresh_token", "id_token", "client_secret", "code", "code_verifier", "client_assertion",
    "private_key", "password",
)  # fmt: skip
_NAMES = "|".join(_SECRET_FIELDS)
_IN_JSON = re.compile(rf'("(?:{_NAMES})"\s*:\s*)"(?:[^"\\]|\\.)*"', re.IGNORECASE)
_IN_FORM = re.compile(rf"(^|[?&])({_NAMES})=[^&\s]*", re.IGNORECASE)
_IN_HEADER = re.compile(r"\b(Bearer|Basic)\s+[^\s'\",]+", re.IGNORECASE)


def redact(text: str) -> str:
    """The same text without the values that are secret in JSON or form bodies, in addresses and in headers."""
    text = _IN_JSON.sub(rf'\1"{REDACTED}"', text)
    return _IN_HEADER.sub(rf"\1 {REDACTED}", _IN_FORM.sub(rf"\1\2={REDACTED}", text))


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Where the clients leave what went over the wire. Headers are never kept: they carry the credentials."""

    audit: Audit
    run_id: str
    clock: Callable[[], datetime]

    def keep(
        self,
        system: str,
        method: str,
        url: str,
        request: bytes,
        status: int | None,
        response: bytes,
        seconds: float,
        references: Sequence[str] = (),
        error: str = "",
    ) -> None:
        """Keep one exchange; `status` None and an `error` for one without an answer."""
        secret = system == "xero_identity"
        asked = redact(request.decode("utf-8", "replace")).encode() if secret else request
        answered = redact(response.decode("utf-8", "replace")).encode() if secret else response
        row = {
            "at": self.clock(), "run_id": self.run_id, "system": system, "method": method, "url": redact(url),
            "status": status, "error": redact(error), "seconds": seconds,
            "references": "|".join(["", *map(_written, references), ""]) if references else "",
            "request_hash": hashlib.sha256(asked).hexdigest() if asked else "",
            "response_hash": hashlib.sha256(answered).hexdigest() if answered else "",
            "request": pack(asked) if asked else None, "response": pack(answered) if answered else None,
        }  # fmt: skip
        with self.audit.transaction() as connection:
            connection.execute(INSERT, row)


def _written(reference: str) -> str:
    """A reference as it stands between bars: nothing in it can be taken for one."""
    return reference if reference.isalnum() and reference.isascii() else quote(reference, safe=" /")


def read(audit: Audit, run_id: str = "", reference: str = "") -> list[dict[str, Any]]:
    """Kept exchanges in the shape of contract section 5, oldest first.

    `run_id` may be several joined by commas, as a sync of several families names its runs.
    """
    query = select(EXCHANGES)
    if run_id:
        query = query.where(EXCHANGES.c.run_id.in_(run_id.split(",")))
    if reference:
        query = query.where(EXCHANGES.c.references.icontains(f"|{_written(reference)}|", autoescape=True))
    with audit.reading() as connection:
        return [
            {
                "at": row.at.isoformat(),
                "run_id": row.run_id,
                "system": row.system,
                "method": row.method,
                "url": row.url,
                "status": row.status,
                "request": unpack(row.request),
                "response": unpack(row.response),
                "references": [unquote(name) for name in row.references.split("|") if name],
                "seconds": row.seconds,
            }
            | ({"error": row.error} if row.error else {})
            for row in connection.execute(query.order_by(EXCHANGES.c.id))
        ]


def forget_bodies(audit: Audit, older_than_days: int, now: datetime) -> None:
    """Drop the bodies of old exchanges; addresses, hashes, references and times stay."""
    with audit.transaction() as connection:
        connection.execute(
            update(EXCHANGES)
            .where(
                EXCHANGES.c.at < now - timedelta(days=older_than_days),
                or_(EXCHANGES.c.request.is_not(None), EXCHANGES.c.response.is_not(None)),
            )
            .values(request=None, response=None)
        )
