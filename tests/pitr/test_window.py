"""Gaps and recovery windows, from what a listing shows: pure arithmetic, so many cases cost nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import InputError
from services.pitr.gaps import find_gaps
from services.pitr.wal_names import DEFAULT_SEGMENT_BYTES as SIZE
from services.pitr.wal_names import Switch, TimelineHistory
from services.pitr.window import TargetRefused, check_target, recovery_windows

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Stored:
    timeline: int
    number: int
    partial: bool = False

    @property
    def stored_at(self) -> datetime:
        return minute(self.number + 1)


@dataclass(frozen=True)
class Base:
    timeline: int
    start_lsn: int
    stop_lsn: int
    stopped_at: datetime


def minute(number: float) -> datetime:
    """Segment n was written from minute n to n + 1, and stored then."""
    return NOON + timedelta(minutes=number)


def base(number: int, timeline: int = 1, *, end: float = 0.2) -> Base:
    return Base(timeline, number * SIZE + 40, int((number + end) * SIZE), minute(number + end))


def log(first: int, last: int, timeline: int = 1, *, without: tuple[int, ...] = ()) -> list[Stored]:
    return [Stored(timeline, number) for number in range(first, last + 1) if number not in without]


def test_segments_in_a_row_have_no_gap_wherever_they_begin() -> None:
    assert find_gaps(log(5, 300), {}) == []
    assert find_gaps([], {}) == []


def test_each_gap_is_named_with_its_segments() -> None:
    one, three = find_gaps(log(5, 300, without=(7, 254, 255, 256)), {})
    assert one.names() == ["000000010000000000000007"]
    assert three.names() == ["0000000100000000000000FE", "0000000100000000000000FF", "000000010000000100000000"]
    assert (three.before_at, three.after_at) == (minute(254), minute(258))
    assert three.names(1) == ["0000000100000000000000FE"]
    assert "3 segments" in str(three)


@given(st.sets(st.integers(0, 200), min_size=1))
def test_what_is_stored_and_what_is_missing_together_are_all(numbers: set[int]) -> None:
    gaps = find_gaps([Stored(1, number) for number in numbers], {})
    missing = [number for gap in gaps for number in range(gap.first, gap.last + 1)]
    assert sorted([*numbers, *missing]) == list(range(min(numbers), max(numbers) + 1))


def test_a_timeline_goes_on_where_its_parent_was_left() -> None:
    history = {2: TimelineHistory(2, (Switch(1, 10 * SIZE + 500),))}
    assert find_gaps([*log(5, 9), *log(10, 12, 2)], history) == []
    assert find_gaps([*log(5, 9), Stored(1, 10, partial=True), *log(10, 12, 2)], history) == []
    [gap] = find_gaps([*log(5, 8), *log(10, 12, 2)], history)
    assert gap.names() == ["000000010000000000000009"]
    [gap] = find_gaps([*log(5, 9), *log(11, 12, 2)], history)
    assert gap.names() == ["00000002000000000000000A"]
    assert find_gaps(log(12, 14, 2), history) == []  # archiving began on the second


def test_a_timeline_of_which_nothing_was_stored_is_a_gap_between_those_around_it() -> None:
    history = {3: TimelineHistory(3, (Switch(1, 10 * SIZE + 500), Switch(2, 13 * SIZE + 500)))}
    left, lost = find_gaps([*log(5, 8), *log(13, 15, 3)], history)
    assert (left.names(), lost.timeline, lost.first, lost.last) == (["000000010000000000000009"], 2, 10, 12)
    assert (left.before_at, left.after_at) == (lost.before_at, lost.after_at) == (minute(9), minute(14))
    assert find_gaps([*log(5, 9), *log(10, 12, 2), *log(13, 15, 3)], history) == []
    at_once = {3: TimelineHistory(3, (Switch(1, 10 * SIZE + 500), Switch(2, 10 * SIZE + 900)))}
    assert find_gaps([*log(5, 9), *log(10, 15, 3)], at_once) == []


def test_what_a_timeline_lacks_after_it_was_left_is_no_gap_unless_it_goes_on() -> None:
    history = {2: TimelineHistory(2, (Switch(1, 10 * SIZE + 500),))}
    left = log(5, 20, without=(14,))
    assert find_gaps([*left, *log(10, 25, 2)], history) == []
    [gap] = find_gaps([*left, *log(10, 15, 2)], history)  # the last that was stored is of the first one
    assert gap.names() == ["00000001000000000000000E"]
    [gap] = find_gaps([*left, *log(10, 25, 2)], {})  # nobody knows how they hang together
    assert gap.names() == ["00000001000000000000000E"]


def test_a_partial_segment_fills_no_gap() -> None:
    [gap] = find_gaps([*log(5, 9, without=(7,)), Stored(1, 7, partial=True)], {})
    assert gap.names() == ["000000010000000000000007"]


def test_a_window_reaches_from_the_first_base_backup_to_the_last_segment() -> None:
    [window] = recovery_windows([base(5), base(8)], log(3, 12), {})
    assert (window.from_at, window.to_at) == (minute(5.2), minute(13))
    assert (window.from_lsn, window.to_lsn) == (int(5.2 * SIZE), 13 * SIZE)
    assert window.gaps == ()


def test_a_base_backup_without_its_own_segments_opens_no_window() -> None:
    assert recovery_windows([base(5)], log(6, 12), {}) == []
    assert recovery_windows([base(5, end=2.5)], log(5, 6), {}) == []
    assert recovery_windows([base(5, end=2.5)], log(5, 7), {}) != []
    assert recovery_windows([base(5, end=2)], log(5, 6), {}) != []  # its end is the end of segment 6
    assert recovery_windows([], log(5, 7), {}) == []


def test_a_gap_ends_a_window_and_the_next_base_backup_opens_another() -> None:
    first, second = recovery_windows([base(3), base(5), base(10)], log(3, 14, without=(7, 8)), {})
    assert (first.from_at, first.to_at) == (minute(3.2), minute(7))
    assert first.gaps[0].names() == ["000000010000000000000007", "000000010000000000000008"]
    assert (second.from_at, second.to_at, second.gaps) == (minute(10.2), minute(15), ())


def test_a_partial_segment_at_the_end_counts_and_one_before_a_gap_does_not() -> None:
    [window] = recovery_windows([base(5)], [*log(5, 9), Stored(1, 10, partial=True)], {})
    assert (window.to_at, window.to_lsn) == (minute(11), 11 * SIZE)
    [window] = recovery_windows([base(5)], [*log(5, 9, without=(7,)), Stored(1, 7, partial=True)], {})
    assert window.to_at == minute(7)


def test_a_window_goes_on_over_a_timeline_switch_and_is_said_once() -> None:
    history = {2: TimelineHistory(2, (Switch(1, 10 * SIZE + 500),))}
    segments = [*log(5, 9), Stored(1, 10, partial=True), *log(10, 14, 2)]
    [window] = recovery_windows([base(6)], segments, history)
    assert (window.timeline, window.from_at, window.to_at) == (2, minute(6.2), minute(15))


def test_a_timeline_that_went_on_by_itself_keeps_a_window_of_its_own() -> None:
    history = {2: TimelineHistory(2, (Switch(1, 10 * SIZE + 500),))}
    segments = [*log(5, 20), *log(10, 14, 2)]
    old, new = recovery_windows([base(6), base(12)], segments, history)
    assert (old.timeline, old.to_at) == (1, minute(21))
    assert (new.timeline, new.to_at) == (2, minute(15))  # from the base backup that both have
    assert new.from_at == minute(6.2)


def test_a_base_backup_after_the_switch_belongs_to_the_new_timeline_alone() -> None:
    history = {2: TimelineHistory(2, (Switch(1, 10 * SIZE + 500),))}
    segments = [*log(5, 9), *log(10, 14, 2)]
    [window] = recovery_windows([base(11, 2)], segments, history)
    assert (window.timeline, window.from_at) == (2, minute(11.2))


def test_a_target_in_a_window_is_taken() -> None:
    windows = recovery_windows([base(3), base(10)], log(3, 14, without=(7,)), {})
    assert check_target(windows, at=minute(4)) == windows[0]
    assert check_target(windows, at=minute(12)) == windows[1]
    assert check_target(windows, lsn=12 * SIZE) == windows[1]
    assert check_target(windows, lsn=12 * SIZE, timeline=1) == windows[1]


def test_a_target_that_cannot_be_reached_is_refused_with_what_can() -> None:
    windows = recovery_windows([base(3), base(10)], log(3, 14, without=(7,)), {})
    with pytest.raises(TargetRefused, match="before the first base backup") as refused:
        check_target(windows, at=minute(3))
    assert "2026-11-25T12:03:12.000Z to 2026-11-25T12:07:00.000Z" in refused.value.hint
    with pytest.raises(TargetRefused, match="000000010000000000000007 is missing") as refused:
        check_target(windows, at=minute(9))
    assert refused.value.missing is not None
    with pytest.raises(TargetRefused, match="000000010000000000000007 is missing"):
        check_target(windows, lsn=8 * SIZE)
    with pytest.raises(TargetRefused, match="00000001000000000000000F is not there yet"):
        check_target(windows, at=minute(16))
    with pytest.raises(TargetRefused, match="00000001000000000000000F is not there yet"):
        check_target(windows, lsn=16 * SIZE)
    with pytest.raises(TargetRefused, match="timeline 2"):
        check_target(windows, lsn=12 * SIZE, timeline=2)
    with pytest.raises(TargetRefused, match="future"):
        check_target(windows, at=minute(12), now=minute(11))
    with pytest.raises(TargetRefused, match="no zone"):
        check_target(windows, at=minute(12).replace(tzinfo=None))
    with pytest.raises(TargetRefused, match="Nothing can be restored"):
        check_target([], at=minute(12))
    with pytest.raises(InputError):
        check_target(windows)


def test_a_year_of_segments_is_judged_in_no_time() -> None:
    """One segment a minute for a month, with a base backup each day."""
    windows = recovery_windows([base(n * 1440) for n in range(30)], log(0, 43_200, without=(20_000,)), {})
    assert [window.from_at for window in windows] == [minute(0.2), minute(14 * 1440 + 0.2)]
