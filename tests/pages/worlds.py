"""Catalogues with rows in them, for the pages to show: made through the real stores, in a real SQLite file."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr

from services.catalog.model import Backup, Copy, Outcome, Run, Verification
from services.clock import Clock
from services.ids import new_id
from services.installation import Installation
from services.restores.comparison_model import Comparison, ObjectRow, SequenceRow, TableRow
from services.restores.report import RestoreReport
from services.schedules.sync import sync_schedules
from services.settings.model import DatabaseSettings, Settings, StorageSettings
from services.stream.encryption import generate_key
from tests.schedules.conftest import SetClock
from tests.support.catalogs import make_catalog

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
HOSTILE = "<b>x</b> **bold** [link](https://evil.example) :red[danger] $x$ `tick` | --> :streamlit:"
PASSWORD = "planted-password-7431"
Reached = Literal["queued", "running", "finished", "failed", "cancelled"]
"""What a run comes to by itself."""


def installation(
    home: Path,
    *names: str,
    clock: Clock = lambda: NOW,
    paused: tuple[str, ...] = (),
    sample: bool = False,
    recipients: bool = False,
    schedule: str = "off",
) -> Installation:
    """An installation with these databases, one local storage and an empty catalogue; no worker has started yet."""
    storage = home / "storage"
    (storage / "orders").mkdir(parents=True, exist_ok=True)  # not the empty mount point of a disk that is away
    settings = Settings(
        home=home,
        catalog_url=SecretStr(f"sqlite:///{home}/catalog.db"),
        databases=tuple(
            DatabaseSettings(
                name=name,
                url=SecretStr(f"postgresql://app:{PASSWORD}@127.0.0.1:1/{name}"),
                paused=name in paused,
                schedule=schedule,
            )
            for name in names
        ),
        storages=(StorageSettings(name="local", url=f"file://{storage}", limit_bytes=50 * 10**9),),
        recipients=(generate_key()[1],) if recipients else (),
        sample=sample,
    )
    catalog = make_catalog(settings.catalog_url.get_secret_value())
    return Installation(settings, catalog, clock)


def add_backup(inst: Installation, database: str, at: datetime, **changes: Any) -> Backup:
    """Add a good, signed, encrypted backup that ended at ``at``, with one stored copy."""
    name = f"{database}_backup_{at:%Y%m%d_%H%M%S}"
    key = f"{database}/{name}.dump.zst.age"
    copy = Copy("local", key, f"{inst.settings.storages[0].url}/{key}", "STANDARD", "stored", 8_400_000, "", at)
    backup = Backup(
        id=new_id(at), run_id=None, name=name, database=database, type="on-demand", state="finished",
        started_at=at - timedelta(seconds=14), finished_at=at, snapshot_at=at - timedelta(seconds=13),
        database_bytes=61_000_000, plain_bytes=43_000_000, stored_bytes=8_400_000, sha256="a" * 64,
        plain_sha256="b" * 64, format="custom", compression="zstd", compression_level=3, encryption="age",
        recipients=("age1examplerecipient",), server_version="18.1", client_version="18.1", excluded=(), pinned=False,
        note="", actor="dashboard", trust="signed", copies=(copy,),
    )  # fmt: skip
    backup = replace(backup, **changes)
    inst.catalog.backups.add(backup)
    return backup


def report(backup: Backup, *, outcome: Outcome = "passed", tables: int = 12) -> RestoreReport:
    """A restore test's report; a failed one has a table with a missing row and a changed view."""
    bad = outcome == "failed"
    rows = [TableRow("public", f"table_{n:02d}", "table", 1000 * n, 1000 * n, "equal", "equal", "equal") for n in
            range(1, tables + 1)]  # fmt: skip
    objects: tuple[ObjectRow, ...] = ()
    if bad:
        words = "9 rows instead of 10"
        rows.append(TableRow("public", HOSTILE, "table", 10, 9, "differs", "differs", words))
        objects = (ObjectRow("views", "public.active_users", "missing", "missing"),)
    comparison = Comparison(
        tuple(rows), (SequenceRow("public.users_id_seq", "7/true", "7/true", "equal", "equal"),), objects,
        {"indexes": 31, "views": 2, "triggers": 4},
    )  # fmt: skip
    return RestoreReport(
        outcome=outcome, backup_id=backup.id, backup_name=backup.name, database=backup.database,
        snapshot_at=backup.snapshot_at, server="embedded", server_version="18.1", target="scratch_x", way="spooled",
        jobs=2, stored_bytes=backup.stored_bytes, plain_bytes=backup.plain_bytes, download_seconds=1.4,
        restore_seconds=8.1, compare_seconds=3.2, total_seconds=12.7,
        failure="extension postgis is not installed there" if outcome == "not testable" else "",
        comparison=None if outcome == "not testable" else comparison,
    )  # fmt: skip


def add_verification(
    inst: Installation,
    backup: Backup,
    at: datetime,
    *,
    level: str = "restore",
    outcome: Outcome = "passed",
    run_id: str | None = None,
) -> Verification:
    """Add a verification of a backup that ended at ``at``."""
    found = report(backup, outcome=outcome)
    detail = found.to_json() if level == "restore" else {"bytes": backup.stored_bytes}
    reason = found.summary if level == "restore" else "every byte read, sha256 equal"
    verification = Verification(
        id=new_id(at), run_id=run_id, backup_id=backup.id, database=backup.database, level=level, storage="local",
        outcome=outcome, reason=reason, started_at=at - timedelta(seconds=13), finished_at=at, actor="dashboard",
        detail=detail,
    )  # fmt: skip
    inst.catalog.verifications.add(verification)
    return verification


def add_run(inst: Installation, database: str, at: datetime, *, state: Reached = "queued", **ending: Any) -> Run:
    """Add a backup run that was asked for at ``at``, and bring it to ``state``."""
    runs = inst.catalog.runs
    kind = ending.pop("kind", "backup")
    params = ending.pop("params", {})
    run = runs.add(kind=kind, database=database, actor="dashboard", reason="", params=params, now=at, **{
        key: ending.pop(key) for key in ("backup_id", "expected_seconds") if key in ending})  # fmt: skip
    if state == "queued":
        return run
    claim = runs.claim(run.id, worker="host:1", now=at)
    if state == "running":
        runs.beat(claim, now=at, phase_started_at=at, **ending)
    else:
        runs.finish(claim, state=state, now=at + timedelta(seconds=14), **ending)
    return runs.get(run.id)


def healthy(home: Path, *, clock: Clock = lambda: NOW, days: int = 40) -> Installation:
    """Three databases: one protected, one whose backups stopped, one never backed up; one paused beside them."""
    inst = installation(home, "la_factoria", "orders", "billing", "archive_2024", clock=clock, paused=("archive_2024",))
    now = clock()
    for n in range(days, -1, -1):
        at = now - timedelta(days=n, hours=3)
        if n in (9, 17):
            add_run(
                inst, "la_factoria", at, state="failed", error="pg_dump: connection lost", hint="Look at the server."
            )
            continue
        backup = add_backup(inst, "la_factoria", at, excluded=("public.temp_data",) if n == 12 else ())
        if n % 7 == 2:
            add_verification(inst, backup, at + timedelta(hours=1))
        if n >= 2:
            add_backup(inst, "orders", at)
    inst.catalog.workers.beat("host:1", version="0.1.0", now=now - timedelta(seconds=3))
    return inst


def scheduled(
    home: Path, *names: str, days: int = 40, missed: tuple[int, ...] = (3,), late: tuple[int, ...] = (7,)
) -> Installation:
    """Databases that have been scheduled for so many days, with a good backup in each slot but for some days ago."""
    clock = SetClock(NOW - days * timedelta(days=1))
    inst = installation(home, *(names or ("orders",)), clock=clock, recipients=True, schedule="0 2 * * *")
    sync_schedules(inst)
    clock.now = NOW
    for name in names or ("orders",):
        for ago in range(days):
            at = NOW.replace(hour=2, minute=4) - ago * timedelta(days=1)
            if ago not in missed:
                add_backup(inst, name, at + timedelta(hours=7 if ago in late else 0), type="scheduled")
    return inst
