"""The commands that decide about edits of posted invoices, as a user types them, in one installation for all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.deployments.conftest import Place, placed, run_tieout

pytestmark = pytest.mark.server

BOTH_CHANGED = ("ours", "theirs")
REMOVED, MANY, PLANNED, MOVED = "removed", ("many", "more"), "planned", ("Xero", "ConnectWise")
PARTS = (*BOTH_CHANGED, REMOVED, *MANY, PLANNED, *MOVED)


class Edited:
    """Posted invoices by the part that each plays, and what people do with them on either side."""

    def __init__(self, place: Place) -> None:
        self.place = place
        story = place.story
        good = sorted(story.invoices.keys() - story.expected.keys() - {*story.keys.values(), *story.open})
        late = [number for number in good if self._record(number)["total"] > 0][-len(PARTS) :]
        self.numbers = dict(zip(PARTS, late, strict=True))

    def _record(self, number: str) -> dict[str, Any]:
        return self.place.connectwise.record("invoice", self.place.story.invoices[number])

    def _books(self, part: str) -> Any:
        books = self.place.xero.organisations.values()
        return next(one for one in books if one.invoice_by_number(self.numbers[part], "ACCREC"))

    def document(self, part: str) -> dict[str, Any]:
        """As it is in Xero."""
        found: dict[str, Any] = self._books(part).invoice_by_number(self.numbers[part], "ACCREC")
        return found

    def in_connectwise(self, part: str, order_number: str) -> None:
        """Enter the customer's order number, which is the reference in Xero."""
        invoice = self.place.story.invoices[self.numbers[part]]
        self.place.connectwise.edit_invoice(invoice, customerPO=order_number)

    def in_xero(self, part: str, reference: str) -> None:
        """Change the reference there."""
        self._books(part).edit(self.document(part)["InvoiceID"], Reference=reference)

    def remove(self, part: str) -> None:
        """Delete the draft in Xero."""
        self._books(part).delete(self.document(part)["InvoiceID"])

    def tieout(self, command: str, parts: tuple[str, ...], *words: str) -> Any:
        """Run a command about some of them, with JSON."""
        named = [word for part in parts for word in ("--reference", self.numbers[part])]
        return self.place.tieout(command, *(["invoices", *named] if named else []), *words, "--json")


@pytest.fixture(scope="module")
def edited(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edited]:
    """Posted, edited on one side or both, and held by a cycle for three reasons."""
    with placed(tmp_path_factory.mktemp("edits")) as place:
        policy = place.tables / "policy.toml"
        policy.write_text(f"{policy.read_text(encoding='utf-8')}\n[brake]\nupdates = 1\n", encoding="utf-8")
        world = Edited(place)
        assert place.tieout("setup").returncode == 0
        assert world.tieout("sync", PARTS).returncode == 0
        for part in BOTH_CHANGED:
            world.in_xero(part, "HERS")
        world.remove(REMOVED)
        decided = (*BOTH_CHANGED, REMOVED, *MANY)
        for part in decided:
            world.in_connectwise(part, "OURS")
        held = world.tieout("sync", decided)
        assert held.returncode == 3, held.stderr
        reasons = {each["reference"]: each["reason"] for each in json.loads(held.stdout)["exceptions"]}
        assert reasons == {
            **{world.numbers[part]: "edited_in_xero" for part in BOTH_CHANGED},
            world.numbers[REMOVED]: "removed_in_xero",
            **{world.numbers[part]: "brake" for part in MANY},
        }
        yield world


def family(done: Any) -> dict[str, Any]:
    """The row of the invoices, of a cycle that went through; 3 where others of them are held, from before."""
    assert done.stdout, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert done.returncode == (3 if told["exceptions"] else 0), done.stderr[-2000:]
    return cast(dict[str, Any], told["families"][0])


def refused(done: Any, words: str) -> None:
    """It did nothing, and said so in one sentence."""
    assert (done.returncode, done.stdout) == (2, ""), (done.stdout[-500:], done.stderr[-2000:])
    assert words in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize(("take", "outcome", "stays"), [("ours", "updated", "OURS"), ("theirs", "unchanged", "HERS")])
def test_a_person_decides_whose_version_counts(edited: Edited, take: str, outcome: str, stays: str) -> None:
    done = edited.tieout("sync", (take,), "--take", take)
    assert family(done)[outcome] == 1
    assert edited.document(take)["Reference"] == stays
    assert edited.numbers[take] not in {each["reference"] for each in json.loads(done.stdout)["exceptions"]}


def test_a_removed_document_is_posted_again_where_a_person_wants_it(edited: Edited) -> None:
    assert family(edited.tieout("sync", (REMOVED,), "--recreate"))["posted"] == 1
    assert (edited.document(REMOVED)["Status"], edited.document(REMOVED)["Reference"]) == ("DRAFT", "OURS")


def test_the_brake_is_released_by_a_word(edited: Edited) -> None:
    assert family(edited.tieout("sync", MANY, "--allow-many"))["updated"] == len(MANY)
    assert {edited.document(part)["Reference"] for part in MANY} == {"OURS"}


def made_plan(edited: Edited, part: str) -> Path:
    """An edit, and the plan of it in a file."""
    edited.in_connectwise(part, "OURS")
    file = edited.place.folder / f"{part}.json"
    done = edited.tieout("plan", (part,), "--out", str(file))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(file.read_text(encoding="utf-8"))
    assert edited.document(part)["Reference"] != "OURS"
    return file


def test_a_plan_is_carried_out_as_it_is_or_not_at_all(edited: Edited) -> None:
    """A file that was edited and one that is no plan are refused, each in a sentence."""
    file = made_plan(edited, PLANNED)
    other = file.with_name("other.json")
    other.write_text(file.read_text(encoding="utf-8").replace('"OURS"', '"MINE"'), encoding="utf-8")
    refused(edited.tieout("sync", (), "--plan", str(other)), "was edited after it was made")
    other.write_text("Reference: OURS", encoding="utf-8")
    refused(edited.tieout("sync", (), "--plan", str(other)), "is no plan")
    assert family(edited.tieout("sync", (), "--plan", str(file)))["updated"] == 1
    assert edited.document(PLANNED)["Reference"] == "OURS"


@pytest.mark.parametrize("side", MOVED)
def test_a_plan_is_refused_when_either_side_has_moved(edited: Edited, side: str) -> None:
    file = made_plan(edited, side)
    if side == "Xero":
        edited.in_xero(side, "HERS")
    else:
        edited.in_connectwise(side, "OURS, NEWER")
    before = edited.document(side)
    done = edited.tieout("sync", (), "--plan", str(file))
    assert done.returncode == 2, (done.stdout, done.stderr)
    told = done.stdout + done.stderr
    assert f"changed since the plan was made ({edited.numbers[side]})" in told and "Traceback" not in told
    assert edited.document(side) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--take", "mine"), "--take ours or --take theirs"),
        (("--plan", "plan.json", "--reference", "40001"), "leave --reference, --force and --since away"),
    ],
)
def test_words_that_cannot_be_are_refused_before_anything_is_read(words: tuple[str, ...], told: str) -> None:
    refused(run_tieout("sync", "invoices", *words), told)
