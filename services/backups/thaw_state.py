"""How far a copy in cold storage is on its way to being readable: asked of its storage, and kept in its row."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from services.catalog.model import Copy
from services.installation import Installation
from services.storage.classes import CLASSES, is_frozen, thaw_time
from services.storage.cold import ThawState

_UNTOLD = timedelta(days=1)
"""How long a thaw is believed to hold of which the storage does not say when it ends."""


def not_thawed(copy: Copy) -> Copy:
    """Return the row of a copy that lies frozen, with nobody having asked for it, or that need not be thawed."""
    return replace(copy, thaw_requested_at=None, thaw_tier="", thawed_at=None, thawed_until=None)


def look_at_thaw(installation: Installation, backup_id: str, copy: Copy) -> Copy:
    """Ask the storage how a copy stands, keep that in its row, and return the row. Raise ObjectMissing, StorageError.

    The storage class is the storage's, too: a lifecycle rule of the bucket may have moved the object.
    """
    stored = installation.storage(copy.storage).stat(copy.key)
    now = installation.clock()
    seen = replace(copy, storage_class=stored.storage_class)
    if not is_frozen(stored.storage_class):
        seen = not_thawed(seen)
    else:
        state = ThawState.of(stored)
        if state.readable:
            until = state.until or now + _UNTOLD
            seen = replace(seen, thawed_at=copy.thawed_at or now, thawed_until=until)
        elif state.asked:
            asked_at = copy.thaw_requested_at or now
            seen = replace(seen, thaw_requested_at=asked_at, thawed_at=None, thawed_until=None)
        else:
            seen = not_thawed(seen)
    if seen != copy:
        installation.catalog.backups.save_placement(backup_id, seen)
    return seen


def expected_at(copy: Copy) -> datetime | None:
    """Return when a copy that is being thawed is readable at the latest, as a rule; None where none is asked for."""
    if copy.thaw_requested_at is None or copy.thawed_at is not None:
        return None
    return copy.thaw_requested_at + thaw_time(copy.storage_class, copy.thaw_tier or "Standard", copy.bytes)


def thaw_seconds(copy: Copy) -> float:
    """Return how long the thaw took for which the copy can be read now; 0 where it had not to be thawed."""
    if not is_frozen(copy.storage_class) or copy.thaw_requested_at is None or copy.thawed_at is None:
        return 0.0
    return (copy.thawed_at - copy.thaw_requested_at).total_seconds()


def title_of(storage_class: str) -> str:
    """Return a storage class as people call it."""
    return CLASSES[storage_class].title if storage_class in CLASSES else storage_class
