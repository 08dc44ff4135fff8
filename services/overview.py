"""The read model of the overview: every database's status, its last month, and what the storages hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from services.backups.mounted import mounted_storage
from services.catalog import summaries
from services.catalog.model import Run
from services.catalog.safe_copies import safe_in
from services.catalog.summaries import Day
from services.errors import StorageError
from services.health.used_since import LastProbes, last_probes
from services.installation import Installation
from services.schedules.history import current
from services.schedules.outcomes import SlotDay, slot_days
from services.schedules.standing import Standing, backup_history, judge_slots, recent_slots
from services.settings.model import DatabaseSettings, StorageSettings
from services.status import (
    DatabaseStatus,
    Evidence,
    Promises,
    Reason,
    RestoreTest,
    StorageAway,
    Verdict,
    WorkerSigns,
    derive_status,
    give_verdict,
    is_scheduled,
    worker_problem,
    worst_first,
)

STRIP_DAYS = 30


@dataclass(frozen=True)
class Month:
    """One database's last 30 UTC days, the oldest first; each day is there, also those on which nothing happened."""

    database: str
    days: tuple[Day, ...]


@dataclass(frozen=True)
class StorageRoom:
    """What one storage holds, and how much fits."""

    name: str
    url: str
    backups: int
    used_bytes: int
    limit_bytes: int | None
    """The limit of the settings; None: none is set."""
    free_bytes: int | None
    """What the disk has left; None for S3."""
    problem: str = ""
    """Why the storage could not be asked."""

    @property
    def total_bytes(self) -> int | None:
        """What fits in all, by the tighter of limit and disk; None where nothing bounds it."""
        bounds = [self.limit_bytes] if self.limit_bytes is not None else []
        if self.free_bytes is not None:
            bounds.append(self.used_bytes + self.free_bytes)
        return min(bounds, default=None)


@dataclass(frozen=True)
class Overview:
    """Everything that the first screen shows, at ``now``."""

    now: datetime
    verdict: Verdict
    statuses: tuple[DatabaseStatus, ...]
    """Worst first."""
    months: dict[str, Month]
    storages: tuple[StorageRoom, ...]
    recent: tuple[Run, ...]
    worker_problem: Reason | None
    worker: WorkerSigns

    @property
    def active(self) -> tuple[Run, ...]:
        """Every run that runs or waits."""
        return tuple(run for status in self.statuses for run in status.active)


def load_statuses(inst: Installation, *, probes: LastProbes | None = None) -> tuple[DatabaseStatus, ...]:
    """Return each configured database's status now, worst first. Thirteen queries, whatever the catalogue holds, and
    two where a restore test met a damaged copy.

    ``probes``: what was found when each connection was tried last, where the caller knows it already.
    """
    now = inst.clock()
    return _statuses(inst, summaries.worker_signs(inst.catalog.engine, now), now, probes=probes)[0]


def load_overview(inst: Installation, *, recent: int = 8) -> Overview:
    """Return the read model of the overview. At most 17 queries, however much there is; local disks are asked."""
    engine = inst.catalog.engine
    now = inst.clock()
    signs = summaries.worker_signs(engine, now)
    first = now.astimezone(UTC).date() - timedelta(days=STRIP_DAYS - 1)
    statuses, standings = _statuses(inst, signs, now, _midnight(first))
    happened = {(day.database, day.day): day for day in summaries.days(engine, since=_midnight(first))}
    return Overview(
        now=now,
        verdict=give_verdict(statuses),
        statuses=statuses,
        months={s.database: _month(s.database, first, happened, standings[s.database]) for s in statuses},
        storages=load_rooms(inst),
        recent=tuple(inst.catalog.runs.list(limit=recent)),
        worker_problem=worker_problem(signs, now, scheduled=is_scheduled(statuses)),
        worker=signs,
    )


def _statuses(
    inst: Installation,
    signs: WorkerSigns,
    now: datetime,
    slots_since: datetime | None = None,
    *,
    probes: LastProbes | None = None,
) -> tuple[tuple[DatabaseStatus, ...], dict[str, Standing]]:
    """Return each database's status, worst first, and how its slots stand: the last ones, and those since a date."""
    engine = inst.catalog.engine
    histories = inst.catalog.schedules.all()
    slots = {d.name: recent_slots(histories, d.name, now, slots_since) for d in inst.settings.databases}
    standings = judge_slots(inst, slots, now)
    holdings = summaries.holdings(engine)
    last_good = summaries.last_good_backups(engine)
    passed = summaries.last_restore_tests(engine, passed_only=True)
    tested = _with_damage_as_it_is(inst, summaries.last_restore_tests(engine, passed_only=False))
    unproven = [d.name for d in inst.settings.databases if d.name not in passed and d.name in holdings]
    undone = summaries.undone_restore_tests(engine, unproven) if unproven else {}
    ended = summaries.last_ended_backup_runs(engine)
    active = inst.catalog.runs.active()
    nothing = summaries.Holding(0, 0, None)
    away = _storages_away(probes or last_probes(engine, now))

    def evidence(database: DatabaseSettings) -> Evidence:
        name = database.name
        holding = holdings.get(name, nothing)
        last_run = ended.get(name)
        schedule = current(backup_history(histories, name), now)
        return Evidence(
            database=name,
            promises=Promises(database.rpo, database.rto, database.restore_test_max_age, database.paused),
            backups_ever=holding.backups_ever,
            good_backups=holding.good_backups,
            oldest_good_at=holding.oldest_good_at,
            last_good=last_good.get(name),
            last_failed_run=last_run if last_run is not None and last_run.state != "finished" else None,
            last_passed=passed.get(name),
            last_test=tested.get(name),
            undone_test=undone.get(name),
            active=tuple(run for run in active if run.database == name),
            storages_away=tuple(away[s.name] for s in inst.settings.storages_of(database) if s.name in away),
            wanted_copies=len(inst.settings.storages_of(database)),
            # Of a schedule that was switched off nothing is promised any more; a pause undoes no miss.
            last_slot=standings[name].last_settled if schedule is not None and schedule.cron else None,
            schedule=schedule,
            is_scheduled=schedule.is_on if schedule is not None else bool(database.schedule),
        )

    statuses = worst_first(derive_status(evidence(database), signs, now) for database in inst.settings.databases)
    return statuses, standings


def _with_damage_as_it_is(inst: Installation, tests: dict[str, RestoreTest]) -> dict[str, RestoreTest]:
    """Return the tests; one that met a damaged copy is a failed one where no other copy is known to be whole now."""
    met = {test.backup_id for test in tests.values() if test.damaged_in}
    safe = safe_in(inst.catalog.engine, met, [storage.name for storage in inst.settings.storages])
    return {
        name: replace(test, damaged_in=test.damaged_in if safe.get(test.backup_id) else "")
        for name, test in tests.items()
    }


def _storages_away(probes: LastProbes) -> dict[str, StorageAway]:
    """Return the storages that the last health check could not use, and no run since, by name."""
    return {
        check.subject.name: StorageAway(check.subject.name, check.sentence, probes.at)
        for check in probes.checks
        if check.subject.kind == "storage" and check.severity == "failure" and probes.at is not None
    }


def _month(database: str, first: date, happened: dict[tuple[str, date], Day], standing: Standing) -> Month:
    due: dict[date, SlotDay] = {day.day: day for day in slot_days(standing.outcomes)}
    dates = [first + timedelta(days=n) for n in range(STRIP_DAYS)]
    days = (happened.get((database, d), Day(database, d, 0, 0, 0, 0, 0)) for d in dates)
    return Month(database, tuple(replace(day, slots=due.get(day.day)) for day in days))


def _room(inst: Installation, storage: StorageSettings, use: summaries.StorageUse | None) -> StorageRoom:
    used = use or summaries.StorageUse(storage.name, 0, 0)
    free, problem = None, ""
    if storage.is_local:  # only a disk knows what is free; S3 is not asked at all
        try:
            free = mounted_storage(inst, storage.name).free_bytes()
        except StorageError as error:
            problem = str(error)
    return StorageRoom(storage.name, storage.url, used.backups, used.bytes, storage.limit_bytes, free, problem)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def load_rooms(
    inst: Installation,
    *,
    free: Mapping[str, int | None] | None = None,
    use: Mapping[str, summaries.StorageUse] | None = None,
) -> tuple[StorageRoom, ...]:
    """Return what each storage holds and how much fits. One query; local disks are asked, unless ``free`` is given.

    ``free`` says how many bytes each storage's disk had left when somebody last asked it; ``use`` what each storage
    holds, where the caller knows it already.
    """
    if use is None:
        use = summaries.storage_use(inst.catalog.engine)
    if free is None:
        return tuple(_room(inst, storage, use.get(storage.name)) for storage in inst.settings.storages)
    nothing = summaries.StorageUse("", 0, 0)
    return tuple(
        StorageRoom(s.name, s.url, held.backups, held.bytes, s.limit_bytes, free.get(s.name))
        for s in inst.settings.storages
        for held in [use.get(s.name, nothing)]
    )
