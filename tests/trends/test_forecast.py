"""The line through what was seen, by figures worked out by hand and by what must hold for any."""

from __future__ import annotations

import statistics
from itertools import combinations
from random import Random

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.trends.forecast import ENOUGH_POINTS, days_until, fit_line
from services.trends.growth import load_growth
from services.trends.points import POINT_COLUMNS

DAYS = [float(day) for day in range(0, 40, 2)]


def test_a_straight_line_is_found_and_has_no_band() -> None:
    line = fit_line(DAYS, [5 + 3 * day for day in DAYS])
    assert line is not None
    assert line.slope == line.slope_low == line.slope_high == pytest.approx(3)
    for day in (0.0, 38.0, 128.0):
        assert (line.low(day), line.at(day), line.high(day)) == pytest.approx((5 + 3 * day,) * 3)


def test_a_fifth_of_wrong_values_hardly_moves_the_line() -> None:
    values = [100 + 2 * day for day in DAYS]
    for wrong in (3, 8, 13, 18):
        values[wrong] *= 50
    line = fit_line(DAYS, values)
    assert line is not None
    assert line.slope == pytest.approx(2, rel=0.1)
    assert line.at(60) == pytest.approx(220, rel=0.05)


def test_the_slope_is_the_median_of_all_pairs_and_its_range_is_sens() -> None:
    """By hand: 8 points, so 28 slopes; sqrt(8·7·21/18) · 1.645 = 13.3 ranks wide, from the 7th to the 21st."""
    days, values = [0.0, 2, 4, 6, 8, 10, 12, 14], [1.0, 4, 3, 9, 7, 12, 10, 16]
    slopes = sorted((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(zip(days, values, strict=True), 2))
    line = fit_line(days, values)
    assert line is not None
    assert len(slopes) == 28
    assert line.slope == pytest.approx(statistics.median(slopes))
    assert (line.slope_low, line.slope_high) == (pytest.approx(slopes[7]), pytest.approx(slopes[21]))


@pytest.mark.parametrize(
    ("days", "values"),
    [
        (DAYS[: ENOUGH_POINTS - 1], [1.0] * (ENOUGH_POINTS - 1)),
        ([0.0, 1, 2, 3, 4, 5, 6], [1.0] * 7),
        (DAYS, [float("nan")] * len(DAYS)),
        ([], []),
    ],
    ids=["few", "a week", "nothing known", "none"],
)
def test_too_little_gives_no_line(days: list[float], values: list[float]) -> None:
    assert fit_line(days, values) is None


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 1e12)), min_size=8, max_size=40),
    st.floats(0, 1e6),
    st.floats(0.5, 100),
)
def test_the_band_holds_the_line_and_moves_with_the_values(
    points: list[tuple[int, float]], shift: float, scale: float
) -> None:
    points = sorted(points)
    days, values = [x for x, _ in points], [y for _, y in points]
    assume(days[-1] - days[0] >= 14)
    line = fit_line(days, values)
    assume(line is not None)
    assert line is not None
    for ahead in (0.0, 30.0, 90.0):
        day = line.last_day + ahead
        assert line.low(day) <= line.at(day) + 1e-3
        assert line.at(day) <= line.high(day) + 1e-3
    other = fit_line(days, [scale * value + shift for value in values])
    assert other is not None
    assert other.slope == pytest.approx(scale * line.slope, rel=1e-6, abs=1e-3)


def test_a_long_past_takes_every_nth_point_and_always_the_newest() -> None:
    days = [float(day) for day in range(2001)]
    line = fit_line(days, [7 * day for day in days])
    assert line is not None
    assert line.last_day == 2000
    assert line.slope == pytest.approx(7)


def test_room_is_used_up_sooner_by_the_steeper_edge_and_never_by_a_falling_line() -> None:
    noise = Random(7)
    values = [10 * day + noise.uniform(-60, 60) for day in DAYS]
    line = fit_line(DAYS, values)
    assert line is not None
    until = days_until(line, 500)
    assert until is not None
    expected, earliest, latest = until
    assert earliest is not None
    assert latest is not None
    assert earliest < expected < latest
    assert expected == pytest.approx(500 / line.slope)
    assert days_until(line, -5) == (0, 0, 0)
    falling = fit_line(DAYS, [-value for value in values])
    assert falling is not None
    assert days_until(falling, 500) is None


def test_growth_is_told_for_each_database_and_size_where_enough_is_known() -> None:
    rows = [
        ("orders", f"2026-11-{day:02d}", 1, 10.0, 10.0, 1e9 + day * 1e7, 2e8, 1e6, f"id{day}", f"b{day}", "scheduled")
        for day in range(1, 21)
    ]
    rows.append(("users", "2026-11-01", 1, 10.0, 10.0, 5e9, 1e9, 1e6, "u", "u", "scheduled"))
    points = pd.DataFrame(rows, columns=list(POINT_COLUMNS))
    points["at"] = pd.to_datetime(points["at"], utc=True)
    found = {(growth.database, growth.measure): growth for growth in load_growth(points)}
    orders = found["orders", "database_bytes"]
    assert orders.bytes_per_day == pytest.approx(1e7)
    assert orders.expected == pytest.approx((2.1e9, 2.1e9, 2.1e9))
    assert found["orders", "stored_bytes"].bytes_per_day == pytest.approx(0)
    users = found["users", "stored_bytes"]
    assert (users.now, users.line, users.expected, users.bytes_per_day) == (1e9, None, None, None)
