"""Measured restore times: the RTO of every passed restore test, against its limit."""

from __future__ import annotations

import pandas as pd
import sqlalchemy as sa

from services.catalog.schema import backups, verifications
from services.trends.query import TrendsQuery
from services.trends.sql import of_backups

RESTORE_COLUMNS = ("database", "at", "seconds", "plain_bytes", "backup_id", "backup", "type")
MOST = 1000
"""Restore tests that are shown, the newest."""


def load_restores(engine: sa.Engine, query: TrendsQuery) -> pd.DataFrame:
    """Return the restore tests of the range that passed and measured a time, in order of time. One query.

    Columns (RESTORE_COLUMNS): ``database``; ``at`` (UTC, when it ended); ``seconds`` (from the stored object to a
    restored database, without the comparison); ``plain_bytes`` of the dump; ``backup_id``, ``backup`` and ``type``.
    """
    seconds = verifications.c.detail["rto_seconds"].as_float().label("seconds")
    columns = [backups.c.database, verifications.c.finished_at, seconds, backups.c.plain_bytes]
    statement = (
        sa.select(*columns, backups.c.id, backups.c.name, backups.c.type)
        .join_from(verifications, backups)
        .where(verifications.c.level == "restore", verifications.c.outcome == "passed")
        .where(verifications.c.database.in_(query.databases))
        .where(verifications.c.finished_at >= query.since, verifications.c.finished_at < query.until)
        .where(*of_backups(query))
        .order_by(verifications.c.finished_at.desc(), verifications.c.id.desc())
        .limit(MOST)
    )
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(statement) if row.seconds is not None]
    frame = pd.DataFrame(rows[::-1], columns=list(RESTORE_COLUMNS))
    frame["at"] = pd.to_datetime(frame["at"], utc=True)
    return frame.astype({"seconds": float})
