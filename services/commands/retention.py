"""Asking for a cleanup or a deletion, and pinning backups."""

from __future__ import annotations

from collections.abc import Sequence

from services.audit.pending import settle
from services.catalog.pins import Pin
from services.commands.gate import permitted
from services.commands.submit import check_note, submit_run
from services.errors import InputError
from services.installation import Installation
from services.retention.request import CleanupRequest

MAX_AT_ONCE = 5000
"""So many backups one confirmation may name."""


@permitted("retention.plan", instead=lambda given: "retention.apply" if given["apply"] else None)
def submit_cleanup(
    installation: Installation,
    *,
    database: str | None = None,
    apply: bool = False,
    only: Sequence[str] | None = None,
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    slot: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for what the policy does not keep to be listed or, with ``apply``, deleted. Raise UnknownName, InputError.

    ``database``: None is all of them. ``only``: the ids that somebody saw and confirmed; nothing else is deleted.
    """
    request = CleanupRequest(database, apply, None if only is None else tuple(only))
    return _submit(installation, request, actor, reason, idempotency_key, slot=slot, queue=queue)


@permitted("backup.delete")
def submit_deletion(
    installation: Installation,
    backup_ids: Sequence[str],
    *,
    database: str | None = None,
    force_reason: str = "",
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for backups to be deleted by hand, whatever tier keeps them. Raise UnknownName, InputError.

    A pinned one is never deleted; the newest good ones (``minimum``) and the newest proven one only with
    ``force_reason``. What stands against a deletion is asked again when it is made.
    """
    if not backup_ids:
        raise InputError("There is nothing to delete.", hint="Name a backup, or an age: --older-than 30d.")
    check_note(force_reason)
    request = CleanupRequest(database, True, tuple(backup_ids), by_hand=True, force_reason=force_reason.strip())
    return _submit(installation, request, actor, reason, idempotency_key, queue=queue)


@permitted("backup.pin", instead=lambda given: None if given["pinned"] else "backup.unpin")
def set_pin(installation: Installation, backup_id: str, *, pinned: bool, actor: str, reason: str = "") -> Pin:
    """Pin a backup, or take its pin away. Raise UnknownName, InputError for one that has expired or is being deleted.

    It holds at once; the worker, or ``services.retention.pins.store_waiting_pins``, stores it beside the backup, too.
    """
    check_note(reason)
    installation.catalog.backups.get(backup_id)
    pin = Pin(backup_id, pinned, installation.clock(), actor, reason.strip())
    with installation.catalog.engine.begin() as transaction:
        # The same row that a deletion takes: of a pin and a deletion at one moment, one sees the other.
        installation.catalog.deletions.hold(backup_id, transaction)
        installation.catalog.pins.set(pin, transaction)
        settle(transaction)
    return pin


def _submit(
    installation: Installation,
    request: CleanupRequest,
    actor: str,
    reason: str,
    idempotency_key: str | None,
    *,
    slot: str | None = None,
    queue: bool,
) -> str:
    if request.database is not None:
        installation.settings.database(request.database)
    if request.only is not None and len(request.only) > MAX_AT_ONCE:
        raise InputError(
            f"{len(request.only):,} backups cannot be deleted with one confirmation.",
            hint=f"Confirm at most {MAX_AT_ONCE:,}, the oldest first, and then again.",
        )
    check_note(reason)
    return submit_run(
        installation,
        "cleanup",
        database=request.database,
        params=request.to_params() | {"slot": slot},
        actor=actor,
        reason=reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )
