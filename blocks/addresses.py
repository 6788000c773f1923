"""Which addresses credentials may be sent to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


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
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError(f"{url!r} would send credentials in clear; use https://")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
