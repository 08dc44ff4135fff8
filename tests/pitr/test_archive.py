"""The archive of the write-ahead log: stored once, never replaced, found by listing, checked to the last byte."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from services.errors import CorruptBackup, InputError, KeyMismatch
from services.pitr.archive import WalArchive
from services.pitr.errors import OtherCluster, OtherContent, SegmentMissing
from services.pitr.listing import list_archive
from services.storage.local import LocalStorage
from tests.pitr.conftest import SEGMENT, SYSTEM, MakeSegment


def files(archive: WalArchive) -> list[Path]:
    assert isinstance(archive.storage, LocalStorage)
    return sorted(path for path in archive.storage.root.rglob("*") if path.is_file())


def test_a_segment_comes_back_as_it_was(archive: WalArchive, make_segment: MakeSegment, tmp_path: Path) -> None:
    path = make_segment(3)
    pushed = archive.push(path)
    assert pushed.stored
    assert pushed.key.startswith(f"la_factoria/wal/{SYSTEM}/00000001/000000010000000000000003-")
    assert pushed.key.endswith(".zst.age")
    archive.fetch(path.name, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == path.read_bytes()
    [segment] = archive.segments()
    assert (segment.name, segment.timeline, segment.number, segment.partial) == (path.name, 1, 3, False)
    assert segment.key == pushed.key


def test_the_same_segment_again_is_a_success_without_an_upload(archive: WalArchive, make_segment: MakeSegment) -> None:
    first = archive.push(make_segment(3))
    before = [(path, path.stat().st_mtime_ns) for path in files(archive)]
    again = archive.push(make_segment(3))
    assert (again.key, again.stored) == (first.key, False)
    assert [(path, path.stat().st_mtime_ns) for path in files(archive)] == before


def test_another_content_under_the_same_name_is_refused(archive: WalArchive, make_segment: MakeSegment) -> None:
    archive.push(make_segment(3))
    before = files(archive)
    with pytest.raises(OtherContent, match="other content"):
        archive.push(make_segment(3, fill=b"y"))
    assert files(archive) == before


def test_a_segment_of_another_cluster_is_refused(archive: WalArchive, make_segment: MakeSegment) -> None:
    with pytest.raises(OtherCluster, match="7000000000000000001"):
        archive.push(make_segment(3, system="7000000000000000001"))
    assert files(archive) == []


def test_what_is_no_segment_or_not_the_one_that_its_name_says_is_refused(
    archive: WalArchive, make_segment: MakeSegment, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no file of a write-ahead log"):
        archive.push(make_segment(3).rename(tmp_path / "pg_wal" / "postgresql.conf"))
    recycled = make_segment(3).rename(tmp_path / "pg_wal" / "000000010000000000000009")
    with pytest.raises(InputError, match="does not hold what its name says"):
        archive.push(recycled)
    cut = make_segment(4)
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(InputError, match="1,048,575 bytes"):
        archive.push(cut)
    empty = make_segment(5)
    empty.write_bytes(bytes(SEGMENT))
    with pytest.raises(InputError, match="no segment"):
        archive.push(empty)
    with pytest.raises(InputError, match="cannot be read"):
        archive.push(tmp_path / "pg_wal" / "000000010000000000000007")
    assert files(archive) == []


def test_a_history_file_is_kept_beside_the_timelines(archive: WalArchive, tmp_path: Path) -> None:
    path = tmp_path / "00000002.history"
    path.write_text("1\t0/3000060\tno recovery target specified\n")
    assert archive.push(path).key.startswith(f"la_factoria/wal/{SYSTEM}/00000002.history-")
    assert list_archive(archive).histories[2].ends() == {1: 0x3000060}
    archive.fetch(path.name, tmp_path / "back")
    assert (tmp_path / "back").read_text() == path.read_text()


def test_a_partial_segment_stands_in_where_the_whole_one_never_came(
    archive: WalArchive, make_segment: MakeSegment, tmp_path: Path
) -> None:
    part = make_segment(3, fill=b"p", suffix=".partial")
    archive.push(part)
    later = make_segment(3, fill=b"q", suffix=".partial")
    archive.push(later)  # a receiver that stopped twice has stored two
    name = part.name.removesuffix(".partial")
    archive.fetch(name, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == later.read_bytes()
    whole = make_segment(3)
    archive.push(whole)
    archive.fetch(name, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == whole.read_bytes()
    assert [segment.partial for segment in archive.segments()] == [False, True, True]


def test_of_several_beginnings_the_longest_is_taken_though_a_shorter_one_was_stored_later(
    archive: WalArchive, make_segment: MakeSegment, tmp_path: Path
) -> None:
    path = make_segment(3, suffix=".partial")
    whole = path.read_bytes()
    for end in (700_000, 600_000):
        path.write_bytes(whole[:end] + bytes(SEGMENT - end))
        archive.push(path)
    archive.fetch(path.name.removesuffix(".partial"), tmp_path / "back")
    assert len((tmp_path / "back").read_bytes().rstrip(b"\0")) == 700_000


def test_what_is_not_there_is_said_and_leaves_no_file(archive: WalArchive, tmp_path: Path) -> None:
    with pytest.raises(SegmentMissing):
        archive.fetch("000000010000000000000003", tmp_path / "back")
    assert list(tmp_path.glob("*back*")) == []


@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_a_flipped_byte_is_found_and_leaves_no_file(
    archive: WalArchive, make_segment: MakeSegment, tmp_path: Path, where: float
) -> None:
    path = make_segment(3)
    archive.push(path)
    [stored] = files(archive)
    data = bytearray(stored.read_bytes())
    data[int(where * (len(data) - 1))] ^= 1
    stored.write_bytes(data)
    with pytest.raises(CorruptBackup, match="000000010000000000000003") as damaged:
        archive.fetch(path.name, tmp_path / "back")
    assert "The backup" not in damaged.value.message, "it is a segment, and is named already"
    [file] = archive.files()
    with pytest.raises(CorruptBackup):
        archive.check(file)
    assert list(tmp_path.glob("*back*")) == []


def test_a_change_that_looks_like_another_key_names_its_segment(
    archive: WalArchive, make_segment: MakeSegment, tmp_path: Path
) -> None:
    path = make_segment(3)
    archive.push(path)
    [stored] = files(archive)
    data = stored.read_bytes()
    at = data.index(b"-> X25519 ") + len(b"-> X25519 ") + 50  # the recipient's part, behind the public share
    stored.write_bytes(data[:at] + (b"A" if data[at : at + 1] != b"A" else b"B") + data[at + 1 :])
    with pytest.raises(KeyMismatch, match=f"{path.name}.* cannot be decrypted") as caught:
        archive.fetch(path.name, tmp_path / "back")
    assert "the beginning of the file was changed" in caught.value.hint


def test_a_whole_file_under_a_false_name_is_found(
    archive: WalArchive, make_segment: MakeSegment, tmp_path: Path
) -> None:
    """Authentic and undamaged, but of another segment: only the checksum in its name tells."""
    archive.push(make_segment(3))
    archive.push(make_segment(4))
    third, fourth = files(archive)
    fourth.replace(third)
    with pytest.raises(CorruptBackup, match="does not hold what its name says"):
        archive.fetch("000000010000000000000003", tmp_path / "back")


def test_standard_programs_alone_restore_a_segment(
    archive: WalArchive, make_segment: MakeSegment, tmp_path: Path
) -> None:
    path = make_segment(3)
    archive.push(path)
    [stored] = files(archive)
    key = tmp_path / "key.txt"
    key.write_text(archive._identities[0] + "\n")
    age = subprocess.Popen(["age", "-d", "-i", key, stored], stdout=subprocess.PIPE)
    plain = subprocess.run(["zstd", "-d", "-c"], stdin=age.stdout, capture_output=True, timeout=30).stdout
    assert age.wait(30) == 0
    assert plain == path.read_bytes()
