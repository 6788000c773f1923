"""`tieout lifecycle`: the decision is begun, read aloud, signed by two people and verified; any change undoes that."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployments import cli
from deployments.cli import strongest
from mappings.lifecycle import PRESETS
from tests.deployments.conftest import run_tieout
from tests.worlds import World

CONFIG = """
[[organisation]]
name = "Sydney"
tenant_id = "1"
[mappings]
directory = "tables"
[audit]
url = "sqlite:///{folder}/audit.db"
"""
ANN = ("sign", "--name", "Ann", "--role", "operator")
BOB = ("sign", "--name", "Bob", "--role", "finance_lead")


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


Lifecycle = Callable[..., Ended]


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """The folder of the tables; there is nothing in it yet, it is not even there."""
    (tmp_path / "tieout.toml").write_text(CONFIG.format(folder=tmp_path), encoding="utf-8")
    return tmp_path / "tables"


@pytest.fixture
def lifecycle(tables: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lifecycle:
    """Run one of the commands, in this process."""

    def run(*words: str) -> Ended:
        argv = ["tieout", "lifecycle", *words, "--config", str(tables.parent / "tieout.toml")]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return run


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_decision_is_begun_read_signed_by_two_and_verified(tables: Path, lifecycle: Lifecycle) -> None:
    """At each step the command says what is still to be done."""
    assert lifecycle("verify").code == 3
    begun = lifecycle("init", "--preset", "goods_receipt")
    assert (begun.code, begun.err) == (0, "")
    assert str(tables / "lifecycle.csv") in begun.out
    shown = lifecycle("show")
    assert shown.code == 0
    assert "a draft bill is made for all that was received and not yet billed." in shown.out
    assert "has not been signed by the operator and the finance lead" in shown.out
    first = lifecycle(*ANN)
    assert first.code == 0
    assert "has not been signed by the finance lead" in first.out
    half = lifecycle("verify")
    assert half.code == 3
    assert "`tieout lifecycle sign --name NAME --role finance_lead`" in half.out
    assert lifecycle(*BOB).code == 0
    verified = lifecycle("verify")
    assert verified.code == 0
    assert verified.out.startswith("lifecycle.csv is signed by operator Ann on 20")
    assert lifecycle("show", "--json").told["sha256"] in verified.out


def test_whom_another_table_touches_is_told_before_anybody_signs_it(
    tmp_path: Path, tables: Path, lifecycle: Lifecycle
) -> None:
    world = World(tmp_path).ready_to_buy("manual")
    for number in ("PO1", "PO2"):
        order = world.add_order(number)
        world.connectwise.receive_line(world.order_lines(order)[0])
    world.add_order("PO3")
    assert not world.cycle().failed
    assert "None of the 3 orders known so far is touched by this table." in lifecycle("verify").out
    world.write("lifecycle.csv", PRESETS["goods_receipt"])
    ended = lifecycle("verify")
    assert ended.code == 3
    assert "2 of the 3 orders known so far are touched by this table" in ended.out
    assert (
        "PO1, PO2: everything on an order has been received; until now nothing is done, from now on a draft bill is "
        "made for all that was received and not yet billed." in ended.out
    )
    assert lifecycle("verify", "--json").told["touches"] == [
        {
            "state": "fully_received",
            "references": ["PO1", "PO2"],
            "before": {"events": [], "status": ""},
            "after": {"events": ["draft_bill"], "status": "draft"},
        }
    ]


def test_before_the_first_set_up_it_says_that_no_order_is_known(lifecycle: Lifecycle) -> None:
    lifecycle("init")
    assert "Which orders it touches is not known: There is no audit" in lifecycle("verify").out


def test_it_needs_no_prefect_server(tables: Path, lifecycle: Lifecycle) -> None:
    for words in (("init",), ANN, BOB):
        assert lifecycle(*words).code == 0
    nobody_there = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    done = run_tieout("lifecycle", "verify", "--config", str(tables.parent / "tieout.toml"), env=nobody_there)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_is_written_as_it_is(tables: Path, lifecycle: Lifecycle, preset: str) -> None:
    told = lifecycle("init", "--preset", preset, "--json").told
    assert told == {"file": str(tables / "lifecycle.csv"), "preset": preset}
    assert (tables / "lifecycle.csv").read_text(encoding="utf-8") == PRESETS[preset]
    assert lifecycle(*ANN).code == 0


def test_goods_receipt_is_what_it_begins_with(tables: Path, lifecycle: Lifecycle) -> None:
    lifecycle("init")
    assert (tables / "lifecycle.csv").read_text(encoding="utf-8") == PRESETS["goods_receipt"]


def test_a_table_that_is_there_is_never_overwritten(tables: Path, lifecycle: Lifecycle) -> None:
    tables.mkdir()
    (tables / "lifecycle.csv").write_text("ours", encoding="utf-8")
    ended = lifecycle("init")
    assert ended.code == 2
    assert "is there already and stays as it is" in ended.err
    assert (tables / "lifecycle.csv").read_text(encoding="utf-8") == "ours"


def test_an_unknown_preset_or_role_names_those_that_there_are(tables: Path, lifecycle: Lifecycle) -> None:
    ended = lifecycle("init", "--preset", "everything")
    assert (ended.code, ended.err) == (
        2,
        "tieout: There is no preset 'everything'; there are manual, goods_receipt, full_lifecycle.\n",
    )
    assert not tables.exists()
    lifecycle("init")
    ended = lifecycle("sign", "--name", "Ann", "--role", "owner")
    assert (ended.code, ended.err) == (2, "tieout: There is no role 'owner'; there are operator, finance_lead.\n")


def test_any_change_of_the_decision_asks_for_both_signatures_again(tables: Path, lifecycle: Lifecycle) -> None:
    for words in (("init",), ANN, BOB):
        lifecycle(*words)
    rewrite(tables / "lifecycle.csv", "draft_bill,draft", "draft_bill,authorised")
    altered = lifecycle("verify")
    assert altered.code == 3
    assert "lifecycle.csv was changed after operator Ann signed it on 20" in altered.out
    assert "and finance lead Bob signed it on 20" in altered.out
    assert [one["counts"] for one in lifecycle("verify", "--json").told["signatures"]] == [False, False]
    assert lifecycle(*ANN).code == 0
    assert lifecycle("verify").code == 3
    assert "Finance lead Bob signed another version on 20" in lifecycle("show").out
    assert lifecycle(*BOB).code == 0
    assert lifecycle("verify").code == 0


def test_spelling_and_notes_ask_for_nothing(tables: Path, lifecycle: Lifecycle) -> None:
    for words in (("init",), ANN, BOB):
        lifecycle(*words)
    rewrite(tables / "lifecycle.csv", "draft_bill,draft,A blank", " Draft_Bill , DRAFT,Since May: a blank")
    assert lifecycle("verify").code == 0


@pytest.mark.parametrize("name", ["Ann", "ANN", "  ann "])
def test_one_person_cannot_sign_in_both_roles(tables: Path, lifecycle: Lifecycle, name: str) -> None:
    """Two pairs of eyes; a signature for another version is nobody's."""
    for words in (("init",), ANN):
        lifecycle(*words)
    before = (tables / "lifecycle.signed.toml").read_bytes()
    ended = lifecycle("sign", "--name", name, "--role", "finance_lead")
    assert ended.code == 2
    assert "Ann has signed this table as operator; somebody else has to sign it as finance lead." in ended.err
    assert (tables / "lifecycle.signed.toml").read_bytes() == before
    rewrite(tables / "lifecycle.csv", "draft_bill,draft", "draft_bill,authorised")
    assert lifecycle("sign", "--name", name, "--role", "finance_lead").code == 0
    assert lifecycle(*ANN).code == 2


def test_names_written_into_the_file_by_hand_do_not_make_two_people_of_one(tables: Path, lifecycle: Lifecycle) -> None:
    for words in (("init",), ANN, BOB):
        lifecycle(*words)
    rewrite(tables / "lifecycle.signed.toml", '"Bob"', '"ann"')
    ended = lifecycle("verify")
    assert ended.code == 3
    assert "in both roles, and it takes two people" in ended.out


@pytest.mark.parametrize("name", ["", "  ", "A\u0007nn"])
def test_who_signs_has_a_name(tables: Path, lifecycle: Lifecycle, name: str) -> None:
    lifecycle("init")
    ended = lifecycle("sign", "--name", name, "--role", "operator")
    assert ended.code == 2
    assert "is no name; nothing was signed." in ended.err
    assert not (tables / "lifecycle.signed.toml").exists()


def test_a_signature_is_written_whole_or_not_at_all(
    tables: Path, lifecycle: Lifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk leaves the signatures that were there, and nothing else."""
    for words in (("init",), ANN):
        lifecycle(*words)
    before = {path.name: path.read_bytes() for path in tables.iterdir()}

    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("deployments.lifecycle.os.fsync", full)
        ended = lifecycle(*BOB)
    assert ended.code == 2
    assert "No space left on device; nothing was signed." in ended.err
    assert {path.name: path.read_bytes() for path in tables.iterdir()} == before


SENSELESS = "organisation,state,event,status\n,raised,draft_bill,\n"


def test_a_senseless_table_cannot_be_signed_and_does_not_verify(tables: Path, lifecycle: Lifecycle) -> None:
    """Not even where signatures for it are in the file."""
    lifecycle("init")
    lifecycle(*ANN)
    (tables / "lifecycle.csv").write_text(SENSELESS, encoding="utf-8")
    ended = lifecycle(*BOB)
    assert ended.code == 2
    assert "lifecycle.csv row 2 has draft_bill at raised, when nothing has been received yet" in ended.err
    assert "Bob" not in (tables / "lifecycle.signed.toml").read_text(encoding="utf-8")
    told = lifecycle("show", "--json").told
    assert len(told["objections"]) == 1
    sections = "".join(
        f'[{role}]\nname = "{name}"\ndate = 2026-03-01\nsha256 = "{told["sha256"]}"\n'
        for role, name in (("operator", "Ann"), ("finance_lead", "Bob"))
    )
    (tables / "lifecycle.signed.toml").write_text(sections, encoding="utf-8")
    ended = lifecycle("verify")
    assert ended.code == 2
    assert ended.out.startswith("lifecycle.csv row 2 has draft_bill at raised")


@pytest.mark.parametrize("command", [("show",), ANN, ("verify",)])
def test_a_malformed_table_stops_each_command_with_its_place(
    tables: Path, lifecycle: Lifecycle, command: tuple[str, ...]
) -> None:
    tables.mkdir()
    (tables / "lifecycle.csv").write_text("organisation,state,event,status\n,raised,bill,\n", encoding="utf-8")
    ended = lifecycle(*command)
    assert ended.code == 2
    assert "lifecycle.csv, row 2, column event: 'bill' is not known; allowed: none, draft_po" in ended.err
    assert not (tables / "lifecycle.signed.toml").exists()


def test_a_malformed_file_of_signatures_is_told(tables: Path, lifecycle: Lifecycle) -> None:
    lifecycle("init")
    (tables / "lifecycle.signed.toml").write_text("[owner]\n", encoding="utf-8")
    for words in (("verify",), ANN):
        ended = lifecycle(*words)
        assert ended.code == 2
        assert "lifecycle.signed.toml: unknown section owner; allowed: operator, finance_lead" in ended.err


def test_there_is_nothing_to_sign_before_there_is_a_table(tables: Path, lifecycle: Lifecycle) -> None:
    tables.mkdir()
    ended = lifecycle(*ANN)
    assert ended.code == 2
    assert "`tieout lifecycle init` writes one" in ended.err
    assert list(tables.iterdir()) == []


def test_a_row_for_an_organisation_that_there_is_not_cannot_be_signed(tables: Path, lifecycle: Lifecycle) -> None:
    """It would never fire, and the general row would instead of it."""
    lifecycle("init")
    path = tables / "lifecycle.csv"
    path.write_text(
        f"{path.read_text(encoding='utf-8')}sYdney,paid,none,,\nSidney,fully_received,none,,\n", encoding="utf-8"
    )
    ended = lifecycle(*ANN)
    assert ended.code == 2
    assert "row 10 names the organisation Sidney, and there is none; there are Sydney." in ended.err
    assert "row 9" not in ended.err
    assert lifecycle("verify").code == 2


def test_without_configured_organisations_any_name_will_do(tables: Path, lifecycle: Lifecycle) -> None:
    (tables.parent / "tieout.toml").write_text('[mappings]\ndirectory = "tables"\n', encoding="utf-8")
    tables.mkdir()
    (tables / "lifecycle.csv").write_text("organisation,state,event,status\nSidney,paid,none,\n", encoding="utf-8")
    assert lifecycle(*ANN).code == 0


@pytest.mark.parametrize(
    ("codes", "strongest_of_them"),
    [([0, 0], 0), ([2], 2), ([2, 2], 2), ([0, 2], 1), ([3, 2], 1), ([3, 0], 3), ([1, 3], 1)],
)
def test_an_unsigned_lifecycle_ends_with_2_only_where_nothing_else_ran(
    codes: list[int], strongest_of_them: int
) -> None:
    """Contract section 1: 2 where only purchase orders were asked for, else 1."""
    assert strongest(codes) == strongest_of_them


def test_a_policy_of_one_bill_for_a_vendor_invoice_has_to_go_with_the_table(lifecycle: Lifecycle, tables: Path) -> None:
    lifecycle("init", "--preset", "goods_receipt")
    (tables / "policy.toml").write_text('[purchases]\nvendor_invoice_grouping = "one_bill"\n', encoding="utf-8")
    ended = lifecycle("verify")
    assert ended.code == 2
    assert "lifecycle.csv row 4 has draft_bill at fully_received" in ended.out
    assert lifecycle(*ANN).code == 2
    assert not (tables / "lifecycle.signed.toml").exists()
    (tables / "lifecycle.csv").write_text(PRESETS["full_lifecycle"], encoding="utf-8")
    assert "shares one bill, whichever receipts it came with" in lifecycle("show").out
    lifecycle(*ANN)
    lifecycle(*BOB)
    assert lifecycle("verify").code == 0
