"""Builds a scenario's world out of its TOML file: the set-up, what is told one by one, and ordinary weeks between.

The ordinary invoices are drawn with a fixed seed, so every run tells the same story; only the calendar moves.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Literal

from deployments.sandbox.connectwise import SimulatedConnectWise
from deployments.sandbox.scenarios.scenario import HERE, Cure, Delivery, Edit, Money, Purchase, Scenario
from deployments.sandbox.xero import Organisation, SimulatedXero

Data = dict[str, Any]

# What the file says of an invoice beside ConnectWise's own fields.
_ABOUT = ("key", "customer", "days_ago", "days_after_start", "expected", "story", "by_hand", "repeat_note")
_OPEN_STATUSES = ("New", "Ready for review")
_HOURS = [Decimal(quarter) / 4 for quarter in (1, 1, 2, 2, 3, 4, 4, 5, 6, 8, 10, 14)]


@dataclass
class _Draft:
    """An invoice before it has a number."""

    customer: Data
    dated: date
    fields: Data
    key: str = ""
    status: str = "Closed"
    by_hand: Data | None = None


def tell(name: str, connectwise: SimulatedConnectWise, xero: SimulatedXero) -> Scenario:
    """Build the world of `<name>.toml` and return what is to be known about it."""
    data = tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"), parse_float=Decimal)
    return _Story(name, data, connectwise, xero).tell()


class _Story:
    def __init__(self, name: str, data: Data, connectwise: SimulatedConnectWise, xero: SimulatedXero) -> None:
        self.data = data
        self.connectwise = connectwise
        self.xero = xero
        self.now = connectwise.clock()
        self.today = self.now.date()
        self.start = self.today - timedelta(weeks=data["weeks"])
        self.organisations: dict[str, Organisation] = {}
        self.contacts: dict[str, str] = {}
        self.locations: dict[str, Data] = {place["name"]: place for place in data["location"]}
        self.customers: dict[str, Data] = {one["identifier"]: one for one in data["customer"]}
        self.lock_dates: dict[str, date] = {}
        self.order_numbers: dict[str, str] = {}
        self.scenario = Scenario(name, HERE / name / "tables", self.start, {})

    def tell(self) -> Scenario:
        self.connectwise.company_name = self.data["title"]
        with self.connectwise.at(self._moment(self.start - timedelta(days=30))):
            self._set_up_xero()
            self._set_up_connectwise()
            for customer in self.data["customer"]:
                self._meet(customer)
            for vendor in self.data["vendor"]:
                self._buy_from(vendor)
            for order in self.data["sales_order"]:
                self.connectwise.add_sales_order(**order)
        drafts = [*self._told(), *self._ordinary()]
        drafts.sort(key=lambda draft: draft.dated)
        for number, draft in enumerate(drafts, self.data["first_number"]):
            self._enter(str(number), draft)
        self._order()
        self._settle_some()
        for name, day in self.lock_dates.items():
            self.organisations[name].set_lock_date(day)
        self._note_cures()
        self._note_edits()
        self._note_money()
        self._note_deliveries()
        self._note_purchases()
        self._note_placed()
        return self.scenario

    def _moment(self, day: date, minute: int = 0) -> datetime:
        """Some time in the morning of a day, never later than now."""
        return min(datetime.combine(day, time(2), tzinfo=UTC) + timedelta(minutes=minute), self.now)

    # --- set-up

    def _set_up_xero(self) -> None:
        for given in self.data["organisation"]:
            name = given["name"]
            organisation = self.xero.add_organisation(
                name,
                tenant_id=given["tenant_id"],
                country=given["country"],
                base_currency=given["base_currency"],
                currencies=tuple(given["currencies"]),
                short_code=given["short_code"],
            )
            for account in self.data["account"]:
                organisation.add_account(account["code"], account["name"], "REVENUE", tax_type=given["taxed"])
            offices = [place["name"] for place in self.data["location"] if place["organisation"] == name]
            organisation.add_tracking_category("Office", offices)
            if "teams" in given:
                organisation.add_tracking_category("Team", given["teams"])
            if "locked_days_after_start" in given:
                self.lock_dates[name] = self.start + timedelta(days=given["locked_days_after_start"])
            self.organisations[name] = organisation
            self.scenario.organisations[name] = given["tenant_id"]

    def _set_up_connectwise(self) -> None:
        world = self.connectwise
        for name in self.data["departments"]:
            world.add_department(name)
        for place in self.data["location"]:
            world.add_location(place["name"], id=place["id"])
        for member in self.data["member"]:
            world.add_member(**member)
        for code in self.data["tax_code"]:
            world.add_tax_code(code["identifier"], code["description"], code["rate"], xref=code["xref"])
        for currency in self.data["currency"]:
            world.add_currency(currency["code"], currency["name"], currency.get("symbol", "$"))
        for item in self.data["item"]:
            fields = {
                name: value for name, value in item.items() if name not in ("identifier", "description", "taxable")
            }
            world.add_catalog_item(
                item["identifier"], item["description"], taxableFlag=item.get("taxable", True), type="Item", **fields
            )

    def _meet(self, customer: Data) -> None:
        """A customer in ConnectWise, and the contact that Xero has (or has not) for it."""
        place = self.locations[customer["location"]]
        defaults: Data = {"currency": customer.get("currency", place["currency"])}
        if not customer.get("exempt"):
            defaults["taxCode"] = customer.get("tax_code", place["tax_code"])
        self.connectwise.add_company(customer["identifier"], customer["name"], customer["account_number"], **defaults)
        organisation = self.organisations.get(str(customer.get("organisation", place["organisation"])))
        kind = customer.get("contact", "same")
        if organisation is None or kind == "none":
            return
        shown = str(customer.get("xero_name", customer["name"]))
        number = "" if kind in ("name", "row") else customer["account_number"]
        contact = organisation.add_contact(shown, account_number=number)
        self.contacts[customer["identifier"]] = contact["ContactID"]
        if kind == "twice":
            organisation.add_contact(f"{shown} (old)", account_number=number)
        if kind == "archived":
            organisation.archive_contact(contact["ContactID"])

    def _buy_from(self, vendor: Data) -> None:
        """A supplier in ConnectWise, and its contact in the books of the first organisation."""
        identifier, name, number = vendor["identifier"], vendor["name"], vendor["vendor_identifier"]
        self.connectwise.add_company(identifier, name, vendor_identifier=number, taxCode="GST", currency="AUD")
        shown = str(vendor.get("xero_name", name))
        books = next(iter(self.organisations.values()))
        books.add_contact(shown, account_number="" if "xero_name" in vendor else number)

    # --- what is told one by one

    def _told(self) -> list[_Draft]:
        drafts: list[_Draft] = []
        for given in (*self.data["invoice"], *self.data["trouble"]):
            fields: Data = {name: value for name, value in given.items() if name not in _ABOUT}
            for row in fields.get("time", ())[:1]:
                row["notes"] = str(row["notes"]) * int(given.get("repeat_note", 1))
            dated = self.today - timedelta(days=given.get("days_ago", 0))
            if "days_after_start" in given:
                dated = self.start + timedelta(days=given["days_after_start"])
            customer = self.customers[given["customer"]]
            drafts.append(_Draft(customer, dated, fields, given["key"], by_hand=given.get("by_hand")))
        return drafts

    def _ordinary(self) -> list[_Draft]:
        draw = _Draw(Random(self.data["seed"]), self.data)
        customers = [one for one in self.data["customer"] if one.get("ordinary", True)]
        drafts: list[_Draft] = []
        for turn in range(self.data["ordinary"]):
            customer = customers[(turn * 7) % len(customers)]
            organisation = self.locations[customer["location"]]["organisation"]
            first = self.lock_dates.get(organisation, self.start - timedelta(days=1)) + timedelta(days=1)
            open_yet = turn % 12 == 5
            span = 6 if open_yet else (self.today - first).days
            dated = self.today - timedelta(days=draw.random.randint(0, span))
            if dated.weekday() > 4:  # Saturday becomes Friday, Sunday Monday
                dated = min(self.today, max(first, dated + timedelta(days=-1 if dated.weekday() == 5 else 1)))
            fields = draw.invoice(turn, customer)
            status = draw.random.choice(_OPEN_STATUSES) if open_yet else "Closed"
            drafts.append(_Draft(customer, dated, fields, status=status))
        return drafts

    # --- into the books

    def _enter(self, number: str, draft: _Draft) -> None:
        scenario = self.scenario
        with self.connectwise.at(self._moment(draft.dated, minute=int(number) % 400)):
            agreement = draft.fields.get("agreement")
            if agreement is not None and agreement["id"] not in self.connectwise.tables["agreement"]:
                self.connectwise.add_agreement(**agreement, company=draft.customer["identifier"])
            scenario.invoices[number] = self.connectwise.add_invoice(
                invoiceNumber=number,
                company=draft.customer["identifier"],
                location=draft.customer["location"],
                date=draft.dated,
                status=draft.status,
                **draft.fields,
            )
        if draft.key:
            scenario.keys[draft.key] = number
        if draft.status in _OPEN_STATUSES:
            scenario.open += (number,)
        if draft.fields.get("type") == "CreditMemo":
            scenario.credit_memos += (number,)
        if draft.dated < self.start:
            scenario.early += (number,)
        if draft.by_hand is not None:
            self._enter_by_hand(number, draft, draft.by_hand)
        for trouble in self.data["trouble"]:
            if trouble["key"] == draft.key:
                scenario.troubles[number] = trouble["story"]
                if trouble["expected"]:
                    scenario.expected[number] = trouble["expected"]

    def _enter_by_hand(self, number: str, draft: _Draft, given: Mapping[str, Any]) -> None:
        """Somebody keyed an invoice into Xero; it is the same one when its amount is the same."""
        organisation = self.organisations[self.locations[draft.customer["location"]]["organisation"]]
        line = {"Description": given["description"], "Quantity": "1", "UnitAmount": str(given["amount"])}
        organisation.enter_invoice(
            Type="ACCREC",
            InvoiceNumber=number,
            Contact={"ContactID": self.contacts[draft.customer["identifier"]]},
            Date=draft.dated.isoformat(),
            DueDate=(draft.dated + timedelta(days=14)).isoformat(),
            Status="AUTHORISED",
            LineAmountTypes="Exclusive",
            LineItems=[{**line, "AccountCode": "200", "TaxType": "OUTPUT"}],
        )
        if self.connectwise.record("invoice", self.scenario.invoices[number])["subtotal"] == given["amount"]:
            self.scenario.adopted += (number,)

    def _order(self) -> None:
        """The purchase orders, each with the prices of the catalogue; nothing of them has come yet."""
        for place, given in enumerate(self.data["purchase_order"]):
            number, raised = f"PO-{self.data['first_order'] + place}", self.today - timedelta(days=given["days_ago"])
            with self.connectwise.at(self._moment(raised)):
                self.scenario.orders[number] = self.connectwise.add_purchase_order(
                    poNumber=number,
                    poDate=raised,
                    vendorCompany=given["vendor"],
                    location="Sydney",
                    department="Procurement",
                    lines=given["lines"],
                )
            self.order_numbers[given["key"]] = number

    def _settle_some(self) -> None:
        """A few customers have paid, and one of the credit memos is used."""
        world = self.connectwise
        old = [number for number in self.scenario.invoices if self._is_ordinary(number)][:40:4]
        for number in old:
            invoice = world.record("invoice", self.scenario.invoices[number])
            paid = invoice["total"] if int(number) % 3 else (invoice["total"] / 2).quantize(Decimal("0.01"))
            day = date.fromisoformat(invoice["date"][:10]) + timedelta(days=10)
            with world.at(self._moment(day)):
                world.add_payment(invoice["id"], paid, min(day, self.today))
            self.scenario.paid += (number,)
        memo = world.record("invoice", self.scenario.invoices[self.scenario.keys["credit_products"]])
        for number in self.scenario.invoices:
            invoice = world.record("invoice", self.scenario.invoices[number])
            same = invoice["company"]["id"] == memo["company"]["id"]
            if same and self._is_ordinary(number) and invoice["balance"] > -memo["total"]:
                with world.at(self._moment(self.today)):
                    world.apply_credit(memo["id"], invoice["id"], -memo["total"])
                self.scenario.credited += (number,)
                return

    def _is_ordinary(self, number: str) -> bool:
        return number not in self.scenario.open and number not in self.scenario.keys.values()

    # --- cures

    def _note_cures(self) -> None:
        numbers, ids = self.scenario.keys, self.scenario.invoices
        world = self.connectwise
        for given in self.data["cure"]:
            number = numbers[given["trouble"]]
            dated = str(world.record("invoice", ids[number])["date"])[:10]
            line = given["line"].replace("{date}", dated)
            cure = Cure(number, given["says"], "tables", given["file"], line, given.get("replaces", ""))
            self.scenario.cures.append(cure)

        def add(key: str, where: Literal["connectwise", "xero"], says: str, act: Callable[[], object]) -> None:
            self.scenario.cures.append(Cure(numbers[key], says, where, act=act))

        def invoice(key: str) -> int:
            return ids[numbers[key]]

        sydney, auckland = (self.organisations[given["name"]] for given in self.data["organisation"])
        silverleaf = self.customers["SILVERLEAF"]
        add(
            "no_contact",
            "xero",
            "Make the contact in Xero, with the customer's account number.",
            partial(sydney.add_contact, silverleaf["name"], account_number=silverleaf["account_number"]),
        )
        add(
            "archived_contact",
            "xero",
            "Restore the contact in Xero.",
            partial(sydney.restore_contact, self.contacts["THORNBURY"]),
        )
        add(
            "locked_period",
            "xero",
            "Unlock the period in Auckland's books.",
            partial(auckland.set_lock_date, None),
        )
        add(
            "rows_differ",
            "connectwise",
            "Have ConnectWise total the products again.",
            partial(world.edit_invoice, invoice("rows_differ"), productTotal=None),
        )
        add(
            "number_taken",
            "connectwise",
            "Give the invoice another number in ConnectWise.",
            partial(world.edit_invoice, invoice("number_taken"), invoiceNumber=f"{numbers['number_taken']}-A"),
        )
        add(
            "unreadable",
            "connectwise",
            "Correct the total in ConnectWise.",
            partial(world.edit_invoice, invoice("unreadable"), total=None),
        )

    # --- edits of what was posted

    def _note_edits(self) -> None:
        for given in self.data["edit"]:
            number = self.scenario.keys[given["invoice"]]
            self.scenario.edits.append(
                Edit(
                    number,
                    given["says"],
                    partial(self._edit, number, given),
                    partial(self._posted, number),
                    given["stands"],
                    given.get("line", {}),
                    given["ends"],
                    given.get("held", ""),
                    tuple(given.get("words", ())),
                )
            )

    # --- money

    def _note_money(self) -> None:
        """A part payment is raised, a payment is taken off, a credit is lowered; one invoice stays a draft."""
        world, scenario = self.connectwise, self.scenario
        whole = [number for number in scenario.paid if not self._balance(number)]
        parts = [number for number in scenario.paid if self._balance(number)]
        scenario.unapproved = (whole[-1],)
        scenario.approve = self._approve
        scenario.balances = lambda: {
            number: (self._balance(number), Decimal(self._posted(number)["AmountDue"]))
            for number in sorted({*scenario.paid, *scenario.credited})
        }

        def row(number: str) -> Data:
            return world.rows("payment", scenario.invoices[number])[0]

        raised, taken_off, (credited,) = parts[0], whole[0], scenario.credited
        scenario.money += [
            Money(
                raised,
                "The customer pays the rest: in ConnectWise the amount of the payment is raised.",
                lambda: world.change_payment(row(raised)["id"], row(raised)["amount"] + self._balance(raised)),
                "updated",
                "a second payment of the difference; it is paid now.",
            ),
            Money(
                taken_off,
                "A payment was entered on the wrong invoice, and is taken off in ConnectWise.",
                lambda: world.remove_payment(row(taken_off)["id"]),
                "held: payment_lowered",
                "still paid: money that was in the books is only taken out by a person, or where policy says so.",
            ),
            Money(
                credited,
                "Less of the credit memo is applied than was.",
                lambda: world.change_payment(row(credited)["id"], row(credited)["amount"] / 2),
                "updated",
                "the allocation was taken off and made anew; the rest stays with the credit note.",
            ),
        ]

    # --- what was ordered arrives

    def _note_deliveries(self) -> None:
        """One order arrives in three parts, one before its supplier's invoice; one is sent back in part."""
        scenario, world = self.scenario, self.connectwise
        numbers = self.order_numbers
        parts, invoiced, sent_back, unmapped = (
            numbers[key] for key in ("in_parts", "invoiced", "sent_back", "unmapped")
        )
        day = self.today

        def line(number: str) -> int:
            """The newest line of an order: the one that still waits for its rest."""
            return max(int(each["id"]) for each in world.rows("purchase_order_line", scenario.orders[number]))

        def arrives(number: str, slip: str, part: int = 0) -> Callable[[Path], object]:
            if part:
                return lambda _tables: world.receive_part(line(number), part, slip=slip, date=day)
            return lambda _tables: world.receive_line(line(number), slip=slip, date=day)

        def goes_back(_tables: Path) -> None:
            books = next(iter(self.organisations.values()))
            (bill,) = books.bills(sent_back)
            books.approve(bill["InvoiceID"])
            world.unreceive_line(line(sent_back), left=6)

        row = "Brightwater Sydney,supplier,TASMAN,,,TCS Warehousing Pty Ltd,trades under another name"
        cure = Cure(unmapped, "", "tables", "contacts.csv", row)
        scenario.deliveries += [
            [
                Delivery(
                    parts,
                    "4 of 10 switches arrive, with the packing slip NW-881.",
                    arrives(parts, "NW-881", 4),
                    "skipped",
                    "partially received, for which the table says none.",
                ),
                Delivery(
                    invoiced,
                    "All 6 monitors arrive.",
                    arrives(invoiced, "PF-118"),
                    "posted",
                    "fully received: a draft bill.",
                ),
                Delivery(
                    sent_back,
                    "All 8 docking stations arrive.",
                    arrives(sent_back, "NW-884"),
                    "posted",
                    "fully received: a draft bill.",
                ),
                Delivery(
                    unmapped,
                    "All 5 access points arrive, from a supplier who has another name in Xero.",
                    arrives(unmapped, "TC-440"),
                    "held: missing_contact",
                    "no bill without its supplier: this is what the bookkeeper sees.",
                    (
                        "Brightwater Sydney has no contact for Tasman Components (account number V-203).",
                        "contacts.csv: Brightwater Sydney,supplier,",
                    ),
                ),
            ],
            [
                Delivery(
                    parts,
                    "What came with NW-881 has been there for a while.",
                    lambda _tables: None,
                    "posted",
                    "a bill for the first receipt, now that the table says so.",
                ),
                Delivery(
                    parts,
                    "3 more switches arrive, with the packing slip NW-902.",
                    arrives(parts, "NW-902", 3),
                    "posted",
                    "and one for the second.",
                ),
                Delivery(
                    invoiced,
                    "The supplier's invoice PF-30771 comes, and its number is entered on the order.",
                    lambda _tables: world.enter_vendor_invoice(scenario.orders[invoiced], "PF-30771", day),
                    "updated",
                    "the draft bears the supplier's number and date now.",
                ),
                Delivery(
                    sent_back,
                    "The bookkeeper approves the bill; then 2 of the 8 docking stations go back.",
                    goes_back,
                    "held: receipt_reversed",
                    "an approved bill is not changed; the supplier credit to enter is named.",
                    ("taken back in ConnectWise", "Enter a supplier credit of 531.30 AUD"),
                ),
                Delivery(
                    unmapped,
                    "The bookkeeper pastes the row into contacts.csv.",
                    cure.apply,
                    "posted",
                    "lands by itself: every cycle takes up what waits.",
                    line=f"contacts.csv: {row}",
                ),
            ],
            [
                Delivery(
                    parts,
                    "The last 3 switches arrive, with the packing slip NW-915.",
                    arrives(parts, "NW-915"),
                    "posted",
                    "three receipts, three bills; what has one gets no other.",
                ),
            ],
        ]
        for given in self.data["bill"]:
            shown = given["number"].replace("{order}", numbers[given["order"]])
            scenario.bills[shown] = given["net"], given.get("status", "DRAFT")
        scenario.lifecycle = {each["was"]: each["becomes"] for each in self.data["lifecycle"]}
        scenario.signers = dict(self.data["signers"])

    # --- what is ordered later on, and billed on

    def _note_purchases(self) -> None:
        first = self.data["first_order"] + len(self.data["purchase_order"])
        costs = {item["identifier"]: item["cost"] for item in self.data["item"]}
        for place, given in enumerate(self.data["purchase"], first):
            invoice = self.scenario.keys[given["invoice"]] if "invoice" in given else ""
            rows = self._rows_sold(invoice, given) if invoice else []
            self.scenario.purchases[given["key"]] = Purchase(
                f"PO-{place}",
                given["says"],
                partial(self._purchase, f"PO-{place}", given, rows),
                sum((costs[line["product"]] * line["quantity"] for line in given["lines"]), Decimal(0)),
                given.get("vendor_invoice", ""),
                invoice,
                sum((row["extPrice"] for row in rows), Decimal(0)),
            )

    def _rows_sold(self, invoice: str, given: Data) -> list[Data]:
        """The rows of an invoice that bill the lines of an order on, one for each."""
        rows = self.connectwise.rows("product", self.scenario.invoices[invoice])
        return [
            next(row for row in rows if row["catalogItem"]["identifier"] == line["product"]) for line in given["lines"]
        ]

    def _purchase(self, number: str, given: Data, rows: list[Data]) -> None:
        world = self.connectwise
        order = self.scenario.orders[number] = world.add_purchase_order(
            poNumber=number,
            poDate=self.today - timedelta(days=given["days_ago"]),
            vendorCompany=given["vendor"],
            location="Sydney",
            department="Procurement",
            lines=given["lines"],
        )
        for place, line in enumerate(world.rows("purchase_order_line", order)):
            if rows:
                world.buy_for(line["id"], rows[place]["id"])
            elif "customer" in given:
                item = line["product"]["identifier"]
                sold = world.add_product(given["customer"], catalogItem=item, quantity=line["quantity"])
                world.buy_for(line["id"], sold)
            world.receive_line(line["id"], slip=given["slip"], date=self.today)
        if "vendor_invoice" in given:
            world.enter_vendor_invoice(order, given["vendor_invoice"], self.today)

    def _note_placed(self) -> None:
        """Under a table that puts orders into Xero: one goes its whole way, another meets its number there."""
        scenario, world, day = self.scenario, self.connectwise, self.today
        first = self.data["first_order"] + len(self.data["purchase_order"]) + len(self.data["purchase"])
        given = {each["key"]: (f"PO-{place}", each) for place, each in enumerate(self.data["raised"], first)}
        whole, taken = (given[key][0] for key in ("from_start_to_end", "number_taken"))
        renumbered = f"{taken}-B"
        books = next(iter(self.organisations.values()))

        def raises(key: str) -> Callable[[Path], object]:
            number, order = given[key]
            return lambda _tables: scenario.orders.update(
                {
                    number: world.add_purchase_order(
                        poNumber=number,
                        poDate=day,
                        vendorCompany=order["vendor"],
                        location="Sydney",
                        department="Procurement",
                        lines=order["lines"],
                    )
                }
            )

        def taken_by_hand(tables: Path) -> None:
            other = next(each for each in books.contacts if each.name == "Netwave Distribution")
            line = {"Description": "Rack shelves", "Quantity": 2, "UnitAmount": 45, "AccountCode": "310"}
            books.enter_purchase_order(other.contact_id, taken, LineItems=[line])
            raises("number_taken")(tables)

        def arrives(_tables: Path) -> None:
            (line,) = world.rows("purchase_order_line", scenario.orders[whole])
            world.receive_line(line["id"], slip="NW-940", date=day)
            world.enter_vendor_invoice(scenario.orders[whole], "NW-40139", day)

        def renumber(_tables: Path) -> None:
            scenario.orders[renumbered] = scenario.orders.pop(taken)
            world.edit_purchase_order(scenario.orders[renumbered], poNumber=renumbered)

        def buys(key: str, told: str) -> Delivery:
            one = scenario.purchases[key]
            return Delivery(one.number, one.says, lambda _tables: one.act(), "posted", told)

        scenario.placed += [
            [
                Delivery(
                    whole, "12 switches are ordered.", raises("from_start_to_end"), "posted", "a draft order in Xero."
                ),
                Delivery(
                    taken,
                    "3 monitors are ordered; in Xero somebody has given that number to another supplier's order.",
                    taken_by_hand,
                    "held: number_conflict",
                    "nothing is written onto somebody else's order: this is what the bookkeeper sees.",
                    (taken, "Netwave Distribution"),
                ),
                buys("shared_first", "a bill that names the other order of the same invoice,"),
                buys("shared_second", "and the bill of that one, which names the first."),
                buys("sold_on", "a bill; what the customer pays for it is in the report."),
                buys("never_charged", "a bill; that nobody pays for it, too."),
            ],
            [
                Delivery(
                    whole,
                    "All 12 switches arrive, with the supplier's invoice NW-40139.",
                    arrives,
                    "posted, updated",
                    "its bill bears the order's number, and the order in Xero is billed.",
                ),
                Delivery(
                    taken,
                    f"In ConnectWise the order gets the number {renumbered}.",
                    renumber,
                    "posted",
                    "a draft order under its own number.",
                ),
            ],
        ]
        scenario.placed_orders = {
            whole: ("Netwave Distribution", "BILLED"),
            taken: ("Netwave Distribution", "DRAFT"),
            renumbered: ("Pixelforge Displays", "DRAFT"),
        }

    def _balance(self, number: str) -> Decimal:
        """What is due on an invoice in ConnectWise."""
        return Decimal(self.connectwise.record("invoice", self.scenario.invoices[number])["balance"])

    def _approve(self) -> None:
        done = {*self.scenario.paid, *self.scenario.credited} - {*self.scenario.unapproved}
        for books in self.organisations.values():
            for each in [*books.invoices(type="ACCREC"), *books.credit_notes(type="ACCRECCREDIT")]:
                ours = each.get("InvoiceNumber") in done or "CreditNoteID" in each
                if ours and each["Status"] == "DRAFT":
                    books.approve(each.get("InvoiceID") or each["CreditNoteID"])

    def _posted(self, number: str) -> Data:
        """The document of an invoice in Xero, wherever it is."""
        found = (books.invoice_by_number(number, "ACCREC") for books in self.organisations.values())
        return next(document for document in found if document is not None)

    def _edit(self, number: str, given: Data) -> None:
        """First what people do in Xero, then what they do in ConnectWise."""
        document, invoice = self._posted(number), self.scenario.invoices[number]
        books = next(one for one in self.organisations.values() if one.invoice_by_number(number, "ACCREC"))
        if "in_xero" in given:
            first, *others = document["LineItems"]
            books.edit(document["InvoiceID"], LineItems=[first | given["in_xero"], *others])
        if given.get("paid"):
            books.approve(document["InvoiceID"])
            books.pay(document["InvoiceID"], document["Total"])
        if "time" in given:
            self.connectwise.edit_row("time", self.connectwise.rows("time", invoice)[0]["id"], **given["time"])
        self.connectwise.edit_invoice(invoice, **given.get("header", {}))


class _Draw:
    """Draws the fields of ordinary invoices."""

    def __init__(self, random: Random, data: Data) -> None:
        self.random = random
        self.phrases: dict[str, list[str]] = data["phrases"]
        self.members = [member["identifier"] for member in data["member"]]
        self.hardware = [item["identifier"] for item in data["item"] if item["category"] == "Hardware"]
        self.cloud = [item["identifier"] for item in data["item"] if item["category"] == "Cloud"]
        self._tickets = 50100
        self._kinds = (
            *(self._support, self._agreement, self._goods, self._support, self._project, self._agreement),
            *(self._support, self._consumption, self._goods, self._fixed_price),
        )

    def invoice(self, turn: int, customer: Data) -> Data:
        """One invoice; the kinds take turns, their contents are drawn."""
        fields = self._kinds[turn % len(self._kinds)](customer)
        if self.random.random() < 0.3:
            fields["customerPO"] = f"PO-{self.random.randint(2000, 9999)}"
        return fields

    def _support(self, _customer: Data) -> Data:
        self._tickets += self.random.randint(3, 40)
        fields: Data = {"department": "Service Desk"}
        fields["ticket"] = {"id": self._tickets, "summary": self.random.choice(self.phrases["helpdesk"])}
        fields["time"] = [self._work("helpdesk") for _ in range(self.random.randint(1, 5))]
        if self.random.random() < 0.35:
            kind, low, high = self.random.choice(
                (("Travel", 1800, 9900), ("Parking", 400, 3600), ("Courier", 950, 2400))
            )
            amount = Decimal(self.random.randint(low, high)) / 100
            fields["expenses"] = [{"type": kind, "amount": amount, "notes": f"{kind} for the visit"}]
        if self.random.random() < 0.25:
            fields["products"] = [self._product(self.hardware, 1)]
        return fields

    def _agreement(self, customer: Data) -> Data:
        name = f"{customer['name'][:30]} - Managed"
        fields: Data = {"type": "Agreement", "department": "Managed Services"}
        number = 60 + sum(customer["identifier"].encode()) % 900
        fields["agreement"] = {"id": number, "name": name, "type": "Managed Services"}
        fields["agreementAmount"] = Decimal(self.random.choice((450, 780, 1250, 1875, 2400, 3600)))
        # Work that the agreement covers is on the invoice, at nothing.
        fields["time"] = []
        for _ in range(self.random.randint(0, 4)):
            row = self._work("helpdesk")
            row["agreementAmount"] = row["actualHours"] * row["hourlyRate"]
            fields["time"].append(row)
        picked = self.random.sample(self.cloud, self.random.randint(0, 4))
        fields["products"] = [self._product([item], 3 if item == "DOMAIN-INTL" else 45) for item in picked]
        if self.random.random() < 0.4:
            note = {"catalogItem": "NOTE", "customerDescription": "Prices from the agreement of last July"}
            fields["products"].append(note)
        return fields

    def _goods(self, _customer: Data) -> Data:
        fields: Data = {"department": "Procurement"}
        fields["products"] = [self._product(self.hardware, 4) for _ in range(self.random.randint(1, 9))]
        if self.random.random() < 0.3:
            fields["products"].append({"catalogItem": "STAMPS", "quantity": self.random.randint(1, 4)})
        return fields

    def _project(self, customer: Data) -> Data:
        number = 310 + self.random.randint(0, 60)
        fields: Data = {"department": "Projects"}
        fields["project"] = {"id": number, "name": f"{customer['name'][:24]}: renewal {number}"}
        rows = self.random.choice((3, 5, 8, 14, 23))
        fields["time"] = [self._work("project") for _ in range(rows)]
        fields["products"] = [self._product(self.hardware, 2) for _ in range(self.random.randint(0, 2))]
        if self.random.random() < 0.5:
            nights = self.random.randint(1, 3)
            fields["expenses"] = [
                {"type": "Accommodation", "amount": Decimal("189.00"), "notes": f"Night {night + 1}, rural site"}
                for night in range(nights)
            ]
        return fields

    def _consumption(self, _customer: Data) -> Data:
        items = [("CLOUD-CPU-H", 300, 4000), ("BKP-GB", 500, 9000), ("SMS-GW", 100, 2500)]
        rows = [{"catalogItem": item, "quantity": self.random.randint(low, high)} for item, low, high in items]
        return {"department": "Managed Services", "products": rows}

    def _fixed_price(self, _customer: Data) -> Data:
        """A price for the whole work: an amount on the header without a row."""
        fields: Data = {"department": "Projects"}
        fields["serviceTotal"] = Decimal(self.random.choice((980, 1650, 2940, 4400)))
        fields["topComment"] = "Fixed price as quoted"
        if self.random.random() < 0.5:
            fields["serviceAdjustmentAmount"] = Decimal("-80.00")
        return fields

    def _work(self, kind: str) -> Data:
        if kind == "project":
            work_type, rate = "Project", Decimal(210)
        else:
            work_type, rate = self.random.choice(
                (("Remote support", Decimal(160)), ("Onsite support", Decimal(185)), ("After hours", Decimal("247.5")))
            )
        return {
            "actualHours": self.random.choice(_HOURS),
            "hourlyRate": rate,
            "workType": work_type,
            "workRole": "Engineer" if kind == "project" else "Technician",
            "member": self.random.choice(self.members),
            "notes": self.random.choice(self.phrases[kind]),
        }

    def _product(self, items: list[str], most: int) -> Data:
        return {"catalogItem": self.random.choice(items), "quantity": self.random.randint(1, most)}
