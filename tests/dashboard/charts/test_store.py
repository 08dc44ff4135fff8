"""The chart of a store: what it draws, and that it is told without colour and without eyes."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from dashboard.charts.store import (
    COMING,
    LANES,
    STORE_COLUMNS,
    TODAYS,
    horizon_title,
    store_chart,
    store_frame,
    store_words,
)
from dashboard.theme import DARK, LIGHT, Palette
from services.retention.forecast import KeptAt, StoreAt
from tests.retention.lab import DAY, NOW

STORE = StoreAt(
    NOW,
    (
        KeptAt(NOW - timedelta(hours=12), ("daily", "weekly"), False, 900_000),
        KeptAt(NOW - 9 * DAY, (), True, 2_000_000),
        KeptAt(NOW - 700 * DAY, ("yearly",), True, 100_000),
    ),
)


def test_each_kept_backup_stands_in_the_lane_of_each_of_its_tiers() -> None:
    frame = store_frame(STORE)
    assert tuple(frame.columns) == STORE_COLUMNS
    assert list(frame["lane"]) == ["daily", "weekly", "other", "yearly"]
    assert list(frame["days"]) == [0.5, 0.5, 9.0, 700.0]
    assert list(frame["whose"]) == [COMING, COMING, TODAYS, TODAYS]
    assert frame["words"][2] == "kept for another reason · 2.00 MB"
    assert list(store_frame(StoreAt(NOW, ())).columns) == list(STORE_COLUMNS)


def test_a_backup_dated_ahead_is_drawn_at_the_edge() -> None:
    assert list(store_frame(StoreAt(NOW, (KeptAt(NOW + DAY, (), True, 1),)))["days"]) == [0.0]


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_today_and_the_future_differ_in_shape_and_colour_and_old_lies_left(colours: Palette) -> None:
    spec = store_chart(store_frame(STORE), 700, colours).to_dict()
    encoding = spec["encoding"]
    assert encoding["shape"]["scale"] == {"domain": [TODAYS, COMING], "range": ["circle", "diamond"]}
    assert encoding["stroke"]["scale"]["range"] == [colours.running, colours.ok]
    assert encoding["y"]["scale"]["domain"] == list(LANES), "every lane is there, filled or not"
    oldest, newest = encoding["x"]["scale"]["domain"]
    assert oldest > 700
    assert newest == 0
    assert encoding["x"]["scale"]["type"] == "sqrt"
    assert encoding["x"]["axis"]["values"] == [0, 1, 7, 30, 90, 365]
    assert spec["mark"]["aria"] is False


def test_an_empty_store_is_drawn_too() -> None:
    spec = store_chart(store_frame(StoreAt(NOW, ())), 0, LIGHT).to_dict()
    assert spec["encoding"]["x"]["axis"]["values"] == [0, 1, 7, 30]


def test_the_store_is_said_in_words() -> None:
    assert store_words(STORE) == "1 daily, 1 weekly, 0 monthly, 1 yearly; 2 of 3 are there today"
    assert horizon_title(STORE, 30 * DAY) == "In 30 days · 3 backups · 3.00 MB"
    one = StoreAt(NOW, STORE.kept[:1])
    assert horizon_title(one, timedelta(0)) == "Now, cleaned up · 1 backup · 900 kB"
    assert isinstance(store_frame(one), pd.DataFrame)
