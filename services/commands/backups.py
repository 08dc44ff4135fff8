"""Asking for a backup: of a database, or by taking in a dump file that somebody else made."""

from __future__ import annotations

import os
from pathlib import Path

from services.backups.naming import check_name, default_name
from services.backups.request import BackupRequest
from services.commands.submit import check_note, earlier_run, submit_run
from services.errors import AlreadyExists, InputError
from services.installation import Installation


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
        again = earlier_run(installation, idempotency_key) is not None
        if not again and installation.catalog.backups.exists(database.name, request.name):
            raise AlreadyExists(
                f"{database.name} already has a backup called {request.name}.", hint="Choose another name."
            )
    check_note(request.note)
    if request.compression_level is not None and not 1 <= request.compression_level <= 19:
        raise InputError(f"Compression level {request.compression_level} is out of range.", hint="Use 1 to 19.")
    encrypt = database.encrypt if request.encrypt is None else request.encrypt
    if encrypt and not installation.settings.recipients:
        raise InputError(
            "The backup is to be encrypted, and no recipient is set.",
            hint="Run `backups keygen` and set BACKUP_RECIPIENTS, or back up without encryption.",
        )
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
    if not path.is_file():
        raise InputError(f"There is no file {path}.", hint="Give the path of a pg_dump -Fc file.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} may not be read by this user.", hint="Allow it: chmod or chown the file, or copy it.")
    check_note(note)
    name = check_name(name or default_name(known.name, installation.clock()))
    if earlier_run(installation, idempotency_key) is None and installation.catalog.backups.exists(known.name, name):
        raise AlreadyExists(f"{known.name} already has a backup called {name}.", hint="Choose another name.")
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
