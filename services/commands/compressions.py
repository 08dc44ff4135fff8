"""Asking for older backups to be compressed anew."""

from __future__ import annotations

from collections.abc import Sequence

from services.backups.compress_plan import Compression
from services.commands.gate import permitted
from services.commands.submit import submit_run
from services.installation import Installation


@permitted("backup.compress")
def submit_compressions(
    installation: Installation,
    wishes: Sequence[Compression],
    *,
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    queue: bool = True,
) -> list[str]:
    """Ask for the backups of a plan to be compressed anew: one run for each database. Return the runs' ids."""
    databases = sorted({wish.backup.database for wish in wishes})
    return [
        submit_run(
            installation,
            "compress",
            database=database,
            params={"backups": [wish.backup.id for wish in wishes if wish.backup.database == database]},
            actor=actor,
            reason=reason,
            idempotency_key=f"{idempotency_key}:{database}" if idempotency_key else None,
            queue=queue,
        )
        for database in databases
    ]
