"""What is deployed: names, entry points and first schedules, as a picture that a change has to change too."""

from __future__ import annotations

import importlib

import yaml

from deployments.config import PROJECT
from deployments.registration import FAMILIES, full_name


def test_the_deployments_are_these() -> None:
    """A deployment per family, every six hours; a nightly one; and those that people start.

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
        ("sweep", "flows.sweep.sweep", "tieout", False),
        ("reconcile", "flows.reconcile.reconcile", "tieout", False),
        ("force-sync", "flows.force_sync.force_sync", "tieout", False),
    ]
    assert seeds == {
        "invoices": [{"slug": "every-six-hours", "cron": "0 */6 * * *", "timezone": "UTC"}],
        "credit_notes": [{"slug": "every-six-hours", "cron": "10 */6 * * *", "timezone": "UTC"}],
        "sweep": [{"slug": "nightly", "cron": "30 2 * * *", "timezone": "UTC"}],
    }


def test_every_entry_point_is_there() -> None:
    """What prefect.yaml names can be imported, and every family has one."""
    spec = yaml.safe_load((PROJECT / "prefect.yaml").read_text(encoding="utf-8"))
    for each in spec["deployments"]:
        module, flow = each["entrypoint"].rsplit(".", 1)
        assert hasattr(importlib.import_module(module), flow)
    assert {each["name"] for each in spec["deployments"]} >= set(FAMILIES)


def test_two_installations_on_one_server_do_not_meet() -> None:
    """`[prefect] name` stands before every name, unless it is the default."""
    assert full_name("default", "invoices") == "invoices"
    assert full_name("acme", "invoices") == "acme-invoices"
