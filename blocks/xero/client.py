"""Talks to Xero's Accounting API: look-ups, reference lists, and stored write requests sent byte for byte.

What an answer means is decided in `failures.py`; how often a call may go out in the limiter; which records a write
carries, and what becomes of them, in `tasks/`. Facts: xero.md, sections 1 to 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from blocks.failures import LimitReached, NotConfigured, Unreachable
from blocks.wire import NoAnswer, Retries, TryAgain, Wire, retry_after
from blocks.xero.failures import Answer, Verdict, validation_messages
from blocks.xero.tokens import TokenKeeper
from mappings.kinds import BILL, KINDS, PURCHASE_ORDER, Kind
from mappings.linked_transactions import found_link
from mappings.xero import Found, fold

LOOK_UP = 50
"""Documents per look-up and per write: about 50 is what Xero recommends (xero.md, 3.3)."""
PAGE_SIZE = 1000
LINKS_PER_PAGE = 100
"""Linked transactions come so many at a time, and no other number can be asked for (xero.md, 3.4)."""
FEW = 5
"""So many purchase orders are asked for one by one: nothing asks for several, and a page of their list holds 1,000."""
KEY_LASTS = timedelta(minutes=5)
"""How long a stored request is sent again as it is: the six minutes of its key, less one (xero.md, 1.2)."""

UNTOLD_DAY = 3600.0
"""How long the day's limit is taken to last when the answer does not say."""
READERS = {
    "Allocations": Found.of_allocation,
    "Contacts": Found.of_contact,
    "LinkedTransactions": found_link,
    "Payments": Found.of_payment,
}
"""How the elements of a collection are read that holds no documents."""
OR = "%20OR%20"
LONGEST_CONDITION = 1800
"""Characters of an encoded condition: with the rest of its address below the 2,000 that every server takes."""


class FateUnknown(Exception):
    """A write may have been applied: its records must be looked up before anything else is done with them."""


class BatchRefused(Exception):
    """A definite no to a whole write call: nothing was written. `words` are Xero's."""

    def __init__(self, words: str) -> None:
        self.words = words
        super().__init__(words)


@dataclass(frozen=True, slots=True)
class Element:
    """One element of an answer to a write: the document, or the zero id and Xero's reasons."""

    found: Found
    errors: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """True when Xero wrote it."""
        return not self.errors and self.has_id

    @property
    def has_id(self) -> bool:
        """Whether it names a document: the id of a refused new one is all zeros, or not there."""
        return bool(self.found.xero_id.strip("0-"))


class XeroClient:
    """A client for one Xero app; every call names the organisation. Safe to use from several threads."""

    def __init__(
        self,
        api_url: str,
        tokens: TokenKeeper,
        wire: Wire,
        *,
        clock: Callable[[], datetime],
        custom_connection: bool = False,
        retries: Retries = Retries(),  # noqa: B008  (frozen)
    ) -> None:
        self.api_url = api_url.rstrip("/")
        self._tokens = tokens
        self._wire = wire
        self._custom = custom_connection
        self._clock = clock
        self._retries = retries

    @property
    def calls(self) -> int:
        """How many calls were made so far, retries included, identity not."""
        return self._wire.calls

    # Reading

    def organisation(self, tenant_id: str) -> dict[str, Any]:
        """The organisation: base currency, lock dates, short code."""
        found = self._list(tenant_id, "Organisation", "Organisations")
        if not found:
            raise Unreachable("Xero answered /Organisation without an organisation.")
        return found[0]

    def accounts(self, tenant_id: str) -> list[dict[str, Any]]:
        """The whole chart of accounts."""
        return self._list(tenant_id, "Accounts", "Accounts")

    def tax_rates(self, tenant_id: str) -> list[dict[str, Any]]:
        """All tax rates, deleted ones too."""
        return self._list(tenant_id, "TaxRates", "TaxRates")

    def currencies(self, tenant_id: str) -> list[dict[str, Any]]:
        """The currencies that are switched on."""
        return self._list(tenant_id, "Currencies", "Currencies")

    def tracking_categories(self, tenant_id: str) -> list[dict[str, Any]]:
        """The tracking categories with their options, archived ones too."""
        return self._list(tenant_id, "TrackingCategories?includeArchived=true", "TrackingCategories")

    def items(self, tenant_id: str) -> list[dict[str, Any]]:
        """The whole price list."""
        return self._list(tenant_id, "Items", "Items")

    def contacts(self, tenant_id: str, changed_since: datetime | None = None) -> list[dict[str, Any]]:
        """All contacts, archived ones too; with `changed_since` only those that changed at or after it."""
        # Milliseconds or an offset would make Xero ignore the header (xero.md, 3.4).
        headers = {"If-Modified-Since": f"{changed_since.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"} if changed_since else {}
        return [
            contact for page in self._pages(tenant_id, "Contacts", "includeArchived=true", headers) for contact in page
        ]

    def documents_since(
        self, tenant_id: str, kind: Kind, start: date, end: date | None = None
    ) -> Iterator[list[Found]]:
        """Documents dated `start` or later (up to and including `end`), in large pages, with their lines."""
        if kind is PURCHASE_ORDER:
            until = f"&DateTo={end.isoformat()}" if end else ""
            yield from self._documents(tenant_id, kind, f"DateFrom={start.isoformat()}{until}", PAGE_SIZE)
            return
        where = f'Type=="{kind.type}" AND Date>={_literal(start)}' + (f" AND Date<={_literal(end)}" if end else "")
        yield from self._documents(tenant_id, kind, f"where={quote(where, safe='')}", PAGE_SIZE)

    def documents_by_number(self, tenant_id: str, kind: Kind, numbers: Sequence[str]) -> dict[str, list[Found]]:
        """Documents with these numbers, dead ones too, by folded number."""
        asked = [number for number in dict.fromkeys(numbers) if fold(number)]
        wanted = {fold(number) for number in asked}
        if kind is PURCHASE_ORDER:
            orders = self._orders(tenant_id, {fold(number): number for number in asked}, lambda one: fold(one.number))
            return {number: [order] for number, order in orders.items()}
        # How quotes are escaped in a condition is not documented. A comma separates numbers in InvoiceNumbers, and
        # what becomes of blanks at their ends is not said. Such numbers are asked for one by one.
        apart = "," if kind.linked else '"\\'
        odd = [number for number in asked if set(apart) & set(number) or number != number.strip()]
        plain = [number for number in asked if number not in odd]
        if kind.linked:
            queries = [f"InvoiceNumbers={quote(','.join(chunk), safe='')}" for chunk in _chunks(plain, LOOK_UP)]
        else:
            queries = [f"where={each}" for each in _any_of(f'{kind.number}=="{number}"' for number in plain)]
        queries += [f"where={quote(_contains(kind, number), safe='')}" for number in odd]
        found: dict[str, list[Found]] = {}
        for query in queries:
            for page in self._documents(tenant_id, kind, query):
                for document in page:
                    if document.type == kind.type and fold(document.number) in wanted:
                        found.setdefault(fold(document.number), []).append(document)
        return found

    def documents_by_id(self, tenant_id: str, kind: Kind, xero_ids: Sequence[str]) -> dict[str, Found]:
        """Documents as they stand now, dead ones too, with their lines; what Xero does not show is absent."""
        asked = list(dict.fromkeys(xero_ids))
        if kind is PURCHASE_ORDER:
            by_id = {xero_id.lower(): xero_id for xero_id in asked}
            found = self._orders(tenant_id, by_id, lambda one: one.xero_id.lower(), sure=True)
            return {xero_id: found[xero_id.lower()] for xero_id in xero_ids if xero_id.lower() in found}
        if kind.linked:
            queries = [f"IDs={','.join(chunk)}" for chunk in _chunks(asked, LOOK_UP)]
        else:
            queries = [f"where={each}" for each in _any_of(_has_id(kind, xero_id) for xero_id in asked)]
        found = {}
        for query in queries:
            for page in self._documents(tenant_id, kind, query):
                found |= {document.xero_id.lower(): document for document in page}
        return {xero_id: found[xero_id.lower()] for xero_id in xero_ids if xero_id.lower() in found}

    def _orders(
        self, tenant_id: str, asked: Mapping[str, str], key: Callable[[Found], str], *, sure: bool = False
    ) -> dict[str, Found]:
        """Purchase orders, deleted ones too, by the `key` of what was asked for: ids or numbers, as they are spelt.

        A few are asked for one by one; of many the list is read, up to the last of them. `sure`: a few that it does not
        show are asked for as well, since an order that is touched while the list is read may be missing from it.
        """
        found: dict[str, Found] = {}
        one_by_one = len(asked) <= FEW and not any(map(_is_odd, asked.values()))
        if not one_by_one:
            for page in self._documents(tenant_id, PURCHASE_ORDER, "", PAGE_SIZE):
                found |= {key(order): order for order in page if key(order) in asked}
                if len(found) == len(asked):
                    break
        left = [spelt for name, spelt in asked.items() if name not in found]
        if one_by_one or (sure and len(left) <= FEW):
            for spelt in left:
                shown = self._shown(tenant_id, f"PurchaseOrders/{quote(spelt, safe='')}", "PurchaseOrders")
                found |= {key(order): order for order in map(_found, shown) if key(order) in asked}
        return found

    def bills_of(self, tenant_id: str, contact_ids: Sequence[str]) -> Iterator[list[Found]]:
        """All bills of these suppliers, dead ones too, in large pages, with their lines."""
        asked = list(dict.fromkeys(contact_id.lower() for contact_id in contact_ids if contact_id))
        where = quote(f'Type=="{BILL.type}"', safe="")
        for chunk in _chunks(asked, LOOK_UP):
            for page in self._documents(tenant_id, BILL, f"ContactIDs={','.join(chunk)}&where={where}", PAGE_SIZE):
                bills = [document for document in page if document.type == BILL.type]
                if bills:
                    yield bills

    def payment(self, tenant_id: str, payment_id: str) -> dict[str, Any] | None:
        """A payment with what only this says of it: IsReconciled, BatchPayment, Status. None: Xero shows none."""
        found = self._list(tenant_id, f"Payments/{payment_id}", "Payments")
        return found[0] if found else None

    def linked_transactions(self, tenant_id: str, source_id: str = "") -> list[Found]:
        """The linked transactions of a bill, or all of an organisation; a hundred a call (xero.md, 3.4)."""
        query = f"SourceTransactionID={source_id}" if source_id else ""
        return [
            _found(each, found_link)
            for page in self._pages(tenant_id, "LinkedTransactions", query, {}, LINKS_PER_PAGE)
            for each in page
        ]

    def _documents(self, tenant_id: str, kind: Kind, query: str, page_size: int = 100) -> Iterator[list[Found]]:
        """Documents with their lines: those come with a page only (xero.md, 3.4)."""
        # An order that no edit changes: a document that is touched while pages are read is not skipped.
        ordered = f"{query}{'&' if query else ''}order={kind.id}"
        for page in self._pages(tenant_id, kind.collection, ordered, {}, page_size):
            yield [_found(element) for element in page]

    def _shown(self, tenant_id: str, path: str, key: str) -> list[dict[str, Any]]:
        """The elements at an address of which it is no fault that there is none."""
        answer = self._send("GET", tenant_id, path, {}, b"", ())
        if answer.verdict is Verdict.NOT_FOUND:
            return []
        return _elements(self._read(answer, path), key)

    def _list(self, tenant_id: str, path: str, key: str) -> list[dict[str, Any]]:
        return _elements(self._get(tenant_id, path, {}), key)

    def _pages(
        self, tenant_id: str, path: str, query: str, headers: dict[str, str], page_size: int = PAGE_SIZE
    ) -> Iterator[list[dict[str, Any]]]:
        number, before = 1, None
        while True:
            address = f"{path}?{query}{'&' if query else ''}page={number}&pageSize={page_size}&unitdp=4"
            given = self._get(tenant_id, address, headers)
            found = _elements(given, path)
            if found and found == before:
                raise Unreachable(f"Xero answers the same page of {path} again and again; nothing can be read safely.")
            if found:
                yield found
            pagination = given.get("pagination")
            pages = pagination.get("pageCount") if isinstance(pagination, dict) else None
            if number >= pages if isinstance(pages, int) else len(found) < page_size:
                return
            number, before = number + 1, found

    def _get(self, tenant_id: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
        return self._read(self._send("GET", tenant_id, path, headers, b"", ()), path)

    def _read(self, answer: Answer, path: str) -> dict[str, Any]:
        name = f"/{path.partition('?')[0]}"
        if answer.verdict is Verdict.GOOD and answer.given is not None:
            return answer.given
        if answer.verdict is Verdict.NOT_FOUND:
            raise NotConfigured(f"Xero does not know {name} ({answer}); [xero] api_url should be https://api.xero.com.")
        raise Unreachable(
            f"Xero refused {name} ({answer}); the next cycle tries again. If it goes on, `tieout audit` shows the call."
        )

    # Writing

    def write(
        self,
        tenant_id: str,
        method: str,
        path: str,
        body: bytes,
        key: str,
        references: Sequence[str],
        stored_at: datetime,
        *,
        repeats: bool = True,
    ) -> list[Element]:
        """Send a stored request and read every element of the answer.

        Xero forgets a key six minutes after its first call, so nothing is sent under one that is older than five.
        `repeats` False: nothing that may have been carried out is sent again at all, whatever its key is good for.
        Raises FateUnknown (look the records up), BatchRefused (nothing was written), LimitReached.
        """
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        try:
            answer = self._send(method, tenant_id, path, headers, body, references, stored_at + KEY_LASTS, repeats)
        except Unreachable as error:
            raise FateUnknown(str(error)) from error
        if answer.verdict in (Verdict.REFUSED, Verdict.NOT_FOUND):
            raise BatchRefused(answer.words or f"HTTP {answer.status} without a message")
        if answer.verdict is not Verdict.GOOD or answer.given is None:
            raise FateUnknown(f"Xero answered {answer}")
        try:
            if method == "DELETE":
                # What is answered to that is not the collection (xero.md, section 9), and says no more than that.
                return []
            # "Payments/{id}" answers with Payments, "CreditNotes/{id}/Allocations" with Allocations.
            route = path.partition("?")[0]
            collection = "Allocations" if route.endswith("/Allocations") else route.partition("/")[0]
            read = READERS.get(collection, Found.parse)
            elements = [_element(element, read) for element in _elements(answer.given, collection)]
        except Unreachable as error:
            raise FateUnknown(str(error)) from error
        if method == "PUT" and any(bool(element.errors) == element.has_id for element in elements):
            # Refused and yet there, or neither: only a look tells.
            raise FateUnknown("Xero's answer contradicts itself")
        return elements

    # One call, however many attempts it takes

    def _send(
        self,
        method: str,
        tenant_id: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        references: Sequence[str],
        until: datetime | None = None,
        repeats: bool = True,
    ) -> Answer:
        def still_good() -> None:
            if until is not None and self._clock() >= until:
                raise FateUnknown("the request is too old to be sent again under its key")

        def once(token: SecretStr) -> Answer:
            try:
                return self._once(method, tenant_id, path, headers, body, references, token, still_good)
            except TryAgain as error:
                if repeats:
                    raise
                raise FateUnknown(str(error)) from error

        def attempt() -> Answer:
            token = self._tokens.access_token()
            answer = once(token)
            if answer.verdict is Verdict.REFRESH:
                # Refused before it was looked at: the same bytes with a new token, once.
                answer = once(self._tokens.access_token(refused=token))
            if answer.verdict is Verdict.REPEAT and not repeats:
                return answer
            return self._judged(answer, tenant_id, writing=method != "GET")

        return self._retries.run(attempt)

    def _judged(self, answer: Answer, tenant_id: str, writing: bool) -> Answer:
        """The answer, when it is one to go on with; else raises what its verdict asks for."""
        host = urlsplit(self.api_url).netloc
        match answer.verdict:
            case Verdict.WAIT | Verdict.DEFER:
                raise self._limited(answer, tenant_id)
            case Verdict.DISCONNECTED:
                raise NotConfigured(
                    f"Xero refuses the organisation {tenant_id or 'of this app'} ({answer}): it is not connected to "
                    "this app, or a scope is missing. Check [[organisation]] tenant_id, then run `tieout connect xero`."
                )
            case Verdict.REFRESH:
                raise NotConfigured(
                    f"Xero refuses a token that it has just given us ({answer}); check [xero] api_url and client_id, "
                    "then run `tieout connect xero`."
                )
            case Verdict.REPEAT:
                raise TryAgain(
                    f"Xero at {host} gives no readable answer ({answer}); check that [xero] api_url is "
                    "https://api.xero.com and that nothing stands in between. The next cycle tries again.",
                    retry_after(answer.response),
                )
            case Verdict.UNKNOWN if not writing:
                # After a 5xx a write is looked up instead: its key would replay the error for minutes (xero.md, 1.2).
                raise TryAgain(
                    f"Xero at {host} answers with an error of its own ({answer}); the next cycle tries again.",
                    retry_after(answer.response),
                )
        return answer

    def _limited(self, answer: Answer, tenant_id: str) -> Exception:
        seconds = retry_after(answer.response)
        day = answer.verdict is Verdict.DEFER
        if day and seconds is None:
            seconds = UNTOLD_DAY
        if seconds is not None:
            why = "day limit" if day else "limit of calls"
            self._wire.pause(tenant_id, seconds, why)
            if day or seconds > self._retries.max_wait_seconds:
                return LimitReached("Xero", self._clock() + timedelta(seconds=seconds), why)
        return TryAgain("Xero refuses more calls for now (429); the next cycle goes on.", seconds)

    def _once(
        self,
        method: str,
        tenant_id: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        references: Sequence[str],
        token: SecretStr,
        last_check: Callable[[], None],
    ) -> Answer:
        sent = headers | {"Authorization": f"Bearer {token.get_secret_value()}", "Accept": "application/json"}
        if tenant_id or not self._custom:
            sent["Xero-tenant-id"] = tenant_id
        try:
            response = self._wire.send(
                method, f"{self.api_url}/api.xro/2.0/{path}", headers=sent, body=body, scope=tenant_id,
                references=references, last_check=last_check,
            )  # fmt: skip
        except NoAnswer as error:
            raise TryAgain(
                f"Xero at {urlsplit(self.api_url).netloc} does not answer ({error}); check [xero] api_url and the "
                "network. The next cycle tries again."
            ) from error
        left = response.headers.get("X-DayLimit-Remaining", "")
        if left.isdecimal():
            self._wire.note_day(tenant_id, int(left))
        return Answer(response)


def _elements(given: dict[str, Any], key: str) -> list[dict[str, Any]]:
    elements = given.get(key)
    if not isinstance(elements, list):
        raise Unreachable(f"Xero's answer has no {key}; the next cycle tries again.")
    return [element for element in elements if isinstance(element, dict)]


def _element(given: dict[str, Any], read: Callable[[dict[str, Any]], Found]) -> Element:
    errors = validation_messages(given)
    status = given.get("StatusAttributeString")
    # A success may say HasErrors (xero.md, 3.5): its status has the last word.
    if not errors and (status == "ERROR" or (given.get("HasErrors") and status not in ("OK", "WARNING"))):
        errors = ["Xero refused it without a message"]
    return Element(_found(given, read), tuple(dict.fromkeys(errors)))


def _found(given: dict[str, Any], read: Callable[[dict[str, Any]], Found] = Found.parse) -> Found:
    try:
        return read(given)
    except (ValueError, ArithmeticError, TypeError, AttributeError) as error:
        kinds = KINDS.values()
        names = [*(kind.number for kind in kinds), *(kind.id for kind in kinds)]
        number = next((given[name] for name in names if given.get(name)), "without a number")
        raise Unreachable(f"Xero's answer has a document that cannot be read ({number}).") from error


def _literal(day: date) -> str:
    return f"DateTime({day.year},{day.month:02},{day.day:02})"


def _contains(kind: Kind, number: str) -> str:
    """A condition for a number that cannot stand in a list; how quotes are escaped in one is not documented."""
    part = max(number.replace("\\", '"').split('"'), key=len).strip()
    return f'Type=="{kind.type}" AND {kind.number}!=null AND {kind.number}.Contains("{part}")'


def calls_by_id(kind: Kind, count: int) -> int:
    """How many calls read so many documents of a kind by their ids; a list of purchase orders counts as one page."""
    if kind is PURCHASE_ORDER:
        return count if count <= FEW else 1
    return -(-count // ids_per_call(kind))


def ids_per_call(kind: Kind) -> int:
    """How many documents of a kind one call reads by their ids."""
    if kind.linked:
        return LOOK_UP
    each = len(quote(_has_id(kind, "0" * 36), safe="")) + len(OR)
    return (LONGEST_CONDITION + len(OR)) // each


def _is_odd(text: str) -> bool:
    """Whether a number may be taken for something else on its way in an address."""
    return bool(set("/\\%?#") & set(text)) or text != text.strip() or not text.strip(".")


def _has_id(kind: Kind, xero_id: str) -> str:
    return f'{kind.id}==Guid("{xero_id}")'


def _any_of(conditions: Iterable[str]) -> Iterator[str]:
    """Conditions joined by OR, encoded, as many in one as an address carries."""
    joined = ""
    for each in conditions:
        one = quote(each, safe="")
        if joined and len(joined) + len(one) + len(OR) > LONGEST_CONDITION:
            yield joined
            joined = ""
        joined = f"{joined}{OR}{one}" if joined else one
    if joined:
        yield joined


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
