"""Which stored copy of a backup is looked at."""

from __future__ import annotations

from services.catalog.model import Backup, Copy
from services.errors import InputError
from services.names import unknown_name

_BEST_FIRST = ("stored", "damaged", "missing")


def choose_copy(backup: Backup, storage: str | None) -> Copy:
    """Return the backup's copy in the named storage; without a name, the one that was last seen whole.

    A copy that was found damaged or missing may be looked at again: a storage can come back. Raise UnknownName for a
    storage without a copy, InputError for a backup of which nothing is stored.
    """
    if backup.sample:
        raise InputError(f"{backup.name} is simulated history; nothing is stored of it.", hint="Choose a real backup.")
    there = [copy for copy in backup.copies if copy.state != "deleted"]
    if backup.state != "finished" or not there:
        raise InputError(
            f"Backup {backup.name} has no stored copy any more.", hint="Choose one that `backups list` shows as stored."
        )
    if storage is not None:
        for copy in there:
            if copy.storage == storage:
                return copy
        raise unknown_name(f"storage with a copy of {backup.name}", storage, [copy.storage for copy in there])
    return min(there, key=lambda copy: _BEST_FIRST.index(copy.state))
