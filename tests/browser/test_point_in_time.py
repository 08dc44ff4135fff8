"""A restore test to a second, asked for on the page, with the markers up to that second as its proof."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.browser.conftest import WAIT_MS, visit
from tests.browser.point_site import BEFORE, PointSite


def test_a_restore_test_to_a_second_shows_the_markers_up_to_it(chromium: Browser, pointed: PointSite) -> None:
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    tab = visit(context, pointed.site)
    page = tab.open("/point_in_time", "Point in time")
    expect(page.get_by_text("can be restored.")).to_be_visible(timeout=WAIT_MS)
    second = pointed.second
    for name, value in (("Day (UTC)", f"{second:%Y%m%d}"), ("Time (UTC)", f"{second:%H%M%S}")):
        field = page.get_by_role("group", name=name)
        field.get_by_role("spinbutton").first.click()
        page.keyboard.type(value)
        page.keyboard.press("Tab")
    page.get_by_role("button", name="Run the restore test").dblclick()
    expect(page.get_by_role("heading", name="Restore test to a point in time of la_factoria: passed")).to_be_visible(
        timeout=120_000
    )
    reached = page.get_by_test_id("stMarkdown").filter(has_text=f"Reached {second:%Y-%m-%dT%H:%M:%S}.000Z")
    expect(reached).to_be_visible()
    counted = page.get_by_test_id("stMetric").filter(has_text="Rows counted")
    expect(counted.get_by_test_id("stMetricValue")).to_have_text(f"{BEFORE}")
    expect(page.get_by_text("within: under")).to_be_visible()
    (run,) = [each for each in pointed.site.command("runs") if each["kind"] == "point_test"]
    assert (run["state"], run["actor"]) == ("finished", "dashboard")
    assert tab.errors == []
    assert tab.strangers == []
    context.close()
