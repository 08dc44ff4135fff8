"""The application's own commands: run in order, with nothing of ours in their environment, undone whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from services import commands
from services.catalog.read_only_modes import ReadOnlyMode
from services.clock import utc_now
from services.emergency.commands import run_command, why_not_run
from services.emergency.readiness import check_readiness, is_prepared
from services.emergency.request import EmergencyRequest
from services.emergency.words import after_release, by_hand, state_of
from services.errors import BackupsError, InputError
from services.installation import Installation
from services.postgres.connection import Address
from tests.emergency.conftest import REASON, MakeInstallation, can_write, emergency, told, wait_for
from tests.support.catalogs import make_catalog

READY = {"read_only_on_command": ("true",), "read_only_off_command": ("true",)}


def test_the_application_is_told_to_stop_and_to_go_on(make: MakeInstallation, source: Address, tmp_path: Path) -> None:
    run = emergency(make(**told(tmp_path)))
    assert run.state == "finished", run.error
    assert (tmp_path / "told").read_text() == "on\noff\n"
    assert can_write(source)


def test_an_application_that_cannot_be_told_to_stop_is_told_to_go_on_and_nothing_is_backed_up(
    make: MakeInstallation, source: Address, tmp_path: Path
) -> None:
    installation = make(**told(tmp_path, on="echo half >> {file}; echo no such project >&2; exit 3"))
    run = emergency(installation)
    assert run.state == "failed"
    assert "ended with 3: no such project" in run.error
    assert (tmp_path / "told").read_text() == "half\noff\n", "it may have got half way"
    assert can_write(source)
    assert installation.catalog.backups.list() == []


def test_a_command_sees_the_variables_that_the_settings_name_and_shows_no_secret(
    make: MakeInstallation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAILWAY_TOKEN", "token-5f1c")
    monkeypatch.setenv("BACKUP_ENCRYPTION_KEY", "AGE-SECRET-KEY-OURS")
    installation = make(read_only_command_environment=("RAILWAY_TOKEN",))
    said = run_command(installation.settings, installation.settings.databases[0], ("env",))
    assert "RAILWAY_TOKEN=***" in said
    assert {line.partition("=")[0] for line in said.split() if "=" in line} <= {"PATH", "LANG", "RAILWAY_TOKEN"}


def test_a_command_that_hangs_or_is_not_there_ends_in_time(make: MakeInstallation) -> None:
    installation = make(read_only_command_timeout=timedelta(seconds=1))
    database = installation.settings.databases[0]
    with pytest.raises(BackupsError, match="did not end within 1 s"):
        run_command(installation.settings, database, ("sh", "-c", "sleep 60 & sleep 60"))
    with pytest.raises(BackupsError, match="no program railwai"):
        run_command(installation.settings, database, ("railwai", "variable"))
    # What it leaves in the background does not keep us.
    assert run_command(installation.settings, database, ("sh", "-c", "sleep 5 & echo done")) == "done"


def test_a_program_that_the_system_cannot_run_is_a_failure_like_any_other(
    make: MakeInstallation, source: Address, tmp_path: Path
) -> None:
    program = tmp_path / "tell"
    for text, why in (("echo hello\n", "has no #! line"), ("#!/nowhere/sh\n", "names /nowhere/sh, which is not there")):
        program.write_text(text)
        program.chmod(0o755)
        installation = make(read_only_on_command=(str(program),), read_only_off_command=("true",))
        assert why in why_not_run((str(program),))
        assert [result for result, _, _ in check_readiness(installation, installation.settings.databases[0])] == [
            "ok",
            "failed",
        ]
        run = emergency(installation)
        assert run.state == "failed"
        assert "could not be run" in run.error
        assert can_write(source)


def test_doctor_says_on_a_quiet_day_what_would_be_missing(make: MakeInstallation, source: Address) -> None:
    prepared = make(**READY)
    ready = list(check_readiness(prepared, prepared.settings.databases[0]))
    assert [result for result, _, _ in ready] == ["ok"]
    database = make(read_only_on_command=("railwai", "on"), read_only_off_command=("true",)).settings.databases[0]
    assert is_prepared(database)
    found = list(check_readiness(prepared, database))
    assert [result for result, _, _ in found] == ["ok", "failed"]
    assert "no program railwai" in found[1][1]
    assert not is_prepared(make().settings.databases[0])


def test_doctor_names_a_catalogue_that_lies_in_the_database_that_would_be_switched(
    make: MakeInstallation, source: Address
) -> None:
    installation = make()
    inside = make_catalog(source.url().get_secret_value())
    try:
        at_home = Installation(installation.settings, inside, installation.clock)
        with pytest.raises(InputError, match="catalogue of backups is in la_factoria itself"):
            list(check_readiness(at_home, installation.settings.databases[0]))
    finally:
        inside.close()
    [(result, message, _)] = check_readiness(installation, installation.settings.databases[0])
    assert (result, message) == ("ok", "The catalogue of backups does not lie in it.")


# The process stands still once the application's command has been started, and before its number is written down.
SCRIPT = """
import sys, time
from services.emergency import commands
from services.installation import open_installation
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity

def stand_still(process, seconds, run):
    print("started", flush=True)
    time.sleep(60)

commands._remembered = stand_still
execute_run(open_installation(), sys.argv[1], worker=process_identity())
"""


def test_a_command_whose_run_is_killed_before_it_could_write_it_down_is_ended_before_the_application_goes_on(
    make: MakeInstallation, source: Address, tmp_path: Path
) -> None:
    settings = told(tmp_path, on="sleep 73.19 & echo on >> {file}; wait")
    installation = make(**settings)
    request = EmergencyRequest("la_factoria", REASON)
    run_id = commands.submit_emergency(installation, request, actor="ada", queue=False)
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, run_id], env=environment_of(installation, tmp_path), stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"started\n"
        wait_for((tmp_path / "told").exists)
        child.kill()
    wait_for(lambda: can_write(source))  # its guardian, or we
    wait_for(lambda: (tmp_path / "told").read_text() == "on\noff\n")
    left = [process for process in psutil.process_iter(["cmdline"]) if "73.19" in (process.info["cmdline"] or [])]
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []


def environment_of(installation: Installation, folder: Path) -> dict[str, str]:
    """The environment of another process with the same settings."""
    settings, database = installation.settings, installation.settings.databases[0]
    assert settings.encryption_key is not None
    lines = [f'home = "{settings.home}"', f'recipients = ["{settings.recipients[0]}"]']
    for storage in settings.storages:
        lines += ["[[storages]]", f'name = "{storage.name}"', f'url = "{storage.url}"']
    lines += ["[[databases]]", 'name = "la_factoria"', f'url = "{database.url.get_secret_value()}"']
    lines += [f"storages = {json.dumps(database.storages)}", 'schedule = "off"', 'restore_test_schedule = "off"']
    lines += [f"read_only_on_command = {json.dumps(database.read_only_on_command)}"]
    lines += [f"read_only_off_command = {json.dumps(database.read_only_off_command)}"]
    (folder / "backups.toml").write_text("\n".join(lines) + "\n")
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "BACKUPS_CONFIG": str(folder / "backups.toml"),
        "BACKUP_ENCRYPTION_KEY": settings.encryption_key.get_secret_value(),
    }


def test_a_cancel_ends_the_command_that_is_running_and_the_application_is_told_to_go_on(
    make: MakeInstallation, source: Address, tmp_path: Path
) -> None:
    installation = make(**told(tmp_path, on="echo on >> {file}; sleep 50"))

    def click() -> None:
        wait_for((tmp_path / "told").exists)
        (run,) = installation.catalog.runs.list()
        commands.request_cancel(installation, run.id, actor="ada")

    clicking = threading.Thread(target=click)
    clicking.start()
    run = emergency(installation)
    clicking.join()
    assert run.state == "cancelled"
    assert (tmp_path / "told").read_text() == "on\noff\n"
    assert can_write(source)


def test_what_is_said_of_a_mode_is_true_of_it() -> None:
    now = utc_now()
    mode = ReadOnlyMode("m", "shop", "r", 1, "here:1:1", "ada", "why", now, now, "off", False)
    assert "about to be switched" in state_of(mode)
    assert by_hand(mode) == ""
    switched = replace(mode, sql_step=True, command_step=True)
    assert state_of(switched) == "cannot be written"
    assert "SET default_transaction_read_only = 'off'" in by_hand(switched)
    told_only = replace(mode, command_step=True)
    assert "can be written, but" in state_of(told_only)
    assert "ALTER DATABASE" not in by_hand(told_only)
    assert after_release(mode, "ada") == "Read-only mode of shop is released by ada: new sessions can write."
    before = replace(mode, already_read_only=True)
    assert "stays so" in after_release(before)
    assert "read-only before" in state_of(before)
