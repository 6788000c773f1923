"""The form of force-sync: what it accepts, what it asks of a cycle, and how its runs are called."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from deployments.registration import FAMILIES
from flows.family import SyncForm, run_name
from flows.force_sync import Family, ForceSyncForm

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_the_drop_down_offers_the_families_that_are_built() -> None:
    assert tuple(family.value for family in Family) == FAMILIES


def test_the_form_is_flat_described_field_by_field_and_begins_with_the_family() -> None:
    """Whatever an ordinary cycle can be asked for, a forced one can be, too."""
    fields = ForceSyncForm.model_json_schema()["properties"]
    assert next(iter(fields)) == "family"
    assert fields.keys() == {"family", *SyncForm.model_fields}
    assert all(each["description"] for each in fields.values())


@pytest.mark.parametrize(
    ("given", "references", "everything", "words"),
    [
        ({}, [], False, 'Fill in "References", switch on "Everything" or "Sweep", or set "Since"; nothing was done.'),
        ({"references": ["", "  "]}, [], False, 'Fill in "References", switch on'),
        ({"references": [" 40001", "", "id:7 "]}, ["40001", "id:7"], False, ""),
        ({"force": True}, [], True, ""),
        ({"since": "2026-03-01"}, [], True, ""),
        ({"references": ["40001"], "force": True}, ["40001"], True, 'Fill in either "References", or'),
        ({"references": ["40001"], "since": "2026-03-01"}, ["40001"], True, 'Fill in either "References", or'),
        ({"plan_file": "plan.json"}, [], False, ""),
        ({"plan_file": "plan.json", "references": ["40001"]}, ["40001"], False, "The plan says itself"),
        ({"plan_file": "plan.json", "since": "2026-03-01"}, [], True, "The plan says itself"),
    ],
)
def test_either_references_or_everything_or_a_plan(
    given: dict[str, Any], references: list[str], everything: bool, words: str
) -> None:
    """Blank items are none, a date alone means everything since then, and anything unclear is a sentence."""
    form = ForceSyncForm.model_validate(given)
    assert (form.references, form.force) == (references, everything)
    assert form.refusal.startswith(words) and bool(form.refusal) == bool(words)


def test_a_run_is_called_by_its_references() -> None:
    form = ForceSyncForm(references=["40001", "40002"])
    assert run_name(form.family, form, AT) == "invoices 40001, 40002"
    credits = ForceSyncForm.model_validate({"family": "credit_notes", "references": ["CM-1"]})
    assert (credits.family, run_name(credits.family, credits, AT)) == (Family.CREDIT_NOTES, "credit_notes CM-1")
    assert run_name(form.family, ForceSyncForm(since=date(2026, 3, 1), mode="plan"), AT).startswith("plan of invoices")
