"""Trends in a browser: filters by URL, the files as a person gets them, and the way from a point to its backup."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from xml.etree import ElementTree

from playwright.sync_api import BrowserContext, Locator, Page, expect

from dashboard.charts.export import WIDTH
from tests.browser.conftest import WAIT_MS, Site, Visit, visit

STORED = "Size of a backup, as stored"
PNG = b"\x89PNG\r\n\x1a\n"
POINTS = ".mark-symbol path"


def opened(laptop: BrowserContext, site: Site, query: str) -> Visit:
    tab = visit(laptop, site)
    tab.open(f"/trends?{query}", "Trends")
    expect(tab.page.get_by_role("heading", name="Unusual backups")).to_be_visible(timeout=WAIT_MS)
    expect(chart(tab.page, STORED).locator(POINTS).first).to_be_attached(timeout=WAIT_MS)
    return tab


def chart(page: Page, title: str) -> Locator:
    return page.get_by_test_id("stVegaLiteChart").and_(page.get_by_label(re.compile(f"^{re.escape(title)}: ")))


def export(page: Page, title: str, kind: str) -> bytes:
    """Return a file of the card that bears this title."""
    cards = page.get_by_test_id("stVerticalBlock").filter(has=page.get_by_role("heading", name=title, exact=True))
    cards.last.get_by_role("button", name="Export").click()
    with page.expect_download(timeout=WAIT_MS) as waiting:
        page.get_by_role("button", name=kind).click()
    page.keyboard.press("Escape")
    return Path(waiting.value.path()).read_bytes()


def numbers(page: Page, title: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(export(page, title, "Numbers (CSV)").decode("utf-8-sig"))))


def test_the_url_chooses_databases_and_range_and_the_csv_holds_what_the_chart_shows(
    laptop: BrowserContext, site: Site
) -> None:
    tab = opened(laptop, site, "databases=la_factoria&range=30+days")
    page = tab.page
    expect(page.get_by_role("radio", name="30 days")).to_be_checked()
    expect(page.get_by_text("each backup by itself")).to_be_visible()
    rows = numbers(page, STORED)
    assert {row["database"] for row in rows} == {"la_factoria"}
    assert len(rows) == chart(page, STORED).locator(POINTS).count(), "a row for each point"
    sizes = {b["id"]: b["stored_bytes"] for b in site.command("list", "-d", "la_factoria", "--state", "all")}
    assert {row["backup_id"]: int(float(row["stored_bytes"])) for row in rows}.items() <= sizes.items()

    page.get_by_text("12 months", exact=True).click()
    expect(page).to_have_url(re.compile("range=12"), timeout=WAIT_MS)
    expect(chart(page, STORED)).to_have_attribute("aria-label", re.compile("▼ 1 over 30 % smaller"), timeout=WAIT_MS)
    page.reload()
    expect(chart(page, STORED)).to_have_attribute("aria-label", re.compile("▼ 1 over 30 % smaller"), timeout=WAIT_MS)
    assert len(numbers(page, STORED)) > len(rows)
    days = numbers(page, "A year of days")
    assert len(days) > 300
    assert {day["database"] for day in days} == {"la_factoria"}
    assert tab.errors == []
    assert tab.strangers == []


def test_a_chart_is_exported_as_a_picture_and_as_a_drawing(laptop: BrowserContext, site: Site) -> None:
    tab = opened(laptop, site, "range=90+days")
    picture = export(tab.page, STORED, "Picture (PNG)")
    assert picture.startswith(PNG)
    assert int.from_bytes(picture[16:20], "big") >= 2 * WIDTH, "sharp enough for a slide"
    drawing = export(tab.page, STORED, "Drawing (SVG)").decode()
    words = {
        "".join(text.itertext()) for text in ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text")
    }
    assert {STORED, "la_factoria", "billing"} <= words
    shown = chart(tab.page, STORED).locator("text").all_text_contents()
    assert {"la_factoria", "billing"} <= set(shown)
    calendar = export(tab.page, "A year of days", "Picture (PNG)")
    assert calendar.startswith(PNG)
    assert tab.errors == []
    assert tab.strangers == []


def test_a_click_on_a_point_says_what_it_is_and_leads_to_its_backup(laptop: BrowserContext, site: Site) -> None:
    tab = opened(laptop, site, "databases=la_factoria&range=90+days")
    page = tab.page
    small = chart(page, STORED).locator(POINTS).last  # what is unusual is drawn above the rest
    small.scroll_into_view_if_needed()
    small.click(force=True)  # its own line lies around it
    way = page.get_by_role("link", name="Open in the inventory")
    expect(way).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text("% below the median of the backups before it").first).to_be_visible()
    said = page.get_by_text(re.compile(r"la_factoria_backup_\d{8}_\d{6} is ")).first.inner_text()
    found = re.search(r"la_factoria_backup_\d{8}_\d{6}", said)
    assert found is not None
    backups = {b["name"]: b for b in site.command("list", "-d", "la_factoria", "--state", "all")}
    way.click()
    expect(page).to_have_url(re.compile(f"/inventory\\?.*backup={backups[found[0]]['id']}"), timeout=WAIT_MS)
    expect(page.get_by_role("dialog")).to_contain_text(found[0], timeout=WAIT_MS)
    assert tab.errors == []
    assert tab.strangers == []
