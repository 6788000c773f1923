"""The first load of a large organisation under Xero's own limits: how many calls, how long, and a kill in the middle.

Time is simulated (`tests/stage.py`): nobody waits for the minutes, and they are the same in every run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from prefect.utilities.collections import visit_collection

from blocks.audit.tables import BINDINGS, REQUEST_ROWS, REQUESTS
from blocks.limiter import slot_lasts
from deployments.sandbox.xero import Limits
from flows import cycle
from flows.family import Summary
from tasks import posting
from tasks.calls import PlainCalls
from tests.first_load import AT_ONCE, PER_MINUTE, Desk, floor_seconds, limited, load_here, load_in_a_process
from tests.stage import Stage
from tests.worlds import OTHER_TENANT, TENANT, World

INVOICES = 2100
"""Two full pages and a part of a third one."""
BATCH = 20
"""As many calls as five thousand invoices take, with fewer of them."""
LISTS = ["Organisation", "Accounts", "TaxRates", "Contacts", "Invoices"]
"""What is read once of an organisation: its lists, and whether documents of ours are there already."""


def organisation_of(count: int) -> str | None:
    """Where an invoice goes: most to Sydney, some to Perth, and some are not closed yet."""
    if count % 50 == 7:
        return None
    return "Perth" if count % 11 == 3 else "Sydney"


ORGANISATIONS = Counter(filter(None, map(organisation_of, range(INVOICES))))
DOCUMENTS = ORGANISATIONS.total()


@dataclass
class Load:
    desk: Desk
    seconds: float = 0
    summary: Summary | None = None
    tasks: int = 0

    @property
    def world(self) -> World:
        return self.desk.world

    def run(self) -> Load:
        """Load what there is to load, undisturbed."""
        began = self.desk.stage()
        self.summary, self.tasks = load_here(self.desk)
        assert not self.summary.failed, self.summary.failed
        self.seconds = (self.desk.stage() - began).total_seconds()
        return self

    def calls(self, tenant: str) -> int:
        """All calls of an organisation, by Xero's own count."""
        return self.world.xero.statistics_of(tenant).calls


def large_world(folder: Path) -> Load:
    stage = Stage()
    world = limited(World(folder, clock=stage).ready_twice())
    for count in range(INVOICES):
        place = organisation_of(count)
        status = {} if place else {"status": "New"}
        world.add_invoice(f"{40000 + count}", location=place or "Sydney", date=date(2026, 3, 2), **status)
    return Load(Desk(world, stage))


@pytest.fixture(scope="module", autouse=True)
def small_batches() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posting, "BATCH", BATCH)
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Load:
    return large_world(tmp_path_factory.mktemp("undisturbed")).run()


def elements(load: Load, tenant: str) -> list[int]:
    """How many invoices each write of an organisation carried, in order."""
    return [write.elements for write in load.desk.writes if write.tenant_id == tenant]


def test_all_invoices_of_a_first_load_are_there_each_once(undisturbed: Load) -> None:
    """Whatever the pages and batches, one document for each closed invoice."""
    for name, count in ORGANISATIONS.items():
        wanted = [f"{40000 + number}" for number in range(INVOICES) if organisation_of(number) == name]
        there = undisturbed.world.xero.organisations[undisturbed.world.tenants[name]].invoices(live=False)
        assert sorted(each["InvoiceNumber"] for each in there) == wanted and len(wanted) == count
    assert undisturbed.summary is not None
    assert undisturbed.summary.counts == {"read": INVOICES, "posted": DOCUMENTS, "skipped": INVOICES - DOCUMENTS}


def test_a_first_load_makes_as_few_calls_as_its_invoices_fill(undisturbed: Load) -> None:
    """Every write but an organisation's last is full, however its invoices lie on the pages; lists are read once."""
    for name, tenant in (("Sydney", TENANT), ("Perth", OTHER_TENANT)):
        count = ORGANISATIONS[name]
        assert sorted(elements(undisturbed, tenant), reverse=True) == [BATCH] * (count // BATCH) + [count % BATCH]
        assert undisturbed.calls(tenant) == math.ceil(count / BATCH) + len(LISTS)


def test_a_first_load_takes_hardly_longer_than_the_limit_alone(undisturbed: Load) -> None:
    """Within a tenth of the time in which Xero would take so many calls, and never refused."""
    floor = floor_seconds(undisturbed.calls(TENANT))
    assert floor == 60
    assert floor < undisturbed.seconds <= 1.1 * floor
    seen = undisturbed.world.xero.statistics
    assert seen.refused_429 == 0
    assert seen.most_per_minute <= PER_MINUTE < Limits().per_minute
    assert seen.most_in_flight == AT_ONCE == Limits().concurrent


def test_a_first_load_that_is_killed_goes_on_where_it_was(tmp_path: Path, undisturbed: Load) -> None:
    """What was answered is not sent again; what was under way is, under its old key, and nothing is there twice."""
    load = large_world(tmp_path)
    assert load_in_a_process(load.desk, kill_at=50).killed
    arrived, bound = list(load.desk.writes), len(load.world.rows(BINDINGS))
    open_keys = [row["idempotency_key"] for row in load.world.rows(REQUESTS) if row["settled_at"] is None]
    in_doubt = [row for row in load.world.rows(REQUEST_ROWS) if row["settled_at"] is None]
    assert 1 <= len(open_keys) <= AT_ONCE and len(in_doubt) == BATCH * len(open_keys)
    assert bound == sum(write.elements for write in arrived if write.key not in open_keys)
    calls_before = load.calls(TENANT) + load.calls(OTHER_TENANT)

    load.run()
    second = load.desk.writes[len(arrived) :]
    assert [write.key for write in second[: len(open_keys)]] == sorted(open_keys, key=[w.key for w in second].index)
    assert not {write.key for write in second[len(open_keys) :]} & {write.key for write in arrived}
    repeated = sum(write.elements for write in arrived if write.key in open_keys)
    assert sum(write.elements for write in load.desk.writes) == DOCUMENTS + repeated
    assert load.world.xero.idempotent_replays == repeated // BATCH
    assert load.summary is not None
    assert load.summary.counts == {
        "read": INVOICES, "posted": DOCUMENTS - bound, "unchanged": bound, "skipped": INVOICES - DOCUMENTS,
    }  # fmt: skip
    # The lock date of each organisation is read again, and nothing else.
    assert load.calls(TENANT) + load.calls(OTHER_TENANT) - calls_before == len(second) + 2
    assert len(second) == len(open_keys) + calls_for_the_rest(load, {*open_keys, *(write.key for write in arrived)})
    assert load.world.snapshot() == undisturbed.world.snapshot()
    # The calls of the dead process count, too: its slots come free when none of them can be under way any more.
    seen = load.world.xero.statistics
    assert seen.refused_429 == 0
    assert seen.most_per_minute <= PER_MINUTE
    assert load.seconds <= 60 + slot_lasts(30).total_seconds()


def calls_for_the_rest(load: Load, old: set[str]) -> int:
    """How many calls the invoices fill that no request of the killed load held."""
    rest = dict(ORGANISATIONS)
    rows = Counter(row["request_id"] for row in load.world.rows(REQUEST_ROWS))
    for request in load.world.rows(REQUESTS):
        if request["idempotency_key"] in old:
            rest[request["organisation"]] -= rows[request["id"]]
    return sum(math.ceil(count / BATCH) for count in rest.values())


def test_a_large_run_still_makes_as_many_calls_at_once_as_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where answers take seconds, calls one after the other would take longer than the limit; task runs stay few."""
    monkeypatch.setattr(cycle, "CALLS_PER_TASK_AFTER", 0)
    stage = Stage()
    world = limited(World(tmp_path, clock=stage).ready())
    for count in range(30 * BATCH):
        world.add_invoice(f"{40000 + count}", date=date(2026, 3, 2))
    load = Load(Desk(world, stage))
    load.desk.answers = (3, 5)
    load.run()
    assert world.xero.statistics.most_in_flight == AT_ONCE
    extracting_and_mapping = 2 + math.ceil(30 * BATCH / cycle.MAP_CHUNK)
    assert load.tasks == extracting_and_mapping + AT_ONCE


class Visited(PlainCalls):
    """Plain calls that count what Prefect would note of each task's result (`link_state_to_result`)."""

    def __init__(self) -> None:
        super().__init__(1)
        self.noted: dict[str, int] = {}

    def one(self, step: Any, batch: object) -> Any:
        """The result of a task."""
        return self._visited(step, super().one(step, batch))

    def several(self, step: Any, batches: Any) -> Any:
        """The results of several."""
        return [self._visited(step, result) for result in super().several(step, batches)]

    def _visited(self, step: Any, result: Any) -> Any:
        things: list[Any] = []
        visit_collection(result, things.append, max_depth=1)
        self.noted[step.fn.__name__] = max(self.noted.get(step.fn.__name__, 0), len(things))
        return result


def test_prefect_notes_no_single_records_of_what_tasks_return(tmp_path: Path) -> None:
    """It would keep a note of each for as long as the flow run lasts, and memory would grow with their number."""
    world = World(tmp_path).ready()
    ids = [world.add_invoice(f"{40000 + count}") for count in range(30)]
    calls = Visited()
    assert world.cycle(calls=calls).counts["posted"] == 30
    world.later()
    for number in ids:
        world.connectwise.edit_invoice(number, customerPO="PO-9")
    assert world.cycle(calls=calls, allow_many=True).counts["updated"] == 30
    assert set(calls.noted) == {"extract_invoices", "extract_lines", "map_invoices", "load_invoices", "update_invoices"}
    assert max(calls.noted.values()) < 5, calls.noted
