"""Reading lists: the `where` language, `order`, paging and If-Modified-Since (Xero docs: requests and responses)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from uuid import UUID

from deployments.sandbox.wire import Request

Kind = Literal["text", "guid", "number", "date", "bool", "null"]
Test = Callable[[Any], bool]
Look = Callable[[str, str], Iterable[Any] | None]

_SHOWN = {"text": "String", "guid": "Guid", "number": "Decimal", "date": "DateTime", "bool": "Boolean"}
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.|"")*")
      | (?P<number>-?\d+(?:\.\d+)?)
      | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
      | (?P<sign>==|!=|<>|>=|<=|&&|\|\||[=<>(),!])
    )""",
    re.VERBOSE,
)
_COMPARISONS = {"==", "=", "!=", "<>", ">", ">=", "<", "<="}
_METHODS = {"contains", "startswith", "endswith"}
_ISO_SECONDS = re.compile(r"^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}:\d{2})?$")
_HTTP_DATE = re.compile(r"^[A-Za-z]{3}, ")


class QueryError(Exception):
    """The query cannot be understood (Xero: QueryParseException)."""


@dataclass(frozen=True)
class Field:
    """A field that `where` and `order` know: its kind and how to read it (None when it is empty)."""

    name: str
    kind: Kind
    read: Callable[[Any], Any]


class Fields:
    """The fields of one kind of record, found without case."""

    def __init__(self, *fields: Field) -> None:
        self._by_name = {field.name.lower(): field for field in fields}

    def find(self, name: str) -> Field:
        """The field, or QueryError."""
        field = self._by_name.get(name.lower())
        if field is None:
            raise QueryError(f"No property or field '{name}' exists in this type")
        return field


@dataclass(frozen=True)
class Filter:
    """A parsed `where`: the test, and the records that can pass it at all where an index knows them."""

    test: Test
    narrowed: Callable[[Look], set[Any] | None]


@dataclass(frozen=True)
class _Operand:
    kind: Kind
    read: Callable[[Any], Any]
    field: Field | None = None
    literal: Any = None


def comparable(value: Any) -> Any:
    """A value as `where` compares it: text without case, dates as times without a zone."""
    if isinstance(value, str):
        return value.casefold()
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    return value


def parse_where(text: str, fields: Fields) -> Filter:
    """The filter that the text says, or QueryError."""
    try:
        return _Parser(text, fields).whole()
    except RecursionError as error:
        raise QueryError("The where clause is nested too deeply") from error


class _Parser:
    """Recursive descent over: or > and > not > comparison > operand."""

    def __init__(self, text: str, fields: Fields) -> None:
        self._fields = fields
        self._tokens: list[tuple[str, str]] = []
        self._at = 0
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise QueryError(f"Syntax error at index {position} of the where clause")
            self._tokens.append((match.lastgroup, match.group(match.lastgroup)))
            position = match.end()

    def whole(self) -> Filter:
        found = self._or()
        if self._at < len(self._tokens):
            raise QueryError(f"Syntax error: unexpected '{self._tokens[self._at][1]}'")
        return found

    def _peek(self, *texts: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at][1].lower() in texts

    def _take(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise QueryError("Expression expected")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, text: str) -> None:
        if not self._peek(text):
            raise QueryError(f"'{text}' expected")
        self._at += 1

    def _or(self) -> Filter:
        parts = [self._and()]
        while self._peek("or", "||"):
            self._at += 1
            parts.append(self._and())
        if len(parts) == 1:
            return parts[0]

        def narrowed(look: Look) -> set[Any] | None:
            found: set[Any] = set()
            for part in parts:
                some = part.narrowed(look)
                if some is None:
                    return None
                found |= some
            return found

        return Filter(lambda record: any(part.test(record) for part in parts), narrowed)

    def _and(self) -> Filter:
        parts = [self._not()]
        while self._peek("and", "&&"):
            self._at += 1
            parts.append(self._not())
        if len(parts) == 1:
            return parts[0]

        def narrowed(look: Look) -> set[Any] | None:
            smallest: set[Any] | None = None
            for part in parts:
                some = part.narrowed(look)
                if some is not None and (smallest is None or len(some) < len(smallest)):
                    smallest = some
            return smallest

        return Filter(lambda record: all(part.test(record) for part in parts), narrowed)

    def _not(self) -> Filter:
        if self._peek("!", "not"):
            self._at += 1
            inner = self._not()
            return Filter(lambda record: not inner.test(record), lambda _look: None)
        if self._peek("("):
            self._at += 1
            inner = self._or()
            self._expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Filter:
        left = self._operand()
        if self._at < len(self._tokens) and self._tokens[self._at][1] in _COMPARISONS:
            sign = self._take()[1]
            return _compare(left, {"=": "==", "<>": "!="}.get(sign, sign), self._operand())
        if left.kind != "bool":
            raise QueryError("Expression of type 'Boolean' expected")
        return Filter(lambda record: bool(left.read(record)), lambda _look: None)

    def _operand(self) -> _Operand:
        group, text = self._take()
        if group == "string":
            return _literal("text", _unquoted(text))
        if group == "number":
            return _literal("number", Decimal(text))
        if group != "name":
            raise QueryError(f"Syntax error: unexpected '{text}'")
        lowered = text.lower()
        if lowered in ("true", "false"):
            return _literal("bool", lowered == "true")
        if lowered == "null":
            return _literal("null", None)
        if self._peek("("):
            return self._call(text)
        field = self._fields.find(text)
        return _Operand(field.kind, field.read, field)

    def _call(self, name: str) -> _Operand:
        self._expect("(")
        arguments: list[_Operand] = []
        while not self._peek(")"):
            arguments.append(self._operand())
            if not self._peek(")"):
                self._expect(",")
        self._expect(")")
        lowered = name.lower()
        try:
            if lowered == "guid":
                return _literal("guid", str(UUID(arguments[0].literal)))
            if lowered == "datetime":
                parts = [int(part.literal) for part in arguments]
                if not 3 <= len(parts) <= 6:
                    raise QueryError("DateTime takes three to six numbers")
                return _literal("date", datetime(*parts))  # type: ignore[arg-type]  # three to six numbers
            if lowered == "datetime.parse":
                return _literal("date", comparable(datetime.fromisoformat(arguments[0].literal)))
        except (ValueError, TypeError, AttributeError, IndexError) as error:
            raise QueryError(f"The arguments of {name} are not valid") from error
        target, _, method = name.rpartition(".")
        if method.lower() not in _METHODS or len(arguments) != 1 or arguments[0].kind != "text":
            raise QueryError(f"No applicable method '{method or name}' exists")
        return _text_method(self._fields.find(target), method.lower(), str(arguments[0].literal).casefold())


def _literal(kind: Kind, value: Any) -> _Operand:
    ready = comparable(value)
    return _Operand(kind, lambda _record: ready, None, value)


def _unquoted(text: str) -> str:
    return text[1:-1].replace('""', '"').replace('\\"', '"').replace("\\\\", "\\")


def _text_method(field: Field, method: str, wanted: str) -> _Operand:
    if field.kind != "text":
        raise QueryError(f"No applicable method '{method}' exists in type '{_SHOWN[field.kind]}'")

    def test(record: Any) -> bool:
        value = field.read(record)
        if value is None:
            # The reason for the usual guard: Reference!=null AND Reference.Contains("x").
            raise QueryError(f"'{field.name}' is null in some records; a method cannot be called on it")
        folded = str(value).casefold()
        if method == "contains":
            return wanted in folded
        return folded.startswith(wanted) if method == "startswith" else folded.endswith(wanted)

    return _Operand("bool", test)


def _compare(left: _Operand, sign: str, right: _Operand) -> Filter:
    if left.kind != right.kind and "null" not in (left.kind, right.kind):
        shown = f"'{_SHOWN[left.kind]}' and '{_SHOWN[right.kind]}'"
        raise QueryError(f"Operator '{sign}' incompatible with operand types {shown}")

    def test(record: Any) -> bool:
        one, other = comparable(left.read(record)), comparable(right.read(record))
        if sign == "==":
            return bool(one == other)
        if sign == "!=":
            return bool(one != other)
        if one is None or other is None:
            return False
        if sign == ">":
            return bool(one > other)
        if sign == ">=":
            return bool(one >= other)
        return bool(one < other) if sign == "<" else bool(one <= other)

    def narrowed(look: Look) -> set[Any] | None:
        field, literal = (left.field, right) if left.field is not None else (right.field, left)
        if sign != "==" or field is None or literal.field is not None or not isinstance(literal.literal, str):
            return None
        found = look(field.name, literal.literal)
        return None if found is None else set(found)

    return Filter(test, narrowed)


def ordered(records: list[Any], order: str | None, fields: Fields) -> list[Any]:
    """The records in the order that `order` names, for example `Date DESC, InvoiceNumber`."""
    if not order or not order.strip():
        return records
    found = list(records)
    for part in reversed(order.split(",")):
        words = part.split()
        if not words or len(words) > 2 or (len(words) == 2 and words[1].lower() not in ("asc", "desc")):
            raise QueryError(f"The order '{order}' is not valid")
        field = fields.find(words[0])

        def key(record: Any, read: Callable[[Any], Any] = field.read) -> tuple[bool, Any]:
            value = comparable(read(record))
            return (value is not None, 0 if value is None else value)

        found.sort(key=key, reverse=len(words) == 2 and words[1].lower() == "desc")
    return found


@dataclass(frozen=True)
class Page:
    """One page of a list, and what the answer says of it."""

    records: list[Any]
    pagination: dict[str, int] | None


def page_of(records: list[Any], request: Request, forced: bool = False) -> Page:
    """The page that the request asks for; the whole list when it asks for none."""
    page_text, size_text = request.param("page"), request.param("pageSize")
    if page_text is None and size_text is None and not forced:
        return Page(records, None)
    page, size = _count(page_text, "page", 1), _count(size_text, "pageSize", 100)
    if size > 1000:
        raise QueryError("pageSize must not be more than 1000")
    chosen = records[(page - 1) * size : page * size]
    pages = -(-len(records) // size)
    return Page(chosen, {"page": page, "pageSize": size, "pageCount": pages, "itemCount": len(records)})


def _count(text: str | None, name: str, default: int) -> int:
    if text is None or text == "":
        return default
    if not re.fullmatch(r"\d{1,6}", text) or int(text) < 1:
        raise QueryError(f"{name} must be a whole number from 1")
    return int(text)


def listed(request: Request, name: str) -> list[str] | None:
    """The parts of a comma separated parameter, or None when it is not there or empty."""
    text = request.param(name)
    if text is None or not text.strip():
        return None
    return [part.strip().strip('"') for part in text.split(",") if part.strip()]


def flag(request: Request, name: str) -> bool:
    """Whether a parameter says true."""
    return (request.param(name) or "").strip().lower() == "true"


def modified_since(request: Request) -> datetime | None:
    """The moment in If-Modified-Since. With milliseconds or an offset Xero ignores it without a word."""
    text = request.headers.get("if-modified-since", "").strip()
    try:
        if _HTTP_DATE.match(text):
            return parsedate_to_datetime(text).astimezone(UTC)
        if _ISO_SECONDS.match(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except (ValueError, TypeError):
        return None
    return None
