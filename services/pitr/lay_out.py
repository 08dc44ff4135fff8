"""A base backup laid out as a data folder: every file hashed while it is written, then looked at by pg_verifybackup."""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from services.catalog.model import Copy
from services.errors import ClientProgramMissing, CorruptBackup, InputError, StorageFull
from services.installation import Installation
from services.jobs.context import RunContext
from services.pitr.base_files import BaseContents, BaseFiles
from services.pitr.base_model import BaseBackup
from services.pitr.errors import BaseIsBad
from services.pitr.folder_program import run_on_folder
from services.pitr.tar_stream import Sink
from services.postgres.clients import ClientPrograms, choose_client, find_clients
from services.postgres.server_user import ServerUser, reachable_bin_dir
from services.restores.evidence import UnknownSigner
from services.restores.fetch import fetch_plain
from services.restores.spool import MARGIN
from services.units import format_bytes
from services.verification.finding import BACKUP_IS_BAD

_READS_CONTROL_FILE = 17
GROWTH = 1.1
"""Recovery writes WAL beside the data, and the data grow a little."""


@dataclass(frozen=True)
class Part:
    """A base backup, and the stored copy of it that is read."""

    base: BaseBackup
    copy: Copy


@contextmanager
def fault_of(part: Part) -> Iterator[None]:
    """Tell what is the fault of a stored base backup from what is the log's: BaseIsBad, caused by what was found."""
    try:
        yield
    except UnknownSigner:
        raise
    except BACKUP_IS_BAD as error:
        raise BaseIsBad(
            error.message, hint=error.hint, backup_id=part.base.backup.id, storage=part.copy.storage
        ) from error


@contextmanager
def empty_folder(folder: Path, user: ServerUser, run: RunContext) -> Iterator[Path]:
    """Make the folder for the data, 0700 and the server's; what goes wrong in the block empties it again.

    Raise InputError for one that is not empty, or that the server's user cannot reach: what exists is never touched.
    """
    there = folder.exists() or folder.is_symlink()
    if there and (folder.is_symlink() or not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder} is not empty; a restore goes into an empty or a new folder.",
            hint="Name another folder, or move away what is in this one.",
        )
    if not folder.parent.is_dir():
        raise InputError(f"There is no folder {folder.parent}.", hint="Make it first, on a disk with enough room.")
    if not user.can_enter(folder.parent.resolve()):
        raise InputError(
            f"The server runs as {user.name}, who cannot reach {folder.parent}.",
            hint="Choose a folder that this user may enter, such as one under /var/lib/postgresql.",
        )
    with run.leftover("folder", path=str(folder)):
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
            user.own(folder)
        except OSError as error:
            raise InputError(f"{folder} cannot be made: {error.strerror}.") from error
        try:
            yield folder
        except BaseException:
            clear(folder, keep=there)
            raise


def clear(folder: Path, *, keep: bool = False) -> None:
    """Remove a folder that is ours, or with ``keep`` all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)
    if keep:
        folder.mkdir(mode=0o700, exist_ok=True)


def check_room(base: BaseBackup, folder: Path) -> None:
    """Raise StorageFull when the data do not fit on the folder's disk."""
    wanted = round(base.backup.plain_bytes * GROWTH) + MARGIN
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise StorageFull(
            f"The data of {base.backup.name} need {format_bytes(wanted)}, and the disk of {folder} has "
            f"{format_bytes(free)} left.",
            hint="Make room, or restore into a folder on a larger disk.",
        )


def lay_out(installation: Installation, part: Part, folder: Path, user: ServerUser, run: RunContext) -> BaseContents:
    """Write a base backup's files into an empty folder. Raise BaseIsBad, StorageFull, and what reading raises."""
    base = part.base
    run.phase("fetching the base backup", total_bytes=base.backup.stored_bytes)
    check_room(base, folder)
    writer = _Folder(folder, user)
    files = BaseFiles(writer.entry)
    with fault_of(part):
        _fetch(installation, part, files, folder, run)
        return files.finish(base.manifest_sha256)


def _fetch(installation: Installation, part: Part, files: BaseFiles, folder: Path, run: RunContext) -> None:
    try:
        fetch_plain(installation, part.base.backup, part.copy, files.feed, run)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise StorageFull(f"The disk filled while the data were laid out in {folder}.", hint="Make room.") from error
    finally:
        files.close()


def verify_laid_out(
    installation: Installation, base: BaseBackup, folder: Path, user: ServerUser, run: RunContext
) -> str:
    """Run pg_verifybackup over the folder, as it was laid out; return its version, empty where there is none.

    WAL is not looked at (``--no-parse-wal``): recovery does that. Raise CorruptBackup with what it says.
    """
    client = _verifier(installation, base.server_major)
    if client is None:
        run.log("No pg_verifybackup fits; every file was checked by its sha256 while it was written.")
        return ""
    command: list[str | Path] = [reachable_bin_dir(client.bin_dir, user) / "pg_verifybackup"]
    command += ["--no-parse-wal", "--exit-on-error", folder]
    run_on_folder(
        command,
        user,
        run,
        lambda said: CorruptBackup(
            f"pg_verifybackup refuses the data of {base.backup.name}: {said}",
            hint="Use another copy or another backup.",
        ),
    )
    return client.version


def _verifier(installation: Installation, major: int) -> ClientPrograms | None:
    """Return the programs whose pg_verifybackup reads the data of this version, or None.

    From 17 on it reads the control file as well, whose form is that of its own version alone.
    """
    clients = find_clients(installation.settings.pg_bin_dirs)
    if major >= _READS_CONTROL_FILE:
        clients = [client for client in clients if client.major == major]
    try:
        return choose_client(clients, major, program="pg_verifybackup")
    except ClientProgramMissing:
        return None


class _Folder:
    """Writes the entries of a tar below a folder, and nothing outside of it."""

    def __init__(self, folder: Path, user: ServerUser) -> None:
        self._folder = folder
        self._user = user

    def entry(self, info: tarfile.TarInfo) -> Sink | None:
        """Make a folder, or open a file. Raise CorruptBackup for anything else, or anywhere else."""
        path = PurePosixPath(info.name)
        if path.is_absolute() or ".." in path.parts or not (info.isreg() or info.isdir()):
            raise CorruptBackup(f"The tar of the base backup holds {info.name!r}, which no data folder has.")
        target = self._folder / path
        if info.isdir():
            target.mkdir(mode=0o700, exist_ok=True)
            self._user.own(target)
            return None
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        self._user.own(target)
        return os.fdopen(descriptor, "wb", buffering=0)
