"""The exception mail: what a cycle left to tell people, rendered and sent, one mail for each organisation.

And a report that somebody has to act on: one mail each time it is made.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from prefect import task
from prefect.cache_policies import NO_CACHE

from blocks.audit import mailed
from blocks.audit.database import AuditUnusable, LeaseLost
from blocks.audit.leases import HeldLease, LeaseTaken, hold
from blocks.mail import ExceptionMail, MailNotSent, MailServerSilent
from mappings.notices import Notice, notices
from mappings.reports import NUMBERS, Report
from tasks.cycle import Cycle

MOST = 20
"""Causes that a mail tells of, references under each, and references that are resolved; the rest is counted."""
MOST_ROWS = 100
"""Rows of a report that its mail shows, and cures below them; the command has all."""


class Mailing:
    """A finished cycle whose exceptions are to be mailed. (A plain class: Prefect does not look inside.)

    `run_url` is the flow run's page in the Prefect UI, '' where there is none.
    """

    def __init__(self, cycle: Cycle, mail: ExceptionMail, run_url: str) -> None:
        self.cycle = cycle
        self.mail = mail
        self.run_url = run_url


@task(task_run_name="mail", cache_policy=NO_CACHE, persist_result=False)
def mail_exceptions(batch: Mailing) -> list[str]:
    """Mail what is new, due again or resolved; nothing where nothing is. A sentence for each thing that went wrong.

    What a server did not take is told by the next cycle. Two cycles that end at once do not tell the same twice: the
    lease is held from the question what was mailed to the note that it was.
    """
    cycle = batch.cycle
    audit, name = cycle.doors.audit, f"mail:{cycle.family}"
    findings: list[str] = []
    try:
        with hold(audit, name, f"the mail of {cycle.family}", cycle.doors.clock, wait_seconds=120) as lease:
            _mail(batch, lease, findings)
    except (AuditUnusable, LeaseTaken, LeaseLost) as error:
        findings.append(
            f"The exceptions of {cycle.family} may not all have been mailed ({error}); the next cycle mails the rest."
        )
    return findings


def _mail(batch: Mailing, lease: HeldLease, findings: list[str]) -> None:
    cycle, mail = batch.cycle, batch.mail
    repeat_after = timedelta(days=mail.repeat_days)
    cases = mailed.cases(cycle.doors.audit, cycle.family)
    if not notices(cycle.family, cases, cycle.now(), repeat_after):
        return
    for notice in notices(
        cycle.family, mailed.with_endings(cycle.doors.audit, cycle.family, cases), cycle.now(), repeat_after
    ):
        message = mail.message(notice.subject, *rendered(notice, mail.repeat_days, batch.run_url), at=cycle.now())
        try:
            refused = mail.send(message)
        except MailNotSent as error:
            findings.append(
                f"The mail {notice.subject!r} was not sent: {error}. The next cycle tries again; if that does not "
                f"help, correct [mail] and run `tieout setup`, or the mail server's block in the Prefect UI."
            )
            if isinstance(error, MailServerSilent):
                # The next one would wait as long.
                break
            continue
        # Only now, and at once: what the server has taken is not told again.
        mailed.note(cycle.doors.audit, notice, cycle.now(), lease)
        findings += [f"The mail {notice.subject!r} did not reach everybody: {each}." for each in refused]


def rendered(notice: Notice, repeat_days: int, run_url: str) -> tuple[str, str]:
    """The mail as plain text and as HTML."""
    given = {"notice": notice, "repeat_days": repeat_days, "run_url": run_url, "most": MOST}
    templates = _templates()
    return (
        templates.get_template("exceptions.txt.j2").render(given).lstrip("\n"),
        templates.get_template("exceptions.html.j2").render(given).lstrip("\n"),
    )


class ReportMailing:
    """A report with rows that is to be mailed. (A plain class: Prefect does not look inside.)

    `run_url` is the flow run's page in the Prefect UI, '' where there is none.
    """

    def __init__(self, report: Report, mail: ExceptionMail, run_url: str) -> None:
        self.report = report
        self.mail = mail
        self.run_url = run_url


@task(task_run_name="mail report", cache_policy=NO_CACHE, persist_result=False)
def mail_report(batch: ReportMailing) -> list[str]:
    """Mail a report. A sentence for each thing that went wrong."""
    given, mail = batch.report, batch.mail
    count = len(given.rows)
    subject = f"tieout: {given.name.replace('-', ' ')}, {count} row{'' if count == 1 else 's'}"
    try:
        refused = mail.send(mail.message(subject, *rendered_report(given, batch.run_url)))
    except MailNotSent as error:
        return [
            f"The mail {subject!r} was not sent: {error}. Correct [mail] and run `tieout setup`, then run it again."
        ]
    return [f"The mail {subject!r} did not reach everybody: {each}." for each in refused]


def rendered_report(report: Report, run_url: str) -> tuple[str, str]:
    """The mail of a report as plain text and as HTML."""
    given = {"report": report, "money": NUMBERS, "run_url": run_url, "most": MOST_ROWS}
    templates = _templates()
    return (
        templates.get_template("report.txt.j2").render(given).lstrip("\n"),
        templates.get_template("report.html.j2").render(given).lstrip("\n"),
    )


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        # What records are called and say comes from outside; in HTML it stays text.
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["line"] = lambda text: " ".join(text.split())
    environment.filters["counted"] = lambda number: f"{number} record{'' if number == 1 else 's'}"
    environment.filters["rest"] = lambda found: max(0, len(found) - MOST)
    return environment
