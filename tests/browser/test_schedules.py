"""A schedule is changed, paused, resumed and ended in a real browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import ROOT, WAIT_MS, Site, visit

NAME = "billing/verification"


def versions(site: Site) -> list[dict[str, Any]]:
    program = Path(sys.executable).with_name("backups")
    command = [program, "schedule", "show", NAME, "--json"]
    done = subprocess.run(command, env=site.environ, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    found: list[dict[str, Any]] = json.loads(done.stdout)["versions"]
    return found


def save(page: Page, line: str) -> None:
    field = page.get_by_label("Cron line")
    field.fill(line)
    field.press("Enter")


def test_a_schedule_is_changed_after_its_due_times_were_seen_then_paused_resumed_and_ended(
    laptop: BrowserContext, site: Site
) -> None:
    hour = (datetime.now(UTC).hour + 6) % 24  # not while the test runs
    tab = visit(laptop, site)
    page = tab.open(f"/schedules?schedule={NAME}", "Schedules")
    expect(page.get_by_text("It will never come due.")).to_be_visible(timeout=WAIT_MS)
    save(page, "0 99 * * *")
    expect(page.get_by_text("no cron line")).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    save(page, f"45 {hour} * * *")
    expect(page.get_by_text("The next five due times")).to_be_visible()
    expect(page.get_by_text(re.compile(rf"\d\d \w{{3}} {hour:02}:45 UTC"))).to_have_count(5)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(f"{NAME} is changed.")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)

    for button, words in (("Pause", "is paused"), ("Resume", "comes due again")):
        tab.open(f"/schedules?schedule={NAME}", "Schedules")
        page.get_by_role("button", name=button).click()
        expect(page.get_by_text(f"{NAME} {words}.")).to_be_visible()

    tab.open(f"/schedules?schedule={NAME}", "Schedules")
    save(page, "off")
    page.get_by_text("It will never come due.").wait_for()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(f"{NAME} is changed.")).to_be_visible()
    made = [(each["cron"], each["paused"], each["actor"]) for each in versions(site)]
    assert made == [
        (f"45 {hour} * * *", False, "dashboard"), (f"45 {hour} * * *", True, "dashboard"),
        (f"45 {hour} * * *", False, "dashboard"), ("", False, "dashboard"),
    ]  # fmt: skip
    assert tab.errors == []
    assert tab.strangers == []


def test_a_missed_slot_leads_from_the_slo_to_its_run(laptop: BrowserContext, site: Site) -> None:
    tab = visit(laptop, site)
    page = tab.open("/slo?days=30&db=billing")
    expect(page.get_by_role("heading", level=1)).to_contain_text("slots were satisfied within the deadline")
    table = page.get_by_test_id("stDataFrame").last
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + 50)
    # In full, where the table cuts it short.
    said = page.get_by_role("paragraph").filter(has_text="for a lock on a table that a migration held")
    expect(said).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("link", name="Open its run").click()
    expect(page.get_by_text("What went wrong")).to_be_visible(timeout=WAIT_MS)
    assert tab.errors == []
