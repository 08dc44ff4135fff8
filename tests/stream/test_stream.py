"""The backup stream there and back: equal bytes, other programs, progress, and every way to fail."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from services.errors import Cancelled, CorruptBackup, InputError, KeyMismatch, StorageError, UntrustedManifest
from services.storage.local import LocalStorage
from services.stream import StreamResult, generate_key, read_stream, write_stream
from services.stream.decoders import decoder_for
from tests.stream.conftest import FakeRun, MemoryReader, MemoryWriter

MB = 1 << 20
Key = tuple[str, str]


class DumpFailedHere(Exception):
    """What a source of the tests raises."""


class Endless:
    """A source that never ends."""

    def read(self, size: int = -1, /) -> bytes:
        return os.urandom(MB)


class Failing:
    """A source that breaks after ``pieces`` of 1 MB."""

    def __init__(self, pieces: int) -> None:
        self.left = pieces

    def read(self, size: int = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise DumpFailedHere
        return bytes(MB)


def write(data: bytes, recipients: tuple[str, ...], *, level: int = 3) -> tuple[StreamResult, bytes]:
    writer = MemoryWriter()
    result = write_stream(io.BytesIO(data), writer, level=level, recipients=recipients, run=FakeRun())
    return result, writer.bytes


def read(
    stored: bytes, secrets: tuple[str, ...], *, compression: str = "zstd", encryption: str = "age"
) -> tuple[StreamResult, bytes]:
    got = io.BytesIO()
    result = read_stream(
        MemoryReader(stored),
        lambda piece: got.write(piece) and None,
        compression=compression,
        encryption=encryption,
        identities=secrets,
        run=FakeRun(),
    )
    return result, got.getvalue()


@pytest.fixture
def stuck_pipe() -> Iterator[io.FileIO]:
    """The reading end of a pipe into which nobody ever writes."""
    reading, writing = os.pipe()
    with io.FileIO(reading) as end:
        yield end
    os.close(writing)


@pytest.mark.parametrize("level", [1, 3, 12, 19])
@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("size", [0, 1, 65_536, 3 * MB + 17])
def test_what_is_written_is_read_back(key: Key, size: int, encrypted: bool, level: int) -> None:
    secret, public = key
    data = os.urandom(size // 2) + bytes(size - size // 2)
    sent, stored = write(data, (public,) if encrypted else (), level=level)
    assert (sent.plain_bytes, sent.plain_sha256) == (size, hashlib.sha256(data).hexdigest())
    assert (sent.stored_bytes, sent.stored_sha256) == (len(stored), hashlib.sha256(stored).hexdigest())
    back, plain = read(stored, (secret,), encryption="age" if encrypted else "none")
    assert plain == data
    assert (back.plain_sha256, back.stored_sha256) == (sent.plain_sha256, sent.stored_sha256)
    assert (back.plain_bytes, back.stored_bytes) == (sent.plain_bytes, sent.stored_bytes)


@pytest.mark.skipif(not (shutil.which("age") and shutil.which("zstd")), reason="age or zstd is not installed")
def test_age_and_zstd_alone_restore_it(tmp_path: Path, key: Key) -> None:
    secret, public = key
    data = os.urandom(100_000) * 30
    _, stored = write(data, (public, generate_key()[1]))
    (tmp_path / "key").write_text(secret)
    (tmp_path / "backup").write_bytes(stored)
    opened = subprocess.run(["age", "-d", "-i", tmp_path / "key", tmp_path / "backup"], check=True, capture_output=True)
    assert subprocess.run(["zstd", "-d"], input=opened.stdout, check=True, capture_output=True).stdout == data


def test_the_pipe_of_a_child_is_read_to_its_end(key: Key) -> None:
    script = "import os\nfor n in range(300): os.write(1, bytes([n % 256]) * 10007)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, bufsize=0) as child:
        writer = MemoryWriter()
        sent = write_stream(child.stdout, writer, level=3, recipients=(key[1],), run=FakeRun())
    assert sent.plain_bytes == 300 * 10007
    _, plain = read(writer.bytes, (key[0],))
    assert plain == b"".join(bytes([n % 256]) * 10007 for n in range(300))


def test_progress_rises_to_the_plain_bytes(key: Key) -> None:
    run = FakeRun()
    write_stream(io.BytesIO(bytes(50 * MB)), MemoryWriter(delay=0.001), level=1, recipients=(key[1],), run=run)
    assert run.done == sorted(run.done)
    assert run.done[-1] == 50 * MB


def test_a_slow_sink_is_waited_for_and_gets_everything(key: Key) -> None:
    data = os.urandom(2 * MB)
    writer = MemoryWriter(delay=0.02)
    sent = write_stream(io.BytesIO(data), writer, level=1, recipients=(key[1],), run=FakeRun())
    assert sent.seconds > 0.5
    assert read(writer.bytes, (key[0],))[1] == data


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_writer_that_fails_ends_an_endless_source_at_once(key: Key, encrypted: bool) -> None:
    writer = MemoryWriter(fail_after=3 * MB)
    began = time.monotonic()
    with pytest.raises(StorageError, match="The storage is away"):
        write_stream(Endless(), writer, level=3, recipients=(key[1],) if encrypted else (), run=FakeRun())
    assert time.monotonic() - began < 3
    assert writer.aborted.is_set()


def test_a_writer_that_fails_ends_a_source_that_is_stuck(key: Key) -> None:
    """A child that wrote 40 MB and now neither writes nor ends must not keep the stream from ending."""
    script = "import os, time\nfor n in range(40): os.write(1, os.urandom(1000) * 1000)\ntime.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, bufsize=0) as child:
        began = time.monotonic()
        with pytest.raises(StorageError, match="The storage is away"):
            write_stream(child.stdout, MemoryWriter(fail_after=1), level=1, recipients=(), run=FakeRun())
        assert time.monotonic() - began < 5
        assert child.poll() is None
        child.kill()


@pytest.mark.parametrize("pieces", [0, 1, 30])
def test_a_source_that_fails_is_told_as_it_was_and_the_writer_aborted(key: Key, pieces: int) -> None:
    writer = MemoryWriter(delay=0.001)
    with pytest.raises(DumpFailedHere):
        write_stream(Failing(pieces), writer, level=3, recipients=(key[1],), run=FakeRun())
    assert writer.aborted.is_set()
    assert not writer.committed


def test_a_cancel_ends_an_endless_stream(key: Key) -> None:
    writer = MemoryWriter()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        write_stream(Endless(), writer, level=3, recipients=(key[1],), run=FakeRun(cancel_at=20 * MB))
    assert time.monotonic() - began < 10
    assert writer.aborted.is_set()


def test_a_cancel_ends_a_stuck_source_and_a_stuck_writer(stuck_pipe: io.FileIO, key: Key) -> None:
    began = time.monotonic()
    with pytest.raises(Cancelled):
        write_stream(stuck_pipe, MemoryWriter(), level=3, recipients=(key[1],), run=FakeRun(cancel_at=0))
    with pytest.raises(Cancelled):
        write_stream(Endless(), MemoryWriter(delay=600), level=3, recipients=(key[1],), run=FakeRun(cancel_at=1))
    assert time.monotonic() - began < 3


def test_a_failed_stream_leaves_nothing_in_a_storage(tmp_path: Path, key: Key) -> None:
    storage = LocalStorage("local", tmp_path / "backups")
    with pytest.raises(DumpFailedHere):
        write_stream(Failing(20), storage.writer("shop/a.dump"), level=3, recipients=(key[1],), run=FakeRun())
    assert list(storage.list()) == []
    assert storage.unfinished() == []


def test_a_wrong_public_key_is_refused_before_anything_is_read() -> None:
    with pytest.raises(InputError):
        write_stream(Endless(), MemoryWriter(), level=3, recipients=("age1nonsense",), run=FakeRun())


def test_a_reader_that_fails_ends_the_reading(key: Key) -> None:
    _, stored = write(os.urandom(MB), (key[1],))
    for fail_after in (0, 100, MB // 2):
        with pytest.raises(StorageError, match="The storage is away"):
            read_stream(
                MemoryReader(stored, fail_after=fail_after),
                lambda piece: None,
                compression="zstd",
                encryption="age",
                identities=(key[0],),
                run=FakeRun(),
            )


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_sink_that_fails_or_a_cancel_ends_the_reading(key: Key, encrypted: bool) -> None:
    _, stored = write(os.urandom(5 * MB), (key[1],) if encrypted else ())
    encryption = "age" if encrypted else "none"

    def refuse(piece: bytes) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        read_stream(
            MemoryReader(stored), refuse, compression="zstd", encryption=encryption, identities=(key[0],), run=FakeRun()
        )
    slow = threading.Event()
    with pytest.raises(Cancelled):
        read_stream(
            MemoryReader(stored),
            lambda piece: slow.wait(0.05) and None,
            compression="zstd",
            encryption=encryption,
            identities=(key[0],),
            run=FakeRun(cancel_at=1),
        )


def test_a_key_that_does_not_fit_is_told_apart_from_damage(key: Key) -> None:
    secret, public = key
    _, stored = write(os.urandom(1000), (public,))
    other_secret, other_public = generate_key()
    with pytest.raises(KeyMismatch, match=other_public):
        read(stored, (other_secret,))
    with pytest.raises(KeyMismatch, match="no secret key"):
        read(stored, ())
    assert read(stored, (other_secret, secret))[0].plain_bytes == 1000
    with pytest.raises(CorruptBackup, match="header"):
        read(b"x" + stored[1:], (secret,))


def test_an_unknown_format_is_refused(key: Key) -> None:
    for compression, encryption in (("lz4", "none"), ("zstd", "rot13")):
        with pytest.raises(UntrustedManifest):
            read(b"", (key[0],), compression=compression, encryption=encryption)


def test_adopted_dumps_are_read_as_they_are(key: Key) -> None:
    data = os.urandom(1000) * 3000
    assert read(data, (), compression="none", encryption="none")[1] == data
    packed = gzip.compress(data)
    assert read(packed, (), compression="gzip", encryption="none")[1] == data
    assert read(packed + gzip.compress(b"second member"), (), compression="gzip", encryption="none")[1] == (
        data + b"second member"
    )
    for damaged in (b"", packed[:-1], packed[:-8], packed[: len(packed) // 2], packed + b"x", b"x" + packed[1:]):
        with pytest.raises(CorruptBackup):
            read(damaged, (), compression="gzip", encryption="none")


def test_every_shape_of_a_zstd_frame_is_read(key: Key) -> None:
    """With and without checksum, content size and large windows; many blocks, equal bytes, and nothing at all."""
    for data in (b"", b"x", bytes(3 * MB), os.urandom(300_000), b"abc" * 200_000 + os.urandom(200_000)):
        for options in ({"write_checksum": True}, {"write_checksum": False}, {"write_content_size": False}):
            packed = zstandard.ZstdCompressor(level=5, **options).compress(data)
            assert read(packed, (), encryption="none")[1] == data
            for damaged in (packed[:-1], packed + b"\0", packed + packed, b"x" + packed[1:]):
                with pytest.raises(CorruptBackup):
                    read(damaged, (), encryption="none")


def test_a_further_zstd_frame_is_refused_and_said_to_be_one() -> None:
    frame = zstandard.ZstdCompressor().compress(b"plain")
    with pytest.raises(CorruptBackup, match="further frame") as caught:
        list(decoder_for("zstd").feed(frame + frame))
    assert "zstd -d" in caught.value.hint
    with pytest.raises(CorruptBackup, match="bytes after the end"):
        list(decoder_for("zstd").feed(frame + b"garbage"))
