"""Asking for a further copy of a backup in another storage."""

from __future__ import annotations

from services.backups.copy_sources import refuse_to_copy
from services.commands.gate import permitted
from services.commands.submit import earlier_run, submit_run
from services.errors import InputError
from services.installation import Installation


@permitted("backup.copy")
def submit_copy(
    installation: Installation,
    backup_id: str,
    storage: str,
    *,
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for a backup to be copied into a storage. Raise UnknownName, InputError, UntrustedManifest.

    One that is there already is looked at, and left as it is when it is whole.
    """
    backup = installation.catalog.backups.get(backup_id)
    installation.settings.storage(storage)
    refuse_to_copy(backup)
    if not any(copy.state == "stored" for copy in backup.copies):
        raise InputError(
            f"{backup.name} has no good copy that one in {storage} could be made from.",
            hint="Verify the copies that there are: `backups verify --storage NAME`.",
        )
    return submit_run(
        installation,
        "copy",
        database=backup.database,
        backup_id=backup.id,
        params={"storage": storage},
        actor=actor,
        reason=reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )


def copy_key(installation: Installation, backup_id: str, storage: str, attempts: int) -> str:
    """Return the idempotency key for the next attempt at a copy, so that two who ask for it start one run.

    A run that ended without making or failing the copy (cancelled while it waited, lost) does not stand in the way.
    """
    key = f"copy:{backup_id}:{storage}:{attempts}"
    while (run := earlier_run(installation, key)) is not None and not run.is_active:
        key = f"copy:{run.id}:{storage}:{attempts}"
    return key
