"""Open, see the verdict, back up, watch, reload, look at the backup, restore it for a test, see the proof."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import BrowserContext, expect

from services.postgres.connection import Connection, connect
from services.postgres.server import LocalServer, embedded_bin_dir
from tests.browser.conftest import WAIT_MS, Site, visit


@pytest.mark.timeout(400)
def test_the_whole_way_from_the_verdict_to_the_proof(laptop: BrowserContext, site: Site) -> None:
    first = visit(laptop, site)
    page = first.open("/", None)
    expect(page.get_by_role("heading", level=1)).to_contain_text("proven to restore", timeout=WAIT_MS)
    expect(page.get_by_text("Sample environment")).to_be_visible()
    expect(page).to_have_title("Overview · Proven backups")
    before = {run["id"] for run in site.command("runs")}

    page.get_by_role("link", name="Run backup").click()
    expect(page.get_by_text("Nothing stands in the way.")).to_be_visible(timeout=WAIT_MS)
    expect(page).to_have_title("Run backup · Proven backups")
    level = page.get_by_role("spinbutton", name="Compression level (zstd)")
    level.fill("5")
    page.get_by_role("textbox", name="Note").fill("before **deploy** <b>4.2</b>")
    with pg_dump_waits(site):  # until the running backup was seen
        page.get_by_role("button", name="Back up now").dblclick()
        cancel = page.get_by_role("button", name="Cancel this run")
        expect(cancel).to_be_visible(timeout=WAIT_MS)
        expect(page.get_by_role("progressbar")).to_be_visible()
        run_id = re.search(r"run=([0-9a-z]+)", page.url)
        assert run_id is not None

        second = visit(laptop, site)
        second.open("/run_backup", "Run backup")
        expect(second.page.get_by_role("button", name="Cancel this run")).to_be_visible(timeout=WAIT_MS)
        expect(second.page.get_by_role("button", name="Back up now")).to_have_count(0)
        page.reload()
        expect(page.get_by_role("heading", name="Backup of la_factoria")).to_be_visible(timeout=WAIT_MS)
        assert run_id[1] in page.url

    expect(page.get_by_role("heading", name="Backup of la_factoria: finished")).to_be_visible(timeout=120_000)
    expect(page.get_by_text("checksum check passed; not proven by a restore test yet")).to_be_visible()
    started = [run for run in site.command("runs") if run["id"] not in before and run["kind"] == "backup"]
    assert [run["id"] for run in started] == [run_id[1]], (
        "a double click, a reload and a second tab start nothing twice"
    )

    expect(page.get_by_text("before **deploy** <b>4.2</b>")).to_be_visible()
    page.get_by_role("link", name="Open it in the inventory").click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_text("before **deploy** <b>4.2</b>").first).to_be_visible(timeout=WAIT_MS)
    drawer.get_by_text("Log entry for the runbook").click()
    expect(drawer.get_by_text("Type: On-Demand")).to_be_visible()
    drawer.get_by_text("Restore it by hand").click()
    expect(drawer.get_by_text("age --decrypt --identity key.txt")).to_be_visible()
    drawer.get_by_role("button", name="Restore test").click()

    expect(page.get_by_role("heading", level=1, name="Verify and restore tests")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text("Measured RTO")).to_be_visible(timeout=120_000)
    expect(page.get_by_text("every count and hash equals the source").filter(visible=True).first).to_be_visible()

    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_text("PROTECTED").first).to_be_visible(timeout=WAIT_MS)
    for tab in (first, second):
        assert tab.errors == []
        assert tab.strangers == [], "the page asks no host but our own"


def test_the_log_of_all_that_the_filters_show_is_downloaded_as_a_spreadsheet(
    laptop: BrowserContext, site: Site
) -> None:
    tab = visit(laptop, site)
    page = tab.open("/inventory?db=billing&state=finished", "Inventory")
    page.get_by_role("button", name="Export the log").click()
    with page.expect_download(timeout=WAIT_MS) as started:
        page.get_by_role("button", name="Spreadsheet (CSV)").click()
    rows = list(csv.DictReader(started.value.path().read_text("utf-8").splitlines()))
    listed = {backup["id"] for backup in site.command("list", "--database", "billing")}
    assert rows
    assert {row["Id"] for row in rows} == listed
    assert tab.errors == []


@contextmanager
def pg_dump_waits(site: Site) -> Iterator[Connection]:
    """While the block runs, every pg_dump of la_factoria waits, for a view that it reads and does not lock before.

    A lock on a table would hold the run up before it starts pg_dump. Yields a session that is free to ask.
    """
    server = LocalServer(embedded_bin_dir(), site.home / "sample" / "server").address.with_database("la_factoria")
    with connect(server) as asking, connect(server, autocommit=False) as locking:
        locking.execute("ALTER VIEW active_authors RENAME TO authors_in_use")  # locks the view, and not its tables
        yield asking
        locking.rollback()


def wait_for(connection: Connection, query: str, *, rows: int) -> None:
    deadline = time.monotonic() + WAIT_MS / 1000
    while len(found := connection.execute(query.encode()).fetchall()) != rows:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_a_backup_that_is_cancelled_by_a_click_ends_at_once_and_leaves_nothing(
    laptop: BrowserContext, site: Site
) -> None:
    storage = site.home / "sample" / "storage"
    listed, stored = site.command("list"), sorted(storage.rglob("*"))
    tab = visit(laptop, site)
    page = tab.open("/inventory", "Inventory")
    shown = page.get_by_text("Select a row for all").inner_text()
    with pg_dump_waits(site) as server:
        tab.open("/run_backup", "Run backup")
        page.get_by_role("button", name="Back up now").click()
        cancel = page.get_by_role("button", name="Cancel this run")
        expect(cancel).to_be_visible(timeout=WAIT_MS)
        reading = "SELECT application_name, query FROM pg_stat_activity WHERE usename = 'backups_reader'"
        wait_for(server, f"{reading} AND wait_event_type = 'Lock' AND query ~ 'pg_get_viewdef.*viewdef'", rows=1)
        assert len(site.children("pg_dump")) == 1

        cancel.click()
        page.get_by_role("button", name="Yes, cancel it").click()
        expect(page.get_by_role("heading", name="Backup of la_factoria: cancelled")).to_be_visible(timeout=WAIT_MS)
        expect(page.get_by_text("Nothing of it was kept.")).to_be_visible()
        assert site.children("pg_dump") == []
        wait_for(server, reading, rows=0)

    run_id = re.search(r"run=([0-9a-z]+)", page.url)
    assert run_id is not None
    (run,) = [run for run in site.command("runs") if run["id"] == run_id[1]]
    assert (run["state"], run["backup_id"]) == ("cancelled", None)
    assert site.command("list") == listed
    assert sorted(storage.rglob("*")) == stored
    tab.open("/inventory", "Inventory")
    expect(page.get_by_text(shown)).to_be_visible(timeout=WAIT_MS)
    assert tab.errors == []
