"""The local file that a backup is fetched into before a parallel restore, and whether there is room for it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from services.catalog.model import Backup
from services.errors import StorageFull
from services.jobs.context import RunContext
from services.units import format_bytes

MARGIN = 200 * 10**6
"""Bytes that stay free on the disk whatever is put there."""
GROWTH = 1.1
"""A restored database is about as large as its source; its write-ahead log and temporary files come on top."""


@contextmanager
def spool_folder(home: Path, run: RunContext, *, spool: Path | None = None) -> Iterator[Path]:
    """Make a folder of this attempt's own under ``spool`` (None: ``home/spool``), closed to others; remove it after.

    Plain dumps lie in it: nobody else may read them.
    """
    folder = (spool or home / "spool") / f"{run.run_id}-{run.attempt}"
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with run.leftover("folder", path=str(folder)):
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def private_file(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Create a file that only we can read, and yield what writes to it. Raise StorageFull when the disk fills."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:

            def write(data: bytes) -> None:
                file.write(data)

            yield write
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise StorageFull(
            f"The disk filled while the backup was fetched to {path.parent}.",
            hint="Make room, or set BACKUPS_HOME to a larger disk.",
        ) from error


def can_spool(home: Path, backup: Backup, scratch_data: Path | None, needed: int | None = None) -> bool:
    """Say whether the plain dump fits on the disk of ``home``, beside the restored database if that is on it too.

    ``needed``: bytes of what is spooled of it; None: all of it.
    ``scratch_data`` is the data folder of the embedded server, None for a server elsewhere. Raise StorageFull when
    not even the restored database fits on its disk.
    """
    dump = (backup.plain_bytes if needed is None else needed) + MARGIN
    if scratch_data is None:
        return free_bytes(home) >= dump
    database = round(backup.database_bytes * GROWTH) + MARGIN
    if free_bytes(scratch_data) < database:
        raise StorageFull(
            f"A restore test of {backup.name} needs {format_bytes(database)}, and the disk of {scratch_data.parent} "
            f"has {format_bytes(free_bytes(scratch_data))} left.",
            hint="Make room, or set RESTORE_TEST_URL to a server with a larger disk.",
        )
    if home.stat().st_dev == scratch_data.stat().st_dev:
        dump += database - MARGIN
    return free_bytes(home) >= dump


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free
