"""Backups and their copies in the catalogue."""

from __future__ import annotations

import builtins
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.catalog.model import Backup, BackupState, BackupType, Copy, CopyState
from services.catalog.schema import backups, copies, sound, unknown
from services.errors import UnknownName
from services.names import shortened, unknown_name

_CHUNK = 500  # ids in one IN list; SQLite's limit on variables is far above
_PLACEMENT = ("storage_class", "etag", "thaw_requested_at", "thaw_tier", "thawed_at", "thawed_until")


class BackupStore:
    """The backups, each with its copies. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self, backup_id: str, connection: sa.Connection | None = None) -> Backup:
        """Return a backup by its id, as ``connection``'s transaction sees it if one is given. Raise UnknownName."""
        query = sa.select(backups).where(backups.c.id == backup_id)
        found = self._fetch(query) if connection is None else _fetch(query, connection)
        if not found:
            raise UnknownName(f"No backup has the id {shortened(backup_id)!r}.", hint="See `backups list`.")
        return found[0]

    def find(self, text: str, *, database: str | None = None) -> Backup:
        """Given an id or a name, return the backup. Raise UnknownName when none, or more than one, is called so."""
        query = sa.select(backups).where(sa.or_(backups.c.id == text, backups.c.name == text))
        if database is not None:
            query = query.where(backups.c.database == database)
        found = self._fetch(query)
        if len(found) == 1:
            return found[0]
        if found:
            where = ", ".join(sorted(f"{b.database} (id {b.id})" for b in found))
            raise UnknownName(f"The name {text!r} is ambiguous: {where}.", hint="Give the id.")
        with self._engine.connect() as connection:
            names = connection.scalars(
                sa.select(backups.c.name).order_by(backups.c.finished_at.desc()).limit(2000)
            ).all()
        raise unknown_name("backup", text, names)

    def exists(self, database: str, name: str) -> bool:
        """Say whether the database has, or had, a backup of that name."""
        query = sa.select(backups.c.id).where(backups.c.database == database, backups.c.name == name)
        with self._engine.connect() as connection:
            return connection.scalar(query) is not None

    def list(
        self,
        *,
        database: str | None = None,
        type: BackupType | None = None,
        state: BackupState | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> builtins.list[Backup]:
        """Return backups, the newest first. ``since`` and ``until`` (exclusive) are about ``finished_at``."""
        query = sa.select(backups).order_by(backups.c.finished_at.desc(), backups.c.id.desc())
        if database is not None:
            query = query.where(backups.c.database == database)
        if type is not None:
            query = query.where(backups.c.type == type)
        if state is not None:
            query = query.where(backups.c.state == state)
        if since is not None:
            query = query.where(backups.c.finished_at >= since)
        if until is not None:
            query = query.where(backups.c.finished_at < until)
        if limit is not None:
            query = query.limit(limit)
        return self._fetch(query)

    def iterate(self, *conditions: sa.ColumnElement[bool], chunk: int = _CHUNK) -> Iterator[Backup]:
        """Yield the backups that fit, the oldest first, read in chunks: a log of any length takes little memory.

        Conditions are about ``services.catalog.schema.backups``. A backup that is added meanwhile may be among them.
        """
        query = sa.select(backups).where(*conditions).order_by(backups.c.finished_at, backups.c.id).limit(chunk)
        place = sa.tuple_(backups.c.finished_at, backups.c.id)
        found = self._fetch(query)
        while found:
            yield from found
            last = found[-1]
            found = self._fetch(query.where(place > (last.finished_at, last.id))) if len(found) == chunk else []

    def latest_good(self, database: str) -> Backup | None:
        """Return the newest good backup of a database (see ``Backup.is_good``), or None."""
        return self._first(sa.select(backups).where(backups.c.database == database, good()))

    def latest_proven(self, database: str) -> Backup | None:
        """Return the good backup of a database whose restore test passed and that is the newest, or None."""
        proven = backups.c.proven_at.is_not(None)
        return self._first(sa.select(backups).where(backups.c.database == database, good(), proven))

    def add(self, backup: Backup, connection: sa.Connection | None = None) -> None:
        """Add a backup with its copies; one with this id is replaced (a rebuild, a resumed run)."""
        values = {column.name: getattr(backup, column.name) for column in backups.c}
        values |= {"recipients": list(backup.recipients), "excluded": list(backup.excluded)}
        if connection is None:
            with self._engine.begin() as own:
                self._replace(own, backup, values)
        else:
            self._replace(connection, backup, values)

    def _replace(self, connection: sa.Connection, backup: Backup, values: dict[str, Any]) -> None:
        changed = connection.execute(backups.update().where(backups.c.id == backup.id).values(values))
        if changed.rowcount == 0:
            connection.execute(backups.insert().values(values))
        connection.execute(copies.delete().where(copies.c.backup_id == backup.id))
        if backup.copies:
            connection.execute(copies.insert(), [{"backup_id": backup.id, **vars(copy)} for copy in backup.copies])

    def set_copy_state(
        self,
        backup_id: str,
        storage: str,
        state: CopyState,
        *,
        checked_at: datetime,
        connection: sa.Connection | None = None,
    ) -> None:
        """Note what a look at one copy found."""
        if connection is None:
            with self._engine.begin() as own:
                self.set_copy_state(backup_id, storage, state, checked_at=checked_at, connection=own)
            return
        connection.execute(
            copies.update()
            .where(copies.c.backup_id == backup_id, copies.c.storage == storage)
            .values(state=state, checked_at=checked_at)
        )

    def save_placement(self, backup_id: str, copy: Copy) -> None:
        """Note in which class a stored copy's object lies and how its thaw stands; nothing else of its row changes.

        For whoever looks at the storage from outside: meanwhile a check may have condemned the copy, or a cleanup
        deleted it, which must not be undone by a row that was read before.
        """
        its = {name: getattr(copy, name) for name in _PLACEMENT}
        with self._engine.begin() as connection:
            connection.execute(
                copies.update()
                .where(copies.c.backup_id == backup_id, copies.c.storage == copy.storage)
                .where(copies.c.state == "stored", copies.c.key == copy.key)
                .values(its)
            )

    def save_copy(self, backup_id: str, copy: Copy, connection: sa.Connection | None = None) -> None:
        """Add one copy of a backup, or replace what is known of the one in that storage."""
        if connection is None:
            with self._engine.begin() as own:
                self.save_copy(backup_id, copy, own)
            return
        changed = connection.execute(
            copies.update().where(copies.c.backup_id == backup_id, copies.c.storage == copy.storage).values(vars(copy))
        )
        if changed.rowcount == 0:
            connection.execute(copies.insert().values(backup_id=backup_id, **vars(copy)))

    def _first(self, query: sa.Select[Any]) -> Backup | None:
        found = self._fetch(query.order_by(backups.c.finished_at.desc(), backups.c.id.desc()).limit(1))
        return found[0] if found else None

    def _fetch(self, query: sa.Select[Any]) -> builtins.list[Backup]:
        with self._engine.connect() as connection:
            return _fetch(query, connection)


def _fetch(query: sa.Select[Any], connection: sa.Connection) -> list[Backup]:
    rows = connection.execute(query).all()
    by_backup = copies_of(connection, [row.id for row in rows])
    return [to_backup(row, by_backup[row.id]) for row in rows]


def copies_of(connection: sa.Connection, ids: Sequence[str]) -> dict[str, list[Copy]]:
    """Return the copies of backups, by the backup's id; an empty list for one that has none."""
    found: dict[str, list[Copy]] = defaultdict(list)
    for start in range(0, len(ids), _CHUNK):
        query = sa.select(copies).where(copies.c.backup_id.in_(ids[start : start + _CHUNK]))
        for row in connection.execute(query.order_by(copies.c.storage)):
            values = dict(row._mapping)
            found[values.pop("backup_id")].append(Copy(**values))
    return found


def take_row(backup_id: str, connection: sa.Connection) -> None:
    """Keep other transactions from judging, deleting or holding a backup until this one ends.

    An UPDATE that changes nothing locks the row in PostgreSQL and the file in SQLite, which knows no SELECT FOR UPDATE.
    """
    connection.execute(backups.update().where(backups.c.id == backup_id).values(state=backups.c.state))


def good(*, state: BackupState = "finished") -> sa.ColumnElement[bool]:
    """The design's word *good* in SQL; the same rule as ``Backup.is_good``. ``state``: what is asked of another."""
    return sa.and_(sound(state), sa.exists().where(copies.c.backup_id == backups.c.id, copies.c.state == "stored"))


def lies_unknown() -> sa.ColumnElement[bool]:
    """Say of a backup that what is left of it lies in unnamed storages only; the rule of ``Backup.is_unknown``.

    Found by an index that is empty as a rule.
    """
    its = copies.c.backup_id == backups.c.id
    return sa.and_(sa.exists().where(its, unknown(copies)), ~sa.exists().where(its, copies.c.state == "stored"))


def to_backup(row: sa.Row[Any], its_copies: Iterable[Copy]) -> Backup:
    """Given a row of ``backups`` and its copies, return the backup."""
    values = dict(row._mapping)
    values["recipients"] = tuple(values["recipients"])
    values["excluded"] = tuple(values["excluded"])
    return Backup(**values, copies=tuple(its_copies))
