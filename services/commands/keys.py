"""Asking for a rotation of keys, and holding the drill of one."""

from __future__ import annotations

from collections.abc import Sequence

from services.catalog.key_drills import KeyDrill
from services.catalog.model import Backup
from services.commands.gate import permitted
from services.commands.submit import by_database, submit_run
from services.installation import Installation
from services.keys import drill
from services.keys.rotate_plan import Rotation


@permitted("keys.rotate")
def submit_rotation(
    installation: Installation,
    rotations: Sequence[Rotation],
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
            params={"backups": [each.backup.id for each in mine]},
            actor=actor,
            reason=reason,
            idempotency_key=key,
            queue=queue,
        )
        for database, mine, key in by_database(rotations, idempotency_key)
    ]


@permitted("keys.drill")
def hold_key_drill(
    installation: Installation, identities: Sequence[str], *, backup: Backup | None = None, actor: str
) -> KeyDrill:
    """Prove that one of these secret keys opens a backup, and record that; see ``services.keys.drill.hold_drill``.

    No run: it is done here and now, so that the secret key is in no other process and no row.
    """
    return drill.hold_drill(installation, identities, backup=backup, actor=actor)
