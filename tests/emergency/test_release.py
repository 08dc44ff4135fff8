"""Releasing read-only mode: by whoever comes first, tried again until it works, and what was there before is back."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql
from sqlalchemy.exc import OperationalError

from services import commands
from services.catalog.read_only_modes import ReadOnlyMode
from services.catalog.schema import read_only_modes
from services.emergency import guardian, switch
from services.emergency import release as release_module
from services.emergency.read_only import restore_setting, switch_on, visit
from services.emergency.release import due_reason, may_be_tried, release, release_due
from services.emergency.request import EmergencyRequest
from services.emergency.switch import read_only_mode
from services.errors import BackupsError, InputError
from services.installation import Installation
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.jobs.processes import started_at
from services.postgres.connection import Address, Connection, connect
from tests.emergency.conftest import REASON, MakeInstallation, can_write, emergency, setting, told, wait_for, working

NOWHERE = "postgresql://ada@127.0.0.1:1/la_factoria"


def hold(installation: Installation, **changes: object) -> ReadOnlyMode:
    """Switch the database on as a run does that dies right then; return what it left in the catalogue."""
    now = installation.clock()
    run = installation.catalog.runs.add(
        kind="backup", database="la_factoria", actor="ada", reason=REASON, params={}, now=now
    )
    mode = ReadOnlyMode(
        id=f"mode-{run.id}", database="la_factoria", run_id=run.id, attempt=1, process=process_identity(), actor="ada",
        reason=REASON, began_at=now, release_by=now + timedelta(minutes=30), previous=None, already_read_only=False,
        sql_step=True,
    )  # fmt: skip
    mode = replace(mode, **changes)  # type: ignore[arg-type]
    with installation.catalog.engine.begin() as connection:
        installation.catalog.read_only_modes.add(mode, connection)
    with visit(installation.settings.databases[0]) as session:
        switch_on(session, mode.previous)
    return mode


def test_a_mode_whose_run_is_over_is_released_by_the_next_who_looks(
    installation: Installation, source: Address
) -> None:
    mode = hold(installation)
    assert not can_write(source)
    assert [released.id for released in release_due(installation, by="a worker")] == [mode.id]
    assert can_write(source)
    assert setting(source) == []
    said = installation.catalog.read_only_modes.get(mode.id).released_by
    assert said == "a worker, since its run is over"
    assert release_due(installation, by="a worker") == []


def test_a_mode_is_let_be_while_its_run_goes_on_until_its_limit_or_its_processs_end(
    installation: Installation,
) -> None:
    now = installation.clock()
    run = installation.catalog.runs.add(
        kind="backup", database="la_factoria", actor="ada", reason=REASON, params={}, now=now
    )
    installation.catalog.runs.claim(run.id, worker=process_identity(), now=now)
    running = installation.catalog.runs.get(run.id)
    mode = ReadOnlyMode(
        "m", "la_factoria", run.id, 1, process_identity(), "ada", REASON, now, now + timedelta(minutes=30), None, False
    )
    assert due_reason(mode, running, now + timedelta(minutes=29)) == ""
    assert due_reason(mode, running, now + timedelta(minutes=30)) == "its limit has passed"
    assert due_reason(replace(mode, attempt=2), running, now) == "its run is over"
    host, pid, started = process_identity().rsplit(":", 2)
    dead = replace(mode, process=f"{host}:{pid}:{int(started) - 100}")
    assert due_reason(dead, running, now) == "the process that held it is gone"
    assert due_reason(replace(mode, process="elsewhere:1:1"), running, now) == ""


def test_two_who_release_at_once_do_it_once(make: MakeInstallation, source: Address, tmp_path: Path) -> None:
    installation = make(**told(tmp_path))
    mode = hold(installation, command_step=True)
    outcomes: list[bool] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(release(installation, mode, by="somebody"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert True in outcomes
    assert can_write(source)
    assert (tmp_path / "told").read_text() == "off\n", "the application's command ran once"
    assert installation.catalog.read_only_modes.unreleased() == []


def test_what_somebody_else_has_set_meanwhile_is_left_as_it_is(installation: Installation, source: Address) -> None:
    mode = hold(installation)
    with connect(source) as connection:
        connection.execute("BEGIN READ WRITE")
        name = sql.Identifier(source.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = off").format(name))
        connection.execute("COMMIT")
    assert release(installation, mode, by="ada")
    assert setting(source) == ["default_transaction_read_only=off"]


def test_a_release_is_tried_again_until_the_server_is_back(
    make: MakeInstallation, source: Address, installation: Installation
) -> None:
    mode = hold(installation)
    database = installation.settings.databases[0]
    away = installation.settings.model_copy(
        update={"databases": (database.model_copy(update={"url": type(database.url)(NOWHERE)}),)}
    )
    broken = Installation(away, installation.catalog, installation.clock)
    with pytest.raises(BackupsError, match="tried again every few seconds"):
        commands.release_read_only(broken, "la_factoria", actor="ada")
    left = installation.catalog.read_only_modes.get(mode.id)
    assert "nothing listens" in left.last_error
    assert left.attempts == 1
    assert left.attempted_at is not None
    assert not may_be_tried(left, left.attempted_at + timedelta(seconds=1))
    assert may_be_tried(left, left.attempted_at + timedelta(seconds=2))
    assert may_be_tried(replace(left, attempts=50), left.attempted_at + timedelta(minutes=1))
    (released,) = commands.release_read_only(installation, "la_factoria", actor="ada")
    assert (released.released_by, released.last_error) == ("ada", "")
    assert can_write(source)
    with pytest.raises(InputError, match="not in read-only mode"):
        commands.release_read_only(installation, "la_factoria", actor="ada")


def test_the_limit_releases_while_the_run_goes_on(installation: Installation, source: Address) -> None:
    # The guardian looks at the row: a limit that passes once read-only mode is on, however long that took to come.
    wish = EmergencyRequest("la_factoria", REASON)
    with working(installation) as active, read_only_mode(installation, wish, active) as mode:
        assert not can_write(source)
        with installation.catalog.engine.begin() as connection:
            connection.execute(read_only_modes.update().values(release_by=installation.clock()))
        wait_for(lambda: can_write(source))
        wait_for(lambda: installation.catalog.read_only_modes.get(mode.id).released_at is not None)
    assert installation.catalog.read_only_modes.get(mode.id).released_by == "the guardian, since its limit has passed"


def test_a_limit_that_passes_while_the_mode_is_being_switched_on_leaves_the_database_writable(
    installation: Installation, source: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody releases between the note of the step and the step: the hardest moment."""
    switch_on = switch.switch_on

    def late(connection: Connection, previous: str | None) -> None:
        (mode,) = installation.catalog.read_only_modes.unreleased()
        assert release(installation, mode, by="its limit")
        switch_on(connection, previous)

    monkeypatch.setattr(switch, "switch_on", late)
    run = emergency(installation)
    assert run.state == "failed"
    assert "before it was quite on" in run.error
    assert setting(source) == []
    assert can_write(source)


def test_an_emergency_backup_first_releases_what_an_earlier_one_left(
    installation: Installation, source: Address
) -> None:
    earlier = hold(installation)
    assert emergency(installation).state == "finished"
    assert installation.catalog.read_only_modes.get(earlier.id).released_by == "the next emergency backup"
    assert setting(source) == []
    assert can_write(source)


def test_an_attempt_after_a_crash_backs_up_without_read_only_mode(installation: Installation, source: Address) -> None:
    wish = EmergencyRequest("la_factoria", REASON)
    run_id = commands.submit_emergency(installation, wish, actor="ada", queue=False)
    now = installation.clock()
    mode = ReadOnlyMode("m", "la_factoria", run_id, 1, "elsewhere:1:1", "ada", REASON, now, now, None, False)
    with installation.catalog.engine.begin() as connection:
        installation.catalog.read_only_modes.add(mode, connection)
    run = execute_run(installation, run_id, worker=process_identity())
    assert run.state == "finished"
    assert any("This one backs up without it" in line.message for line in installation.catalog.runs.log(run_id))
    assert len(installation.catalog.read_only_modes.of_run(run_id)) == 1


def test_who_releases_while_sessions_are_waited_for_has_none_of_them_ended(
    installation: Installation, source: Address
) -> None:
    def click() -> None:
        wait_for(lambda: not can_write(source))
        commands.release_read_only(installation, "la_factoria", actor="ada")

    clicking = threading.Thread(target=click)
    clicking.start()
    with connect(source, application_name="the application") as application:
        run = emergency(installation, sessions="wait", wait=timedelta(minutes=5))
        clicking.join()
        application.execute("INSERT INTO content VALUES (-1)")
    assert run.state == "finished", run.error
    assert any("so do writes" in line.message for line in installation.catalog.runs.log(run.id))
    assert can_write(source)


def hang_up(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the catalogue's answers about read-only modes fail, as when its server is away."""

    def away(*args: object, **kwargs: object) -> None:
        raise OperationalError("SELECT", {}, Exception("the catalogue is away"))

    for name in ("get", "unreleased", "note_step", "note_failure", "note_released"):
        monkeypatch.setattr(installation.catalog.read_only_modes, name, away)


def gone() -> str:
    host, pid, started = process_identity().rsplit(":", 2)
    return f"{host}:{pid}:{int(started) - 100}"


def test_an_on_command_that_a_killed_run_left_running_is_ended_before_the_off_command(
    make: MakeInstallation, source: Address, tmp_path: Path
) -> None:
    installation = make(**told(tmp_path))
    mode = hold(installation, command_step=True, process=gone())
    on = ("sh", "-c", f"sh -c 'sleep 3; echo on >> {tmp_path}/told'; true")
    with subprocess.Popen(on, start_new_session=True) as left:
        entry = {"pid": str(left.pid), "started": started_at(left.pid), "until": "0", "purpose": "read-only on"}
        installation.catalog.runs.add_leftover(mode.run_id, {"kind": "process"} | entry)
        assert release(installation, mode, by="the guardian")
        assert left.wait(10) == -signal.SIGKILL
    assert (tmp_path / "told").read_text() == "off\n"
    assert can_write(source)


def test_an_on_command_that_may_still_run_on_another_machine_is_waited_for(
    make: MakeInstallation, source: Address, tmp_path: Path
) -> None:
    installation = make(**told(tmp_path))
    mode = hold(installation, command_step=True, process="elsewhere:1:1")
    entry = {"kind": "process", "pid": "1", "started": "0", "purpose": "read-only on"}
    until = {"until": str(time.time() + 60)}
    installation.catalog.runs.add_leftover(mode.run_id, entry | until)
    assert not release(installation, mode, by="a worker")
    assert can_write(source), "the database's setting does not wait"
    assert "just being told to stop, by elsewhere" in installation.catalog.read_only_modes.get(mode.id).last_error
    installation.catalog.runs.remove_leftover(mode.run_id, entry | until)
    assert release(installation, mode, by="a worker")
    assert (tmp_path / "told").read_text() == "off\n"


def test_who_releases_while_the_application_is_told_to_stop_has_it_told_to_go_on_last(
    make: MakeInstallation, source: Address, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    installation = make(**told(tmp_path, on=f"touch {started}; sleep 3; echo on >> {{file}}"))

    def click() -> None:
        wait_for(started.exists)
        commands.release_read_only(installation, "la_factoria", actor="ada")

    clicking = threading.Thread(target=click)
    clicking.start()
    run = emergency(installation)
    clicking.join()
    assert run.state == "failed"
    assert (tmp_path / "told").read_text().split()[-1] == "off"
    assert installation.catalog.read_only_modes.unreleased() == []
    assert can_write(source)


def test_a_step_that_was_taken_after_a_release_is_undone_by_all_who_release_when_its_run_cannot(
    make: MakeInstallation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Released right after the on command has run, and the off command then fails for its run."""
    broken = tmp_path / "broken"
    installation = make(**told(tmp_path, off=f"test ! -e {broken} && echo off >> {{file}}"))
    run_command = switch.run_command

    def late(*args: Any, **kwargs: Any) -> str:
        said = run_command(*args, **kwargs)
        commands.release_read_only(installation, "la_factoria", actor="ada")
        broken.touch()
        (tmp_path / "told").write_text("on\n")
        return said

    monkeypatch.setattr(switch, "run_command", late)
    run = emergency(installation)
    assert run.state == "failed"
    (left,) = installation.catalog.read_only_modes.unreleased()
    assert left.command_step
    broken.unlink()
    monkeypatch.setattr(release_module, "may_be_tried", lambda mode, now: True)
    assert [each.id for each in release_due(installation, by="a worker")] == [left.id]
    assert (tmp_path / "told").read_text() == "on\noff\n"


def test_whatever_one_release_meets_keeps_nobody_from_the_others(
    make: MakeInstallation, source: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = make(read_only_on_command=("true",), read_only_off_command=("true",))
    first = hold(installation, command_step=True, sql_step=False, began_at=installation.clock() - timedelta(hours=1))
    with visit(installation.settings.databases[0]) as session:
        restore_setting(session, None)
    second = hold(installation)

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(release_module, "run_command", full)
    assert [mode.id for mode in release_due(installation, by="a worker")] == [second.id]
    assert "No space left" in installation.catalog.read_only_modes.get(first.id).last_error
    assert can_write(source)


def test_a_guardian_whose_catalogue_is_away_undoes_each_step_once(
    make: MakeInstallation, source: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even those that were not noted when it last read the row."""
    installation = make(**told(tmp_path))
    mode = hold(installation, process=gone())
    hang_up(installation, monkeypatch)
    monkeypatch.setattr(guardian, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(guardian, "UNSAID", 5)
    guardian.guard(installation, replace(mode, sql_step=False))
    assert can_write(source)
    assert (tmp_path / "told").read_text() == "off\n"


def test_a_guardian_whose_catalogue_is_away_stays_until_the_off_command_works(
    make: MakeInstallation, source: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = "echo try >> {file}; test $(grep -c try {file}) -gt 3"
    installation = make(**told(tmp_path, off=fails))
    mode = hold(installation, process=gone())
    hang_up(installation, monkeypatch)
    monkeypatch.setattr(guardian, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(guardian, "LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(guardian, "UNSAID", 1)
    guardian.guard(installation, mode)
    assert (tmp_path / "told").read_text() == "try\n" * 4
    assert can_write(source)


def test_a_guardian_whose_catalogue_is_another_one_by_now_releases_and_ends(
    make: MakeInstallation, source: Address, tmp_path: Path
) -> None:
    installation = make(**told(tmp_path))
    mode = hold(installation)
    with installation.catalog.engine.begin() as connection:
        connection.execute(read_only_modes.delete())
    guardian.guard(installation, mode)
    assert can_write(source)
    assert setting(source) == []
    assert (tmp_path / "told").read_text() == "off\n"


def test_a_setting_that_a_later_emergency_backup_holds_is_left_to_it(
    installation: Installation, source: Address
) -> None:
    """As a run does that was paused while it switched, lost its claim, and goes on."""
    earlier = hold(installation)
    assert release(installation, earlier, by="the guardian")
    later = hold(installation)
    installation.catalog.read_only_modes.reopen(earlier)
    assert release(installation, earlier, by="its run")
    assert not can_write(source)
    assert release(installation, later, by="its run")
    assert can_write(source)
