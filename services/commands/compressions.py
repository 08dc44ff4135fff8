"""Asking for older backups to be compressed anew."""

from __future__ import annotations

from collections.abc import Sequence

from services.backups.compress_plan import Compression
from services.commands.gate import permitted
from services.commands.submit import by_database, submit_run
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
    return [
        submit_run(
            installation,
            "compress",
            database=database,
            params={"backups": [wish.backup.id for wish in mine]},
            actor=actor,
            reason=reason,
            idempotency_key=key,
            queue=queue,
        )
        for database, mine, key in by_database(wishes, idempotency_key)
    ]
