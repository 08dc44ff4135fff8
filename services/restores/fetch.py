"""A stored backup read back to its plain dump, every size and hash compared with what was recorded when it was made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from services.catalog.model import Backup, Copy
from services.errors import CorruptBackup, KeyMismatch
from services.installation import Installation
from services.jobs.context import RunContext
from services.settings.model import Settings
from services.stream.encryption import public_key
from services.stream.read import read_stream
from services.stream.result import StreamResult


def fetch_plain(
    installation: Installation, backup: Backup, copy: Copy, sink: Callable[[bytes], None], run: RunContext
) -> StreamResult:
    """Push the plain dump into ``sink`` and return what was read. What the sink did is worth nothing before that.

    Raise CorruptBackup when anything differs from the record, and what ``read_plain`` raises.
    """
    found = read_plain(installation, backup, copy, sink, run)
    compare_with_record(backup, found)
    return found


def read_plain(
    installation: Installation, backup: Backup, copy: Copy, sink: Callable[[bytes], None], run: RunContext
) -> StreamResult:
    """Push the plain dump into ``sink``, without comparing the whole with the record.

    That of a backup in directory format is a tar archive (``services.restores.directory``).

    Raise CorruptBackup where the formats themselves show damage, ObjectMissing without the object, KeyMismatch when our
    key is missing or is not one that the backup was encrypted to, and StorageError when the storage is away.
    """
    identities = identities_for(installation.settings, backup)
    with closing(installation.storage(copy.storage).reader(copy.key)) as reader:
        try:
            return read_stream(
                reader,
                sink,
                # In directory format each file is compressed by itself, and the archive of them is not.
                compression="none" if backup.format == "directory" else backup.compression,
                encryption=backup.encryption,
                identities=identities,
                run=run,
            )
        except KeyMismatch as error:
            if not backup.recipients:
                raise
            # Our key is one of those that it was encrypted to (see identities_for), so it is the file that changed.
            raise CorruptBackup(
                f"{backup.name} is damaged: its beginning was changed, and no key opens it any more.",
                hint="Use another copy or another backup.",
            ) from error


def dumped_by(backup: Backup) -> int:
    """Return the major version of the pg_dump that wrote the backup: an older pg_restore may not read it."""
    return int(backup.client_version.split(".")[0].split("beta")[0].split("rc")[0])


def compare_with_record(backup: Backup, found: StreamResult) -> None:
    """Raise CorruptBackup when the stored or the plain bytes are not those that were recorded."""
    pairs = (
        ("stored bytes", backup.stored_bytes, found.stored_bytes),
        ("sha256 of the stored bytes", backup.sha256, found.stored_sha256),
        ("plain bytes", backup.plain_bytes, found.plain_bytes),
        ("sha256 of the plain dump", backup.plain_sha256, found.plain_sha256),
    )
    differing = [f"{what}: {have} instead of {want}" for what, want, have in pairs if have != want]
    if differing:
        raise CorruptBackup(
            f"{backup.name} is not what was recorded: {'; '.join(differing)}.",
            hint="Use another copy or another backup.",
        )


def identities_for(settings: Settings, backup: Backup) -> tuple[str, ...]:
    """Return the age secret keys to read the backup with; none for one that is not encrypted.

    Raise KeyMismatch when there is no key, or it belongs to none of the public keys that the backup was encrypted to.
    """
    if backup.encryption == "none":
        return ()
    secrets = settings.secret_keys()
    if not secrets:
        raise KeyMismatch(
            f"{backup.name} is encrypted to {', '.join(backup.recipients) or 'a key'}; there is no secret key here.",
            hint="Set BACKUP_ENCRYPTION_KEY to the age secret key (AGE-SECRET-KEY-1…) of one of these.",
        )
    ours = {public_key(secret): secret for secret in secrets}
    fitting = tuple(secret for public, secret in ours.items() if not backup.recipients or public in backup.recipients)
    if not fitting:
        have = f"this key is {next(iter(ours))}" if len(ours) == 1 else f"the keys here are {', '.join(ours)}"
        raise KeyMismatch(
            f"{backup.name} is encrypted to {', '.join(backup.recipients)}, {have}.",
            hint="Set BACKUP_ENCRYPTION_KEY to the secret key that belongs to one of the former.",
        )
    return fitting
