"""The read model of the Trends page and of ``backups trends``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from services.catalog import summaries
from services.catalog.summaries import Day
from services.installation import Installation
from services.trends.findings import Finding, find
from services.trends.growth import Growth, load_growth
from services.trends.outliers import Outlier, find_outliers
from services.trends.points import load_points
from services.trends.query import TrendsQuery, midnight
from services.trends.restores import load_restores
from services.trends.success import Success, first_days, load_success, total
from services.trends.usage import StorageOutlook, load_usage, outlooks

CALENDAR_DAYS = 365


@dataclass(frozen=True)
class Trends:
    """Everything that is shown of a range. DataFrames are described where they are made."""

    query: TrendsQuery
    now: datetime
    points: pd.DataFrame
    """Durations, sizes, throughput: ``services.trends.points.POINT_COLUMNS``."""
    single: bool
    """Whether each point is one backup."""
    growth: tuple[Growth, ...]
    """Of each database that has points."""
    outliers: tuple[Outlier, ...]
    """The newest first."""
    success: pd.DataFrame
    """``services.trends.success.SUCCESS_COLUMNS``."""
    success_total: Success
    usage: pd.DataFrame
    """``services.trends.usage.USAGE_COLUMNS``."""
    storages: tuple[StorageOutlook, ...]
    restores: pd.DataFrame
    """``services.trends.restores.RESTORE_COLUMNS``."""
    limits: Mapping[str, timedelta]
    """The RTO of each database."""
    calendar: tuple[Day, ...]
    """Days on which anything happened, of the year that ends with the range."""
    begun: Mapping[str, date]
    """The UTC day of each database's first backup, of those that were ever backed up."""
    findings: tuple[Finding, ...]
    """The worst first; never empty."""

    def largest(self, most: int) -> tuple[str, ...]:
        """Return the names of the databases that are drawn: at most so many, those with the largest backups."""
        newest = self.points.groupby("database")["stored_bytes"].last().sort_values(ascending=False, kind="stable")
        return tuple(sorted(str(name) for name in newest.index[:most]))


def load_trends(inst: Installation, query: TrendsQuery) -> Trends:
    """Return the trends of a range. At most eleven queries, whatever the catalogue holds."""
    engine, now = inst.catalog.engine, inst.clock()
    today = now.astimezone(UTC).date()
    points, single = load_points(engine, query)
    outliers = tuple(find_outliers(engine, query))
    first = min(query.first, query.last - timedelta(days=CALENDAR_DAYS - 1))
    days = summaries.days(engine, since=midnight(first), until=query.until, databases=query.databases)
    begun = {name: day for name, day in first_days(engine).items() if name in query.databases}
    success = load_success(engine, query, days, begun, today)
    usage = load_usage(engine, query, now)
    storages = outlooks(inst, usage)
    restores = load_restores(engine, query)
    limits = {database.name: database.rto for database in inst.settings.databases if database.name in query.databases}
    succeeded = total(success)
    findings = find(points, succeeded, storages, restores, outliers, limits, span=f"{query.days} days")
    return Trends(
        query=query,
        now=now,
        points=points,
        single=single,
        growth=load_growth(points),
        outliers=outliers,
        success=success,
        success_total=succeeded,
        usage=usage,
        storages=storages,
        restores=restores,
        limits=limits,
        calendar=tuple(day for day in days if day.day > query.last - timedelta(days=CALENDAR_DAYS)),
        begun=begun,
        findings=findings,
    )
