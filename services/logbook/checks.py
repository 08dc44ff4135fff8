"""The log of restore tests (the runbook's ``restore_tests.log``), or of every verification, the oldest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from services.catalog.model import Outcome
from services.catalog.schema import backups, verifications
from services.clock import isoformat
from services.logbook.form import LogForm, as_csv, as_json, as_text, in_seconds
from services.printable import printable
from services.units import format_duration

CHECK_COLUMNS = (
    "Date", "Database", "Backup", "Level", "Outcome", "Measured RTO (s)", "Seconds", "Storage", "Server", "By",
    "What was found", "Backup id", "Id",
)  # fmt: skip
_CHUNK = 500


@dataclass(frozen=True)
class LoggedCheck:
    """One verification, as much of it as a log holds."""

    id: str
    backup_id: str
    backup: str
    database: str
    level: str
    outcome: Outcome
    reason: str
    storage: str
    actor: str
    started_at: datetime
    finished_at: datetime
    rto_seconds: float | None
    """The measured RTO of a restore test."""
    server: str | None
    """Where a restore test was held."""


def iterate_checks(
    engine: sa.Engine,
    *,
    restore_tests_only: bool,
    since: datetime | None = None,
    until: datetime | None = None,
    database: str | None = None,
) -> Iterator[LoggedCheck]:
    """Yield verifications in order of time, read in chunks. ``since`` and ``until`` (exclusive): when they ended."""
    names = (
        "id",
        "backup_id",
        "database",
        "level",
        "outcome",
        "reason",
        "storage",
        "actor",
        "started_at",
        "finished_at",
    )
    query = sa.select(
        *(verifications.c[name] for name in names),
        backups.c.name.label("backup"),
        verifications.c.detail["rto_seconds"].as_float().label("rto_seconds"),
        verifications.c.detail["server"].as_string().label("server"),
    ).join_from(verifications, backups)
    if restore_tests_only:
        query = query.where(verifications.c.level == "restore")
    if since is not None:
        query = query.where(verifications.c.finished_at >= since)
    if until is not None:
        query = query.where(verifications.c.finished_at < until)
    if database is not None:
        query = query.where(verifications.c.database == database)
    query = query.order_by(verifications.c.finished_at, verifications.c.id).limit(_CHUNK)
    place = sa.tuple_(verifications.c.finished_at, verifications.c.id)
    found = _fetch(engine, query)
    while found:
        yield from found
        last = found[-1]
        found = _fetch(engine, query.where(place > (last.finished_at, last.id))) if len(found) == _CHUNK else []


def check_log(checks: Iterable[LoggedCheck], form: LogForm) -> Iterator[str]:
    """Yield a log of verifications in a form, in pieces.

    ``template``: the runbook's line for each, with what it lacks. ``csv``: CHECK_COLUMNS. ``json``: a list of ``{id,
    backup_id, backup, database, level, storage, outcome, reason, started_at, finished_at, duration_seconds,
    rto_seconds, server, actor}``.
    """
    if form == "template":
        return as_text(map(_line, checks), between="")
    if form == "csv":
        return as_csv(CHECK_COLUMNS, map(_row, checks))
    return as_json(map(_record, checks))


def _fetch(engine: sa.Engine, query: sa.Select[Any]) -> list[LoggedCheck]:
    with engine.connect() as connection:
        return [LoggedCheck(**row._mapping) for row in connection.execute(query)]


def _line(check: LoggedCheck) -> str:
    what = "Restore test" if check.level == "restore" else f"Verification ({check.level})"
    took = f", restored in {format_duration(check.rto_seconds)}" if check.rto_seconds is not None else ""
    line = f"{what} completed: {_date(check.finished_at)} UTC - {check.database}, {check.backup}: {check.outcome}{took}"
    return printable(f"{line}: {check.reason}".rstrip(": "))


def _row(check: LoggedCheck) -> dict[str, Any]:
    return {
        "Date": _date(check.finished_at),
        "Database": check.database,
        "Backup": check.backup,
        "Level": check.level,
        "Outcome": check.outcome,
        "Measured RTO (s)": check.rto_seconds,
        "Seconds": in_seconds(check.finished_at - check.started_at),
        "Storage": check.storage,
        "Server": check.server,
        "By": check.actor,
        "What was found": check.reason,
        "Backup id": check.backup_id,
        "Id": check.id,
    }


def _record(check: LoggedCheck) -> dict[str, Any]:
    return {
        "id": check.id,
        "backup_id": check.backup_id,
        "backup": check.backup,
        "database": check.database,
        "level": check.level,
        "storage": check.storage,
        "outcome": check.outcome,
        "reason": check.reason,
        "started_at": isoformat(check.started_at),
        "finished_at": isoformat(check.finished_at),
        "duration_seconds": in_seconds(check.finished_at - check.started_at),
        "rto_seconds": check.rto_seconds,
        "server": check.server,
        "actor": check.actor,
    }


def _date(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
