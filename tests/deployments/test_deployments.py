"""What is deployed: names, entry points and first schedules, as a picture that a change has to change too."""

from __future__ import annotations

import importlib

import pytest
import yaml

from deployments.config import PROJECT
from deployments.registration import FAMILIES, full_name
from flows.family import SyncForm


def test_the_deployments_are_these() -> None:
    """A deployment per family, every six hours; a nightly one; a weekly report; and those that people start.

    `prefect.yaml` has no schedules, so that a deploy touches none.
    """
    spec = yaml.safe_load((PROJECT / "prefect.yaml").read_text(encoding="utf-8"))
    seeds = yaml.safe_load((PROJECT / "deployments" / "schedules.yaml").read_text(encoding="utf-8"))
    assert [
        (each["name"], each["entrypoint"], each["work_pool"]["name"], "schedules" in each)
        for each in spec["deployments"]
    ] == [
        ("invoices", "flows.invoices.sync_invoices", "tieout", False),
        ("credit_notes", "flows.credit_notes.sync_credit_notes", "tieout", False),
        ("payments", "flows.payments.sync_payments", "tieout", False),
        ("purchase_orders", "flows.purchase_orders.sync_purchase_orders", "tieout", False),
        ("sweep", "flows.sweep.sweep", "tieout", False),
        ("reconcile", "flows.reconcile.reconcile", "tieout", False),
        ("unmapped-vendors", "flows.report.report", "tieout", False),
        ("margin", "flows.report.report", "tieout", False),
        ("force-sync", "flows.force_sync.force_sync", "tieout", False),
    ]
    assert seeds == {
        "invoices": [{"slug": "every-six-hours", "cron": "0 */6 * * *", "timezone": "UTC"}],
        "credit_notes": [{"slug": "every-six-hours", "cron": "10 */6 * * *", "timezone": "UTC"}],
        "payments": [{"slug": "every-six-hours", "cron": "20 */6 * * *", "timezone": "UTC"}],
        "purchase_orders": [{"slug": "every-six-hours", "cron": "30 */6 * * *", "timezone": "UTC"}],
        "sweep": [{"slug": "nightly", "cron": "30 2 * * *", "timezone": "UTC"}],
        "unmapped-vendors": [{"slug": "monday-morning", "cron": "0 7 * * 1", "timezone": "UTC"}],
        "margin": [{"slug": "monday-morning", "cron": "15 7 * * 1", "timezone": "UTC"}],
    }


def test_every_entry_point_is_there() -> None:
    """What prefect.yaml names can be imported, and every family has one."""
    spec = yaml.safe_load((PROJECT / "prefect.yaml").read_text(encoding="utf-8"))
    for each in spec["deployments"]:
        module, flow = each["entrypoint"].rsplit(".", 1)
        assert hasattr(importlib.import_module(module), flow)
    assert {each["name"] for each in spec["deployments"]} >= set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_run_form_of_a_family_is_flat_and_described_field_by_field(family: str) -> None:
    """What an ordinary cycle can be asked for; all of it may stay as it is."""
    flow = getattr(importlib.import_module(f"flows.{family}"), f"sync_{family}")
    schema = flow.parameters.model_dump()
    assert list(schema["properties"]) == ["params", "installation"] and not schema["required"]
    form = schema["definitions"]["SyncForm"]["properties"]
    assert form.keys() == SyncForm.model_fields.keys()
    assert all(each["description"] for each in form.values())
    assert flow.name == f"sync-{family.replace('_', '-')}"


def test_two_installations_on_one_server_do_not_meet() -> None:
    """`[prefect] name` stands before every name, unless it is the default."""
    assert full_name("default", "invoices") == "invoices"
    assert full_name("acme", "invoices") == "acme-invoices"
