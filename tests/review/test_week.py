"""ISO weeks: what may be asked for, also over the end of a year and in years of 53 weeks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import InputError
from services.review.week import BEFORE, Week, parse_label, parse_week, periods, week_of

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "instant, label",
    [
        ("2026-11-09T00:00", "2026-W46"),
        ("2026-11-15T23:59", "2026-W46"),
        ("2020-12-31T12:00", "2020-W53"),
        ("2021-01-03T23:59", "2020-W53"),  # a Sunday: its week has its Thursday in 2020
        ("2021-01-04T00:00", "2021-W01"),
        ("2026-12-31T12:00", "2026-W53"),
        ("2027-01-01T12:00", "2026-W53"),
        ("2024-12-30T00:00", "2025-W01"),  # a Monday in December: the next year's first week
    ],
)
def test_an_instant_lies_in_the_week_that_has_its_thursday(instant: str, label: str) -> None:
    at = datetime.fromisoformat(instant).replace(tzinfo=UTC)
    week = week_of(at)
    assert week.label == label
    assert week.start <= at < week.end
    assert week.start.weekday() == 0


def test_weeks_follow_each_other_over_a_year_of_53_weeks() -> None:
    week = Week(2020, 52)
    found = [week.shifted(n).label for n in range(4)]
    assert found == ["2020-W52", "2020-W53", "2021-W01", "2021-W02"]
    assert Week(2021, 2).shifted(-3) == week
    assert [week.shifted(n).end for n in range(3)] == [week.shifted(n + 1).start for n in range(3)]


@given(st.dates(date(2000, 1, 3), date(2099, 12, 31)))
def test_labels_sort_by_time_and_read_back(day: date) -> None:
    week = week_of(datetime.combine(day, datetime.min.time(), tzinfo=UTC))
    assert parse_label(week.label) == week
    assert week.shifted(-1).label < week.label < week.shifted(1).label
    assert day in week.days
    assert week.shifted(1).shifted(-1) == week


@pytest.mark.parametrize("text", ["2026-W46", "2026-w46", "2026W46", " 2026-W46 ", "last"])
def test_a_week_is_read_in_all_its_spellings(text: str) -> None:
    assert parse_week(text, NOW) == Week(2026, 46)
    assert parse_week("this", NOW) == parse_week("2026-W47", NOW) == Week(2026, 47)


@pytest.mark.parametrize(
    "text, said, hint",
    [
        ("2026-W48", "lies in the future", "2026-W47"),
        ("2031-W01", "lies in the future", "2026-W47"),
        ("2025-W53", "2025 has no week 53", "2025-W01 to 2025-W52"),
        ("2026-W00", "no week 0", "2026-W01 to 2026-W53"),
        ("2026-W54", "no week 54", "2026-W53"),
        ("0001-W01", "before 2000", "2026-W46"),
        ("next", "no week", "'this' or 'last'"),
        ("2026-11-15", "no week", "2026-W46"),
        ("W46", "no week", "2026-W46"),
        ("", "no week", "2026-W46"),
        ("２０２６-W４６", "no week", "2026-W46"),
        ("x" * 500, "no week", "2026-W46"),
    ],
)
def test_a_week_that_cannot_be_is_refused_with_what_is_allowed(text: str, said: str, hint: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        parse_week(text, NOW)
    assert hint in caught.value.hint
    assert len(caught.value.message) < 120
    assert caught.value.exit_code == 2


def test_a_week_that_runs_is_compared_with_the_same_days_and_hours() -> None:
    running = periods(week_of(NOW), NOW)
    assert len(running) == BEFORE + 1
    assert running[-1].end == NOW
    assert all(period.end - period.start == timedelta(days=2, hours=12) for period in running)
    assert all(period.start.weekday() == 0 for period in running)
    whole = periods(Week(2026, 46), NOW)
    assert all(earlier.end == later.start for earlier, later in pairwise(whole))


@pytest.mark.parametrize(
    "week, title",
    [
        (Week(2026, 46), "9–15 Nov 2026"),
        (Week(2026, 40), "28 Sep – 4 Oct 2026"),
        (Week(2020, 53), "28 Dec 2020 – 3 Jan 2021"),
    ],
)
def test_the_days_are_written_as_people_write_them(week: Week, title: str) -> None:
    assert week.title == title
