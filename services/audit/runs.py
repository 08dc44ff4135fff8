"""What runs leave in the audit log: that they begin to read a backup's bytes, and how each of them ended."""

from __future__ import annotations

import logging
from typing import Any

import sqlalchemy as sa

from services.audit.model import Entry, Outcome
from services.audit.record import NotRecorded, record
from services.catalog.model import Run
from services.catalog.schema import backups, runs
from services.installation import Installation

logger = logging.getLogger(__name__)

READING = frozenset(
    {"verification", "restore_test", "restore", "copy", "compress", "archive", "point_test", "point_restore"}
)
"""Kinds of runs that read what is stored. A backup reads back what it has just written, which is no reading of it."""
_OUTCOMES: dict[str, Outcome] = {"finished": "done", "failed": "failed", "cancelled": "failed", "lost": "failed"}


def record_reading(installation: Installation, run: Run, *, worker: str) -> None:
    """Record that a run begins to read a backup's bytes, before it does. Raise NotRecorded: then it must not."""
    if run.kind not in READING or run.params.get("level") == "stored":
        return
    detail: dict[str, Any] = {"run": run.id, "kind": run.kind, "worker": worker}
    detail |= {name: run.params[name] for name in ("level", "target", "into", "storage") if run.params.get(name)}
    with installation.catalog.engine.connect() as connection:
        kind, target = _target(connection, run.backup_id, run.database)
    record(installation, Entry(run.actor, "backup.read", kind, target, run.reason, "begun", detail))


def record_end(installation: Installation, connection: sa.Connection, run_id: str) -> None:
    """Record how a run ended, in the transaction that ends it.

    One that cannot be recorded ends all the same, since otherwise it would be worked on for ever; the log says so, and
    a reading that was begun stays without its end.
    """
    columns = (runs.c.kind, runs.c.database, runs.c.backup_id, runs.c.actor, runs.c.reason, runs.c.state, runs.c.error)
    run = connection.execute(sa.select(*columns, runs.c.worker, runs.c.result).where(runs.c.id == run_id)).one()
    kind, target = _target(connection, run.backup_id, run.database)
    detail: dict[str, Any] = {"run": run_id, "kind": run.kind, "state": run.state, "worker": run.worker}
    result = run.result if isinstance(run.result, dict) else {}
    if isinstance(result.get("outcome"), str):
        detail["outcome"] = result["outcome"]
    if run.error:
        detail["error"] = run.error
    try:
        with connection.begin_nested():
            entry = Entry(run.actor, "run.end", kind, target, run.reason, _OUTCOMES[run.state], detail)
            record(installation, entry, connection)
    except NotRecorded:
        logger.exception("the end of run %s could not be recorded in the audit log", run_id)


def _target(connection: sa.Connection, backup_id: str | None, database: str | None) -> tuple[str, str]:
    if backup_id is not None:
        name = connection.scalar(sa.select(backups.c.name).where(backups.c.id == backup_id))
        return "backup", name or backup_id
    return ("database", database) if database else ("", "")
