"""How full a storage is and what was stored over time, by the charts' specifications."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from dashboard.charts.line import series_colours
from dashboard.charts.storage import (
    MOST_SERIES,
    OTHERS,
    ROOM_COLUMNS,
    STORED_COLUMNS,
    room_bar,
    room_frame,
    stored_area,
    stored_frame,
    stored_words,
)
from dashboard.storage_frames import class_frame, tier_frame
from dashboard.theme import DARK, LIGHT
from services.capacity.storage_use import Level, StorageCard, Use
from services.capacity.tiers import TierUse
from services.catalog.usage import Held

GB = 10**9
DAY = date(2026, 11, 22)


def card(used: int, *, limit: int = 100 * GB, next_bytes: int = GB) -> StorageCard:
    return StorageCard(
        name="r2", url="s3://b/p", used=Use(3, used), by_database={}, by_type={}, by_class={}, cold_classes=(),
        limit_bytes=limit, free_bytes=None, warn_percent=80, growth_bytes_per_day=None, next_bytes=next_bytes,
        wanting=0,
    )  # fmt: skip


def history(databases: int = 2) -> list[Level]:
    return [
        Level(storage, f"db{n}", DAY - timedelta(days=7 * (2 - week)), (n + 1) * (week + 1) * GB)
        for storage in ("r2", "disk")
        for n in range(databases)
        for week in range(3)
    ]


def test_the_bar_is_what_is_used_and_what_is_left() -> None:
    frame = room_frame(card(25 * GB))
    assert tuple(frame.columns) == ROOM_COLUMNS
    assert list(frame["to"]) == [25 * GB, 100 * GB]
    assert list(frame["words"]) == ["25.0 GB used, 25 %", "75.0 GB left"]


@pytest.mark.parametrize(
    ("used", "colour"), [(25 * GB, LIGHT.running), (85 * GB, LIGHT.warning), (100 * GB, LIGHT.failure)]
)
def test_the_threshold_stands_in_the_bar_and_its_colour_is_the_verdicts(used: int, colour: str) -> None:
    spec = room_bar(room_frame(card(used)), card(used), LIGHT).to_dict()
    bars, line = spec["layer"]
    assert bars["encoding"]["color"]["scale"]["range"] == [colour, LIGHT.faint]
    assert line["mark"]["type"] == "rule"
    assert spec["datasets"][line["data"]["name"]][0]["at"] == 80 * GB


def test_more_used_than_fits_fills_the_bar_and_no_more() -> None:
    assert list(room_frame(card(120 * GB))["to"]) == [100 * GB, 100 * GB]


def test_storages_are_added_up_or_shown_one_by_one() -> None:
    frame = stored_frame(history())
    assert tuple(frame.columns) == STORED_COLUMNS
    assert list(frame["series"]) == ["db1"] * 3 + ["db0"] * 3
    assert list(frame["bytes"]) == [4 * GB, 8 * GB, 12 * GB, 2 * GB, 4 * GB, 6 * GB]
    assert list(stored_frame(history(), "disk")["bytes"]) == [2 * GB, 4 * GB, 6 * GB, GB, 2 * GB, 3 * GB]
    assert stored_words(frame) == ("6.00 GB a year ago, 18.0 GB today, at most 18.0 GB; most of it is db1 with 12.0 GB")


def test_with_many_databases_the_smallest_are_one_series_and_nothing_is_lost() -> None:
    frame = stored_frame(history(30))
    assert list(dict.fromkeys(frame["series"]))[-1] == OTHERS
    assert frame["series"].nunique() == MOST_SERIES + 1
    assert frame["bytes"].sum() == sum(level.bytes for level in history(30))


def test_the_area_is_stacked_in_the_order_of_size_and_names_its_unit() -> None:
    spec = stored_area(stored_frame(history()), DARK, dark=True).to_dict()
    assert spec["mark"]["type"] == "area"
    assert spec["encoding"]["y"]["stack"] == "zero"
    assert spec["encoding"]["y"]["axis"]["title"] == "GB"
    assert spec["encoding"]["color"]["scale"]["domain"] == ["db1", "db0"]
    light = stored_area(stored_frame(history()), LIGHT, dark=False).to_dict()
    assert light["encoding"]["color"]["scale"]["range"] != spec["encoding"]["color"]["scale"]["range"]


def test_nothing_stored_is_said_so() -> None:
    assert stored_frame([]).empty
    assert stored_words(stored_frame([])) == "Nothing was stored yet."


def test_the_table_has_a_column_for_each_class_the_warmest_first() -> None:
    held = [
        Held("r2", "db0", "scheduled", "GLACIER", 2, 5),
        Held("r2", "db0", "scheduled", "STANDARD", 1, 3),
        Held("disk", "db1", "on-demand", "STANDARD", 4, 90),
        Held("disk", "db1", "on-demand", "ODD", 1, 1),
    ]
    frame = class_frame(held)
    assert list(frame.columns) == ["Database", "Type", "Copies", "Standard", "Glacier Flexible Retrieval", "ODD", "All"]
    assert frame.to_numpy().tolist() == [["db1", "on-demand", 5, 90, 0, 1, 91], ["db0", "scheduled", 3, 3, 5, 0, 8]]
    assert class_frame([]).empty


def test_the_table_of_the_tiers_has_a_column_for_each_and_leaves_out_who_has_nothing() -> None:
    uses = [TierUse("db0", "daily", 2, 30), TierUse("db0", "other", 1, 5), TierUse("db1", "none", 1, 90)]
    frame = tier_frame([*uses, TierUse("empty", "daily", 0, 0)])
    assert list(frame.columns) == ["Database", "Daily", "Weekly", "Monthly", "Yearly", "No tier", "Goes next"]
    assert frame.to_numpy().tolist() == [["db1", 0, 0, 0, 0, 0, 90], ["db0", 30, 0, 0, 0, 5, 0]]
    assert tier_frame([]).empty


def test_a_database_has_the_colour_of_its_trends() -> None:
    spec = stored_area(stored_frame(history(3)), LIGHT, dark=False).to_dict()
    scale = spec["encoding"]["color"]["scale"]
    assert scale["domain"] == ["db2", "db1", "db0"], "the largest first"
    assert scale["range"] == list(reversed(series_colours(LIGHT)[:3]))
    many = stored_area(stored_frame(history(12)), DARK, dark=True).to_dict()["encoding"]["color"]["scale"]
    assert len(set(many["range"])) == len(many["domain"]) == MOST_SERIES + 1
