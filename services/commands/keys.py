"""Asking for a rotation of keys."""

from __future__ import annotations

from services.commands.submit import submit_run
from services.installation import Installation
from services.keys.rotate_plan import RotatePlan


def submit_rotation(
    installation: Installation,
    plan: RotatePlan,
    *,
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    queue: bool = True,
) -> list[str]:
    """Ask for the backups of a plan to be encrypted anew: one run for each database. Return the runs' ids."""
    return [
        submit_run(
            installation,
            "rotate",
            database=database,
            params={"backups": [backup.id for backup in plan.backups if backup.database == database]},
            actor=actor,
            reason=reason,
            idempotency_key=f"{idempotency_key}:{database}" if idempotency_key else None,
            queue=queue,
        )
        for database in sorted({backup.database for backup in plan.backups})
    ]
