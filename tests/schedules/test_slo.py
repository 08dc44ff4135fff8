"""The service level: slots counted as a whole product counts them, through clock jumps, silence and DST nights."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from services.catalog import schema
from services.catalog.model import Run
from services.commands import pause_schedule, set_schedule
from services.errors import InputError, UnknownName
from services.ids import new_id
from services.installation import Installation
from services.overview import load_overview, load_statuses
from services.restores.pick import parse_month, pick_backup
from services.schedules.overview import load_schedule
from services.schedules.start_due import start_due_runs
from services.schedules.sync import sync_schedules
from services.settings.model import DatabaseSettings
from services.slo import Tally, load_slo, longest_gap
from tests.catalog.rows import make_backup, make_verification
from tests.pages.test_queries import count_queries
from tests.schedules.conftest import NewInstallation, SetClock
from tests.support.installations import make_installation

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def live(inst: Installation, until: str, *, step: timedelta = 10 * MINUTE, worker: bool = True) -> None:
    """Let time pass; a worker, where there is one, starts what is due, and each backup is finished five minutes on."""
    moving = inst.clock
    assert isinstance(moving, SetClock)
    end = datetime.fromisoformat(until).replace(tzinfo=UTC)
    while moving.now < end:
        moving.now = min(end, moving.now + step)
        for run_id in start_due_runs(inst) if worker else ():
            finish(inst, run_id, moving.now)


def finish(inst: Installation, run_id: str, began: datetime) -> None:
    claim = inst.catalog.runs.claim(run_id, worker="host:1:1", now=began)
    backup = make_backup(f"b{began:%m%d%H%M}-{run_id[-8:]}", finished_at=began + 5 * MINUTE, run_id=run_id)
    inst.catalog.backups.add(replace(backup, started_at=began, snapshot_at=began + MINUTE / 6))
    inst.catalog.runs.finish(claim, state="finished", now=began + 5 * MINUTE, result={"backup_id": backup.id})


def counted(inst: Installation, days: int = 30) -> tuple[int, int, int]:
    tally = load_slo(inst, days=days).total
    return tally.satisfied, tally.missed, tally.open


# Zone and line, from noon (UTC) of which day, until when, and the slots that are satisfied, missed and open then.
NIGHTS = [
    ("Europe/Berlin", "30 2 * * *", "2026-03-27", "2026-03-30T12:00", (3, 0, 0)),
    ("Europe/Berlin", "30 2 * * *", "2026-10-23", "2026-10-26T12:00", (3, 0, 0)),
    ("Europe/Berlin", "0 * * * *", "2026-03-28", "2026-03-29T12:00", (20, 0, 5)),
    ("Europe/Berlin", "0 * * * *", "2026-10-24", "2026-10-25T12:00", (20, 0, 5)),
    ("America/New_York", "30 2 * * *", "2026-03-06", "2026-03-09T18:00", (3, 0, 0)),
    ("America/New_York", "30 1 * * *", "2026-10-30", "2026-11-02T18:00", (3, 0, 0)),
    ("America/New_York", "0 * * * *", "2026-03-07", "2026-03-08T12:00", (20, 0, 5)),
    ("Australia/Lord_Howe", "15 2 * * *", "2026-10-02", "2026-10-05T12:00", (3, 0, 0)),
    ("Australia/Lord_Howe", "45 1 * * *", "2026-04-03", "2026-04-06T12:00", (3, 0, 0)),
    ("Australia/Lord_Howe", "0 * * * *", "2026-10-03", "2026-10-04T12:00", (20, 0, 5)),
]


@pytest.mark.parametrize(("zone", "line", "first", "until", "expected"), NIGHTS)
@pytest.mark.parametrize("worker", [True, False], ids=["a worker runs", "no worker runs"])
def test_every_slot_of_a_night_with_a_change_of_the_clock_counts_once(
    new_installation: NewInstallation, clock: SetClock, zone: str, line: str, first: str, until: str,
    expected: tuple[int, int, int], worker: bool,
) -> None:  # fmt: skip
    clock.set(f"{first}T12:00")
    inst = new_installation(schedule=line, schedule_time_zone=zone)
    sync_schedules(inst)
    live(inst, until, worker=worker)
    satisfied, missed, still_open = expected
    assert missed == 0, "the table says what a night with a worker is like"
    assert counted(inst) == (expected if worker else (0, satisfied, still_open))


def test_ten_days_without_a_worker_are_nine_misses_and_one_that_is_late(
    new_installation: NewInstallation,
    clock: SetClock,
) -> None:
    inst = new_installation()
    sync_schedules(inst)
    live(inst, "2026-11-24T12:00", step=HOUR / 2)
    live(inst, "2026-12-04T09:00", worker=False)
    live(inst, "2026-12-06T12:00", step=HOUR / 2)
    slo = load_slo(inst)
    assert (slo.total.satisfied, slo.total.missed, slo.total.open) == (5, 10, 0)
    [database] = slo.databases
    late, *never = database.misses
    assert (late.slot.due.day, late.state) == (4, "late")
    assert late.cause == "Finished 7 h 35 min after it was due; the deadline is 4 h 00 min."
    assert {(miss.state, miss.cause) for miss in never} == {("missed", "Never started: no worker took it up.")}
    assert [run.reason for run in inst.catalog.runs.list() if run.reason] == [
        "Due 2026-12-04 02:00 UTC, started 7 h late."
    ]
    assert database.rpo_achieved == timedelta(days=10, hours=7, minutes=30)
    assert database.rpo_kept is False


def test_a_clock_that_was_a_year_ahead_leaves_no_trace_in_the_slo_once_it_is_right(
    new_installation: NewInstallation,
    clock: SetClock,
) -> None:
    inst = new_installation()
    sync_schedules(inst)
    live(inst, "2026-11-24T12:00", step=HOUR / 2)
    clock.set("2027-11-24T12:00")
    for run_id in start_due_runs(inst):
        finish(inst, run_id, clock.now)
    assert counted(inst, days=365)[1] > 300, "as long as the clock is wrong there is nothing else to be said"
    clock.set("2026-11-24T12:00")
    assert counted(inst) == (3, 0, 0)
    live(inst, "2026-11-26T12:00", step=HOUR / 2)
    assert counted(inst) == (5, 0, 0)
    assert load_slo(inst).databases[0].rpo_achieved == timedelta(days=1)


def test_a_clock_that_is_put_back_by_a_day_counts_each_slot_once(
    new_installation: NewInstallation,
    clock: SetClock,
) -> None:
    inst = new_installation()
    sync_schedules(inst)
    live(inst, "2026-11-24T12:00", step=HOUR / 2)
    clock.set("2026-11-23T12:00")
    assert counted(inst) == (2, 0, 0)
    live(inst, "2026-11-26T12:00", step=HOUR / 2)
    assert counted(inst) == (5, 0, 0)
    assert len(inst.catalog.runs.list()) == 5


def test_only_slots_whose_deadline_has_passed_count(
    new_installation: NewInstallation,
    clock: SetClock,
) -> None:
    inst = new_installation()
    sync_schedules(inst)
    live(inst, "2026-11-22T02:30")
    assert counted(inst) == (0, 0, 1), "satisfied already, and open to the SLO"
    total = load_slo(inst).total
    assert (total.share, total.is_kept, total.slots) == (None, None, 0)
    live(inst, "2026-11-22T06:01", worker=False)
    assert counted(inst) == (1, 0, 0)
    live(inst, "2026-11-23T06:00", worker=False)
    assert counted(inst) == (1, 0, 1)
    live(inst, "2026-11-23T06:10", worker=False)
    assert counted(inst) == (1, 1, 0)


def test_what_is_found_out_later_changes_the_past(
    new_installation: NewInstallation,
    clock: SetClock,
) -> None:
    inst = new_installation()
    sync_schedules(inst)
    live(inst, "2026-11-23T12:00", step=HOUR / 2)
    [second, first] = inst.catalog.backups.list()
    inst.catalog.backups.add(replace(first, state="expired", expired_at=clock.now, copies=()))
    assert counted(inst) == (2, 0, 0), "that a policy deleted it undoes nothing"
    inst.catalog.verifications.add(make_verification(second, "checksum", "failed", at=clock.now))
    assert counted(inst) == (1, 1, 0)
    assert load_slo(inst).databases[0].misses[0].cause == "Its backup failed a verification."


@pytest.mark.parametrize(
    ("satisfied", "missed", "target", "allowed", "left", "kept"),
    [(30, 0, 99.9, 0, 0, True), (29, 1, 99.9, 0, -1, False), (999, 1, 99.9, 1, 0, True), (998, 2, 99.9, 1, -1, False),
     (990, 9, 99.9, 0, -9, False), (27, 3, 90.0, 3, 0, True), (0, 0, 99.9, 0, 0, None), (30, 0, 100.0, 0, 0, True),
     (700, 300, 70.0, 300, 0, True)],
)  # fmt: skip
def test_the_budget_is_what_the_target_allows_among_the_slots_that_count(
    satisfied: int, missed: int, target: float, allowed: int, left: int, kept: bool | None
) -> None:
    tally = Tally(satisfied, missed, 2, target)
    assert (tally.allowed, tally.left, tally.is_kept) == (allowed, left, kept)


def test_the_longest_gap_reaches_up_to_now() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert longest_gap([], now) is None
    assert longest_gap([now - HOUR], now) == HOUR
    assert longest_gap([now - HOUR, now - 9 * HOUR, now - 4 * HOUR], now) == 5 * HOUR
    assert longest_gap([now - 3 * HOUR, now + DAY], now) == 3 * HOUR, "a backup dated after now closes no gap"


def test_rpo_and_rto_are_measured_within_the_window(
    new_installation: NewInstallation,
    clock: SetClock,
) -> None:
    inst = new_installation()
    now = clock.now
    for hours in (24 * 40, 24 * 32, 30, 10):
        inst.catalog.backups.add(make_backup(f"b{hours}", finished_at=now - hours * HOUR))
    backup = inst.catalog.backups.get("id-b30")
    for days, seconds in ((40, 4000.0), (20, 90.0), (3, 120.0)):
        inst.catalog.verifications.add(
            make_verification(backup, "restore", "passed", at=now - days * DAY, detail={"rto_seconds": seconds})
        )
    [found] = load_slo(inst, days=30).databases
    assert found.rpo_achieved == 24 * 32 * HOUR - 30 * HOUR, "from the last one before the window"
    assert (found.rpo_kept, found.rto_kept) == (False, True)
    assert found.restores is not None
    assert (found.restores.passed, found.restores.slowest_seconds) == (2, 120.0)
    [long] = load_slo(inst, days=90).databases
    assert long.restores is not None
    assert (long.restores.slowest_seconds, long.rto_kept) == (4000.0, False)
    [short] = load_slo(inst, days=1).databases
    assert (short.restores, short.rto_kept, short.rpo_achieved) == (None, None, 20 * HOUR)


def test_a_window_that_cannot_be_and_an_unknown_database_are_refused(new_installation: NewInstallation) -> None:
    inst = new_installation()
    for days in (0, -3, 99_999):
        with pytest.raises(InputError, match="cannot be looked at") as caught:
            load_slo(inst, days=days)
        assert "30, 90, 365" in caught.value.hint
    with pytest.raises(UnknownName):
        load_slo(inst, database="la_factory")


def test_a_database_is_at_risk_while_its_last_slot_was_missed(
    new_installation: NewInstallation,
    clock: SetClock,
) -> None:
    inst = new_installation()
    sync_schedules(inst)
    live(inst, "2026-11-23T12:00", step=HOUR / 2)
    proven = make_verification(inst.catalog.backups.list()[0], "restore", "passed", at=clock.now)
    inst.catalog.verifications.add(proven)
    inst.catalog.workers.beat("host:1", version="0.1.0", now=clock.now)
    [status] = load_statuses(inst)
    assert status.state == "PROTECTED"
    assert "Last slot, due 10 h ago, satisfied after 5 min 00 s · deadline 4 h" in [r.text for r in status.reasons]

    live(inst, "2026-11-24T05:00", worker=False)
    clock_says = [reason for reason in load_statuses(inst)[0].reasons if "slot" in reason.text]
    assert [reason.severity for reason in clock_says] == ["ok"], "still open"
    live(inst, "2026-11-24T06:01", worker=False)
    inst.catalog.backups.add(make_backup("by-hand", finished_at=clock.now, started_at=clock.now - HOUR / 2))
    [status] = load_statuses(inst)
    assert status.state == "AT RISK"
    [warning] = [reason.text for reason in status.reasons if reason.severity == "warning"]
    assert warning == (
        "Last slot, due 4 h ago, late · deadline 4 h · "
        "Finished 4 h 01 min after it was due; the deadline is 4 h 00 min."
    )


def test_a_miss_is_forgotten_when_the_schedule_is_switched_off_but_not_by_a_pause(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    inst = new_installation()
    sync_schedules(inst)
    clock.set("2026-11-22T12:00")
    for change, expected in (
        (partial(pause_schedule, inst), "missed"),
        (partial(set_schedule, inst, cron="off"), None),
    ):
        change("la_factoria/backup", actor="ada")
        last = load_statuses(inst)[0].evidence.last_slot
        assert (last.state if last else None) == expected
    assert counted(inst) == (0, 1, 0), "the past is what it was"


def test_both_engines_count_the_same(tmp_path: Path, catalog_url: SecretStr, clock: SetClock) -> None:
    inst = make_installation(tmp_path, clock=clock, catalog_url=catalog_url, database={"schedule": "0 2 * * *"})
    assert [version.defined for version in sync_schedules(inst)] == [
        {"cron": "0 2 * * *", "time_zone": "UTC", "deadline_seconds": 14400, "paused": False, "params": {}}
    ]
    live(inst, "2026-11-24T12:00", step=HOUR / 2)
    live(inst, "2026-11-25T12:00", worker=False)
    set_schedule(inst, "la_factoria/backup", cron="0 3 * * *", time_zone="Europe/Berlin", actor="ada")
    assert inst.catalog.schedules.all()["la_factoria/backup"][-1].defined is None
    live(inst, "2026-11-27T12:00", step=HOUR / 2)
    newest, second, *_ = inst.catalog.backups.list()
    inst.catalog.backups.add(replace(second, excluded=("public.x",)))
    inst.catalog.verifications.add(
        make_verification(newest, "restore", "passed", at=clock.now, id="v1", detail={"rto_seconds": 12.5})
    )
    slo = load_slo(inst, days=30)
    [found] = slo.databases
    assert (slo.total.satisfied, slo.total.missed, slo.total.open) == (4, 2, 0)
    assert [(miss.slot.due.day, miss.cause.split()[0]) for miss in found.misses] == [(26, "There"), (25, "Finished")]
    assert found.restores is not None
    assert (found.restores.passed, found.restores.slowest_seconds) == (1, 12.5)
    assert found.rpo_achieved == timedelta(days=1, hours=13, minutes=30)
    [later] = load_slo(inst, days=1).databases
    assert later.rpo_achieved == timedelta(days=1, hours=13, minutes=30), "counted from the last good one before"
    assert load_statuses(inst)[0].evidence.last_slot.state == "satisfied"  # type: ignore[union-attr]
    row = load_schedule(inst, "la_factoria/backup")
    assert (row.last.state, len(row.versions), len(row.next_due)) == ("satisfied", 2, 5)  # type: ignore[union-attr]
    month = parse_month("this", clock.now)
    assert pick_backup(inst, "la_factoria", month=month, seed="x").candidates == 5
    inst.close()


def busy(home: Path, databases: int, backups: int, moving: SetClock) -> Installation:
    """An installation with so many backups, three a day, of which one is the slot's; every 300th is late."""
    names = [f"db{n:02d}" for n in range(databases)]
    inst = make_installation(
        home, clock=moving,
        databases=tuple(DatabaseSettings(name=name, url=SecretStr("postgresql://u@127.0.0.1:1/x")) for name in names),
    )  # fmt: skip
    end = moving.now
    moving.now = end - 5 * 365 * DAY
    sync_schedules(inst)
    moving.now = end
    made = []
    for name in names:
        for n in range(backups // databases):
            day, turn = divmod(n, 3)
            at = end.replace(hour=2, minute=9) - day * DAY + turn * 5 * HOUR + (9 * HOUR if n % 900 == 0 else 0 * HOUR)
            made.append(make_backup(f"{name}-{n}", finished_at=at, database=name, id=new_id(at)))
    rows = [{column.name: getattr(backup, column.name) for column in schema.backups.c} for backup in made]
    with inst.catalog.engine.begin() as connection:
        connection.execute(sa.insert(schema.backups), rows)
    return inst


def test_the_queries_of_the_slo_do_not_grow_with_backups_slots_or_databases(tmp_path: Path, clock: SetClock) -> None:
    few, many = busy(tmp_path / "few", 1, 30, clock), busy(tmp_path / "many", 4, 8000, clock)
    for days in (30, 365):
        read = partial(load_slo, days=days)
        assert [count_queries(inst, partial(read, inst)) for inst in (few, many)] == [5, 5]
    assert load_slo(many, days=365).total.slots == 4 * 365
    counts = [count_queries(inst, partial(load_overview, inst)) for inst in (few, many)]
    assert counts[0] == counts[1] <= 19


def test_the_run_of_a_miss_is_named(new_installation: NewInstallation, clock: SetClock) -> None:
    inst = new_installation()
    sync_schedules(inst)
    clock.set("2026-11-22T02:00")
    [run_id] = start_due_runs(inst)
    claim = inst.catalog.runs.claim(run_id, worker="host:1:1", now=clock.now)
    inst.catalog.runs.finish(claim, state="failed", now=clock.now, error="Cannot connect to la_factoria.")
    clock.set("2026-11-22T12:00")
    [miss] = load_slo(inst).databases[0].misses
    run: Run = inst.catalog.runs.get(run_id)
    assert (miss.run_id, miss.cause) == (run.id, "Its run failed: Cannot connect to la_factoria.")
