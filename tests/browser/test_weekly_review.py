"""The weekly review in a browser: a note, an action item, and the exports as a person gets them."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect
from pypdf import PdfReader

from tests.browser.conftest import WAIT_MS, Site, Visit, visit

HOSTILE = "moved the **migration** <img src=x onerror=alert(1)> to noon"


def download(page: Page, button: str) -> bytes:
    with page.expect_download(timeout=WAIT_MS) as waiting:
        page.get_by_role("button", name=button, exact=True).click()
    return Path(waiting.value.path()).read_bytes()


def opened(laptop: BrowserContext, site: Site) -> Visit:
    tab = visit(laptop, site)
    tab.open("/weekly_review")
    expect(tab.page.get_by_role("heading", level=1)).to_contain_text("proven to restore", timeout=WAIT_MS)
    return tab


def test_a_note_and_an_action_item_are_written_and_stay(laptop: BrowserContext, site: Site) -> None:
    tab = opened(laptop, site)
    page = tab.page
    page.get_by_role("textbox", name="New note").fill(HOSTILE)
    page.get_by_role("button", name="Write it down").dblclick()
    # Its message may be gone again: the second click of the two draws the page anew.
    expect(page.get_by_text(HOSTILE).first).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("textbox", name="New action item").fill("order a disk")
    page.get_by_role("textbox", name="Owner").last.fill("ines")
    page.get_by_role("button", name="Add", exact=True).dblclick()
    box = page.get_by_role("checkbox", name="order a disk")
    expect(box).to_be_visible(timeout=WAIT_MS)

    page.reload()
    expect(page.get_by_text(HOSTILE)).to_have_count(1, timeout=WAIT_MS)
    expect(box).to_have_count(1)
    page.locator("label").filter(has_text="order a disk").click()
    expect(page.get_by_text("done by dashboard")).to_be_visible(timeout=WAIT_MS)
    expect(box).to_be_checked()
    page.locator("label").filter(has_text="order a disk").click()
    expect(box).not_to_be_checked(timeout=WAIT_MS)
    assert tab.errors == []
    assert tab.strangers == []


def test_the_review_is_exported_and_its_files_hold_what_the_page_says(
    laptop: BrowserContext, site: Site, tmp_path: Path
) -> None:
    tab = opened(laptop, site)
    verdict = tab.page.get_by_role("heading", level=1).inner_text().split(maxsplit=1)[1]  # behind its icon
    reader = PdfReader(io.BytesIO(download(tab.page, "PDF")))
    first = " ".join(reader.pages[0].extract_text().split())
    assert verdict.split(";")[0] in first
    assert all("Sample environment" in page.extract_text() for page in reader.pages)

    markdown = download(tab.page, "Markdown").decode()
    assert markdown.startswith("# Weekly review 20")
    assert "## Action items" in markdown

    (tmp_path / "review.html").write_bytes(download(tab.page, "HTML"))
    alone = visit(laptop, replace(site, url="file://"))
    alone.page.goto((tmp_path / "review.html").as_uri())
    expect(alone.page.get_by_role("heading", level=1)).to_contain_text("Weekly review")
    expect(alone.page.get_by_role("img")).to_have_count(2)
    expect(alone.page.get_by_text("Sample environment").first).to_be_visible()
    assert alone.errors == []
    assert alone.strangers == [], "the file asks nothing of anybody"
    assert tab.errors == []
    assert tab.strangers == []


def test_the_neighbouring_weeks_are_a_click_away(laptop: BrowserContext, site: Site) -> None:
    tab = opened(laptop, site)
    page = tab.page
    before = page.get_by_role("main").get_by_role("link", name=re.compile(r"\d{4}-W\d\d")).first
    label = before.inner_text().strip().split("\n")[-1]
    before.click()
    expect(page.get_by_text(f"Weekly review {label}").first).to_be_visible(timeout=WAIT_MS)
    expect(page).to_have_url(re.compile(f"week={label}"), timeout=WAIT_MS)
    page.reload()
    expect(page.get_by_text(f"Weekly review {label}").first).to_be_visible(timeout=WAIT_MS)
    assert tab.errors == []
