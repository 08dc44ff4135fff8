"""Whether something more fits into a storage."""

from __future__ import annotations

from services.catalog.summaries import storage_use
from services.errors import StorageFull
from services.installation import Installation
from services.units import format_bytes


def refuse_without_room(installation: Installation, storage: str, needed: int) -> None:
    """Raise StorageFull when ``needed`` bytes fit neither the disk nor what ``limit_bytes`` leaves; StorageError."""
    settings = installation.settings.storage(storage)
    rooms = []
    free = installation.storage(storage).free_bytes()
    if free is not None:
        rooms.append((free, "free on its disk"))
    if settings.limit_bytes is not None:
        use = storage_use(installation.catalog.engine).get(storage)
        rooms.append((max(0, settings.limit_bytes - (use.bytes if use else 0)), "left of its limit_bytes"))
    if not rooms:
        return
    room, words = min(rooms)
    if room < needed:
        raise StorageFull(
            f"The storage {storage} has {format_bytes(room)} {words}, and {format_bytes(needed)} are needed.",
            hint="Make room there, raise limit_bytes, or use a larger storage.",
        )
