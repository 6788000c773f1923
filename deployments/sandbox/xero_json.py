"""Xero's JSON: exact decimals, its two date notations, rounding, and the shapes of its answers."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any
from uuid import UUID, uuid4

from deployments.sandbox.wire import Response

JSON_TYPE = "application/json; charset=utf-8"
ZERO_GUID = "00000000-0000-0000-0000-000000000000"

_ROUNDING = Context(prec=60, rounding=ROUND_HALF_UP)
_PLACES = {places: Decimal(1).scaleb(-places) for places in range(11)}
# The standard encoder has no hook for a number's text, so decimals travel through it as marked strings. The mark
# is new in every process: no client can send it.
_OPEN, _CLOSE = uuid4().hex, uuid4().hex
_MS_DATE = re.compile(r"^/Date\((-?\d+)([+-]\d{4})?\)/$")
_ISO_DATE = re.compile(r"^(\d{4})-(\d{2})-(\d{2})(?:[T ].*)?$")
_EPOCH = date(1970, 1, 1)


class BadBody(Exception):
    """The body is no JSON, or a field in it has the wrong shape (Xero: PostDataInvalidException)."""


def _marked(value: object) -> str:
    if isinstance(value, Decimal):
        text = f"{value:f}"
        if "." in text:  # Xero writes 24.15, 21.0 and 10.5: one decimal at least, and no padding
            whole, _, decimals = text.partition(".")
            text = f"{whole}.{decimals.rstrip('0') or '0'}"
        return f"{_OPEN}{text}{_CLOSE}"
    raise TypeError(f"{type(value).__name__} is not JSON")


def encode(value: Any) -> bytes:
    """JSON bytes in which every Decimal is a plain number with all of its digits."""
    text = json.dumps(value, default=_marked, ensure_ascii=False, separators=(",", ":"))
    return text.replace(f'"{_OPEN}', "").replace(f'{_CLOSE}"', "").encode(errors="replace")


def _no_constant(name: str) -> Any:
    raise BadBody(f"{name} is not a JSON number")


def decode(body: bytes) -> Any:
    """What a client sent, with every fraction as a Decimal."""
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadBody(f"The JSON request was not understood: {error}") from error


def to_decimal(value: object, field: str) -> Decimal:
    """A number as sent (a number, or a numeric string), or BadBody."""
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str | float):
        raise BadBody(f"{field} is not a number")
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value).strip())
    except InvalidOperation as error:
        raise BadBody(f"{field} is not a number") from error
    if not number.is_finite() or abs(number.adjusted()) > 24:
        raise BadBody(f"{field} is not a number in the range of this field")
    return number


def rounded(value: Decimal, places: int = 2) -> Decimal:
    """Half up, away from zero."""
    return value.quantize(_PLACES[places], context=_ROUNDING)


def to_text(value: object, field: str) -> str:
    """A text as sent; numbers are taken as their digits, as a lenient server does."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    raise BadBody(f"{field} is not a text")


def to_bool(value: object, field: str) -> bool:
    """A boolean as sent, also as a word."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise BadBody(f"{field} is not true or false")


def to_guid(value: object, field: str) -> str:
    """A GUID in its usual lower-case form, or BadBody."""
    try:
        return str(UUID(to_text(value, field)))
    except ValueError as error:
        raise BadBody(f"{field} is not a GUID") from error


def is_guid(text: str) -> bool:
    """Whether the text is a GUID in a form that Xero takes."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def to_date(value: object, field: str) -> date:
    """A calendar date from `2026-09-14`, `2026-09-14T00:00:00`, `/Date(ms+0000)/` or a Python date."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        milliseconds = _MS_DATE.match(value)
        if milliseconds:
            return _EPOCH + timedelta(days=math.floor(int(milliseconds.group(1)) / 86_400_000))
        iso = _ISO_DATE.match(value.strip())
        if iso:
            try:
                return date(int(iso.group(1)), int(iso.group(2)), int(iso.group(3)))
            except ValueError as error:
                raise BadBody(f"{field} is not a date") from error
    raise BadBody(f"{field} is not a date")


def ms_date(value: date) -> str:
    """A calendar date as `/Date(ms+0000)/`: midnight UTC of that day."""
    return f"/Date({(value - _EPOCH).days * 86_400_000}+0000)/"


def milliseconds_of(moment: datetime) -> int:
    """Milliseconds since 1970, without a detour through floating point."""
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def ms_time(moment: datetime) -> str:
    """A timestamp as `/Date(ms+0000)/`."""
    return f"/Date({milliseconds_of(moment)}+0000)/"


def date_string(value: date) -> str:
    """A calendar date as `2026-09-14T00:00:00`."""
    return f"{value.isoformat()}T00:00:00"


def utc_string(moment: datetime) -> str:
    """A timestamp as `2026-09-14T09:29:59Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def json_answer(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(status, {"Content-Type": JSON_TYPE, **(headers or {})}, encode(body))


def problem(status: int, title: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    """The answer of Xero's gateway, in front of the Accounting API."""
    body: dict[str, Any] = {
        "Type": None,
        "Title": title,
        "Status": status,
        "Detail": detail,
        "Instance": str(uuid4()),
        "Extensions": {},
    }
    return json_answer(status, body, headers)


def api_exception(number: int, kind: str, message: str, elements: list[dict[str, Any]] | None = None) -> Response:
    """A 400 of the Accounting API itself."""
    body: dict[str, Any] = {"ErrorNumber": number, "Type": kind, "Message": message}
    if elements is not None:
        body["Elements"] = elements
    return json_answer(400, body)


def validation_exception(elements: list[dict[str, Any]]) -> Response:
    """The 400 that carries the refused elements and why."""
    return api_exception(10, "ValidationException", "A validation exception occurred", elements)


def no_data_processed() -> Response:
    """The 400 for a body with nothing in it that the endpoint knows."""
    return api_exception(17, "NoDataProcessedException", "No data has been processed for this endpoint")


def not_found() -> Response:
    """Xero's 404: no body, and not even a JSON content type."""
    return Response(404, {"Content-Type": "text/html; charset=utf-8"})


def not_implemented() -> Response:
    """A known path with a method that it does not have."""
    return Response(501, {"Content-Type": "text/html; charset=utf-8"})


def elements_of(body: bytes, collection: str) -> list[dict[str, Any]]:
    """The elements of a request body: `{"Invoices": [...]}` or one bare element; empty when there is nothing."""
    if not body.strip():
        return []
    content = decode(body)
    if not isinstance(content, dict):
        return []
    for key, value in content.items():
        if key.lower() == collection.lower():
            items = value if isinstance(value, list) else [value]
            if not all(isinstance(item, dict) for item in items):
                raise BadBody(f"{collection} must hold objects")
            return items
    # A misnamed envelope holds a list of objects and nothing that an element would have.
    if len(content) == 1 and isinstance(next(iter(content.values())), list):
        return []
    return [content] if content else []


def xml_of(body: bytes, root: str) -> bytes:
    """The same answer as XML, which is what Xero gives to a client that does not ask for JSON."""

    def text_of(value: Any) -> str:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    def nodes(name: str, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, dict):
            return f"<{name}>{''.join(nodes(key, part) for key, part in value.items())}</{name}>"
        if isinstance(value, list):
            single = f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")
            return f"<{name}>{''.join(nodes(single, part) for part in value)}</{name}>"
        return f"<{name}>{text_of(value)}</{name}>"

    return nodes(root, json.loads(body, parse_float=Decimal)).encode()
