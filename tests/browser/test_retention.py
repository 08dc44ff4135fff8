"""In the browser: change a policy in the simulator, pin a backup, clean up, and read what was deleted."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import WAIT_MS, Site, serve, visit
from tests.retention.lab import DAY, Lab, lab_settings


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[Site, Lab]]:
    """A served installation with twenty nightly backups of la_factoria, in real storages."""
    tonight = datetime.combine(datetime.now(UTC).date(), time(0, 30), UTC)
    lab = Lab(lab_settings(tmp_path), tonight)
    for n in range(1, 21):
        lab.store(f"nightly-{n:02d}", tonight - n * DAY, storages=("primary", "second"))
    key = lab.settings.encryption_key
    assert key is not None
    config = tmp_path / "backups.toml"
    config.write_text(
        f'home = "{tmp_path}"\nencryption_key = "{key.get_secret_value()}"\n'
        + "".join(f'[[storages]]\nname = "{n}"\nurl = "file://{tmp_path / n}"\n' for n in ("primary", "second"))
        + '[[databases]]\nname = "la_factoria"\nurl = "postgresql://u:p@127.0.0.1:1/x"\n'
    )
    for site in serve(tmp_path, BACKUPS_CONFIG=str(config)):
        yield site, lab
    lab.inst.close()


def number(page: Page, label: str) -> str:
    """Return the number under a metric's label."""
    metric = page.get_by_test_id("stMetric").filter(has_text=label).first
    expect(metric).to_be_visible(timeout=WAIT_MS)
    return metric.get_by_test_id("stMetricValue").inner_text()


@pytest.mark.timeout(400)
def test_simulate_pin_clean_up_and_read_the_log(chromium: Browser, store: tuple[Site, Lab], tmp_path: Path) -> None:
    site, lab = store
    going = [backup.name for backup in lab.plan().going]
    kept = {f"nightly-{n:02d}" for n in range(1, 21)} - set(going)
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    tab = visit(context, site)

    page = tab.open("/retention?view=Simulator", "Retention")
    stays = page.get_by_test_id("stMetric").filter(has_text="Stays")
    expect(stays).to_contain_text(f"{len(kept)} backups", timeout=WAIT_MS)
    days = page.get_by_role("spinbutton", name="Days")
    days.fill("20")
    days.press("Enter")
    expect(stays).to_contain_text("20 backups", timeout=WAIT_MS)
    assert "daily-la_factoria=20" in page.url
    expect(page.get_by_text("In 365 days ·").first).to_be_visible(timeout=WAIT_MS)

    pinned = lab.get(going[0])
    page = tab.open(f"/inventory?backup={pinned.id}", "Inventory")
    drawer = page.get_by_role("dialog")
    drawer.get_by_role("button", name="Pin").click()
    page.get_by_role("textbox", name="Reason").fill("for the audit")
    page.get_by_role("textbox", name="Reason").press("Enter")
    page.get_by_role("button", name="Pin it").click()
    expect(page.get_by_text("for the audit").first).to_be_visible(timeout=WAIT_MS)

    page = tab.open("/retention", "Retention")
    assert number(page, "Goes next") == f"{len(going) - 1} backups"
    page.get_by_role("button", name="Clean up now").click()
    dialog = page.get_by_role("dialog")
    confirm = dialog.get_by_role("button", name=f"Delete {len(going) - 1} backups")
    expect(confirm).to_be_disabled(timeout=WAIT_MS)
    typed = dialog.get_by_role("textbox")
    typed.fill("la_factory")
    typed.press("Enter")
    expect(dialog.get_by_text("not the name of this database")).to_be_visible(timeout=WAIT_MS)
    expect(confirm).to_be_disabled()
    typed.fill("la_factoria")
    typed.press("Enter")
    expect(confirm).to_be_enabled(timeout=WAIT_MS)
    confirm.click()
    deleted = page.get_by_text(f"{len(going) - 1} backups deleted").filter(visible=True)
    expect(deleted.first).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_text("Nothing: each backup is kept")).to_be_visible(timeout=WAIT_MS)

    for storage in ("primary", "second"):
        ours = [key for key in lab.keys(storage) if key.startswith("la_factoria/")]  # beside the anchors of the audit
        left = {key.removeprefix("la_factoria/").partition(".")[0] for key in ours}
        assert left == kept | {pinned.name}
    page = tab.open("/retention?view=Deletion+log", "Retention")
    with page.expect_download(timeout=WAIT_MS) as download:
        page.get_by_role("button", name="Export as CSV").click()
    download.value.save_as(tmp_path / "deletions.csv")
    with (tmp_path / "deletions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["Backup"], row["Storage"], row["Outcome"]) for row in rows} == {
        (name, storage, "✓ deleted") for name in going[1:] for storage in ("primary", "second")
    }
    assert tab.errors == []
    assert tab.strangers == []
    context.close()
