"""The settings of an organisation, as the API shows them (Xero docs: organisation, accounts, tax rates, ...)."""

from __future__ import annotations

from typing import Any

from deployments.sandbox.wire import Response
from deployments.sandbox.xero_books import Account, Books, Item, TaxRate, TrackingCategory
from deployments.sandbox.xero_call import Call
from deployments.sandbox.xero_chart import ACTIONS, CURRENCY_NAMES, TAX_FLAGS
from deployments.sandbox.xero_json import (
    elements_of,
    milliseconds_of,
    ms_date,
    ms_time,
    no_data_processed,
    not_found,
    not_implemented,
    to_text,
    validation_exception,
)
from deployments.sandbox.xero_query import Field, Fields, flag, modified_since, ordered, parse_where

_ACCOUNT_FIELDS = Fields(
    Field("AccountID", "guid", lambda one: one.account_id),
    Field("Code", "text", lambda one: one.code),
    Field("Name", "text", lambda one: one.name),
    Field("Type", "text", lambda one: one.type),
    Field("Class", "text", lambda one: one.account_class),
    Field("Status", "text", lambda one: one.status),
    Field("TaxType", "text", lambda one: one.tax_type),
    Field("SystemAccount", "text", lambda one: one.system),
    Field("EnablePaymentsToAccount", "bool", lambda one: one.enable_payments),
    Field("UpdatedDateUTC", "date", lambda one: one.updated),
)
_RATE_FIELDS = Fields(
    Field("TaxType", "text", lambda one: one.tax_type),
    Field("Name", "text", lambda one: one.name),
    Field("Status", "text", lambda one: one.status),
    Field("EffectiveRate", "number", lambda one: one.percent),
)
_TRACKING_FIELDS = Fields(
    Field("TrackingCategoryID", "guid", lambda one: one.category_id),
    Field("Name", "text", lambda one: one.name),
    Field("Status", "text", lambda one: one.status),
)
_ITEM_FIELDS = Fields(
    Field("ItemID", "guid", lambda one: one.item_id),
    Field("Code", "text", lambda one: one.code),
    Field("Name", "text", lambda one: one.name),
    Field("Description", "text", lambda one: one.description),
    Field("UpdatedDateUTC", "date", lambda one: one.updated),
)


def organisation(call: Call) -> Response:
    """GET /Organisation and /Organisation/Actions."""
    if call.request.method != "GET":
        return not_implemented()
    if not call.parts:
        return call.answer("Organisations", [_organisation_json(call.books)])
    if call.parts[0].lower() == "actions" and len(call.parts) == 1:
        refused = set() if call.books.multicurrency else {"UseMulticurrency"}
        shown = [{"Name": name, "Status": "NOT-ALLOWED" if name in refused else "ALLOWED"} for name in ACTIONS]
        return call.answer("Actions", shown)
    return not_found()


def _organisation_json(books: Books) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Name": books.name,
        "LegalName": books.name,
        "PaysTax": True,
        "Version": books.country.version,
        "OrganisationType": "COMPANY",
        "BaseCurrency": books.base_currency,
        "CountryCode": books.country_code,
        "IsDemoCompany": False,
        "OrganisationStatus": "ACTIVE",
        "FinancialYearEndDay": 30,
        "FinancialYearEndMonth": 6,
        "SalesTaxBasis": "ACCRUALS",
        "SalesTaxPeriod": "QUARTERLY1",
        "DefaultSalesTax": "Tax Exclusive",
        "DefaultPurchasesTax": "Tax Exclusive",
    }
    if books.lock_date is not None:
        shown["PeriodLockDate"] = ms_date(books.lock_date)
    if books.year_end_lock is not None:
        shown["EndOfYearLockDate"] = ms_date(books.year_end_lock)
    shown.update(
        {
            "CreatedDateUTC": f"/Date({milliseconds_of(books.created)})/",
            "OrganisationEntityType": "COMPANY",
            "Timezone": books.country.zone_name,
            "ShortCode": books.short_code,
            "OrganisationID": books.tenant_id,
            "Edition": "BUSINESS",
            "Class": "PREMIUM",
            "Addresses": [],
            "Phones": [],
            "ExternalLinks": [],
            "PaymentTerms": {},
        }
    )
    return shown


def accounts(call: Call) -> Response:
    """GET /Accounts and /Accounts/{AccountID}."""
    if call.request.method != "GET":
        return not_implemented()
    records = [one for one in call.books.accounts.values() if one.status != "DELETED"]
    if call.parts:
        records = [one for one in records if one.account_id == call.parts[0].lower()]
        return call.answer("Accounts", [account_json(records[0])]) if records else not_found()
    chosen = _chosen(call, records, _ACCOUNT_FIELDS, dated=True)
    return call.answer("Accounts", [account_json(one) for one in chosen])


def account_json(account: Account) -> dict[str, Any]:
    """An account as the API shows it."""
    shown: dict[str, Any] = {
        "AccountID": account.account_id,
        "Code": account.code,
        "Name": account.name,
        "Status": account.status,
        "Type": account.type,
        "TaxType": account.tax_type,
        "Class": account.account_class,
    }
    if account.system is not None:
        shown["SystemAccount"] = account.system
    shown["EnablePaymentsToAccount"] = account.enable_payments
    shown["ShowInExpenseClaims"] = False
    if account.type == "BANK":
        shown["BankAccountNumber"] = f"06200010{account.code:0>6}"
        shown["BankAccountType"] = "BANK"
        shown["CurrencyCode"] = account.currency
    shown["ReportingCode"] = account.account_class[:3]
    shown["ReportingCodeName"] = account.account_class.capitalize()
    shown["HasAttachments"] = False
    shown["UpdatedDateUTC"] = ms_time(account.updated)
    shown["AddToWatchlist"] = False
    return shown


def tax_rates(call: Call) -> Response:
    """GET /TaxRates and /TaxRates/{TaxType}; deleted rates are listed too."""
    if call.request.method != "GET":
        return not_implemented()
    component = call.books.country.component
    if call.parts:
        rate = call.books.tax_rates.get(call.parts[0].upper())
        return call.answer("TaxRates", [_rate_json(rate, component)]) if rate is not None else not_found()
    chosen = _chosen(call, sorted(call.books.tax_rates.values(), key=lambda one: one.name), _RATE_FIELDS)
    return call.answer("TaxRates", [_rate_json(one, component) for one in chosen])


def _rate_json(rate: TaxRate, component: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"Name": rate.name, "TaxType": rate.tax_type, "ReportTaxType": rate.report}
    for name in TAX_FLAGS:
        shown[f"CanApplyTo{name}"] = name in rate.may
    shown["DisplayTaxRate"] = rate.percent
    shown["EffectiveRate"] = rate.percent
    shown["Status"] = rate.status
    shown["TaxComponents"] = [{"Name": component, "Rate": rate.percent, "IsCompound": False, "IsNonRecoverable": False}]
    return shown


def tracking_categories(call: Call) -> Response:
    """GET /TrackingCategories and /TrackingCategories/{id}; archived ones only with includeArchived=true."""
    if call.request.method != "GET":
        return not_implemented()
    everything = flag(call.request, "includeArchived")
    if call.parts:
        found = [one for one in call.books.tracking if one.category_id == call.parts[0].lower()]
        return call.answer("TrackingCategories", [_tracking_json(found[0], True)]) if found else not_found()
    records = [one for one in call.books.tracking if everything or one.status == "ACTIVE"]
    chosen = _chosen(call, records, _TRACKING_FIELDS)
    return call.answer("TrackingCategories", [_tracking_json(one, everything) for one in chosen])


def _tracking_json(category: TrackingCategory, everything: bool) -> dict[str, Any]:
    return {
        "Name": category.name,
        "Status": category.status,
        "TrackingCategoryID": category.category_id,
        "Options": [
            {"TrackingOptionID": one.option_id, "Name": one.name, "Status": one.status}
            for one in category.options
            if everything or one.status == "ACTIVE"
        ],
    }


def currencies(call: Call) -> Response:
    """GET /Currencies, and PUT to subscribe to one more."""
    books = call.books
    if call.request.method == "GET" and not call.parts:
        return call.answer(
            "Currencies", [{"Code": code, "Description": text} for code, text in books.currencies.items()]
        )
    if call.request.method != "PUT" or call.parts:
        return not_implemented()
    elements = elements_of(call.request.body, "Currencies")
    if not elements:
        return no_data_processed()
    code = to_text(elements[0].get("Code") or "", "Code").strip().upper()
    if len(code) != 3 or not code.isalpha() or not books.multicurrency:
        message = f"Organisation is not subscribed to currency {code}"
        return validation_exception([{"Code": code, "ValidationErrors": [{"Message": message}]}])
    books.currencies.setdefault(code, CURRENCY_NAMES.get(code, code))
    return call.answer("Currencies", [{"Code": code, "Description": books.currencies[code]}])


def items(call: Call) -> Response:
    """GET /Items and /Items/{ItemID or Code}."""
    if call.request.method != "GET":
        return not_implemented()
    if call.parts:
        key = "/".join(call.parts).casefold()
        found = [one for one in call.books.items.values() if one.item_id == key] or [
            one for code, one in call.books.items.items() if code == key
        ]
        return call.answer("Items", [_item_json(found[0])]) if found else not_found()
    chosen = _chosen(call, list(call.books.items.values()), _ITEM_FIELDS, dated=True)
    return call.answer("Items", [_item_json(one) for one in chosen])


def _item_json(item: Item) -> dict[str, Any]:
    return {
        "ItemID": item.item_id,
        "Code": item.code,
        "Description": item.description,
        "PurchaseDescription": item.purchase_description,
        "UpdatedDateUTC": ms_time(item.updated),
        "PurchaseDetails": dict(item.purchase),
        "SalesDetails": dict(item.sales),
        "Name": item.name,
        "IsTrackedAsInventory": False,
        "IsSold": bool(item.sales),
        "IsPurchased": bool(item.purchase),
    }


def _chosen(call: Call, records: list[Any], fields: Fields, dated: bool = False) -> list[Any]:
    where = call.request.param("where")
    if where and where.strip():
        wanted = parse_where(where, fields)
        records = [one for one in records if wanted.test(one)]
    since = modified_since(call.request) if dated else None
    if since is not None:
        records = [one for one in records if one.updated >= since]
    return ordered(records, call.request.param("order"), fields)
