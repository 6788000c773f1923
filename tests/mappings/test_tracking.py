"""Tracking of a line: sources in their order, two categories at most, and policy for what has no row (contract 3)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.csv_tables import NOTHING, TRACKING, Table, Value, read_table
from mappings.outcomes import Hold, Reason, XeroList
from mappings.policy import UnmappedTracking
from mappings.tracking import MOST, SOURCES, Sources, Tracked, track
from tests.mappings.samples import books, category

HEADER = "organisation,side,source,value,tracking_category,option\n"
REGION = category("Region", "North", "South", archived=["West"])
TEAM = category("Team", "Desk", "Field")
SYDNEY = books(tracking=[REGION, TEAM, category("Old", "Any", status="ARCHIVED")])
LEAVE_OUT = UnmappedTracking.model_validate("leave_out")


def rows(text: str) -> Table:
    return read_table(TRACKING, (HEADER + text).encode())


def named(number: int, name: str) -> Value:
    return Value(number, (name,))


HELD: dict[str, Value | tuple[Value, ...]] = {
    "category": (named(31, "Cloud"), named(30, "Services")),
    "work_type": named(1, "Remote"),
    "staff": named(2, "Ada"),
    "department": named(4, "Projects"),
    "location": named(11, "Sydney"),
}
"""A line that has something for every source."""


def tracked(text: str, held: Sources | None = None, unmapped: UnmappedTracking = UnmappedTracking()) -> Tracked:  # noqa: B008
    return track(HELD if held is None else held, "Sydney", "sales", "'Work'", rows(text), unmapped, SYDNEY)


def options(text: str, held: Sources | None = None, unmapped: UnmappedTracking = LEAVE_OUT) -> list[tuple[str, str]]:
    found = tracked(text, held, unmapped)
    assert found.problems == []
    return found.options


def problem(text: str, held: Sources | None = None) -> Hold:
    found = tracked(text, held)
    assert len(found.problems) == 1
    return found.problems[0]


# Which source decides

FIRST = {
    "category": ",,category,Cloud,Region,North\n",
    "work_type": ",,work_type,Remote,Region,North\n",
    "staff": ",,staff,Ada,Region,North\n",
    "department": ",,department,Projects,Region,North\n",
    "location": ",,location,Sydney,Region,North\n",
}


@pytest.mark.parametrize(
    ("earlier", "later"), [(one, other) for n, one in enumerate(SOURCES) for other in SOURCES[n + 1 :]]
)
def test_for_one_category_the_earlier_source_wins(earlier: str, later: str) -> None:
    """Category, work type, staff, department, location: wherever the rows stand in the file."""
    text = FIRST[later].replace("North", "South") + FIRST[earlier]
    assert options(text) == [("Region", "North")]
    assert [(str(row), source) for row, source in tracked(text).rows] == [("tracking.csv row 3", earlier)]


def test_a_later_source_decides_where_the_earlier_one_has_no_row() -> None:
    """By policy a value without a row is left out; the next source then has its say."""
    assert options(",,staff,Tom,Region,North\n,,location,Sydney,Region,South\n") == [("Region", "South")]


def test_each_category_has_a_first_source_of_its_own() -> None:
    """Staff settles the team, and says nothing about the region."""
    text = FIRST["staff"].replace("Region,North", "Team,Desk") + FIRST["department"].replace(
        "Region,North", "Team,Field"
    )
    assert options(text + FIRST["location"]) == [("Team", "Desk"), ("Region", "North")]


@pytest.mark.parametrize(("row", "option"), [("Cloud", "North"), ("Services", "South")])
def test_alternatives_of_a_source_are_tried_in_their_order(row: str, option: str) -> None:
    """The catalogue's subcategory, then its category."""
    assert options(f",,category,{row},Region,{option}\n") == [("Region", option)]
    both = ",,category,Services,Region,South\n,,category,Cloud,Region,North\n"
    assert options(both) == [("Region", "North")]


def test_a_more_specific_row_wins_within_a_source() -> None:
    """A row for the organisation and the side beats the row for all."""
    text = ",,location,Sydney,Region,South\nSydney,sales,location,Sydney,Region,North\n,,location,,Team,Desk\n"
    assert options(text) == [("Region", "North")]


@pytest.mark.parametrize("row", ["Perth,,location,Sydney", ",purchases,location,Sydney"])
def test_rows_of_another_organisation_or_side_do_not_count(row: str) -> None:
    """And do not make their source one that is in use here."""
    assert options(f"{row},Region,North\n", unmapped=UnmappedTracking()) == []


def test_a_row_for_any_value_counts_for_a_line_without_one_too() -> None:
    """Blank means any, also nothing; `(none)` means nothing alone."""
    assert options(",,location,,Region,North\n", {}) == [("Region", "North")]
    assert options(",,location,(none),Region,South\n,,location,,Region,North\n", {}) == [("Region", "South")]


def test_a_row_for_any_source_fits_whatever_has_the_value() -> None:
    """A blank source is any of the five; the row is kept with the one that found it."""
    text = ",,,Sydney,Region,North\n"
    assert options(text) == [("Region", "North")]
    assert [source for _, source in tracked(text, unmapped=LEAVE_OUT).rows] == ["location"]


# None, deliberately


def test_a_blank_option_is_deliberately_none() -> None:
    """Nothing is sent for the category, nobody is asked, and the row is kept as the reason."""
    found = tracked(",,location,Sydney,Region,\n")
    assert (found.options, found.problems) == ([], [])
    assert [(str(row), source) for row, source in found.rows] == [("tracking.csv row 2", "location")]


def test_a_blank_option_keeps_later_sources_from_filling_the_category() -> None:
    """None was chosen; only another category is still open."""
    text = ",,staff,Ada,Region,\n,,department,Projects,Team,Field\n,,location,Sydney,Region,North\n"
    assert options(text) == [("Team", "Field")]


def test_a_blank_option_needs_no_category_in_xero() -> None:
    """What is not sent cannot be refused."""
    assert options(",,location,Sydney,Gone,\n") == []


# What has no row


def test_a_value_without_a_row_is_held_with_the_line_to_paste() -> None:
    """Where its source is in use and policy says nothing else."""
    found = problem(",,location,Perth,Region,North\n")
    assert (found.reason, found.value) == (Reason.MISSING_TRACKING, "location/Sydney")
    assert found.message == "No row of tracking.csv fits the location Sydney (line 'Work')."
    assert found.fix == (
        'Add to tracking.csv: Sydney,sales,location,Sydney,<tracking_category>,"<option, or blank for none>"'
    )
    assert found.waits_on == ()


@pytest.mark.parametrize("source", SOURCES)
def test_policy_may_leave_out_what_has_no_row_source_by_source(source: str) -> None:
    """Or with one word for all."""
    text = f",,{source},nobody has this,Region,North\n"
    assert options(text, unmapped=LEAVE_OUT) == []
    assert options(text, unmapped=UnmappedTracking.model_validate({source: "leave_out"})) == []
    others = {other: "leave_out" for other in SOURCES if other != source}
    (found,) = tracked(text, unmapped=UnmappedTracking.model_validate(others)).problems
    assert found.value.partition("/")[0] == source


def test_a_source_that_no_row_names_is_not_in_use() -> None:
    """An empty table tracks nothing, and neither does a table that speaks of other sources only."""
    assert options("", unmapped=UnmappedTracking()) == []
    assert options(FIRST["location"], unmapped=UnmappedTracking()) == [("Region", "North")]


@pytest.mark.parametrize("empty", [{}, {"location": NOTHING}, {"category": (NOTHING, NOTHING)}])
def test_a_line_without_a_value_needs_no_row(empty: Sources) -> None:
    """There is nothing that could be mapped."""
    text = ",,location,Perth,Region,North\n,,category,Hardware,Region,South\n"
    assert options(text, empty, UnmappedTracking()) == []


def test_a_source_is_not_asked_about_categories_that_are_settled() -> None:
    """Rows of locations lead to the region alone; staff has settled that, so an unknown location is no question."""
    text = ",,staff,Ada,Region,North\n,,location,Perth,REGION,South\n"
    assert options(text, unmapped=UnmappedTracking()) == [("Region", "North")]


def test_a_source_that_could_still_settle_another_category_is_asked() -> None:
    """Some rows of locations lead to the team, which is open."""
    text = ",,staff,Ada,Region,North\n,,location,Perth,Region,South\n,,location,Cairns,Team,Field\n"
    assert problem(text).value == "location/Sydney"


def test_a_category_that_was_deliberately_left_blank_is_settled() -> None:
    """A blank option of staff answers for the region too."""
    assert options(",,staff,Ada,Region,\n,,location,Perth,Region,South\n", unmapped=UnmappedTracking()) == []


# What Xero does not take

XERO_LACKS: dict[str, tuple[str, str, str, str]] = {
    "a category that Xero does not have": (
        "Area,North", "Area",
        "tracking.csv row 2 names the tracking category 'Area', which Sydney does not have.",
        "Correct tracking_category in tracking.csv row 2 (Sydney has Region, Team), or add it in Xero.",
    ),
    "an archived category": (
        "old,Any", "old",
        "tracking.csv row 2 names the tracking category 'old', which Sydney has archived.",
        "Correct tracking_category in tracking.csv row 2 (Sydney has Region, Team), or add it in Xero.",
    ),
    "an option that Xero does not have": (
        "region,East", "Region/East",
        "tracking.csv row 2 names the option 'East' of Region, which Sydney does not have.",
        "Correct option in tracking.csv row 2, or add it in Xero.",
    ),
    "an archived option": (
        "Region,west", "Region/west",
        "tracking.csv row 2 names the option 'west' of Region, which Sydney has archived.",
        "Correct option in tracking.csv row 2, or restore it in Xero.",
    ),
    "an option without its category": (
        ",North", "",
        "tracking.csv row 2 names the tracking category '', which Sydney does not have.",
        "Correct tracking_category in tracking.csv row 2 (Sydney has Region, Team), or add it in Xero.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", XERO_LACKS)
def test_what_xero_lacks_or_has_archived_is_held(case: str) -> None:
    """With the row to correct; a change of the list in Xero could cure it, so that list is asked for again."""
    cells, *told = XERO_LACKS[case]
    found = problem(f",,location,Sydney,{cells}\n")
    assert found.reason is Reason.MISSING_TRACKING
    assert [found.value, found.message, found.fix] == told
    assert found.waits_on == (XeroList.TRACKING,)


def test_an_organisation_without_tracking_is_said_to_have_none() -> None:
    """Instead of an empty list of names."""
    found = track(HELD, "Sydney", "sales", "'Work'", rows(FIRST["location"]), UnmappedTracking(), books())
    assert "(Sydney has none)" in found.problems[0].fix


def test_names_are_found_whatever_their_case_and_sent_as_xero_spells_them() -> None:
    """`REGION`, ` north ` in the file; Region, North in the document."""
    assert options(",,location,SYDNEY,REGION,  north \n") == [("Region", "North")]


def test_an_active_option_counts_before_an_archived_one_of_the_same_name() -> None:
    """A person who archived an option may have made it anew."""
    for order in (["North", "north"], ["north", "North"]):
        again = category("Region", archived=order[:1])
        both = {**again.options, **category("Region", order[1]).options}
        assert both["north"] == (order[1], "ACTIVE")
    told: dict[str, Any] = {"Name": "Region", "Status": "ACTIVE"}
    one, other = {"Name": "North", "Status": "ARCHIVED"}, {"Name": "North", "Status": "ACTIVE"}
    for given_ in ([one, other], [other, one]):
        assert type(REGION).parse(told | {"Options": given_}).options["north"] == ("North", "ACTIVE")


# Doubt


def test_two_rows_that_fit_equally_well_are_named() -> None:
    """By id and by name: nobody can say which is meant."""
    found = problem(",,location,11,Region,North\n,,location,Sydney,Region,South\n")
    assert (found.reason, found.value) == (Reason.AMBIGUOUS_MAPPING, "Sydney")
    assert found.message == "tracking.csv row 2 and tracking.csv row 3 both fit the location Sydney of the line 'Work'."
    assert found.fix == "Make tracking.csv row 2 or tracking.csv row 3 more specific, or remove one."


def test_doubt_about_one_source_does_not_hide_the_next() -> None:
    """All problems of a line are told at once."""
    text = ",,staff,2,Region,North\n,,staff,Ada,Region,South\n,,location,Perth,Team,Desk\n"
    assert [found.reason for found in tracked(text).problems] == [Reason.AMBIGUOUS_MAPPING, Reason.MISSING_TRACKING]


def test_three_categories_are_one_too_many() -> None:
    """Xero takes two on a line; which two is for a person to say."""
    third = books(tracking=[REGION, TEAM, category("Stage", "One")])
    text = ",,staff,Ada,Region,North\n,,department,Projects,Team,Desk\n,,location,Sydney,Stage,One\n"
    (found,) = track(HELD, "Sydney", "sales", "'Work'", rows(text), UnmappedTracking(), third).problems
    assert (found.reason, found.value) == (Reason.MISSING_TRACKING, "Region, Team, Stage")
    assert found.message == (
        "The line 'Work' would get 3 tracking categories (tracking.csv row 2, tracking.csv row 3, tracking.csv row 4); "
        "Xero takes 2."
    )
    assert found.fix == "Leave 2 tracking categories in tracking.csv."
    blank = text.replace("Stage,One", "Stage,")
    found_blank = track(HELD, "Sydney", "sales", "'Work'", rows(blank), UnmappedTracking(), third)
    assert (found_blank.problems, len(found_blank.options)) == ([], MOST)


# Any table

CELLS = {
    "category": ["Cloud", "Services", "x"], "work_type": ["Remote", "x"], "staff": ["Ada", "x"],
    "department": ["Projects", "x"], "location": ["Sydney", "x"],
}  # fmt: skip
ROW = st.sampled_from([(source, value) for source, values in CELLS.items() for value in values])
TARGET = st.sampled_from(["Region,North", "Region,South", "Region,", "Team,Desk", "Team,", "team,field"])


@given(st.dictionaries(ROW, TARGET, max_size=8), st.booleans())
def test_any_table_gives_each_category_once_and_from_its_first_source(
    given_rows: dict[tuple[str, str], str], hold: bool
) -> None:
    """Never the same category twice, never more than Xero takes, and always what the first matching source says."""
    text = "".join(f",,{source},{value},{target}\n" for (source, value), target in given_rows.items())
    found = tracked(text, unmapped=UnmappedTracking() if hold else LEAVE_OUT)
    assert len(dict(found.options)) == len(found.options) <= MOST
    wanted: dict[str, str] = {}
    for source in SOURCES:
        row = next((given_rows[source, value] for value in CELLS[source][:-1] if (source, value) in given_rows), None)
        if row is not None:
            name, _, option = row.partition(",")
            wanted.setdefault(name.capitalize(), option.capitalize())
    assert dict(found.options) == {name: option for name, option in wanted.items() if option}
    if not hold:
        assert found.problems == []
