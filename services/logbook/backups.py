"""The log of backups: the runbook's entry for each, also of those that have expired, the oldest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from services.backups.log_entry import log_entry, render_log_entry
from services.catalog.model import Backup
from services.clock import isoformat
from services.logbook.form import LogForm, as_csv, as_json, as_text, check_state, in_seconds
from services.printable import printable

BACKUP_COLUMNS = (
    "Database", "Backup", "Date", "Type", "Size", "Duration", "Location", "Verified", "Notes", "State", "Bytes",
    "Seconds", "SHA-256", "Id",
)  # fmt: skip


def backup_log(backups: Iterable[Backup], form: LogForm) -> Iterator[str]:
    """Yield the log of these backups in a form, in pieces.

    ``template``: the runbook's entries, a blank line between two. ``csv``: BACKUP_COLUMNS. ``json``: a list of
    ``{id, name, database, type, state, finished_at, duration_seconds, stored_bytes, sha256, locations, verification:
    {level, at, passed}, proven_at, note, actor, entry}``, where ``entry`` has the template's facts.
    """
    if form == "template":
        return as_text(_entry(backup) for backup in backups)
    if form == "csv":
        return as_csv(BACKUP_COLUMNS, map(_row, backups))
    return as_json(map(_record, backups))


def _entry(backup: Backup) -> str:
    return "\n".join(printable(line) for line in render_log_entry(backup).split("\n"))


def _row(backup: Backup) -> dict[str, Any]:
    return log_entry(backup) | {
        "Database": backup.database,
        "Backup": backup.name,
        "State": backup.state,
        "Bytes": backup.stored_bytes,
        "Seconds": in_seconds(backup.duration),
        "SHA-256": backup.sha256,
        "Id": backup.id,
    }


def _record(backup: Backup) -> dict[str, Any]:
    return {
        "id": backup.id,
        "name": backup.name,
        "database": backup.database,
        "type": backup.type,
        "state": backup.state,
        "finished_at": isoformat(backup.finished_at),
        "duration_seconds": in_seconds(backup.duration),
        "stored_bytes": backup.stored_bytes,
        "sha256": backup.sha256,
        "locations": [copy.location for copy in backup.copies if copy.state != "deleted"],
        "verification": check_state(backup),
        "proven_at": isoformat(backup.proven_at if backup.is_proven else None),
        "note": backup.note,
        "actor": backup.actor,
        "entry": log_entry(backup),
    }
