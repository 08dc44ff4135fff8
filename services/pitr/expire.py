"""Applying the window: base backups go first, then the log that no base backup needs any more."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from services.backups.mounted import mounted_storage
from services.catalog.deletions import Cause
from services.catalog.model import Backup
from services.errors import BackupsError, Cancelled, StorageError
from services.installation import Installation
from services.jobs.context import RunContext
from services.pitr.archive import ArchivedFile
from services.pitr.base_model import BaseBackup
from services.pitr.cluster import known_cluster
from services.pitr.retention import WindowPlan, log_begins, log_going, plan_window
from services.pitr.wal_keys import parse_key, wal_prefix
from services.retention.delete_backup import AwayStorages, delete_backup
from services.settings.model import DatabaseSettings
from services.units import format_bytes

WHY = "outside the point-in-time window"
_BASE_OBJECT = ".base.tar."
_CHECK_EVERY = 100
"""So many deletions of log between two looks for a cancel."""


@dataclass
class WindowReport:
    """What became of one database's window."""

    database: str
    applied: bool
    bases: list[str] = field(default_factory=list)
    """Names of the base backups that go."""
    files: int = 0
    """Files of the log that go."""
    bytes: int = 0
    kept_bases: int = 0
    refused: str = ""
    """Why nothing of the log goes, where something stands against it."""
    failed: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def expire_window(
    installation: Installation, database: DatabaseSettings, *, run: RunContext | None = None
) -> WindowReport:
    """Say what a database's window does not need, and with a ``run`` delete it. Raise StorageError, Cancelled."""
    report = WindowReport(database.name, run is not None)
    plan = plan_window(_bases(installation, database), window=database.pitr.window, now=installation.clock())
    report.bases, report.kept_bases = [base.backup.name for base in plan.going], len(plan.kept)
    if run is not None:
        _delete_bases(installation, plan, report, run)
    left = _bases(installation, database) if run is not None else list(plan.kept)
    files, report.refused = _list(installation, database)
    storage = installation.storage(installation.settings.pitr_storage_of(database).name)
    cluster = known_cluster(storage, database.name)
    if report.refused or cluster is None or not left:
        return report
    going = log_going(
        plan,
        left,
        files,
        segment_bytes=cluster.segment_bytes,
        current=database.pitr.system_identifier or cluster.system_identifier,
        window=database.pitr.window,
        now=installation.clock(),
    )
    report.files, report.bytes = len(going), sum(file.stored.bytes for file in going)
    if run is not None and going:
        _delete_log(installation, database, going, report, run)
    return report


def first_needed(installation: Installation, database: DatabaseSettings, system_identifier: str) -> int | None:
    """Return the number of the first segment that a database's window needs; None where nobody can tell."""
    plan = plan_window(_bases(installation, database), window=database.pitr.window, now=installation.clock())
    return log_begins(plan, system_identifier)


def _bases(installation: Installation, database: DatabaseSettings) -> list[BaseBackup]:
    """Return every base backup of which anything is left. Raise UntrustedManifest for one that cannot be read."""
    backups = installation.catalog.backups.list(database=database.name, type="base")
    return [BaseBackup.of(backup) for backup in backups if backup.state in ("finished", "deleting")]


def _delete_bases(installation: Installation, plan: WindowPlan, report: WindowReport, run: RunContext) -> None:
    away = AwayStorages()
    for base in plan.going:
        run.check_cancelled()
        deleted = delete_backup(installation, base.backup.id, Cause(run.run_id, run.actor, WHY), away, run)
        if deleted.outcome != "deleted":
            report.failed.append(f"{base.backup.name}: {deleted.outcome}: {deleted.why}")


def _list(installation: Installation, database: DatabaseSettings) -> tuple[dict[str, list[ArchivedFile]], str]:
    """Return the log by cluster, and why nothing of it may go: a base backup in a storage that nobody knows here.

    All storages of the database are looked into; one that cannot be may hold such a base backup.
    """
    ours = installation.settings.pitr_storage_of(database).name
    known = {copy.key for backup in _all(installation, database) for copy in backup.copies}
    files: defaultdict[str, list[ArchivedFile]] = defaultdict(list)
    names = dict.fromkeys([ours, *(one.name for one in installation.settings.storages_of(database))])
    for name in names:
        try:
            storage = mounted_storage(installation, name)
            for entry in storage.list(f"{database.name}/"):
                if entry.key.startswith(wal_prefix(database.name)):
                    key = parse_key(entry.key) if name == ours else None
                    if key is not None:
                        files[key.system_identifier].append(ArchivedFile(key, entry))
                elif _BASE_OBJECT in entry.key and entry.key not in known:
                    where = storage.location(entry.key)
                    return {}, f"{where} is not in the catalogue, and may need it: run `backups rebuild`."
        except StorageError as error:
            if name == ours:
                raise
            return {}, f"{name} cannot be listed, and may hold a base backup that needs it: {error.message}"
    return dict(files), ""


def _all(installation: Installation, database: DatabaseSettings) -> list[Backup]:
    return installation.catalog.backups.list(database=database.name, type="base")


def _delete_log(
    installation: Installation,
    database: DatabaseSettings,
    going: list[ArchivedFile],
    report: WindowReport,
    run: RunContext,
) -> None:
    storage = installation.storage(installation.settings.pitr_storage_of(database).name)
    deleted = freed = 0
    for index, file in enumerate(going):
        if index % _CHECK_EVERY == 0:
            run.check_cancelled()
        try:
            storage.delete(file.stored.key)
        except BackupsError as error:
            # the oldest go first: what is left has no gap
            report.failed.append(f"{storage.location(file.stored.key)}: {error}")
            break
        deleted, freed = deleted + 1, freed + file.stored.bytes
    report.files, report.bytes = deleted, freed
    run.log(f"{database.name}: {deleted:,} files of the log, {format_bytes(freed)}, were {WHY} and deleted.")


def expire_windows(installation: Installation, database: str | None, run: RunContext) -> list[WindowReport]:
    """Apply the window of every database with point in time on, or of one; a failure keeps no other from it."""
    reports = []
    for settings in installation.settings.databases:
        if not settings.pitr.enabled or database not in (None, settings.name):
            continue
        try:
            report = expire_window(installation, settings, run=run)
        except Cancelled:
            raise
        except BackupsError as error:
            report = WindowReport(settings.name, True, failed=[str(error)])
        for line in [report.refused, *report.failed]:
            if line:
                run.log(f"{settings.name}: {line}", "warning")
        reports.append(report)
    return reports
