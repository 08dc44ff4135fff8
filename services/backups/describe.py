"""A backup's row and its copy, put together from what was planned, what was dumped and what was stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.backups.plan import Plan
from services.backups.signing import own_trust
from services.catalog.model import Backup, BackupType, Copy
from services.errors import CorruptBackup
from services.ids import new_id
from services.installation import Installation
from services.jobs.context import RunContext
from services.storage.protocol import StoredObject
from services.stream.result import StreamResult


@dataclass(frozen=True)
class Dump:
    """What is known of a dump, whoever made it."""

    snapshot_at: datetime
    """The instant that it holds."""
    server_version: str
    client_version: str
    database_bytes: int


def describe_backup(
    installation: Installation,
    plan: Plan,
    dump: Dump,
    stream: StreamResult,
    stored: StoredObject,
    run: RunContext,
    *,
    type: BackupType = "on-demand",
    excluded: tuple[str, ...] = (),
    pinned: bool = False,
    adopted: bool = False,
    note: str = "",
    format: str | None = None,
) -> Backup:
    """Return the finished backup, with its one copy; ``format`` None: the plan's.

    Raise CorruptBackup when other bytes were stored than sent.
    """
    now = installation.clock()
    if stored.bytes != stream.stored_bytes:
        raise CorruptBackup(
            f"The storage has {stored.bytes} bytes of the {stream.stored_bytes} that were sent.",
            hint="Try again, and look at the storage.",
        )
    copy = Copy(
        storage=plan.storage.name,
        key=plan.key,
        location=plan.storage.location(plan.key),
        storage_class=stored.storage_class,
        state="stored",
        bytes=stored.bytes,
        etag=stored.etag,
        checked_at=now,
    )
    return Backup(
        id=new_id(plan.started_at),
        run_id=run.run_id,
        name=plan.name,
        database=plan.database.name,
        type=type,
        state="finished",
        started_at=plan.started_at,
        finished_at=now,
        snapshot_at=dump.snapshot_at,
        database_bytes=dump.database_bytes,
        plain_bytes=stream.plain_bytes,
        stored_bytes=stream.stored_bytes,
        sha256=stream.stored_sha256,
        plain_sha256=stream.plain_sha256,
        format=format or plan.format,
        compression="zstd",
        compression_level=plan.level,
        encryption="age" if plan.recipients else "none",
        recipients=plan.recipients,
        server_version=dump.server_version,
        client_version=dump.client_version,
        excluded=excluded,
        pinned=pinned,
        note=note,
        actor=run.actor,
        trust=own_trust(installation.settings),
        copies=(copy,),
        adopted=adopted,
    )
