"""The way from a base backup to a point, and how points are written: pure rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.errors import ClientProgramMissing, InputError
from services.pitr.archive import ArchivedSegment
from services.pitr.base_model import BaseBackup
from services.pitr.parent import chain_of, usable
from services.pitr.target import RecoveryTarget, refuse_future
from services.pitr.wal_names import SegmentName, Switch, TimelineHistory
from services.pitr.way import Way, choose_bases, find_way, first_missing, leads_to, reaches
from services.postgres.server_programs import ServerPrograms, choose_server
from tests.catalog.rows import make_backup
from tests.pitr.conftest import SEGMENT

START = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
HISTORY = {2: TimelineHistory(2, (Switch(1, 6 * SEGMENT + 100),))}
"""Timeline 2 left timeline 1 within segment 6."""


def base(number: int, *, timeline: int = 1, parent: str | None = None) -> BaseBackup:
    backup = replace(make_backup(), id=f"b{timeline}-{number}", name=f"base_{number}", type="base")
    return BaseBackup(
        backup, "7436158027694216193", timeline, number * SEGMENT + 40, number * SEGMENT + 256, SEGMENT, 18,
        START + timedelta(minutes=number), START + timedelta(minutes=number), "postgres", "0" * 64, parent,
    )  # fmt: skip


def segment(number: int, timeline: int = 1) -> ArchivedSegment:
    name = SegmentName(timeline, number).name(SEGMENT)
    at = START + timedelta(minutes=number + 1)
    return ArchivedSegment(name, timeline, number, "0" * 32, 100, at, f"k/{name}", partial=False)


def way(numbers: list[int], *, timeline: int = 1, second: tuple[int, ...] = ()) -> Way:
    there = [*(segment(n) for n in numbers), *(segment(n, 2) for n in second)]
    return find_way(base(3), timeline, there, HISTORY if timeline == 2 else {})


def target(text: str) -> RecoveryTarget:
    return RecoveryTarget.parse(text)


def test_without_a_gap_every_point_that_is_stored_is_reached() -> None:
    found = way([2, 3, 4, 5])
    assert (found.last, found.gap) == (5, None)
    assert reaches(found, target("latest"))
    assert reaches(found, target("0/600000"))
    assert not reaches(found, target("0/600001"))
    assert reaches(found, target("2026-11-25T10:06:00Z"))
    assert not reaches(found, target("2026-11-25T10:06:01Z"))


@pytest.mark.parametrize(
    "to, segments",
    [("immediate", 1), ("latest", 3), ("0/400001", 2), ("0/400000", 1), ("2026-11-25T10:04:30Z", 2), ("xid:5", 3)],
)
def test_how_much_log_is_expected_ends_with_the_segment_of_the_point(to: str, segments: int) -> None:
    assert way([3, 4, 5]).expected_bytes(target(to)) == segments * SEGMENT


def test_a_gap_is_named_and_what_lies_before_it_is_reached() -> None:
    found = way([3, 4, 6])
    assert (found.last, found.gap, found.name(5)) == (4, 5, "000000010000000000000005")
    assert not reaches(found, target("latest"))
    assert reaches(found, target("0/500000"))
    assert "000000010000000000000005 is missing" in first_missing(found, target("latest")).message
    assert "is not consistent" in first_missing(way([4, 5]), target("latest")).message
    assert not reaches(way([4, 5]), target("immediate"))


def test_a_timeline_is_followed_to_its_parent_and_what_the_parent_wrote_later_is_left_aside() -> None:
    found = way([3, 4, 5, 6, 7, 8], timeline=2, second=(6, 7))
    assert found.timelines == (1, 2)
    assert (found.last, found.name(5), found.name(6)) == (7, "000000010000000000000005", "000000020000000000000006")
    assert found.names(6) == {"000000010000000000000006", "000000020000000000000006"}
    assert leads_to(base(3), 2, HISTORY)
    assert not leads_to(base(7), 2, HISTORY)  # timeline 1 went on after it was left
    assert [one.backup.name for one in choose_bases([base(3), base(7)], target("latest"), 2, HISTORY)] == ["base_3"]


def test_the_beginning_of_a_segment_counts_at_the_end_alone() -> None:
    partial = replace(segment(5), partial=True)
    at_end = find_way(base(3), 1, [segment(3), segment(4), partial], {})
    assert (at_end.last, at_end.gap) == (5, None)
    between = find_way(base(3), 1, [segment(3), segment(4), partial, segment(6)], {})
    assert (between.last, between.gap) == (4, 5)
    for to in ("latest", "0/600001"):
        assert not reaches(between, target(to))


def test_what_the_parent_wrote_of_the_segment_of_the_promotion_counts_at_the_end_alone() -> None:
    promoted = way([3, 4, 5, 6], timeline=2)
    assert (promoted.last, promoted.gap) == (6, None)
    gone_on = way([3, 4, 5, 6], timeline=2, second=(7, 8))
    assert (gone_on.last, gone_on.gap, gone_on.name(6)) == (5, 6, "000000020000000000000006")
    assert not reaches(gone_on, target("latest"))


def test_the_newest_base_backup_before_the_point_comes_first() -> None:
    bases = [base(3), base(5), base(4)]
    chosen = choose_bases(bases, target("2026-11-25T10:04:30Z"), 1, {})
    assert [one.backup.name for one in chosen] == ["base_4", "base_3"]
    assert [one.backup.name for one in choose_bases(bases, target("0/400100"), 1, {})] == ["base_4", "base_3"]
    with pytest.raises(InputError, match="before the first base backup, base_3"):
        choose_bases(bases, target("0/3000FF"), 1, {})
    with pytest.raises(InputError, match="No base backup leads to timeline 9"):
        choose_bases(bases, target("latest"), 9, {})


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-11-25", "2026-11-25 10:00", "2026-11-25T10:00:00", "0/", "1/2/3", "xid:", "xid:1", "xid:x",
     "xid:²", "name:", "name:" + "é" * 32, "2026-13-01T00:00:00Z", "-1/0"],
)  # fmt: skip
def test_what_is_no_point_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(InputError) as caught:
        RecoveryTarget.parse(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text", ["2026-11-25T10:00:00.123456Z", "0/3A2B1C8", "xid:75312", "name:before deploy", "latest", "immediate"]
)
@pytest.mark.parametrize("inclusive", [True, False])
def test_a_point_survives_its_way_through_a_run(text: str, inclusive: bool) -> None:
    parsed = RecoveryTarget.parse(text, inclusive=inclusive, timeline=3)
    assert RecoveryTarget.from_params(parsed.to_params()) == parsed
    assert parsed.settings(3)["recovery_target_timeline"] == "3"


def test_a_time_keeps_its_microseconds_and_its_instant_whatever_its_zone() -> None:
    settings = target("2026-11-25T12:00:00.000001+02:00").settings(1)
    assert settings["recovery_target_time"] == "2026-11-25 10:00:00.000001+00"
    with pytest.raises(InputError, match="lies in the future"):
        refuse_future(target("2026-11-25T10:00:01Z"), START)
    refuse_future(target("2026-11-25T10:00:00Z"), START)


def test_a_chain_with_a_missing_part_is_not_usable() -> None:
    full, first = base(3), base(4, parent="b1-3")
    second = base(5, parent="b1-4")
    known = {one.backup.id: one for one in (full, first, second)}
    assert [one.backup.id for one in chain_of(second, known)] == ["b1-3", "b1-4", "b1-5"]
    assert usable([full, second]) == [full]
    looped = replace(full, parent_id="b1-4")
    assert usable([looped, first]) == []


def test_a_data_folder_runs_under_its_own_major_version_alone() -> None:
    servers = [ServerPrograms(Path("/opt/15"), "15.18", 15), ServerPrograms(Path("/opt/18"), "18.6", 18)]
    assert choose_server(servers, 18).bin_dir == Path("/opt/18")
    with pytest.raises(ClientProgramMissing, match=r"No server of PostgreSQL 16 is installed here: found 15\.18"):
        choose_server(servers, 16)
