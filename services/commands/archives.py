"""Asking for copies to be moved to cold storage, and for one to be thawed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from services.backups.archive_plan import Move
from services.backups.copy_sources import refuse_to_copy
from services.backups.thaw_backup import refuse_thaw
from services.catalog.model import Backup, Copy
from services.commands.gate import permitted
from services.commands.submit import by_database, submit_run
from services.errors import InputError
from services.installation import Installation


@permitted("backup.archive")
def submit_archives(
    installation: Installation,
    moves: Sequence[Move],
    older_than: timedelta,
    *,
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    queue: bool = True,
) -> list[str]:
    """Ask for the moves of a plan, all of one ``older_than``: one run for each database. Return the runs' ids."""
    return [
        submit_run(
            installation,
            "archive",
            database=database,
            params={
                "older_than_seconds": older_than.total_seconds(),
                "moves": [[move.backup.id, move.copy.storage, move.storage_class] for move in mine],
            },
            actor=actor,
            reason=reason,
            idempotency_key=key,
            queue=queue,
        )
        for database, mine, key in by_database(moves, idempotency_key)
    ]


@permitted("backup.thaw")
def submit_thaw(
    installation: Installation,
    backup_id: str,
    *,
    storage: str | None = None,
    days: int = 7,
    tier: str = "Standard",
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for a backup's copy in cold storage to be readable for some days; without ``storage`` the only frozen one.

    Raise UnknownName, InputError when there is none, when another copy can be read as it is, or for days and a tier
    that cannot be asked for.
    """
    backup = installation.catalog.backups.get(backup_id)
    refuse_to_copy(backup)
    copy = _frozen_copy(installation, backup, storage)
    refuse_thaw(backup, copy, days=days, tier=tier)
    return submit_run(
        installation,
        "thaw",
        database=backup.database,
        backup_id=backup.id,
        params={"storage": copy.storage, "days": days, "tier": tier},
        actor=actor,
        reason=reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )


def _frozen_copy(installation: Installation, backup: Backup, storage: str | None) -> Copy:
    there = [copy for copy in backup.copies if copy.state == "stored"]
    if storage is not None:
        installation.settings.storage(storage)
        chosen = [copy for copy in there if copy.storage == storage]
        if not chosen:
            where = ", ".join(copy.storage for copy in there) or "no storage"
            raise InputError(f"{backup.name} has no copy in {storage}.", hint=f"It is in {where}.")
        return chosen[0]
    now = installation.clock()
    readable = [copy for copy in there if copy.is_readable(now) and copy.thawed_at is None]
    if readable:
        raise InputError(
            f"{backup.name} can be read from {readable[0].storage} as it is; nothing has to be thawed.",
            hint="Restore it, or name the storage whose copy is to be thawed all the same.",
        )
    if not there:
        raise InputError(f"{backup.name} has no stored copy.", hint="Verify its copies.")
    # what thaws already first, so that asking twice does not begin a second thaw
    return min(there, key=lambda copy: (copy.thaw_requested_at is None, copy.storage))
