"""Which backups can be copied, and from where."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.catalog.model import Backup, Copy
from services.errors import InputError, UntrustedManifest


def copy_in(backup: Backup, storage: str) -> Copy | None:
    """Return a backup's copy in a storage, whatever its state."""
    return next((copy for copy in backup.copies if copy.storage == storage), None)


def sources_of(backup: Backup, target: str, order: Sequence[str], *, now: datetime) -> list[Copy]:
    """Return the stored copies that the one in ``target`` can be made from, those of the storages ``order`` first.

    One that lies frozen in cold storage is none.
    """
    rank = {storage: number for number, storage in enumerate(order)}
    found = [
        copy for copy in backup.copies if copy.state == "stored" and copy.storage != target and copy.is_readable(now)
    ]
    return sorted(found, key=lambda copy: (rank.get(copy.storage, len(rank)), copy.storage))


def refuse_to_copy(backup: Backup) -> None:
    """Raise InputError for a backup of which there is nothing to copy, UntrustedManifest for one nobody vouches for."""
    if backup.sample:
        raise InputError(f"{backup.name} is simulated history; nothing is stored of it.", hint="Choose a real backup.")
    if backup.state != "finished":
        what = "has expired; its object was deleted" if backup.state == "expired" else "is being deleted"
        raise InputError(f"{backup.name} {what}.", hint="Choose a backup that is kept.")
    if backup.trust == "untrusted":
        raise UntrustedManifest(
            f"The manifest of {backup.name} is not signed by a key that this installation trusts.",
            hint="Add the writer's public key to trusted_signers if you know it; otherwise do not copy it.",
        )
