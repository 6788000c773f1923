"""Mail through a real Prefect server: what set-up leaves there, the mail after a cycle, and mails about runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.deployments.conftest import Place
from tests.deployments.test_flow_runs import artifacts, latest_run
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
def mailing(place: Place, box: Postbox, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The story of the MSP with a [mail] section."""
    monkeypatch.setenv("TEST_MAIL_PASSWORD", CANARY)
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
    done = place.tieout("setup")
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


def mail_blocks(api: str, place: Place) -> dict[str, dict[str, Any]]:
    """The two blocks that hold [mail], by name; secrets as the server has them."""
    names = [f"{place.name}-mail", f"{place.name}-mail-server"]
    query = {"block_documents": {"name": {"any_": names}}, "include_secrets": True}
    return {each["name"]: each for each in httpx.post(f"{api}/block_documents/filter", json=query).json()}


def logs(api: str) -> str:
    """Everything that flow runs have logged."""
    return httpx.post(f"{api}/logs/filter", json={"limit": 200, "sort": "TIMESTAMP_DESC"}).text


def test_a_cycle_mails_and_a_mail_that_fails_changes_nothing_but_a_line(
    prefect_server: str, mailing: Place, box: Postbox
) -> None:
    """The foreground cycle is a flow run like any other; what the server refused is told by the next one."""
    set_up(mailing)
    box.says = "451 try later"
    refused = mailing.tieout("sync", "invoices")
    assert refused.returncode == 3, "as without the mail"
    (line, *_) = [line for line in refused.stderr.splitlines() if "was not sent" in line]
    assert line.startswith("tieout: The mail 'tieout: ") and f"127.0.0.1:{box.port} said 451 try later" in line
    run = latest_run(prefect_server)
    assert run["state_name"] == "Completed"
    summary = next(each for key, each in artifacts(prefect_server, run).items() if key.endswith("-summary"))
    assert "451 try later" in summary["data"]
    assert box.mails == []

    box.says = ""
    taken = mailing.tieout("sync", "invoices")
    assert taken.returncode == 3 and "was not sent" not in taken.stderr
    open_ones = json.loads(mailing.tieout("exceptions", "--json").stdout)["exceptions"]
    assert len(box.mails) == len({each["organisation"] for each in open_ones})
    told = "".join(text_of(mail) for mail in box.mails)
    assert all(f"  {each['reference']}" in told and each["reason"] in told for each in open_ones)
    assert f"/runs/flow-run/{latest_run(prefect_server)['id']}" in told

    assert mailing.tieout("sync").returncode == 3
    assert len(box.mails) == len({each["organisation"] for each in open_ones}), "quiet when nothing changed"

    said = refused.stdout + refused.stderr + taken.stdout + taken.stderr + logs(prefect_server) + told
    assert CANARY not in said
    assert CANARY.encode() not in b"".join(path.read_bytes() for path in mailing.folder.glob("audit.db*"))
    assert {password for _, password in box.logins} == {CANARY.encode()}


def test_set_up_may_run_again_and_follows_the_file_but_keeps_what_ops_changed(
    prefect_server: str, mailing: Place, box: Postbox
) -> None:
    set_up(mailing)
    first, blocks = automations(prefect_server, mailing.name), mail_blocks(prefect_server, mailing)
    assert (len(first), len(blocks)) == (3, 2)
    assert {each["actions"][0]["block_document_id"] for each in first} == {blocks[f"{mailing.name}-mail"]["id"]}
    found = httpx.post(f"{prefect_server}/deployments/filter", json={}).raise_for_status().json()
    ours = {f"prefect.deployment.{each['id']}" for each in found if each["name"].startswith(f"{mailing.name}-")}
    assert len(ours) == 9
    assert [set(each["trigger"]["match_related"]["prefect.resource.id"]) for each in first] == [ours] * 3

    changed = first[0]
    changed["enabled"] = False
    changed["actions"][0]["subject"] = "Help, {{ flow_run.name }}"
    sent = {key: changed[key] for key in ("name", "description", "enabled", "trigger", "actions")}
    assert httpx.put(f"{prefect_server}/automations/{changed['id']}", json=sent).status_code == 204
    mailing.rewrite('recipients = ["accounts@example.com"]', 'recipients = ["new@example.com"]')
    set_up(mailing)
    again = {each["id"]: each for each in automations(prefect_server, mailing.name)}
    assert again.keys() == {each["id"] for each in first}
    assert not again[changed["id"]]["enabled"]
    assert again[changed["id"]]["actions"][0]["subject"] == "Help, {{ flow_run.name }}"
    saved = mail_blocks(prefect_server, mailing)[f"{mailing.name}-mail"]
    assert (saved["id"], saved["data"]["recipients"]) == (blocks[f"{mailing.name}-mail"]["id"], ["new@example.com"])

    broken = {"data": {**saved["data"], "recipients": ["nobody"]}, "merge_existing_data": False}
    address = f"{prefect_server}/block_documents/{saved['id']}"
    assert httpx.patch(address, json=broken).status_code == 204
    told = mailing.tieout("sync")
    assert told.returncode == 3
    assert f"No exceptions were mailed. The block '{mailing.name}-mail' cannot be used (recipients.0: " in told.stderr

    text = mailing.config.read_text(encoding="utf-8")
    mailing.config.write_text(text[: text.index("[mail]")], encoding="utf-8")
    for _ in range(2):
        set_up(mailing)
        assert automations(prefect_server, mailing.name) == []
        assert mail_blocks(prefect_server, mailing) == {}
    quiet = mailing.tieout("sync")
    assert quiet.returncode == 3 and "mail" not in quiet.stderr
    assert box.mails == []


def test_a_run_that_crashed_waits_or_is_late_reaches_people_by_the_server_alone(
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
    for number, kind in enumerate(("CRASHED", "FAILED"), start=1):
        for deployment in (theirs, ours):
            run = new_run(prefect_server, deployment, now + timedelta(days=1))
            set_state(prefect_server, run, kind, f"It {kind.lower()}.")
        assert len(box.wait_for(number, WITHIN)) == number
        assert f"({mailing.name}-invoices) ended as {kind.capitalize()}" in box.subjects[-1]
        assert f"It {kind.lower()}." in text_of(box.mails[-1])
        assert f"/runs/flow-run/{run}" in text_of(box.mails[-1])

    for deployment in (theirs, ours):
        run = new_run(prefect_server, deployment, now + timedelta(days=1))
        state = {"type": "PAUSED", "name": "Suspended"}
        address = f"{prefect_server}/flow_runs/{run}/set_state"
        assert httpx.post(address, json={"state": state, "force": True}).status_code < 300
    assert len(box.wait_for(3, WITHIN)) == 3
    assert f"({mailing.name}-invoices) waits for your approval" in box.subjects[-1]
    assert f"/runs/flow-run/{run}" in text_of(box.mails[-1])

    for deployment in (theirs, ours):
        run = new_run(prefect_server, deployment, now - timedelta(minutes=5))
    assert len(box.wait_for(4, WITHIN)) == 4
    assert f"({mailing.name}-invoices) is late" in box.subjects[-1]
    assert "tieout serve" in text_of(box.mails[-1])
    assert f"/runs/flow-run/{run}" in text_of(box.mails[-1])
    # The other run is as late, and was evaluated along with ours.
    assert len(box.wait_for(5, 5)) == 4, box.subjects
