"""Deletions in the catalogue: how one is begun and ended, and the log of all of them.

A deletion is begun in one transaction that takes the backup's row, looks whether anybody works on the backup, and sets
it ``deleting``. A run on a backup, of whatever kind, takes the same row once it is running (``hold``). So of a deletion
and a run that start at the same moment one sees the other, and gives way.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from services.catalog.backups import BackupStore, good, take_row
from services.catalog.model import ACTIVE_STATES, Backup, CopyState
from services.catalog.schema import backups, copies, deletions, locks, runs
from services.errors import InputError
from services.ids import new_id

DeletionOutcome = Literal["begun", "deleted", "failed", "interrupted"]
BY_HAND = "by hand"
"""The reason of a deletion that somebody asked for; every other one is the planner's word."""


@dataclass(frozen=True)
class Deletion:
    """One attempt to delete one copy."""

    id: str
    run_id: str | None
    backup_id: str
    backup_name: str
    database: str
    at: datetime
    ended_at: datetime | None
    actor: str
    storage: str
    key: str
    bytes: int
    reason: str
    """Why: the planner's word, or ``by hand``."""
    note: str
    """What the person gave as a reason."""
    outcome: DeletionOutcome
    error: str


@dataclass(frozen=True)
class Cause:
    """Who deletes a backup, and why."""

    run_id: str
    actor: str
    reason: str
    note: str = ""
    minimum: int | None = None
    """So many good ones must be newer; None where somebody forced it."""


@dataclass(frozen=True)
class Begun:
    """A deletion that was begun: nobody else works on the backup, and no run on it can start."""

    backup: Backup
    """As it was before."""
    resumed: bool
    """True when an earlier deletion of it was begun and not ended: some of it may be gone already."""


@dataclass(frozen=True)
class Refused:
    """Why a deletion was not begun."""

    because: Literal["expired", "active", "pinned", "minimum", "proven", "locked", "unnamed storage"]
    backup: Backup


@dataclass(frozen=True)
class CopyOutcome:
    """What became of one copy.

    ``deleted``: nothing of it is left. ``whole``: it is as it was. ``gone``: it was not there before anybody deleted
    it. ``unsure``: perhaps some of it is gone.
    """

    storage: str
    state: Literal["deleted", "whole", "gone", "unsure"]
    error: str = ""
    away: bool = False
    """True when it failed because the storage does not answer."""


class DeletionStore:
    """The deletions. Reading methods are one transaction; the others are part of the caller's."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._backups = BackupStore(engine)

    def hold(self, backup_id: str, connection: sa.Connection) -> None:
        """Raise InputError when a backup is being deleted, or was; wait for a deletion that is just being begun.

        To be called by a run that works on the backup, after the transaction in which the run became active.
        """
        take_row(backup_id, connection)
        row = connection.execute(
            sa.select(backups.c.name, backups.c.state).where(backups.c.id == backup_id)
        ).one_or_none()
        if row is not None and row.state != "finished":
            what = "has expired; its object was deleted" if row.state == "expired" else "is being deleted"
            raise InputError(f"{row.name} {what}.", hint="Choose a backup that is kept.")

    def begin(self, backup_id: str, cause: Cause, *, now: datetime, connection: sa.Connection) -> Begun | Refused:
        """Set a backup ``deleting`` and log it, or say what stands against it."""
        take_row(backup_id, connection)
        backup = self._backups.get(backup_id, connection)
        if backup.state == "expired":
            return Refused("expired", backup)
        if self._is_in_use(backup_id, cause.run_id, connection):
            return Refused("active", backup)
        if backup.unnamed_storages:
            return Refused("unnamed storage", backup)
        resumed = backup.state == "deleting"
        if backup.pinned and not (resumed and cause.minimum is None):
            return Refused("pinned", backup)
        if not resumed and any(copy.is_locked(now) and copy.state in ("stored", "damaged") for copy in backup.copies):
            return Refused("locked", backup)
        needed = None if cause.minimum is None else _needed(backup, cause.minimum, now, connection)
        if needed is not None:
            return Refused(needed, backup)
        self._interrupt_earlier(backup_id, now, connection)
        targets = [(c.storage, c.key, c.bytes) for c in backup.copies if resumed or c.state != "deleted"]
        for storage, key, size in targets or [("", "", 0)]:
            connection.execute(
                deletions.insert().values(
                    id=new_id(now), run_id=cause.run_id, backup_id=backup.id, backup_name=backup.name,
                    database=backup.database, at=now, actor=cause.actor, storage=storage, key=key, bytes=size,
                    reason=cause.reason, note=cause.note, outcome="begun", error="",
                )
            )  # fmt: skip
        connection.execute(backups.update().where(backups.c.id == backup_id).values(state="deleting"))
        return Begun(backup, resumed)

    def finish(
        self, begun: Begun, outcomes: Sequence[CopyOutcome], *, now: datetime, connection: sa.Connection
    ) -> Literal["finished", "deleting", "expired"]:
        """Record what became of a backup's copies, and return the backup's state.

        ``expired`` when nothing is left, ``finished`` when what is left is whole, ``deleting`` when nobody is sure.
        """
        backup_id = begun.backup.id
        for outcome in outcomes:
            values: dict[str, Any] = {"deletion_error": outcome.error, "deletion_failed_at": now}
            if outcome.state == "deleted":
                values = {"state": "deleted", "deletion_error": "", "deletion_failed_at": None}
            elif outcome.state == "gone":
                values |= {"state": "missing", "checked_at": now}
            connection.execute(
                copies.update()
                .where(copies.c.backup_id == backup_id, copies.c.storage == outcome.storage)
                .values(values)
            )
            self._log_end(backup_id, outcome, now, connection)
        self._log_end(backup_id, CopyOutcome("", "deleted"), now, connection)
        states = {outcome.state for outcome in outcomes}
        left = states - {"deleted"}
        state: Literal["finished", "deleting", "expired"] = (
            "deleting" if "unsure" in left else "finished" if left else "expired"
        )
        ending = {"expired_at": now} if state == "expired" else {}
        connection.execute(backups.update().where(backups.c.id == backup_id).values(state=state, **ending))
        return state

    def revive(
        self, backup: Backup, states: Mapping[str, CopyState], *, now: datetime, connection: sa.Connection
    ) -> None:
        """Give up a deletion that was begun: the backup is needed, and has a whole copy. ``states``: by storage."""
        self._interrupt_earlier(backup.id, now, connection)
        for storage, state in states.items():
            connection.execute(
                copies.update()
                .where(copies.c.backup_id == backup.id, copies.c.storage == storage)
                .values(state=state, checked_at=now)
            )
        connection.execute(
            backups.update().where(backups.c.id == backup.id, backups.c.state == "deleting").values(state="finished")
        )

    def list(
        self,
        *,
        database: str | None = None,
        backup_id: str | None = None,
        outcome: DeletionOutcome | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> builtins.list[Deletion]:
        """Return the log, the newest first."""
        query = sa.select(deletions).order_by(deletions.c.at.desc(), deletions.c.id.desc())
        query = query.where(*_wanted(database, backup_id, outcome))
        if since is not None:
            query = query.where(deletions.c.at >= since)
        if limit is not None:
            query = query.limit(limit)
        with self._engine.connect() as connection:
            return [Deletion(**row._mapping) for row in connection.execute(query)]

    def count(self, *, database: str | None = None, outcome: DeletionOutcome | None = None) -> int:
        """Return how many entries the log has."""
        query = sa.select(sa.func.count()).select_from(deletions).where(*_wanted(database, None, outcome))
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def has_begun(self, run_id: str, *, since: datetime) -> bool:
        """Say whether a run that was asked for at ``since`` has begun to delete anything."""
        query = sa.select(deletions.c.id).where(deletions.c.at >= since, deletions.c.run_id == run_id).limit(1)
        with self._engine.connect() as connection:
            return connection.scalar(query) is not None

    def _is_in_use(self, backup_id: str, run_id: str, connection: sa.Connection) -> bool:
        """Say whether another active run works on the backup, or deletes it."""
        active = sa.select(runs.c.id).where(runs.c.state.in_(ACTIVE_STATES), runs.c.id != run_id)
        deleting = sa.select(deletions.c.run_id).where(
            deletions.c.backup_id == backup_id, deletions.c.outcome == "begun"
        )
        # What rewrites many backups in one run holds each while it is at it (RunStore.hold).
        holding = sa.select(locks.c.run_id).where(locks.c.name == f"backup/{backup_id}")
        works_on_it = sa.or_(runs.c.backup_id == backup_id, runs.c.id.in_(deleting), runs.c.id.in_(holding))
        query = active.where(works_on_it).limit(1)
        return connection.scalar(query) is not None

    def _interrupt_earlier(self, backup_id: str, now: datetime, connection: sa.Connection) -> None:
        connection.execute(
            deletions.update()
            .where(deletions.c.backup_id == backup_id, deletions.c.outcome == "begun")
            .values(outcome="interrupted", ended_at=now, error="Whoever deleted it ended before it was over.")
        )

    def _log_end(self, backup_id: str, outcome: CopyOutcome, now: datetime, connection: sa.Connection) -> None:
        connection.execute(
            deletions.update()
            .where(
                deletions.c.backup_id == backup_id,
                deletions.c.storage == outcome.storage,
                deletions.c.outcome == "begun",
            )
            .values(outcome="deleted" if outcome.state == "deleted" else "failed", ended_at=now, error=outcome.error)
        )


def _wanted(
    database: str | None, backup_id: str | None, outcome: DeletionOutcome | None
) -> list[sa.ColumnElement[bool]]:
    wanted = {deletions.c.database: database, deletions.c.backup_id: backup_id, deletions.c.outcome: outcome}
    return [column == value for column, value in wanted.items() if value is not None]


def _needed(
    backup: Backup, minimum: int, now: datetime, connection: sa.Connection
) -> Literal["minimum", "proven"] | None:
    """Say whether the store may not lose a backup: too few good ones are newer, or it is the newest proven one.

    Asked of the catalogue as it is at this moment: since the plan was made, a newer one may have been found damaged.
    """
    itself = sa.select(backups.c.id).where(backups.c.id == backup.id, good(state=backup.state))
    if connection.scalar(itself) is None:
        return None
    later = sa.tuple_(backups.c.finished_at, backups.c.id) > sa.tuple_(
        sa.literal(backup.finished_at, backups.c.finished_at.type), sa.literal(backup.id)
    )
    newer = sa.select(backups.c.id).where(backups.c.database == backup.database, good(), later)
    if len(connection.execute(newer.limit(minimum)).all()) < minimum:
        return "minimum"
    if backup.finished_at <= now and connection.scalar(newer.where(backups.c.finished_at <= now).limit(1)) is None:
        return "minimum"
    if backup.proven_at is None or connection.scalar(newer.where(backups.c.proven_at.is_not(None)).limit(1)):
        return None
    return "proven"
