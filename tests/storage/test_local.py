"""What is particular to a local folder: disks that are full, gone or lying, and files changed behind our back."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.errors import (
    AccessDenied,
    CorruptBackup,
    NoSuchBucket,
    ObjectMissing,
    StorageError,
    StorageFull,
    StorageUnavailable,
)
from services.settings.model import StorageSettings
from services.storage.local import LocalStorage
from services.storage.open import open_storage

MB = 1 << 20
KEY = "shop/a.dump"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage("local", tmp_path / "backups")


@dataclass
class TinyDisk:
    """A disk of 4 MB: a mounted tmpfs, or a folder with a substitute of the refusals where we may not mount."""

    folder: Path
    mounted: bool
    monkeypatch: pytest.MonkeyPatch

    def fill_up_at(self, size: int) -> None:
        """Without a mount, have writing refused past ``size`` bytes."""
        if self.mounted:
            return
        written, real_write = [0], os.write

        def limited(descriptor: int, data: bytes) -> int:
            written[0] += len(data)
            if written[0] > size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real_write(descriptor, data)

        self.monkeypatch.setattr(os, "write", limited)

    def make_read_only(self) -> None:
        if self.mounted:
            subprocess.run(["mount", "-o", "remount,ro", self.folder], check=True, timeout=10)
            return

        def refuse(*args: object, **kwargs: object) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        for name in ("open", "mkdir", "unlink"):
            self.monkeypatch.setattr(os, name, refuse)


@pytest.fixture
def tiny_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, timeout=10).returncode == 0
    yield TinyDisk(folder, mounted, monkeypatch)
    monkeypatch.undo()
    if mounted:
        subprocess.run(["umount", folder], check=True, timeout=10)


def files_under(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_settings_open_the_folder(tmp_path: Path) -> None:
    storage = open_storage(StorageSettings(name="disk", url=f"file://{tmp_path}/my backups"))
    storage.put(KEY, b"x")
    assert (tmp_path / "my backups" / KEY).read_bytes() == b"x"
    assert storage.location(KEY) == f"file://{tmp_path}/my backups/{KEY}"


def test_the_etag_is_the_sha256(storage: LocalStorage) -> None:
    stored = storage.put(KEY, b"content")
    assert stored.etag == hashlib.sha256(b"content").hexdigest()
    assert [found.etag for found in storage.list()] == [stored.etag]


def test_a_full_disk_is_said_and_nothing_is_left(tiny_disk: TinyDisk) -> None:
    storage = LocalStorage("local", tiny_disk.folder / "backups")
    writer = storage.writer(KEY)
    tiny_disk.fill_up_at(4 * MB)
    for _ in range(3):
        writer.write(bytes(MB))
    began = time.monotonic()
    with pytest.raises(StorageFull, match="no space left") as caught:
        writer.write(bytes(2 * MB))
    assert caught.value.hint
    assert time.monotonic() - began < 5
    writer.abort()
    assert files_under(tiny_disk.folder) == []
    assert storage.free_bytes() > 3 * MB


def test_a_disk_that_may_only_be_read_is_said(tiny_disk: TinyDisk) -> None:
    storage = LocalStorage("local", tiny_disk.folder / "backups")
    storage.put(KEY, b"x")
    tiny_disk.make_read_only()
    for call in (lambda: storage.put(KEY, b"y"), lambda: storage.writer("shop/b.dump"), lambda: storage.delete(KEY)):
        with pytest.raises(AccessDenied) as caught:
            call()
        assert caught.value.hint
    assert storage.get(KEY) == b"x"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EACCES, AccessDenied),
        (errno.EIO, StorageUnavailable),
        (errno.ESTALE, StorageUnavailable),
        (errno.EINVAL, StorageError),
    ],
)
def test_each_refusal_of_the_system_has_its_error(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StorageError]
) -> None:
    writer = storage.writer(KEY)

    def refuse(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)  # where disks and network mounts confess
    writer.write(b"x")
    with pytest.raises(StorageError) as caught:
        writer.commit()
    writer.abort()
    assert type(caught.value) is kind
    assert files_under(storage.root) == []


def test_a_disk_that_keeps_other_bytes_is_caught_before_the_object_appears(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real_write(descriptor, bytes(len(data))))
    writer = storage.writer(KEY)
    writer.write(b"not only zeros")
    monkeypatch.undo()
    with pytest.raises(CorruptBackup):
        writer.commit()
    writer.abort()
    assert files_under(storage.root) == []


def test_a_short_write_of_the_system_is_carried_on(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real_write(descriptor, data[:1000]))
    data = os.urandom(10_500)
    storage.put(KEY, data)
    monkeypatch.undo()
    assert storage.get(KEY) == data


def test_a_file_that_was_changed_later_has_another_etag(storage: LocalStorage) -> None:
    stored = storage.put(KEY, b"content")
    path = storage.root / KEY
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(0, 1))
    assert storage.stat(KEY).etag == hashlib.sha256(b"CONTENT").hexdigest() != stored.etag


def test_without_extended_attributes_stat_reads_the_file(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    stored = storage.put(KEY, b"content")
    assert storage.stat(KEY) == stored
    assert [found.etag for found in storage.list()] == [""]


def test_the_root_is_made_by_the_first_write_only(storage: LocalStorage) -> None:
    assert list(storage.list()) == []
    assert storage.unfinished() == []
    assert storage.free_bytes() > 0
    with pytest.raises(ObjectMissing):
        storage.get(KEY)
    assert not storage.root.exists()
    storage.put(KEY, b"x")
    assert storage.root.is_dir()


def test_without_the_folder_above_the_root_nothing_is_made(tmp_path: Path) -> None:
    storage = LocalStorage("local", tmp_path / "unmounted" / "backups")
    for call in (
        lambda: storage.put(KEY, b"x"),
        lambda: storage.writer(KEY),
        lambda: list(storage.list()),
        storage.unfinished,
        storage.free_bytes,
        storage.probe,
    ):
        with pytest.raises(NoSuchBucket) as caught:
            call()
        assert "mounted" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_root_is_said(tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("a file")
    with pytest.raises(StorageError):
        LocalStorage("local", tmp_path / "backups").put(KEY, b"x")


def test_files_and_folders_are_for_their_owner_alone(storage: LocalStorage) -> None:
    storage.put(KEY, b"x")
    assert (storage.root / KEY).stat().st_mode & 0o777 == 0o600
    assert storage.root.stat().st_mode & 0o777 == 0o700
    assert (storage.root / "shop").stat().st_mode & 0o777 == 0o700


def test_what_a_killed_process_left_is_found_and_removed(storage: LocalStorage) -> None:
    script = textwrap.dedent("""
        import os, pathlib, signal, sys
        from services.storage.local import LocalStorage
        writer = LocalStorage("local", pathlib.Path(sys.argv[1])).writer("shop/a.dump")
        writer.write(os.urandom(100_000))
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    killed = subprocess.run([sys.executable, "-c", script, storage.root], timeout=30)
    assert killed.returncode == -9
    assert list(storage.list()) == []
    [left] = storage.unfinished()
    assert left.key == KEY
    storage.abort_unfinished(left)
    assert files_under(storage.root) == []


def test_only_partial_files_can_be_removed_as_unfinished(storage: LocalStorage) -> None:
    storage.put(KEY, b"x")
    writer = storage.writer("shop/b.dump")
    [left] = storage.unfinished()
    writer.abort()
    with pytest.raises(StorageError):
        storage.abort_unfinished(type(left)(KEY, "a.dump", left.started_at))
    assert storage.get(KEY) == b"x"


def test_a_changed_clock_of_the_file_system_is_found(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    real_time = time.time
    monkeypatch.setattr(time, "time", lambda: real_time() - 600)
    assert 599 < storage.probe().clock_skew.total_seconds() < 601


def test_a_listing_under_a_prefix_looks_into_no_other_folder(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("shop/a.dump", "shop/ab.dump", "shop/deep/a.dump", "shop2/a.dump", "top"):
        storage.put(key, b"x")
    walk, seen = os.walk, []

    def watched(top: Path, **options: Any) -> Iterator[tuple[str, list[str], list[str]]]:
        for folder, folders, names in walk(top, **options):
            seen.append(Path(folder).name)
            yield folder, folders, names

    monkeypatch.setattr(os, "walk", watched)
    assert [entry.key for entry in storage.list("shop/a")] == ["shop/a.dump", "shop/ab.dump"]
    assert seen == ["shop", "deep"]
    assert [entry.key for entry in storage.list("shop/deep/")] == ["shop/deep/a.dump"]
    assert [entry.key for entry in storage.list("sho")][-1] == "shop2/a.dump"
    assert list(storage.list("nowhere/x")) == []


def test_a_system_without_extended_attributes_or_advice_is_enough(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.storage.local_digest._HAS_ATTRIBUTES", False)
    for name in ("posix_fadvise", "setxattr", "getxattr"):
        monkeypatch.delattr(os, name, raising=False)
    storage.put(KEY, b"content")
    assert storage.get(KEY) == b"content"
    assert storage.stat(KEY).etag == hashlib.sha256(b"content").hexdigest()
    assert next(storage.list()).etag == ""
