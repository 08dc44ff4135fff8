"""See an open alert, say who looks after it, and find it so on the page, the overview and the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import WAIT_MS, Site, visit

NOTE = "Ada tests it **tonight** <b>at 8</b>"


def backups(site: Site, *words: str) -> str:
    program = Path(sys.executable).with_name("backups")
    done = subprocess.run([program, *words], env=site.environ, capture_output=True, text=True, timeout=120)
    return done.stdout


def open_alerts(site: Site) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(backups(site, "alert", "list", "--json"))
    return listed


def test_an_alert_is_acknowledged_in_the_browser(laptop: BrowserContext, site: Site) -> None:
    """In the sample environment the restore test of billing is overdue."""
    backups(site, "alert", "check")
    [before] = [alert for alert in open_alerts(site) if alert["key"] == "restore_test:database/billing"]
    assert before["acknowledged_by"] is None
    tab = visit(laptop, site)
    page = tab.open("/")
    page.get_by_role("link", name="open alert").click()
    expect(page.get_by_role("heading", level=1, name="Health and alerts")).to_be_visible(timeout=WAIT_MS)
    heading = page.get_by_role("heading", level=3, name="Restore test failed or overdue")
    expect(heading).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text("limit 35 d").first).to_be_visible()

    page.locator(f".st-key-pop-{before['id']}").get_by_role("button").click()  # other tests may have opened others
    page.get_by_role("textbox", name="Who does what about it").fill(NOTE)
    page.get_by_test_id("stFormSubmitButton").get_by_role("button").click()
    expect(page.get_by_text("it is said again only when it gets worse").first).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text(re.compile(rf"by dashboard, \d+ (s|min) ago: {re.escape(NOTE)}"))).to_be_visible()

    [after] = [alert for alert in open_alerts(site) if alert["id"] == before["id"]]
    assert (after["acknowledged_by"], after["note"]) == ("dashboard", NOTE)
    page.goto(f"{site.url}/health?alert={before['id']}&db=billing")
    expect(page.get_by_text(NOTE).first).to_be_visible(timeout=WAIT_MS)
    assert tab.errors == []
    assert tab.strangers == [], "the page asks no host but our own"


def test_the_server_of_serve_answers_monitoring(site: Site) -> None:
    with urllib.request.urlopen(f"{site.url}/healthz", timeout=30) as answer:
        assert json.loads(answer.read())["status"] == "ok"
    with urllib.request.urlopen(f"{site.url}/metrics", timeout=30) as answer:
        assert b'backups_database_protected{database="la_factoria"}' in answer.read()
