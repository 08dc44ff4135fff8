"""Which copies can be moved to cold storage, which not and why: looked at without changing anything.

Never moved is the newest proven backup of a database, nor its newest good one: they are what a restore would take, and
it must not wait for a thaw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.catalog.model import Backup, Copy
from services.errors import InputError, NoStorageClass
from services.installation import Installation
from services.names import unknown_name
from services.settings.model import COLD_CLASSES, StorageSettings
from services.storage.classes import CLASSES, cold_classes, default_cold_class, is_colder, is_frozen
from services.storage.cold import refuse_class


@dataclass(frozen=True)
class Move:
    """One copy that can be moved to another storage class."""

    backup: Backup
    copy: Copy
    storage_class: str
    """Where it is moved to."""


@dataclass(frozen=True)
class Skipped:
    """What is left as it is, and why."""

    what: str
    """A backup's name, or a storage's."""
    storage: str
    reason: str


@dataclass(frozen=True)
class ArchivePlan:
    """What an archive would do."""

    moves: tuple[Move, ...]
    """The oldest backups first."""
    skipped: tuple[Skipped, ...]

    @property
    def bytes(self) -> int:
        return sum(move.copy.bytes for move in self.moves)


def plan_archive(
    installation: Installation,
    *,
    older_than: timedelta,
    storage_class: str | None = None,
    database: str | None = None,
    storage: str | None = None,
) -> ArchivePlan:
    """Return which copies of backups older than ``older_than`` can be moved, to a class or to each storage's default.

    Raise UnknownName, InputError for an age that is none, NoStorageClass when no storage (or the named one) has the
    class.
    """
    if older_than <= timedelta(0):
        raise InputError("An archive of what is older than nothing would take everything.", hint="Write 30d, say.")
    if storage_class is not None and storage_class not in COLD_CLASSES:
        raise unknown_name("storage class", storage_class, COLD_CLASSES)
    settings = installation.settings
    if database is not None:
        settings.database(database)
    looked_at = [settings.storage(storage)] if storage is not None else list(settings.storages)
    targets, skipped = _targets(looked_at, storage_class)
    until = installation.clock() - older_than
    found = installation.catalog.backups.list(database=database, state="finished", until=until)
    needed = _needed(installation, {backup.database for backup in found})
    moves: list[Move] = []
    for backup in reversed(found):
        for copy in backup.copies:
            if copy.storage not in targets or copy.state == "deleted":
                continue
            target = targets[copy.storage]
            if not is_colder(target, copy.storage_class):
                continue  # it lies there already, or colder still
            reason = refusal(backup, copy, needed) or lock_words(copy, installation.clock())
            if reason:
                skipped.append(Skipped(backup.name, copy.storage, reason))
            else:
                moves.append(Move(backup, copy, target))
    return ArchivePlan(tuple(moves), tuple(skipped))


def lock_words(copy: Copy, now: datetime) -> str:
    """Say that a copy is locked and until when; empty for one that is not."""
    if not copy.is_locked(now):
        return ""
    return f"its copy in {copy.storage} is locked until {copy.locked_until:%Y-%m-%d %H:%M} UTC"


def refusal(backup: Backup, copy: Copy, needed: dict[str, str]) -> str:
    """Return why a copy is not moved, empty when it can be; ``needed``: see ``needed_now``."""
    if backup.sample:
        return "simulated history: nothing is stored of it"
    if backup.type == "base":
        return "a base backup: a restore to a point in time would wait for its thaw"
    if backup.id in needed:
        return needed[backup.id]
    if backup.trust == "untrusted":
        return "its manifest is not believed"
    if backup.verification_passed is False:
        return "it failed its verification"
    if copy.state != "stored":
        return f"this copy is {copy.state}"
    if is_frozen(copy.storage_class):
        return f"it lies frozen in {CLASSES[copy.storage_class].title}: thaw it first"
    return ""


def needed_now(installation: Installation, database: str) -> dict[str, str]:
    """Return by id the backups that a restore would take now, with why each is left where it is."""
    found: dict[str, str] = {}
    good = installation.catalog.backups.latest_good(database)
    proven = installation.catalog.backups.latest_proven(database)
    if good is not None:
        found[good.id] = "the newest good backup"
    if proven is not None:
        found[proven.id] = "the newest proven backup"
    return found


def _needed(installation: Installation, databases: Iterable[str]) -> dict[str, str]:
    return {key: why for name in databases for key, why in needed_now(installation, name).items()}


def _targets(storages: Sequence[StorageSettings], storage_class: str | None) -> tuple[dict[str, str], list[Skipped]]:
    """Return by storage the class to move to, and the storages that have none. Raise NoStorageClass when all are."""
    targets: dict[str, str] = {}
    skipped: list[Skipped] = []
    refused: NoStorageClass | None = None
    for storage in storages:
        wanted = storage_class or default_cold_class(storage)
        try:
            refuse_class(storage, wanted or "any colder than standard")
        except NoStorageClass as error:
            refused = refused or error
            skipped.append(Skipped(storage.name, storage.name, error.message))
        else:
            assert wanted is not None  # refuse_class has refused it otherwise
            targets[storage.name] = wanted
    if not targets:
        raise refused or NoStorageClass("There is no storage.", hint="Name one in the settings.")
    return targets, skipped


def classes_of(installation: Installation) -> dict[str, tuple[str, ...]]:
    """Return by storage the colder classes that it has, without those that have none."""
    found = {storage.name: cold_classes(storage) for storage in installation.settings.storages}
    return {name: classes for name, classes in found.items() if classes}
