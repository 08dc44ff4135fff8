"""Two databases over five weeks, small enough to be counted by hand.

Backed up daily, la_factoria at 02:00 and billing at 03:00 UTC, deadline 4 h; on record since Monday of W42. The week
that is reviewed is W46 (9 to 15 November 2026). What happened otherwise than every day:

    W43 Wed 21 Oct  la_factoria: restore test passed, 10 s
    W44 Tue 27 Oct  la_factoria: its slot was missed, no worker took it up
    W44 Thu 29 Oct  billing: restore test passed, 6 s
    W45             2 backups deleted (8 MB each); alert A opened on Sunday
    W46 Mon  9 Nov  alert A resolved; 3 backups deleted (2 of 8 MB, 1 of 2 MB)
    W46 Tue 10 Nov  la_factoria: restore test passed, 20 s
    W46 Wed 11 Nov  billing: its slot was missed, pg_dump waited for a lock; alert B opened, resolved an hour later
    W46 Thu 12 Nov  billing: restore test failed; alert C opened, and is open still
    W46 Fri 13 Nov  la_factoria: its backup came five hours late
    W46 Sat 14 Nov  billing: an emergency backup, besides the daily one

A backup of la_factoria takes 60 s and, in W46, 90 s; one of billing 30 s. la_factoria grows by 10 MB a week from
100 MB; billing has 20 MB. Stored are 8 MB and 2 MB. Each backup's checksum was verified.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from services.alerts.store import add_alert, change_alert
from services.catalog.model import Backup, Copy, Verification
from services.catalog.schema import deletions
from services.health.model import HealthCheck, Subject
from services.ids import new_id
from services.installation import Installation
from services.review.week import Week
from services.schedules.model import ScheduleVersion, Slot
from services.settings.model import DatabaseSettings, Settings, StorageSettings
from tests.support.catalogs import make_catalog

WEEK = Week(2026, 46)
NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
FIRST = datetime(2026, 10, 12, tzinfo=UTC)
DEADLINE = timedelta(hours=4)
MB = 1_000_000
DIFFERENCE = "1 difference from the source: invoices: 9 rows instead of 10"
LOCK = "pg_dump did not finish: it waited 2 min for a lock"
HOSTILE = (
    "<img src=x onerror=alert(1)> **b** [a](https://evil.example) | #strong[x] $x$ `tick` @a www.evil.example :smile:"
)


def at(text: str) -> datetime:
    """Given ``11-09 02:00``, return that instant of 2026."""
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=UTC)


@dataclass
class Clock:
    """Tells the time that a test sets."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


def empty(home: Path, *names: str, url: str = "", clock: Clock | None = None, **changes: Any) -> Installation:
    """Return an installation with these databases and an empty catalogue."""
    (home / "storage").mkdir(parents=True, exist_ok=True)
    values: dict[str, Any] = {
        "home": home,
        "catalog_url": SecretStr(url or f"sqlite:///{home}/catalog.db"),
        "databases": tuple(
            DatabaseSettings(name=name, url=SecretStr(f"postgresql://u:p@127.0.0.1:1/{name}")) for name in names
        ),
        "storages": (StorageSettings(name="local", url=f"file://{home / 'storage'}", limit_bytes=10**9),),
    }
    settings = Settings(**(values | changes))
    catalog = make_catalog(settings.catalog_url.get_secret_value())
    return Installation(settings, catalog, clock or Clock())


def small_world(home: Path, *, url: str = "", clock: Clock | None = None, **changes: Any) -> Installation:
    """Return the installation that this module's head describes."""
    inst = empty(home, "la_factoria", "billing", url=url, clock=clock, **changes)
    for name, hour in (("la_factoria", 2), ("billing", 3)):
        schedule(inst, name, f"0 {hour} * * *")
    last = min(inst.clock(), at("11-20 00:00"))
    for day in range(60):
        midnight = FIRST + timedelta(days=day)
        for name, hour in (("la_factoria", 2), ("billing", 3)):
            due = midnight + timedelta(hours=hour)
            if due < last:
                _daily(inst, name, due)
    backup(inst, "billing", at("11-14 10:00"), type="emergency", note="before the repair", actor="mara")
    alerts(inst)
    tests(inst)
    delete(inst, ["la_factoria", "la_factoria"], at("11-05 03:30"))
    delete(inst, ["la_factoria", "la_factoria", "billing"], at("11-09 03:30"))
    return inst


def _daily(inst: Installation, name: str, due: datetime) -> None:
    if (name, due) == ("la_factoria", at("10-27 02:00")):
        return  # nothing started it
    if (name, due) == ("billing", at("11-11 03:00")):
        failed_run(inst, name, due)
        return
    late = timedelta(hours=5) if (name, due) == ("la_factoria", at("11-13 02:00")) else timedelta()
    backup(inst, name, due + late)


def schedule(inst: Installation, database: str | None, cron: str, **changes: Any) -> None:
    """Write the first version of a database's backup schedule."""
    version = ScheduleVersion(
        schedule=f"{database}/backup", number=1, database=database, job="backup", cron=cron, time_zone="UTC",
        deadline=DEADLINE, valid_from=FIRST, source="settings", actor="settings",
    )  # fmt: skip
    assert inst.catalog.schedules.add(replace(version, **changes))


def backup(inst: Installation, database: str, started: datetime, **changes: Any) -> Backup:
    """Add a good backup that began at ``started``, and the verification of its checksum."""
    factoria = database == "la_factoria"
    slow = factoria and WEEK.start <= started < WEEK.end
    finished = started + timedelta(seconds=90 if slow else 60 if factoria else 30)
    weeks = (started - FIRST) // timedelta(weeks=1)
    stored = 8 * MB if factoria else 2 * MB
    name = f"{database}_{started:%Y%m%d_%H%M%S}"
    made = Backup(
        id=new_id(started), run_id=None, name=name, database=database, type="scheduled", state="finished",
        started_at=started, finished_at=finished, snapshot_at=started + timedelta(seconds=1),
        database_bytes=(100 + 10 * weeks) * MB if factoria else 20 * MB, plain_bytes=3 * stored, stored_bytes=stored,
        sha256="0" * 64, plain_sha256="1" * 64, format="custom", compression="zstd", compression_level=3,
        encryption="age", recipients=("age1x",), server_version="18.1", client_version="18.1", excluded=(),
        pinned=False, note="", actor="schedule", trust="signed",
        copies=(Copy("local", f"{database}/{name}", f"file:///x/{name}", "STANDARD", "stored", stored, "", None),),
    )  # fmt: skip
    made = replace(made, **changes)
    inst.catalog.backups.add(made)
    verification(inst, made, finished + timedelta(seconds=5), "checksum")
    return made


def verification(
    inst: Installation, of: Backup, ended: datetime, level: str, outcome: str = "passed", seconds: float | None = None,
    reason: str = "all bytes read",
) -> None:  # fmt: skip
    """Add a verification; ``seconds`` is the RTO that a restore test measured."""
    detail = {} if seconds is None else {"rto_seconds": seconds}
    inst.catalog.verifications.add(
        Verification(
            id=new_id(ended), run_id=None, backup_id=of.id, database=of.database, level=level, storage="local",
            outcome=outcome, reason=reason, started_at=ended - timedelta(seconds=4), finished_at=ended,  # type: ignore[arg-type]
            actor="schedule", detail=detail,
        )
    )  # fmt: skip


def failed_run(inst: Installation, database: str, due: datetime) -> None:
    """Add the run of a slot, which failed two minutes after it was due."""
    runs = inst.catalog.runs
    slot = Slot(f"{database}/backup", database, due, DEADLINE)
    run = runs.add(kind="backup", database=database, actor="schedule", reason="", params={}, now=due,
                   idempotency_key=slot.key)  # fmt: skip
    claim = runs.claim(run.id, worker="host:1", now=due)
    runs.finish(claim, state="failed", now=due + timedelta(minutes=2), error=LOCK, hint="See who holds it.")


def newest(inst: Installation, database: str, before: datetime) -> Backup:
    """Return the newest backup of a database that was finished before an instant."""
    return inst.catalog.backups.list(database=database, until=before, limit=1)[0]


def tests(inst: Installation) -> None:
    """Add the restore tests."""
    for database, ended, outcome, seconds, reason in (
        ("la_factoria", "10-21 05:00", "passed", 10.0, "12 tables, 4,000 rows: every count and hash equals the source"),
        ("billing", "10-29 05:00", "passed", 6.0, "5 tables, 900 rows: every count and hash equals the source"),
        ("la_factoria", "11-10 05:00", "passed", 20.0, "12 tables, 4,100 rows: every count and hash equals the source"),
        (
            "billing",
            "11-12 05:00",
            "failed",
            7.0,
            "1 difference from the source: invoices: 9 rows instead of 10",
        ),
    ):
        if at(ended) < inst.clock():
            verification(inst, newest(inst, database, at(ended)), at(ended), "restore", outcome, seconds, reason)


def alerts(inst: Installation) -> None:
    """Add the alerts A, B and C."""
    for check, subject, severity, opened, resolved in (
        ("storage_room", Subject("storage", "local"), "warning", "11-08 20:00", "11-09 06:00"),
        ("backup_run", Subject("database", "billing"), "warning", "11-11 03:05", "11-11 04:05"),
        ("restore_test", Subject("database", "billing"), "failure", "11-12 05:01", None),
    ):
        now = at(opened)
        found = HealthCheck(check, subject, severity, f"{check} of {subject} is not well.", "Look at it.", now)  # type: ignore[arg-type]
        with inst.catalog.engine.begin() as connection:
            alert = add_alert(connection, found, now)
            if resolved is not None:
                change_alert(connection, alert, resolved_at=at(resolved), resolution="It is well again.")


def delete(inst: Installation, databases: list[str], when: datetime) -> None:
    """Let the oldest kept backup of each database named expire."""
    for database in databases:
        oldest = inst.catalog.backups.list(database=database, state="finished")[-1]
        copies = tuple(replace(copy, state="deleted") for copy in oldest.copies)
        inst.catalog.backups.add(replace(oldest, state="expired", expired_at=when, copies=copies))
        log_deletion(inst, oldest, when)


def log_deletion(inst: Installation, of: Backup, when: datetime, outcome: str = "deleted") -> None:
    """Add a deletion of a backup's only copy to the log."""
    values = {
        "id": new_id(when), "run_id": None, "backup_id": of.id, "backup_name": of.name, "database": of.database,
        "at": when, "ended_at": when, "actor": "schedule", "storage": "local", "key": of.copies[0].key,
        "bytes": of.stored_bytes, "reason": "not kept", "note": "", "outcome": outcome, "error": "",
    }  # fmt: skip
    with inst.catalog.engine.begin() as connection:
        connection.execute(deletions.insert().values(values))
