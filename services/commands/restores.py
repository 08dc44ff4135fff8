"""Asking for a look at a stored backup: a verification, a restore test, a restore into a new database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from services.catalog.model import Backup, RunKind
from services.commands.gate import permitted
from services.commands.submit import submit_run
from services.errors import InputError, UntrustedManifest
from services.installation import Installation
from services.restores.parts import PartRequest, check_request
from services.restores.restore import check_target
from services.settings.model import VerificationLevel


@permitted("backup.verify", instead=lambda given: "restore.test" if given["level"] == "restore" else None)
def submit_verification(
    installation: Installation,
    backup_id: str,
    level: VerificationLevel,
    *,
    storage: str | None = None,
    wait_for_thaw: bool = False,
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    slot: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for a verification; level ``restore`` is a restore test. ``slot``: the due time of the schedule that asks.

    Raise UnknownName, InputError, UntrustedManifest.
    """
    backup = installation.catalog.backups.get(backup_id)
    _refuse_expired(backup)
    _refuse_without_copy(installation, backup, storage)
    if level == "restore":
        _refuse_base(backup)
        _refuse_untrusted(backup)
    kind: RunKind = "restore_test" if level == "restore" else "verification"
    return submit_run(
        installation,
        kind,
        database=backup.database,
        backup_id=backup.id,
        params={"level": level, "storage": storage, "slot": slot, "wait_for_thaw": wait_for_thaw},
        actor=actor,
        reason=reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )


@permitted("restore.database")
def submit_restore(
    installation: Installation,
    backup_id: str,
    target: str,
    *,
    server: Literal["source", "restore-test"] = "source",
    storage: str | None = None,
    wait_for_thaw: bool = False,
    tables: Sequence[str] = (),
    schemas: Sequence[str] = (),
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for a restore into a new database, on the source's own server or on the restore test server.

    ``storage``: of which copy; None: of the best that there is. ``tables``, ``schemas``: patterns of the part that is
    wanted; none: all of it.
    """
    backup = installation.catalog.backups.get(backup_id)
    _refuse_expired(backup)
    _refuse_base(backup)
    _refuse_untrusted(backup)
    check_target(target)
    check_request(PartRequest(tuple(tables), tuple(schemas)))
    _refuse_without_copy(installation, backup, storage)
    if server == "restore-test" and installation.settings.restore_test_url is None:
        raise InputError("There is no restore test server.", hint="Set RESTORE_TEST_URL, or restore to the source's.")
    return submit_run(
        installation,
        "restore",
        database=backup.database,
        backup_id=backup.id,
        params={
            "target": target,
            "server": server,
            "storage": storage,
            "wait_for_thaw": wait_for_thaw,
            "tables": list(tables),
            "schemas": list(schemas),
        },
        actor=actor,
        reason=reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )


def _refuse_without_copy(installation: Installation, backup: Backup, storage: str | None) -> None:
    if storage is None:
        return
    installation.settings.storage(storage)
    there = [copy.storage for copy in backup.copies if copy.state not in ("copying", "failed", "deleted")]
    if storage not in there:
        raise InputError(
            f"{backup.name} has no copy in {storage}.", hint=f"It is in {', '.join(there) or 'no storage'}."
        )


def _refuse_base(backup: Backup) -> None:
    if backup.type == "base":
        raise InputError(
            f"{backup.name} is a base backup: the data folder of a whole server, which goes into no database.",
            hint=f"`backups pitr restore-test {backup.database} --to latest --base {backup.name}`, or `pitr restore`.",
        )


def _refuse_expired(backup: Backup) -> None:
    if backup.state == "expired":
        raise InputError(f"{backup.name} has expired; its object was deleted.", hint="Choose a backup that is kept.")
    if backup.state == "deleting":
        raise InputError(f"{backup.name} is being deleted.", hint="Choose a backup that is kept.")


def _refuse_untrusted(backup: Backup) -> None:
    if backup.trust == "untrusted":
        raise UntrustedManifest(
            f"The manifest of {backup.name} is not signed by a key that this installation trusts.",
            hint="Add the writer's public key to trusted_signers if you know it; otherwise do not restore it.",
        )
