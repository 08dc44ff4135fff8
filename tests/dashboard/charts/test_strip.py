"""The month's strip by its specification, and the colours that it shares with the theme."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from dashboard.charts.spec import chart_spec
from dashboard.charts.strip import STRIP_COLUMNS, day_strip, strip_frame, strip_words
from dashboard.theme import DARK, LIGHT, Palette, palette
from services.catalog.summaries import Day
from services.schedules.outcomes import SlotDay

CONFIG = tomllib.loads((Path(__file__).parents[3] / ".streamlit/config.toml").read_text())
FIRST = date(2026, 11, 1)


def month() -> list[Day]:
    kinds = {1: (0, 0, 2), 2: (0, 1, 0), 3: (0, 0, 0), 4: (1, 0, 1)}
    return [Day("orders", FIRST + timedelta(n), *kinds.get(n, (1, 0, 0)), int(n == 5), 0) for n in range(30)]


def month_with_slots() -> list[Day]:
    """As a schedule was switched on after 20 days; then one late day, one missed, the last one open."""
    later = {
        n: SlotDay(FIRST + timedelta(n), 1, 0, 0, 0) for n in range(20, 30)
    } | {
        24: SlotDay(FIRST + timedelta(24), 0, 1, 0, 0), 26: SlotDay(FIRST + timedelta(26), 23, 0, 1, 0),
        29: SlotDay(FIRST + timedelta(29), 0, 0, 0, 1),
    }  # fmt: skip
    return [replace(day, slots=later.get(n)) for n, day in enumerate(month())]


def test_the_slots_of_a_day_decide_it_and_the_worst_of_them_is_shown() -> None:
    frame = strip_frame(month_with_slots())
    assert list(frame["state"][18:]) == ["good", "good", *["satisfied"] * 4, "late", "satisfied", "missed",
                                         *["satisfied"] * 2, "open"]  # fmt: skip
    assert frame.loc[26, "words"] == "23 of 24 slots satisfied · 1 missed · 1 good"
    assert frame.loc[29, "words"] == "0 of 1 slot satisfied · 1 open · 1 good"
    assert dict(zip(frame["state"], frame["top"], strict=True))["late"] == 0.5
    assert strip_words(frame) == (
        "7 of 9 days with every slot satisfied · 1 late · 1 missed · 1 open · "
        "17 of 20 days without a slot had a good backup · 1 with a partial one only · 1 on which it failed · "
        "1 without · 1 restore test passed"
    )
    assert strip_words(frame[20:29]) == (
        "7 of 9 days with every slot satisfied · 1 late · 1 missed · 0 restore tests passed"
    )


def test_a_day_with_a_good_backup_is_good_whatever_failed_before() -> None:
    states = [day.state for day in month()[:5]]
    assert states == ["good", "failed", "partial", "none", "good"]


def test_the_strip_has_one_row_a_day_and_a_height_for_each_state() -> None:
    frame = strip_frame(month())
    assert tuple(frame.columns) == STRIP_COLUMNS
    assert len(frame) == 30
    assert dict(zip(frame["state"], frame["top"], strict=True)) == {
        "good": 1.0,
        "failed": 0.0,
        "partial": 0.5,
        "none": 0.0,
    }
    assert frame.loc[4, "words"] == "1 good · 1 failed"
    assert frame.loc[3, "words"] == "no backup"


def test_each_state_has_a_silhouette_of_its_own_beside_its_colour() -> None:
    spec = day_strip(strip_frame(month()), LIGHT).to_dict()
    marks = [layer["mark"] for layer in spec["layer"]]
    assert [mark["type"] for mark in marks] == ["bar", "point", "point", "point", "point"]
    assert [mark.get("shape") for mark in marks[1:]] == ["cross", "stroke", "square", "diamond"]
    assert marks[1]["color"] == LIGHT.failure
    scale = spec["layer"][0]["encoding"]["color"]["scale"]
    assert scale == {
        "domain": ["satisfied", "good", "late", "partial"],
        "range": [LIGHT.ok, LIGHT.ok, LIGHT.warning, LIGHT.warning],
    }


def test_the_specification_is_the_same_for_every_database_so_it_is_built_once() -> None:
    without_rows = {"data", "datasets"}
    once = {name: part for name, part in chart_spec(day_strip, DARK).items() if name not in without_rows}
    for days in (month(), month_with_slots(), []):
        spec = day_strip(strip_frame(days), DARK).to_dict()
        layers = {name: part for name, part in spec.items() if name not in without_rows}
        assert layers["layer"] == once["layer"]
    assert chart_spec(day_strip, LIGHT)["layer"] != once["layer"]


def test_the_strip_is_said_in_words() -> None:
    words = strip_words(strip_frame(month()))
    assert words == (
        "27 of 30 days with a good backup · 1 with a partial one only · 1 on which it failed · 1 without · "
        "1 restore test passed"
    )
    assert strip_words(strip_frame([])) == "0 of 0 days with a good backup · 0 restore tests passed"


@pytest.mark.parametrize(("name", "colours"), [("light", LIGHT), ("dark", DARK)])
def test_charts_and_theme_have_the_same_colours(name: str, colours: Palette) -> None:
    theme = CONFIG["theme"][name]
    keys = ("greenColor", "yellowColor", "redColor", "blueColor", "grayColor", "textColor")
    assert [theme[key] for key in keys] == [
        colours.ok, colours.warning, colours.failure, colours.running, colours.idle, colours.text
    ]  # fmt: skip
    assert palette(name) == colours


@pytest.mark.parametrize("name", ["light", "dark"])
def test_every_colour_of_text_can_be_read_on_its_ground(name: str) -> None:
    theme = CONFIG["theme"][name]
    for colour in ("green", "yellow", "red", "blue", "gray"):
        text = theme[f"{colour}TextColor"]
        for ground in (theme["backgroundColor"], theme[f"{colour}BackgroundColor"]):
            assert contrast(text, ground) >= 4.5, (colour, ground, contrast(text, ground))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2.2 (success criterion 1.4.3)."""
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(part, 16) / 255 for part in re.findall("..", colour.lstrip("#"))]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_page_is_served_to_this_machine_alone_and_tells_nobody() -> None:
    assert CONFIG["server"]["address"] == "127.0.0.1"
    assert CONFIG["server"]["port"] == 8501
    assert CONFIG["browser"]["gatherUsageStats"] is False
    assert CONFIG["client"]["showErrorDetails"] in ("none", "type")
