"""From an HTTP answer of Xero to what we do: one table (xero.md, sections 3.2, 3.5 and 1.2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Any

import httpx

from blocks.wire import redirected_to


class Verdict(StrEnum):
    """What an answer means for the call that got it."""

    GOOD = "good"
    """The envelope is there; look at every element."""
    REFRESH = "refresh"
    """The access token ran out: get another one, once, and send the same bytes again."""
    WAIT = "wait"
    """A short limit: wait as told, send the same bytes again. The call was not processed."""
    DEFER = "defer"
    """The day's limit: leave what is left to a later cycle. The call was not processed."""
    UNKNOWN = "unknown"
    """It may have been applied, wholly or in part: look the records up before anything else."""
    REPEAT = "repeat"
    """No readable answer: the same bytes under the same key get the first answer again."""
    REFUSED = "refused"
    """A definite no to the whole call: nothing was written, the batch may be split."""
    DISCONNECTED = "disconnected"
    """This app may not (or no longer) work in this organisation: people have to reconnect it."""
    NOT_FOUND = "not_found"
    """There is no such thing in this organisation."""


class Answer:
    """One answer, read once: what it means, and what is in it."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.status = response.status_code
        self.given = envelope(response)
        self.verdict = self._verdict()

    def _verdict(self) -> Verdict:
        """Read the table: status first, then headers, the body last (a 429 and a 404 have none)."""
        headers = self.response.headers
        match self.status:
            case 401 if "insufficient_scope" in _challenge(self.response):
                return Verdict.DISCONNECTED
            case 401:
                return Verdict.REFRESH
            case 403:
                return Verdict.DISCONNECTED
            case 404:
                return Verdict.NOT_FOUND
            case 429:
                return Verdict.DEFER if "day" in headers.get("X-Rate-Limit-Problem", "").lower() else Verdict.WAIT
            case 400 if "used with a different request" in self.response.text:
                # Our key, but not our bytes: somebody else's call went out under it. What became of ours is not known.
                return Verdict.UNKNOWN
            case 408 | 409 | 425:
                return Verdict.REPEAT
        if self.status >= 500:
            return Verdict.UNKNOWN
        if self.status >= 400:
            return Verdict.REFUSED
        # A redirect and a success that cannot be read are no answers of Xero's: something stands in between.
        return Verdict.GOOD if self.response.is_success and self.given is not None else Verdict.REPEAT

    @property
    def words(self) -> str:
        """Xero's own words: validation messages, else Message, Detail or Title, else a text that is no web page."""
        elsewhere = redirected_to(self.response)
        if elsewhere:
            return f"sent on to {elsewhere}"
        if self.given is None:
            text = " ".join(self.response.text.split())
            return "" if text.startswith("<") else text[:300]
        words = [text for element in _dicts(self.given.get("Elements")) for text in validation_messages(element)]
        told = (self.given.get(name) for name in ("Message", "Detail", "Title"))
        return "; ".join(dict.fromkeys(words)) or next((str(text) for text in told if text), "")

    def __str__(self) -> str:
        return f"{self.status} {self.words}".rstrip()


def _challenge(response: httpx.Response) -> str:
    # Xero's own FAQ spells it with one i fewer.
    challenge: str = response.headers.get("WWW-Authenticate", "")
    return challenge.lower().replace("insufficent", "insufficient")


def envelope(response: httpx.Response) -> dict[str, Any] | None:
    """The answer's JSON object, numbers as Decimal, or None where it is none (HTML, cut short, empty)."""
    try:
        given = json.loads(response.content, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None
    return given if isinstance(given, dict) else None


def validation_messages(element: dict[str, Any]) -> list[str]:
    """The validation messages of one element of an answer, those of its lines included."""
    found = [error.get("Message") for error in _dicts(element.get("ValidationErrors"))]
    for line in _dicts(element.get("LineItems")):
        found += [error.get("Message") for error in _dicts(line.get("ValidationErrors"))]
    return [str(text) for text in found if text]


def _dicts(given: object) -> Iterator[dict[str, Any]]:
    return (each for each in given if isinstance(each, dict)) if isinstance(given, list) else iter(())
