"""schedule, slo, pick and status --date on the command line, on a catalogue whose time the test sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli import session
from services.cli.main import app
from services.installation import Installation
from services.schedules.start_due import start_due_runs
from services.schedules.sync import sync_schedules
from tests.catalog.rows import make_backup, make_verification
from tests.schedules.conftest import SetClock
from tests.support.installations import make_installation

NAME = "la_factoria/backup"
HOSTILE = "\x1b]0;owned\x07 [bold]because"
Backups = Callable[..., Result]


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def inst(tmp_path: Path, clock: SetClock) -> Installation:
    return make_installation(
        tmp_path, clock=clock, database={"schedule": "0 2 * * *"}, janitor_schedule="0 4 * * *", slo_target=99.0
    )


@pytest.fixture
def backups(inst: Installation, monkeypatch: pytest.MonkeyPatch) -> Backups:
    monkeypatch.setattr(session, "open_installation", lambda _environ: inst)

    def run(*words: str) -> Result:
        result = CliRunner().invoke(app, list(words))
        assert "Traceback" not in result.stderr
        assert "\x1b" not in result.stdout + result.stderr
        return result

    return run


def as_json(result: Result) -> Any:
    return json.loads(result.stdout)


def test_the_list_says_when_each_schedule_comes_due_next_and_how_its_last_slot_ended(
    backups: Backups, inst: Installation, clock: SetClock
) -> None:
    before = backups("schedule", "list")
    assert "take effect when a worker starts" in before.stderr
    assert "At 02:00 every day (UTC)" in before.stdout
    sync_schedules(inst)
    clock.set("2026-11-23T09:00")
    inst.catalog.backups.add(make_backup(finished_at=datetime(2026, 11, 22, 2, 9, tzinfo=UTC)))
    text = backups("schedule", "list").stdout
    assert [line.split()[0] for line in text.splitlines()[1:]] == [
        NAME, "la_factoria/restore_test", "la_factoria/verification", "cleanup", "janitor", "health"
    ]  # fmt: skip
    [line] = [line for line in text.splitlines() if line.startswith(NAME)]
    assert line.split("  ")[-1].strip() == "missed"
    assert "2026-11-24 02:00" in line
    rows = {row["schedule"]: row for row in as_json(backups("schedule", "list", "--json"))}
    row = rows[NAME]
    assert (row["cron"], row["time_zone"], row["deadline_seconds"], row["in_force"]) == (
        "0 2 * * *", "UTC", 4 * 3600.0, True,
    )  # fmt: skip
    assert row["next_due"][:2] == ["2026-11-24T02:00:00.000Z", "2026-11-25T02:00:00.000Z"]
    assert row["last_slot"] == {
        "due": "2026-11-23T02:00:00.000Z", "deadline_at": "2026-11-23T06:00:00.000Z", "state": "missed",
        "cause": "Never started: no worker took it up.", "run_id": None,
    }  # fmt: skip
    assert rows["janitor"]["last_slot"]["state"] == "open"
    assert rows["la_factoria/verification"]["next_due"] == []


def test_the_last_slot_of_other_jobs_says_what_their_run_came_to(
    backups: Backups, inst: Installation, clock: SetClock
) -> None:
    sync_schedules(inst)
    clock.set("2026-11-22T04:00")
    run_id = next(r for r in start_due_runs(inst) if inst.catalog.runs.get(r).kind == "janitor")
    rows = {row["schedule"]: row for row in as_json(backups("schedule", "list", "--json"))}
    assert (rows["janitor"]["last_slot"]["state"], rows["janitor"]["last_slot"]["run_id"]) == ("queued", run_id)
    claim = inst.catalog.runs.claim(run_id, worker="host:1:1", now=clock.now)
    inst.catalog.runs.finish(claim, state="failed", now=clock.now, error="The storage is away.")
    shown = backups("schedule", "show", "janitor").stdout
    assert "2026-11-22 04:00: failed. The storage is away" in shown


def test_set_pause_and_resume_are_versions_with_author_and_reason(
    backups: Backups, inst: Installation, clock: SetClock
) -> None:
    done = backups("schedule", "set", NAME, "--cron", "30 1 * * 1-5", "--time-zone", "Europe/Berlin", "--deadline",
                   "90min", "--reason", HOSTILE)  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "At 01:30 on Monday through Friday (Europe/Berlin); next due (UTC): 2026-11-23 00:30" in done.stdout
    paused = as_json(backups("schedule", "pause", NAME, "--reason", "server moves", "--json"))
    assert (paused["paused"], paused["version"], paused["source"]) == (True, 3, "person")
    assert "paused; next due (UTC): –" in backups("schedule", "pause", NAME).stdout
    assert "next due (UTC): 2026-11-23 00:30" in backups("schedule", "resume", NAME).stdout
    form = as_json(backups("schedule", "show", NAME, "--json"))
    assert [version["version"] for version in form["versions"]] == [1, 2, 3, 4]
    assert form["versions"][1]["actor"].startswith("cli:")
    assert form["deadline_seconds"] == 5400.0
    shown = backups("schedule", "show", NAME).stdout
    assert "server moves" in shown
    assert "\\x1b]0;owned" in shown
    assert inst.catalog.schedules.all()[NAME][-1].paused is False


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["set", NAME, "--cron", "0 25 * * *"], "no cron line"),
        (["set", NAME, "--cron", ""], "The cron line is empty"),
        (["set", NAME, "--cron", "* * * * *"], "more often than every 5 minutes"),
        (["set", NAME, "--time-zone", "Europe/Berlni"], "Did you mean Europe/Berlin"),
        (["set", NAME, "--deadline", "soon"], "no length of time"),
        (["set", NAME, "--deadline", "0h"], "between 1 minute and 31 days"),
        (["set", NAME], "Nothing to change"),
        (["set", "la_factoria/bakup", "--cron", "off"], "Did you mean la_factoria/backup"),
        (["pause", "nothing"], "No schedule is called"),
        (["pause", "la_factoria/verification"], "nothing to pause"),
        (["show", "nothing"], "No schedule is called"),
        (["run", "nothing"], "No schedule is called"),
        (["run", "la_factoria/restore_test", "--queue"], "no good backup of la_factoria yet"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_changed(
    backups: Backups, inst: Installation, words: list[str], said: str
) -> None:
    result = backups("schedule", *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert all(len(history) == 1 for history in inst.catalog.schedules.all().values())
    assert inst.catalog.runs.list() == []


def test_run_hands_the_job_to_the_worker_or_does_it_here(backups: Backups, inst: Installation) -> None:
    run_id = as_json(backups("schedule", "run", NAME, "--queue", "--json"))["run_id"]
    run = inst.catalog.runs.get(run_id)
    assert (run.kind, run.params["type"], run.state) == ("backup", "on-demand", "queued")
    here = backups("schedule", "run", "janitor", "--quiet")
    assert here.exit_code == 0, here.stderr
    assert here.stdout == "Janitor of everything: finished\n"


def test_pick_names_a_backup_of_last_month_for_each_database(backups: Backups, inst: Installation) -> None:
    nothing = backups("pick")
    assert (nothing.exit_code, "no good backup of la_factoria yet" in nothing.stderr) == (2, True)
    for day in (3, 4, 5):
        inst.catalog.backups.add(make_backup(f"october-{day}", finished_at=datetime(2026, 10, day, 2, tzinfo=UTC)))
    picked = backups("pick", "--month", "last", "--seed", "a")
    assert picked.stdout.strip() in ("october-3", "october-4", "october-5")
    assert picked.stdout == backups("pick", "--seed", "a").stdout
    assert picked.stderr == "la_factoria: one of 3 good backups of October 2026.\n"
    assert backups("pick", "-d", "la_factoria").stderr == ""
    [form] = as_json(backups("pick", "--month", "2026-09", "--json"))
    assert (form["name"], form["month"], form["candidates"]) == ("october-5", "2026-09", 0)
    assert form["remark"].startswith("No good backup of September 2026 is stored")
    for bad in ("soon", "2027-01"):
        assert backups("pick", "--month", bad).exit_code == 2


def test_the_service_level_counts_slots_and_names_causes(backups: Backups, inst: Installation, clock: SetClock) -> None:
    assert backups("slo").exit_code == 3
    sync_schedules(inst)
    for day in range(22, 31):
        if day != 25:
            backup = make_backup(f"b{day}", finished_at=datetime(2026, 11, day, 2, 9, tzinfo=UTC))
            inst.catalog.backups.add(backup)
    inst.catalog.verifications.add(
        make_verification(backup, "restore", "passed", at=backup.finished_at, detail={"rto_seconds": 90.0})
    )
    clock.set("2026-11-30T12:00")
    result = backups("slo")
    assert result.exit_code == 2
    assert "88.88 %" in result.stdout
    assert "BROKEN" in result.stdout
    assert "2026-11-25 02:00" in result.stdout
    assert "Never started" in result.stdout
    form = as_json(backups("slo", "--days", "90", "--json"))
    total, [database] = form["total"], form["databases"]
    assert (total["slots"], total["satisfied"], total["missed"], total["open"]) == (9, 8, 1, 0)
    assert (total["allowed_misses"], total["misses_left"], total["kept"]) == (0, -1, False)
    assert database["rpo"]["achieved_seconds"] == timedelta(days=2).total_seconds()
    assert database["rto"] == {"limit_seconds": 3600.0, "slowest_seconds": 90.0, "restore_tests": 1, "kept": True}
    assert [miss["cause"] for miss in database["misses"]] == ["Never started: no worker took it up."]
    clock.set("2026-11-30T12:00")
    assert backups("slo", "--days", "3").exit_code == 0
    assert backups("slo", "--days", "0").exit_code == 2
    assert backups("slo", "--days", "99999").exit_code == 2
    assert backups("slo", "--database", "orders").exit_code == 2


@pytest.mark.parametrize(
    ("now", "finished", "code", "words"),
    [
        ("2026-11-22T01:00", None, 1, "no good backup yet on 2026-11-22"),
        ("2026-11-22T03:00", None, 1, "slot of 2026-11-22 02:00 UTC, deadline 2026-11-22 06:00: open"),
        ("2026-11-22T03:00", "2026-11-22T02:09", 0, "2026-11-22 02:00 UTC, deadline 2026-11-22 06:00: satisfied"),
        ("2026-11-22T09:00", None, 2, "missed. Never started: no worker took it up."),
        ("2026-11-22T09:00", "2026-11-22T08:30", 2, "late. Finished 6 h 30 min after it was due"),
        ("2026-11-24T09:00", "2026-11-22T02:09", 0, "satisfied"),
        ("2026-11-24T09:00", "2026-11-23T02:09", 2, "missed"),
    ],
)  # fmt: skip
def test_status_of_a_date_says_whether_what_was_due_is_done(
    backups: Backups, inst: Installation, clock: SetClock, now: str, finished: str | None, code: int, words: str
) -> None:
    sync_schedules(inst)
    clock.set(now)
    if finished is not None:
        at = datetime.fromisoformat(finished).replace(tzinfo=UTC)
        inst.catalog.backups.add(make_backup(finished_at=at))
    result = backups("status", "--date", "2026-11-22")
    assert result.exit_code == code
    assert words in result.stdout
    [form] = as_json(backups("status", "--date", "2026-11-22", "--json"))
    assert [slot["due"] for slot in form["slots"]] == ["2026-11-22T02:00:00.000Z"]


def test_on_a_day_without_a_slot_nothing_was_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SetClock()
    weekly = make_installation(tmp_path, clock=clock, database={"schedule": "0 2 * * MON"})
    monkeypatch.setattr(session, "open_installation", lambda _environ: weekly)
    sync_schedules(weekly)
    clock.set("2026-11-24T12:00")
    result = CliRunner().invoke(app, ["status", "--date", "today"])
    assert (result.exit_code, result.stdout) == (0, "la_factoria: nothing was due on 2026-11-24 (UTC)\n")
    assert CliRunner().invoke(app, ["status", "--date", "yesterday"]).exit_code == 2
