"""Asking for an emergency backup, and for the release of read-only mode."""

from __future__ import annotations

from dataclasses import replace

from services.backups.plan import choose_recipients
from services.catalog.read_only_modes import ReadOnlyMode
from services.commands.gate import permitted
from services.commands.submit import submit_run
from services.emergency.release import release
from services.emergency.request import START_WITHIN, EmergencyRequest, check_request
from services.emergency.words import by_hand
from services.errors import BackupsError, InputError
from services.installation import Installation


@permitted("emergency.create")
def submit_emergency(
    installation: Installation,
    request: EmergencyRequest,
    *,
    actor: str,
    idempotency_key: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for an emergency backup. Raise UnknownName, InputError."""
    database = installation.settings.database(request.database)
    check_request(request, database)
    request = replace(request, start_by=installation.clock() + START_WITHIN)
    choose_recipients(installation.settings, database)
    return submit_run(
        installation,
        "backup",
        database=database.name,
        params=request.to_params(),
        actor=actor,
        reason=request.reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )


@permitted("emergency.release")
def release_read_only(installation: Installation, database: str, *, actor: str) -> list[ReadOnlyMode]:
    """Release the read-only modes of a database now; return them as they are then.

    Raise UnknownName, InputError when there is none, BackupsError when it does not work: it is tried again by itself.
    """
    modes = installation.catalog.read_only_modes
    held = modes.unreleased(database)
    if not held:
        installation.settings.database(database)
        raise InputError(f"{database} is not in read-only mode that we switched on.", hint="See `backups read-only`.")
    for mode in held:
        if not release(installation, mode, by=actor):
            why = modes.get(mode.id).last_error or "Somebody else is just doing it."
            raise BackupsError(
                f"Read-only mode of {database} could not be released: {why}",
                hint=f"It is tried again every few seconds. By hand: {by_hand(modes.get(mode.id))}",
            )
    return [modes.get(mode.id) for mode in held]
