"""Mail through a real Prefect server: what set-up leaves there, the mail after a cycle, and mails about runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.deployments.conftest import Place
from tests.postbox import Postbox, postbox, text_of

pytestmark = pytest.mark.server

CANARY = "canary-mail-password"
WITHIN = 60.0
"""Seconds in which a mail about a run has to be there."""


@pytest.fixture
def box() -> Iterator[Postbox]:
    with postbox(password=CANARY) as box:
        yield box


@pytest.fixture
def mailing(place: Place, box: Postbox) -> Place:
    """The story of the MSP with a [mail] section."""
    with place.config.open("a", encoding="utf-8") as config:
        config.write(
            f'[mail]\nhost = "127.0.0.1"\nport = {box.port}\nsender = "tieout@example.com"\n'
            f'recipients = ["accounts@example.com"]\nusername = "tieout"\npassword = "env:TEST_MAIL_PASSWORD"\n'
        )
    return place


def automations(api: str, name: str) -> list[dict[str, Any]]:
    """The mail automations of an installation."""
    found = httpx.post(f"{api}/automations/filter", json={"limit": 200}).json()
    return [each for each in found if each["name"].startswith(f"tieout {name}:")]


def set_up(place: Place) -> None:
    done = place.tieout("setup", TEST_MAIL_PASSWORD=CANARY)
    assert done.returncode == 0, done.stderr
    assert CANARY not in done.stdout + done.stderr


def deployment_id(api: str, place: Place) -> str:
    found = httpx.get(f"{api}/deployments/name/sync-invoices/{place.name}-invoices")
    return str(found.json()["id"])


def new_run(api: str, deployment: str, at: datetime) -> str:
    """A run of a deployment that is due at `at`; no worker is there to take it."""
    state = {"type": "SCHEDULED", "name": "Scheduled", "state_details": {"scheduled_time": at.isoformat()}}
    made = httpx.post(f"{api}/deployments/{deployment}/create_flow_run", json={"state": state})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def set_state(api: str, run: str, kind: str, message: str) -> None:
    state = {"type": kind, "name": kind.capitalize(), "message": message}
    answer = httpx.post(f"{api}/flow_runs/{run}/set_state", json={"state": state, "force": True})
    assert answer.status_code < 300, answer.text


def another_deployment(api: str) -> str:
    """A deployment of somebody else on the same server."""
    flow = httpx.post(f"{api}/flows/", json={"name": "somebody-elses"}).json()["id"]
    made = httpx.post(f"{api}/deployments/", json={"name": "invoices", "flow_id": flow})
    return str(made.json()["id"])


def test_a_run_that_crashed_or_is_late_reaches_people_by_the_server_alone(
    prefect_server: str, mailing: Place, box: Postbox
) -> None:
    """No worker runs; runs of other people's deployments are none of our business."""
    set_up(mailing)
    ours, theirs = deployment_id(prefect_server, mailing), another_deployment(prefect_server)
    late = next(each for each in automations(prefect_server, mailing.name) if "late" in each["name"])
    assert late["trigger"]["within"] == 900
    # Everything as set-up made it but the patience: the least that Prefect allows.
    late["trigger"]["within"] = 10
    sent = {key: late[key] for key in ("name", "description", "enabled", "trigger", "actions")}
    assert httpx.put(f"{prefect_server}/automations/{late['id']}", json=sent).status_code == 204

    now = datetime.now(UTC)
    for deployment in (theirs, ours):
        set_state(prefect_server, new_run(prefect_server, deployment, now + timedelta(days=1)), "CRASHED", "It died.")
    assert len(box.wait_for(1, WITHIN)) == 1
    assert "ended as Crashed" in box.subjects[0]
    assert "It died." in text_of(box.mails[0])

    for deployment in (theirs, ours):
        new_run(prefect_server, deployment, now - timedelta(minutes=5))
    assert len(box.wait_for(2, WITHIN)) == 2, box.subjects
    assert "is late" in box.subjects[1]
    assert "tieout serve" in text_of(box.mails[1])
    print(text_of(box.mails[0]), text_of(box.mails[1]), box.subjects)
