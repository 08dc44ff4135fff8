"""Deleting one backup: begun in the catalogue, done in each storage, ended in the catalogue.

Between the two transactions its row says ``deleting``, and no run on it starts (``services.catalog.deletions``). When
the process dies in between, the next cleanup ends what was begun.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from services.backups.mounted import mounted_storage
from services.catalog.deletions import Begun, Cause, CopyOutcome, Refused
from services.catalog.model import Backup, CopyState
from services.errors import BackupsError
from services.installation import Installation
from services.jobs.context import RunContext
from services.retention.delete_copy import delete_beside, delete_copy, withdraw_mark
from services.retention.words import unnamed_words
from services.storage.presence import is_there

Outcome = Literal["deleted", "failed", "skipped", "revived"]
PATIENCE = 3
"""So often in a row a storage may not answer before it is asked whether it is there at all."""


@dataclass(frozen=True)
class Deleted:
    """What became of a backup that was to be deleted.

    ``skipped``: something stands against it, see ``why``. ``revived``: its deletion had been begun earlier, it is
    needed since, and it was still whole.
    """

    outcome: Outcome
    why: str = ""
    freed_bytes: int = 0


def delete_backup(
    installation: Installation, backup_id: str, cause: Cause, away: AwayStorages, run: RunContext
) -> Deleted:
    """Delete a backup from every storage. What a storage refuses is in the outcome; raise ClaimLost."""
    now = installation.clock()
    store = installation.catalog.deletions
    with run.guarded() as transaction:
        begun = store.begin(backup_id, cause, now=now, connection=transaction)
    if isinstance(begun, Refused):
        if begun.because == "unnamed storage":
            return Deleted("skipped", unnamed_words(begun.backup.unnamed_storages))
        if begun.backup.state != "deleting" or begun.because == "active":
            return Deleted("skipped", begun.because)
        found = _look_at(installation, begun.backup)
        if "stored" in found.values():
            return _revive(installation, begun.backup, found, begun.because, run)
        if "missing" in found.values():
            return Deleted("failed", "It is needed, and nobody can tell now whether a copy of it is whole.")
        # Of what nothing is left nothing can be kept: its deletion is ended, whatever it was needed for.
        return delete_backup(installation, backup_id, replace(cause, minimum=None), away, run)
    outcomes = _delete_copies(installation, begun, cause, away)
    with run.guarded() as transaction:
        state = store.finish(begun, outcomes, now=installation.clock(), connection=transaction)
    freed = {outcome.storage for outcome in outcomes if outcome.state == "deleted"}
    freed_bytes = sum(copy.bytes for copy in begun.backup.copies if copy.storage in freed)
    if state == "expired":
        return Deleted("deleted", freed_bytes=freed_bytes)
    errors = " ".join(outcome.error for outcome in outcomes if outcome.error)
    return Deleted("failed", errors, freed_bytes)


def _delete_copies(installation: Installation, begun: Begun, cause: Cause, away: AwayStorages) -> list[CopyOutcome]:
    outcomes = []
    for copy in begun.backup.copies:
        if copy.state == "deleted" and not begun.resumed:
            continue
        if (why := away.why(copy.storage)) is not None:
            state: Literal["whole", "unsure"] = "unsure" if begun.resumed else "whole"
            outcome = CopyOutcome(copy.storage, state, f"Not tried, since {copy.storage} does not answer: {why}")
        else:
            now = installation.clock()
            outcome = delete_copy(installation, begun.backup, copy, cause, resumed=begun.resumed, now=now)
            away.learn(installation, outcome)
        outcomes.append(outcome)
    return outcomes


class AwayStorages:
    """Which storages do not answer in this run, so that a hundred deletions do not wait for each in turn."""

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()
        self._away: dict[str, str] = {}

    def why(self, storage: str) -> str | None:
        """Return why a storage is away; None for one that is not."""
        return self._away.get(storage)

    def learn(self, installation: Installation, outcome: CopyOutcome) -> None:
        """Take note of an outcome. A storage that refuses some deletions with server errors, and lists, is not away."""
        if not outcome.away:
            self._failures[outcome.storage] = 0
            return
        self._failures[outcome.storage] += 1
        if self._failures[outcome.storage] >= PATIENCE:
            self._failures[outcome.storage] = 0
            try:
                next(iter(mounted_storage(installation, outcome.storage).list(".answers/")), None)
            except BackupsError as error:
                self._away[outcome.storage] = str(error)


def _look_at(installation: Installation, backup: Backup) -> dict[str, CopyState]:
    """Return by storage how the copies of a half-deleted backup stand; ``missing`` is one that nobody can look at."""
    found: dict[str, CopyState] = {}
    for copy in backup.copies:
        try:
            there = is_there(mounted_storage(installation, copy.storage), copy.key)
            found[copy.storage] = copy.state if there and copy.state == "damaged" else "stored" if there else "deleted"
        except BackupsError:
            found[copy.storage] = "missing"
    return found


def _revive(
    installation: Installation, backup: Backup, found: dict[str, CopyState], because: str, run: RunContext
) -> Deleted:
    """Take back a deletion that was begun, and of which a copy is whole. Where its object is gone, the rest goes."""
    now = installation.clock()
    try:
        for storage in [storage for storage, state in found.items() if state != "missing"]:
            place = mounted_storage(installation, storage)
            if found[storage] == "deleted":
                delete_beside(place, backup)
            else:
                withdraw_mark(installation, place, backup, actor=run.actor, reason="It is needed again.", now=now)
    except BackupsError as error:
        return Deleted("failed", f"It is needed again, but its deletion cannot be taken back yet: {error}")
    with run.guarded() as transaction:
        installation.catalog.deletions.revive(backup, found, now=now, connection=transaction)
    return Deleted("revived", because)
