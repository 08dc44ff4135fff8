"""A backup turned out to be damaged: a new one is started at once, by itself, and only one."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from services.backups.request import BackupRequest
from services.commands.backups import submit_backup
from services.errors import BackupsError
from services.health.queries import Finding, findings_without_backup_since
from services.installation import Installation

logger = logging.getLogger(__name__)

ACTOR = "alerts"
_FRESH = timedelta(days=1)
"""What was found longer ago starts nothing: somebody has seen it, or this version has just been installed."""


def start_new_backups(installation: Installation, now: datetime) -> dict[str, str]:
    """Start a backup of each database of which a damaged one was found and none was asked for since.

    Return what was done by database, in a sentence for the alert. The idempotency key names the verification that
    found it first, so neither a second look, a second worker nor a second verification of that backup starts another.
    """
    known = [database.name for database in installation.settings.databases if not database.paused]
    found = findings_without_backup_since(installation.catalog.engine, known, since=now - _FRESH)
    return {finding.database: _start(installation, finding) for finding in found}


def _start(installation: Installation, finding: Finding) -> str:
    name = finding.backup_name
    request = BackupRequest(
        finding.database, note=f"Started by itself: {name} failed its {finding.level} check in {finding.storage}."
    )
    try:
        run_id = submit_backup(
            installation,
            request,
            actor=ACTOR,
            reason=f"{name} is damaged",
            idempotency_key=f"corruption:{finding.verification_id}",
        )
    except BackupsError as error:
        logger.warning("no new backup of %s could be started: %s", finding.database, error)
        return f"A new backup could not be started by itself: {error}"
    return f"A new backup was queued at once: run {run_id}."
