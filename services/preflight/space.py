"""Do the storages that the backup goes to take what they are given, and is there room there and where we work?"""

from __future__ import annotations

import shutil
from dataclasses import replace

from services.catalog.summaries import storage_use
from services.errors import StorageError
from services.installation import Installation
from services.preflight.model import Check, Preflight
from services.preflight.tried import TriedStorages
from services.restores.spool import MARGIN
from services.settings.model import StorageSettings
from services.units import format_bytes

TIGHT = 2.0
"""Less room than this many expected backups is a warning."""
WORKING_BYTES = 100_000_000
"""What the catalogue and the log of a run may need; the backup itself is streamed past the disk."""


def check_storage(
    installation: Installation, target: StorageSettings, expected: Preflight, tried: TriedStorages
) -> Check:
    """Write, read and delete a small object; compare the room with the expected backup, or with the database where
    there is no history."""
    name = f"storage {target.name}"
    try:
        storage, _ = tried.get(target.name)
        free = storage.free_bytes()
    except StorageError as error:
        return Check(name, "blocking", error.message, error.hint, may_pass=error.may_pass)
    rooms = [] if free is None else [(free, "free on the disk")]
    if target.limit_bytes is not None:
        rooms.append((max(0, target.limit_bytes - _used(installation, target.name)), "left of limit_bytes"))
    if not rooms:
        return Check(name, "ok", f"Written, read and deleted from; {target.url} has no limit.")
    room, words = min(rooms)
    need = expected.expected_bytes if expected.expected_bytes is not None else expected.database_bytes
    message = f"{format_bytes(room)} {words}"
    if need is None:
        return Check(name, "ok" if room > 0 else "blocking", f"{message}.")
    message += f", about {format_bytes(need)} needed."
    hint = "Make room, raise limit_bytes, or use a larger storage."
    if room < need:
        return Check(name, "blocking", message, hint)
    return Check(name, "warning", message, hint) if room < TIGHT * need else Check(name, "ok", message)


def of_copy(check: Check) -> Check:
    """Return the check of a storage of further copies: they are made afterwards, and tried again until they are."""
    if check.severity != "blocking":
        return check
    return replace(check, severity="warning", message=f"The further copy cannot be made now: {check.message}")


def _used(installation: Installation, storage: str) -> int:
    """Return the bytes that the catalogue knows in a storage."""
    use = storage_use(installation.catalog.engine).get(storage)
    return use.bytes if use else 0


def check_working_folder(installation: Installation) -> Check:
    """Look at the free space where the catalogue lies and restore tests work."""
    home = installation.settings.home
    try:
        free = shutil.disk_usage(home).free
    except OSError as error:
        return Check("working folder", "blocking", f"{home} cannot be used: {error.strerror}.", "Check BACKUPS_HOME.")
    message = f"{format_bytes(free)} free in {home}."
    if free < WORKING_BYTES:
        return Check("working folder", "blocking", message, f"Free at least {format_bytes(WORKING_BYTES)}.")
    if free < 10 * WORKING_BYTES:
        return Check("working folder", "warning", message, "Free some space: restore tests work here.")
    return Check("working folder", "ok", message)


def check_spool(installation: Installation, expected: Preflight) -> Check:
    """Look whether a parallel dump fits where it is spooled: at most what pg_dump writes, or all of the database.

    It takes less, since each table's file is compressed and removed as soon as it is whole.
    """
    settings = installation.settings
    folder = settings.spool or settings.home
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)  # it is made when needed
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Check("space", "blocking", f"{folder} cannot be used: {error.strerror}.", "Check the setting `spool`.")
    need = (expected.expected_plain_bytes or expected.database_bytes or 0) + MARGIN
    needed = f"up to {format_bytes(need)} needed"
    message = f"{format_bytes(free)} free in {folder}, where a parallel dump is spooled; {needed}."
    if free < need:
        hint = (
            "Make room, set `spool` to a folder on a larger disk, or dump as one stream (--jobs 1), which needs none."
        )
        return Check("space", "blocking", message, hint)
    return Check("space", "ok", message)
