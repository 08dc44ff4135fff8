"""Open, see the verdict, back up, watch, reload, look at the backup, restore it for a test, see the proof."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import WAIT_MS, Site, visit

SLOW = "15"
"""A slow level of zstd: the backup takes long enough to be watched, also on a fast machine."""


def runs(site: Site) -> list[dict[str, Any]]:
    """Return the runs as the command line lists them."""
    program = Path(sys.executable).with_name("backups")
    done = subprocess.run([program, "runs", "--json"], env=site.environ, capture_output=True, check=True, timeout=60)
    listed: list[dict[str, Any]] = json.loads(done.stdout)
    return listed


@pytest.mark.timeout(400)
def test_the_whole_way_from_the_verdict_to_the_proof(laptop: BrowserContext, site: Site) -> None:
    first = visit(laptop, site)
    page = first.open("/", None)
    expect(page.get_by_role("heading", level=1)).to_contain_text("could be restored right now", timeout=WAIT_MS)
    expect(page.get_by_text("Sample environment")).to_be_visible()
    before = {run["id"] for run in runs(site)}

    page.get_by_role("link", name="Run backup").click()
    expect(page.get_by_text("Nothing stands in the way.")).to_be_visible(timeout=WAIT_MS)
    level = page.get_by_role("spinbutton", name="Compression level (zstd)")
    level.fill(SLOW)
    page.get_by_role("textbox", name="Note").fill("before **deploy** <b>4.2</b>")
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
    started = [run for run in runs(site) if run["id"] not in before and run["kind"] == "backup"]
    assert [run["id"] for run in started] == [run_id[1]], (
        "a double click, a reload and a second tab start nothing twice"
    )

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
