"""The arithmetic of the write-ahead log's names, against figures that PostgreSQL's documentation and servers give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import InputError
from services.pitr.wal_names import (
    SegmentName,
    TimelineHistory,
    check_segment_bytes,
    format_lsn,
    history_timeline,
    is_backup_label,
    is_partial,
    is_segment,
    last_segment_before,
    parse_lsn,
    segment_of,
)

SIZES = st.sampled_from([1 << n for n in range(20, 31)])


def test_a_position_is_read_and_written_as_postgresql_does():
    assert parse_lsn("16/B374D848") == 0x16B374D848
    assert parse_lsn("0/0") == 0
    assert format_lsn(0x16B374D848) == "16/B374D848"
    assert format_lsn(0x3000028) == "0/3000028"


@pytest.mark.parametrize("text", ["", "16", "16/", "/1", "16/B374D8480", "g/1", "1/2/3", "-1/2", "latest"])
def test_what_is_no_position_is_refused(text):
    with pytest.raises(InputError, match="not a position"):
        parse_lsn(text)


def test_segments_follow_each_other_across_the_four_gigabyte_files():
    last = SegmentName.parse("0000000100000000000000FF")
    assert SegmentName(1, last.number + 1).name() == "000000010000000100000000"
    # with 64 MB segments a file of 4 GB holds 64 of them: 3F is the last
    last = SegmentName.parse("00000001000000000000003F", 64 << 20)
    assert SegmentName(1, last.number + 1).name(64 << 20) == "000000010000000100000000"


def test_a_name_that_segments_of_this_size_cannot_have_is_refused():
    assert SegmentName.parse("0000000100000000000000FF").number == 255
    with pytest.raises(InputError, match="64 MB"):
        SegmentName.parse("0000000100000000000000FF", 64 << 20)
    with pytest.raises(InputError):
        SegmentName.parse("000000000000000000000001")  # there is no timeline 0
    with pytest.raises(InputError):
        SegmentName.parse("00000001000000000000000a")  # small letters are another file


@given(st.integers(1, 2**32 - 1), st.integers(0, 2**64 - 1), SIZES)
def test_a_position_lies_in_the_segment_that_is_named_for_it(timeline, lsn, size):
    segment = SegmentName(timeline, segment_of(lsn, size))
    assert segment.start_lsn(size) <= lsn < segment.end_lsn(size)
    assert SegmentName.parse(segment.name(size), size) == segment
    assert parse_lsn(format_lsn(lsn)) == lsn


def test_a_position_on_a_border_needs_the_segment_before_it():
    assert last_segment_before(0x3000000) == 2
    assert segment_of(0x3000000) == 3
    assert last_segment_before(0) == 0


def test_the_kinds_of_files_in_pg_wal_are_told_apart():
    assert is_segment("000000010000000000000002")
    assert not is_segment("000000010000000000000002.partial")
    assert is_partial("000000010000000000000002.partial")
    assert is_backup_label("000000010000000000000002.00000028.backup")
    assert history_timeline("0000000A.history") == 10
    assert history_timeline("000000010000000000000002") is None


def test_only_sizes_that_initdb_takes_are_segment_sizes():
    assert check_segment_bytes(1 << 20) == 1 << 20
    assert check_segment_bytes(1 << 30) == 1 << 30
    for size in (0, (1 << 20) + 1, 1 << 19, 1 << 31):
        with pytest.raises(InputError):
            check_segment_bytes(size)


def test_a_history_tells_where_each_parent_ends():
    text = "1\t0/3000060\tno recovery target specified\n\n# a comment\n2\t0/5000000\tbefore 2026-11-25 10:00:00+00\n"
    history = TimelineHistory.parse(text, 3)
    assert history.ends() == {1: 0x3000060, 2: 0x5000000}
    assert history.timeline_at(0x3000060) == 1
    assert history.timeline_at(0x3000061) == 2
    assert history.timeline_at(0x5000001) == 3
    assert history.switches[0].reason == "no recovery target specified"


@pytest.mark.parametrize("text", ["x 0/1", "1", "2\t0/1\n1\t0/2", "3\t0/1", "1 0/1\n1 0/2"])
def test_a_history_that_the_server_would_refuse_is_refused(text):
    with pytest.raises(InputError):
        TimelineHistory.parse(text, 3)
