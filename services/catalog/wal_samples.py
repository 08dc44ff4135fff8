"""Samples of how far the write-ahead log of each database has come, and how much of it is in the archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

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
    missing: int | None = None
    """Segments that are missing in the archive, by its last full listing; None where it could not be listed."""
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


@dataclass(frozen=True)
class SampledSpan:
    """What the samples of a span of time say together: the worst of each. None where none of them could tell."""

    at: datetime
    """The last sample in it."""
    current_lsn: int | None
    lag_bytes: int | None
    delay: timedelta | None
    """The longest delay (``WalSample.delay``)."""
    slot_lag_bytes: int | None
    missing: int | None
    samples: int
    failed: int
    """Samples that have an error."""


def sampled_spans(
    engine: sa.Engine, database: str, *, since: datetime, until: datetime, span: timedelta
) -> list[SampledSpan]:
    """Return a database's samples in that time, put together by spans, the oldest first. One query.

    As many rows as there are spans with samples in them, however many samples those have.
    """
    length = int(span.total_seconds())
    late = sa.case(
        (wal_samples.c.lag_bytes > QUIET_BYTES, _seconds(engine, wal_samples.c.at) -
         _seconds(engine, wal_samples.c.archived_at)),
        (wal_samples.c.lag_bytes.is_not(None), 0),
    )  # fmt: skip
    query = (
        sa.select(
            sa.func.max(wal_samples.c.at).label("at"),
            sa.func.max(wal_samples.c.current_lsn).label("current_lsn"),
            sa.func.max(wal_samples.c.lag_bytes).label("lag_bytes"),
            sa.func.max(late).label("delay"),
            sa.func.max(wal_samples.c.slot_lag_bytes).label("slot_lag_bytes"),
            sa.func.max(wal_samples.c.missing).label("missing"),
            sa.func.count().label("samples"),
            sa.func.sum(sa.case((wal_samples.c.error != "", 1), else_=0)).label("failed"),
        )
        .where(wal_samples.c.database == database, wal_samples.c.at >= since, wal_samples.c.at <= until)
        .group_by((_seconds(engine, wal_samples.c.at) - int(since.timestamp())) // length)
        .order_by(sa.func.max(wal_samples.c.at))
    )
    with engine.connect() as connection:
        rows = [dict(row._mapping) for row in connection.execute(query)]
    for row in rows:
        row["delay"] = None if row["delay"] is None else timedelta(seconds=max(0, row["delay"]))
    return [SampledSpan(**row) for row in rows]


def _seconds(engine: sa.Engine, at: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """Return an instant as whole seconds since 1970, on both engines."""
    if engine.dialect.name == "sqlite":
        return sa.cast(sa.func.strftime("%s", sa.cast(at, sa.Text)), sa.BigInteger)
    return sa.cast(sa.func.floor(sa.func.extract("epoch", at)), sa.BigInteger)
