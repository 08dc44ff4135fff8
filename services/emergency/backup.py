"""The emergency backup, as the runbook does it: read-only on, dump into every storage, verify, read-only off."""

from __future__ import annotations

from datetime import UTC, datetime

from services.backups.create import create_backup, pass_or_stop
from services.backups.request import BackupRequest
from services.catalog.model import Backup
from services.emergency.request import START_WITHIN, EmergencyRequest
from services.emergency.switch import read_only_mode, release_earlier
from services.errors import BackupsError
from services.installation import Installation
from services.jobs.context import RunContext
from services.preflight import preflight
from services.units import format_limit


def emergency_backup(installation: Installation, request: EmergencyRequest, run: RunContext) -> Backup:
    """Back up a database into all of its storages at once, in read-only mode if asked for; return the backup.

    Raise what ``create_backup`` and ``read_only_mode`` raise. Read-only mode is switched on by a run once: an attempt
    after a crash makes the backup without, since nobody who watched the first one expects writes to stop again.
    """
    database = installation.settings.database(request.database)
    wish = BackupRequest(
        database=database.name,
        name=emergency_name(database.name, installation.clock()),
        note=request.reason,
        type="emergency",
        force_reason=request.force_reason,
        jobs=request.jobs,
    )
    further = [storage.name for storage in installation.settings.storages_of(database)[1:]]
    if not request.read_only:
        return create_backup(installation, wish, run, further=further)
    if installation.catalog.read_only_modes.of_run(run.run_id):
        try:
            release_earlier(installation, database)
            run.log(
                "An earlier attempt of this run ended in read-only mode, now released. This one backs up without it.",
                "warning",
            )
        except BackupsError as error:
            run.log(f"{error} This attempt backs up all the same.", "warning")
        return create_backup(installation, wish, run, further=further)
    if request.start_by is not None and installation.clock() > request.start_by:
        run.log(
            f"It starts more than {format_limit(START_WITHIN)} after it was asked for: nobody expects writes to stop "
            "by now, so the backup is made without read-only mode.",
            "warning",
        )
        return create_backup(installation, wish, run, further=further)
    run.phase("checking first")
    # Nothing is switched for a backup that cannot be made.
    checks = preflight(installation, database, jobs=request.jobs, run=run)
    if not request.force_reason and any(check.severity == "blocking" for check in checks.checks):
        pass_or_stop(checks, "", run)
    with read_only_mode(installation, request, run) as mode:
        backup = create_backup(installation, wish, run, further=further, checked=checks)
        if installation.catalog.read_only_modes.get(mode.id).released_at is not None:
            run.log("Read-only mode was released before the backup was done: writes went on meanwhile.", "warning")
    return backup


def emergency_name(database: str, at: datetime) -> str:
    """Return the name of an emergency backup: ``DATABASE_emergency_YYYYMMDD_HHMMSS``, in UTC."""
    return f"{database}_emergency_{at.astimezone(UTC):%Y%m%d_%H%M%S}"
