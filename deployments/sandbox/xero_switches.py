"""What public sources leave open about Xero, as switches: a client must work with either setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class XeroSwitches:
    """One choice for each behaviour that is not confirmed. The defaults are what the better evidence says."""

    bill_reference: Literal["persist", "drop"] = "persist"
    """Whether a bill (ACCPAY) keeps the API field Reference, or loses it without a word."""

    bill_match: Literal["any_contact", "same_contact"] = "any_contact"
    """Whether POST of a bill with a used InvoiceNumber updates a bill of any contact, or only of the same one."""

    post_matches_voided_bill: bool = True
    """Whether POST with the number of a bill that is only VOIDED is refused as not modifiable, or makes a new one."""

    voided_number_blocks: bool = True
    """Whether the number of a VOIDED sales invoice stays taken (a DELETED one always frees it)."""

    cache_4xx: bool = True
    """Whether a validation failure is kept under its Idempotency-Key like any other answer."""

    forget_keys: bool = False
    """The key store has lost everything: no key is ever recognised, the same call is executed again."""

    key_store_down: bool = False
    """The key store is out of order: a request with a key is answered with 500 and not executed."""

    paid_bill_editable: bool = True
    """Whether a paid bill allows the same few edits as a paid invoice (since 2026), or none at all (before)."""

    refused_echoes_number: bool = False
    """Whether the element of a refused document repeats its InvoiceNumber and Reference (a recording: no)."""

    answer_order: Literal["request", "reversed"] = "request"
    """In which order a batch is answered: no order is promised."""

    lock_blocks_drafts: bool = True
    """Whether a lock date refuses DRAFT and SUBMITTED documents too, or only approved ones."""

    archived_name_matches: bool = False
    """Whether a contact given by the name of an archived one is refused, or becomes a new contact."""

    contact_name_spaces: Literal["collapse", "refuse"] = "collapse"
    """What becomes of leading, trailing and repeated spaces in a contact's name."""

    unknown_tracking: Literal["refuse", "ignore"] = "refuse"
    """What becomes of a line whose tracking category or option is unknown or archived."""

    ascii_numbers: bool = True
    """Whether an InvoiceNumber outside printable ASCII is refused."""

    tax_amount_capped: bool = False
    """Whether a TaxAmount above the UnitAmount is refused (the documentation, read to the letter)."""

    zero_total_is_paid: bool = False
    """Whether approving a document of 0.00 makes it PAID at once."""

    enforce_scopes: bool = True
    """Whether a call outside the scopes of the token is refused."""

    broad_scopes: bool = False
    """Whether the app is old enough for `accounting.transactions` and its like."""

    credit_note_sent_settable: bool = True
    """Whether SentToContact of a credit note can be set (its description says so, its schema says read-only)."""

    credit_note_ids_filter: bool = False
    """Whether GET /CreditNotes knows `IDs=` (its description does not; an unknown parameter is ignored)."""

    allocation_id_in_reply: bool = False
    """Whether the reply to an allocation carries the AllocationID (the example: no; a later GET does)."""

    allocation_date: Literal["sent", "later"] = "sent"
    """The date of an allocation: as sent (the schema requires one), or the later of the two documents' (the docs)."""

    reconciled_payment_deletable: bool = False
    """Whether a payment that is reconciled with a bank statement can be deleted by the API."""

    unapproved_order_billable: bool = True
    """Whether a purchase order that is DRAFT or SUBMITTED can be marked BILLED, or only an AUTHORISED one."""

    order_update_needs_contact: bool = False
    """Whether an update of a purchase order that does not name its Contact is refused."""

    linked_transaction_lists: Literal["first", "all"] = "first"
    """How many linked transactions of a list are worked on. Only the first one, and the rest is lost without a word:
    so it was reported, and called intended, in XeroAPI/Xero-Net issue 249 (2017)."""
