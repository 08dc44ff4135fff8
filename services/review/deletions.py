"""Backups that were deleted in each week, as the log of deletions tells it. One query."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import sqlalchemy as sa

from services.catalog.schema import deletions as log
from services.review.model import DatabaseDeletions
from services.review.queries import bucket
from services.review.week import Period


def deletions(engine: sa.Engine, weeks: Sequence[Period]) -> list[tuple[DatabaseDeletions, ...]]:
    """Return for each week, the oldest first, what was deleted of each database: backups, and the bytes of copies.

    A deletion that failed is not counted; it is tried again, and counts when it succeeds. The bytes of the copies that
    went are, also where another copy of the backup could not be deleted.
    """
    sibling = log.alias("sibling")
    is_left = sa.exists().where(
        sibling.c.backup_id == log.c.backup_id, sibling.c.at == log.c.at, sibling.c.outcome != "deleted"
    )
    whole = sa.case((~is_left, log.c.backup_id)).label("whole")
    rows = sa.select(bucket(log.c.at, weeks), log.c.database, whole, log.c.bytes)
    rows = rows.where(log.c.at >= weeks[0].start, log.c.at < weeks[-1].end, log.c.outcome == "deleted")
    inner = rows.subquery()
    query = sa.select(
        inner.c.week,
        inner.c.database,
        sa.func.count(inner.c.whole.distinct()).label("backups"),
        sa.func.sum(inner.c.bytes).label("bytes"),
    ).group_by(inner.c.week, inner.c.database)
    found: defaultdict[int, list[DatabaseDeletions]] = defaultdict(list)
    with engine.connect() as connection:
        for row in connection.execute(query.order_by(inner.c.database)):
            if row.week is not None:
                found[row.week].append(DatabaseDeletions(row.database, row.backups, int(row.bytes)))
    return [tuple(found[n]) for n in range(len(weeks))]
