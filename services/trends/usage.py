"""What each storage held at the end of each day: what was stored, less what has expired."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import sqlalchemy as sa

from services.catalog.schema import backups, copies
from services.installation import Installation
from services.overview import load_rooms
from services.trends.forecast import Line, days_until, fit_line
from services.trends.growth import epoch_days
from services.trends.query import TrendsQuery
from services.trends.sql import bucket_of, of_backups

USAGE_COLUMNS = ("storage", "at", "bytes")
_HELD = ("stored", "damaged")


@dataclass(frozen=True)
class StorageOutlook:
    """One storage: what it holds of the backups that are looked at, and when it will be full."""

    storage: str
    bytes: int
    """Of the databases and the type that are looked at."""
    total_bytes: int | None
    """What fits in all, by the tighter of limit and disk; None where nothing bounds it."""
    line: Line | None
    """The trend of its daily use, in bytes by day (days since 1970-01-01), from what it holds on."""
    full_in_days: float | None = None
    """None: it does not grow, or nothing bounds it, or too little is known."""
    full_at_the_earliest: float | None = None
    full_at_the_latest: float | None = None


def load_usage(engine: sa.Engine, query: TrendsQuery, now: datetime) -> pd.DataFrame:
    """Return what each storage held at the end of each UTC day of the range, in order of time. Three queries.

    Columns (USAGE_COLUMNS): ``storage``; ``at`` (UTC, the day); ``bytes``. It is counted backwards from what is there
    now, so that it ends with the number that the overview shows. A copy that was lost without its backup having
    expired has no date and is left out of all days.
    """
    held, changes = _held_now(engine, query), _changes(engine, query)
    today = now.astimezone(UTC).date()
    rows = []
    for storage in sorted(held.keys() | {storage for storage, _ in changes}):
        level, day = held.get(storage, 0), today
        while day >= query.first:
            if day <= query.last:
                rows.append((storage, day.isoformat(), level))
            level -= changes.get((storage, day), 0)
            day -= timedelta(days=1)
    frame = pd.DataFrame(rows, columns=list(USAGE_COLUMNS))
    frame["at"] = pd.to_datetime(frame["at"], utc=True)
    return frame.sort_values(["at", "storage"], ignore_index=True)


def outlooks(inst: Installation, usage: pd.DataFrame) -> tuple[StorageOutlook, ...]:
    """Return when each storage will be full, by the trend of ``usage``. One query; local disks are asked.

    What is left of a storage is filled at the pace of the backups that are looked at; what others store there is taken
    as not growing.
    """
    rooms = {room.name: room for room in load_rooms(inst)}
    found = []
    for name, its in usage.groupby("storage", sort=True):
        days, held = epoch_days(its["at"]), int(its["bytes"].iloc[-1])
        line = fit_line(days, its["bytes"].tolist())
        if line is not None:
            line = line.through(days[-1], held)
        room = rooms.get(str(name))
        total = room.total_bytes if room is not None else None
        until = None
        if line is not None and room is not None and total is not None:
            until = days_until(line, total - room.used_bytes)
        found.append(StorageOutlook(str(name), held, total, line, *(until or (None, None, None))))
    return tuple(found)


def _counted(query: TrendsQuery) -> list[sa.ColumnElement[bool]]:
    """Return the conditions on ``backups``; none where everything counts, which spares looking at each backup."""
    return [] if query.everything and query.type is None else of_backups(query)


def _held_now(engine: sa.Engine, query: TrendsQuery) -> dict[str, int]:
    statement = sa.select(copies.c.storage, sa.func.sum(copies.c.bytes)).where(copies.c.state.in_(_HELD))
    statement = statement.group_by(copies.c.storage)
    if conditions := _counted(query):
        statement = statement.join(backups).where(*conditions)
    with engine.connect() as connection:
        return {storage: int(size) for storage, size in connection.execute(statement)}


def _changes(engine: sa.Engine, query: TrendsQuery) -> dict[tuple[str, date], int]:
    """Return by how much each storage grew (or shrank) on each day since the range began."""
    held = copies.c.state.in_(_HELD)
    came = bucket_of(engine, backups.c.finished_at, "day").label("day")
    went = bucket_of(engine, backups.c.expired_at, "day").label("day")

    def by_day(day: sa.Label[str], of: sa.ColumnElement[bool], since: sa.ColumnElement[bool]) -> sa.Select[Any]:
        # An outer join, whose NULLs are dropped below: SQLite would begin with all the copies there ever were.
        its = sa.and_(copies.c.backup_id == backups.c.id, of)
        statement = sa.select(copies.c.storage, day, sa.func.sum(copies.c.bytes))
        statement = statement.join_from(backups, copies, its, isouter=True).where(since, *_counted(query))
        return statement.group_by(copies.c.storage, day)

    added = by_day(came, sa.or_(held, backups.c.expired_at.is_not(None)), backups.c.finished_at >= query.since)
    removed = by_day(went, sa.not_(held), backups.c.expired_at >= query.since)
    found: dict[tuple[str, date], int] = {}
    with engine.connect() as connection:
        for sign, statement in ((1, added), (-1, removed)):
            for storage, day, count in connection.execute(statement):
                if storage is None:
                    continue
                key = (storage, date.fromisoformat(day))
                found[key] = found.get(key, 0) + sign * int(count)
    return found
