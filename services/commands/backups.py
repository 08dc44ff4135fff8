"""Asking for a backup: of a database, or by taking in a dump file that somebody else made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.backups.naming import check_name, default_name
from services.backups.plan import choose_recipients
from services.backups.request import BackupRequest, jobs_of
from services.backups.taken import refuse_taken
from services.commands.gate import permitted
from services.commands.submit import check_note, earlier_run, submit_run
from services.errors import InputError
from services.installation import Installation


def _unencrypted(given: Mapping[str, Any]) -> str | None:
    return "backup.unencrypted" if given["request"].encrypt is False else None


@permitted("backup.create", instead=_unencrypted)
def submit_backup(
    installation: Installation,
    request: BackupRequest,
    *,
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for a backup. Raise UnknownName, InvalidName, AlreadyExists, InputError."""
    database = installation.settings.database(request.database)
    if request.name is not None:
        check_name(request.name)
        if earlier_run(installation, idempotency_key) is None:
            refuse_taken(installation, database.name, request.name)
    check_note(request.note)
    jobs_of(installation, request)
    if request.compression_level is not None and not 1 <= request.compression_level <= 19:
        raise InputError(f"Compression level {request.compression_level} is out of range.", hint="Use 1 to 19.")
    choose_recipients(installation.settings, database, encrypt=request.encrypt)
    return submit_run(
        installation,
        "backup",
        database=database.name,
        params=request.to_params(),
        actor=actor,
        reason=reason or request.force_reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )


@permitted("backup.adopt")
def submit_adopt(
    installation: Installation,
    path: Path,
    database: str,
    *,
    name: str | None = None,
    note: str = "",
    actor: str,
    idempotency_key: str | None = None,
    queue: bool = False,
) -> str:
    """Ask for a dump file to be taken in as a backup. Raise UnknownName, InvalidName, AlreadyExists, InputError."""
    known = installation.settings.database(database)
    if not _is_file(path):
        raise InputError(f"There is no file {path}.", hint="Give the path of a pg_dump -Fc file.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} may not be read by this user.", hint="Allow it: chmod or chown the file, or copy it.")
    check_note(note)
    name = check_name(name or default_name(known.name, installation.clock()))
    if earlier_run(installation, idempotency_key) is None:
        refuse_taken(installation, known.name, name)
    choose_recipients(installation.settings, known)
    return submit_run(
        installation,
        "adopt",
        database=known.name,
        params={"path": str(path.absolute()), "name": name, "note": note},
        actor=actor,
        reason="",
        idempotency_key=idempotency_key,
        queue=queue,
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is longer than a file's can be
        return False
