"""Leftovers: what crashes, lost networks and killed machines leave behind, on the storages and the servers.

A storage may hold other people's files, too. Ours is only what lies under the name of a configured database and is
called as a backup's object is; everything else is neither reported nor touched. Nothing that belongs to a run that is
still active, and nothing younger than a day, is removed: it may be work in progress of an installation that we do not
see.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from services.backups.manifest import Manifest, read_manifest
from services.backups.naming import MANIFEST_SUFFIX, MARKS, check_name, mark_key
from services.errors import BackupsError, InvalidName, UnknownName, UntrustedManifest
from services.installation import Installation
from services.jobs.context import RunContext
from services.pitr.wal_keys import parse_key
from services.restores.scratch import drop_leftover_scratch_databases
from services.storage.protocol import Storage, StoredObject

GRACE = timedelta(hours=24)
_OBJECT = re.compile(
    r"(?P<database>[^/]+)/(?P<name>[^/]+)(\.(dump\.(zst|tar)|base\.tar\.zst)((\.r\d+)?\.age)?|\.mark-[a-z]+\.json)\Z"
)
"""As ``services.backups.naming`` names the objects and marks that this product stores."""


@dataclass
class JanitorReport:
    """What was found, and what was removed of it. Every entry is an address that a person can look up."""

    orphans: list[str] = field(default_factory=list)
    """Objects and marks of our naming without a manifest, and those that went when they were compressed anew, or should
    have."""
    unfinished_uploads: list[str] = field(default_factory=list)
    """Uploads of such objects that were begun and neither finished nor aborted."""
    spooled: list[str] = field(default_factory=list)
    """Folders of dumps of runs that are over."""
    scratch_databases: list[str] = field(default_factory=list)
    """Those that were dropped, with ``apply``; without it nobody looks for any."""
    removed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """What could not be looked at or removed, with the reason. It is tried again the next time."""
    removed_bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def sweep(installation: Installation, *, apply: bool, run: RunContext | None = None) -> JanitorReport:
    """Look at every storage and server for leftovers; with ``apply`` remove those older than a day.

    One place that cannot be reached does not keep the others from being looked at.
    """
    report = JanitorReport()
    in_use = _keys_in_use(installation)
    for settings in installation.settings.storages:
        try:
            _sweep_storage(installation, installation.storage(settings.name), in_use, apply, report)
        except BackupsError as error:
            report.failed.append(f"{settings.name}: {error}")
    _sweep_spool(installation, apply, report)
    if apply:
        try:
            report.scratch_databases = drop_leftover_scratch_databases(installation)
        except BackupsError as error:
            report.failed.append(f"scratch databases: {error}")
    if run is not None:
        for line in report.removed:
            run.log(f"Removed {line}.")
        for line in report.failed:
            run.log(line, "warning")
    return report


def _keys_in_use(installation: Installation) -> set[tuple[str, str]]:
    """Return (storage, key) of everything that an active run is working on."""
    runs = installation.catalog.runs
    return {
        (entry["storage"], entry["key"])
        for active in runs.active()
        for entry in runs.leftovers(active.id)
        if entry["kind"] in ("object", "upload")
    }


def _sweep_spool(installation: Installation, apply: bool, report: JanitorReport) -> None:
    """Look for what runs that are over have left where dumps are spooled; of runs that are not ours nothing is said."""
    settings = installation.settings
    spool = settings.spool or settings.home / "spool"
    for folder in sorted(spool.glob("*-*")) if spool.is_dir() else ():
        run_id, _, attempt = folder.name.rpartition("-")
        try:
            run = installation.catalog.runs.get(run_id)
        except UnknownName:
            continue
        if run.is_active and not (attempt.isdecimal() and int(attempt) < run.attempt):
            continue
        report.spooled.append(str(folder))
        if apply:
            shutil.rmtree(folder, ignore_errors=True)
            (report.failed if folder.exists() else report.removed).append(str(folder))


def _sweep_storage(
    installation: Installation, storage: Storage, in_use: set[tuple[str, str]], apply: bool, report: JanitorReport
) -> None:
    now = installation.clock()
    orphans, closed = _without_manifest(installation, storage, report)
    for orphan in orphans:
        if (storage.name, orphan.key) in in_use:
            continue
        report.orphans.append(storage.location(orphan.key))
        if apply and _is_old(orphan.modified_at, now):
            _remove(storage, orphan, report)
    for upload in storage.unfinished():
        ours = _is_ours(installation, upload.key, closed) or _is_log(installation, upload.key)
        if (storage.name, upload.key) in in_use or not ours:
            continue
        where = f"{storage.location(upload.key)} (upload of {upload.started_at:%Y-%m-%d %H:%M} UTC)"
        report.unfinished_uploads.append(where)
        if apply and _is_old(upload.started_at, now):
            try:
                storage.abort_unfinished(upload)
                report.removed.append(where)
            except BackupsError as error:
                report.failed.append(f"{where}: {error}")


def _without_manifest(
    installation: Installation, storage: Storage, report: JanitorReport
) -> tuple[list[StoredObject], set[str]]:
    """Return our objects that no manifest names, and the databases of which nothing may be removed.

    A manifest that cannot be read, perhaps of a newer version, may name any object beside it. Raise StorageError when
    one cannot be looked at.
    """
    objects = list(storage.list())
    by_key = {entry.key: entry for entry in objects}
    replacing = any(run.kind in ("compress", "rotate") for run in installation.catalog.runs.active())
    named: set[str] = set()
    replaced: dict[str, StoredObject] = {}
    closed: set[str] = set()
    for entry in objects:
        database, slash, _ = entry.key.partition("/")
        if not slash or not entry.key.endswith(MANIFEST_SUFFIX) or not _is_configured(installation, database):
            continue
        try:
            manifest = read_manifest(installation.settings, storage, entry.key)
            named.update(copy.key for copy in manifest.backup.copies)
            named.update(mark_key(manifest.backup.database, manifest.backup.name, kind) for kind in MARKS)
            if not replacing and (old := _replaced(manifest, by_key)) is not None:
                replaced[old.key] = replace(old, modified_at=max(old.modified_at, entry.modified_at))
        except (UntrustedManifest, InvalidName) as error:
            closed.add(database)
            report.failed.append(f"Nothing of {database} in {storage.name} is removed: {error}")
    orphans = [e for e in objects if _is_ours(installation, e.key, closed) and e.key not in named]
    orphans += [old for key, old in replaced.items() if key not in named and key.partition("/")[0] not in closed]
    return orphans, closed


def _replaced(manifest: Manifest, objects: dict[str, StoredObject]) -> StoredObject | None:
    """Return the object that a backup was before it was compressed anew, if it is still there beside the new one."""
    before, now = manifest.made_from, manifest.backup
    if before is None or now.trust == "untrusted":
        return None
    old, new = objects.get(before.key), objects.get(now.copies[0].key)
    whole = new is not None and new.bytes == now.stored_bytes
    return old if old is not None and old.bytes == before.bytes and whole else None


def _is_ours(installation: Installation, key: str, closed: set[str]) -> bool:
    """Say whether a key is one under which this installation stores a backup's object, in a folder not closed to us."""
    match = _OBJECT.match(key)
    if match is None or match["database"] in closed or not _is_configured(installation, match["database"]):
        return False
    try:
        check_name(match["name"])
    except InvalidName:
        return False
    return True


def _is_log(installation: Installation, key: str) -> bool:
    """Say whether a key is one of a write-ahead log: what is finished there has a retention of its own."""
    parsed = parse_key(key)
    return parsed is not None and _is_configured(installation, parsed.database)


def _is_configured(installation: Installation, database: str) -> bool:
    return database in {known.name for known in installation.settings.databases}


def _is_old(at: datetime, now: datetime) -> bool:
    return now - at > GRACE


def _remove(storage: Storage, entry: StoredObject, report: JanitorReport) -> None:
    where = storage.location(entry.key)
    try:
        storage.delete(entry.key)
    except BackupsError as error:
        report.failed.append(f"{where}: {error}")
        return
    report.removed.append(where)
    report.removed_bytes += entry.bytes
