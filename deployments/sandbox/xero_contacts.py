"""Contacts: reading and writing them, and finding the one that a document means (Xero docs: contacts)."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from deployments.sandbox.wire import Response
from deployments.sandbox.xero_books import Books, Contact, Undo, fold
from deployments.sandbox.xero_call import Call, Outcome, UnknownRecord, too_many, write_batch
from deployments.sandbox.xero_json import (
    ZERO_GUID,
    BadBody,
    elements_of,
    is_guid,
    ms_time,
    not_found,
    not_implemented,
    to_bool,
    to_guid,
    to_text,
)
from deployments.sandbox.xero_query import (
    Field,
    Fields,
    flag,
    listed,
    modified_since,
    ordered,
    page_of,
    parse_where,
)

ARCHIVED = (
    "The specified contact details matched an archived contact. "
    "Archived contacts cannot currently be edited via the API."
)
NOT_IDENTIFIED = (
    "The Contact must contain at least 1 of the following elements to identify the contact: "
    "Name, ContactID, ContactNumber"
)
MOST_RECORDS = 100_000
_EMAIL = re.compile(r"^[!-?A-~]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")
_TEXTS = {
    "ContactNumber": ("contact_number", 50),
    "AccountNumber": ("account_number", 50),
    "FirstName": ("first_name", 255),
    "LastName": ("last_name", 255),
    "EmailAddress": ("email", 255),
}
_DETAILS = {
    "CompanyNumber": 50,
    "BankAccountDetails": 255,
    "TaxNumber": 50,
    "AccountsReceivableTaxType": 50,
    "AccountsPayableTaxType": 50,
    "SalesDefaultAccountCode": 10,
    "PurchasesDefaultAccountCode": 10,
    "SalesDefaultLineAmountType": 20,
    "PurchasesDefaultLineAmountType": 20,
    "DefaultCurrency": 3,
    "XeroNetworkKey": 255,
}
_ADDRESS_FIELDS = (
    "AddressLine1",
    "AddressLine2",
    "AddressLine3",
    "AddressLine4",
    "City",
    "Region",
    "PostalCode",
    "Country",
    "AttentionTo",
)
_ALWAYS_SHOWN = ("City", "Region", "PostalCode", "Country")
_PHONE_FIELDS = ("PhoneNumber", "PhoneAreaCode", "PhoneCountryCode")
_PHONE_TYPES = ("DEFAULT", "DDI", "FAX", "MOBILE")
_IDENTIFYING = {"ContactID", "ContactNumber", "Name"}

FIELDS = Fields(
    Field("ContactID", "guid", lambda one: one.contact_id),
    Field("Name", "text", lambda one: one.name),
    Field("ContactNumber", "text", lambda one: one.contact_number),
    Field("AccountNumber", "text", lambda one: one.account_number),
    Field("ContactStatus", "text", lambda one: one.status),
    Field("EmailAddress", "text", lambda one: one.email),
    Field("FirstName", "text", lambda one: one.first_name),
    Field("LastName", "text", lambda one: one.last_name),
    Field("IsCustomer", "bool", lambda one: one.is_customer),
    Field("IsSupplier", "bool", lambda one: one.is_supplier),
    Field("UpdatedDateUTC", "date", lambda one: one.updated),
)


def answer(call: Call) -> Response:
    """Every call below /Contacts."""
    method = call.request.method
    if not call.parts:
        if method == "GET":
            return _list(call)
        if method in ("PUT", "POST"):
            elements = elements_of(call.request.body, "Contacts")
            return write_batch(
                call,
                "Contacts",
                elements,
                lambda element, undo: _write(call.books, element, undo, method == "POST", None),
                call.summarize_errors,
            )
        return not_implemented()
    contact = find(call.books, "/".join(call.parts))
    if contact is None:
        return not_found()
    if method == "GET":
        return call.answer("Contacts", [contact_json(contact)])
    if method == "POST":
        elements = elements_of(call.request.body, "Contacts")[:1]
        return write_batch(
            call, "Contacts", elements, lambda element, undo: _write(call.books, element, undo, True, contact), True
        )
    return not_implemented()


def find(books: Books, key: str) -> Contact | None:
    """The contact with this id or contact number."""
    if is_guid(key):
        contact = books.contacts.get(to_guid(key, "ContactID"))
        if contact is not None:
            return contact
    return _first(books.contacts.find("number", fold(key)))


def _first(found: list[Contact]) -> Contact | None:
    return min(found, key=lambda one: one.status != "ACTIVE", default=None)


def _list(call: Call) -> Response:
    request, books = call.request, call.books
    records: list[Contact] | None = None
    ids = listed(request, "IDs")
    if ids is not None:
        found = (books.contacts.get(to_guid(one, "IDs")) for one in ids)
        records = [one for one in found if one is not None]
    where = request.param("where")
    if where and where.strip():
        wanted = parse_where(where, FIELDS)
        if records is None:
            some = wanted.narrowed(lambda name, value: _look(books, name, value))
            if some is not None:
                records = [one for one in (books.contacts.get(key) for key in some) if one is not None]
        records = [one for one in (records if records is not None else books.contacts) if wanted.test(one)]
    chosen = list(books.contacts) if records is None else records
    if not flag(request, "includeArchived"):
        chosen = [one for one in chosen if one.status == "ACTIVE"]
    since = modified_since(request)
    if since is not None:
        chosen = [one for one in chosen if one.updated >= since]
    term = (request.param("searchTerm") or "").strip().casefold()
    if term:
        chosen = [one for one in chosen if _matches(one, term)]
    if len(chosen) > MOST_RECORDS:
        return too_many()
    summary = flag(request, "summaryOnly")
    chosen = ordered(
        sorted(chosen, key=lambda one: (one.name.casefold(), one.contact_id)), request.param("order"), FIELDS
    )
    page = page_of(chosen, request, forced=summary)
    return call.answer("Contacts", [contact_json(one, summary) for one in page.records], page.pagination)


def _look(books: Books, name: str, value: str) -> list[str] | None:
    if name == "ContactID":
        return [value.lower()]
    if name in ("Name", "ContactNumber"):
        index = "name" if name == "Name" else "number"
        return [one.contact_id for one in books.contacts.find(index, fold(value))]
    return None


def _matches(contact: Contact, term: str) -> bool:
    texts = (contact.name, contact.first_name, contact.last_name, contact.contact_number, contact.email)
    return any(text is not None and term in text.casefold() for text in texts)


def _write(books: Books, element: dict[str, Any], undo: Undo, upsert: bool, target: Contact | None) -> Outcome:
    sent = {key: value for key, value in element.items() if value is not None}
    errors: list[str] = []
    existing = target
    if existing is None and upsert:
        existing = _match(books, sent)
    contact = save(books, sent, existing, undo, errors)
    if not errors:
        return Outcome(contact_json(contact))
    return Outcome(_refused_json(existing, sent), errors)


def _match(books: Books, sent: dict[str, Any]) -> Contact | None:
    if sent.get("ContactID"):
        found = books.contacts.get(to_guid(sent["ContactID"], "ContactID"))
        if found is None:
            raise UnknownRecord
        return found
    if sent.get("ContactNumber"):
        found = _first(books.contacts.find("number", fold(to_text(sent["ContactNumber"], "ContactNumber"))))
        if found is not None:
            return found
    return _by_name(books, sent)


def _by_name(books: Books, sent: dict[str, Any]) -> Contact | None:
    if not sent.get("Name"):
        return None
    found = _first(books.contacts.find("name", fold(_collapsed(to_text(sent["Name"], "Name")))))
    if found is not None and found.status != "ACTIVE" and not books.switches.archived_name_matches:
        return None
    return found


def _collapsed(name: str) -> str:
    return " ".join(name.split())


def resolve(books: Books, sent: object, undo: Undo, errors: list[str]) -> Contact | None:
    """The contact that a document names. A new name makes a contact; any further field changes the contact."""
    if not isinstance(sent, dict):
        raise BadBody("Contact must be an object")
    fields = {key: value for key, value in sent.items() if value not in (None, "", [], {})}
    if not _IDENTIFYING & fields.keys():
        errors.append(NOT_IDENTIFIED)
        return None
    try:
        found = _match(books, fields)
    except UnknownRecord:
        errors.append("An existing Contact with the specified ContactID could not be found")
        return None
    if found is not None and found.status != "ACTIVE":
        errors.append(ARCHIVED)
        return None
    more = {"HasValidationErrors", "HasAttachments", "ContactStatus", "UpdatedDateUTC", "ValidationErrors"}
    same_name = found is not None and fold(_collapsed(to_text(fields.get("Name", found.name), "Name"))) == fold(
        found.name
    )
    if same_name and not fields.keys() - _IDENTIFYING - more:
        return found
    if found is not None:
        # A document's contact is the whole contact: people whom it does not mention are dropped.
        fields.setdefault("ContactPersons", [])
    before = len(errors)
    saved = save(books, fields, found, undo, errors)
    return saved if len(errors) == before else None


def save(
    books: Books, sent: dict[str, Any], existing: Contact | None, undo: Undo, errors: list[str], person: bool = False
) -> Contact:
    """Create or change a contact; nothing is stored when `errors` is not empty afterwards."""
    contact = deepcopy(existing) if existing is not None else Contact(books.new_id(), "", books.now())
    if existing is not None and existing.status != "ACTIVE" and not person:
        errors.append(ARCHIVED)
        return contact
    if sent.get("Name"):
        contact.name = _read_name(books, to_text(sent["Name"], "Name"), errors)
    elif existing is None:
        errors.append(NOT_IDENTIFIED)
    for name, (attribute, longest) in _TEXTS.items():
        if name in sent:
            setattr(contact, attribute, _limited(sent[name], name, longest, errors) or None)
    if contact.email and not _EMAIL.match(contact.email):
        errors.append("Email address must be valid.")
    for name, longest in _DETAILS.items():
        if name in sent:
            contact.details[name] = _limited(sent[name], name, longest, errors)
    if "PaymentTerms" in sent:
        contact.details["PaymentTerms"] = sent["PaymentTerms"]
    if sent.get("ContactStatus"):
        status = to_text(sent["ContactStatus"], "ContactStatus").upper()
        if status not in ("ACTIVE", "ARCHIVED", "GDPRREQUEST"):
            raise BadBody("ContactStatus is not valid")
        contact.status = status
    _read_places(sent, contact, errors)
    _check_unique(books, contact, errors)
    if not errors:
        contact.updated = books.now()
        books.contacts.put(contact, undo)
    return contact


def _read_name(books: Books, sent: str, errors: list[str]) -> str:
    name = _collapsed(sent)
    if name != sent and books.switches.contact_name_spaces == "refuse":
        errors.append("The contact name must not have leading, trailing or repeated spaces.")
    if len(name) > 255:
        errors.append("The contact name must not be longer than 255 characters.")
    if "<" in name or ">" in name:
        errors.append("The contact name must not contain angle brackets.")
    return name


def _limited(value: object, name: str, longest: int, errors: list[str]) -> str:
    text = to_text(value, name).strip()
    if len(text) > longest:
        errors.append(f"{name} must not be longer than {longest} characters.")
    return text


def _read_places(sent: dict[str, Any], contact: Contact, errors: list[str]) -> None:
    for key, kind, fields, store in (
        ("Addresses", "AddressType", _ADDRESS_FIELDS, contact.addresses),
        ("Phones", "PhoneType", _PHONE_FIELDS, contact.phones),
    ):
        for element in _objects(sent.get(key), key):
            slot = to_text(element.get(kind) or ("POBOX" if key == "Addresses" else "DEFAULT"), kind).upper()
            store[slot] = {name: to_text(element[name], name) for name in fields if element.get(name) is not None}
    if "ContactPersons" in sent:
        persons = _objects(sent["ContactPersons"], "ContactPersons")
        if len(persons) > 5:
            errors.append("A contact may have a maximum of five contact persons.")
        contact.persons = [
            {
                "FirstName": to_text(one.get("FirstName") or "", "FirstName"),
                "LastName": to_text(one.get("LastName") or "", "LastName"),
                "EmailAddress": to_text(one.get("EmailAddress") or "", "EmailAddress"),
                "IncludeInEmails": to_bool(one.get("IncludeInEmails") or False, "IncludeInEmails"),
            }
            for one in persons
        ]


def _objects(value: object, name: str) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise BadBody(f"{name} must be a list of objects")
    return value


def _check_unique(books: Books, contact: Contact, errors: list[str]) -> None:
    if contact.status != "ACTIVE":
        return
    for index, key, what in (("name", contact.name, "name"), ("number", contact.contact_number, "number")):
        others = books.contacts.find(index, fold(key)) if key else []
        if any(one.status == "ACTIVE" and one.contact_id != contact.contact_id for one in others):
            errors.append(
                f"The contact {what} {key} is already assigned to another contact. "
                f"The contact {what} must be unique across all active contacts."
            )


def contact_json(contact: Contact, summary: bool = False) -> dict[str, Any]:
    """A contact as the API shows it."""
    shown: dict[str, Any] = {"ContactID": contact.contact_id}
    if contact.contact_number:
        shown["ContactNumber"] = contact.contact_number
    if contact.account_number:
        shown["AccountNumber"] = contact.account_number
    shown["ContactStatus"] = contact.status
    shown["Name"] = contact.name
    optional = (
        ("FirstName", contact.first_name),
        ("LastName", contact.last_name),
        ("EmailAddress", contact.email),
    )
    shown |= {name: value for name, value in optional if value}
    shown.update({"BankAccountDetails": "", **contact.details})
    if not summary:
        shown["Addresses"] = [
            {"AddressType": slot, **dict.fromkeys(_ALWAYS_SHOWN, ""), **contact.addresses.get(slot, {})}
            for slot in ("STREET", "POBOX")
        ]
        shown["Phones"] = [
            {"PhoneType": slot, **dict.fromkeys(_PHONE_FIELDS, ""), **contact.phones.get(slot, {})}
            for slot in _PHONE_TYPES
        ]
    shown["UpdatedDateUTC"] = ms_time(contact.updated)
    shown["ContactGroups"] = []
    shown["IsSupplier"] = contact.is_supplier
    shown["IsCustomer"] = contact.is_customer
    if not summary:
        shown["SalesTrackingCategories"] = []
        shown["PurchasesTrackingCategories"] = []
        shown["ContactPersons"] = [dict(one) for one in contact.persons]
    shown["HasValidationErrors"] = False
    return shown


def contact_summary(contact: Contact) -> dict[str, Any]:
    """A contact as it stands in a list of documents."""
    return {
        "ContactID": contact.contact_id,
        "Name": contact.name,
        "Addresses": [],
        "Phones": [],
        "ContactGroups": [],
        "ContactPersons": [],
        "HasValidationErrors": False,
    }


def _refused_json(existing: Contact | None, sent: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"ContactID": existing.contact_id if existing is not None else ZERO_GUID}
    for name in ("ContactNumber", "AccountNumber", "ContactStatus", "Name", "EmailAddress"):
        if isinstance(sent.get(name), str):
            shown[name] = sent[name]
    shown.update({"Addresses": [], "Phones": [], "ContactGroups": [], "ContactPersons": []})
    shown["HasValidationErrors"] = True
    return shown
