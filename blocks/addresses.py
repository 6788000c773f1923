"""Which addresses credentials and mails may be sent to."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_SPEC = r"""[^\s@<>,;:"()\[\]\\]+@[^\s@<>,;:"()\[\]\\]+"""
MAILBOX = re.compile(rf"""{_SPEC}|(?:[^@<>,;:"()\\]*|"[^"\\]*")\s*<{_SPEC}>""")
"""One mailbox as RFC 5322 has it, without its rarer forms: comments, groups, quoted local parts."""


def checked_address(url: str) -> str:
    """The address without a slash at its end. ValueError unless it is https, or http to this very machine."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError("this is no address; it should look like https://host/path") from error
    if "@" in parts.netloc:
        # Not quoted: what stands before the @ may be a password.
        raise ValueError("an address must not hold a user or password; they have fields of their own")
    if not host or parts.scheme not in ("https", "http") or port == 0 or any(mark in url for mark in "?# \t\r\n"):
        raise ValueError(f"{url!r} is no address; it should look like https://host/path")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(f"{url!r} would send credentials in clear; use https://")
    return url.rstrip("/")


def checked_mailbox(text: str) -> str:
    """One mail address, 'ops@example.com' or 'Ops <ops@example.com>'. ValueError for anything else."""
    text = text.strip()
    # A line break would begin a header of its own.
    if not text.isprintable() or not MAILBOX.fullmatch(text):
        raise ValueError(f"{text!r} is no mail address; it should look like accounts@example.com")
    return text


def is_loopback(host: str) -> bool:
    """Whether this is the machine itself: what is sent there is seen by nobody on the way."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
