"""What a new organisation in Xero starts with: chart of accounts, tax rates, currencies, by country."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

CLASS_OF_TYPE = {
    "BANK": "ASSET",
    "CURRENT": "ASSET",
    "FIXED": "ASSET",
    "INVENTORY": "ASSET",
    "NONCURRENT": "ASSET",
    "PREPAYMENT": "ASSET",
    "EQUITY": "EQUITY",
    "DEPRECIATN": "EXPENSE",
    "DIRECTCOSTS": "EXPENSE",
    "EXPENSE": "EXPENSE",
    "OVERHEADS": "EXPENSE",
    "CURRLIAB": "LIABILITY",
    "LIABILITY": "LIABILITY",
    "TERMLIAB": "LIABILITY",
    "PAYG": "LIABILITY",
    "OTHERINCOME": "REVENUE",
    "REVENUE": "REVENUE",
    "SALES": "REVENUE",
}
TAX_FLAGS = ("Assets", "Equity", "Expenses", "Liabilities", "Revenue")
FLAG_OF_CLASS = {
    "ASSET": "Assets",
    "EQUITY": "Equity",
    "EXPENSE": "Expenses",
    "LIABILITY": "Liabilities",
    "REVENUE": "Revenue",
}


@dataclass(frozen=True)
class SeedAccount:
    """One line of the starting chart. `tax` is the role of its default rate: sale, buy, free, exempt or none."""

    code: str
    name: str
    type: str
    tax: str = "none"
    system: str | None = None
    payments: bool = False
    status: str = "ACTIVE"


@dataclass(frozen=True)
class SeedRate:
    """One starting tax rate. `may` holds the account classes that it can be used with."""

    tax_type: str
    name: str
    percent: Decimal
    may: frozenset[str]
    status: str = "ACTIVE"
    report: str = ""


@dataclass(frozen=True)
class Country:
    """What depends on where the organisation is."""

    version: str
    zone_name: str
    zone: str
    component: str
    rates: tuple[SeedRate, ...]
    roles: dict[str, str]


_EVERY = frozenset(TAX_FLAGS)
_SALE = _EVERY - {"Expenses"}
_BUY = _EVERY - {"Revenue"}


def _rate(
    tax_type: str, name: str, percent: str, may: frozenset[str], status: str = "ACTIVE", report: str = ""
) -> SeedRate:
    return SeedRate(tax_type, name, Decimal(percent), may, status, report or tax_type)


_AU = (
    _rate("BASEXCLUDED", "BAS Excluded", "0", _EVERY),
    _rate("CAPEXINPUT", "GST on Capital", "10", _BUY),
    _rate("EXEMPTCAPITAL", "GST Free Capital", "0", _BUY),
    _rate("EXEMPTEXPENSES", "GST Free Expenses", "0", _BUY),
    _rate("EXEMPTEXPORT", "GST Free Exports", "0", _SALE),
    _rate("EXEMPTOUTPUT", "GST Free Income", "0", _SALE),
    _rate("GSTONCAPIMPORTS", "GST on Capital Imports", "0", frozenset({"Liabilities"})),
    _rate("GSTONIMPORTS", "GST on Imports", "0", frozenset({"Liabilities"})),
    _rate("INPUT", "GST on Expenses", "10", _BUY),
    _rate("INPUTTAXED", "Input Taxed", "0", _SALE),
    _rate("OUTPUT", "GST on Income", "10", _SALE),
)
_NZ = (
    _rate("INPUT", "12.5% GST on Expenses", "12.5", _BUY, "DELETED"),
    _rate("OUTPUT", "12.5% GST on Income", "12.5", _SALE, "DELETED"),
    _rate("INPUT2", "15% GST on Expenses", "15", _BUY, report="INPUT"),
    _rate("OUTPUT2", "15% GST on Income", "15", _SALE, report="OUTPUT"),
    _rate("GSTONIMPORTS", "GST on Imports", "0", frozenset({"Liabilities"})),
    _rate("NONE", "No GST", "0", _EVERY),
    _rate("ZERORATED", "Zero Rated", "0", frozenset({"Liabilities", "Revenue"}), report="OUTPUT"),
)
_UK = (
    _rate("INPUT2", "20% (VAT on Expenses)", "20", _BUY, report="INPUT"),
    _rate("OUTPUT2", "20% (VAT on Income)", "20", _SALE, report="OUTPUT"),
    _rate("RRINPUT", "5% (VAT on Expenses)", "5", _BUY, report="INPUT"),
    _rate("RROUTPUT", "5% (VAT on Income)", "5", _SALE, report="OUTPUT"),
    _rate("EXEMPTINPUT", "Exempt Expenses", "0", _BUY),
    _rate("EXEMPTOUTPUT", "Exempt Income", "0", _SALE),
    _rate("ZERORATEDINPUT", "Zero Rated Expenses", "0", _BUY),
    _rate("ZERORATEDOUTPUT", "Zero Rated Income", "0", _SALE),
    _rate("NONE", "No VAT", "0", _EVERY),
)
_US = (
    _rate("INPUT", "Tax on Purchases", "0", _EVERY),
    _rate("OUTPUT", "Tax on Sales", "0", _EVERY),
    _rate("NONE", "Tax Exempt", "0", _EVERY),
    _rate("GSTONIMPORTS", "Sales Tax on Imports", "0", _EVERY),
    _rate("TAX001", "NY Sales Tax 8.875%", "8.875", _EVERY, report="OUTPUT"),
)
COUNTRIES = {
    "AU": Country(
        "AU",
        "AUSEASTERNSTANDARDTIME",
        "Australia/Sydney",
        "GST",
        _AU,
        {"sale": "OUTPUT", "buy": "INPUT", "free": "EXEMPTEXPENSES", "exempt": "EXEMPTOUTPUT", "none": "BASEXCLUDED"},
    ),
    "NZ": Country(
        "NZ",
        "NEWZEALANDSTANDARDTIME",
        "Pacific/Auckland",
        "GST",
        _NZ,
        {"sale": "OUTPUT2", "buy": "INPUT2", "free": "NONE", "exempt": "NONE", "none": "NONE"},
    ),
    "GB": Country(
        "UK",
        "GMTSTANDARDTIME",
        "Europe/London",
        "VAT",
        _UK,
        {"sale": "OUTPUT2", "buy": "INPUT2", "free": "EXEMPTINPUT", "exempt": "EXEMPTOUTPUT", "none": "NONE"},
    ),
    "US": Country(
        "US",
        "EASTERNSTANDARDTIME",
        "America/New_York",
        "Sales Tax",
        _US,
        {"sale": "OUTPUT", "buy": "INPUT", "free": "NONE", "exempt": "NONE", "none": "NONE"},
    ),
}
COUNTRIES["UK"] = COUNTRIES["GB"]


def country_of(code: str) -> Country:
    """The country's facts; any other country is taken as a global edition with the US rates and no zone."""
    found = COUNTRIES.get(code.upper())
    return found or Country("GLOBAL", "UTC", "UTC", "Tax", _US[:4], COUNTRIES["US"].roles)


CHART = (
    SeedAccount("090", "Business Bank Account", "BANK"),
    SeedAccount("091", "Business Savings Account", "BANK"),
    SeedAccount("200", "Sales", "REVENUE", "sale"),
    SeedAccount("201", "Services", "REVENUE", "sale"),
    SeedAccount("202", "Hardware Sales", "REVENUE", "sale"),
    SeedAccount("203", "Managed Services", "REVENUE", "sale"),
    SeedAccount("210", "Sales (closed in 2019)", "REVENUE", "sale", status="ARCHIVED"),
    SeedAccount("260", "Other Revenue", "REVENUE", "sale"),
    SeedAccount("270", "Interest Income", "REVENUE", "exempt"),
    SeedAccount("300", "Purchases", "DIRECTCOSTS", "buy"),
    SeedAccount("310", "Cost of Goods Sold", "DIRECTCOSTS", "buy"),
    SeedAccount("320", "Subcontractors", "DIRECTCOSTS", "buy"),
    SeedAccount("400", "Advertising", "EXPENSE", "buy"),
    SeedAccount("404", "Bank Fees", "EXPENSE", "free"),
    SeedAccount("408", "Cleaning", "EXPENSE", "buy"),
    SeedAccount("412", "Consulting & Accounting", "EXPENSE", "buy"),
    SeedAccount("416", "Depreciation", "DEPRECIATN"),
    SeedAccount("420", "Entertainment", "EXPENSE"),
    SeedAccount("425", "Freight & Courier", "EXPENSE", "buy"),
    SeedAccount("429", "General Expenses", "EXPENSE", "buy"),
    SeedAccount("433", "Insurance", "EXPENSE", "buy"),
    SeedAccount("437", "Interest Expense", "EXPENSE", "free"),
    SeedAccount("441", "Legal expenses", "EXPENSE", "buy"),
    SeedAccount("445", "Light, Power, Heating", "EXPENSE", "buy"),
    SeedAccount("449", "Motor Vehicle Expenses", "EXPENSE", "buy"),
    SeedAccount("453", "Office Expenses", "EXPENSE", "buy"),
    SeedAccount("461", "Printing & Stationery", "EXPENSE", "buy"),
    SeedAccount("469", "Rent", "EXPENSE", "buy"),
    SeedAccount("473", "Repairs and Maintenance", "EXPENSE", "buy"),
    SeedAccount("477", "Wages and Salaries", "EXPENSE"),
    SeedAccount("485", "Subscriptions", "EXPENSE", "buy"),
    SeedAccount("489", "Telephone & Internet", "EXPENSE", "buy"),
    SeedAccount("493", "Travel - National", "EXPENSE", "buy"),
    SeedAccount("497", "Bank Revaluations", "EXPENSE", system="BANKCURRENCYGAIN"),
    SeedAccount("498", "Unrealised Currency Gains", "EXPENSE", system="UNREALISEDCURRENCYGAIN"),
    SeedAccount("499", "Realised Currency Gains", "EXPENSE", system="REALISEDCURRENCYGAIN"),
    SeedAccount("610", "Accounts Receivable", "CURRENT", system="DEBTORS"),
    SeedAccount("620", "Prepayments", "CURRENT"),
    SeedAccount("630", "Inventory", "INVENTORY"),
    SeedAccount("710", "Office Equipment", "FIXED", "buy"),
    SeedAccount("720", "Computer Equipment", "FIXED", "buy"),
    SeedAccount("800", "Accounts Payable", "CURRLIAB", system="CREDITORS"),
    SeedAccount("801", "Unpaid Expense Claims", "CURRLIAB", system="UNPAIDEXPCLM"),
    SeedAccount("820", "GST", "CURRLIAB", system="GST"),
    SeedAccount("840", "Historical Adjustment", "CURRLIAB", system="HISTORICAL"),
    SeedAccount("850", "Suspense", "CURRLIAB"),
    SeedAccount("855", "Clearing Account", "CURRLIAB", payments=True),
    SeedAccount("860", "Rounding", "CURRLIAB", system="ROUNDING"),
    SeedAccount("870", "Deferred Revenue", "CURRLIAB", "sale"),
    SeedAccount("877", "Tracking Transfers", "CURRLIAB", system="TRACKINGTRANSFERS"),
    SeedAccount("880", "Owner A Drawings", "EQUITY"),
    SeedAccount("900", "Loan", "TERMLIAB"),
    SeedAccount("960", "Retained Earnings", "EQUITY", system="RETAINEDEARNINGS"),
    SeedAccount("970", "Owner A Share Capital", "EQUITY"),
)

CURRENCY_NAMES = {
    "AUD": "Australian Dollar",
    "CAD": "Canadian Dollar",
    "EUR": "Euro",
    "GBP": "British Pound",
    "JPY": "Japanese Yen",
    "NZD": "New Zealand Dollar",
    "SGD": "Singapore Dollar",
    "USD": "United States Dollar",
}
# Foreign units for one Australian dollar; the day rates of any base currency follow from them.
PER_AUSTRALIAN_DOLLAR = {
    "AUD": Decimal(1),
    "CAD": Decimal("0.9051"),
    "EUR": Decimal("0.5603"),
    "GBP": Decimal("0.4918"),
    "JPY": Decimal("98.47"),
    "NZD": Decimal("1.1436"),
    "SGD": Decimal("0.8472"),
    "USD": Decimal("0.6524"),
}

ACTIONS = (
    "CreateApprovedInvoice",
    "CreateDraftInvoice",
    "CreateApprovedBill",
    "CreateDraftBill",
    "CreateApprovedPurchaseOrder",
    "CreateDraftPurchaseOrder",
    "CreateInvoicePayment",
    "CreateRepeatingInvoice",
    "CreateRepeatingBill",
    "CreateManualJournal",
    "AttachFilesIntoInvoice",
    "UseMulticurrency",
    "ApproveTransactionsBeforePeriodLockDate",
)
