"""The console script `tieout`: thin commands, each calls a flow or starts a service (contract, section 1)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer

from blocks.failures import CannotGoOn, NotConfigured

if TYPE_CHECKING:
    from blocks.audit.database import Audit
    from deployments.config import Config
    from deployments.lifecycle import Decision
    from flows.checking import Checked
    from flows.family import Summary

# Prefect is imported inside the commands that need it: it takes seconds, and half of the commands do without.

app = typer.Typer(
    name="tieout",
    help="ConnectWise Manage to Xero: every document once, to the cent.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

mappings = typer.Typer(name="mappings", help="The tables against both live systems.", no_args_is_help=True)
app.add_typer(mappings)

lifecycle = typer.Typer(name="lifecycle", help="The signed decision about purchase orders.", no_args_is_help=True)
app.add_typer(lifecycle)

connect = typer.Typer(name="connect", help="Consent to what tieout may do.", no_args_is_help=True)
app.add_typer(connect)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The configuration file. Default: TIEOUT_CONFIG, else tieout.toml.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
CheckedSince = Annotated[
    datetime | None,
    typer.Option(
        "--since",
        formats=["%Y-%m-%d"],
        help="Records dated on or after this day. Default: the last three months, or since the start date.",
    ),
]
FamiliesArgument = Annotated[
    list[str] | None, typer.Argument(help="invoices, credit_notes, payments, purchase_orders. None: all that are on.")
]
KNOWN = ("invoices", "credit_notes", "payments", "purchase_orders")
REPORTS = (
    "unmapped-vendors", "received-without-bill", "invoiced-not-received", "paid-not-received", "purchase-match",
    "parallel-run", "margin",
)  # fmt: skip


def main() -> None:
    """Run a command; what a person can mend ends in one sentence and an exit code, never in a traceback."""
    from blocks.audit.database import AuditUnusable

    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except (CannotGoOn, AuditUnusable) as error:
        fail(str(error), getattr(error, "exit_code", 2))


def fail(words: str, code: int) -> NoReturn:
    """Say what is wrong and end."""
    print(f"tieout: {words}", file=sys.stderr)
    sys.exit(code)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave server, worker and UI up afterwards.")] = False,
) -> None:
    """The whole thing on this machine: two simulated systems, a Prefect server, and the story of an MSP."""
    from deployments.demo import run_demo

    raise typer.Exit(run_demo(keep))


@app.command()
def sandbox(
    connectwise_port: Annotated[int, typer.Option(help="Port of the simulated ConnectWise.")] = 8101,
    xero_port: Annotated[int, typer.Option(help="Port of the simulated Xero.")] = 8102,
    scenario: Annotated[str, typer.Option(help="Which story to load.")] = "msp",
) -> None:
    """Both simulated systems on loopback, until stopped."""
    from deployments.demo import run_sandbox

    run_sandbox(connectwise_port, xero_port, scenario)


@app.command()
def setup(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Save the blocks, copy missing mapping templates, register the deployments. Run it as often as you like."""
    from deployments import config as configuration
    from deployments.server import need_server, ui_url

    path = configuration.find_config(config)
    if path is None:
        from deployments.interview import interview

        path = interview()
    settings = configuration.read_config(path)
    need_server()
    from deployments import registration
    from deployments.printing import out, print_json

    audit = open_configured_audit(settings, create=True)
    audit.close()
    saved = registration.save_blocks(settings)
    copied = registration.copy_templates(settings.tables_directory())
    deployed = registration.deploy(settings.prefect.name)
    if json:
        print_json({"blocks": saved, "templates": [str(each) for each in copied], "deployments": deployed})
        return
    console = out()
    console.print(f"Saved {len(saved)} blocks: {', '.join(saved)}.")
    if copied:
        console.print(f"Copied {len(copied)} mapping templates to {settings.tables_directory()}; fill them in.")
    console.print(f"Registered {', '.join(deployed)}; their schedules are yours to edit at {ui_url('/deployments')}.")
    console.print("Next: `tieout plan` shows what the first cycle would write, `tieout sync` runs it.")


@connect.command()
def xero(
    port: Annotated[
        int,
        typer.Option(min=1, max=65535, help="The app needs http://localhost:PORT/callback among its redirect URIs."),
    ] = 8765,
    wait: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="How long to wait for you.")] = 300,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address to go to.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Consent in the browser; keeps the tokens and lists the organisations, with the lines to paste."""
    settings = read(config)
    quiet_prefect()
    import webbrowser

    from deployments.consent import connect as connect_to_xero
    from deployments.printing import print_json
    from deployments.server import ended_by_signals

    with ended_by_signals():
        connected = connect_to_xero(
            settings,
            port=port,
            wait_seconds=wait,
            browse=(lambda _address: None) if no_browser else webbrowser.open,
            say=lambda text: print(text, file=sys.stderr, flush=True),
        )
    if json:
        print_json(connected.as_json())
    else:
        print(connected.in_words())


@app.command()
def deploy(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Register or update the deployments; never undoes what ops changed on the server."""
    settings = read(config)
    from deployments.server import need_server

    need_server()
    from deployments import registration
    from deployments.printing import print_json

    deployed = registration.deploy(settings.prefect.name)
    if json:
        print_json({"deployments": deployed})
    else:
        print(f"Registered {', '.join(deployed)}.")


@app.command()
def serve(config: ConfigOption = None) -> None:
    """The Prefect server (if none answers) and a worker, until stopped."""
    from deployments.serving import serve_forever

    serve_forever(read(config))


@app.command()
def sync(
    families: FamiliesArgument = None,
    reference: Annotated[list[str] | None, typer.Option(help="Only this record: its number, or id:N.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Read everything since the start date again.")] = False,
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="With --force: since this day.")] = None,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", help="Write exactly what this plan says, or nothing if anything moved.")
    ] = None,
    allow_many: Annotated[
        bool, typer.Option("--allow-many", help="Release the brake: change as many posted documents as there are.")
    ] = False,
    take: Annotated[
        str, typer.Option(metavar="ours|theirs", help="Whose version counts where a person changed Xero as well.")
    ] = "",
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Post documents again that somebody removed in Xero.")
    ] = False,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Compare both sides since the start date, whatever has changed.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """One cycle now, in the foreground, as a Prefect flow run."""
    if sweep and (reference or since or plan_file):
        fail("--sweep is of everything; leave --reference, --since and --plan away.", 2)
    if reference and families is not None and len(families) != 1:
        fail("--reference needs one family.", 2)
    if plan_file is not None and (reference or force or since):
        fail("--plan says itself which records are meant; leave --reference, --force and --since away.", 2)
    if take not in ("", "ours", "theirs"):
        fail(f"--take {take} is not known; it is --take ours or --take theirs.", 2)
    settings = read(config)
    from deployments.server import need_server

    need_server()
    quiet_prefect()
    from blocks.doors import load_tables
    from deployments.printing import err, exceptions, out, print_json, progress
    from deployments.printing import families as print_families

    name = settings.prefect.name
    chosen = choose(families or (families_of_plan(plan_file) if plan_file else None), load_tables(name).read().policy)
    from flows.credit_notes import sync_credit_notes
    from flows.family import SyncForm
    from flows.invoices import sync_invoices
    from flows.payments import sync_payments
    from flows.purchase_orders import sync_purchase_orders

    flows = {
        "invoices": sync_invoices,
        "credit_notes": sync_credit_notes,
        "payments": sync_payments,
        "purchase_orders": sync_purchase_orders,
    }
    rows: list[dict[str, Any]] = []
    held: list[dict[str, Any]] = []
    codes: list[int] = []
    runs: list[str] = []
    for family in chosen:
        form = SyncForm(
            references=reference or [],
            force=force,
            since=since.date() if since else None,
            allow_many=allow_many,
            take=cast("Any", take or "hold"),
            recreate=recreate,
            sweep=sweep,
            plan_file=str(plan_file.resolve()) if plan_file else "",
        )
        with progress(quiet=json):
            state = flows[family](params=form, installation=name, return_state=True)
        summary = summary_of(state)
        rows.append(summary.as_json())
        held.extend(summary.exceptions)
        codes.append(summary.exit_code)
        runs.append(summary.run_id)
        for finding in summary.findings:
            print(f"tieout: {finding}", file=sys.stderr)
    if json:
        print_json({"run_id": ",".join(runs), "families": rows, "exceptions": held})
    else:
        print_families(out(), rows)
        exceptions(out(), held)
        err().print(f"[dim]{', '.join(f'tieout audit --run {each}' for each in runs)}[/dim]")
    raise typer.Exit(strongest(codes))


@app.command()
def plan(
    families: FamiliesArgument = None,
    reference: Annotated[list[str] | None, typer.Option(help="Only this record: its number, or id:N.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Also write the plan to this file, as JSON.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """The dry run: what the next cycle would write. Writes nothing anywhere."""
    settings = read(config)
    quiet_prefect()
    from deployments import printing
    from deployments.offline import doors_opener
    from flows.family import SyncForm, run_family
    from flows.planning import plan_of
    from tasks.calls import PlainCalls

    with doors_opener(settings) as (opener, tables):
        summaries = [
            run_family(
                family,
                SyncForm(references=reference or [], mode="plan"),
                opener,
                PlainCalls(),
                (lambda _text: None) if json else lambda text: print(text, file=sys.stderr),
            )
            for family in choose(families, tables.read().policy)
        ]
    failed = [summary for summary in summaries if summary.failed]
    if len(failed) == len(summaries):
        fail(failed[0].failed, failed[0].exit_code)
    for summary in failed:
        print(f"tieout: {summary.family}: {summary.failed}", file=sys.stderr)
    made = plan_of([each.cycle for each in summaries if each.cycle is not None and not each.failed])
    if out is not None:
        import json as jsonlib

        try:
            out.write_text(jsonlib.dumps(made, indent=2, ensure_ascii=False), encoding="utf-8")
        except OSError as error:
            fail(f"The plan cannot be written to {out}: {error.strerror}.", 2)
    if json:
        printing.print_json(made)
    else:
        printing.plan(printing.out(), made)
    stops = made["braked"] or any(each["outcome"] in ("held", "rejected") for each in made["holds"])
    raise typer.Exit(strongest([3 if stops else 0, *(1 for _ in failed)]))


@mappings.command()
def check(since: CheckedSince = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """What is wrong with the tables, and which values of the last months no row covers. Writes nothing anywhere."""
    from deployments import printing

    checked = check_tables(since, config, json)
    if json:
        printing.print_json(printing.check_as_json(checked))
    else:
        printing.check(printing.out(), checked)
    raise typer.Exit(0 if checked.clean else 3)


@mappings.command()
def suggest(since: CheckedSince = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """The lines to paste for what no row covers, with the nearest names in Xero. Writes nothing anywhere."""
    from deployments import printing

    checked = check_tables(since, config, json)
    if json:
        printing.print_json(printing.suggestions_as_json(checked))
    else:
        printing.suggestions(printing.out(), checked)
    raise typer.Exit(3 if checked.uncovered else 0)


def check_tables(since: datetime | None, config: Path | None, quiet: bool) -> Checked:
    """Check the tables of the configuration, in the dry."""
    settings = read(config)
    quiet_prefect()
    from deployments.offline import doors_opener
    from flows.checking import check_mappings

    with doors_opener(settings) as (opener, tables):
        return check_mappings(
            choose(None, tables.read().policy),
            opener,
            since.date() if since else None,
            (lambda _text: None) if quiet else lambda text: print(text, file=sys.stderr),
        )


@lifecycle.command()
def init(
    preset: Annotated[
        str, typer.Option("--preset", metavar="manual|goods_receipt|full_lifecycle", help="What to begin with.")
    ] = "goods_receipt",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Write lifecycle.csv beside the tables, to be edited and signed. A file that is there stays as it is."""
    settings = read(config)
    from deployments.lifecycle import begin

    path = begin(settings.tables_directory(), preset)
    if json:
        from deployments.printing import print_json

        print_json({"file": str(path), "preset": preset})
    else:
        print(f"Wrote {path}. `tieout lifecycle show` reads it aloud; then operator and finance lead sign it.")


@lifecycle.command()
def show(config: ConfigOption = None, json: JsonOption = False) -> None:
    """The decision in sentences to be read aloud, its hash, and who has signed it."""
    decided = decision_of(read(config))
    if json:
        from deployments.printing import print_json

        print_json(decided.as_json())
    else:
        print(decided.in_words())


@lifecycle.command()
def sign(
    name: Annotated[str, typer.Option("--name", help="Who signs.")],
    role: Annotated[str, typer.Option("--role", metavar="operator|finance_lead", help="As what.")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Sign lifecycle.csv as it stands, in one of the two roles. Any change of it asks for both signatures again."""
    settings = read(config)
    from deployments.lifecycle import sign as add_signature

    organisations = [each.name for each in settings.organisation]
    today = datetime.now(UTC).astimezone().date()
    decided = add_signature(settings.tables_directory(), organisations, name, role, today)
    if json:
        from deployments.printing import print_json

        print_json(decided.as_json())
    else:
        print(f"Signed as {role}, SHA-256 {decided.lifecycle.digest}.", *decided.verdict(), sep="\n")


@lifecycle.command()
def verify(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Whether the table makes sense and both have signed it as it stands: 0, else 3 unsigned, 2 senseless.

    Also which of the orders known so far it would do something else with than before.
    """
    settings = read(config)
    decided = decision_of(settings)
    from blocks.audit.database import AuditUnusable
    from deployments.lifecycle import compared

    unknown = ""
    try:
        decided = compared(decided, open_configured_audit(settings, create=False))
    except (AuditUnusable, NotConfigured) as error:
        # Before the first set-up there is no audit, and nothing that a table could touch.
        unknown = f"Which orders it touches is not known: {error}"
    if json:
        from deployments.printing import print_json

        print_json(decided.as_json())
    else:
        print(*decided.verdict(), *([unknown] if unknown else decided.touches()), sep="\n")
    raise typer.Exit(decided.exit_code)


def decision_of(settings: Config) -> Decision:
    """The lifecycle beside the tables."""
    from deployments.lifecycle import decision

    return decision(settings.tables_directory(), [each.name for each in settings.organisation])


@app.command()
def exceptions(config: ConfigOption = None, json: JsonOption = False) -> None:
    """What is held, why, and what to do."""
    audit = open_configured_audit(read(config), create=False)
    from blocks.audit.runs import open_exceptions
    from deployments import printing

    found = open_exceptions(audit)
    if json:
        printing.print_json({"exceptions": found})
    else:
        printing.exceptions(printing.out(), found)
    raise typer.Exit(3 if any(each["outcome"] in ("held", "rejected") for each in found) else 0)


@app.command()
def reconcile(
    families: FamiliesArgument = None,
    start: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="The first business date. Default: the start date."),
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The last business date. Default: today.")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write every sum and difference to this file.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """The tie-out statement: what both systems have, every difference named. Writes nothing anywhere."""
    settings = read(config)
    quiet_prefect()
    from deployments import printing, statements
    from deployments.offline import doors_opener
    from flows.reconciling import FAMILIES, reconcile_families

    with doors_opener(settings) as (opener, tables):
        chosen = choose(families, tables.read().policy)
        found = reconcile_families(
            chosen if families else [family for family in chosen if family in FAMILIES],
            opener,
            start.date() if start else None,
            end.date() if end else None,
            (lambda _text: None) if json else lambda text: print(text, file=sys.stderr),
        )
    if csv is not None:
        try:
            statements.write_csv(csv, found)
        except OSError as error:
            fail(f"The statement cannot be written to {csv}: {error.strerror}.", 2)
    if json:
        printing.print_json(statements.as_json(found))
    else:
        for each in found:
            statements.statement(printing.out(), each)
    raise typer.Exit(0 if all(each.tied_out for each in found) else 3)


@app.command()
def report(
    name: Annotated[str, typer.Argument(help=f"{', '.join(REPORTS)}.")],
    start: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="Of parallel-run: the first day. Default: the start date."),
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], help="Of parallel-run: the last day. Default: today."),
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write the rows to this file.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """A report on purchase orders and their bills. Writes nothing but into the audit."""
    settings = read(config)
    quiet_prefect()
    from deployments import printing, reports
    from deployments.offline import doors_opener
    from flows.reporting import make_report

    with doors_opener(settings) as (opener, _):
        made = make_report(
            name,
            opener,
            start.date() if start else None,
            end.date() if end else None,
            (lambda _text: None) if json else lambda text: print(text, file=sys.stderr),
        )
    if csv is not None:
        try:
            reports.write_csv(csv, made)
        except OSError as error:
            fail(f"The report cannot be written to {csv}: {error.strerror}.", 2)
    if json:
        printing.print_json(reports.as_json(made))
    else:
        reports.report(printing.out(), made)


@app.command()
def audit(
    run: Annotated[str, typer.Option("--run", help="Only what this run exchanged.")] = "",
    reference: Annotated[str, typer.Option("--reference", help="Only what concerns this record.")] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """The kept exchanges: every request and response; of a record also how it ended, and the rows that decided."""
    database = open_configured_audit(read(config), create=False)
    from blocks.audit.exchanges import read as read_exchanges
    from blocks.audit.runs import history
    from deployments import printing

    found = read_exchanges(database, run, reference)
    outcomes = history(database, reference) if reference else []
    if json:
        printing.print_json({"exchanges": found} | ({"outcomes": outcomes} if reference else {}))
        return
    console = printing.out()
    for each in outcomes:
        printing.outcome(console, each)
    for each in found:
        answer = each["status"] if each["status"] is not None else f"no answer ({each.get('error', '')})"
        console.print(f"{each['at']}  {each['system']:<13} {each['method']:<4} {answer}  {each['url']}", markup=False)
    console.print(f"{len(found)} exchanges; --json shows their bodies.")


def read(path: Path | None) -> Config:
    """The configuration."""
    from deployments.config import read_config

    return read_config(path)


def open_configured_audit(settings: Config, create: bool) -> Audit:
    """The audit database that the configuration names."""
    from blocks.audit.database import open_audit

    return open_audit(settings.audit_url().get_secret_value(), create)


def choose(named: Sequence[str] | None, policy: Any) -> list[str]:
    """The families to run, in their order; naming one that is off or unknown is a mistake of the caller."""
    for family in named or ():
        if family not in KNOWN:
            raise NotConfigured(f"There is no family {family!r}; there are {', '.join(KNOWN)}.")
        if getattr(policy.families, family) == "off":
            raise NotConfigured(f"The family {family} is off in policy.toml ([families]); nothing was done.")
    return [family for family in KNOWN if (family in named if named else getattr(policy.families, family) == "on")]


def families_of_plan(file: Path) -> list[str]:
    """The families that a plan writes. Raises PlanMoved when it is no plan, was edited, or writes nothing."""
    from flows.planning import PlanMoved, read_plan

    writes = read_plan(str(file))
    if not writes:
        raise PlanMoved(f"The plan {file} has nothing to write; nothing was done.")
    return [family for family in KNOWN if family in writes]


def summary_of(state: Any) -> Summary:
    """What a flow run returned, also where it failed with a sentence; anything else is raised as it is."""
    from flows.family import Summary

    found = state.data if isinstance(state.data, Summary) else state.result(raise_on_failure=False)
    if isinstance(found, Summary):
        return found
    raise found if isinstance(found, BaseException) else RuntimeError(f"the flow run ended as {state.name}: {found}")


def strongest(codes: Sequence[int]) -> int:
    """The strongest exit code: 2 usage or configuration, 1 a family failed, 3 records held, 0.

    2 says that nothing was done at all: where one family could not begin and others ran, that one has failed.
    """
    told = [1 if code == 2 and any(each != 2 for each in codes) else code for code in codes]
    return next((code for code in (2, 1, 3) if code in told), 0)


def quiet_prefect() -> None:
    """Commands print their own words; Prefect's log still goes to the server."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")


if __name__ == "__main__":
    main()
