"""How ConnectWise reads `conditions`, `orderBy` and `fields`.

`Conditions` is a parser for the documented grammar: a field, an operator and a value, joined by and, or, not and
parentheses. Comparisons with an absent (null) value are neither true nor false, as in the SQL underneath, and text is
compared without case. The parser knows which fields a list has and of which kind they are, since ConnectWise refuses
a condition on a field that it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

Record = dict[str, Any]
Kind = Literal["number", "text", "boolean", "date", "reference", "array"]
Fields = Mapping[str, Kind]
Test = Callable[[Record], bool | None]

VALUE_RULES = (
    "String values should be enclosed with double or single quotes; DateTime values should be enclosed in square"
    " brackets; Boolean values should be True or False; numeric values should not be enclosed."
)
"""What ConnectWise adds to the message about any value of the wrong kind."""

REFERENCE_FIELDS: dict[str, Kind] = {
    "id": "number",
    "identifier": "text",
    "name": "text",
    "summary": "text",
    "type": "text",
    "isclosed": "boolean",
    "currencycode": "text",
    "billingtype": "text",
    "invoicedate": "date",
}
"""The fields that a reference can have, in lower case."""

INFO_FIELDS: dict[str, Kind] = {
    "lastupdated": "date",
    "updatedby": "text",
    "dateentered": "date",
    "enteredby": "text",
}


class BadQuery(ValueError):
    """A query parameter that ConnectWise would refuse with 400."""


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"[^"]*"|'[^']*')
    | (?P<date>\[[^\]]*\])
    | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<operator><=|>=|!=|=|<|>)
    | (?P<mark>[(),])
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*(?:/[A-Za-z_][A-Za-z0-9_]*)*)
    )""",
    re.VERBOSE,
)
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?Z?)?")
_KIND_NAMES = {"number": "numeric", "text": "string", "boolean": "boolean", "date": "datetime"}
_OPERATORS = ("=", "!=", "<", "<=", ">", ">=")

Token = tuple[str, str]
Value = str | Decimal | bool | None


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise BadQuery(f"Syntax error in conditions at position {position}: '{text[position : position + 20]}'.")
        found.append((match.lastgroup, match.group(match.lastgroup)))
        position = match.end()
    return found


def timestamp(text: str) -> str:
    """A date literal as ConnectWise writes it in answers: whole seconds, UTC, `Z`."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        raise BadQuery(f"'{text}' is not a valid UTC DateTime. {VALUE_RULES}")
    try:
        moment = datetime(*(int(part or 0) for part in match.groups()), tzinfo=UTC)  # type: ignore[misc, arg-type]  # 6 parts
    except ValueError as error:
        raise BadQuery(f"'{text}' is not a valid UTC DateTime. {VALUE_RULES}") from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Path:
    """A field of a record: `id`, `company/id`, `_info/lastUpdated` (also written `lastUpdated`)."""

    def __init__(self, text: str, fields: Fields) -> None:
        self.text = text
        first, _, rest = text.partition("/")
        if first.lower() == "lastupdated" and not rest:
            first, rest = "_info", "lastUpdated"
        name = next((known for known in fields if known.lower() == first.lower()), None)
        if first.lower() == "_info":
            name = "_info"
        if name is None:
            raise BadQuery(f"No property or field '{text}' exists.")
        kind: Kind | None = "reference" if name == "_info" else fields[name]
        if rest:
            nested = INFO_FIELDS if name == "_info" else REFERENCE_FIELDS
            kind = nested.get(rest.lower()) if kind == "reference" else None
        if kind is None or kind == "array":
            raise BadQuery(f"No property or field '{text}' exists.")
        self.kind: Kind = kind
        self.first = name
        self.rest = next((known for known in _SPELLING if known.lower() == rest.lower()), rest)
        self.name = f"{name}/{self.rest}" if rest else name

    def get(self, record: Record) -> Any:
        """The value in one record, or None."""
        value = record.get(self.first)
        if not self.rest:
            return value
        return value.get(self.rest) if isinstance(value, dict) else None

    def getter(self) -> Callable[[Record], Any]:
        """`get` as a closure without the test for nesting (this is what a scan of a whole table calls)."""
        first, rest = self.first, self.rest
        if not rest:
            return lambda record: record.get(first)

        def nested(record: Record) -> Any:
            value = record.get(first)
            return value.get(rest) if isinstance(value, dict) else None

        return nested


_SPELLING = (
    *("id", "identifier", "name", "summary", "type", "isClosed", "currencyCode", "billingType", "invoiceDate"),
    *("lastUpdated", "updatedBy", "dateEntered", "enteredBy"),
)


def _comparable(kind: Kind, value: Any) -> Any:
    """A record's value in the form that literals of its kind have, or None when it cannot be compared."""
    if value is None:
        return None
    if kind == "number":
        return value if isinstance(value, int | Decimal) and not isinstance(value, bool) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if not isinstance(value, str):
        return None
    return value.casefold() if kind == "text" else value


def _like(pattern: str) -> re.Pattern[str]:
    """SQL's LIKE, with `*` as another sign for any text."""
    out: list[str] = []
    position = 0
    while position < len(pattern):
        sign = pattern[position]
        end = pattern.find("]", position + 1) if sign == "[" else -1
        if end > 0:
            # `[[]` is the way to write a literal bracket, so it is its own case.
            inside = pattern[position + 1 : end]
            out.append(re.escape(inside) if len(inside) == 1 else "[" + re.escape(inside).replace(r"\-", "-") + "]")
            position = end + 1
            continue
        out.append(".*" if sign in "*%" else "." if sign == "_" else re.escape(sign))
        position += 1
    return re.compile("".join(out), re.IGNORECASE | re.DOTALL)


class Conditions:
    """A parsed `conditions` parameter.

    `test` says whether a record meets it. `among` holds, for fields compared with `=` or `in` in every branch, the
    values that can match at all, and `above` the lowest id that can: with them a table need not be scanned.
    """

    def __init__(self, text: str, fields: Fields, refused: Iterable[str] = ()) -> None:
        self._tokens = _tokens(text)
        self._position = 0
        self._fields = fields
        self._refused = {name.lower() for name in refused}
        self.among: dict[str, frozenset[Any]] = {}
        self.above: int | None = None
        self.test: Test = self._alternatives(top=True)
        if self._position < len(self._tokens):
            raise BadQuery(f"Syntax error in conditions near '{self._tokens[self._position][1]}'.")

    def _peek(self) -> Token:
        return self._tokens[self._position] if self._position < len(self._tokens) else ("end", "")

    def _take(self) -> Token:
        token = self._peek()
        self._position += 1
        return token

    def _word(self, *words: str) -> bool:
        kind, text = self._peek()
        if kind == "word" and text.lower() in words:
            self._position += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        kind, text = self._take()
        if (kind, text) != ("mark", mark):
            raise BadQuery(f"Syntax error in conditions: expected '{mark}', found '{text or 'the end'}'.")

    def _alternatives(self, top: bool) -> Test:
        start = self._position
        tests = [self._conjunction(top and not self._has_alternative(start))]
        while self._word("or"):
            tests.append(self._conjunction(top=False))
        if len(tests) == 1:
            return tests[0]

        def any_of(record: Record) -> bool | None:
            unknown = False
            for test in tests:
                result = test(record)
                if result:
                    return True
                unknown = unknown or result is None
            return None if unknown else False

        return any_of

    def _has_alternative(self, start: int) -> bool:
        """Whether the expression from `start` has an `or` of its own: then nothing narrows the whole of it."""
        depth = 0
        for kind, text in self._tokens[start:]:
            depth += (text == "(") - (text == ")") if kind == "mark" else 0
            if depth < 0:
                return False
            if depth == 0 and kind == "word" and text.lower() == "or":
                return True
        return False

    def _conjunction(self, top: bool) -> Test:
        tests = [self._negation(top)]
        while self._word("and"):
            tests.append(self._negation(top))
        if len(tests) == 1:
            return tests[0]

        def all_of(record: Record) -> bool | None:
            unknown = False
            for test in tests:
                result = test(record)
                if result is False:
                    return False
                unknown = unknown or result is None
            return None if unknown else True

        return all_of

    def _negation(self, top: bool) -> Test:
        if self._word("not"):
            return _negated(self._negation(top=False))
        if self._peek() == ("mark", "("):
            self._take()
            test = self._alternatives(top)
            self._expect(")")
            return test
        return self._comparison(top)

    def _comparison(self, top: bool) -> Test:
        kind, text = self._take()
        if kind != "word":
            raise BadQuery(f"Syntax error in conditions: expected a field, found '{text or 'the end'}'.")
        path = Path(text, self._fields)
        if path.name.lower() in self._refused or text.lower() in self._refused:
            raise BadQuery(f"The field '{text}' cannot be used in conditions.")
        negate = self._word("not")
        kind, text = self._take()
        operator = text.lower()
        test: Test
        if kind == "operator" and not negate:
            test = self._compare(path, operator, top)
        elif kind == "word" and operator == "in":
            test = self._in(path, top and not negate)
        elif kind == "word" and operator in ("contains", "like"):
            test = self._matches(path, operator)
        else:
            raise BadQuery(f"Syntax error in conditions: '{text or 'the end'}' is not an operator.")
        return _negated(test) if negate else test

    def _value(self, path: Path) -> Value:
        kind, text = self._take()
        if kind == "word" and text.lower() == "null":
            return None
        if path.kind == "reference":
            raise BadQuery(f"The field '{path.text}' is a reference: compare one of its fields, as in {path.text}/id.")
        given: Kind
        value: Value
        if kind == "string":
            given, value = "text", text[1:-1].casefold()
        elif kind == "date":
            given, value = "date", timestamp(text[1:-1])
        elif kind == "number":
            given, value = "number", Decimal(text)
        elif kind == "word" and text.lower() in ("true", "false"):
            given, value = "boolean", text.lower() == "true"
        else:
            raise BadQuery(f"Syntax error in conditions near '{text or 'the end'}'. {VALUE_RULES}")
        if given != path.kind:
            wanted = _KIND_NAMES[path.kind]
            raise BadQuery(f"Expected a {wanted} value, not a {_KIND_NAMES[given]}. {VALUE_RULES}")
        return value

    def _compare(self, path: Path, operator: str, top: bool) -> Test:
        value = self._value(path)
        get, kind = path.getter(), path.kind
        if value is None:
            if operator not in ("=", "!="):
                raise BadQuery("null can only be compared with = and !=.")
            absent = operator == "="
            return lambda record: (get(record) is None) is absent
        if top and operator == "=":
            self._narrow(path, frozenset((value,)))
        if top and path.name == "id" and operator in (">", ">=") and isinstance(value, Decimal):
            floor = int(value) if operator == ">" else int(value) - 1
            self.above = floor if self.above is None else max(self.above, floor)
        if kind == "date":
            return _date_test(get, operator, str(value))

        def test(record: Record) -> bool | None:
            found = _comparable(kind, get(record))
            return None if found is None else _holds(found, operator, value)

        return test

    def _in(self, path: Path, top: bool) -> Test:
        self._expect("(")
        values = [self._value(path)]
        while self._peek() == ("mark", ","):
            self._take()
            values.append(self._value(path))
        self._expect(")")
        if None in values:
            raise BadQuery("null cannot be a member of a list.")
        members = frozenset(values)
        if top:
            self._narrow(path, members)
        get, kind = path.getter(), path.kind

        def test(record: Record) -> bool | None:
            found = _comparable(kind, get(record))
            return None if found is None else found in members

        return test

    def _matches(self, path: Path, operator: str) -> Test:
        kind, text = self._take()
        if kind != "string" or path.kind != "text":
            raise BadQuery(f"'{operator}' needs a string field and a string value. {VALUE_RULES}")
        get = path.getter()
        needle = text[1:-1].casefold()
        pattern = _like(text[1:-1])

        def test(record: Record) -> bool | None:
            found = get(record)
            if not isinstance(found, str):
                return None
            return needle in found.casefold() if operator == "contains" else pattern.fullmatch(found) is not None

        return test

    def _narrow(self, path: Path, values: frozenset[Any]) -> None:
        known = self.among.get(path.name)
        self.among[path.name] = values if known is None else known & values


def _negated(test: Test) -> Test:
    def negated(record: Record) -> bool | None:
        result = test(record)
        return None if result is None else not result

    return negated


def _holds(found: Any, operator: str, value: Any) -> bool:
    if operator == "=":
        return bool(found == value)
    if operator == "!=":
        return bool(found != value)
    if operator == "<":
        return bool(found < value)
    if operator == "<=":
        return bool(found <= value)
    if operator == ">":
        return bool(found > value)
    return bool(found >= value)


def _date_test(get: Callable[[Record], Any], operator: str, value: str) -> Test:
    """Dates are compared as text: all of them are written alike, and a table is scanned at this speed."""
    if operator == ">=":
        return lambda record: found >= value if type(found := get(record)) is str else None
    if operator == ">":
        return lambda record: found > value if type(found := get(record)) is str else None
    return lambda record: _holds(found, operator, value) if type(found := get(record)) is str else None


def order(text: str, fields: Fields) -> Callable[[Sequence[Record]], list[Record]]:
    """Read `orderBy` ("date desc, id asc") and return the function that sorts; absent values come first."""
    keys: list[tuple[Callable[[Record], tuple[bool, Any]], bool]] = []
    for part in text.split(","):
        words = part.split()
        if not words or len(words) > 2 or (len(words) == 2 and words[1].lower() not in ("asc", "desc")):
            raise BadQuery(f"Syntax error in orderBy near '{part.strip()}'.")
        keys.append((_sort_key(Path(words[0], fields)), len(words) == 2 and words[1].lower() == "desc"))

    def sort(records: Sequence[Record]) -> list[Record]:
        ordered = list(records)
        for key, descending in reversed(keys):
            ordered.sort(key=key, reverse=descending)
        return ordered

    return sort


def _sort_key(path: Path) -> Callable[[Record], tuple[bool, Any]]:
    if path.kind == "reference":
        raise BadQuery(f"The field '{path.text}' cannot be used in orderBy.")

    def key(record: Record) -> tuple[bool, Any]:
        value = _comparable(path.kind, path.get(record))
        return (value is not None, value if value is not None else 0)

    return key


@lru_cache(maxsize=64)
def _wanted(text: str) -> dict[str, frozenset[str] | None]:
    """`fields` as top-level names (lower case), each with the nested names wanted, or None for the whole of it."""
    wanted: dict[str, frozenset[str] | None] = {}
    for part in text.split(","):
        first, _, rest = part.strip().lower().partition("/")
        if not first:
            continue
        if first == "lastupdated" and not rest:
            first, rest = "_info", "lastupdated"
        known = wanted.get(first, frozenset())
        wanted[first] = None if not rest or known is None else known | {rest}
    return wanted


def project(record: Record, fields: str) -> Record:
    """Only the fields asked for; a field that does not exist is silently absent."""
    wanted = _wanted(fields)
    picked: Record = {}
    for name, value in record.items():
        if name.lower() not in wanted:
            continue
        nested = wanted[name.lower()]
        if nested is None or not isinstance(value, dict):
            picked[name] = value
        else:
            picked[name] = {key: inner for key, inner in value.items() if key.lower() in nested}
    return picked
