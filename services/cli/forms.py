"""The JSON of the command line.

Keys are stable: they are added to, never renamed. Times are ISO 8601 in UTC, sizes bytes, durations seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from services.backups.thaw_state import expected_at
from services.catalog.model import Backup, LogLine, Run, Verification
from services.clock import isoformat
from services.installation import Installation
from services.logbook.form import check_state, in_seconds
from services.retention.planner import Decision
from services.retention.plans import load_decisions


def seconds(length: timedelta | None) -> float | None:
    """Return a duration in seconds, to a millisecond."""
    return None if length is None else in_seconds(length)


def backup_forms(installation: Installation, backups: Sequence[Backup]) -> list[dict[str, Any]]:
    """Return backups, each with what its database's retention policy makes of it."""
    databases = {backup.database for backup in backups if backup.state != "expired"}
    decisions = load_decisions(installation, databases) if databases else {}
    return [backup_form(backup, decisions.get(backup.id)) for backup in backups]


def backup_form(backup: Backup, decision: Decision | None) -> dict[str, Any]:
    """Return a backup. ``expires_at``: its keep-until, null for ever or unknown; of an expired one, when it went."""
    expires_at = backup.expired_at if backup.state == "expired" or decision is None else decision.expires_at
    return {
        "id": backup.id,
        "name": backup.name,
        "database": backup.database,
        "type": backup.type,
        "state": backup.state,
        "started_at": isoformat(backup.started_at),
        "finished_at": isoformat(backup.finished_at),
        "snapshot_at": isoformat(backup.snapshot_at),
        "duration_seconds": seconds(backup.duration),
        "database_bytes": backup.database_bytes,
        "plain_bytes": backup.plain_bytes,
        "stored_bytes": backup.stored_bytes,
        "sha256": backup.sha256,
        "format": backup.format,
        "compression": backup.compression,
        "encryption": backup.encryption,
        "recipients": list(backup.recipients),
        "server_version": backup.server_version,
        "client_version": backup.client_version,
        "excluded": list(backup.excluded),
        "copies": [
            {
                "storage": copy.storage,
                "location": copy.location,
                "storage_class": copy.storage_class,
                "state": copy.state,
                "bytes": copy.bytes,
                "checked_at": isoformat(copy.checked_at),
                "locked_until": isoformat(copy.locked_until),
                "lock_mode": copy.lock_mode or None,
                "error": copy.error,
                "attempts": copy.attempts,
                "next_attempt_at": isoformat(copy.next_attempt_at),
                "thaw": None
                if copy.thaw_requested_at is None and copy.thawed_at is None
                else {
                    "requested_at": isoformat(copy.thaw_requested_at),
                    "tier": copy.thaw_tier,
                    "expected_at": isoformat(expected_at(copy)),
                    "thawed_at": isoformat(copy.thawed_at),
                    "until": isoformat(copy.thawed_until),
                },
                "deletion_error": copy.deletion_error or None,
            }
            for copy in backup.copies
        ],
        "tiers": list(decision.tiers) if decision else [],
        "keep_reasons": list(decision.reasons) if decision else [],
        "expires_at": isoformat(expires_at),
        "pinned": backup.pinned,
        "trust": backup.trust,
        "good": backup.is_good,
        "verification": check_state(backup),
        "proven_at": isoformat(backup.proven_at if backup.is_proven else None),
        "note": backup.note,
        "actor": backup.actor,
        "run_id": backup.run_id,
        "sample": backup.sample,
    }


def run_form(run: Run) -> dict[str, Any]:
    """Return a run."""
    return {
        "id": run.id,
        "kind": run.kind,
        "database": run.database,
        "backup_id": run.backup_id,
        "state": run.state,
        "actor": run.actor,
        "reason": run.reason,
        "queued_at": isoformat(run.queued_at),
        "started_at": isoformat(run.started_at),
        "finished_at": isoformat(run.finished_at),
        "duration_seconds": seconds(run.duration),
        "attempt": run.attempt,
        "worker": run.worker,
        "phase": run.phase,
        "bytes_done": run.bytes_done,
        "bytes_total": run.bytes_total,
        "error": run.error,
        "hint": run.hint,
        "result": run.result,
    }


def log_form(line: LogLine) -> dict[str, Any]:
    """Return a line of a run's log."""
    return {"at": isoformat(line.at), "level": line.level, "message": line.message}


def verification_form(found: Verification, backup: Backup) -> dict[str, Any]:
    """Return a verification of a backup; ``detail`` of a restore test holds its times and its comparison."""
    return {
        "id": found.id,
        "run_id": found.run_id,
        "backup_id": found.backup_id,
        "backup": backup.name,
        "database": found.database,
        "level": found.level,
        "storage": found.storage,
        "outcome": found.outcome,
        "reason": found.reason,
        "started_at": isoformat(found.started_at),
        "finished_at": isoformat(found.finished_at),
        "duration_seconds": seconds(found.finished_at - found.started_at),
        "actor": found.actor,
        "detail": found.detail,
    }
