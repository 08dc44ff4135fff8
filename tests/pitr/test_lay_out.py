"""Laying out a base backup: what a tar may not do, which folder may be used, and what the feeder answers."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from services.backups.document_values import BadValue
from services.errors import CorruptBackup, InputError
from services.pitr.archive import WalArchive
from services.pitr.base_files import BaseFiles
from services.pitr.base_model import check_physical
from services.pitr.feeder import MUST_STOP, NOT_THERE, SegmentFeeder
from services.pitr.lay_out import _Folder, empty_folder
from services.pitr.tar_stream import TarStream
from services.postgres.server_user import server_user
from tests.pitr.conftest import MakeSegment
from tests.pitr.test_base_backup import PHYSICAL
from tests.pitr.test_way import HISTORY, base, find_way, segment
from tests.support.run_context import RecordingRun


def tar_with(*members: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size) if member.isreg() else None)
    return out.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, **values: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = 5 if kind == tarfile.REGTYPE else 0
    for key, value in values.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize(
    "hostile",
    [
        entry("../outside"), entry("/etc/outside"), entry("base/../../outside"),
        entry("link", tarfile.SYMTYPE, linkname="/etc"), entry("hard", tarfile.LNKTYPE, linkname="PG_VERSION"),
        entry("device", tarfile.CHRTYPE), entry("pipe", tarfile.FIFOTYPE),
    ],
)  # fmt: skip
def test_nothing_but_files_and_folders_below_the_folder_is_written(hostile: tarfile.TarInfo, tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.mkdir()
    files = BaseFiles(_Folder(place, server_user()).entry)
    with pytest.raises(CorruptBackup, match="no data folder has"):
        files.feed(tar_with(entry("PG_VERSION"), hostile))
    files.close()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["PG_VERSION", "data"]


@pytest.mark.parametrize("size", [1, 511, 512, 513, 4096])
def test_a_tar_is_read_in_pieces_of_any_size_and_one_that_is_cut_is_said_to_be(size: int) -> None:
    tar = tar_with(entry("a"), entry("folder", tarfile.DIRTYPE), entry("folder/b"), entry("empty", size=0))
    names: list[str] = []
    stream = TarStream(lambda info: names.append(info.name))
    for start in range(0, len(tar), size):
        stream.feed(tar[start : start + size])
    stream.finish()
    assert names == ["a", "folder", "folder/b", "empty"]
    cut = TarStream(lambda _info: None)
    cut.feed(tar[:1500])
    with pytest.raises(CorruptBackup, match="cut short"):
        cut.finish()
    with pytest.raises(CorruptBackup, match="cannot be read"):
        TarStream(lambda _info: None).feed(b"\1" * 512)


def test_a_folder_with_anything_in_it_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "theirs").touch()
    (tmp_path / "link").symlink_to(full)
    (tmp_path / "file").touch()
    for place in (full, tmp_path / "link", tmp_path / "file", tmp_path / "no" / "parent"):
        with pytest.raises(InputError), empty_folder(place, server_user(), RecordingRun()):
            pass
    assert [path.name for path in full.iterdir()] == ["theirs"]


def test_the_server_gets_segments_and_nothing_else(
    archive: WalArchive, make_segment: MakeSegment, tmp_path: Path
) -> None:
    for number in (3, 4, 6):
        archive.push(make_segment(number))
    data = tmp_path / "data"
    (data / "pg_wal").mkdir(parents=True)
    way = find_way(base(3), 1, archive.segments(), {})
    feeder = SegmentFeeder(archive, way, data, server_user())
    assert feeder.answer("000000010000000000000003 pg_wal/RECOVERYXLOG") == 0
    assert (data / "pg_wal" / "RECOVERYXLOG").read_bytes() == (tmp_path / "pg_wal" / segment(3).name).read_bytes()
    assert feeder.answer("000000010000000000000004 pg_wal/RECOVERYXLOG") == 0  # fetched ahead
    assert (feeder.segments, feeder.last) == (2, segment(4).name)
    assert feeder.answer("00000002.history pg_wal/RECOVERYHISTORY") == NOT_THERE
    assert feeder.failure is None
    assert feeder.answer("000000010000000000000005 pg_wal/RECOVERYXLOG") == MUST_STOP
    assert "000000010000000000000005 is missing" in str(feeder.failure)
    for request in ("000000010000000000000003 ../outside", "../x pg_wal/RECOVERYXLOG", "", "a b c"):
        assert feeder.answer(request) == MUST_STOP
    feeder.close()
    assert [path.name for path in (data / "pg_wal").iterdir()] == ["RECOVERYXLOG"]


def test_a_segment_that_goes_after_the_planning_stops_recovery_and_is_no_end_of_the_archive(
    archive: WalArchive, make_segment: MakeSegment, tmp_path: Path
) -> None:
    for number, timeline in ((3, 1), (4, 1), (6, 1), (6, 2), (8, 2)):
        archive.push(make_segment(number, timeline=timeline))
    data = tmp_path / "data"
    (data / "pg_wal").mkdir(parents=True)
    way = find_way(base(3), 2, [*archive.segments(), segment(5)], HISTORY)  # 5 is gone by the time it is asked for
    feeder = SegmentFeeder(archive, way, data, server_user())
    assert feeder.answer("000000010000000000000004 pg_wal/RECOVERYXLOG") == 0
    assert feeder.answer("000000010000000000000005 pg_wal/RECOVERYXLOG") == MUST_STOP
    assert "000000010000000000000005 was in the archive when the restore was planned" in str(feeder.failure)
    feeder.close()


def test_a_gap_behind_a_promotion_stops_recovery_when_the_new_timeline_is_asked_for_it(
    archive: WalArchive, make_segment: MakeSegment, tmp_path: Path
) -> None:
    for number, timeline in ((3, 1), (4, 1), (5, 1), (6, 2), (8, 2)):
        archive.push(make_segment(number, timeline=timeline))
    data = tmp_path / "data"
    (data / "pg_wal").mkdir(parents=True)
    feeder = SegmentFeeder(archive, find_way(base(3), 2, archive.segments(), HISTORY), data, server_user())
    assert feeder.answer("000000020000000000000006 pg_wal/RECOVERYXLOG") == 0
    assert feeder.answer("000000020000000000000007 pg_wal/RECOVERYXLOG") == MUST_STOP
    assert "000000020000000000000007 is missing" in str(feeder.failure)
    feeder.close()


@pytest.mark.parametrize(
    "change",
    [
        {"system_identifier": "x"}, {"system_identifier": ""}, {"timeline": -1}, {"timeline": "1"}, {"start_lsn": "1"},
        {"segment_bytes": 3}, {"segment_bytes": True}, {"started_at": "2026-11-22T02:00:00"}, {"superuser": ""},
        {"superuser": "a\0b"}, {"manifest_sha256": "abc"}, {"parent_id": 7}, {"server_major": 10**6},
    ],
)  # fmt: skip
def test_a_manifest_that_says_nonsense_of_a_base_backup_is_not_taken(change: dict[str, object]) -> None:
    assert check_physical(PHYSICAL) == PHYSICAL
    with pytest.raises(BadValue):
        check_physical(PHYSICAL | change)
