"""Time in SQL, on both engines, and which rows a query means."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from services.catalog.schema import backups
from services.trends.query import Bucket, TrendsQuery


def bucket_of(engine: sa.Engine, at: sa.ColumnElement[Any], bucket: Bucket) -> sa.ColumnElement[str]:
    """Return the first day of an instant's bucket as ``YYYY-MM-DD``: its UTC day, the Monday of its week, the first."""
    if engine.dialect.name == "sqlite":  # an instant is ISO text in UTC
        day = sa.func.substr(sa.cast(at, sa.Text), 1, 10)
        if bucket == "week":
            return sa.func.date(day, "weekday 0", "-6 days")
        return day if bucket == "day" else sa.func.substr(day, 1, 7).concat("-01")
    return sa.func.to_char(sa.func.date_trunc(bucket, sa.func.timezone("UTC", at)), "YYYY-MM-DD")


def seconds_between(
    engine: sa.Engine, begun: sa.ColumnElement[Any], ended: sa.ColumnElement[Any]
) -> sa.ColumnElement[float]:
    """Return the seconds from one instant to another, to the millisecond."""
    if engine.dialect.name == "sqlite":
        return (sa.func.julianday(sa.cast(ended, sa.Text)) - sa.func.julianday(sa.cast(begun, sa.Text))) * 86400.0
    return sa.cast(sa.func.extract("epoch", ended - begun), sa.Float)


def of_backups(query: TrendsQuery) -> list[sa.ColumnElement[bool]]:
    """Return the conditions on ``backups`` for the databases and the type, not for the time."""
    conditions: list[sa.ColumnElement[bool]] = [backups.c.database.in_(query.databases)]
    if query.type is not None:
        conditions.append(backups.c.type == query.type)
    return conditions


def whole() -> sa.ColumnElement[bool]:
    """Say of a backup that its size and duration are those of its database: nothing left out, dumped by us."""
    return sa.and_(
        sa.cast(backups.c.excluded, sa.Text) == sa.literal_column("'[]'"),
        backups.c.adopted.is_(False),
        backups.c.trust != "untrusted",
        backups.c.type != "base",
    )
