"""A large team's catalogue: five years of rows as the product itself would have written them.

Rows alone: no storage holds what they list. Reused by tests with smaller plans. The same plan gives the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import sqlalchemy as sa

from bench.pages.alerts import tell_alerts
from bench.pages.log import tell_samples
from bench.pages.past import STORAGES, DatabasePast, PastRow, tell_past
from services.catalog import schema
from services.catalog.catalog import Catalog

_NAMES = (
    "la_factoria", "billing", "orders", "identity", "catalog", "search_index", "inventory", "shipping", "payments",
    "ledger", "crm", "support", "mail", "events", "metrics", "content", "media", "quiz", "learning", "partners",
)  # fmt: skip
_BATCH = 2000


@dataclass(frozen=True)
class Plan:
    """How large a catalogue. Every database is backed up over all the days, to ``backups`` in all."""

    now: datetime
    databases: int = 20
    days: int = 1826
    backups: int = 100_000
    tables: int = 60
    """Tables in a database: rows in the comparison of each restore test."""
    expired: bool = True
    """Whether the runbook's retention was applied; False: every backup still has its copies."""

    @property
    def names(self) -> tuple[str, ...]:
        """The databases' names."""
        return tuple(_NAMES[n] if n < len(_NAMES) else f"tenant_{n:03d}" for n in range(self.databases))

    @property
    def with_log(self) -> str:
        """The one database with point in time."""
        return self.names[0]

    @property
    def storages(self) -> tuple[str, ...]:
        """The storages' names; every database has copies in the first, every second one in the other, too."""
        return STORAGES


def fill_catalogue(catalog: Catalog, plan: Plan) -> dict[str, int]:
    """Fill an empty, migrated catalogue in one transaction per database; return how many rows each table got."""
    counts: dict[str, int] = {}
    share, extra = divmod(plan.backups, plan.databases)
    for number, name in enumerate(plan.names):
        past = DatabasePast(
            name, number, plan.now, plan.days, share + (number < extra), tables=plan.tables, expired=plan.expired
        )
        with catalog.engine.begin() as connection:
            for table, rows in _batches(tell_past(past)):
                connection.execute(table.insert(), rows)
                counts[table.name] = counts.get(table.name, 0) + len(rows)
    with catalog.engine.begin() as connection:
        told = chain(tell_alerts(plan.names, plan.now, plan.days), tell_samples(plan.with_log, plan.now))
        for table, rows in _batches(told):
            connection.execute(table.insert(), rows)
            counts[table.name] = counts.get(table.name, 0) + len(rows)
    _settle(catalog.engine)
    return counts


def _batches(rows: Iterator[PastRow]) -> Iterator[tuple[sa.Table, list[dict[str, Any]]]]:
    """Gather rows by table. What others refer to is written before them: the tables keep their order in each batch."""
    order = (
        schema.runs, schema.run_log, schema.backups, schema.copies, schema.verifications, schema.alerts, schema.outbox,
        schema.wal_samples,
    )  # fmt: skip
    waiting: dict[sa.Table, list[dict[str, Any]]] = {table: [] for table in order}
    for count, row in enumerate(rows, start=1):
        waiting[row.table].append(row.values)
        if count % _BATCH == 0:
            yield from ((table, found) for table, found in waiting.items() if found)
            waiting = {table: [] for table in order}
    yield from ((table, found) for table, found in waiting.items() if found)


def _settle(engine: sa.Engine) -> None:
    """Let PostgreSQL look at what it holds, as autovacuum would have over the years; in SQLite nobody ever does."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
