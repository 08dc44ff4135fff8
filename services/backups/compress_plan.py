"""Which backups can be compressed anew, which not and why: looked at without changing anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from services.backups.archive_plan import Skipped, lock_words
from services.catalog.model import Backup, Copy
from services.errors import InputError, KeyMismatch
from services.installation import Installation
from services.restores.fetch import identities_for
from services.storage.classes import STANDARD

POORLY = ("none", "gzip")
"""What becomes zstd."""


@dataclass(frozen=True)
class Compression:
    """A backup that can be compressed anew."""

    backup: Backup
    encrypts: bool
    """Whether it was not encrypted and will be, since the database's settings say so."""


@dataclass(frozen=True)
class CompressPlan:
    """What a compression would do."""

    backups: tuple[Compression, ...]
    """The oldest first."""
    skipped: tuple[Skipped, ...]

    @property
    def bytes(self) -> int:
        """What their copies take up now, in all storages."""
        return sum(copy.bytes for each in self.backups for copy in stored_copies(each.backup))


def plan_compress(installation: Installation, *, older_than: timedelta, database: str | None = None) -> CompressPlan:
    """Return which backups older than ``older_than`` are not compressed well, and can be.

    Raise UnknownName, InputError.
    """
    if older_than < timedelta(0):
        raise InputError("An age cannot be negative.", hint="Write 7d, say.")
    if database is not None:
        installation.settings.database(database)
    until = installation.clock() - older_than
    found = installation.catalog.backups.list(database=database, state="finished", until=until)
    backups: list[Compression] = []
    skipped: list[Skipped] = []
    for backup in reversed(found):
        if backup.compression not in POORLY or backup.sample:
            continue
        reason = refusal(installation, backup)
        if reason:
            skipped.append(Skipped(backup.name, ", ".join(copy.storage for copy in backup.copies), reason))
        else:
            encrypts = backup.encryption == "none" and bool(new_recipients(installation, backup))
            backups.append(Compression(backup, encrypts))
    return CompressPlan(tuple(backups), tuple(skipped))


def refusal(installation: Installation, backup: Backup) -> str:
    """Return why a backup is not compressed anew, empty when it can be."""
    if backup.trust == "untrusted":
        return "its manifest is not believed"
    if backup.verification_passed is False:
        return "it failed its verification"
    if backup.format != "custom":
        return f"its format is {backup.format}, which cannot be read to its end here"
    if backup.database not in {database.name for database in installation.settings.databases}:
        return "its database is not in the settings any more"
    there = stored_copies(backup)
    if not there:
        return "no copy of it is stored"
    cold = [copy for copy in there if copy.storage_class != STANDARD]
    if cold:
        return f"its copy in {cold[0].storage} lies in the storage class {cold[0].storage_class}"
    locked = next((why for copy in there if (why := lock_words(copy, installation.clock()))), "")
    if locked:
        return locked
    known = {storage.name for storage in installation.settings.storages}
    if any(copy.storage not in known for copy in there):
        return "one of its storages is not in the settings any more"
    try:
        identities_for(installation.settings, backup)
        if new_recipients(installation, backup) and installation.settings.encryption_key is None:
            return "there is no secret key here to read back what would be written"
    except KeyMismatch as error:
        return error.message
    return ""


def new_recipients(installation: Installation, backup: Backup) -> tuple[str, ...]:
    """Return the public keys that it will be encrypted to: those that it is; where it is not, as the settings say."""
    if backup.encryption == "age":
        return backup.recipients
    settings = installation.settings
    return settings.recipients if settings.database(backup.database).encrypt else ()


def stored_copies(backup: Backup) -> list[Copy]:
    """Return the copies that are stored."""
    return [copy for copy in backup.copies if copy.state == "stored"]
