"""Reading the stored log again, little by little, and each base backup in its turn: what nobody reads may have decayed.

A share of the files is read each hour, in the order of their keys, so that all of them have been read within
``check_within``. What was found damaged is read again each time: once it is put right, its alert ends.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from threading import Event

from services.backups.mounted import mounted_storage
from services.catalog.duties import claim_duty
from services.catalog.wal_archives import FaultyFile, note_check, wal_archive_state
from services.commands.restores import submit_verification
from services.errors import BackupsError, CorruptBackup, KeyMismatch, ObjectMissing
from services.installation import Installation
from services.pitr.archive import ArchivedFile, WalArchive
from services.pitr.base_model import bases_of
from services.pitr.open import find_archive
from services.settings.model import DatabaseSettings, VerificationLevel
from services.storage.classes import is_frozen

logger = logging.getLogger(__name__)

ACTOR = "worker"
EVERY = timedelta(hours=1)
NO_KEY = "there is no secret key here to read it with"


def check_logs(installation: Installation, *, by: str, stopping: Event) -> None:
    """Read a share of each database's log, of all workers together once an hour; ask for a base backup's check."""
    now, engine = installation.clock(), installation.catalog.engine
    for database in installation.settings.databases:
        if not database.pitr.enabled or database.paused or stopping.is_set():
            continue
        duty = f"wal check {hashlib.sha256(database.name.encode()).hexdigest()[:24]}"
        if claim_duty(engine, duty, by=by, every=EVERY, now=now):
            check_share(installation, database, stopping=stopping)
            queue_base_check(installation, database)


def check_share(installation: Installation, database: DatabaseSettings, *, stopping: Event | None = None) -> None:
    """Read the next share of a database's log, and keep what was found. Never raises for a storage that is away."""
    settings, engine, now = installation.settings, installation.catalog.engine, installation.clock()
    state = wal_archive_state(engine, database.name, settings.pitr_storage_of(database).name)
    try:
        archive = find_archive(settings, database, mounted_storage(installation, state.storage))
        files = list(archive.files()) if archive is not None else []
    except BackupsError as error:
        note_check(engine, replace(state, checked_at=now, check_error=error.message))
        return
    if archive is None or not files:
        return
    began, key = state.round_began_at, state.checked_key
    left = [file for file in files if file.stored.key > key]
    if began is None or not left:
        began, left = now, files
    share = left[: math.ceil(len(files) * (EVERY / database.pitr.check_within))]
    known = {one.key for one in state.damaged}
    again = [file for file in files if file.stored.key in known]
    damaged, last, error_text = _read(archive, [*again, *share], stopping)
    for one in damaged:
        if one.key not in known:
            logger.warning("the log of %s: %s", database.name, one.reason)
    unread = {one.stored.key for one in again} if error_text else set()
    kept = [one for one in state.damaged if one.key in unread and one.key not in {each.key for each in damaged}]
    done = last is not None and last >= files[-1].stored.key
    note_check(
        engine,
        replace(
            state,
            damaged=tuple(_once([*damaged, *kept])),
            checked_at=now,
            checked_key="" if done else last if last in {file.stored.key for file in share} else key,
            round_began_at=None if done else began,
            round_ended_at=now if done else state.round_ended_at,
            check_error=error_text,
        ),
    )


def keep_findings(
    installation: Installation, database: DatabaseSettings, read: Iterable[str], damaged: Sequence[FaultyFile]
) -> None:
    """Keep what somebody found who read these keys by hand."""
    engine = installation.catalog.engine
    state = wal_archive_state(engine, database.name, installation.settings.pitr_storage_of(database).name)
    keys = set(read)
    kept = [one for one in state.damaged if one.key not in keys]
    note_check(engine, replace(state, damaged=(*kept, *damaged)))


def queue_base_check(installation: Installation, database: DatabaseSettings) -> str | None:
    """Ask for the check of a base backup that was not read to its end within ``check_within``; return the run's id.

    The newest one first, so that each is read soon after it was made; of one that cannot be read without a thaw, no.
    """
    level: VerificationLevel = "archive" if installation.settings.encryption_key is not None else "checksum"
    since = installation.clock() - database.pitr.check_within
    enough = (level, "archive", "restore")
    read = {
        found.backup_id
        for found in installation.catalog.verifications.list(database=database.name, since=since)
        if found.level in enough
    }
    busy = {run.backup_id for run in installation.catalog.runs.active()}
    stored = installation.catalog.backups.list(database=database.name, type="base", state="finished")
    for base in reversed(bases_of(stored)):
        backup = base.backup
        frozen = all(is_frozen(copy.storage_class) for copy in backup.copies)
        if backup.id in read | busy or frozen:
            continue
        return submit_verification(
            installation,
            backup.id,
            level,
            actor=ACTOR,
            reason="A base backup is read to its end in its turn.",
            idempotency_key=f"base-check:{backup.id}:{installation.clock():%Y%m%d%H}",
        )
    return None


def _read(
    archive: WalArchive, files: Sequence[ArchivedFile], stopping: Event | None
) -> tuple[list[FaultyFile], str | None, str]:
    """Return what is damaged, the last key that was read, and why the rest was not read."""
    damaged: list[FaultyFile] = []
    last: str | None = None
    refused = 0
    for file in files:
        if stopping is not None and stopping.is_set():
            break
        if not archive.has_key(file):
            return damaged, last, NO_KEY
        try:
            archive.check(file)
        except ObjectMissing:
            pass  # the retention has removed it
        except KeyMismatch as error:  # which a change in the file's beginning looks like
            refused += 1
            damaged.append(FaultyFile(file.stored.key, error.message))
        except CorruptBackup as error:
            damaged.append(FaultyFile(file.stored.key, error.message))
        except BackupsError as error:
            return damaged, last, error.message
        last = file.stored.key
    if refused > 1 and refused == len(files):  # nothing is wrong with all of them at once but the key
        return [], None, damaged[-1].reason
    return damaged, last, ""


def _once(found: Iterable[FaultyFile]) -> list[FaultyFile]:
    return list({one.key: one for one in found}.values())
