"""Stored bytes passed on as they are, and a dump compressed anew: whole, or the failure of one end ends the other."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from services.errors import BackupsError, Cancelled, CorruptBackup, StorageError
from services.stream import read_stream
from services.stream.copy import copy_stream
from services.stream.recompress import recompress_stream
from tests.stream.conftest import FakeRun, MemoryReader, MemoryWriter

MB = 1 << 20
CEILING_MB = 200


@pytest.mark.parametrize("size", [0, 1, 5 * MB + 3])
def test_every_byte_is_passed_on_counted_and_hashed(size: int) -> None:
    data = os.urandom(size)
    writer, run = MemoryWriter(), FakeRun()
    found = copy_stream(MemoryReader(data), writer, run=run)
    assert writer.bytes == data
    assert (found.bytes, found.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert run.done[-1] == size
    assert not writer.committed


def test_a_reader_that_fails_aborts_the_writer() -> None:
    writer = MemoryWriter()
    with pytest.raises(StorageError, match="away"):
        copy_stream(MemoryReader(os.urandom(MB), fail_after=5000), writer, run=FakeRun())
    assert writer.aborted.is_set()


def test_a_writer_that_fails_ends_the_reading() -> None:
    with pytest.raises(StorageError, match="away"):
        copy_stream(MemoryReader(os.urandom(30 * MB)), MemoryWriter(fail_after=MB), run=FakeRun())


def test_a_cancel_ends_a_copy_to_a_slow_storage() -> None:
    writer = MemoryWriter(delay=0.05)
    with pytest.raises(Cancelled):
        copy_stream(MemoryReader(os.urandom(60 * MB)), writer, run=FakeRun(cancel_at=1))
    assert writer.aborted.is_set()


def recompressed(
    data: bytes, writer: MemoryWriter, key: tuple[str, str], *, compression: str = "none", run: FakeRun | None = None,
    fail_after: int | None = None,
) -> str:  # fmt: skip
    """Compress anew; return the sha256 of the plain dump that was written."""
    _, written = recompress_stream(
        MemoryReader(data, fail_after=fail_after), writer, compression=compression, encryption="none", identities=(),
        level=3, recipients=[key[1]], run=run or FakeRun(),
    )  # fmt: skip
    return written.plain_sha256


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("size", [0, 7 * MB])
def test_what_is_written_anew_is_the_same_dump(key: tuple[str, str], compression: str, size: int) -> None:
    plain = os.urandom(size // 2) + bytes(size - size // 2)
    writer = MemoryWriter()
    stored = gzip.compress(plain) if compression == "gzip" else plain
    assert recompressed(stored, writer, key, compression=compression) == hashlib.sha256(plain).hexdigest()
    back: list[bytes] = []
    read_stream(
        MemoryReader(writer.bytes),
        back.append,
        compression="zstd",
        encryption="age",
        identities=[key[0]],
        run=FakeRun(),
    )
    assert b"".join(back) == plain


def no_thread_is_left() -> bool:
    return not [each.name for each in threading.enumerate() if each.name.startswith(("stream-", "unpack"))]


def test_an_old_object_that_is_cut_ends_the_writing(key: tuple[str, str]) -> None:
    writer = MemoryWriter()
    with pytest.raises(CorruptBackup):
        recompressed(gzip.compress(os.urandom(9 * MB))[:-9], writer, key, compression="gzip")
    assert writer.aborted.is_set()
    assert no_thread_is_left()


def test_a_storage_that_goes_away_on_either_side_ends_both(key: tuple[str, str]) -> None:
    with pytest.raises(StorageError, match="away"):
        recompressed(os.urandom(9 * MB), MemoryWriter(), key, fail_after=3 * MB)
    with pytest.raises(StorageError, match="away"):
        recompressed(os.urandom(40 * MB), MemoryWriter(fail_after=MB), key)
    assert no_thread_is_left()


def test_a_cancel_ends_both_sides(key: tuple[str, str]) -> None:
    writer = MemoryWriter(delay=0.05)
    with pytest.raises(Cancelled):
        recompressed(os.urandom(60 * MB), writer, key, run=FakeRun(cancel_at=1))
    assert writer.aborted.is_set()
    assert no_thread_is_left()


def test_a_wrong_key_is_said_before_anything_is_read(key: tuple[str, str]) -> None:
    with pytest.raises(BackupsError):
        recompressed(b"x", MemoryWriter(), (key[0], "age1wrong"))
    assert no_thread_is_left()


SCRIPT = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from services.storage.local import LocalStorage
    from services.stream import generate_key
    from services.stream.copy import copy_stream
    from services.stream.recompress import recompress_stream
    from tests.stream.conftest import FakeRun

    folder = LocalStorage("s", Path(sys.argv[1]))
    writer = folder.writer("a.dump")
    for number in range(300):
        writer.write(os.urandom(1 << 20) if number % 2 else bytes(1 << 20))
    writer.commit()
    writer = folder.writer("b.dump")
    copy_stream(folder.reader("a.dump"), writer, run=FakeRun())
    writer.commit()
    writer = folder.writer("c.dump.zst.age")
    _, public = generate_key()
    recompress_stream(folder.reader("b.dump"), writer, compression="none", encryption="none", identities=(), level=3,
                      recipients=[public], run=FakeRun())
    assert writer.commit().bytes > 150 << 20
    with open("/proc/self/status") as status:
        print(next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM")))
""")


def test_three_hundred_megabytes_are_copied_and_compressed_in_bounded_memory(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < CEILING_MB
