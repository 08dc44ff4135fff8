"""The pages Schedules and SLO, run through the real entry point on catalogues of every kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.charts.slot_days import days_words, slot_calendar, slot_strips
from dashboard.charts.timeline import timeline
from dashboard.slot_frames import calendar_frame, days_frame, timeline_frame
from dashboard.theme import DARK, LIGHT
from services.commands import pause_schedule, set_schedule
from services.installation import Installation
from services.schedules.overview import AROUND, load_schedules
from services.schedules.start_due import start_due_runs
from services.schedules.sync import sync_schedules
from services.slo import load_slo
from tests.pages.conftest import OpenPage, everything
from tests.pages.test_queries import count_queries
from tests.pages.worlds import HOSTILE, NOW, add_backup, add_run, installation, scheduled
from tests.schedules.conftest import SetClock

NAME = "orders/backup"
DAILY = "0 2 * * *"
DAY = timedelta(days=1)


def clock_of(inst: Installation) -> SetClock:
    assert isinstance(inst.clock, SetClock)
    return inst.clock


def headings(app: AppTest) -> list[str]:
    return [block.value.replace("\\", "") for block in app.markdown if block.value.startswith("#")]


def test_the_schedules_page_says_what_is_due_next_and_how_the_last_slots_ended(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = scheduled(tmp_path, "orders", "users", missed=(0,))
    pause_schedule(inst, "users/backup", actor="ada", reason=HOSTILE)
    app = open_page(inst, "schedules")
    assert not app.exception
    frame = app.dataframe[0].value.set_index("Schedule")
    assert list(frame.index[:3]) == [NAME, "orders/restore_test", "orders/verification"]
    assert frame.loc[NAME, "When"] == "At 02:00 every day (UTC)"
    assert frame.loc[NAME, "Next due"] == "in 14 h · 23 Nov 02:00 UTC"
    assert frame.loc[NAME, "Last slot"] == "✕ missed · 10 h ago"
    assert frame.loc[NAME, "Cause"] == "Never started: no worker took it up."
    assert list(frame["State"][[NAME, "users/backup", "orders/verification"]]) == ["● on", "▮▮ paused", "– off"]
    text = everything(app)
    on, paused = (sum(state == f"{mark}" for state in frame["State"]) for mark in ("● on", "▮▮ paused"))
    assert paused == 1
    next_one = "next: **orders\\/backup** in 14 h · 23 Nov 02:00 UTC"
    assert f"{on} of {len(frame)} schedules are on · 1 paused · {next_one}" in text
    assert ":red[missed] · due 10 h ago" in text


def test_before_a_worker_has_started_the_page_says_how_schedules_come_into_force(
    open_page: OpenPage, tmp_path: Path
) -> None:
    app = open_page(installation(tmp_path, "orders", schedule=DAILY), "schedules")
    assert not app.exception
    assert "backups worker" in app.info[0].value
    assert set(app.dataframe[0].value["State"]) == {"? not in force yet", "– off"}


def test_the_drawer_shows_the_next_five_due_times_before_saving_and_saves_a_version(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = scheduled(tmp_path)
    app = open_page(inst, "schedules", schedule=NAME)
    assert not app.exception
    assert "Mon 23 Nov 02\\:00 UTC :gray[· in 14 h]" in everything(app)
    app.text_input(key=f"cron-{NAME}").input("30 2 * * MON").run()
    app.selectbox(key=f"zone-{NAME}").select("Europe/Berlin").run()
    text = everything(app)
    assert "At 02\\:30 on Monday \\(Europe\\/Berlin\\).** The next five due times:" in text
    assert "Mon 23 Nov 02\\:30 CET :gray[= 01:30 UTC] :gray[· in 13 h]" in text
    assert len(inst.catalog.schedules.all()[NAME]) == 1, "nothing is saved before the button"
    app.text_input(key=f"deadline-{NAME}").input("90min").run()
    app.text_input(key=f"reason-{NAME}").input(HOSTILE).run()
    app.button(key=f"save-{NAME}").click().run()
    assert not app.exception
    version = inst.catalog.schedules.all()[NAME][-1]
    assert (version.cron, version.time_zone, version.deadline) == (
        "30 2 * * MON",
        "Europe/Berlin",
        timedelta(minutes=90),
    )
    assert (version.source, version.actor, version.reason) == ("person", "dashboard", HOSTILE)
    assert "is changed" in app.success[0].value
    again = open_page(inst, "schedules", schedule=NAME)
    assert "2 versions" in [expander.label for expander in again.expander]
    assert "\\<b\\>x\\<\\/b\\> \\*\\*bold" in everything(again)


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [("cron", "0 25 * * *", "no cron line"), ("cron", "* * * * *", "more often than every 5 minutes"),
     ("deadline", "soon", "no length of time"), ("deadline", "32d", "between 1 minute and 31 days")],
)  # fmt: skip
def test_a_change_that_cannot_be_is_refused_at_once_and_cannot_be_saved(
    open_page: OpenPage, tmp_path: Path, field: str, text: str, said: str
) -> None:
    inst = scheduled(tmp_path)
    app = open_page(inst, "schedules", schedule=NAME)
    app.text_input(key=f"{field}-{NAME}").input(text).run()
    assert not app.exception
    assert said in app.error[0].value.replace("\\", "")
    assert [button.key for button in app.button if button.key == f"save-{NAME}"] == []
    assert len(inst.catalog.schedules.all()[NAME]) == 1


def test_pause_and_resume_are_a_click_each(open_page: OpenPage, tmp_path: Path) -> None:
    inst = scheduled(tmp_path)
    app = open_page(inst, "schedules", schedule=NAME)
    app.button(key=f"pause-{NAME}").click().run()
    assert not app.exception
    assert inst.catalog.schedules.all()[NAME][-1].paused
    assert "is paused" in app.success[0].value
    assert "schedule" not in app.query_params
    app = open_page(inst, "schedules", schedule=NAME)
    assert "Paused 0 s ago by dashboard" in everything(app)
    assert "The next five due times, once it is resumed" in everything(app)
    assert [button.label for button in app.button] == ["Run now", "Resume", "Save"]
    app.button(key=f"resume-{NAME}").click().run()
    assert not inst.catalog.schedules.all()[NAME][-1].paused


def test_run_now_starts_one_run_and_shows_it(open_page: OpenPage, tmp_path: Path) -> None:
    inst = scheduled(tmp_path)
    app = open_page(inst, "schedules", schedule=NAME)
    second = open_page(inst, "schedules", schedule=NAME)
    app.button(key=f"run-{NAME}").click().run()
    assert not app.exception
    [run] = inst.catalog.runs.list()
    assert (run.kind, run.params["type"], run.reason) == ("backup", "on-demand", f"Schedule {NAME}, run now.")
    assert app.query_params["run"] == run.id
    second.button(key=f"run-{NAME}").click().run()
    assert [found.id for found in inst.catalog.runs.list()] == [run.id], "the second tab's click starts nothing"


def test_run_now_of_what_has_nothing_to_work_on_says_why(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders", schedule=DAILY)
    sync_schedules(inst)
    app = open_page(inst, "schedules", schedule="orders/restore_test")
    app.button(key="run-orders/restore_test").click().run()
    assert not app.exception
    assert "no good backup of orders yet" in app.error[0].value.replace("\\", "")
    assert inst.catalog.runs.list() == []


def test_a_link_to_a_schedule_that_does_not_exist_says_what_comes_close(open_page: OpenPage, tmp_path: Path) -> None:
    app = open_page(scheduled(tmp_path), "schedules", schedule="orders/bakup")
    assert not app.exception
    assert NAME in app.info[0].value.replace("\\", "")


def test_the_slo_page_counts_slots_against_the_target_and_lists_the_misses(open_page: OpenPage, tmp_path: Path) -> None:
    inst = scheduled(tmp_path)
    app = open_page(inst, "slo")
    assert not app.exception
    assert headings(app)[0].endswith("28 of 30 slots were satisfied within the deadline")
    metrics = {metric.label: (metric.value, metric.delta) for metric in app.metric}
    assert metrics["Slots satisfied"] == ("93.33 %", "target 99.9 %")
    assert metrics["Misses"] == ("2", "2 of 0 allowed · 2 too many")
    assert metrics["Longest without a good backup"] == ("48 h 00 min", "RPO 28 h")
    assert metrics["Slowest restore test"] == ("–", "none has passed in this window")
    [misses] = [frame.value for frame in app.dataframe if "Cause" in frame.value]
    assert list(misses["State"]) == ["✕ missed", "▲ late"]
    assert misses["Cause"][0] == "Never started: no worker took it up."
    longer = open_page(inst, "slo", days="90")
    assert headings(longer)[0].endswith("38 of 40 slots were satisfied within the deadline")


def test_the_slo_page_of_one_database_is_chosen_by_its_url(open_page: OpenPage, tmp_path: Path) -> None:
    inst = scheduled(tmp_path, "orders", "users", missed=(), late=())
    add_run(inst, "orders", NOW, state="failed", error="x")
    everywhere = open_page(inst, "slo")
    assert headings(everywhere)[0].endswith("60 of 60 slots were satisfied within the deadline")
    assert ":green[" in everywhere.markdown[0].value
    assert "No slot of this window was late or missed" in everything(everywhere)
    [table] = [frame.value for frame in everywhere.dataframe if "RPO achieved" in frame.value]
    assert list(table["Database"]) == ["orders", "users"]
    assert list(table["Misses left"]) == ["0 of 0", "0 of 0"]
    assert list(table["RPO achieved"]) == ["✓ 24 h 00 min · limit 28 h"] * 2
    one = open_page(inst, "slo", db="users")
    assert headings(one)[0].endswith("30 of 30 slots were satisfied within the deadline")
    assert not [frame for frame in one.dataframe if "RPO achieved" in frame.value]


def test_while_no_slot_has_passed_its_deadline_nothing_is_green(open_page: OpenPage, tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders", schedule=DAILY, clock=SetClock(NOW.replace(hour=1)))
    sync_schedules(inst)
    clock_of(inst).now = NOW.replace(hour=3)
    add_backup(inst, "orders", NOW.replace(hour=2, minute=5))
    app = open_page(inst, "slo")
    assert headings(app)[0].endswith("No slot has passed its deadline yet")
    assert ":gray[" in app.markdown[0].value
    assert next(metric for metric in app.metric if metric.label == "Slots satisfied").value == "–"


def test_the_overview_is_at_risk_after_a_missed_slot_and_its_strip_says_which_day(
    open_page: OpenPage, tmp_path: Path
) -> None:
    inst = scheduled(tmp_path, missed=(0,), late=(5,))
    app = open_page(inst)
    text = everything(app)
    assert "Last slot, due 10 h ago, missed · deadline 4 h" in text.replace("\\", "")
    assert "28 of 30 days with every slot satisfied · 1 late · 1 missed" in text


def test_the_queries_of_the_schedules_page_do_not_grow(tmp_path: Path) -> None:
    few = scheduled(tmp_path / "few", days=3)
    many = scheduled(tmp_path / "many", "orders", "users", "billing", days=40)
    clock_of(many).now = NOW + timedelta(hours=17)
    start_due_runs(many)
    set_schedule(many, NAME, cron="0 * * * *", actor="ada")
    clock_of(many).now += timedelta(hours=20)
    counts = [count_queries(inst, lambda inst=inst: load_schedules(inst)) for inst in (few, many)]  # type: ignore[misc]
    assert counts == [3, 4], "one more for the causes of misses, however many there are"


def timeline_of(inst: Installation) -> dict[str, Any]:
    seen = load_schedules(inst)
    return timeline(timeline_frame(seen.rows), seen.now, AROUND, LIGHT).to_dict()


def test_the_timeline_shows_the_day_before_and_after_now(tmp_path: Path) -> None:
    inst = scheduled(tmp_path, missed=(0,))
    spec = timeline_of(inst)
    rows = [row for data in spec["datasets"].values() for row in data if "shape" in row]
    shown = {(row["schedule"], row["due"][:16], row["shape"]) for row in rows if row["schedule"] in (NAME, "janitor")}
    assert shown == {
        (NAME, "2026-11-22T02:00", "bad"), (NAME, "2026-11-23T02:00", "ahead"),
        ("janitor", "2026-11-22T04:00", "open"), ("janitor", "2026-11-23T04:00", "ahead"),
    }  # fmt: skip
    marks = spec["layer"][1]
    assert marks["encoding"]["x"]["scale"]["domain"] == ["2026-11-21T12:00:00", "2026-11-23T12:00:00"]
    shapes = marks["encoding"]["shape"]["scale"]
    assert len(set(shapes["range"])) == len(shapes["domain"]) == 6, "each with a silhouette of its own"


def test_a_day_of_a_database_is_named_by_the_worst_of_its_slots(tmp_path: Path) -> None:
    inst = scheduled(tmp_path, "orders", "users", missed=(3,))
    inst.catalog.backups.add(replace(inst.catalog.backups.list(database="users")[0], excluded=("public.x",)))
    slo = load_slo(inst)
    strips, calendar = days_frame(slo), calendar_frame(slo)
    assert len(strips) == 2 * 30
    assert len(calendar) == 30
    assert strips.set_index(["database", "day"]).loc[("users", "2026-11-22"), "state"] == "missed"
    assert calendar.set_index("day").loc["2026-11-22", "words"] == "1 of 2 slots satisfied · 1 missed"
    assert calendar.set_index("day").loc["2026-11-15", "state"] == "late"
    assert set(calendar["weekday"]) == {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
    assert days_words(slo).startswith(
        "orders: 30 days with slots: 28 with every slot satisfied, 1 with a late one, 1 with a missed one. users: "
    )
    for chart in (slot_strips(strips, DARK), slot_calendar(calendar, DARK)):
        squares, others = chart.to_dict()["layer"]
        assert (squares["mark"]["type"], squares["mark"]["color"]) == ("rect", DARK.ok)
        assert len(set(others["encoding"]["shape"]["scale"]["range"])) == 4
        assert others["encoding"]["color"]["scale"]["range"] == [DARK.warning, DARK.failure, DARK.running, DARK.idle]
    assert datetime.fromisoformat(str(calendar["week"][0])).weekday() == 0
