"""The exception mail as people read it: a golden mail, text that stays text, and lists that end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.notices import Case, notices
from tasks.mail import MOST, rendered
from tests.tasks.exception_mails import GOLDEN, NOW, RUN, example

TAGS = {
    "html", "body", "h2", "h3", "p", "pre", "ul", "li", "a", "br", "hr", "code",
}  # fmt: skip


class Tags(HTMLParser):
    """What a mail program makes of the HTML: its tags, where its links lead, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.links += [str(value) for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def mail_of(*cases: Case) -> tuple[str, str]:
    (notice,) = notices("invoices", cases, NOW, timedelta(days=7))
    return rendered(notice, 7, RUN)


def a_case(**fields: Any) -> Case:
    return replace(example().new[0].cases[0], **fields)


@pytest.mark.parametrize(("kind", "name"), [(0, "exceptions.txt"), (1, "exceptions.html")])
def test_the_golden_mail_is_as_it_was(kind: int, name: str) -> None:
    """A change of the mail shows here: `python -m tests.tasks.exception_mails`, then review the diff."""
    assert rendered(example(), 7, RUN)[kind] == (GOLDEN / name).read_text(encoding="utf-8")


@given(st.text(max_size=80) | st.sampled_from(["<script>alert(1)</script>", '"><img src=x onerror=y>', "{{ 7 * 7 }}"]))
def test_what_records_are_called_and_say_stays_text(hostile: str) -> None:
    case = a_case(reference=hostile, message=hostile, fix=hostile, currency=hostile, organisation=hostile)
    other = replace(case, id=2, connectwise_id=2, message="Another.")
    for cases in ((case,), (case, other)):
        plain, html = mail_of(*cases)
        seen = Tags(html)
        assert seen.tags <= TAGS and seen.attributes <= {"style", "href"}
        assert all(link.startswith("https://") for link in seen.links)
        assert "49" not in html or "49" in hostile
        # On one line in plain text: a name with line breaks does not look like another record.
        assert f"  {' '.join(hostile.split())}".rstrip() in plain


def test_a_line_to_paste_is_complete_in_both_texts() -> None:
    row = "Sydney,sales,expense,Tolls & more,,<account_code>,"
    plain, html = mail_of(a_case(fix=f"Add to accounts.csv:\n{row}"))
    assert f"    {row}\n" in plain
    assert row in Tags(html).text


def test_long_lists_end_with_how_many_more() -> None:
    alike = [a_case(id=number, connectwise_id=number, reference=f"R{number:03}") for number in range(MOST + 2)]
    other = [replace(each, fix=each.reference, connectwise_id=each.id + 500) for each in alike]
    done = [
        replace(each, resolved=True, mailed_at=NOW, id=each.id + 900, connectwise_id=each.id + 900) for each in alike
    ]
    for text in mail_of(*alike):
        assert "and 2 more" in text and "R019" in text and "R020" not in text
    for text in mail_of(*other):
        assert "and 2 more causes" in text
    for text in mail_of(*done):
        assert "and 2 more" in text


def test_without_a_page_of_the_run_none_is_named() -> None:
    assert "This run" not in "".join(rendered(example(), 7, ""))
