"""Reading back while writing goes on: large files, disks that lie or refuse half-way, and an abort in the middle."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from services.errors import CorruptBackup, StorageUnavailable
from services.storage.local import LocalStorage
from services.storage.read_back import STEP_BYTES

KEY = "shop/a.dump"
PIECE = os.urandom(1 << 20)
STEPS = STEP_BYTES // len(PIECE)


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage("local", tmp_path / "backups")


def reading_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read back"]


def test_a_large_file_is_read_back_whole_whatever_was_left_at_its_end(storage: LocalStorage) -> None:
    writer = storage.writer(KEY)
    for _ in range(3 * STEPS):
        writer.write(PIECE)
    assert reading_threads()
    writer.write(b"the end")
    stored = writer.commit()
    assert stored.etag == hashlib.sha256(PIECE * 3 * STEPS + b"the end").hexdigest()
    assert not reading_threads()


def test_nothing_is_read_back_that_the_kernel_was_not_told_to_forget_first(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps a page of which it is told to forget a part, and what is then read of it says nothing of the disk."""
    page = os.sysconf("SC_PAGE_SIZE")
    forgotten: list[tuple[int, int | None]] = []
    read: list[tuple[int, int]] = []
    from_memory = []
    real_forget, real_read = os.posix_fadvise, os.pread

    def forget(descriptor: int, start: int, length: int, advice: int) -> None:
        forgotten.append((start, start + length if length else None))
        real_forget(descriptor, start, length, advice)

    def read_at(descriptor: int, count: int, start: int) -> bytes:
        data = real_read(descriptor, count, start)
        first, end = forgotten[-1]
        whole_from = -(-first // page) * page
        whole_until = None if end is None else end // page * page
        if start < whole_from or (whole_until is not None and start + len(data) > whole_until):
            from_memory.append((start, len(data)))
        read.append((start, start + len(data)))
        return data

    monkeypatch.setattr(os, "posix_fadvise", forget)
    monkeypatch.setattr(os, "pread", read_at)
    writer = storage.writer(KEY)
    odd = PIECE[:-1001]
    for _ in range(2 * STEPS + 3):
        writer.write(odd)
    for thread in reading_threads():
        while not forgotten and thread.is_alive():
            thread.join(0.01)
    stored = writer.commit()
    assert stored.etag == hashlib.sha256(odd * (2 * STEPS + 3)).hexdigest()
    assert len(forgotten) > 1, "it was read back in steps"
    assert from_memory == []
    assert [start for start, _ in read[1:]] == [end for _, end in read[:-1]], "each byte once"


def test_a_byte_that_changes_on_the_disk_after_it_was_written_is_caught(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = storage.writer(KEY)
    real_write, wrong = os.write, iter([True])

    def write_wrongly(descriptor: int, data: memoryview) -> int:
        first = next(wrong, False)
        return real_write(descriptor, bytes(len(data)) if first else data)

    monkeypatch.setattr(os, "write", write_wrongly)
    for _ in range(2 * STEPS):
        writer.write(PIECE)
    with pytest.raises(CorruptBackup):
        writer.commit()
    writer.abort()
    assert [path for path in storage.root.rglob("*") if path.is_file()] == []


def test_a_disk_that_refuses_half_way_ends_the_writing(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = storage.writer(KEY)

    def refuse(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    for _ in range(STEPS):
        writer.write(PIECE)
    for thread in reading_threads():
        thread.join()
    with pytest.raises(StorageUnavailable):
        writer.write(PIECE)
    monkeypatch.undo()
    with pytest.raises(StorageUnavailable):  # what failed once may have lost what it held; nothing makes it good
        writer.commit()
    writer.abort()
    assert [path for path in storage.root.rglob("*") if path.is_file()] == []


def test_an_abort_while_it_is_read_back_leaves_neither_file_nor_thread(storage: LocalStorage) -> None:
    writer = storage.writer(KEY)
    for _ in range(2 * STEPS):
        writer.write(PIECE)
    writer.abort()
    assert not reading_threads()
    assert [path for path in storage.root.rglob("*") if path.is_file()] == []
