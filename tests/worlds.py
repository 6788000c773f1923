"""A small world for tests: both simulated systems in process, an audit database, and a way to run cycles on them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import httpx
from pydantic import SecretStr
from sqlalchemy import URL, Engine, Table, event, make_url, select

from blocks.audit.block import AuditDatabase
from blocks.audit.database import Audit, open_audit
from blocks.audit.leases import hold
from blocks.audit.tables import EXCEPTIONS, INSTALLATION, OUTCOMES, Installation
from blocks.connectwise.credentials import ConnectWiseCredentials
from blocks.doors import Doors, open_doors
from blocks.tables import MappingTables
from blocks.xero.credentials import MemoryTokenStore, XeroCredentials
from blocks.xero.tokens import Tokens
from deployments.sandbox.connectwise import SimulatedConnectWise
from deployments.sandbox.wire import ConnectionCut, Fault, Faulty, Request, Response
from deployments.sandbox.xero import Limits, Organisation, SimulatedXero
from flows.family import Summary, SyncForm, run_family
from mappings.lifecycle import PRESETS, Role, Signature, read_lifecycle, signed_text
from tasks.calls import Calls, PlainCalls
from tasks.cycle import SuccessCache

TENANT = "11111111-1111-4111-8111-111111111111"
OTHER_TENANT = "22222222-2222-4222-8222-222222222222"
FIRST_REFRESH_TOKEN = "sandbox-refresh-0"


class Clock:
    """A clock that stands still until it is told to move, or somebody sleeps by it."""

    def __init__(self, now: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)) -> None:
        self._now = now
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        """The time by this clock."""
        with self._lock:
            return self._now

    def advance(self, **parts: float) -> None:
        """Let time pass."""
        with self._lock:
            self._now += timedelta(**parts)

    def sleep(self, seconds: float) -> None:
        """Sleeping is letting time pass."""
        self.advance(seconds=seconds)


def transport(handler: Callable[[Request], Any]) -> httpx.MockTransport:
    """An httpx transport into a simulator; a cut connection is a read error, as on a socket."""

    def handle(request: httpx.Request) -> httpx.Response:
        asked = Request.build(
            request.method,
            request.url.path,
            request.url.query.decode(),
            dict(request.headers),
            request.content,
        )
        try:
            response = handler(asked)
        except ConnectionCut as cut:
            if cut.timed_out:
                raise httpx.ReadTimeout("the simulator was told to time out", request=request) from cut
            raise httpx.ReadError("the simulator was told to cut the connection", request=request) from cut
        return httpx.Response(response.status, headers=dict(response.headers), content=response.body)

    return httpx.MockTransport(handle)


@cache
def _empty_audit() -> Path:
    """A freshly migrated audit database, made once: migrating takes longer than most cycles of a test."""
    folder = Path(tempfile.mkdtemp(prefix="tieout-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    open_audit(f"sqlite:///{folder}/audit.db").close()
    return folder / "audit.db"


class WarmAudit:
    """Opens audit databases with the engine of the one before, wherever that was.

    A new engine compiles every statement anew, which takes longer than most cycles of a test. One world at a time.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)

    def open(self) -> Audit:
        """The open database; made first where there is none."""
        url, kind = self._url, self._url.drivername
        if kind not in _engines or (kind == "sqlite" and not Path(url.database or "").exists()):
            opened = open_audit(url.render_as_string(hide_password=False))
            if kind not in _engines:
                _engines[kind] = opened.engine
                event.listen(opened.engine, "do_connect", _elsewhere)
            opened.close()
        engine = _engines[kind]
        if _places.get(kind) != url:
            engine.dispose()
            _places[kind] = url
        with engine.connect().execution_options(tieout_reading=True) as connection:
            found = connection.execute(select(INSTALLATION.c.id, INSTALLATION.c.set_up_on)).one()
        return Audit(engine, Installation(id=found.id, set_up_on=found.set_up_on))


_engines: dict[str, Engine] = {}
_places: dict[str, URL] = {}


def _elsewhere(dialect: Any, _record: Any, arguments: list[Any], named: dict[str, Any]) -> None:
    """Lead a new connection to the database that is open now."""
    url = _places["sqlite" if dialect.name == "sqlite" else f"{dialect.name}+{dialect.driver}"]
    if dialect.name == "sqlite":
        arguments[0] = url.database
    else:
        named.update(dialect.create_connect_args(url)[1])


@dataclass
class World:
    """Both systems, empty but for one organisation, one location and a few mapping rows."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    per_minute: int = 0
    concurrent: int = 0
    audit_url: str = ""
    family: str = "invoices"
    """The family whose cycles are run where none is named."""
    consents_again: bool = False
    """Whether somebody runs `tieout connect xero` where the refresh token was lost, as a cycle tells her to."""

    def __post_init__(self) -> None:
        self.connectwise = SimulatedConnectWise(clock=self.clock)
        self.xero = SimulatedXero(clock=self.clock)
        self.xero.limits = Limits.none()
        self.to_connectwise = Faulty(self.connectwise, self.clock)
        self.to_xero = Faulty(self.xero, self.clock)
        self.tokens = MemoryTokenStore()
        self.tables = self.folder / "tables"
        self.tables.mkdir(parents=True, exist_ok=True)
        if not self.audit_url:
            shutil.copyfile(_empty_audit(), self.folder / "audit.db")
        self.tenants: dict[str, str] = {}

    def ready(self) -> World:
        """A location, a tax code, a customer on both sides, and tables that fit: the smallest complete world."""
        self.connectwise.add_location("Sydney", id=11)
        self.connectwise.add_tax_code("GST", "GST", 10)
        self.add_organisation("Sydney", TENANT)
        self.add_customer("ACME", "Acme Pty Ltd", "ACME01")
        self.write("organisations.csv", "location,department,company,staff,tag,organisation\nSydney,,,,,Sydney\n")
        self.write(
            "accounts.csv",
            "organisation,side,kind,category,item,account_code,item_code\n"
            + "".join(
                f",sales,{kind},,,200,\n"
                for kind in (
                    "product", "service", "expense", "agreement", "adjustment", "progress", "special", "down_payment",
                    "rounding",
                )
            ),
        )  # fmt: skip
        self.write(
            "taxes.csv",
            "organisation,side,tax_code,taxable,tax_type\n,sales,,yes,OUTPUT\n,sales,,no,EXEMPTOUTPUT\n",
        )
        self.write("policy.toml", "start_date = 2026-01-01\n")
        return self

    def ready_to_buy(self, preset: str = "goods_receipt") -> World:
        """The smallest world that buys: a vendor on both sides, a product, tables for purchases, a signed lifecycle."""
        self.ready()
        self.family = "purchase_orders"
        self.add_vendor("NETGEAR", "Netgear Distribution", "V-77")
        self.connectwise.add_catalog_item("SWITCH", cost=Decimal(100))
        self.connectwise.add_catalog_item("CABLE", cost=Decimal("2.50"))
        for kind in ("product", "freight"):
            self.paste("accounts.csv", f",purchases,{kind},,,300,")
        self.paste("taxes.csv", ",purchases,,yes,INPUT")
        self.paste("taxes.csv", ",purchases,,no,EXEMPTEXPENSES")
        self.policy('[families]\npurchase_orders = "on"')
        self.sign(PRESETS[preset])
        return self

    def sign(self, lifecycle: str) -> None:
        """Write a lifecycle and have both sign it."""
        self.write("lifecycle.csv", lifecycle)
        digest = read_lifecycle(lifecycle.encode()).digest
        signed = [
            Signature(Role.OPERATOR, "Olive Operator", date(2026, 1, 1), digest),
            Signature(Role.FINANCE_LEAD, "Finn Finance", date(2026, 1, 1), digest),
        ]
        self.write("lifecycle.signed.toml", signed_text(signed))

    def add_vendor(self, identifier: str, name: str, vendor_identifier: str) -> None:
        """A company that sells, and is a contact in every organisation of Xero."""
        self.connectwise.add_company(identifier, name, vendor_identifier=vendor_identifier)
        for organisation in self.xero.organisations.values():
            organisation.add_contact(name, account_number=vendor_identifier)

    def add_order(self, number: str, *lines: tuple[str, str, str], **fields: Any) -> int:
        """An open purchase order; each line is a product, how many, and what one costs."""
        given: dict[str, Any] = {
            "poNumber": number,
            "vendorCompany": "NETGEAR",
            "location": "Sydney",
            "poDate": self.clock().date(),
            "taxCode": "GST",
            "lines": [
                {"product": product, "quantity": Decimal(quantity), "unitCost": Decimal(cost), "description": product}
                for product, quantity, cost in lines or (("SWITCH", "10", "100"),)
            ],
        }
        return self.connectwise.add_purchase_order(**given | fields)

    def order_lines(self, order: int) -> list[int]:
        """The ids of an order's lines."""
        return sorted(line["id"] for line in self.connectwise.rows("purchase_order_line", order))

    def bills(self, organisation: str = "") -> list[dict[str, Any]]:
        """The live bills of an organisation (the first one), oldest first."""
        books = self.xero.organisations[self.tenants[organisation]] if organisation else self.books
        return books.bills()

    def ready_twice(self) -> World:
        """The smallest world with two organisations: what is done in Perth goes to Perth."""
        self.ready()
        self.connectwise.add_location("Perth", id=12)
        self.add_organisation("Perth", OTHER_TENANT).add_contact("Acme Pty Ltd", account_number="ACME01")
        self.write(
            "organisations.csv",
            "location,department,company,staff,tag,organisation\nSydney,,,,,Sydney\nPerth,,,,,Perth\n",
        )
        return self

    def policy(self, text: str) -> None:
        """Write the policy; the start date is given."""
        self.write("policy.toml", f"start_date = 2026-01-01\n{text}\n")

    def write(self, name: str, text: str) -> None:
        """Write a mapping table."""
        (self.tables / name).write_text(text, encoding="utf-8")

    def paste(self, name: str, line: str) -> None:
        """Add a line below a mapping table, as a bookkeeper does with the one that a cure shows."""
        with (self.tables / name).open("a", encoding="utf-8") as table:
            table.write(f"{line}\n")

    def add_organisation(self, name: str, tenant_id: str, **fields: Any) -> Organisation:
        """A Xero organisation that the configuration names."""
        self.tenants[name] = tenant_id
        return self.xero.add_organisation(name, tenant_id=tenant_id, **fields)

    @property
    def books(self) -> Organisation:
        """The first organisation."""
        return next(iter(self.xero.organisations.values()))

    def add_customer(self, identifier: str, name: str, account_number: str) -> None:
        """A company in ConnectWise that is a contact in every organisation of Xero."""
        self.connectwise.add_company(identifier, name, account_number=account_number)
        for organisation in self.xero.organisations.values():
            organisation.add_contact(name, account_number=account_number)

    def add_invoice(self, number: str, hours: str = "2", rate: str = "150", **fields: Any) -> int:
        """A closed invoice of one time entry, dated today unless told otherwise."""
        given: dict[str, Any] = {
            "invoiceNumber": number,
            "company": "ACME",
            "location": "Sydney",
            "date": self.clock().date(),
            "taxCode": "GST",
            "taxableFlag": True,
            "time": [{"invoiceHours": Decimal(hours), "hourlyRate": Decimal(rate), "notes": f"Work for {number}"}],
            "status": "Closed",
        }
        return self.connectwise.add_invoice(**given | fields)

    def add_credit_memo(self, number: str, amount: str = "100", **fields: Any) -> int:
        """A closed credit memo of one product, before tax, dated today unless told otherwise."""
        product = {"quantity": Decimal(1), "price": -Decimal(amount), "taxableFlag": True, "description": "Credit"}
        given: dict[str, Any] = {"type": "CreditMemo", "specialInvoiceFlag": True, "time": [], "products": [product]}
        return self.add_invoice(number, **given | fields)

    def doors(self, run_id: str = "test", forced: bool = False) -> Doors:
        """Open doors to this world."""
        return open_doors(
            "test",
            run_id,
            connectwise=ConnectWiseCredentials(
                url="http://localhost/v4_6_release/apis/3.0",
                company="sandbox",
                public_key=SecretStr("sandbox-public"),
                private_key=SecretStr("sandbox-private"),
                client_id="00000000-0000-4000-8000-000000000001",
                per_minute=0,
                concurrent=0,
            ),
            xero=XeroCredentials(
                client_id="sandbox-client",
                client_secret=SecretStr("sandbox-secret"),
                organisations=self.tenants,
                api_url="http://localhost",
                identity_url="http://localhost",
                configured_refresh_token=SecretStr(FIRST_REFRESH_TOKEN),
                per_minute=self.per_minute,
                concurrent=self.concurrent,
            ),
            audit=cast(AuditDatabase, WarmAudit(self.audit_address)),
            tables=MappingTables(directory=str(self.tables)),
            store=self.tokens,
            forced=forced,
            clock=self.clock,
            sleep=self.clock.sleep,
            transports=(transport(self.to_connectwise), transport(self.to_xero)),
        )

    def cycle(
        self,
        at_once: int = 1,
        wait_seconds: float = 300,
        cache: SuccessCache | None = None,
        calls: Calls | None = None,
        family: str = "",
        **form: Any,
    ) -> Summary:
        """Run one cycle of a family; `said` is what it told people meanwhile."""
        sync = SyncForm(**form)
        self.said: list[str] = []
        return run_family(
            family or self.family,
            sync,
            lambda run_id: self.doors(run_id, forced=sync.force or bool(sync.references)),
            calls or PlainCalls(at_once),
            self.said.append,
            cache=cache,
            wait_seconds=wait_seconds,
            heartbeat=partial(hold, sleep=self.clock.sleep),
        )

    def later(self, **parts: float) -> World:
        """Let time pass: six hours unless told otherwise."""
        self.clock.advance(**parts or {"hours": 6})
        if self.consents_again:
            self._consent_where_it_was_lost()
        return self

    def _consent_where_it_was_lost(self) -> None:
        """Where a new refresh token never reached the store, and Xero takes the one before no longer."""
        kept, identity = self.tokens.load().refresh, self.xero.identity
        if identity.renews(kept.get_secret_value() if kept else FIRST_REFRESH_TOKEN):
            return
        redirect = "http://localhost:8765/callback"
        form = {"grant_type": "authorization_code", "code": identity.issue_code(redirect), "redirect_uri": redirect}
        with httpx.Client(transport=transport(self.xero), auth=("sandbox-client", "sandbox-secret")) as client:
            given = client.post("http://localhost/connect/token", data=form).json()
        self.tokens.save(Tokens(refresh=SecretStr(given["refresh_token"])))

    # What a test reads

    def invoices(self, organisation: str = "") -> dict[str, dict[str, Any]]:
        """The live sales invoices of an organisation (the first one), by number."""
        books = self.xero.organisations[self.tenants[organisation]] if organisation else self.books
        return {each["InvoiceNumber"]: each for each in books.invoices(type="ACCREC")}

    def credit_notes(self, organisation: str = "") -> dict[str, dict[str, Any]]:
        """The live customer credit notes of an organisation (the first one), by number."""
        books = self.xero.organisations[self.tenants[organisation]] if organisation else self.books
        return {each["CreditNoteNumber"]: each for each in books.credit_notes(type="ACCRECCREDIT")}

    def snapshot(self) -> dict[str, Any]:
        """Everything in Xero, comparable between worlds: no ids, no times."""
        return {name: self.xero.organisations[tenant].snapshot() for name, tenant in self.tenants.items()}

    @property
    def audit_address(self) -> str:
        """Where the audit database is."""
        return self.audit_url or f"sqlite:///{self.folder}/audit.db"

    def audit(self) -> Audit:
        """The audit database, opened once more."""
        return WarmAudit(self.audit_address).open()

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """All rows of a table of the audit, in the order of their keys."""
        audit = self.audit()
        try:
            with audit.reading() as connection:
                found = connection.execute(select(table).order_by(*table.primary_key))
                return [dict(row) for row in found.mappings()]
        finally:
            audit.close()

    def outcomes(self, summary: Summary) -> dict[str, str]:
        """How each record ended in a cycle: its outcome, with the reason behind a colon where there is one."""
        return {number: told for (number, _), told in self.outcomes_by_id(summary).items()}

    def outcomes_by_id(self, summary: Summary) -> dict[tuple[str, int], str]:
        """The same, by number and id, for records that share a number."""
        return {
            (row["reference"], row["connectwise_id"]): ": ".join(filter(None, (row["outcome"], row["reason"])))
            for row in self.rows(OUTCOMES)
            if row["run_id"] == summary.run_id
        }

    def exceptions(self, all_of_them: bool = False) -> list[dict[str, Any]]:
        """The open exceptions, or those of all times."""
        return [row for row in self.rows(EXCEPTIONS) if all_of_them or row["resolved_at"] is None]

    @contextmanager
    def watching(self) -> Iterator[Seen]:
        """What both systems see of us, by their own logs, while the body runs."""
        before = len(self.to_connectwise.calls), len(self.to_xero.calls)
        seen = Seen()
        yield seen
        seen.connectwise = [f"{call.method} {_short(call.path)}" for call in self.to_connectwise.calls[before[0] :]]
        to_xero = [f"{call.method} {_short(call.path)}" for call in self.to_xero.calls[before[1] :]]
        seen.xero = [call for call in to_xero if not call.endswith("/connect/token")]
        seen.identity = len(to_xero) - len(seen.xero)

    # What a test lets go wrong

    def xero_fails(self, method: str, path: str, *faults: Fault | None) -> None:
        """The next calls of this kind to Xero get these faults, one after the other (None: this one goes well)."""
        planned = list(faults)

        def plan(request: Request, _number: int) -> Fault | None:
            if request.method == method and request.path.endswith(path) and planned:
                return planned.pop(0)
            return None

        self.to_xero.plan = plan


@dataclass
class Seen:
    """Calls as both systems counted them; `identity` are token refreshes."""

    connectwise: list[str] = field(default_factory=list)
    xero: list[str] = field(default_factory=list)
    identity: int = 0

    @property
    def idle(self) -> bool:
        """True when there was one read of ConnectWise and nothing else."""
        return self.only_lists(1)

    def only_lists(self, count: int) -> bool:
        """True when there were so many reads of lists of invoices in ConnectWise and nothing else."""
        return self == Seen(["GET /finance/invoices"] * count)


def _short(path: str) -> str:
    return path.removeprefix("/v4_6_release/apis/3.0").removeprefix("/api.xro/2.0")


LOST = Fault("after")
"""The work is done, the answer never arrives."""
TIMED_OUT = Fault("before", timed_out=True)
TIMED_OUT_AFTER = Fault("after", timed_out=True)


def answers(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, when: str = "before") -> Fault:
    """A fault that is an answer: given instead of the work, or (`when` "after") instead of the real answer."""
    assert when in ("before", "after")
    return Fault("before" if when == "before" else "after", Response(status, headers or {}, body))


def day(text: str) -> date:
    """A business date."""
    return date.fromisoformat(text)
