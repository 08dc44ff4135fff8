"""Backups that were deleted in each week, as the rows of expired backups tell it. One query."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import sqlalchemy as sa

from services.catalog.schema import backups
from services.review.model import DatabaseDeletions
from services.review.queries import bucket
from services.review.week import Period


def deletions(engine: sa.Engine, weeks: Sequence[Period]) -> list[tuple[DatabaseDeletions, ...]]:
    """Return for each week, the oldest first, what was deleted of each database: backups and their stored bytes."""
    b = backups.c
    inner = sa.select(bucket(b.expired_at, weeks), b.database, b.stored_bytes)
    inner_rows = inner.where(b.expired_at >= weeks[0].start, b.expired_at < weeks[-1].end).subquery()
    query = sa.select(
        inner_rows.c.week,
        inner_rows.c.database,
        sa.func.count().label("backups"),
        sa.func.sum(inner_rows.c.stored_bytes).label("bytes"),
    ).group_by(inner_rows.c.week, inner_rows.c.database)
    found: defaultdict[int, list[DatabaseDeletions]] = defaultdict(list)
    with engine.connect() as connection:
        for row in connection.execute(query.order_by(inner_rows.c.database)):
            if row.week is not None:
                found[row.week].append(DatabaseDeletions(row.database, row.backups, int(row.bytes)))
    return [tuple(found[n]) for n in range(len(weeks))]
