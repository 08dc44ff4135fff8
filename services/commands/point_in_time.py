"""Asking for what point-in-time recovery needs: a base backup, a restore to a point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.backups.naming import check_name
from services.backups.plan import choose_recipients
from services.backups.taken import refuse_taken
from services.commands.gate import permitted
from services.commands.submit import check_note, earlier_run, submit_run
from services.errors import InputError
from services.installation import Installation
from services.pitr.target import RecoveryTarget, refuse_future


@permitted("base.create")
def submit_base_backup(
    installation: Installation,
    database: str,
    *,
    name: str | None = None,
    note: str = "",
    incremental: bool = False,
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for a base backup of a database's server; ``incremental``: of what has changed since the newest one.

    Raise UnknownName, InvalidName, AlreadyExists, InputError.
    """
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
        params={"name": name, "note": note, "incremental": incremental},
        actor=actor,
        reason=reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )


@permitted("point.test")
def submit_point_test(
    installation: Installation,
    database: str,
    target: RecoveryTarget,
    *,
    base: str | None = None,
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for a restore test to a point in time; ``base``: from this base backup, else from the newest that fits.

    Raise UnknownName, InputError.
    """
    return submit_run(
        installation,
        "point_test",
        database=_checked(installation, database, target, base),
        params=_params(target, base),
        actor=actor,
        reason=reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )


@permitted("point.restore")
def submit_point_restore(
    installation: Installation,
    database: str,
    target: RecoveryTarget,
    into: Path,
    *,
    base: str | None = None,
    keep_archiving: bool = False,
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for a restore to a point in time into a folder that is new or empty, on the machine that works on it.

    ``keep_archiving``: it takes its source's place, and archives as that did; otherwise it archives nothing.
    Raise UnknownName, InputError.
    """
    if not into.is_absolute():
        raise InputError(f"{into} is no absolute path.", hint="Write the whole path: /var/lib/postgresql/restored.")
    return submit_run(
        installation,
        "point_restore",
        database=_checked(installation, database, target, base),
        params=_params(target, base) | {"into": str(into), "keep_archiving": keep_archiving},
        actor=actor,
        reason=reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )


def _checked(installation: Installation, database: str, target: RecoveryTarget, base: str | None) -> str:
    """Return the database's name, having checked what can be at once."""
    known = installation.settings.database(database)
    refuse_future(target, installation.clock())
    if base is not None and installation.catalog.backups.find(base, database=known.name).type != "base":
        raise InputError(f"{base} is not a base backup.", hint=f"See `backups pitr list {known.name}`.")
    return known.name


def _params(target: RecoveryTarget, base: str | None) -> dict[str, Any]:
    return target.to_params() | {"base": base}
