"""Due times: what daylight saving does to them, as a table, and what holds for any schedule at any time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.errors import InputError
from services.schedules.cron import check_cron, check_time_zone, cron_in_words
from services.schedules.slots import last_slot, next_slots, slots

DAY = timedelta(days=1)
LORD_HOWE = "Australia/Lord_Howe"
NEW_YORK = "America/New_York"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def shown(found: list[datetime]) -> list[str]:
    return [f"{due:%m-%d %H:%M}" for due in found]


# Zone, line, from noon (UTC) of the day before the night to noon of the day after; expected in UTC, by hand from the
# zones' published rules: Berlin 29 Mar and 25 Oct at 01:00 UTC, New York 8 Mar at 07:00 and 1 Nov at 06:00, Lord Howe
# (half an hour) 4 Oct local at 15:30 UTC of the 3rd and 5 Apr local at 15:00 UTC of the 4th.
NIGHTS = [
    ("put forward: 02:30 does not exist", "Europe/Berlin", "30 2 * * *", "2026-03-28T12:00", 2,
     ["03-29 01:00", "03-30 00:30"]),
    ("put forward: two times that do not exist are one", "Europe/Berlin", "0,30 2 * * *", "2026-03-28T12:00", 1,
     ["03-29 01:00"]),
    ("put forward: the next hour is not doubled", "Europe/Berlin", "0 2,3 * * *", "2026-03-28T12:00", 1,
     ["03-29 01:00"]),
    ("put forward: every second hour names its hours", "Europe/Berlin", "0 */2 * * *", "2026-03-28T22:30", 0.25,
     ["03-28 23:00", "03-29 01:00", "03-29 02:00", "03-29 04:00"]),
    ("put back: 02:30 comes twice", "Europe/Berlin", "30 2 * * *", "2026-10-24T12:00", 2,
     ["10-25 00:30", "10-26 01:30"]),
    ("put back: a line with a star in the minutes", "Europe/Berlin", "*/30 2 * * *", "2026-10-24T12:00", 1,
     ["10-25 00:00", "10-25 00:30"]),
    ("put back: every second hour names its hours", "Europe/Berlin", "0 */2 * * *", "2026-10-24T21:30", 0.25,
     ["10-24 22:00", "10-25 00:00", "10-25 03:00"]),
    ("put forward: hours that pass", "Europe/Berlin", "0 * * * *", "2026-03-28T23:30", 4 / 24,
     ["03-29 00:00", "03-29 01:00", "03-29 02:00", "03-29 03:00"]),
    ("put forward: hours that pass, at half past", "Europe/Berlin", "30 * * * *", "2026-03-28T23:45", 3 / 24,
     ["03-29 00:30", "03-29 01:30", "03-29 02:30"]),
    ("put back: hours that pass", "Europe/Berlin", "0 * * * *", "2026-10-24T22:30", 4 / 24,
     ["10-24 23:00", "10-25 00:00", "10-25 01:00", "10-25 02:00"]),
    ("New York forward", NEW_YORK, "30 2 * * *", "2026-03-07T12:00", 2, ["03-08 07:00", "03-09 06:30"]),
    ("New York back: 02:30 comes once there", NEW_YORK, "30 2 * * *", "2026-10-31T12:00", 2,
     ["11-01 07:30", "11-02 07:30"]),
    ("New York back: 01:30 comes twice", NEW_YORK, "30 1 * * *", "2026-10-31T12:00", 2,
     ["11-01 05:30", "11-02 06:30"]),
    ("Lord Howe forward: 02:15 does not exist", LORD_HOWE, "15 2 * * *", "2026-10-03T12:00", 2,
     ["10-03 15:30", "10-04 15:15"]),
    ("Lord Howe forward: 02:30 is the first there is", LORD_HOWE, "30 2 * * *", "2026-10-03T12:00", 2,
     ["10-03 15:30", "10-04 15:30"]),
    ("Lord Howe back: 01:45 comes twice", LORD_HOWE, "45 1 * * *", "2026-04-04T12:00", 2,
     ["04-04 14:45", "04-05 15:15"]),
    ("Lord Howe back: 02:30", LORD_HOWE, "30 2 * * *", "2026-04-04T12:00", 2, ["04-04 16:00", "04-05 16:00"]),
    ("Lord Howe forward: hours that pass", LORD_HOWE, "0 * * * *", "2026-10-03T14:00", 4 / 24,
     ["10-03 14:30", "10-03 15:30", "10-03 16:00", "10-03 17:00"]),
    ("Samoa leaves a day out", "Pacific/Apia", "0 2 * * *", "2011-12-29T00:00", 3,
     ["12-29 12:00", "12-30 10:00", "12-30 12:00", "12-31 12:00"]),
    ("no daylight saving in UTC", "UTC", "30 2 * * *", "2026-03-28T12:00", 2, ["03-29 02:30", "03-30 02:30"]),
]  # fmt: skip


@pytest.mark.parametrize(("title", "zone", "line", "since", "days", "expected"), NIGHTS, ids=[n[0] for n in NIGHTS])
def test_a_night_with_a_change_of_the_clock(
    title: str, zone: str, line: str, since: str, days: float, expected: list[str]
) -> None:
    assert shown(slots(check_cron(line), zone, at(since), at(since) + days * DAY)) == expected, title


@pytest.mark.parametrize(
    ("zone", "date", "hours"),
    [("Europe/Berlin", "2026-03-29", 23), ("Europe/Berlin", "2026-10-25", 25), ("Europe/Berlin", "2026-07-01", 24),
     (NEW_YORK, "2026-03-08", 23), (NEW_YORK, "2026-11-01", 25), (LORD_HOWE, "2026-10-04", 24),
     (LORD_HOWE, "2026-04-05", 24)],
)  # fmt: skip
def test_an_hourly_schedule_comes_due_as_often_as_the_day_has_hours(zone: str, date: str, hours: int) -> None:
    midnight = datetime.fromisoformat(date)
    since, until = (when.replace(tzinfo=ZoneInfo(zone)) for when in (midnight, midnight + DAY))
    found = slots("0 * * * *", zone, since, until)
    assert len(found) == hours
    gaps = {later - earlier for earlier, later in pairwise(found)}
    longest = timedelta(minutes=90) if (zone, date) == (LORD_HOWE, "2026-04-05") else timedelta(hours=1)
    assert max(gaps) == longest, "only a clock that is put back by half an hour can make an hourly schedule wait"


LINES = ["0 2 * * *", "30 2 * * *", "*/15 * * * *", "0 * * * *", "0 */3 * * *", "15 1-4 * * *", "0 5 1 * *",
         "0 12 * * MON-FRI", "0 0 L * *", "59 23 29 2 *", "30 0,1,2,3 * 3,4,10,11 SUN"]  # fmt: skip
ZONES = ["UTC", "Europe/Berlin", NEW_YORK, LORD_HOWE, "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia",
         "America/St_Johns", "Europe/Dublin", "Antarctica/Troll"]  # fmt: skip
instants = st.datetimes(datetime(2005, 1, 1), datetime(2039, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
lengths = st.timedeltas(timedelta(0), timedelta(days=70))


@settings(deadline=None)  # a machine may be busy
@given(st.sampled_from(LINES), st.sampled_from(ZONES), instants, lengths, lengths)
def test_due_times_ascend_without_a_double_and_add_up_over_any_split(
    line: str, zone: str, since: datetime, first: timedelta, second: timedelta
) -> None:
    middle, until = since + first, since + first + second
    whole = slots(line, zone, since, until)
    assert whole == sorted(set(whole))
    assert all(since <= due < until for due in whole)
    assert whole == slots(line, zone, since, middle) + slots(line, zone, middle, until)


@settings(deadline=None)
@given(st.sampled_from(LINES), st.sampled_from(ZONES), instants, st.integers(1, 6))
def test_the_next_and_the_last_due_time_are_those_of_the_list(line: str, zone: str, now: datetime, count: int) -> None:
    following = next_slots(line, zone, now, count)
    assert len(following) == count
    assert following == slots(line, zone, now + timedelta(microseconds=1), following[-1] + timedelta(seconds=1))
    assert last_slot(line, zone, now, following[-1]) == following[-1]
    assert last_slot(line, zone, following[0], following[0] + timedelta(seconds=1)) == following[0]
    assert last_slot(line, zone, now + timedelta(microseconds=1), following[0] - timedelta(seconds=1)) is None


@settings(deadline=None)
@given(st.sampled_from(ZONES), st.integers(0, 23), st.integers(0, 59), instants)
def test_a_daily_schedule_comes_due_once_for_each_local_date(
    zone: str, hour: int, minute: int, since: datetime
) -> None:
    """Counted by an independent look at every minute of the wall clock around a change."""
    found = slots(f"{minute} {hour} * * *", zone, since, since + 40 * DAY)
    assert 38 <= len(found) <= 42
    for due in found:
        local = due.astimezone(ZoneInfo(zone))
        if (local.hour, local.minute) != (hour, minute):
            before = (due - timedelta(seconds=1)).astimezone(ZoneInfo(zone))
            assert before.utcoffset() < local.utcoffset(), "only a leap of the clock moves a due time"  # type: ignore[operator]
            named = datetime(before.year, before.month, before.day, hour, minute)  # noqa: DTZ001
            named += DAY if named < before.replace(tzinfo=None) else timedelta(0)
            assert before.replace(tzinfo=None) < named < local.replace(tzinfo=None)


def test_nothing_comes_due_without_a_line_or_within_an_empty_range() -> None:
    now = at("2026-11-22T02:00")
    assert slots("", "UTC", now, now + DAY) == []
    assert slots("0 2 * * *", "UTC", now, now) == []
    assert slots("0 2 * * *", "UTC", now, now - DAY) == []
    assert slots("0 2 * * *", "UTC", now, now + timedelta(seconds=1)) == [now]
    assert next_slots("", "UTC", now, 5) == []
    assert last_slot("", "UTC", now - DAY, now) is None


@pytest.mark.parametrize("month", ["2097-01", "2026-11"])
def test_a_leap_day_is_found_however_far_it_is(month: str) -> None:
    [due] = next_slots("0 0 29 2 *", "UTC", at(f"{month}-01"), 1)
    assert f"{due:%Y-%m-%d}" == ("2104-02-29" if month == "2097-01" else "2028-02-29")


@pytest.mark.parametrize(
    "line",
    ["0 2 * *", "0 2 * * * *", "hello", "60 2 * * *", "0 24 * * *", "0 2 32 * *", "0 2 * 13 *", "0 2 * * 8",
     "@daily", "0 0 30 2 *", "*/0 * * * *", "5-1 * * * *", "0 2 * * XYZ", "1" * 5000 + " * * * *"],
)  # fmt: skip
def test_a_line_that_is_none_is_refused_with_an_example(line: str) -> None:
    with pytest.raises(InputError, match="cron line") as caught:
        check_cron(line)
    assert "'0 2 * * *' is daily at 02:00" in caught.value.hint
    assert len(caught.value.message) < 120


@pytest.mark.parametrize("line", ["* * * * *", "*/2 * * * *", "0,3 2 * * *", "0,58 * * * *", "58,0 23,0 * * *"])
def test_a_line_that_comes_due_too_often_is_refused(line: str) -> None:
    with pytest.raises(InputError, match="more often than every 5 minutes"):
        check_cron(line)


@pytest.mark.parametrize(
    ("line", "stored"),
    [("  0  2 * * * ", "0 2 * * *"), ("0 2 * jan mon", "0 2 * JAN MON"), ("off", ""), ("", ""), ("OFF ", ""),
     ("*/5 * * * *", "*/5 * * * *"), ("0,58 3 * * *", "0,58 3 * * *")],
)  # fmt: skip
def test_a_line_is_stored_in_one_spelling(line: str, stored: str) -> None:
    assert check_cron(line) == stored


@settings(deadline=None)
@given(st.text(st.sampled_from("0123456789*/,-#LWmonjanXYZ² \t"), max_size=30) | st.text(max_size=30))
def test_any_text_is_either_a_schedule_or_refused(text: str) -> None:
    try:
        line = check_cron(text)
    except InputError:
        return
    assert check_cron(line) == line
    if line:
        assert next_slots(line, "Europe/Berlin", at("2026-01-01"), 1)
        assert cron_in_words(line, "UTC").endswith("(UTC)")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("europe/berlin", "Did you mean Europe/Berlin"), ("Berlin", "Did you mean"), ("", "Europe/Berlin"),
     ("../../etc/passwd", "Europe/Berlin"), ("Factory", "IANA"), ("x" * 3000, "Europe/Berlin"),
     ("localtime", "Did you mean")],
)  # fmt: skip
def test_a_time_zone_that_does_not_exist_is_refused(name: str, hint: str) -> None:
    with pytest.raises(InputError, match="No time zone is called") as caught:
        check_time_zone(name)
    assert hint in caught.value.hint
    assert len(str(caught.value)) < 250


def test_every_time_zone_that_is_accepted_can_be_used() -> None:
    for name in ("UTC", "Europe/Berlin", "US/Eastern", "Etc/GMT+5", LORD_HOWE):
        assert check_time_zone(name) == name
        assert next_slots("0 2 * * *", name, at("2026-01-01"), 1)


def test_a_schedule_is_said_in_words_with_its_zone() -> None:
    assert cron_in_words("0 2 * * *", "UTC") == "At 02:00 every day (UTC)"
    assert cron_in_words("0 5 1 * *", "Europe/Berlin") == "At 05:00 on the first day of every month (Europe/Berlin)"
    assert cron_in_words("", "UTC") == "never"
