"""One call to the Accounting API on its way through an endpoint, and the way batches are written and answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from deployments.sandbox.wire import Request, Response
from deployments.sandbox.xero_books import Books, Undo
from deployments.sandbox.xero_json import (
    JSON_TYPE,
    api_exception,
    encode,
    milliseconds_of,
    no_data_processed,
    not_found,
    validation_exception,
)

PROVIDER = "Sandbox App"


class UnknownRecord(Exception):
    """The request names an id that the organisation never gave out (answered with 404)."""


@dataclass(frozen=True)
class Call:
    """A call that may proceed: who is asked (books), by which app, and for what (the path behind the resource)."""

    request: Request
    parts: tuple[str, ...]
    books: Books
    app: str

    @property
    def unit_places(self) -> int:
        """Decimal places of unit amounts: four only when the request says unitdp=4."""
        return 4 if (self.request.param("unitdp") or "").strip() == "4" else 2

    @property
    def summarize_errors(self) -> bool:
        """Whether one refused element refuses the whole request (the default, by what was recorded)."""
        return (self.request.param("summarizeErrors") or "true").strip().lower() != "false"

    def answer(
        self, collection: str, records: list[dict[str, Any]], pagination: dict[str, int] | None = None
    ) -> Response:
        """The usual envelope around the records."""
        body: dict[str, Any] = {
            "Id": str(uuid4()),
            "Status": "OK",
            "ProviderName": PROVIDER,
            "DateTimeUTC": f"/Date({milliseconds_of(self.books.now())})/",
        }
        if pagination is not None:
            body["pagination"] = pagination
        body[collection] = records
        return Response(200, {"Content-Type": JSON_TYPE}, encode(body))


@dataclass
class Outcome:
    """What became of one element of a request: the element as it is answered, and what is wrong with it."""

    shown: dict[str, Any]
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def write_batch(
    call: Call,
    collection: str,
    elements: list[dict[str, Any]],
    write: Callable[[dict[str, Any], Undo], Outcome],
    summarize: bool,
) -> Response:
    """Write the elements one by one. With `summarize` all or nothing, else the good ones stay."""
    if not elements:
        return no_data_processed()
    done: Undo = []
    outcomes: list[Outcome] = []
    try:
        for element in elements:
            undo: Undo = []
            try:
                outcome = write(element, undo)
            except BaseException:
                _take_back(undo)
                raise
            if outcome.errors:
                _take_back(undo)
            else:
                done.extend(undo)
            outcomes.append(outcome)
    except UnknownRecord:
        _take_back(done)
        return not_found()
    except BaseException:
        _take_back(done)
        raise
    refused = [outcome for outcome in outcomes if outcome.errors]
    for outcome in outcomes:
        if outcome.errors:
            outcome.shown["ValidationErrors"] = [{"Message": message} for message in outcome.errors]
        if outcome.warnings:
            outcome.shown["Warnings"] = [{"Message": message} for message in outcome.warnings]
    if summarize and refused:
        _take_back(done)
        return validation_exception([outcome.shown for outcome in refused])
    if not summarize:
        for outcome in outcomes:
            warned = "WARNING" if outcome.warnings else "OK"
            outcome.shown["StatusAttributeString"] = "ERROR" if outcome.errors else warned
    shown = [outcome.shown for outcome in outcomes]
    if call.books.switches.answer_order == "reversed":
        shown.reverse()
    return call.answer(collection, shown)


def _take_back(undo: Undo) -> None:
    for step in reversed(undo):
        step()
    undo.clear()


def query_refused(message: str) -> Response:
    """The 400 for a query that cannot be understood."""
    return api_exception(16, "QueryParseException", message)


def too_many() -> Response:
    """The 400 for a list of more than 100,000 records."""
    return api_exception(
        10, "ValidationException", "The request would return too many records; use a filter and paging."
    )
