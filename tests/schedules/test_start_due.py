"""Starting what is due: once, whatever the clock does, however long no worker ran, however many workers there are."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.catalog.model import Run
from services.commands import pause_schedule, resume_schedule, set_schedule
from services.installation import Installation
from services.jobs.queue import prepare_queue
from services.schedules.start_due import start_due_runs
from services.schedules.sync import sync_schedules
from services.settings.model import DatabaseSettings
from tests.catalog.rows import make_backup, make_verification
from tests.pages.test_queries import count_queries
from tests.schedules.conftest import NewInstallation, SetClock
from tests.support.installations import make_installation
from tests.support.schedules import pause_all

NAME = "la_factoria/backup"
HOURLY = "0 * * * *"
ROOT = Path(__file__).resolve().parents[2]


def started(inst: Installation, *times: str) -> list[str]:
    """Have a worker look at these times; return the slots whose work it started, in order."""
    clock = inst.clock
    assert isinstance(clock, SetClock)
    found = []
    for text in times:
        clock.set(text)
        for run_id in start_due_runs(inst):
            run = inst.catalog.runs.get(run_id)
            found.append(run.params["slot"][5:16].replace("T", " "))
    return found


def last_run(inst: Installation) -> Run:
    return inst.catalog.runs.list(limit=1)[0]


# The schedule, its zone, when a worker looks, and the slots (UTC) whose work it starts. It begins on 21 Nov 2026 12:00
# (or the noon before the night in question).
CASES: list[tuple[str, str, str, list[str], list[str]]] = [
    ("nothing is due yet", "0 2 * * *", "UTC", ["2026-11-21T12:00", "2026-11-22T01:59"], []),
    ("due: started once", "0 2 * * *", "UTC", ["2026-11-22T02:00", "2026-11-22T02:00", "2026-11-22T02:05"],
     ["11-22 02:00"]),
    ("each day once", "0 2 * * *", "UTC", ["2026-11-22T02:00", "2026-11-23T02:01", "2026-11-24T02:00"],
     ["11-22 02:00", "11-23 02:00", "11-24 02:00"]),
    ("no worker for some hours: made up for, also after the deadline", "0 2 * * *", "UTC",
     ["2026-11-22T11:00", "2026-11-22T11:01"], ["11-22 02:00"]),
    ("no worker for ten days: made up for once", "0 2 * * *", "UTC", ["2026-11-22T02:00", "2026-12-02T09:00"],
     ["11-22 02:00", "12-02 02:00"]),
    ("no worker for ten days, hourly: made up for once", HOURLY, "UTC", ["2026-11-21T13:00", "2026-12-01T09:30"],
     ["11-21 13:00", "12-01 09:00"]),
    ("monthly, no worker on the day: made up for", "0 5 1 * *", "UTC", ["2026-12-08T09:00", "2026-12-09T09:00"],
     ["12-01 05:00"]),
    ("the clock jumps a year forward: one run; and back: nothing twice", "0 2 * * *", "UTC",
     ["2026-11-22T02:00", "2027-11-22T12:00", "2026-11-22T12:00", "2026-11-23T02:00"],
     ["11-22 02:00", "11-22 02:00", "11-23 02:00"]),
    ("the clock jumps a day back: nothing twice", "0 2 * * *", "UTC",
     ["2026-11-22T02:00", "2026-11-23T02:00", "2026-11-22T02:00", "2026-11-23T02:00", "2026-11-24T02:00"],
     ["11-22 02:00", "11-23 02:00", "11-24 02:00"]),
    ("the clock jumps to before the first version: nothing", "0 2 * * *", "UTC", ["2020-01-01T12:00"], []),
    ("Berlin, 02:30 does not exist", "30 2 * * *", "Europe/Berlin",
     ["2026-03-29T00:59", "2026-03-29T01:00", "2026-03-29T01:30", "2026-03-30T00:30"], ["03-29 01:00", "03-30 00:30"]),
    ("Berlin, 02:30 comes twice", "30 2 * * *", "Europe/Berlin",
     ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-26T01:30"], ["10-25 00:30", "10-26 01:30"]),
    ("New York, 02:30 does not exist", "30 2 * * *", "America/New_York",
     ["2026-03-08T07:00", "2026-03-08T07:30", "2026-03-09T06:30"], ["03-08 07:00", "03-09 06:30"]),
    ("Lord Howe, 01:45 comes twice within half an hour", "45 1 * * *", "Australia/Lord_Howe",
     ["2026-04-04T14:45", "2026-04-04T15:15", "2026-04-05T15:15"], ["04-04 14:45", "04-05 15:15"]),
    ("Berlin, hourly in the long night", HOURLY, "Europe/Berlin",
     [f"2026-10-2{4 + hour // 24}T{hour % 24:02d}:00" for hour in range(22, 28)],
     ["10-24 22:00", "10-24 23:00", "10-25 00:00", "10-25 01:00", "10-25 02:00", "10-25 03:00"]),
    ("Berlin, hourly in the short night", HOURLY, "Europe/Berlin",
     [f"2026-03-2{8 + hour // 24}T{hour % 24:02d}:00" for hour in range(23, 27)],
     ["03-28 23:00", "03-29 00:00", "03-29 01:00", "03-29 02:00"]),
]  # fmt: skip


@pytest.mark.parametrize(("title", "cron", "zone", "looks", "expected"), CASES, ids=[case[0] for case in CASES])
def test_what_is_due_is_started_once(
    new_installation: NewInstallation, clock: SetClock, title: str, cron: str, zone: str, looks: list[str],
    expected: list[str],
) -> None:  # fmt: skip
    first = datetime.fromisoformat(looks[0]).replace(tzinfo=UTC)
    if zone != "UTC":
        clock.now = first.replace(hour=0, minute=0) - timedelta(hours=12)
    inst = new_installation(schedule=cron, schedule_time_zone=zone)
    sync_schedules(inst)
    assert started(inst, *looks) == expected, title


def test_a_scheduled_backup_says_what_it_is_and_one_that_makes_up_for_a_missed_slot_says_so(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    inst = new_installation()
    sync_schedules(inst)
    started(inst, "2026-11-22T02:00:04")
    run = last_run(inst)
    assert (run.kind, run.database, run.actor, run.reason) == ("backup", "la_factoria", "schedule", "")
    assert (run.params["type"], run.params["slot"]) == ("scheduled", "2026-11-22T02:00:00.000Z")
    assert inst.catalog.runs.by_idempotency_keys(["slot:la_factoria/backup:2026-11-22T02:00:00.000Z"])
    started(inst, "2026-11-25T07:30:00")
    assert last_run(inst).reason == "Due 2026-11-25 02:00 UTC, started 5 h late."


def test_a_name_of_any_length_starts_once(tmp_path: Path, clock: SetClock) -> None:
    database = DatabaseSettings(name="d" * 63, url=SecretStr("postgresql://u:p@127.0.0.1:1/d"))
    inst = make_installation(tmp_path, clock=clock, databases=(database,))
    sync_schedules(inst)
    assert started(inst, "2026-11-22T02:00", "2026-11-22T02:01", "2026-11-22T02:02") == ["11-22 02:00"]


def test_a_paused_schedule_starts_nothing_and_one_that_was_changed_goes_by_its_new_time(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    inst = new_installation()
    sync_schedules(inst)
    pause_schedule(inst, NAME, actor="ada")
    assert started(inst, "2026-11-22T02:00", "2026-11-23T02:00") == []
    clock.set("2026-11-23T12:00")
    resume_schedule(inst, NAME, actor="ada")
    set_schedule(inst, NAME, cron="0 4 * * *", actor="ada")
    assert started(inst, "2026-11-24T02:00", "2026-11-24T04:00") == ["11-24 04:00"]


def test_a_slot_that_another_good_backup_has_satisfied_is_not_made_up_for_unless_that_one_turns_out_bad(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    inst = new_installation()
    sync_schedules(inst)
    by_hand = make_backup(finished_at=datetime(2026, 11, 22, 2, 30, tzinfo=UTC))
    inst.catalog.backups.add(by_hand)
    assert started(inst, "2026-11-22T03:00") == []
    inst.catalog.verifications.add(make_verification(by_hand, "checksum", "failed", at=clock.now))
    assert started(inst, "2026-11-22T03:01", "2026-11-22T03:02") == ["11-22 02:00"]


def test_a_backup_of_before_the_due_time_keeps_no_slot_from_being_started(new_installation: NewInstallation) -> None:
    inst = new_installation()
    sync_schedules(inst)
    inst.catalog.backups.add(make_backup(finished_at=datetime(2026, 11, 22, 1, 50, tzinfo=UTC)))
    assert started(inst, "2026-11-22T02:00") == ["11-22 02:00"]


def test_a_restore_test_takes_a_random_backup_of_last_month_the_same_for_every_worker(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    inst = new_installation(schedule="off", restore_test_schedule="0 5 1 * *")
    sync_schedules(inst)
    for day in range(1, 29):
        at = datetime(2026, 11, day, 2, 10, tzinfo=UTC)
        inst.catalog.backups.add(make_backup(f"b{day}", finished_at=at))
    inst.catalog.backups.add(make_backup("december", finished_at=datetime(2026, 12, 1, 2, 10, tzinfo=UTC)))
    assert started(inst, "2026-12-01T05:00", "2026-12-01T05:01") == ["12-01 05:00"]
    run = last_run(inst)
    assert (run.kind, run.params["level"]) == ("restore_test", "restore")
    assert run.backup_id not in (None, "id-december")


def test_a_job_that_cannot_be_asked_for_is_tried_again_and_keeps_no_other_from_starting(
    new_installation: NewInstallation, clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    inst = new_installation(restore_test_schedule="0 2 * * *", settings={"janitor_schedule": "0 2 * * *"})
    sync_schedules(inst)
    started(inst, "2026-11-22T02:00", "2026-11-22T02:01", "2026-11-22T02:02")
    assert sorted(run.kind for run in inst.catalog.runs.list()) == ["backup", "janitor"]
    [said] = [r.message for r in caplog.records if "no good backup" in r.message]
    assert said == (
        "slot:la_factoria/restore_test:2026-11-22T02:00:00.000Z could not be started: "
        "There is no good backup of la_factoria yet. Run `backups create`."
    )
    inst.catalog.backups.add(make_backup(finished_at=datetime(2026, 11, 22, 2, 3, tzinfo=UTC)))
    started(inst, "2026-11-22T02:05")
    assert last_run(inst).kind == "restore_test"
    assert last_run(inst).reason.startswith("No good backup of October 2026 is stored")


def test_the_scheduled_verification_takes_the_backup_that_was_looked_at_longest_ago(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    inst = new_installation(schedule="off", verification_schedule="0 2 * * *")
    sync_schedules(inst)
    for day in (1, 2, 3):
        inst.catalog.backups.add(make_backup(f"b{day}", finished_at=datetime(2026, 11, day, tzinfo=UTC)))
    backup = inst.catalog.backups.get("id-b1")
    inst.catalog.verifications.add(
        make_verification(backup, "checksum", "passed", at=datetime(2026, 11, 9, tzinfo=UTC))
    )
    started(inst, "2026-11-22T02:00")
    assert (last_run(inst).backup_id, last_run(inst).params["level"]) == ("id-b2", "archive")


def test_the_queries_of_a_look_do_not_grow_with_what_has_been_done(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    inst = new_installation()
    sync_schedules(inst)
    counts = []
    for day in range(22, 29):
        started(inst, f"2026-11-{day}T02:00")
        counts.append(count_queries(inst, lambda: start_due_runs(inst)))
    assert set(counts) == {4}


def test_what_is_paused_before_the_first_worker_starts_never_comes_due(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    """What tests with a real worker rest upon: nothing of the defaults is started by the hour in which they run."""
    inst = new_installation(
        settings={"cleanup_schedule": "30 3 * * *", "janitor_schedule": "0 4 * * *", "health_schedule": "0 6 * * *"},
        restore_test_schedule="0 5 * * *",
    )
    assert len(pause_all(inst)) == 5
    sync_schedules(inst)
    for _ in range(50):
        clock.now += timedelta(hours=1)
        assert start_due_runs(inst) == []


def test_workers_in_threads_start_each_slot_once(tmp_path: Path, catalog_url: SecretStr, clock: SetClock) -> None:
    insts = [
        make_installation(tmp_path, clock=clock, catalog_url=catalog_url, database={"schedule": HOURLY},
                          janitor_schedule=HOURLY)
        for _ in range(4)
    ]  # fmt: skip
    prepare_queue(insts[0].catalog)
    with ThreadPoolExecutor(4) as pool:
        written = [len(made) for made in pool.map(sync_schedules, insts)]
        assert sum(written) == 2
        for hour in range(13, 23):
            clock.set(f"2026-11-21T{hour}:00")
            list(pool.map(start_due_runs, [*insts, *insts]))
    runs = insts[0].catalog.runs.list(limit=None)
    slots = [(run.kind, run.params["slot"]) for run in runs]
    assert len(slots) == len(set(slots)) == 2 * 10
    for inst in insts:
        inst.close()


def test_workers_in_processes_start_each_slot_once(tmp_path: Path, catalog_url: SecretStr, clock: SetClock) -> None:
    environ = {
        "PATH": os.environ["PATH"], "BACKUPS_HOME": str(tmp_path / "home"), "BACKUP_STORAGE": f"file://{tmp_path}/s",
        "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/la_factoria", "CATALOG_URL": catalog_url.get_secret_value(),
        "BACKUP_RECIPIENTS": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
    }  # fmt: skip
    inst = make_installation(
        tmp_path, clock=clock, catalog_url=catalog_url, database={"schedule": HOURLY}, janitor_schedule=HOURLY
    )
    sync_schedules(inst)
    gate = tmp_path / "gate"
    command = [sys.executable, "-m", "tests.support.scheduler", "2026-11-22T09:00:10+00:00", str(gate)]
    workers = [
        subprocess.Popen([*command, str(n)], env=environ, cwd=ROOT, stdout=subprocess.PIPE, text=True) for n in range(3)
    ]
    deadline = time.monotonic() + 100
    while not all(gate.with_suffix(f".{n}").exists() for n in range(3)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    gate.touch()
    said = [worker.communicate(timeout=100)[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    runs = inst.catalog.runs.list(limit=None)
    assert sorted(run.kind for run in runs) == ["backup", "janitor"]
    assert {run_id for words in said for run_id in words} == {run.id for run in runs}
    inst.close()
