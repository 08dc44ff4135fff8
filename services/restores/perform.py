"""The restore itself: fetch and check, make an empty database, fill it; the database is dropped when the block ends.

With room on the disk the plain dump is fetched into a file first, and pg_restore works on it in parallel. Without, it
goes straight into pg_restore, which takes one job.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from services.backups.manifest import Manifest
from services.catalog.model import Backup, Copy
from services.errors import Deadlocked, InputError, NotTestable, StorageFull
from services.installation import Installation
from services.jobs.context import RunContext
from services.postgres.clients import ClientPrograms, choose_client, find_clients
from services.postgres.connection import Address
from services.postgres.restore import restore_archive, restore_stream
from services.restores.database_locale import read_locale
from services.restores.directory import FolderSink, fetch_directory
from services.restores.fetch import dumped_by, fetch_plain, read_plain
from services.restores.in_order import split_for_jobs
from services.restores.part_of_backup import WHOLE, dump_bytes, find_part, write_part_list
from services.restores.partial import write_use_list
from services.restores.parts import Part, PartRequest
from services.restores.report import Way
from services.restores.scratch import own_database
from services.restores.spool import can_spool, free_bytes, private_file, spool_folder
from services.restores.watch import report_work
from services.units import format_bytes

MOST_JOBS = 4
_BEGINNING = (
    32 << 20
)  # bytes of an archive within which its table of contents ends, but for tens of thousands of objects


@dataclass(frozen=True)
class Place:
    """Where a database is to be made."""

    server: Address
    major: int
    name: str
    registered_server: str
    """How the run's leftovers name the server."""
    data_dir: Path | None = None
    """Of the embedded server, whose disk we can look at; None for any other."""


@dataclass(frozen=True)
class Restored:
    """A database that a backup was restored into. Times in seconds."""

    address: Address
    way: Way
    jobs: int
    download_seconds: float
    restore_seconds: float
    notes: tuple[str, ...]
    part: Part | None = None
    """What of the backup was restored; None: all of it."""


@contextmanager
def restored_database(
    installation: Installation,
    manifest: Manifest,
    copy: Copy,
    place: Place,
    run: RunContext,
    *,
    request: PartRequest = WHOLE,
) -> Iterator[Restored]:
    """Restore a backup into a new database and yield it; drop the database afterwards, unless it was renamed.

    With a ``request`` a part of it; NothingMatches is raised before anything is made. Raise CorruptBackup or
    ObjectMissing before anything is made (streamed: before the block is entered), RestoreFailed, NotTestable when the
    server cannot hold this backup, KeyMismatch, StorageError, ConnectionFailed, Cancelled.
    """
    backup = manifest.backup
    client = _prepare(installation, backup, place)
    settings = installation.settings
    part = find_part(installation, manifest, copy, request, run) if request else None
    need = dump_bytes(manifest, part)
    with spool_folder(settings.home, run, spool=settings.spool) as folder:
        way: Way = "spooled" if can_spool(folder, backup, place.data_dir, need) else "streamed"
        began = fetched = time.monotonic()
        archive = folder / "dump"
        if way == "spooled":
            run.phase("fetching", total_bytes=backup.stored_bytes)
            _fetch(installation, backup, copy, archive, part, run)
            fetched = time.monotonic()
        elif backup.format == "directory":
            raise StorageFull(
                f"A backup in directory format is unpacked before it is restored: {format_bytes(need)} "
                f"are needed, and {format_bytes(free_bytes(folder))} are free in {folder.parent}.",
                hint="Make room, or set `spool` to a folder on a larger disk.",
            )
        else:
            run.log("No room to fetch the dump to the disk first: it is streamed into pg_restore, with one job.")
            run.phase("restoring", total_bytes=backup.stored_bytes)
            with private_file(archive) as write:
                _fetch_beginning(installation, backup, copy, write, run)
        locale = read_locale(client, archive)
        use_list = write_use_list(client, archive, manifest, folder / "list")
        if part is not None:
            use_list = write_part_list(part, use_list, folder / "list-part")
        registered = place.registered_server

        def new_database() -> AbstractContextManager[tuple[Address, list[str]]]:
            return own_database(place.server, place.name, locale, run, registered_server=registered)

        with ExitStack() as stack:
            made, notes = stack.enter_context(new_database())
            if way == "spooled":
                jobs = min(MOST_JOBS, os.cpu_count() or 1)
                run.phase("restoring", total_bytes=backup.database_bytes)
                first, after = split_for_jobs(archive, use_list, folder) if jobs > 1 else (use_list, None)
                try:
                    with report_work(made, run, grows=True):
                        restore_archive(client, made, archive, jobs=jobs, run=run, use_list=first)
                        if after is not None:
                            restore_archive(client, made, archive, jobs=1, run=run, use_list=after)
                except Deadlocked as error:  # pg_restore's own sessions: with one there is nobody to wait for
                    run.log(f"{error.message} Beginning anew, with one job.", "warning")
                    stack.close()
                    made, notes = stack.enter_context(new_database())
                    jobs = 1
                    with report_work(made, run, grows=True):
                        restore_archive(client, made, archive, jobs=1, run=run, use_list=use_list)
            else:
                jobs = 1
                with restore_stream(client, made, run=run, use_list=use_list) as sink:
                    fetch_plain(installation, backup, copy, sink.write, run)
                    sink.finish()
            restored = time.monotonic()
            _remove(archive)  # the disk may be needed by the comparison's temporary files
            yield Restored(made, way, jobs, fetched - began, restored - fetched, tuple(notes), part)


def _fetch(
    installation: Installation, backup: Backup, copy: Copy, archive: Path, part: Part | None, run: RunContext
) -> None:
    """Fetch what pg_restore reads: a file, or a folder of files, of a part only those that it needs."""
    if backup.format == "directory":
        with FolderSink(archive, None if part is None else part.files.__contains__) as sink:
            fetch_directory(installation, backup, copy, sink, run)
        return
    with private_file(archive) as write:
        fetch_plain(installation, backup, copy, write, run)


def _remove(archive: Path) -> None:
    if archive.is_dir():
        shutil.rmtree(archive)
    else:
        archive.unlink()


def _prepare(installation: Installation, backup: Backup, place: Place) -> ClientPrograms:
    """Look for what would stand in the way before anything is fetched, and return the client programs."""
    if backup.format not in ("custom", "directory"):
        raise InputError(
            f"{backup.name} has the format {backup.format!r}, which cannot be restored here.",
            hint="Restore it by hand.",
        )
    source_major = int(backup.server_version.split(".")[0])
    if place.major < source_major:
        raise NotTestable(
            f"The server is PostgreSQL {place.major}, older than the source's {source_major}.",
            hint=f"Set RESTORE_TEST_URL to a server of PostgreSQL {source_major} or newer.",
        )
    clients = find_clients(installation.settings.pg_bin_dirs)
    return choose_client(clients, max(place.major, dumped_by(backup)), program="pg_restore")


class _Enough(Exception):
    """Ends the reading of a backup whose beginning is all that is wanted."""


def _fetch_beginning(
    installation: Installation, backup: Backup, copy: Copy, write: Callable[[bytes], None], run: RunContext
) -> None:
    taken = 0

    def take(piece: bytes) -> None:
        nonlocal taken
        write(piece)
        taken += len(piece)
        if taken >= _BEGINNING:
            raise _Enough

    with suppress(_Enough):
        read_plain(installation, backup, copy, take, run)
