"""Success: of the runs that were tried, and of the days that should have had a backup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import pandas as pd
import sqlalchemy as sa

from services.catalog import summaries
from services.catalog.schema import refused, runs
from services.catalog.summaries import Day
from services.trends.query import TrendsQuery, midnight
from services.trends.sql import bucket_of

SUCCESS_COLUMNS = ("at", "runs", "runs_finished", "days", "days_good")


@dataclass(frozen=True)
class Success:
    """How much went well over the whole range."""

    runs: int
    """Backup runs that ended, without the cancelled and the refused ones."""
    runs_finished: int
    days: int
    """UTC days of each database, from its first backup or run on."""
    days_good: int
    """Those of them on which a good backup was made."""


def load_success(
    engine: sa.Engine, query: TrendsQuery, days: Iterable[Day], begun: Mapping[str, date], today: date
) -> pd.DataFrame:
    """Return how much went well in each bucket, in order of time. One query.

    ``days`` are those of the range, ``begun`` the day of each database's first backup. Columns (SUCCESS_COLUMNS):
    ``at`` (UTC, when the bucket began); ``runs`` (backup runs that finished, failed or were lost; one that was
    cancelled, or refused to whoever asked for it, counts for nothing) and ``runs_finished``; ``days`` (one for each
    database and UTC day from its first backup on; today only once something has happened) and ``days_good`` (with a
    backup that is good, or was until it expired).
    A type narrows the runs alone: a day is as good whatever made its backup.
    """
    bucket = bucket_of(engine, runs.c.finished_at, query.bucket).label("bucket")
    statement = (
        sa.select(bucket, sa.func.count(), sa.func.count(sa.case((runs.c.state == "finished", 1))))
        .where(runs.c.kind == "backup", runs.c.finished_at >= query.since, runs.c.finished_at < query.until)
        .where(runs.c.state.in_(("finished", "failed", "lost")), runs.c.database.in_(query.databases))
        .where(sa.not_(refused()))
        .group_by(bucket)
    )
    if query.type is not None:
        statement = statement.where(runs.c.params["type"].as_string() == query.type)
    counts: dict[str, list[int]] = {}
    with engine.connect() as connection:
        for at, tried, finished in connection.execute(statement):
            counts[at] = [tried, finished, 0, 0]
    for at, due, good in _by_days(query, days, begun, today):
        entry = counts.setdefault(at, [0, 0, 0, 0])
        entry[2] += due
        entry[3] += good
    frame = pd.DataFrame([(at, *entry) for at, entry in sorted(counts.items())], columns=list(SUCCESS_COLUMNS))
    frame["at"] = pd.to_datetime(frame["at"], utc=True)
    return frame


def total(frame: pd.DataFrame) -> Success:
    """Add up what ``load_success`` returned."""
    return Success(*(int(frame[name].sum()) for name in ("runs", "runs_finished", "days", "days_good")))


def first_days(engine: sa.Engine) -> dict[str, date]:
    """Return the UTC day of each database's first backup: a database does not fail before it is protected."""
    return {name: at.date() for name, at in summaries.first_backups(engine).items()}


def _by_days(
    query: TrendsQuery, days: Iterable[Day], begun: Mapping[str, date], today: date
) -> list[tuple[str, int, int]]:
    """Return (bucket, days that count, good ones) for each database and day."""
    states = {(day.database, day.day): day.state for day in days}
    found = []
    for name in query.databases:
        if name not in begun:
            continue
        start = max(query.first, begun[name])
        for ordinal in range(start.toordinal(), query.last.toordinal() + 1):
            day = date.fromordinal(ordinal)
            state = states.get((name, day), "none")
            if day == today and state == "none":
                continue  # the day is not over; what it will have is not known
            found.append((_bucket(query, day), 1, int(state == "good")))
    return found


def _bucket(query: TrendsQuery, day: date) -> str:
    """Return a day's bucket, as ``sql.bucket_of`` does."""
    if query.bucket == "week":
        day = date.fromordinal(day.toordinal() - day.weekday())
    elif query.bucket == "month":
        day = day.replace(day=1)
    return midnight(day).date().isoformat()
