"""Every way to wait has a code, a sentence, a cure, a use and a page in the guide; several problems become one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mappings.csv_tables import LAYOUTS, RATES, read_table
from mappings.outcomes import EXPLANATIONS, WAITING, Hold, Outcome, Reason, XeroList, merge
from mappings.policy import read_policy
from mappings.rates import read_rates

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for folder in ("mappings", "blocks", "tasks", "flows")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != ROOT / "mappings" / "outcomes.py"
)


def section_of(reason: str) -> str:
    """The part of the guide below a heading that is exactly the code."""
    return GUIDE.partition(f"\n### {reason}\n")[2].partition("\n### ")[0].partition("\n## ")[0]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained_used_and_in_the_guide(reason: Reason) -> None:
    """A code that a bookkeeper can meet and not look up is a bug; so is one that nobody can meet."""
    explanation = EXPLANATIONS[reason]
    for sentence in (explanation.sentence, explanation.cure):
        assert sentence.endswith(".")
        assert sentence[0].isupper()
    assert re.search(rf"\bReason\.{reason.name}\b", SOURCES), "no code gives this reason"
    section = section_of(reason.value)
    assert "**What it means.**" in section
    assert "**What to do.**" in section
    assert "For example" in section


def test_the_guide_explains_no_reason_that_does_not_exist() -> None:
    """Its headings of the third level are the codes, each once, in the order of the code."""
    assert re.findall(r"^### (.*)$", GUIDE, flags=re.MULTILINE) == [reason.value for reason in Reason]


@pytest.mark.parametrize("outcome", Outcome)
def test_the_guide_says_what_every_outcome_means(outcome: Outcome) -> None:
    """One row of its table for each."""
    assert len(re.findall(rf"^\| \*\*{outcome.value}\*\* \|", GUIDE, flags=re.MULTILINE)) == 1


def test_the_tables_in_the_guide_can_be_used_as_they_stand() -> None:
    """Each CSV example has the columns of a table of ours, and is well-formed."""
    layouts = {(*layout.keys, *layout.values): layout for layout in (*LAYOUTS, RATES)}
    examples = blocks("csv")
    assert len(examples) >= 6
    for example in examples:
        columns = tuple(example.splitlines()[0].removesuffix(",note").split(","))
        layout = layouts[columns]
        assert read_rates(example.encode()).pairs if layout is RATES else read_table(layout, example.encode()).rows


def test_the_policies_in_the_guide_can_be_used_as_they_stand() -> None:
    """Each TOML example is a valid policy."""
    assert blocks("toml")
    for example in blocks("toml"):
        read_policy(example.encode())


def test_links_within_the_guide_lead_somewhere() -> None:
    """To a heading of the same page."""
    anchors = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", GUIDE, flags=re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", GUIDE)) <= anchors


def test_what_waits_is_taken_up_again() -> None:
    """Held, rejected and deferred; the rest is done with."""
    assert {Outcome.HELD, Outcome.REJECTED, Outcome.DEFERRED} == WAITING


def test_only_what_time_cures_needs_nobody() -> None:
    """Everything else is told to people until it is done."""
    assert {reason for reason in Reason if not EXPLANATIONS[reason].needs_people} == {
        Reason.WAITS_FOR_CLOSE,
        Reason.WAITS_FOR_INVOICE,
        Reason.WAITS_FOR_CREDIT_NOTE,
        Reason.WAITS_FOR_APPROVAL,
        Reason.UNSETTLED,
        Reason.DAY_LIMIT,
        Reason.PLAN_MOVED,
    }


def test_a_hold_says_something_even_where_nothing_more_is_known() -> None:
    """The sentence and the cure of its reason."""
    hold = Hold(Reason.ZERO_TOTAL)
    explanation = EXPLANATIONS[Reason.ZERO_TOTAL]
    assert (hold.message, hold.fix, hold.skip) == (explanation.sentence, explanation.cure, False)
    assert Hold(Reason.ZERO_TOTAL, "0.00", "Own words.", "Own cure.").message == "Own words."


def test_several_problems_become_one() -> None:
    """The first one's code and value; every message and every cure; all lists that could help, each once."""
    first = Hold(Reason.MISSING_ACCOUNT, "a", "A.", "Fix a.", (XeroList.ACCOUNTS,))
    second = Hold(Reason.MISSING_TAX, "b", "B.", "Fix b.", (XeroList.TAX_RATES, XeroList.ACCOUNTS))
    assert merge([first]) == first
    assert merge([first, second]) == Hold(
        Reason.MISSING_ACCOUNT, "a", "A. B.", "Fix a.\nFix b.", (XeroList.ACCOUNTS, XeroList.TAX_RATES)
    )


def test_problems_with_the_same_cure_count_once() -> None:
    """The first line that lacks a row stands for all of them; the order stays."""
    lines = [Hold(Reason.MISSING_ACCOUNT, "a", f"Line {number}.", "Fix a.") for number in range(3)]
    other = Hold(Reason.MISSING_TAX, "b", "B.", "Fix a.")
    merged = merge([lines[0], other, lines[1], lines[2]])
    assert (merged.message, merged.fix) == ("Line 0. B.", "Fix a.")


def test_what_was_merged_can_still_be_told_apart() -> None:
    """Coverage counts each problem; one alone is its own, and merging twice loses and repeats nothing."""
    first = Hold(Reason.MISSING_ACCOUNT, "a", "A.", "Fix a.", (XeroList.ACCOUNTS,))
    second = Hold(Reason.MISSING_TAX, "b", "B.", "Fix b.")
    third = Hold(Reason.MISSING_CONTACT, "c", "C.", "Fix c.")
    assert first.problems == (first,)
    assert merge([first, first]).problems == (first,)
    assert merge([first, second]).problems == (first, second)
    twice = merge([merge([first, second]), third, second])
    assert twice.problems == (first, second, third)
    assert (twice.message, twice.fix) == ("A. B. C.", "Fix a.\nFix b.\nFix c.")
