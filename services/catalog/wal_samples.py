"""Samples of how far the write-ahead log of each database has come, and how much of it is in the archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from services.catalog.schema import wal_samples

KEPT = timedelta(days=90)


@dataclass(frozen=True)
class WalSample:
    """One look. Sizes are bytes; None where nobody could tell, with ``error`` saying why."""

    database: str
    at: datetime
    current_lsn: int | None = None
    """Up to where the server has written."""
    archived_lsn: int | None = None
    """The position after the last whole segment in the archive."""
    archived_at: datetime | None = None
    """When that was stored."""
    lag_bytes: int | None = None
    """Written and not archived."""
    slot_lag_bytes: int | None = None
    """What the receiver's slot holds back on the server; None without one."""
    missing: int = 0
    """Segments that are missing in the archive, by its last full listing."""
    first_missing: str = ""
    last_missing: str = ""
    error: str = ""

    @property
    def delay(self) -> timedelta:
        """How old the newest archived log was, while there was some that was not archived; else zero."""
        if self.archived_at is None or not self.lag_bytes or self.lag_bytes <= QUIET_BYTES:
            return timedelta(0)
        return max(timedelta(0), self.at - self.archived_at)


QUIET_BYTES = 8192
"""What a server that nobody writes to leaves in a segment after it was switched: the page header, and a record or two
of checkpoints. No ``archive_timeout`` ends a segment for those."""


def add_sample(engine: sa.Engine, sample: WalSample) -> None:
    """Store a sample. One of the same instant is there already, and stays."""
    with engine.begin() as connection:
        there = sa.select(wal_samples.c.at).where(
            wal_samples.c.database == sample.database, wal_samples.c.at == sample.at
        )
        if connection.scalar(there) is None:
            connection.execute(wal_samples.insert().values(**asdict(sample)))


def latest_samples(engine: sa.Engine, databases: Sequence[str]) -> dict[str, WalSample]:
    """Return each database's newest sample. One query."""
    newest = (
        sa.select(wal_samples.c.database, sa.func.max(wal_samples.c.at).label("at"))
        .where(wal_samples.c.database.in_(databases))
        .group_by(wal_samples.c.database)
        .subquery()
    )
    query = sa.select(wal_samples).join(
        newest, sa.and_(wal_samples.c.database == newest.c.database, wal_samples.c.at == newest.c.at)
    )
    with engine.connect() as connection:
        return {row.database: WalSample(**row._mapping) for row in connection.execute(query)}


def list_samples(engine: sa.Engine, database: str, *, since: datetime, until: datetime) -> list[WalSample]:
    """Return a database's samples in that time, the oldest first."""
    query = (
        sa.select(wal_samples)
        .where(wal_samples.c.database == database, wal_samples.c.at >= since, wal_samples.c.at <= until)
        .order_by(wal_samples.c.at)
    )
    with engine.connect() as connection:
        return [WalSample(**row._mapping) for row in connection.execute(query)]


def trim_samples(engine: sa.Engine, now: datetime) -> int:
    """Remove what is older than KEPT; return how many."""
    with engine.begin() as connection:
        return connection.execute(wal_samples.delete().where(wal_samples.c.at < now - KEPT)).rowcount
