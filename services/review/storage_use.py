"""What each storage held at the end of each week: one query, in a module of its own.

A copy counts from when its backup was finished until that expired. One that was found missing counts until then.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from services.catalog.schema import backups, copies
from services.review.week import Period


def used_at_ends(engine: sa.Engine, weeks: Sequence[Period]) -> dict[str, tuple[int, ...]]:
    """Return the bytes in each storage at the end of each week, the oldest first, by the storage's name."""
    b, c = backups.c, copies.c
    there = []
    for n, week in enumerate(weeks):
        kept = sa.or_(b.expired_at >= week.end, c.state.in_(("stored", "damaged")), c.checked_at >= week.end)
        held = sa.and_(b.finished_at < week.end, sa.or_(b.expired_at.is_(None), b.expired_at >= week.end), kept)
        there.append(sa.func.coalesce(sa.func.sum(sa.case((held, c.bytes))), 0).label(f"end_{n}"))
    query = sa.select(c.storage, *there).join_from(copies, backups).group_by(c.storage)
    query = query.where(sa.or_(b.expired_at.is_(None), b.expired_at >= weeks[0].end), b.finished_at < weeks[-1].end)
    with engine.connect() as connection:
        return {row[0]: tuple(int(value) for value in row[1:]) for row in connection.execute(query)}
