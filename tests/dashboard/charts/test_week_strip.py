"""The strip of a week by its specification."""

from __future__ import annotations

import re
from datetime import date, timedelta

from dashboard.charts.spec import chart_spec
from dashboard.charts.week_strip import HEAD, ROW, SHAPES, WEEK_COLUMNS, week_frame, week_strip
from dashboard.theme import DARK, LIGHT
from services.review.figures import DURATION, SIZE, make_figure
from services.review.model import DatabaseWeek, DayOfSlots

MONDAY = date(2026, 11, 9)
DAYS = (
    DayOfSlots(MONDAY, satisfied=1, words="1 slot satisfied"),
    DayOfSlots(MONDAY, satisfied=3, missed=1, words="missed"),
    DayOfSlots(MONDAY, satisfied=1, late=1),
    DayOfSlots(MONDAY, open=1),
    DayOfSlots(MONDAY, good_backups=1),
    DayOfSlots(MONDAY),
    DayOfSlots(MONDAY, late=1, missed=1),
)


def week(name: str) -> DatabaseWeek:
    days = tuple(DayOfSlots(**(vars(day) | {"day": MONDAY + timedelta(n)})) for n, day in enumerate(DAYS))
    nothing = make_figure("d", "D", DURATION, [None] * 5, better="less")
    size = make_figure("s", "S", SIZE, [None] * 5, better="neither")
    return DatabaseWeek(name, None, days, nothing, size, size)


def test_there_is_a_row_a_database_and_day_with_the_worst_of_its_slots() -> None:
    frame = week_frame([week("orders"), week("billing")])
    assert tuple(frame.columns) == WEEK_COLUMNS
    assert list(frame["database"]) == ["orders"] * 7 + ["billing"] * 7
    assert list(frame["day"][:7]) == ["Mon 9", "Tue 10", "Wed 11", "Thu 12", "Fri 13", "Sat 14", "Sun 15"]
    assert list(frame["state"][:7]) == ["satisfied", "missed", "late", "open", "backup", "nothing", "missed"]
    assert list(frame["count"][:7]) == ["", "3/4", "1/2", "", "", "", "0/2"], "only of several slots"
    assert len(week_frame([])) == 0


def test_each_state_has_a_silhouette_and_a_colour_of_its_own() -> None:
    spec = chart_spec(week_strip, LIGHT, 2)
    marks = spec["layer"][0]["encoding"]
    assert marks["shape"]["scale"] == {"domain": list(SHAPES), "range": list(SHAPES.values())}
    assert len(set(SHAPES.values())) == len(SHAPES)
    colours = dict(zip(marks["color"]["scale"]["domain"], marks["color"]["scale"]["range"], strict=True))
    assert colours["satisfied"] == LIGHT.ok
    assert colours["late"] == LIGHT.warning
    assert colours["missed"] == LIGHT.failure
    assert chart_spec(week_strip, DARK, 2)["layer"][0]["encoding"]["color"]["scale"]["range"][2] == DARK.failure
    for path in SHAPES.values():
        assert all(abs(float(number)) <= 1 for number in re.findall(r"-?\d*\.?\d+", path))


def test_a_row_is_as_high_for_twenty_databases_as_for_one_and_nothing_is_wider_than_the_page() -> None:
    for databases in (1, 20):
        spec = chart_spec(week_strip, LIGHT, databases)
        assert spec["height"] == HEAD + ROW * databases
        assert "width" not in spec
