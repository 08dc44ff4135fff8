"""The Trends page, and the exports of the log on the pages that list."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from bench.pages.catalogue import Plan, fill_catalogue
from services.installation import Installation
from tests.pages.conftest import OpenPage, everything
from tests.pages.worlds import HOSTILE, NOW, add_backup, add_verification, healthy, installation

CHARTS = {
    "chart-duration", "chart-throughput", "chart-database-size", "chart-backup-size", "chart-success",
    "chart-restore-time", "chart-storage-usage", "chart-calendar",
}  # fmt: skip


def charts(app: AppTest) -> dict[str, str]:
    """Return the descriptions of the charts, by their titles."""
    words = [chart.proto.alt for chart in app.get("vega_lite_chart")]
    return {text.split(":")[0]: text for text in words}


def pick(app: AppTest, key: str, backup_id: str) -> None:
    """Click a point, as the browser says it."""
    states = app._tree.get_widget_states()
    (chart,) = [chart for chart in app.get("vega_lite_chart") if chart.key == key]
    state = states.widgets.add()
    state.id = chart.proto.id
    state.string_value = json.dumps({"selection": {"picked": [{"backup_id": backup_id}]}})
    app._run(states)


def test_the_page_opens_with_what_matters_then_draws_each_chart_with_its_words(
    open_page: OpenPage, tmp_path: Path
) -> None:
    app = open_page(healthy(tmp_path), "trends", databases="la_factoria", range="30 days")
    assert not app.exception
    headings = [block.value.replace("\\", "") for block in app.markdown if block.value.startswith("#")]
    assert headings[0] == "# Trends"
    assert headings[1].startswith("## :yellow[:material/warning:] 3 of 30 days had no good backup; ")
    found = charts(app)
    assert list(found) == [
        "Duration of a backup", "Throughput, before compression", "Size of the database",
        "Size of a backup, as stored", "Success", "Measured restore time (RTO)", "Storage used, by day",
        "A year of days",
    ]  # fmt: skip
    assert found["Duration of a backup"] == "Duration of a backup: now 14 s · median 14 s · from 14 s to 14 s"
    assert "RTO 1 h" in found["Measured restore time (RTO)"]
    assert "promised 99.9 %" in found["Success"]
    assert "None: no backup took over twice as long" in everything(app)


def test_a_click_on_a_point_says_what_it_is_and_leads_to_its_backup(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    made = [add_backup(inst, "orders", NOW - timedelta(days=n), note=HOSTILE) for n in range(1, 9)]
    slow = add_backup(inst, "orders", NOW, started_at=NOW - timedelta(minutes=2))
    app = open_page(inst, "trends", range="30 days")
    assert not app.get("page_link")
    pick(app, "chart-duration", made[3].id)
    assert not app.exception
    (link,) = app.get("page_link")
    assert link.proto.query_string == f"backup={made[3].id}"
    assert "inventory" in link.proto.page
    assert "18 Nov 12\\:00 UTC" in everything(app)
    pick(app, "chart-duration", slow.id)
    assert "took 2 min 00 s\\, 8\\.6 times the median" in everything(app), "why it is unusual, not only what it is"
    pick(app, "chart-duration", "nothing-like-it")
    assert not app.exception
    assert not app.get("page_link")


def test_unusual_backups_are_listed_each_with_its_reason_and_a_way_to_it(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    for n in range(1, 9):
        add_backup(inst, "orders", NOW - timedelta(days=n))
    small = add_backup(inst, "orders", NOW, stored_bytes=1_000_000)
    app = open_page(inst, "trends")
    frame = app.dataframe[0].value
    assert list(frame["Backup"]) == [small.name]
    assert frame["What is unusual"][0] == "is 1.00 MB, 88 % below the median of the backups before it (8.40 MB)"
    assert frame["Open"][0] == f"/inventory?backup={small.id}"


def test_the_filters_come_from_the_url(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders", "users")
    for n in range(20):
        add_backup(inst, "orders", NOW - timedelta(days=n), type="scheduled")
        add_backup(inst, "users", NOW - timedelta(days=n), type="on-demand", database_bytes=5_000_000)
    sizes = "Size of the database"
    assert charts(open_page(inst, "trends"))[sizes].startswith(f"{sizes}: now: orders 61.0 MB · users 5.00 MB")
    only = open_page(inst, "trends", databases="users")
    assert charts(only)[sizes].startswith(f"{sizes}: now 5.00 MB")
    scheduled = open_page(inst, "trends", backup_type="scheduled")
    assert charts(scheduled)[sizes].startswith(f"{sizes}: now 61.0 MB")
    own = {"range": "own dates", "from": "2026-11-10", "to": "2026-11-12"}
    dates = open_page(inst, "trends", **own)
    assert "10 Nov 2026 to 12 Nov 2026 (UTC), each backup by itself" in everything(dates)
    assert "No dates are chosen yet: the last 90 days are shown." in everything(
        open_page(inst, "trends", range="own dates")
    )


def test_an_end_before_its_start_is_refused_with_what_is_allowed(open_page: OpenPage, tmp_path: Path) -> None:
    own = {"range": "own dates", "from": "2026-11-12", "to": "2026-11-10"}
    app = open_page(healthy(tmp_path), "trends", **own)
    assert not app.exception
    assert "ends on 2026\\-11\\-10\\, before it begins on 2026\\-11\\-12" in app.error[0].value
    assert "between 2026\\-11\\-12 and 2026\\-11\\-22" in app.info[0].value
    assert not charts(app)


def test_before_the_first_backup_the_page_teaches_the_next_step(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(installation(tmp_path, "orders"), "trends")
    assert not app.exception
    assert "Trends begin with the first backup" in app.info[0].value
    assert not charts(app)
    assert len(app.multiselect) == 1, "the filters stay"


def test_a_range_in_which_nothing_happened_says_so(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    add_backup(inst, "orders", NOW - timedelta(days=200))
    app = open_page(inst, "trends", range="30 days")
    assert not app.exception
    assert ":red[:material/cancel:] Nothing was backed up in this range\\." in everything(app), "silence is failure"
    assert "A year of days" in charts(app)
    assert "Duration of a backup" not in charts(app)


def test_one_backup_is_enough_for_every_chart_that_it_speaks_to(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    add_verification(inst, add_backup(inst, "orders", NOW - timedelta(hours=3)), NOW - timedelta(hours=2))
    app = open_page(inst, "trends")
    assert not app.exception
    assert {chart.key for chart in app.get("vega_lite_chart") if chart.key} <= CHARTS
    assert len(charts(app)) == 8
    assert "Too little for a forecast: it needs six points over two weeks." in charts(app)["Size of the database"]


def test_with_many_databases_the_page_says_which_are_drawn(open_page: OpenPage, tmp_path: Path) -> None:
    plan = Plan(NOW, databases=8, days=30, backups=240, tables=2)
    inst = installation(tmp_path, *plan.names)
    fill_catalogue(inst.catalog, plan)
    app = open_page(inst, "trends", range="30 days")
    assert not app.exception
    assert "Of 8 databases the 6 with the largest backups have lines of their own" in everything(app)
    few = open_page(inst, "trends", range="30 days", databases=plan.names[0])
    assert "lines of their own" not in everything(few)


def exports(app: AppTest) -> list[str]:
    return [button.label for button in app.get("download_button")]


@pytest.fixture
def listed(tmp_path: Path) -> Installation:
    inst = installation(tmp_path, "orders")
    add_verification(inst, add_backup(inst, "orders", NOW - timedelta(days=1)), NOW)
    return inst


@pytest.mark.parametrize("page", ["inventory", "verify_and_restore"])
def test_the_log_can_be_exported_in_each_form_where_there_is_one(
    open_page: OpenPage, listed: Installation, tmp_path: Path, page: str
) -> None:
    forms = ["Spreadsheet (CSV)", "JSON", "The runbook's entries (text)"]
    assert exports(open_page(listed, page)) == forms
    empty = tmp_path / "empty"
    assert exports(open_page(installation(empty, "orders"), page)) == []


def test_each_chart_can_be_exported_and_nothing_is_made_before_it_is_asked_for(
    open_page: OpenPage, listed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    import vl_convert

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a picture was made while the page was drawn")

    monkeypatch.setattr(vl_convert, "vegalite_to_png", refuse)
    monkeypatch.setattr(vl_convert, "vegalite_to_svg", refuse)
    app = open_page(listed, "trends")
    assert not app.exception
    assert exports(app) == ["Numbers (CSV)", "Picture (PNG)", "Drawing (SVG)"] * 8
