"""Thawing a copy of a backup in cold storage, so that it can be read for some days."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from services.backups.thaw_state import expected_at, look_at_thaw, not_thawed, title_of
from services.catalog.model import Backup, Copy
from services.errors import InputError
from services.installation import Installation
from services.jobs.context import RunContext
from services.names import unknown_name
from services.storage.classes import CLASSES, is_frozen
from services.storage.cold import request_thaw

MOST_DAYS = 365


def thaw_backup(
    installation: Installation, backup: Backup, storage: str, run: RunContext, *, days: int, tier: str
) -> Copy:
    """Ask the storage to thaw a backup's copy and return its row: being thawed, or readable already.

    One that is being thawed is not asked for again; one that is readable stays so for longer. Raise InputError when it
    need not be thawed, StorageError.
    """
    copy = next(each for each in backup.copies if each.storage == storage)
    run.phase("asking the storage")
    before = look_at_thaw(installation, backup.id, copy)
    if not is_frozen(before.storage_class):
        raise InputError(
            f"{backup.name} lies in {title_of(before.storage_class)} in {storage}; it can be read as it is."
        )
    if before.thaw_requested_at is None or before.thawed_at is not None:
        request_thaw(installation.storage(storage), copy.key, days=days, tier=tier)
        if before.thawed_at is None:  # otherwise it stays readable, and only the end of that moves
            asked = replace(not_thawed(before), thaw_requested_at=installation.clock(), thaw_tier=tier)
            installation.catalog.backups.save_placement(backup.id, asked)
            before = asked
    after = look_at_thaw(installation, backup.id, before)
    run.log(describe_thaw(after, backup.name))
    return after


def describe_thaw(copy: Copy, name: str) -> str:
    """Say in one sentence how a copy in cold storage stands."""
    where = f"{name} lies in {title_of(copy.storage_class)} in {copy.storage}"
    if copy.thawed_until is not None:
        return f"{where}, thawed: it can be read until {copy.thawed_until:%Y-%m-%d %H:%M} UTC."
    expected = expected_at(copy)
    if expected is not None and copy.thaw_requested_at is not None:
        return (
            f"{where} and is being thawed since {copy.thaw_requested_at:%Y-%m-%d %H:%M} UTC; readable by "
            f"{expected:%Y-%m-%d %H:%M} UTC, as a rule."
        )
    return f"{where}, frozen: it cannot be read before it is thawed, {thaw_times(copy.storage_class)}."


def thaw_times(storage_class: str) -> str:
    """Return the times of a thaw by tier in words: ``Standard within 5 h, Bulk within 12 h``."""
    known = CLASSES.get(storage_class)
    tiers = known.thaw.items() if known else ()
    return ", ".join(f"{tier} within {time_words(length)}" for tier, length in tiers) or "within two days"


def time_words(length: timedelta) -> str:
    """Return the time that a tier takes: ``5 min``, ``12 h``."""
    minutes = round(length.total_seconds() / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h"


def refuse_thaw(backup: Backup, copy: Copy, *, days: int, tier: str) -> None:
    """Raise InputError for a thaw that cannot be asked for: days out of range, or a tier that the class lacks."""
    if not 1 <= days <= MOST_DAYS:
        raise InputError(f"A thaw of {days} days cannot be asked for.", hint=f"Use 1 to {MOST_DAYS}.")
    known = CLASSES.get(copy.storage_class)
    if known is None or not known.is_frozen:
        raise InputError(
            f"{backup.name} lies in {title_of(copy.storage_class)} in {copy.storage}; it can be read as it is.",
            hint="Restore it.",
        )
    if tier not in known.thaw:
        raise unknown_name(f"tier of a thaw from {known.title}", tier, known.thaw)
