"""Rows to put into a catalogue."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.catalog.model import Backup, Copy, Outcome, Verification

NOW = datetime(2026, 11, 22, 2, 0, 11, 123456, tzinfo=UTC)


def make_backup(name: str = "b1", *, finished_at: datetime = NOW, **changes: Any) -> Backup:
    """Return a good backup of la_factoria, 20 s long."""
    copy = Copy("primary", f"la_factoria/{name}.dump.zst.age", "file:///x", "STANDARD", "stored", 10, "etag", None)
    backup = Backup(
        id=f"id-{name}",
        run_id=None,
        name=name,
        database="la_factoria",
        type="on-demand",
        state="finished",
        started_at=finished_at - timedelta(seconds=20),
        finished_at=finished_at,
        snapshot_at=finished_at - timedelta(seconds=19),
        database_bytes=100,
        plain_bytes=50,
        stored_bytes=10,
        sha256="0" * 64,
        plain_sha256="1" * 64,
        format="custom",
        compression="zstd",
        compression_level=3,
        encryption="age",
        recipients=("age1x",),
        server_version="18.1",
        client_version="18.1",
        excluded=(),
        pinned=False,
        note="",
        actor="ada",
        trust="signed",
        copies=(copy,),
    )
    return replace(backup, **changes)


def make_verification(
    backup: Backup, level: str, outcome: Outcome, *, at: datetime = NOW, **changes: Any
) -> Verification:
    """Return a verification of the backup that took a second."""
    verification = Verification(
        id=f"{backup.id}-{level}-{at:%d%H%M%S}-{outcome}",
        run_id=None,
        backup_id=backup.id,
        database=backup.database,
        level=level,
        storage="primary",
        outcome=outcome,
        reason="",
        started_at=at - timedelta(seconds=1),
        finished_at=at,
        actor="ada",
    )
    return replace(verification, **changes)
