"""A backup turned out to be damaged: a new one is started at once, by itself, and only one.

A storage that damages whatever it is given would otherwise be given one backup after another, without an end.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from services.backups.request import BackupRequest
from services.commands.backups import submit_backup
from services.commands.point_in_time import submit_base_backup
from services.errors import BackupsError
from services.health.queries import AskedFor, Finding, findings_without_backup_since, last_backups_asked_for_by
from services.installation import Installation

logger = logging.getLogger(__name__)

ACTOR = "alerts"
_FRESH = timedelta(days=1)
"""What was found longer ago starts nothing: somebody has seen it, or this version has just been installed."""
_EACH = timedelta(days=1)
"""At most one backup in this time is started by itself of a database."""


def start_new_backups(installation: Installation, now: datetime) -> dict[str, str]:
    """Start a backup of each database of which a damaged one was found and none was asked for since.

    Return what was done, or why nothing is, by database, in a sentence for the alert. The idempotency key names the
    verification that found it first, so neither a second look, a second worker nor a second verification of that
    backup starts another. Nothing is started for a backup that was itself started so, nor twice in a day.
    """
    known = [database.name for database in installation.settings.databases if not database.paused]
    engine = installation.catalog.engine
    found = findings_without_backup_since(engine, known, since=now - _FRESH)
    if not found:
        return {}
    databases = [finding.database for finding in found]
    last = last_backups_asked_for_by(engine, ACTOR, databases, since=now - _EACH)
    last_base = last_backups_asked_for_by(engine, ACTOR, databases, since=now - _EACH, kind="base_backup")
    return {
        finding.database: _why_not(finding, (last_base if finding.is_base else last).get(finding.database))
        or _start(installation, finding)
        for finding in found
    }


def _why_not(finding: Finding, last: AskedFor | None) -> str:
    """Say why no backup is started for a finding; ``""``: one is."""
    advice = f"Look at the storage {finding.storage}, then take one yourself."
    if finding.backup_actor == ACTOR:
        return (
            f"No further backup is started by itself: {finding.backup_name} was started so after damage, and is "
            f"damaged as well. {advice}"
        )
    if last is not None and last.idempotency_key != _key(finding):
        return (
            f"No further backup is started by itself: run {last.run_id} was, at {last.at:%Y-%m-%d %H:%M} UTC, and "
            f"there is at most one a day. {advice}"
        )
    return ""


def _start(installation: Installation, finding: Finding) -> str:
    name = finding.backup_name
    note = f"Started by itself: {name} failed its {finding.level} check in {finding.storage}."
    reason, key = f"{name} is damaged", _key(finding)
    try:
        if finding.is_base:
            run_id = submit_base_backup(
                installation, finding.database, note=note, actor=ACTOR, reason=reason, idempotency_key=key
            )
        else:
            request = BackupRequest(finding.database, note=note)
            run_id = submit_backup(installation, request, actor=ACTOR, reason=reason, idempotency_key=key)
    except BackupsError as error:
        logger.warning("no new backup of %s could be started: %s", finding.database, error)
        return f"A new backup could not be started by itself: {error}"
    return f"A new backup was queued at once: run {run_id}."


def _key(finding: Finding) -> str:
    return f"corruption:{finding.verification_id}"
