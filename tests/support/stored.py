"""Backups of a few random bytes, really stored with their manifests: for tests of what happens to stored bytes."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from services.backups.manifest import to_document, write_manifest
from services.backups.naming import manifest_key
from services.catalog.model import Backup, Copy, Run
from services.clock import Clock
from services.ids import new_id
from services.installation import Installation
from services.jobs.execute import execute_run
from services.settings.model import DatabaseSettings, StorageSettings
from tests.support.installations import make_installation

# A manifest's times have milliseconds, and so has this: what is read back can be compared as it is.
AT = datetime(2026, 11, 22, 2, 0, 11, 123000, tzinfo=UTC)


def folder_storage(home: Path, name: str, **changes: Any) -> StorageSettings:
    """Return the settings of a storage in a folder of its own, which exists."""
    (home / name).mkdir(parents=True, exist_ok=True)
    return StorageSettings(name=name, url=f"file://{home / name}", **changes)


def installation_on(
    home: Path, *storages: StorageSettings, clock: Clock | None = None, **database: Any
) -> Installation:
    """Return an installation whose one database is to be in all of these storages, the first one being primary."""
    url = SecretStr("postgresql://u:p@127.0.0.1:1/la_factoria")
    wanted = {"storages": tuple(storage.name for storage in storages)} | database
    databases = (DatabaseSettings(name="la_factoria", url=url, **wanted),)
    return make_installation(home, storages=storages, databases=databases, **({"clock": clock} if clock else {}))


def store_backup(
    inst: Installation,
    name: str = "b1",
    storage: str = "primary",
    *,
    content: bytes | None = None,
    at: datetime = AT,
    list_it: bool = True,
    **changes: Any,
) -> Backup:
    """Store a backup that finished at ``at``, with its manifest, and list it; ``content`` None: 100 kB of chance."""
    place = inst.storage(storage)
    data = os.urandom(100_000) if content is None else content
    key = changes.pop("key", f"la_factoria/{name}.dump.zst.age")
    backup = Backup(
        id=new_id(at), run_id="run-1", name=name, database="la_factoria", type="on-demand", state="finished",
        started_at=at - timedelta(seconds=20), finished_at=at, snapshot_at=at - timedelta(seconds=19),
        database_bytes=3 * len(data), plain_bytes=2 * len(data), stored_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(), plain_sha256="1" * 64, format="custom", compression="zstd",
        compression_level=3, encryption="age", recipients=inst.settings.recipients, server_version="18.1",
        client_version="18.1", excluded=(), pinned=False, note="", actor="ada", trust="signed",
        copies=(Copy(storage, key, place.location(key), "STANDARD", "stored", len(data), "", None),),
    )  # fmt: skip
    backup = replace(backup, **changes)
    writer = place.writer(key, expected_bytes=len(data))
    writer.write(data)
    stored = writer.commit()
    backup = replace(backup, copies=(replace(backup.copies[0], etag=stored.etag),))
    write_manifest(inst.settings, place, to_document(backup, None))
    if list_it:
        inst.catalog.backups.add(backup)
    return backup


def carry_out(inst: Installation, run_id: str) -> Run:
    """Work on a run in this process and return how it ended."""
    return execute_run(inst, run_id, worker="test:1")


def content_of(inst: Installation, storage: str, key: str) -> bytes:
    return inst.storage(storage).get(key)


def keys_in(inst: Installation, storage: str) -> list[str]:
    """Return the keys of a storage, without those of check records and of the audit's anchors."""
    keys = [entry.key for entry in inst.storage(storage).list()]
    return [key for key in keys if ".check-" not in key and not key.startswith("audit/")]


def both_keys(backup: Backup) -> list[str]:
    """Return the keys that every whole copy of a backup has."""
    return sorted([backup.copies[0].key, manifest_key(backup.database, backup.name)])


def flip(path: Path, at: int | None = None) -> None:
    """Change one bit of a file, in its middle unless said otherwise."""
    data = bytearray(path.read_bytes())
    position = len(data) // 2 if at is None else at
    data[position] ^= 1
    path.write_bytes(bytes(data))
