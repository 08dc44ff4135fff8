"""Base backups are taken without anybody asking: by their interval, and after a gap, from which on the log is whole."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from datetime import timedelta

from services.catalog.model import Run
from services.catalog.wal_archives import wal_archive_states
from services.catalog.wal_samples import WalSample, latest_samples
from services.commands.point_in_time import submit_base_backup
from services.errors import InputError
from services.installation import Installation
from services.pitr.base_model import BaseBackup, bases_of
from services.pitr.wal_keys import parse_key
from services.pitr.wal_names import SegmentName, is_segment
from services.settings.model import DatabaseSettings

ACTOR = "worker"
AGAIN_AFTER = timedelta(hours=1)
"""A base backup that failed is tried again after this."""
_RUNS = 50


def queue_due_bases(installation: Installation) -> list[str]:
    """Queue the base backups that are due; return the runs' ids.

    Not before the first segment is in the archive: without its log a base backup cannot be used.
    """
    wanted = [d for d in installation.settings.databases if d.pitr.enabled and not d.paused]
    if not wanted:
        return []
    names = [database.name for database in wanted]
    samples = latest_samples(installation.catalog.engine, names)
    damaged: dict[str, list[str]] = defaultdict(list)
    for state in wal_archive_states(installation.catalog.engine, names):
        damaged[state.database] += [one.key for one in state.bad]
    queued = []
    for database in wanted:
        sample = samples.get(database.name)
        if sample is None or sample.archived_at is None:
            continue
        bases = bases_of(installation.catalog.backups.list(database=database.name, type="base", state="finished"))
        newest = bases[-1] if bases else None
        runs = installation.catalog.runs.list(
            database=database.name, kind="base_backup", since=newest.backup.finished_at if newest else None, limit=_RUNS
        )
        if _is_due(database, newest, sample, damaged[database.name], runs, installation):
            key = f"base {_short(database.name)} {newest.backup.id if newest else 'first'} {len(runs)}"
            queued.append(
                submit_base_backup(
                    installation,
                    database.name,
                    actor=ACTOR,
                    reason=_reason(newest, sample, damaged[database.name]),
                    idempotency_key=key,
                )
            )
    return queued


def _is_due(
    database: DatabaseSettings,
    newest: BaseBackup | None,
    sample: WalSample,
    damaged: list[str],
    runs: list[Run],
    installation: Installation,
) -> bool:
    now = installation.clock()
    if any(run.is_active for run in runs):
        return False
    ended = max((run.finished_at for run in runs if run.finished_at is not None), default=None)
    if ended is not None and now - ended < AGAIN_AFTER:
        return False
    if newest is None or now - newest.stopped_at >= database.pitr.base_interval:
        return True
    return _gap_behind(newest, sample) or _damage_behind(newest, damaged)


def _damage_behind(newest: BaseBackup, damaged: list[str]) -> bool:
    """Say whether a segment is damaged that the newest base backup would need."""
    keys = [key for text in damaged if (key := parse_key(text)) is not None and is_segment(key.file)]
    return any(
        key.system_identifier == newest.system_identifier
        and SegmentName.parse(key.file, newest.segment_bytes).number >= newest.first_segment
        for key in keys
    )


def _gap_behind(newest: BaseBackup, sample: WalSample) -> bool:
    """Say whether a segment is missing that the newest base backup would need: nothing after it can be restored."""
    try:
        missing = SegmentName.parse(sample.last_missing, newest.segment_bytes)
    except InputError:
        return False
    return missing.number >= newest.first_segment


def _reason(newest: BaseBackup | None, sample: WalSample, damaged: list[str]) -> str:
    if newest is None:
        return "the first base backup"
    if _damage_behind(newest, damaged):
        return "after damage to the log"
    return "after a gap in the log" if _gap_behind(newest, sample) else "by its interval"


def _short(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]  # a key has 80 characters, a database's name 63
