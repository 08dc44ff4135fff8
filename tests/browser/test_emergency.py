"""An emergency backup by a person under stress: the plan, one confirmation, the banner over every page, then gone."""

from __future__ import annotations

import psycopg
import pytest
from playwright.sync_api import BrowserContext, expect

from services.installation import open_installation
from services.postgres.connection import Address, connect
from tests.browser.conftest import WAIT_MS, Site, visit

BANNER = "Read-only mode: la_factoria cannot be written"


def can_write(address: Address) -> bool:
    with connect(address, application_name="psql") as connection:
        try:
            connection.execute("CREATE TABLE written (); DROP TABLE written")
        except psycopg.errors.ReadOnlySqlTransaction:
            return False
    return True


@pytest.mark.timeout(300)
def test_an_emergency_backup_with_its_banner_seen_and_then_gone(laptop: BrowserContext, site: Site) -> None:
    installation = open_installation(site.environ)
    owner_url = installation.settings.database("la_factoria").owner_url
    installation.close()
    assert owner_url is not None
    owner = Address.parse(owner_url.get_secret_value())
    first, second = visit(laptop, site), visit(laptop, site)
    with connect(owner, application_name="the application") as application:  # keeps the mode on until it leaves
        page = first.open("/run_backup?kind=Emergency", "Run backup")
        expect(page.get_by_text("Nothing stands in the way.")).to_be_visible(timeout=WAIT_MS)
        page.get_by_text("Wait 1 min, then end them").click()
        expect(page.get_by_text("Wait up to 1 min for 1 session connected now")).to_be_visible(timeout=WAIT_MS)
        page.get_by_role("button", name="Start emergency backup").click()
        expect(page.get_by_text("Nothing was started")).to_be_visible(timeout=WAIT_MS)
        page.get_by_role("textbox", name="What happened").fill("disk errors on the *primary*")
        page.get_by_role("textbox", name="to confirm").fill("la_factoria")
        page.get_by_role("button", name="Start emergency backup").dblclick()
        expect(page.get_by_role("heading", name="Emergency backup of la_factoria")).to_be_visible(timeout=WAIT_MS)
        expect(page.get_by_text(BANNER)).to_be_visible(timeout=WAIT_MS)
        other = second.open("/inventory", "Inventory")
        expect(other.get_by_text(BANNER)).to_be_visible(timeout=WAIT_MS)
        expect(other.get_by_text("by dashboard: disk errors on the *primary*")).to_be_visible()
        expect(other.get_by_role("button", name="Release now")).to_be_visible()
        assert not can_write(owner)
        application.execute("CREATE TABLE written (); DROP TABLE written")  # which is why earlier sessions have to go
    expect(page.get_by_role("heading", name="Emergency backup of la_factoria: finished")).to_be_visible(timeout=120_000)
    for tab in (page, other):
        expect(tab.get_by_text(BANNER)).to_have_count(0, timeout=WAIT_MS)
    assert can_write(owner)
    assert site.command("read-only") == []
    (backup,) = [each for each in site.command("list") if each["type"] == "emergency"]
    assert {copy["storage"]: copy["state"] for copy in backup["copies"]} == {"local": "stored", "offsite": "stored"}
    for visited in (first, second):
        assert visited.errors == []
        assert visited.strangers == []
