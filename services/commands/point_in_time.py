"""Asking for what point-in-time recovery needs: a base backup, a restore to a point."""

from __future__ import annotations

from services.backups.naming import check_name
from services.backups.plan import choose_recipients
from services.backups.taken import refuse_taken
from services.commands.submit import check_note, earlier_run, submit_run
from services.installation import Installation


def submit_base_backup(
    installation: Installation,
    database: str,
    *,
    name: str | None = None,
    note: str = "",
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for a base backup of a database's server. Raise UnknownName, InvalidName, AlreadyExists, InputError."""
    known = installation.settings.database(database)
    if name is not None:
        check_name(name)
        if earlier_run(installation, idempotency_key) is None:
            refuse_taken(installation, known.name, name)
    check_note(note)
    choose_recipients(installation.settings, known)
    return submit_run(
        installation,
        "base_backup",
        database=known.name,
        params={"name": name, "note": note},
        actor=actor,
        reason=reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )
