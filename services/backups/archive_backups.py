"""Moving copies to cold storage: each is known to be whole, moved where it lies, looked at, and then recorded.

Its manifest and check records stay as they are, small and readable, so that a rebuild needs no thaw. A crash in the
middle leaves an object in its old class or in its new one, and never half of it: a copy within the storage takes the
place of the object when it is complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from services.backups.archive_plan import lock_words, needed_now, refusal
from services.backups.copy_sources import copy_in
from services.backups.holding import hold_backup
from services.backups.thaw_state import not_thawed, title_of
from services.catalog.model import Backup, Copy
from services.catalog.runs import ClaimLost
from services.errors import Busy, CorruptBackup, NoStorageClass, StorageError, UnknownName
from services.installation import Installation
from services.jobs.context import RunContext
from services.storage.classes import is_colder
from services.storage.cold import move_to_class, try_class
from services.units import format_bytes
from services.verification.levels import verify_backup


@dataclass(frozen=True)
class Wish:
    """One copy that somebody saw in the plan and wants to have moved."""

    backup_id: str
    storage: str
    storage_class: str


@dataclass
class ArchiveReport:
    """What was moved, what was left as it is, and what could not be moved; ``what: reason``."""

    moved: list[str] = field(default_factory=list)
    moved_bytes: int = 0
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def archive_backups(
    installation: Installation, wishes: Sequence[Wish], older_than: timedelta, run: RunContext
) -> ArchiveReport:
    """Move copies of backups of one database that are older than ``older_than``; what fails stops no other.

    Each is looked at again, since the plan may be hours old. Raise NoStorageClass when a storage does not take its
    class (nothing was moved there), StorageUnavailable, Cancelled.
    """
    report = ArchiveReport()
    _try_classes(installation, wishes)
    backups = {wish.backup_id: _known(installation, wish.backup_id) for wish in wishes}
    total = sum(copy.bytes for wish in wishes if (copy := _copy(backups[wish.backup_id], wish.storage)) is not None)
    run.phase("moving to cold storage", total_bytes=total)
    done = 0
    for wish in wishes:
        run.check_cancelled()
        backup = backups[wish.backup_id]
        copy = _copy(backup, wish.storage)
        name = backup.name if backup is not None else wish.backup_id
        what = f"{name} in {wish.storage}"
        try:
            with hold_backup(installation, wish.backup_id, run.run_id) as held:
                reason = _move(installation, held, wish, older_than, run, before=done)
        except (ClaimLost, NoStorageClass):
            raise
        except (Busy, UnknownName) as error:
            reason = error.message
        except (StorageError, CorruptBackup) as error:
            run.check_cancelled()
            report.failed.append(f"{what}: {error}")
            run.log(f"{what} could not be moved: {error}", "error")
            continue
        finally:
            done += copy.bytes if copy is not None else 0
        if reason:
            report.skipped.append(f"{what}: {reason}")
            run.log(f"{what} is left as it is: {reason}.")
        else:
            report.moved.append(what)
            report.moved_bytes += copy.bytes if copy is not None else 0
    run.log(f"Moved {len(report.moved)} copies, {format_bytes(report.moved_bytes)}.")
    return report


def _try_classes(installation: Installation, wishes: Sequence[Wish]) -> None:
    for name, storage_class in sorted({(wish.storage, wish.storage_class) for wish in wishes}):
        try_class(installation.storage(name), installation.settings.storage(name), storage_class)


def _move(
    installation: Installation, backup: Backup, wish: Wish, older_than: timedelta, run: RunContext, *, before: int
) -> str:
    """Move one copy and record that; return why it was left as it is, empty when it was moved."""
    copy = copy_in(backup, wish.storage)
    if copy is None or backup.state != "finished":
        return "it is not there any more, or is being deleted"
    copy = _as_it_lies(installation, backup, copy)
    if installation.clock() - backup.finished_at <= older_than:
        return "it is younger than was asked for"
    if not is_colder(wish.storage_class, copy.storage_class):
        return f"it lies in {title_of(copy.storage_class)} already"
    reason = refusal(backup, copy, needed_now(installation, backup.database))
    reason = reason or lock_words(copy, installation.clock())
    if reason:
        return reason
    if not _is_known_whole(installation, backup, copy):
        run.log(f"{backup.name} in {copy.storage} was not read since it was stored; it is verified first.")
        verification = verify_backup(installation, backup, "checksum", copy.storage, run)
        if verification.outcome != "passed":
            return f"it failed its verification: {verification.reason}"
    storage = installation.storage(copy.storage)
    with run.leftover("upload", storage=copy.storage, key=copy.key, manifest="", backup=backup.id):
        moved = move_to_class(
            storage,
            copy.key,
            wish.storage_class,
            progress=lambda count: run.progress(before + count),
            check_cancelled=run.check_cancelled,
        )
        now = installation.clock()
        row = replace(
            not_thawed(copy), storage_class=moved.storage_class, etag=moved.etag, bytes=moved.bytes, checked_at=now
        )
        with run.guarded() as transaction:
            installation.catalog.backups.save_copy(backup.id, row, transaction)
    run.log(
        f"{backup.name} in {copy.storage} moved from {title_of(copy.storage_class)} to {title_of(wish.storage_class)}."
    )
    return ""


def _as_it_lies(installation: Installation, backup: Backup, copy: Copy) -> Copy:
    """Return the copy's row with the class that its object is in: an attempt may have died between move and row."""
    stored = installation.storage(copy.storage).stat(copy.key)
    if stored.storage_class == copy.storage_class:
        return copy
    row = replace(copy, storage_class=stored.storage_class, etag=stored.etag)
    installation.catalog.backups.save_placement(backup.id, row)
    return row


def _is_known_whole(installation: Installation, backup: Backup, copy: Copy) -> bool:
    """Say whether the copy was read to its end, at least, and has not failed since: once frozen, nobody can."""
    catalog = installation.catalog
    with catalog.engine.connect() as connection:
        return copy.storage in catalog.verifications.verdict(backup.id, connection).read_in


def _known(installation: Installation, backup_id: str) -> Backup | None:
    try:
        return installation.catalog.backups.get(backup_id)
    except UnknownName:
        return None


def _copy(backup: Backup | None, storage: str) -> Copy | None:
    return None if backup is None else copy_in(backup, storage)
