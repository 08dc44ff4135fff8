"""An emergency backup into several storages at once: the first decides, the others are made up for later."""

from __future__ import annotations

import os
import socket
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.backups import at_once
from services.backups.missing_copies import find_missing
from services.backups.naming import manifest_key
from services.catalog import schema
from services.errors import CorruptBackup, StorageError
from services.health.checks import examine
from services.installation import Installation
from services.jobs.identity import DeathWatch
from services.jobs.recovery import recover_dead_runs
from services.settings.model import StorageSettings
from services.storage import tee
from services.storage.open import open_storage
from services.storage.protocol import Storage
from services.storage.tee import TeeWriter
from tests.emergency.conftest import emergency, wait_for

KEY = "la_factoria/a.dump"
PIECE = b"x" * 100_000


@pytest.fixture
def places(tmp_path: Path) -> tuple[Storage, Storage]:
    one, two = (open_storage(StorageSettings(name=name, url=f"file://{tmp_path / name}")) for name in ("one", "two"))
    return one, two


class Faulty:
    """A real writer that fails, or stands still, once so much was written."""

    def __init__(self, writer: Any, *, after: int, stands_still: bool = False) -> None:
        self._writer = writer
        self._left = after
        self._stands_still = stands_still
        self.released = threading.Event()

    def write(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0 and self._stands_still:
            self.released.wait(60)
        if self._left < 0:
            raise StorageError("The disk is gone.")
        self._writer.write(data)

    def commit(self) -> Any:
        return self._writer.commit()

    def abort(self) -> None:
        self.released.set()
        self._writer.abort()


def test_all_storages_have_the_same_bytes(places: tuple[Storage, Storage]) -> None:
    one, two = places
    writer = TeeWriter(one.writer(KEY), {"two": two.writer(KEY)}, discard=lambda _: two.delete(KEY))
    for number in range(120):
        writer.write(PIECE + str(number).encode())
    stored = writer.commit()
    assert writer.failures == {}
    assert writer.stored["two"].bytes == stored.bytes
    assert one.get(KEY) == two.get(KEY)
    writer.abort()
    assert two.stat(KEY).bytes == stored.bytes, "an abort after the commit does nothing"


@pytest.mark.parametrize("stands_still", [False, True])
def test_a_further_storage_that_fails_or_stands_still_is_given_up_and_the_first_goes_on(
    places: tuple[Storage, Storage], monkeypatch: pytest.MonkeyPatch, stands_still: bool
) -> None:
    monkeypatch.setattr(tee, "PATIENCE_SECONDS", 0.2)
    one, two = places
    faulty = Faulty(two.writer(KEY), after=len(PIECE), stands_still=stands_still)
    writer = TeeWriter(one.writer(KEY), {"two": faulty}, discard=lambda _: two.delete(KEY))
    for _ in range(120):
        writer.write(PIECE)
    assert writer.commit().bytes == 120 * len(PIECE)
    said = "kept the others waiting" if stands_still else "The disk is gone"
    assert said in str(writer.failures["two"])
    faulty.released.set()
    wait_for(lambda: two.unfinished() == [])
    assert list(two.list()) == []


def test_a_further_storage_that_is_slow_all_the_time_is_given_up_and_what_it_finishes_late_is_removed(
    places: tuple[Storage, Storage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tee, "BUDGET_SECONDS", 0.5)
    monkeypatch.setattr(tee, "COMMIT_SECONDS", 0.2)
    one, two = places
    slow = two.writer(KEY)
    write = slow.write
    monkeypatch.setattr(slow, "write", lambda data: (time.sleep(0.02), write(data)))
    writer = TeeWriter(one.writer(KEY), {"two": slow}, discard=lambda _: two.delete(KEY))
    for _ in range(150):
        writer.write(PIECE)
    assert writer.commit().bytes == 150 * len(PIECE)
    assert "kept the others waiting" in str(writer.failures["two"])
    late = two.writer("la_factoria/b.dump")
    commit, goes_on = late.commit, threading.Event()
    monkeypatch.setattr(late, "commit", lambda: (goes_on.wait(30), commit())[1])
    removed = threading.Event()
    writer = TeeWriter(
        one.writer("la_factoria/b.dump"),
        {"two": late},
        discard=lambda _: (two.delete("la_factoria/b.dump"), removed.set()),
    )
    writer.write(PIECE)
    writer.commit()
    assert writer.stored == {}
    goes_on.set()
    assert removed.wait(10)
    assert list(two.list()) == []


def test_a_manifest_that_a_further_storage_spoils_is_a_copy_that_is_wanting(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(*args: object, **kwargs: object) -> None:
        raise CorruptBackup("The bytes that were written are not those that are read.")

    monkeypatch.setattr(at_once, "store_document", spoiled)
    run = emergency(installation, read_only=False)
    assert run.state == "finished", run.error
    (backup,) = installation.catalog.backups.list()
    assert [(copy.storage, copy.state) for copy in backup.copies] == [("primary", "stored"), ("second", "failed")]
    assert list(installation.storage("second").list()) == []


def test_when_the_first_storage_fails_nothing_is_left_in_any(places: tuple[Storage, Storage]) -> None:
    one, two = places
    writer = TeeWriter(
        Faulty(one.writer(KEY), after=len(PIECE)), {"two": two.writer(KEY)}, discard=lambda _: two.delete(KEY)
    )
    writer.write(PIECE)
    with pytest.raises(StorageError, match="The disk is gone"):
        writer.write(PIECE)
    writer.abort()
    for storage in (one, two):
        assert list(storage.list()) == []
        assert storage.unfinished() == []


def test_a_further_storage_that_is_away_leaves_a_copy_that_is_wanting_and_alerts(installation: Installation) -> None:
    second = installation.settings.storage("second").url.removeprefix("file://")
    folder = Path(second)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir()
    folder.rmdir()
    folder.write_text("a file where the folder should be")
    run = emergency(installation)
    assert run.state == "finished", run.error
    (backup,) = installation.catalog.backups.list()
    states = {copy.storage: copy.state for copy in backup.copies}
    assert states == {"primary": "stored", "second": "failed"}
    (wanting,), _ = find_missing(installation)
    assert (wanting.storage, wanting.attempts, wanting.has_source) == ("second", 1, True)
    assert wanting.next_attempt_at is not None
    assert wanting.next_attempt_at - installation.clock() < timedelta(minutes=6)
    (check,) = [check for check in examine(installation).checks if check.name == "copies"]
    assert check.severity == "warning"


def test_a_first_storage_that_refuses_fails_the_backup_and_leaves_nothing_in_the_other(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary = installation.storage("primary")
    begin = primary.writer
    monkeypatch.setattr(primary, "writer", lambda *args, **more: Faulty(begin(*args, **more), after=0))
    run = emergency(installation)
    assert run.state == "failed"
    assert "The disk is gone" in run.error
    for name in ("primary", "second"):
        assert list(installation.storage(name).list()) == []
        assert installation.storage(name).unfinished() == []
    assert installation.catalog.backups.list() == []
    assert installation.catalog.read_only_modes.unreleased() == []


@pytest.mark.parametrize("second_is_real", [True, False])
def test_what_a_killed_process_had_stored_in_several_storages_is_recorded_or_removed(
    installation: Installation, second_is_real: bool
) -> None:
    """Killed after the primary manifest, before or after the second one: nobody has written into the catalogue yet."""
    run = emergency(installation, read_only=False)
    (backup,) = installation.catalog.backups.list()
    key, manifest = backup.copies[0].key, manifest_key("la_factoria", backup.name)
    second = installation.storage("second")
    if not second_is_real:
        second.delete(manifest)
    dead = f"{socket.gethostname()}:{os.getpid()}:1"
    left = [{"kind": "object", "storage": name, "key": key, "manifest": manifest} for name in ("primary", "second")]
    with installation.catalog.engine.begin() as connection:
        connection.execute(schema.backups.delete())
        values = {"state": "running", "worker": dead, "backup_id": None, "leftovers": left}
        connection.execute(schema.runs.update().where(schema.runs.c.id == run.id).values(values))
    recover_dead_runs(installation, DeathWatch(), enqueue=None)
    (found,) = installation.catalog.backups.list()
    there = [(copy.storage, copy.state) for copy in found.copies]
    if second_is_real:
        assert there == [("primary", "stored"), ("second", "stored")]
    else:
        assert there == [("primary", "stored")]
        assert [entry.key for entry in second.list() if ".dump" in entry.key] == []
