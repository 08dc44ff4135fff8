"""What the last health check that tried each connection found, corrected by what runs have done since."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from services.catalog.model import Run
from services.catalog.schema import backups, copies, runs
from services.health.forms import check_from_form
from services.health.model import HealthCheck


@dataclass(frozen=True)
class _Used:
    """Names of what a run has used without a fault."""

    databases: frozenset[str]
    storages: frozenset[str]


def recorded_probes(engine: sa.Engine, run: Run | None) -> list[HealthCheck]:
    """Return what a health run found when it tried each connection; nothing without one.

    A failure that is over is ``ok``: since then a backup of the database was taken, or one was stored in the storage.
    Two queries more where anything failed.
    """
    found = [check_from_form(form) for form in run.result.get("probes", [])] if run is not None else []
    if run is None or all(check.severity != "failure" for check in found):
        return found
    used = _used_since(engine, run.finished_at or run.queued_at)
    return [_corrected(check, used) for check in found]


def _corrected(check: HealthCheck, used: _Used) -> HealthCheck:
    if check.severity != "failure":
        return check
    if check.name == "connection" and check.subject.name in used.databases:
        return replace(check, severity="ok", sentence="A backup was taken since it could not be used.", hint="")
    if check.name == "access" and check.subject.name in used.storages:
        return replace(check, severity="ok", sentence="A backup was stored there since it could not be used.", hint="")
    return check


def _used_since(engine: sa.Engine, at: datetime) -> _Used:
    """Say what the backups that were begun and finished after an instant used, and the copies that were made since."""
    b, since = (
        backups.c,
        (
            backups.c.finished_at > at,
            backups.c.started_at > at,
            backups.c.adopted.is_(False),
            backups.c.sample.is_(False),
        ),
    )
    taken = sa.select(b.database, copies.c.storage).join_from(backups, copies).where(*since, copies.c.state == "stored")
    copied = sa.select(runs.c.result["storage"].as_string()).where(
        runs.c.kind == "copy", runs.c.state == "finished", runs.c.started_at > at
    )
    with engine.connect() as connection:
        rows = connection.execute(taken.distinct()).all()
        further = connection.scalars(copied.distinct()).all()
    return _Used(frozenset(row.database for row in rows), frozenset({*(row.storage for row in rows), *further}))
