"""The charts of the Trends page, by their rows and their specifications."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.pages.catalogue import Plan, fill_catalogue
from dashboard.charts.calendar import CALENDAR_COLUMNS, calendar_chart, calendar_panel, calendar_rows, calendar_words
from dashboard.charts.line import LINE_COLUMNS, PICKED, SERIES, SLOTS, UNUSUAL, line_chart, series_colours
from dashboard.charts.panel import Panel
from dashboard.charts.rows import Unit, apart, is_wide, room_for, unit_of, when
from dashboard.charts.spec import ROWS, chart_spec
from dashboard.charts.success import DAYS, RUNS, SUCCESS_ROW_COLUMNS, success_chart
from dashboard.charts.trends import panels
from dashboard.theme import DARK, LIGHT, Palette
from services.catalog.summaries import Day
from services.installation import Installation
from services.trends.query import TrendsQuery, choose_days
from services.trends.trends import Trends, load_trends
from tests.dashboard.charts.test_strip import CONFIG, contrast
from tests.pages.worlds import NOW, add_backup, add_verification, installation

TODAY = NOW.date()


@pytest.fixture
def orders(tmp_path: Path) -> Installation:
    """Thirty daily backups of one database: growing, one slow, one small; restore tests; one failed day."""
    inst = installation(tmp_path, "orders")
    for days in range(30, 0, -1):
        at, seconds = NOW - timedelta(days=days), 90 if days == 5 else 30
        size = 10**9 + (30 - days) * 10**7
        backup = add_backup(
            inst, "orders", at, started_at=at - timedelta(seconds=seconds), database_bytes=size,
            stored_bytes=5 * 10**6 if days == 3 else 2 * 10**8, plain_bytes=size,
        )  # fmt: skip
        if days % 10 == 0:
            add_verification(inst, backup, at + timedelta(hours=1))
    return inst


def seen(inst: Installation, *names: str, **days: Any) -> Trends:
    first, last = choose_days(NOW, **(days or {"span": "30 days"}))
    return load_trends(inst, TrendsQuery(first, last, names or ("orders",), everything=True))


def by_key(found: Trends) -> dict[str, Panel]:
    return {panel.key: panel for panel in panels(found)}


def kind(panel: Panel, name: str) -> pd.DataFrame:
    return panel.rows[panel.rows["kind"] == name]


def test_there_is_a_chart_for_each_question(orders: Installation) -> None:
    assert list(by_key(seen(orders))) == [
        "duration", "throughput", "database-size", "backup-size", "success", "restore-time", "storage-usage",
    ]  # fmt: skip
    for panel in panels(seen(orders)):
        assert panel.words
        assert panel.title
        assert not panel.table.empty


def test_an_axis_counts_in_the_unit_that_fits_and_says_so(orders: Installation) -> None:
    found = by_key(seen(orders))
    assert {key: panel.options[0] for key, panel in found.items() if panel.options} == {
        "duration": "Duration (s)", "throughput": "Throughput (MB/s)", "database-size": "Size (GB)",
        "backup-size": "Size (MB)", "restore-time": "Restore (s)", "storage-usage": "Stored (MB)",
    }  # fmt: skip
    sizes = kind(found["database-size"], "point")
    assert sizes["value"].iloc[-1] == pytest.approx(1.29)
    assert found["database-size"].table["database_bytes"].iloc[-1] == 1_290_000_000, "files have whole bytes"


@pytest.mark.parametrize(
    ("values", "what", "unit"),
    [
        ([0.0, 90.0], "seconds", Unit("s", 1)), ([3600.0], "seconds", Unit("min", 60)),
        ([7200.0, 5.0], "seconds", Unit("h", 3600)), ([999.0], "bytes", Unit("B", 1)),
        ([float("nan"), 2e12], "bytes", Unit("TB", 1e12)), ([], "bytes", Unit("B", 1)),
    ],
)  # fmt: skip
def test_the_unit_is_that_of_the_largest_value(values: list[float], what: str, unit: Unit) -> None:
    assert unit_of(values, what) == unit


def test_an_outlier_has_a_mark_of_its_own_and_its_reason(orders: Installation) -> None:
    found = by_key(seen(orders))
    (slow,) = kind(found["duration"], "outlier").itertuples()
    assert (slow.slot, slow.value) == ("slower", 90)
    assert slow.words.endswith("took 1 min 30 s, 3.0 times the median of the backups before it (30 s)")
    assert slow.backup_id in set(kind(found["duration"], "point")["backup_id"])
    (small,) = kind(found["backup-size"], "outlier").itertuples()
    assert (small.slot, small.value) == ("smaller", 5)
    assert kind(found["database-size"], "outlier").empty
    assert "▲ 1 took over twice the usual" in found["duration"].caption
    assert "▼ 1 over 30 % smaller than usual" in found["backup-size"].caption


def test_sizes_have_a_band_ahead_and_durations_have_none(orders: Installation) -> None:
    found = by_key(seen(orders))
    band = kind(found["database-size"], "forecast")
    assert (band["low"] <= band["value"]).all()
    assert (band["value"] <= band["high"]).all()
    ahead = (band["at"].max() - kind(found["database-size"], "point")["at"].max()).days
    assert ahead == 30, "as far as is looked back"
    assert "expected in 90 days: 2.19 GB" in found["database-size"].caption
    assert kind(found["duration"], "forecast").empty


def test_a_range_in_the_past_forecasts_nothing(orders: Installation) -> None:
    found = by_key(seen(orders, first=TODAY - timedelta(days=30), last=TODAY - timedelta(days=2)))
    assert all(kind(panel, "forecast").empty for panel in found.values() if panel.make is line_chart)
    assert "expected" not in found["database-size"].words


def test_too_few_points_say_why_there_is_no_forecast(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    add_backup(inst, "orders", NOW - timedelta(days=1))
    assert "Too little for a forecast" in by_key(seen(inst))["backup-size"].caption


def test_every_point_leads_to_its_backup(orders: Installation) -> None:
    found = by_key(seen(orders))
    ids = {backup.id for backup in orders.catalog.backups.list()}
    for key in ("duration", "throughput", "database-size", "backup-size", "restore-time"):
        assert found[key].leads
        assert set(kind(found[key], "point")["backup_id"]) <= ids
    assert not found["success"].leads
    assert not found["storage-usage"].leads


def test_a_limit_is_a_rule_with_its_name_or_said_where_it_is_far(orders: Installation, tmp_path: Path) -> None:
    far = by_key(seen(orders))["restore-time"]
    assert kind(far, "limit").empty
    assert far.words.endswith("limit: RTO 1 h, far above all of them")
    inst = installation(tmp_path / "near", "orders")
    database = inst.settings.databases[0].model_copy(update={"rto": timedelta(seconds=20)})
    inst.settings = inst.settings.model_copy(update={"databases": (database,)})
    add_verification(inst, add_backup(inst, "orders", NOW - timedelta(days=2)), NOW - timedelta(days=1))
    (limit,) = kind(by_key(seen(inst))["restore-time"], "limit").itertuples()
    assert (limit.value, limit.label) == (20, "RTO 20 s")


def test_a_storages_room_is_a_rule_and_its_end_is_said(orders: Installation) -> None:
    storage = orders.settings.storages[0].model_copy(update={"limit_bytes": 3 * 10**8})
    orders.settings = orders.settings.model_copy(update={"storages": (storage,)})
    panel = by_key(seen(orders))["storage-usage"]
    (limit,) = kind(panel, "limit").itertuples()
    assert limit.label == "room in local: 300 MB"
    assert panel.words.startswith("local holds 252 MB of 300 MB, full in about ")
    assert panel.wide


def many(tmp_path: Path, count: int) -> tuple[Installation, tuple[str, ...]]:
    plan = Plan(NOW, databases=count, days=40, backups=40 * count, tables=2)
    inst = installation(tmp_path, *plan.names)
    fill_catalogue(inst.catalog, plan)
    return inst, plan.names


def test_of_many_databases_the_largest_have_lines_each_with_its_name(tmp_path: Path) -> None:
    inst, names = many(tmp_path, 8)
    trends = seen(inst, *names)
    panel = by_key(trends)["duration"]
    assert set(kind(panel, "name")["label"]) == set(trends.largest(6))
    assert set(kind(panel, "point")["series"]) == set(trends.largest(6))
    assert set(kind(panel, "point")["slot"]) == set(SERIES)
    assert any(flag.startswith("named:") for flag in panel.options[1:])
    assert by_key(trends)["success"].table["days"].max() == 8, "success counts all of them"


def test_one_database_needs_no_name_in_its_chart(orders: Installation) -> None:
    panel = by_key(seen(orders))["duration"]
    assert kind(panel, "name").empty
    assert panel.options == ("Duration (s)",)


def test_sizes_that_differ_much_have_a_logarithmic_axis_that_says_so(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders", "users")
    for days in range(5):
        add_backup(inst, "orders", NOW - timedelta(days=days), database_bytes=10**12)
        add_backup(inst, "users", NOW - timedelta(days=days), database_bytes=10**9)
    options = by_key(seen(inst, "orders", "users"))["database-size"].options
    assert options[0] == "Size (TB, logarithmic)"
    assert "log" in options


def test_names_do_not_lie_upon_each_other() -> None:
    assert apart([5, 5.1, 20, 4.9], 1) == pytest.approx([5.9, 6.9, 20, 4.9])
    assert apart([], 1) == []
    assert is_wide([1, 31])
    assert not is_wide([1, 30])
    assert not is_wide([0, 0])
    assert [room_for([name]) for name in ("db", "la_factoria", "a" * 60)] == ["named:55", "named:85", "named:115"]


@pytest.mark.parametrize(
    ("bucket", "words"),
    [(None, "2 Nov 02:00 UTC"), ("day", "2 Nov 2026"), ("week", "the week of 02 Nov 2026"), ("month", "November 2026")],
)
def test_a_tooltip_says_when(bucket: Any, words: str) -> None:
    assert when(pd.Timestamp("2026-11-02T02:00:00Z"), bucket) == words


def layers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = spec["layer"]
    return found


def test_outliers_are_triangles_points_can_be_picked_and_a_thresholds_rule_is_labelled() -> None:
    spec = chart_spec(line_chart, LIGHT, "Duration (s)")
    assert [param["name"] for param in spec["params"]] == [PICKED]
    assert spec["params"][0]["select"]["fields"] == ["backup_id"]
    points = next(layer for layer in layers(spec) if "shape" in layer["encoding"])
    assert points["name"] in spec["params"][0]["views"]
    shapes = dict(zip(*(points["encoding"]["shape"]["scale"][key] for key in ("domain", "range")), strict=True))
    assert [shapes[slot] for slot in UNUSUAL] == ["triangle-up", "triangle-down"]
    assert len(set(shapes.values())) == len(SLOTS), "no two series have one silhouette"
    limits = [layer for layer in layers(spec) if "limit" in str(layer["transform"])]
    assert [layer["mark"]["type"] for layer in limits] == ["rule", "text"]
    times = [layer["encoding"]["x"] for layer in layers(spec) if "field" in layer["encoding"].get("x", {})]
    assert all(x["scale"] == {"type": "utc"} for x in times)
    assert {layer["encoding"]["y"].get("title") for layer in layers(spec)} == {"Duration (s)"}


def test_what_is_stored_lasts_until_the_next_day_and_leads_nowhere() -> None:
    spec = chart_spec(line_chart, LIGHT, "Stored (GB)", "steps")
    assert "params" not in spec
    assert [layer["mark"]["interpolate"] for layer in layers(spec) if "interpolate" in layer["mark"]] == ["step-after"]


@pytest.mark.parametrize("make", [line_chart, success_chart, calendar_chart])
def test_a_specification_holds_no_rows_and_is_made_once(make: Callable[..., Any]) -> None:
    options = ("Size (GB)",) if make is line_chart else ()
    spec = chart_spec(make, DARK, *options)
    assert spec["data"] == {"name": ROWS}
    assert "datasets" not in spec
    spec["data"] = "changed"
    assert chart_spec(make, DARK, *options)["data"] == {"name": ROWS}


@pytest.mark.parametrize(("name", "colours"), [("light", LIGHT), ("dark", DARK)])
def test_series_can_be_seen_and_none_looks_like_a_state(name: str, colours: Palette) -> None:
    ground = CONFIG["theme"][name]["backgroundColor"]
    found = series_colours(colours)
    assert len(set(found)) == len(SERIES)
    assert all(contrast(colour, ground) >= 4.5 for colour in found), "their names are text"
    assert not {colours.ok, colours.warning, colours.failure} & set(found)


def test_the_rows_of_the_lines_have_their_columns(orders: Installation) -> None:
    for panel in panels(seen(orders)):
        expected = SUCCESS_ROW_COLUMNS if panel.make is success_chart else LINE_COLUMNS
        assert tuple(panel.rows.columns) == expected
        assert str(panel.rows["at"].dt.tz) == "UTC"


def test_success_is_told_by_runs_and_by_days(orders: Installation) -> None:
    panel = by_key(seen(orders))["success"]
    assert set(panel.rows["kind"]) == {DAYS, "edge"}, "no run made these backups"
    assert panel.words == "100 % of 29 days have a good backup · promised 99.9 %"
    spec = chart_spec(success_chart, LIGHT)
    domains = [layer["encoding"]["shape"]["scale"]["domain"] for layer in layers(spec) if "shape" in layer["encoding"]]
    assert domains == [[RUNS, DAYS]]


# -- the calendar -----------------------------------------------------------------------------------------------------

FIRST = date(2026, 11, 2)  # a Monday


def week(**states: str) -> list[Day]:
    """Return days from Monday on: g(ood), p(artial), f(ailed), - (none), t (good, and tested)."""
    counts = {"g": (1, 0, 0, 0), "p": (0, 1, 0, 0), "f": (0, 0, 1, 0), "t": (1, 0, 0, 1)}
    return [
        Day(name, FIRST + timedelta(days=n), *counts[sign], 0)
        for name, signs in states.items()
        for n, sign in enumerate(signs)
        if sign != "-"
    ]


def rows_of(days: list[Day], *names: str, begun: date = FIRST, today: date = date(2027, 1, 1)) -> pd.DataFrame:
    last = FIRST + timedelta(days=6)
    rows = calendar_rows(days, names, dict.fromkeys(names, begun), last=last, length=7, today=today)
    return rows[rows["state"] != ""].reset_index(drop=True)


def test_a_day_is_as_good_as_the_database_that_fared_worst() -> None:
    rows = rows_of(week(orders="ggpf-gt", users="ggggggg"), "orders", "users")
    assert tuple(rows.columns) == CALENDAR_COLUMNS
    assert list(rows["state"]) == ["good", "good", "partial", "failed", "none", "good", "good"]
    assert list(rows["weekday"]) == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert rows["words"][3] == "1 of 2 databases have a good backup · failed: orders"
    assert rows["words"][6] == "2 of 2 databases have a good backup · 1 restore test passed"
    assert list(rows["tested"]) == [0, 0, 0, 0, 0, 0, 1]


def test_one_database_is_said_without_its_name() -> None:
    rows = rows_of(week(orders="gpf-"), "orders")
    assert list(rows["words"][:4]) == ["a good backup", "partial only", "failed", "no backup"]
    assert calendar_words(rows, 1) == (
        "1 of 7 days with a good backup · 1 with a partial one only · 1 on which it failed · 4 without · "
        "0 restore tests passed"
    )


def test_a_database_counts_from_its_first_backup_and_today_only_once_something_happened() -> None:
    rows = rows_of(week(orders="---gg--"), "orders", begun=FIRST + timedelta(days=3), today=FIRST + timedelta(days=6))
    assert list(rows["weekday"]) == ["Thu", "Fri", "Sat"]
    assert rows_of([], "orders", begun=date(2027, 1, 1)).empty
    assert len(calendar_rows([], ("orders",), {}, last=FIRST, length=365, today=FIRST)) == 0


def test_each_state_of_a_day_has_a_silhouette_of_its_own() -> None:
    spec = chart_spec(calendar_chart, LIGHT)
    marks = [layer["mark"] for layer in layers(spec)]
    assert [mark["type"] for mark in marks] == ["rect", "point", "point", "point", "point", "text"]
    assert [mark["shape"] for mark in marks if "shape" in mark] == ["triangle-up", "cross", "stroke", "diamond"]


def test_a_layer_of_the_calendar_has_every_week() -> None:
    """The columns are the weeks that any layer draws, so one that draws nothing has to have them all."""
    [months] = [layer for layer in layers(chart_spec(calendar_chart, LIGHT)) if layer["mark"]["type"] == "text"]
    assert months["transform"] == [{"filter": "datum.state === ''"}]


def test_the_calendar_is_of_the_year_that_ends_with_the_range(orders: Installation) -> None:
    panel = calendar_panel(seen(orders))
    assert sum(panel.rows["state"] != "") == 30
    assert panel.rows["week"].max() == pd.Timestamp(datetime(2026, 11, 16, tzinfo=UTC))
    assert panel.rows["week"].nunique() == 53, "a month of history does not stretch over the whole width"
    assert [month for month in panel.rows["month"] if month][-3:] == ["Sep", "Oct", "Nov"]
    assert list(panel.table.columns[:3]) == ["database", "at", "state"]
    assert panel.words.startswith("30 of 30 days with a good backup")
