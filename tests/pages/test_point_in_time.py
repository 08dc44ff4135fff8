"""The page *Point in time*: what can be restored, what is in the way, and asking for the proof."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import partial
from pathlib import Path

from services.catalog.wal_archives import FaultyFile, WalArchiveState, note_check
from services.installation import Installation
from services.pitr.gaps import Gap
from services.pitr.wal_names import SegmentName
from services.postgres.connection import connect
from services.postgres.server import LocalServer
from tests.pages.conftest import OpenPage, everything
from tests.pages.point_worlds import SEGMENT, add_base, add_point_test, with_log
from tests.pages.test_queries import MOST_QUERIES, count_queries
from tests.pages.worlds import HOSTILE, NOW, PASSWORD, add_run, add_verification, installation

PAGE = "point_in_time"


def test_the_page_says_from_when_to_when_can_be_restored(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(with_log(tmp_path), PAGE)
    assert not app.exception
    text = everything(app)
    assert "Any instant from 2026\\-11\\-21 06\\:30\\:00 UTC to 2026\\-11\\-22 11\\:59\\:00 UTC can be restored" in text
    assert "Reaches back 29 h" in text
    assert "30 segments in local" in text
    assert "within the RPO 15 min" in text
    (chart, *_) = app.get("arrow_vega_lite_chart") or app.get("vega_lite_chart")
    assert "Can be restored: 2026-11-21 06:30:00 UTC" in chart.proto.alt


def test_a_gap_is_named_and_ends_what_can_be_restored(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(with_log(tmp_path, missing=(20, 21)), PAGE)
    names = [SegmentName(1, number).name(SEGMENT) for number in (20, 21)]
    assert "Nothing after 2026\\-11\\-22 00\\:59\\:00 UTC can be restored" in everything(app)
    (told,) = app.error
    assert f"`{Gap(1, 20, 21, SEGMENT)}` · timeline 1" in told.value
    assert names[0] in told.value
    assert names[1] in told.value


def test_the_time_is_limited_to_the_window_and_one_click_asks_for_one_test(open_page: OpenPage, tmp_path: Path) -> None:
    inst = with_log(tmp_path)
    app = open_page(inst, PAGE)
    second = open_page(inst, PAGE)
    day, clock = app.date_input[0], app.time_input[0]
    assert (day.min, day.max) == (date(2026, 11, 21), date(2026, 11, 22))
    assert clock.value == time(11, 57)
    clock.set_value(time(11, 59, 1)).run()  # the window ends at 11:59:00
    assert "lies behind the end of what is archived" in app.warning[0].value
    assert not [button for button in app.button if button.key == "point-go"]
    clock.set_value(time(11, 56, 59)).run()
    app.button(key="point-go").click().run()
    assert not app.exception
    (run,) = inst.catalog.runs.list()
    assert (run.kind, run.database, run.params["to"]) == ("point_test", "orders", "2026-11-22T11:56:59+00:00")
    assert app.query_params["run"] == run.id
    assert "waiting for the worker" in app.get("progress")[0].proto.text
    second.button(key="point-go").click().run()
    assert [found.id for found in inst.catalog.runs.list()] == [run.id], "the second tab's click starts nothing"


def test_a_base_backup_is_asked_for(open_page: OpenPage, tmp_path: Path) -> None:
    inst = with_log(tmp_path)
    app = open_page(inst, PAGE)
    app.radio(key="point-which").set_value("The newest that is archived").run()
    app.button(key="base-go").click().run()
    (run,) = inst.catalog.runs.list()
    assert (run.kind, run.actor, run.params["incremental"]) == ("base_backup", "dashboard", False)


def test_an_incremental_one_is_offered_where_the_server_can_send_it(
    open_page: OpenPage, tmp_path: Path, server18: LocalServer
) -> None:
    inst = with_log(tmp_path)
    with connect(server18.address) as connection:
        connection.execute("ALTER SYSTEM SET summarize_wal = on")
        connection.execute("SELECT pg_reload_conf()")
    [database] = inst.settings.databases
    moved = database.model_copy(update={"url": server18.address.url()})
    inst = Installation(inst.settings.model_copy(update={"databases": (moved,)}), inst.catalog, inst.clock)
    try:
        app = open_page(inst, PAGE)
        app.button(key="base-incremental").click().run()
    finally:
        with connect(server18.address) as connection:
            connection.execute("ALTER SYSTEM RESET summarize_wal")
            connection.execute("SELECT pg_reload_conf()")
    (run,) = inst.catalog.runs.list()
    assert (run.kind, run.params["incremental"]) == ("base_backup", True)


def test_a_damaged_file_of_the_log_is_named_and_ends_what_can_be_restored(open_page: OpenPage, tmp_path: Path) -> None:
    inst = with_log(tmp_path)
    key = next(path for path in (tmp_path / "storage").rglob(f"{SegmentName(1, 20).name(SEGMENT)}-*"))
    fault = FaultyFile(str(key.relative_to(tmp_path / "storage")), f"{key.name} is damaged: its end is missing.")
    note_check(inst.catalog.engine, WalArchiveState("orders", "local", damaged=(fault,)))
    app = open_page(inst, PAGE)
    assert f"{SegmentName(1, 20).name(SEGMENT)} is damaged" in app.markdown[1].value
    assert any("its end is missing" in error.value for error in app.error)


def test_the_overview_leads_to_a_run_of_point_in_time(open_page: OpenPage, tmp_path: Path) -> None:
    inst = with_log(tmp_path, hours=3)
    running = add_run(inst, "orders", NOW, kind="base_backup")
    ended = add_run(inst, "orders", NOW - timedelta(hours=1), kind="base_backup", state="finished")
    links = [link.proto for link in open_page(inst, "overview").get("page_link")]
    asked = {link.query_string for link in links if "point_in_time" in link.page}
    assert {f"database=orders&run={run.id}" for run in (running, ended)} == asked


def test_a_base_backup_that_failed_its_check_is_not_among_those_to_begin_with(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = with_log(tmp_path, hours=3)
    bad = add_base(inst, NOW - timedelta(hours=1), number=3).backup
    add_verification(inst, bad, NOW, level="archive", outcome="failed")
    app = open_page(inst, PAGE)
    assert "1 base backup more failed a check" in app.warning[-1].value
    (frame,) = [table.value for table in app.dataframe if "PostgreSQL" in table.value]
    assert bad.name not in list(frame["Name"])


def test_the_history_shows_what_was_reached_and_the_measured_rto(open_page: OpenPage, tmp_path: Path) -> None:
    inst = with_log(tmp_path)
    run = add_point_test(inst, add_base(inst, NOW - timedelta(hours=3), number=27), NOW - timedelta(hours=1))
    add_run(inst, "orders", NOW, kind="point_test", state="failed", error=f"gone {HOSTILE}")
    app = open_page(inst, PAGE, run=run.id)
    assert not app.exception
    text = everything(app)
    assert "its last transaction ended **2026\\-11\\-22 10\\:59\\:59\\.98\\+00**" in text
    assert "Measured RTO 5.5 s" in text
    assert "within: under 1 % of the RTO 1 h" in text
    assert "Rows counted 480" in text
    (frame,) = [table.value for table in app.dataframe if "Measured RTO" in table.value]
    assert list(frame["Outcome"]) == ["✕ failed", "✓ passed"]


def test_a_server_and_a_storage_that_are_away_leave_the_rest_of_the_page(open_page: OpenPage, tmp_path: Path) -> None:
    inst = with_log(tmp_path, hours=2, away=True)
    add_point_test(inst, add_base(inst, NOW - timedelta(hours=1), number=2), NOW)
    app = open_page(inst, PAGE)
    assert not app.exception
    text = everything(app)
    assert "Nobody can tell now what can be restored" in text
    assert "blocking · **connection**" in text
    assert "Log written" in text
    assert len([table for table in app.dataframe if "Measured RTO" in table.value]) == 1
    assert PASSWORD not in text
    assert not [button for button in app.button if button.key == "point-go"]


def test_without_point_in_time_the_page_teaches_what_to_set(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(installation(tmp_path, "orders"), PAGE)
    assert app.info[0].proto.title == "No database has point in time on"
    assert "`[databases.pitr]`" in app.info[0].value
    assert len(app.info[0].value.splitlines()) == 3


def test_the_queries_do_not_grow_with_base_backups_and_tests(open_page: OpenPage, tmp_path: Path) -> None:
    inst = with_log(tmp_path, hours=2)
    counts = []
    for many in (2, 12):
        for n in range(many):
            at: datetime = NOW - timedelta(minutes=10 * n, seconds=many)
            add_point_test(inst, add_base(inst, at, number=2), at)
        counts.append(count_queries(inst, partial(open_page, inst, PAGE)))
    assert counts[0] == counts[1] <= MOST_QUERIES
