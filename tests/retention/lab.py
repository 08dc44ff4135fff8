"""Stores to clean up: backups that lie in real storages as a dump leaves them, without a dump."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from services import commands
from services.backups.manifest import to_document, write_manifest
from services.backups.signing import sign_document
from services.catalog.model import Backup, Copy, Run
from services.ids import new_id
from services.installation import Installation, open_configured
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.retention.plans import DatabasePlan, load_plans
from services.settings.model import DatabaseSettings, Settings, StorageSettings
from services.verification.record import record_key
from services.verification.record import to_document as record_document
from tests.catalog.rows import make_verification
from tests.support.installations import make_settings

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
CONTENT = b"what pg_dump would have written"


@dataclass
class Lab:
    """An installation whose clock stands still until it is told otherwise."""

    settings: Settings
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.inst: Installation = open_configured(self.settings, clock=lambda: self.now)

    def store(
        self,
        name: str,
        finished_at: datetime,
        *,
        database: str = "la_factoria",
        storages: Sequence[str] = ("primary",),
        proven: bool = False,
        **changes: Any,
    ) -> Backup:
        """Put a backup's object, manifest and a record of its verification into storages, and into the catalogue."""
        key = f"{database}/{name}.dump.zst.age"
        backup = Backup(
            id=new_id(finished_at), run_id=None, name=name, database=database, type="scheduled", state="finished",
            started_at=finished_at - timedelta(minutes=9), finished_at=finished_at, snapshot_at=finished_at,
            database_bytes=100, plain_bytes=50, stored_bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest(),
            plain_sha256="1" * 64, format="custom", compression="zstd", compression_level=3, encryption="age",
            recipients=("age1x",), server_version="18.1", client_version="18.1", excluded=(), pinned=False, note="",
            actor="ada", trust="signed", copies=(),
        )  # fmt: skip
        backup = replace(backup, **changes)
        for storage in storages:
            place = self.inst.storage(storage)
            stored = place.put(key, CONTENT)
            copy = Copy(
                storage, key, place.location(key), stored.storage_class, "stored", stored.bytes, stored.etag, None
            )
            alone = replace(backup, copies=(copy,))
            write_manifest(self.settings, place, to_document(alone, None))
            backup = replace(backup, copies=(*backup.copies, copy))
        self.inst.catalog.backups.add(backup)
        self.check(backup, "restore" if proven else "checksum")
        return self.inst.catalog.backups.get(backup.id)

    def check(self, backup: Backup, level: str = "checksum", outcome: str = "passed") -> None:
        """Record a verification an hour after the backup (a failed one two), beside it and in the catalogue."""
        at = backup.finished_at + timedelta(hours=1 if outcome == "passed" else 2)
        found = make_verification(backup, level, outcome, at=at, storage=backup.copies[0].storage, id=new_id(self.now))
        document = sign_document(self.settings, record_document(backup, found))
        self.inst.storage(found.storage).put(record_key(backup, found), json.dumps(document).encode())
        self.inst.catalog.verifications.add(found)

    def daily(self, count: int, *, first: int = 0, **more: Any) -> list[Backup]:
        """One good backup a day at noon, the newest (``d0``) now."""
        return [self.store(f"d{n}", NOW - n * DAY, **more) for n in range(first, first + count)]

    def clean(self, *, apply: bool = True, **asked: Any) -> Run:
        """Clean up in the foreground; return the run as it ended."""
        return self.carry_out(commands.submit_cleanup(self.inst, apply=apply, actor="ada", queue=False, **asked))

    def delete(self, *backups: Backup, **asked: Any) -> Run:
        """Delete by hand."""
        ids = [backup.id for backup in backups]
        return self.carry_out(commands.submit_deletion(self.inst, ids, actor="ada", queue=False, **asked))

    def carry_out(self, run_id: str) -> Run:
        return execute_run(self.inst, run_id, worker=process_identity())

    def plan(self, database: str = "la_factoria") -> DatabasePlan:
        [plan] = load_plans(self.inst, [database])
        return plan

    def states(self) -> dict[str, str]:
        """Return the state of each backup, by name."""
        return {backup.name: backup.state for backup in self.inst.catalog.backups.list()}

    def get(self, name: str) -> Backup:
        return self.inst.catalog.backups.find(name)

    def keys(self, storage: str = "primary", name: str = "") -> list[str]:
        """Return what a storage holds beside a backup, without the backup's own name."""
        prefix = f"la_factoria/{name}." if name else ""
        return [entry.key.removeprefix(prefix) for entry in self.inst.storage(storage).list(prefix)]

    def emptied(self) -> Lab:
        """Return a lab with the same storages and an empty catalogue, as after the loss of this one."""
        url = SecretStr(f"sqlite:///{self.settings.home / f'emptied-{new_id(NOW)}.db'}")
        return Lab(self.settings.model_copy(update={"catalog_url": url}), self.now)


def lab_settings(home: Path, *, databases: Sequence[str] = ("la_factoria",), **changes: Any) -> Settings:
    """Return settings with two local storages, and databases that are never connected to."""
    storages = tuple(StorageSettings(name=name, url=f"file://{home / name}") for name in ("primary", "second"))
    for name in ("primary", "second"):
        (home / name).mkdir(exist_ok=True)
    url = SecretStr("postgresql://u:p@127.0.0.1:1/x")
    values: dict[str, Any] = {
        "storages": storages,
        "databases": tuple(DatabaseSettings(name=name, url=url, storages=("primary",)) for name in databases),
    }
    return make_settings(home, **(values | changes))
