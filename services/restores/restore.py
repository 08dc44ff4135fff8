"""A real restore, always into a new database: nothing that exists is ever written to.

The work is done in a database of the run's own name, which gets the target's name when all of it is there. Whoever
sees the target sees all of it, and a crash before leaves nothing under its name. Only then is it compared: in an
emergency, a database that is restored must not be lost to trouble with looking at it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Literal

import psycopg
from psycopg import sql

from services.backups.manifest import Manifest
from services.backups.thaw_state import thaw_seconds
from services.catalog.model import Backup, Copy
from services.errors import (
    AlreadyExists,
    BackupsError,
    ConnectionFailed,
    CorruptBackup,
    InvalidName,
    RestoreFailed,
    StorageError,
    StorageFull,
    UntrustedManifest,
)
from services.installation import Installation
from services.jobs.context import RunContext
from services.postgres.connection import Address, Connection, cancel_soon, connect
from services.restores.copies import copies_in_order
from services.restores.evidence import read_evidence_aloud
from services.restores.fetch import identities_for
from services.restores.part_of_backup import WHOLE
from services.restores.parts import PartRequest
from services.restores.perform import Place, Restored, restored_database
from services.restores.proof import Proof, describe, prove
from services.restores.report import RestoreReport
from services.restores.scratch import RESTORE_PREFIX, TEST_PREFIX, scratch_name
from services.restores.thawed import ensure_readable
from services.restores.watch import report_work

TARGET_RULE = "1 to 63 letters, digits, '_' or '-'"
_SEVERITY: dict[str, Literal["info", "warning", "error"]] = {"failed": "error", "not compared": "warning"}
_TARGET = re.compile(r"[A-Za-z0-9_-]{1,63}\Z")


def restore_backup(
    installation: Installation,
    backup: Backup,
    target: str,
    run: RunContext,
    *,
    server_url: str | None,
    storage: str | None = None,
    wait_for_thaw: bool = False,
    request: PartRequest = WHOLE,
) -> RestoreReport:
    """Restore a backup, or the part of it that is asked for, into the new database ``target`` on ``server_url``.

    None is the database's own server. The copy in ``storage`` is read; without one the best, and the next when that
    cannot be read to its end. A copy that lies frozen in cold storage is waited for with ``wait_for_thaw``, and cannot
    be read otherwise (NotThawed).

    The report's outcome says whether the restored data equals the source, or that it could not be compared; the target
    stays in either case, since in an emergency a person decides. Raise InvalidName, AlreadyExists (nothing is touched),
    UntrustedManifest, CorruptBackup, KeyMismatch, RestoreFailed, NotTestable, StorageError, ConnectionFailed,
    BackupsError, Cancelled: then there is no target. When the run has to stop during the comparison, the target stays,
    the log says so, and Cancelled or TimedOut is raised.
    """
    check_target(target)
    copies = copies_in_order(installation, backup, storage)
    identities_for(installation.settings, backup)
    began = time.monotonic()
    run.phase("preparing")
    server = _reachable(_server(installation, backup, server_url))
    with connect(server) as connection:
        _refuse_existing(connection, server, target)
        version = (connection.info.parameter_status("server_version") or "unknown").split()[0]
        major = connection.info.server_version // 10000
    place = Place(server, major, scratch_name(run, RESTORE_PREFIX), f"{server.host}:{server.port}")
    copy, manifest, restored = _from_first_that_works(
        installation, backup, copies, place, target, run, wait_for_thaw=wait_for_thaw, request=request
    )
    restored = replace(restored, address=server.with_database(target))
    proof = _prove(manifest, restored, run)
    note = _analyze(restored.address, run)
    if note:
        restored = replace(restored, notes=(*restored.notes, note))
    report = describe(
        backup,
        server=f"{server.user}@{server.host}:{server.port}",
        server_version=version,
        target=target,
        restored=restored,
        proof=proof,
        seconds=time.monotonic() - began,
        thaw_seconds=thaw_seconds(copy),
    )
    run.log(f"Restored into {target} on {report.server}. {report.summary}", _SEVERITY.get(report.outcome, "info"))
    return report


def _from_first_that_works(
    installation: Installation,
    backup: Backup,
    copies: Sequence[Copy],
    place: Place,
    target: str,
    run: RunContext,
    *,
    wait_for_thaw: bool,
    request: PartRequest,
) -> tuple[Copy, Manifest, Restored]:
    """Restore from the first copy that can be read to its end, under the target's name. Raise what the best one met."""
    met: BackupsError | None = None
    for copy in copies:
        try:
            manifest = read_evidence_aloud(installation, backup, copy, run)
            readable = ensure_readable(installation, backup, copy, run, wait=wait_for_thaw)
            with restored_database(installation, manifest, readable, place, run, request=request) as restored:
                _rename(place.server, restored.address.dbname, target)
        except StorageFull:
            raise  # it is this machine's disk that is full
        except (StorageError, CorruptBackup, UntrustedManifest) as error:
            met = met or error
            if copy is not copies[-1]:
                run.log(f"It cannot be restored from {copy.storage}, so the next copy is taken: {error}", "warning")
            elif copy is not copies[0]:
                run.log(f"It cannot be restored from {copy.storage} either: {error}", "warning")
        else:
            return readable, manifest, restored
    assert met is not None  # there is a copy, and it was not restored from
    raise met


def check_target(target: str) -> None:
    """Raise InvalidName unless a database that is to be made may be called so."""
    if not _TARGET.match(target) or target.startswith((TEST_PREFIX, RESTORE_PREFIX)):
        shown = target if len(target) <= 60 else target[:57] + "…"
        raise InvalidName(
            f"A database to restore into cannot be called {shown!r}.",
            hint=f"Use {TARGET_RULE}, not beginning with {TEST_PREFIX} or {RESTORE_PREFIX}.",
        )


def _prove(manifest: Manifest, restored: Restored, run: RunContext) -> Proof:
    """Compare the target. Trouble with that is said and takes nothing away; raise only when the run has to stop."""
    try:
        return prove(manifest, restored, run)
    except (BackupsError, psycopg.Error) as error:
        run.log(f"{restored.address.dbname} is restored and stays; it was not compared.", "warning")
        run.check_cancelled()
        return Proof("not compared", f"Restored without an error, but the comparison could not be made: {error}")


def _analyze(database: Address, run: RunContext) -> str:
    """Give the planner its statistics: pg_restore brings none, and the first queries would be slow.

    Return in words why there are none; empty when all is well. Raise only when the run has to stop.
    """
    run.phase("analyzing")
    try:
        with (
            connect(database, application_name="backups analyze") as connection,
            run.on_cancel(partial(cancel_soon, connection)),
            report_work(database, run, grows=False),
        ):
            connection.execute("ANALYZE")
    except (ConnectionFailed, psycopg.Error) as error:
        run.check_cancelled()
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        note = f"ANALYZE did not end: {reason} Queries may be slow until it is run."
        run.log(note, "warning")
        return note
    return ""


def _server(installation: Installation, backup: Backup, server_url: str | None) -> Address:
    if server_url is None:
        server_url = installation.settings.database(backup.database).url.get_secret_value()
    return Address.parse(server_url)


def _reachable(server: Address) -> Address:
    """Return the address of a database on the server that can be connected to, to make another one from.

    The one in the URL may be what was lost. Raise ConnectionFailed, about the URL as it is written.
    """
    try:
        with connect(server):
            return server
    except ConnectionFailed:
        for name in ("postgres", "template1"):
            other = server.with_database(name)
            with suppress(ConnectionFailed), connect(other):
                return other
        raise


def _refuse_existing(connection: Connection, server: Address, target: str) -> None:
    found = connection.execute("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", (target,)).fetchone()
    if found is not None:
        raise _exists(server, target)


def _rename(server: Address, name: str, target: str) -> None:
    """Give the restored database its name. Raise AlreadyExists when somebody took the name meanwhile."""
    statement = sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(target))
    try:
        with connect(server) as connection:
            connection.execute(statement)
    except psycopg.errors.DuplicateDatabase as error:
        raise _exists(server, target) from error
    except psycopg.Error as error:
        raise RestoreFailed(
            f"The restored database cannot be named {target}: {str(error).splitlines()[0]}", hint="Restore again."
        ) from error


def _exists(server: Address, target: str) -> AlreadyExists:
    return AlreadyExists(
        f"A database called {target} exists on {server.host}:{server.port}; it was not touched.",
        hint="Choose another name; a restore never writes into what is there.",
    )
