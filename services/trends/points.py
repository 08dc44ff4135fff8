"""Durations, sizes and throughput: a row for each bucket of each database, or for each backup where they are few."""

from __future__ import annotations

from typing import Any

import pandas as pd
import sqlalchemy as sa

from services.catalog.schema import backups
from services.trends.query import TrendsQuery
from services.trends.sql import bucket_of, of_backups, seconds_between, whole

FEW = 400
"""Backups that are still shown one by one."""
POINT_COLUMNS = (
    "database", "at", "backups", "seconds", "seconds_p95", "database_bytes", "stored_bytes", "bytes_per_second",
    "backup_id", "backup", "type",
)  # fmt: skip


def load_points(engine: sa.Engine, query: TrendsQuery) -> tuple[pd.DataFrame, bool]:
    """Return the points of whole backups in the range, and whether each is a single backup. At most two queries.

    Columns (POINT_COLUMNS): ``database``; ``at`` (UTC: when the backup ended, or the bucket began); ``backups`` (how
    many it stands for); ``seconds`` and ``seconds_p95`` (median and 95th percentile of their durations, by nearest
    rank); ``database_bytes`` and ``stored_bytes`` (means); ``bytes_per_second`` (dump bytes before compression by
    the time of the backups); ``backup_id``, ``backup`` and ``type`` of the slowest among them. Ordered by ``at``.
    """
    frame = _buckets(engine, query)
    if frame["backups"].sum() > FEW:
        return frame, False
    return _singles(engine, query), True


def _conditions(query: TrendsQuery) -> list[sa.ColumnElement[bool]]:
    at = backups.c.finished_at
    return [at >= query.since, at < query.until, whole(), *of_backups(query)]


def _buckets(engine: sa.Engine, query: TrendsQuery) -> pd.DataFrame:
    bucket = bucket_of(engine, backups.c.finished_at, query.bucket).label("bucket")
    seconds = seconds_between(engine, backups.c.started_at, backups.c.finished_at).label("seconds")
    columns = [backups.c[name] for name in ("id", "database", "database_bytes", "stored_bytes", "plain_bytes")]
    rows = sa.select(bucket, seconds, *columns).where(*_conditions(query)).subquery()
    group = [rows.c.database, rows.c.bucket]
    ranked = sa.select(
        rows,
        sa.func.row_number().over(partition_by=group, order_by=[rows.c.seconds, rows.c.id]).label("rank"),
        sa.func.count().over(partition_by=group).label("n"),
    ).subquery()
    rank, n = ranked.c.rank, ranked.c.n
    middle = rank.in_([(n + 1) // 2, (n + 2) // 2])
    grouped = (
        sa.select(
            ranked.c.database,
            ranked.c.bucket,
            sa.func.max(n).label("backups"),
            sa.func.avg(sa.case((middle, ranked.c.seconds))).label("seconds"),
            sa.func.max(sa.case((rank == (95 * n + 99) // 100, ranked.c.seconds))).label("seconds_p95"),
            sa.func.avg(ranked.c.database_bytes).label("database_bytes"),
            sa.func.avg(ranked.c.stored_bytes).label("stored_bytes"),
            sa.func.sum(ranked.c.plain_bytes).label("plain_bytes"),
            sa.func.sum(ranked.c.seconds).label("total_seconds"),
            sa.func.max(sa.case((rank == n, ranked.c.id))).label("backup_id"),
        )
        .group_by(ranked.c.database, ranked.c.bucket)
        .subquery()
    )
    statement = sa.select(grouped, backups.c.name, backups.c.type).join_from(
        grouped, backups, backups.c.id == grouped.c.backup_id
    )
    with engine.connect() as connection:
        found = [
            (
                row.database, row.bucket, row.backups, _rounded(row.seconds), _rounded(row.seconds_p95),
                float(row.database_bytes), float(row.stored_bytes), _rate(row.plain_bytes, row.total_seconds),
                row.backup_id, row.name, row.type,
            )
            for row in connection.execute(statement.order_by(grouped.c.bucket, grouped.c.database))
        ]  # fmt: skip
    return _frame(found)


def _singles(engine: sa.Engine, query: TrendsQuery) -> pd.DataFrame:
    names = ("id", "name", "type", "database", "finished_at", "database_bytes", "stored_bytes", "plain_bytes")
    seconds = seconds_between(engine, backups.c.started_at, backups.c.finished_at).label("seconds")
    statement = sa.select(*(backups.c[name] for name in names), seconds).where(*_conditions(query))
    with engine.connect() as connection:
        found = [
            (
                row.database, row.finished_at, 1, _rounded(row.seconds), _rounded(row.seconds),
                float(row.database_bytes), float(row.stored_bytes), _rate(row.plain_bytes, row.seconds),
                row.id, row.name, row.type,
            )
            for row in connection.execute(statement.order_by(backups.c.finished_at, backups.c.id).limit(FEW))
        ]  # fmt: skip
    return _frame(found)


def _rounded(seconds: Any) -> float:
    """Return seconds to the millisecond: SQLite counts in days, as a float, and is some microseconds off."""
    return round(float(seconds), 3)


def _rate(plain_bytes: int, seconds: float) -> float:
    return float(plain_bytes) / float(seconds) if seconds > 0 else float("nan")


def _frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(POINT_COLUMNS))
    frame["at"] = pd.to_datetime(frame["at"], utc=True)
    return frame
