"""Xero's Idempotency-Key: the first answer again for six minutes (Xero docs: idempotent requests)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from deployments.sandbox.wire import Request, Response
from deployments.sandbox.xero_json import problem
from deployments.sandbox.xero_switches import XeroSwitches

LIFE = timedelta(minutes=6)
LONGEST = 128


@dataclass(frozen=True)
class _Kept:
    fingerprint: bytes
    answer: Response
    until: datetime


class KeyStore:
    """The answers of one app by key: not by tenant, so two tenants must not share a key."""

    def __init__(self, switches: XeroSwitches) -> None:
        self.switches = switches
        self._kept: dict[str, _Kept] = {}
        self.replayed = 0

    def recall(self, request: Request, now: datetime) -> Response | None:
        """The answer to give without any work, or None when the call is to be executed."""
        key = _key_of(request)
        if key is None:
            return None
        if len(key) > LONGEST:
            return problem(400, "Bad Request", f"Idempotency Key: must not be longer than {LONGEST} characters.")
        if self.switches.key_store_down:
            return problem(500, "An error occurred", "The idempotency store is not available.")
        kept = None if self.switches.forget_keys else self._kept.get(key)
        if kept is None or kept.until <= now:
            return None
        if kept.fingerprint != _fingerprint(request):
            return problem(400, "Bad Request", f"Idempotency Key: {key} is used with a different request.")
        self.replayed += 1
        return kept.answer

    def keep(self, request: Request, answer: Response, now: datetime) -> None:
        """Keep an answer for its key, good or bad."""
        key = _key_of(request)
        if key is None or self.switches.forget_keys:
            return
        if 400 <= answer.status < 500 and not self.switches.cache_4xx:
            return
        if len(self._kept) > 2000:
            self._kept = {name: kept for name, kept in self._kept.items() if kept.until > now}
        self._kept[key] = _Kept(_fingerprint(request), answer, now + LIFE)

    def forget(self) -> None:
        """Lose every key at once."""
        self._kept.clear()


def _key_of(request: Request) -> str | None:
    if request.method not in ("POST", "PUT", "PATCH"):
        return None
    return request.headers.get("idempotency-key") or None


def _fingerprint(request: Request) -> bytes:
    whole = hashlib.sha256(repr((request.method, request.path, request.query)).encode())
    whole.update(request.body)
    return whole.digest()
