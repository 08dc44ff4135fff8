"""Leftovers: what crashes, lost networks and killed machines leave behind, on the storages and the servers.

Nothing that belongs to a run that is still active, and nothing younger than a day, is touched: it may be somebody's
work in progress, of an installation that we do not see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from services.backups.manifest import read_manifest
from services.backups.naming import MANIFEST_SUFFIX, is_check_key
from services.errors import BackupsError, UntrustedManifest
from services.installation import Installation
from services.jobs.context import RunContext
from services.restores.scratch import drop_leftover_scratch_databases
from services.storage.protocol import Storage, StoredObject

GRACE = timedelta(hours=24)
_OURS = re.compile(r"[^/]+/[^/]+\.dump(\.zst|\.gz)?(\.age)?\Z")


@dataclass
class JanitorReport:
    """What was found, and what was removed of it. Every entry is an address that a person can look up."""

    orphans: list[str] = field(default_factory=list)
    """Objects of our naming without a manifest."""
    unfinished_uploads: list[str] = field(default_factory=list)
    scratch_databases: list[str] = field(default_factory=list)
    """Dropped ones, with ``apply``."""
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


def _sweep_storage(
    installation: Installation, storage: Storage, in_use: set[tuple[str, str]], apply: bool, report: JanitorReport
) -> None:
    now = installation.clock()
    for orphan in find_orphans(installation, storage):
        if (storage.name, orphan.key) in in_use:
            continue
        report.orphans.append(storage.location(orphan.key))
        if apply and _is_old(orphan.modified_at, now):
            _remove(storage, orphan, report)
    for upload in storage.unfinished():
        if (storage.name, upload.key) in in_use:
            continue
        where = f"{storage.location(upload.key)} (upload of {upload.started_at:%Y-%m-%d %H:%M} UTC)"
        report.unfinished_uploads.append(where)
        if apply and _is_old(upload.started_at, now):
            try:
                storage.abort_unfinished(upload)
                report.removed.append(where)
            except BackupsError as error:
                report.failed.append(f"{where}: {error}")


def find_orphans(installation: Installation, storage: Storage) -> list[StoredObject]:
    """Return the objects of our naming that no manifest names. An unreadable manifest protects its neighbours."""
    objects = list(storage.list())
    named: set[str] = set()
    unreadable: set[str] = set()
    for entry in objects:
        if entry.key.endswith(MANIFEST_SUFFIX):
            try:
                named.update(
                    copy.key for copy in read_manifest(installation.settings, storage, entry.key).backup.copies
                )
            except UntrustedManifest:
                unreadable.add(entry.key.removesuffix(MANIFEST_SUFFIX) + ".")
    return [
        entry
        for entry in objects
        if _OURS.match(entry.key)
        and not is_check_key(entry.key)
        and entry.key not in named
        and not entry.key.startswith(tuple(unreadable))
    ]


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
