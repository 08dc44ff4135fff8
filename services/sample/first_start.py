"""The sample's history: a few real backups with a real proof, and behind them a simulated past that has expired."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from services.backups.missing_copies import copies_after_backup
from services.backups.request import BackupRequest
from services.catalog import schema
from services.catalog.model import Backup, Run
from services.commands import submit_backup, submit_copy, submit_verification
from services.errors import BackupsError
from services.installation import Installation
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.jobs.recovery import recover_now
from services.sample.history import simulate_past
from services.sample.history_model import STORIES, History, Measured
from services.schedules.definitions import schedule_name
from services.schedules.sync import known_schedules

logger = logging.getLogger(__name__)

ACTOR = "sample"
PROVEN = "la_factoria"
"""The database whose newest backup is restore-tested at the first start."""

FIRST_BACKUPS: tuple[BackupRequest, ...] = (
    BackupRequest("billing", note="First backup of the sample environment"),
    BackupRequest("la_factoria", note="First backup of the sample environment"),
    BackupRequest("la_factoria", note="Before the deploy of release 3.0, after a day's work", pin=True),
    BackupRequest("la_factoria", note="After the deploy of release 3.0, and another day's work"),
)
"""Real ones, in order."""


def make_history(installation: Installation, change_data: Callable[[], None]) -> None:
    """Make the backups that are not there yet, prove one, and add the past. May be called again after a crash.

    ``change_data`` changes la_factoria, so that its backups differ. Raise BackupsError when a backup or the restore
    test does not end well.
    """
    recover_now(installation)
    for request in FIRST_BACKUPS:
        made = installation.catalog.backups.list(database=request.database, state="finished")
        if any(backup.note == request.note for backup in made):
            continue
        if made:
            change_data()
        run_id = submit_backup(installation, request, actor=ACTOR, queue=False)
        backup_id = _finish(installation, run_id).backup_id
        for storage in copies_after_backup(installation, backup_id or ""):
            _finish(installation, submit_copy(installation, backup_id or "", storage, actor=ACTOR, queue=False))
        logger.info("sample: backed up %s", request.database)
    test = _prove(installation)
    for database, story in STORIES.items():
        newest = installation.catalog.backups.latest_good(database)
        if newest is not None and not _has_past(installation, database):
            # Nobody has restored billing here; what a restore of it took is guessed from its size.
            seconds = test * newest.plain_bytes / _newest(installation, PROVEN).plain_bytes
            add_past(installation, simulate_past(Measured.of(newest, seconds), story, installation.clock()))
        schedule_since(installation, database, story.days)
    logger.info("sample: added the past")


def schedule_since(installation: Installation, database: str, days: int) -> None:
    """Have the database's backup schedule be in force since its first day; nothing happens the second time."""
    first = installation.clock().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)
    defined = known_schedules(installation)[schedule_name("backup", database)]
    installation.catalog.schedules.add(replace(defined, valid_from=first))


def _key(run: Run) -> str | None:
    """Return the idempotency key that a run of the past would have: its slot, where a schedule asked for it."""
    slot = run.params.get("slot")
    return f"slot:{schedule_name('backup', run.database)}:{slot}" if slot and run.kind == "backup" else None


def _prove(installation: Installation) -> float:
    """Restore-test the newest backup unless that was done; return the seconds that it took."""
    backup = _newest(installation, PROVEN)
    if backup.proven_at is None:
        run_id = submit_verification(installation, backup.id, "restore", actor=ACTOR, queue=False)
        _finish(installation, run_id)
        logger.info("sample: proved %s", backup.name)
    tests = installation.catalog.verifications.list(backup_id=backup.id, level="restore", outcome="passed", limit=1)
    if not tests:
        raise BackupsError(
            f"The sample's backup {backup.name} did not pass its restore test.",
            hint="Its run says why: `backups log`.",
        )
    return (tests[0].finished_at - tests[0].started_at).total_seconds()


def _newest(installation: Installation, database: str) -> Backup:
    newest = installation.catalog.backups.latest_good(database)
    if newest is None:
        raise BackupsError(f"The sample has no backup of {database}.", hint="Remove its folder and start again.")
    return newest


def _finish(installation: Installation, run_id: str) -> Run:
    run = execute_run(installation, run_id, worker=process_identity())
    if run.state != "finished":
        raise BackupsError(f"The sample environment could not be made: {run.error}", hint=run.hint)
    return run


def _has_past(installation: Installation, database: str) -> bool:
    query = sa.select(schema.backups.c.id).where(
        schema.backups.c.database == database, schema.backups.c.sample == sa.true()
    )
    with installation.catalog.engine.connect() as connection:
        return connection.execute(query.limit(1)).first() is not None


def add_past(installation: Installation, history: History) -> None:
    """Write a past in one transaction: all of it or nothing."""
    rows: dict[sa.Table, list[dict[str, Any]]] = {
        schema.runs: [{**vars(run), "idempotency_key": _key(run), "leftovers": []} for run in history.runs],
        schema.run_log: [{"run_id": run_id, **vars(line)} for run_id, line in history.lines],
        schema.backups: [
            {column.name: getattr(backup, column.name) for column in schema.backups.c} for backup in history.backups
        ],
        schema.copies: [{"backup_id": backup.id, **vars(copy)} for backup in history.backups for copy in backup.copies],
        schema.verifications: [vars(verification) for verification in history.verifications],
        schema.deletions: [vars(deletion) for deletion in history.deletions],
    }
    # Not row by row through the stores: that would take longer than a real backup.
    with installation.catalog.engine.begin() as connection:
        for table, values in rows.items():
            connection.execute(table.insert(), values)
