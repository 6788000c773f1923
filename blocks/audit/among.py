"""`among`: a column holds one of many values, which travel as one parameter.

SQLAlchemy's own `in_` writes a statement anew for each list, a parameter for each value: that costs more than what the
database does with it, and their number is limited (docs/decisions/0008). A list as one parameter has no such limit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Boolean, ColumnElement, Dialect, Text, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine


class _Listed(TypeDecorator[Sequence[Any]]):
    """A list of values of a type: an array in PostgreSQL, JSON text in SQLite."""

    impl = Text
    cache_ok = True

    def __init__(self, of: TypeEngine[Any]) -> None:
        super().__init__()
        self.of = of

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """As the database takes it."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(self.of))

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        """The list as the driver takes it."""
        given = list(value or ())
        return json.dumps(given) if dialect.name == "sqlite" else given


class _Among(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:  # noqa: ARG002  (SQLAlchemy calls it so)
        # It is a comparison already. SQLAlchemy would write "= 1" behind it, and SQLite would search no index for it.
        return self


@compiles(_Among, "sqlite")
def _in_json(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(each, **options) for each in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"


@compiles(_Among, "postgresql")
def _in_array(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(each, **options) for each in element.clauses)
    return f"{column} = ANY ({values})"


def among(column: ColumnElement[Any], values: Sequence[Any] | str) -> ColumnElement[bool]:
    """Whether the column is one of these whole numbers or texts, however many they are.

    `values` may be the name of a parameter of the statement instead.
    """
    listed = _Listed(column.type)
    if isinstance(values, str):
        return _Among(column, bindparam(values, type_=listed))
    return _Among(column, bindparam(None, list(values), type_=listed))
