"""Which backups are encrypted to other keys than the settings name now, and can be encrypted anew. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from services.backups.archive_plan import Skipped, lock_words
from services.backups.compress_plan import stored_copies
from services.catalog.model import Backup
from services.errors import InputError, KeyMismatch
from services.installation import Installation
from services.restores.fetch import identities_for
from services.storage.classes import STANDARD
from services.stream.encryption import public_key


@dataclass(frozen=True)
class Rotation:
    """A backup that can be encrypted anew."""

    backup: Backup


@dataclass(frozen=True)
class RotatePlan:
    """What a rotation would do."""

    recipients: tuple[str, ...]
    """The public keys that backups are encrypted to from now on."""
    backups: tuple[Rotation, ...]
    """Those that would be encrypted anew, the oldest first."""
    skipped: tuple[Skipped, ...]
    """Those that are encrypted to other keys, and stay so for now."""
    present: int
    """How many are encrypted to these keys already."""

    @property
    def bytes(self) -> int:
        """What their copies take up, in all storages: all of it is read, and written anew."""
        return sum(copy.bytes for each in self.backups for copy in stored_copies(each.backup))


def plan_rotation(installation: Installation, *, database: str | None = None) -> RotatePlan:
    """Return which stored backups are to be encrypted anew to the present recipients. Raise UnknownName, InputError.

    One that is not encrypted becomes so where its database says ``encrypt``; a database that does not is left alone.
    """
    settings = installation.settings
    names = [settings.database(database).name] if database is not None else [d.name for d in settings.databases]
    if not settings.recipients:
        raise InputError(
            "There is no recipient to encrypt to.", hint="Set BACKUP_RECIPIENTS; `backups keygen` makes a pair."
        )
    wishes: list[Backup] = []
    skipped: list[Skipped] = []
    present = 0
    for name in names:
        for backup in installation.catalog.backups.list(database=name, state="finished"):
            if backup.sample or not settings.database(name).encrypt:
                continue
            if is_rotated(backup, settings.recipients):
                present += 1
            elif reason := refusal(installation, backup):
                skipped.append(Skipped(backup.name, ", ".join(copy.storage for copy in backup.copies), reason))
            else:
                wishes.append(backup)
    wishes.sort(key=lambda backup: (backup.finished_at, backup.id))
    return RotatePlan(settings.recipients, tuple(map(Rotation, wishes)), tuple(skipped), present)


def is_rotated(backup: Backup, recipients: tuple[str, ...]) -> bool:
    """Say whether exactly these keys open a backup."""
    return backup.encryption == "age" and set(backup.recipients) == set(recipients)


def refusal(installation: Installation, backup: Backup) -> str:
    """Return why a backup cannot be encrypted anew, empty when it can be."""
    settings = installation.settings
    if backup.trust == "untrusted":
        return "its manifest is not believed"
    if backup.verification_passed is False:
        return "it failed its verification"
    there = stored_copies(backup)
    if not there:
        return "no copy of it is stored"
    cold = next((copy for copy in there if copy.storage_class != STANDARD), None)
    if cold is not None:
        return f"its copy in {cold.storage} lies in the storage class {cold.storage_class}"
    locked = next((why for copy in there if (why := lock_words(copy, installation.clock()))), "")
    if locked:
        return locked
    known = {storage.name for storage in settings.storages}
    if any(copy.storage not in known for copy in there):
        return "one of its storages is not in the settings any more"
    try:
        identities_for(settings, backup)
    except KeyMismatch as error:
        return error.message.rstrip(".")
    if not {public_key(secret) for secret in settings.secret_keys()} & set(settings.recipients):
        return "no secret key here opens what would be written, so it could not be read back"
    return ""
