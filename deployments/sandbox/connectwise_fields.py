"""Which lists the simulated ConnectWise has, and the fields of their records.

Names and kinds are those of the vendor's API description. A condition on a field that is not here is refused, as
ConnectWise does, however the record looks.
"""

from __future__ import annotations

from dataclasses import dataclass

from deployments.sandbox.connectwise_query import Fields, Kind


def _fields(**names: str) -> Fields:
    """Field names by kind, in one table."""
    kinds: dict[str, Kind] = {
        "numbers": "number",
        "texts": "text",
        "booleans": "boolean",
        "dates": "date",
        "references": "reference",
        "arrays": "array",
    }
    return {name: kinds[kind] for kind, listed in names.items() for name in listed.split()}


INVOICE = _fields(
    numbers="id applyToId templateSetupId emailTemplateId locationId departmentId territoryId serviceTotal expenseTotal"
    " productTotal previousProgressApplied serviceAdjustmentAmount agreementAmount downpaymentApplied subtotal total"
    " remainingDownpayment salesTax payments credits balance",
    texts="invoiceNumber type accountNumber applyToType attention shipToAttention reference customerPO topComment"
    " bottomComment internalNotes adjustmentReason adjustedBy closedBy",
    booleans="addToBatchEmailList restrictDownpaymentFlag taxableFlag downpaymentPreviouslyTaxedFlag"
    " overrideDownPaymentAmountFlag specialInvoiceFlag",
    dates="date dueDate",
    references="status company billToCompany shipToCompany billingSite shippingSite billingTerms invoiceTemplate"
    " location department territory taxCode currency billingSetupReference ticket project phase salesOrder agreement"
    " glBatch unbatchedBatch",
    arrays="customFields",
)
PAYMENT = _fields(
    numbers="id amount balance invoiceBalance invoiceTotal",
    texts="type source appliedBy paymentSyncStatus glBatchID paymentAccount aRPaymentAccount",
    dates="paymentDate paymentSyncDate",
    references="invoice credit",
)
PRODUCT = _fields(
    numbers="id sequenceNumber quantity price cost extPrice extCost discount margin agreementAmount locationId"
    " businessUnitId quantityCancelled warehouseId warehouseBinId listPrice calculatedPrice calculatedCost",
    texts="description priceMethod billableOption vendorSku cancelledReason customerDescription internalNotes warehouse"
    " warehouseBin integrationXRef productClass shipSet uom",
    booleans="taxableFlag dropshipFlag specialOrderFlag phaseProductFlag cancelledFlag productSuppliedFlag"
    " calculatedPriceFlag calculatedCostFlag needToPurchaseFlag minimumStockFlag poApprovedFlag",
    dates="cancelledDate purchaseDate",
    references="catalogItem unitOfMeasure agreement location businessUnit vendor ticket project phase salesOrder"
    " opportunity invoice taxCode company invoiceGrouping",
    arrays="serialNumberIds serialNumbers customFields",
)
TIME_ENTRY = _fields(
    numbers="id chargeToId locationId businessUnitId hoursDeduct actualHours hoursBilled invoiceHours hourlyRate"
    " overageRate agreementHours agreementAmount agreementAdjustment adjustment invoiceReady extendedInvoiceAmount",
    texts="companyType chargeToType businessGroupDesc agreementType projectActivity territory billableOption notes"
    " internalNotes hourlyCost status ticketBoard ticketStatus ticketType ticketSubType locationName",
    booleans="addToDetailDescriptionFlag addToInternalAnalysisFlag addToResolutionFlag invoiceFlag",
    dates="timeStart timeEnd dateEntered",
    references="company member location department workType workRole agreement activity invoice timeSheet ticket"
    " project phase taxCode",
    arrays="customFields",
)
EXPENSE_ENTRY = _fields(
    numbers="id chargeToId amount locationId businessUnitId invoiceAmount billAmount agreementAmount odometerStart"
    " odometerEnd",
    texts="chargeToType billableOption notes status",
    dates="date",
    references="expenseReport company type member paymentMethod classification agreement invoice currency ticket"
    " project phase",
    arrays="taxes customFields",
)
CATALOG_ITEM = _fields(
    numbers="id minStockLevel price cost recurringRevenue recurringCost calculatedPrice calculatedCost",
    texts="identifier description productClass priceAttribute customerDescription manufacturerPartNumber vendorSku"
    " notes integrationXRef billableOption connectWiseID",
    booleans="inactiveFlag serializedFlag serializedCostFlag phaseProductFlag taxableFlag dropShipFlag"
    " specialOrderFlag recurringFlag calculatedPriceFlag calculatedCostFlag",
    references="subcategory type unitOfMeasure manufacturer vendor category agreementType",
    arrays="customFields",
)
COMPANY = _fields(
    numbers="id annualRevenue creditLimit numberOfEmployees",
    texts="identifier name addressLine1 addressLine2 city state zip phoneNumber faxNumber website accountNumber"
    " vendorIdentifier taxIdentifier invoiceToEmailAddress invoiceCCEmailAddress deletedBy resellerIdentifier",
    booleans="leadFlag unsubscribeFlag deletedFlag isVendorFlag",
    dates="dateAcquired dateDeleted",
    references="status country territory market defaultContact parentCompany taxCode billingTerms billToCompany"
    " billingSite billingContact invoiceDeliveryMethod currency site",
    arrays="types integratorTags customFields",
)
AGREEMENT = _fields(
    numbers="id applicationLimit expiredDays limit compHourlyRate compLimitAmount billAmount prorateFirstBill",
    texts="name customerPO reasonCancelled workOrder internalNotes applicationUnits applicationCycle employeeCompRate"
    " employeeCompNotExceed invoicingCycle invoiceDescription billTime billExpenses billProducts periodType"
    " agreementStatus",
    booleans="restrictLocationFlag restrictDepartmentFlag noEndingDateFlag cancelledFlag applicationUnlimitedFlag"
    " oneTimeFlag coverAgreementTime coverAgreementProduct coverAgreementExpense coverSalesTax carryOverUnused"
    " allowOverruns expireWhenZero chargeToFirm billOneTimeFlag taxable restrictDownPayment prorateFlag"
    " invoiceProratedAdditionsFlag topComment bottomComment billableTimeInvoice billableExpenseInvoice"
    " billableProductInvoice autoInvoiceFlag",
    dates="startDate endDate dateCancelled billStartDate nextInvoiceDate",
    references="type company contact site subContractCompany subContractContact parentAgreement location department"
    " opportunity sla billingCycle billingTerms billToCompany billToContact billToSite taxCode workRole workType"
    " projectType invoiceTemplate currency companyLocation shipToCompany shipToContact shipToSite",
    arrays="customFields",
)
SALES_ORDER = _fields(
    numbers="id total taxTotal subTotal",
    texts="phone phoneExt email poNumber notes description",
    booleans="billClosedFlag billShippedFlag restrictDownpaymentFlag topCommentFlag bottomCommentFlag",
    dates="orderDate dueDate",
    references="company contact site status opportunity billingTerms taxCode location department salesRep"
    " shipToCompany shipToContact shipToSite billToCompany billToContact billToSite currency companyLocation",
    arrays="productIds documentIds invoiceIds configIds customFields",
)
PURCHASE_ORDER = _fields(
    numbers="id businessUnitId locationId freightCost freightTaxTotal salesTax subTotal total",
    texts="poNumber cancelReason closedBy customerCity customerExtension customerName customerPhone customerSiteName"
    " customerState customerStreetLine1 customerStreetLine2 customerZip enteredBy freightPackingSlip internalNotes"
    " shippingInstructions trackingNumber vendorInvoiceNumber vendorOrderNumber",
    booleans="closedFlag dropShipCustomerFlag taxFreightFlag taxPoFlag updateShipmentInfo updateVendorOrderNumber",
    dates="poDate dateClosed shipmentDate vendorInvoiceDate",
    references="businessUnit customerCompany customerContact customerCountry customerSite location shipmentMethod"
    " status taxCode terms vendorCompany vendorContact vendorSite warehouse warehouseContact currency",
    arrays="customFields",
)
PURCHASE_ORDER_LINE = _fields(
    numbers="id lineNumber purchaseOrderId quantity receivedQuantity tax unitCost extCost unbatchedRecId",
    texts="canceledBy canceledReason description internalNotes packingSlip purchaseOrderNumber serialNumbers"
    " trackingNumber vendorOrderNumber vendorSku shipSet receivedStatus",
    booleans="backorderedFlag canceledFlag closedFlag displayInternalNotesFlag isDetachAvailable batchedFlag",
    dates="dateCanceled dateCanceledUtc expectedShipDate shipDate dateReceived expectedArrivalDate",
    references="product shipmentMethod unitOfMeasure warehouse warehouseBin",
    arrays="salesOrder customFields",
)
PURCHASE_ORDER_STATUS = _fields(
    numbers="id sortOrder",
    texts="name",
    booleans="defaultFlag closedFlag inactiveFlag defaultClosedFlag",
    references="emailTemplate",
)
BILLING_TERM = _fields(numbers="id dueDays", texts="name termsXref", booleans="defaultFlag")
BILLING_STATUS = _fields(numbers="id sortOrder", texts="name", booleans="defaultFlag closedFlag inactiveFlag sentFlag")
TAX_CODE = _fields(
    numbers="id levelOneRate levelOneTaxableMax",
    texts="identifier description invoiceCaption levelOneRateType levelOneCaption levelOneTaxCodeXref"
    " levelOneAgencyXref",
    booleans="defaultFlag displayOnInvoiceFlag levelOneServicesFlag levelOneExpensesFlag levelOneProductsFlag",
    dates="effectiveDate cancelDate",
    references="country",
)
CURRENCY = _fields(
    numbers="id numberOfDecimals",
    texts="currencyIdentifier name symbol thousandsSeparator decimalSeparator reportFormat",
    booleans="displayIdFlag displaySymbolFlag negativeParenthesesFlag rightAlign",
    references="currencyCode",
)
LOCATION = _fields(
    numbers="id ownerLevelId",
    texts="name salesRep",
    booleans="locationFlag clientFlag",
    references="structureLevel manager reportsTo",
    arrays="workRoleIds departmentIds",
)
LOCATION_INFO = _fields(numbers="id", texts="name", booleans="location_flag", references="structureLevel")
DEPARTMENT = _fields(numbers="id", texts="identifier name")
MEMBER = _fields(numbers="id", texts="identifier firstName lastName licenseClass", booleans="inactiveFlag")


@dataclass(frozen=True)
class Resource:
    """One list of the API: where it is, the table behind it, and what its records are called in messages."""

    path: str
    table: str
    noun: str
    fields: Fields
    parent: str = ""
    """For a list below a record (`/finance/invoices/{id}/payments`): the table of that record."""
    counted: bool = True
    """Whether the list has a `/count`."""


RESOURCES: tuple[Resource, ...] = (
    Resource("/finance/invoices", "invoice", "Invoice", INVOICE),
    Resource("/finance/invoices/{id}/payments", "payment", "Payment", PAYMENT, parent="invoice", counted=False),
    Resource("/finance/billingStatuses", "billing_status", "BillingStatus", BILLING_STATUS),
    Resource("/finance/billingTerms", "billing_term", "BillingTerm", BILLING_TERM),
    Resource("/finance/taxCodes", "tax_code", "TaxCode", TAX_CODE),
    Resource("/finance/currencies", "currency", "Currency", CURRENCY),
    Resource("/procurement/products", "product", "ProductItem", PRODUCT),
    Resource("/procurement/catalog", "catalog_item", "CatalogItem", CATALOG_ITEM),
    Resource("/procurement/purchaseorders", "purchase_order", "PurchaseOrder", PURCHASE_ORDER),
    Resource(
        "/procurement/purchaseorders/{id}/lineitems",
        "purchase_order_line",
        "PurchaseOrderLineItem",
        PURCHASE_ORDER_LINE,
        parent="purchase_order",
    ),
    Resource(
        "/procurement/purchaseorderstatuses", "purchase_order_status", "PurchaseOrderStatus", PURCHASE_ORDER_STATUS
    ),
    Resource("/time/entries", "time", "TimeEntry", TIME_ENTRY),
    Resource("/expense/entries", "expense", "ExpenseEntry", EXPENSE_ENTRY),
    Resource("/finance/agreements", "agreement", "Agreement", AGREEMENT),
    Resource("/sales/orders", "sales_order", "Order", SALES_ORDER),
    Resource("/company/companies", "company", "Company", COMPANY),
    Resource("/system/locations", "location", "Location", LOCATION),
    Resource("/system/info/locations", "location_info", "Location", LOCATION_INFO),
    Resource("/system/departments", "department", "Department", DEPARTMENT),
    Resource("/system/members", "member", "Member", MEMBER),
)
