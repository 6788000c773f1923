"""How a record ends, and every reason why one has to wait: one list, each with its sentence and its cure.

A held record is a normal day, so it is a value (`Hold`), never an exception. The words are for the bookkeeper;
`docs/guide.md` has an entry for every reason, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """What became of one record in one cycle."""

    POSTED = "posted"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    HELD = "held"
    REJECTED = "rejected"
    DEFERRED = "deferred"
    SKIPPED = "skipped"


WAITING = frozenset({Outcome.HELD, Outcome.REJECTED, Outcome.DEFERRED})
"""Outcomes that every later cycle takes up again until the record is done."""


class XeroList(StrEnum):
    """A reference list that is read from Xero once a day and kept; a record can wait for a change in one."""

    ORGANISATION = "organisation"
    ACCOUNTS = "accounts"
    TAX_RATES = "tax_rates"
    CONTACTS = "contacts"
    CURRENCIES = "currencies"
    TRACKING = "tracking"
    ITEMS = "items"


class Reason(StrEnum):
    """Why a record was not simply posted. The value is what `--json`, the audit and the guide call it."""

    MISSING_ORGANISATION = "missing_organisation"
    AMBIGUOUS_MAPPING = "ambiguous_mapping"
    MISSING_CONTACT = "missing_contact"
    CONTACT_ARCHIVED = "contact_archived"
    COMPANY_MERGED = "company_merged"
    MISSING_ACCOUNT = "missing_account"
    MISSING_ITEM = "missing_item"
    MISSING_TRACKING = "missing_tracking"
    MISSING_TAX = "missing_tax"
    MISSING_PAYMENT_ACCOUNT = "missing_payment_account"
    MISSING_RATE = "missing_rate"
    CURRENCY_NOT_ENABLED = "currency_not_enabled"
    TAX_DIFFERS = "tax_differs"
    TOTAL_DIFFERS = "total_differs"
    LINES_INCOMPLETE = "lines_incomplete"
    ZERO_TOTAL = "zero_total"
    PERIOD_LOCKED = "period_locked"
    PAID_IN_XERO = "paid_in_xero"
    PAID_ELSEWHERE = "paid_elsewhere"
    PAYMENT_LOWERED = "payment_lowered"
    OVERPAYMENT = "overpayment"
    RECONCILED_IN_XERO = "reconciled_in_xero"
    CANNOT_ALLOCATE = "cannot_allocate"
    AUTHORISED_IN_XERO = "authorised_in_xero"
    BILLED_IN_XERO = "billed_in_xero"
    EDITED_IN_XERO = "edited_in_xero"
    REMOVED_IN_XERO = "removed_in_xero"
    NUMBER_CONFLICT = "number_conflict"
    ADOPTED_DIFFERS = "adopted_differs"
    ORGANISATION_CHANGED = "organisation_changed"
    SIGN_CHANGED = "sign_changed"
    SOURCE_DELETED = "source_deleted"
    SOURCE_HIDDEN = "source_hidden"
    WAITS_FOR_CLOSE = "waits_for_close"
    WAITS_FOR_INVOICE = "waits_for_invoice"
    WAITS_FOR_CREDIT_NOTE = "waits_for_credit_note"
    WAITS_FOR_APPROVAL = "waits_for_approval"
    OVER_RECEIPT = "over_receipt"
    RECEIPT_REVERSED = "receipt_reversed"
    INVOICED_NOT_RECEIVED = "invoiced_not_received"
    VENDOR_INVOICE_SPLIT = "vendor_invoice_split"
    LIFECYCLE_HOLD = "lifecycle_hold"
    UNREADABLE_RECORD = "unreadable_record"
    REFUSED_BY_XERO = "refused_by_xero"
    UNSETTLED = "unsettled"
    DAY_LIMIT = "day_limit"
    BRAKE = "brake"
    PLAN_MOVED = "plan_moved"


UNCOVERED = frozenset(
    {
        Reason.MISSING_ORGANISATION,
        Reason.AMBIGUOUS_MAPPING,
        Reason.MISSING_CONTACT,
        Reason.CONTACT_ARCHIVED,
        Reason.COMPANY_MERGED,
        Reason.MISSING_ACCOUNT,
        Reason.MISSING_ITEM,
        Reason.MISSING_TRACKING,
        Reason.MISSING_TAX,
        Reason.MISSING_PAYMENT_ACCOUNT,
        Reason.MISSING_RATE,
        Reason.CURRENCY_NOT_ENABLED,
    }
)
"""Reasons that say: the tables, or Xero's lists that they name, do not cover a value of the record."""


SAID_OF_POSTED = frozenset({Reason.TOTAL_DIFFERS, Reason.MISSING_TRACKING, Reason.EDITED_IN_XERO})
"""What may be said of a document that is posted all the same; looked at again until a person has put it right."""


MISSING = frozenset({Reason.SOURCE_DELETED, Reason.SOURCE_HIDDEN})
"""What only a sweep says of a record, and only a sweep (or the record itself, when it is shown again) takes back."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a reason means and what to do, in a sentence each; `needs_people` is False where waiting is the cure."""

    sentence: str
    cure: str
    needs_people: bool = True


EXPLANATIONS: dict[Reason, Explanation] = {
    Reason.MISSING_ORGANISATION: Explanation(
        "No row of organisations.csv says which Xero organisation this record belongs to.",
        "Add a row for its location to organisations.csv.",
    ),
    Reason.AMBIGUOUS_MAPPING: Explanation(
        "Two rows of a mapping table fit this record equally well.",
        "Make one of the two rows more specific, or remove it.",
    ),
    Reason.MISSING_CONTACT: Explanation(
        "No contact in Xero could be matched to the company with certainty.",
        "Create the contact in Xero with the company's account number, or add a row to contacts.csv.",
    ),
    Reason.CONTACT_ARCHIVED: Explanation(
        "The contact in Xero is archived, and Xero refuses documents for it.",
        "Restore the contact in Xero, or point the company to another contact in contacts.csv.",
    ),
    Reason.COMPANY_MERGED: Explanation(
        "The company that pays does not exist in ConnectWise any more: it was merged into another, or deleted.",
        "Choose the company that took its place on the record in ConnectWise.",
    ),
    Reason.MISSING_ACCOUNT: Explanation(
        "No account is known for a line, or Xero does not have (or has archived) the one that the table names.",
        "Add or correct the row in accounts.csv, or restore the account in Xero.",
    ),
    Reason.MISSING_ITEM: Explanation(
        "Xero does not have the item that the table names, or does not sell it.",
        "Correct item_code in accounts.csv, or add the item in Xero.",
    ),
    Reason.MISSING_TRACKING: Explanation(
        "No tracking option is known for a line, or Xero does not have (or has archived) the one that the table names.",
        "Add or correct the row in tracking.csv, or restore the option in Xero.",
    ),
    Reason.MISSING_TAX: Explanation(
        "No tax type is known for a line, or Xero does not have (or does not allow) the one that the table names.",
        "Add or correct the row in taxes.csv.",
    ),
    Reason.MISSING_RATE: Explanation(
        "The document is in a foreign currency and no exchange rate is known for it.",
        "Give the rate where policy looks for it: rates.csv, or the custom field.",
    ),
    Reason.CURRENCY_NOT_ENABLED: Explanation(
        "The document's currency is not switched on in the Xero organisation.",
        "Add the currency in Xero (Settings, Currencies).",
    ),
    Reason.TAX_DIFFERS: Explanation(
        "The tax that Xero would compute differs from ConnectWise's by more than a cent per taxable line.",
        "Correct the tax type in taxes.csv, or the tax on the record in ConnectWise.",
    ),
    Reason.TOTAL_DIFFERS: Explanation(
        "Xero's total of the posted document differs from ConnectWise's.",
        "Compare the two documents line by line and correct the one that is wrong.",
    ),
    Reason.LINES_INCOMPLETE: Explanation(
        "The rows of the record do not add up to the amounts on its header.",
        "Open the record in ConnectWise and correct its rows, or reopen and close it so that it is totalled again.",
    ),
    Reason.ZERO_TOTAL: Explanation(
        "The total is 0.00, and policy says to hold such documents.",
        "Post it by hand if it is wanted, or change `zero_total` in policy.toml.",
    ),
    Reason.PERIOD_LOCKED: Explanation(
        "The document's date lies in a period that is locked in Xero.",
        "Unlock the period in Xero, or change the date in ConnectWise.",
    ),
    Reason.PAID_IN_XERO: Explanation(
        "The record changed in ConnectWise after money was applied to its document in Xero; that one is not edited.",
        "Enter the difference in Xero by hand, or undo the change in ConnectWise.",
    ),
    Reason.MISSING_PAYMENT_ACCOUNT: Explanation(
        "No account is known for the payment, or Xero does not take payments into the one that the table names.",
        "Add or correct the row in payment_accounts.csv, or enable payments to the account in Xero.",
    ),
    Reason.PAID_ELSEWHERE: Explanation(
        "ConnectWise says that more was paid than Xero has, and part of what Xero has was entered by somebody else.",
        "Compare the payments in both systems; enter what is missing in Xero by hand, or let `--take ours` do it.",
    ),
    Reason.PAYMENT_LOWERED: Explanation(
        "ConnectWise says that less was paid, or credited, than was written to Xero.",
        "Remove the payment in Xero if it was never made; or let policy do it with `on_decrease`.",
    ),
    Reason.OVERPAYMENT: Explanation(
        "ConnectWise says that more was paid, or credited, than is still due in Xero.",
        "Correct the payment in ConnectWise, or enter the overpayment in Xero by hand.",
    ),
    Reason.RECONCILED_IN_XERO: Explanation(
        "The payment is reconciled, or part of a batch, in Xero; such payments are never removed.",
        "Undo the reconciliation in Xero and remove the payment there, or correct it in ConnectWise.",
    ),
    Reason.CANNOT_ALLOCATE: Explanation(
        "The credit note and the invoice are of different contacts, currencies or organisations in Xero.",
        "Make the two alike, or apply the credit to another invoice in ConnectWise.",
    ),
    Reason.AUTHORISED_IN_XERO: Explanation(
        "The record changed in ConnectWise after its document was approved in Xero; policy says to leave that alone.",
        "Make the same change in Xero by hand, or undo it in ConnectWise.",
    ),
    Reason.BILLED_IN_XERO: Explanation(
        "The purchase order was changed or cancelled in ConnectWise after it was marked as billed in Xero.",
        "Make the same change in Xero by hand, or undo it in ConnectWise.",
    ),
    Reason.EDITED_IN_XERO: Explanation(
        "The document was changed in Xero by a person and cannot simply follow ConnectWise.",
        "Make the two agree by hand, or say whose version counts with `--take ours` or `--take theirs`.",
    ),
    Reason.REMOVED_IN_XERO: Explanation(
        "The document was deleted or voided in Xero; it stays so.",
        "Nothing, if that was meant; otherwise have it posted again with `--recreate`.",
    ),
    Reason.NUMBER_CONFLICT: Explanation(
        "Xero already has another document with this number.",
        "Renumber one of the two, or remove the one in Xero if it is the same sale entered by hand.",
    ),
    Reason.ADOPTED_DIFFERS: Explanation(
        "Xero already holds this document, but it differs from ConnectWise.",
        "Make the two agree: correct the document in Xero, or the record in ConnectWise.",
    ),
    Reason.ORGANISATION_CHANGED: Explanation(
        "The record was posted to one organisation and the tables now send it to another.",
        "Restore the row in organisations.csv, or void the document where it is before it is entered elsewhere.",
    ),
    Reason.SIGN_CHANGED: Explanation(
        "The total changed its sign after posting: an invoice became a credit, or the other way round.",
        "Delete or void the document in Xero, and the next cycle posts the new one; or undo the change in ConnectWise.",
    ),
    Reason.SOURCE_DELETED: Explanation(
        "The record was deleted in ConnectWise; its document in Xero was left as it is.",
        "Delete or void the document in Xero if the sale is off; or say that it stays with `--take theirs`.",
    ),
    Reason.SOURCE_HIDDEN: Explanation(
        "ConnectWise does not show the record any more, and whether it was deleted cannot be told for certain.",
        "Look for the record in ConnectWise; where it exists, let the API member's role see it again.",
    ),
    Reason.WAITS_FOR_CLOSE: Explanation(
        "The record was reopened in ConnectWise after it was posted; the posted document is left alone.",
        "Close it again in ConnectWise.",
        needs_people=False,
    ),
    Reason.WAITS_FOR_INVOICE: Explanation(
        "The invoice is not in Xero yet, so what settles it waits.",
        "Nothing: it follows as soon as the invoice is posted.",
        needs_people=False,
    ),
    Reason.WAITS_FOR_CREDIT_NOTE: Explanation(
        "The credit note is not in Xero yet, so it cannot be allocated to the invoice.",
        "Nothing: it follows as soon as the credit note is posted.",
        needs_people=False,
    ),
    Reason.WAITS_FOR_APPROVAL: Explanation(
        "The document is a draft in Xero; what settles it waits until somebody approves it.",
        "Approve the document in Xero.",
        needs_people=False,
    ),
    Reason.OVER_RECEIPT: Explanation(
        "More of a product was received than its purchase order ordered, and policy says to hold that.",
        "Correct what was received or ordered in ConnectWise, or set over_receipt under [purchases] in policy.toml.",
    ),
    Reason.RECEIPT_REVERSED: Explanation(
        "Goods that are on a bill were taken back in ConnectWise.",
        "Enter a supplier credit for them in Xero where the bill is approved; delete the draft where nothing is left.",
    ),
    Reason.INVOICED_NOT_RECEIVED: Explanation(
        "The supplier has sent an invoice for a purchase order of which nothing is received yet, so there is no bill.",
        "Receive the goods in ConnectWise when they are there, or remove the vendor invoice number from the order.",
    ),
    Reason.VENDOR_INVOICE_SPLIT: Explanation(
        "The vendor's invoice covers several purchase orders, and they are not all on one bill.",
        "Compare the vendor's invoice with all of its bills; put the lines onto one bill in Xero by hand if you want.",
    ),
    Reason.LIFECYCLE_HOLD: Explanation(
        "The signed lifecycle says to hold purchase orders in this state.",
        "Decide by hand what is to happen in Xero, or change the row of lifecycle.csv and have it signed again.",
    ),
    Reason.UNREADABLE_RECORD: Explanation(
        "ConnectWise's answer for this record could not be read.",
        "Open the record in ConnectWise and correct the field that is named.",
    ),
    Reason.REFUSED_BY_XERO: Explanation(
        "Xero refused the document; its own words are in the message.",
        "Do what Xero's message asks for; the next cycle sends the document again when something has changed.",
    ),
    Reason.UNSETTLED: Explanation(
        "Xero gave no clear answer, so it is not known yet whether the document was written.",
        "Nothing: the next cycle looks the document up in Xero and goes on from there.",
        needs_people=False,
    ),
    Reason.DAY_LIMIT: Explanation(
        "Xero's limit of calls is used up for now.",
        "Nothing: the next cycle goes on where this one stopped.",
        needs_people=False,
    ),
    Reason.BRAKE: Explanation(
        "More posted documents would be changed at once than policy allows, or older ones; nothing of it is written.",
        "Look at `tieout plan`; then release it with `--allow-many`, or by `tieout sync --plan FILE`.",
    ),
    Reason.PLAN_MOVED: Explanation(
        "The record or its document changed after the plan was made, so it was left out.",
        "Make a new plan.",
        needs_people=False,
    ),
}


@dataclass(frozen=True, slots=True)
class Hold:
    """One problem of one record: the reason, the value that caused it, and both sentences filled in.

    `waits_on` names the lists of Xero whose change could cure it; they are renewed by each cycle in which the
    record is still held. Empty: the cure is on our side (a table, the policy) or in ConnectWise, and costs no call.
    `skip`: by policy nothing is to be done at all, so the record is skipped and nobody is asked.
    `merged` are the problems of which this one was made; it is told as one and counted as each.
    """

    reason: Reason
    value: str = ""
    message: str = ""
    fix: str = ""
    waits_on: tuple[XeroList, ...] = ()
    skip: bool = False
    merged: tuple[Hold, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        explanation = EXPLANATIONS[self.reason]
        object.__setattr__(self, "message", self.message or explanation.sentence)
        object.__setattr__(self, "fix", self.fix or explanation.cure)

    @property
    def problems(self) -> tuple[Hold, ...]:
        """Each problem of the record on its own; where there is but one, that one."""
        return self.merged or (self,)


def merge(problems: Sequence[Hold]) -> Hold:
    """Several problems of one record as one: the first one's reason and value, and every message and cure.

    Problems with the same cure count once: ten lines that need the same row are one problem to a bookkeeper.
    """
    distinct: dict[tuple[Reason, str], Hold] = {}
    for problem in (each for hold in problems for each in hold.problems):
        distinct.setdefault((problem.reason, problem.fix), problem)
    first = problems[0]
    return Hold(
        first.reason,
        first.value,
        " ".join(problem.message for problem in distinct.values()),
        "\n".join(dict.fromkeys(problem.fix for problem in distinct.values())),
        tuple(dict.fromkeys(name for problem in problems for name in problem.waits_on)),
        merged=tuple(distinct.values()) if len(distinct) > 1 else (),
    )
