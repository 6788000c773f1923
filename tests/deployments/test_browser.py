"""What ops do in the Prefect UI, done in a browser by what people see, and what it does to both systems."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from deployments import server
from tests.deployments.conftest import Place, placed

pytestmark = [pytest.mark.server, pytest.mark.browser]

PATIENCE = 120_000
"""Milliseconds that a slow machine is given; a worker starts a process for each run."""
ATTEMPTS = 4
"""A page of the UI that draws itself anew on a busy machine closes its menus and forgets what was filled in: people do
it again then, and so often these tests do.
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no Chromium; on Debian: apt-get install chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def place(
    browser: Browser, prefect_server: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Place]:
    """One installation, set up, with a worker on its pool."""
    folder = tmp_path_factory.mktemp("browser")
    patched = pytest.MonkeyPatch()
    patched.setenv("PREFECT_WORKER_QUERY_SECONDS", "1")
    with placed(folder) as made:
        assert made.tieout("setup").returncode == 0
        worker = server.start_worker(f"{made.name}-tieout", folder / "worker.log")
        patched.undo()
        try:
            yield made
        finally:
            server.stop(worker)


@pytest.fixture
def page(browser: Browser, prefect_server: str, tmp_path: Path) -> Iterator[Page]:
    """The Prefect UI as it opens for somebody new. What was seen last stays in the test's folder."""
    context = browser.new_context(viewport={"width": 1400, "height": 1400}, timezone_id="UTC", locale="en-AU")
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    opened.goto(prefect_server.removesuffix("/api"))
    yield opened
    opened.screenshot(path=tmp_path / "last-seen.png", full_page=True)
    context.close()


def open_deployment(page: Page, name: str) -> None:
    # The crumb above a form is another such link.
    page.get_by_role("link", name="Deployments").first.click()
    # There are more deployments than a page shows.
    page.get_by_placeholder("Search deployments").fill(name)
    # The list is drawn anew once the search is answered, and a click before that goes astray.
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name=name, exact=True).click()
    expect(page).to_have_url(re.compile("/deployments/deployment/"))


def open_force_sync(page: Page, place: Place) -> None:
    """Its form, by way of the menu, as people find it."""
    open_deployment(page, f"{place.name}-force-sync")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Custom run").click()


def name_record(page: Page, reference: str) -> None:
    """Fill in one reference."""
    page.get_by_role("button", name="Add item").click()
    item = page.get_by_role("group").filter(has=page.get_by_role("button", name="Drag to reorder")).last
    item.get_by_role("textbox").last.fill(reference)
    # The form takes a value over when its field is left; a click that comes too soon is lost.
    page.keyboard.press("Tab")


def wait_to_see(page: Page, what: Locator) -> None:
    """Reload until it is there: lists renew themselves every half minute, and logs of a run that has ended never."""
    for _ in range(PATIENCE // 3000):
        with contextlib.suppress(AssertionError):
            expect(what).to_be_visible(timeout=3000)
            return
        page.reload()
    expect(what).to_be_visible()


def persevere(page: Page, step: Callable[[], None]) -> None:
    """Do it, and once more where the page lost it on the way."""
    page.set_default_timeout(PATIENCE / ATTEMPTS)
    for left in reversed(range(ATTEMPTS)):
        try:
            step()
            break
        except (AssertionError, PlaywrightError):
            if not left:
                raise
            page.keyboard.press("Escape")
    page.set_default_timeout(PATIENCE)


def force_sync(page: Page, place: Place, name: str, state: str, fill: Callable[[], None] = lambda: None) -> None:
    """Fill in the form and submit it, wait until its run has ended, and open it."""

    def submit() -> None:
        open_force_sync(page, place)
        fill()
        button = page.get_by_role("button", name="Submit")
        button.click()
        expect(button).to_have_count(0, timeout=PATIENCE / ATTEMPTS)

    persevere(page, submit)
    run = page.get_by_role("listitem").filter(has=page.get_by_role("link", name=name)).filter(has_text=state).first
    wait_to_see(page, run)
    page.get_by_role("link", name=name).first.click()


def open_artifact(page: Page, key: str) -> None:
    """From the page of a run."""
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_role("link", name=re.compile(f" {re.escape(key)} ")).click()
    page.get_by_role("link", name=re.compile("^[0-9a-f]{8}$")).first.click()


def read_outcome(page: Page, place: Place, number: str, outcome: str, total: Decimal) -> None:
    """From the page of a run: the outcome table, the summary, and both records by the summary's links."""
    page.get_by_role("tab", name="Artifacts").click()
    run = page.url
    open_artifact(page, f"{place.name}-invoices-outcomes")
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=number, exact=True))
    expect(row.get_by_role("cell", name=outcome)).to_be_visible()

    document = next(each for each in in_xero(place) if each["InvoiceNumber"] == number)
    page.goto(run)
    open_artifact(page, f"{place.name}-invoices-summary")
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=number, exact=True))
    for system, address in (("ConnectWise", document["Url"]), ("Xero", f"/invoicing/view/{document['InvoiceID']}")):
        link = row.get_by_role("link", name=system)
        assert str(link.get_attribute("href")).endswith(address)
        record = page.context.new_page()
        record.goto(str(link.get_attribute("href")))
        expect(record.get_by_role("heading", name=f"Invoice {number}")).to_be_visible()
        expect(record.get_by_role("cell", name=f"{total:.2f}", exact=True).first).to_be_visible()
        record.close()


def to_post(place: Place) -> str:
    """An invoice with nothing the matter."""
    return sorted(place.story.invoices.keys() - place.story.expected.keys() - set(place.story.adopted))[5]


def in_xero(place: Place) -> list[dict[str, Any]]:
    """Every invoice that bears our link."""
    books = place.xero.organisations.values()
    return [each for one in books for each in one.invoices(type="ACCREC") if each.get("Url")]


def test_a_plan_from_the_form_shows_what_would_be_written_and_writes_nothing(page: Page, place: Place) -> None:
    number, before = to_post(place), in_xero(place)

    def fill() -> None:
        name_record(page, number)
        page.get_by_role("button", name="Select Mode").click()
        page.get_by_role("option", name="plan").click()

    force_sync(page, place, f"force-sync plan of invoices {number}", "Completed", fill)
    open_artifact(page, f"{place.name}-invoices-plan")
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=number, exact=True))
    expect(row.get_by_role("cell", name="create invoice")).to_be_visible()
    assert in_xero(place) == before


def test_a_form_that_asks_for_nothing_does_nothing_and_says_so(page: Page, place: Place) -> None:
    before = in_xero(place)
    force_sync(page, place, "force-sync invoices", "Failed")
    wait_to_see(page, page.get_by_text('switch on "Everything" or "Sweep", or set "Since"; nothing was done.').first)
    assert in_xero(place) == before


def test_force_sync_from_its_form_posts_a_record_and_later_its_edit(page: Page, place: Place) -> None:
    """Start it, read the outcome table, follow both links; edit the invoice, and all of it once more."""
    edit = place.story.edits[0]
    number, before = edit.number, len(in_xero(place))
    force_sync(page, place, f"force-sync invoices {number}", "Completed", lambda: name_record(page, number))
    document = next(each for each in in_xero(place) if each["InvoiceNumber"] == number)
    assert len(in_xero(place)) == before + 1

    read_outcome(page, place, number, "posted", document["Total"])

    # By its id this time, so that the two runs have names of their own.
    edit.act()
    reference = f"id:{place.story.invoices[number]}"
    force_sync(page, place, f"force-sync invoices {reference}", "Completed", lambda: name_record(page, reference))
    assert edit.stands_so
    assert edit.document()["Total"] != document["Total"]
    read_outcome(page, place, number, "updated", edit.document()["Total"])
    assert len(in_xero(place)) == before + 1


def test_a_schedule_that_was_edited_stays_edited_after_a_deploy(page: Page, place: Place, prefect_server: str) -> None:
    def edit() -> None:
        open_deployment(page, f"{place.name}-invoices")
        page.get_by_role("complementary").get_by_role("button", name="Open menu").click()
        page.get_by_role("menuitem", name="Edit").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("textbox", name="Value").fill("0 * * * *")
        dialog.get_by_role("button", name="Save").click()
        hourly = page.get_by_role("complementary").get_by_text("Every hour")
        expect(hourly).to_be_visible(timeout=PATIENCE / ATTEMPTS)

    persevere(page, edit)

    assert place.tieout("deploy").returncode == 0
    found = httpx.get(f"{prefect_server}/deployments/name/sync-invoices/{place.name}-invoices").json()
    assert [each["schedule"]["cron"] for each in found["schedules"]] == ["0 * * * *"]


def test_a_watermark_that_is_reset_in_its_block_counts_for_the_next_cycle(
    page: Page, place: Place, prefect_server: str
) -> None:
    assert place.tieout("sync").returncode == 3
    block = f"{place.name}-watermark-invoices"

    def in_block() -> dict[str, Any]:
        found = httpx.get(f"{prefect_server}/block_types/slug/tieout-watermark/block_documents/name/{block}")
        return cast(dict[str, Any], found.json()["data"])

    def reset() -> None:
        page.get_by_role("link", name="Blocks").first.click()
        # There are more blocks than a page shows.
        page.get_by_placeholder("Search blocks").fill(block)
        page.get_by_role("link", name=block).click()
        # The list of blocks has menus of its own.
        expect(page).to_have_url(re.compile("/blocks/block/"))
        page.get_by_role("button", name="Open menu").first.click()
        page.get_by_role("menuitem", name="Edit").click()
        page.get_by_role("tab", name="date-time").last.click()
        page.get_by_role("button", name="MM/DD/YYYY").click()
        page.get_by_role("button", name="Go to the Previous Month").click()
        page.get_by_role("button", name=re.compile(" 1st, ")).first.click()
        page.keyboard.press("Escape")
        save = page.get_by_role("button", name="Save")
        save.click()
        expect(save).to_have_count(0, timeout=PATIENCE / ATTEMPTS)
        assert in_block()["reset_to"] is not None, "the UI saved the block without the day"

    persevere(page, reset)
    wanted = datetime.fromisoformat(in_block()["reset_to"])
    last_month = datetime.now(UTC).replace(day=1) - timedelta(days=1)
    assert (wanted.year, wanted.month, wanted.day) == (last_month.year, last_month.month, 1)

    done = place.tieout("sync", "--json")
    assert done.returncode == 3, done.stderr
    run = json.loads(done.stdout)["run_id"]
    exchanges = json.loads(place.tieout("audit", "--run", run, "--json").stdout)["exchanges"]
    first = next(each for each in exchanges if each["system"] == "connectwise")
    assert f"{wanted - timedelta(minutes=10):%Y-%m-%dT%H:%M:%S}" in unquote(first["url"])
    assert in_block()["reset_to"] is None
