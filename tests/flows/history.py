"""Two systems with the people who work in them, for histories that nobody thought of (test_histories.py).

People do what they do in the screens of either system, and what a person changed by hand in Xero is remembered as hers.
Every cycle is compared with how things stood before it, and at the end both systems have to agree, or each difference
has a name that fits. What Xero should hold is worked out here anew, from ConnectWise's records and the tables alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from blocks.audit import runs, watermarks
from blocks.audit.tables import BINDINGS, RECORDS, REQUEST_ROWS
from deployments.sandbox.wire import Fault, Request
from flows.family import Summary
from flows.reconciling import reconcile_families
from mappings.outcomes import WAITING, Outcome
from tests.worlds import World

Raw = dict[str, Any]
Path2 = tuple[str, str]
"""A field of a document: its name in the API, and the LineItemID for one of a line ('' for the header)."""
ZERO = Decimal(0)
DEAD = ("VOIDED", "DELETED")
PLACES = ("Sydney", "Perth")
KINDS = {"time": "service", "product": "product"}
TRACKED = "Region"
OPTIONS = ("East", "West")
CLOSED = "Closed"
WRITES = ("PUT /Invoices", "POST /Invoices", "PUT /Contacts", "POST /Contacts")


class Killed(BaseException):
    """The process is gone: nobody catches it, nothing is said or tidied up."""


@dataclass
class Killer:
    """Ends a process before its n-th call or commit, or just after a call was carried out; then nothing goes out."""

    world: World
    at: int
    after: bool = False
    events: int = 0

    @property
    def dead(self) -> bool:
        """Whether it has struck."""
        return self.events >= self.at

    def before_commit(self, *_engine: Any) -> None:
        """A commit is about to be made."""
        self._tick()

    def before_call(self, request: Request, _number: int) -> Fault | None:
        """A call is about to be carried out."""
        last_words = self.after and self.events + 1 == self.at
        if last_words:
            (self.world.connectwise if request.path.startswith("/v4_6_release/") else self.world.xero)(request)
        self._tick()
        return None

    def _tick(self) -> None:
        self.events += 1
        if self.dead:
            raise Killed

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Lie in wait while the body runs, and see the end of it."""
        world = self.world
        world.to_connectwise.plan = world.to_xero.plan = self.before_call
        event.listen(Engine, "commit", self.before_commit)
        try:
            yield
        except Killed:
            pass
        finally:
            event.remove(Engine, "commit", self.before_commit)
            world.to_connectwise.plan = world.to_xero.plan = lambda _request, _number: None


@dataclass
class Her:
    """What a person made of one document in Xero: her values by field, and the rows of ours that she took out."""

    values: dict[Path2, Any] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)


@dataclass
class Tables:
    """What the mapping tables say, and have ever said: a posted document is mapped anew only when it is looked at."""

    accounts: dict[str, str] = field(default_factory=lambda: {"service": "200", "product": "260"})
    option: str | None = "East"
    places: dict[str, str] = field(default_factory=lambda: {place: place for place in PLACES})
    accounts_ever: dict[str, set[str]] = field(default_factory=lambda: {"service": {"200"}, "product": {"260"}})
    options_ever: set[str | None] = field(default_factory=lambda: {"East"})


class History:
    """Both systems, everybody in them, and what has to be true of it all."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder, consents_again=True).ready_twice()
        for organisation in self.world.xero.organisations.values():
            organisation.add_tracking_category(TRACKED, OPTIONS)
        self.world.connectwise.add_department("Services")
        self.world.add_customer("BETA", "Beta Pty Ltd", "BETA01")
        self.tables = Tables()
        self.hers: dict[str, Her] = {}
        self.deleted: dict[int, bool] = {}
        self.accepted: set[int] = set()
        self.decided: set[int] = set()
        self.deletes_drafts = False
        self._numbers = 0
        self._texts = 0
        doors = self.world.doors()
        self.site = doors.site
        doors.audit.close()
        self.write_tables()

    # --- ConnectWise

    def text(self) -> str:
        """Words that nobody used before."""
        self._texts += 1
        return f"Text {self._texts}"

    def row(self, hours: int, rate: Decimal) -> Raw:
        """A time entry."""
        return {"invoiceHours": Decimal(hours), "hourlyRate": rate, "notes": self.text()}

    def records(self, among: Callable[[Raw], bool] = lambda _raw: True) -> list[int]:
        """Invoices in ConnectWise, oldest first."""
        return [number for number, raw in self.world.connectwise.tables["invoice"].records.items() if among(raw)]

    def raw(self, number: int) -> Raw:
        """An invoice's header as ConnectWise has it."""
        found: Raw = self.world.connectwise.tables["invoice"].records[number]
        return found

    def add(self, place: str, rows: Sequence[tuple[int, Decimal]], closed: bool, days: int) -> int:
        """A new invoice."""
        self._numbers += 1
        return self.world.add_invoice(
            f"4{self._numbers:04}",
            location=place,
            department="Services",
            date=self.world.clock().date() - timedelta(days=days),
            status=CLOSED if closed else "New",
            time=[self.row(hours, rate) for hours, rate in rows],
        )

    def bump(self, number: int, **fields: Any) -> None:
        """Save the invoice: a change of its rows alone is found by the completeness sweep only."""
        self.world.clock.advance(seconds=7)
        self.world.connectwise.edit_invoice(number, **fields)

    def renumber(self, number: int, like: int | None) -> None:
        """Give an invoice another number: a new one, or one that another invoice has."""
        self._numbers += 1
        new = f"4{self._numbers:04}" if like is None else self.raw(like)["invoiceNumber"]
        self.bump(number, invoiceNumber=new)

    def delete(self, number: int) -> None:
        """Delete an invoice in ConnectWise. What waits for something may still be settled as it was read last."""
        standing = self.standings().get(number)
        unsettled = any(row["settled_at"] is None for row in self.world.rows(REQUEST_ROWS))
        self.deleted[number] = unsettled or (standing is not None and standing["outcome"] in WAITING)
        self.world.connectwise.delete_invoice(number)

    # --- The tables

    def write_tables(self) -> None:
        """Save all tables as they are meant to be now."""
        world, tables = self.world, self.tables
        world.write(
            "organisations.csv",
            "location,department,company,staff,tag,organisation\n"
            + "".join(f"{place},,,,,{organisation}\n" for place, organisation in tables.places.items() if organisation),
        )
        world.write(
            "accounts.csv",
            "organisation,side,kind,category,item,account_code,item_code\n"
            + "".join(f",sales,{kind},,,{code},\n" for kind, code in tables.accounts.items() if code),
        )
        row = f",sales,department,Services,{TRACKED},{tables.option}\n" if tables.option is not None else ""
        other = f",sales,department,Nobody's,{TRACKED},East\n"
        world.write("tracking.csv", f"organisation,side,source,value,tracking_category,option\n{row}{other}")

    def map_account(self, kind: str, code: str) -> None:
        """Another account for a kind of line; '' takes the row out."""
        self.tables.accounts[kind] = code
        self.tables.accounts_ever[kind].add(code)
        self.write_tables()

    def map_option(self, option: str | None) -> None:
        """Another option; '' is deliberately none, None takes the row out."""
        self.tables.option = option
        self.tables.options_ever.add(option)
        self.write_tables()

    def route(self, place: str, organisation: str) -> None:
        """Another organisation for a location; '' takes the row out."""
        self.tables.places[place] = organisation
        self.write_tables()

    # --- Xero

    def documents(self, among: Callable[[Raw], bool] = lambda _raw: True) -> list[tuple[str, Raw]]:
        """Documents in Xero with the name of their organisation, dead ones too."""
        return [
            (name, document)
            for name, tenant in self.world.tenants.items()
            for document in self.world.xero.organisations[tenant].invoices("ACCREC", live=False)
            if among(document)
        ]

    def books(self, name: str) -> Any:
        """The organisation in Xero."""
        return self.world.xero.organisations[self.world.tenants[name]]

    def record_of(self, document: Raw) -> int | None:
        """The record that a document links to."""
        found = self.site.record_of(document.get("Url", ""))
        return found[1] if found else None

    def live_of(self, number: int) -> list[tuple[str, Raw]]:
        """The live documents of a record: never more than one."""
        return self.documents(lambda one: one["Status"] not in DEAD and self.record_of(one) == number)

    def note(self, document: Raw, *paths: Path2) -> None:
        """Remember fields of a document, as they stand, as hers."""
        her = self.hers.setdefault(document["InvoiceID"], Her())
        her.values |= {path: value_of(document, path) for path in paths}

    def hand_edit(self, place: str, document: Raw, name: str, line: int, value: Any) -> None:
        """A person changes one field of the header, or of a line."""
        self.world.clock.advance(seconds=7)
        books, xero_id = self.books(place), document["InvoiceID"]
        if name in HEADER_FIELDS:
            now = books.edit(xero_id, **{name: value})
            self.note(now, (name, ""))
            return
        lines = document["LineItems"]
        line_id = lines[line % len(lines)]["LineItemID"]
        changed = {name: value}
        if name == "UnitAmount":
            changed |= {"LineAmount": None, "TaxAmount": None}
        sent = [{"LineItemID": one["LineItemID"], **(changed if one["LineItemID"] == line_id else {})} for one in lines]
        now = books.edit(xero_id, LineItems=sent)
        self.note(now, ("Price" if name == "UnitAmount" else name, line_id))

    def add_line(self, place: str, document: Raw) -> None:
        """A person adds a line of her own."""
        self.world.clock.advance(seconds=7)
        known = [{"LineItemID": one["LineItemID"]} for one in document["LineItems"]]
        hers = {"Description": self.text(), "Quantity": 1, "UnitAmount": 5, "AccountCode": "200", "TaxType": "OUTPUT"}
        now = self.books(place).edit(document["InvoiceID"], LineItems=[*known, hers])
        line_id = now["LineItems"][-1]["LineItemID"]
        self.note(now, *((name, line_id) for name in LINE_FIELDS))

    def remove_line(self, place: str, document: Raw, line: int) -> None:
        """A person takes a line out."""
        self.world.clock.advance(seconds=7)
        lines = document["LineItems"]
        gone = lines[line % len(lines)]["LineItemID"]
        sent = [{"LineItemID": one["LineItemID"]} for one in lines if one["LineItemID"] != gone]
        keys = {line_id: key for key, line_id in self.line_ids(document["InvoiceID"]).items()}
        self.books(place).edit(document["InvoiceID"], LineItems=sent)
        her = self.hers.setdefault(document["InvoiceID"], Her())
        her.values = {path: value for path, value in her.values.items() if path[1] != gone}
        if gone in keys:
            her.removed.add(keys[gone])

    def line_ids(self, xero_id: str) -> dict[str, str]:
        """The LineItemID of each row, as the audit has it."""
        found = next((row["lines"] for row in self.world.rows(BINDINGS) if row["xero_id"] == xero_id), "{}")
        ids: dict[str, str] = json.loads(found)
        return ids

    # --- Cycles

    def cycle(self, **form: Any) -> Summary:
        """An undisturbed cycle; every promise that can be seen after one is looked at."""
        before = self._before()
        summary = self.world.cycle(**form)
        assert not summary.failed, summary.failed
        self._counts_add_up(summary)
        self._compare(before, form)
        self._watermark_passed_nothing()
        return summary

    def disturbed(self, **form: Any) -> None:
        """A cycle in which calls go wrong: it may fail, in a sentence, and breaks no promise."""
        before = self._before()
        summary = self.world.cycle(**form)
        self._counts_add_up(summary)
        self._compare(before, form)
        self._watermark_passed_nothing()

    def killed(self, at: int, after: bool, **form: Any) -> None:
        """A cycle that is ended by a kill."""
        before = self._before()
        with Killer(self.world, at, after).at_work():
            self.world.cycle(**form)
        self._compare(before, form)
        self._watermark_passed_nothing()

    def rehearsed(self) -> None:
        """A dry run: nothing changes anywhere."""
        before, rows = self._before(), self.world.rows(RECORDS)
        summary = self.world.cycle(mode="plan")
        assert not summary.failed, summary.failed
        assert self._before() == before, "a dry run wrote to Xero"
        assert self.world.rows(RECORDS) == rows, "a dry run kept something"

    def take_theirs(self, number: int) -> None:
        """A person says that Xero's version of a record counts: wherever it differs, it is hers from now on."""
        self.cycle(references=[f"id:{number}"], take="theirs")
        self.decided.add(number)
        if number in self.named():
            # What lacks a row or waits to be closed has no version to choose from.
            return
        for _, document in self.live_of(number):
            self.note(document, *self._differing(number, document))
            there = {one["LineItemID"] for one in document["LineItems"]}
            known = self.line_ids(document["InvoiceID"])
            self.hers[document["InvoiceID"]].removed |= {
                key for key, _ in self.expected_lines(number) if known.get(key) not in there
            }

    def accept(self, number: int) -> None:
        """A person says that the document of a deleted record stays as it is."""
        self.cycle(references=[f"id:{number}"], take="theirs")
        self.accepted.add(number)

    def delete_drafts(self, on: bool) -> None:
        """Whether policy has a sweep delete the drafts of deleted records."""
        self.deletes_drafts = on
        self.world.policy('[deleted]\ndraft = "delete"' if on else "")

    def _differing(self, number: int, document: Raw) -> list[Path2]:
        """The fields of a document that are not as ConnectWise and the tables have them now."""
        header = [
            (name, "") for name, value in self.expected(number).items() if value_of(document, (name, "")) != value
        ]
        rows, known = dict(self.expected_lines(number)), self.line_ids(document["InvoiceID"])
        keys = {line_id: key for key, line_id in known.items()}
        tracking = ((TRACKED, self.tables.option),) if self.tables.option else ()
        lines: list[Path2] = []
        for line in document["LineItems"]:
            row = rows.get(keys.get(line["LineItemID"], ""), {})
            if row:
                code = self.tables.accounts[KINDS[row["kind"]]]
                row = row | {"AccountCode": code, "Tracking": tracking, "TaxType": "OUTPUT"}
            lines += [(name, line["LineItemID"]) for name in LINE_FIELDS if line_value(line, name) != row.get(name)]
        return header + lines

    def _before(self) -> dict[str, Raw]:
        return {document["InvoiceID"]: {"place": place, **document} for place, document in self.documents()}

    def _counts_add_up(self, summary: Summary) -> None:
        if summary.failed:
            return
        ended = sum(summary.counts.get(outcome.value, 0) for outcome in Outcome)
        assert ended == summary.counts.get("read", 0), summary.counts

    def _compare(self, before: dict[str, Raw], form: Raw) -> None:
        """What no cycle may do to a document, whatever happens."""
        now = self._before()
        assert before.keys() <= now.keys(), "a document is gone from Xero"
        take = form.get("take")
        for xero_id, was in before.items():
            document = now[xero_id]
            record = self.record_of(was)
            if self._may_be_deleted(record, was, form):
                assert document["Status"] in ("DRAFT", "DELETED")
                continue
            assert document["Status"] == was["Status"], f"{was['InvoiceNumber']} became {document['Status']}"
            lock = self.books(was["place"]).lock_date
            locked = lock is not None and was["DateString"][:10] <= lock.isoformat()
            if was["Status"] in (*DEAD, "PAID") or was["AmountPaid"] or locked or record is None:
                assert document == was, f"{was['InvoiceNumber']} was written, and it is {was['Status']} (or locked)"
            if record in self.deleted:
                self._deleted_stays(record, was, document)
            if take == "ours" and (not form.get("references") or f"id:{record}" in form["references"]):
                self._forget_what_was_given_up(document)
            self._hers_stand(document)
        for xero_id in now.keys() - before.keys():
            assert now[xero_id]["Status"] == "DRAFT", "something was approved by us"
        urls = [one["Url"] for one in now.values() if one["Status"] not in DEAD and "Url" in one]
        assert len(urls) == len(set(urls)), "a record has two live documents"

    def _may_be_deleted(self, record: int | None, was: Raw, form: Raw) -> bool:
        """Whether a sweep may delete this document: by policy, an unedited draft, whose record is deleted."""
        hers = self.hers.get(was["InvoiceID"], Her())
        edited = bool(hers.values or hers.removed)
        return (
            bool(form.get("sweep") and self.deletes_drafts and record in self.deleted and was["Status"] == "DRAFT")
            and not edited
        )

    def _deleted_stays(self, record: int, was: Raw, document: Raw) -> None:
        """What a cycle does to the document of a record that was deleted in ConnectWise: nothing.

        But what waited when it was deleted is still settled as it was read last.
        """
        if not self.deleted[record]:
            assert document == was, f"{was['InvoiceNumber']} was written, and its record is deleted"

    def _hers_stand(self, document: Raw) -> None:
        her = self.hers.get(document["InvoiceID"], Her())
        for path, value in her.values.items():
            found = value_of(document, path)
            assert found == value, f"her {path} of {document['InvoiceNumber']} was lost: {value} -> {found}"
        record = self.record_of(document)
        back = {key: line_id for key, line_id in self.line_ids(document["InvoiceID"]).items() if key in her.removed}
        there = {one["LineItemID"] for one in document["LineItems"]}
        for key, line_id in back.items():
            assert line_id not in there, f"{key} of {record} was taken out by her, and is there again"

    def _forget_what_was_given_up(self, document: Raw) -> None:
        her = self.hers.get(document["InvoiceID"])
        if her is not None:
            her.values = {path: value for path, value in her.values.items() if value_of(document, path) == value}
            ids = self.line_ids(document["InvoiceID"])
            there = {one["LineItemID"] for one in document["LineItems"]}
            her.removed = {key for key in her.removed if ids.get(key) not in there}

    def _watermark_passed_nothing(self) -> None:
        """Whatever changed up to the watermark has been dealt with as it stands, or waits."""
        audit = self.world.audit()
        position = watermarks.read(audit, "invoices").position
        audit.close()
        if position is None:
            return
        standings = self.standings()
        for number in self.records():
            changed = self.raw(number)["_info"]["lastUpdated"]
            # In the second of the watermark itself it may have come after the cycle; the next one reads it again.
            if changed < position.strftime("%Y-%m-%dT%H:%M:%SZ"):
                assert number in standings, f"the watermark passed {number}, which nobody has dealt with"

    # --- The end

    def standings(self) -> dict[int, Raw]:
        """Where each record stands, as the audit has it."""
        return {row["connectwise_id"]: row for row in self.world.rows(RECORDS)}

    def settle(self, exact: bool = False) -> None:
        """Two quiet cycles; then both sides agree or say why not, and a third one writes nothing."""
        if exact:
            self.world.later(minutes=10)
            self.cycle(force=True)
        for _ in range(0 if exact else 2):
            self.world.later(hours=25)
            self.cycle()
        self.check(exact)
        with self.world.later(hours=1).watching() as seen:
            self.cycle()
        assert not set(seen.xero) & set(WRITES), seen.xero
        if not self.exceptions():
            assert seen.idle, seen

    def sweep(self) -> None:
        """Sweeps: what only they can see has a name then; and the second says and does no more than the first."""
        self.world.later(days=1)
        self.cycle(sweep=True)
        told = {number: each["reason"] for number, each in self.exceptions().items()}
        self.check(exact=True)
        gone = {number for number in self.deleted if self.live_of(number)}
        if None in told:
            assert len(gone) > 3, "few are missing, and they are told as many"
        else:
            unsaid = {n for n in gone - self.accepted if told.get(n) not in ("source_deleted", "source_hidden")}
            assert not unsaid, f"{unsaid} were deleted, and nobody says so"
        for number in set(self.records()) - told.keys() - self.decided:
            for _, document in self.live_of(number):
                paths = {name for name, _ in self.hers.get(document["InvoiceID"], Her()).values}
                raw = self.raw(number)
                if raw["status"]["isClosed"] and "TaxType" not in paths and number not in self.named():
                    assert document["Total"] == raw["total"], f"{raw['invoiceNumber']}: its total differs, unsaid"
        with self.world.later(hours=1).watching() as seen:
            self.cycle(sweep=True)
        assert not set(seen.xero) & set(WRITES), seen.xero
        assert {number: each["reason"] for number, each in self.exceptions().items()} == told

    def exceptions(self) -> dict[int, Raw]:
        """What `tieout exceptions` shows."""
        audit = self.world.audit()
        found = {each["connectwise_id"]: each for each in runs.open_exceptions(audit)}
        audit.close()
        return found

    def named(self) -> dict[int, Raw]:
        """The exceptions, and what waits for no more than a word in ConnectWise."""
        waits = {number: row for number, row in self.standings().items() if row["outcome"] == Outcome.DEFERRED}
        return waits | self.exceptions()

    def check(self, exact: bool) -> None:
        """Every difference has a name, and every name fits."""
        unsettled = [row for row in self.world.rows(REQUEST_ROWS) if row["settled_at"] is None]
        assert not unsettled, "a request is unsettled"
        told = self.named()
        for number in self.records():
            problems = self.problems(number, exact)
            name = f"{self.raw(number)['invoiceNumber']} ({number})"
            if number in told:
                self._fits(number, told[number])
            else:
                assert not problems, f"{name} differs, and nobody says why: {'; '.join(problems)}"
        for number in told.keys() - set(self.records()) - {None}:
            assert number in self.deleted, f"an exception is about {number}, which never was"
        (statement,) = reconcile_families(["invoices"], self.world.doors, None, None, lambda _text: None)
        assert statement.tied_out, (statement.verdict, statement.unexplained)

    def problems(self, number: int, exact: bool) -> list[str]:
        """What of a record is not in Xero as it should be."""
        raw = self.raw(number)
        documents = self.live_of(number)
        if not raw["status"]["isClosed"] or raw["total"] < 0:
            return ["it is in Xero, and ConnectWise has it open or below zero"] if documents else []
        if not documents:
            # Only people void or delete: where somebody did, that is her word until the record changes.
            by_hand = self.documents(lambda one: self.record_of(one) == number)
            return [] if by_hand else ["it is not in Xero"]
        ((place, document),) = documents
        # A changed row of organisations.csv moves nothing that is posted.
        wrong = [] if self.routed(raw) == place or not exact else [f"it is in {place}"]
        return wrong + self.agrees(number, document, exact)

    def routed(self, raw: Raw) -> str:
        """Where the tables send a record."""
        return self.tables.places.get(raw["location"]["name"], "")

    def expected_lines(self, number: int) -> list[tuple[str, Raw]]:
        """The rows of an invoice as lines, by key."""
        found = []
        for kind in KINDS:
            for row in self.world.connectwise.rows(kind, number):
                text = row["notes"] if kind == "time" else row["description"]
                quantity = row["invoiceHours"] if kind == "time" else row["quantity"]
                price = row["hourlyRate"] if kind == "time" else row["price"]
                if quantity < 0:
                    # Xero takes no quantity below zero: the price has the sign.
                    quantity, price = -quantity, -price
                amount = quantity * price
                found.append(
                    (
                        f"{kind}:{row['id']}",
                        {"kind": kind, "Description": text, "Price": (quantity, price, amount) if amount else NOTHING},
                    )
                )
        return found

    def expected(self, number: int) -> Raw:
        """The header of a document, by the names of the API."""
        raw = self.raw(number)
        day = raw["date"][:10]
        return {
            "InvoiceNumber": raw["invoiceNumber"],
            "Reference": raw["customerPO"],
            "Date": day,
            "DueDate": max(raw["dueDate"][:10], day),
            "Contact": raw["company"]["name"],
        }

    def agrees(self, number: int, document: Raw, exact: bool) -> list[str]:
        """What of a document is neither as ConnectWise has it nor hers."""
        raw, expected = self.raw(number), self.expected(number)
        her = self.hers.get(document["InvoiceID"], Her())
        wrong = [
            f"{name} {value_of(document, (name, ''))!r}, not {value!r}"
            for name, value in expected.items()
            if (name, "") not in her.values and value_of(document, (name, "")) != value
        ]
        wanted = [(key, line) for key, line in self.expected_lines(number) if key not in her.removed]
        lines = document["LineItems"]
        if not self._assignable(wanted, lines, her, exact):
            wrong.append(f"lines {[shown(line) for line in lines]}, not {[line for _, line in wanted]}")
        hands = {name for name, line_id in her.values if line_id} & {"Price", "TaxType"}
        if not wrong and not hands and not her.removed and document["Total"] != raw["total"]:
            wrong.append(f"a total of {document['Total']}, not {raw['total']}")
        return wrong

    def _assignable(self, wanted: list[tuple[str, Raw]], lines: list[Raw], her: Her, exact: bool) -> bool:
        """Whether each row has a line of its own that is as it should be, and what is left is hers."""
        if not wanted:
            nothing = [line for line in lines if line["Description"] == "Nothing to charge"]
            return all(("Price", line["LineItemID"]) in her.values or line in nothing for line in lines)
        (_, first), rest = wanted[0], wanted[1:]
        return any(
            self._is(first, line, her, exact)
            and self._assignable(rest, [one for one in lines if one is not line], her, exact)
            for line in lines
        )

    def _is(self, wanted: Raw, line: Raw, her: Her, exact: bool) -> bool:
        def follows(name: str, *values: Any) -> bool:
            return (name, line["LineItemID"]) in her.values or line_value(line, name) in values

        if not follows("Description", wanted["Description"]) or not follows("Price", wanted["Price"]):
            return False
        if not wanted["Price"][2] and not line.get("Quantity"):
            return True
        kind = KINDS[wanted["kind"]]
        codes = {self.tables.accounts[kind]} if exact else self.tables.accounts_ever[kind]
        options = {self.tables.option} if exact else self.tables.options_ever
        tracking = [((TRACKED, option),) if option else () for option in options]
        return follows("AccountCode", *codes) and follows("Tracking", *tracking) and follows("TaxType", "OUTPUT")

    def _fits(self, number: int, told: Raw) -> None:
        """An exception says what is the case."""
        raw, reason = self.raw(number), told["reason"]
        documents = self.live_of(number)
        place, document = documents[0] if documents else (self.routed(raw), None)
        lock = self.books(place).lock_date if place else None
        own = {one["InvoiceID"] for _, one in self.documents(lambda one: self.record_of(one) == number)}
        dates = [raw["date"][:10], *([document["DateString"][:10]] if document else [])]
        cases: dict[str, bool] = {
            "waits_for_close": not raw["status"]["isClosed"],
            "paid_in_xero": document is not None and bool(document["AmountPaid"]),
            "edited_in_xero": any(self.hers.get(each) for each in own),
            "removed_in_xero": document is None and bool(own),
            "organisation_changed": any(
                each != self.routed(raw) for each, _ in self.documents(lambda one: self.record_of(one) == number)
            ),
            "number_conflict": any(
                one["InvoiceNumber"] == raw["invoiceNumber"] and one["InvoiceID"] not in own
                for _, one in self.documents()
            ),
            "period_locked": lock is not None and min(dates) <= lock.isoformat(),
            "missing_account": not all(self.tables.accounts.values()),
            "missing_tracking": self.tables.option is None,
            "missing_organisation": not self.routed(raw),
            "sign_changed": bool(own) and raw["total"] < 0,
            "zero_total": raw["total"] == 0,
            "brake": min(map(date.fromisoformat, dates)) < self.world.clock().date() - timedelta(days=60),
        }
        assert cases.get(reason), f"{raw['invoiceNumber']} ({number}) is no case of {reason}: {told['message']}"


HEADER_FIELDS = ("Reference", "DueDate")
LINE_FIELDS = ("Description", "AccountCode", "TaxType", "Tracking", "Price")
NOTHING = (ZERO, ZERO, ZERO)
GONE = "(gone)"


def shown(line: Raw) -> Raw:
    """The fields of a line that are compared."""
    return {name: line_value(line, name) for name in LINE_FIELDS}


def line_value(line: Raw, name: str) -> Any:
    """A field of a line in a form that can be compared."""
    if name == "Price":
        amount = line.get("LineAmount") or ZERO
        return (line["Quantity"], line["UnitAmount"], amount) if amount else NOTHING
    if name == "Tracking":
        return tuple(sorted((one["Name"], one["Option"]) for one in line.get("Tracking") or ()))
    return line.get(name) or ""


def value_of(document: Raw, path: Path2) -> Any:
    """A field of a document in a form that can be compared."""
    name, line_id = path
    if line_id:
        line = next((one for one in document["LineItems"] if one["LineItemID"] == line_id), None)
        return GONE if line is None else line_value(line, name)
    if name in ("Date", "DueDate"):
        return (document.get(f"{name}String") or "")[:10]
    return document["Contact"]["Name"] if name == "Contact" else document.get(name) or ""
