"""What the last health check that tried each connection found, corrected by what runs have done since."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from services.catalog.model import Run
from services.catalog.schema import backups, copies, runs
from services.health.forms import check_from_form
from services.health.model import HealthCheck
from services.health.queries import PROBES_SPEAK_FOR, last_health_run


@dataclass(frozen=True)
class _Used:
    """Names of what a run has used without a fault."""

    databases: frozenset[str]
    storages: frozenset[str]


@dataclass(frozen=True)
class LastProbes:
    """The last health check that tried each connection, and what it found, corrected by what was used since."""

    run: Run | None
    checks: tuple[HealthCheck, ...]

    @property
    def at(self) -> datetime | None:
        """When they were tried."""
        return None if self.run is None else self.run.finished_at or self.run.queued_at


def last_probes(engine: sa.Engine, now: datetime) -> LastProbes:
    """Return what was found when each connection was tried last. One query, three where anything failed."""
    run = last_health_run(engine, since=now - PROBES_SPEAK_FOR)
    return LastProbes(run, tuple(recorded_probes(engine, run)))


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
