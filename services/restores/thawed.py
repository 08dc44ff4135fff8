"""Before a copy is read: whether it can be, what to do when it lies frozen, and waiting until it is thawed."""

from __future__ import annotations

import threading
from datetime import timedelta

from services.backups.thaw_backup import describe_thaw, thaw_backup
from services.backups.thaw_state import expected_at, look_at_thaw
from services.catalog.model import Backup, Copy
from services.errors import NotThawed
from services.installation import Installation
from services.jobs.context import RunContext
from services.storage.classes import is_frozen

DAYS = 7
"""So long a copy stays readable that was thawed because somebody waited for it."""
TIER = "Standard"
POLL_SECONDS = 60.0
_WAIT = "the option --wait-for-thaw of `backups restore`, `backups restore-test` and `backups verify`"
_LOGGED_AT_LEAST = timedelta(minutes=10)


def ensure_readable(
    installation: Installation, backup: Backup, copy: Copy, run: RunContext, *, wait: bool = False
) -> Copy:
    """Return the copy as it stands once it can be read: at once, or with ``wait`` when it has been thawed.

    Waiting asks for the thaw where nobody has. Raise NotThawed, with what to do and how long that takes, ObjectMissing,
    StorageError, Cancelled.
    """
    if not is_frozen(copy.storage_class):
        return copy
    seen = look_at_thaw(installation, backup.id, copy)
    if seen.is_readable(installation.clock()):
        return seen
    if not wait:
        raise _frozen(backup, seen)
    if seen.thaw_requested_at is None:
        seen = thaw_backup(installation, backup, copy.storage, run, days=DAYS, tier=TIER)
    return _wait(installation, backup, seen, run)


def _wait(installation: Installation, backup: Backup, copy: Copy, run: RunContext) -> Copy:
    run.phase("waiting for the thaw")
    database = next((d for d in installation.settings.databases if d.name == backup.database), None)
    # A line now and then says that the run is alive, so that it is not taken for one that hangs.
    pause = min(_LOGGED_AT_LEAST, database.stall_timeout / 3) if database else _LOGGED_AT_LEAST
    woken = threading.Event()
    logged_at = installation.clock()
    run.log(describe_thaw(copy, backup.name))
    with run.on_cancel(woken.set):
        while not copy.is_readable(installation.clock()):
            woken.wait(min(POLL_SECONDS, pause.total_seconds()))
            run.check_cancelled()
            copy = look_at_thaw(installation, backup.id, copy)
            if installation.clock() - logged_at >= pause:
                logged_at = installation.clock()
                run.log(describe_thaw(copy, backup.name))
    return copy


def _frozen(backup: Backup, copy: Copy) -> NotThawed:
    if expected_at(copy) is not None:
        hint = f"Do it again then, or have it waited for: {_WAIT}."
    else:
        hint = f"Thaw it on the page Storage or with `backups thaw {backup.name}`, or do all in one go: {_WAIT}."
    return NotThawed(describe_thaw(copy, backup.name), hint=hint)
