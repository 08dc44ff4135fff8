"""The pace of growth and the day on which a storage is full."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest

from services.capacity.growth import FAR, LEAST_DAYS, add_up, days_until, levels, slope_per_day

DAY = date(2026, 11, 22)


def test_levels_go_back_from_what_is_held_now() -> None:
    changes = {DAY: 10, DAY - timedelta(days=1): -3, DAY - timedelta(days=9): 5}
    assert levels(100, changes, first=DAY - timedelta(days=3), last=DAY) == [93, 93, 90, 100]


def test_a_level_is_never_below_nothing() -> None:
    assert levels(5, {DAY: 10}, first=DAY - timedelta(days=1), last=DAY) == [0, 5]


def test_changes_of_one_day_are_summed() -> None:
    assert add_up([(DAY, 5), (DAY, -2), (DAY - timedelta(days=1), 1)]) == {DAY: 3, DAY - timedelta(days=1): 1}


@pytest.mark.parametrize("pace", [0, 7, -4])
def test_a_steady_pace_is_found_exactly(pace: int) -> None:
    assert slope_per_day([1000 + pace * n for n in range(90)]) == pace


def test_a_fifth_of_the_days_may_be_out_of_all_proportion() -> None:
    chance = random.Random(7)
    daily = [1000 + 10 * n for n in range(90)]
    for day in chance.sample(range(90), 18):
        daily[day] += chance.choice((-1, 1)) * 10**6
    assert slope_per_day(daily) == pytest.approx(10, abs=5)


def test_with_less_than_a_week_nobody_knows() -> None:
    assert slope_per_day(list(range(LEAST_DAYS - 1))) is None
    assert slope_per_day(list(range(LEAST_DAYS))) == 1


@pytest.mark.parametrize(
    ("room", "pace", "days"),
    [
        (100, 10.0, 10),
        (109, 10.0, 10),
        (0, 10.0, 0),
        (0, None, 0),
        (-5, -1.0, 0),
        (100, 0.0, None),
        (100, -3.0, None),
        (100, None, None),
        (None, 10.0, None),
        (10 * (FAR + 1), 10.0, None),
    ],
)
def test_full_in_so_many_days_or_not_at_all(room: int | None, pace: float | None, days: int | None) -> None:
    assert days_until(room, pace) == days
