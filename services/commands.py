"""Everything that a person can ask for. Pages and command line change something only through here.

Each command checks what can be checked at once, writes the run's row and, with ``queue``, puts it into the worker's
queue, in one transaction; it returns the run's id. The same idempotency key returns the same run: a second click, a
reload or a second tab starts nothing twice.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.exc import IntegrityError

from services.backups.naming import check_name, default_name
from services.backups.request import BackupRequest
from services.catalog.model import Backup, Run, RunKind
from services.errors import AlreadyExists, InputError, UntrustedManifest
from services.installation import Installation
from services.restores.restore import check_target
from services.settings.model import VerificationLevel

MAX_NOTE = 2000
_MAX_KEY = 80
"""Characters of an idempotency key in the catalogue; a longer one is kept as its sha256."""


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
        again = _earlier(installation, idempotency_key) is not None
        if not again and installation.catalog.backups.exists(database.name, request.name):
            raise AlreadyExists(
                f"{database.name} already has a backup called {request.name}.", hint="Choose another name."
            )
    _check_note(request.note)
    if request.compression_level is not None and not 1 <= request.compression_level <= 19:
        raise InputError(f"Compression level {request.compression_level} is out of range.", hint="Use 1 to 19.")
    encrypt = database.encrypt if request.encrypt is None else request.encrypt
    if encrypt and not installation.settings.recipients:
        raise InputError(
            "The backup is to be encrypted, and no recipient is set.",
            hint="Run `backups keygen` and set BACKUP_RECIPIENTS, or back up without encryption.",
        )
    return _submit(
        installation,
        "backup",
        database=database.name,
        params=request.to_params(),
        actor=actor,
        reason=reason or request.force_reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )


def submit_verification(
    installation: Installation,
    backup_id: str,
    level: VerificationLevel,
    *,
    storage: str | None = None,
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for a verification; level ``restore`` is a restore test. Raise UnknownName, InputError, UntrustedManifest."""
    backup = installation.catalog.backups.get(backup_id)
    _refuse_expired(backup)
    if storage is not None:
        installation.settings.storage(storage)
        if storage not in [copy.storage for copy in backup.copies]:
            raise InputError(
                f"{backup.name} has no copy in {storage}.",
                hint=f"It is in {', '.join(copy.storage for copy in backup.copies) or 'no storage'}.",
            )
    if level == "restore":
        _refuse_untrusted(backup)
    kind: RunKind = "restore_test" if level == "restore" else "verification"
    return _submit(
        installation,
        kind,
        database=backup.database,
        backup_id=backup.id,
        params={"level": level, "storage": storage},
        actor=actor,
        reason=reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )


def submit_restore(
    installation: Installation,
    backup_id: str,
    target: str,
    *,
    server: Literal["source", "restore-test"] = "source",
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for a restore into a new database, on the source's own server or on the restore test server."""
    backup = installation.catalog.backups.get(backup_id)
    _refuse_expired(backup)
    _refuse_untrusted(backup)
    check_target(target)
    if server == "restore-test" and installation.settings.restore_test_url is None:
        raise InputError("There is no restore test server.", hint="Set RESTORE_TEST_URL, or restore to the source's.")
    return _submit(
        installation,
        "restore",
        database=backup.database,
        backup_id=backup.id,
        params={"target": target, "server": server},
        actor=actor,
        reason=reason,
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
    _check_note(note)
    name = check_name(name or default_name(known.name, installation.clock()))
    if _earlier(installation, idempotency_key) is None and installation.catalog.backups.exists(known.name, name):
        raise AlreadyExists(f"{known.name} already has a backup called {name}.", hint="Choose another name.")
    return _submit(
        installation,
        "adopt",
        database=known.name,
        params={"path": str(path.absolute()), "name": name, "note": note},
        actor=actor,
        reason="",
        idempotency_key=idempotency_key,
        queue=queue,
    )


def submit_janitor(installation: Installation, *, apply: bool, actor: str, queue: bool = True) -> str:
    """Ask for leftovers to be looked for and, with ``apply``, removed."""
    return _submit(
        installation,
        "janitor",
        database=None,
        params={"apply": apply},
        actor=actor,
        reason="",
        idempotency_key=None,
        queue=queue,
    )


def request_cancel(installation: Installation, run_id: str, *, actor: str) -> None:
    """Ask a run to stop. Raise UnknownName, InputError when it has ended."""
    installation.catalog.runs.request_cancel(run_id, actor=actor, now=installation.clock())


def _submit(
    installation: Installation,
    kind: RunKind,
    *,
    database: str | None,
    params: dict[str, Any],
    actor: str,
    reason: str,
    idempotency_key: str | None,
    queue: bool,
    backup_id: str | None = None,
) -> str:
    runs = installation.catalog.runs
    if known := _earlier(installation, idempotency_key):
        return known.id
    if queue:
        # Imported here: DBOS costs a third of a second, which a command in the foreground need not pay.
        from services.jobs.queue import enqueue, prepare_queue

        prepare_queue(installation.catalog)
    expected = runs.typical_seconds(kind, database, level=params.get("level"))
    try:
        with installation.catalog.engine.begin() as transaction:
            run = runs.add(
                kind=kind,
                database=database,
                backup_id=backup_id,
                actor=actor,
                reason=reason,
                params=params | {"queued": queue},
                now=installation.clock(),
                idempotency_key=_stored_key(idempotency_key),
                expected_seconds=expected,
                connection=transaction,
            )
            if queue:
                enqueue(installation.catalog, run, transaction)
    except IntegrityError:
        # Two clicks at the same moment: the other one was first.
        known = _earlier(installation, idempotency_key)
        if known is None:
            raise
        return known.id
    return run.id


def _earlier(installation: Installation, idempotency_key: str | None) -> Run | None:
    """Return the run that was asked for with this key before."""
    key = _stored_key(idempotency_key)
    return None if key is None else installation.catalog.runs.by_idempotency_key(key)


def _stored_key(idempotency_key: str | None) -> str | None:
    """Return a key as the catalogue holds it, on SQLite as on PostgreSQL, which would refuse a long one."""
    if idempotency_key is None or len(idempotency_key) <= _MAX_KEY:
        return idempotency_key
    return hashlib.sha256(idempotency_key.encode("utf-8", "surrogatepass")).hexdigest()


def _check_note(note: str) -> None:
    if len(note) > MAX_NOTE:
        raise InputError(f"The note has {len(note):,} characters.", hint=f"Use at most {MAX_NOTE:,}.")


def _refuse_expired(backup: Backup) -> None:
    if backup.state == "expired":
        raise InputError(f"{backup.name} has expired; its object was deleted.", hint="Choose a backup that is kept.")


def _refuse_untrusted(backup: Backup) -> None:
    if backup.trust == "untrusted":
        raise UntrustedManifest(
            f"The manifest of {backup.name} is not signed by a key that this installation trusts.",
            hint="Add the writer's public key to trusted_signers if you know it; otherwise do not restore it.",
        )
