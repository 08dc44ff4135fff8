"""Every page, light and dark, laptop and phone: nothing serious for axe, and nothing wider than the screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import WAIT_MS, Site, Visit, visit
from tests.browser.point_site import PointSite

PAGES = {
    "/": ("proven to restore", "Recent activity"),
    "/run_backup": ("Run backup", "Nothing stands in the way."),
    "/run_backup?kind=Emergency": ("Run backup", "Read-only mode off, whatever happened"),
    "/inventory": ("Inventory", "Select a row for all"),
    "/verify_and_restore": ("Verify and restore tests", "Select a row for its result"),
    "/point_in_time": ("Point in time", "No database has point in time on"),
    "/weekly_review": ("proven to restore", "the next restore test proves it again"),
    "/health": ("Health and alerts", "No channel is set"),
    "/schedules": ("Schedules", "Select a row to run it now"),
    "/schedules?schedule=la_factoria/backup": ("Schedules", "The next five due times"),
    "/slo": ("slots were satisfied within the deadline", "Select a row for its run"),
    "/slo?days=365": ("slots were satisfied within the deadline", "Select a row for its run"),
    "/retention": ("Retention", "What goes at the next cleanup"),
    "/retention?view=Simulator": ("Retention", "In 365 days ·"),
    "/retention?view=Deletion+log": ("Retention", "deletions of copies"),
    "/storage": ("Storage", "By retention tier"),
    "/trends": ("Trends", "Unusual backups"),
    "/trends?databases=la_factoria&range=12+months": ("Trends", "Unusual backups"),
    "/people": ("People", "What each role may"),
    "/keys": ("Keys", "The commands for any other backup"),
    "/storage?do=compress": ("Storage", "The old object is deleted."),
}
SIZES = {"laptop": (1440, 900), "phone": (390, 844)}
LOOKS: tuple[tuple[str, Literal["light", "dark"]], ...] = (
    ("laptop", "light"), ("laptop", "dark"), ("phone", "dark"), ("phone", "light"),
)  # fmt: skip


@pytest.fixture(scope="module")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """Return a browser that serves all pages: what Streamlit's page consists of is fetched once."""
    opened = chromium.new_context(viewport={"width": 1440, "height": 900})
    yield opened
    opened.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_and_fits(context: BrowserContext, site: Site, axe: str, path: str) -> None:
    heading, last = PAGES[path]
    check(visit(context, site), path, axe, heading, last)


def test_the_page_of_a_log_that_is_archived_is_accessible_and_fits(
    context: BrowserContext, pointed: PointSite, axe: str
) -> None:
    check(visit(context, pointed.site), "/point_in_time", axe, "Point in time", "Take a base backup now")


def check(tab: Visit, path: str, axe: str, heading: str, last: str) -> None:
    """Look at a page in both sizes and both schemes, and close it.

    It is loaded once: a window that is made narrow shows what a phone shows.
    """
    page = tab.open(path)
    expect(page.get_by_role("heading", level=1)).to_contain_text(heading, timeout=WAIT_MS)
    expect(page.get_by_text(last).first).to_be_visible(timeout=WAIT_MS)
    page.evaluate(axe)
    for size, scheme in LOOKS:
        width, height = SIZES[size]
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)  # which the page follows, as when somebody's evening begins
        expect(page.locator(".stApp")).to_have_css("color-scheme", scheme, timeout=WAIT_MS)
        page.wait_for_function("width => document.scrollingElement.scrollWidth <= width", arg=width)
        assert _serious(page) == [], (size, scheme)
    assert tab.errors == []
    assert tab.strangers == []
    page.close()


def _serious(page: Page) -> list[str]:
    """Return what axe finds serious or critical on the page as it is now."""
    found: list[dict[str, Any]] = page.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then(result => result.violations)"
    )
    return [
        f"{rule['id']}: {rule['help']}: {node['target']} {node.get('failureSummary', '')[:300]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
