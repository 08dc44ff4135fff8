"""One database's past, told day by day: scheduled backups with failures, on-demand ones between, checks and proofs.

Sizes grow, durations scatter around a rate, a few backups are outliers; the runbook's retention (7 daily, 4 weekly,
12 monthly, 5 yearly) decides which are still there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from functools import cache
from random import Random
from typing import Any

import sqlalchemy as sa

from services.backups.naming import default_name, object_key
from services.catalog import schema
from services.catalog.model import Backup, Copy, LogLine, Run, Verification
from services.ids import new_id
from services.restores.comparison_model import Comparison, TableRow
from services.restores.report import RestoreReport
from services.units import format_bytes, format_duration

STORAGES = ("local", "offsite")
PEOPLE = ("mara@example.com", "jonas@example.com", "ines@example.com", "li@example.com")
RECIPIENT = "age1examplerecipientexamplerecipientexamplerecipientexamplerec"
_RATE = 80e6
"""Bytes a second of a dump, about."""
_DAILY, _WEEKLY, _MONTHLY, _YEARLY = 7, 4, 12, 5
_FRESH = timedelta(days=30)
_DELAY = timedelta(days=8)
"""How old a backup is when it expires."""
_CHANCE_OF_FAILURE = 0.01


@dataclass(frozen=True)
class PastRow:
    """One row for one table."""

    table: sa.Table
    values: dict[str, Any]


@dataclass(frozen=True)
class DatabasePast:
    """Of which database, how long, how many."""

    database: str
    number: int
    now: datetime
    days: int
    backups: int
    tables: int
    expired: bool


@dataclass
class _Told:
    """What one backup brings with it."""

    runs: list[tuple[Run, str]] = field(default_factory=list)
    checks: list[Verification] = field(default_factory=list)


def tell_past(past: DatabasePast) -> Iterator[PastRow]:
    """Yield every row of a database's past, what is referred to before what refers to it."""
    return _Teller(past).tell()


class _Teller:
    def __init__(self, past: DatabasePast) -> None:
        self._past = past
        self._random = Random(f"past of {past.database}")  # a text seed gives the same numbers in every process
        self._first_bytes = 10 ** (8.3 + 2.4 * self._random.random())
        self._growth = 1.5 + 4 * self._random.random()
        self._storages = STORAGES if past.number % 2 else STORAGES[:1]

    def tell(self) -> Iterator[PastRow]:
        moments = self._moments()
        kept = self._kept(moments) if self._past.expired else {at for at, _ in moments}
        for number, (at, kind) in enumerate(moments):
            if self._random.random() < _CHANCE_OF_FAILURE:
                yield from self._failure(at - timedelta(minutes=40))
            yield from self._backup(number, at, kind, is_kept=at in kept)

    def _moments(self) -> list[tuple[datetime, str]]:
        """Return when each backup began, in order: scheduled ones every six hours or once a day, others between."""
        past, random = self._past, self._random
        hours = (2, 8, 14, 20) if past.number % 2 == 0 else (2,)
        today = datetime.combine(past.now.date(), time(), past.now.tzinfo)
        scheduled = [
            today + timedelta(days=-day, hours=hour, seconds=random.randrange(40))
            for day in range(past.days, -1, -1)
            for hour in hours
        ]
        scheduled = [at for at in scheduled if at < past.now - timedelta(hours=1)][-past.backups :]
        found = dict.fromkeys(scheduled, "scheduled")
        while len(found) < past.backups:
            at = today - timedelta(days=random.randrange(1, past.days + 1), seconds=-random.randrange(86400))
            found.setdefault(at.replace(microsecond=0), "on-demand" if random.random() < 0.97 else "emergency")
        return sorted(found.items())

    def _kept(self, moments: list[tuple[datetime, str]]) -> set[datetime]:
        """Return the moments that the runbook's retention keeps."""
        now = self._past.now
        kept = {at for at, kind in moments if now - at < (_DELAY if kind == "scheduled" else _FRESH)}
        for count, period in (
            (_DAILY, lambda at: at.date()),
            (_WEEKLY, lambda at: at.isocalendar()[:2]),
            (_MONTHLY, lambda at: (at.year, at.month)),
            (_YEARLY, lambda at: at.year),
        ):
            newest: dict[Any, datetime] = {}
            for at, _ in reversed(moments):
                newest.setdefault(period(at), at)
                if len(newest) > count:
                    break
            kept |= set(list(newest.values())[:count])
        return kept

    def _failure(self, at: datetime) -> Iterator[PastRow]:
        ended = at + timedelta(seconds=20 + 200 * self._random.random())
        run = self._run("backup", at, ended, "schedule", {"type": "scheduled"}, state="failed",
                        error="pg_dump did not finish: the server closed the connection unexpectedly.",
                        hint="Look into the server's log for a restart or a crash at that time.")  # fmt: skip
        yield from self._run_rows(run, f"Failed: {run.error}")

    def _backup(self, number: int, at: datetime, kind: str, *, is_kept: bool) -> Iterator[PastRow]:
        past, random = self._past, self._random
        age = 1 - (past.now - at) / timedelta(days=past.days + 1)
        size = self._first_bytes * (1 + (self._growth - 1) * age) * random.uniform(0.99, 1.01)
        size *= 0.5 if random.random() < 0.0005 else 1
        slow = math.exp(random.gauss(0, 0.12)) * (2.8 if random.random() < 0.001 else 1)
        ended = at + timedelta(seconds=2 + size / _RATE * slow)
        stored = int(size * 0.19 * random.uniform(0.98, 1.02))
        name = default_name(past.database, at)
        run = self._run("backup", at, ended, "schedule" if kind == "scheduled" else random.choice(PEOPLE),
                        {"type": kind})  # fmt: skip
        told = _Told()
        backup = Backup(
            id=self._id(at), run_id=run.id, name=name, database=past.database, type=kind,  # type: ignore[arg-type]
            state="finished" if is_kept else "expired", started_at=at, finished_at=ended,
            snapshot_at=at + timedelta(seconds=1), database_bytes=int(size * 1.4), plain_bytes=int(size),
            stored_bytes=stored, sha256=self._hex(), plain_sha256=self._hex(), format="custom", compression="zstd",
            compression_level=3, encryption="age", recipients=(RECIPIENT,), server_version="17.6",
            client_version="18.1",
            excluded=("public.audit_logs",) if kind != "scheduled" and random.random() < 0.02 else (),
            pinned=is_kept and random.random() < 0.02,
            note="" if kind == "scheduled" else f"Before the deploy of release {number // 100}.{number % 100}",
            actor=run.actor, trust="signed", copies=self._copies(name, stored, ended, is_kept=is_kept),
            expired_at=None if is_kept else min(ended + (_DELAY if kind == "scheduled" else _FRESH), past.now),
        )  # fmt: skip
        told.runs.append((run, f"Stored {format_bytes(stored)} in {format_duration(ended - at)}."))
        self._check(told, backup, run.id, "checksum", ended, ended + (ended - at) / 10, random.random() < 0.9985)
        if kind == "scheduled" and at.hour == 2 and at.weekday() == 6:
            self._checked_by_run(told, backup, "archive", at + timedelta(hours=4), (ended - at) / 2, chance=0.999)
        if kind == "scheduled" and at.hour == 2 and at.day == 1:
            took = timedelta(seconds=5 + size / _RATE * 1.7 * math.exp(random.gauss(0, 0.1)))
            self._checked_by_run(told, backup, "restore", at + timedelta(hours=7), took, chance=0.99)
        yield from self._rows(_settled(backup, told.checks), told)

    def _copies(self, name: str, stored: int, at: datetime, *, is_kept: bool) -> tuple[Copy, ...]:
        key = object_key(self._past.database, name, compression="zstd", encrypted=True)
        state = "stored" if is_kept else "deleted"
        return tuple(
            Copy(storage, key, f"file:///srv/{storage}/{key}", "STANDARD", state, stored, "", at)  # type: ignore[arg-type]
            for storage in self._storages
        )

    def _checked_by_run(
        self, told: _Told, backup: Backup, level: str, at: datetime, took: timedelta, *, chance: float
    ) -> None:
        if at + took > self._past.now:
            return
        passed = self._random.random() < chance
        kind, outcome = "restore_test" if level == "restore" else "verification", "passed" if passed else "failed"
        run = self._run(
            kind, at, at + took, "schedule", {"level": level}, backup_id=backup.id, result={"outcome": outcome}
        )
        told.runs.append((run, f"Checked {backup.name}."))
        self._check(told, backup, run.id, level, at, at + took, passed)

    def _check(
        self, told: _Told, backup: Backup, run_id: str, level: str, begun: datetime, ended: datetime, passed: bool
    ) -> None:
        reason = "every byte read, sha256 equal" if passed else "the sha256 of the stored bytes differs"
        detail: dict[str, Any] = {"bytes": backup.stored_bytes}
        if level == "restore":
            report = self._report(backup, (ended - begun).total_seconds(), passed=passed)
            detail, reason = report.to_json(), report.summary
        check = Verification(
            id=self._id(ended), run_id=run_id, backup_id=backup.id, database=backup.database, level=level,
            storage=STORAGES[0], outcome="passed" if passed else "failed", reason=reason, started_at=begun,
            finished_at=ended, actor="schedule", detail=detail,
        )  # fmt: skip
        told.checks.append(check)

    def _report(self, backup: Backup, seconds: float, *, passed: bool) -> RestoreReport:
        return RestoreReport(
            outcome="passed" if passed else "failed", backup_id=backup.id, backup_name=backup.name,
            database=backup.database, snapshot_at=backup.snapshot_at, server="embedded", server_version="18.1",
            target="scratch", way="spooled", jobs=2, stored_bytes=backup.stored_bytes, plain_bytes=backup.plain_bytes,
            download_seconds=round(seconds * 0.3, 3), restore_seconds=round(seconds * 0.5, 3),
            compare_seconds=round(seconds * 0.2, 3), total_seconds=round(seconds, 3),
            comparison=_comparison(self._past.tables, passed=passed),
        )  # fmt: skip

    def _run(self, kind: str, begun: datetime, ended: datetime, actor: str, params: dict[str, Any], **more: Any) -> Run:
        values: dict[str, Any] = {"state": "finished", "backup_id": None} | more
        return Run(
            id=self._id(begun), kind=kind, database=self._past.database, actor=actor, reason="", params=params,  # type: ignore[arg-type]
            queued_at=begun - timedelta(seconds=1), started_at=begun, finished_at=ended, heartbeat_at=ended, attempt=1,
            worker="backup-1:411", phase="verifying", phase_started_at=begun, **values,
        )  # fmt: skip

    def _rows(self, backup: Backup, told: _Told) -> Iterator[PastRow]:
        for run, line in told.runs:
            mine = vars(run) | {"backup_id": backup.id}
            if run.kind == "backup":
                mine["result"] = {"backup_id": backup.id, "name": backup.name}
            yield from self._run_rows(Run(**mine), line)
        yield PastRow(schema.backups, {column.name: getattr(backup, column.name) for column in schema.backups.c})
        for copy in backup.copies:
            yield PastRow(schema.copies, {"backup_id": backup.id, **vars(copy)})
        for check in told.checks:
            yield PastRow(schema.verifications, vars(check))

    def _run_rows(self, run: Run, line: str) -> Iterator[PastRow]:
        yield PastRow(schema.runs, {**vars(run), "idempotency_key": None, "leftovers": []})
        begun, ended = run.started_at or run.queued_at, run.finished_at or run.queued_at
        for said in (LogLine(begun, "info", "PostgreSQL 17.6; pg_dump 18.1."), LogLine(ended, "info", line)):
            yield PastRow(schema.run_log, {"run_id": run.id, **vars(said)})

    def _id(self, at: datetime) -> str:
        return new_id(at)[:10] + f"{self._random.getrandbits(40):010x}"

    def _hex(self) -> str:
        return f"{self._random.getrandbits(256):064x}"


def _settled(backup: Backup, checks: list[Verification]) -> Backup:
    """Return the backup as its verifications left it, in the order in which they were made."""
    last = checks[-1]
    failed = [check for check in checks if check.outcome == "failed"]
    said = failed[-1] if failed else last
    proofs = [check.finished_at for check in checks if check.level == "restore"] if not failed else []
    verdict = {
        "verification_level": said.level,
        "verification_at": said.finished_at,
        "verification_passed": not failed,
        "proven_at": proofs[-1] if proofs else None,
    }
    return Backup(**(vars(backup) | verdict))


@cache
def _comparison(tables: int, *, passed: bool) -> Comparison:
    rows = tuple(
        TableRow("public", f"table_{n:03d}", "table", 1000 * n, 1000 * n, "equal", "equal", "equal")
        for n in range(tables)
    )
    if not passed:
        rows = (*rows, TableRow("public", "users", "table", 10, 9, "differs", "differs", "9 rows instead of 10"))
    return Comparison(rows, (), (), {"indexes": 2 * tables, "constraints": 3 * tables})
