"""Which stored copy of a backup is looked at."""

from __future__ import annotations

from services.catalog.model import Backup, Copy
from services.errors import InputError
from services.installation import Installation
from services.names import unknown_name

_BEST_FIRST = ("stored", "damaged", "missing")


def copies_in_order(installation: Installation, backup: Backup, storage: str | None = None) -> list[Copy]:
    """Return the copies that can be looked at, the best first; with ``storage`` the one there alone.

    Best is what was last seen whole, then what need not be thawed first, then what the settings name first: the primary
    one. A copy that was found damaged or missing may be looked at again: a storage can come back. Raise UnknownName for
    a storage without a copy, InputError for a backup of which nothing is stored.
    """
    if backup.sample:
        raise InputError(f"{backup.name} is simulated history; nothing is stored of it.", hint="Choose a real backup.")
    there = [copy for copy in backup.copies if copy.state in _BEST_FIRST]
    if backup.state != "finished" or not there:
        raise InputError(
            f"Backup {backup.name} has no stored copy any more.", hint="Choose one that `backups list` shows as stored."
        )
    if storage is not None:
        chosen = [copy for copy in there if copy.storage == storage]
        if not chosen:
            raise unknown_name(f"storage with a copy of {backup.name}", storage, [copy.storage for copy in there])
        return chosen
    now, order = installation.clock(), _order(installation, backup)

    def rank(copy: Copy) -> tuple[int, bool, int, str]:
        place = order.index(copy.storage) if copy.storage in order else len(order)
        return _BEST_FIRST.index(copy.state), not copy.is_readable(now), place, copy.storage

    return sorted(there, key=rank)


def choose_copy(installation: Installation, backup: Backup, storage: str | None) -> Copy:
    """Return the best copy of a backup, or the one in ``storage``; see ``copies_in_order``."""
    return copies_in_order(installation, backup, storage)[0]


def _order(installation: Installation, backup: Backup) -> list[str]:
    settings = installation.settings
    database = next((d for d in settings.databases if d.name == backup.database), None)
    return [each.name for each in (settings.storages if database is None else settings.storages_of(database))]
