"""Which days are looked at, and in what steps."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from services.errors import InputError
from services.trends.query import LONGEST, TrendsQuery, choose_days

NOW = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(("span", "days"), [("30 days", 30), ("90 days", 90), ("12 months", 365), (None, 90)])
def test_a_span_ends_today_and_counts_today(span: str | None, days: int) -> None:
    first, last = choose_days(NOW, span=span)
    assert last == TODAY
    assert (last - first).days + 1 == days


def test_today_is_the_day_in_utc() -> None:
    assert choose_days(NOW.astimezone(tz=None), span="30 days")[1] == TODAY


def test_own_dates_count_both_ends_and_never_reach_into_the_future() -> None:
    assert choose_days(NOW, first=date(2026, 11, 1), last=date(2026, 11, 3)) == (date(2026, 11, 1), date(2026, 11, 3))
    assert choose_days(NOW, first=date(2026, 11, 1), last=date(2027, 1, 1)) == (date(2026, 11, 1), TODAY)
    assert choose_days(NOW, first=date(2026, 11, 1)) == (date(2026, 11, 1), TODAY)
    assert choose_days(NOW, last=date(2026, 11, 1))[0] == date(2026, 8, 4)


@pytest.mark.parametrize(
    ("wish", "message", "hint"),
    [
        (
            {"first": date(2026, 11, 10), "last": date(2026, 11, 9)},
            "ends on 2026-11-09, before it begins on 2026-11-10",
            "between 2026-11-10 and 2026-11-22",
        ),
        ({"first": date(2026, 11, 23)}, "begins on 2026-11-23, which is in the future", "2026-11-22 or earlier"),
        ({"first": TODAY - timedelta(days=LONGEST)}, "longer than ten years", "or later"),
        ({"span": "a while"}, "'a while' is no range", "30 days, 90 days, 12 months"),
    ],
)
def test_a_range_that_cannot_be_is_refused_with_what_is_allowed(
    wish: dict[str, object], message: str, hint: str
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        choose_days(NOW, **wish)  # type: ignore[arg-type]
    assert hint in refused.value.hint


@pytest.mark.parametrize(("days", "bucket"), [(1, "day"), (100, "day"), (101, "week"), (800, "week"), (801, "month")])
def test_the_longer_the_range_the_longer_its_steps(days: int, bucket: str) -> None:
    query = TrendsQuery(TODAY - timedelta(days=days - 1), TODAY, ("orders",))
    assert query.bucket == bucket
    assert query.until - query.since == timedelta(days=days)
