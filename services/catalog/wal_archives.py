"""What each storage holds of a database's write-ahead log, and what the reading of it, little by little, has found.

The log has no row a segment: what is there is what a listing shows. A row here says what the last listing and the last
reading showed, so that pages, checks and limits need no listing of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from services.catalog.schema import wal_archives, wal_levels

LEVELS_KEPT = timedelta(days=400)


@dataclass(frozen=True)
class FaultyFile:
    """A file of the log that cannot be relied on."""

    key: str
    reason: str


@dataclass(frozen=True)
class WalArchiveState:
    """One database's log in one storage, as it was seen last."""

    database: str
    storage: str
    listed_at: datetime | None = None
    files: int = 0
    bytes: int = 0
    """Of all that is listed, the log of earlier clusters included."""
    faults: tuple[FaultyFile, ...] = ()
    """What the listing itself showed: histories that cannot be read, segments with two contents."""
    damaged: tuple[FaultyFile, ...] = ()
    """What was read and found damaged, and is still there."""
    checked_at: datetime | None = None
    checked_key: str = ""
    """The last file that was read in this round, which goes in the order of keys."""
    round_began_at: datetime | None = None
    round_ended_at: datetime | None = None
    """When all of the archive had been read, last."""
    check_error: str = ""
    """Why nothing could be read, last."""

    @property
    def bad(self) -> tuple[FaultyFile, ...]:
        return (*self.faults, *self.damaged)


@dataclass(frozen=True)
class WalLevel:
    """What a storage held of a database's log at the end of a UTC day."""

    database: str
    storage: str
    day: date
    bytes: int


def wal_archive_states(engine: sa.Engine, databases: Sequence[str] | None = None) -> list[WalArchiveState]:
    """Return what is known of the logs, of these databases or of all. One query."""
    query = sa.select(wal_archives).order_by(wal_archives.c.database, wal_archives.c.storage)
    if databases is not None:
        query = query.where(wal_archives.c.database.in_(databases))
    with engine.connect() as connection:
        return [_state(row._mapping) for row in connection.execute(query)]


def wal_archive_state(engine: sa.Engine, database: str, storage: str) -> WalArchiveState:
    """Return what is known of one; nothing was seen of one that has no row."""
    found = [one for one in wal_archive_states(engine, [database]) if one.storage == storage]
    return found[0] if found else WalArchiveState(database, storage)


def note_listing(
    engine: sa.Engine,
    database: str,
    storage: str,
    *,
    at: datetime,
    files: int,
    stored_bytes: int,
    faults: Sequence[FaultyFile],
) -> None:
    """Keep what a full listing showed, as the level of its day too."""
    listed = {"listed_at": at, "files": files, "bytes": stored_bytes, "faults": [asdict(one) for one in faults]}
    day = at.astimezone(UTC).date()
    with engine.begin() as connection:
        _write(connection, database, storage, listed)
        mine = sa.and_(wal_levels.c.database == database, wal_levels.c.storage == storage, wal_levels.c.day == day)
        if connection.execute(wal_levels.update().where(mine).values(bytes=stored_bytes)).rowcount == 0:
            values = {"database": database, "storage": storage, "day": day, "bytes": stored_bytes}
            connection.execute(wal_levels.insert().values(values))
            connection.execute(wal_levels.delete().where(wal_levels.c.day < day - LEVELS_KEPT))


def note_check(engine: sa.Engine, state: WalArchiveState) -> None:
    """Keep what a reading has found: the fields from ``damaged`` on."""
    values: dict[str, Any] = {
        "damaged": [asdict(one) for one in state.damaged],
        "checked_at": state.checked_at,
        "checked_key": state.checked_key,
        "round_began_at": state.round_began_at,
        "round_ended_at": state.round_ended_at,
        "check_error": state.check_error,
    }
    with engine.begin() as connection:
        _write(connection, state.database, state.storage, values)


def wal_levels_since(engine: sa.Engine, since: date) -> list[WalLevel]:
    """Return the levels from that day on, and of each archive the last one before it, the first day first."""
    before = (
        sa.select(wal_levels.c.database, wal_levels.c.storage, sa.func.max(wal_levels.c.day).label("day"))
        .where(wal_levels.c.day < since)
        .group_by(wal_levels.c.database, wal_levels.c.storage)
        .subquery()
    )
    last = sa.and_(*(wal_levels.c[name] == before.c[name] for name in ("database", "storage", "day")))
    query = (
        sa.select(wal_levels)
        .outerjoin_from(wal_levels, before, last)
        .where(sa.or_(wal_levels.c.day >= since, before.c.day.is_not(None)))
        .order_by(wal_levels.c.day, wal_levels.c.database, wal_levels.c.storage)
    )
    with engine.connect() as connection:
        return [WalLevel(**row._mapping) for row in connection.execute(query)]


_EMPTY: dict[str, Any] = {
    "files": 0, "bytes": 0, "faults": [], "damaged": [], "checked_key": "", "check_error": ""
}  # fmt: skip


def _write(connection: sa.Connection, database: str, storage: str, values: dict[str, Any]) -> None:
    mine = sa.and_(wal_archives.c.database == database, wal_archives.c.storage == storage)
    if connection.execute(wal_archives.update().where(mine).values(values)).rowcount == 0:
        connection.execute(wal_archives.insert().values({"database": database, "storage": storage} | _EMPTY | values))


def _state(row: Any) -> WalArchiveState:
    lists = {name: tuple(FaultyFile(**one) for one in row[name]) for name in ("faults", "damaged")}
    return WalArchiveState(**(dict(row) | lists))
