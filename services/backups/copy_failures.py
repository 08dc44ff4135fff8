"""A further copy that could not be made: its row says why, how often, and when it is tried again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from services.backups.copy_sources import copy_in
from services.catalog.copies import LONGEST_PAUSE
from services.catalog.model import Backup, Copy
from services.errors import BackupsError
from services.installation import Installation
from services.settings.secret_texts import secrets_of

FIRST_PAUSE = timedelta(minutes=5)


def pause_after(attempts: int) -> timedelta:
    """Return how long to wait after so many failures in a row: 5 min, 10 min, 20 min, … at most 6 h."""
    return min(FIRST_PAUSE * (1 << min(attempts - 1, 10)), LONGEST_PAUSE)


def note_failure(installation: Installation, backup: Backup, storage: str, error: BaseException) -> None:
    """Write into a copy's row why it could not be made.

    A copy that is damaged or missing stays called so, and one that is stored is not blamed for a look at it that went
    wrong. What somebody cancelled, and what only a person can mend (``may_pass``: a refusal, a bucket that is not
    there), is not tried again for the longest pause: people are told at once instead.
    """
    before = copy_in(installation.catalog.backups.get(backup.id), storage) or new_copy(installation, backup, storage)
    if before.state == "stored":
        return
    said = str(error) if isinstance(error, BackupsError) else f"An unforeseen error: {type(error).__name__}."
    for secret in secrets_of(installation.settings):
        said = said.replace(secret, "***")
    hopeless = isinstance(error, BackupsError) and not error.may_pass
    pause = LONGEST_PAUSE if hopeless else pause_after(before.attempts + 1)
    installation.catalog.backups.save_copy(backup.id, _failed(before, said, installation.clock() + pause))


def note_abandoned(installation: Installation, backup: Backup, storage: str) -> None:
    """Write into a copy's row that the process which was making it is gone, unless another has made it."""
    before = copy_in(backup, storage)
    if before is None or before.state == "stored":
        return
    again = installation.clock() + pause_after(before.attempts + 1)
    said = "The process that was copying it is gone."
    installation.catalog.backups.save_copy(backup.id, _failed(before, said, again))


def _failed(before: Copy, said: str, again: datetime) -> Copy:
    return replace(
        before,
        state=before.state if before.state in ("damaged", "missing") else "failed",
        error=said,
        attempts=before.attempts + 1,
        next_attempt_at=again,
    )


def new_copy(installation: Installation, backup: Backup, storage: str) -> Copy:
    """Return the row of a copy that is going to be made, or made anew."""
    key = backup.copies[0].key
    return Copy(
        storage=storage,
        key=key,
        location=installation.storage(storage).location(key),
        storage_class="STANDARD",
        state="copying",
        bytes=backup.stored_bytes,
        etag="",
        checked_at=None,
    )
